"""Inside a child process: runs the user's verify command with what limits the system gives. Standard library; POSIX.

The command runs in a process of its own; this one stays to end everything that the command leaves behind, also what
has moved into another session, and whatever is left when this one is told to end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from orchestra_mcp.context.trial import confinement

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin", "stdout", "stderr")
"""Of `/dev`, what a command may use."""
PROCESSES = 1024
"""Processes and threads of a command, where they can be counted apart from the user's others."""

_LAST_S = 2.0


def main() -> None:
    """Run the job in the first argument: `command`, `hidden`, `shown` and `writable` places, `limits`, `report`."""
    job = json.loads(sys.argv[1])
    confinement.die_with_parent()
    confinement.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: _leave(143))
    me = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _become(job, me)
        finally:
            os._exit(126)
    _, status = os.waitpid(child, 0)
    _leave(os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _leave(code: int) -> NoReturn:
    """End everything that is left, then this process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    until = time.monotonic() + _LAST_S
    while (left := _descendants()) and time.monotonic() < until:
        for one in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    os._exit(code)


def _descendants() -> list[int]:
    """Everybody who stems from this process, those in other sessions too; empty where there is no `/proc`."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208  (no pathlib: it is slow to import)
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found, grown = {os.getpid()}, True
    while grown:
        more = {one for one, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return sorted(found - {os.getpid()})


def _become(job: dict[str, Any], parent: int) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    apart = confinement.leave_network()
    confinement.die_with_parent(parent)
    network = apart or confinement.restrict_sockets()
    confinement.limit(job["limits"] | ({"RLIMIT_NPROC": PROCESSES} if apart else {}))
    report = os.open(job["report"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    rules = [(path, confinement.RUN) for path in (*open_but("/", job["hidden"]), *job["shown"])]
    rules += [(f"/dev/{name}", confinement.WRITE & ~confinement._EXECUTE) for name in DEVICES]
    rules += [(path, confinement.WRITE) for path in job["writable"]]
    confinement.drop_privileges()
    files = confinement.restrict_files(rules)
    os.write(report, json.dumps({"network": network, "files": files, "local": apart}).encode())
    os.close(report)
    os.execvp(job["command"][0], job["command"])


def open_but(top: str, hidden: Iterable[str]) -> Iterator[str]:
    """The largest places below `top` that contain none of the hidden ones. Links are passed over: their targets count."""
    inside = [path for path in hidden if path == top or path.startswith(top.rstrip("/") + "/")]
    if not inside:
        yield top
    elif top not in inside:
        with suppress(OSError), os.scandir(top) as entries:
            for entry in entries:
                if not entry.is_symlink():
                    yield from open_but(entry.path, inside)
