"""Messages: the request, as clients of Anthropic's API speak it to the door. The reply is in `messages_reply.py`.

Reference: https://docs.anthropic.com/en/api/messages. Parameters without a field of their own go on to vendors of this
dialect.
"""

from __future__ import annotations

from typing import Any

from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    Media,
    Message,
    Part,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.chat import effort
from orchestra_mcp.web.dialects.dialect import Asked, dumps
from orchestra_mcp.web.dialects.fields import Invalid

KNOWN = frozenset(
    {
        "model", "messages", "system", "max_tokens", "temperature", "top_p", "stop_sequences", "tools", "tool_choice",
        "thinking", "output_config", "output_format", "stream", "orchestra",
    }
)  # fmt: skip
BETA = frozenset({"betas", "context_management", "container", "mcp_servers", "diagnostics"})
"""Parameters that vendors accept only with a header of the client's, which is not passed on."""
CHARS_PER_TOKEN = 3.5
MEDIA_TOKENS = 1_600
"""An image of usual size (https://docs.anthropic.com/en/docs/build-with-claude/vision)."""


def parse(body: JsonObject, *, limit: bool = True) -> Asked:
    """The request; `limit`: `max_tokens` must be given, as the vendor has it.

    Raises:
        Invalid: it is wrong; names the field.
    """
    model = fields.label(body, "model")
    most = fields.whole(body, "max_tokens")
    if most is None and limit:
        raise Invalid("`max_tokens` must be given.", "max_tokens")
    stream = fields.flag(body, "stream") or False
    values: dict[str, Any] = {
        "model": model,
        "messages": (*_system(body), *_messages(body)),
        "max_tokens": most,
        "temperature": fields.number(body, "temperature", 0, 1),
        "top_p": fields.number(body, "top_p", 0, 1),
        "stop": fields.stops(body, "stop_sequences"),
        "stream": stream,
        "as_is": True,
    }
    asked = Asked(values, stream=stream)
    if body.get("tools"):
        values["tools"] = _tools(body, asked)
        values |= _choice(fields.table(body, "tool_choice"))
    values |= _thinking(body)
    if extra := fields.others(body, KNOWN):
        asked.dropped += sorted(extra.keys() & BETA)
        kept = {name: value for name, value in extra.items() if name not in BETA}
        values |= {"extra": kept, "extra_dialect": "anthropic"}
    return asked


def _system(body: JsonObject) -> tuple[Message, ...]:
    if not body.get("system"):
        return ()
    return (fields.message("system", _content(body, "", "system")),)


def _messages(body: JsonObject) -> list[Message]:
    found = fields.rows(body, "messages", most=fields.MOST_MESSAGES)
    if not found:
        raise Invalid("`messages` must hold at least one message.", "messages")
    tools: dict[str, str] = {}
    messages: list[Message] = []
    for index, row in enumerate(found):
        role = row.get("role")
        if role not in ("user", "assistant", "system"):
            raise Invalid(f"`messages[{index}].role` must be user or assistant.", f"messages[{index}].role")
        parts = _content(row, f"messages[{index}].", "content")
        for number, part in enumerate(parts):
            if isinstance(part, ToolCall):
                tools[part.id] = part.name
            elif isinstance(part, ToolResult) and part.id in tools:
                parts[number] = part.model_copy(update={"name": tools[part.id]})
        messages.append(fields.message(role, parts))
    return messages


def _content(row: JsonObject, where: str, name: str) -> list[Part]:
    content = row.get(name)
    if isinstance(content, str):
        return [Text(text=content)]
    if not isinstance(content, list):
        raise Invalid(f"`{where}{name}` must be a string or a list of blocks.", f"{where}{name}")
    found = fields.rows(row, name, where)
    return [_block(block, f"{where}{name}[{number}].") for number, block in enumerate(found)]


