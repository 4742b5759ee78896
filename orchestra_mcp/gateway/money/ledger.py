"""What this process may still spend, by consultation and by day; atomic because nothing is awaited between looking and
taking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Self

from orchestra_mcp.errors import BudgetExceeded
from orchestra_mcp.gateway.money.dollars import dollars
from orchestra_mcp.settings import Limits


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
        """What a consultation may still reserve, the day's budget included; calls of none (`""`): the day's."""
        day = self._left_of_day()
        return max(Decimal(0), min(self._left_of_run(run), day) if run else day)

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
        if run:  # calls of no consultation are bounded by the day
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
        if not amount:  # a free one costs nothing that is not there
            return
        if run and amount > (left := self._left_of_run(run)):
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
        f"The next call could cost up to {dollars(amount, 4)}, but the budget of {whose} ({dollars(cap)}) has "
        f"{dollars(left, 4)} left; "
        f"{advice}."
    )
