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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio

from orchestra_mcp.gateway.dialects import DIALECTS
from orchestra_mcp.gateway.models import Models, Stack
from orchestra_mcp.gateway.money import prices
from orchestra_mcp.gateway.money.metered import Ledger, Metered
from orchestra_mcp.gateway.provider import CallObserver, Provider
from orchestra_mcp.gateway.signing import signer
from orchestra_mcp.gateway.steady.breaker import Breaker, Guarded
from orchestra_mcp.gateway.steady.failover import Failover
from orchestra_mcp.gateway.steady.keyed import Keyed
from orchestra_mcp.gateway.steady.retrying import Retrying
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.gateway.vendors.agents import AgentWire
from orchestra_mcp.gateway.vendors.quirks import quirks_of
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec


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

    def stack(name: str, spec: ModelSpec) -> Stack:
        keyed = Keyed(
            [
                Guarded(
                    Metered(
                        wire,
                        model=name,
                        provider=spec.recipient,
                        price=partial(prices.price, spec),
                        ledger=ledger,
                        on_call=on_call,
                        clock=clock,
                    ),
                    Breaker(clock),
                    name,
                )
                for wire in wires(spec, keys, limits, http)
            ],
            bound=spec.wire == "responses",
        )
        return Stack(name, spec, Retrying(keyed, dice=dice, sleep=sleep), keyed.resting)

    return Failover(Models(models, stack))


def wires(spec: ModelSpec, keys: Keys, limits: Limits, http: Transport) -> Sequence[Provider]:
    """What speaks to one model: one for each of its keys that is set, or for the first when none is."""
    if spec.wire == "agent":
        return [AgentWire(spec, keys, limits)]
    dialect, quirks = DIALECTS[spec.wire], quirks_of(spec)
    sign = signer(spec.auth or dialect.auth)
    names = [name for name in (spec.key_env, *spec.more_keys) if keys.get(name)] or [spec.key_env]
    without: set[str] = set()
    return [
        HttpWire(
            dialect,
            spec,
            quirks,
            keys,
            limits,
            http,
            key_env=name,
            signer=sign(spec, keys.get(name).strip(), keys, http),
            without=without,
        )
        for name in names
    ]


@asynccontextmanager
async def open_http(proxies: Mapping[str, str] | None = None, *, fast: bool = False) -> AsyncIterator[Transport]:
    """The connections that all wires and discovery share; `proxies` by scheme, default: those of the environment.

    Args:
        proxies: scheme → address.
        fast: use aiohttp, where it is installed (extra `fast`).
    """
    transport = _fast(proxies) if fast else None
    if transport is None:
        from orchestra_mcp.gateway.transports.pooled import PooledTransport

        transport = PooledTransport(proxies)
    try:
        yield transport
    finally:
        await transport.aclose()


def _fast(proxies: Mapping[str, str] | None) -> Transport | None:
    try:
        from orchestra_mcp.gateway.transports.fast import FastTransport
    except ImportError:
        return None
    return FastTransport(proxies)
