"""The index of one repository: which words stand in which units of which files, in SQLite. Blocking: use in threads.

A file's content is indexed once, under its path and a hash of its content, however many work trees, branches or
server processes meet it. Postings are kept in *segments*: each batch of files that was added together is one, and is
never changed; a reader joins what the segments say of a word and passes over files that it does not have now.

A posting is an integer of 64 bits: file · 2²⁴ + unit · 2¹² + class of the unit's length · 2⁷ + count. The class is
⌊2 log₂ length⌋, so that a score that depends on count and length is one look into a table of 4096 entries. `place_of`
makes the lower half of it. The number of a file is never given to another one.

It is a cache. A file that is damaged is left to those who still have it open, and the next *generation* is begun in a
file beside it: to delete what others have open would let two processes write into one journal.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import secrets
import sqlite3
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store.locks import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

P = ParamSpec("P")
R = TypeVar("R")

WAIT_S = 5.0
"""How long a process waits for another one that writes; a batch is written in a fraction of a second."""
MAX_SEGMENTS = 24
"""With more segments than this, a reader looks in too many places: `merge` makes fewer of them."""
MAX_COUNT = 127
MAX_UNIT = 4095
MAX_GENERATIONS = 1000
KEPT_STALE = 1.0
"""So many words of contents that no work tree holds now are kept, as a share of those that one holds: a branch that
was left is mostly come back to."""
TOUCHED_S = 86_400.0
"""An index that is only read is marked as used this often."""
_PLAIN, _PACKED = b"\0", b"\1"
_MANY = 400
"""Parameters of one statement; SQLite allows 999 in old versions."""

_SCHEMA = """
CREATE TABLE file (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, hash BLOB NOT NULL, words INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0, units BLOB NOT NULL, UNIQUE (path, hash));
CREATE TABLE tree (root TEXT NOT NULL, path TEXT NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
    size INTEGER NOT NULL, inode INTEGER NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID;
CREATE INDEX tree_file ON tree (file);
CREATE TABLE segment (id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL);
CREATE TABLE past (root TEXT PRIMARY KEY, head TEXT NOT NULL, log BLOB NOT NULL);
CREATE TABLE posting (word TEXT NOT NULL, segment INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (word, segment)) WITHOUT ROWID;
"""


class IndexDamaged(StoreError):
    """What was read cannot be right; `Index.abandon` makes room for a new one."""


class Stamp(NamedTuple):
    """What tells, without reading a file, that it has changed."""

    modified: int
    """Nanoseconds since 1970."""
    size: int
    inode: int
    changed: int = 0
    """Nanoseconds since 1970 of the last change of the file or its attributes; nobody can set it back."""

    @classmethod
    def of(cls, info: os.stat_result) -> Stamp:
        """That of a file, as `os.lstat` sees it."""
        # On Windows the last one is the time of creation, which changes with no edit.
        return cls(info.st_mtime_ns, info.st_size, info.st_ino, info.st_ctime_ns if os.name != "nt" else 0)


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
    postings: Mapping[str, Sequence[int]]
    """word → `place_of` each unit that has it, in order of the units."""


def place_of(unit: int, words: int) -> int:
    """The lower half of a posting without its count (at most `MAX_COUNT`), which is to be added.

    Raises:
        ValueError: the unit is larger than `MAX_UNIT`.
    """
    if not 0 <= unit <= MAX_UNIT:
        raise ValueError(f"unit {unit} is not between 0 and {MAX_UNIT}")
    return unit << 12 | length_class(words) << 7


def length_class(words: int) -> int:
    """⌊2 log₂ words⌋, at most 31."""
    return min(31, int(2 * math.log2(words))) if words > 1 else 0


def _told(method: Callable[P, R]) -> Callable[P, R]:
    """What SQLite and the decoders raise, as errors of ours."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (sqlite3.Error, OSError, zlib.error, ValueError, IndexError) as error:
            kind = IndexDamaged if _damage(error) else StoreError
            raise kind(f"The index of the project cannot be used ({error}).") from error

    return guarded


def _damage(error: Exception) -> bool:
    """True for what a sound file never gives, whatever the disk and other processes do."""
    if not isinstance(error, sqlite3.Error):
        return not isinstance(error, OSError)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return True  # of the Python module: a column of the wrong type or encoding
    bad = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
    return code & 255 in bad or code == sqlite3.SQLITE_IOERR_SHORT_READ


class Index:
    """One open index. For one thread at a time. Every method may raise `StoreError`, and `IndexDamaged` among these.

    Args:
        path: the file; it and its directory are made for nobody else's eyes. None: in memory.
        version: of what is kept; the file of another version counts as damaged.

    Raises:
        StoreError: the file can be neither opened nor made.
    """

    @_told
    def __init__(self, path: Path | None, version: int) -> None:
        self.path = path
        self._version = version
        if path is None:
            self._generation = 0
            self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._make(self._db)
        else:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._generation, self._db = self._newest(path)
        self.identity = (self._generation, int(self._db.execute("PRAGMA application_id").fetchone()[0]))
        """Another one means that the numbers of files that were learnt before are of no use."""

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._db.close()

    def __del__(self) -> None:
        if hasattr(self, "_db"):
            self.close()

    def abandon(self) -> None:
        """Close it, and let everybody who opens it from now on begin a new one."""
        self.close()
        if self.path is not None:
            with suppress(OSError):
                make_private(_named(self.path, self._generation + 1))

    # ------------------------------------------------------------------------------------------------- reading

    @_told
    def tree(self, root: str) -> dict[str, Known]:
        """The files of a work tree as they were last seen."""
        rows = self._db.execute(
            "SELECT tree.path, modified, size, inode, changed, file, words FROM tree JOIN file ON file.id = tree.file"
            " WHERE root = ?",
            (root,),
        )
        new, known, stamp = tuple.__new__, Known, Stamp  # twice as fast for 50,000 files
        return {row[0]: new(known, (new(stamp, row[1:5]), row[5], row[6])) for row in rows}

    @_told
    def find(self, wanted: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], tuple[int, int]]:
        """(path, hash) → (file, words), of those that have been indexed."""
        found: dict[tuple[str, bytes], tuple[int, int]] = {}
        for path, digest in wanted:
            row = self._db.execute("SELECT id, words FROM file WHERE path = ? AND hash = ?", (path, digest)).fetchone()
            if row is not None:
                found[path, digest] = (row[0], row[1])
        return found

    @_told
    def postings(self, words: Sequence[str]) -> dict[str, list[array[int]]]:
        """What each segment says of each word; a word that occurs nowhere is missing."""
        found: dict[str, list[array[int]]] = {}
        for start in range(0, len(words), _MANY):
            part = words[start : start + _MANY]
            marks = ",".join("?" * len(part))
            for word, data in self._db.execute(f"SELECT word, data FROM posting WHERE word IN ({marks})", part):
                found.setdefault(word, []).append(_unpack(data))
        return found

    @_told
    def units(self, files: Sequence[int]) -> dict[int, list[UnitRow]]:
        """What was given as `units` of these files."""
        found: dict[int, list[UnitRow]] = {}
        for start in range(0, len(files), _MANY):
            part = files[start : start + _MANY]
            marks = ",".join("?" * len(part))
            for file, data in self._db.execute(f"SELECT id, units FROM file WHERE id IN ({marks})", part):
                found[file] = json.loads(zlib.decompress(data))
        return found

    @_told
    def segments(self) -> int:
        """How many segments there are."""
        return int(self._db.execute("SELECT count(*) FROM segment").fetchone()[0])

    @_told
    def files(self) -> int:
        """How many contents have been indexed."""
        return int(self._db.execute("SELECT count(*) FROM file").fetchone()[0])

    @_told
    def past(self, root: str) -> tuple[str, list[tuple[str, str, list[str]]]]:
        """The commit up to which the log was kept; message, id and paths of each commit, newest first."""
        row = self._db.execute("SELECT head, log FROM past WHERE root = ?", (root,)).fetchone()
        return (row[0], json.loads(zlib.decompress(row[1]))) if row else ("", [])

    # ------------------------------------------------------------------------------------------------- writing

    @_told
    def add(self, files: Sequence[Indexed]) -> dict[tuple[str, bytes], tuple[int, int]]:
        """Add files as one segment; (path, hash) → (file, words), also for those that another process added before."""
        with _transaction(self._db):
            known = self.find((f.path, f.hash) for f in files)
            self._write([f for f in files if (f.path, f.hash) not in known])
            return self.find((f.path, f.hash) for f in files)

    @_told
    def settle(self, root: str, seen: Mapping[str, tuple[Stamp, int]], gone: Iterable[str] = ()) -> None:
        """Note which files a work tree holds now: path → (stamp, file), and which are gone."""
        gone, now = list(gone), int(time.time())
        with _transaction(self._db):
            self._db.executemany(
                "UPDATE file SET dropped = ? WHERE id = (SELECT file FROM tree WHERE root = ? AND path = ?)",
                [(now, root, path) for path in (*gone, *seen)],
            )
            self._db.executemany("DELETE FROM tree WHERE root = ? AND path = ?", [(root, path) for path in gone])
            self._db.executemany(
                "INSERT OR REPLACE INTO tree VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(root, path, s.modified, s.changed, s.size, s.inode, file) for path, (s, file) in seen.items()],
            )

    @_told
    def keep_past(self, root: str, head: str, log: Sequence[tuple[str, str, Sequence[str]]]) -> None:
        """Keep a log for `past`."""
        packed = zlib.compress(json.dumps(log, separators=(",", ":")).encode(), 1)
        self._db.execute("INSERT OR REPLACE INTO past VALUES (?, ?, ?)", (root, head, packed))

    @_told
    def roots(self) -> list[str]:
        """The work trees that it knows."""
        return [row[0] for row in self._db.execute("SELECT root FROM tree UNION SELECT root FROM past")]

    @_told
    def forget(self, root: str) -> None:
        """Forget a work tree; what its files held stays as long as what a branch held that was left."""
        with _transaction(self._db):
            self._db.execute(
                "UPDATE file SET dropped = ? WHERE id IN (SELECT file FROM tree WHERE root = ?)",
                (int(time.time()), root),
            )
            self._db.execute("DELETE FROM tree WHERE root = ?", (root,))
            self._db.execute("DELETE FROM past WHERE root = ?", (root,))

    @_told
    def merge(self) -> bool:
        """Make fewer segments; False when there was no need.

        The small ones become one, so that a posting is rewritten about log₂ n times in all; and all of them do when more
        than `KEPT_STALE` is stale, without what was stale for longest.
        """
        with _transaction(self._db, "BEGIN"):  # while others may write: what is joined never changes
            stale = self._too_stale()
            sizes = self._db.execute("SELECT id, size FROM segment ORDER BY size, id").fetchall()
            small = [row[0] for row in sizes] if stale else _small(sizes)
            if not small:
                return False
            marks = ",".join(map(str, small))  # numbers of ours
            self._db.execute("DROP TABLE IF EXISTS temp.merged")
            self._db.execute("CREATE TEMP TABLE merged (word TEXT, data BLOB)")
            self._db.executemany("INSERT INTO merged VALUES (?, ?)", self._joined(marks, stale))
        with _transaction(self._db):
            held = {row[0] for row in self._db.execute("SELECT DISTINCT file FROM tree")}
            there = self._db.execute(f"SELECT count(*) FROM segment WHERE id IN ({marks})").fetchone()[0]
            if there == len(small) and held.isdisjoint(stale):  # nobody merged too, or came back to a branch
                self._swap(marks, stale)
            self._db.execute("DROP TABLE temp.merged")
        return True

    # -------------------------------------------------------------------------------------------------- inside

    def _newest(self, path: Path) -> tuple[int, sqlite3.Connection]:
        """The newest generation, or the one after it when that cannot be right."""
        generation = max(_generations(path), default=0)
        try:
            return generation, self._patient(_named(path, generation))
        except sqlite3.Error as error:
            if not _damage(error) or generation >= MAX_GENERATIONS:
                raise
        return generation + 1, self._patient(_named(path, generation + 1))

    def _patient(self, path: Path) -> sqlite3.Connection:
        """As `_connect`, again while the file is locked: when the journal's mode changes, or a journal is recovered
        after a crash, SQLite says so without asking its busy handler."""
        until = time.monotonic() + WAIT_S
        while True:
            try:
                return self._connect(path)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 255 != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def _connect(self, path: Path) -> sqlite3.Connection:
        make_private(path)
        db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                db.execute("PRAGMA journal_mode = WAL")
                self._make(db)
            elif found != self._version:
                raise sqlite3.DatabaseError("it is of another version")
            db.execute("PRAGMA synchronous = NORMAL")
            if time.time() - path.stat().st_mtime > TOUCHED_S:
                os.utime(path)
        except BaseException:
            db.close()
            raise
        return db

    def _make(self, db: sqlite3.Connection) -> None:
        with _transaction(db):
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # another process may have been first
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {secrets.randbits(31)}")
                db.execute(f"PRAGMA user_version = {self._version}")

    def _write(self, files: Sequence[Indexed]) -> None:
        if not files:
            return
        gathered: dict[str, array[int]] = {}
        for file in files:
            packed = zlib.compress(json.dumps(file.units, separators=(",", ":")).encode(), 1)
            number = self._db.execute(
                "INSERT INTO file (path, hash, words, dropped, units) VALUES (?, ?, ?, ?, ?)",
                (file.path, file.hash, file.words, int(time.time()), packed),
            ).lastrowid
            base = int(number or 0) << 24
            for word, places in file.postings.items():
                if (held := gathered.get(word)) is None:
                    held = gathered[word] = array("Q")
                held.extend([base | place for place in places])
        rows = [(word, _pack(gathered[word])) for word in sorted(gathered)]
        size = sum(len(data) for _, data in rows)
        segment = self._db.execute("INSERT INTO segment (size) VALUES (?)", (size,)).lastrowid
        self._db.executemany("INSERT INTO posting VALUES (?, ?, ?)", [(word, segment, data) for word, data in rows])

    def _swap(self, segments: str, stale: Iterable[int]) -> None:
        """Put what was merged in the place of its segments."""
        self._db.execute(f"DELETE FROM posting WHERE segment IN ({segments})")
        size = "SELECT coalesce(sum(length(data)), 0) FROM temp.merged"
        segment = self._db.execute(f"INSERT INTO segment (size) VALUES (({size}))").lastrowid
        self._db.execute(f"INSERT INTO posting SELECT word, {segment}, data FROM temp.merged")
        self._db.execute(f"DELETE FROM segment WHERE id IN ({segments})")
        self._db.executemany("DELETE FROM file WHERE id = ?", [(file,) for file in stale])

    def _too_stale(self) -> set[int]:
        """Contents that no work tree holds, but for those that were held last, if they are too many."""
        live = "SELECT coalesce(sum(words), 0), count(*) FROM file WHERE id IN (SELECT file FROM tree)"
        words, count = self._db.execute(live).fetchone()
        rows = self._db.execute(
            "SELECT id, words FROM file WHERE id NOT IN (SELECT file FROM tree) ORDER BY dropped DESC, id DESC"
        ).fetchall()
        room, room_files = KEPT_STALE * words, int(KEPT_STALE * count)
        if sum(row[1] for row in rows) <= room and len(rows) <= room_files:
            return set()
        kept = 0.0
        for at, (_, size) in enumerate(rows):
            kept += size
            if kept > room / 2 or at >= room_files // 2:
                return {row[0] for row in rows[at:]}
        return set()

    def _joined(self, segments: str, stale: set[int]) -> Iterable[tuple[str, bytes]]:
        word, held = "", array("Q")
        with closing(self._db.cursor()) as cursor:
            rows = cursor.execute(
                f"SELECT word, data FROM posting WHERE segment IN ({segments}) ORDER BY word, segment"
            )
            for here, data in rows:
                if here != word:
                    if held:
                        yield word, _pack(held)
                    word, held = here, array("Q")
                found = _unpack(data)
                held.extend([posting for posting in found if posting >> 24 not in stale] if stale else found)
        if held:
            yield word, _pack(held)


