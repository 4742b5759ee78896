"""Google's dialect against its documentation, without any network."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.errors import ProviderError, Refused
from orchestra_mcp.gateway.dialects import gemini
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
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import Usage

SOURCE = Source("m at p", "SOME_KEY")
SPEC = ModelSpec(base_url="https://generativelanguage.googleapis.com", model="gemini-3.8-flash", wire="gemini")
VERTEX = ModelSpec(
    model="gemini-3.8-flash", wire="gemini", auth="google", options={"project": "p-1", "location": "europe-west4"}
)
LEVELS = Quirks(effort="thinking")

# https://ai.google.dev/gemini-api/docs/thought-signatures, "Parallel function calling example": the model's reply
PARALLEL: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"name": "get_current_temperature", "args": {"location": "Paris"}},
                        "thoughtSignature": "<Signature_A>",
                    },
                    {"functionCall": {"name": "get_current_temperature", "args": {"location": "London"}}},
                ],
            },
            "finishReason": "STOP",
        }
    ],
    # The fields of https://ai.google.dev/api/generate-content#UsageMetadata
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 50,
        "toolUsePromptTokenCount": 7,
        "totalTokenCount": 177,
    },
    "modelVersion": "gemini-3.8-flash",
}


def decode(*bodies: Any) -> tuple[list[ChatEvent], Finish | None]:
    decoder = gemini.DIALECT.decoder(SOURCE)
    events = [e for body in bodies for e in decoder.feed(ServerEvent("message", json.dumps(body)))]
    return events, decoder.finish()


def wire(request: ChatRequest, quirks: Quirks | None = None, spec: ModelSpec = SPEC, without: str = "") -> Any:
    return gemini.DIALECT.to_wire(request, spec, quirks or Quirks(), frozenset({without} if without else ()))


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (Message(role="user", text="Hi"),), **more)


# ---------------------------------------------------------------------------------------------------- replies


def test_parallel_calls_come_whole_with_the_signature_on_the_first() -> None:
    events, finish = decode(PARALLEL)
    assert [type(e) for e in events] == [ToolDelta, ToolDelta]
    first, second = events
    assert isinstance(first, ToolDelta)
    assert isinstance(second, ToolDelta)
    assert (first.index, first.name, json.loads(first.arguments), first.signature) == (
        0,
        "get_current_temperature",
        {"location": "Paris"},
        "<Signature_A>",
    )
    assert (second.index, json.loads(second.arguments), second.signature) == (1, {"location": "London"}, "")
    assert first.id != second.id  # the vendor gave none, but a result has to name its call
    assert finish is not None
    assert finish.reason == "tool"
    # "total_token_count: the sum of prompt, candidates, tool use prompt and thoughts"; the prompt includes the cached
    assert finish.usage == Usage(input_tokens=77, cache_read_tokens=30, output_tokens=20, reasoning_tokens=50)
    assert finish.usage.tokens == 177


def test_an_id_that_the_vendor_gave_is_kept() -> None:
    call = {"functionCall": {"id": "8f2b1a3c", "name": "f", "args": {}}}
    events, _ = decode({"candidates": [{"content": {"parts": [call], "role": "model"}}]})
    assert events == [ToolDelta(index=0, id="8f2b1a3c", name="f", arguments="{}")]


def test_thoughts_are_thinking_and_a_signature_alone_is_nothing() -> None:
    parts = [{"text": "Weighing", "thought": True}, {"text": "Yes."}, {"text": "", "thoughtSignature": "<Sig>"}]
    events, _ = decode({"candidates": [{"content": {"parts": parts}}]})
    assert events == [ReasoningDelta(text="Weighing"), TextDelta(text="Yes.")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "filter"), ("PROHIBITED_CONTENT", "filter"),
     ("SPII", "filter"), ("IMAGE_SAFETY", "filter"), ("OTHER", "unknown"), ("MALFORMED_FUNCTION_CALL", "unknown")],
)  # fmt: skip
def test_finish_reasons_have_their_meaning(reason: str, expected: str) -> None:
    _, finish = decode({"candidates": [{"finishReason": reason}]})
    assert finish is not None
    assert finish.reason == expected


def test_a_blocked_prompt_is_a_refusal_by_policy() -> None:
    # https://ai.google.dev/api/generate-content#PromptFeedback
    with pytest.raises(Refused) as caught:
        decode({"promptFeedback": {"blockReason": "SAFETY"}})
    assert caught.value.kind == "policy"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["candidates", "content", "parts", "text", "thought", "functionCall", "args",
                                       "name", "finishReason", "promptTokenCount"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
NAMES = ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "error"]


@given(body=st.dictionaries(st.sampled_from(NAMES), ODD, max_size=4))
def test_no_response_however_odd_raises_anything_but_an_error_of_the_provider(body: dict[str, Any]) -> None:
    for whole in (False, True):
        decoder = Careful(gemini.DIALECT.decoder(SOURCE), SOURCE)
        with suppress(ProviderError):
            list(decoder.whole(body) if whole else decoder.feed(ServerEvent("message", json.dumps(body))))
        decoder.finish()


# --------------------------------------------------------------------------------------------------- requests

WEATHER = Tool(
    name="get_current_temperature",
    description="Gets the current temperature for a given location.",
    parameters={
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
        "additionalProperties": False,
    },
)
ASKED = Message(role="user", text="Check the weather in Paris and London.")
PARIS = ToolCall(id="a1", name="get_current_temperature", arguments='{"location": "Paris"}', signature="<Signature_A>")
LONDON = ToolCall(id="made-1", name="get_current_temperature", arguments='{"location": "London"}')


def test_calls_and_results_go_back_as_the_guide_shows() -> None:
    # The same example, "Request": signature where it was, results together in the user's turn, in order.
    results = (
        ToolResult(id="a1", parts=(Text(text='{"temp": "15C"}'),)),
        ToolResult(id="made-1", parts=(Text(text="12C"),), error=True),
    )
    body = wire(ask(ASKED, Message(role="assistant", parts=(PARIS, LONDON)), Message(role="user", parts=results)))
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": WEATHER.name, "args": {"location": "Paris"}, "id": "a1"},
                    "thoughtSignature": "<Signature_A>",
                },
                {"functionCall": {"name": WEATHER.name, "args": {"location": "London"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                # "Use "output" key to specify function output and "error" key to specify error details"; names of
                # results, which clients leave out, are found by their ids.
                {"functionResponse": {"name": WEATHER.name, "response": {"output": {"temp": "15C"}}, "id": "a1"}},
                {"functionResponse": {"name": WEATHER.name, "response": {"error": "12C"}}},
            ],
        },
    ]


def test_calls_of_other_models_are_marked_where_signatures_are_wanted() -> None:
    # The guide's FAQ: history from another model is let in with this in place of a signature, on the first call.
    made = Message(role="assistant", parts=(LONDON, LONDON.model_copy(update={"id": "made-2"})))
    parts = wire(ask(ASKED, made), LEVELS)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]
    assert "thoughtSignature" not in wire(ask(ASKED, made), Quirks(effort="budget"))["contents"][1]["parts"][0]


def test_tools_are_declared_with_their_json_schema_and_chosen_by_mode() -> None:
    # https://ai.google.dev/api/caching#FunctionDeclaration (`parametersJsonSchema`) and #FunctionCallingConfig
    body = wire(ask(tools=(WEATHER, Tool(name="now")), tool_choice="required"))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": WEATHER.name,
                    "description": WEATHER.description,
                    "parametersJsonSchema": WEATHER.parameters,
                },
                {"name": "now"},
            ]
        }
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    for choice, mode in (("auto", "AUTO"), ("none", "NONE")):
        chosen = wire(ask(tools=(WEATHER,), tool_choice=choice))["toolConfig"]
        assert chosen == {"functionCallingConfig": {"mode": mode}}
    one = wire(ask(tools=(WEATHER,), tool="get_current_temperature"))["toolConfig"]["functionCallingConfig"]
    assert one == {"mode": "ANY", "allowedFunctionNames": ["get_current_temperature"]}


def test_media_are_inline_data_or_files() -> None:
    parts = (
        Media(media_type="audio/wav", data="UklGRg=="),
        Media(url="https://example.org/a.pdf?x=1"),
        Media(url="gs://bucket/thing"),
        Thought(text="of another vendor", signature="EqQB"),
    )
    assert wire(ask(Message(role="user", parts=parts)))["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/a.pdf?x=1"}},
        {"fileData": {"fileUri": "gs://bucket/thing"}},
    ]
    image = Message(role="user", parts=(Media(media_type="image/png", data="iVBO"),))
    with pytest.raises(Refused, match="image/png"):
        wire(ask(image), Quirks(images=False))


def test_images_in_results_are_parts_of_the_response() -> None:
    # https://ai.google.dev/api/caching#FunctionResponse: `parts`, of FunctionResponsePart with inlineData
    shot = ToolResult(id="a1", name="look", parts=(Text(text="see"), Media(media_type="image/png", data="iVBO")))
    (part,) = wire(ask(Message(role="user", parts=(shot,))))["contents"][0]["parts"]
    assert part["functionResponse"]["response"] == {"output": "see"}
    assert part["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]


def test_the_configuration_has_the_documented_names() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    request = ask(
        max_tokens=9000, temperature=0.5, top_p=0.9, stop=("END",), seed=7, answer=AnswerSchema(json_schema=schema)
    )
    assert wire(request)["generationConfig"] == {
        "maxOutputTokens": 9000,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["END"],
        "seed": 7,
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    bare = wire(request, without="responseJsonSchema")
    assert "responseJsonSchema" not in bare["generationConfig"]
    assert '"integer"' in bare["systemInstruction"]["parts"][0]["text"]


@pytest.mark.parametrize(
    ("effort", "quirks", "expected"),
    [
        # https://ai.google.dev/gemini-api/docs/openai#thinking: minimal and low 1,024, medium 8,192, high 24,576
        ("none", Quirks(effort="budget"), {"thinkingBudget": 0, "includeThoughts": False}),
        ("low", Quirks(effort="budget"), {"thinkingBudget": 1024, "includeThoughts": True}),
        ("medium", Quirks(effort="budget"), {"thinkingBudget": 8192, "includeThoughts": True}),
        ("xhigh", Quirks(effort="budget"), {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("none", LEVELS, {"thinkingLevel": "MINIMAL", "includeThoughts": False}),
        ("medium", LEVELS, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("xhigh", LEVELS, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("minimal", Quirks(effort="thinking", efforts=("low", "high")),
         {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("high", Quirks(), None),
    ],
)  # fmt: skip
def test_thinking_is_told_as_a_number_or_a_level(effort: Any, quirks: Quirks, expected: Any) -> None:
    config = wire(ask(effort=effort, max_tokens=30_000), quirks)["generationConfig"]
    assert config.get("thinkingConfig") == expected


def test_thinking_leaves_room_for_the_reply() -> None:
    config = wire(ask(effort="high", max_tokens=4096), Quirks(effort="budget"))["generationConfig"]
    assert config["thinkingConfig"]["thinkingBudget"] < 4096


def test_parameters_of_googles_own_are_passed_on_and_joined() -> None:
    extra = {
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {"topK": 40, "temperature": 2},
        "tools": [{"googleSearch": {}}],
    }
    body = wire(ask(temperature=0.5, tools=(WEATHER,), extra=extra, extra_dialect="gemini"))
    assert body["safetySettings"] == extra["safetySettings"]
    assert body["generationConfig"]["topK"] == 40
    assert body["generationConfig"]["temperature"] == 0.5
    assert [set(tool) for tool in body["tools"]] == [{"functionDeclarations"}, {"googleSearch"}]


def test_at_vertex_project_and_place_are_in_the_address() -> None:
    # https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
    url = gemini.DIALECT.url
    root = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4/publishers/google"
    assert url(ask(), VERTEX, Quirks(), frozenset()) == f"{root}/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    assert url(ask(stream=False), VERTEX, Quirks(), frozenset()) == f"{root}/models/gemini-3.8-flash:generateContent"
    versioned = SPEC.model_copy(update={"base_url": "https://generativelanguage.googleapis.com/v1beta"})
    assert url(ask(), versioned, Quirks(), frozenset()) == url(ask(), SPEC, Quirks(), frozenset())


# ------------------------------------------------------------------------------------------------- embeddings


def test_embeddings_are_asked_for_and_read_as_documented() -> None:
    # https://ai.google.dev/api/embeddings#method:-models.batchembedcontents
    way = gemini.DIALECT.embeddings
    assert way is not None
    spec = SPEC.model_copy(update={"model": "gemini-embedding-001"})
    request = EmbedRequest(model="e", texts=("one", "two"), dimensions=768)
    assert way.url(spec, Quirks()) == (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents"
    )
    assert way.to_wire(request, spec, Quirks()) == {
        "requests": [
            {
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": text}]},
                "outputDimensionality": 768,
            }
            for text in ("one", "two")
        ]
    }
    found = way.from_wire({"embeddings": [{"values": [0.5, -1]}, {"values": [0, 1]}]}, SOURCE)
    assert found.vectors == ((0.5, -1.0), (0.0, 1.0))


def test_embeddings_at_vertex_are_predictions() -> None:
    # https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
    way = gemini.DIALECT.embeddings
    assert way is not None
    request = EmbedRequest(model="e", texts=("one",), dimensions=256)
    assert way.url(VERTEX, Quirks()).endswith("/publishers/google/models/gemini-3.8-flash:predict")
    assert way.to_wire(request, VERTEX, Quirks()) == {
        "instances": [{"content": "one"}],
        "parameters": {"outputDimensionality": 256},
    }
    row = {"embeddings": {"statistics": {"truncated": False, "token_count": 6}, "values": [0.25, 0.5]}}
    found = way.from_wire({"predictions": [row]}, SOURCE)
    assert found.vectors == ((0.25, 0.5),)
    assert found.usage == Usage(input_tokens=6)
