"""From what a trace or a question says to lines of this version of the code.

Line numbers in a pasted trace belong to the version that its author ran. A frame therefore counts as found only when
the code that the trace printed, or its function's name, is at that place; otherwise both are searched in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from orchestra_mcp.paths import aside, is_test
from orchestra_mcp.types import Definition, Dossier, Evidence, Frame, Question, Trace

CONSTRUCTORS = frozenset({"constructor", "__init__", "initialize", "__construct", "init", "new"})
COMMENTS = ("//", "/*")  # how a line begins that no frame can be at
MAX_DEFINERS = 6  # a name with more definitions than that says nothing about where to look
COMMON_NAMES = frozenset(
    "get set run main init name type value data self this test error string list dict object class function method "
    "true false none null undefined int str bool float print open read write file path exception import return "
    "async await default index items keys values update close start stop add append insert remove copy config "
    "import export module package version python java node rust bug issue line code call args kwargs result".split()
)

# Language → functions that raise or recover a panic, or check what fails; add here. Only frames of foreign files count.
MACHINERY: dict[str, re.Pattern[str]] = {
    "go": re.compile(r"^(?:panic$|runtime\.|testing\.tRunner)"),
    "rust": re.compile(
        r"rust_begin_unwind$|rust_panic|^(?:core|std)::panicking::|^std::sys(?:_common)?::backtrace::|^std::rt::"
        r"|^core::(?:option|result)::(?:unwrap_failed|expect_failed|expect_none_failed)"
        r"|^core::(?:option::Option|result::Result)<.*>::(?:unwrap|expect)\w*$"
        r"|^core::(?:slice::index|str::slice_error_fail)| as core::ops::index::Index(?:Mut)?<.*>::index(?:_mut)?$"
        r"|SliceIndex<.*>::index(?:_mut)?$"
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of this version that a trace or message leads to."""

    path: str
    line: int
    definition: Definition | None
    how: str
    """How the line was recognised, for the reader."""
    exact: bool
    """True when the line itself was recognised, False when only its function was."""
    inner: int = field(default=0, compare=False)
    """How many frames of this project lie inside of this one in its trace."""

    @property
    def symbol(self) -> str:
        """Qualified name of the function around the line, or empty."""
        return self.definition.qualified if self.definition else ""


# What compilers and printers add to a function's own name; add here.
_ADDED = re.compile(
    r"\(0x.*|\(\.\.\.\).*|\{\{.*|::h[0-9a-f]{16}$|::<.*>$|\.(?:func|gowrap|deferwrap)\d.*|-fm$|\s*\[as .*|\$default$"
)
_NAMELESS = re.compile(r"<(?:clinit|anonymous|lambda|static initializer)>$|\bglob\.$")
_LAMBDA = re.compile(r"(?:lambda|\$anonfun)\$(?P<inside>\w+?)\$\d+")


def plain_name(function: str) -> str:
    """The bare name in a frame's function, empty when it has none.

    `Ledger.reserve`, `pkg.(*T).run.func1`, `a::b::{{closure}}` → last name; `shop.Cart.<init>` → `Cart`;
    `shop.Cart$1.run` → `run`; `Cart.lambda$total$0` → `total`; `<Money as Display>::fmt` → `fmt`.
    """
    function = _ADDED.sub("", function.strip())
    function = re.sub(r"^<.*>::(?=\w)", "", function)
    if function.startswith("<") or _NAMELESS.search(function):
        return ""
    made = function.endswith(".<init>")
    names = re.findall(r"[\w$]+", re.sub(r"\.init\.\d+$", ".init", function.removesuffix(".<init>")))
    name = names[-1] if names else ""
    if made:
        name = name.rsplit("$", 1)[-1]
    elif found := _LAMBDA.fullmatch(name):
        name = "" if found["inside"] in ("new", "static", "null") else found["inside"]
    elif name in ("invoke", "invokeSuspend") and (
        outer := re.search(r"\$(\w+?)\$\d+$", names[-2] if names[1:] else "")
    ):
        name = outer[1]
    return "" if name.isdigit() else name


def squeeze(line: str) -> str:
    """A source line without its white space, to compare lines of two versions."""
    return "".join(line.split())


async def place_of(frame: Frame, evidence: Evidence) -> Place | None:
    """The line of this version that a frame means; None when neither its code nor its function is in the file."""
    lines = await evidence.read(frame.path)
    if not frame.path or not lines:
        return None
    name = plain_name(frame.function)
    definitions = [d for d in await evidence.definitions(frame.path) if name and d.name == name]
    printed = squeeze(frame.code)
    if len(printed) > 3:
        hits = [number for number, line in enumerate(lines, 1) if squeeze(line) == printed]
        inside = [hit for hit in hits if any(d.start <= hit <= d.end for d in definitions)]
        chosen = inside or (hits if len(hits) == 1 or frame.line in hits else [])
        if chosen:
            line = min(chosen, key=lambda hit: abs(hit - frame.line))
            moved = f"the trace says line {frame.line}" if line != frame.line else "line and code agree with the trace"
            return Place(frame.path, line, await evidence.enclosing(frame.path, line), moved, True)
    around = [d for d in definitions if d.start <= frame.line <= d.end and d.kind != "class"]
    shown = lines[frame.line - 1].strip() if 0 < frame.line <= len(lines) else ""
    blank = not shown or shown.startswith(COMMENTS)
    if around and not printed:
        inner = around[-1]
        if blank:
            return Place(frame.path, inner.start, inner, f"the trace's line {frame.line} holds no code here", False)
        return Place(frame.path, frame.line, inner, "the function's name agrees with the trace", True)
    if not printed and not blank:
        within = [d for d in definitions if d.kind == "class" and d.start <= frame.line <= d.end]
        here = await evidence.enclosing(frame.path, frame.line)
        if not name or (within and (here is None or here.kind == "class" or here.name in CONSTRUCTORS)):
            return Place(frame.path, frame.line, here, "the line that the trace gives", True)
    if definitions:
        nearest = min(definitions, key=lambda d: 0 if d.start <= frame.line <= d.end else abs(d.start - frame.line))
        return Place(frame.path, nearest.start, nearest, f"the trace's line {frame.line} reads differently here", False)
    return None


