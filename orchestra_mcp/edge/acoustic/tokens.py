"""The vocabulary of Moonshine: pieces of words, with a mark for the blank before a word.

Format of `tokenizer.bin` (github.com/moonshine-ai/moonshine, `core/bin-tokenizer`): for each token its length in bytes, in one byte below 128
and else in two (low seven bits first), and its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

START: Final = 1
END: Final = 2
BLANK: Final = "\u2581"
LONGEST: Final = 24
"""Bytes of a token that is tried in `of`."""


class Tokens:
    """Text to numbers and back.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self._pieces = tuple(_pieces(file.read_bytes()))
        self.said = tuple(piece.decode("utf-8", "ignore").replace(BLANK, " ").lower() for piece in self._pieces)
        """What each token says, in small letters."""
        self._numbers = {piece: number for number, piece in enumerate(self._pieces) if number > END}

    def text(self, numbers: Sequence[int]) -> str:
        """What some tokens say; bytes that are no text are left out."""
        joined = b"".join(self._pieces[number] for number in numbers if number > END)
        return joined.replace(BLANK.encode(), b" ").decode("utf-8", "ignore")

    def of(self, text: str) -> tuple[int, ...]:
        """The fewest tokens that a text is made of; a text that begins with a blank begins a word.

        Bytes of which no token makes anything are left out, as few of them as can be.
        """
        data = text.replace(" ", BLANK).encode("utf-8", "ignore")
        left_out = len(data) + 1  # dearer than any number of tokens
        best: list[tuple[int, int]] = [(0, 0)]
        for end in range(1, len(data) + 1):
            best.append((best[end - 1][0] + left_out, end - 1))
            for start in range(max(0, end - LONGEST), end):
                if data[start:end] in self._numbers and best[start][0] + 1 < best[end][0]:
                    best[end] = (best[start][0] + 1, start)
        found, end = [], len(data)
        while end:
            start = best[end][1]
            if (number := self._numbers.get(data[start:end])) is not None:
                found.append(number)
            end = start
        return tuple(reversed(found))


def _pieces(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length += (data[at] - 1) * 128
            at += 1
        found.append(data[at : at + length])
        at += length
    return found
