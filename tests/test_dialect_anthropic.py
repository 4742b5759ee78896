"""Anthropic's dialect against its documentation and the types of its own SDK, without any network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import loopback
from pydantic import TypeAdapter

from orchestra_mcp.errors import ProviderError, Refused
from orchestra_mcp.gateway.dialects import anthropic
from orchestra_mcp.gateway.dialects.decoding import Careful
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent, SseParser
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL, nearest
from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    ChatEvent,
    ChatRequest,
    Finish,
    Media,
    Message,
    ReasoningDelta,
    Spent,
    Text,
    TextDelta,
    Thought,
    Tool,
    ToolCall,
    ToolDelta,
    ToolResult,
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import Usage

SOURCE = Source("m at p", "SOME_KEY")
SPEC = ModelSpec(base_url="https://api.anthropic.com", model="claude-opus-5-5", wire="anthropic")
PNG = base64.b64encode(b"\x89PNG").decode()

# https://platform.claude.com/docs/en/build-with-claude/streaming, "Streaming request with tool use" (text shortened)
TOOL_STREAM = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant","model":"claude-opus-4-8","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},"content":[],"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"location\\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \\"San Francisco, CA\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"""


def decode(stream: str) -> tuple[list[ChatEvent], Finish | None]:
    decoder = anthropic.DIALECT.decoder(SOURCE)
    parser = SseParser()
    events = [e for s in (*parser.feed(stream.encode()), *parser.end()) for e in decoder.feed(s)]
    return events, decoder.finish()


def events_of(*bodies: Any) -> tuple[list[ChatEvent], Finish | None]:
    return decode("".join(f"data: {json.dumps(body)}\n\n" for body in bodies))


def wire(request: ChatRequest, quirks: Quirks | None = None, spec: ModelSpec = SPEC, without: str = "") -> Any:
    left_out = frozenset({without} if without else ())
    return anthropic.DIALECT.to_wire(request, spec, quirks or Quirks(), left_out)


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message(role="user", text="Hi"),), **more)


# ---------------------------------------------------------------------------------------------------- replies


def test_the_documented_tool_stream_gives_text_a_whole_call_and_the_reason() -> None:
    events, finish = decode(TOOL_STREAM)
    calls = [e for e in events if isinstance(e, ToolDelta)]
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["Okay"]
    assert {c.index for c in calls} == {0}  # counted from 0, though it is the second block
    assert (calls[0].id, calls[0].name) == ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather")
    assert json.loads("".join(c.arguments for c in calls)) == {"location": "San Francisco, CA"}
    assert finish == Finish(reason="tool", usage=Usage(input_tokens=472, output_tokens=89), model="claude-opus-4-8")


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    events, _ = events_of(
        {"type": "content_block_start", "index": 3, "content_block": block},
        {"type": "content_block_stop", "index": 3},
    )
    assert "".join(e.arguments for e in events if isinstance(e, ToolDelta)) == "{}"


def test_thinking_comes_with_its_signature_and_hidden_thinking_in_one_piece() -> None:
    # The events of "Streaming request with extended thinking", and the redacted block of the extended thinking guide.
    events, _ = events_of(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "First"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB..."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "EmwK"}},
    )
    assert events == [
        ReasoningDelta(),
        ReasoningDelta(text="First"),
        ReasoningDelta(signature="EqQB..."),
        ReasoningDelta(hidden="EmwK"),
    ]


def test_a_whole_message_with_thinking_and_a_call_means_the_same_as_a_stream() -> None:
    decoder = anthropic.DIALECT.decoder(SOURCE)
    events = list(
        decoder.whole(
            {
                "type": "message",
                "model": "claude-opus-5-5",
                "content": [
                    {"type": "thinking", "thinking": "Hmm", "signature": "WaUj"},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "Paris"}},
                ],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 10, "output_tokens": 20},
            }
        )
    )
    assert events == [
        ReasoningDelta(text="Hmm", signature="WaUj"),
        TextDelta(text="Looking."),
        ToolDelta(index=0, id="toolu_1", name="get_weather", arguments='{"location": "Paris"}'),
    ]
    assert decoder.finish() == Finish(
        reason="tool", usage=Usage(input_tokens=10, output_tokens=20), model="claude-opus-5-5"
    )


