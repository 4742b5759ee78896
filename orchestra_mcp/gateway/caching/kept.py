"""An answer that is kept: how it is gathered from a stream, written down, and played again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Self

from pydantic import ValidationError

from orchestra_mcp.gateway.provider import (
    MAX_REPLY_CHARS,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolDelta,
    joined,
)
from orchestra_mcp.types import Noun, Usage

PIECE = 4000
"""Characters of one event when an answer is played again."""
GOOD: tuple[FinishReason, ...] = ("stop", "tool")
"""Answers that ended like this are complete."""


class Kept(Noun):
    """A complete answer and where it came from."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish: FinishReason = "stop"
    usage: Usage = Usage()
    """What it took when it was made."""
    model: str = ""
    """The vendor's own name of the model that answered."""
    name: str = ""
    """The gateway's name of it."""
    provider: str = ""
    stopped_by: str = ""
    at: float = 0.0
    """When it was made; seconds since 1970."""
    until: float = 0.0
    """When it is to be forgotten."""

    def play(self) -> tuple[ChatEvent, ...]:
        """The answer as a stream of events that cost nothing."""
        texts = [TextDelta(text=self.text[i : i + PIECE]) for i in range(0, len(self.text), PIECE)]
        tools = [
            ToolDelta(index=i, id=c.id, name=c.name, arguments=c.arguments, signature=c.signature)
            for i, c in enumerate(self.tool_calls)
        ]
        finish = Finish(reason=self.finish, model=self.model, stopped_by=self.stopped_by)
        return (*texts, *tools, finish)

    def to_bytes(self) -> bytes:
        """For a store."""
        return self.model_dump_json().encode("utf-8", "surrogatepass")

    @classmethod
    def from_bytes(cls, body: bytes) -> Self | None:
        """What `to_bytes` wrote; None when it is of another version or damaged."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            return None


class Gathering:
    """Puts a stream together while it passes by."""

    __slots__ = ("_calls", "_signed", "_size", "_texts", "finish")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._size = 0
        self._signed = False
        self.finish: Finish | None = None

    def see(self, event: ChatEvent) -> None:
        """Note one event."""
        if isinstance(event, TextDelta):
            if self._size <= MAX_REPLY_CHARS:
                self._texts.append(event.text)
                self._size += len(event.text)
        elif isinstance(event, ToolDelta):
            if self._size <= MAX_REPLY_CHARS:
                self._calls[event.index] = joined(self._calls.get(event.index), event)
                self._size += len(event.arguments)
        elif isinstance(event, ReasoningDelta):
            self._signed = self._signed or bool(event.signature or event.hidden)
        elif isinstance(event, Finish):
            self.finish = event

    def kept(self) -> Kept | None:
        """The answer, when it is complete and good: not cut off, declined, empty or too long.

        A tool call after thinking that its vendor signed is not kept either: the vendor wants to see the thought
        again together with the call, and thoughts are not kept.
        """
        finish = self.finish
        if finish is None or finish.reason not in GOOD or self._size > MAX_REPLY_CHARS:
            return None
        if not self._size and not self._calls:
            return None
        if self._calls and self._signed:
            return None
        return Kept(
            text="".join(self._texts),
            tool_calls=tuple(self._calls[i] for i in sorted(self._calls)),
            finish=finish.reason,
            usage=finish.usage,
            model=finish.model,
            stopped_by=finish.stopped_by,
        )


class Memory:
    """The answers that were used last, by key, within a number of bytes.

    Args:
        most_bytes: how much they may take together, roughly.
    """

    def __init__(self, most_bytes: int = 4_000_000) -> None:
        self._most = most_bytes
        self._size = 0
        self._rows: OrderedDict[bytes, tuple[Kept, tuple[ChatEvent, ...], int]] = OrderedDict()

    def get(self, key: bytes) -> tuple[Kept, tuple[ChatEvent, ...]] | None:
        """An answer, and the events that play it."""
        row = self._rows.get(key)
        if row is None:
            return None
        self._rows.move_to_end(key)
        return row[0], row[1]

    def put(self, key: bytes, kept: Kept) -> tuple[ChatEvent, ...]:
        """Keep an answer; the oldest ones make room. Returns the events that play it."""
        events = kept.play()
        # Text stands there twice (whole and in pieces), up to four bytes a character; objects take about 300 bytes.
        size = 2 * len(kept.text.encode("utf-8", "surrogatepass")) + 300 * (len(events) + 4)
        size += sum(2 * len(call.arguments) for call in kept.tool_calls)
        self.drop(key)
        if size <= self._most:
            self._rows[key] = (kept, events, size)
            self._size += size
            while self._size > self._most:
                self._size -= self._rows.popitem(last=False)[1][2]
        return events

    def drop(self, key: bytes) -> None:
        """Forget an answer."""
        if (row := self._rows.pop(key, None)) is not None:
            self._size -= row[2]

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> int:
        """Bytes that are taken, roughly."""
        return self._size
