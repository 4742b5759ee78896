"""The code that a verdict rests on: noted when a consultation ends, looked for again when it is remembered.

A place is a run of lines without its line numbers, so that lines that only moved are still there. Blanks at the ends of
lines do not count, and neither do the numbers of secrets that were taken out, which differ between consultations.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import anyio.to_thread

from orchestra_mcp.types import Claim, Evidence, Grounds, Place, Verdict

MOST = 20
"""Places that are noted of one verdict."""
SHORT = 30
"""Lines of a function or class that is noted whole."""
AROUND = 3
"""Lines before and after a cited one that are noted where what encloses it is longer."""
DIGEST = 16
"""Hexadecimal digits of SHA-256 that are kept."""
LONGEST = 60_000
"""Lines of a file in which places are looked for."""
_TOKEN = re.compile(r"«redacted:([a-z0-9-]{1,60})#\d{1,5}»")


def unnumbered(text: str) -> str:
    """A text in which what was redacted has no number: the numbers of another consultation mean nothing here."""
    return _TOKEN.sub(r"«redacted:\1»", text) if "«redacted:" in text else text


def digest(lines: Iterable[str]) -> str:
    """What `Place.digest` says of these lines."""
    plain = "\n".join(unnumbered(line).rstrip() for line in lines)
    return sha256(plain.encode("utf-8", "replace")).hexdigest()[:DIGEST]


async def grounds(verdict: Verdict, evidence: Evidence) -> Grounds:
    """Where the verdict's verified claims and findings point, the first solution's first; never more than `MOST` places."""
    spots: dict[tuple[str, int, int], None] = {}
    for claim in cited(verdict):
        span = await _span(claim, evidence)
        if span is not None:
            spots[claim.path, *span] = None
        if len(spots) == MOST:
            break
    places = []
    for path, start, end in spots:
        lines = await evidence.read(path, start, end)
        if any(line.strip() for line in lines):
            places.append(Place(path=path, lines=len(lines), digest=digest(lines)))
    return Grounds(places=tuple(dict.fromkeys(places)))


def cited(verdict: Verdict) -> Iterator[Claim]:
    """Claims of solutions, then findings, that were found to be so."""
    for claims in (*(solution.claims for solution in verdict.solutions), verdict.findings):
        yield from (c for c in claims if c.path and c.check is not None and c.check.outcome == "verified")


async def _span(claim: Claim, evidence: Evidence) -> tuple[int, int] | None:
    """The lines that a claim is about: the function around it when it is short, else its own and a few around it."""
    line = claim.line
    if line < 1:
        found = await evidence.locate(claim.symbol, claim.path) if claim.symbol else ()
        if not found:
            return None
        line = found[0].start
    around = await evidence.enclosing(claim.path, line)
    if around is not None and around.end - around.start < SHORT:
        return around.start, around.end
    return max(1, line - AROUND), line + AROUND


async def unchanged(places: Sequence[Place], evidence: Evidence) -> bool:
    """True when all places still occur, each in its file; a file that is gone, or may not be read any more, has changed."""
    wanted: defaultdict[str, dict[int, set[str]]] = defaultdict(dict)
    for place in places:
        wanted[place.path].setdefault(place.lines, set()).add(place.digest)
    for path, sizes in wanted.items():
        lines = await evidence.read(path)
        if not lines or len(lines) > LONGEST:
            return False
        if not await anyio.to_thread.run_sync(_holds, lines, sizes, abandon_on_cancel=True):
            return False
    return True


def _holds(lines: Sequence[str], sizes: Mapping[int, set[str]]) -> bool:
    """Whether each digest is that of some window of so many lines."""
    plain = [unnumbered(line).rstrip().encode("utf-8", "replace") for line in lines]
    for size, digests in sizes.items():
        missing = set(digests)
        for start in range(len(plain) - size + 1):
            found = sha256(b"\n".join(plain[start : start + size])).hexdigest()[:DIGEST]
            missing.discard(found)
            if not missing:
                break
        if missing:
            return False
    return True
