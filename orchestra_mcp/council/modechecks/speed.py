"""`hot-path`: whether the suspect is a hot spot of the attached profile, or repeats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from orchestra_mcp.council.modechecks.places import NEAR, Place, listed, own, places_of, sites_of
from orchestra_mcp.council.residents import trees
from orchestra_mcp.types import Check, Dossier, Evidence, Opinion, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

COLD = 1.0
"""Per cent of the whole below which a function of a profile costs nothing worth mending, when it calls nothing dear."""
MAX_ROWS = 60

LOOPS = frozenset(
    {
        "for_statement", "while_statement", "do_statement", "for_in_statement", "foreach_statement", "for_each_statement",
        "enhanced_for_statement", "for_range_loop", "for_expression", "while_expression", "loop_expression", "loop_statement",
        "repeat_statement", "repeat_while_statement", "do_while_statement", "c_style_for_statement", "for", "while", "until",
        "while_modifier", "until_modifier", "list_comprehension", "set_comprehension", "dictionary_comprehension",
        "generator_expression",
    }
)  # fmt: skip
"""Named nodes that repeat something, in the grammars of all languages. Add here."""
EACH = frozenset({"forEach", "each", "each_with_index", "each_with_object", "flatMap", "times"})
"""Methods that do something for each element, whatever the language. Add here."""

_SHARE = re.compile(r"\s{0,9}(\d{1,3}\.\d) %  ")
_AROUND = re.compile(r"(\d{1,3})% of the time \(|in the .{1,40} profile$")
_FILE = re.compile(r"\(([^()]{1,400})\)")
_NAMED = re.compile(r"(?:^|[/\\])([^/\\:]{1,200}\.\w{1,6})(?::\d{1,9})?$")


class Row(NamedTuple):
    """A line of a profile's summary."""

    text: str
    share: float | None
    """Own cost, in per cent of the whole."""
    callees: bool
    """True when what it calls costs more than itself."""


async def check_speed(opinion: Opinion, dossier: Dossier, evidence: Evidence) -> Check | None:
    """Verified for a hot spot, or without a profile of this project for code in a loop; refuted when measured as cold."""
    places = await places_of(opinion, evidence)
    if not places:
        return None
    rows = list(_rows(dossier))
    hot = [found for place in places if (found := _hot(place, rows, dossier))]
    if hot:
        return Check(outcome="verified", note=listed(hot))
    cold = [row for place in places if (row := _row_of(place, rows))]
    if cold and len(cold) == len(places):
        measured = listed([" ".join(row.text.split()) for row in cold], 3)
        return Check(
            outcome="refuted", note=f"the profile measured what is suspected, and it is not expensive: {measured}"
        )
    printed = {name for row in rows for name in _files_in(row)}
    if printed & {file.rpartition("/")[2] for file in await evidence.files()}:
        dearest = listed([" ".join(row.text.split()) for row in rows], 3)
        return Check(outcome="unchecked", note=f"not among the hot spots of the profile, which are: {dearest}")
    loops = [found for place in places if (found := await _loop(place, evidence))]
    if loops:
        return Check(outcome="verified", note=listed(loops))
    spots = listed([place.shown for place in places], 3)
    return Check(outcome="unchecked", note=f"no profile shows it and no loop was found at {spots}")


def _rows(dossier: Dossier) -> Iterator[Row]:
    """What the profiles in a dossier list (`why` is `<kind> profile`), dearest first."""
    for excerpt in dossier.excerpts:
        if excerpt.source != "log" or not excerpt.why.endswith(" profile"):
            continue
        for line in excerpt.text.split("\n")[1 : MAX_ROWS + 1]:
            if line.startswith("With what they call: "):
                yield from (Row(part, None, True) for part in line.partition(": ")[2].split(", "))
            elif line.startswith("  "):
                share = _SHARE.match(line)
                yield Row(line[:1000], float(share[1]) if share else None, " with callees" in line)


def _hot(place: Place, rows: list[Row], dossier: Dossier) -> str:
    row = _row_of(place, rows)
    if row is not None:
        cold = row.share is not None and row.share < COLD and not row.callees
        return "" if cold else f"the profile lists {place.shown}: {' '.join(row.text.split())}"
    function = place.function
    for excerpt in dossier.excerpts if function else ():
        around = _AROUND.match(excerpt.why) if excerpt.source in ("symbol", "file") else None
        if around is None or excerpt.path != place.path or (around[1] is not None and int(around[1]) < COLD):
            continue
        # Excerpts that touch are shown as one, and then it is not said which function is meant.
        if function and function.start <= excerpt.start <= excerpt.end <= function.end:
            return f"the profile points at {place.shown}: {excerpt.why}"
    return ""


def _row_of(place: Place, rows: list[Row]) -> Row | None:
    """The row of the place's function; where rows print a file, it must be the same."""
    if place.function is None:
        return None
    word = re.compile(rf"(?<!\w){re.escape(place.function.name)}(?!\w)")
    found: list[Row] = []
    for row in rows:
        names = _files_in(row)
        if word.search(_FILE.sub(" ", row.text)) and (not names or place.path.rpartition("/")[2] in names):
            found.append(row)
    return max(found, key=lambda row: (row.callees, row.share or 0.0), default=None)


def _files_in(row: Row) -> list[str]:
    """The names of the files that a row prints in parentheses, with or without a line."""
    found = (_NAMED.search(part) for part in _FILE.findall(row.text))
    return [match[1] for match in found if match]


async def _loop(place: Place, evidence: Evidence) -> str:
    """The loop that a place stands in, that its function holds, or that calls its function."""
    syntax = await evidence.syntax(place.path)
    if syntax is None or not place.line:
        return ""
    function = place.function
    low, high = (function.start, function.end) if function else (1, trees.last_line(syntax.root))
    around = [node for node in trees.walk_at(syntax.root, place.line) if repeats(node) and trees.line_of(node) >= low]
    if around:
        return f"{place.path}:{place.line} stands in the loop of line {trees.line_of(around[-1])}"
    whole = function is not None and place.line <= function.start + NEAR
    if whole and (line := _first_loop(syntax, low, high)):
        return f"{place.shown} holds the loop of line {line}"
    for site in own(await sites_of(function, evidence) or ()) if function else ():
        above = next((node for node in trees.above(site.node) if repeats(node)), None)
        if above is not None:
            return f"{place.shown} is called at {site.shown}, in the loop of line {trees.line_of(above)}"
    return ""


def _first_loop(syntax: Syntax, start: int, end: int) -> int:
    stack = [syntax.root]
    while stack:
        node = stack.pop()
        if trees.last_line(node) < start or trees.line_of(node) > end:
            continue
        if repeats(node) and trees.line_of(node) >= start:
            return trees.line_of(node)
        stack.extend(reversed(node.named_children))
    return 0


def repeats(node: Node) -> bool:
    """True for loops, and for calls that do something for each element."""
    return node.type in LOOPS or (node.type in trees.CALLS and trees.callee(node)[1] in EACH)
