"""The strategies: in which order the targets of a route are asked. The later ones are asked when the earlier fail.

A strategy is one row of `SCORES` (lower goes first), or one of those that count on chance, turn or the written order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from orchestra_mcp.gateway.routing.asked import Asked
from orchestra_mcp.gateway.routing.facts import CEILING, Facts
from orchestra_mcp.gateway.routing.quality import Quality
from orchestra_mcp.gateway.routing.stats import Pace, Stats
from orchestra_mcp.settings.gateway import StrategyName

QUALITY, COST, SECONDS = 10.0, 0.25, 0.02
"""Weights of `balanced`: .1 of the probability of being right is 1 point, ten times the price .58, 50 seconds 1 point.

So ten times the price is worth .058 of the probability of being right, and half a minute .06.
"""
CHEAPEST_USD = 1e-4
"""For `balanced` what costs less costs nothing: the logarithm of a free model's price would outweigh everything."""
CONCURRENT = 10
"""For `least_busy`: calls at a time of a model whose settings do not say."""


class View(NamedTuple):
    """All that a score is made of."""

    facts: Facts
    pace: Pace
    asked: Asked
    use_case: str
    most: int | None
    """Tokens of the answer at most."""
    quality: Quality
    busy: int

    @property
    def usd(self) -> float:
        """Expected cost: the prompt without any cache, and an answer as long as this model's usually are."""
        tokens = self.pace.answer_tokens if self.most is None else min(self.pace.answer_tokens, self.most)
        return (self.facts.tariff or CEILING).cost(self.asked.tokens, tokens)

    @property
    def seconds(self) -> float:
        """Expected time to the end of the answer."""
        return self.pace.seconds(self.most)

    @property
    def right(self) -> float:
        """Probability that the answer is right."""
        return self.quality.rate(self.facts.model_id, self.use_case, self.facts.prior)

    @property
    def load(self) -> float:
        """Share of its places that are taken."""
        return self.busy / (self.facts.concurrent or CONCURRENT)


def _cost(view: View) -> float:
    return view.usd


def _speed(view: View) -> float:
    return view.seconds


def _quality(view: View) -> float:
    return -view.right


def _balanced(view: View) -> float:
    return COST * math.log(max(view.usd, CHEAPEST_USD)) + SECONDS * view.seconds - QUALITY * view.right


def _least_busy(view: View) -> float:
    return view.load


SCORES: dict[StrategyName, tuple[Callable[[View], float], Callable[[float], str]]] = {
    "cost": (_cost, lambda score: f"${score:.6f} expected"),
    "speed": (_speed, lambda score: f"{score:.2f} s expected"),
    "quality": (_quality, lambda score: f"right with {-score:.2f}"),
    "balanced": (_balanced, lambda score: f"{-score:.2f} points"),
    "least_busy": (_least_busy, lambda score: f"{score:.0%} busy"),
    # add here
}
"""Strategy → its score, of which the lowest goes first (the written order decides between equals), and its words."""


class Turn:
    """Whose turn it is, for `round_robin`."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def order(self, fit: Sequence[str], ring: Sequence[str]) -> list[str]:
        """Those that are fit, in the ring's order from the one whose turn it is; the turn goes on behind the first."""
        if not fit:
            return []
        place = {name: index for index, name in enumerate(ring)}
        size = len(ring)
        begin = self._next % size
        ordered = sorted(fit, key=lambda name: (place[name] - begin) % size)
        self._next = place[ordered[0]] + 1
        return ordered


def by_score(
    strategy: StrategyName,
    fit: Sequence[str],
    facts: Mapping[str, Facts],
    asked: Asked,
    *,
    use_case: str,
    most: int | None,
    stats: Stats,
    quality: Quality,
) -> tuple[list[str], str]:
    """Order by one of `SCORES`; also the first one's score, in words."""
    score, words = SCORES[strategy]
    scores = {
        name: score(View(facts[name], stats.pace(name), asked, use_case, most, quality, stats.busy(name)))
        for name in fit
    }
    ordered = sorted(fit, key=scores.__getitem__)
    return ordered, words(scores[ordered[0]])


def drawn(fit: Sequence[str], weights: Mapping[str, float], dice: random.Random) -> list[str]:
    """Draw without putting back, each time by the weights of those that are left.

    Efraimidis and Spirakis (2006), “Weighted random sampling with a reservoir”: sorted by u^(1/w), the largest first;
    here by its logarithm, turned round.
    """
    # 1 - random() is never 0.
    return sorted(fit, key=lambda name: -math.log(1.0 - dice.random()) / weights[name])
