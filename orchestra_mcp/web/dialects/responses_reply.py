"""Responses: the reply, whole or as the stream of typed events that the SDKs put together again.

Reference: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from orchestra_mcp.gateway.provider import ChatEvent, Finish
from orchestra_mcp.types import JsonObject, Usage
from orchestra_mcp.web.dialects.answer import Answer, Block, total
from orchestra_mcp.web.dialects.dialect import Asked, Talk, cost, dumps, quoted, with_offer
from orchestra_mcp.web.dialects.messages_reply import arguments_of
from orchestra_mcp.web.dialects.responses import parse
from orchestra_mcp.web.errors import Trouble

INCOMPLETE = {"length": "max_output_tokens", "filter": "content_filter"}


def usage_body(usage: Usage) -> JsonObject:
    """Usage as OpenAI counts it: cached input is part of the input, reasoning part of the output."""
    given = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    made = usage.output_tokens + usage.reasoning_tokens
    return {
        "input_tokens": given,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": given + made,
        "cost_usd": cost(usage),
    }


def response(talk: Talk, status: str, output: list[JsonObject], usage: Usage | None = None) -> JsonObject:
    """A response object."""
    echo = {name: value for name, value in talk.asked.echo.items() if not name.startswith("_")}
    return {
        "id": f"resp_{talk.id}",
        "object": "response",
        "created_at": talk.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        **echo,
        "model": talk.model,
        "output": output,
        "usage": None if usage is None else usage_body(usage),
    }


def whole(talk: Talk, answers: list[Answer]) -> JsonObject:
    """A response."""
    answer = answers[0]
    finish = answer.done()
    items = [item(talk, number, block, status_of(finish)) for number, block in enumerate(answer.blocks)]
    return with_offer(_ended(talk, finish, items, total(answers)), talk.receipt)


def _ended(talk: Talk, finish: Finish, items: list[JsonObject], usage: Usage) -> JsonObject:
    body = response(talk, status_of(finish), items, usage)
    if reason := INCOMPLETE.get(finish.reason):
        body["incomplete_details"] = {"reason": reason}
    return body


def status_of(finish: Finish) -> str:
    """`completed` or `incomplete`."""
    return "incomplete" if finish.reason in INCOMPLETE else "completed"


def item(talk: Talk, number: int, block: Block, status: str) -> JsonObject:
    """A block as an output item."""
    tag = f"{talk.id}{number:02x}"
    if block.kind == "text":
        return {
            "id": f"msg_{tag}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [_said(block.text)] if status != "in_progress" else [],
        }
    if block.kind == "thought":
        shown: JsonObject = {
            "id": block.id or f"rs_{tag}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": block.text}]
            if block.pieces and status != "in_progress"
            else [],
        }
        return shown | ({"encrypted_content": block.hidden} if block.hidden and status != "in_progress" else {})
    space, name = talk.asked.echo.get("_spaces", {}).get(block.name, ("", block.name))
    call = {"call_id": block.id or f"call_{tag}", "name": name, "status": status}
    if space:
        call["namespace"] = space
    if custom(talk, block):
        text = "" if status == "in_progress" else _plain(block.text)
        return {"id": f"ctc_{tag}", "type": "custom_tool_call", **call, "input": text}
    arguments = "" if status == "in_progress" else block.text or "{}"
    return {"id": f"fc_{tag}", "type": "function_call", **call, "arguments": arguments}


def custom(talk: Talk, block: Block) -> bool:
    """True for a call of a tool that takes plain text."""
    return block.name in talk.asked.echo.get("_custom", ())


def _plain(arguments: str) -> str:
    value = arguments_of(arguments).get("input")
    return value if isinstance(value, str) else arguments


def _said(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class Writer:
    """Writes response events: one item after the other, each ended by what it holds."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._answer = Answer()
        self._number = 0
        self._index = -1
        self._open: Block | None = None
        self._sent = 0
        self._head = ""
        self._items: list[JsonObject] = []
        self._written: list[Block] = []

    def event(self, sample: int, event: ChatEvent) -> bytes:
        """The frames for one event."""
        del sample
        frames = "" if self._number else self._start()
        block = self._answer.add(event)
        if isinstance(event, Finish):
            status = status_of(event)
            frames += self._rest() + self._close(status)
            body = with_offer(_ended(self._talk, event, self._items, event.usage), self._talk.receipt)
            frames += self._frame(f"response.{status}", {"response": body})
        elif block is not None and (block is self._open or self._open is None or self._open.kind != "tool"):
            frames += self._show(block)
        return frames.encode()  # a call that comes while another one is open waits for its turn

    def end(self) -> bytes:
        """Nothing more: the `Finish` has ended it."""
        return b""

    def fail(self, trouble: Trouble) -> bytes:
        """An error within the stream, and the response that failed of it."""
        body = response(self._talk, "failed", self._items)
        body["error"] = {"code": "server_error", "message": trouble.message}
        error = {"code": trouble.code, "message": trouble.message, "param": trouble.param or None}
        failed = self._frame("response.failed", {"response": body})
        return (failed + self._frame("error", error)).encode()

    def _start(self) -> str:
        body = {"response": response(self._talk, "in_progress", [])}
        return self._frame("response.created", body) + self._frame("response.in_progress", body)

    def _show(self, block: Block) -> str:
        frames = "" if block is self._open else self._close("completed") + self._begin(block)
        if self._head:
            for piece in block.pieces[self._sent :]:
                frames += f'{self._head}{quoted(piece)},"sequence_number":{self._number}}}\n\n'
                self._number += 1
        self._sent = len(block.pieces)
        return frames

    def _begin(self, block: Block) -> str:
        self._open, self._sent, self._head = block, 0, ""
        self._written.append(block)
        self._index += 1
        shown = item(self._talk, self._index, block, "in_progress")
        if block.kind != "text":  # what it is called now it is called to its end, even if the vendor's id comes late
            block.id = str(shown["call_id" if block.kind == "tool" else "id"])
        frames = self._frame("response.output_item.added", {"output_index": self._index, "item": shown})
        place = self._place(shown)
        match block.kind:
            case "text":
                kind, place = "response.output_text.delta", place | {"content_index": 0}
                frames += self._frame("response.content_part.added", {**place, "part": _said("")})
                place |= {"logprobs": []}
            case "thought":
                if not block.pieces:  # nothing that can be read
                    return frames
                kind, place = "response.reasoning_summary_text.delta", place | {"summary_index": 0}
                part = {"type": "summary_text", "text": ""}
                frames += self._frame("response.reasoning_summary_part.added", {**place, "part": part})
            case _:
                if custom(self._talk, block):  # its text can only be told when all of it has come
                    return frames
                kind = "response.function_call_arguments.delta"
        self._head = f'event: {kind}\ndata: {{"type":"{kind}",{dumps(place)[1:-1]},"delta":'
        return frames

    def _close(self, status: str) -> str:
        block = self._open
        if block is None:
            return ""
        shown = item(self._talk, self._index, block, status)
        place = self._place(shown)
        frames = ""
        if block.kind == "text":
            place["content_index"] = 0
            done = {**place, "text": block.text, "logprobs": []}
            frames += self._frame("response.output_text.done", done)
            frames += self._frame("response.content_part.done", {**place, "part": _said(block.text)})
        elif block.kind == "thought" and self._head:
            place["summary_index"] = 0
            frames += self._frame("response.reasoning_summary_text.done", {**place, "text": block.text})
            part = {"type": "summary_text", "text": block.text}
            frames += self._frame("response.reasoning_summary_part.done", {**place, "part": part})
        elif shown["type"] == "custom_tool_call":
            delta = {**place, "delta": shown["input"]}
            frames += self._frame("response.custom_tool_call_input.delta", delta)
            frames += self._frame("response.custom_tool_call_input.done", {**place, "input": shown["input"]})
        elif block.kind == "tool":
            done = {**place, "name": shown["name"], "arguments": shown["arguments"]}
            frames += self._frame("response.function_call_arguments.done", done)
        frames += self._frame("response.output_item.done", {"output_index": self._index, "item": shown})
        self._items.append(shown)
        self._open, self._head = None, ""
        return frames

    def _rest(self) -> str:
        """What had to wait for another item to end."""
        frames = self._show(self._open) if self._open is not None else ""
        for block in self._answer.blocks:
            if not any(block is each for each in self._written):
                frames += self._show(block)
        return frames

    def _place(self, shown: JsonObject) -> JsonObject:
        return {"item_id": shown["id"], "output_index": self._index}

    def _frame(self, kind: str, body: JsonObject) -> str:
        frame = f"event: {kind}\ndata: {dumps({'type': kind, **body, 'sequence_number': self._number})}\n\n"
        self._number += 1
        return frame


class Responses:
    """See `ClientDialect`."""

    heartbeat = b": keep-alive\n\n"

    def parse(self, body: JsonObject) -> Asked:
        """See `ClientDialect.parse`."""
        return parse(body)

    def whole(self, talk: Talk, answers: list[Answer]) -> JsonObject:
        """See `ClientDialect.whole`."""
        return whole(talk, answers)

    def writer(self, talk: Talk) -> Writer:
        """See `ClientDialect.writer`."""
        return Writer(talk)
