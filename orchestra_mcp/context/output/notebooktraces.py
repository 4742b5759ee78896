"""Reader of what IPython and Jupyter print: cells instead of files, and the line number in front of an arrow.

    Cell In[3], line 5            File ~/proj/io.py:12, in read(path)          <ipython-input-3-ab> in f(x)
    ----> 5 load("a")             ---> 12     return parse(f)                  ----> 2     return int(x)

Source of the forms: `IPython.core.ultratb` of the releases 5 to 9. Frames come outermost first, causes before effects.
"""

from __future__ import annotations

import re

from orchestra_mcp.context.output.pythontraces import CHAIN, exception_line
from orchestra_mcp.context.output.tracetext import Block, Text

_HEADER = re.compile(r"(?P<exception>[A-Za-z_][\w.]*) {2,}Traceback \(most recent call last\)")
_FRAMES = (
    re.compile(r"File (?P<path>\S.*\.\w+|<[^>]+>):(?P<line>\d+)(?:, in (?P<function>[^(]+).*)?$"),
    re.compile(
        r"(?P<path>(?:Cell |Input )?In ?\[\d+\])(?:, line (?P<line>\d+))?(?:, in (?P<function><cell line: \d+>|[^(\s]+).*)?$"
    ),
    re.compile(
        r"(?P<path><ipython-input-[^>]+>|(?:~|/|[A-Za-z]:\\|\.)[^:*?\"|]*\.pyx?) in (?P<function>[^(\s]+)(?:\(.*)?$"
    ),
)
_ARROW = re.compile(r"-{1,6}> ?(?P<line>\d+)(?: (?P<code>.*))?$")
_CODE = re.compile(r" *\d+(?: |$)|-{20,}$")
_DETECT = re.compile(r"(?m)^(?:Cell |Input )?In ?\[\d+\], |^<ipython-input-|^-{1,6}> ?\d+ |^\S+ {2,}Traceback \(")


def read_notebook(text: Text) -> list[Block]:
    """The tracebacks of notebook cells; with each the chain of causes that were printed before it."""
    if _DETECT.search(text.whole) is None:
        return []
    reading = _Notebook(text)
    for at, line in enumerate(text.lines):
        if at not in text.taken:
            reading.line(at, line.rstrip())
    reading.close()
    return reading.blocks


class _Notebook:
    """The state of reading cells' tracebacks line by line."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.blocks: list[Block] = []
        self.block: Block | None = None
        self.linked = False
        self.ended = False

    def close(self) -> None:
        block, self.block = self.block, None
        if block is None or not block.frames:
            return
        if self.linked and self.blocks:
            block.cause = self.blocks.pop()
        self.linked = False
        self.blocks.append(block)

    def line(self, at: int, line: str) -> None:
        stripped = line.strip()
        header = _HEADER.match(stripped)
        frame = next((m for pattern in _FRAMES if (m := pattern.match(stripped))), None)
        if header is not None:
            self.close()
            self.block, self.ended = Block("python", at, header["exception"], outermost_first=True), False
        elif frame is not None and (self.block is not None or frame.re is not _FRAMES[0]) and self._follows(at, frame):
            self.frame(at, frame)
        elif CHAIN.match(stripped):
            self.close_for_chain()
        elif self.block is None:
            return
        elif (arrow := _ARROW.match(stripped)) is not None and self.block.frames:
            self.arrow(arrow)
        elif not _CODE.match(line):
            self.said(line)
            return
        self.text.taken.add(at)

    def _follows(self, at: int, frame: re.Match[str]) -> bool:
        """A frame is followed by its source, unless it is a cell or a place with its line."""
        after = next((line for line in self.text.lines[at + 1 : at + 3] if line.strip()), "")
        return bool(_ARROW.match(after.strip()) or _CODE.match(after) or (self.block is not None and frame["path"]))

    def close_for_chain(self) -> None:
        self.close()
        self.linked = bool(self.blocks)

    def frame(self, at: int, frame: re.Match[str]) -> None:
        if self.block is None or self.ended:
            self.close()
            self.block, self.ended = Block("python", at, outermost_first=True), False
        number = frame["line"] if "line" in frame.re.groupindex else None
        self.block.add(frame["path"], number, (frame["function"] or "").strip())

    def arrow(self, arrow: re.Match[str]) -> None:
        assert self.block is not None
        last = self.block.frames[-1]
        if not last.line:
            self.block.frames[-1] = last.model_copy(update={"line": int(arrow["line"][:9])})
        self.block.show(arrow["code"] or "")

    def said(self, line: str) -> None:
        block = self.block
        assert block is not None
        named = exception_line(line) if line[:1] not in (" ", "\t", "") else None
        if self.ended:
            if line.strip() and named is None:
                block.say(line)
            else:
                self.close()
        elif named is not None and block.frames:
            block.exception, self.ended = named[0], True
            block.say(named[1])
