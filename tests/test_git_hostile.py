"""Repositories that want git to run something, to read elsewhere, or to wait for ever."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import git

from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.repository.gitopen import neutral_settings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the marker programs are shell scripts")


async def opened(root: Path, environ: dict[str, str] | None = None) -> Git:
    found, note = await Git.open(root, environ)
    assert found is not None, note
    return found


async def ask_everything(eyes: Git, path: str = "src/parser.py") -> None:
    """Every public question that there is."""
    await eyes.head()
    await eyes.notes()
    await eyes.ls_files()
    await eyes.own_changes()
    await eyes.working_changes()
    for given in ("HEAD~1...HEAD", "HEAD~1", "HEAD~1..", "stash@{0}", "@{u}", "@{-1}"):
        await eyes.range_changes(given)
    await eyes.commit_changes("HEAD")
    await eyes.parent("HEAD")
    await eyes.show("HEAD", path)
    await eyes.blame(path, 1, 3)
    await eyes.log()
    await eyes.log(path)
    await eyes.log(path, 1, 3)
    await eyes.history()
    await eyes.history(paths=(path,))
    await eyes.grep("read_lines")


def program(marks: Path, name: str) -> str:
    """A program that leaves a mark when it runs."""
    marks.mkdir(exist_ok=True)
    script = marks.parent / f"run-{name}"
    script.write_text(f"#!/bin/sh\ntouch '{marks}/{name}'\ncat\n")
    script.chmod(0o755)
    return str(script)


def plainly(root: Path, *args: str) -> None:
    """Git as anybody would run it."""
    env = {"PATH": os.environ["PATH"], "HOME": str(root.parent)}
    subprocess.run(["git", "-C", str(root), *args], env=env, capture_output=True, timeout=30, check=False)


def names_in(place: Path) -> set[str]:
    return {found.name for found in place.iterdir()}


def edit(root: Path) -> None:
    """Git asks filters only about files whose time differs from the index's."""
    (root / "src" / "parser.py").write_text((root / "src" / "parser.py").read_text() + "# edited\n")


# Setting → value, in which RUN is a program that leaves a mark and DIR a directory outside. Add a trap here.
SETTINGS: dict[str, str] = {
    "core.fsmonitor": "RUN",
    "core.pager": "RUN",
    "pager.log": "RUN",
    "pager.diff": "RUN",
    "pager.blame": "RUN",
    "core.editor": "RUN",
    "sequence.editor": "RUN",
    "core.askPass": "RUN",
    "core.sshCommand": "RUN",
    "core.gitProxy": "RUN",
    "core.alternateRefsCommand": "RUN",
    "credential.helper": "!RUN",
    "diff.external": "RUN",
    "diff.bad.command": "RUN",
    "diff.bad.textconv": "RUN",
    "filter.bad.clean": "RUN",
    "filter.bad.smudge": "RUN",
    "filter.bad.process": "RUN",
    "FILTER.bad.CLEAN": "RUN",
    "filter.a.b.clean": "RUN",
    "merge.bad.driver": "RUN",
    "trailer.x.command": "RUN",
    "gpg.program": "RUN",
    "gpg.ssh.program": "RUN",
    "alias.diff": "!RUN",
    "alias.log": "!RUN",
    "alias.ls-files": "!RUN",
    "core.hooksPath": "HOOKS",
    "submodule.lib.update": "!RUN",
    "uploadpack.packObjectsHook": "RUN",
    "browser.x.cmd": "RUN",
}


