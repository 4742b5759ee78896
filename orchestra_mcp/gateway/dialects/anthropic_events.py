"""How Anthropic's replies are read: message events, or one whole message.

Reference: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    Spent,
    TextDelta,
    ToolDelta,
)
from orchestra_mcp.types import JsonObject, Usage

FINISHES: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "refusal": "filter",
    # add here
}


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
        self._stopped_by = ""
        self._calls: dict[int, int] = {}
        """Index of a content block → number of the tool call, from 0 without gaps."""
        self._silent: set[int] = set()
        """Blocks of calls of which no argument has come yet."""
        self._answers: set[int] = set()
        """Blocks whose arguments are the answer."""

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """What one event means; unknown events mean nothing (the vendor announces new ones)."""
        try:
            body = json.loads(event.data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if not isinstance(body, dict):
            return
        match body.get("type"):
            case "content_block_delta" if isinstance(body.get("delta"), dict):
                yield from self._delta(body.get("index", 0), body["delta"])
            case "content_block_start" if isinstance(body.get("content_block"), dict):
                yield from self._start(body.get("index", 0), body["content_block"])
            case "content_block_stop":
                yield from self._stop(body.get("index", 0))
            case "error":
                raise self._source.from_event(body)
            case "message_start" if isinstance(body.get("message"), dict):
                self._model = str(body["message"].get("model") or "")
                self._count(body["message"].get("usage"))
                yield Spent(usage=self._usage())
            case "message_delta":
                self._count(body.get("usage"))
                self._end(body.get("delta"))
            case "message_stop":
                self.complete = True

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """What a plain reply means."""
        if body.get("type") == "error" or body.get("error"):
            raise self._source.from_event(body)
        if not isinstance(body.get("content"), list):
            raise self._source.garbage("JSON without content")
        for index, block in enumerate(body["content"]):
            if isinstance(block, dict):
                yield from self._start(index, block)
                yield from self._stop(index)
        self._model = str(body.get("model") or "")
        self._count(body.get("usage"))
        self._end(body)

    def finish(self) -> Finish | None:
        """How it ended."""
        if self._reason is None:
            return None
        reason: FinishReason = "stop" if self._reason == "tool" and not self._calls else self._reason
        return Finish(reason=reason, usage=self._usage(), model=self._model, stopped_by=self._stopped_by)

    def _start(self, index: int, block: JsonObject) -> Iterator[ChatEvent]:
        match block.get("type"):
            case "tool_use":
                given = block.get("input")
                arguments = json.dumps(given, ensure_ascii=False) if given else ""
                if block.get("name") == ANSWER_TOOL:
                    self._answers.add(index)
                    if arguments:
                        yield TextDelta(text=arguments)
                    return
                number = self._calls.setdefault(index, len(self._calls))
                if not arguments:
                    self._silent.add(index)
                name, call = str(block.get("name") or ""), str(block.get("id") or "")
                yield ToolDelta(index=number, id=call, name=name, arguments=arguments)
            case "redacted_thinking":
                yield ReasoningDelta(hidden=str(block.get("data") or ""))
            case _:
                yield from self._delta(index, block)

    def _delta(self, index: int, delta: JsonObject) -> Iterator[ChatEvent]:
        if isinstance(text := delta.get("text"), str):
            if text:
                yield TextDelta(text=text)
        elif isinstance(more := delta.get("partial_json"), str):
            if more and index in self._answers:
                yield TextDelta(text=more)
            elif more and index in self._calls:
                self._silent.discard(index)
                yield ToolDelta(index=self._calls[index], arguments=more)
        elif "thinking" in delta or "signature" in delta:
            yield ReasoningDelta(text=str(delta.get("thinking") or ""), signature=str(delta.get("signature") or ""))

    def _stop(self, index: int) -> Iterator[ChatEvent]:
        if index in self._silent:  # a tool without parameters
            self._silent.discard(index)
            yield ToolDelta(index=self._calls[index], arguments="{}")

    def _end(self, raw: Any) -> None:
        if isinstance(raw, dict) and (reason := raw.get("stop_reason")):
            self._reason = FINISHES.get(str(reason), "unknown")
            self._stopped_by = str(raw.get("stop_sequence") or "")

    def _count(self, raw: Any) -> None:
        """Counts in later events are cumulative, so that the newest replaces the earlier ones."""
        if not isinstance(raw, dict):
            return
        self._counts |= {k: v for k, v in raw.items() if isinstance(v, int) and v >= 0}
        details, written = raw.get("output_tokens_details"), raw.get("cache_creation")
        if isinstance(details, dict) and isinstance(thought := details.get("thinking_tokens"), int):
            self._counts["thinking_tokens"] = max(0, thought)
        if isinstance(written, dict) and "cache_creation_input_tokens" not in raw:
            self._counts["cache_creation_input_tokens"] = sum(
                v for v in written.values() if isinstance(v, int) and v > 0
            )

    def _usage(self) -> Usage:
        count = self._counts.get
        out = count("output_tokens", 0)
        thought = min(count("thinking_tokens", 0), out)
        return Usage(
            input_tokens=count("input_tokens", 0),
            cache_read_tokens=count("cache_read_input_tokens", 0),
            cache_write_tokens=count("cache_creation_input_tokens", 0),
            output_tokens=out - thought,
            reasoning_tokens=thought,
        )
