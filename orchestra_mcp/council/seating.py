"""Who is asked first, who is held back, and why. Pure.

Greedy by track record, a family once while another family is as good; a cheap pair that is good enough opens, since only
disagreement shows that the dear ones are needed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple

from orchestra_mcp.council.scales.experience import Experience
from orchestra_mcp.errors import NotFound
from orchestra_mcp.types import Effort, Question, Seat

OPENERS: Mapping[Effort, int] = {"quick": 1, "standard": 2, "auto": 2, "deep": 3}
FREE_OPENERS = 3
"""Local seats without a price open at once, up to this many: holding them back saves nothing and costs time."""
NEAR_BEST = 0.10
"""An opener may be worse than the best seat by so much: agreement of weaker ones proves too little."""
CHEAP = 0.25
"""What a pair of openers may cost together, by the price of the best seat: with that seat asked on the third of questions
on which openers differ, it all comes to about .6 of its price."""
AS_GOOD = 0.05
"""A second seat of one family is only preferred to another family's where that is worse by more than this."""
EXPLORE = 0.05
"""How often a seat in reserve takes the place of the last opener, so that little-known ones are learned about."""


_Skill = Callable[[Seat], float]


class Seating(NamedTuple):
    """Who opens, and who is asked when openers differ or fail, the strongest first."""

    openers: tuple[Seat, ...]
    reserve: tuple[Seat, ...]
    why: str = ""
    """The choice in one line."""


class Prices(NamedTuple):
    """What one answer of each seat costs, as far as it is known, and who costs nothing."""

    usd: Mapping[str, Decimal]
    free: frozenset[str] = frozenset()

    def of(self, seat: Seat) -> float:
        """US dollars for one answer; a seat of unknown price counts as dear as the dearest."""
        if seat.name in self.free:
            return 0.0
        return float(self.usd.get(seat.name, max(self.usd.values(), default=Decimal(1))))


UNPRICED = Prices({})


def able(seats: Sequence[Seat], question: Question, residents: frozenset[str] = frozenset()) -> tuple[Seat, ...]:
    """Who may be asked at all: those whom the question names, else everyone.

    Raises:
        NotFound: an expert was named who is not seated.
    """
    if not question.experts:
        return tuple(seats)
    known = {seat.name: seat for seat in seats}
    if missing := [name for name in question.experts if name not in known and name not in residents]:
        raise NotFound(f"There is no expert {missing[0]!r}. Seated: {', '.join((*known, *sorted(residents)))}.")
    return tuple(dict.fromkeys(known[name] for name in question.experts if name in known))


def seat_council(
    seats: Sequence[Seat],
    question: Question,
    experience: Experience,
    prices: Prices = UNPRICED,
    effort: Effort = "standard",
    dice: random.Random | None = None,
) -> Seating:
    """Choose who opens.

    Experts that the question names all open, and nobody else is asked. Else the openers come from different families:
    a cheap pair within `NEAR_BEST` of the best seat (for `quick` the best seat alone, for `deep` and a
    debate the best ones whatever they cost).

    Args:
        seats: who may be asked, as `able` gives them.
        question: its experts and strategy count.
        experience: what is known of the seats for this kind of question.
        prices: what an answer of each costs.
        effort: how deep to go; `auto` counts as `standard`.
        dice: for exploration; None means that nobody is tried out.
    """

    def skill(seat: Seat) -> float:
        return experience.skill.get(seat.name, seat.prior)

    ranked = sorted(seats, key=lambda seat: (-skill(seat), prices.of(seat), seat.model_id or seat.model or seat.name))
    if question.experts:
        return Seating(tuple(seats), (), _named(seats))
    if not ranked:
        return Seating((), (), "")
    wanted = OPENERS[effort]
    if question.strategy == "debate":
        wanted = max(wanted, 3)
        chosen = _spread(ranked, wanted, skill)
        why = f"a debate needs the strongest{_apart(chosen)}"
    elif wanted == 1:
        chosen, why = ranked[:1], f"quick effort asks the best one for this ({skill(ranked[0]):.0%} expected)"
    elif effort == "deep":
        chosen = _spread(ranked, wanted, skill)
        why = f"deep effort opens with the strongest{_apart(chosen)}"
    else:
        chosen, why = _pair(ranked, skill, prices)
    if effort != "quick":
        for seat in ranked:
            if len(chosen) < FREE_OPENERS and seat.name in prices.free and seat not in chosen:
                chosen.append(seat)
    chosen, tried = _explore(chosen, ranked, dice)
    why += f"; {tried} is tried out, to learn about it" if tried else ""
    chosen.sort(key=ranked.index)
    names = " and ".join(seat.name for seat in chosen) if len(chosen) < 3 else ", ".join(s.name for s in chosen)
    return Seating(tuple(chosen), tuple(s for s in ranked if s not in chosen), f"{names} opened: {why}.")


