"""Readers of what Python prints: tracebacks with their chains and exception groups, and pytest's reports.

Both print the outermost frame first and an exception's cause *before* the exception that followed from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from orchestra_mcp.context.output.tracetext import Block, Text

_HEADER = re.compile(r"(?:Traceback|Stack) \((?:most recent call last|innermost last)\)|^ *Traceback:$")
_FRAME = re.compile(r'\s*File "(?P<path>[^"]+)"(?:, line (?P<line>\d+)(?:, in (?P<function>.+))?| in (?P<within>\S+))$')
_DJANGO_CODE = re.compile(r"\s+(?P<line>\d+)\. (?P<code>.*)$")
_RICH_FRAME = re.compile(r"│ (?P<path>[^\s:].*):(?P<line>\d+) in (?P<function>[^\s│]+) *│?$")
_RICH_CODE = re.compile(r"│ ❱ *\d+ (?P<code>[^│]*(?:│ {3}[^│]*)*)│?$")
_REPEATED = re.compile(r" *\[Previous line repeated \d+ more times?\]$")
_CARETS = re.compile(r"[ ~^]*[~^][ ~^]*$")
CHAIN = re.compile(
    r"(?:During handling of the above exception, another exception occurred|"
    r"The above exception was the direct cause of the following exception):?$"
)
_EXCEPTION = re.compile(r"(?P<name>[A-Za-z_][\w.]*(?:<locals>[\w.]*)?)(?P<colon>:(?: |$))?(?P<message>.*)$")
_NAMED_LIKE_ONE = re.compile(
    r"(?:Error|Exception|Exit|Interrupt|Warning|Failure|Failed|Iteration|Fault|Group|Timeout|Empty|Full|"
    r"NotFound|DoesNotExist|Denied|Cancelled|Abort)$|\."
)
_SUB_EXCEPTION = re.compile(r" *\+(?:-\+)?-{3,} (?:\d+|\.\.\.) -{3,}$")
_GROUP_END = re.compile(r" *\+-{20,}$")
_GUTTER = re.compile(r"( *)[|+] ?")
_STOP = re.compile(
    r">>>|\$ |```|\"\"\"|~~~|-{3,}|={3,}|_{3,}|#{1,6} |\[\d+\]|(?:INFO|DEBUG|WARNING|ERROR|CRITICAL)\b|\w+=|In \["
)


def exception_line(line: str) -> tuple[str, str] | None:
    """`ValueError: bad` → its two parts; None for a line that names no exception."""
    match = _EXCEPTION.match(line.strip())
    if match is None or len(match["name"]) > 150:
        return None
    name, message = match["name"], match["message"]
    last = name.rpartition(".")[2]
    if match["colon"]:
        return (name, message.strip()) if last[:1].isupper() or _NAMED_LIKE_ONE.search(name) else None
    return (name, "") if not message and _NAMED_LIKE_ONE.search(name) else None


def _column(line: str) -> int:
    """Where the text of a line begins, tabs counted as Python does; pasted traces mix them with blanks."""
    wide = line.expandtabs()
    return len(wide) - len(wide.lstrip())


@dataclass(slots=True)
class _Python:
    """The state of reading tracebacks line by line."""

    text: Text
    blocks: list[Block] = field(default_factory=list)
    block: Block | None = None
    indent: int = 0
    """Column of the `File` of the open block."""
    ended: bool = False
    """The exception line was read; what follows is the rest of its message."""
    headed: bool = False
    blanks: int = 0
    level: int = 0
    """Depth in an exception group."""
    base: int | None = None
    """Column of the outermost group's gutter."""
    last: dict[int, Block] = field(default_factory=dict)
    linked: set[int] = field(default_factory=set)
    """Depths at which the next exception follows from the one before it."""

    def open(self, at: int, *, headed: bool) -> None:
        self.close()
        self.block = Block("python", at, outermost_first=True)
        self.ended, self.headed, self.blanks, self.indent = False, headed, 0, 10_000

    def close(self) -> None:
        block, self.block = self.block, None
        if block is None or not (block.frames or block.exception):
            return
        before = self.last.get(self.level)
        if self.level in self.linked and before is not None:
            block.cause = before
            self.blocks = [other for other in self.blocks if other is not before]
        self.linked.discard(self.level)
        self.last[self.level] = block
        self.blocks.append(block)

    def gutter(self, line: str) -> str:
        """The line without the gutter of an exception group; keeps account of the depth."""
        if "Exception Group Traceback" in line and self.base is None:
            self.base = max(0, line.find("+"))
        match = _GUTTER.match(line) if self.base is not None else None
        level = 0 if match is None or self.base is None else max(0, (len(match[1]) - self.base) // 2)
        if _SUB_EXCEPTION.match(line):
            level += "+-+" in line
            self.close()
            self.level = level
            self.last.pop(level, None)
            self.linked.discard(level)
        elif level != self.level and line.strip():
            self.close()
            self.level = level
        return line[match.end() :] if match is not None else line

    def read(self, at: int, raw: str) -> None:
        if _SUB_EXCEPTION.match(raw) and self.base is not None:
            self.gutter(raw)
            self.open(at, headed=True)
            return
        if _GROUP_END.match(raw) and self.base is not None:
            self.close()
            return
        line = self.gutter(raw)
        if CHAIN.match(line.strip()):
            self.close()
            self.linked.add(self.level)
        elif _HEADER.search(line):
            self.open(at, headed=True)
            self.text.taken.add(at)
        elif (frame := _FRAME.match(line) or _RICH_FRAME.match(line)) is not None:
            if self.block is None or self.ended:
                self.open(at, headed=False)
            assert self.block is not None
            groups = frame.groupdict()
            self.block.add(groups["path"], groups["line"], groups["function"] or groups.get("within"))
            self.indent, self.blanks = _column(line), 0
            self.text.taken.add(at)
        elif self.block is not None:
            self.follow(at, line)

    def follow(self, at: int, line: str) -> None:
        """A line inside a block that is neither header nor frame: source, the exception, or more of its message."""
        block = self.block
        assert block is not None
        if self.ended:
            if not line.strip() or _STOP.match(line) or self.text.new_record(at, block.start):
                self.close()
            else:
                block.say(line)
        elif not line.strip():
            self.blanks += 1
            if self.blanks > 1 or not (self.headed or block.frames):
                self.close()
        elif line[:1] in "│╭╰":
            code = _RICH_CODE.match(line)
            if code is not None:
                block.show(code["code"].replace("│   ", ""))
        elif _REPEATED.match(line) or _CARETS.match(line):
            self.text.taken.add(at)
        elif _column(line) > self.indent:
            self.source(line)
            self.text.taken.add(at)
        else:
            self.finish(at, line)

    def source(self, line: str) -> None:
        """The line of source under a frame; Django's debug page has the number there."""
        assert self.block is not None
        last = self.block.frames[-1] if self.block.frames else None
        django = _DJANGO_CODE.match(line) if last is not None and not last.line else None
        if last is not None and django is not None:
            self.block.frames[-1] = last.model_copy(update={"line": int(django["line"][:9])})
            line = django["code"]
        self.block.show(line)

    def finish(self, at: int, line: str) -> None:
        block = self.block
        assert block is not None
        named = exception_line(line) if self.headed or not self.blanks else None
        flat = bool(block.frames) and not block.frames[-1].code and not self.blanks
        if named is not None and not (flat and not _NAMED_LIKE_ONE.search(named[0])):
            block.exception = named[0]
            block.say(named[1])
            self.ended = True
            self.text.taken.add(at)
        elif flat and self.indent == 0:  # pasted without its indentation
            block.show(line)
        elif named is not None:
            block.exception = named[0]
            block.say(named[1])
            self.ended = True
        elif block.frames or not line.startswith(" "):
            self.close()


def read_python(text: Text) -> list[Block]:
    """The tracebacks of a text; with each the chain of causes that were printed before it."""
    if not any(_FRAME.match(line) or "Traceback" in line or _RICH_FRAME.match(line) or '  File "' in line
               for line in text.lines):  # fmt: skip
        return []
    state = _Python(text)
    for at, line in enumerate(text.lines):
        if at not in text.taken:
            state.read(at, line)
    state.close()
    return state.blocks


_WARNING = re.compile(
    r"(?P<path>(?:[A-Za-z]:)?[^:\s][^:]*\.pyx?|<stdin>):(?P<line>\d+): (?P<kind>\w*Warning): (?P<message>.*)$"
)
_MAX_WARNINGS = 10


def read_warnings(text: Text) -> list[Block]:
    """What `warnings` printed: a place, a kind and the line of source; only as much as helps to see where it began."""
    blocks: list[Block] = []
    for at, line in enumerate(text.lines):
        match = _WARNING.match(line.strip()) if "Warning: " in line and at not in text.taken else None
        if match is None:
            continue
        after = text.lines[at + 1] if at + 1 < len(text.lines) else ""
        block = Block("python", at, match["kind"], [match["message"]], outermost_first=True)
        block.add(match["path"], match["line"], "", after.strip() if after.startswith("  ") else "")
        blocks.append(block)
        if len(blocks) == _MAX_WARNINGS:
            break
    return blocks


# ------------------------------------------------------------------------------------------------------- pytest

_SECTION = re.compile(r"_{3,} (?P<name>\S.*\S|\S) _{3,}$")
_RULE = re.compile(r"=+ (?P<name>.*) =+$|={20,}$")
_PLACE = re.compile(
    r"(?P<path>(?:[A-Za-z]:)?[^\s:>][^:]*\.pyx?):(?P<line>\d+): ?"
    r"(?:in (?P<function>\S.*)|(?P<claim>assert .*)|(?P<exception>[A-Za-z_][\w.]*)?(?:: (?P<message>.*))?)$"
)
_SAYS = re.compile(r"E(?: {1,3}(?P<said>.*))?$")
_POINTED = re.compile(r"> {2,}(?P<code>\S.*)$")
_DEF = re.compile(r" {4,12}(?:async )?def (?P<function>\w+)\(")
_SUMMARY = re.compile(r"(?:FAILED|ERROR) (?P<path>[^\s:]+\.py)(?:::(?P<test>.*))?$")
_MAX_NAMES = 200
_BETWEEN_FRAMES = re.compile(r"(?:_ ){5,}")


@dataclass(slots=True)
class _Pytest:
    """The state of reading a pytest report line by line."""

    text: Text
    blocks: list[Block] = field(default_factory=list)
    block: Block | None = None
    inside: bool = False
    """In the failures part of the report."""
    name: str = ""
    names: list[str] = field(default_factory=list)
    function: str = ""
    code: str = ""
    said: list[str] = field(default_factory=list)
    wants_code: bool = False
    linked: Block | None = None

    def close(self, *, chained: bool = False) -> None:
        block, self.block = self.block, None
        said, self.said = self.said, []
        self.function = self.code = ""
        self.wants_code = False
        if block is None or not block.frames:
            return
        self._explain(block, said)
        if self.linked is not None:
            block.cause = self.linked
        self.linked = block if chained else None
        if not chained:
            self.blocks.append(block)

    def _explain(self, block: Block, said: list[str]) -> None:
        """Exception and message out of the `E` lines."""
        syntax = next((line for line in said if line.startswith(("SyntaxError", "IndentationError", "TabError"))), "")
        named = exception_line(syntax or said[0]) if said else None
        if named is not None:
            block.exception, said = named[0], [named[1], *([] if syntax else said[1:])]
        elif not block.exception and said and said[0].startswith("assert"):
            block.exception = "AssertionError"
        if said:
            block.message = []
        for line in said:
            block.say(line)

    def read(self, at: int, line: str) -> None:
        if self.boundary(line):
            return
        if (said := _SAYS.match(line)) is not None and (self.inside or "E   " in line):
            self.say(at, said["said"] or "")
        elif (place := _PLACE.match(line)) is not None and (self.inside or self.said or self.code or place["function"]):
            self.place(at, place)
        elif (pointed := _POINTED.match(line)) is not None:
            self.code = pointed["code"]
            self.text.taken.add(at)
        elif (define := _DEF.match(line)) is not None and not self.function:
            self.function = define["function"]
        elif self.wants_code and line.startswith("    ") and self.block is not None:
            self.block.show(line)
            self.wants_code = False
            self.text.taken.add(at)

    def boundary(self, line: str) -> bool:
        """Lines that part one failure from the next."""
        if (section := _SECTION.match(line)) is not None and not _BETWEEN_FRAMES.match(line):
            self.close()
            self.inside, self.name = True, section["name"].strip()
            if len(self.names) < _MAX_NAMES:
                self.names.append(self.name)
        elif (rule := _RULE.match(line)) is not None:
            self.close()
            self.inside, self.name = (rule["name"] or "").strip() in ("FAILURES", "ERRORS"), ""
        elif _BETWEEN_FRAMES.match(line):
            self.function = self.code = ""
        elif CHAIN.match(line.strip()) and self.block is not None:
            self.close(chained=True)
        else:
            return False
        return True

    def say(self, at: int, said: str) -> None:
        if self.block is not None and (frame := _FRAME.match(said)) is not None:  # a syntax error on collection
            self.block.add(frame["path"], frame["line"], frame["function"])
        if not self.name and self.inside:
            self.linked = None
        self.said.append(said)
        self.text.taken.add(at)

    def place(self, at: int, place: re.Match[str]) -> None:
        if self.block is None:
            self.block = Block("python", at, outermost_first=True)
        self.block.add(place["path"], place["line"], place["function"] or self.function, self.code)
        if place["exception"]:
            self.block.exception = place["exception"]
            if place["message"]:
                self.block.message = [place["message"]]
        self.wants_code = bool(place["function"])
        self.function = self.code = ""
        self.text.taken.add(at)
        if not self.name and not place["function"] and (place["exception"] or place["claim"]):  # --tb=line
            self.said = [place["claim"]] if place["claim"] else self.said
            self.close()

    def summary(self) -> None:
        """Failures that only the short summary names."""
        for at, line in enumerate(self.text.lines):
            head, _, reason = line.partition(" - ")
            found = _SUMMARY.match(head)
            if found is None or at in self.text.taken:
                continue
            if len(self.blocks) >= _MAX_NAMES:
                return
            test = (found["test"] or "").replace("::", ".")
            if any((name.endswith(test) and test) or found["path"] in name for name in self.names):
                continue
            named = exception_line(reason)
            block = Block("python", at, outermost_first=True, exception=named[0] if named else "")
            if reason.startswith("assert "):
                block.exception = "AssertionError"
            block.say(named[1] if named else reason)
            block.add(found["path"], None, test.rpartition(".")[2].partition("[")[0])
            self.blocks.append(block)
            self.text.taken.add(at)


def read_pytest(text: Text) -> list[Block]:
    """The failures of a pytest report, in its long and short styles; unmentioned ones out of the summary."""
    if not any(_SAYS.match(line) or _PLACE.match(line) or _SUMMARY.match(line.partition(" - ")[0])
               for line in text.lines):  # fmt: skip
        return []
    state = _Pytest(text)
    for at, line in enumerate(text.lines):
        state.read(at, line)
    state.close()
    if state.linked is not None:
        state.blocks.append(state.linked)
    state.summary()
    return state.blocks
