"""Stack traces and error output of many runtimes → `Trace`s with frames from the outermost call to the innermost.

`tracetext` cleans the text, then each reader takes the lines that are its own: `pythontraces` for Python and pytest,
`dotnettraces` for .NET, and here one for every other dialect, steered by the table in `dialects`. The time is linear in the
length of the text, and how much of a text is read is bounded.
"""

from __future__ import annotations

from itertools import islice

from orchestra_mcp.context.code.languages import language_of
from orchestra_mcp.context.output.dialects import DIALECTS, DOTNET
from orchestra_mcp.context.output.dialecttraces import Dialect
from orchestra_mcp.context.output.dotnettraces import read_dotnet
from orchestra_mcp.context.output.framepaths import resolve
from orchestra_mcp.context.output.notebooktraces import read_notebook
from orchestra_mcp.context.output.pythontraces import read_pytest, read_python, read_warnings
from orchestra_mcp.context.output.tracetext import Block, Text, clean
from orchestra_mcp.types import Trace

__all__ = ["MAX_TRACES", "parse", "resolve"]

MAX_TRACES = 30
"""Further traces of a text are dropped."""

_HEAD_REACH = 40
"""How many lines may lie between what was thrown and the first frame: test runners print a difference there."""
_GAP = 3
"""How many unknown lines may stand among the frames."""
_CODE_LINES = 200
_UNNAMED = 8
"""How many stacks of one dialect are kept that no exception was printed for: thread dumps have hundreds."""
_PER_LINE = 50
"""How many frames of one line are read."""
_OTHER_SUFFIXES = {"ex": "elixir", "exs": "elixir", "erl": "erlang", "scala": "scala", "dart": "dart"}


def parse(text: str) -> tuple[Trace, ...]:
    """All traces of a text, in its order; empty when there is none. Never raises on any text.

    A chained exception is one trace whose `cause` is what it followed from. The parts of a Python exception group
    and the separate stacks of one report (goroutines, sanitizers) are traces of their own.
    """
    cleaned = clean(text)
    whole = cleaned.whole
    blocks = read_pytest(cleaned) + read_notebook(cleaned) + read_python(cleaned)
    for dialect in DIALECTS:
        if dialect is DOTNET:
            blocks += read_dotnet(cleaned, whole)
        elif dialect.detect.search(whole):
            blocks += _Reading(dialect, cleaned).read()
    blocks.sort(key=lambda block: block.start)
    blocks = blocks[: 10 * MAX_TRACES] + read_warnings(cleaned)
    found = dict.fromkeys(block.trace() for block in blocks)  # a crash loop prints the same again
    return tuple(found)[:MAX_TRACES]


