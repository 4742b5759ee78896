"""What an exception's message and the failing line say together: which expression, and where its value comes from.

Each explainer is a row of `EXPLAINERS`: a pattern of `Type: message`, and a function that reads the scene.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import trees
from orchestra_mcp.council.residents.scene import Scene, names_in, origins, raises_here
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Claim

if TYPE_CHECKING:
    from tree_sitter import Node

Explainer = Callable[[Scene, re.Match[str]], Awaitable[list[Claim]]]


async def explain(scene: Scene) -> list[Claim]:
    """What can be shown about the failing line."""
    raised = await _raised_on_purpose(scene)
    if raised:
        return raised
    for pattern, explainer in EXPLAINERS:
        if match := pattern.search(scene.said):
            return await explainer(scene, match)
    return []


async def _raised_on_purpose(scene: Scene) -> list[Claim]:
    statement = raises_here(scene)
    if statement is None:
        return []
    claims = []
    for parent in trees.above(statement):
        if parent.type in trees.FUNCTIONS:
            break
        if parent.type in ("if_statement", "elif_clause", "if_expression"):
            condition = parent.child_by_field_name("condition")
            inside = parent.child_by_field_name("consequence") or parent.child_by_field_name("body")
            if condition is None or inside is None or not _contains(inside, statement):
                continue
            claims.append(
                await scene.point(
                    f"It is raised on purpose when `{trees.one_line(condition)}` holds", trees.line_of(parent)
                )
            )
            for name in names_in(condition)[:2]:
                claims += await origins(scene, name, deep=False)
            break
        if parent.type in ("except_clause", "catch_clause"):
            claims.append(
                await scene.point("It is raised while handling another exception caught here", trees.line_of(parent))
            )
            break
    return claims


async def _member_of_nothing(scene: Scene, match: re.Match[str]) -> list[Claim]:
    name = match.group("name")
    owners: dict[str, Node] = {}
    for node in scene.on_line():
        parts = trees.member(node)
        if parts and trees.text(parts[1]) == name:
            owners.setdefault(trees.text(parts[0]), parts[0])
    if len(owners) != 1:
        return []
    owner = next(iter(owners.values()))
    claims = [
        await scene.point(f"`.{name}` is taken from `{trees.one_line(owner, 60)}` on this line", trees.line_of(owner))
    ]
    return claims + await origins(scene, owner)


async def _missing_key(scene: Scene, match: re.Match[str]) -> list[Claim]:
    claims = []
    key = match.group("key")
    for node in scene.on_line():
        found = trees.subscript(node)
        if found is None:
            continue
        index = found[1]
        if index.strip("'\"") == key or re.fullmatch(r"[A-Za-z_][\w.]*", index):
            claims.append(
                await scene.point(
                    f"`{trees.one_line(found[0], 50)}` is indexed with `{index[:40]}` on this line", trees.line_of(node)
                )
            )
            claims += await origins(scene, found[0], deep=False)
            break
    written = [
        node for node in trees.walk(scene.root) if node.type == "string" and trees.text(node).strip("rbuRBU'\"") == key
    ]
    for node in written:
        parent = node.parent
        if parent is not None and parent.type == "pair" and parent.child_by_field_name("key") == node:
            claims.append(await scene.point(f"The key `{key}` is set by a literal here", trees.line_of(node)))
        elif (
            parent is not None
            and parent.type == "subscript"
            and parent.parent is not None
            and parent.parent.type == "assignment"
            and parent.parent.child_by_field_name("left") == parent
        ):
            claims.append(await scene.point(f"The key `{key}` is assigned here", trees.line_of(node)))
    return claims[:4]


async def _call_mismatch(scene: Scene, match: re.Match[str]) -> list[Claim]:
    symbol = match.group("function").replace("<locals>.", "")
    if symbol.startswith("<"):
        return []
    name = symbol.rsplit(".", 1)[-1]
    claims = []
    called = [n for n in scene.on_line() if n.type in trees.CALLS and trees.callee(n)[1] == name]
    if called:
        claims.append(
            await scene.point(f"`{name}` is called on this line as `{trees.one_line(called[0], 70)}`", scene.place.line)
        )
    found = await scene.evidence.locate(".".join(symbol.split(".")[-2:]))
    found = tuple(d for d in found if d.kind != "class" and not is_test(d.path))
    if len(found) == 1:
        definition = found[0]
        text = f"The only definition of `{symbol}` in this project has the signature `{' '.join(definition.signature.split())[:110]}`"
        claims.append(await scene.point(text, definition.start, definition.path, definition.qualified))
    return claims


async def _unbound(scene: Scene, match: re.Match[str]) -> list[Claim]:
    name = match.group("name")
    if scene.function is None:
        return []
    claims = []
    for node in trees.walk(scene.function, into=False):
        pair = trees.assignment(node)
        if pair is None or name not in (trees.text(pair[0]), *(trees.text(c) for c in pair[0].named_children)):
            continue
        guard = next((p for p in trees.above(node) if p.type in _GUARDS or p.type in trees.FUNCTIONS), None)
        inside = (
            f", inside the `{_GUARDS[guard.type]}` of line {trees.line_of(guard)}"
            if guard is not None and guard.type in _GUARDS
            else ""
        )
        claims.append(await scene.point(f"`{name}` is assigned here{inside}", trees.line_of(node)))
    return claims[:4]


_GUARDS = {
    "if_statement": "if", "elif_clause": "elif", "else_clause": "else", "for_statement": "for", "while_statement": "while",
    "try_statement": "try", "except_clause": "except", "case_clause": "case",
}  # fmt: skip


async def _divisor(scene: Scene, _match: re.Match[str]) -> list[Claim]:
    claims = []
    for node in scene.on_line():
        operator = (
            node.child_by_field_name("operator") if node.type in ("binary_operator", "binary_expression") else None
        )
        right = node.child_by_field_name("right")
        if operator is not None and right is not None and trees.text(operator) in ("/", "//", "%"):
            claims.append(
                await scene.point(f"The divisor on this line is `{trees.one_line(right, 60)}`", trees.line_of(right))
            )
            claims += [claim for name in names_in(right)[:2] for claim in await origins(scene, name, deep=False)]
    return claims[:4]


async def _indexed(scene: Scene, _match: re.Match[str]) -> list[Claim]:
    found = [(node, pair) for node in scene.on_line() if (pair := trees.subscript(node))]
    if len(found) != 1:
        return []
    node, (owner, index) = found[0]
    claims = [
        await scene.point(
            f"The only index on this line is `{index[:40]}`, into `{trees.one_line(owner, 50)}`", trees.line_of(node)
        )
    ]
    return claims + await origins(scene, owner)


async def _undefined_name(scene: Scene, match: re.Match[str]) -> list[Claim]:
    name = match.group("name") or match.group("js")
    places = [(path, line) for path, line, _ in await scene.evidence.mentions(name, 30) if path == scene.place.path]
    if len(places) == 1:
        return [
            await scene.point(
                f"`{name}` occurs in this file only here: nothing in it defines or imports the name", places[0][1]
            )
        ]
    return []


async def _import(scene: Scene, match: re.Match[str]) -> list[Claim]:
    name, module = match.group("name"), match.group("module")
    tails = [module.replace(".", "/") + ending for ending in (".py", "/__init__.py")]
    files = [f for f in await scene.evidence.files() if any(f == tail or f.endswith("/" + tail) for tail in tails)]
    if len(files) != 1:
        return []
    lines = await scene.evidence.read(files[0])
    used = [number for number, line in enumerate(lines, 1) if re.search(rf"\b{re.escape(name)}\b", line)]
    if not used and not any("import *" in line or "__getattr__" in line for line in lines):
        return [
            Claim(
                text=f"The word `{name}` does not occur in the module that it is imported from, `{module}`",
                path=files[0],
            )
        ]
    return []


async def _cannot_unwrap(scene: Scene, _match: re.Match[str]) -> list[Claim]:
    found = []
    for node in scene.on_line():
        owner, name = trees.callee(node) if node.type in trees.CALLS else (None, "")
        if owner is not None and name in ("unwrap", "expect"):
            found.append((node, owner, name))
    if len(found) != 1:
        return []
    node, owner, name = found[0]
    return [
        await scene.point(
            f"The only `{name}` on this line is applied to `{trees.one_line(owner, 70)}`", trees.line_of(node)
        )
    ]


async def _nil_on_line(scene: Scene, _match: re.Match[str]) -> list[Claim]:
    owners: dict[str, Node] = {}
    for node in scene.on_line():
        parts = trees.member(node)
        if parts and parts[0].type in (
            "identifier",
            "selector_expression",
            "field_access",
            "method_invocation",
            "call_expression",
        ):
            owners.setdefault(trees.text(parts[0]), parts[0])
    if len(owners) != 1:
        return []
    owner = next(iter(owners.values()))
    claims = [
        await scene.point(
            f"The only thing whose member is used on this line is `{trees.one_line(owner, 60)}`", trees.line_of(owner)
        )
    ]
    return claims + await origins(scene, owner)


def _contains(outer: Node, inner: Node) -> bool:
    return outer.start_byte <= inner.start_byte and inner.end_byte <= outer.end_byte


# Add an explainer here; the first pattern that fits is used.
EXPLAINERS: tuple[tuple[re.Pattern[str], Explainer], ...] = (
    (re.compile(r"AttributeError: .*has no attribute '(?P<name>\w+)'"), _member_of_nothing),
    (re.compile(r"TypeError: Cannot read propert\w+ (?:of \w+ \(reading )?'(?P<name>[\w$]+)'"), _member_of_nothing),
    (
        re.compile(
            r'NullPointerException: Cannot (?:invoke|read|assign)[^"]*"(?:[^"]*\.)?(?P<name>\w+)(?:\([^)]*\))?" because'
        ),
        _member_of_nothing,
    ),
    (
        re.compile(r"TypeError: (?P<function>[\w.<>]+)\(\) (?:takes|missing|got (?:an unexpected|multiple)|keywords)"),
        _call_mismatch,
    ),
    (re.compile(r"KeyError: ['\"]?(?P<key>[^'\"\n]+)"), _missing_key),
    (re.compile(r"(?:UnboundLocalError|NameError): .*variable '(?P<name>\w+)'"), _unbound),
    (
        re.compile(
            r"NameError: (?:global )?name '(?P<name>\w+)' is not defined|ReferenceError: (?P<js>[\w$]+) is not defined"
        ),
        _undefined_name,
    ),
    (
        re.compile(
            r"ImportError: cannot import name '?(?P<name>\w+)'? from (?:partially initialized module )?'(?P<module>[\w.]+)'"
        ),
        _import,
    ),
    (re.compile(r"ZeroDivisionError|integer divide by zero|/ by zero"), _divisor),
    (re.compile(r"IndexError|index out of range|[iI]ndex \d+ out of bounds|OutOfBounds"), _indexed),
    (re.compile(r"called `(?:Option|Result)::(?:unwrap|expect)\(\)`"), _cannot_unwrap),
    (re.compile(r"nil pointer dereference|NullPointerException"), _nil_on_line),
)
