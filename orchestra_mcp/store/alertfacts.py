"""What rules of alerts look at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from orchestra_mcp.store import lookup, rows
from orchestra_mcp.store.costs import FROM_CACHE
from orchestra_mcp.store.latency import percentiles

OURS: Final = (
    "cancelled", "request", "policy", "window", "refusal", "own_limit", "budget", "resting", "too_long", "truncated",
)  # fmt: skip
"""Kinds of errors (`errors.py`) that say nothing of whether an expert is there: the question's fault, or our own limits."""
_OURS: Final = ", ".join(f"'{kind}'" for kind in OURS)
AT_STAKE: Final = f"NOT {FROM_CACHE}"


class Calls(NamedTuple):
    """Which calls are meant; an empty name stands for all."""

    since: datetime
    provider: str = ""
    model: str = ""
    workspace: str = ""

    @property
    def stamp(self) -> int:
        """When they begin, for the database."""
        return rows.stamp(self.since)

    @property
    def condition(self) -> str:
        """What follows `calls.at >= ?`, for SQL."""
        named = [f"calls.{name} = ?" for name in ("provider", "model", "workspace") if getattr(self, name)]
        return "".join(f" AND {each}" for each in named)

    @property
    def names(self) -> tuple[str, ...]:
        """For its question marks."""
        return tuple(rows.clean(name) for name in (self.provider, self.model, self.workspace) if name)


class Streak(NamedTuple):
    """Failed calls in a row of one expert, up to now."""

    model: str
    provider: str
    failed: int
    error: str
    """Kind of the last one."""


class Facts:
    """The records as they are at one moment.

    Args:
        connection: inside a read transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def spent(self, calls: Calls) -> float:
        """What the calls cost, in US dollars."""
        sql = f"SELECT coalesce(sum(cost_micro_usd), 0) FROM calls WHERE calls.at >= ?{calls.condition}"
        (total,) = self._connection.execute(sql, (calls.stamp, *calls.names)).fetchone()
        return float(total) / 1_000_000

    def failures(self, calls: Calls) -> tuple[int, int]:
        """How many failed, and how many there were; cancelled calls and those answered from a cache are no calls here."""
        sql = f"""
            SELECT coalesce(sum(error <> ''), 0), count(*) FROM calls
            WHERE calls.at >= ?{calls.condition} AND error <> 'cancelled' AND {AT_STAKE}
        """
        failed, count = self._connection.execute(sql, (calls.stamp, *calls.names)).fetchone()
        return failed, count

    def slowness(self, calls: Calls) -> tuple[float, int]:
        """The 95th percentile of answered calls, in seconds, and how many there were."""
        found = percentiles(self._connection, "''", (calls.stamp, 2**62), calls.condition, calls.names)
        return (found[0].p95_s, found[0].calls) if found else (0.0, 0)

    def streaks(self, calls: Calls) -> tuple[Streak, ...]:
        """For each expert that was asked: how many calls in a row have failed since its last answer; 0 when the last was answered."""
        sql = f"""
            WITH asked AS (
                SELECT model, provider, at, error FROM calls
                WHERE calls.at >= ?{calls.condition} AND {AT_STAKE} AND error NOT IN ({_OURS})
            ), answered AS (SELECT model, max(at) AS last FROM asked WHERE error = '' GROUP BY model)
            SELECT model, provider, sum(error <> '' AND asked.at > coalesce(last, 0)), max(asked.at), error
            FROM asked LEFT JOIN answered USING (model) GROUP BY model ORDER BY model
        """  # with max() the bare columns are those of its row
        found = self._connection.execute(sql, (calls.stamp, *calls.names))
        return tuple(Streak(model, provider, failed, error) for model, provider, failed, _, error in found)

    def stated(self, limit: int) -> Iterator[tuple[float, float, float]]:
        """Of the last marked consultations: the confidence that was stated, 1 when the first solution was right, its weight."""
        for label in lookup.labels(self._connection, limit):
            sql = "SELECT confidence FROM consultations WHERE id = ?"
            found = self._connection.execute(sql, (label.consultation,)).fetchone()
            if found is None or found[0] is None or (label.right is None and 0 not in label.wrong):
                continue
            yield found[0], float(label.right == 0), label.weight
