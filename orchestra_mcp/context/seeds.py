"""Which excerpts a dossier could hold: each function turns one kind of evidence into candidates.

Scores say how directly the evidence bears on a question; they only order candidates. Add a kind of evidence here:
one function, and one line in `collector.collect`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import translate
from pathlib import PurePosixPath

from orchestra_mcp.context import diffs, symbols
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.packing import Candidate, estimate_tokens
from orchestra_mcp.context.project import denied
from orchestra_mcp.context.ranking import demoted, is_test
from orchestra_mcp.types import Change, Definition, Hunk, Trace

FRAME, DIFF, GIVEN, NAMED, SYMBOL, WORKING, LEXICAL, LAST_COMMIT = 95.0, 92.0, 88.0, 82.0, 76.0, 62.0, 55.0, 26.0
"""Scores by kind of evidence; within a kind they fall by less than the distance to the next."""

MAX_FRAMES = 10
MAX_CHANGED_FILES = 40
MAX_CHANGED_FUNCTIONS = 30
MAX_IDENTIFIERS = 12
MAX_DEFINERS = 25
"""A name with more definitions than this says nothing."""
MAX_PER_GLOB = 20
WINDOW = 15
"""Lines shown on either side of a line that is in no definition."""

_MENTION = re.compile(
    r"(?<![\w/.\\@+~-])((?:[A-Za-z]:)?[\w.@+~\\/-]*[\w-]\.[A-Za-z]\w{0,9}|\w*(?:Makefile|Dockerfile|Gemfile))(?:::([\w.:\[\]-]+)|:(\d{1,7}))?(?![\w/\\])"
)
_NO_WORD = re.compile(r"\S{400,}")
"""Longer than any name with its module: encoded data, which would take seconds to look through for names."""
_NOISE = re.compile(
    r"(^|/)(package-lock\.json|yarn\.lock|pnpm-lock\.yaml|[^/]*\.lock|go\.sum|[^/]*\.(svg|min\.\w+|map|snap|csv))$"
)


async def frames(traces: Sequence[Trace], eyes: ProjectEvidence) -> list[Candidate]:
    """The functions of the frames that lie in this project, those nearest to the failure first."""
    found: list[Candidate] = []
    for depth, trace in enumerate(chain(traces)):
        count = len(trace.frames)
        own = [(n, frame) for n, frame in enumerate(trace.frames, 1) if frame.path]
        for distance, (number, frame) in enumerate(reversed(own)):
            if len(found) >= MAX_FRAMES:
                return found
            place = "innermost frame" if number == count else f"frame {number} of {count}"
            thrown = (
                f", {trace.exception} was raised below it"
                if trace.exception and distance == 0 and number < count
                else ""
            )
            why = f"{place} of the trace{thrown}"
            score = FRAME - 0.6 * distance - 1.2 * depth
            definition = await _definition_of(frame.path, frame.line, frame.function, eyes)
            inside = definition is not None and definition.start <= frame.line <= definition.end
            focus = (frame.line,) if inside or definition is None else ()
            found += await _around(definition, frame.path, frame.line, why, score, focus, eyes)
    return found


def diff(changes: Sequence[Change], score: float, *, new_files: bool = True) -> list[Candidate]:
    """The hunks of changes, a file's hunks together up to about 600 tokens.

    Without `new_files`, those of added files are not given: `changed_functions` shows the files themselves.
    """
    found: list[Candidate] = []
    for position, change in enumerate(changes[:200]):
        if not new_files and change.status in ("added", "untracked"):
            continue
        low = (
            score
            - min(2.0, 0.1 * position)
            - (15 if _NOISE.search(change.path) else 0)
            - (3 if demoted(change.path) else 0)
        )
        moved = f" from {change.old_path}" if change.old_path else ""
        why = f"{change.status}{moved}, {change.where}"
        for hunks in _groups(change):
            text = diffs.render(change.model_copy(update={"hunks": hunks}))
            found.append(Candidate("diff", text, why, low, path=change.path, start=hunks[0].new_start if hunks else 0))
    return found


async def changed_functions(changes: Sequence[Change], score: float, eyes: ProjectEvidence) -> list[Candidate]:
    """The functions around changed lines, as they are now; of new files the whole file."""
    found: dict[tuple[str, int], Candidate] = {}
    for change in changes[:MAX_CHANGED_FILES]:
        if change.status == "deleted" or _NOISE.search(change.path) or len(found) > MAX_CHANGED_FUNCTIONS:
            continue
        if change.status in ("added", "untracked"):
            low = score - (3 if demoted(change.path) else 0) - min(4.0, 0.3 * len(found))
            why = "new file, untracked" if change.status == "untracked" else f"new file, {change.where}"
            for candidate in await _file(change.path, 0, why, low, (), eyes):
                found[change.path, 0] = candidate
            continue
        definitions = await eyes.definitions(change.path)
        for line in _changed_lines(change):
            definition = symbols.enclosing(definitions, line)
            if definition is None or definition.kind == "class":
                continue
            key = (change.path, definition.start)
            old = found.get(key)
            focus = tuple(sorted({*(old.focus if old else ()), line}))
            low = score - (3 if demoted(change.path) else 0) - min(4.0, 0.3 * len(found))
            new = replace(old, focus=focus) if old else None
            found[key] = new or await of_definition(definition, "changed here", low, eyes, focus)
    return list(found.values())


async def named(
    patterns: Sequence[str], files: Sequence[str], wanted: Sequence[str], eyes: ProjectEvidence
) -> tuple[list[Candidate], list[str]]:
    """The files that the asker named (paths or globs), and notes on those that cannot be shown."""
    found: list[Candidate] = []
    notes: list[str] = []
    for pattern in dict.fromkeys(patterns):
        path, line = _place(pattern)
        matches = match_files(path, files)
        if not matches and eyes.exists(path):
            matches = [PurePosixPath(path).as_posix()]
        if not matches:
            notes.append(_why_not(pattern, path, files))
        elif len(matches) > MAX_PER_GLOB:
            notes.append(f"{pattern}: {len(matches)} files match; the first {MAX_PER_GLOB} were taken.")
        for number, match in enumerate(matches[:MAX_PER_GLOB]):
            why = "named in the request" if match == path else f"matches {pattern}"
            shown = await _file(match, line, why, GIVEN - 0.1 * number, wanted, eyes)
            found += shown
            if not shown:
                notes.append(f"{match}: empty, binary or larger than 1 MB; not shown.")
    return found, notes


async def mentioned(
    text: str, files: Sequence[str], wanted: Sequence[str], known: Iterable[str], eyes: ProjectEvidence
) -> list[Candidate]:
    """Files whose path occurs in the question, except those in `known` (paths that a trace printed)."""
    found: list[Candidate] = []
    skip = {name.replace("\\", "/") for name in known}
    by_name: dict[str, list[str]] = {}
    for path in files:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
    for number, (token, test, line) in enumerate(dict.fromkeys(_MENTION.findall(text[:65_536]))):
        path = token.replace("\\", "/").removeprefix("./")
        same = by_name.get(path.rpartition("/")[2], [])
        matches = [f for f in same if f == path] or [f for f in same if f"/{f}".endswith(f"/{path.lstrip('/')}")]
        if path in skip or not 1 <= len(matches) <= 3 or len(found) > 30:
            continue
        for match in matches:
            score = NAMED - min(4.0, 0.2 * number)
            name = re.sub(r"\[.*", "", test.rpartition("::")[2])
            inside = await eyes.locate(name, match) if name else ()
            if inside:
                found += [await of_definition(d, "named in the question", score, eyes) for d in inside[:2]]
            else:
                found += await _file(match, int(line or 0), "named in the question", score, wanted, eyes)
    return found


async def identifiers(text: str, eyes: ProjectEvidence) -> tuple[list[Candidate], tuple[str, ...]]:
    """Definitions of the identifiers in the question, and all identifiers that were understood as such."""
    names = symbols.identifiers(_NO_WORD.sub(" ", text))
    found: list[Candidate] = []
    for position, name in enumerate(names[:MAX_IDENTIFIERS]):
        definitions = await eyes.locate(name)
        if not 1 <= len(definitions) <= MAX_DEFINERS:
            continue
        best = sorted(definitions, key=lambda d: (demoted(d.path), d.path.count("/")))
        for place, definition in enumerate(best[: 3 if len(best) <= 6 else 1]):
            score = SYMBOL - 0.5 * position - 2 * place - (4 if demoted(definition.path) else 0)
            found.append(await of_definition(definition, f"defines {name}", score, eyes))
    return found, names


async def lexical(text: str, eyes: ProjectEvidence, *, want_tests: bool) -> tuple[list[Candidate], bool]:
    """Definitions that share rare words with the question, and whether all files were looked at."""
    hits, complete = await eyes.rank(text, want_tests=want_tests, limit=16)
    found = []
    for hit in (hit for hit in hits if hit.words):
        why = "matches the question's words " + ", ".join(hit.words)
        found.append(await of_definition(hit.definition, why, LEXICAL - 10 * (1 - min(1.0, hit.score)), eyes))
    return found, complete


async def of_definition(
    definition: Definition, why: str, score: float, eyes: ProjectEvidence, focus: Sequence[int] = ()
) -> Candidate:
    """A definition as a candidate; of a long class the heads of its methods are what matters."""
    lines = await eyes.read(definition.path, definition.start, definition.end)
    important = tuple(focus)
    if not important and definition.kind == "class" and len(lines) > 60:
        inner = await eyes.definitions(definition.path)
        important = tuple(d.start for d in inner if definition.start < d.start <= definition.end)
    return Candidate(
        "symbol", "\n".join(lines), why, score, path=definition.path, start=definition.start,
        symbol=definition.qualified, focus=important,
    )  # fmt: skip


def match_files(pattern: str, files: Sequence[str]) -> list[str]:
    """The files that a path, a directory or a glob (`*`, `?`, `**`) means."""
    pattern = pattern.replace("\\", "/").removeprefix("./").strip()
    if pattern in files:
        return [pattern]
    if not re.search(r"[*?\[]", pattern):
        folder = pattern.rstrip("/") + "/"
        return [path for path in files if path.startswith(folder)]
    parts = _glob(pattern if "/" in pattern else f"**/{pattern}")
    return [path for path in files if _fits(path.split("/"), parts)]


def _glob(pattern: str) -> list[re.Pattern[str] | None]:
    """A glob's parts between slashes, None for `**`; `*` stays in one directory, `[` means itself.

    `fnmatch` makes atomic groups of stars, so that no pattern takes more than about quadratic time.
    """
    return [
        re.compile(translate(part.replace("[", "[[]"))) if part.strip("*") or part == "*" else None
        for part in pattern[:500].split("/")
    ]


def _fits(path: Sequence[str], parts: Sequence[re.Pattern[str] | None]) -> bool:
    """True when the parts of a path fit those of a glob, in time proportional to the product of their numbers."""
    ends = {0}  # how many parts of the path may have been used up
    for part in parts:
        if part is None:
            ends = set(range(min(ends), len(path) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(path) and part.match(path[end])}
        if not ends:
            return False
    return len(path) in ends


def chain(traces: Sequence[Trace]) -> list[Trace]:
    """All traces with their causes, root causes first."""
    ordered: list[Trace] = []
    for trace in traces:
        links = [trace]
        while (cause := links[-1].cause) is not None and len(links) < 20:
            links.append(cause)
        ordered += reversed(links)
    return ordered


async def _definition_of(path: str, line: int, function: str, eyes: ProjectEvidence) -> Definition | None:
    """The function that a frame means. Its line may belong to another version, so the name decides when they differ."""
    around = await eyes.enclosing(path, line) if line else None
    name = re.split(r"[.:$/]", re.sub(r"\(.*|<[^>]*>|\[as .*", "", function).strip())[-1]
    if around is not None and (not name or name == around.name or around.kind == "class"):
        return around
    same = [d for d in await eyes.definitions(path) if d.name == name] if name else []
    return min(same, key=lambda d: abs(d.start - line)) if same else around


async def _around(
    definition: Definition | None,
    path: str,
    line: int,
    why: str,
    score: float,
    focus: Sequence[int],
    eyes: ProjectEvidence,
) -> list[Candidate]:
    """A definition, or where there is none the lines around a line."""
    if definition is not None:
        return [await of_definition(definition, why, score, eyes, focus)]
    start = max(1, line - WINDOW)
    lines = await eyes.read(path, start, max(line, 1) + WINDOW)
    if not lines:
        return []
    return [Candidate("file", "\n".join(lines), why, score, path=path, start=start, focus=tuple(focus))]


async def _file(
    path: str, line: int, why: str, score: float, wanted: Sequence[str], eyes: ProjectEvidence
) -> list[Candidate]:
    """A whole file, or with a line what is around it. Where it must be cut, wanted names and heads come first."""
    if line:
        why = f"{why}, line {line}"
        return await _around(await eyes.enclosing(path, line), path, line, why, score, (line,), eyes)
    lines = await eyes.read(path)
    if not lines:
        return []
    definitions = await eyes.definitions(path)
    names = {name.rpartition(".")[2] for name in wanted}
    focus = [d.start for d in definitions if d.name in names] or [d.start for d in definitions]
    return [Candidate("file", "\n".join(lines), why, score, path=path, start=1, focus=tuple(focus))]


def _groups(change: Change) -> list[tuple[Hunk, ...]]:
    groups: list[list[Hunk]] = []
    size = 0
    for hunk in change.hunks:
        tokens = estimate_tokens(hunk.text)
        if not groups or size + tokens > 600:
            groups.append([])
            size = 0
        groups[-1].append(hunk)
        size += tokens
    return [tuple(group) for group in groups]


def _changed_lines(change: Change) -> list[int]:
    """The new line numbers that were added, or that stand where lines were removed."""
    numbers: list[int] = []
    for hunk in change.hunks:
        line = hunk.new_start
        for row in hunk.text.split("\n"):
            if row[:1] in ("+", "-"):
                numbers.append(max(1, line))
            line += row[:1] != "-"
    return sorted(set(numbers))[:400]


def _place(pattern: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.+?):(\d{1,7})(?::\d+)?", pattern.strip())
    return (found[1], int(found[2])) if found else (pattern.strip(), 0)


def _why_not(pattern: str, path: str, files: Sequence[str]) -> str:
    if re.match(r"[/\\~]|[A-Za-z]:", path) or ".." in re.split(r"[/\\]", path):
        return f"{PurePosixPath(path.replace(chr(92), '/')).name}: lies outside the project; not read."
    if denied(path):
        return f"{pattern}: may hold credentials; never read."
    if re.search(r"[*?]", path):
        return f"{pattern}: no file of the project matches."
    name = path.rpartition("/")[2].lower()
    near = [f for f in files if f.rpartition("/")[2].lower() == name][:3]
    near = near or get_close_matches(path, files[:20_000], n=3, cutoff=0.6)
    near = (
        near
        or [f for f in files if not is_test(f) and name.rpartition(".")[0] and name.rpartition(".")[0] in f.lower()][:3]
    )
    return f"{pattern}: not found in the project" + (f"; nearest: {', '.join(near)}." if near else ".")
