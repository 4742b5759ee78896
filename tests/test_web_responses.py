"""`/v1/responses` over real HTTP. Payloads follow OpenAI's reference."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from webdoor import Door, door, told

from orchestra_mcp.errors import Unavailable
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


def post(served: Door, **more: Any) -> httpx2.Response:
    return CLIENT.post(served.v1 + "/responses", json={"model": "ada", "input": "Hi", **more})


def events(reply: httpx2.Response) -> list[JsonObject]:
    """The events of a stream, which are named by their types and numbered from 0."""
    found: list[JsonObject] = []
    for frame in reply.text.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        row = json.loads(data.removeprefix("data: "))
        assert name == f"event: {row['type']}"
        assert row.pop("sequence_number") == len(found)
        found.append(row)
    return found


def test_every_item_of_a_request_reaches_the_gateway() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    given: JsonObject = {
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "In English."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Two places."}],
                "encrypted_content": "gAAAA",
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": '{"a":"x"}'},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "function_call_output", "call_id": "call_1", "output": "14"},
            {
                "type": "custom_tool_call_output",
                "call_id": "call_2",
                "output": [{"type": "input_text", "text": "a.py"}],
            },
        ],
        "max_output_tokens": 50,
        "tools": [
            {"type": "function", "name": "f", "description": "F", "parameters": schema, "strict": True},
            {"type": "custom", "name": "shell", "description": "Runs it"},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": True,
        "text": {"format": {"type": "json_schema", "name": "w", "schema": schema, "strict": True}},
        "reasoning": {"effort": "minimal", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "service_tier": "flex",
        "metadata": {"job": "7"},
    }
    with door(told(*DONE)) as served:
        reply = post(served, **given)
    assert reply.status_code == 200
    assert reply.headers["x-orchestra-left-out"] == "input[6].web_search_call, tools[2]"
    [heard] = served.heard
    assert heard.messages == (
        Message(role="system", text="Be brief."),
        Message(role="system", text="In English."),
        Message(
            role="user",
            text="What is this?",
            parts=(
                Media(url="https://example.org/a.png", detail="auto"),
                Media(media_type="application/pdf", data="JVBERg==", name="a.pdf"),
            ),
        ),
        Message(
            role="assistant",
            parts=(
                Thought(id="rs_1", text="Two places.", hidden="gAAAA"),
                Text(text="Let me see."),
                ToolCall(id="call_1", name="f", arguments='{"a":"x"}'),
                ToolCall(id="call_2", name="shell", arguments='{"input":"ls"}'),
            ),
        ),
        Message(
            role="user",
            parts=(
                ToolResult(id="call_1", name="f", parts=(Text(text="14"),)),
                ToolResult(id="call_2", name="shell", parts=(Text(text="a.py"),)),
            ),
        ),
    )
    assert heard.tools[0] == Tool(name="f", description="F", parameters=schema, strict=True)
    assert (heard.tools[1].name, heard.tools[1].parameters["required"]) == ("shell", ["input"])
    assert (heard.max_tokens, heard.tool, heard.parallel_tools, heard.effort) == (50, "f", True, "minimal")
    assert heard.answer is not None
    assert (heard.answer.name, heard.answer.json_schema, heard.answer.strict) == ("w", schema, True)
    assert heard.extra == {"service_tier": "flex", "metadata": {"job": "7"}}
    assert heard.extra_dialect == "responses"
    body = reply.json()
    for name in ("instructions", "max_output_tokens", "metadata", "text", "tool_choice", "tools"):
        assert body[name] == given[name]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [5]}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "rs_1"}]}, "input[0].id"),
        ({"input": [{"type": "web_search_call"}]}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"instructions": 5}, "instructions"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ],
)
def test_a_wrong_field_is_named(more: JsonObject, param: str) -> None:
    with door(told(*DONE)) as served:
        reply = post(served, **more)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"].startswith(param)


PARTS: tuple[ChatEvent, ...] = (
    ReasoningDelta(text="Two "),
    ReasoningDelta(text="tools."),
    ReasoningDelta(hidden="gAAAA", id="rs_9"),
    TextDelta(text="Let me"),
    TextDelta(text=" see."),
    ToolDelta(index=1, id="call_1", name="f"),
    ToolDelta(index=1, arguments='{"a":'),
    ToolDelta(index=2, id="call_2", name="shell", arguments='{"input":"ls"}'),
    ToolDelta(index=1, arguments="1}"),
    Finish(
        reason="tool",
        usage=Usage(input_tokens=5, cache_read_tokens=3, cache_write_tokens=2, output_tokens=7, reasoning_tokens=4),
    ),
)
TOOLS = [{"type": "custom", "name": "shell"}, {"type": "function", "name": "f", "parameters": {}}]


def without_ids(items: list[JsonObject]) -> list[JsonObject]:
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


SAID = {"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}
ITEMS = [
    {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Two tools."}],
        "encrypted_content": "gAAAA",
    },
    {"type": "message", "status": "completed", "role": "assistant", "content": [SAID]},
    {"type": "function_call", "call_id": "call_1", "name": "f", "status": "completed", "arguments": '{"a":1}'},
    {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "status": "completed", "input": "ls"},
]
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
    "output_tokens": 11,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 21,
    "cost_usd": 0.0,
}


def test_a_plain_reply_has_every_item_in_order() -> None:
    with door(told(*PARTS)) as served:
        found = post(served, tools=TOOLS).json()
    assert without_ids(found["output"]) == ITEMS
    assert len({item["id"] for item in found["output"]}) == 4
    assert found["output"][0]["id"] == "rs_9"
    assert (found["object"], found["status"], found["usage"]) == ("response", "completed", USAGE)
    assert (found["error"], found["incomplete_details"]) == (None, None)


def test_a_stream_tells_one_item_after_the_other() -> None:
    with door(told(*PARTS)) as served:
        found = events(post(served, tools=TOOLS, stream=True))
    kinds = [row["type"].removeprefix("response.") for row in found]
    summary = "reasoning_summary"
    assert kinds == [
        "created", "in_progress",
        "output_item.added", f"{summary}_part.added", f"{summary}_text.delta", f"{summary}_text.delta",
        f"{summary}_text.done", f"{summary}_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    added = [row["item"]["id"] for row in found if row["type"] == "response.output_item.added"]
    done = [row["item"] for row in found if row["type"] == "response.output_item.done"]
    assert [item["id"] for item in done] == added
    assert without_ids(done) == ITEMS
    assert [row["delta"] for row in found if row["type"].endswith(".delta")] == [
        "Two ", "tools.", "Let me", " see.", '{"a":', "1}", "ls",
    ]  # fmt: skip
    assert all(row["item_id"] in added for row in found if "item_id" in row)
    assert found[-1]["response"]["output"] == done
    assert found[-1]["response"]["usage"] == USAGE
    assert len({row["response"]["id"] for row in found if "response" in row}) == 1


@pytest.mark.parametrize(("reason", "why"), [("length", "max_output_tokens"), ("filter", "content_filter")])
def test_a_reply_that_was_cut_off_is_incomplete(reason: Any, why: str) -> None:
    with door(told(TextDelta(text="x"), Finish(reason=reason))) as served:
        plain = post(served).json()
        last = events(post(served, stream=True))[-1]
    assert (plain["status"], plain["incomplete_details"]) == ("incomplete", {"reason": why})
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": why}


def test_a_stream_that_fails_ends_in_a_failed_response() -> None:

    with door(told(TextDelta(text="x"), Unavailable("It broke off."))) as served:
        *_, failed, error = events(post(served, stream=True))
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": "It broke off."}
    assert error == {"type": "error", "code": "provider_unavailable", "message": "It broke off.", "param": None}
