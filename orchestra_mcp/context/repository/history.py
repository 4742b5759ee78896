"""What git remembers: blame, the log of lines and files, and which files changed together and how lately.

`history` is one bounded call; the rest of what it tells (`changed_together`, `churn`) is computed from its answer.
"""

from __future__ import annotations

import itertools
import math
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread

from orchestra_mcp.context.repository.gitrun import Runner
from orchestra_mcp.types import BlameLine, Commit

MAX_TOGETHER = 30
"""A commit that touches more files than this says nothing about which of them belong together."""
MAX_LOOKED = 40
"""Commits on a file from which it is told what changes with it."""
MAX_IGNORED = 200
"""Commits that a project may ask blame to look behind."""
IGNORE_FILE = ".git-blame-ignore-revs"
"""Where projects list commits that only reformatted (the name that GitHub and GitLab read)."""

INDENTED = (".py", ".pyi", ".pyx", ".yml", ".yaml", ".coffee", ".haml", ".pug", ".sass", ".nim", ".fs", ".hs", ".elm")
"""Files in which white space has a meaning, so that a change of it alone counts. Add here."""

_FORMAT = "%h%x1f%an%x1f%at%x1f%s"


@dataclass(frozen=True, slots=True)
class LoggedCommit:
    """A commit and the files that it touched; of a renamed file the old path as well as the new one."""

    commit: Commit
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """A file that changed in the same commits as another one."""

    path: str
    times: int
    of: int
    """How many commits on the other file were looked at."""


@dataclass(frozen=True, slots=True)
class Churn:
    """How often and how lately a file changed, within the commits that were looked at."""

    commits: int
    newest: int
    """How many commits of the project are newer than its last change; 0 for the newest commit."""
    last: Commit


async def blame(git: Runner, path: str, start: int, end: int) -> tuple[BlameLine, ...]:
    """Who last changed the lines from `start` to `end` (counted from 1), as they are in the working tree.

    Changes of white space alone do not count where it has no meaning, nor do the commits that the project lists in `.git-blame-ignore-revs`.
    """
    if start < 1 or end < start:
        return ()
    ignored = [f"--ignore-rev={rev}" for rev in await _to_ignore(git)]
    span = f"-L{start},{end}"
    blanks = () if path.endswith(INDENTED) else ("-w",)
    blamed = await git.run("blame", "--porcelain", "--no-textconv", *blanks, *ignored, span, "--", path)
    return _blame_lines(blamed.text) if blamed.ok else ()


async def log(git: Runner, path: str = "", start: int = 0, end: int = 0, limit: int = 5) -> tuple[Commit, ...]:
    """Recent commits, newest first: of the project, of a file, or of a range of its lines."""
    args = ["log", "-z", f"--max-count={max(1, limit)}", f"--format={_FORMAT}", "--no-mailmap", "--encoding=UTF-8"]
    args += ["--no-patch", "--no-ext-diff", "--no-textconv", "--no-color"]
    if path and start:
        args += [f"-L{start},{max(start, end)}:{path}"]
    elif path:
        args += ["--follow", "--", path]
    logged = await git.run(*args, timeout_s=10)
    return tuple(c for line in logged.text.split("\0") if (c := _commit(line.strip("\n"))) is not None)


async def history(git: Runner, limit: int = 400, paths: Sequence[str] = ()) -> tuple[LoggedCommit, ...]:
    """The project's last commits without merges, newest first, each with the files that it touched.

    Args:
        limit: commits at most.
        paths: only commits that touched one of these; each still comes with all the files that it touched.
    """
    mark = secrets.token_hex(12)  # a name that no path and no subject has
    args = ["log", "-z", f"--max-count={max(1, limit)}", f"--format={mark}%x00{_FORMAT}", "--no-mailmap"]
    args += ["--encoding=UTF-8", "--no-merges", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv"]
    args += ["--ignore-submodules=dirty", "--no-relative", "-O/dev/null", "--full-diff", "--", *paths]
    logged = await git.run(*args, timeout_s=10, max_bytes=4_000_000)
    return _logged(logged.data.decode("utf-8", "replace").split("\0"), mark, whole=logged.ok and not logged.cut)


def changed_together(logged: Iterable[LoggedCommit], path: str) -> tuple[Together, ...]:
    """What changed in the last `MAX_LOOKED` commits on a file, the most frequent first; wide commits do not count."""
    with_it = [one.paths for one in logged if path in one.paths and len(one.paths) <= MAX_TOGETHER][:MAX_LOOKED]
    counted = Counter(other for paths in with_it for other in dict.fromkeys(paths) if other != path)
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Together(other, times, len(with_it)) for other, times in ranked)


