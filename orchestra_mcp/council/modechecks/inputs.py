"""`untrusted-input`: whether a finding stands where untrusted input enters, or can be reached from such a place.

That a place can be reached says nothing of what guards the way; that is for the experts to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from orchestra_mcp.council.modechecks.places import NEAR, Place, alone, listed, places_of, sites_of
from orchestra_mcp.paths import aside
from orchestra_mcp.types import Check, Definition, Dossier, Evidence, Opinion, Syntax

MAX_DEPTH = 4
"""Calls between the way in and the finding."""
MAX_FUNCTIONS = 30
"""Functions that are looked through for one answer."""
MAX_SPAN = 400
MAX_LINE = 400

FAMILIES: dict[str, tuple[str, ...]] = {
    # Family of languages → endings of its files. Add here.
    "python": ("py", "pyi", "pyx"),
    "javascript": ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte"),
    "jvm": ("java", "kt", "kts", "scala", "groovy"),
    "dotnet": ("cs", "fs", "vb"),
    "go": ("go",),
    "php": ("php",),
    "ruby": ("rb",),
    "rust": ("rs",),
    "native": ("c", "h", "cc", "cpp", "cxx", "hpp", "m", "mm"),
}
INPUTS: dict[str, tuple[tuple[str, str], ...]] = {
    # Family → what enters, and how that is written; the first row that fits names it. Add here.
    "python": (
        ("a route", r"@\w+(?:\.\w+){0,3}\.(?:route|get|post|put|patch|delete|websocket|api_route|errorhandler)\(|\b(?:re_)?path\(\s*r?['\"]|\badd_(?:url_rule|route)\("),
        ("request data", r"\b(?:self\.)?request\.(?:args|form|json|get_json|files|values|cookies|headers|data|body|query|query_params|params|match_info|GET|POST|FILES|META|COOKIES|path_params|stream|text|read|rfile|get_data|get_argument|arguments)\b|\bself\.(?:rfile|headers|path)\b|\benviron\[['\"](?:wsgi\.input|QUERY_STRING|PATH_INFO|HTTP_)|\bparse_qsl?\(|\bevent(?:\[|\.get\()['\"](?:body|queryStringParameters|pathParameters)"),
        ("arguments", r"\bsys\.argv\b|\bparse_(?:known_)?args\(|@(?:\w+\.)?(?:command|argument|option)\("),
        ("standard input", r"\bsys\.stdin\b|(?<![.\w])input\(|\bfileinput\."),
        ("a socket", r"\.(?:recv|recvfrom|recv_into|receive|receive_text|receive_json|receive_bytes|accept)\(|\breader\.(?:read|readline|readexactly|readuntil)\("),
        ("the environment", r"\bos\.(?:environ|getenv)\b|\benviron\.get\("),
        ("deserialised data", r"\b(?:pickle|cPickle|dill|marshal|jsonpickle|joblib)\.(?:loads?|decode)\(|\byaml\.(?:\w+_)?load(?:_all)?\(|\bshelve\.open\(|\b(?:etree|ElementTree|ET|minidom)\.(?:parse|fromstring|XML|parseString)\(|\bjson\.loads?\("),
        ("an uploaded or received file", r"\b(?:zipfile\.ZipFile|tarfile\.open|extractall|unpack_archive)\("),
    ),
    "javascript": (
        ("a route", r"\b(?:app|router|server|api|fastify)\.(?:get|post|put|patch|delete|all|use|route|ws)\(|@(?:Get|Post|Put|Patch|Delete|All|Body|Query|Param)\("),
        ("request data", r"\b(?:req|request|ctx|ctx\.request|context)\.(?:body|query|params|headers|cookies|files?|rawBody|searchParams|nextUrl|json\(|formData\(|text\()|\bevent\.(?:body|queryStringParameters|pathParameters)\b|\bURLSearchParams\b|\bformData\.get\("),
        ("page input", r"\b(?:window\.)?location\.(?:search|hash|href)\b|\bdocument\.(?:cookie|referrer|URL)\b|\b(?:onmessage|addEventListener\(\s*['\"]message)|\blocalStorage\.getItem\(|\bpostMessage\b"),
        ("arguments", r"\bprocess\.argv\b"),
        ("standard input", r"\bprocess\.stdin\b|\breadline\.createInterface\("),
        ("a socket", r"\.on\(\s*['\"](?:message|data|connection)['\"]"),
        ("the environment", r"\bprocess\.env\b"),
        ("deserialised data", r"\bJSON\.parse\(|\bunserialize\(|\byaml\.load\(|\bv8\.deserialize\("),
    ),
    "jvm": (
        ("a route", r"@(?:Request|Get|Post|Put|Delete|Patch)Mapping|@(?:GET|POST|PUT|DELETE|Path)\b|\bdo(?:Get|Post|Put|Delete)\("),
        ("request data", r"@(?:RequestParam|RequestBody|PathVariable|RequestHeader|CookieValue|QueryParam|PathParam|FormParam)\b|\bgetParameter(?:Values|Map)?\(|\bget(?:Header|Cookies|QueryString|InputStream|Reader|PathInfo)\(|\bcall\.(?:receive|parameters|request)\b"),
        ("arguments", r"\bvoid main\(\s*(?:final )?String|\bfun main\(\s*args"),
        ("standard input", r"\bSystem\.in\b|\breadln?(?:Line)?\("),
        ("the environment", r"\bSystem\.getenv\("),
        ("deserialised data", r"\bObjectInputStream\b|\.readObject\(|\bXMLDecoder\b|\bDocumentBuilder\b|\bSAXParser\b|\breadValue\(|\bfromJson\("),
    ),
    "dotnet": (
        ("a route", r"\[(?:Http(?:Get|Post|Put|Delete|Patch)|Route|FromBody|FromQuery|FromRoute|FromForm|FromHeader)\b|\bMap(?:Get|Post|Put|Delete)\("),
        ("request data", r"\bRequest\.(?:Query|Form|Body|Headers|Cookies|Params|QueryString|RouteValues)\b"),
        ("arguments", r"\bMain\(\s*string\[\]|\bGetCommandLineArgs\("),
        ("standard input", r"\bConsole\.(?:Read|ReadLine|In|OpenStandardInput)\b"),
        ("the environment", r"\bGetEnvironmentVariables?\("),
        ("deserialised data", r"\bBinaryFormatter\b|\bDeserialize(?:Object|Async)?[<(]|\bXmlDocument\b|\bLoadXml\("),
    ),
    "go": (
        ("a route", r"\bHandle(?:Func)?\(|\b\w{1,40}\.(?:GET|POST|PUT|PATCH|DELETE|Get|Post|Put|Patch|Delete)\(\s*\"/|\bhttp\.ResponseWriter\b|\*gin\.Context\b|\becho\.Context\b|\*fiber\.Ctx\b"),
        ("request data", r"\b(?:r|req|request)\.(?:FormValue|PostFormValue|URL|Body|Header|Form|PostForm|Cookie|FormFile|PathValue)\b|\bc\.(?:Param|Query|PostForm|Bind|ShouldBind|FormValue|BodyParser)\w*\("),
        ("arguments", r"\bos\.Args\b|\bflag\.\w+\("),
        ("standard input", r"\bos\.Stdin\b"),
        ("a socket", r"\bconn\.Read\(|\.Accept\(\)|\bReadFrom(?:UDP)?\("),
        ("the environment", r"\bos\.(?:Getenv|LookupEnv|Environ)\("),
        ("deserialised data", r"\b(?:json|xml|gob|yaml)\.(?:Unmarshal|NewDecoder)\("),
    ),
    "php": (
        ("request data", r"\$_(?:GET|POST|REQUEST|COOKIE|FILES|SERVER)\b|php://input|\$request->|\bfilter_input\("),
        ("arguments", r"\$argv\b"),
        ("standard input", r"\bSTDIN\b|php://stdin"),
        ("the environment", r"\bgetenv\(|\$_ENV\b"),
        ("deserialised data", r"\bunserialize\(|\bjson_decode\(|\bsimplexml_load_"),
    ),
    "ruby": (
        ("request data", r"\bparams(?:\[|\.(?:require|permit|fetch|dig))|\brequest\.(?:body|headers|env|params|query_string|cookies)\b|\bcookies\["),
        ("arguments", r"\bARGV\b|\bOptionParser\b"),
        ("standard input", r"\bSTDIN\b|\$stdin\b|(?<![.\w])gets\b"),
        ("the environment", r"\bENV(?:\[|\.fetch)"),
        ("deserialised data", r"\bMarshal\.load\b|\bYAML\.(?:unsafe_)?load\b|\bJSON\.parse\b"),
    ),
    "rust": (
        ("a route", r"#\[(?:get|post|put|patch|delete|route)\(|\.route\(\s*\"|\bHttpRequest\b|\bweb::(?:Json|Query|Path|Form)\b|\b(?:Json|Query|Path|Form)<"),
        ("arguments", r"\benv::args(?:_os)?\(|#\[derive\([^)]{0,80}\b(?:Parser|Args)\b"),
        ("standard input", r"\bstdin\(\)"),
        ("a socket", r"\.recv(?:_from)?\(|\.accept\(\)|\bTcpStream\b"),
        ("the environment", r"\benv::vars?(?:_os)?\("),
        ("deserialised data", r"\bserde_\w+::from_\w+|\bbincode::deserialize"),
    ),
    "native": (
        ("arguments", r"\bargv\b|\bgetopt(?:_long)?\("),
        ("standard input", r"\bstdin\b|\bgets\(|\bscanf\(|\bgetchar\(|\bstd::cin\b|\bSTDIN_FILENO\b"),
        ("a socket", r"\b(?:recv|recvfrom|recvmsg|accept|SSL_read|BIO_read)\("),
        ("the environment", r"\b(?:secure_)?getenv\("),
        ("a file or stream", r"\b(?:fread|fgets|fgetc|fscanf|getline|read)\("),
    ),
}  # fmt: skip

_PATTERNS = {family: tuple((k, re.compile(p)) for k, p in rows) for family, rows in INPUTS.items()}
_FAMILY = {ending: family for family, endings in FAMILIES.items() for ending in endings}


class Entry(NamedTuple):
    """A line at which untrusted input enters."""

    line: int
    kind: str


class Way(NamedTuple):
    """From a way in to a place."""

    entry: str
    through: tuple[str, ...]
    """Functions from the entry inwards, the place's own one left out."""


