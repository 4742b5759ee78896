"""Responses, both ways, against OpenAI's reference; payloads are quoted from the pages named at each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dialect_openai import (
    ANSWER,
    ODD,
    QUIRKS,
    REQUESTS,
    SCHEMA,
    WEATHER,
    WEATHER_TOOL,
    calls_of,
    has_null,
    server,
    wire_of,
)

from orchestra_mcp.errors import BadReply, ProviderError, RateLimited, Refused, Unavailable
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.dialects import DIALECTS, responses
from orchestra_mcp.gateway.dialects.decoding import Careful
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent, SseParser
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    Media,
    Message,
    ReasoningDelta,
    Text,
    TextDelta,
    Thought,
    ToolCall,
    ToolResult,
    fold,
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

SOURCE = Source("m at p")
SPEC = ModelSpec(base_url="https://api.openai.com/v1", model="m", wire="responses")
USER = Message(role="user", text="What is the weather like in Boston today?")
THINKS = {"effort": "reasoning_effort"}


def body_of(
    *messages: Message, without: Iterable[str] = (), quirks: JsonObject | None = None, **more: Any
) -> JsonObject:
    request = ChatRequest(
        **{"model": "m", "messages": messages or (USER,), "max_tokens": None, "stream": False, **more}
    )
    return responses.DIALECT.to_wire(request, SPEC, Quirks(**(quirks or {})), frozenset(without))


def items(*messages: Message, **more: Any) -> list[JsonObject]:
    found: list[JsonObject] = body_of(*messages, **more)["input"]
    return found


def stream(*events: JsonObject) -> tuple[list[ChatEvent], Finish | None]:
    decoder = responses.DIALECT.decoder(SOURCE)
    found = [said for event in events for said in decoder.feed(ServerEvent(event["type"], json.dumps(event)))]
    return found, decoder.finish()


def whole(body: JsonObject) -> tuple[list[ChatEvent], Finish | None]:
    decoder = responses.DIALECT.decoder(SOURCE)
    return list(decoder.whole(body)), decoder.finish()


def completed(*output: JsonObject, **more: Any) -> JsonObject:
    response = {"status": "completed", "model": "m", "error": None, "incomplete_details": None, "output": list(output)}
    return {"type": "response.completed", "response": response | more}


# ------------------------------------------------------------------------------------- requests


def test_the_dialect_is_registered() -> None:
    assert DIALECTS["responses"] is responses.DIALECT


def test_a_function_is_offered_in_the_documented_form_and_nothing_is_stored() -> None:
    # https://platform.openai.com/docs/api-reference/responses/create, "Functions"
    system = Message(role="system", text="Be brief.")
    body = body_of(system, USER, tools=(WEATHER_TOOL,), tool_choice="auto", stream=True, max_tokens=300)
    assert body == {
        "model": "m",
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": USER.text}],
        "store": False,
        "stream": True,
        "max_output_tokens": 300,
        "tools": [
            {
                "type": "function",
                "name": "get_current_weather",
                "description": "Get the current weather in a given location",
                "parameters": WEATHER,
                "strict": False,  # this API is strict by itself, which is not what was asked for
            }
        ],
        "tool_choice": "auto",
    }
    assert body_of(tools=(WEATHER_TOOL,), tool="get_current_weather")["tool_choice"] == {
        "type": "function",
        "name": "get_current_weather",
    }
    assert body_of(max_tokens=1)["max_output_tokens"] == 16  # the least that is accepted
    assert body_of(quirks={"store": True})["store"] is True
    assert "store" not in body_of(quirks={"omit": ("store",)})


def test_images_and_files_have_the_documented_parts() -> None:
    # https://platform.openai.com/docs/api-reference/responses/create, "Image input" and "File input"
    image, file = "https://upload.wikimedia.org/a.jpg", "https://www.berkshirehathaway.com/letters/2024ltr.pdf"
    media = (Media(url=image), Media(url=file), Media(media_type="application/pdf", data="JVBE", name="draft.pdf"))
    assert items(Message(role="user", text="what is in this?", parts=media)) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "what is in this?"},
                {"type": "input_image", "image_url": image, "detail": "auto"},
                {"type": "input_file", "file_url": file},
                {"type": "input_file", "filename": "draft.pdf", "file_data": "data:application/pdf;base64,JVBE"},
            ],
        }
    ]
    [told] = items(Message(role="user", parts=(Media(media_type="audio/wav", data="UklG"),)))
    assert "audio" in told["content"]


def test_thoughts_go_back_before_what_came_of_them_and_only_those_that_this_api_made() -> None:
    # https://platform.openai.com/docs/guides/reasoning, "Keeping reasoning items in context"
    made = Thought(text="A city.", hidden="gAAAAAB", id="rs_1")
    other = Thought(text="Elsewhere", signature="sig")
    turn = Message(
        role="assistant", text="Looking.", parts=(other, made, ToolCall(id="call_1", name="f", arguments=""))
    )
    shown = ToolResult(id="call_1", parts=(Text(text="ok"), Media(media_type="image/png", data="QUJD")))
    assert items(USER, turn, Message(role="user", text="Well?", parts=(shown,)))[1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "A city."}],
            "encrypted_content": "gAAAAAB",
        },
        {"role": "assistant", "content": "Looking."},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                {"type": "input_text", "text": "ok"},
                {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto"},
            ],
        },
        {"role": "user", "content": "Well?"},
    ]
    # "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    assert items(USER, Message(role="assistant", parts=(made,)), USER) == items(USER, USER)


def test_a_reasoning_model_is_told_its_effort_and_asked_for_its_thoughts() -> None:
    # https://platform.openai.com/docs/api-reference/responses/create#responses-create-include
    body = body_of(effort="high", quirks=THINKS)
    assert (body["reasoning"], body["include"]) == ({"effort": "high"}, ["reasoning.encrypted_content"])
    extra = {"reasoning": {"summary": "auto", "effort": "low"}, "include": ["file_search_call.results"], "store": True}
    body = body_of(effort="high", quirks=THINKS, extra=extra, extra_dialect="responses")
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert body["include"] == ["reasoning.encrypted_content", "file_search_call.results"]
    assert body["store"] is False
    assert not {"reasoning", "include"} & set(body_of(effort="high"))


def test_json_of_a_schema_has_the_documented_form() -> None:
    # https://platform.openai.com/docs/guides/structured-outputs
    form = {"type": "json_schema", "name": "count", "schema": SCHEMA, "strict": True}
    assert body_of(answer=ANSWER)["text"] == {"format": form}
    assert body_of(json_only=True)["text"] == {"format": {"type": "json_object"}}
    verbose = body_of(answer=ANSWER, extra={"text": {"verbosity": "low"}}, extra_dialect="responses")
    assert verbose["text"] == {"format": form, "verbosity": "low"}
    told = body_of(answer=ANSWER, quirks={"schema_output": ""})
    assert "text" not in told
    assert json.dumps(SCHEMA) in told["input"][0]["content"]
    forced = body_of(answer=ANSWER, quirks={"schema_output": "tool"})
    assert forced["tool_choice"] == {"type": "function", "name": ANSWER_TOOL}


@pytest.mark.parametrize(
    ("base", "options", "expected"),
    [
        ("https://api.x.ai/v1/", {}, "https://api.x.ai/v1/responses"),
        # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses
        ("https://res.openai.azure.com/openai/v1", {}, "https://res.openai.azure.com/openai/v1/responses"),
        (
            "https://res.openai.azure.com",
            {"deployment": "gpt", "api_version": "2025-04-01-preview"},
            "https://res.openai.azure.com/openai/responses?api-version=2025-04-01-preview",
        ),
    ],
)
def test_where_to_post(base: str, options: dict[str, str], expected: str) -> None:
    spec = ModelSpec(base_url=base, model="m", options=options)
    assert responses.DIALECT.url(ChatRequest(model="m", messages=()), spec, Quirks(), frozenset()) == expected


# ------------------------------------------------------------------------------------- replies

# https://platform.openai.com/docs/api-reference/responses/create, "Streaming"; the deltas after "Hi" are as the page's
# `response.output_text.done` has them, since the page leaves them out.
STREAM = """\
event: response.created
data: {"type":"response.created","response":{"id":"resp_67c9fdce","object":"response","created_at":1741290958,"status":"in_progress","error":null,"incomplete_details":null,"model":"gpt-5.4","output":[],"usage":null,"metadata":{}}}

