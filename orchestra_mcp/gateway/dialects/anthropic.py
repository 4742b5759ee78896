"""Messages: Anthropic's dialect.

Reference: https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/messages-streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
    Spent,
    TextDelta,
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

VERSION = "2023-06-01"
DEFAULT_LIMIT = 8192
"""The vendor wants a limit; this one when nobody gave any."""

FINISHES: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "refusal": "filter",
    # add here
}


def url(_request: ChatRequest, spec: ModelSpec, _quirks: Quirks, _without: frozenset[str]) -> str:
    """Where to post."""
    return f"{spec.base_url.rstrip('/')}/v1/messages"


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request: system text apart, neighbours of one role joined, since roles must alternate."""
    system = "\n\n".join(m.text for m in request.messages if m.role == "system")
    turns: list[JsonObject] = []
    for message in request.messages:
        if message.role == "system":
            continue
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += f"\n\n{message.text}"
        else:
            turns.append({"role": message.role, "content": message.text})
    body: JsonObject = {
        "model": spec.model,
        "max_tokens": request.max_tokens or quirks.max_tokens_needed or DEFAULT_LIMIT,
        "messages": turns,
    }
    if streams(request, without):
        body["stream"] = True
    if system:
        body["system"] = system
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return {name: value for name, value in body.items() if name not in without}


class Decoder:
    """Reads message events, or one whole message.

    `input_tokens` excludes what was read from or written to a cache; thinking is part of `output_tokens`.
    """

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._counts: dict[str, int] = {}
        self._model = ""

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """What one event means; unknown events mean nothing (the vendor announces new ones)."""
        try:
            body = json.loads(event.data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if not isinstance(body, dict):
            return
        match body.get("type"):
            case "error":
                raise self._source.from_event(body)
            case "message_start" if isinstance(body.get("message"), dict):
                self._model = str(body["message"].get("model") or "")
                self._count(body["message"].get("usage"))
                yield Spent(usage=self._usage())
            case "content_block_start" if isinstance(body.get("content_block"), dict):
                yield from self._block(body["content_block"])
            case "content_block_delta" if isinstance(body.get("delta"), dict):
                yield from self._block(body["delta"])
            case "message_delta":
                delta = body.get("delta")
                self._count(body.get("usage"))
                if isinstance(delta, dict) and delta.get("stop_reason"):
                    self._reason = FINISHES.get(delta["stop_reason"], "unknown")
            case "message_stop":
                self.complete = True

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """What a plain reply means."""
        if body.get("type") == "error" or body.get("error"):
            raise self._source.from_event(body)
        if not isinstance(body.get("content"), list):
            raise self._source.garbage("JSON without content")
        for block in body["content"]:
            yield from self._block(block if isinstance(block, dict) else {})
        self._model = str(body.get("model") or "")
        self._count(body.get("usage"))
        if reason := body.get("stop_reason"):
            self._reason = FINISHES.get(str(reason), "unknown")

    def finish(self) -> Finish | None:
        """How it ended."""
        return Finish(reason=self._reason, usage=self._usage(), model=self._model) if self._reason else None

    @staticmethod
    def _block(block: JsonObject) -> Iterator[ChatEvent]:
        if isinstance(text := block.get("text"), str) and text:
            yield TextDelta(text=text)
        elif isinstance(thought := block.get("thinking"), str):
            yield ReasoningDelta(text=thought)

    def _count(self, raw: Any) -> None:
        """Counts in later events are cumulative, so that the newest replaces the earlier ones."""
        if isinstance(raw, dict):
            self._counts |= {k: v for k, v in raw.items() if isinstance(v, int) and v >= 0}

    def _usage(self) -> Usage:
        count = self._counts.get
        return Usage(
            input_tokens=count("input_tokens", 0),
            cache_read_tokens=count("cache_read_input_tokens", 0),
            cache_write_tokens=count("cache_creation_input_tokens", 0),
            output_tokens=count("output_tokens", 0),
        )


DIALECT = Dialect(
    name="anthropic",
    url=url,
    auth="x-api-key",
    headers={"anthropic-version": VERSION},
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{spec.base_url.rstrip('/')}/v1/models",
    optional=frozenset({"temperature", STREAM}),
)
