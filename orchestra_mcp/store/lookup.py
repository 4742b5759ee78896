"""Everything that is read from the SQLite store; each function runs inside one read transaction."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from orchestra_mcp.errors import NotFound, StoreError
from orchestra_mcp.store import rows
from orchestra_mcp.types import (
    Absence,
    Ballot,
    Consultation,
    Dossier,
    Grounds,
    Label,
    Opinion,
    Question,
    Status,
    Summary,
    Turn,
    Verdict,
    Watched,
)

Alive = Callable[[str], bool]
"""Tells whether the process with an owner's token still lives."""

NEWEST_FIRST: Final = "ORDER BY started DESC, rowid DESC"
CALLS_OF: Final = f"SELECT {', '.join(rows.CALL_COLUMNS)} FROM calls WHERE consultation = ? ORDER BY id"
MARKS: Final = f"SELECT {', '.join(rows.OUTCOME_COLUMNS)} FROM outcomes"
OLDEST_MARK_FIRST: Final = "ORDER BY at, source, solution"
LAST_MARKED: Final = f"""
    {MARKS} WHERE consultation IN
        (SELECT consultation FROM outcomes GROUP BY consultation ORDER BY max(at) DESC, consultation LIMIT ?)
    ORDER BY consultation, at, source, solution
"""
# `kind = 'ballot'` must stand here as it does in the index.
BALLOTS: Final = f"""
    SELECT entries.consultation, body FROM entries JOIN consultations ON consultations.id = entries.consultation
    WHERE kind = 'ballot' AND consultations.id IN
        (SELECT id FROM consultations WHERE EXISTS
            (SELECT 1 FROM entries WHERE consultation = consultations.id AND kind = 'ballot') {NEWEST_FIRST} LIMIT ?)
    ORDER BY started DESC, consultations.rowid DESC, seq
"""
SUMMARIES: Final = """
    SELECT id, text, strategy, mode, project, status, owner, started, confidence, spoken,
        (SELECT coalesce(sum(cost_micro_usd), 0) FROM calls WHERE consultation = consultations.id)
    FROM consultations
"""


def require(connection: sqlite3.Connection, id: str) -> None:
    """Raise StoreError unless a consultation of exactly this id has begun."""
    if not connection.execute("SELECT 1 FROM consultations WHERE id = ?", (id,)).fetchone():
        raise StoreError(f"The beginning of consultation {id} is not in the store, so nothing can be added to it.")


def resolve(connection: sqlite3.Connection, given: str) -> str:
    """The full id for `latest`, `voice` (the newest that was asked aloud), an id, or an unambiguous beginning of one.

    Raises:
        NotFound: with the ids that come closest.
    """
    given = rows.clean(given.strip())
    newest = _ids(connection, f"SELECT id FROM consultations {NEWEST_FIRST} LIMIT 200")
    if not newest:
        raise NotFound("There is no consultation in the store yet; ask a question first.")
    if given == "latest":
        return newest[0]
    if given == "voice":
        spoken = _ids(connection, f"SELECT id FROM consultations WHERE spoken {NEWEST_FIRST} LIMIT 1")
        if not spoken:
            raise NotFound("No question was asked aloud yet; `orchestra listen` hears one (docs/voice.md).")
        return spoken[0]
    if connection.execute("SELECT 1 FROM consultations WHERE id = ?", (given,)).fetchone():
        return given
    matches = _ids(
        connection,
        f"SELECT id FROM consultations WHERE id >= ? AND id < ? {NEWEST_FIRST} LIMIT 6",
        given,
        given + "\U0010ffff",
    )
    if given and len(matches) == 1:
        return matches[0]
    if given and matches:
        raise NotFound(f"Several ids begin with {given!r}: {', '.join(matches)}. Give more of the one that is meant.")
    close = difflib.get_close_matches(given, newest, n=3)
    hint = f"The closest: {', '.join(close)}. " if close else ""
    raise NotFound(
        f"There is no consultation {given[:80]!r}. {hint}The newest, newest first: {', '.join(newest[:5])}; "
        "`latest` names the first of them."
    )


def _ids(connection: sqlite3.Connection, sql: str, *values: str) -> list[str]:
    return [id for (id,) in connection.execute(sql, values)]


def _status(stored: str, owner: str, alive: Alive) -> Status:
    status = rows.status_word(stored)
    return "interrupted" if status == "running" and not alive(owner) else status


