"""Money: every attempt reserves its worst case before it is made and settles what it really took.

`Ledger` is the budget, one for each consultation and one for the day; it is atomic because nothing is awaited between
looking and taking. `Metered` wraps a wire, prices what it used, and tells an observer of every attempt, also of
failed and cancelled ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Self

import anyio

from orchestra_mcp.errors import BudgetExceeded, ProviderError
from orchestra_mcp.gateway.money.prices import UNKNOWN, Price
from orchestra_mcp.gateway.provider import (
    CallObserver,
    ChatEvent,
    ChatRequest,
    Finish,
    Provider,
    ReasoningDelta,
    Spent,
    TextDelta,
    ToolDelta,
)
from orchestra_mcp.settings import Limits
from orchestra_mcp.types import CallRecord, Usage

BYTES_PER_TOKEN = 2
"""For the worst case. Dense code and non-Latin text come near it; prose has about four."""
DEFAULT_OUTPUT = 32_768
"""Output tokens that are reserved for when a request sets no limit."""
CHARS_PER_TOKEN = 4
"""For an estimate, where a vendor tells no usage."""


def _today() -> date:
    return datetime.now(UTC).date()


class Reservation:
    """Money that is set aside for one attempt."""

    __slots__ = ("_settled", "amount")

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount
        self._settled = Decimal(0)

    def settle(self, cost: Decimal) -> Self:
        """Say what the attempt really cost; without this it cost nothing."""
        self._settled = cost
        return self

    @property
    def cost(self) -> Decimal:
        """What it cost."""
        return self._settled


class Ledger:
    """What may still be spent, by consultation and by day (UTC). For one event loop; nothing here waits.

    Args:
        limits: `max_cost_usd` bounds each consultation, `daily_cost_usd` all of a day.
        spent_today: what the store knows of today's spending, by all processes.
        today: the current date in UTC.
    """

    def __init__(self, limits: Limits, spent_today: Decimal = Decimal(0), today: Callable[[], date] = _today) -> None:
        self._limits = limits
        self._today = today
        self._day = today()
        self._spent_today = spent_today
        self._reserved = Decimal(0)
        self._caps: dict[str, Decimal] = {}
        self._spent: dict[str, Decimal] = {}
        self._held: dict[str, Decimal] = {}

    def open(self, run: str, max_cost_usd: Decimal | None = None) -> None:
        """Give a consultation its own budget; the settings' `max_cost_usd` stays the upper bound."""
        cap = self._limits.max_cost_usd
        self._caps[run] = cap if max_cost_usd is None else min(cap, max_cost_usd)

    def close(self, run: str) -> None:
        """Forget a consultation that has ended."""
        for book in (self._caps, self._spent, self._held):
            book.pop(run, None)

    def spent(self, run: str) -> Decimal:
        """What a consultation has cost so far, in US dollars."""
        return self._spent.get(run, Decimal(0))

    def left(self, run: str) -> Decimal:
        """What a consultation may still reserve, the day's budget included."""
        return max(Decimal(0), min(self._left_of_run(run), self._left_of_day()))

    @property
    def spent_today(self) -> Decimal:
        """What is known to have been spent today, in US dollars."""
        self._turn_day()
        return self._spent_today

    def sync_today(self, spent: Decimal) -> None:
        """Take over the store's sum of today, when other processes have spent more than is known here."""
        self._turn_day()
        self._spent_today = max(self._spent_today, spent)

    @contextmanager
    def reserve(self, run: str, amount: Decimal) -> Iterator[Reservation]:
        """Set `amount` aside; on leaving, the settled cost is booked and the rest given back.

        Raises:
            BudgetExceeded: before anything is set aside; says what was needed, what is left, and what raises it.
        """
        self._check(run, amount)
        reservation = Reservation(amount)
        self._reserved += amount
        if run:  # calls of no consultation are bounded one by one, and by the day
            self._held[run] = self._held.get(run, Decimal(0)) + amount
        try:
            yield reservation
        finally:
            self._turn_day()
            self._reserved -= amount
            self._spent_today += reservation.cost
            if run in self._held:  # else it was closed meanwhile
                self._held[run] -= amount
                self._spent[run] = self.spent(run) + reservation.cost

    def _check(self, run: str, amount: Decimal) -> None:
        if amount > (left := self._left_of_run(run)):
            advice = "raise max_cost_usd of the question or of [limits] in orchestra.toml"
            raise BudgetExceeded(_too_dear("this consultation", amount, left, self._cap(run), advice))
        if amount > (left := self._left_of_day()):
            advice = "raise daily_cost_usd of [limits] in orchestra.toml, or wait for the next day (UTC)"
            raise BudgetExceeded(_too_dear("today", amount, left, self._limits.daily_cost_usd, advice))

    def _cap(self, run: str) -> Decimal:
        return self._caps.get(run, self._limits.max_cost_usd)

    def _left_of_run(self, run: str) -> Decimal:
        return self._cap(run) - self.spent(run) - self._held.get(run, Decimal(0))

    def _left_of_day(self) -> Decimal:
        self._turn_day()
        return self._limits.daily_cost_usd - self._spent_today - self._reserved

    def _turn_day(self) -> None:
        if (today := self._today()) != self._day:
            self._day, self._spent_today = today, Decimal(0)


