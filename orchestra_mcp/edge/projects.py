"""Which project a spoken question is about. Pure: code of the wrong project is never sent on a guess.

A project that is named in the question counts, else the one chosen in settings or at the start, else the one last asked
about. A name that is not exactly one known project is asked about, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePath
from typing import Final

KIND: Final = r"(?:project|repository|repo|codebase)"
NAMED: Final = (
    re.compile(
        rf"\b(?:in|for|about|of|on)\s+(?:the\s+|my\s+|our\s+)?{KIND}\s+(?:called\s+|named\s+)?(?P<name>[^,.;:?!]+)",
        re.I,
    ),
    re.compile(rf"\b(?:in|for|about|of|on)\s+(?:the\s+|my\s+|our\s+)?(?P<name>[^,.;:?!]{{2,40}}?)\s+{KIND}\b", re.I),
)
"""How a project is named; the name is what follows or precedes the word for a project."""
LEADING: Final = re.compile(r"^\s*(?:in|for)\s+(?P<name>[^,.;:?!]{2,40}?)\s*[,:]", re.I)
"""`In shop, why …`: only counts where the name is a known project's."""
THIS: Final = frozenset(
    (
        "this",
        "the same",
        "same",
        "the current",
        "current",
        "that",
        "here",
        "the",
        "my",
        "our",
        "a",
        "any",
        "whole",
        "entire",
    )
)
ALIKE: Final = 0.8
"""From here on a name may be a known one misheard, which is asked about."""
LISTED: Final = 3
SAY_NAME: Final = "Say its name, as its directory is called."
WORDS: Final = 5
"""The longest name of a project, in words."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which project is meant, and what is left to be asked."""

    text: str
    """The question without the words that name the project."""
    project: str | None = None
    """Its root; None where that has to be asked."""
    named: bool = False
    """True when the speaker named it."""
    ask: str = ""
    """What the speaker is asked, when it is not clear."""


def choose(text: str, known: Sequence[str], chosen: str = "", *, names: bool = True) -> Choice:
    """Settle the project of a question.

    Args:
        text: the question, as it was understood.
        known: roots of projects that were asked about, the last one first.
        chosen: the root that settings or the command line say; empty: none.
        names: what is asked may tell which projects are known.
    """
    roots = tuple(dict.fromkeys((*([chosen] if chosen else ()), *known)))
    for pattern in NAMED:
        found = pattern.search(text)
        if found is None or _says_this(found["name"]):
            continue
        if choice := _named(text, found, roots, following=pattern is NAMED[0], names=names):
            return choice
    if (found := LEADING.search(text)) and (hits := _called(found["name"], roots)):
        return _settled(_without(text, found.start(), found.end()), hits, found["name"], names)
    if roots:
        return Choice(text, roots[0])
    return Choice(
        text,
        ask="I do not know yet which project you mean. Start me in its directory, or with its directory in the settings.",
    )


def _named(text: str, found: re.Match[str], roots: tuple[str, ...], *, following: bool, names: bool) -> Choice | None:
    words = found["name"].split()
    # The name has no end of its own in speech (`in project shop why is …`): the longest known one counts.
    for size in range(min(WORDS, len(words)), 0, -1):
        part = " ".join(words[:size] if following else words[-size:])
        if hits := _called(part, roots):
            begin = found.start("name") if following else found.end("name") - len(part)
            if following:
                return _settled(_without(text, found.start(), begin + len(part)), hits, part, names)
            start = found.start() if size == len(words) else begin
            return _settled(_without(text, start, found.end()), hits, part, names)
    said = " ".join(words[:2] if following else words[-2:])
    near = [
        root
        for root in roots
        if _likeness(said, root) >= ALIKE or _likeness(words[0 if following else -1], root) >= ALIKE
    ]
    if near and names:
        return Choice(text, ask=f"Do you mean the project {_spoken(near[0])}? Say its name.")
    if not near and following and re.search(r"\b(?:the|my|our)\b", text[found.start() : found.start("name")], re.I):
        return None  # `in the repository failing so often` has no name in it
    if not roots:
        return Choice(text, ask="I know no project yet. Ask about it once at the computer, and I will know its name.")
    more = f"I know {_listed(roots)}." if names else SAY_NAME
    return Choice(text, ask=f"I know no project called {said}. {more}")


def answered(said: str, known: Sequence[str], *, names: bool = True) -> Choice:
    """The project that was named in answer to `Choice.ask`. Arguments as of `choose`."""
    # All of it has to be the name: a sentence that has a name in it is another sentence.
    name = " ".join(
        re.sub(rf"\b(?:in|the|it is|it's|its|i mean|i said|{KIND})\b|[,.!?]", " ", said, flags=re.I).split()
    )
    if len(name.split()) <= WORDS and (hits := _called(name, known)):
        return _settled("", hits, name, names)
    if not known:
        return Choice("", ask="I know no project yet.")
    return Choice("", ask=f"I know no such project. {f'I know {_listed(known)}.' if names else SAY_NAME}")


def _settled(text: str, hits: tuple[str, ...], name: str, names: bool) -> Choice:
    if len(hits) == 1:
        return Choice(text, hits[0], named=True)
    if not names:
        return Choice(text, ask=f"There are several projects called {name}. Choose it in the settings.")
    places = " or ".join(_spoken(str(PurePath(hit).parent)) for hit in hits[:LISTED])
    return Choice(
        text, ask=f"There are several projects called {name}: the one in {places}? Choose it in the settings."
    )


def _called(name: str, roots: Sequence[str]) -> tuple[str, ...]:
    """The roots whose last part sounds as the name is written: letters and digits alike."""
    wanted = _plain(name)
    return tuple(root for root in roots if wanted and _plain(PurePath(root).name) == wanted)


def _likeness(name: str, root: str) -> float:
    return SequenceMatcher(None, _plain(name), _plain(PurePath(root).name)).ratio()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace(" dot ", "").replace(" dash ", "").replace(" underscore ", ""))


def _says_this(name: str) -> bool:
    return name.strip().lower() in THIS


def _without(text: str, begin: int, end: int) -> str:
    rest = f"{text[:begin].rstrip(' ,')} {text[end:].lstrip(' ,:')}".strip()
    rest = re.sub(r"\s+([?!.,])", r"\1", rest)
    return rest[:1].upper() + rest[1:] if text[:1].isupper() else rest


def _spoken(root: str) -> str:
    return re.sub(r"[-_.]+", " ", PurePath(root).name).strip() or root


def _listed(roots: Sequence[str]) -> str:
    names = list(dict.fromkeys(_spoken(root) for root in roots))[:LISTED]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
