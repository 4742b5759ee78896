"""`/v1/messages` over real HTTP. Payloads follow Anthropic's reference."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from webdoor import Door, door, told

from orchestra_mcp.gateway.provider import (
    ChatEvent,
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
from orchestra_mcp.types import JsonObject, Usage

CLIENT = httpx2.Client(timeout=20, limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False)
DONE = (TextDelta(text="x"), Finish(reason="stop"))
HI = [{"role": "user", "content": "Hi"}]


def post(served: Door, path: str = "/messages", **more: Any) -> httpx2.Response:
    given = {"model": "ada", "max_tokens": 100, "messages": HI, **more}
    return CLIENT.post(served.v1 + path, json={name: value for name, value in given.items() if value is not None})


def events(reply: httpx2.Response) -> list[JsonObject]:
    """The events of a stream; each is named by its type."""
    found = []
    for frame in reply.text.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        row = json.loads(data.removeprefix("data: "))
        assert name == f"event: {row['type']}"
        found.append(row)
    return found


def test_every_block_of_a_request_reaches_the_gateway() -> None:
    given: JsonObject = {
        "system": [
            {"type": "text", "text": "You are terse."},
            {"type": "text", "text": "Long context", "cache_control": {"type": "ephemeral"}},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A=="}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                    {
                        "type": "document",
                        "title": "a.pdf",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                    },
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Plain."}},
                    {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Two tools.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},
                    {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"},
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {"location": "Paris"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_01",
                        "is_error": True,
                        "content": [
                            {"type": "text", "text": "no"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "toolu_99"},
                ],
            },
        ],
        "temperature": 0.2,
        "top_p": 0.8,
        "top_k": 40,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "tools": [
            {"name": "get_weather", "description": "Weather", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 10_000},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "context_management": {"edits": []},
    }
    with door(told(*DONE)) as served:
        reply = post(served, **given)
    assert reply.status_code == 200
    assert reply.headers["x-orchestra-left-out"] == "tools[1], context_management"
    [heard] = served.heard
    assert heard.messages == (
        Message(role="system", text="You are terse.", parts=(Text(text="Long context", cache=True),)),
        Message(
            role="user",
            parts=(
                Media(media_type="image/jpeg", data="/9j/4A=="),
                Media(url="https://example.org/a.png"),
                Media(media_type="application/pdf", data="JVBERg==", name="a.pdf"),
                Text(text="Plain."),
                Text(text="What is this?", cache=True),
            ),
        ),
        Message(
            role="assistant",
            parts=(
                Thought(text="Two tools.", signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3h"),
                Thought(hidden="EmwKAhgBEgy3va3pzix"),
                Text(text="Let me see."),
                ToolCall(id="toolu_01", name="get_weather", arguments='{"location":"Paris"}'),
            ),
        ),
        Message(
            role="user",
            parts=(
                ToolResult(
                    id="toolu_01",
                    name="get_weather",
                    error=True,
                    parts=(Text(text="no"), Media(media_type="image/png", data="iVBO")),
                ),
                ToolResult(id="toolu_99"),
            ),
        ),
    )
    assert (heard.max_tokens, heard.temperature, heard.top_p, heard.stop) == (100, 0.2, 0.8, ("END",))
    assert heard.tools == (Tool(name="get_weather", description="Weather", parameters={"type": "object"}),)
    assert (heard.tool_choice, heard.parallel_tools, heard.effort) == ("required", False, "medium")
    assert heard.answer is not None
    assert heard.answer.json_schema == {"type": "object"}
    assert heard.extra == {"top_k": 40, "metadata": {"user_id": "u1"}}
    assert heard.extra_dialect == "anthropic"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "xhigh"),
        ({"output_config": {"effort": "medium"}}, "medium"),
        ({}, None),
    ],
)
def test_how_long_to_think_is_one_word_for_all_vendors(more: JsonObject, expected: str | None) -> None:
    with door(told(*DONE)) as served:
        post(served, **more)
    assert served.heard[0].effort == expected


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
            "messages[0].content[0].source.type",
        ),
        ({"system": 5}, "system"),
        ({"temperature": 1.5}, "temperature"),
        ({"tools": [{"name": "f"}], "tool_choice": {"type": "all"}}, "tool_choice.type"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ],
)
def test_a_wrong_field_is_named_in_anthropics_shape(more: JsonObject, param: str) -> None:
    with door(told(*DONE)) as served:
        reply = post(served, **more)
    body = reply.json()
    assert (reply.status_code, body["type"]) == (400, "error")
    assert body["error"]["type"] == "invalid_request_error"
    assert param in body["error"]["message"]
    assert body["request_id"] == reply.headers["request-id"]


PARTS: tuple[ChatEvent, ...] = (
    ReasoningDelta(text="Two "),
    ReasoningDelta(text="tools."),
    ReasoningDelta(signature="EqQB"),
    ReasoningDelta(hidden="Emw"),
    TextDelta(text="Let me"),
    TextDelta(text=" see."),
    ToolDelta(index=1, id="toolu_1", name="f"),
    ToolDelta(index=1, arguments='{"a":'),
    ToolDelta(index=2, id="toolu_2", name="g", arguments="{}"),  # while the first is still being told
    ToolDelta(index=1, arguments="1}"),
    Finish(
        reason="tool",
        model="ada-2026",
        usage=Usage(
            input_tokens=5, cache_read_tokens=3, cache_write_tokens=2, output_tokens=7, reasoning_tokens=4,
            cost_usd=Decimal("0.25"),
        ),
    ),
)  # fmt: skip
USAGE = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
    "output_tokens": 11,
    "cost_usd": 0.25,
}


def test_a_plain_reply_has_every_block_in_order() -> None:
    with door(told(*PARTS)) as served:
        found = post(served).json()
    assert found["content"] == [
        {"type": "thinking", "thinking": "Two tools.", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "Emw"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ]
    assert (found["type"], found["role"], found["model"]) == ("message", "assistant", "ada-2026")
    assert (found["stop_reason"], found["stop_sequence"], found["usage"]) == ("tool_use", None, USAGE)


def test_a_stream_tells_one_block_after_the_other() -> None:
    with door(told(*PARTS)) as served:
        found = events(post(served, stream=True))
    assert found[0]["type"] == "message_start"
    assert found[0]["message"]["content"] == []

    def block(index: int, start: JsonObject, *deltas: JsonObject) -> list[JsonObject]:
        return [
            {"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    def text(kind: str, field: str, *pieces: str) -> list[JsonObject]:
        return [{"type": kind, field: piece} for piece in pieces]

    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    signed = {"type": "signature_delta", "signature": "EqQB"}
    assert found[1:] == [
        *block(0, thinking, *text("thinking_delta", "thinking", "Two ", "tools."), signed),
        *block(1, {"type": "redacted_thinking", "data": "Emw"}),
        *block(2, {"type": "text", "text": ""}, *text("text_delta", "text", "Let me", " see.")),
        *block(
            3,
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            *text("input_json_delta", "partial_json", '{"a":', "1}"),
        ),
        *block(
            4,
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            *text("input_json_delta", "partial_json", "{}"),
        ),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": USAGE},
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        (Finish(reason="stop"), ("end_turn", None)),
        (Finish(reason="stop", stopped_by="END"), ("stop_sequence", "END")),
        (Finish(reason="length"), ("max_tokens", None)),
        (Finish(reason="filter"), ("refusal", None)),
    ],
)
def test_why_it_ended_is_told(finish: Finish, expected: tuple[str, str | None]) -> None:
    with door(told(TextDelta(text="x"), finish)) as served:
        plain = post(served).json()
        delta = events(post(served, stream=True))[-2]["delta"]
    assert (plain["stop_reason"], plain["stop_sequence"]) == expected
    assert (delta["stop_reason"], delta["stop_sequence"]) == expected


def test_arguments_that_are_no_object_are_not_lost() -> None:
    broken = ToolDelta(index=0, id="t", name="f", arguments='{"a":')
    with door(told(broken, Finish(reason="tool"))) as served:
        assert post(served).json()["content"][0]["input"] == {"_raw": '{"a":'}


def test_counted_tokens_say_that_they_are_an_estimate() -> None:
    with door(told()) as served:
        few = post(served, "/messages/count_tokens", max_tokens=None)
        tools = [{"name": "f", "description": "x" * 350, "input_schema": {}}]
        many = post(served, "/messages/count_tokens", system="y" * 3500, tools=tools)
        wrong = post(served, "/messages/count_tokens", messages=[])
    assert few.headers["x-orchestra-estimate"] == "true"
    assert few.json() == {"input_tokens": 4, "estimate": True}  # (12 + 2) / 3.5
    assert 1100 <= many.json()["input_tokens"] <= 1120
    assert (wrong.status_code, wrong.json()["type"]) == (400, "error")
