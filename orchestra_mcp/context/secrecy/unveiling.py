"""Text as a reader would take it, for looking for secrets: without what is invisible, look-alikes as plain letters. Pure.

A key with a colour code, a zero-width space or a NUL in it, or in full-width letters, is still a key for whoever copies
it. The places of the plain text are mapped back to the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field

_VEIL = re.compile(
    "(?:\x1b\\[[0-?]{0,40}[ -/]{0,8}[@-~]"  # CSI sequences (ECMA-48 §5.4), such as colours
    "|\x1b\\][^\x07\x1b\n]{0,400}(?:\x07|\x1b\\\\)"  # OSC, such as links
    "|[\x00-\x08\x0e-\x1f\x7f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e01ef])+"
)
_ALIKE = re.compile("[\u0130\uff01-\uff5e\U0001d400-\U0001d7ff]")  # İ: its lower case is two characters


@dataclass(frozen=True)
class Plain:
    """A text without veils, and how to find its places in the original."""

    text: str
    cuts: tuple[int, ...] = ()
    """Where in `text` something was left out, in order."""
    lengths: tuple[int, ...] = ()
    """How many characters were left out up to and with each cut."""
    seams: frozenset[int] = field(default_factory=frozenset)
    """The cuts, for looking one up."""

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The place in the original: from the first to behind the last character."""
        return start + self._before(start), max(start, end - 1) + self._before(max(start, end - 1)) + (end > start)

    def _before(self, at: int) -> int:
        index = bisect_right(self.cuts, at)
        return self.lengths[index - 1] if index else 0


def unveil(text: str) -> Plain:
    """The text as it is read. Costs next to nothing for text that hides nothing."""
    cuts: list[int] = []
    lengths: list[int] = []
    if _VEIL.search(text):
        kept, at, gone = [], 0, 0
        for veil in _VEIL.finditer(text):
            kept.append(text[at : veil.start()])
            cuts.append(veil.start() - gone)
            gone += veil.end() - veil.start()
            lengths.append(gone)
            at = veil.end()
        text = "".join([*kept, text[at:]])
    if not text.isascii():
        text = _ALIKE.sub(_letter, text)
    return Plain(text, tuple(cuts), tuple(lengths), frozenset(cuts))


def _letter(match: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFKC", match[0])
    return "I" if match[0] == "\u0130" else plain if len(plain) == 1 else match[0]
