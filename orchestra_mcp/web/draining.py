"""How the door closes: what works is let finish for a while, then told to end in words that its client understands.

Work is what is asked for by POST. What is read by GET for long (live events, the streams of MCP) has no end of its own
and knows how to come back; it is ended with a proper last chunk when the server has waited long enough.
"""

from __future__ import annotations

import json
import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from orchestra_mcp.errors import Unavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOK_S = 0.05
LAST_S = 1.0
"""What is told to end is given so long to say so, in seconds."""
SAID = "This server is being shut down; ask again."


class Drain:
    """Knows what works, waits for it, and ends it.

    Args:
        patience_s: so long work may go on once the server closes, in seconds.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.ending = False
        """What still runs is being ended."""
        self._works = 0
        self._hurried = False
        self._cuts: set[Callable[[Exception], None]] = set()

    @contextmanager
    def told(self, cut: Callable[[Exception], None]) -> Iterator[None]:
        """For the length of a `with` block: when it has to end, `cut` is called with the error to tell the client."""
        self._cuts.add(cut)
        try:
            if self.ending:
                cut(Unavailable(SAID, "closing"))
            yield
        finally:
            self._cuts.discard(cut)

    def hurry(self) -> None:
        """Wait no longer; may be called by a signal's handler."""
        self._hurried = True

    async def wait(self) -> None:
        """Wait until nothing works any more, at most `patience_s`; then end what does, and let it say so."""
        if self._works:
            sys.stderr.write(
                f"Orchestra closes; requests that run may go on for {self.patience_s:g} s (a second signal ends them)\n"
            )
            sys.stderr.flush()
        await self._idle(self.patience_s)
        self.ending = True
        for cut in tuple(self._cuts):
            cut(Unavailable(SAID, "closing"))
        self._hurried = False
        await self._idle(LAST_S, lambda: not self._cuts)

    async def _idle(self, limit_s: float, enough: Callable[[], bool] = lambda: False) -> None:
        with anyio.move_on_after(limit_s):
            while self._works and not self._hurried and not enough():  # noqa: ASYNC110 - a signal's handler tells nobody
                await anyio.sleep(LOOK_S)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """The application, whose work is waited for."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("method") != "POST":
                await app(scope, receive, send)
                return
            self._works += 1
            try:
                await app(scope, receive, send)
            except CancelledError:
                if not self.ending:
                    raise  # else it was told to end and could not in time: no more than that went wrong
            finally:
                self._works -= 1

        return counting

    def ended(self, app: ASGIApp) -> ASGIApp:
        """The application, whose requests end in a whole reply although the server cancels them."""

        async def ending(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            begun = whole = False

            async def noted(message: Message) -> None:
                nonlocal begun, whole
                begun = True
                whole = message["type"] == "http.response.body" and not message.get("more_body", False)
                await send(message)

            try:
                await app(scope, receive, noted)
            except CancelledError:
                if not self.ending:
                    raise
                if not begun:
                    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
                    await send({"type": "http.response.start", "status": 503, "headers": headers})
                if not whole:
                    error = {"message": SAID, "type": "server_error", "code": "provider_unavailable", "param": None}
                    body = b"" if begun else json.dumps({"error": error}).encode()
                    await send({"type": "http.response.body", "body": body, "more_body": False})

        return ending