def churn(logged: Sequence[LoggedCommit]) -> dict[str, Churn]:
    """How often and how lately each file changed."""
    counted = Counter(path for one in logged for path in dict.fromkeys(one.paths))
    newest: dict[str, int] = {}
    for number, one in enumerate(logged):
        for path in one.paths:
            newest.setdefault(path, number)
    return {path: Churn(times, newest[path], logged[newest[path]].commit) for path, times in counted.items()}


def _logged(tokens: Sequence[str], mark: str, *, whole: bool) -> tuple[LoggedCommit, ...]:
    """Commits from the output of `history`: mark, facts, then paths up to the next mark."""
    starts = [at for at, token in enumerate(tokens) if token.lstrip("\n") == mark]
    found = []
    for at, until in itertools.pairwise([*starts, len(tokens)]):
        if until == len(tokens) and not whole:
            break  # the last one may lack some of its paths
        commit = _commit(tokens[at + 1]) if at + 1 < until else None
        paths = [token for token in tokens[at + 2 : until] if token]
        if paths:
            paths[0] = paths[0].removeprefix("\n")  # git's empty line between the message and the list
        if commit is not None:
            found.append(LoggedCommit(commit, tuple(paths)))
    return tuple(found)


async def _to_ignore(git: Runner) -> tuple[str, ...]:
    """The commits of this repository that its `.git-blame-ignore-revs` lists: git fails on those that do not exist."""
    listed = await anyio.to_thread.run_sync(_listed, git.root / IGNORE_FILE)
    if not listed:
        return ()
    known = await git.run("rev-list", "--no-walk=unsorted", "--ignore-missing", "--end-of-options", *listed)
    return tuple(known.text.split()) if known.ok else ()


def _listed(file: Path) -> tuple[str, ...]:
    """Full commit ids at the beginnings of a file's lines. Blocking."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > 100_000:
            return ()
        text = file.read_text("utf-8", "replace")
    except OSError:
        return ()
    return tuple(dict.fromkeys(re.findall(r"^([0-9a-f]{40}|[0-9a-f]{64})\b", text, re.MULTILINE)))[:MAX_IGNORED]


def _commit(line: str) -> Commit | None:
    fields = line.split("\x1f")
    if len(fields) < 4 or not fields[2].lstrip("-").isdigit():
        return None
    return Commit(id=fields[0], author=_author(fields[1]), at=_time(fields[2]), subject=" ".join(fields[3:]))


def _author(name: str) -> str:
    """A name; never an address."""
    return re.sub(r"\s*<?\S+@\S+>?", "", name).strip()


def _time(seconds: str) -> datetime:
    value = float(seconds)
    return datetime.fromtimestamp(value if math.isfinite(value) and 0 <= value < 2e11 else 0, UTC)


def _blame_lines(text: str) -> tuple[BlameLine, ...]:
    """Parse `git blame --porcelain`: a commit's facts are printed only the first time."""
    facts: dict[str, dict[str, str]] = {}
    sha, number, lines = "", 0, list[BlameLine]()
    for row in text.split("\n"):
        if row.startswith("\t"):
            lines.append(BlameLine(line=number, text=row[1:].rstrip("\r"), commit=_blamed(sha, facts[sha])))
        elif header := re.fullmatch(r"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?", row):
            sha, number = header[1], int(header[2])
            facts.setdefault(sha, {})
        elif sha:
            key, _, value = row.partition(" ")
            facts[sha][key] = value
    return tuple(lines)


def _blamed(sha: str, fact: Mapping[str, str]) -> Commit | None:
    if not sha.strip("0"):
        return None
    at = _time(fact.get("author-time", "0"))
    return Commit(id=sha[:7], author=_author(fact.get("author", "")), at=at, subject=fact.get("summary", ""))
