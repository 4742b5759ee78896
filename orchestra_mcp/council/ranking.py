"""The order of the solutions: weighted votes, what running them showed, what holds against them, and ballots. Pure.

score = Σ weights of the cluster + evidence from running it − verified defects + κ · strength in the blind review. All
are in log-odds, so that they add up; ballots count only where no test has told the solutions apart. Nothing depends on
the order of seats, their names or the order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchestra_mcp.council.answers.programs import passes, worked
from orchestra_mcp.council.answers.reading import shorten
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.scales import ballots as polls
from orchestra_mcp.council.scales.clustering import Cluster, cluster
from orchestra_mcp.council.scales.weights import weight
from orchestra_mcp.types import Agreement, Check, Claim, Defect, EvidenceKind, Opinion, Trial

KAPPA = 1.0
"""How much the blind review counts beside the votes: 1 where judges are authors, 2 where they are not (simulated)."""
KAPPA_APART = 2.0

# What running an answer tells, as log-likelihood ratios. Measured on stored programs of real models: passing all of the
# question's own cases is e times as likely for a right program as for a wrong one; missing all is hardly ever right, and
# missing some is in between, since the examples of a docstring may themselves be wrong. Of patches these are design
# choices: a right one turns red tests green nine times in ten, a wrong one seldom; one that does not apply can still
# have the right idea. Tests that stay red tell something only once another patch has turned them green.
PASSES, MISSES, RAISES = 1.0, -3.0, -1.5
TRIALS = {"fixes": 1.8, "keeps": 0.3, "untested": 0.0, "fails": -1.5, "breaks": -3.0, "broken": -1.0}
ENOUGH = 5
"""Cases from which on passing them counts in full: on one input alone programs behave alike by chance."""
APART = 0.5
"""Difference in what tests showed from which on they have told two solutions apart."""
SPOILED = 0.5
"""What is left of a vote whose own patch failed, while others who say the same stand."""
NEAR = 3
"""Lines by which two accusations may differ and still mean one place."""
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
    lost: float
    """What verified defects cost it, in log-odds."""
    score: float
    evidence: EvidenceKind
    shown: str
    """The proof in words."""
    defects: tuple[Defect, ...]
    """What is held against it; only verified ones have counted."""
    tested: bool
    """Whether the question's own cases or the user's tests have run on it."""

    @property
    def seats(self) -> tuple[str, ...]:
        """Who gave it, best first."""
        return tuple(opinion.seat for opinion in self.opinions)


class Proof(NamedTuple):
    """What running one answer showed."""

    odds: float = 0.0
    words: str = ""
    tested: bool = False


def rank(opinions: Sequence[Opinion], minutes: Minutes) -> tuple[tuple[Ranked, ...], Agreement]:
    """The solutions, best first, and how far the first one is agreed on."""
    by_seat = {opinion.seat: opinion for opinion in opinions}
    clusters = cluster(opinions, minutes.found, minutes.ballots)
    weights = _weights(opinions, minutes)
    held = defects(minutes)

    def ranked(group: Cluster) -> Ranked:
        members = tuple(sorted((by_seat[seat] for seat in group.seats), key=lambda o: _merit(o, minutes, weights)))
        votes = _distinct(members, weights, minutes)
        proof = max((_proof(opinion, minutes) for opinion in members), key=lambda p: (p.odds, p.tested))
        against = tuple(d for d in held if d.candidate in group.seats and d.critic not in group.seats)
        critics = {d.critic for d in against if d.claim.check and d.claim.check.outcome == "verified"}
        lost = sum(minutes.weight(critic) for critic in critics)
        score = votes + proof.odds - lost
        return Ranked(members, votes, proof.odds, lost, score, group.evidence, proof.words, against, proof.tested)

    found = [ranked(group) for group in clusters]
    if not told_apart(found):
        strength = _strengths(clusters, minutes)
        found = [r._replace(score=r.score + strength.get(frozenset(r.seats), 0.0)) for r in found]
    found = [r._replace(score=round(r.score, 6)) for r in found]
    ordered = sorted(found, key=lambda r: (-r.score, *_tie(r, minutes)))
    return tuple(ordered), _agreement(ordered, sum(r.votes for r in found), minutes) if ordered else Agreement()


def told_apart(ranked: Sequence[Ranked]) -> bool:
    """Tests have run, and what they showed differs between solutions: then no ballot needs to be asked."""
    proofs = [r.proof for r in ranked]
    return any(r.tested for r in ranked) and max(proofs) - min(proofs) >= APART


def tied(one: Ranked, other: Ranked) -> bool:
    """Two solutions between which nothing decides."""
    return abs(one.score - other.score) < 1e-6


def defects(minutes: Minutes) -> tuple[Defect, ...]:
    """Everything that experts hold against each other's answers, from reviews and later rounds.

    Code that was found where an accusation points counts once experts of two families hold the same against an answer.
    """
    found = [d for ballot in minutes.ballots for d in ballot.defects]
    found += [d for opinion in minutes.opinions for d in opinion.defects]
    return tuple(dict.fromkeys(_corroborated(defect, found, minutes) for defect in found))


def _corroborated(defect: Defect, all: Sequence[Defect], minutes: Minutes) -> Defect:
    check, claim = defect.claim.check, defect.claim
    if check is None or check.name != "place":
        return defect

    def family(critic: str) -> str:
        seat = minutes.seats.get(critic)
        return (seat.family if seat else "") or critic

    others = [
        other
        for other in all
        if other.claim.check
        and other.claim.check.name == "place"
        and other.candidate == defect.candidate
        and other.claim.path == claim.path
        and abs(other.claim.line - claim.line) <= NEAR
        and family(other.critic) != family(defect.critic)
    ]
    if not others:
        return defect
    checked = Check(outcome="verified", name="place", note="experts of two families point at the same code against it")
    return defect.model_copy(update={"claim": claim.model_copy(update={"check": checked})})


def _weights(opinions: Sequence[Opinion], minutes: Minutes) -> dict[str, float]:
    """The weight of each vote."""
    # Where most chose one of the question's options, whoever chose none has not voted.
    choosing = sum(bool(opinion.option) for opinion in opinions) * 2 > len(opinions)
    weights = {}
    for opinion in opinions:
        base = weight(opinion, minutes.weight(opinion.seat))
        trial = minutes.found.trial(opinion)
        spoiled = trial is not None and _trial(trial, minutes).odds < 0 and len(opinions) > 1
        weights[opinion.seat] = 0.0 if choosing and not opinion.option else base * (SPOILED if spoiled else 1.0)
    return weights


def _distinct(members: Sequence[Opinion], weights: dict[str, float], minutes: Minutes) -> float:
    """Weight of those who agree; one model that sits twice has one vote."""
    best: dict[str, float] = {}
    for opinion in members:
        model = model_of(opinion, minutes)
        best[model] = max(best.get(model, 0.0), weights[opinion.seat])
    return sum(best.values())


def model_of(opinion: Opinion, minutes: Minutes) -> str:
    """Which model gave an opinion; two seats of one model are one voice."""
    seat = minutes.seats.get(opinion.seat)
    return (seat.model_id or seat.model if seat else "") or opinion.seat


def _strengths(clusters: Sequence[Cluster], minutes: Minutes) -> dict[frozenset[str], float]:
    """κθ of each cluster from the blind reviews, in which one answer of a cluster stands for all of it."""
    of = {seat: frozenset(group.seats) for group in clusters for seat in group.seats}
    rankings = []
    for ballot in minutes.ballots:
        own = of.get(ballot.judge)  # nobody's ballot counts for or against the answer that it gave itself
        order = list(dict.fromkeys(of[seat] for seat in ballot.ranking if seat in of and of[seat] != own))
        shown = list(dict.fromkeys(of[seat] for seat in ballot.shown if seat in of and of[seat] != own))
        weight = minutes.experience.judging.get(ballot.judge)
        if weight is None:
            weight = polls.reliability(minutes.skill(ballot.judge))
        if len(shown) > 1 and order and weight > 0:
            rankings.append(polls.Ranking(ballot.judge, tuple(shown), tuple(order), weight))
    if not rankings:
        return {}
    authors = set(minutes.answered())
    apart = all(ranking.judge not in authors for ranking in rankings)
    # In an order of their own, so that sums do not depend on who answered first.
    candidates = sorted({*of.values()}, key=lambda seats: sorted(seats))
    strengths = polls.strengths(rankings, candidates)
    return {seats: (KAPPA_APART if apart else KAPPA) * theta for seats, theta in strengths.items()}


def counted_ballots(minutes: Minutes, ranked: Sequence[Ranked]) -> int:
    """Ballots whose ranking told something: of at least two solutions that are not the judge's own."""
    if told_apart(ranked):
        return 0
    of = {seat: place for place, r in enumerate(ranked) for seat in r.seats}
    return sum(
        len({of[seat] for seat in ballot.shown if seat in of} - {of.get(ballot.judge)}) > 1
        for ballot in minutes.ballots
    )


