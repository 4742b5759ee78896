"""Which answers say the same, and by which kind of evidence that is known. Pure.

Embeddings of whole answers do not tell (AUROC .64 on stored answers of real models), and neither does alike wording of
code; what programs do, and a one-line position, tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from orchestra_mcp.council.answers.likeness import normal, word_overlap
from orchestra_mcp.council.answers.programs import same_behaviour
from orchestra_mcp.types import Ballot, Behaviour, Check, EvidenceKind, Opinion, Probe, Trial

STRENGTH: tuple[EvidenceKind, ...] = (
    "executed", "exact", "same-code", "cited", "entailed", "reviewed", "text-only",
)  # fmt: skip


class Comparison(NamedTuple):
    """What one comparison of positions found: of these seats, those in one group mean the same."""

    seats: frozenset[str]
    groups: tuple[tuple[str, ...], ...]


@dataclass
class Found:
    """What was found out about the answers beside their words, by seat."""

    probes: tuple[Probe, ...] = ()
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """What programs did on `probes`."""
    forms: dict[str, str] = field(default_factory=dict)
    """Normal forms of code."""
    trials: dict[str, Trial] = field(default_factory=dict)
    """What trying a patch gave."""
    comparisons: list[Comparison] = field(default_factory=list)
    checks: dict[str, tuple[Check, ...]] = field(default_factory=dict)
    """What the checks of the question's mode made of each answer."""


class Cluster(NamedTuple):
    """Opinions that say the same, and by which kind of evidence we know."""

    seats: tuple[str, ...]
    evidence: EvidenceKind


NOTHING = Found()


def cluster(opinions: Sequence[Opinion], found: Found = NOTHING, ballots: Sequence[Ballot] = ()) -> tuple[Cluster, ...]:
    """Group opinions that say the same: the transitive closure of `same`."""
    parent = {o.seat: o.seat for o in opinions}
    kinds: dict[str, EvidenceKind] = {}

    def find(seat: str) -> str:
        while parent[seat] != seat:
            seat = parent[seat]
        return seat

    for a, b in combinations(opinions, 2):
        kind, alike = same(a, b, found, ballots)
        if not alike:
            continue
        parent[find(b.seat)] = find(a.seat)
        for seat in (a.seat, b.seat):
            kinds[seat] = min(kinds.get(seat, kind), kind, key=STRENGTH.index)
    groups: dict[str, list[str]] = {}
    for opinion in opinions:
        groups.setdefault(find(opinion.seat), []).append(opinion.seat)
    return tuple(
        Cluster(
            tuple(seats),
            _alone(seats[0], opinions, found)
            if len(seats) == 1
            else max((kinds[s] for s in seats), key=STRENGTH.index),
        )
        for seats in groups.values()
    )


def same(a: Opinion, b: Opinion, found: Found = NOTHING, ballots: Sequence[Ballot] = ()) -> tuple[EvidenceKind, bool]:
    """Whether two opinions say the same, by the first rule that can tell; `none` when only their words differ.

    1. `executed`: both are programs that ran: they behave alike on every shared input, or not. This stands before the
       position, since two programs can bear the same name and differ in what they do.
    2. `exact`: both chose one of the question's options; or their positions are equal after normalisation.
    3. `same-code`: the programs are equal but for comments, layout and names of locals.
    4. `cited`: both cite the same verified place, and the positions share their meaning words and negations.
    5. `entailed`: a comparison of the position lines put them together, or apart.
    6. `reviewed`: more reviewers put the two together than apart, of those who saw both.
    7. `text-only`: nearly all words, and all numbers, identifiers and negations, are the same.
    """
    one, two = found.behaviours.get(a.seat), found.behaviours.get(b.seat)
    if one is not None and two is not None:
        return "executed", same_behaviour(one, two)
    if a.option and b.option:
        return "exact", a.option == b.option
    program = bool(a.code and b.code)
    if not program and normal(a.position) and normal(a.position) == normal(b.position):
        return "exact", True
    if program and (form := found.forms.get(a.seat)) and form == found.forms.get(b.seat):
        return "same-code", True
    overlap, strict = word_overlap(a.position, b.position)
    if strict and overlap >= 0.25 and _places(a) & _places(b):
        return "cited", True
    for comparison in found.comparisons:
        if {a.seat, b.seat} <= comparison.seats:
            return "entailed", any({a.seat, b.seat} <= set(group) for group in comparison.groups)
    saw = [ballot for ballot in ballots if {a.seat, b.seat} <= set(ballot.shown)]
    together = sum(any({a.seat, b.seat} <= set(group) for group in ballot.same) for ballot in saw)
    if together * 2 > len(saw):
        return "reviewed", True
    if not program and strict and overlap >= 0.8:
        return "text-only", True
    return "none", False


def undecided(opinions: Sequence[Opinion], found: Found) -> bool:
    """Whether a comparison of the position lines could still bring some of these answers together."""
    return any(same(a, b, found)[0] in ("none", "text-only") for a, b in combinations(opinions, 2))


def _alone(seat: str, opinions: Sequence[Opinion], found: Found) -> EvidenceKind:
    """Of an answer that nobody shares: how sure that is."""
    if seat in found.behaviours:
        return "executed"
    # Everyone chose one of the question's options, and so it is known that the others chose another one.
    return "exact" if len(opinions) > 1 and all(opinion.option for opinion in opinions) else "single"


def _places(opinion: Opinion) -> set[tuple[str, str]]:
    return {
        (claim.path, claim.symbol or f"line {claim.line // 8}")
        for claim in opinion.claims
        if claim.check and claim.check.outcome == "verified" and (claim.line or claim.symbol)
    }


def by_seat(opinions: Sequence[Opinion]) -> Mapping[str, Opinion]:
    """The opinions by who gave them."""
    return {opinion.seat: opinion for opinion in opinions}
