"""What a project tells those who work on it (AGENTS.md, CLAUDE.md, CONTRIBUTING …), as far as a question needs it. Pure.

The text is the project's, not ours: whoever shows it to a model fences it like all other evidence.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from orchestra_mcp.context.packing import estimate_tokens
from orchestra_mcp.identifiers import subwords

MAX_FILES = 8
MAX_TEXT = 80_000
LIMIT = 250
"""Tokens for all sections together."""
PART = 90
"""Tokens from which a section is split at its blank lines."""

# Add here: which files hold instructions, and how much they count. Group `base` is the directory that they are about.
FILES: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(r"(?P<base>.*/)?(?:AGENTS?|CLAUDE)(?:\.local)?\.md"), 1.0),
    (re.compile(r"(?P<base>.*/)?\.cursor/rules/(?:[^/]+/)*[^/]+\.mdc?"), 0.95),
    (re.compile(r"(?P<base>.*/)?\.(?:cursorrules|windsurfrules|clinerules)"), 0.95),
    (re.compile(r"(?P<base>.*/)?\.github/(?:copilot-instructions|instructions/[^/]+\.instructions)\.md"), 0.95),
    (re.compile(r"(?P<base>.*/)?(?:GEMINI|CONVENTIONS|\.claude/CLAUDE)\.md"), 0.9),
    (re.compile(r"(?P<base>.*/)?(?:\.github/|docs/)?(?:CONTRIBUTING|DEVELOPMENT|DEVELOPING|HACKING|TESTING)(?:\.(?:md|rst|txt|adoc))?"), 0.6),
)  # fmt: skip

_TOPIC = re.compile(
    r"(?i)\b(?:tests?|testing|style|conventions?|lint(?:ing)?|format(?:ting)?|rules?|commands?|checks?|debug(?:ging)?)\b"
)
_COMMAND = re.compile(
    r"(?im)^[ \t>$`*-]{0,8}(?:[\w./-]+ ){0,5}(?:test|tests|pytest|check|lint|tox|nox|rspec|phpunit|jest|vitest)\b"
)
_FORMAL = re.compile(
    r"(?i)code of conduct|licen[cs]e|contributor agreement|\bCLA\b|sign-?off|table of contents|pull request|release|thank|sponsor"
    r"|security polic|report(?:ing)? (?:a )?(?:bug|issue)|feature request|translat"
)
_ATX = re.compile(r" {0,3}#{1,6}[ \t]+\S")
_UNDERLINE = re.compile(r" {0,3}(?:={3,}|-{3,}|~{3,})[ \t]*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,60}")


@dataclass(frozen=True, slots=True)
class Section:
    """Consecutive lines of an instruction file."""

    path: str
    start: int
    """First line, from 1."""
    end: int
    text: str
    """Exactly these lines."""
    heading: str
    score: float


def select(
    files: Sequence[str],
    read: Callable[[str], str],
    words: Collection[str] = (),
    limit: int = LIMIT,
    near: Sequence[str] = (),
) -> tuple[Section, ...]:
    """The instructions that bear on a question, best first.

    Args:
        files: the project's paths.
        read: a file's text as it is.
        words: identifiers and words of the question.
        limit: tokens for all sections together.
        near: paths that the question is about. Instructions of a directory above them count, the nearest most;
            those of other directories do not. Without it only those of the root count.

    Returns:
        Sections of whole lines; none that is neither about the question nor about testing or style.
    """
    sections: list[Section] = []
    for path, weight in _applying(files, near)[:MAX_FILES]:
        text = read(path)[:MAX_TEXT]
        if _matches(text, near):
            sections += [Section(path, a, b, t, h, weight) for a, b, t, h in _sections(text)]
    scored = _scored(sections, words)
    chosen: list[Section] = []
    seen: set[str] = set()
    left = limit
    for section in sorted(scored, key=lambda s: -s.score):
        cut = _cut(section, left)
        body = cut.text.strip() if cut else ""
        if cut is None or body in seen:
            continue
        seen.add(body)
        chosen.append(cut)
        left -= estimate_tokens(cut.text)
    return tuple(chosen)


def _applying(files: Sequence[str], near: Sequence[str]) -> list[tuple[str, float]]:
    found = []
    for path in files:
        rule = next(((match, weight) for pattern, weight in FILES if (match := pattern.fullmatch(path))), None)
        if rule is None:
            continue
        base = rule[0]["base"] or ""
        if base == "" or any(other.startswith(base) for other in near):
            found.append((path, rule[1] * (1 + 0.5 * base.count("/"))))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _matches(text: str, near: Sequence[str]) -> bool:
    """False when front matter (`globs:`, `applyTo:`) restricts a file to paths that the question is not about."""
    front = text[: text.find("\n---", 3)] if text.startswith("---") else ""
    found = re.search(r"(?m)^(?:globs|applyTo):[ \t]*([^\n]{0,400})", front)
    if not found or not near or re.search(r"(?m)^alwaysApply:[ \t]*true", front):
        return True
    globs = [g.strip(" \"'[]") for g in found[1].split(",") if g.strip(" \"'[]")]
    return not globs or any(fnmatch(path, g) or fnmatch(path, g.removeprefix("**/")) for g in globs for path in near)


def _sections(text: str) -> Iterator[tuple[int, int, str, str]]:
    """(first line, last line, text, heading); long sections in parts that end at blank lines, fences stay whole."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    begin = _after_front_matter(lines)
    fence, heading, size = "", "", 0
    for n in range(begin, len(lines)):
        line = lines[n]
        mark = line.lstrip()[:3]
        if fence:
            fence = "" if mark == fence else fence
        elif mark in ("```", "~~~"):
            fence = mark
        elif (new := _heading(lines, n)) is not None:
            yield from _part(lines, begin, n, heading)
            begin, heading, size = n, new, 0
        elif not line.strip() and size > PART:
            yield from _part(lines, begin, n, heading)
            begin, size = n, 0
        size += estimate_tokens(line)
    yield from _part(lines, begin, len(lines), heading)


