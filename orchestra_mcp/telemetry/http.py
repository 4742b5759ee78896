"""Requests over HTTP as spans of the kind `server`, within the trace that the client names (`traceparent`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import arriving, exporting
from orchestra_mcp.types import SpanValue

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CARRIED = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
"""Headers of W3C Trace Context; `baggage` is nobody's business here."""
TRACED = ("/v1/", "/api/", "/admin/")
"""Beginnings of the paths that are traced; MCP has spans of its own."""


class Traced:
    """ASGI: puts a span around each request, from its arrival to the last byte of its reply.

    Where nothing is exported and the client names no trace, a request passes at the cost of a look at its headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or not scope["path"].startswith(TRACED):
            await self._app(scope, receive, send)
            return
        carrier = carried(scope["headers"])
        if not carrier and not exporting():
            await self._app(scope, receive, send)
            return
        path = _route(scope["path"])
        with arriving(f"{scope['method']} {path}", _attributes(scope, path), carrier) as doing:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    doing.set(names.HTTP_STATUS, message["status"])
                    if message["status"] >= 500:
                        doing.error = str(message["status"])
                await send(message)

            await self._app(scope, receive, noting)


async def within_trace(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware of the MCP SDK, before its own: a request over HTTP whose `_meta` names no trace is part of the one that
    its headers name."""
    from opentelemetry import context
    from opentelemetry.propagate import extract

    scope = getattr(ctx.request, "scope", None)
    carrier = carried(scope["headers"]) if scope else None
    if not carrier or "traceparent" in (ctx.meta or {}):
        return await call_next(ctx)
    token = context.attach(extract(carrier))
    try:
        return await call_next(ctx)
    finally:
        context.detach(token)


def carried(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers of W3C Trace Context, if there are any."""
    return {CARRIED[name]: value.decode("latin-1") for name, value in headers if name in CARRIED}


def _route(path: str) -> str:
    """The path as far as it stands for a kind of request: ids come third."""
    return "/".join(path.split("/", 4)[:4] if path.startswith("/v1/chat/") else path.split("/", 3)[:3])


def _attributes(scope: Scope, route: str) -> dict[str, SpanValue]:
    found: dict[str, SpanValue] = {
        names.HTTP_METHOD: scope["method"],
        names.HTTP_ROUTE: route,
        names.URL_SCHEME: scope.get("scheme", "http"),
    }
    if server := scope.get("server"):
        found[names.SERVER] = str(server[0])
        if server[1]:
            found[names.SERVER_PORT] = int(server[1])
    return found
