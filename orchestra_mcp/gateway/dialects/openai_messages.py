"""Chat completions: a conversation as `messages`, with tools, images, documents and sounds."""

from __future__ import annotations

from collections.abc import Iterable

from orchestra_mcp.gateway.dialects import openai_terms as terms
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.provider import Media, Message, Part, Text, Thought, Tool, ToolCall, ToolResult
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject

SOUNDS = {"mpeg": "mp3", "mpga": "mp3", "wave": "wav", "vnd.wave": "wav", "x-wav": "wav"}
"""Media subtypes of sounds, and what `input_audio` calls them."""

THOUGHT_FORMATS = (
    # https://openrouter.ai/docs/use-cases/reasoning-tokens: `format`, by the beginning of the model's id
    ("anthropic/", "anthropic-claude-v1"),
    ("openai/", "openai-responses-v1"),
    ("google/", "google-gemini-v1"),
    ("x-ai/", "xai-responses-v1"),
    # add here
)


def messages_of(messages: Iterable[Message], spec: ModelSpec, quirks: Quirks) -> list[JsonObject]:
    """All messages of a conversation.

    Results of tools come first in a user's turn, since they have to follow the call; what else the turn holds, and the
    media of its results (a `tool` message has only text), follows as the user's words.
    """
    wire: list[JsonObject] = []
    waiting: list[Part] = []
    who = ""  # of what is waiting
    for message in messages:
        if not message.parts:  # the usual case, kept short
            _flush(wire, waiting, quirks, who)
            if message.text or message.role != "assistant":
                role = quirks.system_role if message.role == "system" else message.role
                turn: JsonObject = {"role": role, "content": message.text}
                wire.append(turn | _named(message.name, quirks) if message.name else turn)
        elif message.role == "user":
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            if not results:
                _flush(wire, waiting, quirks, who)
            who = message.name
            for result in results:
                wire.append(_result(result, quirks))
                waiting += _attached(result)
            waiting += [part for part in message.content if not isinstance(part, ToolResult)]
        else:
            _flush(wire, waiting, quirks, who)
            who = ""
            if message.role == "system":
                texts = [part for part in message.content if isinstance(part, Text)]
                said = {"role": quirks.system_role, "content": _content(texts, quirks)}
                wire.append(said | _named(message.name, quirks))
                waiting += [part for part in message.parts if isinstance(part, Media)]  # only users may show things
            elif turn := _assistant(message, spec, quirks):
                wire.append(turn | _named(message.name, quirks))
    _flush(wire, waiting, quirks, who)
    return wire


def tool_of(tool: Tool, quirks: Quirks) -> JsonObject:
    """One function that the model may call."""
    function: JsonObject = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None and quirks.strict_tools:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _flush(wire: list[JsonObject], waiting: list[Part], quirks: Quirks, who: str) -> None:
    if waiting:
        wire.append({"role": "user", "content": _content(waiting, quirks)} | _named(who, quirks))
        waiting.clear()


def _named(name: str, quirks: Quirks) -> JsonObject:
    """Who of several speakers said it; not every vendor knows the field."""
    return {"name": name} if name and "name" not in quirks.omit else {}


def _result(result: ToolResult, quirks: Quirks) -> JsonObject:
    text = terms.said_by_tool(result)
    if not text and _attached(result):
        text = "See the attachment below."
    return {"role": "tool", "tool_call_id": terms.tool_id(result.id, quirks), "content": text}


def _attached(result: ToolResult) -> list[Part]:
    """What a result shows, with a line that says whose it is."""
    media: list[Part] = [part for part in result.parts if isinstance(part, Media)]
    return [Text(text=f"Attachment of the result of {result.name or 'the tool'}:"), *media] if media else []


def _content(parts: Iterable[Part], quirks: Quirks) -> str | list[JsonObject]:
    """One string where that will do: not every server knows parts."""
    wire = [_part(part, quirks) for part in parts if isinstance(part, Text | Media)]
    if not wire:
        return ""
    plain = all(set(part) == {"type", "text"} for part in wire)
    if plain and (len(wire) == 1 or not quirks.text_parts):
        return terms.joined(part["text"] for part in wire)
    return wire


