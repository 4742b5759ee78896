"""A process of its own that keeps consultations, looks for them and forgets every third: `memory_child.py HOME NAME`.

It prints `fine` when nothing failed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from orchestra_mcp.store import open_store
from orchestra_mcp.types import Opinion, Question, Verdict

CONSULTATIONS = 12


async def main(home: Path, name: str) -> None:
    async with open_store(home, strict=True) as store:
        for number in range(CONSULTATIONS):
            id = f"{name}-{number}"
            await store.begin(id, Question(text=f"Why does {name} meet a zebra?", project=name), id)
            await store.add(id, Opinion(seat="ada", position="yes", answer="zebra " * 500))
            await store.finish(
                id, "complete", Verdict(id=id, question="Why?", headline="All.", answer=f"Because {id}.")
            )
            found = await store.memory.search(f"zebra {name}", name)
            assert id in {one.summary.id for one in found}, (id, found)
            if number % 3 == 0:
                assert await store.memory.forget([id]) == 1
                assert id not in {one.summary.id for one in await store.memory.search(f"zebra {name}", name)}
    print("fine")


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2])
