"""What to look for in the index: a question's words, and the clues of its traces, names, tests, changes and precedents.

Two kinds of question need more than their own words. One about a failing test is also about what that test's code
says, and one about changes is also about the tests of what changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestra_mcp.context.code import symbols
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index.retrieval import Clues, Place, Ranking
from orchestra_mcp.context.reading import mentions as naming
from orchestra_mcp.context.reading import signals
from orchestra_mcp.context.reading.mentions import Mention
from orchestra_mcp.paths import Kind, is_test
from orchestra_mcp.types import Change, Definition, Mode, Trace

MAX_ERROR = 16_000
"""Characters of an attached error whose words count."""
MAX_TESTS = 3
"""Failing tests whose code is read."""
MAX_TEST_LINES = 120
TESTS_SHOWN = 6
LEAST = 0.25
"""A test file whose score is a smaller part of the best one's is not shown as one about the changes."""
REQUEST = frozenset(
    """review change changes changed test tests testing please diff commit commits committed branch break breaks broke broken
    pull request patch look might could regression yesterday fail fails failed failing failure prüfe änderungen bitte""".split()
)
"""Words of a question about changes or a failing test that say what to do, not what it is about."""
CHANGED = 0.8
"""How much a question about changes names the files that changed."""
PAIRED = 0.5
"""How much a file is named by a test that bears its name."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was found."""

    ranking: Ranking
    mentions: tuple[Mention, ...] = ()
    tests: tuple[Place, ...] = ()
    """Of a question about changes: the tests that are about what changed."""


async def search(
    text: str, error: str, traces: Sequence[Trace], changes: Sequence[Change], mode: Mode, eyes: ProjectEvidence
) -> Search:
    """Find the files and places that a question is about."""
    files = await eyes.files()
    printed = [frame.raw_path for trace in chain(traces) for frame in trace.frames]
    named = naming.mentions(f"{text}\n{error[:MAX_ERROR]}", files, printed)
    asked = f"{text}\n\n{error[:MAX_ERROR]}" if error else text
    await eyes.refresh(signals.read(asked).terms)
    failing = await _failing_tests(named, traces, eyes)
    for code in failing.values():
        asked += f"\n```\n{code}\n```\n"
    said = signals.read(asked, REQUEST if changes or failing else frozenset())
    precedent, history = await eyes.precedents(said.terms)
    clues = Clues(
        frames=_frames(traces),
        named=_named(named, files, [test.path for test in failing], changes),
        precedent=precedent,
        history=history,
        welcome=frozenset[Kind]({"code", "test"} if mode == "testing" and not failing else {"code"}),
    )
    ranking = await eyes.rank(said, clues)
    return Search(ranking, named, await related_tests(changes, eyes) if changes else ())


async def related_tests(
    changes: Sequence[Change], eyes: ProjectEvidence, limit: int = TESTS_SHOWN
) -> tuple[Place, ...]:
    """The best place in each of the existing test files that are most likely about what changed."""
    code = [change for change in changes if not is_test(change.path) and change.status != "deleted"][:20]
    if not code:
        return ()
    said = signals.read(await _changed_code(code, eyes))
    together = await eyes.changed_together([change.path for change in code[:5]])
    stems = {naming.stem(change.path) for change in code}
    paired = {path: 1.0 for path in await eyes.files() if is_test(path) and naming.subject_of(path) in stems}
    clues = Clues(named=paired, precedent=together, welcome=frozenset[Kind]({"test"}), only="test")
    found = await eyes.rank(said, clues)
    best: dict[str, Place] = {}
    least = LEAST * max((hit.score for hit in found.files), default=0.0)
    order = [hit.path for hit in found.files if hit.score >= least]
    for place in found.places:
        best.setdefault(place.path, replace(place, why=f"tests what changed: {place.why}"))
    return tuple(best[path] for path in order if path in best)[:limit]


async def _changed_code(changes: Sequence[Change], eyes: ProjectEvidence) -> str:
    """Names of what changed as the title, and the changed lines as code."""
    names: dict[str, None] = {}
    lines: list[str] = []
    for change in changes:
        definitions = await eyes.definitions(change.path)
        names[naming.stem(change.path)] = None
        for hunk in change.hunks:
            for line in range(hunk.new_start, hunk.new_start + max(1, hunk.new_lines)):
                if (around := symbols.enclosing(definitions, line)) is not None:
                    names[around.qualified] = None
            lines += [row[1:] for row in hunk.text.split("\n")]
    return " ".join(names) + "\n```\n" + "\n".join(lines)[:20_000] + "\n```\n"


async def _failing_tests(
    named: Sequence[Mention], traces: Sequence[Trace], eyes: ProjectEvidence
) -> dict[Definition, str]:
    """The tests that the question names or that its traces start from, and their code."""
    found: dict[Definition, str] = {}
    for mention in named:
        if mention.test:
            for definition in (await eyes.locate(mention.test, mention.path))[:1]:
                found[definition] = ""
    for trace in chain(traces):
        for frame in trace.frames:
            if frame.path and is_test(frame.path) and re.match(r"test|Test|it_|spec", frame.function):
                if (around := await eyes.enclosing(frame.path, frame.line)) is not None and around.kind != "class":
                    found[around] = ""
                break
    chosen = list(found)[:MAX_TESTS]
    return {d: "\n".join(await eyes.read(d.path, d.start, min(d.end, d.start + MAX_TEST_LINES))) for d in chosen}


def _frames(traces: Sequence[Trace]) -> Mapping[str, float]:
    """Own files of the traces: 1 for the innermost own frame of each, less further out."""
    found: dict[str, float] = {}
    for trace in chain(traces):
        own = [frame.path for frame in trace.frames if frame.path]
        for distance, path in enumerate(reversed(own)):
            found[path] = max(found.get(path, 0.0), 1 / (1 + 0.25 * distance))
    return found


def _named(
    named: Sequence[Mention], files: Sequence[str], tests: Sequence[str], changes: Sequence[Change]
) -> Mapping[str, float]:
    found = {change.path: CHANGED for change in changes if change.status != "deleted"}
    for mention in named:
        found[mention.path] = max(found.get(mention.path, 0.0), mention.sure)
    stems = {naming.subject_of(path) for path in tests} - {""}
    if stems:
        for path in files:
            if naming.stem(path) in stems and not is_test(path):
                found[path] = max(found.get(path, 0.0), PAIRED)
    return found


def chain(traces: Sequence[Trace]) -> list[Trace]:
    """All traces with their causes, root causes first."""
    ordered: list[Trace] = []
    for trace in traces:
        links = [trace]
        while (cause := links[-1].cause) is not None and len(links) < 20:
            links.append(cause)
        ordered += reversed(links)
    return ordered
