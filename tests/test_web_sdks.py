"""The unmodified SDKs of OpenAI and Anthropic, and LangChain on top of them, against the door.

Replies of vendors come from the loopback upstream, or are the examples of the vendors' own documentation.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel
from upstream import Expert, Upstream
from webdoor import KEY, Door, Vendor, door, sse, told

from orchestra_mcp.errors import BudgetExceeded, NotFound, OrchestraError, RateLimited, Refused, Unavailable
from orchestra_mcp.gateway.dialects.dialect import Vectors
from orchestra_mcp.gateway.provider import Caller, EmbedRequest, Finish, Message, TextDelta, ToolDelta
from orchestra_mcp.gateway.transcription import Transcribing, Transcript, TranscriptionRequest
from orchestra_mcp.gateway.transports.pooled import PooledTransport
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import CallRecord, Usage
from orchestra_mcp.web.desk import ModelCard
from orchestra_mcp.web.errors import Declined

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SAYS = "It waits for a lock that nobody gives back."
every_wire = pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
HI: list[Any] = [{"role": "user", "content": "Why?"}]


def openai_of(served: Door) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.v1, api_key="orc_test", max_retries=0)


def anthropic_of(served: Door) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key="orc_test", max_retries=0)


# ------------------------------------------------------------------------------------- plain and streaming


@every_wire
def test_openai_chat(wire: str) -> None:
    with (
        Upstream({"ada": Expert(SAYS, thinks="Hmm.")}) as upstream,
        door(upstream, wire=wire) as served,
        openai_of(served) as client,
    ):
        plain = client.chat.completions.create(model="ada", messages=HI)
        stream = client.chat.completions.create(
            model="ada", messages=HI, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        with client.chat.completions.stream(model="ada", messages=HI) as events:
            final = events.get_final_completion()
    assert plain.choices[0].message.content == SAYS
    assert plain.choices[0].finish_reason == "stop"
    assert plain.usage is not None
    assert (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (100, 50)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == SAYS
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.total_tokens) == (100, 150)
    assert final.choices[0].message.content == SAYS


@every_wire
def test_openai_responses(wire: str) -> None:
    with (
        Upstream({"ada": Expert(SAYS, thinks="Hmm.")}) as upstream,
        door(upstream, wire=wire) as served,
        openai_of(served) as client,
    ):
        plain = client.responses.create(model="ada", input="Why?", instructions="Be brief.")
        with client.responses.stream(model="ada", input="Why?") as events:
            text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            final = events.get_final_response()
    assert (plain.output_text, plain.status) == (SAYS, "completed")
    assert (plain._request_id or "").startswith("req_")
    assert plain.usage is not None
    assert (plain.usage.input_tokens, plain.usage.output_tokens) == (100, 50)
    assert [item.type for item in plain.output] == ["reasoning", "message"]
    assert text == final.output_text == SAYS
    assert upstream.calls[0].prompt == "Be brief.\n\nWhy?"


@every_wire
def test_anthropic_messages(wire: str) -> None:
    with (
        Upstream({"ada": Expert(SAYS, thinks="Hmm.")}) as upstream,
        door(upstream, wire=wire) as served,
        anthropic_of(served) as client,
    ):
        plain = client.messages.create(model="ada", max_tokens=50, system="Be brief.", messages=HI)
        with client.messages.stream(model="ada", max_tokens=50, messages=HI) as events:
            text = "".join(events.text_stream)
            final = events.get_final_message()
        counted = client.messages.count_tokens(model="ada", messages=HI)
    for message in (plain, final):
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.content[-1].type == "text"
        assert message.content[-1].text == SAYS
        assert message.stop_reason == "end_turn"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (100, 50)
    assert (plain._request_id or "").startswith("req_")
    assert text == SAYS
    assert counted.input_tokens > 0
    assert upstream.calls[0].prompt == "Be brief.\n\nWhy?"


async def test_a_stream_that_the_sdk_closes_cancels_the_call() -> None:
    with Upstream({"ada": Expert("word " * 50, fault="stall")}) as upstream, door(upstream) as served:
        async with (
            openai.AsyncOpenAI(base_url=served.v1, api_key="x", max_retries=0) as client,
            await client.chat.completions.create(model="ada", messages=HI, stream=True) as stream,
        ):
            async for _ in stream:
                break
        await upstream.wait_until(lambda: upstream.calls[0].aborted)


# ------------------------------------------------------------------------------------------------- errors

ERRORS: list[tuple[OrchestraError, type[Exception], type[Exception]]] = [
    (Refused("no", "request"), openai.BadRequestError, anthropic.BadRequestError),
    (Declined(401, "invalid_api_key", "no"), openai.AuthenticationError, anthropic.AuthenticationError),
    (BudgetExceeded("no"), openai.APIStatusError, anthropic.APIStatusError),
    (Declined(403, "not_allowed", "no"), openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    (NotFound("no"), openai.NotFoundError, anthropic.NotFoundError),
    (RateLimited("no", 1), openai.RateLimitError, anthropic.RateLimitError),
    (Refused("no", "auth"), openai.InternalServerError, anthropic.InternalServerError),
    (Unavailable("no"), openai.InternalServerError, anthropic.InternalServerError),
]


@pytest.mark.parametrize(("error", "for_openai", "for_anthropic"), ERRORS)
def test_errors_are_those_of_the_sdk(
    error: OrchestraError, for_openai: type[Exception], for_anthropic: type[Exception]
) -> None:
    with door(told(error)) as served, openai_of(served) as one, anthropic_of(served) as two:
        with pytest.raises(for_openai, match="no"):
            one.chat.completions.create(model="ada", messages=HI)
        with pytest.raises(for_openai, match="no"):
            one.responses.create(model="ada", input="Why?", stream=True)
        with pytest.raises(for_anthropic, match="no"):
            two.messages.create(model="ada", max_tokens=5, messages=HI)
        with pytest.raises(for_anthropic, match="no"):
            two.messages.create(model="ada", max_tokens=5, messages=HI, stream=True)


def test_an_error_within_a_stream_is_raised_by_the_sdk() -> None:
    broken = told(TextDelta(text="It "), Unavailable("It broke off."))
    with door(broken) as served, openai_of(served) as one, anthropic_of(served) as two:
        with pytest.raises(openai.APIError, match="It broke off"):
            list(one.chat.completions.create(model="ada", messages=HI, stream=True))
        with pytest.raises(anthropic.APIStatusError, match="It broke off"):
            list(two.messages.create(model="ada", max_tokens=5, messages=HI, stream=True))
        kinds = [event.type for event in one.responses.create(model="ada", input="Why?", stream=True)]
    assert kinds[-2:] == ["response.failed", "error"]


def test_the_sdk_asks_again_as_often_as_it_is_told_to() -> None:
    with (
        Upstream({"ada": Expert(SAYS, fault="401")}) as upstream,
        door(upstream) as served,
        openai.OpenAI(base_url=served.v1, api_key="x", max_retries=3) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model="ada", messages=HI)
    assert len(upstream.calls) == 1  # a dead key is not tried again


# -------------------------------------------------------------------------------------------------- tools

WEATHER = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}

# https://docs.anthropic.com/en/docs/build-with-claude/streaming, "Streaming request with tool use", shortened
CLAUDE_ASKS = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_014p7gG3wDgGV9EUtLvnow3U", "type": "message", "role": "assistant",
            "model": "claude-opus-4-1-20250805", "stop_sequence": None,
            "usage": {"input_tokens": 472, "output_tokens": 2}, "content": [], "stop_reason": None,
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Okay"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ", let's check:"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start", "index": 1,
        "content_block": {
            "type": "tool_use", "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "name": "get_weather", "input": {},
        },
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"location":'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ' "Paris"}'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start", "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_02", "name": "get_weather", "input": {}},
    },
    {
        "type": "content_block_delta", "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"location": "Oslo"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 89},
    },
    {"type": "message_stop"},
]  # fmt: skip
CLAUDE_ENDS = {
    "id": "msg_2", "type": "message", "role": "assistant", "model": "claude-opus-4-1-20250805",
    "content": [{"type": "text", "text": "14 and 5 degrees."}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": 6},
}  # fmt: skip


def test_openai_tools_on_a_model_of_anthropic() -> None:
    vendor = Vendor(
        [
            (200, "text/event-stream", sse(*CLAUDE_ASKS, named=True)),
            (200, "application/json", json.dumps(CLAUDE_ENDS).encode()),
        ]
    )
    tools: list[Any] = [
        {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER}}
    ]
    messages: list[Any] = [{"role": "user", "content": "Paris and Oslo?"}]
    with vendor.open() as url, door(url, wire="anthropic", names=("opus",)) as served, openai_of(served) as client:
        with client.chat.completions.stream(model="opus", messages=messages, tools=tools) as stream:
            choice = stream.get_final_completion().choices[0]
        calls = choice.message.tool_calls
        assert calls is not None
        messages.append(choice.message.model_dump(exclude_none=True))
        for call, degrees in zip(calls, ("14", "5"), strict=True):
            messages.append({"role": "tool", "tool_call_id": call.id, "content": degrees})
        final = client.chat.completions.create(model="opus", messages=messages, tools=tools)
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Okay, let's check:"
    assert [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather", {"location": "Paris"}),
        ("toolu_02", "get_weather", {"location": "Oslo"}),
    ]
    assert final.choices[0].message.content == "14 and 5 degrees."
    first, second = vendor.bodies
    assert first["tools"] == [{"name": "get_weather", "description": "Weather", "input_schema": WEATHER}]
    assert second["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Okay, let's check:"},
                {
                    "type": "tool_use",
                    "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
                    "name": "get_weather",
                    "input": {"location": "Paris"},
                },
                {"type": "tool_use", "id": "toolu_02", "name": "get_weather", "input": {"location": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
                    "content": [{"type": "text", "text": "14"}],
                },
                {"type": "tool_result", "tool_use_id": "toolu_02", "content": [{"type": "text", "text": "5"}]},
            ],
        },
    ]


def gpt(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """A chunk as in https://platform.openai.com/docs/guides/function-calling, "Streaming"."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4.1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }  # fmt: skip


