"""Whether two lines say the same, by their words alone. Strict: what is doubtful is different. Pure."""

from __future__ import annotations

import re

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


def normal(position: str) -> str:
    """A position without case, punctuation, white space and trailing zeros, for comparison."""
    text = re.sub(r"(?<=\w)['’](?=\w)", "", position.lower())
    text = re.sub(r"[^\w\s.+-]", " ", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", " ", text)
    text = re.sub(r"\d+\.\d+", lambda m: f"{float(m.group()):.6g}", text)
    return " ".join(text.split())


def word_overlap(a: str, b: str) -> tuple[float, bool]:
    """Jaccard overlap of the meaning words, and whether numbers and negations are the same and nothing is opposite."""
    one, two = (set(normal(text).split()) for text in (a, b))
    strict = one & NEGATIONS == two & NEGATIONS and _numbers(one) == _numbers(two) and not _opposite(one, two)
    left, right = one - STOP, two - STOP
    return len(left & right) / max(1, len(left | right)), strict


def _opposite(one: set[str], two: set[str]) -> bool:
    mine, yours = one - two, two - one
    return any(
        (mine & left and yours & right) or (mine & right and yours & left)
        for left, right in ((set(left.split()), set(right.split())) for left, right in OPPOSITES)
    )


def _numbers(words: set[str]) -> set[str]:
    return {word for word in words if re.search(r"\d", word)}
