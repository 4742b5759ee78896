"""Revisions and contents: what a name means in a repository, and what a file held there."""

from __future__ import annotations

import re

from orchestra_mcp.context.repository.gitrun import Runner

DEFAULT_BRANCHES = ("origin/HEAD", "main", "master", "develop", "trunk", "origin/main", "origin/master")
"""What a branch is compared with, the first that exists and is another branch. Add here."""

_REV = re.compile(r"[\w./@{}^~#+=,%-]{1,250}")
_EMPTY_TREES = {"sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"}  # fmt: skip


async def resolve(git: Runner, rev: str) -> str:
    """The full id of the commit that a revision names, or an empty string."""
    if not _REV.fullmatch(rev) or rev.startswith("-"):
        return ""
    found = await git.run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{rev}^{{commit}}")
    name = found.text.strip()
    return name if found.ok and re.fullmatch(r"[0-9a-f]{40,64}", name) else ""


async def head(git: Runner) -> str:
    """Branch and abbreviated commit, such as `main 1a2b3c4`."""
    commit = (await git.run("rev-parse", "--quiet", "--verify", "--short", "HEAD")).text.strip()
    return f"{await branch(git) or 'detached'} {commit or '(no commits)'}"


async def branch(git: Runner) -> str:
    """The checked-out branch, empty when HEAD is detached."""
    return (await git.run("symbolic-ref", "--quiet", "--short", "HEAD")).text.strip()


async def parent(git: Runner, rev: str) -> str:
    """The first parent's id, the empty tree for a first commit, empty when history is cut off there."""
    commit = await resolve(git, rev)
    if not commit:
        return ""
    if found := await resolve(git, f"{commit}^1"):
        return found
    header = (await git.run("cat-file", "commit", commit)).text.split("\n\n", 1)[0]
    return "" if re.search(r"^parent ", header, re.MULTILINE) else await empty_tree(git)


async def empty_tree(git: Runner) -> str:
    """Id of the tree without files, in the repository's kind of hash."""
    kind = await git.run("rev-parse", "--show-object-format")
    return _EMPTY_TREES.get(kind.text.strip(), _EMPTY_TREES["sha1"])


async def show(git: Runner, rev: str, path: str) -> bytes | None:
    """A file's content in a commit, or None when it was not there."""
    commit = await resolve(git, rev)
    if not commit or not path:
        return None
    blob = await git.run("cat-file", "blob", f"{commit}:{path}", max_bytes=2_000_000)
    return blob.data if blob.ok and not blob.cut else None


async def forked_from(git: Runner) -> tuple[str, str]:
    """Where the checked-out work left what it will be merged into: (name of that branch, id of the merge base).

    A branch is compared with the default branch; the default branch, and one that has no commits beyond it, with its
    upstream. Both are empty when HEAD is not ahead of anything known.
    """
    mine, commit = await branch(git), await resolve(git, "HEAD")
    wanted = [f"refs/remotes/{name}" if "/" in name else f"refs/heads/{name}" for name in DEFAULT_BRANCHES]
    own = [f"refs/heads/{mine}"] if mine else []
    fields = "--format=%(refname)%00%(objectname)%00%(symref)%00%(upstream)"
    listed = (await git.run("for-each-ref", fields, "--", *wanted, *own)).text
    refs = {row[0]: row[1:] for line in listed.split("\n") if len(row := line.split("\0")) == 4}
    upstream = refs[own[0]][2] if own and own[0] in refs else ""
    if upstream and upstream not in refs:
        refs[upstream] = [await resolve(git, upstream), "", ""]
    for name in dict.fromkeys((*wanted, upstream)):
        if name not in refs or not refs[name][0]:
            continue
        target = refs[name][1] or name
        if name != upstream and target in (f"refs/heads/{mine}", f"refs/remotes/origin/{mine}"):
            continue  # the same branch, here or as it was pushed: only what is configured as its upstream counts
        base = (await git.run("merge-base", "--end-of-options", commit, refs[name][0])).text.strip()
        if base and base != commit:
            return re.sub(r"^refs/(?:heads|remotes)/", "", target), base
    return "", ""
