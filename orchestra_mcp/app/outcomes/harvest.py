"""What became of earlier suggestions, learned without asking anybody: their lines in later commits, and later green tests.

Bounded, in the background, and never in anybody's way: whatever fails here is logged and costs only a lesson.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from orchestra_mcp.app.outcomes.takenover import (
    Made,
    Seen,
    Suggested,
    Word,
    commits_of,
    commits_say,
    suggested,
    telling,
    tree_says,
)
from orchestra_mcp.context.project import confine
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.repository.gitchanges import DIFF_FLAGS
from orchestra_mcp.council.labels import label_of
from orchestra_mcp.council.ranking import SAYS
from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import OutcomeName, OutcomeSource

T = TypeVar("T")
logger = logging.getLogger(__name__)

HARVEST_S = 2.0
"""Longest time for one look at a project."""
NEWEST = 50
"""Unmarked consultations that are looked at."""
BACK = timedelta(days=180)
"""Older consultations are not looked at any more."""
MOST_COMMITS = 300
MOST_FILES = 20
"""Files of the patches of one consultation."""
MOST_BYTES = 2_000_000
KEPT = 500
"""Suggestions that are remembered, so that consultations are not read again for each look."""


class Harvest:
    """Looks for what became of suggestions; one for a process, any number at the same time.

    Marks are made by `Store.mark`, where the last one of a source on a solution counts, so that it does not matter how
    many processes find the same.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._suggested: OrderedDict[str, Suggested] = OrderedDict()
        self._looked: OrderedDict[str, str] = OrderedDict()
        """Consultation → the commit that was checked out when it was looked at last."""
        self._busy: set[tuple[str, str]] = set()

    async def commits(self, project: str) -> None:
        """Mark what later commits say of a project's suggestions. Takes `HARVEST_S` at most, raises nothing."""
        await self._unfailing(("commits", project), partial(self._commits, project))

    async def green(self, project: str) -> None:
        """The verify command passes on the tree as it is: mark what the tests say of patches that are in it by now.

        Of patches with which the tests still failed when they were tried alone; more than their lines made them
        green, so that they led to the solution and count as that. Raises nothing.
        """
        await self._unfailing(("green", project), partial(self._green, project))

    async def _unfailing(self, what: tuple[str, str], look: Callable[[], Awaitable[None]]) -> None:
        if what in self._busy:
            return
        self._busy.add(what)
        try:
            with anyio.move_on_after(HARVEST_S):
                await look()
        except OrchestraError as error:
            logger.info("earlier suggestions were not looked at: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - in the background; a lesson is lost, and nothing else
            logger.warning("looking at earlier suggestions failed: %s", type(error).__name__)
        finally:
            self._busy.discard(what)

    async def _commits(self, project: str) -> None:
        git, _ = await Git.open(Path(project))
        if git is None or not (head := await git.resolve("HEAD")):
            return
        held = [label.consultation for label in await self._store.labels() if label.source == "commit"]
        fresh = await self._unmarked(project)
        credited = list[frozenset[tuple[str, str]]]()
        for id in (*held[:NEWEST], *fresh):
            looked = self._looked.get(id) == head
            one = await self._of(id, project, again=id not in fresh and not looked)
            if one is None or not one.base or not one.patches:
                continue
            if not looked:
                seen = await _seen(git, one, head)
                told = await anyio.to_thread.run_sync(commits_say, one, seen)
                if (
                    id in fresh
                ):  # one commit speaks for the newest council that suggested it, however often it was asked
                    told = {rank: word for rank, word in told.items() if not _among(one.lines(rank), credited)}
                await self._mark(one, told)
                credited += [one.lines(rank) for rank, word in told.items() if word == "taken"]
                _remember(self._looked, id, head)
            credited += [one.lines(rank) for rank, word in one.held.items() if word == "taken"]

    async def _green(self, project: str) -> None:
        git, _ = await Git.open(Path(project))
        if git is None:
            return
        for id in await self._unmarked(project):
            one = await self._of(id, project)
            if one is None or not one.base or not one.red:
                continue
            seen = Seen(before=await _committed(git, one.base, one.paths), now=await _tree(Path(project), one.paths))
            ranks = [rank for rank in tree_says(one, seen) if rank in one.red]
            for rank in ranks:
                await self._keep(id, rank, "partly", "verify")

    async def _unmarked(self, project: str) -> tuple[str, ...]:
        return await self._store.memory.unmarked(project, datetime.now(UTC) - BACK, NEWEST)

    async def _of(self, id: str, project: str, *, again: bool = False) -> Suggested | None:
        """What a consultation of this project suggested; None for one of another project."""
        if id not in self._suggested or again:
            kept = await self._store.get(id)
            if kept.question.project != project:
                return None
            _remember(self._suggested, id, await anyio.to_thread.run_sync(suggested, kept, SAYS["fails"]))
        return self._suggested[id]

    async def _mark(self, one: Suggested, told: dict[int, Word]) -> None:
        for rank, word in told.items():
            if one.held.get(rank) != word:
                # A commit's `wrong` is no proof of anything; it only takes its `worked` back (`store.rows.combined`).
                await self._keep(one.id, rank, "worked" if word == "taken" else "wrong", "commit")

    async def _keep(self, id: str, rank: int, outcome: OutcomeName, source: OutcomeSource) -> None:
        kept = await self._store.get(id)
        if all(label.source == "commit" for label in kept.labels):  # nobody with a better word was quicker
            await self._store.mark(label_of(kept, ((rank, outcome),), source), outcome, rank)


def _among(lines: frozenset[tuple[str, str]], credited: Sequence[frozenset[tuple[str, str]]]) -> bool:
    return any(lines <= others for others in credited)


def _remember(kept: OrderedDict[str, T], id: str, what: T) -> None:
    kept[id] = what
    if len(kept) > KEPT:
        kept.popitem(last=False)


async def _seen(git: Git, one: Suggested, head: str) -> Seen:
    """The commits since a consultation, and its files before and after them; nothing where its commit is unknown here."""
    base, paths = await git.resolve(one.base), one.paths[:MOST_FILES]
    if not base or base == head:
        return Seen({}, {})
    commits = await _log(git, f"{base}..{head}", paths, one.started)
    if not commits:
        return Seen({}, {})
    return Seen(await _committed(git, base, paths), await _committed(git, head, paths), commits)


async def _log(git: Git, span: str, paths: Sequence[str], since: datetime) -> tuple[Made, ...]:
    mark = secrets.token_hex(12)  # a name that no diff and no message has
    logged = await git.run(
        "log", *DIFF_FLAGS, "--unified=0", "-p", "--reverse", "--no-merges", f"--max-count={MOST_COMMITS}",
        "--no-show-signature", "--no-mailmap", "--encoding=UTF-8", f"--format={mark}%ct %H%x00%B%x00",
        "--end-of-options", span, "--", *paths, timeout_s=HARVEST_S, max_bytes=MOST_BYTES,
    )  # fmt: skip
    if not logged.ok or logged.cut:  # of a part it cannot be told what became of it later
        return ()
    return await anyio.to_thread.run_sync(commits_of, logged.text, mark, since)


async def _committed(git: Git, rev: str, paths: Iterable[str]) -> dict[str, frozenset[str]]:
    found = {}
    for path in tuple(paths)[:MOST_FILES]:
        data = await git.show(rev, path)
        if data is not None:
            found[path] = await anyio.to_thread.run_sync(_lines, data)
    return found


async def _tree(root: Path, paths: Iterable[str]) -> dict[str, frozenset[str]]:
    """The files as they are on disk."""

    def read() -> dict[str, frozenset[str]]:
        found = {}
        for path in tuple(paths)[:MOST_FILES]:
            place = confine(root, path)
            with suppress(OSError):
                if place and place.stat().st_size <= MOST_BYTES:
                    found[path] = _lines(place.read_bytes())
        return found

    return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)


def _lines(data: bytes) -> frozenset[str]:
    return frozenset(telling(data.decode("utf-8", "replace").splitlines()))
