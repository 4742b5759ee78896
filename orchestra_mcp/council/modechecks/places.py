"""Where an answer points, who calls that place, and whether the answer names a place: what several checks ask."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import trees
from orchestra_mcp.paths import aside
from orchestra_mcp.types import Definition, Evidence, Opinion

if TYPE_CHECKING:
    from tree_sitter import Node

NEAR = 3
"""Lines by which a citation may be off (as in `council.answers.citations`)."""
MAX_PLACES = 12
MAX_MENTIONS = 200
"""Lines with a function's name that are looked at."""
MAX_SAID = 60_000
"""Characters of an answer that are read."""
MAX_PARTS = 60
"""Claims, steps and the like of which the text is read."""

COMMON = frozenset(
    "add all any append call close copy count delete do filter find first format get index insert items join keys last "
    "list load main map next open pop post push put read remove reset run save send set size sort split start stop sum "
    "to_s update values write".split()
)
"""Names of methods that everybody's objects have: who calls them on an object cannot be told by name. Add here."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the project that a claim points at."""

    path: str
    line: int
    """0 where the whole file is meant."""
    definition: Definition | None
    """The function or class there."""

    @property
    def function(self) -> Definition | None:
        """The function there, if it is in one."""
        return self.definition if self.definition and self.definition.kind in ("function", "method") else None

    @property
    def shown(self) -> str:
        """For a reader: `Ledger.reserve (a.py:4)`."""
        spot = f"{self.path}:{self.line}" if self.line else self.path
        return f"{self.definition.qualified} ({spot})" if self.definition else spot


@dataclass(frozen=True, slots=True)
class Site:
    """A call in the project."""

    path: str
    line: int
    node: Node
    around: Definition | None

    @property
    def shown(self) -> str:
        """Path and line."""
        return f"{self.path}:{self.line}"


async def places_of(opinion: Opinion, evidence: Evidence) -> tuple[Place, ...]:
    """The places of the claims that were not refuted, as far as they exist, each once."""
    found: dict[tuple[str, int, str], Place] = {}
    for claim in opinion.claims[:MAX_PARTS]:
        if len(found) >= MAX_PLACES or (claim.check and claim.check.outcome == "refuted"):
            continue
        path, line = claim.path, max(0, claim.line)
        located = await evidence.locate(claim.symbol, path) if claim.symbol else ()
        if not path and len(located) == 1:
            path, line = located[0].path, located[0].start
        if not path or not await evidence.read(path, 1, 1):
            continue
        spot = next((d for d in located if not line or d.start <= line <= d.end), located[0] if located else None)
        if spot is None and line:
            spot = await evidence.enclosing(path, line)
        line = line or (spot.start if spot else 0)
        found.setdefault((path, line, spot.qualified if spot else ""), Place(path, line, spot))
    return tuple(found.values())


async def sites_of(definition: Definition, evidence: Evidence) -> tuple[Site, ...] | None:
    """The calls of a function outside of itself; None where its name may mean something else as well.

    Only calls by name are seen: what is passed on as a value, or called through reflection, is not.
    """
    if not await alone(definition, evidence):
        return None
    found: dict[tuple[str, int], Site] = {}
    for path, line, _ in await evidence.mentions(definition.name, MAX_MENTIONS):
        inside = path == definition.path and definition.start <= line <= definition.end
        syntax = None if inside else await evidence.syntax(path)
        if syntax is None:
            continue
        node = call_at(syntax.root, line, definition.name)
        if node is not None:
            found.setdefault((path, line), Site(path, line, node, await evidence.enclosing(path, line)))
    return tuple(found.values())


async def alone(definition: Definition, evidence: Evidence) -> bool:
    """True when this is the only function of its name in the project, and the name is not everybody's."""
    if definition.name.startswith("__") or len(definition.name) < 2:
        return False
    if definition.kind == "method" and definition.name in COMMON:
        return False
    same = {(d.path, d.qualified) for d in await evidence.locate(definition.name) if d.kind != "section"}
    return same <= {(definition.path, definition.qualified)}


def call_at(root: Node, line: int, name: str) -> Node | None:
    """The call of a function on a line, by its plain name."""
    return next((node for node in trees.walk_at(root, line) if called(node) == name), None)


def called(node: Node) -> str:
    """The plain name of what a node calls; empty for no call, and for everybody's name on some object."""
    owner, name = trees.callee(node) if node.type in trees.CALLS else (None, "")
    return "" if owner is not None and name in COMMON else name


def said(opinion: Opinion) -> str:
    """All that an answer says in words, without its patch and its program."""
    claims = opinion.claims[:MAX_PARTS]
    parts = [opinion.position, opinion.answer[:MAX_SAID], *opinion.plan[:MAX_PARTS], *opinion.assumptions[:MAX_PARTS]]
    parts += [*opinion.risks[:MAX_PARTS], *(f"{c.text} {c.path} {c.symbol}" for c in claims)]
    return "\n".join(part[:MAX_SAID] for part in parts)[: 2 * MAX_SAID]


def names_path(text: str, path: str, files: Collection[str]) -> bool:
    """True when a text names a file by its path, or by its name where no other file has it."""
    name = path.rpartition("/")[2]
    known = [path]
    if sum(1 for file in files if file.rpartition("/")[2] == name) == 1:
        known.append(name)
    return any(re.search(rf"(?<![\w.-])(?<![\w.-]/){re.escape(one)}(?![\w-])", text) for one in known)


def names_symbol(text: str, definition: Definition, symbols: AbstractSet[str]) -> bool:
    """True when a text names a function: in full, as code, or as a call; a bare word may be English."""
    name, qualified = re.escape(definition.name), re.escape(definition.qualified)
    if symbols & {definition.name, definition.qualified}:
        return True
    if "." in definition.qualified and re.search(rf"(?<!\w){qualified}(?!\w)", text):
        return True
    return (
        re.search(rf"`(?:[\w.]{{1,80}}\.)?{name}(?:\(\))?`|(?<!\w){name}\(|(?<!\w)(?=\w*_){name}(?!\w)", text)
        is not None
    )


def listed(items: Sequence[str], limit: int = 4) -> str:
    """A few of them, and how many more there are."""
    return ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if len(items) > limit else "")


def own(sites: Iterable[Site]) -> list[Site]:
    """The calls in the project's own code, tests and examples left out."""
    return [site for site in sites if not aside(site.path)]
