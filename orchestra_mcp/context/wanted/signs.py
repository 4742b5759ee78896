"""What lines give away: where untrusted input enters and what it can reach, and work that grows with the input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread

from orchestra_mcp.context.code import uses
from orchestra_mcp.context.packing import Candidate
from orchestra_mcp.context.wanted.scene import Scene, Spot, listing, shown
from orchestra_mcp.paths import aside
from orchestra_mcp.types import Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_LINE = 400
"""Characters of a line in which signs are looked for."""
MAX_FILE_LINES = 4_000
PER_FILE = 12
MAX_LOOP_LINES = 400

ENTRIES: tuple[tuple[str, str], ...] = (
    # What it is → how it is written, in any language. The first row that matches a line names it. Add here.
    ("route", r"@\w+(?:\.\w+)*\.(?:route|get|post|put|patch|delete|websocket|api_route)\(|\b(?:app|router|server|r|mux|api)\.(?:get|post|put|patch|delete|all|use|HandleFunc|Handle|GET|POST|PUT|DELETE)\(|@(?:Request|Get|Post|Put|Delete|Patch)Mapping|\b(?:re_)?path\(\s*r?['\"]|\burlpatterns\b|\[Http(?:Get|Post|Put|Delete)|http\.HandleFunc"),
    ("request data", r"\brequest\.(?:args|form|json|get_json|files|values|cookies|headers|data|body|query_params|GET|POST|FILES|META|COOKIES|path_params)\b|\breq\.(?:body|query|params|headers|cookies|files?)\b|\bparams\[|\$_(?:GET|POST|REQUEST|COOKIE|FILES|SERVER)\b|getParameter\(|\br\.(?:FormValue|URL\.Query|Body|Header)\b|@(?:RequestParam|RequestBody|PathVariable)"),
    ("SQL built from text", r"(?i)(?:execute|executemany|query|raw|prepare|cursor)\w*\(\s*(?:f['\"]|['\"][^'\"]{0,200}['\"]\s*(?:%|\+|\.format\()|`[^`]{0,200}\$\{)|\b(?:select|insert into|update|delete from)\b[^'\"`]{0,160}(?:['\"]\s*(?:\+|%|\.format\()|\$\{|\{\w)"),
    ("runs a program", r"\bsubprocess\.\w+\(|\bos\.(?:system|popen|exec\w+|spawn\w+)\(|\bchild_process\b|\bexec(?:Sync|File|FileSync)?\(|\bspawn(?:Sync)?\(|Runtime\.getRuntime\(\)|\bProcessBuilder\b|\bexec\.Command\(|\bshell_exec\(|\bProcess\.Start\("),
    ("runs text as code", r"(?<![.\w])(?:eval|exec)\(|\bnew Function\(|\bcompile\([^)\n]{0,80}['\"]exec['\"]|__import__\(|import_module\("),
    ("deserialises", r"\b(?:pickle|cPickle|dill|shelve|marshal)\.loads?\(|\byaml\.(?:load|unsafe_load|full_load)\(|\bunserialize\(|ObjectInputStream|\bMarshal\.load|BinaryFormatter|\bjsonpickle\.|\bXMLParser\b|\betree\.(?:parse|fromstring|XML)\(|\bminidom\b|\btorch\.load\(|\bjoblib\.load\("),
    ("unescaped output", r"\binnerHTML\b|dangerouslySetInnerHTML|\bdocument\.write\(|\|\s*safe\b|\bmark_safe\(|render_template_string\(|\bhtml_safe\b|\bv-html\b"),
    ("path from outside", r"\bsend_(?:file|from_directory)\(|\b(?:extractall|unpack_archive)\(|\bopen\([^)\n]{0,80}(?:request|argv|params|filename|user)|\bsendFile\("),
    ("fetches a URL", r"\b(?:requests|httpx|urllib\.request|aiohttp)\.(?:get|post|put|urlopen|request)\(|\burlopen\(|\bfetch\(|\baxios\b"),
    ("arguments", r"\bsys\.argv\b|\bargparse\b|\bprocess\.argv\b|\bos\.Args\b|\bARGV\b|@(?:click|app)\.(?:command|argument|option)\b|\bflag\.(?:String|Int|Parse)\b|\benv::args\b"),
    ("standard input", r"\bsys\.stdin\b|(?<![.\w])input\(|\bprocess\.stdin\b|\bos\.Stdin\b|\bSystem\.in\b|\bSTDIN\b"),
    ("environment", r"\bos\.(?:environ|getenv)\b|\bprocess\.env\b|\bos\.Getenv\(|\bSystem\.getenv\(|\bENV\["),
)  # fmt: skip
_ENTRIES = tuple((kind, re.compile(pattern)) for kind, pattern in ENTRIES)
WORDS = ("request", "argv", "subprocess", "pickle", "execute")
"""Looked for in the whole project where the best files show no way in. Add here."""
ENOUGH, FURTHER = 3, 10
MAX_HITS = 8

LOOPS = re.compile(
    r"(?:for|while|foreach|loop|until|repeat)(?:_\w+)?_(?:statement|expression|loop)|enhanced_for_statement|do_statement"
    r"|for|while|until|list_comprehension|set_comprehension|dictionary_comprehension|generator_expression"
)
"""Types of nodes that repeat something, in the grammars of all languages."""
COSTLY: dict[str, frozenset[str]] = {
    # Why it is expensive inside a loop → names of what is called. Add here.
    "query": frozenset({"execute", "executemany", "query", "fetchone", "fetchall", "find_one", "findOne", "findMany", "select", "save", "commit", "objects", "filter", "get_or_create", "aggregate", "raw", "QueryRow", "Query", "Exec"}),
    "network": frozenset({"urlopen", "request", "fetch", "post", "connect", "send", "recv", "urlretrieve", "axios", "Dial"}),
    "file": frozenset({"open", "read", "readlines", "write", "stat", "exists", "listdir", "glob", "readFileSync", "writeFileSync", "readFile", "ReadFile", "flush", "fsync"}),
    "process": frozenset({"run", "Popen", "check_output", "check_call", "system", "spawn", "execSync"}),
    "waits": frozenset({"sleep", "wait", "join", "acquire", "Lock", "result"}),
    "compiles or parses": frozenset({"compile", "loads", "parse", "deepcopy", "fromstring", "JSON"}),
    "scans": frozenset({"index", "count", "sort", "sorted", "insert", "remove", "indexOf", "includes", "concat", "copy"}),
}  # fmt: skip


async def entry_points(scene: Scene) -> list[Candidate]:
    """Where untrusted input comes in, and what is dangerous to reach, nearest to the best functions first."""
    lines: list[str] = []
    for path in scene.near:
        lines += await anyio.to_thread.run_sync(_entries, path, await scene.eyes.read(path), scene.spots)
    for word in WORDS if len(lines) < ENOUGH else ():
        if len(lines) < FURTHER:
            hits = [hit for hit in await scene.eyes.mentions(word, MAX_HITS) if not aside(hit[0])]
            lines += [f"{path}:{line} {kind}: {shown(text)}" for path, line, text in hits if (kind := entry(text))]
    return listing(lines, "where untrusted input enters, and dangerous places near it", scene.room)


def entry(line: str) -> str:
    """What kind of entry or dangerous place a line of code is; empty when it is none."""
    line = line[:MAX_LINE]
    return next((kind for kind, pattern in _ENTRIES if pattern.search(line)), "")


def _entries(path: str, lines: Sequence[str], spots: Sequence[Spot]) -> list[str]:
    middles = [(spot.start + spot.end) // 2 for spot in spots if spot.path == path] or [0]
    found = [(n, kind, text) for n, text in enumerate(lines[:MAX_FILE_LINES], 1) if (kind := entry(text))]
    found.sort(key=lambda hit: min(abs(hit[0] - middle) for middle in middles))
    return [f"{path}:{n} {kind}: {shown(text)}" for n, kind, text in found[:PER_FILE]]


async def hot_shapes(scene: Scene) -> list[Candidate]:
    """Loops inside loops, and expensive calls inside loops, in the best functions."""
    lines: list[str] = []
    for spot in scene.spots:
        syntax = await scene.eyes.syntax(spot.path)
        if syntax is not None:
            lines += await anyio.to_thread.run_sync(_shapes, syntax, spot)
    return listing(lines, "loops, and what is done in them", scene.room)


def _shapes(syntax: Syntax, spot: Spot) -> list[str]:
    lines: list[str] = []
    innermost: dict[int, int] = {}
    for node, outer in _loops(syntax.root, spot.start, spot.end):  # outer loops come first
        first, last = node.start_point.row + 1, min(node.end_point.row + 1, spot.end)
        innermost |= dict.fromkeys(range(first, min(last, first + MAX_LOOP_LINES) + 1), first)
        if outer is not None:
            lines.append(f"{spot.path}:{first} a loop in the loop of line {outer.start_point.row + 1}, in {spot.name}")
    return lines + [
        f"{spot.path}:{line} {kind}: {name}() in the loop of line {loop}, in {spot.name}"
        for line, loop in sorted(innermost.items())
        for name in uses.calls(syntax, line, line)
        if (kind := next((kind for kind, names in COSTLY.items() if name in names), ""))
    ]


def _loops(root: Node, start: int, end: int) -> Iterator[tuple[Node, Node | None]]:
    """The loops in these lines, each with the loop around it."""
    stack: list[tuple[Node, Node | None]] = [(root, None)]
    while stack:
        node, around = stack.pop()
        if node.end_point.row + 1 < start or node.start_point.row + 1 > end:
            continue
        inside = around
        if node.is_named and LOOPS.fullmatch(node.type) and node.start_point.row + 1 >= start:
            yield node, around
            inside = node
        stack += [(child, inside) for child in reversed(node.children)]