def test_usage_takes_thinking_off_the_output_and_adds_up_both_kinds_of_cache_writes() -> None:
    # "Always ≤ output_tokens; output_tokens - thinking_tokens approximates the non-reasoning output." and the
    # example of "Tracking cache performance": 1-hour and 5-minute writes are parts of cache_creation.
    usage = {
        "input_tokens": 2048,
        "cache_read_input_tokens": 1800,
        "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 503,
        "output_tokens_details": {"thinking_tokens": 403},
    }
    events, _ = events_of({"type": "message_start", "message": {"model": "m", "usage": usage}})
    assert events == [
        Spent(
            usage=Usage(
                input_tokens=2048,
                cache_read_tokens=1800,
                cache_write_tokens=556,
                output_tokens=100,
                reasoning_tokens=403,
            )
        )
    ]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "filter"),
     ("model_context_window_exceeded", "length"), ("pause_turn", "unknown")],
)  # fmt: skip
def test_stop_reasons_have_their_meaning_and_the_sequence_is_told(reason: str, expected: str) -> None:
    _, finish = events_of({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": "END"}})
    assert finish is not None
    assert (finish.reason, finish.stopped_by) == (expected, "END")


def test_work_of_the_vendors_own_tools_is_no_call_of_ours() -> None:
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    events, _ = events_of(
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 0},
    )
    assert events == []


def test_arguments_of_the_answer_tool_are_the_text_of_the_reply() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": ANSWER_TOOL, "input": {}}
    events, finish = events_of(
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    )
    assert events == [TextDelta(text='{"a": 1}')]
    assert finish is not None
    assert finish.reason == "stop"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "index", "delta", "content_block", "message", "usage", "text", "input", "content",
                         "partial_json", "stop_reason", "output_tokens", "cache_creation", "thinking"]), inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error"]


@given(kind=st.sampled_from(KINDS), body=st.dictionaries(st.sampled_from(["index", "delta", "content_block", "message",
       "usage", "error", "content"]), ODD, max_size=4))  # fmt: skip
def test_no_event_however_odd_raises_anything_but_an_error_of_the_provider(kind: str, body: dict[str, Any]) -> None:
    for whole in (False, True):
        decoder = Careful(anthropic.DIALECT.decoder(SOURCE), SOURCE)
        with suppress(ProviderError):
            event = ServerEvent(kind, json.dumps({"type": kind, **body}))
            list(decoder.whole({"type": "message", **body}) if whole else decoder.feed(event))
        decoder.finish()


# --------------------------------------------------------------------------------------------------- requests

CONVERSATION = (
    Message(role="system", text="Be brief."),
    Message(
        role="user",
        parts=(
            Text(text="Long document", cache=True),
            Media(media_type="image/png", data=PNG),
            Media(url="https://example.org/cat.jpg"),
            Media(media_type="application/pdf", data="JVBERi0=", name="plan.pdf"),
            Media(media_type="text/markdown", data=base64.b64encode("# Größe".encode()).decode(), name="a.md"),
        ),
    ),
    Message(
        role="assistant",
        text="Let me see.",
        parts=(
            Thought(text="They ask for weather.", signature="EqQB"),
            Thought(hidden="EmwK"),
            Thought(hidden="of-openai", id="rs_1"),
            ToolCall(id="toolu_1", name="get_weather", arguments='{"location": "Paris"}'),
            ToolCall(id="toolu_2", name="get_weather", arguments="not json"),
        ),
    ),
    Message(role="user", parts=(ToolResult(id="toolu_1", parts=(Text(text="15 degrees"),)),)),
    Message(
        role="user",
        text="And now?",
        parts=(
            ToolResult(id="toolu_2", parts=(Text(text="broken"), Media(media_type="image/png", data=PNG)), error=True),
        ),
    ),
)
WEATHER = Tool(
    name="get_weather",
    description="Get the current weather",
    parameters={"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
)


def test_a_conversation_with_all_kinds_of_parts_has_the_documented_form() -> None:
    body = wire(ask(*CONVERSATION, tools=(WEATHER,)))
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Long document", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/cat.jpg"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "plan.pdf",
                },
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "# Größe"},
                    "title": "a.md",
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                # "Thinking blocks must be passed back unmodified", before what followed them
                {"type": "thinking", "thinking": "They ask for weather.", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "Paris"}},
                {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"arguments": "not json"}},
            ],
        },
        {
            "role": "user",
            "content": [
                # "tool_result blocks must come first in the content array"
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "15 degrees"}],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [
                        {"type": "text", "text": "broken"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                    "is_error": True,
                },
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "Get the current weather",
            "input_schema": WEATHER.parameters,
        }
    ]


