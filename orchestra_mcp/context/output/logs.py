"""What matters in a log: the last burst of errors, the first error, every kind of error once. Pure.

Kinds are told apart by masking what varies (numbers, ids, times), a simple form of Drain (He, Zhu, Zheng, Lyu: Drain,
ICWS 2017). Lines are kept as they are; what is left out is marked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from orchestra_mcp.context.packing import estimate_tokens

MAX_LINES = 20_000
"""Lines that are judged; of a longer log the last ones."""
MAX_LINE = 1_000
"""Characters of one line that are shown."""
BURST_GAP = 10
"""Errors with at most so many lines between them belong together."""
MAX_KINDS = 40
MAX_STACK = 40
SHORT = 8
"""Lines of a stack or a burst that come before other kinds of errors."""

_GRAVE = re.compile(
    r"\b(?i:fatal|panic(?:ked)?|critical|crit|emerg|segfault|segmentation fault|core dumped|out of memory|oom-?kill\w*|traceback"
    r"|unhandled|uncaught|caused by|deadlock)\b|\bSIG(?:SEGV|ABRT|KILL|BUS)\b|\bBUG: |Sanitizer: |\b\w*(?:Exception|Error)\b(?=[:\s(]|$)|^E   "
    r"|\bFAIL(?:ED|URE)?\b|^not ok\b"
)
_ERROR = re.compile(
    r"(?i)\b(?:err(?:or)?s?|fail(?:ed|s|ure|ures|ing)?|denied|refused|timed? ?out|cannot|could ?n[o']t|unable|undefined"
    r"|invalid|killed|reject(?:ed|s)|unreachable|abort(?:ed|ing)?|broken|corrupt(?:ed)?|assert\w*|no such)\b|\[E\]"
)
_WARNING = re.compile(r"(?i)\b(?:warn(?:ing)?|deprecated|retry(?:ing)?)\b|\[W\]")
_HARMLESS = re.compile(
    r"(?i)\b(?:0|no|zero|without(?: any)?) (?:errors?|fail(?:ures|ed|s)?|warnings?)\b"
    r"|\b(?:err(?:or)?s?|fail(?:ures|ed)?|warnings?)\"? ?[:=] ?(?:0|nil|null|none|false)\b"
)
_QUIET = re.compile(
    r"^[^A-Za-z]{0,60}(?:\S{1,60}[ \t]+){0,4}?[\[<(]?(?:TRACE|DEBUG|INFO|NOTICE)\b|\blevel=(?:info|debug|trace)\b"
    r"|\"(?:level|severity)\": ?\"(?i:info|debug|trace)\"|^\[?I\d{4} |(?:\.\.\. ok|\bPASS(?:ED)?)$"
)
_FOLLOWS = re.compile(r"[ \t]+\S|at \S|File \"|Caused by|\.\.\. |\||\^|-->|goroutine \d")
_VARYING = re.compile(
    r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,40}\b|\b0x[0-9a-fA-F]+|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{7,64}\b|\d+"
)

GRAVE, ERROR, WARNING = 3, 2, 1


def severity(line: str) -> int:
    """`GRAVE`, `ERROR`, `WARNING` or 0; a line that calls itself information is only heard when it names an exception."""
    line = _HARMLESS.sub("", line[:MAX_LINE])
    quiet = _QUIET.search(line) is not None
    if _GRAVE.search(line):
        return WARNING if quiet else GRAVE
    if quiet:
        return 0
    return ERROR if _ERROR.search(line) else WARNING if _WARNING.search(line) else 0


def template(line: str) -> str:
    """A line without what varies from time to time, so that repetitions look alike."""
    return _VARYING.sub("#", line[:MAX_LINE]).strip()


def important(lines: Sequence[str]) -> list[int]:
    """Numbers of all lines (from 1), most important first.

    First the ends of the last burst of errors with the stacks below them, and the first error; then one line for each
    kind of error, the gravest and latest first; then what stands around these; then everything else, by its distance
    from the last burst.
    """
    first_judged = max(0, len(lines) - MAX_LINES)
    grades = {n: grade for n in range(first_judged, len(lines)) if (grade := severity(lines[n]))}
    errors = [n for n, grade in grades.items() if grade >= ERROR] or list(grades)
    if not errors:
        return [n + 1 for n in _outwards(len(lines) - 1, len(lines))]
    begin, end = _last_burst(errors)
    kinds = _kinds(lines, grades)
    order: dict[int, None] = dict.fromkeys([end, begin, errors[0]])
    order |= dict.fromkeys([*_stack(lines, end, SHORT), *_stack(lines, begin, SHORT), *range(max(0, end - 2), end)])
    order |= dict.fromkeys(n for n in kinds[:MAX_KINDS] if grades[n] == GRAVE)
    order |= dict.fromkeys(range(begin, min(end + 1, begin + SHORT)))
    order |= dict.fromkeys([*_stack(lines, errors[0], SHORT), *kinds[:MAX_KINDS]])
    order |= dict.fromkeys(range(begin, min(end + 1, begin + MAX_STACK)))
    for n in (end, begin, errors[0]):
        order |= dict.fromkeys(_stack(lines, n))
        order |= dict.fromkeys(range(max(0, n - 3), min(len(lines), n + 3)))
    order |= dict.fromkeys(range(max(0, len(lines) - 3), len(lines)))
    for n in kinds[:12]:
        order |= dict.fromkeys([*_stack(lines, n, 6), *range(max(0, n - 1), min(len(lines), n + 2))])
    order |= dict.fromkeys(_outwards(end, len(lines)))
    return [n + 1 for n in order]


def compact(text: str, limit: int) -> str:
    """A log of at most `limit` tokens: its most important lines as they are, in their order.

    Gaps are marked with `… N lines left out …`, and of an error that is shown once `… N more like the line above …`.
    """
    if estimate_tokens(text) <= limit:
        return text
    lines = text.split("\n")
    order = important(lines)
    likes = Counter(template(line) for line in lines[-MAX_LINES:] if severity(line))
    low, high = 0, min(len(order), max(1, limit))  # every line takes a token
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(_shown(lines, order[:middle], likes)) <= limit:
            low = middle
        else:
            high = middle - 1
    return _shown(lines, order[:low], likes)


def _shown(lines: Sequence[str], numbers: Iterable[int], likes: Counter[str]) -> str:
    kept = sorted(n - 1 for n in numbers)
    kept = sorted(
        {*kept, *(a + 1 for a, b in pairwise(kept) if b - a == 2 and len(lines[a + 1]) < 60)}
    )  # as long as a mark
    seen = Counter(template(lines[n]) for n in kept)
    out: list[str] = []
    last = -1
    for n in [*kept, len(lines)]:
        if n - last > 1:
            out.append(f"… {n - last - 1} line{'s' if n - last > 2 else ''} left out …")
        if n < len(lines):
            line = lines[n]
            out.append(line if len(line) <= MAX_LINE else line[:MAX_LINE] + "…")
            kind = template(line)
            more = likes[kind] - seen[kind]
            if more > 0:
                out.append(f"… {more} more like the line above …")
                likes = likes - Counter({kind: more})
        last = n
    return "\n".join(out)


def _last_burst(errors: Sequence[int]) -> tuple[int, int]:
    """The first and last line of the last errors that stand close together."""
    begin = end = errors[-1]
    for n in reversed(errors):
        if begin - n > BURST_GAP:
            break
        begin = n
    return begin, end


def _kinds(lines: Sequence[str], grades: dict[int, int]) -> list[int]:
    """One line for each kind of alarm, its first; the gravest kinds first, of these the latest."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for n in grades:
        kind = template(lines[n])
        first.setdefault(kind, n)
        last[kind] = n
    return [first[kind] for kind in sorted(first, key=lambda kind: (-grades[first[kind]], -last[kind]))]


def _stack(lines: Sequence[str], n: int, limit: int = MAX_STACK) -> Iterator[int]:
    """The lines after an error that belong to it."""
    for following in range(n + 1, min(len(lines), n + 1 + limit)):
        if not _FOLLOWS.match(lines[following]):
            return
        yield following


def _outwards(center: int, size: int) -> Iterator[int]:
    """All indices by their distance from one, those before it first."""
    yield center
    for distance in range(1, size):
        for n in (center - distance, center + distance):
            if 0 <= n < size:
                yield n
