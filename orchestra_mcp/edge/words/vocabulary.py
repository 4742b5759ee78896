"""What a developer is likely to name: identifiers, files and branches of one project, what changed lately first.

Only names of the project's own files leave this module, through the same fence as everything that the council reads: no file
outside the root, none that holds credentials, nothing that looks drawn at random, and no secret that the redactor knows.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from orchestra_mcp.context.project import denied, read_bytes
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.edge.nouns import Vocabulary
from orchestra_mcp.edge.words.common import common_set
from orchestra_mcp.identifiers import drawn, subwords
from orchestra_mcp.paths import kind_of

IDENTIFIERS: Final = 300
FILES: Final = 150
BRANCHES: Final = 30
READ: Final = 60
"""Files whose definitions are looked at."""
READ_S: Final = 0.12
"""Seconds of computing for that; what was not reached is left out."""
WAIT_S: Final = 0.6
"""The same by the clock, on a busy machine."""
COMMITS: Final = 60
"""How far back a change is lately."""
PATIENCE_S: Final = 3.0
"""For git; what is slower is left out."""
_LARGEST: Final = 120_000
"""Bytes of a file that is looked at; larger ones are seldom written by hand."""
_LISTED: Final = 20_000
_SPOKEN: Final = re.compile(r"[A-Za-z_][\w./+-]{2,59}")
_HIDDEN: Final = re.compile(r"(?:^|/)\.(?!github/)")


async def vocabulary(root: Path, environ: Mapping[str, str] | None = None) -> Vocabulary:
    """The names of a project, best first and bounded; what cannot be had in short time is left out.

    Args:
        root: the project's directory, as `context.project.find_root` gave it.
        environ: for git.
    """
    git: Git | None = None
    listed: tuple[str, ...] = ()
    lately: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    with anyio.move_on_after(PATIENCE_S):
        git, _ = await Git.open(root, environ)
        if git is not None:
            found: dict[str, tuple[str, ...]] = {}
            async with anyio.create_task_group() as group:
                for name, ask in _ASKED.items():
                    group.start_soon(_keep, found, name, ask, git)
            listed, branches, lately = found["files"], found["branches"], found["lately"]
    if git is None or not listed:
        listed = await anyio.to_thread.run_sync(_walked, root, abandon_on_cancel=True)
    return await anyio.to_thread.run_sync(_gathered, root, listed, lately, branches, abandon_on_cancel=True)


async def _keep(found: dict[str, tuple[str, ...]], name: str, ask: _Ask, git: Git) -> None:
    found[name] = await ask(git)


async def _files(git: Git) -> tuple[str, ...]:
    return await git.ls_files()


async def _lately(git: Git) -> tuple[str, ...]:
    """Paths that changed, the newest change first: those of the working tree, then those of the last commits."""
    status = await git.run(
        "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal", timeout_s=PATIENCE_S
    )
    working = [entry[3:] for entry in status.names if len(entry) > 3]
    logged = await git.history(COMMITS)
    return tuple(dict.fromkeys((*working, *(path for commit in logged for path in commit.paths))))


async def _branches(git: Git) -> tuple[str, ...]:
    listed = await git.run(
        "for-each-ref", "--sort=-committerdate", f"--count={BRANCHES}", "--format=%(refname:short)", "refs/heads"
    )
    return tuple(listed.text.split("\n"))


_Ask = Callable[[Git], Awaitable[tuple[str, ...]]]
_ASKED: Final[dict[str, _Ask]] = {"files": _files, "lately": _lately, "branches": _branches}


def _gathered(root: Path, listed: Sequence[str], lately: Sequence[str], branches: Sequence[str]) -> Vocabulary:
    own = [path for path in listed if not denied(path) and not _HIDDEN.search(path) and kind_of(path) != "foreign"]
    rank = {path: number for number, path in enumerate(lately)}
    ordered = sorted(own, key=lambda path: (rank.get(path, len(rank)), path.count("/"), path))
    code = [path for path in ordered if kind_of(path) in ("code", "test", "example")]
    code.sort(key=lambda path: (rank.get(path, len(rank) + 1), kind_of(path) != "code"))
    redactor = Redactor()
    return Vocabulary(
        project=next(iter(_harmless([root.name], redactor, 1)), ""),
        identifiers=_harmless(_identifiers(root, code[:READ]), redactor, IDENTIFIERS),
        files=_harmless(ordered, redactor, FILES),
        branches=_harmless(branches, redactor, BRANCHES),
    )


def _identifiers(root: Path, paths: Sequence[str]) -> Iterator[str]:
    """Names that are defined in some files: of each file in turn, so that none crowds out the others; then the rest."""
    from orchestra_mcp.context.code.symbols import definitions, parse

    parse("x.py", b"x = 1")  # loads the parser, which takes its time once
    until, computed = time.monotonic() + WAIT_S, time.thread_time() + READ_S
    each: list[list[str]] = []
    for path in paths:
        if time.monotonic() > until or time.thread_time() > computed:
            break
        source = read_bytes(root, path, _LARGEST)
        syntax = parse(path, source) if source else None
        if syntax is not None:
            names = Counter(found.name for found in definitions(syntax, path))
            each.append(
                [name for name in names if len(name) > 3 and not (name.startswith("__") and name.endswith("__"))]
            )
    first = [names[:12] for names in each]
    taken = [*itertools.chain.from_iterable(first), *(name for names in each for name in names[12:])]
    yield from (name for name in taken if not _ordinary(name))
    yield from (name for name in taken if _ordinary(name) and not name.islower())


def _ordinary(name: str) -> bool:
    """A name that is one word of English: it is written as it is said, so that it needs no help."""
    return len(subwords(name)) == 1 and name.strip("_").lower() in common_set()


def _harmless(names: Iterable[str], redactor: Redactor, most: int) -> tuple[str, ...]:
    """Names that can be said and hold no secret; each once."""
    kept: dict[str, None] = {}
    for name in names:
        if len(kept) >= most:
            break
        if _SPOKEN.fullmatch(name.replace(" ", "-").rsplit("/", 1)[-1]) and not any(
            map(drawn, re.split(r"[^A-Za-z0-9]+", name))
        ):
            kept[name] = None
    clean = redactor.redact("\n".join(kept)).split("\n")
    return tuple(name for name in clean if "«redacted" not in name and name)


def _walked(root: Path) -> tuple[str, ...]:
    """Files below a directory that is no repository, hidden and foreign ones left out."""
    found: list[str] = []
    for place, directories, names in os.walk(root, followlinks=False):
        below = Path(place).relative_to(root).as_posix()
        directories[:] = sorted(
            name for name in directories if name[0] != "." and kind_of(f"{below}/{name}/x") != "foreign"
        )
        found += [name if below == "." else f"{below}/{name}" for name in sorted(names) if name[0] != "."]
        if len(found) >= _LISTED:
            break
    return tuple(found[:_LISTED])