@pytest.mark.parametrize(
    ("more", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool": "get_weather"}, {"type": "tool", "name": "get_weather"}),
        ({"parallel_tools": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "required", "parallel_tools": False}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tool_choice": "none", "parallel_tools": False}, {"type": "none"}),
        ({}, None),
    ],
)
def test_every_choice_of_tools_has_its_form(more: dict[str, Any], choice: Any) -> None:
    assert wire(ask(tools=(WEATHER,), **more)).get("tool_choice") == choice


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in wire(ask(tool_choice="auto"))


def test_thinking_with_a_number_stays_below_the_limit_of_the_caller() -> None:
    # "Must be ≥1024 and less than max_tokens"; with thinking no temperature, and no forced tool.
    quirks = Quirks(effort="thinking")
    much = wire(ask(effort="high", max_tokens=64_000, temperature=0.2, top_p=0.9), quirks)
    assert much["thinking"] == {"type": "enabled", "budget_tokens": 24_000}
    assert much["max_tokens"] == 64_000
    assert not {"temperature", "top_p"} & set(much)
    for limit in (1025, 2048, 4096, 30_000):
        little = wire(ask(effort="xhigh", max_tokens=limit), quirks)
        assert 1024 <= little["thinking"]["budget_tokens"] < little["max_tokens"] == limit
    assert "thinking" not in wire(ask(effort="high", max_tokens=1024), quirks)
    assert wire(ask(effort="none"), quirks)["thinking"] == {"type": "disabled"}
    assert "thinking" not in wire(ask(effort="high", max_tokens=9000, tools=(WEATHER,), tool="get_weather"), quirks)
    assert "thinking" not in wire(ask(effort="high"), Quirks())


def test_thinking_with_a_number_is_left_out_after_calls_that_another_model_made() -> None:
    made = Message(role="assistant", parts=(ToolCall(id="call_1", name="get_weather"),))
    result = Message(role="user", parts=(ToolResult(id="call_1", parts=(Text(text="ok"),)),))
    hello = Message(role="user", text="Hi")
    quirks = Quirks(effort="thinking")
    assert "thinking" not in wire(ask(hello, made, result, effort="high", max_tokens=9000), quirks)
    signed = made.model_copy(update={"parts": (Thought(text="Hm", signature="EqQB"), *made.parts)})
    assert "thinking" in wire(ask(hello, signed, result, effort="high", max_tokens=9000), quirks)


def test_adaptive_thinking_is_told_an_effort_that_the_model_knows() -> None:
    body = wire(ask(effort="medium"), Quirks(effort="adaptive"))
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "medium"}
    known = Quirks(effort="adaptive", efforts=("low", "high", "max"))
    assert wire(ask(effort="xhigh"), known)["output_config"] == {"effort": "high"}
    assert wire(ask(effort="minimal"), known)["output_config"] == {"effort": "low"}
    assert wire(ask(effort="none"), Quirks(effort="adaptive"))["thinking"] == {"type": "disabled"}
    assert "thinking" not in wire(ask(effort="none"), known)  # not told to think, where it cannot be told not to
    forced = wire(ask(effort="low", tools=(WEATHER,), tool_choice="required"), Quirks(effort="adaptive"))
    assert "thinking" not in forced
    assert forced["output_config"] == {"effort": "low"}
    alone = wire(ask(effort="none"), Quirks(effort="reasoning_effort"))
    assert alone["output_config"] == {"effort": "low"}
    assert "thinking" not in alone


