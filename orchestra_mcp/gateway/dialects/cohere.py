"""Chat, version 2: Cohere's dialect. Reference: https://docs.cohere.com/v2/reference/chat, chat-stream and embed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestra_mcp.gateway.dialects.dialect import STREAM, Dialect, Embeddings, Vectors, streams
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.dialects.translation import (
    content_of,
    media_type_of,
    nearest,
    not_taken,
    over,
    pruned,
    result_text,
    temperature_of,
    told,
    under,
)
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    EmbedRequest,
    Finish,
    FinishReason,
    Media,
    Message,
    ReasoningDelta,
    Text,
    TextDelta,
    Thought,
    ToolCall,
    ToolDelta,
    ToolResult,
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

FINISHES: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool",
    # add here
}
FAILED = {"ERROR": 500, "TIMEOUT": 504}
"""Ends that are failures, and the status that they would have been."""
BUDGETS = {"minimal": 500, "low": 2000, "medium": 8000, "high": 16_000, "xhigh": 31_000}
"""Tokens of thinking for each effort; the vendor advises at most 31,000, and to leave 1,000 for the reply."""
LEFT_FOR_REPLY = 1000


def url(_request: ChatRequest, spec: ModelSpec, _quirks: Quirks, _without: frozenset[str]) -> str:
    """Where to post."""
    return f"{_root(spec)}/v2/chat"


def _root(spec: ModelSpec) -> str:
    return spec.base_url.rstrip("/").removesuffix("/v2")


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request.

    Raises:
        Refused: the request holds media that the model cannot take.
    """
    names = without | set(quirks.omit)
    messages = [row for message in request.messages for row in _rows(message, spec, quirks)]
    body: JsonObject = {"model": spec.model, "messages": messages}
    if streams(request, without):
        body["stream"] = True
    if limit := request.max_tokens or quirks.max_tokens_needed:
        body["max_tokens"] = limit
    if (temperature := temperature_of(request, quirks)) is not None:
        body["temperature"] = temperature
    if request.top_p is not None and quirks.temperature:
        body["p"] = request.top_p
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    _add_tools(body, request, quirks)
    _add_format(body, request, quirks, names)
    if request.effort is not None and quirks.effort:
        body["thinking"] = _thinking(request.effort, quirks, limit)
    if request.extra_dialect == "cohere":
        under(body, request.extra)
    return pruned(over(body, quirks.static), names)


def _add_tools(body: JsonObject, request: ChatRequest, quirks: Quirks) -> None:
    # One named tool cannot be asked for; leaving out the others comes to the same.
    tools = [tool for tool in request.tools if tool.name == request.tool] or list(request.tools)
    if not tools:
        return
    body["tools"] = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in tools
    ]
    if quirks.strict_tools and all(tool.strict for tool in tools):
        body["strict_tools"] = True
    if request.tool or request.tool_choice == "required":
        body["tool_choice"] = "REQUIRED"
    elif request.tool_choice == "none":
        body["tool_choice"] = "NONE"


def _add_format(body: JsonObject, request: ChatRequest, quirks: Quirks, names: frozenset[str]) -> None:
    """JSON is asked for with a switch, but not together with tools, and always in words as well, as the vendor says:
    without them the model may get stuck."""
    if not (request.answer or request.json_only):
        return
    if request.answer:
        body["messages"].insert(0, {"role": "system", "content": told(request.answer)})
    if request.tools or "response_format" in names:
        return
    body["response_format"] = {"type": "json_object"}
    if request.answer and quirks.schema_output == "json_schema":
        body["response_format"]["json_schema"] = request.answer.json_schema


