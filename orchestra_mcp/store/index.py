"""The index of one repository: which words stand in which units of which files, in SQLite. Blocking: use in threads.

A file's content is indexed once, under its path and a hash of its content, however many work trees, branches or
server processes meet it. Postings are kept in *segments*: each batch of files that was added together is one, and is
never changed; a reader joins what the segments say of a word and passes over files that it does not have now.

A posting is an integer of 64 bits: file · 2²⁴ + unit · 2¹² + class of the unit's length · 2⁷ + count. The class is
⌊2 log₂ length⌋, so that a score that depends on count and length is one look into a table of 4096 entries.

It is a cache: a file that is damaged, or of another version, is deleted and made anew.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from orchestra_mcp.errors import StoreError

WAIT_S = 5.0
MAX_SEGMENTS = 24
"""With more segments than this, a reader looks in too many places: `merge` makes one of them."""
_PLAIN, _PACKED = b"\0", b"\1"
_MANY = 400
"""Parameters of one statement; SQLite allows 999 in old versions."""

_SCHEMA = """
CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL, hash BLOB NOT NULL, words INTEGER NOT NULL,
    units BLOB NOT NULL, UNIQUE (path, hash));
CREATE TABLE tree (root TEXT NOT NULL, path TEXT NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL,
    inode INTEGER NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID;
CREATE TABLE segment (id INTEGER PRIMARY KEY);
CREATE TABLE past (root TEXT PRIMARY KEY, head TEXT NOT NULL, log BLOB NOT NULL);
CREATE TABLE posting (word TEXT NOT NULL, segment INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (word, segment)) WITHOUT ROWID;
"""


class Stamp(NamedTuple):
    """What tells, without reading a file, that it has changed."""

    modified: int
    """Nanoseconds."""
    size: int
    inode: int


class Known(NamedTuple):
    """A file of a work tree as the index last saw it."""

    stamp: Stamp
    file: int
    words: int


UnitRow = tuple[str, str, int, int, int]
"""Name, kind, first line, last line, and how many words it has."""


class Indexed(NamedTuple):
    """A file to be added."""

    path: str
    hash: bytes
    words: int
    units: Sequence[UnitRow]
    postings: Mapping[str, Sequence[tuple[int, int]]]
    """word → (unit, count)."""


def length_class(words: int) -> int:
    """⌊2 log₂ words⌋, at most 31."""
    return min(31, int(2 * math.log2(words))) if words > 1 else 0


class Index:
    """One open index. For one thread at a time.

    Args:
        path: the file; it and its directory are made for nobody else's eyes. None: in memory.
        version: of what is kept; an index of another version is made anew.

    Raises:
        StoreError: the file can be neither opened nor made.
    """

    def __init__(self, path: Path | None, version: int) -> None:
        self.path = path
        self._version = version
        try:
            self._open_or_remake()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"The index in {path and path.parent} cannot be used ({error}).") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __del__(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()

    # ------------------------------------------------------------------------------------------------- reading

    def tree(self, root: str) -> dict[str, Known]:
        """The files of a work tree as they were last seen."""
        rows = self._db.execute(
            "SELECT tree.path, modified, size, inode, file, words FROM tree JOIN file ON file.id = tree.file WHERE root = ?",
            (root,),
        )
        return {row[0]: Known(Stamp(row[1], row[2], row[3]), row[4], row[5]) for row in rows}

    def find(self, wanted: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], tuple[int, int]]:
        """(path, hash) → (file, words), of those that have been indexed."""
        found: dict[tuple[str, bytes], tuple[int, int]] = {}
        for path, digest in wanted:
            row = self._db.execute("SELECT id, words FROM file WHERE path = ? AND hash = ?", (path, digest)).fetchone()
            if row is not None:
                found[path, digest] = (row[0], row[1])
        return found

    def postings(self, words: Sequence[str]) -> dict[str, list[array[int]]]:
        """What each segment says of each word; a word that occurs nowhere is missing."""
        found: dict[str, list[array[int]]] = {}
        for start in range(0, len(words), _MANY):
            part = words[start : start + _MANY]
            marks = ",".join("?" * len(part))
            for word, data in self._db.execute(f"SELECT word, data FROM posting WHERE word IN ({marks})", part):
                found.setdefault(word, []).append(_unpack(data))
        return found

    def units(self, files: Sequence[int]) -> dict[int, list[UnitRow]]:
        """What was given as `units` of these files."""
        found: dict[int, list[UnitRow]] = {}
        for start in range(0, len(files), _MANY):
            part = files[start : start + _MANY]
            marks = ",".join("?" * len(part))
            for file, data in self._db.execute(f"SELECT id, units FROM file WHERE id IN ({marks})", part):
                found[file] = json.loads(zlib.decompress(data))
        return found

    def segments(self) -> int:
        """How many segments there are."""
        return int(self._db.execute("SELECT count(*) FROM segment").fetchone()[0])

    def past(self, root: str) -> tuple[str, list[tuple[str, str, list[str]]]]:
        """The commit up to which the log was kept; message, id and paths of each commit, newest first."""
        row = self._db.execute("SELECT head, log FROM past WHERE root = ?", (root,)).fetchone()
        return (row[0], json.loads(zlib.decompress(row[1]))) if row else ("", [])

    # ------------------------------------------------------------------------------------------------- writing

    def add(self, files: Sequence[Indexed]) -> dict[tuple[str, bytes], tuple[int, int]]:
        """Add files as one segment; (path, hash) → (file, words), also for those that another process added before."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            known = self.find((f.path, f.hash) for f in files)
            self._write([f for f in files if (f.path, f.hash) not in known])
            known = self.find((f.path, f.hash) for f in files)
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return known

    def settle(self, root: str, seen: Mapping[str, tuple[Stamp, int]], gone: Iterable[str] = ()) -> None:
        """Note which files a work tree holds now: path → (stamp, file), and which are gone."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("DELETE FROM tree WHERE root = ? AND path = ?", [(root, path) for path in gone])
            self._db.executemany(
                "INSERT OR REPLACE INTO tree VALUES (?, ?, ?, ?, ?, ?)",
                [(root, path, *stamp, file) for path, (stamp, file) in seen.items()],
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def keep_past(self, root: str, head: str, log: Sequence[tuple[str, str, Sequence[str]]]) -> None:
        """Keep a log for `past`."""
        packed = zlib.compress(json.dumps(log, separators=(",", ":")).encode(), 1)
        self._db.execute("INSERT OR REPLACE INTO past VALUES (?, ?, ?)", (root, head, packed))

    def merge(self) -> None:
        """Make one segment of all, without files that no work tree holds any more."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            live = {row[0] for row in self._db.execute("SELECT DISTINCT file FROM tree")}
            self._db.execute("CREATE TEMP TABLE merged (word TEXT, data BLOB)")
            self._db.executemany("INSERT INTO merged VALUES (?, ?)", self._joined(live))
            self._db.execute("DELETE FROM posting")
            self._db.execute("INSERT OR IGNORE INTO segment VALUES (1)")
            self._db.execute("INSERT INTO posting SELECT word, 1, data FROM merged ORDER BY word")
            self._db.execute("DROP TABLE merged")
            self._db.execute("DELETE FROM segment WHERE id <> 1")
            self._db.execute("DELETE FROM file WHERE id NOT IN (SELECT file FROM tree)")
            self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    # -------------------------------------------------------------------------------------------------- inside

    def _open_or_remake(self) -> None:
        if self.path is None:
            self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._make(self._db)
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._db = self._connect(self.path)
        except sqlite3.OperationalError:  # locked or not writable: no reason to delete what others use
            raise
        except sqlite3.DatabaseError:
            for ending in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + ending).unlink()
            self._db = self._connect(self.path)

    def _connect(self, path: Path) -> sqlite3.Connection:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            if db.execute("PRAGMA user_version").fetchone()[0] != self._version:
                self._make(db)
        except BaseException:
            db.close()
            raise
        return db

    def _make(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != self._version:  # another process may have been first
                for table in ("posting", "segment", "past", "tree", "file"):
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {self._version}")
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _write(self, files: Sequence[Indexed]) -> None:
        if not files:
            return
        segment = self._db.execute("INSERT INTO segment DEFAULT VALUES").lastrowid
        gathered: dict[str, array[int]] = {}
        for file in files:
            packed = zlib.compress(json.dumps(file.units, separators=(",", ":")).encode(), 1)
            row = (file.path, file.hash, file.words, packed)
            number = self._db.execute("INSERT INTO file (path, hash, words, units) VALUES (?, ?, ?, ?)", row).lastrowid
            classes = [(unit << 12) | (length_class(words) << 7) for unit, (*_, words) in enumerate(file.units)]
            base = int(number or 0) << 24
            for word, places in file.postings.items():
                if (held := gathered.get(word)) is None:
                    held = gathered[word] = array("Q")
                held.extend([base | classes[unit] | count for unit, count in places])
        self._db.executemany(
            "INSERT INTO posting VALUES (?, ?, ?)",
            [(word, segment, _pack(gathered[word])) for word in sorted(gathered)],
        )

    def _joined(self, live: set[int]) -> Iterable[tuple[str, bytes]]:
        word, held = "", array("Q")
        with closing(self._db.cursor()) as cursor:
            for here, data in cursor.execute("SELECT word, data FROM posting ORDER BY word, segment"):
                if here != word:
                    if held:
                        yield word, _pack(held)
                    word, held = here, array("Q")
                held.extend([posting for posting in _unpack(data) if posting >> 24 in live])
        if held:
            yield word, _pack(held)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")


def _pack(postings: array[int]) -> bytes:
    raw = postings.tobytes()
    return _PLAIN + raw if len(raw) < 128 else _PACKED + zlib.compress(raw, 1)


def _unpack(data: bytes) -> array[int]:
    found = array("Q")
    found.frombytes(data[1:] if data[:1] == _PLAIN else zlib.decompress(data[1:]))
    return found
