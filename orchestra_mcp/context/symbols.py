"""Definitions, calls, imports and parameters of a source file, and the identifiers that prose mentions.

The trees come from tree-sitter, so that a broken file still gives the definitions around the error. What counts as
a definition is data, in `queries/*.scm`; the captures mean:

* `@function`, `@class`: the whole definition; `@name` its name; `@parameters` its parameter list;
  `@owner` the type that a method belongs to when it is not written inside that type (a Go receiver).
* `@scope`: qualifies the names inside it and is no definition (a namespace). `@owning`: the same, and functions in it
  are methods (a Rust `impl`); without a `@name` it qualifies nothing (a Kotlin companion).
* `@declarator`: C and C++, where the definition is found by climbing out of the declarator.
* `@call`: the name of what is called; `@import`: the imported module. Names that start with `_` only serve predicates.

Packages and namespaces that may also be declared for a whole file (Java, C#, PHP, Kotlin) do not qualify names.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from orchestra_mcp.context.languages import Section, grammar, language, language_of, query
from orchestra_mcp.types import Definition, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BYTES = 1_000_000
"""Larger files are not parsed: they are generated or data."""

_PARSE_SECONDS = 3.0
_CHUNK_BYTES = 65_536
_STRAY_TOKENS = 10_000
_CHECKED_NODES = 20_000

_SIGNATURE_CHARS = 200
_DECORATORS = frozenset({"decorator", "attribute_item"})
_WRAPPERS = frozenset({
    "decorated_definition", "export_statement", "template_declaration", "lexical_declaration",
    "variable_declaration", "expression_statement", "type_definition",
})  # fmt: skip
_DECLARATORS = frozenset({"pointer_declarator", "reference_declarator", "parenthesized_declarator"})
_COMMENTS = frozenset({"comment", "line_comment", "block_comment", "multiline_comment"})
_BEFORE = _DECORATORS | _COMMENTS | {"template_parameter_list", "requires_clause"}
_NAMES = frozenset({
    "identifier", "simple_identifier", "shorthand_property_identifier_pattern", "variable_name", "property_identifier",
    "self", "this", "field_identifier",
})  # fmt: skip
_STARRED = {
    "list_splat_pattern": "*", "dictionary_splat_pattern": "**", "rest_pattern": "*", "spread_parameter": "*",
    "variadic_parameter_declaration": "*", "variadic_parameter": "*", "splat_parameter": "*",
    "hash_splat_parameter": "**", "block_parameter": "&",
}  # fmt: skip
_NO_PARAMETER = _COMMENTS | {
    "positional_separator", "keyword_separator", "attribute_item", "parameter_modifiers", "modifiers",
    "receiver_parameter",
}  # fmt: skip


def parse(path: str, source: bytes) -> Syntax | None:
    """The syntax tree of a file.

    None when no grammar reads it, it is larger than `MAX_BYTES`, binary, or no code at all (the parser takes longer
    than three seconds, or finds nothing but errors).
    """
    name = language_of(path)
    if name is None or len(source) > MAX_BYTES or b"\0" in source[:8192]:
        return None
    row = language(name)
    if row.instead_when is not None and row.instead_when.search(source):
        name = row.instead
    compiled = grammar(name)
    if compiled is None:
        return None
    import tree_sitter

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


# -------------------------------------------------------------------------------------------------- definitions


class _Found(NamedTuple):
    """A match of the definitions query."""

    node: Node
    kind: Literal["function", "class", "scope", "owning"]
    name: str
    owner: str
    parameters: Node | None


class _Open(NamedTuple):
    """A definition or scope that encloses the place where the walk is."""

    end: int
    qualified: str
    owns: bool


def definitions(syntax: Syntax, path: str) -> tuple[Definition, ...]:
    """All functions, methods and classes in order of their first line; a decorator's line counts as the first."""
    result: list[Definition] = []
    around: list[_Open] = []
    for found in _found(syntax):
        while around and around[-1].end <= found.node.start_byte:
            around.pop()
        outer = around[-1] if around else _Open(0, "", False)
        qualified = ".".join(part for part in (outer.qualified, found.owner, found.name) if part)
        owns = found.kind in ("class", "owning")
        around.append(_Open(found.node.end_byte, qualified, owns))
        if found.kind in ("scope", "owning"):
            continue
        method = found.kind == "function" and (outer.owns or bool(found.owner))
        result.append(_definition(found, syntax.source, path, qualified, method))
    return tuple(sorted(result, key=lambda d: (d.start, -d.end)))


