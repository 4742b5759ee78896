"""The gateway before a server that nobody here wrote: `transformers serve`, with a tiny model of random weights.

Nothing is downloaded. Needs `pip install "transformers[serving]" torch`, here or in another environment whose Python
`ORCHESTRA_TEST_TRANSFORMERS` names. What the model says is noise, so what is compared is one way of asking with another
(at temperature 0 the model repeats itself), and counts that are made by hand: its words are whole words, and its template
adds one for each message and one for the answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import anyio
import openai
import pytest
from doors import serving
from real.child import child, free_port, wait_for

from orchestra_mcp.errors import Refused, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatReply, ChatRequest, Finish, Message, Provider, TextDelta, fold
from orchestra_mcp.gateway.vendors.listing import list_models
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import CallRecord, Usage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
INSTALL = 'pip install "transformers[serving]" torch (or name the Python that has them in ORCHESTRA_TEST_TRANSFORMERS)'
NEEDS = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
PARTS = ("transformers", "torch", "fastapi", "accelerate", "uvicorn", "openai")
MODEL = "orchestra/tiny"
ENDLESS = 900_000
"""Tokens: far more than the model makes in the time that a test may take."""
every_transport = pytest.mark.parametrize("fast", [False, True], ids=["httpx2", "aiohttp"])
either_way = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps its model, and its log."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[str]:
    """The address of the server."""
    python = os.environ.get("ORCHESTRA_TEST_TRANSFORMERS") or sys.executable
    if subprocess.run([python, "-c", NEEDS, *PARTS], check=False).returncode:
        pytest.skip(INSTALL)
    port = free_port()
    script = Path(__file__).parent / "real" / "tiny_server.py"
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    log = home / "log"
    with child([python, str(script), str(home), str(port)], log, environ) as process:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"


@dataclass
class Desk:
    gateway: Provider
    records: list[CallRecord] = field(default_factory=list)

    async def ask(self, **more: Any) -> ChatReply:
        return await fold(self.gateway, request(**more))


def request(**more: Any) -> ChatRequest:
    system, user = Message(role="system", text="the lock is held"), Message(role="user", text="why")
    given = {"model": "tiny", "messages": (system, user), "temperature": 0, "max_tokens": 16, "run": "r"}
    return ChatRequest(**{**given, **more})


PROMPT_TOKENS = 8
"""`<system> the lock is held <user> why <assistant>`."""


async def at_once(_seconds: float) -> None:
    """Waits between attempts are not waited."""


@asynccontextmanager
async def desk(served: str, *, fast: bool = False, **spec: Any) -> AsyncIterator[Desk]:
    if fast:
        pytest.importorskip("aiohttp", reason="pip install aiohttp")
    limits = Limits(first_token_s=60, idle_s=30)
    given: dict[str, Any] = {"base_url": f"{served}/v1", "model": MODEL}
    models = {"tiny": ModelSpec(**{**given, **spec}), "none": ModelSpec(**{**given, "model": "orchestra/none"})}
    records: list[CallRecord] = []
    async with open_http({}, fast=fast) as http:
        gateway = build(
            models, Keys({}), limits, ledger=Ledger(limits), on_call=records.append, http=http, sleep=at_once
        )  # fmt: skip
        yield Desk(gateway, records)


# ------------------------------------------------------------------------------------------------ what comes back


@every_transport
@pytest.mark.parametrize("wire", ["openai", "responses"])
async def test_a_reply_is_the_same_plain_and_streamed_and_usage_is_counted(served: str, fast: bool, wire: str) -> None:
    async with desk(served, fast=fast, wire=wire) as d:
        plain, streamed = await d.ask(stream=False), await d.ask(stream=True)
    assert len(plain.text.split()) == 16
    assert streamed.text == plain.text
    # The server says over `/v1/responses` that a reply is complete also where it was cut off.
    assert plain.finish == streamed.finish == ("length" if wire == "openai" else "stop")
    assert plain.usage == streamed.usage == Usage(calls=1, input_tokens=PROMPT_TOKENS, output_tokens=16)
    assert [(record.error, record.provider) for record in d.records] == [("", "local")] * 2


@either_way
async def test_it_ends_at_a_stop_word_and_at_the_limit(served: str, stream: bool) -> None:
    async with desk(served) as d:
        whole = await d.ask(stream=stream)
        words = whole.text.split()
        at = next(i for i in range(2, 16) if not any(word.startswith(words[i]) for word in words[:i]))
        stopped = await d.ask(stream=stream, stop=(f" {words[at]}",))
        shorter = await d.ask(stream=stream, max_tokens=3)
    assert stopped.finish == "stop"
    assert stopped.text.split() == words[: at + 1]
    assert (shorter.finish, shorter.text.split()) == ("length", words[:3])
    assert shorter.usage.output_tokens == 3


@every_transport
async def test_words_come_one_by_one(served: str, fast: bool) -> None:
    async with desk(served, fast=fast) as d, aclosing(d.gateway.chat(request(max_tokens=300))) as events:
        found = [event async for event in events]
    assert len([event for event in found if isinstance(event, TextDelta)]) > 5
    assert isinstance(found[-1], Finish)


# ------------------------------------------------------------------------------------------------ what goes wrong


@every_transport
@either_way
async def test_an_unknown_model_is_refused_and_not_asked_again(served: str, fast: bool, stream: bool) -> None:
    async with desk(served, fast=fast) as d:
        with pytest.raises(Refused) as caught:
            await d.ask(model="none", stream=stream)
        assert caught.value.kind == "request"
        assert "pinned to" in str(caught.value)  # the server's own words
        assert len(d.records) == 1
        assert (await d.ask(stream=stream)).text


async def test_a_parameter_that_the_server_does_not_know_is_left_out_and_remembered(served: str, home: Path) -> None:
    before = (home / "log").read_text().count("422 Unprocessable")
    async with desk(served, quirks={"effort": "thinking"}) as d:
        first, second = await d.ask(effort="high"), await d.ask(effort="high")
    assert first.text == second.text
    assert (home / "log").read_text().count("422 Unprocessable") == before + 1
    assert [record.error for record in d.records] == ["", ""]


@every_transport
async def test_an_error_within_a_stream_is_no_reply(served: str, fast: bool) -> None:
    """The server says 200, begins the stream, and finds out then that it cannot stream a beam search."""
    beams = {"generation_config": json.dumps({"num_beams": 2})}
    async with desk(served, fast=fast) as d:
        with pytest.raises(Unavailable) as caught:
            await d.ask(extra=beams, extra_dialect="openai")
    assert caught.value.kind == "server"
    assert "beam search" in str(caught.value)  # the server's own words


async def test_a_wrong_address_says_what_to_check(served: str) -> None:
    async with desk(served, base_url=f"{served}/v2") as d:
        with pytest.raises(Refused) as caught:
            await d.ask()
    assert caught.value.kind == "model"
    assert "base_url" in str(caught.value)


async def test_a_server_that_has_gone_is_unavailable() -> None:
    async with desk(f"http://127.0.0.1:{free_port()}") as d:
        with pytest.raises(Unavailable) as caught:
            await d.ask()
    assert caught.value.kind == "network"
    assert len(d.records) > 1


@every_transport
async def test_a_stream_that_is_given_up_stops_the_model(served: str, fast: bool) -> None:
    """The server makes one reply at a time, so that a second one shows when the first one has stopped."""
    second: list[ChatReply] = []
    async with desk(served, fast=fast) as d:

        async def ask() -> None:
            second.append(await d.ask(max_tokens=2, stream=True))

        with anyio.fail_after(60):
            async with (
                anyio.create_task_group() as group,
                aclosing(d.gateway.chat(request(max_tokens=ENDLESS))) as events,
            ):
                count = 0
                async for _ in events:
                    count += 1
                    if count == 5:
                        group.start_soon(ask)
                    if count == 200:
                        break
                assert not second, "the server answers two at a time"
    assert second[0].usage.output_tokens == 2
    assert sorted(record.error for record in d.records) == ["", "cancelled"]


async def test_its_list_of_models_is_read(served: str) -> None:
    async with open_http({}) as http:
        listing = await list_models(ModelSpec(base_url=f"{served}/v1", model=MODEL), Keys({}), http)
    assert listing == (200, (MODEL,))


# ------------------------------------------------------------------------------------------------ through the door


def test_the_sdks_reach_it_through_orchestra_serve(served: str, tmp_path: Path) -> None:
    toml = f"""
