"""Responses: OpenAI's newer dialect, also spoken by xAI, Azure, OpenRouter, Meta and others.

Reference: https://platform.openai.com/docs/api-reference/responses and …/responses-streaming. The conversation is sent
whole with every request and nothing is kept at the vendor; its thoughts come back encrypted and go out again as they
came. They can be read only by the account that they were made for. The API knows neither `stop` nor `seed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from orchestra_mcp.errors import ProviderError
from orchestra_mcp.gateway.dialects import openai_terms as terms
from orchestra_mcp.gateway.dialects.dialect import STREAM, Dialect, streams
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.openai_decoder import Call, Calls, usage_of
from orchestra_mcp.gateway.dialects.openai_items import items_of, tool_of
from orchestra_mcp.gateway.dialects.openai_vectors import EMBEDDINGS
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Finish, FinishReason, ReasoningDelta, TextDelta
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

NAME = "responses"
OWN = frozenset(
    {"model", "input", "instructions", "stream", "stream_options", "background", "previous_response_id", "conversation"}
)
"""Parameters that a client's `extra` does not reach: the conversation is ours, and nothing is kept at the vendor."""
LEAST_TOKENS = 16
"""The lowest `max_output_tokens` that OpenAI accepts."""
THOUGHTS = "reasoning.encrypted_content"

ENDS: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    # add here
}
"""`incomplete_details.reason`."""
STATUSES = {
    # https://platform.openai.com/docs/api-reference/responses: `error.code`
    "server_error": 500,
    "rate_limit_exceeded": 429,
    "vector_store_timeout": 504,
    # add here
}
FAULTS = ("invalid_", "image_", "unsupported_", "empty_", "failed_to_", "bio_", "data_residency", "context_length")
"""Beginnings of codes of errors that asking again cannot help."""


def url(_request: ChatRequest, spec: ModelSpec, _quirks: Quirks, _without: frozenset[str]) -> str:
    """Where to post; Azure has it beside its deployments, not below them."""
    return terms.place(spec, "responses", deployment=False)


def to_wire(request: ChatRequest, spec: ModelSpec, quirks: Quirks, without: frozenset[str]) -> JsonObject:
    """The body of the request."""
    in_words = terms.tells_schema(request, quirks, without, "text")
    messages = request.messages
    if in_words or quirks.system_role == "user":
        messages = terms.instructed(request, quirks, in_words=in_words)
    body: JsonObject = {
        "model": spec.model,
        "input": items_of(messages, quirks),
        "store": bool(quirks.store),
    }
    if streams(request, without):
        body["stream"] = True
    limit = quirks.max_tokens_needed if request.max_tokens is None else request.max_tokens
    if limit is not None:
        body["max_output_tokens"] = max(LEAST_TOKENS, limit)
    body |= terms.sampling(request, quirks)
    if request.tools or request.answer is not None or request.json_only:
        _shape(body, request, quirks)
    if quirks.effort or quirks.give_back_thoughts:
        body["include"] = [THOUGHTS]
    if request.effort is not None and quirks.effort and (word := terms.effort_of(request.effort, quirks.efforts)):
        body["reasoning"] = {"effort": word}
    return terms.finished(body, request, NAME, quirks, without, OWN)


def _shape(body: JsonObject, request: ChatRequest, quirks: Quirks) -> None:
    """Tools, and the form that the answer is to have."""
    tools, named, choice = terms.tools_of(request, quirks)
    if tools:
        body["tools"] = [tool_of(tool, quirks) for tool in tools]
        if named:
            body["tool_choice"] = {"type": "function", "name": named}
        elif choice is not None:
            body["tool_choice"] = choice
        if request.parallel_tools is not None:
            body["parallel_tool_calls"] = request.parallel_tools
    if request.answer is not None and quirks.schema_output == "json_schema":
        answer = request.answer
        form: JsonObject = {"type": "json_schema", "name": answer.name, "schema": answer.json_schema}
        if answer.description:
            form["description"] = answer.description
        if answer.strict is not None:
            form["strict"] = answer.strict
        body["text"] = {"format": form}
    elif request.json_only or (request.answer is not None and quirks.schema_output == "json_object"):
        body["text"] = {"format": {"type": "json_object"}}


