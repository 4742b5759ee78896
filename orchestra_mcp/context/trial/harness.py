"""Inside a child process: runs one program on its probes. Standard library only; POSIX.

The first line on standard output says what of the shutting in holds, tried before the job is read: nothing that a
program does can change that. The job comes as one JSON object on standard input, the answers go as JSON lines to
standard output. For each probe a process is forked that gives up its rights, loads the program and does what the probe
says (`probing`); so every probe finds a fresh program, and none can touch the outcome of another. The program's own standard
output is another pipe. What a probe's process reports counts only with a tag that it was given after the fork, and with
all of it: a program that ends its process early has not answered, whatever it wrote. Python hides nothing from a
program in its own process, so that a program can still lie about its own outcome, as it can by returning it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from orchestra_mcp.context.trial import confinement, probing
from orchestra_mcp.context.trial.canonical import MAX_RESULT, printed, shortened

WALL_S = 5.0
"""Seconds of one probe; more than of processor time, since the machine may be busy with other things."""
TOTAL_S = 20.0
"""Seconds of all probes of a program together; those that do not get their turn are `TIMEOUT`."""
MAX_FILES = 100
"""Files that a program may have at a time, with `MAX_WRITTEN` bytes together; looked at every `_LOOK_S` seconds."""
MAX_WRITTEN = 16_000_000
MAX_THREADS = 200

_LOOK_S = 0.02
_TIMEOUT, _FLOOD, UNSTABLE = "TIMEOUT", "TOO MUCH OUTPUT", "UNSTABLE"


def main() -> None:
    """Say what holds, run the job on standard input, and say what became of it."""
    confinement.die_with_parent()
    probing.warm_up()
    for name in [name for name in sys.modules if name.partition(".")[0] == "orchestra_mcp"]:
        del sys.modules[name]
    gc.freeze()
    directory = os.getcwd()  # noqa: PTH109  (no pathlib: it is slow to import)
    holds = _self_test(directory)
    _say({"holds": holds})
    if not all(holds.values()):
        return
    job = json.load(sys.stdin)
    until = time.monotonic() + TOTAL_S
    code, waiting, number = job["code"], job.pop("probes"), job["first"]
    while waiting:
        probe = waiting.pop(0)
        place = os.path.join(directory, str(number))  # noqa: PTH118
        answer = _run(code, probe, place, until, waiting)
        if probe["twice"] and answer.get("outcome", _TIMEOUT) != _TIMEOUT and until > time.monotonic():
            again = _run(code, probe, place, until, waiting)
            answer = answer if again in (answer, {"outcome": _TIMEOUT}) else {"outcome": UNSTABLE}
        _say(answer)
        if "outcome" not in answer:
            return
        number += 1


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _self_test(place: str) -> dict[str, bool]:
    """What holds of a process that gives up its rights as those of programs do, by its own word: it runs nothing else."""
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(say, json.dumps(probing.give_up(place)).encode())
        finally:
            os._exit(0)
    os.close(say)
    try:
        text = os.read(said, 1000)
        os.waitpid(child, 0)
        return dict.fromkeys(probing.RIGHTS, False) | (json.loads(text) if text else {})
    finally:
        os.close(said)


# ------------------------------------------------------------------------------------------------ the watching process


def _run(code: str, probe: dict[str, Any], place: str, until: float, waiting: list[Any]) -> dict[str, str]:
    """The outcome of one probe in a directory of its own, or (`load`) why there are none.

    Args:
        waiting: the other probes, of which the new process must know nothing.
    """
    left = min(WALL_S, until - time.monotonic())
    if left <= 0:
        return {"outcome": _TIMEOUT}
    os.mkdir(place, 0o700)  # noqa: PTH102
    try:
        return _watched(code, probe, place, time.monotonic() + left, waiting)
    finally:
        _clear(place)


def _clear(place: str) -> None:
    """Remove a program's directory; it can make nothing but plain files in it."""
    with suppress(OSError):
        with os.scandir(place) as entries:
            for entry in entries:
                with suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108
        os.rmdir(place)  # noqa: PTH106


