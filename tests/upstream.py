"""The tests' upstream: a small server that speaks the three wires over real HTTP, with scripted faults.

    from upstream import Expert, Upstream

    with Upstream({"ada": Expert("42"), "bob": Expert(fault="hang")}) as upstream:
        ...upstream.url, upstream.calls, upstream.models_toml()

It runs in a thread of its own, so sync tests, async tests and child processes can all use it. It is a plain
asyncio server and no ASGI application, because a fault such as "close the connection without a word" needs
the socket. The expert is chosen by the model id of the request. Payload shapes follow the vendors' API
references: OpenAI chat completions, Anthropic Messages, Gemini generateContent.

To play with it: `python tests/upstream.py --script FILE.json [--port N]`, where the file is an object of
`{"name": {"says": "...", "fault": "...", ...}}`; the URL is printed on the first line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

WORDS = [
    "lantern",
    "purple",
    "seven",
    "gravel",
    "orbit",
    "mustard",
    "whisper",
    "ladder",
    "quartz",
    "pillow",
    "november",
    "saddle",
    "tundra",
    "velvet",
    "cactus",
    "umbrella",
    "static",
    "marble",
    "anchor",
    "biscuit",
    "feather",
    "compass",
    "drizzle",
    "hollow",
]
HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
LONG_CHARS = 124_000

Json = dict[str, Any]
Says = str | list[str] | Callable[[str, int], str]


@dataclass
class Expert:
    """What one model says, and what goes wrong with it.

    Faults: `hang` (no reply at all), any HTTP status such as `500`, `429`, `401`, `529`; `empty`; `garbage`
    (HTML with status 200); `words` (random nonsense in a correct reply); `truncated` (the stream ends in
    the middle, without a finish); `cut` (the connection breaks in the middle); `stall` (silence after the
    first half); `length` (finish_reason length); `filter` (content filter); `refused` (connection closed
    without a reply); `long` (about 124 KB); `slow` (drips a few letters at a time); `error_event` (an error
    inside the stream after half the text); `redirect` (307 to `redirect_to`); `no_stream` (404 for any
    stream); `plain` (answers a stream request with one JSON object).
    """

    says: Says = ""
    """A list gives one reply per call (the last repeats); a callable gets (prompt text, call from 1)."""
    latency_s: float = 0.0
    fault: str = ""
    retry_after: float | None = None
    faults_left: int | None = None
    """The fault applies only to the first so many calls; None means always."""
    usage: tuple[int, int] = (100, 50)
    gate: threading.Event | None = None
    """When given, no reply is sent before it is set: makes sure that calls are in flight together."""
    thinks: str = ""
    """Reasoning that is streamed before the text."""
    comments: int = 0
    """So many SSE comments, one every `drip_s`, before the first event."""
    drip_s: float = 0.05
    rejects: tuple[str, ...] = ()
    """Request parameters that are answered with 400, as a vendor would."""
    redirect_to: str = ""
    message: str = ""
    """Text of an error reply, in place of the usual one."""
    cost_usd: float | None = None
    """`usage.cost`, as OpenRouter sends it when asked to."""


@dataclass
class Call:
    """One request that reached the upstream."""

    expert: str
    wire: str
    prompt: str
    body: Json
    headers: dict[str, str]
    started: float
    finished: bool = False
    aborted: bool = False
    """True when the client went away before the reply was complete."""
    path: str = ""
    status: int = 0


@dataclass
class Reply:
    """What is going to be said to one call, before it takes the shape of a wire."""

    model: str
    text: str
    finish: Literal["stop", "length", "filter"] = "stop"
    usage: tuple[int, int] = (100, 50)
    thinks: str = ""
    cost_usd: float | None = None
    number: int = 1

    def pieces(self, size: int) -> list[str]:
        """The text in small parts, as a model streams it."""
        return [self.text[i : i + size] for i in range(0, len(self.text), size)]


# ------------------------------------------------------------------------------------------- the wires


class OpenAI:
    """Chat completions: https://platform.openai.com/docs/api-reference/chat."""

    name = "openai"
    finishes: ClassVar = {"stop": "stop", "length": "length", "filter": "content_filter"}

    @staticmethod
    def prompt(body: Json) -> str:
        return "\n\n".join(_text(m.get("content", "")) for m in body.get("messages", []))

    @staticmethod
    def usage(reply: Reply, body: Json) -> Json:
        prompt, completion = reply.usage
        usage: Json = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }
        if reply.cost_usd is not None and (body.get("usage") or {}).get("include"):
            usage["cost"] = reply.cost_usd
        return usage

    @classmethod
    def whole(cls, reply: Reply, body: Json) -> Json:
        message: Json = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
        if reply.thinks:
            message["reasoning_content"] = reply.thinks
        return {
            "id": f"chatcmpl-{reply.number}",
            "object": "chat.completion",
            "created": 1741569952,
            "model": reply.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": cls.finishes[reply.finish],
                }
            ],
            "usage": cls.usage(reply, body),
            "service_tier": "default",
        }

    @classmethod
    def stream(cls, reply: Reply, body: Json, size: int) -> Iterator[tuple[str, Any]]:
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))

        def chunk(choices: list[Json], usage: Json | None = None) -> tuple[str, Json]:
            data = {
                "id": f"chatcmpl-{reply.number}",
                "object": "chat.completion.chunk",
                "created": 1694268190,
                "model": reply.model,
                "system_fingerprint": "fp_44709d6fcb",
                "choices": choices,
            }
            return "", data | ({"usage": usage} if with_usage else {})

        def choice(delta: Json, finish: str | None = None) -> list[Json]:
            return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

        yield chunk(choice({"role": "assistant", "content": ""}))
        if reply.thinks:
            yield chunk(choice({"reasoning_content": reply.thinks}))
        for piece in reply.pieces(size):
            yield chunk(choice({"content": piece}))
        yield chunk(choice({}, cls.finishes[reply.finish]))
        if with_usage:
            yield chunk([], cls.usage(reply, body))
        yield "", "[DONE]"

    @staticmethod
    def error(status: int, message: str, param: str | None = None) -> Json:
        kinds = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
        code = "unsupported_parameter" if param else kinds.get(status)
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}

    @classmethod
    def error_event(cls) -> tuple[str, Json]:
        return "", cls.error(500, "The server had an error while processing your request.")


