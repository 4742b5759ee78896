"""What models cost and how much they read, from the data that is bundled with genai-prices (never from its network
updater), with the settings' own prices before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from orchestra_mcp.settings import ModelSpec, PriceRow
from orchestra_mcp.types import Noun, Usage

MTOK = Decimal(1_000_000)


class Rates(Noun):
    """US dollars for a million tokens of each kind."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    @property
    def dearest_input(self) -> Decimal:
        """For a million tokens of input, whatever becomes of them."""
        return max(self.input, self.cache_read, self.cache_write)

    def cost(self, usage: Usage) -> Decimal:
        """What a call costs; reasoning is billed as output."""
        return (
            usage.input_tokens * self.input
            + usage.cache_read_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write
            + (usage.output_tokens + usage.reasoning_tokens) * self.output
        ) / MTOK


class Price(Noun):
    """What a model costs; long inputs may have a dearer tier, whose rates then hold for all tokens of the call."""

    base: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()
    """Above so many input tokens these rates hold; in ascending order."""

    @classmethod
    def flat(cls, input: Decimal, output: Decimal) -> Price:
        """Two rates only; cached input is counted as input."""
        return cls(base=Rates(input=input, output=output, cache_read=input, cache_write=input))

    def cost(self, usage: Usage) -> Decimal:
        """What a call costs in US dollars."""
        size = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        rates = self.base
        for above, dearer in self.tiers:
            if size > above:
                rates = dearer
        return rates.cost(usage)

    def worst(self, usage: Usage) -> Decimal:
        """What a call of at most so many tokens costs at most: at the dearest rates that it can reach, all of its input
        written to a cache where that is dearer."""
        size = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        output = usage.output_tokens + usage.reasoning_tokens
        reached = [self.base, *(rates for above, rates in self.tiers if size > above)]
        return max(size * rates.dearest_input + output * rates.output for rates in reached) / MTOK

    def affords(self, tokens: int, usd: Decimal) -> int:
        """How many tokens of output so much money pays, after `tokens` of input; may be below 0."""
        reached = [self.base, *(rates for above, rates in self.tiers if tokens > above)]
        return min(
            int((usd * MTOK - tokens * rates.dearest_input) // rates.output) if rates.output else 2**31
            for rates in reached
        )


FREE = Price.flat(Decimal(0), Decimal(0))
UNKNOWN = Price.flat(Decimal(10), Decimal(50))
"""Stands in for an unknown price in budgets: that of the dearest models in common use at the end of 2026."""


def price(spec: ModelSpec, at: datetime | None = None, table: Sequence[PriceRow] = ()) -> Price | None:
    """What a model costs at a time (default: now; some vendors are cheaper at night), None when unknown.

    The model's own prices in the settings come first, then the settings' price table; models on this machine and coding
    CLIs (paid by subscription) are free; all others are looked up in genai-prices, by address and model id. The first
    such look-up imports that package (about 0.3 s).
    """
    at = at or datetime.now(UTC)
    if (said := said_by_settings(spec, at, table)) is not None:
        return said
    found = found_in_list(spec)
    if found is None:
        return None
    return _price_of(found.get_prices(at), says="embed" not in spec.model.lower())


def said_by_settings(spec: ModelSpec, at: datetime, table: Sequence[PriceRow] = ()) -> Price | None:
    """A price that needs no list: the model's own, that of the settings' table, or none on this machine."""
    if spec.input_usd_per_mtok is not None and spec.output_usd_per_mtok is not None:
        return Price.flat(spec.input_usd_per_mtok, spec.output_usd_per_mtok)
    if table and (said := _from_table(spec, at, table)) is not None:
        return said
    return FREE if spec.local or spec.wire == "agent" else None


class KeptPrice:
    """One model's price, looked up again from time to time, since some change with the hour.

    Args:
        find: looks the price up; the first time it may take a third of a second, and belongs into a thread.
        clock: seconds from any fixed point.
        ttl_s: how long a price is believed, in seconds.
    """

    def __init__(self, find: Callable[[], Price | None], clock: Callable[[], float], ttl_s: float = 60.0) -> None:
        self._find = find
        self._clock = clock
        self._ttl_s = ttl_s
        self._until: float | None = None
        self._price: Price | None = None

    @property
    def known(self) -> bool:
        """Whether it has been looked up before, so that `now` is quick."""
        return self._until is not None

    def now(self) -> Price | None:
        """The price, None when it is unknown."""
        if self._until is None or self._clock() >= self._until:
            self._price = self._find()
            self._until = self._clock() + self._ttl_s
        return self._price


@cache
def table_date() -> tuple[str, date | None]:
    """Which price list is bundled, and how new the newest price in it is (None: it does not say). Imports as `price`."""
    from importlib.metadata import version

    from genai_prices.data_snapshot import get_snapshot

    today = datetime.now(UTC).date()
    models = [model for provider in get_snapshot().providers for model in provider.models]
    dates = [day for model in models for day in _dates_of(model) if day <= today]
    return f"genai-prices {version('genai-prices')}", max(dates, default=None)


def _dates_of(model: Any) -> Iterator[date]:
    """When a model's prices began to hold, and when somebody compared them with the vendor's page."""
    for conditional in model.prices if isinstance(model.prices, list) else ():
        if (start := getattr(conditional.constraint, "start_date", None)) is not None:
            yield start
    for year, month, day in re.findall(r"verified on (20\d\d)-(\d\d)-(\d\d)", model.price_comments or ""):
        yield date(int(year), int(month), int(day))


def _from_table(spec: ModelSpec, at: datetime, table: Sequence[PriceRow]) -> Price | None:
    """What the settings' price table says: the rows of the narrowest vendor and model that hold at that time."""
    groups: dict[tuple[bool, bool, int], list[PriceRow]] = {}
    for row in table:
        if _concerns(row, spec) and _holds(row, at):
            groups.setdefault((row.vendor != "*", not row.model.endswith("*"), len(row.model)), []).append(row)
    for width in sorted(groups, reverse=True):
        tiers = {row.above_tokens: _rates_of(row) for row in sorted(groups[width], key=_since)}  # the newest counts
        base = tiers.pop(0, None)
        if base is not None:
            return Price(base=base, tiers=tuple(sorted(tiers.items())))
    return None


def _concerns(row: PriceRow, spec: ModelSpec) -> bool:
    names = {spec.vendor.lower(), spec.recipient.lower(), spec.host} - {""}
    model, wanted = spec.model.lower(), row.model.lower()
    # What runs on this machine is free unless the table says `local`.
    vendor = row.vendor.lower() in names or (row.vendor == "*" and not spec.local and spec.wire != "agent")
    return vendor and (model.startswith(wanted[:-1]) if wanted.endswith("*") else model == wanted)


def _holds(row: PriceRow, at: datetime) -> bool:
    return _since(row) <= at and (row.until is None or at < _aware(row.until))


def _since(row: PriceRow) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if row.since is None else _aware(row.since)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rates_of(row: PriceRow) -> Rates:
    read, write = row.cache_read_usd_per_mtok, row.cache_write_usd_per_mtok
    return Rates(
        input=row.input_usd_per_mtok,
        output=row.output_usd_per_mtok,
        cache_read=row.input_usd_per_mtok if read is None else read,
        cache_write=row.input_usd_per_mtok if write is None else write,
    )


def context_window(spec: ModelSpec) -> int | None:
    """How many tokens a model reads at most, None when unknown. Imports as `price`."""
    if spec.context_tokens is not None:
        return spec.context_tokens
    if spec.local or spec.wire == "agent":
        return None
    found = found_in_list(spec)
    return found.context_window if found is not None else None


_PRICE_ADDRESS = {"api.together.ai": "https://api.together.xyz"}
"""Addresses that genai-prices knows under another name. Add here."""


def found_in_list(spec: ModelSpec) -> Any:
    """The model in the bundled data, looked up at its own vendor only: elsewhere it may cost something else."""
    from genai_prices.data_snapshot import get_snapshot

    address = _PRICE_ADDRESS.get(spec.host, spec.base_url)
    try:
        _, model = get_snapshot().find_provider_model(spec.model, None, None, address)
    except LookupError:
        return None
    return model


def _price_of(raw: Any, says: bool = True) -> Price | None:
    """Our price from a `ModelPrice`; None when it lacks a rate or is 0/0, which public tables use for unknown.

    A model that says nothing (it makes vectors) needs no rate for output.
    """

    def rate(name: str, size: int) -> Decimal | None:
        value = getattr(raw, name, None)
        if value is None or isinstance(value, Decimal):
            return value
        found: Decimal = next((t.price for t in reversed(value.tiers) if size > t.start), value.base)
        return found

    def rates(size: int) -> Rates | None:
        one, other = rate("input_mtok", size), rate("output_mtok", size)
        other = Decimal(0) if other is None and not says else other
        if one is None or other is None or not (one or other):
            return None
        read, write = rate("cache_read_mtok", size), rate("cache_write_mtok", size)
        return Rates(
            input=one,
            output=other,
            cache_read=one if read is None else read,
            cache_write=one if write is None else write,
        )

    base = rates(0)
    if base is None:
        return None
    starts = {tier.start for value in vars(raw).values() for tier in getattr(value, "tiers", ())}
    tiers = [(start, found) for start in sorted(starts) if (found := rates(start + 1))]
    return Price(base=base, tiers=tuple(tiers))
