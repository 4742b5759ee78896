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
    "this,the same,same,the current,current,that,here,the,my,our,a,an,any,every,each,whole,entire,new,big,small".split(
        ","
    )
)
"""What is said of the project that is meant anyway, or of none; also as the first word of what would else be a name."""
COMMON: Final = frozenset(
    "structure settings layout management manager files file directory directories root setup configuration config folder folders name "
    "names owner readme version versions tests test dependencies code planning template templates class classes pattern patterns method "
    "methods module modules interface object page pages dialog layer type types build history start startup creation level documentation docs is are was has have does do so and or if".split()
)
"""After the word for a project: what it is about, or the sentence going on; no name, unless it is a known one."""
ASKS: Final = re.compile(
    r"\s*(?:why|what|how|is|are|was|does|do|did|can|could|who|where|which|when|should|will|would|explain|find|show|tell|list|review|"
    r"describe|summari[sz]e|check|compare|fix|write|give|please)\b",
    re.I,
)
GOES_ON: Final = re.compile(rf"\s*(?:[,.;:?!]|$)|{ASKS.pattern}", re.I)
"""After a project that was named first, the question begins; after one that was named last, nothing comes."""
KIND_OF_CLASS: Final = re.compile(
    r"\s*(?:class|classes|method|methods|module|modules|pattern|patterns|interface|interfaces|object|objects|type|types|layer)\b",
    re.I,
)
"""After `repository`: it was the end of a class's name."""
ALSO: Final = re.compile(
    r"\s*(?:,\s*)?(?:and|or|versus|with|than|to)\s+(?:in\s+|for\s+|the\s+|project\s+|repo\s+)*", re.I
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
    choices: list[Choice] = []
    for pattern in NAMED:
        at = 0
        while found := pattern.search(text, at):
            at = found.start("name")  # a name has no end in speech, so that another may be within it
            following = pattern is NAMED[0]
            if not _says_this(found["name"]) and (
                choice := _named(text, found, roots, following=following, names=names)
            ):
                choices.append(choice)
    if (found := LEADING.search(text)) and (hits := _called(found["name"], roots)):
        choices.append(_settled(_without(text, found.start(), found.end()), hits, found["name"], names))
    if len({choice.project for choice in choices if choice.project}) > 1:
        both = " or ".join(dict.fromkeys(_spoken(choice.project) for choice in choices if choice.project))
        which = f": {both}? Say its name." if names else "? Name only one."
        return Choice(text, ask=f"Which project do you mean{which}")
    # What is to be asked about comes before what is clear: the code of neither is sent on a guess.
    for choice in sorted(choices, key=lambda one: one.project is not None):
        return choice
    if roots:
        return Choice(text, roots[0])
    return Choice(
        text,
        ask="I do not know yet which project you mean. Start me in its directory, or with its directory in the settings.",
    )


def _named(text: str, found: re.Match[str], roots: tuple[str, ...], *, following: bool, names: bool) -> Choice | None:
    words = found["name"].split()
    after = text[found.end() :]
    if not following and not found[0].lower().endswith("project") and KIND_OF_CLASS.match(after):
        return None
    # The name has no end of its own in speech (`in project shop why is …`): the longest known one counts.
    for size in range(min(WORDS, len(words)), 0, -1):
        part = " ".join(words[:size] if following else words[-size:])
        if hits := _called(part, roots):
            begin = found.start("name") if following else found.end("name") - len(part)
            if following:
                if other := _also(text[begin + len(part) :], hits, roots):
                    which = f": {part} or {_spoken(other)}? Say its name." if names else "? Name only one."
                    return Choice(text, ask=f"Which project do you mean{which}")
                return _settled(_without(text, found.start(), begin + len(part)), hits, part, names)
            start = found.start() if size == len(words) else begin
            return _settled(_without(text, start, found.end()), hits, part, names)
    few = " ".join(words[:2] if following else words[-2:])
    near = [
        root
        for root in roots
        if _likeness(few, root) >= ALIKE or _likeness(words[0 if following else -1], root) >= ALIKE
    ]
    if not (following or not after.strip(" .?!") or not text[: found.start()].strip()):
        near = []
    if near and names:
        return Choice(text, ask=f"Do you mean the project {_spoken(near[0])}? Say its name.")
    said = _said(text, found, words, following) or (few if near else "")
    if not said:
        return None
    if not roots:
        return Choice(text, ask="I know no project yet. Ask about it once at the computer, and I will know its name.")
    more = f"I know {_listed(roots)}." if names else SAY_NAME
    return Choice(text, ask=f"I know no project called {said}. {more}")


def _said(text: str, found: re.Match[str], words: list[str], following: bool) -> str:
    """The unknown name that was said, as far as it is one for sure; empty where the words may be about something else.

    `The invoice repository class` and `the project structure` name no project. `In project billing` does wherever it stands,
    `in the project billing,` and `in the billing project` at the beginning or the end.
    """
    opening = text[found.start() : found.start("name")]
    first = not text[: found.start()].strip()
    article = re.search(r"\b(?:the|my|our)\b", opening, re.I) is not None
    if following:
        ends = text[found.end() : found.end() + 1]
        kind = re.search(rf"\b({KIND})\b", opening, re.I)
        clear = kind is not None and kind[1].lower() in ("project", "repo")
        called = re.search(r"\b(?:called|named)\b", opening, re.I) is not None
        if words[0].lower() in COMMON and not called:
            return ""
        goes_on = (ends == "," and len(words) <= 3) or any(ASKS.match(word) for word in words[1:3])
        if not called and not (clear and (not article or (first and goes_on))):
            return ""
        # Without a pause nobody knows where a name ends.
        return " ".join(words) if ends == "," and len(words) <= WORDS else words[0]
    after = text[found.end() :]
    clear = re.search(r"\bproject$", found[0], re.I) is not None
    stands = not after.strip(" .?!") or (first and GOES_ON.match(after))
    if not clear or not stands or words[0].lower() in THIS:
        return ""
    return " ".join(words) if len(words) <= 2 else words[-1]


def _also(rest: str, hits: tuple[str, ...], roots: Sequence[str]) -> str:
    """Another known project that is named right after one, as in `in project shop and blog`; empty when there is none."""
    if not (joined := ALSO.match(rest)):
        return ""
    words = re.split(r"[,.;:?!]", rest[joined.end() :])[0].split()
    for size in range(min(WORDS, len(words)), 0, -1):
        if others := [root for root in _called(" ".join(words[:size]), roots) if root not in hits]:
            return others[0]
    return ""


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
