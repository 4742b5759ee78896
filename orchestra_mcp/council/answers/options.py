"""Questions that list their options, and which one an expert chose. Pure.

A choice is the best ground for agreement that there is, so it must not be guessed: a list of steps is not a list of
options, a discussed option is not a chosen one, and two chosen ones are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_OPTIONS = 26
MAX_QUESTION = 60_000
"""Characters of a question that are searched for options; the end counts."""
MAX_ANSWER = 24_000
"""Characters at the end of an answer that are searched for a choice."""

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
CHOOSES = re.compile(
    r"\?|\b(?:which|whether|choose|pick|select|should|correct|best|better|answer|options?|choices?|following|true|prefer)\b",
    re.IGNORECASE,
)
STEPS = re.compile(
    r"\b(?:steps|reproduce|(?:i|we) (?:did|do|tried|run|ran)|my (?:procedure|plan)|instructions|todo)\b[^\n?.]{0,40}:\W{0,4}$",
    re.IGNORECASE,
)
"""The line above a list that makes it a list of steps."""


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


def _listed(lines: Sequence[str], pattern: re.Pattern[str], *, strict: bool) -> tuple[Option, ...]:
    """The last run of consecutive labels in one style; lines between two labels continue the option above them."""
    best: tuple[Option, ...] = ()
    run: list[Option] = []
    pending: list[str] = []
    style: tuple[str, str] = ("", "")
    above = before = ""
    blank = False
    for line in [*lines, "\0"]:
        match = pattern.match(line)
        opening, label, closing = (match.group(1) or "", match.group(2), match.group(3)) if match else ("", "", "")
        if match and run and (opening, closing) == style and label == _after(run[-1].label):
            run[-1] = _continued(run[-1], pending)
            run.append(Option(label, match.group(4).strip(" *\t")))
            pending = []
        elif match and label in {"A", "a", "1"}:
            best = _settled(run, above, lines, strict=strict) or best
            run, pending, style, above = [Option(label, match.group(4).strip(" *\t"))], [], (opening, closing), before
        elif not match and run and line.strip() and not blank and line != "\0":
            pending.append(line)
        elif match or line == "\0" or (line.strip() and blank):
            # Below the last option only what is indented belongs to it.
            run[-1:] = [_continued(run[-1], pending[: _indented(pending)])] if run else []
            best = _settled(run, above, lines, strict=strict) or best
            run, pending = [], []
        blank = not line.strip()
        before = before if blank else line
    return best


def _continued(option: Option, lines: Sequence[str]) -> Option:
    return Option(option.label, " ".join((option.text, *(line.strip() for line in lines))))


def _indented(lines: Sequence[str]) -> int:
    """How many lines at the start are indented."""
    return next((i for i, line in enumerate(lines) if not line[0].isspace()), len(lines))


def _settled(run: Sequence[Option], above: str, lines: Sequence[str], *, strict: bool) -> tuple[Option, ...]:
    if not 2 <= len(run) <= MAX_OPTIONS or STEPS.search(above):
        return ()
    if INTRODUCED.search(above):
        return tuple(run)
    # Without an introduction a lettered list is one of options where the text asks for a choice, or is filled in.
    asks = not strict and (len(run) > 2 or any(CHOOSES.search(line) for line in lines))
    return tuple(run) if asks else ()


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
        if len(run) > 1 and all(cleaned) and CHOOSES.search(text[max(0, run[0].start() - 400) :]):
            return tuple(Option(mark.group(1), item) for mark, item in zip(run, cleaned, strict=True))
    return ()


def _after(label: str) -> str:
    return str(int(label) + 1) if label.isdigit() else chr(ord(label) + 1)


# ------------------------------------------------------------------------------------------------- what is chosen

# What may stand between a phrase and its label: brackets, emphasis, TeX.
WRAP = r"(?:[\s*_`$({\[:=\"'“]|\\[(\[]|\\boxed|\\text(?:bf|rm)?|\\math(?:bf|rm)?|\\,|option\b|choice\b|answer\b|letter\b){0,12}"
BEFORE_A_LABEL = (
    # Phrases after which a label is the choice. Add here.
    r"\b(?:answer|option|choice|solution|statement|selection)\s+(?:\S+\s+){0,3}?(?:is|are|would be|should be|must be|will be)\b",
    r"\b(?:final |correct |best |my )?(?:answer|choice)\**\s*[:=]",
    r"\bcorrect\s+(?:\S+\s+){0,3}?is\b",
    r"\b(?:i|we)(?:['’]d| would| will| should|['’]ll)?\s+(?:choose|pick|select|go with|recommend|answer)\b",
    r"\\boxed\b",
)
PHRASES = tuple(
    re.compile(phrase + WRAP + r"(?P<label>[A-Za-z]|\d{1,2})(?![\w'’])", re.IGNORECASE) for phrase in BEFORE_A_LABEL
)
AFTER_A_LABEL = re.compile(
    r"(?<!\w)(?:option|choice|answer|statement)\W{1,4}(?P<label>[A-Z]|\d{1,2})\W{1,4}(?:is|would be|must be)\s+(?:therefore |thus |clearly )?"
    r"(?:the\s+)?(?:correct|right|best|true|answer|most)\b",
    re.IGNORECASE,
)
EMPHASISED = re.compile(r"\*\*\W{0,3}(?P<label>[A-Z]|\d{1,2})(?:[.):][^*\n]{0,400})?\W{0,3}\*\*")
NAMED = re.compile(
    r"\b(?:is|are|be|to|option)\W{0,4}\((?P<label>[A-Z])\)(?!\s*(?:is|are|was|were|which is|and|or|,)\b)", re.IGNORECASE
)
"""Weaker than a phrase: `The most likely diagnosis is (F)`; read in the last paragraph alone."""
WHOLE_LINE = re.compile(
    r"^\W{0,8}(?:(?:option|choice|answer|the answer is)\W{1,4})?(?P<label>[A-Z]|\d{1,2})(?:\W{0,8}$|[.):]\s?\**\s+\S)",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"\b(?:not|n['’]t|never|if|unless|whether|than|neither|nor|eliminate|exclude|why)\b[^.;\n]{0,24}$", re.IGNORECASE
)
REJECTED = re.compile(
    r"^[\])}.*_$\s]{0,8}(?:is|are|was|would be|seems|cannot|can['’]t)\s+(?:\w+\s+)?(?:not\b|wrong|incorrect|false|out\b|be\b|invalid)",
    re.IGNORECASE,
)
RIVAL = re.compile(
    r"^[\])}.*_$\s,]{0,8}(?:or|and|/|&|,)\s*(?:option\s+)?(?:\\boxed)?[({*]{0,3}(?P<label>[A-Z]|\d{1,2})(?=[\])}.,;:*$\s]|$)(?!\s+[a-z])"
)


def chosen(position: str, answer: str, options: Sequence[Option]) -> Option | None:
    """The option that an expert chose; None when that is unclear, when it chose several, or none.

    The one-line position counts before the answer; in prose the last clear statement counts, since models correct
    themselves. An option that is only discussed or denied is not chosen.
    """
    if len(options) < 2:
        return None
    by_label = {option.label.upper(): option for option in options}
    for text in (position, answer[-MAX_ANSWER:]):
        if not text.strip():
            continue
        line = text.strip()
        found = _by_line(line, options, by_label) if "\n" not in line and len(line) <= 600 else None
        found = found or _stated(text, options, by_label) or (_mentioned(line, options) if text is position else ())
        if found:
            return found[0] if len(set(found)) == 1 else None
    return None


Found = tuple[Option, ...]
"""What a text chooses: nothing, one option, or several, which is no choice."""


def _by_line(line: str, options: Sequence[Option], by_label: dict[str, Option]) -> Found:
    """A line that is a label, a label with its text, or an option's text."""
    match = WHOLE_LINE.match(line)
    option = by_label.get(match.group("label").upper()) if match else None
    if match and option and (match.group("label").isupper() or match.group("label").isdigit() or len(line) < 5):
        rival = RIVAL.match(line[match.end("label") :])
        if rival and rival.group("label").upper() in by_label:
            return (option, by_label[rival.group("label").upper()])
        rest = _bare(line[match.end("label") :])
        others = [other for other in options if other is not option and _bare(other.text) == rest != _bare(option.text)]
        return (option, *others)
    bare = _bare(
        re.sub(
            r"^(?:the )?(?:correct |final |best )?(?:answer|option|choice)(?: is)?\s*:?\s+",
            "",
            line,
            flags=re.IGNORECASE,
        )
    )
    same = tuple(option for option in options if _bare(option.text) == bare)
    return same if len(same) == 1 else ()