def _pair(ranked: Sequence[Seat], skill: _Skill, prices: Prices) -> tuple[list[Seat], str]:
    """Two of different families that are both near the best: the strongest for little, else the cheapest; without such
    a pair the best and the next family."""
    near = [seat for seat in ranked if skill(seat) >= skill(ranked[0]) - NEAR_BEST - 1e-9]
    pairs = [pair for pair in combinations(near, 2) if _family(pair[0]) != _family(pair[1])]
    if pairs and prices.usd:
        budget = CHEAP * prices.of(ranked[0])
        cheap = [pair for pair in pairs if sum(map(prices.of, pair)) <= budget]
        if cheap:
            best = min(cheap, key=lambda pair: (-sum(map(skill, pair)), sum(map(prices.of, pair)), pairs.index(pair)))
            return list(best), "the strongest pair of different families for a quarter of the best expert's price"
        best = min(pairs, key=lambda pair: (sum(map(prices.of, pair)), -sum(map(skill, pair)), pairs.index(pair)))
        return list(best), "the cheapest two of different families within 10 points of the best"
    chosen = _spread(ranked, 2, skill)
    return chosen, f"the strongest{_apart(chosen)}" if len(chosen) > 1 else "there is no other"


def _spread(ranked: Sequence[Seat], wanted: int, skill: _Skill) -> list[Seat]:
    """The strongest seats; a family a second time only where no other one is as good, within `AS_GOOD`."""
    chosen: list[Seat] = []
    while len(chosen) < min(wanted, len(ranked)):
        left = [seat for seat in ranked if seat not in chosen]
        families = {_family(seat) for seat in chosen}
        fresh = [seat for seat in left if _family(seat) not in families]
        take = fresh[0] if fresh and (len(chosen) == 1 or skill(fresh[0]) >= skill(left[0]) - AS_GOOD) else left[0]
        chosen.append(take)
    return chosen


def _explore(chosen: list[Seat], ranked: Sequence[Seat], dice: random.Random | None) -> tuple[list[Seat], str]:
    """Once in a while the least of the openers, never the strongest seat, makes room for one in reserve."""
    reserve = [seat for seat in ranked if seat not in chosen]
    if dice is None or len(chosen) < 2 or not reserve or dice.random() >= EXPLORE:
        return chosen, ""
    last = max(chosen, key=ranked.index)
    others = [seat for seat in reserve if ranked.index(seat) > ranked.index(last)]
    if not others or last == ranked[0]:
        return chosen, ""
    tried = dice.choice(others)
    return [*(seat for seat in chosen if seat != last), tried], tried.name


def _apart(chosen: Sequence[Seat]) -> str:
    return " of different families" if len({_family(seat) for seat in chosen}) == len(chosen) > 1 else ""


def _named(seats: Sequence[Seat]) -> str:
    return f"{', '.join(seat.name for seat in seats)} opened, as they were named." if seats else ""


def _family(seat: Seat) -> str:
    return seat.family or seat.name


def chairs(
    seats: Sequence[Seat], winners: Sequence[str], failed: frozenset[str], experience: Experience
) -> tuple[Seat, ...]:
    """Who may write the synthesis, best first: a non-author of the winning answer within .05 of the strongest, else
    the strongest; the others after that. Seats that failed in this consultation come last."""

    def skill(seat: Seat) -> float:
        return experience.skill.get(seat.name, seat.prior)

    ranked = sorted(seats, key=lambda seat: (-skill(seat), seat.model_id or seat.model))
    if not ranked:
        return ()
    best = skill(ranked[0])
    neutral = [s for s in ranked if s.name not in winners and s.name not in failed and skill(s) >= best - AS_GOOD]
    first = neutral[:1]
    rest = [seat for seat in ranked if seat not in first]
    return (*first, *sorted(rest, key=lambda seat: seat.name in failed))


def judges(
    seats: Sequence[Seat], authors: Sequence[str], failed: frozenset[str], wanted: int, experience: Experience
) -> tuple[Seat, ...]:
    """Who reviews: the most reliable seats, before all those who wrote none of the answers; none in quarantine."""

    def reliability(seat: Seat) -> float:
        return experience.judging.get(seat.name, experience.skill.get(seat.name, seat.prior))

    fit = [seat for seat in seats if seat.name not in failed and experience.judging.get(seat.name, 1.0) > 0]
    return tuple(sorted(fit, key=lambda s: (s.name in authors, -reliability(s), s.model_id or s.model))[:wanted])
