"""The guard at the door, as plain ASGI: a host of ours, no foreign page, a key, and a role that allows it.

Three headers can carry the key, since clients differ: `Authorization: Bearer` (OpenAI's SDKs, MCP), `x-api-key`
(Anthropic's SDKs) and `api-key` (Azure's). When several are sent, the first of these counts.

Wrong keys are slowed down: a 256-bit secret cannot be guessed, but nobody should be able to try at full speed.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.gateway.provider import Receipt
from orchestra_mcp.store.tenants import Permission
from orchestra_mcp.tools.http import ADDRESS, Addresses
from orchestra_mcp.web.access import Access, Principal
from orchestra_mcp.web.overhead import Head, headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

DEPTH: ContextVar[int] = ContextVar("orchestra_depth", default=0)
"""How many councils this request has come through (`x-orchestra-depth`)."""

JUDGED = frozenset({b"host", b"origin", b"authorization", b"x-api-key", b"api-key", b"x-orchestra-depth"})
"""Headers by which a request is judged, so that there must be no doubt which of two counts."""

NEEDS: tuple[tuple[str, Permission], ...] = (
    ("/v1/models", "read"),
    ("/v1/", "ask"),
    ("/api/", "read"),
    ("/admin/", "manage"),
)
"""What a path needs at least, the first that fits; whatever is not here (MCP reads all projects) is the owner's."""

