"""What is new in the records since the last look, for whoever counts: calls by their number, consultations by their end.

All processes write these rows, so that whoever reads them counts for all, and calling a model costs nothing more. The
connection is one of its own, so that nobody waits for it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from orchestra_mcp.errors import StoreError
from orchestra_mcp.settings.gateway import Window
from orchestra_mcp.store import database, rows
from orchestra_mcp.store.costs import FROM_CACHE
from orchestra_mcp.store.database import Place, Unit, Worker

T = TypeVar("T")

FAILURES: Final = (sqlite3.Error, OSError)
SECOND: Final = 1_000_000
WAIT_S: Final = 2.0
LATE: Final = 60 * SECOND
"""An end is written so long after its time at the latest: writers queue."""
LONGEST: Final = 2 * 86_400 * SECOND
"""No consultation that is counted began longer ago."""
CALLS: Final = f"""
    SELECT calls.provider, calls.model, coalesce(nullif(calls.use_case, ''), consultations.mode, ''), calls.error,
        CASE WHEN {FROM_CACHE} THEN calls.cache ELSE '' END, count(*),
        sum(input_tokens + cache_read_tokens + cache_write_tokens), sum(output_tokens + reasoning_tokens),
        sum(cache_read_tokens), sum(cache_write_tokens), sum(reasoning_tokens), sum(cost_micro_usd),
        coalesce(sum(max(seconds, 0)), 0){{buckets}}
    FROM calls LEFT JOIN consultations ON consultations.id = calls.consultation
    WHERE {{after}} AND calls.id <= ? GROUP BY 1, 2, 3, 4, 5
"""
ENDED: Final = """
    SELECT id, ended, CASE mode WHEN 'auto' THEN coalesce(json_extract(verdict, '$.mode'), mode) ELSE mode END, status,
        confidence, json_extract(verdict, '$.agreement.share'), json_extract(verdict, '$.quorum_s'),
        json_extract(verdict, '$.absent'), coalesce(json_array_length(verdict, '$.answered'), 0)
    FROM consultations WHERE started > ? AND ended > ? AND status <> 'running'
"""
PURSES: Final = "SELECT name, spent + held FROM purses WHERE scope = ? AND window = ? AND start = ?"


@dataclass(frozen=True)
class Called:
    """Calls of one kind, added up."""

    provider: str
    model: str
    use_case: str
    error: str
    """Its kind, `cancelled`, or empty."""
    cache: str
    """Which of our caches answered; empty when the model was asked."""
    count: int
    input_tokens: int
    """All, those read from and written to a vendor's cache included."""
    output_tokens: int
    """All, reasoning included."""
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_micro_usd: int
    seconds: float
    """Together."""
    within: tuple[int, ...]
    """How many took at most so long, for each edge that was given."""


@dataclass(frozen=True)
class Ended:
    """One consultation that has ended."""

    mode: str
    status: str
    confidence: float | None
    """None without a verdict that rests on answers, and so the next two."""
    agreement: float | None
    quorum_s: float | None
    absent: tuple[tuple[str, str], ...]
    """Seat and kind."""


@dataclass(frozen=True)
class Mark:
    """Up to where the records were read."""

    call: int = 0
    """Number of the last call."""
    at: int = 0
    """Its time: after rows were forgotten, numbers come again."""
    newest: int = 0
    """The latest time of all calls."""
    ended: int = 0
    seen: frozenset[str] = frozenset()
    """Consultations that ended shortly before, which are not counted again."""


@dataclass(frozen=True)
class News:
    """What is new since a mark."""

    calls: tuple[Called, ...]
    ended: tuple[Ended, ...]
    mark: Mark


