"""How Bedrock's replies are read: the events of ConverseStream, or one whole reply of Converse.

Reference: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestra_mcp.gateway.dialects.awsstream import FAILED
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL
from orchestra_mcp.gateway.provider import ChatEvent, Finish, FinishReason, ReasoningDelta, TextDelta, ToolDelta
from orchestra_mcp.types import JsonObject, Usage

FINISHES: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
    # add here
}
STATUS_OF = {
    "validationexception": 400,
    "accessdeniedexception": 403,
    "resourcenotfoundexception": 404,
    "throttlingexception": 429,
    "modelstreamerrorexception": 500,  # 424 in the service model, but "Retry your request" says its description
    "internalserverexception": 500,
    "serviceunavailableexception": 503,
    "modeltimeoutexception": 504,
    # add here
}


def usage_of(raw: Any) -> Usage:
    """A `usage` object in disjoint buckets. The total tells whether the input includes what the cache was used for."""
    if not isinstance(raw, dict):
        return Usage()

    def count(name: str) -> int:
        value = raw.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    prompt, out = count("inputTokens"), count("outputTokens")
    read, written = count("cacheReadInputTokens"), count("cacheWriteInputTokens")
    if count("totalTokens") == prompt + out:
        prompt = max(0, prompt - read - written)
    return Usage(input_tokens=prompt, cache_read_tokens=read, cache_write_tokens=written, output_tokens=out)


class Decoder:
    """Reads the events of ConverseStream, or one whole reply of Converse. Thinking is part of the output tokens."""

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._usage = Usage()
        self._calls: dict[Any, int] = {}
        self._silent: set[Any] = set()
        """Blocks of calls of which no argument has come yet."""
        self._answers: set[Any] = set()
        """Blocks whose arguments are the answer."""

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """What one event means; unknown events mean nothing."""
        try:
            body = json.loads(event.data or "{}")
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if not isinstance(body, dict):
            return
        index = body.get("contentBlockIndex", 0)
        match event.kind:
            case "contentBlockDelta" if isinstance(body.get("delta"), dict):
                yield from self._delta(index, body["delta"])
            case "contentBlockStart" if isinstance(body.get("start"), dict):
                yield from self._start(index, body["start"].get("toolUse"))
            case "contentBlockStop":
                yield from self._stop(index)
            case "messageStop":
                self._reason = FINISHES.get(str(body.get("stopReason")), "unknown")
            case "metadata":
                self._usage = usage_of(body.get("usage"))
                self.complete = True
            case kind if kind.startswith(FAILED):
                code = STATUS_OF.get(kind.removeprefix(FAILED).lower(), 500)
                raise self._source.from_event({"error": {"code": code, "message": str(body.get("message") or "")}})

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """What a plain reply means."""
        message = (body.get("output") or {}).get("message")
        if not isinstance(message, dict):
            raise self._source.garbage("JSON without a message")
        for index, block in enumerate(message.get("content") or ()):
            if isinstance(call := block.get("toolUse"), dict):
                yield from self._start(index, call)
                given = json.dumps(call.get("input") or {}, ensure_ascii=False)
                yield from self._delta(index, {"toolUse": {"input": given}})
            else:
                thought = block.get("reasoningContent")
                plain = thought.get("reasoningText") if isinstance(thought, dict) else None
                yield from self._delta(index, {"reasoningContent": plain} if isinstance(plain, dict) else block)
        self._usage = usage_of(body.get("usage"))
        if reason := body.get("stopReason"):
            self._reason = FINISHES.get(str(reason), "unknown")

    def finish(self) -> Finish | None:
        """How it ended. The vendor does not repeat the model's name."""
        if self._reason is None:
            return None
        reason: FinishReason = "stop" if self._reason == "tool" and not self._calls else self._reason
        return Finish(reason=reason, usage=self._usage)

    def _start(self, index: Any, call: Any) -> Iterator[ChatEvent]:
        if not isinstance(call, dict):
            return
        if call.get("name") == ANSWER_TOOL:
            self._answers.add(index)
            return
        number = self._calls.setdefault(index, len(self._calls))
        self._silent.add(index)
        yield ToolDelta(index=number, id=str(call.get("toolUseId") or ""), name=str(call.get("name") or ""))

    def _delta(self, index: Any, delta: JsonObject) -> Iterator[ChatEvent]:
        if isinstance(text := delta.get("text"), str):
            if text:
                yield TextDelta(text=text)
        elif isinstance(call := delta.get("toolUse"), dict):
            more = str(call.get("input") or "")
            if more and index in self._answers:
                yield TextDelta(text=more)
            elif more and index in self._calls:
                self._silent.discard(index)
                yield ToolDelta(index=self._calls[index], arguments=more)
        elif isinstance(thought := delta.get("reasoningContent"), dict):
            yield ReasoningDelta(
                text=str(thought.get("text") or ""),
                signature=str(thought.get("signature") or ""),
                hidden=str(thought.get("redactedContent") or ""),
            )

    def _stop(self, index: Any) -> Iterator[ChatEvent]:
        if index in self._silent:  # a tool without parameters
            self._silent.discard(index)
            yield ToolDelta(index=self._calls[index], arguments="{}")