def _part(lines: Sequence[str], begin: int, end: int, heading: str) -> Iterator[tuple[int, int, str, str]]:
    """Lines without the blank ones around them; nothing when only a heading or an import is left."""
    while begin < end and not lines[begin].strip():
        begin += 1
    while end > begin and not lines[end - 1].strip():
        end -= 1
    said = [
        s
        for line in lines[begin:end]
        if (s := line.strip()) and not _ATX.match(line) and not s.startswith(("@", "<!--"))
    ]
    if any(s != heading and not _UNDERLINE.fullmatch(s) for s in said):
        yield begin + 1, end, "\n".join(lines[begin:end]), heading


def _after_front_matter(lines: Sequence[str]) -> int:
    if lines and lines[0].strip() == "---":
        return next((n + 1 for n in range(1, min(len(lines), 60)) if lines[n].strip() == "---"), 0)
    return 0


def _heading(lines: Sequence[str], n: int) -> str | None:
    line = lines[n]
    if _ATX.match(line):
        return line.strip().strip("#").strip()
    below = lines[n + 1] if n + 1 < len(lines) else ""
    before = lines[n - 1].strip() if n else ""
    if not before and re.match(r"[A-Za-z0-9]", line) and len(line) < 100 and _UNDERLINE.fullmatch(below):
        return line.strip()
    return None


def _scored(sections: Sequence[Section], words: Collection[str]) -> Iterator[Section]:
    """By the question's words (the rarer among all sections, the more), and by being about tests, style or commands."""
    asked = {part for word in words for part in (word.lower(), *subwords(word)) if len(part) > 3}
    said = [_words(section.text) for section in sections]
    common = Counter(word for found in said for word in found)
    for section, found in zip(sections, said, strict=True):
        headed = _words(section.heading)
        score = sum(math.log((1 + len(sections)) / common[w]) * (2 if w in headed else 1) for w in asked & found)
        score += 1.0 if _TOPIC.search(section.heading) else 0.0
        score += 0.6 if _COMMAND.search(section.text[:4000]) else 0.0
        score *= section.score * (0.2 if _FORMAL.search(section.heading) else 1.0)
        if score > 0.3:
            yield Section(section.path, section.start, section.end, section.text, section.heading, score)


def _words(text: str) -> set[str]:
    found = set(_WORD.findall(text[:8000]))
    return {part for word in found for part in (word.lower(), *subwords(word))}


def _cut(section: Section, limit: int) -> Section | None:
    """The section's first lines within the limit; None when that is not worth it."""
    if estimate_tokens(section.text) <= limit:
        return section
    lines = section.text.split("\n")
    kept: list[str] = []
    for line in lines:
        if estimate_tokens("\n".join([*kept, line])) > limit:
            break
        kept.append(line)
    while kept and (not kept[-1].strip() or _ATX.match(kept[-1]) or _UNDERLINE.fullmatch(kept[-1])):
        kept.pop()
    if len(kept) < 3:
        return None
    end = section.start + len(kept) - 1
    return Section(section.path, section.start, end, "\n".join(kept), section.heading, section.score)
