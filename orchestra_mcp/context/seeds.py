"""Which excerpts a dossier could hold: each function turns one kind of evidence into candidates.

Scores say how directly the evidence bears on a question; they only order candidates. Add a kind of evidence here:
one function, and one line in `collector.collect`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import translate
from pathlib import PurePosixPath
from types import MappingProxyType

from orchestra_mcp.context.code import symbols
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index.retrieval import Place
from orchestra_mcp.context.output.hotspots import Hotspot
from orchestra_mcp.context.packing import Candidate, Source, estimate_tokens
from orchestra_mcp.context.project import denied
from orchestra_mcp.context.reading.mentions import Mention
from orchestra_mcp.context.repository import diffs
from orchestra_mcp.context.searching import chain
from orchestra_mcp.paths import aside, is_test
from orchestra_mcp.types import Change, Definition, Hunk, Trace

FRAME, DIFF, GIVEN, NAMED, SYMBOL, RANKED, WORKING, LAST_COMMIT = 95.0, 92.0, 88.0, 82.0, 76.0, 55.0, 64.0, 26.0
"""Scores by kind of evidence. Ranked places have `RANKED` and up to 20 more, so that the best of them stand among what
is known for other reasons."""

CALLED, CALLER = 84.0, -1.0
"""What a failing line calls; and what calls something changed, relative to the score of the change."""
LONG_FILE = 3000
"""A file with more tokens is shown by its definitions, whole ones as far as there is room."""
MAX_HEAD = 25
"""Lines that are shown of a file before its first definition, and of a class."""
MAX_FRAMES = 10
MAX_CHANGED_FILES = 40
MAX_CHANGED_FUNCTIONS = 30
MAX_SYMBOLS = 3
"""Names that only one definition bears, of which this is shown whatever else speaks for it."""
MAX_PLACES = 150
"""Ranked places of which the lines are read; far more than any budget holds."""
MAX_PER_GLOB = 20
WINDOW = 15
"""Lines shown on either side of a line that is in no definition."""

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
            - (3 if aside(change.path) else 0)
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
            low = score - (3 if aside(change.path) else 0) - min(4.0, 0.3 * len(found))
            why = "new file, untracked" if change.status == "untracked" else f"new file, {change.where}"
            for candidate in await _file(change.path, 0, why, low, (), eyes):
                found[change.path, 0] = candidate
            continue
        definitions = await eyes.definitions(change.path)
        for line in changed_lines(change):
            definition = symbols.enclosing(definitions, line)
            if definition is None or definition.kind == "class":
                continue
            key = (change.path, definition.start)
            old = found.get(key)
            focus = tuple(sorted({*(old.focus if old else ()), line}))
            low = score - (3 if aside(change.path) else 0) - min(4.0, 0.3 * len(found))
            new = replace(old, focus=focus) if old else None
            found[key] = new or await of_definition(definition, "changed here", low, eyes, focus)
    return list(found.values())


async def named(
    patterns: Sequence[str],
    files: Sequence[str],
    wanted: Sequence[str],
    eyes: ProjectEvidence,
    relevance: Mapping[tuple[str, int], float],
) -> tuple[list[Candidate], list[str]]:
    """The files that the asker named (paths or globs), and notes on those that cannot be shown.

    `relevance` says by path and first line how much a definition bears on the question, for files that are too long.
    """
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
            shown = await _file(match, line, why, GIVEN - 0.1 * number, wanted, eyes, relevance)
            found += shown
            if not shown:
                notes.append(f"{match}: empty, binary or larger than 1 MB; not shown.")
    return found, notes


async def mentioned(found: Sequence[Mention], wanted: Sequence[str], eyes: ProjectEvidence) -> list[Candidate]:
    """Lines and tests that the question names, and files of which it names nothing more exact."""
    candidates: list[Candidate] = []
    exact = {mention.path for mention in found if mention.line or mention.test}
    for number, mention in enumerate(found[:30]):
        score = NAMED - min(4.0, 0.2 * number) - (0 if mention.sure == 1 else 3)
        inside = await eyes.locate(mention.test, mention.path) if mention.test else ()
        if inside:
            candidates += [await of_definition(d, "named in the question", score, eyes) for d in inside[:2]]
        elif mention.line or mention.path not in exact:
            candidates += await _file(mention.path, mention.line, "named in the question", score, wanted, eyes)
    return candidates


async def symbols_named(names: Sequence[str], eyes: ProjectEvidence) -> list[Candidate]:
    """The definitions of the first names that only one file of the project's own code defines."""
    found: list[Candidate] = []
    defining = await eyes.defining([_last(name) for name in names[:12]])
    for name in names[:12]:
        paths = [path for path in defining.get(_last(name), ()) if not aside(path)]
        if len(paths) != 1 or len(found) == MAX_SYMBOLS:
            continue
        definitions = await eyes.locate(name, paths[0])
        if len(definitions) == 1:
            found.append(await of_definition(definitions[0], f"defines {name}", SYMBOL - len(found), eyes))
    return found


