"""Cohere's dialect against the examples and schemas of its OpenAPI document, without any network."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Answer, loopback
from upstream import Request

from orchestra_mcp.errors import ProviderError, Refused, Unavailable
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.dialects import cohere
from orchestra_mcp.gateway.dialects.decoding import Careful
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    ChatEvent,
    ChatRequest,
    EmbedRequest,
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
SPEC = ModelSpec(base_url="https://api.cohere.com", model="command-a-plus-05-2026", wire="cohere")

# Examples "Streaming" and "Tools" of POST /v2/chat in Cohere's OpenAPI document (shortened in the middle)
TEXT_STREAM: list[dict[str, Any]] = [
    {
        "type": "message-start",
        "id": "29f14a5a-11de-4cae-9800-25e4747408ea",
        "delta": {"message": {"role": "assistant"}},
    },
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "LL"}}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Ms"}}}},
    {"type": "content-end", "index": 0},
    {
        "type": "message-end",
        "delta": {
            "finish_reason": "COMPLETE",
            "usage": {
                "billed_units": {"input_tokens": 5, "output_tokens": 26},
                "tokens": {"input_tokens": 71, "output_tokens": 26},
            },
        },
    },
]
TOOL_STREAM: list[dict[str, Any]] = [
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": " products"}}},
    {
        "type": "tool-call-start",
        "index": 0,
        "delta": {
            "message": {
                "tool_calls": {
                    "id": "query_daily_sales_report_j3f0adww9pmr",
                    "type": "function",
                    "function": {"name": "query_daily_sales_report", "arguments": ""},
                }
            }
        },
    },
    {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": '{"'}}}}},
    {
        "type": "tool-call-delta",
        "index": 0,
        "delta": {"message": {"tool_calls": {"function": {"arguments": 'day": "2023-09-29"}'}}}},
    },
    {"type": "tool-call-end", "index": 0},
    {
        "type": "tool-call-start",
        "index": 1,
        "delta": {
            "message": {
                "tool_calls": {
                    "id": "query_product_catalog_c66nf11r6s8g",
                    "type": "function",
                    "function": {"name": "query_product_catalog", "arguments": ""},
                }
            }
        },
    },
    {"type": "tool-call-delta", "index": 1, "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}},
    {"type": "tool-call-end", "index": 1},
    {
        "type": "message-end",
        "delta": {
            "finish_reason": "TOOL_CALL",
            "usage": {
                "billed_units": {"input_tokens": 126, "output_tokens": 84},
                "tokens": {"input_tokens": 1589, "output_tokens": 135},
            },
        },
    },
]
WHOLE: dict[str, Any] = {
    "id": "9e5f00aa-bf1e-481a-abe3-0eceac18c3ec",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "I will first find the sales summary."}],
        "tool_calls": [
            {
                "id": "query_daily_sales_report_hgxxmkby3wta",
                "type": "function",
                "function": {"name": "query_daily_sales_report", "arguments": '{"day": "2023-09-29"}'},
            },
        ],
    },
    "finish_reason": "TOOL_CALL",
    "usage": {
        "billed_units": {"input_tokens": 127, "output_tokens": 69},
        "tokens": {"input_tokens": 1032, "output_tokens": 124},
    },
}


def decode(events: list[dict[str, Any]]) -> tuple[list[ChatEvent], Finish | None]:
    decoder = cohere.DIALECT.decoder(SOURCE)
    made = [e for body in events for e in decoder.feed(ServerEvent(body.get("type", ""), json.dumps(body)))]
    return made, decoder.finish()


def wire(request: ChatRequest, quirks: Quirks | None = None, without: str = "") -> Any:
    return cohere.DIALECT.to_wire(request, SPEC, quirks or Quirks(), frozenset({without} if without else ()))


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message(role="user", text="Hi"),), **more)


# ---------------------------------------------------------------------------------------------------- replies


def test_the_documented_stream_gives_its_text_end_and_what_is_billed() -> None:
    events, finish = decode(TEXT_STREAM)
    assert events == [TextDelta(text="LL"), TextDelta(text="Ms")]
    assert finish == Finish(reason="stop", usage=Usage(input_tokens=5, output_tokens=26))


def test_the_documented_tool_stream_gives_plan_and_calls() -> None:
    events, finish = decode(TOOL_STREAM)
    assert events[0] == ReasoningDelta(text=" products")
    calls = [e for e in events if isinstance(e, ToolDelta)]
    assert [(c.index, c.id, c.name) for c in calls if c.id] == [
        (0, "query_daily_sales_report_j3f0adww9pmr", "query_daily_sales_report"),
        (1, "query_product_catalog_c66nf11r6s8g", "query_product_catalog"),
    ]
    assert "".join(c.arguments for c in calls if c.index == 0) == '{"day": "2023-09-29"}'
    assert finish == Finish(reason="tool", usage=Usage(input_tokens=126, output_tokens=84))


def test_the_documented_whole_reply_is_read_like_a_stream() -> None:
    decoder = cohere.DIALECT.decoder(SOURCE)
    assert list(decoder.whole(WHOLE)) == [
        ReasoningDelta(text="I will first find the sales summary."),
        ToolDelta(
            index=0,
            id="query_daily_sales_report_hgxxmkby3wta",
            name="query_daily_sales_report",
            arguments='{"day": "2023-09-29"}',
        ),
    ]
    assert decoder.finish() == Finish(reason="tool", usage=Usage(input_tokens=127, output_tokens=69))


def test_thinking_in_a_stream_is_a_sign_of_life_and_no_text() -> None:
    # ChatContentStartEvent and ChatContentDeltaEvent: `content.thinking`
    start = {
        "type": "content-start",
        "index": 0,
        "delta": {"message": {"content": {"type": "thinking", "thinking": ""}}},
    }
    more = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": "Alice"}}}}
    assert decode([start, more])[0] == [ReasoningDelta(), ReasoningDelta(text="Alice")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("NEW_REASON", "unknown")],
)
def test_finish_reasons_have_their_meaning(reason: str, expected: str) -> None:
    _, finish = decode([{"type": "message-end", "delta": {"finish_reason": reason}}])
    assert finish is not None
    assert finish.reason == expected


@pytest.mark.parametrize("delta", [{"finish_reason": "ERROR", "error": "internal"}, {"finish_reason": "TIMEOUT"}])
def test_a_generation_that_failed_is_a_passing_failure(delta: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        decode([{"type": "message-end", "delta": delta}])


def test_cached_tokens_are_part_of_the_prompt() -> None:
    # `usage.cached_tokens`: "The number of prompt tokens that hit the inference cache."
    usage = cohere.usage_of({"billed_units": {"input_tokens": 100, "output_tokens": 7}, "cached_tokens": 60})
    assert usage == Usage(input_tokens=40, cache_read_tokens=60, output_tokens=7)
    assert cohere.usage_of({"tokens": {"input_tokens": 9, "output_tokens": 7}}).tokens == 16


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["message", "content", "text", "tool_calls", "function", "arguments", "usage",
                                       "finish_reason", "billed_units", "error"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KINDS = ["message-start", "content-delta", "tool-call-start", "tool-call-delta", "message-end", None]


@given(kind=st.sampled_from(KINDS), body=st.dictionaries(st.sampled_from(["index", "delta", "message", "usage",
       "finish_reason"]), ODD, max_size=4))  # fmt: skip
def test_no_event_however_odd_raises_anything_but_an_error_of_the_provider(kind: Any, body: dict[str, Any]) -> None:
    for whole in (False, True):
        decoder = Careful(cohere.DIALECT.decoder(SOURCE), SOURCE)
        with suppress(ProviderError):
            event = ServerEvent("", json.dumps({"type": kind, **body}))
            list(decoder.whole(body) if whole else decoder.feed(event))
        decoder.finish()


# --------------------------------------------------------------------------------------------------- requests

SALES = Tool(name="sales", description="Sales of a day", parameters={"type": "object", "properties": {}}, strict=True)
STOCK = Tool(name="stock", parameters={"type": "object", "properties": {}}, strict=True)


def test_a_conversation_with_tools_has_the_documented_form() -> None:
    # UserMessageV2, AssistantMessageV2, ToolMessageV2 and ImageContent of the same document
    made = Message(
        role="assistant",
        text="I will look.",
        parts=(Thought(text="Hm", signature="EqQB"), ToolCall(id="c1", name="sales", arguments='{"day": 1}')),
    )
    results = Message(
        role="user",
        text="And today?",
        parts=(
            ToolResult(id="c1", parts=(Text(text="12"),)),
            ToolResult(id="c2", parts=(Text(text="no"),), error=True),
        ),
    )
    look = Message(role="user", text="See", parts=(Media(media_type="image/png", data="iVBO"),))
    body = wire(ask(Message(role="system", text="Be brief."), look, made, results, tools=(SALES, STOCK)))
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            ],
        },
        {
            "role": "assistant",
            "content": "I will look.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "sales", "arguments": '{"day": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "12"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: no"},
        {"role": "user", "content": "And today?"},
    ]
    assert body["tools"][0] == {
        "type": "function",
        "function": {"name": "sales", "description": "Sales of a day", "parameters": SALES.parameters},
    }
    assert body["strict_tools"] is True
    assert cohere.DIALECT.url(ask(), SPEC, Quirks(), frozenset()) == "https://api.cohere.com/v2/chat"


def test_every_choice_of_tools_has_its_form() -> None:
    assert "tool_choice" not in wire(ask(tools=(SALES,), tool_choice="auto"))
    assert wire(ask(tools=(SALES,), tool_choice="required"))["tool_choice"] == "REQUIRED"
    assert wire(ask(tools=(SALES,), tool_choice="none"))["tool_choice"] == "NONE"
    named = wire(ask(tools=(SALES, STOCK), tool="stock"))
    assert named["tool_choice"] == "REQUIRED"
    assert [t["function"]["name"] for t in named["tools"]] == ["stock"]


def test_parameters_have_the_vendors_names() -> None:
    body = wire(ask(max_tokens=100, temperature=0.4, top_p=0.8, stop=("END",), seed=3))
    del body["messages"]
    assert body == {
        "model": "command-a-plus-05-2026",
        "stream": True,
        "max_tokens": 100,
        "temperature": 0.4,
        "p": 0.8,
        "stop_sequences": ["END"],
        "seed": 3,
    }


def test_json_is_asked_for_with_a_switch_and_in_words_but_not_beside_tools() -> None:
    # ResponseFormatV2: "your message should always explicitly instruct the model to generate a JSON", and "not
    # supported when used in combinations with the documents or tools parameters".
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}}
    request = ask(answer=AnswerSchema(json_schema=schema))
    body = wire(request)
    assert body["response_format"] == {"type": "json_object", "json_schema": schema}
    assert "JSON" in body["messages"][0]["content"]
    assert "response_format" not in wire(request.model_copy(update={"tools": (SALES,)}))
    assert wire(ask(json_only=True))["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("effort", "limit", "expected"),
    [
        ("none", 4096, {"type": "disabled"}),
        # "if you plan to use thinking budgets, please make sure to leave at least 1K tokens for the response"
        ("xhigh", None, {"type": "enabled", "token_budget": 31_000}),
        ("xhigh", 4096, {"type": "enabled", "token_budget": 3096}),
        ("low", 8000, {"type": "enabled", "token_budget": 2000}),
    ],
)
def test_thinking_has_a_budget_that_leaves_room_for_the_reply(effort: Any, limit: int | None, expected: Any) -> None:
    assert wire(ask(effort=effort, max_tokens=limit), Quirks(effort="thinking"))["thinking"] == expected


def test_media_that_cannot_be_taken_are_refused() -> None:
    sound = Message(role="user", parts=(Media(media_type="audio/wav", data="UklGRg=="),))
    with pytest.raises(Refused, match="audio/wav"):
        wire(ask(sound))


# ------------------------------------------------------------------------------------------------- embeddings


def test_embeddings_are_asked_for_and_read_as_documented() -> None:
    # Example "Texts" of POST /v2/embed, and ApiMeta for what was billed
    way = cohere.DIALECT.embeddings
    assert way is not None
    spec = SPEC.model_copy(update={"model": "embed-v4.0"})
    assert way.url(spec, Quirks()) == "https://api.cohere.com/v2/embed"
    request = EmbedRequest(model="e", texts=("hello", "goodbye"), dimensions=256)
    assert way.to_wire(request, spec, Quirks()) == {
        "model": "embed-v4.0",
        "texts": ["hello", "goodbye"],
        "input_type": "clustering",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    reply = {
        "id": "da6e531f-54c6-4a73-bf92-f60566d8d753",
        "texts": ["hello", "goodbye"],
        "embeddings": {"float": [[0.016296387, -0.008354187], [1, 0]]},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2}},
    }
    found = way.from_wire(reply, SOURCE)
    assert found.vectors == ((0.016296387, -0.008354187), (1.0, 0.0))
    assert found.usage == Usage(input_tokens=2)


# ------------------------------------------------------------------------------------------------- over HTTP


async def test_chat_and_embeddings_work_over_http() -> None:
    stream = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in TEXT_STREAM).encode()
    vectors = {"embeddings": {"float": [[1, 0]]}, "meta": {"billed_units": {"input_tokens": 2}}}

    def answer(request: Request) -> Answer:
        if request.path == "/v2/chat":
            return 200, {"content-type": "text/event-stream"}, stream
        return 200, {"content-type": "application/json"}, json.dumps(vectors).encode()

    async with loopback(answer) as server, open_http({}) as http:
        spec = SPEC.model_copy(update={"base_url": server.url})
        wire = HttpWire(
            cohere.DIALECT,
            spec,
            Quirks(),
            Keys({"COHERE_API_KEY": "co-key-0123456789"}),
            Limits(first_token_s=10, idle_s=10),
            http,
            key_env="COHERE_API_KEY",
            signer=signer(cohere.DIALECT.auth)(spec, "co-key-0123456789", Keys({}), http),
            without=set(),
        )
        reply = await fold(wire, ask())
        found = await wire.embed(EmbedRequest(model="e", texts=("hello",)))
    assert (reply.text, reply.finish, reply.usage) == ("LLMs", "stop", Usage(input_tokens=5, output_tokens=26))
    assert found.vectors == ((1.0, 0.0),)
    assert [request.path for request in server.requests] == ["/v2/chat", "/v2/embed"]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer co-key-0123456789"}
