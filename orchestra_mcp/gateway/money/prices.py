"""What models cost and how much they read, from the data that is bundled with genai-prices (never from its network
updater), with the settings' own prices before it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import Noun, Usage

MTOK = Decimal(1_000_000)


class Rates(Noun):
    """US dollars for a million tokens of each kind."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

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
        """What a call costs at most, if all of its input is written to a cache where that is dearer."""
        written = usage.model_copy(update={"input_tokens": 0, "cache_write_tokens": usage.input_tokens})
        return max(self.cost(usage), self.cost(written))


FREE = Price.flat(Decimal(0), Decimal(0))
UNKNOWN = Price.flat(Decimal(10), Decimal(50))
"""Stands in for an unknown price in budgets: that of the dearest models in common use at the end of 2026."""


def price(spec: ModelSpec, at: datetime | None = None) -> Price | None:
    """What a model costs at a time (default: now; some vendors are cheaper at night), None when unknown.

    The settings' own prices come first; models on this machine and coding CLIs (paid by subscription) are free; all
    others are looked up in genai-prices, by address and model id. The first call imports that package (about 0.3 s).
    """
    if spec.input_usd_per_mtok is not None and spec.output_usd_per_mtok is not None:
        return Price.flat(spec.input_usd_per_mtok, spec.output_usd_per_mtok)
    if spec.local or spec.wire == "agent":
        return FREE
    found = _find(spec)
    if found is None:
        return None
    return _price_of(found.get_prices(at or datetime.now(UTC)))


def context_window(spec: ModelSpec) -> int | None:
    """How many tokens a model reads at most, None when unknown. Imports as `price`."""
    if spec.context_tokens is not None:
        return spec.context_tokens
    if spec.local or spec.wire == "agent":
        return None
    found = _find(spec)
    return found.context_window if found is not None else None


_PRICE_ADDRESS = {"api.together.ai": "https://api.together.xyz"}
"""Addresses that genai-prices knows under another name. Add here."""


def _find(spec: ModelSpec) -> Any:
    """The model in the bundled data, looked up at its own vendor only: elsewhere it may cost something else."""
    from genai_prices.data_snapshot import get_snapshot

    address = _PRICE_ADDRESS.get(spec.host, spec.base_url)
    try:
        _, model = get_snapshot().find_provider_model(spec.model, None, None, address)
    except LookupError:
        return None
    return model


def _price_of(raw: Any) -> Price | None:
    """Our price from a `ModelPrice`; None when it lacks a rate or is 0/0, which public tables use for unknown."""

    def rate(name: str, size: int) -> Decimal | None:
        value = getattr(raw, name, None)
        if value is None or isinstance(value, Decimal):
            return value
        found: Decimal = next((t.price for t in reversed(value.tiers) if size > t.start), value.base)
        return found

    def rates(size: int) -> Rates | None:
        one, other = rate("input_mtok", size), rate("output_mtok", size)
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
