"""Claims against the code: does the file exist, the line, the symbol, the quoted text, the call, the exception?

This checks that a citation is true, not that the conclusion drawn from it is right; the note says what was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestra_mcp.council.residents.trees import callee, last_line, line_of
from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import span
from orchestra_mcp.types import Check, Claim, Evidence, Trace

NEAR = 3  # lines by which a citation may be off and still be counted as that place


async def check_claims(
    claims: Sequence[Claim], evidence: Evidence | None, traces: Sequence[Trace] = ()
) -> tuple[Claim, ...]:
    """Every claim with its check. Without a project, or with nothing to look at, a claim stays unchecked."""
    if evidence is None:
        return tuple(_with(claim, "unchecked", "no project to look at") for claim in claims)
    if not claims:
        return ()
    with span("check claims", attributes={names.CLAIMS: len(claims)}) as doing:
        checked = tuple([await check_claim(claim, evidence, traces) for claim in claims])
        said = [claim.check.outcome for claim in checked if claim.check]
        doing.set(names.VERIFIED, said.count("verified"))
        doing.set(names.REFUTED, said.count("refuted"))
    return checked


async def check_claim(claim: Claim, evidence: Evidence, traces: Sequence[Trace] = ()) -> Claim:
    """One claim with its check, its path mended to the project's and, where known, the symbol around its line.

    What is said of a place (that it calls something, that it raises something) is looked at once the place itself holds.
    """
    claim = await _check_place(claim, evidence)
    if claim.check and claim.check.outcome == "verified" and claim.calls:
        claim = await _check_call(claim, evidence)
    if claim.check and claim.check.outcome == "verified" and claim.raises:
        claim = await _check_raise(claim, evidence, traces)
    return claim


async def _check_place(claim: Claim, evidence: Evidence) -> Claim:
    if not (claim.path or claim.symbol):
        return _with(claim, "unchecked", "names no file, line or symbol")
    if not claim.path:
        return await _check_symbol_anywhere(claim, evidence)
    path = _match_path(claim.path, await evidence.files())
    if not path:
        return _with(claim, "refuted", f"there is no file {claim.path}")
    claim = claim.model_copy(update={"path": path})
    lines = await evidence.read(path)
    if claim.line > len(lines):
        return _with(claim, "refuted", f"{path} has only {len(lines)} lines")
    seen = [f"line {claim.line} exists"] if claim.line else ["the file exists"]
    if claim.quote:
        at = find_quote(claim.quote, lines, claim.line)
        if not at:
            return _with(claim, "refuted", f"the quoted text is not in {path}")
        seen.append(f"quote found at line {at}")
        if abs(at - claim.line) > NEAR:
            claim = claim.model_copy(update={"line": at})
    if claim.symbol:
        note, line = await _symbol_in(claim, evidence, lines)
        if not note:
            return _with(claim, "refuted", f"{claim.symbol} is neither defined nor used in {path}")
        seen.append(note)
        claim = claim if claim.line else claim.model_copy(update={"line": line})
    elif claim.line and (around := await evidence.enclosing(path, claim.line)):
        claim = claim.model_copy(update={"symbol": around.qualified})
        seen.append(f"inside {around.qualified}")
    return _with(claim, "verified", "; ".join(seen))


def find_quote(quote: str, lines: Sequence[str], near: int = 0) -> int:
    """Line at which quoted text begins (from 1), the one closest to `near`; 0 when it is nowhere.

    White space does not count, nor do line-number gutters; `...` in the quote stands for anything left out.
    """
    parts = [_squeeze(part) for part in re.split(r"\s*(?:\.\.\.|…)\s*", quote)]
    parts = [part for part in parts if len(part) > 2]
    if not parts:
        return 0
    squeezed = [_squeeze(line) for line in lines]
    text = "".join(squeezed)
    offsets: list[int] = []
    size = 0
    for line in squeezed:
        offsets.append(size)
        size += len(line)
    found: list[int] = []
    start = text.find(parts[0])
    while start >= 0 and len(found) < 200:
        position = start + len(parts[0])
        for part in parts[1:]:
            position = text.find(part, position)
            if position < 0:
                break
            position += len(part)
        if position >= 0:
            found.append(sum(1 for offset in offsets if offset <= start))
        start = text.find(parts[0], start + 1)
    return min(found, key=lambda line: abs(line - near), default=0)


async def _symbol_in(claim: Claim, evidence: Evidence, lines: Sequence[str]) -> tuple[str, int]:
    definitions = await evidence.locate(claim.symbol, claim.path)
    if definitions:
        spot = min(definitions, key=lambda d: 0 if d.start <= claim.line <= d.end else abs(d.start - claim.line))
        return f"{spot.qualified} is defined at lines {spot.start}–{spot.end}", spot.start
    word = re.compile(rf"\b{re.escape(claim.symbol.split('.')[-1])}\b")
    used = next((number for number, line in enumerate(lines, 1) if word.search(line)), 0)
    return (f"{claim.symbol} is used at line {used}", used) if used else ("", 0)


async def _check_symbol_anywhere(claim: Claim, evidence: Evidence) -> Claim:
    definitions = await evidence.locate(claim.symbol)
    if definitions:
        spot = definitions[0]
        claim = claim.model_copy(update={"path": spot.path, "line": spot.start})
        return _with(claim, "verified", f"{spot.qualified} is defined at {spot.path}:{spot.start}")
    places = await evidence.mentions(claim.symbol.split(".")[-1], limit=1)
    if places:
        path, line, _ = places[0]
        return _with(claim, "verified", f"{claim.symbol} is used at {path}:{line}, not defined in this project")
    return _with(claim, "refuted", f"{claim.symbol} occurs nowhere in the project")


async def _check_call(claim: Claim, evidence: Evidence) -> Claim:
    """Whether the function at the claim's place calls what it is said to call."""
    span, syntax = await _function_of(claim, evidence), await evidence.syntax(claim.path)
    if span is None or syntax is None or claim.check is None:
        return claim
    wanted = re.split(r"[.:]+", claim.calls.removesuffix("()"))[-1]
    start, end = span
    stack = [syntax.root]
    while stack:
        node = stack.pop()
        if last_line(node) < start or line_of(node) > end:
            continue
        if callee(node)[1] == wanted and line_of(node) >= start:
            return _with(claim, "verified", f"{claim.check.note}; calls {wanted} at line {line_of(node)}")
        stack.extend(node.named_children)
    return _with(claim, "refuted", f"no call of {wanted} stands in lines {start}–{end} of {claim.path}")


