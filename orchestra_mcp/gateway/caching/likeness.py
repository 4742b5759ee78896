"""How alike two questions are, seen by their words: what differs between them, and what kind of difference it is.

Vectors alone cannot tell a paraphrase from a near-miss: "int to string" and "string to int" are closer than most
rewordings. What can be seen in the words is *how* two questions differ. Who asks the same thing again words it
anew everywhere; who asks another thing of the same kind changes a word or two and leaves the rest. So besides hard tokens
(`hard_tokens`: numbers, code, paths, names, quoted text), negations, opposites and directions it is looked at the
structure of the edit. All of it is pure; `judging` makes a number of it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from orchestra_mcp.gateway.caching.words import FILLERS, NAMES, NEGATIONS, opposites, same, stem

MAX_WORDS: Final = 120
"""Longer questions are never compared."""

_CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
_QUOTED = re.compile(r'"[^"\n]{2,}"|“[^”\n]{2,}”|(?<!\w)\'[^\'\n]{2,}\'(?!\w)')
_HARD = re.compile(
    r"https?://\S+"
    r"|(?<![\w/])(?:~|\.{1,2})?/[\w.\-/]+|\b[\w\-]+(?:/[\w.\-]+)+\.\w+"  # paths
    r"|\b\w+\(\)?|\b\w+(?:\.\w+)*\.(?:py|js|ts|rs|go|java|c|h|cpp|md|json|toml|yaml|yml|txt|csv|sql|sh|gz|zip|deb|rpm)\b"
    r"|(?<!\w)--?[a-z][\w-]*"  # options
    r"|\b[A-Za-z]+_\w+|\b_+\w+|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w+|(?<!\w)[@&][\w.]+"  # identifiers
    r"|\b[A-Z][\w.]*Error\b|\b[A-Z][\w.]*Exception\b"
    r"|[<>=!|&+*%^~-]{2,}|(?<=\s)[|&<>](?=\s)"  # operators
)
_NUMBER = re.compile(r"[-+]?\d+(?:[.,:/]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:[+#]+|(?=\W|\d|_|$))|\d[\w.]*", re.UNICODE)
_LETTER = re.compile(r"(?<=[a-z,] )([A-HJ-Z])(?![\w'])")
"""A name such as in "table A"; not the word I, and no beginning of a sentence."""
_POLITE = frozenset("a an the please thanks thank hi hello hey kindly there could would can you tell me us".split())
_LANGUAGES = re.compile(r"(?<![\w.])(?:C\+\+|[CFJ]#|\.NET\b|Node\.js\b|Next\.js\b|Vue\.js\b)", re.IGNORECASE)
_SPELT = {
    "c++": "cplusplus", "c#": "csharp", "f#": "fsharp", "j#": "jsharp", ".net": "dotnet", "node.js": "node", "next.js": "next",
    "vue.js": "vue",
}  # fmt: skip
_UNIT = frozenset(
    "ms s sec second minute hour day week month year kb mb gb tb kib mib gib byte bit kg gram pound lb ounce km mile "
    "meter metre cm mm inch foot feet celsius fahrenheit kelvin dollar euro percent px rem em usd eur".split()
)
_NUMERALS = {
    "zero": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "second": "2nd", "twice": "2",
}  # fmt: skip
_WHY = re.compile(r"\b(why|reason|cause[sd]?|how come|what makes)\b", re.I)
_WHEN = re.compile(r"\b(when|in which (?:cases?|situations?)|how often|how long)\b", re.I)
_HOW = re.compile(r"\b(how (?:do|can|to|should|would|could|is|are)|ways? (?:of|to)|steps?|command|tips?)\b", re.I)


@dataclass(frozen=True, slots=True)
class Reading:
    """One question, taken apart."""

    hard: Counter[str]
    """Hard tokens: numbers, code, paths, names, quoted text, units."""
    row: tuple[str, ...]
    """Those of them that are no numbers, in order."""
    raw: tuple[str, ...]
    """All words in lower case."""
    content: tuple[str, ...]
    """Stems of the words that say something, in order, names of languages and hard words included."""
    negations: int
    directions: frozenset[tuple[str, str]]
    """(from, to) of "x to y", "from x to y", "x into y"."""
    intent: str
    """`why`, `when`, `how` or nothing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two questions."""

    hard: int
    """Hard tokens that only one of them has."""
    negation: int
    opposite: int
    """Pairs of words of which one says the opposite of the other."""
    swapped: int
    """Directions that are the other way round."""
    only: tuple[int, int]
    """Content words that only the one, only the other has."""
    shared: int
    related: int
    """Words that differ but mean the same."""
    frame: float
    """Share of all words that stand in the same place at the beginning or the end of both."""
    order: float
    """Share of pairs of shared words whose order differs."""
    intent: bool
    """They ask for different kinds of answers, as far as can be seen."""
    plain: bool
    """Only case, punctuation, articles or politeness."""
    lengths: float
    """Number of content words of the shorter one by that of the longer one."""

    @property
    def small(self) -> bool:
        """Few words were exchanged and the rest was left: the mark of another question of the same kind."""
        least, most = sorted(self.only)
        return self.shared > 0 and least + most > 0 and most <= 2 and (self.frame >= 0.5 or least + most <= 2)

    @property
    def broken(self) -> bool:
        """Something differs that changes the answer whatever the rest may say."""
        return bool(self.hard or self.negation or self.opposite or self.swapped)


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Take a question apart."""
    spots: list[tuple[int, str]] = []
    rest = _LANGUAGES.sub(lambda m: " " + _SPELT[m[0].lower()], text.strip())
    for pattern in (_CODE, _QUOTED, _HARD):
        matches = [found for found in pattern.finditer(rest) if found[0].lower() not in NAMES]
        spots += [(found.start(), _bare_token(found[0])) for found in matches]
        # As long as before, so that places stay places.
        rest = pattern.sub(lambda m: m[0] if m[0].lower() in NAMES else " " * len(m[0]), rest)
    hard = Counter(token for _, token in spots)
    plain = _LETTER.sub(r" letter\1 ", rest.replace("’", "'"))
    plain = re.sub(r"n't\b", "n not", plain).replace("'", "")
    words = [_NUMERALS.get(word, word) for word in _WORD.findall(plain.lower())]
    for word in words:
        if _NUMBER.match(word):
            hard[word.rstrip(".")] += 1
        elif stem(word) in _UNITS:
            hard[f"unit {stem(word)}"] += 1
    content = tuple(stem(w) for w in words if w not in FILLERS and w not in NEGATIONS)
    return Reading(
        hard=hard,
        row=tuple(token for _, token in sorted(spots)),
        raw=tuple(words),
        content=content,
        negations=sum(word in NEGATIONS for word in words),
        directions=frozenset(_directions(words)),
        intent=_intent(text),
    )


