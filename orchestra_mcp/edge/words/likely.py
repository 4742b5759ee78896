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

BONUS: Final = 0.36
"""For a letter, as a natural logarithm. Of the words of synthetic questions .14 are wrong, with .25 .18; with .5 it wrote names where
there are none."""
SHORT: Final = 3
"""A phrase of fewer letters gets nothing."""
_END: Final = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands in the tree."""

    nodes: tuple[Any, ...] = ()
    lent: float = 0.0
    """What is taken back when no phrase is finished."""
    earned: float = 0.0
    """What a phrase that ends here brought; it is taken back when its last word goes on."""


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
        if not piece:  # a part of a letter
            return place, 0.0
        lent = place.lent + (place.earned if piece[0].isalnum() else 0.0)
        went_on = tuple(_along(place.nodes, piece))
        found = (*went_on, *(_along((self._root,), piece) if piece.startswith(" ") else ()))
        if not found:
            return NOWHERE, -lent
        gain = BONUS * len(piece.strip())
        owed = 0.0 if went_on else lent
        lent += gain - owed
        whole = any(_END in node for node in found)
        return (Place(found, 0.0, lent) if whole else Place(found, lent)), gain - owed


def _along(nodes: Iterable[Any], piece: str) -> Iterator[Any]:
    """Where these letters lead, from each of some nodes from which they lead anywhere."""
    for node in nodes:
        for letter in piece:
            if (node := node.get(letter)) is None:
                break
        else:
            yield node


NOTHING: Final = Likely((), ())
"""No word is likelier than another."""


@lru_cache(maxsize=8)
def likely(vocabulary: Vocabulary, pieces: tuple[str, ...]) -> Likely:
    """What is likely in questions about a project."""
    phrases = {*SAID, *WORDS, *_names(vocabulary)}
    return Likely(sorted(one for one in phrases if len(one) >= SHORT), pieces)


def _names(vocabulary: Vocabulary) -> Iterator[str]:
    """Names of a project as they are said.

    One word of English needs no help, but for the name of a file with an ending, of which it is only a part.
    """
    whole = []
    for path in vocabulary.files:
        name = path.rsplit("/", 1)[-1]
        stem, _, ending = name.rpartition(".")
        if said := _said(stem):
            yield from (said, f"{said} dot {ending.lower()}", f"{said}.{ending.lower()}")
        else:  # Makefile, .gitignore
            whole.append(name)
    for name in (vocabulary.project, *vocabulary.identifiers, *vocabulary.branches, *whole):
        if (said := _said(name)) not in common_set():
            yield said


def _said(name: str) -> str:
    return " ".join(part for word in re.split(r"[^\w]+", name) for part in subwords(word))
