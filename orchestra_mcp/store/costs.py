"""What all calls have cost, by any dimension: read from the database, and folded into lines of a report."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from orchestra_mcp.store import rows
from orchestra_mcp.types import Noun

Dimension = Literal[
    "provider", "model", "model_id", "key", "workspace", "tier", "route", "use_case", "purpose", "project",
    "hour", "day", "month", "error", "cache",
]  # fmt: skip

# Dimension → its value for one call. Add a dimension here.
VALUES: Final[dict[Dimension, str]] = {
    "provider": "calls.provider",
    "model": "calls.model",
    "model_id": "calls.model_id",
    "key": "calls.key",
    "workspace": "calls.workspace",
    "tier": "calls.tier",
    "route": "calls.route",
    "use_case": "coalesce(nullif(calls.use_case, ''), consultations.mode, '')",
    "purpose": "calls.purpose",
    "project": "coalesce(consultations.project, '')",
    "hour": "strftime('%Y-%m-%d %H:00', calls.at / 1000000, 'unixepoch')",
    "day": "strftime('%Y-%m-%d', calls.at / 1000000, 'unixepoch')",
    "month": "strftime('%Y-%m', calls.at / 1000000, 'unixepoch')",
    "error": "calls.error",
    "cache": "calls.cache",
}
TIMES: Final = ("hour", "day", "month")
# What a council is asked for is its mode; which one that was stands in the verdict where it was chosen for the user.
# With a limit the subquery is not merged into the query around it, which would read the verdict once for each call.
CONSULTATIONS: Final = """
    (SELECT id, project, CASE mode WHEN 'auto' THEN coalesce(json_extract(verdict, '$.mode'), 'auto') ELSE mode END AS mode
     FROM consultations WHERE id IN (SELECT consultation FROM calls WHERE at >= ? AND at < ?) LIMIT -1)
"""
FROM_CACHE: Final = "calls.cache IN ('hit', 'shared', 'similar')"
SPENDING: Final = f"""
    SELECT {{value}} AS value, calls.provider, calls.model, calls.model_id,
        count(*),
        sum(calls.error = ''),
        sum(calls.error NOT IN ('', 'cancelled')),
        sum({FROM_CACHE}),
        sum(calls.error = '' AND NOT {FROM_CACHE}),
        sum(CASE WHEN calls.error = '' AND NOT {FROM_CACHE} THEN cost_micro_usd ELSE 0 END),
        sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens),
        sum(cost_micro_usd), sum(unpriced)
    FROM calls LEFT JOIN {{consultations}} AS consultations ON consultations.id = calls.consultation
    WHERE calls.at >= ? AND calls.at < ? AND (? = '' OR calls.purpose = ?)
    GROUP BY 1, 2, 3, 4
"""


class CostRow(Noun):
    """What the calls of one model cost, for one value of a dimension."""

    value: str
    """Of the dimension; empty for calls that have none (no key, no route, …)."""
    provider: str = ""
    model: str = ""
    """The gateway's name of the model; so is the vendor's in `model_id`, as far as it was recorded."""
    model_id: str = ""
    attempts: int = 0
    """Calls of the model, those that failed or were cancelled and those answered from a cache included."""
    answered: int = 0
    errors: int = 0
    cached: int = 0
    """Answered from one of our caches."""
    paid: int = 0
    """Answered by the vendor."""
    paid_usd: Decimal = Decimal(0)
    """What those cost."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    """What all of them cost, as far as prices are known."""
    unpriced: int = 0
    """Calls whose price is unknown; they are not in the cost."""


class CostLine(Noun):
    """One line of a report: all models together, for one value of a dimension."""

    value: str
    attempts: int = 0
    answered: int = 0
    errors: int = 0
    cached: int = 0
    input_tokens: int = 0
    """All input, also what was read from or written to a vendor's cache."""
    cache_read_tokens: int = 0
    output_tokens: int = 0
    """All output, reasoning included."""
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0
    cache_saved_usd: Decimal = Decimal(0)
    """What our caches saved: for each answer from them, what this model's paid answers cost on average (an estimate)."""
    discount_usd: Decimal = Decimal(0)
    """What the vendors' prompt caches saved, at today's prices, where they are known."""


