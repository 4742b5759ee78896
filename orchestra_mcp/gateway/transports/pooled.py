"""The transport that everybody has: the connection pool of httpx2, which the MCP library needs anyway.

The pool (httpcore2) is used without the client above it: cookies, redirects, authentication flows and merging of
addresses are not wanted here, and cost a third of the whole exchange.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from functools import lru_cache
from typing import cast
from urllib.request import getproxies, proxy_bypass

import anyio
import httpcore2
import httpx2

from orchestra_mcp.gateway.transports.transport import (
    CLOSE_S,
    CONNECT_S,
    ENCODINGS,
    LOOPBACK_HOSTS,
    MAX_PIECE,
    WRITE_S,
    Patience,
    Response,
    TransportError,
)

MAX_CONNECTIONS, MAX_IDLE, KEEP_S = 200, 100, 60
LOOPBACK = frozenset(host.encode() for host in LOOPBACK_HOSTS)
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class PooledTransport:
    """See `Transport`.

    Args:
        proxies: scheme → address of its proxy; default: those of the environment. Never used for this machine.
        connect_s: longest time for a connection, in seconds.
    """

    def __init__(self, proxies: Mapping[str, str] | None = None, connect_s: float = CONNECT_S) -> None:
        self._connect_s = connect_s
        self._direct: httpcore2.AsyncConnectionPool | None = None
        self._proxies = getproxies() if proxies is None else proxies
        self._proxied: dict[str, httpcore2.AsyncConnectionPool] = {}

    async def open(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, patience: Patience
    ) -> Response:
        """See `Transport.open`."""
        end = anyio.current_time() + patience.first
        try:
            address, host = _address(url)
            lines = [(b"host", host), (b"content-length", b"%d" % len(content))]
            lines += [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
            timeout = {"connect": self._connect_s, "read": patience.first, "write": WRITE_S, "pool": self._connect_s}
            request = httpcore2.Request(
                method, address, headers=lines, content=content, extensions={"timeout": timeout}
            )
            response = await self._way(address).handle_async_request(request)
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, *BAD_REQUEST) as error:
            raise _translated(error, "silent") from None
        return PooledResponse(response, timeout, end, patience.idle)

    async def aclose(self) -> None:
        """Close all connections."""
        for each in (self._direct, *self._proxied.values()):
            if each is not None:
                await each.aclose()

    def _way(self, address: httpcore2.URL) -> httpcore2.AsyncConnectionPool:
        if self._proxies and address.host not in LOOPBACK:
            host, scheme = address.host.decode("ascii"), address.scheme.decode("ascii")
            proxy = self._proxies.get(scheme) or self._proxies.get("all")
            if proxy and not proxy_bypass(host):
                if proxy not in self._proxied:
                    self._proxied[proxy] = _through(proxy)
                return self._proxied[proxy]
        if self._direct is None:
            self._direct = httpcore2.AsyncConnectionPool(
                ssl_context=httpx2.create_ssl_context(),
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_IDLE,
                keepalive_expiry=KEEP_S,
            )
        return self._direct


BAD_REQUEST = (httpcore2.UnsupportedProtocol, httpcore2.ProxyError, httpx2.InvalidURL, ValueError)


class PooledResponse:
    """See `Response`."""

    def __init__(self, response: httpcore2.Response, timeout: dict[str, float], first: float, idle: float) -> None:
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.headers:
            key, text = name.lower().decode("latin-1"), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        self._response = response
        self._first, self._idle = first, idle
        self._whole = False
        # The clocks of the body are kept here.
        timeout.pop("read", None)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See `Response.pieces`."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ENCODINGS:
            raise TransportError("encoding")
        unpack = None if encoding in ("", "identity") else _Unpacked()
        deadline, idle, kind = self._first, self._idle, "silent"
        left = int(length) if (length := self.headers.get("content-length", "")).isdigit() else -1
        pieces = aiter(cast("AsyncIterable[bytes]", self._response.stream))
        try:
            while True:
                if not left:  # the end needs no waiting for
                    data = await anext(pieces, b"")
                else:
                    scope = anyio.CancelScope(deadline=deadline)
                    with scope:
                        data = await anext(pieces, b"")
                    if scope.cancelled_caught:
                        raise TransportError(kind)
                if not data:
                    self._whole = True
                    break
                left -= len(data)
                deadline, kind = anyio.current_time() + idle, "stalled"
                if unpack is None:
                    yield data
                    continue
                for piece in unpack.feed(data):
                    yield piece
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise _translated(error, kind) from None
        if unpack is not None:
            unpack.end()

    async def aclose(self) -> None:
        """See `Response.aclose`."""
        if self._whole:
            await self._response.aclose()  # only gives the connection back
            return
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
            await self._response.aclose()


class _Unpacked:
    """gzip or deflate, in pieces of bounded size: a few bytes may become gigabytes."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(GZIP_OR_ZLIB)
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        found = []
        try:
            while data:
                piece = self._more(data)
                data = self._zlib.unconsumed_tail
                if piece:
                    found.append(piece)
        except zlib.error:
            raise TransportError("encoding") from None
        return found

    def _more(self, data: bytes) -> bytes:
        try:
            piece = self._zlib.decompress(data, MAX_PIECE)
        except zlib.error:
            if self._begun:
                raise
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)  # some send `deflate` without its header
            piece = self._zlib.decompress(data, MAX_PIECE)
        self._begun = True
        return piece

    def end(self) -> None:
        if not self._zlib.eof:
            raise TransportError("broken", "cut off")


@lru_cache(256)
def _address(url: str) -> tuple[httpcore2.URL, bytes]:
    """The parsed address and the value of `Host`. Raises ValueError."""
    parsed = httpx2.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("no address")
    address = httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
    return address, parsed.netloc


def _through(proxy: str) -> httpcore2.AsyncConnectionPool:
    by = httpx2.Proxy(proxy)
    address = httpcore2.URL(scheme=by.url.raw_scheme, host=by.url.raw_host, port=by.url.port, target=by.url.raw_path)
    if by.url.scheme in ("socks5", "socks5h"):
        return httpcore2.AsyncSOCKSProxy(
            proxy_url=address, proxy_auth=by.raw_auth, ssl_context=httpx2.create_ssl_context(),
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE, keepalive_expiry=KEEP_S,
        )  # fmt: skip
    return httpcore2.AsyncHTTPProxy(
        proxy_url=address, proxy_auth=by.raw_auth, ssl_context=httpx2.create_ssl_context(),
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE, keepalive_expiry=KEEP_S,
    )  # fmt: skip


def _translated(error: Exception, silence: str) -> TransportError:
    name = type(error).__name__
    if isinstance(error, httpx2.InvalidURL | httpcore2.UnsupportedProtocol | ValueError):
        return TransportError("address")
    if isinstance(error, httpcore2.ReadTimeout):
        return TransportError(silence)
    if isinstance(error, httpcore2.TimeoutException):
        return TransportError("timeout", name)
    if isinstance(error, httpcore2.ConnectError | httpcore2.ProxyError):
        return TransportError("connect", name)
    return TransportError("broken", name)