def _definition(found: _Found, source: bytes, path: str, qualified: str, method: bool) -> Definition:
    last = found.node.end_point
    kind: Literal["function", "method", "class"] = "class" if found.kind == "class" else "function"
    return Definition(
        name=found.name,
        qualified=qualified,
        kind="method" if method else kind,
        path=path,
        start=_first(found.node).start_point.row + 1,
        # A node that ends at column 0 ends with the line break before it.
        end=max(found.node.start_point.row + 1, last.row + (1 if last.column else 0)),
        signature=_signature(found.node, source),
    )


def _found(syntax: Syntax) -> list[_Found]:
    """Matches in order of their position, the outer before the inner, each node once."""
    nodes: dict[tuple[int, int], _Found] = {}
    for captures in _matches(syntax, "definitions"):
        found = _read_match(captures, syntax.source)
        if found is None:
            continue
        key = (found.node.start_byte, -found.node.end_byte)
        if key not in nodes or (found.owner and not nodes[key].owner):
            nodes[key] = found
    return [nodes[key] for key in sorted(nodes)]


def _read_match(captures: dict[str, list[Node]], source: bytes) -> _Found | None:
    name, owner = _text(captures, "name", source), _text(captures, "owner", source)
    parameters = captures["parameters"][0] if "parameters" in captures else None
    if "declarator" in captures:
        node = _climb(captures["declarator"][0])
        if node is None:
            return None
        scope, _, name = _without_arguments(name).rpartition("::")
        return _Found(node, "function", name, scope.replace("::", ".").strip("."), parameters)
    for kind in ("function", "class", "scope", "owning"):
        if kind in captures:
            node = captures[kind][0]
            return _Found(node, kind, name.strip("'\"`"), owner, parameters)
    return None


def _climb(declarator: Node) -> Node | None:
    """The C function definition that a declarator belongs to; None for a mere declaration."""
    node = declarator.parent
    while node is not None and node.type in _DECLARATORS:
        node = node.parent
    return node if node is not None and node.type == "function_definition" else None


def _without_arguments(name: str) -> str:
    """`Ring<T>::push` → `Ring::push`; an operator's name keeps its angle brackets."""
    scope, colons, last = name.rpartition("::")
    if not last.startswith("operator"):
        last = last.partition("<")[0]
    return re.sub(r"<[^:]*>", "", scope) + colons + last


def _first(node: Node) -> Node:
    """The node where a definition starts, with its export keyword, template head and decorators."""
    while (parent := node.parent) is not None and parent.type in _WRAPPERS:
        siblings = [child for child in parent.named_children if child != node]
        if any(child.type not in _BEFORE for child in siblings):
            break
        node = parent
    while (before := node.prev_named_sibling) is not None and before.type in _DECORATORS:
        node = before
    return node


def _signature(node: Node, source: bytes) -> str:
    """The definition's head on one line, up to its body, without comments and decorators."""
    body = _body(node)
    end = body.start_byte if body is not None else node.end_byte
    text = source[node.start_byte : node.end_byte]
    head = text[: max(0, end - node.start_byte)] or text.partition(b"\n")[0]
    if body is None:
        head = head.partition(b"\n")[0]
    lines = [line.partition("  #")[0].partition(" //")[0] for line in head.decode("utf-8", "replace").splitlines()]
    line = " ".join(" ".join(lines).split()).removesuffix("=>").removesuffix("; end").rstrip(" :={;")
    return line if len(line) <= _SIGNATURE_CHARS else line[: _SIGNATURE_CHARS - 1] + "…"


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


