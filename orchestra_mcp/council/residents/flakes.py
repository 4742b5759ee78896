"""Reads Python sources in a child process: pyflakes' messages, and the signatures before and after a change.

Run as a program it takes JSON on standard input and answers with JSON, so that odd sources (deep nesting, warnings of
the parser) can neither block nor disturb the server. `read_python` starts it.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

TIMEOUT_S = 20.0


class Message(NamedTuple):
    """One message of pyflakes: its class, its line, its text and the name that it is about."""

    kind: str
    line: int
    text: str
    name: str


class Signature(NamedTuple):
    """A Python function's parameters, and what else decides whether a call fits."""

    line: int
    positional: tuple[str, ...]
    """Names that may be given by position, positional-only ones first."""
    defaults: int
    """How many of them, from the end, have defaults."""
    only_positional: int
    keyword: tuple[str, ...]
    """Keyword-only names without default."""
    optional: tuple[str, ...]
    """Keyword-only names with default."""
    rest: bool
    keywords: bool
    decorators: tuple[str, ...]


class PythonFile(NamedTuple):
    """What the child found in one file."""

    error: tuple[int, str] | None
    messages: tuple[Message, ...]
    after: dict[str, Signature]
    """Signatures by qualified name; names that are defined more than once are left out."""
    before: dict[str, Signature]
    parsed_before: bool
    """True when there was an earlier text and it parsed."""


async def read_python(sources: dict[str, tuple[str, str]]) -> dict[str, PythonFile]:
    """Read files, each given as (text now, text before or empty); empty when the child fails or is late."""
    import anyio

    if not sources:
        return {}
    with anyio.move_on_after(TIMEOUT_S):
        done = await anyio.run_process(
            [sys.executable, "-I", "-W", "ignore", __file__], input=json.dumps(sources).encode(), check=False
        )
        if done.returncode == 0:
            return {path: _decode(found) for path, found in json.loads(done.stdout).items()}
    return {}


def _decode(found: dict[str, Any]) -> PythonFile:
    return PythonFile(
        error=(int(found["error"][0]), str(found["error"][1])) if found["error"] else None,
        messages=tuple(Message(*message) for message in found["messages"]),
        after={name: _signature_of(fields) for name, fields in found["after"].items()},
        before={name: _signature_of(fields) for name, fields in found["before"].items()},
        parsed_before=bool(found["parsed_before"]),
    )


def _signature_of(fields: Sequence[Any]) -> Signature:
    values: list[Any] = [tuple(field) if isinstance(field, list) else field for field in fields]
    return Signature(*values)


def _read(text: str, before: str) -> dict[str, Any]:
    from pyflakes.checker import Checker

    result: dict[str, Any] = {"error": None, "messages": [], "after": {}, "before": {}, "parsed_before": False}
    try:
        result["before"] = signatures(ast.parse(before)) if before.strip() else {}
        result["parsed_before"] = bool(before.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        result["before"] = {}
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        result["error"] = (error.lineno or 1, error.msg)
        return result
    except (ValueError, RecursionError, MemoryError):
        return result
    result["after"] = signatures(tree)
    for message in sorted(Checker(tree).messages, key=lambda m: (m.lineno, m.col)):
        said = message.message % message.message_args
        name = str(message.message_args[0]) if message.message_args else ""
        result["messages"].append((type(message).__name__, message.lineno, said, name))
    return result


def signatures(tree: ast.Module) -> dict[str, Signature]:
    """Signatures of all functions that are defined exactly once, by qualified name."""
    found: dict[str, list[Signature]] = {}

    def visit(node: ast.AST, scope: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(scope + child.name, []).append(_signature(child))
                inner = f"{scope}{child.name}."
            elif isinstance(child, ast.ClassDef):
                inner = f"{scope}{child.name}."
            visit(child, inner)

    visit(tree, "")
    return {name: versions[0] for name, versions in found.items() if len(versions) == 1}


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    given = node.args
    required = tuple(a.arg for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if d is None)
    optional = tuple(a.arg for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if d is not None)
    return Signature(
        line=node.lineno,
        positional=tuple(a.arg for a in (*given.posonlyargs, *given.args)),
        defaults=len(given.defaults),
        only_positional=len(given.posonlyargs),
        keyword=required,
        optional=optional,
        rest=given.vararg is not None,
        keywords=given.kwarg is not None,
        decorators=tuple(ast.unparse(d) for d in node.decorator_list),
    )


def main() -> None:
    """Answer one request on standard input."""
    sources = json.load(sys.stdin)
    json.dump({path: _read(*texts) for path, texts in sources.items()}, sys.stdout)


if __name__ == "__main__":
    main()
