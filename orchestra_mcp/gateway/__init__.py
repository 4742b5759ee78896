"""The one door to every model: `build` shows the whole stack, `open_http` opens the connections below it.

    async with open_http() as http:
        gateway = build(settings.models, keys, settings.limits, ledger=ledger, on_call=note, http=http)
        reply = await fold(gateway, ChatRequest(model="claude", messages=…))

A call goes down: `routing` says which targets may answer it; `caching` answers what was asked before or is being asked
right now; `steady` asks the targets one after the other, each with its keys, retries and breakers; `money` holds it to
limits and budgets; the wire speaks to the model.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio

from orchestra_mcp.gateway.caching.cached import Cached
from orchestra_mcp.gateway.caching.shared import Shared
from orchestra_mcp.gateway.caching.similar import Similar
from orchestra_mcp.gateway.front import Backing, Gateway
from orchestra_mcp.gateway.money import prices
from orchestra_mcp.gateway.money.budgets import Budgets
from orchestra_mcp.gateway.money.metered import Ledger, Metered
from orchestra_mcp.gateway.money.throttle import Throttle
from orchestra_mcp.gateway.money.throttled import Throttled, own_limit
from orchestra_mcp.gateway.provider import Caller, CallObserver, Provider
from orchestra_mcp.gateway.routing.facts import Facts, facts_of
from orchestra_mcp.gateway.routing.intents import Intents
from orchestra_mcp.gateway.routing.quality import Quality
from orchestra_mcp.gateway.routing.routed import Routed
from orchestra_mcp.gateway.routing.router import Router
from orchestra_mcp.gateway.routing.stats import Counted, Stats
from orchestra_mcp.gateway.steady.breaker import Breaker, Guarded
from orchestra_mcp.gateway.steady.failover import Failover
from orchestra_mcp.gateway.steady.keyed import Keyed
from orchestra_mcp.gateway.steady.models import Models, Stack
from orchestra_mcp.gateway.steady.retrying import Retrying
from orchestra_mcp.gateway.transports.transport import CONNECT_S, Transport
from orchestra_mcp.gateway.vendors.agents import AgentWire
from orchestra_mcp.gateway.vendors.catalog import prior_of
from orchestra_mcp.gateway.vendors.plugins import dialect_of, signer_of
from orchestra_mcp.gateway.vendors.quirks import abilities_of, most_output_of, quirks_of
from orchestra_mcp.gateway.vendors.settling import named
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec, Settings
from orchestra_mcp.types import CallRecord

__all__ = ["Backing", "Gateway", "build", "open_http"]

PLAIN = Settings()
NOTHING = Backing()


def build(
    models: Mapping[str, ModelSpec],
    keys: Keys,
    limits: Limits,
    *,
    ledger: Ledger,
    on_call: CallObserver,
    http: Transport,
    settings: Settings = PLAIN,
    backing: Backing = NOTHING,
    dice: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> Gateway:
    """The whole gateway. Costs nothing until a model is asked.

    Args:
        models: by name, each settled (see `vendors.settling`).
        keys: where the keys are.
        limits: times, and money for consultations.
        ledger: what consultations may spend.
        on_call: told of every attempt at a model, and of every answer out of a cache.
        http: the way to the network.
        settings: routes, budgets, limits, prices.
        backing: what lasts longer than a process, and who calls.
        dice: a random number from 0 to 1.
        clock: seconds from any fixed point.
        sleep: waits so many seconds.
    """
    stats, quality = Stats(), Quality(prior_of)
    stats.load(backing.paces)
    quality.learn(backing.outcomes)
    callers = backing.callers
    budgets = Budgets(settings.budgets, limits.daily_cost_usd, lambda caller: callers.claims(caller))
    throttle = Throttle(settings.rate_limits, lambda caller: callers.limits(caller), clock=clock)

    def told(record: CallRecord) -> None:
        stats.observe(record)
        on_call(record)

    def metered(name: str, spec: ModelSpec, wire: Provider) -> Metered:
        return Metered(
            wire,
            model=name,
            model_id=spec.model,
            provider=spec.recipient,
            price=lambda: prices.price(spec, table=settings.prices),
            window=spec.context_tokens,
            max_output=most_output_of(spec),
            ledger=ledger,
            budgets=budgets,
            purse=backing.purse,
            refuse_unpriced=settings.gateway.unknown_prices == "refuse",
            on_call=told,
            clock=clock,
            server=_server(spec.base_url),
        )

    def stack(name: str, spec: ModelSpec) -> Stack:
        guarded = [Guarded(metered(name, spec, wire), Breaker(clock), name) for wire in wires(spec, keys, limits, http)]
        keyed = Keyed(guarded, bound=spec.wire == "responses")
        limit = own_limit(name, spec)
        throttled = Throttled(keyed, throttle, model=name, provider=spec.recipient, own=limit, clock=clock)
        return Stack(name, spec, Counted(Retrying(throttled, dice=dice, sleep=sleep), name, stats), keyed, throttled)

    everyone = Models(models, stack)
    facts = {name: _facts(spec, settings) for name, spec in models.items()}

    def resolve(name: str) -> str | None:
        if (spec := named(name, keys)) is None or spec.wire == "agent":
            return None
        if (gone := everyone.add(name, spec)) is not None:
            facts.pop(gone, None)
        facts.setdefault(name, _facts(spec, settings))
        return name

    def allowed(_: Caller, name: str) -> bool:
        return facts[name].provider not in settings.privacy.deny

    engine = backing.engine
    intents = Intents(settings.intents, engine, here=backing.here) if engine and settings.intents else None
    if intents and backing.begin:
        backing.begin(intents.warm)
    router = Router(
        facts,
        routes=settings.routes,
        gateway=settings.gateway,
        stats=stats,
        quality=quality,
        resolve=resolve,
        allowed=allowed if settings.privacy.deny else None,
        resting=everyone.resting,
        intents=intents,
    )
    similar = (
        Similar(engine, backing.replies, begin=backing.begin) if engine and backing.replies and backing.begin else None
    )
    targets = Failover(everyone)
    kept = Cached(Shared(targets, on=settings.gateway.coalesce), backing.replies, similar=similar, on_call=on_call)
    return Gateway(
        Routed(kept, router),
        router=router,
        models=everyone,
        stats=stats,
        quality=quality,
        targets=targets,
        throttle=throttle,
        budgets=budgets,
    )


def _facts(spec: ModelSpec, settings: Settings) -> Facts:
    return facts_of(
        spec,
        price=prices.price(spec, table=settings.prices),
        window=prices.context_window(spec),
        most_output=most_output_of(spec),
        abilities=abilities_of(spec),
    )


def _server(address: str) -> str:
    """Host and port of an address, without whatever else stands in it; empty where there is none."""
    try:
        found = urlsplit(address)
        port = found.port or {"http": 80, "https": 443}.get(found.scheme)
    except ValueError:
        return ""
    return f"{found.hostname}:{port}" if found.hostname and port else ""


def wires(spec: ModelSpec, keys: Keys, limits: Limits, http: Transport) -> Sequence[Provider]:
    """What speaks to one model: one for each of its keys that is set, or for the first when none is."""
    if spec.wire == "agent":
        return [AgentWire(spec, keys, limits)]
    dialect, quirks = dialect_of(spec.wire), quirks_of(spec)
    sign = signer_of(spec.auth or dialect.auth)
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
async def open_http(
    proxies: Mapping[str, str] | None = None, *, fast: bool = False, connect_s: float = CONNECT_S
) -> AsyncIterator[Transport]:
    """The connections that all wires and discovery share; `proxies` by scheme, default: those of the environment.

    Args:
        proxies: scheme → address.
        fast: use aiohttp, where it is installed (extra `fast`).
        connect_s: longest time for a connection, in seconds.
    """
    transport = _fast(proxies, connect_s) if fast else None
    if transport is None:
        from orchestra_mcp.gateway.transports.pooled import PooledTransport

        transport = PooledTransport(proxies, connect_s)
    try:
        yield transport
    finally:
        await transport.aclose()


def _fast(proxies: Mapping[str, str] | None, connect_s: float) -> Transport | None:
    try:
        from orchestra_mcp.gateway.transports.fast import FastTransport
    except ImportError:
        return None
    return FastTransport(proxies, connect_s)
