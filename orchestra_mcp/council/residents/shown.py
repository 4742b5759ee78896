"""What the dossier shows, as hints: its excerpts are ranked, the most useful first, and so are the functions in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestra_mcp.council.residents import asking
from orchestra_mcp.council.residents.suspects import EXCERPT, FADE, INSIDE, Mark
from orchestra_mcp.types import Definition, Dossier, Evidence, Excerpt

MAX_INSIDE = 6
"""Functions of an excerpt that count beside the one that it is named after."""
MAX_WORDS = 6
_MATCHES = "matches "
NAME = re.compile(r"[^\W\d]\w*")
OF_NAMED_FILE = "the question names its file"

# How a part of an excerpt's ground is told; the first that fits. A text ending in a blank takes what follows. Add here.
TOLD: tuple[tuple[str, str], ...] = (
    ("named in the question", OF_NAMED_FILE),
    ("named in the request", "its file was given with the question"),
    ("in the stack trace", "its file is in the trace"),
    ("changed by similar commits", "commits with similar messages changed its file"),
    ("its path says ", "its path says "),
    ("defines ", "its file defines "),
)


async def marks(dossier: Dossier, evidence: Evidence, text: str, classes: bool = False) -> list[Mark]:
    """Marks of the functions in the dossier's excerpts, in its order.

    Args:
        text: the question, whose words are shown as they were written.
        classes: whether a class may be meant, too.
    """
    found = []
    rank = 0
    for excerpt in dossier.excerpts:
        if excerpt.source not in ("file", "symbol") or not excerpt.path or not excerpt.symbol:
            continue
        if excerpt.why.startswith(("changed here", "new file")):
            continue  # a change has a mark of its own
        of_file = await evidence.definitions(excerpt.path)
        whole = [d for d in _shown(excerpt, of_file) if classes or d.kind != "class"]
        for number, definition in enumerate(whole[: MAX_INSIDE + 1]):
            main = number == 0 and definition.name == _last(excerpt.symbol)
            if ground := await _ground(excerpt, definition, evidence, text, main, len(whole) == 1):
                weight = EXCERPT * FADE**rank * (1 if main else INSIDE)
                found.append(Mark("excerpt", definition, weight, ground))
        rank += bool(whole)
    return found


def _shown(excerpt: Excerpt, of_file: Iterable[Definition]) -> list[Definition]:
    """The definition that an excerpt is named after (of overloads the one that shares most lines), then what is whole in it."""
    of_file = list(of_file)
    same = [d for d in of_file if f".{d.qualified}".endswith(f".{excerpt.symbol}")]
    shared = [(min(d.end, excerpt.end) - max(d.start, excerpt.start), -n, d) for n, d in enumerate(same)]
    first = [max(shared)[2]] if shared and max(shared)[0] >= 0 else []
    inside = [d for d in of_file if excerpt.start <= d.start and d.end <= excerpt.end]
    return [*first, *(d for d in inside if d not in first)]


async def _ground(
    excerpt: Excerpt, function: Definition, evidence: Evidence, text: str, main: bool, alone: bool
) -> str:
    """Why a function is here, by what is true of itself: neighbours share an excerpt, whose ground is that of them all.

    Args:
        main: whether the excerpt is named after it; of another one nothing is said when it has none of the words.
        alone: whether the excerpt shows no other function.
    """
    parts = list(dict.fromkeys(part for part in excerpt.why.split("; ") if part))
    words = dict.fromkeys(w for part in parts if part.startswith(_MATCHES) for w in part[len(_MATCHES) :].split(", "))
    if any(part.startswith("named in the question") for part in parts):
        return OF_NAMED_FILE
    lines = await evidence.read(function.path, function.start, function.end)
    if told := words_told(words, NAME.findall("\n".join([function.qualified, *lines])), text):
        return told
    if not main:
        return ""
    for part in parts:
        for begins, said in TOLD:
            if part.startswith(begins):
                return said + (part.removeprefix(begins) if said.endswith(" ") else "")
    if told := words_told(words, NAME.findall("\n".join(await evidence.read(function.path))), text):
        return told.replace("it has", "its file has", 1)
    return f"in the evidence: {parts[0]}" if alone and parts and not words else ""


def words_told(terms: Iterable[str], code: Iterable[str], text: str) -> str:
    """Which of the question's words the code has, as they stand in the question; empty when it has none of them."""
    held = asking.as_written(asking.held(terms, code), text)[:MAX_WORDS]
    return f"it has the question's word{'s' * (len(held) > 1)} {', '.join(held)}" if held else ""


def _last(symbol: str) -> str:
    return symbol.rsplit(".", 1)[-1]
