"""A process of its own that writes to a store, for the tests of many processes and of sudden death.

`python store_child.py COMMAND HOME PREFIX`; it prints `ready`, waits for a line on stdin, and then prints one line for
each thing that the store has acknowledged. Commands: `open` (open and close), `write` (25 consultations), `forever`
(until killed), `hold` (begin one and stay alive), `full` (lets the disk become full under the store).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path

import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store import Store, open_store
from orchestra_mcp.types import CallRecord, Dossier, Excerpt, Opinion, Question, Usage, Verdict

CONSULTATIONS = 25
OPINIONS = 3


def say(*words: object) -> None:
    print(*words, flush=True)


async def consult(store: Store, id: str, project: str) -> None:
    """One consultation as the council writes it; every line is printed after the store has returned."""
    await store.begin(id, Question(text=f"Why does {id} fail?", project=project), id)
    say("begun", id)
    excerpt = Excerpt(source="file", path="a.py", text=f"raise {id}\n" * 200, tokens=600, why="named")
    await store.add(id, Dossier(excerpts=(excerpt,), tokens=600))
    say("added", id, 0)
    for number in range(1, OPINIONS + 1):
        call = CallRecord(
            run=id, purpose="opinion", model="m", provider="p", usage=Usage(calls=1, cost_usd=Decimal("0.000001"))
        )
        await store.add(id, Opinion(seat=f"seat {number}", position="yes", answer=id * 50), call)
        say("added", id, number)
    await store.finish(id, "complete", Verdict(id=id, question="Why?", headline="All.", answer=id, confidence=0.5))
    say("finished", id)


async def write(home: Path, prefix: str) -> None:
    async with open_store(home, strict=True) as store:
        for number in range(CONSULTATIONS):
            await consult(store, f"{prefix}-{number}", prefix)


async def forever(home: Path, prefix: str) -> None:
    async with open_store(home, strict=True) as store:
        number = 0
        while True:
            await consult(store, f"{prefix}-{number}", prefix)
            number += 1


async def only_open(home: Path, prefix: str) -> None:
    async with open_store(home, strict=True) as store:
        say("opened", len(await store.list()))


async def hold(home: Path, prefix: str) -> None:
    async with open_store(home, strict=True) as store:
        await store.begin(prefix, Question(text="How long?"), prefix)
        say("begun", prefix)
        await anyio.sleep_forever()


async def full(home: Path, prefix: str) -> None:
    """A limit on the size of files stands for a full disk: the kernel refuses to write more, in mid-transaction."""
    import resource

    async with open_store(home, strict=True) as store:
        await consult(store, f"{prefix}-before", prefix)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (home / "orchestra.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, unlimited[1]))
        try:
            await store.add(f"{prefix}-before", Dossier(notes=("x" * 200_000,)))
        except StoreError as error:
            say("refused", error)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        await consult(store, f"{prefix}-after", prefix)


COMMANDS: dict[str, Callable[[Path, str], Coroutine[None, None, None]]] = {
    "open": only_open,
    "write": write,
    "forever": forever,
    "hold": hold,
    "full": full,
}

if __name__ == "__main__":
    command, home, prefix = sys.argv[1:]
    say("ready")
    sys.stdin.readline()
    anyio.run(COMMANDS[command], Path(home), prefix)
