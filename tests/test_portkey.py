"""The gateway before the open-source Portkey gateway, before the loopback upstream.

Needs Node and `npm install --prefix DIRECTORY @portkey-ai/gateway`, and ORCHESTRA_TEST_PORTKEY=DIRECTORY. Portkey 1.15
changes the headers of a fetched reply when it streams, which current versions of Node do not allow: it then answers every
stream with 500. So it is run twice, with and without a shim that copies the replies of `fetch`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from doors import serving
from real.child import child, free_port, wait_for
from upstream import Expert, Upstream

from orchestra_mcp.errors import BadReply, ProviderError, RateLimited, Refused, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatReply, ChatRequest, Message, Provider, Receipt, fold
from orchestra_mcp.gateway.vendors.listing import list_models
from orchestra_mcp.gateway.vendors.settling import settle
from orchestra_mcp.settings import Keys, Limits, ModelSpec, Route, Settings
from orchestra_mcp.types import CallRecord, Usage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
INSTALL = "npm install --prefix DIRECTORY @portkey-ai/gateway, then set ORCHESTRA_TEST_PORTKEY=DIRECTORY"
SHIM = """
const fetched = globalThis.fetch;
globalThis.fetch = async (...given) => {
  const reply = await fetched(...given);
  return new Response(reply.body, {
    status: reply.status, statusText: reply.statusText, headers: new Headers(reply.headers),
  });
};
"""
KEY = "sk-proj-Zk38fhQ0aVt7Xw2LmNp9"
SAYS = "It waits for a lock that nobody gives back."
HI: list[Any] = [{"role": "user", "content": "Why?"}]
every_transport = pytest.mark.parametrize("fast", [False, True], ids=["httpx2", "aiohttp"])
either_way = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    experts = {
        "ada": Expert(SAYS),
        "busy": Expert(fault="429", retry_after=3),
        "locked": Expert(fault="401", message=f"Incorrect API key provided: {KEY}"),
        "gone": Expert(fault="404"),
        "broken": Expert(fault="500"),
        "cut": Expert(SAYS, fault="cut"),
        "torn": Expert(SAYS, fault="truncated"),
        "errs": Expert(SAYS, fault="error_event"),
        "mute": Expert(fault="empty"),
        "slow": Expert("word " * 400, fault="slow", drip_s=0.01),
    }
    with Upstream(experts) as running:
        yield running


def portkey(place: Path, shim: bool) -> Iterator[str]:
    directory = os.environ.get("ORCHESTRA_TEST_PORTKEY", "")
    node = shutil.which("node")
    main = Path(directory) / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not directory or not main.is_file() or node is None:
        pytest.skip(INSTALL)
    script, log, port = place / "shim.cjs", place / "log", free_port()
    script.write_text(SHIM)
    argv = [node, *(["--require", str(script)] if shim else []), str(main), "--headless", f"--port={port}"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(place), "PORT": str(port)}
    with child(argv, log, environ) as process:
        wait_for(f"http://127.0.0.1:{port}/", process, log)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def shimmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Portkey as it was meant."""
    yield from portkey(tmp_path_factory.mktemp("shimmed"), shim=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[str]:
    """Portkey as it is."""
    for url in portkey(tmp_path_factory.mktemp("bare"), shim=False):
        headers = {"authorization": f"Bearer {KEY}", **through(upstream)}
        asked = {"model": "ada", "messages": HI, "stream": True}
        with httpx2.Client(trust_env=False) as client:
            if client.post(f"{url}/v1/chat/completions", json=asked, headers=headers).status_code != 500:
                pytest.skip("this Portkey's streams work on this Node")
        yield url


def through(upstream: Upstream, provider: str = "openai") -> dict[str, str]:
    """https://portkey.ai/docs/api-reference/inference-api/headers."""
    return {"x-portkey-provider": provider, "x-portkey-custom-host": f"{upstream.url}/v1"}


@dataclass
class Desk:
    gateway: Provider
    upstream: Upstream
    records: list[CallRecord] = field(default_factory=list)

    async def ask(self, model: str, **more: Any) -> ChatReply:
        return await fold(self.gateway, request(model, **more))


def request(model: str, **more: Any) -> ChatRequest:
    system, user = Message(role="system", text="Be brief."), Message(role="user", text="Why does it hang?")
    return ChatRequest(**{"model": model, "messages": (system, user), "run": "r", **more})


@asynccontextmanager
async def desk(
    url: str, upstream: Upstream, *, fast: bool = False, settings: Settings | None = None, **more: Any
) -> AsyncIterator[Desk]:
    """Every expert of the upstream behind Portkey; `direct` is one that is asked without it."""
    if fast:
        pytest.importorskip("aiohttp", reason="pip install aiohttp")
    config = json.dumps({"provider": "openai", "api_key": KEY, "custom_host": f"{upstream.url}/v1"})
    keys = Keys({"VENDOR_KEY": KEY, "PORTKEY_CONFIG": config})
    base = f"{url}/v1" if more.get("wire") != "anthropic" else url
    given = {"base_url": base, "key_env": "VENDOR_KEY", "headers": through(upstream), **more}
    models = {name: settle(ModelSpec(**{"model": name, **given}), keys) for name in upstream.experts}
    models["direct"] = ModelSpec(base_url=f"{upstream.url}/v1", model="ada")
    limits = Limits(first_token_s=20, idle_s=20)
    records: list[CallRecord] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    upstream.calls.clear()
    async with open_http({}, fast=fast) as http:
        gateway = build(
            models,
            keys,
            limits,
            ledger=Ledger(limits),
            on_call=records.append,
            http=http,
            clock=lambda: time.monotonic() + sum(waits),
            sleep=sleep,
            settings=settings or Settings(),
        )
        yield Desk(gateway, upstream, records)


# ------------------------------------------------------------------------------------------------ with the shim


@every_transport
@either_way
async def test_a_reply_comes_through(shimmed: str, upstream: Upstream, fast: bool, stream: bool) -> None:
    async with desk(shimmed, upstream, fast=fast) as d:
        reply = await d.ask("ada", stream=stream)
    assert (reply.text, reply.finish, reply.model) == (SAYS, "stop", "ada")
    assert reply.usage == Usage(calls=1, input_tokens=100, output_tokens=50)
    [call] = upstream.calls
    assert call.prompt == "Be brief.\n\nWhy does it hang?"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body.get("stream", False) is stream


@either_way
async def test_a_config_header_from_the_environment_names_vendor_and_key(
    shimmed: str, upstream: Upstream, stream: bool
) -> None:
    config = {"x-portkey-config": "$PORTKEY_CONFIG"}
    async with desk(shimmed, upstream, vendor="portkey", key_env="", headers=config) as d:
        reply = await d.ask("ada", stream=stream)
    assert reply.text == SAYS
    assert upstream.calls[0].headers["authorization"] == f"Bearer {KEY}"


@either_way
async def test_portkey_translates_for_a_vendor_of_another_dialect(
    shimmed: str, upstream: Upstream, stream: bool
) -> None:
    async with desk(shimmed, upstream, headers=through(upstream, "anthropic")) as d:
        reply = await d.ask("ada", stream=stream)
    assert (reply.text, reply.finish) == (SAYS, "stop")
    assert reply.usage == Usage(calls=1, input_tokens=100, output_tokens=50)
    assert (upstream.calls[0].wire, upstream.calls[0].prompt) == ("anthropic", "Be brief.\n\nWhy does it hang?")


@either_way
async def test_its_messages_endpoint_is_spoken_to_in_anthropics_dialect(
    shimmed: str, upstream: Upstream, stream: bool
) -> None:
    async with desk(shimmed, upstream, wire="anthropic", headers=through(upstream, "anthropic")) as d:
        reply = await d.ask("ada", stream=stream)
    assert (reply.text, reply.finish) == (SAYS, "stop")
    assert reply.usage == Usage(calls=1, input_tokens=100, output_tokens=50)


@either_way
@pytest.mark.parametrize(
    ("model", "kind", "error"),
    [
        ("busy", "rate_limit", RateLimited),
        ("locked", "auth", Refused),
        ("gone", "model", Refused),
        ("broken", "server", Unavailable),
        ("mute", "empty", BadReply),
    ],
)
async def test_errors_of_the_vendor_behind_it_keep_their_kind(
    shimmed: str, upstream: Upstream, model: str, kind: str, error: type[ProviderError], stream: bool
) -> None:
    async with desk(shimmed, upstream) as d:
        with pytest.raises(error) as caught:
            await d.ask(model, stream=stream)
    assert caught.value.kind == kind
    assert KEY not in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == 3


@pytest.mark.parametrize(("model", "kinds"), [("cut", ("truncated",)), ("torn", ("truncated",)), ("errs", ("server",))])
async def test_a_stream_that_breaks_behind_it_is_no_reply(
    shimmed: str, upstream: Upstream, model: str, kinds: tuple[str, ...]
) -> None:
    async with desk(shimmed, upstream) as d:
        with pytest.raises(ProviderError) as caught:
            await d.ask(model)
    assert caught.value.kind in kinds


@every_transport
async def test_a_stream_that_is_given_up_is_let_go_at_once(shimmed: str, upstream: Upstream, fast: bool) -> None:
    """Portkey itself reads what its vendor says to the end; see `test_real_upstream` for a server that stops."""
    async with desk(shimmed, upstream, fast=fast) as d:
        async with aclosing(d.gateway.chat(request("slow"))) as events:
            async for _ in events:
                break
        assert not upstream.calls[0].finished
        assert (await d.ask("ada")).text == SAYS
    assert [record.error for record in d.records] == ["cancelled", ""]


async def test_its_list_of_models_is_read(shimmed: str, upstream: Upstream) -> None:
    spec = ModelSpec(base_url=f"{shimmed}/v1", model="ada", key_env="K", headers=through(upstream))
    async with open_http({}) as http:
        listing = await list_models(spec, Keys({"K": KEY}), http)
    assert listing == (200, tuple(upstream.experts))


# ------------------------------------------------------------------------------------------------ without it


@every_transport
async def test_without_the_shim_plain_replies_come_and_streams_are_a_typed_error(
    bare: str, upstream: Upstream, fast: bool
) -> None:
    async with desk(bare, upstream, fast=fast) as d:
        assert (await d.ask("ada", stream=False)).text == SAYS
        with pytest.raises(Unavailable) as caught:
            await d.ask("ada", stream=True)
    assert caught.value.kind == "server"
    assert "500" in str(caught.value)


async def test_without_the_shim_a_route_goes_on_to_its_next_target(bare: str, upstream: Upstream) -> None:
    settings = Settings(routes={"answer": Route(targets=("ada", "direct"), explore=0)})
    receipt = Receipt()
    async with desk(bare, upstream, settings=settings) as d:
        reply = await d.ask("answer", stream=True, receipt=receipt)
    assert reply.text == SAYS
    assert receipt.model == "direct"
    assert receipt.attempts > 1
    assert [record.error for record in d.records][-1] == ""
    assert {record.error for record in d.records[:-1]} == {"server"}


# ------------------------------------------------------------------------------------------------ through the door


def test_the_sdks_reach_it_through_orchestra_serve(
    shimmed: str, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDOR_KEY", KEY)
    toml = f"""
[models.ada-by-portkey]
base_url = "{shimmed}/v1"
model = "ada"
key_env = "VENDOR_KEY"

[models.ada-by-portkey.headers]
x-portkey-provider = "openai"
x-portkey-custom-host = "{upstream.url}/v1"
"""
    with serving(tmp_path, {}, more_toml=toml) as door:
        with openai.OpenAI(base_url=f"{door.url}/v1", api_key=door.token, max_retries=0) as client:
            plain = client.chat.completions.create(model="ada-by-portkey", messages=HI)
            chunks = list(client.chat.completions.create(model="ada-by-portkey", messages=HI, stream=True))
        with (
            anthropic.Anthropic(base_url=door.url, api_key=door.token, max_retries=0) as other,
            other.messages.stream(model="ada-by-portkey", messages=HI, max_tokens=50) as stream,
        ):
            text = "".join(stream.text_stream)
    assert plain.choices[0].message.content == SAYS
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == SAYS
    assert text == SAYS
