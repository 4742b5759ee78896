"""Identical requests that are in flight at the same time share one call.

The call runs in a task of its own, so that it outlives whoever began it: when the first asker goes away the others
still get their answer, and only when the last one has gone the call is cancelled and its connection closed. Whoever
joins late gets what was said so far, then the rest as it comes.

Memory is bounded twice. The call is never read further ahead than its fastest listener can take. What was said is
held for those who may join until it is larger than `most_chars`; then nobody can join any more, and a listener that
has fallen behind by so much is let go with an error, so that it does not hold up the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from orchestra_mcp.errors import BudgetExceeded, Unavailable
from orchestra_mcp.gateway.caching.keys import flight_of
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    Provider,
    ReasoningDelta,
    TextDelta,
    ToolDelta,
)

AHEAD = 64
"""Events that a call is read ahead of its fastest listener."""
CLOSING_S = 5.0
"""How long the last listener waits for the call below to be closed."""


class Shared:
    """Wraps a provider.

    Args:
        inner: what is asked once.
        on: False: every request is asked on its own.
        most_chars: what is held of one call for those who may join.
    """

    def __init__(self, inner: Provider, *, on: bool = True, most_chars: int = 1_000_000) -> None:
        self._inner = inner
        self._on = on
        self._most_chars = most_chars
        self._flights: dict[bytes, _Flight] = {}

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`. A joined call raises what the call itself raised.

        Raises:
            Unavailable: besides the inner ones, when a listener is too slow for the call that it shares.
        """
        if not self._on or not shareable(request):
            async with aclosing(self._inner.chat(request)) as events:
                async for event in events:
                    yield event
            return
        key = flight_of(request)
        while True:
            flight = self._flights.get(key)
            joined = flight is not None
            if flight is None:
                flight = self._flights[key] = _Flight(self._inner, request, key, self._flights, self._most_chars)
            try:
                async with aclosing(flight.listen(request, joined)) as events:
                    async for event in events:
                        yield event
            except BudgetExceeded:
                if not joined or flight.said:
                    raise
                continue  # the budget of whoever began it; this one may have another
            return

    @property
    def in_flight(self) -> int:
        """How many calls can be joined now."""
        return len(self._flights)


def shareable(request: ChatRequest) -> bool:
    """Whether one answer may serve several identical requests: the way caches, or the model is not to be creative."""
    if not (request.cache.read and request.cache.write):
        return False
    return request.temperature == 0 or (request.way is not None and request.way.cache != "off")


def twin(error: BaseException) -> BaseException:
    """Another error of the same class with the same fields: one object cannot be raised in several tasks."""
    made = type(error).__new__(type(error))
    made.args = error.args
    made.__dict__.update(error.__dict__)
    return made


class _Listener:
    """How far somebody has heard a call."""

    __slots__ = ("at", "wake")

    def __init__(self) -> None:
        self.at = 0
        self.wake: asyncio.Future[None] | None = None


