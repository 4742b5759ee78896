"""Weights, clusters, rankings and confidence, against figures worked out by hand from the formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.council import agreement as agree
from orchestra_mcp.types import Agreement, Ballot, Check, Claim, Opinion


def opinion(seat: str, position: str, *claims: Claim) -> Opinion:
    return Opinion(seat=seat, family=seat, position=position, answer=position, claims=claims)


def place(path: str, line: int, outcome: str = "verified", symbol: str = "") -> Claim:
    return Claim(text="x", path=path, line=line, symbol=symbol, check=Check.model_validate({"outcome": outcome}))


def test_a_weight_is_the_log_odds_with_three_likely_wrong_answers() -> None:
    # p = .8: ln(.8/.2) + ln 2 = 1.386 + .693 = 2.079; all claims verified, so nothing is taken off.
    assert agree.weight(opinion("a", "x", place("a.py", 1)), 0.8) == pytest.approx(2.0794, abs=1e-4)
    # one of two refuted: 1 - .5 * 1/2 = .75
    mixed = opinion("a", "x", place("a.py", 1), place("b.py", 2, "refuted"))
    assert agree.weight(mixed, 0.8) == pytest.approx(0.75 * 2.0794, abs=1e-4)
    # p = .2: ln(.25) + ln 2 < 0, so the floor of .05, times .85 for citing nothing.
    assert agree.weight(opinion("a", "x"), 0.2) == pytest.approx(0.05 * 0.85)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Use Postgres.", "use  postgres"),
        ("The limit is 2.50 s", "the limit is 2.5 s!"),
        ("`foo` is None", "foo is none"),
    ],
)
def test_positions_are_equal_but_for_case_punctuation_and_trailing_zeros(a: str, b: str) -> None:
    assert agree.same(opinion("a", a), opinion("b", b)) == "exact"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("use postgres for the queue", "do not use postgres for the queue"),
        ("raise the limit to 10", "raise the limit to 20"),
        ("the parser is wrong", "the writer leaks a file"),
    ],
)
def test_negations_numbers_and_other_words_keep_positions_apart(a: str, b: str) -> None:
    shared = place("a.py", 4, symbol="f")
    assert agree.same(opinion("a", a, shared), opinion("b", b, shared)) == "none"


def test_the_same_verified_place_and_alike_words_are_agreement_on_evidence() -> None:
    a = opinion("a", "read_lines slices off the last line", place("p.py", 12, symbol="read_lines"))
    b = opinion("b", "the last line is lost in read_lines by the slice", place("p.py", 13, symbol="read_lines"))
    assert agree.same(a, b) == "cited"
    unverified = opinion("b", b.position, place("p.py", 13, "refuted", "read_lines"))
    assert agree.same(a, unverified) == "none"


def test_reviewers_can_put_answers_together() -> None:
    a, b, c = opinion("a", "cache it"), opinion("b", "memoise the call"), opinion("c", "buy hardware")
    ballot = Ballot(judge="j", shown=("a", "b", "c"), ranking=("a", "b", "c"), same=(("a", "b"),))
    clusters = agree.cluster((a, b, c), (ballot,))
    assert [set(c.seats) for c in clusters] == [{"a", "b"}, {"c"}]
    assert clusters[0].evidence == "reviewed"
    assert clusters[1].evidence == "single"


def test_two_strong_judges_outrank_one_and_the_order_of_ballots_does_not_matter() -> None:
    ballots = [
        Ballot(judge="j1", shown=("a", "b"), ranking=("b", "a")),
        Ballot(judge="j2", shown=("a", "b"), ranking=("b", "a")),
        Ballot(judge="j3", shown=("a", "b"), ranking=("a", "b")),
    ]
    priors = {"j1": 0.8, "j2": 0.8, "j3": 0.6}
    merit = agree.tally(ballots, priors, ("a", "b"))
    # Two candidates: ln(π_b/π_a) = ln(wins_b/wins_a); r = ½ logit p = .693, .693, .203; mean .530, half of it as prior.
    r, weak = 0.5 * math.log(4), 0.5 * math.log(1.5)
    mean = (2 * r + weak) / 3
    assert merit["b"] - merit["a"] == pytest.approx(math.log((2 * r + mean / 2) / (weak + mean / 2)), abs=1e-6)
    assert agree.tally(ballots[::-1], priors, ("b", "a")) == pytest.approx(merit)


def test_nobody_judged_means_nobody_is_ahead() -> None:
    assert agree.tally([], {}, ("a", "b")) == {"a": 0.0, "b": 0.0}


def test_confidence_follows_the_published_logistic() -> None:
    # Two seats of p = .75 that agree exactly: z = -1.63 + 1.02 + 1.31 + .78*1.0986 - .15*1.0986 + .47*ln 2
    z = -1.63 + 1.02 + 1.31 + 0.63 * math.log(3) + 0.47 * math.log(2)
    expected = 1 / (1 + math.exp(-z))
    full = Agreement(share=1, margin=1, evidence="exact", independent_votes=1.36)
    assert agree.confidence(full, [0.75, 0.75], [0.75, 0.75], 1.0) == pytest.approx(expected, abs=1e-6)


def test_a_lone_voice_is_never_surer_than_its_record_and_refuted_claims_lower_it() -> None:
    single = Agreement(share=1, margin=1, evidence="single", independent_votes=1)
    assert agree.confidence(single, [0.6], [0.6], 1.0) <= 0.65
    assert agree.confidence(single, [0.6], [0.6], 0.5) < agree.confidence(single, [0.6], [0.6], 1.0)
    assert agree.confidence(Agreement(), [], [], 1.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.permutations(["a", "b", "c"])), max_size=4))
def test_strengths_are_finite_and_sum_to_zero(votes: list[tuple[str, list[str]]]) -> None:
    ballots = [Ballot(judge=j, shown=tuple(order), ranking=tuple(order[:2])) for j, order in votes]
    merit = agree.tally(ballots, {"a": 0.9, "b": 0.5, "c": 0.1}, ("a", "b", "c"))
    assert sum(merit.values()) == pytest.approx(0.0, abs=1e-6)
    assert all(math.isfinite(value) for value in merit.values())
