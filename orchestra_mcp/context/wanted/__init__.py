"""The further evidence that each way of being stuck wants, beside the code, traces and changes that every question gets.

A mode names its evidence in `council/prompts/modes/<mode>.md`; `app` hands the names to the collector. All of it
together has a small share of the budget and a low score, so that it takes no room from the best functions.
Add here: an async function from `Scene` to candidates, and its entry in `GATHERERS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from orchestra_mcp.context.packing import Candidate
from orchestra_mcp.context.wanted import callsites, overview, papers, signs
from orchestra_mcp.context.wanted.scene import Scene

WAIT_S = 4.0
"""Seconds for one kind of evidence; it only adds to what every question gets, and must not hold it up."""
Gatherer = Callable[[Scene], Awaitable[list[Candidate]]]

GATHERERS: dict[str, Gatherer] = {
    "callers": callsites.callers,
    "tests": callsites.tests,
    "outermost": callsites.outermost,
    "entry-points": signs.entry_points,
    "hot-shapes": signs.hot_shapes,
    "module-map": overview.module_map,
    "docs": papers.docs,
    "dependencies": papers.dependencies,
    "configuration": papers.configuration,
    "line-history": papers.line_history,
    "recent-changes": papers.recent_changes,
}


async def gather(names: Sequence[str], scene: Scene) -> list[Candidate]:
    """The evidence of these names; without what takes too long to find.

    Raises:
        KeyError: for a name that is not in `GATHERERS`.
    """
    found: list[Candidate] = []
    for name in names:
        with anyio.move_on_after(WAIT_S):
            found += await GATHERERS[name](scene)
    return found
