"""What changed: in the working tree, on the branch, in a commit, in a range; and what git is in the middle of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio.to_thread

from orchestra_mcp.context.repository import diffs, revisions
from orchestra_mcp.context.repository.gitrun import Runner
from orchestra_mcp.types import Change

DIFF_FLAGS = (
    "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty", "--submodule=short", "--no-relative",
    "--src-prefix=a/", "--dst-prefix=b/", "--find-renames", "--unified=3", "--inter-hunk-context=0", "--full-index",
    "--diff-algorithm=default", "-O/dev/null",
)  # fmt: skip

MAX_BRANCH = 100
"""A branch with more commits of its own than this is a line of development, not somebody's change."""

UNDER_WAY = {
    "rebase-merge": "A rebase", "rebase-apply": "A rebase or `git am`", "MERGE_HEAD": "A merge",
    "CHERRY_PICK_HEAD": "A cherry-pick", "REVERT_HEAD": "A revert", "BISECT_LOG": "A bisection",
}  # fmt: skip
"""What git keeps in its directory while something is in progress. Add here."""


@dataclass(frozen=True, slots=True)
class Own:
    """The changes that a question without a range is about."""

    changes: tuple[Change, ...] = ()
    base: str = ""
    """The revision to compare with: `HEAD`, a commit's id, or empty when there is none."""
    kind: Literal["working tree", "branch", "commit", "none"] = "none"


async def own(git: Runner) -> Own:
    """Uncommitted changes; on a clean tree those of the branch since its merge base; else those of the last commit."""
    if changes := await working(git):
        return Own(changes, "HEAD", "working tree")
    other, base = await revisions.forked_from(git)
    if base and (count := await _count(git, f"{base}..HEAD")) <= MAX_BRANCH and count > 1:
        where = f"{await revisions.branch(git) or 'HEAD'}, {count} commits since {other}"
        return Own(await _diff(git, where, base, "HEAD"), base, "branch")
    base = await revisions.parent(git, "HEAD")
    return Own(await of_commit(git, "HEAD"), base, "commit") if base else Own()


async def working(git: Runner) -> tuple[Change, ...]:
    """Staged and unstaged changes against HEAD, one `Change` for each file, so that line numbers are today's.

    `where` says `staged`, `unstaged`, or `working tree` for both. Untracked files come without their text.
    """
    base = await revisions.resolve(git, "HEAD") or await revisions.empty_tree(git)
    found = await since(git, base)
    others = await git.run("ls-files", "-z", "--others", "--exclude-standard")
    untracked = [name for name in others.names if not name.endswith("/")]
    return (*found, *(Change(path=name, status="untracked", where="untracked") for name in untracked))


async def since(git: Runner, base: str) -> tuple[Change, ...]:
    """What the working tree's tracked files differ in from a commit."""
    found = await _diff(git, "working tree", base)
    if not found:
        return ()
    staged = set((await git.run("diff", *DIFF_FLAGS, "--cached", "--name-only", "-z")).names)
    unstaged = set((await git.run("diff", *DIFF_FLAGS, "--name-only", "-z")).names)
    return tuple(c.model_copy(update={"where": _where(c.path, staged, unstaged)}) for c in found)


async def of_range(git: Runner, given: str) -> tuple[Change, ...] | None:
    """What a range (`main...HEAD`, `v1..v2`), a stash, or a revision against the working tree changed; None if unknown."""
    left, dots, right = (part.strip() for part in diffs.split_range(given))
    if not dots and re.fullmatch(r"(refs/)?stash(@\{\d+\})?", left):
        return await _stashed(git, left)
    start = await revisions.resolve(git, left or "HEAD")
    end = await revisions.resolve(git, right or "HEAD") if dots else ""
    if not start or (dots and not end):
        return None
    return await _diff(git, given.strip(), f"{start}{dots}{end}" if dots else start)


async def of_commit(git: Runner, rev: str) -> tuple[Change, ...]:
    """What one commit changed against its first parent; the first commit changed everything that it holds."""
    commit = await revisions.resolve(git, rev)
    if not commit:
        return ()
    parent = await revisions.parent(git, commit)
    return await _diff(git, commit[:7], parent, commit) if parent else ()


async def notes(git: Runner) -> tuple[str, ...]:
    """What a reader must know of the repository's state: a merge under way, conflicts, a history that is cut off."""
    where = await git.run("rev-parse", "--absolute-git-dir", "--is-shallow-repository")
    if not where.ok:
        return ()
    place, shallow = (*where.text.split("\n"), "", "")[:2]
    said = await anyio.to_thread.run_sync(_under_way, Path(place))
    unmerged = await git.run("ls-files", "--unmerged", "-z")
    conflicts = sorted({row.partition("\t")[2] for row in unmerged.names})
    if conflicts:
        more = f" and {len(conflicts) - 10} more" if len(conflicts) > 10 else ""
        said.append(f"Files in conflict (their text holds conflict markers): {', '.join(conflicts[:10])}{more}.")
    if shallow == "true":
        said.append(
            "The clone is shallow: history ends where it was cut off, and blame may name the wrong commit there."
        )
    sparse = await git.run("config", "--type=bool", "--get", "core.sparseCheckout")
    if sparse.text.strip() == "true":
        said.append("The checkout is sparse: tracked files outside of it are not on disk.")
    return tuple(said)


async def _stashed(git: Runner, name: str) -> tuple[Change, ...] | None:
    """A stash against the commit that it was made on, its untracked files included."""
    commit = await revisions.resolve(git, name)
    parent = await revisions.resolve(git, f"{commit}^1") if commit else ""
    if not parent:
        return None
    found = await _diff(git, name, parent, commit)
    untracked = await revisions.resolve(git, f"{commit}^3")
    return (*found, *(await _diff(git, name, await revisions.empty_tree(git), untracked) if untracked else ()))


async def _diff(git: Runner, where: str, *revs: str) -> tuple[Change, ...]:
    got = await git.run("diff", *DIFF_FLAGS, "--end-of-options", *revs, "--", max_bytes=3_000_000)
    text = got.text
    if got.cut:  # the last section may end in the middle of a line
        text = text[: text.rfind("\ndiff --git ") + 1]
    return diffs.parse(text, where)


async def _count(git: Runner, revs: str) -> int:
    counted = (await git.run("rev-list", "--count", f"--max-count={MAX_BRANCH + 1}", "--end-of-options", revs)).text
    return int(counted) if counted.strip().isdigit() else 0


def _where(path: str, staged: set[str], unstaged: set[str]) -> str:
    if path in staged and path in unstaged:
        return "working tree"
    return "staged" if path in staged else "unstaged"


def _under_way(git_dir: Path) -> list[str]:
    """One sentence for each operation in progress. Blocking."""
    said: list[str] = []
    for name, told in UNDER_WAY.items():
        if (git_dir / name).is_symlink() or not (git_dir / name).exists():
            continue
        if name in ("CHERRY_PICK_HEAD", "REVERT_HEAD") and said:
            continue  # a step of the rebase that was named already
        branch = _word(git_dir / name / "head-name").removeprefix("refs/heads/")
        done, of = _word(git_dir / name / "msgnum"), _word(git_dir / name / "end")
        step = f" (step {done} of {of})" if done.isdigit() and of.isdigit() else ""
        said.append(f"{told}{f' of {branch}' if branch else ''} is in progress{step}.")
    return said


def _word(file: Path) -> str:
    """The only word of a small file in git's directory, else nothing."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > 500:
            return ""
        text = file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
    return text if re.fullmatch(r"[\w./-]{1,200}", text) else ""
