"""Finds the line of code that holds a quoted error message, by the longest run of constant words."""

from __future__ import annotations

import re

from orchestra_mcp.council.residents.places import Place
from orchestra_mcp.paths import kind_of
from orchestra_mcp.types import Evidence

QUOTED = re.compile(
    r"\b[A-Z]\w*(?:Error|Exception|Warning|Failure)\b:?[ \t]+(?P<typed>[^\n]{12,300})|"
    r"(?i:\b(?:error|warning|panic|fatal|failed)): (?P<told>[^\n]{12,300})|"
    r"\"(?P<double>[^\"\n]{16,200})\"|`(?P<tick>[^`\n]{16,200})`|'(?P<single>[A-Z][^'\n]{16,200})'"
)
WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")
MIN_WORDS = 3
MIN_CHARS = 16
WEAK = frozenset(
    "the a an of to in is not be for and or with was has have been this that it must on as by from no are".split()
)
MAX_MESSAGES = 6
LOOKUPS = 3  # rare words of a message that are looked up


async def find_message(text: str, evidence: Evidence) -> tuple[str, Place] | None:
    """(the words found, where) of the first quoted message whose constant words stand together on a line of code.

    None when no line of non-test code holds at least three words of a message in a row, or when more than two do.
    """
    for message in messages_in(text):
        hits: dict[tuple[str, int], str] = {}
        for word in _rare_words(message)[:LOOKUPS]:
            for path, line, shown in await evidence.mentions(word, 60):
                if kind_of(path) not in ("code", "data") or not _quotes(shown):
                    continue
                run = common_words(message, shown)
                if run:
                    hits[path, line] = run
        if not hits:
            continue
        longest = max(len(run) for run in hits.values())
        best = [spot for spot, run in hits.items() if len(run) == longest]
        if len(best) > 2:
            continue
        for path, line in best:
            definition = await evidence.enclosing(path, line)
            if definition is not None and await evidence.syntax(path) is not None:
                return hits[path, line], Place(path, line, definition, "the message's words stand here", True)
    return None


def messages_in(text: str) -> tuple[str, ...]:
    """Texts that look like error messages, longest first."""
    found = (next(filter(None, match.groups()), "") for match in QUOTED.finditer(text))
    unique = dict.fromkeys(" ".join(message.split()) for message in found if len(WORD.findall(message)) >= MIN_WORDS)
    return tuple(sorted(unique, key=len, reverse=True))[:MAX_MESSAGES]


def common_words(message: str, line: str) -> str:
    """The longest run of words of `message` that stands in `line` too; empty when it is too short to mean anything."""
    words = message.split()
    flat = " ".join(line.split())
    best = ""
    for start in range(len(words)):
        for end in range(len(words), start, -1):
            run = " ".join(words[start:end])
            if len(run) <= len(best):
                break
            if run in flat:
                best = run
                break
    telling = [word for word in WORD.findall(best) if word.lower() not in WEAK]
    return best if len(best) >= MIN_CHARS and len(best.split()) >= MIN_WORDS and len(telling) >= 2 else ""


def _rare_words(message: str) -> list[str]:
    words = [word for word in re.findall(r"\b[A-Za-z_]\w{3,}\b", message) if word.lower() not in WEAK]
    return sorted(dict.fromkeys(words), key=len, reverse=True)


def _quotes(line: str) -> bool:
    return '"' in line or "'" in line or "`" in line
