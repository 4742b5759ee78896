"""What a question says, taken apart: which words weigh how much, and which names it holds.

Pure. A question is cut into lines of different worth: its title, prose, code, output and the noise of issue templates.
A word counts by the best line that it stands in. What a snippet in the question defines itself (`class Book(Model)`)
is the asker's own code and not the project's, so that it does not count as a name of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Literal

from orchestra_mcp.context.reading.prose import identifiers
from orchestra_mcp.identifiers import parts_of

MAX_CHARS = 65_536
MAX_TERMS = 90
"""Words that are looked up; of more, those that weigh most."""

Line = Literal["title", "prose", "code", "output", "noise"]

WORTH: dict[Line, float] = {"title": 2.5, "prose": 1.0, "code": 0.5, "output": 0.35, "noise": 0.0}
"""How much a word counts by the kind of line. Add a kind here and in `kind_of_line`."""

_COMMENT = re.compile(r"<!--.{0,4000}?-->", re.DOTALL)
_REDACTED = re.compile(r"«redacted:[^»\n]{1,80}»")
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~)")
_PROMPT = re.compile(r"^\s*(?:>>>|\.\.\.|In \[\d+\]:|\$ |irb|iex|>\s)")
_OUTPUT = re.compile(
    r"^\s*(?:File \"|at [\w$.<>]+\s?\(|Traceback|Caused by:|goroutine \d|#\d+ |\d{4}-\d\d-\d\d[T ]\d\d:|\[\w+\]|E  |Out\[\d+\]|-{5,}|={5,})"
    r"|^\s*[\w.]+(?:Error|Exception|Warning)\b[:(]|^\s*(?:INTERNALERROR>|\s*\^+\s*$)"
)
_CODE = re.compile(
    r"^\s*(?:def |class |import |from \S+ import |return\b|if .*[:{]\s*$|for .*[:{]\s*$|while .*[:{]\s*$|try\s*[:{]|with .*:\s*$"
    r"|public |private |protected |static |func |fn |let |const |var |@\w+|[\w.\[\]'\"]+\s*=\s*\S|[})\]]+[;,]?\s*$|//|/\*|\* @"
    r"|[\w.]+\(.*\)[;{:]?\s*$|package |#include|use [\w:]+;|SELECT |INSERT |<\w+[ />])"
)
_NOISE = re.compile(
    r"^\s*(?:-\s*\[[ xX]\]|#+\s*(?:search before asking|version information|system info|environment|versions?|expected behaviou?r"
    r"|actual behaviou?r|additional context|describe the bug|steps to reproduce|reproduction|to reproduce|checklist"
    r"|description|what happened|how to reproduce)\b"
    r"|\(last modified by|please complete|thank you|thanks|co-authored-by:|signed-off-by:|change-id:"
    r"|(?:python|os|platform|system|machine|version|release|processor|byteorder|lc_all|lang|gcc|libhdf5|libnetcdf)\b\s*[:=]"
    r"|[\w.-]+\s*[:=]{1,2}\s*v?\d+(?:\.\d+)+\S*\s*$)",
    re.IGNORECASE,
)
_DEFINES = re.compile(
    r"^\s*(?:>>>\s*|\.\.\.\s*)?(?:(?:public|private|protected|static|final|abstract|export|default|async)\s+)*"
    r"(?:def|class|interface|enum|record|struct|func|fn|function|trait|type)\s+(?:\([^)]*\)\s*)?([A-Za-z_]\w*)"
)
_WORD = re.compile(r"[^\W\d]\w+")
_URL = re.compile(r"\b[a-z][\w+.-]{1,20}://\S+", re.IGNORECASE)
SCOPES = re.compile(r"\.|::|#|->|/")
"""What stands between the parts of a name with its scopes."""

STOP = frozenset(
    """a about above after again all also although always am an and any are as ask at be because been before being best
    better between both but by call called can cannot cause could did do does doing done down during each either else
    even every example expected few find first fix for from further get gets getting give given go good had has have
    having he help here how however i if in instead into is issue it its itself just know let like look make makes
    many may me might more most much must my need never no nor not nothing now of off on once one only or other our
    out over own part please problem question really right same see seem seems set should show since so some something
    still such sure take than that the their them then there these they thing things this those though through time to
    too try under until up upon us use used using very want was way we well were what when where whether which while
    who whom why will with within without work working works would wrong yes yet you your none null true false self
    def bug bugs code current currently happens happen following lead leads currently don't doesn't isn't via e.g etc
    think possible able actually already another based case cases change changed currently description different don
    doesn isn didn won wasn couldn steps reproduce version https http www com github org""".split()
)


@dataclass(frozen=True, slots=True)
class Signals:
    """What a question says."""

    title: str = ""
    terms: dict[str, float] = field(default_factory=dict)
    """Word or part of a word, as the index counts it → how much it weighs."""
    names: dict[str, float] = field(default_factory=dict)
    """Identifiers as written, such as `QuerySet.filter` → how much they weigh, 0 to 1."""
    own: frozenset[str] = frozenset()
    """Names that the question defines itself."""


def read(text: str, without: Set[str] = frozenset()) -> Signals:
    """Take a question apart; `without` are words that are part of the request and not of what it is about."""
    text = _REDACTED.sub(" ", _COMMENT.sub(" ", text[:MAX_CHARS]))
    lines = list(classified(_URL.sub(" ", text)))
    own = frozenset(m[1] for kind, line in lines if kind in ("code", "output") if (m := _DEFINES.match(line)))
    weights = _weigh(lines)
    return Signals(
        title=next((line for kind, line in lines if kind == "title"), ""),
        terms={term: weight for term, weight in _terms(weights, own).items() if term not in without},
        names=_names(lines, own),
        own=own,
    )


def classified(text: str) -> Iterator[tuple[Line, str]]:
    """Each line with its kind; the first line that holds anything is the title."""
    fenced, titled = False, False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
            continue
        if not line.strip():
            continue
        kind = kind_of_line(line, fenced)
        if not titled and kind != "noise":
            titled = True
            kind = "title" if not fenced and kind in ("prose", "code") else kind
        yield kind, line


def kind_of_line(line: str, fenced: bool) -> Line:
    """What a line is, by its looks."""
    if not fenced and _NOISE.match(line):
        return "noise"
    if _OUTPUT.match(line):
        return "output"
    if fenced or _PROMPT.match(line) or _CODE.match(line):
        return "code"
    return "prose"


def _weigh(lines: Iterable[tuple[Line, str]]) -> dict[str, float]:
    """Each word as written → the worth of its best line, and a little for every further one."""
    best: dict[str, float] = {}
    more: dict[str, int] = {}
    for kind, line in lines:
        worth = WORTH[kind]
        if not worth:
            continue
        for word in set(_WORD.findall(line)):
            best[word] = max(best.get(word, 0.0), worth)
            more[word] = more.get(word, 0) + 1
    return {word: worth * (1 + 0.15 * min(4, more[word] - 1)) for word, worth in best.items()}


def _terms(weights: dict[str, float], own: frozenset[str]) -> dict[str, float]:
    terms: dict[str, float] = {}
    for word, worth in weights.items():
        if word in own:
            worth *= 0.3
        whole, *parts = parts_of(word) or ("",)
        for part in (whole, *parts):
            if len(part) < 3 or part in STOP:
                continue
            terms[part] = max(terms.get(part, 0.0), worth * (1.0 if part == whole else 0.7))
    best = sorted(terms.items(), key=lambda item: -item[1])[:MAX_TERMS]
    return dict(best)


def _names(lines: Iterable[tuple[Line, str]], own: frozenset[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, line in lines:
        worth = WORTH[kind]
        if not worth:
            continue
        candidates = identifiers(line)
        if kind in ("code", "output"):
            candidates = (*candidates, *_WORD.findall(line))
        for name in candidates:
            last = SCOPES.split(name)[-1]
            if name in own or last in own or len(last) < 3 or last.lower() in STOP:
                continue
            found[name] = max(found.get(name, 0.0), min(1.0, worth))
    return dict(sorted(found.items(), key=lambda item: -item[1])[:MAX_TERMS])
