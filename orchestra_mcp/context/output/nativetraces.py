"""The dialects of native code, as data: C, C++ and what is debugged with their tools, the Linux kernel, Swift.

Sources of the formats: the manuals of GDB, LLDB, Valgrind and WinDbg, the sanitizers' documentation of LLVM, glibc's
`backtrace(3)`, the kernel's `bug-hunting` and `kasan` pages, Android's `debuggerd`, Apple's crash report reference.
"""

from __future__ import annotations

from orchestra_mcp.context.output.dialecttraces import Dialect
from orchestra_mcp.context.output.dialecttraces import pattern as _p

_PLACE = r"(?P<path>(?:[A-Za-z]:[\\/])?[^\s():]+):(?P<line>\d+)(?::\d+)?"
_NO_ARGUMENTS = (
    (_p(r"\(anonymous namespace\)::"), ""),
    (_p(r"::h[0-9a-f]{16}\w*$"), ""),  # Rust's hash
    (_p(r"(?<=[\w>~\]=+*/<!-])(?: ?\[abi:\w+\])?\([^()]*(?:\([^()]*\)[^()]*){0,8}\)(?: const)?(?: \[clone [^\]]*\])*$"), ""),
    (_p(r" \[inline\]$|^(?:non-virtual|virtual) thunk to "), ""),
)  # fmt: skip

VALGRIND = Dialect(
    "c",
    _p(r"==\d+== +(?:at|by) 0x[0-9A-F]+: "),
    frames=(
        _p(r"(?:[=-]{2}\d+[=-]{2} +)?(?:at|by) 0x[0-9A-Fa-f]+: (?P<function>\S.*) \((?P<path>[^():]+):(?P<line>\d+)\)$"),
        _p(r"(?:[=-]{2}\d+[=-]{2} +)?(?:at|by) 0x[0-9A-Fa-f]+: (?P<function>[^?\s].*?)(?: \((?:in )?[^()]*\))?$"),
    ),
    heads=(
        _p(r"==\d+== (?P<exception>(?:Invalid|Mismatched|Conditional jump|Use of|Syscall param|Jump to|Source and dest|"
           r"Process terminating|Possible data race|Thread #\d+)\b.*|[\d,]+ (?:\([^)]*\) )?bytes in .*)$"),
    ),
    between=_p(r"==\d+==(?: +(?:If you|overflow|possible|main thread|Access not).*)?$"),
    starts=_p(r"==\d+== +(?:Address 0x|Block was |Uninitialised value|This conflicts|Locks held)"),
    quoted_head=False,
    tidy=_NO_ARGUMENTS,
)  # fmt: skip

WINDBG = Dialect(
    "cpp",
    _p(r"(?m)^(?:[0-9a-f]{1,3} )?[0-9a-f]{8}(?:`[0-9a-f]{8})? [0-9a-f]{8}(?:`[0-9a-f]{8})? .*\w!\S"),
    frames=(
        _p(r"(?:[0-9a-f]{1,3} )?(?:[0-9a-f]{8}(?:`[0-9a-f]{8})? ){2}(?:: (?:[0-9a-f`]{8,17} ){4}: |(?:[0-9a-f]{8} ){3})?"
           r"(?P<function>[\w.]+![^\[\]]+?)(?:\+0x[0-9a-f]+)?(?: \[(?P<path>[^\]@]+?) ?@ ?(?P<line>\d+)\])?$"),
    ),
    heads=(
        _p(r"\([0-9a-f]+\.[0-9a-f]+\): (?P<exception>[\w +/-]+ - code [0-9a-f]{8})(?P<message>.*)$"),
        _p(r"EXCEPTION_CODE: (?:\(NTSTATUS\) )?(?P<exception>0x[0-9a-f]+)(?: \(\d+\))? - (?P<message>.*)$"),
    ),
    between=_p(r"WARNING: |[0-9a-f`]{8,17} [0-9a-f`]{8,17} .*0x[0-9a-f]+$"),
    starts=_p(r"(?:# )?Child-?(?:SP|EBP) +RetAddr|STACK_TEXT:"),
    quoted_head=False,
)  # fmt: skip

