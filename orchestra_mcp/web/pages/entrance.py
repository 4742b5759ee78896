"""Lets browsers in: by cookie in place of a key, and only where that is safe. The guard asks before it asks for a key.

A cookie counts for pages and for what `/api` shows on GET; never for `/v1`, `/mcp` or `/admin`, and never where another
page could use it: whatever changes something must come from a page of this very origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import Response

from orchestra_mcp.errors import StoreError
from orchestra_mcp.web.access import THE_OWNER, Access, Principal
from orchestra_mcp.web.pages.places import OPEN_ROOMS, ROOMS
from orchestra_mcp.web.pages.rendering import HEADERS
from orchestra_mcp.web.pages.sessions import Sessions, cookies

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

READING: Final = frozenset({"GET", "HEAD"})
OWN: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site that are our own pages, and the user's own hand."""
EMBEDDED: Final = frozenset({"iframe", "frame", "fencedframe", "object", "embed"})
"""Values of Sec-Fetch-Dest that are a place within another page."""


class Entrance:
    """Tells who comes with a browser; answers those who may not enter."""

    def __init__(self, sessions: Sessions, access: Access) -> None:
        self._sessions, self._access = sessions, access

    def takes(self, scope: Scope) -> bool:
        """True when a request without a key is for here: a page, or something of `/api` to read with our cookie."""
        if scope["type"] != "http":
            return False
        room = _room(scope)
        if room == "api":
            return scope["method"] in READING and bool(cookies(scope))
        return room in ROOMS

    async def let_in(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Note in `scope["state"]` who comes; False when they may not enter, which they have been told then."""
        room, reading = _room(scope), scope["method"] in READING
        if not reading and not _from_our_page(scope):
            await _say(403, "This came from another page than Orchestra's own, so nothing was done.")(
                scope, receive, send
            )
            return False
        if reading and room != "api" and _fetched_by_others(scope):
            await _say(403, "Pages of other origins may lead here, but not fetch or embed what is here.")(
                scope, receive, send
            )
            return False
        if room in OPEN_ROOMS:
            return True
        if room == "api" and _header(scope, b"sec-fetch-site") not in {"", *OWN}:
            await _say(403, "Web pages of other origins may not call this server.")(scope, receive, send)
            return False
        try:
            principal = await self.principal(scope)
        except StoreError as error:
            await _say(503, str(error))(scope, receive, send)
            return False
        if principal is None:
            await self._turn_away(scope, room, reading)(scope, receive, send)
            return False
        state = scope.setdefault("state", {})
        state["principal"], state["caller"] = principal, principal.caller
        return True

    async def principal(self, scope: Scope) -> Principal | None:
        """Whoever the cookies of a request stand for, as long as their key is good.

        Raises:
            StoreError: the keys cannot be read.
        """
        for cookie in cookies(scope):
            found = self._sessions.find(cookie)
            if found is None:
                continue
            if found[0] is None:
                return THE_OWNER
            if principal := await self._access.admit(found[0]):
                return principal
            self._sessions.close(cookie)
        return None

    @staticmethod
    def _turn_away(scope: Scope, room: str, reading: bool) -> Response:
        if room == "api":
            return _say(401, "Your session has ended; enter again.")
        if _header(scope, b"hx-request") == "true":  # a script would put the form in the middle of the page
            return Response(status_code=200, headers={**HEADERS, "hx-redirect": "/login"})
        where = scope["path"]
        if query := scope.get("query_string", b"").decode("latin-1"):
            where += f"?{query}"
        to = f"?to={quote(where, safe='/')}" if reading and where != "/" and len(where) < 1000 else ""
        return Response(status_code=303, headers={**HEADERS, "location": f"/login{to}"})


def _from_our_page(scope: Scope) -> bool:
    """True when a request that changes something comes from a page of this host and port."""
    origin, host = _header(scope, b"origin"), _header(scope, b"host")
    if origin:
        return bool(host) and origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())
    return _header(scope, b"sec-fetch-site") == "same-origin"


def _fetched_by_others(scope: Scope) -> bool:
    """True when a page of another origin loads a page of ours, and the user does not go there (W3C Fetch Metadata).

    Nothing could be read that way, but that and how fast there is an answer tells something, and making it is work.
    """
    if _header(scope, b"sec-fetch-site") in {"", *OWN}:
        return False
    return _header(scope, b"sec-fetch-mode") != "navigate" or _header(scope, b"sec-fetch-dest") in EMBEDDED


def _room(scope: Scope) -> str:
    """The first word of a path; empty for the overview, and for what is no path (`OPTIONS *`)."""
    path: str = scope["path"]
    return path[1:].partition("/")[0] if path.startswith("/") else ""


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def _say(status: int, why: str) -> Response:
    """Told without a page: whoever gets this is no person who reads pages of ours, or the store is in trouble."""
    return Response(f"{why}\n", status, headers=HEADERS, media_type="text/plain")
