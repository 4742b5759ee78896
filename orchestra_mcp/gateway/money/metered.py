"""Money: every attempt reserves its worst case before it is made and settles what it really took.

`Ledger` (ledger.py) is the budget of one process: one for each consultation and one for the day. A `Purse`
(budgets.py) holds the budgets over hours, days and months, for all processes. `Metered` wraps what speaks to a model, prices what it used, and tells an observer of every attempt, also of
failed and cancelled ones.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Literal, Self

import anyio

from orchestra_mcp.errors import ProviderError, Refused
from orchestra_mcp.gateway.dialects.dialect import Vectorising, Vectors
from orchestra_mcp.gateway.money.budgets import Budgets, Hold, Purse
from orchestra_mcp.gateway.money.estimates import CHARS_PER_TOKEN, Size, size_of
from orchestra_mcp.gateway.money.holding import Wanted, set_aside, unpriced
from orchestra_mcp.gateway.money.ledger import Ledger, Reservation
from orchestra_mcp.gateway.money.prices import FREE, UNKNOWN, KeptPrice, Price
from orchestra_mcp.gateway.provider import (
    CallObserver,
    ChatEvent,
    ChatRequest,
    EmbedRequest,
    Finish,
    Message,
    Provider,
    Receipt,
    Spent,
    TextDelta,
    ToolDelta,
)
from orchestra_mcp.settings import Budget
from orchestra_mcp.telemetry.calls import saying
from orchestra_mcp.telemetry.content import Said
from orchestra_mcp.telemetry.spans import wants_content
from orchestra_mcp.types import CallRecord, Usage

__all__ = ["Ledger", "Metered"]

DEFAULT_OUTPUT = 32_768
"""Output tokens of a request that sets no limit, where it is not known how long the model answers; where a budget applies,
they become its limit."""
LEAST_OUTPUT = 256
"""A budget that pays fewer tokens of output than this is spent: what could be said would be cut off."""
HOLD_S = 660.0
"""How long a hold outlives a process that died, where a call has no deadline of its own."""


class Metered:
    """Wraps what speaks to one model.

    Args:
        inner: what is asked.
        model: the gateway's name of the model.
        provider: who receives the text.
        price: finds the model's price, None when unknown; called from time to time, the first time in a thread.
        ledger: the budgets of this process.
        on_call: told of every attempt.
        clock: seconds from any fixed point.
        model_id: the vendor's name of the model.
        budgets: the budgets over hours, days and months that calls have to keep within.
        purse: holds their money; None: there is no store, and only the ledger counts.
        refuse_unpriced: where a budget applies, refuse a call whose price is unknown, in place of counting it as one of
            the dearest models'.
        window: tokens that the model reads at most, None when unknown.
        max_output: tokens that the model says at most, None when unknown.
        server: host and port that are asked, where they are known.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        model: str,
        provider: str,
        price: Callable[[], Price | None],
        ledger: Ledger,
        on_call: CallObserver,
        clock: Callable[[], float] = time.monotonic,
        model_id: str = "",
        budgets: Budgets | None = None,
        purse: Purse | None = None,
        refuse_unpriced: bool = False,
        window: int | None = None,
        max_output: int | None = None,
        server: str = "",
    ) -> None:
        self._inner = inner
        self._price = KeptPrice(price, clock)
        self._ledger = ledger
        self._on_call = on_call
        self._budgets = budgets or Budgets()
        self._purse = purse
        self._refuse_unpriced = refuse_unpriced
        self._window = window
        self._most_output = min(max_output or DEFAULT_OUTPUT, DEFAULT_OUTPUT)
        self.now = clock
        self.model = model
        self.model_id = model_id
        self.provider = provider
        self.server = server

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        price = await self._begin(request.receipt)
        request, amount, hold = await self._provide(request, price)
        try:
            with (
                self._ledger.reserve(request.run, amount) as reservation,
                _Attempt(self, request, price, reservation, hold) as attempt,
            ):
                async with aclosing(self._inner.chat(request)) as events:
                    async for event in events:
                        attempt.see(event)
                        if isinstance(event, Finish):
                            break
                        if not isinstance(event, Spent):
                            yield event
        finally:
            if hold is not None:
                hold.settle(0)  # says nothing where the attempt was settled
        if attempt.finish is not None:
            yield attempt.finish.model_copy(update={"usage": attempt.usage})

    async def embed(self, request: EmbedRequest) -> Vectors:
        """The vectors of some texts, paid like the prompt of a chat.

        Raises:
            Refused: what is wrapped makes no vectors (kind `model`).
            ProviderError, BudgetExceeded: as `chat`.
        """
        if not isinstance(self._inner, Vectorising):
            raise Refused(f"{self.model} makes no embeddings.", "model")
        price = await self._begin(request.receipt)
        asked = ChatRequest(
            model=request.model,
            messages=(Message(role="user", text="\n".join(request.texts)),),
            max_tokens=0,
            purpose="embedding",
            caller=request.caller,
            receipt=request.receipt,
        )
        asked, amount, hold = await self._provide(asked, price)
        try:
            with (
                self._ledger.reserve("", amount) as reservation,
                _Attempt(self, asked, price, reservation, hold) as attempt,
            ):
                found = await self._inner.embed(request)
                attempt.see(Finish(reason="stop", usage=found.usage, model=found.model))
        finally:
            if hold is not None:
                hold.settle(0)
        return replace(found, usage=attempt.usage)

    async def _begin(self, receipt: Receipt) -> Price | None:
        """Write down who is asked, and find the price."""
        receipt.model, receipt.model_id, receipt.provider = self.model, self.model_id, self.provider
        return self._price.now() if self._price.known else await anyio.to_thread.run_sync(self._price.now)

    async def _provide(self, request: ChatRequest, price: Price | None) -> tuple[ChatRequest, Decimal, Hold | None]:
        """The request with a limit that its budgets can pay, what the ledger has to reserve for it, and the purse's hold."""
        if price is FREE:
            return request, Decimal(0), None
        rates = price or UNKNOWN
        size = size_of(request)
        claims = () if self._purse is None else self._budgets.claims(request.caller, self.provider, self.model)
        if claims and price is None and self._refuse_unpriced:
            raise unpriced(self.model, claims[0])
        output = self._most_output if request.max_tokens is None else request.max_tokens
        least = LEAST_OUTPUT
        if request.max_tokens is not None or not (claims or request.run):
            if request.max_tokens is None:  # nobody is told a limit; what is set aside must leave room for others
                output = min(output, DEFAULT_OUTPUT)
            least = output
        elif request.run:
            output = max(least, min(output, rates.affords(size.bounded, self._ledger.left(request.run))))
        hold = await self._hold(request, rates, size, claims, output, least) if claims else None
        if least < output and hold is not None:
            output = min(output, rates.affords(size.at_most(self._window), Decimal(hold.amount) / 1_000_000))
        if request.max_tokens is None and (claims or request.run):
            request = request.model_copy(update={"max_tokens": output})
        return request, _worst(rates, size.bounded, output), hold

    async def _hold(
        self, request: ChatRequest, rates: Price, size: Size, claims: Sequence[Budget], output: int, least: int
    ) -> Hold | None:
        """Set aside what the call can cost, in the purses of all claims.

        Raises:
            BudgetExceeded: one of them has too little (`WindowSpent`), or cannot be looked into.
        """
        assert self._purse is not None
        tokens = size.at_most(self._window)
        amount = micros(_worst(rates, tokens, output))
        if not amount:
            return None
        floor = amount if least == output else micros(_worst(rates, tokens, least))
        certain = micros(rates.cost(Usage(input_tokens=min(size.probable, tokens))))
        total_s = request.deadline_s or (request.way.total_s if request.way else HOLD_S)
        return await set_aside(
            self._purse,
            self._budgets,
            claims,
            Wanted(amount, floor, certain, total_s),
            caller=request.caller,
            receipt=request.receipt,
            now=self.now,
        )

    def report(self, record: CallRecord) -> None:
        """Tell the observer of one attempt."""
        self._on_call(record)


