"""The models and seats of this process: configured ones, or what discovery finds when they are first needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway import Backing, Gateway, build, open_http
from orchestra_mcp.gateway.front import Callers
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.money.prices import price
from orchestra_mcp.gateway.provider import Caller, CallObserver
from orchestra_mcp.gateway.routing.doubts import doubts
from orchestra_mcp.gateway.steady.probing import keep_probing
from orchestra_mcp.gateway.transcription import Transcribing
from orchestra_mcp.gateway.vendors.discovery import Found, discover
from orchestra_mcp.gateway.vendors.settling import settle
from orchestra_mcp.settings import Keys, ModelSpec, SeatSpec, Settings
from orchestra_mcp.types import CallRecord

if TYPE_CHECKING:
    from orchestra_mcp.gateway.transports.transport import Transport

MOST_TOLD = 5
"""Faults of the settings that one error tells."""


class Roster:
    """What can be asked, and the gateway that asks it; `ready` must have been awaited before anything else is used."""

    def __init__(self, user: Settings, keys: Keys, http: Transport) -> None:
        self._user, self._keys, self._http = user, keys, http
        self._found: Found | None = None
        self._ready = False
        self._lock = anyio.Lock()
        self.on_call: CallObserver = _nobody_asked
        """Told of every attempt at a model."""
        self.ledger = Ledger(user.limits)
        self.models: dict[str, ModelSpec] = {}
        self.seats: tuple[SeatSpec, ...] = ()
        self.warnings: tuple[str, ...] = ()
        """What in the settings can never work with the models that were found, one line each."""
        self.callers = Callers()
        self.backing = Backing(callers=self.callers)
        """What lasts longer than this process, and who calls; settled before `ready`."""
        self.provider: Gateway
        self.transcribing: Transcribing

    async def ready(self) -> None:
        """Settle the models and seats, once: those of the settings, else what is found. Configured ones cost no look.

        Raises:
            SettingsError: a model of the settings cannot be, or another table names what there is not; the message says
                which and what to change.
        """
        async with self._lock:
            if self._ready:
                return
            configured = bool(self._user.models) or not self._user.discover
            source = self._user if configured else await self._look()
            self.models = {name: _settled(name, spec, self._keys) for name, spec in source.models.items()}
            self.seats = source.seats or tuple(SeatSpec(name=name, model=name) for name in self.models)
            # The price list takes a third of a second to load; later it is asked for in the midst of a call.
            await anyio.to_thread.run_sync(lambda: [price(spec) for spec in self.models.values()])
            self.provider = build(
                self.models,
                self._keys,
                self._user.limits,
                ledger=self.ledger,
                on_call=self._tell,
                http=self._http,
                settings=self._user,
                backing=self.backing,
            )
            wrong = list(dict.fromkeys([*self.provider.router.warnings, *doubts(self._user, self.models)]))
            if wrong and self._user.models:  # what is found depends on keys and servers that come and go
                more = f" And {len(wrong) - MOST_TOLD} more." if len(wrong) > MOST_TOLD else ""
                raise SettingsError(f"orchestra.toml: {' '.join(wrong[:MOST_TOLD])}{more}")
            self.warnings = tuple(wrong)
            self.transcribing = Transcribing(
                self._targets,
                self._keys,
                self._user.limits,
                self._http,
                on_call=self._tell,
                ledger=self.ledger,
                budgets=self.provider.budgets,
                purse=self.backing.purse,
                throttle=self.provider.throttle,
                prices=self._user.prices,
                refuse_unpriced=self._user.gateway.unknown_prices == "refuse",
            )
            if self.backing.engine is not None:
                self.backing.engine.start()
            self._ready = True
            if self._user.gateway.probe_s and self.backing.begin:
                begin = self.backing.begin
                begin(keep_probing, self.provider.models, self._keys, self._http, self._user.gateway.probe_s)

    @property
    def asked(self) -> bool:
        """True when the gateway has been built."""
        return self._ready

    async def missing(self) -> tuple[str, ...]:
        """One line for each kind of expert that could be added, with what adds it."""
        async with self._lock:
            return (await self._look()).missing

    async def _look(self) -> Found:
        if self._found is None:
            self._found = await discover(self._keys, self._http)
        return self._found

    @contextmanager
    def budget(self, run: str, limit: Decimal, spent_today: Decimal) -> Iterator[None]:
        """What one consultation may spend, in US dollars, for the length of a `with` block."""
        self.ledger.sync_today(spent_today)
        self.ledger.open(run, limit)
        try:
            yield
        finally:
            self.ledger.close(run)

    async def _targets(self, name: str, caller: Caller) -> list[tuple[str, ModelSpec]]:
        return [(stack.name, stack.spec) for stack in await self.provider.stacks(name, caller)]

    def _tell(self, call: CallRecord) -> None:
        self.on_call(call)


@asynccontextmanager
async def open_roster(user: Settings, keys: Keys, *, serving: bool = False) -> AsyncIterator[Roster]:
    """Open the connections that all models share; when many are served, over the faster transport if it is there."""
    fast = user.gateway.transport == "aiohttp" or (serving and user.gateway.transport == "auto")
    async with open_http(fast=fast, connect_s=user.gateway.connect_s) as http:
        yield Roster(user, keys, http)


def _settled(name: str, spec: ModelSpec, keys: Keys) -> ModelSpec:
    try:
        return settle(spec, keys)
    except SettingsError as error:
        raise SettingsError(f"models.{name}: {error}") from None


def _nobody_asked(_: CallRecord) -> None:
    """Stands in until somebody wants to know."""
