"""The store that everybody has: one SQLite file in the data directory, shared by all server processes of a user.

Two connections, each with its own thread: one writes whole units of work, one reads. The waiting side stays on the
event loop; a task that is cancelled stops waiting, and the transaction is whole or absent.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store import aftercare, database, forgetting, lookup, memoryrows, rows
from orchestra_mcp.store.alerts import AlertBook
from orchestra_mcp.store.calls import CallLog
from orchestra_mcp.store.costs import CostRow, Dimension, spending
from orchestra_mcp.store.database import Lock, NoLock, Place, Unit, Worker
from orchestra_mcp.store.latency import latencies
from orchestra_mcp.store.ledger import Purses
from orchestra_mcp.store.locks import OwnerLock, WriterLock
from orchestra_mcp.store.memories import Memories
from orchestra_mcp.types import (
    Ballot,
    CallRecord,
    Consultation,
    Dossier,
    Entry,
    Label,
    Latency,
    OutcomeName,
    Question,
    Status,
    Summary,
    Turn,
    Verdict,
)

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
ALONE: Final = "alone"
"""The owner of consultations that nobody else can see."""
WIPE_AGAIN_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
"""After such waits the journal is tried again, while others read an older state."""
CLOSE_S: Final = 1.0
"""How long closing may take; what cannot be written by then never was acknowledged."""
FAILURES: Final = (sqlite3.Error, OSError)

INSERT_CONSULTATION: Final = """
    INSERT INTO consultations (id, thread, project, strategy, mode, status, started, owner, text, question, spoken)
    VALUES (?, ?, ?, ?, ?, 'running', ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
# No INSERT … SELECT: it would copy the body into a table of its own first, since it reads the one that it writes.
INSERT_ENTRY: Final = """
    INSERT INTO entries (consultation, seq, kind, seat, at, body)
    VALUES (:id, 1 + (SELECT coalesce(max(seq), 0) FROM entries WHERE consultation = :id), :kind, :seat, :at, :body)
"""
INSERT_CALL: Final = (
    f"INSERT INTO calls ({', '.join(rows.CALL_COLUMNS)}) VALUES ({', '.join('?' * len(rows.CALL_COLUMNS))})"
)
# A verdict that is there is never replaced by none: what was answered stays answered.
FINISH: Final = """
    UPDATE consultations SET status = ?, ended = ?, confidence = ?, failure = ?, verdict = ?
    WHERE id = ? AND (verdict IS NULL OR ?)
"""
INSERT_CONSENT: Final = "INSERT INTO consents (project, provider, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

MARK: Final = f"""
    INSERT INTO outcomes ({", ".join(rows.OUTCOME_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (consultation, source, solution) DO UPDATE SET at = excluded.at, outcome = excluded.outcome,
        label = excluded.label
"""


class SqliteStore:
    """`base.Store` on SQLite; made by `open`."""

    def __init__(self, home: Path | None, trouble: str = "") -> None:
        self._place = Place(home or Path())
        self._alone = home is None
        self._lock: Lock = NoLock() if home is None else WriterLock(self._place.lock)
        self._owner: OwnerLock | None = None
        self._writer = Worker(self._start if home else database.connect_alone)
        # One connection has a database in memory, and no second one.
        self._reader = Worker(partial(database.connect_reader, self._place)) if home else self._writer
        self._file = str(self._place.database)
        self._identity: tuple[int, int] | None = None
        self._trouble, self._failing = trouble, ""
        self._consents: dict[str, frozenset[str]] = {}
        """What was last known of projects: to be asked again is no use when the answer cannot be read either."""
        self._unclean = False
        self._closed = False
        self._calls = CallLog(self._write)
        self.purses = Purses(self._write, lambda: self._token, lambda token: self._alive(token))
        """What budgets hold; see `ledger`."""
        self.memory = Memories(self._write, self._read, self._alive, self._clean)
        """What is remembered of finished consultations."""
        self.alerts = AlertBook(self._write, self._read, standing_in=bool(trouble))
        """Rules that have fired."""

    @classmethod
    async def open(cls, home: Path | None, trouble: str = "") -> SqliteStore:
        """Open, and create or migrate if need be.

        Args:
            home: the data directory; None for a database in memory.
            trouble: what `trouble` says.

        Raises:
            StoreError: it cannot be used.
        """
        store = cls(home, trouble)
        try:
            _ = await store._writer
            if store._reader is not store._writer:
                _ = await store._reader
        except FAILURES as error:
            await store.close()
            raise database.explain(error, store._place) from error
        except BaseException:
            await store.close()
            raise
        return store

    def _start(self) -> sqlite3.Connection:
        database.prepare(self._place)
        owner = OwnerLock(self._place.owners)
        try:
            owner.sweep()
            connection = database.connect_writer(self._place, self._lock)
        except BaseException:
            owner.release()
            raise
        if self._closed:  # whoever was opening us has been cancelled
            owner.release()
            database.shut(connection, self._lock)
            raise StoreError("The store was closed while it was being opened.")
        self._owner = owner
        self._identity = database.identity(self._file)
        return connection

    @property
    def trouble(self) -> str:
        """Why what is kept is not kept as it should be; empty when all is well."""
        return self._trouble or self._failing

    @property
    def makeshift(self) -> str:
        """Why this store stands in for another one; empty when it is the real one."""
        return self._trouble

    # ------------------------------------------------------------------------------------------------- writing

    async def begin(self, id: str, question: Question, thread: str) -> None:
        """Record that a consultation has started, owned by this process, status `running`."""
        at = rows.now()
        row = (
            rows.clean(id), rows.clean(thread), rows.clean(question.project or ""), question.strategy, question.mode,
            at, self._token, rows.clean(question.text), rows.encode(question), question.spoken,
        )  # fmt: skip
        remember = memoryrows.added(id, question, at)

        def unit(connection: sqlite3.Connection) -> None:
            if not connection.execute(INSERT_CONSULTATION, row).rowcount:
                raise StoreError(f"A consultation {id} is in the store already; a new one needs a new id.")
            remember(connection)

        await self._write(unit)

    async def add(self, id: str, *entries: Entry) -> None:
        """Append entries in one transaction, in the order given."""
        if entries:
            await self._write(_appending(id, entries))

    def note(self, call: CallRecord) -> None:
        """Keep a call that no consultation adds itself; written within a second, never waited for."""
        self._calls.note(call)

    async def finish(
        self, id: str, status: Status, verdict: Verdict | None, failure: str = "", *entries: Entry
    ) -> None:
        """Record the end. A verdict that is there is never replaced by none: what was answered stays answered."""
        append = _appending(id, entries)
        stated, body = (None, None) if verdict is None else (verdict.confidence, rows.encode(verdict))
        row = (status, rows.now(), stated, rows.clean(failure), body, id, verdict is not None)
        remember = memoryrows.ended(id, verdict)

        def unit(connection: sqlite3.Connection) -> None:
            append(connection)
            if not connection.execute(FINISH, row).rowcount:
                lookup.require(connection, id)
            remember(connection)

        await self._write(unit)

    async def mark(self, label: Label, outcome: OutcomeName, solution: int) -> Label:
        """Remember what became of one solution; returns what all marks of the consultation say together."""
        row = rows.outcome_row(label, outcome, solution)

        def unit(connection: sqlite3.Connection) -> Label:
            lookup.require(connection, label.consultation)
            connection.execute(MARK, row)
            return lookup.known_outcomes(connection, label.consultation) or label

        return await self._write(unit)

    async def allow(self, project: str, providers: frozenset[str]) -> None:
        """Remember the user's consent."""
        at = rows.now()
        consents = [(rows.clean(project), rows.clean(provider), at) for provider in sorted(providers)]

        self._consents[project] = self._consents.get(project, frozenset()) | providers

        def unit(connection: sqlite3.Connection) -> None:
            connection.executemany(INSERT_CONSENT, consents)

        try:
            await self._write(unit)
        except StoreError as error:
            _LOG.warning("What was allowed counts until Orchestra ends, and was not kept: %s", error)

    async def look_after(self) -> None:
        """Finish what other processes left undone, by being killed or being of an earlier version; for now and then."""
        if await self._read(forgetting.unfinished):
            await self._clean()
        missed = await self._read(partial(aftercare.missed, alive=self._alive))
        for start in range(0, len(missed), aftercare.AT_ONCE):
            batch = missed[start : start + aftercare.AT_ONCE]
            await self._write(partial(aftercare.remember, numbers=batch, alive=self._alive))

    async def _clean(self) -> None:
        """Take the words of what was removed out of the index, and cut off the journal once nobody reads an older state;
        when that does not happen soon, closing tries again, and then the next process.
        """
        if self._alone:
            return
        number, begin = await self._read(forgetting.unfinished), True
        while await self._write(partial(forgetting.merge, begin=begin)):
            begin = False
        if await self._read(forgetting.crowded):
            await self._run(self._writer, self._flatten)
        self._unclean = True
        for wait in (0.0, *WIPE_AGAIN_S):
            await anyio.sleep(wait)
            if await self._run(self._writer, partial(database.wipe, lock=self._lock)):
                self._unclean = False
                await self._write(partial(forgetting.finished, number=number))
                return

    def _flatten(self, _: sqlite3.Connection) -> None:
        """See `forgetting.flatten`; on a connection of its own."""
        connection = database.connect_writer(self._place, self._lock)
        try:
            database.write(connection, self._lock, forgetting.flatten)
        finally:
            with self._lock.held(database.WAIT_S):
                connection.close()

    async def _write(self, unit: Unit[T]) -> T:
        try:
            result = await self._run(self._writer, partial(self._checked, write=unit))
        except StoreError as error:
            if isinstance(error.__cause__, FAILURES):
                self._failing = str(error)
            raise
        self._failing = ""
        return result

    def _checked(self, connection: sqlite3.Connection, write: Unit[T]) -> T:
        """Write, unless the file that we have open is not the one that others see: what it says would be lost."""
        if not self._alone and database.identity(self._file) != self._identity:
            raise OSError(errno.ESTALE, "another file")
        return database.write(connection, self._lock, write)

    # ------------------------------------------------------------------------------------------------- reading

    async def get(self, id: str) -> Consultation:
        """One consultation, whole. Raises NotFound with the ids that come closest."""
        return await self._read(lambda connection: lookup.consultation(connection, id, self._alive))

    async def list(
        self, limit: int = 20, project: str | None = None, *, before: str = "", workspace: str | None = None
    ) -> tuple[Summary, ...]:
        """The newest consultations, newest first; see `base.Store.list`."""
        unit = partial(
            lookup.summaries, limit=limit, project=project, alive=self._alive, before=before, workspace=workspace
        )
        return await self._read(unit)

    async def projects(self, limit: int = 50) -> tuple[str, ...]:
        """Roots that the owner asked about, the one asked about last first; see `base.Store.projects`."""
        return await self._read(lambda connection: lookup.projects(connection, limit))

    async def thread(self, id: str) -> tuple[Turn, ...]:
        """The finished turns of the conversation that `id` belongs to, oldest first."""
        return await self._read(lambda connection: lookup.turns(connection, id))

    async def spent_since(self, when: datetime) -> Decimal:
        """What all calls since then cost, in US dollars."""
        since = rows.stamp(when)
        return await self._read(lambda connection: lookup.spent(connection, since))

    async def costs(
        self, by: Dimension, since: datetime, until: datetime | None = None, purpose: str = ""
    ) -> tuple[CostRow, ...]:
        """What calls cost, by one dimension and by model; see `costs.spending`."""
        await self._calls.flush()
        return await self._read(lambda connection: spending(connection, by, since, until, purpose))

    async def latency(self, by: Dimension, since: datetime, until: datetime | None = None) -> tuple[Latency, ...]:
        """How long calls took, by one dimension; see `latency.latencies`."""
        await self._calls.flush()
        return await self._read(lambda connection: latencies(connection, by, since, until))

    async def labels(self, limit: int = 2000) -> tuple[Label, ...]:
        """One label for each of the last marked consultations, newest first."""
        return await self._read(lambda connection: lookup.labels(connection, limit))

    async def recent_ballots(self, limit: int = 400) -> tuple[tuple[Ballot, ...], ...]:
        """The ballots of the newest consultations that have any, newest first."""
        return await self._read(lambda connection: lookup.ballots(connection, limit))

    async def allowed(self, project: str) -> frozenset[str]:
        """Providers that the user has allowed to see this project's code."""
        try:
            found = await self._read(lambda connection: lookup.consents(connection, rows.clean(project)))
        except StoreError as error:
            _LOG.warning("What was allowed cannot be read: %s", error)
            return self._consents.get(project, frozenset())
        self._consents[project] = found | self._consents.get(project, frozenset())
        return self._consents[project]

    async def _read(self, unit: Unit[T]) -> T:
        return await self._run(self._reader, partial(database.read, unit=unit))

    async def _run(self, worker: Worker, unit: Unit[T]) -> T:
        if self._closed:
            raise StoreError("The store of consultations is closed.")
        try:
            return await worker.run(unit)
        except FAILURES as error:
            raise database.explain(error, self._place) from error

    @property
    def _token(self) -> str:
        return self._owner.token if self._owner else ALONE if self._alone else ""

    def _alive(self, token: str) -> bool:
        return (self._alone and token == ALONE) or bool(self._owner and self._owner.alive(token))

    # ------------------------------------------------------------------------------------------------- the end

    async def close(self) -> None:
        """Write what is pending, at most for `CLOSE_S` seconds, and let go of everything; may be called twice."""
        if self._closed:
            return
        with anyio.move_on_after(CLOSE_S, shield=True):
            # Not when the database cannot be written; a failure has been told to whoever waited for it.
            for pending in (self.purses, self._calls):
                with suppress(StoreError, ValueError):
                    await pending.close()
        self._closed = True
        self._lock.last_call = time.monotonic() + CLOSE_S
        with anyio.move_on_after(CLOSE_S + 0.5, shield=True):
            with suppress(*FAILURES, ValueError):  # ValueError: it never was open
                if self._reader is not self._writer:
                    await self._reader.close()
                if self._unclean:
                    await self._writer.run(partial(database.wipe, lock=self._lock))
                await self._writer.run(partial(database.shut, lock=self._lock))
                await self._writer.close()
            await self._reader.ended()
            await self._writer.ended()
        if self._owner:
            self._owner.release()


def _appending(id: str, entries: Sequence[Entry]) -> Unit[None]:
    """Puts entries after those that a consultation has."""
    calls = [rows.call_row(id, entry) for entry in entries if isinstance(entry, CallRecord)]
    said = [entry for entry in entries if not isinstance(entry, CallRecord)]
    others = [rows.entry_row(id, entry) for entry in said]
    continued = [(at, entry) for at, entry in enumerate(said) if isinstance(entry, Dossier) and entry.history]

    def unit(connection: sqlite3.Connection) -> None:
        for at, dossier in continued:
            others[at] = rows.entry_row(id, forgetting.without_the_forgotten(connection, id, dossier))
        # Nothing is deleted here, and overwriting what is free costs a fifth of the time.
        connection.execute("PRAGMA secure_delete = FAST")
        try:
            connection.executemany(INSERT_ENTRY, others)
            connection.executemany(INSERT_CALL, calls)
        except sqlite3.IntegrityError:  # foreign keys do not say which
            lookup.require(connection, id)
            raise
        finally:
            connection.execute("PRAGMA secure_delete = ON")

    return unit
