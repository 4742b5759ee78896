"""Who calls the functions that a question is about: call sites, tests, and the way in from the outside."""

from __future__ import annotations

import anyio.to_thread

from orchestra_mcp.context.code import uses
from orchestra_mcp.context.packing import Candidate
from orchestra_mcp.context.wanted.scene import Scene, Spot, listing, shown
from orchestra_mcp.paths import aside, is_test
from orchestra_mcp.types import Definition

MAX_TARGETS = 4
MAX_MENTIONS = 40
"""Places with a function's name that are looked at."""
MAX_SITES = 14
"""Call sites that are listed of one function."""
MAX_DEPTH = 6
MAX_COMMON = 3
"""A name with more definitions than this says nothing of which one is called."""
MAX_TESTS, MAX_TEST_FILES = 5, 3
"""Tests that are named of one function, and files that are parsed to find their names."""


async def callers(scene: Scene) -> list[Candidate]:
    """Every place that calls what changed or, where nothing did, the best functions."""
    lines: list[str] = []
    for spot in _targets(scene):
        if await _common(spot, scene):
            lines.append(f"{spot.name} ({spot.path}:{spot.start}): its name is too common to tell who calls it")
            continue
        found = await _sites(spot, scene)
        lines.append(f"{spot.name} ({spot.path}:{spot.start}) is called at {len(found)} places:")
        for path, line, text, around in sorted(found, key=lambda site: aside(site[0]))[:MAX_SITES]:
            inside = f" in {around.qualified}" if around else ""
            lines.append(f"  {path}:{line}{inside}: {shown(text)}")
    return listing(lines, "call sites of the functions in question", scene.room)


async def tests(scene: Scene) -> list[Candidate]:
    """Which tests mention the best functions, which functions none does, and how tests are run."""
    lines = [f"Run: {run.text}" for run in (await scene.eyes.describe(scene.words, scene.near)).runs[:1]]
    for spot in _targets(scene):
        if is_test(spot.path) or await _common(spot, scene):
            continue
        names: dict[str, None] = {}
        hits = await scene.eyes.mentions(spot.last, MAX_MENTIONS)
        files = tuple(dict.fromkeys(path for path, _, _ in hits if is_test(path)))[:MAX_TEST_FILES]
        for path, line, _ in (hit for hit in hits if hit[0] in files):
            if len(names) <= MAX_TESTS:
                around = await scene.eyes.enclosing(path, line)
                if around is not None and around.kind != "class":
                    names[f"{path}:{around.start} {around.qualified}"] = None
        listed = ", ".join(list(names)[:MAX_TESTS]) + (", …" if len(names) > MAX_TESTS else "")
        none = "no test mentions it" if len(hits) < MAX_MENTIONS else f"no test in the first {len(hits)} mentions"
        lines.append(f"{spot.name}: {listed or none}")
    return listing(lines, "tests of the functions in question", scene.room)


async def outermost(scene: Scene) -> list[Candidate]:
    """How the best functions are reached: the callers above each, outermost first."""
    lines: list[str] = []
    for spot in _targets(scene)[:3]:
        chain = [f"{spot.name} ({spot.path}:{spot.start})"]
        seen, place = {(spot.path, spot.name)}, spot
        for _ in range(MAX_DEPTH):
            above = [
                around
                for path, _, _, around in await _sites(place, scene)
                if around is not None and not aside(path) and (path, around.qualified) not in seen
            ]
            if not above:
                break
            upper = above[0]
            place = Spot(upper.path, upper.qualified, upper.start, upper.end)
            seen.add((place.path, place.name))
            chain.append(f"{place.name} ({place.path}:{place.start})")
        if len(chain) > 1:
            lines.append(" → ".join(reversed(chain)))
    return listing(lines, "the way in: callers, outermost first", scene.room)


def _targets(scene: Scene) -> tuple[Spot, ...]:
    return tuple(dict.fromkeys((*scene.changed, *scene.spots)))[:MAX_TARGETS]


async def _common(spot: Spot, scene: Scene) -> bool:
    return len(await scene.eyes.locate(spot.last)) > MAX_COMMON


async def _sites(spot: Spot, scene: Scene) -> list[tuple[str, int, str, Definition | None]]:
    """(path, line, text, function around it) of each call; nothing for a name that many functions bear."""
    eyes = scene.eyes
    if await _common(spot, scene):
        return []
    found = []
    for path, line, text in await eyes.mentions(spot.last, MAX_MENTIONS):
        syntax = await eyes.syntax(path)
        if syntax is None or (path == spot.path and line == spot.start):
            continue
        if spot.last in await anyio.to_thread.run_sync(uses.calls, syntax, line, line):
            found.append((path, line, text, await eyes.enclosing(path, line)))
    return found
