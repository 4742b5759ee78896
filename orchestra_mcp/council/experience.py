"""What is known of the seats before a question: how often each is right here, how much it weighs, how well it judges. Pure.

Rates are learned from `Label`s (consultations whose outcome is known); without any, they are the shipped priors.
Silence teaches nothing: a consultation that nobody marked has no label.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from orchestra_mcp.council.weights import RHO, logit
from orchestra_mcp.council.ballots import Ranking, contradict_everyone, favours_family, follows_presentation
from orchestra_mcp.council.confidence import GROUPS, Outcome, features, refit, sigmoid, solve
from orchestra_mcp.types import Ballot, Label, Mode, Seat

PRIOR_COUNT = 10.0
"""Observations that a shipped prior is worth."""
LOCAL = 18.0
"""κ: observations that the rate over all questions is worth for one mode and domain."""
DECAY = 0.98
"""What a week leaves of an outcome's weight: models change behind their names, and so does the work."""
HALF = 0.5
"""Of an outcome: what a new version of a model inherits, what a question of the same mode or domain only is worth, and
what another answer's success says against an answer that was not found to differ by an exact test."""
NEAR, FAR = 0.10, 0.20
"""Up to NEAR below the best seat a vote counts in full, from FAR on it counts `FLOOR`."""
FLOOR = 0.001
"""Enough to break a tie between better seats."""
LEARNED = 100
"""Labels with at least three of the seats, from which on the weights themselves are fitted."""
RIDGE = 3.0
COMMON = 30
"""Labels that two seats share, from which on their error correlation is believed."""
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


class Hit(NamedTuple):
    """One model's answer whose outcome is known."""

    model: str
    right: bool
    weight: float


@dataclass
class Record:
    """What a model's outcomes come to, each weighed by its certainty and age."""

    hits: float = 0.0
    total: float = 0.0
    right: int = 0
    known: int = 0

    def add(self, hit: Hit, share: float = 1.0) -> None:
        """Count one more outcome."""
        self.hits += share * hit.weight * hit.right
        self.total += share * hit.weight
        self.right += hit.right
        self.known += 1


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
    overall, local = _records(labels, mode, domain, now)
    rates = {seat.name: _rate(seat, models, overall) for seat in seats}
    skill = {
        name: (local[models[name]].hits + LOCAL * rate) / (local[models[name]].total + LOCAL)
        for name, rate in rates.items()
    }
    weights = _fitted(weigh(skill), models, labels, now)
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
        rho=_correlation(labels, set(models.values())),
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


def model_of(seat: Seat) -> str:
    """The name by which a seat's record is kept, the same for all vendors of one model."""
    return model_key(seat.model_id or seat.model or seat.name)


@lru_cache(maxsize=1024)
def model_key(model_id: str) -> str:
    """A model id without its vendor and spelling: `anthropic/claude-opus-5.5` → `claude-opus-5-5`."""
    return re.sub(r"[^a-z0-9]+", "-", model_id.lower().rsplit("/", 1)[-1]).strip("-")


def series_of(model: str) -> str:
    """A model's name without version and date: `claude-opus-5-5` → `claude-opus`; sizes such as `70b` stay."""
    words = []
    for word in model_key(model).split("-"):
        if not re.fullmatch(r"(\d+x)?\d+[bm]", word):
            word = re.sub(r"\d+", "", word)
        if word not in ("", "v", "latest", "preview", "exp"):
            words.append(word)
    return "-".join(words)


def hits_of(label: Label) -> Iterator[Hit]:
    """Whose answer was right and whose wrong, as far as a label says so.

    The right solution's seats hit. The others miss: in full where the answers were told apart by an exact test or the
    verify command decided, by half where another answer may have been right too. Of a rejected solution the seats
    miss, and of the others nothing is known.
    """
    exact = label.source == "verify" or label.evidence in ("exact", "executed")
    for index, cluster in enumerate(label.clusters):
        for model in cluster:
            if index == label.right:
                yield Hit(model_key(model), True, label.weight)
            elif index in label.wrong:
                yield Hit(model_key(model), False, label.weight)
            elif label.right is not None:
                yield Hit(model_key(model), False, label.weight * (1.0 if exact else HALF))


