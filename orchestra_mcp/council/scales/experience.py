"""What is known of the seats before a question: how often each is right here, how much it weighs, how well it judges. Pure.

Rates are learned from `Label`s (consultations whose outcome is known); without any, they are the shipped priors.
Silence teaches nothing: a consultation that nobody marked has no label.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from orchestra_mcp.council.scales.ballots import Ranking, contradict_everyone, favours_family, follows_presentation
from orchestra_mcp.council.scales.confidence import GROUPS, Outcome, features, refit, sigmoid
from orchestra_mcp.council.scales.fitting import Fates, correlation, fitted, handicaps
from orchestra_mcp.council.scales.records import HALF, Hit, Record, age, hits_of, model_key, model_of, series_of
from orchestra_mcp.council.scales.weights import RHO, logit
from orchestra_mcp.types import Ballot, Label, Mode, Seat

PRIOR_COUNT = 10.0
"""Observations that a shipped prior is worth."""
LOCAL = 18.0
"""κ: observations that the rate over all questions is worth for one mode and domain."""
NEAR, FAR = 0.10, 0.20
"""Up to NEAR below the best seat a vote counts in full, from FAR on it counts `FLOOR`."""
FLOOR = 0.001
"""Enough to break a tie between better seats."""
ROUNDS = 4
"""Times that rates and the difficulty of questions are estimated from each other; a fifth moves no rate by .005."""
JUDGE_COUNT = 5.0
"""Labelled pairs that a judge's prior is worth."""


@dataclass(frozen=True)
class Experience:
    """What is known of the seats for one mode and domain; all maps are by seat name."""

    skill: Mapping[str, float] = field(default_factory=dict)
    """Probability that the seat's answer is right, 0 to 1."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much its vote counts; 0 for a seat that is wrong more than twice as often as right."""
    judging: Mapping[str, float] = field(default_factory=dict)
    """How much its ballots count (r = max(0, logit η)); 0 for a judge in quarantine."""
    coefficients: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Kind of evidence → β of the confidence, where the user's own outcomes have moved it."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Kind of evidence → outcomes behind its coefficients."""
    labels: int = 0
    """Outcomes that this rests on."""
    rho: float = RHO
    """Error correlation of two seats."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Seat → what its rates rest on: `prior .74, right in 9 of 12`, `in quarantine as a judge: …`."""


def learn(
    seats: Sequence[Seat],
    labels: Sequence[Label],
    ballots: Sequence[Sequence[Ballot]],
    mode: Mode,
    domain: str,
    now: datetime,
) -> Experience:
    """What the labels and past ballots say of these seats, for a question of this mode and domain.

    Args:
        seats: those that may be asked.
        labels: consultations whose outcome is known, oldest first.
        ballots: for each past consultation all its ballots, oldest first; it need not have a label.
        mode: of the question.
        domain: of the question, as in the labels.
        now: from which the labels' age counts.
    """
    models = {seat.name: model_of(seat) for seat in seats}
    overall, local = _records(seats, labels, mode, domain, now)
    rates = {seat.name: _rate(seat, models, overall) for seat in seats}
    # Elsewhere than here, or a handful of labels of one kind would count on both levels and swing the weights.
    elsewhere = {seat.name: _rate(seat, models, overall, local) for seat in seats}
    skill = {
        name: (local[models[name]].hits + LOCAL * rate) / (local[models[name]].total + LOCAL)
        for name, rate in elsewhere.items()
    }
    weights = fitted(weigh(skill), models, labels, now)
    reasons = quarantined(seats, ballots)
    coefficients, outcomes = _calibration(labels, {models[name]: rate for name, rate in rates.items()}, now)
    return Experience(
        skill=skill,
        weights=weights,
        judging={
            seat.name: 0.0 if seat.name in reasons else _reliability(models[seat.name], skill[seat.name], labels, now)
            for seat in seats
        },
        coefficients=coefficients,
        outcomes=outcomes,
        labels=len(labels),
        rho=correlation(labels, set(models.values())),
        remarks={seat.name: _remark(seat, overall[models[seat.name]], reasons.get(seat.name, "")) for seat in seats},
    )


