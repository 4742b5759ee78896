"""The answer for the ear: two sentences that say what was asked, what is most likely, how sure that is and who objects. Pure.

Nothing is made to sound better than the verdict: a council that was not whole is told of first, per cents are rounded down, and a
position that rests on too little is called a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from math import floor
from typing import Final

from orchestra_mcp.edge.speaking.citations import checked
from orchestra_mcp.edge.speaking.readable import readable
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Claim, Usage, Verdict

MOST_READ: Final = 2_000
"""Characters of a position that are looked at."""
MOST_WORDS: Final = 45
MOST_CHARS: Final = 320
HEARD_WORDS: Final = 12
DETAIL_WORDS: Final = 24
"""Of each of the further sentences."""
TITLE_CHARS, TEXT_CHARS = 80, 240
LIKELY, PERHAPS = 0.6, 0.35
"""From these probabilities on a position is called likely, or possible; below it is a guess."""

CLAUSE: Final = re.compile(r"[.?!](?=\s|$)|[;:](?=\s)|,(?=\s)")
SENTENCE: Final = re.compile(r"(?<![.?!])[.?!](?=\s|$)")
ANALYSTS: Final = "No expert answered, only plain code analysis"
LINKS: Final = frozenset(
    "a an the of to in on at by for from with and or but that which when while if because as is are was were be not no into its their "
    "this than then so it".split()
)
"""Words at which nothing may end."""
QUALIFIERS: Final = frozenset("but unless except only however though although otherwise provided".split())
"""A sentence that begins with one of them takes something back of the one before."""
MORE: Final = ", and more"
"""Said where something was left out."""
LABEL: Final = re.compile(
    r"^(?:the )?(?:most likely |likely )?(?:root cause|cause|answer|conclusion|verdict|position): ", re.IGNORECASE
)
"""What a position may begin with, and what we have said already."""
ARTICLES: Final = frozenset("The A An This That These Those It Its There Your You When If In On At".split())


def spoken(verdict: Verdict, heard: str) -> str:
    """At most two sentences, some 45 words and 320 characters.

    Args:
        verdict: of any status; one that is not whole is said to be so first.
        heard: the question as it was understood; empty when it need not be repeated.
    """
    question = _question(heard)
    lead = _lead(verdict)
    if lead and question:
        first = f"{lead}; you asked: {question}."
    else:
        first = f"{lead}." if lead else f"You asked: {question}." if question else ""
    if not verdict.solutions:
        second = _without(verdict)
    else:
        after = f", {sure(verdict.confidence)}{_objections(verdict)}."
        opening = _opening(verdict)
        room = MOST_WORDS - len(f"{first} {opening} {after}".split())
        space = MOST_CHARS - len(first) - len(opening) - len(after) - 2
        second = f"{opening} {_position(checked(verdict.solutions[0].position[:MOST_READ], _claims(verdict)), room, space)}{after}"
    return f"{first} {second}".strip()


def details(verdict: Verdict) -> str:
    """What is said when somebody asks for more: who objects and why, what to do first, what it cost."""
    return f"{_dissent(verdict)} {_step(verdict)} {_cost(verdict)}"


def notification(verdict: Verdict, heard: str) -> tuple[str, str]:
    """Title and text of a notification: names as they are written, without Markdown or anything that a desktop takes for markup."""
    title = visible(heard, TITLE_CHARS) or "Orchestra"
    lead = _lead(verdict)
    lead = f"{lead}. " if lead else ""
    if not verdict.solutions:
        return title, lead + _without(verdict)
    tail = f" ({_percent(verdict.confidence)} % sure{_objections(verdict)})."
    told = checked(verdict.solutions[0].position[:4_000], _claims(verdict), refuted_only=True)
    position = visible(told, TEXT_CHARS - len(lead) - len(tail))
    return title, f"{lead}{position.rstrip('.')}{tail}"


def visible(text: str, limit: int) -> str:
    """Untrusted text on one line, without what Markdown or a desktop would read as markup."""
    text = re.sub(r"!?\[([^\[\]]{0,200})\]\([^()]{0,1000}\)", r"\1", plain(text[:4_000]))
    text = re.sub(r"\*\*|__(?=\W|$)|`+|^#+\s", "", text.replace("->", "→").replace("=>", "⇒"))
    line = " ".join(text.replace("<", "‹").replace(">", "›").replace("&", "and").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def sure(probability: float) -> str:
    """How sure that is, as people say it; never more than it is."""
    percent = _percent(probability)
    return f"{percent} percent sure" if percent else "hardly sure at all"


def _percent(probability: float) -> int:
    return max(
        0, min(99, floor(probability * 100 + 1e-9))
    )  # in floating point 0.29 is a little less than 29 hundredths


def _opening(verdict: Verdict) -> str:
    if verdict.strategy == "debate":
        return "The ruling:"
    probability = min(verdict.confidence, 1.0)
    return "Most likely:" if probability >= LIKELY else "Perhaps:" if probability >= PERHAPS else "Only a guess:"


def _lead(verdict: Verdict) -> str:
    """What is wrong with a verdict that is not whole; a clause without its full stop, empty when all is well."""
    if verdict.status == "complete":
        return "" if verdict.answered or not verdict.solutions else ANALYSTS
    if verdict.status == "running":
        return "The council is not done yet"
    if verdict.status == "cancelled":
        return "The council was stopped early"
    if verdict.status == "interrupted":
        return "The council was interrupted"
    if verdict.status == "failed":
        return "The council has no answer"
    answered = len(verdict.answered)
    if not answered:
        return ANALYSTS if verdict.solutions else "No expert answered"
    missing = {absence.seat for absence in verdict.absent if absence.stage == "opinion"} - set(verdict.answered)
    if missing:
        return f"Only {answered} of {answered + len(missing)} experts answered"
    return "The council was not complete"


def _without(verdict: Verdict) -> str:
    """The second sentence where there is no solution."""
    if verdict.status == "running":
        return "There is no answer so far."
    reasons = {absence.kind for absence in verdict.absent if absence.stage == "opinion"}
    why = next((text for kind, text in REASONS.items() if kind in reasons), "")
    return f"The reason: {why}." if why else "More is on your screen."


REASONS: Final = {
    "auth": "a key was refused",
    "budget": "the budget is used up",
    "own_limit": "your own limit is reached",
    "rate_limit": "the models are asked too often",
    "network": "the models could not be reached",
    "timeout": "the models took too long",
    "late": "the models took too long",
    "cancelled": "it was stopped",
    "resting": "the models failed too often lately",
}
"""Kinds of absences as they are said, the more telling ones first."""


def _objections(verdict: Verdict) -> str:
    """Who holds otherwise, as the end of a sentence; empty when nobody does."""
    seats = list(dict.fromkeys(seat for minority in verdict.dissent for seat in minority.seats))
    names = [name for seat in seats if (name := _name(seat))]
    if not names:
        return ""
    if len(names) == 1:
        return f"; {names[0]} disagrees"
    return f"; {names[0]} and {names[1]} disagree" if len(names) == 2 else f"; {len(names)} experts disagree"


def _question(heard: str) -> str:
    return _clauses(readable(heard), HEARD_WORDS, 110, whole=True)


def _claims(verdict: Verdict) -> tuple[Claim, ...]:
    """What the first solution rests on, and what the analysts can show."""
    return (*verdict.solutions[0].claims, *verdict.findings) if verdict.solutions else verdict.findings


def _position(position: str, words: int, chars: int) -> str:
    # The first sentence says it; a heading alone ("Root cause:") would not.
    text = LABEL.sub("", readable(position))
    listed = re.match(r"\s*1[.)]\s", position) is not None
    sentence = _first_sentence(text)
    short = _clauses(sentence, max(words, 6), max(chars, 40), whole=True)
    first, _, rest = text[len(sentence) :].strip(".?! ").partition(" ")
    if (first.lower() in QUALIFIERS or (listed and first[:1].isdigit())) and not short.endswith(MORE):
        short += MORE
    first, _, rest = short.partition(" ")
    short = f"{first.lower()} {rest}" if first in ARTICLES and rest else short
    return short or "see the screen"


def _first_sentence(text: str) -> str:
    end = SENTENCE.search(text)
    return text[: end.start()] if end and end.start() > 8 else text


def _clauses(text: str, words: int, chars: int, whole: bool = False) -> str:
    """The beginning of a text that ends with a clause, without marks that end a sentence; with no clause short enough, between
    words, and says that there is more.

    Args:
        whole: true when all of it is to be kept if there is room, not only its first sentence.
    """
    text = SENTENCE.sub(",", text.strip().rstrip(".?!,;: ")) if whole else _first_sentence(text).rstrip(".?!,;: ")
    text = REPEATED_COMMA.sub(",", text)
    if len(text.split()) <= words and len(text) <= chars:
        return text
    ends = [end.start() for end in CLAUSE.finditer(text)]
    for end in reversed(ends):
        head = text[:end]
        if max(3, words * 3 // 5) <= len(head.split()) <= words - 2 and len(head) <= chars - len(MORE):
            return head + MORE
    kept = text.split()[: max(1, words - 2)]
    while kept and (len(" ".join(kept)) > chars - len(MORE) or kept[-1].lower().strip(",;:") in LINKS):
        kept.pop()
    return " ".join(kept).rstrip(",;:") + MORE if kept else text[: max(0, chars)].rstrip()


REPEATED_COMMA: Final = re.compile(r"[,;:](?:\s*,)+")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _dissent(verdict: Verdict) -> str:
    if verdict.dissent:
        other = verdict.dissent[0]
        who = _names(other.seats)
        holds = "hold" if len(other.seats) > 1 else "holds"
        return _sentence(f"{who} {holds}: {_clauses(readable(other.position), DETAIL_WORDS, 180, whole=False)}")
    if not verdict.answered:
        return "No expert answered."
    return "Only one expert answered." if len(verdict.answered) == 1 else "No expert disagreed."


def _name(seat: str) -> str:
    """A seat's name without marks that would end a sentence, but for the point of a version."""
    words = re.sub(r"[,;:?!]|\.(?!\d)", " ", readable(seat[:200])).split()
    return " ".join(words[:3])[:24].rstrip(" .-")


