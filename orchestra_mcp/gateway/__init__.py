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
from typing import TYPE_CHECKING

import anyio

from orchestra_mcp.errors import NotFound
from orchestra_mcp.gateway import agents, anthropic, catalog, gemini, openai
from orchestra_mcp.gateway.metered import Ledger, Metered
from orchestra_mcp.gateway.provider import CallObserver, ChatEvent, ChatRequest, Provider
from orchestra_mcp.gateway.retrying import Retrying
from orchestra_mcp.gateway.wire import LOOPBACK_HOSTS, HttpWire, provider_of
from orchestra_mcp.settings import Keys, Limits, ModelSpec, WireName

if TYPE_CHECKING:
    import httpx2

WireMaker = Callable[[ModelSpec, Keys, Limits, "httpx2.AsyncClient"], Provider]

WIRES: dict[WireName, WireMaker] = {
    "openai": partial(HttpWire, openai.DIALECT),
    "anthropic": partial(HttpWire, anthropic.DIALECT),
    "gemini": partial(HttpWire, gemini.DIALECT),
    "agent": agents.AgentWire,
    # add here
}

CONNECT_S = 10.0


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
    http: httpx2.AsyncClient,
    dice: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> Provider:
    """The whole gateway: every model's stack, by name. Costs nothing until a model is asked."""
    return ByName(
        {
            name: Retrying(
                Metered(
                    WIRES[spec.wire](spec, keys, limits, http),
                    model=name,
                    provider=provider_of(spec),
                    price=partial(catalog.price, spec),
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


@asynccontextmanager
async def open_http() -> AsyncIterator[httpx2.AsyncClient]:
    """The HTTP client that all wires and discovery share.

    HTTP/1.1; environment proxies are used, but never for this machine. There is no read timeout, since the wires
    keep clocks of their own; redirects are not followed, so that a key goes only where it was meant to go.
    """
    import httpx2

    def transport() -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(limits=limits, trust_env=False)

    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=60)
    timeout = httpx2.Timeout(connect=CONNECT_S, read=None, write=30.0, pool=10.0)
    loopback = {f"all://[{host}]" if ":" in host else f"all://{host}": transport() for host in LOOPBACK_HOSTS}
    async with httpx2.AsyncClient(
        timeout=timeout,
        limits=limits,
        mounts=loopback,
        follow_redirects=False,
        headers={"user-agent": "orchestra-council"},
    ) as http:
        yield http
