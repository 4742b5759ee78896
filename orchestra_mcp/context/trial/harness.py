"""Inside a child process: runs one program on its probes. Standard library only; POSIX.

The job comes as one JSON object on standard input, the answers go as JSON lines to standard output. For each probe a
process is forked that gives up its rights, loads the program and does what the probe says; so every probe finds a
fresh program, and none can touch the outcome of another. The program's own standard output is another pipe. What a
probe's process reports counts only with a tag that it was given after the fork, and with all of it: a program that
ends its process early has not answered, whatever it wrote.
"""

from __future__ import annotations

import ast
import builtins
import gc
import io
import json
import linecache
import os
import random
import select
import signal
import sys
import sysconfig
import time
import types
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

from orchestra_mcp.context.trial import confinement
from orchestra_mcp.context.trial.canonical import MAX_RESULT, canonical, complaint, exception, printed, shortened

PRELUDE = """
from typing import *
import bisect, collections, copy, datetime, functools, heapq, itertools, math, operator, os, random, re, string, sys, typing
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cache, cmp_to_key, lru_cache, reduce
from heapq import heapify, heappop, heappush
from itertools import accumulate, chain, combinations, permutations, product
from math import ceil, floor, gcd, inf, sqrt
"""
"""What the starters of contest sites take for granted; a program's own imports come after it and win."""

CPU_S = 2
"""Processor seconds of one probe."""
WALL_S = 5.0
"""Seconds of one probe; more, since the machine may be busy with other things."""
TOTAL_S = 20.0
"""Seconds of all probes of a program together; those that do not get their turn are `TIMEOUT`."""
MEMORY = 1 << 30
MAX_BYTES = 4_000_000
"""Bytes of standard output, after which a program is ended."""
FILE = "<program>"
_PRELUDE = compile(PRELUDE, "<prelude>", "exec")

_LIMITS = {
    "RLIMIT_CPU": CPU_S, "RLIMIT_AS": MEMORY, "RLIMIT_FSIZE": 16_000_000, "RLIMIT_NOFILE": 64, "RLIMIT_CORE": 0,
}  # fmt: skip
_LOADED, _RESULT, _NOT_LOADED, _OPEN = "loaded", "result", "not loaded", "open"


def main() -> None:
    """Run the job on standard input, and say what became of it."""
    confinement.die_with_parent()
    job = json.load(sys.stdin)
    for name in [name for name in sys.modules if name.partition(".")[0] == "orchestra_mcp"]:
        del sys.modules[name]
    exec(_PRELUDE, {})
    _readable()
    gc.freeze()
    until = time.monotonic() + TOTAL_S
    for number, probe in enumerate(job["probes"]):
        place = os.path.join(job["directory"], str(number + job["first"]))  # noqa: PTH118  (no pathlib: it is slow to import)
        os.mkdir(place)  # noqa: PTH102
        answer = _run(job["code"], probe, place, until)
        _say(answer)
        if "outcome" not in answer:
            return