class _Reading:
    """One pass of one dialect of the table over a text."""

    def __init__(self, dialect: Dialect, text: Text) -> None:
        self.dialect = dialect
        self.text = text
        self.blocks: list[Block] = []
        self.block: Block | None = None
        self.head_at = 0
        self.places: list[tuple[str, str, str]] = []
        """Path, line and function that the head itself names, the innermost first."""
        self.talking = False
        """The message of the head may go on in the next line."""
        self.gap = 0
        self.above = ""
        """A function line whose place has not come yet."""
        self.effect: Block | None = None
        """The trace whose cause comes next."""
        self.root: Block | None = None
        """The trace that is the cause of the next one."""
        self.main: tuple[Block, int] | None = None
        """What an indented stack (`Suppressed:`) interrupts, and the column of the interruption."""
        self.code: dict[str, str] = {}
        self.heads: list[int] = []
        """The lines of the heads of the open block."""

    def read(self) -> list[Block]:
        for at, raw in enumerate(self.text.lines):
            line = raw.strip()
            if at not in self.text.taken and line:
                self.line(at, line, len(raw) - len(raw.lstrip()))
            elif not line and not self.dialect.airy_head:
                self.talking = False
        self.close()
        return self._worth_keeping()

    def line(self, at: int, line: str, column: int) -> None:
        dialect = self.dialect
        if self.frame(at, line):
            return
        if dialect.between is not None and dialect.between.match(line):
            self.talking = False
            self.note_code(line)
        elif dialect.cause is not None and (cause := dialect.cause.match(line)) is not None:
            self.close(before_cause=True)
            if self.main is not None and column < self.main[1]:
                self.effect, self.main = _innermost(self.main[0]), None
            self.head(at, line[cause.end() :])
        elif dialect.effect is not None and (effect := dialect.effect.match(line)) is not None:
            self.close()
            self.root = self.blocks.pop() if self.blocks else None
            self.head(at, line[effect.end() :])
        elif dialect.starts is not None and (start := dialect.starts.match(line)) is not None:
            if column and dialect.cause is not None and self.block is not None and self.block.frames:
                self.main = (self.block, column)
            self.next_stack(at, line[start.end() :])
        elif not self.head(at, line):
            self.other(at, line)

    # ------------------------------------------------------------------------------------------------ frames

    def frame(self, at: int, line: str) -> bool:
        dialect = self.dialect
        for pattern in dialect.frames:
            match = pattern.match(line)
            if match is None:
                continue
            groups = match.groupdict()
            if dialect.function_line is not None and not self.above and not groups.get("function"):
                continue
            if self._another_exception(groups):
                self.close(before_cause=True)
            function = self.above or groups.get("function") or ""
            self.above = ""
            block = self.ready(at)
            block.add(groups.get("path") or "", groups.get("line"), self.tidy(function), column=groups.get("column"))
            block.outermost_first = dialect.outermost_first or bool(groups.get("number")) or block.outermost_first
            self._said_in_frame(block, groups)
            self.text.taken.add(at)
            return True
        return self._many(at, line) or self.function_above(at, line)

    def _many(self, at: int, line: str) -> bool:
        if self.dialect.many is None:
            return False
        found = list(islice(self.dialect.many.finditer(line), _PER_LINE))
        if found and self.head(at, line):
            self.talking = False
        for match in found:
            path, number = match["path"] or match["path2"], match["line"] or match["line2"]
            self.ready(at).add(path, number, self.tidy(match["function"]))
        return bool(found)

    def _another_exception(self, groups: dict[str, str | None]) -> bool:
        """Ruby prints the cause after the frames: again a place with a message, and the frames that led there."""
        block = self.block
        return bool(groups.get("exception") and block is not None and block.frames and not block.outermost_first)

    def _said_in_frame(self, block: Block, groups: dict[str, str | None]) -> None:
        """Ruby prints the message on the line of the first frame, Go tests on each line."""
        if self.dialect.failed is not None and block.message:
            test = block.message[0].partition("/")[0]
            block.frames[-1] = block.frames[-1].model_copy(update={"function": test})
            block.say(groups.get("message") or "")
        elif (len(block.frames) == 1 or block.outermost_first) and groups.get("message"):
            block.say(groups["message"] or "")
            block.exception = groups.get("exception") or block.exception

    def function_above(self, at: int, line: str) -> bool:
        pattern = self.dialect.function_line
        match = pattern.match(line) if pattern is not None else None
        if match is None:
            if self.above and self.dialect.bare_functions:
                self._bare(at)
            self.above = ""
            return False
        if self.above and self.dialect.bare_functions:
            self._bare(at)
        self.above = match["function"]
        return self.dialect.bare_functions

    def _bare(self, at: int) -> None:
        self.ready(at).add("", None, self.tidy(self.above))
        self.above = ""

    def ready(self, at: int) -> Block:
        """The open block, ready to take a frame."""
        if self.block is not None and not self.block.frames and at - self.head_at > _HEAD_REACH:
            self.close()
        if self.block is None:
            self.block = Block(self.dialect.language, at)
        self.talking, self.gap = False, 0
        return self.block

    def tidy(self, function: str) -> str:
        for pattern, replacement in self.dialect.tidy:
            function = pattern.sub(replacement, function)
        return function.strip()

    # ------------------------------------------------------------------------------------------------- heads

    def head(self, at: int, line: str) -> bool:
        for pattern in self.dialect.heads:
            match = pattern.match(line)
            if match is None:
                continue
            groups = match.groupdict()
            if self.block is not None and self.block.frames:
                self.close()
            self._merge(at, groups)
            return True
        return False

    def _merge(self, at: int, groups: dict[str, str | None]) -> None:
        """Take over what a head says; two heads of which one only names the place complete each other."""
        speaks = bool(groups.get("exception") or groups.get("message"))
        block = self.block
        if block is not None and block.exception and not speaks and not groups.get("path") and not groups.get("more"):
            self.close()  # the next test of a report
            block = None
        near = block is not None and at - self.head_at <= 12
        if speaks and block is not None and (block.exception or block.message or not near):
            self.close()
            block = None
        if block is None or not near:
            self.close()
            block = self.block = Block(self.dialect.language, at)
        if speaks:
            block.exception = (groups.get("exception") or "").strip()
            block.message = [m.strip() for m in (groups.get("message"), groups.get("more")) if m]
            self.talking = self.dialect.quoted_head
        elif groups.get("more"):
            block.say(groups["more"] or "")
        self._take_places(groups)
        self.head_at = at
        self.heads.append(at)

    def _take_places(self, groups: dict[str, str | None]) -> None:
        function = groups.get("function") or ".".join(g for g in (groups.get("suite"), groups.get("test")) if g)
        found = [
            (groups.get("path") or "", groups.get("line") or "", function),
            (groups.get("caller") or "", groups.get("caller_line") or "", ""),
        ]
        found = [place for place in found if place[0] or place[2]]
        if found:
            self.places = found

    def next_stack(self, at: int, rest: str) -> None:
        """Another stack of the same report begins here."""
        block, prelude = self.block, self.dialect.prelude
        self.talking = False
        if block is not None and prelude is not None and all(prelude.match(f.function) for f in block.frames):
            if block.frames:  # what the runtime did to print the report
                self.blocks.append(Block(self.dialect.language, block.start, frames=block.frames[:]))
                block.frames.clear()
            return
        if block is not None and block.frames:
            self.close()
        self.head(at, rest)

    def other(self, at: int, line: str) -> None:
        if self.block is None:
            return
        self.note_code(line)
        if self.block.frames:
            self.gap += 1
            if self.gap > _GAP or self.text.new_record(at, self.block.start):
                self.close()
        elif self.talking and not self.text.new_record(at, self.head_at):
            self.block.say(line)
        elif self.dialect.code is not None and self.places and not self.code and at == self.head_at + 1:
            self.code[self.places[0][1]] = line  # node prints the line under its place

    def note_code(self, line: str) -> None:
        shown = self.dialect.code.match(line) if self.dialect.code is not None else None
        if shown is not None and shown["line"] not in self.code and len(self.code) < _CODE_LINES:
            self.code.setdefault(shown["line"], shown["code"].strip())
            if self.block is not None and self.block.frames:
                self._show_code(self.block)

    # ------------------------------------------------------------------------------------------------ closing

    def close(self, *, before_cause: bool = False) -> None:
        if self.above and self.dialect.bare_functions and self.block is not None:
            self._bare(self.head_at)
        block, self.block = self.block, None
        places, self.places = self.places, []
        heads, self.heads = self.heads, []
        self.talking, self.gap, self.above = False, 0, ""
        if block is None:
            return
        if block.frames or block.exception or block.message or any(path for path, _, _ in places):
            self._add_places(block, places)
        if self.dialect.callee_named:
            _shift_functions(block)
        self._show_code(block)
        if not before_cause:
            self.code = {}
        effect, self.effect = self.effect, None
        root, self.root = self.root, None
        if block.frames or (effect is not None and block.exception):
            self.text.taken.update(heads)
            block.language = _language(block, self.dialect.language)
            block.cause = root
            if effect is not None:
                effect.cause = block
            else:
                self.blocks.append(block)
            if before_cause:
                self.effect = block
        elif root is not None:
            self.blocks.append(root)

    def _add_places(self, block: Block, places: list[tuple[str, str, str]]) -> None:
        """The places that the head names are the innermost frames, unless the frames have them already."""
        had_frames = bool(block.frames)
        for path, number, function in reversed(places):
            if (not path and had_frames) or _has_place(block, path, number):
                continue
            block.add(path, number, function)
            if self.dialect.place_outermost == block.outermost_first:
                block.frames.insert(0, block.frames.pop())

    def _show_code(self, block: Block) -> None:
        if not self.code:
            return
        for index, frame in enumerate(block.frames):
            code = self.code.get(str(frame.line))
            if code and not frame.code:
                block.frames[index] = frame.model_copy(update={"code": code})
                break

    def _worth_keeping(self) -> list[Block]:
        """All named traces, and the first stacks without a name."""
        if self.dialect.failed is not None:
            failed = set(self.dialect.failed.findall(self.text.whole))
            kept = [block for block in self.blocks if block.message and block.message[0] in failed]
            for block in kept:
                block.exception = "FAIL"
            return kept
        told = {frame.function for block in self.blocks if block.exception for frame in block.frames}
        named = [block for block in self.blocks if (block.exception or block.message) and not _in_short(block, told)]
        return named + [block for block in self.blocks if not (block.exception or block.message)][:_UNNAMED]


