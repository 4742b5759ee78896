"""Checks of code in several languages: empty catches, lost coroutines, dead branches, lost errors. Pure, silent in doubt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import trees

if TYPE_CHECKING:
    from tree_sitter import Node

Found = tuple[int, str]
"""Line and statement."""


def swallowed_braces(node: Node) -> Found | None:
    """A catch block without anything in it."""
    body = node.child_by_field_name("body") or next((n for n in node.named_children if n.type in trees.BLOCKS), None)
    if body is None or body.named_child_count or re.search(r"\b(ignore|expected|unused)\w*\b|\b_\b", trees.text(node)):
        return None
    return trees.line_of(node), "this `catch` block is empty, so the error is dropped without a trace"


def lost_coroutine(node: Node) -> Found | None:
    """A call of an async function of this file whose result is thrown away inside another one."""
    call = node.named_children[0] if node.named_child_count == 1 else None
    function = trees.function_of(node)
    if call is None or call.type not in ("call", "call_expression") or function is None or not _is_async(function):
        return None
    owner, name = trees.callee(call)
    target = _local_function(node, owner, name)
    if target is None or not _is_async(target):
        return None
    python = node.type == "expression_statement" and call.type == "call"
    told = (
        "its coroutine is dropped here, so it never runs"
        if python
        else "its promise is dropped here, so a failure goes unhandled"
    )
    return trees.line_of(node), f"`{name}` is async (line {trees.line_of(target)}), and without `await` {told}"


def _is_async(function: Node) -> bool:
    return any(child.type == "async" for child in function.children)


def _local_function(node: Node, owner: Node | None, name: str) -> Node | None:
    """The undecorated function of this file that a call means, when its name is defined only once in the file."""
    if not name:
        return None
    root = node
    while root.parent is not None:
        root = root.parent
    same = [n for n in trees.walk(root) if n.type in trees.FUNCTIONS and trees.name_of(n) == name]
    bound = [
        n for n in trees.walk(root) if (pair := trees.assignment(n)) and trees.text(pair[0]).split(".")[-1] == name
    ]
    bound = [n for n in bound if not any(f.parent == n for f in same)]
    if len(same) != 1 or bound:
        return None
    target = same[0]
    if target.parent is not None and target.parent.type == "decorated_definition":
        return None
    if any(child.type == "*" for child in target.children):
        return None  # an async generator
    if any(n.type in ("yield", "yield_expression") for n in trees.walk(target, into=False)):
        return None
    inside = trees.class_of(target)
    if owner is None:
        imported = any(
            n.type in ("import_from_statement", "import_statement", "dotted_name")
            and re.search(rf"\b{re.escape(name)}\b", trees.text(n))
            for n in trees.walk(root)
        )
        return target if inside is None and not imported and trees.function_of(target) is None else None
    mine = trees.class_of(node)
    return target if trees.text(owner) in ("self", "this") and inside is not None and inside == mine else None


def unreachable(node: Node) -> Found | None:
    """A statement that follows a return, raise or throw in the same block."""
    after = node.next_named_sibling
    while after is not None and after.type == "comment":
        after = after.next_named_sibling
    if after is None or node.parent is None or node.parent.type not in ("block", "statement_block", "module"):
        return None
    if after.type in (
        "function_declaration",
        "generator_function_declaration",
        "class_declaration",
        "empty_statement",
        "variable_declaration",
    ):
        return None  # JavaScript hoists these
    text = trees.text(after)
    if text.startswith(("yield", "assert False", "raise", "pass")) or (
        after.type == "expression_statement" and "yield" in text
    ):
        return None
    word = node.type.removesuffix("_statement")
    return trees.line_of(
        after
    ), f"this line is never reached: the block leaves with `{word}` in line {trees.line_of(node)}"


def same_condition(node: Node) -> Found | None:
    """A branch of if … elif … whose condition was tested before."""
    if node.parent is not None and node.parent.type in ("elif_clause", "else_clause") and node.type != "if_statement":
        return None
    seen: dict[str, int] = {}
    chain = [node, *(n for n in node.children_by_field_name("alternative") if n.type == "elif_clause")]
    for arm in chain:
        condition = arm.child_by_field_name("condition")
        if condition is None or any(
            n.type in trees.CALLS or n.type == "named_expression" for n in trees.walk(condition)
        ):
            return None
        text = " ".join(trees.text(condition).split())
        if text in seen:
            return trees.line_of(
                arm
            ), f"the condition `{text[:60]}` was already tested in line {seen[text]}, so this branch never runs"
        seen[text] = trees.line_of(arm)
    return None


def same_operands(node: Node) -> Found | None:
    """A comparison or logical operation of something with itself."""
    if node.type == "comparison_operator":
        if node.named_child_count != 2:
            return None
        left, right = node.named_children
        operator = trees.text(node)[len(trees.text(left)) : -len(trees.text(right))].strip()
        if operator not in ("<", ">", "is", "is not", "in", "not in"):
            return None  # x == x and x != x are tests for NaN or of __eq__
    else:
        sides = [n for n in (node.child_by_field_name("left"), node.child_by_field_name("right")) if n is not None]
        if len(sides) != 2:
            return None
        left, right = sides
        operator = trees.text(node.child_by_field_name("operator"))
        if operator not in ("and", "or", "&&", "||"):
            return None
    if any(parent.type == "assert_statement" for parent in trees.above(node)):
        return None  # tests of reflexivity
    if trees.text(left) != trees.text(right) or any(n.type in trees.CALLS for n in trees.walk(left)):
        return None
    return trees.line_of(node), f"both sides of `{operator}` are the same: `{trees.one_line(left, 50)}`"


def defer_in_loop(node: Node) -> Found | None:
    """A Go defer inside a loop."""
    for parent in trees.above(node):
        if parent.type in trees.FUNCTIONS:
            return None
        if parent.type == "for_statement":
            body = parent.child_by_field_name("body")
            last = body.named_children[-1].named_children if body is not None and body.named_children else []
            if last and last[-1].type in ("return_statement", "break_statement"):
                return None
            return (
                trees.line_of(node),
                f"`defer` inside the loop of line {trees.line_of(parent)} runs only when the function returns, not after each round",
            )
    return None


def error_lost(node: Node) -> Found | None:
    """A Go error that is overwritten by the next statement without having been read."""
    if "err" not in trees.text(node.child_by_field_name("left")).replace(" ", "").split(","):
        return None
    after = node.next_named_sibling
    while after is not None and after.type == "comment":
        after = after.next_named_sibling
    if after is None or after.type not in ("short_var_declaration", "assignment_statement"):
        return None
    left, right = after.child_by_field_name("left"), after.child_by_field_name("right")
    if "err" in trees.text(left).replace(" ", "").split(",") and not re.search(r"\berr\b", trees.text(right)):
        return trees.line_of(
            node
        ), f"the error assigned here is overwritten in line {trees.line_of(after)} without having been read"
    return None
