"""The text of a stack trace, made readable, and the block that a reader of it fills.

Traces arrive out of terminals, log files and issue trackers: with colours, timestamps, container names, quote marks,
HTML entities, or as one line with escaped line breaks.
"""

from __future__ import annotations

import html
import re
from collections import Counter
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
_TAG = re.compile(r"</?(?:pre|code|br|p|b|i|span|div|td|tr|th|table|font)\b[^<>]{0,200}>", re.IGNORECASE)
_BREAK = re.compile(r"<br ?/?>\n?", re.IGNORECASE)
_TAG_LIKE = re.compile(r"<br ?/?>|</b>", re.IGNORECASE)
_ESCAPED = re.compile(
    r"\\n *(?:\\t| at |#\d| +File |\[stacktrace)|Traceback \(most recent call last\):\\n|\\n\S+:\d+:in "
)
_DOCKER = re.compile(r'\{"log":"(?P<line>(?:[^"\\]|\\[^n])*)(?:\\n)?","stream":"std')
# Go's encoder, and so Docker's, escapes what HTML gives a meaning.
_ESCAPES = (
    ("\\\\", "\0"), ("\\r", ""), ("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\/", "/"),
    ("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&"), ("\\u0027", "'"), ("\0", "\\"),
)  # fmt: skip
_JSON_SEAM = re.compile(r'(?<!\\)"\s?(?::\s?"|[,}\]])')
_CALL = r'(?:at [\w.$/<>]{1,200} ?\([^()\n]{1,200}:\d+\)|File "[^"\n]{1,300}", line \d+, in \S)'
_TOGETHER = re.compile(rf"(?<=\S) {_CALL}[^\n]{{0,300}}? {_CALL}")
_RUN_TOGETHER = re.compile(rf"(?<=\S) (?={_CALL})")
_LEAD = re.compile(
    r'(?P<lead>>|[^\s"\'(][^"\'(]{0,60}?[>:|\])])(?=\s{1,8}(?:File "[^"]+", line \d|at [\w.$<>]+ ?\(.*:\d+\)))'
)
_LEAD_TIMES = 3
_WRAPPED = re.compile(r"#\d+ ")
_PLACED = re.compile(r":\d+(?::\d+)?\)?$| from \S+$| \(\)$")
_LEVEL = r"(?:ERROR|WARN|WARNING|INFO|DEBUG|TRACE|FATAL|SEVERE|error|info|warn)"
_PREFIX = re.compile(
    r"(?:"
    r"[^\t]{1,80}\t[^\t]{1,80}\t(?=\d{4}-\d\dT?)"  # a job of GitHub Actions, as `gh run view --log` prints it
    r"|\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"  # ISO timestamp
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\d+ +\d+ [VDIWEF] [\w.$/-]{1,60} *:"  # logcat, threadtime
    r"| ?\d+-\d+ {1,20}\S{1,80} {1,60}\S{1,80} {1,60}[VDIWEF]  "  # Android Studio, after its timestamp
    r"|\d+-\d+/\S{1,80} [VDIWEF]/[^:]{1,60}:"  # older Android Studio
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    r"|[VDIWEF]/[\w.$-]{1,60} *\( *\d+\):"  # logcat, brief
    r"|[VDIWEF] [\w.$-]{1,60} *:(?= )"  # logcat, tag
    r"|\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"  # time
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,80} [\w./-]{1,60}(?:\[\d+\])?:"  # syslog
    r"|[A-Za-z][\w.-]{0,60} {0,20}\|(?= |$)"  # docker compose
    r"|(?:stdout|stderr) [FP](?= |$)"  # Kubernetes
    r"|\[pod/\S{1,120}\]"
    r"|##\[(?:error|warning|debug)\]"
    r"|\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])?"  # the kernel
    r"|[A-Za-z][\w.-]{0,40}\[(?:\d+:\d+|[a-z-]{1,30}\.[\w-]{1,30})\]:?(?= )"  # NSLog, Heroku
    r"|\[(?:java|exec|junit|javac|testng|stderr|stdout)\]"
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
    if "\\n" in text:
        text = "\n".join(_unescaped(line) for line in text.split("\n"))
    if '"File ""' in text or ' File ""' in text:  # a field of a CSV file
        text = text.replace('""', '"')
    text = _RUN_TOGETHER.sub("\n", text) if _TOGETHER.search(text) is not None else text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if _ENTITY.search(text) or _TAG_LIKE.search(text):
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    raw = [line[:MAX_LINE].rstrip() for line in text.split("\n")]
    filled = sum(1 for line in raw if line)
    if filled and sum(1 for line in raw if line.startswith(">")) * 5 > filled * 3:  # quoted in Markdown or mail
        raw = [line.removeprefix(">").removeprefix(" ") for line in raw]
    raw = _without_lead(raw)
    lines: list[str] = []
    stamped: list[bool] = []
    for line in raw:
        rest = line
        for _ in range(3):
            match = _PREFIX.match(rest)
            if match is None:
                break
            rest = rest[match.end() :]
        lines.append(rest)
        stamped.append(len(rest) != len(line))
    return Text(_joined(lines), stamped)


def _without_lead(lines: list[str]) -> list[str]:
    """Without what a tool of its own prints before each line (`INTERNALERROR> `): found where it stands before frames."""
    leads = Counter(match["lead"] for line in lines if (match := _LEAD.match(line)) is not None)
    for lead, times in leads.most_common(2):
        if times >= _LEAD_TIMES:
            lines = [line.removeprefix(lead).removeprefix(" ") if line.startswith(lead) else line for line in lines]
    return lines


def _unescaped(line: str) -> str:
    """A line that holds a trace as a JSON string (or an Apache log) does, with real line breaks."""
    docker = _DOCKER.match(line)
    if docker is not None:  # the json-file log of Docker: one record for each line
        line = docker["line"]
    elif line.count("\\n") < 2 or _ESCAPED.search(line) is None:
        return line
    else:
        line = _JSON_SEAM.sub("\n", line)
    for escaped, plain in _ESCAPES:
        line = line.replace(escaped, plain)
    return line


def _joined(lines: list[str]) -> list[str]:
    """GDB breaks long frames; the rest stands indented under them and ends with the place."""
    for at in range(len(lines) - 1):
        if _WRAPPED.match(lines[at]) and not _PLACED.search(lines[at]):
            for below in range(at + 1, min(at + 5, len(lines))):
                if not lines[below].startswith("    ") or _WRAPPED.match(lines[below].strip()):
                    break
                lines[at] = (lines[at] + " " + lines[below].strip())[:MAX_LINE]
                lines[below] = ""
                if _PLACED.search(lines[at]):
                    break
    return lines


def _number(digits: str | None) -> int:
    return int(digits) if digits and digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


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

    def add(self, path: str, line: str | None, function: str | None, code: str = "", column: str | None = None) -> None:
        """Add a frame as a pattern's groups give it."""
        if len(self.frames) >= 10 * MAX_FRAMES:
            self.frames.pop()
        self.frames.append(
            Frame(
                raw_path=path.strip(),
                line=_number(line),
                column=_number(column),
                function=(function or "").strip(),
                code=code,
            )
        )

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
