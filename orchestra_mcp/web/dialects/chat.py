"""Chat completions: the request, as clients of OpenAI's older API speak it to the door. The reply is in `chat_reply.py`.

Reference: https://platform.openai.com/docs/api-reference/chat. Beyond it, as other vendors have it: earlier thinking in
`reasoning_content`, Gemini's thought signatures in `extra_content.google.thought_signature` of a tool call. Parameters
without a field of their own go on to vendors of this dialect.
"""

from __future__ import annotations

from typing import Any

from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    Media,
    Part,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from orchestra_mcp.types import JsonObject
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.dialect import (
    MOST_SAMPLES,
    Asked,
)
from orchestra_mcp.web.dialects.fields import Invalid, Turns

KNOWN = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed",
        "reasoning_effort", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls",
        "response_format", "stream", "stream_options", "n", "orchestra", "logprobs", "top_logprobs",
    }
)  # fmt: skip
LOGPROBS = ("logprobs", "top_logprobs")
"""No vendor is asked for these, since the events of a reply have no place for them."""
EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh"})


def parse(body: JsonObject) -> Asked:
    """The request.

    Raises:
        Invalid: it is wrong; names the field.
    """
    values: dict[str, Any] = {
        "model": fields.label(body, "model"),
        "messages": messages(body),
        "max_tokens": fields.whole(body, "max_completion_tokens") or fields.whole(body, "max_tokens"),
        "as_is": True,
    }
    asked = Asked(values, stream=fields.flag(body, "stream") or False)
    values["stream"] = asked.stream
    if "temperature" in body:
        values["temperature"] = fields.number(body, "temperature", 0, 2)
    if "top_p" in body:
        values["top_p"] = fields.number(body, "top_p", 0, 1)
    if body.keys() <= _PLAIN:
        return asked
    _rest(body, values, asked)
    return asked


_PLAIN = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stream"})


def _rest(body: JsonObject, values: dict[str, Any], asked: Asked) -> None:
    values["stop"] = fields.stops(body, "stop")
    values["seed"] = fields.whole(body, "seed", -(2**63), 2**63 - 1)
    values["effort"] = effort(body.get("reasoning_effort"), "reasoning_effort")
    values["parallel_tools"] = fields.flag(body, "parallel_tool_calls")
    values["tools"] = _tools(body, asked)
    values |= _choice(body)
    values |= _format(fields.table(body, "response_format"))
    asked.samples = fields.whole(body, "n", 1, MOST_SAMPLES) or 1
    asked.usage = fields.flag(fields.table(body, "stream_options"), "include_usage", "stream_options.") or False
    asked.dropped += [name for name in LOGPROBS if body.get(name)]
    if extra := fields.others(body, KNOWN):
        values |= {"extra": extra, "extra_dialect": "openai"}


def effort(value: Any, where: str) -> str | None:
    """How long a model may think; words that other vendors have are taken for the nearest one."""
    if value is None:
        return None
    if value == "max":
        return "xhigh"
    if isinstance(value, str) and value in EFFORTS:
        return value
    raise Invalid(f"`{where}` must be one of {', '.join(sorted(EFFORTS))}.", where)


def messages(body: JsonObject) -> tuple[Any, ...]:
    """The conversation."""
    found = fields.rows(body, "messages", most=fields.MOST_MESSAGES)
    if not found:
        raise Invalid("`messages` must hold at least one message.", "messages")
    turns = Turns()
    for index, row in enumerate(found):
        where = f"messages[{index}]."
        match row.get("role"):
            case "user":
                turns.add("user", _content(row, where), fields.speaker(row, where))
            case "system" | "developer":
                turns.add("system", _content(row, where), fields.speaker(row, where))
            case "assistant":
                turns.add("assistant", _assistant(row, turns, where), fields.speaker(row, where))
            case "tool" | "function":
                call = fields.text(row, "tool_call_id", where) or fields.label(row, "name", where)
                parts = tuple(p for p in _content(row, where) if isinstance(p, Text | Media))
                turns.result(ToolResult(id=call, name=turns.tools.get(call, ""), parts=parts))
            case _:
                known = "system, developer, user, assistant or tool"
                raise Invalid(f"`{where}role` must be {known}.", f"{where}role")
    turns.close()
    return tuple(turns.messages)


