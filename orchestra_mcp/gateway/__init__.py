"""The one door to every model: `build` shows the whole stack, `open_http` opens the connections below it.

    async with open_http() as http:
        gateway = build(settings.models, keys, settings.limits, ledger=ledger, on_call=note, http=http)
        reply = await fold(gateway, ChatRequest(model="claude", messages=…))

A call goes down: by its name to `retrying`, which asks again where that helps; to `metered`, which reserves and
settles money for every attempt; to the wire, which speaks to the model.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial

import anyio

from orchestra_mcp.errors import NotFound
from orchestra_mcp.gateway.dialects import DIALECTS
from orchestra_mcp.gateway.money import prices
from orchestra_mcp.gateway.money.metered import Ledger, Metered
from orchestra_mcp.gateway.provider import CallObserver, ChatEvent, ChatRequest, Provider
from orchestra_mcp.gateway.signing import signer
from orchestra_mcp.gateway.steady.retrying import Retrying
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.gateway.vendors import agents
from orchestra_mcp.gateway.vendors.quirks import quirks_of
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec


class ByName:
    """The gateway: hands a request to the stack of the model that it names."""

    def __init__(self, stacks: Mapping[str, Provider]) -> None:
        self._stacks = stacks

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`.

        Raises:
            NotFound: no such model; the message names those that there are.
        """
        stack = self._stacks.get(request.model)
        if stack is None:
            known = ", ".join(sorted(self._stacks)) or "none"
            raise NotFound(f"There is no model called {request.model!r}; there are: {known}.")
        async with aclosing(stack.chat(request)) as events:
            async for event in events:
                yield event


def build(
    models: Mapping[str, ModelSpec],
    keys: Keys,
    limits: Limits,
    *,
    ledger: Ledger,
    on_call: CallObserver,
    http: Transport,
    dice: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> Provider:
    """The whole gateway: every model's stack, by name. Costs nothing until a model is asked."""
    return ByName(
        {
            name: Retrying(
                Metered(
                    wire(spec, keys, limits, http),
                    model=name,
                    provider=spec.recipient,
                    price=partial(prices.price, spec),
                    ledger=ledger,
                    on_call=on_call,
                    clock=clock,
                ),
                dice=dice,
                sleep=sleep,
            )
            for name, spec in models.items()
        }
    )


def wire(spec: ModelSpec, keys: Keys, limits: Limits, http: Transport) -> Provider:
    """What speaks to one model."""
    if spec.wire == "agent":
        return agents.AgentWire(spec, keys, limits)
    dialect = DIALECTS[spec.wire]
    key = keys.get(spec.key_env).strip()
    return HttpWire(
        dialect,
        spec,
        quirks_of(spec),
        keys,
        limits,
        http,
        key_env=spec.key_env,
        signer=signer(spec.auth or dialect.auth)(spec, key, keys, http),
        without=set(),
    )


@asynccontextmanager
async def open_http(proxies: Mapping[str, str] | None = None) -> AsyncIterator[Transport]:
    """The connections that all wires and discovery share; `proxies` by scheme, default: those of the environment."""
    from orchestra_mcp.gateway.transports.pooled import PooledTransport

    transport = PooledTransport(proxies)
    try:
        yield transport
    finally:
        await transport.aclose()
