"""From a failing path to the commits that may have broken it, each reason with a line at which it can be checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestra_mcp.council.residents import forms, leads, recent
from orchestra_mcp.council.residents.failingpath import Spot, spots_of
from orchestra_mcp.council.residents.leads import Lead, Reason
from orchestra_mcp.council.residents.lineup import Lineup
from orchestra_mcp.council.residents.places import squeeze
from orchestra_mcp.council.residents.suspects import Suspect
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Change, Commit, Dossier, Evidence, Question

MAX_LOG = 4  # commits on each function
MAX_READ = 12  # commits whose changes are read
MAX_SPAN = 150  # lines of a function whose log is asked for
MAX_BEHIND = 3  # commits of pure form that are looked behind
MANIFESTS = (
    "pyproject.toml", "requirements.txt", "setup.py", "setup.cfg", "Pipfile", "package.json", "go.mod", "Cargo.toml", "pom.xml",
    "build.gradle", "build.gradle.kts", "Gemfile", "composer.json", "poetry.lock", "uv.lock", "package-lock.json", "mix.exs",
)  # fmt: skip
"""Where versions of other people's code are set. Add here."""
_FOREIGN = re.compile(r"(?:site-packages|dist-packages|node_modules|gems|vendor|pkg/mod)/(@[\w.-]+/[\w.-]+|[\w.@-]+)")
_GUARD = re.compile(r"^\s*(?:\}\s*)?(?:if|elif|else if|except|catch|assert|guard|unless|while|try)\b")
_CONTRACT = re.compile(r"\b(?:return|raise|throw|throws|yield|panic)\b")


@dataclass(frozen=True, slots=True)
class Found:
    """The ranked commits and what they were ranked on."""

    leads: tuple[Lead, ...]
    spots: tuple[Spot, ...]
    known: tuple[Commit, ...]
    on_path: bool
    """True when there is a failing path, not only functions in question."""
    uncommitted: bool
    """True when the failing line itself is not committed."""

    @property
    def recent(self) -> bool:
        """True when the first lead is a recent commit of the project."""
        newest = max((c.at for c in (*self.known, *(lead.commit for lead in self.leads))), default=None)
        return bool(self.leads) and newest is not None and newest - self.leads[0].commit.at <= leads.RECENT

    @property
    def only_made(self) -> bool:
        """True when all that any commit did to the path was to write it first."""
        return bool(self.leads) and all(reason.made for lead in self.leads for reason in lead.reasons)


async def find(
    question: Question, dossier: Dossier, lineup: Lineup, chosen: Sequence[Suspect], evidence: Evidence
) -> Found:
    """Rank the commits that touched the failing path, or, without one, the functions in question."""
    case = _Case(evidence)
    spots = await spots_of(lineup, chosen, evidence)
    for spot in spots:
        await case.look_at(spot)
    message = lineup.walks[0].trace.message if lineup.walks else lineup.message[0] if lineup.message else ""
    known = (*recent.logged_in(dossier), *case.commits.values())
    await case.look_for_words(leads.words_of(message), known, {spot.path for spot in spots})
    if lineup.walks:
        await case.look_at_versions(lineup)
    text = f"{question.text}\n{question.error[:2000]}"
    ranked = leads.rank(case.found, known, text, leads.taken_back(known))
    on_path = bool(lineup.walks) or lineup.message is not None
    return Found(ranked, spots, known, on_path, case.uncommitted)


