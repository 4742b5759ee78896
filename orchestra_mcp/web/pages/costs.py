"""`/costs`: what calls cost and how long they took, over time and by any dimension, and what is left of the budgets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
from starlette.responses import Response

from orchestra_mcp.app.costing import discounts
from orchestra_mcp.store.costs import CostRow, Dimension
from orchestra_mcp.store.tenants import EVERYWHERE
from orchestra_mcp.web.answering import reply
from orchestra_mcp.web.pages.costs_budgets import purses
from orchestra_mcp.web.pages.costs_later import page_then
from orchestra_mcp.web.pages.costs_period import METRICS, SPANS, SPLITS, STEPS, Period, period
from orchestra_mcp.web.pages.costs_series import as_csv, series, table
from orchestra_mcp.web.pages.rendering import HEADERS
from orchestra_mcp.web.pages.visit import Page, Visit


def _asked(visit: Visit) -> Period:
    return period(lambda name: visit.query(name, limit=40), datetime.now(UTC))


async def costs(visit: Visit) -> Response:
    """The page: filters and a plot that a script fills in, then sums, budgets and the table."""
    asked = _asked(visit)
    return await page_then(
        visit,
        "costs.html",
        "Costs",
        "_costs.html",
        lambda: _figures(visit, asked),
        asked=asked,
        splits=SPLITS,
        metrics=METRICS,
        spans=SPANS,
        steps=STEPS,
        query=lambda **changed: urlencode(asked.query(**changed)),
    )


async def _figures(visit: Visit, asked: Period) -> dict[str, Any]:
    """What the page reckons from the records."""
    orchestra, store = visit.house.orchestra, visit.house.store
    gateway, user = await orchestra.gateway(), orchestra.user_settings
    models = {name: gateway.models.spec(name) for name in gateway.models}
    rows, summed = await table(orchestra, asked, discounts(user, models))

    async def spent(by: Dimension, since: datetime) -> tuple[CostRow, ...]:
        return await orchestra.costs(by, since)

    left = await purses(
        user.limits.daily_cost_usd,
        user.budgets,
        await store.keys(EVERYWHERE),
        await store.workspaces(EVERYWHERE),
        spent,
        datetime.now(UTC),
    )
    return {"rows": rows, "summed": summed, "purses": left}


async def data(visit: Visit) -> Response:
    """`/costs/data`: the plot's lines as JSON."""
    made = reply(await series(visit.house.orchestra, _asked(visit)))
    made.headers.update(HEADERS)
    return made


async def figures(visit: Visit) -> Response:
    """`/costs/figures`: the plot's lines as a table, for whoever does not see it."""
    asked = _asked(visit)
    made = await series(visit.house.orchestra, asked)
    times = [datetime.fromtimestamp(at, UTC) for at in made.times]
    values: dict[str, Any] = {"made": made, "asked": asked, "times": times, "metrics": METRICS, "splits": SPLITS}
    if visit.partial:
        return await visit.piece("_costs_figures.html", **values)
    query = urlencode(asked.query())
    return await visit.page("costs_figures.html", "Figures of the plot", back=f"/costs?{query}", **values)


async def spreadsheet(visit: Visit) -> Response:
    """`/costs/table.csv`: the table for a spreadsheet."""
    asked, orchestra = _asked(visit), visit.house.orchestra
    rows, _ = await table(orchestra, asked, discounts(orchestra.user_settings, {}))
    text = await anyio.to_thread.run_sync(as_csv, asked.by, rows)
    name = f"orchestra-costs-by-{asked.by.replace('_', '-')}.csv"
    more = {**HEADERS, "content-disposition": f'attachment; filename="{name}"'}
    return Response(text, headers=more, media_type="text/csv; charset=utf-8")


PAGES = (
    Page("/costs", costs, needs="own"),
    Page("/costs/data", data, needs="own"),
    Page("/costs/figures", figures, needs="own"),
    Page("/costs/table.csv", spreadsheet, needs="own"),
)
