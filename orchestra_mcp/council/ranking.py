"""The order of the solutions: weighted votes, what running them showed, what holds against them, and ballots. Pure.

score = Σ weights of the cluster + evidence from running it − verified defects + κ · strength in the blind review. All
are in log-odds, so that they add up. Nothing depends on the order of seats, their names or the order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from orchestra_mcp.council.answers.programs import passes
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.scales import ballots as polls
from orchestra_mcp.council.scales.clustering import Cluster, cluster
from orchestra_mcp.council.scales.weights import weight
from orchestra_mcp.types import Agreement, Claim, Defect, EvidenceKind, Opinion

KAPPA = 1.0
"""How much the blind review counts beside the votes: 1 where judges are authors, 2 where they are not (simulated)."""
KAPPA_APART = 2.0

# What running an answer tells, as log-likelihood ratios. Measured on stored programs of real models: passing all of the
# question's own cases is e times as likely for a right program as for a wrong one; missing all is hardly ever right, and
# missing some is in between, since the examples of a docstring may themselves be wrong. Of patches these are design
# choices: a right one turns red tests green nine times in ten, a wrong one seldom; one that does not apply can still
# have the right idea.
PASSES, MISSES = 1.0, -3.0
ENOUGH = 5
"""Cases from which on passing them counts in full: on one input alone programs behave alike by chance."""
TRIALS = {"fixes": 1.8, "keeps": 0.3, "untested": 0.0, "fails": -1.5, "breaks": -3.0, "broken": -1.0}
SAYS = {
    "fixes": "its patch turns the failing tests green",
    "keeps": "its patch keeps the passing tests green",
    "fails": "with its patch the tests still fail",
    "breaks": "its patch breaks tests that passed",
    "broken": "its patch does not apply or does not parse",
    "untested": "its patch applies and parses; no tests were run",
}


class Ranked(NamedTuple):
    """A solution in its place."""

    opinions: tuple[Opinion, ...]
    """Best first."""
    votes: float
    """Weight of those who gave it."""
    proof: float
    """What running it showed, in log-odds."""
    score: float
    evidence: EvidenceKind
    shown: str
    """The proof in words."""
    defects: tuple[Defect, ...]
    """What is held against it; only verified ones have counted."""

    @property
    def seats(self) -> tuple[str, ...]:
        """Who gave it, best first."""
        return tuple(opinion.seat for opinion in self.opinions)


def rank(opinions: Sequence[Opinion], minutes: Minutes) -> tuple[tuple[Ranked, ...], Agreement]:
    """The solutions, best first, and how far the first one is agreed on."""
    by_seat = {opinion.seat: opinion for opinion in opinions}
    clusters = cluster(opinions, minutes.found, minutes.ballots)
    # Where some chose one of the question's options, whoever chose none has not voted.
    choosing = any(opinion.option for opinion in opinions)
    weights = {
        seat: 0.0 if choosing and not opinion.option else weight(opinion, minutes.weight(seat))
        for seat, opinion in by_seat.items()
    }
    strength = _strengths(clusters, minutes)
    held = defects(minutes)

    def ranked(group: Cluster) -> Ranked:
        members = tuple(sorted((by_seat[seat] for seat in group.seats), key=lambda o: _merit(o, minutes, weights)))
        votes = sum(weights[seat] for seat in group.seats)
        proof, shown = _proof(members, minutes)
        against = tuple(d for d in held if d.candidate in group.seats and d.critic not in group.seats)
        critics = {d.critic for d in against if d.claim.check and d.claim.check.outcome == "verified"}
        lost = sum(minutes.weight(critic) for critic in critics)
        score = votes + proof - lost + strength.get(group.seats, 0.0)
        return Ranked(members, votes, proof, round(score, 6), group.evidence, shown, against)

    ordered = sorted((ranked(group) for group in clusters), key=lambda r: (-r.score, *_tie(r, minutes)))
    return tuple(ordered), _agreement(ordered, sum(weights.values()), minutes) if ordered else Agreement()


def _agreement(ordered: Sequence[Ranked], total: float, minutes: Minutes) -> Agreement:
    """How far the first solution is agreed on; where programs ran, the question's own cases are one more voice."""
    cases = any(probe.expected is not None for probe in minutes.found.probes) and ordered[0].evidence == "executed"
    held = [max(0.0, r.votes + (r.proof if cases else 0.0)) for r in ordered]
    total = (total + (PASSES if cases else 0.0)) or 1.0
    n = len(ordered[0].opinions)
    return Agreement(
        share=held[0] / total,
        margin=(held[0] - max(held[1:], default=0.0)) / total,
        evidence=ordered[0].evidence,
        independent_votes=n / (1 + (n - 1) * minutes.experience.rho),
    )