def _too_dear(whose: str, amount: Decimal, left: Decimal, cap: Decimal, advice: str) -> str:
    left = max(Decimal(0), left)
    return (
        f"The next call could cost up to ${amount:.4f}, but the budget of {whose} (${cap:.2f}) has ${left:.4f} left; "
        f"{advice}."
    )


class Metered:
    """Wraps a wire.

    Args:
        inner: what is asked.
        model: the gateway's name of the model.
        provider: who receives the text.
        price: finds the model's price, None when unknown; called once, in a thread.
        clock: seconds from any fixed point.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        model: str,
        provider: str,
        price: Callable[[], Price | None],
        ledger: Ledger,
        on_call: CallObserver,
        clock: Callable[[], float],
    ) -> None:
        self._inner = inner
        self._model = model
        self._provider = provider
        self._find_price = price
        self._price: Price | None = None
        self._priced = False
        self._ledger = ledger
        self._on_call = on_call
        self._clock = clock

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        if not self._priced:
            self._price = await anyio.to_thread.run_sync(self._find_price)
            self._priced = True
        with self._ledger.reserve(request.run, self._worst_case(request)) as reservation:
            attempt = _Attempt(self, request, reservation)
            try:
                async with aclosing(self._inner.chat(request)) as events:
                    async for event in events:
                        attempt.see(event)
                        if isinstance(event, Finish):
                            break
                        if not isinstance(event, Spent):
                            yield event
            except ProviderError as error:
                attempt.close(error.kind)
                raise
            except (anyio.get_cancelled_exc_class(), GeneratorExit):
                attempt.close("cancelled")
                raise
            except BaseException:
                attempt.close("server")
                raise
            usage = attempt.close("")
        if attempt.finish is not None:
            yield attempt.finish.model_copy(update={"usage": usage})

    def _worst_case(self, request: ChatRequest) -> Decimal:
        size = sum(len(m.text.encode("utf-8", "replace")) + 16 for m in request.messages)
        most = Usage(input_tokens=-(-size // BYTES_PER_TOKEN), output_tokens=request.max_tokens or DEFAULT_OUTPUT)
        return (self._price or UNKNOWN).worst(most)

    def bill(self, usage: Usage) -> tuple[Usage, Decimal]:
        """Usage with its cost, and what the budget is charged (more, when the price is unknown)."""
        if usage.cost_usd:
            return usage, usage.cost_usd
        if self._price is None:
            return usage.model_copy(update={"unpriced": 1}), UNKNOWN.cost(usage)
        cost = self._price.cost(usage)
        return usage.model_copy(update={"cost_usd": cost}), cost

    def report(self, record: dict[str, object]) -> None:
        """Tell the observer of one attempt."""
        self._on_call(CallRecord.model_validate({"model": self._model, "provider": self._provider, **record}))

    def now(self) -> float:
        """Seconds on the meter's clock."""
        return self._clock()


class _Attempt:
    """What is known of one attempt while it runs."""

    def __init__(self, meter: Metered, request: ChatRequest, reservation: Reservation) -> None:
        self._meter = meter
        self._request = request
        self._reservation = reservation
        self._began = meter.now()
        self._first: float | None = None
        self._known = Usage()
        self._chars = 0
        self.finish: Finish | None = None

    def see(self, event: ChatEvent) -> None:
        """Note what an event tells about time and usage."""
        if isinstance(event, Spent):
            self._known = event.usage
        elif isinstance(event, Finish):
            self.finish = event
            self._known = event.usage
        else:
            self._chars += len(event.arguments) + len(event.name) if isinstance(event, ToolDelta) else len(event.text)
            if self._first is None and isinstance(event, TextDelta | ReasoningDelta | ToolDelta):
                self._first = self._meter.now() - self._began

    def close(self, error: str) -> Usage:
        """Settle, tell the observer, and return the usage with its cost."""
        usage, cost = self._meter.bill(self._used())
        if not usage.tokens:  # nothing reached the model, so that nothing was left unpriced either
            usage, cost = usage.model_copy(update={"unpriced": 0}), Decimal(0)
        usage = usage.model_copy(update={"calls": 1})
        self._reservation.settle(cost)
        self._meter.report(
            {
                "run": self._request.run,
                "purpose": self._request.purpose,
                "usage": usage,
                "seconds": round(self._meter.now() - self._began, 3),
                "first_token_s": None if self._first is None else round(self._first, 3),
                "attempt": self._request.attempt,
                "error": error,
            }
        )
        return usage

    def _used(self) -> Usage:
        """What the vendor said; where it said nothing though the model has spoken, an estimate from the text."""
        known = self._known
        spoke = self._first is not None or self.finish is not None
        if (self.finish is not None and known.tokens) or not (spoke or known.tokens):
            return known
        prompt = sum(len(m.text) for m in self._request.messages) // CHARS_PER_TOKEN
        inputs = known.input_tokens + known.cache_read_tokens + known.cache_write_tokens
        return known.model_copy(
            update={
                "input_tokens": known.input_tokens if inputs else prompt,
                "output_tokens": max(known.output_tokens, self._chars // CHARS_PER_TOKEN),
            }
        )
