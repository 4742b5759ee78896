"""Who is asked about this question and why: seats, what is known of them, and what they cost."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import anyio.to_thread

from orchestra_mcp.council.depth import domain_of, effort_of
from orchestra_mcp.council.prompts import pick_mode
from orchestra_mcp.council.room import MAX_TOKENS
from orchestra_mcp.council.scales.experience import Experience, learn
from orchestra_mcp.council.seating import Prices, Seating, seat_council
from orchestra_mcp.errors import StoreError
from orchestra_mcp.gateway.money.prices import price
from orchestra_mcp.gateway.vendors.catalog import prior_of
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import Dossier, Effort, Question, Seat, Usage

NUMBERED = 1.25
"""What line numbers add to the tokens of code, at most."""
RULES_TOKENS = 1_200
"""Of the instructions around the evidence."""
EXPECTED = {"opinion": 1_500, "compare": 60, "review": 600, "chair": 900}
"""Tokens that a reply usually has; `MAX_TOKENS` is what it may have."""
COMPARED_TOKENS = 500
"""Of a comparison, which sees no evidence."""


@dataclass(frozen=True)
class Convened:
    """A council before it sits."""

    seating: Seating
    experience: Experience
    domain: str
    effort: Effort
    why: str
    """Who opens and how deep it goes, in one line."""
    pricing: Pricing


class Pricing:
    """What calls of seats cost, for one dossier."""

    def __init__(self, seats: Sequence[Seat], models: Mapping[str, ModelSpec], dossier: Dossier) -> None:
        self.known = {seat.name: known for seat in seats if (known := price(models[seat.model]))}
        self._tokens = int(dossier.tokens * NUMBERED) + RULES_TOKENS

    def most(self, seat: Seat, purpose: str) -> Decimal | None:
        """The upper limit of one call."""
        return self._cost(seat, self._tokens, MAX_TOKENS[purpose])

    def expected(self, seat: Seat, purpose: str) -> Decimal | None:
        """What one call usually costs."""
        tokens = COMPARED_TOKENS if purpose == "compare" else self._tokens
        return self._cost(seat, tokens, EXPECTED[purpose])

    def _cost(self, seat: Seat, given: int, said: int) -> Decimal | None:
        known = self.known.get(seat.name)
        if known is None:
            return Decimal(0) if seat.local else None
        return known.cost(Usage(input_tokens=given, output_tokens=said))


async def convene(
    question: Question,
    dossier: Dossier,
    seats: Sequence[Seat],
    models: Mapping[str, ModelSpec],
    store: Store,
) -> Convened:
    """Choose who opens for this question, from what is known of the seats.

    A store that cannot be read costs the track records, not the council.
    """
    mode, domain = pick_mode(question), domain_of(question, dossier)
    effort, because = effort_of(question, dossier, mode)
    try:
        labels, ballots = (await store.labels())[::-1], (await store.recent_ballots())[::-1]
        out = {alert.subject for alert in await store.alerts.lasting() if alert.kind == "outage"}
    except StoreError:
        labels, ballots, out = (), (), set()
    experience = await anyio.to_thread.run_sync(
        partial(
            learn,
            [_about(seat, models[seat.model], domain) for seat in seats],
            labels,
            ballots,
            mode,
            domain,
            datetime.now(UTC),
        ),
        abandon_on_cancel=True,
    )
    pricing = await anyio.to_thread.run_sync(partial(Pricing, seats, models, dossier), abandon_on_cancel=True)
    usd = {s.name: cost for s in seats if (cost := pricing.expected(s, "opinion")) is not None and not s.local}
    free = frozenset(s.name for s in seats if s.local and not models[s.model].input_usd_per_mtok)
    # Exploring pays only for those who mark outcomes; by the question's words, so that it can be repeated.
    dice = random.Random(question.text) if experience.labels else None
    failing = [] if question.experts else [seat for seat in seats if seat.model in out]
    well = [seat for seat in seats if seat not in failing]
    seating = seat_council(well or seats, question, experience, Prices(usd, free), effort, dice)
    if well and failing:
        names = ", ".join(seat.name for seat in failing)
        why = f"{seating.why} Last in reserve, since every call failed lately: {names}."
        seating = seating._replace(reserve=(*seating.reserve, *failing), why=why)
    why = f"{seating.why} Effort {effort}: {because}." if seating.why else ""
    return Convened(seating, experience, domain, effort, why, pricing)


def _about(seat: Seat, spec: ModelSpec, domain: str) -> Seat:
    """The seat with its prior for this domain, where the prior comes from the table and not from the user."""
    if spec.prior is not None or seat.prior != prior_of(seat.model_id):
        return seat
    return seat.model_copy(update={"prior": prior_of(seat.model_id, domain)})
