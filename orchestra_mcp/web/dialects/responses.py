"""Responses: the request, as clients of OpenAI's newer API speak it to the door. The reply is in `responses_reply.py`.

Reference: https://platform.openai.com/docs/api-reference/responses. Nothing is kept here between requests, so that
`previous_response_id`, `conversation`, `background` and references to earlier items are refused by name.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from orchestra_mcp.gateway.provider import (
    Media,
    Part,
    Role,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.chat import effort, schema
from orchestra_mcp.web.dialects.dialect import Asked, dumps
from orchestra_mcp.web.dialects.fields import Invalid, Turns

KNOWN = frozenset(
    {
        "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice",
        "parallel_tool_calls", "text", "reasoning", "stream", "stream_options", "store", "include", "background",
        "previous_response_id", "conversation", "prompt", "orchestra", "top_logprobs",
    }
)  # fmt: skip
REFUSED = ("previous_response_id", "conversation", "prompt")
"""Parameters that lean on what the vendor keeps."""
ECHOED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "reasoning", "temperature", "text",
    "tool_choice", "tools", "top_p", "truncation", "user",
)  # fmt: skip
"""What a response repeats of its request."""
LOGPROBS = "message.output_text.logprobs"
"""What `include` calls them; no vendor is asked, since the events of a reply have no place for them."""
CUSTOM_SCHEMA: JsonObject = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""A tool that takes plain text is offered to vendors as a function with this one argument."""
MAX_FLAT = 64
"""Characters of a tool's name that every vendor takes."""


def parse(body: JsonObject) -> Asked:
    """The request.

    Raises:
        Invalid: it is wrong; names the field.
    """
    for name in REFUSED:
        if body.get(name):
            raise Invalid(f"`{name}`: nothing is kept here between requests; send the whole conversation.", name)
    if fields.flag(body, "background"):
        raise Invalid("`background` is not offered here.", "background")
    stream = fields.flag(body, "stream") or False
    values: dict[str, Any] = {
        "model": fields.label(body, "model"),
        "max_tokens": fields.whole(body, "max_output_tokens"),
        "temperature": fields.number(body, "temperature", 0, 2),
        "top_p": fields.number(body, "top_p", 0, 1),
        "stream": stream,
        "as_is": True,
    }
    asked = Asked(values, stream=stream, usage=True)
    values["messages"] = _messages(body, asked)
    if body.get("tools"):
        values["tools"] = _tools(body, asked)
    values |= _choice(body)
    if body.get("parallel_tool_calls") is not None:
        values["parallel_tools"] = fields.flag(body, "parallel_tool_calls")
    if text := fields.table(body, "text"):
        values |= _text(text)
    if thinking := fields.table(body, "reasoning"):
        values["effort"] = effort(thinking.get("effort"), "reasoning.effort")
    if body.get("top_logprobs"):
        asked.dropped.append("top_logprobs")
    if isinstance(wanted := body.get("include"), list) and LOGPROBS in wanted:
        asked.dropped.append(f"include {LOGPROBS}")
    if extra := fields.others(body, KNOWN):
        values["extra"] = values.get("extra", {}) | extra
    if values.get("extra"):
        values["extra_dialect"] = "responses"
    asked.echo |= {name: body[name] for name in ECHOED if body.get(name) is not None}
    return asked


def _messages(body: JsonObject, asked: Asked) -> tuple[Any, ...]:
    turns = Turns()
    if instructions := body.get("instructions"):
        if not isinstance(instructions, str):
            raise Invalid("`instructions` must be a string.", "instructions")
        turns.add("system", [Text(text=instructions)])
    given = body.get("input")
    if isinstance(given, str) and given:
        turns.add("user", [Text(text=given)])
        return tuple(turns.messages)
    if not isinstance(given, list) or not given:
        raise Invalid("`input` must be a non-empty string or a list of items.", "input")
    for index, item in enumerate(fields.rows(body, "input", most=fields.MOST_MESSAGES)):
        _item(item, turns, asked, f"input[{index}].")
    turns.close()
    if not turns.messages:
        raise Invalid("`input` holds no message.", "input")
    return tuple(turns.messages)


def _item(item: JsonObject, turns: Turns, asked: Asked, where: str) -> None:
    match item.get("type", "message"):
        case "message":
            _message(item, turns, where)
        case "function_call" | "custom_tool_call" as kind:
            call = fields.label(item, "call_id", where)
            name = _flat(fields.text(item, "namespace", where), fields.label(item, "name", where))
            turns.tools[call] = name
            if kind == "custom_tool_call":
                arguments = dumps({"input": fields.text(item, "input", where)})
            else:
                arguments = fields.text(item, "arguments", where) or "{}"
            turns.said([ToolCall(id=call, name=name, arguments=arguments)])
        case "function_call_output" | "custom_tool_call_output":
            call = fields.label(item, "call_id", where)
            parts = tuple(p for p in _content(item, "output", where) if isinstance(p, Text | Media))
            turns.result(ToolResult(id=call, name=turns.tools.get(call, ""), parts=parts))
        case "reasoning":
            turns.said([_thought(item, where)])
        case "item_reference":
            raise Invalid(f"`{where}id`: nothing is kept here between requests; send the item itself.", f"{where}id")
        case str() as kind:  # what the vendor's own tools did
            asked.dropped.append(f"{where}{kind}"[:80])
        case _:
            raise Invalid(f"`{where}type` must be a string.", f"{where}type")


