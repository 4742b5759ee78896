"""Features, limits, refitting and figures of calibration, by hand and by the conditions that a best fit must meet."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.council.scales.confidence import (
    COMPARED,
    EXECUTED,
    FIRST_FIT,
    GROUPS,
    SHRINKAGE,
    Outcome,
    calibration_error,
    features,
    group_of,
    probability,
    refit,
    sigmoid,
    solve,
)
from orchestra_mcp.types import EvidenceKind

RATES = st.floats(0.05, 0.95)


def test_the_six_numbers_of_two_against_one_are_those_of_the_formula() -> None:
    # Votes ln(.8/.2) + ln 2 = 2.0794 twice, ln(.5/.5) + ln 2 = .6931: share 4.1589 / 4.8520, margin 3.4657 / 4.8520.
    x = features([[0.8, 0.8], [0.5]], "exact")
    expected = (1.0, 6 / 7, 5 / 7, math.log(4), 2 * math.log(4) / 3, math.log(2))
    assert x == pytest.approx(expected)


def test_where_only_the_wording_agrees_the_heaviest_voice_stands_alone() -> None:
    # Share = margin = 2.0794 / (2.0794 + .6931) = ¾; the number of those who agree counts for nothing.
    x = features([[0.5, 0.8]], "text-only")
    assert x == pytest.approx((1.0, 0.75, 0.75, math.log(4), math.log(4) / 2, 0.0))


def test_probability_is_the_logistic_of_the_shipped_coefficients() -> None:
    x = features([[0.8, 0.8], [0.5]], "exact")
    z = -1.63 + 1.02 * 6 / 7 + 1.31 * 5 / 7 + 0.78 * math.log(4) - 0.15 * 2 * math.log(4) / 3 + 0.47 * math.log(2)
    assert probability(x, "exact", 0.8) == pytest.approx(1 / (1 + math.exp(-z)))
    assert probability(x, "executed", 0.8) != probability(x, "exact", 0.8)
    assert group_of("executed").beta == EXECUTED
    assert group_of("entailed").beta == COMPARED


@pytest.mark.parametrize("kind", ["text-only", "single", "none", "cited", "reviewed"])
def test_where_nothing_was_tested_the_best_winners_rate_is_the_limit(kind: EvidenceKind) -> None:
    x = features([[0.6] * 4], "exact")
    assert probability(x, "exact", 0.6) > 0.65
    assert probability(x, kind, 0.6) == pytest.approx(0.6)
    assert probability(x, kind, 0.6, soundness=1.0) == pytest.approx(0.65), "its citations hold"


def test_refuted_claims_lower_it_by_up_to_half() -> None:
    x = features([[0.8, 0.8]], "exact")
    whole = probability(x, "exact", 0.8, soundness=1.0)
    assert probability(x, "exact", 0.8) == whole  # citing nothing is soundness .85, and no reproach
    # Half of the claims refuted: soundness .75, factor ½ + ½ · .75 / .85
    assert probability(x, "exact", 0.8, soundness=0.75) == pytest.approx(whole * (0.5 + 0.5 * 0.75 / 0.85))


@given(
    st.lists(st.lists(RATES, min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from([kind for group in GROUPS for kind in group.kinds]),
    st.floats(0.5, 1.0),
)
def test_a_probability_stays_within_its_limits(clusters: list[list[float]], kind: EvidenceKind, sound: float) -> None:
    p = probability(features(clusters, kind), kind, max(clusters[0]), sound)
    assert 0.01 <= p <= 0.97


def test_every_kind_of_evidence_has_coefficients() -> None:
    kinds = [kind for group in GROUPS for kind in group.kinds]
    assert sorted(kinds) == sorted(EvidenceKind.__args__)  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ refitting


def outcomes(number: int, truth: tuple[float, ...], seed: int = 1) -> list[Outcome]:
    dice = random.Random(seed)
    made = []
    for _ in range(number):
        *x, proof = (1.0, *(dice.uniform(-1, 1) for _ in truth[1:]))
        p = sigmoid(sum(b * v for b, v in zip(truth, (*x, proof), strict=True)))
        made.append(Outcome(tuple(x), dice.random() < p, dice.choice([0.5, 1.0]), proof))
    return made


def test_fewer_than_twenty_outcomes_change_nothing() -> None:
    assert refit(outcomes(FIRST_FIT - 1, COMPARED), COMPARED) == COMPARED
    assert refit(outcomes(FIRST_FIT, COMPARED), COMPARED) != COMPARED


def test_at_the_fit_the_slope_of_the_penalised_likelihood_is_zero() -> None:
    data = outcomes(200, (0.5, -1.0, 2.0, 0.3, 0.0, -0.7, 1.2))
    beta = refit(data, COMPARED)
    for i in range(7):
        slope = 2 * SHRINKAGE * (COMPARED[i] - beta[i])
        for numbers, right, weight, proof in data:
            x = (*numbers, proof)
            p = 1 / (1 + math.exp(-sum(b * v for b, v in zip(beta, x, strict=True))))
            slope += weight * (right - p) * x[i]
        assert slope == pytest.approx(0, abs=1e-6)


def test_what_running_answers_showed_is_taken_at_its_word_as_far_as_outcomes_bear_it_out() -> None:
    # Proof as good as it says: passing answers are right with σ(2), missing ones with σ(−2), of 100 each .88 and .12.
    def seen(right_after_pass: int, right_after_miss: int) -> list[Outcome]:
        told = [(2.0, right_after_pass), (-2.0, right_after_miss)]
        return [Outcome((1.0,), n < right, 1.0, proof) for proof, right in told for n in range(100)]

    assert refit(seen(88, 12), (0.0, 1.0)) == pytest.approx((0.0, 1.0), abs=0.01)
    # Proof that tells nothing: the factor minimises by symmetry s where 2 · 100 · 2 (½ − σ(2s)) = 10 (s − 1).
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        slope = 400 * (0.5 - 1 / (1 + math.exp(-2 * middle))) - 2 * SHRINKAGE * (middle - 1)
        low, high = (middle, high) if slope > 0 else (low, middle)
    assert refit(seen(50, 50), (0.0, 1.0)) == pytest.approx((0.0, low), abs=1e-6)
    assert low < 0.1


def test_proof_adds_to_the_log_odds_and_lifts_the_limit_of_untested_agreement() -> None:
    x = features([[0.6] * 4], "cited")
    capped = probability(x, "cited", 0.6)
    assert capped == pytest.approx(0.6)
    assert probability(x, "cited", 0.6, proof=1.8) == pytest.approx(sigmoid(math.log(0.6 / 0.4) + 1.8))
    beta = {"cited": (*COMPARED[:6], 0.5)}
    assert probability(x, "cited", 0.6, coefficients=beta, proof=1.8) == pytest.approx(
        sigmoid(math.log(0.6 / 0.4) + 0.9)
    )
    # Never the wrong way round, and never sure.
    assert probability(x, "cited", 0.6, coefficients={"cited": (*COMPARED[:6], -0.5)}, proof=1.8) == pytest.approx(0.6)
    assert probability(x, "cited", 0.6, proof=30) == 0.97
    assert probability(x, "cited", 0.6, proof=-30) == 0.01


def test_the_fit_is_the_best_point_of_a_grid_that_tries_all() -> None:
    data = outcomes(60, (0.8, -1.5))
    prior = (0.0, 0.0)

    def objective(a: float, b: float) -> float:
        likelihood = sum(w * math.log(sigmoid(z if y else -z)) for _, y, w, v in data for z in [a + b * v])
        return likelihood - SHRINKAGE * (a * a + b * b)

    best = max(((a / 50, b / 50) for a in range(-100, 101) for b in range(-100, 101)), key=lambda ab: objective(*ab))
    assert refit(data, prior) == pytest.approx(best, abs=0.011)


def test_many_outcomes_overrule_the_shipped_coefficients() -> None:
    truth = (1.0, -2.0, 0.5, 1.5, 0.0, 1.0, 0.4)
    fitted = refit(outcomes(4000, truth), COMPARED)
    assert fitted == pytest.approx(truth, abs=0.3)


def test_outcomes_that_are_all_alike_still_give_a_finite_fit() -> None:
    x = features([[0.9, 0.9, 0.9]], "exact")
    always = refit([Outcome(x, True)] * 500, COMPARED)
    never = refit([Outcome(x, False)] * 500, COMPARED)
    assert all(math.isfinite(b) for b in (*always, *never))
    assert probability(x, "exact", 0.9, coefficients={"exact": never}) < 0.1
    assert probability(x, "exact", 0.9, coefficients={"exact": always}) > 0.95


def test_a_linear_system_is_solved_even_with_a_zero_in_the_corner() -> None:
    # y = 2, x + y = 5
    assert solve([[0, 1], [1, 1]], [2, 5]) == pytest.approx([3, 2])


# ---------------------------------------------------------------------------------------------- calibration


def test_calibration_error_is_the_weighted_distance_of_each_bin() -> None:
    # Bin .9–1: stated .95 and .95, one of two right: |.95 − .5| · 2/4; bin .2–.3: .2 and .2, none right: .2 · 2/4
    assert calibration_error([0.95, 0.95, 0.2, 0.2], [True, False, False, False]) == pytest.approx(0.225 + 0.1)
    assert calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert calibration_error([1.0, 0.95], [True, True]) == pytest.approx(0.025)
    assert calibration_error([], []) == 0
