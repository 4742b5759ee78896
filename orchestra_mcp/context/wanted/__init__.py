"""The further evidence that each way of being stuck wants, beside the code, traces and changes that every question gets.

A mode names its evidence in `council/prompts/modes/<mode>.md`; `app` hands the names to the collector. All of it
together has a small share of the budget and a low score, so that it takes no room from the best functions.
Add here: an async function from `Scene` to candidates, and its entry in `GATHERERS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from orchestra_mcp.context.packing import Candidate
from orchestra_mcp.context.wanted import callsites, overview, papers, signs
from orchestra_mcp.context.wanted.scene import Scene

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
    """The evidence of these names.

    Raises:
        KeyError: for a name that is not in `GATHERERS`.
    """
    return [candidate for name in names for candidate in await GATHERERS[name](scene)]
