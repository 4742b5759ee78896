"""Budgets in the database: what is held and spent in each window of time, for all processes at once.

A purse is one row for a scope, a name, a window and its beginning. Holding money and giving it back are transactions
that are writes from their beginning, so that no two processes can take the same micro-dollar. All that is wanted while
a transaction runs goes into the next one together (group commit), which is one hop to the writer's thread.

    hold = await purses.reserve(claims, amount=120_000, floor=120_000, least=900, ttl_s=660)
    …
    hold.settle(35_411)

Money is whole micro-dollars, times are microseconds since 1970.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from orchestra_mcp.settings.gateway import Budget, Window
from orchestra_mcp.store import rows
from orchestra_mcp.store.database import Unit

T = TypeVar("T")
Write = Callable[[Unit[T]], Awaitable[T]]

SETTLE_S: Final = 0.05
"""What is settled is written after so long at the latest."""
RETRY_S: Final = 1.0
"""A settlement that could not be written is tried again after so long."""
MAX_UNWRITTEN: Final = 100_000
"""Settlements that wait for a database that cannot be written; more are dropped, and count as their whole hold."""
MOST_USD: Final = Decimal(rows.LARGEST // 1_000_000)
"""A larger budget is no different; the number of its digits must not matter."""
KEPT: Final = 62 * 86_400_000_000
"""Purses of windows that began longer ago are forgotten: the longest window, and one before it."""
SWEEP: Final = 1_000_000
"""Lost holds are looked for so often."""
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR

FIND: Final = "SELECT id, spent, held FROM purses WHERE scope = ? AND name = ? AND window = ? AND start = ?"
# What was spent before anybody set this budget counts too. Scopes are our own words, never somebody's text.
SPENT: Final = {
    "all": "SELECT coalesce(sum(cost_micro_usd), 0) FROM calls WHERE at >= ? AND at < ?",
    **{
        scope: f"SELECT coalesce(sum(cost_micro_usd), 0) FROM calls WHERE at >= ? AND at < ? AND {scope} = ?"
        for scope in ("key", "workspace", "provider", "model")
    },
}
OPEN: Final = "INSERT INTO purses (scope, name, window, start, spent, held) VALUES (?, ?, ?, ?, ?, 0)"


def beginning(window: Window, at: int) -> int:
    """When the window began that a moment lies in (UTC): at the full hour, at midnight, on the first of the month."""
    if window == "hour":
        return at - at % HOUR
    midnight = at - at % DAY
    return midnight if window == "day" else _month(midnight)[0]


def end(window: Window, start: int) -> int:
    """When the window ends that began at `start`."""
    return start + HOUR if window == "hour" else start + DAY if window == "day" else _month(start)[1]


@lru_cache(maxsize=8)
def _month(midnight: int) -> tuple[int, int]:
    day = rows.moment(midnight)
    after = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return rows.stamp(datetime(day.year, day.month, 1, tzinfo=UTC)), rows.stamp(datetime(*after, 1, tzinfo=UTC))


@lru_cache(maxsize=4096)
def _limit(budget: Budget) -> int:
    """A budget in micro-dollars, rounded down."""
    return rows.count(int(min(budget.usd, MOST_USD) * 1_000_000))


class Hold:
    """Money that is set aside for one call, or the budget that had too little of it."""

    __slots__ = ("_book", "_open", "amount", "held", "id", "least", "left", "purses", "resets", "short")

    def __init__(self, book: Purses, least: int) -> None:
        self._book = book
        self._open = False
        self.id = 0
        self.amount = 0
        """Set aside, in micro-dollars; between the floor and the amount that was asked for."""
        self.least = least
        self.purses: tuple[int, ...] = ()
        self.short: Budget | None = None
        """The budget that holds too little; then nothing was set aside."""
        self.left = 0
        """What that budget has left, in micro-dollars; when money was set aside, what the poorest has left after it."""
        self.held = 0
        """What calls in flight hold of that budget, in micro-dollars; some of it comes back."""
        self.resets: datetime | None = None
        """When that budget's window ends."""

    def grant(self, id: int, amount: int, purses: tuple[int, ...]) -> None:
        """So much was set aside."""
        self.id, self.amount, self.purses, self._open = id, amount, purses, True

    def settle(self, cost: int) -> None:
        """Book what the call cost, in micro-dollars, and give the rest back; never waits. Only the first word counts."""
        if self._open:
            self._open = False
            self._book.give_back(self, max(0, cost))


class _Ask(NamedTuple):
    claims: Sequence[Budget]
    amount: int
    floor: int
    at: int
    expires: int
    hold: Hold
    done: asyncio.Future[Hold]


