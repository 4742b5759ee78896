"""Which files past commits with similar messages touched. Pure.

A bug report often resembles the message of an earlier change to the same code. Two views of it: the files of the most
similar single commits (as BugLocator does with past reports: J. Zhou, H. Zhang, D. Lo, Where Should the Bugs Be
Fixed?, ICSE 2012), and each file's messages taken together as one document, scored by BM25.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from orchestra_mcp.identifiers import parts_of

MAX_FILES = 30
"""A commit that touches more says nothing about any of them."""
MOST_SIMILAR = 20
K1, B = 1.2, 0.75

_WORD = re.compile(r"[^\W\d]\w+")


def similar(
    terms: Mapping[str, float], commits: Sequence[tuple[str, Sequence[str]]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Path → likeness to the most similar commits, and path → likeness to all of its commits' messages together.

    Args:
        terms: the question's words with their weights.
        commits: message and touched paths of each, newest first.
    """
    words = [{part for word in _WORD.findall(message) for part in parts_of(word)} for message, _ in commits]
    having = Counter(word for of_one in words for word in of_one if word in terms)
    idf = {w: terms[w] * math.log(1 + (len(words) - n + 0.5) / (n + 0.5)) for w, n in having.items()}
    likeness: list[tuple[float, int]] = []
    said: dict[str, Counter[str]] = defaultdict(Counter)
    length: Counter[str] = Counter()
    for number, (of_one, (_, paths)) in enumerate(zip(words, commits, strict=True)):
        if not paths or len(paths) > MAX_FILES:
            continue
        common = [word for word in of_one if word in idf]
        if common:
            likeness.append((sum(idf[word] for word in common) / (1 + 0.1 * len(of_one)), number))
        for path in paths:
            length[path] += len(of_one)
            for word in common:
                said[path][word] += 1
    nearest: dict[str, float] = defaultdict(float)
    for value, number in sorted(likeness, key=lambda pair: (-pair[0], pair[1]))[:MOST_SIMILAR]:
        for path in commits[number][1]:
            nearest[path] += value / math.sqrt(len(commits[number][1]))
    return dict(nearest), _bm25(terms, said, length)


def _bm25(terms: Mapping[str, float], said: Mapping[str, Counter[str]], length: Mapping[str, int]) -> dict[str, float]:
    having = Counter(word for counts in said.values() for word in counts)
    mean = sum(length.values()) / (len(length) or 1) or 1.0
    idf = {w: terms[w] * math.log(1 + (len(length) - n + 0.5) / (n + 0.5)) for w, n in having.items()}
    return {
        path: sum(idf[w] * n * (K1 + 1) / (n + K1 * (1 - B + B * length[path] / mean)) for w, n in counts.items())
        for path, counts in said.items()
    }
