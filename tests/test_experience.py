"""What labels teach: rates by hand from the formulas, weights by what they must do, nothing from silence."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest

from orchestra_mcp.council.labels import label_of
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.ranking import TRIALS
from orchestra_mcp.council.scales.confidence import COMPARED, EXECUTED, features
from orchestra_mcp.council.scales.experience import Experience, learn, weigh
from orchestra_mcp.council.scales.fitting import handicaps
from orchestra_mcp.council.scales.records import Hit, model_key, series_of
from orchestra_mcp.council.scales.weights import RHO
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.types import (
    Ballot,
    Consultation,
    EvidenceKind,
    Label,
    Mode,
    Opinion,
    Question,
    Seat,
    Trial,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def seat(name: str, prior: float = 0.6, model_id: str = "", family: str = "") -> Seat:
    return Seat(name=name, model_id=model_id or name, family=family or name, prior=prior)


def label(
    *clusters: str,
    right: int | None = 0,
    wrong: tuple[int, ...] = (),
    evidence: EvidenceKind = "exact",
    mode: Mode = "auto",
    domain: str = "",
    weeks: float = 0,
    weight: float = 1.0,
    rankings: tuple[tuple[str, tuple[int, ...]], ...] = (),
) -> Label:
    return Label(
        consultation="c",
        at=NOW - timedelta(weeks=weeks),
        mode=mode,
        domain=domain,
        clusters=tuple(tuple(cluster.split()) for cluster in clusters),
        right=right,
        wrong=wrong,
        evidence=evidence,
        weight=weight,
        rankings=rankings,
    )


def known(seats: list[Seat], labels: list[Label], mode: Mode = "debug", domain: str = "python") -> Experience:
    return learn(seats, labels, [], mode, domain, NOW)


# ------------------------------------------------------------------------------------------------- rates


def test_without_labels_rates_are_the_priors() -> None:
    found = known([seat("a", 0.74), seat("b", 0.7)], [])
    assert found.skill == pytest.approx({"a": 0.74, "b": 0.7})
    assert found.weights == pytest.approx({"a": math.log(0.74 / 0.26) + math.log(2), "b": math.log(0.7 / 0.3 * 2)})
    assert (found.labels, found.rho, found.coefficients) == (0, RHO, {})
    assert found.remarks["a"] == "prior .74"


def test_a_prior_is_worth_ten_outcomes() -> None:
    labels = [label("a")] * 9 + [label("b", "a")] * 3
    found = known([seat("a", 0.74)], labels)
    assert found.skill["a"] == pytest.approx((7.4 + 9) / (10 + 12))
    assert found.remarks["a"] == "prior .74, right in 9 of 12"
    assert found.labels == 12


def test_outcomes_of_this_mode_and_domain_count_beyond_those_of_all() -> None:
    labels = [label("a", mode="debug", domain="python")] * 6 + [label("b", "a", mode="testing", domain="go")] * 6
    overall = (6 + 6) / (10 + 12)
    # Six hits here, six misses elsewhere: (.6 · 10 + 0) / (10 + 6), on which the six hits are counted.
    assert known([seat("a")], labels).skill["a"] == pytest.approx((6 + 18 * 6 / 16) / (6 + 18))
    # For a question of the same domain only, half of the hits belong here and half elsewhere: (6 + 3) / (10 + 9).
    assert known([seat("a")], labels, mode="quality").skill["a"] == pytest.approx((3 + 18 * 9 / 19) / (3 + 18))
    assert known([seat("a")], labels, mode="quality", domain="rust").skill["a"] == pytest.approx(overall)


def test_another_answer_misses_in_full_only_where_answers_were_told_apart_exactly() -> None:
    seats = [seat("a"), seat("b")]
    assert known(seats, [label("a", "b")]).skill["b"] == pytest.approx(6 / 11)
    assert known(seats, [label("a", "b", evidence="text-only")]).skill["b"] == pytest.approx(6 / 10.5)
    ran = label("a", "b", evidence="text-only").model_copy(update={"source": "verify"})
    assert known(seats, [ran]).skill["b"] == pytest.approx(6 / 11)


def test_of_a_rejected_solution_only_its_own_seats_learn() -> None:
    found = known([seat("a"), seat("b")], [label("a", "b", right=None, wrong=(0,))])
    assert found.skill == pytest.approx({"a": 6 / 11, "b": 0.6})


def test_silence_teaches_nothing() -> None:
    assert known([seat("a"), seat("b")], [label("a", "b", right=None)] * 50).skill == pytest.approx(
        {"a": 0.6, "b": 0.6}
    )


def test_what_was_only_partly_right_and_what_is_old_counts_less() -> None:
    assert known([seat("a")], [label("a", weight=0.5)]).skill["a"] == pytest.approx(6.5 / 10.5)
    faded = 0.98**10
    assert known([seat("a")], [label("a", weeks=10)]).skill["a"] == pytest.approx((6 + faded) / (10 + faded))


def test_a_new_version_inherits_half_the_counts_of_one_that_no_longer_sits_here() -> None:
    labels = [label("claude-opus-5-1")] * 12
    new = seat("claude", model_id="anthropic/claude-opus-5.5")
    assert known([new], labels).skill["claude"] == pytest.approx((6 + 6) / (10 + 6))
    both = [new, seat("old", model_id="claude-opus-5-1")]
    assert known(both, labels).skill["claude"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("claude-opus-5-1", "claude-opus-5-5", True),
        ("~anthropic/claude-opus-latest", "claude-opus-5-5", True),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-11-20", True),
        ("gemini-1.5-pro-002", "gemini-2.5-pro", True),
        ("claude-opus-5-5", "claude-sonnet-5-5", False),
        ("gpt-oss-120b", "gpt-oss-20b", False),
        ("Meta-Llama-3_1-70B-Instruct", "Meta-Llama-3-8B-Instruct", False),
        ("gpt-6.1-sol", "gpt-6.1-terra", False),
    ],
)
def test_versions_and_dates_do_not_make_another_series_but_sizes_and_names_do(one: str, other: str, same: bool) -> None:
    assert (series_of(one) == series_of(other)) == same


def test_a_model_has_one_record_whichever_vendor_serves_it() -> None:
    assert model_key("anthropic/claude-opus-5.5") == model_key("claude-opus-5-5") == "claude-opus-5-5"


def test_the_order_of_seats_and_their_names_do_not_matter() -> None:
    dice = random.Random(4)
    labels = history(dice, 150, {"a": 0.7, "b": 0.6, "c": 0.5})
    one = known([seat("a"), seat("b"), seat("c")], labels)
    two = known([seat("z", model_id="c"), seat("y", model_id="b"), seat("x", model_id="a")], labels)
    for name, renamed in zip("abc", "xyz", strict=True):
        assert one.skill[name] == pytest.approx(two.skill[renamed])
        assert one.weights[name] == pytest.approx(two.weights[renamed], abs=1e-6)


# ---------------------------------------------------------------------------- questions that were not alike


def cascades(dice: random.Random, number: int, rates: dict[str, float]) -> list[Label]:
    """Labels of a council that asks the last two first, and the others only where not both of those are right.

    Difficulties are normal with σ 2.2; a seat is right with probability σ(ability − difficulty), where the ability gives
    the rate over all questions (found by bisection over a fine grid of difficulties).
    """
    grid = [2.2 * NormalDist().inv_cdf((k + 0.5) / 500) for k in range(500)]

    def ability(rate: float) -> float:
        low, high = -9.0, 9.0
        for _ in range(40):
            middle = (low + high) / 2
            reached = sum(1 / (1 + math.exp(d - middle)) for d in grid) / len(grid)
            low, high = (middle, high) if reached < rate else (low, middle)
        return low

    abilities = {name: ability(rate) for name, rate in rates.items()}
    openers = list(rates)[-2:]
    made = []
    for _ in range(number):
        difficulty = dice.choice(grid)
        fate = {name: dice.random() < 1 / (1 + math.exp(difficulty - a)) for name, a in abilities.items()}
        asked = openers if all(fate[name] for name in openers) else rates
        hits, missed = [n for n in asked if fate[n]], [n for n in asked if not fate[n]]
        clusters = [" ".join(group) for group in (hits, missed) if group]
        made.append(label(*clusters, right=0 if hits else None, wrong=() if hits else (0,)))
    return made


def test_a_seat_that_is_only_asked_where_others_differ_is_not_taken_for_a_weak_one() -> None:
    rates = {"strong": 0.75, "x": 0.6, "y": 0.6}
    labels = cascades(random.Random(3), 2000, rates)
    asked = [entry for entry in labels if any("strong" in cluster for cluster in entry.clusters)]
    plain = sum("strong" in entry.clusters[0] for entry in asked if entry.right == 0) / len(asked)
    assert plain < 0.65  # what counting alone makes of it
    found = known([seat("strong", 0.6), seat("x"), seat("y")], labels, mode="auto").skill
    assert found == pytest.approx(rates, abs=0.035)


def test_where_everyone_was_asked_everything_rates_are_plain_counts() -> None:
    # Hard questions and easy ones, but the same for all: 40 of 60 and 20 of 60 right.
    labels = [label("a b")] * 20 + [label("a", "b")] * 20 + [label("a b", right=None, wrong=(0,))] * 20
    found = known([seat("a"), seat("b")], labels).skill
    assert found == pytest.approx({"a": (6 + 40) / 70, "b": (6 + 20) / 70})


def test_a_seat_asked_only_what_others_miss_gains_and_one_asked_only_what_they_know_loses() -> None:
    easy, hard = [label("a b")] * 10, [label("a b", right=None, wrong=(0,))] * 10
    alone = [label("c", "a b")] * 5 + [label("a b c", right=None, wrong=(0,))] * 5
    spoiled = [label("a b c")] * 5 + [label("a b", "c")] * 5
    seats = [seat("a"), seat("b"), seat("c")]
    even = (6 + 5) / (10 + 10)
    assert known(seats, easy + alone).skill["c"] > even + 0.1
    assert known(seats, hard + spoiled).skill["c"] < even - 0.1


def test_a_hit_on_a_harder_question_makes_up_for_exactly_what_the_rule_says() -> None:
    # One model a at ability 0 (rate ½); b is asked once, where a missed. Difficulties d, nine equally probable ones:
    # b is expected σ(−d) on all questions, but there weighed by a's chance to miss; and ½ on the other one, a's hit
    # there weighing towards easier ones.
    case = {(Hit("a", False, 1.0), Hit("b", True, 1.0)): 1.0, (Hit("a", True, 1.0),): 1.0}
    ds = [2.2 * NormalDist().inv_cdf((k + 0.5) / 9) for k in range(9)]
    up = [1 / (1 + math.exp(d)) for d in ds]
    hard = sum(p * (1 - p) for p in up) / sum(1 - p for p in up)
    easy = sum(p * p for p in up) / sum(up)
    lost = handicaps(case, {"a": 0.5, "b": 0.5})
    assert lost["b"] == pytest.approx((hard + easy) / 2 - hard)
    # What b did is known for one of a's questions only: a right b says that it was easier than usual.
    assert lost["a"] == pytest.approx(2 * (easy + 0.5) / 2 - easy - 0.5)


def test_nothing_known_costs_nobody_anything() -> None:
    assert handicaps({}, {"a": 0.5}) == {"a": 0.0}
    assert handicaps({(Hit("a", True, 1.0),): 3.0}, {}) == {}


# ----------------------------------------------------------------------------------------------- weights


def history(dice: random.Random, number: int, rates: dict[str, float], copies: tuple[str, ...] = ()) -> list[Label]:
    """Labels of seats that are right at these rates and else say one of three wrong things; `copies` say the same."""
    made = []
    for _ in range(number):
        said: dict[str, list[str]] = {}
        shared = ""
        for name, rate in rates.items():
            answer = "right" if dice.random() < rate else dice.choice(["x", "y", "z"])
            if name in copies:
                shared = shared or answer
                answer = shared
            said.setdefault(answer, []).append(name)
        answers = sorted(said, key=lambda answer: -len(said[answer]))
        right = answers.index("right") if "right" in said else None
        wrong = tuple(range(len(answers))) if right is None else ()
        made.append(label(*(" ".join(said[answer]) for answer in answers), right=right, wrong=wrong))
    return made


def test_a_vote_fades_from_a_tenth_to_a_fifth_below_the_best() -> None:
    found = weigh({"best": 0.8, "near": 0.7, "between": 0.65, "far": 0.6, "bad": 0.3})
    assert found["near"] == pytest.approx(math.log(0.7 / 0.3 * 2))
    assert found["between"] == pytest.approx(0.5 * math.log(0.65 / 0.35 * 2))
    assert 0 < found["far"] < 0.01
    assert found["bad"] == 0


def test_seats_that_are_all_poor_count_alike() -> None:
    assert len(set(weigh({"a": 0.2, "b": 0.25, "c": 0.3}).values())) == 1


def test_one_strong_seat_outweighs_four_weak_ones_once_outcomes_are_known() -> None:
    rates = {"strong": 0.75, "w": 0.4, "x": 0.4, "y": 0.4, "z": 0.4}
    found = known([seat(name, 0.58) for name in rates], history(random.Random(2), 100, rates))
    assert found.weights["strong"] > sum(w for name, w in found.weights.items() if name != "strong")


def test_a_seat_that_is_always_wrong_has_no_vote_after_twenty_outcomes() -> None:
    labels = [label("a b", "bad") if n % 3 else label("a", "b bad") for n in range(20)]
    assert known([seat("a"), seat("b"), seat("bad", 0.78)], labels).weights["bad"] == 0


def test_fitted_weights_see_that_two_seats_always_say_the_same() -> None:
    rates = dict.fromkeys("abcde", 0.6)
    labels = history(random.Random(5), 400, rates, copies=("a", "b"))
    found = known([seat(name) for name in rates], labels).weights
    # By rates alone all five would weigh about the same, and the two copies as much as two others.
    assert found["a"] + found["b"] < 0.8 * (found["c"] + found["d"])
    assert min(found.values()) >= 0


def test_two_seats_of_one_model_weigh_the_same() -> None:
    labels = history(random.Random(8), 200, {"a": 0.7, "b": 0.6, "c": 0.6}, copies=("b", "c"))
    found = known([seat("one", model_id="a"), seat("two", model_id="a"), seat("b"), seat("c")], labels).weights
    assert found["one"] == found["two"]
    assert found["b"] < 0.7 * found["one"]


def test_fewer_than_a_hundred_outcomes_leave_the_weights_to_the_formula() -> None:
    rates = dict.fromkeys("abc", 0.6)
    found = known([seat(name) for name in rates], history(random.Random(5), 99, rates, copies=("a", "b")))
    assert found.weights == pytest.approx(weigh(found.skill))


def test_the_error_correlation_is_that_of_history_where_there_is_enough_of_it() -> None:
    # Both right 15 times, both wrong 15 times: φ = 1, held at .95. One fewer than 30: the default.
    together = [label("a b")] * 15 + [label("a b", right=None, wrong=(0,))] * 15
    assert known([seat("a"), seat("b")], together).rho == 0.95
    assert known([seat("a"), seat("b")], together[:-1]).rho == RHO
    # Each right in half of the cases, independently: φ = 0.
    apart = (
        [label("a b")] * 10 + [label("a", "b")] * 10 + [label("b", "a")] * 10
        + [label("a", "b", right=None, wrong=(0, 1))] * 10
    )  # fmt: skip
    assert known([seat("a"), seat("b")], apart).rho == pytest.approx(0)


# ------------------------------------------------------------------------------------ judging and confidence


def test_a_judge_counts_by_the_pairs_that_it_ranked_rightly() -> None:
    sigma = 1 / (1 + math.exp(-0.5 * math.log(0.6 / 0.4)))
    judge = seat("j")
    assert known([judge], []).judging["j"] == pytest.approx(math.log(sigma / (1 - sigma)))
    # Right first of three: two pairs of two; right second: one of two.
    labels = [label("a", "b", "c", rankings=(("j", order),)) for order in ((0, 1, 2), (1, 0, 2))]
    eta = (5 * sigma + 3) / (5 + 4)
    assert known([judge], labels).judging["j"] == pytest.approx(math.log(eta / (1 - eta)))
    backwards = [label("a", "b", rankings=(("j", (1, 0)),))] * 10
    assert known([judge], backwards).judging["j"] == 0


def test_a_judge_in_quarantine_counts_nothing_and_it_is_said_why() -> None:
    shown = ("a", "b", "c")
    ballots = [
        [Ballot(judge="j", model_id="model-j", shown=order, ranking=order)]
        for order in (shown, ("b", "c", "a"), ("c", "a", "b"))
    ]
    found = learn([seat("renamed", model_id="model-j")], [], ballots, "debug", "", NOW)
    assert found.judging["renamed"] == 0
    assert "in quarantine as a judge: ranks in the order of presentation" in found.remarks["renamed"]


def test_coefficients_move_from_twenty_outcomes_of_a_kind_and_towards_what_happened() -> None:
    failures = [label("a b", "c", right=None, wrong=(0,))] * 20
    seats = [seat("a"), seat("b"), seat("c")]
    found = known(seats, failures)
    assert set(found.coefficients) == {"exact", "same-code", "entailed"}
    assert found.outcomes["exact"] == 20
    assert found.coefficients["exact"][0] < COMPARED[0]
    assert known(seats, failures[:19]).coefficients == {}


def test_what_running_an_answer_added_to_the_confidence_is_not_learned_a_second_time() -> None:
    # Wrong answers that running them had shown to be wrong leave little to learn; without that, much.
    def outcome(right: bool, proof: float) -> Label:
        made = label("a b", right=0) if right else label("a b", right=None, wrong=(0,))
        return made.model_copy(update={"proof": proof, "evidence": "executed"})

    def moved(labels: list[Label]) -> float:
        """How far the log-odds of two who agree went down."""
        beta = known([seat("a"), seat("b")], labels).coefficients["executed"]
        x = features([[0.6, 0.6]], "executed")
        return sum((shipped - b) * value for b, shipped, value in zip(beta[:6], EXECUTED[:6], x, strict=True))

    foreseen, unforeseen = moved([outcome(False, -6.0)] * 40), moved([outcome(False, 0.0)] * 40)
    assert 0 < foreseen < 0.2 * unforeseen


def test_what_trying_an_answer_showed_goes_from_the_verdict_into_the_label() -> None:
    minutes = Minutes(id="c", question=Question(text="Why?"), seats={"a": seat("a")}, asked=["a"])
    minutes.opinions.append(Opinion(seat="a", model_id="m", position="p", answer="a", patch="the patch"))
    untried = conclude(minutes, final=True)
    minutes.found.trials["the patch"] = Trial(applies=True, parses=True, before="failed", after="passed")
    tried = conclude(minutes, final=True)
    assert (untried.proof, tried.proof) == (0.0, TRIALS["fixes"])
    assert tried.confidence > untried.confidence
    asked = Consultation(
        id="c", thread="c", question=minutes.question, status="complete", started=NOW, opinions=tuple(minutes.opinions)
    )
    marked = label_of(asked.model_copy(update={"verdict": tried}), [(1, "worked")])
    assert marked.proof == TRIALS["fixes"]


def test_a_label_that_does_not_say_what_became_of_the_first_solution_does_not_move_the_confidence() -> None:
    assert known([seat("a"), seat("b")], [label("a", "b", right=None, wrong=(1,))] * 40).coefficients == {}
