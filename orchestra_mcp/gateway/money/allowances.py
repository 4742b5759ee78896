"""Small change: where budgets are far from spent, money is fetched from the purse in advance, a hundredth of the smallest
budget at a time, and calls are paid from that without any work of the database.

The purse holds what was fetched, so that nobody can spend it twice. When little is left, every call is held exactly, so
that no process keeps what another one needs. What was fetched and not used goes back after a second without calls. When
the process dies, all that it had fetched counts as spent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from orchestra_mcp.gateway.money.budgets import Hold, Purse
from orchestra_mcp.settings import Budget

SHARE = 100
"""So many times what is fetched at once fits into the smallest budget."""
PLENTY = 20
"""So many times what is fetched at once must be left; four processes then hold a fifth of that at most."""
CALLS = 4
"""What is fetched pays so many calls like the present one, or it is not worth it."""
LONGEST_S = 5.0
"""What was fetched is used for so long: the window of a budget may end meanwhile."""
IDLE_S = 1.0
"""Without a call for so long it is given back."""
MOST = 4096
"""Combinations of budgets that are remembered."""

Claims = tuple[Budget, ...]


class Allowances:
    """A `Purse` in front of a purse. For one event loop.

    Args:
        purse: where the money is.
        clock: seconds from any fixed point.
    """

    def __init__(self, purse: Purse, clock: Callable[[], float] = time.monotonic) -> None:
        self._purse = purse
        self._clock = clock
        self._fetched: dict[Claims, _Allowance] = {}
        self._left: dict[Claims, int] = {}
        self._fetching: set[Claims] = set()

    async def reserve(self, claims: Sequence[Budget], amount: int, floor: int, least: int, ttl_s: float) -> Hold:
        """See `Purse.reserve`."""
        key = tuple(claims)
        held = self._fetched.get(key)
        if held is not None and held.pays(amount, self._clock()):
            return held.take(amount)
        share = min(int(budget.usd * 1_000_000) for budget in key) // SHARE
        if share >= CALLS * amount and self._left.get(key, 0) >= PLENTY * share and key not in self._fetching:
            self._fetching.add(key)
            try:
                more = await self._purse.reserve(claims, share, share, share, ttl_s + LONGEST_S)
            finally:
                self._fetching.discard(key)
            self._note(key, more)
            if more.short is None:
                if held is not None:
                    held.retire()
                held = self._fetched[key] = _Allowance(more, self._clock, self._idle(key))
                return held.take(amount)
        hold = await self._purse.reserve(claims, amount, floor, least, ttl_s)
        self._note(key, hold)
        return hold

    def close(self) -> None:
        """Give back what was not used; before the purse is closed."""
        while self._fetched:
            self._fetched.popitem()[1].retire()

    def _note(self, key: Claims, hold: Hold) -> None:
        if len(self._left) >= MOST:
            self._left.clear()
        self._left[key] = 0 if hold.short is not None else hold.left

    def _idle(self, key: Claims) -> Callable[[_Allowance], None]:
        def forget(allowance: _Allowance) -> None:
            if self._fetched.get(key) is allowance:
                del self._fetched[key]
            allowance.retire()

        return forget


class _Allowance:
    """Money that was fetched: free, out with calls, or spent."""

    def __init__(self, hold: Hold, clock: Callable[[], float], forget: Callable[[_Allowance], None]) -> None:
        self._hold = hold
        self._clock = clock
        self._forget = forget
        self._until = clock() + LONGEST_S
        self._free = hold.amount
        self._out = 0
        self._spent = 0
        self._retired = False
        self._used = clock()
        self._watch()

    def pays(self, amount: int, now: float) -> bool:
        return self._free >= amount and now < self._until and not self._retired

    def take(self, amount: int) -> _Share:
        self._used = self._clock()
        self._free -= amount
        self._out += 1
        return _Share(self, amount)

    def back(self, amount: int, cost: int) -> None:
        self._out -= 1
        self._spent += cost
        self._free += amount - cost
        if self._retired:
            self._settle()

    def retire(self) -> None:
        """Nothing is taken any more; what is free goes back when the last call has settled."""
        if not self._retired:
            self._retired = True
            self._settle()

    def _settle(self) -> None:
        if not self._out:
            self._hold.settle(self._spent)

    def _watch(self) -> None:
        with suppress(RuntimeError):  # no loop: whoever closes the purse gives it back
            asyncio.get_running_loop().call_later(IDLE_S, self._look)

    def _look(self) -> None:
        if self._retired:
            return
        now = self._clock()
        if now >= self._until or now - self._used >= IDLE_S:
            self._forget(self)
        else:
            self._watch()


class _Share:
    """What one call may spend of an allowance."""

    __slots__ = ("_from", "amount")

    short: Budget | None = None
    left = 0
    held = 0
    resets: datetime | None = None

    def __init__(self, source: _Allowance, amount: int) -> None:
        self._from: _Allowance | None = source
        self.amount = amount

    def settle(self, cost: int) -> None:
        """See `Hold.settle`."""
        source, self._from = self._from, None
        if source is not None:
            source.back(self.amount, max(0, cost))
