"""A file as the index keeps it: its definitions, and which words occur how often in each. Pure.

A *unit* is a definition without the definitions inside it, or a block of lines outside all definitions; unit 0 is the
file, for what is said of all of it. Words are
identifiers in lower case: compound ones as a whole and in their parts, so that `parse_header` is found by a question
that says "header" and by one that says `parse_header`. Three further kinds of words carry a prefix:

* `d:name`: the unit defines exactly this name, underscores around it left out.
* `n:part`: the unit's qualified name contains this part.
* `p:part`: the file's path contains this part (unit 0 only).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra_mcp.context.code import symbols
from orchestra_mcp.context.code.languages import language_of, markup_of
from orchestra_mcp.identifiers import drawn, parts_of
from orchestra_mcp.paths import kind_of
from orchestra_mcp.store.index import MAX_COUNT, place_of
from orchestra_mcp.types import Definition

MAX_TEXT = 1_000_000
"""Characters of a file that are read; larger files are data."""
MAX_DEFINITIONS = 3500
MAX_UNITS = 4096
"""As many as a posting can number."""
BLOCK = 8
"""Lines that a block has at least, if it does not end at a definition."""
MAX_NAME = 300
"""Characters of a qualified name."""
MAX_PARTS = 12
"""Of a qualified name, from its end."""

_WORD = re.compile(r"[^\W\d]\w+")
_DATA = re.compile(
    r"\.(?:csv|tsv|po|pot|svg|lock|map|snap|ipynb|geojson|ndjson|jsonl|sum|xlf|arb|min\.js|min\.css)$"
    r"|(^|/)(?:package-lock\.json|pnpm-lock\.yaml|npm-shrinkwrap\.json)$",
    re.IGNORECASE,
)
MAX_LINE = 300
"""A file with longer lines on average is generated or minified: its words are not counted."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A place in a file: a definition, or with an empty name a block of lines, or as the first the whole file."""

    name: str
    kind: str
    start: int
    end: int
    words: int = 0
    """How many words it has, without those of the definitions inside it."""


@dataclass(frozen=True, slots=True)
class FileUnits:
    """A file's units, and the counts of each word by unit."""

    units: tuple[Unit, ...]
    codes: dict[str, list[int]]
    """word → for each unit that has it, in order of the units, `store.index.place_of` it plus the count."""

    @property
    def postings(self) -> dict[str, list[tuple[int, int]]]:
        """The same to be read: word → (number of the unit, how often)."""
        return {word: [(code >> 12, code & MAX_COUNT) for code in codes] for word, codes in self.codes.items()}


def divide(path: str, text: str) -> FileUnits:
    """Read a file. What cannot be parsed is cut into blocks at its blank lines."""
    lines = text.split("\n")
    counted = countable(path, len(text)) and not _generated(text)
    found = _definitions(path, text) if counted else ()
    units = [Unit("", "file", 1, len(lines)), *(Unit(_tail(d.qualified), d.kind, d.start, d.end) for d in found)]
    said: list[list[str]] = [[] for _ in units]
    """The words of each unit, with repetitions."""
    for number, start, end in _pieces(found, len(lines)) if counted else ():
        if number or len(units) == MAX_UNITS:  # what cannot be numbered any more belongs to the file as a whole
            said[number] += _WORD.findall("\n".join(lines[start - 1 : end]))
            continue
        for block in _blocks(lines, start, end, MAX_UNITS - len(units)):
            units.append(block)
            said.append(_WORD.findall("\n".join(lines[block.start - 1 : block.end])))
    sized = tuple(Unit(u.name, u.kind, u.start, u.end, len(words)) for u, words in zip(units, said, strict=True))
    return FileUnits(sized, _gathered(path, found, said))


def _definitions(path: str, text: str) -> Sequence[Definition]:
    if markup_of(path) is not None:
        return symbols.sections(path, text.encode("utf-8", "replace"))
    if language_of(path) is None:
        return ()
    syntax = symbols.parse(path, text.encode("utf-8", "replace"))
    return symbols.definitions(syntax, path)[:MAX_DEFINITIONS] if syntax is not None else ()


def _tail(qualified: str) -> str:
    """The end of a name: of hundreds of definitions inside each other, the names together are quadratic."""
    return qualified if len(qualified) < MAX_NAME else ".".join(qualified.split(".")[-MAX_PARTS:])[-MAX_NAME:]


def _gathered(path: str, found: Sequence[Definition], said: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    postings: defaultdict[str, list[int]] = defaultdict(list)
    places = [place_of(number, len(words)) for number, words in enumerate(said)]
    for place, words in zip(places, said, strict=True):
        counts: dict[str, int] = {}
        for word, count in Counter(words).items():
            for part in parts_of(word):
                counts[part] = counts[part] + count if part in counts else count
        for part, count in counts.items():
            postings[part].append(place + (count if count < MAX_COUNT else MAX_COUNT))
    for place, definition in zip(places[1:], found, strict=False):
        name = definition.name.strip("_").lower()
        if len(name) < MAX_NAME and not any(map(drawn, name.split("_"))):
            postings[f"d:{name}"].append(place + 1)
        names = _tail(definition.qualified).split(".")[-MAX_PARTS:]
        for part in {part for name in names for part in parts_of(name)}:
            postings[f"n:{part}"].append(place + 1)
    for part in path_words(path):
        postings[f"p:{part}"].append(places[0] + 1)
    return dict(postings)


def countable(path: str, size: int) -> bool:
    """False for data, lock files and what is too large, of which only the path counts."""
    return (
        size <= MAX_TEXT
        and not _DATA.search(path)
        and not (path.endswith((".html", ".htm")) and kind_of(path) == "docs")
    )


def _generated(text: str) -> bool:
    return len(text) > 5000 and len(text) / (text.count("\n") + 1) > MAX_LINE


def path_words(path: str) -> frozenset[str]:
    """The words of a path, its last suffix excepted."""
    stem = path.rpartition(".")[0] if "." in path.rpartition("/")[2] else path
    return frozenset(part for name in re.split(r"[/.\-]", stem) for part in parts_of(name))


def _pieces(found: Sequence[Definition], lines: int) -> Iterator[tuple[int, int, int]]:
    """The lines cut where definitions begin and end: number of the innermost unit around, first and last line."""
    at, around = 1, [(0, lines)]
    for number, definition in enumerate(found, 1):
        while around[-1][1] < definition.start and len(around) > 1:
            owner, end = around.pop()
            if end >= at:
                yield owner, at, end
                at = end + 1
        if definition.start > at:
            yield around[-1][0], at, definition.start - 1
            at = definition.start
        around.append((number, min(definition.end, around[-1][1])))
    while around:
        owner, end = around.pop()
        if end >= at:
            yield owner, at, end
            at = end + 1


def _blocks(lines: Sequence[str], start: int, end: int, room: int) -> Iterator[Unit]:
    """Lines outside all definitions, cut at blank lines into blocks of at least `BLOCK` lines where there are so many."""
    first = last = 0
    for number in range(start, end + 2):
        if number <= end and lines[number - 1].strip():
            first, last = first or number, number
        elif first and room > 0 and (number > end or number - first >= BLOCK):
            yield Unit("", "block", first, last, 0)
            first, room = 0, room - 1
