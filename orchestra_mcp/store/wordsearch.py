"""Memories found by words: ranked so that no word is too common to be looked for. One read transaction for each function.

Ranked by BM25 (Robertson et al., Okapi at TREC-3, 1994), where a word in the question counts most. FTS5 has it built in, but
counts all rows of each word for it, however few rows are wanted: 15 ms for a word in 100,000 texts. So FTS5 ranks by
the words that are not common; where all are, the newest that fit are ranked here, by the same formula without the
rarity of words, which for common ones is next to nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import Any, Final

from orchestra_mcp.store.memorywords import MOST_TERMS, Term, all_of, any_of

WEIGHTS: Final = (4.0, 1.0, 2.0)
"""Of the columns question, answer, names."""
RANK: Final = "bm25(4.0, 1.0, 2.0, 0.0)"
MANY: Final = 1000
"""So many of the newest that fit are ranked. Words that more consultations have say little anyway."""
COMMON: Final = 4000
"""A word that so many consultations have is a common one; to count so far takes a quarter of a millisecond."""
READ: Final = 60
"""So many of the newest are read to rank them by common words; older ones follow by their age."""
ENOUGH: Final = 10
"""When fewer have all the words, those with some of them follow."""
RAREST: Final = 5
"""So many of the rarest words are looked for when not all have to be there, or to rank by."""
CHECKED: Final = 40
"""So few candidates are checked one by one, faster than by going through all that a common word has."""
K1, B = 1.2, 0.75
"""The constants of BM25, as FTS5 has them."""
SHOWN: Final = (1, 0, 2)
"""The snippet is from the answer, the question or the names; from the first that has a hit: the question stands beside it."""
SNIPPET: Final = "snippet(memory_words, {column}, char(2), char(3), ' … ', 28)"
CLOSE: Final = 40
"""Rows of which not even one in so many is wanted are looked up one by one."""
MARKED: Final = ", ".join(f"highlight(memory_words, {column}, char(2), '')" for column in range(3))
MOST_GOING_ON: Final = 200
"""Newest consultations without an end whose questions are searched."""
SMALL_INDEX: Final = """
    CREATE VIRTUAL TABLE memory_words USING fts5 (
        question, answer, names, scope, tokenize = 'porter unicode61 remove_diacritics 2'
    )
