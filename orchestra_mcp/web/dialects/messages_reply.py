"""Messages: the reply, whole or as the stream of typed events that the SDKs put together again.

Reference: https://docs.anthropic.com/en/api/messages-streaming. Beyond it: what the call has cost, in `usage.cost_usd`.
"""

from __future__ import annotations

from orchestra_mcp.gateway.provider import (
    ChatEvent,
    Finish,
    FinishReason,
)
from orchestra_mcp.types import JsonObject, Usage
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.answer import Answer, Block, total
from orchestra_mcp.web.dialects.dialect import Asked, Talk, cost, dumps, quoted, with_offer
from orchestra_mcp.web.dialects.fields import Invalid
from orchestra_mcp.web.dialects.messages import parse
from orchestra_mcp.web.errors import Trouble

FINISHES: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "filter": "refusal",
    "tool": "tool_use",
    "unknown": "end_turn",
}


def usage_body(usage: Usage) -> JsonObject:
    """Usage as Anthropic counts it: input without what was read from or written to a cache."""
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens + usage.reasoning_tokens,
        "cost_usd": cost(usage),
    }


def whole(talk: Talk, answers: list[Answer]) -> JsonObject:
    """A message."""
    answer = answers[0]
    finish = answer.done()
    body: JsonObject = {
        "id": f"msg_{talk.id}",
        "type": "message",
        "role": "assistant",
        "model": talk.model,
        "content": [shown for number, block in enumerate(answer.blocks) if (shown := _shown(number, block))],
        **_ending(finish, bool(answer.calls())),
        "usage": usage_body(total(answers)),
    }
    return with_offer(body, talk.receipt)


def _ending(finish: Finish, called: bool) -> JsonObject:
    reason = FINISHES[finish.reason]
    if finish.reason in ("stop", "unknown"):
        reason = "tool_use" if called else "stop_sequence" if finish.stopped_by else reason
    return {"stop_reason": reason, "stop_sequence": finish.stopped_by or None}


def _shown(number: int, block: Block) -> JsonObject:
    if block.kind == "text":
        return {"type": "text", "text": block.text}
    if block.kind == "tool":
        return _tool(number, block) | {"input": arguments_of(block.text)}
    if block.hidden and not block.pieces:
        return {"type": "redacted_thinking", "data": block.hidden}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature}


def _tool(number: int, block: Block) -> JsonObject:
    shown: JsonObject = {"type": "tool_use", "id": block.id or f"toolu_{number}", "name": block.name, "input": {}}
    if block.signature:
        shown["signature"] = block.signature
    return shown


def arguments_of(text: str) -> JsonObject:
    """Arguments as an object, which this dialect wants; what is none stands in it as `_raw`."""
    try:
        return fields.parse(text.encode("utf-8", "replace")) if text.strip() else {}
    except Invalid:
        return {"_raw": text}


class Writer:
    """Writes message events: one block after the other, however calls come interleaved."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._answer = Answer()
        self._begun = False
        self._index = -1
        self._open: Block | None = None
        self._sent = 0
        """Pieces of the open block that have been written."""
        self._signed = False
        self._written: list[Block] = []

    def event(self, sample: int, event: ChatEvent) -> bytes:
        """The frames for one event."""
        del sample
        frames = "" if self._begun else self._start()
        block = self._answer.add(event)
        if isinstance(event, Finish):
            frames += self._rest() + self._close()
            frames += self._finish(event)
        elif block is not None and (block is self._open or self._open is None or self._open.kind != "tool"):
            frames += self._show(block)
        return frames.encode()  # a call that comes while another one is open waits for its turn

    def end(self) -> bytes:
        """Nothing more: the `Finish` has ended it."""
        return b""

    def fail(self, trouble: Trouble) -> bytes:
        """An error within the stream."""
        return f"event: error\ndata: {dumps(trouble.anthropic)}\n\n".encode()

    def _start(self) -> str:
        self._begun = True
        message: JsonObject = {
            "id": f"msg_{self._talk.id}",
            "type": "message",
            "role": "assistant",
            "model": self._talk.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_body(Usage()),
        }
        return _frame("message_start", {"message": message})

    def _show(self, block: Block) -> str:
        frames = "" if block is self._open else self._close() + self._begin(block)
        number = f'"index":{self._index},"delta":'
        for piece in block.pieces[self._sent :]:
            match block.kind:
                case "text":
                    delta = f'{{"type":"text_delta","text":{quoted(piece)}}}'
                case "tool":
                    delta = f'{{"type":"input_json_delta","partial_json":{quoted(piece)}}}'
                case _:
                    delta = f'{{"type":"thinking_delta","thinking":{quoted(piece)}}}'
            frames += f'event: content_block_delta\ndata: {{"type":"content_block_delta",{number}{delta}}}\n\n'
        self._sent = len(block.pieces)
        if block.kind == "thought" and block.signature and not self._signed:
            self._signed = True
            delta = dumps({"type": "signature_delta", "signature": block.signature})
            frames += f'event: content_block_delta\ndata: {{"type":"content_block_delta",{number}{delta}}}\n\n'
        return frames

    def _begin(self, block: Block) -> str:
        self._open, self._sent, self._signed = block, 0, False
        self._written.append(block)
        self._index += 1
        shown: JsonObject = {"type": "text", "text": ""}
        if block.kind == "tool":
            shown = _tool(self._index, block)
            block.id = str(shown["id"])
        elif block.kind == "thought":
            shown = {"type": "thinking", "thinking": "", "signature": ""}
            if block.hidden and not block.pieces:
                shown = {"type": "redacted_thinking", "data": block.hidden}
        return _frame("content_block_start", {"index": self._index, "content_block": shown})

    def _close(self) -> str:
        if self._open is None:
            return ""
        self._open = None
        return _frame("content_block_stop", {"index": self._index})

    def _rest(self) -> str:
        """What had to wait for another block to end."""
        frames = self._show(self._open) if self._open is not None else ""
        for block in self._answer.blocks:
            if not any(block is each for each in self._written):
                frames += self._show(block)
        return frames

    def _finish(self, finish: Finish) -> str:
        ending = _ending(finish, bool(self._answer.calls()))
        body = with_offer({"delta": ending, "usage": usage_body(finish.usage)}, self._talk.receipt)
        return _frame("message_delta", body) + _frame("message_stop", {})


def _frame(kind: str, body: JsonObject) -> str:
    return f"event: {kind}\ndata: {dumps({'type': kind, **body})}\n\n"


class Messages:
    """See `ClientDialect`."""

    heartbeat = b'event: ping\ndata: {"type":"ping"}\n\n'

    def parse(self, body: JsonObject) -> Asked:
        """See `ClientDialect.parse`."""
        return parse(body)

    def whole(self, talk: Talk, answers: list[Answer]) -> JsonObject:
        """See `ClientDialect.whole`."""
        return whole(talk, answers)

    def writer(self, talk: Talk) -> Writer:
        """See `ClientDialect.writer`."""
        return Writer(talk)
