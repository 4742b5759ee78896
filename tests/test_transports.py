"""Both transports keep the same promises, over real sockets."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import pytest
from upstream import Expert, Upstream

from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatRequest, Message, fold
from orchestra_mcp.gateway.transports.transport import Patience, Transport, TransportError, fetch
from orchestra_mcp.settings import Keys, Limits, ModelSpec

SOON = Patience(10, 10)
KINDS = pytest.mark.parametrize("fast", [False, True], ids=["httpx2", "aiohttp"])


@asynccontextmanager
async def transport(fast: bool, proxies: dict[str, str] | None = None) -> AsyncIterator[Transport]:
    if fast:
        pytest.importorskip("aiohttp", reason="install the extra `fast`")
    async with open_http(proxies, fast=fast) as http:
        assert type(http).__name__ == ("FastTransport" if fast else "PooledTransport")
        yield http


@contextmanager
def server(*replies: bytes, hold: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """Sends each reply to one request, on as few connections as the client likes; `hold` keeps the connection open."""
    requests: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        left = list(replies)
        while left:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    while left and (data := whole_request(connection)):
                        requests.append(data)
                        connection.sendall(left.pop(0))
                    if hold:
                        done.wait(5)
                continue
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        done.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def whole_request(connection: socket.socket) -> bytes:
    data = b""
    while more := connection.recv(65536):
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            break
    return data


def reply(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def read(http: Transport, url: str, patience: Patience = SOON) -> bytes:
    response = await http.open("POST", url, {"x-one": "1"}, b"{}", patience)
    try:
        async with aclosing(response.pieces()) as pieces:
            return b"".join([piece async for piece in pieces])
    finally:
        await response.aclose()


@KINDS
async def test_what_is_sent_and_what_comes_back(fast: bool) -> None:
    with server(reply(b"hello", "X-Two: 2")) as (url, requests):
        async with transport(fast) as http:
            response = await http.open("POST", url + "/a?b=c%2Fd", {"x-one": "1"}, b'{"q": 1}', SOON)
            assert (response.status, response.headers.get("x-two")) == (200, "2")
            async with aclosing(response.pieces()) as pieces:
                assert b"".join([piece async for piece in pieces]) == b"hello"
            await response.aclose()
    head, _, body = requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    assert first == "post /a?b=c%2fd http/1.1"
    assert {"x-one: 1", "content-length: 8"} <= set(lines)
    # Nothing that nobody asked for: no cookies, no list of compressions, no name of a library.
    assert {line.partition(":")[0] for line in lines} <= {"host", "x-one", "content-length", "connection", "accept"}
    assert body == b'{"q": 1}'


@KINDS
async def test_a_connection_is_used_again(fast: bool) -> None:
    with Upstream({"ada": Expert("42")}) as upstream:
        async with transport(fast) as http:
            for _ in range(3):
                status, _body = await fetch(http, upstream.url + "/v1/models", seconds=5)
                assert status < 500


@KINDS
@pytest.mark.parametrize("code", ["301", "307"])
async def test_redirects_are_not_followed(fast: bool, code: str) -> None:
    with server(f"HTTP/1.1 {code} Go\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".encode()) as (
        url,
        _,
    ):
        async with transport(fast) as http:
            response = await http.open("POST", url, {}, b"{}", SOON)
            assert response.status == int(code)
            await response.aclose()


@KINDS
async def test_cookies_are_not_kept(fast: bool) -> None:
    with server(reply(b"a", "set-cookie: s=1"), reply(b"b")) as (url, requests):
        async with transport(fast) as http:
            await read(http, url)
            await read(http, url)
    assert b"cookie" not in requests[1].lower()


@KINDS
async def test_gzip_is_read_and_others_are_refused(fast: bool) -> None:
    packed = gzip.compress(b"hello" * 100)
    with server(reply(packed, "content-encoding: gzip"), reply(b"xx", "content-encoding: br")) as (url, _):
        async with transport(fast) as http:
            assert await read(http, url) == b"hello" * 100
            with pytest.raises(TransportError) as caught:
                await read(http, url)
    assert caught.value.kind == "encoding"


@KINDS
async def test_broken_gzip_is_an_error_of_ours(fast: bool) -> None:
    with server(reply(b"this is no gzip", "content-encoding: gzip")) as (url, _):
        async with transport(fast) as http:
            with pytest.raises(TransportError) as caught:
                await read(http, url)
    assert caught.value.kind in ("encoding", "broken")


@KINDS
@pytest.mark.parametrize(
    ("sent", "hold", "kind"),
    [
        (b"", True, "silent"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", True, "silent"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", True, "stalled"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", False, "broken"),
        (b"nonsense\r\n\r\n", False, "broken"),
    ],
    ids=["no head", "no body", "half a body", "cut", "no http"],
)
async def test_every_way_to_fail_has_its_name(fast: bool, sent: bytes, hold: bool, kind: str) -> None:
    with server(sent, hold=hold) as (url, _):
        async with transport(fast) as http:
            with anyio.fail_after(10), pytest.raises(TransportError) as caught:
                await read(http, url, Patience(0.3, 0.3))
    assert caught.value.kind == kind


@KINDS
async def test_nobody_there_and_no_address(fast: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    async with transport(fast) as http:
        for url, kind in (
            (nobody, "connect"),
            ("ftp://x/", "address"),
            ("http://", "address"),
            ("nonsense", "address"),
        ):
            with pytest.raises(TransportError) as caught:
                await read(http, url)
            assert caught.value.kind == kind, url


@KINDS
async def test_a_proxy_is_used_for_others_and_never_for_this_machine(fast: bool) -> None:
    with Upstream({"ada": Expert("42")}) as proxy, Upstream({"ada": Expert("42")}) as here:
        async with transport(fast, {"http": proxy.url}) as http:
            await read(http, here.url + "/v1/chat/completions")
            models = {"far": ModelSpec(base_url="http://models.example/v1", model="ada")}
            gateway = build(models, Keys({}), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http)
            assert (await fold(gateway, question("far"))).text == "42"
        assert [call.expert for call in proxy.calls] == ["ada"]


@KINDS
async def test_leaving_a_stream_closes_its_connection(fast: bool) -> None:
    with Upstream({"ada": Expert("x" * 5000, fault="slow", drip_s=0.02)}) as upstream:
        async with transport(fast) as http:
            models = {"ada": ModelSpec(base_url=upstream.url + "/v1", model="ada")}
            gateway = build(models, Keys({}), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http)
            async with aclosing(gateway.chat(question("ada"))) as events:
                await anext(events)
            await upstream.wait_until(lambda: upstream.calls[0].aborted)


@KINDS
async def test_cancelling_a_request_closes_its_connection(fast: bool) -> None:
    with Upstream({"ada": Expert(fault="hang")}) as upstream:
        async with transport(fast) as http:
            models = {"ada": ModelSpec(base_url=upstream.url + "/v1", model="ada")}
            gateway = build(models, Keys({}), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http)
            with anyio.move_on_after(0.3):
                await fold(gateway, question("ada"))
            await upstream.wait_until(lambda: upstream.calls[0].aborted)


@KINDS
async def test_a_hundred_at_once(fast: bool) -> None:
    with Upstream({"ada": Expert("42", latency_s=0.05)}) as upstream:
        async with transport(fast) as http:
            models = {"ada": ModelSpec(base_url=upstream.url + "/v1", model="ada")}
            gateway = build(models, Keys({}), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http)
            texts: list[str] = []

            async def one() -> None:
                texts.append((await fold(gateway, question("ada"))).text)

            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(one)
    assert texts == ["42"] * 100


def question(model: str, **more: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message(role="user", text="Why does it hang?"),), **more)
