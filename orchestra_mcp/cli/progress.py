"""A council at work, as seen from a terminal: a live table of seats, or plain lines on standard error.

`Board` folds events into what is known of each seat; it does no input or output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestra_mcp.cli.terminal import Desk, console
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Event, Observer

if TYPE_CHECKING:
    from rich.table import Table

# What an event means for its seat: (word in the table, does the seat go on working?). Add here.
SEAT_STATES: dict[str, tuple[str, bool]] = {
    "asked": ("thinking", True),
    "answered": ("answered", False),
    "absent": ("absent", False),
    "reviewing": ("reviewing", True),
    "voted": ("reviewed", False),
    "ruling": ("writing the verdict", True),
}

# What an event means for the council as a whole. Add here.
STAGES = {
    "collecting": "collecting the context",
    "collected": "context collected",
    "seated": "seated",
    "asked": "asking",
    "agreed": "agreed",
    "checking": "checking claims against the code",
    "reviewing": "blind review",
    "ruling": "the chair writes the verdict",
    "closed": "closed",
    "note": "note",
}

COLOURS = {"answered": "green", "reviewed": "green", "absent": "red"}
WIDTH = 200
"""Longest remark of an expert on one line, in characters."""


@dataclass
class Place:
    """What is known of one seat."""

    state: str
    since: float
    """Seconds since the consultation began, when the state was reached."""
    busy: bool
    remark: str = ""
    took: float = 0.0


@dataclass
class Board:
    """The fold of a consultation's events."""

    stage: str = "opening"
    now: float = 0.0
    places: dict[str, Place] = field(default_factory=dict)

    def heed(self, event: Event) -> None:
        """Take in one event."""
        self.now = max(self.now, event.seconds)
        if event.kind in STAGES:
            self.stage = STAGES[event.kind] + (f": {one_line(event.detail)}" if event.detail and not event.seat else "")
        if event.kind == "closed":
            for place in self.places.values():
                if place.busy:
                    place.busy, place.took = False, self.now - place.since
        if not event.seat or event.kind not in SEAT_STATES:
            return
        state, busy = SEAT_STATES[event.kind]
        before = self.places.get(event.seat)
        took = event.seconds - before.since if before and before.busy else 0.0
        remark = one_line(event.detail) or (before.remark if before else "")
        self.places[event.seat] = Place(state, event.seconds, busy, remark, took)

    def rows(self, now: float) -> Iterator[tuple[str, str, float, str]]:
        """Seat, state, seconds that it works or took, remark."""
        for seat, place in self.places.items():
            yield plain(seat), place.state, now - place.since if place.busy else place.took, place.remark


def one_line(text: str) -> str:
    """Untrusted text as one short line."""
    line = " ".join(plain(text).split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def sentence(event: Event) -> str:
    """An event as a plain line."""
    state = SEAT_STATES.get(event.kind, ("", False))[0] if event.seat else STAGES.get(event.kind, event.kind)
    head = f"[{event.seconds:6.1f} s] {plain(event.seat)}{' ' if event.seat else ''}{state}"
    return head + (f": {one_line(event.detail)}" if event.detail else "")


@contextmanager
def watching(desk: Desk) -> Iterator[Observer | None]:
    """An observer that shows what happens; None when nothing shall be shown."""
    if desk.quiet:
        yield None
    elif desk.lively:
        with _live_table() as observer:
            yield observer
    else:
        yield lambda event: desk.say(sentence(event))


@contextmanager
def _live_table() -> Iterator[Observer]:
    from rich.live import Live

    board, began = Board(), time.monotonic()

    def heed(event: Event) -> None:
        nonlocal began
        board.heed(event)
        began = time.monotonic() - event.seconds

    def draw() -> Table:
        return _table(board, time.monotonic() - began)

    with Live(get_renderable=draw, console=console(sys.stderr), refresh_per_second=4, transient=True):
        yield heed


def _table(board: Board, now: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    rows = list(board.rows(now))
    table = Table(title=Text(f"{board.stage} ({now:.0f} s)"), title_justify="left", box=None, pad_edge=False)
    # Only the position may be cut: who it is and what they do must stay readable in a narrow window.
    table.add_column("expert", no_wrap=True, min_width=min(20, max((len(row[0]) for row in rows), default=6)))
    table.add_column("state", no_wrap=True, min_width=max((len(row[1]) for row in rows), default=5))
    table.add_column("seconds", justify="right", no_wrap=True, min_width=7)
    table.add_column("position", no_wrap=True, overflow="ellipsis", ratio=1)
    for seat, state, seconds, remark in rows:
        table.add_row(Text(seat), Text(state, style=COLOURS.get(state, "")), Text(f"{seconds:.1f}"), Text(remark))
    return table
