"""Replies that are kept, the questions they belong to, and what was said of offers: `cache.db`, in SQLite.

It is a cache: nothing here raises, nothing here is worth a repair, and the files may be deleted at any time while no
Orchestra runs. A file of another version is emptied. One that is damaged is left to those who still have it open, and
the next *generation* (`cache-1.db`, …) is begun beside it: to delete what others have open would let two processes
write into one journal. Every reply carries a checksum with its key, so that damage is never taken for an answer.

All of it happens in one thread (`_Clerk`) in the order in which it was asked for. Writing returns at once; when more
than `MOST_WAITING` writes wait, new ones are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio

from orchestra_mcp.store.locks import make_private
from orchestra_mcp.store.vectors import Shelf, pack

T = TypeVar("T")
Unit = Callable[[sqlite3.Connection], T]
Offered = tuple[str, int, bytes, str, str, float]
"""Id, number of the question, hash of what was asked, class, scope, score."""

_LOG = logging.getLogger(__name__)
VERSION: Final = 1
MAX_GENERATIONS: Final = 100
MOST_WAITING: Final = 2000
MOST_QUESTIONS: Final = 20_000
"""Newest questions of one partition that are looked at."""
WRITE_S: Final = 0.25
"""Replies wait so long for company; those that are kept in memory are found meanwhile."""
BATCH: Final = 50
BATCH_BYTES: Final = 1_000_000
"""No more replies, or bytes of replies, wait."""
FRESH_S: Final = 2.0
"""What other processes have kept is seen after so long at the latest."""
ROOM_S: Final = 10.0
ROOM_PUTS: Final = 100
"""Too many and too old ones are looked for after so long, or so many new ones."""
KEY_PART: Final = 8
MOST_KEYS: Final = 100_000
WAIT_S: Final = 2.0
"""Longest wait for another process that writes; then there is no reply."""
_TABLES: Final = ("reply", "question", "offer")
_SCHEMA: Final = """
CREATE TABLE reply (key BLOB PRIMARY KEY, at REAL NOT NULL, until REAL NOT NULL, used REAL NOT NULL,
    size INTEGER NOT NULL, sum BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX reply_used ON reply (used);
CREATE TABLE question (id INTEGER PRIMARY KEY AUTOINCREMENT, partition BLOB NOT NULL, tag TEXT NOT NULL,
    text TEXT NOT NULL, key BLOB NOT NULL, vector BLOB NOT NULL, at REAL NOT NULL, until REAL NOT NULL,
    UNIQUE (partition, tag, key));
CREATE INDEX question_page ON question (partition, tag);
CREATE TABLE offer (id TEXT PRIMARY KEY, question INTEGER NOT NULL, asked BLOB NOT NULL, kind TEXT NOT NULL,
    scope TEXT NOT NULL, score REAL NOT NULL, at REAL NOT NULL, good INTEGER, UNIQUE (question, asked));
CREATE INDEX offer_kind ON offer (kind, scope) WHERE good IS NOT NULL;
"""


class SqliteReplies:
    """Keeps replies in a file of the data directory; has the shape of `gateway.caching.replies.Questions`.

    Args:
        home: the data directory; made when missing.
        most_bytes: bodies that are kept; those that were not used for longest make room.
        clock: seconds since 1970.
    """

    def __init__(self, home: Path, *, most_bytes: int = 256_000_000, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._most = most_bytes
        self._clerk = _Clerk(home)
        self._shelf = Shelf(MOST_QUESTIONS)
        self._shelved = 0
        self._waiting: dict[bytes, tuple[bytes, float, float, float, int, bytes, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._room_at = 0.0
        self._puts = self._bytes = 0
        self._keys: set[bytes] | None = None
        """Beginnings of the keys that are in the file, so that most misses need no look into it."""
        self._row = 0
        self._looked = float("-inf")

    # ------------------------------------------------------------------------------------------- replies

    async def get(self, key: bytes) -> bytes | None:
        """The body of a reply that is not too old."""
        now = self._clock()
        if (waiting := self._waiting.get(key)) is not None:
            return waiting[6] if waiting[2] > now else None
        if self._keys is None:
            await self._clerk.ask(self._learn, None)
        elif time.monotonic() - self._looked > FRESH_S:  # what other processes have kept meanwhile
            self._looked = time.monotonic()
            self._clerk.tell(self._learn)
        if self._keys is not None and key[:KEY_PART] not in self._keys:
            return None

        def unit(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT sum, body, used FROM reply WHERE key = ? AND until > ?", (key, now)
            ).fetchone()
            if row is None or row[0] != _sum(key, row[1]):
                return None
            if now - row[2] > 60:  # once a minute is near enough for making room
                with suppress(sqlite3.OperationalError):  # another process writes
                    connection.execute("UPDATE reply SET used = ? WHERE key = ?", (now, key))
            return bytes(row[1])

        return await self._clerk.ask(unit, None)

    def put(self, key: bytes, body: bytes, at: float, until: float) -> None:
        """Keep a reply; returns at once and writes later."""
        if len(body) > self._most // 8:
            return
        self._bytes += len(body)
        self._waiting[key] = (key, at, until, at, len(body) + 200, _sum(key, body), body)
        self._puts += 1
        if self._keys is not None:
            self._keys.add(key[:KEY_PART])
        if len(self._waiting) >= BATCH or self._bytes > BATCH_BYTES:
            self._write()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(WRITE_S, self._write)
            except RuntimeError:  # no loop
                self._write()

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows, self._waiting = list(self._waiting.values()), {}
        self._bytes = 0
        if not rows:
            return
        now = self._clock()
        room = now - self._room_at > ROOM_S or self._puts >= ROOM_PUTS
        if room:
            self._room_at, self._puts = now, 0

        def unit(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany("INSERT OR REPLACE INTO reply VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                if room:
                    _make_room(connection, self._most, now)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have rolled back already
                    connection.execute("ROLLBACK")
                raise

        self._clerk.tell(unit)

    def _learn(self, connection: sqlite3.Connection) -> None:
        """Take over the keys that were added since the last look."""
        if self._keys is None or len(self._keys) > MOST_KEYS:
            self._keys, self._row = set(), 0
        for row, key in connection.execute("SELECT rowid, key FROM reply WHERE rowid > ?", (self._row,)):
            self._keys.add(bytes(key[:KEY_PART]))
            self._row = max(row, self._row)
        self._looked = time.monotonic()

    # ----------------------------------------------------------------------------------------- questions

    def note(self, partition: bytes, tag: str, text: str, vector: tuple[float, ...], key: bytes, until: float) -> None:
        """Keep a question beside its reply; returns at once and writes later."""
        now = self._clock()

        def unit(connection: sqlite3.Connection) -> None:
            row = (partition, tag, text, key, pack(vector), now, until)
            connection.execute(
                "INSERT INTO question (partition, tag, text, key, vector, at, until) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (partition, tag, key) DO UPDATE SET until = excluded.until",
                row,
            )

        self._clerk.tell(unit)

    async def nearest(
        self, partition: bytes, tag: str, vector: tuple[float, ...], count: int, least: float
    ) -> list[tuple[int, float, str, bytes, float]]:
        """Earlier questions of the partition whose cosine is at least `least`, the most similar first."""
        now = self._clock()

        def unit(connection: sqlite3.Connection) -> list[tuple[int, float, str, bytes, float]]:
            page = self._pages().page(partition, tag)
            rows = connection.execute(
                "SELECT id, vector FROM question WHERE partition = ? AND tag = ? AND id > ? ORDER BY id DESC LIMIT ?",
                (partition, tag, page.last, MOST_QUESTIONS),
            ).fetchall()
            page.add(rows[::-1])
            found = []
            # more than asked for: some may be too old by now
            for number, cosine in page.nearest(vector, count * 2 + 4, least):
                row = connection.execute(
                    "SELECT text, key, at FROM question WHERE id = ? AND until > ?", (number, now)
                ).fetchone()
                if row is not None:
                    found.append((number, cosine, str(row[0]), bytes(row[1]), float(row[2])))
            return found[:count]

        return await self._clerk.ask(unit, [])

    def _pages(self) -> Shelf:
        if self._shelved != self._clerk.files:  # another file, with other numbers
            self._shelf, self._shelved = Shelf(MOST_QUESTIONS), self._clerk.files
        return self._shelf

    # -------------------------------------------------------------------------------------------- offers

    def offer(self, offered: Offered) -> None:
        """Remember an offer; returns at once. The same pair keeps its first id and its judgement."""
        now = self._clock()

        def unit(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO offer (id, question, asked, kind, scope, score, at) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (question, asked) DO UPDATE SET at = excluded.at",
                (*offered, now),
            )

        self._clerk.tell(unit)

    async def judge(self, offer: str, right: bool, scope: str | None = None) -> bool:
        """Say whether an offered answer was right; False when there is no such offer in the scope (None: any)."""

        def unit(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "UPDATE offer SET good = ? WHERE id = ? AND (? IS NULL OR scope = ?)", (int(right), offer, scope, scope)
            )
            return done.rowcount > 0

        return await self._clerk.ask(unit, False)

    async def tally(self, kind: str, scope: str) -> tuple[int, int]:
        """How many judged offers of a class were right, and how many there are."""

        def unit(connection: sqlite3.Connection) -> tuple[int, int]:
            row = connection.execute(
                "SELECT coalesce(sum(good), 0), count(*) FROM offer WHERE kind = ? AND scope = ? AND good IS NOT NULL",
                (kind, scope),
            ).fetchone()
            return int(row[0]), int(row[1])

        return await self._clerk.ask(unit, (0, 0))

    async def judged(self, question: int) -> list[tuple[str, float, bool]]:
        """What was said of the offers of one earlier question: class, score, right."""

        def unit(connection: sqlite3.Connection) -> list[tuple[str, float, bool]]:
            rows = connection.execute(
                "SELECT kind, score, good FROM offer WHERE question = ? AND good IS NOT NULL", (question,)
            )
            return [(str(kind), float(score), bool(good)) for kind, score, good in rows]

        return await self._clerk.ask(unit, [])

    async def flush(self) -> None:
        """Wait until everything that was told so far is written."""
        self._write()
        await self._clerk.ask(lambda _: None, None)

    async def aclose(self) -> None:
        """Write what waits, and close the file."""
        self._write()
        await self._clerk.aclose()


def _sum(key: bytes, body: bytes) -> bytes:
    return blake2b(body, digest_size=8, key=key).digest()


def _make_room(connection: sqlite3.Connection, most: int, now: float) -> None:
    connection.execute("DELETE FROM reply WHERE until <= ?", (now,))
    connection.execute("DELETE FROM question WHERE until <= ?", (now,))
    size = int(connection.execute("SELECT coalesce(sum(size), 0) FROM reply").fetchone()[0])
    if size <= most:
        return
    over, gone = size - most * 9 // 10, []
    for key, taken in connection.execute("SELECT key, size FROM reply ORDER BY used"):
        if over <= 0:
            break
        gone.append((key,))
        over -= taken
    connection.executemany("DELETE FROM reply WHERE key = ?", gone)
    connection.executemany("DELETE FROM question WHERE key = ?", gone)


# ------------------------------------------------------------------------------------------- the thread


class _Clerk:
    """The thread that has the connection. A unit that fails is a unit without effect."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._work: queue.SimpleQueue[tuple[Unit[Any], Future[Any] | None, Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.files = 0
        """How many files were given up as damaged."""

    def tell(self, unit: Unit[None]) -> None:
        """Have a unit run some time."""
        if not self._closed and self._work.qsize() < MOST_WAITING:
            self._begin()
            self._work.put((unit, None, None))

    async def ask(self, unit: Unit[T], otherwise: T) -> T:
        """Run a unit; `otherwise` when it fails or everything is closed."""
        if self._closed:
            return otherwise
        self._begin()
        future: Future[T] = Future()
        self._work.put((unit, future, otherwise))
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        """Run what waits, then end."""
        self._closed = True
        if self._thread is not None:
            self._work.put(None)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join, 2 * WAIT_S)

    def _begin(self) -> None:
        if self._thread is None:  # a daemon: a stuck disk must not keep the process from ending
            self._thread = threading.Thread(target=self._run, name="replies", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        connection = _open(self._home)
        going = True
        while going:
            item = self._work.get()
            if item is None:
                going = False
            else:
                connection = self._do(connection, *item)
        while not self._work.empty():  # asked for while it was closed
            if (item := self._work.get()) is not None and item[1] is not None:
                _answer(item[1], item[2])
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _do(
        self, connection: sqlite3.Connection | None, unit: Unit[Any], future: Future[Any] | None, otherwise: object
    ) -> sqlite3.Connection | None:
        result = otherwise
        if connection is not None and not (future is not None and future.cancelled()):
            try:
                result = unit(connection)
            except sqlite3.DatabaseError as error:
                if _damaged(error):
                    _LOG.warning("The cache of replies is damaged; a new one is begun.")
                    with suppress(sqlite3.Error):
                        connection.close()
                    connection = _open(self._home, beyond=True)
                    self.files += 1
                else:
                    _LOG.debug("The cache of replies could not be used: %s", error)
            except Exception:  # a cache must not take anything down  # noqa: BLE001
                _LOG.warning("The cache of replies failed.", exc_info=True)
        if future is not None:
            _answer(future, result)
        return connection


def _answer(future: Future[Any], result: object) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(result)


def _damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _file(home: Path, generation: int) -> Path:
    return home / (f"cache-{generation}.db" if generation else "cache.db")


def _open(home: Path, beyond: bool = False) -> sqlite3.Connection | None:
    """The newest generation, or (`beyond`) the one after it; None when there can be none."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        newest = max((g for g in range(MAX_GENERATIONS) if _file(home, g).exists()), default=0)
        for generation in range(newest + beyond, MAX_GENERATIONS):
            try:
                return _connect(_file(home, generation))
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
    except (OSError, sqlite3.Error) as error:
        _LOG.warning("There is no cache of replies: %s", getattr(error, "strerror", None) or type(error).__name__)
    return None


def _connect(file: Path) -> sqlite3.Connection:
    make_private(file)
    connection = sqlite3.connect(file, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # a power cut may cost the cache; the checksums tell
        connection.execute("PRAGMA cache_size = -2000")
        if _version(connection) != VERSION:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) != VERSION:  # again: another process may have been first
                for table in _TABLES:
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
