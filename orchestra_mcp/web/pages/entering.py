"""`/login` and `/logout`: in by ticket, by the owner's token or by a virtual key; out by a button."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from orchestra_mcp.errors import RateLimited
from orchestra_mcp.web.pages.places import ROOMS
from orchestra_mcp.web.pages.sessions import cookie_header, cookies
from orchestra_mcp.web.pages.visit import Page, Visit

LOCAL: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
"""A path of this server: no other host can be meant, whatever a browser makes of backslashes."""
WRONG: Final = "This key is not known here. `orchestra serve --show-token` prints the owner's token."
USED: Final = "This link was used already, or is older than two minutes. `orchestra ui` makes another one."


async def form(visit: Visit) -> Response:
    """The form; a script on it uses the ticket of the address, if there is one."""
    return await _form(visit, _to(visit.query("to")))


async def enter(visit: Visit) -> Response:
    """Begin a session; wrong keys and tickets are slowed down like everywhere."""
    given = await visit.form()
    to, ticket, key = _to(given.get("to", "")), given.get("ticket", ""), given.get("key", "").strip()
    sessions = visit.house.sessions
    if ticket and sessions.redeem(ticket):
        return _entered(visit, sessions.open(None), to)
    if key and not ticket:
        presented = key.encode("utf-8", "replace")
        if principal := await visit.house.access.admit(presented):
            return _entered(visit, sessions.open(None if principal.is_owner else presented), to)
    if not (ticket or key):
        return await _form(visit, to, "Type or paste a key.", 400)
    client = visit.request.client
    if not await visit.house.slowing.wait(client.host if client else ""):
        raise RateLimited("Too many wrong keys at once; wait a moment.", 2)
    return await _form(visit, to, USED if ticket else WRONG, 401)


async def leave(visit: Visit) -> Response:
    """End the session."""
    scope = visit.request.scope
    for cookie in cookies(scope):
        visit.house.sessions.close(cookie)
    answer = visit.see("/login")
    answer.headers["set-cookie"] = cookie_header(scope, "")
    return answer


def _entered(visit: Visit, cookie: str, to: str) -> Response:
    # A session from before ends: who enters anew should not leave an open door behind.
    for old in cookies(visit.request.scope):
        visit.house.sessions.close(old)
    answer = visit.see(to)
    answer.headers["set-cookie"] = cookie_header(visit.request.scope, cookie)
    return answer


async def _form(visit: Visit, to: str, error: str = "", status: int = 200) -> Response:
    return await visit.page("login.html", "Enter", status, to=to, error=error)


def _to(given: str) -> str:
    """Where to go afterwards: a page of ours, else the overview."""
    if not LOCAL.fullmatch(given) or re.split(r"[/?#]", given, maxsplit=2)[1] not in ROOMS - {"login", "logout"}:
        return "/"
    return given


PAGES = (
    Page("/login", form, needs=None),
    Page("/login", enter, ("POST",), needs=None),
    Page("/logout", leave, ("POST",)),
)