async def check_inputs(opinion: Opinion, dossier: Dossier, evidence: Evidence) -> Check | None:  # noqa: ARG001
    """Verified when input enters at a finding, in its function, or in a function that leads there by calls."""
    places = [place for place in await places_of(opinion, evidence) if _family(place.path)]
    if not places:
        return None
    budget = [MAX_FUNCTIONS]
    reached: list[str] = []
    for place in places:
        if way := await _way_to(place, evidence, budget):
            through = f" through {' → '.join(way.through)}" if way.through else ""
            reached.append(f"{way.entry} reaches {place.shown}{through}")
    if reached:
        return Check(outcome="verified", note=listed(reached, 3))
    away = listed([place.shown for place in places], 3)
    return Check(outcome="unchecked", note=f"no way in was found within {MAX_DEPTH} calls of {away}")


async def _way_to(place: Place, evidence: Evidence, budget: list[int]) -> Way | None:
    """The nearest way in, breadth first along the calls."""
    function = place.function
    if function is None:
        entry = await entry_in(place.path, place.line - NEAR, place.line + NEAR, evidence) if place.line else None
        return Way(_shown(place.path, entry), ()) if entry else None
    queue: list[tuple[Definition, tuple[str, ...]]] = [(function, ())]
    seen = {(function.path, function.qualified)}
    for current, through in queue:
        budget[0] -= 1
        entry = await entry_in(current.path, current.start, current.end, evidence)
        if entry is not None:
            return Way(_shown(current.path, entry), through)
        if budget[0] <= 0 or len(through) >= MAX_DEPTH:
            continue
        if await alone(current, evidence) and (way := await _registered(current, through, evidence)):
            return way
        for site in await sites_of(current, evidence) or ():
            around = site.around
            if aside(site.path):
                continue
            if around is None or around.kind not in ("function", "method"):
                if entry := await entry_in(site.path, site.line, site.line, evidence):
                    return Way(_shown(site.path, entry), through)
            elif (around.path, around.qualified) not in seen:
                seen.add((around.path, around.qualified))
                queue.append((around, (around.qualified, *through)))
    return None