def _watched(code: str, probe: dict[str, Any], place: str, until: float, waiting: list[Any]) -> dict[str, str]:
    typed = os.path.join(place, ".stdin")  # noqa: PTH118
    with open(typed, "w", encoding="utf-8", errors="replace", newline="") as file:  # noqa: PTH123
        file.write(probe["text"] if probe["kind"] == "stdin" else "")
    source = os.open(typed, os.O_RDONLY)
    os.unlink(typed)  # noqa: PTH108
    result_in, result_out = os.pipe()
    print_in, print_out = os.pipe()
    tag = os.urandom(16).hex()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            confinement.die_with_parent(me, signal.SIGKILL)
            waiting.clear()
            probing.become(code, probe, place, tag, (source, print_out, result_out))
        finally:
            os._exit(70)
    before = signal.signal(signal.SIGTERM, lambda *_: _end_with(child))
    for end in (source, result_out, print_out):
        os.close(end)
    try:
        said, output, why = _listen(result_in, print_in, until, lambda: _too_much(place, child))
    finally:
        _kill(child)
        _, status, used = os.wait4(child, 0)
        signal.signal(signal.SIGTERM, before)
        os.close(result_in)
        os.close(print_in)
    # Ended by the kernel, whose count is a little ahead of what it reports.
    spent = used.ru_utime + used.ru_stime >= 0.9 * probing.CPU_S
    if not why and os.WIFSIGNALED(status) and (spent or os.WTERMSIG(status) == signal.SIGXCPU):
        why = _TIMEOUT
    return _judge(_frames(said, tag), output, why, status, probe["kind"])


def _kill(child: int) -> None:
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            end(child, signal.SIGKILL)


def _end_with(child: int) -> NoReturn:
    _kill(child)
    os._exit(143)


def _too_much(place: str, child: int) -> bool:
    """Does a program hold more files, bytes or threads than it may?"""
    number, size = 0, 0
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            number += 1
            with suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            if number > MAX_FILES or size > MAX_WRITTEN:
                return True
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{child}/stat", "rb") as file:  # noqa: PTH123
        return int(file.read().rpartition(b")")[2].split()[17]) > MAX_THREADS
    return False


def _listen(result_in: int, print_in: int, until: float, too_much: Callable[[], bool]) -> tuple[bytes, bytes, str]:
    """What came through both pipes until they were closed, or (the last) the outcome of a program that must be ended."""
    got = {result_in: bytearray(), print_in: bytearray()}
    open_, why = {result_in, print_in}, ""
    look = time.monotonic() + _LOOK_S
    while open_ and not why:
        now = time.monotonic()
        if now >= look:
            why = _FLOOD if too_much() else ""
            look = now + _LOOK_S
        if now >= until:
            why = why or _TIMEOUT
            break
        for end in select.select(list(open_), (), (), max(0.0, min(until, look) - now))[0]:
            data = os.read(end, 1 << 16)
            got[end] += data
            if not data:
                open_.discard(end)
            if len(got[end]) > probing.MAX_BYTES:
                why = _FLOOD
    return bytes(got[result_in]), bytes(got[print_in]), why


def _frames(said: bytes, tag: str) -> dict[str, str]:
    """What was reported, by its name. What is not a pair of texts was not written by us."""
    found = dict[str, str]()
    for line in said.decode("utf-8", "replace").split("\n"):
        mark, _, rest = line.partition(" ")
        if mark == tag:
            with suppress(ValueError, RecursionError):
                pair = json.loads(rest)
                if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
                    found[pair[0]] = pair[1]
    return found


def _judge(said: dict[str, str], output: bytes, why: str, status: int, kind: str) -> dict[str, str]:
    if probing.NOT_LOADED in said:
        return {"load": said[probing.NOT_LOADED][:MAX_RESULT]}
    if why == _FLOOD:
        return {"outcome": _FLOOD}
    if why and probing.RESULT not in said:
        return {"outcome": why} if probing.LOADED in said else {"load": "it did not finish loading in time"}
    text = output.decode("utf-8", "replace")
    if probing.RESULT in said:
        outcome = shortened(said[probing.RESULT], MAX_RESULT)
        return {"outcome": printed(text) if kind == "stdin" and not outcome else outcome}
    if probing.LOADED not in said:
        return {"load": "it ended the process while it was loaded"}
    return {"outcome": "EXC:Killed" if os.WIFSIGNALED(status) else "EXC:Exit"}
