"""Reader of .NET traces.

One line may name a whole chain of exceptions, the outermost first (`Outer: text ---> Inner: text`), while the stacks
follow the innermost first, parted by `--- End of inner exception stack trace ---`.
"""

from __future__ import annotations

import re
from itertools import pairwise

from orchestra_mcp.context.output.dialects import (
    DOTNET,
    DOTNET_EXCEPTION,
    DOTNET_FRAMES,
    DOTNET_INNER,
    DOTNET_TIDY,
    DOTNET_UNHANDLED,
)
from orchestra_mcp.context.output.tracetext import Block, Text

_GAP = 3
"""How many unknown lines may stand among the frames."""
_JS_PLACE = re.compile(r":\d+$")
_LED = re.compile(r"[^:()]{1,60}: (?=(?:[A-Z]\w*\.)+\w*Exception\b)")


def read_dotnet(text: Text, whole: str) -> list[Block]:
    """.NET prints the frames of the innermost exception first, and all names in one line, the outermost first."""
    if DOTNET.detect.search(whole) is None:
        return []
    bare = "--- End of stack trace" in whole  # asynchronous frames are sometimes logged without `at`
    reading = _Dotnet(text, bare)
    for at, raw in enumerate(text.lines):
        if at not in text.taken:
            reading.line(at, raw.strip())
    reading.finish()
    return reading.blocks


class _Dotnet:
    """The state of reading .NET traces line by line."""

    def __init__(self, text: Text, bare: bool) -> None:
        self.text = text
        self.bare = bare
        self.blocks: list[Block] = []
        self.names: list[tuple[str, str]] = []
        self.stacks: list[Block] = []
        self.stack = Block("c_sharp", 0)
        self.last = 0

    def line(self, at: int, line: str) -> None:
        match = next((m for pattern in DOTNET_FRAMES if (m := pattern.match(line)) and self.is_frame(m)), None)
        if match is not None:
            if not self.stack.frames:
                self.stack.start = at
            self.stack.add(match["path"] or "", match["line"], _dotnet_function(match["function"]))
            self.text.taken.add(at)
            self.last = at
        elif DOTNET_INNER.search(line) is not None:
            self.next_stack(at)
        else:
            if (self.stack.frames or self.stacks) and at - self.last > _GAP:
                self.finish()
            self.take_names(line)

    def is_frame(self, match: re.Match[str]) -> bool:
        at, function, arguments = (match["at"] or "").strip(), match["function"], match["arguments"]
        if match.re is not DOTNET_FRAMES[-1]:
            return True
        if not at and (match["path"] or not self.bare or function.count(".") < 2 or not function[:1].isupper()):
            return False
        if at != "at" and (" " in function or "." not in function):
            return False
        if (
            _JS_PLACE.search(arguments)
            or "/" in function
            or "=" in function
            or not ("." in function or "lambda" in function)
        ):
            return False
        return bool(match["path"] or "[0x" in match.group() or not arguments or " " in arguments or "." in arguments)

    def next_stack(self, at: int) -> None:
        self.stacks.append(self.stack)
        self.stack = Block("c_sharp", at)
        self.last = at

    def take_names(self, line: str) -> None:
        found = _dotnet_names(line)
        if not found:
            return
        if self.stack.frames or self.stacks:
            self.finish()
        if " ---> " not in line and not line.startswith("--->"):
            self.names = []
        self.names += found

    def finish(self) -> None:
        """Give the names, the outermost first, to the stacks, the innermost first; more names than stacks is usual."""
        names, stacks = self.names, [*self.stacks, self.stack][::-1]
        self.names, self.stacks, self.stack = [], [], Block("c_sharp", 0)
        if not any(block.frames for block in stacks):
            return
        while len(stacks) < len(names):
            stacks.append(Block("c_sharp", stacks[-1].start))
        for block, (exception, message) in zip(stacks, names, strict=False):
            block.exception = exception
            block.message = [message]
        for outer, inner in pairwise(stacks):
            outer.cause = inner
        stacks[0].start = min(block.start for block in stacks if block.frames)
        self.blocks.append(stacks[0])


def _dotnet_names(line: str) -> list[tuple[str, str]]:
    """The exceptions that a line names, the outermost first."""
    parts = line.removeprefix("---> ").split(" ---> ")
    found = [DOTNET_EXCEPTION.match(_LED.sub("", DOTNET_UNHANDLED.sub("", part, count=1), count=1)) for part in parts]
    return [(match["exception"], match["message"] or "") for match in found if match is not None]


def _dotnet_function(function: str) -> str:
    for pattern, replacement in DOTNET_TIDY:
        function = pattern.sub(replacement, function)
    return function.strip()
