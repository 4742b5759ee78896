"""Replies in chat completions, and the usage of both of OpenAI's dialects.

Vendors differ most in how they stream tool calls; `Calls` reads what is known of it:
https://github.com/ollama/ollama/issues/15457 (each call has index 0), #7881 (no index at all), openai-python #2806
(Gemini: no index), pi #8861 (gateways that use one index twice), dirac #215 (pieces under an index of nobody).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.dialects.translation import ANSWER_TOOL
from orchestra_mcp.gateway.provider import ChatEvent, Finish, FinishReason, ReasoningDelta, TextDelta, ToolDelta
from orchestra_mcp.types import JsonObject, Usage

FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",  # Together
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral: the window is full
    "content_filter": "filter",
    "sensitive": "filter",  # Z.ai
    "tool_calls": "tool",
    "function_call": "tool",
    # add here
}
BROKEN = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
"""Ends that are failures of the server: OpenRouter and Mistral, vLLM, Z.ai, DeepSeek."""
MAX_CALLS = 1000
"""Tool calls of one reply."""
MAX_LOOKS = 100
"""Times that arguments are parsed to find out whose a piece is."""


# ------------------------------------------------------------------------------------------------ usage


def usage_of(raw: Any) -> Usage:
    """A `usage` object, of chat completions or of responses, in disjoint buckets. Never raises.

    The prompt includes cached tokens. The completion includes reasoning at OpenAI, but not at xAI; the total tells which.
    """
    if not isinstance(raw, dict):
        return Usage()
    prompt = _count(raw, "prompt_tokens") or _count(raw, "input_tokens")
    completion = _count(raw, "completion_tokens") or _count(raw, "output_tokens")
    details = raw.get("prompt_tokens_details") or raw.get("input_tokens_details")
    # DeepSeek and Moonshot have names of their own for what was read.
    read = _count(details, "cached_tokens") or _count(raw, "prompt_cache_hit_tokens") or _count(raw, "cached_tokens")
    written = _count(details, "cache_write_tokens")
    thinking = raw.get("completion_tokens_details") or raw.get("output_tokens_details")
    reasoning = _count(thinking, "reasoning_tokens")
    apart = reasoning > 0 and _count(raw, "total_tokens") == prompt + completion + reasoning
    return Usage(
        input_tokens=max(0, prompt - read - written),
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=completion if apart else max(0, completion - reasoning),
        reasoning_tokens=reasoning,
        cost_usd=_cost(raw),
    )


def _count(raw: Any, name: str) -> int:
    value = raw.get(name) if isinstance(raw, dict) else None
    # JSON from Python servers may hold NaN and Infinity.
    return int(value) if isinstance(value, int | float) and 0 < value < 1e15 else 0


def _cost(raw: JsonObject) -> Decimal:
    """What OpenRouter says it charged; with a key of one's own, plus what the vendor behind it charges."""
    if not (said := raw.get("cost")):
        said = 0
    try:
        cost = Decimal(str(said))
        if raw.get("is_byok") is True and isinstance(details := raw.get("cost_details"), dict):
            cost += Decimal(str(details.get("upstream_inference_cost") or 0))
    except ArithmeticError:
        return Decimal(0)
    return cost if cost.is_finite() and cost > 0 else Decimal(0)


# ------------------------------------------------------------------------------------------------ tool calls


class Call:
    """One tool call while it comes in."""

    __slots__ = ("id", "index", "name", "pieces", "shown")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.shown = False
        """The first event, with id and name, is out."""

    @property
    def arguments(self) -> str:
        """What has come so far."""
        return "".join(self.pieces)