class Anthropic:
    """Messages: https://docs.anthropic.com/en/api/messages and /messages-streaming."""

    name = "anthropic"
    finishes: ClassVar = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}

    @staticmethod
    def prompt(body: Json) -> str:
        system = _text(body.get("system", ""))
        return "\n\n".join([system] * bool(system) + [_text(m["content"]) for m in body.get("messages", [])])

    @classmethod
    def whole(cls, reply: Reply, body: Json) -> Json:
        thoughts = [{"type": "thinking", "thinking": reply.thinks, "signature": "WaUj"}] if reply.thinks else []
        return {
            "id": f"msg_{reply.number}",
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": [*thoughts, {"type": "text", "text": reply.text}],
            "stop_reason": cls.finishes[reply.finish],
            "stop_sequence": None,
            "usage": {
                "input_tokens": reply.usage[0],
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": reply.usage[1],
            },
        }

    @classmethod
    def stream(cls, reply: Reply, body: Json, size: int) -> Iterator[tuple[str, Any]]:
        def event(kind: str, **data: Any) -> tuple[str, Json]:
            return kind, {"type": kind, **data}

        start = cls.whole(reply, body) | {"content": [], "stop_reason": None}
        start["usage"] = start["usage"] | {"output_tokens": 1}
        yield event("message_start", message=start)
        index = 0
        if reply.thinks:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            yield event("content_block_start", index=0, content_block=block)
            delta = {"type": "thinking_delta", "thinking": reply.thinks}
            yield event("content_block_delta", index=0, delta=delta)
            delta = {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl"}
            yield event("content_block_delta", index=0, delta=delta)
            yield event("content_block_stop", index=0)
            index = 1
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        yield event("ping")
        for piece in reply.pieces(size):
            yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        yield event("content_block_stop", index=index)
        delta = {"stop_reason": cls.finishes[reply.finish], "stop_sequence": None}  # type: ignore[dict-item]
        yield event("message_delta", delta=delta, usage={"output_tokens": reply.usage[1]})
        yield event("message_stop")

    @staticmethod
    def error(status: int, message: str, param: str | None = None) -> Json:
        kinds = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}

    @classmethod
    def error_event(cls) -> tuple[str, Json]:
        return "error", cls.error(529, "Overloaded")


