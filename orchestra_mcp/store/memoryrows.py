"""The rows of memories: written with the consultation that they are of, and found by words and by meaning.

How words are looked for is in `wordsearch`. Lists by words and by meaning are joined by reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009).
Each function runs inside one transaction.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final, Literal

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store import lookup, rows
from orchestra_mcp.store.memorywords import (
    Term,
    all_of,
    plain,
    project_token,
    question_words,
    verdict_words,
)
from orchestra_mcp.store.vectors import Shelf
from orchestra_mcp.store.wordsearch import bounded, newest
from orchestra_mcp.types import Found, Grounds, Memory, Question, Verdict

RAREST_OF_A_QUESTION: Final = 16
FEW: Final = 500
"""So many of the newest that have a word are compared with a new question."""
SHARED: Final = 2
"""So many different words have two questions to share, to be called alike."""
MOST_VECTORS: Final = 20_000
"""Newest memories of a project that are compared by meaning."""
FUSION: Final = 60
"""The constant of reciprocal rank fusion, as its authors chose it."""
ALIKE: Final = 0.3
"""Least cosine of what is similar in meaning."""
HEAD_CHARS: Final = 200

INSERT: Final = """
    INSERT OR IGNORE INTO memories (id, consultation, project, at, scope, question, answer, names) VALUES (
        coalesce(:number, 1 + max((SELECT coalesce(max(id), 0) FROM memories),
            (SELECT coalesce(max(at), 0) FROM turns WHERE name = 'memories to fill'))),
        :id, :project, :at,
        :scope || coalesce((SELECT ' w' || lower(hex(workspace)) || 'z9' FROM consultation_owners
            WHERE consultation = :id), ''),
        :question, '', :names)
