"""The wake phrase in a transcript: what it is written as, and whether it calls or is only spoken of. Pure.

Engines write the phrase by its sound ("hay or kestra", "heyorchestra"), so words are compared by how they are said. Two
measures: one that keeps vowels, whose finds are sure, and one that takes all vowels for the same, whose finds have to be
confirmed. It calls where somebody begins to speak: at the start, after a pause, after a mark of punctuation.

The way over tokens and across segments follows `backend/utils/conversations/wake_word.py` of github.com/BasedHardware/omi.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestra_mcp.edge.nouns import Segment

ACROSS_S: Final = 2.0
"""The phrase may be spread over segments with so much silence between them, in seconds."""
BREATH_S: Final = 0.3
"""From so much silence on somebody begins anew."""
MORE_TOKENS: Final = 3
"""The phrase may be written in so many more words than it has."""
WORD_CHARS: Final = 40
"""A longer word is no part of a phrase."""
FILLERS: Final = frozenset(
    ("um", "uh", "uhm", "erm", "er", "ah", "oh", "hm", "hmm", "mm", "so", "ok", "okay", "well", "and", "right", "alright",
     "yeah", "yes", "no", "now", "then", "please", "anyway", "wait", "sorry")
)  # fmt: skip
"""Words before a call that are none of a sentence."""
TELLING: Final = frozenset(
    ("said", "say", "says", "saying", "told", "tell", "tells", "telling", "call", "called", "calls", "named", "name",
     "phrase", "word", "words", "like", "goes", "went", "shout", "shouted", "yelled", "type", "typed", "write", "wrote")
)  # fmt: skip
"""After one of these and a comma somebody speaks of the phrase: `she said, hey orchestra`."""
TELLING_WITHIN: Final = 3
STRONG: Final = re.compile(r"[.?!…。？！]")
WEAK: Final = re.compile(r"[,;:\"“”„«»(\[\-–—、，；：]")
WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Token:
    """A word where it stands."""

    said: str = field(repr=False)
    """In small letters."""
    segment: int
    end: int
    """Where it ends in the segment's text."""
    before: str = field(repr=False)
    """What is written between it and the word before, in the same segment."""


@dataclass(frozen=True, slots=True)
class Call:
    """The phrase, found."""

    segment: int
    """In which segment it ends."""
    end: int
    """Where it ends in that segment's text."""
    sure: bool
    """False when only about this was heard."""
    first: int
    """In which segment it begins."""


class Phrase:
    """A wake phrase.

    Args:
        words: two to four words.
    """

    def __init__(self, words: str) -> None:
        self.words = tuple(words.casefold().split())
        sounds = [_said(word) for word in self.words]
        self._strict = _strict(sounds)
        self._loose = _loose(sounds)
        self._consonants = _consonants("".join(sounds))
        self._enough = {self._consonants, f"{self._consonants}s", self._consonants.removesuffix("s")}
        """Consonants of all that is written for it."""
        first = self._strict[0]
        self._initials = frozenset(
            letter for letter in LETTERS if any(_said(letter + more)[:1] == first for more in ("", *LETTERS))
        )
        """Letters with which the phrase may begin as it is written."""

    def find(self, segments: Sequence[Segment]) -> Call | None:
        """The first call in some segments, which are in order."""
        found = self._from(tokens_of(segments), 0, segments, {})
        return found[0] if found else None

    def last(self, text: str, call: Call) -> Call:
        """The last of several calls in a text one after the other, of which `call` is the first; each time after one of
        them somebody begins to speak."""
        segments = (Segment(text, 0, 0),)
        tokens, sounds = tokens_of(segments), dict[str, str]()
        at = next((index for index, token in enumerate(tokens) if token.end > call.end), len(tokens))
        while found := self._from(tokens, at, segments, sounds):
            call, at = found
        return call

    def _from(
        self, tokens: Sequence[Token], first: int, segments: Sequence[Segment], sounds: dict[str, str]
    ) -> tuple[Call, int] | None:
        """The first call from a token on, which somebody begins to speak with, and the index of the token after it.

        Args:
            tokens: of the segments.
            first: index of that token.
            segments: that they stand in.
            sounds: how words are said, as far as that was found out; it is kept for no longer than the words are looked at.
        """
        for index in range(first, len(tokens)):
            if tokens[index].said[0] not in self._initials or not _begins(tokens, index, segments, first):
                continue
            if found := self._at(tokens, index, segments, sounds):
                return found
        return None

    def _at(
        self, tokens: Sequence[Token], index: int, segments: Sequence[Segment], sounds: dict[str, str]
    ) -> tuple[Call, int] | None:
        said: list[str] = []  # how
        consonants = ""
        for at in range(index, min(index + len(self.words) + MORE_TOKENS, len(tokens))):
            last = tokens[at]
            if at > index and not _together(tokens[at - 1], last, segments):
                return None
            if len(last.said) > WORD_CHARS:
                return None
            if last.said not in sounds:
                sounds[last.said] = _said(last.said)
            said.append(sounds[last.said])
            consonants = _consonants(consonants + sounds[last.said])
            if not (self._consonants.startswith(consonants) or consonants == self._consonants + "s"):
                return None  # whatever comes, this is something else
            if consonants not in self._enough:
                continue
            sure = _strict(said) == self._strict
            if sure or (at > index and _loose(said) == self._loose):
                return Call(last.segment, last.end, sure, tokens[index].segment), at + 1
        return None


