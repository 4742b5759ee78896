"""Which changes a question is about, and what history tells of files and lines; every expectation is from the story."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import git

from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.repository.history import LoggedCommit, changed_together, churn
from orchestra_mcp.types import Commit


async def opened(root: Path) -> Git:
    found, note = await Git.open(root)
    assert found is not None, note
    return found


def commit(root: Path, subject: str, files: Mapping[str, str | bytes]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    git(root, "add", "-A")
    git(root, "commit", "-qm", subject)
    return git(root, "rev-parse", "HEAD").strip()


def may_fail(root: Path, *args: str) -> None:
    """Git commands that end with an error because they stop for conflicts."""
    with pytest.raises(subprocess.CalledProcessError):
        git(root, *args)


# ----------------------------------------------------------------------------------- which changes are "the changes"


async def test_on_a_clean_branch_its_own_commits_are_the_changes(repo: Path) -> None:
    fork = git(repo, "rev-parse", "HEAD").strip()
    git(repo, "checkout", "-qb", "feature")
    commit(repo, "one", {"one.py": "a = 1\n"})
    commit(repo, "two", {"two.py": "b = 1\n"})
    git(repo, "checkout", "-q", "main")
    commit(repo, "meanwhile", {"other.py": "c = 1\n"})
    git(repo, "checkout", "-q", "feature")
    own = await (await opened(repo)).own_changes()
    assert [change.path for change in own.changes] == ["one.py", "two.py"]
    assert (own.kind, own.base) == ("branch", fork)
    assert {change.where for change in own.changes} == {"feature, 2 commits since main"}
    git(repo, "checkout", "-q", "--detach")
    detached = await (await opened(repo)).own_changes()
    assert {change.where for change in detached.changes} == {"HEAD, 2 commits since main"}


async def test_uncommitted_changes_come_before_the_branch_s(repo: Path) -> None:
    git(repo, "checkout", "-qb", "feature")
    commit(repo, "one", {"one.py": "a = 1\n"})
    commit(repo, "two", {"two.py": "b = 1\n"})
    (repo / "two.py").write_text("b = 2\n")
    own = await (await opened(repo)).own_changes()
    assert [(change.path, change.where) for change in own.changes] == [("two.py", "unstaged")]
    assert own.base == "HEAD"


async def test_on_the_default_branch_what_was_not_pushed_are_the_changes(repo: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(repo, "clone", "-q", str(repo), str(clone))
    last = git(repo, "rev-parse", "HEAD").strip()
    same = await (await opened(clone)).own_changes()
    assert (same.kind, {change.where for change in same.changes}) == ("commit", {last[:7]})
    commit(clone, "one", {"one.py": "a = 1\n"})
    commit(clone, "two", {"two.py": "b = 1\n"})
    own = await (await opened(clone)).own_changes()
    assert (own.kind, {change.where for change in own.changes}) == ("branch", {"main, 2 commits since origin/main"})


async def test_an_old_version_that_is_checked_out_has_no_changes_but_its_commit_s(repo: Path) -> None:
    first = git(repo, "rev-parse", "HEAD~1").strip()
    git(repo, "checkout", "-q", "--detach", first)
    own = await (await opened(repo)).own_changes()
    assert own.kind == "commit"
    assert {change.where for change in own.changes} == {first[:7]}


async def test_a_repository_without_commits_has_no_branch_to_compare(tmp_path: Path) -> None:
    root = tmp_path / "fresh"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    own = await (await opened(root)).own_changes()
    assert (own.changes, own.base, own.kind) == ((), "", "none")


async def test_ranges_in_all_their_forms(repo: Path) -> None:
    git(repo, "checkout", "-qb", "side")
    commit(repo, "side", {"side.py": "s = 1\n"})
    git(repo, "checkout", "-q", "main")
    commit(repo, "main", {"main.py": "m = 1\n"})
    git(repo, "branch", "-q", "--set-upstream-to", "side")
    (repo / "main.py").write_text("m = 2\n")
    git(repo, "stash", "-q")
    (repo / "kept.py").write_text("k = 1\n")
    git(repo, "stash", "-q", "-u")
    eyes = await opened(repo)

    async def paths(given: str) -> list[tuple[str, str]] | None:
        found = await eyes.range_changes(given)
        return None if found is None else sorted((change.path, change.status) for change in found)

    assert await paths("main...side") == [("side.py", "added")]
    assert await paths("main..side") == [("main.py", "deleted"), ("side.py", "added")]
    assert await paths("main .. side") == [("main.py", "deleted"), ("side.py", "added")]
    assert await paths("side...") == [("main.py", "added")]
    assert await paths("...side") == [("side.py", "added")]
    assert await paths("@{u}") == [("main.py", "added"), ("side.py", "deleted")]
    assert await paths("HEAD~1") == [("main.py", "added")]
    assert await paths("stash@{0}") == [("kept.py", "added")]  # only an untracked file
    assert await paths("stash@{1}") == [("main.py", "modified")]
    assert await paths("stash") == [("kept.py", "added")]
    assert await paths("stash@{7}") is None
    assert await paths("nowhere") is None


async def test_modes_binary_files_and_pointers_of_large_files_are_changes(tmp_path: Path) -> None:
    root = tmp_path / "modes"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12\n"
    commit(root, "begin", {"run.sh": "echo\n", "a.bin": b"\0\1", "big.dat": pointer.format("a" * 64)})
    commit(root, "more", {"a.bin": b"\0\2", "big.dat": pointer.format("b" * 64)})
    git(root, "update-index", "--chmod=+x", "run.sh")
    git(root, "commit", "-qm", "runs")
    changes = {c.path: c for c in await (await opened(root)).range_changes("HEAD~2..HEAD") or ()}
    assert {path: (c.status, len(c.hunks)) for path, c in changes.items()} == {
        "run.sh": ("modified", 0), "a.bin": ("modified", 0), "big.dat": ("modified", 1),
    }  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
async def test_names_that_are_no_text_or_look_like_patterns_break_nothing(tmp_path: Path) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    names = ["two\nlines.py", ":(glob)x.py", "-x.py", "a*.py", 'q"q.py']
    commit(root, "begin", dict.fromkeys(names, "a = 1\n"))
    with open(os.fsencode(root) + b"/caf\xe9.py", "wb") as file:  # noqa: ASYNC230, PTH123  (bytes)
        file.write(b"x\n")
    eyes = await opened(root)
    assert {change.status for change in await eyes.working_changes()} == {"untracked"}
    for name in names:
        assert [one.commit is not None for one in await eyes.blame(name, 1, 1)] == [True], name
        (logged,) = await eyes.history(paths=(name,))
        assert set(logged.paths) == set(names)


# -------------------------------------------------------------------------------------------- what is under way


def in_conflict(root: Path) -> None:
    """Two branches that changed the same line."""
    git(root, "checkout", "-qb", "side")
    commit(root, "side", {"src/parser.py": "side = 1\n"})
    git(root, "checkout", "-q", "main")
    commit(root, "main", {"src/parser.py": "main = 1\n"})


@pytest.mark.parametrize(
    ("command", "told"),
    [(("merge", "side"), "A merge is in progress."), (("rebase", "side"), "A rebase of main is in progress (step 1 of 1)."),
     (("cherry-pick", "side"), "A cherry-pick is in progress.")],
)  # fmt: skip
async def test_what_git_is_in_the_middle_of_is_said_with_the_conflicts(
    repo: Path, command: tuple[str, ...], told: str
) -> None:
    in_conflict(repo)
    eyes = await opened(repo)
    assert await eyes.notes() == ()
    may_fail(repo, *command)
    assert await eyes.notes() == (told, "Files in conflict (their text holds conflict markers): src/parser.py.")
    (change,) = await eyes.working_changes()
    assert change.path == "src/parser.py"
    assert "+<<<<<<<" in change.hunks[0].text
    assert await eyes.blame("src/parser.py", 1, 1)


async def test_a_bisection_a_revert_and_a_cut_off_history_are_said(repo: Path, tmp_path: Path) -> None:
    git(repo, "bisect", "start")
    assert await (await opened(repo)).notes() == ("A bisection is in progress.",)
    git(repo, "bisect", "reset")
    commit(repo, "later", {"src/parser.py": "other = 1\n"})
    may_fail(repo, "revert", "HEAD~1")
    notes = await (await opened(repo)).notes()
    assert notes[0] == "A revert is in progress."
    git(repo, "revert", "--abort")
    shallow = tmp_path / "shallow"
    git(repo, "clone", "-q", "--depth", "1", repo.as_uri(), str(shallow))
    (note,) = await (await opened(shallow)).notes()
    assert note.startswith("The clone is shallow")


async def test_files_outside_of_a_sparse_checkout_are_no_changes(repo: Path) -> None:
    commit(repo, "docs", {"docs/a.md": "a\n"})
    git(repo, "sparse-checkout", "set", "src")
    eyes = await opened(repo)
    assert not (repo / "docs").exists()
    assert await eyes.working_changes() == ()
    assert await eyes.notes() == ("The checkout is sparse: tracked files outside of it are not on disk.",)


async def test_the_state_of_a_linked_work_tree_is_its_own(repo: Path, tmp_path: Path) -> None:
    in_conflict(repo)
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", str(linked), "side")
    may_fail(linked, "merge", "main")
    assert (await (await opened(linked)).notes())[0] == "A merge is in progress."
    assert await (await opened(repo)).notes() == ()


# ------------------------------------------------------------------------------------------------------- submodules


@pytest.fixture
def lib(repo: Path, tmp_path: Path) -> Path:
    """A submodule in the directory `lib` of the project, itself with a submodule `deep`."""
    deep, inner = tmp_path / "deep", tmp_path / "inner"
    for root in (deep, inner):
        root.mkdir()
        git(root, "init", "-q", "-b", "main")
    commit(deep, "deep begins", {"d.py": "def deepest():\n    return 1\n"})
    commit(inner, "inner begins", {"i.py": "def inner():\n    return 1\n"})
    git(inner, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(deep), "deep")
    git(inner, "commit", "-qm", "with deep")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive")
    git(repo, "commit", "-qm", "with lib")
    return repo / "lib"


async def test_a_submodule_is_part_of_the_project(repo: Path, lib: Path) -> None:
    eyes = await opened(repo)
    assert {"lib/i.py", "lib/deep/d.py"} <= set(await eyes.ls_files())
    assert "lib" not in await eyes.ls_files()
    assert [one.subject for one in await eyes.log("lib/i.py")] == ["inner begins"]
    assert [one.subject for one in await eyes.log("lib/deep/d.py", 1, 2)] == ["deep begins"]
    (line,) = await eyes.blame("lib/i.py", 2, 2)
    assert line.commit is not None
    assert line.commit.subject == "inner begins"
    assert [change.path for change in await eyes.commit_changes(line.commit.id)] == ["lib/i.py"]
    assert await eyes.grep("deepest") == (("lib/deep/d.py", 1, "def deepest():"),)
    assert await eyes.show("HEAD", "lib/i.py") == b"def inner():\n    return 1\n"


async def test_changes_inside_of_a_submodule_and_a_moved_pointer_are_changes(repo: Path, lib: Path) -> None:
    eyes = await opened(repo)
    (lib / "i.py").write_text("def inner():\n    return 2\n")
    (lib / "deep" / "new.py").write_text("n = 1\n")
    own = await eyes.own_changes()
    assert own.kind == "working tree"
    assert [(c.path, c.status) for c in own.changes] == [("lib/i.py", "modified"), ("lib/deep/new.py", "untracked")]
    commit(lib, "in lib", {"j.py": "j = 1\n"})
    moved = {c.path: c for c in (await (await opened(repo)).working_changes())}
    assert {"lib", "lib/i.py", "lib/j.py"} <= set(moved)
    assert "Subproject commit" in moved["lib"].hunks[0].text
    assert moved["lib/i.py"].hunks[0].text.endswith("-    return 1\n+    return 2")


# ---------------------------------------------------------------------------------------------------------- history


async def test_history_gives_each_commit_with_its_files(repo: Path) -> None:
    commit(repo, "a\x1fb \x1e c", {"x.py": "x = 1\n", "with space.py": "y = 1\n"})
    git(repo, "mv", "x.py", "z.py")
    git(repo, "commit", "-qm", "moved")
    git(repo, "commit", "-qm", "nothing", "--allow-empty")
    eyes = await opened(repo)
    found = await eyes.history()
    assert [(one.commit.subject, set(one.paths)) for one in found] == [
        ("nothing", set()),
        ("moved", {"x.py", "z.py"}),
        ("a b \x1e c", {"x.py", "with space.py"}),
        ("Do not return the empty last line", {"src/parser.py"}),
        ("Add the parser", {"src/parser.py", "pyproject.toml"}),
    ]
    assert [one.commit.subject for one in await eyes.history(2)] == ["nothing", "moved"]
    about = await eyes.history(paths=("src/parser.py",))
    assert [set(one.paths) for one in about] == [{"src/parser.py"}, {"src/parser.py", "pyproject.toml"}]


def logged(number: int, *paths: str) -> LoggedCommit:
    at = datetime(2026, 1, 30 - number, tzinfo=UTC)
    return LoggedCommit(Commit(id=f"{number:07x}", at=at, subject=f"commit {number}"), paths)


def test_files_that_change_together_are_counted_without_wide_commits() -> None:
    wide = [f"f{n}.py" for n in range(31)]
    story = [logged(0, "a.py", "b.py"), logged(1, "a.py", *wide), logged(2, "a.py", "b.py", "c.py"), logged(3, "c.py")]
    assert [(t.path, t.times, t.of) for t in changed_together(story, "a.py")] == [("b.py", 2, 2), ("c.py", 1, 2)]
    assert changed_together(story, "nowhere.py") == ()
    long = [logged(n % 29, "a.py", "new.py" if n < 40 else "old.py") for n in range(60)]
    assert [(t.path, t.times) for t in changed_together(long, "a.py")] == [("new.py", 40)]


def test_churn_says_how_often_and_how_lately_a_file_changed() -> None:
    story = [logged(0, "a.py"), logged(1, "b.py"), logged(2, "a.py", "b.py")]
    found = churn(story)
    assert {path: (one.commits, one.newest, one.last.id) for path, one in found.items()} == {
        "a.py": (2, 0, "0000000"), "b.py": (2, 1, "0000001"),
    }  # fmt: skip


async def blamed(eyes: Git, path: str, line: int) -> str:
    (found,) = await eyes.blame(path, line, line)
    assert found.commit is not None
    return found.commit.subject


async def test_blame_looks_behind_blanks_only_where_they_have_no_meaning(repo: Path) -> None:
    text = "if (a) {\n  b();\n}\n"
    commit(repo, "code", {"a.js": text, "a.py": "if a:\n  b()\n  c()\n"})
    commit(repo, "indent", {"a.js": text.replace("  b", "      b"), "a.py": "if a:\n  b()\nc()\n"})
    eyes = await opened(repo)
    assert await blamed(eyes, "a.js", 2) == "code"
    assert await blamed(eyes, "a.py", 3) == "indent"


async def test_blame_looks_behind_commits_that_the_project_lists(repo: Path) -> None:
    eyes = await opened(repo)
    source = (repo / "src" / "parser.py").read_text()
    before = await blamed(eyes, "src/parser.py", 7)
    rewrite = commit(
        repo, "quotes", {"src/parser.py": source.replace("return lines[:-1]", "return lines[: -1 ]  # ok")}
    )
    assert await blamed(eyes, "src/parser.py", 7) == "quotes"
    listed = f"# only looks\n{rewrite}\n{'0' * 39}1\nnot a commit\n"
    commit(repo, "ignore", {".git-blame-ignore-revs": listed})
    assert await blamed(eyes, "src/parser.py", 7) == before


async def test_lines_that_are_not_committed_are_nobody_s(repo: Path) -> None:
    file = repo / "src" / "parser.py"
    file.write_text("# new\n" + file.read_text().replace("lines[:-1]", "lines[:-2]"))
    found = await (await opened(repo)).blame("src/parser.py", 1, 12)
    assert [line.line for line in found if line.commit is None] == [1, 8]  # the new line shifted the edited one
