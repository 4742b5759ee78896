"""Blind review: judges rank unsigned answers, each in an order of its own, and say what is wrong with the leading two."""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio

from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.room import LETTERS, Room
from orchestra_mcp.council.steps.trying import try_tests
from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import traced
from orchestra_mcp.types import Ballot, Check, Claim, Defect, Opinion, Seat


@traced("poll judges")
async def poll(
    room: Room, judges: Sequence[Seat], opinions: Sequence[Opinion], leading: Sequence[str] = ()
) -> list[Ballot]:
    """Have judges rank answers, unsigned.

    A judge does not see its own work, unless too little would be left to compare.

    Args:
        room: the consultation.
        judges: who reviews.
        opinions: one answer for each solution.
        leading: seats of the two answers that stand first; only these are searched for defects.
    """
    ballots: list[Ballot] = []
    async with anyio.create_task_group() as group:
        for judge in judges:
            group.start_soon(_poll_one, room, judge, opinions, leading, ballots)
    return ballots


async def _poll_one(
    room: Room, judge: Seat, opinions: Sequence[Opinion], leading: Sequence[str], ballots: list[Ballot]
) -> None:
    # Seeded, so that a stored consultation can be replayed; a new order and new letters for every judge.
    dice = random.Random(f"{room.minutes.id}/{judge.name}")
    others = [opinion for opinion in opinions if opinion.seat != judge.name]
    shown = others if len(others) > 1 else list(opinions)
    if len(shown) < 2:
        return
    dice.shuffle(shown)
    lettered = list(zip(LETTERS, shown, strict=False))
    seats = {letter: opinion.seat for letter, opinion in lettered}
    marked = tuple(letter for letter, seat in seats.items() if seat in leading)
    room.tell("reviewing", judge.name)
    began = anyio.current_time()
    try:
        with room.thinking(judge, "review") as doing:
            doing.set(names.LABELS, tuple(f"{letter}={seat}" for letter, seat in seats.items()))
            reply = await room.say(judge, room.writer.review(judge, lettered, marked), "review")
            fields = await room.without_secrets(reading.read_ballot(reply.text, tuple(seats)))
            doing.set(names.RANKING, tuple(seats[letter] for letter in fields["ranking"]))
    except OrchestraError as error:
        await room.note_absence(room.absence(judge, error, began, "review"))
        return
    held = [(seats[letter], claim) for letter, claim in fields["defects"]]
    ballot = Ballot(
        judge=judge.name,
        shown=tuple(seats.values()),
        ranking=tuple(seats[letter] for letter in fields["ranking"]),
        same=tuple(tuple(seats[letter] for letter in group) for group in fields["same"]),
        defects=await check_defects(room, judge.name, held),
        why=fields["why"],
        model_id=judge.model_id or judge.model,
        usage=reply.usage,
        seconds=anyio.current_time() - began,
    )
    try:
        await room.record(ballot)
    finally:
        room.minutes.ballots.append(ballot)
    ballots.append(ballot)
    room.tell("voted", judge.name, ballot.why)


async def check_defects(room: Room, critic: str, held: Sequence[tuple[str, Claim]]) -> tuple[Defect, ...]:
    """What an expert holds against others, each with its check: tests are run, quotations and calls are looked up."""
    tested = [(candidate, claim) for candidate, claim in held if claim.test]
    looked = [(candidate, claim) for candidate, claim in held if not claim.test]
    claims = await try_tests(room, critic, tested) if tested else []
    claims += [as_accusation(claim) for claim in await room.checked([claim for _, claim in looked])]
    return tuple(
        Defect(candidate=candidate, critic=critic, claim=claim)
        for (candidate, _), claim in zip((*tested, *looked), claims, strict=True)
    )


def as_accusation(claim: Claim) -> Claim:
    """Code that is there proves nothing by itself against an answer: a machine cannot see the contradiction.

    What was found is noted (`place`), so that `ranking` can count it where experts of two families hold the same.
    """
    if not (claim.check and claim.check.outcome == "verified"):
        return claim
    found = bool(claim.quote or claim.calls or claim.raises)
    note = f"{claim.check.note}; whether that contradicts the answer no machine can tell"
    return claim.model_copy(update={"check": Check(outcome="unchecked", note=note, name="place" if found else "")})
