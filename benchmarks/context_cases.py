"""The cases of `context.py`: bug reports, work trees at their base commits, and the commits that fixed them.

A case is one JSON object a line: `id`, `set`, `repo`, `mirror` (OWNER/NAME), `base_commit`, `lang`, `n_files`,
`problem_statement`, `gold_files`, `gold_functions` ([path, qualified name, first line, last line, kind]), `gold_spans`
([path, first line, last line], both at the base commit) and `labels`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra_mcp.paths import is_test, kind_of

MAX_CANDIDATES = 25
"""Commits after the base that change all gold files, of which the first that fits is taken for the fix."""
PROGRAMS = (".py", ".java", ".go", ".rs", ".ts", ".tsx", ".js", ".jsx", ".ex", ".exs", ".kt", ".rb", ".php", ".cs")
"""Endings of test files that are programs and not their data. Add here."""

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)

Hunk = tuple[int, int, int, int]
"""First line and number of lines before, and after."""


@dataclass(frozen=True, slots=True)
class Case:
    """One report."""

    id: str
    set: str
    repo: str
    mirror: str
    base: str
    language: str
    n_files: int
    text: str
    gold_files: tuple[str, ...]
    gold_functions: tuple[tuple[str, str, int, int, str], ...]
    gold_spans: tuple[tuple[str, int, int], ...]
    location: str
    """Where the report says which file it is: `None` when nowhere, empty when nobody judged."""


@dataclass(frozen=True, slots=True)
class Fix:
    """The commit that repaired a case."""

    commit: str
    parent: str
    modified: tuple[str, ...]
    added: tuple[str, ...]

    def tests(self) -> tuple[str, ...]:
        """Test programs that it changed or added."""
        return tuple(path for path in (*self.modified, *self.added) if is_test(path) and path.endswith(PROGRAMS))

    def sources(self) -> tuple[str, ...]:
        """Program files that it changed or added, without tests, documentation and data."""
        return tuple(path for path in (*self.modified, *self.added) if kind_of(path) == "code")


def load(file: Path, sets: Sequence[str] = (), n: int = 0) -> list[Case]:
    """The cases of some sets (all of them without `sets`); with `n` a sample that is always the same."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    cases = [_case(row) for row in rows if not sets or row["set"] in sets]
    if n:
        cases = sample(cases, n)
    return cases


def sample(cases: Iterable[Case], n: int) -> list[Case]:
    """The first `n` in the order of a hash of their ids."""
    return sorted(cases, key=lambda case: hashlib.md5(case.id.encode(), usedforsecurity=False).digest())[:n]


def _case(row: dict[str, Any]) -> Case:
    return Case(
        row["id"], row["set"], row["repo"], row["mirror"], row["base_commit"], row["lang"], row["n_files"],
        row["problem_statement"], tuple(row["gold_files"]), tuple((f[0], f[1], f[2], f[3], f[4]) for f in row["gold_functions"]),
        tuple((s[0], s[1], s[2]) for s in row["gold_spans"]), (row.get("labels") or {}).get("file location", ""),
    )  # fmt: skip


def mirror_of(folder: Path, name: str) -> Path | None:
    """The bare git directory of OWNER/NAME: `OWNER+NAME`, or a directory in it."""
    base = folder / name.replace("/", "+")
    places = [base, *sorted(base.glob("*"))] if base.is_dir() else []
    return next((place.resolve() for place in places if (place / "objects").is_dir()), None)


def git(place: Path, *args: str, given: str | None = None) -> str:
    """What git prints; nothing when it fails. No configuration of the user's counts."""
    environ = {
        "PATH": os.environ.get("PATH", ""), "HOME": str(place), "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
    }  # fmt: skip
    command = ["git", "-C", str(place), "-c", "safe.directory=*", "-c", "core.quotePath=false", *args]
    done = subprocess.run(command, env=environ, input=given and given.encode("utf-8", "surrogateescape"), capture_output=True, check=False)  # fmt: skip
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""


