"""One HTTP exchange, below all dialects: reading a body with limits, sending a reply, watching whether the client stays."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from orchestra_mcp.gateway.provider import Receipt
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.dialect import dumps
from orchestra_mcp.web.errors import Declined, Trouble
from orchestra_mcp.web.overhead import Head, Headers, headers

if TYPE_CHECKING:
    from starlette.types import Receive, Send

MAX_BODY = 20 * 1024 * 1024
"""Longest JSON body, in bytes."""
READ_S = 60.0
"""Longest time for a request's body to come."""
JSON = (b"content-type", b"application/json")


PARSING = anyio.CapacityLimiter(1)
"""Long bodies are read in a thread, one after the other, so that they take at most half of the interpreter."""


T = TypeVar("T")


class Gone(Exception):
    """The client has hung up."""


async def read(receive: Receive, head: Head, most: int = MAX_BODY) -> bytes | bytearray:
    """The body of a request.

    Raises:
        Declined: it is too large, compressed, or does not come; or the client wants nothing but a kept reply.
        Gone: the client has hung up.
    """
    if head.encoding not in ("", "identity"):
        raise Declined(400, "invalid_request", "Send the body uncompressed.")
    if head.only_kept:
        raise Declined(400, "not_supported", "`cache-control: only-if-cached` is not supported here.")
    if head.length > most:
        raise _too_large(most)
    with anyio.move_on_after(READ_S):
        data: bytes | bytearray = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            piece = message.get("body", b"")
            if not data:
                data = piece
            else:
                data = bytearray(data) if isinstance(data, bytes) else data
                data += piece
            if len(data) > most:
                raise _too_large(most)
            if not message.get("more_body"):
                return data
    raise Declined(408, "timeout", f"The body did not come within {READ_S:g} s.")


async def parsed(data: bytes | bytearray) -> JsonObject:
    """The JSON object of a body, a long one in a thread.

    Raises:
        Declined: it is none.
    """
    if len(data) <= fields.LONG:
        return fields.parse(data)
    with anyio.fail_after(READ_S):
        return await anyio.to_thread.run_sync(fields.parse, data, limiter=PARSING)


def _too_large(most: int) -> Declined:
    return Declined(413, "too_large", f"The body is larger than {most // 1024 // 1024} MB.")


async def reply(send: Send, status: int, body: bytes, more: Headers) -> None:
    """Send a whole reply."""
    found = [(b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": found})
    await send({"type": "http.response.body", "body": body})


async def reply_json(send: Send, body: JsonObject, head: Head, receipt: Receipt | None = None) -> None:
    """Send JSON, with the overhead headers."""
    await reply(send, 200, dumps(body).encode(), [JSON, *headers(head, receipt or Receipt())])


async def refuse(send: Send, trouble: Trouble, head: Head, receipt: Receipt, *, anthropic: bool = False) -> None:
    """Send an error in the client's dialect."""
    number = b"req_" + os.urandom(12).hex().encode()
    if trouble.code == "budget_exceeded" and not receipt.upstream_s:
        receipt.attempts = 0  # it was refused before anything was sent
    body = trouble.anthropic | {"request_id": number.decode()} if anthropic else trouble.openai
    more = [JSON, (b"request-id" if anthropic else b"x-request-id", number), *headers(head, receipt)]
    if trouble.retry_after is not None:
        more.append((b"retry-after", b"%d" % max(0, math.ceil(min(trouble.retry_after, 1e6)))))
        more.append((b"retry-after-ms", b"%d" % max(0, math.ceil(min(trouble.retry_after, 1e6) * 1000))))
    if trouble.hopeless:
        more.append((b"x-should-retry", b"false"))
    if trouble.status in (408, 413):
        more.append((b"connection", b"close"))
    if trouble.status == 405:
        more.append((b"allow", b"POST"))
    await reply(send, trouble.status, dumps(body).encode(), more)


class Outbox:
    """What is to be sent next, put in by several writers and taken out by one sender.

    What comes in while the sender is at work leaves in one piece; writers wait while too much is in here. It rings with
    a bare future: the server runs on asyncio anyway, and an event of anyio's costs three times as much, for every chunk.
    """

    __slots__ = ("_pieces", "_room", "_size", "_wake", "closed", "error", "last", "opened")
    MOST = 1 << 20
    """Bytes that wait at most."""

    def __init__(self) -> None:
        self.closed = False
        """Nothing more will be put in."""
        self.error: BaseException | None = None
        """Why it was closed before its end."""
        self.opened = False
        """Something has been put in."""
        self.last = time.monotonic()
        """When something was taken out last."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._wake: asyncio.Future[None] | None = None
        self._room: anyio.Event | None = None

    def put(self, data: bytes) -> None:
        """Add a piece."""
        self.opened = True
        self._pieces.append(data)
        self._size += len(data)
        self._ring()

    async def room(self) -> None:
        """Wait until there is room for more."""
        while self._size > self.MOST:
            if self._room is None:
                self._room = anyio.Event()
            await self._room.wait()

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more comes; the first word on why counts."""
        if not self.closed:
            self.closed, self.error = True, error
            self._ring()

    async def ready(self) -> None:
        """Wait until there is something to take out, or it is closed."""
        if not self._pieces and not self.closed:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake

    def take(self) -> bytes:
        """All that is in here."""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.last = time.monotonic()
        if self._room is not None:
            self._room.set()
            self._room = None
        return data

    def _ring(self) -> None:
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
            self._wake = None


class Watch:
    """Watches whether the client is still there, and cancels what is done for it when it is not."""

    __slots__ = ("_receive", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False

    def over(self, scope: anyio.CancelScope) -> asyncio.Task[None]:
        """Watch in a task of its own, which the caller cancels; a task group costs several times as much."""
        return asyncio.create_task(self.stay(scope))

    async def stay(self, scope: anyio.CancelScope) -> None:
        """Watch until the client hangs up, then cancel the scope."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        scope.cancel()

    async def stay_and_beat(self, scope: anyio.CancelScope, outbox: Outbox, every: float, beat: bytes) -> None:
        """The same, and put `beat` into a stream that has been silent for `every` seconds."""
        while True:
            quiet = outbox.last + every - time.monotonic() if outbox.opened else every
            with anyio.move_on_after(max(quiet, every / 20)):
                await self.stay(scope)
                return
            if outbox.opened and not outbox.closed and time.monotonic() - outbox.last >= every:
                outbox.put(beat)


async def watched(receive: Receive, deadline_s: float, work: Callable[[], Awaitable[T]]) -> T:
    """What some work gives, done only for as long as the client is there.

    Raises:
        Gone: the client has hung up.
        TimeoutError: it took longer than `deadline_s`.
        Exception: whatever the work raised.
    """
    watch = Watch(receive)
    found: list[T] = []
    failures: list[Exception] = []
    async with anyio.create_task_group() as group:
        group.cancel_scope.deadline = anyio.current_time() + deadline_s
        group.start_soon(watch.stay, group.cancel_scope)
        try:
            found.append(await work())
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the group
            failures.append(error)
        group.cancel_scope.cancel()
    if watch.gone:
        raise Gone
    if not found:
        raise failures[0] if failures else TimeoutError()
    return found[0]
