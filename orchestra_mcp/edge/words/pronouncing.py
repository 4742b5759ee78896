"""How words and names are said, in the phones of the CMU dictionary.

Names are split into words. A word is looked up: first in `developerwords`, then in the dictionary; then it is taken for
two words welded together; short ones without a vowel are spelled; the rest goes by rules from letters to sounds.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Final

from orchestra_mcp.edge.wake.pronunciation import by_rule, dictionary
from orchestra_mcp.edge.words.developerwords import DIGITS, LETTERS, WORDS
from orchestra_mcp.identifiers import subwords

MOST_WAYS: Final = 3
"""Pronunciations of one word; of a name of several words the same."""

_VOWELS = re.compile(r"[aeiouy]")


class Pronouncer:
    """Looks words up.

    Raises:
        VoiceError: pocketsphinx, which brings the dictionary, is not installed.
    """

    def __init__(self) -> None:
        self._known = dictionary()

    def ways(self, name: str) -> tuple[str, ...]:
        """How a word, a name, or several words are said; the likeliest first, none for what nobody can say."""
        spaced = re.sub(r"(?<=\w)\.(?=\w)", " dot ", name)
        words = [word for part in re.split(r"[^A-Za-z0-9']+", spaced) for word in spoken_parts(part)]
        each = [self.word(word) for word in words]
        if not each or not all(each):
            return ()
        ways = itertools.islice(itertools.product(*each), MOST_WAYS)
        return tuple(dict.fromkeys(" ".join(way) for way in ways))

    def listed(self, word: str) -> tuple[str, ...]:
        """What the dictionary has on a word."""
        return tuple(" ".join(way) for way in self._known.get(word, ())[:MOST_WAYS])

    def word(self, word: str) -> tuple[str, ...]:
        """How one word in lower case, a letter or a number is said."""
        if word in DIGITS:
            return self.listed(DIGITS[word])
        if word.isdigit():
            return tuple(itertools.islice((" ".join(way) for way in itertools.product(*map(self.word, word))), 1))
        if len(word) == 1 and word in LETTERS:
            return (LETTERS[word], "AH") if word == "a" else (LETTERS[word],)
        if word in WORDS:
            ways: list[str] = []
            for way in WORDS[word].split(";"):
                ways += self.listed(way) if way.islower() else [way]
            return tuple(ways[:MOST_WAYS])
        return self.listed(word) or self._welded(word) or spelled_or_guessed(word)

    def _welded(self, word: str) -> tuple[str, ...]:
        for at in sorted(range(3, len(word) - 2), key=lambda at: abs(len(word) - 2 * at)):
            first, second = (self._whole(part) for part in (word[:at], word[at:]))
            if first and second:
                return (f"{first[0]} {second[0]}",)
        return ()

    def _whole(self, part: str) -> tuple[str, ...]:
        ways = WORDS.get(part, "").split(";")[0]
        return (ways,) if ways.isupper() else self.listed(part)


@lru_cache(maxsize=10_000)
def spoken_parts(name: str) -> tuple[str, ...]:
    """`test_loginV2` → test, login, v, 2: a name as the words it is said as."""
    parts: list[str] = []
    for part in [name.lower()] if name.lower() in WORDS or "'" in name else subwords(name):
        letters = re.sub(r"\d", "", part)
        if letters == part or part in WORDS or not letters:
            parts += list(part) if part.isdigit() and len(part) < 5 else [part]
        else:
            parts += [letters, *(digit for digit in part if digit.isdigit())]
    return tuple(parts)


def spelled_or_guessed(word: str) -> tuple[str, ...]:
    """By letters where a word has no vowel or is very short, else by rules."""
    if not word.isalpha() or not word.isascii():
        return ()
    spelled = " ".join(LETTERS[letter] for letter in word)
    if not _VOWELS.search(word):
        return (spelled,) if len(word) <= 6 else ()
    guessed = " ".join(by_rule(word))
    return (guessed, spelled) if len(word) <= 3 else (guessed,)
