"""Figures of `context.py`: recall, what a pack holds, means with intervals, and tables. Pure."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from context_cases import Case

T = TypeVar("T")
RESAMPLES = 2000
_WORDS = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]+|\n[ \t]*| {2,}")

Positions = tuple[int | None, ...]
"""The place of each gold file in the ranking, from 1; None when it is not there."""
Span = tuple[str, int, int]


def positions(files: Sequence[str], gold: Sequence[str]) -> Positions:
    """Where the gold files stand."""
    at = {path: number for number, path in reversed(list(enumerate(files, 1)))}
    return tuple(at.get(path) for path in gold)


def recall(found: Positions, k: int) -> float:
    """Share of the gold files among the first k."""
    return sum(p is not None and p <= k for p in found) / len(found)


def whole(found: Positions, k: int) -> float:
    """1 when all gold files are among the first k, else 0."""
    return float(all(p is not None and p <= k for p in found))


def reciprocal(found: Positions) -> float:
    """1 / place of the first gold file."""
    return max((1 / p for p in found if p), default=0.0)


@dataclass(frozen=True, slots=True)
class Pack:
    """What a dossier's excerpts hold of the gold, and what they cost."""

    functions: float | None
    """Share of the gold functions that are wholly shown; None when there are none."""
    lines: float | None
    """Share of the gold lines that are shown."""
    estimated: int
    """Tokens by Orchestra's own estimate."""
    counted: int
    """Pieces by a pattern that is about 10 % off a byte-pair vocabulary, headings not counted."""
    characters: int


def pack(case: Case, spans: Iterable[Span], texts: Sequence[str], estimated: int) -> Pack:
    """Measure one dossier."""
    shown: dict[str, set[int]] = defaultdict(set)
    for path, start, end in spans:
        shown[path].update(range(start, end + 1))
    gold = [f for f in case.gold_functions if f[4] in ("function", "method")] or list(case.gold_functions)
    inside = [set(range(start, end + 1)) <= shown[path] for path, _, start, end, _ in gold]
    lines = [line in shown[path] for path, start, end in case.gold_spans for line in range(start, end + 1)]
    return Pack(
        sum(inside) / len(inside) if inside else None,
        sum(lines) / len(lines) if lines else None,
        estimated,
        sum(len(_WORDS.findall(text)) for text in texts),
        sum(map(len, texts)),
    )


def mean(values: Iterable[float | None]) -> float:
    """Of those that are known; nan when none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")


def interval(values: Iterable[float | None]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, always with the same resamples."""
    known = [value for value in values if value is not None]
    if not known:
        return float("nan"), float("nan")
    chance = random.Random(1)
    means = sorted(sum(chance.choices(known, k=len(known))) / len(known) for _ in range(RESAMPLES))
    return means[int(RESAMPLES * 0.025)], means[int(RESAMPLES * 0.975)]


def with_interval(values: Iterable[float | None], sign: str = "") -> str:
    """`.62 [.55, .69]`."""
    known = list(values)
    low, high = interval(known)
    return f"{mean(known):{sign}.3f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def grouped(rows: Sequence[T], *keys: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """All rows, then those of each value of each key; an empty value makes no group."""
    groups = [("all", list(rows))]
    for key in keys:
        found: dict[str, list[T]] = defaultdict(list)
        for row in rows:
            if name := key(row):
                found[name].append(row)
        groups += sorted(found.items(), key=lambda item: -len(item[1]))
    return groups


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table under its title."""
    lines = [f"\n### {title}\n", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")
