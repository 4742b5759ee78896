"""How probable it is that the first solution is right, and how well such figures have kept their word. Pure.

A logistic of six numbers and of what running the answer showed, one set of coefficients for each way in which agreement
can be known. They ship fitted on stored answers of real models, and the user's own outcomes move them from there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestra_mcp.council.scales.weights import UNCITED, logit, vote
from orchestra_mcp.types import EvidenceKind

Features = tuple[float, ...]
"""x = (1, share, margin, highest logit among the winners, mean logit of all, ln of the winners' number)."""

COMPARED = (-1.63, 1.02, 1.31, 0.78, -0.15, 0.47, 1.0)
"""Fitted without feedback on councils over MMLU-Pro, where answers are the same or not. The last one is the factor of the
proof: 1 takes its log-odds at their word, and where a user's own test cases tell little, outcomes lower it."""
EXECUTED = (-1.73, 0.39, 2.33, 0.49, 0.17, 1.60, 1.0)
"""Fitted on councils over HumanEval, where programs were run on the same inputs."""

FIRST_FIT = 20
"""Outcomes of one group of kinds from which on its coefficients move."""
CALIBRATED = 100
"""Outcomes from which on the figure may be called calibrated on the user's own."""
SHRINKAGE = 3.0
"""λ: the coefficients are normal around the shipped ones with variance 1 / 2λ; 2.5 to 5 are as good on stored answers."""


class Group(NamedTuple):
    """Kinds of evidence that share coefficients."""

    kinds: tuple[EvidenceKind, ...]
    beta: tuple[float, ...]
    capped: bool
    """True where agreement was read off, not tested; then p is at most the best winner's own rate + .05."""


GROUPS = (
    Group(("executed",), EXECUTED, False),
    Group(("exact", "same-code", "entailed"), COMPARED, False),
    Group(("cited", "reviewed"), COMPARED, True),
    Group(("text-only", "single", "none"), COMPARED, True),
    # add here
)
UNSHOWN: tuple[EvidenceKind, ...] = ("text-only", "single", "none")
"""Kinds by which no agreement was shown."""


class Outcome(NamedTuple):
    """What was known before one answer, and what became of it."""

    x: Features
    right: bool
    weight: float = 1.0
    proof: float = 0.0
    """What running the answer showed, in log-odds, as `Verdict.proof`."""


def group_of(kind: EvidenceKind) -> Group:
    """The kinds that share their coefficients with this one."""
    return next(group for group in GROUPS if kind in group.kinds)


def features(clusters: Sequence[Sequence[float]], kind: EvidenceKind) -> Features:
    """The six numbers of one set of answers.

    Share and margin are of plain votes (`weights.vote`), not of fitted weights: a seat whose vote was taken from it
    still says something by contradicting. Where no agreement was shown (`text-only`, `single`, `none`) it is as if the
    heaviest voice stood alone: two texts that differ in words need not differ in what they say, nor the reverse.

    Args:
        clusters: for each solution, the first one first, the probability of being right of each of its seats.
        kind: by what the agreement is known; where answers were compared exactly or executed and all differ, that
            is known exactly too, so hand in `exact` or `executed` rather than `single`.
    """
    everyone = [p for cluster in clusters for p in cluster]
    mean = sum(map(logit, everyone)) / len(everyone)
    best = max(clusters[0])
    if kind in UNSHOWN:
        share = max(map(vote, everyone)) / sum(map(vote, everyone))
        return (1.0, share, share, logit(best), mean, 0.0)
    sizes = [sum(map(vote, cluster)) for cluster in clusters]
    total = sum(sizes)
    margin = (sizes[0] - max(sizes[1:], default=0.0)) / total
    return (1.0, sizes[0] / total, margin, logit(best), mean, math.log(len(clusters[0])))


def probability(
    x: Features,
    kind: EvidenceKind,
    best: float,
    soundness: float = 0.85,
    coefficients: Mapping[str, tuple[float, ...]] | None = None,
    proof: float = 0.0,
) -> float:
    """Probability that the first solution is right, .01 to .97.

    Args:
        x: from `features`, with the same kind.
        kind: by what the agreement is known.
        best: highest probability of being right among the winners; with .05 on top it is the limit for capped kinds.
        soundness: as `weights.soundness` of the best opinion's claims; refuted ones lower p by up to half.
        coefficients: kind → β that replaces the shipped one, as in `Experience.coefficients`.
        proof: what running the first solution showed, in log-odds; evidence beside the agreement, so that it adds up
            and no limit of untested agreement holds for it.
    """
    group = group_of(kind)
    beta = (coefficients or {}).get(kind, group.beta)
    *shares, factor = beta
    # Where agreement was not tested, no more than the best one's own rate; a little more if its citations hold.
    ceiling = min(0.97, best + (0.05 if soundness > UNCITED else 0.0)) if group.capped else 0.97
    p = max(0.01, min(sigmoid(_dot(shares, x)), ceiling) * (0.5 + 0.5 * min(1.0, soundness / UNCITED)))
    # A pass never counts against an answer, nor a miss for it, whatever a handful of outcomes say.
    return min(0.97, max(0.01, sigmoid(logit(p) + max(0.0, factor) * proof))) if proof else p


def refit(outcomes: Sequence[Outcome], prior: tuple[float, ...]) -> tuple[float, ...]:
    """β after these outcomes: the most probable one under N(prior, 1 / 2λ), by Newton's method (IRLS).

    The last coefficient is the proof's. Fewer than `FIRST_FIT` outcomes leave the prior as it is.
    """
    if len(outcomes) < FIRST_FIT:
        return prior
    beta = list(prior)
    # Councils often stand alike, so that few rows carry all outcomes.
    rows: defaultdict[tuple[Features, bool], float] = defaultdict(float)
    for outcome in outcomes:
        rows[(*outcome.x, outcome.proof), outcome.right] += outcome.weight
    for _ in range(25):
        gradient = [2 * SHRINKAGE * (p - b) for p, b in zip(prior, beta, strict=True)]
        curvature = [[2 * SHRINKAGE * (i == k) for k in range(len(beta))] for i in range(len(beta))]
        for (x, right), weight in rows.items():
            p = sigmoid(_dot(beta, x))
            pull, bend = weight * (right - p), weight * p * (1 - p)
            for i, value in enumerate(x):
                gradient[i] += pull * value
                row, scaled = curvature[i], bend * value
                for k in range(i + 1):
                    row[k] += scaled * x[k]
        step = solve(_mirrored(curvature), gradient)
        # A full step may overshoot on the far ends of the logistic; the objective is concave, so shorter ones arrive.
        size = min(1.0, 2.0 / max(1e-12, max(abs(s) for s in step)))
        beta = [b + size * s for b, s in zip(beta, step, strict=True)]
        if max(abs(s) for s in step) < 1e-9:
            break
    return tuple(beta)


def solve(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    """The solution of a small linear system, by Gaussian elimination with pivots.

    Raises:
        ZeroDivisionError: when the matrix is singular.
    """
    rows = [[*row, value] for row, value in zip(matrix, vector, strict=True)]
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, n):
            factor = rows[r][i] / rows[i][i]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    found = [0.0] * n
    for i in reversed(range(n)):
        found[i] = (rows[i][n] - sum(rows[i][k] * found[k] for k in range(i + 1, n))) / rows[i][i]
    return found


def calibration_error(stated: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error: mean distance between what was stated and what came true, over bins of equal width."""
    if not stated:
        return 0.0
    groups: dict[int, list[tuple[float, bool]]] = {}
    for p, y in zip(stated, right, strict=True):
        groups.setdefault(min(bins - 1, int(p * bins)), []).append((p, y))
    return sum(abs(sum(p - y for p, y in group)) for group in groups.values()) / len(stated)


def sigmoid(z: float) -> float:
    """1 / (1 + e^−z), without overflow."""
    return 1 / (1 + math.exp(-z)) if z >= 0 else 1 - 1 / (1 + math.exp(z))


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _mirrored(lower: Sequence[Sequence[float]]) -> list[list[float]]:
    n = len(lower)
    return [[lower[max(i, k)][min(i, k)] for k in range(n)] for i in range(n)]