event: response.in_progress
data: {"type":"response.in_progress","response":{"id":"resp_67c9fdce","object":"response","created_at":1741290958,"status":"in_progress","error":null,"model":"gpt-5.4","output":[],"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_67c9fdcf","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","item_id":"msg_67c9fdcf","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_67c9fdcf","output_index":0,"content_index":0,"delta":"Hi"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_67c9fdcf","output_index":0,"content_index":0,"delta":" there! How can I assist you today?"}

event: response.output_text.done
data: {"type":"response.output_text.done","item_id":"msg_67c9fdcf","output_index":0,"content_index":0,"text":"Hi there! How can I assist you today?"}

event: response.content_part.done
data: {"type":"response.content_part.done","item_id":"msg_67c9fdcf","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hi there! How can I assist you today?","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"id":"msg_67c9fdcf","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi there! How can I assist you today?","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_67c9fdce","object":"response","created_at":1741290958,"status":"completed","error":null,"incomplete_details":null,"model":"gpt-5.4","output":[{"id":"msg_67c9fdcf","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi there! How can I assist you today?","annotations":[]}]}],"usage":{"input_tokens":37,"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48},"user":null,"metadata":{}}}

"""
HI = "Hi there! How can I assist you today?"


def test_the_documented_stream_is_read() -> None:
    parser, decoder = SseParser(), responses.DIALECT.decoder(SOURCE)
    events = [said for event in parser.feed(STREAM.encode()) for said in decoder.feed(event)]
    assert events == [TextDelta(text="Hi"), TextDelta(text=HI[2:])]
    assert decoder.complete
    assert decoder.finish() == Finish(reason="stop", usage=Usage(input_tokens=37, output_tokens=11), model="gpt-5.4")


def test_a_stream_without_its_last_event_has_not_finished() -> None:
    parser, decoder = SseParser(), responses.DIALECT.decoder(SOURCE)
    for event in parser.feed(STREAM.partition("event: response.completed")[0].encode()):
        list(decoder.feed(event))
    assert not decoder.complete
    assert decoder.finish() is None


def test_a_call_that_is_streamed_as_documented() -> None:
    # https://platform.openai.com/docs/guides/function-calling, "Streaming"
    item = {"type": "function_call", "id": "fc_1234xyz", "call_id": "call_1234xyz", "name": "get_weather"}
    at = {"response_id": "resp_1234xyz", "item_id": "fc_1234xyz", "output_index": 0}
    arguments = '{"location":"Paris, France"}'
    texts = ['{"', "location", '":"', "Paris", ",", " France", '"}']
    events, finish = stream(
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"arguments": ""}},
        *({"type": "response.function_call_arguments.delta", "delta": text, **at} for text in texts),
        {"type": "response.function_call_arguments.done", "arguments": arguments, **at},
        {"type": "response.output_item.done", "output_index": 0, "item": item | {"arguments": arguments}},
        completed(item | {"arguments": arguments}),
    )
    assert calls_of(events) == [ToolCall(id="call_1234xyz", name="get_weather", arguments=arguments)]
    assert len(events) == 8
    assert finish is not None
    assert finish.reason == "tool"


def call(id: str, arguments: str) -> JsonObject:
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": "f", "arguments": arguments}


@pytest.mark.parametrize(
    "events",
    [
        # whole arguments, after other items
        [
            {"type": "response.output_item.added", "output_index": 2, "item": call("a", "")},
            {"type": "response.output_item.done", "output_index": 2, "item": call("a", '{"x":1}')},
            {"type": "response.output_item.added", "output_index": 4, "item": call("b", "")},
            {"type": "response.output_item.done", "output_index": 4, "item": call("b", '{"y":2}')},
            completed(call("a", '{"x":1}'), call("b", '{"y":2}')),
        ],
        # no beginnings
        [
            {"type": "response.output_item.done", "output_index": 0, "item": call("a", '{"x":1}')},
            {"type": "response.output_item.done", "output_index": 1, "item": call("b", '{"y":2}')},
            completed(call("a", '{"x":1}'), call("b", '{"y":2}')),
        ],
        # no indices
        [
            {"type": "response.output_item.added", "item": call("a", "")},
            {"type": "response.function_call_arguments.delta", "delta": '{"x"'},
            {"type": "response.output_item.done", "item": call("a", '{"x":1}')},
            {"type": "response.output_item.added", "item": call("b", "")},
            {"type": "response.output_item.done", "item": call("b", '{"y":2}')},
            completed(),
        ],
        # all at the end
        [completed(call("a", '{"x":1}'), call("b", '{"y":2}'))],
    ],
    ids=["gaps", "done-only", "no-index", "at-the-end"],
)
def test_two_calls_are_put_together_however_they_are_streamed(events: list[JsonObject]) -> None:
    said, finish = stream(*events)
    assert [(c.id, c.name, c.arguments) for c in calls_of(said)] == [("a", "f", '{"x":1}'), ("b", "f", '{"y":2}')]
    assert finish is not None
    assert finish.reason == "tool"


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    for events, _ in (
        stream({"type": "response.output_item.done", "output_index": 0, "item": call("a", "")}, completed()),
        whole({"status": "completed", "output": [call("a", "")]}),
    ):
        assert [c.arguments for c in calls_of(events)] == ["{}"]


def test_thinking_is_read_with_what_only_the_vendor_can_read() -> None:
    # https://platform.openai.com/docs/api-reference/responses-streaming/response/reasoning_summary_text
    id = "rs_6806bfca0b2481918a5748308061a2600d3ce51bdffd5476"
    at = {"item_id": id, "output_index": 0}
    item = {
        "id": id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "**One**"}, {"type": "summary_text", "text": "**Two**"}],
        "encrypted_content": "gAAAAAB",
    }
    part = {"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}, **at}
    events, _ = stream(
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"summary": []}},
        part | {"summary_index": 0},
        {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "**One**", **at},
        part | {"summary_index": 1},
        {"type": "response.reasoning_summary_text.delta", "summary_index": 1, "delta": "**Two**", **at},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        completed(item),
    )
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "**One**\n\n**Two**"
    assert events[-1] == ReasoningDelta(hidden="gAAAAAB", id=id)
    plain, _ = whole({"status": "completed", "output": [item]})
    assert plain == [ReasoningDelta(text="**One**\n\n**Two**"), ReasoningDelta(hidden="gAAAAAB", id=id)]


def test_a_plain_reply_of_a_reasoning_model_is_read() -> None:
    # https://platform.openai.com/docs/api-reference/responses/create, "Reasoning"
    text = "The classic tongue twister..."
    message = {
        "type": "message",
        "id": "msg_67ccd7f7b5848190a6f3e95d809f6b44072912b2993db808",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {
        "input_tokens": 81,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1035,
        "output_tokens_details": {"reasoning_tokens": 832},
        "total_tokens": 1116,
    }
    body = {"object": "response", "status": "completed", "error": None, "incomplete_details": None}
    events, finish = whole(body | {"model": "o1-2024-12-17", "output": [message], "usage": usage})
    assert events == [TextDelta(text=text)]
    spent = Usage(input_tokens=81, output_tokens=203, reasoning_tokens=832)
    assert finish == Finish(reason="stop", usage=spent, model="o1-2024-12-17")


@pytest.mark.parametrize(
    ("why", "reason"), [("max_output_tokens", "length"), ("content_filter", "filter"), ("something new", "unknown")]
)
def test_an_incomplete_response_says_why(why: str, reason: str) -> None:
    # https://platform.openai.com/docs/api-reference/responses-streaming/response/incomplete
    response: JsonObject = {"status": "incomplete", "incomplete_details": {"reason": why}, "error": None, "output": []}
    for _, finish in (stream({"type": "response.incomplete", "response": response}), whole(response)):
        assert finish is not None
        assert finish.reason == reason


def test_a_refusal_is_a_filtered_end() -> None:
    refusal = {"type": "refusal", "refusal": "I'm sorry, I cannot assist with that request."}
    message = {"type": "message", "role": "assistant", "content": [refusal]}
    streamed = stream({"type": "response.refusal.delta", "output_index": 0, "delta": "I'm sorry"}, completed(message))
    for events, finish in (streamed, whole({"status": "completed", "output": [message]})):
        assert events == []
        assert finish is not None
        assert finish.reason == "filter"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        # https://platform.openai.com/docs/api-reference/responses-streaming/response/failed, and its `error.code`s
        *[
            (
                {
                    "type": "response.failed",
                    "response": {
                        "id": "resp_123",
                        "status": "failed",
                        "error": {"code": code, "message": "The model failed to generate a response."},
                        "output": [],
                    },
                },
                error,
            )
            for code, error in [
                ("server_error", Unavailable),
                ("rate_limit_exceeded", RateLimited),
                ("vector_store_timeout", Unavailable),
                ("invalid_prompt", Refused),
                ("image_content_policy_violation", Refused),
                ("bio_policy", Refused),
            ]
        ],
        # …/responses-streaming/error, and with an object as some servers send it
        ({"type": "error", "code": "ERR_SOMETHING", "message": "Something went wrong", "param": None}, Unavailable),
        ({"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "no"}}, Refused),
        ({"type": "error", "error": {"code": "context_length_exceeded", "message": "too long"}}, Refused),
        ({"type": "response.failed", "response": None}, Unavailable),
    ],
)
def test_an_error_in_the_stream_is_of_the_right_kind(event: JsonObject, error: type[ProviderError]) -> None:
    with pytest.raises(error) as caught:
        stream(event)
    assert type(caught.value) is error


def test_a_reply_of_another_api_is_garbage() -> None:
    with pytest.raises(BadReply):
        whole({"choices": []})


# ------------------------------------------------------------------------------------- anything


@settings(max_examples=100, deadline=None)
@given(request=REQUESTS, quirks=QUIRKS, without=st.frozensets(st.sampled_from(sorted(responses.DIALECT.optional))))
def test_no_request_carries_a_null_and_no_thought_stands_alone(
    request: ChatRequest, quirks: Quirks, without: frozenset[str]
) -> None:
    body = responses.DIALECT.to_wire(request, SPEC, quirks, without)
    assert not has_null(body)
    assert not without & set(body)
    kinds = [item.get("type", item.get("role")) for item in body["input"]]
    for kind, after in pairwise([*kinds, ""]):
        assert kind != "reasoning" or after in ("reasoning", "assistant", "function_call")


WORDS = sorted(
    {
        "type", "output_index", "item", "response", "delta", "arguments", "call_id", "id", "name", "content", "summary",
        "text", "encrypted_content", "output", "status", "error", "code", "message", "incomplete_details", "reason",
        "usage", "input_tokens", "output_tokens", "model",
    }
)  # fmt: skip
KINDS: st.SearchStrategy[Any] = st.sampled_from(
    [
        "response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta",
        "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.completed",
        "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta", "response.refusal.done",
        "response.incomplete", "error", "new", None, 7, [],
    ]
)  # fmt: skip
ITEMS = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(["function_call", "message", "reasoning", "refusal", None]),
    st.dictionaries(st.sampled_from(WORDS), ODD, max_size=5),
)
BODIES = st.builds(
    lambda kind, item, rest, response: {"item": item, "response": response, **rest, "type": kind},
    KINDS,
    ITEMS | ODD,
    st.dictionaries(st.sampled_from(WORDS), ODD, max_size=3),
    st.fixed_dictionaries({"output": st.lists(ITEMS | ODD, max_size=3), "status": ODD, "usage": ODD}) | ODD,
)


@settings(max_examples=300, deadline=None)
@given(bodies=st.lists(BODIES, min_size=1, max_size=5))
def test_no_json_gets_anything_but_an_event_or_an_error_of_the_provider(bodies: list[Any]) -> None:
    streamed = Careful(responses.DIALECT.decoder(SOURCE), SOURCE)
    plain = Careful(responses.DIALECT.decoder(SOURCE), SOURCE)
    try:
        for body in bodies:
            list(streamed.feed(ServerEvent("message", json.dumps(body))))
        response = json.loads(json.dumps(bodies[0]["response"]))
        list(plain.whole(response if isinstance(response, dict) else {}))
    except ProviderError:
        pass
    for decoder in (streamed, plain):
        finish = decoder.finish()
        assert finish is None or finish.usage.tokens >= 0


# ------------------------------------------------------------------------------------- over HTTP


async def test_a_model_without_hidden_thoughts_is_asked_again_without_them_over_real_http() -> None:
    rejected = {
        "error": {
            "message": "Encrypted content is not supported with this model.",
            "type": "invalid_request_error",
            "param": "include",
            "code": None,
        }
    }
    replies = [(400, "application/json", json.dumps(rejected)), (200, "text/event-stream; charset=utf-8", STREAM)]
    async with server(replies) as (base, seen), open_http() as http:
        spec = ModelSpec(base_url=f"{base}/v1", model="gpt-5.4", wire="responses")
        wire = wire_of(responses.DIALECT, spec, Quirks(effort="reasoning_effort"), http)
        reply = await fold(wire, ChatRequest(model="gpt", messages=(Message(role="user", text="Hello!"),)))
    assert (reply.text, reply.finish, reply.model) == (HI, "stop", "gpt-5.4")
    assert [(path, "include" in body) for path, body in seen] == [("/v1/responses", True), ("/v1/responses", False)]
