"""Hearing experts: all at once, failed ones replaced, stragglers waited for only so long.

Who fails, comes too late or talks nonsense is written down as absent, with the reason; only what could be read becomes
an opinion. Everything is recorded (stored) before anyone is told of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.room import Compose, Room
from orchestra_mcp.errors import BadReply, OrchestraError, ProviderError
from orchestra_mcp.gateway.provider import Message
from orchestra_mcp.telemetry.spans import traced
from orchestra_mcp.types import Absence, Opinion, Seat

Finish = Callable[[Opinion, str], Awaitable[Opinion]]


LONG = 20_000
"""Characters from which on a reply is read in a thread."""


def never(_opinions: Sequence[Opinion]) -> bool:
    """Nothing suffices: everyone is waited for."""
    return False


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


@traced("hear experts")
async def hear(
    room: Room,
    seats: Sequence[Seat],
    compose: Compose,
    spares: Sequence[Seat] = (),
    round: int = 1,
    enough: Callable[[Sequence[Opinion]], bool] = never,
    finish: Finish | None = None,
) -> list[Opinion]:
    """Ask seats at once and return what could be read, in order of arrival.

    A seat that fails is replaced by the next spare at once. When a quorum (more than half; one of two) has
    answered, the others get only `patience`; a spare that takes a straggler's place gets as long as the quorum took,
    and is not replaced in turn. Short of a quorum, one answer bounds the wait for the others too, but less tightly.

    Args:
        room: the consultation.
        seats: who is asked.
        compose: the prompt for a seat.
        spares: who takes the place of one that fails, in this order.
        round: number of the round, from 1.
        finish: what is still to be done to an opinion, with the reply that it was read from, before it is recorded.
        enough: whether what was heard suffices; then the others are told to stop, which is no failure of theirs.
    """
    opinions: list[Opinion] = []
    waiting: dict[str, _Hearing] = {}
    bench = list(spares)
    pace = _Pace(anyio.current_time(), room.took())
    quorum = 1 if len(seats) == 2 else len(seats) // 2 + 1
    send, receive = anyio.create_memory_object_stream[tuple[Seat, Opinion | Absence]](100)
    async with send, receive, anyio.create_task_group() as group:

        def seat_down(seat: Seat, spare: bool = False) -> None:
            hearing = _Hearing(seat, anyio.CancelScope(), anyio.current_time(), spare)
            waiting[seat.name] = hearing
            group.start_soon(_hear_one, room, hearing, compose(seat), round, finish, send)

        for seat in seats:
            seat_down(seat)
        while waiting:
            said: tuple[Seat, Opinion | Absence] | None = None
            with anyio.move_on_at(min(_limit_of(room, hearing, pace) for hearing in waiting.values())):
                said = await receive.receive()
            if said is None:
                out = await _dismiss(room, waiting, pace)
            elif isinstance(said[1], Opinion):
                waiting.pop(said[0].name, None)
                opinions.append(said[1])
                out = 0
            else:
                waiting.pop(said[0].name, None)
                await room.note_absence(said[1])
                out = 1
            if opinions and waiting and enough(opinions):
                _send_away(room, waiting)
                break
            if pace.first is None and opinions:
                pace.first = anyio.current_time() - pace.began
            if pace.quorum is None and len(opinions) >= quorum:
                pace.quorum = anyio.current_time() - pace.began
                if room.minutes.quorum_s is None:
                    room.minutes.quorum_s = anyio.current_time() - room.started
            while out and bench and len(opinions) + len(waiting) < len(seats):
                seat_down(bench.pop(0), spare=True)
                out -= 1
    return opinions


async def _hear_one(
    room: Room,
    hearing: _Hearing,
    messages: tuple[Message, ...],
    round: int,
    finish: Finish | None,
    out: MemoryObjectSendStream[tuple[Seat, Opinion | Absence]],
) -> None:
    seat = hearing.seat
    if seat.name not in room.minutes.asked:
        room.minutes.asked.append(seat.name)
    room.tell("asked", seat.name)
    said: Opinion | Absence
    with hearing.scope:
        try:
            with room.thinking(seat, "opinion", round):
                said = await _opinion(room, hearing, messages, round, finish)
            hearing.read = True
            try:
                await room.record(said)
            finally:  # whoever stops waiting for the store does not stop the store
                room.minutes.opinions.append(said)
            room.tell("answered", seat.name, said.position)
        except OrchestraError as error:
            said = room.absence(seat, error, hearing.since)
        except Exception as error:  # noqa: BLE001 - one seat's bug must not empty the room
            said = room.absence(
                seat, ProviderError(f"internal error ({type(error).__name__})", "internal"), hearing.since
            )
        await out.send((seat, said))


async def _opinion(
    room: Room, hearing: _Hearing, messages: tuple[Message, ...], round: int, finish: Finish | None
) -> Opinion:
    seat, purpose = hearing.seat, "opinion" if round == 1 else "debate"
    question = room.minutes.question.text
    began = anyio.current_time()

    def alive() -> None:
        hearing.alive = True

    reply = await room.say(seat, messages, purpose, alive)
    usage = reply.usage
    try:
        fields = await _read(reply.text, room.vocabulary, question)
    except BadReply as problem:
        if problem.kind != "garbage":
            raise
        reply = await room.say(seat, room.writer.repair(messages, reply.text, str(problem)), "repair", alive)
        usage += reply.usage
        fields = await _read(reply.text, room.vocabulary, question)
    fields = await room.without_secrets(fields)
    fields["claims"] = await room.checked(fields["claims"])
    opinion = Opinion(
        seat=seat.name,
        family=seat.family,
        model=reply.model or seat.model,
        model_id=seat.model_id or seat.model,
        round=round,
        usage=usage,
        seconds=anyio.current_time() - began,
        **fields,
    )
    return await finish(opinion, reply.text) if finish else opinion


async def _read(text: str, vocabulary: frozenset[str], question: str) -> dict[str, Any]:
    """A long reply is read in a thread, so that nobody else waits for it."""
    read = partial(reading.read_opinion, text, vocabulary, question)
    return await anyio.to_thread.run_sync(read, abandon_on_cancel=True) if len(text) > LONG else read()


def _limit_of(room: Room, hearing: _Hearing, pace: _Pace) -> float:
    """When a straggler's time is up; never for one whose answer is already being recorded."""
    if hearing.read:
        return float("inf")
    if pace.quorum is not None:
        since_quorum = hearing.since > pace.began + pace.quorum
        start = hearing.since + pace.quorum if since_quorum else pace.began + pace.quorum
        return start + room.patience.grace(pace.quorum, hearing.alive)
    if pace.first is not None:
        return max(hearing.since, pace.began + pace.first) + room.patience.step(pace.first)
    if pace.before is not None:
        return hearing.since + room.patience.step(pace.before)
    return float("inf")


async def _dismiss(room: Room, waiting: dict[str, _Hearing], pace: _Pace) -> int:
    """Stop waiting for those whose time is up; how many of them may be replaced."""
    now = anyio.current_time()
    late = [h for h in waiting.values() if _limit_of(room, h, pace) <= now]
    took = next(seconds for seconds in (pace.quorum, pace.first, pace.before, 0.0) if seconds is not None)
    for hearing in late:
        hearing.scope.cancel()
        del waiting[hearing.seat.name]
        what = "was still writing" if hearing.alive else "had not said a word"
        reason = f"{what} after {now - hearing.since:.0f} s, when the others had answered in {took:.0f} s"
        await room.note_absence(
            Absence(seat=hearing.seat.name, kind="late", reason=reason, seconds=now - hearing.since)
        )
    return sum(not hearing.spare for hearing in late)


def _send_away(room: Room, waiting: dict[str, _Hearing]) -> None:
    """Stop those who are not needed any more, unless their answer is already being recorded."""
    for hearing in waiting.values():
        if not hearing.read:
            hearing.scope.cancel()
            room.minutes.spared.append(hearing.seat.name)