def _say(answer: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


# ------------------------------------------------------------------------------------------------ the watching process


def _run(code: str, probe: dict[str, str], place: str, until: float) -> dict[str, str]:
    """The outcome of one probe, or (`load`, `open`) why there are none."""
    left = min(WALL_S, until - time.monotonic())
    if left <= 0:
        return {"outcome": "TIMEOUT"}
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
            _become(code, probe, place, tag, (source, print_out, result_out))
        finally:
            os._exit(70)
    for end in (source, result_out, print_out):
        os.close(end)
    try:
        said, output, late = _listen(result_in, print_in, time.monotonic() + left)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        os.close(result_in)
        os.close(print_in)
    # Ended by the kernel, whose count is a little ahead of what it reports.
    late = late or (os.WIFSIGNALED(status) and used.ru_utime + used.ru_stime >= 0.9 * CPU_S)
    return _judge(dict(_frames(said, tag)), output, late, status, probe["kind"])


def _listen(result_in: int, print_in: int, until: float) -> tuple[bytes, bytes, bool]:
    """What came through both pipes until they were closed, it was too much, or too late (then the last is True)."""
    got = {result_in: bytearray(), print_in: bytearray()}
    open_ = {result_in, print_in}
    while open_:
        left = until - time.monotonic()
        ready = select.select(list(open_), (), (), left)[0] if left > 0 else []
        if not ready:
            return bytes(got[result_in]), bytes(got[print_in]), True
        for end in ready:
            data = os.read(end, 1 << 16)
            got[end] += data
            if not data:
                open_.discard(end)
            if len(got[end]) > MAX_BYTES:
                return bytes(got[result_in]), bytes(got[print_in]), False
    return bytes(got[result_in]), bytes(got[print_in]), False


def _frames(said: bytes, tag: str) -> Iterator[tuple[str, str]]:
    for line in said.decode("utf-8", "replace").split("\n"):
        mark, _, rest = line.partition(" ")
        if mark == tag:
            with suppress(ValueError):
                name, text = json.loads(rest)
                yield name, text


def _judge(said: dict[str, str], output: bytes, late: bool, status: int, kind: str) -> dict[str, str]:
    if _OPEN in said:
        return {"open": said[_OPEN]}
    if _NOT_LOADED in said:
        return {"load": said[_NOT_LOADED]}
    if len(output) > MAX_BYTES:
        return {"outcome": "TOO MUCH OUTPUT"}
    if late and _RESULT not in said:
        return {"outcome": "TIMEOUT"} if _LOADED in said else {"load": "it did not finish loading in time"}
    text = output.decode("utf-8", "replace")
    if _RESULT in said:
        outcome = said[_RESULT]
        return {"outcome": printed(text) if kind == "stdin" and not outcome else outcome}
    if _LOADED not in said:
        return {"load": "it ended the process while it was loaded"}
    return {"outcome": "EXC:Killed" if os.WIFSIGNALED(status) else "EXC:Exit"}


# ------------------------------------------------------------------------------------------- the process of one probe


def _become(code: str, probe: dict[str, str], place: str, tag: str, ends: tuple[int, int, int]) -> NoReturn:
    """Give up all rights, run, report. Never returns."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    source, print_out, result_out = ends
    os.dup2(source, 0)
    os.dup2(print_out if probe["kind"] == "stdin" else os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    report = os.dup(result_out)
    os.dup2(report, 63)
    os.closerange(3, 63)
    os.closerange(64, 256)

    def say(name: str, text: str = "") -> None:
        data = f"\n{tag} {json.dumps((name, text))}\n".encode()
        while data:
            data = data[os.write(63, data) :]

    os.chdir(place)
    if not _give_up(place):
        say(_OPEN, _missing())
        os._exit(0)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), "utf-8", "replace")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "replace", write_through=False
    )
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "replace")
    sys.argv[:] = ["program.py"]
    builtins.__dict__.update(exit=sys.exit, quit=sys.exit)  # which `site` would bring along
    random.seed(0)
    if probe["kind"] == "stdin":
        _as_script(code, say)
    else:
        _as_module(code, probe["text"], say)
    os._exit(0)


_HOLDS: dict[str, bool] = {}


@cache
def _readable() -> tuple[str, ...]:
    """The standard library, and what the interpreter's own binaries are linked with."""
    paths = sysconfig.get_paths()
    libraries = {paths["stdlib"], paths["platstdlib"], *(entry for entry in sys.path if entry.endswith("lib-dynload"))}
    return (*sorted(libraries), "/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime",
            "/etc/ld.so.cache", "/dev/urandom", "/dev/zero")  # fmt: skip


def _give_up(place: str) -> bool:
    """Everything but the standard library and a directory of one's own. False when anything of it does not hold."""
    confinement.limit(_LIMITS)
    rules = [(path, confinement.READ) for path in _readable()]
    rules += [(place, confinement.WRITE & ~1), (os.devnull, confinement.READ | 2)]
    _HOLDS["privileges"] = confinement.drop_privileges()
    _HOLDS["files"] = confinement.restrict_files(rules)
    _HOLDS["network"] = confinement.restrict_calls()
    return all(_HOLDS.values())


def _missing() -> str:
    return " and ".join(name for name, holds in _HOLDS.items() if not holds)


def _as_script(code: str, say: Any) -> None:
    module = _module("__main__")
    outcome = ""
    try:
        program = compile(code, FILE, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        say(_NOT_LOADED, complaint(error))
        return
    say(_LOADED)
    try:
        exec(program, module.__dict__)
    except SystemExit as error:
        outcome = "" if error.code in (None, 0) else exception(error)
    except ImportError as error:
        say(_NOT_LOADED, _import_note(error))
        return
    except BaseException as error:  # noqa: BLE001  (whatever the program raises is its outcome)
        outcome = exception(error)
    with suppress(BaseException):
        sys.stdout.flush()
    say(_RESULT, outcome)


def _as_module(code: str, statements: str, say: Any) -> None:
    module = _module("program")
    try:
        exec(compile(code, FILE, "exec"), module.__dict__)
    except SystemExit:
        pass  # a script without a guard: what it has defined so far can be called
    except ImportError as error:
        say(_NOT_LOADED, _import_note(error))
        return
    except BaseException as error:  # noqa: BLE001
        say(_NOT_LOADED, complaint(error))
        return
    say(_LOADED)
    said = _Printed()
    sys.stdout = said
    random.seed(0)
    try:
        value = _evaluate(statements, module.__dict__)
        outcome = printed(said.text) if value is None and said.text else shortened(canonical(value), MAX_RESULT)
        outcome = shortened(outcome, MAX_RESULT)
    except BaseException as error:  # noqa: BLE001
        outcome = exception(error)
    say(_RESULT, outcome)


def _evaluate(statements: str, namespace: dict[str, Any]) -> object:
    """Run all statements, and give the value of the last one, which is an expression (else there is none)."""
    tree = ast.parse(statements.strip(), "<probe>")
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "<probe>", "exec"), namespace)
        return None
    tree.body.pop()
    exec(compile(tree, "<probe>", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "<probe>", "eval"), namespace)


def _module(name: str) -> types.ModuleType:
    """A fresh module with the prelude in it, known to `sys.modules` as dataclasses and pickle want it."""
    module = types.ModuleType(name)
    exec(_PRELUDE, module.__dict__)
    sys.modules[name] = module
    module.__dict__.update(__builtins__=builtins, __file__=FILE)
    linecache.clearcache()
    return module


def _import_note(error: ImportError) -> str:
    """`needs numpy` for a package that is not here; the message of any other failed import."""
    top = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and top and top not in sys.stdlib_module_names:
        return f"needs {top}"[:MAX_RESULT]
    return complaint(error)


class _Printed(io.StringIO):
    """What a probe printed, up to a limit."""

    @property
    def text(self) -> str:
        return self.getvalue()

    def write(self, text: str) -> int:
        if self.tell() < MAX_BYTES:
            super().write(text)
        return len(text)
