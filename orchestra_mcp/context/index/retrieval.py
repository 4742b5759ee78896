"""Which files and functions a question is about: lexical evidence, mixed. Pure over a `Corpus`; call it in a thread.

Each feature gives every file a value, divided by the largest among the project's own code, so that weights can be
compared; `WEIGHTS` mixes them. Only what earned its place on real bug reports is here (`benchmarks/context.py` prints
what each feature is worth). BM25 is S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond
(2009), with k1 = 1.2 and b = 0.75, over functions and over files.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from orchestra_mcp.context.reading.signals import SCOPES, STOP, Signals
from orchestra_mcp.identifiers import parts_of
from orchestra_mcp.paths import Kind, kind_of

K1, B = 1.2, 0.75
UNIT_WORDS = 60.0
"""A unit of so many words counts as average."""
MAX_TERMS = 40
"""Of the question's words, those that tell most."""
COMMON = 0.12
"""A word that stands in a larger share of the units tells too little about any of them for what it costs."""
TEST_SHARE = 0.5
"""What is left of the score of a test that stands in the file that it tests, as in Rust."""
MAX_PLACES = 600
EXPLAINED = 200
"""Places of which it is told which words of the question they hold."""
MAX_HEAD = 25
"""Lines that are shown of a class before the first definition in it."""
MAX_DEFINERS = 50
"""A name with more definitions than this says nothing."""

# What each feature counts in the mix. Add a feature: a line here and its values in `_features`.
WEIGHTS: Mapping[str, float] = {
    "unit": 1.0,  # BM25 of the best functions
    "file": 0.6,  # BM25 of the whole file
    "path": 0.5,  # words of the path
    "name": 0.3,  # words in the names of definitions
    "defines": 0.6,  # the question names what the file defines
    "mentions": 0.3,  # the file uses a compound identifier of the question
    "frame": 0.7,  # a frame of a stack trace
    "named": 0.7,  # the question names the file
    "precedent": 0.3,  # commits with a similar message touched it
    "history": 0.2,  # the messages of all its commits together
}
FILE_FLOOR, UNIT_FLOOR, UNIT, NAME, DEFINES = 0.25, 0.25, 0.35, 0.2, 0.1
"""A place's score is (floor + score of its file) · (floor + BM25 + words in its name + being named), each part at most 1."""
DEMOTION: Mapping[Kind, float] = {"code": 0.0, "test": 1.0, "docs": 1.0, "example": 1.0, "foreign": 1.0, "data": 0.6}
"""What is taken off for a file that only repeats the vocabulary of what it is about."""
REASONS: Mapping[str, str] = {
    "frame": "in the stack trace", "named": "named in the question", "defines": "defines {names}",
    "precedent": "changed by similar commits", "path": "its path says {path}", "unit": "matches {words}",
}  # fmt: skip


_TEST_NAME = re.compile(r"(^|\.)(tests?\.|test_|Test[A-Z])")


class Corpus(Protocol):
    """The files among which to choose."""

    paths: Mapping[int, str]
    words: Mapping[int, int]
    """File → how many words it has."""
    unread: Mapping[str, int]
    """Word → in how many files it stands that could not be looked at closely yet."""

    def postings(self, words: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """Postings of each word, as `store.index` describes them, of the files in `paths` only."""
        ...

    def units(self, files: Sequence[int]) -> Mapping[int, Sequence[tuple[str, str, int, int, int]]]:
        """Name, kind, first line, last line and words of each unit of these files."""
        ...


@dataclass(frozen=True, slots=True)
class Clues:
    """What is known of a question beyond its words. Paths are those of the corpus."""

    frames: Mapping[str, float] = field(default_factory=dict)
    """Files of a stack trace → 1 for the innermost own frame, less further out."""
    named: Mapping[str, float] = field(default_factory=dict)
    """Files that the question names → 1, or less where the name is ambiguous."""
    precedent: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, float] = field(default_factory=dict)
    welcome: frozenset[Kind] = frozenset({"code"})
    """Kinds of files that are not demoted."""
    only: Kind | None = None
    """The one kind of files to rank, if it is one."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A file that the question may be about."""

    path: str
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """A definition, or a block of lines, that the question may be about."""

    path: str
    name: str
    """Qualified; empty for a block."""
    kind: str
    start: int
    end: int
    score: float
    """About 1 for the best unit of the best file."""
    why: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """Both best first."""

    files: tuple[Hit, ...] = ()
    places: tuple[Place, ...] = ()
    """Of the best files."""


def rank(signals: Signals, clues: Clues, corpus: Corpus, *, files: int = 60) -> Ranking:
    """Rank the files of a corpus, and the units of the best `files` of them."""
    found = _Evidence(signals, corpus)
    by_file = {
        name: _normal(values, corpus.paths, clues.only or "code") for name, values in found.features(clues).items()
    }
    scores: dict[int, float] = defaultdict(float)
    for name, values in by_file.items():
        for file, value in values.items():
            scores[file] += WEIGHTS[name] * value
    for file in scores:
        kind = kind_of(corpus.paths[file])
        scores[file] -= 0.0 if kind in clues.welcome else DEMOTION[kind]
    if clues.only:
        scores = {file: score for file, score in scores.items() if kind_of(corpus.paths[file]) == clues.only}
    best = sorted(scores, key=lambda f: (-scores[f], corpus.paths[f]))[:files]
    hits = {f: Hit(corpus.paths[f], scores[f], found.reason(f, by_file)) for f in best}
    return Ranking(tuple(hits.values()), found.places(hits, tests="test" in clues.welcome))