def weigh(skill: Mapping[str, float]) -> dict[str, float]:
    """How much each vote counts: w = logit p + ln 2 (as `weights.vote`), and 0 where that is negative.

    Counting in full only what comes near the best: the weight fades from .10 to .20 below it, because weak seats
    err together, and four of them would outvote a strong one.
    """
    best = max(skill.values(), default=0.0)
    if logit(best) + math.log(2) <= 0:
        return dict.fromkeys(skill, FLOOR)
    return {name: _weight(p, best) for name, p in skill.items()}


def _weight(p: float, best: float) -> float:
    plain = logit(p) + math.log(2)
    return max(FLOOR, plain * min(1.0, max(0.0, (best - p - FAR) / (NEAR - FAR)))) if plain > 0 else 0.0


def quarantined(seats: Sequence[Seat], ballots: Sequence[Sequence[Ballot]]) -> dict[str, str]:
    """Seats whose ballots do not count, each with the reason."""
    families: dict[str, str] = {}
    for seat in seats:
        families |= dict.fromkeys((seat.name, model_of(seat)), seat.family)
    past = [
        [Ranking(model_key(b.model_id or b.judge), tuple(b.shown), tuple(b.ranking)) for b in council]
        for council in ballots
    ]
    against = contradict_everyone(past)
    found = {}
    for seat in seats:
        judge = model_of(seat)
        own = [ranking for council in past for ranking in council if ranking.judge == judge]
        reason = follows_presentation(own) or against.get(judge, "")
        if not reason and seat.family:
            reason = favours_family(past, judge, families, seat.family)
        if reason:
            found[seat.name] = reason
    return found


def _likeness(label: Label, mode: Mode, domain: str) -> float:
    """How much a label says of this mode and domain beyond what it says of all questions: 1, ½ or 0.

    One level below the overall rate, rather than a chain of mode, then domain: a label would else be counted once on
    each storey of the chain.
    """
    if not domain or label.domain != domain:
        return HALF if mode != "auto" and label.mode == mode else 0.0
    return 1.0 if label.mode == mode else HALF


def _records(
    seats: Sequence[Seat], labels: Sequence[Label], mode: Mode, domain: str, now: datetime
) -> tuple[Mapping[str, Record], Mapping[str, Record]]:
    """What became of each model's answers to all questions and to those like this one, as if all had met the same ones."""
    priors = {model_of(seat): seat.prior for seat in seats}
    overall, local = _Counts(), _Counts()
    for label in labels:
        faded, likeness = age(label, now), _likeness(label, mode, domain)
        hits = tuple(hits_of(label))
        # One fate for each model, whatever else an expert of the same model said.
        fates = tuple(sorted({hit.model: hit for hit in hits if hit.model in priors}.values()))
        overall.add(hits, fates, faded)
        if likeness:
            local.add(hits, fates, faded * likeness)
    plain = {model: overall.records[model].hits for model in priors}
    for _ in range(ROUNDS):
        overall.level(plain, overall.rates(priors))
    local.level({model: local.records[model].hits for model in priors}, overall.rates(priors))
    return overall.records, local.records


