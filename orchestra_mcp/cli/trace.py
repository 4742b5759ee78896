"""`orchestra trace`: what was done when in a consultation, as the tree of its spans."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.running import with_orchestra
from orchestra_mcp.cli.terminal import Desk, console
from orchestra_mcp.foreign import plain
from orchestra_mcp.report import dollars
from orchestra_mcp.telemetry import names
from orchestra_mcp.types import Consultation, Span, SpanValue

BAR = 24
"""Characters of the bar that shows when a span began and how long it took."""
NO_SPANS = "Nothing is known of how consultation {id} went: {why}."
WHY = {
    "running": "it has only just begun; look again in a moment",
    "interrupted": "its process ended before that was written; what was said is in `orchestra show {id}`",
}
"""Why there are no spans, by the state of the consultation."""
OLD = "it was kept by a version that wrote none, or they were dropped when the store could not keep up"


def trace(args: argparse.Namespace, desk: Desk) -> int:
    """The tree of one consultation's spans, with durations, errors and costs."""

    async def work(orchestra: Orchestra) -> Consultation:
        return await orchestra.consultation(args.id)

    found = with_orchestra(work)
    if desk.as_json:
        spans = [span.model_dump(mode="json") for span in in_order(found.spans)]
        desk.document({"id": found.id, "status": found.status, "spans": spans})
    elif not found.spans:
        desk.say(NO_SPANS.format(id=found.id, why=WHY.get(found.status, OLD).format(id=found.id)))
    elif sys.stdout.isatty():
        _draw(found)
    else:
        for line in lines(found.spans):
            desk.text(line)
    return 0


def in_order(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Each span before those within it, and what began first first."""
    return tuple(span for _, span in walk(spans))


def walk(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Every span with its depth; one whose parent is not known (yet) counts as outermost."""
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda each: each.started):
        below.setdefault(span.parent if span.parent in known else "", []).append(span)
    waiting = [(0, span) for span in reversed(below.get("", []))]
    seen: set[str] = set()
    while waiting:
        depth, span = waiting.pop()
        if span.id in seen:
            continue
        seen.add(span.id)
        yield depth, span
        waiting += [(depth + 1, each) for each in reversed(below.get(span.id, []))]


def lines(spans: Sequence[Span]) -> Iterator[str]:
    """The tree as plain text, one line for each span: bar, seconds, name, what is to be known."""
    began = min(span.started for span in spans).timestamp()
    whole = max((span.started.timestamp() + span.seconds - began for span in spans), default=0.0)
    for depth, span in walk(spans):
        bar = _bar(span.started.timestamp() - began, span.seconds, whole)
        yield f"{bar} {span.seconds:8.3f} s  {'  ' * depth}{plain(span.name)}{_remarks(span)}".replace("\n", " ")


def _remarks(span: Span) -> str:
    """Where it failed, what it cost, what it was asked for: whatever of that there is."""
    told = span.attributes
    parts = []
    if span.error:
        parts.append(f"! {plain(span.error)}")
    for name, unit in ((names.STAGE, ""), (names.REASON, ""), (names.CACHE, " (cache)"), (names.RESULT, "")):
        if value := told.get(name):
            parts.append(f"{plain(str(value))}{unit}")
    tokens = [_number(told.get(name)) for name in (names.INPUT_TOKENS, names.OUTPUT_TOKENS)]
    if any(tokens):
        parts.append(f"{tokens[0]:.0f} in, {tokens[1]:.0f} out")
    cost = _number(told.get(names.COST, told.get(names.ROLLUP_COST)))
    if cost:
        parts.append(dollars(cost))
    if told.get(names.UNPRICED):
        parts.append("price unknown")
    return f"  ({', '.join(parts)})" if parts else ""


def _number(value: SpanValue | None) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _bar(start: float, seconds: float, whole: float) -> str:
    if whole <= 0:
        return " " * BAR
    first = min(BAR - 1, int(BAR * start / whole))
    length = max(1, min(BAR - first, round(BAR * seconds / whole)))
    return (" " * first + "━" * length).ljust(BAR)


def _draw(found: Consultation) -> None:
    from rich.text import Text

    screen = console(sys.stdout)
    for line, (_, span) in zip(lines(found.spans), walk(found.spans), strict=True):
        text = Text(line, no_wrap=True, overflow="ellipsis")
        text.stylize("cyan", 0, BAR)
        if span.error:
            text.stylize("red", BAR)
        screen.print(text)
