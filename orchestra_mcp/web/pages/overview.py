"""`/`: what runs, what was asked last, what today has cost, what needs looking at."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

from starlette.responses import Response

from orchestra_mcp.errors import StoreError
from orchestra_mcp.types import CouncilStatus, Summary
from orchestra_mcp.web.pages.visit import Page, Visit

RECENT = 8


async def overview(visit: Visit) -> Response:
    """The first page."""
    who, asking = visit.who, visit.house.asking
    recent: tuple[Summary, ...] = ()
    with suppress(StoreError):  # every page says what is wrong with the store; what is not kept in it is shown here
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
        experts=_sitting(council, models=True) if council else 0,
        analysts=_sitting(council, models=False) if council else 0,
    )


def _sitting(council: CouncilStatus, *, models: bool) -> int:
    """How many seats are taken: by models, or by the resident analysts."""
    return sum(seat.state == "seated" and (seat.provider != "resident") == models for seat in council.seats)


PAGES = (Page("/", overview),)
