"""How fast the store is when many server processes write at once.

`python benchmarks/store.py [--processes 8] [--consultations 50]` prints writes per second, CPU milliseconds for each
consultation (begin, dossier, three opinions with their calls, finish: six transactions) and the waits of a single
write: median, 99th percentile and the worst. The file is on the disk of the temporary directory (`TMPDIR`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import anyio

from orchestra_mcp.store import Store, open_store
from orchestra_mcp.types import CallRecord, Dossier, Excerpt, Opinion, Question, Usage, Verdict

EXCERPT = Excerpt(source="file", path="a.py", text="total = sum(values)\n" * 40, tokens=240, why="named")
DOSSIER = Dossier(excerpts=(EXCERPT,) * 30, tokens=7200)
ANSWER = "The last line is empty, so it is counted. " * 60


async def consult(store: Store, id: str) -> list[float]:
    """Write one consultation of ordinary size; the seconds that each write took."""
    call = CallRecord(
        run=id, purpose="opinion", model="m", provider="p", usage=Usage(calls=1, cost_usd=Decimal("0.01"))
    )
    verdict = Verdict(id=id, question="Why?", headline="All answered.", answer=ANSWER)
    opinion = Opinion(seat="s", position="It is empty", answer=ANSWER)
    steps: list[Callable[[], Awaitable[None]]] = [
        lambda: store.begin(id, Question(text="Why is the last line counted?"), id),
        lambda: store.add(id, DOSSIER),
        *[lambda: store.add(id, opinion, call)] * 3,
        lambda: store.finish(id, "complete", verdict),
    ]
    seconds = []
    for step in steps:
        begun = time.perf_counter()
        await step()
        seconds.append(time.perf_counter() - begun)
    return seconds


async def one_process(home: Path, name: str, consultations: int) -> None:
    async with open_store(home) as store:
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        cpu, begun, waits = time.process_time(), time.time(), list[float]()
        for number in range(consultations):
            waits += await consult(store, f"{name}-{number}")
        print(json.dumps({"cpu": time.process_time() - cpu, "begun": begun, "ended": time.time(), "waits": waits}))


def all_processes(processes: int, consultations: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, __file__, "--consultations", str(consultations), "--home", home, "--name"]
        children = [
            subprocess.Popen([*command, f"p{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for n in range(processes)
        ]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        results = [json.loads(child.communicate(timeout=600)[0]) for child in children]
    waits = sorted(wait for result in results for wait in result["waits"])
    wall = max(r["ended"] for r in results) - min(r["begun"] for r in results)
    cpu = sum(r["cpu"] for r in results) / (processes * consultations)
    print(f"{processes} processes, {processes * consultations} consultations, {len(waits)} writes in {wall:.2f} s")
    print(f"writes per second         {len(waits) / wall:10.0f}")
    print(f"CPU per consultation      {cpu * 1000:10.2f} ms")
    print(f"wait for a write: median  {statistics.median(waits) * 1000:10.2f} ms")
    print(f"        99th percentile   {waits[int(len(waits) * 0.99)] * 1000:10.2f} ms")
    print(f"                  worst   {waits[-1] * 1000:10.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--consultations", type=int, default=50, help="for each process")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.name:
        anyio.run(one_process, given.home, given.name, given.consultations)
    else:
        all_processes(given.processes, given.consultations)
