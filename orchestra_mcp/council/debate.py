"""Rounds in which experts exchange what is wrong with each other's answers, unsigned; votes are counted once.

The vote is that of the independent first round. Debate by itself moves no expected correctness (it is a martingale: Choi
et al., 2025), and minds change by conformity more often than by insight; so a changed mind moves its vote only with new
verified evidence (`Minutes.standing`), and every other change is logged.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import anyio

from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.answers.likeness import normal
from orchestra_mcp.council.answers.sides import FOR_AND_AGAINST, on_its_side
from orchestra_mcp.council.ranking import Ranked
from orchestra_mcp.council.room import Room
from orchestra_mcp.council.seating import Seating
from orchestra_mcp.council.steps.comparing import compare
from orchestra_mcp.council.steps.hearing import hear
from orchestra_mcp.council.steps.reviewing import check_defects
from orchestra_mcp.council.steps.ruling import rule
from orchestra_mcp.council.steps.trying import try_answers
from orchestra_mcp.gateway.provider import Message
from orchestra_mcp.telemetry.spans import traced
from orchestra_mcp.types import Opinion, Seat

MAX_ROUNDS = 6
CONFORMITY = 0.5
"""Share of changed minds without new evidence above which the report warns that the debate converged by conformity."""


async def debate(room: Room, seating: Seating) -> None:
    """Independent answers, then rounds of defects with evidence; ends when minds no longer move, or move in circles."""
    minutes, question = room.minutes, room.minutes.question
    positions = question.positions or FOR_AND_AGAINST
    limit = max(1, min(question.rounds, MAX_ROUNDS))
    seats, spares = list(seating.openers), seating.reserve

    async with anyio.create_task_group() as group:
        group.start_soon(room.hear_residents)
        for number in range(1, limit + 1):
            minutes.round, minutes.stage = number, f"debating, round {number} of {limit}"
            before = _latest(minutes.opinions)
            heard = await _exchange(room, seats, number, positions, spares)
            await try_answers(room, minutes.standing())
            spares = ()
            speakers = {opinion.seat for opinion in heard}
            seats = [minutes.seats[name] for name in minutes.asked if name in speakers]
            if len(seats) < 2:
                minutes.stopped = "fewer than two experts were left to debate"
                break
            now = _latest(minutes.opinions)
            if _unanimous(now.values()) and not _tested(minutes.opinions) and number < limit:
                # Agreement that nobody has spoken against yet: somebody has to.
                await _advocate(room, seats, number, positions)
                continue
            if reason := _over(number, before, now, minutes.opinions):
                minutes.stopped = reason
                break
        else:
            minutes.stopped = f"the agreed {limit} rounds were over"
    if any(opinion.position not in positions for opinion in minutes.standing()):
        await compare(room, minutes.standing())
    _remark(room, positions)
    if not minutes.opinions:
        minutes.stopped = (
            "no language model answered"
            if seating.openers
            else "no language model was asked, and resident analysts cannot argue"
        )
    elif len(minutes.opinions) > 1:
        await rule(room)


async def challenge(room: Room) -> None:
    """Have the strongest expert argue against an agreement that nothing has tested, and the others answer."""
    minutes = room.minutes
    seats = [minutes.seats[name] for name in minutes.answered()]
    number = max(opinion.round for opinion in minutes.opinions)
    await _advocate(room, seats, number, ())
    minutes.round = number + 1
    minutes.stage = "answering the devil's advocate"
    await _exchange(room, seats[:2], number + 1, (), ())
    await try_answers(room, minutes.standing())


async def rebut(room: Room, leading: Sequence[Ranked]) -> None:
    """One more round for those who stand behind the two leading answers: each sees what is held against it."""
    minutes = room.minutes
    minutes.round = max(opinion.round for opinion in minutes.opinions) + 1
    minutes.stage = "answering the critique"
    authors = [minutes.seats[ranked.opinions[0].seat] for ranked in leading]
    await _exchange(room, authors, minutes.round, (), ())


@traced("exchange arguments")
async def _exchange(
    room: Room, seats: Sequence[Seat], number: int, positions: Sequence[str], spares: Sequence[Seat]
) -> list[Opinion]:
    """One round: everyone sees the others' latest arguments, unsigned and in an order of its own."""
    latest = _latest(room.minutes.opinions)
    shown = {seat.name: _shown(room, latest, seat, number) for seat in (*seats, *spares)}

    def compose(seat: Seat) -> tuple[Message, ...]:
        return room.writer.argue(seat, latest.get(seat.name), shown[seat.name], positions)

    return await hear(room, seats, compose, spares, number, finish=partial(_finish, room, shown, positions))


