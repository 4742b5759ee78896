"""The room: what a strategy may do. It hears seats, has them reviewed and ruled on, and writes the minutes.

What a model says is cleaned of secrets before it is read: nothing else of it reaches the minutes, the store or another expert.

Who fails, comes too late or talks nonsense is written down as absent, with the reason; only what could be read becomes
an opinion. Everything is recorded (stored) before anyone is told of it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from orchestra_mcp.council import reading
from orchestra_mcp.council.cleaning import Clean, as_it_is, clean_fields, clean_reply
from orchestra_mcp.council.evidence import check_claims
from orchestra_mcp.council.minutes import Minutes, Stage, Synthesis
from orchestra_mcp.council.prompts import Writer
from orchestra_mcp.council.residents import hear_residents
from orchestra_mcp.errors import BadReply, BudgetExceeded, OrchestraError, ProviderError
from orchestra_mcp.gateway.provider import ChatEvent, ChatReply, ChatRequest, Message, Provider, fold
from orchestra_mcp.settings import Limits
from orchestra_mcp.types import Absence, Ballot, Defect, Entry, Event, Evidence, Observer, Opinion, Seat

Compose = Callable[[Seat], tuple[Message, ...]]
Record = Callable[[Entry], Awaitable[None]]

MAX_TOKENS = {"opinion": 8_000, "debate": 6_000, "repair": 8_000, "review": 2_500, "chair": 5_000}
READ = {"review": ("ranking", "rank", "order", "best")}
"""Keys by which `reading` recognises the object in a reply for a purpose; for all others, those of an opinion."""
SPOKEN = ("position", "answer", "claims", "assumptions", "risks", "plan", "patch", "inputs", "would_change")
"""Fields of an opinion that hold words."""
LETTERS = "ABCDEFGHIJ"
RESIDENT_TIMEOUT_S = 30.0


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
class _Hearing:
    """One seat that is being heard."""

    seat: Seat
    scope: anyio.CancelScope
    since: float
    spare: bool = False
    alive: bool = False
    read: bool = False
    """True once its answer has been read; it only remains to be recorded."""


@dataclass
class _Pace:
    """How fast this hearing goes, in seconds since `began`; None where that is not known yet."""

    began: float
    before: float | None
    """How long answers took in earlier hearings."""
    first: float | None = None
    quorum: float | None = None


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
        self._vocabulary = reading.words_of(text)

    async def hear_residents(self) -> None:
        """Let the resident analysts read the evidence; what they say is checked like everyone's."""
        if self.evidence is None:
            return
        minutes = self.minutes
        heard = await hear_residents(minutes.question, minutes.dossier, self.evidence, timeout_s=RESIDENT_TIMEOUT_S)
        for said in heard:
            if isinstance(said, Opinion):
                said = said.model_copy(update=await self._without_secrets({n: getattr(said, n) for n in SPOKEN}))
                said = said.model_copy(update={"claims": await check_claims(said.claims, self.evidence)})
                await self.record(said)
                minutes.residents.append(said)
                self.tell("answered", said.seat, said.position)
            else:
                await self._note_absence(said)

    async def hear(
        self, seats: Sequence[Seat], compose: Compose, spares: Sequence[Seat] = (), round: int = 1
    ) -> list[Opinion]:
        """Ask seats at once and return what could be read, in order of arrival.

        A seat that fails is replaced by the next spare at once. When a quorum (more than half; one of two) has
        answered, the others get only `patience`; a spare that takes a straggler's place gets as long as the quorum took,
        and is not replaced in turn. Short of a quorum, one answer bounds the wait for the others too, but less tightly.
        """
        opinions: list[Opinion] = []
        waiting: dict[str, _Hearing] = {}
        bench = list(spares)
        pace = _Pace(anyio.current_time(), self._took())
        quorum = 1 if len(seats) == 2 else len(seats) // 2 + 1
        send, receive = anyio.create_memory_object_stream[tuple[Seat, Opinion | Absence]](100)
        async with send, receive, anyio.create_task_group() as group:

            def seat_down(seat: Seat, spare: bool = False) -> None:
                hearing = _Hearing(seat, anyio.CancelScope(), anyio.current_time(), spare)
                waiting[seat.name] = hearing
                group.start_soon(self._hear_one, hearing, compose(seat), round, send)

            for seat in seats:
                seat_down(seat)
            while waiting:
                said: tuple[Seat, Opinion | Absence] | None = None
                with anyio.move_on_at(min(self._limit_of(hearing, pace) for hearing in waiting.values())):
                    said = await receive.receive()
                if said is None:
                    out = await self._dismiss(waiting, pace)
                elif isinstance(said[1], Opinion):
                    waiting.pop(said[0].name, None)
                    opinions.append(said[1])
                    out = 0
                else:
                    waiting.pop(said[0].name, None)
                    await self._note_absence(said[1])
                    out = 1
                if pace.first is None and opinions:
                    pace.first = anyio.current_time() - pace.began
                if pace.quorum is None and len(opinions) >= quorum:
                    pace.quorum = anyio.current_time() - pace.began
                while out and bench and len(opinions) + len(waiting) < len(seats):
                    seat_down(bench.pop(0), spare=True)
                    out -= 1
        return opinions

    async def poll(self, judges: Sequence[Seat], opinions: Sequence[Opinion]) -> list[Ballot]:
        """Have judges rank the others' answers, unsigned, in an order of their own; one's own work is not shown."""
        ballots: list[Ballot] = []
        async with anyio.create_task_group() as group:
            for judge in judges:
                group.start_soon(self._poll_one, judge, opinions, ballots)
        return ballots

    async def rule(
        self, chairs: Sequence[Seat], shown: Sequence[Opinion], notes: str, follows: Callable[[str], bool] = bool
    ) -> Synthesis | None:
        """Have the first chair who can write the synthesis, from unsigned material; None when none could.

        Args:
            chairs: who may write it, best first.
            shown: the opinions that stand first, in their order.
            notes: what the council found.
            follows: whether a synthesis with this position keeps to the settled order; else the next chair is asked.
        """
        lettered = list(zip(LETTERS, shown, strict=False))
        findings = [claim for opinion in self.minutes.residents for claim in opinion.claims]
        for chair in chairs[:3]:
            self.tell("ruling", chair.name)
            asked_at = anyio.current_time()
            try:
                with self._thinking(chair, "chair"):
                    reply = await self._say(chair, self.writer.chair(chair, lettered, notes, findings[:12]), "chair")
                    fields = await self._without_secrets(reading.read_synthesis(reply.text, self._vocabulary))
                    if not follows(fields["position"]):
                        raise BadReply("the synthesis went against the settled order", "garbage")
            except OrchestraError as error:
                await self._note_absence(self._absence(chair, error, asked_at, "chair"))
                continue
            self.minutes.synthesis = Synthesis(seat=chair.name, **fields)
            return self.minutes.synthesis
        return None

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

    # ------------------------------------------------------------------------------------------------- hearing

    async def _hear_one(
        self,
        hearing: _Hearing,
        messages: tuple[Message, ...],
        round: int,
        out: MemoryObjectSendStream[tuple[Seat, Opinion | Absence]],
    ) -> None:
        seat = hearing.seat
        if seat.name not in self.minutes.asked:
            self.minutes.asked.append(seat.name)
        self.tell("asked", seat.name)
        said: Opinion | Absence
        with hearing.scope:
            try:
                with self._thinking(seat, "opinion"):
                    said = await self._opinion(hearing, messages, round)
                hearing.read = True
                try:
                    await self.record(said)
                finally:  # whoever stops waiting for the store does not stop the store
                    self.minutes.opinions.append(said)
                self.tell("answered", seat.name, said.position)
            except OrchestraError as error:
                said = self._absence(seat, error, hearing.since)
            except Exception as error:  # noqa: BLE001 - one seat's bug must not empty the room
                said = self._absence(
                    seat, ProviderError(f"internal error ({type(error).__name__})", "internal"), hearing.since
                )
            await out.send((seat, said))

    async def _opinion(self, hearing: _Hearing, messages: tuple[Message, ...], round: int) -> Opinion:
        seat, purpose = hearing.seat, "opinion" if round == 1 else "debate"
        began = anyio.current_time()

        def alive() -> None:
            hearing.alive = True

        reply = await self._say(seat, messages, purpose, alive)
        usage = reply.usage
        try:
            fields = reading.read_opinion(reply.text, self._vocabulary)
        except BadReply as problem:
            if problem.kind != "garbage":
                raise
            again = await self._say(seat, self.writer.repair(messages, reply.text, str(problem)), "repair", alive)
            usage += again.usage
            fields = reading.read_opinion(again.text, self._vocabulary)
        fields = await self._without_secrets(fields)
        fields["claims"] = await check_claims(fields["claims"], self.evidence)
        return Opinion(
            seat=seat.name,
            family=seat.family,
            model=reply.model or seat.model,
            round=round,
            usage=usage,
            seconds=anyio.current_time() - began,
            **fields,
        )

    def _took(self) -> float | None:
        """How long the slowest answer so far took, in seconds; None before the first one."""
        return max((opinion.seconds for opinion in self.minutes.opinions), default=None)

    def _limit_of(self, hearing: _Hearing, pace: _Pace) -> float:
        """When a straggler's time is up; never for one whose answer is already being recorded."""
        if hearing.read:
            return float("inf")
        if pace.quorum is not None:
            since_quorum = hearing.since > pace.began + pace.quorum
            start = hearing.since + pace.quorum if since_quorum else pace.began + pace.quorum
            return start + self.patience.grace(pace.quorum, hearing.alive)
        if pace.first is not None:
            return max(hearing.since, pace.began + pace.first) + self.patience.step(pace.first)
        if pace.before is not None:
            return hearing.since + self.patience.step(pace.before)
        return float("inf")

    async def _dismiss(self, waiting: dict[str, _Hearing], pace: _Pace) -> int:
        """Stop waiting for those whose time is up; how many of them may be replaced."""
        now = anyio.current_time()
        late = [h for h in waiting.values() if self._limit_of(h, pace) <= now]
        took = next(seconds for seconds in (pace.quorum, pace.first, pace.before, 0.0) if seconds is not None)
        for hearing in late:
            hearing.scope.cancel()
            del waiting[hearing.seat.name]
            what = "was still writing" if hearing.alive else "had not said a word"
            reason = f"{what} after {now - hearing.since:.0f} s, when the others had answered in {took:.0f} s"
            await self._note_absence(
                Absence(seat=hearing.seat.name, kind="late", reason=reason, seconds=now - hearing.since)
            )
        return sum(not hearing.spare for hearing in late)

    # ----------------------------------------------------------------------------------------- review and calls

    async def _poll_one(self, judge: Seat, opinions: Sequence[Opinion], ballots: list[Ballot]) -> None:
        # Seeded, so that a stored consultation can be replayed; a new order for every judge.
        dice = random.Random(f"{self.minutes.id}/{judge.name}")
        others = [opinion for opinion in opinions if opinion.seat != judge.name]
        if len(others) < 2:
            return
        dice.shuffle(others)
        lettered = list(zip(LETTERS, others, strict=False))
        seats = {letter: opinion.seat for letter, opinion in lettered}
        self.tell("reviewing", judge.name)
        began = anyio.current_time()
        try:
            with self._thinking(judge, "review"):
                reply = await self._say(judge, self.writer.review(judge, lettered), "review")
                fields = await self._without_secrets(reading.read_ballot(reply.text, tuple(seats)))
        except OrchestraError as error:
            await self._note_absence(self._absence(judge, error, began, "review"))
            return
        claims = await check_claims([claim for _, claim in fields["defects"]], self.evidence)
        ballot = Ballot(
            judge=judge.name,
            shown=tuple(seats.values()),
            ranking=tuple(seats[letter] for letter in fields["ranking"]),
            same=tuple(tuple(seats[letter] for letter in group) for group in fields["same"]),
            defects=tuple(
                Defect(candidate=seats[letter], claim=claim)
                for (letter, _), claim in zip(fields["defects"], claims, strict=True)
            ),
            why=fields["why"],
            usage=reply.usage,
            seconds=anyio.current_time() - began,
        )
        try:
            await self.record(ballot)
        finally:
            self.minutes.ballots.append(ballot)
        ballots.append(ballot)
        self.tell("voted", judge.name, ballot.why)

    async def _say(
        self, seat: Seat, messages: tuple[Message, ...], purpose: str, alive: Callable[[], None] | None = None
    ) -> ChatReply:
        """One reply, whole: bounded in time (the closer the council knows its pace), and cut-off ones refused."""
        limit = self.limits.seat_timeout_s
        if purpose in ("review", "chair"):
            limit = min(limit, self.patience.step(self._took() or 0.0))
        request = ChatRequest(
            model=seat.model,
            messages=messages,
            max_tokens=MAX_TOKENS[purpose],
            json_only=True,
            run=self.minutes.id,
            purpose=purpose,
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

    async def _without_secrets(self, fields: dict[str, Any]) -> dict[str, Any]:
        """What was read from a reply; reading joins pieces and drops marks, which can bring a secret to light."""
        return await clean_fields(fields, self.clean)

    @contextmanager
    def _thinking(self, seat: Seat, stage: Stage) -> Iterator[None]:
        """Mark a seat as awaited for the length of a `with` block, and as cut off when that is cancelled."""
        self.minutes.awaited[seat.name] = anyio.current_time() - self.started
        try:
            yield
        except anyio.get_cancelled_exc_class():
            self.minutes.cut_off.append((seat.name, stage))
            raise
        finally:
            self.minutes.awaited.pop(seat.name, None)

    def _absence(self, seat: Seat, error: OrchestraError, since: float, stage: Stage = "opinion") -> Absence:
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

    async def _note_absence(self, absence: Absence) -> None:
        absence = absence.model_copy(update={"reason": await self.clean(absence.reason)})
        await self.record(absence)
        self.minutes.absences.append(absence)
        self.tell("absent", absence.seat, absence.reason)


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
