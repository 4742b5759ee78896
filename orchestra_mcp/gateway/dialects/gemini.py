"""generateContent: Google's dialect, at the Gemini API and at Vertex AI.

Reference: https://ai.google.dev/api/generate-content, …/gemini-api/docs/function-calling, thinking,
thought-signatures and structured-output; embeddings: https://ai.google.dev/api/embeddings.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from orchestra_mcp.gateway.dialects.anthropic import vertex_root
from orchestra_mcp.gateway.dialects.dialect import Dialect, Embeddings, Vectors, streams
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.dialects.translation import (
    arguments_of,
    call_names,
    media_type_of,
    nearest,
    not_taken,
    over,
    pruned,
    result_text,
    system_of,
    temperature_of,
    told,
    turns_of,
    under,
)
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    EmbedRequest,
    Finish,
    FinishReason,
    Media,
    Part,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolResult,
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

FINISHES: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "LANGUAGE": "filter",
    "IMAGE_SAFETY": "filter",
    "IMAGE_PROHIBITED_CONTENT": "filter",
    "IMAGE_RECITATION": "filter",
    "MODEL_ARMOR": "filter",
    # add here
}
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
"""Tokens of thinking for each effort, as Google's own OpenAI-compatible address maps them (docs/openai)."""
LEVELS = ("minimal", "low", "medium", "high")
FOREIGN = "skip_thought_signature_validator"
"""What Google wants to see in place of its signature on calls that its model did not make (docs/thought-signatures)."""
OURS = "made-"
"""Begins the ids of calls to which Google gave none; it is not sent them back."""


def _models(spec: ModelSpec) -> str:
    return vertex_root(spec, "google") or f"{spec.base_url.rstrip('/').removesuffix('/v1beta')}/v1beta/models"


def url(request: ChatRequest, spec: ModelSpec, _quirks: Quirks, without: frozenset[str]) -> str:
    """Where to post: the streaming verb, or the plain one for a server that has no other."""
    verb = "streamGenerateContent?alt=sse" if streams(request, without) else "generateContent"
    return f"{_models(spec)}/{quote(_model(spec), safe='@/')}:{verb}"


