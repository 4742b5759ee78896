"""`/v1/chat/completions` over real HTTP: what reaches the gateway, what comes back, and how it fails."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import httpx2
import pytest
from upstream import Expert, Upstream
from webdoor import Door, Told, door, told

from orchestra_mcp.errors import (
    BadReply,
    BudgetExceeded,
    ConsentNeeded,
    OrchestraError,
    RateLimited,
    Refused,
    Resting,
    SettingsError,
    Unavailable,
)
from orchestra_mcp.gateway.money.budgets import WindowSpent
from orchestra_mcp.gateway.provider import (
    CacheTerms,
    Caller,
    ChatEvent,
    ChatRequest,
    Finish,
    Media,
    Message,
    ReasoningDelta,
    Text,
    TextDelta,
    Thought,
    Tool,
    ToolCall,
    ToolDelta,
    ToolResult,
)
from orchestra_mcp.settings import Budget
from orchestra_mcp.types import Usage
from orchestra_mcp.web.desk import Desk
from orchestra_mcp.web.exchange import Outbox
from orchestra_mcp.web.overhead import terms

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
CLIENT = httpx2.Client(timeout=20, limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False)
every_dialect = pytest.mark.parametrize("path", PATHS)


def body(path: str, model: str = "ada", **more: Any) -> dict[str, Any]:
    """A small request in the dialect of a path."""
    if path == "/v1/responses":
        return {"model": model, "input": "Why?", **more}
    limit = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": model, "messages": [{"role": "user", "content": "Why?"}], **limit, **more}


def post(served: Door, path: str = PATHS[0], **more: Any) -> httpx2.Response:
    return CLIENT.post(served.url + path, content=json.dumps(body(path, **more)))


def chunks(text: str) -> list[Any]:
    """The data of a stream's events; `[DONE]` as it is."""
    rows = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [row if row == "[DONE]" else json.loads(row) for row in rows]


# ------------------------------------------------------------------------------------------- what is asked


def test_every_field_of_a_request_reaches_the_gateway() -> None:
    # Shapes from OpenAI's reference and its function calling guide.
    schema = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    given = {
        "model": "ada",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Two places.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"location":"Paris"}'},
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "14"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "15"}]},
        ],
        "max_completion_tokens": 300,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": "END",
        "seed": 7,
        "reasoning_effort": "low",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Weather",
                    "parameters": schema,
                    "strict": True,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": schema, "strict": True}},
        "logit_bias": {"50256": -100},
        "metadata": {"job": "7"},
        "user": "u1",
        "frequency_penalty": None,
    }
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        assert CLIENT.post(served.v1 + "/chat/completions", json=given).status_code == 200
    [heard] = served.heard
    assert heard.messages == (
        Message(role="system", text="Be brief."),
        Message(
            role="user",
            text="What is this?",
            parts=(
                Media(media_type="image/png", data="iVBORw0KGgo=", detail="low"),
                Media(url="https://example.org/a.png"),
                Media(media_type="audio/wav", data="UklGRg=="),
                Media(media_type="application/pdf", data="JVBERg==", name="a.pdf"),
            ),
        ),
        Message(
            role="assistant",
            parts=(
                Thought(text="Two places."),
                ToolCall(id="call_1", name="get_weather", arguments='{"location":"Paris"}', signature="c2ln"),
                ToolCall(id="call_2", name="get_weather", arguments="{}"),
            ),
        ),
        Message(
            role="user",
            parts=(
                ToolResult(id="call_1", name="get_weather", parts=(Text(text="14"),)),
                ToolResult(id="call_2", name="get_weather", parts=(Text(text="15"),)),
            ),
        ),
    )
    assert (heard.max_tokens, heard.temperature, heard.top_p, heard.stop, heard.seed) == (300, 0.5, 0.9, ("END",), 7)
    assert (heard.effort, heard.tool, heard.tool_choice, heard.parallel_tools) == ("low", "get_weather", None, False)
    assert heard.tools == (Tool(name="get_weather", description="Weather", parameters=schema, strict=True),)
    assert heard.answer is not None
    assert (heard.answer.name, heard.answer.json_schema, heard.answer.strict) == ("w", schema, True)
    assert heard.extra == {"logit_bias": {"50256": -100}, "metadata": {"job": "7"}, "user": "u1"}
    assert heard.extra_dialect == "openai"
    assert (heard.stream, heard.as_is, heard.caller) == (False, True, Caller())