def defects(minutes: Minutes) -> tuple[Defect, ...]:
    """Everything that experts hold against each other's answers, from reviews and later rounds."""
    found = [d for ballot in minutes.ballots for d in ballot.defects]
    found += [d for opinion in minutes.opinions for d in opinion.defects]
    return tuple(dict.fromkeys(found))


def _strengths(clusters: Sequence[Cluster], minutes: Minutes) -> dict[tuple[str, ...], float]:
    """κθ of each cluster from the blind reviews, in which one answer of a cluster stands for all of it."""
    rankings = []
    for ballot in minutes.ballots:
        of = {seat: group.seats for group in clusters for seat in group.seats}
        own = of.get(ballot.judge)  # nobody's ballot counts for or against the answer that it gave itself
        order = list(dict.fromkeys(of[seat] for seat in ballot.ranking if seat in of and of[seat] != own))
        shown = list(dict.fromkeys(of[seat] for seat in ballot.shown if seat in of and of[seat] != own))
        weight = minutes.experience.judging.get(ballot.judge)
        if weight is None:
            weight = polls.reliability(minutes.skill(ballot.judge))
        if len(shown) > 1:
            rankings.append(polls.Ranking(ballot.judge, tuple(shown), tuple(order), weight))
    if not rankings:
        return {}
    authors = set(minutes.answered())
    apart = all(ranking.judge not in authors for ranking in rankings)
    strengths = polls.strengths(rankings, [group.seats for group in clusters])
    return {seats: (KAPPA_APART if apart else KAPPA) * theta for seats, theta in strengths.items()}


def _proof(members: Sequence[Opinion], minutes: Minutes) -> tuple[float, str]:
    """What running the best of these answers showed, in log-odds and in words."""
    found = minutes.found
    best: tuple[float, str] = (0.0, "")
    told: list[tuple[float, str]] = []
    for opinion in members:
        if behaviour := found.behaviours.get(opinion.seat):
            passed, checked = passes(behaviour, found.probes)
            if not behaviour.loaded:
                told.append((MISSES, "the program does not load"))
            elif checked:
                said = f"passes {passed} of {checked} of the question's own cases"
                told.append((_passing(passed, checked), said))
            else:
                told.append((0.0, f"ran on {len(behaviour.outcomes)} shared inputs"))
        if trial := found.trials.get(opinion.seat):
            told.append((TRIALS[trial.verdict], SAYS[trial.verdict]))
    return max(told, key=lambda pair: pair[0], default=best)


def _passing(passed: int, checked: int) -> float:
    missed = 1 - passed / checked
    return PASSES * min(1.0, checked / ENOUGH) * (1 - missed) + MISSES * missed


def _merit(opinion: Opinion, minutes: Minutes, weights: dict[str, float]) -> tuple[float, float, str, str]:
    """Who speaks for a cluster: whose trial went best, then the most likely to be right; at last by its words alone."""
    trial = minutes.found.trials.get(opinion.seat)
    return (-TRIALS[trial.verdict] if trial else 0.0, -weights[opinion.seat], opinion.position, opinion.answer)


def _tie(ranked: Ranked, minutes: Minutes) -> tuple[float, str, str]:
    best = max(minutes.skill(seat) for seat in ranked.seats)
    return (-best, ranked.opinions[0].position, ranked.opinions[0].answer)


def open_accusations(ranked: Ranked) -> tuple[Claim, ...]:
    """What is held against a solution, verified first, each only once."""
    ordered = sorted(ranked.defects, key=lambda d: _RANK[d.claim.check.outcome if d.claim.check else "unchecked"])
    return tuple(next(group) for _, group in groupby((d.claim for d in ordered), key=lambda claim: claim.text))


_RANK = {"verified": 0, "unchecked": 1, "refuted": 2}
