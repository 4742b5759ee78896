"""Gathers the hints of the evidence and ranks the functions that they point at; done once, for all residents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from orchestra_mcp.council.residents import asking, shown, suspects
from orchestra_mcp.council.residents.messages import find_message
from orchestra_mcp.council.residents.places import Place, failing_frames, named, places_of, question_text, root_cause
from orchestra_mcp.council.residents.scene import raises_here, scene_of
from orchestra_mcp.council.residents.suspects import Mark, Suspect, Touched
from orchestra_mcp.types import Change, Dossier, Evidence, Hunk, Question, Trace

MAX_FILES = 12
MAX_TRACES = 3


@dataclass(frozen=True)
class Walk:
    """A trace with the places of its own frames, innermost first."""

    trace: Trace
    places: tuple[Place, ...]
    raises: bool
    """Whether the error is raised on purpose at the first place."""
    shows: bool
    """Whether the first place is where the error shows: no foreign code, and no frame that was not found, is inside."""


@dataclass(frozen=True)
class Lineup:
    """What the evidence points at."""

    changes: tuple[Change, ...]
    """The present changes that are looked at, without deleted files: the first `MAX_FILES`."""
    all_changes: tuple[Change, ...]
    """All changes in question."""
    walks: tuple[Walk, ...]
    message: tuple[str, Place] | None
    """The quoted message and where the code holds it, when there is no trace."""
    changed: tuple[Touched, ...]
    suspects: tuple[Suspect, ...]
    for_place: bool
    """True when the question asks where something is or how it works."""


class Case:
    """A question with its evidence, as all residents share it; the functions are lined up by the first who asks."""

    def __init__(self, question: Question, dossier: Dossier, evidence: Evidence) -> None:
        self.question = question
        self.dossier = dossier
        self.evidence = evidence
        self._lineup: Lineup | None = None
        self._lock = anyio.Lock()

    async def lineup(self) -> Lineup:
        """What the evidence points at."""
        async with self._lock:
            if self._lineup is None:
                self._lineup = await line_up(self.question, self.dossier, self.evidence)
            return self._lineup


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
    for_place = asking.asks_for_place(question, dossier)
    subjects = asking.subjects(question.text) if for_place else ()
    marks += suspects.named_marks(await named(question, evidence, subjects))
    marks += await shown.marks(dossier, evidence, question.text, for_place)
    all_changes = dossier.changes if question.diff else await evidence.changes()
    changes = await present_changes(question, all_changes, evidence)
    changed = await changed_functions(changes, evidence, not question.diff)
    marks += suspects.changed_marks(changed)
    if for_place:
        marks += await _word_marks(question.text, marks, evidence)
    return Lineup(changes, all_changes, tuple(walks), message, changed, suspects.rank(marks), for_place)


async def _word_marks(text: str, marks: Sequence[Mark], evidence: Evidence) -> list[Mark]:
    """For a question of place: how many of its words each function has, in its name or else in its lines."""
    words = asking.telling_words(text)
    found = []
    for definition in dict.fromkeys(mark.definition for mark in marks):
        lines = await evidence.read(definition.path, definition.start, definition.end)
        in_name = asking.shared(words, (definition.qualified,))
        names = re.findall(r"[A-Za-z_]\w*", "\n".join(lines))
        in_body = asking.shared(words, names)
        terms = tuple(dict.fromkeys((*in_name, *in_body)))
        exact = any(mark.kind == "named" and mark.definition == definition for mark in marks)
        weight = suspects.IN_NAME * len(in_name) + suspects.IN_BODY * len(in_body) + suspects.EXACT * exact
        weight += suspects.WHOLE_NAME * (definition.name.lower() in words)
        if terms:
            told = shown.words_told(terms, (definition.qualified, *names), text)
            found.append(Mark("words", definition, weight, told or f"it has forms of {', '.join(terms[:6])}"))
    return found


async def _walk(trace: Trace, evidence: Evidence) -> Walk | None:
    chain = [trace]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    assert chain[-1] is root_cause(trace)
    for part in reversed(chain):
        places = await places_of(part, evidence)
        if places:
            shows = places[0].inner == 0 and bool(failing_frames(part)[-1:]) and bool(failing_frames(part)[-1].path)
            scene = await scene_of(places[0], part, evidence) if shows else None
            return Walk(part, places, scene is not None and raises_here(scene) is not None, shows)
    return None


async def present_changes(question: Question, all_changes: Sequence[Change], evidence: Evidence) -> tuple[Change, ...]:
    """The first of the changes that are in the files: of given ones as far as they are applied."""
    present = [change for change in all_changes if change.status != "deleted"][:MAX_FILES]
    if not question.diff:
        return tuple(present)
    found = []
    for change in present:
        lines = await evidence.read(change.path)
        applied = tuple(hunk for hunk in change.hunks if _is_applied(hunk, lines))
        if applied:
            found.append(change.model_copy(update={"hunks": applied}))
    return tuple(found)


def _is_applied(hunk: Hunk, lines: Sequence[str]) -> bool:
    """True when the file reads as the hunk leaves it."""
    rows = [row[1:] for row in hunk.text.splitlines() if row[:1] in ("+", " ")]
    start = max(0, hunk.new_start - 1)
    return bool(rows) and [row.rstrip() for row in lines[start : start + len(rows)]] == [row.rstrip() for row in rows]


async def changed_functions(changes: Sequence[Change], evidence: Evidence, of_project: bool) -> tuple[Touched, ...]:
    """The functions that the present changes touch; `of_project` says that they are the project's own changes."""
    found: dict[tuple[str, int], Touched] = {}
    for change in changes:
        definitions = [d for d in await evidence.definitions(change.path) if d.kind != "class"]
        lines = [line for hunk in change.hunks for line in changed_lines(hunk)]
        before = "\n".join(await evidence.before(change.path)) if of_project and definitions else ""
        for line in lines:
            around = [d for d in definitions if d.start <= line <= d.end]
            if around:
                d = around[-1]
                whole = before and set(range(d.start, d.end + 1)) <= set(lines)
                new = change.status in ("added", "untracked") or bool(
                    whole and not re.search(rf"\b{re.escape(d.name)}\b", before)
                )
                found.setdefault((change.path, d.start), Touched(d, change, line, new))
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
