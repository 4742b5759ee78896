"""An expert's answer as others may see it: unsigned, plain in style, harmless, and no longer than any other. Pure.

Who wrote an answer, and how it is laid out, moves judges (see the measurements on anonymity and style that the design
rests on); so names, greetings, headings and bold type go, and all answers of a prompt get the same room.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from orchestra_mcp.council.prompts.fencing import Fence
from orchestra_mcp.types import Claim, Opinion

ROOM, LEAST, MOST = 24_000, 2_000, 6_000
"""Characters for all answers of a prompt together, and what one of them gets at least and at most."""
CLAIMS, RISKS, PATCH = 0.25, 0.1, 0.35
"""Shares of its room that these parts of an answer can take; the answer's text has what they leave."""
CUT = " […]"

VENDORS_NAMES = (
    "Claude", "ChatGPT", "GPT", "Gemini", "Grok", "DeepSeek", "Mistral", "Llama", "Qwen", "Kimi", "GLM", "Command",
    # add here
)  # fmt: skip
SIGNING = r"\b((?:as|i am|i['’]m|my name is|this is|signed(?: by)?|yours)[,:]?\s+)"
"""What stands before a name where an author speaks of itself."""

# How an answer greets, before it says anything. Add here.
_GREETING = re.compile(
    r"\s*(?:(?:great|good|excellent|nice|interesting|fantastic) (?:question|catch|find|point)\b[^.!?\n]{0,60}[.!?]+"
    r"|(?:sure(?: thing)?|certainly|of course|absolutely|hello|hi|hey|hi there|hello there|thank you|thanks)\b"
    r"(?: for [^.!?\n]{1,80})?[!.,]+"
    r"|(?:i['’]d|i would|i['’]ll|i['’]m|i am) (?:be )?(?:happy|glad|delighted) to (?:help|assist)\b[^.!?\n]{0,80}[.!?]+"
    r"|as (?:an? (?:ai|large|language|helpful|expert|senior|experienced)\b[^,.\n]{0,60}|one of the experts),"
    r")\s*",
    re.IGNORECASE,
)
_FAREWELL = re.compile(
    r"(?:i )?hope (?:this|that|it) helps\b.{0,80}|(?:please )?(?:let me know|feel free|don['’]t hesitate)\b.{0,200}"
    r"|happy (?:coding|debugging|hacking)\b.{0,40}|good luck\b.{0,60}",
    re.IGNORECASE,
)
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*)")
_RULE = re.compile(r" {0,3}(?:=[= ]{2,200}|-[- ]{2,200}|\*[* ]{2,200}|_[_ ]{2,200})")
# Not `src/**/x/**`, and not `__init__`: bold type with underscores has several words.
_BOLD = re.compile(r"(?<![\w/*])(\*{2,3})(?=[^\s*])([^*\n]{0,300}[^\s*])\1(?![\w*])")
_UNDERLINED = re.compile(r"(?<!\w)__([^\s_]{1,60} [^_\n]{0,300})__(?!\w)")
_PICTURE = re.compile("[\U0001f000-\U0001faff\u2705\u274c\u2728\u26a0\u2b50\ufe0f]+ ?")


class Anonymity:
    """Takes the names of authors out of what they wrote."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names`: those by which experts could sign, of seats and models; the vendors' are known."""
        known = "|".join(re.escape(name) for name in sorted({*names, *VENDORS_NAMES} - {""}, key=len, reverse=True))
        self._signature = re.compile(rf"{SIGNING}(?:{known})(?!\w)[-\w.]*", re.IGNORECASE)
        self._last = re.compile(rf"\s*(?:[-—–~*]{{1,3}}\s*)+(?:{known})(?!\w)[-\w. *]{{0,30}}\s*", re.IGNORECASE)

    def unsigned(self, text: str) -> str:
        """The text, whose author speaks of itself as one of the experts."""
        text = self._signature.sub(r"\1one of the experts", text)
        head, newline, last = text.rstrip().rpartition("\n")
        return head if newline and self._last.fullmatch(last) else text


def room_for(count: int) -> int:
    """Characters that each of so many answers gets."""
    return max(LEAST, min(MOST, ROOM // max(1, count)))


def spoken(opinion: Opinion, room: int, fence: Fence, who: Anonymity) -> str:
    """An opinion in at most `room` characters (but for a heading each), its claims with what their checks said."""

    def say(text: str) -> str:
        return fence.said(who.unsigned(text))

    evidence = _lines((_claim(claim, fence, say) for claim in opinion.claims), int(room * CLAIMS))
    risks = cut(say("; ".join(opinion.risks)), int(room * RISKS))
    patch = cut(say(opinion.patch), int(room * PATCH))
    position = say(plain_style(who.unsigned(opinion.position)))
    left = room - sum(map(len, (evidence, risks, patch, position)))
    parts = [
        f"Position: {position}",
        cut(say(plain_style(who.unsigned(opinion.answer))), left),
        evidence and f"Evidence:\n{evidence}",
        risks and f"Risks: {risks}",
        patch and f"Patch:\n{patch}",
    ]
    return "\n\n".join(filter(None, parts))


@lru_cache(maxsize=256)  # every judge is shown the same answers
def plain_style(text: str) -> str:
    """Prose without greetings, farewells, headings, bold type and pictures; code blocks stay as they are."""
    for _ in range(4):  # greetings come in chains
        if not (found := _GREETING.match(text)):
            break
        text = text[found.end() :]
    out: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = line.lstrip()[:3]
        if fence:
            fence = "" if mark == fence else fence
        elif mark in ("```", "~~~"):
            fence = mark
        elif _RULE.fullmatch(line):
            continue
        else:
            line = _flat(line)
        out.append(line)
    while out and not fence and (not out[-1].strip() or _FAREWELL.fullmatch(out[-1].strip())):
        out.pop()
    return "\n".join(out)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, at the end of a line where that costs little."""
    if len(text) <= limit:
        return text
    kept = text[: max(0, limit - len(CUT))]
    line_end = kept.rfind("\n")
    return (kept[:line_end] if line_end > len(kept) * 0.8 else kept).rstrip() + CUT


def _flat(line: str) -> str:
    if found := _HEADING.fullmatch(line):
        line = found[1].rstrip("# \t").rstrip(":") + ":"
    if "**" in line:
        line = _BOLD.sub(r"\2", line)
    if "__" in line:
        line = _UNDERLINED.sub(r"\1", line)
    return line if line.isascii() else _PICTURE.sub("", line)


def _lines(claims: Iterable[str], room: int) -> str:
    """As many whole lines as there is room for."""
    kept: list[str] = []
    for line in claims:
        room -= len(line) + 1
        if room < 0:
            kept.append(CUT.strip())
            break
        kept.append(line)
    return "\n".join(kept)


def _claim(claim: Claim, fence: Fence, say: Callable[[str], str]) -> str:
    """A claim in one line with its place and what the check said."""
    place = claim.path + (f":{claim.line}" if claim.line else "")
    what = f"- {say(place or claim.symbol or 'no place')} — {say(plain_style(claim.text))}"
    what += f" (calls {say(claim.calls)})" if claim.calls else ""
    what += f" (raises {say(claim.raises)})" if claim.raises else ""
    return what + (f" {fence.stamp(claim.check)}" if claim.check else "")
