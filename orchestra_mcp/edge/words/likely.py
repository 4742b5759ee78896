"""Words that are likelier here than elsewhere, as a search for words may use them: names of the project, what developers say. Pure.

Shallow fusion with a tree of phrases: every piece of a word that goes on with a phrase is worth a little more, and what was given is
taken back when the phrase is not finished (Zhao et al., "Shallow-Fusion End-to-End Contextual Biasing", Interspeech 2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from orchestra_mcp.edge.nouns import Vocabulary
from orchestra_mcp.edge.words.common import common_set
from orchestra_mcp.edge.words.developerwords import SAID, WORDS
from orchestra_mcp.identifiers import subwords

BONUS: Final = 0.25
"""For a letter, as a natural logarithm; with twice as much it writes names where there are none."""
SHORT: Final = 3
"""A phrase of fewer letters gets nothing."""
_END: Final = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands in the tree."""

    nodes: tuple[Any, ...] = ()
    lent: float = 0.0
    """What is taken back when no phrase is finished."""


NOWHERE: Final = Place()


class Likely:
    """A tree of phrases.

    Args:
        phrases: in small letters, words separated by blanks.
        pieces: what each token says, in small letters.
    """

    def __init__(self, phrases: Iterable[str], pieces: Sequence[str]) -> None:
        self._pieces = pieces
        self._root: dict[str, Any] = {}
        for phrase in phrases:
            node = self._root
            for letter in f" {phrase}":
                node = node.setdefault(letter, {})
            node[_END] = True

    def after(self, place: Place, token: int) -> tuple[Place, float]:
        """Where a text stands after one more token, and what that is worth."""
        if not self._root:
            return NOWHERE, 0.0
        piece = self._pieces[token]
        found, whole = [], False
        for node in (*place.nodes, *((self._root,) if piece.startswith(" ") else ())):
            for letter in piece:
                if (node := node.get(letter)) is None:
                    break
            else:
                found.append(node)
                whole = whole or _END in node
        if not found:
            return NOWHERE, -place.lent
        gain = BONUS * len(piece.strip())
        return Place(tuple(found), 0.0 if whole else place.lent + gain), gain


NOTHING: Final = Likely((), ())
"""No word is likelier than another."""


@lru_cache(maxsize=8)
def likely(vocabulary: Vocabulary, pieces: tuple[str, ...]) -> Likely:
    """What is likely in questions about a project."""
    phrases = {*SAID, *WORDS, *_names(vocabulary)}
    return Likely(sorted(one for one in phrases if len(one) >= SHORT), pieces)


def _names(vocabulary: Vocabulary) -> Iterator[str]:
    """Names of a project as they are said; those that are one word of English need no help."""
    for path in vocabulary.files:
        stem, _, ending = path.rsplit("/", 1)[-1].rpartition(".")
        if said := _said(stem):
            yield from (said, f"{said} dot {ending.lower()}", f"{said}.{ending.lower()}")
    for name in (vocabulary.project, *vocabulary.identifiers, *vocabulary.branches):
        if (said := _said(name)) not in common_set():
            yield said


def _said(name: str) -> str:
    return " ".join(part for word in re.split(r"[^\w]+", name) for part in subwords(word))