def test_the_nearest_effort_never_turns_some_thinking_into_none() -> None:
    assert nearest("minimal", ("none", "medium"), ()) == "medium"
    assert nearest("none", ("low", "high"), ()) == "low"
    assert nearest("xhigh", (), ("low", "high")) == "high"


SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 10, "description": "How good"}},
    "required": ["score"],
}


def test_an_answer_of_a_schema_is_asked_for_as_the_model_can() -> None:
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs: `output_config.format`; bounds of
    # numbers are not supported, `additionalProperties` must be false.
    request = ask(answer=AnswerSchema(json_schema=SCHEMA))
    asked = wire(request)["output_config"]["format"]
    assert asked["type"] == "json_schema"
    assert asked["schema"]["additionalProperties"] is False
    assert asked["schema"]["properties"]["score"] == {
        "type": "integer",
        "description": "How good (minimum: 1, maximum: 10)",
    }
    assert SCHEMA["properties"]["score"]["minimum"] == 1  # type: ignore[index]
    tool = wire(request, Quirks(schema_output="tool"))
    assert tool["tool_choice"] == {"type": "tool", "name": tool["tools"][0]["name"]}
    assert tool["tools"][0]["input_schema"] == SCHEMA
    told = wire(request, Quirks(schema_output="json_object"))
    assert '"score"' in told["system"]
    # A server that does not know the parameter is told in words.
    assert '"score"' in wire(request, without="output_config")["system"]


def test_a_model_that_takes_no_temperature_gets_none_of_its_kin_either() -> None:
    request = ask(
        temperature=0.5, top_p=0.5, extra={"top_k": 5, "metadata": {"user_id": "u"}}, extra_dialect="anthropic"
    )
    body = wire(request, Quirks(temperature=False))
    assert not {"temperature", "top_p", "top_k"} & set(body)
    assert body["metadata"] == {"user_id": "u"}
    assert {"temperature", "top_p", "top_k"} <= set(wire(request))
    assert "metadata" not in wire(request.model_copy(update={"extra_dialect": "openai"}))


def test_only_the_last_four_cache_marks_are_sent() -> None:
    # The prompt caching guide: at most 4 breakpoints can be defined.
    marked = tuple(Text(text=str(n), cache=True) for n in range(5))
    body = wire(ask(Message(role="system", parts=(Text(text="S", cache=True),)), Message(role="user", parts=marked)))
    blocks = [*body["system"], *body["messages"][0]["content"]]
    assert [b["text"] for b in blocks if "cache_control" in b] == ["1", "2", "3", "4"]


def test_stop_sequences_of_blanks_are_left_out() -> None:
    assert wire(ask(stop=("END", "\n")))["stop_sequences"] == ["END"]


def test_words_to_go_on_from_end_without_a_blank() -> None:
    # "final assistant content cannot end with trailing whitespace"
    begun = wire(ask(Message(role="user", text="Hi"), Message(role="assistant", text="The answer is ")))
    assert begun["messages"][-1] == {"role": "assistant", "content": "The answer is"}


def test_quirks_add_and_take_away() -> None:
    body = wire(ask(temperature=0.1), Quirks(static={"service_tier": "auto"}, omit=("temperature",)))
    assert body["service_tier"] == "auto"
    assert "temperature" not in body


