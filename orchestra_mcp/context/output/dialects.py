"""The dialects of stack traces, as data: how each runtime prints an exception and its frames.

A row is a `Dialect` (see there what the groups of its patterns mean); native code has its rows in `nativetraces`.
Python, pytest, notebooks and .NET nest or order their blocks in ways of their own; `traces` has a reader for each. All
others are read by one procedure that this table steers. `tests/test_traces.py` holds hostile input against all patterns.
"""

from __future__ import annotations

from orchestra_mcp.context.output.dialecttraces import Dialect
from orchestra_mcp.context.output.dialecttraces import pattern as _p
from orchestra_mcp.context.output.nativetraces import KERNEL, SWIFT, VALGRIND, WINDBG, C

_ANY_PATH = r"(?P<path>(?:[A-Za-z]:)?(?:<internal:[^>]{1,300}>|[^:\s][^:]*))"
_JVM_FILE = r"[^():]+\.(?:java|kts?|scala|groovy|clj[cs]?)"

JAVA = Dialect(
    "java",
    _p(r"(?m)^.{0,200}?(?:\bat [^(]{1,300}\((?:[^():\s]+\.(?:java|kts?|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source|SourceFile)"
       r"|<<< (?:FAILURE|ERROR)!|[\w$.]+ at [\w$]+\.(?:java|kt|groovy|scala):\d+$|\(\w+\.scala:\d+\)$|Tests run: \d+)"),
    frames=(
        _p(r"at (?:[^/()\s$]*/){0,3}(?P<function>[^/()]+?(?:/0x[0-9a-f]+\.[^()\s]+)?) ?"
           rf"\((?:(?P<path>{_JVM_FILE})(?::(?P<line>\d+))?|(?:Native Method|Unknown Source|SourceFile|<generated>|Proguard|PG|:)(?::?\d+)?)\)"),
    ),
    heads=(
        _p(r'(?:Exception in thread "[^"]*" )?(?P<exception>(?!java\.lang\.Thread\.State)(?:[\w$]+\.)+[\w$]+)(?:: (?P<message>.*))?$'),
        _p(r'(?:Exception in thread "[^"]*" )?(?P<exception>[A-Z][\w$]*(?:Exception|Error|Throwable|Failure))(?:: (?P<message>.*))?$'),
        _p(r"(?P<exception>(?:[\w$]+\.)*[A-Z][\w$]*) at (?P<path>[\w$]+\.(?:java|kt|groovy|scala)):(?P<line>\d+)$"),  # Gradle
        _p(r".*?(?<![\w.$])(?P<exception>[a-z]\w*\.[\w$.]*(?:Exception|Error|Throwable))(?:: (?P<message>.*))?$"),
        _p(r"(?:\[ERROR\] +)?(?P<function>(?:[\w$]+\.)+[\w$]+)(?:\[[^\]]*\])? (?:-- )? ?Time elapsed: .* <<< (?:FAILURE|ERROR)!"),  # Surefire
        _p(r"(?:\[ERROR\] +)?(?P<test>\w+)\((?P<suite>[\w.$]+)\) +Time elapsed: .* <<< (?:FAILURE|ERROR)!"),
        _p(r"(?:\[ERROR\] +)?(?P<function>[A-Z]\w*(?:>\w+)?\.(?!(?:java|kts?|scala|groovy)\b)\w+)(?::(?P<line>\d+))?(?:->\S+)? (?P<message>» .*|(?<=\d ).*)$"),
        _p(r"(?P<message>.*\S) \((?P<path>\w+\.scala):(?P<line>\d+)\)$"),  # ScalaTest
    ),
    cause=_p(r"Caused by: "),
    effect=_p(r"Wrapped by: "),
    between=_p(r"\.\.\. \d+ (?:more|common frames)|\[CIRCULAR REFERENCE|- (?:locked|waiting|parking|eliminated)|(?:at )?.?\(Coroutine |"
               r"java\.lang\.Thread\.State: |\|"),
    starts=_p(r'Suppressed: |"[^"]+" (?:#\d+ |prio=|daemon |Id=|os_prio=)'),
)  # fmt: skip

