"""Functions whose signature a change has altered, so that their unchanged callers can be looked at. Pure.

This says what changed, in every language that has a grammar, from the parameter lists alone. Whether a given Python
call still fits is decided by the resident analysts, who read signatures with Python's own parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from orchestra_mcp.context.code import symbols, uses
from orchestra_mcp.types import Definition, Syntax

BY_NAME = frozenset({"python", "kotlin", "swift", "c_sharp", "php", "scala", "dart", "ruby", "julia"})
"""Languages where a caller may write a parameter's name. Add here."""

SAME_BODY = 0.8
"""From this share of equal lines a function that vanished and one that appeared beside it are one that was renamed."""
_MAX_PAIRS = 200
_MAX_LINES = 200


class SignatureChange(NamedTuple):
    """How a change has altered one function, as its callers see it."""

    path: str
    name: str
    """The name that callers used before the change."""
    qualified: str
    line: int
    """First line of the function after the change, counted from 1; 0 when it was removed."""
    kind: Literal["changed", "removed", "renamed"]
    before: tuple[str, ...]
    """Parameters before the change, as `uses.parameters` gives them."""
    after: tuple[str, ...]
    signature: str
    """The head of the function after the change; before it, when the function was removed."""
    what: tuple[str, ...]
    """What changed, in words."""
    breaking: bool
    """True when calls that were right before may be wrong now."""


class _Form(NamedTuple):
    definition: Definition
    parameters: tuple[str, ...]
    text: str


def changed_signatures(before: Syntax, after: Syntax, path: str) -> tuple[SignatureChange, ...]:
    """Functions and methods of `before` that `after` has with another signature or not at all, in their order.

    New functions are none of them, nor are those whose body alone changed. Of several forms with one name
    (overloads, clauses) those that stayed are set aside, and the others compared in their order.
    """
    old, new = _forms(before, path), _forms(after, path)
    vanished = {name: forms for name, forms in old.items() if name not in new}
    appeared = {name: forms for name, forms in new.items() if name not in old}
    renamed = _renames(vanished, appeared)
    changes: list[SignatureChange] = []
    for qualified, forms in old.items():
        if qualified in new:
            changes += [_compared(one, other, before.language) for one, other in _pairs(forms, new[qualified])]
        elif qualified in renamed:
            changes.append(_renamed(forms[0], renamed[qualified], before.language))
        else:
            changes.append(_removed(forms[0], "it is gone from this file"))
    return tuple(changes)


def _forms(syntax: Syntax, path: str) -> dict[str, list[_Form]]:
    """Qualified name → the functions that bear it, in their order."""
    parameters = uses.all_parameters(syntax)
    lines = syntax.source.decode("utf-8", "replace").split("\n")
    forms: dict[str, list[_Form]] = {}
    for definition in symbols.definitions(syntax, path):
        if definition.kind in ("function", "method"):
            given = parameters.get((definition.name, definition.start), ())
            text = "\n".join(lines[definition.start - 1 : definition.end][:_MAX_LINES])
            forms.setdefault(definition.qualified, []).append(_Form(definition, given, text))
    return forms


def _pairs(old: Sequence[_Form], new: Sequence[_Form]) -> list[tuple[_Form, _Form | None]]:
    """The forms that did not stay as they were, each with the one that takes its place."""
    kept = [_head(form) for form in new]
    gone = []
    for form in old:
        if _head(form) in kept:
            kept.remove(_head(form))
        else:
            gone.append(form)
    left = [form for form in new if _head(form) in kept]
    return [(form, left[number] if number < len(left) else None) for number, form in enumerate(gone)]


def _head(form: _Form) -> str:
    """The signature without its layout."""
    return "".join(form.definition.signature.split()).replace(",)", ")")


def _compared(old: _Form, new: _Form | None, language: str) -> SignatureChange:
    if new is None:
        return _removed(old, "one of its forms is gone")
    what, breaking = differences(old.parameters, new.parameters, by_name=language in BY_NAME)
    if _is_async(old) != _is_async(new):
        what.append("it is async now" if _is_async(new) else "it is no longer async")
        breaking = True
    if not what and old.parameters == new.parameters:
        what = ["types or modifiers in its signature changed"]
    return _change(old, new, "changed", what, breaking)