def _model(spec: ModelSpec) -> str:
    return spec.model.removeprefix("models/")


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request; the model is part of the address.

    Raises:
        Refused: the request holds media that the model cannot take.
    """
    names = without | set(quirks.omit)
    body: JsonObject = {
        "contents": _contents(request, spec, quirks),
        "generationConfig": _config(request, quirks, names),
    }
    system = [{"text": text.text} for text in system_of(request.messages)]
    if request.answer and not _by_schema(quirks, names):
        system.append({"text": told(request.answer)})
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        rows = []
        for tool in request.tools:
            row: JsonObject = {"name": tool.name}
            if tool.description:
                row["description"] = tool.description
            if tool.parameters:
                row["parametersJsonSchema"] = tool.parameters
            rows.append(row)
        body["tools"] = [{"functionDeclarations": rows}]
        if request.tool:
            body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [request.tool]}}
        elif request.tool_choice:
            mode = {"auto": "AUTO", "none": "NONE", "required": "ANY"}[request.tool_choice]
            body["toolConfig"] = {"functionCallingConfig": {"mode": mode}}
    if request.extra_dialect == "gemini":
        under(body, request.extra)
    return pruned(over(body, quirks.static), names, "generationConfig")


def _by_schema(quirks: Quirks, names: frozenset[str]) -> bool:
    return quirks.schema_output == "json_schema" and "responseJsonSchema" not in names


def _config(request: ChatRequest, quirks: Quirks, names: frozenset[str]) -> JsonObject:
    config: JsonObject = {}
    if limit := request.max_tokens or quirks.max_tokens_needed:
        config["maxOutputTokens"] = limit
    if (temperature := temperature_of(request, quirks)) is not None:
        config["temperature"] = temperature
    if request.top_p is not None and quirks.temperature:
        config["topP"] = request.top_p
    if request.stop:
        config["stopSequences"] = list(request.stop)
    if request.seed is not None:
        config["seed"] = request.seed
    if request.json_only or request.answer:
        config["responseMimeType"] = "application/json"
    if request.answer and _by_schema(quirks, names):
        config["responseJsonSchema"] = request.answer.json_schema
    if request.effort is not None and quirks.effort:
        config["thinkingConfig"] = _thinking(request.effort, quirks, limit)
    return config


def _thinking(asked: str, quirks: Quirks, limit: int | None) -> JsonObject:
    """Gemini 2.5 is told a number of tokens (`budget`), later models a level."""
    if quirks.effort == "budget":
        budget = BUDGETS[nearest(asked, quirks.efforts, tuple(BUDGETS))]
        if limit and budget >= limit:  # thinking counts towards the limit
            budget = limit // 2
        return {"thinkingBudget": budget, "includeThoughts": budget > 0}
    effort = nearest(asked, quirks.efforts, LEVELS)
    return {"thinkingLevel": effort.upper(), "includeThoughts": asked != "none"}


def _contents(request: ChatRequest, spec: ModelSpec, quirks: Quirks) -> list[JsonObject]:
    roles = {"user": "user", "assistant": "model"}
    names = call_names(request.messages)
    signed = quirks.effort not in ("", "budget")  # models with levels want their signatures back
    contents: list[JsonObject] = []
    for role, parts in turns_of(request.messages):
        first = True
        made: list[JsonObject] = []
        for part in parts:
            block = _part(part, names, spec, quirks)
            if isinstance(part, ToolCall) and first:  # of parallel calls only the first is signed
                first = False
                if signed and not part.signature:
                    block["thoughtSignature"] = FOREIGN
            if block:
                made.append(block)
        if made:
            contents.append({"role": roles[role], "parts": made})
    return contents


def _part(part: Part, names: Mapping[str, str], spec: ModelSpec, quirks: Quirks) -> JsonObject:
    match part:
        case Text():
            return {"text": part.text}
        case Media():
            return _media(part, spec, quirks)
        case ToolCall():
            call: JsonObject = {"name": part.name, "args": arguments_of(part), **_id(part.id)}
            return {"functionCall": call, **({"thoughtSignature": part.signature} if part.signature else {})}
        case ToolResult():
            said = {"error" if part.error else "output": _result(part)}
            reply: JsonObject = {"name": part.name or names.get(part.id, part.id), "response": said, **_id(part.id)}
            if media := [_media(p, spec, quirks) for p in part.parts if isinstance(p, Media)]:
                reply["parts"] = media
            return {"functionResponse": reply}
        case _:
            return {}


def _id(call: str) -> JsonObject:
    return {"id": call} if call and not call.startswith(OURS) else {}


def _result(result: ToolResult) -> Any:
    """What a tool said, as the object that its text stands for, if it does."""
    text = result_text(result)
    if text[:1] in "{[":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text


def _media(media: Media, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    kind = media_type_of(media)
    if (kind.startswith("image/") and not quirks.images) or (media.data and not kind):
        raise not_taken(spec.model, media)
    if media.data:
        return {"inlineData": {"mimeType": kind, "data": media.data}}
    return {"fileData": {**({"mimeType": kind} if kind else {}), "fileUri": media.url}}


# ---------------------------------------------------------------------------------------------------- replies


def usage_of(raw: Any) -> Usage:
    """`usageMetadata` in disjoint buckets: the prompt includes cached tokens, candidates exclude thoughts."""
    if not isinstance(raw, dict):
        return Usage()

    def count(name: str) -> int:
        value = raw.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    cached = count("cachedContentTokenCount")
    return Usage(
        input_tokens=max(0, count("promptTokenCount") + count("toolUsePromptTokenCount") - cached),
        cache_read_tokens=cached,
        output_tokens=count("candidatesTokenCount"),
        reasoning_tokens=count("thoughtsTokenCount"),
    )


class Decoder:
    """Reads generateContent responses, one after the other or a single one."""

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._usage: Any = None
        self._model = ""
        self._calls = 0

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """What one response of a stream means."""
        try:
            body = json.loads(event.data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if isinstance(body, dict):
            yield from self._response(body)

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """What a plain reply means."""
        if not {"candidates", "promptFeedback", "error"} & set(body):
            raise self._source.garbage("JSON without candidates")
        yield from self._response(body)

    def finish(self) -> Finish | None:
        """How it ended."""
        if self._reason is None:
            return None
        reason: FinishReason = "tool" if self._reason == "stop" and self._calls else self._reason
        return Finish(reason=reason, usage=usage_of(self._usage), model=self._model)

    def _response(self, body: JsonObject) -> Iterator[ChatEvent]:
        if body.get("error"):
            raise self._source.from_event(body)
        feedback = body.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            raise self._source.declined()
        self._model = str(body.get("modelVersion") or self._model)
        self._usage = body.get("usageMetadata") or self._usage
        for candidate in (body.get("candidates") or ())[:1]:
            content = candidate.get("content")
            for part in (content.get("parts") or ()) if isinstance(content, dict) else ():
                yield from self._part(part)
            if reason := candidate.get("finishReason"):
                self._reason = FINISHES.get(str(reason), "unknown")

    def _part(self, part: JsonObject) -> Iterator[ChatEvent]:
        if isinstance(text := part.get("text"), str):
            if part.get("thought"):
                yield ReasoningDelta(text=text)
            elif text:
                yield TextDelta(text=text)
        elif isinstance(call := part.get("functionCall"), dict):
            number, self._calls = self._calls, self._calls + 1
            yield ToolDelta(
                index=number,
                id=str(call.get("id") or OURS + secrets.token_hex(8)),
                name=str(call.get("name") or ""),
                arguments=json.dumps(call.get("args") or {}, ensure_ascii=False),
                signature=str(part.get("thoughtSignature") or ""),
            )


# ------------------------------------------------------------------------------------------------- embeddings


def _embed_url(spec: ModelSpec, _quirks: Quirks) -> str:
    verb = "predict" if vertex_root(spec, "google") else "batchEmbedContents"
    return f"{_models(spec)}/{quote(_model(spec), safe='@/')}:{verb}"


def _embed_body(request: EmbedRequest, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    size = {"outputDimensionality": request.dimensions} if request.dimensions else {}
    if vertex_root(spec, "google"):
        body: JsonObject = {"instances": [{"content": text} for text in request.texts]}
        return over({**body, **({"parameters": size} if size else {})}, quirks.static)
    name = f"models/{_model(spec)}"
    rows = [{"model": name, "content": {"parts": [{"text": text}]}, **size, **quirks.static} for text in request.texts]
    return {"requests": rows}


def _embedded(body: JsonObject, source: Source) -> Vectors:
    if body.get("error"):
        raise source.from_event(body)
    tokens = (body.get("usageMetadata") or {}).get("promptTokenCount") or 0
    if "predictions" in body:
        rows = [row["embeddings"] for row in body["predictions"]]
        tokens = sum(int((row.get("statistics") or {}).get("token_count") or 0) for row in rows)
    else:
        rows = body["embeddings"]
    vectors = tuple(tuple(float(x) for x in row["values"]) for row in rows)
    return Vectors(vectors, Usage(input_tokens=int(tokens)))


DIALECT = Dialect(
    name="gemini",
    url=url,
    auth="x-goog-api-key",
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{spec.base_url.rstrip('/').removesuffix('/v1beta')}/v1beta/models",
    optional=frozenset({"temperature", "topP", "seed", "responseMimeType", "responseJsonSchema", "thinkingConfig"}),
    stream_is_a_verb=True,
    embeddings=Embeddings(_embed_url, _embed_body, _embedded),
)