def test_who_speaks_and_how_closely_to_look_are_passed_on() -> None:
    # https://platform.openai.com/docs/api-reference/chat/create: `name` of messages, `image_url.detail`
    picture = {"url": "https://example.org/a.png", "detail": "low"}
    turns = [
        {"role": "system", "content": "Be brief.", "name": "house"},
        {"role": "user", "content": [{"type": "image_url", "image_url": picture}], "name": "ada"},
        {"role": "assistant", "content": "A cat.", "name": "eve"},
        {"role": "user", "content": "Sure?", "name": None},
    ]
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        assert post(served, messages=turns).status_code == 200
        wrong = post(served, messages=[{"role": "user", "content": "Hi", "name": 7}])
    asked = served.heard[0].messages
    assert [message.name for message in asked] == ["house", "ada", "eve", ""]
    assert asked[1].parts == (Media(url="https://example.org/a.png", detail="low"),)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "messages[0].name")


def test_log_probabilities_are_not_asked_for_and_named_as_left_out() -> None:
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        reply = post(served, logprobs=True, top_logprobs=5)
        none = post(served, logprobs=False, top_logprobs=0)
        wanted = ["message.output_text.logprobs", "reasoning.encrypted_content"]
        response = post(served, "/v1/responses", top_logprobs=3, include=wanted)
    assert reply.headers["x-orchestra-left-out"] == "logprobs, top_logprobs"
    assert "x-orchestra-left-out" not in none.headers
    assert response.headers["x-orchestra-left-out"] == "top_logprobs, include message.output_text.logprobs"
    assert all(not request.extra for request in served.heard)


def test_a_request_that_gives_no_limit_has_none() -> None:
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        post(served)
    assert served.heard[0].max_tokens is None


def test_tools_that_only_a_vendor_can_run_are_left_out_and_named() -> None:
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        reply = post(served, tools=[{"type": "web_search"}, {"type": "function", "function": {"name": "f"}}])
    assert reply.headers["x-orchestra-left-out"] == "tools[0]"
    assert served.heard[0].tools == (Tool(name="f"),)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop": [1]}, "stop"),
        ({"n": 17}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "tools[0].function.name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
    ],
)
def test_a_wrong_field_is_named(more: dict[str, Any], param: str) -> None:
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        reply = post(served, **more)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"] == param
    assert param in error["message"]
    assert not served.heard


@every_dialect
@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_harms_nobody(path: str, stream: bool) -> None:
    text = "\ud83d"
    said = {"input": text} if path == "/v1/responses" else {"messages": [{"role": "user", "content": text}]}
    with Upstream({"ada": Expert(text)}) as upstream, door(upstream) as served:
        reply = post(served, path, stream=stream, **said)
    assert reply.status_code == 200
    assert upstream.calls[0].prompt == "?"  # as the wire sends what is no UTF-8


@every_dialect
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"a":NaN}', b"\xff\xfe", b"[" * 100_000, b'{"model":' + b"9" * 5000 + b"}"],
)
def test_what_is_no_json_object_is_refused(path: str, data: bytes) -> None:
    with door(told()) as served:
        reply = CLIENT.post(served.url + path, content=data)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert float(reply.headers["x-orchestra-added-ms"]) >= 0


@every_dialect
def test_a_body_that_is_too_large_is_refused(path: str) -> None:
    with door(told()) as served:
        announced = CLIENT.post(served.url + path, content=b"x" * (20 * 1024 * 1024 + 1))
    assert announced.status_code == 413
    assert announced.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("path", [*PATHS, "/v1/embeddings", "/v1/audio/transcriptions", "/v1/messages/count_tokens"])
def test_other_methods_and_addresses_are_told_in_json(path: str) -> None:
    with door(told()) as served:
        wrong = CLIENT.get(served.url + path)
        nowhere = CLIENT.get(served.url + "/v1/nowhere")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert "error" in wrong.json()
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")


# ----------------------------------------------------------------------------------------- what comes back


