"""The historian: which commit is the likeliest to have broken the failing path, who last changed the lines in question,
and what is not committed yet.
"""

from __future__ import annotations

from orchestra_mcp.council.residents import culprits, leads, recent
from orchestra_mcp.council.residents.culprits import Found
from orchestra_mcp.council.residents.lineup import Case, Lineup
from orchestra_mcp.council.residents.saying import opinion, point
from orchestra_mcp.council.residents.suspects import Suspect, Touched, is_commit
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import BlameLine, Claim, Commit, Dossier, Evidence, Opinion

SEAT = "historian"
CONFIDENCE = 0.35
MAX_SUSPECTS = 3
MAX_HUNTED = 5  # suspects whose commits are ranked when the question looks for a commit
MAX_SPAN = 120  # lines of a function that are blamed at most
STRONG = (
    3.0  # a suspect with less than this score has no history worth telling: its newer commits outrank the right ones
)
NOT_COMMITTED = frozenset({"staged", "unstaged", "untracked", "working tree", "given diff"})
MAX_LEADS = 3
MAX_REASONS = 3
DOES = "I read blame and the log of the functions that the evidence points at; a date is no proof of guilt."
RISKS = ("The last change of a line is often not what broke it; `git bisect` can prove it.",)
WOULD_CHANGE = "A version known to be good that already has the same lines."
WEAK = frozenset({"excerpt"})  # words alone are no ground to blame a commit


async def analyse(case: Case) -> Opinion | None:
    """Read the history of the best suspects. None without a suspect or git, and when only a place is asked for."""
    question, dossier, evidence = case.question, case.dossier, case.evidence
    lineup = await case.lineup()
    if lineup.for_place:
        return None
    hunting = recent.asks_for_culprit(question)
    chosen = _chosen(lineup, hunting)
    on_path = bool(lineup.walks) or lineup.message is not None
    if not on_path and recent.asks_about_changes(question) and not (hunting and chosen):
        return await recent.tell(SEAT, dossier, lineup, evidence)
    found = await culprits.find(question, dossier, lineup, chosen, evidence)
    ranked = await _ranked(found, evidence)
    told = [(suspect, *await _history(suspect, lineup, evidence)) for suspect in chosen[:MAX_SUSPECTS]]
    told = [one for one in told if one[1]]
    touched = _touched(lineup, told[0][0]) if told else None
    open_work = bool(told and found.uncommitted) or (touched is not None and touched.change.where in NOT_COMMITTED)
    if (on_path or hunting) and found.leads and not open_work:
        position, step = _verdict(found, ranked)
    elif told:
        position, step = _of_suspect(*told[0], touched)
    else:
        return None
    steps = [step]
    if told and await _has_past(dossier, told[0][0].definition.path, evidence):
        steps.append("If it worked before, `git bisect` between a good version and this one finds the commit.")
    return opinion(
        SEAT,
        position=position,
        does=DOES,
        sections=[
            (f"Commits that touched {_ground(found)}, the likeliest to have broken it first", ranked),
            *((f"`{s.definition.qualified}` ({'; '.join(s.grounds[:2])})", _beyond(one, found)) for s, one, _ in told),
        ],
        plan=steps,
        risks=RISKS,
        assumptions=(
            f"The fault lies in the {'functions that the evidence names' if told else 'code that the trace leads through'}.",
        ),
        would_change=WOULD_CHANGE,
        confidence=CONFIDENCE,
    )


def _chosen(lineup: Lineup, hunting: bool) -> list[Suspect]:
    """The suspects whose history is read; words alone are ground enough only when a commit is looked for."""
    strong = [s for s in lineup.suspects if s.score >= STRONG and (s.kinds - WEAK or hunting)]
    return [s for s in strong if not is_test(s.definition.path)][: MAX_HUNTED if hunting else MAX_SUSPECTS]


def _of_suspect(
    suspect: Suspect, claims: list[Claim], newest: Commit | None, touched: Touched | None
) -> tuple[str, str]:
    """The position and the first step where no commit is looked for: what is newest in the best suspect."""
    d = suspect.definition
    whole = f"{d.kind} `{d.qualified}` ({d.path}:{d.start})"
    if touched is not None and touched.new:
        position = f"The {whole} {_added(touched)}: there is no earlier version of it to compare with"
        return position, f"Read the whole of `{d.qualified}`: all its lines are equally new."
    if touched is not None:
        where = touched.change.where
        position = f"`{d.qualified}` ({d.path}:{touched.line}) is touched by the latest change ({where}): compare it with what was there before"
        return position, f"Look at the change of `{d.path}` ({where}) and try the case without it."
    if newest is not None:
        part = _part(min(d.end, d.start + MAX_SPAN), d.end)
        position = f"The newest lines of the {whole}{part} are from {_commit(newest)}"
        return position, f"Read `git show {newest.id} -- {d.path}`: was the failing case thought of there?"
    position = f"`{d.qualified}` ({d.path}:{suspect.line}): {claims[0].text}"
    return position, f"Read `git log -L {d.start},{d.end}:{d.path}`."