KERNEL = Dialect(
    "c",
    _p(r"\+0x[0-9a-f]+/0x[0-9a-f]+|\.c:\d+ \[inline\]"),
    frames=(
        _p(r"(?:RIP: (?:[0-9a-f]{4}:)?|(?:\[<[0-9a-f]+>\] )?)(?P<function>[A-Za-z_][\w.]*)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?(?: \[\w+\])? "
           r"\(?(?P<path>[\w./-]+\.[chS]):(?P<line>\d+)(?: \(discriminator \d+\))?\)?(?: \[inline\])?(?: \[\w+\])?$"),
        _p(r"(?:RIP: (?:[0-9a-f]{4}:)?|(?:pc|PC is at) ?:? ?|\[<[0-9a-f]+>\] |<[0-9a-f]+>)?(?P<function>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+"),
    ),
    heads=(
        _p(r"BUG: (?P<exception>K\w+: [\w-]+) (?P<message>in .*)$"),
        _p(r"(?:BUG: )?(?P<exception>(?:unable|Unable) to handle .*|kernel NULL pointer dereference.*|general protection fault.*|"
           r"Kernel panic - not syncing.*|Internal error.*|INFO: task .* blocked.*)$"),
        _p(r"(?P<exception>kernel BUG) at (?P<path>[\w./-]+):(?P<line>\d+)!$"),
        _p(r"(?P<exception>WARNING): CPU: \d+ PID: \d+ at (?P<path>[\w./-]+):(?P<line>\d+) (?P<message>.*)$"),
    ),
    between=_p(r"Call [Tt]race:|</?(?:TASK|IRQ|NMI)>|Exception stack|[0-9a-f]{4}: |\? |CPU: |Code: |RSP: |R\w\w: |(?:[a-z]\d+ ?: )"),
    starts=_p(r"Allocated by|Freed by|Call [Tt]race:|Last potentially related|Backtrace:"),
    quoted_head=False,
)  # fmt: skip

C = Dialect(
    "c",
    _p(r"(?m)^.{0,200}?(?:#\d+:? +|frame #\d+: |: runtime error: |Assertion|\+0x[0-9a-f]+\) ?\[0x|: Failure$|"
       r"what\(\): |:\d+: FAILED:|:FATAL:|^F\d{4} )"),
    frames=(
        _p(r"(?:\* )?frame #\d+: 0x[0-9a-f]+ [^`]+`(?P<function>[^`]+?)(?: \+ \d+)? at " + _PLACE + r"(?: \[.*\])?$"),
        _p(r"(?:\* )?frame #\d+: 0x[0-9a-f]+ [^`]+`(?P<function>[^`]+?)(?: \+ \d+)?$"),
        _p(r"#\d+ +pc [0-9a-f]+ +\S.*? \((?P<function>(?!BuildId|offset|deleted)[^+]*?(?:\([^()]*\))?[^+]*)\+\d+\)(?: \(BuildId: \w+\))?$"),
        _p(r"#\d+ +(?:0x[0-9a-f]+ in )?(?P<function>[^\s(].*?) (?:@plt )?\(.*\) at " + _PLACE + r"$"),
        _p(r"#\d+:? +(?:0x[0-9a-f]+ +)?in (?P<function>\S.*) (?P<path>(?:[A-Za-z]:[\\/])?[^\s():]+):(?P<line>\d+)(?::\d+)?(?: \(.*\))?$"),
        _p(r"#\d+ +(?P<function>[A-Za-z_~(][^#]*?) " + r"(?P<path>[^\s():]*[./][^\s():]*):(?P<line>\d+)(?::\d+)?(?: \(.*\))?$"),
        _p(r"#\d+:? +(?:0x[0-9a-f]+ +)?in (?P<function>(?!\?\?)[^\s(][^(]*?|\(anonymous namespace\)[^(]*?)(?: ?\(.*\))?(?: const)?(?: from \S+)?$"),
        _p(r"#\d+ +(?P<function>[A-Za-z_~][^(]*?) \(\)(?: from \S+)?$"),
        _p(r"#\d+ +(?P<function>[A-Za-z_~][^(]*?)(?:\(.*\))? <null> \(.*\)$"),
        _p(r"(?:\[bt\][: (]*\d*\)? *)?\S+\((?P<function>[A-Za-z_]\w*)\+0x[0-9a-f]+\) ?\[0x[0-9a-f]+\]$"),
    ),
    heads=(
        _p(r"==\d+== ?(?:ERROR|WARNING): (?P<exception>\w+Sanitizer: [\w-]+)(?P<message>.*)$"),
        _p(r"(?:==\d+== ?)?(?:ERROR|WARNING|FATAL): (?P<exception>\w+Sanitizer: [\w ()-]+?)(?: \(pid=\d+\))?$"),
        _p(r"(?P<path>[^\s:]+):(?P<line>\d+):\d+: (?P<exception>runtime error): (?P<message>.*)$"),
        _p(r"(?:[^:\s]+: )?(?P<path>[^\s:]+\.\w+):(?P<line>\d+): [^`']*(?P<exception>Assertion) [`'](?P<message>.*)' failed"),
        _p(r"(?P<exception>Assertion failed): (?P<message>.*?), (?:function .*?, )?file (?P<path>[^,]+), line (?P<line>\d+)\.?$"),
        _p(r"(?P<path>[^\s:()]+\.(?:cc|cpp|cxx|c|h|hpp))(?::|\()(?P<line>\d+)\)?: (?P<exception>Failure|FAILED):?$"),
        _p(r"\[\d+:\d+:[\d/.]+:(?P<exception>FATAL|ERROR):(?P<path>[^\s()]+)\((?P<line>\d+)\)\] (?P<message>.*)$"),
        _p(r"(?P<exception>F)\d{4} [\d:.]+ +\d+ (?P<path>[^\s:]+):(?P<line>\d+)\] (?P<message>.*)$"),
        _p(r".*?(?:received|terminated with) signal (?P<exception>\w+), (?P<message>.*)$"),
        _p(r".*stop reason = (?:signal )?(?P<exception>\w+)(?: (?P<message>.*))?$"),
        _p(r"(?:.*Fatal )?signal \d+ \((?P<exception>SIG\w+)\),? (?P<message>code.*)$"),
        _p(r"\*\*\* (?P<exception>Error) in `[^']*': (?P<message>.*?)(?: \*\*\*)?$"),
        _p(r"\*\*\* (?P<exception>[\w ]+ detected) \*\*\*: ?(?P<message>.*)$"),
        _p(r"terminate called after throwing an instance of '(?P<exception>[^']+)'$"),
        _p(r"what\(\): +(?P<more>.*)$"),
    ),
    between=_p(r"#\d+ +<signal handler called>|#\d+:? +(?:0x[0-9a-f]+ +)?(?:in \?\?|\()|warning: "),
    starts=_p(r"(?:freed|previously allocated|allocated) by |Uninitialized value was|(?:\* )?[Tt]hread #?\d+|"
              r"(?:Previous |Atomic )?(?:atomic )?(?:read|write|Read|Write) of size|Thread T\d+|(?:In|D)irect leak of|Mutex M\d+|"
              r"Location is |Memory was marked|As if synchronized"),
    quoted_head=False,
    tidy=_NO_ARGUMENTS,
)  # fmt: skip

