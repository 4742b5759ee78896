"""The transport that everybody has: httpx2, which the MCP library needs anyway.

Its transports are used without its client: cookies, redirects, authentication flows and merging of addresses are not
wanted here, and cost more than the exchange itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx2

from orchestra_mcp.gateway.transports.transport import (
    CLOSE_S,
    CONNECT_S,
    ENCODINGS,
    LOOPBACK_HOSTS,
    WRITE_S,
    Patience,
    Response,
    TransportError,
)

LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=100, keepalive_expiry=60)


class PooledTransport:
    """See `Transport`.

    Args:
        proxies: scheme → address of its proxy; default: those of the environment. Never used for this machine.
    """

    def __init__(self, proxies: Mapping[str, str] | None = None) -> None:
        self._direct = httpx2.AsyncHTTPTransport(limits=LIMITS)
        self._proxies = getproxies() if proxies is None else proxies
        self._proxied: dict[str, httpx2.AsyncHTTPTransport] = {}

    async def open(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, patience: Patience
    ) -> Response:
        """See `Transport.open`."""
        end = anyio.current_time() + patience.first
        timeout = {"connect": CONNECT_S, "read": None, "write": WRITE_S, "pool": CONNECT_S}
        try:
            request = httpx2.Request(method, url, headers=headers, content=content)
            request.extensions["timeout"] = timeout
            if not request.url.host:
                raise TransportError("address")
            way = self._way(request.url)
            with anyio.CancelScope(deadline=end):
                response = await way.handle_async_request(request)
                return PooledResponse(response, end, patience.idle)
        except (httpx2.TransportError, httpx2.InvalidURL, ValueError) as error:
            raise _translated(error) from None
        raise TransportError("silent")

    async def aclose(self) -> None:
        """Close all connections."""
        for each in (self._direct, *self._proxied.values()):
            await each.aclose()

    def _way(self, url: httpx2.URL) -> httpx2.AsyncHTTPTransport:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not proxy or url.host in LOOPBACK_HOSTS or proxy_bypass(url.host):
            return self._direct
        if proxy not in self._proxied:
            self._proxied[proxy] = httpx2.AsyncHTTPTransport(limits=LIMITS, proxy=proxy)
        return self._proxied[proxy]


class PooledResponse:
    """See `Response`."""

    def __init__(self, response: httpx2.Response, first: float, idle: float) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._first, self._idle = first, idle

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See `Response.pieces`."""
        if self.headers.get("content-encoding", "identity").strip().lower() not in ENCODINGS:
            raise TransportError("encoding")
        deadline, idle, kind = self._first, self._idle, "silent"
        pieces = self._response.aiter_bytes()
        try:
            while True:
                scope = anyio.CancelScope(deadline=deadline)
                with scope:
                    data = await anext(pieces, b"")
                if scope.cancelled_caught:
                    raise TransportError(kind)
                if not data:
                    return
                deadline, kind = anyio.current_time() + idle, "stalled"
                yield data
        except httpx2.DecodingError:
            raise TransportError("encoding") from None
        except httpx2.TransportError as error:
            raise _translated(error) from None

    async def aclose(self) -> None:
        """See `Response.aclose`."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
            await self._response.aclose()


def _translated(error: Exception) -> TransportError:
    name = type(error).__name__
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | ValueError):
        return TransportError("address")
    if isinstance(error, httpx2.TimeoutException):
        return TransportError("timeout", name)
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return TransportError("connect", name)
    return TransportError("broken", name)
