"""Small questions to a tree-sitter tree, the same for every language. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

FUNCTIONS = frozenset(
    {
        "function_definition", "async_function_definition", "lambda",  # Python, C, C++, PHP, Bash
        "function_declaration", "function_expression", "generator_function_declaration", "arrow_function",
        "method_definition", "generator_function",  # JavaScript, TypeScript (and Go, Kotlin, Swift: the first)
        "method_declaration", "constructor_declaration", "lambda_expression", "local_function_statement",  # Java, C#
        "func_literal",  # Go
        "function_item", "closure_expression",  # Rust
        "method", "singleton_method",  # Ruby
    }
)  # fmt: skip
CLASSES = frozenset(
    {"class_definition", "class_declaration", "class", "impl_item", "interface_declaration", "object_declaration",
     "class_specifier", "struct_specifier", "enum_declaration", "record_declaration", "module"}
)  # fmt: skip
BLOCKS = frozenset(
    {"block", "statement_block", "statement_list", "compound_statement", "body_statement", "constructor_body"}
)
CALLS = frozenset({"call", "call_expression", "method_invocation", "invocation_expression", "function_call_expression"})
SUBSCRIPTS = frozenset(
    {"subscript", "subscript_expression", "array_access", "index_expression", "element_access_expression"}
)

# How a language writes `owner.name`: fields of the owner and of the name. Add a language here.
MEMBERS: dict[str, tuple[tuple[str, str], ...]] = {
    "attribute": (("object", "attribute"),),
    "member_expression": (("object", "property"),),
    "field_access": (("object", "field"),),
    "method_invocation": (("object", "name"),),
    "selector_expression": (("operand", "field"),),
    "field_expression": (("value", "field"), ("argument", "field")),
    "member_access_expression": (("expression", "name"), ("object", "name")),
    "member_call_expression": (("object", "name"),),
}

# How a language writes an assignment: fields of the target and of the value. Add a language here.
ASSIGNMENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "assignment": (("left", "right"),),
    "augmented_assignment": (("left", "right"),),
    "named_expression": (("name", "value"),),
    "for_statement": (("left", "right"),),
    "for_in_clause": (("left", "right"),),
    "assignment_expression": (("left", "right"),),
    "variable_declarator": (("name", "value"),),
    "for_in_statement": (("left", "right"),),
    "enhanced_for_statement": (("name", "value"),),
    "short_var_declaration": (("left", "right"),),
    "assignment_statement": (("left", "right"),),
    "range_clause": (("left", "right"),),
    "var_spec": (("name", "value"),),
    "let_declaration": (("pattern", "value"),),
    "for_expression": (("pattern", "value"),),
}


def text(node: Node | None) -> str:
    """Source text of a node."""
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def one_line(node: Node | None, limit: int = 90) -> str:
    """Source text of a node on one line, cut to `limit` characters."""
    squeezed = " ".join(text(node).split())
    return squeezed if len(squeezed) <= limit else squeezed[: limit - 1] + "…"


def line_of(node: Node) -> int:
    """First line of a node, counted from 1."""
    return node.start_point.row + 1


def last_line(node: Node) -> int:
    """Last line of a node, counted from 1."""
    return node.end_point.row + 1


def walk(node: Node, into: bool = True) -> Iterator[Node]:
    """All named nodes below and including `node`, in source order; `into` False stays out of nested functions."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        if not into and current is not node and current.type in FUNCTIONS:
            continue
        stack.extend(reversed(current.named_children))


def above(node: Node) -> Iterator[Node]:
    """The nodes around `node`, innermost first."""
    current = node.parent
    while current is not None:
        yield current
        current = current.parent


def function_of(node: Node) -> Node | None:
    """The innermost function around a node."""
    return next((parent for parent in above(node) if parent.type in FUNCTIONS), None)


def class_of(node: Node) -> Node | None:
    """The innermost class around a node."""
    return next((parent for parent in above(node) if parent.type in CLASSES and parent.parent is not None), None)


def function_at(root: Node, line: int) -> Node | None:
    """The innermost function whose lines include `line`; a decorated function counts from its `def`."""
    found = None
    for node in walk_at(root, line):
        if node.type in FUNCTIONS and node.is_named:
            found = node
    return found


def walk_at(root: Node, line: int) -> Iterator[Node]:
    """All named nodes whose lines include `line`, outer ones first."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.start_point.row < line <= node.end_point.row + 1:
            yield node
            stack.extend(reversed(node.named_children))


def name_of(node: Node) -> str:
    """Name of a function or class node; that of the variable for a function assigned to one."""
    name = node.child_by_field_name("name")
    if (
        name is None
        and node.parent is not None
        and node.parent.type in ("variable_declarator", "assignment_expression")
    ):
        name = node.parent.child_by_field_name("name") or node.parent.child_by_field_name("left")
    return text(name).rsplit(".", 1)[-1]


def member(node: Node) -> tuple[Node, Node] | None:
    """(owner, name) of an `owner.name` expression."""
    for owner_field, name_field in MEMBERS.get(node.type, ()):
        owner, name = node.child_by_field_name(owner_field), node.child_by_field_name(name_field)
        if owner is not None and name is not None:
            return owner, name
    return None


def assignment(node: Node) -> tuple[Node, Node | None] | None:
    """(target, value) of an assignment-like node."""
    for target_field, value_field in ASSIGNMENTS.get(node.type, ()):
        target = node.child_by_field_name(target_field)
        if target is not None:
            return target, node.child_by_field_name(value_field)
    return None


def callee(node: Node) -> tuple[Node | None, str]:
    """(owner or None, plain name) of what a call node calls; the name is empty for a computed callee."""
    if node.type == "method_invocation":
        return node.child_by_field_name("object"), text(node.child_by_field_name("name"))
    function = node.child_by_field_name("function") or node.child_by_field_name("method")
    if function is None:
        return None, ""
    parts = member(function)
    if parts is not None:
        return parts[0], text(parts[1])
    return None, text(function) if function.type in ("identifier", "name") else ""


def subscript(node: Node) -> tuple[Node, str] | None:
    """(container, text of the index) of a `container[index]` expression."""
    if node.type not in SUBSCRIPTS:
        return None
    for field in ("value", "object", "array", "operand", "expression"):
        owner = node.child_by_field_name(field)
        if owner is not None:
            break
    else:
        owner = node.named_children[0] if node.named_children else None
    if owner is None:
        return None
    return owner, text(node)[len(text(owner)) :].strip()[1:-1].strip()
