"""Responses: a conversation as input items."""

from __future__ import annotations

from collections.abc import Iterable

from orchestra_mcp.gateway.dialects import openai_terms as terms
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import Media, Message, Part, Text, Thought, Tool, ToolCall, ToolResult
from orchestra_mcp.types import JsonObject


def items_of(messages: Iterable[Message], quirks: Quirks) -> list[JsonObject]:
    """All input items of a conversation.

    Results of tools come first in a user's turn, before its words. Instructions are items like the others and not
    `instructions`, which not all vendors of this API know.
    """
    items: list[JsonObject] = []
    for message in messages:
        if not message.parts:  # the usual case, kept short
            if message.text or message.role != "assistant":
                role = quirks.system_role if message.role == "system" else message.role
                items.append({"role": role, "content": message.text})
        elif message.role == "assistant":
            items += _assistant(message, quirks)
        else:
            items += [_result(part, quirks) for part in message.parts if isinstance(part, ToolResult)]
            parts = [part for part in message.content if isinstance(part, Text | Media)]
            if parts:
                role = quirks.system_role if message.role == "system" else "user"
                items.append({"role": role, "content": _content(parts, quirks)})
    return items


def tool_of(tool: Tool, quirks: Quirks) -> JsonObject:
    """One function that the model may call. Strict is the default of this API, and not what was asked for."""
    wire: JsonObject = {"type": "function", "name": tool.name}
    if tool.description:
        wire["description"] = tool.description
    wire["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if quirks.strict_tools:
        wire["strict"] = bool(tool.strict)
    return wire


def _assistant(message: Message, quirks: Quirks) -> list[JsonObject]:
    """What the model thought, said and called, in its order: a thought stands before what came of it."""
    parts: tuple[Part, ...] = message.parts
    if message.text:
        first = next((i for i, part in enumerate(parts) if not isinstance(part, Thought)), len(parts))
        parts = (*parts[:first], Text(text=message.text), *parts[first:])
    items: list[JsonObject] = []
    for part in parts:
        if isinstance(part, Thought):
            items += _thought(part)
        elif isinstance(part, Text) and part.text:
            items.append({"role": "assistant", "content": part.text})
        elif isinstance(part, ToolCall):
            items.append(
                {
                    "type": "function_call",
                    "call_id": terms.tool_id(part.id, quirks),
                    "name": part.name,
                    "arguments": part.arguments or "{}",
                }
            )
    while items and items[-1].get("type") == "reasoning":  # of which nothing came; the vendor rejects it
        items.pop()
    return items


def _thought(thought: Thought) -> list[JsonObject]:
    """A thought that this API made: it has an id and a hidden part; others are not sent."""
    if not (thought.hidden and thought.id):
        return []
    summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
    return [{"type": "reasoning", "id": thought.id, "summary": summary, "encrypted_content": thought.hidden}]


def _result(result: ToolResult, quirks: Quirks) -> JsonObject:
    media = [part for part in result.parts if isinstance(part, Media)]
    text = terms.said_by_tool(result)
    output: str | list[JsonObject] = text
    if media:
        output = _parts([*([Text(text=text)] if text else []), *media], quirks)
    return {"type": "function_call_output", "call_id": terms.tool_id(result.id, quirks), "output": output}


def _content(parts: Iterable[Part], quirks: Quirks) -> str | list[JsonObject]:
    wire = _parts(parts, quirks)
    plain = all(part["type"] == "input_text" for part in wire)
    return terms.joined(part["text"] for part in wire) if plain and (len(wire) == 1 or not quirks.text_parts) else wire


def _parts(parts: Iterable[Part], quirks: Quirks) -> list[JsonObject]:
    return [_part(part, quirks) for part in parts if isinstance(part, Text | Media)]


def _part(part: Text | Media, quirks: Quirks) -> JsonObject:
    if isinstance(part, Text):
        return _text(part.text)
    kind = terms.kind_of(part)
    if kind == "text":
        return _text(terms.inlined(part))
    # The API has no parts for sounds and films.
    if kind in ("audio", "video") or not quirks.text_parts or (kind == "image" and not quirks.images):
        return _text(terms.left_out(f"{'an' if kind[0] in 'ai' else 'a'} {kind}"))
    if kind == "image":
        return {"type": "input_image", "image_url": terms.address(part), "detail": part.detail or "auto"}
    if part.data:
        return {"type": "input_file", "filename": terms.filename(part), "file_data": terms.address(part)}
    return {"type": "input_file", "file_url": part.url}


def _text(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}