def _proof(opinion: Opinion, minutes: Minutes) -> Proof:
    """What running an answer showed, in log-odds and in words: the most telling of its program and its patch."""
    found = minutes.found
    told: list[Proof] = []
    if behaviour := found.behaviour(opinion):
        passed, checked = passes(behaviour, found.probes)
        if not behaviour.loaded:
            told.append(Proof(MISSES, "the program does not load", True))
        elif checked:
            told.append(
                Proof(_passing(passed, checked), f"passes {passed} of {checked} of the question's own cases", True)
            )
        elif not worked(behaviour):
            told.append(Proof(RAISES, "raises on every input", False))
        else:
            inputs = len(behaviour.outcomes)
            told.append(Proof(0.0, f"ran on {inputs} shared input{'s' * (inputs != 1)}", False))
    if trial := found.trial(opinion):
        told.append(_trial(trial, minutes))
    return max(told, key=lambda proof: abs(proof.odds), default=Proof())


def _trial(trial: Trial, minutes: Minutes) -> Proof:
    can_turn_green = any(t.verdict == "fixes" for t in minutes.found.trials.values())
    tests = trial.verdict in ("fixes", "keeps", "fails", "breaks")
    odds = 0.0 if trial.verdict == "fails" and not can_turn_green else TRIALS[trial.verdict]
    last = next((line.strip() for line in reversed(trial.output.splitlines()) if line.strip()), "")
    why = f" ({shorten(last, 100)})" if last and trial.verdict in ("fails", "breaks") else ""
    return Proof(odds, SAYS[trial.verdict] + why, tests)


