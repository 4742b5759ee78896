"""What changed lately and what hangs on it: the historian's answer when the question is about the changes themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from orchestra_mcp.council.residents.lineup import Lineup, changed_lines
from orchestra_mcp.council.residents.saying import opinion, point
from orchestra_mcp.council.residents.suspects import Touched
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Change, Claim, Commit, Dossier, Evidence, Opinion, Question

CONFIDENCE = 0.45
MAX_FUNCTIONS = 6
MAX_PLACES = 400  # of a name; more says only that it is a common word
ABOUT_CHANGES = re.compile(
    r"\b(?:(?:what|which)\b.{0,30}\bchang|chang(?:e|es|ed)\b|commits?\b|diffs?\b|review\b|regress|broke\b|break\b|merge|pull request)",
    re.IGNORECASE,
)
HUNT = re.compile(
    r"\b(?:broke|broken|breaks|breakage|regress\w*|introduced|bisect|stopped working|no longer|used to work"
    r"|worked (?:before|until|till|yesterday|fine|last)|(?:since|after) (?:the |an? |my |our )?(?:commit|upgrad|updat|merge|releas|refactor|yesterday|last)\w*"
    r"|(?:which|what) commit)\b",
    re.IGNORECASE,
)
"""Words of one who looks for the change that broke something."""


def asks_about_changes(question: Question) -> bool:
    """True when the question is about what was changed, by its words or because a diff came with it."""
    return bool(question.diff) or bool(ABOUT_CHANGES.search(question.text))


def asks_for_culprit(question: Question) -> bool:
    """True when the question says that something worked before, or asks for the commit that broke it."""
    return not question.diff and bool(HUNT.search(question.text))


async def tell(seat: str, dossier: Dossier, lineup: Lineup, evidence: Evidence) -> Opinion | None:
    """Changed functions with the places elsewhere that their names occur at, the most used first. None without changes.

    Of a change that touches tests only, the tests are told.
    """
    changes = lineup.changes
    if not changes:
        return None
    code = [touched for touched in lineup.changed if not is_test(touched.definition.path)]
    others = [change for change in changes if not is_test(change.path)]
    used = [await _use(touched, evidence) for touched in (code if others else lineup.changed)]
    used.sort(key=lambda item: -item[0])
    files = [await _file(change, evidence) for change in others or changes]
    claims = [claim for _, claim in used[:MAX_FUNCTIONS]] or files[:MAX_FUNCTIONS]
    if not claims:
        return None
    where = ", ".join(dict.fromkeys(change.where for change in changes[:3]))
    paths = {change.path for change in lineup.all_changes}
    tests = sum(is_test(path) for path in paths)
    files_said = f"{len(paths)} file{'s' * (len(paths) != 1)} ({tests} of them {'a test' if tests == 1 else 'tests'})"
    functions_said = f"{len(used)} function{'s' * (len(used) != 1)}"
    present = sum(change.status != "deleted" for change in lineup.all_changes)
    size = f"{functions_said} in {files_said}"
    if present > len(changes):
        size = f"{files_said}, with {functions_said} in the {len(changes)} of them that I read"
    reach = (
        f"; most is built on `{claims[0].symbol}` ({claims[0].path}:{claims[0].line})" if used and used[0][0] else ""
    )
    return opinion(
        seat,
        position=f"The latest change ({where}) touches {size}{reach}",
        does="I read what changed and count where the changed names are used; I do not judge whether a change is right.",
        sections=[
            ("What changed, the most used first", claims),
            ("Recent commits", commits_in(dossier)),
        ],
        plan=[
            *(
                f"Check the places that use `{claim.symbol}` against its change at `{claim.path}:{claim.line}`."
                for used_at, claim in used[:2]
                if used_at
            ),
            "Run the tests of the files above, and add one where no test names a changed function.",
        ],
        risks=("A name can stand for something else elsewhere: these are places to look at, not proven callers.",),
        assumptions=("The question is about the uncommitted changes, or on a clean tree about the last commit.",),
        would_change="A range of commits (`diff`), if other changes are meant.",
        confidence=CONFIDENCE,
    )


async def _use(touched: Touched, evidence: Evidence) -> tuple[int, Claim]:
    definition, change = touched.definition, touched.change
    lines = [n for hunk in change.hunks for n in changed_lines(hunk) if definition.start <= n <= definition.end]
    first = min(lines, default=definition.start)
    places = await evidence.mentions(definition.name, MAX_PLACES)
    outside = [
        (path, line)
        for path, line, _ in places
        if not (path == definition.path and definition.start <= line <= definition.end)
    ]
    count = 0 if definition.name.startswith("__") or len(places) >= MAX_PLACES else len(outside)
    code = [path for path, _ in outside if not is_test(path)]
    done = "added" if touched.new else "changed"
    text = f"`{definition.qualified}`: {len(lines)} line{'s' * (len(lines) != 1)} {done}"
    if count:
        other = len({path for path in code if path != definition.path})
        text += (
            f"; its name occurs at {count} other place{'s' * (count != 1)}, {len(outside) - len(code)} of them in tests"
        )
        text += f", and in {other} other source file{'s' * (other != 1)}" if other else ""
    return count, await point(evidence, text, definition.path, first, definition.qualified)


async def _file(change: Change, evidence: Evidence) -> Claim:
    lines = [n for hunk in change.hunks for n in changed_lines(hunk)]
    text = f"{change.path} was {change.status}" + (f", {len(lines)} lines" if lines else "")
    return await point(evidence, text, change.path, min(lines, default=0))


def commits_in(dossier: Dossier) -> list[str]:
    """The project's recent commits as the dossier lists them, newest first; at most five."""
    history = next((e.text for e in dossier.excerpts if e.source == "history" and not e.path), "")
    return [line.strip() for line in history.splitlines() if re.match(r"\s*[0-9a-f]{7,}\b", line)][:5]


def logged_in(dossier: Dossier) -> tuple[Commit, ...]:
    """All commits that the dossier lists, newest first: abbreviated id, day and subject."""
    found = []
    for excerpt in dossier.excerpts:
        for line in excerpt.text.splitlines() if excerpt.source == "history" else ():
            if match := re.match(r"\s*([0-9a-f]{7,40}) (\d{4})-(\d\d)-(\d\d) (.*)", line):
                try:
                    at = datetime(int(match[2]), int(match[3]), int(match[4]), tzinfo=UTC)
                except ValueError:
                    continue
                found.append(Commit(id=match[1], at=at, subject=match[5].strip()))
    return tuple(found)
