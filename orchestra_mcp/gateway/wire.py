"""The one POST to a model, and what the three dialects have in common.

A dialect (`openai.py`, `anthropic.py`, `gemini.py`) is pure: it says where to post, what to post and how to read
what comes back. `HttpWire` does the rest: it sends, keeps the clocks, reads a stream or a plain JSON reply, and
turns everything that can go wrong into `errors.py`. Three clocks: `first_token_s` until the first sign of life,
`idle_s` between signs of life (an SSE comment is one); the total is the caller's.

Nothing here logs; a key leaves only in a header of a request to the configured address, never to a redirect.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from orchestra_mcp.errors import BadReply, ProviderError, Refused, Unavailable
from orchestra_mcp.gateway import failures
from orchestra_mcp.gateway.decoding import Careful, Decoder, Scrubber
from orchestra_mcp.gateway.failures import Source
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Finish, TextDelta
from orchestra_mcp.gateway.sse import MAX_EVENT_BYTES, SseParser
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import JsonObject

if TYPE_CHECKING:
    import httpx2

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
"""Hosts that are reached without any proxy."""
ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Compressions that are read. A few bytes of others, or of several on top of each other, can become gigabytes."""
MAX_LEFT_OUT = 4
"""Parameters that are left out of one request, when a server rejects one after the other."""
STREAM = "stream"
"""Pseudo-parameter: a server that cannot stream is asked without."""


@dataclass(frozen=True)
class Dialect:
    """One way of speaking to models over HTTP."""

    name: str
    url: Callable[[ModelSpec, frozenset[str]], str]
    """Where to post, given the parameters that the server does not know."""
    auth: Callable[[str], dict[str, str]]
    """Headers that carry the key."""
    to_wire: Callable[[ChatRequest, ModelSpec, frozenset[str]], JsonObject]
    """The body, without the parameters that the server does not know."""
    decoder: Callable[[Source], Decoder]
    optional: frozenset[str]
    """Parameters that may be left out when a server rejects them."""
    stream_is_a_verb: bool = False
    """True when streaming has an address of its own, which a server may lack (404)."""


def host_of(spec: ModelSpec) -> str:
    """Host of the model's address, in lower case; empty when there is none."""
    return (urlsplit(spec.base_url).hostname or "").lower()


def provider_of(spec: ModelSpec) -> str:
    """Who receives the text: what the settings say, else `local`, the CLI's name, or the address's host.

    `local` is only what is on this machine, whatever the settings call it.
    """
    if spec.provider and (spec.local or spec.provider.strip().lower() != "local"):
        return spec.provider
    if spec.wire == "agent":
        return spec.model
    return "local" if spec.local else host_of(spec)