SWIFT = Dialect(
    "swift",
    _p(r"(?i)fatal error: |Thread \d+ .*Crashed|\d+ +\S+ +\t?0x[0-9a-f]{8,} |first throw call stack|Precondition failed|recorded an issue at|"
       r"Assertion failed: .*\.swift"),
    frames=(
        _p(r"\d+ (?:\[[\w ,]+\] )*0x[0-9a-f]{8,} (?P<function>\S.*?)(?: \+ \d+)? in \S.*? at (?P<path>[^:]+):(?P<line>\d+)(?::\d+)?$"),
        _p(r"\d+ (?:\[[\w ,]+\] )*0x[0-9a-f]{8,} (?P<function>\S.*?)(?: \+ \d+)? in \S+$"),
        _p(r"\d+ +\S+(?: \S+){0,5}\s+0x[0-9a-f]{8,} (?P<function>(?!0x)\S.*?)(?: \+ \d+)?(?: \((?P<path>[^():]+):(?P<line>\d+)\))?$"),
    ),
    heads=(
        _p(r"(?P<path>[^:]+\.swift):(?P<line>\d+): (?P<exception>Fatal error|Precondition failed|Assertion failed)(?:: (?P<message>.*))?$"),
        _p(r"(?P<exception>(?:F|f)atal error|Precondition failed|Assertion failed): (?P<message>.*): file (?P<path>.+), line (?P<line>\d+)$"),
        _p(r"(?P<exception>(?:F|f)atal error|Precondition failed): (?P<message>.*)$"),
        _p(r"\*\*\* Terminating app due to uncaught exception '(?P<exception>[^']+)', reason: '(?P<message>.*)'$"),
        _p(r"Exception Type: +(?P<exception>\S.*)$"),
        _p(r".{1,3}Test (?P<message>\S.*) recorded an issue at (?P<path>[^\s:]+\.swift):(?P<line>\d+):\d+: (?P<more>.*)$"),
    ),
    starts=_p(r"Thread \d+|Last Exception Backtrace"),
    quoted_head=False,
)  # fmt: skip
