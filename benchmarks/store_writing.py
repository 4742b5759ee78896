"""Many processes that write whole consultations into one store, and processes that are killed while they do."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio

from orchestra_mcp.store import Store, open_store
from orchestra_mcp.types import (
    Ballot,
    CallRecord,
    Claim,
    Consultation,
    Dossier,
    Event,
    Excerpt,
    Grounds,
    Opinion,
    Place,
    Question,
    Solution,
    Span,
    Usage,
    Verdict,
    Watched,
)

OPINIONS, BALLOTS = 5, 2
EXCERPT = Excerpt(source="file", path="a.py", text="total = sum(values)\n" * 40, tokens=240, why="named")
DOSSIER = Dossier(excerpts=(EXCERPT,) * 30, tokens=7200)
ANSWER = "The last line is empty, so it is counted by read_lines in src/parser.py. " * 35
OPINION = Opinion(seat="s", position="It is empty", answer=ANSWER)
BALLOT = Ballot(judge="s", shown=("a", "b"), ranking=("b", "a"), why="Its evidence holds.")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPANS = tuple(Span(id=f"{n:016x}", name="chat m", started=NOON, seconds=1.5) for n in range(15))
CLAIM = Claim(text="drops the last element", path="src/parser.py", line=7, symbol="read_lines")
SOLUTION = Solution(
    rank=1, position="It is empty", answer=ANSWER, score=1, probability=0.7, seats=("s",), claims=(CLAIM,)
)
GROUNDS = Grounds(places=(Place(path="src/parser.py", lines=3, digest="0123456789abcdef"),))

Step = tuple[str, Callable[[], Coroutine[None, None, None]]]


def steps(store: Store, id: str) -> list[Step]:
    """The writes of one consultation of ordinary size, with a word for each that tells what it has put down."""
    usage = Usage(calls=1, cost_usd=Decimal("0.01"))
    call = CallRecord(run=id, purpose="opinion", model="m", provider="p", usage=usage)
    verdict = Verdict(
        id=id, question="Why?", headline="All answered.", answer=ANSWER, solutions=(SOLUTION,), confidence=0.7
    )
    events = tuple(Event(run=id, kind="answered", seat="s", seconds=float(n)) for n in range(20))
    return [
        ("begun", lambda: store.begin(id, Question(text="Why is the last line counted?", project="/p"), id)),
        ("dossier", lambda: store.add(id, DOSSIER)),
        *(("opinion", lambda: store.add(id, OPINION, call)),) * OPINIONS,
        *(("ballot", lambda: store.add(id, BALLOT, call)),) * BALLOTS,
        ("watched", lambda: store.add(id, Watched(events=events, spans=SPANS), GROUNDS)),
        ("finished", lambda: store.finish(id, "complete", verdict)),
    ]


def council_steps(store: Store, id: str) -> list[Step]:
    """The writes of a council as the application makes them (counted in runs of `Orchestra.ask`).

    What is watched goes with each entry, and alone where half a second passes without one; the end is two writes at a
    time, and two small ones follow.
    """
    begun, dossier, *_, finished = steps(store, id)
    usage = Usage(calls=1, cost_usd=Decimal("0.01"))
    call = CallRecord(run=id, purpose="opinion", model="m", provider="p", usage=usage)
    events = tuple(Event(run=id, kind="answered", seat="s", seconds=float(n)) for n in range(2))
    watched = Watched(events=events, spans=SPANS[:2])
    resident = OPINION.model_copy(update={"kind": "resident"})

    async def end() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(store.add, id, call, watched)
            group.start_soon(finished[1])

    return [
        begun,
        dossier,
        *(("opinion", lambda: store.add(id, resident, watched)),) * 2,
        *(("opinion", lambda: store.add(id, watched, OPINION, call)),) * OPINIONS,
        *(("ballot", lambda: store.add(id, watched, BALLOT, call)),) * 5,
        *(("watched", lambda: store.add(id, watched)),) * 4,
        ("finished", end),
        ("grounds", lambda: store.add(id, GROUNDS)),
        ("watched", lambda: store.add(id, watched)),
    ]


async def one_process(home: Path, name: str, consultations: int, council: bool) -> None:
    """Write so many consultations, and print what it took. What is written is made before the clock starts."""
    async with open_store(home, strict=True) as store:
        made = [(council_steps if council else steps)(store, f"{name}-{number}") for number in range(consultations)]
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        cpu, begun, waits = time.process_time(), time.time(), list[float]()
        for consultation in made:
            for _, step in consultation:
                start = time.perf_counter()
                await step()
                waits.append(time.perf_counter() - start)
        print(json.dumps({"cpu": time.process_time() - cpu, "begun": begun, "ended": time.time(), "waits": waits}))


async def until_killed(home: Path, name: str) -> None:
    """Write consultations for ever, and print what the store has acknowledged."""
    async with open_store(home, strict=True) as store:
        print("ready", flush=True)
        for number in range(1_000_000):
            id = f"{name}-{number}"
            for word, step in steps(store, id):
                await step()
                print(word, id, flush=True)


def _child(program: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(program), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def at_once(program: Path, processes: int, consultations: int, council: bool = False) -> None:
    """All processes write at once; print the figures, and count what is missing afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        anyio.run(_opened, home)
        common = (*("--council",) * council, "--consultations", str(consultations), "--home", directory, "--name")
        children = [_child(program, *common, f"p{n}") for n in range(processes)]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate(timeout=600)[0] for child in children]
        errors = sum(child.returncode != 0 for child in children)
        results = [json.loads(text) for text in said if text.strip()]
        lost = anyio.run(_lost, home, {f"p{p}-{n}" for p in range(processes) for n in range(consultations)}, council)
        sound = _sound(home)
    waits = sorted(wait for result in results for wait in result["waits"])
    wall = max(r["ended"] for r in results) - min(r["begun"] for r in results)
    cpu = sum(r["cpu"] for r in results) / (processes * consultations)
    print("councils as the application writes them" if council else "consultations of eleven writes")
    print(f"{processes} processes, {processes * consultations} consultations, {len(waits)} writes in {wall:.2f} s")
    print(f"errors {errors}, lost {lost}, {sound}")
    print(f"writes per second         {len(waits) / wall:10.0f}")
    print(f"CPU per consultation      {cpu * 1000:10.2f} ms")
    print(f"wait for a write: median  {statistics.median(waits) * 1000:10.2f} ms")
    print(f"        99th percentile   {waits[int(len(waits) * 0.99)] * 1000:10.2f} ms")
    print(f"                  worst   {waits[-1] * 1000:10.2f} ms")


