"""What all engines that make vectors share: ready or not, begun in the background, and a memory of recent texts."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

Vector = tuple[float, ...]
MAX_CHARS = 4000
"""Longer texts are cut: no model here reads more than some 250 words."""


class Engine(Protocol):
    """An `Embedder` that may have to be loaded first. Nobody waits for one that is not ready."""

    @property
    def tag(self) -> str:
        """Names what makes vectors comparable: engine, model, version."""
        ...

    @property
    def ready(self) -> bool:
        """Whether `embed` would answer without loading anything first."""
        ...

    def start(self) -> None:
        """Begin to load in the background; returns at once, may be called again."""
        ...

    async def embed(self, texts: tuple[str, ...]) -> tuple[Vector, ...]:
        """One vector of unit length for each text; loads what is not loaded.

        Raises:
            ProviderError: it cannot be done now.
        """
        ...

    async def aclose(self) -> None:
        """End what was begun."""
        ...


class Recent:
    """Wraps an engine; vectors of the texts that were seen last are not made again.

    Args:
        inner: makes the vectors.
        most: texts that are remembered, of at most 4,000 characters each.
    """

    def __init__(self, inner: Engine, most: int = 2000) -> None:
        self.inner = inner
        self._most = most
        self._rows: OrderedDict[str, Vector] = OrderedDict()

    @property
    def tag(self) -> str:
        """That of the engine."""
        return self.inner.tag

    @property
    def ready(self) -> bool:
        """Whether the engine is ready."""
        return self.inner.ready

    def start(self) -> None:
        """Begin to load the engine."""
        self.inner.start()

    async def embed(self, texts: tuple[str, ...]) -> tuple[Vector, ...]:
        """One vector of unit length for each text; see `Engine.embed`."""
        texts = tuple(text[:MAX_CHARS] for text in texts)
        missing = tuple(dict.fromkeys(text for text in texts if text not in self._rows))
        made = dict(zip(missing, await self.inner.embed(missing), strict=True)) if missing else {}
        vectors = tuple(made[text] if text in made else self._rows[text] for text in texts)
        for text, vector in zip(texts, vectors, strict=True):
            self._rows[text] = vector
            self._rows.move_to_end(text)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return vectors

    async def aclose(self) -> None:
        """End the engine."""
        await self.inner.aclose()


def unit(vector: Sequence[float]) -> Vector:
    """The vector at length 1; one of zeros stays as it is."""
    length = math.sqrt(sum(x * x for x in vector))
    return tuple(x / length for x in vector) if length else tuple(vector)