_JS_AT = r"at (?:async )?(?P<function>[^(]*?)(?: \[as [^\]]*\])? "
JAVASCRIPT = Dialect(
    "javascript",
    _p(r"(?m)^.{0,300}?(?:\bat .*:\d+:\d+\)?(?:,| \{)?|\bat .*\.[cm]?[jt]sx?:\d+\)|@.*:\d+(?::\d+)?|❯ .*:\d+:\d+|> eval:\d+.*|of linked script .*|\(at [^()\n]+:\d+\))[ \t]*$"),
    frames=(
        _p(_JS_AT + r"\(eval at .*\((?P<path>[^()]+):(?P<line>\d+):\d+\)"),
        _p(_JS_AT + r"\((?:address at )?(?P<path>[^\s].*):(?P<line>\d+):(?P<column>\d+)\)(?:,| \{)?$"),
        _p(r"at (?:async )?(?P<path>[^\s()].*):(?P<line>\d+):(?P<column>\d+)(?:,| \{)?$"),
        _p(r"at (?P<function>(?:async |new )?[^\s(]+(?: \[as [^\]]*\])?) \((?:<anonymous>|native|index \d+)\)$"),
        _p(_JS_AT + r"\((?P<path>[^\s()]+\.[cm]?[jt]sx?):(?P<line>\d+)\)$"),  # Angular on old browsers
        _p(r"in (?P<function>[\w.$()]+) \(at (?P<path>[^():]+):(?P<line>\d+)\)$"),  # React
        _p(r"❯ (?:(?P<function>[^:/]{1,200}?) )?(?P<path>[^\s:]+(?:://[^\s:]+(?::\d+)?[^\s:]*)?):(?P<line>\d+):(?P<column>\d+)$"),  # Vitest
        _p(r"(?P<function>[^@\s]*(?: [^@\s]+){0,6})@(?P<path>(?:[a-z-]+://|/|[A-Za-z]:\\|\[native)[^\s>]*) line (?P<line>\d+) > (?:eval|Function)"),
        _p(r"(?P<function>[^@\s]*(?: [^@\s]+){0,6})@(?P<path>(?:[a-z-]+:/|/|[A-Za-z]:\\|\w[\w./-]*\.[cm]?[jt]sx?).*?):(?P<line>\d+)(?::(?P<column>\d+))?$"),
        _p(r"(?P<function>[^@\s]*(?: [^@\s]+){0,3})@\[native code\]$"),
        _p(r"Line (?P<line>\d+) of (?:linked|inline#\d+|function) script (?P<path>[^\s:]+:[^\s:]*(?::\d+)?[^\s:]*)(?:: In function (?P<function>\S+))?$"),
    ),
    heads=(
        _p(r"(?:Uncaught )?(?:\(in promise\) )?(?:[a-z]+: )?(?P<exception>(?:[A-Z]\w*\.)?[A-Z]\w*(?:Error|Exception|Violation)|Error|Exception|DOMException|"
           r"Invariant Violation)(?: \[[\w-]+\])?(?: \([^)]*\))?(?:: (?P<message>.*))?\s*\{?$"),
        _p(r"Unhandled (?:Promise )?Rejection (?:at: Promise .* reason: |\()(?P<exception>[A-Z]\w*(?:Error|Exception))\)?: (?P<message>.*)$"),
        _p(r"(?P<exception>error): (?P<message>.*)$"),
        _p(r"(?:● |FAIL )\s*(?P<message>.+)$"),
        _p(r"(?P<path>(?:file:///?|/|[A-Za-z]:[\\/])[^:]*\.[cm]?[jt]sx?):(?P<line>\d+)$"),
    ),
    airy_head=True,
    cause=_p(r"(?:\[cause\]: |Caused by: )"),
    between=_p(r"\d+ ?\||\||\^+$|\.\.\. \d+ lines matching|\[(?:errors|cause)\]: \[?$|[\]}],?$|at (?:<anonymous>|<Jasmine>)$"),
    code=_p(r"(?:> *)?(?P<line>\d+) ?\| ?(?P<code>.*)$"),
    tidy=((_p(r"^(?:async|new) "), ""), (_p(r" \[as [^\]]*\]$"), ""), (_p(r"(?<=[\w>])\(.*\)$"), "")),
)  # fmt: skip

