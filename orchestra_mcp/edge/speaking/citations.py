"""Places in code that an answer names, told by what checking them gave: none of them is said as a fact that was not confirmed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from orchestra_mcp.edge.speaking.readable import KINDS
from orchestra_mcp.types import Claim

NEAR: Final = 3
"""Lines by which a citation may be off, as where claims are checked (`council/answers/citations.py`)."""
WRONG: Final = "a place that proved wrong"
UNCONFIRMED: Final = ", unconfirmed,"
FILE: Final = r"(?P<{0}>(?:[A-Za-z]:)?(?:[\w.~@-]{{0,80}}[/\\]){{0,40}}[\w-]{{1,80}}(?:\.[\w-]{{1,80}}){{0,6}}\.(?:{1}))(?![\w/\\])"
KIND: Final = "|".join(sorted(KINDS, key=len, reverse=True))
PLACE: Final = re.compile(
    r"(?<![\w./\\-])(?:"
    r"[Ll]ines? (?P<before>\d{1,7})(?:\s?(?:-|–|to|and) ?\d{1,7})? (?:of|in) (?:the file )?`?"
    + FILE.format("file", KIND)
    + r"`?"
    r"|`?" + FILE.format("path", KIND) + r"`?"
    r"(?:(?::|#L|,? (?:at |on |in )?lines? )(?P<after>\d{1,7})(?::\d{1,5})?(?:\s?(?:-|–|to) ?L?\d{1,7})?)?`?)"
)


def checked(text: str, claims: Sequence[Claim], *, refuted_only: bool = False) -> str:
    """The text with what is known of its places: one that was refuted is left out, a line that nobody confirmed is said to be so.

    Args:
        text: as an expert wrote it.
        claims: with their checks.
        refuted_only: leave places that could not be looked at as they are.
    """

    def told(found: re.Match[str]) -> str:
        line = int(found["before"] or found["after"] or 0)
        state = _state(found["file"] or found["path"], line, claims)
        if state == "refuted":
            return WRONG
        return found[0] if state == "verified" or refuted_only else f"{found[0]}{UNCONFIRMED}"

    marked = PLACE.sub(told, text)
    return re.sub(rf"{UNCONFIRMED}(?=\s*[.;:,!?)]|\s*$)", UNCONFIRMED.rstrip(","), marked)


def _state(path: str, line: int, claims: Sequence[Claim]) -> Literal["verified", "refuted", "unchecked"]:
    same = [claim for claim in claims if claim.path and _same(claim.path, path)]
    if line:
        same = [claim for claim in same if not claim.line or abs(claim.line - line) <= NEAR]
    outcomes = [claim.check.outcome if claim.check else "unchecked" for claim in same]
    # That the file is there says nothing of a line in it.
    if any(said == "verified" and (claim.line or not line) for said, claim in zip(outcomes, same, strict=True)):
        return "verified"
    # A wrong line says nothing of a file that was named without it.
    if any(said == "refuted" and (line or not claim.line) for said, claim in zip(outcomes, same, strict=True)):
        return "refuted"
    return "unchecked" if line or (outcomes and "verified" not in outcomes) else "verified"


def _same(one: str, other: str) -> bool:
    """True when one path is the other or ends with it, part by part."""
    left, right = (re.split(r"[/\\]+", path.removeprefix("./").lower())[::-1] for path in (one, other))
    return all(a == b for a, b in zip(left, right, strict=False))
