"""The spans of a consultation as bars on a line of time, one below the other, each below the one around it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestra_mcp.types import Span, SpanValue

MOST: Final = 300
"""Bars that are drawn; a page with more is of use to nobody, and the table has them all."""
ROW: Final = 24
"""Height of a row, in pixels."""
HEAD: Final = 22
"""Height of the scale above the bars."""
LETTER: Final = 1.0
"""About the width of a letter on a wide screen, in percent; names that are wider than their bars stand beside them."""
ROOM: Final = 70
"""Right of this there is no room for a name, in percent."""
MIDDLE: Final = 55
"""Names of bars that begin right of this end where their bars end: on a narrow screen they need the room to the left."""
LEAST: Final = 0.25
"""The narrowest bar, in percent."""
STEPS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
"""Seconds between two lines of the scale, of which there are at most six."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One span where it is drawn; `x` and `width` in percent of the whole time, `y` in pixels."""

    span: Span
    depth: int
    x: float
    width: float
    y: int
    start: float
    """Seconds after the beginning of all."""
    text_x: float
    """Where its name stands, in percent."""
    text_dx: int
    """…and how many pixels beside that."""
    anchor: str
    """`start` or `end`."""
    kind: str
    """`call`, `bad`, or `step`."""


@dataclass(frozen=True, slots=True)
class Flame:
    """The whole picture."""

    bars: tuple[Bar, ...]
    seconds: float
    height: int
    ticks: tuple[tuple[float, float], ...]
    """(percent, seconds)."""
    missing: int
    """Spans that are not drawn."""


def flame(spans: Sequence[Span]) -> Flame | None:
    """Lay spans out; None without any. Spans whose parent is missing, or is their own child, stand at the left."""
    if not spans:
        return None
    begin = min(span.started for span in spans)
    whole = max(max(_end(span) for span in spans) - begin, timedelta(milliseconds=1)).total_seconds()
    ids = {span.id for span in spans}
    below: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        below[span.parent if span.parent in ids and span.parent != span.id else ""].append(span)
    order: list[tuple[Span, int]] = []
    seen: set[str] = set()
    stack = [(span, 0) for span in _latest_first(below[""])]
    while stack:
        span, depth = stack.pop()
        if span.id in seen:
            continue
        seen.add(span.id)
        order.append((span, depth))
        stack += [(child, depth + 1) for child in _latest_first(below.get(span.id, []))]
    order += [(span, 0) for span in spans if span.id not in seen]  # rings, which nobody should write
    shown = order[:MOST]
    bars = tuple(_bar(span, depth, number, begin, whole) for number, (span, depth) in enumerate(shown))
    step = next((step for step in STEPS if whole / step <= 6), whole / 6)
    ticks = tuple((100 * number * step / whole, number * step) for number in range(int(whole / step) + 1))
    return Flame(bars, whole, HEAD + ROW * len(bars) + 4, ticks, len(order) - len(shown))


def facts(span: Span) -> list[tuple[str, SpanValue]]:
    """What is known of a span, by short names, without what everybody knows."""
    return [
        (name.removeprefix("orchestra.").removeprefix("gen_ai."), value)
        for name, value in sorted(span.attributes.items())
    ]


def _end(span: Span) -> datetime:
    return span.started + timedelta(seconds=max(0.0, min(span.seconds, 1e6)))


def _latest_first(spans: Sequence[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.started, -span.seconds), reverse=True)


def _bar(span: Span, depth: int, number: int, begin: datetime, whole: float) -> Bar:
    start = (span.started - begin).total_seconds()
    x = min(100 * start / whole, 100 - LEAST)
    width = max(LEAST, min(100 * max(span.seconds, 0) / whole, 100 - x))
    kind = "bad" if span.error else "call" if span.kind == "client" else "step"
    if (len(span.name) + 7) * LETTER <= width:
        text = (x, 6, "start") if x < MIDDLE else (x + width, -6, "end")
    elif x + width < ROOM:
        text = (x + width, 6, "start")
    else:
        text = (x, -6, "end") if x > 100 - ROOM else (x, 6, "start")
    return Bar(span, depth, x, width, HEAD + ROW * number, start, *text, kind)
