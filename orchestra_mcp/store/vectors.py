"""Vectors of questions in half precision, and the nearest of them: with numpy where it is installed, else without."""

from __future__ import annotations

import heapq
import struct
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from operator import mul
from typing import Any

SLOW_MOST = 2000
"""Without numpy, so many of the newest vectors are looked at: about 20 ms."""
MOST_NUMBERS = 8_000_000
"""Numbers (of 4 bytes) that are held in memory for all partitions together."""


def pack(vector: Sequence[float]) -> bytes:
    """A vector in half precision: 2 bytes a number."""
    return struct.pack(f"<{len(vector)}e", *vector)


def unpack(blob: bytes) -> tuple[float, ...]:
    """What `pack` made."""
    return struct.unpack(f"<{len(blob) // 2}e", blob)


class Page:
    """The vectors of one partition and one embedder, in the order in which they came. For one thread.

    Args:
        most: the oldest ones beyond this make room.
    """

    def __init__(self, most: int) -> None:
        self._numpy = import_module("numpy") if find_spec("numpy") else None
        self._most = most if self._numpy else min(most, SLOW_MOST)
        self._ids: list[int] = []
        self._flat = array("f")
        self._matrix: Any = None
        self._width = 0
        self.last = 0
        """The highest number that it has."""

    def add(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Put in packed vectors with their numbers; those of another length than the first one are passed over."""
        if not rows:
            return
        self.last = max(self.last, *(number for number, _ in rows))
        self._width = self._width or len(rows[0][1]) // 2
        rows = [row for row in rows if len(row[1]) == 2 * self._width]
        self._matrix = None  # first: an array that lends out its memory cannot grow
        self._ids += [number for number, _ in rows]
        if self._numpy is not None:
            halves = self._numpy.frombuffer(b"".join(blob for _, blob in rows), dtype="<f2")
            self._flat.frombytes(halves.astype(self._numpy.float32).tobytes())
        else:
            for _, blob in rows:
                self._flat.extend(unpack(blob))
        if len(self._ids) > self._most * 5 // 4:
            over = len(self._ids) - self._most
            del self._ids[:over]
            del self._flat[: over * self._width]

    def nearest(self, vector: Sequence[float], count: int, least: float) -> list[tuple[int, float]]:
        """Numbers and cosines (of vectors of unit length), the most similar first."""
        if not self._ids or len(vector) != self._width:
            return []
        if self._numpy is None:
            width, flat = self._width, self._flat
            near = ((sum(map(mul, flat[i * width : (i + 1) * width], vector)), n) for i, n in enumerate(self._ids))
            return [(n, cosine) for cosine, n in heapq.nlargest(count, near) if cosine >= least]
        numpy = self._numpy
        if self._matrix is None:
            self._matrix = numpy.frombuffer(self._flat, dtype=numpy.float32).reshape(-1, self._width)
        cosines = self._matrix @ numpy.array(vector, dtype=numpy.float32)
        best = numpy.argsort(-cosines)[:count] if len(cosines) <= count else _top(numpy, cosines, count)
        return [(self._ids[i], float(cosines[i])) for i in best if cosines[i] >= least]

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return len(self._flat)


def _top(numpy: Any, cosines: Any, count: int) -> Any:
    some = numpy.argpartition(-cosines, count)[:count]
    return some[numpy.argsort(-cosines[some])]


class Shelf:
    """The pages that were used last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pages: OrderedDict[tuple[bytes, str], Page] = OrderedDict()

    def page(self, partition: bytes, tag: str) -> Page:
        """The page of a partition and an embedder, empty when it is new; others make room for it."""
        key = partition, tag
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = Page(self._most)
        self._pages.move_to_end(key)
        while len(self._pages) > 1 and sum(p.numbers for p in self._pages.values()) > MOST_NUMBERS:
            self._pages.popitem(last=False)
        return page
