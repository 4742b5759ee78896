"""What kind of question it is, and its words: is a place or the working of something asked for, and in which words? Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestra_mcp.identifiers import PART, parts_of, subwords
from orchestra_mcp.types import Dossier, Question

PLACE = re.compile(
    r"\bwhere (?:is|are|does|do|in|can|would|should)\b|\bwhich (?:file|function|method|class|module|part)\b|"
    r"\bhow (?:does|do|is|are) (?!I\b|we\b|you\b)|"
    r"\bwhat (?:does|do)\b.{1,120}\b(?:do|mean|return)\b|\bwhat is\b.{1,120}\bfor\b|\bexplain\b|\bwalk me through\b",
    re.IGNORECASE | re.DOTALL,
)
TROUBLE = re.compile(
    r"\b(?:bugs?|fail\w*|errors?|exceptions?|crash\w*|wrong\w*|broken|breaks?|problems?|incorrect\w*|unexpected\w*|why|slow\w*"
    r"|leaks?|hangs?|stuck|raises?|raised|instead|should not|fix|mistake|defects?|fault\w*|traceback|panics?"
    r"|(?:does|do|is|are|did|was|can)(?: not|n't|nt)\b)",
    re.IGNORECASE,
)
CHANGES = re.compile(
    r"\b(?:last|latest|recent|my|these|this|uncommitted|staged|new)\b.{0,20}\b(?:chang|commit|diff)", re.I
)
SUBJECT = re.compile(
    r"\b(?:where (?:is|are)|how (?:does|do|is|are)|what (?:does|do|is)|explain(?: how)?|what is)\s+"
    r"(?:the\s+)?(?:(?:function|method|class|type)\s+)?`?(?P<name>[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)`?(?:\(\))?"
    r"(?=\s+(?:implemented|defined|declared|located|work|works|do|for|called|used|return|mean|handled)\b|\s*[?.!]*\s*$)",
    re.IGNORECASE,
)
STOP = frozenset(
    "the and for are was were does did how what where which who when why this that these those with from into onto about "
    "you your our its can could would should will have has had not but all any some there here than then them they way "
    "implemented implement implementation defined define work works working handled handle handles explain done code "
    "function functions method methods class classes module file files place part project repo repository use used uses "
    "happen happens find get gets made make called call calls located mean means walk through tell show".split()
)
ENDINGS = ("ings", "ing", "ed", "es", "s")


def asks_for_place(question: Question, dossier: Dossier) -> bool:
    """True when the question asks where something is or how it works, and nothing is said to fail."""
    if question.error or question.diff or dossier.traces or TROUBLE.search(question.text):
        return False
    return bool(PLACE.search(question.text)) and not CHANGES.search(question.text)


def subjects(text: str) -> tuple[str, ...]:
    """The single words that a question of place is about: `Retry` in “Where is Retry implemented?”."""
    found = dict.fromkeys(match.group("name") for match in SUBJECT.finditer(text))
    return tuple(name for name in found if name.lower() not in STOP and len(name) > 2)


def telling_words(text: str) -> tuple[str, ...]:
    """The words of a question that may stand in code, in lower case, each once."""
    words = (part for word in re.findall(r"[A-Za-z_]\w*", text) for part in (*subwords(word), word.lower()))
    return tuple(dict.fromkeys(word for word in words if len(word) > 2 and word not in STOP))


def stem(word: str) -> str:
    """A word without its commonest endings, as long as four letters are left."""
    ending = next((end for end in ENDINGS if word.endswith(end) and len(word) - len(end) >= 4), "")
    return word.removesuffix(ending)


def shared(words: Iterable[str], code: Iterable[str]) -> tuple[str, ...]:
    """Those of the words whose stem begins one of the words of code."""
    known = frozenset(part for name in code for part in (*subwords(name), name.lower()))
    return tuple(word for word in words if any(part.startswith(stem(word)) for part in known))


def held(words: Iterable[str], code: Iterable[str]) -> tuple[str, ...]:
    """Those of the words that the code has as a name or as a part of one; a plural's `s` does not count."""
    known = frozenset(part for name in code for part in parts_of(name))
    plain = ((word, word.strip("_").lower()) for word in words)
    return tuple(word for word, low in plain if known & {low, f"{low}s", low.removesuffix("s")})


def as_written(words: Iterable[str], text: str) -> tuple[str, ...]:
    """Search terms as they stand in the text, each once: `redi` as `Redis`, and of a compound only the part that was found.

    Of `ASGITransport` the term `transport` is shown as `Transport`: that the code has the whole name was not looked for.
    """
    shown: dict[str, None] = {}
    written = re.findall(r"[A-Za-z_]\w*", text)
    pieces = [*written, *(part for word in written for part in PART.findall(word))]
    for term in words:
        exact = [word for word in pieces if word.lower().strip("_") == term]
        plural = [word for word in pieces if word.lower() == f"{term}s"]
        shown[(exact or plural or [term])[0]] = None
    lower: dict[str, str] = {}
    for word in shown:
        lower.setdefault(word.lower(), word)
    return tuple(lower.values())
