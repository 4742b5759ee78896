"""Chat completions, both ways, against what the vendors document; payloads are quoted from the pages named at each."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstream import Expert, Upstream

from orchestra_mcp.errors import ProviderError, RateLimited, Unavailable
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.dialects import openai, responses
from orchestra_mcp.gateway.dialects.decoding import Careful
from orchestra_mcp.gateway.dialects.dialect import Dialect
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL
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
    joined,
)
from orchestra_mcp.gateway.signing import HeaderSigner
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import JsonObject, Usage

SOURCE = Source("m at p")
SPEC = ModelSpec(base_url="https://h.example/v1", model="m")
USER = Message(role="user", text="What is the weather like in Boston today?")

# https://platform.openai.com/docs/api-reference/chat/create, "Functions"
WEATHER: JsonObject = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location"],
}
WEATHER_TOOL = Tool(
    name="get_current_weather", description="Get the current weather in a given location", parameters=WEATHER
)


def body_of(
    *messages: Message,
    spec: ModelSpec = SPEC,
    without: Iterable[str] = (),
    quirks: JsonObject | None = None,
    **more: Any,
) -> JsonObject:
    request = ChatRequest(
        **{"model": "m", "messages": messages or (USER,), "max_tokens": None, "stream": False, **more}
    )
    return openai.DIALECT.to_wire(request, spec, Quirks(**(quirks or {})), frozenset(without))


def turns(*messages: Message, **more: Any) -> list[JsonObject]:
    found: list[JsonObject] = body_of(*messages, **more)["messages"]
    return found


def stream(*bodies: Any) -> tuple[list[ChatEvent], Finish | None]:
    decoder = openai.DIALECT.decoder(SOURCE)
    events = [event for body in bodies for event in decoder.feed(ServerEvent("message", json.dumps(body)))]
    return events, decoder.finish()


def whole(body: JsonObject) -> tuple[list[ChatEvent], Finish | None]:
    decoder = openai.DIALECT.decoder(SOURCE)
    return list(decoder.whole(body)), decoder.finish()


def delta(finish: str | None = None, **delta: Any) -> JsonObject:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def pieces(*calls: JsonObject) -> JsonObject:
    return delta(tool_calls=list(calls))


def calls_of(events: Iterable[ChatEvent]) -> list[ToolCall]:
    found: dict[int, ToolCall] = {}
    for event in events:
        if isinstance(event, ToolDelta):
            first = event.index not in found
            assert bool(event.name and event.id) is first  # the first piece has both, the others have neither
            found[event.index] = joined(found.get(event.index), event)
    assert list(found) == list(range(len(found)))  # no gaps
    return list(found.values())


def has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_null(v) for v in value.values())
    return any(has_null(v) for v in value) if isinstance(value, list) else value is None


# ------------------------------------------------------------------------------------- tools, asked for


def test_a_function_is_offered_in_the_documented_form() -> None:
    body = body_of(tools=(WEATHER_TOOL,), tool_choice="auto")
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "What is the weather like in Boston today?"}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_current_weather",
                    "description": "Get the current weather in a given location",
                    "parameters": WEATHER,
                },
            }
        ],
        "tool_choice": "auto",
    }


def test_a_named_tool_is_forced_and_parallel_calls_can_be_forbidden() -> None:
    # https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice
    body = body_of(tools=(WEATHER_TOOL,), tool="get_current_weather", parallel_tools=False)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "get_current_weather"}}
    assert body["parallel_tool_calls"] is False
    # Without tools the API rejects both.
    assert not {"tool_choice", "parallel_tool_calls", "tools"} & set(body_of(tool_choice="none", parallel_tools=True))


def test_strict_goes_out_only_to_those_who_know_it_and_a_tool_without_arguments_has_an_empty_schema() -> None:
    tool = Tool(name="now", strict=True)
    assert body_of(tools=(tool,))["tools"][0]["function"] == {
        "name": "now",
        "parameters": {"type": "object", "properties": {}},
        "strict": True,
    }
    assert "strict" not in body_of(tools=(tool,), quirks={"strict_tools": False})["tools"][0]["function"]


CALLS = Message(
    role="assistant",
    parts=(
        ToolCall(id="call_12345xyz", name="get_weather", arguments='{"location":"Paris, France"}'),
        ToolCall(id="call_67890abc", name="get_weather", arguments='{"location":"Bogotá, Colombia"}'),
    ),
)


def test_results_follow_their_calls_in_order_before_any_words_of_the_user() -> None:
    # https://platform.openai.com/docs/guides/function-calling?api-mode=chat: one `tool` message for each call
    answer = Message(
        role="user",
        text="And tomorrow?",
        parts=(
            ToolResult(id="call_12345xyz", parts=(Text(text="14"),)),
            ToolResult(id="call_67890abc", parts=(Text(text="no such place"),), error=True),
        ),
    )
    assert turns(USER, CALLS, answer)[1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_12345xyz",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"location":"Paris, France"}'},
                },
                {
                    "id": "call_67890abc",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"location":"Bogotá, Colombia"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_12345xyz", "content": "14"},
        {"role": "tool", "tool_call_id": "call_67890abc", "content": "Error: no such place"},
        {"role": "user", "content": "And tomorrow?"},
    ]


def test_an_image_in_a_result_is_shown_after_all_results_since_a_tool_message_has_only_text() -> None:
    shot = ToolResult(id="a", name="look", parts=(Media(media_type="image/png", data="QUJD"),))
    first = Message(role="user", parts=(shot,))
    second = Message(role="user", parts=(ToolResult(id="b", parts=(Text(text="done"),)),))
    told = turns(USER, CALLS, first, second, Message(role="assistant", text="I see."))
    assert [turn["role"] for turn in told] == ["user", "assistant", "tool", "tool", "user", "assistant"]
    assert told[4]["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    assert "look" in told[4]["content"][0]["text"]


def test_mistral_gets_ids_of_nine_letters_and_digits_and_others_no_longer_ones_than_they_take() -> None:
    # Mistral: "Tool call id has to be defined and must be a-z, A-Z, 0-9, with a length of 9"; OpenAI: at most 40
    long = "toolu_" + "x" * 60
    talk = (
        Message(role="assistant", parts=(ToolCall(id=long, name="f"), ToolCall(id="D681PevKs", name="f"))),
        Message(role="user", parts=(ToolResult(id=long), ToolResult(id="D681PevKs"))),
    )
    for quirks in ({"tool_id": "mistral"}, {}):
        told = turns(*talk, quirks=quirks)
        ids = [call["id"] for call in told[0]["tool_calls"]]
        assert ids == [told[1]["tool_call_id"], told[2]["tool_call_id"]]
        assert ids[1] == "D681PevKs"
        assert len(ids[0]) == 9 if quirks else len(ids[0]) <= 40
        assert ids[0].replace("_", "").isalnum()


def test_gemini_gets_its_signature_back_and_nobody_else_is_sent_it() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"
    call = Message(role="assistant", parts=(ToolCall(id="1", name="f", signature="<Signature A>"),))
    google = ModelSpec(base_url="https://generativelanguage.googleapis.com/v1beta/openai", model="m")
    [sent] = turns(call, spec=google)[0]["tool_calls"]
    assert sent["extra_content"] == {"google": {"thought_signature": "<Signature A>"}}
    assert "Signature" not in json.dumps(turns(call))


# ------------------------------------------------------------------------------------- what is shown and said


def test_an_image_by_address_has_the_documented_form() -> None:
    # https://platform.openai.com/docs/api-reference/chat/create, "Image input"
    url = "https://upload.wikimedia.org/a/2560px-Gfp-wisconsin-madison-the-nature-boardwalk.jpg"
    asked = Message(role="user", text="What is in this image?", parts=(Media(url=url),))
    assert turns(asked) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in this image?"},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        }
    ]


def test_what_the_instructions_show_is_shown_by_the_user() -> None:
    # https://platform.openai.com/docs/api-reference/chat/create: the content of a system message is text
    image = Media(media_type="image/png", data="QUJD")
    told = turns(Message(role="system", text="Be brief.", parts=(image,)), USER)
    assert [turn["role"] for turn in told] == ["system", "user", "user"]
    assert (told[0]["content"], told[1]["content"][0]["type"]) == ("Be brief.", "image_url")


def test_documents_and_sounds_have_parts_of_their_own() -> None:
    # https://platform.openai.com/docs/guides/pdf-files and …/guides/audio
    parts = (
        Media(media_type="application/pdf", data="JVBE", name="draft.pdf"),
        Media(media_type="audio/mpeg", data="SUQz"),
        Media(media_type="audio/wav", data="UklG"),
        Media(media_type="text/plain", data=base64.b64encode(b"two\nlines").decode(), name="a.txt"),
    )
    assert turns(Message(role="user", parts=parts))[0]["content"] == [
        {"type": "file", "file": {"filename": "draft.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "text", "text": "a.txt:\ntwo\nlines"},
    ]


@pytest.mark.parametrize("quirks", [{"images": False}, {"text_parts": False}])
def test_a_model_that_takes_no_images_is_told_that_there_was_one(quirks: JsonObject) -> None:
    [told] = turns(
        Message(role="user", text="See:", parts=(Media(media_type="image/png", data="QUJD"),)), quirks=quirks
    )
    assert "image" in json.dumps(told)
    assert "QUJD" not in json.dumps(told)
    assert isinstance(told["content"], str) is not quirks.get("text_parts", True)


def test_a_cache_mark_is_sent_as_cache_control_where_it_is_known() -> None:
    # https://openrouter.ai/docs/features/prompt-caching, "Anthropic Claude"
    book = Message(role="system", parts=(Text(text="HUGE TEXT BODY", cache=True),))
    [told] = turns(book, quirks={"cache_marks": "anthropic"})
    assert told["content"] == [{"type": "text", "text": "HUGE TEXT BODY", "cache_control": {"type": "ephemeral"}}]
    assert turns(book)[0]["content"] == "HUGE TEXT BODY"


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]),
        ("developer", [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]),
        ("user", [{"role": "user", "content": "Be brief.\n\nHello!"}]),
    ],
)
def test_instructions_go_where_the_model_has_a_place_for_them(role: str, expected: list[JsonObject]) -> None:
    talk = (Message(role="system", text="Be brief."), Message(role="user", text="Hello!"))
    assert turns(*talk, quirks={"system_role": role}) == expected


def test_thinking_goes_back_to_deepseek_and_must_not_be_missing_where_tools_were_called() -> None:
    # https://api-docs.deepseek.com/guides/thinking_mode, "Tool Calls"
    quirks = {"give_back_thoughts": True}
    thought = Thought(text="Which day?")
    said = Message(role="assistant", text="Cloudy.", parts=(thought,))
    called = Message(role="assistant", parts=(thought, ToolCall(id="1", name="f")))
    elsewhere = Message(role="assistant", parts=(ToolCall(id="1", name="f"),))
    assert turns(said, quirks=quirks)[0] == {
        "role": "assistant",
        "content": "Cloudy.",
        "reasoning_content": "Which day?",
    }
    assert turns(called, quirks=quirks)[0]["reasoning_content"] == "Which day?"
    assert turns(elsewhere, quirks=quirks)[0]["reasoning_content"] == ""
    assert "Which day?" not in json.dumps(turns(said, called))


def test_openrouter_gets_signed_thoughts_back_as_reasoning_details() -> None:
    # https://openrouter.ai/docs/use-cases/reasoning-tokens, "reasoning_details Array Structure"
    said = Message(
        role="assistant",
        text="Yes.",
        parts=(
            Thought(text="Let me think", signature="sha256:abc"),
            Thought(hidden="eyJl", id="reasoning-encrypted-1"),
        ),
    )
    spec = ModelSpec(base_url="https://openrouter.ai/api/v1", model="~anthropic/claude-opus-latest")
    [told] = turns(said, spec=spec, quirks={"give_back_thoughts": True, "effort": "reasoning"})
    assert told["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "Let me think",
            "signature": "sha256:abc",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {
            "type": "reasoning.encrypted",
            "data": "eyJl",
            "id": "reasoning-encrypted-1",
            "format": "anthropic-claude-v1",
            "index": 1,
        },
    ]


# ------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("quirks", "effort", "expected"),
    [
        ({"effort": ""}, "high", {}),
        ({"effort": "reasoning_effort"}, "xhigh", {"reasoning_effort": "xhigh"}),
        # https://openrouter.ai/docs/use-cases/reasoning-tokens, "Controlling Reasoning Tokens"
        ({"effort": "reasoning"}, "high", {"reasoning": {"effort": "high"}}),
        # https://api-docs.deepseek.com/guides/thinking_mode: the switch, and its own table of efforts
        *[
            (
                {"effort": "thinking", "efforts": ("low", "high", "max")},
                asked,
                {"thinking": {"type": "enabled"}, "reasoning_effort": told},
            )
            for asked, told in [
                ("minimal", "low"),
                ("low", "low"),
                ("medium", "high"),
                ("high", "high"),
                ("xhigh", "high"),
            ]
        ],
        ({"effort": "thinking", "efforts": ("low", "high")}, "none", {"thinking": {"type": "disabled"}}),
        ({"effort": "thinking"}, "low", {"thinking": {"type": "enabled"}}),
        # Qwen: https://www.alibabacloud.com/help/en/model-studio/deep-thinking
        ({"effort": "enable_thinking"}, "none", {"enable_thinking": False}),
        ({"effort": "budget"}, "medium", {"enable_thinking": True, "thinking_budget": 500}),
        ({"effort": "budget"}, "none", {"enable_thinking": False}),
        # https://docs.mistral.ai/capabilities/reasoning: only `high` and `none`
        ({"effort": "reasoning_effort", "efforts": ("none", "high")}, "medium", {"reasoning_effort": "high"}),
    ],
)
def test_effort_is_told_in_the_vendors_way(quirks: JsonObject, effort: str, expected: JsonObject) -> None:
    body = body_of(effort=effort, quirks=quirks, max_tokens=1000)
    assert {k: v for k, v in body.items() if k not in ("model", "messages", "max_tokens")} == expected


SCHEMA: JsonObject = {"type": "object", "properties": {"n": {"type": ["integer", "null"]}}, "required": ["n"]}
ANSWER = AnswerSchema(name="count", json_schema=SCHEMA, strict=True)


def test_json_of_a_schema_has_the_documented_form() -> None:
    # https://platform.openai.com/docs/guides/structured-outputs?api-mode=chat
    assert body_of(answer=ANSWER)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "count", "schema": SCHEMA, "strict": True},
    }
    assert body_of(json_only=True)["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("quirks", "without", "form"),
    [
        ({"schema_output": "json_object"}, (), {"type": "json_object"}),
        ({"schema_output": ""}, (), None),
        ({}, ("response_format",), None),
        ({"omit": ("response_format",)}, (), None),
    ],
)
def test_a_schema_is_told_in_words_where_there_is_no_field_for_it(
    quirks: JsonObject, without: tuple[str, ...], form: JsonObject | None
) -> None:
    body = body_of(Message(role="system", text="Be brief."), USER, answer=ANSWER, quirks=quirks, without=without)
    assert body.get("response_format") == form
    assert [turn["role"] for turn in body["messages"]] == ["system", "system", "user"]
    assert json.dumps(SCHEMA) in body["messages"][1]["content"]


def test_a_schema_can_be_a_forced_tool_whose_arguments_are_the_answer() -> None:
    body = body_of(answer=ANSWER, quirks={"schema_output": "tool"})
    assert body["tools"][0]["function"]["parameters"] == SCHEMA
    assert body["tool_choice"] == {"type": "function", "function": {"name": ANSWER_TOOL}}
    assert "response_format" not in body
    # With tools of the client's own the model may call those first, but must not answer in plain words.
    asked = body_of(answer=ANSWER, tools=(WEATHER_TOOL,), tool_choice="auto", quirks={"schema_output": "tool"})
    assert (len(asked["tools"]), asked["tool_choice"]) == (2, "required")
    events, finish = stream(
        pieces({"index": 0, "id": "c", "function": {"name": ANSWER_TOOL, "arguments": '{"n"'}}),
        pieces({"index": 0, "function": {"arguments": ": 1}"}}),
        delta("tool_calls"),
    )
    assert events == [TextDelta(text='{"n"'), TextDelta(text=": 1}")]
    assert finish is not None
    assert finish.reason == "stop"


def test_what_a_model_does_not_take_is_not_sent() -> None:
    asked: JsonObject = {
        "temperature": 2.0,
        "top_p": 0.5,
        "seed": 7,
        "stop": ("\n", "END"),
        "stream": True,
        "max_tokens": 9,
    }
    assert body_of(**asked) == {
        "model": "m",
        "messages": [{"role": "user", "content": USER.text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 2.0,
        "top_p": 0.5,
        "stop": ["\n", "END"],
        "seed": 7,
    }
    assert not {"temperature", "top_p"} & set(body_of(**asked, quirks={"temperature": False}))
    assert body_of(**asked, quirks={"temperature_max": 1.5})["temperature"] == 1.5
    assert "stream_options" not in body_of(**asked, quirks={"usage_in_stream": False})
    assert "seed" not in body_of(**asked, quirks={"omit": ("seed",)})
    assert "seed" not in body_of(**asked, without=("seed",))
    assert body_of(quirks={"static": {"service_tier": "flex"}})["service_tier"] == "flex"
    assert body_of(quirks={"max_tokens_needed": 4096})["max_tokens"] == 4096
    assert "max_tokens" not in body_of()
    assert body_of(quirks={"store": False})["store"] is False


def test_the_other_name_of_the_limit_is_used_when_the_usual_one_is_rejected() -> None:
    new = {"limit_field": "max_completion_tokens"}
    assert body_of(max_tokens=5, without=("max_tokens",))["max_completion_tokens"] == 5
    assert body_of(max_tokens=5, quirks=new)["max_completion_tokens"] == 5
    assert body_of(max_tokens=5, quirks=new, without=("max_completion_tokens",))["max_tokens"] == 5
    assert not {"max_tokens", "max_completion_tokens"} & set(
        body_of(max_tokens=5, without=("max_tokens", "max_completion_tokens"))
    )


def test_further_parameters_of_a_client_go_to_vendors_of_its_dialect_and_never_change_who_is_asked() -> None:
    extra = {
        "verbosity": "low",
        "user": None,
        "model": "dearer",
        "n": 9,
        "temperature": 2,
        "metadata": {"a": "b", "c": None},
    }
    body = body_of(temperature=0.5, extra=extra, extra_dialect="openai")
    assert (body["model"], body["temperature"], body["verbosity"]) == ("m", 0.5, "low")
    assert body["metadata"] == {"a": "b"}
    assert not {"n", "user"} & set(body)
    assert "verbosity" not in body_of(extra=extra, extra_dialect="responses")


@pytest.mark.parametrize(
    ("base", "options", "expected"),
    [
        ("https://api.x.ai/v1/", {}, "https://api.x.ai/v1/chat/completions"),
        # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle and …/openai/reference
        (
            "https://res.openai.azure.com/openai/v1",
            {},
            "https://res.openai.azure.com/openai/v1/chat/completions",
        ),
        *[
            (
                base,
                {"deployment": "my gpt", "api_version": "2024-10-21"},
                "https://res.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
            )
            for base in ("https://res.openai.azure.com", "https://res.openai.azure.com/openai/v1/")
        ],
    ],
)
def test_azure_has_two_forms_of_address(base: str, options: dict[str, str], expected: str) -> None:
    spec = ModelSpec(base_url=base, model="m", options=options)
    request = ChatRequest(model="m", messages=(USER,))
    assert openai.DIALECT.url(request, spec, Quirks(), frozenset()) == expected


# ------------------------------------------------------------------------------------- tools, called


def test_a_call_in_a_plain_reply() -> None:
    # https://platform.openai.com/docs/api-reference/chat/create, "Functions"
    events, finish = whole(
        {
            "id": "chatcmpl-abc123",
            "object": "chat.completion",
            "created": 1699896916,
            "model": "gpt-4o-mini",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "call_abc123",
                                "type": "function",
                                "function": {
                                    "name": "get_current_weather",
                                    "arguments": '{\n"location": "Boston, MA"\n}',
                                },
                            }
                        ],
                    },
                    "logprobs": None,
                    "finish_reason": "tool_calls",
                }
            ],
            "usage": {
                "prompt_tokens": 82,
                "completion_tokens": 17,
                "total_tokens": 99,
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }
    )
    assert calls_of(events) == [
        ToolCall(id="call_abc123", name="get_current_weather", arguments='{\n"location": "Boston, MA"\n}')
    ]
    assert finish == Finish(reason="tool", usage=Usage(input_tokens=82, output_tokens=17), model="gpt-4o-mini")


def test_a_call_that_is_streamed_as_openai_documents_it() -> None:
    # https://platform.openai.com/docs/guides/function-calling?api-mode=chat, "Streaming"
    first: JsonObject = {
        "index": 0,
        "id": "call_DdmO9pD3xa9XTPNJ32zg2hcA",
        "function": {"arguments": "", "name": "get_weather"},
        "type": "function",
    }
    texts = ['{"', "location", '":"', "Paris", ",", " France", '"}']
    rest = [{"index": 0, "id": None, "function": {"arguments": t, "name": None}, "type": None} for t in texts]
    events, finish = stream(*(pieces(piece) for piece in (first, *rest)), delta("tool_calls"))
    assert calls_of(events) == [
        ToolCall(id="call_DdmO9pD3xa9XTPNJ32zg2hcA", name="get_weather", arguments='{"location":"Paris, France"}')
    ]
    assert len(events) == 8
    assert finish is not None
    assert finish.reason == "tool"


A, B = '{"a": 1}', '{"b": 2}'


@pytest.mark.parametrize(
    "chunks",
    [
        # as the API reference has it, in turns
        [
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}],
            [{"index": 1, "id": "2", "function": {"name": "g", "arguments": ""}}],
            [{"index": 0, "function": {"arguments": '{"a"'}}, {"index": 1, "function": {"arguments": '{"b"'}}],
            [{"index": 1, "function": {"arguments": ": 2}"}}, {"index": 0, "function": {"arguments": ": 1}"}}],
        ],
        # gaps in the indices
        [
            [{"index": 1, "id": "1", "function": {"name": "f", "arguments": A}}],
            [{"index": 5, "id": "2", "function": {"name": "g", "arguments": B}}],
        ],
        # https://docs.x.ai/docs/guides/function-calling: "the function call will be returned in whole in a single chunk"
        [
            [
                {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": A}},
                {"index": 1, "id": "2", "type": "function", "function": {"name": "g", "arguments": B}},
            ]
        ],
        # every call has index 0: ollama #15457, pi #8861
        [
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": A}}],
            [{"index": 0, "id": "2", "function": {"name": "g", "arguments": B}}],
        ],
        # the same in pieces: LibreChat-AI/agents #260
        [
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a"'}}],
            [{"index": 0, "id": "2", "function": {"name": "g", "arguments": '{"b"'}}],
            [{"index": 0, "id": "1", "function": {"arguments": ": 1}"}}],
            [{"index": 0, "id": "2", "function": {"arguments": ": 2}"}}],
        ],
        # no index: openai-python #2806, ollama #7881
        [
            [{"id": "1", "function": {"name": "f", "arguments": '{"a"'}}],
            [{"function": {"arguments": ": 1}"}}],
            [{"id": "2", "function": {"name": "g", "arguments": '{"b"'}}],
            [{"id": "2", "function": {"arguments": ": 2}"}}],
        ],
        # id and name in every piece
        [
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a"'}}],
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ": 1}"}}],
            [{"index": 1, "id": "2", "function": {"name": "g", "arguments": B}}],
        ],
        # pieces under an index that nobody began: dirac #215
        [
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a"'}}],
            [{"index": 1, "function": {"arguments": ": "}}],
            [{"index": 2, "function": {"arguments": "1}"}}],
            [{"index": 3, "id": "2", "function": {"name": "g", "arguments": B}}],
        ],
        # arguments before the name: vercel/ai #15879
        [
            [{"index": 0, "id": "1", "function": {"arguments": '{"a"'}}],
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ": 1}"}}],
            [{"index": 1, "id": "2", "function": {"name": "g", "arguments": B}}],
        ],
        # arguments that are an object
        [
            [{"index": 0, "id": "1", "function": {"name": "f", "arguments": {"a": 1}}}],
            [{"index": 1, "id": "2", "function": {"name": "g", "arguments": {"b": 2}}}],
        ],
    ],
    ids=[
        "documented",
        "gaps",
        "whole",
        "one-index",
        "one-index-pieces",
        "no-index",
        "repeated",
        "stray",
        "late-name",
        "object",
    ],
)
def test_two_calls_are_put_together_however_they_are_streamed(chunks: list[list[JsonObject]]) -> None:
    events, finish = stream(*(pieces(*chunk) for chunk in chunks), delta("tool_calls"))
    assert calls_of(events) == [
        ToolCall(id="1", name="f", arguments=A),
        ToolCall(id="2", name="g", arguments=B),
    ]
    assert finish is not None
    assert finish.reason == "tool"


def test_calls_without_ids_are_given_ones_that_differ_and_no_arguments_are_an_empty_object() -> None:
    events, finish = stream(
        pieces({"index": 0, "function": {"name": "f", "arguments": ""}}),
        pieces({"index": 1, "function": {"name": "f", "arguments": B}}),
        delta("stop"),
    )
    first, second = calls_of(events)
    assert (first.arguments, second.arguments) == ("{}", B)
    assert first.id != second.id
    assert finish is not None
    assert finish.reason == "tool"  # Ollama and Gemini say `stop`


def test_the_function_call_of_before_tools_is_read() -> None:
    events, _ = stream(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": A}),
        delta("function_call"),
    )
    [call] = calls_of(events)
    assert (call.name, call.arguments) == ("f", A)


def test_gemini_signs_its_calls() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"
    call = {
        "extra_content": {"google": {"thought_signature": "<Signature A>"}},
        "function": {"arguments": '{"flight":"AA100"}', "name": "check_flight"},
        "id": "function-call-1",
        "type": "function",
    }
    events, _ = whole({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    [made] = calls_of(events)
    assert made.signature == "<Signature A>"


# ------------------------------------------------------------------------------------- thinking, ends, usage


def test_deepseek_thinks_in_reasoning_content_and_has_names_of_its_own_for_the_cache() -> None:
    # https://api-docs.deepseek.com/api/create-chat-completion: `usage` of the response
    events, finish = stream(
        delta(role="assistant", content=None, reasoning_content="Hmm"),
        delta(content=None, reasoning_content=", 9.8."),
        delta(content="9.8", reasoning_content=None),
        delta("stop", content="", reasoning_content=None)
        | {
            "usage": {
                "completion_tokens": 30,
                "prompt_tokens": 17,
                "prompt_cache_hit_tokens": 10,
                "prompt_cache_miss_tokens": 7,
                "total_tokens": 47,
                "completion_tokens_details": {"reasoning_tokens": 20},
            }
        },
    )
    assert events == [ReasoningDelta(text="Hmm"), ReasoningDelta(text=", 9.8."), TextDelta(text="9.8")]
    assert finish is not None
    assert finish.usage == Usage(input_tokens=7, cache_read_tokens=10, output_tokens=10, reasoning_tokens=20)


def test_mistral_thinks_in_parts() -> None:
    # https://docs.mistral.ai/capabilities/reasoning: content is a list with a thinking chunk
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "John is one of four."}]},
        {"type": "text", "text": "Three brothers."},
    ]
    events, _ = whole({"choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]})
    assert events == [ReasoningDelta(text="John is one of four."), TextDelta(text="Three brothers.")]


def test_openrouter_details_are_read_once_with_what_only_the_vendor_can_read() -> None:
    # https://openrouter.ai/docs/use-cases/reasoning-tokens, "Response Examples"
    details = [
        {"type": "reasoning.text", "text": "Step one", "signature": "sha256:abc", "id": "reasoning-text-1", "index": 0},
        {"type": "reasoning.encrypted", "data": "eyJl", "id": "reasoning-encrypted-1", "index": 1},
    ]
    signed = [
        ReasoningDelta(signature="sha256:abc", id="reasoning-text-1"),
        ReasoningDelta(hidden="eyJl", id="reasoning-encrypted-1"),
    ]
    both, _ = stream(delta(reasoning="Step one", reasoning_details=details))
    assert both == [ReasoningDelta(text="Step one"), *signed]
    alone, _ = stream(delta(reasoning_details=details))
    assert alone == [ReasoningDelta(text="Step one"), *signed]


def test_groq_puts_usage_and_errors_of_streams_under_its_own_name() -> None:
    # https://console.groq.com/docs/api-reference#chat-create: `x_groq` of the last chunk
    usage = {
        "queue_time": 0.04,
        "prompt_tokens": 24,
        "prompt_time": 0.002,
        "completion_tokens": 377,
        "total_tokens": 401,
    }
    events, finish = stream(delta(reasoning="So"), delta("stop") | {"x_groq": {"id": "req_01", "usage": usage}})
    assert events == [ReasoningDelta(text="So")]
    assert finish is not None
    assert finish.usage == Usage(input_tokens=24, output_tokens=377)
    with pytest.raises(Unavailable):
        stream(delta() | {"x_groq": {"id": "req_01", "error": "over capacity"}})


def test_moonshot_tells_usage_within_the_choice() -> None:
    # https://platform.moonshot.ai/docs/api/chat, "Streaming"
    last = delta("stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32}
    _, finish = stream(delta(content="Hi"), last)
    assert finish is not None
    assert finish.usage == Usage(input_tokens=19, output_tokens=13)


def test_a_refusal_is_a_filtered_end_whatever_the_finish_reason_says() -> None:
    # https://platform.openai.com/docs/guides/structured-outputs, "Refusals"
    refusal = "I'm sorry, I cannot assist with that request."
    for events, finish in (
        whole({"choices": [{"index": 0, "message": {"refusal": refusal}, "finish_reason": "stop"}]}),
        stream(delta(refusal="I'm sorry"), delta("stop")),
    ):
        assert events == []
        assert finish is not None
        assert finish.reason == "filter"


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "network_error", "abort"])
def test_an_end_that_is_a_failure_of_the_server_may_be_tried_elsewhere(reason: str) -> None:
    # DeepSeek says that such a request "is interrupted due to insufficient resource of the inference system"
    with pytest.raises(Unavailable):
        stream(delta(content="Hal"), delta(reason))


def test_errors_without_an_error_object_are_found() -> None:
    with pytest.raises(RateLimited):
        whole({"object": "error", "message": "slow down", "type": "TooMany", "code": 429})
    with pytest.raises(ProviderError):
        stream({"object": "error", "message": "no", "code": 400})


def test_the_sequence_that_stopped_it_is_told_where_the_vendor_tells() -> None:
    # https://docs.vllm.ai: `stop_reason` is the string or token that stopped it, or null
    last = delta("stop")
    last["choices"][0]["stop_reason"] = "END"
    _, finish = stream(delta(content="x"), last)
    assert finish is not None
    assert finish.stopped_by == "END"


def test_only_the_first_choice_counts() -> None:
    second = {"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}
    events, finish = stream({"choices": [second]}, delta("stop", content="yes"))
    assert events == [TextDelta(text="yes")]
    assert finish is not None
    assert finish.reason == "stop"


# ------------------------------------------------------------------------------------- vectors


def test_vectors_are_asked_for_and_read_as_documented() -> None:
    # https://platform.openai.com/docs/api-reference/embeddings/create; no `encoding_format`: some servers reject it
    way = openai.DIALECT.embeddings
    assert way is not None
    request = EmbedRequest(model="m", texts=("a", "b"), dimensions=2)
    assert way.to_wire(request, SPEC, Quirks()) == {"model": "m", "input": ["a", "b"], "dimensions": 2}
    assert way.url(SPEC, Quirks()) == "https://h.example/v1/embeddings"
    packed = base64.b64encode(bytes.fromhex("0000803f000000c0")).decode()  # 1.0 and -2.0 in IEEE 754, little-endian
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "embedding": packed, "index": 1},
            {"object": "embedding", "embedding": [0.0023064255, -0.009327292], "index": 0},
        ],
        "model": "text-embedding-ada-002",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    vectors = way.from_wire(body, SOURCE)
    assert vectors.vectors == ((0.0023064255, -0.009327292), (1.0, -2.0))
    assert (vectors.usage, vectors.model) == (Usage(input_tokens=8), "text-embedding-ada-002")


# ------------------------------------------------------------------------------------- anything


MEDIA = st.builds(
    Media,
    media_type=st.sampled_from(["", "image/png", "audio/wav", "video/mp4", "application/pdf", "text/plain"]),
    data=st.sampled_from(["", "QUJD", "?"]),
    url=st.sampled_from(["", "https://h.example/a.pdf"]),
)
TEXTS = st.builds(Text, text=st.text(max_size=5), cache=st.booleans())
PARTS = st.one_of(
    TEXTS,
    MEDIA,
    st.builds(ToolCall, id=st.text(max_size=50), name=st.just("f"), arguments=st.sampled_from(["", "{}"])),
    st.builds(
        ToolResult, id=st.text(max_size=5), parts=st.lists(TEXTS | MEDIA, max_size=2).map(tuple), error=st.booleans()
    ),
    st.builds(Thought, text=st.text(max_size=5), hidden=st.text(max_size=5), id=st.text(max_size=3)),
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant"]),
    text=st.text(max_size=5),
    parts=st.lists(PARTS, max_size=4).map(tuple),
)
REQUESTS = st.builds(
    ChatRequest,
    model=st.just("m"),
    messages=st.lists(MESSAGES, min_size=1, max_size=4).map(tuple),
    max_tokens=st.none() | st.integers(1, 99),
    temperature=st.none() | st.floats(0, 2),
    seed=st.none() | st.integers(0, 9),
    effort=st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh"]),
    tools=st.sampled_from([(), (WEATHER_TOOL, Tool(name="now"))]),
    tool_choice=st.sampled_from([None, "auto", "none", "required"]),
    parallel_tools=st.none() | st.booleans(),
    json_only=st.booleans(),
    answer=st.none() | st.just(AnswerSchema(json_schema={"type": "object"})),
    stream=st.booleans(),
    extra=st.just({"user": None, "metadata": {"a": None}, "verbosity": "low"}),
    extra_dialect=st.sampled_from(["", "openai", "responses"]),
)
QUIRKS = st.builds(
    Quirks,
    system_role=st.sampled_from(["system", "developer", "user"]),
    effort=st.sampled_from(["", "reasoning_effort", "reasoning", "thinking", "adaptive", "enable_thinking", "budget"]),
    efforts=st.sampled_from([(), ("low", "high"), ("none", "default"), ("strange",)]),
    schema_output=st.sampled_from(["json_schema", "json_object", "tool", ""]),
    give_back_thoughts=st.booleans(),
    text_parts=st.booleans(),
    images=st.booleans(),
    tool_id=st.sampled_from(["", "mistral"]),
    cache_marks=st.sampled_from(["", "anthropic"]),
)


@settings(max_examples=150, deadline=None)
@given(request=REQUESTS, quirks=QUIRKS, without=st.frozensets(st.sampled_from(sorted(openai.DIALECT.optional))))
def test_no_request_carries_a_null_and_results_directly_follow_calls(
    request: ChatRequest, quirks: Quirks, without: frozenset[str]
) -> None:
    body = openai.DIALECT.to_wire(request, SPEC, quirks, without)
    assert not has_null(body)
    assert not without & set(body)
    json.dumps(body)
    for turn in body["messages"]:
        assert isinstance(turn["content"], str) or (quirks.text_parts and turn["content"])
        assert "tool_calls" not in turn or turn["tool_calls"]


WORDS = sorted(
    {
        "choices", "delta", "message", "index", "tool_calls", "function", "name", "arguments", "id", "content", "text",
        "type", "thinking", "reasoning", "reasoning_content", "reasoning_details", "finish_reason", "usage", "error",
        "code", "refusal", "model", "x_groq", "prompt_tokens", "cost", "function_call", "extra_content", "google",
        "thought_signature", "stop_reason", "object", "data", "signature", "completion_tokens_details",
    }
)  # fmt: skip
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "stop", "text", "thinking", "error", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)
CHUNKS = st.builds(
    lambda delta, rest, reason: {
        "choices": [{"index": 0, "delta": delta, "message": delta, "finish_reason": reason}],
        **rest,
    },
    st.dictionaries(st.sampled_from(WORDS), ODD, max_size=6),
    st.dictionaries(st.sampled_from(WORDS), ODD, max_size=2),
    st.sampled_from([None, "stop", "tool_calls"]) | ODD,
)


@settings(max_examples=300, deadline=None)
@given(bodies=st.lists(CHUNKS | st.dictionaries(st.sampled_from(WORDS), ODD), min_size=1, max_size=4))
def test_no_json_gets_anything_but_an_event_or_an_error_of_the_provider(bodies: list[Any]) -> None:
    streamed = Careful(openai.DIALECT.decoder(SOURCE), SOURCE)
    plain = Careful(openai.DIALECT.decoder(SOURCE), SOURCE)
    try:
        for body in bodies:
            list(streamed.feed(ServerEvent("message", json.dumps(body))))
        list(plain.whole(json.loads(json.dumps(bodies[0]))))
    except ProviderError:
        pass
    for decoder in (streamed, plain):
        finish = decoder.finish()
        assert finish is None or finish.usage.tokens >= 0


# ------------------------------------------------------------------------------------- over HTTP


@asynccontextmanager
async def server(replies: list[tuple[int, str, str]]) -> AsyncIterator[tuple[str, list[tuple[str, JsonObject]]]]:
    """An HTTP server that gives one reply (status, content type, body) after the other: its address, what it was sent."""
    seen: list[tuple[str, JsonObject]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        size = next(
            int(line.partition(":")[2]) for line in head.split("\r\n") if line.lower().startswith("content-length")
        )
        seen.append((head.split(" ")[1], json.loads(await reader.readexactly(size))))
        status, kind, body = replies[len(seen) - 1]
        data = body.encode()
        lines = (
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
        )
        writer.write(lines.encode() + data)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", seen
    finally:
        listener.close()
        await listener.wait_closed()


def wire_of(dialect: Dialect, spec: ModelSpec, quirks: Quirks, http: Transport) -> HttpWire:
    """One model over real HTTP, without a key."""
    signer = HeaderSigner("authorization", "Bearer ", "")
    return HttpWire(dialect, spec, quirks, Keys({}), Limits(), http, key_env="", signer=signer, without=set())


async def test_a_streamed_call_comes_through_real_http_and_its_result_goes_back() -> None:
    first = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_current_weather", "arguments": ""},
    }
    more = {"index": 0, "function": {"arguments": '{"location": "Boston, MA"}'}}
    calling = [pieces(first), pieces(more), delta("tool_calls")]
    saying = [delta(content="Cold."), delta("stop")]
    replies = [
        (200, "text/event-stream", "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n")
        for chunks in (calling, saying)
    ]
    async with server(replies) as (base, seen), open_http() as http:
        wire = wire_of(openai.DIALECT, ModelSpec(base_url=f"{base}/v1", model="m"), Quirks(), http)
        asked = await fold(wire, ChatRequest(model="m", messages=(USER,), tools=(WEATHER_TOOL,)))
        assert asked.finish == "tool"
        talk = (
            USER,
            Message(role="assistant", parts=asked.tool_calls),
            Message(role="user", parts=(ToolResult(id=asked.tool_calls[0].id, parts=(Text(text="-3 °C"),)),)),
        )
        told = await fold(wire, ChatRequest(model="m", messages=talk, tools=(WEATHER_TOOL,)))
    assert (told.text, told.finish) == ("Cold.", "stop")
    assert seen[1][0] == "/v1/chat/completions"
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_current_weather", "arguments": '{"location": "Boston, MA"}'},
    }
    assert seen[1][1]["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "-3 °C"},
    ]


async def test_a_rejected_parameter_is_left_out_once_and_remembered() -> None:
    with Upstream({"ada": Expert("42", rejects=("reasoning_effort", "seed"))}) as upstream:
        async with open_http() as http:
            spec = ModelSpec(base_url=f"{upstream.url}/v1", model="ada")
            wire = wire_of(openai.DIALECT, spec, Quirks(effort="reasoning_effort"), http)
            request = ChatRequest(model="ada", messages=(USER,), effort="low", seed=1)
            assert (await fold(wire, request)).text == "42"
            assert (await fold(wire, request)).text == "42"
        sent = [{"reasoning_effort", "seed"} & set(call.body) for call in upstream.calls]
    assert len(sent) == 4
    assert sent[0] == {"reasoning_effort", "seed"}
    assert sent[2:] == [set(), set()]


# ------------------------------------------------------------------------------------- who says it, how closely to look


def test_several_speakers_of_one_role_are_told_apart() -> None:
    # https://platform.openai.com/docs/api-reference/chat/create: `name` of a message
    image = Media(media_type="image/png", data="AAAA")
    messages = (
        Message(role="system", text="Be brief.", name="example_user"),
        Message(role="user", text="Hi.", name="ann"),
        Message(role="assistant", text="Hello.", name="bot"),
        Message(role="assistant", name="tooled", parts=(ToolCall(id="call_1", name="f"),)),
        Message(role="user", name="bob", parts=(ToolResult(id="call_1", parts=(Text(text="42"),)), Text(text="So?"))),
        Message(role="user", text="And this?", parts=(image,), name="cid"),
        Message(role="user", text="Well?", parts=(image,)),
    )

    def names(**quirks: Any) -> list[str | None]:
        request = ChatRequest(model="m", messages=messages)
        found = openai.DIALECT.to_wire(request, SPEC, Quirks(**quirks), frozenset())["messages"]
        assert [turn["role"] for turn in found] == [
            "system",
            "user",
            "assistant",
            "assistant",
            "tool",
            "user",
            "user",
            "user",
        ]
        return [turn.get("name") for turn in found]

    assert names() == ["example_user", "ann", "bot", "tooled", None, "bob", "cid", None]
    assert names(omit=("name",)) == [None] * 8


def test_how_closely_an_image_is_looked_at_is_told_when_somebody_says_so() -> None:
    # https://platform.openai.com/docs/guides/images-vision: `detail` is low, high or auto
    parts = (Media(url="https://e.com/a.png", detail="low"), Media(url="https://e.com/b.png"))
    request = ChatRequest(model="m", messages=(Message(role="user", parts=parts),))
    content = openai.DIALECT.to_wire(request, SPEC, Quirks(), frozenset())["messages"][0]["content"]
    assert [part["image_url"] for part in content] == [
        {"url": "https://e.com/a.png", "detail": "low"},
        {"url": "https://e.com/b.png"},
    ]
    items = responses.DIALECT.to_wire(request, SPEC, Quirks(), frozenset())["input"][0]["content"]
    assert [part["detail"] for part in items] == ["low", "auto"]
