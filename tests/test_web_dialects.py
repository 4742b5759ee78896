"""The client dialects as pure functions: no request, however odd, does harm, and a stream says what a whole reply says.

What a stream says is put together by the SDKs' own accumulators.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import Omit
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    ReasoningDelta,
    Receipt,
    TextDelta,
    ToolDelta,
)
from orchestra_mcp.types import JsonObject, Usage
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.answer import Answer
from orchestra_mcp.web.dialects.chat_reply import Chat
from orchestra_mcp.web.dialects.dialect import Asked, ClientDialect, Talk
from orchestra_mcp.web.dialects.fields import Invalid
from orchestra_mcp.web.dialects.messages_reply import Messages
from orchestra_mcp.web.dialects.responses_reply import Responses

DIALECTS: dict[str, ClientDialect] = {"chat": Chat(), "responses": Responses(), "messages": Messages()}
every_dialect = pytest.mark.parametrize("name", list(DIALECTS))

NAMES = (
    "model messages role content type text input tools function name parameters tool_choice tool_calls id call_id "
    "arguments image_url url source data media_type system thinking output_config format response_format json_schema "
    "schema reasoning effort stop stream n max_tokens metadata tool_use_id output summary encrypted_content file "
    "function_call functions instructions stream_options include_usage input_audio is_error cache_control"
).split()
WORDS = (
    "user assistant system tool developer text image image_url input_text output_text tool_use tool_result function "
    "function_call function_call_output message reasoning custom json_schema auto required thinking file input_file "
    "document base64 url https://example.org data:image/png;base64,aGk= high"
).split()
texts = st.sampled_from(WORDS) | st.text(max_size=5)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=6,
)

kinds = st.sampled_from(WORDS)
labels = st.sampled_from(("a", "f", "call_1"))
source = st.fixed_dictionaries({"type": kinds}, optional={"media_type": texts, "data": texts, "url": kinds})
call = st.fixed_dictionaries({"id": labels, "function": st.dictionaries(st.sampled_from(NAMES), labels | values)})
part = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "text": texts, "image_url": kinds | values, "source": source, "id": labels, "name": labels, "call_id": labels,
        "input": values, "tool_use_id": labels, "content": values, "output": texts, "arguments": texts, "file": values,
        "thinking": texts, "signature": texts, "summary": values, "input_audio": values, "file_data": kinds,
    },
)  # fmt: skip
turn = st.fixed_dictionaries(
    {"role": st.sampled_from(WORDS[:5]), "content": texts | st.lists(part, max_size=4) | st.none()},
    optional={"tool_calls": st.lists(call, max_size=3), "tool_call_id": labels, "function_call": values},
)
talks = st.lists(turn | part, min_size=1, max_size=5)
OTHERS = dict.fromkeys((name for name in NAMES if name not in ("messages", "input")), values)


@every_dialect
@given(st.fixed_dictionaries({"messages": talks, "input": talks | texts}, optional=OTHERS))
@settings(max_examples=40, deadline=None)
def test_a_request_is_read_or_refused(name: str, body: JsonObject) -> None:
    body |= {"model": "ada"}
    if name == "messages":
        body |= {"max_tokens": 5}
    try:
        asked = DIALECTS[name].parse(body)
    except (Invalid, ValidationError):  # which the door answers with 400
        return
    ChatRequest(**asked.fields)


deltas = (
    st.builds(TextDelta, text=st.text(min_size=1, max_size=6))
    | st.builds(ReasoningDelta, text=st.text(min_size=1, max_size=6))
    | st.builds(ReasoningDelta, signature=st.just("c2ln"))
    | st.builds(ToolDelta, index=st.integers(0, 3), arguments=st.sampled_from(['"a"', "1", "[", "]", " "]))
)


def events_of(parts: list[ChatEvent]) -> list[ChatEvent]:
    """The deltas as a decoder gives them: the first of a call names it; the arguments are JSON in the end."""
    found: list[ChatEvent] = []
    seen: set[int] = set()
    for part in parts:
        if isinstance(part, ToolDelta) and part.index not in seen:
            seen.add(part.index)
            found.append(ToolDelta(index=part.index, id=f"call_{part.index}", name="f", arguments='{"x":['))
        if isinstance(part, ToolDelta):
            part = part.model_copy(update={"arguments": "1,"})
        found.append(part)
    found += [ToolDelta(index=index, arguments="0]}") for index in sorted(seen)]
    found.append(Finish(reason="tool" if seen else "stop", usage=Usage(input_tokens=3, output_tokens=4)))
    return found


def spoken(name: str, events: list[ChatEvent]) -> tuple[list[JsonObject], JsonObject]:
    """The stream's events, and the whole reply."""
    dialect = DIALECTS[name]
    asked = Asked({"model": "ada"}, stream=True, usage=True)
    writer, answer = dialect.writer(Talk(asked, Receipt())), Answer()
    data = b""
    for event in events:
        data += writer.event(0, event)
        answer.add(event)
    data += writer.end()
    rows = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(row) for row in rows if row != "[DONE]"], dialect.whole(Talk(asked, Receipt()), [answer])


@given(st.lists(deltas, max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_stream_of_messages_says_what_the_whole_reply_says(parts: list[ChatEvent]) -> None:
    rows, whole = spoken("messages", events_of(parts))
    read: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for row in rows:
        snapshot = accumulate_event(event=read.validate_python(row), current_snapshot=snapshot, json_bufs=buffers)
    shown = snapshot.to_dict()
    for block in shown["content"]:
        block.pop("citations", None)
        block.pop("parsed_output", None)
    assert shown["content"] == whole["content"]
    assert (shown["stop_reason"], shown["usage"]["input_tokens"]) == (whole["stop_reason"], 3)


@given(st.lists(deltas, max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_stream_of_responses_says_what_the_whole_reply_says(parts: list[ChatEvent]) -> None:
    rows, whole = spoken("responses", events_of(parts))
    assert [row["sequence_number"] for row in rows] == list(range(len(rows)))
    read: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=Omit(), text_format=Omit())
    seen: list[Any] = []
    for row in rows:
        seen += state.handle_event(read.validate_python(row))
    last = seen[-1]
    output = last.response.to_dict(mode="json")["output"]

    def bare(items: list[JsonObject]) -> list[JsonObject]:
        return [{k: v for k, v in item.items() if k != "id"} for item in items]

    for item in output:
        for part in item.get("content") or ():
            part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    assert bare(output) == bare(whole["output"])
    assert last.response.usage.total_tokens == 7


@given(st.lists(deltas, max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_stream_of_chat_says_what_the_whole_reply_says(parts: list[ChatEvent]) -> None:
    rows, whole = spoken("chat", events_of(parts))
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for row in rows:
        state.handle_chunk(ChatCompletionChunk.model_validate(row))
    choice = state.get_final_completion().choices[0]
    [expected] = whole["choices"]
    assert (choice.message.content or "") == (expected["message"]["content"] or "")
    calls = [
        {"id": c.id, "type": c.type, "function": {"name": c.function.name, "arguments": c.function.arguments}}
        for c in choice.message.tool_calls or ()
    ]
    assert calls == expected["message"].get("tool_calls", [])
    assert choice.finish_reason == expected["finish_reason"]


@pytest.mark.parametrize("data", [b'{"a":1}', b'\xef\xbb\xbf{"a":1}', b' {"a":1}\n', bytearray(b'{"a":1}')])
def test_json_is_read_with_and_without_a_mark(data: bytes | bytearray) -> None:
    assert fields.parse(data) == {"a": 1}
