"""What a council does with a question: one function each, over the room. Add a strategy here and in STRATEGIES.

A strategy only writes minutes; `verdicts.conclude` can make a verdict from them at any moment, so that a deadline, a
cancelled wait or a lost chair never costs what was already answered.
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from orchestra_mcp.council import verdicts
from orchestra_mcp.council.agreement import NEGATIONS, cluster, normal
from orchestra_mcp.council.room import Room
from orchestra_mcp.council.seating import MAX_SEATS, Seating, chairs, judges
from orchestra_mcp.gateway.provider import Message
from orchestra_mcp.types import Opinion, Seat

Strategy = Callable[[Room, Seating], Awaitable[None]]

MAX_ROUNDS = 6
JUDGES = {"quick": 0, "standard": 2, "auto": 2, "deep": 3}
YES = re.compile(r"^\W*(?:for|yes|agree|support|in favou?r|accept|true|correct)\b", re.IGNORECASE)
NO = re.compile(r"^\W*(?:against|no|disagree|oppose|reject|false|incorrect|not)\b", re.IGNORECASE)


async def consult(room: Room, seating: Seating) -> None:
    """Openers apart; agreement ends it; else further seats, a blind review, and the chair."""
    minutes = room.minutes
    effort = minutes.question.effort

    async with anyio.create_task_group() as group:
        group.start_soon(room.hear_residents)
        minutes.stage = "hearing the experts"
        await room.hear(seating.openers, room.writer.opinion, seating.reserve)
    if len(minutes.opinions) > 1 and _agree(minutes.opinions):
        minutes.stopped = "the experts agree, so nobody else was asked"
        room.tell("agreed", detail=minutes.opinions[0].position)
    elif len(minutes.opinions) > 1 and effort != "quick":
        await _widen(room, seating)
        if _agree(minutes.opinions):
            minutes.stopped = "the experts agree after a further one was asked"
        else:
            await _review(room, seating)
            how = "were reviewed blind" if minutes.ballots else "could not be reviewed"
            minutes.stopped = f"the experts differ; their answers {how}"
    elif len(minutes.opinions) > 1:
        minutes.stopped = "the experts differ, and a quick consultation has no review"
    elif minutes.opinions:
        asked = len(set(minutes.asked))
        minutes.stopped = "one expert was asked" if asked == 1 else "only one expert gave a usable answer"
    else:
        minutes.stopped = "no language model answered" if seating.openers else "no language model was asked"
    if effort != "quick":
        await _rule(room)


async def debate(room: Room, seating: Seating) -> None:
    """Rounds in which everyone sees the others' latest arguments unsigned; ends when minds no longer move."""
    minutes, question = room.minutes, room.minutes.question
    positions = question.positions or ("for", "against")
    seats = list(seating.openers)
    spares = seating.reserve
    limit = max(1, min(question.rounds, MAX_ROUNDS))

    async with anyio.create_task_group() as group:
        group.start_soon(room.hear_residents)
        for number in range(1, limit + 1):
            minutes.round, minutes.stage = number, f"debating, round {number} of {limit}"
            latest = _latest(minutes.opinions)
            heard = await room.hear(seats, partial(_turn, room, latest, positions), spares, number)
            _take_sides(minutes.opinions, positions)
            speakers = {opinion.seat for opinion in heard}
            seats = [minutes.seats[name] for name in minutes.asked if name in speakers]
            spares = ()
            now = _latest(minutes.opinions)
            if len(seats) < 2:
                minutes.stopped = "fewer than two experts were left to debate"
                break
            if len({opinion.position for opinion in now.values()}) == 1:
                minutes.stopped = f"all positions converged in round {number}"
                break
            if number > 1 and all(now[name].position == latest[name].position for name in speakers & set(latest)):
                minutes.stopped = f"nobody changed position in round {number}"
                break
        else:
            minutes.stopped = f"the agreed {limit} rounds were over"
    if aside := [opinion.seat for opinion in minutes.standing() if opinion.position not in positions]:
        minutes.notes.append(f"{', '.join(aside)} took none of the positions offered ({' / '.join(positions)}).")
    if not minutes.opinions:
        minutes.stopped = (
            "no language model answered"
            if seating.openers
            else "no language model was asked, and resident analysts cannot argue"
        )
    elif len(minutes.opinions) > 1:
        await _rule(room)


