"""How fast past consultations are found among many, and how long it takes to forget some.

Texts are drawn from a vocabulary whose words are as common as Zipf's law says, with names of code among them. The
vocabulary is made of syllables; the names are compound words of it. Each kind of query is asked many times with other
words, as people type them, through the store's own front door.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import accumulate, product
from pathlib import Path

import anyio

from orchestra_mcp.store import Store, open_store, rows
from orchestra_mcp.types import Question, Verdict

SYLLABLES = ("ba", "co", "di", "fu", "ge", "ha", "ka", "lo", "mi", "nu", "pa", "re", "si", "to", "va", "zu")
VOCABULARY = 30_000
NAMES = 4_000
PROJECTS = 40
TOGETHER = 2_000


class Texts:
    """Texts of ordinary consultations; the same ones for the same seed."""

    def __init__(self, seed: int = 20_261_121) -> None:
        self.chance = random.Random(seed)
        words = ["".join(parts) for size in (2, 3, 4) for parts in product(SYLLABLES, repeat=size)]
        self.words = self.chance.sample(words, VOCABULARY)
        self._weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
        self.names = [self._name() for _ in range(NAMES)]
        self._name_weights = list(accumulate(1 / rank for rank in range(1, NAMES + 1)))

    def _name(self) -> str:
        one, two, three = self.chance.choices(self.words[200:8000], k=3)
        shapes = (
            f"{one}_{two}",
            f"{one}{two.title()}{three.title()}",
            f"src/{one}/{two}_{three}.py",
            f"{one.title()}Error",
        )
        return self.chance.choice(shapes)

    def some(self, count: int) -> str:
        words = self.chance.choices(self.words, cum_weights=self._weights, k=count)
        names = self.chance.choices(self.names, cum_weights=self._name_weights, k=count // 15)
        for name in names:
            words[self.chance.randrange(count)] = name
        return " ".join(words)

    def consultation(self, id: str) -> tuple[Question, Verdict]:
        project = f"/srv/project{self.chance.randrange(PROJECTS)}"
        question = Question(text=self.some(self.chance.randrange(10, 60)), project=project)
        answer = self.some(self.chance.randrange(150, 500))
        return question, Verdict(id=id, question=question.text, headline="All answered.", answer=answer)


def fill(home: Path, count: int, texts: Texts) -> None:
    """Put consultations into the database of a store that is closed, in large transactions but with its own functions."""
    from orchestra_mcp.store.memoryrows import added, ended

    connection = sqlite3.connect(home / "orchestra.db", isolation_level=None)
    connection.execute("PRAGMA secure_delete = ON")
    start = rows.stamp(datetime.now(UTC)) - count * 1_000_000
    for first in range(0, count, TOGETHER):
        connection.execute("BEGIN IMMEDIATE")
        for number in range(first, min(first + TOGETHER, count)):
            id, at = f"c{number:06d}", start + number * 1_000_000
            question, verdict = texts.consultation(id)
            connection.execute(
                "INSERT INTO consultations (id, thread, project, strategy, mode, status, started, ended, owner, confidence, "
                "text, question, verdict) VALUES (?, ?, ?, 'consult', 'auto', 'complete', ?, ?, '', 0.5, ?, ?, ?)",
                (id, id, question.project, at, at, question.text, rows.encode(question), rows.encode(verdict)),
            )
            added(id, question, at)(connection)
            ended(id, verdict)(connection)
        connection.execute("COMMIT")
    connection.close()


def queries(texts: Texts) -> dict[str, Callable[[], str]]:
    """Kinds of queries, each with a way to make one more of it."""
    words, names, chance = texts.words, texts.names, texts.chance
    sample = [texts.some(40).split() for _ in range(200)]

    def phrase() -> str:
        return '"' + " ".join(chance.choice(words[:60]) for _ in range(2)) + '"'

    return {
        "a rare word": lambda: chance.choice(words[5_000:]),
        "a name of code": lambda: chance.choice(names),
        "three words": lambda: " ".join(chance.sample(words[50:3000], 3)),
        "a sentence": lambda: " ".join(chance.choice(sample)[:12]),
        "two common words": lambda: " ".join(chance.sample(words[:20], 2)),
        "the commonest word": lambda: words[0],
        "a phrase": phrase,
        "a beginning (3)": lambda: chance.choice(words)[:3] + "*",
        "a beginning (5)": lambda: chance.choice(words)[:5] + "*",
        "a common beginning and word": lambda: chance.choice(words)[:2] + "* " + chance.choice(words[:50]),
    }


async def measure(home: Path, count: int, times: int, keep: bool = False) -> None:
    """Print how long searches among `count` consultations take, each kind asked `times` times.

    With `keep`, those that are in the directory already are searched, and nothing is forgotten.
    """
    texts = Texts()
    async with open_store(home, strict=True) as store:
        there = bool(await store.list(1))
    begun = time.perf_counter()
    if not there:
        fill(home, count, texts)
    took = time.perf_counter() - begun
    size = (home / "orchestra.db").stat().st_size
    print(
        f"{'those of before' if there else count} consultations, {size / 1e6:.0f} MB, made in {took:.0f} s", flush=True
    )
    texts.chance.seed(count)  # the same queries, whether they have been made just now or not
    async with open_store(home, strict=True) as store:
        await searches(store, texts, times)
        if not keep:
            await forgetting(home, store)


async def searches(store: Store, texts: Texts, times: int) -> None:
    """Kinds of queries, each in all projects and in one."""
    print(f"{'search, ms':44}{'median':>9}{'p95':>9}{'worst':>9}{'found':>8}")
    everything, used = list[float](), list[float]()
    for query in ("warm", texts.words[0], texts.some(20)):
        await store.memory.search(query)
    for kind, make in queries(texts).items():
        for scope, project in (("", None), (", one project", "/srv/project7")):
            waits, found = list[float](), 0
            for _ in range(times):
                query = make()
                start, cpu = time.perf_counter(), time.process_time()
                found += len(await store.memory.search(query, project))
                waits.append((time.perf_counter() - start) * 1000)
                used.append((time.process_time() - cpu) * 1000)
            everything += waits
            _line(kind + scope, waits, f"{found / times:8.1f}")
    _line("all", everything, "")
    _line("all, CPU time", used, "")
    waits = []
    for _ in range(times):
        words = texts.some(40).split()
        start = time.perf_counter()
        await store.memory.recall(words, "/srv/project7")
        waits.append((time.perf_counter() - start) * 1000)
    _line("recall, 40 words, one project", waits, "")


async def forgetting(home: Path, store: Store) -> None:
    """A project is forgotten while another process writes; how long that takes, and the longest wait of the writer."""
    waits = list[float]()

    async def write(other: Store) -> None:
        number = 0
        while True:
            number += 1
            start = time.perf_counter()
            await other.begin(f"w{number}", Question(text="Why is the last line counted?"), f"w{number}")
            waits.append(time.perf_counter() - start)
            await anyio.sleep(0.01)

    async with open_store(home, strict=True) as other, anyio.create_task_group() as group:
        group.start_soon(write, other)
        start = time.perf_counter()
        gone = await store.memory.forget(await store.memory.chosen(project="/srv/project3"))
        took = time.perf_counter() - start
        group.cancel_scope.cancel()
    print(f"{gone} forgotten without a trace in {took:.1f} s; longest wait of a writer {max(waits):.2f} s")


def _line(name: str, waits: list[float], more: str) -> None:
    waits = sorted(waits)
    print(f"{name:44}{statistics.median(waits):9.1f}{waits[int(len(waits) * 0.95)]:9.1f}{waits[-1]:9.1f}{more}")