def gpt_call(index: int, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    call = {"index": index, "id": call_id, "type": "function", "function": function} if call_id else None
    return gpt({"tool_calls": [call or {"index": index, "function": function}]})


GPT_ASKS = [
    gpt({"role": "assistant", "content": None}),
    gpt_call(0, "call_DdmO9pD3xa9XTPNJ32zg2hcA", "get_weather", ""),
    gpt_call(0, None, None, '{"'),
    gpt_call(0, None, None, 'location":"Paris"}'),
    gpt_call(1, "call_2", "get_weather", ""),
    gpt_call(1, None, None, '{"location":"Oslo"}'),
    gpt({}, "tool_calls"),
    "[DONE]",
]
GPT_ENDS = {
    "id": "chatcmpl-2", "object": "chat.completion", "created": 1, "model": "gpt-4.1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "14 and 5 degrees."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26},
}  # fmt: skip


def gpt_vendor() -> Vendor:
    asks = (200, "text/event-stream", sse(*GPT_ASKS))
    return Vendor([asks, (200, "application/json", json.dumps(GPT_ENDS).encode())])


GPT_SECOND = [
    {
        "role": "assistant",
        "tool_calls": [
            {
                "id": "call_DdmO9pD3xa9XTPNJ32zg2hcA",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"location":"Paris"}'},
            },
            {
                "id": "call_2",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"location":"Oslo"}'},
            },
        ],
    },
    {"role": "tool", "tool_call_id": "call_DdmO9pD3xa9XTPNJ32zg2hcA", "content": "14"},
    {"role": "tool", "tool_call_id": "call_2", "content": "5"},
]


