"""Speech to text: a recording is passed on to a vendor's `/audio/transcriptions`, and its reply is passed back.

Reference: https://platform.openai.com/docs/api-reference/audio/createTranscription; other vendors copy it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal

import anyio
import anyio.to_thread

from orchestra_mcp.errors import BadReply, BudgetExceeded, OrchestraError, ProviderError, Refused, Unavailable
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.money import speech
from orchestra_mcp.gateway.money.budgets import Budgets, Hold, Purse
from orchestra_mcp.gateway.money.holding import Wanted, set_aside, unpriced
from orchestra_mcp.gateway.money.ledger import Ledger
from orchestra_mcp.gateway.money.metered import HOLD_S, micros
from orchestra_mcp.gateway.money.throttle import Throttle
from orchestra_mcp.gateway.money.throttled import PATIENCE_S, own_limit
from orchestra_mcp.gateway.provider import Caller, CallObserver, Receipt
from orchestra_mcp.gateway.signing import Signer
from orchestra_mcp.gateway.steady.failover import FINAL, summed
from orchestra_mcp.gateway.transports.transport import Patience, Transport, TransportError
from orchestra_mcp.gateway.vendors.plugins import signer_of
from orchestra_mcp.settings import Keys, Limits, ModelSpec, PriceRow
from orchestra_mcp.types import CallRecord, Usage

MAX_REPLY = 16_000_000
WIRES = ("openai", "responses")
"""Dialects of vendors whose address may have `/audio/transcriptions` beneath it."""
UNFIT = re.compile(r'[\x00-\x1f\x7f"\\]')
PAID_ERRORS = ("cancelled", "garbage", "too_long")
"""Ends of a call that a vendor may have done all of its work for: the recording is paid, not the words."""
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

    As for chats, each attempt has to pass the limits, and what it can cost at most is set aside in all budgets before it is
    made. That goes by the length of the recording (`money.speech`); what is booked is what the reply tells, else the same.

    Args:
        targets: finds the models; may raise `NotFound`.
        on_call: told of every attempt.
        ledger: the budgets of this process; None: none.
        budgets: the budgets over hours, days and months that calls have to keep within.
        purse: holds their money; None: there is no store, and only the ledger counts.
        throttle: rates and places.
        prices: `[[prices]]`.
        refuse_unpriced: where a budget applies, refuse models of unknown price, in place of counting the ceiling.
        patience_s: how long a recording waits before a limit, in seconds.
        clock: seconds from any fixed point.
    """

    def __init__(
        self,
        targets: Targets,
        keys: Keys,
        limits: Limits,
        transport: Transport,
        *,
        on_call: CallObserver,
        ledger: Ledger | None = None,
        budgets: Budgets | None = None,
        purse: Purse | None = None,
        throttle: Throttle | None = None,
        prices: Sequence[PriceRow] = (),
        refuse_unpriced: bool = False,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._targets = targets
        self._keys = keys
        self._limits = limits
        self._transport = transport
        self._on_call = on_call
        self._ledger = ledger
        self._budgets = budgets or Budgets()
        self._purse = purse
        self._throttle = throttle or Throttle(clock=clock)
        self._prices = prices
        self._refuse_unpriced = refuse_unpriced
        self._patience_s = patience_s
        self._clock = clock

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        """The words of a recording.

        Raises:
            NotFound: no such model.
            BudgetExceeded: it could cost more than a budget holds.
            OwnLimit: it would have to wait too long.
            ProviderError: no model gave them.
        """
        problems: list[tuple[str, OrchestraError]] = []
        found = await self._targets(request.model, request.caller)
        for name, spec in found:
            if spec.wire not in WIRES:
                continue
            try:
                return await self._in_turn(name, spec, request)
            except BudgetExceeded as error:  # another model may be cheaper, or of another purse
                problems.append((name, error))
            except ProviderError as error:
                if error.kind in FINAL:
                    raise
                problems.append((name, error))
        if not problems:
            raise Refused(f"{request.model!r} leads to no model of a vendor who transcribes speech.", "model")
        raise summed(problems, 0)

    async def _in_turn(self, name: str, spec: ModelSpec, request: TranscriptionRequest) -> Transcript:
        """Ask one model when the limits let it pass."""
        gates = self._throttle.gates(request.caller, spec.recipient, name, own_limit(name, spec))
        tokens = int(speech.seconds_usual(request.audio) * speech.SOUND_TOKENS / 60)
        place = self._throttle.at_once(gates, tokens)
        if place is None:
            began, priority = self._clock(), request.caller.priority
            try:
                place = await self._throttle.enter(gates, tokens, priority, lambda _: self._patience_s)
            finally:
                request.receipt.queued_s += self._clock() - began
        used = 0
        try:
            words, usage = await self._paid(name, spec, request)
            used = usage.tokens or tokens
            return words
        finally:
            place.leave(used)

    async def _paid(self, name: str, spec: ModelSpec, request: TranscriptionRequest) -> tuple[Transcript, Usage]:
        """Ask one model with money that was set aside, and book what it took."""
        tariff = await anyio.to_thread.run_sync(speech.tariff_of, spec, self._prices)
        rates = tariff or speech.Tariff(speech.CEILING)
        prompt = sum(len(value.encode("utf-8", "replace")) for _, value in request.fields)
        amount = speech.at_most(rates, speech.seconds_at_most(request.audio), prompt)
        hold = await self._hold(name, spec, request, tariff, amount)
        bill = _Bill(tariff, amount)
        try:
            with self._ledger.reserve("", amount) if self._ledger else nullcontext() as reservation:
                try:
                    words = await self._ask(name, spec, request, bill)
                finally:
                    if reservation is not None:
                        reservation.settle(bill.charge)
                    if hold is not None:
                        hold.settle(micros(bill.charge))
        finally:
            if hold is not None:
                hold.settle(0)  # says nothing where it was settled
        return words, bill.usage

    async def _hold(
        self, name: str, spec: ModelSpec, request: TranscriptionRequest, tariff: speech.Tariff | None, amount: Decimal
    ) -> Hold | None:
        if self._purse is None or not amount:
            return None
        claims = self._budgets.claims(request.caller, spec.recipient, name)
        if not claims:
            return None
        if tariff is None and self._refuse_unpriced:
            raise unpriced(name, claims[0])
        certain = speech.at_most(tariff or speech.Tariff(speech.CEILING), speech.seconds_usual(request.audio))
        wanted = Wanted(micros(amount), micros(amount), min(micros(certain), micros(amount)), HOLD_S)
        return await set_aside(
            self._purse,
            self._budgets,
            claims,
            wanted,
            caller=request.caller,
            receipt=request.receipt,
            now=self._clock,
        )

    async def _ask(self, name: str, spec: ModelSpec, request: TranscriptionRequest, bill: _Bill) -> Transcript:
        key = next((each for each in (spec.key_env, *spec.more_keys) if self._keys.get(each)), spec.key_env)
        sign = signer_of(spec.auth or "bearer")(spec, self._keys.get(key).strip(), self._keys, self._transport)
        began, error = time.perf_counter(), "cancelled"
        request.receipt.model = name
        try:
            model = HttpTranscriber(spec, self._limits, self._transport, key_env=key, signer=sign)
            words = await model.transcribe(request)
            error = ""
            bill.read(words.body)
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
            if error in PAID_ERRORS:
                bill.guess()
            caller = request.caller
            request.receipt.upstream_s += (seconds := time.perf_counter() - began)
            request.receipt.cost_usd += bill.usage.cost_usd
            request.receipt.unpriced = request.receipt.unpriced or bool(bill.usage.unpriced)
            self._on_call(
                CallRecord(
                    run="",
                    purpose="transcription",
                    model=name,
                    model_id=spec.model,
                    provider=spec.recipient,
                    usage=bill.usage,
                    seconds=round(seconds, 3),
                    attempt=request.receipt.attempts,
                    error=error,
                    key=caller.key,
                    workspace=caller.workspace,
                    tier=caller.tier,
                )
            )


class _Bill:
    """What one attempt cost: nothing, until a vendor has answered it."""

    __slots__ = ("_amount", "_tariff", "charge", "usage")

    def __init__(self, tariff: speech.Tariff | None, amount: Decimal) -> None:
        self._tariff = tariff
        self._amount = amount
        self.usage = Usage(calls=1)
        self.charge = Decimal(0)
        """What budgets are charged; more than the cost where the price is unknown."""

    def read(self, body: bytes) -> None:
        """Go by what the reply tells, and where it tells nothing by the longest that the recording can be."""
        tokens, cost = speech.told(body, self._tariff)
        if cost is None and self._tariff is None:
            _, guess = speech.told(body, speech.Tariff(speech.CEILING))
            self.charge = self._amount if guess is None else guess
            self.usage = tokens.model_copy(update={"calls": 1, "unpriced": 1})
            return
        self.charge = self._amount if cost is None else cost
        self.usage = tokens.model_copy(update={"calls": 1, "cost_usd": self.charge})

    def guess(self) -> None:
        """The vendor had the recording, and nobody knows what it did with it."""
        self.read(b"")


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
