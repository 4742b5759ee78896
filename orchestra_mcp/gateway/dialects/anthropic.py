"""Messages: Anthropic's dialect, at Anthropic and at Google's Vertex AI.

Reference: https://platform.claude.com/docs/en/api/messages, …/build-with-claude/streaming, extended-thinking,
adaptive-thinking, structured-outputs and prompt-caching. Version 2023-06-01 is spoken: it still takes `temperature`,
which 2026-10-21 refuses for every model.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote

from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway.dialects.anthropic_events import Decoder
from orchestra_mcp.gateway.dialects.dialect import STREAM, Dialect, streams
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.translation import (
    ANSWER_TOOL,
    arguments_of,
    closed,
    media_type_of,
    nearest,
    not_taken,
    over,
    pruned,
    system_of,
    temperature_of,
    told,
    turns_of,
    under,
)
from orchestra_mcp.gateway.provider import (
    ChatRequest,
    Media,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject

VERSION = "2023-06-01"
VERTEX_VERSION = "vertex-2023-10-16"
DEFAULT_LIMIT = 8192
"""The vendor wants a limit; this one when nobody gave any."""
MAX_MARKS = 4
"""Cache marks that a request may have; the last ones count most."""
LEAST_BUDGET = 1024
BUDGETS = {"minimal": 1024, "low": 4096, "medium": 10_000, "high": 24_000, "xhigh": 48_000, "max": 64_000}
"""Tokens of thinking for each effort, where the model is told a number."""
ADAPTIVE = ("low", "medium", "high", "xhigh", "max")
MARK = {"type": "ephemeral"}


def vertex_root(spec: ModelSpec, publisher: str) -> str:
    """Where a publisher's models are at Vertex AI; empty when the model is elsewhere (no `project` in its options).

    Hosts: https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations.
    """
    project, place = spec.options.get("project", ""), spec.options.get("location", "global")
    if not project:
        return ""
    host = {"global": "aiplatform.googleapis.com"}.get(place, f"{place}-aiplatform.googleapis.com")
    if place in ("us", "eu"):
        host = f"aiplatform.{place}.rep.googleapis.com"
    base = spec.base_url.rstrip("/").removesuffix("/v1") or f"https://{host}"
    return f"{base}/v1/projects/{quote(project)}/locations/{quote(place)}/publishers/{publisher}/models"


def url(request: ChatRequest, spec: ModelSpec, _quirks: Quirks, without: frozenset[str]) -> str:
    """Where to post."""
    if root := vertex_root(spec, "anthropic"):
        verb = "streamRawPredict" if streams(request, without) else "rawPredict"
        return f"{root}/{quote(spec.model, safe='@')}:{verb}"
    return f"{_root(spec)}/v1/messages"


def _root(spec: ModelSpec) -> str:
    return spec.base_url.rstrip("/").removesuffix("/v1")


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request: system text apart, neighbours of one role joined, since roles must alternate.

    Raises:
        Refused: the request holds media that the model cannot take.
    """
    names = without | set(quirks.omit)
    body: JsonObject = {"model": spec.model}
    if vertex_root(spec, "anthropic"):
        body = {"anthropic_version": spec.options.get("api_version", VERTEX_VERSION)}
    limit = request.max_tokens or quirks.max_tokens_needed or DEFAULT_LIMIT
    body |= {"max_tokens": limit, "messages": _messages(request, spec, quirks)}
    if streams(request, without):
        body["stream"] = True
    system = system_of(request.messages)
    way = _answer_way(request, quirks, names)
    if request.answer and way == "told":
        system.append(Text(text=told(request.answer)))
    if system:
        marked = any(text.cache for text in system)
        body["system"] = [_text(t) for t in system] if marked else "\n\n".join(t.text for t in system)
    _add_tools(body, request, quirks, forced_answer=way == "tool")
    if request.answer and way == "format":
        body["output_config"] = {"format": {"type": "json_schema", "schema": closed(request.answer.json_schema)}}
    _add_thinking(body, request, quirks, limit)
    _add_sampling(body, request, quirks)
    if request.extra_dialect == "anthropic":
        under(body, request.extra)
        if not quirks.temperature:
            body.pop("top_k", None)
    _limit_marks(body)
    return pruned(over(body, quirks.static), names, "output_config")


def _messages(request: ChatRequest, spec: ModelSpec, quirks: Quirks) -> list[JsonObject]:
    messages: list[JsonObject] = []
    for role, parts in turns_of(request.messages):
        if all(isinstance(part, Text) and not part.cache for part in parts):
            text = "\n\n".join(part.text for part in parts if isinstance(part, Text))
            messages.append({"role": role, "content": text})
        elif blocks := [block for part in parts for block in _block(part, spec, quirks)]:
            messages.append({"role": role, "content": blocks})
    if messages and messages[-1]["role"] == "assistant" and isinstance(begun := messages[-1]["content"], str):
        # Words to go on from; the vendor refuses a blank at their end.
        messages[-1:] = [{"role": "assistant", "content": begun.rstrip()}] if begun.strip() else []
    return messages


