"""The dialects of stack traces, as data: how each runtime prints an exception and its frames.

Every pattern is matched against one line, freed of colours, log prefixes and surrounding blanks. Groups mean:
`path`, `line`, `function`, `exception`, `message`, `code`. No pattern may be ambiguous about where a group ends, so
that the time stays linear in the length of the line; `tests/test_traces.py` holds hostile input against all of them.

Python, pytest and .NET nest or order their blocks in ways of their own; `traces` has a reader for each. All others
are read by one procedure that this table steers.
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
    heads: tuple[Pattern, ...] = ()
    """What was thrown; stands before the frames. With a `path`, the place itself is the innermost frame."""
    cause: Pattern | None = None
    """Prefix of a head that says: what follows is the cause of the trace before it."""
    between: Pattern | None = None
    """Lines that may stand among the frames and say nothing."""
    starts: Pattern | None = None
    """A line that begins another stack of the same report (a goroutine, `freed by thread`)."""
    function_line: Pattern | None = None
    """The function stands on a line of its own, before the line with the place."""
    bare_functions: bool = False
    """A function line without a place is a frame too."""
    prelude: Pattern | None = None
    """Functions of a first stack that only reports the failure, dropped when another stack follows."""
    code: Pattern | None = None
    """A numbered source line that the trace shows."""
    failed: Pattern | None = None
    """Which of the tests that the heads name failed; the others only logged something."""
    callee_named: bool = False
    """A frame names the function that is called there, not the one that the line belongs to."""
    quoted_head: bool = True
    """Lines after the head continue its message."""
    airy_head: bool = False
    """Blank lines do not end the message."""
    tidy: tuple[tuple[Pattern, str], ...] = ()
    """Substitutions on function names: hashes, compiler-made parts."""


def _p(pattern: str) -> Pattern:
    return re.compile(pattern)


_ANY_PATH = r"(?P<path>(?:[A-Za-z]:)?[^:\s][^:]*)"

JAVA = Dialect(
    "java",
    _p(r"(?m)^.{0,200}?\bat [^\s(]+ ?\((?:[^():\s]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source)"),
    frames=(
        _p(r"at (?:[^/()\s]*/){0,3}(?P<function>[^/()\s]+(?:/0x[0-9a-f]+\.[^()\s]+)?) ?"
           r"\((?:(?P<path>[^():]+\.\w+)(?::(?P<line>\d+))?|(?:Native Method|Unknown Source|SourceFile|<generated>|Proguard)(?::\d+)?)\)"),
    ),
    heads=(
        _p(r'(?:Exception in thread "[^"]*" )?(?P<exception>(?:[\w$]+\.)+[\w$]+)(?:: (?P<message>.*))?$'),
        _p(r'(?:Exception in thread "[^"]*" )?(?P<exception>[A-Z][\w$]*(?:Exception|Error|Throwable))(?:: (?P<message>.*))?$'),
        _p(r".*?(?<![\w.$])(?P<exception>[a-z]\w*\.[\w$.]*(?:Exception|Error|Throwable))(?:: (?P<message>.*))?$"),
    ),
    cause=_p(r"Caused by: "),
    between=_p(r"\.\.\. \d+ (?:more|common frames)|\[CIRCULAR REFERENCE"),
    starts=_p(r"Suppressed: "),
)  # fmt: skip

JAVASCRIPT = Dialect(
    "javascript",
    _p(r"(?m)^.{0,200}?(?:\bat .*:\d+:\d+\)?(?:,| \{)?|@.*:\d+(?::\d+)?|❯ .*:\d+:\d+|> eval:\d+.*)\s*$"),
    frames=(
        _p(r"at (?P<function>[^(]*?)(?: \[as [^\]]*\])? \(eval at .*\((?P<path>[^()]+):(?P<line>\d+):\d+\)"),
        _p(r"at (?:async )?(?P<function>[^(]*?)(?: \[as [^\]]*\])? \((?P<path>.+):(?P<line>\d+):\d+\)(?:,| \{)?$"),
        _p(r"at (?:async )?(?P<path>[^\s()].*):(?P<line>\d+):\d+(?:,| \{)?$"),
        _p(r"at (?P<function>(?:async |new )?[^\s(]+(?: \[as [^\]]*\])?) \((?:<anonymous>|native|index \d+)\)$"),
        _p(r"❯ (?:(?P<function>[^\s:/]+) )?(?P<path>[^\s:]+):(?P<line>\d+):\d+$"),
        _p(r"(?P<function>[^@\s]*(?: [^@\s]+){0,3})@(?P<path>(?:[a-z-]+://|/|[A-Za-z]:\\|\[native)[^\s>]*) line (?P<line>\d+) > (?:eval|Function)"),
        _p(r"(?P<function>[^@\s]*(?: [^@\s]+){0,3})@(?P<path>(?:[a-z-]+:/|/|[A-Za-z]:\\|\w[\w./-]*\.[cm]?[jt]sx?).*?):(?P<line>\d+)(?::\d+)?$"),
    ),
    heads=(
        _p(r"(?:Uncaught )?(?:\(in promise\) )?(?:[a-z]+: )?(?P<exception>(?:[A-Z]\w*\.)?[A-Z]\w*(?:Error|Exception)|Error|DOMException)"
           r"(?: \[[\w-]+\])?(?: \([^)]*\))?(?:: (?P<message>.*))?\s*\{?$"),
        _p(r"(?:● |FAIL )\s*(?P<message>.+)$"),
        _p(r"(?P<path>(?:file:///?|/|[A-Za-z]:[\\/])[^:]*\.[cm]?[jt]sx?):(?P<line>\d+)$"),
    ),
    airy_head=True,
    cause=_p(r"(?:\[cause\]: |Caused by: )"),
    between=_p(r"\d+ ?\||\||\^+$|\.\.\. \d+ lines matching|\[(?:errors|cause)\]: \[?$|[\]}],?$"),
    code=_p(r"(?:> *)?(?P<line>\d+) ?\| ?(?P<code>.*)$"),
    tidy=((_p(r"^(?:async|new) "), ""), (_p(r" \[as [^\]]*\]$"), "")),
)  # fmt: skip

GO = Dialect(
    "go",
    _p(r"(?m)^.{0,200}?(?:goroutine \d+ \[|panic: |fatal error: |\.go:\d+ \+0x|DATA RACE)"),
    frames=(_p(r"(?:at )?(?P<path>(?:[A-Za-z]:)?[^:\s][^:]*\.(?:go|s|c|cpp)):(?P<line>\d+)(?: \+0x[0-9a-f]+.*)?$"),),
    heads=(
        _p(r"(?:.*\s)?(?P<exception>panic|fatal error): (?P<message>.*)$"),
        _p(r"(?:http: )?(?P<exception>panic) serving [^ ]*: (?P<message>.*)$"),
        _p(r"WARNING: (?P<exception>DATA RACE)$"),
    ),
    starts=_p(r"goroutine \d+ (?:gp=\S+ m=\S+ )?(?:mp=\S+ )?\[|(?:Previous )?(?:read|write|Read|Write) at 0x"),
    function_line=_p(r"(?:created by )?(?P<function>\S+?)(?:\([^()]*\)| in goroutine \d+)?$"),
    prelude=_p(r"runtime\."),
)  # fmt: skip

GO_TEST = Dialect(
    "go",
    _p(r"(?m)^[ \t]*--- FAIL: "),
    frames=(_p(r"(?:Error Trace:\s+)?(?P<path>(?:[A-Za-z]:)?[^:\s]+\.go):(?P<line>\d+)(?:: (?P<message>.*))?$"),),
    heads=(_p(r"(?:--- FAIL: |=== (?:RUN|CONT|NAME) +)(?P<message>\S+)(?: \([\d.]+s\))?$"),),
    between=_p(r"(?:Error|Test|Messages|expected|actual)\s*:|=== PAUSE"),
    failed=_p(r"--- FAIL: (\S+)"),
)

RUST = Dialect(
    "rust",
    _p(r"(?m)panicked at |^[ \t]*\d+: +0x[0-9a-f]{6,} - "),
    frames=(_p(r"at " + _ANY_PATH + r":(?P<line>\d+)(?::\d+)?$"),),
    heads=(
        _p(r".*?thread '[^']*'(?: \(\d+\))? (?P<exception>panic)ked at '(?P<message>.*)', (?P<path>[^:]+):(?P<line>\d+)(?::\d+)?$"),
        _p(r".*?thread '[^']*'(?: \(\d+\))? (?P<exception>panic)ked at (?P<path>(?:[A-Za-z]:)?[^:']+):(?P<line>\d+):\d+:$"),
        _p(r".*?thread '[^']*'(?: \(\d+\))? (?P<exception>panic)ked at '(?P<message>[^']*)$"),
    ),
    between=_p(r"stack backtrace:|note: |error: test failed"),
    function_line=_p(r"\d+: +(?:0x[0-9a-f]+ - )?(?P<function>\S.*)$"),
    bare_functions=True,
    tidy=((_p(r"::h[0-9a-f]{16}\w*$"), ""),),
)  # fmt: skip

PHP = Dialect(
    "php",
    _p(r"#\d+ (?:\S.*\(\d+\): |\[internal function\]|\{main\})|\.php:\d+|\.php on line \d+"),
    frames=(
        _p(r"#\d+ (?P<path>\S.*?)\((?P<line>\d+)\): (?P<function>[^\s(]+)"),
        _p(r"#\d+ (?:\[internal function\]: )?(?P<function>\{main\}|[^\s(]+\()"),
    ),
    heads=(
        _p(r"(?:PHP )?[A-Z][a-z]+ [a-z]+: +Uncaught (?P<exception>[\w\\]+)(?:: (?P<message>.*))? in (?P<path>(?:[A-Za-z]:)?[^:]+)(?::| on line )(?P<line>\d+)$"),
        _p(r"(?:PHP )?[A-Z][a-z]+ [a-z]+: +Uncaught (?P<exception>[\w\\]+)(?:: (?P<message>.*))?$"),
        _p(r"(?:PHP )?(?P<exception>(?:Fatal error|Parse error|Warning|Notice|Deprecated)): +(?P<message>.*) in (?P<path>\S.*) on line (?P<line>\d+)$"),
        _p(r"(?:called in .* and )?defined in (?P<path>\S.*\.php):(?P<line>\d+)"),
        _p(r".*\[object\] \((?P<exception>[\w\\]+)\(code: \w+\): (?P<message>.*) at (?P<path>\S.*):(?P<line>\d+)\)?$"),
        _p(r"(?:.*\s)?(?P<exception>(?:\w+\\{1,2})*\w*(?:Exception|Error))(?:: (?P<message>.*))? in (?P<path>(?:[A-Za-z]:)?[^:]+\.php):(?P<line>\d+)$"),
    ),
    cause=_p(r"\[previous exception\] |Next (?=[\w\\]+: )"),
    between=_p(r"Stack trace:|\[stacktrace\]|thrown in"),
    callee_named=True,
    tidy=((_p(r"\\\\"), r"\\"), (_p(r"\($"), "")),
)  # fmt: skip

DART = Dialect(
    "dart",
    _p(r"#\d+ +.*\((?:package|dart|file):"),
    frames=(
        _p(r"#\d+ +(?P<function>[^(]*[^(\s]) +\((?P<path>(?:package|dart|file|\w+):[^:()]+):(?P<line>\d+)(?::\d+)?\)"),
    ),
    heads=(
        _p(r"(?P<exception>[A-Z_]\w*(?:Exception|Error)|Exception)(?: \([^)]*\))?(?:: (?P<message>.*))?$"),
        _p(r"(?P<exception>Unhandled exception):(?P<message>.*)$"),
    ),
    between=_p(r"<asynchronous suspension>|=+ asynchronous gap|\.\.\."),
)

C = Dialect(
    "c",
    _p(r"(?m)^.{0,200}?(?:#\d+ +|: runtime error: |\[<[0-9a-f]+>\] |\+0x[0-9a-f]+/0x|Assertion [`'].* failed)"),
    frames=(
        _p(r"#\d+ +(?:0x[0-9a-f]+ in )?(?P<function>[^\s(][^(]*?) \(.*\) at (?P<path>[^:\s][^:]*):(?P<line>\d+)$"),
        _p(r"#\d+ +(?:0x[0-9a-f]+ +)?in (?P<function>\S.*) (?P<path>(?:[A-Za-z]:)?[^\s():]+):(?P<line>\d+)(?::\d+)?$"),
        _p(r"#\d+ +(?:0x[0-9a-f]+ +)?in (?P<function>[^\s(][^(]*?)(?: ?\(.*\))?(?: from \S+)?$"),
        _p(r"#\d+ +(?P<function>[^\s(\[][^(]*?) \(\)$"),
        _p(r"(?:\[<[0-9a-f]+>\] |\[ *\d+\.\d+\] )?(?P<function>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+"),
    ),
    heads=(
        _p(r"==\d+==\s*(?:ERROR|WARNING): (?P<exception>\w+Sanitizer: [\w-]+)(?P<message>.*)$"),
        _p(r"(?P<path>[^\s:]+):(?P<line>\d+):\d+: (?P<exception>runtime error): (?P<message>.*)$"),
        _p(r".*?(?P<path>[^\s:]+\.\w+):(?P<line>\d+): [^`']*(?P<exception>Assertion) [`'](?P<message>.*)' failed"),
        _p(r"BUG: (?P<exception>K\w+: [\w-]+) (?P<message>in .*)$"),
        _p(r"Program received signal (?P<exception>\w+), (?P<message>.*)$"),
    ),
    between=_p(r"Call [Tt]race:|<(?:/?TASK|/?IRQ)>"),
    starts=_p(r"(?:freed|previously allocated|allocated) by |Uninitialized value was|Thread \d+ |Allocated by|Freed by"),
    quoted_head=False,
)  # fmt: skip

ELIXIR = Dialect(
    "elixir",
    _p(r"\.(?:exs?|erl):\d+: "),
    frames=(_p(r"(?:\([^()\s]+(?: [^()\s]+)?\) )?(?P<path>[^\s:()]+\.(?:exs?|erl|eex|heex)):(?P<line>\d+): (?P<function>\S.*)$"),),
    heads=(_p(r"\*\* \((?P<exception>[^()]+)\) ?(?P<message>.*)$"),),
    between=_p(r"\([^()]+\) :?\w+\.\S+/\d+$"),
    tidy=((_p(r"\(.*\)"), ""),),
)  # fmt: skip

RUBY = Dialect(
    "ruby",
    _p(r":\d+:in [`']"),
    frames=(
        _p(r"(?:from |# |\d+: from )?" + _ANY_PATH + r":(?P<line>\d+):in [`'](?P<function>[^']*)'"
           r"(?:: (?P<message>.*?)(?: \((?P<exception>[A-Z][\w:]*)\))?)?$"),
    ),
    heads=(_p(r"(?P<exception>[A-Z][\w:]*(?:Error|Exception|Invalid|NotFound|Interrupt|Failure))(?: \((?P<message>.*)\))?:?(?: (?P<more>.*))?$"),),
    between=_p(r"\.\.\. \d+ levels|Did you mean"),
    tidy=((_p(r"^(?:block|rescue|ensure)(?: \(\d+ levels\))? in "), ""),),
)  # fmt: skip

SWIFT = Dialect(
    "swift",
    _p(r"Fatal error: |Thread \d+ Crashed|\d+ +\S+ +\t?0x[0-9a-f]{8,} "),
    frames=(_p(r"\d+ +\S+(?: \S+){0,5}\s+0x[0-9a-f]{8,} (?P<function>\S.*?)(?: \+ \d+)?(?: \((?P<path>[^():]+):(?P<line>\d+)\))?$"),),
    heads=(
        _p(r"(?P<path>[^:]+\.swift):(?P<line>\d+): (?P<exception>Fatal error): (?P<message>.*)$"),
        _p(r"(?P<exception>Fatal error): (?P<message>.*): file (?P<path>.+), line (?P<line>\d+)$"),
        _p(r"(?P<exception>Fatal error): (?P<message>.*)$"),
    ),
    starts=_p(r"Thread \d+"),
    quoted_head=False,
)  # fmt: skip

COMPILER = Dialect(
    "",
    _p(r"(?:error|ERROR)\b.*|\.go:\d+:\d+: |\.\w+:\[\d+,\d+\] "),
    heads=(
        _p(r"(?:\[ERROR\] )?(?P<path>(?:[A-Za-z]:)?[^:\[]+):\[(?P<line>\d+),\d+\] (?P<message>.*)$"),
        _p(r"e: (?:file://)?(?P<path>\S[^:]*\.kts?):(?P<line>\d+):\d+:? (?P<message>.*)$"),
        _p(r"(?P<path>[^\s:()][^:()]*\.\w+)\((?P<line>\d+),\d+\): (?P<exception>error \w+): (?P<message>.*)$"),
        _p(r"(?P<path>[^\s:()]+\.\w+):(?P<line>\d+):\d+ - (?P<exception>error \w+): (?P<message>.*)$"),
        _p(r"(?P<path>(?:[A-Za-z]:)?[^\s:]+\.\w+):(?P<line>\d+)(?::\d+)?: (?P<exception>(?:fatal )?error)(?: \w+)?: (?P<message>.*)$"),
        _p(r"(?P<path>[^\s:]+\.go):(?P<line>\d+):\d+: (?P<message>.*)$"),
        _p(r"(?P<exception>error(?:\[E\d+\])?): (?P<message>.*)$"),
        _p(r"--> (?P<path>[^\s:]+\.rs):(?P<line>\d+):\d+$"),
    ),
    quoted_head=False,
)  # fmt: skip

# .NET has a reader of its own, since one line may name a whole chain of exceptions.
DOTNET = Dialect("c_sharp", _p(r" in .*:(?:line )?\d|--- End of|at System\.|\[0x[0-9a-f]+\] in "))
DOTNET_FRAME = _p(
    r"(?P<at>at )?(?P<function>[^(]+?) ?\((?P<arguments>[^()]*)\)"
    r"(?: \[0x[0-9a-f]+\])?(?: in (?P<path>.+?):(?:line )?(?P<line>\d+) ?)?$"
)
DOTNET_EXCEPTION = _p(
    r"(?:Unhandled Exception: |System\.AggregateException: )?(?P<exception>(?:[A-Za-z_]\w*\.)+\w*(?:Exception|Error|Fault)\w*)"
    r"(?: \(0x[0-9A-Fa-f]+\))?(?:: (?P<message>.*))?$"
)
DOTNET_TIDY = (
    (_p(r"<(\w+)>[a-z]__[\w|]*(?:\.MoveNext)?"), r"\1"),
    (_p(r"`\d+(?:\[[^\]]*\])?"), ""),
)

# Add here; an earlier dialect takes a line from the later ones.
DIALECTS: tuple[Dialect, ...] = (
    JAVA,
    DOTNET,
    RUST,
    GO,
    GO_TEST,
    JAVASCRIPT,
    PHP,
    DART,
    C,
    ELIXIR,
    RUBY,
    SWIFT,
    COMPILER,
)
