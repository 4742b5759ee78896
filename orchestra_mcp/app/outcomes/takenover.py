"""Whether the lines of a suggested patch are what somebody committed later. Pure.

Only lines that say something count: not blank ones, not those of brackets and bare keywords, not imports, and not what the
file, the evidence or the question held already. Lines are compared without regard to white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from orchestra_mcp.context.repository import diffs
from orchestra_mcp.context.trial import patchtext
from orchestra_mcp.types import Consultation, Dossier, Solution

ENOUGH = 0.8
"""Share of a patch's lines that must be found."""
FEW = 2
"""So many lines are enough to tell a patch by, or one of `LONG` characters."""
LONG = 40

_IMPORT = re.compile(
    r"(?:import\b|from\s+\S+\s+import\b|#\s*include\b|using\s+[\w.:]+\s*;|use\s+[\w:{}, *]+;|package\s+[\w.]+"
    r"|require(?:_relative)?\b|(?:const|let|var)\s+.{1,80}=\s*require\(|export\s+.{0,80}\bfrom\b)"
)
_EMPTY = re.compile(
    r"(?:[\W_]|\b(?:else|end|try|finally|pass|break|continue|return|do|begin|then|fi|done|esac|default|None|null)\b)*"
)
_REDACTED = "«redacted:"
_REVERTS = re.compile(r"This reverts commit ([0-9a-f]{7,64})")
_HEAD = re.compile(r"[0-9a-f]{7,64}")

Lines = Mapping[str, frozenset[str]]
"""Path → normalised lines."""
There = Callable[[str], frozenset[str]]
"""Path → the lines that are there."""
Word = Literal["taken", "reverted"]


@dataclass(frozen=True)
class Patch:
    """The telling lines of one suggested patch."""

    added: Lines
    removed: Lines


@dataclass(frozen=True)
class Suggested:
    """What one consultation suggested, and from which commit on it may have been taken over."""

    id: str
    started: datetime
    base: str
    """The commit that was checked out then, abbreviated; empty when there was none."""
    patches: Mapping[int, tuple[Patch, ...]]
    """Rank of a solution → the patches of its experts."""
    held: Mapping[int, Word] = field(default_factory=dict)
    """What commits were found to say before, by rank."""
    red: frozenset[int] = frozenset()
    """Ranks of solutions with whose patch the tests failed, as they had without it."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Files that the patches change."""
        found = (path for patches in self.patches.values() for patch in patches for path in patch.added)
        return tuple(dict.fromkeys(found))

    def lines(self, rank: int) -> frozenset[tuple[str, str]]:
        """The telling lines that a solution's patches add, each with its file."""
        patches = self.patches.get(rank, ())
        return frozenset((path, line) for patch in patches for path, added in patch.added.items() for line in added)


@dataclass(frozen=True)
class Made:
    """One commit, as far as it touches the files in question."""

    id: str
    body: str
    added: Lines
    removed: Lines


@dataclass(frozen=True)
class Seen:
    """What the repository shows."""

    before: Lines
    """Of the files as they were when the question was asked."""
    now: Lines
    """Of the files as they are."""
    commits: tuple[Made, ...] = ()
    """Made since then, oldest first."""


def suggested(kept: Consultation, still_red: str) -> Suggested:
    """What a finished consultation suggested.

    Args:
        kept: with its verdict.
        still_red: what a solution's `shown` holds when the tests failed with its patch as without it.
    """
    verdict = kept.verdict
    solutions = verdict.solutions if verdict else ()
    base = kept.dossier.head.rpartition(" ")[2] if kept.dossier else ""
    texts = (kept.question.text, kept.question.error, kept.question.diff)
    known = frozenset(_known(texts, kept.dossier)) if any(_texts(kept, s) for s in solutions) else frozenset()
    patches = {s.rank: tuple(_patches(_texts(kept, s), known)) for s in solutions}
    held: dict[int, Word] = {}
    for label in kept.labels:
        if label.source == "commit" and label.right is not None:
            held[label.right + 1] = "taken"
    return Suggested(
        id=kept.id,
        started=kept.started,
        base=base if _HEAD.fullmatch(base) else "",
        patches={rank: found for rank, found in patches.items() if found},
        held=held,
        red=frozenset(s.rank for s in solutions if still_red in s.shown),
    )


