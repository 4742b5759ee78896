"""Which pieces of evidence fit the budget. Pure.

Candidates of one file that overlap become one; then the most useful come first, whole if they fit, cut around their
important lines if they are too long, and listed as left out otherwise. An excerpt from a file is always exactly the
lines `start` to `end` of that file: where lines are left out in the middle, the parts are excerpts of their own, and a
last line `… N lines left out …` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestra_mcp.types import Excerpt

Source = Literal["diff", "trace", "file", "symbol", "log", "history", "project", "note"]

FILE_SOURCES = ("file", "symbol")
OVERHEAD = 12
"""Tokens for the heading that each excerpt gets when it is shown."""
MAX_WHY = 160
"""Characters of the reasons for one excerpt: they stand in the prompt too."""
SMALLEST = 60
"""It is not worth showing fewer tokens than this of something that was cut."""
_PIECES = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]+|\n[ \t]*| {2,}")


def estimate_tokens(text: str) -> int:
    """About how many tokens a model sees, without any tokenizer's data.

    The pieces that the pattern finds are within 18 % of the cl100k vocabulary for code, prose and traces (5th to 95th
    percentile over files of 9 languages). Other vendors' tokenizers are up to 15 % finer: whoever fills a window to its
    edge must leave room for both.
    """
    return len(_PIECES.findall(text))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A piece of evidence that may be shown. With `start` ≥ 1, its text is exactly those lines of `path`."""

    source: Source
    text: str
    why: str
    score: float
    """Higher is more useful; only the order counts."""
    path: str = ""
    start: int = 0
    symbol: str = ""
    focus: tuple[int, ...] = ()
    """Important lines, by their number in the file, or in the text (from 1) when it is not from a file."""
    limit: int = 0
    """At most so many tokens; 0 means the general limit."""

    @property
    def lines(self) -> list[str]:
        """The text's lines."""
        return self.text.split("\n")

    @property
    def end(self) -> int:
        """Number of the last line, 0 when lines mean nothing."""
        return self.start + self.text.count("\n") if self.start else 0

    @property
    def spans(self) -> bool:
        """True when it is a range of lines of a file, so that overlaps can be seen."""
        return self.source in FILE_SOURCES and bool(self.path) and self.start > 0


