"""Questions that list their options. Pure.

A choice among options is the best ground for agreement that there is, so options must not be guessed: a list of steps
is none, and neither is a list that is only asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_OPTIONS = 26
MAX_QUESTION = 60_000
"""Characters of a question that are searched for options; the end counts."""
NEAR = 8
"""Lines above and below a list in which the question for a choice is looked for."""
MAX_SENTENCE = 400
"""Characters of a sentence that are read, from its end."""

FENCE = re.compile(r"^ {0,3}(?:```|~~~).*$")
LETTERED = re.compile(r"^[ \t]{0,8}(?:[-*•][ \t]+)?(?:\*\*)?(\()?([A-Z])([.):])(?:\*\*)?[ \t]+(\S.*)$")
NUMBERED = re.compile(r"^[ \t]{0,8}(\()?(\d{1,2})([.):])[ \t]+(\S.*)$")
LOWERED = re.compile(r"^[ \t]{0,8}(\()?([a-z])([.)])[ \t]+(\S.*)$")
INLINE = re.compile(r"(?:(?<=\s)|^)\(([A-Z])\)[ \t]+(?=\S)")
INTRODUCED = re.compile(
    r"\b(?:options?|choices?|alternatives|candidates|possible answers|which (?:one )?of (?:these|the following)"
    r"|(?:choose|pick|select)(?: one| from| between| among)?)\b[^\n]{0,80}[:?]\W{0,4}$",
    re.IGNORECASE,
)
"""The line above a list that makes it a list of options even where its labels are numbers or small letters."""
# What asks to choose, in one sentence. Add here.
CHOOSES = re.compile(
    r"\b(?:of|from|among|amongst|between) (?:these|those|them|the following|the above|the listed)\b"
    r"|(?:^|[,;:]\s*|\b(?:please|should|to|must|can|and|or|would|you|we|i|help me)\s+)(?:choose|pick|select|decide|recommend|prefer)\b"
    r"|\bshould (?:we|i|one|you|it) (?:use|take|choose|pick|go|prefer|adopt|select)\b"
    r"|\b(?:correct|right|best|true|false|following) (?:answer|option|choice|statement|alternative|candidate|one)s?\b"
    r"|\b(?:options|choices|alternatives|candidates)\b[^.?!]{0,40}(?:$|[:?])",
    re.IGNORECASE,
)
"""Chooses, question or not."""
ASKS_WHICH = re.compile(
    r"\b(?:which|whether|option|choice|prefer|correct|incorrect|best|better|worst|true|false|preferable)\b"
    r"|\b(?:welche[rsn]?|quel(?:le)?s?|laquelle|lequel|cu[aá]l(?:es)?|qual|quale|quali|quais|welke)\b",
    re.IGNORECASE,
)
"""Chooses, where the sentence is a question."""
ASKS_ABOUT = re.compile(
    r"^\W*(?:why|how come|how (?:do|does|did|can|could|should|is|are)|when does|where does|warum|wieso|pourquoi)\b"
    r"|\bwhich (?:\w+ )?(?:steps?|stages?|phases?|lines?|commands?)\b",
    re.IGNORECASE,
)
"""Asks what is the matter with things that are listed."""
STEPS = re.compile(
    r"\b(?:steps|reproduce|(?:i|we) (?:did|do|tried|run|ran)|instructions|todo)\b[^\n?.]{0,40}:\W{0,4}$"
    r"|\b(?:plan|procedures?|pipeline|workflow|process|sequence|script|deploy(?:ment)?s?|migration|release|runbook|job|stages|phases)\b"
    r"[^\n?.]{0,40}:\W{0,4}$"
    r"|\b(?:does|did|ran|runs)\s{0,3}:\W{0,4}$"
    r"|\b(?:do|does|did|runs?|ran|happens|happened|executes|performs|proceeds|works|goes|went)"
    r" (?:the following|this|these|that|it|so|as follows|like this|in (?:this|that) order|\w+ly)\b[^\n?.]{0,20}:\W{0,4}$"
    r"|\b(?:log|trace|traceback|output|events)\b[^\n?.]{0,20}:\W{0,4}$",
    re.IGNORECASE,
)
"""The line above a list that makes it a list of steps, unless that line asks to choose."""
ANSWER_LINE = re.compile(
    r"^\W{0,6}(?:(?:the |your |final |correct |my ){0,3}(?:answer|choice|solution)(?: is)?|antwort|r[ée]ponse|respuesta|risposta|resposta|antwoord"
    r"|let['’]?s think[^\n]{0,40})\W{0,6}$",
    re.IGNORECASE,
)
"""What an exam question has below its options: a line to be filled in."""


@dataclass(frozen=True)
class Option:
    """One listed option: its label as the question writes it, without brackets, and its text in one line."""

    label: str
    text: str

    @property
    def line(self) -> str:
        """The canonical position of those who choose it: `C. Redis`."""
        return f"{self.label}. {self.text}"


# ------------------------------------------------------------------------------------------------- what is listed


def options_of(text: str) -> tuple[Option, ...]:
    """The options that a question lists, from the first label on without a gap; empty when it lists none.

    Options stand on lines of their own (`A. …`, `B) …`, `(C) …`; numbers and small letters only below a line that
    introduces a choice) or in one sentence (`(A) … (B) …`). Code blocks, dashes and steps are none. Of several lists
    the last counts: examples stand before the question.
    """
    lines = _outside_code(text[-MAX_QUESTION:])
    for pattern, strict in ((LETTERED, False), (NUMBERED, True), (LOWERED, True)):
        if found := _listed(lines, pattern, strict=strict):
            return found
    return _inline("\n".join(lines))


def _outside_code(text: str) -> list[str]:
    lines, inside = [], False
    for line in text.split("\n"):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return lines


@dataclass
class _Run:
    """Labels in their order, as they are being read."""

    style: tuple[str, str] = ("", "")
    above: int = -1
    """The last line with words above the list; -1 for none."""
    first: int = 0
    last: int = 0
    """Its first line and the last one that belongs to it."""
    options: list[Option] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    """Lines below the last label that may continue it."""

    def take(self, option: Option, at: int) -> None:
        self._continue(self.pending)
        self.options.append(option)
        self.last = at

    def end(self) -> None:
        """Below the last option only what is indented belongs to it."""
        indented = next((i for i, line in enumerate(self.pending) if not line[0].isspace()), len(self.pending))
        self.last += indented
        self._continue(self.pending[:indented])

    def _continue(self, lines: Sequence[str]) -> None:
        if lines:
            option = self.options[-1]
            self.options[-1] = Option(option.label, " ".join((option.text, *(line.strip() for line in lines))))
        self.pending = []


def _listed(lines: Sequence[str], pattern: re.Pattern[str], *, strict: bool) -> tuple[Option, ...]:
    """The last list of options in one style."""
    best: tuple[Option, ...] = ()
    for run in _runs(lines, pattern):
        if 2 <= len(run.options) <= MAX_OPTIONS and _is_of_options(run, lines, strict=strict):
            best = tuple(run.options)
    return best


def _runs(lines: Sequence[str], pattern: re.Pattern[str]) -> Iterator[_Run]:
    """Consecutive labels in one style; lines between two labels continue the option above them."""
    run: _Run | None = None
    above, blank = -1, False
    for at, line in enumerate(lines):
        match = pattern.match(line)
        if match:
            opening, label, closing = match.group(1) or "", match.group(2), match.group(3)
            option = Option(label, match.group(4).strip(" *\t"))
            if run and (opening, closing) == run.style and label == _after(run.options[-1].label):
                run.take(option, at)
            else:
                if run:
                    run.end()
                    yield run
                run = _Run((opening, closing), above, at, at, [option]) if label in {"A", "a", "1"} else None
        elif run and line.strip():
            if blank:
                run.end()
                yield run
                run = None
            else:
                run.pending.append(line)
        blank = not line.strip()
        above = above if blank else at
    if run:
        run.end()
        yield run


def _is_of_options(run: _Run, lines: Sequence[str], *, strict: bool) -> bool:
    above = lines[run.above] if run.above >= 0 else ""
    asked = any(map(_asks_to_choose, _sentences(above)))
    if STEPS.search(above) and not asked:
        return False
    if INTRODUCED.search(above):
        return True
    if strict:
        return False
    over = [line for line in lines[max(0, run.first - 4 * NEAR) : run.first] if line.strip()][-NEAR:]
    under = [line for line in lines[run.last + 1 : run.last + 1 + 4 * NEAR] if line.strip()]
    if asked or any(map(_asks_to_choose, _sentences("\n".join((*over, "", *under[:NEAR]))))):
        return True
    # As exam questions have it: a stem, its options, and nothing more but a line to be filled in.
    ends = not any(line.strip() for line in lines[run.last + 1 + 4 * NEAR :])
    return bool(above.strip()) and ends and all(ANSWER_LINE.match(line) for line in under)


def _sentences(text: str) -> list[str]:
    """The sentences of a text, each with the mark at its end; a line end is a blank, an empty line ends a sentence."""
    found = re.split(r"(?<=[.?!])\s+|\n\n+|(?<=:)\n", text)
    return [sentence.replace("\n", " ")[-MAX_SENTENCE:] for sentence in found if sentence.strip()]


def _asks_to_choose(sentence: str) -> bool:
    if CHOOSES.search(sentence) and not re.match(r"\W*why\b", sentence, re.IGNORECASE):
        return True
    asks = sentence.rstrip(" *_)\"'").endswith("?") or re.match(r"\W*which\b", sentence, re.IGNORECASE)
    return bool(asks and ASKS_WHICH.search(sentence)) and not ASKS_ABOUT.search(sentence)


def _inline(text: str) -> tuple[Option, ...]:
    marks = list(INLINE.finditer(text))
    for first in reversed([index for index, mark in enumerate(marks) if mark.group(1) == "A"][-MAX_OPTIONS:]):
        run = [marks[first]]
        for mark in marks[first + 1 :]:
            if mark.group(1) != _after(run[-1].group(1)):
                break
            run.append(mark)
        if all(text[mark.start() - 1 : mark.start()] in {"", "\n"} for mark in run):
            continue  # a list, and it was none of options
        ends = [mark.start() for mark in run[1:]] + [len(text)]
        texts = [text[mark.end() : end].split("\n\n")[0] for mark, end in zip(run, ends, strict=True)]
        # What follows the last option on a new line is the rest of the question.
        texts[-1] = texts[-1].split("\n")[0].rstrip(" .")
        cleaned = [re.sub(r"[\s,;]+(?:or|and)?\s*$|[?;,]\s*$", "", " ".join(item.split())) for item in texts]
        if len(run) > 1 and all(cleaned) and _offered(text, run):
            return tuple(Option(mark.group(1), item) for mark, item in zip(run, cleaned, strict=True))
    return ()


def _offered(text: str, run: Sequence[re.Match[str]]) -> bool:
    """Whether the sentences around marks in a line ask to choose: `Is it (A) … or (B) …?`."""
    around = text[max(0, run[0].start() - MAX_SENTENCE) : run[-1].end() + MAX_SENTENCE]
    between = text[run[-2].end() : run[-1].start()]
    asks = "?" in text[run[-1].end() : run[-1].end() + MAX_SENTENCE].split("\n")[0]
    return (asks and bool(re.search(r"\bor\s*$", between))) or any(map(_asks_to_choose, _sentences(around)))


def _after(label: str) -> str:
    return str(int(label) + 1) if label.isdigit() else chr(ord(label) + 1)
