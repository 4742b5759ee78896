"""Identifiers of code and the words that they are made of. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

PART = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
"""One part of a compound name."""


def subwords(identifier: str) -> list[str]:
    """`parseHTTPReply_v2` → parse, http, reply, v2; in lower case."""
    return [part.lower() for part in PART.findall(identifier)]


_BREAK = re.compile(r"[a-z]\d|\d[a-z]")


@lru_cache(maxsize=200_000)
def parts_of(word: str) -> tuple[str, ...]:
    """What a word is counted as: its parts, and itself as a whole when it has several; all in lower case."""
    whole = word.strip("_").lower()
    if not whole or len(whole) > 60 or (len(whole) > 15 and len(_BREAK.findall(whole)) > 5):
        return ()  # a hash, encoded data, or a secret: no name that anybody would say
    parts = [part for part in subwords(word) if len(part) > 1] if whole.isascii() else [whole]
    return (whole, *parts) if parts != [whole] else (whole,)
