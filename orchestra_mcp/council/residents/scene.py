"""The failing line in its function, and where the values on it come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra_mcp.council.residents import trees, values
from orchestra_mcp.council.residents.places import Place
from orchestra_mcp.council.residents.saying import point
from orchestra_mcp.types import Claim, Definition, Evidence, Trace

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Scene:
    """The failing line in its function."""

    place: Place
    function: Node | None
    root: Node
    language: str
    evidence: Evidence
    said: str
    """`Type: message`."""

    def on_line(self) -> Iterator[Node]:
        """The nodes that begin or end on the failing line, outer ones first."""
        for node in trees.walk_at(self.root, self.place.line):
            if self.place.line in (trees.line_of(node), trees.last_line(node)):
                yield node

    async def point(self, text: str, line: int, path: str = "", symbol: str = "") -> Claim:
        """A claim about a line, of the failing file unless said otherwise."""
        return await point(
            self.evidence, text, path or self.place.path, line, symbol or ("" if path else self.place.symbol)
        )


async def scene_of(place: Place, trace: Trace, evidence: Evidence) -> Scene | None:
    """The scene around a place; None when its file has no syntax tree or only the function was recognised."""
    syntax = await evidence.syntax(place.path)
    if syntax is None or not place.exact:
        return None
    function = trees.function_at(syntax.root, place.line)
    said = f"{trace.exception}: {trace.message}"
    return Scene(place, function, syntax.root, syntax.language, evidence, said)


def raises_here(scene: Scene) -> Node | None:
    """The raise, throw or panic statement on the failing line, if there is one."""
    for node in scene.on_line():
        if node.type in ("raise_statement", "throw_statement"):
            return node
        if node.type == "call_expression" and trees.callee(node)[1] == "panic" and scene.language == "go":
            return node
    return None


GIVES_NOTHING = "can give back nothing"
_OF_NOTHING = re.compile(r"NoneType|\bundefined\b|\bnull\b|\bnil\b|NullPointer")


def cause_in(claims: Iterable[Claim | str]) -> Claim | None:
    """The claim that names a cause elsewhere than in the failing line: a function that can give back nothing."""
    return next((one for one in claims if isinstance(one, Claim) and GIVES_NOTHING in one.text), None)


async def origins(scene: Scene, expression: Node, deep: bool = True) -> list[Claim]:
    """Where an expression's value comes from; `deep` looks into the function whose result it is."""
    call = expression if expression.type in trees.CALLS else None
    claims = []
    found = values.origin(scene.function, expression)
    label = trees.one_line(expression, 50)
    if found is not None and found.kind == "parameter" and label not in ("self", "cls", "this"):
        claims.append(
            await scene.point(f"`{label}` is a parameter here, so its value comes from the caller", found.line)
        )
    elif found is not None and found.kind != "parameter":
        verb = "is set in this class" if found.kind == "attribute" else "is last assigned above that line, here"
        also = f" (and before that in line {', '.join(map(str, found.others[-3:]))})" if found.others else ""
        claims.append(await scene.point(f"`{label}` {verb}{also}", found.line))
        call = found.value if found.value is not None and found.value.type in trees.CALLS else None
    if call is not None and deep and _OF_NOTHING.search(scene.said):
        claims += await _result_of(scene, call)
    return claims


async def _result_of(scene: Scene, call: Node) -> list[Claim]:
    """Whether the function that is called gives back nothing on some path; silent unless exactly one can be meant."""
    owner, name = trees.callee(call)
    if not name:
        return []
    definition = await _only(scene, name, owner)
    if definition is None:
        return []
    syntax = await scene.evidence.syntax(definition.path)
    function = trees.function_at(syntax.root, _def_line(definition, syntax.root)) if syntax else None
    if function is None:
        return []
    told = f"`{definition.qualified}` {GIVES_NOTHING}"
    nothings = sorted(values.returns_nothing(function), key=lambda nothing: nothing.how != values.FALLS_THROUGH)
    return [
        await scene.point(f"{told}: {nothing.how}", nothing.line, definition.path, definition.qualified)
        for nothing in nothings[:2]
    ]


async def _only(scene: Scene, name: str, owner: Node | None) -> Definition | None:
    """The one function that a call can mean: of this file for a bare name, of this class for self, else unique."""
    definitions = [d for d in await scene.evidence.locate(name) if d.kind != "class"]
    if owner is not None and trees.text(owner) in ("self", "cls", "this") and "." in scene.place.symbol:
        scope = scene.place.symbol.rsplit(".", 1)[0]
        own = [d for d in definitions if d.path == scene.place.path and d.qualified == f"{scope}.{name}"]
        return own[0] if len(own) == 1 else None
    if owner is None:
        here = [d for d in definitions if d.path == scene.place.path and d.qualified == name]
        if len(here) == 1:
            return here[0]
        definitions = [d for d in definitions if d.qualified == name]
    elif owner.type != "identifier" or len(name) < 6:
        return None  # a method of an unknown object: too many foreign classes have short names
    return definitions[0] if len(definitions) == 1 else None


def _def_line(definition: Definition, root: Node) -> int:
    """Line of the `def` itself, below its decorators."""
    for node in trees.walk_at(root, definition.start):
        if node.type == "decorated_definition":
            inner = node.child_by_field_name("definition")
            if inner is not None and trees.name_of(inner) == definition.name:
                return trees.line_of(inner)
    return definition.start


def names_in(node: Node) -> list[Node]:
    """The names and attributes in an expression, outermost of each chain, without what is called."""
    found: list[Node] = []
    stack = [node]
    while stack:
        current = stack.pop(0)
        if current.type in ("identifier", "attribute", "member_expression"):
            found.append(current)
        elif current.type in trees.CALLS:
            stack += [n for n in [current.child_by_field_name("arguments")] if n is not None]
        else:
            stack += current.named_children
    return found
