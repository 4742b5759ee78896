"""`/consultations`: the list, newest first, a page at a time; what was searched for, best first, with the words around it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from starlette.responses import Response

from orchestra_mcp.types import Found, Status, Summary
from orchestra_mcp.web.pages import case
from orchestra_mcp.web.pages.rendering import folder
from orchestra_mcp.web.pages.visit import Page, Visit

ROWS: Final = 40
"""Consultations on a page."""
LOOKED: Final = 2000
"""Where a state is wanted, so many are looked through at most for one page; the next page goes on from there."""
PROJECTS: Final = 200
"""The projects of so many newest consultations can be chosen."""
QUERY_CHARS: Final = 400


@dataclass(frozen=True)
class Listed:
    """One page of the list."""

    rows: Sequence[Found]
    more: str = ""
    """Where the next page begins: the id of the last one, or for a search how many came before; empty at the end."""


async def listed(visit: Visit) -> Response:
    """The list, or for a script what belongs into it."""
    query, status = visit.query("q", limit=QUERY_CHARS).strip(), visit.query("status")
    status = status if status in get_args(Status) else ""
    projects = await _projects(visit)
    chosen = visit.query("project")
    project = projects.get(chosen)
    after = visit.query("after", limit=60)
    if query:
        page = await _search(visit, query, project, after, status)
    else:
        page = await _newest(visit, project, after, status)
    values: dict[str, Any] = {
        "page": page,
        "query": query,
        "state": status,
        "chosen": chosen if project else "",
        "after": after,
        "snippet": case.snippet,
    }
    if visit.partial:
        return await visit.piece("_found.html", part=True, **values)
    names = [(key, folder(path)) for key, path in projects.items()]
    return await visit.page(
        "consultations.html", "Consultations", part=False, projects=names, states=get_args(Status), **values
    )


async def _newest(visit: Visit, project: str | None, before: str, status: str) -> Listed:
    rows: list[Summary] = []
    looked, step = 0, ROWS if not status else 5 * ROWS
    while len(rows) < ROWS and looked < LOOKED:
        found = await visit.house.asking.history(visit.who, step, project, before)
        looked += len(found)
        for summary in found:
            if not status or summary.status == status:
                rows.append(summary)
            before = summary.id
            if len(rows) == ROWS:
                break
        if len(found) < step and len(rows) < ROWS:
            before = ""
            break
    return Listed([Found(summary=summary) for summary in rows], before if rows or looked >= LOOKED else "")


async def _search(visit: Visit, query: str, project: str | None, after: str, status: str) -> Listed:
    offset = int(after) if after.isascii() and after.isdigit() and len(after) < 6 else 0
    found = await visit.house.orchestra.search(query, project, ROWS, offset=offset, workspace=visit.who.scope.workspace)
    rows = [each for each in found if not status or each.summary.status == status]
    return Listed(rows, str(offset + len(found)) if len(found) == ROWS else "")


async def _projects(visit: Visit) -> dict[str, str]:
    """Projects of the newest consultations by a short name, since where they lie is not for everybody."""
    newest = await visit.house.asking.history(visit.who, PROJECTS)
    paths = sorted({summary.project for summary in newest if summary.project}, key=lambda path: (folder(path), path))
    return {hashlib.sha256(path.encode("utf-8", "replace")).hexdigest()[:10]: path for path in paths}


PAGES = (Page("/consultations", listed),)