def killed(program: Path, times: int, together: int = 4) -> None:
    """Kill writers at random moments; print how much of what they were told is kept is missing."""
    chance = random.Random(20_261_121)
    acknowledged = lost = 0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        anyio.run(_opened, home)
        for first in range(0, times, together):
            names = [f"k{number}" for number in range(first, min(first + together, times))]
            children = [_child(program, "--kill", "--home", directory, "--name", name) for name in names]
            for child in children:
                assert child.stdout is not None
                child.stdout.readline()
            for child in sorted(children, key=lambda _: chance.random()):
                time.sleep(chance.random() * 0.05)
                child.send_signal(signal.SIGKILL)
            heard = [line for child in children for line in _said(child)]
            acknowledged += len(heard)
            lost += anyio.run(_missing, home, heard)
        sound = _sound(home)
    print(f"{times} killed at random moments: {acknowledged} acknowledged writes, {lost} lost, {sound}")


def _said(child: subprocess.Popen[str]) -> list[str]:
    """Whole lines of a dead process; what it was printing at that moment was no acknowledgement."""
    assert child.stdout is not None
    assert child.stdin is not None
    lines = child.stdout.read().split("\n")[:-1]
    child.stdout.close()
    child.stdin.close()
    child.wait()
    return lines


async def _opened(home: Path) -> None:
    async with open_store(home, strict=True):
        pass


async def _lost(home: Path, wanted: set[str], council: bool) -> int:
    whole_one = (OPINIONS + 2, 5, OPINIONS + 6, 36) if council else (OPINIONS, BALLOTS, OPINIONS + BALLOTS, len(SPANS))
    async with open_store(home, strict=True) as store:
        whole = 0
        for id in wanted:
            found = await store.get(id)
            said = (len(found.opinions), len(found.ballots), len(found.calls), len(found.spans))
            whole += said == whole_one and found.verdict is not None
        found_by_words = len(await store.memory.search("parser", limit=1000))
        assert found_by_words == min(len(wanted), 1000), found_by_words
    return len(wanted) - whole


async def _missing(home: Path, heard: list[str]) -> int:
    """How many acknowledged lines the store does not bear out."""
    count: dict[tuple[str, str], int] = {}
    for line in heard:
        word, id = line.split()
        count[id, word] = count.get((id, word), 0) + 1
    lost = 0
    async with open_store(home, strict=True) as store:
        kept: dict[str, Consultation] = {}
        for (id, word), times in count.items():
            found = kept[id] if id in kept else await store.get(id)
            kept[id] = found
            there = {
                "begun": 1,
                "dossier": int(found.dossier is not None),
                "opinion": len(found.opinions),
                "ballot": len(found.ballots),
                "watched": int(bool(found.spans)),
                "finished": int(found.verdict is not None and found.status == "complete"),
            }
            lost += times - min(times, there[word])
    return lost


def _sound(home: Path) -> str:
    """What SQLite and FTS5 themselves say of the file."""
    with closing(sqlite3.connect(home / "orchestra.db")) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchone()[0]
        try:
            connection.execute("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
        except sqlite3.DatabaseError as error:
            return f"integrity {said}, full-text index damaged ({error})"
    return f"integrity {said}, full-text index ok"


def child(home: Path, name: str, consultations: int, council: bool) -> None:
    """The program of one process of `at_once`."""
    anyio.run(one_process, home, name, consultations, council)


def victim(home: Path, name: str) -> None:
    """The program of one process of `killed`."""
    anyio.run(until_killed, home, name)
