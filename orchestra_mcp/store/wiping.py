"""Forgetting what is kept beside consultations: a project's index of words, and cached replies. Blocking: use in threads.

Both are caches, and both may be open in other processes, which go on with them: rows are deleted, files never.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

WAIT_S = 5.0
"""How long another process that writes is waited for."""
INDEX_TABLES = ("posting", "segment", "file", "past", "tree")
REPLY_TABLES = ("offer", "question", "reply")
REPLY_SPANS = ("question", "reply")


def wipe_replies(home: Path, spans: Sequence[tuple[datetime, datetime]] | None = None) -> bool:
    """Forget all cached replies, or those of some spans of time, of whatever project: their keys do not tell.

    Of a span what was judged of offers stays, which has no words in it. True when there were any.
    """
    if spans is None:
        return sum(_wipe(file, REPLY_TABLES) for file in home.glob("cache*.db")) > 0
    limits = [(begin.timestamp(), end.timestamp()) for begin, end in spans]
    return bool(limits) and sum(_wipe(file, REPLY_SPANS, limits) for file in home.glob("cache*.db")) > 0


def wipe_index(path: Path) -> bool:
    """Forget the words of a project; `path` as `context.index.indexing.place` gives it. True when there were any.

    The index is that of all work trees of a repository. Which words came from one of them alone is not known, so that
    all go; the next question in another work tree reads its files anew.
    """
    return sum(_wipe(file, INDEX_TABLES) for file in _generations(path)) > 0


def wipe_indexes(home: Path) -> bool:
    """Forget the words of all projects. True when there were any."""
    return sum(_wipe(file, INDEX_TABLES) for file in (home / "index").glob("*.db")) > 0


def _generations(path: Path) -> Iterator[Path]:
    """The file, and those that took its place after a damage."""
    if path.is_file():
        yield path
    yield from path.parent.glob(f"{path.stem}~*{path.suffix}")


def _wipe(file: Path, tables: Sequence[str], spans: Sequence[tuple[float, float]] = ()) -> bool:
    """Empty tables so that nothing of their text stays in the file or its log; True when there was something.

    With spans (seconds since 1970) only rows go that were made then; the file stays as long as it is, so that nobody
    waits while a large one is copied. What is deleted is overwritten either way.
    """
    had = False
    with suppress(sqlite3.Error), closing(sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        there = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        database.execute("BEGIN IMMEDIATE")
        for table in tables:
            if table in there and not spans:
                had = database.execute(f"DELETE FROM {table}").rowcount > 0 or had
            elif table in there:
                sql = f"DELETE FROM {table} WHERE at BETWEEN ? AND ?"
                had = database.executemany(sql, spans).rowcount > 0 or had
        database.execute("COMMIT")
        if not spans:
            database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return had
