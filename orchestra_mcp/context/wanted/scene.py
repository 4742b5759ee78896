"""What a gatherer sees: the project's eyes, and what the collector has found so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.packing import OVERHEAD, Candidate, estimate_tokens
from orchestra_mcp.paths import aside
from orchestra_mcp.types import Change, Trace

SCORE = 40.0
"""Less than any ranked function (`seeds.RANKED`), more than what only orients: it pushes nothing out."""
MAX_SPOTS = 8
LONG = 160
"""Characters of a line that are shown."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A function that the question is thought to be about."""

    path: str
    name: str
    """Qualified."""
    start: int
    end: int

    @property
    def last(self) -> str:
        """The name without its scopes."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Scene:
    """One question, after the code that it is about was found."""

    eyes: ProjectEvidence
    text: str
    words: frozenset[str]
    """Words and identifiers of the question."""
    spots: tuple[Spot, ...]
    """The best functions, best first."""
    changed: tuple[Spot, ...]
    """Functions that were changed, where the question is about changes."""
    changes: tuple[Change, ...]
    traces: tuple[Trace, ...]
    room: int
    """Tokens for what one gatherer gives."""

    @property
    def near(self) -> tuple[str, ...]:
        """The files of the best functions."""
        return tuple(dict.fromkeys(spot.path for spot in (*self.changed, *self.spots)))


def spots(candidates: Iterable[Candidate]) -> tuple[Spot, ...]:
    """The functions among candidates, best first, the project's own code before tests and examples."""
    ordered = sorted(
        (c for c in candidates if c.symbol and c.start), key=lambda c: (aside(c.path), -c.score, c.path, c.start)
    )
    found: dict[tuple[str, str], Spot] = {}
    for c in ordered:  # the same function may be there for several reasons: its best one counts
        found.setdefault((c.path, c.symbol), Spot(c.path, c.symbol, c.start, c.end))
    return tuple(found.values())[:MAX_SPOTS]


def listing(lines: Sequence[str], why: str, room: int) -> list[Candidate]:
    """A note of as many whole lines as there is room for; nothing when there are no lines."""
    kept: list[str] = []
    left = room - OVERHEAD - 8  # for the line about what is missing
    for line in dict.fromkeys(lines):
        left -= estimate_tokens(line) + 1
        if left < 0:
            kept.append(f"… and {len(dict.fromkeys(lines)) - len(kept)} more")
            break
        kept.append(line)
    return [Candidate("note", "\n".join(kept), why, SCORE, limit=room)] if lines and len(kept) > (left < 0) else []


def shown(line: str) -> str:
    """A line of code as it is listed."""
    line = " ".join(line.split())
    return line if len(line) <= LONG else line[: LONG - 1] + "…"