[models.tiny]
base_url = "{served}/v1"
model = "{MODEL}"

[models.tiny-responses]
wire = "responses"
base_url = "{served}/v1"
model = "{MODEL}"
"""
    hi: Any = [{"role": "system", "content": "the lock is held"}, {"role": "user", "content": "why"}]
    with serving(tmp_path, {}, more_toml=toml) as door:
        with openai.OpenAI(base_url=f"{door.url}/v1", api_key=door.token, max_retries=0) as client:
            direct = openai.OpenAI(base_url=f"{served}/v1", api_key="none", max_retries=0)
            expected = direct.chat.completions.create(model=MODEL, messages=hi, temperature=0, max_tokens=16)
            direct.close()
            said = expected.choices[0].message.content
            known = {model.id for model in client.models.list()}
            raw = client.chat.completions.with_raw_response.create(
                model="tiny", messages=hi, temperature=0, max_tokens=16
            )
            plain = raw.parse()
            chunks = list(
                client.chat.completions.create(
                    model="tiny", messages=hi, temperature=0, max_tokens=16, stream=True,
                    stream_options={"include_usage": True},
                )
            )  # fmt: skip
            answers = [
                client.responses.create(
                    model=name, instructions="the lock is held", input="why", temperature=0, max_output_tokens=16
                )
                for name in ("tiny", "tiny-responses")
            ]
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model="nobody", messages=hi)
        with anthropic.Anthropic(base_url=door.url, api_key=door.token, max_retries=0) as other:
            message = other.messages.create(
                model="tiny", system="the lock is held", messages=[hi[1]], max_tokens=16, extra_body={"temperature": 0}
            )
    assert {"tiny", "tiny-responses"} <= known
    assert said
    assert plain.choices[0].message.content == said
    assert plain.choices[0].finish_reason == "length"
    assert plain.usage is not None
    assert plain.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) == {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": 16,
        "total_tokens": PROMPT_TOKENS + 16,
    }
    assert raw.headers["x-orchestra-provider"] == "local"
    assert raw.headers["x-orchestra-attempts"] == "1"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == said
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == PROMPT_TOKENS + 16
    assert [answer.output_text.split() for answer in answers] == [said.split()] * 2
    assert message.content[0].type == "text"
    assert (message.content[0].text, message.stop_reason) == (said, "max_tokens")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (PROMPT_TOKENS, 16)
