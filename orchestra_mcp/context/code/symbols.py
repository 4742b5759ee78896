"""Definitions of a source file, and the sections of data and markup. Pure.

The trees come from tree-sitter, so that a broken file still gives the definitions around the error. What counts as
a definition is data, in `queries/*.scm`; the captures mean:

* `@function`, `@class`: the whole definition; `@name` its name; `@parameters` its parameter list;
  `@owner` the type that a method belongs to when it is not written inside that type (a Go receiver);
  `@end` the last node, when the grammar puts the body beside the head (Dart).
* `@scope`: qualifies the names inside it and is no definition (a namespace). `@owning`: the same, and functions in it
  are methods (a Rust `impl`); without a `@name` it qualifies nothing (a Kotlin companion).
* `@declarator`: C and C++, where the definition is found by climbing out of the declarator.
* `@section`: a part of a data or markup file that a person would name; several `@name`s are joined by dots.
* `@call`: the name of what is called; `@import`: the imported module. Names that start with `_` only serve predicates.

A name that is written with its scopes (`Shop::Cart`, `function M.f`) is split: the last part is the name.
Packages and namespaces that may also be declared for a whole file (Java, C#, PHP, Kotlin) do not qualify names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from orchestra_mcp.context.code.languages import Section
from orchestra_mcp.context.code.parsing import decode, matches, parse_markup
from orchestra_mcp.context.code.parsing import parse as parse  # whoever asks for definitions parses first
from orchestra_mcp.types import Definition, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_PATH = re.compile(r"((?:[\w$]+(?:\.|::?))*)([\w$]+)")
"""A name with its scopes in front: `Shop::Cart`, `Shop.Cart`, `cart:add`."""

_SIGNATURE_CHARS = 200
_COMMENTS = frozenset({"comment", "line_comment", "block_comment", "multiline_comment"})
_DECORATORS = frozenset({"decorator", "attribute_item", "annotation"})
_ELIXIR_ATTRIBUTES = (b"@doc", b"@spec", b"@impl", b"@deprecated")
_ANNOTATION_SIGNS = (b"@", b"[", b"#")
_ANNOTATIONS = _COMMENTS | {
    "annotation", "marker_annotation", "attribute", "attribute_list", "attribute_declaration", "decorator",
}  # fmt: skip
_WRAPPERS = frozenset({
    "decorated_definition", "export_statement", "template_declaration", "lexical_declaration",
    "variable_declaration", "expression_statement", "type_definition", "ambient_declaration",
})  # fmt: skip
_DECLARATORS = frozenset({
    "pointer_declarator", "reference_declarator", "parenthesized_declarator", "function_declarator",
    "qualified_identifier",
})  # fmt: skip
_BEFORE = _DECORATORS | _COMMENTS | {"template_parameter_list", "requires_clause"}


_Kind = Literal["function", "method", "class", "section"]


class Found(NamedTuple):
    """A match of the definitions query."""

    node: Node
    kind: Literal["function", "class", "scope", "owning", "section"]
    name: str
    owner: str
    parameters: Node | None
    last: Node


class _Open(NamedTuple):
    """A definition or scope that encloses the place where the walk is."""

    end: int
    qualified: str
    owns: bool


MAX_SECTIONS = 200
MAX_NAME = 80


def definitions(syntax: Syntax, path: str) -> tuple[Definition, ...]:
    """All functions, methods and classes in order of their first line; a decorator's line counts as the first."""
    return _listed(found_in(syntax), syntax.source, path)


def sections(path: str, source: bytes) -> tuple[Definition, ...]:
    """Tables, keys, rules, headings and the like of a data or markup file, in order of their first line.

    Empty for code, and for what `parse` would not read. Of more than `MAX_SECTIONS` the longest are given.
    """
    syntax = parse_markup(path, source)
    if syntax is None:
        return ()
    found = _listed(found_in(syntax, "sections"), source, path)
    longest = sorted(found, key=lambda d: (d.start - d.end, d.start))[:MAX_SECTIONS]
    return tuple(sorted(longest, key=lambda d: (d.start, -d.end)))