class Feed:
    """Reads what is new; made for one reader.

    Args:
        home: the data directory.
    """

    def __init__(self, home: Path) -> None:
        self._place = Place(home)
        self._worker: Worker | None = None

    async def mark(self) -> Mark:
        """The end of the records, from where on something is new. Raises StoreError."""

        def unit(connection: sqlite3.Connection) -> Mark:
            call, at = _last(connection)
            now = rows.now()
            return Mark(call, at, at, now, frozenset(id for id, *_ in _ends(connection, now)))

        return await self._read(unit)

    async def news(self, mark: Mark, edges: Sequence[float]) -> News:
        """What is new since a mark; `edges` are those of a histogram, in seconds. Raises StoreError."""
        return await self._read(partial(_news, mark=mark, edges=edges))

    async def held(self, scope: str, window: Window, start: int) -> dict[str, float]:
        """What the purses of a window hold and have spent, in US dollars, by their name. Raises StoreError."""

        def unit(connection: sqlite3.Connection) -> dict[str, float]:
            return {name: amount / SECOND for name, amount in connection.execute(PURSES, (scope, window, start))}

        return await self._read(unit)

    async def spent(self, since: int) -> float:
        """What all calls cost since a stamp, in US dollars. Raises StoreError."""
        sql = "SELECT coalesce(sum(cost_micro_usd), 0) FROM calls WHERE at >= ?"
        return await self._read(lambda connection: float(connection.execute(sql, (since,)).fetchone()[0]) / SECOND)

    async def _read(self, unit: Unit[T]) -> T:
        try:
            if self._worker is None:
                worker = Worker(self._open)
                _ = await worker
                self._worker = worker
            return await self._worker.run(partial(database.read, unit=unit))
        except (*FAILURES, ValueError) as error:
            await self.aclose()
            raise database.explain(error, self._place) from error

    def _open(self) -> sqlite3.Connection:
        # Never made here: where there is no database, somebody else says so.
        place = f"{self._place.database.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(place, uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        return connection

    async def aclose(self) -> None:
        """Let go of the database."""
        worker, self._worker = self._worker, None
        if worker is not None:
            try:
                await worker.close()
            except (*FAILURES, ValueError, StoreError):
                return
            await worker.ended()


def _last(connection: sqlite3.Connection) -> tuple[int, int]:
    found = connection.execute("SELECT id, at FROM calls ORDER BY id DESC LIMIT 1").fetchone()
    return found or (0, 0)


def _ends(connection: sqlite3.Connection, since: int) -> list[rows.Row]:
    return connection.execute(ENDED, (since - LONGEST, since - LATE)).fetchall()


def _news(connection: sqlite3.Connection, mark: Mark, edges: Sequence[float]) -> News:
    last, last_at = _last(connection)
    newest = mark.newest
    calls: list[Called] = []
    whole = (mark.call, mark.at) == (0, 0) or connection.execute(
        "SELECT 1 FROM calls WHERE id = ? AND at = ?", (mark.call, mark.at)
    ).fetchone()
    if (last, last_at) != (mark.call, mark.at):
        after, since = ("calls.id > ?", mark.call) if whole else ("calls.at > ?", mark.newest)
        buckets = "".join(f", coalesce(sum(seconds <= {edge:g}), 0)" for edge in edges)
        found = connection.execute(CALLS.format(after=after, buckets=buckets), (since, last))
        calls = [_called(row) for row in found]
        (latest,) = connection.execute(
            f"SELECT max(calls.at) FROM calls WHERE {after} AND calls.id <= ?", (since, last)
        ).fetchone()
        newest = max(newest, latest or 0)
    ends = _ends(connection, mark.ended)
    until = max((ended for _, ended, *_ in ends), default=mark.ended)
    seen = frozenset(id for id, ended, *_ in ends if ended > until - LATE)
    fresh = tuple(_ended(row) for row in ends if row[0] not in mark.seen)
    return News(tuple(calls), fresh, Mark(last, last_at, newest, until, seen))


def _called(row: rows.Row) -> Called:
    provider, model, use_case, error, cache, *numbers = row
    count, input, output, read, written, reasoning, cost, seconds, *within = numbers
    return Called(
        provider,
        model,
        use_case,
        error,
        cache,
        count,
        input,
        output,
        read,
        written,
        reasoning,
        cost,
        seconds,
        tuple(within),
    )


def _ended(row: rows.Row) -> Ended:
    _, _, mode, status, confidence, share, quorum_s, absent, answered = row
    absences = json.loads(absent) if absent else ()
    counts = bool(answered) and status in ("complete", "degraded")
    return Ended(
        mode=mode,
        status=status,
        confidence=confidence if counts else None,
        agreement=share if counts else None,
        quorum_s=quorum_s if counts else None,
        absent=tuple((str(each.get("seat", "")), str(each.get("kind", ""))) for each in absences),
    )


def window_start(window: Window, now: datetime | None = None) -> int:
    """When the window began that is now, as a stamp."""
    now = now or datetime.now(UTC)
    begun = now.replace(minute=0, second=0, microsecond=0)
    if window != "hour":
        begun -= timedelta(hours=begun.hour)
    return rows.stamp(begun.replace(day=1) if window == "month" else begun)