class _Evidence:
    """What the index says of a question's words."""

    def __init__(self, signals: Signals, corpus: Corpus) -> None:
        self._corpus = corpus
        self._terms = signals.terms
        self._names = _keys(signals.names)
        wanted = [*self._terms, *(f"{kind}:{t}" for t in self._terms for kind in "np"), *self._names]
        wanted += [f"d:{name}" for name in self._names]
        self._found = corpus.postings(list(dict.fromkeys(wanted)))
        self._n_files = len(corpus.paths) + max(corpus.unread.values(), default=0) or 1
        self._n_units = max(self._n_files, int(sum(corpus.words.values()) / UNIT_WORDS))
        self._unit: dict[int, float] = defaultdict(float)
        """unit (file · 2¹² + number) → BM25."""
        self._name: dict[int, float] = defaultdict(float)
        self._defines: dict[int, float] = defaultdict(float)
        self._said: dict[int, list[str]] = defaultdict(list)
        self._spelled: dict[int, list[str]] = defaultdict(list)
        self._counts: dict[str, dict[int, int]] = {}

    def features(self, clues: Clues) -> dict[str, dict[int, float]]:
        """Values by file, not yet comparable with each other."""
        ids = {path: file for file, path in self._corpus.paths.items()}
        values = {"file": self._count_words(), "path": self._path(), "mentions": self._mentions()}
        self._count_names()
        for name, units in (("unit", self._unit), ("name", self._name), ("defines", self._defines)):
            values[name] = _best_units(units)
        given = {"frame": clues.frames, "named": clues.named, "precedent": clues.precedent, "history": clues.history}
        for name, by_path in given.items():
            values[name] = {ids[path]: value for path, value in by_path.items() if path in ids}
        return values

    def _count_words(self) -> dict[int, float]:
        """BM25 over files; that over units is gathered on the way."""
        corpus, scores = self._corpus, defaultdict[int, float](float)
        mean = sum(corpus.words.values()) / (len(corpus.words) or 1) or 1.0
        self._counts = counts = {term: self._by_file(term) for term in self._terms if term in self._found}
        idf = {
            term: self._terms[term] * _idf(self._n_files, len(files) + corpus.unread.get(term, 0))
            for term, files in counts.items()
        }
        for term in sorted(idf, key=lambda t: -idf[t])[:MAX_TERMS]:
            for file, count in counts[term].items():
                length = corpus.words[file] / mean
                scores[file] += idf[term] * count * (K1 + 1) / (count + K1 * (1 - B + B * length))
            body = self._found[term]
            if len(body) < COMMON * self._n_units:
                weight = self._terms[term] * _idf(self._n_units, len(body) + corpus.unread.get(term, 0))
                units = self._unit
                for posting in body:
                    units[posting >> 12] += weight * _IMPACT[posting & 4095]
        return scores

    def _by_file(self, term: str) -> dict[int, int]:
        counts: dict[int, int] = defaultdict(int)
        for posting in self._found[term]:
            counts[posting >> 24] += posting & 127
        return counts

    def _path(self) -> dict[int, float]:
        scores: dict[int, float] = defaultdict(float)
        for term, weight in self._terms.items():
            places = self._found.get(f"p:{term}", ())
            for posting in places:
                scores[posting >> 24] += weight * _idf(self._n_files, len(places))
                self._spelled[posting >> 24].append(term)
        return scores

    def _count_names(self) -> None:
        for term, weight in self._terms.items():
            places = self._found.get(f"n:{term}", ())
            value = weight * _idf(self._n_units, len(places))
            for posting in places:
                self._name[posting >> 12] += value
        for name, weight in self._names.items():
            places = self._found.get(f"d:{name}", ())
            if len(places) <= MAX_DEFINERS:
                for posting in places:
                    self._defines[posting >> 12] += weight / math.sqrt(len(places))
                    self._said[posting >> 24].append(name)

    def _mentions(self) -> dict[int, float]:
        """Files that use the question's compound identifiers, the rarer the better."""
        scores: dict[int, float] = defaultdict(float)
        for name, weight in self._names.items():
            if len(parts_of(name)) > 1:
                files = {posting >> 24 for posting in self._found.get(name, ())}
                for file in files:
                    scores[file] += weight * _idf(self._n_files, len(files))
        return scores

    def places(self, hits: Mapping[int, Hit], *, tests: bool) -> tuple[Place, ...]:
        """The units of these files, by what speaks for the file and for the unit."""
        values: dict[int, float] = defaultdict(float)
        for weight, of_unit in ((UNIT, self._unit), (NAME, self._name), (DEFINES, self._defines)):
            inside = {unit: value for unit, value in of_unit.items() if unit >> 12 in hits}
            most = max(inside.values(), default=0.0)
            for unit, value in inside.items():
                values[unit] += weight * value / most
        top = max((hit.score for hit in hits.values()), default=1.0) or 1.0
        found: list[tuple[float, str, int, int, str, str, int, Hit]] = []
        for file, units in self._corpus.units(list(hits)).items():
            hit = hits[file]
            share = FILE_FLOOR + max(0.0, hit.score / top)
            starts = sorted(unit[2] for unit in units if unit[0])
            for number, (name, kind, start, end, _) in enumerate(units):
                if number:
                    if kind == "class":  # what is defined in it stands for itself
                        after = bisect_right(starts, start)
                        end = min([end, start + MAX_HEAD - 1, *(inner - 1 for inner in starts[after : after + 1])])
                    unit = file << 12 | number
                    score = share * (UNIT_FLOOR + values.get(unit, 0.0))
                    if not tests and _TEST_NAME.search(name):
                        score *= TEST_SHARE
                    found.append((-score, hit.path, start, end, name, kind, unit, hit))
        found.sort(key=lambda one: one[:4])
        words = self._words_of({one[6] for one in found[:EXPLAINED]})
        return tuple(
            Place(path, name, kind, start, end, -score, _why(words.get(unit, ()), hit.why))
            for score, path, start, end, name, kind, unit, hit in found[:MAX_PLACES]
        )

    def _words_of(self, units: Set[int]) -> dict[int, list[str]]:
        """Unit → the question's words in it, rarest first."""
        words: dict[int, list[str]] = defaultdict(list)
        for term in sorted(self._counts, key=lambda term: len(self._counts[term]) / self._terms[term]):
            for unit in {posting >> 12 for posting in self._found[term]} & units:
                words[unit].append(term)
        return words

    def reason(self, file: int, by_file: Mapping[str, Mapping[int, float]]) -> str:
        """Why a file is here, by the features that weigh most for it."""
        worth = {name: WEIGHTS[name] * values.get(file, 0.0) for name, values in by_file.items() if name in REASONS}
        best = sorted((name for name in worth if worth[name] > 0.15), key=lambda name: -worth[name])[:3]
        rare = sorted(
            (term for term, files in self._counts.items() if file in files),
            key=lambda term: len(self._counts[term]) / self._terms[term],
        )
        said = {
            "names": ", ".join(dict.fromkeys(self._said.get(file, ())[:3])),
            "path": ", ".join(self._spelled.get(file, ())[:3]),
            "words": ", ".join(rare[:4]),
        }
        return "; ".join(REASONS[name].format(**said) for name in best) or f"matches {said['words'] or 'the question'}"


