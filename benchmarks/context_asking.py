"""How `context.py` asks: in this process, as the collector does, with a stop-watch and a note of every ranking."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from context_cases import Case
from context_scores import Pack, Positions, pack, positions

from orchestra_mcp.context import searching
from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index import indexing, projectindex
from orchestra_mcp.context.index.retrieval import Hit
from orchestra_mcp.context.output import framepaths, installed, sourcemaps, traces
from orchestra_mcp.types import Commit, Dossier, Question

BUDGET = 12_000
"""Tokens of the dossier whose order of files counts."""
HEAD = 8_000
"""Tokens of the pack by which variants are compared."""


class Eyes(ProjectEvidence):
    """The project's eyes, which ask git only once what does not depend on how the question is weighed."""

    def __init__(self, root: Path, home: Path) -> None:
        super().__init__(root, (), home)

    async def precedents(self, terms: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
        return await self._once(("precedents", *sorted(terms.items())), partial(super().precedents, terms))

    async def log(self, path: str, start: int = 0, end: int = 0, limit: int = 5) -> tuple[Commit, ...]:
        return await self._once(("log", path, start, end, limit), partial(super().log, path, start, end, limit))

    async def recent(self, limit: int = 5) -> tuple[Commit, ...]:
        return await self._once(("recent", limit), partial(super().recent, limit))


class Cost:
    """Seconds, filled in when `stopwatch` ends. `cpu` counts all threads and the children that were waited for."""

    cpu = wall = 0.0


@contextmanager
def stopwatch() -> Iterator[Cost]:
    """What happens in here costs so much."""
    cost, cpu, start = Cost(), cpu_seconds(), time.perf_counter()
    yield cost
    cost.wall = time.perf_counter() - start
    cost.cpu = cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Of this process so far; its children count to a hundredth of a second."""
    return time.process_time() + sum(os.times()[2:4])


def index(root: Path, home: Path) -> None:
    """Make the index whole, in the process that does so in the background."""
    subprocess.run(builder(root, home), check=True)


def builder(root: Path, home: Path) -> list[str]:
    """The command that makes an index whole."""
    place = indexing.place(home, root.resolve())
    place.parent.mkdir(parents=True, exist_ok=True)
    return [sys.executable, "-m", "orchestra_mcp.context.builder", str(root.resolve()), str(place)]


async def search(text: str, eyes: ProjectEvidence) -> searching.Search:
    """Retrieval alone: the list of files, the question's traces, the refreshed index, the ranking."""
    files = await eyes.files()
    text = await eyes.clean(text)
    names = installed.declared_names(files, eyes.read_built)
    found = [sourcemaps.unbuilt(trace, eyes.read_built) for trace in traces.parse(text)]
    placed = [framepaths.resolve(trace, files, names) for trace in found]
    return await searching.search(text, "", placed, (), Question(text=text).mode, eyes)


async def dossier(text: str, eyes: ProjectEvidence, budget: int = BUDGET) -> Dossier:
    """The whole collector."""
    return await collect(Question(text=text), eyes.root, eyes, budget=budget)


def packed(case: Case, found: Dossier) -> Pack:
    """What a dossier is worth."""
    spans = [(e.path, e.start, e.end) for e in found.excerpts if e.path and e.start and e.source in ("file", "symbol")]
    return pack(case, spans, [e.text for e in found.excerpts], found.tokens)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one report got."""

    case: Case
    found: Positions
    """In the dossier's list of files, as a user sees it."""
    ranked: Positions
    """In the list of retrieval alone."""
    hits: tuple[Hit, ...]
    query: Cost
    whole: Cost
    packs: Mapping[int, Pack]


def answer(case: Case, root: Path, home: Path, budgets: tuple[int, ...] = ()) -> Answer:
    """Ask a report: the packs of all budgets, then retrieval alone and the whole collector with a stop-watch."""

    async def ask() -> Answer:
        eyes = Eyes(root, home)
        packs = {budget: packed(case, await dossier(case.text, eyes, budget)) for budget in {BUDGET, *budgets}}
        with stopwatch() as query:
            found = await search(case.text, ProjectEvidence(root, (), home))
        with stopwatch() as whole:
            seen = await dossier(case.text, ProjectEvidence(root, (), home))
        if eyes.index.pending:
            print(
                f"{case.id}: {eyes.index.pending} files are not indexed; what follows is worse for it.", file=sys.stderr
            )
        hits = found.ranking.files
        ranked = positions([hit.path for hit in hits], case.gold_files)
        return Answer(case, positions(seen.files, case.gold_files), ranked, hits[:30], query, whole, packs)

    return anyio.run(ask)


@dataclass(frozen=True, slots=True)
class First:
    """What the first question on a never-seen repository got: a dossier."""

    case: Case
    found: Positions
    cost: Cost
    pending: int


def first_answer(case: Case, root: Path, home: Path) -> First:
    """Ask a report on an empty data directory."""

    async def ask() -> First:
        with stopwatch() as cost:
            eyes = ProjectEvidence(root, (), home)
            seen = await dossier(case.text, eyes)
        return First(case, positions(seen.files, case.gold_files), cost, eyes.index.pending)

    return anyio.run(ask)


@contextmanager
def no_builder() -> Iterator[None]:
    """A question may start a process that works on the index: it would outlive it here, and keep `index` from it."""
    module: Any = projectindex
    start = module.start_builder
    module.start_builder = lambda *_: None
    try:
        yield
    finally:
        module.start_builder = start
