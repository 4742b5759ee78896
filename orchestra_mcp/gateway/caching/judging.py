"""Whether an answer to one question answers another one: a number from what differs, and the class of the difference.

The number is the product of two logistic regressions over `FEATURES`: that it is not another question of the same kind
(a near-miss), and that it is not about something else altogether (a stranger); what speaks against the one often speaks
for the other. Their weights are data, `weights.json`, which `benchmarks/similar.py --fit` makes from the half of the
labelled pairs that is not held back. The number says how likely two questions of *those pairs* are the same one; how often offers are right elsewhere only judged offers tell (`lower`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal, NamedTuple

from orchestra_mcp.gateway.caching.likeness import Difference, compare

Kind = Literal["plain", "filler", "synonym", "reworded"]
"""What differs: only case, punctuation and politeness; other words that say little; also words that mean the same; more."""
Z: Final = 1.96
"""Of the Wilson bound: with all offers right it reaches .99 after 381 of them (n ≥ .99/.01 · z²)."""
SERVED: Final = 0.99
FILLER_SCORE: Final = 0.95

FEATURES: Final[dict[str, Callable[[Difference, float], float]]] = {
    "cosine": lambda _, c: c,
    "cosine, words on both sides": lambda d, c: c * (min(d.only) > 0),
    "cosine, many words": lambda d, c: c * (max(d.only) > 2),
    "cosine, up to .6": lambda _, c: min(c, 0.6),
    "frame": lambda d, _: d.frame,
    "frame, words on both sides": lambda d, _: d.frame * (min(d.only) > 0),
    "opposite": lambda d, _: min(d.opposite, 2),
    "swapped": lambda d, _: min(d.swapped, 1),
    "negation": lambda d, _: min(d.negation, 2),
    "frame, negation": lambda d, _: d.frame * (d.negation > 0),
    "hard": lambda d, _: min(d.hard, 3),
    "related": lambda d, _: min(d.related, 3),
    "shared": lambda d, _: min(d.shared, 6),
    "overlap": lambda d, _: (d.shared + d.related) / max(1, d.shared + d.related + sum(d.only)),
    "overlap, up to .3": lambda d, _: min(0.3, (d.shared + d.related) / max(1, d.shared + d.related + sum(d.only))),
    "nothing shared": lambda d, _: float(d.shared + d.related == 0),
    "words only one has": lambda d, _: min(min(d.only), 4),
    "order": lambda d, _: d.order,
    "lengths": lambda d, _: d.lengths,
    "intent": lambda d, _: float(d.intent),
}
"""Each from the difference and the cosine of the two vectors. Add here, then fit again."""


class Verdict(NamedTuple):
    """What is thought of a pair of questions."""

    score: float
    """Between 0 and 1."""
    kind: Kind


class Weights(NamedTuple):
    """Of one family of engines."""

    near: tuple[float, ...]
    """Against near-misses: the intercept, then one for each feature."""
    far: tuple[float, ...]
    """Against strangers."""
    least: float
    """Score from which an answer is offered."""
    cosine: float
    """Cosine from which an earlier question is looked at."""


def family(tag: str) -> str:
    """Which weights go with an embedder: vectors of letters have other cosines than those of meaning."""
    return "lexical" if tag.startswith("lexical") else "semantic"


@lru_cache(maxsize=4)
def weights_for(name: str) -> Weights:
    """The weights of a family, `lexical` or `semantic`."""
    row = json.loads((files("orchestra_mcp.gateway.caching") / "weights.json").read_text("utf-8"))[name]
    near, far = (tuple(row[part][name] for name in ("intercept", *FEATURES)) for part in ("near", "far"))
    return Weights(near, far, row["least"], row["cosine"])


def features(difference: Difference, cosine: float) -> list[float]:
    """The numbers that are weighed."""
    return [float(feature(difference, cosine)) for feature in FEATURES.values()]


def kind_of(difference: Difference) -> Kind:
    """The class of a difference."""
    if difference.plain and not difference.swapped:
        return "plain"
    if difference.only != (0, 0) or difference.order or difference.broken or difference.intent:
        return "reworded"
    return "synonym" if difference.related else "filler"


def judge(one: str, other: str, cosine: float, weights: Weights) -> Verdict | None:
    """What is thought of a pair; None when its difference changes the answer whatever else may be the same.

    Different hard tokens, a direction the other way round, or a negation, an opposite or a word or two exchanged in a
    sentence that is otherwise left as it was: each of them is enough.
    """
    difference = compare(one, other)
    if difference.hard > 1 or difference.swapped or _turned(difference):
        return None
    numbers, kind = [1.0, *features(difference, cosine)], kind_of(difference)
    score = _logistic(weights.near, numbers) * _logistic(weights.far, numbers)
    # The same words in the same order: the regression knows few of these, and takes an unchanged frame for a bad sign.
    return Verdict(max(score, FILLER_SCORE) if kind in ("plain", "filler") else score, kind)


def _logistic(weights: Sequence[float], numbers: Sequence[float]) -> float:
    value = sum(w * x for w, x in zip(weights, numbers, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, value))))


def _turned(difference: Difference) -> bool:
    return difference.frame >= 0.5 and bool(difference.hard or difference.negation or difference.opposite)


def lower(right: int, judged: int, z: float = Z) -> float:
    """Lower end of Wilson's interval for a share; 0 when nothing was judged."""
    if judged <= 0:
        return 0.0
    share = right / judged
    spread = z * math.sqrt(share * (1 - share) / judged + z * z / (4 * judged * judged))
    return (share + z * z / (2 * judged) - spread) / (1 + z * z / judged)


def threshold(judged: Sequence[tuple[float, bool]], least: float) -> float:
    """Score from which one earlier question is offered, after what was said of its offers.

    After vCache (arXiv 2502.03771): one threshold for all questions cannot bound the errors, so that each one has its
    own. Every offer that was wrong lifts it half of the way from there to 1, unless later offers at a lower score
    were right more often than wrong.
    """
    bar = least
    for score, good in judged:
        if not good and score >= bar:
            above = [g for s, g in judged if s >= score]
            if sum(above) < 9 * (len(above) - sum(above)):  # fewer than nine in ten right from there on
                bar = score + (1 - score) / 2
    return bar