class _Case:
    """What was found while the places are looked at."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.found: list[tuple[Commit, Reason]] = []
        self.commits: dict[str, Commit] = {}
        self.uncommitted = False
        self._changes: dict[str, tuple[Change, ...]] = {}

    async def changes(self, commit: Commit) -> tuple[Change, ...]:
        """What a commit changed; nothing once `MAX_READ` commits were read."""
        if commit.id not in self._changes:
            if len(self._changes) >= MAX_READ:
                return ()
            self._changes[commit.id] = await self.evidence.commit_changes(commit.id)
        return self._changes[commit.id]

    async def look_at(self, spot: Spot) -> None:
        """Who wrote the line, and who changed its function."""
        if spot.exact:
            await self._line(spot)
        if spot.definition is None or spot.sets:
            return
        start, end = spot.definition.start, min(spot.definition.end, spot.definition.start + MAX_SPAN)
        lines = await self.evidence.read(spot.path, start, end)
        for commit in await self.evidence.log(spot.path, start, end, MAX_LOG):
            self.commits.setdefault(commit.id[:7], commit)
            change = _of(await self.changes(commit), spot.path)
            if change is None or forms.only_form(change, lines):
                continue
            await self._function(spot, commit, change, lines)

    async def _line(self, spot: Spot) -> None:
        blamed = await self.evidence.blame(spot.path, spot.line, spot.line)
        if not blamed:
            return
        commit = blamed[0].commit
        if commit is None:
            self.uncommitted = True
            return
        behind: list[str] = []
        made = False
        for older in [commit, *await self.evidence.log(spot.path, spot.line, spot.line, MAX_BEHIND + 1)]:
            if older.id[:7] in behind:
                continue
            change = _of(await self.changes(older), spot.path)
            if change is None or not forms.only_form(change, [blamed[0].text]):
                commit = older
                made = change is not None and await self._made(change, spot)
                break
            behind.append(older.id[:7])
        else:
            return
        where = "the failing line" if spot.depth == 0 else f"the line of the path {spot.depth} own frames further out"
        if spot.sets:
            where = f"the line that sets `{spot.sets}` for the failing one ({spot.used})"
        form = f" but for its form ({', '.join(behind)} only reformatted it)" if behind else ""
        text = f"it last changed {where}{form}"
        kind = leads.SET if spot.sets else leads.WROTE
        self._add(commit, Reason(kind, text, spot.path, spot.line, _symbol(spot), spot.depth, made))

    async def _function(self, spot: Spot, commit: Commit, change: Change, lines: Sequence[str]) -> None:
        """A commit that changed a function on the path, or one that the failing line uses."""
        definition = spot.definition
        assert definition is not None
        name = f"`{definition.qualified}`"
        line = _seen_at(change, lines, definition.start)
        new = await self._made(change, spot)

        def add(kind: str, text: str) -> None:
            self._add(commit, Reason(kind, text, spot.path, line, definition.qualified, spot.depth, new))

        wanted = {squeeze(text) for text in lines}
        hunks = [hunk for hunk in change.hunks if not new and forms.touches(hunk, wanted)]
        removed, added = ([r for h in hunks for r in forms.changed_rows(h, sign)] for sign in "-+")
        done = "added" if new else "changed"
        if not spot.used:
            on_path = ", which is on the failing path" if spot.on_path else ""
            add(leads.TOUCHED, f"it {done} {name}{on_path}")
            if _count(_GUARD, removed) > _count(_GUARD, added):
                add(leads.GUARD, f"it took away a condition in {name}")
            return
        line_said = "the failing line" if spot.depth == 0 else "a line of the path"
        add(leads.CALLEE, f"it {done} {name}, which {line_said} uses ({spot.used})")
        heads = re.compile(rf"\b(?:def|func|function|fn|fun)\b.*\b{re.escape(definition.name)}\b")
        if _count(_CONTRACT, removed + added) or _count(heads, removed + added):
            add(leads.CONTRACT, f"it changed what {name} takes, gives back or raises")

    async def look_for_words(self, words: Sequence[str], known: Sequence[Commit], paths: set[str]) -> None:
        """Commits whose changed lines hold what the error names, those that touched the path first."""
        for commit in {c.id[:7]: c for c in (*self.commits.values(), *known)}.values() if words else ():
            for change in await self.changes(commit):
                if is_test(change.path) or change.status == "deleted" or forms.only_form(change):
                    continue
                if (hit := _hit(change, words)) is None:
                    continue
                word, row = hit
                lines = await self.evidence.read(change.path)
                line = next((n for n, text in enumerate(lines, 1) if squeeze(text) == squeeze(row)), 0)
                line = line or _seen_at(change, lines, 0)
                if not lines or not line or not re.search(r"\.\w+$", change.path):
                    continue
                text = f"it changed lines with `{word}`, which the error names"
                depth, made = 0 if change.path in paths else 1, change.status == "added"
                self._add(commit, Reason(leads.NAMED_WORD, text, change.path, line, depth=depth, made=made))
                break

    async def look_at_versions(self, lineup: Lineup) -> None:
        """Commits that changed the version of a package that the trace passes through."""
        frames = lineup.walks[0].trace.frames
        foreign = {
            m[1].split("@")[0].lower() for frame in frames if (m := _FOREIGN.search(frame.raw_path.replace("\\", "/")))
        }
        foreign |= {m[1].lower() for m in re.finditer(r"No module named '(\w+)", lineup.walks[0].trace.message)}
        if not foreign:
            return
        files = frozenset(await self.evidence.files())
        for path in [path for path in MANIFESTS if path in files]:
            for commit in await self.evidence.log(path, limit=3):
                change = _of(await self.changes(commit), path)
                rows = [row for hunk in change.hunks for row in forms.changed_rows(hunk)] if change else []
                name = next(
                    (
                        n
                        for row in rows
                        for n in sorted(foreign)
                        if re.search(rf"(?<![\w-]){re.escape(n).replace('_', '[-_]')}(?![\w-])", row.lower())
                    ),
                    "",
                )
                if name and change is not None:
                    lines = await self.evidence.read(path)
                    text = f"it changed `{name}` in {path}, code of which is in the trace"
                    self._add(commit, Reason(leads.DEPENDENCY, text, path, _seen_at(change, lines, 1)))

    async def _made(self, change: Change, spot: Spot) -> bool:
        """True when a change brought the function of a place: its first line came, and none with its name went."""
        if change.status == "added" or spot.definition is None:
            return change.status == "added"
        name, start = re.escape(spot.definition.name), spot.definition.start
        first = {squeeze(line) for line in await self.evidence.read(spot.path, start, start)}
        head = re.compile(rf"\b(?:def|class|func|function|fn|fun)\b.*\b{name}\b")
        added = [row for hunk in change.hunks for row in forms.changed_rows(hunk, "+")]
        removed = [row for hunk in change.hunks for row in forms.changed_rows(hunk, "-")]
        came = any(head.search(row) or squeeze(row) in first for row in added)
        return came and not any(re.search(rf"\b{name}\b", row) for row in removed)

    def _add(self, commit: Commit, reason: Reason) -> None:
        self.commits.setdefault(commit.id[:7], commit)
        self.found.append((commit, reason))


def _count(pattern: re.Pattern[str], rows: Sequence[str]) -> int:
    return sum(1 for row in rows if pattern.search(row))


def _symbol(spot: Spot) -> str:
    return spot.definition.qualified if spot.definition else ""


def _of(changes: Sequence[Change], path: str) -> Change | None:
    return next((change for change in changes if path in (change.path, change.old_path)), None)


def _hit(change: Change, words: Sequence[str]) -> tuple[str, str] | None:
    """The first named word that a change brought or took, with its line; what only moved does not count."""
    for hunk in change.hunks:
        added, removed = forms.changed_rows(hunk, "+"), forms.changed_rows(hunk, "-")
        for word in words:
            pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
            came, went = [r for r in added if pattern.search(r)], [r for r in removed if pattern.search(r)]
            if {squeeze(r) for r in came} != {squeeze(r) for r in went}:
                return word, (came or went)[0]
    return None


def _seen_at(change: Change, lines: Sequence[str], start: int) -> int:
    """The line (counted from `start`) that a change wrote and that still stands; else one beside what it changed."""
    for signs in ("+", " "):
        rows = {squeeze(row) for hunk in change.hunks for row in forms.changed_rows(hunk, signs)}
        for number, line in enumerate(lines, max(1, start)):
            if len(squeeze(line)) > 3 and squeeze(line) in rows:
                return number
    return start