def tokens_of(segments: Sequence[Segment]) -> tuple[Token, ...]:
    """The words of some segments."""
    found = []
    for number, segment in enumerate(segments):
        at = 0
        for match in WORD.finditer(segment.text):
            said = unicodedata.normalize("NFKC", match[0]).casefold().replace("’", "'")
            found.append(Token("okay" if said == "ok" else said, number, match.end(), segment.text[at : match.start()]))
            at = match.end()
    return tuple(found)


def rest_of(text: str, end: int) -> str:
    """What stands in a text after the phrase, without the marks that separate it."""
    return text[end:].lstrip(' \t,.;:!?…-–—"”»)]').strip()


def _together(left: Token, right: Token, segments: Sequence[Segment]) -> bool:
    """True when two words may belong to the same phrase."""
    if left.segment == right.segment:
        return True
    gap = segments[right.segment].start - segments[left.segment].end
    return right.segment == left.segment + 1 and gap <= ACROSS_S


def _begins(tokens: Sequence[Token], index: int, segments: Sequence[Segment], first: int) -> bool:
    """True when somebody begins to speak with this word, as with the `first`, and does not tell of somebody who does."""
    for _ in range(4):
        if index == first:
            return True
        token, before = tokens[index], tokens[index - 1]
        between = token.before
        if token.segment != before.segment:
            left, right = segments[before.segment], segments[token.segment]
            if right.start - left.end >= BREATH_S or (left.speaker and right.speaker and left.speaker != right.speaker):
                return True
            between = left.text[before.end :] + between
        if STRONG.search(between):
            return True
        if WEAK.search(between):
            return not any(one.said in TELLING for one in tokens[max(first, index - TELLING_WITHIN) : index])
        if before.said not in FILLERS:
            return False
        index -= 1
    return False


# ----------------------------------------------------------------------------------------------------- by their sound

SPELLINGS: Final = (
    ("'s$", "z"), ("'", ""), ("ph", "f"), ("^wh", "w"), ("^kn", "n"), ("^wr", "r"), ("sch", "sk"), ("tch", "k"), ("ch", "k"),
    ("ck", "k"), ("qu(?=[ei])", "k"), ("qu", "kw"), ("q", "k"), ("x", "ks"), ("c(?=[eiy])", "s"), ("c", "k"),
    ("eigh|ey|ay|(?:ei|ai|ae)(?![aeiou])", "E"), ("(?<=[aeiouyE])h(?![aeiouyE])", ""),
    ("(?<![aeiouE])y(?![aeiouE])", "i"), ("([^aeiouE])\\1+", "\\1"),
)  # fmt: skip
"""How letters are said, as far as engines mix them up; applied one after the other to a word."""
SPOKEN: Final = tuple((re.compile(pattern), said) for pattern, said in SPELLINGS)
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
MUTE_R: Final = re.compile(r"r(?=[^aeiouEA])")
"""Half of all speakers do not say it, and engines hear both."""


def _said(word: str) -> str:
    for pattern, said in SPOKEN:
        word = pattern.sub(said, word)
    return word


def _consonants(said: str) -> str:
    """Only the consonants, each once in a row, and without r, which half of all speakers do not say."""
    return re.sub(r"(.)\1+", r"\1", re.sub(r"[aeiouEr]", "", said))


def _strict(sounds: Sequence[str]) -> str:
    """How some words, each as it is said, sound when said in one go, with their vowels."""
    joined = "".join(sounds)
    return MUTE_R.sub("", re.sub(r"(.)\1+", r"\1", joined))


def _loose(sounds: Sequence[str]) -> str:
    """The same with all vowels alike, each word's apart, and without an s at the end."""
    joined = MUTE_R.sub("", "".join(re.sub(r"[aeiouE]+", "A", sound) for sound in sounds))
    return re.sub(r"Ar$", "rA", joined.removesuffix("s"))
