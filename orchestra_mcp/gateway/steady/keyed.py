"""Several keys for one model: used in turn, and one after the other when a key is dead or limited."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import count

from orchestra_mcp.errors import ProviderError, RateLimited, Refused, Resting
from orchestra_mcp.gateway.dialects.dialect import Vectors
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, EmbedRequest, Spent
from orchestra_mcp.gateway.steady.breaker import Guarded


class Keyed:
    """Wraps what asks with each key.

    Args:
        guarded: one for each key, in the order of the settings.
        bound: replies are bound to the account that made them (OpenAI's encrypted reasoning), so that a conversation
            stays with its key as long as that can be asked.
    """

    def __init__(self, guarded: Sequence[Guarded], bound: bool = False) -> None:
        self._guarded = guarded
        self.bound = bound
        self._turn = count()

    def resting(self) -> float:
        """Seconds until one of the keys may be asked again; 0 when one may be asked now."""
        return min(each.breaker.resting() for each in self._guarded)

    def wake(self) -> None:
        """Every key may be tried again."""
        for each in self._guarded:
            each.breaker.wake()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        for left, each in self._order(request):
            started = False
            try:
                async with aclosing(each.chat(request)) as events:
                    async for event in events:
                        started = started or not isinstance(event, Spent)
                        yield event
                return
            except ProviderError as error:
                if started or not left or not _of_the_key(error):
                    raise
                request.receipt.why.append(f"next key: {error.kind}")

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Vectors of some texts; raises as `chat`."""
        for left, each in self._order(None):
            try:
                return await each.embed(request)
            except ProviderError as error:
                if not left or not _of_the_key(error):
                    raise
        raise AssertionError("a model has at least one wire")

    def _order(self, request: ChatRequest | None) -> list[tuple[int, Guarded]]:
        n = len(self._guarded)
        if n == 1:
            return [(0, self._guarded[0])]
        begin = _conversation(request) if self.bound and request is not None else next(self._turn)
        turned = [self._guarded[(begin + i) % n] for i in range(n)]
        turned.sort(key=lambda each: each.breaker.resting())  # stable: those that may be asked now keep their turn
        return [(n - 1 - i, each) for i, each in enumerate(turned)]


def _of_the_key(error: ProviderError) -> bool:
    return isinstance(error, RateLimited | Resting) or (isinstance(error, Refused) and error.kind == "auth")


def _conversation(request: ChatRequest) -> int:
    first = next((m for m in request.messages if m.role == "user"), request.messages[0])
    return zlib.crc32(first.text.encode("utf-8", "replace"))