def _why(words: Sequence[str], of_file: str) -> str:
    clear = ", ".join(part for part in of_file.split("; ") if not part.startswith("matches "))
    own = f"matches {', '.join(words[:4])}" if words else ""
    return "; ".join(filter(None, (own, clear and f"its file: {clear}"))) or of_file


def _idf(documents: int, having: int) -> float:
    return math.log(1 + (documents - min(having, documents) + 0.5) / (having + 0.5))


def _impact(key: int) -> float:
    """BM25's factor for a posting's lowest twelve bits: the class of the unit's length, and the count."""
    count, words = key & 127, math.pow(2.0, (key >> 7) / 2)
    return count * (K1 + 1) / (count + K1 * (1 - B + B * words / UNIT_WORDS))


_IMPACT = [_impact(key) for key in range(4096)]


def _normal(values: Mapping[int, float], paths: Mapping[int, str], kind: Kind) -> dict[int, float]:
    """Divided by the largest value among files of a kind, at most 1."""
    most = max((v for f, v in values.items() if kind_of(paths[f]) == kind), default=0.0)
    most = most or max(values.values(), default=0.0)
    return {file: min(1.0, value / most) for file, value in values.items()} if most > 0 else {}


def _best_units(units: Mapping[int, float]) -> dict[int, float]:
    """File → its best unit, and something for the next two: a fault is seldom spread over more."""
    by_file: dict[int, list[float]] = defaultdict(list)
    for unit, value in units.items():
        by_file[unit >> 12].append(value)
    found = {}
    for file, values in by_file.items():
        if len(values) > 3:
            values.sort(reverse=True)
            del values[3:]
        else:
            values.sort(reverse=True)
        found[file] = sum(value * share for value, share in zip(values, (1.0, 0.5, 0.25), strict=False))
    return found


def _keys(names: Mapping[str, float]) -> dict[str, float]:
    """The parts of dotted names, as the index knows them."""
    found: dict[str, float] = {}
    for name, weight in names.items():
        for key in _parts(name):
            found[key] = max(found.get(key, 0.0), weight)
    return found


def _parts(name: str) -> Iterable[str]:
    for part in SCOPES.split(name):
        key = part.strip("_").lower()
        if len(key) > 2 and key not in STOP:
            yield key
