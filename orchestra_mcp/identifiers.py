"""Identifiers of code and the words that they are made of. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

PART = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
"""One part of a compound name."""


def subwords(identifier: str) -> list[str]:
    """`parseHTTPReply_v2` → parse, http, reply, v2; in lower case."""
    return [part.lower() for part in PART.findall(identifier)]


_LONGEST = 60
_SHORTEST = 8
"""Of fewer characters nothing is told."""
_LETTER_AFTER_DIGIT = re.compile(r"\d[A-Za-z]")
_HEX = re.compile(r"(?=[a-f]*\d+[a-f]+\d)[0-9a-f]+|(?=[A-F]*\d+[A-F]+\d)[0-9A-F]+")
_ISSUED = re.compile(
    r"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA|LTAI|AKID)[A-Z0-9]{12,}|eyJ\w{9,}|AIza\w{9,}"
)
"""How vendors' keys without digits in plenty begin. Add here."""
_LETTERS = re.compile(r"[a-z]{14,}|[A-Z]{14,}")
_UNSPEAKABLE = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}|[aeiou]{5}|(.)\1\1", re.IGNORECASE)
_VOWEL = re.compile(r"[aeiouyAEIOUY]")


@lru_cache(maxsize=200_000)
def parts_of(word: str) -> tuple[str, ...]:
    """What a word is counted as: its parts, and itself as a whole when it has several; all in lower case.

    Nothing for what is drawn at random (a hash, encoded data, a key): nobody would say it, and nobody should keep it.
    """
    whole = word.strip("_").lower()
    if not whole or len(whole) > _LONGEST or any(map(drawn, word.split("_"))):
        return ()
    parts = [part for part in subwords(word) if len(part) > 1] if whole.isascii() else [whole]
    return (whole, *parts) if parts != [whole] else (whole,)


def drawn(text: str) -> bool:
    """True for letters and digits that look drawn at random, not made of words. A judgement: short ones pass."""
    size = len(text)
    if size < _SHORTEST:
        return False
    breaks = len(_LETTER_AFTER_DIGIT.findall(text))
    if breaks >= (2 if size >= 20 else 3) or _HEX.fullmatch(text) or _ISSUED.fullmatch(text):
        return True
    if size < 16:
        return False
    parts = PART.findall(text)
    odd = sum(
        len(part) == 1 or (not part.islower() and part[1:2].isupper()) or not _VOWEL.search(part) for part in parts
    )
    if len(parts) * 3.6 > size and odd * (3 if size >= 24 else 2) >= len(parts):
        return True
    return any(_UNSPEAKABLE.search(run) for run in _LETTERS.findall(text))