def _message(item: JsonObject, turns: Turns, where: str) -> None:
    roles: dict[object, Role] = {
        "user": "user",
        "system": "system",
        "developer": "system",
        "assistant": "assistant",
    }
    role = item.get("role")
    if not isinstance(role, str) or role not in roles:
        raise Invalid(f"`{where}role` must be user, assistant, system or developer.", f"{where}role")
    parts = _content(item, "content", where)
    if role == "assistant":
        turns.said(parts)
    else:
        turns.add(roles[role], parts, fields.speaker(item, where))


def _thought(item: JsonObject, where: str) -> Thought:
    rows = fields.rows(item, "summary", where) + fields.rows(item, "content", where)
    return Thought(
        id=fields.text(item, "id", where),
        text="\n\n".join(fields.text(row, "text", where) for row in rows),
        hidden=fields.text(item, "encrypted_content", where),
    )


def _content(item: JsonObject, name: str, where: str) -> list[Part]:
    content = item.get(name)
    if isinstance(content, str):
        return [Text(text=content)]
    if not isinstance(content, list):
        raise Invalid(f"`{where}{name}` must be a string or a list of parts.", f"{where}{name}")
    found = fields.rows(item, name, where)
    return [_part(part, f"{where}{name}[{number}].") for number, part in enumerate(found)]


def _part(part: JsonObject, where: str) -> Part:
    match part.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text":
            return Text(text=fields.text(part, "text", where))
        case "refusal":
            return Text(text=fields.text(part, "refusal", where))
        case "input_image":
            address = part.get("image_url")
            if isinstance(address, str):
                return fields.media(address, f"{where}image_url", detail=fields.detail(part, where))
            raise Invalid(f"`{where}image_url` must be given; no files are kept here.", f"{where}image_url")
        case "input_file":
            name = fields.text(part, "filename", where)
            if isinstance(part.get("file_data"), str):
                return fields.media(part["file_data"], f"{where}file_data", name)
            if isinstance(part.get("file_url"), str):
                return fields.media(part["file_url"], f"{where}file_url", name)
            raise Invalid(
                f"`{where}file_data` or `file_url` must be given; no files are kept here.", f"{where}file_data"
            )
        case "input_audio":
            audio = fields.table(part, "input_audio", where)
            kind = fields.label(audio, "format", f"{where}input_audio.")
            return Media(media_type=f"audio/{kind}", data=fields.text(audio, "data", f"{where}input_audio."))
    known = "input_text, output_text, input_image or input_file"
    raise Invalid(f"`{where}type` must be {known}.", f"{where}type")


def _flat(space: str, name: str) -> str:
    """The one name of a tool that stands in a namespace, for vendors that know none; the same in every turn."""
    if not space:
        return name
    flat = f"{space}__{name}"
    return flat if len(flat) <= MAX_FLAT else f"{flat[: MAX_FLAT - 9]}_{crc32(flat.encode()):08x}"


def _tools(body: JsonObject, asked: Asked) -> tuple[Tool, ...]:
    """Functions and custom tools, also those in namespaces, as coding CLIs send the tools of MCP servers."""
    tools: list[Tool] = []
    custom: list[str] = []
    spaces: dict[str, tuple[str, str]] = {}
    for index, row in enumerate(fields.rows(body, "tools", most=fields.MOST_TOOLS)):
        where = f"tools[{index}]."
        if row.get("type") != "namespace":
            _tool(row, "", where, tools, custom, asked)
            continue
        space = fields.label(row, "name", where)
        for number, inner in enumerate(fields.rows(row, "tools", where, fields.MOST_TOOLS)):
            if _tool(inner, space, f"{where}tools[{number}].", tools, custom, asked):
                spaces[tools[-1].name] = (space, str(inner["name"]))
    if custom:
        asked.echo["_custom"] = frozenset(custom)
    if spaces:
        asked.echo["_spaces"] = spaces
    return tuple(tools)


def _tool(row: JsonObject, space: str, where: str, tools: list[Tool], custom: list[str], asked: Asked) -> bool:
    """Add one tool to the list; False when it cannot be passed on."""
    match row.get("type"):
        case "function":
            tool = fields.function(row, "parameters", where)
        case "custom":
            told = fields.text(row, "description", where)
            tool = Tool(name=fields.label(row, "name", where), description=told, parameters=CUSTOM_SCHEMA)
            custom.append(_flat(space, tool.name))
        case _:  # a tool that the vendor runs itself
            asked.dropped.append(where[:-1])
            return False
    tools.append(tool.model_copy(update={"name": _flat(space, tool.name)}) if space else tool)
    return True


def _choice(body: JsonObject) -> dict[str, Any]:
    choice = body.get("tool_choice")
    if choice is None:
        return {}
    if choice in ("auto", "none", "required"):
        return {"tool_choice": choice}
    if isinstance(choice, dict):
        if choice.get("type") in ("function", "custom"):
            name = fields.label(choice, "name", "tool_choice.")
            return {"tool": _flat(fields.text(choice, "namespace", "tool_choice."), name)}
        return {"tool_choice": "required" if choice.get("mode") == "required" else "auto"}
    raise Invalid("`tool_choice` must be auto, none, required, or name a function.", "tool_choice")


def _text(text: JsonObject) -> dict[str, Any]:
    """`text`: the form of the answer."""
    form = fields.table(text, "format", "text.")
    match form.get("type"):
        case "json_schema":
            return {"answer": schema(form, "text.format.")}
        case "json_object":
            return {"json_only": True}
        case "text" | None:
            return {}
    raise Invalid("`text.format.type` must be text, json_object or json_schema.", "text.format.type")
