"""What reaches the screen: the verdict on standard output, everything else on standard error, nothing that can steer a terminal.

Text of experts, files and stores is untrusted. An escape sequence in it could retitle the window, write to the
clipboard or hide a line, so every text passes `plain` before it is printed; JSON escapes by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from orchestra_mcp.foreign import plain

if TYPE_CHECKING:
    from rich.console import Console


class Desk:
    """Where a command puts its results.

    Args:
        as_json: print one JSON document instead of text.
        quiet: no progress.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.restore: Callable[[str], str] = str
        """Puts personal data back into a report. Only for a terminal: a program that reads us may be another model's."""

    @property
    def can_ask(self) -> bool:
        """True when a person can answer a question now."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def lively(self) -> bool:
        """True when a live display can be shown on standard error."""
        return not self.as_json and not self.quiet and sys.stderr.isatty() and sys.stdout.isatty()

    def document(self, value: Any) -> None:
        """Print one JSON document; ASCII only, so that any locale can carry it and no control character is raw."""
        write(sys.stdout, json.dumps(value, indent=2, default=str))

    def markdown(self, text: str) -> None:
        """Print a report: rendered on a terminal, as it is elsewhere. Links are shown, never live."""
        if not sys.stdout.isatty():
            write(sys.stdout, plain(text))
            return
        from rich.markdown import Markdown

        console(sys.stdout).print(Markdown(plain(self.restore(text)), hyperlinks=False))

    def text(self, line: str) -> None:
        """Print text that is no Markdown."""
        write(sys.stdout, plain(line))

    def say(self, line: str) -> None:
        """A remark on standard error, unless quiet."""
        if not self.quiet:
            write(sys.stderr, plain(line))

    def fail(self, kind: str, message: str) -> None:
        """Report an error: `{"error": …}` on standard output for `--json`, else a line on standard error."""
        if self.as_json:
            self.document({"error": {"kind": kind, "message": plain(message)}})
        else:
            write(sys.stderr, f"orchestra: {plain(message)}")


def console(stream: TextIO) -> Console:
    """A rich console that neither reads markup nor makes emoji or links of what it prints; heeds NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, markup=False, emoji=False, highlight=False)


def write(stream: TextIO, text: str) -> None:
    """Write a line and flush it."""
    stream.write(text + "\n")
    stream.flush()
