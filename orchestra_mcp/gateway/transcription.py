"""Speech to text: a recording is passed on to a vendor's `/audio/transcriptions`, and its reply is passed back.

Reference: https://platform.openai.com/docs/api-reference/audio/createTranscription; other vendors copy it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio

from orchestra_mcp.errors import BadReply, OrchestraError, ProviderError, Refused, Unavailable
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.provider import Caller, CallObserver, Receipt
from orchestra_mcp.gateway.signing import Signer
from orchestra_mcp.gateway.steady.failover import FINAL, summed
from orchestra_mcp.gateway.transports.transport import Patience, Transport, TransportError
from orchestra_mcp.gateway.vendors.plugins import signer_of
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import CallRecord, Usage

MAX_REPLY = 16_000_000
WIRES = ("openai", "responses")
"""Dialects of vendors whose address may have `/audio/transcriptions` beneath it."""
UNFIT = re.compile(r'[\x00-\x1f\x7f"\\]')
TEXTUAL = ("application/json", "text/")
"""Content types that a transcript may have; all others count as plain text."""


@dataclass(slots=True)
class TranscriptionRequest:
    """A recording, and how its words are wanted."""

    model: str
    audio: bytes = field(repr=False)
    filename: str = "audio"
    """Vendors go by its ending."""
    media_type: str = "application/octet-stream"
    fields: tuple[tuple[str, str], ...] = ()
    """Further fields of the form: `language`, `prompt`, `response_format`, …"""
    caller: Caller = field(default_factory=Caller)
    receipt: Receipt = field(default_factory=Receipt, repr=False)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said, in the form that was asked for."""

    body: bytes
    media_type: str


Targets = Callable[[str, Caller], Awaitable[Sequence[tuple[str, ModelSpec]]]]
"""The models that a name leads to, the first to be asked first."""


class Transcribing:
    """Transcribes with whatever a name leads to; the next model is asked when one fails.

    Prices of speech are by the minute and not in the price table, so that calls are recorded as unpriced and no budget
    holds them back.

    Args:
        targets: finds the models; may raise `NotFound`.
        on_call: told of every attempt.
    """

    def __init__(
        self, targets: Targets, keys: Keys, limits: Limits, transport: Transport, *, on_call: CallObserver
    ) -> None:
        self._targets = targets
        self._keys = keys
        self._limits = limits
        self._transport = transport
        self._on_call = on_call

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        """The words of a recording.

        Raises:
            NotFound: no such model.
            ProviderError: no model gave them.
        """
        problems: list[tuple[str, OrchestraError]] = []
        found = await self._targets(request.model, request.caller)
        for name, spec in found:
            if spec.wire not in WIRES:
                continue
            try:
                return await self._ask(name, spec, request)
            except ProviderError as error:
                if error.kind in FINAL:
                    raise
                problems.append((name, error))
        if not problems:
            raise Refused(f"{request.model!r} leads to no model of a vendor who transcribes speech.", "model")
        raise summed(problems, 0)

    async def _ask(self, name: str, spec: ModelSpec, request: TranscriptionRequest) -> Transcript:
        key = next((each for each in (spec.key_env, *spec.more_keys) if self._keys.get(each)), spec.key_env)
        sign = signer_of(spec.auth or "bearer")(spec, self._keys.get(key).strip(), self._keys, self._transport)
        began, error = time.perf_counter(), "cancelled"
        request.receipt.model = name
        try:
            model = HttpTranscriber(spec, self._limits, self._transport, key_env=key, signer=sign)
            words = await model.transcribe(request)
            error = ""
            return words
        except ProviderError as problem:
            error = problem.kind
            raise
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException:
            error = "server"
            raise
        finally:
            caller = request.caller
            request.receipt.upstream_s += (seconds := time.perf_counter() - began)
            self._on_call(
                CallRecord(
                    run="",
                    purpose="transcription",
                    model=name,
                    model_id=spec.model,
                    provider=spec.recipient,
                    usage=Usage(calls=1, unpriced=1),
                    seconds=round(seconds, 3),
                    attempt=request.receipt.attempts,
                    error=error,
                    key=caller.key,
                    workspace=caller.workspace,
                    tier=caller.tier,
                )
            )


class HttpTranscriber:
    """Transcribes with one model behind one key.

    Args:
        spec: the model; `base_url` is what precedes `/audio/transcriptions`.
        signer: shows the key.
    """

    def __init__(self, spec: ModelSpec, limits: Limits, transport: Transport, *, key_env: str, signer: Signer) -> None:
        self._spec = spec
        self._transport = transport
        self._signer = signer
        self._patience = Patience(limits.first_token_s, limits.idle_s)
        self._source = Source(f"{spec.model} at {spec.recipient}", key_env, signer.secrets)

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        """The words of a recording.

        Raises:
            ProviderError: the vendor did not give them.
        """
        url = f"{self._spec.base_url.rstrip('/')}/audio/transcriptions"
        rows = (("model", self._spec.model), *request.fields)
        kind, content = form(rows, request.filename, request.media_type, request.audio)
        headers = {"content-type": kind, "accept-encoding": "identity", "user-agent": "orchestra-council"}
        shown = await self._signer.headers("POST", url, headers, content)
        request.receipt.attempts += 1
        request.receipt.provider = self._spec.recipient
        request.receipt.model_id = self._spec.model
        request.receipt.unpriced = True
        try:
            response = await self._transport.open("POST", url, {**shown, **headers}, content, self._patience)
            try:
                data = bytearray()
                async with aclosing(response.pieces()) as pieces:
                    async for piece in pieces:
                        data += piece
                        if len(data) > MAX_REPLY:
                            raise BadReply(f"{self._source.who} sent more than 16 MB.", "too_long")
            finally:
                await response.aclose()
        except TransportError as error:
            raise self._network(error) from None
        if response.status != 200:
            text = bytes(data[:100_000]).decode("utf-8", "replace")
            raise self._source.from_status(response.status, response.headers, text)
        media_type = response.headers.get("content-type", "")
        if not media_type.lower().startswith(TEXTUAL) or "html" in media_type.lower():
            raise self._source.garbage("something else than a transcript")
        return Transcript(bytes(data), media_type)

    def _network(self, error: TransportError) -> ProviderError:
        who = self._source.who
        if error.kind in ("timeout", "silent", "stalled"):
            return Unavailable(f"{who} gave no sign of life in time.", "timeout")
        if error.kind == "address":
            return Refused(f"{who}: base_url is no valid address.", "request")
        return Unavailable(f"{who} cannot be reached ({error.kind}).", "network")


def form(rows: tuple[tuple[str, str], ...], filename: str, media_type: str, audio: bytes) -> tuple[str, bytes]:
    """A multipart form (RFC 7578): its content type and its body. Names are quoted as browsers do it."""
    boundary = os.urandom(16).hex()
    mark = f"--{boundary}\r\n"
    head = "".join(f'{mark}content-disposition: form-data; name="{_fit(k)}"\r\n\r\n{v}\r\n' for k, v in rows)
    kind = media_type if re.fullmatch(r"[\w.+-]+/[\w.+;= -]+", media_type) else "application/octet-stream"
    head += f'{mark}content-disposition: form-data; name="file"; filename="{_fit(filename) or "audio"}"\r\n'
    head += f"content-type: {kind}\r\n\r\n"
    body = head.encode("utf-8", "replace") + audio + f"\r\n--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body


def _fit(name: str) -> str:
    return UNFIT.sub("_", name)[:200]
