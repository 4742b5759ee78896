"""Gathers the hints of the evidence and ranks the functions that they point at; every resident asks here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra_mcp.council.residents import suspects
from orchestra_mcp.council.residents.messages import find_message
from orchestra_mcp.council.residents.places import Place, named, places_of, question_text, root_cause
from orchestra_mcp.council.residents.scene import raises_here, scene_of
from orchestra_mcp.council.residents.suspects import Mark, Suspect
from orchestra_mcp.types import Change, Definition, Dossier, Evidence, Excerpt, Hunk, Question, Trace

MAX_FILES = 12
MAX_TRACES = 3


@dataclass(frozen=True)
class Walk:
    """A trace with the places of its own frames, innermost first, and whether the innermost raises on purpose."""

    trace: Trace
    places: tuple[Place, ...]
    raises: bool


@dataclass(frozen=True)
class Lineup:
    """What the evidence points at."""

    changes: tuple[Change, ...]

    walks: tuple[Walk, ...]
    message: tuple[str, Place] | None
    """The quoted message and where the code holds it, when there is no trace."""
    changed: tuple[tuple[Definition, Change, Hunk], ...]
    suspects: tuple[Suspect, ...]


async def line_up(question: Question, dossier: Dossier, evidence: Evidence) -> Lineup:
    """Walk the traces, look up what the question names, and rank the functions."""
    marks: list[Mark] = []
    walks = []
    # What names its exception and shows more of the way comes first; pieces of torn traces come last.
    traces = sorted(dossier.traces, key=lambda trace: (not root_cause(trace).exception, -len(trace.frames)))
    for trace in traces[:MAX_TRACES]:
        walk = await _walk(trace, evidence)
        if walk is not None:
            walks.append(walk)
            marks += suspects.frame_marks(walk.places, walk.raises)
    message = None if walks else await find_message(question_text(question, dossier), evidence)
    if message is not None and message[1].definition is not None:
        ground = "it holds the quoted message"
        marks.append(Mark("message", message[1].definition, suspects.MESSAGE, ground, message[1].line))
    marks += suspects.named_marks(await named(question, evidence))
    marks += suspects.excerpt_marks(dossier, await _excerpt_definitions(dossier, evidence))
    changes = await present_changes(question, dossier, evidence)
    changed = await changed_functions(changes, evidence)
    marks += suspects.changed_marks(changed)
    return Lineup(changes, tuple(walks), message, changed, suspects.rank(marks))


async def _walk(trace: Trace, evidence: Evidence) -> Walk | None:
    chain = [trace]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    assert chain[-1] is root_cause(trace)
    for part in reversed(chain):
        places = await places_of(part, evidence)
        if places:
            scene = await scene_of(places[0], part, evidence)
            return Walk(part, places, scene is not None and raises_here(scene) is not None)
    return None


async def _excerpt_definitions(dossier: Dossier, evidence: Evidence) -> dict[Excerpt, Definition]:
    """The definition that each excerpt shows; of several with its name (overloads) the one that shares most lines."""
    wanted = [e for e in dossier.excerpts if e.path and e.symbol and e.source in ("file", "symbol")]
    found = {}
    for excerpt in wanted:
        of_file = await evidence.definitions(excerpt.path)
        same = [d for d in of_file if f".{d.qualified}".endswith(f".{excerpt.symbol}")]
        shared = [(min(d.end, excerpt.end) - max(d.start, excerpt.start), -n, d) for n, d in enumerate(same)]
        if shared and max(shared)[0] >= 0:
            found[excerpt] = max(shared)[2]
    return found


async def present_changes(question: Question, dossier: Dossier, evidence: Evidence) -> tuple[Change, ...]:
    """The changes in question: the given ones as far as they are in the files, else those of the project."""
    if not question.diff:
        return tuple(c for c in await evidence.changes() if c.status != "deleted")[:MAX_FILES]
    found = []
    for change in dossier.changes[:MAX_FILES]:
        lines = await evidence.read(change.path)
        applied = tuple(hunk for hunk in change.hunks if _is_applied(hunk, lines))
        if applied and change.status != "deleted":
            found.append(change.model_copy(update={"hunks": applied}))
    return tuple(found)


def _is_applied(hunk: Hunk, lines: Sequence[str]) -> bool:
    """True when the file reads as the hunk leaves it."""
    rows = [row[1:] for row in hunk.text.splitlines() if row[:1] in ("+", " ")]
    start = max(0, hunk.new_start - 1)
    return bool(rows) and [row.rstrip() for row in lines[start : start + len(rows)]] == [row.rstrip() for row in rows]


async def changed_functions(
    changes: Sequence[Change], evidence: Evidence
) -> tuple[tuple[Definition, Change, Hunk], ...]:
    """The functions that the present changes touch, each with the first hunk that touches it."""
    found: dict[tuple[str, int], tuple[Definition, Change, Hunk]] = {}
    for change in changes:
        definitions = [d for d in await evidence.definitions(change.path) if d.kind != "class"]
        for hunk in change.hunks:
            for line in changed_lines(hunk):
                around = [d for d in definitions if d.start <= line <= d.end]
                if around:
                    found.setdefault((change.path, around[-1].start), (around[-1], change, hunk))
    return tuple(found.values())


def changed_lines(hunk: Hunk) -> tuple[int, ...]:
    """New line numbers that a hunk adds or rewrites; for a pure deletion, the lines on both sides of it."""
    if not hunk.text:
        return tuple(range(hunk.new_start, hunk.new_start + hunk.new_lines))
    added, cuts, line = [], [], hunk.new_start
    for row in hunk.text.splitlines():
        if row.startswith(("@@", "\\")):
            continue
        if row.startswith("-"):
            cuts.append(line)
            continue
        if row.startswith("+"):
            added.append(line)
        line += 1
    return tuple(dict.fromkeys(added or [cut for cut in cuts if cut > 0]))