def test_a_plain_reply_has_every_part() -> None:
    usage = Usage(input_tokens=70, cache_read_tokens=20, cache_write_tokens=10, output_tokens=30, reasoning_tokens=12)
    events: list[ChatEvent] = [
        ReasoningDelta(text="Hm"),
        ReasoningDelta(text="m."),
        TextDelta(text="Let me "),
        TextDelta(text="look."),
        ToolDelta(index=3, id="call_a", name="f", arguments='{"x":'),
        ToolDelta(index=5, id="call_b", name="g", arguments="{}", signature="c2ln"),
        ToolDelta(index=3, arguments="1}"),
        Finish(reason="tool", usage=usage.model_copy(update={"cost_usd": Decimal("0.0012")}), model="ada-2026"),
    ]
    with door(told(*events)) as served:
        found = post(served).json()
    assert found["object"] == "chat.completion"
    assert found["model"] == "ada-2026"
    assert found["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "refusal": None,
                "reasoning_content": "Hmm.",
                "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {
                        "id": "call_b",
                        "type": "function",
                        "function": {"name": "g", "arguments": "{}"},
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    },
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert found["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 42,
        "total_tokens": 142,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 10, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 0},
        "cost_usd": 0.0012,
    }


def test_a_stream_has_the_same_parts_in_chunks() -> None:
    usage = Usage(input_tokens=3, output_tokens=2, unpriced=1)
    events: list[ChatEvent] = [
        ReasoningDelta(text="Hm."),
        TextDelta(text='a"\n\u2028'),
        ToolDelta(index=4, id="call_a", name="f"),
        ToolDelta(index=4, arguments='{"x":1}'),
        ToolDelta(index=9, id="call_b", name="g", arguments="{}"),
        Finish(reason="stop", usage=usage),
    ]
    with door(told(*events, model_id="ada-2026")) as served:
        reply = post(served, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    rows = chunks(reply.text)
    assert rows.pop() == "[DONE]"
    last = rows.pop()
    assert (last["choices"], last["usage"]["total_tokens"], last["usage"]["cost_usd"]) == ([], 5, None)
    assert {(row["id"], row["object"], row["model"], row["usage"]) for row in rows} == {
        (last["id"], "chat.completion.chunk", "ada-2026", None)
    }
    assert [row["choices"][0]["delta"] for row in rows] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm."},
        {"content": 'a"\n\u2028'},
        {"tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}, "index": 0}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]},
        {
            "tool_calls": [
                {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": "{}"}, "index": 1}
            ]
        },
        {},
    ]
    assert [row["choices"][0]["finish_reason"] for row in rows] == [None] * 6 + ["tool_calls"]


@pytest.mark.parametrize(
    ("reason", "word"), [("stop", "stop"), ("length", "length"), ("filter", "content_filter"), ("unknown", "stop")]
)
def test_why_it_ended_is_told(reason: Any, word: str) -> None:
    with door(told(TextDelta(text="x"), Finish(reason=reason))) as served:
        assert post(served).json()["choices"][0]["finish_reason"] == word
        assert chunks(post(served, stream=True).text)[-2]["choices"][0]["finish_reason"] == word


def test_several_replies_are_asked_for_at_the_same_time() -> None:
    gate = threading.Event()
    says = iter(("one", "two", "three"))
    with (
        Upstream({"ada": Expert(lambda _prompt, _number: next(says, "four"), gate=gate)}) as upstream,
        door(upstream) as served,
    ):
        found: list[httpx2.Response] = []
        asking = threading.Thread(target=lambda: found.append(post(served, n=3)))
        asking.start()
        upstream.wait_for_calls_sync(3)  # none has been answered yet
        gate.set()
        asking.join(10)
        streamed = chunks(post(served, n=2, stream=True, stream_options={"include_usage": True}).text)
    rows = found[0].json()
    assert [choice["index"] for choice in rows["choices"]] == [0, 1, 2]
    assert sorted(choice["message"]["content"] for choice in rows["choices"]) == ["one", "three", "two"]
    assert rows["usage"]["prompt_tokens"] == 300
    assert sorted(request.sample for request in served.heard[:3]) == [0, 1, 2]
    texts = dict.fromkeys((0, 1), "")
    for row in streamed[:-2]:
        texts[row["choices"][0]["index"]] += row["choices"][0]["delta"].get("content", "")
    assert list(texts.values()) == ["four", "four"]
    assert streamed[-2]["usage"]["prompt_tokens"] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_one_failed_reply_of_several_is_the_failure_of_all(stream: bool) -> None:
    ended: list[int] = []

    async def script(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        if request.sample == 1:
            raise Refused("not accepted", "request")
        try:
            await anyio.sleep_forever()
            yield Finish(reason="stop")
        finally:
            ended.append(request.sample)

    with door(Told(script)) as served:
        assert post(served, n=3, stream=stream).status_code == 400
    assert sorted(ended) == [0, 2]


# ----------------------------------------------------------------------------------------------- headers


def test_every_reply_tells_of_its_way() -> None:
    way = {"provider": "local", "model": "ada", "route": "code", "attempts": 2, "cache": "miss"}
    cost = {"cost_usd": Decimal("0.00010"), "unpriced": True}
    with door(told(TextDelta(text="x"), Finish(reason="stop"), **way, **cost)) as served:
        plain, stream = post(served), post(served, stream=True)
    for reply in (plain, stream):
        assert {name: reply.headers[f"x-orchestra-{name}"] for name in way} == {k: str(v) for k, v in way.items()}
        assert reply.headers["x-orchestra-price"] == "unknown"
        assert float(reply.headers["x-orchestra-added-ms"]) >= 0
    assert plain.headers["x-orchestra-cost-usd"] == "0.0001"
    assert "x-orchestra-cost-usd" not in stream.headers
    with door(told(Unavailable("All of them failed."), **way)) as served:
        failed = post(served)
    assert failed.headers["x-orchestra-attempts"] == "2"
    assert failed.headers["x-orchestra-cost-usd"] == "0"


def test_what_a_header_cannot_hold_is_not_put_into_one() -> None:
    with door(told(TextDelta(text="x"), Finish(reason="stop"), provider="a\r\nset-cookie: x=1\u2603")) as served:
        reply = post(served)
    assert reply.headers["x-orchestra-provider"] == "a??set-cookie: x=1?"
    assert "set-cookie" not in reply.headers


@every_dialect
@pytest.mark.parametrize("stream", [False, True])
def test_an_offer_stands_in_a_header_and_in_the_body(path: str, stream: bool) -> None:
    offer = {"id": "o7", "question": "Why so?", "text": "Because.", "similarity": 0.9, "age_s": 5}
    with door(told(TextDelta(text="x"), Finish(reason="stop"), offer=offer, cache="offered")) as served:
        reply = post(served, path, stream=stream)
    assert (reply.headers["x-orchestra-offer-id"], reply.headers["x-orchestra-cache"]) == ("o7", "offered")
    if stream:
        held = [row for row in chunks(reply.text) if row != "[DONE]"]
        rows = [row.get("response", row) for row in held]
    else:
        rows = [reply.json()]
    assert [row["orchestra"]["offer"] for row in rows if "orchestra" in row] == [offer]


@pytest.mark.parametrize(
    ("control", "ours", "expected"),
    [
        ("no-store", "", CacheTerms(read=False, write=False, similar=False)),
        ("no-cache", "", CacheTerms(read=False, similar=False)),
        ("max-age=60", "", CacheTerms(max_age_s=60)),
        ("max-age=x, private", "", CacheTerms()),
        ("", "off", CacheTerms(read=False, write=False, similar=False)),
        ("", "prefer-similar", CacheTerms(prefer_similar=True)),
        ("max-age=5", "ttl=30, prefer-similar", CacheTerms(prefer_similar=True, ttl_s=30, max_age_s=5)),
        ("", "exact", CacheTerms(similar=False)),
    ],
)
def test_what_the_caches_may_do_is_read_from_headers(control: str, ours: str, expected: CacheTerms) -> None:
    assert terms(control, ours) == expected
    with door(told(TextDelta(text="x"), Finish(reason="stop"))) as served:
        given = {"cache-control": control} if control else {}
        given |= {"x-orchestra-cache": ours} if ours else {}
        CLIENT.post(served.v1 + "/chat/completions", json=body(PATHS[0]), headers=given)
    assert served.heard[0].cache == expected


# ------------------------------------------------------------------------------------------------ failures

FAILURES: list[tuple[OrchestraError, int, str]] = [
    (Refused("declined", "policy"), 400, "content_policy"),
    (Refused("not accepted", "request"), 400, "invalid_request"),
    (BudgetExceeded("too dear"), 402, "budget_exceeded"),
    (ConsentNeeded("not yet"), 403, "not_allowed"),
    (Refused("gone", "model"), 404, "model_not_found"),
    (RateLimited("slowly", 2.5), 429, "rate_limit_exceeded"),
    (SettingsError("mend it"), 500, "settings"),
    (Refused("bad key", "auth"), 502, "provider_auth"),
    (BadReply("nonsense"), 502, "bad_reply"),
    (Refused("too long", "window"), 400, "context_length_exceeded"),
    (Resting("it rests", 2.5), 503, "provider_unavailable"),
    (Resting("it rests after a limit", 2.5, limited=True), 429, "rate_limit_exceeded"),
    (Unavailable("down"), 503, "provider_unavailable"),
    (Unavailable("slow", "timeout"), 504, "timeout"),
]


@pytest.mark.parametrize(("error", "status", "code"), FAILURES)
@every_dialect
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_the_first_word_is_an_http_error(
    path: str, stream: bool, error: OrchestraError, status: int, code: str
) -> None:
    with door(told(ReasoningDelta(), error)) as served:
        reply = post(served, path, stream=stream)
    assert reply.status_code == status
    told_of = reply.json()["error"]
    assert (told_of["code"], told_of["message"]) == (code, str(error))
    assert reply.headers.get("retry-after") == ("3" if isinstance(error, RateLimited | Resting) else None)
    assert reply.headers.get("x-should-retry") == ("false" if code in ("settings", "provider_auth") else None)


@every_dialect
def test_a_spent_budget_tells_when_its_window_ends(path: str) -> None:
    budget = Budget(per="key", name="k", usd=Decimal(1), window="hour")
    spent = WindowSpent("It is spent.", budget, datetime.now(UTC) + timedelta(seconds=600))
    with door(told(spent)) as served:
        reply = post(served, path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (402, "budget_exceeded")
    assert 500 < int(reply.headers["retry-after"]) <= 600


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unavailable("local failed with status 529: Overloaded.", "server"), "overloaded_error"),
        (Unavailable("local failed with status 503.", "server"), "overloaded_error"),
        (Resting("it rests", 2.5), "overloaded_error"),
        (Unavailable("local failed with status 500.", "server"), "api_error"),
        (Unavailable("local broke the connection (status 503 had come).", "network"), "api_error"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_anthropics_clients_hear_of_an_overload_only_where_there_is_one(
    error: OrchestraError, kind: str, begun: bool
) -> None:
    with door(told(*([TextDelta(text="It")] if begun else []), error)) as served:
        reply = post(served, "/v1/messages", stream=begun)
    said = chunks(reply.text)[-1] if begun else reply.json()
    assert said["error"]["type"] == kind


@every_dialect
def test_what_fails_after_the_first_word_is_an_event(path: str) -> None:
    with door(told(TextDelta(text="It waits"), Unavailable("broke off"))) as served:
        reply = post(served, path, stream=True)
    assert reply.status_code == 200
    rows = chunks(reply.text)
    assert "[DONE]" not in rows
    last = rows[-1].get("error") or rows[-1]
    assert (last["code"], last["message"]) == ("provider_unavailable", "broke off")


@every_dialect
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_that_nobody_foresaw_tells_nothing(path: str, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    with door(told(ZeroDivisionError("secret-7 at /home/ada"))) as served:
        reply = post(served, path, stream=stream)
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "/home" not in reply.text
    assert "nobody foresaw" in caplog.text


@every_dialect
def test_a_stream_that_ends_without_an_end_is_an_error(path: str) -> None:
    with door(told(TextDelta(text="It waits"))) as served:
        assert post(served, path).status_code == 502
        assert '"bad_reply"' in post(served, path, stream=True).text


@every_dialect
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_takes_too_long_is_given_up(path: str, stream: bool) -> None:
    with Upstream({"ada": Expert("x", fault="hang")}) as upstream:
        with door(upstream, deadline_s=0.15) as served:
            reply = post(served, path, stream=stream)
        assert reply.status_code == 504
        upstream.wait_until_sync(lambda: upstream.calls[0].aborted)


@every_dialect
def test_a_stream_that_stalls_is_given_up_with_an_event(path: str) -> None:
    with Upstream({"ada": Expert("word " * 50, fault="stall")}) as upstream:
        with door(upstream, deadline_s=0.3) as served:
            reply = post(served, path, stream=True)
        assert reply.status_code == 200
        assert '"timeout"' in reply.text
        upstream.wait_until_sync(lambda: upstream.calls[0].aborted)


@every_dialect
@pytest.mark.parametrize(("fault", "stream"), [("hang", False), ("hang", True), ("stall", True)])
async def test_a_client_that_hangs_up_cancels_the_call(path: str, fault: str, stream: bool) -> None:
    with Upstream({"ada": Expert("word " * 50, fault=fault)}) as upstream, door(upstream) as served:
        async with httpx2.AsyncClient(timeout=20) as client, anyio.create_task_group() as group:

            async def ask() -> None:
                asked = client.stream("POST", served.url + path, json=body(path, stream=stream))
                async with asked as reply:
                    async for _ in reply.aiter_bytes():
                        pass

            group.start_soon(ask)
            await upstream.wait_for_calls(1)
            group.cancel_scope.cancel()
        await upstream.wait_until(lambda: upstream.calls[0].aborted)
        await upstream.wait_until(lambda: served.records)
    assert [record.error for record in served.records] == ["cancelled"]


@every_dialect
def test_a_silent_stream_says_that_it_is_still_there(path: str) -> None:
    beat = "event: ping" if path == "/v1/messages" else ": keep-alive"
    with (
        Upstream({"ada": Expert("word " * 50, fault="stall")}) as upstream,
        door(upstream, heartbeat_s=0.05) as served,
        CLIENT.stream("POST", served.url + path, json=body(path, stream=True)) as reply,
    ):
        seen = ""
        for piece in reply.iter_text():
            seen += piece
            if seen.count(beat) >= 3:
                break
    assert seen.count(beat) >= 3


def test_the_head_of_a_stream_waits_for_its_first_word() -> None:
    gate = threading.Event()

    async def script(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        yield ReasoningDelta()  # a sign of life is no word yet
        while not gate.is_set():  # noqa: ASYNC110 - set from another thread
            await anyio.sleep(0.005)
        raise RateLimited("slowly")

    with door(Told(script)) as served:
        threading.Timer(0.1, gate.set).start()
        assert post(served, stream=True).status_code == 429


async def test_what_comes_together_leaves_together() -> None:
    outbox = Outbox()
    for piece in (b"a", b"b", b"c"):
        outbox.put(piece)
    await outbox.ready()
    assert outbox.take() == b"abc"
    assert outbox.take() == b""


async def test_writers_wait_for_a_slow_client() -> None:
    outbox = Outbox()
    written = 0

    async def write() -> None:
        nonlocal written
        for _ in range(8):
            outbox.put(b"x" * (Outbox.MOST // 2))
            written += 1
            await outbox.room()

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        assert written == 3  # a half, the whole, and one above it
        while written < 8:
            outbox.take()
            await anyio.wait_all_tasks_blocked()


@every_dialect
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_nested_too_deeply_is_the_callers_fault(path: str, stream: bool) -> None:
    text = json.dumps(body(path, stream=stream))
    for depth in (100, 300, 600, 900, 5_000):
        with Upstream({"ada": Expert("x")}) as upstream, door(upstream) as served:
            deep = text[:-1] + ',"metadata":' + '{"a":' * depth + "1" + "}" * depth + "}"
            assert CLIENT.post(served.url + path, content=deep).status_code in (200, 400)


def test_the_guards_word_says_who_calls() -> None:
    caller = Caller(key="k1", workspace="w")
    assert Desk.caller({"type": "http", "state": {"caller": caller}}) == caller
    assert Desk.caller({"type": "http"}) == Caller()
    assert Desk.caller({"type": "http", "state": {"caller": "k1"}}) == Caller()


@every_dialect
def test_the_council_is_a_model(path: str) -> None:
    council = told(ReasoningDelta(text="Ada answered."), TextDelta(text="Forty-two."), Finish(reason="stop"))
    with door(told(Unavailable("not this one")), council=council.chat) as served:
        plain = post(served, path, model="orchestra/council", metadata={"project_dir": "x"})
        stream = post(served, path, model="orchestra/debate", stream=True)
    assert (plain.status_code, stream.status_code) == (200, 200)
    assert "Forty-two." in plain.text
    assert "Ada answered." in stream.text
    with door(told()) as served:
        assert post(served, path, model="orchestra/council").status_code == 404


def test_a_dead_key_of_ours_is_no_fault_of_the_callers() -> None:
    with Upstream({"ada": Expert(fault="401")}) as upstream, door(upstream) as served:
        reply = post(served)
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "provider_auth"
    assert "Zk38fhQ0" not in reply.text