def consultation(connection: sqlite3.Connection, given: str, alive: Alive) -> Consultation:
    """One consultation with everything that belongs to it."""
    id = resolve(connection, given)
    thread, status, owner, started, ended, failure, question, verdict = connection.execute(
        "SELECT thread, status, owner, started, ended, failure, question, verdict FROM consultations WHERE id = ?",
        (id,),
    ).fetchone()
    said = [
        rows.decode(rows.ENTRY_KINDS[kind], body)
        for kind, body in connection.execute(
            "SELECT kind, body FROM entries WHERE consultation = ? ORDER BY seq", (id,)
        )
        if kind in rows.ENTRY_KINDS  # a newer Orchestra may keep kinds that we do not know
    ]
    return Consultation(
        id=id,
        thread=thread,
        question=rows.decode(Question, question),
        status=_status(status, owner, alive),
        started=rows.moment(started),
        ended=None if ended is None else rows.moment(ended),
        dossier=next((entry for entry in reversed(said) if isinstance(entry, Dossier)), None),
        opinions=tuple(entry for entry in said if isinstance(entry, Opinion)),
        absences=tuple(entry for entry in said if isinstance(entry, Absence)),
        ballots=tuple(entry for entry in said if isinstance(entry, Ballot)),
        events=tuple(event for entry in said if isinstance(entry, Watched) for event in entry.events),
        spans=tuple(span for entry in said if isinstance(entry, Watched) for span in entry.spans),
        places=tuple(place for entry in said if isinstance(entry, Grounds) for place in entry.places),
        calls=tuple(rows.call_from(row) for row in connection.execute(CALLS_OF, (id,))),
        verdict=None if verdict is None else rows.decode(Verdict, verdict),
        labels=tuple(
            label
            for row in connection.execute(f"{MARKS} WHERE consultation = ? {OLDEST_MARK_FIRST}", (id,))
            if (label := rows.label_from(row))
        ),
        failure=failure,
    )


def summaries(
    connection: sqlite3.Connection,
    limit: int,
    project: str | None,
    alive: Alive,
    before: str = "",
    workspace: str | None = None,
) -> tuple[Summary, ...]:
    """One line for each of the newest consultations, newest first; see `base.Store.list`."""
    alive = cache(alive)
    conditions, values = list[str](), list[str | int]()
    if project is not None:
        conditions.append("project = ?")
        values.append(rows.clean(project))
    if before:
        conditions.append("(started, rowid) < (SELECT started, rowid FROM consultations WHERE id = ?)")
        values.append(rows.clean(before))
    if workspace is not None:
        conditions.append("id IN (SELECT consultation FROM consultation_owners WHERE workspace = ?)")
        values.append(rows.clean(workspace))
    condition = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    found = connection.execute(f"{SUMMARIES} {condition} {NEWEST_FIRST} LIMIT ?", (*values, max(limit, 0)))
    return tuple(summary(row, alive) for row in found)


def projects(connection: sqlite3.Connection, limit: int) -> tuple[str, ...]:
    """Roots that the owner asked about, the one asked about last first; see `base.Store.projects`."""
    others = "SELECT consultation FROM consultation_owners WHERE workspace <> ''"
    found = connection.execute(
        f"SELECT project FROM consultations WHERE project <> '' AND id NOT IN ({others}) "
        "GROUP BY project ORDER BY max(started) DESC LIMIT ?",
        (max(limit, 0),),
    )
    return tuple(project for (project,) in found)


def summary(row: tuple[Any, ...], alive: Alive) -> Summary:
    """The summary of a row of `SUMMARIES`."""
    id, text, strategy, mode, project, status, owner, started, confidence, aloud, cost = row
    return Summary(
        id=id,
        question=text,
        strategy=rows.strategy_word(strategy),
        mode=rows.mode_word(mode),
        project=project,
        status=_status(status, owner, alive),
        started=rows.moment(started),
        confidence=confidence,
        cost_usd=rows.dollars(cost),
        spoken=bool(aloud),
    )


def turns(connection: sqlite3.Connection, given: str) -> tuple[Turn, ...]:
    """The finished turns of a conversation, oldest first."""
    found = connection.execute(
        "SELECT id, question, started, verdict FROM consultations WHERE verdict IS NOT NULL AND status <> 'running'"
        " AND thread = (SELECT thread FROM consultations WHERE id = ?) ORDER BY started, rowid",
        (resolve(connection, given),),
    )
    return tuple(
        rows.turn(id, rows.decode(Question, asked), started, rows.decode(Verdict, body))
        for id, asked, started, body in found
    )


def spent(connection: sqlite3.Connection, since: int) -> Decimal:
    """What all calls from a stamp on cost, in US dollars."""
    (total,) = connection.execute(
        "SELECT coalesce(sum(cost_micro_usd), 0) FROM calls WHERE at >= ?", (since,)
    ).fetchone()
    return rows.dollars(total)


def consents(connection: sqlite3.Connection, project: str) -> frozenset[str]:
    """Providers that may see a project's code."""
    return frozenset(_ids(connection, "SELECT provider FROM consents WHERE project = ?", project))


def known_outcomes(connection: sqlite3.Connection, id: str) -> Label | None:
    """One label for all marks of a consultation."""
    return rows.combined(connection.execute(f"{MARKS} WHERE consultation = ? {OLDEST_MARK_FIRST}", (id,)).fetchall())


def labels(connection: sqlite3.Connection, limit: int) -> tuple[Label, ...]:
    """One label for each of the last marked consultations, newest first."""
    marks = connection.execute(LAST_MARKED, (max(limit, 0),))
    found = (rows.combined(list(group)) for _, group in groupby(marks, itemgetter(0)))
    return tuple(sorted((label for label in found if label), key=lambda label: label.at, reverse=True))


def ballots(connection: sqlite3.Connection, limit: int) -> tuple[tuple[Ballot, ...], ...]:
    """The ballots of the newest consultations that have any, newest first."""
    found = groupby(connection.execute(BALLOTS, (max(limit, 0),)), itemgetter(0))
    return tuple(tuple(rows.decode(Ballot, body) for _, body in group) for _, group in found)
