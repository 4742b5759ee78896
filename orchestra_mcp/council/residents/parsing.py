"""Changed code that does not parse any more. Silent where the grammar, not the code, may be at fault."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from orchestra_mcp.council.residents import trees
from orchestra_mcp.council.residents.flakes import PythonFile
from orchestra_mcp.council.residents.lint import FIXTURE

if TYPE_CHECKING:
    from tree_sitter import Node

# Languages whose grammars read all of the language in use, with the name for people. Add a language here.
TRUSTED = {
    "javascript": "JavaScript",
    "typescript": "TypeScript",
    "tsx": "TSX",
    "go": "Go",
    "java": "Java",
    "rust": "Rust",
}
FOREIGN = ("@flow", "«redacted:")  # another language under the same suffix; text that is not the file's own
MAX_ERRORS = 3  # of a file with more than that it is unclear where they come from


class Break(NamedTuple):
    """A line at which a file cannot be parsed."""

    line: int
    text: str


def python_break(path: str, rows: Sequence[str], read: PythonFile, changed: frozenset[int]) -> Break | None:
    """The syntax error of a changed Python file, when it lies in changed lines or was not there before the change."""
    if read.error is None or FIXTURE.search(path) or any("«redacted:" in row for row in rows):
        return None
    line, said = min(max(1, read.error[0]), max(1, len(rows))), read.error[1]
    if line not in changed and not read.parsed_before:
        return None
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    since = ", and did before this change" if read.parsed_before else ""
    return Break(line, f"the file does not parse as {version}{since}: {said}")


def tree_breaks(path: str, language: str, root: Node, changed: frozenset[int]) -> list[Break]:
    """Where the tree has an error inside changed lines; nothing when it also has one elsewhere."""
    if language not in TRUSTED or not root.has_error or FIXTURE.search(path):
        return []
    if any(mark in trees.text(root) for mark in FOREIGN):
        return []
    errors = list(_errors(root))
    lines = [trees.line_of(node) for node in errors]
    if len(errors) > MAX_ERRORS or not all(line in changed for line in lines):
        return []
    node, line = errors[0], lines[0]
    what = f"`{node.type}` is missing" if node.is_missing else f"a syntax error near `{trees.one_line(node, 40)}`"
    return [Break(line, f"this line does not parse as {TRUSTED[language]}: {what}")]


def _errors(root: Node) -> Iterator[Node]:
    """Error and missing nodes, in source order; of nested ones the innermost."""
    stack = [root]
    while stack:
        node = stack.pop()
        inner = [child for child in node.children if child.has_error or child.is_missing]
        if (node.is_error and not inner) or node.is_missing:
            yield node
        stack.extend(reversed(inner))
