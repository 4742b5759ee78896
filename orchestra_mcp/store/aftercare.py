"""What processes of an earlier version leave undone, and those that were killed: consultations that cannot be found.

An old process goes on for days after an upgrade, such as in an editor that stays open. It writes consultations without
memories, and ends those that were remembered while they ran without telling their memories. Each function runs inside
one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store import lookup, memoryrows, rows
from orchestra_mcp.store.memorywords import verdict_words
from orchestra_mcp.types import Question, Verdict

AT_ONCE: Final = 50
"""Consultations that are remembered in one transaction, well under a second."""
# A space is the answer of one that ended without; where there is a verdict all the same, it came later.
MISSED: Final = f"""
    SELECT consultations.rowid, consultations.status, consultations.owner, memories.id FROM consultations
    LEFT JOIN memories ON memories.consultation = consultations.id
    WHERE consultations.rowid > coalesce((SELECT max(at) FROM turns WHERE name = 'memories to fill'), 0) AND
        (memories.id IS NULL OR memories.answer = '' OR (memories.answer = ' ' AND {memoryrows.FINISHED}))
    ORDER BY consultations.rowid
"""


def missed(connection: sqlite3.Connection, alive: lookup.Alive) -> tuple[int, ...]:
    """Row numbers of consultations that have no memory, or ended without a word to it; not those that `fill` will meet."""
    alive = cache(alive)
    return tuple(
        number
        for number, status, owner, memory in connection.execute(MISSED).fetchall()
        if memory is None or status != "running" or not alive(owner)
    )


def remember(connection: sqlite3.Connection, numbers: Sequence[int], alive: lookup.Alive) -> None:
    """Give these consultations their memories, and those that ended an answer."""
    for number in numbers:
        row = connection.execute(
            "SELECT id, started, status, owner, question, verdict FROM consultations WHERE rowid = ?", (number,)
        ).fetchone()
        if row is None:  # forgotten meanwhile
            continue
        id, started, status, owner, asked, said = row
        try:
            question = rows.decode(Question, asked)
            verdict = None if said is None else rows.decode(Verdict, said)
        except StoreError:  # of a newer version, or damaged
            continue
        memoryrows.added(id, question, started)(connection)
        (answer,) = connection.execute("SELECT answer FROM memories WHERE consultation = ?", (id,)).fetchone()
        said_nothing = verdict is None or not verdict_words(verdict)[0]
        if (status != "running" or not alive(owner)) and not (answer == " " and said_nothing):
            memoryrows.ended(id, verdict)(connection)