"""


class _Sought:
    """A term and what has it; what is not asked for is not looked up."""

    def __init__(self, connection: sqlite3.Connection, term: Term, scope: str) -> None:
        self._connection = connection
        self.term = term
        self._expression = all_of((term,), scope)
        self.held = bounded(connection, self._expression, MANY)
        """How many have it, within the scope, at most `MANY`."""

    @cached_property
    def newest(self) -> list[int]:
        """The newest that have it, within the scope, at most `MANY`."""
        return newest(self._connection, self._expression, MANY)

    @cached_property
    def common(self) -> bool:
        """Whether it is everywhere, not only within the scope: FTS5 goes through all that have it to rank by it."""
        parts = self.term.parts or (self.term,)
        return all(bounded(self._connection, all_of((part,), ""), COMMON) >= COMMON for part in parts)


def bounded(connection: sqlite3.Connection, expression: str, most: int) -> int:
    """How many fit, at most so many."""
    found = connection.execute(
        "SELECT count(*) FROM (SELECT rowid FROM memory_words WHERE memory_words MATCH ? LIMIT ?)", (expression, most)
    )
    return int(found.fetchone()[0])


def newest(connection: sqlite3.Connection, expression: str, most: int) -> list[int]:
    """Numbers of the newest that fit, newest first."""
    found = connection.execute(
        "SELECT rowid FROM memory_words WHERE memory_words MATCH ? ORDER BY rowid DESC LIMIT ?", (expression, most)
    )
    return [number for (number,) in found]


def by_words(connection: sqlite3.Connection, wanted: Sequence[Term], scope: str, count: int) -> dict[int, str]:
    """Numbers of the memories that fit, best first, each with the expression that it fits (for `snippets`)."""
    sought = [_Sought(connection, term, scope) for term in wanted]
    found: dict[int, str] = {}
    if sought and all(one.held for one in sought):
        expression = all_of(wanted, scope)
        candidates = _with_all(connection, sought, scope)
        found = dict.fromkeys(_ranked(connection, candidates, sought, expression, all_of, scope), expression)
    # Words that stand together nowhere are looked for one by one.
    apart = dict.fromkeys(part for one in sought if not one.held for part in one.term.parts)
    sought += [_Sought(connection, part, scope) for part in list(apart)[:MOST_TERMS]]
    if len(found) < ENOUGH and len(sought) > 1 and (rare := _rarest(sought)):
        expression = any_of([one.term for one in rare], scope)
        some = sorted({number for one in rare for number in one.newest}, reverse=True)[:MANY]
        for number in _ranked(connection, some, rare, expression, any_of, scope):
            found.setdefault(number, expression)
    return dict(islice(found.items(), count))


def going_on(connection: sqlite3.Connection, wanted: Sequence[Term], scope: str, count: int) -> dict[int, str]:
    """Like `by_words`, of consultations that have not ended, each with its snippet. They get an index of their own, now."""
    asked = connection.execute(
        "SELECT id, question, names, scope FROM memories WHERE answer = '' ORDER BY id DESC LIMIT ?", (MOST_GOING_ON,)
    ).fetchall()
    if not asked or not wanted:
        return {}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as small:
        small.execute(SMALL_INDEX)
        small.executemany(
            "INSERT INTO memory_words (rowid, question, answer, names, scope) VALUES (?, ?, '', ?, ?)", asked
        )
        return snippets(small, by_words(small, wanted, scope, count))


def snippets(connection: sqlite3.Connection, numbers: dict[int, str]) -> dict[int, str]:
    """What is shown of memories: where the words stand of the expression that each of them fits. Empty where none does."""
    made = dict.fromkeys(numbers, "")
    for expression in dict.fromkeys(numbers.values()):
        left = sorted((number for number, fits in numbers.items() if fits == expression), reverse=True)
        for column in SHOWN:
            for number, text in _read(connection, expression, left, SNIPPET.format(column=column)):
                if "\x02" in text:
                    made[number] = text
            left = [number for number in left if not made[number]]
    return made


def _read(connection: sqlite3.Connection, expression: str, numbers: list[int], what: str) -> list[tuple[Any, ...]]:
    """Rows of `rowid` and what FTS5 says of some numbers, newest first, that fit an expression.

    Each row by itself, or all in one go: what has a beginning of a word is gathered anew for each go, and rows that are
    close together are passed faster than looked up.
    """
    if not numbers:
        return []
    if '" *' not in expression and numbers[0] - numbers[-1] > CLOSE * len(numbers):
        query = f"SELECT rowid, {what} FROM memory_words WHERE memory_words MATCH ? AND rowid = ?"
        return [row for number in numbers for row in connection.execute(query, (expression, number))]
    wanted = ",".join(map(str, numbers))  # the plus keeps SQLite from looking up each
    return connection.execute(
        f"SELECT rowid, {what} FROM memory_words WHERE memory_words MATCH ? AND rowid BETWEEN ? AND ? "
        f"AND +rowid IN ({wanted})",
        (expression, numbers[-1], numbers[0]),
    ).fetchall()


def _with_all(connection: sqlite3.Connection, sought: Sequence[_Sought], scope: str) -> list[int]:
    """The newest that have every term, newest first."""
    if len(sought) == 1:
        return sought[0].newest
    whole = [one for one in sought if one.held < MANY]  # these lists are all that there is
    both = set(whole[0].newest).intersection(*(one.newest for one in whole[1:])) if whole else set[int]()
    others = [one.term for one in sought if one.held >= MANY]
    if whole and (not both or not others):
        return sorted(both, reverse=True)
    if not whole or len(both) > CHECKED:
        return newest(connection, all_of([one.term for one in sought], scope), MANY)
    return [number for number, _ in _read(connection, all_of(others, ""), sorted(both, reverse=True), "1")]


def _rarest(sought: Sequence[_Sought]) -> list[_Sought]:
    """The rarest terms that occur at all; common ones only when there is nothing else to go by."""
    present = sorted((one for one in sought if one.held), key=lambda one: one.held)
    return [one for place, one in enumerate(present[:RAREST]) if not place or one.held < MANY]


def _ranked(
    connection: sqlite3.Connection,
    candidates: list[int],
    sought: Sequence[_Sought],
    expression: str,
    joined: Callable[[Sequence[Term], str], str],
    scope: str,
) -> list[int]:
    """Candidates, newest first, put into the order of how well they fit."""
    if len(candidates) < 2:
        return candidates
    rare = [one.term for one in sorted(sought, key=lambda one: one.held) if not one.common][:RAREST]
    scores = (
        _by_index(connection, candidates, joined(rare, scope))
        if rare
        else _by_reading(connection, candidates[:READ], expression)
    )
    # Of those that fit alike, the newer.
    return sorted(candidates, key=lambda number: (scores.get(number, 0.0), -number))


def _by_index(connection: sqlite3.Connection, candidates: list[int], expression: str) -> dict[int, float]:
    """Scores of FTS5: the lower, the better."""
    found = connection.execute(
        "SELECT rowid, rank FROM memory_words WHERE memory_words MATCH ? AND rowid BETWEEN ? AND ? "
        f"AND rank MATCH '{RANK}'",
        (expression, candidates[-1], candidates[0]),
    )
    return dict(found)


def _by_reading(connection: sqlite3.Connection, candidates: list[int], expression: str) -> dict[int, float]:
    """Scores by how often the terms occur in texts of what length."""
    found = _read(connection, expression, candidates, MARKED)
    mean = sum(sum(map(len, texts)) for _, *texts in found) / max(len(found), 1) or 1.0
    scores: dict[int, float] = {}
    for number, *texts in found:
        times = sum(weight * text.count("\x02") for weight, text in zip(WEIGHTS, texts, strict=True))
        length = sum(map(len, texts)) / mean
        scores[number] = -times * (K1 + 1) / (times + K1 * (1 - B + B * length))
    return scores