async def _registered(function: Definition, through: tuple[str, ...], evidence: Evidence) -> Way | None:
    """A line that hands the function over to a router: `mux.HandleFunc("/x", handler)`."""
    for path, line, _ in await evidence.mentions(function.name, 40):
        inside = path == function.path and function.start <= line <= function.end
        entry = None if inside or aside(path) else await entry_in(path, line, line, evidence)
        if entry is not None and entry.kind == "a route":
            return Way(_shown(path, entry), through)
    return None


async def entry_in(path: str, start: int, end: int, evidence: Evidence) -> Entry | None:
    """The first of these lines at which untrusted input enters, comments and texts left out."""
    patterns = _PATTERNS.get(_family(path), ())
    start = max(1, start)
    rows = await evidence.read(path, start, min(end, start + MAX_SPAN)) if patterns else ()
    hits = list(_hits(rows, start, patterns))
    syntax = await evidence.syntax(path) if hits else None
    return next((Entry(line, kind) for line, column, kind in hits if not _quiet(syntax, line, column)), None)


def _hits(
    rows: Sequence[str], start: int, patterns: Sequence[tuple[str, re.Pattern[str]]]
) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for line, row in enumerate(rows, start):
        for kind, pattern in patterns:
            if match := pattern.search(row[:MAX_LINE]):
                found.append((line, len(row[: match.start()].encode("utf-8", "replace")), kind))
    return found


def _quiet(syntax: Syntax | None, line: int, column: int) -> bool:
    """True inside of a comment or a text."""
    if syntax is None:
        return False
    node = syntax.root.descendant_for_point_range((line - 1, column), (line - 1, column))
    return node is not None and ("comment" in node.type or node.type in _TEXTS or _docstring(node.type))


_TEXTS = frozenset({"string_content", "string_fragment", "string_literal", "interpreted_string_literal_content"})


def _docstring(kind: str) -> bool:
    return kind.endswith(("string_content", "text_content"))


def _shown(path: str, entry: Entry) -> str:
    return f"{entry.kind} at {path}:{entry.line}"


def _family(path: str) -> str:
    return _FAMILY.get(path.rpartition(".")[2].lower(), "")
