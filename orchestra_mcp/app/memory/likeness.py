"""Whether an earlier consultation is about the same thing as a new question. Pure.

Two questions are alike when the words that say something are mostly the same (cosine of their weighted stems), all the
more when they share names of code. The bar is high on purpose: a past case that has nothing to do with the question
costs attention and leads astray, one that is missed costs nothing that was there before. How it was chosen, and what it
gives, is in docs/memory.md; `tests/test_recall.py` measures it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from orchestra_mcp.context.reading.signals import read
from orchestra_mcp.gateway.caching.words import FILLERS, stem
from orchestra_mcp.identifiers import parts_of

ALIKE = 0.6
"""Likeness of words from which a past case is shown."""
MEANT = 0.65
"""Cosine of vectors of meaning from which it is shown."""
LOOKED_AT = 4_000
"""Characters of a question that are compared."""
LEAST_SHARED = 2
"""Words that two questions must share: of one word alone nothing follows."""
A_NAME = 0.15
"""What a shared name of code adds, for at most `MOST_NAMES`."""
MOST_NAMES = 2
TITLE = 2.5
"""What `context.reading.signals` gives a word of the title; the most there is."""
_RAISED = ("error", "exception", "warning")
"""How names of exceptions end: the same kind of failure in other code is another problem."""


def likeness(asked: str, past: str) -> float:
    """How alike two questions are by their words: 0 for nothing in common; above 1 for the same words and names."""
    asked, past = asked[:LOOKED_AT], past[:LOOKED_AT]
    one, other = _terms(asked), _terms(past)
    shared = [term for term in one if term in other]
    if len(shared) < LEAST_SHARED:
        return 0.0
    cosine = sum(one[term] * other[term] for term in shared) / (_length(one) * _length(other))
    return cosine + A_NAME * min(MOST_NAMES, len(names(asked) & names(past)))


@lru_cache(maxsize=1024)
def names(text: str) -> frozenset[str]:
    """Names of code in a text that could not be ordinary words, in lower case, without those of exceptions."""
    found = (name.removesuffix("()") for name in read(text).names)
    return frozenset(name.lower() for name in found if _made(name) and not name.lower().endswith(_RAISED))


def _made(name: str) -> bool:
    return any(mark in name for mark in "._:/#") or name[1:] != name[1:].lower()


@lru_cache(maxsize=1024)
def _terms(text: str) -> Mapping[str, float]:
    """Stem → weight, 0 to 1; a name of an exception counts as a whole, since its parts (`key`, `error`) are about nothing."""
    said = read(text)
    raised = {word for word in said.names if word.lower().endswith(_RAISED)}
    parts = {part for word in raised for part in parts_of(word)[1:]}
    weights: dict[str, float] = {}
    for term, weight in said.terms.items():
        if term not in FILLERS and term not in parts:
            key = stem(term)
            weights[key] = max(weights.get(key, 0.0), min(1.0, weight / TITLE))
    return weights


def _length(weights: Mapping[str, float]) -> float:
    return math.sqrt(sum(weight * weight for weight in weights.values()))
