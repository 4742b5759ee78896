"""Shares, rates and times with their 95 % intervals, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Z = 1.959964
"""Of 95 %, two-sided."""


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Interval of a share. Source: Wilson 1927, as in Brown, Cai, DasGupta 2001, equation 4."""
    if not of:
        return 0.0, 1.0
    p = hits / of
    middle = p + Z * Z / (2 * of)
    half = Z * math.sqrt(p * (1 - p) / of + Z * Z / (4 * of * of))
    return max(0.0, (middle - half) / (1 + Z * Z / of)), min(1.0, (middle + half) / (1 + Z * Z / of))


def poisson(count: int) -> tuple[float, float]:
    """Exact interval of the mean of a count (Garwood 1936), by bisection of the distribution."""
    low = 0.0 if not count else _solve(lambda mean: 1 - _at_most(count - 1, mean) - 0.025, count)
    return low, _solve(lambda mean: 0.025 - _at_most(count, mean), count)


def _at_most(count: int, mean: float) -> float:
    if mean <= 0:
        return 1.0
    return sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _solve(rising: Callable[[float], float], near: int) -> float:
    low, high = 0.0, near + 10 + 6 * math.sqrt(near + 1)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed; nan of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def share(hits: int, of: int) -> str:
    """`58/60 .97 [.89-.99]`."""
    if not of:
        return "-"
    low, high = wilson(hits, of)
    return f"{hits}/{of} {hits / of:.3f} [{low:.2f}-{high:.2f}]"


def rate(count: int, hours: float) -> str:
    """`1 in 2.0 h = 0.5/h [0.0-2.8]`."""
    if not hours:
        return "-"
    low, high = (end / hours for end in poisson(count))
    return f"{count} in {hours:.2f} h = {count / hours:.2f}/h [{low:.2f}-{high:.2f}]"


def times(values: Sequence[float]) -> str:
    """Median, 95 % and worst, in seconds."""
    if not values:
        return "-"
    return f"{quantile(values, 0.5):.3f} / {quantile(values, 0.95):.3f} / {max(values):.3f} (n={len(values)})"


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [f"\n## {title}", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Fewest insertions, deletions and replacements of words that turn one into the other, and the words that were said."""
    first, second = said.lower().split(), heard.lower().split()
    row = list(range(len(second) + 1))
    for i, word in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1], len(first)
