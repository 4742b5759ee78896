"""Stack traces and error output of many runtimes → `Trace`s with frames from the outermost call to the innermost.

`tracetext` cleans the text, then each reader takes the lines that are its own: `pythontraces` for Python and pytest,
`dotnettraces` for .NET, and here one for every other dialect, steered by the table in `dialects`. The time is linear in the
length of the text, and how much of a text is read is bounded.
"""

from __future__ import annotations

from orchestra_mcp.context.dialects import DIALECTS, DOTNET, Dialect
from orchestra_mcp.context.dotnettraces import read_dotnet
from orchestra_mcp.context.framepaths import resolve
from orchestra_mcp.context.languages import language_of
from orchestra_mcp.context.pythontraces import read_pytest, read_python
from orchestra_mcp.context.tracetext import Block, Text, clean
from orchestra_mcp.types import Trace

__all__ = ["MAX_TRACES", "parse", "resolve"]

MAX_TRACES = 30
"""Further traces of a text are dropped."""

_HEAD_REACH = 40
"""How many lines may lie between what was thrown and the first frame: test runners print a difference there."""
_GAP = 3
"""How many unknown lines may stand among the frames."""
_CODE_LINES = 200
_UNNAMED = 3
"""How many stacks of one dialect are kept that no exception was printed for: thread dumps have hundreds."""
_OTHER_SUFFIXES = {"ex": "elixir", "exs": "elixir", "erl": "erlang", "scala": "scala", "dart": "dart"}


def parse(text: str) -> tuple[Trace, ...]:
    """All traces of a text, in its order; empty when there is none. Never raises on any text.

    A chained exception is one trace whose `cause` is what it followed from. The parts of a Python exception group
    and the separate stacks of one report (goroutines, sanitizers) are traces of their own.
    """
    cleaned = clean(text)
    whole = cleaned.whole
    blocks = read_pytest(cleaned) + read_python(cleaned)
    for dialect in DIALECTS:
        if dialect is DOTNET:
            blocks += read_dotnet(cleaned, whole)
        elif dialect.detect.search(whole):
            blocks += _Reading(dialect, cleaned).read()
    blocks.sort(key=lambda block: block.start)
    found = dict.fromkeys(block.trace() for block in blocks[: 10 * MAX_TRACES])  # a crash loop prints the same again
    return tuple(found)[:MAX_TRACES]


class _Reading:
    """One pass of one dialect of the table over a text."""

    def __init__(self, dialect: Dialect, text: Text) -> None:
        self.dialect = dialect
        self.text = text
        self.blocks: list[Block] = []
        self.block: Block | None = None
        self.head_at = 0
        self.place: tuple[str, str] | None = None
        """Path and line that the head itself names."""
        self.talking = False
        """The message of the head may go on in the next line."""
        self.gap = 0
        self.above = ""
        """A function line whose place has not come yet."""
        self.effect: Block | None = None
        """The trace whose cause comes next."""
        self.code: dict[str, str] = {}

    def read(self) -> list[Block]:
        for at, raw in enumerate(self.text.lines):
            line = raw.strip()
            if at not in self.text.taken and line:
                self.line(at, line)
            elif not line and not self.dialect.airy_head:
                self.talking = False
        self.close()
        return self._worth_keeping()

    def line(self, at: int, line: str) -> None:
        dialect = self.dialect
        if self.frame(at, line):
            return
        if dialect.between is not None and dialect.between.match(line):
            self.talking = False
            self.note_code(line)
        elif dialect.cause is not None and (cause := dialect.cause.match(line)) is not None:
            self.close(before_cause=True)
            self.head(at, line[cause.end() :])
        elif dialect.starts is not None and (start := dialect.starts.match(line)) is not None:
            self.next_stack(at, line[start.end() :])
        elif not self.head(at, line):
            self.other(at, line)

    # ------------------------------------------------------------------------------------------------ frames

    def frame(self, at: int, line: str) -> bool:
        dialect = self.dialect
        for pattern in dialect.frames:
            match = pattern.match(line)
            if match is None or (dialect.function_line is not None and not self.above):
                continue
            groups = match.groupdict()
            function = self.above or groups.get("function") or ""
            self.above = ""
            block = self.ready(at)
            block.add(groups.get("path") or "", groups.get("line"), self.tidy(function))
            self._said_in_frame(block, groups)
            self.text.taken.add(at)
            return True
        return self.function_above(at, line)

    def _said_in_frame(self, block: Block, groups: dict[str, str | None]) -> None:
        """Ruby prints the message on the line of the first frame, Go tests on each line."""
        if self.dialect.failed is not None and block.message:
            test = block.message[0].partition("/")[0]
            block.frames[-1] = block.frames[-1].model_copy(update={"function": test})
            block.say(groups.get("message") or "")
        elif len(block.frames) == 1 and groups.get("message"):
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
        path, number = groups.get("path"), groups.get("line")
        speaks = bool(groups.get("exception") or groups.get("message"))
        block = self.block
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
        if path:
            self.place = (path, number or "")
        self.head_at = at

    def next_stack(self, at: int, rest: str) -> None:
        """Another stack of the same report begins here."""
        block, prelude = self.block, self.dialect.prelude
        if block is not None and prelude is not None and all(prelude.match(f.function) for f in block.frames):
            block.frames.clear()  # what the runtime did to print the report
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
        elif self.place is not None and not self.code and at == self.head_at + 1:
            self.code[self.place[1]] = line  # node prints the line under its place

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
        place, self.place = self.place, None
        self.talking, self.gap, self.above = False, 0, ""
        if block is None:
            return
        if place is not None and (block.frames or block.exception or block.message):
            self._add_place(block, *place)
        if self.dialect.callee_named:
            _shift_functions(block)
        self._show_code(block)
        if not before_cause:
            self.code = {}
        effect, self.effect = self.effect, None
        if block.frames or (effect is not None and block.exception):
            block.language = _language(block, self.dialect.language)
            if effect is not None:
                effect.cause = block
            else:
                self.blocks.append(block)
            if before_cause:
                self.effect = block

    def _add_place(self, block: Block, path: str, number: str) -> None:
        """The place that the head names is the innermost frame, unless the frames have it already."""
        name = path.replace("\\", "/").rpartition("/")[2]
        if not any(str(f.line) == number and f.raw_path.endswith(name) for f in block.frames):
            block.add(path, number, None)
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
        """All named traces, and the first stacks without a name; of a dump of goroutines only what the panic names."""
        if self.dialect.failed is not None:
            failed = set(self.dialect.failed.findall(self.text.whole))
            kept = [block for block in self.blocks if block.message and block.message[0] in failed]
            for block in kept:
                block.exception = "FAIL"
            return kept
        named = [block for block in self.blocks if block.exception or block.message]
        if named and self.dialect.prelude is not None:
            return named
        return named + [block for block in self.blocks if block not in named][:_UNNAMED]


def _shift_functions(block: Block) -> None:
    """PHP names with each place what is called there; the function *around* it stands one frame further out."""
    around = [frame.function for frame in block.frames[1:]] + [""]
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