def _renamed(old: _Form, new: _Form, language: str) -> SignatureChange:
    what, _ = differences(old.parameters, new.parameters, by_name=language in BY_NAME)
    return _change(old, new, "renamed", [f"it is called `{new.definition.qualified}` now", *what], True)


def _removed(old: _Form, why: str) -> SignatureChange:
    d = old.definition
    return SignatureChange(
        d.path, d.name, d.qualified, 0, "removed", old.parameters, (), d.signature, (why,), breaking=True
    )


def _change(
    old: _Form, new: _Form, kind: Literal["changed", "renamed"], what: Sequence[str], breaking: bool
) -> SignatureChange:
    d = new.definition
    return SignatureChange(
        d.path, old.definition.name, old.definition.qualified, d.start, kind, old.parameters, new.parameters,
        d.signature, tuple(what), breaking,
    )  # fmt: skip


def _is_async(form: _Form) -> bool:
    return "async" in form.definition.signature.partition("(")[0].split()


def differences(old: Sequence[str], new: Sequence[str], by_name: bool) -> tuple[list[str], bool]:
    """What differs between two parameter lists, in words, and whether calls may break.

    Args:
        old: parameters as `uses.parameters` gives them.
        new: the same after the change.
        by_name: True when callers may write parameter names, so that a new name for one breaks them.
    """
    was, now = [_plain(p) for p in old], [_plain(p) for p in new]
    gone = [p for p in was if p not in now]
    come = [p for p in now if p not in was]
    stayed = [p for p in now if p in was]
    what, breaking = [], False
    if len(was) == len(now) and [p in now for p in was] == [p in was for p in now]:
        swaps = [(a, b) for a, b in zip(was, now, strict=True) if a in gone and b in come]
        what += [f"`{a}` is called `{b}` now" for a, b in swaps]
        breaking = by_name and bool(swaps)
        gone, come = [], []
    what += [f"`{p}` was removed" for p in gone]
    for p in come:
        if new[now.index(p)].endswith("=") or p.startswith("*"):
            inserted = not p.startswith("*") and any(later in was for later in now[now.index(p) + 1 :])
            what.append(f"`{p}` was added before others" if inserted else f"`{p}` was added and may be left out")
            breaking = breaking or inserted
        else:
            what.append(f"`{p}` was added and is required")
            breaking = True
    if stayed != [p for p in was if p in now]:
        what.append("the order of the parameters changed")
        breaking = True
    for p in stayed:
        could, can = old[was.index(p)].endswith("="), new[now.index(p)].endswith("=")
        if could != can:
            what.append(f"`{p}` {'may be left out' if can else 'is required'} now")
            breaking = breaking or could
    return what, breaking or bool(gone)


def _plain(parameter: str) -> str:
    return parameter.removesuffix("=")


def _renames(vanished: dict[str, list[_Form]], appeared: dict[str, list[_Form]]) -> dict[str, _Form]:
    """Functions that vanished → those that appeared in the same scope with almost the same body."""
    pairs = [
        (one[0], other[0])
        for one in vanished.values()
        for other in appeared.values()
        if _scope(one[0]) == _scope(other[0]) and 0.5 <= (len(one[0].text) + 1) / (len(other[0].text) + 1) <= 2
    ]
    rated = sorted(((_likeness(one, other), one, other) for one, other in pairs[:_MAX_PAIRS]), key=lambda r: -r[0])
    found: dict[str, _Form] = {}
    taken: set[str] = set()
    for likeness, one, other in rated:
        if likeness >= SAME_BODY and one.definition.qualified not in found and other.definition.qualified not in taken:
            found[one.definition.qualified] = other
            taken.add(other.definition.qualified)
    return found


def _scope(form: _Form) -> str:
    return form.definition.qualified.removesuffix(form.definition.name)


def _likeness(one: _Form, other: _Form) -> float:
    """Share of equal lines, the function's own name and the indentation aside."""
    lines = [line.strip() for line in one.text.replace(one.definition.name, "\0", 1).split("\n") if line.strip()]
    others = [line.strip() for line in other.text.replace(other.definition.name, "\0", 1).split("\n") if line.strip()]
    return SequenceMatcher(None, lines, others, autojunk=False).ratio()
