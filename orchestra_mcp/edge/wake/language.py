"""What the spotter expects to hear: a small language model around the wake phrase.

It is counted in sentences: questions of developers and some prose, each of them by itself and again after the wake phrase, and rivals
of the phrase. What follows the phrase matters as much as the phrase: speech that goes on as a question is heard as one. The rivals are
what keeps the spotter from waking by mistake: words that sound nearly like the first word of the phrase before the rest of it,
words that sound nearly like a later word after the first, and pairs of words that sound nearly like a long one. They are found
by their pronunciations, so that any phrase gets its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from orchestra_mcp.edge.wake import pronunciation as say
from orchestra_mcp.edge.wake.ngrams import Row, arpa
from orchestra_mcp.edge.wake.pronunciation import Phones
from orchestra_mcp.errors import VoiceError

LOG10: Final = 0.0001 * 0.4342944819032518
"""pocketsphinx counts in logarithms to the base 1.0001."""
RAREST: Final = -6.6
"""Words that are less common (decimal logarithm) are no rivals: hardly anybody says them."""
RIVALS: Final = 60
"""For each word of the phrase."""
PARTS: Final = 12
"""Words for either part of a long word that is heard as two."""
PART_RAREST: Final = -6.0
PHRASE: Final = 3.0
"""Weight of a sentence after the phrase, at middling sensitivity; 1 is that of the sentence by itself."""
SWING: Final = 2.0
"""Ten to the power of half of it multiplies that weight at the highest sensitivity, and divides it at the lowest."""
ALONE: Final = 40
"""The phrase by itself counts as so many sentences after it."""
FIRST, LATER, SPLIT, LEADS = 60.0, 40.0, 3.0, 60.0
"""Weights of rivals: of the first word, of later ones, of pairs of words for a long one, and of `OPENERS`."""
CONTEXT: Final = 0.5
"""The share of a rival's weight that is followed by a question."""
OPENERS: Final = ("the", "an", "a", "my", "our", "in", "this")
"""What often comes before the rest of a phrase in other talk ("the orchestra")."""
COMMON: Final = 1500
"""Common words that other speech is made of when the phrase is ruled out."""
LOUDEST, FLATTER = 300.0, 20.0
"""Weight of a common word: the first over its rank and the second."""
NOT_ME: Final = 600.0
"""Weight of a phrase that the wearer has named as a mistake."""


@dataclass(frozen=True, slots=True)
class Language:
    """A dictionary and a language model as the texts of the files that pocketsphinx reads."""

    dictionary: str
    model: str
    other_dictionary: str
    other_model: str
    """The same without the phrase: common words and the rivals."""
    words: tuple[str, ...]
    """Of the phrase."""


@lru_cache(maxsize=1)
def odds() -> dict[str, float]:
    """Decimal logarithm of how common each word of the dictionary is; read once (about half a second).

    Raises:
        VoiceError: pocketsphinx is not installed.
    """
    known = say.dictionary()
    try:
        import pocketsphinx
    except ImportError as missing:
        raise VoiceError(say.MISSING) from missing
    model: Any = pocketsphinx.NGramModel.readfile(str(say.model_directory() / "en-us.lm.bin"))
    return {word: model.prob([word]) * LOG10 for word in known}


@lru_cache(maxsize=1)
def _usual() -> tuple[str, ...]:
    """Words that may be rivals at all."""
    return tuple(word for word, common in odds().items() if common >= RAREST)


def rivals(word: str, most: int = RIVALS) -> tuple[str, ...]:
    """Words that sound nearly like this one, the nearest and most common first: a short word differs in one sound, a long one in
    up to half of them."""
    ways = say.pronounce(word)[:1]
    reach = 1 if len(ways[0]) <= 3 else len(ways[0]) // 2
    return _near(ways[0], reach, RAREST, most, frozenset(_all_ways(word)), (word, word + "s", word + "'s"))


@lru_cache(maxsize=64)
def _near(
    way: Phones, reach: int, rarest: float, most: int, same: frozenset[Phones], but: Sequence[str] = ()
) -> tuple[str, ...]:
    """Words within so many sounds of some sounds, but none that is said the same."""
    common, known = odds(), say.dictionary()
    found: list[tuple[int, float, str]] = []
    for other in _usual():
        ways = known[other]
        if common[other] < rarest or other in but or not same.isdisjoint(ways):
            continue
        near = min(say.distance(way, sounds, reach) for sounds in ways)
        if near <= reach:
            found.append((near, -common[other], other))
    return tuple(other for _, _, other in sorted(found)[:most])


