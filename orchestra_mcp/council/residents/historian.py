"""The historian: who last changed the lines in question, what else changed there lately, what is not committed yet."""

from __future__ import annotations

from orchestra_mcp.council.residents import recent
from orchestra_mcp.council.residents.lineup import Lineup, line_up
from orchestra_mcp.council.residents.places import is_test
from orchestra_mcp.council.residents.saying import opinion, point
from orchestra_mcp.council.residents.suspects import Suspect, Touched, is_commit
from orchestra_mcp.types import BlameLine, Claim, Commit, Dossier, Evidence, Opinion, Question

SEAT = "historian"
CONFIDENCE = 0.35
MAX_SUSPECTS = 3
MAX_SPAN = 120  # lines of a function that are blamed at most
STRONG = 3.0  # a suspect with less than this score has no history worth telling
WEAK = frozenset({"excerpt"})  # words alone are no ground to blame a commit


async def analyse(question: Question, dossier: Dossier, evidence: Evidence) -> Opinion | None:
    """Read the history of the best suspects. None without a suspect or git, and when only a place is asked for."""
    lineup = await line_up(question, dossier, evidence)
    if lineup.for_place:
        return None
    if not lineup.walks and lineup.message is None and recent.asks_about_changes(question):
        return await recent.tell(SEAT, dossier, lineup, evidence)
    strong = [s for s in lineup.suspects if s.score >= STRONG and s.kinds - WEAK]
    chosen = [s for s in strong if not is_test(s.definition.path)][:MAX_SUSPECTS]
    told = []
    for suspect in chosen:
        claims, newest = await _history(suspect, lineup, evidence)
        if claims:
            told.append((suspect, claims, newest))
    if not told:
        return None
    suspect, claims, newest = told[0]
    definition = suspect.definition
    touched = _touched(lineup, suspect)
    spot = f"`{definition.qualified}` ({definition.path}:{suspect.line})"
    whole = f"{definition.kind} `{definition.qualified}` ({definition.path}:{definition.start})"
    steps = []
    if await _has_past(dossier, definition.path, evidence):
        steps.append("If it worked before, `git bisect` between a good version and this one finds the commit.")
    if touched is not None and touched.new:
        position = f"The {whole} {_added(touched)}: there is no earlier version of it to compare with"
        first_step = f"Read the whole of `{definition.qualified}`: all its lines are equally new."
    elif touched is not None:
        place = f"`{definition.qualified}` ({definition.path}:{touched.line})"
        where = touched.change.where
        position = f"{place} is touched by the latest change ({where}): compare it with what was there before"
        first_step = f"Look at the change of `{definition.path}` ({where}) and try the case without it."
    elif newest is not None:
        part = _part(min(definition.end, definition.start + MAX_SPAN), definition.end)
        position = f"The newest lines of the {whole}{part} are from {_commit(newest)}"
        first_step = f"Read `git show {newest.id} -- {definition.path}`: was the failing case thought of there?"
    else:
        position = f"{spot}: {claims[0].text}"
        first_step = f"Read `git log -L {definition.start},{definition.end}:{definition.path}`."
    return opinion(
        SEAT,
        position=position,
        does="I read blame and the log of the functions that the evidence points at; a date is no proof of guilt.",
        sections=[(f"`{s.definition.qualified}` ({'; '.join(s.grounds[:2])})", list(found)) for s, found, _ in told],
        plan=[first_step, *steps],
        risks=("The last change of a line is often only a move or a reformatting.",),
        assumptions=("The fault lies in the functions that the evidence names.",),
        would_change="A version known to be good that already has the same lines.",
        confidence=CONFIDENCE,
    )


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
