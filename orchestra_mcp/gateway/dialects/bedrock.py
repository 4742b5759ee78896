"""Converse: the dialect of Amazon Bedrock.

Reference: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …_ConverseStream.html.
The tests hold requests and replies against the service model that AWS publishes with its SDKs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from orchestra_mcp.gateway.dialects.anthropic import ADAPTIVE, BUDGETS, LEAST_BUDGET
from orchestra_mcp.gateway.dialects.awsstream import AwsEventParser
from orchestra_mcp.gateway.dialects.bedrock_events import Decoder
from orchestra_mcp.gateway.dialects.dialect import Dialect, streams
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.translation import (
    ANSWER_TOOL,
    arguments_of,
    call_names,
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
from orchestra_mcp.gateway.provider import ChatRequest, Media, Part, Text, Thought, ToolCall, ToolResult
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject

DEFAULT_REGION = "us-east-1"
STREAM_TYPE = "application/vnd.amazon.eventstream"
IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
MARK = {"cachePoint": {"type": "default"}}
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9\-()\[\] ]+")


def url(request: ChatRequest, spec: ModelSpec, _quirks: Quirks, without: frozenset[str]) -> str:
    """Where to post; the region is part of the host."""
    region = spec.options.get("region") or DEFAULT_REGION
    base = spec.base_url.rstrip("/") or f"https://bedrock-runtime.{region}.amazonaws.com"
    verb = "converse-stream" if streams(request, without) else "converse"
    return f"{base}/model/{quote(spec.model, safe='')}/{verb}"


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request; the model is part of the address.

    Raises:
        Refused: the request holds media that the model cannot take.
    """
    names = without | set(quirks.omit)
    marks = bool(quirks.cache_marks)
    messages = []
    for role, parts in turns_of(request.messages):
        if blocks := list(_blocks(parts, spec, quirks, marks=marks)):
            messages.append({"role": role, "content": blocks})
    body: JsonObject = {"messages": messages}
    way = _answer_way(request, quirks, names)
    system = list(_blocks(system_of(request.messages), spec, quirks, marks=marks))
    if request.answer and way == "told":
        system.append({"text": told(request.answer)})
    if system:
        body["system"] = system
    _add_tools(body, request, quirks, forced_answer=way == "tool")
    if request.answer and way == "format":
        schema: JsonObject = {"schema": json.dumps(closed(request.answer.json_schema), ensure_ascii=False)}
        schema["name"] = request.answer.name
        if request.answer.description:
            schema["description"] = request.answer.description
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    _add_thinking(body, request, quirks)
    if config := _config(body, request, quirks):
        body["inferenceConfig"] = config
    if request.extra_dialect == "bedrock":
        under(body, request.extra)
    return pruned(over(body, quirks.static), names, "inferenceConfig", "outputConfig", "additionalModelRequestFields")


def _answer_way(request: ChatRequest, quirks: Quirks, names: frozenset[str]) -> str:
    if quirks.schema_output == "json_schema" and not names & {"outputConfig", "textFormat"}:
        return "format"
    return "tool" if quirks.schema_output == "tool" and not request.tools else "told"


def _config(body: JsonObject, request: ChatRequest, quirks: Quirks) -> JsonObject:
    config: JsonObject = {}
    if limit := request.max_tokens or quirks.max_tokens_needed:
        config["maxTokens"] = limit
    thinks = "thinking" in body.get("additionalModelRequestFields", {})
    temperature = temperature_of(request, quirks)
    if temperature is not None and not thinks:
        config["temperature"] = min(temperature, 1.0)
    if request.top_p is not None and quirks.temperature and not thinks:
        config["topP"] = request.top_p
    if request.stop:
        config["stopSequences"] = [stop for stop in request.stop if stop]
    return config


def _add_tools(body: JsonObject, request: ChatRequest, quirks: Quirks, *, forced_answer: bool) -> None:
    if request.answer and forced_answer:
        about = request.answer.description or "Gives the answer."
        spec = _tool(ANSWER_TOOL, about, {"type": "object", **request.answer.json_schema})
        body["toolConfig"] = {"tools": [spec], "toolChoice": {"tool": {"name": ANSWER_TOOL}}}
        return
    tools = [
        _tool(t.name, t.description, t.parameters, t.strict if quirks.strict_tools else None) for t in request.tools
    ]
    used = call_names(request.messages)
    if not tools and used:  # calls in the conversation are refused unless their tools are there as well
        tools = [_tool(name, "", {}) for name in dict.fromkeys(used.values())]
    elif request.tool_choice == "none" and not used:
        return
    if not tools:
        return
    body["toolConfig"] = {"tools": tools}
    if request.tool:
        body["toolConfig"]["toolChoice"] = {"tool": {"name": request.tool}}
    elif request.tools and request.tool_choice in ("auto", "required"):
        body["toolConfig"]["toolChoice"] = {"any": {}} if request.tool_choice == "required" else {"auto": {}}