def without_nulls(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a vendor of this dialect reads: an assistant's missing content may be said or not."""
    return [{k: v for k, v in row.items() if v not in (None, "")} for row in rows]


def test_anthropic_tools_on_a_model_of_openai() -> None:
    vendor = gpt_vendor()
    tools: list[Any] = [{"name": "get_weather", "description": "Weather", "input_schema": WEATHER}]
    messages: list[Any] = [{"role": "user", "content": "Paris and Oslo?"}]
    with vendor.open() as url, door(url, names=("gpt",)) as served, anthropic_of(served) as client:
        with client.messages.stream(model="gpt", max_tokens=99, messages=messages, tools=tools) as stream:
            first = stream.get_final_message()
        calls = [block for block in first.content if block.type == "tool_use"]
        messages.append({"role": "assistant", "content": first.content})
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": degrees}
            for call, degrees in zip(calls, ("14", "5"), strict=True)
        ]
        messages.append({"role": "user", "content": results})
        final = client.messages.create(model="gpt", max_tokens=99, messages=messages, tools=tools)
    assert first.stop_reason == "tool_use"
    assert [(call.id, call.name, call.input) for call in calls] == [
        ("call_DdmO9pD3xa9XTPNJ32zg2hcA", "get_weather", {"location": "Paris"}),
        ("call_2", "get_weather", {"location": "Oslo"}),
    ]
    assert final.content[0].type == "text"
    assert final.content[0].text == "14 and 5 degrees."
    assert without_nulls(vendor.bodies[1]["messages"][1:]) == GPT_SECOND