class _Flight:
    """One call and those who listen to it. For one event loop; nothing is awaited between looking and taking."""

    def __init__(
        self, inner: Provider, request: ChatRequest, key: bytes, flights: dict[bytes, _Flight], most_chars: int
    ) -> None:
        self._inner = inner
        self._request = request
        self._key = key
        self._flights = flights
        self._most_chars = most_chars
        self._events: list[ChatEvent] = []
        self._dropped = 0
        """Events that were let go from the front."""
        self._chars = 0
        self._error: BaseException | None = None
        self._done = False
        self._said_all = False
        self._orphan = False
        """Who began it has gone; the first other one who hears the end is shown the cost."""
        self._listeners: list[_Listener] = []
        self._room: asyncio.Future[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._pump(), name="shared call")

    @property
    def said(self) -> bool:
        """True once there was an event."""
        return bool(self._events or self._dropped)

    async def listen(self, request: ChatRequest, joined: bool) -> AsyncGenerator[ChatEvent, None]:
        """All events from the first one."""
        me = _Listener()
        self._listeners.append(me)
        if joined:
            request.receipt.cache = "shared"
        try:
            while True:
                here = me.at - self._dropped
                if here < 0:
                    raise Unavailable("This reader was too slow for the call that it shared with others.", "timeout")
                if here < len(self._events):
                    event = self._events[here]
                    me.at += 1
                    self._wake_pump()
                    if joined and (me.at == 1 or isinstance(event, Finish)):
                        self._settle(request, isinstance(event, Finish))
                    yield event
                elif self._done:
                    if joined:
                        self._settle(request, True)
                    if self._error is not None:
                        raise twin(self._error)
                    return
                else:
                    me.wake = asyncio.get_running_loop().create_future()
                    await me.wake
        finally:
            await self._gone(me, joined)

    async def _gone(self, me: _Listener, joined: bool) -> None:
        """One listener less; the call ends with the last one."""
        self._listeners.remove(me)
        self._orphan = self._orphan or not (joined or self._done)
        if not self._listeners and not self._task.done():
            self._leave()
            if not self._said_all:  # else it is closing by itself, which is not to be disturbed
                self._task.cancel()
            with anyio.CancelScope(shield=True):  # the connection is closed before the last one is gone
                _, open_still = await asyncio.wait((self._task,), timeout=CLOSING_S)
            for task in open_still:
                task.cancel()
        else:
            self._wake_pump()

    def _settle(self, request: ChatRequest, ended: bool) -> None:
        """Write into the receipt of one who joined what the one who began it has in his; the cost stays there."""
        mine, theirs = request.receipt, self._request.receipt
        mine.route, mine.model, mine.model_id, mine.provider = (
            theirs.route,
            theirs.model,
            theirs.model_id,
            theirs.provider,
        )
        mine.attempts, mine.unpriced, mine.why = theirs.attempts, theirs.unpriced, list(theirs.why)
        mine.cache = "shared"
        if ended and self._orphan:
            mine.cost_usd, self._orphan = theirs.cost_usd, False

    # ------------------------------------------------------------------------------------------ the call

    async def _pump(self) -> None:
        try:
            async with aclosing(self._inner.chat(self._request)) as events:
                async for event in events:
                    self._add(event)
                    if isinstance(event, Finish):
                        self._said_all = True
                        break
                    while self._ahead():
                        self._room = asyncio.get_running_loop().create_future()
                        await self._room
        except asyncio.CancelledError:
            if self._listeners:  # somebody has cancelled the task, not we
                self._error = Unavailable("The shared call was cancelled.", "network")
            raise
        except Exception as error:  # noqa: BLE001 - it is raised again in every listener
            self._error = error
        finally:
            self._done = True
            self._leave()
            self._wake_all()

    def _add(self, event: ChatEvent) -> None:
        self._events.append(event)
        self._chars += _size(event)
        if self._chars > self._most_chars:
            self._trim()
        self._wake_all()

    def _trim(self) -> None:
        """Nobody can join any more. Let go what all have heard; when that leaves too much, what the fastest has heard."""
        self._leave()
        places = [listener.at for listener in self._listeners] or [self._dropped]
        self._drop(min(places) - self._dropped)
        if self._chars > 2 * self._most_chars:
            self._drop(max(places) - self._dropped)

    def _drop(self, count: int) -> None:
        if count > 0:
            self._chars -= sum(_size(event) for event in self._events[:count])
            del self._events[:count]
            self._dropped += count

    def _ahead(self) -> bool:
        """Whether even the fastest listener has yet to take much of what was said."""
        fastest = max((listener.at for listener in self._listeners), default=None)
        return fastest is not None and self._dropped + len(self._events) - fastest >= AHEAD

    def _leave(self) -> None:
        if self._flights.get(self._key) is self:
            del self._flights[self._key]

    def _wake_all(self) -> None:
        for listener in self._listeners:
            if listener.wake is not None and not listener.wake.done():
                listener.wake.set_result(None)
            listener.wake = None

    def _wake_pump(self) -> None:
        if self._room is not None and not self._room.done() and not self._ahead():
            self._room.set_result(None)
            self._room = None


def _size(event: ChatEvent) -> int:
    """Characters of an event, roughly."""
    if isinstance(event, ToolDelta):
        return len(event.arguments)
    return len(event.text) if isinstance(event, TextDelta | ReasoningDelta) else 0