# ---------------------------------------------------------------------------------- what a tree mentions


def imports(syntax: Syntax) -> tuple[str, ...]:
    """Imported modules as the source names them, without quotes, each once, in order."""
    nodes = sorted((n for c in _matches(syntax, "imports") for n in c.get("import", ())), key=lambda n: n.start_byte)
    names = (_decode(node, syntax.source).strip().strip("\"'`<>") for node in nodes)
    return tuple(dict.fromkeys(name for name in names if name))


def calls(syntax: Syntax, start: int, end: int) -> tuple[str, ...]:
    """Names of the functions, methods and classes called in lines `start` to `end`, each once, in order.

    Only the last part of a dotted name is given: `read` for `self.store.read()`.
    """
    nodes = [n for c in _matches(syntax, "calls", (start, end)) for n in c.get("call", ())]
    inside = sorted((n for n in nodes if start <= n.start_point.row + 1 <= end), key=lambda n: n.start_byte)
    return tuple(dict.fromkeys(_decode(node, syntax.source) for node in inside))


def parameters(definition: Definition, syntax: Syntax) -> tuple[str, ...]:
    """Parameter names of a function in their order; empty for a class.

    A trailing `=` marks one that may be left out, a leading `*` or `**` one that takes the rest. Receivers that are
    written in the list (`self`) are included; a parameter without a name is `_`, a destructured one its pattern.
    """
    for found in _found(syntax):
        if found.kind != "function" or found.name != definition.name:
            continue
        if _first(found.node).start_point.row + 1 == definition.start:
            return tuple(_parameters(found, syntax.source))
    return ()


def _parameters(found: _Found, source: bytes) -> Iterator[str]:
    holder = found.parameters
    if holder is None:  # Swift writes parameters directly into the declaration
        nodes = [child for child in found.node.named_children if child.type == "parameter"]
    elif holder.type in _NAMES:  # x => x
        nodes = [holder]
    else:
        nodes = [child for child in holder.named_children if child.type not in _NO_PARAMETER]
    for node in nodes:
        if node.type.endswith("_literal") or (node.prev_sibling is not None and node.prev_sibling.type == "="):
            continue  # Kotlin and Swift: a default value beside the parameter
        following = node.next_sibling
        optional = _optional(node) or (following is not None and following.type == "=")
        for name in _bound_names(node, source):
            yield name + ("=" if optional else "")


def _optional(node: Node) -> bool:
    if node.type in ("default_parameter", "typed_default_parameter", "optional_parameter", "assignment_pattern"):
        return True
    return any(child.type == "=" for child in node.children) or any(
        node.child_by_field_name(field) is not None for field in ("value", "default_value")
    )


def _bound_names(node: Node, source: bytes) -> list[str]:
    """The names that one entry of a parameter list binds; `a, b int` in Go binds two."""
    star = ""
    for _ in range(8):  # declarators nest: pointer, reference, array
        star = star or _STARRED.get(node.type, "")
        if node.type in _NAMES:
            return [star + _decode(node, source).removeprefix("$")]
        if node.type == "self_parameter":
            return ["self"]
        names = [child for child in node.children_by_field_name("name") if child.type in _NAMES]
        if names:
            return [star + _decode(name, source).removeprefix("$") for name in names]
        inner = _inner(node)
        if inner is None:
            break
        node = inner
    if node.type.endswith("_pattern"):
        return [" ".join(_decode(node, source).split())[:60]]
    if _decode(node, source) == "void":
        return []
    return [star + "_"]


