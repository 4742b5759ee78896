"""Which function is it? Every hint of the evidence is a mark on a function; the marks add up. Pure.

The order of weight is that of the measured value of each signal for finding the place of a bug: frames of the trace,
then changed lines, then names in the question, then lexical nearness (the collector's own order of excerpts).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestra_mcp.council.residents.places import Place
from orchestra_mcp.paths import aside
from orchestra_mcp.types import Change, Definition

FRAME = 10.0  # the innermost own frame; each step outwards counts for STEP of the one before
STEP = 0.6
RAISER = 0.8  # an innermost frame that raises on purpose: its caller is nearly as likely
MESSAGE = 5.0  # the function that holds the quoted message
NAMED = 3.0  # named in the question; shared by all definitions of that name
NAMED_CLASS = 1.5
EXCERPT = 4.0  # the collector's first excerpt; each later one counts for FADE of the one before
FADE = 0.85
INSIDE = 0.5  # a function that an excerpt shows beside the one that it is named after
CHANGED = 3.0  # changed and not committed, or in the given diff
COMMITTED = 1.0  # changed by the last commit: on its own a weak hint
EXACT = 12.0  # a question of place: what it asks for by name comes first
WHOLE_NAME = 2.0  # a question of place: one of its words is the function's name
IN_NAME, IN_BODY = 1.5, 0.5  # a question of place: each of its words in a function's name, or only in its lines
SIDE = 0.25  # what is not the project's own code, unless a trace leads there


@dataclass(frozen=True, slots=True)
class Mark:
    """One hint that points at a function: its kind, its weight, and the ground in words."""

    kind: str
    definition: Definition
    weight: float
    ground: str
    line: int = 0


class Touched(NamedTuple):
    """A function that a present change touches: the first changed line in it, and whether the change made it."""

    definition: Definition
    change: Change
    line: int
    new: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """A function with all that speaks for it."""

    definition: Definition
    score: float
    grounds: tuple[str, ...]
    kinds: frozenset[str]
    line: int
    """The line that the strongest hint points at."""


def rank(marks: Iterable[Mark]) -> tuple[Suspect, ...]:
    """Functions by the sum of their marks, best first; each kind of mark counts once per function."""
    best: dict[tuple[str, int, str], dict[str, Mark]] = {}
    for mark in marks:
        spot = (mark.definition.path, mark.definition.start, mark.definition.qualified)
        kinds = best.setdefault(spot, {})
        if mark.kind not in kinds or kinds[mark.kind].weight < mark.weight:
            kinds[mark.kind] = mark
    suspects = []
    for kinds in best.values():
        ordered = sorted(kinds.values(), key=lambda mark: -mark.weight)
        definition = ordered[0].definition
        score = sum(mark.weight for mark in ordered)
        if aside(definition.path) and "frame" not in kinds:
            score *= SIDE
        line = next((mark.line for mark in ordered if mark.line), definition.start)
        told = [mark for mark in ordered if mark.kind != "excerpt" or not kinds.keys() & {"frame", "words"}]
        grounds = tuple(mark.ground for mark in told)
        suspects.append(Suspect(definition, score, grounds, frozenset(kinds), line))
    return tuple(sorted(suspects, key=lambda s: (-s.score, s.definition.path, s.definition.start)))


def frame_marks(places: Sequence[Place], raises: bool) -> list[Mark]:
    """Marks of a trace's places (innermost first); `raises` says that the innermost one raises on purpose."""
    marks = []
    for step, place in enumerate(places):
        if place.definition is None or place.definition.kind == "class":
            continue
        weight = FRAME * STEP**step * (RAISER if raises and step == 0 else 1)
        out = place.inner
        word = f"{out} own frame{'s' * (out > 1)} further out" if out else "the innermost frame of this project"
        marks.append(Mark("frame", place.definition, weight, word, place.line))
    return marks


def named_marks(named: Iterable[tuple[str, Definition, int]]) -> list[Mark]:
    """Marks of the definitions that the question names."""
    return [
        Mark(
            "named",
            definition,
            (NAMED_CLASS if definition.kind == "class" else NAMED) / number,
            f"the question names `{name}`",
        )
        for name, definition, number in named
    ]


def changed_marks(changed: Iterable[Touched]) -> list[Mark]:
    """Marks of functions that the present changes touch."""
    return [
        Mark(
            "changed",
            touched.definition,
            COMMITTED if is_commit(touched.change.where) else CHANGED,
            f"{'added' if touched.new else 'changed'} ({touched.change.where})",
            touched.line,
        )
        for touched in changed
    ]


def is_commit(where: str) -> bool:
    """True when a change's `where` is a commit."""
    return re.fullmatch(r"[0-9a-f]{7,40}", where) is not None