def _part(part: Text | Media, quirks: Quirks) -> JsonObject:
    if isinstance(part, Text):
        marked = part.cache and quirks.cache_marks == "anthropic" and quirks.text_parts
        return _text(part.text) | ({"cache_control": {"type": "ephemeral"}} if marked else {})
    kind = terms.kind_of(part)
    if kind == "text":
        return _text(terms.inlined(part))
    if not quirks.text_parts or (kind == "image" and not quirks.images):
        return _text(terms.left_out(f"{'an' if kind[0] in 'ai' else 'a'} {kind}"))
    match kind:
        case "image":
            closely = {"detail": part.detail} if part.detail else {}
            return {"type": "image_url", "image_url": {"url": terms.address(part), **closely}}
        case "audio" if part.data:
            sound = part.media_type.partition(";")[0].partition("/")[2].lower()
            return {
                "type": "input_audio",
                "input_audio": {"data": part.data, "format": SOUNDS.get(sound, sound.removeprefix("x-"))},
            }
        case "audio":  # only bytes are taken
            return _text(terms.left_out("an audio"))
        case "video":
            return {"type": "video_url", "video_url": {"url": terms.address(part)}}
        case _:
            return {"type": "file", "file": {"filename": terms.filename(part), "file_data": terms.address(part)}}


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _assistant(message: Message, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    """What the model said before; an empty object when that was nothing."""
    content = message.content
    text = terms.joined(part.text for part in content if isinstance(part, Text))
    calls = [_call(part, spec, quirks) for part in content if isinstance(part, ToolCall)]
    # With calls, an empty string in place of no content: some servers insist on the field.
    turn: JsonObject = {"role": "assistant", "content": text}
    if quirks.give_back_thoughts:
        thoughts = [part for part in content if isinstance(part, Thought)]
        turn |= _details(thoughts, spec) if quirks.effort == "reasoning" else _thinking(thoughts, bool(calls))
    if calls:
        turn["tool_calls"] = calls
    return turn if text or len(turn) > 2 else {}


def _call(call: ToolCall, spec: ModelSpec, quirks: Quirks) -> JsonObject:
    wire: JsonObject = {
        "id": terms.tool_id(call.id, quirks),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    if call.signature and spec.host.endswith("googleapis.com"):
        # https://ai.google.dev/gemini-api/docs/thought-signatures, OpenAI compatibility
        wire["extra_content"] = {"google": {"thought_signature": call.signature}}
    return wire


def _thinking(thoughts: list[Thought], calls: bool) -> JsonObject:
    """`reasoning_content`; where tools were called it must not be missing, even when another model called them."""
    text = terms.joined(thought.text for thought in thoughts)
    return {"reasoning_content": text} if text or calls else {}


def _details(thoughts: list[Thought], spec: ModelSpec) -> JsonObject:
    """OpenRouter: `reasoning_details` for thoughts that a vendor signed, else `reasoning`."""
    if not any(thought.signature or thought.hidden for thought in thoughts):
        text = terms.joined(thought.text for thought in thoughts)
        return {"reasoning": text} if text else {}
    model = spec.model.lstrip("~")
    form = next((form for start, form in THOUGHT_FORMATS if model.startswith(start)), "unknown")
    details: list[JsonObject] = []
    for thought in thoughts:
        named: JsonObject = {"id": thought.id} if thought.id else {}
        if thought.text:
            signed = {"signature": thought.signature} if thought.signature else {}
            details.append({"type": "reasoning.text", "text": thought.text, **signed, **named})
        if thought.hidden:
            details.append({"type": "reasoning.encrypted", "data": thought.hidden, **named})
    return {"reasoning_details": [{**d, "format": form, "index": index} for index, d in enumerate(details)]}
