"""Serve many clients over HTTP: streamable HTTP, or the older SSE transport for clients that know nothing else.

Loopback by default. Whatever is bound, a request must name a host that is ours (against DNS rebinding), come from no
foreign web page, and carry the bearer token that is made on first use and kept in the data directory.
"""

from __future__ import annotations

import gc
import hmac
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio
from mcp.server.transport_security import TransportSecuritySettings

from orchestra_mcp.errors import OrchestraError, SettingsError
from orchestra_mcp.settings import home_dir
from orchestra_mcp.store.secretfile import secret_file
from orchestra_mcp.tools.server import Server, build_server
from orchestra_mcp.tools.stdio import last_word, log_to_stderr

if TYPE_CHECKING:
    from types import FrameType

    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

    from orchestra_mcp.tools.host import Host

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ANYWHERE = frozenset({"0.0.0.0", "::", ""})
BODY_BYTES = 4 * 1024 * 1024
"""Longest request body."""
JUDGED = (b"host", b"origin", b"authorization")
"""Headers by which a request is let in, so that there must be no doubt which of two counts."""
ADDRESS = re.compile(r"(?:https?:)?//([\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE)
"""A host or an origin, and nothing else that a parser may see in it."""
SELDOM = (20_000, 20, 50)
"""A call makes and drops some hundred objects, hardly any in cycles: looking for these is a third of its cost otherwise."""
GRACE_S = 1
"""Open streams are given so many seconds to end."""


class Draining(Protocol):
    """Lets work finish before the server ends."""

    @property
    def patience_s(self) -> float:
        """So long it may take, in seconds."""
        ...

    def hurry(self) -> None:
        """Wait no longer; called by a signal's handler."""
        ...

    async def wait(self) -> None:
        """Wait until nothing works any more; then end what does."""
        ...


def bearer_token(home: Path) -> str:
    """The token of this data directory, made on first use and readable by its owner only.

    Raises:
        SettingsError: the file cannot be written, or others can read it.
    """
    return secret_file(home / "token")


class Addresses:
    """Knows by which names this server may be called, against DNS rebinding and foreign web pages.

    Args:
        bound: the address that the server listens on.
    """

    def __init__(self, bound: str) -> None:
        self._names = LOOPBACK | {bound.lower().strip("[]")} - ANYWHERE
        self._anywhere = bound in ANYWHERE

    def ours(self, address: str, scope: Scope) -> bool:
        """True for `//host` or an origin whose host is this server, as far as the connection can tell."""
        found = ADDRESS.fullmatch(address)
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        if self._anywhere:  # an address that the connection itself came in on cannot be a rebound name
            local = (scope.get("server") or ("",))[0]
            return name in self._names or name in (local, socket.gethostname().lower())
        return name in self._names


class Guard:
    """ASGI: lets through only requests to a host of ours, from no foreign page, with the token."""

    def __init__(self, app: ASGIApp, token: str, bound: str) -> None:
        self._app = app
        self._token = token.encode()
        self._addresses = Addresses(bound)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421, 403 or 401, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError("Only HTTP requests can be let through.")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in JUDGED):
            await _refuse(send, HTTPStatus.BAD_REQUEST, "Host, Origin and Authorization may be sent once only.")
        elif not self._addresses.ours(f"//{headers.get('host', '')}", scope):
            await _refuse(send, HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that Host.")
        elif (origin := headers.get("origin")) and not self._addresses.ours(origin, scope):
            await _refuse(send, HTTPStatus.FORBIDDEN, "Web pages of other origins may not call this server.")
        elif scope["path"].startswith("/.well-known/"):
            await _refuse(send, HTTPStatus.NOT_FOUND, "There is no OAuth here; send the bearer token.")
        elif not self._may_enter(headers.get("authorization", "")):
            await _refuse(
                send,
                HTTPStatus.UNAUTHORIZED,
                "Send the header `Authorization: Bearer TOKEN`; `orchestra serve --show-token` prints the token.",
            )
        else:
            await self._app(scope, receive, send)

    def _may_enter(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)


async def _refuse(send: Send, status: HTTPStatus, why: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="orchestra"'))
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})


def build_app(server: Server, token: str, host: str, sse: bool = False) -> ASGIApp:
    """The ASGI application behind its guard: `/mcp`, or `/sse` and `/messages/`."""
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the guard does it
    if sse:
        app: ASGIApp = server.sse_app(transport_security=unchecked, max_request_body_size=BODY_BYTES)
    else:
        app = server.streamable_http_app(transport_security=unchecked, max_request_body_size=BODY_BYTES)
    return Guard(app, token, host)


