"""Memories found by words: ranked so that no word is too common to be looked for. One read transaction for each function.

Ranked by BM25 (Robertson et al., Okapi at TREC-3, 1994), where a word in the question counts most. FTS5 has it built in, but
counts all rows of each word for it, however few rows are wanted: 15 ms for a word in 100,000 texts. So FTS5 ranks by
the words that are not common; where all are, the newest that fit are ranked here, by the same formula without the
rarity of words, which for common ones is next to nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
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
SENTENCE: Final = 6
"""Of more words than these, those that `MANY` have need not be there, when there are others: nobody means them."""
CLOSE: Final = 1000
"""Rows of which not even one in so many is wanted are looked up one by one, when the words are common."""
FEW: Final = 200
"""Beginnings of words that more have count as common ones: FTS5 gathers all that have them to rank by them."""
MARKED: Final = ", ".join(f"highlight(memory_words, {column}, char(2), '')" for column in range(3))
MOST_GOING_ON: Final = 200
"""Newest consultations without an end whose questions are searched."""
SMALL_INDEX: Final = """
    CREATE VIRTUAL TABLE memory_words USING fts5 (
        question, answer, names, scope, tokenize = 'porter unicode61 remove_diacritics 2'
    )
"""


class Fit:
    """What some memories fit.

    Args:
        within: an expression, with the scope.
        anywhere: the same without it, for rows that are known to be within.
        light: whether FTS5 passes few rows to find all that fit.
    """

    def __init__(self, within: str, anywhere: str, light: bool) -> None:
        self.within, self.anywhere, self.light = within, anywhere, light or within != anywhere
        self.gathers = '" *' in within
        """Whether it has a beginning of a word: FTS5 gathers all that have it each time, however few are wanted."""
        self.snippets: dict[int, str] = {}
        """Those that came along."""


Joined = Callable[[Sequence[Term], str], str]


class _Sought:
    """A term and what has it; what is not asked for is not looked up."""

    def __init__(self, connection: sqlite3.Connection, term: Term, scope: str) -> None:
        self._connection = connection
        self.term = term
        self._expression = all_of((term,), scope)
        self._costly = term.prefix or bool(term.parts)  # as costly to count as to list

    @cached_property
    def held(self) -> int:
        """How many have it, within the scope, at most `MANY`."""
        return len(self.newest) if self._costly else bounded(self._connection, self._expression, MANY)

    @cached_property
    def newest(self) -> list[int]:
        """The newest that have it, within the scope, at most `MANY`."""
        return newest(self._connection, self._expression, MANY)

    @cached_property
    def common(self) -> bool:
        """Whether it is everywhere, not only within the scope: FTS5 goes through all that have it to rank by it."""
        if self.term.prefix:
            return self.held >= FEW
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


def by_words(connection: sqlite3.Connection, wanted: Sequence[Term], scope: str, count: int) -> dict[int, Fit]:
    """Numbers of the memories that fit, best first, each with what it fits (for `snippets`)."""
    sought = [_Sought(connection, term, scope) for term in wanted]
    found: dict[int, Fit] = {}
    if sought and all(one.held for one in sought):
        needed = [one for one in sought if one.held < MANY] if len(sought) > SENTENCE else sought
        needed = needed or sought
        fit = _fit(needed, all_of, scope, light=any(not one.common for one in needed))
        found = dict.fromkeys(_ranked(connection, _with_all(connection, needed, fit), needed, fit, all_of, scope), fit)
    # Words that stand together nowhere are looked for one by one.
    apart = dict.fromkeys(part for one in sought if not one.held for part in one.term.parts)
    sought += [_Sought(connection, part, scope) for part in list(apart)[:MOST_TERMS]]
    if len(found) < ENOUGH and len(sought) > 1 and (rare := _rarest(sought)):
        fit = _fit(rare, any_of, scope, light=all(not one.common for one in rare))
        some = sorted({number for one in rare for number in one.newest}, reverse=True)[:MANY]
        for number in _ranked(connection, some, rare, fit, any_of, scope):
            found.setdefault(number, fit)
    return dict(islice(found.items(), count))


def _fit(sought: Sequence[_Sought], joined: Joined, scope: str, light: bool) -> Fit:
    terms = [one.term for one in sought]
    return Fit(joined(terms, scope), joined(terms, ""), light)


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


def snippets(connection: sqlite3.Connection, numbers: Mapping[int, Fit]) -> dict[int, str]:
    """What is shown of memories: where the words stand of what each of them fits. Empty where none does."""
    made = dict.fromkeys(numbers, "")
    for fit in dict.fromkeys(numbers.values()):
        made |= {number: text for number, text in fit.snippets.items() if number in made}
        left = sorted((number for number, fits in numbers.items() if fits is fit and not made[number]), reverse=True)
        for column in SHOWN:
            for number, text in _read(connection, fit, left, SNIPPET.format(column=column)):
                if "\x02" in text:
                    made[number] = text
            left = [number for number in left if not made[number]]
    return made


def _read(connection: sqlite3.Connection, fit: Fit, numbers: list[int], what: str) -> list[tuple[Any, ...]]:
    """What FTS5 says of some numbers, newest first, that fit: rows of the number and that.

    All in one go where rows are passed faster than looked up, else each by itself.
    """
    if not numbers:
        return []
    if not fit.light and not fit.gathers and numbers[0] - numbers[-1] > CLOSE * len(numbers):
        query = f"SELECT rowid, {what} FROM memory_words WHERE memory_words MATCH ? AND rowid = ?"
        return [row for number in numbers for row in connection.execute(query, (fit.anywhere, number))]
    wanted = ",".join(map(str, numbers))  # the plus keeps SQLite from looking up each
    return connection.execute(
        f"SELECT rowid, {what} FROM memory_words WHERE memory_words MATCH ? AND rowid BETWEEN ? AND ? "
        f"AND +rowid IN ({wanted})",
        (fit.within, numbers[-1], numbers[0]),
    ).fetchall()


def _with_all(connection: sqlite3.Connection, sought: Sequence[_Sought], fit: Fit) -> list[int]:
    """The newest that have every term, newest first."""
    if len(sought) == 1:
        return sought[0].newest
    whole = [one for one in sought if one.held < MANY]  # these lists are all that there is
    both = set(whole[0].newest).intersection(*(one.newest for one in whole[1:])) if whole else set[int]()
    others = [one.term for one in sought if one.held >= MANY]
    if whole and (not both or not others):
        return sorted(both, reverse=True)
    if not whole or len(both) > CHECKED:
        return newest(connection, fit.within, MANY)
    commons = Fit(all_of(others, ""), all_of(others, ""), light=False)
    return [number for number, _ in _read(connection, commons, sorted(both, reverse=True), "1")]


def _rarest(sought: Sequence[_Sought]) -> list[_Sought]:
    """The rarest terms that occur at all; common ones only when there is nothing else to go by."""
    present = sorted((one for one in sought if one.held), key=lambda one: one.held)
    return [one for place, one in enumerate(present[:RAREST]) if not place or one.held < MANY]


def _ranked(
    connection: sqlite3.Connection,
    candidates: list[int],
    sought: Sequence[_Sought],
    fit: Fit,
    joined: Joined,
    scope: str,
) -> list[int]:
    """Candidates, newest first, put into the order of how well they fit."""
    if len(candidates) < 2:
        return candidates
    rare = [one.term for one in sorted(sought, key=lambda one: one.held) if not one.common][:RAREST]
    scores = (
        _by_index(connection, candidates, joined(rare, scope))
        if rare
        else _by_reading(connection, candidates[:READ], fit)
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


def _by_reading(connection: sqlite3.Connection, candidates: list[int], fit: Fit) -> dict[int, float]:
    """Scores by how often the terms occur in texts of what length."""
    found = [] if fit.gathers else _read(connection, fit, candidates, MARKED)
    if fit.gathers:
        snippet = SNIPPET.format(column=SHOWN[0])
        found = _read(connection, fit, candidates, f"{snippet}, {MARKED}")
        fit.snippets |= {number: text for number, text, *_ in found if "\x02" in text}
        found = [(number, *texts) for number, _, *texts in found]
    mean = sum(sum(map(len, texts)) for _, *texts in found) / max(len(found), 1) or 1.0
    scores: dict[int, float] = {}
    for number, *texts in found:
        times = sum(weight * text.count("\x02") for weight, text in zip(WEIGHTS, texts, strict=True))
        length = sum(map(len, texts)) / mean
        scores[number] = -times * (K1 + 1) / (times + K1 * (1 - B + B * length))
    return scores