class Purses:
    """The purses of a database.

    Args:
        write: runs a unit as one transaction in the writer's thread.
        owner: the token of this process, by which others can tell whether it lives.
        alive: tells whether the process with a token still lives; called in the writer's thread.
        now: microseconds since 1970.
    """

    def __init__(
        self,
        write: Write[None],
        owner: Callable[[], str],
        alive: Callable[[str], bool],
        now: Callable[[], int] = rows.now,
    ) -> None:
        self._write = write
        self._owner = owner
        self._alive = alive
        self._now = now
        self._asks: list[_Ask] = []
        self._settled: list[tuple[Hold, int]] = []
        self._batch: asyncio.Task[None] | None = None
        self._soon = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._swept = 0
        self._tidied = 0
        self.dropped = 0
        """Settlements that could not be kept."""
        self.batches = 0
        """Transactions so far."""

    async def reserve(self, claims: Sequence[Budget], amount: int, floor: int, least: int, ttl_s: float) -> Hold:
        """Set money aside in every purse that the claims name, or in none.

        Args:
            claims: budgets with the name of one key, workspace, … each.
            amount: wanted, in micro-dollars.
            floor: what is taken instead when less than `amount` is left, at least.
            least: what is booked when this process dies without a word, in micro-dollars.
            ttl_s: seconds after which a dead process's hold is given back.

        Raises:
            StoreError: the database cannot be written; nothing was set aside.
        """
        at = self._now()
        done: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        ask = _Ask(claims, amount, min(floor, amount), at, at + int(ttl_s * 1e6), Hold(self, least), done)
        self._asks.append(ask)
        self._wake()
        try:
            return await done
        except asyncio.CancelledError:
            if done.done() and not done.cancelled() and not done.exception():
                done.result().settle(0)
            raise

    def give_back(self, hold: Hold, cost: int) -> None:
        """Book what a call cost; see `Hold.settle`."""
        if self._closed or len(self._settled) >= MAX_UNWRITTEN:
            self.dropped += 1
            return
        self._settled.append((hold, cost))
        self._later(SETTLE_S)

    async def flush(self) -> None:
        """Write everything that waits. Raises StoreError when it cannot be written."""
        while self._batch or self._asks or self._settled:
            if self._batch is None:
                self._start()
            elif (failed := await _ended(self._batch)) is not None:
                raise failed

    async def close(self) -> None:
        """Write everything that waits; what is settled later is dropped, and counts as the least of its hold."""
        try:
            await self.flush()
        finally:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _wake(self) -> None:
        """Begin a batch once all tasks that can run now have had their turn, so that they share it."""
        if self._batch is None and not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._start)

    def _later(self, seconds: float) -> None:
        if self._timer is None and self._batch is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # settled by the garbage collector, after the loop: `flush` or the expiry books it
                return
            self._timer = loop.call_later(seconds, self._start)

    def _start(self) -> None:
        self._soon = False
        if self._batch is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        asks = [ask for ask in self._asks if not ask.done.cancelled()]
        settled = self._settled
        self._asks, self._settled = [], []
        if asks or settled:
            self._batch = asyncio.get_running_loop().create_task(self._run(asks, settled))
            self._batch.add_done_callback(seen)

    async def _run(self, asks: list[_Ask], settled: list[tuple[Hold, int]]) -> None:
        wait = 0.0
        try:
            await self._write(lambda connection: self._unit(connection, asks, settled))
        except asyncio.CancelledError:  # the event loop ends
            for ask in asks:
                ask.done.cancel()
            raise
        except Exception as error:
            self._settled[:0] = settled
            wait = RETRY_S
            for ask in asks:
                if not ask.done.done():
                    ask.done.set_exception(error)
            raise
        else:
            self.batches += 1
            for ask in asks:
                if ask.done.done():  # whoever asked has gone
                    ask.hold.settle(0)
                else:
                    ask.done.set_result(ask.hold)
        finally:
            self._batch = None
            if self._asks:
                self._wake()
            elif self._settled and not self._closed:
                self._later(wait or SETTLE_S)

    # ------------------------------------------------------------------------------------- in the writer's thread

    def _unit(self, connection: sqlite3.Connection, asks: list[_Ask], settled: list[tuple[Hold, int]]) -> None:
        books = _Books(connection)
        now = self._now()
        if now - self._swept >= SWEEP:
            books.sweep(now, self._alive)
            self._swept = now
        for hold, cost in settled:
            books.settle(hold, cost)
        for ask in asks:
            books.reserve(ask, self._owner())
        books.save()
        if now - self._tidied >= HOUR:
            connection.execute("DELETE FROM purses WHERE start < ? AND held = 0", (now - KEPT,))
            self._tidied = now