class HttpWire:
    """A `Provider` that speaks one dialect to one model."""

    def __init__(self, dialect: Dialect, spec: ModelSpec, keys: Keys, limits: Limits, http: httpx2.AsyncClient) -> None:
        self._dialect = dialect
        self._spec = spec
        self._keys = keys
        self._limits = limits
        self._http = http
        self._source = Source(f"{spec.model} at {provider_of(spec)}", spec.key_env, self._secrets())
        self._without: frozenset[str] = frozenset()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        headers = self._headers()
        without = self._without
        scrubber = Scrubber(self._source.secrets)
        while True:
            body = self._dialect.to_wire(request, self._spec, without)
            visible = False
            try:
                async with aclosing(self._once(body, without, headers)) as events:
                    async for event in events:
                        # Remembered only now: before it answers, the server has not shown that this helps.
                        self._without = without
                        visible = visible or (isinstance(event, TextDelta) and not event.text.isspace())
                        if isinstance(event, Finish):
                            self._check(event, visible, request)
                        for clean in scrubber.feed(event):
                            yield clean
                return
            except _Unsupported as problem:
                if len(without) >= MAX_LEFT_OUT:
                    raise problem.error from None
                without |= {problem.parameter}

    def _headers(self) -> dict[str, str]:
        """All headers of the request.

        Raises:
            Refused: a variable that a header needs is not set, or its value cannot be sent.
        """
        extra = {name: self._value(value) for name, value in self._spec.headers.items()}
        own = {name.lower() for name in extra}
        key = self._value(f"${self._spec.key_env}") if self._spec.key_env else ""
        auth = self._dialect.auth(key) if key else {}
        headers = {"accept": "text/event-stream, application/json", "content-type": "application/json"}
        headers |= {name: value for name, value in auth.items() if name.lower() not in own}
        return headers | extra

    def _value(self, value: str) -> str:
        if not value.startswith("$"):
            return value
        name = value[1:]
        found = self._keys.get(name).strip()
        if not found:
            raise Refused(f"{self._source.who} needs a key: set {name} in the environment.", "auth")
        if not (found.isascii() and found.isprintable()):
            raise Refused(f"{name} holds characters that no key has; set it again.", "auth")
        return found

    def _secrets(self) -> tuple[str, ...]:
        names = [self._spec.key_env, *(v[1:] for v in self._spec.headers.values() if v.startswith("$"))]
        literal = [v for v in self._spec.headers.values() if not v.startswith("$") and len(v) >= 8]
        literal += [password] if (password := urlsplit(self._spec.base_url).password) else []
        return (*(value for name in names if (value := self._keys.get(name).strip())), *literal)

    def _check(self, finish: Finish, visible: bool, request: ChatRequest) -> None:
        who = self._source.who
        if finish.reason == "filter":
            raise self._source.declined()
        if not visible and finish.reason == "length":
            why = f"spent all {request.max_tokens:,} tokens without a visible word"
            raise BadReply(f"{who} {why}; allow more tokens or less thinking.", "empty")
        if not visible:
            raise BadReply(f"{who} sent an empty reply.", "empty")

    async def _once(
        self, body: JsonObject, without: frozenset[str], headers: Mapping[str, str]
    ) -> AsyncGenerator[ChatEvent, None]:
        """One request and its reply; the `Finish` comes after the connection has been given back."""
        import httpx2

        if self._spec.local and host_of(self._spec) not in LOOPBACK_HOSTS:
            # Others of 127.0.0.0/8 would be asked through the environment's proxy, if there is one.
            raise Refused(
                f"{self._source.who}: base_url must say 127.0.0.1, localhost or [::1] for this machine.", "request"
            )
        url = self._dialect.url(self._spec, without)
        # Lone surrogates, as in file names that are no UTF-8, must not keep a question from being asked.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        decoder = Careful(self._dialect.decoder(self._source), self._source)
        patience = Patience(self._limits, self._source.who)
        try:
            request = self._http.build_request("POST", url, content=content, headers=dict(headers))
            with patience.clock():
                response = await self._http.send(request, stream=True)
            try:
                if response.headers.get("content-encoding", "identity").strip().lower() not in ENCODINGS:
                    raise self._source.garbage("something in an unusual compression")
                if response.status_code != 200:
                    raise await self._failure(response, patience, body, without)
                async with aclosing(self._read(response, decoder, patience)) as events:
                    async for event in events:
                        yield event
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                    await response.aclose()
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.DecodingError) as error:
            raise self._network(error) from None
        finish = decoder.finish()
        if finish is None:
            raise BadReply(f"{self._source.who} stopped in the middle of its reply.", "truncated")
        yield finish

    def _network(self, error: Exception) -> ProviderError:
        import httpx2

        who = self._source.who
        if isinstance(error, httpx2.TimeoutException):
            return Unavailable(f"{who} could not be reached in time.", "timeout")
        if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return Refused(f"{who}: base_url is no valid address.", "request")
        if isinstance(error, httpx2.ConnectError):
            return Unavailable(f"{who} cannot be reached (no connection).", "network")
        return Unavailable(f"{who} broke the connection ({type(error).__name__}).", "network")

    async def _failure(
        self, response: httpx2.Response, patience: Patience, body: JsonObject, without: frozenset[str]
    ) -> ProviderError | _Unsupported:
        text = (await self._whole(response, patience)).decode("utf-8", "replace")
        error = self._source.from_status(response.status_code, response.headers, text)
        if response.status_code == 404 and self._dialect.stream_is_a_verb and STREAM not in without:
            return _Unsupported(STREAM, error)
        sent = _names(body) & self._dialect.optional - without
        name = failures.unsupported(response.status_code, text, sent)
        return _Unsupported(name, error) if name else error

    async def _read(
        self, response: httpx2.Response, decoder: Decoder, patience: Patience
    ) -> AsyncGenerator[ChatEvent, None]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            async with aclosing(self._stream(response, decoder, patience)) as events:
                async for event in events:
                    yield event
            return
        data = await self._whole(response, patience)
        body = failures.parse(data.decode("utf-8", "replace"))
        parser = SseParser()
        if isinstance(body, dict):
            for event in decoder.whole(body):
                yield event
        elif data.lstrip().startswith((b"data:", b"event:", b":")):  # a stream under a wrong name
            for server_event in (*parser.feed(data), *parser.end()):
                for event in decoder.feed(server_event):
                    yield event
        else:
            raise self._source.garbage(kind or "something unknown")

    async def _stream(
        self, response: httpx2.Response, decoder: Decoder, patience: Patience
    ) -> AsyncGenerator[ChatEvent, None]:
        parser = SseParser()
        seen = False
        async with aclosing(_pieces(response, patience)) as pieces:
            async for data in pieces:
                for server_event in parser.feed(data):
                    seen = True
                    for event in decoder.feed(server_event):
                        yield event
                if decoder.complete:
                    # What trails behind the last event is read, so that the connection can be used again.
                    with anyio.move_on_after(0.5):
                        async for _ in pieces:
                            pass
                    return
        for server_event in parser.end():
            seen = True
            for event in decoder.feed(server_event):
                yield event
        if not seen:
            raise BadReply(f"{self._source.who} opened a stream and sent nothing.", "empty")

    async def _whole(self, response: httpx2.Response, patience: Patience) -> bytes:
        data = bytearray()
        async with aclosing(_pieces(response, patience)) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > MAX_EVENT_BYTES:
                    raise BadReply(f"{self._source.who} sent more than 8 MB.", "too_long")
        return bytes(data)


