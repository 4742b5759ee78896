"""Running the user's verify command in a copy of the project, with what limits the system can give."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestra_mcp.context.project import PRIVATE_DIRS
from orchestra_mcp.context.trial import sandbox

MAX_TAIL = 4_000
"""Characters of its output that are kept, from the end."""

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SHELL", "VIRTUAL_ENV", "CONDA_PREFIX",
    "GOPATH", "GOROOT", "GOMODCACHE", "GOFLAGS", "CARGO_HOME", "RUSTUP_HOME", "JAVA_HOME", "MAVEN_OPTS", "GRADLE_USER_HOME",
    "NVM_DIR", "NODE_PATH", "NODE_ENV", "PYENV_ROOT", "PYENV_VERSION", "RBENV_ROOT", "GEM_HOME", "GEM_PATH", "BUNDLE_PATH",
    "DOTNET_ROOT", "NUGET_PACKAGES", "ANDROID_HOME", "LD_LIBRARY_PATH", "DJANGO_SETTINGS_MODULE", "CC", "CXX",
    "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
)  # fmt: skip
"""Variables of the user's that a verify command sees: where tools are, and no keys. Add here."""

PRIVATE = (
    *(name for name in PRIVATE_DIRS if name not in (".local/share", "Library", "AppData/Roaming")),
    ".netrc", ".npmrc", ".pypirc", ".pgpass", ".git-credentials", ".vault-token", ".cargo/credentials",
    ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml", ".gradle/gradle.properties", ".bash_history",
    ".zsh_history", ".python_history", ".psql_history", ".local/share/keyrings", ".local/share/orchestra",
    ".local/share/gnupg", ".password-store", ".terraform.d", ".subversion", ".thunderbird", ".cache/mozilla",
)  # fmt: skip
"""Below the home directory, what a command may not read. Toolchains lie there too, so that the rest stays open. Add here."""

_MISSING = re.compile(r"No module named '?(pytest|unittest2|nose2?|tox|nox)'?\s*$")
_DATA = 8 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the verify command."""

    result: Literal["passed", "failed", "not run"]
    why: str = ""
    """For `not run`: the reason and what would mend it."""
    output: str = ""
    network: bool = False
    """True when it could not reach the network."""
    local: bool = False
    """True when it could still speak to servers of its own on localhost."""
    files: bool = False
    """True when it could write nothing but its copy, and not read private places."""
    alone: bool = False
    """True when it could not even change modes and times elsewhere, nor speak to this machine's servers."""

    @property
    def limits(self) -> str:
        """What was limited, for a note; also what was not."""
        net = "no network" if self.network else "the network was open"
        if self.network and not self.alone:
            net += " but this machine's own sockets"
        if not self.files:
            return f"{net}, files were not shut off"
        return f"{net}, no files but the copy could be changed" + ("" if self.alone else " (modes and times could)")


async def run(
    command: str, root: Path, area: Path, shown: Sequence[str], timeout_s: float, hidden: Sequence[Path] = ()
) -> Run:
    """Run a command where the copy lies: in `work`, below `area`, in its `tree`.

    Args:
        command: as the user wrote it; a shell runs it.
        root: the project itself, which the command must not see.
        area: a directory of this run's own; the command may write in its `work` only.
        shown: places inside of the project that it may read: linked dependencies.
        timeout_s: after so many seconds it is ended, and counts as not run.
        hidden: further places that it must not read.
    """
    work = area / "work"
    tree = work / "tree"
    for name in ("tmp", "cache"):
        (work / name).mkdir(exist_ok=True)
    report = area / "report"
    inner: str | list[str] = _moved(command, root, tree)  # a text is for the system's own shell
    if os.name == "posix":
        job = {
            "command": ["/bin/sh", "-c", inner], "hidden": [str(root), "/dev", *map(str, hidden), *_private()],
            "shown": list(shown), "writable": [str(work)], "directory": str(tree), "limits": _limits(timeout_s), "report": str(report),
        }  # fmt: skip
        inner = [*sandbox.python("launcher"), json.dumps(job)]
    try:
        ended = await sandbox.run(
            inner, tree, _environment(root, work), timeout_s=timeout_s, max_bytes=4 * MAX_TAIL, keep_end=True
        )
    except OSError as error:
        return Run("not run", f"the verify command cannot be started ({type(error).__name__})")
    held = _held(report)
    tail = ended.output.decode("utf-8", "replace")[-MAX_TAIL:].replace(str(tree), ".").strip()
    result, why = _judge(ended, command, tail, timeout_s)
    if held.pop("too_many", False):
        result, why = "not run", "the verify command started too many processes"
    return Run(result, why, tail, **{name: held.get(name, False) for name in ("network", "local", "files", "alone")})


def _judge(
    ended: sandbox.Ended, command: str, tail: str, timeout_s: float
) -> tuple[Literal["passed", "failed", "not run"], str]:
    name = (command.split() or [""])[0]
    if ended.late or ended.code is None:
        return "not run", f"the verify command took longer than {timeout_s:g} s; `verify_s` under [limits] allows more"
    if ended.code == 0:
        return "passed", ""
    if ended.code in (126, 127):
        return (
            "not run",
            f"the verify command cannot be run here (`{name}`): give under [verify] one that its shell finds",
        )
    if len(tail) < 400 and (missing := _MISSING.search(tail)):
        return "not run", f"the verify command needs {missing[1]}: name an interpreter that has it under [verify]"
    return "failed", ""


def _held(report: Path) -> dict[str, bool]:
    try:
        held = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: value is True for name, value in held.items()}


def _moved(command: str, root: Path, tree: Path) -> str:
    """The command with the copy where it names the project by its absolute path."""
    return re.sub(re.escape(str(root)) + r"(?![^/\\\s'\";&|:)])", lambda _: str(tree), command)


def _environment(root: Path, work: Path) -> dict[str, str]:
    tree = work / "tree"
    kept = {name: value for name in PASSED_ON if (value := os.environ.get(name))}
    # Where the project put itself on the path, its copy takes its place.
    kept["PATH"] = os.pathsep.join(_inside(entry, root, tree) for entry in kept.get("PATH", "").split(os.pathsep))
    # An editable installation would lead to the user's own files: the copy's come first.
    sources = [str(place) for place in (tree, tree / "src", tree / "lib") if place.is_dir()]
    temporary = str(work / "tmp")
    return kept | {
        "PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": temporary, "TEMP": temporary,
        "TMP": temporary, "XDG_CACHE_HOME": str(work / "cache"), "GIT_CEILING_DIRECTORIES": str(work), "TERM": "dumb",
        "NO_COLOR": "1", "CI": "1",
    }  # fmt: skip


def _inside(entry: str, root: Path, tree: Path) -> str:
    path = Path(entry)
    return str(tree / path.relative_to(root)) if entry and path.is_relative_to(root) else entry


def _private() -> list[str]:
    home = Path.home()
    return [str((home / name).resolve()) for name in PRIVATE]


def _limits(timeout_s: float) -> Mapping[str, int]:
    limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 2 << 30, "RLIMIT_CPU": int(4 * timeout_s) + 1}
    # JVM, Go and Node reserve much more address space than they use, so that only what is writable is limited.
    return limits | ({"RLIMIT_DATA": _DATA} if sys.platform == "linux" else {})
