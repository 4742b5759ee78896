"""Where the value of an expression comes from, as far as the tree of one function (and its class) shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import trees

if TYPE_CHECKING:
    from tree_sitter import Node

ENDINGS = frozenset({"return_statement", "raise_statement", "throw_statement", "continue_statement", "break_statement"})
FALLS_THROUGH = "its end can be reached without `return`"
STOPPING_NAMES = ("exit", "abort", "fail", "raise", "error", "skip", "die", "throw", "_exit", "panic", "usage")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was set: the line, the target as written, and the call whose result it is, if any."""

    kind: str
    """`assigned`, `parameter` or `attribute`."""
    line: int
    value: Node | None
    others: tuple[int, ...] = ()
    """Further lines above that set it, perhaps in other branches."""


def origin(function: Node | None, expression: Node) -> Origin | None:
    """The last assignment above `expression` in its function, or the parameter of that name, or the attribute's.

    The order is that of the lines, not of the run: the assignment may be in another branch.
    """
    wanted = trees.text(expression)
    if function is None or not wanted or expression.type in trees.CALLS:
        return None
    found: list[Origin] = []
    for node in trees.walk(function, into=False):
        pair = trees.assignment(node)
        if pair is None or trees.line_of(node) >= trees.line_of(expression):
            continue
        if wanted in _targets(pair[0]):
            found.append(Origin("assigned", trees.line_of(node), _alone(pair[1])))
    if found:
        return replace(found[-1], others=tuple(one.line for one in found[:-1]))
    if wanted in parameters(function):
        return Origin("parameter", trees.line_of(function), None)
    owner = trees.class_of(function)
    if owner is not None and wanted.startswith(("self.", "this.")):
        for node in trees.walk(owner):
            pair = trees.assignment(node)
            if pair is not None and trees.text(pair[0]) == wanted:
                return Origin("attribute", trees.line_of(node), _alone(pair[1]))
    return None


def _targets(target: Node) -> set[str]:
    """Every name or attribute that an assignment's left side binds."""
    if target.type in ("pattern_list", "tuple_pattern", "expression_list", "list_pattern", "tuple", "array_pattern"):
        return {trees.text(child) for child in target.named_children}
    return {trees.text(target)}


def _alone(value: Node | None) -> Node | None:
    """The value itself, out of `await`, parentheses and one-element lists."""
    while value is not None and value.type in (
        "await",
        "await_expression",
        "parenthesized_expression",
        "expression_list",
    ):
        if value.named_child_count != 1:
            return None
        value = value.named_children[0]
    return value


def parameters(function: Node) -> tuple[str, ...]:
    """Names of a function's parameters."""
    holder = function.child_by_field_name("parameters") or function.child_by_field_name("parameter")
    if holder is None:
        return ()
    if holder.type == "identifier":
        return (trees.text(holder),)
    names = []
    for child in holder.named_children:
        names += [trees.text(node) for node in (child, *child.named_children) if node.type == "identifier"][:1]
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Nothing:
    """A line on which a function gives back nothing, and in which way."""

    line: int
    how: str


def returns_nothing(function: Node) -> tuple[Nothing, ...]:
    """Where a Python or JavaScript function that elsewhere returns a value returns None/undefined/null.

    Explicit `return`, `return None` (null, undefined), and, for Python, an end that can be reached without return.
    Empty when the function never returns a value, is a generator, or nothing can be shown.
    """
    returns = [n for n in trees.walk(function, into=False) if n.type == "return_statement"]
    if any(n.type in ("yield", "yield_expression") for n in trees.walk(function, into=False)):
        return ()
    empty, full = [], 0
    for node in returns:
        value = node.named_children[0] if node.named_children else None
        if value is None or trees.text(value) in ("None", "null", "undefined", "nil"):
            empty.append(Nothing(trees.line_of(node), f"`{trees.one_line(node, 40)}`"))
        else:
            full += 1
    if not full:
        return ()
    body = function.child_by_field_name("body")
    if function.type == "function_definition" and body is not None and body.type == "block" and falls_through(body):
        empty.append(Nothing(trees.last_line(body), FALLS_THROUGH))
    return tuple(empty)


def falls_through(block: Node) -> bool:
    """True when control can certainly reach the end of a Python block, as far as its syntax says; False if in doubt."""
    statements = [n for n in block.named_children if n.type != "comment"]
    if not statements:
        return True
    last = statements[-1]
    if last.type in ENDINGS:
        return False
    if last.type == "if_statement":
        arms = [last.child_by_field_name("consequence")]
        others = last.children_by_field_name("alternative")
        arms += [o.child_by_field_name("consequence") or o.child_by_field_name("body") for o in others]
        closed = any(other.type == "else_clause" for other in others)
        return not closed or any(arm is not None and falls_through(arm) for arm in arms)
    if last.type == "for_statement":
        return last.child_by_field_name("alternative") is None
    if last.type == "expression_statement":
        call = last.named_children[0] if last.named_children else last
        if call.type in trees.CALLS:
            name = trees.callee(call)[1].lower()
            return bool(name) and not any(stop in name for stop in STOPPING_NAMES)
        return call.type in ("assignment", "augmented_assignment", "string")
    return last.type in ("pass_statement", "delete_statement", "global_statement")
