"""Which answers say the same, and by which kind of evidence that is known. Pure.

Embeddings of whole answers do not tell (AUROC .64 on stored answers of real models), and neither does alike wording of
code; what programs do, and a one-line position, tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from orchestra_mcp.council.answers.likeness import normal, word_overlap
from orchestra_mcp.council.answers.programs import same_behaviour, telling, worked
from orchestra_mcp.types import Ballot, Behaviour, Check, EvidenceKind, Opinion, Probe, Trial

STRENGTH: tuple[EvidenceKind, ...] = (
    "executed", "exact", "same-code", "cited", "entailed", "reviewed", "text-only",
)  # fmt: skip

TELLS_APART: frozenset[EvidenceKind] = frozenset({"executed", "exact", "same-code", "entailed"})
"""Kinds of evidence that can also show that two answers differ."""


class Comparison(NamedTuple):
    """What one comparison of positions (as `likeness.normal` has them) found: those in one group mean the same."""

    positions: frozenset[str]
    groups: tuple[tuple[str, ...], ...]


@dataclass
class Found:
    """What was found out about answers beside their words: of a text, never of a seat, which may say something else later."""

    probes: tuple[Probe, ...] = ()
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """Program → what it did on `probes`."""
    forms: dict[str, str] = field(default_factory=dict)
    """Program → its normal form."""
    trials: dict[str, Trial] = field(default_factory=dict)
    """Patch → what trying it gave."""
    comparisons: list[Comparison] = field(default_factory=list)
    checks: dict[tuple[str, int], tuple[Check, ...]] = field(default_factory=dict)
    """Seat and round → what the checks of the question's mode made of that answer."""

    def behaviour(self, opinion: Opinion) -> Behaviour | None:
        """What an answer's program did, if it has one that ran."""
        return self.behaviours.get(opinion.code) if opinion.code else None

    def trial(self, opinion: Opinion) -> Trial | None:
        """What trying an answer's patch gave, if it has one that was tried."""
        return self.trials.get(opinion.patch) if opinion.patch else None


class Cluster(NamedTuple):
    """Opinions that say the same, and by which kind of evidence we know."""

    seats: tuple[str, ...]
    evidence: EvidenceKind


NOTHING = Found()


def cluster(
    opinions: Sequence[Opinion], found: Found = NOTHING, ballots: Sequence[Ballot] = (), lexical: bool = True
) -> tuple[Cluster, ...]:
    """Group opinions that say the same, the surest pairs first; what is known to differ is never in one group.

    Args:
        opinions: one of each seat.
        found: what was found out about them.
        ballots: what reviewers said of them.
        lexical: whether like wording alone may join two.
    """
    parent = {o.seat: o.seat for o in opinions}
    kinds: dict[str, EvidenceKind] = {}

    def find(seat: str) -> str:
        while parent[seat] != seat:
            seat = parent[seat]
        return seat

    apart: set[frozenset[str]] = set()
    joins: list[tuple[int, list[str], Opinion, Opinion, EvidenceKind]] = []
    for a, b in combinations(opinions, 2):
        kind, alike = same(a, b, found, ballots)
        if not alike:
            apart |= {frozenset((a.seat, b.seat))} if kind in TELLS_APART else set()
        elif lexical or kind != "text-only":
            joins.append((STRENGTH.index(kind), sorted((a.position, b.position)), a, b, kind))
    for _, _, a, b, kind in sorted(joins, key=lambda join: join[:2]):
        one, two = find(a.seat), find(b.seat)
        left, right = ([seat for seat in parent if find(seat) == root] for root in (one, two))
        if one != two and any(frozenset((x, y)) in apart for x in left for y in right):
            continue
        parent[two] = one
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
    2. `same-code`: programs that could not both run are the same only when they are equal but for comments, layout and
       names of locals; no words can join them.
    3. `exact`: both chose one of the question's options; or their positions are equal after normalisation.
    4. `cited`: both cite the same verified place, and the positions share their meaning words and negations.
    5. `entailed`: a comparison of the position lines put them together, or apart.
    6. `reviewed`: more reviewers put the two together than apart, of those who saw both.
    7. `text-only`: nearly all words, and all numbers, identifiers and negations, are the same.
    """
    one, two = found.behaviour(a), found.behaviour(b)
    if one is not None and two is not None:
        return "executed", same_behaviour(one, two, found.probes, telling(found.behaviours.values(), found.probes))
    if a.code and b.code:
        form = found.forms.get(a.code, "")
        return "same-code", a.code == b.code or bool(form and form == found.forms.get(b.code))
    if a.option and b.option:
        return "exact", a.option == b.option
    mine, yours = normal(a.position), normal(b.position)
    if mine and mine == yours:
        return "exact", True
    overlap, strict = word_overlap(a.position, b.position)
    if strict and overlap >= 0.25 and _places(a) & _places(b):
        return "cited", True
    for comparison in found.comparisons:
        if {mine, yours} <= comparison.positions:
            return "entailed", any({mine, yours} <= set(group) for group in comparison.groups)
    saw = [ballot for ballot in ballots if {a.seat, b.seat} <= set(ballot.shown)]
    together = sum(any({a.seat, b.seat} <= set(group) for group in ballot.same) for ballot in saw)
    if together * 2 > len(saw):
        return "reviewed", True
    return ("text-only", True) if strict and overlap >= 0.8 else ("none", False)


def undecided(opinions: Sequence[Opinion], found: Found) -> bool:
    """Whether a comparison of the position lines could still bring some of these answers together."""
    return any(same(a, b, found)[0] in ("none", "text-only") for a, b in combinations(opinions, 2))


def _alone(seat: str, opinions: Sequence[Opinion], found: Found) -> EvidenceKind:
    """Of an answer that nobody shares: how sure that is."""
    if len(opinions) > 1 and all(opinion.option for opinion in opinions):
        return (
            "exact"  # everyone chose one of the question's options, so that the others are known to have chosen another
        )
    ran = {o.seat: behaviour for o in opinions if (behaviour := found.behaviour(o)) and behaviour.loaded}
    mine = ran.get(seat)
    return "executed" if mine is not None and worked(mine) and len(ran) > 1 else "single"


def _places(opinion: Opinion) -> set[tuple[str, str]]:
    return {
        (claim.path, claim.symbol or f"line {claim.line // 8}")
        for claim in opinion.claims
        if claim.check and claim.check.outcome == "verified" and (claim.line or claim.symbol)
    }
