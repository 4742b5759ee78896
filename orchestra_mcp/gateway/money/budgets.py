"""Which budgets a call has to keep within, and the purse that holds their money.

A budget names a scope (all calls, a key, a workspace, a provider, a model) and a window of time (hour, day, month).
`Budgets` finds those that a call touches. `Purse` is what the store implements: it sets money aside in all of them at
once, for all processes, so that nothing can be spent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Protocol

from orchestra_mcp.errors import BudgetExceeded
from orchestra_mcp.gateway.money.dollars import dollars
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.settings import Budget

MAX_KEPT = 4096
"""Combinations of key, workspace, provider and model whose budgets are remembered."""

Extra = Callable[[Caller], Sequence[Budget]]
"""The budgets that were given to a caller's key and workspace at run time; must be quick."""


class Hold(Protocol):
    """Money that is set aside for one call, or the budget that has too little of it. All in micro-dollars."""

    @property
    def amount(self) -> int:
        """What was set aside; 0 when `short`."""
        ...

    @property
    def short(self) -> Budget | None:
        """The budget that has too little left."""
        ...

    @property
    def left(self) -> int:
        """What that budget has left; when money was set aside, what the poorest of them has left after it."""
        ...

    @property
    def held(self) -> int:
        """What calls in flight hold of that budget; some of it comes back."""
        ...

    @property
    def resets(self) -> datetime | None:
        """When it is full again."""
        ...

    def settle(self, cost: int) -> None:
        """Book what the call cost and give the rest back. Never waits; only the first word counts."""
        ...


class Purse(Protocol):
    """Where budgets keep their money, for all processes at once."""

    async def reserve(self, claims: Sequence[Budget], amount: int, floor: int, least: int, ttl_s: float) -> Hold:
        """Set money aside for a call, in all the budgets that it touches or in none.

        Args:
            claims: the budgets, each with the name of the one key, workspace, … that is meant.
            amount: what is wanted, in micro-dollars.
            floor: when less than `amount` is left, at least this is taken.
            least: what is booked when this process dies before it says what the call cost.
            ttl_s: after so many seconds a dead process's hold is given back.

        Raises:
            StoreError: the purse cannot be reached.
        """
        ...


class WindowSpent(BudgetExceeded):
    """A budget over a window of time has too little left.

    Args:
        message: which budget, what it has left, when it is full again and what raises it.
        budget: that budget.
        resets: when its window ends.
    """

    def __init__(self, message: str, budget: Budget, resets: datetime | None) -> None:
        super().__init__(message)
        self.budget = budget
        self.resets = resets


class Budgets:
    """The budgets of the settings, and those of keys and workspaces.

    Args:
        budgets: `[[budgets]]`; names may end in `*`, and `*` stands for every name.
        daily_usd: `[limits] daily_cost_usd`, for all calls of a day; None for no such limit.
        extra: budgets of the caller's key and workspace, given at run time.
    """

    def __init__(
        self, budgets: Sequence[Budget] = (), daily_usd: Decimal | None = None, extra: Extra | None = None
    ) -> None:
        self._budgets = tuple(budgets)
        self._daily = None if daily_usd is None else Budget(per="all", usd=daily_usd, window="day")
        self._extra = extra
        self._kept: dict[tuple[str, str, str, str], tuple[Budget, ...]] = {}

    def claims(self, caller: Caller, provider: str, model: str) -> tuple[Budget, ...]:
        """The budgets that a call touches, each with the name that is meant; of two on one purse the smaller one."""
        who = (caller.key, caller.workspace, provider, model)
        found = self._kept.get(who)
        if found is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            given = self._budgets if self._daily is None else (*self._budgets, self._daily)
            found = self._kept[who] = _smallest(given, who)
        if self._extra is None or not (more := self._extra(caller)):
            return found
        return _smallest((*found, *more), who)

    def only_daily(self, claims: Sequence[Budget]) -> bool:
        """Whether nothing but `daily_cost_usd` is claimed, which the process watches over by itself too."""
        return len(claims) == 1 and claims[0] is self._daily

    def refusal(self, hold: Hold, caller: Caller, needed: int) -> WindowSpent:
        """The error for a hold that is short.

        Args:
            hold: as the purse returned it.
            caller: on whose behalf it was asked for.
            needed: what the call could cost, in micro-dollars.
        """
        budget = hold.short or Budget(usd=Decimal(0))
        whose = "all calls" if budget.per == "all" else f"{budget.per} {budget.name!r}"
        resets = f"{hold.resets:%Y-%m-%d %H:%M} UTC" if hold.resets else "the end of its window"
        wait = (
            f"it is full again at {resets}"
            if needed <= budget.usd * 1_000_000
            else "the call is too dear for it at any time"
        )
        return WindowSpent(
            f"The next call could cost up to {dollars(needed / 1e6, 4)}, but the budget of {whose} for the {budget.window} "
            f"({dollars(budget.usd)}) has {dollars(hold.left / 1e6, 4)} left; {wait}. {self._advice(budget, caller)}",
            budget,
            hold.resets,
        )

    def _advice(self, budget: Budget, caller: Caller) -> str:
        if self._daily is not None and budget == self._daily:
            return "To raise it, set daily_cost_usd of [limits] in orchestra.toml."
        who = (caller.key, caller.workspace, budget.name, budget.name)
        if any(budget == mine for given in self._budgets for mine in _smallest((given,), who)):
            return "To raise it, change [[budgets]] in orchestra.toml."
        return f"To raise it, give this {budget.per} a larger budget."


def _smallest(budgets: Sequence[Budget], who: tuple[str, str, str, str]) -> tuple[Budget, ...]:
    key, workspace, provider, model = who
    names = {"key": key, "workspace": workspace, "provider": provider, "model": model}
    found: dict[tuple[str, str, str], Budget] = {}
    for budget in budgets:
        name = "*" if budget.per == "all" else names[budget.per]
        if not name or (budget.per != "all" and not fnmatchcase(name, budget.name)):
            continue  # this machine's own user has neither key nor workspace
        purse = (budget.per, name, budget.window)
        if purse not in found or budget.usd < found[purse].usd:
            found[purse] = budget if budget.name == name else budget.model_copy(update={"name": name})
    return tuple(found.values())