async def places_of(trace: Trace, evidence: Evidence) -> tuple[Place, ...]:
    """The places of a trace's own frames, innermost first."""
    found: list[Place] = []
    own = [frame for frame in reversed(trace.frames) if frame.path]
    for inner, frame in enumerate(own):
        place = await place_of(frame, evidence)
        if place is not None and place not in found[-1:]:  # a comprehension is a frame of its own on the same line
            found.append(replace(place, inner=inner))
        if len(found) == 8:
            break
    return tuple(found)


def failing_frames(trace: Trace) -> tuple[Frame, ...]:
    """The frames up to the one that fails: without the machinery that follows it."""
    frames = trace.frames
    pattern = MACHINERY.get(trace.language.lower())
    while pattern is not None and frames and not frames[-1].path and pattern.search(frames[-1].function):
        frames = frames[:-1]
    return frames


def root_cause(trace: Trace) -> Trace:
    """The trace at the end of the chain of causes."""
    while trace.cause is not None:
        trace = trace.cause
    return trace


def question_text(question: Question, dossier: Dossier) -> str:
    """What the developer wrote and attached, earlier turns excluded."""
    logs = [e.text for e in dossier.excerpts if e.source in ("log", "trace")]
    return "\n".join((question.text, question.error, *logs))


def names_in(text: str) -> tuple[str, ...]:
    """Code-like names in prose, most telling first: dotted, called or quoted ones, then CamelCase and snake_case."""
    told: dict[str, int] = {}
    patterns = (
        (3, r"`([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)(?:\(\)?[^`]*)?`"),
        (3, r"\b([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+)\b(?!/)"),
        (2, r"\b([A-Za-z_$][\w$]*)\("),
        (2, r"\b([a-z]\w*_\w+|_\w+|[A-Z][a-z0-9]+(?:[A-Z]\w*)+|[a-z]+[A-Z]\w+)\b"),
    )
    for weight, pattern in patterns:
        for match in re.finditer(pattern, text):
            told[match.group(1)] = told.get(match.group(1), 0) + weight
    ranked = sorted(told, key=lambda name: (-told[name], text.find(name)))
    return tuple(name for name in ranked if len(name) > 2 and name.lower() not in COMMON_NAMES)[:40]


def _whole(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """One definition for each qualified name of a file: the longest, since overloads are stubs."""
    longest: dict[tuple[str, str], Definition] = {}
    for definition in sorted(definitions, key=lambda d: d.start - d.end):
        longest.setdefault((definition.path, definition.qualified), definition)
    return tuple(longest.values())


_SHAPED = re.compile(r"\w_\w|[a-z][A-Z]")  # snake_case or camelCase: no word of prose


async def _written_so(name: str, evidence: Evidence) -> tuple[Definition, ...]:
    """Definitions whose first line holds a dotted name as it is written: `res.json = function json(obj) {`."""
    found = []
    for definition in await evidence.locate(name.rsplit(".", 1)[-1]):
        first = "".join(await evidence.read(definition.path, definition.start, definition.start))
        if not is_test(definition.path) and re.search(rf"(?<![\w.]){re.escape(name)}\b", first):
            found.append(definition)
    return tuple(found)


async def named(
    question: Question, evidence: Evidence, subjects: Sequence[str] = ()
) -> tuple[tuple[str, Definition, int], ...]:
    """Definitions that the question names: (name as written, definition, number of definitions of that name).

    Args:
        subjects: words that are names by their place in the sentence, however common they look.
    """
    found: list[tuple[str, Definition, int]] = []
    for name in dict.fromkeys((*subjects, *names_in(question.text))):
        tail = ".".join(name.split(".")[-2:])
        definitions = await evidence.locate(tail)
        last = name.rsplit(".", 1)[-1]
        if not definitions and (len(last) > 5 and (_SHAPED.search(last) or name.startswith(("self.", "this.")))):
            name, definitions = last, await evidence.locate(last)
        if "." in name and all(aside(d.path) for d in definitions):
            definitions = await _written_so(name, evidence) or definitions
        definitions = _whole(definitions)
        own = [d for d in definitions if not aside(d.path)] or list(definitions)
        if 0 < len(own) <= MAX_DEFINERS and (name in subjects or own[0].name.lower() not in COMMON_NAMES):
            found.extend((name, definition, len(own)) for definition in own)
    return tuple(found)
