"""Common English words: what competes with the templates of the embedded engine, and what a repair must not touch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def common_words() -> tuple[str, ...]:
    """Eight thousand words, the commonest first: by the unigrams of the language model in the wheel of pocketsphinx."""
    return tuple((Path(__file__).parent / "common.txt").read_text("utf-8").split())


@lru_cache(maxsize=1)
def common_set() -> frozenset[str]:
    """The same, for looking up."""
    return frozenset(common_words())