GO = Dialect(
    "go",
    _p(r"(?m)^.{0,200}?(?:goroutine \d+ \[|panic: |fatal error: |\.go:\d+ \+0x|DATA RACE|^[ \t]*\d+ +0x[0-9a-f]{6,} in |\.go:\d+ +\w+\()"
       r"|^[\w./()*-]+\n[ \t]+/?\S+\.go:\d+$"),
    frames=(
        _p(r"(?:at )?(?P<path>(?:[A-Za-z]:)?[^:\s][^:]*\.(?:go|s|c|cpp)):(?P<line>\d+)(?: \+0x[0-9a-f]+.*| \(PC: 0x[0-9a-f]+\))?$"),
        _p(r"[\w./-]+ +(?P<path>[\w.-]+\.(?:go|s|c)):(?P<line>\d+) +(?P<function>[^\s(]*(?:\(\*?\w+\)[^\s(]*)?)\("),  # panicparse
    ),
    heads=(
        _p(r"(?:.*\s)?(?P<exception>panic|fatal error): (?P<message>.*)$"),
        _p(r"(?:http: )?(?P<exception>panic) serving [^ ]*: (?P<message>.*)$"),
        _p(r"WARNING: (?P<exception>DATA RACE)$"),
    ),
    between=_p(r"\[originating from goroutine|\.\.\.additional frames elided"),
    starts=_p(r"goroutine \d+ (?:gp=\S+ m=\S+ )?(?:mp=\S+ )?\[|Goroutine \d+ \(|runtime stack:|(?:Previous )?(?:atomic )?(?:read|write|Read|Write) at 0x|"
              r"\d+: [\w ,]+ \[(?:Created by|locked|\d)"),
    function_line=_p(r"(?:\d+ +0x[0-9a-f]+ in |created by )?(?P<function>[^\s:]+?)(?:\([^()]*\)| in goroutine \d+|\(\.\.\.\))?$"),
    prelude=_p(r"runtime\."),
)  # fmt: skip

GO_TEST = Dialect(
    "go",
    _p(r"(?m)^[ \t]*--- FAIL: "),
    frames=(_p(r"(?:Error Trace:\s+)?(?P<path>(?:[A-Za-z]:)?[^:\s]+\.go):(?P<line>\d+)(?:: (?P<message>.*)|:)?$"),),
    heads=(_p(r"(?:--- FAIL: |=== (?:RUN|CONT|NAME) +)(?P<message>\S+)(?: \([\d.]+s\))?$"),),
    between=_p(r"(?:Error|Test|Messages|expected|actual)\s*:|=== PAUSE"),
    failed=_p(r"--- FAIL: (\S+)"),
)

RUST = Dialect(
    "rust",
    _p(r"(?m)panicked at |^[ \t]*\d+: +0x[0-9a-f]{6,} - |(?i:stack backtrace:)|━ BACKTRACE ━|The application panicked"),
    frames=(_p(r"at " + _ANY_PATH + r":(?P<line>\d+)(?::\d+)?$"),),
    heads=(
        _p(r".*?thread '[^']*'(?: \(\d+\))? (?P<exception>panic)ked at '(?P<message>.*)', (?P<path>[^:]+):(?P<line>\d+)(?::\d+)?$"),
        _p(r".*?thread '[^']*'(?: \(\d+\))? (?P<exception>panic)ked at (?P<path>(?:[A-Za-z]:)?[^:']+):(?P<line>\d+):\d+:$"),
        _p(r".*?thread '[^']*'(?: \(\d+\))? (?P<exception>panic)ked at '(?P<message>[^']*)$"),
        _p(r"(?P<exception>Error): (?P<message>.*)$"),  # anyhow
        _p(r"Message: +(?P<message>.*)$"),  # color-eyre
        _p(r"(?:Location: *)?(?P<path>(?:[A-Za-z]:)?[^:\s'`]+\.rs):(?P<line>\d+)(?::\d+)?$"),
        _p(r"[^#]*', (?P<path>[^:'\s]+\.rs):(?P<line>\d+):\d+$"),
    ),
    between=_p(r"(?i:stack backtrace:)|note: |error: test failed|⋮|━|Location:"),
    function_line=_p(r"\d+: +(?:0x[0-9a-f]+ - )?(?P<function>\S.*)$"),
    bare_functions=True,
    tidy=((_p(r"::h[0-9a-f]{16}\w*$"), ""),),
)  # fmt: skip

