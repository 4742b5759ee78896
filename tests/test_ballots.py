"""Strengths from rankings, against figures worked out by hand and a search of the likelihood; and judges in quarantine."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.council.scales.ballots import (
    Ranking,
    contradict_everyone,
    favours_family,
    follows_presentation,
    kendall,
    reliability,
    strengths,
    tail,
    without,
)
from orchestra_mcp.council.scales.experience import learn, quarantined
from orchestra_mcp.types import Ballot, Label, Seat


def ballot(judge: str, order: str, shown: str = "", weight: float = 1.0) -> Ranking:
    return Ranking(judge, tuple(shown or sorted(order)), tuple(order), weight)


# ---------------------------------------------------------------------------------------------- strengths


def test_one_ballot_over_two_answers_gives_the_odds_of_its_win_and_the_prior() -> None:
    # Wins 1 + ½ against ½: π_a / π_b = 3 at the maximum, so θ_a − θ_b = ln 3.
    found = strengths([ballot("j", "ab")], "ab")
    assert found["a"] - found["b"] == pytest.approx(math.log(3), abs=1e-6)
    assert found["a"] + found["b"] == pytest.approx(0)


def test_a_heavier_judge_counts_in_proportion() -> None:
    # Mean weight 1.5, so ¾ of a win each way: a has 2 + ¾, b has 1 + ¾.
    found = strengths([ballot("j", "ab", weight=2), ballot("k", "ba", weight=1)], "ab")
    assert found["a"] - found["b"] == pytest.approx(math.log(2.75 / 1.75), abs=1e-6)


def test_judges_without_weight_and_empty_polls_say_nothing() -> None:
    assert strengths([ballot("j", "ab", weight=0)], "ab") == {"a": 0.0, "b": 0.0}
    assert strengths([], "ab") == {"a": 0.0, "b": 0.0}
    assert strengths([ballot("j", "a")], "a") == {"a": 0.0}


def test_the_fit_is_the_peak_of_the_likelihood() -> None:
    rankings = [ballot("j", "abc", weight=1.0), ballot("k", "bac", weight=0.5), ballot("l", "ac", "abc", weight=0.8)]
    # Pairs that each ballot decides; l left b out, so b is last for it. Prior: half of the mean weight each way.
    mean = (1.0 + 0.5 + 0.8) / 3
    wins = {("a", "b"): 1.8, ("b", "a"): 0.5, ("a", "c"): 2.3, ("b", "c"): 1.5, ("c", "b"): 0.8, ("c", "a"): 0.0}
    wins = {pair: won + 0.5 * mean for pair, won in wins.items()}

    def likelihood(theta: dict[str, float]) -> float:
        return sum(won * -math.log1p(math.exp(theta[k] - theta[i])) for (i, k), won in wins.items())

    found = strengths(rankings, "abc")
    peak = likelihood(found)
    for shift in (0.01, -0.01):
        for key in "abc":
            assert likelihood({**found, key: found[key] + shift}) < peak


def test_strengths_agree_with_a_fit_of_another_library() -> None:
    choix = pytest.importorskip("choix", reason="the second opinion is not installed")
    # Whole wins only, since choix knows no weights; its regularisation is off, ours is handed in as extra wins.
    games = [("a", "b")] * 3 + [("b", "a")] * 2 + [("b", "c")] * 3 + [("c", "b")] + [("a", "c")] * 2 + [("c", "a")]
    rankings = [ballot(f"j{n}", one + other) for n, (one, other) in enumerate(games)]
    doubled = [("abc".index(i), "abc".index(k)) for i, k in games for _ in range(2)]
    prior = [(i, k) for i in range(3) for k in range(3) if i != k]
    theirs = choix.opt_pairwise(3, doubled + prior, alpha=0)
    ours = strengths(rankings, "abc")
    assert [ours[key] for key in "abc"] == pytest.approx(list(theirs - sum(theirs) / 3), abs=1e-4)


@given(st.lists(st.permutations("abcd"), min_size=1, max_size=6), st.permutations("abcd"))
def test_neither_the_order_of_candidates_nor_that_of_presentation_matters(
    orders: list[list[str]], other: list[str]
) -> None:
    one = strengths([Ranking("j", tuple("abcd"), tuple(order)) for order in orders], "abcd")
    two = strengths([Ranking("j", tuple(other), tuple(order)) for order in reversed(orders)], other)
    assert all(one[key] == pytest.approx(two[key], abs=1e-6) for key in "abcd")


def test_pairs_of_a_judges_own_family_can_be_left_out() -> None:
    left = without(ballot("j", "cab", "abc"), ["a"])
    assert (left.shown, left.order) == (("b", "c"), ("c", "b"))


def test_an_unknown_judge_counts_by_half_the_log_odds_of_its_answers() -> None:
    assert reliability(0.8) == pytest.approx(0.5 * math.log(4))
    assert reliability(0.4) == 0


# --------------------------------------------------------------------------------------------- quarantine


def test_three_ballots_of_three_in_the_order_of_presentation_are_too_many() -> None:
    # (1/6)³ = 1/216, less than one in a hundred.
    same = [ballot("j", "abc"), ballot("j", "cab", "cab"), ballot("j", "bca", "bca")]
    assert "order of presentation (3 of its last 3" in follows_presentation(same)
    assert follows_presentation(same[:2]) == ""
    assert follows_presentation([*same[:2], ballot("j", "acb", "bca")]) == ""


def test_with_two_answers_it_takes_seven_in_a_row_since_every_other_honest_ballot_equals_its_order() -> None:
    # (1/2)⁶ = .016, (1/2)⁷ = .008
    assert follows_presentation([ballot("j", "ab")] * 6) == ""
    assert follows_presentation([ballot("j", "ab")] * 7)


def test_a_judge_that_follows_the_order_most_of_the_time_is_found_without_a_run() -> None:
    rounds = [ballot("j", "abcd")] * 2 + [ballot("j", "dcba", "abcd")]
    assert follows_presentation(rounds * 4)


def test_an_honest_judge_is_hardly_ever_thought_to_follow_the_order() -> None:
    dice = random.Random(11)
    suspected = 0
    for _ in range(300):
        past = []
        for _ in range(30):
            shown = dice.sample("abcd", dice.choice([2, 3, 4]))
            past.append(Ranking("j", tuple(shown), tuple(sorted(shown))))
        suspected += bool(follows_presentation(past))
    assert suspected <= 9  # 3 %: the run of the last ones and the count of all are each looked at once


def test_who_contradicts_two_others_over_ten_ballots_is_put_aside_and_they_are_not() -> None:
    past = [[ballot("a", "xyz"), ballot("b", "xzy"), ballot("c", "zyx")]] * 10
    # τ(a, b) = 1/3, τ(a, c) = −1, τ(b, c) = −1/3: c is at −2/3, a alone would be at −1/3 for c's sake only.
    assert contradict_everyone(past) == {"c": "contradicts all other judges (mean Kendall τ -0.67)"}
    assert contradict_everyone(past[:9]) == {}


def test_of_two_judges_who_only_met_each_other_nobody_can_say_which_is_wrong() -> None:
    assert contradict_everyone([[ballot("a", "xyz"), ballot("b", "zyx")]] * 20) == {}


def test_kendall_counts_pairs_and_ignores_those_left_open() -> None:
    assert kendall(ballot("a", "xyz"), ballot("b", "xzy")) == pytest.approx(1 / 3)
    # Both put x first; y and z are open for b.
    assert kendall(ballot("a", "xyz"), ballot("b", "x", "xyz")) == 1
    assert kendall(ballot("a", "xy"), ballot("b", "vw")) is None


def test_a_tail_is_that_of_the_binomial_and_of_all_cases_counted_out() -> None:
    # 3 or more heads of 4: (4 + 1) / 16
    assert tail([0.5] * 4, 3) == pytest.approx(5 / 16)
    chances = [0.1, 0.4, 0.7]
    two_or_more = 0.1 * 0.4 * 0.3 + 0.1 * 0.6 * 0.7 + 0.9 * 0.4 * 0.7 + 0.1 * 0.4 * 0.7
    assert tail(chances, 2) == pytest.approx(two_or_more)
    assert tail([], 0) == 1


FAMILIES = {"a1": "A", "b1": "B", "c1": "C", "ja": "A", "jb": "B", "jc": "C"}


def polled(first_of: dict[str, str], rounds: int) -> list[list[Ranking]]:
    seats = ("a1", "b1", "c1")
    return [
        [Ranking(judge, seats, (first, *(s for s in seats if s != first))) for judge, first in first_of.items()]
    ] * rounds


def test_who_puts_its_family_first_where_the_others_do_not_favours_it() -> None:
    past = polled({"ja": "a1", "jb": "c1", "jc": "b1"}, 12)
    # By chance all 12 hits of 36 ballots fall to one judge's 12 once in C(36, 12) = 1.25 · 10⁹ times.
    found = favours_family(past, "ja", FAMILIES, "A")
    assert found == "favours its own family (first in 12 of its 12 ballots, the others in 0 of 24)"
    assert favours_family(past[:9], "ja", FAMILIES, "A") == ""
    assert favours_family(past, "jb", FAMILIES, "B") == ""


def test_a_family_that_the_others_put_first_too_is_simply_better() -> None:
    assert favours_family(polled({"ja": "a1", "jb": "a1", "jc": "a1"}, 100), "ja", FAMILIES, "A") == ""


def test_a_judge_that_nobody_can_be_compared_with_is_not_accused() -> None:
    assert favours_family(polled({"ja": "a1"}, 100), "ja", FAMILIES, "A") == ""


def test_being_a_little_more_often_first_is_chance() -> None:
    # 6 of 10 against 3 of 10: Fisher's p is (C(10,6)C(10,3) + C(10,7)C(10,2) + C(10,8)C(10,1) + C(10,9)) / C(20,9)
    # = (25200 + 5400 + 450 + 10) / 167960 = .185
    past = (
        polled({"ja": "a1", "jb": "a1"}, 3) + polled({"ja": "a1", "jb": "c1"}, 3) + polled({"ja": "b1", "jb": "c1"}, 4)
    )
    assert favours_family(past, "ja", FAMILIES, "A") == ""


# ---------------------------------------------------------------------------- what bad judges cost, simulated


@pytest.mark.parametrize("permuted", list(permutations("abc")))
def test_a_judge_of_no_weight_changes_nothing(permuted: tuple[str, ...]) -> None:
    honest = [ballot("j", "abc"), ballot("k", "bac")]
    assert strengths([*honest, Ranking("r", permuted, permuted, 0.0)], "abc") == strengths(honest, "abc")


SEATS = tuple(
    Seat(name=f"s{family}", model_id=f"model-{family}", family=family, prior=0.65) for family in ("A", "B", "C", "D")
)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def honest(dice: random.Random, seats: list[str], right: str) -> tuple[str, ...]:
    """A judge that puts the right answer before a wrong one in seven of ten pairs: Φ(.74 / √2) = .70."""
    seen = {seat: 0.74 * (seat == right) + dice.gauss(0, 1) for seat in seats}
    return tuple(sorted(seats, key=lambda seat: -seen[seat]))


def rounds(bad: str, number: int, dice: random.Random) -> list[tuple[str, dict[str, Ballot]]]:
    """Scripted reviews of four answers of which one is right, by three honest judges and a bad one (seat D)."""
    names = [seat.name for seat in SEATS]
    made = []
    for _ in range(number):
        right = dice.choice(names)
        polled: dict[str, Ballot] = {}
        for seat in SEATS:
            shown = tuple(dice.sample(names, 4))
            order = honest(dice, names, right)
            if seat.name == "sD" and bad == "random":
                order = tuple(dice.sample(names, 4))
            elif seat.name == "sD":  # votes for its family, and honestly below that
                order = ("sD", *(name for name in order if name != "sD"))
            polled[seat.name] = Ballot(judge=seat.name, model_id=seat.model_id, shown=shown, ranking=order)
        made.append((right, polled))
    return made


def hit_rate(polls: list[tuple[str, dict[str, Ballot]]], judging: dict[str, float]) -> float:
    """How often the answer on top of the strengths is the right one."""
    names = [seat.name for seat in SEATS]
    hits = 0
    for right, polled in polls:
        rankings = [Ranking(j, polled[j].shown, polled[j].ranking, weight) for j, weight in judging.items()]
        found = strengths(rankings, names)
        hits += max(names, key=lambda name: (found[name], name)) == right
    return hits / len(polls)


@pytest.mark.parametrize("bad", ["random", "for its family"])
def test_a_bad_judge_costs_at_most_a_point_once_its_ballots_and_forty_outcomes_are_known(bad: str) -> None:
    losses = []
    for seed in range(4):
        dice = random.Random(f"{bad} {seed}")
        past = rounds(bad, 40, dice)
        names = [seat.name for seat in SEATS]
        labels = [
            Label(
                consultation=str(number),
                at=NOW,
                clusters=tuple((seat.model_id,) for seat in SEATS),
                right=names.index(right),
                evidence="exact",
                rankings=tuple(
                    (ballot.model_id, tuple(names.index(name) for name in ballot.ranking)) for ballot in polled.values()
                ),
            )
            for number, (right, polled) in enumerate(past)
        ]
        known = learn(SEATS, labels, [tuple(polled.values()) for _, polled in past], "debug", "python", NOW)
        judging = dict(known.judging)
        without_it = {name: weight for name, weight in judging.items() if name != "sD"}
        polls = rounds(bad, 600, dice)
        losses.append(hit_rate(polls, without_it) - hit_rate(polls, judging))
    # 2,400 paired rounds.
    assert sum(losses) / len(losses) <= 0.01


def test_ballots_alone_find_a_judge_for_its_family_and_leave_honest_ones_in_peace() -> None:
    dice = random.Random(3)
    found = quarantined(SEATS, [tuple(polled.values()) for _, polled in rounds("for its family", 60, dice)])
    assert set(found) == {"sD"}
    assert "favours its own family" in found["sD"]
