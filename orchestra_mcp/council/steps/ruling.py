"""The chair. Code and discrete answers are picked as they stand; an open question gets a synthesis.

The first chair writes it that can, keeps to the settled order and claims nothing that no answer supports; where none
can, the answer is merged without a model (`wording.merge`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import anyio

from orchestra_mcp.council import verdicts
from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.minutes import Synthesis
from orchestra_mcp.council.room import LETTERS, Room
from orchestra_mcp.council.seating import chairs
from orchestra_mcp.errors import BadReply, OrchestraError
from orchestra_mcp.types import Claim, Opinion, Solution

RAN = re.compile(r"\b(?:I|we|the council) (?:ran|tested|executed|reproduced|benchmarked|measured)\b", re.IGNORECASE)
CHAIRS = 3
"""So many are asked, one after the other."""


async def rule(room: Room) -> None:
    """Write the synthesis, where one is due: several experts, an open question, and more than quick effort."""
    minutes = room.minutes
    standing = {opinion.seat: opinion for opinion in minutes.standing()}
    if len(standing) < 2 or minutes.effort == "quick":
        return
    verdict = verdicts.conclude(minutes)
    shown = [standing[solution.seats[0]] for solution in verdict.solutions[:3]]
    if shown[0].option or shown[0].code:
        return  # picked: a discrete answer needs no words around it, and words around code break it
    minutes.stage = "writing the synthesis"
    lettered = list(zip(LETTERS, shown, strict=False))
    notes = verdicts.notes_for_chair(verdict, minutes)
    findings = [claim for opinion in minutes.residents for claim in opinion.claims][:12]
    seats = list(minutes.seats.values())
    for chair in chairs(seats, verdict.solutions[0].seats, minutes.failed | set(minutes.spared), minutes.experience)[
        :CHAIRS
    ]:
        room.tell("ruling", chair.name)
        asked_at = anyio.current_time()
        try:
            with room.thinking(chair, "chair"):
                reply = await room.say(chair, room.writer.chair(chair, lettered, notes, findings), "chair")
                fields = await room.without_secrets(reading.read_synthesis(reply.text, room.vocabulary))
                await _must_keep_to(fields["position"], fields["answer"], verdict.solutions, shown, findings, room)
        except OrchestraError as error:
            await room.note_absence(room.absence(chair, error, asked_at, "chair"))
            continue
        minutes.synthesis = Synthesis(seat=chair.name, **fields)
        return


async def _must_keep_to(
    position: str,
    answer: str,
    solutions: Sequence[Solution],
    shown: Sequence[Opinion],
    findings: Sequence[Claim],
    room: Room,
) -> None:
    """Refuse a synthesis that turns the order round, or points at places that nobody pointed at and that do not exist.

    Raises:
        BadReply: with what is wrong.
    """
    if not verdicts.follows_the_order(position, solutions):
        raise BadReply("the synthesis went against the settled order", "garbage")
    known = {(claim.path, claim.line) for claim in (*findings, *(c for o in shown for c in o.claims))}
    said = " ".join(opinion.answer for opinion in shown)
    new = [
        claim
        for claim in reading.claims_in(answer)
        if (claim.path, claim.line) not in known and f"{claim.path}:{claim.line}" not in said
    ]
    seen = {*room.minutes.dossier.shown, *(claim.path for o in shown for claim in o.claims)}
    for claim in await room.checked(new):
        if claim.check and claim.check.outcome == "refuted":
            raise BadReply(f"the synthesis claims what is not so: {claim.check.note}", "garbage")
        if room.evidence is not None and claim.path not in seen:
            raise BadReply(f"the synthesis points at {claim.path}, which nobody has shown", "garbage")
    found = room.minutes.found
    if (match := RAN.search(answer)) and not (
        found.behaviours or any(t.after != "not run" for t in found.trials.values())
    ):
        raise BadReply(f"the synthesis says {match.group()!r}, but nothing was run", "garbage")
    refuted = {
        (claim.path, claim.line)
        for opinion in shown
        for claim in opinion.claims
        if claim.check and claim.check.outcome == "refuted" and claim.path and claim.line
    }
    if again := [c for c in reading.claims_in(answer) if (c.path, c.line) in refuted]:
        raise BadReply(f"the synthesis repeats a refuted citation: {again[0].path}:{again[0].line}", "garbage")