XDEBUG = Dialect(
    "php",
    _p(r"(?m)^(?:.{0,100}?PHP)? +\d+\. \S+\(.*\) \S+:\d+$"),
    frames=(_p(r"(?:PHP +)?\d+\. (?P<function>[^\s(]+)\(.*\) (?P<path>\S.*):(?P<line>\d+)$"),),
    heads=(
        _p(r"(?:PHP )?[A-Z][a-z]+ [a-z]+: +Uncaught (?P<exception>[\w\\]+)(?:: (?P<message>.*?))? in (?P<path>(?:[A-Za-z]:)?[^:]+)(?::| on line )(?P<line>\d+)$"),
        _p(r"(?:PHP )?(?P<exception>(?:Fatal error|Parse error|Warning|Notice|Deprecated)): +(?P<message>.*) in (?P<path>\S.*) on line (?P<line>\d+)$"),
    ),
    between=_p(r"(?:PHP )?Stack trace:"),
    callee_named=True,
    outermost_first=True,
)  # fmt: skip

# Laravel's Collision, PHPUnit, Pest and the console of Symfony.
PHP_TEST = Dialect(
    "php",
    _p(r"(?m)▕|^ *at \S.*\.php:\d+ *$|^\d+\) [\w\\]+::\w+|^[ \t]*In \S+\.php line \d+:|^[ \t]*(?:at )?\S+\(.*\) at \S+\.php:\d+|^[ \t]*at .*\(\S+\.php:\d+\)$"),
    frames=(
        _p(r"(?:at )?(?P<function>[\w\\]+(?:->|::)[\w{}\\]+)\(.*\) at (?P<path>\S.*\.php):(?P<line>\d+)$"),
        _p(r"at (?P<function>[\w\\]+(?:(?:->|::)[\w{}\\]+)?)\(.*\) ?\((?P<path>\S.*\.php):(?P<line>\d+)\)$"),
        _p(r"(?:at |\d+ +)?\(?(?P<path>(?:[A-Za-z]:)?[^\s:()][^:()]*\.php):(?P<line>\d+)\)?$"),
    ),
    heads=(
        _p(r"(?P<exception>[A-Z]\w*(?:\\\w+)*(?:Exception|Error))$"),
        _p(r"\d+\) (?P<message>[\w\\]+::\w+.*)$"),
        _p(r"(?:In )(?P<path>\S+\.php) line (?P<line>\d+):$"),
        _p(r"\[(?P<exception>[A-Z]\w*(?:\\\w+)*)\]$"),
    ),
    airy_head=True,
    between=_p(r"\+\d+ vendor frames|➜|\d+▕|[\w\\]+(?:::|->)[\w{}\\]+\("),
    code=_p(r"(?:➜ *)?(?P<line>\d+)▕(?P<code>.*)$"),
)  # fmt: skip

