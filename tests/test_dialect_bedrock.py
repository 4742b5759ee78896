"""Bedrock's dialect and Amazon's event stream against AWS's own service model, test vectors and SDK."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from functools import cache
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import loopback

from orchestra_mcp.errors import BadReply, ProviderError, RateLimited, Refused, Unavailable
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.dialects import bedrock
from orchestra_mcp.gateway.dialects.awsstream import FAILED, AwsEventParser, headers_of
from orchestra_mcp.gateway.dialects.bedrock_events import usage_of
from orchestra_mcp.gateway.dialects.decoding import Careful
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.provider import (
    AnswerSchema,
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
    fold,
)
from orchestra_mcp.gateway.signing import signer
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import Usage

SOURCE = Source("m at p", "SOME_KEY")
SPEC = ModelSpec(model="anthropic.claude-fable-5-2-v1:0", wire="bedrock", options={"region": "eu-central-1"})
PNG = base64.b64encode(b"\x89PNG").decode()


# ------------------------------------------------------------------------------------------- the event stream

# Test vectors of AWS's event stream implementations, as botocore's tests publish them (tests/unit/test_eventstream.py)
EMPTY = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"
PAYLOAD = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96"
ONE_HEADER = (
    b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10"
    b"application/json{'foo':'bar'}\x8d\x9c\x08\xb1"
)
ALL_HEADERS = (
    b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c"
    b"\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03"
    b"\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05"
    b"\x016\x06\x00\x05bytes\x017\x07\x00\x04utf8"
    b"\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef"
    b"\x63\x35\x36\x71"
)
ERROR = (
    b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e"
    b"\x0d:message-type\x07\x00\x05error"
    b"\x0b:error-code\x07\x00\x04code"
    b"\x0e:error-message\x07\x00\x07message"
    b"\x6b\x6c\xea\x3d"
)
BROKEN = {
    "header length": b"\x00\x00\x00=\xff\x00\x01\x02\x07\xfd\x83\x96" + ONE_HEADER[12:],
    "headers": ONE_HEADER.replace(b"content-type", b"content+type"),
    "length": b"\x01" + PAYLOAD[1:],
    "payload": b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'\x8d\xc3e96",
    "header twice": b"\x00\x00\x00\x24\x00\x00\x00\x14\x4b\xb9\x82\xd0\x04test\x04asdf\x04test\x04asdf\xf3\xf4\x75\x63",
}


def framed(headers: dict[str, str], payload: bytes) -> bytes:
    """One message, by the specification."""
    head = b"".join(
        bytes([len(name.encode())]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return message + struct.pack(">I", crc32(message))


def event(kind: str, body: Any) -> bytes:
    names = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return framed(names, json.dumps(body).encode())


def exception(kind: str, message: str) -> bytes:
    names = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return framed(names, json.dumps({"message": message}).encode())


def test_the_published_vectors_are_read_as_published() -> None:
    parser = AwsEventParser()
    assert parser.feed(EMPTY + PAYLOAD + ONE_HEADER + ALL_HEADERS) == [
        ServerEvent("message", ""),
        ServerEvent("message", "{'foo':'bar'}"),
        ServerEvent("message", "{'foo':'bar'}"),
        ServerEvent("message", ""),
    ]
    assert headers_of(ALL_HEADERS[12:-4]) == {"7": "utf8"}
    assert parser.feed(ERROR) == [ServerEvent(FAILED + "code", '{"message": "message"}')]


@pytest.mark.parametrize("what", BROKEN)
def test_the_published_broken_messages_are_rejected(what: str) -> None:
    with pytest.raises(BadReply):
        AwsEventParser().feed(BROKEN[what])


def test_an_impossible_length_does_not_make_the_parser_wait_for_ever() -> None:
    prelude = struct.pack(">II", 3, 0)
    with pytest.raises(BadReply):
        AwsEventParser().feed(prelude + struct.pack(">I", crc32(prelude)))


STREAM = b"".join([EMPTY, event("messageStart", {"role": "assistant"}), ONE_HEADER, exception("x", "é😀")])


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_a_stream_means_the_same_however_its_bytes_are_cut(sizes: list[int]) -> None:
    parser = AwsEventParser()
    events: list[ServerEvent] = []
    start = turn = 0
    while start < len(STREAM):
        size = sizes[turn % len(sizes)]
        events += parser.feed(STREAM[start : start + size])
        start, turn = start + size, turn + 1
    assert events == AwsEventParser().feed(STREAM)
    assert len(events) == 4


@given(
    headers=st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda t: len(t.encode()) < 100), st.text(max_size=30)
    ),
    payload=st.binary(max_size=200),
)
@settings(deadline=None)
def test_botocore_reads_the_same_bytes_in_the_same_way(headers: dict[str, str], payload: bytes) -> None:
    theirs = pytest.importorskip("botocore.eventstream")
    data = framed(headers, payload)
    buffer = theirs.EventStreamBuffer()
    buffer.add_data(data)
    (message,) = list(buffer)
    assert message.headers == headers_of(data[12 : len(data) - 4 - len(payload)])
    assert message.payload == payload
    (mine,) = AwsEventParser().feed(data)
    if ":message-type" not in headers:
        assert mine.data == payload.decode("utf-8", "replace")


@given(data=st.binary(max_size=300), at=st.integers(0, 200))
def test_no_bytes_raise_anything_but_a_bad_reply(data: bytes, at: int) -> None:
    with suppress(BadReply):
        AwsEventParser().feed(data)
    with suppress(BadReply):
        AwsEventParser().feed(STREAM[:at] + data + STREAM[at:])
    with suppress(BadReply):
        headers_of(data)


# ---------------------------------------------------------------------------------------------------- replies

CONVERSE_STREAM = b"".join(
    [
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"delta": {"reasoningContent": {"text": "Hmm"}}, "contentBlockIndex": 0}),
        event("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "EqQB"}}, "contentBlockIndex": 0}),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("contentBlockDelta", {"delta": {"text": "I'll "}, "contentBlockIndex": 1}),
        event("contentBlockDelta", {"delta": {"text": "look."}, "contentBlockIndex": 1}),
        event("contentBlockStop", {"contentBlockIndex": 1}),
        event(
            "contentBlockStart",
            {
                "start": {"toolUse": {"toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "name": "top_song"}},
                "contentBlockIndex": 2,
            },
        ),
        event("contentBlockDelta", {"delta": {"toolUse": {"input": '{"sign": '}}, "contentBlockIndex": 2}),
        event("contentBlockDelta", {"delta": {"toolUse": {"input": '"WZPZ"}'}}, "contentBlockIndex": 2}),
        event("contentBlockStop", {"contentBlockIndex": 2}),
        event("messageStop", {"stopReason": "tool_use"}),
        event(
            "metadata",
            {"usage": {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658}, "metrics": {"latencyMs": 1275}},
        ),
    ]
)
# https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use-inference-call.html, the response with a call, and the
# usage example of https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
WHOLE: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hmm", "signature": "EqQB"}}},
                {"text": "I'll look."},
                {
                    "toolUse": {
                        "toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q",
                        "name": "top_song",
                        "input": {"sign": "WZPZ"},
                    }
                },
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658},
    "metrics": {"latencyMs": 1275},
}
CALLED = Finish(reason="tool", usage=Usage(input_tokens=30, output_tokens=628))


def decode(data: bytes) -> tuple[list[ChatEvent], Finish | None]:
    decoder = bedrock.DIALECT.decoder(SOURCE)
    events = [e for s in AwsEventParser().feed(data) for e in decoder.feed(s)]
    return events, decoder.finish()


def test_a_stream_gives_thinking_text_call_and_usage() -> None:
    events, finish = decode(CONVERSE_STREAM)
    assert events == [
        ReasoningDelta(text="Hmm"),
        ReasoningDelta(signature="EqQB"),
        TextDelta(text="I'll "),
        TextDelta(text="look."),
        ToolDelta(index=0, id="tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", name="top_song"),
        ToolDelta(index=0, arguments='{"sign": '),
        ToolDelta(index=0, arguments='"WZPZ"}'),
    ]
    assert finish == CALLED


def test_botocore_reads_the_stream_of_this_test_as_events_of_the_service_model() -> None:
    parsers = pytest.importorskip("botocore.parsers")
    buffer = pytest.importorskip("botocore.eventstream").EventStreamBuffer()
    buffer.add_data(CONVERSE_STREAM)
    shape = model().operation_model("ConverseStream").get_event_stream_output()
    parser = parsers.EventStreamJSONParser()
    names = [next(iter(parser.parse(message.to_response_dict(), shape))) for message in buffer]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]


def test_a_whole_reply_means_the_same_as_a_stream() -> None:
    decoder = bedrock.DIALECT.decoder(SOURCE)
    events = list(decoder.whole(WHOLE))
    assert events[:2] == [ReasoningDelta(text="Hmm", signature="EqQB"), TextDelta(text="I'll look.")]
    calls = [e for e in events if isinstance(e, ToolDelta)]
    assert [(c.id, c.name) for c in calls if c.id] == [("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "top_song")]
    assert json.loads("".join(c.arguments for c in calls)) == {"sign": "WZPZ"}
    assert decoder.finish() == CALLED


def test_a_stream_that_stops_before_its_end_has_no_finish() -> None:
    cut = CONVERSE_STREAM[: CONVERSE_STREAM.index(b"messageStop")]
    assert decode(cut)[1] is None


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttlingException", RateLimited),
        ("serviceUnavailableException", Unavailable),
        ("internalServerException", Unavailable),
        (
            "modelStreamErrorException",
            Unavailable,
        ),  # "An error occurred while streaming the response. Retry your request."
        ("validationException", Refused),
        ("somethingNewException", Unavailable),
    ],
)
def test_an_exception_inside_a_stream_has_its_place_in_the_taxonomy(kind: str, error: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        decode(exception(kind, "Too many requests, please wait."))
    assert type(caught.value) is error
    assert "please wait" in str(caught.value)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("guardrail_intervened", "filter"),
     ("content_filtered", "filter"), ("model_context_window_exceeded", "length"), ("malformed_tool_use", "unknown")],
)  # fmt: skip
def test_stop_reasons_have_their_meaning(reason: str, expected: str) -> None:
    _, finish = decode(event("messageStop", {"stopReason": reason}))
    assert finish is not None
    assert finish.reason == expected


def test_the_total_tells_whether_the_input_includes_the_cache() -> None:
    apart = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 1015, "cacheReadInputTokens": 900,
             "cacheWriteInputTokens": 100}  # fmt: skip
    assert usage_of(apart) == Usage(input_tokens=10, cache_read_tokens=900, cache_write_tokens=100, output_tokens=5)
    within = {**apart, "inputTokens": 1010}
    assert usage_of(within) == usage_of(apart)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["message", "content", "text", "toolUse", "input", "name", "usage", "signature",
                                       "reasoningContent", "inputTokens"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KINDS = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]


@given(kind=st.sampled_from(KINDS), body=st.dictionaries(st.sampled_from(["start", "delta", "contentBlockIndex", "usage",
       "stopReason", "output"]), ODD, max_size=4))  # fmt: skip
def test_no_event_however_odd_raises_anything_but_an_error_of_the_provider(kind: str, body: dict[str, Any]) -> None:
    for whole in (False, True):
        decoder = Careful(bedrock.DIALECT.decoder(SOURCE), SOURCE)
        with suppress(ProviderError):
            list(decoder.whole(body) if whole else decoder.feed(ServerEvent(kind, json.dumps(body))))
        decoder.finish()


# --------------------------------------------------------------------------------------------------- requests


@cache
def model() -> Any:
    """The service model that AWS publishes with botocore."""
    loaders = pytest.importorskip("botocore.loaders")
    models = pytest.importorskip("botocore.model")
    return models.ServiceModel(loaders.Loader().load_service_model("bedrock-runtime", "service-2"))


def with_bytes(value: Any) -> Any:
    """The body as an SDK is given it: blobs as bytes."""
    if isinstance(value, dict):
        made = {k: with_bytes(v) for k, v in value.items()}
        return {k: base64.b64decode(v) if k in ("bytes", "redactedContent") else v for k, v in made.items()}
    return [with_bytes(item) for item in value] if isinstance(value, list) else value


def check(body: dict[str, Any]) -> None:
    """The service model accepts the body: names, types (None is none of them), what is needed, lengths."""
    validate = pytest.importorskip("botocore.validate")
    shape = model().operation_model("ConverseStream").input_shape
    report = validate.ParamValidator().validate({"modelId": SPEC.model, **with_bytes(body)}, shape)
    assert not report.has_errors(), report.generate_report()


def wire(request: ChatRequest, quirks: Quirks | None = None, without: str = "") -> Any:
    body = bedrock.DIALECT.to_wire(request, SPEC, quirks or Quirks(), frozenset({without} if without else ()))
    check(body)
    return body


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message(role="user", text="Hi"),), **more)


SONG = Tool(
    name="top_song",
    description="Get the most popular song played on a radio station.",
    parameters={"type": "object", "properties": {"sign": {"type": "string"}}, "required": ["sign"]},
)
SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
CONVERSATION = (
    Message(role="system", text="Be brief."),
    Message(
        role="user",
        text="Look",
        parts=(
            Media(media_type="image/png", data=PNG),
            Media(media_type="application/pdf", data="JVBERi0=", name="the_plan: v2.pdf"),
            Text(text="  "),
        ),
    ),
    Message(
        role="assistant",
        parts=(
            Thought(text="Hm", signature="EqQB"),
            Thought(hidden="AAEC"),
            ToolCall(id="call/1", name="top_song", arguments='{"sign": "WZPZ"}'),
        ),
    ),
    Message(role="user", parts=(ToolResult(id="call/1", parts=(Text(text="Elemental Hotel"),), error=True),)),
)


def test_a_conversation_with_all_kinds_of_parts_is_what_the_service_model_describes() -> None:
    body = wire(ask(*CONVERSATION, tools=(SONG,), temperature=0.5, top_p=0.9, stop=("END",)))
    assert body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "Look"},
                    {"image": {"format": "png", "source": {"bytes": PNG}}},
                    {"document": {"format": "pdf", "name": "the plan v2", "source": {"bytes": "JVBERi0="}}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "EqQB"}}},
                    {"reasoningContent": {"redactedContent": "AAEC"}},
                    {"toolUse": {"toolUseId": "call_1", "name": "top_song", "input": {"sign": "WZPZ"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "call_1",
                            "content": [{"text": "Elemental Hotel"}],
                            "status": "error",
                        }
                    }
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 4096, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "top_song",
                        "description": SONG.description,
                        "inputSchema": {"json": SONG.parameters},
                    }
                }
            ]
        },
    }


def test_the_address_has_region_and_encoded_model() -> None:
    # Request syntax: POST /model/modelId/converse-stream; an SDK encodes all but A-Z a-z 0-9 - . _ ~
    url = bedrock.DIALECT.url
    root = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/anthropic.claude-fable-5-2-v1%3A0"
    assert url(ask(), SPEC, Quirks(), frozenset()) == f"{root}/converse-stream"
    assert url(ask(stream=False), SPEC, Quirks(), frozenset()) == f"{root}/converse"
    arn = SPEC.model_copy(update={"model": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x"})
    assert "inference-profile%2Fus.x/converse" in url(ask(), arn, Quirks(), frozenset())


def test_every_choice_of_tools_has_its_form() -> None:
    assert wire(ask(tools=(SONG,), tool_choice="auto"))["toolConfig"]["toolChoice"] == {"auto": {}}
    assert wire(ask(tools=(SONG,), tool_choice="required"))["toolConfig"]["toolChoice"] == {"any": {}}
    assert wire(ask(tools=(SONG,), tool="top_song"))["toolConfig"]["toolChoice"] == {"tool": {"name": "top_song"}}
    assert "toolConfig" not in wire(ask(tools=(SONG,), tool_choice="none"))
    # Calls in the conversation are refused without a toolConfig.
    (tool,) = wire(ask(*CONVERSATION))["toolConfig"]["tools"]
    assert tool["toolSpec"]["name"] == "top_song"


def test_an_answer_of_a_schema_is_asked_for_as_the_model_can() -> None:
    request = ask(answer=AnswerSchema(json_schema=SCHEMA, description="A mark"))
    text = wire(request)["outputConfig"]["textFormat"]
    assert text["type"] == "json_schema"
    inner = text["structure"]["jsonSchema"]
    assert (inner["name"], inner["description"]) == ("answer", "A mark")
    assert json.loads(inner["schema"]) == {**SCHEMA, "additionalProperties": False}
    tool = wire(request, Quirks(schema_output="tool"))["toolConfig"]
    assert tool["toolChoice"]["tool"]["name"] == tool["tools"][0]["toolSpec"]["name"]
    assert '"score"' in wire(request, Quirks(schema_output="json_object"))["system"][0]["text"]
    assert '"score"' in wire(request, without="outputConfig")["system"][0]["text"]


@pytest.mark.parametrize(
    ("way", "effort", "expected"),
    [
        ("thinking", "low", {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 4096}}}),
        ("adaptive", "high", {"outputConfig": {"effort": "high"},
                              "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}),
        ("reasoning", "medium", {"additionalModelRequestFields":
                                 {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}}),
        ("reasoning_effort", "minimal", {"additionalModelRequestFields": {"reasoning_effort": "low"}}),
        ("", "high", {}),
    ],
)  # fmt: skip
def test_each_family_is_told_in_its_own_words_how_long_to_think(way: Any, effort: Any, expected: Any) -> None:
    body = wire(ask(effort=effort, max_tokens=30_000, temperature=1.0), Quirks(effort=way))
    found = {k: v for k, v in body.items() if k in ("outputConfig", "additionalModelRequestFields")}
    assert found == expected


def test_cache_marks_are_points_where_the_model_has_them() -> None:
    request = ask(Message(role="user", parts=(Text(text="Long", cache=True), Text(text="Short"))))
    marked = wire(request, Quirks(cache_marks="anthropic"))["messages"][0]["content"]
    assert marked == [{"text": "Long"}, {"cachePoint": {"type": "default"}}, {"text": "Short"}]
    assert wire(request)["messages"][0]["content"] == [{"text": "Long"}, {"text": "Short"}]


def test_media_that_cannot_be_taken_are_refused() -> None:
    for media in (Media(url="https://example.org/a.png"), Media(media_type="audio/wav", data="UklGRg==")):
        with pytest.raises(Refused):
            wire(ask(Message(role="user", parts=(media,))))


@settings(deadline=None, max_examples=30)
@given(
    effort=st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
    way=st.sampled_from(["", "thinking", "adaptive", "reasoning", "reasoning_effort"]),
    choice=st.none() | st.sampled_from(["auto", "none", "required"]),
    tools=st.booleans(),
    schema=st.sampled_from(["json_schema", "json_object", "tool", ""]),
    texts=st.lists(st.text(max_size=5), max_size=3),
)
def test_every_request_is_one_that_the_service_model_accepts(
    effort: Any, way: Any, choice: Any, tools: bool, schema: Any, texts: list[str]
) -> None:
    request = ask(
        *CONVERSATION,
        *(Message(role="user", text=text) for text in texts),
        tools=(SONG,) if tools else (),
        effort=effort,
        tool_choice=choice,
        answer=AnswerSchema(json_schema=SCHEMA),
    )
    wire(request, Quirks(effort=way, schema_output=schema))


# ------------------------------------------------------------------------------------------------- over HTTP


async def test_a_signed_call_streams_its_reply_over_http() -> None:
    answer = (200, {"content-type": "application/vnd.amazon.eventstream"}, CONVERSE_STREAM)
    keys = Keys(
        {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    )
    async with loopback(lambda _request: answer) as server, open_http({}) as http:
        spec = SPEC.model_copy(update={"base_url": server.url})
        wire = HttpWire(
            bedrock.DIALECT,
            spec,
            Quirks(),
            keys,
            Limits(first_token_s=10, idle_s=10),
            http,
            key_env="",
            signer=signer(bedrock.DIALECT.auth)(spec, "", keys, http),
            without=set(),
        )
        reply = await fold(wire, ask())
    assert (reply.text, reply.finish, reply.usage) == ("I'll look.", "tool", CALLED.usage)
    assert [(c.name, json.loads(c.arguments)) for c in reply.tool_calls] == [("top_song", {"sign": "WZPZ"})]
    (request,) = server.requests
    assert request.path == "/model/anthropic.claude-fable-5-2-v1%3A0/converse-stream"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/bedrock/aws4_request" in request.headers["authorization"]
