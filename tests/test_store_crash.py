"""Many real processes on one store, and processes that are killed in the middle of what they do."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from store_child import CONSULTATIONS, OPINIONS

from orchestra_mcp.store import open_store
from orchestra_mcp.types import Consultation

CHILD = Path(__file__).with_name("store_child.py")
PROCESSES = 8
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL or limits file sizes")


@asynccontextmanager
async def child(command: str, home: Path, prefix: str) -> AsyncIterator[Process]:
    """A process that has imported everything and waits for `go`."""
    process = await anyio.open_process(
        [sys.executable, str(CHILD), command, str(home), prefix], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert await next_line(process) == "ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def next_line(process: Process) -> str:
    """One line, when the process says nothing after it until it is told to go on."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive()
    return line.decode().strip()


async def go(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.send(b"go\n")


async def lines_until_the_end(process: Process) -> list[str]:
    """All complete lines; what was being printed at the moment of death is no acknowledgement."""
    assert process.stdout is not None
    text = "".join([part async for part in TextReceiveStream(process.stdout)])
    return text.split("\n")[:-1]


async def run_all(command: str, home: Path) -> list[list[str]]:
    """Start all processes, let them go at once, and return what each acknowledged; any error fails."""
    heard: list[list[str]] = [[] for _ in range(PROCESSES)]

    async def follow(number: int, process: Process) -> None:
        heard[number] = await lines_until_the_end(process)
        assert process.stderr is not None
        complaint = b"".join([part async for part in process.stderr])
        assert await process.wait() == 0, complaint.decode()
        assert not complaint, complaint.decode()

    async def one(number: int, ready: list[anyio.Event], start: anyio.Event) -> None:
        async with child(command, home, f"p{number}") as process:
            ready[number].set()
            await start.wait()
            await go(process)
            await follow(number, process)

    ready, start = [anyio.Event() for _ in range(PROCESSES)], anyio.Event()
    with anyio.fail_after(90):
        async with anyio.create_task_group() as group:
            for number in range(PROCESSES):
                group.start_soon(one, number, ready, start)
            for event in ready:
                await event.wait()
            start.set()
    return heard


def intact(home: Path) -> bool:
    """Whether SQLite itself finds nothing wrong with the file."""
    connection = sqlite3.connect(home / "orchestra.db")
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


async def test_eight_processes_that_write_at_once_lose_nothing_and_see_no_lock_error(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await run_all("write", home)
    async with open_store(home) as store:
        summaries = await store.list(limit=1000)
        assert {s.id for s in summaries} == {f"p{p}-{n}" for p in range(PROCESSES) for n in range(CONSULTATIONS)}
        assert {s.status for s in summaries} == {"complete"}
        # Every opinion's call costs one micro-dollar.
        assert sum(s.cost_usd for s in summaries) == Decimal(PROCESSES * CONSULTATIONS * OPINIONS) / 1_000_000
        for process in range(PROCESSES):
            last = await store.get(f"p{process}-{CONSULTATIONS - 1}")
            assert [o.seat for o in last.opinions] == [f"seat {n}" for n in range(1, OPINIONS + 1)]
    assert intact(home)


async def test_eight_processes_may_be_the_first_to_open_at_the_same_time(tmp_path: Path) -> None:
    for attempt in range(2):
        home = tmp_path / f"home {attempt}"
        assert await run_all("open", home) == [["opened 0"]] * PROCESSES
        assert intact(home)


async def killed_at_a_random_moment(home: Path, prefix: str, chance: random.Random) -> list[str]:
    """What a writer had acknowledged when it was killed, somewhere in its first dozen consultations."""
    acknowledgements, extra = chance.randrange(0, 60), chance.random() * 0.004
    async with child("forever", home, prefix) as process:
        await go(process)
        assert process.stdout is not None
        text = b""
        while text.count(b"\n") < acknowledgements:
            text += await process.stdout.receive()
        await anyio.sleep(extra)  # the moment itself is what is random here
        process.kill()
        text += "\n".join([*await lines_until_the_end(process), ""]).encode()
        assert await process.wait() == -signal.SIGKILL
    return text.decode().split("\n")[:-1]


def missing(heard: list[str], found: dict[str, Consultation]) -> list[str]:
    """Acknowledged lines that the store does not bear out."""
    lost = []
    for line in heard:
        word, id, *number = line.split()
        kept = found.get(id)
        entries = 0 if kept is None else bool(kept.dossier) + len(kept.opinions)
        true = {
            "begun": kept is not None,
            "added": bool(number) and entries > int(number[0]),
            "finished": kept is not None and kept.status == "complete" and kept.verdict is not None,
        }
        if not true[word]:
            lost.append(line)
    return lost


@posix_only
async def test_whatever_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(20_261_121)
    rounds, together = 6, 4
    heard: dict[str, list[str]] = {}

    async def victim(prefix: str, seed: int) -> None:
        heard[prefix] = await killed_at_a_random_moment(home, prefix, random.Random(seed))

    for number in range(rounds):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for other in range(together):
                    group.start_soon(victim, f"r{number}v{other}", chance.randrange(2**32))
        async with open_store(home) as store:
            for prefix in [p for p in heard if p.startswith(f"r{number}")]:
                summaries = await store.list(limit=1000, project=prefix)
                found = {s.id: await store.get(s.id) for s in summaries}
                assert missing(heard[prefix], found) == []
                unfinished = [c for c in found.values() if c.verdict is None]
                assert len(unfinished) <= 1
                assert {c.status for c in unfinished} <= {"interrupted"}
                assert {s.status for s in summaries} <= {"complete", "interrupted"}
        assert intact(home)
        assert not list((home / "run").iterdir()), "lock files of the dead are swept away"
    assert len(heard) == rounds * together
    assert sum(len(lines) for lines in heard.values()) > 200


@posix_only
async def test_a_consultation_runs_while_its_process_lives_and_is_interrupted_once_it_is_killed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with anyio.fail_after(30):
        async with open_store(home) as store, child("hold", home, "v") as process:
            await go(process)
            assert await next_line(process) == "begun v"
            assert [s.status for s in await store.list()] == ["running"]
            assert (await store.get("v")).status == "running"
            process.kill()
            await process.wait()
            assert [s.status for s in await store.list()] == ["interrupted"]
            assert (await store.get("v")).status == "interrupted"


@posix_only
async def test_a_full_disk_is_a_store_error_and_the_store_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with child("full", home, "f") as process:
        await go(process)
        heard = await lines_until_the_end(process)
        assert await process.wait() == 0
    assert any(line.startswith("refused ") and "ORCHESTRA_HOME" in line for line in heard)
    async with open_store(home) as store:
        before = await store.get("f-before")
        assert before.dossier is not None
        assert before.dossier.notes == (), "the refused entry is absent as a whole"
        assert (await store.get("f-after")).status == "complete"
    assert intact(home)
