"""Running git so that nothing which the repository configured is run.

A repository's own configuration can make a plain `git diff` or `git status` run programs: clean filters, fsmonitor,
text converters, external diffs, and (when objects are missing) transports. Therefore every call names and empties all
filter drivers (`gitopen.neutral_settings`), turns the rest off by flags and environment, does not look into
submodules, and pins the work tree, which `core.worktree` could move elsewhere. Children get an argument list, no
standard input, a deadline and a cap on their output, and are killed when the caller is cancelled.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

FIXED = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat", "core.quotePath=true",
    "core.sshCommand=false", "core.gitProxy=", "core.askPass=false", "core.editor=false", "sequence.editor=false",
    "core.alternateRefsCommand=false", "credential.helper=", "protocol.allow=never", "gpg.program=false",
    "log.showSignature=false", "blame.ignoreRevsFile=", "mailmap.file=", "mailmap.blob=", "submodule.recurse=false",
    "safe.bareRepository=explicit", "color.ui=false",
)  # fmt: skip
"""Settings that override the repository's on every call. Add here."""

PASSED_ON = (
    "PATH", "HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME",
    "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "TMPDIR",
)  # fmt: skip
"""Variables that git may see. No `GIT_*` and no keys."""

MAX_LATE = 3
"""After so many calls that took too long git is not asked about this work tree again (a pipe instead of a file)."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a git command gave; `ok` is False for an error, a time-out, or when git could not be started."""

    data: bytes = b""
    error: str = ""
    ok: bool = False
    cut: bool = False
    """True when the output was longer than the cap; `data` is its beginning."""

    @property
    def text(self) -> str:
        """The output decoded; bytes that are not UTF-8 become `�`."""
        return self.data.decode("utf-8", "replace")

    @property
    def names(self) -> list[str]:
        """The output of a command with `-z`: file names."""
        return [name.decode("utf-8", "replace") for name in self.data.split(b"\0") if name]


class Runner:
    """Runs git about one work tree.

    Args:
        root: top of the work tree.
        program: absolute path of git.
        environ: the child's whole environment, as `child_environment` makes it.
        settings: further settings that override the repository's, each `name=value`.
    """

    def __init__(self, root: Path, program: str, environ: Mapping[str, str], settings: Sequence[str] = ()) -> None:
        self.root = root
        self.program = program
        self.environ = environ
        self._settings = [part for setting in (*FIXED, *settings) for part in ("-c", setting)]
        self._late = 0

    async def run(self, *args: str, timeout_s: float = 20, max_bytes: int = 8_000_000) -> Output:
        """Run one git command with all precautions; never raises for what git says.

        Args:
            args: the command and its arguments; callers put `--end-of-options` and `--` before foreign text.
            timeout_s: after so many seconds git is killed and the result is not ok.
            max_bytes: git is killed after so much output; the result is ok but `cut`.
        """
        if self._late >= MAX_LATE:
            return Output(error="git took too long before")
        command = [self.program, "--no-pager", "--literal-pathspecs", *self._settings, *args]
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        try:
            process = await anyio.open_process(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd=self.root, env=self.environ, start_new_session=os.name == "posix", creationflags=flags,
            )  # fmt: skip
        except (OSError, ValueError):
            return Output(error="git cannot be started")
        out, err = _Sink(max_bytes), _Sink(20_000, keep_reading=True)
        timed_out = True
        try:
            with anyio.move_on_after(timeout_s):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(err.drain, process.stderr)
                    await out.drain(process.stdout)
                    if out.cut:
                        _kill(process)
                await process.wait()
                timed_out = False
        finally:
            await _end(process)
        self._late += timed_out
        error = "git took too long" if timed_out else err.data.decode("utf-8", "replace").strip()
        return Output(bytes(out.data), error, ok=not timed_out and (out.cut or process.returncode == 0), cut=out.cut)


def child_environment(root: Path, seen: Mapping[str, str]) -> dict[str, str]:
    """The environment of git: what it needs to find the user's own settings, and none of the caller's `GIT_*`."""
    kept = {name: value for name in PASSED_ON if (value := seen.get(name))}
    return kept | {
        "GIT_WORK_TREE": str(root), "GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C", "LANGUAGE": "C",
    }  # fmt: skip


class _Sink:
    """Takes bytes up to a cap."""

    def __init__(self, cap: int, *, keep_reading: bool = False) -> None:
        self.data = bytearray()
        self.cut = False
        self._cap = cap
        self._keep_reading = keep_reading

    async def drain(self, stream: ByteReceiveStream | None) -> None:
        if stream is None:
            return
        try:
            async for chunk in stream:
                room = self._cap - len(self.data)
                self.data += chunk[: max(0, room)]
                self.cut = self.cut or len(chunk) > room
                if self.cut and not self._keep_reading:
                    return
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _end(process: Process) -> None:
    """Kill what still runs and reap it, within two seconds even when cancelled."""
    with anyio.move_on_after(2, shield=True):
        if process.returncode is None:
            _kill(process)
        await process.aclose()