def _mentioned(position: str, options: Sequence[Option]) -> Found:
    """The options whose text a one-line position contains: `Use Redis, since it is there`."""
    line, found = f" {_bare(position)} ", []
    for option in options:
        text = _bare(option.text)
        match = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", line) if len(text) > 2 else None
        if match and not DENIED.search(line[: match.start()][-40:]):
            found.append(option)
    return tuple(found)


def _stated(text: str, options: Sequence[Option], by_label: dict[str, Option]) -> Found:
    statements = sorted(_statements(text, by_label), key=lambda item: item[0])
    if statements:
        return statements[-1][1]
    return _by_last_line(text, options, by_label)


def _statements(text: str, by_label: dict[str, Option]) -> Iterator[tuple[int, Found]]:
    """Where a text says which option it chooses, and which."""
    for pattern in (*PHRASES, AFTER_A_LABEL, EMPHASISED):
        for match in pattern.finditer(text):
            label, end = match.group("label"), match.end("label")
            option = by_label.get(label.upper())
            if not option or _is_a_word(text, match.start("label"), end):
                continue
            after = text[end : end + 60]
            if DENIED.search(text[max(0, match.start() - 40) : match.start()]) or REJECTED.match(after):
                continue
            rival = RIVAL.match(after)
            other = by_label.get(rival.group("label").upper()) if rival else None
            yield end, (option, other) if other and other is not option else (option,)