def _inner(node: Node) -> Node | None:
    """Where the name of a parameter is to be looked for next."""
    for field in ("pattern", "left", "declarator", "name"):
        child = node.child_by_field_name(field)
        if child is not None:
            return child
    if node.type in ("object_pattern", "array_pattern", "tuple_pattern", "struct_pattern"):
        return None
    kinds = _NAMES | _STARRED.keys() | {"variable_declarator", "mut_pattern", "ref_pattern"}
    return next((child for child in node.named_children if child.type in kinds), None)


# ----------------------------------------------------------------------------------------------------- matching


def _matches(syntax: Syntax, section: Section, lines: tuple[int, int] | None = None) -> Iterator[dict[str, list[Node]]]:
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


def _text(captures: dict[str, list[Node]], name: str, source: bytes) -> str:
    return _decode(captures[name][0], source) if name in captures else ""


def _decode(node: Node, source: bytes) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


# -------------------------------------------------------------------------------------------- words out of prose

_PROSE_CHARS = 65_536
_URL = re.compile(r"\b[a-zA-Z][\w+.-]{1,20}://\S+")
_TICKED = re.compile(r"`{1,2}([^`\n]{1,120})`{1,2}")
_WORD = re.compile(r"(?<![\w.@/\\-])[A-Za-z_$][\w$]*(?:(?:\.|::|#)[A-Za-z_$][\w$]*)*(?:\(\))?")
_HUMPS = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2,}[a-z]")
_FILE = re.compile(r"\.(?:md|txt|json|ya?ml|toml|html?|css|log|lock|cfg|ini|com|org|net|io|dev|xml|csv|png|svg)$", re.I)
_ENGLISH = frozenset(
    """and or not the a an is are was be if else for while in of on at to it its this that these those with from by as
    do does did has have had can could should would will may might must no yes true false null none undefined nil ok
    error errors function class method file line code test tests value values type types name string int float bool
    list dict set object array number e.g i.e etc vs then when but however i we you he she they so also after before here there now
    what why how which who thanks please since because though using instead any all some each github gitlab javascript typescript stackoverflow postgresql mysql
    macos ios iphone youtube openai node.js next.js vue.js react.js asp.net todo fixme note readme""".split()
)


def identifiers(text: str) -> tuple[str, ...]:
    """Identifiers of code that a text mentions, most specific first, each once.

    Order: dotted names, names in backticks, calls, then snake_case, camelCase, PascalCase and CONSTANT_CASE words.
    Only the first 64 Ki characters are read. Call brackets are dropped; `::` and `#` between names become dots.
    """
    text = _URL.sub(" ", text[:_PROSE_CHARS])
    ranked: dict[str, int] = {}
    ticked = [match.group(1).strip() for match in _TICKED.finditer(text)]
    for rank, source, trusted in ((1, "\n".join(ticked), True), (2, text, False)):
        for match in _WORD.finditer(source):
            word = match.group()
            name = word.removesuffix("()").replace("::", ".").replace("#", ".")
            # A backticked phrase is code as a whole only when it is a single name.
            alone = trusted and (word in ticked or name in ticked)
            if name.lower() in _ENGLISH or len(name) < 2 or not _code_like(name, word, alone):
                continue
            score = 0 if "." in name else rank + (0 if trusted or word.endswith("()") else 1)
            ranked[name] = min(score, ranked.get(name, score))
    return tuple(sorted(ranked, key=lambda name: ranked[name]))


def _code_like(name: str, word: str, alone: bool) -> bool:
    if "." in name:
        parts = name.split(".")
        if _FILE.search(name) or (language_of(name) is not None and not word.endswith("()")):
            return False
        return alone or (all(len(part) > 1 for part in parts) and not _sentence(parts))
    return alone or word.endswith("()") or "_" in name.strip("_") or bool(_HUMPS.search(name)) or name[0] == "_" != name


def _sentence(parts: list[str]) -> bool:
    """True for a missing space after a full stop: `works.Then`."""
    return len(parts) == 2 and parts[0].islower() and parts[1].istitle() and parts[1].lower() in _ENGLISH
