"""What the spotter expects to hear: a small language model around the wake phrase.

Common words stand for all other speech. The rivals are what keeps the spotter from waking by mistake: words that sound nearly like
the first word of the phrase before the rest of it, and words that sound nearly like the rest after the first word. They
are found by their pronunciations, so that any phrase gets its own. All of it comes out of the wheel of pocketsphinx:
pronunciations from its dictionary, how common a word is from its large language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from orchestra_mcp.edge.wake import pronunciation as say
from orchestra_mcp.edge.wake.pronunciation import Phones
from orchestra_mcp.errors import VoiceError

LOG10: Final = 0.0001 * 0.4342944819032518
"""pocketsphinx counts in logarithms to the base 1.0001."""
COMMON: Final = 1000
"""Words for all other speech."""
RAREST: Final = -6.6
"""Words that are less common (decimal logarithm) are no rivals: hardly anybody says them."""
RIVALS: Final = 60
"""For each word of the phrase."""
FIRST, REST = -0.1, -0.05
"""Decimal logarithm of the odds that an utterance begins with the phrase, and that its words follow one another."""
DISTINCT: Final = -1.2
"""Odds of a rival that differs from the phrase in a sound of another class."""
ALIKE: Final = -3.5
"""Odds of a rival that a noise or an accent makes out of the phrase itself: it differs by a sound of the same class."""
ALONE: Final = -1.6
"""Odds of a later word of the phrase by itself ("orchestra")."""
DAMPING: Final = -1.6
"""Taken off the odds of common words at middling sensitivity."""
SWING: Final = 1.2
"""Half of it more of that at the highest sensitivity, less at the lowest."""
USUAL, RARITY = -4.2, 1.0
"""A rival that is less common than this (decimal logarithm) is less likely in proportion, to this power."""
LATER: Final = -0.8
"""Added for a rival of a later word: there are many of them."""
RIVAL_SWING: Final = 2.0
"""Half of it is taken off the odds of all rivals at the highest sensitivity, and given to them at the lowest."""
UNKNOWN: Final = -6.0
"""Of a word that the language model does not know."""
NOT_ME: Final = -0.3
"""Odds of a phrase that the wearer has named as a mistake."""


@dataclass(frozen=True, slots=True)
class Language:
    """A dictionary and a language model as the texts of the files that pocketsphinx reads."""

    dictionary: str
    model: str
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


def rivals(word: str, most: int = RIVALS) -> tuple[str, ...]:
    """Words that sound nearly like this one, the nearest and most common first: a short word differs in one sound, a long one in
    up to half of them."""
    ways = say.pronounce(word)
    reach = 1 if len(ways[0]) <= 3 else len(ways[0]) // 2
    common = odds()
    found: list[tuple[int, float, str]] = []
    for other, sounds in say.dictionary().items():
        if other == word or common[other] < RAREST or other in (word + "s", word + "'s"):
            continue
        near = min(say.distance(way, sounds[0], reach) for way in ways)
        if 0 < near <= reach:
            found.append((near, -common[other], other))
    return tuple(other for _, _, other in sorted(found)[:most])


def language(phrase: str, *, sensitivity: float, not_me: Sequence[str] = ()) -> Language:
    """Dictionary and language model for a phrase.

    Args:
        phrase: its words, with a blank between them.
        sensitivity: 0 to 1; more makes other speech less likely beside the phrase.
        not_me: phrases that were mistaken for it.

    Raises:
        VoiceError: a word of it cannot be spoken, or pocketsphinx is missing.
    """
    words = tuple(phrase.split())
    common = odds()
    damping = DAMPING - SWING * (sensitivity - 0.5)
    pairs = _rival_pairs(words, RIVAL_SWING * (sensitivity - 0.5))
    named = [wrong.lower().split() for wrong in not_me]
    pairs.update({pair: NOT_ME for row in named for pair in pairwise(("<s>", *row))})
    pairs["<s>", words[0]] = FIRST
    pairs.update(dict.fromkeys(pairwise(words), REST))
    usual = sorted(common, key=lambda word: -common[word])[:COMMON]
    rest = {word for pair in pairs for word in pair if word != "<s>"}
    single = {word: common.get(word, UNKNOWN) + damping for word in {*usual, *rest}}
    for word in words:
        single[word] = max(single[word], ALONE + damping)
    lines = []
    for word in sorted(single):
        sounds = _all_ways(word) if word in words else say.pronounce(word)[:2]
        lines += [f"{word}{f'({at})' if at > 1 else ''} {' '.join(way)}" for at, way in enumerate(sounds, 1)]
    return Language("\n".join(lines) + "\n", _arpa(single, pairs), words)


def _rival_pairs(words: tuple[str, ...], ease: float) -> dict[tuple[str, str], float]:
    """What may stand in the place of each word of the phrase, and that the phrase goes on after it."""
    common = odds()
    pairs: dict[tuple[str, str], float] = {}
    for at, word in enumerate(words):
        ways = say.pronounce(word)
        for other in rivals(word):
            alike = any(say.alike(way, say.pronounce(other)[0]) for way in ways)
            weight = (ALIKE if alike else DISTINCT) + RARITY * min(0.0, common[other] - USUAL) - ease
            pairs["<s>" if at == 0 else words[at - 1], other] = weight + (LATER if at else 0.0)
            if at + 1 < len(words):
                pairs[other, words[at + 1]] = REST
    return pairs


def _all_ways(word: str) -> tuple[Phones, ...]:
    return tuple(dict.fromkeys(way for usual in say.pronounce(word) for way in say.spoken(usual)))


def _arpa(single: dict[str, float], pairs: dict[tuple[str, str], float]) -> str:
    """The model as text in the ARPA format; what is no pair falls back to single words."""
    rows = {"<s>": -99.0, "</s>": -1.5, **single}
    after = {one for one, _ in pairs}
    text = ["\\data\\", f"ngram 1={len(rows)}", f"ngram 2={len(pairs)}", "", "\\1-grams:"]
    text += [f"{rows[word]:.4f} {word} {-0.2 if word in after else 0:.4f}" for word in sorted(rows)]
    text += ["", "\\2-grams:", *(f"{weight:.4f} {one} {two}" for (one, two), weight in sorted(pairs.items()))]
    return "\n".join([*text, "", "\\end\\", ""])
