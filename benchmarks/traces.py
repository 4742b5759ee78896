"""How completely stack traces are read: frames found, missed, invented and doubtful, per runtime.

    python benchmarks/traces.py [folder] [--misses] [--file NAME]

The folder holds samples (`*.txt`) and a `MANIFEST.jsonl` with a line per sample: `file`, `lang`, `expect` (frames that
a person gave) and `auto_frames` (frames that a mechanical rule took out of the text), each frame `[path, line]`.
Without the argument it is `$ORCHESTRA_BENCH/traces`.

A frame is *found* when path and line agree; a path may be printed in a longer form (scheme, `./`, escapes). What is
expected never comes from our own reader: it is `HAND` below, read off the sample by a person, else `expect`, else
`auto_frames`. Two rules look at the text itself, independently of the reader:

* *invented*: a frame of ours whose path, line or function is not in the text at all (must be 0);
* *unseen*: a place in the text (`file.ext:12`, `"file", line 12`, `file.ext(12)`) that we did not give. Most of them
  are no frames (logs, source text); `--misses` lists them so that a person can judge.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from orchestra_mcp.context.output.traces import parse
from orchestra_mcp.types import Frame, Trace

Place = tuple[str, int]

HAND: dict[str, list[Place]] = {
    # Frames without file and line are named by their function. Add here, by reading the sample.
    "dotnet-07-async-frames-without-at.txt": [
        ("System.Runtime.CompilerServices.TaskAwaiter.GetResult", 0),
        ("Microsoft.AspNet.Mvc.Core.ControllerActionInvoker.InvokeActionAsync", 0),
        ("System.Runtime.CompilerServices.TaskAwaiter.ThrowForNonSuccess", 0),
        ("Microsoft.AspNet.Mvc.Core.FilterActionInvoker.InvokeActionFilterAsync", 0),
    ],
    "js-02-clusterfuzz-v8-javascript-assertion-shou.txt": [],
    "swift-02-macos-crash-report-threads.txt": [
        ("mach_msg_trap", 0), ("mach_msg", 0), ("__CFRunLoopServiceMachPort", 0),
        ("-[__CoreSchedulingSetRunnable runForever]", 0), ("__NSThread__start__", 0),
    ],
    "dotnet-03-stacktraceparser-sample-3.txt": [
        ("System.Web.Mvc.DefaultControllerFactory.GetControllerInstance", 0),
        ("System.Web.Mvc.DefaultControllerFactory.CreateController", 0),
        ("System.Web.Mvc.MvcHandler.ProcessRequestInit", 0),
        ("System.Web.Mvc.MvcHandler.BeginProcessRequest", 0),
        ("System.Web.Mvc.MvcHandler.System.Web.IHttpAsyncHandler.BeginProcessRequest", 0),
    ],
    "dotnet-04-stacktraceparser-sample-4.txt": [
        ("System.Guid.GuidResult.SetFailure", 0), ("System.Guid.TryParseGuidWithDashes", 0),
        ("System.Guid.TryParseGuid", 0), ("Elmah.XmlFileErrorLog.GetError", 0),
        ("Elmah.ErrorDetailPage.OnLoad", 0), ("System.Web.UI.Control.LoadRecursive", 0),
        ("System.Web.UI.Page.ProcessRequestMain", 0), ("System.Web.UI.Page.HandleError", 0),
        ("System.Web.UI.Page.ProcessRequest", 0), ("System.Web.UI.Page.ProcessRequestWithNoAssert", 0),
        ("System.Web.HttpApplication.ExecuteStep", 0),
    ],
    "maven-03-maven-spring-context.txt": [
        ("com.example.test.EntityIntegrationTest.updateEntity_Success", 0),
        ("com.example.test.EntityIntegrationTest.getEntity_Success", 0),
        ("EntityIntegrationTest.deleteEntity_Success", 0),
    ],
    "c-12-clusterfuzz-cdb-read-x64.txt": [
        ("MSHTML!Ordinal101", 0), ("MSHTML!CreateCoreWebView", 0), ("jscript9!JsVarToExtension", 0),
        ("jscript9!DllCanUnloadNow", 0), ("USER32!TranslateMessage", 0), ("iertutil!Ordinal403", 0),
        ("IEFRAME!IEGetWriteableHKCU", 0), ("ntdll!RtlUserThreadStart", 0),
    ],
    "c-13-clusterfuzz-android-kernel-kasan-510.txt": [
        ("f2fs_register_inmem_page", 0), ("__asan_store8", 0), ("SyS_pwrite64", 0), ("__sys_trace_return", 0),
        ("f2fs_alloc_inode", 0), ("f2fs_i_callback", 0), ("kasan_slab_free", 0), ("ret_from_fork", 0),
    ],
}  # fmt: skip

# Independent of the reader on purpose: nothing here comes from `orchestra_mcp`.
_PLACES = (
    re.compile(r"(?P<path>[\w./\\:@~+$<>{}\[\]-]{1,300}\.[A-Za-z]\w{0,7}):\[?(?P<line>\d{1,7})\b"),
    re.compile(r"(?P<path>[\w./\\:@~+$<>-]{1,300}\.\w{1,8})[\"']?:? *,? (?:on |at )?line (?P<line>\d{1,7})\b", re.I),
    re.compile(r"(?P<path>[\w./\\:@~+$-]{1,300}\.[A-Za-z]\w{0,7})\((?P<line>\d{1,7})(?:,\d+)*\)"),
)
_NO_FILE = re.compile(r"[\d.:]*$|.*\.(?:com|org|net|io|so|dll|jar|exe|local)$", re.IGNORECASE)


def every_frame(traces: tuple[Trace, ...]) -> Iterator[Frame]:
    """The frames of all traces with their causes."""
    for trace in traces:
        link: Trace | None = trace
        while link is not None:
            yield from link.frames
            link = link.cause


def _name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2].partition("?")[0]


def agrees(wanted: Place, frame: Frame) -> bool:
    """Path and line are the same; a wanted frame without a line names a function."""
    path, line = wanted
    if line == 0 and "." not in _name(path)[1:-1] + "":
        return path in (frame.function, frame.raw_path)
    if frame.function == path and frame.line == line:
        return True
    ours, theirs = frame.raw_path.replace("\\", "/"), path.replace("\\", "/").removeprefix("undefined-behavior ")
    return frame.line == line and (
        ours == theirs or (_name(ours) == _name(theirs) and (ours in theirs or theirs in ours))
    )


def invented(frame: Frame, text: str, lines: list[str]) -> str:
    """Why a frame is not in the text, or nothing."""
    if frame.raw_path and frame.raw_path not in text and _name(frame.raw_path) not in text:
        return "path"
    name = _name(frame.raw_path)
    if frame.line and frame.raw_path:
        number = re.compile(rf"(?<!\d){frame.line}(?!\d)")
        near = [at for at, line in enumerate(lines) if name in line]
        if not any(number.search(" ".join(lines[max(0, at - 1) : at + 9])) for at in near):
            return "line"
    words = re.findall(r"\w+", frame.function)
    if any(word not in text for word in words):
        return "function"
    return ""


def doubtful(frame: Frame) -> str:
    """What looks wrong about a frame although the text has it."""
    if not frame.raw_path and not frame.function:
        return "empty"
    if frame.line and not frame.raw_path:
        return "line without path"
    if len(frame.raw_path) > 300 or len(frame.function) > 300:
        return "very long"
    if frame.raw_path.count(" ") > 4 or (frame.function.count(" ") > 6 and "(" not in frame.function):
        return "looks like prose"
    return ""


def unseen(lines: list[str], frames: list[Frame]) -> list[str]:
    """Lines with a place that no frame of ours has."""
    given = {(_name(frame.raw_path), frame.line) for frame in frames}
    found: dict[str, None] = {}
    for line in lines:
        for pattern in _PLACES:
            for match in pattern.finditer(line[:2_000]):
                place = (_name(match["path"]).rpartition(":")[2].strip("<>[](\"'"), int(match["line"]))
                if not _NO_FILE.match(place[0]) and place not in given:
                    found[line.strip()[:180]] = None
    return list(found)


def main() -> int:
    """Print the table; exit status 1 when a frame was invented."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--misses", action="store_true", help="list what was missed, invented, doubtful or unseen")
    parser.add_argument("--file", default="", help="only samples whose name contains this")
    options = parser.parse_args()
    bench = os.environ.get("ORCHESTRA_BENCH")
    folder = options.folder or (Path(bench) / "traces" if bench else None)
    if folder is None or not folder.is_dir():
        parser.error("give the folder of samples, or set ORCHESTRA_BENCH")
    manifest = folder / "MANIFEST.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    cpu = 0.0
    size = 0
    for row in rows:
        if options.file not in row["file"]:
            continue
        text = (folder / row["file"]).read_text(encoding="utf-8", errors="replace")
        start = time.process_time()
        traces = parse(text)
        cpu += time.process_time() - start
        size += len(text)
        readable = html.unescape(text).replace("\\\\", "\\").replace("\\/", "/")
        lines = readable.splitlines()
        frames = list(every_frame(traces))
        wanted = HAND.get(row["file"]) or [tuple(f) for f in row.get("expect") or row.get("auto_frames") or ()]
        missed = [place for place in dict.fromkeys(wanted) if not any(agrees(place, frame) for frame in frames)]
        wrong = [(why, frame) for frame in frames if (why := invented(frame, readable + text, lines))]
        doubts = [(why, frame) for frame in frames if (why := doubtful(frame))]
        rest = unseen(lines, frames)
        total = totals[row["lang"]]
        total.update(
            samples=1, frames=len(frames), wanted=len(dict.fromkeys(wanted)), missed=len(missed),
            invented=len(wrong), doubtful=len(doubts), unseen=len(rest), silent=not traces,
        )  # fmt: skip
        if options.misses and (missed or wrong or doubts or rest or not traces):
            print(f"\n{row['file']}: {len(traces)} traces, {len(frames)} frames")
            for place in missed:
                print(f"    missed    {place[0]}:{place[1]}")
            for why, frame in wrong + doubts:
                print(f"    {why:9} {frame.raw_path}:{frame.line} {frame.function}")
            for line in rest:
                print(f"    unseen    {line}")
    columns = ("samples", "frames", "wanted", "missed", "invented", "doubtful", "unseen", "silent")
    print("\n" + f"{'runtime':10}" + "".join(f"{name:>9}" for name in columns))
    everything: Counter[str] = Counter()
    for runtime, total in sorted(totals.items()):
        everything.update(total)
        print(f"{runtime:10}" + "".join(f"{total[name]:9}" for name in columns))
    print(f"{'all':10}" + "".join(f"{everything[name]:9}" for name in columns))
    found = 1 - everything["missed"] / everything["wanted"] if everything["wanted"] else 1.0
    print(f"found {found:.2%} of the frames that are wanted; {size / 1024:.0f} KB in {cpu * 1000:.0f} ms of CPU")
    return 1 if everything["invented"] else 0


if __name__ == "__main__":
    sys.exit(main())