async def _advocate(room: Room, seats: Sequence[Seat], number: int, positions: Sequence[str]) -> None:
    """Have the strongest expert make the best case against what all agree on; that is nobody's vote."""
    minutes = room.minutes
    minutes.stage = "hearing a devil's advocate"
    advocate = max(seats, key=lambda seat: (minutes.skill(seat.name), seat.model_id or seat.model))
    latest = _latest(minutes.opinions)
    shown = {advocate.name: _shown(room, latest, advocate, number)}

    def compose(seat: Seat) -> tuple[Message, ...]:
        return room.writer.argue(seat, latest.get(seat.name), shown[seat.name], positions, advocate=True)

    async def finish(opinion: Opinion, text: str) -> Opinion:
        finished = await _finish(room, shown, (), opinion, text)
        return finished.model_copy(update={"advocate": True})

    if await hear(room, [advocate], compose, (), number + 1, finish=finish):
        minutes.notes.append(
            f"All agreed in round {number}, so {advocate.name} argued against it as devil's advocate; that is no vote."
        )


async def _finish(
    room: Room, shown: Mapping[str, Sequence[Opinion]], positions: Sequence[str], opinion: Opinion, text: str
) -> Opinion:
    """Check what an expert holds against the others, and put it on its side."""
    others = shown.get(opinion.seat, ())
    labels = tuple(f"argument {number}" for number in range(1, len(others) + 1))
    held = []
    for label, claim in reading.read_defects(text, labels):
        clean = await room.without_secrets({"claims": (claim,)})
        held.append((others[labels.index(label)].seat, clean["claims"][0]))
    defects = await check_defects(room, opinion.seat, held)
    return on_its_side(opinion.model_copy(update={"defects": defects}), positions)


def _shown(room: Room, latest: dict[str, Opinion], seat: Seat, number: int) -> list[Opinion]:
    advocates = [o for o in room.minutes.opinions if o.advocate and o.round == number]
    others = [opinion for name, opinion in latest.items() if name != seat.name] + [
        o for o in advocates if o.seat != seat.name
    ]
    random.Random(f"{room.minutes.id}/{seat.name}/{number}").shuffle(others)
    return others


def _latest(opinions: Sequence[Opinion]) -> dict[str, Opinion]:
    return {opinion.seat: opinion for opinion in opinions if not opinion.advocate}


def _unanimous(opinions: Iterable[Opinion]) -> bool:
    return len({normal(opinion.position) for opinion in opinions}) == 1


def _tested(opinions: Sequence[Opinion]) -> bool:
    """Somebody held something else at some time, or spoke as the devil's advocate."""
    return any(opinion.advocate for opinion in opinions) or len({normal(o.position) for o in opinions}) > 1


def _over(number: int, before: dict[str, Opinion], now: dict[str, Opinion], opinions: Sequence[Opinion]) -> str:
    """Why there is no further round: convergence, standstill or minds that move in circles."""
    if _unanimous(now.values()):
        return "all agreed from the first round on" if number == 1 else f"all positions converged in round {number}"
    if number == 1:
        return ""
    if all(normal(now[name].position) == normal(said.position) for name, said in before.items() if name in now):
        return f"nobody changed position in round {number}"
    if circling := [name for name in now if _oscillates([o for o in opinions if o.seat == name and not o.advocate])]:
        return f"{', '.join(sorted(circling))} went back to an earlier position in round {number}, so minds move in circles"
    return ""


def _oscillates(said: Sequence[Opinion]) -> bool:
    """It has gone back to what it held two rounds before."""
    last = [normal(opinion.position) for opinion in said[-3:]]
    return len(last) == 3 and last[0] == last[2] != last[1]


def _remark(room: Room, positions: Sequence[str]) -> None:
    """What the reader should know about how minds moved."""
    minutes = room.minutes
    if aside := [opinion.seat for opinion in minutes.standing() if opinion.position not in positions]:
        minutes.notes.append(f"{', '.join(aside)} took none of the positions offered ({' / '.join(positions)}).")
    shifts = minutes.shifts()
    followed = [shift for shift in shifts if not shift.counted]
    if followed:
        names = ", ".join(dict.fromkeys(shift.seat for shift in followed))
        minutes.notes.append(f"{names} changed position without new verified evidence; the vote stays where it was.")
    if followed and len(followed) > CONFORMITY * len(minutes.answered()):
        minutes.notes.append(
            "More than half of the experts changed by conformity: take later rounds for arguments, not for votes."
        )
    if _unanimous(minutes.standing()) and not _tested(minutes.opinions) and len(minutes.standing()) > 1:
        minutes.notes.append(
            "All agreed from the first round on, and nobody argued against it: more than one round would have."
        )
