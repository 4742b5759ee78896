"""Questions by meaning: vectors of what was asked, made in the background, and of what is asked, waited for briefly.

Vectors are optional. They are made by the embedder of `[embedding]` where one that knows meaning is installed or
configured; without one, words alone decide. Nothing is imported or loaded before a consultation has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.gateway.embedding.engine import Engine
from orchestra_mcp.store.base import Store

logger = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""Longest wait for the vector of a question."""
QUIET_S = 20.0
"""A model that takes long to load, and much memory, is loaded only so long after a consultation, in seconds: a process
that ends with its answer never loads it."""
BATCH = 8
"""Old questions whose vectors are made at once."""
PAUSE_S = 0.5
"""Between two batches: they take the processor from nobody for long."""
MOST = 2000
"""Old questions in one go; the rest has its turn after the next consultation."""
WORDS_ONLY, HEAVY = "lexical", "sentence-transformers"
"""Beginnings of tags: of an engine that knows spelling only, and of one that is slow to load."""

Vector = tuple[float, ...]


class Meaning:
    """Makes and keeps vectors of questions.

    Args:
        store: where they are kept.
        engine: makes them; None, or one that knows spelling only: there are none.
        begin: runs a coroutine function in the background, as `TaskGroup.start_soon` does.
        quiet_s: see `QUIET_S`.
    """

    def __init__(
        self, store: Store, engine: Engine | None, begin: Callable[..., object], quiet_s: float = QUIET_S
    ) -> None:
        self._store, self._begin, self._quiet_s = store, begin, quiet_s
        self._engine = None if engine is None or engine.tag.startswith(WORDS_ONLY) else engine
        self._learning = False

    async def of(self, text: str) -> tuple[Vector, str]:
        """The vector of a question and the tag of its embedder; both empty when it is not to be had at once."""
        (found,), tag = await self.all_of((text,))
        return found, tag

    async def all_of(self, texts: Sequence[str]) -> tuple[tuple[Vector, ...], str]:
        """As `of`, for several texts in one go: all of their vectors or none."""
        engine = self._engine
        if engine is not None and texts and (engine.ready or not engine.tag.startswith(HEAVY)):
            with anyio.move_on_after(PATIENCE_S):
                try:
                    return await engine.embed(tuple(texts)), engine.tag
                except OrchestraError as error:
                    logger.debug("no vectors of questions: %s", type(error).__name__)
        return ((),) * len(texts), ""

    def learn_soon(self) -> None:
        """Begin to make the vectors that are missing, unless that is under way; returns at once."""
        if self._engine is not None and not self._learning:
            self._learning = True
            self._begin(self._learn, self._engine)

    async def _learn(self, engine: Engine) -> None:
        try:
            await anyio.sleep(self._quiet_s if engine.tag.startswith(HEAVY) and not engine.ready else 0)
            before: tuple[tuple[str, str], ...] = ()
            for _ in range(0, MOST, BATCH):
                missing = await self._store.memory.unmeant(engine.tag, BATCH)
                if not missing or missing == before:  # the same again: they are not to be kept
                    break
                before = missing
                vectors = await engine.embed(tuple(question for _, question in missing))
                made = tuple((id, vector) for (id, _), vector in zip(missing, vectors, strict=True))
                await self._store.memory.mean(engine.tag, made)
                await anyio.sleep(PAUSE_S)
        except Exception as error:  # noqa: BLE001 - a convenience of later searches, and logged; nobody waits for it
            logger.warning("vectors of past questions were not made: %s", type(error).__name__)
        finally:
            self._learning = False
