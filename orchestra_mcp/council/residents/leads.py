"""Which commit is the likeliest to have broken it? Every hint is a reason for a commit; the reasons add up. Pure.

The order of the weights is that of how directly a reason ties a commit to the failure; recency decides between equals.
That most faults are found behind the last change of the lines that a fix touches is the premise of the SZZ algorithm
(Śliwerski, Zimmermann, Zeller 2005); here the failing path stands in for the fix, which is not known yet.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from orchestra_mcp.types import Commit

WROTE, SET, TOUCHED, GUARD, CALLEE, CONTRACT, NAMED_WORD, DEPENDENCY = (
    "wrote", "set", "touched", "guard", "callee", "contract", "word", "dependency",
)  # fmt: skip
WEIGHTS = {
    WROTE: 4.0, SET: 2.5, TOUCHED: 2.0, GUARD: 1.5, CALLEE: 2.0, CONTRACT: 1.5, NAMED_WORD: 2.5, DEPENDENCY: 3.0,
}  # fmt: skip
"""What each kind of reason counts at the innermost place of the failing path. Add here."""

STEP = 0.6  # a place one step further out on the path counts for so much of the one before
MADE = 0.5  # a commit that made a function, against one that changed it
FLOOR = 0.1  # what remains of a reason's weight for a commit of long ago
HALF_LIFE = 10  # in the project's usual distance between two commits
REVERTED = 0.3  # what remains of a commit that a later one took back
MERGE = 0.5  # what remains of a merge: what it brought is a commit of its own
OUTSIDE = 0.4  # what remains of a commit from before the time that the question speaks of
RECENT = timedelta(days=90)  # what is called recent, counted from the project's newest commit

SINCE: tuple[tuple[str, int], ...] = (
    (r"\b(?:today|this morning)\b", 1),
    (r"\b(?:since|until|till|worked) yesterday\b|\byesterday\b", 2),
    (r"\b(?:this|last|past) week\b|\bfew days\b|\brecently\b", 8),
    (r"\b(?:this|last|past) month\b|\bfew weeks\b", 32),
)
"""What a question says of when it began, and how many days back that reaches at most. Add here."""
_MERGE = re.compile(r"Merge(?:d in)? (?:branch|pull request|remote-tracking|tag|commit|[\w/.-]+ into )")
_DATE = re.compile(r"\b(?:since|after|from|until|before|on)\s+(\d{4})-(\d\d)-(\d\d)\b", re.IGNORECASE)
_WORD = re.compile(r"""['"`‘“]([\w.$/-]{3,60})['"`’”]|\b([A-Za-z_]\w*(?:_\w+|[a-z][A-Z]\w*))\b""")
_TYPES = re.compile(
    r"(?:Type|Error|Exception|Warning)$|^(?:int|str|list|dict|tuple|bool|float|object|string|number|undefined|null|None)$"
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that ties a commit to the failing path, and the line of today at which it can be seen."""

    kind: str
    text: str
    path: str
    line: int
    symbol: str = ""
    depth: int = 0
    """Steps from the innermost place of the failing path."""
    made: bool = False
    """True when the commit made the function: what never was otherwise was not broken by it."""


@dataclass(frozen=True, slots=True)
class Lead:
    """A commit with all that speaks for it, the strongest reason first."""

    commit: Commit
    score: float
    reasons: tuple[Reason, ...]


def rank(
    found: Iterable[tuple[Commit, Reason]], known: Sequence[Commit], question: str, reverted: Iterable[str] = ()
) -> tuple[Lead, ...]:
    """Commits by the sum of their reasons, best first; each kind of reason counts once per commit.

    Args:
        found: what was found, in any order.
        known: commits of the project by which its pace is judged.
        question: its words about time count.
        reverted: subjects of commits that a later one took back.
    """
    by_commit: dict[str, tuple[Commit, list[Reason]]] = {}
    for commit, reason in found:
        by_commit.setdefault(commit.id[:7], (commit, []))[1].append(reason)
    commits = {c.id[:7]: c for c in (*known, *(commit for commit, _ in by_commit.values()))}
    if not commits:
        return ()
    newest = max(commit.at for commit in commits.values())
    pace, since, gone = pace_of(commits.values()), since_of(question, newest), frozenset(reverted)
    leads = []
    for commit, reasons in by_commit.values():
        ordered = sorted(reasons, key=lambda r: -_weight(r))
        best: dict[str, float] = {}
        for reason in ordered:
            best.setdefault(
                "made" if reason.made else reason.kind, _weight(reason)
            )  # to have made it all is one reason
        age = (newest - commit.at).total_seconds()
        score = sum(best.values()) * (FLOOR + (1 - FLOOR) * 0.5 ** (max(0.0, age) / (HALF_LIFE * pace)))
        score *= REVERTED if commit.subject in gone else 1
        score *= MERGE if _MERGE.match(commit.subject) else 1
        score *= OUTSIDE if since is not None and commit.at < since else 1
        leads.append(Lead(commit, score, tuple(ordered)))
    return tuple(sorted(leads, key=lambda lead: (-lead.score, -lead.commit.at.timestamp(), lead.commit.id)))


def _weight(reason: Reason) -> float:
    return WEIGHTS[reason.kind] * STEP**reason.depth * (MADE if reason.made else 1)


def pace_of(commits: Iterable[Commit]) -> float:
    """The usual distance of two commits in seconds, between an hour and a month."""
    times = sorted(commit.at.timestamp() for commit in commits)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return min(max(median(gaps), 3_600.0), 2_592_000.0) if gaps else 86_400.0


def since_of(question: str, newest: datetime) -> datetime | None:
    """The time before which it still worked, as the question tells it; None when it does not.

    Relative words count from the project's newest commit, which is never later than the question.
    """
    if dated := _DATE.search(question):
        try:
            return datetime(int(dated[1]), int(dated[2]), int(dated[3]), tzinfo=newest.tzinfo) - timedelta(days=1)
        except ValueError:
            return None
    days = next((days for pattern, days in SINCE if re.search(pattern, question, re.IGNORECASE)), 0)
    return newest - timedelta(days=days) if days else None


def taken_back(commits: Iterable[Commit]) -> tuple[str, ...]:
    """Subjects of the commits that others say they revert, as `git revert` writes it; not those that were reapplied."""
    subjects = [commit.subject for commit in commits]
    gone = {subject[8:-1] for subject in subjects if subject.startswith('Revert "') and subject.endswith('"')}
    return tuple(subject for subject in gone if f'Revert "Revert "{subject}""' not in subjects)


def words_of(message: str) -> tuple[str, ...]:
    """What an error message names: quoted words and code-like names, the first few; names of common types do not count."""
    found = dict.fromkeys(quoted or plain for quoted, plain in _WORD.findall(message[:2000]))
    return tuple(word for word in found if not _TYPES.search(word))[:6]
