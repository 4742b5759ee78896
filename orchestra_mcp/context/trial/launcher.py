"""Inside a child process: runs the user's verify command with what limits the system gives. Standard library; POSIX.

The command runs in namespaces of its own where the system gives them (`namespaces`), which end with their first
process. This one stays outside to count, and to end everything that the command leaves behind, also what has moved into
another session, and whatever is left when this one is told to end.
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

from orchestra_mcp.context.trial import confinement, namespaces

DEVICES = ("null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr")
"""Of `/dev`, what a command may use. No terminals: they are the user's."""
PROCESSES = 1024
"""Processes of a command; above that it is ended."""
TOO_MANY = 99
"""The exit code that says so; the report says it too, as the command may end like that by itself."""

_LAST_S = 2.0
_TICK_S = 0.02
_COUNT_EVERY = 10


def main() -> None:
    """Run the job in the first argument: `command`, `hidden`, `shown` and `writable` places, `limits`, `report`."""
    job = json.loads(sys.argv[1])
    confinement.die_with_parent()
    confinement.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: _leave(143))
    me = os.getpid()
    report = os.open(job["report"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    alone = namespaces.can_be_alone(job["writable"])
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if alone:
                _alone(job, me, report)
            _become(job, namespaces.leave(everything=False), False, me, report)
        finally:
            os._exit(126)
    _leave(_watch(child, report))


def _watch(child: int, report: int) -> int:
    """Wait for the command, and count what it starts: root is bound by no limit of the system's."""
    tick = 0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _code(status)
        tick += 1
        if tick % _COUNT_EVERY == 0 and len(_descendants()) > PROCESSES:
            os.ftruncate(report, 0)
            os.pwrite(report, json.dumps({"too_many": True}).encode(), 0)
            return TOO_MANY
        time.sleep(_TICK_S)


def _code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _alone(job: dict[str, Any], parent: int, report: int) -> NoReturn:
    """Move into namespaces of one's own; their first process stays to bury the others, and with it all of them end."""
    sockets = namespaces.listening()
    if not namespaces.leave(everything=True):
        os._exit(126)
    confinement.die_with_parent(parent, signal.SIGKILL)
    first = os.fork()
    if first:
        os._exit(_code(os.waitpid(first, 0)[1]))
    confinement.die_with_parent(0, signal.SIGKILL)
    if not namespaces.shut_mounts(job["writable"], sockets):
        os._exit(126)
    os.chdir(job["directory"])  # the same place once more, by the mount that can be written to
    child = os.fork()
    if child == 0:
        try:
            _become(job, True, True, 0, report)
        finally:
            os._exit(126)
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(_code(status))


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


def _become(job: dict[str, Any], apart: bool, alone: bool, parent: int, report: int) -> NoReturn:
    """Give up rights, say which, and become the command.

    Args:
        apart: the network is one's own.
        alone: mounts and processes too.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    confinement.die_with_parent(parent, signal.SIGKILL)
    network = confinement.restrict_sockets(apart) or apart
    confinement.limit(job["limits"] | ({"RLIMIT_NPROC": PROCESSES} if apart else {}))
    rules = [(path, confinement.RUN) for path in (*open_but("/", job["hidden"]), *job["shown"])]
    rules += [(f"/dev/{name}", confinement.DEVICE) for name in DEVICES]
    rules += [("/dev/shm", confinement.DEVICE)] if alone else []
    rules += [(path, confinement.WRITE) for path in job["writable"]]
    confinement.drop_privileges()
    files = confinement.restrict_files(rules)
    held = {"network": network, "files": files, "local": apart, "alone": alone}
    os.write(report, json.dumps(held).encode())
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