def _last(name: str) -> str:
    return re.split(r"\.|::|#|/", name.removesuffix("()"))[-1]


async def ranked(places: Sequence[Place], eyes: ProjectEvidence) -> list[Candidate]:
    """The places that retrieval found, best first."""
    found: list[Candidate] = []
    for place in places[:MAX_PLACES]:
        lines = await eyes.read(place.path, place.start, place.end)
        if lines:
            source: Source = "symbol" if place.name else "file"
            score = RANKED + 20 * min(1.0, place.score)
            found.append(Candidate(source, "\n".join(lines), place.why, score, place.path, place.start, place.name))
    return found


async def hotspots(spots: Sequence[Hotspot], kind: str, eyes: ProjectEvidence) -> list[Candidate]:
    """The functions in which a profile says that the time goes."""
    found: list[Candidate] = []
    for number, spot in enumerate(spots[:MAX_FRAMES]):
        why = f"{spot.share:.0%} of the time ({kind})" if spot.share else f"in the {kind} profile"
        definition = await _definition_of(spot.path, spot.line, spot.function, eyes)
        found += await _around(definition, spot.path, spot.line, why, FRAME - 1 - 0.6 * number, (), eyes)
    return found


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


async def _definition_of(path: str, line: int, function: str, eyes: ProjectEvidence) -> Definition | None:
    """The function that a frame means. Its line may belong to another version, so the name decides when they differ."""
    around = await eyes.enclosing(path, line) if line else None
    function = re.sub(r"\(\*?(\w+)\)(?=\.)", r"\1", re.sub(r"/\d+$", "", function))  # Go receivers, Elixir arities
    name = re.split(r"[.:$/#!]|->", re.sub(r"\(.*|<[^>]*>|\[.*", "", function).strip())[-1]
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
    path: str,
    line: int,
    why: str,
    score: float,
    wanted: Sequence[str],
    eyes: ProjectEvidence,
    relevance: Mapping[tuple[str, int], float] = MappingProxyType({}),
) -> list[Candidate]:
    """A whole file, or with a line what is around it; of a long file its head and its definitions, wanted names first."""
    if line:
        why = f"{why}, line {line}"
        return await _around(await eyes.enclosing(path, line), path, line, why, score, (line,), eyes)
    lines = await eyes.read(path)
    if not lines:
        return []
    text = "\n".join(lines)
    definitions = await eyes.definitions(path)
    if len(definitions) < 2 or estimate_tokens(text) <= LONG_FILE:
        return [Candidate("file", text, why, score, path=path, start=1)]
    names = {name.rpartition(".")[2] for name in wanted}
    starts = [d.start for d in definitions]
    order = sorted(definitions, key=lambda d: (d.name not in names, -relevance.get((path, d.start), 0.0), d.start))
    head = min(starts[0] - 1, MAX_HEAD)
    found = [Candidate("file", "\n".join(lines[:head]), why, score, path=path, start=1)] if head else []
    for number, definition in enumerate(order[:MAX_PLACES]):
        end = definition.end
        if definition.kind == "class":  # what is defined in it stands for itself
            end = min([end, definition.start + MAX_HEAD, *(s - 1 for s in starts if s > definition.start)])
        part = "\n".join(lines[definition.start - 1 : end])
        low = score - 0.5 * number
        found.append(Candidate("symbol", part, why, low, path, definition.start, definition.qualified))
    return found


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


def changed_lines(change: Change) -> list[int]:
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