@contextmanager
def _transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing; unless `begin` says otherwise, one that other writers wait for."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _small(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """The segments, smallest first, as far as each is smaller than all before it together; two at least."""
    found: list[int] = []
    total = 0
    for segment, size in sizes:
        if len(found) > 1 and size > total:
            break
        found.append(segment)
        total += size
    return found if len(found) > 1 else []


def generations(path: Path) -> list[Path]:
    """The files of all generations of an index but the newest: nobody opens them any more."""
    return [_named(path, number) for number in sorted(_generations(path))[:-1]]


def _generations(path: Path) -> list[int]:
    form = re.compile(re.escape(path.stem) + r"(?:~(\d{1,4}))?" + re.escape(path.suffix))
    with suppress(OSError):
        return [int(found[1] or 0) for file in path.parent.iterdir() if (found := form.fullmatch(file.name))]
    return []


def _named(path: Path, generation: int) -> Path:
    return path.with_name(f"{path.stem}~{generation}{path.suffix}") if generation else path


def _pack(postings: array[int]) -> bytes:
    raw = postings.tobytes()
    return _PLAIN + raw if len(raw) < 128 else _PACKED + zlib.compress(raw, 1)


def _unpack(data: bytes) -> array[int]:
    found = array("Q")
    found.frombytes(data[1:] if data[:1] == _PLAIN else zlib.decompress(data[1:]))
    return found
