"""Which definitions a plain question is about, when it names none. Blocking: call it in a thread.

Words of the question, split at `_` and camel case, are counted in the project's source files and scored as BM25 does;
then the definitions of the best files are scored the same way. Tests, documentation, examples and vendored code are
demoted, since they repeat the vocabulary of what they are about. Bounded by the number and size of files and by time.

The method (BM25 over functions, mixed .6 file and .4 function, with demotion) is the simplest that finds the files of
real bug reports well: R. Robertson, S. Walker et al., Okapi at TREC-3, with k1 = 1.2 and b = 0.75.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestra_mcp.context.languages import language_of
from orchestra_mcp.identifiers import subwords
from orchestra_mcp.types import Definition

MAX_FILES = 6_000
MAX_BYTES = 48_000_000
MAX_TERMS = 24
BEST_FILES = 20
K1, B = 1.2, 0.75
DEMOTION = 0.35

_DEMOTED = re.compile(
    r"(^|/)(tests?|testing|__tests__|spec|specs|docs?|documentation|examples?|samples?|benchmarks?|vendor|third_party"
    r"|node_modules|fixtures|migrations|_vendor|extern|dist|build)/"
    r"|(^|/)(test_[^/]*|conftest\.py|[^/]*_test\.\w+|[^/]*\.(test|spec)\.\w+|[^/]*Tests?\.\w+)$"
    r"|\.min\.\w+$|_pb2\w*\.py$|\.generated\.|\.d\.ts$"
)
_TESTS = re.compile(r"(^|/)(tests?|__tests__|spec|specs)/|(^|/)(test_[^/]*|[^/]*_test\.\w+|[^/]*\.(test|spec)\.\w+)$")
_STOP = frozenset(
    """a about above after again all also although always am an and any are as ask at be because been before being best
    better between both but by call called can cannot cause code could did do does doing done down during each either else
    error even every example expected fail failed failing fails few file files find first fix for from function further get
    gets getting give given go good had has have having he help here how however i if import in instead into is issue it
    its itself just know let like line lines look make makes many may me might more most much must my need never new no nor
    not nothing now of off on once one only or other our out over own part please problem project question really return
    returned returning returns right run running same see seem seems set should show since so some something still such
    sure take than that the their them then there these they thing things this those though through time to too try under
    until up upon us use used user using value very want was way we well were what when where whether which while who whom
    why will with within without work working works would wrong yes yet you your none null true false self def class""".split()
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A definition that a question may be about."""

    definition: Definition
    score: float
    words: tuple[str, ...]
    """The question's words that occur in it, rarest first."""


def is_test(path: str) -> bool:
    """True for paths that by convention hold tests."""
    return bool(_TESTS.search(path))


def demoted(path: str) -> bool:
    """True for tests, documentation, examples, vendored and generated code."""
    return bool(_DEMOTED.search(path))


def terms(question: str) -> dict[str, float]:
    """The question's words in lower case with their weights; parts of identifiers count half."""
    found: dict[str, float] = {}
    for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", question)[:2000]:
        parts = subwords(word)
        if len(word) >= 3 and word.lower() not in _STOP:
            code_like = len(parts) > 1
            found[word.lower().strip("_")] = 1.5 if code_like else 1.0
        for part in parts:
            if len(part) >= 3 and part not in _STOP:
                found.setdefault(part, 0.5)
                if len(part) > 4 and part.endswith("s") and not part.endswith("ss"):
                    found.setdefault(part[:-1], 0.5)
    found.pop("", None)
    return dict(sorted(found.items(), key=lambda item: (-item[1], -len(item[0])))[:MAX_TERMS])


