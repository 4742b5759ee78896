"""Read-only questions to git about one project, its submodules included.

`gitopen` decides whether git may be asked at all, `gitrun` runs it safely; `gitchanges`, `history` and `revisions`
know the questions. This class joins them: a path inside a submodule is asked of that submodule's own repository,
which was opened with the same care.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from orchestra_mcp.context.repository import gitchanges, gitopen, history, revisions, submodules
from orchestra_mcp.context.repository.gitchanges import Own
from orchestra_mcp.context.repository.gitrun import Output, Runner
from orchestra_mcp.context.repository.history import LoggedCommit
from orchestra_mcp.types import BlameLine, Change, Commit

MAX_DEPTH = 2
"""Submodules within submodules that are looked into."""


class Git:
    """Answers about one work tree, whose top is `root`. All methods give something empty when git has no answer."""

    def __init__(self, runner: Runner, depth: int = 0) -> None:
        self.root = runner.root
        self._runner = runner
        self._depth = depth
        self._inner: tuple[tuple[submodules.Submodule, Git], ...] | None = None
        self._lock = anyio.Lock()

    @classmethod
    async def open(cls, root: Path, environ: Mapping[str, str] | None = None, depth: int = 0) -> tuple[Git | None, str]:
        """Git on a work tree whose top is `root`; or None and the reason, fit for a note."""
        runner, note = await gitopen.open_runner(root, environ)
        return (cls(runner, depth) if runner else None), note

    async def run(self, *args: str, timeout_s: float = 20, max_bytes: int = 8_000_000) -> Output:
        """Run one git command with all precautions; see `Runner.run`."""
        return await self._runner.run(*args, timeout_s=timeout_s, max_bytes=max_bytes)

    # ---------------------------------------------------------------------------------------------- where we are

    async def head(self) -> str:
        """Branch and abbreviated commit, such as `main 1a2b3c4`."""
        return await revisions.head(self._runner)

    async def notes(self) -> tuple[str, ...]:
        """What a reader must know: a merge or rebase under way, conflicts, a shallow clone, a sparse checkout."""
        return await gitchanges.notes(self._runner)

    async def resolve(self, rev: str) -> str:
        """The full id of the commit that a revision names, or an empty string."""
        return await revisions.resolve(self._runner, rev)

    async def ls_files(self) -> tuple[str, ...]:
        """All tracked files, and untracked ones that are not ignored, sorted; some may not exist any more."""
        listed = await self.run("ls-files", "-z", "--cached", "--others", "--exclude-standard", max_bytes=32_000_000)
        names = {name for name in listed.names if not name.endswith("/")}
        for module, inner in await self._modules():
            names.discard(module.path)
            names.update(f"{module.path}/{name}" for name in await inner.ls_files())
        return tuple(sorted(names))

    # -------------------------------------------------------------------------------------------------- changes

    async def own_changes(self) -> Own:
        """Uncommitted changes; on a clean tree those of the branch since its merge base; else those of the last commit."""
        inside = await self._inside()
        if not inside:
            return await gitchanges.own(self._runner)
        if changes := await gitchanges.working(self._runner):
            return Own((*changes, *inside), "HEAD", "working tree")
        return Own(inside, "HEAD", "working tree")

    async def working_changes(self) -> tuple[Change, ...]:
        """Staged, unstaged and untracked changes against HEAD, also those inside of submodules; see `gitchanges.working`."""
        return (*await gitchanges.working(self._runner), *await self._inside())

    async def range_changes(self, given: str) -> tuple[Change, ...] | None:
        """What a range (`main...HEAD`), a stash, or a revision against the working tree changed; None if unknown."""
        return await gitchanges.of_range(self._runner, given)

    async def commit_changes(self, rev: str) -> tuple[Change, ...]:
        """What one commit changed against its first parent; the first commit changed everything that it holds."""
        if found := await gitchanges.of_commit(self._runner, rev):
            return found
        if re.fullmatch(r"[0-9a-f]{7,64}", rev):  # from a log inside of a submodule
            for module, inner in await self._modules():
                if found := await inner.commit_changes(rev):
                    return _prefixed(found, module.path)
        return ()

    async def parent(self, rev: str) -> str:
        """The first parent's id, the empty tree for a first commit, empty when history is cut off there."""
        return await revisions.parent(self._runner, rev)

    async def show(self, rev: str, path: str) -> bytes | None:
        """A file's content in a commit, or None when it was not there."""
        module, inner, name = await self._of(path)
        if inner is None or module is None:
            return await revisions.show(self._runner, rev, path)
        return await inner.show(module.recorded, name) if rev == "HEAD" else None

    # -------------------------------------------------------------------------------------------------- history

    async def blame(self, path: str, start: int, end: int) -> tuple[BlameLine, ...]:
        """Who last changed the lines from `start` to `end` (counted from 1), as they are in the working tree."""
        _, inner, name = await self._of(path)
        return await (inner.blame(name, start, end) if inner else history.blame(self._runner, path, start, end))

    async def log(self, path: str = "", start: int = 0, end: int = 0, limit: int = 5) -> tuple[Commit, ...]:
        """Recent commits, newest first: of the project, of a file, or of a range of its lines."""
        _, inner, name = await self._of(path)
        if inner is not None:
            return await inner.log(name, start, end, limit)
        return await history.log(self._runner, path, start, end, limit)

    async def history(self, limit: int = 400, paths: Sequence[str] = ()) -> tuple[LoggedCommit, ...]:
        """The last commits with the files that each touched, newest first; see `history.history`."""
        return await history.history(self._runner, limit, paths)

    async def grep(self, word: str, limit: int = 2000) -> tuple[tuple[str, int, str], ...]:
        """Where a whole word occurs in tracked and untracked files of the working tree: (path, line, text)."""
        found = await self.run(
            "grep", "-z", "-n", "-I", "-w", "-F", "--no-textconv", "--no-color", "--untracked", "--no-recurse-submodules",
            "-e", word, max_bytes=4_000_000,
        )  # fmt: skip
        rows = (line.split("\0", 2) for line in found.text.split("\n")[:limit])
        hits = [(row[0], int(row[1]), row[2]) for row in rows if len(row) == 3 and row[1].isdigit()]
        for module, inner in await self._modules():
            hits += [(f"{module.path}/{path}", line, text) for path, line, text in await inner.grep(word, limit)]
        return tuple(hits[:limit])

    # ----------------------------------------------------------------------------------------------- submodules

    async def _modules(self) -> tuple[tuple[submodules.Submodule, Git], ...]:
        """The initialised submodules that may be asked, each opened once."""
        async with self._lock:
            if self._inner is None:
                found = await submodules.initialised(self._runner) if self._depth < MAX_DEPTH else ()
                opened = [
                    (one, (await Git.open(self.root / one.path, self._runner.environ, self._depth + 1))[0])
                    for one in found
                ]
                self._inner = tuple((one, inner) for one, inner in opened if inner is not None)
            return self._inner

    async def _of(self, path: str) -> tuple[submodules.Submodule | None, Git | None, str]:
        """The submodule that a path lies in, its git, and the path there."""
        if "/" in path:
            for module, inner in await self._modules():
                if path.startswith(f"{module.path}/"):
                    return module, inner, path[len(module.path) + 1 :]
        return None, None, path

    async def _inside(self) -> tuple[Change, ...]:
        """What differs inside of the submodules from what this project recorded, untracked files included."""
        found: list[Change] = []
        for module, inner in await self._modules():
            changes = await inner._since(module.recorded)
            found += _prefixed(changes, module.path)
        return tuple(found)

    async def _since(self, commit: str) -> tuple[Change, ...]:
        """Changes of the working tree since a commit; where that commit is not known here, since HEAD."""
        working = await gitchanges.working(self._runner)
        recorded = await self.resolve(commit)
        if recorded and recorded != await self.resolve("HEAD"):
            untracked = tuple(change for change in working if change.status == "untracked")
            working = (*await gitchanges.since(self._runner, recorded), *untracked)
        return (*working, *await self._inside())


def _prefixed(changes: Sequence[Change], place: str) -> tuple[Change, ...]:
    """Changes of a submodule with the paths that they have in the project."""
    return tuple(
        c.model_copy(update={"path": f"{place}/{c.path}", "old_path": c.old_path and f"{place}/{c.old_path}"})
        for c in changes
    )
