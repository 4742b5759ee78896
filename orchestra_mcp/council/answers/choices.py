"""Which of a question's options an expert chose. Pure.

A choice must not be guessed: a discussed or rejected option is not a chosen one, and two chosen ones are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestra_mcp.council.answers.options import Option

MAX_ANSWER = 24_000
"""Characters at the end of an answer that are searched for a choice."""

# What may stand between a phrase and its label: brackets, emphasis, TeX.
WRAP = (
    r"(?:[\s*_`$({\[:=\"'“„«：（]|\\[(\[]|\\boxed|\\text(?:bf|rm)?|\\math(?:bf|rm)?|\\,|option\b|choice\b|answer\b|letter\b"
    r"|(?:die|la|a|de|het)\s(?:antwort|option|r[ée]ponse|respuesta|opci[óo]n|risposta|opzione|resposta|op[çc][ãa]o|optie|antwoord)\b"
    r"|l['’](?:option|opzione)\b|antwort\b|opci[óo]n\b|opzione\b|op[çc][ãa]o\b|optie\b|antwoord\b|buchstabe\b|lettre\b|letra\b|lettera\b){0,12}"
)
ANSWER_ABROAD = (
    r"(?:antwort|lösung|wahl|auswahl|option|r[ée]ponse|choix|solution|respuesta|opci[óo]n|alternativa|soluci[óo]n|risposta|opzione|scelta|soluzione"
    r"|resposta|op[çc][ãa]o|solu[çc][ãa]o|antwoord|optie|keuze)"
)
BEFORE_A_LABEL = (
    # Phrases after which a label is the choice. Add here.
    r"\b(?:answer|option|choice|solution|statement|selection)\s+(?:\S+\s+){0,3}?(?:is|are|would be|should be|must be|will be)\b",
    r"\b(?:final |correct |best |my )?(?:answer|choice)\**\s*[:=]",
    r"\bcorrect\s+(?:\S+\s+){0,3}?is\b",
    r"\b(?:i|we)(?:['’]d| would| will| should|['’]ll)?\s+(?:choose|pick|select|go with|recommend|answer)\b",
    r"\\boxed\b",
    # German, French, Spanish, Italian, Portuguese, Dutch; then Chinese and Japanese.
    (
        rf"\b{ANSWER_ABROAD}\**\s+(?:(?!(?:nicht|pas|no|non|não|niet|nunca|jamais)\s)[^\s.]{{1,30}}\s+){{0,3}}?"
        r"(?:ist|lautet|wäre|est|serait|es|sería|è|e['’]|sarebbe|é|seria|is|luidt)(?!\w)"
    ),
    r"\b(?:antwort|lösung|r[ée]ponse|respuesta|risposta|resposta|antwoord)\**[^\S\n]{0,3}[:=]",
    r"(?:答案|答え|正解)\s{0,3}(?:应该|應該)?(?:是|为|為|は|:|：)",
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
    # Words behind which an option is not chosen, unless a comma begins what is. Add here.
    r"\b(?:not|n['’]t|never|if|unless|whether|than|neither|nor|none|no(?!,)|eliminat\w{1,4}|exclud\w{1,4}|why|instead of|rul\w{1,3} out|avoid|against"
    r"|without|reject|drop|skip|away from|get rid of|nicht|kein\w{0,2}|statt|pas|niet|geen)\b"
    r"(?:(?!,\s*(?:use|but|so|choose|pick|take|go|rather|instead|the|i|we|it)\b)[^.;\n]){0,24}$",
    re.IGNORECASE,
)
REJECTED = re.compile(
    # Behind an option: what is said of one that is not chosen. Add here.
    r"^[\])}.*_$`\"'\s]{0,8}(?:"
    r"(?:is|are|was|were|would be|seems?|looks?|cannot|can['’]t|ist|wäre|est|es|è|é)\s+(?:\w+\s+){0,2}?"
    r"(?:not\b|wrong|incorrect|false|out\b|be\b|invalid|overkill|unneeded|unnecessary|needless|too\b|ruled out|eliminated|excluded|rejected"
    r"|worse|inferior|unsuitable|impossible|inadequate|excessive|pointless|useless|no (?:good|use|option)|nicht|falsch|überflüssig|pas\b|faux|fausse|niet)"
    r"|(?:has|have) been (?:ruled out|eliminated|excluded|rejected)|(?:isn|aren|wasn|doesn|don|won|can)['’]t\b"
    r"|(?:do|does|will|would|can|could|should) ?not\b|n['’]est pas\b|fails\b|(?:can|should|must) be (?:ruled out|eliminated|excluded|avoided))",
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


NOBODY = frozenset({"none", "neither", "nothing", "all", "both", "any"})
"""Options that are ordinary words: `none of the caches` does not choose `None`."""
Found = tuple[Option, ...]
"""What a text chooses: nothing, one option, or several, which is no choice."""


PREFACE = re.compile(
    r"^\W*(?:(?:the )?(?:(?:correct|final|best|right) )?(?:answer|option|choice)(?: is)?|(?:i|we) (?:choose|pick|select)|(?:die )?(?:richtige )?antwort(?: ist)?)"
    r"\s*:?\s+",
    re.IGNORECASE,
)


def only_chooses(position: str, options: Sequence[Option]) -> bool:
    """Whether a line is nothing but a choice: a label, an option's text or both, perhaps behind `The answer is`."""
    line = position.strip()
    for said in (line, PREFACE.sub("", line), PREFACE.sub("", PREFACE.sub("", line))):
        bare = _bare(said)
        for option in options:
            text, label = _bare(option.text), option.label.lower()
            if bare in (text, label) or (bare.startswith(label) and bare[len(label) :].strip(" .,:;()[]-–'") == text):
                return True
    return False


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
        if not match or DENIED.search(line[: match.start()][-40:]):
            continue
        rest = line[match.end() :]
        if not REJECTED.match(rest) and not re.match(r"\s+of\b", rest if text in NOBODY else ""):
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
