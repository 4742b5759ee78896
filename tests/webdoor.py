"""The tests' HTTP door: `/v1` behind a real uvicorn on loopback, over the real gateway and a loopback upstream.

    with Upstream({"ada": Expert("42")}) as upstream, door(upstream) as served:
        ...served.url, served.heard

`told(*events)` is a model that says just these events, for what the upstream has no script for. `Vendor` is an HTTP
server that gives prepared replies, for payloads from vendors' documentation.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from upstream import Upstream

from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Provider
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import CallRecord
from orchestra_mcp.web.desk import Desk
from orchestra_mcp.web.v1 import v1_routes

KEY = "sk-test-Zk38fhQ0aVt7Xw2LmNp9"

Script = Callable[[ChatRequest], AsyncGenerator[ChatEvent, None]]


class Told:
    """A model whose events are written in the test."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        return self._script(request)


def told(*events: ChatEvent | Exception, **receipt: Any) -> Provider:
    """A model that says these events, or raises; `receipt` is written first."""

    async def script(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        for name, value in receipt.items():
            setattr(request.receipt, name, value)
        for event in events:
            await anyio.lowlevel.checkpoint()
            if isinstance(event, Exception):
                raise event
            yield event

    return Told(script)


class Heard:
    """Notes every request on its way to the gateway."""

    def __init__(self, inner: Provider, requests: list[ChatRequest]) -> None:
        self._inner = inner
        self._requests = requests

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self._requests.append(request)
        async with aclosing(self._inner.chat(request)) as events:
            async for event in events:
                yield event


async def _at_once(_seconds: float) -> None:
    """Waits between attempts are not waited."""


@dataclass
class Door:
    """A running door."""

    url: str = ""
    heard: list[ChatRequest] = field(default_factory=list)
    records: list[CallRecord] = field(default_factory=list)

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"


@contextmanager
def serving(app: Callable[[], Any]) -> Iterator[str]:
    """An ASGI application, given by an async context manager, behind uvicorn in a thread of its own."""
    ready, stops, port = threading.Event(), [], [0]

    async def main() -> None:
        stop = anyio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        async with app() as made:
            config = uvicorn.Config(
                made, port=0, log_config=None, access_log=False, ws="none", lifespan="off", interface="asgi3"
            )
            server = uvicorn.Server(config)
            config.load()
            server.lifespan = config.lifespan_class(config)
            await server.startup()
            await server.on_tick(0)
            port[0] = server.servers[0].sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()
            # uvicorn's own way to end takes a tenth of a second, which is much for hundreds of tests
            for each in server.servers:
                each.close()
            for task in tuple(server.server_state.tasks):
                task.cancel()
            await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
            for connection in tuple(server.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: anyio.run(main), name="door", daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the door did not open"
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        for loop, stop in stops:
            loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@contextmanager
def door(
    behind: Upstream | Provider | str,
    *,
    wire: str = "openai",
    limits: Limits | None = None,
    spec: Mapping[str, Any] | None = None,
    names: tuple[str, ...] = (),
    **desk: Any,
) -> Iterator[Door]:
    """The door before an upstream (each expert a model), before a provider, or before a vendor at an address."""
    found = Door()

    @asynccontextmanager
    async def app() -> AsyncIterator[ASGIApp]:
        async with open_http({}) as http:
            gateway: Provider
            if isinstance(behind, Upstream | str):
                url = behind if isinstance(behind, str) else behind.url
                base = url + ("/v1" if wire in ("openai", "responses") else "")
                experts = names or (tuple(behind.experts) if isinstance(behind, Upstream) else ())
                models = {
                    name: ModelSpec(**{"wire": wire, "base_url": base, "model": name, "key_env": "K", **(spec or {})})
                    for name in experts
                }
                bounds = limits or Limits(first_token_s=10, idle_s=10)
                gateway = build(
                    models,
                    Keys({"K": KEY}),
                    bounds,
                    ledger=Ledger(bounds),
                    on_call=found.records.append,
                    http=http,
                    dice=lambda: 0.0,
                    sleep=_at_once,
                )
            else:
                gateway = behind
            yield Starlette(routes=v1_routes(Desk(Heard(gateway, found.heard), **desk)))

    with serving(app) as url:
        found.url = url
        yield found


@dataclass
class Vendor:
    """A vendor who gives prepared replies, one after the other; the last one repeats."""

    replies: list[tuple[int, str, bytes]]
    bodies: list[Any] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[str]:
        """Its address."""

        @asynccontextmanager
        async def app() -> AsyncIterator[ASGIApp]:
            yield self._answer

        with serving(app) as url:
            yield url

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        data, more = b"", True
        while more:
            message = await receive()
            data, more = data + message.get("body", b""), message.get("more_body", False)
        self.raw.append(data)
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        if data.startswith(b"{"):
            self.bodies.append(json.loads(data))
        status, kind, body = self.replies[min(len(self.raw), len(self.replies)) - 1]
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def sse(*events: Any, named: bool = False) -> bytes:
    """Events of a stream as bytes; `named`: each with its type as the event's name."""
    frames = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        frames.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(frames).encode()