def test_media_that_cannot_be_taken_are_refused_with_their_type() -> None:
    sound = Message(role="user", parts=(Media(media_type="audio/wav", data="UklGRg=="),))
    with pytest.raises(Refused, match="audio/wav"):
        wire(ask(sound))
    image = Message(role="user", parts=(Media(media_type="image/png", data=PNG),))
    with pytest.raises(Refused, match="image/png"):
        wire(ask(image), Quirks(images=False))


def test_claude_at_vertex_has_the_model_in_the_address_and_the_version_in_the_body() -> None:
    # https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
    spec = ModelSpec(
        model="claude-opus-4-5@20251101",
        wire="anthropic",
        auth="google",
        options={"project": "my-project", "location": "us-east5"},
    )
    root = "https://us-east5-aiplatform.googleapis.com/v1/projects/my-project/locations/us-east5"
    address = anthropic.DIALECT.url(ask(), spec, Quirks(), frozenset())
    assert address == f"{root}/publishers/anthropic/models/claude-opus-4-5@20251101:streamRawPredict"
    assert anthropic.DIALECT.url(ask(stream=False), spec, Quirks(), frozenset()).endswith(":rawPredict")
    body = wire(ask(), spec=spec)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body
    everywhere = spec.model_copy(update={"options": {"project": "p", "location": "global"}})
    assert anthropic.DIALECT.url(ask(), everywhere, Quirks(), frozenset()).startswith(
        "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/anthropic/"
    )


async def test_the_vendors_own_client_posts_to_the_same_place_at_vertex() -> None:
    vertex = pytest.importorskip("anthropic.lib.vertex")
    reply: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": [],
             "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    answer = (200, {"content-type": "application/json"}, json.dumps(reply).encode())
    async with loopback(lambda _request: answer) as server:
        options = {"project": "my-project", "location": "us-east5"}
        spec = ModelSpec(model="claude-opus-4-5@20251101", wire="anthropic", base_url=server.url, options=options)
        async with vertex.AsyncAnthropicVertex(
            region="us-east5", project_id="my-project", base_url=f"{server.url}/v1", access_token="t", max_retries=0
        ) as client:
            await client.messages.create(model=spec.model, max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    (request,) = server.requests
    ours = anthropic.DIALECT.url(ask(stream=False), spec, Quirks(), frozenset())
    assert ours == server.url + request.path.replace("%40", "@")
    assert set(request.json()) == set(wire(ask(max_tokens=9, stream=False), spec=spec))


@cache
def sdk() -> TypeAdapter[Any]:
    params = pytest.importorskip("anthropic.types.message_create_params")
    return TypeAdapter(params.MessageCreateParamsStreaming)


def drain(value: Any) -> None:
    """Look at everything: what is declared as an iterable is checked only while it is gone through."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            drain(item)


EFFORTS = st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"])


@settings(deadline=None, max_examples=60)
@given(
    effort=EFFORTS,
    way=st.sampled_from(["", "thinking", "adaptive"]),
    choice=st.none() | st.sampled_from(["auto", "none", "required"]),
    answer=st.booleans(),
    schema=st.sampled_from(["json_schema", "json_object", "tool", ""]),
    limit=st.none() | st.integers(1, 100_000),
    temperature=st.none() | st.floats(0, 2),
)
def test_every_request_is_one_that_the_vendors_own_sdk_would_send(
    effort: Any, way: Any, choice: Any, answer: bool, schema: Any, limit: int | None, temperature: float | None
) -> None:
    params = pytest.importorskip("anthropic.types.message_create_params")
    request = ask(
        *CONVERSATION,
        tools=(WEATHER,),
        effort=effort,
        tool_choice=choice,
        answer=AnswerSchema(json_schema=SCHEMA) if answer else None,
        max_tokens=limit,
        temperature=temperature,
    )
    body = wire(request, Quirks(effort=way, schema_output=schema, temperature=False))
    drain(sdk().validate_python(body))
    streaming, base = params.MessageCreateParamsStreaming, params.MessageCreateParamsBase
    assert set(body) <= {*streaming.__annotations__, *base.__annotations__}
    assert "null" not in json.dumps(body)
