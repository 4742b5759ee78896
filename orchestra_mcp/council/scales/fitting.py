"""What many outcomes say of several seats together: weights that foretell them best, how far errors go together, and who
was asked the hard questions. Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import combinations
from operator import mul
from statistics import NormalDist
from typing import NamedTuple

from orchestra_mcp.council.scales.confidence import sigmoid, solve
from orchestra_mcp.council.scales.records import Hit, age, hits_of, model_key
from orchestra_mcp.council.scales.weights import RHO, logit
from orchestra_mcp.types import Label

LEARNED = 100
"""Labels with at least three of the seats, from which on the weights themselves are fitted."""
RIDGE = 3.0
COMMON = 30
"""Labels that two seats share, from which on their error correlation is believed."""


class Choice(NamedTuple):
    """One label as the fit sees it: for each option the seats that chose it, and which option was right.

    The last option has no seats: none of the answers was right.
    """

    options: tuple[tuple[int, ...], ...]
    right: int


def fitted(
    weights: dict[str, float], models: Mapping[str, str], labels: Sequence[Label], now: datetime
) -> dict[str, float]:
    """Weights that make the labelled outcomes most probable, kept only where they foretell outcomes held out better.

    A conditional logit (McFadden 1974): P(option) ∝ exp(Σ weights of its seats), drawn towards the formula's weights.
    """
    names = list(weights)
    place = {models[name]: index for index, name in enumerate(names)}
    start = [weights[name] for name in names]
    usable = 0
    masses: list[dict[Choice, float]] = [defaultdict(float) for _ in range(5)]
    for label in labels:
        choice = _choice(label, place)
        if choice:
            masses[usable % 5][choice] += label.weight * age(label, now)
            usable += 1
    if usable < LEARNED:
        return weights
    everything: dict[Choice, float] = defaultdict(float)
    for mass in masses:
        for choice, weight in mass.items():
            everything[choice] += weight
    best = _fit(everything, start, start)
    before = after = 0.0
    for held in masses:
        rest = {choice: weight - held.get(choice, 0.0) for choice, weight in everything.items()}
        trained = _fit({c: w for c, w in rest.items() if w > 1e-9}, start, best, steps=3)
        before += _loss(held, start)
        after += _loss(held, trained)
    return {name: best[place[models[name]]] for name in names} if after < before else weights


def _choice(label: Label, place: Mapping[str, int]) -> Choice | None:
    options = [tuple(sorted(place[m] for m in map(model_key, c) if m in place)) for c in label.clusters]
    if sum(map(len, options)) < 3:
        return None
    if label.right is not None:
        right = options[label.right]
        kept = sorted({o for o in options if o})
        return Choice((*kept, ()), kept.index(right) if right else len(kept))
    if set(label.wrong) >= set(range(len(options))):
        kept = sorted({o for o in options if o})
        return Choice((*kept, ()), len(kept))
    return None


def _shares(choice: Choice, weights: Sequence[float]) -> list[float]:
    scores = [sum(weights[seat] for seat in option) for option in choice.options]
    top = max(scores)
    odds = [math.exp(score - top) for score in scores]
    total = sum(odds)
    return [odd / total for odd in odds]


def _loss(choices: Mapping[Choice, float], weights: Sequence[float]) -> float:
    return -sum(mass * math.log(max(1e-12, _shares(c, weights)[c.right])) for c, mass in choices.items())


def _fit(
    choices: Mapping[Choice, float], prior: Sequence[float], start: Sequence[float], steps: int = 12
) -> list[float]:
    """Newton's method on the penalised log-likelihood; no weight falls below 0."""
    n = len(prior)
    weights = list(start)
    for _ in range(steps):
        gradient = [2 * RIDGE * (p - w) for p, w in zip(prior, weights, strict=True)]
        curvature = [[2 * RIDGE * (i == k) for k in range(n)] for i in range(n)]
        for choice, mass in choices.items():
            chance = [0.0] * n
            for option, p in zip(choice.options, _shares(choice, weights), strict=True):
                for i in option:
                    chance[i] = p
                    for k in option:
                        curvature[i][k] += mass * p
            for i in choice.options[choice.right]:
                gradient[i] += mass
            present = [i for i in range(n) if chance[i]]
            for i in present:
                gradient[i] -= mass * chance[i]
                row = curvature[i]
                for k in present:
                    row[k] -= mass * chance[i] * chance[k]
        free = [i for i in range(n) if weights[i] > 0 or gradient[i] > 0]
        if not free:
            break
        step = solve([[curvature[i][k] for k in free] for i in free], [gradient[i] for i in free])
        moved = list(weights)
        for i, s in zip(free, step, strict=True):
            moved[i] = max(0.0, weights[i] + max(-1.0, min(1.0, s)))
        change = max(abs(a - b) for a, b in zip(moved, weights, strict=True))
        weights = moved
        if change < 1e-6:
            break
    return weights


