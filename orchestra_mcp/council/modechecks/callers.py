"""`callers`: whether an answer names everybody who calls what it changes, and whether those calls still fit (Python)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestra_mcp.council.modechecks.edits import Edits, edits_of
from orchestra_mcp.council.modechecks.places import (
    Site,
    call_at,
    listed,
    names_path,
    names_symbol,
    own,
    places_of,
    said,
    sites_of,
)
from orchestra_mcp.council.residents import trees
from orchestra_mcp.council.residents.callers import misfits
from orchestra_mcp.council.residents.flakes import read_python
from orchestra_mcp.types import Check, Definition, Dossier, Evidence, Opinion

MAX_TARGETS = 8
"""Changed functions whose callers are looked up."""


async def check_callers(opinion: Opinion, dossier: Dossier, evidence: Evidence) -> Check | None:  # noqa: ARG001
    """Verified when every call in the project's own code is named; refuted when one is left that cannot fit any more."""
    edits = await edits_of(opinion.patch, evidence) if opinion.patch else ()
    targets = await _patched(edits, evidence) if edits else await _planned(opinion, evidence)
    targets = targets[:MAX_TARGETS]
    if not targets:
        return None
    if broken := await _broken(targets, edits, evidence):
        return Check(outcome="refuted", note=listed(broken, 3))
    text, symbols = said(opinion), {claim.symbol for claim in opinion.claims if claim.symbol}
    files = await evidence.files()
    calls: dict[tuple[str, int], Site] = {}
    unclear: list[str] = []
    inside = {(target.path, target.qualified) for target in targets}
    for target in targets:
        sites = await sites_of(target, evidence)
        if sites is None:
            unclear.append(target.name)
        for site in own(sites or ()):
            calls.setdefault((site.path, site.line), site)
    changed = {edit.path for edit in edits}
    missing = [
        site
        for site in calls.values()
        if site.path not in changed
        and not (site.around and (site.around.path, site.around.qualified) in inside)
        and not names_path(text, site.path, files)
        and not (site.around and names_symbol(text, site.around, symbols))
    ]
    names = listed([f"`{target.qualified}`" for target in targets])
    if missing:
        away = listed([site.shown for site in missing])
        return Check(
            outcome="unchecked", note=f"does not name {len(missing)} of {len(calls)} callers of {names}: {away}"
        )
    if unclear:
        return Check(outcome="unchecked", note=f"who calls {listed(unclear)} cannot be told by name")
    if not calls:
        return Check(outcome="unchecked", note=f"no call of {names} was found in the project's own code")
    many = f"all {len(calls)} callers" if len(calls) > 1 else "the only caller"
    return Check(outcome="verified", note=f"names {many} of {names}")


async def _patched(edits: Sequence[Edits], evidence: Evidence) -> list[Definition]:
    """The functions whose lines a patch changes; one that is put before or behind a function does not change it."""
    found: dict[tuple[str, str], Definition] = {}
    for edit in edits:
        lines = set(edit.removed)
        for after, texts in edit.added:
            around = await evidence.enclosing(edit.path, after)
            below = await evidence.enclosing(edit.path, after + 1)
            if around is not None and (around == below or _deeper(texts, edit.before[around.start - 1])):
                lines.add(after)
        for line in sorted(lines):
            spot = await evidence.enclosing(edit.path, line)
            if spot is not None and spot.kind in ("function", "method"):
                found[spot.path, spot.qualified] = spot
    return list(found.values())


def _deeper(texts: Sequence[str], head: str) -> bool:
    """True when new lines are indented more than the head of the function above them."""
    first = next((text.expandtabs(8) for text in texts if text.strip()), "")
    plain = head.expandtabs(8)
    return len(first) - len(first.lstrip()) > len(plain) - len(plain.lstrip())


