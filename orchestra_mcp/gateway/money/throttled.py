"""A model behind its limits: a call waits for its turn, and gives its place back when it ends."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway.dialects.dialect import Vectorising, Vectors
from orchestra_mcp.gateway.money.estimates import CHARS_PER_TOKEN, size_of
from orchestra_mcp.gateway.money.throttle import Gate, Pass, Throttle
from orchestra_mcp.gateway.provider import Caller, ChatEvent, ChatRequest, EmbedRequest, Finish, Provider, Receipt
from orchestra_mcp.settings import ModelSpec, RateLimit

PATIENCE_S: Final = 60.0
"""A call that has no deadline waits so long for its turn."""
OTHERS_S: Final = 1.0
"""A call that could go to another target waits so long for this one."""
EXPECTED_OUTPUT: Final = 1_000
"""Tokens that an answer probably has, until the vendor says how many it had."""


class Throttled:
    """Wraps what speaks to one model.

    Args:
        inner: what is asked.
        throttle: the limits, shared by all models.
        model: the gateway's name of the model.
        provider: who receives the text.
        own: the limit of the model's own table, if any; see `own_limit`.
        clock: seconds from any fixed point.
    """

    def __init__(
        self,
        inner: Provider,
        throttle: Throttle,
        *,
        model: str,
        provider: str,
        own: RateLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._throttle = throttle
        self._model = model
        self._provider = provider
        self._own = own
        self._clock = clock

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`.

        Raises:
            OwnLimit: the call would have to wait longer than it may.
        """
        gates = self._throttle.gates(request.caller, self._provider, self._model, self._own)
        if not gates:
            async with aclosing(self._inner.chat(request)) as events:
                async for event in events:
                    yield event
            return
        tokens = 0
        if any(gate.tokens is not None for gate in gates):
            output = EXPECTED_OUTPUT if request.max_tokens is None else request.max_tokens
            tokens = size_of(request).probable + min(output, EXPECTED_OUTPUT)
        place = self._throttle.at_once(gates, tokens)
        if place is None:
            place = await self._wait(
                gates, tokens, request.caller, request.receipt, lambda gate: _patience(request, gate)
            )
        used = 0
        try:
            async with aclosing(self._inner.chat(request)) as events:
                async for event in events:
                    if isinstance(event, Finish):
                        used = event.usage.tokens
                    elif not used:
                        used = tokens  # until the vendor says how many
                    yield event
        finally:
            place.leave(used)

    async def embed(self, request: EmbedRequest) -> Vectors:
        """The vectors of some texts.

        Raises:
            Refused: what is wrapped makes no vectors (kind `model`).
            OwnLimit: as `chat`.
        """
        if not isinstance(self._inner, Vectorising):
            raise Refused(f"{self._model} makes no embeddings.", "model")
        gates = self._throttle.gates(request.caller, self._provider, self._model, self._own)
        tokens = sum(map(len, request.texts)) // CHARS_PER_TOKEN
        place = self._throttle.at_once(gates, tokens)
        if place is None:
            place = await self._wait(gates, tokens, request.caller, request.receipt, lambda _: PATIENCE_S)
        used = 0
        try:
            found = await self._inner.embed(request)
            used = found.usage.tokens
        finally:
            place.leave(used)
        return found

    async def _wait(
        self,
        gates: Sequence[Gate],
        tokens: int,
        caller: Caller,
        receipt: Receipt,
        patience: Callable[[Gate], float],
    ) -> Pass:
        began = self._clock()
        try:
            return await self._throttle.enter(gates, tokens, caller.priority, patience, caller.key)
        finally:
            receipt.queued_s += self._clock() - began


def _patience(request: ChatRequest, gate: Gate) -> float:
    """Seconds that a call waits before a gate: not long where another target has a gate of its own."""
    way = request.way
    total = request.deadline_s or (way.total_s if way else PATIENCE_S)
    if way and gate.limit.per in ("model", "provider") and request.model in way.targets[:-1]:
        return min(total, OTHERS_S)
    return total


def own_limit(name: str, spec: ModelSpec) -> RateLimit | None:
    """The limit that a model's table in the settings names, None when it names none."""
    if spec.requests_per_minute is None and spec.tokens_per_minute is None and spec.concurrent is None:
        return None
    return RateLimit(
        per="model",
        name=name,
        requests_per_minute=spec.requests_per_minute,
        tokens_per_minute=spec.tokens_per_minute,
        concurrent=spec.concurrent,
    )
