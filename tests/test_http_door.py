"""The HTTP door: who gets in, who does not, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.tools.http import Guard, bearer_token

ROOT = Path(__file__).parents[1]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and permissions")


@dataclass
class Door:
    """A running `orchestra-mcp --http` or `--sse`."""

    process: subprocess.Popen[str]
    url: str
    home: Path
    said: str

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}", **ACCEPT}

    def post(self, **headers: str) -> httpx2.Response:
        return httpx2.post(self.url, json=INITIALIZE, headers={**ACCEPT, **headers}, timeout=10)

    @asynccontextmanager
    async def client(self, mode: str) -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(headers=self.bearer, timeout=30) as connection,
            Client(streamable_http_client(self.url, http_client=connection), mode=mode) as client,
        ):
            yield client


@contextmanager
def door(home: Path, *arguments: str, **more: str) -> Iterator[Door]:
    """`orchestra-mcp ARGUMENTS`, or `orchestra serve …` where they begin so."""
    environ = {**os.environ, "HOME": str(home), "ORCHESTRA_HOME": str(home / "data"), **more}
    module = "orchestra_mcp" if arguments[0] == "serve" else "orchestra_mcp.tools.entry"
    program = [sys.executable, "-m", module, *arguments, "--port", "0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, env=environ, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline() + process.stderr.readline()
            yield Door(process, said.split()[3], home / "data", said)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with door(tmp_path_factory.mktemp("home"), "--http") as opened:
        yield opened


def test_it_listens_on_loopback_and_says_where_without_saying_the_token(http: Door) -> None:
    assert http.url.startswith("http://127.0.0.1:")
    assert http.token not in http.said


@posix
def test_the_token_is_readable_by_its_owner_only(http: Door) -> None:
    assert stat.S_IMODE((http.home / "token").stat().st_mode) == 0o600


def test_with_the_token_the_server_answers(http: Door) -> None:
    reply = http.post(**http.bearer)
    assert reply.status_code == 200
    assert "orchestra" in reply.text


def test_without_the_token_it_says_how_to_get_it(http: Door) -> None:
    reply = http.post()
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert "orchestra serve --show-token" in reply.text
    assert http.token not in reply.text


@pytest.mark.parametrize("wrong", ["Bearer wrong", "Bearer", "Basic abc", "Bearer tökén"])
def test_a_wrong_token_is_refused(http: Door, wrong: str) -> None:
    headers = [*((k.encode(), v.encode()) for k, v in ACCEPT.items()), (b"authorization", wrong.encode())]
    reply = httpx2.post(http.url, json=INITIALIZE, headers=headers, timeout=10)
    assert reply.status_code == 401


def test_a_rebound_host_name_is_refused_even_with_the_token(http: Door) -> None:
    assert http.post(**http.bearer, host="evil.example").status_code == 421


def test_a_foreign_web_page_is_refused_even_with_the_token(http: Door) -> None:
    assert http.post(**http.bearer, origin="https://evil.example").status_code == 403
    assert http.post(**http.bearer, origin="null").status_code == 403
    assert http.post(**http.bearer, origin="http://localhost:3000").status_code == 200


def test_a_body_that_is_too_long_is_refused(http: Door) -> None:
    content = b'{"x":"' + b"a" * (4 * 1024 * 1024) + b'"}'
    headers = {**http.bearer, "content-type": "application/json"}
    assert httpx2.post(http.url, content=content, headers=headers, timeout=10).status_code == 413


def test_there_is_no_authorization_server_to_be_found(http: Door) -> None:
    url = http.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    assert httpx2.get(url, timeout=10).status_code == 404


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_client_lists_tools_over_streamable_http_in_both_eras(http: Door, mode: str) -> None:
    async with http.client(mode) as client:
        tools = await client.list_tools()
    assert "consult_expert_council" in {tool.name for tool in tools.tools}


@contextmanager
def council(home: Path, experts: dict[str, Expert], *arguments: str) -> Iterator[tuple[Door, Upstream]]:
    with Upstream(experts) as upstream:
        config = home / "orchestra.toml"
        config.write_text(upstream.models_toml())
        with door(home, *(arguments or ("--http",)), ORCHESTRA_CONFIG=str(config)) as opened:
            yield opened, upstream


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_verdict_arrives_over_http_with_progress_on_the_way(mode: str, tmp_path: Path, repo: Path) -> None:
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    says = expert("it is the newline")
    with council(tmp_path, {"alpha": Expert(says), "beta": Expert(says, latency_s=0.3)}) as (opened, _):
        async with opened.client(mode) as client:
            question = {"question": "Why is the last line lost?", "project_dir": str(repo)}
            result = await client.call_tool("consult_expert_council", question, progress_callback=note)
    assert not result.is_error
    assert "it is the newline" in str(result.content[0])
    assert seen
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_cancelling_over_http_aborts_the_calls_upstream(mode: str, tmp_path: Path, repo: Path) -> None:
    experts = {"alpha": Expert(fault="hang"), "beta": Expert(fault="hang")}
    with council(tmp_path, experts) as (opened, upstream):
        async with opened.client(mode) as client:
            async with anyio.create_task_group() as tasks:
                question = {"question": "Why is the last line lost?", "project_dir": str(repo)}
                tasks.start_soon(client.call_tool, "consult_expert_council", question)
                await upstream.wait_for_calls(2)
                tasks.cancel_scope.cancel()
            await upstream.wait_until(lambda: all(call.aborted for call in upstream.calls), 1)


async def test_the_client_lists_tools_over_sse(tmp_path: Path) -> None:
    with door(tmp_path, "--sse") as opened:
        assert opened.url.endswith("/sse")
        async with Client(sse_client(opened.url, headers=opened.bearer), mode="legacy") as client:
            tools = await client.list_tools()
    assert "debate" in {tool.name for tool in tools.tools}


# ------------------------------------------------------------------------------------- `orchestra serve`: all doors


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_serve_has_the_mcp_endpoint_beside_the_models(mode: str, tmp_path: Path, repo: Path) -> None:
    says = expert("it is the newline")
    with council(tmp_path, {"alpha": Expert(says), "beta": Expert(says)}, "serve") as (opened, _):
        assert opened.url.endswith("/mcp")
        async with opened.client(mode) as client:
            result = await client.call_tool(
                "consult_expert_council", {"question": "Why is the last line lost?", "project_dir": str(repo)}
            )
        assert "it is the newline" in str(result.structured_content)
        models = httpx2.get(opened.url.replace("/mcp", "/v1/models"), headers=opened.bearer, timeout=10)
        assert "alpha" in models.text
        refused = opened.post()
        assert refused.status_code == 401
        assert "orchestra serve --show-token" in refused.json()["error"]["message"]
        assert opened.token not in opened.said


async def test_serve_has_the_older_transport_too(tmp_path: Path) -> None:
    with council(tmp_path, {"alpha": Expert("x")}, "serve", "--sse") as (opened, _):
        assert opened.url.endswith("/sse")
        async with Client(sse_client(opened.url, headers=opened.bearer), mode="legacy") as client:
            tools = await client.list_tools()
    assert "debate" in {tool.name for tool in tools.tools}


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_serve_and_the_calls_of_its_clients(tmp_path: Path, number: signal.Signals, code: int) -> None:
    body = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}]}
    with council(tmp_path, {"alpha": Expert(fault="hang")}, "serve") as (opened, upstream):

        def ask() -> None:
            url = opened.url.replace("/mcp", "/v1/chat/completions")
            with suppress(httpx2.TransportError):
                httpx2.post(url, json=body, headers=opened.bearer, timeout=30)

        asking = threading.Thread(target=ask)
        asking.start()
        upstream.wait_for_calls_sync(1)
        opened.process.send_signal(number)
        assert opened.process.stderr is not None
        assert "may go on for 10 s" in opened.process.stderr.readline()
        opened.process.send_signal(number)  # whoever asks twice does not want to wait
        assert opened.process.wait(4) == code
        asking.join(10)
        upstream.wait_until_sync(lambda: upstream.calls[0].aborted)


def test_serve_says_what_is_wrong_with_the_settings_and_ends(tmp_path: Path) -> None:
    config = tmp_path / "orchestra.toml"
    config.write_text("[models.x]\nmodle = 1\n")
    environ = {**os.environ, "ORCHESTRA_HOME": str(tmp_path / "data"), "ORCHESTRA_CONFIG": str(config)}
    program = [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0"]
    done = subprocess.run(program, env=environ, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 1
    assert "models.x.model" in done.stderr
    assert "Traceback" not in done.stderr


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_within_two_seconds_although_a_stream_is_open(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with (
        door(tmp_path, "--sse") as opened,
        httpx2.stream("GET", opened.url, headers=opened.bearer, timeout=10) as stream,
    ):
        assert stream.status_code == 200
        opened.process.send_signal(number)
        assert opened.process.wait(3) == code


@posix
def test_a_signal_during_a_council_aborts_the_calls_upstream(tmp_path: Path, repo: Path) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    name = "consult_expert_council"
    arguments = {"question": "Why is the last line lost?", "project_dir": str(repo)}
    params = {"name": name, "arguments": arguments, "_meta": meta}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": name}

    experts = {"alpha": Expert(fault="hang"), "beta": Expert(fault="hang")}
    with council(tmp_path, experts) as (opened, upstream):

        def ask() -> None:
            with suppress(httpx2.TransportError):
                httpx2.post(opened.url, json=call, headers={**opened.bearer, **headers}, timeout=30)

        asking = threading.Thread(target=ask)
        asking.start()
        upstream.wait_for_calls_sync(2)
        opened.process.send_signal(signal.SIGTERM)
        assert opened.process.wait(4) == 143
        asking.join(10)
        upstream.wait_until_sync(lambda: all(call.aborted for call in upstream.calls))


def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "orchestra_mcp.tools.entry", "--http", "--port", port],
            env={**os.environ, "ORCHESTRA_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert port in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "80"], "need --http or --sse"),
        (["--http", "--sse"], "exclude each other"),
        (["--http", "--port", "many"], "from 0 to 65535"),
        (["--http", "--host"], "needs a value"),
        (["--fast"], "unknown argument '--fast'"),
    ],
)
def test_arguments_that_make_no_sense_are_explained(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestra_mcp.tools.entry import main

    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_the_token_stays_the_same(tmp_path: Path) -> None:
    assert bearer_token(tmp_path / "new") == bearer_token(tmp_path / "new")


@posix
def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    bearer_token(tmp_path)
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        bearer_token(tmp_path)


@pytest.mark.parametrize(
    ("bound", "host", "status"),
    [
        ("192.0.2.7", "192.0.2.7:8321", 200),
        ("192.0.2.7", "localhost:8321", 200),
        ("192.0.2.7", "evil.example:8321", 421),
        ("0.0.0.0", "192.0.2.9:8321", 200),
        ("0.0.0.0", "192.0.2.10:8321", 421),
        ("0.0.0.0", "evil.example", 421),
        ("0.0.0.0", "[::1]:8321", 200),
        ("127.0.0.1", "127.0.0.1.evil.example", 421),
        ("127.0.0.1", "", 421),
        ("127.0.0.1", "[", 421),
    ],
)
async def test_hosts_are_checked_whatever_is_bound(bound: str, host: str, status: int) -> None:
    """The connection came in on 192.0.2.9 (an address for documentation, RFC 5737)."""
    answered: list[int] = []

    async def app(scope: object, receive: object, send: object) -> None:
        answered.append(200)

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        if "status" in message:
            answered.append(message["status"])

    headers = [(b"host", host.encode()), (b"authorization", b"Bearer secret")]
    scope = {"type": "http", "path": "/mcp", "headers": headers, "server": ("192.0.2.9", 8321)}
    await Guard(app, "secret", bound)(scope, receive, send)
    assert answered == [status]
