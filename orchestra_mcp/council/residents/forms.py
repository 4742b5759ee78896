"""Did a change only alter the form of the code? Compares the tokens of both sides of a hunk. Pure.

Where indentation has a meaning, a line that moved in or out beside lines that did not is a change of meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from orchestra_mcp.types import Change, Hunk

INDENTED = (".py", ".pyi", ".pyx", ".yml", ".yaml", ".coffee", ".haml", ".pug", ".sass", ".nim", ".fs", ".hs", ".elm")
"""Files in which indentation has a meaning. Add here."""

# A word, a number, a piece between blanks, or one other character; quotes are alike, since formatters exchange them.
_TOKEN = re.compile(r"\w+|[^\w\s]")
_TRAILING_COMMA = re.compile(r",\s*([)\]}])")
_OPENING, _CLOSING = "([{", ")]}"


def only_form(change: Change, lines: Iterable[str] = ()) -> bool:
    """True when those hunks of a change that touch given lines (or all) say the same before and after.

    Args:
        lines: texts of today's lines in question; empty means every hunk.
    """
    wanted = {squeezed for line in lines if len(squeezed := _squeeze(line)) > 3}
    hunks = [hunk for hunk in change.hunks if not wanted or touches(hunk, wanted)]
    return bool(hunks) and all(_same(hunk, change.path) for hunk in hunks)


def touches(hunk: Hunk, squeezed: set[str]) -> bool:
    """True when a hunk shows one of the lines, given without their blanks, be it as added or beside what changed."""
    return any(_squeeze(row[1:]) in squeezed for row in hunk.text.split("\n") if row[:1] in "+ " and row)


def changed_rows(hunk: Hunk, signs: str = "+-") -> tuple[str, ...]:
    """The added and removed lines of a hunk, without their sign."""
    return tuple(row[1:] for row in hunk.text.split("\n") if row[:1] and row[0] in signs)


def _same(hunk: Hunk, path: str) -> bool:
    rows = hunk.text.split("\n")
    old = [row[1:] for row in rows if row[:1] in ("-", " ")]
    new = [row[1:] for row in rows if row[:1] in ("+", " ")]
    if _tokens(old) != _tokens(new):
        return False
    return not path.endswith(INDENTED) or _levels(old, new)


def _tokens(lines: Sequence[str]) -> list[str]:
    text = "\n".join(line.removesuffix("\\") for line in lines).replace('"', "'")
    return [token for token in _TOKEN.findall(_TRAILING_COMMA.sub(r"\1", text)) if token != ";"]


def _levels(old: Sequence[str], new: Sequence[str]) -> bool:
    """True when statements that stand on both sides are indented alike, by rank of their indentation on each side."""
    before, after = _ranks(old), _ranks(new)
    return all(after[text] == rank for text, rank in before.items() if text in after)


def _ranks(lines: Sequence[str]) -> dict[str, int]:
    """For each line that begins a statement, without its blanks: which of the occurring indentations it has."""
    depth = 0
    begun: list[tuple[str, int]] = []
    for line in lines:
        text = _squeeze(line)
        if depth <= 0 and text and text[0] not in _CLOSING:
            begun.append((text.replace('"', "'"), len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip())))
        depth = max(0, depth + sum(text.count(c) for c in _OPENING) - sum(text.count(c) for c in _CLOSING))
    order = sorted({width for _, width in begun})
    return {text: order.index(width) for text, width in begun}


def _squeeze(line: str) -> str:
    return "".join(line.split())
