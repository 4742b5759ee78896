"""The nouns of the live view: what is known of a running consultation (`Sight`), and what is shown of it (`View`).

Times are seconds since the consultation began, so that a part whose facts stay the same stays the same: the browser lets
the clocks tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from orchestra_mcp.types import Consultation, Verdict

State = Literal["thinking", "answered", "absent", "spared", "judging"]
"""Of a seat's answer; `judging`: it only reviews or rules, `spared`: it was told to stop because the others sufficed."""
Step = Literal["done", "now", "later", "skipped"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of a consultation at one moment."""

    kept: Consultation
    elapsed: float
    """Seconds since it began, until now or until it was closed."""
    verdict: Verdict | None = None
    """The best one so far."""
    stage: str = ""
    """What the council is at, in its own words; empty when it runs in another process."""
    awaited: tuple[str, ...] | None = None
    """Seats that are thinking now; None when only the events tell."""
    bench: tuple[str, ...] = ()
    """Seats that may still be asked."""
    makers: Mapping[str, str] = field(default_factory=dict)
    """Seat → who trained its model, or who serves it, where that is known before it answers."""
    mine: bool = False
    """It runs in this process."""


@dataclass(frozen=True, slots=True)
class Claims:
    """How many statements were compared with the code, by what came of it."""

    verified: int = 0
    refuted: int = 0
    unchecked: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.verified + self.refuted + self.unchecked


@dataclass(frozen=True, slots=True)
class Card:
    """One seat."""

    name: str
    state: State
    maker: str = ""
    doing: str = ""
    """What it is at beside its answer, such as a review; empty when nothing."""
    since: float | None = None
    """When it began what it is at, in seconds; None while it waits for nobody."""
    took: float | None = None
    """How long its answer took, or how long it was waited for."""
    position: str = ""
    before: str = ""
    """What it held in the round before, when that was something else."""
    reason: str = ""
    """Why it is absent."""
    round: int = 1
    claims: Claims = Claims()
    ranked: tuple[str, ...] = ()
    """Whose answers it ranked, best first, once its ballot is in."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the way to a verdict."""

    key: str
    title: str
    step: Step
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one seat makes of one position."""

    mark: str = "—"
    word: str = "not known yet"
    stance: str = "open"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A position so far, with those who hold it."""

    rank: int
    position: str
    probability: float
    seats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Seats × positions."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, tuple[Cell, ...]], ...] = ()
    share: float = 0.0
    """Weight of those who hold the first position, of all who answered."""


@dataclass(frozen=True, slots=True)
class Money:
    """What it has cost so far."""

    usd: Decimal = Decimal(0)
    tokens: int = 0
    calls: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """The whole page."""

    id: str
    closed: bool
    status: str
    elapsed: float
    now: str
    """What is happening, in one line."""
    said: str
    """What a screen reader is told when it changes."""
    stages: tuple[Stage, ...]
    cards: tuple[Card, ...]
    residents: tuple[Card, ...]
    matrix: Matrix
    claims: Claims
    money: Money
    answered: int
    asked: int
    bench: tuple[str, ...]
    mine: bool
