"""One SQLite file for many processes: how it is opened, migrated and written, and what its errors mean to people.

Everything here blocks; `Worker` is the thread in which it runs.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

import aiosqlite
import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store.locks import make_private
from orchestra_mcp.store.migrations import LATEST, MIGRATIONS, statements

T = TypeVar("T")
Unit = Callable[[sqlite3.Connection], T]
"""A whole unit of work: all statements of one transaction."""

WAIT_S: Final = 15.0
"""Longest wait for another writer, in seconds; with the lock file in place real waits are milliseconds."""

CHECKPOINT_PAGES: Final = 4000
"""Pages that are written again and again are copied into the file once for so many, 16 MB: a quarter of the syncs."""


class Lock(Protocol):
    """What writers queue on; see `locks.WriterLock`."""

    last_call: float

    def held(self, timeout_s: float) -> AbstractContextManager[None]:
        """Hold it."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class NoLock:
    """For a database that nobody else can reach."""

    last_call = float("inf")

    @contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:  # noqa: ARG002
        """Hold nothing."""
        yield

    def close(self) -> None:
        """Let go of nothing."""


class Place(NamedTuple):
    """Where the parts of a store lie."""

    home: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "orchestra.db"

    @property
    def lock(self) -> Path:
        """The lock file of all writers; never removed."""
        return self.home / "orchestra.lock"

    @property
    def owners(self) -> Path:
        """Directory of the lock files of living processes."""
        return self.home / "run"

    def __str__(self) -> str:
        """The data directory as people may see it: never an absolute path, which would name the user."""
        with suppress(ValueError, RuntimeError):
            return f"~/{self.home.absolute().relative_to(Path.home()).as_posix()}"
        return "$ORCHESTRA_HOME"


class Worker(aiosqlite.Connection):
    """A connection with a thread of its own, in which whole units of work run in the order in which they came.

    One hop for each transaction instead of one for each statement. Whoever stops waiting for a unit does not stop
    the unit: it runs to its end, and those that came later after it.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # a unit that waits for a stuck lock must not keep the process from ending

    async def run(self, unit: Unit[T]) -> T:
        """Run a unit and return what it returns. Raises ValueError when the connection is closed."""
        result: T = await self._execute(unit, self._conn)  # type: ignore[no-untyped-call]
        return result

    async def ended(self) -> None:
        """Wait until the thread has ended, after `close` or a failed start: it must not call a loop that is gone."""
        if self._thread.is_alive():
            await anyio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)


def prepare(place: Place) -> None:
    """Make the directories and the empty file, for nobody else's eyes. An existing directory keeps its mode."""
    place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.owners.mkdir(mode=0o700, exist_ok=True)
    make_private(place.database)