_PHP_LEAD = r"(?:(?:\[[^\]]{0,100}\] ?){1,8}|.{0,300}?(?:PHP message|stderr): )?(?:\"?PHP )?"
PHP = Dialect(
    "php",
    _p(r"#\d+ (?:\S.*\(\d+\): |\[internal function\]|\{main\})|\.php:\d+|\.php on line \d+|\.php\(\d+\)"),
    frames=(
        _p(r"#\d+ (?P<path>\S.*?)\((?P<line>\d+)\)(?: : eval\(\)'d code(?:\(\d+\))?)?: (?P<function>[^\s(]+)"),
        _p(r"#\d+ (?P<path>\S.*?)\((?P<line>\d+)\)$"),
        _p(r"#\d+ (?:\[internal function\]: )?(?P<function>\{main\}|[^\s(]+\()"),
    ),
    heads=(
        _p(_PHP_LEAD + r"[A-Z][a-z]+ [a-z]+: +Uncaught (?P<exception>[\w\\]+): (?P<message>.*), called in (?P<caller>\S.*) on line (?P<caller_line>\d+) "
           r"and defined in (?P<path>\S.*):(?P<line>\d+)"),
        _p(_PHP_LEAD + r"[A-Z][a-z]+ [a-z]+: +Uncaught (?P<exception>[\w\\]+)(?:: (?P<message>.*?))? in (?P<path>(?:[A-Za-z]:)?[^:]+)(?::| on line )(?P<line>\d+)$"),
        _p(_PHP_LEAD + r"[A-Z][a-z]+ [a-z]+: +Uncaught (?P<exception>[\w\\]+)(?:: (?P<message>.*))?$"),
        _p(_PHP_LEAD + r"(?P<exception>(?:Fatal error|Parse error|Warning|Notice|Deprecated)): +(?P<message>.*) in (?P<path>\S.*) on line (?P<line>\d+)"),
        _p(r"(?:.* )?called in (?P<caller>\S.*) on line (?P<caller_line>\d+) and defined in (?P<path>\S.*\.php):(?P<line>\d+)"),
        _p(r"(?:.* )?defined in (?P<path>\S.*\.php):(?P<line>\d+)"),
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
    _p(r"#\d+ +.*\((?:package|dart|file|\S*\.dart):|\.dart:? \d+:\d+ |\.dart': Failed assertion|thrown (?:building|during|while|in)|Unhandled Exception: "),
    frames=(
        _p(r"#\d+ +(?P<function>[^(]*[^(\s]) +\((?P<path>(?:\w+:[^:()]+|[^:()]*\.dart)):(?P<line>\d+)(?::\d+)?\)"),
        _p(r"(?P<path>(?:package:|dart:|file:)?[\w./+%-]+\.dart|dart:[\w/.-]+) (?P<line>\d+)(?::\d+)? +(?P<function>\S.*)$"),
        _p(r"(?:\S+ )?(?P<function>[A-Z]\w*):(?P<path>file://[^:\s]+\.dart):(?P<line>\d+):\d+$"),
    ),
    heads=(
        _p(r"'(?P<path>[^']+\.dart)': (?P<exception>Failed assertion): line (?P<line>\d+) pos \d+: (?P<message>.*)$"),
        _p(r"The following (?P<exception>[\w<> ]+?)(?: exception| object| was|) ?was thrown (?P<message>.*)$"),
        _p(r"(?:\[ERROR:[^\]]*\] )?(?P<exception>Unhandled [Ee]xception):(?P<message>.*)$"),
        _p(r"(?P<exception>[A-Z_]\w*(?:Exception|Error|Failure)|Exception)(?: \([^)]*\))?(?:: (?P<message>.*))?$"),
    ),
    between=_p(r"<asynchronous suspension>|=+ asynchronous gap|\.\.\.|\(elided|When the exception was thrown"),
    tidy=((_p(r"^new "), ""),),
)  # fmt: skip

ERLANG = Dialect(
    "erlang",
    _p(r"\{file, ?\"|\[file: ~?c?['\"]|\.erl, line \d+\)"),
    frames=(_p(r"(?:in function|in call from|called from|called as) +(?P<function>[^\s(]+)[^()]*\((?P<path>[^(),]+\.[eh]rl), line (?P<line>\d+)\)"),),
    many=_p(r"\{:?(?P<function>[\w.'\"]{1,100}, ?:?[^\s,{}\[\]]{1,100}),(?:[^{}]{0,300}?), ?\[(?:\{file, ?\"(?P<path>[^\"]+)\"\}, ?\{line, ?(?P<line>\d+)\}|"
            r"file: ~?c?['\"](?P<path2>[^'\"]+)['\"], line: (?P<line2>\d+))"),
    heads=(
        _p(r"\*\* (?P<exception>exception \w+): (?P<message>.*)$"),
        _p(r"\*\* (?P<exception>Reason for termination) ==? ?(?P<message>.*)$"),
        _p(r"\*\* \((?P<exception>[A-Za-z][\w. ]*)\) ?(?P<message>.*)$"),
    ),
    tidy=((_p(r"^'?Elixir\.|[\"']"), ""), (_p(r", ?:?"), ":")),
)  # fmt: skip

ELIXIR = Dialect(
    "elixir",
    _p(r"\.(?:exs?|erl):\d+:"),
    frames=(
        _p(r"(?:└─ )?(?:\([^()\s]+(?: [^()\s]+)?\) )?(?P<path>[^\s:()]+\.(?:exs?|erl|l?eex|heex)):(?P<line>\d+)(?::\d+)?: (?P<function>\S.*)$"),
        _p(r"└─ (?P<path>[^\s:()]+\.(?:exs?|erl|l?eex|heex)):(?P<line>\d+)(?::\d+)?$"),
    ),
    heads=(
        _p(r"(?:.*?\s)?\*\* \((?P<exception>\w*(?:CompileError|SyntaxError|TokenMissingError|MismatchedDelimiterError))\) "
           r"(?P<path>[^\s:()]+):(?P<line>\d+):(?:\d+:)? ?(?P<message>.*)$"),
        _p(r"(?:.*?\s)?\*\* \((?P<exception>[^()]+)\) ?(?P<message>.*)$"),
        _p(r"(?:== )?(?P<exception>(?:error|Compilation error in file)):? (?P<message>.*)$"),
        _p(r"(?P<path>[^\s:()]+\.exs):(?P<line>\d+)$"),
        _p(r"(?P<exception>Assertion with \S+ failed|Expected \w+ .*)$"),
    ),
    place_outermost=True,
    between=_p(r"\([^()]+\) :?[\w.]+\.\S+/\d+$|stacktrace:|code: |left: |right: |arguments: "),
    starts=_p(r"Client #PID<"),
    tidy=((_p(r"^\((\w+)\)$"), r"\1"), (_p(r"\([^()]*(?:\([^()]*\)[^()]*){0,20}\)"), ""), (_p(r"\(.*\)$"), "")),
)  # fmt: skip

RUBY = Dialect(
    "ruby",
    _p(r":\d+:in [`']|\(\S+\.rb:\d+\)|\w at \S+\.rb:\d+|(?m:\[\S+\.rb:\d+\]:$)|(?m:^[ \t]*# \S+\.rb:\d+$)|(?:rails test|rspec) \S+\.rb:\d+"),
    frames=(
        _p(r"(?:(?P<number>\d+): )?(?:from |# )?" + _ANY_PATH + r":(?P<line>\d+):in [`'](?P<function>[^`]*?)'"
           r"(?:: (?P<message>.*?)(?: \((?P<exception>[A-Z][\w:]*)\))?)?$"),
        _p(r"(?P<function>[\w.$<>!?=]+) at (?P<path>(?:[A-Za-z]:)?[^\s:]+\.(?:rb|java)):(?P<line>\d+)$"),  # JRuby
        _p(r"(?:at )?(?P<function>[\w.$<>!?=]+)\((?P<path>[^():]+\.(?:rb|java)):(?P<line>\d+)\)$"),
        _p(r"(?:from |# )(?P<path>[^:\s][^:]*\.(?:rb|rake)):(?P<line>\d+)$"),
    ),
    heads=(
        _p(r"(?P<exception>[A-Z][\w:]*(?:Error|Exception|Invalid|NotFound|Interrupt|Failure|Expired|Timeout))(?: \((?P<message>.*)\))?:?(?: (?P<more>.*))?$"),
        _p(r"(?P<message>[^\s/#].*) \((?P<exception>[A-Z][\w:]*(?:Error|Exception))\):?$"),
        _p(r"(?P<message>\S+#\S+) \[(?P<path>[^\]:]+):(?P<line>\d+)\]:$"),
        _p(r"Failure/(?P<exception>Error): (?P<message>.*)$"),
        _p(r"(?:bin/)?(?:rails test|rspec) (?P<path>[^\s:]+\.rb):(?P<line>\d+)(?: # (?P<message>.*))?$"),
    ),
    cause=_p(r"Caused by:? ?|-+ Caused by: -+$"),
    between=_p(r"\.\.\. \d+ levels|Did you mean"),
    tidy=((_p(r"^(?:block|rescue|ensure)(?: \(\d+ levels\))? in "), ""),),
)  # fmt: skip

# faulthandler and py-spy print the innermost call first.
PYTHON_DUMP = Dialect(
    "python",
    _p(r"\(most recent call first\)|(?m:^Thread (?:0x)?[0-9A-F]+ \((?:active|idle))"),
    frames=(
        _p(r'File "(?P<path>[^"]+)", line (?P<line>\d+) in (?P<function>\S+)$'),
        _p(r"(?P<function>[\w<>.]+) \((?P<path>[^():]+\.(?:pyx?|so)):(?P<line>\d+)\)$"),
    ),
    heads=(
        _p(r"(?P<exception>Fatal Python error): (?P<message>.*)$"),
        _p(r"(?P<exception>Windows fatal exception): (?P<message>.*)$"),
    ),
    between=_p(r"\.\.\.$"),
    starts=_p(r"(?:Current thread|Thread) (?:0x)?[0-9A-Fa-f]+ "),
)

COMPILER = Dialect(
    "",
    _p(r"[Ee]rror\b|ERROR\b|\.go:\d+:\d+: |\.\w+:\[\d+,\d+\] |undefined reference|(?m:^e: )|\.py:\d+:\d+: [A-Z]\d+|In \[\w+\] at: "),
    heads=(
        _p(r"(?:\[ERROR\] )?(?P<path>(?:[A-Za-z]:)?[^:\[]+):\[(?P<line>\d+),\d+\] (?P<message>.*)$"),
        _p(r"(?:e: |\[ERROR\] )(?:file://)?(?P<path>\S[^:]*\.kts?):(?: ?\(|)(?P<line>\d+)[:,] ?\d+\)?:? (?P<message>.*)$"),
        _p(r"(?P<path>(?:[A-Za-z]:)?[^\s:()][^:()]*\.\w+)\((?P<line>\d+)(?:,\d+){0,3}\) ?: (?P<exception>(?:fatal )?error \w+): (?P<message>.*)$"),
        _p(r"(?P<path>[^\s:()]+\.\w+):(?P<line>\d+):\d+ - (?P<exception>error \w+): (?P<message>.*)$"),
        _p(r"(?:.{0,200}: )?(?P<path>(?:[A-Za-z]:)?[^\s:()]+\.\w+):(?P<line>\d+): (?P<message>undefined reference .*)$"),
        _p(r"(?P<path>(?:[A-Za-z]:)?[^\s:]+\.\w+):(?P<line>\d+)(?::\d+)?: (?P<exception>(?:fatal )?[Ee]rror)(?: \w+)?: (?P<message>.*)$"),
        _p(r"(?:vet: )?(?P<path>[^\s:]+\.go):(?P<line>\d+):\d+: (?P<message>.*)$"),
        _p(r"(?P<path>[^\s:]+\.pyi?):(?P<line>\d+):\d+: (?P<exception>[A-Z]+\d+):? (?P<message>.*)$"),
        _p(r"ERROR in (?P<path>\.?[^\s:()]+\.\w+)(?:[: ]|\()(?P<line>\d+)[:,]\d+(?:-\d+)?\)?(?:: ?(?P<message>.*))?$"),
        _p(r"In \[\w+\] at: (?P<path>[^\s:]+\.go):(?P<line>\d+)(?: @ .*)?$"),  # Ginkgo
        _p(r"(?P<exception>error(?:\[E\d+\])?): (?P<message>.*)$"),
        _p(r"(?:-->|:::|╭─\[|┌─) ?(?P<path>[^\s:]+\.\w+):(?P<line>\d+):\d+\]?$"),
    ),
    quoted_head=False,
)  # fmt: skip

# .NET has a reader of its own, since one line may name a whole chain of exceptions. The framework is translated: `at`
# and `in …:line 12` have a form in each language.
DOTNET = Dialect(
    "c_sharp",
    _p(
        r" in .*:(?:line )?\d|--- End of|\bat (?:\(wrapper |System\.|Microsoft\.)|\[0x[0-9a-f]+\] in |(?m::\S{1,12} \d+\.?[ \t]*$)|\(at [^()\s]+\.cs:\d+\)|Version=\d|\.cs\(\d+,\d+\): at |"
        r"(?m:^[ \t]*at [\w.`<>+|\[\]]+\.[\w.`<>+|\[\]]+ ?\((?:\w+ \w+|\)))|(?m:^[ \t]*(?:в|bei|à|在|場所|위치:|konum:) \S+\.\S+\()"
    ),
)
_AT = r"(?P<at>(?:at|в|bei|à|en|in|em|w|v|bij|vid|ved|hos|在|於|場所|위치:|konum:)\s+)"
DOTNET_FRAMES = (
    _p(r"(?P<path>(?:[A-Za-z]:)?[^:()]+\.\w+)\((?P<line>\d+),\d+\): (?P<at>at )(?P<function>[^(]+?) ?\((?P<arguments>[^()]*)\)$"),  # xunit
    _p(r"(?P<at>)(?P<function>[\w.<>`/+:]+) ?\((?P<arguments>[^()]*)\) \(at (?P<path>[^()]+):(?P<line>\d+)\)$"),  # Unity
    _p(r"(?P<at>at )(?P<function>[^\s(]+) ?\((?P<arguments>[\w.-]+, Version=[^():]*)(?:: (?P<path>.+?):(?P<line>\d+))?\)$"),  # Application Insights
    _p(_AT + r"?(?:\(wrapper [\w-]+\) )?(?P<function>[^(]+?) ?\((?P<arguments>[^()]*(?:\([^()]*\)[^()]*){0,8})\)"
       r"(?: \[0x[0-9a-f]+\])?(?: \S{1,12} (?P<path>(?:[A-Za-z]:)?[^\s:<>][^:<>]*):(?:[^\d\s:]{1,12} )?(?P<line>\d+)\.? ?| (?:in )?<[^>]*>:0 ?)?$"),
)  # fmt: skip
DOTNET_INNER = _p(r"-{3} .*(?:inner|intern|внутренн|内部|wewnętrz|vnitřní|내부|İç ).*-{3}$")
# Add here: what stands before an exception that nobody caught.
DOTNET_UNHANDLED = _p(
    r"^(?:Unhandled exception|Unbehandelte Ausnahme|Exception non gérée|Excepción no controlada|Eccezione non gestita|"
    r"Exceção [Ss]em [Tt]ratamento|Необработанное исключение|未经处理的异常|未處理的例外狀況|ハンドルされていない例外|"
    r"처리되지 않은 예외|Nieobsłużony wyjątek|Neošetřená výjimka|İşlenmeyen [Öö]zel [Dd]urum)\s?[.:：]\s{0,4}"
)
DOTNET_EXCEPTION = _p(
    r"(?:Unhandled Exception: |System\.AggregateException: )?(?P<exception>(?:[A-Za-z_]\w*\.)*\w*(?:Exception|Error|Fault)\w*)"
    r"(?: \(0x[0-9A-Fa-f]+\))?(?: ?: (?P<message>.*))?$"
)
DOTNET_TIDY = (
    (_p(r"<<(\w+)>b__\w+>d(?:__\d+)?(?:\.MoveNext)?"), r"\1"),
    (_p(r"<Main>\$"), "Main"),
    (_p(r"<>c(?:__DisplayClass\d+_\d+)?(?:`\d+)?\."), ""),
    (_p(r"<(\w+)>[a-z]__[\w|]*(?:`\d+)?(?:\.MoveNext)?"), r"\1"),
    (_p(r"`\d+(?:\[[^\]]*\])?"), ""),
    (_p(r"\[[^\[\]]*\]$"), ""),
)

# Add here; an earlier dialect takes a line from the later ones.
DIALECTS: tuple[Dialect, ...] = (
    VALGRIND,
    PYTHON_DUMP,
    JAVA,
    DOTNET,
    RUST,
    GO,
    GO_TEST,
    XDEBUG,
    PHP,
    PHP_TEST,
    JAVASCRIPT,
    DART,
    WINDBG,
    KERNEL,
    C,
    ERLANG,
    ELIXIR,
    RUBY,
    SWIFT,
    COMPILER,
)
