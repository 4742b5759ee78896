"""A child process that cannot outlive the call for which it was started.

It runs in an empty temporary directory and in a process group of its own, which is ended with everything in it when
the call is over, cancelled or too late. On Windows, where there are no process groups, only the child itself is ended.
"""

from __future__ import annotations

import os
import signal
import tempfile
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from orchestra_mcp.errors import Refused, Unavailable

MAX_OUTPUT = 4_000_000
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


async def run(
    command: list[str], prompt: str, environment: dict[str, str], timeout_s: float, title: str
) -> tuple[int, str, str]:
    """Run a CLI in an empty directory, with `prompt` on its standard input.

    Returns:
        Exit code, standard output, and the end of standard error.

    Raises:
        Unavailable: it took longer than `timeout_s` (`timeout`) or could not be started (`network`).
    """
    with tempfile.TemporaryDirectory(prefix="orchestra-", ignore_cleanup_errors=True) as directory:
        try:
            process = await anyio.open_process(
                command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(f"{title} could not be started ({type(error).__name__}).", "server") from None
        output, complaint = bytearray(), bytearray()
        try:
            with anyio.fail_after(timeout_s):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_write, process.stdin, prompt.encode("utf-8", "replace"))
                    tasks.start_soon(_collect, process.stderr, complaint)
                    tasks.start_soon(_collect, process.stdout, output)
                    code = await _exit_code(process)
                    # A child that it has left behind may hold the pipes open for ever.
                    end_group(process, KILL)
                    tasks.cancel_scope.deadline = anyio.current_time() + 1
        except TimeoutError:
            raise Unavailable(f"{title} gave no answer within {timeout_s:g} s.", "timeout") from None
        finally:
            with anyio.CancelScope(shield=True):
                await _bury(process)
    return code, output.decode("utf-8", "replace"), complaint.decode("utf-8", "replace")[-4000:]


async def _write(stream: ByteSendStream | None, data: bytes) -> None:
    if stream is None:
        return
    try:
        await stream.send(data)
        await stream.aclose()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        pass  # it has stopped reading, and its output will say why


async def _collect(stream: ByteReceiveStream | None, into: bytearray) -> None:
    if stream is None:
        return
    try:
        async for data in stream:
            if len(into) < MAX_OUTPUT:
                into += data
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass


async def _exit_code(process: Process) -> int:
    """Wait for the child alone: `Process.wait` also waits for everybody who holds its pipes."""
    while process.returncode is None:  # noqa: ASYNC110 - there is no event for this
        await anyio.sleep(0.03)
    return process.returncode


def end_group(process: Process, how: int) -> None:
    """Signal a process and all that it has started; without process groups (Windows) the process alone."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, how)
        elif process.returncode is None:
            process.terminate()
    except (ProcessLookupError, PermissionError):
        pass


async def _bury(process: Process) -> None:
    """End the group for certain, within about a second, and let go of the pipes."""
    if process.returncode is None:
        end_group(process, signal.SIGTERM)
        with anyio.move_on_after(0.5):
            await _exit_code(process)
    end_group(process, KILL)
    with anyio.move_on_after(1):
        await process.aclose()
