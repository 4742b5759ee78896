"""What is remembered of consultations: searched by words (FTS5) and by meaning, shown to later councils, forgotten.

A memory is written in the transaction that begins its consultation, and completed in the one that ends it, so that
there is none without the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from orchestra_mcp.store import forgetting, memoryrows, rows, wordsearch
from orchestra_mcp.store.database import Unit
from orchestra_mcp.store.memorywords import scope_expression, terms, terms_of
from orchestra_mcp.store.vectors import Shelf, pack
from orchestra_mcp.types import Found, Memory

T = TypeVar("T")
Run = Callable[[Unit[T]], Awaitable[T]]

MOST: Final = 1000
"""Results of one search that can be paged through."""
FILLED_AT_ONCE: Final = 100
"""Old consultations that are remembered in one transaction, well under a second."""
RECALLED: Final = 4
"""So many times more candidates are looked at than memories are wanted: some have no verdict."""


class Memories:
    """Past consultations, to be found again.

    Args:
        write: runs a unit as one transaction in the writer's thread.
        read: runs a unit on one consistent state.
        alive: tells whether the process with an owner's token still lives.
        clean: takes the traces of deleted rows out of the files; see `database.wipe`.
    """

    def __init__(
        self,
        write: Run[Any],
        read: Run[Any],
        alive: Callable[[str], bool],
        clean: Callable[[], Awaitable[None]],
    ) -> None:
        self._write, self._read, self._alive, self._clean = write, read, alive, clean
        self._shelf = Shelf(memoryrows.MOST_VECTORS)
        self._filled = False

    async def search(
        self,
        query: str,
        project: str | None = None,
        limit: int = 20,
        *,
        offset: int = 0,
        workspace: str | None = None,
        vector: Sequence[float] = (),
        embedder: str = "",
    ) -> tuple[Found, ...]:
        """Consultations of any status whose words (or, with a vector, meaning) fit, best first.

        All words have to be there; where that leaves few, those with some of the words follow. Of what fits, the newest
        thousand are ranked.

        Args:
            query: words as people type them; quotation marks keep words together, a word that ends in * is a beginning.
                Anything is allowed; nothing in it is a query language that could fail.
            project: an absolute root; None for all.
            limit: at most so many.
            offset: how many to skip.
            workspace: only what its keys asked; None for all.
            vector: of the query, for a search by meaning too.
            embedder: who made the vector; others are not comparable.
        """
        await self.fill(1)
        wanted = terms(query)
        project = None if project is None else rows.clean(project)
        scope = scope_expression(project, workspace)
        last = min(max(offset, 0) + max(limit, 0), MOST)

        def unit(connection: sqlite3.Connection) -> tuple[Found, ...]:
            words = wordsearch.by_words(connection, wanted, scope, last)
            running = wordsearch.going_on(connection, wanted, scope, last)
            near = memoryrows.by_meaning(connection, self._shelf, vector, embedder, project, workspace, last)
            scores = dict(list(memoryrows.fused(list(words), list(running), near).items())[max(offset, 0) : last])
            said = wordsearch.snippets(connection, {number: words[number] for number in scores if number in words})
            return memoryrows.shown(connection, scores, said | running, self._alive)

        found: tuple[Found, ...] = await self._read(unit)
        return found

    async def recall(
        self,
        words: Sequence[str],
        project: str | None,
        limit: int = 8,
        *,
        everywhere: bool = False,
        workspace: str | None = None,
        vector: Sequence[float] = (),
        embedder: str = "",
    ) -> tuple[Memory, ...]:
        """Finished consultations of a project that share words (or meaning) with a new question, best first.

        Args:
            words: what the new question speaks of.
            project: an absolute root; None or empty for what was asked outside of any project.
            limit: at most so many.
            everywhere: those of other projects too.
            workspace: only what its keys asked; None for all.
            vector: of the question, to compare by meaning too.
            embedder: who made the vector.

        Returns:
            memories; `score` is the share of what the words say (weighted by how rare they are) that a memory has too,
            0 to 1. It is 0 for one that was found by meaning alone.
        """
        await self.fill(1)
        wanted = terms_of(words)
        root = None if everywhere else rows.clean(project or "")
        scope = scope_expression(root, workspace)
        most = max(limit, 0) * RECALLED

        def unit(connection: sqlite3.Connection) -> tuple[Memory, ...]:
            shares = memoryrows.alike(connection, wanted, scope, most)
            near = memoryrows.by_meaning(connection, self._shelf, vector, embedder, root, workspace, most)
            found = list[Memory]()
            for number in memoryrows.fused(list(shares), near):
                if len(found) >= limit:
                    break
                if memory := memoryrows.memory(connection, number, shares.get(number, 0.0)):
                    found.append(memory)
            return tuple(found)

        memories: tuple[Memory, ...] = await self._read(unit)
        return memories

    async def fill(self, batches: int | None = None) -> bool:
        """Remember consultations that were kept before there were memories, some in each of so many batches.

        Searches do one batch each; call it once without a limit, in the background, after an upgrade. Returns True when
        nothing is left to do.
        """
        done = 0
        while not self._filled and (batches is None or done < batches):
            self._filled = not await self._write(self._fill)
            done += 1
        return self._filled

    def _fill(self, connection: sqlite3.Connection) -> bool:
        more = memoryrows.fill(connection, FILLED_AT_ONCE)
        if not more:
            memoryrows.settle(connection, self._alive)
        return more

    # ------------------------------------------------------------------------------------------------- by meaning

    async def unmeant(self, embedder: str, limit: int = 100) -> tuple[tuple[str, str], ...]:
        """(id, question) of the newest memories that have no vector of this embedder yet."""

        def unit(connection: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
            return tuple(
                connection.execute(
                    "SELECT consultation, question FROM "
                    "(SELECT id, consultation, question FROM memories ORDER BY id DESC LIMIT :newest) WHERE NOT EXISTS "
                    "(SELECT 1 FROM memory_vectors WHERE memory = id AND embedder = :embedder) LIMIT :limit",
                    {"newest": memoryrows.MOST_VECTORS, "embedder": embedder, "limit": max(limit, 0)},
                )
            )

        found: tuple[tuple[str, str], ...] = await self._read(unit)
        return found

    async def mean(self, embedder: str, vectors: Sequence[tuple[str, Sequence[float]]]) -> None:
        """Keep vectors of memories, by the consultation's id; one that was forgotten meanwhile is passed over."""
        packed = [(embedder, pack(memoryrows.unit_vector(vector)), id) for id, vector in vectors]

        def unit(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO memory_vectors (memory, embedder, vector) "
                "SELECT id, ?, ? FROM memories WHERE consultation = ?",
                packed,
            )

        await self._write(unit)

    # ---------------------------------------------------------------------------------------------------- outcomes

    async def unmarked(self, project: str, since: datetime, limit: int = 20) -> tuple[str, ...]:
        """Ids of finished consultations of a project without any outcome, newest first."""
        given = {"project": rows.clean(project), "since": rows.stamp(since), "limit": max(limit, 0)}

        def unit(connection: sqlite3.Connection) -> tuple[str, ...]:
            found = connection.execute(
                "SELECT id FROM consultations WHERE project = :project AND started >= :since AND "
                f"{memoryrows.FINISHED} AND NOT EXISTS (SELECT 1 FROM outcomes WHERE consultation = id) "
                "ORDER BY started DESC, rowid DESC LIMIT :limit",
                given,
            )
            return tuple(id for (id,) in found)

        ids: tuple[str, ...] = await self._read(unit)
        return ids

    async def follow_up(self, id: str) -> bool:
        """Take the one turn to ask what became of a consultation; False when somebody asked already."""

        def unit(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "INSERT INTO follow_ups (consultation, at) SELECT id, ? FROM consultations WHERE id = ? "
                "ON CONFLICT DO NOTHING",
                (rows.now(), id),
            )
            return done.rowcount > 0

        taken: bool = await self._write(unit)
        return taken

    # -------------------------------------------------------------------------------------------------- forgetting

    async def chosen(
        self, *, project: str | None = None, before: datetime | None = None, ids: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Ids of the consultations that fit all that is given, oldest first; for export and `forget`.

        Args:
            project: an absolute root; empty for those of none, None for all.
            before: only those that began before this moment.
            ids: only these; each may be the unambiguous beginning of one, or `latest`. Empty for all.

        Raises:
            NotFound: an id fits none or several.
        """

        def unit(connection: sqlite3.Connection) -> tuple[str, ...]:
            return forgetting.chosen(connection, project, before, ids)

        found: tuple[str, ...] = await self._read(unit)
        return found

    async def forget(self, ids: Sequence[str]) -> int:
        """Remove consultations with all that was said, sent, learnt and remembered of them; returns how many there were.

        What calls cost stays, without saying for what. Deleted text does not stay behind in the file. One that still
        runs is left alone. Many are removed in batches, between which others write; when it is cancelled, some of them
        are still there.
        """
        gone = 0
        given = list(dict.fromkeys(ids))
        for start in range(0, len(given), forgetting.AT_ONCE):
            batch = given[start : start + forgetting.AT_ONCE]
            gone += await self._write(partial(forgetting.remove, ids=batch, alive=self._alive))
        if gone:
            await self._clean()
        return gone