def quarantined(seats: Sequence[Seat], ballots: Sequence[Sequence[Ballot]]) -> dict[str, str]:
    """Seats whose ballots do not count, each with the reason."""
    families: dict[object, str] = {}
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


def _age(label: Label, now: datetime) -> float:
    weeks = max(0.0, (now - label.at).total_seconds() / (7 * 24 * 3600))
    return float(DECAY**weeks)


def _likeness(label: Label, mode: Mode, domain: str) -> float:
    """How much a label says of this mode and domain beyond what it says of all questions: 1, ½ or 0.

    One level below the overall rate, rather than a chain of mode, then domain: a label would else be counted once on
    each storey of the chain.
    """
    if not domain or label.domain != domain:
        return HALF if mode != "auto" and label.mode == mode else 0.0
    return 1.0 if label.mode == mode else HALF


def _records(
    labels: Sequence[Label], mode: Mode, domain: str, now: datetime
) -> tuple[defaultdict[str, Record], defaultdict[str, Record]]:
    overall: defaultdict[str, Record] = defaultdict(Record)
    local: defaultdict[str, Record] = defaultdict(Record)
    for label in labels:
        age, likeness = _age(label, now), _likeness(label, mode, domain)
        for hit in hits_of(label):
            overall[hit.model].add(hit, age)
            if likeness:
                local[hit.model].add(hit, age * likeness)
    return overall, local


def _rate(seat: Seat, models: Mapping[str, str], overall: Mapping[str, Record]) -> float:
    """p̂ = (10 · prior + hits) / (10 + n), with half the counts of versions of this model that no longer sit here."""
    mine = models[seat.name]
    record = overall[mine]
    seated = set(models.values())
    hits, total = record.hits, record.total
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
            weight = label.weight * _age(label, now)
            below = len(order) - 1 - order.index(label.right)
            right += weight * below
            total += weight * (len(order) - 1)
    prior = sigmoid(0.5 * logit(skill))
    return max(0.0, logit((JUDGE_COUNT * prior + right) / (JUDGE_COUNT + total)))


# ------------------------------------------------------------------------------------- fitted weights, correlation


class Choice(NamedTuple):
    """One label as the fit sees it: for each option the seats that chose it, and which option was right.

    The last option has no seats: none of the answers was right.
    """

    options: tuple[tuple[int, ...], ...]
    right: int


def _fitted(
    weights: dict[str, float], models: Mapping[str, str], labels: Sequence[Label], now: datetime
) -> dict[str, float]:
    """Weights that make the labelled outcomes most probable, kept only where they foretell outcomes held out better.

    A conditional logit (McFadden 1974): P(option) ∝ exp(Σ weights of its seats), drawn towards the formula's weights.
    """
    names = list(weights)
    place = {models[name]: index for index, name in enumerate(names)}
    start = [weights[name] for name in names]
    folds: list[Counter[Choice]] = [Counter() for _ in range(5)]
    usable = 0
    masses: list[dict[Choice, float]] = [defaultdict(float) for _ in folds]
    for label in labels:
        choice = _choice(label, place)
        if choice:
            masses[usable % 5][choice] += label.weight * _age(label, now)
            usable += 1
    if usable < LEARNED:
        return weights
    everything: dict[Choice, float] = defaultdict(float)
    for mass in masses:
        for choice, weight in mass.items():
            everything[choice] += weight
    best = _fit(everything, start, start)
    before = after = 0.0
    for held in masses:
        rest = {choice: weight - held.get(choice, 0.0) for choice, weight in everything.items()}
        trained = _fit({c: w for c, w in rest.items() if w > 1e-9}, start, best, steps=3)
        before += _loss(held, start)
        after += _loss(held, trained)
    return dict(zip(names, best, strict=True)) if after < before else weights


