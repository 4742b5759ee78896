"""Removing consultations, so that nothing of their text stays in the files.

`PRAGMA secure_delete` overwrites what is deleted. That is not enough for two places: the full-text index keeps words
of deleted rows until its segments are merged (`merge`), and the write-ahead log keeps pages as they were (it is cut off
by `database.wipe`). Whoever removes notes that both are due, in the same transaction (`unfinished`), so that any process
finishes what a killed one began. Each function runs inside one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic_core import from_json, to_json

from orchestra_mcp.store import lookup, rows
from orchestra_mcp.types import Dossier

UNFINISHED: Final = "words to forget"
"""The row of `turns` that says since when words of what was removed may still be in the files."""
ASKED_LATER: Final = 86_400_000_000
"""A verdict that asks what became of another consultation is of one that began at most so long before, in microseconds."""
AT_ONCE: Final = 20
"""Consultations that are removed in one transaction, in a fraction of a second."""
PAGES: Final = 200
"""Of the full-text index that are merged in one transaction."""
OTHER_FORM: Final = b"\xff\x00\x00\x01"
"""After the cookie, of records that FTS5 writes for tables without content (SQLite 3.43 and newer)."""
STRUCTURE: Final = 10
"""Where FTS5 keeps the record of its levels and segments."""
MOST_LEVELS: Final = 60
"""Newer versions of SQLite keep to 64 themselves."""

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
        _remove_from_others(connection, id)
        for statement in REMOVE:
            connection.execute(statement, (id,))
        gone += 1
    if gone:
        connection.execute(
            "INSERT INTO turns (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = max(at + 1, excluded.at)",
            (UNFINISHED, rows.now()),
        )
    return gone


def unfinished(connection: sqlite3.Connection) -> int:
    """Which removal's words may still be in the files; 0 when none's. Each removal has another number."""
    row = connection.execute("SELECT at FROM turns WHERE name = ?", (UNFINISHED,)).fetchone()
    return int(row[0]) if row else 0


def finished(connection: sqlite3.Connection, number: int) -> None:
    """The words are out of the files, of all removals up to that which `unfinished` named."""
    connection.execute("DELETE FROM turns WHERE name = ? AND at = ?", (UNFINISHED, number))


def without_the_forgotten(connection: sqlite3.Connection, id: str, dossier: Dossier) -> Dossier:
    """The dossier of a consultation that goes on with others, without those that were forgotten while it was made."""
    if not connection.execute("SELECT 1 FROM consultations WHERE id = ? AND thread <> id", (id,)).fetchone():
        return dossier
    there = "SELECT 1 FROM consultations WHERE id = ?"
    kept = tuple(turn for turn in dossier.history if connection.execute(there, (turn.id,)).fetchone())
    return dossier if len(kept) == len(dossier.history) else dossier.model_copy(update={"history": kept})


def _remove_from_others(connection: sqlite3.Connection, id: str) -> None:
    """Take a consultation's words out of the records of others: it is an earlier turn of those that went on with it, and
    one was asked what became of it.

    The JSON is changed as it stands, since a newer Orchestra may have put more into it than we know.
    """
    later = connection.execute(
        "SELECT entries.rowid, body FROM entries JOIN consultations ON consultations.id = consultation WHERE "
        "kind = 'dossier' AND id <> :id AND thread = (SELECT thread FROM consultations WHERE id = :id)",
        {"id": id},
    ).fetchall()
    for number, body in later:
        said = from_json(body)
        turns = said.get("history", ())
        said["history"] = [turn for turn in turns if turn["id"] != id]
        if len(said["history"]) < len(turns):
            connection.execute("UPDATE entries SET body = ? WHERE rowid = ?", (_json(said), number))
    asking = connection.execute(
        "SELECT other.rowid, other.verdict FROM follow_ups JOIN consultations AS this ON this.id = follow_ups.consultation "
        "JOIN consultations AS other ON other.project = this.project "
        "AND other.started BETWEEN follow_ups.at - :long AND follow_ups.at "
        "WHERE this.id = :id AND other.id <> :id AND other.verdict IS NOT NULL",
        {"id": id, "long": ASKED_LATER},
    ).fetchall()
    for number, body in asking:
        said = from_json(body)
        if id in said.get("follow_up", ""):
            said["follow_up"] = ""
            connection.execute("UPDATE consultations SET verdict = ? WHERE rowid = ?", (_json(said), number))


def _json(value: object) -> str:
    """As `rows.encode` writes it."""
    return to_json(value, inf_nan_mode="constants").decode()


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
    block = _structure(connection)
    return block[4:8] != OTHER_FORM and _varint(block, 4)[0] > MOST_LEVELS


def flatten(connection: sqlite3.Connection) -> None:
    """Take the empty levels out of the full-text index.

    The connection must be one that has not used the index yet, and is closed afterwards: others see that the file has
    changed, it would not. A record of another form than this is left as it is, and one that FTS5 cannot read
    afterwards fails the transaction.
    """
    block = _structure(connection)
    if block[4:8] == OTHER_FORM:
        return
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
    connection.execute("SELECT rowid FROM memory_words WHERE memory_words MATCH 'scope : p' LIMIT 1").fetchall()


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