STRATEGIES: dict[str, Strategy] = {
    "consult": consult,
    "debate": debate,
    # Add here.
}


def _agree(opinions: list[Opinion]) -> bool:
    """All say the same, and on more evidence than similar wording."""
    clusters = cluster(opinions)
    return len(clusters) == 1 and clusters[0].evidence in ("exact", "cited")


async def _widen(room: Room, seating: Seating) -> None:
    """Ask reserve seats one by one, the strongest first, until two answers agree or the table is full."""
    minutes = room.minutes
    minutes.stage = "asking further experts"
    for seat in seating.reserve:
        if seat.name in minutes.asked:
            continue
        if len(minutes.answered()) >= MAX_SEATS or any(
            len(c.seats) > len(minutes.opinions) / 2 for c in cluster(minutes.opinions)
        ):
            return
        await room.hear([seat], room.writer.opinion)


async def _review(room: Room, seating: Seating) -> None:
    """Have the most reliable seats rank the others' answers, unsigned; non-authors first."""
    minutes = room.minutes
    minutes.stage = "reviewing blind"
    everyone = (*seating.openers, *seating.reserve)
    wanted = JUDGES[minutes.question.effort]
    able = [seat for seat in everyone if sum(o.seat != seat.name for o in minutes.opinions) > 1]
    await room.poll(judges(able, minutes.answered(), minutes.failed, wanted), minutes.opinions)


async def _rule(room: Room) -> None:
    """Have a chair write the synthesis, from the solutions in their settled order."""
    minutes = room.minutes
    if len(minutes.standing()) < 2:
        return  # one voice needs nobody to sum it up
    minutes.stage = "writing the synthesis"
    verdict = verdicts.conclude(minutes)
    by_seat = {opinion.seat: opinion for opinion in minutes.standing()}
    shown = [by_seat[solution.seats[0]] for solution in verdict.solutions[:3]]
    await room.rule(
        chairs(list(minutes.seats.values()), verdict.solutions[0].seats, minutes.failed),
        shown,
        verdicts.notes_for_chair(verdict, minutes),
        partial(verdicts.follows_the_order, solutions=verdict.solutions),
    )


def _latest(opinions: list[Opinion]) -> dict[str, Opinion]:
    return {opinion.seat: opinion for opinion in opinions}


def _turn(room: Room, latest: dict[str, Opinion], positions: tuple[str, ...], seat: Seat) -> tuple[Message, ...]:
    others = [opinion for name, opinion in latest.items() if name != seat.name]
    random.Random(f"{room.minutes.id}/{seat.name}/{room.minutes.round}").shuffle(others)
    return room.writer.argue(seat, latest.get(seat.name), others, positions)


def _take_sides(opinions: list[Opinion], positions: tuple[str, ...]) -> None:
    """Put each opinion on the side that it names; what it said stands at the head of its answer."""
    for index, opinion in enumerate(opinions):
        if opinion.position in positions:
            continue
        side = side_of(opinion.position, positions)
        if side:
            answer = opinion.answer if opinion.position in opinion.answer else f"{opinion.position}\n\n{opinion.answer}"
            opinions[index] = opinion.model_copy(update={"position": side, "answer": answer})


def side_of(position: str, positions: tuple[str, ...]) -> str:
    """Which of the positions a line begins with, else the only one that it names; empty when that is unclear."""
    plain = position.lower().strip(" *_`\"'.:")
    for side in sorted(positions, key=len, reverse=True):
        if re.match(rf"{re.escape(side.lower())}(?!\w)", plain):
            return side
    if set(positions) == {"for", "against"}:
        return "for" if YES.match(plain) else "against" if NO.match(plain) else ""
    if set(normal(plain).split()) & NEGATIONS:
        return ""  # whoever says "not Redis" names Redis
    named = [side for side in positions if re.search(rf"(?<!\w){re.escape(side.lower())}(?!\w)", plain)]
    return named[0] if len(named) == 1 else ""