def _choice(label: Label, place: Mapping[str, int]) -> Choice | None:
    options = [tuple(sorted(place[m] for m in map(model_key, c) if m in place)) for c in label.clusters]
    if sum(map(len, options)) < 3:
        return None
    if label.right is not None:
        right = options[label.right]
        kept = sorted({o for o in options if o})
        return Choice((*kept, ()), kept.index(right) if right else len(kept))
    if set(label.wrong) >= set(range(len(options))):
        kept = sorted({o for o in options if o})
        return Choice((*kept, ()), len(kept))
    return None


def _shares(choice: Choice, weights: Sequence[float]) -> list[float]:
    scores = [sum(weights[seat] for seat in option) for option in choice.options]
    top = max(scores)
    odds = [math.exp(score - top) for score in scores]
    total = sum(odds)
    return [odd / total for odd in odds]


def _loss(choices: Mapping[Choice, float], weights: Sequence[float]) -> float:
    return -sum(mass * math.log(max(1e-12, _shares(c, weights)[c.right])) for c, mass in choices.items())


def _fit(
    choices: Mapping[Choice, float], prior: Sequence[float], start: Sequence[float], steps: int = 12
) -> list[float]:
    """Newton's method on the penalised log-likelihood; no weight falls below 0."""
    n = len(prior)
    weights = list(start)
    for _ in range(steps):
        gradient = [2 * RIDGE * (p - w) for p, w in zip(prior, weights, strict=True)]
        curvature = [[2 * RIDGE * (i == k) for k in range(n)] for i in range(n)]
        for choice, mass in choices.items():
            chance = [0.0] * n
            for option, p in zip(choice.options, _shares(choice, weights), strict=True):
                for i in option:
                    chance[i] = p
                    for k in option:
                        curvature[i][k] += mass * p
            for i in choice.options[choice.right]:
                gradient[i] += mass
            present = [i for i in range(n) if chance[i]]
            for i in present:
                gradient[i] -= mass * chance[i]
                row = curvature[i]
                for k in present:
                    row[k] -= mass * chance[i] * chance[k]
        free = [i for i in range(n) if weights[i] > 0 or gradient[i] > 0]
        if not free:
            break
        step = solve([[curvature[i][k] for k in free] for i in free], [gradient[i] for i in free])
        moved = list(weights)
        for i, s in zip(free, step, strict=True):
            moved[i] = max(0.0, weights[i] + max(-1.0, min(1.0, s)))
        change = max(abs(a - b) for a, b in zip(moved, weights, strict=True))
        weights = moved
        if change < 1e-6:
            break
    return weights


def _correlation(labels: Sequence[Label], models: set[str]) -> float:
    """Mean φ of the errors of two seats over labels that both have; `RHO` where no pair shares enough of them."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for label in labels:
        fate = {hit.model: hit.right for hit in hits_of(label) if hit.model in models}
        for a, b in combinations(sorted(fate), 2):
            counts[a, b][2 * fate[a] + fate[b]] += 1
    found = []
    for neither, second, first, both in counts.values():
        a, b = first + both, second + both
        n = neither + first + second + both
        if n >= COMMON and 0 < a < n and 0 < b < n:
            found.append((n * both - a * b) / math.sqrt(a * (n - a) * b * (n - b)))
    return min(0.95, max(0.0, sum(found) / len(found))) if found else RHO


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
    x = _recomputed(label, rates) or label.features
    return Outcome(x, label.right == 0, label.weight * _age(label, now)) if len(x) == 6 else None


def _recomputed(label: Label, rates: Mapping[str, float]) -> tuple[float, ...]:
    clusters = [[model_key(model) for model in cluster] for cluster in label.clusters]
    # An empty one was joined to another when it was marked; then only the stored features know who agreed.
    if not all(clusters) or not all(model in rates for cluster in clusters for model in cluster):
        return ()
    return features([[rates[model] for model in cluster] for cluster in clusters], label.evidence)
