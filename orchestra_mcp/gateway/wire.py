"""One model behind one key, over HTTP: a dialect says what to post and how to read what comes back, this does the rest.

It sends, keeps the clocks, reads a stream or a plain JSON reply, and turns everything that can go wrong into
`errors.py`. Three clocks: `first_token_s` until the first sign of life, `idle_s` between signs of life (an SSE comment
is one); the total is the caller's.

Nothing here logs; a key leaves only in a header of a request to the configured address, never to a redirect.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from orchestra_mcp.errors import BadReply, ProviderError, Refused, Unavailable
from orchestra_mcp.gateway.dialects import failures
from orchestra_mcp.gateway.dialects.decoding import Careful, Scrubber
from orchestra_mcp.gateway.dialects.dialect import STREAM, Decoder, Dialect, Vectors
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import MAX_EVENT_BYTES, SseParser
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    EmbedRequest,
    Finish,
    Receipt,
    Spent,
    TextDelta,
    ToolDelta,
)
from orchestra_mcp.gateway.signing import Signer
from orchestra_mcp.gateway.transports.transport import (
    LOOPBACK_HOSTS,
    Patience,
    Response,
    Transport,
    TransportError,
)
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import JsonObject

MAX_LEFT_OUT = 4
"""Parameters that are left out of one request, when a server rejects one after the other."""
TRAILING_S = 0.5
"""What follows the last event is read for so long, so that the connection can be used again."""
JSON_TYPE = "application/json"
AT_ONCE = 500_000
"""Bytes of vectors that are read without a thread."""
MOST = "most output "
"""Stands, with a number behind it, among what a server does not take: so many tokens of output are its most."""


class HttpWire:
    """A `Provider` that speaks one dialect to one model with one key.

    Args:
        dialect: how to speak.
        spec: to whom.
        key_env: the variable that holds the key, or empty.
        signer: shows the key.
        without: parameters that the server does not know; shared by all keys of the model, added to when it complains.
    """

    def __init__(
        self,
        dialect: Dialect,
        spec: ModelSpec,
        quirks: Quirks,
        keys: Keys,
        limits: Limits,
        transport: Transport,
        *,
        key_env: str,
        signer: Signer,
        without: set[str],
    ) -> None:
        self._dialect = dialect
        self._spec = spec
        self._quirks = quirks
        self._keys = keys
        self._patience = Patience(limits.first_token_s, limits.idle_s)
        self._transport = transport
        self._key_env = key_env
        self._signer = signer
        self._without = without
        self._who = f"{spec.model} at {spec.recipient}"
        self._known: tuple[tuple[str, ...], Source] | None = None

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        source = self._source()
        without = frozenset(self._without)
        scrubber = Scrubber(source.secrets)
        told = False
        while True:
            request = _within(request, without)
            body = self._dialect.to_wire(request, self._spec, self._quirks, without)
            url = self._dialect.url(request, self._spec, self._quirks, without)
            visible = begun = False
            try:
                async with aclosing(self._once(request, url, body, without, source)) as events:
                    async for event in events:
                        # Remembered only now: before it answers, the server has not shown that this helps.
                        if not begun:
                            begun = True
                            self._without |= without
                            scrubber.learn(self._source().secrets)
                        visible = (
                            visible
                            or (isinstance(event, TextDelta) and not event.text.isspace())
                            or isinstance(event, ToolDelta)
                        )
                        if isinstance(event, Finish):
                            yield Spent(usage=event.usage)  # a reply that is of no use was paid for all the same
                            self._check(event, visible, request, source)
                        for clean in scrubber.feed(event):
                            yield clean
                return
            except _Unsupported as problem:
                if len(without) >= MAX_LEFT_OUT:
                    raise problem.error from None
                without |= {problem.parameter}
            except _TooMuch as problem:
                if told:  # its own number is refused too
                    raise problem.error from None
                told = True
                without = frozenset(each for each in without if not each.startswith(MOST)) | {f"{MOST}{problem.most}"}

    async def embed(self, request: EmbedRequest) -> Vectors:
        """The vectors of some texts.

        Raises:
            Refused: the vendor has no embeddings here, or did not accept the request.
            ProviderError: as `chat`.
        """
        source = self._source()
        way = self._dialect.embeddings
        if way is None:
            raise Refused(f"{self._who}: embeddings are not offered over the wire {self._dialect.name!r}.", "request")
        url, body = way.url(self._spec, self._quirks), way.to_wire(request, self._spec, self._quirks)
        response = await self._send(url, body, request.receipt, self._patience)
        try:
            data = await self._whole(response)
            if response.status != 200:
                raise source.from_status(response.status, response.headers, data.decode("utf-8", "replace"))
        except TransportError as error:
            raise self._network(error) from None
        finally:
            await response.aclose()
        if len(data) < AT_ONCE:
            vectors = self._vectors(data, source)
        else:  # a million numbers take a while to read
            vectors = await anyio.to_thread.run_sync(self._vectors, data, source)
        if len(vectors.vectors) != len(request.texts):
            raise source.garbage(f"{len(vectors.vectors)} vectors for {len(request.texts)} texts")
        return vectors

    # -------------------------------------------------------------------------------------------------- inside

    def _vectors(self, data: bytes, source: Source) -> Vectors:
        way = self._dialect.embeddings
        found = failures.parse(data.decode("utf-8", "replace"))
        if way is None or not isinstance(found, dict):
            raise source.garbage("something else than JSON")
        try:
            return way.from_wire(found, source)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
            raise source.garbage("JSON of an unknown shape") from None

    def _source(self) -> Source:
        shown = self._signer.secrets
        if self._known is None or self._known[0] != shown:  # tokens that are fetched change
            self._known = (shown, self._source_with(shown))
        return self._known[1]

    def _source_with(self, shown: tuple[str, ...]) -> Source:
        literal = [v for v in self._spec.headers.values() if not v.startswith("$") and len(v) >= 8]
        literal += [password] if (password := urlsplit(self._spec.base_url).password) else []
        named = [self._keys.get(v[1:]).strip() for v in self._spec.headers.values() if v.startswith("$")]
        return Source(self._who, self._key_env, (*shown, *(value for value in named if value), *literal))

    def _check(self, finish: Finish, visible: bool, request: ChatRequest, source: Source) -> None:
        if request.as_is and finish.reason in ("filter", "length"):
            return
        if finish.reason == "filter":
            raise source.declined()
        if not visible and finish.reason == "length":
            limit = f"all {request.max_tokens:,} tokens" if request.max_tokens else "all its tokens"
            raise BadReply(
                f"{self._who} spent {limit} without a visible word; allow more tokens or less thinking.", "empty"
            )
        if not visible:
            raise BadReply(f"{self._who} sent an empty reply.", "empty")

    async def _headers(self, url: str, content: bytes, council: bool) -> dict[str, str]:
        if self._key_env:
            self._value(f"${self._key_env}")
        extra = {name.lower(): self._value(value) for name, value in self._spec.headers.items()}
        headers = {
            "accept": f"{self._dialect.stream_type}, {JSON_TYPE}",
            "accept-encoding": "identity",
            "content-type": JSON_TYPE,
            "user-agent": "orchestra-council",
            **self._dialect.headers,
            **extra,
        }
        if council and self._spec.host in LOOPBACK_HOSTS:  # it may be an Orchestra: a council must not ask itself
            headers["x-orchestra-depth"] = "1"
        shown = await self._signer.headers("POST", url, headers, content)
        return {**{name.lower(): value for name, value in shown.items()}, **headers}

    def _value(self, value: str) -> str:
        if not value.startswith("$"):
            return value
        found = self._keys.get(value[1:]).strip()
        if not found:
            raise Refused(f"{self._who} needs a key: set {value[1:]} in the environment.", "auth")
        if not (found.isascii() and found.isprintable()):
            raise Refused(f"{value[1:]} holds characters that no key has; set it again.", "auth")
        return found

    async def _send(
        self, url: str, body: JsonObject, receipt: Receipt, patience: Patience, council: bool = False
    ) -> Response:
        if self._spec.local and self._spec.host not in LOOPBACK_HOSTS:
            # Others of 127.0.0.0/8 would be asked through the environment's proxy, if there is one.
            raise Refused(f"{self._who}: base_url must say 127.0.0.1, localhost or [::1] for this machine.", "request")
        # Lone surrogates, as in file names that are no UTF-8, must not keep a question from being asked.
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        headers = await self._headers(url, content, council)
        began = time.perf_counter()
        try:
            return await self._transport.open("POST", url, headers, content, patience)
        except TransportError as error:
            raise self._network(error) from None
        finally:
            receipt.upstream_s += time.perf_counter() - began

    async def _once(
        self, request: ChatRequest, url: str, body: JsonObject, without: frozenset[str], source: Source
    ) -> AsyncGenerator[ChatEvent, None]:
        """One request and its reply; the `Finish` comes after the connection has been given back."""
        decoder = Careful(self._dialect.decoder(source), source)
        # Of a plain reply nothing is seen before it is whole, however quickly the model speaks: only the total counts.
        total = request.way.total_s if request.way else self._patience.first
        patience = self._patience if request.stream else Patience(max(total, self._patience.first), self._patience.idle)
        response = await self._send(url, body, request.receipt, patience, council=bool(request.run))
        try:
            if response.status != 200:
                raise await self._failure(response, body, without, source)
            async with aclosing(self._read(response, decoder, source, request.receipt)) as events:
                async for event in events:
                    yield event
        except TransportError as error:
            raise self._network(error) from None
        finally:
            await response.aclose()
        finish = decoder.finish()
        if finish is None:
            raise BadReply(f"{self._who} stopped in the middle of its reply.", "truncated")
        yield finish

    def _network(self, error: TransportError) -> ProviderError:
        who = self._who
        match error.kind:
            case "timeout":
                return Unavailable(f"{who} could not be reached in time.", "timeout")
            case "silent":
                return Unavailable(f"{who} gave no sign of life for {self._patience.first:g} s.", "timeout")
            case "stalled":
                return Unavailable(f"{who} fell silent in mid-answer for {self._patience.idle:g} s.", "timeout")
            case "address":
                return Refused(f"{who}: base_url is no valid address.", "request")
            case "connect":
                return Unavailable(f"{who} cannot be reached (no connection).", "network")
            case "encoding":
                return BadReply(f"{who} sent something in an unusual or broken compression.", "garbage")
            case _:
                return Unavailable(f"{who} broke the connection ({error}).", "network")

    async def _failure(
        self, response: Response, body: JsonObject, without: frozenset[str], source: Source
    ) -> ProviderError | _Unsupported | _TooMuch:
        text = (await self._whole(response)).decode("utf-8", "replace")
        error = source.from_status(response.status, response.headers, text)
        if response.status == 404 and self._dialect.stream_is_a_verb and STREAM not in without:
            return _Unsupported(STREAM, error)
        if (limit := failures.limit_of(body)) and (most := failures.output_limit(response.status, text, limit)):
            return _TooMuch(most, error)
        sent = _names(body) & self._dialect.optional - without
        name = failures.unsupported(response.status, text, sent)
        return _Unsupported(name, error) if name else error

    async def _read(
        self, response: Response, decoder: Decoder, source: Source, receipt: Receipt
    ) -> AsyncGenerator[ChatEvent, None]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == self._dialect.stream_type:
            async with aclosing(self._stream(response, decoder, receipt)) as events:
                async for event in events:
                    yield event
            return
        began = time.perf_counter()
        data = await self._whole(response)
        receipt.upstream_s += time.perf_counter() - began
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
            raise source.garbage(kind or "something unknown")

    async def _stream(self, response: Response, decoder: Decoder, receipt: Receipt) -> AsyncGenerator[ChatEvent, None]:
        parser = self._dialect.framing()
        seen = False
        began = time.perf_counter()
        async with aclosing(response.pieces()) as pieces:
            async for data in pieces:
                receipt.upstream_s += time.perf_counter() - began
                for server_event in parser.feed(data):
                    seen = True
                    for event in decoder.feed(server_event):
                        yield event
                if decoder.complete:
                    await self._drain(pieces)
                    return
                began = time.perf_counter()
        for server_event in parser.end():
            seen = True
            for event in decoder.feed(server_event):
                yield event
        if not seen:
            raise BadReply(f"{self._who} opened a stream and sent nothing.", "empty")

    @staticmethod
    async def _drain(pieces: AsyncGenerator[bytes, None]) -> None:
        with anyio.move_on_after(TRAILING_S):
            try:
                async for _ in pieces:
                    pass
            except TransportError:  # the reply is complete, whatever becomes of the connection
                pass

    async def _whole(self, response: Response) -> bytes:
        data = bytearray()
        async with aclosing(response.pieces()) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > MAX_EVENT_BYTES:
                    raise BadReply(f"{self._who} sent more than 8 MB.", "too_long")
        return bytes(data)


class _Unsupported(Exception):
    """The server rejects one parameter; `error` is what to raise when nothing helps."""

    def __init__(self, parameter: str, error: ProviderError) -> None:
        super().__init__(parameter)
        self.parameter = parameter
        self.error = error


class _TooMuch(Exception):
    """The server says so many tokens at most; `error` is what to raise when that does not help either."""

    def __init__(self, most: int, error: ProviderError) -> None:
        super().__init__(most)
        self.most = most
        self.error = error


def _within(request: ChatRequest, without: frozenset[str]) -> ChatRequest:
    """The request with no higher limit than the server has shown to take."""
    if not without:
        return request
    most = min((int(each[len(MOST) :]) for each in without if each.startswith(MOST)), default=0)
    if not most or (request.max_tokens is not None and request.max_tokens <= most):
        return request
    return request.model_copy(update={"max_tokens": most})


def _names(body: Mapping[str, object]) -> frozenset[str]:
    """Names of all parameters in a body, one level of nesting included."""
    inner = (name for value in body.values() if isinstance(value, dict) for name in value)
    return frozenset(body) | frozenset(inner)
