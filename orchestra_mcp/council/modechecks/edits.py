"""What a proposed patch would change, found in the files as they are: by what its hunks say, not by their line numbers.

Only as much as a check needs (whether a patch applies is for `Workbench.try_patch` to say): what cannot be found is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestra_mcp.types import Evidence

MAX_PATCH = 300_000
MAX_HUNKS = 200

_HUNK = re.compile(r"@@+ ?-(\d{1,9})")
_SECTION = re.compile(r"\*\*\* (?:Update|Add|Delete) File: (.{1,400})")


@dataclass(slots=True)
class _Hunk:
    path: str
    start: int
    rows: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Edits:
    """What a patch does to one file."""

    path: str
    removed: frozenset[int]
    """Lines of the file as it is that go or are replaced."""
    added: tuple[tuple[int, tuple[str, ...]], ...]
    """New lines, each run with the line of the file after which it comes (0: at the top)."""
    before: tuple[str, ...]
    after: tuple[str, ...]
    whole: bool
    """False when the place of some hunk was not found."""

    @property
    def touched(self) -> frozenset[int]:
        """Lines that are changed, or that stand directly before new ones."""
        return self.removed | {after for after, _ in self.added}


async def edits_of(patch: str, evidence: Evidence) -> tuple[Edits, ...]:
    """What a patch does to the files that exist, in its own order."""
    by_path: dict[str, list[_Hunk]] = {}
    for hunk in _hunks(patch[:MAX_PATCH]):
        by_path.setdefault(hunk.path, []).append(hunk)
    found: list[Edits] = []
    for path, hunks in by_path.items():
        rows = await evidence.read(path)
        if not rows and path[:2] in ("a/", "b/"):
            path = path[2:]
            rows = await evidence.read(path)
        if rows:
            found.append(_applied(path, rows, hunks))
    return tuple(found)


def _hunks(patch: str) -> list[_Hunk]:
    path, found = "", list[_Hunk]()
    lines = patch.split("\n")
    inside = False
    for at, line in enumerate(lines):
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.startswith("--- ") and following.startswith("+++ "):
            old, new = _named(line), _named(following)
            path, inside = (old if new == "/dev/null" else new), False
        elif section := _SECTION.match(line):
            path, inside = section[1].strip(), False
        elif line.startswith("@@") and path:
            header = _HUNK.match(line)
            found.append(_Hunk(path, int(header[1]) if header else 0))
            inside = len(found) <= MAX_HUNKS
        elif line.startswith(("diff --git ", "```", "*** ")):
            inside = False
        elif inside and (not line or line[0] in " +-"):
            found[-1].rows.append((line[:1] or " ", line[1:].rstrip("\r")))
    return found[:MAX_HUNKS]


def _named(line: str) -> str:
    return line[4:].partition("\t")[0].strip().strip('"')


def _applied(path: str, rows: Sequence[str], hunks: Sequence[_Hunk]) -> Edits:
    removed: set[int] = set()
    added: list[tuple[int, tuple[str, ...]]] = []
    whole = True
    for hunk in hunks:
        while hunk.rows and hunk.rows[-1] == (" ", ""):
            hunk.rows.pop()  # the end of the text, not of the file
        at = _where([text for sign, text in hunk.rows if sign != "+"], rows, hunk.start)
        if at is None:
            whole = False
            continue
        run: list[str] = []
        for sign, text in hunk.rows:
            if sign == "+":
                run.append(text)
                continue
            if run:
                added.append((at, tuple(run)))
                run = []
            at += 1
            if sign == "-":
                removed.add(at)
        if run:
            added.append((at, tuple(run)))
    new: list[str] = []
    runs: dict[int, list[str]] = {}
    for place, texts in added:
        runs.setdefault(place, []).extend(texts)
    for number in range(len(rows) + 1):
        if number and number not in removed:
            new.append(rows[number - 1])
        new += runs.get(number, [])
    return Edits(path, frozenset(removed), tuple(added), tuple(rows), tuple(new), whole)


def _where(old: Sequence[str], rows: Sequence[str], start: int) -> int | None:
    """How many lines stand before a hunk's old lines, of several places the one nearest to what its header says."""
    if not old:
        return min(start, len(rows))
    for plain in (str.rstrip, _squeezed):
        wanted = [plain(text) for text in old]
        texts = [plain(text) for text in rows]
        fits = [
            at
            for at in range(len(texts) - len(wanted) + 1)
            if texts[at] == wanted[0] and texts[at : at + len(wanted)] == wanted
        ][:200]
        if fits:
            return min(fits, key=lambda at: abs(at + 1 - start))
    return None


def _squeezed(text: str) -> str:
    return "".join(text.split())