def connect_writer(place: Place, lock: Lock) -> sqlite3.Connection:
    """Open the one connection of this process that writes, and bring the schema up to date.

    All of it happens under the writers' lock: while the first process recovers after a crash, or the last one cleans
    up, SQLite answers "database is locked" without asking its busy handler.
    """
    with lock.held(WAIT_S):
        connection = sqlite3.connect(place.database, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # NORMAL does not sync at each commit: a killed process loses nothing, since the kernel has the pages;
            # a power cut may lose the last commits, but never damages the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is forgotten must not stay on free pages
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            migrate(connection, place)
            connection.execute("BEGIN IMMEDIATE")  # a file that cannot be written says so now, not in mid-council
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
    return connection


def connect_alone() -> sqlite3.Connection:
    """Open a database in memory, for whoever has neither a directory nor a disk."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection, Place(Path()))
    return connection


def identity(file: str) -> tuple[int, int] | None:
    """Which file the database is now; None when there is none."""
    try:
        info = os.stat(file)  # noqa: PTH116 - before every write: a Path costs ten times as much
    except OSError:
        return None
    return info.st_dev, info.st_ino


def connect_reader(place: Place) -> sqlite3.Connection:
    """Open a connection that only reads; with the write-ahead log, writers and readers do not wait for each other."""
    connection = sqlite3.connect(place.database, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -8000")  # kilobytes; a search looks at many pages more than once
    return connection


def migrate(connection: sqlite3.Connection, place: Place) -> None:
    """Run the missing migrations, all or none.

    Raises:
        StoreError: the schema is newer than this Orchestra.
    """
    if _version(connection) == LATEST:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # again: another process may have been first
        if version > LATEST:
            raise StoreError(
                f"The database in {place} has schema {version}; this orchestra knows {LATEST} at most. "
                "Upgrade orchestra, or set ORCHESTRA_HOME to another directory."
            )
        for script in MIGRATIONS[version:]:
            for statement in statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {LATEST}")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def write(connection: sqlite3.Connection, lock: Lock, unit: Unit[T]) -> T:
    """Run a unit in a transaction that is a write from its beginning: one that upgrades later fails at once."""
    with lock.held(WAIT_S):
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = unit(connection)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
    return result


def read(connection: sqlite3.Connection, unit: Unit[T]) -> T:
    """Run a unit on one consistent state of the database."""
    connection.execute("BEGIN")
    try:
        return unit(connection)
    finally:
        _roll_back(connection)


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # some errors have rolled back already
        connection.execute("ROLLBACK")


def wipe(connection: sqlite3.Connection, lock: Lock) -> bool:
    """Cut off the write-ahead log, which holds pages as they were before something was deleted from them.

    Returns False when somebody reads an older state just now; nobody is kept waiting for that.
    """
    with lock.held(WAIT_S):
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(WAIT_S * 1000)}")
    return not busy


def shut(connection: sqlite3.Connection, lock: Lock) -> None:
    """Close the writing connection under the lock (see `connect_writer`), or without it when it cannot be had."""
    try:
        with lock.held(WAIT_S):
            connection.close()
    except OSError:
        connection.close()
    lock.close()


# What went wrong and what to do about it, by the beginning of SQLite's name of the error; the first match counts.
DAMAGED: Final = (
    "The database orchestra.db in {place} is damaged. Nothing was deleted. Close all sessions of Orchestra, move "
    "orchestra.db, orchestra.db-wal and orchestra.db-shm there to another directory, and try again: a new one is "
    "made. `sqlite3 orchestra.db .recover` may save what the old one held."
)
FULL: Final = "The disk that holds {place} is full: free some space, or set ORCHESTRA_HOME to another disk."
GONE: Final = (
    "The database orchestra.db in {place} was moved, deleted or replaced while Orchestra had it open, so nothing more can "
    "be kept in it: restart Orchestra (in an editor, its MCP server)."
)
FORBIDDEN: Final = (
    "The data directory {place} cannot be written ({reason}): make it writable for you, or set ORCHESTRA_HOME to "
    "another directory."
)
BUSY: Final = (
    "The database in {place} was kept locked by another program for too long: close programs that have "
    "orchestra.db open, then try again."
)
BY_SQLITE_NAME: Final = (
    ("SQLITE_CORRUPT", DAMAGED),
    ("SQLITE_NOTADB", DAMAGED),
    ("SQLITE_FULL", FULL),
    ("SQLITE_READONLY", FORBIDDEN),
    ("SQLITE_CANTOPEN", FORBIDDEN),
    ("SQLITE_PERM", FORBIDDEN),
    ("SQLITE_AUTH", FORBIDDEN),
    ("SQLITE_BUSY", BUSY),
    ("SQLITE_LOCKED", BUSY),
)
OTHERWISE: Final = (
    "The database in {place} cannot be used ({reason}): run `orchestra doctor`, or set ORCHESTRA_HOME to another "
    "directory."
)


def explain(error: Exception, place: Place) -> StoreError:
    """The error of a database, a lock or a file system, in words that say what to do."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, TimeoutError):
        return StoreError(BUSY.format(place=place))
    if isinstance(error, OSError):
        if error.errno == errno.ESTALE:
            return StoreError(GONE.format(place=place))
        saying = FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else FORBIDDEN
        return StoreError(saying.format(place=place, reason=error.strerror or type(error).__name__))
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    saying = next((saying for start, saying in BY_SQLITE_NAME if name.startswith(start)), OTHERWISE)
    return StoreError(saying.format(place=place, reason=str(error) or name))
