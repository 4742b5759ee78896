"""Chat completions: the reply, whole or in chunks.

Reference: https://platform.openai.com/docs/api-reference/chat. Beyond it, as other vendors have it: thinking in
`reasoning_content`, Gemini's thought signatures in `extra_content.google.thought_signature` of a tool call, and what
the call has cost in `usage.cost_usd`.
"""

from __future__ import annotations

from orchestra_mcp.gateway.provider import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolDelta,
)
from orchestra_mcp.types import JsonObject, Usage
from orchestra_mcp.web.dialects.answer import Answer, Block, total
from orchestra_mcp.web.dialects.chat import parse
from orchestra_mcp.web.dialects.dialect import (
    Asked,
    Talk,
    cost,
    dumps,
    quoted,
    with_offer,
)
from orchestra_mcp.web.errors import Trouble

FINISHES: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "filter": "content_filter",
    "tool": "tool_calls",
    "unknown": "stop",
}


def usage_body(usage: Usage) -> JsonObject:
    """Usage as OpenAI counts it: cached input is part of the prompt, reasoning part of the completion."""
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    completion = usage.output_tokens + usage.reasoning_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0},
        "cost_usd": cost(usage),
    }


def whole(talk: Talk, answers: list[Answer]) -> JsonObject:
    """A chat completion."""
    body: JsonObject = {
        "id": f"chatcmpl-{talk.id}",
        "object": "chat.completion",
        "created": talk.created,
        "model": talk.model,
        "choices": [_choice_of(index, answer) for index, answer in enumerate(answers)],
        "usage": usage_body(total(answers)),
    }
    return with_offer(body, talk.receipt)


def _choice_of(index: int, answer: Answer) -> JsonObject:
    finish = answer.done()
    calls = answer.calls()
    said = answer.text()
    message: JsonObject = {"role": "assistant", "content": said if said or not calls else None, "refusal": None}
    if thinking := answer.thinking():
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = [_call(number, call) for number, call in enumerate(calls)]
    reason = "tool_calls" if calls and finish.reason in ("stop", "unknown") else FINISHES[finish.reason]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}


def _call(number: int, call: Block) -> JsonObject:
    body: JsonObject = {
        "id": call.id or f"call_{number}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.text or "{}"},
    }
    if call.signature:
        body["extra_content"] = {"google": {"thought_signature": call.signature}}
    return body


class Writer:
    """Writes chat completion chunks. What all chunks have in common is encoded once."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._head = ""
        self._tail = ',"usage":null}\n\n' if talk.asked.usage else "}\n\n"
        self._begun: set[int] = set()
        self._calls: dict[tuple[int, int], int] = {}
        self._used = Usage()

    def event(self, sample: int, event: ChatEvent) -> bytes:
        """The chunks for one event."""
        if not self._head:
            self._open()
        frames = "" if sample in self._begun else self._begin(sample)
        if isinstance(event, TextDelta):
            frames += self._chunk(sample, '{"content":' + quoted(event.text) + "}")
        elif isinstance(event, ToolDelta):
            frames += self._chunk(sample, self._tool(sample, event))
        elif isinstance(event, ReasoningDelta):
            if event.text:
                frames += self._chunk(sample, '{"reasoning_content":' + quoted(event.text) + "}")
        elif isinstance(event, Finish):
            self._used += event.usage
            called = any(each[0] == sample for each in self._calls)
            reason = "tool_calls" if called and event.reason in ("stop", "unknown") else FINISHES[event.reason]
            frames += self._chunk(sample, "{}", f'"{reason}"')
        return frames.encode()

    def end(self) -> bytes:
        """The usage, if it was asked for, and `[DONE]`."""
        frames = ""
        if not self._head:
            self._open()
        offered = with_offer({}, self._talk.receipt)
        if self._talk.asked.usage or offered:
            more = {"usage": usage_body(self._used)} if self._talk.asked.usage else {}
            frames = f"{self._head}[],{dumps({**more, **offered})[1:-1]}}}\n\n"
        return (frames + "data: [DONE]\n\n").encode()

    def fail(self, trouble: Trouble) -> bytes:
        """An error within the stream."""
        return f"data: {dumps(trouble.openai)}\n\n".encode()

    def _open(self) -> None:
        talk = self._talk
        model = quoted(talk.model)
        self._head = (
            f'data: {{"id":"chatcmpl-{talk.id}","object":"chat.completion.chunk","created":{talk.created},'
            f'"model":{model},"choices":'
        )

    def _begin(self, sample: int) -> str:
        self._begun.add(sample)
        return self._chunk(sample, '{"role":"assistant","content":""}')

    def _chunk(self, sample: int, delta: str, reason: str = "null") -> str:
        choice = f'[{{"index":{sample},"delta":{delta},"logprobs":null,"finish_reason":{reason}}}]'
        return self._head + choice + self._tail

    def _tool(self, sample: int, event: ToolDelta) -> str:
        number = self._calls.get((sample, event.index))
        if number is None:
            number = sum(1 for each in self._calls if each[0] == sample)
            self._calls[sample, event.index] = number
            call = Block("tool", [event.arguments], event.id, event.name, event.signature)
            row = _call(number, call) | {"index": number}
            row["function"]["arguments"] = event.arguments
            return '{"tool_calls":[' + dumps(row) + "]}"
        more = f'{{"index":{number},"function":{{"arguments":{quoted(event.arguments)}}}'
        if event.signature:
            more += f',"extra_content":{dumps({"google": {"thought_signature": event.signature}})}'
        return '{"tool_calls":[' + more + "}]}"


class Chat:
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