def correlation(labels: Sequence[Label], models: set[str]) -> float:
    """Mean φ of the errors of two seats over labels that both have; `RHO` where no pair shares enough of them."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for label in labels:
        fate = {hit.model: hit.right for hit in hits_of(label) if hit.model in models}
        for a, b in combinations(sorted(fate), 2):
            counts[a, b][2 * fate[a] + fate[b]] += 1
    found = []
    for neither, second, first, both in counts.values():
        right, rights = first + both, second + both
        n = neither + first + second + both
        if n >= COMMON and 0 < right < n and 0 < rights < n:
            found.append((n * both - right * rights) / math.sqrt(right * (n - right) * rights * (n - rights)))
    return min(0.95, max(0.0, sum(found) / len(found))) if found else RHO


# --------------------------------------------------------------------------------------- unlike questions

SPREAD = 2.2
"""σ of the questions' difficulties in log-odds: most probable on stored answers of real models (2 to 2.5 in four councils
of strong, mixed and weak ones)."""
STEPS = tuple(SPREAD * NormalDist().inv_cdf((k + 0.5) / 9) for k in range(9))
"""Nine equally probable difficulties, which stand for all."""
STRETCH = math.sqrt(1 + math.pi * SPREAD**2 / 8)
"""Ability = STRETCH · logit rate: the mean of σ(θ − δ) over normal difficulties is about σ(θ / STRETCH)."""
Fates = tuple[Hit, ...]
"""What became of the answers to one question."""


def handicaps(cases: Mapping[Fates, float], rates: Mapping[str, float]) -> dict[str, float]:
    """Model → hits that it lost by being asked harder questions than there were; negative where it was asked easier ones.

    A council that asks its strongest seat only where cheaper ones differ would take it for a weak one. So rates are made
    to speak of all labelled questions, asked or not. How hard a question was follows from what became of the others'
    answers to it: an answer is right with probability σ(ability − difficulty) (Rasch 1960), difficulties being normal
    with σ = `SPREAD`. What a model loses with each answer is its expected rate over all questions less the one expected
    on this question from the other answers alone (an augmented estimator: Robins, Rotnitzky and Zhao 1994). Where
    everyone answered everything that comes to nothing, however wrong the model of difficulty is.

    Args:
        cases: what became of the answers to a question → the weight of all questions with these fates.
        rates: model → what is believed of its rate so far; only these models count.
    """
    chances = {model: [sigmoid(STRETCH * logit(rate) - step) for step in STEPS] for model, rate in rates.items()}
    everywhere, answered, expected_there = (dict.fromkeys(rates, 0.0) for _ in range(3))
    total = 0.0
    for fates, mass in cases.items():
        own = {hit.model: hit for hit in fates if hit.model in chances}
        if not own:
            continue
        total += mass
        odds = {hit: [(p if hit.right else 1 - p) ** hit.weight for p in chances[hit.model]] for hit in own.values()}
        seen = [math.prod(at) for at in zip(*odds.values(), strict=True)]
        for model, chance in chances.items():
            hit = own.get(model)
            others = [s / o for s, o in zip(seen, odds[hit], strict=True)] if hit else seen
            expected = sum(map(mul, others, chance)) / sum(others)
            everywhere[model] += mass * expected
            if hit:
                answered[model] += mass * hit.weight
                expected_there[model] += mass * hit.weight * expected
    return {m: answered[m] * everywhere[m] / total - expected_there[m] if total else 0.0 for m in rates}
