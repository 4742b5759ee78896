"""Asks again when that may help: few times, with jitter, and only while nothing has been said yet.

After the first content event there is no way back: the caller has seen part of an answer. Waiting is bounded, since a
council replaces a seat rather than wait for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import anyio

from orchestra_mcp.errors import RateLimited, Unavailable
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Provider, Spent

RETRIES = {
    "server": 2,
    "rate_limit": 2,
    "network": 1,
    # A silent model has had its time, and may already have been paid.
    "timeout": 0,
    # add here
}
"""How often to ask again, by the error's kind."""
LONGEST_WAIT_S = 10.0
"""A provider that asks to wait longer is not waited for."""
FIRST_WAIT_S = 0.5


class Retrying:
    """Wraps a provider.

    Args:
        inner: what is asked, again if need be.
        dice: a random number from 0 to 1 for the jitter.
        sleep: waits so many seconds.
    """

    def __init__(
        self, inner: Provider, *, dice: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._inner = inner
        self._dice = dice
        self._sleep = sleep

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        attempt = 1
        while True:
            started = False
            try:
                again = request if attempt == 1 else request.model_copy(update={"attempt": attempt})
                async with aclosing(self._inner.chat(again)) as events:
                    async for event in events:
                        started = started or not isinstance(event, Spent)
                        yield event
                return
            except Unavailable as error:
                wait = None if started else self._wait(error, attempt, request.patient)
                if wait is None:
                    raise
            await self._sleep(wait)
            attempt += 1

    def _wait(self, error: Unavailable, attempt: int, patient: bool) -> float | None:
        """Seconds until the next attempt, or None when there is none, or it would come after the deadline."""
        wait = self._wish(error, attempt) if patient else None
        late = wait is not None and anyio.current_time() + wait >= anyio.current_effective_deadline()
        return None if late else wait

    def _wish(self, error: Unavailable, attempt: int) -> float | None:
        if attempt > RETRIES.get(error.kind, 0):
            return None
        asked = error.retry_after if isinstance(error, RateLimited) else None
        if asked is not None:
            # The provider's word is a lower bound: a little more, so that parallel seats do not return together.
            return asked + 0.25 * self._dice() if asked <= LONGEST_WAIT_S else None
        return FIRST_WAIT_S * 2.0 ** (attempt - 1) * (0.5 + self._dice())
