"""A real HTTP server on loopback for one test: it notes every request and answers as a function says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from upstream import Request, read_request

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Loopback:
    """Where it listens, and what has come in."""

    url: str
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def loopback(answer: Callable[[Request], Answer]) -> AsyncIterator[Loopback]:
    """Serve until the block ends; one request for each connection."""
    server_side = Loopback("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader, b"")
        if request is not None:
            server_side.requests.append(request)
            status, headers, body = answer(request)
            told = {"content-length": str(len(body)), "connection": "close", **headers}
            lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in told.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    server_side.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield server_side
    finally:
        server.close()
        await server.wait_closed()
