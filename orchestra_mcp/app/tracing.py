"""Traces of this process: begun when the house opens, sent off when it closes; and calls of models as spans."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.settings import Keys, Settings
from orchestra_mcp.telemetry.calls import note_call
from orchestra_mcp.telemetry.export import FLUSH_S, TRACING
from orchestra_mcp.telemetry.spans import Doing, watched
from orchestra_mcp.types import CallRecord

logger = logging.getLogger(__name__)


@asynccontextmanager
async def tracing(environ: Mapping[str, str], user: Settings) -> AsyncIterator[None]:
    """Export spans while inside, where a receiver is named or the application has its own provider; costs nothing else.
    On leaving, what waits is sent, within `FLUSH_S`."""
    wanted = user.telemetry
    on = TRACING.may(environ, wanted.otlp)
    if on:
        on = await anyio.to_thread.run_sync(lambda: TRACING.start(environ, wanted.otlp, content=wanted.content))
    try:
        yield
    finally:
        if on:
            with anyio.move_on_after(FLUSH_S, shield=True):
                await anyio.to_thread.run_sync(TRACING.flush, abandon_on_cancel=True)


class Tracer:
    """Notes calls of models as spans of their consultation.

    Args:
        keys: what must not be exported.
        roots: root spans of the consultations that run, by their ids.
    """

    def __init__(self, keys: Keys, roots: Mapping[str, Doing]) -> None:
        self._keys, self._roots = keys, roots

    def note(self, call: CallRecord, redactor: Redactor | None) -> None:
        """Note one attempt; `redactor` is that of its consultation."""
        if logger.isEnabledFor(logging.DEBUG):
            more = {"purpose": call.purpose, "seconds": call.seconds, "attempt": call.attempt}
            logger.debug(
                "call of %s %s", call.model, call.error or "answered", extra={**more, "consultation": call.run}
            )
        root = self._roots.get(call.run)
        if root is not None or watched():
            redact = redactor.redact if redactor else self._plain()
            note_call(call, redact, root)

    def _plain(self) -> Callable[[str], str]:
        return lambda text: Redactor(self._keys.secrets()).redact(text)
