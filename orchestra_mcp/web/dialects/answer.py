"""The fold of a stream of events that a door needs: unlike `ChatReply` it keeps the order, and the thinking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from orchestra_mcp.errors import BadReply
from orchestra_mcp.gateway.provider import ChatEvent, Finish, ReasoningDelta, TextDelta, ToolDelta
from orchestra_mcp.types import Usage

MAX_CHARS = 16_000_000
"""Of one reply."""


@dataclass(slots=True)
class Block:
    """Text, a thought or a tool call, as one piece."""

    kind: Literal["text", "thought", "tool"]
    pieces: list[str] = field(default_factory=list)
    """Of the text, the thought, or the arguments."""
    id: str = ""
    name: str = ""
    signature: str = ""
    hidden: str = ""
    closed: bool = False
    """A thought that is complete: more thinking begins another one."""

    @property
    def text(self) -> str:
        """The pieces as one."""
        return "".join(self.pieces)


class Answer:
    """A reply in the making: its blocks in the order in which they began, and how it ended."""

    __slots__ = ("_calls", "_size", "blocks", "finish")

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.finish: Finish | None = None
        self._calls: dict[int, Block] = {}
        self._size = 0

    def add(self, event: ChatEvent) -> Block | None:
        """Take one more event; returns the block that it belongs to.

        Raises:
            BadReply: the reply grows beyond `MAX_CHARS` (`too_long`).
        """
        block: Block | None = None
        piece = ""
        if isinstance(event, TextDelta):
            block, piece = self._last("text"), event.text
        elif isinstance(event, ToolDelta):
            block, piece = self._call(event), event.arguments
        elif isinstance(event, ReasoningDelta):
            block, piece = self._thought(event), event.text
        elif isinstance(event, Finish):
            self.finish = event
            return None
        if block is None:
            return None
        if piece:
            block.pieces.append(piece)
            self._size += len(piece)
            if self._size > MAX_CHARS:
                raise BadReply(f"the reply grew over {MAX_CHARS:,} characters", "too_long")
        return block

    def text(self) -> str:
        """All visible text."""
        return "".join(block.text for block in self.blocks if block.kind == "text")

    def thinking(self) -> str:
        """All thinking that can be read."""
        return "".join(block.text for block in self.blocks if block.kind == "thought")

    def calls(self) -> list[Block]:
        """The tool calls."""
        return [block for block in self.blocks if block.kind == "tool"]

    def done(self) -> Finish:
        """How it ended.

        Raises:
            BadReply: it has not (`truncated`).
        """
        if self.finish is None:
            raise BadReply("the stream ended before the model had finished", "truncated")
        return self.finish

    def _last(self, kind: Literal["text", "thought"]) -> Block:
        if self.blocks and self.blocks[-1].kind == kind and not self.blocks[-1].closed:
            return self.blocks[-1]
        self.blocks.append(block := Block(kind))
        return block

    def _thought(self, event: ReasoningDelta) -> Block | None:
        if not (event.text or event.signature or event.hidden):
            return None  # a sign of life
        block = self._last("thought")
        block.signature = block.signature or event.signature
        block.hidden = block.hidden or event.hidden
        block.id = block.id or event.id
        block.closed = bool(block.signature or block.hidden)
        return block

    def _call(self, event: ToolDelta) -> Block:
        block = self._calls.get(event.index)
        if block is None:
            block = self._calls[event.index] = Block("tool", id=event.id, name=event.name)
            self.blocks.append(block)
        block.id = block.id or event.id
        block.name = block.name or event.name
        block.signature = block.signature or event.signature
        return block


def total(answers: list[Answer]) -> Usage:
    """What several answers took together."""
    found = [answer.finish.usage for answer in answers if answer.finish is not None]
    return found[0] if len(found) == 1 else sum(found, Usage())