"""
FINISHED: Final = "status IN ('complete', 'degraded') AND verdict IS NOT NULL"


def added(id: str, question: Question, at: int, number: int | None = None) -> Callable[[sqlite3.Connection], None]:
    """What makes a question searchable from its first moment on (see `going_on`); the words are picked now, not in the transaction.

    Args:
        id: the consultation's.
        question: as it is kept.
        at: when it began.
        number: the memory's own; None for the next one.
    """
    text, names = question_words(question)
    project = rows.clean(question.project or "")
    row = {
        "id": rows.clean(id), "project": project, "at": at, "scope": project_token(project), "question": text,
        "names": names, "number": number,
    }  # fmt: skip

    def unit(connection: sqlite3.Connection) -> None:
        connection.execute(INSERT, row)

    return unit


def ended(id: str, verdict: Verdict | None) -> Callable[[sqlite3.Connection], None]:
    """What puts a question and its verdict into the index; the words are picked now, not in the transaction."""
    answer, names = verdict_words(verdict) if verdict else ("", "")

    def unit(connection: sqlite3.Connection) -> None:
        # A space stands for no answer: an empty one is of a consultation that has not ended.
        connection.execute(
            "UPDATE memories SET answer = ?, names = rtrim(names || ' ' || ?) "
            "WHERE consultation = ? AND answer IN ('', ' ')",
            (answer or " ", names, id),
        )

    return unit


def fill(connection: sqlite3.Connection, most: int) -> bool:
    """Remember some consultations of before there were memories, the newest of them first; False when none is left."""
    (top,) = connection.execute("SELECT coalesce(max(at), 0) FROM turns WHERE name = 'memories to fill'").fetchone()
    if not top:
        return False
    old = connection.execute(
        "SELECT rowid, id, started, question, verdict FROM consultations WHERE rowid <= ? ORDER BY rowid DESC LIMIT ?",
        (top, most),
    ).fetchall()
    for number, id, started, asked, said in old:
        try:
            question = rows.decode(Question, asked)
            verdict = None if said is None else rows.decode(Verdict, said)
        except StoreError:  # of a newer version, or damaged
            continue
        added(id, question, started, number)(connection)  # its own number keeps the order of time
        ended(id, verdict)(connection)
    left = old[-1][0] - 1 if len(old) == most else 0
    connection.execute("UPDATE turns SET at = ? WHERE name = 'memories to fill'", (left,))
    return left > 0


def settle(connection: sqlite3.Connection, alive: lookup.Alive) -> None:
    """Put into the index what was asked by processes that died before they could record an end."""
    alive = cache(alive)
    left = connection.execute(
        "SELECT consultations.id, status, owner FROM memories JOIN consultations ON consultations.id = consultation "
        "WHERE answer = '' AND verdict IS NULL"
    ).fetchall()
    for id, status, owner in left:
        if status != "running" or not alive(owner):
            ended(id, None)(connection)


# ------------------------------------------------------------------------------------------------- by meaning


def by_meaning(
    connection: sqlite3.Connection,
    shelf: Shelf,
    vector: Sequence[float],
    embedder: str,
    project: str | None,
    workspace: str | None,
    count: int,
) -> list[int]:
    """Numbers of the memories whose questions are most similar in meaning, best first."""
    if not vector or not embedder:
        return []
    within = "" if project is None else " AND memories.project = :project"
    # The page of all projects is another one than that of no project.
    page = shelf.page(b"*" if project is None else b"=" + plain(project).encode(), embedder)
    found = connection.execute(
        "SELECT seq, vector FROM memory_vectors JOIN memories ON memories.id = memory "
        f"WHERE embedder = :embedder AND seq > :last{within} ORDER BY seq DESC LIMIT :most",
        {"embedder": embedder, "last": page.last, "most": MOST_VECTORS, "project": project},
    ).fetchall()
    page.add(found[::-1])
    numbers = list[int]()
    # More than asked for: some may be forgotten, or of another workspace.
    for seq, _ in page.nearest(unit_vector(vector), count * 3 + 20 if workspace is None else MOST_VECTORS, ALIKE):
        row = connection.execute(
            "SELECT memory FROM memory_vectors JOIN memories ON memories.id = memory WHERE seq = :seq AND "
            "(:workspace IS NULL OR consultation IN "
            "(SELECT consultation FROM consultation_owners WHERE workspace = :workspace))",
            {"seq": seq, "workspace": workspace},
        ).fetchone()
        if row is not None:
            numbers.append(row[0])
            if len(numbers) == count:
                break
    return numbers


def unit_vector(vector: Sequence[float]) -> Sequence[float]:
    """The vector with a length of 1; one of no length as it is."""
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length > 0 else vector


def fused(*lists: Sequence[int]) -> dict[int, float]:
    """Numbers with their scores, best first, of several lists that are best first."""
    scores: dict[int, float] = {}
    for one in lists:
        for place, number in enumerate(one, 1):
            scores[number] = scores.get(number, 0.0) + 1 / (FUSION + place)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


# --------------------------------------------------------------------------------------------------- what is shown


def shown(
    connection: sqlite3.Connection,
    scores: Mapping[int, float],
    snippets: Mapping[int, str],
    alive: lookup.Alive,
) -> tuple[Found, ...]:
    """What was found, with its summary and snippet, in the order given."""
    alive = cache(alive)
    found = list[Found]()
    for number, score in scores.items():
        row = connection.execute(
            f"{lookup.SUMMARIES} WHERE id = (SELECT consultation FROM memories WHERE id = ?)", (number,)
        ).fetchone()
        if row is not None:
            snippet = snippets.get(number) or _head(connection, number)
            by: Literal["words", "meaning"] = "words" if number in snippets else "meaning"
            found.append(Found(summary=lookup.summary(row, alive), snippet=snippet, by=by, score=score))
    return tuple(found)


def _head(connection: sqlite3.Connection, number: int) -> str:
    """The beginning of what was held, of one that no word has found."""
    row = connection.execute("SELECT answer, question FROM memories WHERE id = ?", (number,)).fetchone()
    return rows.shortened((row[0].strip() or row[1]) if row else "", HEAD_CHARS)


# ------------------------------------------------------------------------------------------------- for a new council


def alike(connection: sqlite3.Connection, wanted: Sequence[Term], scope: str, count: int) -> dict[int, float]:
    """Memories that share words with a question, by how much of what its words say they have (0 to 1), best first.

    A word says as much as it is rare: log(1 + all / those that have it), its inverse document frequency.
    """
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM memories").fetchone()
    held = list[tuple[float, str]]()
    total = 0.0
    for term in wanted:
        found = bounded(connection, all_of((term,), ""), FEW)
        weight = math.log(1 + last / (found + 0.5))
        total += weight
        if found:
            held.append((weight, all_of((term,), scope)))
    present = list[tuple[float, list[int]]]()
    for weight, expression in sorted(held, key=lambda one: -one[0]):
        if len(present) < RAREST_OF_A_QUESTION and (numbers := newest(connection, expression, FEW)):
            present.append((weight, numbers))
    said: dict[int, float] = {}
    times: dict[int, int] = {}
    for weight, numbers in present:
        for number in numbers:
            said[number] = said.get(number, 0.0) + weight
            times[number] = times.get(number, 0) + 1
    needed = min(SHARED, len(wanted))
    best = sorted((n for n in said if times[n] >= needed), key=lambda n: (-said[n], -n))[:count]
    return {number: said[number] / total for number in best}


def memory(connection: sqlite3.Connection, number: int, score: float) -> Memory | None:
    """What a later council is shown of a consultation; None when it has not ended well, or cannot be read."""
    row = connection.execute(
        "SELECT consultations.id, consultations.project, consultations.question, started, confidence, verdict, "
        "coalesce((SELECT workspace FROM consultation_owners WHERE consultation = consultations.id), '') "
        f"FROM memories JOIN consultations ON consultations.id = consultation WHERE memories.id = ? AND {FINISHED}",
        (number,),
    ).fetchone()
    if row is None:
        return None
    id, project, asked, started, confidence, said, workspace = row
    try:
        turn = rows.turn(id, rows.decode(Question, asked), started, rows.decode(Verdict, said))
        places = tuple(
            place
            for (body,) in connection.execute(
                "SELECT body FROM entries WHERE consultation = ? AND kind = 'grounds' ORDER BY seq", (id,)
            )
            for place in rows.decode(Grounds, body).places
        )
    except StoreError:
        return None
    label = lookup.known_outcomes(connection, id)
    return Memory(
        id=id,
        project=project,
        workspace=workspace,
        question=turn.question,
        outcome=turn.outcome,
        at=turn.at,
        confidence=confidence,
        local_only=turn.local_only,
        places=places,
        told=label.told if label else "",
        score=score,
    )