class _Books:
    """The purses that one transaction touches, each read once and written once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[tuple[str, str, str, int], int] = {}
        self._sums: dict[int, list[int]] = {}  # id → spent, held
        self._new: list[tuple[int, str, int, int, int, str]] = []
        self._gone: list[tuple[int]] = []
        self._changed: set[int] = set()

    def reserve(self, ask: _Ask, owner: str) -> None:
        """Set aside what is asked for, as far as all of its purses have it."""
        hold = ask.hold
        granted = ask.amount
        least_left: int | None = None
        purses: list[int] = []
        for budget in ask.claims:
            start = beginning(budget.window, ask.at)
            id = self._find(budget, start)
            spent, held = self._sums[id]
            left = _limit(budget) - spent - held
            least_left = left if least_left is None else min(left, least_left)
            if left < granted:
                granted = left
                hold.left, hold.resets = max(0, left), rows.moment(end(budget.window, start))
                hold.short, hold.held = budget, held
            if id not in purses:
                purses.append(id)
        if granted < ask.floor:
            return
        hold.short, hold.left = None, (least_left or 0) - granted
        hold.grant(random.getrandbits(62), granted, tuple(purses))
        for id in purses:
            self._sums[id][1] += granted
            self._changed.add(id)
        self._new.append((hold.id, owner, ask.expires, granted, hold.least, ",".join(map(str, purses))))

    def settle(self, hold: Hold, cost: int) -> None:
        """Book a cost and give the rest of its hold back; of a hold that was lost, its least is booked already."""
        there = self._connection.execute("DELETE FROM holds WHERE id = ?", (hold.id,)).rowcount
        if there:
            self._book(hold.purses, cost, hold.amount)
        else:
            self._book(hold.purses, max(0, cost - hold.least), 0)

    def sweep(self, now: int, alive: Callable[[str], bool]) -> None:
        """Give back what dead processes held, and book what their calls have cost at least."""
        lost = self._connection.execute(
            "SELECT id, owner, amount, least, purses FROM holds WHERE expires < ? ORDER BY expires LIMIT 1000", (now,)
        ).fetchall()
        living: dict[str, bool] = {}
        for id, owner, amount, least, purses in lost:
            if owner not in living:
                living[owner] = alive(owner)
            if not living[owner]:
                self._connection.execute("DELETE FROM holds WHERE id = ?", (id,))
                self._book(map(int, purses.split(",")), min(least, amount), amount)

    def save(self) -> None:
        """Write what has changed."""
        self._connection.executemany(
            "INSERT INTO holds (id, owner, expires, amount, least, purses) VALUES (?, ?, ?, ?, ?, ?)", self._new
        )
        self._connection.executemany(
            "UPDATE purses SET spent = ?, held = ? WHERE id = ?", [(*self._sums[id], id) for id in self._changed]
        )

    def _book(self, purses: Iterable[int], cost: int, held: int) -> None:
        for id in purses:
            sums = self._by_id(id)
            if sums is not None:
                sums[0] = rows.count(sums[0] + cost)
                sums[1] -= held
                self._changed.add(id)

    def _by_id(self, id: int) -> list[int] | None:
        if id not in self._sums:
            row = self._connection.execute("SELECT spent, held FROM purses WHERE id = ?", (id,)).fetchone()
            if row is None:  # forgotten: it was settled two months late
                return None
            self._sums[id] = list(row)
        return self._sums[id]

    def _find(self, budget: Budget, start: int) -> int:
        """The id of a purse, whose sums are read; a new one begins with what its window's calls have cost so far."""
        key = (budget.per, budget.name, budget.window, start)
        id = self._ids.get(key)
        if id is not None:
            return id
        row = self._connection.execute(FIND, key).fetchone()
        if row is None:
            values: tuple[int | str, ...] = (start, end(budget.window, start))
            if budget.per != "all":
                values = (*values, budget.name)
            (spent,) = self._connection.execute(SPENT[budget.per], values).fetchone()
            row = (self._connection.execute(OPEN, (*key, spent)).lastrowid, spent, 0)
        id, spent, held = row
        self._ids[key] = id
        self._sums.setdefault(id, [spent, held])
        return int(id)


async def _ended(batch: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait({batch})
    return None if batch.cancelled() else batch.exception()


def seen(batch: asyncio.Task[None]) -> None:
    """Keep asyncio from complaining of an error that those who waited were told."""
    if not batch.cancelled():
        batch.exception()
