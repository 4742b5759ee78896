"""`/experts`: how often each expert was right, per mode, with intervals; what it cost and how quick it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from starlette.responses import Response

from orchestra_mcp.report import place
from orchestra_mcp.types import ExpertRecord, ModeRecord, Noun
from orchestra_mcp.web.access import Principal
from orchestra_mcp.web.pages.costs_later import page_then
from orchestra_mcp.web.pages.visit import Page, Visit

ALL: Final = "all"


class Row(Noun):
    """An expert in the mode that is shown."""

    expert: ExpertRecord
    record: ModeRecord | None = None
    """None where no outcome of this mode is known."""

    @property
    def name(self) -> str:
        """What it is called where it sits; of one that sits no more its model."""
        return ", ".join(self.expert.seats) or self.expert.model_id

    @property
    def rate(self) -> float:
        """The estimate, which is the prior where nothing is known."""
        return self.record.rate if self.record else self.expert.prior

    @property
    def cases(self) -> float:
        """Outcomes that it rests on."""
        return self.record.cases if self.record else 0.0

    @property
    def failing(self) -> float | None:
        """Share of its calls that failed; None without calls."""
        calls = self.expert.answered + self.expert.failed
        return self.expert.failed / calls if calls else None


SORTS: Final[dict[str, tuple[str, Callable[[Row], tuple[object, ...]]]]] = {
    "rate": ("Right", lambda row: place(row.expert, row.record)),
    "cases": ("Cases", lambda row: (-row.cases,)),
    "calls": ("Calls", lambda row: (-(row.expert.answered + row.expert.failed),)),
    "failures": ("Failures", lambda row: (-(row.failing or 0.0), -row.expert.failed)),
    "cost": ("Cost", lambda row: (-row.expert.cost_usd,)),
    "time": ("Median time", lambda row: (row.expert.p50_s is None, row.expert.p50_s or 0.0)),
    "name": ("Name", lambda row: (row.name.lower(),)),
}
"""Word in the address → how it is called, what comes first. Add an order here."""


FIGURES: Final = frozenset({"calls", "failures", "cost", "time"})
"""Orders by what all of this machine's calls were, which only the owner sees."""


def without_figures(found: Sequence[ExpertRecord], who: Principal) -> Sequence[ExpertRecord]:
    """Records as somebody may see them: what experts were called for and cost is the owner's business."""
    if who.is_owner:
        return found
    hidden = {"answered": 0, "failed": 0, "cost_usd": Decimal(0), "p50_s": None}
    return tuple(record.model_copy(update=hidden) for record in found)


def rows(found: Sequence[ExpertRecord], mode: str, sort: str) -> tuple[Row, ...]:
    """The experts in one mode, in an order; seated ones before others of the same place."""
    made = [
        Row(expert=expert, record=next((each for each in expert.records if each.mode == mode), None))
        for expert in found
    ]
    key = SORTS[sort][1]
    return tuple(sorted(made, key=lambda row: (*key(row), not row.expert.seats, row.name.lower())))


def modes(found: Sequence[ExpertRecord]) -> tuple[str, ...]:
    """The modes of which anything is known, by name, after `all`."""
    return (ALL, *sorted({record.mode for expert in found for record in expert.records} - {ALL}))


async def experts(visit: Visit) -> Response:
    """The page."""
    return await page_then(visit, "experts.html", "Experts", "_experts.html", lambda: _records(visit))


async def _records(visit: Visit) -> dict[str, Any]:
    """What is shown, as the address asks for it."""
    found = without_figures(await visit.house.orchestra.experts(), visit.who)
    known = modes(found)
    mode, sort = visit.query("mode", ALL, 40), visit.query("sort", "rate", 20)
    mode = mode if mode in known else ALL
    sort = sort if sort in SORTS and (visit.who.is_owner or sort not in FIGURES) else "rate"
    return {
        "rows": rows(found, mode, sort),
        "modes": known,
        "mode": mode,
        "sort": sort,
        "sorts": {word: order for word, order in SORTS.items() if visit.who.is_owner or word not in FIGURES},
        "figures": visit.who.is_owner,
        "cases": sum(record.cases for expert in found for record in expert.records if record.mode == ALL),
    }


PAGES = (Page("/experts", experts),)
