"""Which side of a debate a position line is on. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestra_mcp.council.answers.likeness import NEGATIONS, normal
from orchestra_mcp.types import Opinion

FOR_AND_AGAINST = ("for", "against")
YES = re.compile(r"^\W*(?:for|yes|agree|support|in favou?r|accept|true|correct)\b", re.IGNORECASE)
NO = re.compile(r"^\W*(?:against|no|disagree|oppose|reject|false|incorrect|not)\b", re.IGNORECASE)


def on_its_side(opinion: Opinion, positions: Sequence[str]) -> Opinion:
    """The opinion with the side that it names as its position; what it said stands at the head of its answer."""
    if opinion.position in positions or not (side := side_of(opinion.position, positions)):
        return opinion
    answer = opinion.answer if opinion.position in opinion.answer else f"{opinion.position}\n\n{opinion.answer}"
    return opinion.model_copy(update={"position": side, "answer": answer})


def side_of(position: str, positions: Sequence[str]) -> str:
    """Which of the positions a line begins with, else the only one that it names; empty when that is unclear."""
    plain = position.lower().strip(" *_`\"'.:")
    for side in sorted(positions, key=len, reverse=True):
        if re.match(rf"{re.escape(side.lower())}(?!\w)", plain):
            return side
    if set(positions) == set(FOR_AND_AGAINST):
        return "for" if YES.match(plain) else "against" if NO.match(plain) else ""
    over = re.split(r"\s(?:over|rather than|instead of|and not|not)\s", plain, maxsplit=1)
    if len(over) == 2:
        # Whoever says "Postgres rather than Redis" names both and means the first.
        plain = over[0]
    if set(normal(plain).split()) & NEGATIONS:
        return ""  # whoever says "not Redis" names Redis
    named = [side for side in positions if re.search(rf"(?<!\w){re.escape(side.lower())}(?!\w)", plain)]
    return named[0] if len(named) == 1 else ""