def test_tools_through_responses_on_a_model_of_chat_completions() -> None:
    vendor = gpt_vendor()
    tools: list[Any] = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]
    items: list[Any] = [{"role": "user", "content": "Paris and Oslo?"}]
    with vendor.open() as url, door(url, names=("gpt",)) as served, openai_of(served) as client:
        with client.responses.stream(model="gpt", input=items, tools=tools) as stream:
            first = stream.get_final_response()
        items += first.output
        calls = [item for item in first.output if item.type == "function_call"]
        for call, degrees in zip(calls, ("14", "5"), strict=True):
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": degrees})
        final = client.responses.create(model="gpt", input=items, tools=tools)
    assert final.output_text == "14 and 5 degrees."
    assert without_nulls(vendor.bodies[1]["messages"][1:]) == GPT_SECOND


def test_marks_for_the_prompt_cache_reach_anthropic() -> None:
    vendor = Vendor([(200, "application/json", json.dumps(CLAUDE_ENDS).encode())])
    mark = {"cache_control": {"type": "ephemeral"}}
    turns: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "Go on.", **mark}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "14", **mark}]},
    ]
    tools: list[Any] = [{"name": "f", "input_schema": {"type": "object"}}]
    marks = {"quirks": {"cache_marks": "anthropic"}}
    with (
        vendor.open() as url,
        door(url, wire="anthropic", names=("opus",), spec=marks) as served,
        anthropic_of(served) as client,
    ):
        system: Any = [{"type": "text", "text": "Be brief.", **mark}]
        client.messages.create(model="opus", max_tokens=9, messages=turns, tools=tools, system=system)
    sent = vendor.bodies[0]
    assert sent["system"] == [{"type": "text", "text": "Be brief.", **mark}]
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "Go on.", **mark}]
    [result] = sent["messages"][2]["content"]
    assert result["content"] == [{"type": "text", "text": "14", **mark}]


# ----------------------------------------------------------------------------- images and structured output


def test_images_go_to_vendors_of_the_other_dialect() -> None:
    claude = Vendor([(200, "application/json", json.dumps(CLAUDE_ENDS).encode())])
    with claude.open() as url, door(url, wire="anthropic", names=("opus",)) as served, openai_of(served) as client:
        parts: list[Any] = [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ]
        client.chat.completions.create(model="opus", messages=[{"role": "user", "content": parts}])
    [message] = claude.bodies[0]["messages"]
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    assert {"type": "image", "source": source} in message["content"]
    chat = Vendor([(200, "application/json", json.dumps(GPT_ENDS).encode())])
    with chat.open() as url, door(url, names=("gpt",)) as served, anthropic_of(served) as other:
        blocks: list[Any] = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        other.messages.create(model="gpt", max_tokens=9, messages=[{"role": "user", "content": blocks}])
    [sent] = chat.bodies[0]["messages"]
    assert sent["content"][0]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


