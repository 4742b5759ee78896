"""From an utterance to words: the engine of the settings, the embedded one where it fails, and the project's names for both."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import anyio

from orchestra_mcp.edge.nouns import Heard, Transcriber, Utterance, Vocabulary
from orchestra_mcp.edge.words.repair import repair
from orchestra_mcp.errors import OrchestraError

logger = logging.getLogger(__name__)

TRANSCRIBE_S: Final = 45.0
"""Longest time for one engine; then the embedded one is asked."""
REPLACED: Final = "another engine had to be used"


class _Early:
    """What was begun before it was sure that it is all."""

    def __init__(self, pcm: bytes) -> None:
        self.pcm = pcm
        self.heard: Heard | None = None
        self.done = anyio.Event()


class Understanding:
    """What was said, as sure as that is.

    Args:
        engine: turns sound into words.
        fallback: takes its place where it fails; None: nothing does.
        names: what a project adds to what may be said, by its root.
        may_tell: whether the engine may be told a project's names.
    """

    def __init__(
        self,
        engine: Transcriber,
        fallback: Transcriber | None,
        names: Callable[[str], Awaitable[Vocabulary]],
        may_tell: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._engine, self._fallback, self._names, self._may_tell = engine, fallback, names, may_tell
        self._early: _Early | None = None
        self.trouble: Callable[[str], None] = lambda why: logger.warning("%s", why)
        """Told when the embedded engine had to be used, and why."""

    async def of(self, utterance: Utterance, project: str) -> Heard | None:
        """The words; None when they were not meant for us.

        Args:
            utterance: what was said.
            project: root of the project that it is about, as far as that is known; else empty.

        Raises:
            Exception: no engine could say them; an OrchestraError says why.
        """
        early, self._early = self._early, None
        if early is not None and early.pcm == utterance.pcm:
            await early.done.wait()
            if early.heard is not None:
                return early.heard
        return await self._understood(utterance, project)

    async def _understood(self, utterance: Utterance, project: str) -> Heard | None:
        names = await self._names(project) if project else Vocabulary()
        told = names if project and await self._may_tell(project) else Vocabulary()
        heard = await self._words(utterance, names, told)
        # A better ear than the spotter's did not hear the phrase.
        return None if heard.woken is False and utterance.by == "wake" else heard

    async def begin(self, so_far: Utterance, project: str) -> None:
        """Begin to understand what may be the whole utterance; `of` takes it up. Only on this machine, since nothing is sent
        before it is sure, and one at a time.
        """
        if not self._engine.offline or (self._early is not None and not self._early.done.is_set()):
            return
        early = self._early = _Early(so_far.pcm)
        try:
            early.heard = await self._understood(so_far, project)
        finally:
            early.done.set()

    async def prepare(self, project: str) -> None:
        """Get ready for a project's questions, so that the first one is answered as fast as the others."""
        names = await self._names(project) if project else Vocabulary()
        for engine in (self._engine, self._fallback):
            if engine is not None and engine.offline:
                try:
                    await engine.prepare(names)
                except OrchestraError as error:
                    self.trouble(str(error))

    async def aclose(self) -> None:
        """End what the engines began."""
        for engine in (self._engine, self._fallback):
            if engine is not None:
                await engine.aclose()

    async def _words(self, utterance: Utterance, names: Vocabulary, told: Vocabulary) -> Heard:
        """The words.

        Args:
            utterance: what was said.
            names: those of the project.
            told: those of them that the engine may see; a transcript is mended with all of them here.
        """
        try:
            with anyio.fail_after(TRANSCRIBE_S):
                heard = await self._engine.transcribe(utterance, told)
            return heard if told is names else replace(heard, text=repair(heard.text, names).text)
        except Exception as error:
            if self._fallback is None:
                raise
            slow = isinstance(error, TimeoutError)
            why = str(error) if isinstance(error, OrchestraError) else "too slow" if slow else type(error).__name__
            self.trouble(f"{self._engine.name} failed, the embedded engine is used: {why}")
        heard = await self._fallback.transcribe(utterance, names)
        return replace(heard, doubt=heard.doubt or REPLACED)