def _is_a_word(text: str, start: int, end: int) -> bool:
    """Whether a letter is a word of the sentence: `is a good idea`, `I think`, `2 GB`; labels are set apart."""
    label, opened = text[start:end], text[start - 1 : start] in set("({[*`$\"'“")
    if opened:
        return False
    if label.islower():
        return True
    if label.isdigit():
        return bool(re.match(r"[^\S\n]*[\w%$^*/+=<>-]|[.,]\d", text[end : end + 8]))
    rest = text[end : end + 12]
    if label in "AI":
        return bool(re.match(r"[^\S\n]+\w", rest))
    return bool(re.match(r"[^\S\n]*[=<>^+/*]\s*\w|_\w", rest))


def _by_last_line(text: str, options: Sequence[Option], by_label: dict[str, Option]) -> Found:
    """No phrase says so: then the last lines do, when one is an option and nothing else, or names a single one."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip(" \t\\[]()$*_`-")]
    if not lines:
        return ()
    alone = [found[0] for line in lines[-3:] if (found := _copied(line, by_label))]
    if alone:  # two of them are the end of a discussion of them all
        return tuple(alone)
    if len(lines[-1]) <= 600 and (found := _by_line(lines[-1], options, by_label)):
        return found
    named = [
        by_label[match.group("label")]
        for match in NAMED.finditer(lines[-1])
        if match.group("label") in by_label and not DENIED.search(lines[-1][: match.start()][-40:])
    ]
    if named:
        return tuple(named)
    if match := re.search(r"\banswer(?: is)?\s*:?\s+(\S[^\n]{0,300})$", lines[-1], re.IGNORECASE):
        return _by_line(match.group(1), options, by_label)
    return ()


def _copied(line: str, by_label: dict[str, Option]) -> Found:
    """An option written out, label and text."""
    match = WHOLE_LINE.match(line)
    option = by_label.get(match.group("label").upper()) if match else None
    return (option,) if match and option and _bare(line[match.end("label") :]) == _bare(option.text) else ()


def _bare(text: str) -> str:
    """A text without case, markup and punctuation at its ends, for comparison."""
    return " ".join(
        re.sub(r"\\(?:text|mathrm|mathbf|boxed|,|;|!|\(|\)|\[|\])|[*_`${}\"]", " ", text.lower()).split()
    ).strip(" .,:;()[]'")
