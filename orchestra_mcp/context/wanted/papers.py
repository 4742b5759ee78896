"""What is written about the project: its documents, dependencies, configuration and history."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra_mcp.context.environment.manifests import relevance
from orchestra_mcp.context.packing import Candidate, estimate_tokens
from orchestra_mcp.context.searching import chain
from orchestra_mcp.context.wanted.scene import SCORE, Scene, Spot, listing, shown
from orchestra_mcp.identifiers import subwords
from orchestra_mcp.paths import aside, kind_of

MAX_DOCS = 24
MAX_DOC_LINES = 3_000
SECTIONS = 3
LENGTH = 0.4
"""How much a long section's hits count less: it holds any word more easily (0 not at all, 1 in proportion)."""
MAX_HISTORIES = 2
"""Functions whose history is listed; git takes up to a second for each in a large repository."""
DETAILED = 5
"""Commits of which the changed files are listed."""
MAX_CONFIGS = 30
MAX_CONFIG_LINES = 600
PER_CONFIG = 8

_DOCUMENT = re.compile(
    r"(?:README|ARCHITECTURE|DESIGN|OVERVIEW)(?:\.\w+)?|(?:docs?/)(?:[^/]+/){0,2}[^/]+\.(?:md|rst|adoc|txt)", re.I
)
_CHANGELOG = re.compile(
    r"(?:docs?/)?(?:CHANGE(?:S|LOG)|HISTORY|NEWS|RELEASES?)(?:[-_]NOTES)?(?:\.(?:md|rst|txt))?", re.I
)
_HEADING = re.compile(r" {0,3}#{1,4}[ \t]+\S|={2,3} \S")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|~{3,})\s*")
_LOCK = re.compile(
    r"(?:^|/)(?:[^/]*[-.]lock[^/]*|[^/]*\.lock|go\.sum|[^/]*\.(?:csv|tsv|svg|html?|css|ipynb|jsonl|min\.\w+))$"
)
_CONFIG = re.compile(
    r"(?:^|/)(?:[^/]*\.(?:ya?ml|toml|ini|cfg|conf|properties|env(?:\.\w+)?|json5?|xml|plist)|\.env\.\w+|Dockerfile[^/]*|Procfile"
    r"|Makefile|settings\.py|config\.\w+|appsettings[^/]*\.json)$"
)
_STOP = frozenset(
    """about after also and any are before but can could does for from get has have how into its just like make need not now
    one only other our out over set should some that the their them then there they this use used uses using was way we were
    what when where which while who why will with would you your error file files function class method code""".split()
)


@dataclass(frozen=True, slots=True)
class Section:
    """Consecutive lines of a document, under a heading."""

    path: str
    start: int
    lines: tuple[str, ...]

    @property
    def words(self) -> frozenset[str]:
        """What it speaks of."""
        return _words(" ".join(self.lines)[:6000])


async def docs(scene: Scene) -> list[Candidate]:
    """The sections of the project's own documents that speak of what is asked; else how its README begins."""
    files = [path for path in await scene.eyes.files() if _DOCUMENT.fullmatch(path)]
    sections: list[Section] = []
    for path in sorted(files, key=lambda p: (p.count("/"), p))[:MAX_DOCS]:
        sections += _sections(path, (await scene.eyes.read(path))[:MAX_DOC_LINES])
    asked = _words(scene.text) | {part for spot in scene.spots[:3] for part in _words(spot.name)}
    common = Counter(word for section in sections for word in section.words)
    scores = {
        section: sum(math.log((1 + len(sections)) / common[w]) for w in asked & section.words)
        / (1 + len(section.words)) ** LENGTH
        for section in sections
    }
    best = sorted((s for s in sections if scores[s] > 0), key=lambda s: -scores[s])[:SECTIONS] or sections[:1]
    return [
        Candidate(
            "file", "\n".join(s.lines), "what the project says about it", SCORE, path=s.path, start=s.start,
            focus=tuple(n for n, line in enumerate(s.lines, s.start) if asked & _words(line[:400]))[:5],
            limit=scene.room // max(1, len(best)),
        )
        for s in best
    ]  # fmt: skip


async def dependencies(scene: Scene) -> list[Candidate]:
    """What the project builds on: the version asked for and the one resolved, packages that the question names first."""
    project = await scene.eyes.describe(scene.words, scene.near)
    rows = [
        (-relevance(need, project.words), aside(path), f"{need.name} {need.wanted or 'any version'}"
         + (f", resolved {need.locked}" if need.locked else "") + (f" ({need.group})" if need.group else "")
         + f" in {path}")
        for path, fact in project.facts for need in fact.needs
    ]  # fmt: skip
    lines = [text for *_, text in sorted(rows, key=lambda row: row[:2])]
    return listing([*project.pins[:3], *lines], "dependencies with their versions", scene.room)


