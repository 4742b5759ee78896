"""generateContent: Google's dialect. Reference: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestra_mcp.gateway.dialects.dialect import Dialect, streams
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
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
    # add here
}


def url(request: ChatRequest, spec: ModelSpec, _quirks: Quirks, without: frozenset[str]) -> str:
    """Where to post: the streaming verb, or the plain one for a server that has no other."""
    verb = "streamGenerateContent?alt=sse" if streams(request, without) else "generateContent"
    return f"{spec.base_url.rstrip('/')}/v1beta/models/{spec.model.removeprefix('models/')}:{verb}"


def to_wire(request: ChatRequest, _spec: ModelSpec, _quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request; the model is part of the address."""
    roles = {"user": "user", "assistant": "model"}
    config: JsonObject = {}
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.json_only:
        config["responseMimeType"] = "application/json"
    contents: list[JsonObject] = []
    for message in request.messages:
        if message.role == "system":
            continue
        if contents and contents[-1]["role"] == roles[message.role]:
            contents[-1]["parts"].append({"text": message.text})
        else:
            contents.append({"role": roles[message.role], "parts": [{"text": message.text}]})
    body: JsonObject = {
        "contents": contents,
        "generationConfig": {k: v for k, v in config.items() if k not in without},
    }
    system = [{"text": m.text} for m in request.messages if m.role == "system"]
    if system:
        body["systemInstruction"] = {"parts": system}
    return body


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
        self._usage = Usage()
        self._model = ""

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
        return Finish(reason=self._reason, usage=self._usage, model=self._model) if self._reason else None

    def _response(self, body: JsonObject) -> Iterator[ChatEvent]:
        if body.get("error"):
            raise self._source.from_event(body)
        feedback = body.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            raise self._source.declined()
        self._model = str(body.get("modelVersion") or self._model)
        if isinstance(body.get("usageMetadata"), dict):
            self._usage = usage_of(body["usageMetadata"])
        for candidate in (body.get("candidates") or ())[:1]:
            content = candidate.get("content")
            for part in (content.get("parts") or ()) if isinstance(content, dict) else ():
                if isinstance(text := part.get("text"), str) and (text or part.get("thought")):
                    yield ReasoningDelta(text=text) if part.get("thought") else TextDelta(text=text)
            if reason := candidate.get("finishReason"):
                self._reason = FINISHES.get(str(reason), "unknown")


DIALECT = Dialect(
    name="gemini",
    url=url,
    auth="x-goog-api-key",
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{spec.base_url.rstrip('/')}/v1beta/models",
    optional=frozenset({"temperature", "responseMimeType"}),
    stream_is_a_verb=True,
)