def _tool(name: str, about: str, schema: JsonObject, strict: bool | None = None) -> JsonObject:
    row: JsonObject = {"name": name, "inputSchema": {"json": {"type": "object", "properties": {}, **schema}}}
    if about:
        row["description"] = about
    if strict is not None:
        row["strict"] = strict
    return {"toolSpec": row}


def _add_thinking(body: JsonObject, request: ChatRequest, quirks: Quirks) -> None:
    """Each family behind Bedrock is told in its own words, beside the common ones: Claude `thinking`, Amazon's Nova
    `reasoningConfig`, OpenAI's open models `reasoning_effort`."""
    if request.effort is None or not quirks.effort:
        return
    choice = body.get("toolConfig", {}).get("toolChoice", {})
    forced = "any" in choice or "tool" in choice
    more: JsonObject = {}
    match quirks.effort:
        case "adaptive":
            effort = nearest(request.effort, quirks.efforts, ("none", *ADAPTIVE))
            if effort == "none":
                more = {"thinking": {"type": "disabled"}}
            else:
                body["outputConfig"] = {**body.get("outputConfig", {}), "effort": effort}
                more = {} if forced or request.effort == "none" else {"thinking": {"type": "adaptive"}}
        case "thinking" | "budget":
            effort = nearest(request.effort, quirks.efforts, ("none", *BUDGETS))
            limit = request.max_tokens or quirks.max_tokens_needed
            if effort != "none" and not forced and (limit is None or limit > LEAST_BUDGET):
                budget = min(BUDGETS[effort], max(LEAST_BUDGET, limit // 2)) if limit else BUDGETS[effort]
                more = {"thinking": {"type": "enabled", "budget_tokens": budget}}
        case "reasoning":
            effort = nearest(request.effort, quirks.efforts, ("none", "low", "medium", "high"))
            more = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
            if effort == "none":
                more = {"reasoningConfig": {"type": "disabled"}}
        case _:
            more = {"reasoning_effort": nearest(request.effort, quirks.efforts, ("low", "medium", "high"))}
    if more:
        body["additionalModelRequestFields"] = more


def _blocks(parts: Iterable[Part], spec: ModelSpec, quirks: Quirks, *, marks: bool) -> Iterator[JsonObject]:
    for part in parts:
        match part:
            case Text() if part.text.strip():  # blank text is refused
                yield {"text": part.text}
                if part.cache and marks:
                    yield MARK
            case Media():
                yield _media(part, spec, quirks)
            case ToolCall():
                yield {"toolUse": {"toolUseId": _id(part.id), "name": part.name, "input": arguments_of(part)}}
            case ToolResult():
                content = [{"text": p.text} if isinstance(p, Text) else _media(p, spec, quirks) for p in part.parts]
                status = "error" if part.error else "success"
                result = {"toolUseId": _id(part.id), "content": content or [{"text": "(nothing)"}], "status": status}
                yield {"toolResult": result}
            case Thought() if part.hidden and not part.id:
                yield {"reasoningContent": {"redactedContent": part.hidden}}
            case Thought() if part.signature and not part.id:
                thought = {"text": part.text, "signature": part.signature}
                yield {"reasoningContent": {"reasoningText": thought}}


def _id(call: str) -> str:
    """An id within the vendor's rules; the same for a call and its result."""
    return _NOT_IN_ID.sub("_", call)[-64:] or "call"


def _media(media: Media, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    kind = media_type_of(media)
    source: JsonObject = {"bytes": media.data}
    if not media.data:
        if not media.url.startswith("s3://"):
            raise not_taken(spec.model, media)
        source = {"s3Location": {"uri": media.url}}
    if kind in IMAGES and quirks.images:
        return {"image": {"format": IMAGES[kind], "source": source}}
    if kind in DOCUMENTS:
        name = " ".join(_NOT_IN_NAME.sub(" ", media.name.rpartition(".")[0] or media.name).split())[:200]
        return {"document": {"format": DOCUMENTS[kind], "name": name or "document", "source": source}}
    raise not_taken(spec.model, media)


DIALECT = Dialect(
    name="bedrock",
    url=url,
    auth="aws",
    to_wire=to_wire,
    decoder=Decoder,
    optional=frozenset(
        {
            "temperature",
            "topP",
            "thinking",
            "reasoningConfig",
            "reasoning_effort",
            "effort",
            "outputConfig",
            "additionalModelRequestFields",
        }
    ),
    framing=AwsEventParser,
    stream_type=STREAM_TYPE,
)