def _bare_token(token: str) -> str:
    return " ".join(token.strip("`\"'“”").rstrip("().,?").split())


_UNITS: Final = frozenset(stem(word) for word in _UNIT)


def _intent(text: str) -> str:
    for name, pattern in (("why", _WHY), ("when", _WHEN), ("how", _HOW)):
        if pattern.search(text):
            return name
    return ""


def _directions(words: list[str]) -> list[tuple[str, str]]:
    """What stands before and after a `to` (into, from): the nearest words that say something, up to three away."""
    found = []
    for at, word in enumerate(words):
        if word in ("to", "into", "onto", "than", "before", "after", "from", "by", "in", "of"):
            before = [stem(w) for w in words[max(0, at - 4) : at] if w not in FILLERS]
            after = [stem(w) for w in words[at + 1 : at + 5] if w not in FILLERS]
            kind = "to" if word in ("to", "into", "onto") else word
            found += [(kind + " " + b, a) for b in before[-2:] for a in after[:2] if a != b]
    return found


def compare(one: str, other: str) -> Difference:
    """What differs between two questions."""
    a, b = read(one), read(other)
    hard = (a.hard - b.hard) + (b.hard - a.hard)
    only_a, only_b = (
        list((Counter(a.content) - Counter(b.content)).elements()),
        list((Counter(b.content) - Counter(a.content)).elements()),
    )
    # A hard token that the other has as a plain word is no difference.
    odd = sum(count for token, count in hard.items() if stem(token.lower()) not in (*a.content, *b.content))
    contrary = sum(
        (x, y) in opposites() for x in (*only_a, *_small_words(a, b)) for y in (*only_b, *_small_words(b, a))
    )
    related = 0
    for word in list(only_a):
        match = next((w for w in only_b if same(word, w)), None)
        if match is not None:
            only_a.remove(word)
            only_b.remove(match)
            related += 1
    shared_a = [w for w in a.content if w in b.content]
    shared_b = [w for w in b.content if w in a.content]
    shared = len(list((Counter(a.content) & Counter(b.content)).elements()))
    sizes = sorted((len(a.content), len(b.content)))
    return Difference(
        hard=odd,
        negation=abs(a.negations - b.negations),
        opposite=contrary,
        swapped=_swapped(a, b) + (a.hard == b.hard and a.row != b.row),
        plain=a.hard == b.hard and _bare(a.raw) == _bare(b.raw),
        only=(len(only_a), len(only_b)),
        shared=shared,
        related=related,
        frame=_frame(a.raw, b.raw),
        order=_order(shared_a, shared_b),
        intent=bool(a.intent and b.intent and a.intent != b.intent),
        lengths=sizes[0] / sizes[1] if sizes[1] else 1.0,
    )


def _bare(words: tuple[str, ...]) -> list[str]:
    return " ".join(w for w in words if w not in _POLITE).replace("whats", "what is").replace("hows", "how is").split()


def _small_words(a: Reading, b: Reading) -> list[str]:
    """Fillers such as `in`, `over`, `up` that only the first has: they may be halves of opposites."""
    return [w for w in (Counter(a.raw) - Counter(b.raw)) if w in FILLERS]


def _swapped(a: Reading, b: Reading) -> int:
    turned = 0
    for before, after in a.directions:
        kind, _, first = before.partition(" ")
        if (f"{kind} {after}", first) in b.directions and (before, after) not in b.directions:
            turned += 1
    return turned


def _frame(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    short = min(len(a), len(b))
    head = next((i for i in range(short) if a[i] != b[i]), short)
    tail = next((i for i in range(short - head) if a[-1 - i] != b[-1 - i]), short - head)
    longest = max(len(a), len(b))
    return (head + tail) / longest if longest else 1.0


def _order(a: list[str], b: list[str]) -> float:
    """Share of pairs that stand in the other order; each word counts once, where it stands first."""
    a, b = list(dict.fromkeys(a)), list(dict.fromkeys(b))
    place = {word: i for i, word in enumerate(b)}
    row = [place[word] for word in a if word in place]
    pairs = len(row) * (len(row) - 1) // 2
    return sum(row[i] > row[j] for i in range(len(row)) for j in range(i + 1, len(row))) / pairs if pairs else 0.0