def _has_place(block: Block, path: str, number: str) -> bool:
    name = path.replace("\\", "/").rpartition("/")[2]
    return any(str(f.line) == number and f.raw_path.replace("\\", "/").rpartition("/")[2] == name for f in block.frames)


def _in_short(block: Block, told: set[str]) -> bool:
    """A summary's line about a test whose trace is there as well."""
    return (
        not block.exception
        and len(block.frames) == 1
        and not block.frames[0].raw_path
        and any(function.endswith("." + block.frames[0].function) for function in told)
    )


def _innermost(block: Block) -> Block:
    while block.cause is not None:
        block = block.cause
    return block


def _shift_functions(block: Block) -> None:
    """PHP names with each place what is called there; the function *around* it stands one frame further out."""
    around = [frame.function for frame in block.frames[1:]] + [""]
    if block.outermost_first:
        around = ["", *(frame.function for frame in block.frames[:-1])]
    block.frames = [
        frame.model_copy(update={"function": function})
        for frame, function in zip(block.frames, around, strict=False)
        if frame.raw_path
    ]


def _language(block: Block, default: str) -> str:
    """The language of the innermost frame whose suffix tells it, among those that share the dialect."""
    for frame in block.frames:
        name = language_of(frame.raw_path.partition("?")[0])
        if name is not None:
            return "typescript" if name == "tsx" else name
        suffix = frame.raw_path.rpartition(".")[2]
        if suffix in _OTHER_SUFFIXES:
            return _OTHER_SUFFIXES[suffix]
    return default
