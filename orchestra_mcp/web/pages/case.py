"""One consultation taken apart for its page: tables, lines and marks that a template only has to write down. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Ballot, Claim, Consultation, Excerpt, Label, Stance, Verdict

if TYPE_CHECKING:
    from markupsafe import Markup

REDACTED: Final = re.compile(r"«redacted:[a-z0-9-]{1,40}#[0-9]{1,5}»")
"""What stands for a secret; see `context.secrecy.redaction`."""
HUNK: Final = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
LINES: Final = 4000
"""Of one patch or excerpt."""

EVIDENCE: Final = {
    "executed": "programs that were run",
    "exact": "the same words",
    "same-code": "the same code",
    "cited": "the same places cited",
    "entailed": "the same meaning",
    "reviewed": "blind reviews",
    "text-only": "like wording only",
    "single": "one answer only",
    "none": "nothing that was compared",
}
"""By what it is known that experts agree, in words."""
STANCES: Final = {
    "supports": ("good", "check", "supports"),
    "doubts": ("warn", "question", "doubts"),
    "contradicts": ("bad", "cross", "contradicts"),
}
BASES: Final = {
    "answer": "own answer",
    "executed": "was run",
    "verified": "checked in the code",
    "review": "review",
    "claim": "claim only",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of code, a diff or an excerpt."""

    kind: str
    """`add`, `cut`, `hunk`, `head`, `same`."""
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """What one seat makes of each solution."""

    seat: str
    cells: tuple[Stance | None, ...]


@dataclass(frozen=True, slots=True)
class BallotRow:
    """How one judge ranked the seats."""

    judge: str
    places: tuple[str, ...]
    """For each seat: `1`, `2`, …; `own` for its own answer, `–` where it was shown but not ranked, empty where not shown."""
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of a solution, and who says so."""

    outcome: str
    source: str
    at: datetime


def diff(patch: str) -> list[Line]:
    """A unified diff line by line, with the numbers that lines have before and after."""
    found: list[Line] = []
    old = new = 0
    for text in plain(patch).split("\n")[:LINES]:
        if start := HUNK.match(text):
            old, new = int(start[1]), int(start[2])
            found.append(Line("hunk", text))
        elif text.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file", "rename ", "similarity ")):
            found.append(Line("head", text))
            old = new = 0
        elif text.startswith("+"):
            found.append(Line("add", text, None, new or None))
            new += bool(new)
        elif text.startswith("-"):
            found.append(Line("cut", text, old or None))
            old += bool(old)
        else:
            found.append(Line("same", text, old or None, new or None))
            old, new = old + bool(old), new + bool(new)
    while found and not found[-1].text.strip():
        found.pop()
    return found


def excerpt_lines(excerpt: Excerpt) -> list[Line]:
    """An excerpt as experts saw it: lines of files with their numbers (`council.prompts.numbered`), others without."""
    lines = plain(excerpt.text).split("\n")[:LINES]
    if excerpt.source == "diff":
        return diff(excerpt.text)
    if excerpt.source not in ("file", "symbol") or not excerpt.start:
        return [Line("same", text) for text in lines]
    return [
        Line("same", text, new=None if text.lstrip().startswith("…") else number)
        for number, text in enumerate(lines, excerpt.start)
    ]


def redactions(text: str) -> Markup:
    """Text with what stands for secrets made visible; everything else is escaped."""
    from markupsafe import Markup

    pieces: list[str] = []
    end = 0
    for match in REDACTED.finditer(text):
        pieces.append(html.escape(text[end : match.start()]))
        pieces.append(f'<mark title="A secret was taken out here">{html.escape(match[0])}</mark>')
        end = match.end()
    pieces.append(html.escape(text[end:]))
    return Markup("".join(pieces))


def snippet(text: str) -> Markup:
    """Words around what was found, with the hits (`\\x02` … `\\x03`) marked."""
    from markupsafe import Markup

    parts = re.split(r"([\x02\x03])", text)
    found, inside = [], False
    for part in parts:
        if part in ("\x02", "\x03"):
            if (part == "\x02") != inside:
                inside = not inside
                found.append("<mark>" if inside else "</mark>")
        else:
            found.append(html.escape(" ".join(plain(part).split(" "))))
    return Markup("".join(found) + ("</mark>" if inside else ""))


def matrix(verdict: Verdict) -> list[MatrixRow]:
    """Seats × solutions."""
    ranks = [solution.rank for solution in verdict.solutions]
    known = {(stance.seat, stance.solution): stance for stance in verdict.matrix}
    seats = dict.fromkeys(stance.seat for stance in verdict.matrix)
    return [MatrixRow(seat, tuple(known.get((seat, rank)) for rank in ranks)) for seat in seats]


def ballot_seats(ballots: Iterable[Ballot]) -> list[str]:
    """Everybody who was ranked by somebody."""
    return sorted({seat for ballot in ballots for seat in (*ballot.shown, *ballot.ranking)})


def ballots(kept: Sequence[Ballot]) -> list[BallotRow]:
    """Judges × seats: the place that each judge gave each seat."""
    seats, found = ballot_seats(kept), []
    for ballot in kept:
        place = {seat: str(number) for number, seat in enumerate(ballot.ranking, 1)}
        missing = {seat: "–" if seat in ballot.shown else "" for seat in seats}
        if not missing.get(ballot.judge, "x"):
            missing[ballot.judge] = "own"
        places = tuple(place.get(seat, missing[seat]) for seat in seats)
        found.append(BallotRow(ballot.judge, places, ballot.why, ballot.seconds))
    return found


def outcomes(labels: Iterable[Label]) -> dict[int, Marked]:
    """What became of each solution, by rank: the last word, the user's before that of programs."""
    found: dict[int, Marked] = {}
    for label in labels:
        said = dict.fromkeys((index + 1 for index in label.wrong), "wrong")
        if label.right is not None:
            said[label.right + 1] = "worked" if label.weight >= 1 else "partly"
        for rank, outcome in said.items():
            before = found.get(rank)
            if before is None or before.source != "user" or label.source == "user":
                found[rank] = Marked(outcome, label.source, label.at)
    return found


def claims(given: Sequence[Claim]) -> list[tuple[str, Claim]]:
    """Claims with what checking them gave, those that were checked first."""
    marked = [(claim.check.outcome if claim.check else "unchecked", claim) for claim in given]
    order = {"verified": 0, "refuted": 1, "unchecked": 2}
    return sorted(marked, key=lambda pair: order[pair[0]])


def proof(shown: str) -> str:
    """Of what trying a solution showed (`council.ranking`): `good`, `warn`, `bad`; empty where it proved nothing."""
    if passed := re.match(r"passes (\d+) of (\d+) ", shown):
        return "good" if passed[1] == passed[2] else "warn" if int(passed[1]) else "bad"
    if any(words in shown for words in ("still fail", "breaks", "does not", "raises on")):
        return "bad"
    return "good" if shown.endswith("green") else ""


def seconds(kept: Consultation) -> float | None:
    """How long it took; None while it runs or when nobody knows."""
    if kept.verdict and kept.verdict.seconds:
        return kept.verdict.seconds
    return (kept.ended - kept.started).total_seconds() if kept.ended else None
