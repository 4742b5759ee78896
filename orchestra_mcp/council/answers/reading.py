"""From what a model wrote to a structured opinion, ballot or synthesis. Pure, and forgiving about form.

A reply may be JSON, JSON in a fence or in prose, broken JSON, a bare program, or plain prose: all are read. What is
empty, cut off, a refusal, markup or nonsense is not: it raises `BadReply`, so that it can never become a vote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestra_mcp.council.answers.choices import chosen, only_chooses
from orchestra_mcp.council.answers.options import options_of
from orchestra_mcp.council.answers.patches import SEARCH, from_blocks, patch_in
from orchestra_mcp.council.answers.programs import language_of, program_in
from orchestra_mcp.errors import BadReply
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Claim

POSITION_KEYS = ("position", "verdict", "conclusion", "recommendation", "summary", "title", "ruling")
ANSWER_KEYS = ("answer", "explanation", "analysis", "reasoning", "solution", "response", "content", "details")
CLAIM_KEYS = ("evidence", "claims", "findings", "citations")
ERROR_KEYS = frozenset({"error", "errors", "message", "detail", "code", "status", "type", "request_id"})
"""An object with nothing but these is a relayed error."""
TEMPLATE = frozenset(
    {
        # What `prompts/opinion.md`, `chair.md` and `chair_debate.md` put into the form; weak models send it back.
        "your answer in one line, concrete enough that two experts who mean the same write the same",
        "the full answer in markdown: cause or recommendation, why, and how to do it",
        "the council's answer in one line",
        "the synthesis in markdown, at most 350 words, naming files and lines",
        "the ruling in one line, beginning with the winning position",
        "the ruling in markdown, at most 300 words: what decided it, and what the losing side is right about",
    }
)
GROUP_KEYS = ("groups", "same", "clusters")
MAX_POSITION = 240
MAX_CODE = 60_000
MAX_ANSWER = 24_000
MAX_ITEMS = 20
MAX_MENDED = 24_000
"""Characters of broken JSON that are mended, and opening brackets in it."""
MAX_BRACKETS = 400
SENTENCE = 300
"""Characters on either side of a place that are taken for the sentence around it."""

PLACE = re.compile(r"(?<![\w/.-])((?:[\w.@+-]+[\\/])*[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,9})(?::| line |#L)(\d{1,7})(?!\w)")
NUMBERED = re.compile(r"^\s{0,3}(?:\d{1,2}[.)]|[-*•])\s+(.+)$")
REFUSAL = re.compile(
    r"^\W*(?:i['’]?m\s+(?:very\s+)?sorry|i\s+am\s+sorry|sorry|i\s+can(?:['’]t|not)|i['’]?m\s+(?:not\s+able|unable)|as\s+an\s+ai)\b"
    r"[^.]*\b(?:can(?:['’]t|not)|unable|not\s+able|won['’]t|help|assist|comply|provide)\b",
    re.IGNORECASE,
)
# The commonest words of seven languages: prose has some of them, line noise has not.
FUNCTION_WORDS = frozenset(
    """
    the a an is are was be of to in and or not that this it with for on as by at from if because when should can will
    would has have does do than then there which but so we you i no use der die das und ist nicht ein eine mit zu im le
    la les un une des est pas pour dans el los las que es en y con por para il di che per non una o e os um uma não com
    de het een van niet и в не на что это с по как для
    """.split()
)


def clean(text: str) -> str:
    """Untrusted text without terminal escapes, control and invisible characters."""
    return plain(text).strip()


def read_object(text: str, known: Iterable[str]) -> dict[str, Any] | None:
    """The JSON object in a reply, mended where it is broken; None when there is none with a known key."""
    start = text.find("{")
    if start < 0 or _is_markup(text):
        return None
    wanted = set(known)
    fenced = re.search(r"```(?:json)?\s*\n(\{.*\})\s*```", text, re.DOTALL)
    end = text.rfind("}")
    for piece in (fenced and fenced.group(1), text[start : end + 1] if end > start else None, text[start:]):
        found = _parse(piece) if piece else None
        for item in found if isinstance(found, list) else [found]:
            if isinstance(item, dict) and wanted & {str(key).lower() for key in item}:
                return {str(key).lower(): value for key, value in item.items()}
    return None


def _parse(piece: str) -> object:
    """JSON as it is, else mended. Mending takes quadratic time on hostile text, so only what is short and flat is."""
    try:
        return json.loads(piece)
    except (ValueError, RecursionError):
        pass
    if len(piece) > MAX_MENDED or sum(map(piece.count, "[{(")) > MAX_BRACKETS:
        return None
    import json_repair

    try:
        return json_repair.loads(piece, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None


def read_opinion(text: str, vocabulary: frozenset[str], question: str = "") -> dict[str, Any]:
    """The fields of an `Opinion`, all but who said it.

    Where the question lists options, `option` is the one that was chosen, and the position too unless it says more. Where
    the answer is a program, `code` holds it and the answer keeps it in a fence.

    Args:
        text: the model's reply.
        vocabulary: words of the question and the evidence; prose that shares none of them, and has no common words
            either, is nonsense.
        question: what was asked, with its options or starter code.

    Raises:
        BadReply: `empty`, `refusal` or `garbage`.
    """
    text = clean(text)
    if not text:
        raise BadReply("the reply was empty", "empty")
    looks_like_json = bool(re.match(r"(?:```\w*\s*)?[{\[]", text))
    table = _strict_object(text) if not looks_like_json else None
    if table is None and not looks_like_json and (program := program_in(text, question))[0]:
        # Before broken JSON is looked for: programs have braces and keys too.
        return _read_program(text, *program)
    table = table or read_object(text, (*POSITION_KEYS, *ANSWER_KEYS))
    fields = _read_prose(text, vocabulary, question) if table is None else _read_table(table, vocabulary, question)
    return _with_option(fields, question)


def _strict_object(text: str) -> dict[str, Any] | None:
    """A whole and valid JSON object of ours between other text, else None."""
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    table = {str(key).lower(): value for key, value in found.items()} if isinstance(found, dict) else {}
    return table if table.keys() & {*POSITION_KEYS, *ANSWER_KEYS} else None


def _read_table(table: Mapping[str, Any], vocabulary: frozenset[str], question: str) -> dict[str, Any]:
    position = _line(_first(table, POSITION_KEYS))
    answer = _text(_first(table, ANSWER_KEYS))
    if not (position or answer):
        raise BadReply("the reply's fields were all empty", "empty")
    if TEMPLATE & {position.lower(), answer.lower()}:
        raise BadReply("the reply repeated the form instead of filling it in", "garbage")
    _must_not_refuse(answer or position)
    code, language = program_in(answer, question)
    if not code and isinstance(table.get("code"), str) and len(given := _text(table["code"])) > 1:
        code, language = program_in(given, question) if "```" in given else (given, language_of(given))
        answer = f"{answer}\n\n{fenced(code, language)}".strip() if code else answer
    elif code and "```" not in answer:
        answer = fenced(code, language)
    position = position or (_named_after(code) if code else first_sentence(answer))
    if not code and not _chooses(position, answer, question):
        _must_make_sense(f"{position} {answer}", vocabulary)
    claims = tuple(filter(None, (_claim(item) for item in _items(_first(table, CLAIM_KEYS)))))
    return {
        "position": position,
        "answer": clip(answer or position, MAX_ANSWER),
        "claims": claims[:MAX_ITEMS] or claims_in(answer),
        "assumptions": _lines(table.get("assumptions")),
        "risks": _lines(table.get("risks")),
        "plan": _lines(table.get("plan") or table.get("steps") or table.get("next_steps")),
        "patch": _patch(table.get("patch")) or patch_in(answer),
        "inputs": _inputs(table.get("inputs")),
        "code": code[:MAX_CODE],
        "language": language if code else "",
        "would_change": _line(table.get("would_change_my_mind") or table.get("would_change")),
        "confidence": _fraction(table.get("confidence")),
    }


def _read_prose(text: str, vocabulary: frozenset[str], question: str) -> dict[str, Any]:
    if _is_markup(text):
        raise BadReply("the reply was a web page, not an answer", "garbage")
    if (table := read_object(text, ERROR_KEYS)) and set(table) <= ERROR_KEYS:
        raise BadReply("the reply was an error message, not an answer", "garbage")
    _must_not_refuse(text)
    if not _chooses("", text, question):
        _must_make_sense(text, vocabulary)
    return {
        "position": first_sentence(text),
        "answer": clip(text, MAX_ANSWER),
        "claims": claims_in(text),
        "plan": numbered_steps(text),
        "patch": patch_in(text),
        "structured": False,
    }


def _read_program(text: str, code: str, language: str) -> dict[str, Any]:
    """A reply that is a program, perhaps with a few words around it."""
    outside = "\n".join(text.split("```")[::2]) if "```" in text else text.replace(code, "", 1)
    _must_not_refuse(outside)
    said = first_sentence(outside)
    return {
        "position": said if len(said.split()) > 3 and not said.endswith(":") else _named_after(code),
        "answer": clip(text if "```" in text else fenced(code, language), MAX_ANSWER),
        "claims": claims_in(outside),
        "code": code[:MAX_CODE],
        "language": language,
        "structured": False,
    }


def fenced(code: str, language: str = "") -> str:
    """Code in a Markdown fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"^\s*(`{3,})", code, re.MULTILINE)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def _named_after(code: str) -> str:
    """One line for a program without words: `program: class Stack, def main`."""
    found = re.findall(
        r"^(?:export |pub |async )*((?:def|class|function|func|fn|struct|interface) +\w+)", code, re.MULTILINE
    )
    names = ", ".join(" ".join(name.split()) for name in dict.fromkeys(found[:4]))
    lines = sum(1 for line in code.splitlines() if line.strip())
    return shorten(f"program: {names or f'{lines} lines'}", MAX_POSITION)


