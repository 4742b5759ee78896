"""The inspector: defects that the syntax tree shows in changed code and in the functions that the evidence names.

When there is no trace it also says which functions the evidence names, best first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra_mcp.council.residents import callers, lint, parsing, shown, whereis
from orchestra_mcp.council.residents.defects import find_defects
from orchestra_mcp.council.residents.flakes import PythonFile, read_python
from orchestra_mcp.council.residents.lineup import Case, Lineup, changed_lines
from orchestra_mcp.council.residents.orphans import orphans
from orchestra_mcp.council.residents.recent import asks_about_changes
from orchestra_mcp.council.residents.saying import opinion, point
from orchestra_mcp.council.residents.suspects import Suspect
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Change, Claim, Evidence, Opinion

SEAT = "inspector"
CONFIDENCE_SHOWN, CONFIDENCE = 0.55, 0.3  # a serious defect in changed lines; all else
MAX_SUSPECTS = 5
MAX_LENGTH = 400_000  # characters of a Python file that is given to pyflakes


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect with its place, and whether it lies in changed lines."""

    claim: Claim
    weight: int
    changed: bool


async def analyse(case: Case) -> Opinion | None:
    """Inspect the changes and the focus functions. None when there is neither a defect nor a named function."""
    question, dossier, evidence = case.question, case.dossier, case.evidence
    lineup = await case.lineup()
    if lineup.for_place:
        return await whereis.tell(SEAT, lineup, evidence)
    changes = lineup.changes
    about_changes = not lineup.walks and asks_about_changes(question)
    focus = _focus(lineup, about_changes)
    python = await _read_python(focus, changes, evidence)
    findings = await _breaks(focus, python, evidence)
    if not question.diff:
        findings += await _orphans(lineup, evidence)
    findings += await _defects(focus, python, evidence)
    findings += await _broken_calls(changes, python, evidence) if not question.diff else []
    findings += await _untested(lineup, evidence)
    findings.sort(key=lambda f: (-f.weight, not f.changed))
    told = bool(question.error or dossier.traces)
    named = [] if about_changes else await _named(lineup, evidence)
    if not findings and not named:
        return None
    serious = [f for f in findings if f.weight == 2]
    best = serious[0].claim if serious and (serious[0].changed or not named) else None
    if best is not None:
        position = f"`{best.symbol or best.path}` ({best.path}:{best.line}): {best.text}"
    elif named:
        position = _named_position(lineup.suspects[0])
    else:
        position = f"{findings[0].claim.path}:{findings[0].claim.line}: {findings[0].claim.text}"
    defect_claims = [f.claim for f in findings if f.claim is not best][:7]
    sections: list[tuple[str, list[Claim | str]]] = [
        ("Most serious", [best] if best is not None else []),
        ("Functions that the evidence names, best first", list(named)),
        ("What the syntax shows", list(defect_claims)),
    ]
    looked = await _looked_at(focus, python, evidence)
    if not findings and looked:
        sections.append(
            (
                "What the syntax shows",
                [f"No defect that can be shown in the {looked} file{'s' * (looked > 1)} looked at."],
            )
        )
    return opinion(
        SEAT,
        position=position,
        does="I checked changed lines and the functions named by the evidence for defects that syntax alone can show.",
        sections=sections,
        plan=_plan(best, named, told),
        risks=(
            "What I list can be shown, but need not be the cause of this problem; logic errors are invisible to me.",
        ),
        assumptions=("The ranking is by hints (frames, names, words), not by understanding.",) if named else (),
        would_change="" if told else "A stack trace or a failing test: both point more precisely than words.",
        confidence=CONFIDENCE_SHOWN if serious and serious[0].changed else CONFIDENCE,
    )


def _focus(lineup: Lineup, about_changes: bool) -> dict[str, tuple[frozenset[int], frozenset[int]]]:
    """Path → (lines to look at, lines of them that changed); of a review nothing that is only near by its words."""
    changed = {c.path: frozenset(n for hunk in c.hunks for n in changed_lines(hunk)) for c in lineup.changes}
    wanted: dict[str, set[int]] = {path: set(lines) for path, lines in changed.items()}
    for suspect in lineup.suspects[:MAX_SUSPECTS]:
        d = suspect.definition
        if d.kind != "class" and not (about_changes and suspect.kinds == {"excerpt"}):
            wanted.setdefault(d.path, set()).update(range(d.start, d.end + 1))
    return {path: (frozenset(lines), changed.get(path, frozenset())) for path, lines in wanted.items() if lines}


async def _read_python(
    focus: dict[str, tuple[frozenset[int], frozenset[int]]], changes: Sequence[Change], evidence: Evidence
) -> dict[str, PythonFile]:
    changed = {c.path for c in changes}
    sources = {}
    for path in focus:
        if path.endswith(".py"):
            text = "\n".join(await evidence.read(path)) + "\n"
            before = "\n".join(await evidence.before(path)) + "\n" if path in changed else ""
            if len(text) + len(before) <= 2 * MAX_LENGTH:
                sources[path] = (text, before)
    return await read_python(sources)


async def _breaks(
    focus: dict[str, tuple[frozenset[int], frozenset[int]]], python: dict[str, PythonFile], evidence: Evidence
) -> list[Finding]:
    """Changed files that cannot be parsed."""
    findings = []
    for path, (_, changed) in focus.items():
        if not changed:
            continue
        if path in python:
            found = parsing.python_break(path, await evidence.read(path), python[path], changed)
            broken = [found] if found is not None else []
        else:
            syntax = None if path.endswith(".py") else await evidence.syntax(path)
            broken = parsing.tree_breaks(path, syntax.language, syntax.root, changed) if syntax else []
        findings += [Finding(await point(evidence, one.text, path, one.line), 2, True) for one in broken]
    return findings