def _passing(passed: int, checked: int) -> float:
    missed = 1 - passed / checked
    return PASSES * min(1.0, checked / ENOUGH) * (1 - missed) + MISSES * missed


def _agreement(ordered: Sequence[Ranked], total: float, minutes: Minutes) -> Agreement:
    """How far the first solution is agreed on; where programs ran, the question's own cases are one more voice."""
    cases = any(probe.expected is not None for probe in minutes.found.probes) and ordered[0].evidence == "executed"
    held = [max(0.0, r.votes + (r.proof if cases else 0.0)) for r in ordered]
    total = (total + (PASSES if cases else 0.0)) or 1.0
    n = len({model_of(opinion, minutes) for opinion in ordered[0].opinions})
    return Agreement(
        share=min(1.0, held[0] / total),
        margin=max(-1.0, min(1.0, (held[0] - max(held[1:], default=0.0)) / total)),
        evidence=ordered[0].evidence,
        independent_votes=n / (1 + (n - 1) * minutes.experience.rho),
    )


def _merit(opinion: Opinion, minutes: Minutes, weights: dict[str, float]) -> tuple[float, float, str, str]:
    """Who speaks for a cluster: whose trial went best, then the most likely to be right; at last by its words alone."""
    trial = minutes.found.trial(opinion)
    return (-TRIALS[trial.verdict] if trial else 0.0, -weights[opinion.seat], opinion.position, opinion.answer)


def _tie(ranked: Ranked, minutes: Minutes) -> tuple[float, str, str]:
    best = max(minutes.skill(seat) for seat in ranked.seats)
    return (-best, ranked.opinions[0].position, ranked.opinions[0].answer)


def open_accusations(ranked: Ranked) -> tuple[Claim, ...]:
    """What is held against a solution, verified first, each only once."""
    ordered = sorted(ranked.defects, key=lambda d: _RANK[d.claim.check.outcome if d.claim.check else "unchecked"])
    return tuple({defect.claim.text: defect.claim for defect in reversed(ordered)}.values())[::-1]


_RANK = {"verified": 0, "unchecked": 1, "refuted": 2}
