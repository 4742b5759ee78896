"""What blind reviews say of the answers, and whose reviews are worth nothing. Pure.

Rankings become a weighted Bradley–Terry model. Whether a judge earns its weight is seen on its past ballots: one that
follows the order of presentation, contradicts all others, or favours its own family, is put in quarantine.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeVar

from orchestra_mcp.council.scales.weights import logit

CHANCE = 0.01
"""How improbable it must be that an honest judge looks like this, before it is put in quarantine."""
RUN = 3
"""Ballots in a row that must follow the presentation."""
WINDOW = 30
"""Ballots of a judge, the latest, on which it is judged."""
SHARED = 10
"""Shared ballots that it takes to say that a judge contradicts the others, or favours its family."""

K = TypeVar("K", bound=Hashable)


class Ranking(NamedTuple):
    """One judge's ranking of candidates: solutions by number, or seats by name."""

    judge: str
    shown: tuple[Hashable, ...]
    """What it saw, in the order in which it saw it."""
    order: tuple[Hashable, ...]
    """Best first; may be partial, what was shown and not ranked comes last."""
    weight: float = 1.0


def reliability(skill: float) -> float:
    """How much a judge's ballot counts before its judging is known: r = max(0, ½ logit p).

    Args:
        skill: probability that its own answer would be right. Who answers well judges well, but not as well.
    """
    return max(0.0, 0.5 * logit(skill))


def strengths(rankings: Sequence[Ranking], candidates: Sequence[K]) -> dict[K, float]:
    """Strength of each candidate from weighted, partial rankings: ln π of a Bradley–Terry model, 0 on average.

    Fitted by Hunter's MM (Annals of Statistics 32, 2004), with half a win of the mean judge's weight between every
    pair as prior, so that unanimity stays finite. Without a ranking of positive weight all are equal.
    """
    wins = _wins(rankings, candidates)
    if not wins:
        return dict.fromkeys(candidates, 0.0)
    strength = dict.fromkeys(candidates, 1.0)
    for _ in range(200):
        before = dict(strength)
        for i in candidates:
            others = [k for k in candidates if k != i]
            played = sum((wins[i, k] + wins[k, i]) / (strength[i] + strength[k]) for k in others)
            strength[i] = sum(wins[i, k] for k in others) / played
        scale = math.exp(sum(math.log(value) for value in strength.values()) / len(strength))
        strength = {key: value / scale for key, value in strength.items()}
        if max(abs(strength[key] - before[key]) for key in candidates) < 1e-8:
            break
    return {key: math.log(value) for key, value in strength.items()}


def without(ranking: Ranking, candidates: Iterable[Hashable]) -> Ranking:
    """The ranking without some candidates, such as those of the judge's own family."""
    out = set(candidates)
    return ranking._replace(
        shown=tuple(key for key in ranking.shown if key not in out),
        order=tuple(key for key in ranking.order if key not in out),
    )


def follows_presentation(ballots: Sequence[Ranking]) -> str:
    """Why a judge is thought to repeat the order in which it is shown the answers; empty when it is not.

    Orders are shuffled for each judge, so an honest ballot equals its order by chance once in n! (two answers: every
    other time). The latest ballots in a row must do so against odds of 100 to 1; or, over the last 30, more of them
    than chance gives once in a thousand times.

    Args:
        ballots: all of one judge, oldest first.
    """
    chances, equal = [], []
    for ballot in ballots[-WINDOW:]:
        ranked = tuple(key for key in dict.fromkeys(ballot.order) if key in ballot.shown)
        shown = tuple(dict.fromkeys(ballot.shown))
        if len(shown) < 2 or not ranked:
            continue
        chances.append(1 / math.perm(len(shown), len(ranked)))
        equal.append(ranked == shown[: len(ranked)])
    run = next((i for i, same in enumerate(reversed(equal)) if not same), len(equal))
    lately = run >= RUN and math.prod(chances[-run:]) < CHANCE
    if lately or tail(chances, sum(equal)) < CHANCE / 10:
        return f"ranks in the order of presentation ({sum(equal)} of its last {len(equal)} ballots)"
    return ""


