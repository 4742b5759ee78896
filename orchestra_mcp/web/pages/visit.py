"""One visit of a page: who comes, to which house, and how the page answers. Pages are functions of a `Visit`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from orchestra_mcp.errors import UserError
from orchestra_mcp.store.access import AccessStore
from orchestra_mcp.store.costs import CostRow, Dimension
from orchestra_mcp.store.tenants import Permission
from orchestra_mcp.web.access import Access, Forbidden, Principal
from orchestra_mcp.web.asking import Asking
from orchestra_mcp.web.errors import Declined
from orchestra_mcp.web.guard import Slowing
from orchestra_mcp.web.pages.places import places
from orchestra_mcp.web.pages.rendering import HEADERS, line, render
from orchestra_mcp.web.pages.sessions import Sessions

if TYPE_CHECKING:
    from orchestra_mcp.app import Orchestra

Costs = Callable[[Dimension, datetime], Awaitable[Sequence[CostRow]]]
Handler = Callable[["Visit"], Awaitable[Response]]

FORM_BYTES = 2 * 1024 * 1024
"""Longest form."""
FIELDS = 200


@dataclass(frozen=True)
class House:
    """What stands behind the pages."""

    asking: Asking
    """The way to consultations; everything that it gives is within what the visitor may see."""
    access: Access
    store: AccessStore
    """Keys and workspaces."""
    costs: Costs
    resting: Callable[[str], float | None] = lambda _: None
    """Seconds until a model that failed is asked again; None when it may be asked now."""
    sessions: Sessions = field(default_factory=Sessions)
    slowing: Slowing = field(default_factory=Slowing)

    @property
    def orchestra(self) -> Orchestra:
        """All parts; what a visitor may see of them is for the page to decide."""
        return self.asking.orchestra


@dataclass(frozen=True)
class Page:
    """One address, and who may open it."""

    path: str
    """As Starlette's routes: `/consultations/{id}`."""
    run: Handler
    methods: tuple[str, ...] = ("GET",)
    needs: Permission | None = "read"
    """What the visitor must be allowed; `own`: only the owner; None: nothing, nobody need have entered."""


class Visit:
    """One request for a page."""

    def __init__(self, request: Request, house: House) -> None:
        self.request, self.house = request, house

    @property
    def who(self) -> Principal:
        """Who comes. Raises Forbidden where nobody has entered, which the guard lets happen on open pages only."""
        found = self.request.scope.get("state", {}).get("principal")
        if found is None:
            raise Forbidden("Enter first.")
        principal: Principal = found
        return principal

    @property
    def partial(self) -> bool:
        """True when a script asks for a piece of the page (htmx), and not for a whole one to pick a piece from."""
        return self._scripted and self.request.headers.get("hx-request-type") != "full"

    @property
    def _scripted(self) -> bool:
        return self.request.headers.get("hx-request") == "true"

    def need(self, permission: Permission) -> None:
        """Go on only with this permission. Raises Forbidden."""
        if not self.who.may(permission):
            told = {
                "own": "Only the owner of this machine may open this page; a virtual key does not.",
                "ask": "The role of this key may look, but not ask.",
                "mark": "The role of this key may look, but not say what became of answers.",
            }
            raise Forbidden(told.get(permission, f"The role of this key may not {permission}."))

    def query(self, name: str, default: str = "", limit: int = 2000) -> str:
        """A parameter of the address, cut to size."""
        return self.request.query_params.get(name, default)[:limit]

    def part(self, name: str) -> str:
        """A part of the path, such as the id in `/consultations/{id}`."""
        return str(self.request.path_params.get(name, ""))

    async def form(self) -> Mapping[str, str]:
        """The fields of a posted form (`application/x-www-form-urlencoded`); of a repeated one the last.

        Raises:
            Declined: it is too long.
            UserError: it is no such form.
        """
        return {name: given[-1] for name, given in (await self.fields()).items()}

    async def fields(self) -> Mapping[str, Sequence[str]]:
        """As `form`, with all values of each field."""
        data = bytearray()
        async for piece in self.request.stream():
            data += piece
            if len(data) > FORM_BYTES:
                raise Declined(413, "too_large", f"The form is longer than {FORM_BYTES:,} bytes.")
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise UserError("Send the form as application/x-www-form-urlencoded.")
        try:
            return parse_qs(data.decode(), keep_blank_values=True, max_num_fields=FIELDS)
        except ValueError:
            raise UserError("The form cannot be read.") from None

    async def page(self, template: str, title: str, http_status: int = 200, **values: Any) -> Response:
        """A whole page; `title` stands in the window's title and is the heading unless the template has its own."""
        known = self.request.scope.get("state", {}).get("principal")
        who: Principal | None = known
        shared = {
            "title": line(title),  # perhaps a question: no line breaks or marks that turn text around
            "who": who,
            "places": places(who),
            "here": "/" + self.request.url.path.split("/", 2)[1],
            "address": self.request.url.path,
            "may": who.may if who else lambda _: False,
            "trouble": self._trouble(who),
        }
        return await self._html(template, http_status, {**shared, **values})

    def _trouble(self, who: Principal | None) -> str:
        """Why what is kept cannot be seen, for every page; its paths are the owner's business."""
        trouble = self.house.orchestra.trouble
        if who is None or not trouble:
            return ""
        return (
            trouble if who.is_owner else "What was kept earlier cannot be read now; the owner of this machine sees why."
        )

    async def piece(self, template: str, **values: Any) -> Response:
        """A piece of a page, for a script to put in its place."""
        who = self.request.scope.get("state", {}).get("principal")
        return await self._html(template, 200, {"who": who, "may": who.may if who else lambda _: False, **values})

    async def _html(self, template: str, status: int, values: dict[str, Any]) -> Response:
        # In a thread: large texts take their time, and the loop serves models meanwhile.
        text = await anyio.to_thread.run_sync(lambda: render(template, **values))
        return Response(text, status, headers=HEADERS, media_type="text/html")

    def see(self, path: str, **query: str) -> Response:
        """Go on to another page of ours (303); a script that asked for a piece follows too."""
        where = f"{path}?{urlencode(query)}" if query else path
        if self._scripted:
            return Response(status_code=200, headers={**HEADERS, "hx-redirect": where})
        return Response(status_code=303, headers={**HEADERS, "location": where})