class Place(BaseModel):
    """What is asked for."""

    city: str
    degrees: int


def test_structured_output_is_parsed_by_the_sdks() -> None:
    with Upstream({"ada": Expert('{"city": "Paris", "degrees": 14}')}) as upstream, door(upstream) as served:
        with openai_of(served) as client:
            chat = client.chat.completions.parse(model="ada", messages=HI, response_format=Place)
            response = client.responses.parse(model="ada", input="Why?", text_format=Place)
        with anthropic_of(served) as other:
            message = other.messages.parse(model="ada", max_tokens=99, messages=HI, output_format=Place)
    expected = Place(city="Paris", degrees=14)
    assert chat.choices[0].message.parsed == expected
    assert response.output_parsed == expected
    assert message.parsed_output == expected
    for call in upstream.calls:
        schema = call.body["response_format"]["json_schema"]["schema"]
        assert set(schema["properties"]) == {"city", "degrees"}


# ----------------------------------------------------------------------------- embeddings, models, speech

VECTORS = ((0.5, -0.25, 1.0), (0.0, 2.0, -1.5))  # exact as 32-bit floats


async def embedded(request: EmbedRequest) -> Vectors:
    assert request.model == "small"
    return Vectors(VECTORS[: len(request.texts)], Usage(input_tokens=7), "small-2026")


def test_embeddings_as_numbers_and_as_base64() -> None:
    with door(told(), embed=embedded) as served, openai_of(served) as client:
        packed = client.embeddings.create(model="small", input=["a", "b"])  # the SDK asks for base64
        plain = client.embeddings.create(model="small", input="a", encoding_format="float", dimensions=3)
        raw = client.embeddings.with_raw_response.create(model="small", input="a", encoding_format="base64")
        with pytest.raises(openai.BadRequestError, match="tokens"):
            client.embeddings.create(model="small", input=[1, 2, 3])
        with pytest.raises(openai.BadRequestError, match="encoding_format"):
            client.embeddings.create(model="small", input="a", encoding_format="hex")  # type: ignore[arg-type]
    assert [tuple(row.embedding) for row in packed.data] == list(VECTORS)
    assert [tuple(row.embedding) for row in plain.data] == [VECTORS[0]]
    assert (packed.model, packed.usage.prompt_tokens) == ("small-2026", 7)
    sent = json.loads(raw.text)["data"][0]["embedding"]
    assert struct.unpack("<3f", base64.b64decode(sent)) == VECTORS[0]
    with door(told()) as served, openai_of(served) as client, pytest.raises(openai.NotFoundError, match="embeddings"):
        client.embeddings.create(model="small", input="a")


def test_models_in_both_shapes() -> None:
    cards = [ModelCard(f"m{number}", owner="local", model_id="x-1", context_tokens=1000) for number in range(45)]
    cards.append(ModelCard("orchestra/council", kind="council"))
    with door(told(), models=lambda _caller: cards) as served:
        with openai_of(served) as client:
            assert [model.id for model in client.models.list()] == [card.name for card in cards]
            assert client.models.retrieve("orchestra/council").owned_by == "orchestra"
            with pytest.raises(openai.NotFoundError, match="no model"):
                client.models.retrieve("nope")
        with anthropic_of(served) as other:
            assert [model.id for model in other.models.list(limit=20)] == [card.name for card in cards]  # three pages
            before = other.models.list(limit=2, before_id="m9")
            assert [model.id for model in before.data] == ["m7", "m8"]
            assert other.models.retrieve("orchestra/council").display_name == "orchestra/council"
            with pytest.raises(anthropic.NotFoundError, match="no model"):
                other.models.retrieve("nope")