async def _planned(opinion: Opinion, evidence: Evidence) -> list[Definition]:
    """The claimed functions that the plan or the position speaks of; of these, one that calls another is a caller."""
    text = "\n".join((opinion.position, *opinion.plan[:40]))[:40_000]
    found: dict[tuple[str, str], Definition] = {}
    for place in await places_of(opinion, evidence):
        spot = place.function
        if spot is not None and re.search(rf"(?<!\w){re.escape(spot.name)}(?!\w)", text):
            found[spot.path, spot.qualified] = spot
    calling: set[tuple[str, str]] = set()
    for spot in found.values():
        for site in await sites_of(spot, evidence) or ():
            if site.around is not None:
                calling.add((site.around.path, site.around.qualified))
    return [spot for key, spot in found.items() if key not in calling] or list(found.values())


async def _broken(targets: Sequence[Definition], edits: Sequence[Edits], evidence: Evidence) -> list[str]:
    """Calls outside of the patch that can no longer fit what it makes of a Python function."""
    changed = {edit.path: edit for edit in edits}
    asked = {
        t.path: changed[t.path]
        for t in targets
        if t.path in changed and await _head_changed(t, changed[t.path], evidence)
    }
    sources = {
        path: ("\n".join(edit.after) + "\n", "\n".join(edit.before) + "\n")
        for path, edit in asked.items()
        if edit.whole and path.endswith(".py")
    }
    read = await read_python(sources)
    found: list[str] = []
    for target in targets:
        python = read.get(target.path)
        if python is None or python.error is not None or target.qualified not in python.before:
            continue
        before, after = python.before[target.qualified], python.after.get(target.qualified)
        if after is None:
            found += await _gone(target, changed, evidence)
            continue
        for misfit in await misfits(target.qualified, before, after, evidence):
            if not await _mended(misfit.path, misfit.line, target.name, changed, evidence):
                found.append(f"{misfit.path}:{misfit.line} calls {target.qualified}, and {misfit.why}")
    return found


async def _gone(target: Definition, changed: dict[str, Edits], evidence: Evidence) -> list[str]:
    """Calls by its bare name of a function that the patch takes away or renames, and whose name it leaves to nobody."""
    word = re.compile(rf"(?<!\w){re.escape(target.name)}(?!\w)")
    left = any(word.search(text) for edit in changed.values() for _, texts in edit.added for text in texts)
    if target.kind != "function" or "." in target.qualified or left or len(target.name) < 4:
        return []
    found: list[str] = []
    for site in await sites_of(target, evidence) or ():
        if not site.path.endswith(".py") or trees.callee(site.node)[0] is not None:
            continue
        rows = await evidence.read(site.path)
        known = site.path == target.path or any("import" in row and word.search(row) for row in rows[:400])
        if known and not await _mended(site.path, site.line, target.name, changed, evidence):
            found.append(f"{site.shown} calls {target.name}, which is gone then")
    return found


async def _head_changed(target: Definition, edit: Edits, evidence: Evidence) -> bool:
    """True when a patch changes a line before the function's body."""
    syntax = await evidence.syntax(target.path)
    if syntax is None:
        return False
    for node in trees.walk(syntax.root):
        inside = target.start <= trees.line_of(node) <= target.end
        body = node.child_by_field_name("body") if inside and node.type in trees.FUNCTIONS else None
        if body is not None and trees.name_of(node) == target.name:
            return any(
                target.start <= line <= max(trees.line_of(node), trees.line_of(body) - 1) for line in edit.removed
            )
    return False


async def _mended(path: str, line: int, name: str, changed: dict[str, Edits], evidence: Evidence) -> bool:
    """True when a patch changes a line of the call itself."""
    edit, syntax = changed.get(path), await evidence.syntax(path)
    if edit is None or syntax is None:
        return False
    call = call_at(syntax.root, line, name)
    first, last = (trees.line_of(call), trees.last_line(call)) if call is not None else (line, line)
    return not edit.whole or any(first <= changed_line <= last for changed_line in edit.touched)