def commits_say(one: Suggested, seen: Seen) -> dict[int, Word]:
    """What commits tell of each solution, by rank; of most they tell nothing.

    `taken`: a patch's lines were added by later commits and are there still. Where several solutions share lines, those
    that only one of them has decide; where there are none, nothing is told. `reverted`: they were, and a later commit
    took them back.
    """
    added = _joined(commit.added for commit in seen.commits)
    taken = _decided(one, seen, lambda path: added.get(path, frozenset()) & seen.now.get(path, frozenset()))
    told: dict[int, Word] = dict.fromkeys(taken, "taken")
    for rank in one.held:
        if rank not in told and any(_reverted(patch, seen) for patch in one.patches.get(rank, ())):
            told[rank] = "reverted"
    return told


def tree_says(one: Suggested, seen: Seen) -> tuple[int, ...]:
    """Ranks of solutions whose lines are in the tree now and were not before, committed or not; as `commits_say` decides."""
    return _decided(one, seen, lambda path: seen.now.get(path, frozenset()))


def commits_of(log: str, mark: str, since: datetime) -> tuple[Made, ...]:
    """Commits from `git log -p --reverse` with the format `mark time id NUL body NUL`; those from before `since` are left out."""
    found = []
    for part in log.split(mark)[1:]:
        head, _, rest = part.partition("\0")
        body, _, diff = rest.partition("\0")
        at, _, id = head.strip().partition(" ")
        if not at.isdigit() or int(at) < int(since.timestamp()):
            continue
        added: dict[str, frozenset[str]] = {}
        removed: dict[str, frozenset[str]] = {}
        for change in diffs.parse(diff):
            lines = [line for hunk in change.hunks for line in hunk.text.split("\n")]
            added[change.path] = frozenset(telling(line[1:] for line in lines if line.startswith("+")))
            removed[change.path] = frozenset(telling(line[1:] for line in lines if line.startswith("-")))
        found.append(Made(id, body, added, removed))
    return tuple(found)


def paths_of(patch: str) -> tuple[str, ...]:
    """The files that a patch changes or makes, as far as they lie in the project."""
    return tuple(path for file in patchtext.read(patch) if (path := _path(file)))


def telling(lines: Iterable[str]) -> Iterator[str]:
    """Those lines that say something, normalised."""
    for line in lines:
        text = " ".join(line.split())
        if text and not _EMPTY.fullmatch(text) and not _IMPORT.match(text) and _REDACTED not in text:
            yield text


# ---------------------------------------------------------------------------------------------------- from a patch


def _texts(kept: Consultation, solution: Solution) -> tuple[str, ...]:
    """The patches of a solution: its own, and those of the experts who gave it."""
    others = (opinion.patch for opinion in kept.opinions if opinion.seat in solution.seats)
    return tuple(dict.fromkeys(patch for patch in (solution.patch, *others) if patch))


def _patches(texts: Iterable[str], known: frozenset[str]) -> Iterator[Patch]:
    for text in texts:
        added: dict[str, frozenset[str]] = {}
        removed: dict[str, frozenset[str]] = {}
        for file in patchtext.read(text):
            path = _path(file)
            lines = [line for hunk in file.hunks for line in hunk.lines]
            gone = frozenset(telling(line for sign, line in lines if sign == "-"))
            new = frozenset(telling(line for sign, line in lines if sign == "+")) - gone - known
            if path and new:
                added[path] = added.get(path, frozenset()) | new
                removed[path] = removed.get(path, frozenset()) | gone
        if added:
            yield Patch(added, removed)


def _path(file: patchtext.PatchFile) -> str:
    """Relative to the project; empty for what is deleted or lies outside of it."""
    path = file.new.replace("\\", "/")
    if file.old[:2] in ("a/", "") and path.startswith("b/"):
        path = path[2:]
    parts = path.removeprefix("./").split("/")
    inside = bool(path) and not path.startswith("/") and ":" not in parts[0] and ".." not in parts
    return "/".join(parts) if inside else ""


