"""Opens Orchestra when a tool first needs it, in a task of its own, and closes it when the server ends.

Opening costs imports, a database and a look at the settings, and none of that may delay the first reply.
A task of its own is needed because what is entered in one task must be left in the same task, and tool
calls come and go.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import anyio
import anyio.to_thread

from orchestra_mcp.errors import OrchestraError, ProviderError

if TYPE_CHECKING:
    from orchestra_mcp.app import Orchestra

logger = logging.getLogger(__name__)

CLOSE_S = 1.3
"""Longest time for closing; with the 0.5 s that calls in flight may take, the process ends within 2 s."""

SOFT_DEADLINES_S: Mapping[str, float | None] = {
    "claude-code": None,
    "gemini-cli": None,
    "codex": 240,
    "claude-ai": 45,
}
"""By the beginning of the client's name: after so many seconds a call returns what there is (None: never).

Claude Code resets its patience with each progress message, Gemini CLI waits 600 s, Codex 300 s, Claude
Desktop gives up after about 60 s. Add here.
"""
DEFAULT_SOFT_DEADLINE_S = 50.0
"""Most other clients stop waiting after 60 s, whether there is progress or not."""


@dataclass(frozen=True)
class Patience:
    """How long a client waits, and how often it must hear of us; all in seconds."""

    heartbeat_s: float = 4.0
    soft_deadlines: Mapping[str, float | None] = field(default_factory=lambda: SOFT_DEADLINES_S)
    default: float | None = DEFAULT_SOFT_DEADLINE_S

    def limit(self, client: str) -> float | None:
        """The soft deadline of a client by its name; None when it waits for as long as there is progress."""
        for beginning, limit in self.soft_deadlines.items():
            if client.lower().startswith(beginning):
                return limit
        return self.default


class Host:
    """Keeps one `Orchestra` for all connections of a server; several may be inside its `async with`."""

    def __init__(self, environ: Mapping[str, str], patience: Patience | None = None, *, serving: bool = False) -> None:
        self.environ = environ
        self._serving = serving
        self.patience = patience or Patience()
        self._guests = 0
        self._opened: asyncio.Future[Orchestra] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._guests += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._guests -= 1
        if not self._guests:
            await self.aclose()

    async def orchestra(self) -> Orchestra:
        """Orchestra, opened now if it is not yet; a failure is not remembered, so mended settings help at
        once.

        Raises:
            OrchestraError: the settings are wrong or the store cannot be opened.
        """
        if self._opened is None:
            opened = self._opened = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._live(opened), name="orchestra")
            self._task.add_done_callback(self._settle)
        return await asyncio.shield(self._opened)

    async def _live(self, opened: asyncio.Future[Orchestra]) -> None:
        app = await anyio.to_thread.run_sync(importlib.import_module, "orchestra_mcp.app")
        async with app.Orchestra.open(self.environ, serving=self._serving) as orchestra:
            opened.set_result(orchestra)
            await self._stop.wait()

    def _settle(self, task: asyncio.Task[None]) -> None:
        """Hand a failure to open to those who wait for it, and forget it."""
        opened = self._opened
        if opened is None or opened.done():
            return
        self._opened = self._task = None
        if error := None if task.cancelled() else task.exception():
            opened.set_exception(error)
            opened.exception()
        else:
            opened.cancel()

    async def aclose(self) -> None:
        """Close Orchestra if it is open: runs are cancelled and recorded; takes `CLOSE_S` at most."""
        task, self._task, self._opened = self._task, None, None
        if task is None:
            return
        self._stop.set()
        with anyio.move_on_after(CLOSE_S, shield=True):
            await asyncio.wait({task})
        self._stop = asyncio.Event()
        if not task.done():
            task.cancel()
            logger.warning("Orchestra did not close within %s s; what was answered is in the store.", CLOSE_S)
        elif not task.cancelled() and (error := task.exception()):
            # Of a model's error the text may quote what it was sent.
            known = isinstance(error, OrchestraError) and not isinstance(error, ProviderError)
            logger.error("Orchestra did not close cleanly: %s", error if known else type(error).__name__)
