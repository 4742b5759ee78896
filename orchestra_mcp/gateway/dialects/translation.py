"""What several dialects need to turn a request of ours into a vendor's: turns, efforts, arguments, schemas. All pure."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    ChatRequest,
    Media,
    Message,
    Part,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from orchestra_mcp.types import JsonObject

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All that vendors call an effort, lowest first."""
ANSWER_TOOL = "orchestra_answer"
"""The forced tool that stands for an answer of a schema; its arguments are read as the text of the reply."""


def content_of(message: Message) -> tuple[Part, ...]:
    """All parts in the order that vendors want: thinking comes before the words that followed it."""
    if not message.text:
        return message.parts
    start = next((i for i, part in enumerate(message.parts) if not isinstance(part, Thought)), len(message.parts))
    return (*message.parts[:start], Text(text=message.text), *message.parts[start:])


def system_of(messages: Iterable[Message]) -> list[Text]:
    """The instructions, wherever they stand in the conversation; nothing but text can be one."""
    return [
        part for m in messages if m.role == "system" for part in content_of(m) if isinstance(part, Text) and part.text
    ]


def turns_of(messages: Iterable[Message]) -> list[tuple[Role, list[Part]]]:
    """The conversation without instructions and empty messages, roles alternating, results of tools first in a turn."""
    turns: list[tuple[Role, list[Part]]] = []
    for message in messages:
        parts = [p for p in content_of(message) if not (isinstance(p, Text) and not p.text)]
        if message.role == "system" or not parts:
            continue
        if turns and turns[-1][0] == message.role:
            turns[-1][1].extend(parts)
        else:
            turns.append((message.role, parts))
    for role, parts in turns:
        if role == "user" and len(parts) > 1:
            parts.sort(key=lambda part: not isinstance(part, ToolResult))  # stable: all else keeps its order
    return turns


def arguments_of(call: ToolCall) -> JsonObject:
    """The arguments of a call as the object that vendors want; what is none is wrapped, so that nothing is lost."""
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = call.arguments
    return value if isinstance(value, dict) else {"arguments": value}


def call_names(messages: Iterable[Message]) -> dict[str, str]:
    """Id of a tool call → name of its tool: not every client repeats the name with the result."""
    return {part.id: part.name for m in messages for part in m.parts if isinstance(part, ToolCall)}


def result_text(result: ToolResult) -> str:
    """All text of a tool's result."""
    return "\n".join(part.text for part in result.parts if isinstance(part, Text))


def nearest(effort: str, known: Sequence[str], of: Sequence[str]) -> str:
    """The effort nearest to the one asked for, among those that the model (else the dialect: `of`) knows.

    Some thinking is never turned into none, nor the other way round, unless there is nothing else.
    """
    able = [name for name in known if name in EFFORTS] or list(of)
    if effort in able:
        return effort
    rank = EFFORTS.index(effort)
    return min(able, key=lambda name: (name == "none", abs(EFFORTS.index(name) - rank)))


def temperature_of(request: ChatRequest, quirks: Quirks) -> float | None:
    """The temperature to send: none where the model takes none, and never above what the vendor allows."""
    if request.temperature is None or not quirks.temperature:
        return None
    return request.temperature if quirks.temperature_max is None else min(request.temperature, quirks.temperature_max)


def media_type_of(media: Media) -> str:
    """Its type, guessed from the name or address when it is not told; empty when it cannot be."""
    if media.media_type:
        return media.media_type.partition(";")[0].strip().lower()
    return mimetypes.guess_type(media.name or media.url.partition("?")[0])[0] or ""


def not_taken(who: str, media: Media) -> Refused:
    """The error for media that a model or its dialect cannot take."""
    kind = media_type_of(media) or "such media"
    return Refused(f"{who} cannot be sent {kind} this way; leave it out, or ask another model.", "request")


def told(answer: AnswerSchema) -> str:
    """Instructions to answer by a schema, for models that cannot be made to."""
    about = f" ({answer.description})" if answer.description else ""
    schema = json.dumps(answer.json_schema, ensure_ascii=False)
    return f"Answer with one JSON object{about} and nothing else. It must follow this JSON Schema:\n{schema}"


def over(body: JsonObject, more: Mapping[str, Any]) -> JsonObject:
    """A body with more in it; objects are joined, lists appended, all else replaced."""
    for name, value in more.items():
        mine = body.get(name)
        if isinstance(mine, dict) and isinstance(value, Mapping):
            body[name] = {**mine, **value}
        elif isinstance(mine, list) and isinstance(value, list):
            body[name] = [*mine, *value]
        else:
            body[name] = value
    return body


def under(body: JsonObject, more: Mapping[str, Any]) -> JsonObject:
    """A body with more in it where it does not say otherwise itself; lists are joined."""
    for name, value in more.items():
        mine = body.get(name)
        if isinstance(mine, dict) and isinstance(value, Mapping):
            body[name] = {**value, **mine}
        elif isinstance(mine, list) and isinstance(value, list):
            body[name] = [*mine, *value]
        elif name not in body and value is not None:
            body[name] = value
    return body


def pruned(body: JsonObject, names: Collection[str], *inside: str) -> JsonObject:
    """A body without some parameters, also within the objects of these names; objects left empty go as well."""
    if not names:
        return body
    for name in inside:
        if isinstance(inner := body.get(name), dict):
            kept = {k: v for k, v in inner.items() if k not in names}
            if kept:
                body[name] = kept
            else:
                del body[name]
    return {name: value for name, value in body.items() if name not in names}


_NOT_KEPT = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
                       "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties"})  # fmt: skip
_DEEPEST = 60


def closed(schema: Any, depth: int = 0) -> Any:
    """A JSON Schema within the vendor's limits: objects closed, and bounds said in the description, not as keywords.

    See "JSON Schema limitations" of the structured outputs guide. The council checks answers itself.
    """
    if isinstance(schema, list):
        return [closed(item, depth + 1) for item in schema] if depth < _DEEPEST else schema
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    made: JsonObject = {}
    for name, value in schema.items():
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            made[name] = {key: closed(item, depth + 1) for key, item in value.items()}
        elif name in ("items", "anyOf", "allOf", "oneOf", "additionalProperties"):
            made["anyOf" if name == "oneOf" else name] = closed(value, depth + 1)
        elif name not in _NOT_KEPT and not (name == "minItems" and value not in (0, 1)):
            made[name] = value
    if lost := {name: schema[name] for name in schema if name not in made and name != "oneOf"}:
        bounds = ", ".join(f"{name}: {value}" for name, value in lost.items())
        made["description"] = f"{made.get('description', '')} ({bounds})".strip()
    if made.get("type") == "object" or "properties" in made:
        made["additionalProperties"] = False
    return made