class Calls:
    """Puts pieces of tool calls in order, whoever sends them.

    A piece that names a function begins a new call, unless it repeats the id (or, without ids, the name) of the call at
    its index. Calls without an id are given one. Arguments that come before the name wait for it.
    """

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._at: dict[int, Call] = {}
        self._named: dict[str, Call] = {}
        self._looks = 0
        self.any = False
        """True when a tool is called, other than the one that stands for the answer."""

    def piece(self, raw: Any, *, whole: bool = False) -> Iterator[ChatEvent]:
        """What one entry of `tool_calls` means; `whole`: it is no piece but a call."""
        if not isinstance(raw, dict):
            return
        function = raw.get("function")
        if not isinstance(function, dict):
            function = {}
        index, id, name = raw.get("index"), raw.get("id") or "", function.get("name") or ""
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        text = arguments if isinstance(arguments, str) else ""
        call = None if whole else self._known(index, str(id), str(name), text)
        if call is None:
            if not (id or name or text):
                return
            call = self._new(index if isinstance(index, int) else None)
        if not call.shown:
            call.id, call.name = call.id or str(id), call.name or str(name)
            if call.id:
                self._named.setdefault(call.id, call)
        yield from self.more(call, text, _signature(raw))

    def more(self, call: Call, text: str, signature: str = "") -> Iterator[ChatEvent]:
        """Some more arguments of a call."""
        if text:
            call.pieces.append(text)
        if call.name == ANSWER_TOOL:
            text, call.shown = text if call.shown else call.arguments, True
            if text:
                yield TextDelta(text=text)
            return
        if call.shown:
            if text or signature:
                yield ToolDelta(index=call.index, arguments=text, signature=signature)
        elif call.name:
            call.shown = self.any = True
            call.id = call.id or f"call_{uuid4().hex[:24]}"
            yield ToolDelta(index=call.index, id=call.id, name=call.name, arguments=call.arguments, signature=signature)

    def begin(self, index: int | None, id: str, name: str) -> Call:
        """A call that is known to be new."""
        call = self._new(index)
        call.id, call.name = id, name
        return call

    def end(self) -> Iterator[ChatEvent]:
        """At the end: calls without any arguments have those of a function that takes none."""
        for call in self._calls:
            if call.shown and not call.pieces and call.name != ANSWER_TOOL:
                call.pieces.append("{}")
                yield ToolDelta(index=call.index, arguments="{}")

    def _new(self, index: int | None) -> Call:
        if len(self._calls) >= MAX_CALLS:
            raise ValueError("too many tool calls")
        call = Call(len(self._calls))
        self._calls.append(call)
        if index is not None:
            self._at[index] = call
        return call

    def _known(self, index: Any, id: str, name: str, text: str) -> Call | None:
        """The call that a piece belongs to; None when it begins one."""
        if isinstance(index, int):
            call = self._at.get(index)
            if call is not None:
                if name and call.shown and _differs(call, id, name):
                    return None
                return call if name else self._named.get(id, call)
            if id or name:
                return None
        elif id in self._named:
            return self._named[id]
        elif name:
            return None
        # A piece that says not whose it is: of the last call, unless that has all its arguments.
        last = self._calls[-1] if self._calls else None
        if last is None or (text and self._complete(last)):
            return None
        if isinstance(index, int):
            self._at[index] = last
        return last

    def _complete(self, call: Call) -> bool:
        """True when a call has all its arguments. Looked up only so often: it reads them from the beginning."""
        if not call.pieces or not call.pieces[-1].rstrip().endswith("}") or self._looks >= MAX_LOOKS:
            return False
        self._looks += 1
        try:
            json.loads(call.arguments)
        except (ValueError, RecursionError):
            return False
        return True


def _differs(call: Call, id: str, name: str) -> bool:
    return id != call.id if id else name != call.name


def _signature(raw: JsonObject) -> str:
    """Gemini's, at its address for OpenAI clients."""
    extra = raw.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


# ------------------------------------------------------------------------------------------------ the decoder


