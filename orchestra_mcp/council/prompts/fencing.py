"""Untrusted text between marks that it can neither contain nor imitate. Pure, but for the dice.

A text is harmless when nothing in it can be taken for the end of its fence (the mark, or a tag that looks like ours, in
whatever letters) or for the council's own word about what was checked. What looks like that is altered, nothing else.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from functools import lru_cache

from orchestra_mcp.foreign import UNSEEN
from orchestra_mcp.types import Check

# What passes for a Latin letter, a digit or a bracket and is not mapped to it by NFKD (Unicode TR39, a part of its
# table). Add here.
_ALIKE = str.maketrans(
    "аерсуохіјѕԁһԛԝтвкмнпгбʋυսոαορτεικνϲցհ‹〈⟨❮≺˂ᐸ❬∕⁄⧸╱‐‑‒–—−⁃",
    "aepcyoxijsdhqwtbkmhnr6uuunaopteikvcgh<<<<<<<<////-------",
)
# Invisible characters inside a word: soft hyphen, joiners, variation selectors, combining marks, fillers.
_INSIDE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0\u0300-\u036f]"
)
_TAG = re.compile(r"<(?=[\s/\\]{0,40}untrusted)")
_CHECKED = re.compile(r"[\[【〔⟦](?=\W{0,12}(?:\w{8}\W{1,4})?(?:verified|refuted|unchecked)\s{0,9}[:\]】〕⟧])")
# Marks by which local servers tell turns of a chat apart; inside of a text they would end it.
_TURN = re.compile(r"<\|(?=[\w/ -]{1,40}\|>)|\[(?=/?INST\])|<(?=<?/?SYS>)|<(?=/?s>)|<(?=/?(?:start|end)_of_turn>)")
MARK_GONE, BRACKET_GONE = "[mark]", "(the author's word: "


class Fence:
    """The marks of one prompt."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(4)

    def around(self, label: str, text: str) -> str:
        """Untrusted text between the marks. `label` is ours."""
        return self.whole(label, self.harmless(text))

    def whole(self, label: str, harmless: str) -> str:
        """Text between the marks whose untrusted parts went through `harmless` one by one."""
        return f'<untrusted-{self.mark} what="{label}">\n{harmless}\n</untrusted-{self.mark}>'

    def harmless(self, text: str) -> str:
        """The text without the mark and without anything that looks like the tags of a fence."""
        text = _TURN.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        plain = skeleton(text)
        if self.mark not in plain and "untrusted" not in plain:
            return text
        return "\n".join(self._line(line) for line in text.split("\n"))

    def said(self, text: str) -> str:
        """What an expert wrote: `harmless`, and without anything that looks like a check of the council."""
        return self.harmless(unstamped(text))

    def stamp(self, check: Check) -> str:
        """What the council found, as only the council can write it: with the mark."""
        return f"[{self.mark} {check.outcome}: {self.said(check.note)}]"

    def _line(self, line: str) -> str:
        plain, places = _mapped(line)
        hits = [(m.start(), m.end(), "[") for m in _TAG.finditer(plain)]
        hits += [(m.start(), m.end(), MARK_GONE) for m in re.finditer(self.mark, plain)]
        return _replaced(line, places, hits)


def unstamped(text: str) -> str:
    """A text in which nothing poses as a check: `[verified: …]` becomes `(the author's word: verified: …]`.

    For words of experts and reviewers that are put beside the council's own, such as in the notes for a chair.
    """
    plain = skeleton(text)
    if not any(word in plain for word in ("verified", "refuted", "unchecked")):
        return text
    return "\n".join(_unstamped(line) for line in text.split("\n"))


@lru_cache(maxsize=256)  # the same evidence stands in every prompt
def skeleton(text: str) -> str:
    """What the text looks like: lower case, look-alike letters as Latin ones, invisible characters left out."""
    return _look(text)


def _look(text: str) -> str:
    if text.isascii():
        return text.lower()
    shown = _INSIDE.sub("", UNSEEN.sub("", unicodedata.normalize("NFKD", text)))
    return shown.casefold().translate(_ALIKE)


def _unstamped(line: str) -> str:
    plain, places = _mapped(line)
    return _replaced(line, places, [(m.start(), m.end(), BRACKET_GONE) for m in _CHECKED.finditer(plain)])


def _mapped(line: str) -> tuple[str, list[int]]:
    """The skeleton of a line, and for each of its characters the one of the line that it comes from."""
    if line.isascii():
        return line.lower(), list(range(len(line)))
    pieces = [(_look(character), index) for index, character in enumerate(line)]
    return "".join(piece for piece, _ in pieces), [index for piece, index in pieces for _ in piece]


def _replaced(line: str, places: list[int], hits: list[tuple[int, int, str]]) -> str:
    """The line with these ranges of its skeleton replaced."""
    for start, end, new in sorted(hits, reverse=True):
        line = line[: places[start]] + new + line[places[end - 1] + 1 :]
    return line
