"""Checks of Python code: swallowed exceptions, shared defaults, files that nobody closes. Pure, silent in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import trees

if TYPE_CHECKING:
    from tree_sitter import Node

Found = tuple[int, str]
"""Line and statement."""


def swallowed_python(node: Node) -> Found | None:
    """A broad except clause that only passes."""
    body = node.named_children[-1] if node.named_children else None
    if body is None or body.type != "block" or any(child.type == "comment" for child in trees.walk(node)):
        return None
    value = node.child_by_field_name("value")
    broad = value is None or trees.text(value).split(" as ")[0].strip() in ("Exception", "BaseException")
    statements = body.named_children
    nothing = len(statements) == 1 and trees.text(statements[0]) in ("pass", "...")
    if not broad or not nothing:
        return None
    caught = f"`except {trees.one_line(value, 40)}`" if value is not None else "a bare `except`"
    return trees.line_of(node), f"{caught} drops whatever it catches without a trace"


def mutable_default(node: Node) -> Found | None:
    """A list, dict or set as default that the function changes."""
    value, name = node.child_by_field_name("value"), node.child_by_field_name("name")
    function = trees.function_of(node)
    if value is None or name is None or function is None or function.type != "function_definition":
        return None
    made = trees.text(value)
    if value.type not in ("list", "dictionary", "set") and made not in ("list()", "dict()", "set()"):
        return None
    parameter = trees.text(name)
    for used in trees.walk(function, into=False):
        pair = trees.assignment(used)
        if pair is not None and trees.text(pair[0]) == parameter and used.type == "assignment":
            return None  # rebound: the default itself may stay untouched
        if _changes(used, parameter):
            return (
                trees.line_of(value),
                f"the default `{made}` of `{parameter}` is made once for all calls and changed in line {trees.line_of(used)}",
            )
    return None


MUTATORS = frozenset("append extend insert add update setdefault pop popitem remove discard clear sort reverse".split())


def _changes(node: Node, name: str) -> bool:
    if node.type == "call":
        owner, method = trees.callee(node)
        return owner is not None and trees.text(owner) == name and method in MUTATORS
    if node.type in ("assignment", "augmented_assignment"):
        left = node.child_by_field_name("left")
        if left is None:
            return False
        if node.type == "augmented_assignment" and trees.text(left) == name:
            return True
        found = trees.subscript(left)
        return found is not None and trees.text(found[0]) == name
    return False


def open_never_closed(node: Node) -> Found | None:
    """A file that is opened and never closed, nor handed on."""
    keyed = "closefd" in trees.text(node)  # a borrowed descriptor
    if trees.text(node.child_by_field_name("function")) != "open" or node.parent is None or keyed:
        return None
    function = trees.function_of(node)
    parent = node.parent
    if parent.type == "attribute" and parent.parent is not None and parent.parent.type == "call":
        name = trees.text(parent.child_by_field_name("attribute"))
        if name in ("read", "readlines", "readline", "write"):
            return trees.line_of(
                node
            ), f"the file is opened and used as `open(…).{name}(…)`, so nothing closes it but the garbage collector"
        return None
    if function is None or parent.type != "assignment" or parent.child_by_field_name("right") != node:
        return None
    target = parent.child_by_field_name("left")
    if target is None or target.type != "identifier" or _outlives(function, parent, trees.text(target)):
        return None
    return trees.line_of(node), f"the file `{trees.text(target)}` opened here is never closed in this function"


def _outlives(function: Node, opened: Node, name: str) -> bool:
    """True when the name is closed, used in `with`, or handed on in any way but a method call on it."""
    for node in trees.walk(function):
        if node.type in ("global_statement", "nonlocal_statement") and name in trees.text(node).split():
            return True
        if node.type != "identifier" or trees.text(node) != name or node.parent is None or node.parent == opened:
            continue
        parent = node.parent
        if parent.type != "attribute" or parent.child_by_field_name("object") != node:
            return not (parent.type == "for_statement" and parent.child_by_field_name("right") == node)
        used = trees.text(parent.child_by_field_name("attribute"))
        if used not in ("read", "readline", "readlines", "write", "writelines", "seek", "flush"):
            return True
    return False
