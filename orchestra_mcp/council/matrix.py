"""The agreement matrix: what each expert makes of each solution, and by which kind of evidence that is known. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.ranking import Ranked
from orchestra_mcp.council.scales.clustering import Found, same
from orchestra_mcp.types import Opinion, Stance

STRENGTH = ("executed", "verified", "answer", "review", "claim")
"""Kinds of evidence, strongest first: of several stances of one expert on one solution the strongest is shown."""


def matrix(ranked: Sequence[Ranked], minutes: Minutes) -> tuple[Stance, ...]:
    """One stance for each expert and solution of which something is known; by solution, then by seat."""
    told: dict[tuple[int, str], Stance] = {}
    for stance in _stances(ranked, minutes):
        key = (stance.solution, stance.seat)
        if key not in told or STRENGTH.index(stance.evidence) < STRENGTH.index(told[key].evidence):
            told[key] = stance
    return tuple(told[key] for key in sorted(told))


def _stances(ranked: Sequence[Ranked], minutes: Minutes) -> Iterator[Stance]:
    for place, solution in enumerate(ranked, 1):
        for opinion in solution.opinions:
            ran = minutes.found.behaviour(opinion) is not None and solution.evidence == "executed"
            yield Stance(
                seat=opinion.seat,
                solution=place,
                stance="supports",
                evidence="executed" if ran else "answer",
                note=solution.shown if ran else "its own answer",
            )
            for other, rival in enumerate(ranked, 1):
                if other != place:
                    yield _rivalry(opinion, solution, rival, other, minutes.found)
        for defect in solution.defects:
            outcome = defect.claim.check.outcome if defect.claim.check else "unchecked"
            if defect.critic and outcome != "refuted":
                proved = outcome == "verified"
                yield Stance(
                    seat=defect.critic,
                    solution=place,
                    stance="contradicts" if proved else "doubts",
                    evidence="verified" if proved else "claim",
                    note=defect.claim.text,
                )
    yield from _reviews(ranked, minutes)


def _rivalry(opinion: Opinion, own: Ranked, rival: Ranked, place: int, found: Found) -> Stance:
    """What an expert's own solution says of another one: that it is wrong, where both cannot be right."""
    kinds = {same(one, other, found)[0] for one in own.opinions for other in rival.opinions}
    if "executed" in kinds:
        return Stance(
            seat=opinion.seat, solution=place, stance="contradicts", evidence="executed", note="behaves otherwise"
        )
    apart = bool(kinds & {"exact", "entailed"})
    note = "holds another position" if apart else "answers otherwise"
    return Stance(
        seat=opinion.seat, solution=place, stance="contradicts" if apart else "doubts", evidence="answer", note=note
    )


def _reviews(ranked: Sequence[Ranked], minutes: Minutes) -> Iterator[Stance]:
    """Rankings of those who have not answered themselves: the first is supported, the others are doubted."""
    authors = set(minutes.answered())
    of = {seat: place for place, solution in enumerate(ranked, 1) for seat in solution.seats}
    for ballot in minutes.ballots:
        places = list(dict.fromkeys(of[seat] for seat in ballot.ranking if seat in of))
        for index, place in enumerate(places):
            if ballot.judge in authors and index:
                continue  # its own answer says already that it holds something else
            yield Stance(
                seat=ballot.judge,
                solution=place,
                stance="doubts" if index else "supports",
                evidence="review",
                note=f"ranked it {index + 1} of {len(places)}",
            )