def spending(
    connection: sqlite3.Connection, by: Dimension, since: datetime, until: datetime | None = None, purpose: str = ""
) -> tuple[CostRow, ...]:
    """What calls cost, by one dimension and by model.

    Args:
        by: one of `VALUES`.
        since: from then on.
        until: before then; None for no end.
        purpose: only calls for this, such as `opinion`; empty for all.
    """
    last = rows.stamp(until) if until else 2**62
    period = (rows.stamp(since), last)
    joined, values = (CONSULTATIONS, period) if by == "use_case" else ("consultations", ())
    found = connection.execute(
        SPENDING.format(value=VALUES[by], consultations=joined), (*values, *period, purpose, purpose)
    )
    names = list(CostRow.model_fields)
    return tuple(CostRow.model_validate(dict(zip(names, _values(row), strict=True))) for row in found)


def _values(row: Sequence[Any]) -> Iterator[Any]:
    for name, value in zip(CostRow.model_fields, row, strict=True):
        yield rows.dollars(value) if name in ("paid_usd", "cost_usd") else value or "" if name == "value" else value


def lines(
    found: Iterable[CostRow], discount: Callable[[CostRow], Decimal | None] = lambda _: None, *, by_time: bool = False
) -> tuple[CostLine, ...]:
    """Rows as the lines of a report, the dearest first (times in their order).

    Args:
        found: as `spending` returns them.
        discount: what a million tokens cost less when they are read from the vendor's cache, None when unknown.
        by_time: the dimension is a time.
    """
    found = list(found)
    averages = _averages(found)
    groups: dict[str, list[CostRow]] = defaultdict(list)
    for row in found:
        groups[row.value].append(row)
    made = [_line(value, group, averages, discount) for value, group in groups.items()]
    return tuple(sorted(made, key=lambda line: line.value if by_time else (-line.cost_usd, -line.attempts, line.value)))


def total(found: Iterable[CostLine]) -> CostLine:
    """All lines as one, with an empty value."""
    summed = [name for name in CostLine.model_fields if name != "value"]
    kept = list(found)
    return CostLine(value="", **{name: sum((getattr(line, name) for line in kept), start=0) for name in summed})


def _averages(found: Iterable[CostRow]) -> dict[tuple[str, str], Decimal]:
    """Provider and model → what an answer of it costs on average."""
    paid: dict[tuple[str, str], int] = defaultdict(int)
    cost: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in found:
        paid[row.provider, row.model] += row.paid
        cost[row.provider, row.model] += row.paid_usd
    return {who: cost[who] / count for who, count in paid.items() if count}


def _line(
    value: str,
    group: list[CostRow],
    averages: dict[tuple[str, str], Decimal],
    discount: Callable[[CostRow], Decimal | None],
) -> CostLine:
    plain = ("attempts", "answered", "errors", "cached", "cache_read_tokens", "unpriced")
    return CostLine(
        value=value,
        **{name: sum(getattr(row, name) for row in group) for name in plain},
        input_tokens=sum(row.input_tokens + row.cache_read_tokens + row.cache_write_tokens for row in group),
        output_tokens=sum(row.output_tokens + row.reasoning_tokens for row in group),
        cost_usd=sum((row.cost_usd for row in group), Decimal(0)),
        cache_saved_usd=sum(
            (row.cached * averages.get((row.provider, row.model), Decimal(0)) for row in group if row.cached),
            Decimal(0),
        ),
        discount_usd=sum(
            (
                row.cache_read_tokens * (discount(row) or Decimal(0)) / 1_000_000
                for row in group
                if row.cache_read_tokens
            ),
            Decimal(0),
        ),
    )
