"""May git be asked about this directory? Finds git, checks whose repository it is, and disarms its configuration.

A `.git` file, link or directory may have come with an unpacked archive. It is trusted only as far as this: what git
shows must be this project's, and nothing that its configuration names is run or read.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread

from orchestra_mcp.context.repository.gitrun import Runner, child_environment

STORAGE = (
    "HEAD",
    "config",
    "config.worktree",
    "index",
    "packed-refs",
    "objects",
    "refs",
    "reftable",
    "shallow",
    "commondir",
)
"""What in git's directory decides which commits and files are this repository's. Add here."""
MAX_REFS = 100_000
"""Loose refs that are looked at; git packs them long before there are so many."""
USERS_OWN = ("core.excludesfile", "core.attributesfile")
"""Files that git reads for each listing: the user may name them, a repository may not (a pipe there blocks git)."""

IGNORED_REVISIONS = "blame.ignorerevsfile"
"""Like `USERS_OWN`, but git offers no way to take the repository's away before it is read."""

_WANTED = r"^((filter|diff)\..*\..*|core\.(excludesfile|attributesfile)|blame\.ignorerevsfile)$"


async def open_runner(root: Path, environ: Mapping[str, str] | None = None) -> tuple[Runner | None, str]:
    """A runner for the work tree whose top is `root`; or None and the reason, fit for a note."""
    seen = os.environ if environ is None else environ
    program = _find_git(root, seen.get("PATH", ""))
    if program is None:
        return None, "git is not installed; history and changes are not available."
    if not (root / ".git").exists():
        return None, "The project is not a git repository; history and changes are not available."
    bare = Runner(root, program, child_environment(root, seen))
    listed = await bare.run("config", "-z", "--show-scope", "--get-regexp", _WANTED, timeout_s=10)
    where = await bare.run("rev-parse", "--absolute-git-dir", "--git-common-dir", "--is-inside-work-tree", timeout_s=10)
    if not where.ok:
        hint = " (git says the directory belongs to another user)" if "dubious" in where.error else ""
        return None, f"git cannot read this repository{hint}; history and changes are not available."
    if not await anyio.to_thread.run_sync(_belongs, root, where.text.split("\n")):
        return None, "The repository's .git leads to another repository; history and changes are not used."
    if listed.cut or (not listed.ok and listed.error):
        return None, "git cannot list this repository's settings; history and changes are not available."
    if await anyio.to_thread.run_sync(_blocks, root, listed.names):
        return None, "The repository configures something else than a file to read; git is not asked about it."
    settings = neutral_settings(listed.names)
    if settings is None:
        return None, "The repository configures a filter with an unsafe name; git is not asked about it."
    return Runner(root, program, bare.environ, settings), ""


def neutral_settings(listed: list[str]) -> tuple[str, ...] | None:
    """Settings that empty every filter driver that any configuration names; None if a name cannot be given.

    `-c` splits at the first `=`, so that a driver called `a=b` could not be overridden.

    Args:
        listed: output of `git config -z --show-scope --get-regexp`: scope, then key and value with a line feed between.
    """
    settings: dict[str, str] = dict.fromkeys(USERS_OWN, "")
    for scope, entry in zip(listed[::2], listed[1::2], strict=False):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name = rest.rpartition(".")[0]
        if key in USERS_OWN:
            settings[key] = value if scope in ("global", "system") else settings[key]
        elif "=" in name or "\n" in name or "�" in name:
            return None
        elif section.lower() == "filter":
            settings |= dict.fromkeys((f"filter.{name}.{what}" for what in ("clean", "smudge", "process")), "")
            settings[f"filter.{name}.required"] = "false"
    # An empty excludes file would also hide the user's own default one, so it is only set where a repository names one.
    named = {entry.partition("\n")[0] for entry in listed[1::2]}
    return tuple(f"{key}={value}" for key, value in settings.items() if key not in USERS_OWN or key in named)


def _blocks(root: Path, listed: list[str]) -> bool:
    """True when git would read a pipe or device that the repository names. Blocking."""
    for scope, entry in zip(listed[::2], listed[1::2], strict=False):
        key, _, value = entry.partition("\n")
        if key == IGNORED_REVISIONS and value and scope not in ("global", "system"):
            place = root / os.path.expanduser(value)  # noqa: PTH111  (raises for an unknown user)
            try:
                if place.exists() and not place.is_file():
                    return True
            except (OSError, ValueError):
                return True
    return False


def _find_git(root: Path, path: str) -> str | None:
    """Git on PATH, but never one that the project brought along: PATH may hold `.`, and Windows looks there anyway."""
    places = [place for place in path.split(os.pathsep) if Path(place).is_absolute()]
    program = shutil.which("git", path=os.pathsep.join(places)) if places else None
    if program is None or not Path(program).is_absolute() or Path(program).is_relative_to(root):
        return None
    return program


def _belongs(root: Path, lines: list[str]) -> bool:
    """True when git's directory is inside the project, or itself names this project as its work tree.

    Alternates may lead outside: that is what `git clone --reference` makes, and to see anything through them one must
    already know the id of a commit there.
    """
    if len(lines) < 3 or lines[2] != "true":
        return False
    try:
        git_dir = Path(lines[0]).resolve()
        common = (root / lines[1]).resolve()
        if git_dir == root or any(_linked(place) for place in {git_dir, common}):
            return False
        if git_dir.is_relative_to(root):
            return common.is_relative_to(root)
        back = git_dir / "gitdir"  # a linked work tree
        if back.is_file():
            named = Path(back.read_text("utf-8").strip())
            named = named if named.is_absolute() else git_dir / named
            return named.resolve() == (root / ".git").resolve() and git_dir.is_relative_to(common)
        config = (git_dir / "config").read_text("utf-8", "replace")  # a submodule
        if (git_dir / "config.worktree").is_file():  # where git moves it once `sparse-checkout` was used
            config += "\n" + (git_dir / "config.worktree").read_text("utf-8", "replace")
        tree = re.search(r'^\s*worktree\s*=\s*"?([^"\n]+)"?\s*$', config, re.MULTILINE)
        return tree is not None and (git_dir / tree[1].strip()).resolve() == root
    except (OSError, UnicodeDecodeError, RuntimeError):
        return False


def _linked(git_dir: Path) -> bool:
    """True when a link in git's directory could make another repository's commits look like this one's."""
    if any((git_dir / name).is_symlink() for name in STORAGE):
        return True
    links = (
        os.path.islink(os.path.join(place, name))  # noqa: PTH114, PTH118  (many refs)
        for place, directories, names in os.walk(git_dir / "refs")
        for name in (*directories, *names)
    )
    return any(itertools.islice(links, MAX_REFS)) or next(links, None) is not None