def _chooses(position: str, answer: str, question: str) -> bool:
    return chosen(position, answer, options_of(question)) is not None


def _with_option(fields: dict[str, Any], question: str) -> dict[str, Any]:
    """The fields with the option that was chosen, where the question lists any.

    The option, as the question writes it, is also the position of who wrote none, or nothing but its label or text.
    """
    if not question or fields.get("code") or not (options := options_of(question)):
        return fields
    position = fields["position"] if fields.get("structured", True) else ""
    if (option := chosen(position, fields["answer"], options)) is None:
        return fields
    own = position if position != first_sentence(fields["answer"]) else ""
    if own and not only_chooses(own, options):
        return {**fields, "option": option.label}
    return {**fields, "option": option.label, "position": shorten(option.line, MAX_POSITION)}


def read_synthesis(text: str, vocabulary: frozenset[str]) -> dict[str, Any]:
    """What a chair wrote: `answer`, `plan` and, for a debate, `would_change`. Raises as `read_opinion`."""
    fields = read_opinion(text, vocabulary)
    table = read_object(clean(text), (*POSITION_KEYS, *ANSWER_KEYS)) or {}
    return {
        "position": fields["position"],
        "answer": fields["answer"],
        "plan": fields["plan"],
        "would_change": _line(table.get("would_change") or table.get("would_change_my_mind")),
    }


