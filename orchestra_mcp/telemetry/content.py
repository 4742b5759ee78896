"""What was said in a call, as the conventions' JSON; only made where the user has asked for it, and only to be exported.

The shape is that of `gen_ai.input.messages` and `gen_ai.output.messages`: messages with a role and typed parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

PART_CHARS: Final = 100_000
"""Of a longer text only the beginning is exported."""
BESIDE: Final = 5_000
"""Characters at the cut that are left out too: half a secret may stand there, which nobody would recognise."""

Redact = Callable[[str], str]


class Spoken(Protocol):
    """A message to a model; `gateway.provider.Message` is one."""

    @property
    def role(self) -> str:
        """`system`, `user` or `assistant`."""
        ...

    @property
    def content(self) -> tuple[Any, ...]:
        """Its parts, each with a `kind`."""
        ...


@dataclass(frozen=True)
class Said:
    """Both sides of a call."""

    messages: tuple[Spoken, ...]
    reply: tuple[str, ...]
    """Pieces of the visible text, in order."""


def messages_in(said: Said, redact: Redact) -> str:
    """What the model was told."""
    told = []
    for message in said.messages:
        parts = list(_parts(message.content, redact))
        # In the conventions results of tools are a role of their own.
        results = [part for part in parts if part["type"] == "tool_call_response"]
        if results:
            told.append({"role": "tool", "parts": results})
            parts = [part for part in parts if part not in results]
        if parts:
            told.append({"role": message.role, "parts": parts})
    return json.dumps(told, ensure_ascii=False)


def messages_out(said: Said, redact: Redact, finish: str) -> str:
    """What it said."""
    text = {"type": "text", "content": _clean("".join(said.reply), redact)}
    return json.dumps([{"role": "assistant", "parts": [text], "finish_reason": finish}], ensure_ascii=False)


def _parts(content: Iterable[Any], redact: Redact) -> Iterable[dict[str, Any]]:
    for part in content:
        if part.kind == "text":
            yield {"type": "text", "content": _clean(part.text, redact)}
        elif part.kind == "thought":
            yield {"type": "reasoning", "content": _clean(part.text, redact)}
        elif part.kind == "tool_call":
            arguments = _clean(part.arguments, redact)
            yield {"type": "tool_call", "id": part.id, "name": part.name, "arguments": arguments}
        elif part.kind == "tool_result":
            text = "\n".join(_clean(each.text, redact) for each in part.parts if each.kind == "text")
            yield {"type": "tool_call_response", "id": part.id, "result": text}
        else:  # pictures and sounds stay out
            yield {"type": "blob", "mime_type": part.media_type, "content": ""}


def _clean(text: str, redact: Redact) -> str:
    if len(text) <= PART_CHARS:
        return redact(text)
    return redact(text[:PART_CHARS])[:-BESIDE]
