"""`/providers`: the health of every provider and model, a probe of one at once, and what could be added and how."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from orchestra_mcp.app.keys.keyring import Trial, try_model
from orchestra_mcp.errors import NotFound
from orchestra_mcp.types import Noun
from orchestra_mcp.web.pages.costs_later import page_then
from orchestra_mcp.web.pages.providers_health import health
from orchestra_mcp.web.pages.visit import Page, Visit

VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


class Addable(Noun):
    """A kind of expert that is not there."""

    title: str
    how: str
    key: str = ""
    """The variable that adds it; empty when it is added otherwise."""


def addable(lines: tuple[str, ...]) -> tuple[Addable, ...]:
    """The lines of `CouncilStatus.can_be_added`, taken apart: those that want a key first."""
    found = []
    for line in lines:
        title, _, how = line.partition(": ")
        variable = VARIABLE.search(how)
        found.append(Addable(title=title, how=how or line, key=variable[0] if variable else ""))
    return tuple(sorted(found, key=lambda each: not each.key))


async def providers(visit: Visit, trial: Trial | None = None) -> Response:
    """The page; `trial` is what a probe has shown."""
    return await page_then(visit, "providers.html", "Providers", "_providers.html", lambda: _state(visit), trial=trial)


async def _state(visit: Visit) -> dict[str, Any]:
    """How everybody does."""
    orchestra = visit.house.orchestra
    status = await orchestra.status()
    return {
        "providers": await health(orchestra, status),
        "residents": [seat for seat in status.seats if seat.provider == "resident"],
        "addable": addable(status.can_be_added),
        "warnings": status.warnings,
    }


async def show(visit: Visit) -> Response:
    """GET."""
    return await providers(visit)


async def probe(visit: Visit) -> Response:
    """POST `/providers/probe`: ask one model for one token, through the same stack as every call."""
    name = (await visit.form()).get("model", "")[:300]
    gateway = await visit.house.orchestra.gateway()
    if name not in gateway.models:
        raise NotFound(f"There is no model called {name[:60]!r} here.")
    gateway.models[name].keyed.wake()
    trial = (await try_model(gateway, name)).model_copy(update={"model": name})
    if visit.partial:
        return await visit.piece("_trial.html", trial=trial)
    return await providers(visit, trial)


PAGES = (
    Page("/providers", show, needs="own"),
    Page("/providers/probe", probe, ("POST",), needs="own"),
)
