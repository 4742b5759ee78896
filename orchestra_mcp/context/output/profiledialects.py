"""How profilers print, as data: one entry of `DIALECTS` for each, with a header that nothing else has. Pure.

Binary files (`pstats` dumps, `perf.data`, pprof, JFR) are not read: `marshal` may crash on hostile data, the others
need the profiler itself. `profiles.how_to_print` names the command that makes text of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestra_mcp.context.environment.dependencies import table
from orchestra_mcp.context.output import planprofiles
from orchestra_mcp.context.output.hotspots import Hotspot, Profile, Stack, from_stacks, ordered

Reader = Callable[[str], Profile | None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to print a profile."""

    name: str
    detect: re.Pattern[str]
    """Searched in the whole text; for the sake of speed it starts at a line's beginning or at rare characters."""
    read: Reader


def _p(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


def _number(text: str) -> float:
    try:
        return float(text[:30].replace(",", ""))
    except ValueError:
        return 0.0


def _count(text: str) -> int:
    return int(text[:15]) if text[:15].isdecimal() else 0


_CPROFILE_HEAD = _p(
    r"^[ \t]*ncalls[ \t]+tottime[ \t]+percall[ \t]+cumtime[ \t]+percall[ \t]+filename:lineno\(function\)"
)
_CPROFILE_ROW = _p(r"^[ \t]*(\d+)(?:/\d+)?[ \t]+([\d.]+)[ \t]+[\d.]+[ \t]+([\d.]+)[ \t]+[\d.]+[ \t]+(\S[^\n]*)$")
_CPROFILE_PLACE = re.compile(r"(?P<path>[^\n]*):(?P<line>\d+)\((?P<function>[^\n]*)\)")


def _cprofile(text: str) -> Profile | None:
    """`python -m cProfile` and `pstats`: calls, own seconds, seconds with callees."""
    spots = []
    for calls, own, total, place in _CPROFILE_ROW.findall(text):
        found = _CPROFILE_PLACE.fullmatch(place.strip())
        function, path, line = (
            (found["function"], found["path"], _count(found["line"])) if found else (place.strip(), "", 0)
        )
        spots.append(Hotspot(function, "" if path == "~" else path, line, _number(own), _number(total), _count(calls)))
    whole = re.search(r"function calls[^\n]{0,80} in ([\d.]+) (?:CPU )?seconds", text)
    return ordered("cProfile", "s", spots, _number(whole[1]) if whole else 0.0)


_DURATIONS = _p(r"^=+ slowest (?:\d+ )?(?:test )?durations =+$")
_DURATION_ROW = _p(r"^([\d.]+)s (call|setup|teardown)[ \t]+(\S[^\n]*)$")


def _pytest(text: str) -> Profile | None:
    """`pytest --durations`."""
    spots = []
    for seconds, phase, test in _DURATION_ROW.findall(text):
        path, _, name = test.strip().partition("::")
        cost = _number(seconds)
        spots.append(Hotspot(name or path, path, 0, cost, cost, 0, note="" if phase == "call" else phase))
    return ordered("pytest durations", "s", spots)


_RSPEC = _p(r"^Top \d+ slowest examples \(")
_RSPEC_ROW = _p(r"^[ \t]+(\S[^\n]{0,300})\n[ \t]+([\d.]+) seconds (\S+?):(\d+)$")


def _rspec(text: str) -> Profile | None:
    """`rspec --profile`."""
    rows = _RSPEC_ROW.findall(text)
    spots = (Hotspot(name, path, _count(line), _number(cost), _number(cost)) for name, cost, path, line in rows)
    return ordered("RSpec profile", "s", spots)


_LINES_HEAD = _p(r"^Line #[ \t]+Hits[ \t]+Time[ \t]+Per Hit[ \t]+% Time[ \t]+Line Contents")
_LINES_ROW = re.compile(r"[ \t]*(\d+)[ \t]+([\d.e+]+)[ \t]+([\d.e+]+)[ \t]+[\d.e+]+[ \t]+([\d.]+)[ \t]*(.*)")


def _line_profiler(text: str) -> Profile | None:
    """`line_profiler`: one hotspot for each line."""
    unit = re.search(r"Timer unit: ([\d.e+-]{1,20}) s", text)
    scale = _number(unit[1]) if unit else 1e-6
    path = function = ""
    spots = []
    for line in text.split("\n"):
        if line.startswith("File: "):
            path = line[6:].strip()
        elif line.startswith("Function: "):
            function = line[10:].rpartition(" at line ")[0].strip()
        elif path and (row := _LINES_ROW.fullmatch(line)):
            cost = _number(row[3]) * scale
            spots.append(Hotspot(function, path, _count(row[1]), cost, cost, int(_number(row[2])), note=row[5].strip()))
    return ordered("line_profiler", "s", spots)


_IMPORT_TIME = _p(r"^import time:[ \t]+(\d+) \|[ \t]+(\d+) \| ( *)(\S+)$")


def _import_time(text: str) -> Profile | None:
    """`python -X importtime`: microseconds."""
    rows = _IMPORT_TIME.findall(text)
    spots = (Hotspot(f"import {n}", "", 0, _number(own) / 1e6, _number(total) / 1e6) for own, total, _, n in rows)
    return ordered("import times", "s", spots)


_DUMP_THREAD = _p(r"^Thread (?:0x)?[0-9A-Fa-f]+ \((\w+)[^)\n]*\)(?:: \"[^\"\n]*\")?")
_DUMP_FRAME = re.compile(r" {4}\S[^\n]{0,500} \([^()\n]{1,500}:\d+\)")


def _spy_dump(text: str) -> Profile | None:
    """`py-spy dump`: where each thread is now; idle threads count little."""
    stacks: list[tuple[list[str], float]] = []
    for line in text.split("\n"):
        if found := _DUMP_THREAD.match(line):
            stacks.append(([], 0.01 if found[1] == "idle" else 1.0))
        elif stacks and _DUMP_FRAME.fullmatch(line.rstrip()):
            stacks[-1][0].insert(0, line.strip())
    return from_stacks("py-spy dump", "threads", stacks)


_FOLDED = re.compile(r"\S[^\n]*;[^\n]*[^\s;] \d{1,15}")


def _folded(text: str) -> Profile | None:
    """Collapsed stacks (py-spy, stackcollapse, async-profiler): `a;b;c 12`; only where nearly every line is one."""
    lines = [
        line for raw in text.split("\n") if (line := raw.strip()) and not line.isdecimal()
    ]  # samples without a stack
    stacks: list[Stack] = []
    for line in lines:
        if len(line) < 20_000 and _FOLDED.fullmatch(line):
            names, _, weight = line.rpartition(" ")
            stacks.append(([part.strip() for part in names.split(";") if part.strip()], _number(weight)))
    roots = {frames[0] for frames, _ in stacks if frames}
    if len(stacks) < 3 or len(stacks) < 0.8 * len(lines) or len(roots) > max(2, len(stacks) // 2):
        return None
    return from_stacks("collapsed stacks", "samples", stacks)


_PERF_HEAD = _p(r"^# (?:Overhead|Children)[ \t]+(?:Self[ \t]+)?(?:Command[ \t]+)?(?:Shared Object[ \t]+)?Symbol")
_PERF_ROW = _p(r"^[ \t]*([\d.]+)%[ \t]+(?:([\d.]+)%[ \t]+)?(?:(\S+)[ \t]+)?(\S+)[ \t]+\[[.kgu]\][ \t](\S[^\n]*)$")


def _perf_report(text: str) -> Profile | None:
    """`perf report --stdio`: percent of samples; with call graphs the first column is the total, the second the own."""
    spots = []
    for first, second, _, place, symbol in _PERF_ROW.findall(text):
        own = _number(second or first)
        spots.append(Hotspot(symbol.strip(), place, 0, own, _number(first), share=own / 100))
    return ordered("perf report", "%", spots, 100.0)


_SCRIPT_HEAD = re.compile(
    r"\S[^\n]{0,100}?[ \t]+\d+(?:/\d+)?[ \t]+(?:\[\d+\][ \t]+)?\d+\.\d+:[ \t]+(?:\d+[ \t]+)?[\w:./-]+:?[ \t]*"
)
_SCRIPT_FRAME = re.compile(r"[ \t]+[0-9a-f]{1,16} (\S[^\n]*?)(?:\+0x[0-9a-f]+)? \(([^()\n]*)\)[ \t]*")
_SCRIPT = _p(
    r"^\S[^\n]{0,100}?[ \t]\d+\.\d+:[ \t]+(?:\d+ )?[\w:./-]+:?[ \t]*\n[ \t]+[0-9a-f]{1,16} \S[^\n]* \([^()\n]*\)[ \t]*$"
)


def _perf_script(text: str) -> Profile | None:
    """`perf script`: one block per sample, the innermost frame first."""

    def stacks() -> Iterator[Stack]:
        frames: list[str] = []
        for line in (*text.split("\n"), ""):
            if found := _SCRIPT_FRAME.fullmatch(line[:1500]):
                place = found[2].rpartition("/")[2]
                frames.append(f"{found[1]} [{place}]" if found[1] == "[unknown]" else found[1])
            elif frames and (not line.strip() or _SCRIPT_HEAD.fullmatch(line[:400])):
                yield frames[::-1], 1.0
                frames = []

    return from_stacks("perf script", "samples", stacks())


_PPROF_HEAD = _p(r"^[ \t]*flat[ \t]+flat%[ \t]+sum%[ \t]+cum[ \t]+cum%")
_PPROF_ROW = _p(
    r"^[ \t]*([\d.]+)([a-zA-Zµ]{0,5})[ \t]+([\d.]+)%[ \t]+[\d.]+%[ \t]+([\d.]+)([a-zA-Zµ]{0,5})[ \t]+[\d.]+%[ \t]+(\S[^\n]*)$"
)
_SCALE = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "mins": 60.0, "hrs": 3600.0,
          "B": 1.0, "kB": 1024.0, "KB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3}  # fmt: skip


def _pprof(text: str) -> Profile | None:
    """`go tool pprof -top`: seconds, bytes or counts."""
    spots, units = [], set()
    for own, unit, share, total, total_unit, name in _PPROF_ROW.findall(text):
        units |= {unit, total_unit}
        place = re.fullmatch(r"(\S+)[ \t]+(/\S+|\S+\.\w+):(\d+)(?:[ \t]+\(inline\))?", name.strip())
        function, path, line = (place[1], place[2], _count(place[3])) if place else (name.strip(), "", 0)
        own_cost, cost = _number(own) * _SCALE.get(unit, 1.0), _number(total) * _SCALE.get(total_unit, 1.0)
        spots.append(
            Hotspot(function.removesuffix(" (inline)"), path, line, own_cost, cost, share=_number(share) / 100)
        )
    kind = "bytes" if any(u.endswith("B") for u in units) else "s" if any(u.endswith("s") for u in units) else "samples"
    return ordered("pprof", kind, spots)


_TICKS_HEAD = _p(r"^Statistical profiling result from ")
_TICKS_ROW = re.compile(r"[ \t]+(\d+)[ \t]+([\d.]+)%[ \t]+(?:[\d.]+%)?[ \t]*(\S[^\n]*)")
_TICKS_JS = re.compile(r"(?:JS|RegExp|LazyCompile|Function|Script|Eval): [*~^+]?(\S*)(?:[ \t]+(\S[^\n]*?):(\d+):\d+)?")


def _node_ticks(text: str) -> Profile | None:
    """`node --prof-process`: ticks by function; the sections after `[Summary]` repeat them."""
    spots = []
    for line in text.partition(" [Summary]:")[0].split("\n"):
        if row := _TICKS_ROW.fullmatch(line[:1000]):
            place = _TICKS_JS.fullmatch(row[3].strip())
            name, path, at = (place[1], place[2] or "", place[3] or "0") if place else (row[3].strip(), "", "0")
            cost = _number(row[1])
            spots.append(Hotspot(name or "(anonymous)", path, _count(at), cost, cost, share=_number(row[2]) / 100))
    return ordered("node --prof-process", "ticks", spots)


_STACKPROF_HEAD = _p(r"^[ \t]*TOTAL[ \t]+\(pct\)[ \t]+SAMPLES[ \t]+\(pct\)[ \t]+FRAME")
_STACKPROF_ROW = _p(r"^[ \t]*(\d+)[ \t]+\([\d.]+%\)[ \t]+(\d+)[ \t]+\(([\d.]+)%\)[ \t]+(\S[^\n]*)$")


def _stackprof(text: str) -> Profile | None:
    """Ruby's `stackprof --text`."""
    rows = _STACKPROF_ROW.findall(text)
    spots = (
        Hotspot(n.strip(), "", 0, _number(own), _number(total), share=_number(pc) / 100) for total, own, pc, n in rows
    )
    return ordered("stackprof", "samples", spots)


def _speedscope(text: str) -> Profile | None:
    """speedscope's file format: sampled profiles, and evented ones (frames opened and closed in time)."""
    whole = json.loads(text)
    frames = [_speedscope_frame(table(frame)) for frame in whole["shared"]["frames"]]
    profiles = [table(p) for p in whole["profiles"]]
    unit = str(profiles[0].get("unit", "")) if profiles else ""
    scale, shown = {"seconds": (1.0, "s"), "milliseconds": (1e-3, "s"), "microseconds": (1e-6, "s"),
                    "nanoseconds": (1e-9, "s"), "bytes": (1.0, "bytes")}.get(unit, (1.0, "samples"))  # fmt: skip

    def stacks() -> Iterator[Stack]:
        for profile in profiles:
            if profile.get("type") == "sampled":
                weights = profile.get("weights") or [1.0] * len(profile["samples"])
                for sample, weight in zip(profile["samples"], weights, strict=False):
                    yield [frames[index] for index in sample[:500]], float(weight) * scale
            else:
                yield from _events(profile.get("events", []), frames, scale)

    return from_stacks("speedscope", shown, stacks())


def _speedscope_frame(frame: dict[str, Any]) -> str:
    file, line = str(frame.get("file") or ""), frame.get("line") or 0
    return f"{frame.get('name', '?')} ({file}:{line})" if file else str(frame.get("name", "?"))


def _events(events: list[Any], frames: list[str], scale: float) -> Iterator[Stack]:
    opened: list[str] = []
    last = 0.0
    for event in events:
        at = float(event["at"])
        if opened and at > last:
            yield tuple(opened[:500]), (at - last) * scale
        last = at
        if event["type"] == "O":
            opened.append(frames[event["frame"]])
        elif opened:
            opened.pop()


def _cpuprofile(text: str) -> Profile | None:
    """V8's `.cpuprofile`: a tree of nodes, the node of each sample and the microseconds since the one before."""
    whole = json.loads(text)
    nodes = {node["id"]: node for node in whole["nodes"]}
    parent = {child: node["id"] for node in whole["nodes"] for child in node.get("children", [])}
    parent |= {node["id"]: node["parent"] for node in whole["nodes"] if "parent" in node}
    cost: dict[Any, float] = {}
    for sample, delta in zip(whole["samples"], whole.get("timeDeltas") or [1e6] * len(whole["samples"]), strict=False):
        cost[sample] = cost.get(sample, 0.0) + max(0.0, float(delta)) / 1e6

    def stacks() -> Iterator[Stack]:
        for sample, weight in cost.items():
            names: list[str] = []
            at: Any = sample
            while at in nodes and len(names) < 500:
                name = _v8_name(nodes[at]["callFrame"])
                if name != "(idle)" and name != "(root)":
                    names.append(name)
                at = parent.get(at)
            yield names[::-1], weight

    return from_stacks("V8 CPU profile", "s", stacks())


def _v8_name(frame: dict[str, Any]) -> str:
    name, url = frame.get("functionName") or "(anonymous)", frame.get("url") or ""
    plain = url.removeprefix("file://").replace("(", "[").replace(")", "]")
    return f"{name} ({plain}:{int(frame.get('lineNumber', -1)) + 1})" if url else str(name)


DIALECTS: tuple[Dialect, ...] = (
    Dialect("cProfile", _CPROFILE_HEAD, _cprofile),
    Dialect("pytest durations", _DURATIONS, _pytest),
    Dialect("RSpec profile", _RSPEC, _rspec),
    Dialect("line_profiler", _LINES_HEAD, _line_profiler),
    Dialect("import times", _IMPORT_TIME, _import_time),
    Dialect("py-spy dump", _p(r"^Process \d+: [^\n]*\n(?:[^\n]*\n){0,3}?(?:\n)?Thread "), _spy_dump),
    Dialect("perf report", _PERF_HEAD, _perf_report),
    Dialect("perf script", _SCRIPT, _perf_script),
    Dialect("pprof", _PPROF_HEAD, _pprof),
    Dialect("node --prof-process", _TICKS_HEAD, _node_ticks),
    Dialect("stackprof", _STACKPROF_HEAD, _stackprof),
    Dialect("speedscope", re.compile(r"\A\s*\{[\s\S]*\"(?:frames|\$schema)\"\s*:"), _speedscope),
    Dialect("V8 CPU profile", re.compile(r"\A\s*\{\s*\"(?:nodes|head|startTime|endTime)\"\s*:"), _cpuprofile),
    Dialect("PostgreSQL plan", planprofiles.POSTGRES, planprofiles.postgres),
    Dialect("PostgreSQL plan", planprofiles.POSTGRES_JSON, planprofiles.postgres_json),
    Dialect("MySQL plan", planprofiles.MYSQL, planprofiles.mysql),
    Dialect("MySQL plan", planprofiles.MYSQL_VERTICAL, planprofiles.mysql_vertical),
    Dialect("SQLite plan", planprofiles.SQLITE, planprofiles.sqlite),
    Dialect("collapsed stacks", _p(r"^\S[^\n;]*;[^\n]*[^\s;] \d+$"), _folded),
)
"""The most particular first. Add here."""