def _names(seats: Sequence[str]) -> str:
    names = [_name(seat) for seat in seats[:2]]
    return (" and ".join(filter(None, names)) or "One expert") if len(seats) <= 2 else f"{len(seats)} experts"


def _step(verdict: Verdict) -> str:
    plan = verdict.plan or (verdict.solutions[0].plan if verdict.solutions else ())
    for kind, text in (("First step", plan[0] if plan else ""), ("What would settle it", verdict.next_check)):
        if words := _clauses(readable(checked(text[:MOST_READ], _claims(verdict))), DETAIL_WORDS, 180):
            return f"{kind}: {words}."
    return "There is no plan."


def _cost(verdict: Verdict) -> str:
    seconds = max(1, round(verdict.seconds))
    time = f"{seconds} second{'s' * (seconds != 1)}" if seconds < 120 else f"{round(seconds / 60)} minutes"
    return f"It cost {cost(verdict.usage)} and took {time}."


def cost(usage: Usage) -> str:
    """What it cost, as people say it; what is not known is said to be so."""
    cents = (usage.cost_usd * 100).quantize(Decimal(1), ROUND_HALF_UP)
    if usage.cost_usd == 0:
        known = "nothing"
    elif usage.cost_usd < Decimal("0.01"):
        known = "less than a cent"
    elif cents < 100:
        known = f"{cents} cent{'s' * (cents != 1)}"
    else:
        dollars, rest = divmod(int(cents), 100)
        known = f"{dollars} dollar{'s' * (dollars != 1)}" + (f" {rest}" if rest else "")
    if not usage.unpriced:
        return known
    return "an unknown amount" if known == "nothing" else f"at least {known}"
