"""Python functions whose signature changed, and calls elsewhere that can no longer fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestra_mcp.council.residents import trees
from orchestra_mcp.council.residents.flakes import Signature
from orchestra_mcp.types import Evidence

if TYPE_CHECKING:
    from tree_sitter import Node

PLAIN = frozenset({"staticmethod", "classmethod"})
MAX_CALLS = 200


class Call(NamedTuple):
    """The arguments of one call as written."""

    positional: int
    keywords: tuple[str, ...]


class Misfit(NamedTuple):
    """A call that fitted the signature before the change and does not now."""

    path: str
    line: int
    why: str


async def misfits(qualified: str, before: Signature, after: Signature, evidence: Evidence) -> list[Misfit]:
    """Calls that the change has broken; silent when the name may mean something else."""
    name = qualified.rsplit(".", 1)[-1]
    if before[1:-1] == after[1:-1] or set(after.decorators) - PLAIN or name.startswith("__"):
        return []
    if len(await evidence.locate(name)) != 1:
        return []
    method = "." in qualified
    bound = 1 if method and "staticmethod" not in after.decorators else 0
    found: list[Misfit] = []
    for path, line, _ in await evidence.mentions(name, MAX_CALLS):
        syntax = await evidence.syntax(path) if path.endswith(".py") else None
        if syntax is None:
            continue
        for node in trees.walk_at(syntax.root, line):
            if node.type != "call" or trees.callee(node)[1] != name or not _meant(node, method, name):
                continue
            call = _call(node)
            if call is None or why_not(call, before, bound):
                continue
            why = why_not(call, after, bound)
            if why and (path, line) not in [(m.path, m.line) for m in found]:
                found.append(Misfit(path, line, why))
    return found


def _meant(node: Node, method: bool, name: str) -> bool:
    """A bare name for a function; for a method only `self.name(…)`: other objects may have a namesake."""
    owner = trees.callee(node)[0]
    if method:
        return owner is not None and trees.text(owner) in ("self", "cls")
    return owner is None and len(name) > 3


def _call(node: Node) -> Call | None:
    arguments = node.child_by_field_name("arguments")
    if arguments is None or arguments.type != "argument_list":
        return None
    positional, keywords = 0, []
    for argument in arguments.named_children:
        if argument.type in ("list_splat", "dictionary_splat", "parenthesized_list_splat"):
            return None
        if argument.type == "keyword_argument":
            keywords.append(trees.text(argument.child_by_field_name("name")))
        elif argument.type != "comment":
            positional += 1
    return Call(positional, tuple(keywords))


def why_not(call: Call, signature: Signature, bound: int) -> str:
    """Why a call cannot fit a signature, `bound` leading parameters being given by the object; empty when it can."""
    names = signature.positional[bound:]
    if call.positional > len(names) and not signature.rest:
        return f"it gives {call.positional} arguments by position, and at most {len(names)} are taken"
    by_name = set(names[max(0, signature.only_positional - bound) :]) | set(signature.keyword) | set(signature.optional)
    unknown = [word for word in call.keywords if word not in by_name]
    if unknown and not signature.keywords:
        return f"it gives `{unknown[0]}=`, which is no parameter"
    required = names[: len(names) - signature.defaults] if signature.defaults else names
    given = by_name.intersection(call.keywords)
    missing = [word for word in required[call.positional :] if word not in given]
    missing += [word for word in signature.keyword if word not in given]
    return f"it does not give `{missing[0]}`, which is required" if missing else ""
