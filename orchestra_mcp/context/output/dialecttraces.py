"""What a dialect of stack traces consists of: the row that the tables in `dialects` and `nativetraces` hold.

Every pattern is matched against one line, freed of colours, log prefixes and surrounding blanks. Groups mean:
`path`, `line`, `column`, `function`, `exception`, `message`, `more` (of the message), `code`, `number` (frames are counted down,
so the outermost stands first), `caller` and `caller_line` (the place from which the named place was called). No pattern
may be ambiguous about where a group ends, so that the time stays linear in the length of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Pattern = re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one runtime prints a trace; frames come innermost first."""

    language: str
    """Empty: the language follows from the suffix of the first frame's file."""
    detect: Pattern
    """Searched in the whole text; the dialect is skipped where it is not found."""
    frames: tuple[Pattern, ...] = ()
    many: Pattern | None = None
    """A frame that may stand anywhere in a line, and more than once."""
    heads: tuple[Pattern, ...] = ()
    """What was thrown; stands before the frames. With a `path`, the place itself is the innermost frame."""
    cause: Pattern | None = None
    """Prefix of a head that says: what follows is the cause of the trace before it."""
    effect: Pattern | None = None
    """Prefix of a head that says: what follows was caused by the trace before it."""
    between: Pattern | None = None
    """Lines that may stand among the frames and say nothing."""
    starts: Pattern | None = None
    """A line that begins another stack of the same report (a goroutine, `freed by thread`)."""
    function_line: Pattern | None = None
    """The function stands on a line of its own, before the line with the place."""
    bare_functions: bool = False
    """A function line without a place is a frame too."""
    prelude: Pattern | None = None
    """Functions of a first stack that only reports the failure; what was thrown belongs to the stack after it."""
    code: Pattern | None = None
    """A numbered source line that the trace shows."""
    failed: Pattern | None = None
    """Which of the tests that the heads name failed; the others only logged something."""
    callee_named: bool = False
    """A frame names the function that is called there, not the one that the line belongs to."""
    outermost_first: bool = False
    place_outermost: bool = False
    """The place that a head names is where the test begins, not where it failed."""
    quoted_head: bool = True
    """Lines after the head continue its message."""
    airy_head: bool = False
    """Blank lines do not end the message."""
    tidy: tuple[tuple[Pattern, str], ...] = ()
    """Substitutions on function names: hashes, compiler-made parts."""


def pattern(expression: str) -> Pattern:
    """A compiled pattern; one place for the flags of all tables."""
    return re.compile(expression)
