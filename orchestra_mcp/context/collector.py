"""A question and a project become a dossier: everything attached, the code that it points at, cut to the budget.

The steps, each small: attachments are read (traces, profiles, logs, diffs), the question is taken apart (`signals`,
`mentions`), the project's index ranks files and functions (`retrieval`), changes and environment are added, each piece
becomes a candidate (`seeds`), and the best are packed. Everything that ends in the dossier is redacted; what was
missing becomes a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.context import neighbours, searching, seeds
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.output import framepaths, installed, logs, profiles, sourcemaps, traces
from orchestra_mcp.context.output.hotspots import Profile
from orchestra_mcp.context.packing import Candidate, Source, pack_scored
from orchestra_mcp.context.project import denied
from orchestra_mcp.context.reading.prose import identifiers
from orchestra_mcp.context.repository import diffs
from orchestra_mcp.context.secrecy.framesecrecy import places_only
from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.context.wanted import gather
from orchestra_mcp.context.wanted.scene import Scene, spots
from orchestra_mcp.telemetry.spans import RETRIEVAL, traced
from orchestra_mcp.types import Change, Dossier, Excerpt, Question, Trace

MAX_LOG = 65_536
"""Characters of an attached error or log that are read; of a longer one the beginning and the end."""
MAX_CHANGES = 300_000
"""Characters of changed lines that the dossier keeps."""
MAX_FILES = 30
"""Ranked files that the dossier names."""
MAX_ALARMS = 12
WANTED_SHARE = 8
"""Per cent of the budget for what only the question's mode wants to see; where that is less than `MIN_WANTED` tokens, the
code has it instead."""
MIN_WANTED = 300

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)")
_FAILURE = re.compile(
    r"Traceback \(most|^panic: |Exception in thread|Unhandled exception|Caused by: |FATAL|^Error: |\b\w+(?:Error|Exception): ",
    re.MULTILINE,
)
_BLANK_LINES = re.compile(r"\n(?:[ \t\r]*\n){3,}")
_ABOUT_CHANGES = re.compile(
    r"\b(?:diff|commits?|committed|changes?|changed|patch|review|regression|since yesterday|used to work|pull request|PR)\b",
    re.IGNORECASE,
)


async def collect(
    question: Question,
    root: Path | None,
    evidence: ProjectEvidence | None,
    *,
    budget: int,
    secrets: Sequence[str] = (),
    redactor: Redactor | None = None,
    wanted: Sequence[str] = (),
) -> Dossier:
    """Gather the evidence for a question.

    Args:
        question: with everything that was attached to it.
        root: the project's root, or None when the question has no project: then only what was attached counts.
        evidence: the project's eyes, made for this consultation; made here when it is None.
        budget: tokens for all excerpts together.
        secrets: values that must never be shown.
        redactor: that of the consultation, for a question without a project; with one, it is that of the evidence.
        wanted: further kinds of evidence, names of `wanted.GATHERERS`, as the question's mode asks for them.

    Returns:
        The dossier, redacted; its excerpts are ordered by usefulness and together within the budget.
    """
    eyes = evidence if root is not None else None
    if eyes is None and root is not None:
        eyes = ProjectEvidence(root, secrets)
    case = _Case(question, eyes, secrets, redactor)
    case.budget = budget
    await case.read_attachments()
    if eyes is not None:
        await case.look_at_project()
        await case.gather(wanted)
    return await case.close(budget)


async def clean_question(
    question: Question,
    evidence: ProjectEvidence | None,
    secrets: Sequence[str] = (),
    redactor: Redactor | None = None,
) -> Question:
    """The question as experts may see it: its texts without secrets, numbered as in the dossier."""
    case = _Case(question, evidence, secrets, redactor)
    shown: dict[str, object] = {}
    for name in ("text", "error", "files", "diff", "positions"):  # secrets are numbered in this order
        said = getattr(question, name)
        shown[name] = await case.clean(said) if isinstance(said, str) else tuple([await case.clean(s) for s in said])
    return question.model_copy(update=shown)


class _Case:
    """One question while its evidence is gathered."""

    def __init__(
        self, question: Question, eyes: ProjectEvidence | None, secrets: Sequence[str], redactor: Redactor | None
    ) -> None:
        self.question = question
        self.eyes = eyes
        self.redactor = eyes.redactor if eyes else redactor or Redactor()
        self.redactor.learn(secrets)
        self.text = ""
        self.error = ""
        self.profile: Profile | None = None
        self.files: tuple[str, ...] = ()
        self.about_changes = False
        self.budget = 0
        self.notes: list[str] = []
        self.traces: tuple[Trace, ...] = ()
        self.changes: tuple[Change, ...] = ()
        self.given: list[Candidate] = []
        self.code: list[Candidate] = []
        self.diffs: list[Candidate] = []
        self.extras: list[Candidate] = []
        self.wanted: list[Candidate] = []
        self.head = ""

    async def clean(self, text: str) -> str:
        """Without colours, secrets, and the names of directories outside the project."""
        text = _COLOURS.sub("", text)  # they could stand in the middle of a secret
        text = await self.eyes.clean(text) if self.eyes else await anyio.to_thread.run_sync(self.redactor.redact, text)
        return _shorten(text, self.eyes.root if self.eyes else None)

    @traced("read attachments")
    async def read_attachments(self) -> None:
        """The question's own text, error and diff: all that there is without a project."""
        question = self.question
        self.text = await self.clean(question.text)
        self.error = error = await self.clean(_compact(question.error))
        attached, written = await anyio.to_thread.run_sync(lambda: (_traces(error), _traces(self.text)))
        self.traces = (*attached, *written)
        self.profile = await anyio.to_thread.run_sync(lambda: profiles.parse(error) or profiles.parse(self.text))
        if self.profile is not None:
            self.given.append(Candidate("log", self.profile.summary, f"{self.profile.kind} profile", 101))
        if error:
            kind: Source = "trace" if attached else "log"
            lines = error.split("\n")
            alarms = await anyio.to_thread.run_sync(lambda: tuple(logs.important(lines)[:MAX_ALARMS]))
            self.given.append(Candidate(kind, error, "attached to the question", 100, focus=(*alarms, len(lines))))
        if question.diff.strip() and not diffs.is_range(question.diff):
            text = await self.clean(question.diff)
            self.changes = _without_denied(diffs.parse(text))
            if not self.changes:
                self.notes.append("The given diff is neither a unified diff nor a git range; it is shown as it is.")
                self.given.append(Candidate("diff", text, "given with the question", seeds.DIFF))
            self.diffs += seeds.diff(self.changes, seeds.DIFF)
        elif question.diff.strip() and self.eyes is None:
            self.notes.append("A git range was given without a project; give project_dir too.")

    async def look_at_project(self) -> None:
        """Everything that needs the repository."""
        eyes = self.eyes
        if eyes is None:
            return
        if note := await eyes.git_note():
            self.notes.append(note)
        self.notes += await eyes.git_notes()
        self.head = await eyes.head()
        files = await eyes.files()
        if not files:
            self.notes.append("The project holds no readable text files.")
        await self._place_traces(files, eyes)
        await self._look_at_changes(eyes)
        await self._search(files, eyes)
        await self._describe(eyes)

    async def _place_traces(self, files: Sequence[str], eyes: ProjectEvidence) -> None:
        def placed() -> tuple[Trace, ...]:
            names = installed.declared_names(files, eyes.read_built) if self.traces else {}
            return tuple(place(trace, names) for trace in self.traces)

        def place(trace: Trace, names: Mapping[str, str]) -> Trace:
            moved = sourcemaps.unbuilt(trace, eyes.read_built)
            return framepaths.resolve(places_only(moved, trace, self.redactor.redact), files, names)

        self.traces = await anyio.to_thread.run_sync(placed)
        self.code += [*await seeds.frames(self.traces, eyes), *await neighbours.called(self.traces, eyes)]
        if self.profile is not None:
            spots = profiles.places(profiles.resolve(self.profile, files))
            self.code += await seeds.hotspots(spots, self.profile.kind, eyes)

    @traced("retrieval project-index", RETRIEVAL)
    async def _search(self, files: Sequence[str], eyes: ProjectEvidence) -> None:
        """What the question names, and what it is about in other words."""
        names = identifiers(self.text)
        wanted = [await self.clean(pattern) for pattern in self.question.files]
        changed = self.changes if self.about_changes else ()
        found = await searching.search(self.text, self.error, self.traces, changed, self.question.mode, eyes)
        relevance = {(place.path, place.start): place.score for place in found.ranking.places}
        by_name, notes = await seeds.named(wanted, files, names, eyes, relevance)
        self.notes += notes
        first = [change.path for change in changed if change.status != "deleted"] + [test.path for test in found.tests]
        self.files = tuple(dict.fromkeys([*first, *(hit.path for hit in found.ranking.files)]))[:MAX_FILES]
        self.code += [*by_name, *await seeds.mentioned(found.mentions, names, eyes)]
        self.code += await seeds.symbols_named(names, eyes)
        self.code += await seeds.ranked(found.ranking.places, eyes)
        self.code += await seeds.ranked(found.tests, eyes)
        if eyes.index.pending:
            self.notes.append(
                f"The project is new or much changed: {eyes.index.pending} files were only looked through for the "
                "question's words. They are being indexed in the background; ask again for the full picture."
            )

    @traced("read changes")
    async def _look_at_changes(self, eyes: ProjectEvidence) -> None:
        given = (await self.clean(self.question.diff)).strip()
        if given and diffs.is_range(given):
            ranged = await eyes.range_changes(given)
            if ranged is None:
                self.notes.append(
                    f"git does not know the range {given!r}; give a branch, tag, commit or a range of these."
                )
            self.changes = ranged or ()
            self.diffs += seeds.diff(self.changes, seeds.DIFF, new_files=False)
        if given:
            self.about_changes = True
            self.code += await seeds.changed_functions(self.changes, seeds.DIFF - 4, eyes)
            self.code += await neighbours.callers(self.changes, seeds.DIFF - 4, eyes)
            return
        self.changes = await eyes.changes()
        kind = await eyes.kind_of_changes()
        self.about_changes = bool(_ABOUT_CHANGES.search(self.text))
        score = {"working tree": seeds.WORKING, "branch": seeds.WORKING - 6}.get(kind, seeds.LAST_COMMIT)
        if self.about_changes:
            score = max(score, seeds.DIFF - 8)
        self.diffs += seeds.diff(self.changes, score, new_files=False)
        self.code += await seeds.changed_functions(self.changes, score - 2, eyes)
        if kind != "commit" or self.about_changes:
            self.code += await neighbours.callers(self.changes, score - 2, eyes)

    @traced("describe project")
    async def _describe(self, eyes: ProjectEvidence) -> None:
        """What orients a reader: kind of project, its own instructions, recent commits where the evidence lies."""
        words = set(re.findall(r"[A-Za-z_]\w{2,60}", self.text)[:500])
        near = tuple(dict.fromkeys(c.path for c in sorted(self.code, key=lambda c: -c.score) if c.path))[:10]
        if text := (await eyes.describe(words, near)).text:
            self.extras.append(Candidate("project", await self.clean(text), "kind of project", 24, limit=450))
        for section in await eyes.instructions(words, near):
            lines = "\n".join(await eyes.read(section.path, section.start, section.end))
            why = "what the project asks of contributors"
            self.extras.append(Candidate("file", lines, why, 21, path=section.path, start=section.start, limit=260))
        if blamed := await neighbours.blamed(self.traces, eyes):
            text = await self.clean("\n".join(blamed))
            self.extras.append(Candidate("history", text, "who last changed the failing lines", 26, limit=200))
        if outline := await neighbours.outlines(self.files[:3], self.budget // 20, eyes):
            text = await self.clean(outline)
            self.extras.append(Candidate("note", text, "what else the best files define", 20))
        commits = {c.id: c for path in near[:3] for c in await eyes.log(path, limit=3)}
        commits |= {c.id: c for c in await eyes.recent(10)}
        newest = sorted(commits.values(), key=lambda c: c.at, reverse=True)[:14]
        lines_of_log = [f"{c.id} {c.at:%Y-%m-%d} {c.subject[:120]}" for c in newest]
        if lines_of_log:
            text = await self.clean("\n".join(lines_of_log))
            self.extras.append(Candidate("history", text, "recent commits here", 22, limit=400))

    @traced("gather for mode")
    async def gather(self, names: Sequence[str]) -> None:
        """What the question's mode wants to see beside all that."""
        room = self.budget * WANTED_SHARE // 100
        if self.eyes is None or not names or room < MIN_WANTED:
            return
        changed = spots(c for c in self.code if "changed here" in c.why) if self.about_changes else ()
        scene = Scene(
            self.eyes, self.text, frozenset(re.findall(r"[A-Za-z_]\w{2,60}", self.text)[:500]), spots(self.code), changed,
            self.changes, self.traces, room // len(names),
        )  # fmt: skip
        for candidate in await gather(names, scene):
            self.wanted.append(replace(candidate, text=await self.clean(candidate.text)))

    @traced("pack evidence")
    async def close(self, budget: int) -> Dossier:
        """Cut to the budget and put together."""
        excerpts, left_out = await anyio.to_thread.run_sync(self._pack, budget)
        changes = _bounded(self.changes)
        if changes != self.changes:
            self.notes.append("The changes are large: of some files only the names are kept.")
        shown = [e.text for e in excerpts] + [line for c in changes for h in c.hunks for line in (h.text,)]
        shown += [t for trace in searching.chain(self.traces) for t in (trace.message, *(f.code for f in trace.frames))]
        return Dossier(
            project=await self.clean(self.eyes.root.name) if self.eyes else "", head=self.head, files=self._ranked(excerpts), excerpts=excerpts, traces=self.traces,
            changes=changes, left_out=left_out, notes=tuple(dict.fromkeys(self.notes)),
            tokens=sum(e.tokens for e in excerpts), budget=budget, redactions=self.redactor.count(shown),
        )  # fmt: skip

    def _ranked(self, excerpts: Sequence[Excerpt]) -> tuple[str, ...]:
        """The files most likely to matter: those that were asked for, then by rank, then what else is shown."""
        asked = [c.path for c in self.code if c.score == seeds.GIVEN]
        return tuple(dict.fromkeys([*asked, *self.files, *(e.path for e in excerpts if e.path)]))

    def _pack(self, budget: int) -> tuple[tuple[Excerpt, ...], tuple[str, ...]]:
        """Each kind of evidence has a share that it cannot exceed; code gets all that the others leave."""
        best = max((c.score for c in self.diffs), default=0.0)
        unasked = best <= seeds.LAST_COMMIT  # the last commit's diff, on a clean tree: only if there is room to spare
        shares = [
            (self.extras, 12),
            (self.wanted, WANTED_SHARE),
            (self.given, 25),
            ([] if unasked else self.diffs, 40 if best > seeds.SYMBOL else 20),
        ]
        scored: list[tuple[float, Excerpt]] = []
        left_out: list[str] = []
        left = budget
        for candidates, percent in shares:
            if not self.code and candidates is not self.extras and candidates is not self.wanted:
                percent = 60  # nothing else needs the room
            share = min(left, budget * percent // 100)
            parts, missing = pack_scored(candidates, share, whole=share)
            left -= sum(e.tokens for _, e in parts)
            scored += parts
            left_out += missing
        parts, missing = pack_scored(self.code, left, whole=max(400, left * 2 // 5))
        left -= sum(e.tokens for _, e in parts)
        scored += parts
        left_out = [*missing, *left_out]
        if unasked:
            scored += pack_scored(self.diffs, min(left, budget * 20 // 100))[0]
        ordered = sorted(scored, key=lambda pair: -pair[0])
        return tuple(excerpt for _, excerpt in ordered), tuple(left_out)


def _traces(text: str) -> tuple[Trace, ...]:
    """The traces of a text; thousands of blank lines say no more than three, and would take a minute to search."""
    return traces.parse(_BLANK_LINES.sub("\n\n\n\n", text))


def _compact(text: str) -> str:
    """A log without colours, progress bars and repetitions, at most `MAX_LOG` characters."""
    if len(text) > MAX_LOG:
        text = _around_failure(text)
    out: list[str] = []
    repeated = 0
    for line in _COLOURS.sub("", text).replace("\r\n", "\n").split("\n"):
        line = line.rsplit("\r", 1)[-1].rstrip()
        if out and line and line == out[-1]:
            repeated += 1
            continue
        if repeated:
            out.append(f"… the line above {repeated} more times …")
            repeated = 0
        out.append(line)
    if repeated:
        out.append(f"… the line above {repeated} more times …")
    return "\n".join(out).strip("\n")


def _around_failure(text: str) -> str:
    """The beginning, the end, and what is around the first failure between them."""
    third = MAX_LOG // 3
    middle = text[third:-third]
    failure = _FAILURE.search(middle)
    start = max(0, failure.start() - third // 8) if failure else 0
    shown = middle[start : start + third] if failure else ""
    left_out = len(text) - 2 * third - len(shown)
    gap = f"\n… {left_out} characters of the log left out around here …\n"
    return f"{text[:third]}{gap}{shown}{gap}{text[-third:]}" if shown else f"{text[:third]}{gap}{text[-third:]}"


def _shorten(text: str, root: Path | None) -> str:
    """Paths below the root become relative, the home directory `~`."""
    places = [(root, "")] if root else []
    with suppress(RuntimeError):
        places.append((Path.home(), "~/"))
    for place, short in places:
        if len(str(place)) > 3:
            text = text.replace(f"{place}/", short).replace(f"{place}\\", short)
    return text


def _without_denied(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(
        c.model_copy(update={"hunks": ()}) if denied(c.path) or denied(c.old_path) else c for c in changes
    )  # fmt: skip


def _bounded(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes, with the lines of as many as fit."""
    kept: list[Change] = []
    room = MAX_CHANGES
    for change in changes[:500]:
        room -= sum(len(h.text) for h in change.hunks)
        kept.append(change if room >= 0 else change.model_copy(update={"hunks": ()}))
    return tuple(kept)
