"""Defects that a syntax tree alone can show, as a table of checks. Pure.

A check sees one node and says what is wrong with it, or nothing. Add a check here: a function and a row of `CHECKS`.
When in doubt a check is silent; matters of style are no defects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import checks, pychecks, trees

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True, slots=True)
class Defect:
    """What a check found: its name, the line, the statement, and how bad it is (2 an error, 1 a danger, 0 untidy)."""

    check: str
    line: int
    text: str
    weight: int


Check = Callable[["Node"], "tuple[int, str] | None"]
"""From a node to (line, statement), or None."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check: its name, the languages and node types that it reads, its function and weight."""

    name: str
    languages: frozenset[str]
    nodes: frozenset[str]
    check: Check
    weight: int


def find_defects(language: str, root: Node, focus: Collection[int]) -> Iterator[Defect]:
    """Defects of a file whose line is in `focus`, in source order."""
    rows = [row for row in CHECKS if language in row.languages]
    if not rows or not focus:
        return
    low, high = min(focus), max(focus)
    for node in trees.walk(root):
        if trees.last_line(node) < low or trees.line_of(node) > high:
            continue
        for row in rows:
            if node.type in row.nodes and not node.has_error and (found := row.check(node)) and found[0] in focus:
                yield Defect(row.name, found[0], found[1], row.weight)


PYTHON = frozenset({"python"})
SCRIPT = frozenset({"javascript", "typescript", "tsx"})
BRACES = SCRIPT | {"java", "c_sharp", "php", "kotlin", "cpp"}
GO = frozenset({"go"})

# Add a check here.
CHECKS: tuple[Row, ...] = (
    Row("swallowed", PYTHON, frozenset({"except_clause"}), pychecks.swallowed_python, 1),
    Row("swallowed", BRACES, frozenset({"catch_clause", "catch_block"}), checks.swallowed_braces, 1),
    Row(
        "mutable default",
        PYTHON,
        frozenset({"default_parameter", "typed_default_parameter"}),
        pychecks.mutable_default,
        2,
    ),
    Row("not closed", PYTHON, frozenset({"call"}), pychecks.open_never_closed, 1),
    Row("not awaited", PYTHON | SCRIPT, frozenset({"expression_statement"}), checks.lost_coroutine, 2),
    Row(
        "unreachable",
        PYTHON | SCRIPT,
        frozenset({"return_statement", "raise_statement", "throw_statement"}),
        checks.unreachable,
        1,
    ),
    Row("same condition", PYTHON, frozenset({"if_statement"}), checks.same_condition, 2),
    Row(
        "same operands",
        PYTHON | SCRIPT,
        frozenset({"comparison_operator", "boolean_operator", "binary_expression"}),
        checks.same_operands,
        2,
    ),
    Row("defer in loop", GO, frozenset({"defer_statement"}), checks.defer_in_loop, 1),
    Row("error lost", GO, frozenset({"short_var_declaration", "assignment_statement"}), checks.error_lost, 2),
)
