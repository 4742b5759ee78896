"""Whether different words mean the same: one cheap call that compares the position lines, and nothing but them.

Two positions are one when each entails the other (semantic entropy, Farquhar et al., Nature 630, 2024, clusters answers
in this way); similarity of embeddings is no substitute.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

import anyio

from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.answers.likeness import normal
from orchestra_mcp.council.room import LETTERS, Room
from orchestra_mcp.council.scales.clustering import Comparison, cluster, undecided
from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.types import Opinion, Seat

DEAR = Decimal(1000)
"""What an unknown price counts as, so that seats of known price come first."""


async def compare(room: Room, opinions: Sequence[Opinion]) -> None:
    """Put together what means the same, where words, places and behaviour have not told already.

    One answer stands for each cluster so far. A comparison that fails leaves the answers apart, and a note says so.
    """
    minutes = room.minutes
    if sum(bool(opinion.option) for opinion in opinions) * 2 > len(opinions):
        return  # whoever chose none of the options has not voted
    standing = {opinion.seat: opinion for opinion in opinions}
    firsts = [standing[group.seats[0]] for group in cluster(opinions, minutes.found, lexical=False)]
    if len(firsts) < 2 or not undecided(firsts, minutes.found):
        return
    minutes.stage = "comparing the positions"
    random.Random(f"{minutes.id}/compare/{len(opinions)}").shuffle(firsts)
    lettered = dict(zip(LETTERS, firsts, strict=False))
    for seat in cheapest(room)[:2]:
        began = anyio.current_time()
        try:
            with room.thinking(seat, "compare"):
                messages = room.writer.compare(seat, [opinion.position for opinion in lettered.values()])
                reply = await room.say(seat, messages, "compare")
                groups = reading.read_groups(reply.text, tuple(lettered))
        except OrchestraError as error:
            await room.note_absence(room.absence(seat, error, began, "compare"))
            continue
        said = {letter: normal(opinion.position) for letter, opinion in lettered.items()}
        named = tuple(tuple(said[letter] for letter in group) for group in groups)
        minutes.found.comparisons.append(Comparison(frozenset(said.values()), named))
        return
    note = "The positions could not be compared for meaning, so that answers which agree in other words stand apart."
    if note not in minutes.notes:
        minutes.notes.append(note)


def cheapest(room: Room) -> list[Seat]:
    """All seats that have not failed, the cheapest first; among equals the better one."""
    minutes = room.minutes

    def cost(seat: Seat) -> tuple[Decimal, float, str]:
        known = room.price(seat, "compare")
        return (
            Decimal(0) if seat.local else DEAR if known is None else known,
            -minutes.skill(seat.name),
            seat.model_id,
        )

    return sorted((seat for seat in minutes.seats.values() if seat.name not in minutes.failed), key=cost)
