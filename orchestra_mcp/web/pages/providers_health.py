"""How every provider and model does: seated or not, key set or not, what it last answered and how it last failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from orchestra_mcp.app.keys.keyring import names_of
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.store.costs import CostRow
from orchestra_mcp.types import CouncilStatus, Latency, Noun, SeatStatus

if TYPE_CHECKING:
    from orchestra_mcp.app import Orchestra

LOOKS: Final[tuple[tuple[timedelta, str], ...]] = (
    (timedelta(minutes=1), "within the last minute"),
    (timedelta(minutes=5), "within 5 minutes"),
    (timedelta(minutes=15), "within 15 minutes"),
    (timedelta(hours=1), "within the hour"),
    (timedelta(hours=6), "within 6 hours"),
    (timedelta(hours=24), "within 24 hours"),
    (timedelta(days=7), "within 7 days"),
)
"""Times that are looked at one after the other, each without the one before: by which calls of all processes are seen."""
FAILING: Final = 0.5
PARTLY: Final = 0.1
"""Shares of failed calls within the hour from which on a model counts as failing, and as failing in part."""
HOUR: Final = timedelta(hours=1)


class Key(Noun):
    """A variable that a model is asked with, and whether it is set; never its value."""

    name: str
    set: bool


class Health(Noun):
    """One model."""

    name: str
    model_id: str = ""
    seats: tuple[SeatStatus, ...] = ()
    keys: tuple[Key, ...] = ()
    local: bool = False
    succeeded: str = ""
    """When it last answered, in words; empty when it did not within the longest of `LOOKS`."""
    failed: str = ""
    errors: tuple[str, ...] = ()
    """Kinds of its last failures."""
    calls: int = 0
    """Of the last hour, without those answered from a cache."""
    failures: int = 0
    p50_s: float | None = None
    cost_usd: Decimal = Decimal(0)
    resting_s: float | None = None
    """It failed too often and is asked again after so long; None: it may be asked now."""
    asked_by_name: bool = False
    """Not one of the settings: somebody asked for `vendor/model id`."""

    @property
    def error_rate(self) -> float | None:
        """Share of the calls of the last hour that failed; None without any."""
        return self.failures / self.calls if self.calls else None

    @property
    def lacks(self) -> tuple[str, ...]:
        """Variables that are not set."""
        return tuple(key.name for key in self.keys if not key.set)

    @property
    def state(self) -> str:
        """One word: `resting`, `no key`, `failing`, `partly failing`, `well`, `idle`, `not asked yet`."""
        if self.resting_s:
            return "resting"
        if self.keys and len(self.lacks) == len(self.keys) and not self.local:
            return "no key"
        if self.calls:
            share = self.failures / self.calls
            return "failing" if share >= FAILING else "partly failing" if share >= PARTLY else "well"
        return "idle" if self.succeeded else "failing" if self.failed else "not asked yet"


class Provider(Noun):
    """Who receives what is sent to some models."""

    name: str
    models: tuple[Health, ...]

    @property
    def calls(self) -> int:
        """Of the last hour."""
        return sum(model.calls for model in self.models)

    @property
    def failures(self) -> int:
        """Of the last hour."""
        return sum(model.failures for model in self.models)

    @property
    def state(self) -> str:
        """The word of its models: the best, but `partly failing` where some of them do well and others do not."""
        states = {model.state for model in self.models}
        if "partly failing" in states or (states & {"well", "idle"} and states & {"failing", "resting"}):
            return "partly failing"
        order = ("well", "idle", "failing", "resting", "not asked yet", "no key")
        return min(states, key=order.index)


class Seen(Noun):
    """What the records of calls say of one model."""

    succeeded: str = ""
    failed: str = ""
    errors: tuple[str, ...] = ()


async def health(orchestra: Orchestra, status: CouncilStatus) -> tuple[Provider, ...]:
    """Every provider of a model that can be asked, by name; those on this machine last.

    Raises:
        SettingsError: the models cannot be settled.
        StoreError: the records cannot be read.
    """
    gateway = await orchestra.gateway()
    now = datetime.now(UTC)
    seen = await _seen(orchestra, now)
    recent = await orchestra.costs("model", now - HOUR)
    took = {each.value: each for each in await orchestra.latency("model", now - HOUR)}
    seats = defaultdict(list)
    for seat in status.seats:
        seats[seat.provider, seat.model].append(seat)
    models = gateway.models
    shown = [*models.given, *(name for name in models if name not in models.given and name in seen)]
    by_provider: dict[str, list[Health]] = defaultdict(list)
    for name in shown:
        spec = models.spec(name)
        mine = tuple(seats.get((spec.recipient, spec.model), ()))
        made = _health(name, spec, mine, recent, took.get(name), seen.get(name, Seen()))
        keys = tuple(Key(name=key, set=orchestra.keyring.has(key)) for key in names_of(spec))
        asked = name not in models.given and not mine
        update = {"keys": keys, "resting_s": models.resting(name), "asked_by_name": asked}
        by_provider[spec.recipient].append(made.model_copy(update=update))
    found = [Provider(name=name, models=tuple(models)) for name, models in by_provider.items()]
    return tuple(sorted(found, key=lambda each: (each.name == "local", each.name)))


def _health(
    name: str,
    spec: ModelSpec,
    seats: tuple[SeatStatus, ...],
    recent: Iterable[CostRow],
    took: Latency | None,
    seen: Seen,
) -> Health:
    mine = [row for row in recent if row.model == name]
    return Health(
        name=name,
        model_id=spec.model,
        seats=seats,
        local=spec.local,
        succeeded=seen.succeeded,
        failed=seen.failed,
        errors=seen.errors,
        calls=sum(row.paid + row.errors for row in mine),
        failures=sum(row.errors for row in mine),
        cost_usd=sum((row.cost_usd for row in mine), Decimal(0)),
        p50_s=took.p50_s if took else None,
    )


async def _seen(orchestra: Orchestra, now: datetime) -> Mapping[str, Seen]:
    """When each model last answered and last failed, as near as `LOOKS` tell it, from the records of all processes."""
    succeeded: dict[str, str] = {}
    failed: dict[str, str] = {}
    errors: dict[str, tuple[str, ...]] = {}
    until = now + timedelta(seconds=1)
    for long, words in LOOKS:
        since = now - long
        kinds: dict[str, list[str]] = defaultdict(list)
        for row in await orchestra.costs("error", since, until):
            if row.paid:
                succeeded.setdefault(row.model, words)
            if row.errors:
                kinds[row.model].append(row.value)
        for model, found in kinds.items():
            if model not in failed:
                failed[model], errors[model] = words, tuple(sorted(set(found)))
        until = since
    return {
        model: Seen(succeeded=succeeded.get(model, ""), failed=failed.get(model, ""), errors=errors.get(model, ()))
        for model in {*succeeded, *failed}
    }
