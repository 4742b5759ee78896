"""The figures of the page of costs: lines over time for the plot, and one row for each value for the table."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from orchestra_mcp.store.costs import CostLine, CostRow, Dimension, lines, total
from orchestra_mcp.types import Latency, Noun
from orchestra_mcp.web.pages.costs_period import Metric, Period, after

MOST_LINES: Final = 7
"""Lines of the plot; further values are one line together."""
OTHERS: Final = "all others"
NONE: Final = "(none)"
IN_ROWS: Final = frozenset({"provider", "model", "model_id"})
"""Dimensions that every row of costs tells beside the one that was asked for."""


class Records(Protocol):
    """Who knows what calls cost and how long they took; the house."""

    async def costs(self, by: Dimension, since: datetime, until: datetime | None = None) -> tuple[CostRow, ...]:
        """What calls cost."""
        ...

    async def latency(self, by: Dimension, since: datetime, until: datetime | None = None) -> tuple[Latency, ...]:
        """How long they took."""
        ...


class Line(Noun):
    """One line of the plot."""

    name: str
    values: tuple[float | None, ...]
    """One for each step; None where nothing was measured."""


class Series(Noun):
    """What the plot is made from."""

    unit: str
    """`usd`, `count` or `s`."""
    stacked: bool
    """The lines are parts of a whole."""
    times: tuple[int, ...]
    """When each step begins, in seconds since 1970 (UTC)."""
    step: str
    lines: tuple[Line, ...]


class Row(Noun):
    """One row of the table."""

    line: CostLine
    share: float | None = None
    """Of the cost of all."""
    latency: Latency | None = None


Values = dict[str, float]


async def series(records: Records, period: Period) -> Series:
    """What a metric was in each step, split by the dimension."""
    steps = period.steps
    latency = period.metric in ("p50", "p95", "p99")
    # A dimension that stands in the rows anyway takes one question; others take one for each step.
    if latency:
        found = [await _latencies(records, period, *ends) for ends in _ends(period)]
    elif period.by in IN_ROWS:
        found = _in_rows(await records.costs(period.step, period.since, period.until), period)
    else:
        found = [
            _summed(await records.costs(period.by, *ends), period.metric, lambda row: row.value)
            for ends in _ends(period)
        ]
    unit = "s" if latency else "usd" if period.metric == "cost" else "count"
    return Series(
        unit=unit,
        stacked=not latency,
        times=tuple(int(at.timestamp()) for at in steps),
        step=period.step,
        lines=tuple(_lines(found, whole=not latency)),
    )


def _ends(period: Period) -> list[tuple[datetime, datetime]]:
    return [(max(at, period.since), min(after(at, period.step), period.until)) for at in period.steps]


async def _latencies(records: Records, period: Period, since: datetime, until: datetime) -> Values:
    found = await records.latency(period.by, since, until)
    return {each.value: float(getattr(each, f"{period.metric}_s")) for each in found}


FORMATS: Final = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "month": "%Y-%m"}
"""How the store writes the times by which it groups (`store/costs.py: VALUES`)."""


def _in_rows(found: Iterable[CostRow], period: Period) -> list[Values]:
    by_time: dict[str, list[CostRow]] = defaultdict(list)
    for row in found:
        by_time[row.value].append(row)
    written = [at.strftime(FORMATS[period.step]) for at in period.steps]
    return [_summed(by_time.get(time, ()), period.metric, lambda row: str(getattr(row, period.by))) for time in written]


def _summed(found: Iterable[CostRow], metric: Metric, value: Callable[[CostRow], str]) -> Values:
    sums: Values = defaultdict(float)
    for row in found:
        sums[value(row)] += amount(row, metric)
    return sums


def amount(row: CostRow, metric: Metric) -> float:
    """A metric that can be added up."""
    if metric == "cost":
        return float(row.cost_usd)
    if metric == "calls":
        return float(row.attempts)
    if metric == "errors":
        return float(row.errors)
    all_input = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens
    return float(all_input + row.output_tokens + row.reasoning_tokens)


def _lines(found: Sequence[Values], whole: bool) -> Iterable[Line]:
    """The largest values, each as a line; the others as one line together where they can be added up."""
    sums: Values = defaultdict(float)
    for values in found:
        for name, value in values.items():
            sums[name] += value
    ranked = sorted((name for name in sums if sums[name]), key=lambda name: (-sums[name], name))
    for name in ranked[:MOST_LINES]:
        yield Line(name=name or NONE, values=tuple(values.get(name, 0.0 if whole else None) for values in found))
    if whole and (rest := ranked[MOST_LINES:]):
        yield Line(name=OTHERS, values=tuple(sum(values.get(name, 0.0) for name in rest) for values in found))


async def table(
    records: Records, period: Period, discount: Callable[[CostRow], Decimal | None]
) -> tuple[tuple[Row, ...], CostLine]:
    """A row for each value, the dearest first, and all together."""
    made = lines(await records.costs(period.by, period.since, period.until), discount)
    took = {each.value: each for each in await records.latency(period.by, period.since, period.until)}
    summed = total(made)
    rows = tuple(
        Row(
            line=line,
            share=float(line.cost_usd / summed.cost_usd) if summed.cost_usd else None,
            latency=took.get(line.value),
        )
        for line in made
    )
    return rows, summed


def as_csv(by: str, rows: Sequence[Row]) -> str:
    """The table for a spreadsheet; what looks like a formula gets an apostrophe before it."""
    written = io.StringIO()
    names = [name for name in CostLine.model_fields if name != "value"]
    times = ("p50_s", "p95_s", "p99_s", "first_p50_s", "first_p95_s")
    out = csv.writer(written, lineterminator="\r\n")  # RFC 4180
    out.writerow([by, *names, *times])
    for row in rows:
        value = f"'{row.line.value}" if row.line.value[:1] in ("=", "+", "-", "@", "\t", "\r") else row.line.value
        took = [getattr(row.latency, name) if row.latency else None for name in times]
        out.writerow([value, *(getattr(row.line, name) for name in names), *took])
    return written.getvalue()
