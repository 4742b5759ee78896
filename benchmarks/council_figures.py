"""Figures with intervals, and whether a gate is passed."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestra_mcp.council.scales.confidence import calibration_error

RESAMPLES = 400


@dataclass(frozen=True)
class Figure:
    """A measured value with its bootstrap 95 % interval over questions."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(rows: Sequence[tuple[float, ...]], measure: Callable[[Sequence[tuple[float, ...]]], float]) -> Figure:
    """A measure of questions, with the interval that resampling whole questions gives (so that comparisons are paired)."""
    dice = random.Random(20_26)
    found = sorted(measure(dice.choices(rows, k=len(rows))) for _ in range(RESAMPLES if rows else 0))
    if not found:
        return Figure(float("nan"), float("nan"), float("nan"), 0)
    return Figure(measure(rows), found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES) - 1], len(rows))


def gain(ours: Sequence[bool], theirs: Sequence[bool]) -> Figure:
    """Points by which one is right more often than the other, on the same questions."""
    rows = [(100.0 * (a - b),) for a, b in zip(ours, theirs, strict=True)]
    return bootstrap(rows, lambda sample: statistics.fmean(row[0] for row in sample))


def expected_error(stated: Sequence[float], right: Sequence[bool]) -> Figure:
    """Expected calibration error, ten bins of equal width."""
    rows = [(p, float(y)) for p, y in zip(stated, right, strict=True)]
    return bootstrap(rows, lambda sample: calibration_error([p for p, _ in sample], [y > 0 for _, y in sample]))


def area(scores: Sequence[float], right: Sequence[bool]) -> Figure:
    """AUROC: how often a right answer has the higher score than a wrong one; ties count half."""
    rows = [(score, float(y)) for score, y in zip(scores, right, strict=True)]
    return bootstrap(rows, _area)


def _area(sample: Sequence[tuple[float, ...]]) -> float:
    ordered = sorted(sample)
    positive = sum(y for _, y in ordered)
    negative = len(ordered) - positive
    if not positive or not negative:
        return 0.5
    ranks, start = 0.0, 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or ordered[end][0] != ordered[start][0]:
            ranks += (start + 1 + end) / 2 * sum(y for _, y in ordered[start:end])
            start = end
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def at_least(figure: Figure, target: float, above: float | None = None) -> str:
    """PASS when the value reaches the target and the interval lies above `above` (the target, where it is not given)."""
    floor = target if above is None else above
    if figure.value >= target and figure.low >= floor:
        return "PASS"
    return (
        "FAIL" if figure.high < target else "inconclusive" + (" (the value passes)" if figure.value >= target else "")
    )


def at_most(figure: Figure, target: float) -> str:
    """PASS when the whole interval is at or below the target."""
    if figure.high <= target:
        return "PASS"
    return "FAIL" if figure.low > target else "inconclusive" + (" (the value passes)" if figure.value <= target else "")


def line(name: str, figure: Figure, target: str, outcome: str, unit: str = "", more: str = "") -> str:
    """One row of the report."""
    digits = 1 if unit else 3
    sign = "+" if unit == "points" else ""
    value = f"{figure.value:{sign}.{digits}f} [{figure.low:{sign}.{digits}f}, {figure.high:{sign}.{digits}f}] {unit}".rstrip()
    return f"  {name:52} n={figure.n:<6} {value:30} target {target:28} {outcome}{f'; {more}' if more else ''}"


def plain(name: str, said: str, target: str = "", outcome: str = "") -> str:
    """A row without an interval."""
    return f"  {name:52} {said:39} {f'target {target:28} ' if target else ''}{outcome}".rstrip()
