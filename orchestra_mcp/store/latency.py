"""How long calls took: percentiles by any dimension over any time, from the records of calls.

Percentiles are exact, by the nearest rank (the smallest value that at least p % of all are not above). Sorting a
million times in SQLite takes seconds, so it is not done: a first scan counts calls by coarse classes of time, which
tells in which class each rank lies; a second one reads only those classes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final

from orchestra_mcp.store import rows
from orchestra_mcp.store.costs import CONSULTATIONS, FROM_CACHE, TIMES, VALUES, Dimension
from orchestra_mcp.types import Latency

# A class of time: 0.05 s wide below a second, 0.25 s below ten, 2.5 s below a hundred, then 25 s; 999 for no time.
CLASS: Final = """CASE
    WHEN {t} IS NULL THEN 999
    WHEN {t} < 1 THEN cast({t} * 20 AS INTEGER)
    WHEN {t} < 10 THEN 50 + cast({t} * 4 AS INTEGER)
    WHEN {t} < 100 THEN 150 + cast({t} * 0.4 AS INTEGER)
    ELSE 250 + cast(min({t}, 10000) * 0.04 AS INTEGER) END"""
WHOLE: Final = CLASS.format(t="calls.seconds")
FIRST: Final = CLASS.format(t="calls.first_token_s")
FROM: Final = f"""
    FROM calls LEFT JOIN {{joined}} AS consultations ON consultations.id = calls.consultation
    WHERE calls.at >= ? AND calls.at < ? AND calls.error = '' AND NOT {FROM_CACHE} AND calls.seconds IS NOT NULL
    {{condition}}
"""
# Both classes in one number: sorted by one whole number less, which is most of the time that grouping takes.
COUNT: Final = f"SELECT {{value}} AS value, ({WHOLE}) * 1000 + {FIRST} AS classes, count(*) {FROM} GROUP BY 1, 2"
READ: Final = f"""
    SELECT {{value}} AS value, {WHOLE} AS whole, {FIRST} AS first, calls.seconds, calls.first_token_s {FROM}
    AND (whole IN ({{wholes}}) OR first IN ({{firsts}}))
"""
NONE: Final = 999
SHARES: Final = (50, 95, 99)


def latencies(
    connection: sqlite3.Connection, by: Dimension, since: datetime, until: datetime | None = None
) -> tuple[Latency, ...]:
    """Percentiles of answered calls (not of those from a cache), by one dimension, most calls first (times in order).

    Args:
        by: one of `costs.VALUES`.
        since: from then on.
        until: before then; None for no end.
    """
    period = rows.stamp(since), rows.stamp(until) if until else 2**62
    found = percentiles(connection, VALUES[by], period, with_mode=by == "use_case")
    return tuple(sorted(found, key=lambda line: line.value if by in TIMES else (-line.calls, line.value)))


def percentiles(
    connection: sqlite3.Connection,
    value: str,
    period: tuple[int, int],
    condition: str = "",
    values: Sequence[str] = (),
    *,
    with_mode: bool = False,
) -> list[Latency]:
    """Percentiles of answered calls, in no order.

    Args:
        connection: to the database.
        value: an expression of SQL by which calls are told apart, of our own words.
        period: from then on, before then; stamps.
        condition: a further one that begins with `AND`, of our own words too.
        values: for its question marks.
        with_mode: the expression speaks of modes.
    """
    joined = CONSULTATIONS if with_mode else "consultations"
    given = (*(period if with_mode else ()), *period, *values)
    terms = {"value": value, "joined": joined, "condition": condition}
    wholes: dict[str, Counter[int]] = defaultdict(Counter)
    firsts: dict[str, Counter[int]] = defaultdict(Counter)
    for name, classes, count in connection.execute(COUNT.format(**terms), given):
        wholes[name or ""][classes // 1000] += count
        if classes % 1000 != NONE:
            firsts[name or ""][classes % 1000] += count
    whole = {name: _places(counted) for name, counted in wholes.items()}
    first = {name: _places(counted) for name, counted in firsts.items()}
    wanted = [{(name, number) for name in by for number, _ in by[name].values()} for by in (whole, first)]
    read: list[dict[tuple[str, int], list[float]]] = [{place: [] for place in places} for places in wanted]
    sql = READ.format(**terms, wholes=_numbers(wanted[0]), firsts=_numbers(wanted[1]))
    for name, *numbers, seconds, first_token_s in connection.execute(sql, given) if whole else ():
        for times, number, time in zip(read, numbers, (seconds, first_token_s), strict=True):
            if (place := (name or "", number)) in times:
                times[place].append(time)
    for one in (*read[0].values(), *read[1].values()):
        one.sort()

    def at(which: int, name: str, share: int) -> float | None:
        found = (whole, first)[which].get(name)
        return read[which][name, found[share][0]][found[share][1] - 1] if found else None

    return [
        Latency(
            value=name,
            calls=wholes[name].total(),
            p50_s=at(0, name, 50) or 0.0,
            p95_s=at(0, name, 95) or 0.0,
            p99_s=at(0, name, 99) or 0.0,
            first_p50_s=at(1, name, 50),
            first_p95_s=at(1, name, 95),
        )
        for name in whole
    ]


def _numbers(places: Iterable[tuple[str, int]]) -> str:
    return ", ".join(str(number) for number in sorted({number for _, number in places}))


def _places(counted: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """For each share: the class in which its rank lies, and its place within that class, counted from 1."""
    numbers = sorted(counted)
    up_to = list(accumulate(counted[number] for number in numbers))
    found = {}
    for share in SHARES:
        rank = max(1, -(-up_to[-1] * share // 100))
        index = next(index for index, count in enumerate(up_to) if count >= rank)
        found[share] = (numbers[index], rank - (up_to[index - 1] if index else 0))
    return found
