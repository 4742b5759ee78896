"""The room: one consultation in session. What a strategy does in it (hear, try, compare, review, rule) stands in modules of its own.

What a model says is cleaned of secrets before it is read: nothing else of it reaches the minutes, the store or another expert.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import anyio

from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.answers.citations import check_claims
from orchestra_mcp.council.answers.cleaning import Clean, as_it_is, clean_fields, clean_reply
from orchestra_mcp.council.minutes import Minutes, Stage
from orchestra_mcp.council.prompts import Writer
from orchestra_mcp.council.residents import hear_residents
from orchestra_mcp.errors import BadReply, BudgetExceeded, OrchestraError, ProviderError
from orchestra_mcp.gateway.provider import ChatEvent, ChatReply, ChatRequest, Message, Provider, fold
from orchestra_mcp.settings import Limits
from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import Doing, lasted, span, traced
from orchestra_mcp.types import Absence, Claim, Entry, Event, Evidence, Observer, Opinion, Seat, SpanValue, Workbench

Compose = Callable[[Seat], tuple[Message, ...]]
Record = Callable[[Entry], Awaitable[None]]
Price = Callable[[Seat, str], Decimal | None]
"""The most that a call of a seat for a purpose may cost, in US dollars; None where its price is unknown."""

MAX_TOKENS = {"opinion": 8_000, "debate": 6_000, "repair": 8_000, "compare": 600, "review": 2_500, "chair": 5_000}
READ = {"review": ("ranking", "rank", "order", "best"), "compare": ("groups", "same", "clusters")}
"""Keys by which `reading` recognises the object in a reply for a purpose; for all others, those of an opinion."""
SPOKEN = ("position", "answer", "claims", "assumptions", "risks", "plan", "patch", "inputs", "would_change")
"""Fields of an opinion that hold words."""
STAGES = {"opinion": "answer", "chair": "synthesis"}
"""Our name of a stage → that of its spans, where they differ."""
LETTERS = "ABCDEFGHIJ"
RESIDENT_TIMEOUT_S = 30.0


def unpriced(_seat: Seat, _purpose: str) -> None:
    """No price is known."""


@dataclass
class Patience:
    """How long stragglers are waited for once a quorum has answered, in seconds.

    Models differ by a factor of three in pace and the slow ones are often the strong ones, so a seat that is visibly
    writing gets more time than one that has not said a word. Both are bounded.
    """

    silent_least: float = 5.0
    silent_most: float = 30.0
    alive_least: float = 10.0
    alive_most: float = 60.0
    step_least: float = 20.0
    step_most: float = 90.0

    def grace(self, elapsed: float, alive: bool) -> float:
        """Extra seconds after a quorum that took `elapsed`: as long again, or twice that for one that is writing."""
        if alive:
            return min(self.alive_most, max(self.alive_least, 2 * elapsed))
        return min(self.silent_most, max(self.silent_least, elapsed))

    def step(self, pace: float) -> float:
        """Seconds for one more step (a review, a synthesis, a further expert) when answers took `pace`: three times that."""
        return min(self.step_most, max(self.step_least, 3 * pace))


@dataclass
class Room:
    """One consultation in session. All that it needs is handed in; it opens nothing."""

    minutes: Minutes
    writer: Writer
    provider: Provider
    evidence: Evidence | None
    limits: Limits
    record: Record
    observe: Observer
    workbench: Workbench | None = None
    """What may be tried: programs, patches, tests."""
    price: Price = unpriced
    hurry: bool = False
    """Time matters more than money: the next expert is asked together with the openers."""
    clean: Clean = as_it_is
    """Takes secrets out of what models say and of why they are absent, before anybody sees it."""
    started: float = field(default_factory=anyio.current_time)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        dossier = self.minutes.dossier
        text = " ".join(
            (
                self.minutes.question.text,
                *(e.text for e in dossier.excerpts),
                *(t.outcome for t in dossier.history),
            )
        )
        self.vocabulary = reading.words_of(text)

    @traced("hear residents")
    async def hear_residents(self) -> None:
        """Let the resident analysts read the evidence; what they say is checked like everyone's."""
        if self.evidence is None:
            return
        minutes, began_ns = self.minutes, time.time_ns()
        heard = await hear_residents(minutes.question, minutes.dossier, self.evidence, timeout_s=RESIDENT_TIMEOUT_S)
        for said in heard:
            lasted(
                f"invoke_agent {said.seat}",
                said.seconds,
                kind="internal",
                attributes={names.OPERATION: "invoke_agent", names.AGENT: said.seat, names.KIND: "resident"},
                error="" if isinstance(said, Opinion) else said.kind,
                ended_ns=began_ns + int(said.seconds * 1e9),
            )
            if isinstance(said, Opinion):
                said = said.model_copy(update=await self.without_secrets({n: getattr(said, n) for n in SPOKEN}))
                said = said.model_copy(update={"claims": await self.checked(said.claims)})
                await self.record(said)
                minutes.residents.append(said)
                self.tell("answered", said.seat, said.position)
            else:
                await self.note_absence(said)

    async def checked(self, claims: Sequence[Claim]) -> tuple[Claim, ...]:
        """Claims with what comparing them with the code gave."""
        return await check_claims(claims, self.evidence, self.minutes.dossier.traces)

    def tell(self, kind: str, seat: str = "", detail: str = "") -> None:
        """Let observers know."""
        self.minutes.seconds = anyio.current_time() - self.started
        self.observe(
            Event.model_validate(
                {
                    "run": self.minutes.id,
                    "kind": kind,
                    "seat": seat,
                    "detail": detail[:200],
                    "seconds": self.minutes.seconds,
                }
            )
        )

    def took(self) -> float | None:
        """How long the slowest answer so far took, in seconds; None before the first one."""
        return max((opinion.seconds for opinion in self.minutes.opinions), default=None)

    async def say(
        self, seat: Seat, messages: tuple[Message, ...], purpose: str, alive: Callable[[], None] | None = None
    ) -> ChatReply:
        """One reply, whole: bounded in time (the closer the council knows its pace), and cut-off ones refused."""
        limit = self.limits.seat_timeout_s
        if purpose in ("compare", "review", "chair"):
            limit = min(limit, self.patience.step(self.took() or 0.0))
        request = ChatRequest(
            model=seat.model,
            messages=messages,
            max_tokens=MAX_TOKENS[purpose],
            json_only=True,
            run=self.minutes.id,
            purpose=purpose,
            use_case=self.minutes.mode,
            private=True,
        )
        reply: ChatReply | None = None
        with anyio.move_on_after(limit):
            reply = await fold(_Watched(self.provider, alive) if alive else self.provider, request)
        if reply is None:
            raise ProviderError(f"no whole answer within {limit:.0f} s", "timeout")
        if reply.finish in ("length", "filter"):
            how = (
                "was cut off at its length limit"
                if reply.finish == "length"
                else "was withheld by the provider's filter"
            )
            raise BadReply(f"the reply {how}", "truncated" if reply.finish == "length" else "policy")
        if not reply.text.strip():
            raise BadReply("the reply was empty", "empty")
        known = READ.get(purpose, (*reading.POSITION_KEYS, *reading.ANSWER_KEYS))
        text = await clean_reply(reply.text, known, self.clean)
        return reply.model_copy(update={"text": text, "model": await self.clean(reply.model)})

    async def without_secrets(self, fields: dict[str, Any]) -> dict[str, Any]:
        """What was read from a reply; reading joins pieces and drops marks, which can bring a secret to light."""
        return await clean_fields(fields, self.clean)

    @contextmanager
    def thinking(self, seat: Seat, stage: Stage, round: int = 1) -> Iterator[Doing]:
        """Mark a seat as awaited for the length of a `with` block, and as cut off when that is cancelled; its span."""
        self.minutes.awaited[seat.name] = anyio.current_time() - self.started
        try:
            with span(f"invoke_agent {seat.name}", attributes=_agent(seat, stage, round)) as doing:
                yield doing
        except anyio.get_cancelled_exc_class():
            self.minutes.cut_off.append((seat.name, stage))
            raise
        finally:
            self.minutes.awaited.pop(seat.name, None)

    def absence(self, seat: Seat, error: OrchestraError, since: float, stage: Stage = "opinion") -> Absence:
        """Why a seat is absent from a stage."""
        kind = (
            error.kind
            if isinstance(error, ProviderError)
            else "budget"
            if isinstance(error, BudgetExceeded)
            else "internal"
        )
        return Absence.model_validate(
            {
                "seat": seat.name,
                "kind": kind,
                "reason": reading.clean(str(error)),
                "seconds": anyio.current_time() - since,
                "stage": stage,
            }
        )

    async def note_absence(self, absence: Absence) -> None:
        """Write an absence down, record it, and let observers know."""
        absence = absence.model_copy(update={"reason": await self.clean(absence.reason)})
        await self.record(absence)
        self.minutes.absences.append(absence)
        self.tell("absent", absence.seat, absence.reason)


def _agent(seat: Seat, stage: Stage, round: int) -> dict[str, SpanValue]:
    """Who works in which stage, as attributes of a span."""
    return {
        names.OPERATION: "invoke_agent",
        names.AGENT: seat.name,
        names.PROVIDER: names.provider(seat.provider),
        names.MODEL: seat.model_id or seat.model,
        names.KIND: seat.kind,
        names.STAGE: "revise" if stage == "opinion" and round > 1 else STAGES.get(stage, stage),
        names.ROUND: round,
    }


class _Watched:
    """A provider that reports the first sign of life of a reply."""

    def __init__(self, provider: Provider, alive: Callable[[], None]) -> None:
        self._provider, self._alive = provider, alive

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """As `Provider.chat`."""
        async with aclosing(self._provider.chat(request)) as events:
            async for event in events:
                self._alive()
                yield event
