"""The text of a stack trace, made readable, and the block that a reader of it fills.

Traces arrive out of terminals, log files and issue trackers: with colours, timestamps, container names, quote marks,
HTML entities, or as one line with escaped line breaks.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from orchestra_mcp.types import Frame, Trace

MAX_CHARS = 262_144
"""Of a longer text, the head and the tail are read, half of this each."""
MAX_LINE = 2_000
"""Characters of a line that are read."""
MAX_FRAMES = 200
"""Of a deeper stack the outermost and the innermost frames are kept, half of this each."""

_MESSAGE_LINES = 12
_MESSAGE_CHARS = 2_000

_COLOURS = re.compile(r"\x1b(?:\[[0-9;:?]{0,20}[A-Za-z]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[()][A-B0-2])")
_ENTITY = re.compile(r"&(?:lt|gt|quot|amp|nbsp|apos|#x?[0-9a-fA-F]{1,6});")
_TAG = re.compile(r"</?(?:pre|code|br|p|span|div)\b[^<>]{0,200}>", re.IGNORECASE)
_LEVEL = r"(?:ERROR|WARN|WARNING|INFO|DEBUG|TRACE|FATAL|SEVERE)"
_PREFIX = re.compile(
    r"(?:"
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"  # ISO timestamp
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\d+ +\d+ [VDIWEF] [\w.$/-]{1,60} *:"  # logcat, threadtime
    r"|[VDIWEF]/[\w.$-]{1,60} *\( *\d+\):"  # logcat, brief
    r"|[VDIWEF] [\w.$-]{1,60} *:(?= )"  # logcat, tag
    r"|\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"  # time
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,80} [\w./-]{1,60}(?:\[\d+\])?:"  # syslog
    r"|[A-Za-z][\w.-]{0,60} {0,20}\|(?= |$)"  # docker compose
    rf"|\[{_LEVEL} *\](?= )"
    r") ?"
)


@dataclass(slots=True)
class Text:
    """Lines without line ends; `stamped` says which of them had a log prefix, `taken` which a reader has read."""

    lines: list[str]
    stamped: list[bool]
    taken: set[int] = field(default_factory=set)

    @property
    def whole(self) -> str:
        """All lines as one string."""
        return "\n".join(self.lines)

    def new_record(self, here: int, before: int) -> bool:
        """True when a log record begins at a line, seen from an earlier line of an unstamped record."""
        return self.stamped[here] and not self.stamped[before]


def clean(text: str) -> Text:
    """The lines of a text, at most `MAX_CHARS` of it, without what terminals, loggers and web pages put around."""
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]
    if text.count("\\n") > 2 and text.count("\n") < 2:  # a JSON string
        text = text.replace("\\r", "").replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if _ENTITY.search(text):
        text = html.unescape(_TAG.sub("", text))
    raw = [line[:MAX_LINE].rstrip() for line in text.split("\n")]
    filled = sum(1 for line in raw if line)
    if filled and sum(1 for line in raw if line.startswith(">")) * 5 > filled * 3:  # quoted in Markdown or mail
        raw = [line.removeprefix(">").removeprefix(" ") for line in raw]
    lines = []
    stamped = []
    for line in raw:
        rest = line
        for _ in range(3):
            match = _PREFIX.match(rest)
            if match is None:
                break
            rest = rest[match.end() :]
        lines.append(rest)
        stamped.append(len(rest) != len(line))
    return Text(lines, stamped)


@dataclass(slots=True)
class Block:
    """One exception with its frames, while a reader collects it. Frames stand in the order `outermost_first` says."""

    language: str
    start: int
    exception: str = ""
    message: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    cause: Block | None = None
    outermost_first: bool = False

    def say(self, line: str) -> None:
        """Add a line to the message, as long as there is room."""
        if len(self.message) < _MESSAGE_LINES:
            self.message.append(line.strip())

    def add(self, path: str, line: str | None, function: str | None, code: str = "") -> None:
        """Add a frame as a pattern's groups give it."""
        number = int(line) if line and line.isascii() and line.isdigit() and len(line) < 10 else 0
        if len(self.frames) >= 10 * MAX_FRAMES:
            self.frames.pop()
        self.frames.append(Frame(raw_path=path.strip(), line=number, function=(function or "").strip(), code=code))

    def show(self, code: str) -> None:
        """The source line of the frame that was added last."""
        if self.frames and code and not self.frames[-1].code:
            self.frames[-1] = self.frames[-1].model_copy(update={"code": code.strip()})

    def trace(self) -> Trace:
        """The finished trace, with its chain of causes."""
        chain = [self]
        while (cause := chain[-1].cause) is not None and len(chain) < 20:
            chain.append(cause)
        result: Trace | None = None
        for block in reversed(chain):
            frames = block.frames if block.outermost_first else block.frames[::-1]
            if len(frames) > MAX_FRAMES:
                frames = frames[: MAX_FRAMES // 2] + frames[-MAX_FRAMES // 2 :]
            message = "\n".join(block.message).strip()[:_MESSAGE_CHARS]
            result = Trace(
                language=block.language,
                exception=block.exception[:200],
                message=message,
                frames=tuple(frames),
                cause=result,
            )
        assert result is not None
        return result
