"""Puts names of the project where an engine wrote them as words: `test log in` → `test_login`, `main dot pie` → `main.py`. Pure.

A name replaces some words only when they are the name as it is spoken: the same letters however they are divided, the same
with known mishearings of its parts (`developerwords.HEARD`), or nearly the same by letters and by sound. Names that are
ordinary words stay ordinary words: one word is never replaced by the same word, words that are a phrase of English
(`how do I load settings`, `on close`) only where the sentence treats them as a name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final

from orchestra_mcp.edge.nouns import Vocabulary
from orchestra_mcp.edge.words.common import common_words
from orchestra_mcp.edge.words.developerwords import HEARD, WORDS
from orchestra_mcp.identifiers import subwords

LIKE: Final = 0.84
"""Letters alike, from which on a name may be meant when it sounds alike too."""
LONG: Final = 8
"""Letters of a name, from which on a likeness counts."""
WIDEST: Final = 12
"""Words that may stand for one name."""

_TOKEN = re.compile(r"[A-Za-z0-9']+(?:\.[A-Za-z0-9]+)*")
_JOINTS: Final = {
    "underscore": "",
    "dash": "",
    "hyphen": "",
    "minus": "",
    "slash": "",
    "dunder": "",
    "dot": ".",
    "point": ".",
    "period": ".",
}
_DIGITS: Final = {
    word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_MARKS: Final = frozenset(
    "function method class variable module file branch constant hook test field table fixture decorator type component".split()
)
"""A word beside a name that says that it is one."""
_EXTRA: Final = frozenset("hook file module component script".split())
"""What people put between a file's name and its ending."""
_VERBAL: Final = frozenset(
    "to i we you they please can should must will would could let's and not don't cannot can't then".split()
)
"""After these, words that are a verb and its object are what they say."""
_SMALL: Final = frozenset(
    "a an the is are was be on in at to of by for with as from or and not no it its this that has have had do does did up off out into over "
    "all any if so we you i he she they can will".split()
)  # fmt: skip
"""Words that make a phrase of English."""
_VERBS: Final = frozenset(
    "get set load save fetch run write read make create build calculate compute parse handle add remove delete update find check test use "
    "send start stop open close convert format render apply retry split merge sort print show order call".split()
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repaired:
    """A transcript with names in it."""

    text: str = field(repr=False)
    changes: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """What stood there, and what stands there now."""


@dataclass(frozen=True, slots=True)
class _Name:
    shown: str
    parts: tuple[str, ...]
    welded: frozenset[str]
    """Its letters and digits as they may be written, without anything between."""
    file: bool = False

    @property
    def plain(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower().replace("'", "")


def repair(text: str, vocabulary: Vocabulary) -> Repaired:
    """A transcript with the project's names where they were spoken; what is not nearly certain stays as it is."""
    names = _names(vocabulary)
    tokens = list(_tokens(text))
    if not names.written or not tokens:
        return Repaired(text)
    out, at, changes, number = [], 0, [], 0
    while number < len(tokens):
        found = _best(tokens, number, names)
        if found is None:
            number += 1
            continue
        name, count = found
        start, end = tokens[number].start, tokens[number + count - 1].end
        if text[start:end] != name.shown:
            out += [text[at:start], name.shown]
            at = end
            changes.append((text[start:end], name.shown))
        number += count
    return Repaired("".join([*out, text[at:]]), tuple(changes))


@dataclass(frozen=True, slots=True)
class _Names:
    """All names, to be looked up."""

    written: dict[str, list[_Name]]
    """By each way to write one."""
    sounding: dict[str, list[_Name]]
    """The long ones, by how they sound."""


def _best(tokens: list[_Token], at: int, names: _Names) -> tuple[_Name, int] | None:
    """The name that begins with this word, and how many words it takes; the longest reading first."""
    for count in range(min(WIDEST, len(tokens) - at), 0, -1):
        window = tokens[at : at + count]
        forms = _forms(window)
        for form in forms:
            for name in names.written.get(form, ()):
                if _as_name(name, tokens, at, count):
                    return name, count
        if window[0].low in _SMALL or not forms:
            continue
        for form in forms:
            for name in names.sounding.get(sound(form), ()):
                if _near(name, window, form) and _as_name(name, tokens, at, count):
                    return name, count
    return None


def _forms(window: list[_Token]) -> frozenset[str]:
    """The letters of some words, without what is spoken for a sign; with and without what people add to a file."""
    words = [token.low for token in window]
    if (words[0] in _JOINTS and words[0] != "dunder") or words[-1] in _JOINTS:
        return frozenset()
    joined = "".join(_JOINTS.get(word, _DIGITS.get(word, word)) for word in words)
    found = {joined}
    if "dot" in words:
        before = words.index("dot") - 1
        if before > 0 and words[before] in _EXTRA:
            rest = words[:before] + words[before + 1 :]
            found.add("".join(_JOINTS.get(word, _DIGITS.get(word, word)) for word in rest))
    return frozenset(found)


def _as_name(name: _Name, tokens: list[_Token], at: int, count: int) -> bool:
    """Whether the sentence treats these words as a name, as far as they could be plain English."""
    window = tokens[at : at + count]
    words = [token.low for token in window]
    if name.file or set(words) & {"underscore", "dunder", "slash"}:
        return True
    before = tokens[at - 1].low if at else ""
    after = tokens[at + count].low if at + count < len(tokens) else ""
    marked = before in _MARKS or after in _MARKS
    plain = [part for part in name.parts if part in _common()]
    if len(name.parts) == 1:
        return words != list(name.parts) and name.parts[0] not in _common() and not _SMALL.issuperset(words)
    if marked:
        return True
    if (before in _VERBAL and words[0] in _VERBS) or before in ("a", "an"):
        return False
    if len(plain) < len(name.parts):
        return True
    if before in _VERBAL or words[0] in _SMALL:
        return False
    if len(name.parts) == 2 and set(name.parts) & _SMALL:
        return name.parts[0] in _VERBS
    return True


def _near(name: _Name, window: list[_Token], form: str) -> bool:
    """Whether what sounds the same has nearly the same letters, and no word of English explains the difference."""
    if len(window) > len(name.parts) + 2 or form[:1] != name.plain[:1]:
        return False
    if SequenceMatcher(None, form, name.plain, autojunk=False).ratio() < LIKE:
        return False
    strange = [token.low for token in window if token.low not in name.parts]
    if len(window) == 1 and strange and strange[0] in _common():
        return False
    return all(word not in _common() or sound(word) in sound(name.plain) for word in strange)


@lru_cache(maxsize=16)
def _names(vocabulary: Vocabulary) -> _Names:
    """The names in all the ways that they may be written, files first, since a file's name holds the name of its content."""
    found: dict[str, _Name] = {}
    for path in vocabulary.files:
        shown = path.rsplit("/", 1)[-1]
        stem, dot, ending = shown.rpartition(".")
        if dot and stem:
            parts = tuple(subwords(stem))
            ends = {ending, *(_weld(said) for said in HEARD.get(ending.lower(), ()))}
            welded = frozenset(f"{form}.{end}" for form in _ways(parts) for end in {_weld(end) for end in ends})
            found.setdefault(shown, _Name(shown, (*parts, ending.lower()), welded, file=True))
    for shown in (*vocabulary.identifiers, *vocabulary.branches):
        parts = tuple(subwords(shown))
        if parts and len("".join(parts)) >= 3:
            forms = _ways(parts) | ({"dunder" + "".join(parts)} if shown.startswith("__") else frozenset())
            if re.search(r"\d\.\d", shown):
                forms |= {_weld(re.sub(r"[^\w.]", "", shown.rsplit("/", 1)[-1]))}
            found.setdefault(shown, _Name(shown, parts, frozenset(forms)))
    written: dict[str, list[_Name]] = {}
    sounding: dict[str, list[_Name]] = {}
    for name in sorted(found.values(), key=lambda name: (-len(name.plain), not name.file)):
        for form in name.welded:
            written.setdefault(form, []).append(name)
        if len(name.plain) >= LONG:
            sounding.setdefault(sound(name.plain), []).append(name)
    return _Names(written, sounding)


def _ways(parts: tuple[str, ...]) -> frozenset[str]:
    """All that the parts may be written as, welded; at most some dozens."""
    each = [(part, *(_weld(said) for said in HEARD.get(part, ()))) for part in parts]
    return frozenset("".join(way) for way in itertools.islice(itertools.product(*each), 64))


def _weld(said: str) -> str:
    return said.lower().replace(" ", "")


def _tokens(text: str) -> Iterator[_Token]:
    """The words of a text; `main.pie` is three, the second of which is a dot."""
    for match in _TOKEN.finditer(text):
        at = match.start()
        for piece in re.split(r"(\.)", match[0]):
            if piece:
                yield _Token("dot" if piece == "." else piece, at, at + len(piece))
            at += len(piece)


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    """Words of ordinary English; developers' words are none."""
    return frozenset(word for word in common_words() if word not in WORDS or word in ("main", "fetch", "max"))


_SOUNDS: Final = (
    (r"ph", "f"), (r"ck|q|c(?=[aoulrkt]|$)|ch(?=[rl])", "k"), (r"c(?=[eiy])", "s"), (r"x", "ks"), (r"gh", ""), (r"wh", "w"),
    (r"z", "s"), (r"g(?=[ei])", "j"), (r"dg", "j"), (r"[aeiouyhw]+", "a"), (r"(.)\1+", r"\1"),
)  # fmt: skip


@lru_cache(maxsize=20_000)
def sound(letters: str) -> str:
    """Consonants as they sound, vowels all alike."""
    for pattern, said in _SOUNDS:
        letters = re.sub(pattern, said, letters)
    return letters