def pack_scored(
    candidates: Iterable[Candidate], budget: int, *, whole: int = 0
) -> tuple[list[tuple[float, Excerpt]], tuple[str, ...]]:
    """Choose what fits.

    Args:
        candidates: in any order; equal scores keep their order.
        budget: tokens for all excerpts together, as `estimate_tokens` counts.
        whole: a candidate without a limit of its own is cut when it takes more tokens; 0 means 35 % of the budget.

    Returns:
        The excerpts with their scores, most useful first, and one line for each candidate that is not wholly shown.
    """
    excerpts: list[tuple[float, Excerpt]] = []
    left_out: list[str] = []
    shown: dict[str, set[int]] = {}
    left = budget
    general = whole or max(400, budget * 35 // 100)
    for candidate in _merge(sorted(candidates, key=lambda c: -c.score), general):
        allowed = min(left, candidate.limit or general)
        seen = shown.setdefault(candidate.path, set())
        parts = [] if _better_left_out(candidate, seen, left, allowed) else _fit(candidate, seen, allowed)
        excerpts += [(candidate.score, part) for part in parts]
        left -= sum(part.tokens for part in parts)
        if line := _missing(candidate, parts, shown[candidate.path]):
            left_out.append(line)
    return excerpts, tuple(left_out)


def cut_text(text: str, limit: int, focus: Sequence[int] = ()) -> str:
    """A text of at most `limit` tokens: its first line, the focus lines (from 1) with their surroundings, its end.

    Gaps are marked with a line `… N lines left out …`.
    """
    if estimate_tokens(text) <= limit:
        return text
    lines = [line if len(line) <= 1000 else line[:1000] + "…" for line in text.split("\n")]
    kept = _choose(lines, [f - 1 for f in focus] or [len(lines) - 1], limit)
    out: list[str] = []
    last = -1
    for index in [*sorted(kept), len(lines)]:
        if index - last > 1:
            out.append(_gap(index - last - 1))
        if index < len(lines):
            out.append(lines[index])
        last = index
    return "\n".join(out)


def _gap(count: int) -> str:
    return f"… {count} line{'s' if count > 1 else ''} left out …"


def _merge(ordered: Sequence[Candidate], general: int) -> list[Candidate]:
    """Join overlapping ranges of a file, as long as the result is not too long to be shown whole."""
    merged: list[Candidate] = []
    for candidate in ordered:
        for at, other in enumerate(merged):
            if joined := _join(other, candidate, general):
                merged[at] = joined
                break
        else:
            merged.append(candidate)
    return merged


def _join(better: Candidate, other: Candidate, general: int) -> Candidate | None:
    """Both as one, with the rank of the better one; None when they do not overlap or would be too long together."""
    if not (better.spans and other.spans) or better.path != other.path:
        return None
    if better.start > other.end or other.start > better.end:
        return None
    first, second = (better, other) if better.start <= other.start else (other, better)
    text = "\n".join([*first.lines, *second.lines[first.end - second.start + 1 :]])
    if estimate_tokens(text) + OVERHEAD > (better.limit or general):
        return None  # each competes for itself; no line is shown twice anyhow
    inside = better.start <= other.start and other.end <= better.end
    outer = better if inside else max(better, other, key=lambda c: c.end - c.start)
    return replace(
        better, text=text, start=first.start, symbol=outer.symbol, why=_both(better.why, other.why),
        focus=tuple(sorted({*better.focus, *other.focus})),
        source="symbol" if outer.symbol else "file", limit=max(better.limit, other.limit),
    )  # fmt: skip


def _both(why: str, also: str) -> str:
    """Both reasons, each part once, at most `MAX_WHY` characters."""
    parts = list(dict.fromkeys(f"{why}; {also}".split("; ")))
    while len(parts) > 1 and len("; ".join(parts)) > MAX_WHY:
        parts.pop()
    return "; ".join(parts)


def _better_left_out(candidate: Candidate, shown: set[int], left: int, allowed: int) -> bool:
    """True for a definition that would be cut only because little is left: the next one may fit as a whole."""
    if not candidate.spans or candidate.focus or left > allowed:
        return False
    open_ = [line for number, line in enumerate(candidate.lines, candidate.start) if number not in shown]
    return sum(estimate_tokens(line) + 1 for line in open_) + OVERHEAD > left


def _fit(candidate: Candidate, shown: set[int], allowed: int) -> list[Excerpt]:
    """The excerpts of a candidate within `allowed` tokens; remembers the lines in `shown`."""
    if not candidate.spans:
        return _fit_text(candidate, allowed)
    lines = candidate.lines
    open_ = [i for i in range(len(lines)) if candidate.start + i not in shown]
    if not open_:
        return []
    parts = _parts(candidate, open_)
    if sum(p.tokens for p in parts) > allowed:
        focus = [f - candidate.start for f in candidate.focus if 0 <= f - candidate.start < len(lines)]
        room = allowed - OVERHEAD
        for _ in range(6):  # each further part costs a heading and a marker, known only afterwards
            chosen = _choose(lines, focus, room) if room >= SMALLEST // 2 else set[int]()
            parts = _parts(candidate, sorted(chosen.intersection(open_)))
            over = sum(p.tokens for p in parts) - allowed
            if over <= 0:
                break
            room -= over + OVERHEAD
        else:
            parts = []
        if sum(p.tokens for p in parts) < SMALLEST:
            return []
    for part in parts:
        shown.update(range(part.start, part.end + 1))
    return parts


def _fit_text(candidate: Candidate, allowed: int) -> list[Excerpt]:
    text = candidate.text
    room = allowed - OVERHEAD
    if estimate_tokens(text) > room:
        if room < SMALLEST:
            return []
        text = cut_text(text, room - 10, candidate.focus)
        for _ in range(4):
            if estimate_tokens(text) <= room:
                break
            room_now = max(20, room - 2 * (estimate_tokens(text) - room) - 20)
            text = cut_text(candidate.text, room_now, candidate.focus)
        if estimate_tokens(text) > room:
            return []
    return [_excerpt(candidate, text, candidate.start, candidate.end)]


def _parts(candidate: Candidate, kept: Sequence[int]) -> list[Excerpt]:
    """One excerpt for each run of consecutive lines, with a marker where lines are missing before the next."""
    lines, runs = candidate.lines, _runs(kept)
    parts = []
    for number, (first, last) in enumerate(runs):
        following = runs[number + 1][0] if number + 1 < len(runs) else len(lines)
        text = "\n".join(lines[first : last + 1])
        if following - last > 1:
            text += "\n" + _gap(following - last - 1)
        parts.append(_excerpt(candidate, text, candidate.start + first, candidate.start + last))
    return parts


def _runs(indexes: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _choose(lines: Sequence[str], focus: Sequence[int], room: int) -> set[int]:
    """Indexes of the lines to keep: the first, those around the focus in growing circles, then from the top."""
    costs = [estimate_tokens(line) + 2 for line in lines]
    kept: set[int] = set()
    spent = 0
    for index in _by_importance(len(lines), focus):
        if index in kept:
            continue
        if spent + costs[index] > room:
            if index in focus:
                continue
            break
        kept.add(index)
        spent += costs[index]
    return kept


def _by_importance(count: int, focus: Sequence[int]) -> Iterable[int]:
    yield 0
    yield from focus
    if not focus:
        yield from range(count)
        return
    for radius in range(1, count):
        near = False
        for line in focus:
            for index in (line - radius, line + radius):
                if 0 <= index < count:
                    near = True
                    yield index
        if not near:
            return


def _excerpt(candidate: Candidate, text: str, start: int, end: int) -> Excerpt:
    return Excerpt(
        source=candidate.source, path=candidate.path, start=start, end=end, symbol=candidate.symbol, text=text,
        tokens=estimate_tokens(text) + OVERHEAD, why=candidate.why, score=round(candidate.score, 2),
    )  # fmt: skip


def _missing(candidate: Candidate, parts: Sequence[Excerpt], shown: set[int]) -> str:
    """A line about what is not shown of a candidate; empty when all is."""
    where = (
        f"{candidate.path}:{candidate.start}-{candidate.end}" if candidate.spans else candidate.path or candidate.source
    )
    what = " ".join(filter(None, (where, candidate.symbol)))
    if candidate.spans:
        missing = sum(1 for n in range(candidate.start, candidate.end + 1) if n not in shown)
        if not missing:
            return ""
        amount = f"{missing} of {len(candidate.lines)} lines" if parts else f"{missing} lines"
    elif not parts:
        amount = f"{estimate_tokens(candidate.text)} tokens"
    elif parts[0].text == candidate.text:
        return ""
    else:
        amount = "part"
    return f"{what} ({amount}): {candidate.why}"
