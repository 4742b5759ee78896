"""Where the same work could cost less: compares what models cost per answer and what became of their answers. Pure.

The difference of two shares has the interval of Newcombe's hybrid score method (R. G. Newcombe, Statistics in Medicine
17, 1998, 873–890, method 10), which is made of Wilson's intervals for each share and holds for small numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, NamedTuple

ENOUGH = 20
"""Outcomes of each of two models, below which nothing is said about which is better."""
MARGIN = 0.10
"""A cheaper model may be right less often by so much, at the unfavourable end of the interval."""
CHEAPER = 0.8
"""It has to cost at most so much of the other's price."""
Z = 1.6449
"""Of a two-sided interval of 90 %: each of its ends is wrong in one case of twenty."""
CLOSEST = 1e-9


class Paid(NamedTuple):
    """What one model's answers cost, for one use case."""

    use_case: str
    model: str
    answers: int
    usd: Decimal


class Tried(NamedTuple):
    """What became of one model's answers, for one use case; outcomes may count in part."""

    use_case: str
    model: str
    right: float
    known: float


class Interval(NamedTuple):
    """A share or a difference of shares, with its 90 % interval."""

    value: float
    low: float
    high: float


class Advice(NamedTuple):
    """A cheaper target for one use case, and what is known of the difference."""

    use_case: str
    dear: str
    cheap: str
    dear_usd: Decimal
    """What an answer costs on average."""
    cheap_usd: Decimal
    saves_usd: Decimal
    """What the period's answers would have cost less."""
    verdict: Literal["as good", "not told apart", "not enough outcomes"]
    dear_tried: tuple[float, float]
    """Right, and known."""
    cheap_tried: tuple[float, float]
    difference: Interval | None
    """Of the shares that were right, the cheap one's less the dear one's; None without enough outcomes."""


def wilson(right: float, known: float, z: float = Z) -> Interval:
    """A share with Wilson's score interval (E. B. Wilson, JASA 22, 1927); everything is possible when nothing is known."""
    if known <= 0:
        return Interval(0.5, 0.0, 1.0)
    share, square = right / known, z * z / known
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / known + square / (4 * known))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def difference(first: Interval, second: Interval) -> Interval:
    """The first share less the second, by Newcombe's method."""
    value = first.value - second.value
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(-1.0, low), min(1.0, high))


def advise(paid: Iterable[Paid], tried: Iterable[Tried], *, enough: int = ENOUGH) -> tuple[Advice, ...]:
    """For each use case and dear model the best that is known of a cheaper one, what saves most first.

    A cheaper model that is known to be worse by more than `MARGIN` is not named. One that is known to be as good goes
    before one that cannot be told apart, and that before one of which too little is known.

    Args:
        paid: what answers cost, by use case and model.
        tried: what became of answers, by use case and model, under the same names.
        enough: outcomes of each model that a comparison takes.
    """
    outcomes = {(row.use_case, row.model): (row.right, row.known) for row in tried}
    by_case: dict[str, list[Paid]] = {}
    for row in paid:
        if row.answers > 0:
            by_case.setdefault(row.use_case, []).append(row)
    found: list[Advice] = []
    for rows in by_case.values():
        for dear in rows:
            each = dear.usd / dear.answers
            offers = [
                offer
                for cheap in rows
                if cheap.usd / cheap.answers <= each * Decimal(str(CHEAPER)) and each > 0
                if (offer := _compare(dear, cheap, outcomes, enough)) is not None
            ]
            if offers:
                found.append(min(offers, key=_rank))
    return tuple(sorted(found, key=lambda advice: (VERDICTS.index(advice.verdict), -advice.saves_usd)))


VERDICTS = ("as good", "not told apart", "not enough outcomes")


def _rank(advice: Advice) -> tuple[int, Decimal]:
    return VERDICTS.index(advice.verdict), -advice.saves_usd


def _compare(
    dear: Paid, cheap: Paid, outcomes: dict[tuple[str, str], tuple[float, float]], enough: int
) -> Advice | None:
    first = outcomes.get((cheap.use_case, cheap.model), (0.0, 0.0))
    second = outcomes.get((dear.use_case, dear.model), (0.0, 0.0))
    between: Interval | None = None
    verdict: Literal["as good", "not told apart", "not enough outcomes"] = "not enough outcomes"
    if min(first[1], second[1]) >= enough - CLOSEST:
        between = difference(wilson(*first), wilson(*second))
        if between.high < -MARGIN:
            return None
        verdict = "as good" if between.low >= -MARGIN else "not told apart"
    each, other = dear.usd / dear.answers, cheap.usd / cheap.answers
    return Advice(
        dear.use_case,
        dear.model,
        cheap.model,
        each,
        other,
        (each - other) * dear.answers,
        verdict,
        second,
        first,
        between,
    )