def _thinking(asked: str, quirks: Quirks, limit: int | None) -> JsonObject:
    effort = nearest(asked, quirks.efforts, ("none", *BUDGETS))
    if effort == "none":
        return {"type": "disabled"}
    budget = BUDGETS.get(effort, BUDGETS["xhigh"])
    if limit:  # thinking counts towards the limit
        budget = min(budget, max(limit // 2, limit - LEFT_FOR_REPLY))
    return {"type": "enabled", "token_budget": max(1, budget)}


def _rows(message: Message, spec: ModelSpec, quirks: Quirks) -> Iterator[JsonObject]:
    """A message of ours as messages of theirs: each result of a tool is one of its own."""
    blocks: list[JsonObject] = []
    calls: list[JsonObject] = []
    for part in content_of(message):
        match part:
            case ToolResult():
                said = result_text(part)
                if any(isinstance(p, Media) for p in part.parts):
                    raise not_taken(spec.model, next(p for p in part.parts if isinstance(p, Media)))
                yield {"role": "tool", "tool_call_id": part.id, "content": f"Error: {said}" if part.error else said}
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments or "{}"}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Text() if part.text:
                blocks.append({"type": "text", "text": part.text})
            case Media():
                blocks.append(_image(part, spec, quirks))
            case Thought() if quirks.give_back_thoughts and part.text and not (part.signature or part.hidden):
                blocks.append({"type": "thinking", "thinking": part.text})
    row: JsonObject = {"role": message.role}
    if all(block["type"] == "text" for block in blocks):
        text = "\n\n".join(block["text"] for block in blocks)
        if text:
            row["content"] = text
    else:
        row["content"] = blocks
    if calls and message.role == "assistant":
        row["tool_calls"] = calls
    if len(row) > 1:
        yield row


def _image(media: Media, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    kind = media_type_of(media)
    if not quirks.images or not (kind.startswith("image/") or (media.url and not kind)):
        raise not_taken(spec.model, media)
    address = f"data:{kind};base64,{media.data}" if media.data else media.url
    return {"type": "image_url", "image_url": {"url": address}}


# ---------------------------------------------------------------------------------------------------- replies


def usage_of(raw: Any) -> Usage:
    """A `usage` object in disjoint buckets: what is billed, which is less than all tokens (the vendor's own part of
    the prompt is free). Thinking is part of the output."""
    if not isinstance(raw, dict):
        return Usage()
    told_of = raw.get("billed_units") or raw.get("tokens") or {}

    def count(of: JsonObject, name: str) -> int:
        value = of.get(name)
        return max(0, int(value)) if isinstance(value, int | float) else 0

    prompt = count(told_of, "input_tokens")
    cached = min(prompt, count(raw, "cached_tokens"))
    return Usage(input_tokens=prompt - cached, cache_read_tokens=cached, output_tokens=count(told_of, "output_tokens"))


class Decoder:
    """Reads the events of a chat stream, or one whole reply."""

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._usage = Usage()
        self._calls: dict[Any, int] = {}

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """What one event means; citations and unknown events mean nothing."""
        if event.data.strip() == "[DONE]":
            self.complete = True
            return
        try:
            body = json.loads(event.data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if not isinstance(body, dict):
            return
        kind = body.get("type")
        delta = body.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        message = delta.get("message")
        message = message if isinstance(message, dict) else {}
        match kind:
            case "content-delta" | "content-start":
                yield from self._content(message.get("content"))
            case "tool-plan-delta":
                yield ReasoningDelta(text=str(message.get("tool_plan") or ""))
            case "tool-call-start" | "tool-call-delta":
                yield from self._call(body.get("index", 0), message.get("tool_calls"))
            case "message-end":
                self._end(delta)
                self.complete = True
            case None if "message" in body or "error" in body:
                raise self._source.from_event(body)

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """What a plain reply means."""
        message = body.get("message")
        if not isinstance(message, dict):
            raise self._source.from_event(body) if message else self._source.garbage("JSON without a message")
        if plan := message.get("tool_plan"):
            yield ReasoningDelta(text=str(plan))
        for block in message.get("content") or ():
            yield from self._content(block)
        for index, call in enumerate(message.get("tool_calls") or ()):
            yield from self._call(index, call)
        self._end(body)

    def finish(self) -> Finish | None:
        """How it ended. The vendor does not repeat the model's name."""
        return Finish(reason=self._reason, usage=self._usage) if self._reason else None

    @staticmethod
    def _content(block: Any) -> Iterator[ChatEvent]:
        if not isinstance(block, dict):
            return
        if isinstance(thought := block.get("thinking"), str):
            yield ReasoningDelta(text=thought)
        elif isinstance(text := block.get("text"), str) and text:
            yield TextDelta(text=text)

    def _call(self, index: Any, call: Any) -> Iterator[ChatEvent]:
        if not isinstance(call, dict):
            return
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        yield ToolDelta(
            index=self._calls.setdefault(index, len(self._calls)),
            id=str(call.get("id") or ""),
            name=str(function.get("name") or ""),
            arguments=str(function.get("arguments") or ""),
        )

    def _end(self, raw: JsonObject) -> None:
        reason = str(raw.get("finish_reason") or "")
        self._usage = usage_of(raw.get("usage"))
        if reason in FAILED or raw.get("error"):
            message = str(raw.get("error") or f"the generation ended with {reason}")
            raise self._source.from_event({"error": {"code": FAILED.get(reason, 500), "message": message}})
        if reason:
            self._reason = FINISHES.get(reason, "unknown")


# ------------------------------------------------------------------------------------------------- embeddings


def _embed_body(request: EmbedRequest, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    body: JsonObject = {
        "model": spec.model,
        "texts": list(request.texts),
        "input_type": "clustering",  # questions are compared with questions; the others are for search
        "embedding_types": ["float"],
    }
    if request.dimensions:
        body["output_dimension"] = request.dimensions
    return over(body, quirks.static)


def _embedded(body: JsonObject, _source: Source) -> Vectors:
    vectors = tuple(tuple(float(x) for x in row) for row in body["embeddings"]["float"])
    return Vectors(vectors, usage_of(body.get("meta")))


DIALECT = Dialect(
    name="cohere",
    url=url,
    auth="bearer",
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{_root(spec)}/v1/models",
    optional=frozenset({"temperature", "p", "k", "seed", "thinking", "strict_tools", "response_format", STREAM}),
    embeddings=Embeddings(lambda spec, _quirks: f"{_root(spec)}/v2/embed", _embed_body, _embedded),
)
