"""What a council does with a question: one function each, over the room. Add a strategy here and in STRATEGIES.

A strategy only writes minutes; `verdicts.conclude` can make a verdict from them at any moment, so that a deadline, a
cancelled wait or a lost chair never costs what was already answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from orchestra_mcp.council import verdicts
from orchestra_mcp.council.debate import challenge, debate, rebut
from orchestra_mcp.council.ranking import PASSES, TRIALS, Ranked, model_of, rank, told_apart
from orchestra_mcp.council.room import Room
from orchestra_mcp.council.scales import stopping
from orchestra_mcp.council.scales.weights import vote
from orchestra_mcp.council.seating import NEAR_BEST, Seating, judges
from orchestra_mcp.council.steps.comparing import compare
from orchestra_mcp.council.steps.hearing import hear, never
from orchestra_mcp.council.steps.reviewing import poll
from orchestra_mcp.council.steps.ruling import rule
from orchestra_mcp.council.steps.trying import try_answers
from orchestra_mcp.types import Effort, EvidenceKind, Opinion, Seat

Strategy = Callable[[Room, Seating], Awaitable[None]]

JUDGES: dict[Effort, int] = {"quick": 0, "standard": 2, "auto": 2, "deep": 2}
"""Reviewers: a third one added nothing."""
TESTED: frozenset[EvidenceKind] = frozenset({"executed", "exact", "same-code", "cited", "entailed"})
"""Kinds of agreement that rest on more than alike wording."""


async def consult(room: Room, seating: Seating) -> None:
    """Openers apart; test of agreement; the seat most likely to settle it, while that pays; critique; the chair."""
    minutes = room.minutes
    reserve = list(seating.reserve)
    async with anyio.create_task_group() as group:
        group.start_soon(room.hear_residents)
        minutes.stage = "hearing the experts"
        await _open(room, seating, reserve)
    await _settle(room)
    while not (reason := _enough(room, reserve)):
        minutes.stage = "asking a further expert"
        seat = _next(room, reserve)
        await hear(room, [seat], room.writer.opinion, round=1)
        await _settle(room)
    minutes.stopped = reason
    if minutes.effort == "deep" and _untested(room):
        await challenge(room)
    await _critique(room, seating)
    await rule(room)


STRATEGIES: dict[str, Strategy] = {
    "consult": consult,
    "debate": debate,
    # Add here.
}


async def _open(room: Room, seating: Seating, reserve: list[Seat]) -> None:
    """Hear the openers; in a hurry the next seat starts with them, and is told to stop when they agree."""
    ahead = reserve[:1] if room.hurry and len(seating.openers) > 1 and room.minutes.effort != "quick" else []
    openers = {seat.name for seat in seating.openers}

    def agreed(opinions: Sequence[Opinion]) -> bool:
        heard = [opinion for opinion in opinions if opinion.seat in openers]
        return len(heard) == len(openers) and _one_voice(room, heard)

    seats = (*seating.openers, *ahead)
    spares = [seat for seat in reserve if seat not in ahead]
    await hear(room, seats, room.writer.opinion, spares, enough=agreed if ahead else never)


async def _settle(room: Room) -> None:
    """Find out which answers say the same: run them, try their patches, and compare what only differs in words."""
    opinions = room.minutes.standing()
    await try_answers(room, opinions)
    if len(opinions) > 1:
        await compare(room, opinions)


def _enough(room: Room, reserve: Sequence[Seat]) -> str:
    """Why nobody else is asked; empty while a further expert is worth it."""
    minutes = room.minutes
    opinions, effort = minutes.standing(), minutes.effort
    left = [seat for seat in reserve if seat.name not in minutes.asked]
    if not opinions:
        return "no language model answered" if minutes.asked else "no language model was asked"
    ranked, _ = rank(opinions, minutes)
    verdict = verdicts.conclude(minutes)
    one = _one_voice(room, opinions)
    if one and (effort != "deep" or stopping.confident(verdict.confidence, effort)):
        return "the experts agree, so nobody else was asked"
    if effort == "quick":
        return "a quick consultation asks nobody else"
    if not left:
        if len(opinions) == 1:
            return "one expert was asked" if len(set(minutes.asked)) == 1 else "only one expert gave a usable answer"
        return "the experts agree" if len(ranked) == 1 else "the experts differ, and everyone was asked"
    if full := stopping.full(len(opinions)):
        return full
    if sure := stopping.confident(verdict.confidence, effort):
        return sure
    if ahead := stopping.lossless(
        _lead(ranked), [_most(room, seat) for seat in left[: stopping.SEATS - len(opinions)]]
    ):
        return ahead
    asked = minutes.question.max_cost_usd
    limit = room.limits.max_cost_usd if asked is None else asked
    if cost := room.price(_next(room, left), "opinion"):
        return stopping.not_worthwhile(
            verdict.confidence, len(opinions), len(ranked) > 1 or ranked[0].proof < 0, float(limit), float(cost)
        )
    return ""


def _lead(ranked: Sequence[Ranked]) -> float:
    """How far the first is ahead of all others together, since a later answer may show that some are one."""
    return ranked[0].score - sum(max(0.0, r.score) for r in ranked[1:])


def _most(room: Room, seat: Seat) -> float:
    """The most that one more answer can bring: its vote, and what running it may show."""
    tests = max(TRIALS.values()) if room.evidence is not None and room.workbench is not None else 0.0
    runs = PASSES if room.minutes.found.behaviours else 0.0
    return max(room.minutes.weight(seat.name), vote(room.minutes.skill(seat.name))) + max(tests, runs)


def _next(room: Room, reserve: Sequence[Seat]) -> Seat:
    """The seat most likely to settle it: the strongest that was not asked, of a family that was not heard where one is
    nearly as good (seats of one family err together)."""
    minutes = room.minutes
    left = [seat for seat in reserve if seat.name not in minutes.asked]
    heard = {minutes.seats[name].family for name in minutes.answered()}
    near = [s for s in left if minutes.skill(s.name) >= minutes.skill(left[0].name) - NEAR_BEST]
    return next((seat for seat in near if seat.family not in heard), left[0])


def _one_voice(room: Room, opinions: Sequence[Opinion]) -> bool:
    """Several models say the same, on more evidence than similar wording, and nothing that ran speaks against it."""
    ranked, _ = rank(opinions, room.minutes)
    if len(ranked) != 1 or ranked[0].evidence not in TESTED or ranked[0].proof < 0:
        return False
    return len({model_of(opinion, room.minutes) for opinion in opinions}) > 1


def _untested(room: Room) -> bool:
    """Several agree, and nothing that ran supports them."""
    opinions = room.minutes.standing()
    ranked, _ = rank(opinions, room.minutes)
    return len(ranked) == 1 and len(opinions) > 1 and not ranked[0].tested and ranked[0].evidence != "executed"


async def _critique(room: Room, seating: Seating) -> None:
    """Where answers differ and no execution has told them apart: blind ballots, and a rebuttal in a deep council."""
    minutes = room.minutes
    rounds = 0
    while not stopping.reviewed_enough(rounds, minutes.effort):
        ranked, _ = rank(minutes.standing(), minutes)
        if len(ranked) < 2 or told_apart(ranked[:2]):
            return
        if stopping.confident(verdicts.conclude(minutes).confidence, minutes.effort):
            return  # the lead is such that ballots would only cost
        before = _probabilities(room)
        if rounds == 0:
            await _review(room, seating, ranked)
        else:
            await rebut(room, ranked[:2])
            await _settle(room)
        rounds += 1
        if rounds > 1 and (still := stopping.settled(before, _probabilities(room))):
            minutes.stopped += f"; {still}"
            return


async def _review(room: Room, seating: Seating, ranked: Sequence[Ranked]) -> None:
    """Have the most reliable seats rank one answer of each solution, unsigned; those who wrote none of them first."""
    minutes = room.minutes
    minutes.stage = "reviewing blind"
    everyone = (*seating.openers, *seating.reserve)
    authors = minutes.answered()
    if room.evidence is None and not minutes.found.behaviours:
        # Nothing that an author holds against others could be checked, and its ranking would repeat its vote.
        everyone = tuple(seat for seat in everyone if seat.name not in authors)
    chosen = judges(everyone, authors, minutes.failed, JUDGES[minutes.effort], minutes.experience)
    if not chosen:
        return
    answers = [r.opinions[0] for r in ranked][:6]
    ballots = await poll(room, chosen, answers, [opinion.seat for opinion in answers[:2]])
    minutes.stopped += "; their answers were reviewed blind" if ballots else "; their answers could not be reviewed"


def _probabilities(room: Room) -> dict[str, float]:
    verdict = verdicts.conclude(room.minutes)
    return {solution.position: solution.probability for solution in verdict.solutions}
