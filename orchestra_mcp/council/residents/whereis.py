"""Where something is defined: the inspector's answer when the question asks for a place or for how something works."""

from __future__ import annotations

from orchestra_mcp.council.residents.lineup import Lineup
from orchestra_mcp.council.residents.saying import opinion, point
from orchestra_mcp.council.residents.suspects import Suspect
from orchestra_mcp.types import Claim, Evidence, Opinion

MAX_PLACES = 6
MAX_NAMED = 3  # definitions that the position itself lists
CONFIDENCE_NAMED, CONFIDENCE_WORDS = 0.5, 0.3


async def tell(seat: str, lineup: Lineup, evidence: Evidence) -> Opinion | None:
    """The definitions that the question names, and those that share most of its words. None without any."""
    found = [s for s in lineup.suspects if s.kinds - {"changed"}][:MAX_PLACES]
    if not found:
        return None
    classes = {f"{s.definition.qualified}.{s.definition.name}" for s in found if s.definition.kind == "class"}
    found = [s for s in found if s.definition.qualified not in classes]  # a class is named with its constructor
    named = [s for s in found if "named" in s.kinds]
    claims = [await _claim(suspect, evidence) for suspect in found]
    top = found[0]
    if named:
        position = "; ".join(f"`{s.definition.qualified}` is defined at {_spot(s)}" for s in named[:MAX_NAMED])
    else:
        position = (
            f"No name is given; by words, `{top.definition.qualified}` ({_spot(top)}) is nearest: {top.grounds[0]}"
        )
    return opinion(
        seat,
        position=position,
        does="I looked up the names and words of the question in the definitions of this version.",
        sections=[("Where to read, best first", claims)],
        plan=[f"Read `{s.definition.qualified}` at `{_spot(s)}`." for s in found[:2]],
        risks=("A definition that shares the question's words need not be the one that is meant.",)
        if not named
        else (),
        would_change="The name of a function, class or file that is meant.",
        confidence=CONFIDENCE_NAMED if named else CONFIDENCE_WORDS,
    )


async def _claim(suspect: Suspect, evidence: Evidence) -> Claim:
    d = suspect.definition
    grounds = [ground for ground in suspect.grounds if not ground.startswith(("changed (", "added ("))]
    text = f"`{d.qualified}` ({d.kind}): {' · '.join(grounds[:2])}"
    return await point(evidence, text, d.path, d.start, d.qualified)


def _spot(suspect: Suspect) -> str:
    return f"{suspect.definition.path}:{suspect.definition.start}"
