"""Who is asked first, who is held back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchestra_mcp.errors import NotFound
from orchestra_mcp.types import Question, Seat

OPENERS = {"quick": 1, "standard": 2, "auto": 2, "deep": 4}
MAX_SEATS = 4
"""More than four seats add nothing measurable."""
FREE_OPENERS = 3
"""Local seats without a price open at once, up to this many: holding them back saves nothing and costs time."""


class Seating(NamedTuple):
    """Who opens, and who is asked when openers differ or fail; the strongest first."""

    openers: tuple[Seat, ...]
    reserve: tuple[Seat, ...]


def seat_council(
    seats: Sequence[Seat],
    question: Question,
    free: frozenset[str] = frozenset(),
    residents: frozenset[str] = frozenset(),
) -> Seating:
    """Choose openers of different families, strongest first; all that were named when experts were named.

    Args:
        seats: the model seats of this council, in the user's order (which decides between equals).
        question: its `experts` and `effort` count.
        free: names of seats whose calls cost nothing.
        residents: names of the resident analysts, who always sit; naming only them seats no model.

    Raises:
        NotFound: an expert was named who is not seated.
    """
    if question.experts:
        known = {seat.name: seat for seat in seats}
        if missing := [name for name in question.experts if name not in known and name not in residents]:
            raise NotFound(f"There is no expert {missing[0]!r}. Seated: {', '.join((*known, *sorted(residents)))}.")
        return Seating(tuple(dict.fromkeys(known[name] for name in question.experts if name in known)), ())
    ranked = sorted(seats, key=lambda seat: -seat.prior)
    wanted = OPENERS[question.effort]
    if question.strategy == "debate":
        wanted = max(wanted, 3)
    openers = _spread(ranked, wanted)
    if question.effort != "quick":
        for seat in ranked:
            if len(openers) < FREE_OPENERS and seat.name in free and seat not in openers:
                openers.append(seat)
    openers.sort(key=ranked.index)
    return Seating(tuple(openers), tuple(seat for seat in ranked if seat not in openers))


def _spread(ranked: Sequence[Seat], wanted: int) -> list[Seat]:
    """The strongest seats, a family a second time only when every family has been taken."""
    chosen: list[Seat] = []
    families: set[str] = set()
    for again in (False, True):
        for seat in ranked:
            family = seat.family or seat.name
            if len(chosen) < wanted and seat not in chosen and (again or family not in families):
                chosen.append(seat)
                families.add(family)
    return chosen


def chairs(seats: Sequence[Seat], winners: Sequence[str], failed: frozenset[str]) -> tuple[Seat, ...]:
    """Who may write the synthesis, best first: a non-author of the winning answer within .05 of the strongest, else
    the strongest; the others after that. Seats that failed in this consultation come last."""
    ranked = sorted(seats, key=lambda seat: -seat.prior)
    if not ranked:
        return ()
    best = ranked[0].prior
    neutral = [s for s in ranked if s.name not in winners and s.name not in failed and s.prior >= best - 0.05]
    first = neutral[:1]
    rest = [seat for seat in ranked if seat not in first]
    return (*first, *sorted(rest, key=lambda seat: seat.name in failed))


def judges(seats: Sequence[Seat], authors: Sequence[str], failed: frozenset[str], wanted: int) -> tuple[Seat, ...]:
    """Who reviews: reliable seats, before all those who wrote none of the answers."""
    able = [seat for seat in seats if seat.name not in failed]
    return tuple(sorted(able, key=lambda seat: (seat.name in authors, -seat.prior))[:wanted])