def transcriber(url: str, records: list[CallRecord], *others: tuple[str, ModelSpec]) -> Any:
    specs = [*others, ("speech", ModelSpec(base_url=f"{url}/v1", model="whisper-1", key_env="K", provider="vendor"))]

    async def targets(name: str, _caller: Caller) -> list[tuple[str, ModelSpec]]:
        if name != "speech":
            raise NotFound(f"There is no model called {name!r}.")
        return specs

    async def transcribe(request: TranscriptionRequest) -> Transcript:
        transport = PooledTransport({})
        limits = Limits(first_token_s=5, idle_s=5)
        try:
            asked = Transcribing(targets, Keys({"K": KEY}), limits, transport, on_call=records.append)
            return await asked.transcribe(request)
        finally:
            await transport.aclose()

    return transcribe


def test_the_next_model_transcribes_when_one_fails() -> None:
    vendor = Vendor([(503, "application/json", b"{}"), (200, "application/json", b'{"text": "Hi."}')])
    records: list[CallRecord] = []
    with vendor.open() as url:
        claude = ("opus", ModelSpec(wire="anthropic", base_url=url, model="opus"))
        first = ("first", ModelSpec(base_url=f"{url}/v1", model="first-1", key_env="K", provider="vendor"))
        speech = transcriber(url, records, claude, first)
        with door(told(), transcribe=speech) as served, openai_of(served) as client:
            reply = client.audio.transcriptions.with_raw_response.create(model="speech", file=("a.mp3", b"x"))
            with pytest.raises(openai.NotFoundError, match="no model"):
                client.audio.transcriptions.create(model="nope", file=("a.mp3", b"x"))
    assert reply.parse().text == "Hi."
    assert (reply.headers["x-orchestra-model"], reply.headers["x-orchestra-attempts"]) == ("speech", "2")
    assert reply.headers["x-orchestra-price"] == "unknown"
    assert [(record.model, record.error, record.usage.unpriced) for record in records] == [
        ("first", "server", 0),
        ("speech", "", 1),
    ]


def test_speech_is_passed_on_as_it_came() -> None:
    sound = bytes(range(256)) * 20
    text = "Imagine the wildest idea that you've ever had."
    spoken = json.dumps({"text": text}).encode()
    srt = b"1\n00:00:00,000 --> 00:00:02,000\nImagine\n"
    refusal = json.dumps({"error": {"message": "Invalid file format."}}).encode()
    vendor = Vendor(
        [
            (200, "application/json", spoken),
            (200, "text/plain; charset=utf-8", srt),
            (200, "application/json", spoken),
            (400, "application/json", refusal),
        ]
    )
    with vendor.open() as url, door(told(), transcribe=transcriber(url, [])) as served, openai_of(served) as client:
        ask = client.audio.transcriptions
        plain = ask.create(model="speech", file=("a b.mp3", sound, "audio/mpeg"), language="en", prompt="Ünï")
        lines = ask.create(model="speech", file=("a.mp3", sound), response_format="srt")
        stream = list(ask.create(model="speech", file=("a.mp3", sound), stream=True))
        with pytest.raises(openai.BadRequestError, match="Invalid file format"):
            ask.create(model="speech", file=("a.txt", b"x"))
        with pytest.raises(openai.BadRequestError, match="file"):
            client.post("/audio/transcriptions", body={"model": "speech"}, cast_to=object)
    assert plain.text == text
    assert lines == srt.decode()
    assert [event.type for event in stream] == ["transcript.text.delta", "transcript.text.done"]
    first = vendor.raw[0]
    boundary = vendor.headers[0]["content-type"].partition("boundary=")[2].encode()
    parts = first.split(b"--" + boundary)
    assert parts[-1] == b"--\r\n"
    named = {part.split(b'name="')[1].split(b'"')[0]: part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts[1:-1]}
    assert named == {b"model": b"whisper-1", b"language": b"en", b"prompt": "Ünï".encode(), b"file": sound}
    assert b'filename="a b.mp3"' in first
    assert b"content-type: audio/mpeg" in first
    assert vendor.headers[0]["authorization"] == f"Bearer {KEY}"


