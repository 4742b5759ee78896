"""Who agrees with whom, how much each voice weighs, and how sure that makes us. Pure.

Weights and confidence follow the measurements in the literature on LLM ensembles: never a head count, log-odds of a
track record with K_eff = 3 equally likely wrong answers, and a logistic fitted on stored councils of real models.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from orchestra_mcp.types import Agreement, Ballot, Claim, Opinion

EvidenceKind = Literal["exact", "cited", "reviewed", "text-only", "single", "none"]
STRENGTH: tuple[EvidenceKind, ...] = ("exact", "cited", "reviewed", "text-only")

RHO = 0.47
"""Error correlation of two frontier models where no history says better (measured .38 to .50)."""

# Logistic coefficients: constant, share, margin, logit of the best seat in the winning cluster, mean logit, ln(size).
# Fitted without feedback on stored MMLU-Pro councils; expected calibration error .041 on councils held out.
BETA = (-1.63, 1.02, 1.31, 0.78, -0.15, 0.47)

# Without apostrophes, as `normal` leaves them.
NEGATIONS = frozenset(
    """
    no not never none nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt shouldnt couldnt
    mustnt neednt hasnt havent instead against avoid stop unless
    """.split()
)
OPPOSITES = (
    # Where one position has a word of the left and another one of the right, they do not say the same.
    ("increase increases raise raises grow higher more larger longer", "decrease decreases lower lowers reduce reduces shrink fewer less smaller shorter"),
    ("add adds insert introduce keep keeps retain leave", "remove removes delete deletes drop drops"),
    ("enable enables enabled", "disable disables disabled"),
    ("allow allows accept accepts", "forbid forbids reject rejects deny denies block blocks"),
    ("safe", "unsafe"),
    ("valid", "invalid"),
    ("correct right", "incorrect wrong"),
    ("true", "false"),
    ("sync synchronous", "async asynchronous"),
    ("mutable", "immutable"),
    ("before earlier early", "after later late"),
    ("split", "merge"),
    ("min minimum", "max maximum"),
    ("encode", "decode"),
    # add here
)  # fmt: skip
STOP = frozenset(
    """
    the a an is are be to of in on for and or it its this that with as by at from should use using we you
    """.split()
)


class Cluster(NamedTuple):
    """Opinions that say the same, and by which kind of evidence we know."""

    seats: tuple[str, ...]
    evidence: EvidenceKind


def logit(p: float) -> float:
    """Log-odds of a probability, clipped to [.05, .95]."""
    p = min(0.95, max(0.05, p))
    return math.log(p / (1 - p))


def weight(opinion: Opinion, prior: float) -> float:
    """How much one opinion counts: w = max(.05, logit p + ln 2), lowered by claims that the code refutes.

    Half of the weight hangs on the claims being true (a design choice, not a measured one); an opinion that cites
    nothing verifiable keeps 85 %.
    """
    base = max(0.05, logit(prior) + math.log(2))
    return base * soundness(opinion.claims)


def soundness(claims: Sequence[Claim]) -> float:
    """1 when every claim that points at code holds; down to .5 when all are refuted; .85 when there is none."""
    outcomes = [claim.check.outcome for claim in claims if claim.check]
    verified, refuted = outcomes.count("verified"), outcomes.count("refuted")
    if not (verified or refuted):
        return 0.85
    return 1 - 0.5 * refuted / (verified + refuted)


def cluster(opinions: Sequence[Opinion], ballots: Sequence[Ballot] = ()) -> tuple[Cluster, ...]:
    """Group opinions that say the same, by the first rule that applies to a pair.

    1. `exact`: the positions are equal after normalisation.
    2. `cited`: both cite the same verified place, and the positions share their meaning words and negations.
    3. `reviewed`: more reviewers put the two together than apart, of those who saw both.
    4. `text-only`: nearly all words, and all numbers, identifiers and negations, are the same.
    """
    parent = {o.seat: o.seat for o in opinions}
    kinds: dict[str, EvidenceKind] = {}

    def find(seat: str) -> str:
        while parent[seat] != seat:
            seat = parent[seat]
        return seat

    for a, b in combinations(opinions, 2):
        kind = same(a, b, ballots)
        if kind == "none":
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
            "single" if len(seats) == 1 else max((kinds[s] for s in seats), key=STRENGTH.index),
        )
        for seats in groups.values()
    )


def same(a: Opinion, b: Opinion, ballots: Sequence[Ballot] = ()) -> EvidenceKind:
    """By which rule of `cluster` two opinions say the same; `none` when by none."""
    if normal(a.position) and normal(a.position) == normal(b.position):
        return "exact"
    overlap, strict = word_overlap(a.position, b.position)
    if strict and overlap >= 0.25 and _places(a) & _places(b):
        return "cited"
    saw = [ballot for ballot in ballots if {a.seat, b.seat} <= set(ballot.shown)]
    together = sum(any({a.seat, b.seat} <= set(group) for group in ballot.same) for ballot in saw)
    if together * 2 > len(saw):
        return "reviewed"
    return "text-only" if strict and overlap >= 0.8 else "none"


def normal(position: str) -> str:
    """A position without case, punctuation, white space and trailing zeros, for comparison."""
    text = re.sub(r"(?<=\w)['’](?=\w)", "", position.lower())
    text = re.sub(r"[^\w\s.+-]", " ", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", " ", text)
    text = re.sub(r"\d+\.\d+", lambda m: f"{float(m.group()):.6g}", text)
    return " ".join(text.split())


def tally(ballots: Sequence[Ballot], priors: Mapping[str, float], candidates: Sequence[str]) -> dict[str, float]:
    """Strength of each candidate from weighted, partial rankings: ln π of a Bradley–Terry model.

    Fitted by Hunter's MM (Annals of Statistics 32, 2004) with half a win of the mean judge's weight between every pair
    as prior. A judge weighs r = max(.05, ½ logit p) of its prior, so that a poor judge hardly counts.
    """
    if not ballots or len(candidates) < 2:
        return dict.fromkeys(candidates, 0.0)
    reliability = {ballot.judge: max(0.05, 0.5 * logit(priors.get(ballot.judge, 0.6))) for ballot in ballots}
    mean = sum(reliability.values()) / len(reliability)
    wins = {(i, k): 0.5 * mean for i in candidates for k in candidates if i != k}
    for ballot in ballots:
        ranked = [seat for seat in ballot.ranking if seat in candidates]
        last = [seat for seat in ballot.shown if seat in candidates and seat not in ranked]
        for place, seat in enumerate(ranked):
            for lower in (*ranked[place + 1 :], *last):
                wins[seat, lower] += reliability[ballot.judge]
    strength = dict.fromkeys(candidates, 1.0)
    for _ in range(200):
        before = dict(strength)
        for i in candidates:
            others = [k for k in candidates if k != i]
            played = sum((wins[i, k] + wins[k, i]) / (strength[i] + strength[k]) for k in others)
            strength[i] = sum(wins[i, k] for k in others) / played
        scale = math.exp(sum(math.log(value) for value in strength.values()) / len(strength))
        strength = {seat: value / scale for seat, value in strength.items()}
        if max(abs(strength[seat] - before[seat]) for seat in candidates) < 1e-8:
            break
    return {seat: math.log(value) for seat, value in strength.items()}


def agreement(clusters: Sequence[Cluster], weights: Mapping[str, float]) -> Agreement:
    """Share and margin of the first cluster against all, over the weights of the opinions."""
    if not clusters:
        return Agreement()
    sizes = [sum(weights[seat] for seat in c.seats) for c in clusters]
    total = sum(sizes) or 1.0
    n = len(clusters[0].seats)
    return Agreement(
        share=sizes[0] / total,
        margin=(sizes[0] - max(sizes[1:], default=0.0)) / total,
        evidence=clusters[0].evidence,
        independent_votes=n / (1 + (n - 1) * RHO),
    )


def confidence(
    agreed: Agreement, winners: Sequence[float], everyone: Sequence[float], soundness_of_best: float
) -> float:
    """Probability that the first solution is right.

    p = σ(β·x) with x = (1, share, margin, max logit of the winners, mean logit of all, ln |winners|). Where only the
    wording agrees, or one voice stands alone, no agreement was shown: then share and margin are that of the heaviest
    voice and p is at most its prior + .05. Refuted claims lower p in proportion.

    Args:
        agreed: share, margin and evidence of the first cluster.
        winners: priors of the seats in the first cluster.
        everyone: priors of all seats that answered.
        soundness_of_best: as `soundness` of the best opinion's claims.
    """
    if not winners:
        return 0.0
    share, margin, ceiling, size = agreed.share, agreed.margin, 1.0, len(winners)
    if agreed.evidence in ("text-only", "single", "none"):
        weights = [max(0.05, logit(p) + math.log(2)) for p in everyone]
        share = margin = max(weights) / sum(weights)
        ceiling, size = max(winners) + 0.05, 1
    mean = sum(logit(p) for p in everyone) / len(everyone)
    x = (1.0, share, margin, max(logit(p) for p in winners), mean, math.log(size))
    p = 1 / (1 + math.exp(-sum(b * value for b, value in zip(BETA, x, strict=True))))
    return max(0.01, min(p, ceiling, 0.97) * (0.5 + 0.5 * min(1.0, soundness_of_best / 0.85)))


def _places(opinion: Opinion) -> set[tuple[str, str]]:
    return {
        (claim.path, claim.symbol or f"line {claim.line // 8}")
        for claim in opinion.claims
        if claim.check and claim.check.outcome == "verified" and (claim.line or claim.symbol)
    }


def word_overlap(a: str, b: str) -> tuple[float, bool]:
    """Jaccard overlap of the meaning words, and whether numbers and negations are the same and nothing is opposite."""
    one, two = (set(normal(text).split()) for text in (a, b))
    strict = one & NEGATIONS == two & NEGATIONS and _numbers(one) == _numbers(two) and not _opposite(one, two)
    left, right = one - STOP, two - STOP
    return len(left & right) / max(1, len(left | right)), strict


def _opposite(one: set[str], two: set[str]) -> bool:
    mine, yours = one - two, two - one
    return any(
        (mine & left and yours & right) or (mine & right and yours & left)
        for left, right in ((set(left.split()), set(right.split())) for left, right in OPPOSITES)
    )


def _numbers(words: set[str]) -> set[str]:
    return {word for word in words if re.search(r"\d", word)}
