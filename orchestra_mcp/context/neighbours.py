"""What stands beside the evidence: what a failing line calls, who calls what a change has altered, and outlines.

Each function gives candidates for the dossier, as those of `seeds` do.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from orchestra_mcp.context.code import symbols, uses
from orchestra_mcp.context.code.signatures import SignatureChange, changed_signatures
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.packing import Candidate, estimate_tokens
from orchestra_mcp.context.searching import chain
from orchestra_mcp.context.seeds import CALLED, CALLER, changed_lines, of_definition
from orchestra_mcp.paths import aside
from orchestra_mcp.types import Change, Frame, Trace

MAX_CALLED = 4
MAX_CALLERS = 6
MAX_MENTIONS = 40
"""Places with the name of a changed function that are looked at."""
MAX_COMMON = 3
"""A name with more definitions than this says nothing of which one is called."""
MAX_BLAMED = 3
MAX_OUTLINE = 40
"""Signatures that are listed for one file."""


async def called(traces: Sequence[Trace], eyes: ProjectEvidence) -> list[Candidate]:
    """The definitions of what the innermost own line of each trace calls."""
    found: list[Candidate] = []
    for frame in _failing(traces):
        syntax = await eyes.syntax(frame.path)
        if syntax is None:
            continue
        for name in await anyio.to_thread.run_sync(uses.calls, syntax, frame.line, frame.line):
            definitions = [d for d in await eyes.locate(name) if not aside(d.path)]
            if 1 <= len(definitions) <= MAX_COMMON and len(found) < MAX_CALLED:
                found.append(await of_definition(definitions[0], "called on the failing line", CALLED, eyes))
    return found


async def callers(changes: Sequence[Change], score: float, eyes: ProjectEvidence) -> list[Candidate]:
    """Functions that call what a change has altered in its signature, and were not changed themselves."""
    touched = {change.path: changed_lines(change) for change in changes}
    found: list[Candidate] = []
    for change in changes:
        for altered in await _altered(change, eyes):
            what = ", ".join(altered.what[:2])
            for path, line, _ in await eyes.mentions(altered.name, MAX_MENTIONS):
                around = await eyes.enclosing(path, line)
                if around is not None and any(around.start <= n <= around.end for n in touched.get(path, ())):
                    continue
                syntax = await eyes.syntax(path) if around is not None else None
                if around is None or syntax is None or len(found) >= MAX_CALLERS:
                    continue
                if altered.name in await anyio.to_thread.run_sync(uses.calls, syntax, line, line):
                    why = f"calls {altered.qualified}, whose signature changed ({what})"
                    low = score + CALLER - (3 if aside(path) else 0)
                    found.append(await of_definition(around, why, low, eyes, (line,)))
    return found


async def _altered(change: Change, eyes: ProjectEvidence) -> Sequence[SignatureChange]:
    if change.status not in ("modified", "renamed") or aside(change.path):
        return ()
    after, before = await eyes.syntax(change.path), "\n".join(await eyes.before(change.path))
    if after is None or not before:
        return ()

    def compare() -> Sequence[SignatureChange]:
        earlier = symbols.parse(change.path, before.encode("utf-8", "replace"))
        return changed_signatures(earlier, after, change.path) if earlier else ()

    return [altered for altered in await anyio.to_thread.run_sync(compare) if altered.breaking][:8]


async def blamed(traces: Sequence[Trace], eyes: ProjectEvidence) -> list[str]:
    """Who last changed the innermost own lines of the traces, one line each."""
    said: list[str] = []
    for frame in _failing(traces):
        if len(said) >= MAX_BLAMED:
            break
        for line in await eyes.blame(frame.path, frame.line, frame.line):
            commit = line.commit
            what = f"{commit.id} {commit.at:%Y-%m-%d} {commit.subject[:100]}" if commit else "not committed yet"
            said.append(f"{frame.path}:{frame.line} was last changed by: {what}")
    return list(dict.fromkeys(said))


def _failing(traces: Sequence[Trace]) -> list[Frame]:
    """The innermost own line of each trace."""
    innermost = (next((f for f in reversed(trace.frames) if f.path and f.line), None) for trace in chain(traces))
    return [frame for frame in innermost if frame is not None]


async def outlines(paths: Sequence[str], limit: int, eyes: ProjectEvidence) -> str:
    """The signatures of these files with their lines, at most `limit` tokens: what else there is to ask for."""
    lines: list[str] = []
    left = limit
    for path in paths:
        definitions = await eyes.definitions(path)
        if len(definitions) < 3:
            continue
        of_file = [f"{path}:"] + [f"  {d.start}: {d.signature}" for d in definitions[:MAX_OUTLINE]]
        for line in of_file:
            left -= estimate_tokens(line) + 1
            if left < 0:
                return "\n".join(lines)
            lines.append(line)
    return "\n".join(lines)
