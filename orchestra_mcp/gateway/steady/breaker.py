"""A circuit breaker for each model and key: who fails is left alone for a while, then tried once.

Closed, calls pass. Open, they are refused at once, with the time until the next try. Then it is half-open: one call is
let through as a probe, and its outcome closes the breaker or opens it for twice as long. (Pattern: M. Nygard, Release
It!, 2007.) Health is learnt from live traffic only. What the caller has done wrong says nothing about health.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import anyio

from orchestra_mcp.errors import BudgetExceeded, ProviderError, RateLimited, Refused, Resting, Unavailable
from orchestra_mcp.gateway.dialects.dialect import Vectorising, Vectors
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, EmbedRequest, Provider, Spent

IN_A_ROW = 5
"""Failures in a row that open it."""
SHARE, OF_CALLS, WINDOW_S = 0.5, 10, 30.0
"""This share of failures among the calls of the window opens it too, when there were at least so many."""
REST_S, LONGEST_REST_S = 5.0, 60.0
"""It stays open for the first so long, twice as long after each failed probe, at most the second."""
DEAD_S = 300.0
"""A refused key or an unknown model is asked for again after this long: keys get credit, models come back."""
LONGEST_WISH_S = 3600.0
"""A vendor that wants to be left alone for longer is asked again after this."""
BLAMELESS = frozenset({"request", "policy", "window"})
"""Kinds of errors that say nothing about the model's health."""


class Breaker:
    """The state for one model and key. For one event loop.

    Args:
        clock: seconds from any fixed point.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = 0.0
        self._why: ProviderError | None = None
        self._calls: deque[tuple[float, bool]] = deque(maxlen=64)
        self._failures = 0
        self._opened = 0
        self._probing = False

    def another(self) -> Breaker:
        """A closed one with the same clock."""
        return Breaker(self._clock)

    def resting(self) -> float:
        """Seconds until it may be asked again; 0 when it may be asked now."""
        if self._why is None:
            return 0.0
        return max(0.0, self._until - self._clock())

    def admit(self) -> bool:
        """Ask to be let through; True when the call is the probe of a half-open breaker.

        Raises:
            Resting: not now; with the time to wait and what went wrong.
            Refused: its key is dead or the model is gone.
        """
        if self._why is None:
            return False
        wait = self._until - self._clock()
        if wait <= 0 and not self._probing:
            self._probing = True
            return True
        wait = max(wait, 1.0)
        again = f"{str(self._why).rstrip('.')}; it is asked again in {wait:.0f} s."
        if isinstance(self._why, Refused):
            raise Refused(again, self._why.kind)
        raise Resting(again, wait, limited=isinstance(self._why, RateLimited))

    def wake(self) -> None:
        """Let the next call be the probe, without waiting any longer."""
        self._until = min(self._until, self._clock())

    def succeeded(self, probe: bool) -> None:
        """A call came to its end, or failed by no fault of the model."""
        self._note(True)
        self._failures = 0
        if probe or self._why is not None:
            self._close()

    def failed(self, error: ProviderError, probe: bool) -> None:
        """A call failed."""
        if error.kind in BLAMELESS:
            self.succeeded(probe)
            return
        self._note(False)
        self._failures += 1
        if isinstance(error, Refused):
            self._open(error, DEAD_S)
        elif isinstance(error, RateLimited) and error.retry_after is not None:
            self._open(error, min(error.retry_after, LONGEST_WISH_S))
        elif probe or self._failures >= IN_A_ROW or self._too_many():
            self._opened += 1
            self._open(error, min(LONGEST_REST_S, REST_S * 2 ** (self._opened - 1)))
        if probe:
            self._probing = False

    def dropped(self, probe: bool) -> None:
        """A call was given up from outside, so that nothing is known."""
        if probe:
            self._probing = False

    def _open(self, why: ProviderError, seconds: float) -> None:
        # A later, shorter wish does not shorten what an earlier one asked for.
        self._until = max(self._until, self._clock() + seconds)
        self._why = why

    def _close(self) -> None:
        self._why, self._until, self._failures, self._opened, self._probing = None, 0.0, 0, 0, False
        self._calls.clear()

    def _note(self, good: bool) -> None:
        self._calls.append((self._clock(), good))

    def _too_many(self) -> bool:
        since = self._clock() - WINDOW_S
        recent = [good for at, good in self._calls if at >= since]
        return len(recent) >= OF_CALLS and recent.count(False) >= SHARE * len(recent)


class Guarded:
    """Wraps what asks one model with one key: refuses while its breaker is open, and tells the breaker what happened.

    It also holds the first-word clock of a route (`Way.slow_s`), so that a slow model fails before its stream has begun.
    """

    def __init__(self, inner: Provider, breaker: Breaker, name: str) -> None:
        self._inner = inner
        self.breaker = breaker
        self._vectors = breaker.another()
        """Embeddings have another address, whose failures say nothing about chats."""
        self._name = name

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        probe = self.breaker.admit()
        request.receipt.attempts += 1
        try:
            async with aclosing(self._inner.chat(request)) as events:
                if request.way is not None and request.way.slow_s is not None:
                    for event in await self._first(events, request.way.slow_s):
                        yield event
                async for event in events:
                    yield event
        except ProviderError as error:
            self.breaker.failed(error, probe)
            raise
        except BaseException as error:
            if isinstance(error, BudgetExceeded):
                request.receipt.attempts -= 1  # nothing was sent
            self.breaker.dropped(probe)
            raise
        self.breaker.succeeded(probe)

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Vectors of some texts; raises as `chat`."""
        if not isinstance(self._inner, Vectorising):
            raise Refused(f"{self._name} makes no embeddings.", "model")
        probe = self._vectors.admit()
        request.receipt.attempts += 1
        try:
            found = await self._inner.embed(request)
        except ProviderError as error:
            self._vectors.failed(error, probe)
            raise
        except BaseException as error:
            if isinstance(error, BudgetExceeded):
                request.receipt.attempts -= 1
            self._vectors.dropped(probe)
            raise
        self._vectors.succeeded(probe)
        return found

    async def _first(self, events: AsyncGenerator[ChatEvent, None], seconds: float) -> list[ChatEvent]:
        seen: list[ChatEvent] = []
        with anyio.move_on_after(seconds):
            async for event in events:
                seen.append(event)
                if not isinstance(event, Spent):
                    break
            return seen
        raise Unavailable(
            f"{self._name} said no word for {seconds:g} s, which this route does not wait for.", "timeout"
        )
