"""What a syntax tree mentions: calls, imports and the parameters of a function. Pure.

What counts is data, in `queries/*.scm`; the captures are described in `symbols`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from orchestra_mcp.context.code.parsing import decode, matches
from orchestra_mcp.context.code.symbols import Found, first, found_in
from orchestra_mcp.types import Definition, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_COMMENTS = frozenset({"comment", "line_comment", "block_comment", "multiline_comment"})
_NAMES = frozenset({
    "identifier", "simple_identifier", "shorthand_property_identifier_pattern", "variable_name", "property_identifier",
    "self", "this", "field_identifier",
})  # fmt: skip
_STARRED = {
    "list_splat_pattern": "*", "dictionary_splat_pattern": "**", "rest_pattern": "*", "spread_parameter": "*",
    "variadic_parameter_declaration": "*", "variadic_parameter": "*", "splat_parameter": "*",
    "hash_splat_parameter": "**", "vararg_expression": "*", "block_parameter": "&",
}  # fmt: skip
_NO_PARAMETER = _COMMENTS | {
    "positional_separator", "keyword_separator", "attribute_item", "parameter_modifiers", "modifiers",
    "receiver_parameter",
}  # fmt: skip


def imports(syntax: Syntax) -> tuple[str, ...]:
    """Imported modules as the source names them, without quotes, each once, in order."""
    nodes = sorted((n for c in matches(syntax, "imports") for n in c.get("import", ())), key=lambda n: n.start_byte)
    names = (decode(node, syntax.source).removeprefix("import ").strip().strip("\"'`<>") for node in nodes)
    return tuple(dict.fromkeys(name for name in names if name))


def calls(syntax: Syntax, start: int, end: int) -> tuple[str, ...]:
    """Names of the functions, methods and classes called in lines `start` to `end`, each once, in order.

    Only the last part of a dotted name is given: `read` for `self.store.read()`.
    """
    nodes = [n for c in matches(syntax, "calls", (start, end)) for n in c.get("call", ())]
    inside = sorted((n for n in nodes if start <= n.start_point.row + 1 <= end), key=lambda n: n.start_byte)
    return tuple(dict.fromkeys(decode(node, syntax.source) for node in inside))


def parameters(definition: Definition, syntax: Syntax) -> tuple[str, ...]:
    """Parameter names of a function in their order; empty for a class.

    A trailing `=` marks one that may be left out, a leading `*` or `**` one that takes the rest. Receivers that are
    written in the list (`self`) are included; a parameter without a name is `_`, a destructured one its pattern.
    """
    return all_parameters(syntax, (definition.name,)).get((definition.name, definition.start), ())


def all_parameters(syntax: Syntax, names: Collection[str] = ()) -> dict[tuple[str, int], tuple[str, ...]]:
    """(name, first line) of each function, or of those with these names → its parameters as `parameters` gives them."""
    return {
        (found.name, first(found.node).start_point.row + 1): tuple(_parameters(found, syntax.source))
        for found in found_in(syntax)
        if found.kind == "function" and (not names or found.name in names)
    }


def _parameters(found: Found, source: bytes) -> Iterator[str]:
    holder = found.parameters
    if holder is None:  # Swift writes parameters directly into the declaration
        nodes = [child for child in found.node.named_children if child.type == "parameter"]
    elif holder.type in _NAMES:  # x => x
        nodes = [holder]
    else:
        nodes = [child for child in holder.named_children if child.type not in _NO_PARAMETER]
    for node in _single(nodes):
        if node.type.endswith("_literal") or (node.prev_sibling is not None and node.prev_sibling.type == "="):
            continue  # Kotlin and Swift: a default value beside the parameter
        following = node.next_sibling
        optional = _optional(node) or (following is not None and following.type == "=")
        for name in _bound_names(node, source):
            yield name + ("=" if optional else "")


def _single(nodes: Iterable[Node]) -> Iterator[Node]:
    """The entries of a parameter list; Dart groups those that may be left out, or are given by name."""
    for node in nodes:
        if node.type == "optional_formal_parameters":
            yield from (child for child in node.named_children if child.type == "formal_parameter")
        else:
            yield node


def _optional(node: Node) -> bool:
    if node.type in ("default_parameter", "typed_default_parameter", "optional_parameter", "assignment_pattern"):
        return True
    if node.type == "named_argument":  # Julia
        return True
    if node.parent is not None and node.parent.type == "optional_formal_parameters":
        return node.prev_sibling is None or node.prev_sibling.type != "required"
    return any(child.type in ("=", "\\\\") for child in node.children) or any(
        node.child_by_field_name(field) is not None for field in ("value", "default_value")
    )


def _bound_names(node: Node, source: bytes) -> list[str]:
    """The names that one entry of a parameter list binds; `a, b int` in Go binds two."""
    star = ""
    for _ in range(8):  # declarators nest: pointer, reference, array
        star = star or _STARRED.get(node.type, "")
        if node.type in ("constructor_param", "super_formal_parameter"):  # Dart: this.name
            node = node.named_children[-1]
        if (kind := node.child_by_field_name("type")) is not None and kind.type == "repeated_parameter_type":
            star = "*"  # Scala
        if node.type in _NAMES:
            return [star + decode(node, source).removeprefix("$")]
        if node.type == "self_parameter":
            return ["self"]
        names = [child for child in node.children_by_field_name("name") if child.type in _NAMES]
        if names:
            return [star + decode(name, source).removeprefix("$") for name in names]
        inner = _inner(node)
        if inner is None:
            break
        node = inner
    if node.type.endswith("_pattern"):
        return [" ".join(decode(node, source).split())[:60]]
    if decode(node, source) == "void":
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
    kinds = _NAMES | _STARRED.keys() | {"variable_declarator", "mut_pattern", "ref_pattern", "constructor_param"}
    return next((child for child in node.named_children if child.type in kinds), None)