# ---------------------------------------------------------------------------------------------- LangChain


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain sends traces where the environment says so; here it must not."""
    for name in [name for name in os.environ if name.startswith(("LANGCHAIN", "LANGSMITH"))]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("quiet")
def test_langchain() -> None:
    lang_openai = pytest.importorskip("langchain_openai")
    lang_anthropic = pytest.importorskip("langchain_anthropic")
    with (
        Upstream({"ada": Expert(SAYS), "bob": Expert('{"city": "Paris", "degrees": 14}')}) as upstream,
        door(upstream, embed=embedded) as served,
    ):
        for kind, base in ((lang_openai.ChatOpenAI, served.v1), (lang_anthropic.ChatAnthropic, served.url)):
            model = kind(model="ada", base_url=base, api_key="x", max_retries=0)
            reply = model.invoke([("system", "Be brief."), ("human", "Why?")])
            assert reply.text == SAYS
            assert reply.usage_metadata["total_tokens"] == 150
            assert "".join(chunk.text for chunk in model.stream("Why?")) == SAYS
        chat = lang_openai.ChatOpenAI(model="bob", base_url=served.v1, api_key="x", max_retries=0)
        assert chat.with_structured_output(Place).invoke("Why?") == Place(city="Paris", degrees=14)
        responses = lang_openai.ChatOpenAI(
            model="ada", base_url=served.v1, api_key="x", max_retries=0, use_responses_api=True
        )
        assert responses.invoke("Why?").text == SAYS
        embedder = lang_openai.OpenAIEmbeddings(
            model="small", base_url=served.v1, api_key="x", check_embedding_ctx_length=False
        )
        assert embedder.embed_documents(["a", "b"]) == [list(vector) for vector in VECTORS]


@pytest.mark.usefixtures("quiet")
def test_langchain_tools() -> None:
    lang_openai = pytest.importorskip("langchain_openai")
    asks = told(
        ToolDelta(index=0, id="call_1", name="get_weather", arguments='{"location":'),
        ToolDelta(index=0, arguments='"Paris"}'),
        Finish(reason="tool", usage=Usage(input_tokens=1, output_tokens=1)),
    )
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
    with door(asks) as served:
        model = lang_openai.ChatOpenAI(model="ada", base_url=served.v1, api_key="x", max_retries=0)
        bound = model.bind_tools([tool])
        streamed = None
        for chunk in bound.stream("Why?"):
            streamed = chunk if streamed is None else streamed + chunk
        assert streamed is not None
        for message in (bound.invoke("Why?"), streamed):
            [call] = message.tool_calls
            assert (call["id"], call["name"], call["args"]) == ("call_1", "get_weather", {"location": "Paris"})
    assert served.heard[0].messages == (Message(role="user", text="Why?"),)


# --------------------------------------------------------------------------------------------- JavaScript


def test_the_javascript_sdks() -> None:
    node, here = shutil.which("node"), Path(__file__).parent / "js"
    if node is None or not (here / "node_modules" / "openai").is_dir():
        pytest.skip("needs Node, and `npm install` in tests/js")
    says = {
        "ada": Expert(SAYS),
        "bob": Expert('{"city":"Paris"}'),
        "eve": Expert(fault="429"),
        "eva": Expert(fault="429"),
    }
    with Upstream(says) as upstream, door(upstream, embed=embedded) as served:
        asked = told(
            ToolDelta(index=0, id="call_1", name="get_weather", arguments='{"location":"Paris"}'),
            ToolDelta(index=1, id="call_2", name="get_weather", arguments='{"location":"Oslo"}'),
            Finish(reason="tool"),
        )
        with door(asked) as calling:
            environ = {**os.environ, "DOOR": served.url, "CALLING": calling.url, "SAYS": SAYS}
            done = subprocess.run(
                [node, "--test", "sdks.test.mjs"], cwd=here, env=environ, capture_output=True, text=True, timeout=60
            )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_nothing_heavy_is_imported_for_the_routes() -> None:
    code = (
        "import sys, orchestra_mcp.web.v1; print([m for m in ('openai', 'anthropic', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