def read_ballot(text: str, letters: tuple[str, ...]) -> dict[str, Any]:
    """A reviewer's ranking of letters: `ranking`, `same`, `defects` (letter, claim) and `why`.

    Raises:
        BadReply: no ranking of at least one known letter can be read.
    """
    text = clean(text)
    table = read_object(text, ("ranking", "rank", "order", "best")) or {}
    ranking = _letters(_first(table, ("ranking", "rank", "order", "best")), letters)
    if not table and (
        match := re.search(r"(?:ranking|order|best)\W+((?:[A-Z]\b\W*(?:>|,|then)?\W*){1,9})", text, re.IGNORECASE)
    ):
        ranking = _letters(match.group(1), letters)
    if not ranking:
        raise BadReply("no ranking could be read from the review", "garbage")
    same = tuple(group for item in _items(table.get("same")) if len(group := _letters(item, letters)) > 1)
    defects = []
    for item in _items(table.get("defects"))[:MAX_ITEMS]:
        if isinstance(item, Mapping) and (who := _letters(item.get("candidate"), letters)):
            claim = _claim({**item, "text": item.get("claim") or item.get("text")})
            if claim:
                defects.append((who[0], claim))
    return {"ranking": ranking, "same": same, "defects": tuple(defects), "why": _line(table.get("why"), 600)}