def micros(usd: Decimal) -> int:
    """US dollars as whole micro-dollars, rounded up."""
    numerator, denominator = usd.as_integer_ratio()
    return -(-numerator * 1_000_000 // denominator)


def _worst(rates: Price, tokens: int, output: int) -> Decimal:
    return rates.worst(Usage(input_tokens=tokens, output_tokens=output))


def _reason(model: str, request: ChatRequest) -> Literal["", "retry", "fallback", "hedge"]:
    """Why this is a further attempt; empty when it is the first one."""
    said = request.receipt.why
    if request.attempt > 1 or (said and said[-1].startswith("next key:")):
        return "retry"
    if request.way is None or request.way.targets[:1] == (model,):
        return ""
    return "hedge" if f"{model} asked as well" in said else "fallback"


class _Attempt:
    """What is known of one attempt while it runs."""

    __slots__ = (
        "_began",
        "_chars",
        "_first",
        "_hold",
        "_known",
        "_meter",
        "_price",
        "_request",
        "_reservation",
        "_text",
        "_waited",
        "_why",
        "finish",
        "usage",
    )

    def __init__(
        self, meter: Metered, request: ChatRequest, price: Price | None, reservation: Reservation, hold: Hold | None
    ) -> None:
        self._meter = meter
        self._request = request
        self._price = price
        self._reservation = reservation
        self._hold = hold
        self._began = meter.now()
        self._waited = request.receipt.upstream_s
        self._first: float | None = None
        self._known = Usage()
        self._chars = 0
        self._why = _reason(meter.model, request)
        self._text: list[str] | None = [] if wants_content() else None
        self.finish: Finish | None = None
        self.usage = Usage()
        """What it used, with its cost; known when it has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._close("")
        elif isinstance(error, ProviderError):
            self._close(error.kind)
        else:
            left = isinstance(error, (anyio.get_cancelled_exc_class(), GeneratorExit))
            self._close("cancelled" if left else "server")

    def see(self, event: ChatEvent) -> None:
        """Note what an event tells about time and usage."""
        if isinstance(event, Spent):
            self._known = event.usage
            return
        if isinstance(event, Finish):
            self.finish = event
            self._known = event.usage
            return
        self._chars += len(event.arguments) + len(event.name) if isinstance(event, ToolDelta) else len(event.text)
        if self._first is None:
            self._first = self._meter.now() - self._began
        if self._text is not None and isinstance(event, TextDelta):
            self._text.append(event.text)

    def _close(self, error: str) -> None:
        """Settle, and tell the observer."""
        usage, charge = self._billed(self._used(error))
        self._reservation.settle(charge)
        if self._hold is not None:
            self._hold.settle(micros(charge))
        request = self._request
        receipt, caller = request.receipt, request.caller
        receipt.cost_usd += usage.cost_usd
        receipt.unpriced = receipt.unpriced or bool(usage.unpriced)
        meter = self._meter
        record = CallRecord(
            run=request.run,
            purpose=request.purpose,
            model=meter.model,
            provider=meter.provider,
            usage=usage,
            seconds=round(meter.now() - self._began, 3),
            first_token_s=None if self._first is None else round(self._first, 3),
            attempt=request.attempt,
            error=error,
            model_id=meter.model_id or (self.finish.model if self.finish else ""),
            key=caller.key,
            workspace=caller.workspace,
            tier=caller.tier,
            route=request.way.route if request.way else "",
            use_case=request.use_case,
            cache=receipt.cache,
            reason=self._why,
            finish=self.finish.reason if self.finish else "",
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            server=meter.server,
        )
        if self._text is None:
            meter.report(record)
        else:
            with saying(Said(request.messages, tuple(self._text))):
                meter.report(record)
        self.usage = usage

    def _billed(self, used: Usage) -> tuple[Usage, Decimal]:
        """Usage with its cost, and what the budgets are charged (more, when the price is unknown)."""
        if used.cost_usd:  # the vendor's own word
            return used.model_copy(update={"calls": 1, "unpriced": 0}), used.cost_usd
        if not used.tokens:  # nothing reached the model, so that nothing was left unpriced either
            return used.model_copy(update={"calls": 1, "unpriced": 0}), Decimal(0)
        if self._price is None:
            return used.model_copy(update={"calls": 1, "unpriced": 1}), UNKNOWN.cost(used)
        cost = self._price.cost(used)
        return used.model_copy(update={"calls": 1, "unpriced": 0, "cost_usd": cost}), cost

    def _used(self, error: str) -> Usage:
        """What the vendor said; where it said nothing though the model has spoken, or has got a prompt whose answer
        nobody waited for, an estimate from the text."""
        known = self._known
        spoke = self._first is not None or self.finish is not None
        sent = error == "cancelled" and self._request.receipt.upstream_s > self._waited
        if (self.finish is not None and known.tokens) or not (spoke or known.tokens or sent):
            return known
        prompt = size_of(self._request).probable
        inputs = known.input_tokens + known.cache_read_tokens + known.cache_write_tokens
        return known.model_copy(
            update={
                "input_tokens": known.input_tokens if inputs else prompt,
                "output_tokens": max(known.output_tokens, self._chars // CHARS_PER_TOKEN),
            }
        )