def _block(part: Part, spec: ModelSpec, quirks: Quirks) -> Iterator[JsonObject]:
    match part:
        case Text():
            yield _text(part)
        case Media():
            yield media_block(part, spec, quirks)
        case ToolCall():
            yield {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_of(part)}
        case ToolResult():
            block: JsonObject = {"type": "tool_result", "tool_use_id": part.id}
            if content := [_text(p) if isinstance(p, Text) else media_block(p, spec, quirks) for p in part.parts]:
                block["content"] = content
            if part.error:
                block["is_error"] = True
            yield block
        case Thought() if not part.id:  # those of OpenAI have an id; Anthropic would refuse them
            if part.hidden:
                yield {"type": "redacted_thinking", "data": part.hidden}
            elif part.signature:
                yield {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _text(part: Text) -> JsonObject:
    block: JsonObject = {"type": "text", "text": part.text}
    return {**block, "cache_control": MARK} if part.cache else block


def media_block(media: Media, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    """An image or a document.

    Raises:
        Refused: it is something else, or the model sees no images.
    """
    kind = media_type_of(media)
    source: JsonObject = {"type": "url", "url": media.url}
    if kind.startswith("image/") or (media.url and not kind):
        if not quirks.images:
            raise not_taken(spec.model, media)
        if media.data:
            source = {"type": "base64", "media_type": kind, "data": media.data}
        return {"type": "image", "source": source}
    if media.data and kind == "application/pdf":
        source = {"type": "base64", "media_type": kind, "data": media.data}
    elif media.data and kind.startswith("text/"):
        try:
            text = base64.b64decode(media.data).decode("utf-8", "replace")
        except ValueError:
            raise Refused(f"{media.name or 'A document'} is not valid base64.", "request") from None
        source = {"type": "text", "media_type": "text/plain", "data": text}
    elif media.data or kind != "application/pdf":
        raise not_taken(spec.model, media)
    block: JsonObject = {"type": "document", "source": source}
    return {**block, "title": media.name} if media.name else block


def _answer_way(request: ChatRequest, quirks: Quirks, names: frozenset[str]) -> str:
    """How an answer of a schema is asked for: `format`, `tool` or `told`."""
    if quirks.schema_output == "json_schema" and not names & {"output_config", "format"}:
        return "format"
    return "tool" if quirks.schema_output == "tool" and not request.tools else "told"


def _add_tools(body: JsonObject, request: ChatRequest, quirks: Quirks, *, forced_answer: bool) -> None:
    tools: list[JsonObject] = []
    for tool in request.tools:
        row: JsonObject = {"name": tool.name, "input_schema": {"type": "object", "properties": {}, **tool.parameters}}
        if tool.description:
            row["description"] = tool.description
        if tool.strict is not None and quirks.strict_tools:
            row["strict"] = tool.strict
        tools.append(row)
    if request.answer and forced_answer:
        about = request.answer.description or "Gives the answer."
        schema = {"type": "object", **request.answer.json_schema}
        body["tools"] = [{"name": ANSWER_TOOL, "description": about, "input_schema": schema}]
        body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
        return
    if not tools:
        return
    body["tools"] = tools
    choice: JsonObject = {}
    if request.tool:
        choice = {"type": "tool", "name": request.tool}
    elif request.tool_choice:
        choice = {"type": {"auto": "auto", "none": "none", "required": "any"}[request.tool_choice]}
    if request.parallel_tools is not None and request.tool_choice != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": not request.parallel_tools}
    if choice:
        body["tool_choice"] = choice


def _add_thinking(body: JsonObject, request: ChatRequest, quirks: Quirks, limit: int) -> None:
    """Set `thinking` and `output_config.effort`: a number of tokens (`thinking`), the model's own choice within an effort
    (`adaptive`), or the effort alone (`reasoning_effort`)."""
    if request.effort is None or quirks.effort not in ("thinking", "adaptive", "reasoning_effort"):
        return
    # A forced tool and thinking exclude each other; the tool is what was asked for.
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if quirks.effort != "thinking":
        alone = quirks.effort == "reasoning_effort"
        effort = nearest(request.effort, quirks.efforts, ADAPTIVE if alone else ("none", *ADAPTIVE))
        if effort == "none":
            body["thinking"] = {"type": "disabled"}
            return
        if not forced and not alone and request.effort != "none":  # never switched on for one who asked for none
            body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {**body.get("output_config", {}), "effort": effort}
        return
    effort = nearest(request.effort, quirks.efforts, ("none", *BUDGETS))
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif not forced and limit > LEAST_BUDGET and not _unsigned_call(request):
        # Thinking counts towards `max_tokens`. The limit stays what the caller (and the budget of money) set.
        budget = min(BUDGETS[effort], max(LEAST_BUDGET, limit // 2))
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _unsigned_call(request: ChatRequest) -> bool:
    """True when the last turn of the model calls tools without its thinking, as in another vendor's conversation: the
    vendor then refuses thinking with a number."""
    last = next((m for m in reversed(request.messages) if m.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolCall) for part in last.parts):
        return False
    return not any(isinstance(p, Thought) and (p.signature or p.hidden) and not p.id for p in last.parts)


def _add_sampling(body: JsonObject, request: ChatRequest, quirks: Quirks) -> None:
    thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    temperature = temperature_of(request, quirks)
    if temperature is not None and (not thinks or temperature == 1):
        body["temperature"] = min(temperature, 1.0)
    # Thinking allows values from .95 to 1 only.
    if request.top_p is not None and quirks.temperature and (not thinks or request.top_p >= 0.95):
        body["top_p"] = request.top_p
    if stops := [stop for stop in request.stop if stop.strip()]:
        body["stop_sequences"] = stops


def _limit_marks(body: JsonObject) -> None:
    """Leave only the last marks for the prompt cache: more are refused."""
    holders = [body.get("tools"), body.get("system"), *(m.get("content") for m in body["messages"])]
    marked = [b for h in holders if isinstance(h, list) for b in h if isinstance(b, dict) and "cache_control" in b]
    for block in marked[:-MAX_MARKS]:
        del block["cache_control"]


DIALECT = Dialect(
    name="anthropic",
    url=url,
    auth="x-api-key",
    headers={"anthropic-version": VERSION},
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{_root(spec)}/v1/models",
    optional=frozenset({"temperature", "top_p", "top_k", "thinking", "effort", "format", "output_config", STREAM}),
)