async def _pieces(response: httpx2.Response, patience: Patience) -> AsyncGenerator[bytes, None]:
    """The body as it comes; raises when the line is silent for too long."""
    async with aclosing(response.aiter_bytes()) as chunks:
        while True:
            try:
                with patience.clock():
                    data = await anext(chunks)
            except StopAsyncIteration:
                return
            patience.heard()
            yield data


class Patience:
    """How long silence is borne: `first_token_s` in all until the first sign of life, then `idle_s` each time."""

    def __init__(self, limits: Limits, who: str) -> None:
        self._limits = limits
        self._deadline = anyio.current_time() + limits.first_token_s
        self._message = f"{who} gave no sign of life for {limits.first_token_s:g} s."
        self._who = who

    def heard(self) -> None:
        """The model gave a sign of life."""
        self._deadline = anyio.current_time() + self._limits.idle_s
        self._message = f"{self._who} fell silent in mid-answer for {self._limits.idle_s:g} s."

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Bounds one wait.

        Raises:
            Unavailable: the time is up (`timeout`).
        """
        scope = anyio.CancelScope(deadline=self._deadline)
        with scope:
            yield
        if scope.cancelled_caught:
            raise Unavailable(self._message, "timeout")


class _Unsupported(Exception):
    """The server rejects one parameter; `error` is what to raise when nothing helps."""

    def __init__(self, parameter: str, error: ProviderError) -> None:
        super().__init__(parameter)
        self.parameter = parameter
        self.error = error


def _names(body: JsonObject) -> frozenset[str]:
    """Names of all parameters in a body, one level of nesting included."""
    inner = (name for value in body.values() if isinstance(value, dict) for name in value)
    return frozenset((*body, *inner))