def language(phrase: str, *, sensitivity: float, not_me: Sequence[str] = ()) -> Language:
    """Dictionary and language model for a phrase; takes a second or two.

    Args:
        phrase: its words, with a blank between them.
        sensitivity: 0 to 1; more makes the phrase likelier beside other speech.
        not_me: phrases that were mistaken for it.

    Raises:
        VoiceError: a word of it cannot be spoken, or pocketsphinx is missing.
    """
    words = tuple(phrase.split())
    weight = PHRASE * 10 ** (SWING * (sensitivity - 0.5))
    rows: list[Row] = []
    others = _other_speech()
    for sentence in others:
        rows += [(1.0, sentence), (weight, (*words, *sentence))]
    rows.append((weight * ALONE, words))
    first = Counter(sentence[0] for sentence in _questions())
    total = first.total()
    for much, rival in _rivals_of(words):
        rows.append((much * (1 - CONTEXT), rival))
        rows += [(much * CONTEXT * count / total, (*rival, word)) for word, count in first.items()]
    named = [tuple(wrong.lower().split()) for wrong in not_me]
    rows += [(NOT_ME, wrong) for wrong in named if wrong and wrong != words]
    return Language(_dictionary(rows, words), arpa(rows), *_without(words), words)


@lru_cache(maxsize=4)
def _without(words: tuple[str, ...]) -> tuple[str, str]:
    """Dictionary and model of everything but the phrase."""
    same = {way for word in words for way in _all_ways(word)}
    known = say.dictionary()
    common = sorted((word for word in _usual() if same.isdisjoint(known[word])), key=lambda word: -odds()[word])[
        :COMMON
    ]
    rows = [*_rivals_of(words), *((LOUDEST / (rank + FLATTER), (word,)) for rank, word in enumerate(common))]
    return _dictionary(rows, words), arpa(rows, (words[0], words[1]))


def _dictionary(rows: Sequence[Row], words: tuple[str, ...]) -> str:
    """Pronunciations of all words; those of the phrase with the accents."""
    lines = []
    for word in sorted({word for _, row in rows for word in row}):
        sounds = _all_ways(word) if word in words else say.pronounce(word)[:3]
        lines += [f"{word}{f'({at})' if at > 1 else ''} {' '.join(way)}" for at, way in enumerate(sounds, 1)]
    return "\n".join(lines) + "\n"


def _rivals_of(words: tuple[str, ...]) -> Iterator[Row]:
    """What may be said in place of the phrase."""
    for other in rivals(words[0]):
        yield FIRST, (other, *words[1:])
    for opener in OPENERS:
        yield LEADS, (opener, *words[1:])
    for at, word in enumerate(words[1:], 1):
        before, after = words[:at], words[at + 1 :]
        for other in rivals(word):
            yield LATER, (*before, other, *after)
        way = say.pronounce(word)[0]
        if len(way) < 6:
            continue
        for cut in (2, 3):
            heads = _near(way[:cut], 1, PART_RAREST, PARTS, frozenset())
            tails = _near(way[cut:], 3, PART_RAREST, PARTS, frozenset())
            for pair in ((head, tail) for head in heads for tail in tails if word not in (head, tail)):
                yield SPLIT, (*before, *pair, *after)
                yield SPLIT * 0.3, (*pair, *after)


def _all_ways(word: str) -> tuple[Phones, ...]:
    return tuple(dict.fromkeys(way for usual in say.pronounce(word) for way in say.spoken(usual)))


@lru_cache(maxsize=1)
def _other_speech() -> tuple[tuple[str, ...], ...]:
    """Sentences that stand for all other speech: prose (this package's own docstrings) and questions."""
    return (*_lines("other.txt"), *_questions())


@lru_cache(maxsize=1)
def _questions() -> tuple[tuple[str, ...], ...]:
    """Questions of developers: a draw from the templates of `words/templates.py`, written out."""
    return _lines("questions.txt")


def _lines(name: str) -> tuple[tuple[str, ...], ...]:
    """Words of the lines of a file beside this one."""
    text = (Path(__file__).parent / name).read_text("utf-8")
    return tuple(tuple(line.split()) for line in text.splitlines())