class Gemini:
    """generateContent and streamGenerateContent: https://ai.google.dev/api/generate-content."""

    name = "gemini"
    finishes: ClassVar = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}

    @staticmethod
    def prompt(body: Json) -> str:
        contents = [body.get("systemInstruction") or {}, *body.get("contents", [])]
        texts = ["".join(p.get("text", "") for p in content.get("parts", [])) for content in contents]
        return "\n\n".join(text for text in texts if text)

    @classmethod
    def _chunk(cls, reply: Reply, parts: list[Json], finish: str = "", usage: bool = False) -> Json:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        prompt, completion = reply.usage
        counts = {"promptTokenCount": prompt, "totalTokenCount": prompt}
        if usage:
            counts = {
                "promptTokenCount": prompt,
                "candidatesTokenCount": completion,
                "totalTokenCount": prompt + completion,
            }
        return {
            "candidates": [candidate],
            "usageMetadata": counts,
            "modelVersion": reply.model,
            "responseId": f"r{reply.number}",
        }

    @classmethod
    def whole(cls, reply: Reply, body: Json) -> Json:
        thoughts: list[Json] = [{"text": reply.thinks, "thought": True}] if reply.thinks else []
        return cls._chunk(reply, [*thoughts, {"text": reply.text}], cls.finishes[reply.finish], usage=True)

    @classmethod
    def stream(cls, reply: Reply, body: Json, size: int) -> Iterator[tuple[str, Any]]:
        if reply.thinks:
            yield "", cls._chunk(reply, [{"text": reply.thinks, "thought": True}])
        for piece in reply.pieces(size):
            yield "", cls._chunk(reply, [{"text": piece}])
        yield "", cls._chunk(reply, [{"text": ""}], cls.finishes[reply.finish], usage=True)

    @staticmethod
    def error(status: int, message: str, param: str | None = None) -> Json:
        words = {
            400: "INVALID_ARGUMENT",
            401: "UNAUTHENTICATED",
            403: "PERMISSION_DENIED",
            404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED",
            503: "UNAVAILABLE",
        }
        return {"error": {"code": status, "message": message, "status": words.get(status, "INTERNAL")}}

    @classmethod
    def error_event(cls) -> tuple[str, Json]:
        return "", cls.error(503, "The model is overloaded. Please try again later.")


Wire = type[OpenAI] | type[Anthropic] | type[Gemini]
GEMINI_PATH = re.compile(r"/v1beta/models/(?P<model>[^:]+):(?P<verb>generateContent|streamGenerateContent)")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


# -------------------------------------------------------------------------------------- one connection


@dataclass
class Request:
    """One parsed HTTP request."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes

    def json(self) -> Json:
        """The body as a JSON object; an empty one if it is none."""
        try:
            value = json.loads(self.raw or b"{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


async def read_request(reader: asyncio.StreamReader, prefix: bytes) -> Request | None:
    """The next request of a connection, or None when the client has closed it."""
    try:
        head = prefix + await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if ":" in line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body)


class Out:
    """Writes HTTP/1.1 replies."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def head(self, status: int, headers: dict[str, str]) -> None:
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Overloaded"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def whole(self, status: int, body: str, kind: str, headers: dict[str, str] | None = None) -> None:
        data = body.encode()
        self.head(status, {"content-type": kind, "content-length": str(len(data)), **(headers or {})})
        self._writer.write(data)
        await self._writer.drain()

    async def chunk(self, text: str) -> None:
        data = text.encode()
        self._writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()


class HangUp(Exception):
    """The script wants the connection closed at this point."""


# ---------------------------------------------------------------------------------------- the upstream