def _block(block: JsonObject, where: str) -> Part:
    match block.get("type"):
        case "text":
            return Text(text=fields.text(block, "text", where), cache=bool(block.get("cache_control")))
        case "image" | "document":
            return _media(block, where)
        case "tool_use":
            arguments = fields.table(block, "input", where)
            return ToolCall(
                id=fields.label(block, "id", where),
                name=fields.label(block, "name", where),
                arguments=dumps(arguments),
                signature=fields.text(block, "signature", where),
            )
        case "tool_result":
            inner = _content(block, where, "content") if block.get("content") is not None else []
            parts = [part for part in inner if isinstance(part, Text | Media)]
            if block.get("cache_control") and parts and isinstance(last := parts[-1], Text):
                parts[-1] = last.model_copy(update={"cache": True})  # results have no mark of their own
            return ToolResult(
                id=fields.label(block, "tool_use_id", where),
                parts=tuple(parts),
                error=fields.flag(block, "is_error", where) or False,
            )
        case "thinking":
            signature = fields.text(block, "signature", where)
            return Thought(text=fields.text(block, "thinking", where), signature=signature)
        case "redacted_thinking":
            return Thought(hidden=fields.text(block, "data", where))
        case "search_result":
            said = [part.text for part in _content(block, where, "content") if isinstance(part, Text)]
            return Text(
                text="\n".join((fields.text(block, "title", where), fields.text(block, "source", where), *said))
            )
    known = "text, image, document, tool_use, tool_result, thinking or redacted_thinking"
    raise Invalid(f"`{where}type` must be {known}.", f"{where}type")


def _media(block: JsonObject, where: str) -> Part:
    source, at = fields.table(block, "source", where), f"{where}source."
    name = fields.text(block, "title", where)
    match source.get("type"):
        case "base64":
            kind = fields.label(source, "media_type", at)
            return Media(media_type=kind, data=fields.text(source, "data", at, needed=True), name=name)
        case "url":
            return fields.media(fields.text(source, "url", at, needed=True), f"{at}url", name)
        case "text":
            return Text(text="\n".join(filter(None, (name, fields.text(source, "data", at)))))
        case "content":
            said = _content(source, at, "content")
            return Text(text="\n".join(part.text for part in said if isinstance(part, Text)))
    raise Invalid(f"`{at}type` must be base64, url or text; no files are kept here.", f"{at}type")


def _tools(body: JsonObject, asked: Asked) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, row in enumerate(fields.rows(body, "tools", most=fields.MOST_TOOLS)):
        if row.get("type") in (None, "custom"):
            tools.append(fields.function(row, "input_schema", f"tools[{index}]."))
        else:  # a tool that the vendor runs itself
            asked.dropped.append(f"tools[{index}]")
    return tuple(tools)


def _choice(choice: JsonObject) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if fields.flag(choice, "disable_parallel_tool_use", "tool_choice."):
        found["parallel_tools"] = False
    match choice.get("type"):
        case None:
            return found
        case "auto" | "none":
            return found | {"tool_choice": choice["type"]}
        case "any":
            return found | {"tool_choice": "required"}
        case "tool":
            return found | {"tool": fields.label(choice, "name", "tool_choice.")}
    raise Invalid("`tool_choice.type` must be auto, any, tool or none.", "tool_choice.type")


def _thinking(body: JsonObject) -> dict[str, Any]:
    """`thinking` and `output_config`: how long to think, and the schema of the answer."""
    found: dict[str, Any] = {}
    config = fields.table(body, "output_config")
    form = fields.table(config, "format", "output_config.") or fields.table(body, "output_format")
    if form:
        schema = form.get("schema")
        if form.get("type") != "json_schema" or not isinstance(schema, dict):
            raise Invalid("`output_config.format` must be a json_schema with its schema.", "output_config.format")
        found["answer"] = AnswerSchema(json_schema=schema)
    wanted = effort(config.get("effort"), "output_config.effort")
    thinking = fields.table(body, "thinking")
    match thinking.get("type"):
        case "disabled":
            wanted = "none"
        case "enabled":
            budget = fields.whole(thinking, "budget_tokens") or 1024
            wanted = wanted or ("low" if budget <= 4096 else "medium" if budget <= 16_384 else "high")
        case "adaptive":
            wanted = wanted or "high"  # the vendor's own default
    if wanted:
        found["effort"] = wanted
    return found


def count(asked: Asked) -> int:
    """About how many tokens a prompt has: an estimate from its size, since only the vendor can count them."""
    chars, media = 0, 0
    for message in asked.fields["messages"]:
        chars += 12
        for part in message.content:
            for inner in part.parts if isinstance(part, ToolResult) else (part,):
                if isinstance(inner, Media):
                    media += 1
                elif isinstance(inner, ToolCall):
                    chars += len(inner.arguments) + len(inner.name)
                elif not isinstance(inner, ToolResult):
                    chars += len(inner.text.encode("utf-8", "replace"))
    for tool in asked.fields.get("tools", ()):
        chars += len(tool.name) + len(tool.description) + len(dumps(tool.parameters))
    return max(1, round(chars / CHARS_PER_TOKEN) + media * MEDIA_TOKENS)