class WorkTrees:
    """One work tree for each repository, moved from base commit to base commit.

    It borrows the mirror's objects but has no refs, so that nothing after the base commit can be reached by a name.
    """

    def __init__(self, mirrors: Path, place: Path) -> None:
        self._mirrors, self._place = mirrors, place.resolve()

    def known(self, case: Case) -> bool:
        """True when the mirror holds the base commit."""
        mirror = mirror_of(self._mirrors, case.mirror)
        return mirror is not None and bool(git(mirror, "rev-parse", "--verify", "-q", f"{case.base}^{{commit}}"))

    def mirror(self, case: Case) -> Path:
        """The mirror of a case that is `known`."""
        found = mirror_of(self._mirrors, case.mirror)
        if found is None:
            raise SystemExit(f"There is no mirror of {case.mirror} in {self._mirrors}.")
        return found

    def at(self, case: Case) -> Path:
        """The work tree, clean and at the case's base commit."""
        root = self._place / case.repo.replace("/", "+")
        if not (root / ".git" / "HEAD").exists():
            root.mkdir(parents=True)
            git(root, "init", "-q")
            (root / ".git/objects/info").mkdir(exist_ok=True)
            (root / ".git/objects/info/alternates").write_text(f"{self.mirror(case) / 'objects'}\n")
            (root / ".git/info").mkdir(exist_ok=True)
            (root / ".git/info/attributes").write_text("* -text -filter -working-tree-encoding\n")
            for key, value in (("gc.auto", "0"), ("core.logAllRefUpdates", "false"), ("core.symlinks", "false")):
                git(root, "config", key, value)
        git(root, "checkout", "-q", "--force", "--detach", case.base)
        git(root, "clean", "-ffdxq")
        if git(root, "rev-parse", "HEAD").strip() != case.base:
            raise SystemExit(f"{case.id}: cannot check out {case.base} of {case.mirror}.")
        return root

    def age(self, case: Case) -> int:
        """Seconds since 1970 at the base commit: cases in this order have the fewest files to index anew."""
        return int(git(self.mirror(case), "log", "-1", "--format=%ct", case.base).strip() or 0)


def find_fix(mirror: Path, case: Case) -> Fix | None:
    """The first descendant of the base that changes all gold files at the gold spans.

    Where this one has no tests, another child of the base may be the same change with them: a branch squashed or merged.
    """
    listed = git(
        mirror, "log", "--all", "--full-history", "--ancestry-path", f"^{case.base}", "--diff-merges=first-parent",
        "--topo-order", "--reverse", "--format=%x00%H %P", "--name-only", "--", *case.gold_files,
    )  # fmt: skip
    entries = [entry.split("\n") for entry in listed.split("\0")[1:]]
    fitting: list[Fix] = []
    for head, *_ in [one for one in entries if set(case.gold_files) <= set(one)][:MAX_CANDIDATES]:
        commit, parent = head.split()[:2]
        if fitting and parent != case.base:
            continue
        if all(_touches(mirror, case, path, commit, parent) for path in case.gold_files):
            fix = _fix(mirror, commit, parent)
            if fix.tests():
                return fix
            fitting.append(fix)
    return fitting[0] if fitting else None


def _touches(mirror: Path, case: Case, path: str, commit: str, parent: str) -> bool:
    """True when the commit changes every gold span of a file that lies unchanged in its parent."""
    since = [] if parent == case.base else hunks(git(mirror, "diff", "-U0", case.base, parent, "--", path))
    changed = hunks(git(mirror, "diff", "-U0", parent, commit, "--", path))
    for _, first, last in (span for span in case.gold_spans if span[0] == path):
        moved = _moved(since, first, last)
        if moved is None:
            return False
        first, last = moved
        # Where lines are only added, git names the line before them, and the span one of the two neighbours.
        if not any(start <= last + 1 and first <= start + max(count, 1) for start, count, _, _ in changed):
            return False
    return True


def _moved(since: Sequence[Hunk], first: int, last: int) -> tuple[int, int] | None:
    """Where lines of the base are after some hunks; None when these changed them."""
    shift = 0
    for start, count, _, added in since:
        if count and start <= last and first < start + count:
            return None
        if start + max(count, 1) <= first:
            shift += added - count
    return first + shift, last + shift


def hunks(diff: str) -> list[Hunk]:
    """The ranges of a diff."""
    return [(int(m[1]), int(m[2] or 1), int(m[3]), int(m[4] or 1)) for m in _HUNK.finditer(diff)]


def _fix(mirror: Path, commit: str, parent: str) -> Fix:
    found: dict[str, list[str]] = {"M": [], "A": []}
    for line in git(mirror, "diff", "--no-renames", "--name-status", parent, commit).splitlines():
        status, _, path = line.partition("\t")
        found.setdefault(status, []).append(path)
    return Fix(commit, parent, tuple(found["M"]), tuple(found["A"]))


def apply(root: Path, fix: Fix, paths: Sequence[str]) -> bool:
    """Make a part of the fix an uncommitted change of the work tree; False when it does not fit the base commit."""
    patch = git(root, "diff", "--no-renames", "--binary", fix.parent, fix.commit, "--", *paths)
    if not patch:
        return False
    git(root, "apply", "--whitespace=nowarn", "-", given=patch)
    return all(path in git(root, "status", "--porcelain", "-uall", "--", path) for path in paths)


def changed_lines(root: Path, path: str) -> set[int]:
    """The lines of the work tree's file that HEAD does not have, or at which it had others."""
    if not git(root, "ls-files", "--", path):
        return set(range(1, 1 + len((root / path).read_bytes().splitlines())))
    return {
        line
        for _, _, start, count in hunks(git(root, "diff", "-U0", "HEAD", "--", path))
        for line in range(start, start + max(1, count))
    }
