"""The seam to the network: open a request, read its reply in pieces. Two libraries stand behind it.

Neither follows redirects (a key goes only where it was meant to go), nor uses a proxy for this machine. Bodies come
uncompressed as far as `ENCODINGS` goes; a few bytes of other compressions can become gigabytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple, Protocol

import anyio

ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Compressions that are read."""
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
"""Hosts that are reached without any proxy."""
CONNECT_S = 10.0
WRITE_S = 30.0
CLOSE_S = 1.0
MAX_PIECE = 2**20
"""Bytes that are unpacked at a time."""


class TransportError(Exception):
    """The exchange failed below HTTP. `kind`: `address`, `connect`, `timeout` (no connection in
    time), `silent` (nothing came back in time), `stalled` (the body stopped coming), `broken`, `encoding`."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


class Patience(NamedTuple):
    """Longest silences, in seconds."""

    first: float = 90.0
    """Until the first byte of the reply's head."""
    idle: float = 60.0
    """Between two pieces of the body."""


class Response(Protocol):
    """A reply whose head has come."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, uncompressed. Raises `TransportError`."""
        ...

    async def aclose(self) -> None:
        """Give the connection back, or close it when the body has not been read to its end. Never raises."""
        ...


class Transport(Protocol):
    """An HTTP client with a pool of connections, for one event loop."""

    async def open(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, patience: Patience
    ) -> Response:
        """Send a request and wait for the head of its reply.

        Raises:
            TransportError: it could not be sent, or nothing came back in time.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


async def fetch(
    transport: Transport,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    content: bytes = b"",
    seconds: float = 10.0,
    most: int = 8_000_000,
) -> tuple[int, bytes]:
    """A whole reply: status and body.

    Raises:
        TransportError: it failed, took longer than `seconds` (`timeout`), or has more than `most` bytes (`broken`).
    """
    try:
        with anyio.fail_after(seconds):
            response = await transport.open(method, url, headers or {}, content, Patience(seconds, seconds))
            try:
                data = bytearray()
                async for piece in response.pieces():
                    data += piece
                    if len(data) > most:
                        raise TransportError("broken", f"more than {most:,} bytes")
                return response.status, bytes(data)
            finally:
                await response.aclose()
    except TimeoutError:
        raise TransportError("timeout", f"no reply within {seconds:g} s") from None