def serve_http(environ: Mapping[str, str], host: str = "127.0.0.1", port: int = 0, sse: bool = False) -> int:
    """Serve until a signal comes; returns the exit code.

    Args:
        environ: where keys and the documented paths are looked up.
        host: address to listen on.
        port: port to listen on; 0 takes any free one. The address is printed on standard error.
        sse: the older HTTP+SSE transport in place of streamable HTTP.
    """
    log_to_stderr(environ)
    home = home_dir(environ)
    try:
        token = bearer_token(home)
        listener = listen(host, port)
    except SettingsError as error:
        sys.stderr.write(f"orchestra: {error}\n")
        return 1
    with listener:
        address = f"[{host}]" if ":" in host else host
        path = "sse" if sse else "mcp"
        where = (
            f"Orchestra listens on http://{address}:{listener.getsockname()[1]}/{path}\n"
            f"Clients must send the bearer token in {home / 'token'}\n"
        )
        server = build_server(environ)
        return serve(build_app(server, token, host, sse), server.host, listener, where)


def serve(app: ASGIApp, host: Host, listener: socket.socket, where: str = "") -> int:
    """Serve on a socket that already listens, until SIGINT or SIGTERM; returns 128 plus the signal's number.

    `where` is said on standard error once the server answers.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[ASGIApp]:
        async with host:
            yield app

    return serve_opened(opened(), listener, where)


class Leaving:
    """Notes which signal ends the process, and sees to it that it does end.

    Args:
        drain: after the first signal, what works may finish; a second one ends the waiting.
    """

    def __init__(self, drain: Draining | None) -> None:
        self.drain = drain
        self.number = 0
        """Of the first signal."""

    def early(self, number: int, _: FrameType | None) -> None:
        """Before uvicorn listens for signals; afterwards it raises them again, when nothing is left to interrupt."""
        if not self.number:
            self.number = number
            last_word(128 + number)

    def first(self, number: int) -> bool:
        """True for the signal that closes the server; uvicorn would take a second one for leave to close nothing."""
        if self.drain is None:
            self.early(number, None)
            return True
        if self.number:
            self.drain.hurry()
            return False
        self.number = number
        timer = threading.Timer(self.drain.patience_s + 2 * GRACE_S, last_word, (128 + number,))
        timer.daemon = True
        timer.start()
        return True


def serve_opened(
    opening: AbstractAsyncContextManager[ASGIApp],
    listener: socket.socket,
    where: str = "",
    *,
    ws: bool = False,
    fast: bool = False,
    drain: Draining | None = None,
    beside: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """As `serve`, for an application that is opened within the event loop and closed after the last request.

    Args:
        opening: gives the application.
        listener: where it is served.
        where: said on standard error once it is open, and not before.
        ws: also WebSockets, where the package `websockets` is installed.
        fast: use uvloop where it is installed.
        drain: after a signal, what works may finish; a second signal ends the waiting.
        beside: run as long as it serves; when it ends, so does this, with what it raised.
    """
    import uvicorn

    leaving = Leaving(drain)

    class Quick(uvicorn.Server):
        """Says when it is open, and ends in time even when a stream does not."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                sys.stderr.write(where)
                sys.stderr.flush()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if leaving.first(sig):
                super().handle_exit(sig, frame)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if drain is not None:
                for server in self.servers:
                    server.close()
                for connection in tuple(self.server_state.connections):
                    connection.shutdown()  # idle ones are closed, the others after their reply
                await drain.wait()
            await super().shutdown(sockets)

    sockets = ws and find_spec("websockets") is not None

    async def main() -> None:
        async with opening as app:
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                ws="websockets-sansio" if sockets else "none",
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
            settle_memory()
            server = Quick(config)
            if beside is None:
                await server.serve(sockets=[listener])
            else:
                await _serve_beside(server, listener, beside)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, leaving.early)
    anyio.run(main, backend_options={"use_uvloop": True} if fast and find_spec("uvloop") else {})
    return 128 + leaving.number if leaving.number else 0


async def _serve_beside(server: uvicorn.Server, listener: socket.socket, beside: Callable[[], Awaitable[None]]) -> None:
    failure: OrchestraError | None = None

    async def accompany() -> None:
        nonlocal failure
        try:
            await beside()
        except OrchestraError as error:
            failure = error
        server.should_exit = True

    async with anyio.create_task_group() as group:
        group.start_soon(accompany)
        await server.serve(sockets=[listener])
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


def settle_memory() -> None:
    """Take what has been loaded for good out of the garbage collector's sight: looking through all of it again and again
    would hold up every call for a tenth of a second now and then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any free one.

    Raises:
        SettingsError: the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        what = f"Cannot listen on {host}:{port} ({error.strerror or error})"
        raise SettingsError(f"{what}; try another --port (0 takes any free one), or another --host.") from None