async def _check_raise(claim: Claim, evidence: Evidence, traces: Sequence[Trace]) -> Claim:
    """Whether an exception is raised in the function at the claim's place, or passed through it in a given trace."""
    wanted = re.split(r"[.:]+", claim.raises.removesuffix("()"))[-1]
    span = await _function_of(claim, evidence)
    if claim.check is None:
        return claim
    for trace in traces:
        for link in _links(trace):
            through = any(f.path == claim.path and (span is None or span[0] <= f.line <= span[1]) for f in link.frames)
            if through and link.exception.rpartition(".")[2] == wanted:
                return _with(claim, "verified", f"{claim.check.note}; {wanted} passed through it in the given trace")
    if span is None:
        return claim
    lines = await evidence.read(claim.path, *span)
    spelled = re.compile(rf"\b(?:raise|throw|throws|panic!?|Err|except|catch|rescue)\b.*\b{re.escape(wanted)}\b")
    at = next((number for number, line in enumerate(lines, span[0]) if spelled.search(line)), 0)
    if at:
        return _with(claim, "verified", f"{claim.check.note}; {wanted} stands at line {at}")
    # What a function calls can raise it, so that its absence refutes nothing.
    return _with(claim, "unchecked", f"{claim.check.note}; whether it raises {wanted} cannot be seen here")


async def _function_of(claim: Claim, evidence: Evidence) -> tuple[int, int] | None:
    found = await evidence.locate(claim.symbol, claim.path) if claim.symbol else ()
    spot = next((d for d in found if not claim.line or d.start <= claim.line <= d.end), found[0] if found else None)
    if spot is None and claim.line:
        spot = await evidence.enclosing(claim.path, claim.line)
    return (spot.start, spot.end) if spot else None


def _links(trace: Trace) -> Iterator[Trace]:
    link: Trace | None = trace
    while link is not None:
        yield link
        link = link.cause


def _match_path(path: str, files: Sequence[str]) -> str:
    """The project's file that is meant: the path itself, else the only file that ends with it or with its tail.

    A bare file name at the end of a longer path is too little to go by, unless that file lies at the root.
    """
    path = path.replace("\\", "/").removeprefix("./")
    if path in files:
        return path
    parts = path.strip("/").split("/")
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        hits = [file for file in files if file == tail or file.endswith("/" + tail)]
        if len(hits) == 1:
            enough = "/" in tail or len(parts) == 1 or hits[0] == tail
            return hits[0] if enough else ""
        if hits:
            return ""
    return ""


def _squeeze(text: str) -> str:
    return "".join(re.sub(r"^\s*\d+\s*[|:]\s?", "", line) for line in text.splitlines() or [""]).translate(_BLANKS)


_BLANKS = {ord(blank): None for blank in " \t\r\n\u00a0"}


def _with(claim: Claim, outcome: str, note: str) -> Claim:
    return claim.model_copy(update={"check": Check.model_validate({"outcome": outcome, "note": note})})
