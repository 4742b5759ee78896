"""What all sections of the benchmark do: seat a council, have outcomes marked, keep questions apart."""

from __future__ import annotations

from collections.abc import Sequence

from council_data import Item, accuracy, drawn
from council_replay import Sat, sit, taught, untaught

from orchestra_mcp.council.scales.experience import Experience
from orchestra_mcp.types import Seat, Workbench


async def everyone(
    items: Sequence[Item], seats: Sequence[Seat], experience: Experience, workbench: Workbench | None = None
) -> list[Sat]:
    """All seats open on each question."""
    return [await sit(item, seats, experience, everyone=True, workbench=workbench) for item in items]


async def marked(items: Sequence[Item], seats: Sequence[Seat], n: int, seed: str) -> tuple[Experience, list[Sat]]:
    """What is known after `n` consultations on `tune` questions whose outcome was marked."""
    sats = await everyone(drawn([item for item in items if item.split == "tune"], n, seed), seats, untaught(seats))
    return taught(seats, sats), sats


def best_of(items: Sequence[Item], seats: Sequence[Seat]) -> str:
    """The model that is right most often on these very questions: hindsight that no user has."""
    return max((seat.name for seat in seats), key=lambda model: (accuracy(items, model), model))


def held_out(items: Sequence[Item], n: int, seed: str = "test") -> list[Item]:
    """Questions that nothing was learned from."""
    return drawn([item for item in items if item.split != "tune"], n, seed)


def share(right: Sequence[bool]) -> str:
    """A percentage."""
    return f"{100 * sum(right) / max(1, len(right)):.1f} %"
