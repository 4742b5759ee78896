"""The places that a failure leads through, and what the failing line uses: where a commit can have broken it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra_mcp.council.residents import trees, values
from orchestra_mcp.council.residents.lineup import Lineup
from orchestra_mcp.council.residents.places import Place
from orchestra_mcp.council.residents.suspects import Suspect
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Definition, Evidence

MAX_PLACES = 4  # of the failing path, from the innermost outwards
MAX_CALLEES = 4
MAX_SOURCES = 3  # lines that set what the failing line uses


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the failing path."""

    path: str
    line: int
    definition: Definition | None
    exact: bool
    depth: int
    used: str = ""
    """For a function or line whose result a line of the path uses: that line, as `path:line`."""
    on_path: bool = True
    """False for a function that is only in question."""
    sets: str = ""
    """For a line that sets what the failing line uses: the name."""


async def spots_of(lineup: Lineup, chosen: Sequence[Suspect], evidence: Evidence) -> tuple[Spot, ...]:
    """The failing path from the innermost place outwards, with what its lines use; without one, the chosen functions."""
    places = [place for place in (lineup.walks[0].places if lineup.walks else ()) if not is_test(place.path)]
    if not places and lineup.message is not None and not is_test(lineup.message[1].path):
        places = [lineup.message[1]]
    if not places:
        return tuple(
            Spot(s.definition.path, s.line, s.definition, False, depth, on_path=False) for depth, s in enumerate(chosen)
        )
    found = [Spot(p.path, p.line, p.definition, p.exact, depth) for depth, p in enumerate(places[:MAX_PLACES])]
    known = {spot.definition for spot in found}
    for depth, place in enumerate(places[:MAX_PLACES]):
        used = [s for s in await _used(place, depth, evidence) if s.sets or s.definition not in known]
        found += used
        known |= {spot.definition for spot in used}
    return tuple(found)


async def _used(place: Place, depth: int, evidence: Evidence) -> list[Spot]:
    """The functions whose results a line of the path uses: those called on it, and in the assignments of its names."""
    syntax = await evidence.syntax(place.path)
    if syntax is None or not place.exact:
        return []
    function = trees.function_at(syntax.root, place.line)
    calls: dict[str, None] = {}
    sources: dict[int, str] = {}
    for node in trees.walk_at(syntax.root, place.line):
        if trees.line_of(node) != place.line:
            continue
        if node.type in trees.CALLS:
            calls.setdefault(trees.callee(node)[1])
        elif node.type in ("identifier", "attribute", "member_expression"):
            origin = values.origin(function, node)
            if origin is not None and origin.kind != "parameter" and depth == 0:
                sources.setdefault(origin.line, trees.text(node))
            if origin is not None and origin.value is not None and origin.value.type in trees.CALLS:
                calls.setdefault(trees.callee(origin.value)[1])
    here = f"{place.path}:{place.line}"
    found = [
        Spot(place.path, line, place.definition, True, 0, here, sets=name)
        for line, name in list(sources.items())[:MAX_SOURCES]
    ]
    for name in [name for name in calls if len(name) > 3][: 2 * MAX_CALLEES]:
        meant = [d for d in await evidence.locate(name) if d.kind != "class" and not is_test(d.path)]
        if len(meant) == 1 and meant[0] != place.definition:
            found.append(Spot(meant[0].path, meant[0].start, meant[0], False, depth, here))
    return found[: MAX_SOURCES + MAX_CALLEES]
