"""Which directories of a project are initialised submodules, and which commit of each is recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from orchestra_mcp.context.repository.gitrun import Runner

MAX_SUBMODULES = 20
"""Submodules that are looked into; each costs some calls of git."""


@dataclass(frozen=True, slots=True)
class Submodule:
    """A directory with a repository of its own."""

    path: str
    """Relative to the outer work tree, with forward slashes."""
    recorded: str
    """The commit that the outer repository's last commit (or else its index) names."""


async def initialised(git: Runner) -> tuple[Submodule, ...]:
    """The submodules that are really there, at the places that git's index knows."""
    if not await anyio.to_thread.run_sync(_is_plain, git.root / ".gitmodules"):
        return ()
    wanted = await git.run(
        "config", "-z", "--file", ".gitmodules", "--no-includes", "--get-regexp", r"^submodule\..*\.path$"
    )
    named = [entry.partition("\n")[2] for entry in wanted.names]
    places = await anyio.to_thread.run_sync(_confined, git.root, named)
    if not places:
        return ()
    now = await git.run("ls-files", "--stage", "-z", "--", *places)
    then = await git.run("ls-tree", "-z", "--end-of-options", "HEAD", *places)
    staged = _gitlinks(now.names, r"160000 ([0-9a-f]{40,64}) 0\t(.*)")
    committed = _gitlinks(then.names, r"160000 commit ([0-9a-f]{40,64})\t(.*)")
    return tuple(Submodule(path, committed.get(path, staged[path])) for path in places if path in staged)


def _gitlinks(rows: list[str], pattern: str) -> dict[str, str]:
    found = (re.fullmatch(pattern, row, re.DOTALL) for row in rows)
    return {match[2]: match[1] for match in found if match}


def _is_plain(file: Path) -> bool:
    try:
        return not file.is_symlink() and file.is_file()
    except OSError:
        return False


def _confined(root: Path, named: list[str]) -> tuple[str, ...]:
    """Those of the paths that are real directories below the root, no links on the way, with a `.git`. Blocking."""
    kept: dict[str, None] = {}
    for name in named:
        if not name or "\\" in name or "�" in name or ".." in name.split("/") or name.startswith(("/", "-")):
            continue
        place = root / name.rstrip("/")
        try:
            if place.resolve() == place and place != root and (place / ".git").exists():
                kept[name.rstrip("/")] = None
        except (OSError, RuntimeError, ValueError):
            continue
    return tuple(kept)[:MAX_SUBMODULES]