class _Counts:
    """Records of models, and the questions from which they are."""

    def __init__(self) -> None:
        self.records: defaultdict[str, Record] = defaultdict(Record)
        self._cases: defaultdict[Fates, float] = defaultdict(float)

    def add(self, hits: Sequence[Hit], fates: Fates, share: float) -> None:
        for hit in hits:
            self.records[hit.model].add(hit, share)
        if fates:
            self._cases[fates] += share

    def rates(self, priors: Mapping[str, float]) -> dict[str, float]:
        return {model: self.records[model].rate(prior, PRIOR_COUNT) for model, prior in priors.items()}

    def level(self, plain: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Give back what harder questions cost, and take what easier ones gave: hits as on all questions alike."""
        for model, lost in handicaps(self._cases, rates).items():
            record = self.records[model]
            record.hits = min(record.total, max(0.0, plain[model] + lost))


def _rate(
    seat: Seat,
    models: Mapping[str, str],
    overall: Mapping[str, Record],
    without: Mapping[str, Record] = MappingProxyType({}),
) -> float:
    """p̂ = (10 · prior + hits) / (10 + n), with half the counts of versions of this model that no longer sit here.

    Of the model's own counts those in `without` are left out.
    """
    mine = models[seat.name]
    record = overall[mine]
    seated = set(models.values())
    hits, total = record.hits, record.total
    if mine in without:
        total = max(0.0, total - without[mine].total)
        hits = min(total, max(0.0, hits - without[mine].hits))
    for model, other in overall.items():
        if model not in seated and series_of(model) == series_of(mine):
            hits += HALF * other.hits
            total += HALF * other.total
    return (PRIOR_COUNT * seat.prior + hits) / (PRIOR_COUNT + total)


def _remark(seat: Seat, record: Record, quarantine: str) -> str:
    prior = f"prior {seat.prior:.2f}".replace("0.", ".")
    known = f", right in {record.right} of {record.known}" if record.known else ""
    return f"{prior}{known}" + (f"; in quarantine as a judge: {quarantine}" if quarantine else "")


# ------------------------------------------------------------------------------------------------- judging


def _reliability(model: str, skill: float, labels: Sequence[Label], now: datetime) -> float:
    """r = max(0, logit η), η the share of labelled pairs (right ≻ wrong) that a judge ranks rightly.

    The prior is worth five pairs; logit η₀ = ½ logit p̂, since who answers well judges better than chance, but less well.
    """
    right = total = 0.0
    for label in labels:
        for judge, order in label.rankings:
            if label.right is None or model_key(judge) != model or label.right not in order:
                continue
            weight = label.weight * age(label, now)
            below = len(order) - 1 - order.index(label.right)
            right += weight * below
            total += weight * (len(order) - 1)
    prior = sigmoid(0.5 * logit(skill))
    return max(0.0, logit((JUDGE_COUNT * prior + right) / (JUDGE_COUNT + total)))


# ---------------------------------------------------------------------------------------------- calibration


def _calibration(
    labels: Sequence[Label], rates: Mapping[str, float], now: datetime
) -> tuple[dict[str, tuple[float, ...]], dict[str, int]]:
    """Coefficients of the confidence for each kind of evidence with enough outcomes, and how many those are."""
    coefficients: dict[str, tuple[float, ...]] = {}
    counts: dict[str, int] = {}
    for group in GROUPS:
        outcomes = [
            outcome for label in labels if label.evidence in group.kinds and (outcome := _outcome(label, rates, now))
        ]
        beta = refit(outcomes, group.beta)
        if beta != group.beta:
            coefficients |= dict.fromkeys(group.kinds, beta)
            counts |= dict.fromkeys(group.kinds, len(outcomes))
    return coefficients, counts


def _outcome(label: Label, rates: Mapping[str, float], now: datetime) -> Outcome | None:
    """Whether the first solution was right, with what is known of its seats by today's rates.

    The features that were stored rest on the rates of their day; fitted on those, β would learn the error of old
    rates and correct it a second time.
    """
    if (label.right is None and 0 not in label.wrong) or not label.clusters:
        return None
    if label.source == "commit":
        # Nobody commits what was wrong: commits tell only of successes, and would but raise the confidence.
        return None
    x = _recomputed(label, rates) or label.features
    return Outcome(x, label.right == 0, label.weight * age(label, now), label.proof) if len(x) == 6 else None


def _recomputed(label: Label, rates: Mapping[str, float]) -> tuple[float, ...]:
    clusters = [[model_key(model) for model in cluster] for cluster in label.clusters]
    # An empty one was joined to another when it was marked; then only the stored features know who agreed.
    if not all(clusters) or not all(model in rates for cluster in clusters for model in cluster):
        return ()
    return features([[rates[model] for model in cluster] for cluster in clusters], label.evidence)