def contradict_everyone(past: Sequence[Sequence[Ranking]]) -> dict[str, str]:
    """Judges whose rankings run against those of all others, each with the reason.

    The mean Kendall τ with the others' ballots on the same answers is below 0 over at least 10 ballots, with two
    different colleagues or more (of two judges who only ever met each other, nobody can say which one is wrong). The
    worst goes first, and the others are looked at again without it.

    Args:
        past: for each consultation, the rankings of all its judges over the same candidates.
    """
    meetings: dict[str, list[tuple[int, str, float]]] = defaultdict(list)
    for number, rankings in enumerate(past):
        for one, other in combinations(rankings, 2):
            tau = kendall(one, other)
            if tau is not None and one.judge != other.judge:
                meetings[one.judge].append((number, other.judge, tau))
                meetings[other.judge].append((number, one.judge, tau))
    found: dict[str, str] = {}
    while True:
        suspects: dict[str, float] = {}
        for judge, met in meetings.items():
            fair = [(number, other, tau) for number, other, tau in met if other not in found]
            shared = {number for number, _, _ in fair}
            if judge not in found and len(shared) >= SHARED and len({other for _, other, _ in fair}) >= 2:
                suspects[judge] = sum(tau for _, _, tau in fair) / len(fair)
        worst = min(suspects, key=lambda judge: (suspects[judge], judge), default="")
        if not worst or suspects[worst] >= 0:
            return found
        found[worst] = f"contradicts all other judges (mean Kendall τ {suspects[worst]:+.2f})"


def favours_family(past: Sequence[Sequence[Ranking]], judge: str, families: Mapping[str, str], own: str) -> str:
    """Why a judge is thought to vote for its own family; empty when it is not.

    On past ballots on which it saw its own family among others, it put it first more often than judges of other
    families did on the same answers: Fisher's exact test, once in a hundred times, over at least 10 of its ballots.
    A family that is simply better is put first by all. Ballots that put their judge's own family first are no measure:
    they may be partial themselves.

    Args:
        past: for each consultation, the rankings of all its judges over seats.
        judge: whose ballots are looked at.
        families: family of each seat, and of each judge, by the names used in the rankings.
        own: the judge's family.
    """
    mine, theirs = [], []
    for rankings in past:
        ballot = next((r for r in rankings if r.judge == judge and r.order), None)
        kin = {key for key in ballot.shown if families.get(str(key)) == own} if ballot else set()
        neutral = [r for r in rankings if kin & set(r.shown) and _neutral(r, families, own)]
        if ballot and neutral and kin != set(ballot.shown):
            mine.append(ballot.order[0] in kin)
            theirs += [r.order[0] in kin for r in neutral]
    if len(mine) >= SHARED and _as_often(sum(mine), len(mine), sum(theirs), len(theirs)) < CHANCE:
        others = f"the others in {sum(theirs)} of {len(theirs)}"
        return f"favours its own family (first in {sum(mine)} of its {len(mine)} ballots, {others})"
    return ""


def kendall(one: Ranking, other: Ranking) -> float | None:
    """Kendall's τ of two rankings over the pairs that both decide; None when there are none."""
    first, second = _places(one), _places(other)
    agree = against = 0
    for a, b in combinations([key for key in first if key in second], 2):
        signs = (first[a] - first[b]) * (second[a] - second[b])
        agree += signs > 0
        against += signs < 0
    return (agree - against) / (agree + against) if agree + against else None


def tail(chances: Sequence[float], successes: int) -> float:
    """Probability of at least so many successes in independent trials with these chances (Poisson binomial, exact)."""
    spread = [1.0]
    for chance in chances:
        spread = [
            (spread[n] * (1 - chance) if n < len(spread) else 0.0) + (spread[n - 1] * chance if n else 0.0)
            for n in range(len(spread) + 1)
        ]
    return min(1.0, math.fsum(spread[successes:]))


def _neutral(ranking: Ranking, families: Mapping[str, str], own: str) -> bool:
    family = families.get(ranking.judge, "")
    first = families.get(str(ranking.order[0]), "") if ranking.order else ""
    return bool(ranking.order) and family != own and not (family and family == first)


def _as_often(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Probability that, of all hits, at least so many fall to the first, were both alike (Fisher, one-sided)."""
    total = hits + other_hits
    ways = sum(math.comb(n, i) * math.comb(other_n, total - i) for i in range(hits, min(n, total) + 1))
    return ways / math.comb(n + other_n, total)


def _places(ranking: Ranking) -> dict[Hashable, int]:
    ranked = [key for key in dict.fromkeys(ranking.order) if key in ranking.shown]
    return {key: ranked.index(key) if key in ranked else len(ranked) for key in ranking.shown}


def _wins(rankings: Sequence[Ranking], candidates: Sequence[K]) -> dict[tuple[K, K], float]:
    counted = [ranking for ranking in rankings if ranking.weight > 0]
    if not counted or len(candidates) < 2:
        return {}
    mean = sum(ranking.weight for ranking in counted) / len(counted)
    wins = {(i, k): 0.5 * mean for i in candidates for k in candidates if i != k}
    for ranking in counted:
        places = _places(ranking)
        for i, k in wins:
            if i in places and k in places and places[i] < places[k]:
                wins[i, k] += ranking.weight
    return wins
