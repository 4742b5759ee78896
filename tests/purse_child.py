"""A process of its own that spends from the purses of a store, for the tests of many processes and of sudden death.

`python purse_child.py COMMAND HOME MICRO_USD`; it opens the store, prints `ready`, waits for a line on stdin, and ends
with one line of numbers. Commands: `spend` (50 tasks call at once until the budget refuses: prints calls made and micro-dollars spent),
`die` (holds money for ten calls, settles half of them, prints what was settled, and hangs until it is killed).
"""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from pathlib import Path

import anyio

from orchestra_mcp.settings import Budget
from orchestra_mcp.store import open_store

AMOUNT, LEAST = 1_000, 70
TASKS = 50


def claims(micro: int) -> tuple[Budget, ...]:
    """Two purses of different windows and one that is larger."""
    usd = Decimal(micro) / 1_000_000
    return (
        Budget(per="all", usd=usd, window="month"),
        Budget(per="key", name="ci", usd=usd + 1, window="month"),
    )


def ready() -> None:
    """All processes begin together."""
    print("ready", flush=True)
    sys.stdin.readline()


async def spend(home: Path, micro: int) -> None:
    made, spent = 0, 0
    dice = random.Random(7)

    async with open_store(home) as store:
        ready()

        async def call() -> None:
            nonlocal made, spent
            while True:
                hold = await store.purses.reserve(claims(micro), AMOUNT, AMOUNT, LEAST, 600)
                if hold.short is not None:
                    return
                await anyio.sleep(0.001 * dice.random())
                cost = dice.randint(1, AMOUNT)
                hold.settle(cost)
                made, spent = made + 1, spent + cost

        async with anyio.create_task_group() as tasks:
            for _ in range(TASKS):
                tasks.start_soon(call)
    print(made, spent, flush=True)


async def die(home: Path, micro: int) -> None:
    async with open_store(home) as store:
        ready()
        holds = [await store.purses.reserve(claims(micro), AMOUNT, AMOUNT, LEAST, 600) for _ in range(10)]
        for hold in holds[:5]:
            hold.settle(300)
        await store.purses.flush()
        print(5 * 300, flush=True)
        await anyio.sleep(600)


if __name__ == "__main__":
    command, home, micro = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    anyio.run(spend if command == "spend" else die, home, micro)
