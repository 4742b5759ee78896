"""What of a consultation can be searched, and what people type to find it, as expressions of FTS5. Pure.

FTS5 has a query language in which nearly every sign means something. Nothing that people type reaches it as such: each
word becomes a quoted string, in which FTS5 looks for tokens and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from orchestra_mcp.identifiers import parts_of, subwords
from orchestra_mcp.types import Claim, Question, Verdict

QUESTION_CHARS: Final = 8_000
ANSWER_CHARS: Final = 6_000
NAMES_CHARS: Final = 3_000
"""More than this of a consultation is not searched: what it is about is said at the beginning."""
QUERY_CHARS: Final = 100_000
MOST_TERMS: Final = 48
"""Different words of a query that are looked at."""
WORD_CHARS: Final = 100
SHORTEST_PREFIX: Final = 2
"""Beginnings of one letter would mean a third of all words."""

# Control characters, among them the marks of snippets and NUL, at which FTS5 stops reading.
_CONTROLS: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127], " ")
_QUOTES: Final = str.maketrans("“”„«»", '"""""')
_ITEM: Final = re.compile(r'"([^"]*)"(\*?)|([^\s"]+)')
_TOKEN: Final = re.compile(r"[\w./-]{3,}")
_RUN: Final = re.compile(r"[^\W_]+")
_RUNS: Final = re.compile(r"[^\W\d]\w{2,79}")
_COMPOUND: Final = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]|[^_]_[^_]|[A-Za-z]\d")

COLUMNS: Final = "{question answer names}"


class Term(NamedTuple):
    """One word, or several that stand together."""

    text: str
    prefix: bool = False

    @property
    def parts(self) -> tuple[Term, ...]:
        """Its words by themselves, for when they do not stand together anywhere; empty for a single one."""
        words = [word for word in _RUN.findall(self.text) if word.strip("_")]
        return tuple(map(Term, words)) if len(words) > 1 else ()

    @property
    def expression(self) -> str:
        """It in the language of FTS5; a compound name also as the words that it is made of."""
        written = _quoted(self.text) + (" *" if self.prefix else "")
        parts = [] if self.prefix or not _COMPOUND.search(self.text) else subwords(self.text)
        apart = " ".join(parts)
        same = [word.lower() for word in _RUN.findall(self.text)] == parts  # FTS5 takes it apart at the same places
        return written if len(parts) < 2 or same else f"({written} OR {_quoted(apart)})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def plain(text: str) -> str:
    """The text as it is kept for searching: without control characters and half characters."""
    return text.encode("utf-8", "replace").decode("utf-8").translate(_CONTROLS)


def terms(query: str) -> tuple[Term, ...]:
    """What people are looking for, each term once, in their order; empty when nothing in it is a word."""
    found: dict[tuple[str, bool], Term] = {}
    text = plain(query[:QUERY_CHARS]).translate(_QUOTES)
    for phrase, star, word in _ITEM.findall(text):
        said = phrase or word.rstrip("*")
        if not any(sign.isalnum() for sign in said):
            continue
        said = said[: WORD_CHARS * (4 if phrase else 1)]
        prefix = bool(star or word.endswith("*")) and len(said) >= SHORTEST_PREFIX and said[-1].isalnum()
        found.setdefault((said.casefold(), prefix), Term(said, prefix))
        if len(found) == MOST_TERMS:
            break
    return tuple(found.values())


def terms_of(words: Iterable[str]) -> tuple[Term, ...]:
    """Words that somebody else has picked, as terms, each once."""
    found: dict[str, Term] = {}
    for word in words:
        said = plain(word[:WORD_CHARS]).strip()
        if any(sign.isalnum() for sign in said):
            found.setdefault(said.casefold(), Term(said))
        if len(found) == MOST_TERMS:
            break
    return tuple(found.values())


def all_of(wanted: Sequence[Term], scope: str) -> str:
    """An expression for what has every term, within a scope."""
    return _scoped(" AND ".join(term.expression for term in wanted), scope)


def any_of(wanted: Sequence[Term], scope: str) -> str:
    """An expression for what has at least one of the terms, within a scope."""
    return _scoped(" OR ".join(term.expression for term in wanted), scope)


def _scoped(expression: str, scope: str) -> str:
    within = f"{COLUMNS} : ({expression})"
    return f"({within}) AND ({scope})" if scope else within


def scope_expression(project: str | None, workspace: str | None) -> str:
    """An expression for the project and the workspace; empty for all."""
    tokens = ([] if project is None else [_token("p", project)]) + (
        [] if workspace is None else [_token("w", workspace)]
    )
    return " AND ".join(f"scope : {_quoted(token)}" for token in tokens)


def project_token(project: str) -> str:
    """The word in the `scope` column that stands for a project. That of a workspace is made in the schema's trigger."""
    return _token("p", project)


def _token(kind: str, name: str) -> str:
    return f"{kind}{plain(name).encode().hex()}z9"  # the ending keeps the stemmer from taking letters off


# ------------------------------------------------------------------------------------------------ what is remembered


def question_words(question: Question) -> tuple[str, str]:
    """What is searched of a question: its text, and the names in it and in the error that came with it."""
    error = plain(question.error[:NAMES_CHARS])
    names = " ".join((*question.files, *names_in((question.text, error))))
    return plain(question.text[:QUESTION_CHARS]), plain(f"{names} {error}"[:NAMES_CHARS])


def verdict_words(verdict: Verdict) -> tuple[str, str]:
    """What is searched of a verdict: what the council held, and the names in it."""
    texts = [verdict.answer or verdict.headline, *verdict.plan]
    claims: list[Claim] = list(verdict.findings)
    for solution in verdict.solutions:
        texts.append(solution.position)
        claims += solution.claims
    texts += [dissent.position for dissent in verdict.dissent]
    cited = (part for claim in claims for part in (claim.path, claim.symbol, claim.calls, claim.raises, claim.test))
    names = dict.fromkeys(names_in((*cited, *texts, *(claim.text for claim in claims))))
    return plain("\n".join(dict.fromkeys(texts))[:ANSWER_CHARS]), plain(" ".join(names)[:NAMES_CHARS])


def names_in(texts: Iterable[str]) -> Iterator[str]:
    """Paths and compound names of code, whole and in their parts, each once."""
    left = NAMES_CHARS
    tokens = dict.fromkeys(token for text in texts for token in _TOKEN.findall(text[:ANSWER_CHARS]))
    for token in tokens:
        if left <= 0:
            return
        if token.isalpha() and (token.islower() or token[1:].islower()):
            continue  # a plain word
        name = token.strip("./-")[: 2 * WORD_CHARS]
        path = "/" in name or "." in name
        if path and any(sign.isalpha() for sign in name):
            left -= len(name) + 1
            yield name
        for word in _RUNS.findall(name):
            if _COMPOUND.search(word):
                parts = parts_of(word)[1:]
                left -= len(word) + sum(map(len, parts)) + len(parts) + 1
                yield from parts if path else (word, *parts)
