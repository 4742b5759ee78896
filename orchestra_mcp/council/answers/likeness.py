"""Whether two lines say the same, by their words alone. Strict: what is doubtful is different. Pure.

Case, layout, quotes and sentence punctuation say nothing; operators, signs, numbers and versions say everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Without apostrophes, as `normal` leaves them.
NEGATIONS = frozenset(
    """
    no not never none nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt shouldnt couldnt
    mustnt neednt hasnt havent instead against avoid stop unless
    """.split()
)
OPPOSITES = (
    # Where one position has a word of the left and another one of the right, they do not say the same.
    ("increase increases raise raises grow higher more larger longer", "decrease decreases lower lowers reduce reduces shrink fewer less smaller shorter"),
    ("add adds insert introduce keep keeps retain leave", "remove removes delete deletes drop drops"),
    ("enable enables enabled", "disable disables disabled"),
    ("allow allows accept accepts", "forbid forbids reject rejects deny denies block blocks"),
    ("safe", "unsafe"),
    ("valid", "invalid"),
    ("correct right", "incorrect wrong"),
    ("true", "false"),
    ("sync synchronous", "async asynchronous"),
    ("mutable", "immutable"),
    ("before earlier early", "after later late"),
    ("split", "merge"),
    ("min minimum", "max maximum"),
    ("encode", "decode"),
    # add here
)  # fmt: skip
STOP = frozenset(
    """
    the a an is are be to of in on for and or it its this that with as by at from should use using we you
    """.split()
)
# What makes the numbers of a line versions, in which 3.10 is not 3.1. Add here.
VERSIONED = frozenset(
    """
    v version versions release releases upgrade upgrading downgrade pin pinned bump install require requires python py
    python3 cpython pypy node nodejs npm java jdk go golang rust ruby php perl kotlin swift scala gcc clang cuda dotnet
    net typescript django flask numpy pandas postgres postgresql mysql sqlite redis kafka kubernetes docker linux ubuntu
    macos windows android ios openssl tls ssl http
    """.split()
)
UNITS = frozenset("s ms us ns sec secs second seconds minute minutes h hours % kb mb gb kib mib gib x times".split())
"""What follows a number that is an amount, whatever else the line speaks of."""

OPERATORS = (
    # Longest first. Add here.
    "<=>", "===", "!==", "<<=", ">>=", "**=", "//=", "->", "=>", ":=", "::", "==", "!=", "<=", ">=", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "@=", "~=", "=~", "&&", "||", "<<", ">>", "**", "//", "++", "--", "??", "?.",
    "+", "-", "*", "/", "%", "<", ">", "=", "&", "|", "^", "~", "@", "#", "$", "\\",
)  # fmt: skip
BEFORE_ITS_WORD = frozenset({"!", "$", "@", "--", "~", "\\"})
BEHIND_ITS_WORD = frozenset({"#", "++", "%"})
SIGNS = str.maketrans(
    {"≤": "<=", "≥": ">=", "≠": "!=", "×": "*", "÷": "/", "−": "-", "→": "->", "⇒": "=>", "’": "'", "‐": "-", "‑": "-"}
)
APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
LEADING_MARK = re.compile(r"^\s*(?:[-*•>]|#{1,6})\s+")
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]{1,300})(?<=[^\s*])\1(?![\w*])")
PATH = re.compile(r"(?<![\w/.@-])(?:[\w@.-]{1,80}/){1,20}[\w@-]{1,80}(?:\.[\w-]{1,40})*\.[a-z]\w{0,9}(?!\w)")
TOKEN = re.compile(
    r"(?P<hex>0x[0-9a-f]+)"
    r"|(?P<number>(?:(?<![\w)\].-])-)?(?:\d[\d_]*(?:\.\d+)*|(?<![\w.])\.\d+))(?P<tail>[^\W\d_]+\d\w*)?"
    r"|(?P<word>[^\W\d]\w*(?:-[^\W\d]\w*)*)"
    rf"|(?P<operator>{'|'.join(map(re.escape, OPERATORS))}|(?<![\w!])!{{1,3}}(?=[\w(]))"
)


def normal(position: str) -> str:
    """A position for comparison: its words, numbers and operators with one blank between them.

    Without case, layout, emphasis, quotes, brackets and sentence punctuation. Zeros at the end of a decimal go (`2.50`),
    but not those of a version (`3.10`, `1.20.0`).
    """
    text = LEADING_MARK.sub("", position.translate(SIGNS))
    text = EMPHASIS.sub(r"\2", APOSTROPHE.sub("", text))
    names = {match.group() for match in re.finditer(r"(?<![\w.])(?:\w*[A-Z]\w*|[^\W\d]\w*\d)(?=[ \t]\d)", text)}
    text = PATH.sub(lambda match: match.group().replace("/", " "), text.lower())
    matches = list(TOKEN.finditer(text))
    words = {match.group("word") for match in matches}
    versions = bool(words & VERSIONED)
    names = {name.lower() for name in names}
    tokens: list[str] = []
    for index, match in enumerate(matches):
        if not match.group("number"):
            tokens.append(match.group())
            continue
        after = matches[index + 1].group() if index + 1 < len(matches) else ""
        tight = text[max(0, match.start() - 2) : match.start()] in {"==", ">=", "<=", "~="}
        named = bool(tokens) and tokens[-1] in names
        exact = bool(match.group("tail")) or ((versions or tight or named) and after not in UNITS)
        tokens.append(match.group() if exact else _plain(match.group()))
    return " ".join(tokens)


def _plain(number: str) -> str:
    """A decimal without zeros that say nothing; anything with a second dot is left alone."""
    if number.count(".") != 1:
        return number
    whole, _, fraction = number.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole if whole.strip('-') else whole + '0'}{'.' if fraction else ''}{fraction}"


def word_overlap(a: str, b: str) -> tuple[float, bool]:
    """Jaccard overlap of the meaning words, and whether numbers, operators and negations are the same, in this order, and
    nothing is opposite."""
    first, second = (normal(text).split() for text in (a, b))
    one, two = set(first), set(second)
    strict = (
        one & NEGATIONS == two & NEGATIONS
        and _numbers(first) == _numbers(second)
        and _operations(first) == _operations(second)
        and not _opposite(one, two)
    )
    left, right = one - STOP, two - STOP
    return len(left & right) / max(1, len(left | right)), strict


def _opposite(one: set[str], two: set[str]) -> bool:
    mine, yours = one - two, two - one
    return any(
        (mine & left and yours & right) or (mine & right and yours & left)
        for left, right in ((set(left.split()), set(right.split())) for left, right in OPPOSITES)
    )


def _numbers(tokens: Sequence[str]) -> list[str]:
    return [token for token in tokens if re.search(r"\d", token)]


def _operations(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """The operators in their order, each with what it stands between: `a - b` is not `b - a`."""
    found: list[tuple[str, ...]] = []
    for index, token in enumerate(tokens):
        if re.match(r"\w|-[\d.]", token):
            continue
        before = tokens[index - 1] if index and token not in BEFORE_ITS_WORD else ""
        after = tokens[index + 1] if index + 1 < len(tokens) and token not in BEHIND_ITS_WORD else ""
        found.append((before, token, after))
    return found