class Upstream:
    """A scripted upstream on a free loopback port; a context manager.

    `calls` lists every request to a model in order of arrival. `wait_for_calls` and `wait_until` are for
    async tests; `wait_for_calls_sync` and `wait_until_sync` for the others. All raise `TimeoutError`.
    """

    def __init__(self, experts: dict[str, Expert], port: int = 0) -> None:
        self.experts = experts
        self.calls: list[Call] = []
        self.url = ""
        self._port = port
        self._changed = threading.Condition()
        self._counts: dict[str, int] = {}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the upstream did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def models_toml(self, wires: dict[str, str] | None = None) -> str:
        """`[models.X]` tables and `[[seats]]` for every expert; `wires` maps names to wires (`openai`)."""
        blocks = []
        for name in self.experts:
            wire = (wires or {}).get(name, "openai")
            base = f"{self.url}/v1" if wire == "openai" else self.url
            blocks.append(
                f"[models.{json.dumps(name)}]\nwire = {json.dumps(wire)}\nbase_url = {json.dumps(base)}\n"
                f"model = {json.dumps(name)}\nfamily = {json.dumps(name)}\n"
            )
        blocks.extend(f"[[seats]]\nname = {json.dumps(n)}\nmodel = {json.dumps(n)}\n" for n in self.experts)
        return "\n".join(blocks)

    def calls_to(self, expert: str) -> list[Call]:
        """The calls of one expert."""
        return [call for call in self.calls if call.expert == expert]

    def wait_until_sync(self, predicate: Callable[[], object], timeout_s: float = 10) -> None:
        """Block until the predicate is true."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not predicate():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not true after {timeout_s} s; calls so far: {self._summary()}")
                self._changed.wait(0.02)

    def wait_for_calls_sync(self, n: int, timeout_s: float = 10) -> list[Call]:
        """Block until `n` calls have arrived."""
        self.wait_until_sync(lambda: len(self.calls) >= n, timeout_s)
        return self.calls

    async def wait_until(self, predicate: Callable[[], object], timeout_s: float = 10) -> None:
        """Wait until the predicate is true, without blocking the event loop."""
        import anyio

        deadline = time.monotonic() + timeout_s
        while not predicate():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not true after {timeout_s} s; calls so far: {self._summary()}")
            await anyio.sleep(0.01)

    async def wait_for_calls(self, n: int, timeout_s: float = 10) -> list[Call]:
        """Wait until `n` calls have arrived, without blocking the event loop."""
        await self.wait_until(lambda: len(self.calls) >= n, timeout_s)
        return self.calls

    def _summary(self) -> list[tuple[str, bool, bool]]:
        return [(call.expert, call.finished, call.aborted) for call in self.calls]

    # ---------------------------------------------------------------------------------- its own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        prefix = b""
        try:
            while request := await read_request(reader, prefix):
                prefix = await self._answer_or_abort(request, reader, writer)
        except (HangUp, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if writer.can_write_eof() and not writer.transport.is_closing():
                writer.close()

    async def _answer_or_abort(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        """Answer one request while watching whether the client goes away; returns bytes read ahead."""
        call = self._call(request)
        answer = asyncio.ensure_future(self._answer(request, call, Out(writer)))
        watch = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
            gone = watch.done() and not answer.done() and (watch.exception() is not None or not watch.result())
            if gone:
                answer.cancel()
                with suppress(asyncio.CancelledError):
                    await answer
                self._mark(call, aborted=True)
                raise HangUp
            try:
                await answer
            except ConnectionError:
                self._mark(call, aborted=True)
                raise
            self._mark(call, finished=True)
            return watch.result() if watch.done() and watch.exception() is None else b""
        finally:
            answer.cancel()
            watch.cancel()
            await asyncio.gather(answer, watch, return_exceptions=True)

    def _mark(self, call: Call | None, finished: bool = False, aborted: bool = False) -> None:
        if call is not None:
            with self._changed:
                call.finished = call.finished or finished
                call.aborted = call.aborted or aborted
                self._changed.notify_all()

    def _call(self, request: Request) -> Call | None:
        wire, model = self._route(request)
        if wire is None or request.method != "POST":
            return None
        body = request.json()
        call = Call(model, wire.name, wire.prompt(body), body, request.headers, time.monotonic(), path=request.path)
        with self._changed:
            self.calls.append(call)
            self._counts[model] = self._counts.get(model, 0) + 1
            self._changed.notify_all()
        return call

    @staticmethod
    def _route(request: Request) -> tuple[Wire | None, str]:
        if request.path.endswith("/chat/completions"):
            return OpenAI, str(request.json().get("model", ""))
        if request.path == "/v1/messages":
            return Anthropic, str(request.json().get("model", ""))
        if match := GEMINI_PATH.fullmatch(request.path):
            return Gemini, match["model"]
        return None, ""

    async def _answer(self, request: Request, call: Call | None, out: Out) -> None:
        if request.method == "GET" and request.path == "/v1/models":
            rows = [{"id": m, "object": "model", "created": 1686935002, "owned_by": "test"} for m in self.experts]
            await out.whole(200, json.dumps({"object": "list", "data": rows}), "application/json")
            return
        wire, model = self._route(request)
        if call is None or wire is None:
            await out.whole(404, json.dumps({"error": {"message": "no such page"}}), "application/json")
            return
        expert = self.experts.get(model)
        if expert is None:
            error = wire.error(404, f"The model `{model}` does not exist or you do not have access to it.")
            await out.whole(404, json.dumps(error), "application/json")
            return
        number = self._counts[model]
        fault = expert.fault if expert.faults_left is None or number <= expert.faults_left else ""
        await self._wait(expert)
        if rejected := next((name for name in expert.rejects if name in _parameters(call.body)), None):
            message = f"Unsupported parameter: '{rejected}' is not supported with this model."
            body = wire.error(400, message, rejected)
            await out.whole(400, json.dumps(body), "application/json")
            return
        streamed = "stream" in request.path or call.body.get("stream") is True
        if fault == "no_stream" and streamed:
            await out.whole(404, json.dumps(wire.error(404, "Not found.")), "application/json")
        elif not await self._fault_in_place_of_reply(fault, expert, wire, out):
            reply = self._reply(expert, fault, call, number)
            if streamed and fault != "plain":
                await self._stream(wire, reply, expert, fault, call, out)
            else:
                await out.whole(200, json.dumps(wire.whole(reply, call.body)), "application/json")

    @staticmethod
    async def _wait(expert: Expert) -> None:
        if expert.latency_s:
            await asyncio.sleep(expert.latency_s)
        while expert.gate is not None and not expert.gate.is_set():  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(0.005)

    @staticmethod
    async def _fault_in_place_of_reply(fault: str, expert: Expert, wire: Wire, out: Out) -> bool:
        """Carry out a fault that replaces the whole reply; False when there is none."""
        if fault == "hang":
            await asyncio.Event().wait()
        elif fault == "refused":
            raise HangUp
        elif fault == "garbage":
            await out.whole(200, HTML, "text/html; charset=utf-8")
        elif fault == "redirect":
            await out.whole(307, "", "text/plain", {"location": expert.redirect_to})
        elif fault.isdigit():
            status = int(fault)
            headers = {} if expert.retry_after is None else {"retry-after": f"{expert.retry_after:g}"}
            body = wire.error(status, expert.message or f"Scripted error {status}.")
            await out.whole(status, json.dumps(body), "application/json", headers)
        else:
            return False
        return True

    @staticmethod
    def _reply(expert: Expert, fault: str, call: Call, number: int) -> Reply:
        if callable(expert.says):
            text = expert.says(call.prompt, number)
        elif isinstance(expert.says, list):
            text = expert.says[min(number, len(expert.says)) - 1] if expert.says else ""
        else:
            text = expert.says
        if fault == "empty":
            text = ""
        elif fault == "words":
            dice = random.Random(number)
            text = " ".join(dice.choice(WORDS) for _ in range(60))
        elif fault == "long":
            text = (text + "\n" if text else "") + "All work and no play makes a long answer. " * (LONG_CHARS // 42 + 1)
            text = text[:LONG_CHARS]
        finish: Literal["stop", "length", "filter"] = "stop"
        if fault == "length" or fault == "filter":
            finish = fault  # type: ignore[assignment]
            text = text[: len(text) // 2]
        thinks = expert.thinks if fault != "empty" else ""
        return Reply(call.expert, text, finish, expert.usage, thinks, expert.cost_usd, number)

    async def _stream(self, wire: Wire, reply: Reply, expert: Expert, fault: str, call: Call, out: Out) -> None:
        out.head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})
        for _ in range(expert.comments):
            await out.chunk(": KEEP-ALIVE\n\n")
            await asyncio.sleep(expert.drip_s)
        size = 4 if fault == "slow" else max(12, len(reply.text) // 40)
        events = list(wire.stream(reply, call.body, size))
        middle = len(events) // 2
        async for number, (kind, data) in _numbered(events):
            if number == middle:
                await self._fault_in_the_middle(fault, wire, out)
                if fault in ("truncated", "error_event"):
                    break
            await out.chunk(_event(kind, data))
            if fault == "slow":
                await asyncio.sleep(expert.drip_s)
        await out.end()

    @staticmethod
    async def _fault_in_the_middle(fault: str, wire: Wire, out: Out) -> None:
        if fault == "cut":
            raise HangUp
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "error_event":
            await out.chunk(_event(*wire.error_event()))


async def _numbered(events: list[tuple[str, Any]]) -> AsyncIterator[tuple[int, tuple[str, Any]]]:
    for pair in enumerate(events):
        yield pair
        await asyncio.sleep(0)


def _event(kind: str, data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {kind}\n" if kind else "") + f"data: {text}\n\n"


def _parameters(body: Json) -> set[str]:
    """Names of everything that the request asked for, nested ones too."""
    names = set(body)
    for value in body.values():
        if isinstance(value, dict):
            names |= set(value)
    return names


@dataclass
class _Script:
    """What the command line reads."""

    experts: dict[str, Expert] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> _Script:
        known = {f.name for f in fields(Expert)} - {"gate"}
        experts = {}
        for name, row in json.loads(file.read_text("utf-8")).items():
            if unknown := set(row) - known:
                raise SystemExit(f"{file}: {name}: unknown {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}")
            row = {k: tuple(v) if k in ("usage", "rejects") else v for k, v in row.items()}
            experts[name] = Expert(**row)
        return cls(experts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Scripted experts behind the three wires, on loopback.")
    parser.add_argument("--script", type=Path, required=True, help="JSON object: expert name to its fields")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    given = parser.parse_args()
    with Upstream(_Script.load(given.script).experts, given.port) as upstream:
        print(upstream.url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    sys.exit(0)


if __name__ == "__main__":
    main()
