"""What an engine made of a wake phrase that it did not quite hear: its first word left out, its main word misspelt. Pure.

The spotter has heard the phrase before any engine is asked, so a call that is only nearly there is read back and not dropped.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache, reduce
from typing import Final

from orchestra_mcp.edge.nouns import Segment
from orchestra_mcp.edge.words.phrase import FILLERS, SPOKEN, STRONG, WEAK, Token, tokens_of

DOUBT: Final = "the wake phrase was not heard clearly"
LIKE: Final = 0.7
"""So much of the main word's sounds is there in the same order (Ratcliff and Obershelp), 0 to 1: `our castra`, not `our kitchen`."""
PIECES: Final = 3
"""The main word may be written as so many."""
LONGEST: Final = 24
"""Letters of what may be the main word."""
OPENERS: Final = frozenset(
    "what why how who whom whose where when which is are am do does did can could should would will shall may must have has had "
    "review check explain show find look tell help compare fix debug describe list give run test write make suggest summarize "
    "read search see add remove change please in about for if there".split()
)  # fmt: skip
"""How a question or a task begins, where no mark separates it from the phrase. Add here."""


def after_nearly(text: str, phrase: str) -> int | None:
    """Where something like the wake phrase ends, with which a text begins and after which somebody asks; None for none.

    Args:
        text: what an engine wrote.
        phrase: two to four words.
    """
    words = phrase.casefold().split()
    main = max(range(len(words)), key=lambda at: (len(words[at]), at))
    wanted = _sound("".join(words[main:]))
    tokens = tokens_of((Segment(text[:200], 0.0, 0.0),))
    first = next((at for at, token in enumerate(tokens) if token.said not in FILLERS), len(tokens))
    spans = [
        (begin, end)
        for begin in range(first, min(first + max(1, main) + 1, len(tokens)))
        for end in range(begin + 1, min(begin + PIECES, len(tokens)) + 1)
    ]
    likeness = {span: _likeness(tokens[slice(*span)], wanted) for span in spans}
    for span in sorted(spans, key=lambda span: -likeness[span]):
        if likeness[span] < LIKE:
            return None
        if _asks(text, tokens, span[1]):
            return tokens[span[1] - 1].end
    return None


def _likeness(tokens: tuple[Token, ...], wanted: str) -> float:
    written = "".join(token.said for token in tokens)
    return SequenceMatcher(None, wanted, _sound(written), autojunk=False).ratio() if len(written) <= LONGEST else 0.0


def _asks(text: str, tokens: tuple[Token, ...], at: int) -> bool:
    """Whether a question begins with this word: by a mark before it, or as questions do."""
    if at == len(tokens):
        return not text[tokens[-1].end :].strip(" \t.,;:!?…")
    marks = tokens[at].before
    opener = re.sub(r"(?:n't|'\w*)$", "", tokens[at].said)
    return bool(STRONG.search(marks) or WEAK.search(marks)) or opener in OPENERS


@lru_cache(maxsize=256)
def _sound(word: str) -> str:
    return reduce(lambda said, rule: rule[0].sub(rule[1], said), SPOKEN, word)
