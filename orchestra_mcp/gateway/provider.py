"""The one seam below the council: `chat` as a stream of events whose fold is the reply.

A wire, a wrapper (budget, retry) and the whole gateway all have the shape of `Provider`. `Embedder` and
`Transcriber` are optional seams of the same kind.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal, Protocol

from orchestra_mcp.errors import BadReply
from orchestra_mcp.types import CallRecord, Noun, Usage

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "filter", "tool", "unknown"]
MAX_REPLY_CHARS = 400_000


class Message(Noun):
    """One message of a conversation with a model."""

    role: Role
    text: str


class ChatRequest(Noun):
    """What is asked of a model. Anything left at None is omitted on the wire, never sent as null."""

    model: str
    """A name that the gateway knows, never a vendor's id."""
    messages: tuple[Message, ...]
    max_tokens: int = 4096
    temperature: float | None = None
    json_only: bool = False
    """Ask for a JSON object, where the dialect has a switch for it."""
    run: str = ""
    """Consultation that pays for the call."""
    purpose: str = "opinion"
    attempt: int = 1
    """Counted by `retrying`; callers leave it alone."""


class TextDelta(Noun):
    """Some more visible text."""

    text: str


class ReasoningDelta(Noun):
    """Some more of the model's thinking; a sign of life, not part of the reply."""

    text: str = ""


class Spent(Noun):
    """What the call has used so far, when the vendor says so before the end; the meter keeps it to itself."""

    usage: Usage


class Finish(Noun):
    """The last event of every complete stream."""

    reason: FinishReason
    usage: Usage = Usage()
    model: str = ""
    """The vendor's own name of the model that answered."""


ChatEvent = TextDelta | ReasoningDelta | Spent | Finish


class ChatReply(Noun):
    """The fold of a stream of events."""

    text: str
    finish: FinishReason
    usage: Usage
    model: str = ""


class Provider(Protocol):
    """Anything that can answer a chat request."""

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; ends with exactly one `Finish`.

        Raises:
            ProviderError: Refused, Unavailable, RateLimited or BadReply.
            BudgetExceeded: before anything is sent.
        """
        ...


class Embedder(Protocol):
    """Optional seam: texts to vectors."""

    async def embed(self, model: str, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """One vector for each text."""
        ...


class Transcriber(Protocol):
    """Optional seam: speech to text."""

    async def transcribe(self, model: str, audio: bytes, mime_type: str) -> str:
        """The words that were spoken."""
        ...


CallObserver = Callable[[CallRecord], None]
"""Told of every attempt at a model, successful or not."""


async def fold(provider: Provider, request: ChatRequest) -> ChatReply:
    """Run a chat to its end and put the pieces together.

    Raises:
        BadReply: the stream ended without `Finish` (`truncated`) or grew over `MAX_REPLY_CHARS` (`too_long`).
        ProviderError, BudgetExceeded: as `Provider.chat`.
    """
    parts: list[str] = []
    size = 0
    async with aclosing(provider.chat(request)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                parts.append(event.text)
                size += len(event.text)
                if size > MAX_REPLY_CHARS:
                    raise BadReply(f"the reply grew over {MAX_REPLY_CHARS:,} characters", "too_long")
            elif isinstance(event, Finish):
                return ChatReply(text="".join(parts), finish=event.reason, usage=event.usage, model=event.model)
    raise BadReply("the stream ended before the model had finished", "truncated")
