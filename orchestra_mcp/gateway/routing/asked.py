"""What a request asks of a model: how much it has to read and what it has to be able to do. Pure, and cheap.

The count of tokens is an estimate that chooses between models; what is paid is counted by the vendor.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestra_mcp.gateway.provider import ChatRequest, Media, Part, Text
from orchestra_mcp.settings.gateway import Ability

BYTES_PER_TOKEN = 3.5
"""Between dense code (about 2) and English prose (about 4.5)."""
MESSAGE_TOKENS = 4
"""Role and separators."""
TOOL_TOKENS, PROPERTY_TOKENS = 60, 30
"""A tool's frame, and one argument in its schema. Writing the schemas out to count them would cost more than the choice."""
SCHEMA_TOKENS = 300
"""An answer's schema."""
IMAGE_TOKENS = 1_600
"""Anthropic scales images to about 1,600 tokens at most; other vendors count less for most."""
DOCUMENT_TOKENS = 3_000
"""A document that the vendor fetches; one page is 1,500 to 3,000 tokens (Anthropic's documentation of PDF support)."""
DOCUMENT_BYTES_PER_TOKEN = 25
"""A page of about 50 kB."""
AUDIO_BYTES_PER_TOKEN = 500
"""128 kbit/s at the 32 tokens a second of Gemini's documentation."""

Needs = frozenset[Ability]
NOTHING: Needs = frozenset()
THINKING = ("low", "medium", "high", "xhigh")


class Asked(NamedTuple):
    """Size and needs of a request."""

    tokens: int
    """Of the prompt, estimated."""
    needs: Needs
    """What a model must be able to do; no thinking, which models without it simply leave out."""
    thinks: bool
    """Long thinking is asked for. Rules may go by it, no model is passed over for it."""

    @property
    def all_needs(self) -> Needs:
        """Needs for rules: thinking among them."""
        return self.needs | {"reasoning"} if self.thinks else self.needs


def measure(request: ChatRequest) -> Asked:
    """What a request asks; some microseconds, and a little more for each message and part."""
    size = 0.0  # bytes
    flat = MESSAGE_TOKENS * len(request.messages)
    needs: set[Ability] = set()
    for message in request.messages:
        size += _bytes(message.text)
        for part in message.parts:
            more, tokens = _weigh(part, needs)
            size += more
            flat += tokens
    if request.tools:
        needs.add("tools")
        for tool in request.tools:
            size += _bytes(tool.description)
            properties = tool.parameters.get("properties")
            flat += TOOL_TOKENS + PROPERTY_TOKENS * (len(properties) if isinstance(properties, dict) else 0)
    if request.answer is not None:
        needs.add("schema")
        flat += SCHEMA_TOKENS
    elif request.json_only:
        needs.add("json")
    return Asked(int(size / BYTES_PER_TOKEN) + flat, frozenset(needs) if needs else NOTHING, request.effort in THINKING)


def last_question(request: ChatRequest) -> str:
    """The last text of the user; empty when there is none. Tools' results are not the user's words."""
    for message in reversed(request.messages):
        if message.role != "user":
            continue
        parts = [part.text for part in message.content if isinstance(part, Text)]
        if text := "\n".join(parts).strip():
            return text
    return ""


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _weigh(part: Part, needs: set[Ability]) -> tuple[float, int]:
    """Bytes of text and other tokens in a part; adds what it needs."""
    if part.kind == "text" or part.kind == "thought":
        return _bytes(part.text), 0
    if part.kind == "tool_call":
        needs.add("tools")
        return _bytes(part.arguments) + len(part.name), MESSAGE_TOKENS
    if part.kind == "tool_result":
        needs.add("tools")
        size, flat = 0.0, MESSAGE_TOKENS
        for inner in part.parts:
            more, tokens = _weigh(inner, needs)
            size += more
            flat += tokens
        return size, flat
    return _weigh_media(part, needs)


def _weigh_media(part: Media, needs: set[Ability]) -> tuple[float, int]:
    kind = part.media_type
    raw = len(part.data) * 3 // 4  # base64
    if kind.startswith("audio/"):
        needs.add("audio")
        return 0, raw // AUDIO_BYTES_PER_TOKEN
    if kind.startswith("image/") or not kind:  # an address without a type is an image nearly always
        needs.add("images")
        return 0, IMAGE_TOKENS
    needs.add("documents")
    if kind.startswith("text/"):
        return raw, 0
    return 0, max(DOCUMENT_TOKENS if part.url else 0, raw // DOCUMENT_BYTES_PER_TOKEN)
