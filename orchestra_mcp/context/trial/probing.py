"""Inside a child process: the process of one probe. It gives up its rights, loads the program, does what the probe says.

Standard library only; POSIX. `harness` forks it and watches it.
"""

from __future__ import annotations

import ast
import builtins
import io
import json
import linecache
import os
import random
import signal
import sys
import sysconfig
import types
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
MEMORY = 1 << 30
MAX_FILE = 1_000_000
"""Bytes of a file that a program writes."""
MAX_BYTES = 4_000_000
"""Characters that a probe prints and bytes of standard output; after the latter a program is ended."""
FILE = "<program>"
RIGHTS = ("privileges", "files", "network")
"""What a process of a program gives up."""
LOADED, RESULT, NOT_LOADED = "loaded", "result", "not loaded"
"""What it reports."""

_PRELUDE = compile(PRELUDE, "<prelude>", "exec")
_LIMITS = {
    "RLIMIT_CPU": CPU_S, "RLIMIT_AS": MEMORY, "RLIMIT_FSIZE": MAX_FILE, "RLIMIT_NOFILE": 64, "RLIMIT_CORE": 0,
}  # fmt: skip


def warm_up() -> None:
    """Import and look up what every process of a program needs, before they are forked."""
    exec(_PRELUDE, {})
    _readable()


def become(code: str, probe: dict[str, Any], place: str, tag: str, ends: tuple[int, int, int]) -> NoReturn:
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
    if not all(give_up(place).values()):
        os._exit(71)  # held in the self-test, so that something passing is in the way
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


@cache
def _readable() -> tuple[str, ...]:
    """The standard library, and what the interpreter's own binaries are linked with."""
    paths = sysconfig.get_paths()
    libraries = {paths["stdlib"], paths["platstdlib"], *(entry for entry in sys.path if entry.endswith("lib-dynload"))}
    return (*sorted(libraries), "/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime",
            "/etc/ld.so.cache", "/dev/urandom", "/dev/zero")  # fmt: skip


def give_up(place: str) -> dict[str, bool]:
    """Everything but the standard library and a directory of one's own. Says of each of `RIGHTS` whether it is given up."""
    confinement.limit(_LIMITS)
    rules = [(path, confinement.READ) for path in _readable()]
    rules += [(place, confinement.KEEP), (os.devnull, confinement.READ | 2)]
    gone = confinement.drop_privileges(), confinement.restrict_files(rules), confinement.restrict_calls()
    return dict(zip(RIGHTS, gone, strict=True))


def _as_script(code: str, say: Any) -> None:
    module = _module("__main__")
    outcome = ""
    try:
        program = compile(code, FILE, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        say(NOT_LOADED, complaint(error))
        return
    say(LOADED)
    try:
        exec(program, module.__dict__)
    except SystemExit as error:
        outcome = "" if error.code in (None, 0) else exception(error)
    except ImportError as error:
        say(NOT_LOADED, _import_note(error))
        return
    except BaseException as error:  # noqa: BLE001  (whatever the program raises is its outcome)
        outcome = exception(error)
    with suppress(BaseException):
        sys.stdout.flush()
    say(RESULT, outcome)


def _as_module(code: str, statements: str, say: Any) -> None:
    module = _module("program")
    try:
        exec(compile(code, FILE, "exec"), module.__dict__)
    except SystemExit:
        pass  # a script without a guard: what it has defined so far can be called
    except ImportError as error:
        say(NOT_LOADED, _import_note(error))
        return
    except BaseException as error:  # noqa: BLE001
        say(NOT_LOADED, complaint(error))
        return
    say(LOADED)
    said = _Printed()
    sys.stdout = said
    random.seed(0)
    try:
        value = _evaluate(statements, module.__dict__)
        outcome = printed(said.text) if value is None and said.text else shortened(canonical(value), MAX_RESULT)
        outcome = shortened(outcome, MAX_RESULT)
    except BaseException as error:  # noqa: BLE001
        outcome = exception(error)
    say(RESULT, outcome)


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