def read_groups(text: str, letters: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Which letters mean the same, in the words of a comparison; a letter that it leaves out stands alone.

    Raises:
        BadReply: no group with a known letter can be read.
    """
    text = clean(text)
    table = read_object(text, GROUP_KEYS)
    items = (
        _items(_first(table, GROUP_KEYS))
        if table
        else re.findall(r"[\[{(]([A-Z](?:\s*[,;&]\s*[A-Z]){0,25})[\])}]", text)
    )
    groups: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for item in items:
        # A letter in two groups would join both; the first word counts.
        group = tuple(letter for letter in _letters(item, letters) if letter not in seen)
        seen.update(group)
        groups += [group] if group else []
    if not groups:
        raise BadReply("no groups could be read from the comparison", "garbage")
    return (*groups, *((letter,) for letter in letters if letter not in seen))


def read_defects(text: str, labels: Sequence[str]) -> tuple[tuple[str, Claim], ...]:
    """What a debater holds against others: (one of `labels`, claim). What is unreadable is left out."""
    table = read_object(clean(text), ("defects",)) or {}
    defects: list[tuple[str, Claim]] = []
    for item in _items(table.get("defects"))[:MAX_ITEMS]:
        if not isinstance(item, Mapping):
            continue
        label = _label(_line(item.get("candidate") or item.get("argument") or item.get("against"), 80), labels)
        claim = _claim({**item, "text": item.get("claim") or item.get("text")})
        if label and claim:
            defects.append((label, claim))
    return tuple(defects)


def _label(said: str, labels: Sequence[str]) -> str:
    """The label that is meant: by its words, else by its number or letter alone."""
    by_words = {label.casefold(): label for label in labels}
    if found := by_words.get(said.casefold().strip(" .:()[]")):
        return found
    ends = [label for label in labels if re.findall(r"\w+", said)[-1:] == re.findall(r"\w+", label)[-1:]]
    return ends[0] if len(ends) == 1 else ""


def claims_in(text: str) -> tuple[Claim, ...]:
    """The places that prose points at, each with the sentence around it."""
    found: dict[tuple[str, int], Claim] = {}
    text = text[:MAX_ANSWER]
    for match in PLACE.finditer(text):
        path, line = match.group(1).replace("\\", "/"), int(match.group(2))
        if (path, line) in found:
            continue
        low, high = max(0, match.start() - SENTENCE), min(len(text), match.end() + SENTENCE)
        start = max(text.rfind("\n", low, match.start()), text.rfind(". ", low, match.start()), low - 1) + 1
        ends = (text.find("\n", match.end(), high), text.find(". ", match.end(), high))
        end = min((i for i in ends if i > 0), default=high)
        found[path, line] = Claim(text=_line(text[start:end]), path=path, line=line)
        if len(found) == MAX_ITEMS:
            break
    return tuple(found.values())


def numbered_steps(text: str) -> tuple[str, ...]:
    """The first numbered or bulleted list of a text with at least two items."""
    steps: list[str] = []
    for line in text.splitlines():
        if match := NUMBERED.match(line):
            steps.append(_line(match.group(1), 400))
        elif steps and line.strip() and not line.startswith((" ", "\t")):
            if len(steps) > 1:
                break
            steps = []
    return tuple(steps[:12]) if len(steps) > 1 else ()


def first_sentence(text: str) -> str:
    """The first sentence that says something, without Markdown around it."""
    for line in text.splitlines():
        plain = re.sub(r"^\s*(?:(?:[#>]+|[-*•]|\d{1,2}[.)])\s+)*", "", line)
        # Emphasis goes, names such as `read_lines`, `__init__` and `**kwargs` stay whole.
        plain = re.sub(r"(?<![\w*])(\*{1,3})(?=[^\s*])(.+?)(?<=[^\s*])\1(?!\w)", r"\2", plain).replace("`", "").strip()
        plain = re.sub(r"^(?:position|verdict|answer|conclusion|summary)\s*:\s*", "", plain, flags=re.IGNORECASE)
        if len(re.findall(r"\w+", plain)) >= 2 or len(plain) > 12:
            return _line(re.split(r"(?<=[.!?。])\s", plain, maxsplit=1)[0])
    return _line(text)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, saying how many were left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()}\n\n[… {len(text) - limit:,} more characters left out]"


def words_of(text: str) -> frozenset[str]:
    """The words of a text that can be recognised again, with compound identifiers also in parts."""
    parts = re.findall(r"[^\W\d_]{3,}", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text))
    return frozenset(word.lower() for word in (*parts, *re.findall(r"[^\W\d]\w{2,}", text)))


def _must_not_refuse(text: str) -> None:
    if len(text) < 600 and REFUSAL.match(text):
        raise BadReply("the model refused to answer", "refusal")


def _must_make_sense(text: str, vocabulary: frozenset[str]) -> None:
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text)]
    if len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", text)) >= 6:
        return  # written without spaces, so words cannot be counted
    letters = sum(character.isalpha() or character.isspace() for character in text)
    if len(words) < 2 or letters < 0.4 * len(text) or text.count("\ufffd") > len(text) / 20:
        raise BadReply("the reply was not language", "garbage")
    common = sum(word in FUNCTION_WORDS for word in words)
    known = sum(word in vocabulary and word not in FUNCTION_WORDS for word in words)
    if common < 0.1 * len(words) and known < max(1, 0.05 * len(words)):
        raise BadReply("the reply was nonsense: no common words, and none of the question's", "garbage")


def _is_markup(text: str) -> bool:
    return bool(re.match(r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype|html|head|body)\b", text, re.IGNORECASE))


def _claim(item: object) -> Claim | None:
    if isinstance(item, str):
        places = claims_in(item)
        return places[0] if places else (Claim(text=_line(item, 400)) if item.strip() else None)
    if not isinstance(item, Mapping):
        return None
    path = _line(item.get("path") or item.get("file") or item.get("location"), 400).replace("\\", "/")
    line = item.get("line") or item.get("start") or item.get("lineno") or 0
    if match := re.match(r"(.+?)(?::|#L)(\d+)", path):
        path, line = match.group(1), line or match.group(2)
    number = re.match(r"\D*(\d{1,7})", str(line))
    quote = _text(item.get("quote") or item.get("code"))[:600]
    text = _line(item.get("text") or item.get("claim") or item.get("statement") or item.get("why") or quote, 400)
    symbol = _line(item.get("symbol") or item.get("function"), 200).removesuffix("()")
    if not (text or path or symbol):
        return None
    return Claim(
        text=text,
        path=path.removeprefix("./"),
        line=int(number.group(1)) if number else 0,
        symbol=symbol,
        quote=quote,
        calls=_line(item.get("calls"), 200).removesuffix("()"),
        raises=_line(item.get("raises"), 120),
        test=_text(item.get("test"))[:2_000],
    )


def _first(table: Mapping[str, Any], keys: Iterable[str]) -> object:
    return next((table[key] for key in keys if table.get(key)), "")


def _items(value: object) -> list[Any]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Mapping):
        return [value]
    return list(value) if isinstance(value, (list, tuple)) else []


def _text(value: object) -> str:
    if isinstance(value, str):
        return clean(value)  # again: JSON escapes can spell what was taken out of the text around them
    if isinstance(value, (list, tuple)):
        return "\n".join(_text(item) for item in value).strip()
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_text(item)}" for key, item in value.items()).strip()
    return "" if value is None or isinstance(value, bool) else str(value)


def _line(value: object, limit: int = MAX_POSITION) -> str:
    return shorten(" ".join(_text(value).split()), limit)


def shorten(line: str, limit: int) -> str:
    """At most `limit` characters of a line, with an ellipsis when it was cut."""
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _lines(value: object) -> tuple[str, ...]:
    items = value.splitlines() if isinstance(value, str) else _items(value)
    plain = (re.sub(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+", "", _line(item, 400)) for item in items)
    return tuple(line for line in plain if line)[:MAX_ITEMS]


def _inputs(value: object) -> tuple[str, ...]:
    """Example inputs as they were written: their line ends mean something."""
    if isinstance(value, str):
        value = [value] if re.search(r"^\s*(?:>>>|```)", value) else value.splitlines()
    found = (
        _text(_first(item, ("call", "input", "code", "test")) if isinstance(item, Mapping) else item)[:4_000]
        for item in _items(value)
    )
    plain = (re.sub(r"^(?:\d{1,2}[.)]|[-*•])\s+", "", text) for text in found)
    return tuple(text for text in plain if text)[:MAX_ITEMS]


def _patch(value: object) -> str:
    text = _text(value)
    if SEARCH.search(text):
        return from_blocks(text)
    return text[:40_000] if "\n" in text and re.search(r"^(?:@@|[-+ ]{3} |[-+])", text, re.MULTILINE) else ""


def _fraction(value: object) -> float | None:
    try:
        number = float(str(value).rstrip("% "))
    except ValueError:
        return None
    number = number / 100 if number > 1 else number
    return number if 0 <= number <= 1 else None


def _letters(value: object, letters: tuple[str, ...]) -> tuple[str, ...]:
    text = " ".join(_text(item) for item in _items(value)) if not isinstance(value, str) else value
    return tuple(dict.fromkeys(found for found in re.findall(r"\b[A-Z]\b", text) if found in letters))