@pytest.mark.parametrize("setting", SETTINGS)
async def test_no_setting_of_a_repository_makes_git_run_a_program(repo: Path, tmp_path: Path, setting: str) -> None:
    marks = tmp_path / "marks"
    run = program(marks, "ran")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout", "reference-transaction"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch '{marks}/hook'\n")
        (hooks / hook).chmod(0o755)
    (repo / ".gitattributes").write_text("*.py filter=bad diff=bad merge=bad\n*.md filter=a.b\n")
    (repo / "notes.md").write_text("n\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "attributes")
    git(repo, "config", setting, SETTINGS[setting].replace("RUN", run).replace("HOOKS", str(hooks)))
    git(repo, "config", "log.showSignature", "true")
    edit(repo)
    (repo / "notes.md").write_text("edited\n")
    eyes = await opened(repo)
    await ask_everything(eyes)
    assert {"src/parser.py", "notes.md"} == {change.path for change in await eyes.working_changes()}
    assert list(marks.iterdir()) == []


def _include(repo: Path, inner: Path) -> None:
    git(repo, "config", "include.path", str(inner))


def _include_if(repo: Path, inner: Path) -> None:
    git(repo, "config", f"includeIf.gitdir:{repo}/.git.path", str(inner))


def _include_branch(repo: Path, inner: Path) -> None:
    git(repo, "config", "includeIf.onbranch:main.path", str(inner))


def _per_worktree(repo: Path, inner: Path) -> None:
    git(repo, "config", "extensions.worktreeConfig", "true")
    (repo / ".git" / "config.worktree").write_text(inner.read_text())


@pytest.mark.parametrize("hide", [_include, _include_if, _include_branch, _per_worktree])
async def test_filters_in_a_hidden_part_of_the_configuration_are_found(
    repo: Path, tmp_path: Path, hide: Callable[[Path, Path], None]
) -> None:
    marks = tmp_path / "marks"
    run = program(marks, "ran")
    inner = repo / ".git" / "more"
    inner.write_text(f'[filter "hidden"]\n\tclean = {run}\n\tprocess = {run}\n[core]\n\tfsmonitor = {run}\n')
    (repo / ".gitattributes").write_text("*.py filter=hidden\n")
    hide(repo, inner)
    edit(repo)
    await ask_everything(await opened(repo))
    assert list(marks.iterdir()) == []
    plainly(repo, "diff")
    assert list(marks.iterdir()) != [], "plain git does run it, so the trap works"


async def test_a_filter_whose_name_is_not_utf_8_means_that_git_is_not_asked(repo: Path, tmp_path: Path) -> None:
    """Its name, decoded for us and encoded for git, would be another one, and the filter would run."""
    marks = tmp_path / "marks"
    run = program(marks, "ran")
    (repo / ".gitattributes").write_bytes(b"*.py filter=b\xe4d\n")
    with (repo / ".git" / "config").open("ab") as config:
        config.write(b'[filter "b\xe4d"]\n\tclean = ' + run.encode() + b"\n")
    edit(repo)
    nothing, note = await Git.open(repo)
    assert nothing is None
    assert "unsafe name" in note
    await ProjectEvidence(repo).changes()
    assert list(marks.iterdir()) == []


def test_settings_that_empty_the_filters_are_made_from_git_s_own_list() -> None:
    listed = ["local", "filter.lfs.clean\ngit-lfs clean -- %f", "global", "filter.lfs.required\ntrue", "local", "diff.x.textconv\ncat"]  # fmt: skip
    assert neutral_settings(listed) == (
        "filter.lfs.clean=", "filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.required=false",
    )  # fmt: skip
    assert neutral_settings(["global", "core.excludesfile\n~/mine", "local", "core.attributesfile\n/pipe"]) == (
        "core.excludesfile=~/mine", "core.attributesfile=",
    )  # fmt: skip
    assert neutral_settings(["local", "core.excludesfile\n/pipe", "worktree", "core.excludesfile\n/other"]) == (
        "core.excludesfile=",
    )
    assert neutral_settings(["local", "filter.a=b.clean\nx"]) is None
    assert neutral_settings(["local", "filter.a\nb.clean\nx"]) is not None  # its key ends at the line feed
    assert neutral_settings([]) == ()


async def test_what_the_user_ignores_everywhere_stays_ignored(repo: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "ignore").write_text("*.scratch\n")
    (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/ignore\n")
    git(repo, "config", "core.excludesFile", str(tmp_path / "other"))
    (repo / "x.scratch").write_text("x")
    eyes = await opened(repo, {"PATH": os.environ["PATH"], "HOME": str(home)})
    assert "x.scratch" not in await eyes.ls_files()


@pytest.mark.parametrize("setting", ["core.excludesFile", "core.attributesFile", "mailmap.file", "diff.orderFile"])  # fmt: skip
async def test_a_pipe_in_place_of_a_configured_file_is_not_waited_for(repo: Path, tmp_path: Path, setting: str) -> None:
    """Reading a pipe that nobody writes to never ends; each call would cost its whole deadline."""
    os.mkfifo(tmp_path / "pipe")
    git(repo, "config", setting, str(tmp_path / "pipe"))
    edit(repo)
    eyes = await opened(repo)
    for args in (
        ("ls-files", "--others", "--exclude-standard"),
        ("diff", "-O/dev/null", "HEAD"),
        ("log", "-1", "--no-mailmap"),
        ("blame", "-L1,1", "--", "src/parser.py"),
    ):
        got = await eyes.run(*args, timeout_s=15)
        assert got.ok, (args, got.error)
    (change,) = await eyes.working_changes()
    assert change.path == "src/parser.py"


async def test_a_pipe_that_blame_would_read_means_that_git_is_not_asked(repo: Path, tmp_path: Path) -> None:
    """Git reads `blame.ignoreRevsFile` even when an empty value follows that takes it back."""
    os.mkfifo(tmp_path / "pipe")
    git(repo, "config", "blame.ignoreRevsFile", "../pipe")
    nothing, note = await Git.open(repo)
    assert nothing is None
    assert "something else than a file" in note
    git(repo, "config", "blame.ignoreRevsFile", ".git-blame-ignore-revs")
    (repo / ".git-blame-ignore-revs").write_text("# none\n")
    assert await (await opened(repo)).blame("src/parser.py", 1, 1)


async def test_a_repository_that_makes_git_wait_is_given_up(repo: Path) -> None:
    (repo / ".gitignore").unlink(missing_ok=True)
    os.mkfifo(repo / ".gitignore")
    eyes = await opened(repo)
    for _ in range(3):
        late = await eyes.run("ls-files", "--others", "--exclude-standard", timeout_s=0.5)
        assert late.error == "git took too long"
    assert (await eyes.run("rev-parse", "HEAD")).error == "git took too long before"


async def test_variables_of_the_caller_do_not_reach_git(repo: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run = program(marks, "ran")
    trace = tmp_path / "trace"
    hostile = {
        "GIT_EXTERNAL_DIFF": run, "GIT_PAGER": run, "PAGER": run, "GIT_SSH_COMMAND": run, "GIT_ASKPASS": run,
        "GIT_EDITOR": run, "EDITOR": run, "GIT_DIR": str(tmp_path / "other"), "GIT_INDEX_FILE": "/nonexistent",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": run,
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor={run}'", "GIT_TRACE": str(trace), "GIT_TRACE2": str(trace),
        "GIT_EXEC_PATH": str(tmp_path), "GIT_OBJECT_DIRECTORY": "/nonexistent", "GIT_NAMESPACE": "x",
        "GIT_CONFIG_GLOBAL": "/nonexistent", "LD_DEBUG": "all", "GIT_LITERAL_PATHSPECS": "0",
    }  # fmt: skip
    edit(repo)
    eyes = await opened(repo, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **hostile})
    await ask_everything(eyes)
    assert [change.path for change in await eyes.working_changes()] == ["src/parser.py"]
    assert list(marks.iterdir()) == []
    assert not trace.exists()


async def test_remotes_are_never_spoken_to(repo: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    run = program(marks, "ran")
    blob = git(repo, "rev-parse", "HEAD~1:src/parser.py").strip()
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": "https://example.org/x.git",
        "remote.origin.promisor": "true",
        f"url.ext::{run} .insteadOf": "https://example.org/",
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }.items():
        git(repo, "config", key, value)
    await ask_everything(await opened(repo))
    assert list(marks.iterdir()) == []


# -------------------------------------------------------------------------------------------- whose repository it is


async def test_a_bare_repository_among_the_files_is_not_taken_for_the_project_s(tmp_path: Path) -> None:
    """`git clone` can bring a directory that looks like a bare repository, with a configuration of its own."""
    root = tmp_path / "trap"
    root.mkdir()
    git(root, "init", "-q", "--bare")
    marks = tmp_path / "marks"
    git(root, "config", "core.fsmonitor", program(marks, "ran"))
    git(root, "config", "core.bare", "false")
    git(root, "config", "core.worktree", str(root))
    (root / ".git").mkdir()
    nothing, _ = await Git.open(root)
    assert nothing is None
    assert list(marks.iterdir()) == []


async def test_core_bare_does_not_hide_the_work_tree(repo: Path) -> None:
    git(repo, "config", "core.bare", "true")
    edit(repo)
    eyes, _ = await Git.open(repo)
    if eyes is not None:  # git may refuse; if it answers, then about this work tree
        assert [change.path for change in await eyes.working_changes()] == ["src/parser.py"]


async def test_objects_behind_a_link_are_not_used_in_a_linked_work_tree_or_submodule(
    repo: Path, tmp_path: Path
) -> None:
    """An archive may bring `.git` as a file and the repository that it names, whose objects are somebody else's."""
    trap = tmp_path / "trap"
    (trap / "store").mkdir(parents=True)
    (trap / "tree").mkdir()
    (trap / "tree" / ".git").write_text("gitdir: ../store\n")
    (trap / "store" / "HEAD").write_text(git(repo, "rev-parse", "HEAD"))
    (trap / "store" / "refs").mkdir()
    (trap / "store" / "objects").symlink_to(repo / ".git" / "objects")
    (trap / "store" / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tworktree = ../tree\n")
    nothing, note = await Git.open(trap / "tree")
    assert nothing is None
    assert "another repository" in note


@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")
async def test_a_repository_of_another_user_is_refused_by_git_s_own_rule(repo: Path, tmp_path: Path) -> None:
    for place in (repo, repo / ".git"):
        os.chown(place, 4321, 4321)
    git_dir = repo / ".git"
    (git_dir / "config").write_text((git_dir / "config").read_text() + "[safe]\n\tdirectory = *\n")
    nothing, note = await Git.open(repo, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert nothing is None
    assert "another user" in note


# ------------------------------------------------------------------------------------------------------- submodules


def with_submodule(repo: Path, tmp_path: Path) -> Path:
    """A project with a submodule `lib`."""
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q", "-b", "main")
    (inner / "i.py").write_text("def inner():\n    return 1\n")
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "inner begins")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "lib")
    git(repo, "commit", "-qm", "with lib")
    return repo / "lib"


async def test_a_submodule_with_traps_of_its_own_runs_nothing(repo: Path, tmp_path: Path) -> None:
    lib = with_submodule(repo, tmp_path)
    marks = tmp_path / "marks"
    run = program(marks, "ran")
    (lib / ".gitattributes").write_text("*.py filter=bad diff=bad\n")
    for key in ("filter.bad.clean", "filter.bad.process", "diff.bad.textconv", "core.fsmonitor", "diff.external"):
        git(lib, "config", key, run)
    git(repo, "config", "submodule.lib.update", f"!{run}")
    git(repo, "config", "submodule.lib.url", f"ext::{run}")
    git(repo, "config", "submodule.recurse", "true")
    git(repo, "config", "diff.ignoreSubmodules", "none")
    git(repo, "config", "diff.submodule", "diff")
    git(repo, "config", "status.submoduleSummary", "true")
    (lib / "i.py").write_text("def inner():\n    return 2\n")
    eyes = await opened(repo)
    await ask_everything(eyes, "lib/i.py")
    assert "lib/i.py" in {change.path for change in await eyes.working_changes()}
    assert list(marks.iterdir()) == []


@pytest.mark.parametrize("place", ["../other", "/etc", "-x", "lib/../../other", "link", "src"])
async def test_a_submodule_path_that_leaves_the_project_is_not_entered(repo: Path, tmp_path: Path, place: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q", "-b", "main")
    (other / "private.py").write_text("p = 1\n")
    (repo / "link").symlink_to(other)
    (repo / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = {place}\n\turl = ./x\n')
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "trap")
    eyes = await opened(repo)
    assert not [name for name in await eyes.ls_files() if "private" in name]
    await ask_everything(eyes)


async def test_a_gitmodules_file_that_includes_another_is_read_alone(repo: Path, tmp_path: Path) -> None:
    with_submodule(repo, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with (repo / ".gitmodules").open("a") as file:
        file.write(f"[include]\n\tpath = {tmp_path / 'pipe'}\n")
    assert "lib/i.py" in await (await opened(repo)).ls_files()


async def test_a_submodule_whose_git_file_leads_elsewhere_is_left_out(repo: Path, tmp_path: Path) -> None:
    lib = with_submodule(repo, tmp_path)
    private = tmp_path / "private"
    private.mkdir()
    git(private, "init", "-q", "-b", "main")
    (private / "p.py").write_text("p = 1\n")
    git(private, "add", "-A")
    git(private, "commit", "-qm", "private words")
    (lib / ".git").write_text(f"gitdir: {private / '.git'}\n")
    eyes = await opened(repo)
    assert not [name for name in await eyes.ls_files() if name.startswith("lib/")]
    assert await eyes.log("lib/p.py") == ()


# ------------------------------------------------------------------------------------------- revisions from strangers

REVISIONS = (
    "--output=x", "--output x", "-c core.pager=x", "--upload-pack=x", "-Ox", "--no-index", "--ext-diff", "-", "--", "^HEAD",
    "^", "HEAD^!", "HEAD^@", "..", "...", "....", "@{", "@{-99}", "HEAD@{yesterday; id}", ":/Add", "HEAD:src/parser.py",
    "HEAD\nHEAD", "HEAD\0", "\u202eHEAD", "ＨＥＡＤ", "HEAD~99999999999999999999", "a" * 5000, "{" * 200,
    "refs/../../x", "$(touch x)", "`touch x`", "HEAD;touch x", "stash@{9}", "$HOME",
)  # fmt: skip


async def test_a_revision_is_never_an_option_and_never_more_than_one(repo: Path) -> None:
    edit(repo)
    before = names_in(repo)
    eyes = await opened(repo)
    for rev in REVISIONS:
        assert await eyes.resolve(rev) == "", rev
        assert await eyes.commit_changes(rev) == (), rev
        assert await eyes.show(rev, "src/parser.py") is None, rev
        if rev not in ("..", "..."):  # these mean HEAD on both sides
            assert await eyes.range_changes(rev) is None, rev
            assert await eyes.range_changes(f"{rev}..HEAD") in (None, ()), rev
            assert await eyes.range_changes(f"HEAD...{rev}") in (None, ()), rev
        assert names_in(repo) == before, rev


PATHS = ("--output=x", "-", "--", ":(glob)**", ":(top)src/parser.py", ":/", ":!src", "*", "../../etc/passwd", "/etc/passwd", "a\nb")  # fmt: skip


async def test_a_path_is_never_an_option_and_never_a_pattern(repo: Path) -> None:
    before = names_in(repo)
    eyes = await opened(repo)
    for path in PATHS:
        assert await eyes.blame(path, 1, 1) == (), path
        assert await eyes.log(path, 1, 1) == (), path
        assert await eyes.log(path) == (), path
        assert await eyes.show("HEAD", path) is None, path
        assert await eyes.history(paths=(path,)) == (), path
        assert names_in(repo) == before, path


async def test_a_searched_word_is_never_an_option_and_never_a_pattern(repo: Path) -> None:
    before = names_in(repo)
    eyes = await opened(repo)
    for word in ("--output=x", "-e", "-Oecho", "--open-files-in-pager=echo", "(", "a\\", "*"):
        assert [hit for hit in await eyes.grep(word) if word not in hit[2]] == [], word
        assert names_in(repo) == before, word