OPEN = "/health"
STATUS_CODES = {
    HTTPStatus.BAD_REQUEST: ("invalid_request_error", "bad_headers"),
    HTTPStatus.MISDIRECTED_REQUEST: ("invalid_request_error", "wrong_host"),
    HTTPStatus.UNAUTHORIZED: ("authentication_error", "invalid_api_key"),
    HTTPStatus.FORBIDDEN: ("permission_error", "forbidden"),
    HTTPStatus.NOT_FOUND: ("not_found_error", "not_found"),
    HTTPStatus.TOO_MANY_REQUESTS: ("rate_limit_error", "too_many_wrong_keys"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("api_error", "store"),
}
NO_KEY = (
    "Send a key as `Authorization: Bearer KEY` (or `x-api-key`): a virtual key from `orchestra keys create`, or the "
    "owner's token, which `orchestra serve --show-token` prints."
)
WRONG_KEY = (
    "This key is not known here. `orchestra keys create` makes another one; `orchestra serve --show-token` prints the "
    "owner's token."
)
"""Also for keys that were revoked or have expired: who has no right to enter need not learn which of these it is."""


class Front(Protocol):
    """Lets browsers in, who have a cookie in place of a key."""

    def takes(self, scope: Scope) -> bool:
        """True when a request that shows no key is for here."""
        ...

    async def let_in(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Note who comes; False when they may not enter, which they have been told then."""
        ...


class Slowing:
    """Makes those wait who come with wrong keys, longer each time, by their address.

    Args:
        first_s: the wait after `free` wrong keys; doubled each time.
        most_s: the longest wait.
        free: wrong keys that cost nothing; people mistype.
        waiting: so many wait at most, further ones are turned away at once.
    """

    def __init__(self, first_s: float = 0.05, most_s: float = 2.0, free: int = 5, waiting: int = 100) -> None:
        self._first_s, self._most_s, self._free, self._most_waiting = first_s, most_s, free, waiting
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    def pause(self, who: str, now: float) -> float:
        """Note a wrong key and say how long to wait, in seconds; a minute without one is forgiven."""
        count, last = self._wrong.pop(who, (0, now))
        count = 1 if now - last > 60 else count + 1
        self._wrong[who] = (count, now)
        while len(self._wrong) > 1000:
            self._wrong.popitem(last=False)
        if count <= self._free:
            return 0.0
        return float(min(self._first_s * 2 ** min(count - self._free - 1, 20), self._most_s))

    async def wait(self, who: str) -> bool:
        """Wait as long as is due; False when too many wait already."""
        pause = self.pause(who, anyio.current_time())
        if not pause:
            return True
        if self._waiting >= self._most_waiting:
            return False
        self._waiting += 1
        try:
            await anyio.sleep(pause)
        finally:
            self._waiting -= 1
        return True


class Guard:
    """ASGI: lets a request through with its `Principal` and `Caller` in `scope["state"]`, or says why not.

    Args:
        app: what is guarded.
        access: knows keys.
        addresses: names of this server.
        slowing: makes those wait who come with wrong keys.
        front: lets browsers in.
        public: beginnings of paths that look after themselves, since whoever calls there can show no key, each with the
            further names under which they, and nothing else, may be called.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        addresses: Addresses,
        slowing: Slowing | None = None,
        front: Front | None = None,
        public: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._app, self._access, self._addresses = app, access, addresses
        self._slowing = slowing or Slowing()
        self._front = front
        self._public = tuple((public or {}).items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge the request by its headers; nothing of its body is read before it is let in."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in JUDGED:
                if name in given:
                    said = "Host, Origin and the headers with keys may be sent once only."
                    await _refuse(scope, send, began, HTTPStatus.BAD_REQUEST, said)
                    return
                given[name] = value
        path: str = scope["path"]
        names = next((names for beginning, names in self._public if path.startswith(beginning)), None)
        if refused := self._misled(scope, given, names or frozenset()):
            await _refuse(scope, send, began, *refused)
            return
        if path != OPEN and names is None:
            key = _key(given)
            # Models are asked with keys, and at once.
            if not key and not path.startswith("/v1/") and await self._shown(scope, receive, send):
                return
            try:
                principal = await self._access.admit(key)
            except StoreError as error:
                await _refuse(scope, send, began, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
                return
            if principal is None:
                await self._turn_away(scope, send, began, WRONG_KEY if key else NO_KEY)
                return
            if not _may(principal, path):
                await _refuse(scope, send, began, HTTPStatus.FORBIDDEN, _not_allowed(principal, path))
                return
            state = scope.setdefault("state", {})
            state["principal"], state["caller"] = principal, principal.caller
            if depth := given.get(b"x-orchestra-depth"):
                DEPTH.set(int(depth) if depth.isdigit() and len(depth) < 4 else 1)
        await self._app(scope, receive, send)

    async def _shown(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """True when the request was one of a browser, which has its answer then."""
        if self._front is None or not self._front.takes(scope):
            return False
        if await self._front.let_in(scope, receive, send):
            await self._app(scope, receive, send)
        return True

    def _misled(self, scope: Scope, given: dict[bytes, bytes], names: frozenset[str]) -> tuple[HTTPStatus, str] | None:
        host = given.get(b"host", b"").decode("latin-1")
        if not self._addresses.ours(f"//{host}", scope) and not _named(host, names):
            return HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that Host."
        if (origin := given.get(b"origin")) and not self._addresses.ours(origin.decode("latin-1"), scope):
            return HTTPStatus.FORBIDDEN, "Web pages of other origins may not call this server."
        if not scope["path"].startswith("/"):  # `OPTIONS *`
            return HTTPStatus.NOT_FOUND, "There is nothing at this address."
        if scope["path"].startswith("/.well-known/"):
            return HTTPStatus.NOT_FOUND, "There is no OAuth here; send a key."
        return None

    async def _turn_away(self, scope: Scope, send: Send, began: float, why: str) -> None:
        who = (scope.get("client") or ("",))[0]
        if await self._slowing.wait(who):
            await _refuse(scope, send, began, HTTPStatus.UNAUTHORIZED, why)
        else:
            await _refuse(scope, send, began, HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong keys at once.")


def _named(host: str, names: frozenset[str]) -> bool:
    """True for a host, with or without a port, that is among some names."""
    found = ADDRESS.fullmatch(f"//{host}") if names else None
    return found is not None and found[1].lower() in names


def _key(given: dict[bytes, bytes]) -> bytes:
    """The key that was presented; empty without any."""
    if authorization := given.get(b"authorization"):
        scheme, _, key = authorization.partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else b""
    return given.get(b"x-api-key", b"") or given.get(b"api-key", b"")


def _may(principal: Principal, path: str) -> bool:
    for beginning, permission in NEEDS:
        if path.startswith(beginning):
            return permission in principal.permissions
    return principal.is_owner


def _not_allowed(principal: Principal, path: str) -> str:
    needed = next((permission for beginning, permission in NEEDS if path.startswith(beginning)), "own")
    if needed == "own":
        return "Only the owner's token opens this; `orchestra serve --show-token` prints it."
    role = principal.key.role if principal.key else "owner"
    return f"A key with the role {role!r} may not do this."


async def _refuse(scope: Scope, send: Send, began: float, status: HTTPStatus, why: str) -> None:
    """Say no, in the shape that the client's SDK reads errors in."""
    kind, code = STATUS_CODES[status]
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket.http.response"
    else:
        prefix = "http.response"
    if scope["path"].startswith("/v1/messages"):  # Anthropic's shape; all others read OpenAI's
        body: dict[str, object] = {"type": "error", "error": {"type": kind, "message": why}}
    else:
        body = {"error": {"message": why, "type": kind, "code": code, "param": None}}
    more = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if status is HTTPStatus.UNAUTHORIZED:
        more.append((b"www-authenticate", b'Bearer realm="orchestra"'))
    if scope["path"].startswith("/v1"):
        head = Head(scope)
        head.began = began
        more += headers(head, Receipt())
    await send({"type": f"{prefix}.start", "status": status.value, "headers": more})
    await send({"type": f"{prefix}.body", "body": json.dumps(body).encode()})