class Decoder:
    """Reads the events of a response, or one whole response."""

    def __init__(self, source: Source) -> None:
        self.complete = False
        self._source = source
        self._reason: FinishReason | None = None
        self._refused = False
        self._usage: Any = None
        self._model = ""
        self._spoken: set[int] = set()
        """Output items whose text came in pieces."""
        self._thought: set[int] = set()
        self._calling: dict[int, Call] = {}
        self._calls = Calls()

    def feed(self, event: ServerEvent) -> Iterable[ChatEvent]:
        """What one event means; unknown ones, such as those of the vendor's own tools, mean nothing."""
        if event.data.startswith("[DONE]"):
            return ()
        try:
            body = json.loads(event.data)
        except ValueError:
            raise self._source.garbage("an event that is no JSON") from None
        if not isinstance(body, dict):
            return ()
        kind = body.get("type") or event.kind
        if kind == "response.output_text.delta":  # the most frequent one
            self._spoken.add(_index(body))
            return (TextDelta(text=str(body["delta"])),) if body.get("delta") else ()
        return self._event(str(kind), body)

    def whole(self, body: JsonObject) -> Iterable[ChatEvent]:
        """What a plain reply means."""
        if body.get("error"):
            raise self._failed(body["error"])
        if not isinstance(body.get("output"), list):
            raise self._source.garbage("JSON without output")
        return self._whole(body)

    def finish(self) -> Finish | None:
        """How it ended."""
        reason = self._reason
        if reason is None:
            return None
        if self._refused:
            reason = "filter"
        elif reason == "stop" and self._calls.any:
            reason = "tool"
        usage = usage_of(self._usage) if self._usage else Usage()
        return Finish(reason=reason, usage=usage, model=self._model)

    def _event(self, kind: str, body: JsonObject) -> Iterator[ChatEvent]:
        index = _index(body)
        match kind:
            case "response.output_item.added" | "response.output_item.done":
                yield from self._item(body.get("item"), index, done=kind.endswith("done"))
            case "response.function_call_arguments.delta":
                if call := self._calling.get(index):
                    yield from self._calls.more(call, str(body.get("delta") or ""))
            case "response.function_call_arguments.done":
                yield from self._rest(index, body.get("arguments"))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._thought.add(index)
                yield ReasoningDelta(text=str(body.get("delta") or ""))
            case "response.reasoning_summary_part.added" if index in self._thought:
                yield ReasoningDelta(text="\n\n")
            case "response.refusal.delta" | "response.refusal.done":
                self._refused = True
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                yield from self._last(body.get("response"), kind)
            case "error":
                raise self._failed(body.get("error") or body)
            case _ if body.get("error"):
                raise self._failed(body["error"])

    def _last(self, response: Any, kind: str) -> Iterator[ChatEvent]:
        response = response if isinstance(response, dict) else {}
        self.complete = True
        if response.get("error") or kind == "response.failed":
            raise self._failed(response.get("error"))
        if not (self._spoken or self._calls.any) and isinstance(response.get("output"), list):
            yield from self._items(response["output"])  # a server that says all at the end
        yield from self._calls.end()
        self._end(response, kind.removeprefix("response."))

    def _whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        yield from self._items(body["output"])
        yield from self._calls.end()
        status = str(body.get("status") or "completed")
        if status == "failed":
            raise self._failed(None)
        if status in ("completed", "incomplete", "cancelled"):
            self._end(body, status)

    def _items(self, output: list[Any]) -> Iterator[ChatEvent]:
        for index, item in enumerate(output):
            yield from self._item(item, index, done=True)

    def _item(self, item: Any, index: int, *, done: bool) -> Iterator[ChatEvent]:
        """An item that begins or is done; when done, what has not come in pieces."""
        if not isinstance(item, dict):
            return
        match item.get("type"):
            case "function_call":
                id = str(item.get("call_id") or item.get("id") or "")
                call = self._calling.get(index)
                if call is None or (id and id != call.id):  # servers that leave out `output_index` are told apart by id
                    call = self._calling[index] = self._calls.begin(index, id, str(item.get("name") or ""))
                    yield from self._calls.more(call, "")
                if done:
                    yield from self._rest(index, item.get("arguments"))
            case "message" if done:
                for part in item.get("content") or ():
                    yield from self._said(part, index)
            case "reasoning" if done:
                if index not in self._thought:
                    texts = (*(item.get("summary") or ()), *(item.get("content") or ()))
                    text = terms.joined(str(part.get("text") or "") for part in texts)
                    if text:
                        yield ReasoningDelta(text=text)
                if hidden := item.get("encrypted_content"):
                    yield ReasoningDelta(hidden=str(hidden), id=str(item.get("id") or ""))

    def _said(self, part: Any, index: int) -> Iterator[ChatEvent]:
        if not isinstance(part, dict):
            return
        if part.get("type") == "refusal":
            self._refused = True
        elif (text := part.get("text")) and index not in self._spoken:
            yield TextDelta(text=str(text))

    def _rest(self, index: int, arguments: Any) -> Iterator[ChatEvent]:
        """Arguments that have not come in pieces."""
        call = self._calling.get(index)
        if call is not None and isinstance(arguments, str) and arguments.startswith(call.arguments):
            yield from self._calls.more(call, arguments[len(call.arguments) :])

    def _end(self, response: JsonObject, status: str) -> None:
        self._model = str(response.get("model") or "")
        self._usage = response.get("usage")
        details = response.get("incomplete_details")
        if status == "completed":
            self._reason = "stop"
        else:
            why = details.get("reason") if isinstance(details, dict) else None
            self._reason = ENDS.get(str(why), "unknown")

    def _failed(self, error: Any) -> ProviderError:
        """The error of a response that failed; its code is a word, and some words mean a bad question."""
        error = error if isinstance(error, dict) else {"message": str(error or "the response failed")}
        word = error.get("code")
        if isinstance(word, str) and (status := STATUSES.get(word, 400 if word.startswith(FAULTS) else None)):
            error = {**error, "code": status, "type": word}
        return self._source.from_event({"error": error})


def _index(body: JsonObject) -> int:
    index = body.get("output_index")
    return index if isinstance(index, int) else 0


DIALECT = Dialect(
    name=NAME,
    url=url,
    auth="bearer",
    to_wire=to_wire,
    decoder=Decoder,
    list_url=lambda spec: f"{spec.base_url.rstrip('/')}/models",
    optional=frozenset(
        {
            "temperature", "top_p", "max_output_tokens", "include", "reasoning", "store", "parallel_tool_calls",
            "truncation", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention",
            "safety_identifier", "top_logprobs", "max_tool_calls", STREAM,
            # add here
        }
    ),
    embeddings=EMBEDDINGS,
)  # fmt: skip
