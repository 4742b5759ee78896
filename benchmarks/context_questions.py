"""Two more kinds of question for `context.py`, made of the commits that fixed the reports.

*Why does this test fail?* The fix's changes to test files are in the work tree, uncommitted, as they are for somebody
who has just written the test; the question names the failing tests; gold are the source files that the fix changed.

*Review my changes.* The fix's changes to source files are in the work tree; gold are the test files that the fix
changed and that were there before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import anyio
from context_asking import Eyes, dossier
from context_cases import PROGRAMS, Case, Fix, apply, changed_lines, git
from context_scores import Positions, positions

from orchestra_mcp.context import searching
from orchestra_mcp.context.code import symbols
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Definition

MAX_IDS = 10
_TEST = re.compile(r"test|Test|.*_test$")


@dataclass(frozen=True, slots=True)
class Asked:
    """One such question and where its gold files came."""

    case: Case
    kind: str
    group: str
    found: Positions
    text: str
    first: tuple[str, ...]


def failing(case: Case, fix: Fix, root: Path, home: Path) -> Asked | None:
    """None when the fix has no tests or they do not fit the base commit."""
    tests = fix.tests()
    before = anyio.run(_names, root, home, tests)
    if not tests or not apply(root, fix, tests):
        return None

    async def ask() -> Asked:
        eyes = Eyes(root, home)
        ids: list[str] = []
        known = False
        for path in tests:
            for definition in await _changed_tests(path, root, eyes):
                known = known or (path, definition.qualified) in before
                ids.append(test_id(definition))
        text = "Why does this test fail?\n\n" + "\n".join((ids or list(tests))[:MAX_IDS])
        files = (await dossier(text, eyes)).files
        group = "only the file is named" if not ids else "a test that was there" if known else "a new test"
        return Asked(case, "test", group, positions(files, case.gold_files), text, files[:3])

    return anyio.run(ask)


def review(case: Case, fix: Fix, root: Path, home: Path, *, everything: bool) -> Asked | None:
    """None when no test file of the base commit is in the fix. With `everything`, documents and data change as well."""
    gold = [path for path in fix.modified if is_test(path) and path.endswith(PROGRAMS) and git(root, "ls-files", "--", path)]  # fmt: skip
    changed = [path for path in (*fix.modified, *fix.added) if not is_test(path)] if everything else fix.sources()
    if not gold or not changed or not apply(root, fix, changed):
        return None

    async def ask() -> Asked:
        eyes = Eyes(root, home)
        found = await searching.related_tests(await eyes.changes(), eyes, limit=10_000)
        files = list(dict.fromkeys(place.path for place in found))
        return Asked(case, "review", "", positions(files, gold), ", ".join(gold), tuple(files[:3]))

    return anyio.run(ask)


def test_id(definition: Definition) -> str:
    """As pytest names it; for Java as Maven does."""
    name = definition.qualified
    if definition.path.endswith((".java", ".kt")):
        return name.replace(".", "#") if name.count(".") == 1 else name
    return f"{definition.path}::{name.replace('.', '::')}"


async def _names(root: Path, home: Path, paths: tuple[str, ...]) -> set[tuple[str, str]]:
    eyes = Eyes(root, home)
    return {(path, definition.qualified) for path in paths for definition in await eyes.definitions(path)}


async def _changed_tests(path: str, root: Path, eyes: Eyes) -> list[Definition]:
    """Test functions that hold changed lines."""
    definitions = await eyes.definitions(path)
    found: dict[Definition, None] = {}
    for line in sorted(changed_lines(root, path)):
        around = symbols.enclosing(definitions, line)
        if around is not None and around.kind != "class" and _TEST.match(around.name):
            found[around] = None
    return list(found)