def _known(texts: Iterable[str], dossier: Dossier | None) -> Iterator[str]:
    """Lines that the asker or the evidence showed: they are nobody's suggestion."""
    for text in texts:
        yield from telling(_unsigned(text))
    if dossier:
        for excerpt in dossier.excerpts:
            yield from telling(_unsigned(excerpt.text))
        for change in dossier.changes:
            for hunk in change.hunks:
                yield from telling(_unsigned(hunk.text))


def _unsigned(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield line
        if line[:1] in ("+", " "):
            yield line[1:]


# --------------------------------------------------------------------------------------------------- what decides


def _decided(one: Suggested, seen: Seen, there: There) -> tuple[int, ...]:
    """Ranks of solutions whose lines are there, as far as that can be said of each of them alone."""
    found = {rank: best for rank, patches in one.patches.items() if (best := _best(patches, seen, there))}
    while True:
        wrong = [
            rank for rank, lines in found.items() if (own := _own(rank, lines, found)) and _share(own, there) < ENOUGH
        ]
        if not wrong:
            break
        for rank in wrong:
            del found[rank]
    if len(found) < 2:
        return tuple(found)
    return tuple(rank for rank, lines in found.items() if _own(rank, lines, found))


def _best(patches: Iterable[Patch], seen: Seen, there: There) -> Lines:
    """The telling lines of the first of these patches that is there; empty when none is."""
    for patch in patches:
        lines = _new(patch, seen)
        if _enough(lines) and _share(lines, there) >= ENOUGH:
            return lines
    return {}


def _new(patch: Patch, seen: Seen) -> dict[str, frozenset[str]]:
    """The lines of a patch that its files did not hold before."""
    fresh = {path: lines - seen.before.get(path, frozenset()) for path, lines in patch.added.items()}
    return {path: lines for path, lines in fresh.items() if lines}


def _own(rank: int, lines: Lines, all_lines: Mapping[int, Lines]) -> dict[str, frozenset[str]]:
    """Those of a solution's lines that no other one has."""
    others = _joined(theirs for other, theirs in all_lines.items() if other != rank)
    own = {path: mine - others.get(path, frozenset()) for path, mine in lines.items()}
    return {path: mine for path, mine in own.items() if mine}


def _enough(lines: Lines) -> bool:
    texts = [text for part in lines.values() for text in part]
    return len(texts) >= FEW or any(len(text) >= LONG for text in texts)


def _share(lines: Lines, there: There) -> float:
    """Which share of the lines is there."""
    total = sum(map(len, lines.values()))
    return sum(len(part & there(path)) for path, part in lines.items()) / total if total else 0.0


def _reverted(patch: Patch, seen: Seen) -> bool:
    """Whether a commit took the patch's lines back: it says so, or it puts back what the patch had taken out."""
    lines = _new(patch, seen)
    if not lines or _share(lines, lambda path: seen.now.get(path, frozenset())) >= ENOUGH:
        return False
    carriers: list[str] = []
    for commit in seen.commits:
        undone = _REVERTS.findall(commit.body)
        if any(carrier.startswith(id) for carrier in carriers for id in undone):
            return True
        out, back = _getter(commit.removed), _getter(commit.added)
        put_back = sum(map(len, patch.removed.values())) and _share(patch.removed, back) >= ENOUGH
        if carriers and put_back and _share(lines, out) >= ENOUGH:
            return True
        if _share(lines, back) > 0:
            carriers.append(commit.id)
    return False


def _getter(lines: Lines) -> There:
    return lambda path: lines.get(path, frozenset())


def _joined(parts: Iterable[Lines]) -> dict[str, frozenset[str]]:
    joined: dict[str, frozenset[str]] = {}
    for part in parts:
        for path, lines in part.items():
            joined[path] = joined.get(path, frozenset()) | lines
    return joined
