"""Removing consultations, so that nothing of their text stays in the files.

`PRAGMA secure_delete` overwrites what is deleted. That is not enough for two places: the full-text index keeps words
of deleted rows until its segments are merged (`merge`), and the write-ahead log keeps pages as they were (it is cut off
by `database.wipe`). Each function runs inside one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from orchestra_mcp.store import lookup, rows

AT_ONCE: Final = 20
"""Consultations that are removed in one transaction, in a fraction of a second."""
PAGES: Final = 200
"""Of the full-text index that are merged in one transaction."""
STRUCTURE: Final = 10
"""Where FTS5 keeps the record of its levels and segments."""
MOST_LEVELS: Final = 200

# In this order, since rows refer to each other.
REMOVE: Final = (
    "DELETE FROM memory_vectors WHERE memory IN (SELECT id FROM memories WHERE consultation = ?)",
    "DELETE FROM memories WHERE consultation = ?",
    "DELETE FROM follow_ups WHERE consultation = ?",
    "DELETE FROM outcomes WHERE consultation = ?",
    "DELETE FROM entries WHERE consultation = ?",
    "DELETE FROM consultation_owners WHERE consultation = ?",
    "UPDATE calls SET consultation = NULL WHERE consultation = ?",
    "DELETE FROM consultations WHERE id = ?",
)


def chosen(
    connection: sqlite3.Connection, project: str | None, before: datetime | None, ids: Sequence[str]
) -> tuple[str, ...]:
    """Ids of the consultations that fit all that is given, oldest first; see `Memories.chosen`."""
    named = {lookup.resolve(connection, id) for id in ids}
    found = connection.execute(
        "SELECT id FROM consultations WHERE (:project IS NULL OR project = :project) "
        "AND (:before IS NULL OR started < :before) ORDER BY started, rowid",
        {
            "project": None if project is None else rows.clean(project),
            "before": None if before is None else rows.stamp(before),
        },
    )
    return tuple(id for (id,) in found if not ids or id in named)


def remove(connection: sqlite3.Connection, ids: Sequence[str], alive: lookup.Alive) -> int:
    """Remove those that do not run; returns how many."""
    gone = 0
    for id in ids:
        row = connection.execute("SELECT status, owner FROM consultations WHERE id = ?", (id,)).fetchone()
        if row is None or (row[0] == "running" and alive(row[1])):
            continue
        for statement in REMOVE:
            connection.execute(statement, (id,))
        gone += 1
    return gone


def merge(connection: sqlite3.Connection, begin: bool) -> bool:
    """Merge some of the full-text index into one segment, which drops the words of deleted rows; False when done.

    As the documentation of FTS5 describes an incremental `optimize`: a negative number begins it, positive ones go on,
    and less than two changes mean that there was nothing left to do.
    """
    before = connection.total_changes
    connection.execute(
        "INSERT INTO memory_words (memory_words, rank) VALUES ('merge', ?)", (-PAGES if begin else PAGES,)
    )
    return connection.total_changes - before >= 2


# ------------------------------------------------------------------------------------------- levels of the index
#
# Each `optimize` of FTS5, and each beginning of an incremental one, adds levels to the index and never takes any away.
# With 2000 of them it calls its own table damaged (seen with SQLite 3.40: `fts5StructureDecode` of fts5_index.c). Its
# record of them is: a cookie of 4 bytes; then numbers as varints of SQLite: levels, segments, a counter of writes; for
# each level its segments that are being merged and all its segments, and three numbers for each of these. A level
# counts only by its place in the order, and a merge writes into the next one, which therefore is not empty.


def crowded(connection: sqlite3.Connection) -> bool:
    """Whether the full-text index has so many levels that `flatten` is due."""
    levels, _ = _varint(_structure(connection), 4)
    return levels > MOST_LEVELS


def flatten(connection: sqlite3.Connection) -> None:
    """Take the empty levels out of the full-text index.

    The connection must be one that has not used the index yet, and is closed afterwards: others see that the file has
    changed, it would not.
    """
    block = _structure(connection)
    levels, at = _varint(block, 4)
    _, at = _varint(block, at)
    _, at = _varint(block, at)
    head_end = at
    kept = list[bytes]()
    for _ in range(levels):
        start = at
        _, at = _varint(block, at)
        segments, at = _varint(block, at)
        for _ in range(3 * segments):
            _, at = _varint(block, at)
        if segments:
            kept.append(block[start:at])
    if at != len(block) or not kept or len(kept) > 127:  # another format, or nothing to gain
        return
    _, after = _varint(block, 4)
    flat = block[:4] + bytes([len(kept)]) + block[after:head_end] + b"".join(kept)
    connection.execute("UPDATE memory_words_data SET block = ? WHERE id = ?", (flat, STRUCTURE))


def _structure(connection: sqlite3.Connection) -> bytes:
    (block,) = connection.execute("SELECT block FROM memory_words_data WHERE id = ?", (STRUCTURE,)).fetchone()
    return bytes(block)


def _varint(block: bytes, at: int) -> tuple[int, int]:
    """The number at a place and the place after it: seven bits in a byte, the highest first, the last one without a flag."""
    number = 0
    for place in range(at, at + 8):
        number = number << 7 | block[place] & 0x7F
        if block[place] < 0x80:
            return number, place + 1
    raise sqlite3.DatabaseError("a number of the full-text index is too long")
