"""`/`: what runs, what was asked last, what today has cost, what needs looking at."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from starlette.responses import Response

from orchestra_mcp.web.pages.visit import Page, Visit

RECENT = 8


async def overview(visit: Visit) -> Response:
    """The first page."""
    who, asking = visit.who, visit.house.asking
    recent = await asking.history(who, RECENT + 12)
    running = [summary for summary in recent if summary.status == "running"]
    today = await visit.house.costs("workspace", datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    spent = sum((row.cost_usd for row in today if who.is_owner or row.value == who.scope.workspace), Decimal(0))
    calls = sum(row.attempts for row in today if who.is_owner or row.value == who.scope.workspace)
    council = await visit.house.orchestra.status() if who.is_owner else None
    return await visit.page(
        "overview.html",
        "Overview",
        recent=[summary for summary in recent if summary.status != "running"][:RECENT],
        running=running,
        spent=spent,
        calls=calls,
        limit=council.daily_limit_usd if council else None,
        council=council,
    )


PAGES = (Page("/", overview),)