async def configuration(scene: Scene) -> list[Candidate]:
    """Lines of configuration files that share words with the question."""
    asked = {word for word in _words(scene.text) if len(word) > 3}
    files = [
        p
        for p in await scene.eyes.files()
        if _CONFIG.search(p) and not _LOCK.search(p) and kind_of(p) in ("code", "data")
    ]
    lines: list[str] = []
    for path in sorted(files, key=lambda p: (p.count("/"), p))[:MAX_CONFIGS]:
        read = (await scene.eyes.read(path))[:MAX_CONFIG_LINES]
        hits = [f"{path}:{n} {shown(text)}" for n, text in enumerate(read, 1) if asked & _words(text[:400])]
        lines += hits[:PER_CONFIG]
    if files and not lines:
        lines = ["No configuration file speaks of it; there are " + ", ".join(files[:10])]
    return listing(lines, "configuration that speaks of it", scene.room)


async def line_history(scene: Scene) -> list[Candidate]:
    """The commits that last changed the failing functions, or the best ones where there is no trace."""
    failing: list[Spot] = []
    for trace in chain(scene.traces):
        for frame in reversed([f for f in trace.frames if f.path and f.line]):
            around = await scene.eyes.enclosing(frame.path, frame.line)
            if around is not None and around.kind != "class":
                failing.append(Spot(around.path, around.qualified, around.start, around.end))
    lines: list[str] = []
    for spot in tuple(dict.fromkeys([*failing, *scene.spots]))[:MAX_HISTORIES]:
        commits = await scene.eyes.log(spot.path, spot.start, spot.end, limit=3)
        if commits:
            lines.append(f"{spot.name} ({spot.path}:{spot.start}-{spot.end}) was changed by:")
            lines += [f"  {c.id} {c.at:%Y-%m-%d} {c.subject[:100]}" for c in commits]
    return listing(lines, "history of the functions in question", scene.room)


async def recent_changes(scene: Scene) -> list[Candidate]:
    """The last commits with the files that each changed, and how the changelog begins."""
    lines: list[str] = []
    for number, commit in enumerate(await scene.eyes.recent(8)):
        lines.append(f"{commit.id} {commit.at:%Y-%m-%d} {commit.subject[:120]}")
        for change in (await scene.eyes.commit_changes(commit.id))[:6] if number < DETAILED else ():
            rows = [row for hunk in change.hunks for row in hunk.text.split("\n")]
            counts = f"+{sum(r.startswith('+') for r in rows)} -{sum(r.startswith('-') for r in rows)}"
            lines.append(f"  {change.status} {change.path} {counts}")
    found = listing(lines, "the last commits and what they changed", scene.room * 2 // 3)
    for path in [p for p in await scene.eyes.files() if _CHANGELOG.fullmatch(p)][:1]:
        text = "\n".join(await scene.eyes.read(path, 1, 30))
        found.append(Candidate("file", text, "how changes are told", SCORE, path=path, start=1, limit=scene.room // 3))
    return found


def _sections(path: str, lines: Sequence[str]) -> Iterator[Section]:
    """A document cut at its headings; fences stay whole."""
    begin, fence = 0, ""
    for n, line in enumerate(lines):
        mark = line.lstrip()[:3]
        if fence:
            fence = "" if mark == fence else fence
        elif mark in ("```", "~~~"):
            fence = mark
        elif n > begin and (_HEADING.match(line) or (n + 1 < len(lines) and line.strip() and _underlined(lines, n))):
            yield from _section(path, begin, lines[begin:n])
            begin = n
    yield from _section(path, begin, lines[begin:])


def _underlined(lines: Sequence[str], n: int) -> bool:
    return not lines[n - 1].strip() and bool(_UNDERLINE.fullmatch(lines[n + 1])) and not lines[n].startswith((" ", "|"))


def _section(path: str, begin: int, lines: Sequence[str]) -> Iterator[Section]:
    kept = list(lines)
    while kept and not kept[-1].strip():
        kept.pop()
    if len([line for line in kept if line.strip()]) > 1 and estimate_tokens(kept[0]) < 2_000:
        yield Section(path, begin + 1, tuple(kept))


def _words(text: str) -> frozenset[str]:
    found = set(re.findall(r"[A-Za-z][A-Za-z0-9_]{2,60}", text))
    split = {part for word in found for part in (word.lower(), *subwords(word)) if len(part) > 2}
    return frozenset(split - _STOP)
