"""Common English words: what a repair must not touch.

`common.txt`: of the words in the dictionary of pocketsphinx 5 (its model of American English; licence: `common.LICENSE.txt`) that are
letters and apostrophes only, those that weigh most as unigrams of its language model, words of equal weight in the order of the
alphabet, without 36 coarse ones; the first eight thousand.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def common_words() -> tuple[str, ...]:
    """Eight thousand words, the commonest first."""
    return tuple((Path(__file__).parent / "common.txt").read_text("utf-8").split())


@lru_cache(maxsize=1)
def common_set() -> frozenset[str]:
    """The same, for looking up."""
    return frozenset(common_words())
