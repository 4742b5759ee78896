"""How many tokens a request has, before a vendor says so: at most, for budgets, and probably, for limits. Pure.

At most: the tokenizers of today's models work on bytes (byte-level BPE, or SentencePiece with byte fallback), so that
a text has no more tokens than bytes in UTF-8. Probably: prose and code have about four characters for a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from orchestra_mcp.gateway.provider import ChatRequest, Media, Part, Text, Thought, ToolCall, ToolResult

BYTES_PER_TOKEN = 2
"""For the budget of one consultation. Dense code and non-Latin text come near it; prose has about four."""
CHARS_PER_TOKEN = 4
"""For an estimate, where a vendor tells no usage."""
PER_MESSAGE = 16
"""Bytes, for the marks around a message."""
FOR_TOOLS = 1_024
"""Bytes, for what vendors put before tool definitions (Anthropic documents up to 700 tokens)."""
IMAGE_TOKENS = 16_384
"""Of one image at most; vendors scale images down, and the dearest count some thousands."""
ADDRESS_TOKENS = 65_536
"""Of a document or sound behind an address, whose size nobody here knows."""


class Size(NamedTuple):
    """How large a request is."""

    bytes: int
    """Of its text in UTF-8, and of the files in it that are no images."""
    media: int
    """Tokens that its images and what stands behind addresses have at most."""

    def at_most(self, window: int | None = None) -> int:
        """Tokens of the prompt, at most; no prompt is larger than the model's window."""
        tokens = self.bytes + self.media
        return tokens if window is None else min(tokens, window)

    @property
    def bounded(self) -> int:
        """Tokens of the prompt that a consultation's budget counts with."""
        return -(-self.bytes // BYTES_PER_TOKEN) + self.media

    @property
    def probable(self) -> int:
        """Tokens of the prompt, as a guess that is rather low."""
        return self.bytes // CHARS_PER_TOKEN


def size_of(request: ChatRequest) -> Size:
    """The size of a request's messages, tools and schema."""
    size, media = 0, 0
    for message in request.messages:
        size += PER_MESSAGE + _bytes(message.text)
        if message.parts:
            more, images = _parts(message.parts)
            size += more
            media += images
    if request.tools:
        size += FOR_TOOLS
        for tool in request.tools:
            size += PER_MESSAGE + _bytes(tool.name) + _bytes(tool.description) + _json(tool.parameters)
    if request.answer is not None:
        size += FOR_TOOLS + _json(request.answer.json_schema) + _bytes(request.answer.description)
    return Size(size, media)


def _parts(parts: Iterable[Part]) -> tuple[int, int]:
    size, media = 0, 0
    for part in parts:
        size += PER_MESSAGE
        if isinstance(part, Text):
            size += _bytes(part.text)
        elif isinstance(part, ToolCall):
            size += _bytes(part.name) + _bytes(part.arguments)
        elif isinstance(part, Thought):
            size += _bytes(part.text) + len(part.hidden)
        elif isinstance(part, ToolResult):
            more, images = _parts(part.parts)
            size += more + _bytes(part.name)
            media += images
        elif isinstance(part, Media):
            if part.media_type.startswith("image/") or (not part.media_type and part.url):
                media += IMAGE_TOKENS
            elif part.data:
                size += len(part.data)
            else:
                media += ADDRESS_TOKENS
    return size, media


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _json(value: object) -> int:
    return len(json.dumps(value))