def rank(
    question: str,
    files: Sequence[str],
    read: Callable[[str], str],
    definitions: Callable[[str, str], Sequence[Definition]],
    *,
    want_tests: bool = False,
    limit: int = 10,
    seconds: float = 3.0,
) -> tuple[tuple[Hit, ...], bool]:
    """The definitions that the question's words point at, best first.

    Args:
        question: prose, as a person wrote it.
        files: paths of the project.
        read: a file's text, empty when it cannot be read.
        definitions: the definitions of a file (path, text).
        want_tests: do not demote tests.
        limit: how many definitions to give.
        seconds: stop reading after so much time and use what was read.

    Returns:
        The definitions, and whether all source files were looked at.
    """
    weights = terms(question)
    if not weights:
        return (), True
    until = time.monotonic() + seconds
    order, complete = _order(files, weights)
    counts, sizes, texts = dict[str, dict[str, int]](), dict[str, int](), dict[str, str]()
    total = 0
    for path in order:
        if time.monotonic() > until or total > MAX_BYTES:
            complete = False
            break
        text = read(path)
        low = text.lower()
        total += len(text)
        sizes[path] = len(text) or 1
        counts[path] = {term: n for term in weights if (n := low.count(term))}
        if counts[path]:
            texts[path] = text
    idf = _idf(counts, weights)
    by_file = _scores(counts, sizes, idf)
    for path in by_file:
        by_file[path] += _path_bonus(path, idf)
        by_file[path] *= 1.0 if not demoted(path) or (want_tests and is_test(path)) else DEMOTION
    best = sorted(by_file, key=lambda p: -by_file[p])[:BEST_FILES]
    return _best_definitions(best, by_file, texts, definitions, idf, until + seconds)[:limit], complete


def _order(files: Sequence[str], weights: Mapping[str, float]) -> tuple[list[str], bool]:
    """Source files, those with the question's words in their path first, demoted ones last."""
    sources = [path for path in files if language_of(path) is not None]
    sources.sort(key=lambda path: (demoted(path), not any(term in path.lower() for term in weights)))
    return sources[:MAX_FILES], len(sources) <= MAX_FILES


def _idf(counts: Mapping[str, Mapping[str, int]], weights: Mapping[str, float]) -> dict[str, float]:
    n = len(counts) or 1
    seen = {term: sum(1 for tf in counts.values() if term in tf) for term in weights}
    return {t: weights[t] * math.log(1 + (n - df + 0.5) / (df + 0.5)) for t, df in seen.items() if df}


def _scores(
    counts: Mapping[str, Mapping[str, int]], sizes: Mapping[str, int], idf: Mapping[str, float]
) -> dict[str, float]:
    mean = sum(sizes.values()) / len(sizes) if sizes else 1
    return {
        path: sum(_bm25(n, sizes[path] / mean) * idf[term] for term, n in tf.items())
        for path, tf in counts.items()
        if tf
    }


def _bm25(count: int, relative_size: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * relative_size))


def _path_bonus(path: str, idf: Mapping[str, float]) -> float:
    parts = {part for word in re.findall(r"\w+", path) for part in (*subwords(word), word.lower())}
    return sum(value for term, value in idf.items() if term in parts)


def _best_definitions(
    paths: Sequence[str],
    by_file: Mapping[str, float],
    texts: Mapping[str, str],
    definitions: Callable[[str, str], Sequence[Definition]],
    idf: Mapping[str, float],
    until: float,
) -> tuple[Hit, ...]:
    found: list[tuple[Definition, dict[str, int], int]] = []
    for path in paths:
        if time.monotonic() > until:
            break
        lines = texts[path].split("\n")
        for definition in definitions(path, texts[path]):
            if definition.kind == "class" and definition.end - definition.start > 60:
                continue  # its methods compete on their own
            body = "\n".join(lines[definition.start - 1 : definition.end]).lower()
            found.append((definition, {t: n for t in idf if (n := body.count(t))}, len(body) or 1))
    if not found:
        return ()
    mean = sum(size for *_, size in found) / len(found)
    raw = [sum(_bm25(n, size / mean) * idf[t] for t, n in tf.items()) + _name_bonus(d, idf) for d, tf, size in found]
    top, top_file = max(raw) or 1.0, max(by_file.values()) or 1.0
    hits = [
        Hit(d, 0.4 * score / top + 0.6 * by_file[d.path] / top_file, tuple(sorted(tf, key=lambda t: -idf[t])[:4]))
        for (d, tf, _), score in zip(found, raw, strict=True)
        if score > 0.2 * top
    ]
    return tuple(sorted(hits, key=lambda h: -h.score))


def _name_bonus(definition: Definition, idf: Mapping[str, float]) -> float:
    parts = {*subwords(definition.qualified), definition.name.lower()}
    return sum(1.5 * value for term, value in idf.items() if term in parts)
