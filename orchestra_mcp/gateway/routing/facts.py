"""What the routing knows of a model before it is asked, worked out once so that choosing costs only arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestra_mcp.gateway.money.prices import MTOK, UNKNOWN, Price
from orchestra_mcp.settings.gateway import Ability, ModelSpec


class Step(NamedTuple):
    """US dollars for one token, for prompts of more than `above` tokens."""

    above: int
    input: float
    most_input: float
    """Whatever becomes of the prompt: written to a cache, or read from one."""
    output: float


class Tariff(NamedTuple):
    """A price as plain numbers. Good for comparing models; money that is spent is counted with `Price`."""

    steps: tuple[Step, ...]
    """By `above`, rising; the first begins at 0."""

    def cost(self, tokens: int, answer: float) -> float:
        """US dollars for a prompt and an answer of so many tokens, nothing of it cached."""
        step = self._step(tokens)
        return tokens * step.input + answer * step.output

    def worst(self, tokens: int, answer: float) -> float:
        """As `Price.worst`: US dollars at most, at the dearest rates that so many tokens can reach."""
        return max(
            tokens * step.most_input + answer * step.output
            for step in self.steps
            if not step.above or tokens > step.above
        )

    def affords(self, tokens: int, usd: float) -> int:
        """As `Price.affords`: tokens of output that so much money pays after `tokens` of input, at most 2³¹."""
        reached = (step for step in self.steps if not step.above or tokens > step.above)
        return min(
            int(min((usd - tokens * step.most_input) / step.output + 1e-6, 2.0**31)) if step.output else 2**31
            for step in reached
        )

    def _step(self, tokens: int) -> Step:
        found = self.steps[0]
        for step in self.steps[1:]:
            if tokens <= step.above:
                break
            found = step
        return found


def tariff_of(price: Price) -> Tariff:
    """A price with its tiers as numbers for one token."""
    rows = ((0, price.base), *price.tiers)
    return Tariff(
        tuple(
            Step(
                above,
                float(rates.input / MTOK),
                float(max(rates.input, rates.cache_read, rates.cache_write) / MTOK),
                float(rates.output / MTOK),
            )
            for above, rates in rows
        )
    )


CEILING = tariff_of(UNKNOWN)
"""Stands in for an unknown price."""


class Facts(NamedTuple):
    """What is known of one model; None is unknown, and what is unknown excludes nothing."""

    model_id: str
    """The vendor's own name."""
    provider: str = ""
    """Who receives the text."""
    window: int | None = None
    """Tokens that prompt and answer may have together."""
    most_output: int | None = None
    """Tokens that an answer may have."""
    abilities: frozenset[Ability] | None = None
    tariff: Tariff | None = None
    prior: float | None = None
    """Probability of being right that the settings give it; None: by its id."""
    concurrent: int | None = None
    """Calls that it takes at a time."""
    general: bool = True
    """Takes part in routes over all models. Coding CLIs and models that do not chat do not."""

    @property
    def limited(self) -> bool:
        """Something is known that a request could be too much for."""
        return self.window is not None or self.abilities is not None or self.most_output is not None

    @property
    def identity(self) -> str:
        """What tells its answers apart from those of other models."""
        return f"{self.provider}/{self.model_id}"


def facts_of(
    spec: ModelSpec,
    *,
    price: Price | None = None,
    window: int | None = None,
    most_output: int | None = None,
    abilities: Iterable[Ability] | None = None,
) -> Facts:
    """The facts of a configured or discovered model. What the settings say goes before what is handed in.

    Args:
        spec: the model's table.
        price: as `prices.price` found it.
        window: as `prices.context_window` found it, in tokens.
        most_output: longest answer in tokens, where known.
        abilities: what vendor and model id promise, where known.
    """
    able = spec.abilities if spec.abilities is not None else abilities
    return Facts(
        model_id=spec.model,
        provider=spec.recipient,
        window=spec.context_tokens or window,
        most_output=most_output,
        abilities=None if able is None else frozenset(able),
        tariff=None if price is None else tariff_of(price),
        prior=spec.prior,
        concurrent=spec.concurrent,
        general=spec.wire != "agent",
    )
