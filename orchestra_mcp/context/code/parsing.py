"""Syntax trees of files, and the matches of a language's queries in them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from orchestra_mcp.context.code.languages import COMPONENTS, Section, grammar, language, language_of, markup_of, query
from orchestra_mcp.types import Syntax

if TYPE_CHECKING:
    import tree_sitter
    from tree_sitter import Node

MAX_BYTES = 1_000_000
"""Larger files are not parsed: they are generated or data."""

_PARSE_SECONDS = 3.0
_CHUNK_BYTES = 65_536
_WITH_MACROS = frozenset({"c", "cpp", "objc"})
_MACROS = re.compile(
    rb"(?:^[ \t]{0,99}|(?:(?<=\))|(?<=const))[ \t]{1,99})"
    rb"(?:[A-Z_][A-Z0-9_]{3,80}(?:[ \t]{0,9}\([^()\n]{0,200}\))?[ \t]{0,9}){1,3}$"
    rb"|(?:(?<=\bclass)|(?<=\bstruct))[ \t]{1,9}[A-Z_][A-Z0-9_]{3,80}(?:\([^()\n]{0,200}\))?(?=[ \t]{1,9}\w)",
    re.MULTILINE,
)
"""Macros alone on their line, at the end of a function's head, or before a class's name: names the grammar cannot read."""
_STRAY_TOKENS = 10_000
_CHECKED_NODES = 20_000


def parse(path: str, source: bytes) -> Syntax | None:
    """The syntax tree of a file of code.

    None when no grammar reads it, it is larger than `MAX_BYTES`, binary, or no code at all (the parser takes longer
    than three seconds, or finds nothing but errors).
    """
    name = language_of(path)
    if name is None:
        return None
    if path.lower().endswith(tuple(COMPONENTS)):
        name, source = script_of(source, name)
    row = language(name)
    if row.instead_when is not None and row.instead_when.search(source):
        name = row.instead
    syntax = _read_as(name, source)
    if syntax is not None and syntax.root.has_error and name in _WITH_MACROS:
        plain = _MACROS.sub(lambda line: b" " * len(line[0]), source)
        again = _read_as(name, plain) if plain != source else None
        if again is not None and _errors(again) < _errors(syntax):
            return again
    return syntax


def parse_markup(path: str, source: bytes) -> Syntax | None:
    """The syntax tree of a data or markup file; None in the cases of `parse`."""
    name = markup_of(path)
    return _read_as(name, source) if name is not None else None


def _read_as(name: str, source: bytes) -> Syntax | None:
    if len(source) > MAX_BYTES or b"\0" in source[:8192]:
        return None
    compiled = grammar(name)
    if compiled is None:
        return None
    import tree_sitter

    source = _decodable(source)
    give_up = time.monotonic() + _PARSE_SECONDS
    try:
        # Only this form of the call, which reads through a function, can be stopped.
        tree = tree_sitter.Parser(compiled).parse(
            lambda offset, _: source[offset : offset + _CHUNK_BYTES],
            progress_callback=lambda *_: time.monotonic() > give_up,
        )
    except ValueError:  # stopped
        return None
    return None if _garbled(tree.root_node) else Syntax(name, source, tree.root_node)


_OPENED = re.compile(rb"<script\b([^<>]{0,300})>", re.IGNORECASE)
_CLOSED = re.compile(rb"</script\s{0,9}>", re.IGNORECASE)
_SCRIPT_LANGUAGE = re.compile(rb"\blang\s{0,9}=\s{0,9}[\"']?(\w{1,20})")
_SCRIPT_LANGUAGES = {b"ts": "typescript", b"typescript": "typescript", b"tsx": "tsx"}


def script_of(source: bytes, plain: str) -> tuple[str, bytes]:
    """The language of a component's scripts (`plain` unless one says otherwise), and the source with all else blank.

    The result is as long as the source, so that lines and columns stay what they were.
    """
    name, kept, at = plain, [], 0
    while (opened := _OPENED.search(source, at)) and (closed := _CLOSED.search(source, opened.end())):
        told = _SCRIPT_LANGUAGE.search(opened[1])
        name = _SCRIPT_LANGUAGES.get(told[1].lower(), name) if told is not None else name
        kept += [_blank(source[at : opened.end()]), source[opened.end() : closed.start()]]
        at = closed.start()
    return name, b"".join([*kept, _blank(source[at:])])


def _blank(text: bytes) -> bytes:
    return b"\n".join(b" " * len(line) for line in text.split(b"\n"))


def _decodable(source: bytes) -> bytes:
    """The source with `?` for each byte that is no UTF-8: the predicates of queries raise on others."""
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        return source.decode("utf-8", "surrogateescape").encode("utf-8", "replace")
    return source


def _errors(syntax: Syntax) -> int:
    """How many bytes lie in errors."""
    import tree_sitter

    found = tree_sitter.QueryCursor(_error_query(syntax.language)).captures(syntax.root)
    return sum(node.end_byte - node.start_byte for node in found.get("error", ()))


@cache
def _error_query(name: str) -> tree_sitter.Query:
    import tree_sitter

    compiled = grammar(name)
    if compiled is None:  # a file was parsed with it
        raise LookupError(name)
    return tree_sitter.Query(compiled, "(ERROR) @error")


def _garbled(root: Node) -> bool:
    """True when thousands of stray tokens lie in one error: queries take quadratic time there, and find nothing."""
    nodes = [root]
    for _ in range(_CHECKED_NODES):
        if not nodes:
            return False
        node = nodes.pop()
        if node.is_error and node.child_count > _STRAY_TOKENS:
            return True
        if node.has_error:
            nodes += [child for child in node.children if child.has_error]
    return False


def matches(syntax: Syntax, section: Section, lines: tuple[int, int] | None = None) -> Iterator[dict[str, list[Node]]]:
    """The captures of each match of a query, by name; only those that touch `lines` (counted from 1), when given."""
    import tree_sitter

    compiled = query(syntax.language, section)
    if compiled is None:
        return
    cursor = tree_sitter.QueryCursor(compiled)
    if lines is not None:
        start, end = lines
        cursor.set_point_range((max(0, start - 1), 0), (max(start, end), 0))
    for _, captures in cursor.matches(syntax.root):
        yield captures


def decode(node: Node, source: bytes) -> str:
    """A node's text."""
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")
