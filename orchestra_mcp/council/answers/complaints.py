"""Whether a question shows an output because it is wrong, and what it says should come out instead. Pure."""

from __future__ import annotations

import re
from functools import cached_property

NEAR = 3
"""Lines with words above and below, in which a mere `should` or `but` casts doubt."""

# Words of a complaint, wherever the prose of a question has one. Add here.
COMPLAINS = re.compile(
    r"\b(?:wrong(?:ly)?|bugs?|buggy|fail(?:s|ed|ing|ure)?|incorrect(?:ly)?|broken|why|fix(?:es|ed)?|debug|instead of|mistaken(?:ly)?|unexpected(?:ly)?"
    r"|does(?:n['’]t| not) work|misbehav\w{1,4}|expected\b[^.\n]{1,80}\b(?:but|got))\b",
    re.IGNORECASE,
)
DOUBTS = re.compile(
    r"\b(?:should(?:n['’]t)?|expect(?:ed|s|ing)?|but|instead|want(?:ed|s)?|actual(?:ly)?|got)\b", re.IGNORECASE
)
"""Doubtful only where they stand beside what is shown."""
SPECIFIES = re.compile(
    r"^\W{0,8}(?:(?:for )?(?:examples?|e\.g\.|usage|expected(?: (?:output|behaviou?r|results?))?)|[^.\n]{0,80}\bshould (?:give|return|print|output|behave|work)[^.\n]{0,30})"
    r"\W{0,3}\d{0,3}\W{0,6}$",
    re.IGNORECASE,
)
"""A line that makes what stands below it an example of what is right."""
WANTED = re.compile(
    r"(?:\b(?:it|this|that|which|result|output|answer|value|function|i)\b[^.\n()]{0,40}?\b(?:should|must|ought to) (?:have )?"
    r"(?:give|given|be|been|return|returned|print|printed|output|yield|produce|show)s?"
    r"|\b(?:i|we) (?:want|wanted|expect|expected|need)|\bexpected(?: (?:output|result|value|answer))?(?: (?:is|was))?)[ \t]{0,3}:?[ \t]{0,3}`?"
    r"(?P<value>-?\d[\d_]*(?:\.\d+)?(?![\w.]*\w)|[\[({][^\n`]{0,200}[\])}]|'[^'\n]{0,200}'|\"[^\"\n]{0,200}\"|True\b|False\b|None\b)",
    re.IGNORECASE,
)
"""What is said to be right, as a value."""
FENCE = re.compile(r"^\s*(?:```|~~~)")
QUOTES = re.compile(r"\"\"\"|'''")


class Told:
    """What the prose of a question says of what it shows; code, docstrings and transcripts say nothing."""

    def __init__(self, question: str) -> None:
        self.lines = question.split("\n")

    @cached_property
    def prose(self) -> list[str]:
        """The lines, empty where they are no prose."""
        kept: list[str] = []
        quote, shown = "", False
        for line in self.lines:
            prompt = line.lstrip().startswith(">>>")
            code = (
                bool(quote)
                or prompt
                or bool(FENCE.match(line))
                or bool(re.match(r"\s*(?:def|class|return|assert)\b", line))
            )
            # The line below a prompt is what was printed, whatever it says.
            kept.append("" if code or shown else line)
            shown = prompt
            for mark in QUOTES.findall(line):
                quote = mark if not quote else "" if mark == quote else quote
        return kept

    @cached_property
    def complains(self) -> bool:
        """Whether anything in the prose is a complaint."""
        return any(COMPLAINS.search(line[:2_000]) for line in self.prose)

    def doubts_line(self, at: int) -> bool:
        """Whether what is shown from a line on may be what is wrong."""
        above = self._near(range(at - 1, max(-1, at - 40), -1))
        leads = re.split(r"(?<=[.!?])\s+", above[0].rstrip()[-400:])[-1] if above else ""
        if SPECIFIES.match(leads) and not COMPLAINS.search(leads):
            return False
        below = self._near(range(at + 1, min(len(self.lines), at + 40)))
        return self.complains or any(DOUBTS.search(line[:2_000]) for line in (*above, *below))

    def _near(self, where: range) -> list[str]:
        found: list[str] = []
        for at in where:
            if self.prose[at].strip():
                found.append(self.prose[at])
                if len(found) == NEAR:
                    break
        return found

    @cached_property
    def wanted(self) -> str:
        """The one value that is said to be right; empty when several are, or none."""
        found = {match.group("value") for line in self.prose for match in WANTED.finditer(line[:2_000])}
        return found.pop() if len(found) == 1 else ""
