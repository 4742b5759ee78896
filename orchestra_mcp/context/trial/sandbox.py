"""Starting children that try something, and ending them with all that they have started.

A child gets a directory, an environment without keys, and a process group of its own. What it must not do is taken
from it inside, before anything foreign runs (`confinement`). It is ended when it is late, when it has said too much,
and when its caller is cancelled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

MODULES = "orchestra_mcp.context.trial"
PACKAGES = Path(__file__).resolve().parents[3]
"""Where this package is imported from; the child imports its part before it gives up its rights."""

_ENTRY = "import sys; sys.path.insert(0, {place!r}); from {module} import main; del sys.path[0]; main()"
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Its exit code; None when it was ended for being late or for saying too much."""
    output: bytes
    late: bool = False


def python(module: str) -> list[str]:
    """The command that runs `main` of a module of this package, with nothing but the standard library beside it."""
    entry = _ENTRY.format(place=str(PACKAGES), module=f"{MODULES}.{module}")
    return [sys.executable, "-s", "-S", "-P", "-B", "-c", entry]


async def run(
    command: Sequence[str] | str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    typed: bytes = b"",
    timeout_s: float,
    max_bytes: int,
    keep_end: bool = False,
) -> Ended:
    """Run a child to its end, with standard error going where standard output goes only when `keep_end` is set.

    Args:
        command: program and arguments; a text is run by the system's shell.
        typed: its whole standard input.
        max_bytes: with `keep_end`, so much of the end of its output is kept; otherwise it is ended when it says more.

    Raises:
        OSError: it cannot be started.
    """
    process = await anyio.open_process(
        command,
        stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if keep_end else subprocess.DEVNULL,
        cwd=directory,
        env=environment,
        start_new_session=os.name == "posix",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    output = bytearray()
    late = True
    try:
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_write, process.stdin, typed)
                tasks.start_soon(_collect, process, output, max_bytes, keep_end)
                await _exit_code(process)
                # What it has left behind may hold the pipe open for ever.
                tasks.cancel_scope.deadline = anyio.current_time() + _GRACE_S
            late = False
    finally:
        code = process.returncode
        with anyio.CancelScope(shield=True):
            await _bury(process)
    return Ended(code, bytes(output), late)


async def _write(stream: ByteSendStream | None, data: bytes) -> None:
    if stream is None:
        return
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        await stream.send(data)
    await stream.aclose()


async def _collect(process: Process, into: bytearray, limit: int, keep_end: bool) -> None:
    stream: ByteReceiveStream | None = process.stdout
    if stream is None:
        return
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for data in stream:
            into += data
            if len(into) > limit and not keep_end:
                _signal(process, _KILL)
                return
            if len(into) > 2 * limit:
                del into[:-limit]


async def _exit_code(process: Process) -> int:
    """Wait for the child alone: `Process.wait` also waits for everybody who holds its pipes."""
    while process.returncode is None:  # noqa: ASYNC110 - there is no event for this
        await anyio.sleep(0.01)
    return process.returncode


def _signal(process: Process, how: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, how)
        elif process.returncode is None:
            process.terminate()


async def _bury(process: Process) -> None:
    """End the child with what it has started, within about two seconds, and let go of its pipes.

    The child alone is asked first: the launcher then ends also those who have left its process group.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            process.terminate()
        with anyio.move_on_after(_GRACE_S):
            await _exit_code(process)
    _signal(process, _KILL)
    with anyio.move_on_after(_GRACE_S):
        await process.aclose()
