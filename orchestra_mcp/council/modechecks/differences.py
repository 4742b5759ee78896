"""`in-diff`: whether the findings of a review lie in what changed, or in what calls it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra_mcp.council.modechecks.places import NEAR, Place, alone, called, listed, places_of
from orchestra_mcp.council.residents import trees
from orchestra_mcp.types import Change, Check, Definition, Dossier, Evidence, Hunk, Opinion, Syntax

MAX_CHANGES = 60
MAX_CHANGED = 200
"""Changed functions whose calls are looked for."""


async def check_differences(opinion: Opinion, dossier: Dossier, evidence: Evidence) -> Check | None:
    """Verified when every finding lies in changed lines or in a caller of a changed function."""
    places = await places_of(opinion, evidence)
    claimed = {place.path for place in places}
    known = dossier.changes or await evidence.changes()
    changes = sorted(known, key=lambda change: change.path not in claimed)[:MAX_CHANGES]
    if not changes or not places:
        return None
    lines = {change.path: await _lines(change, evidence) for change in changes if change.status != "deleted"}
    functions = await _changed_functions(lines, evidence)
    inside: list[str] = []
    outside: list[Place] = []
    for place in places:
        why = await _why(place, lines, functions, evidence)
        if why:
            inside.append(why)
        else:
            outside.append(place)
    if not outside:
        return Check(outcome="verified", note=f"all in the change or a caller of it: {listed(inside)}")
    away = listed([f"{place.shown} (nearest change: {_nearest(place, lines)})" for place in outside], 3)
    return Check(outcome="unchecked", note=f"{len(outside)} of {len(places)} places lie outside of the change: {away}")


async def _why(
    place: Place, lines: dict[str, frozenset[int] | None], functions: Sequence[Definition], evidence: Evidence
) -> str:
    """How a place belongs to the change; empty when it does not, or when that is unknown."""
    changed = lines.get(place.path)
    if changed:
        whole = place.line == place.definition.start if place.definition else not place.line
        start, end = (place.definition.start, place.definition.end) if place.definition and whole else (0, 0)
        if not place.line or any(start <= line <= end for line in changed if whole):
            return f"{place.shown} changed"
        if any(abs(line - place.line) <= NEAR for line in changed):
            return f"{place.path}:{place.line} changed"
    function = place.function
    syntax = await evidence.syntax(place.path) if function else None
    if function is None or syntax is None:
        return ""
    names = {d.name: d for d in functions if (d.path, d.qualified) != (function.path, function.qualified)}
    for name, line in _calls(syntax, function).items():
        if name in names and await alone(names[name], evidence):
            return f"{place.shown} calls the changed {names[name].qualified} at line {line}"
    return ""


def _calls(syntax: Syntax, function: Definition) -> dict[str, int]:
    """What is called in a function, each name with its first line."""
    found: dict[str, int] = {}
    stack = [syntax.root]
    while stack:
        node = stack.pop()
        if trees.last_line(node) < function.start or trees.line_of(node) > function.end:
            continue
        if (name := called(node)) and trees.line_of(node) >= function.start:
            found.setdefault(name, trees.line_of(node))
        stack.extend(reversed(node.named_children))
    return found


async def _changed_functions(lines: dict[str, frozenset[int] | None], evidence: Evidence) -> list[Definition]:
    found: dict[tuple[str, str], Definition] = {}
    for path, changed in lines.items():
        for definition in await evidence.definitions(path) if changed else ():
            touched = any(definition.start <= line <= definition.end for line in changed or ())
            if touched and definition.kind in ("function", "method") and len(found) < MAX_CHANGED:
                found[path, definition.qualified] = definition
    return list(found.values())


async def _lines(change: Change, evidence: Evidence) -> frozenset[int] | None:
    """The changed lines of a file as it is now; beside a deletion, the lines around it. None when they are unknown."""
    hunks = change.hunks
    if not hunks and change.status in ("added", "untracked"):
        return frozenset(range(1, len(await evidence.read(change.path)) + 1))
    if not hunks:
        known = next((c for c in await evidence.changes() if c.path == change.path), None)
        hunks = known.hunks if known else ()
    if not hunks:
        return frozenset() if change.status == "renamed" else None
    rows = await evidence.read(change.path) if change.where == "given diff" else ()
    found: set[int] = set()
    for hunk in hunks:
        found |= _side(hunk, new=not rows or _stands(hunk, rows))
    return frozenset(found)


def _side(hunk: Hunk, new: bool) -> set[int]:
    """The lines that a hunk changed, counted on the new side or on the old one."""
    mark, other = ("+", "-") if new else ("-", "+")
    at, count = (hunk.new_start, hunk.new_lines) if new else (hunk.old_start, hunk.old_lines)
    if not hunk.text:
        return set(range(at, at + count)) if count else {at, at + 1}
    found: set[int] = set()
    at += 0 if count else 1  # of an empty side the line before is given
    for row in hunk.text.split("\n"):
        if row[:1] == mark:
            found.add(at)
        elif row[:1] == other:
            found |= {max(1, at - 1), at}
        at += row[:1] not in (other, "\\")
    return found


def _stands(hunk: Hunk, rows: Sequence[str]) -> bool:
    """False for a given diff that has not been applied: its new lines are not there, and its old ones are."""

    def fits(new: bool) -> int:
        mark, at = ("+", hunk.new_start) if new else ("-", hunk.old_start)
        count = 0
        for row in hunk.text.split("\n"):
            if row[:1] in (mark, " "):
                same = 0 < at <= len(rows) and rows[at - 1].rstrip() == row[1:].rstrip()
                count += 1 if same else -1
                at += 1
        return count

    return fits(new=True) >= fits(new=False)


def _nearest(place: Place, lines: dict[str, frozenset[int] | None]) -> str:
    """The change nearest to a place: in its own file, else in the file with the longest common path."""
    if place.path in lines:
        known = lines[place.path]
        return (
            f"{place.path}:{min(known, key=lambda n: abs(n - place.line))}" if known else f"somewhere in {place.path}"
        )
    parts = place.path.split("/")

    def common(path: str) -> int:
        others = path.split("/")
        return next((n for n, (a, b) in enumerate(zip(parts, others, strict=False)) if a != b), 0)

    return max(lines, key=common, default="none")