class Decoder:
    """Reads chat completion chunks, or one whole chat completion; of several choices the first."""

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._refused = False
        self._usage: JsonObject | None = None
        self._model = ""
        self._stopped_by = ""
        self._calls = Calls()

    def feed(self, event: ServerEvent) -> Iterable[ChatEvent]:
        """What one chunk means."""
        data = event.data
        if data.startswith("[DONE]") or data.strip() == "[DONE]":
            self.complete = True
            return ()
        try:
            body = json.loads(data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        return self._object(body, "delta") if isinstance(body, dict) else ()

    def whole(self, body: JsonObject) -> Iterable[ChatEvent]:
        """What a plain reply means."""
        if "choices" not in body and not body.get("error"):
            if body.get("message") and ("code" in body or body.get("object") == "error"):  # SiliconFlow, older vLLM
                raise self._source.from_event({"error": body})
            raise self._source.garbage("JSON without choices")
        return self._object(body, "message")

    def finish(self) -> Finish | None:
        """How it ended."""
        reason = self._reason
        if reason is None:
            return None
        if self._refused:
            reason = "filter"
        elif reason == "stop" and self._calls.any:  # Ollama and Gemini say so, though tools are called
            reason = "tool"
        elif reason == "tool" and not self._calls.any:  # the answer came as a tool call
            reason = "stop"
        return Finish(reason=reason, usage=usage_of(self._usage), model=self._model, stopped_by=self._stopped_by)

    def _object(self, body: JsonObject, part: str) -> Iterator[ChatEvent]:
        if body.get("error"):
            raise self._source.from_event(body)
        if body.get("object") == "error":  # older vLLM
            raise self._source.from_event({"error": body})
        if model := body.get("model"):
            self._model = str(model)
        if isinstance(usage := body.get("usage"), dict):
            self._usage = usage
        elif groq := body.get("x_groq"):
            self._groq(groq)
        for choice in body.get("choices") or ():
            if not isinstance(choice, dict) or choice.get("index", 0) not in (0, None):
                continue
            if choice.get("error"):
                raise self._source.from_event(choice)
            if isinstance(usage := choice.get("usage"), dict):  # Moonshot
                self._usage = usage
            if isinstance(message := choice.get(part), dict):
                yield from self._message(message, whole=part == "message")
            if reason := choice.get("finish_reason"):
                yield from self._calls.end()
                self._end(str(reason).lower(), choice)

    def _groq(self, groq: Any) -> None:
        if not isinstance(groq, dict):
            return
        if groq.get("error"):
            raise self._source.from_event(groq)
        if groq.get("usage"):
            self._usage = groq["usage"]

    def _end(self, reason: str, choice: JsonObject) -> None:
        if reason in BROKEN:
            message = f"the model stopped with {reason!r}"
            raise self._source.from_event({"error": {"code": 503, "message": message}})
        self._reason = FINISHES.get(reason, "unknown")
        if isinstance(stop := choice.get("stop_reason"), str):  # vLLM and others: the sequence that matched
            self._stopped_by = stop if self._reason == "stop" else ""

    def _message(self, message: JsonObject, *, whole: bool) -> Iterator[ChatEvent]:
        thought = message.get("reasoning_content") or message.get("reasoning")
        if thought and isinstance(thought, str):
            yield ReasoningDelta(text=thought)
        if isinstance(details := message.get("reasoning_details"), list):
            yield from _details(details, told=bool(thought))
        content = message.get("content")
        if isinstance(content, str):
            if content:
                yield TextDelta(text=content)
        elif isinstance(content, list):
            for part in content:
                yield from _part(part)
        if message.get("refusal"):
            self._refused = True
        calls = message.get("tool_calls")
        if calls is None and (call := message.get("function_call")):  # before tools
            calls = [{"index": 0, "function": call}]
        for call in calls or ():
            yield from self._calls.piece(call, whole=whole)


def _part(part: Any) -> Iterator[ChatEvent]:
    """Mistral sends parts, thinking among them (https://docs.mistral.ai/capabilities/reasoning)."""
    if not isinstance(part, dict):
        return
    if part.get("type") == "text":
        if text := part.get("text"):
            yield TextDelta(text=str(text))
        return
    thinking = part.get("thinking")
    if isinstance(thinking, list):
        thinking = "".join(str(inner.get("text") or "") for inner in thinking if isinstance(inner, dict))
    yield ReasoningDelta(text=thinking if isinstance(thinking, str) else "")


def _details(details: list[Any], *, told: bool) -> Iterator[ChatEvent]:
    """OpenRouter's `reasoning_details`; `told`: their text has been said already."""
    for detail in details:
        if not isinstance(detail, dict):
            continue
        id = str(detail.get("id") or "")
        text = detail.get("text") or detail.get("summary")
        if text and not told:
            yield ReasoningDelta(text=str(text))
        if signature := detail.get("signature"):
            yield ReasoningDelta(signature=str(signature), id=id)
        if detail.get("type") == "reasoning.encrypted" and detail.get("data"):
            yield ReasoningDelta(hidden=str(detail["data"]), id=id)
