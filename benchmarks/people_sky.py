"""The recordings of "Beneath a Steel Sky" and what is said in them: `sky.dnr` and `sky.dsk`. `people_make.py` uses it.

Formats: ScummVM, engines/sky (disk.cpp, sound.cpp, text.cpp); RNC ProPack, method 1, by Rob Northen. The letters of the texts are spelled with
a tree that is in ScummVM's source only (engines/sky/hufftext.cpp); without it there are no texts.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from people_sources import RAW8, Clip

LICENCE = "Beneath a Steel Sky licence"
SECTIONS = (50_000, 50_600, 51_100, 52_430, 53_380, 54_530, 55_080, 55_230, 59_000)
"""First numbers of the speech of each part of the game; the texts of a part are in file 60600 and those after it."""
Tree = list[tuple[int, int, int]]
"""For each node where 0 leads, where 1 leads, and its letter."""


def sky(tree: Path, downloads: Path) -> Iterator[Clip]:
    """Many actors, 11 kHz, 8 bit; who speaks is not told."""
    files, letters = _files(tree), _letters(downloads)
    for number, data in sorted(files.items()):
        # A sound is packed, and has its size without the header's 22 in both places.
        if (
            not 50_000 <= number < 60_000
            or (data[:2], data[22:26]) != (b"\x81\0", b"RNC\1")
            or data[28:30] == data[13:11:-1]
        ):
            continue
        text = _text_of(number, files, letters) if letters else ""
        yield Clip("sky", str(number), unpacked(data[22:]), RAW8, LICENCE, "", text or None)


def _files(tree: Path) -> dict[int, bytes]:
    index, disk, found = next(tree.rglob("sky.dnr")).read_bytes(), next(tree.rglob("sky.dsk")).read_bytes(), {}
    for at in range(4, len(index) - 7, 8):
        number, place, flags = (int.from_bytes(index[at + a : at + b], "little") for a, b in ((0, 2), (2, 5), (5, 8)))
        place = (place & 0x7FFFFF) << 4 if place >> 23 else place
        found[number] = disk[place : place + (flags & 0x3FFFFF)]
    return found


def _letters(downloads: Path) -> Tree:
    for source in sorted(downloads.glob("scummvm_*.orig.tar.*")):
        asked = ["tar", "xOf", str(source), "--wildcards", "*/engines/sky/hufftext.cpp"]
        code = subprocess.run(asked, capture_output=True, check=True).stdout.decode()
        rows = re.findall(r"\{ (\d+), (\d+), ('.'|'\\.'|\w+) \}", code.split("_huffTree_00372[] =")[1].split("};")[0])
        return [(int(zero), int(one), ord(char[-2]) if "'" in char else int(char, 0)) for zero, one, char in rows]
    return []


def _text_of(number: int, files: dict[int, bytes], letters: Tree) -> str:
    for part, (first, end) in enumerate(pairwise(SECTIONS)):
        if first <= number < end:
            return _text(files[60_600 + part], number - first, letters)
    return ""


def _text(data: bytes, number: int, letters: Tree) -> str:
    """Texts lie 32 to a block; lengths in quarter bytes (of the blocks, then of the texts), then Huffman codes."""
    lengths, start = struct.unpack_from("<2H", data)
    block = number >> 5
    skip = sum(struct.unpack_from(f"<{block}H", data, 4))
    at, words, node = (block << 5) + lengths, "", 0
    bit = 8 * start + 2 * (skip + sum((n & 127) << 3 if n & 128 else n for n in data[at : at + (number & 31)]))
    while bit >> 3 < len(data):
        node, bit = letters[node][1 if data[bit >> 3] >> (7 - (bit & 7)) & 1 else 0], bit + 1
        if letters[node][:2] == (0, 0):
            if not letters[node][2]:
                break
            words, node = words + chr(letters[node][2]), 0
    return words.strip()


class _Bits:
    """Bits of packed data, the lowest of each two bytes first; plain bytes lie between them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.count = data + bytes(4), 18, 16
        self.held = self._two()

    def _two(self) -> int:
        return self.data[self.at] | self.data[self.at + 1] << 8

    def take(self, count: int) -> int:
        value = self.held & ((1 << count) - 1)
        self.held >>= count
        self.count -= count
        if self.count < 16:
            self.at += 2
            self.held |= self._two() << self.count
            self.count += 16
        return value

    def plain(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        self.at += count
        self.held = (self.held & ((1 << (self.count - 16)) - 1)) | self._two() << (self.count - 16)
        return found

    def table(self) -> list[tuple[int, int]]:
        """A Huffman table: leaf and length of its code, by the bits that come."""
        lengths, code, last = [self.take(4) for _ in range(self.take(5))], 0, 0
        found = [(0, 0)] * (1 << max(lengths, default=0))
        for length, leaf in sorted((length, leaf) for leaf, length in enumerate(lengths) if length):
            code, last = code << (length - last), length
            same = slice(int(f"{code:0{length}b}"[::-1], 2), None, 1 << length)
            found[same], code = [(leaf, length)] * len(found[same]), code + 1
        return found

    def number(self, table: list[tuple[int, int]]) -> int:
        leaf, length = table[self.held & (len(table) - 1)]
        self.take(length)
        return leaf if leaf < 2 else (1 << (leaf - 1)) | self.take(leaf - 1)


def unpacked(data: bytes) -> bytes:
    """RNC ProPack, method 1: Huffman-coded runs of plain bytes and references backwards."""
    size, out, bits = int.from_bytes(data[4:8], "big"), bytearray(), _Bits(data)
    bits.take(2)
    while len(out) < size:
        plain, back, long = bits.table(), bits.table(), bits.table()
        for left in range(bits.take(16) - 1, -1, -1):
            out += bits.plain(bits.number(plain))
            if left:
                distance = bits.number(back) + 1
                for _ in range(bits.number(long) + 2):
                    out.append(out[-distance])
    return bytes(out)
