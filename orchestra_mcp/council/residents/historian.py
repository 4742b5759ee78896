"""The historian: who last changed the lines in question, what else changed there lately, what is not committed yet."""

from __future__ import annotations

from orchestra_mcp.council.residents import recent
from orchestra_mcp.council.residents.lineup import Lineup, changed_lines, line_up
from orchestra_mcp.council.residents.places import is_test
from orchestra_mcp.council.residents.saying import opinion, point
from orchestra_mcp.council.residents.suspects import Suspect
from orchestra_mcp.types import BlameLine, Change, Claim, Commit, Dossier, Evidence, Opinion, Question

SEAT = "historian"
MAX_SUSPECTS = 3
MAX_SPAN = 120  # lines of a function that are blamed at most
STRONG = 3.0  # a suspect with less than this score has no history worth telling
WEAK = frozenset({"excerpt"})  # words alone are no ground to blame a commit


async def analyse(question: Question, dossier: Dossier, evidence: Evidence) -> Opinion | None:
    """Read the history of the best suspects. None without a suspect or without git."""
    lineup = await line_up(question, dossier, evidence)
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
    if touched is not None:
        position = f"{spot} is touched by the latest change ({touched.where}): compare it with what was there before"
        first_step = f"Look at the change of `{definition.path}` ({touched.where}) and try the case without it."
    elif newest is not None:
        position = f"{spot} was last changed by {_commit(newest)}"
        first_step = f"Read `git show {newest.id} -- {definition.path}`: was the failing case thought of there?"
    else:
        position = f"{spot}: {claims[0].text}"
        first_step = f"Read `git log -L {definition.start},{definition.end}:{definition.path}`."
    return opinion(
        SEAT,
        position=position,
        does="I read blame and the log of the functions that the evidence points at; a date is no proof of guilt.",
        sections=[(f"`{s.definition.qualified}` ({'; '.join(s.grounds[:2])})", list(found)) for s, found, _ in told],
        plan=[first_step, "If it worked before, `git bisect` between a good version and this one finds the commit."],
        risks=("The last change of a line is often only a move or a reformatting.",),
        assumptions=("The fault lies in the functions that the evidence names.",),
        would_change="A version known to be good that already has the same lines.",
    )


async def _history(suspect: Suspect, lineup: Lineup, evidence: Evidence) -> tuple[list[Claim], Commit | None]:
    definition = suspect.definition
    symbol = definition.qualified
    claims = []
    end = min(definition.end, definition.start + MAX_SPAN)
    blamed = [line for line in await evidence.blame(definition.path, definition.start, end) if line.line]
    if not blamed:
        return [], None
    if suspect.line > definition.start and (own := next((b for b in blamed if b.line == suspect.line), None)):
        text = (
            f"The line in question was last changed by {_commit(own.commit)}"
            if own.commit
            else "The line in question is not committed yet"
        )
        claims.append(await point(evidence, text, definition.path, own.line, symbol))
    newest = _newest(blamed)
    if newest is not None and newest.commit is not None and newest.commit.id not in "".join(c.text for c in claims):
        text = f"The most recent commit that is still visible in `{symbol}`{_part(end, definition.end)} is {_commit(newest.commit)}, on this line"
        claims.append(await point(evidence, text, definition.path, newest.line, symbol))
    fresh = [line for line in blamed if line.commit is None]
    if fresh:
        text = f"{len(fresh)} line{'s' * (len(fresh) > 1)} of `{symbol}`{_part(end, definition.end)} not committed yet, the first one here"
        claims.append(await point(evidence, text, definition.path, fresh[0].line, symbol))
    touched = _touched(lineup, suspect)
    if touched is not None and not fresh:
        line = next(
            (n for hunk in touched.hunks for n in changed_lines(hunk) if definition.start <= n <= definition.end), 0
        )
        text = f"`{symbol}` is touched by the latest change ({touched.where})"
        claims.append(await point(evidence, text, definition.path, line, symbol))
    return claims, newest.commit if newest else None


def _part(end: int, whole: int) -> str:
    return "" if end == whole else f" (lines up to {end})"


def _newest(blamed: list[BlameLine]) -> BlameLine | None:
    """The first line of the newest commit, if the lines do not all come from one and the same."""
    committed = [line for line in blamed if line.commit is not None]
    return max(committed, key=lambda line: line.commit.at.timestamp() if line.commit else 0.0, default=None)


def _touched(lineup: Lineup, suspect: Suspect) -> Change | None:
    return next((change for definition, change, _ in lineup.changed if definition == suspect.definition), None)


def _commit(commit: Commit | None) -> str:
    if commit is None:
        return "a change that is not committed"
    return f"{commit.id} of {commit.at:%Y-%m-%d}, “{commit.subject[:80]}”"
