"""Chat completions: OpenAI's dialect, and that of OpenRouter, Portkey, Ollama and most other vendors.

Reference: https://platform.openai.com/docs/api-reference/chat. What differs between vendors is kept in
the small tables below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestra_mcp.gateway.dialects.dialect import STREAM, Dialect, streams
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
    "stop": "stop",
    "eos": "stop",  # Together
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    "tool_calls": "tool",
    "function_call": "tool",
    # add here
}


def url(_request: ChatRequest, spec: ModelSpec, _quirks: Quirks, _without: frozenset[str]) -> str:
    """Where to post."""
    return f"{spec.base_url.rstrip('/')}/chat/completions"


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request."""
    new = quirks.limit_field == "max_completion_tokens" or "max_tokens" in without
    body: JsonObject = {
        "model": spec.model,
        "messages": [{"role": m.role, "content": m.text} for m in request.messages],
    }
    if streams(request, without):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.max_tokens is not None:
        body["max_completion_tokens" if new else "max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.json_only:
        body["response_format"] = {"type": "json_object"}
    if quirks.tells_cost:
        body["usage"] = {"include": True}
    return {name: value for name, value in body.items() if name not in without}


def usage_of(raw: Any) -> Usage:
    """A `usage` object in disjoint buckets.

    `prompt_tokens` includes cached ones. `completion_tokens` includes reasoning at OpenAI, but not at xAI;
    the total tells which.
    """
    if not isinstance(raw, dict):
        return Usage()
    prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    details = raw.get("prompt_tokens_details")
    read = _count(details, "cached_tokens") or _count(raw, "prompt_cache_hit_tokens")
    written = _count(details, "cache_write_tokens")
    reasoning = _count(raw.get("completion_tokens_details"), "reasoning_tokens")
    apart = reasoning > 0 and _count(raw, "total_tokens") == prompt + completion + reasoning
    return Usage(
        input_tokens=max(0, prompt - read - written),
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=completion if apart else max(0, completion - reasoning),
        reasoning_tokens=reasoning,
        cost_usd=_cost(raw),
    )


def _count(raw: Any, name: str) -> int:
    value = raw.get(name) if isinstance(raw, dict) else None
    return max(0, int(value)) if isinstance(value, int | float) else 0


def _cost(raw: JsonObject) -> Decimal:
    """What OpenRouter says it charged; with a key of one's own, plus what the vendor behind it charges."""
    try:
        cost = Decimal(str(raw.get("cost") or 0))
        if raw.get("is_byok") is True and isinstance(details := raw.get("cost_details"), dict):
            cost += Decimal(str(details.get("upstream_inference_cost") or 0))
    except InvalidOperation:
        return Decimal(0)
    return cost if cost.is_finite() and cost > 0 else Decimal(0)


class Decoder:
    """Reads chat completion chunks, or one whole chat completion."""

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._usage = Usage()
        self._model = ""

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """What one chunk means."""
        if event.data.strip() == "[DONE]":
            self.complete = True
            return
        try:
            body = json.loads(event.data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if isinstance(body, dict):
            yield from self._object(body, "delta")

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """What a plain reply means."""
        if "choices" not in body and "error" not in body:
            raise self._source.garbage("JSON without choices")
        yield from self._object(body, "message")

    def finish(self) -> Finish | None:
        """How it ended."""
        return Finish(reason=self._reason, usage=self._usage, model=self._model) if self._reason else None

    def _object(self, body: JsonObject, part: str) -> Iterator[ChatEvent]:
        if body.get("error"):
            raise self._source.from_event(body)
        self._model = str(body.get("model") or self._model)
        if isinstance(body.get("usage"), dict):
            self._usage = usage_of(body["usage"])
        for choice in body.get("choices") or ():
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            if choice.get("error"):
                raise self._source.from_event(choice)
            message = choice.get(part)
            yield from self._message(message if isinstance(message, dict) else {})
            if reason := choice.get("finish_reason"):
                self._reason = FINISHES.get(str(reason), "unknown")

    def _message(self, message: JsonObject) -> Iterator[ChatEvent]:
        thought = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(thought, str):
            yield ReasoningDelta(text=thought)
        content = message.get("content")
        if isinstance(content, list):  # Mistral sends parts, thinking among them
            for part in content:
                if isinstance(part, dict) and part.get("type") == "text" and part.get("text"):
                    yield TextDelta(text=str(part["text"]))
                elif isinstance(part, dict):
                    yield ReasoningDelta()
        elif isinstance(content, str) and content:
            yield TextDelta(text=content)
        if message.get("refusal"):
            raise self._source.declined()


DIALECT = Dialect(
    name="openai",
    url=url,
    auth="bearer",
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{spec.base_url.rstrip('/')}/models",
    optional=frozenset(
        {
            "temperature",
            "max_tokens",
            "max_completion_tokens",
            "stream_options",
            "response_format",
            "usage",
            STREAM,
        }
    ),
)