def _assistant(row: JsonObject, turns: Turns, where: str) -> list[Part]:
    parts: list[Part] = []
    thought = row.get("reasoning_content") or row.get("reasoning")
    if isinstance(thought, str):
        parts.append(Thought(text=thought))
    calls = fields.rows(row, "tool_calls", where)
    legacy = fields.table(row, "function_call", where)
    parts += _content(row, where, optional=True)
    for number, call in enumerate(calls):
        at = f"{where}tool_calls[{number}]."
        function, key = fields.table(call, "function", at), f"{at}function."
        custom = fields.table(call, "custom", at)
        if custom:
            raise Invalid(f"`{at}type` must be function.", f"{at}type")
        name, call_id = fields.label(function, "name", key), fields.label(call, "id", at)
        turns.tools[call_id] = name
        arguments = fields.text(function, "arguments", key) or "{}"
        parts.append(ToolCall(id=call_id, name=name, arguments=arguments, signature=_signature(call)))
    if legacy:
        name = fields.label(legacy, "name", f"{where}function_call.")
        turns.tools[name] = name
        arguments = fields.text(legacy, "arguments", f"{where}function_call.") or "{}"
        parts.append(ToolCall(id=name, name=name, arguments=arguments))
    return parts


def _signature(call: JsonObject) -> str:
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def _content(row: JsonObject, where: str, *, optional: bool = False) -> list[Part]:
    content = row.get("content")
    if isinstance(content, str):
        return [Text(text=content)] if content or not optional else []
    if content is None and optional:
        return []
    if not isinstance(content, list):
        raise Invalid(f"`{where}content` must be a string or a list of parts.", f"{where}content")
    found = fields.rows(row, "content", where)
    return [_part(part, f"{where}content[{number}].") for number, part in enumerate(found)]


def _part(part: JsonObject, where: str) -> Part:
    match part.get("type"):
        case "text":
            return Text(text=fields.text(part, "text", where), cache=bool(part.get("cache_control")))
        case "refusal":
            return Text(text=fields.text(part, "refusal", where))
        case "image_url":
            image = part.get("image_url")
            row = {"url": image} if isinstance(image, str) else fields.table(part, "image_url", where)
            at = f"{where}image_url."
            return fields.media(fields.text(row, "url", at, needed=True), f"{at}url", detail=fields.detail(row, at))
        case "input_audio":
            audio = fields.table(part, "input_audio", where)
            kind = fields.label(audio, "format", f"{where}input_audio.")
            data = fields.text(audio, "data", f"{where}input_audio.", needed=True)
            return Media(media_type=f"audio/{kind}", data=data)
        case "file":
            file = fields.table(part, "file", where)
            if "file_id" in file:
                raise Invalid(
                    f"`{where}file.file_id`: no files are kept here; send `file_data`.", f"{where}file.file_id"
                )
            data = fields.text(file, "file_data", f"{where}file.", needed=True)
            return fields.media(data, f"{where}file.file_data", fields.text(file, "filename", f"{where}file."))
    known = "text, image_url, input_audio or file"
    raise Invalid(f"`{where}type` must be {known}.", f"{where}type")


def _tools(body: JsonObject, asked: Asked) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, row in enumerate(fields.rows(body, "tools", most=fields.MOST_TOOLS)):
        if row.get("type") == "function":
            where = f"tools[{index}].function."
            tools.append(fields.function(fields.table(row, "function", f"tools[{index}]."), "parameters", where))
        else:
            asked.dropped.append(f"tools[{index}]")
    for index, row in enumerate(fields.rows(body, "functions", most=fields.MOST_TOOLS)):
        tools.append(fields.function(row, "parameters", f"functions[{index}]."))
    return tuple(tools)


def _choice(body: JsonObject) -> dict[str, Any]:
    """`tool_choice`, or the older `function_call`."""
    field = "tool_choice" if body.get("tool_choice") is not None else "function_call"
    choice = body.get(field)
    if choice is None:
        return {}
    if choice in ("auto", "none", "required"):
        return {"tool_choice": choice}
    if isinstance(choice, dict):
        if choice.get("type") == "allowed_tools":
            mode = fields.table(choice, "allowed_tools", f"{field}.").get("mode")
            return {"tool_choice": "required" if mode == "required" else "auto"}
        function = fields.table(choice, "function", f"{field}.") or choice
        return {"tool": fields.label(function, "name", f"{field}.function.")}
    raise Invalid(f"`{field}` must be auto, none, required, or name a function.", field)


def _format(row: JsonObject) -> dict[str, Any]:
    """`response_format`."""
    match row.get("type"):
        case "json_schema":
            return {
                "answer": schema(fields.table(row, "json_schema", "response_format."), "response_format.json_schema.")
            }
        case "json_object":
            return {"json_only": True}
        case "text" | None:
            return {}
    raise Invalid("`response_format.type` must be text, json_object or json_schema.", "response_format.type")


def schema(row: JsonObject, where: str) -> AnswerSchema:
    """The schema that the answer has to follow."""
    found = row.get("schema")
    if not isinstance(found, dict):
        raise Invalid(f"`{where}schema` must be an object.", f"{where}schema")
    return AnswerSchema(
        name=fields.text(row, "name", where) or "answer",
        json_schema=found,
        strict=fields.flag(row, "strict", where),
        description=fields.text(row, "description", where),
    )