def _listed(matched: list[Found], source: bytes, path: str) -> tuple[Definition, ...]:
    result: list[Definition] = []
    around: list[_Open] = []
    for found in matched:
        while around and around[-1].end <= found.node.start_byte:
            around.pop()
        outer = around[-1] if around else _Open(0, "", False)
        qualified = ".".join(part for part in (outer.qualified, found.owner, found.name) if part)
        owns = found.kind in ("class", "owning")
        around.append(_Open(found.last.end_byte, qualified, owns))
        if found.kind in ("scope", "owning") or not found.name:
            continue
        method = found.kind == "function" and (outer.owns or bool(found.owner))
        result.append(_definition(found, source, path, qualified, method))
    return tuple(sorted(result, key=lambda d: (d.start, -d.end)))


def _definition(found: Found, source: bytes, path: str, qualified: str, method: bool) -> Definition:
    kind: _Kind = "class" if found.kind == "class" else "section" if found.kind == "section" else "function"
    return Definition(
        name=found.name,
        qualified=qualified,
        kind="method" if method else kind,
        path=path,
        start=first(found.node).start_point.row + 1,
        end=max(found.node.start_point.row, _last_row(found.last, source)) + 1,
        signature=_signature(found.node, source),
    )


def found_in(syntax: Syntax, section: Section = "definitions") -> list[Found]:
    """Matches in order of their position, the outer before the inner, each node once."""
    nodes: dict[tuple[int, int], Found] = {}
    for captures in matches(syntax, section):
        found = _read_match(captures, syntax.source)
        if found is None:
            continue
        key = (found.node.start_byte, -found.node.end_byte)
        if key not in nodes or _tells_more(found, nodes[key]):
            nodes[key] = found
    return [nodes[key] for key in sorted(nodes)]


def _tells_more(new: Found, old: Found) -> bool:
    """True when two patterns match one definition, and the later one knows its owner or name."""
    return (len(new.owner), bool(new.name), new.last.end_byte) > (len(old.owner), bool(old.name), old.last.end_byte)


def _read_match(captures: dict[str, list[Node]], source: bytes) -> Found | None:
    name, owner = _text(captures, "name", source), _text(captures, "owner", source)
    parameters = captures["parameters"][0] if "parameters" in captures else None
    if "declarator" in captures:
        node = _climb(captures["declarator"][0])
        if node is None:
            return None
        scope, _, name = _without_arguments(name).rpartition("::")
        return Found(node, "function", name, scope.replace("::", ".").strip("."), parameters, node)
    if "section" in captures:
        node = captures["section"][0]
        names = (decode(part, source).strip("'\"` \n") for part in captures.get("name", ()))
        return Found(node, "section", " ".join(".".join(names).split())[:MAX_NAME], "", None, node)
    name = name.strip("'\"`: ")
    if (path := _PATH.fullmatch(_without_arguments(name))) is not None:
        owner, name = ".".join(filter(None, (owner, re.sub(r"::?", ".", path[1]).strip(".")))), path[2]
    for kind in ("function", "class", "scope", "owning"):
        if kind in captures:
            node = captures[kind][0]
            return Found(node, kind, name, owner, parameters, captures.get("end", [node])[0])
    return None


def _climb(declarator: Node) -> Node | None:
    """The C function definition that a declarator belongs to; None for a mere declaration."""
    node = declarator.parent
    while node is not None and node.type in _DECLARATORS:
        node = node.parent
    return node if node is not None and node.type == "function_definition" else None


