"""Serve one client over standard input and output, and end as soon as nobody needs us any more.

Four things end the server: end of input, SIGINT (Claude Code sends it on exit), SIGTERM, and a parent that vanished
(launchers such as uvx leave orphans). Each time the runs are cancelled and recorded and the store is closed first. The
SDK reads standard input in a thread that cannot be interrupted, so after cleaning up the process leaves by `os._exit`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import anyio
from anyio.abc import TaskStatus

from orchestra_mcp.tools.logs import Discreet, log_to_stderr
from orchestra_mcp.tools.server import Server, build_server

if TYPE_CHECKING:
    from types import FrameType

    from orchestra_mcp.tools.host import Host

__all__ = ["Discreet", "last_word", "log_to_stderr", "run", "serve", "trace_process"]

PARENT_S = 0.4
"""How often the parent is looked for, in seconds."""
LAST_WORD_S = 1.6
"""If cleaning up has not ended the process after so many seconds, it ends without."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def run(environ: Mapping[str, str]) -> int:
    """Serve until the client closes standard input; returns the exit code.

    After a signal, or when the parent is gone, the process ends here: 128 plus the signal's number, or 0.
    """
    log_to_stderr(environ)
    trace_process(environ)
    return serve(build_server(environ))


def serve(server: Server) -> int:
    """As `run`, for a server that is already built."""
    anyio.run(_serve, server)
    last_word(0)
    return 0


async def _serve(server: Server) -> None:
    async with anyio.create_task_group() as tasks:
        await tasks.start(_end_on_signal, server.host)
        tasks.start_soon(_end_with_parent, server.host)
        await server.run_stdio_async()
        tasks.cancel_scope.cancel()


async def _end_on_signal(host: Host, *, task_status: TaskStatus[None]) -> None:
    received = anyio.Event()
    numbers: list[int] = []

    def note(number: int) -> None:
        numbers.append(number)
        received.set()

    if sys.platform == "win32":  # loops there have no signal handlers
        from asyncio import get_running_loop

        loop = get_running_loop()

        def handle(number: int, _: FrameType | None) -> None:
            loop.call_soon_threadsafe(note, number)

        for each in SIGNALS:
            signal.signal(each, handle)
        task_status.started()
        await received.wait()
    else:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            async for number in signals:
                note(number)
                break
    await _end(host, 128 + numbers[0])


async def _end_with_parent(host: Host) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - the system tells nobody
        await anyio.sleep(PARENT_S)
    await _end(host, 0)


async def _end(host: Host, code: int) -> NoReturn:
    last_word(code)
    with anyio.CancelScope(shield=True):
        await host.aclose()
    _leave(code)


def trace_process(environ: Mapping[str, str]) -> None:
    """Send the traces of this whole process to the receiver that the environment names, from the first request on.

    One that only the settings name is found when Orchestra is opened: reading them would delay the first reply.
    """
    from orchestra_mcp.telemetry.export import TRACING, endpoint

    TRACING.ours = True
    if endpoint(environ):
        TRACING.start(environ)


def last_word(code: int) -> None:
    """End the process with this code in `LAST_WORD_S` seconds, whatever then still goes on."""
    timer = threading.Timer(LAST_WORD_S, _leave, (code,))
    timer.daemon = True
    timer.start()


def _leave(code: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(code)
