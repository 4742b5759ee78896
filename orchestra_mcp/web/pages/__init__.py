"""The dashboard: pages for people, made here and sent whole, which work without scripts and get better with them.

Open first: `visit.py` (what a page is a function of), `PAGES` below (all of them), `places.py` (the navigation),
`templates/base.html` (the frame), `static/style.css` (the looks). `entrance.py` and `sessions.py` say who enters.

Add a page: a module with handlers `async (Visit) -> Response` and a tuple `PAGES`, its line below, a template in
`templates/`. A page to go to gets a line in `places.py` too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from orchestra_mcp.errors import NotFound, OrchestraError
from orchestra_mcp.web.errors import trouble
from orchestra_mcp.web.pages import (
    alerts,
    ask,
    consultation,
    consultations,
    costs,
    entering,
    experts,
    live,
    overview,
    providers,
    settings,
    static,
)
from orchestra_mcp.web.pages.visit import House, Page, Visit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *entering.PAGES,
    *consultations.PAGES,
    *ask.PAGES,
    *live.PAGES,  # before `consultation`: what runs is shown at work
    *consultation.PAGES,
    *experts.PAGES,
    *costs.PAGES,
    *providers.PAGES,
    *alerts.PAGES,
    *settings.PAGES,
)
"""All pages; the first that fits an address and a method answers."""

TITLES = {
    400: "That did not work",
    401: "Enter first",
    402: "The budget is spent",
    403: "Not for this key",
    404: "Nothing here",
    413: "Too long",
    429: "Slow down",
    503: "The store cannot be used",
}


def pages(house: House) -> ASGIApp:
    """All pages as one application."""
    routes: list[BaseRoute] = [Route(page.path, _answering(page, house), methods=list(page.methods)) for page in PAGES]
    routes.append(Route("/static/{name:path}", static.serve, methods=["GET"]))
    routes.append(Route("/favicon.ico", static.serve, methods=["GET"]))

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(Request(scope, receive), house)
        answer = await _failed(visit, NotFound("There is no page at this address, or not for this method."))
        await answer(scope, receive, send)

    return Router(routes=routes, default=nothing, redirect_slashes=False)


def _answering(page: Page, house: House) -> Callable[[Request], Awaitable[Response]]:
    """The page as an endpoint, whose errors become pages too."""

    async def answer(request: Request) -> Response:
        visit = Visit(request, house)
        try:
            if page.needs:
                visit.need(page.needs)
            return await page.run(visit)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the door: each error becomes a page, unforeseen ones are logged
            return await _failed(visit, error)

    return answer


async def _failed(visit: Visit, error: Exception) -> Response:
    """An error in the frame of a page; for a script that asked for a piece, as a piece."""
    if isinstance(error, NotFound):
        status, message = 404, str(error)
    else:
        told = trouble(error)
        status, message = told.status, told.message
    title = TITLES.get(status, "Something went wrong here")
    if visit.partial:
        answer = await visit.piece("_error.html", title=title, message=message, status=status)
        answer.status_code = status
        return answer
    expected = isinstance(error, OrchestraError)
    return await visit.page("error.html", title, status, message=message, status=status, expected=expected)