def _without_arguments(name: str) -> str:
    """`Ring<T>::push` → `Ring::push`; an operator's name keeps its angle brackets."""
    scope, colons, last = (part.strip() for part in name.rpartition("::"))
    if last.startswith("operator "):  # a conversion: its parameter list is part of the node
        last = last.partition("(")[0].strip()
    elif not last.startswith("operator"):
        last = last.partition("<")[0]
    return re.sub(r"<[^:]*>", "", scope) + colons + last


def first(node: Node) -> Node:
    """The node where a definition starts, with its export keyword, template head and decorators."""
    while (parent := node.parent) is not None and parent.type in _WRAPPERS:
        siblings = [child for child in parent.named_children if child != node]
        if any(child.type not in _BEFORE for child in siblings):
            break
        node = parent
    before = node.prev_named_sibling
    while before is not None and (before.type in _COMMENTS or _decorates(before)):
        if before.type not in _COMMENTS:
            node = before
        before = before.prev_named_sibling
    return node


def _decorates(node: Node) -> bool:
    if node.type in _DECORATORS:
        return True
    return node.type == "unary_operator" and (node.text or b"").startswith(_ELIXIR_ATTRIBUTES)


def _signature(node: Node, source: bytes) -> str:
    """The definition's head on one line, up to its body, without comments, decorators and annotations."""
    body = _body(node)
    begin = _after_annotations(node, source)
    end = body.start_byte if body is not None else node.end_byte
    text = source[begin : node.end_byte]
    head = text[: max(0, end - begin)] or text.partition(b"\n")[0]
    if body is None:
        head = head.partition(b"\n")[0]
    lines = [line.partition("  #")[0].partition(" //")[0] for line in head.decode("utf-8", "replace").splitlines()]
    line = " ".join(" ".join(lines).split()).removesuffix("=>").removesuffix("; end").rstrip(" :={;")
    return line if len(line) <= _SIGNATURE_CHARS else line[: _SIGNATURE_CHARS - 1] + "…"


def _last_row(node: Node, source: bytes) -> int:
    """The row where a definition ends. Comments after the last statement of an indented block are not part of it."""
    end = node.end_byte
    while True:
        line = source.rfind(b"\n", node.start_byte, end) + 1
        if source[line:end].lstrip()[:1] not in (b"#", b"/", b"-"):
            break
        last = node.descendant_for_byte_range(end - 1, end)
        if last is None or last.type not in _COMMENTS or last.start_byte <= node.start_byte:
            break
        end = node.start_byte + len(source[node.start_byte : last.start_byte].rstrip())
    if end != node.end_byte:
        return node.start_point.row + source.count(b"\n", node.start_byte, end)
    # A node that ends at column 0 ends with the line break before it.
    return node.end_point.row - (0 if node.end_point.column else 1)


def _after_annotations(node: Node, source: bytes) -> int:
    """Where a definition starts when the annotations and comments before its keyword are left out, as a byte."""
    if source[node.start_byte : node.start_byte + 1] not in _ANNOTATION_SIGNS:
        return node.start_byte
    for child in node.children:
        for part in child.children if child.type == "modifiers" else (child,):
            if part.type not in _ANNOTATIONS:
                return part.start_byte
    return node.start_byte


def _body(node: Node) -> Node | None:
    """The body of a definition, also of one that is a name bound to an anonymous function."""
    for holder in (node, *(node.child_by_field_name(field) for field in ("value", "right", "type"))):
        if holder is None:
            continue
        body = holder.child_by_field_name("body")
        if body is not None:
            return body
        for child in holder.named_children:
            if child.type.endswith(("_body", "block")) or child.type == "field_declaration_list":
                return child
    return None


def enclosing(found: Sequence[Definition], line: int) -> Definition | None:
    """The innermost definition around a line (counted from 1), or None when the line is outside all of them."""
    around = [d for d in found if d.start <= line <= d.end]
    return min(around, key=lambda d: (d.end - d.start, -d.start)) if around else None


def _text(captures: dict[str, list[Node]], name: str, source: bytes) -> str:
    return decode(captures[name][0], source) if name in captures else ""
