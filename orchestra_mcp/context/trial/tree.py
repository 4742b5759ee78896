"""A copy of the working tree, for commands that need one.

What is copied are the files as they lie in the working tree (they are what the user sees, filters and line ends
included), and from git's objects those that a sparse checkout leaves out. Git only lists, disarmed as everywhere
(`repository/gitrun.py`): no filter, no hook, nothing written to its directory. Links that lead out of the project, and
files with credentials that are not under version control, stay behind.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.from_thread
import anyio.to_thread

from orchestra_mcp.context.evidence import IGNORED_DIRS
from orchestra_mcp.context.project import denied
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.repository.gitopen import open_runner
from orchestra_mcp.context.repository.gitrun import Runner

MAX_FILES = 60_000
MAX_BYTES = 1_000_000_000
MAX_SPARSE = 500
"""Files that are taken from git's objects."""

DEPENDENCIES = ("node_modules", "bower_components", ".venv", "venv", "vendor", ".yarn", "Pods", "deps")
"""Directories with what the tests need, which git mostly ignores: they are linked, not copied. Add here."""


class TooLarge(Exception):
    """The working tree is larger than what is copied."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What belongs into a copy."""

    names: tuple[str, ...]
    absent: Mapping[str, bytes]
    """Files that a sparse checkout leaves out, with their contents."""


async def listing(root: Path) -> Listing:
    """What git, or else the directory itself, says of the project's files."""
    git, _ = await Git.open(root)
    runner, _ = await open_runner(root) if git is not None else (None, "")
    if git is None or runner is None:
        return Listing(tuple(await anyio.to_thread.run_sync(lambda: sorted(_walk(root)))), {})
    staged = await runner.run("ls-files", "-z", "-t", "--cached", "--stage", max_bytes=32_000_000)
    entries = [_entry(line) for line in staged.names]
    tracked = {name for _, _, name in entries}
    absent = {name: oid for tag, oid, name in entries if tag == "S"}
    names = tuple(name for name in await git.ls_files() if name in tracked or not denied(name))
    return Listing(names, await _objects(runner, absent))


def _entry(line: str) -> tuple[str, str, str]:
    """Tag, object id and name of a line such as `H 100644 <oid> 0<tab>name`."""
    head, _, name = line.partition("\t")
    parts = head.split(" ")
    return (parts[0], parts[2], name) if len(parts) == 4 else ("", "", name)


async def _objects(runner: Runner, wanted: Mapping[str, str]) -> dict[str, bytes]:
    found = {}
    for name, oid in list(wanted.items())[:MAX_SPARSE]:
        blob = await runner.run("cat-file", "blob", oid)
        if blob.ok and not blob.cut:
            found[name] = blob.data
    return found


def _walk(root: Path) -> Iterator[str]:
    skipped = IGNORED_DIRS | set(DEPENDENCIES)
    for place, directories, names in os.walk(root):
        directories[:] = [name for name in directories if name not in skipped and not os.path.islink(f"{place}/{name}")]  # noqa: PTH114
        for name in names:
            path = Path(place, name).relative_to(root).as_posix()
            if not denied(path):
                yield path


# ------------------------------------------------------------------------------------------ blocking: call in a thread


def fill(root: Path, listed: Listing, into: Path, hidden: Sequence[Path] = ()) -> tuple[str, ...]:
    """Make the copy; gives the real places of the dependencies that were linked in.

    Args:
        root: the project, a real path.
        listed: what belongs into the copy.
        into: an empty directory.
        hidden: real places of which nothing is copied or linked.

    Raises:
        TooLarge: it has more than `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    if len(listed.names) > MAX_FILES:
        raise TooLarge(f"the project has more than {MAX_FILES:,} files")
    size, made = 0, {into}
    within = [place for place in hidden if place.is_relative_to(root) and place != root]
    for number, name in enumerate(listed.names):
        if number % 100 == 0:
            anyio.from_thread.check_cancelled()
        target = into / name
        if ".." in target.parts or ".git" in target.relative_to(into).parts:
            continue
        if any((root / name).is_relative_to(place) for place in within):
            continue
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        size += _take(root, name, target)
        if size > MAX_BYTES:
            raise TooLarge(f"the project has more than {MAX_BYTES // 1_000_000:,} MB")
    for name, data in listed.absent.items():
        if os.path.lexists(into / name):  # it was written by hand all the same
            continue
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(data)
    return _link_dependencies(root, into, {into, *made}, [place for place in hidden if not root.is_relative_to(place)])


def _take(root: Path, name: str, target: Path) -> int:
    """Copy one file or link; gives its size."""
    source = root / name
    try:
        info = source.lstat()
        if stat.S_ISLNK(info.st_mode):
            real = source.resolve()
            if real.is_relative_to(root) and not denied(real.relative_to(root).as_posix()):
                target.symlink_to(os.path.relpath(real, source.parent.resolve()))
            return 0
        if not stat.S_ISREG(info.st_mode) or not source.parent.resolve().is_relative_to(root):
            return 0
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(stat.S_IMODE(info.st_mode) | stat.S_IRUSR | stat.S_IWUSR)
        return info.st_size
    except (OSError, RuntimeError):  # it is gone by now, or not to be read: the user's own tests could not either
        return 0


def _link_dependencies(
    root: Path, into: Path, directories: Collection[Path], hidden: Sequence[Path]
) -> tuple[str, ...]:
    """Only real directories inside of the project: a link may lead anywhere, and its target would be opened."""
    linked = []
    for directory in directories:
        for name in DEPENDENCIES:
            source, target = root / directory.relative_to(into) / name, directory / name
            if source.is_symlink() or not source.is_dir() or os.path.lexists(target):
                continue
            real = source.resolve()
            apart = not any(real.is_relative_to(place) or place.is_relative_to(real) for place in hidden)
            if apart and real.is_relative_to(root) and real != root:
                target.symlink_to(real, target_is_directory=True)
                linked.append(str(real))
    return tuple(linked)


def duplicate(source: Path, target: Path) -> None:
    """A second copy of a copy."""

    def take(one: str, other: str) -> str:
        anyio.from_thread.check_cancelled()
        return str(shutil.copy2(one, other, follow_symlinks=False))

    shutil.copytree(source, target, symlinks=True, copy_function=take)


def write(tree: Path, files: Mapping[str, bytes | None]) -> str:
    """Put changed files into a copy; gives the first one that cannot be put there, else an empty text."""
    top = tree.resolve()
    for name, data in files.items():
        target = top / name
        try:
            if not target.parent.resolve().is_relative_to(top) or target.is_symlink():
                return name  # through a link, which could lead to the user's own files
            if data is None:
                target.unlink(missing_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = not target.exists()
            target.write_bytes(data)
            if fresh and data.startswith(b"#!"):
                target.chmod(0o755)
        except OSError:
            return name
    return ""
