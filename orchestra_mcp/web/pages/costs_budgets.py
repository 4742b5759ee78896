"""What is left of every budget: the daily limit, those of the settings, of keys and of workspaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from orchestra_mcp.settings.gateway import Budget, Scope, Window
from orchestra_mcp.store.costs import CostRow, Dimension
from orchestra_mcp.store.tenants import VirtualKey, Workspace
from orchestra_mcp.types import Noun

Spent = Callable[[Dimension, datetime], Awaitable[Sequence[CostRow]]]

BY: Final[dict[Scope, Dimension]] = {
    "all": "provider",
    "key": "key",
    "workspace": "workspace",
    "provider": "provider",
    "model": "model",
}
"""By which dimension the spending of a scope is found; for `all` any will do, since it is added up."""
MOST: Final = 60
"""Purses that are shown; a budget for each key may be thousands."""


class Purse(Noun):
    """One budget of one key, workspace, …, in its present window."""

    title: str
    """Whose it is, for people."""
    source: str
    """Where it is set."""
    window: Window
    limit: Decimal
    spent: Decimal
    resets: datetime

    @property
    def left(self) -> Decimal:
        """US dollars; never less than nothing."""
        return max(Decimal(0), self.limit - self.spent)

    @property
    def share(self) -> float:
        """Of it that is spent; may be more than 1, since a call's cost is only known at its end."""
        if not self.limit:
            return 1.0
        return float(self.spent / self.limit)


def began(window: Window, now: datetime) -> datetime:
    """When the present window began (UTC)."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if window == "hour":
        return hour
    midnight = hour.replace(hour=0)
    return midnight if window == "day" else midnight.replace(day=1)


def ends(window: Window, now: datetime) -> datetime:
    """When it ends, and its budget is full again."""
    start = began(window, now)
    if window == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + (timedelta(hours=1) if window == "hour" else timedelta(days=1))


async def purses(
    daily: Decimal,
    budgets: Iterable[Budget],
    keys: Iterable[VirtualKey],
    workspaces: Iterable[Workspace],
    spent: Spent,
    now: datetime,
) -> tuple[Purse, ...]:
    """All budgets with what is spent of them: the daily limit first, then the fullest first.

    Args:
        daily: `[limits] daily_cost_usd`.
        budgets: `[[budgets]]`.
        keys: virtual keys that are good.
        workspaces: all workspaces.
        spent: what calls cost by a dimension since a time.
        now: the time.
    """
    sums = _Sums(spent, now)
    keys, workspaces = tuple(keys), tuple(workspaces)
    names = {key.id: f"{key.name} ({key.workspace})" for key in keys}
    found = []
    for budget in budgets:
        for name, amount in await sums.meant(budget):
            title = "all calls" if budget.per == "all" else f"{budget.per} {names.get(name, name)}"
            found.append(_purse(title, "[[budgets]]", budget, amount, now))
    claims = [(f"key {names[key.id]}", "the key's terms", budget) for key in keys for budget in key.claims()]
    claims += [(f"workspace {each.id}", "the workspace", budget) for each in workspaces for budget in each.claims()]
    found += [_purse(title, source, budget, await sums.one(budget), now) for title, source, budget in claims]
    found.sort(key=lambda each: (-each.share, each.title))
    limit = Budget(usd=daily, window="day")
    today = sum((await sums.of("all", "day")).values(), Decimal(0))
    return (_purse("all calls of a day", "[limits] daily_cost_usd", limit, today, now), *found[:MOST])


def _purse(title: str, source: str, budget: Budget, amount: Decimal, now: datetime) -> Purse:
    resets = ends(budget.window, now)
    return Purse(title=title, source=source, window=budget.window, limit=budget.usd, spent=amount, resets=resets)


class _Sums:
    """What was spent in the present windows, each asked for once."""

    def __init__(self, spent: Spent, now: datetime) -> None:
        self._spent, self._now = spent, now
        self._known: dict[tuple[Dimension, Window], dict[str, Decimal]] = {}

    async def of(self, scope: Scope, window: Window) -> dict[str, Decimal]:
        """By key, workspace, …"""
        what = (BY[scope], window)
        if what not in self._known:
            found: dict[str, Decimal] = defaultdict(Decimal)
            for row in await self._spent(what[0], began(window, self._now)):
                found[row.value] += row.cost_usd
            self._known[what] = found
        return self._known[what]

    async def one(self, budget: Budget) -> Decimal:
        """Of the one that a budget names."""
        return (await self.of(budget.per, budget.window)).get(budget.name, Decimal(0))

    async def meant(self, budget: Budget) -> list[tuple[str, Decimal]]:
        """Each that a budget means, as far as it has spent; one that is named whole in any case."""
        amounts = await self.of(budget.per, budget.window)
        if budget.per == "all":
            return [("", sum(amounts.values(), Decimal(0)))]
        found = [(name, amount) for name, amount in amounts.items() if name and fnmatchcase(name, budget.name)]
        return found or ([] if "*" in budget.name else [(budget.name, Decimal(0))])
