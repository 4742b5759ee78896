from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from conftest import git
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.repository import diffs
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.repository.gitrun import Runner
from orchestra_mcp.types import Change, Hunk

posix = pytest.mark.skipif(os.name != "posix", reason="the marker programs are shell scripts")


async def opened(root: Path) -> Git:
    git_, note = await Git.open(root)
    assert git_ is not None, note
    return git_


def new_repo(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    return root


# ------------------------------------------------------------------------------------- what git knows, in plain cases


async def test_head_names_branch_and_commit_and_says_when_detached(repo: Path) -> None:
    short = git(repo, "rev-parse", "--short", "HEAD").strip()
    assert await (await opened(repo)).head() == f"main {short}"
    git(repo, "checkout", "-q", "--detach", "HEAD")
    assert await (await opened(repo)).head() == f"detached {short}"


async def test_a_repository_without_commits_has_files_and_staged_changes(tmp_path: Path) -> None:
    root = new_repo(tmp_path / "fresh")
    (root / "a.py").write_text("x = 1\n")
    (root / "b.py").write_text("y = 1\n")
    git(root, "add", "a.py")
    eyes = await opened(root)
    assert await eyes.head() == "main (no commits)"
    assert await eyes.ls_files() == ("a.py", "b.py")
    changes = {c.path: c for c in await eyes.working_changes()}
    assert (changes["a.py"].status, changes["a.py"].where) == ("added", "staged")
    assert changes["a.py"].hunks[0].text == "+x = 1"
    assert changes["b.py"].status == "untracked"
    assert await eyes.log() == ()
    assert await eyes.commit_changes("HEAD") == ()


async def test_staged_and_unstaged_edits_of_one_file_are_one_change_with_today_s_line_numbers(repo: Path) -> None:
    file = repo / "src" / "parser.py"
    lines = file.read_text().split("\n")
    file.write_text("\n".join(["# one", *lines]))
    git(repo, "add", "-A")
    file.write_text("\n".join(["# one", *lines[:-1], "# two", ""]))
    (change,) = await (await opened(repo)).working_changes()
    assert change.where == "working tree"
    last = change.hunks[-1]
    assert file.read_text().split("\n")[last.new_start + last.new_lines - 2] == "# two"


async def test_a_rename_a_deletion_and_odd_names_are_understood(tmp_path: Path) -> None:
    root = new_repo(tmp_path / "odd")
    names = [
        "with space.py",
        "ümläut.py",
        'quo"te.py',
        "tab\tname.py",
        "日本.py",
        "-dash.py",
        "a -> b.py",
        "back\\slash.py",
    ]
    for name in names:
        (root / name).write_text("".join(f"line {n} of {name}\n" for n in range(30)))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    eyes = await opened(root)
    assert set(await eyes.ls_files()) == set(names)
    for name in names:
        (root / name).write_text((root / name).read_text() + "more\n")
    git(root, "mv", "with space.py", "moved here.py")
    git(root, "rm", "-qf", "ümläut.py")
    changes = {c.path: c for c in await eyes.working_changes()}
    assert set(changes) == {*names, "moved here.py"} - {"with space.py"}
    assert (changes["moved here.py"].status, changes["moved here.py"].old_path) == ("renamed", "with space.py")
    assert changes["ümläut.py"].status == "deleted"
    for name in names[2:]:
        assert changes[name].status == "modified"
        assert changes[name].hunks[-1].text.endswith("\n+more")
        blamed = await eyes.blame(name, 1, 31)
        assert [b.commit is None for b in blamed] == [False] * 30 + [True]
        assert [c.subject for c in await eyes.log(name)] == ["start"]
        assert await eyes.show("HEAD", name) is not None


async def test_binary_files_are_changes_without_hunks_and_crlf_is_kept_out_of_no_line(tmp_path: Path) -> None:
    root = new_repo(tmp_path / "bin")
    (root / "pic.bin").write_bytes(bytes(range(256)))
    (root / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    (root / "pic.bin").write_bytes(bytes(range(255, -1, -1)))
    (root / "dos.txt").write_bytes(b"one\r\nzwei\r\n")
    changes = {c.path: c for c in await (await opened(root)).working_changes()}
    assert changes["pic.bin"].hunks == ()
    (hunk,) = changes["dos.txt"].hunks
    assert (hunk.old_lines, hunk.new_lines) == (2, 2)
    assert hunk.text == " one\r\n-two\r\n+zwei\r"


async def test_a_merge_shows_what_it_brought_to_its_first_parent(repo: Path) -> None:
    git(repo, "checkout", "-qb", "side")
    (repo / "side.py").write_text("s = 1\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "side")
    git(repo, "checkout", "-q", "main")
    (repo / "main.py").write_text("m = 1\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "main")
    git(repo, "merge", "-q", "--no-ff", "-m", "merge", "side")
    eyes = await opened(repo)
    assert [c.path for c in await eyes.commit_changes("HEAD")] == ["side.py"]
    assert [c.path for c in await eyes.range_changes("side..main") or ()] == ["main.py"]
    assert [c.path for c in await eyes.range_changes("main...side") or ()] == []


async def test_the_oldest_commit_of_a_shallow_clone_is_not_taken_for_one_that_added_everything(
    repo: Path, tmp_path: Path
) -> None:
    shallow = tmp_path / "shallow"
    git(repo, "clone", "-q", "--depth", "1", repo.as_uri(), str(shallow))
    eyes = await opened(shallow)
    assert await eyes.commit_changes("HEAD") == ()
    first = git(repo, "rev-list", "--max-parents=0", "HEAD").strip()
    assert {c.path for c in await (await opened(repo)).commit_changes(first)} == {"pyproject.toml", "src/parser.py"}


async def test_log_of_a_line_range_and_blame_agree_with_git(repo: Path) -> None:
    eyes = await opened(repo)
    subjects = [c.subject for c in await eyes.log("src/parser.py", 7, 7)]
    assert subjects == ["Do not return the empty last line", "Add the parser"]
    (line,) = await eyes.blame("src/parser.py", 7, 7)
    assert line.text == "    return lines[:-1]"
    assert line.commit is not None
    assert line.commit.subject == "Do not return the empty last line"
    assert line.commit.author == "Ada"
    assert await eyes.blame("src/parser.py", 700, 701) == ()
    assert await eyes.blame("no/such.py", 1, 2) == ()


async def test_an_author_who_signs_with_an_address_stays_unnamed(repo: Path) -> None:
    (repo / "x.py").write_text("1\n")
    git(repo, "add", "-A")
    git(
        repo, "-c", "user.name=ada@example.org", "commit", "-q", "-m", "x", "--author=ada@example.org <ada@example.org>"
    )
    (commit,) = await (await opened(repo)).log("x.py")
    assert "@" not in commit.author


@pytest.mark.parametrize(
    "rev", ["--output=x", "-p", "HEAD;id", "HEAD:src", "a b", "$(id)", "", "nosuch", ":/x", "@{-9}"]
)
async def test_a_revision_that_is_an_option_or_unknown_resolves_to_nothing(repo: Path, rev: str) -> None:
    eyes = await opened(repo)
    assert await eyes.resolve(rev) == ""
    assert await eyes.range_changes(f"{rev or '~'}...HEAD") is None
    assert not (repo / "x").exists()


async def test_submodules_and_linked_work_trees_are_read(repo: Path, tmp_path: Path) -> None:
    inner = new_repo(tmp_path / "inner")
    (inner / "i.py").write_text("i = 1\n")
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "inner")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    git(repo, "commit", "-qm", "with lib")
    files = await ProjectEvidence(repo).files()
    assert "lib/i.py" in files
    assert "lib" not in files
    assert await (await opened(repo / "lib")).ls_files() == ("i.py",)
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "other")
    assert (await (await opened(tmp_path / "linked")).head()).startswith("other ")


async def test_a_git_file_that_points_at_a_foreign_repository_is_not_followed(repo: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / ".git").write_text(f"gitdir: {repo / '.git'}\n")
    nothing, note = await Git.open(trap)
    assert nothing is None
    assert "another repository" in note
    (trap / ".git").unlink()
    (trap / ".git").symlink_to(repo / ".git")
    assert (await Git.open(trap))[0] is None


async def test_a_configured_work_tree_elsewhere_is_ignored(repo: Path, tmp_path: Path) -> None:
    private = tmp_path / "private" / "src"
    private.mkdir(parents=True)
    (private / "parser.py").write_text("the private text\n")
    git(repo, "config", "core.worktree", str(tmp_path / "private"))
    assert await (await opened(repo)).working_changes() == ()


async def test_output_over_the_cap_and_a_deadline_end_the_child(repo: Path) -> None:
    (repo / "big.txt").write_text("line\n" * 200_000)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "big")
    eyes = await opened(repo)
    got = await eyes.run("cat-file", "blob", "HEAD:big.txt", max_bytes=1000)
    assert got.ok
    assert got.cut
    assert got.data == (b"line\n" * 200)
    late = await eyes.run("cat-file", "--batch", timeout_s=0.000001)
    assert not late.ok


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@posix
async def test_cancelling_kills_the_child(tmp_path: Path) -> None:
    """A stand-in for git that never ends writes its process id; after the cancellation nobody has that id."""
    program = tmp_path / "git"
    program.write_text(
        f"#!{sys.executable}\nimport os,time\nopen({str(tmp_path / 'pid')!r},'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    slow = Git(Runner(tmp_path, str(program), dict(os.environ)))
    pid_file = tmp_path / "pid"
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.run, "status")
            while not (pid_file.exists() and pid_file.read_text()):  # noqa: ASYNC110  (another process writes it)
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    pid = int(pid_file.read_text())
    with anyio.fail_after(30):  # the event loop collects the dead child in its own time
        while exists(pid):  # noqa: ASYNC110  (another process ends)
            await anyio.sleep(0.01)


async def test_without_git_files_are_listed_by_walking(tmp_path: Path) -> None:
    root = tmp_path / "plain"
    for name in ("src/a.py", "node_modules/x/index.js", ".venv/lib/y.py", "__pycache__/a.pyc", ".env", "pic.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    eyes = ProjectEvidence(root)
    assert await eyes.files() == ("src/a.py",)
    assert await eyes.head() == ""
    assert await eyes.changes() == ()
    assert await eyes.blame("src/a.py", 1, 1) == ()
    assert "not a git repository" in await eyes.git_note()


async def test_a_bare_repository_shows_nothing_of_its_own_storage(repo: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(repo, "clone", "-q", "--bare", str(repo), str(bare))
    assert await ProjectEvidence(bare).files() == ()


# --------------------------------------------------------------------------------------- a repository that wants to run


def evil(repo: Path, tmp_path: Path) -> Path:
    """Configure everything by which a repository can make git run a program; each leaves a file in the result."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def run(name: str) -> str:
        script = tmp_path / f"run-{name}"
        script.write_text(f"#!/bin/sh\ntouch '{marks}/{name}'\ncat\n")
        script.chmod(0o755)
        return str(script)

    attributes = "*.py filter=bad diff=bad\n*.toml filter=slow\n*.md filter=dotted.name\n*.txt filter=included\n"
    (repo / ".gitattributes").write_text(attributes)
    (repo / "notes.md").write_text("n\n")
    (repo / "t.txt").write_text("t\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "attributes")
    for key, name in {
        "core.fsmonitor": "fsmonitor",
        "diff.external": "external",
        "filter.bad.clean": "clean",
        "filter.bad.smudge": "smudge",
        "filter.slow.process": "process",
        "filter.dotted.name.clean": "dotted",
        "diff.bad.textconv": "textconv",
        "diff.bad.command": "command",
        "core.pager": "pager",
        "gpg.program": "gpg",
        "core.sshCommand": "ssh",
        "core.editor": "editor",
    }.items():
        git(repo, "config", key, run(name))
    git(repo, "config", "log.showSignature", "true")
    included = repo / ".git" / "more"
    included.write_text(f'[filter "included"]\n\tclean = {run("included")}\n')
    git(repo, "config", "include.path", str(included))
    hooks = repo / ".git" / "hooks"
    for hook in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch '{marks}/hook-{hook}'\n")
        (hooks / hook).chmod(0o755)
    # git only asks the filters about files whose time differs from the index
    for file in ("src/parser.py", "notes.md", "t.txt", "pyproject.toml"):
        (repo / file).write_text((repo / file).read_text() + "# edited\n")
    (repo / "new.py").write_text("n = 1\n")
    return marks


@posix
async def test_nothing_that_a_repository_configures_is_run(repo: Path, tmp_path: Path) -> None:
    marks = evil(repo, tmp_path)
    eyes = ProjectEvidence(repo)
    paths = {change.path for change in await eyes.changes()}
    assert paths == {"src/parser.py", "notes.md", "t.txt", "new.py", "pyproject.toml"}
    assert await eyes.files()
    assert await eyes.blame("src/parser.py", 1, 3)
    assert await eyes.log("src/parser.py", 1, 3)
    assert await eyes.log("src/parser.py")
    assert await eyes.before("src/parser.py")
    assert await eyes.mentions("read_lines")
    assert await eyes.commit_changes("HEAD")
    assert await eyes.range_changes("HEAD~1...HEAD")
    assert await eyes.range_changes("HEAD~1")
    assert await eyes.recent()
    assert await eyes.head()
    assert [mark.name for mark in marks.iterdir()] == []


@posix
def test_the_trap_itself_works_with_plain_git(repo: Path, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    marks = evil(repo, tmp_path)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for args in (["diff"], ["status"], ["log", "-p", "-1"], ["-c", "diff.external=", "diff", "--no-ext-diff"]):
        subprocess.run(["git", "-C", str(repo), *args], env=env, capture_output=True, timeout=30, check=False)
    fired = {mark.name for mark in marks.iterdir()}
    assert {"fsmonitor", "external", "included", "clean", "process", "dotted", "command"} <= fired


@posix
async def test_a_driver_that_cannot_be_switched_off_means_that_git_is_not_asked(repo: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (repo / ".gitattributes").write_text("*.py filter=a=b\n")
    with (repo / ".git" / "config").open("a") as config:
        config.write(f'[filter "a=b"]\n\tclean = touch {mark}; cat\n')
    (repo / "src" / "parser.py").write_text("edited\n")
    nothing, note = await Git.open(repo)
    assert nothing is None
    assert "unsafe name" in note
    assert await ProjectEvidence(repo).changes() == ()
    assert not mark.exists()


@posix
async def test_a_submodule_s_own_configuration_is_not_run_either(repo: Path, tmp_path: Path) -> None:
    inner = new_repo(tmp_path / "inner")
    (inner / "i.py").write_text("i = 1\n")
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "inner")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    git(repo, "commit", "-qm", "with lib")
    mark = tmp_path / "mark"
    (repo / "lib" / ".gitattributes").write_text("*.py filter=inner\n")
    git(repo / "lib", "config", "filter.inner.clean", f"touch {mark}; cat")
    git(repo / "lib", "config", "core.fsmonitor", f"touch {mark}; false")
    git(repo, "config", "diff.submodule", "diff")
    (repo / "lib" / "i.py").write_text("i = 2\n")
    eyes = ProjectEvidence(repo)
    await eyes.changes()
    await eyes.files()
    await eyes.mentions("i")
    assert not mark.exists()


@posix
async def test_missing_objects_are_not_fetched_from_a_remote_that_runs_a_program(repo: Path, tmp_path: Path) -> None:
    """A partial clone fetches what it lacks, by a command that its configuration names."""
    mark = tmp_path / "mark"
    script = tmp_path / "upload"
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    script.chmod(0o755)
    blob = git(repo, "rev-parse", "HEAD~1:src/parser.py").strip()
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": str(tmp_path / "nowhere"),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(script),
        "protocol.file.allow": "always",
    }.items():
        git(repo, "config", key, value)
    eyes = ProjectEvidence(repo)
    await eyes.commit_changes("HEAD")
    await eyes.before("src/parser.py")
    await eyes.blame("src/parser.py", 1, 5)
    assert not mark.exists()
    with pytest.raises(subprocess.CalledProcessError):
        git(repo, "show", "HEAD")
    assert mark.exists(), "plain git does run it, so the trap works"


# ------------------------------------------------------------------------------------------------------- diffs, pure


def applied(old: list[str], hunks: tuple[Hunk, ...]) -> list[str]:
    """The old lines with the hunks applied, checking every context and removed line."""
    new: list[str] = []
    at = 0
    for hunk in hunks:
        start = hunk.old_start - 1 if hunk.old_lines else hunk.old_start
        new += old[at:start]
        at = start
        for row in hunk.text.split("\n"):
            if row[0] in " -":
                assert old[at] == row[1:]
                at += 1
            if row[0] in " +":
                new.append(row[1:])
        assert at == start + hunk.old_lines
    return new + old[at:]


LINE = st.sampled_from(
    ["", "a", "b", "--- a/x", "+++ b/x", "@@ -1 +1 @@", "-", "+", " ", "diff --git a/x b/x", "ü\r", "\\ No", "\x0c"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=st.lists(LINE, max_size=25), new=st.lists(LINE, max_size=25), ends=st.booleans())
def test_a_parsed_diff_of_git_turns_the_old_text_into_the_new(
    tmp_path: Path, old: list[str], new: list[str], ends: bool
) -> None:
    texts = []
    for name, lines in (("old", old), ("new", new)):
        text = "\n".join(lines) + ("\n" if lines and ends else "")
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        texts.append((text[:-1] if text.endswith("\n") else text).split("\n") if text else [])
    command = ["git", "diff", "--no-index", "--no-color", "old", "new"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout.decode()
    changes = diffs.parse(out)
    if not out:
        assert changes == ()
        return
    (change,) = changes
    assert applied(texts[0], change.hunks) == texts[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(LINE, st.text(max_size=20)), max_size=40))
def test_no_text_makes_the_diff_parser_fail(lines: list[str]) -> None:
    for change in diffs.parse("\n".join(lines)):
        assert change.path


def test_a_plain_diff_with_time_stamps_and_text_around_it_is_read() -> None:
    text = (
        "I tried this:\n\n--- src/a.py\t2026-01-01 10:00:00\n+++ src/a.py\t2026-01-02 10:00:00\n"
        "@@ -1,2 +1,2 @@ def f():\n-x = 1\n+x = 2\n y = 3\nbut it fails\n"
    )
    assert diffs.parse(text) == (
        Change(
            path="src/a.py", status="modified", where="given diff",
            hunks=(Hunk(old_start=1, old_lines=2, new_start=1, new_lines=2, text="-x = 1\n+x = 2\n y = 3"),),
        ),
    )  # fmt: skip


def test_statuses_come_from_git_s_extended_headers() -> None:
    text = (
        "diff --git a/old name.py b/new name.py\nsimilarity index 100%\nrename from old name.py\nrename to new name.py\n"
        "diff --git a/gone.py b/gone.py\ndeleted file mode 100644\nindex 1..0\n--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        "diff --git a/born.py b/born.py\nnew file mode 100644\nindex 0..1\n--- /dev/null\n+++ b/born.py\n@@ -0,0 +1 @@\n+x\n"
        "diff --git a/p.png b/p.png\nindex 1..2 100644\nBinary files a/p.png and b/p.png differ\n"
        'diff --git "a/\\303\\274.py" "b/\\303\\274.py"\nold mode 100644\nnew mode 100755\n'
    )
    read = [(c.path, c.old_path, c.status, len(c.hunks)) for c in diffs.parse(text)]
    assert read == [
        ("new name.py", "old name.py", "renamed", 0),
        ("gone.py", "", "deleted", 1),
        ("born.py", "", "added", 1),
        ("p.png", "", "modified", 0),
        ("ü.py", "", "modified", 0),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("main...HEAD", True), ("HEAD~2", True), ("v1.0..v1.1", True), ("feature/x@{u}", True), ("--all", False),
     ("diff --git a/x b/x", False), ("", False), ("a\nb", False)],
)  # fmt: skip
def test_a_range_is_told_from_a_diff(text: str, expected: bool) -> None:
    assert diffs.is_range(text) is expected