async def _orphans(lineup: Lineup, evidence: Evidence) -> list[Finding]:
    """Imports of modules that the change renamed or removed; they break because of the change, wherever they stand."""
    found = await orphans(lineup.all_changes, evidence)
    return [Finding(await point(evidence, one.text, one.path, one.line), 2, True) for one in found]


async def _looked_at(
    focus: dict[str, tuple[frozenset[int], frozenset[int]]], python: dict[str, PythonFile], evidence: Evidence
) -> int:
    """How many files could be read from end to end, so that it means something when nothing was found."""
    syntaxes = [(path, await evidence.syntax(path)) for path in focus]
    whole = [path for path, syntax in syntaxes if syntax is not None and not syntax.root.has_error]
    return sum(path not in python or python[path].error is None for path in whole)


async def _defects(
    focus: dict[str, tuple[frozenset[int], frozenset[int]]],
    python: dict[str, PythonFile],
    evidence: Evidence,
) -> list[Finding]:
    findings: list[Finding] = []
    for path, (lines, changed) in focus.items():
        syntax = await evidence.syntax(path)
        if syntax is not None:
            defects = find_defects(syntax.language, syntax.root, lines)
            findings += [await _finding(evidence, d.text, path, d.line, d.weight, changed) for d in defects]
        if path in python:
            rows = await evidence.read(path)
            for weight, message in await lint.defects(path, rows, python[path].messages, lines, evidence):
                text = f"pyflakes: {message.text}"
                findings.append(await _finding(evidence, text, path, message.line, weight, changed))
    return findings


async def _finding(
    evidence: Evidence, text: str, path: str, line: int, weight: int, changed: frozenset[int]
) -> Finding:
    around = await evidence.enclosing(path, line)
    claim = await point(evidence, text, path, line, around.qualified if around else "")
    return Finding(claim, weight - (1 if is_test(path) and weight else 0), line in changed)


async def _broken_calls(changes: Sequence[Change], python: dict[str, PythonFile], evidence: Evidence) -> list[Finding]:
    findings = []
    for change in changes:
        read = python.get(change.path)
        for name, after in (read.after if read else {}).items():
            before = read.before.get(name) if read else None
            if before is None:
                continue
            for misfit in (await callers.misfits(name, before, after, evidence))[:3]:
                text = f"this call fitted `{name}` before its signature changed ({change.path}:{after.line}) and no longer does: {misfit.why}"
                findings.append(await _finding(evidence, text, misfit.path, misfit.line, 2, frozenset({misfit.line})))
    return findings


async def _untested(lineup: Lineup, evidence: Evidence) -> list[Finding]:
    """Changed functions whose name stands in no test, when no test file changed; a fact, not a verdict."""
    if any(is_test(path) for change in lineup.all_changes for path in (change.path, change.old_path)):
        return []
    files = await evidence.files()
    if not any(is_test(path) for path in files):
        return []
    findings: list[Finding] = []
    for touched in lineup.changed:
        definition = touched.definition
        if is_test(definition.path) or definition.name.startswith("_") or len(findings) == 2:
            continue
        places = await evidence.mentions(definition.name, 1000)
        if len(places) < 1000 and not any(is_test(path) for path, _, _ in places):
            done = "is new" if touched.new else "changed"
            text = f"`{definition.qualified}` {done}; no test file changed with it, and none contains its name"
            claim = await point(evidence, text, definition.path, definition.start, definition.qualified)
            findings.append(Finding(claim, 0, True))
    return findings


async def _named(lineup: Lineup, evidence: Evidence) -> list[Claim]:
    claims = []
    best = lineup.suspects[:MAX_SUSPECTS]
    if not any(suspect.kinds - {"changed"} for suspect in best):
        return []
    for number, suspect in enumerate(best, 1):
        if suspect.kinds == {"changed"} and number > 1:
            continue
        d = suspect.definition
        text = f"{number}. `{d.qualified}`: {' · '.join(suspect.grounds[:3])}"
        claims.append(await point(evidence, text, d.path, suspect.line, d.qualified))
    return claims


def _named_position(top: Suspect) -> str:
    """How clearly the evidence names the best suspect; words alone are said to be words alone."""
    spot = f"`{top.definition.qualified}` ({top.definition.path}:{top.line})"
    grounds = "; ".join(top.grounds[:2])
    if top.kinds <= {"excerpt", "changed"}:
        if shown.OF_NAMED_FILE in top.grounds:
            return f"No function is named; in the file that the question names, {spot} is nearest: {grounds}"
        by = "by the change" if top.kinds == {"changed"} else "by the change and by words"
        by = by if "changed" in top.kinds else "by words alone"
        return f"Nothing names the place (no trace, no function); {by} {spot} is nearest: {grounds}"
    return f"{spot} is the function that the evidence names most clearly: {grounds}"


def _plan(best: Claim | None, named: list[Claim], told: bool) -> list[str]:
    steps = []
    if best is not None:
        steps.append(f"Mend `{best.path}:{best.line}` or say why it is right.")
    if named:
        top = named[0]
        steps.append(f"Read `{top.symbol}` at `{top.path}:{top.line}` with the failing case in hand.")
    if named and not told:
        steps.append("Attach the stack trace or the failing test's output: it points more precisely than words.")
    return steps