def _beyond(claims: list[Claim], found: Found) -> list[Claim | str]:
    """Of a suspect's history what the ranked commits do not say already."""
    said = [lead.commit.id[:7] for lead in found.leads[:MAX_LEADS]]
    return [claim for claim in claims if not any(f" {commit}" in claim.text for commit in said)]


async def _ranked(found: Found, evidence: Evidence) -> list[Claim | str]:
    """The best leads with their reasons, the likeliest first."""
    said: list[Claim | str] = []
    if found.leads and not found.recent:
        days = leads.RECENT.days
        said.append(
            f"Nothing of the {days} days before the project's newest commit touched {_ground(found)}; what is older:"
        )
    for number, lead in enumerate(found.leads[:MAX_LEADS], 1):
        for reason in lead.reasons[:MAX_REASONS]:
            text = f"{number}. {_commit(lead.commit)}: {reason.text}"
            said.append(await point(evidence, text, reason.path, reason.line, reason.symbol))
    return said


def _ground(found: Found) -> str:
    return "the failing path" if found.on_path else "the functions in question"


def _verdict(found: Found, ranked: list[Claim | str]) -> tuple[str, str]:
    """The position and the first step: which commit to look at first, or that none is to blame by what I can see."""
    lead, first = found.leads[0], next(claim for claim in ranked if isinstance(claim, Claim))
    ground, place, told = _ground(found), f"{first.path}:{first.line}", _commit(lead.commit)
    if found.only_made and len(found.leads) == 1:
        position = f"No commit changed {ground} since {told} wrote it ({place}): the fault is as old as that code, or elsewhere"
        return position, f"Look at the callers and their input: the code is as `{lead.commit.id}` made it."
    if not found.recent:
        position = f"No recent commit touched {ground}; the likeliest of the older ones is {told} ({place})"
        return position, "Look at input, configuration and dependencies first: this code is not new."
    position = f"{told} is the first commit to look at: {lead.reasons[0].text} ({place})"
    return position, f"Read `git show {lead.commit.id} -- {first.path}`: was the failing case thought of there?"


async def _history(suspect: Suspect, lineup: Lineup, evidence: Evidence) -> tuple[list[Claim], Commit | None]:
    definition = suspect.definition
    symbol = definition.qualified
    claims = []
    end = min(definition.end, definition.start + MAX_SPAN)
    blamed = [line for line in await evidence.blame(definition.path, definition.start, end) if line.line]
    if not blamed:
        return [], None
    touched = _touched(lineup, suspect)
    old = touched is None or not touched.new
    if old and suspect.line > definition.start and (own := next((b for b in blamed if b.line == suspect.line), None)):
        text = (
            f"The line in question was last changed by {_commit(own.commit)}"
            if own.commit
            else "The line in question is not committed yet"
        )
        claims.append(await point(evidence, text, definition.path, own.line, symbol))
    newest = _newest(blamed)
    if (
        old
        and newest is not None
        and newest.commit is not None
        and newest.commit.id not in "".join(c.text for c in claims)
    ):
        text = f"The most recent commit that is still visible in `{symbol}`{_part(end, definition.end)} is {_commit(newest.commit)}, on this line"
        claims.append(await point(evidence, text, definition.path, newest.line, symbol))
    fresh = [line for line in blamed if line.commit is None]
    if fresh:
        text = f"{len(fresh)} line{'s' * (len(fresh) > 1)} of `{symbol}`{_part(end, definition.end)} not committed yet, the first one here"
        claims.append(await point(evidence, text, definition.path, fresh[0].line, symbol))
    if touched is not None and not fresh:
        text = f"`{symbol}` is touched by the latest change ({touched.change.where})"
        if touched.new:
            text = f"`{symbol}` {_added(touched)}"
        claims.append(await point(evidence, text, definition.path, touched.line, symbol))
    return claims, newest.commit if newest else None


def _part(end: int, whole: int) -> str:
    return "" if end == whole else f" (lines up to {end})"


def _newest(blamed: list[BlameLine]) -> BlameLine | None:
    """The first line of the newest commit, if the lines do not all come from one and the same."""
    committed = [line for line in blamed if line.commit is not None]
    return max(committed, key=_age_of, default=None)


def _age_of(line: BlameLine) -> tuple[float, bool]:
    """The newest commit first; of its lines one with text."""
    return (line.commit.at.timestamp() if line.commit else 0.0, bool(line.text.strip()))


def _touched(lineup: Lineup, suspect: Suspect) -> Touched | None:
    return next((touched for touched in lineup.changed if touched.definition == suspect.definition), None)


def _added(touched: Touched) -> str:
    where = touched.change.where
    return f"was added by {where}" if is_commit(where) else f"is new ({where})"


async def _has_past(dossier: Dossier, path: str, evidence: Evidence) -> bool:
    """True when the project has more than one commit: only then is there something to go back to."""
    return len(recent.commits_in(dossier)) > 1 or len(await evidence.log(path, limit=2)) > 1


def _commit(commit: Commit | None) -> str:
    if commit is None:
        return "a change that is not committed"
    return f"{commit.id} of {commit.at:%Y-%m-%d}, “{commit.subject[:80]}”"
