"""Which answers are one, and by which rule; weights and ranking, against figures worked out by hand."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.council.matrix import matrix
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.ranking import rank
from orchestra_mcp.council.scales.clustering import Comparison, Found, cluster, same
from orchestra_mcp.council.scales.weights import weight
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.types import (
    Ballot,
    Behaviour,
    Check,
    Claim,
    Defect,
    Opinion,
    Probe,
    Question,
    Seat,
    Trial,
)


def opinion(seat: str, position: str, *claims: Claim, **more: object) -> Opinion:
    return Opinion.model_validate(
        {"seat": seat, "family": seat, "position": position, "answer": position, "claims": claims, **more}
    )


def place(path: str, line: int, outcome: str = "verified", symbol: str = "") -> Claim:
    return Claim(text="x", path=path, line=line, symbol=symbol, check=Check.model_validate({"outcome": outcome}))


def minutes(*opinions: Opinion, priors: dict[str, float] | None = None, found: Found | None = None) -> Minutes:
    names = dict.fromkeys(o.seat for o in opinions)
    seats = {n: Seat(name=n, model=n, model_id=f"model-{n}", family=n, prior=(priors or {}).get(n, 0.6)) for n in names}
    return Minutes(
        "x", Question(text="Why?"), seats=seats, asked=list(names), opinions=list(opinions), found=found or Found()
    )


def test_a_weight_is_the_log_odds_with_three_likely_wrong_answers() -> None:
    # p = .8: ln(.8/.2) + ln 2 = 1.386 + .693 = 2.079; all claims verified, so nothing is taken off.
    strong = math.log(4) + math.log(2)
    assert weight(opinion("a", "x", place("a.py", 1)), strong) == pytest.approx(2.0794, abs=1e-4)
    # one of two refuted: 1 - .5 * 1/2 = .75; nothing cited: .85
    mixed = opinion("a", "x", place("a.py", 1), place("b.py", 2, "refuted"))
    assert weight(mixed, strong) == pytest.approx(0.75 * 2.0794, abs=1e-4)
    assert weight(opinion("a", "x"), 0.05) == pytest.approx(0.05 * 0.85)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Use Postgres.", "use  postgres"),
        ("The limit is 2.50 s", "the limit is 2.5 s!"),
        ("`foo` is None", "foo is none"),
    ],
)
def test_positions_are_equal_but_for_case_punctuation_and_trailing_zeros(a: str, b: str) -> None:
    assert same(opinion("a", a), opinion("b", b)) == ("exact", True)


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
    assert same(opinion("a", a, shared), opinion("b", b, shared)) == ("none", False)


def test_the_same_verified_place_and_alike_words_are_agreement_on_evidence() -> None:
    a = opinion("a", "read_lines slices off the last line", place("p.py", 12, symbol="read_lines"))
    b = opinion("b", "the last line is lost in read_lines by the slice", place("p.py", 13, symbol="read_lines"))
    assert same(a, b) == ("cited", True)
    unverified = opinion("b", b.position, place("p.py", 13, "refuted", "read_lines"))
    assert same(a, unverified) == ("none", False)


def test_what_programs_do_goes_before_what_they_are_called() -> None:
    a, b, c = (opinion(seat, "a sieve", code=f"# {seat}", language="python") for seat in "abc")
    found = Found(
        probes=(Probe(kind="call", text="f(3)"), Probe(kind="call", text="f(4)")),
        behaviours={
            "# a": Behaviour(outcomes=("1", "2")),
            "# b": Behaviour(outcomes=("1", "2")),
            "# c": Behaviour(outcomes=("1", "3")),
        },
    )
    assert same(a, b, found) == ("executed", True)
    assert same(a, c, found) == ("executed", False)
    assert [(set(g.seats), g.evidence) for g in cluster((a, b, c), found)] == [
        ({"a", "b"}, "executed"),
        ({"c"}, "executed"),
    ]


def test_programs_that_only_raise_or_do_not_load_agree_with_nobody() -> None:
    a, b = opinion("a", "x", code="a"), opinion("b", "x", code="b")
    found = Found(behaviours={s: Behaviour(outcomes=("EXC:KeyError", "EXC:KeyError")) for s in "ab"})
    assert same(a, b, found) == ("executed", False)
    found = Found(behaviours={s: Behaviour(loaded=False) for s in "ab"})
    assert same(a, b, found) == ("executed", False)


def test_the_same_code_is_agreement_where_it_cannot_run_and_other_code_says_nothing() -> None:
    a, b = opinion("a", "do it so", code="x = 1 # a"), opinion("b", "do it thus", code="x = 1 # b")
    assert same(a, b, Found(forms={"x = 1 # a": "x=1", "x = 1 # b": "x=1"})) == ("same-code", True)
    assert same(a, b, Found(forms={"x = 1 # a": "x=1", "x = 1 # b": "x=2"})) == ("same-code", False)


def test_words_join_no_programs() -> None:
    a, b = opinion("a", "use a sieve", code="x", language="go"), opinion("b", "use a sieve", code="y", language="go")
    told = Found(comparisons=[Comparison(frozenset(("use a sieve",)), (("use a sieve",),))])
    assert same(a, b, told) == ("same-code", False)


def test_options_decide_whatever_is_said_around_them() -> None:
    a, b = opinion("a", "C. Bb Bb", option="C"), opinion("b", "C. Bb Bb", option="C")
    assert same(a, b) == ("exact", True)
    assert same(a, opinion("c", "C. Bb Bb", option="D")) == ("exact", False)


def test_a_comparison_of_meaning_puts_together_and_apart() -> None:
    a, b, c = opinion("a", "cache it"), opinion("b", "memoise the call"), opinion("c", "buy hardware")
    found = Found(
        comparisons=[
            Comparison(
                frozenset(("cache it", "memoise the call", "buy hardware")),
                (("cache it", "memoise the call"), ("buy hardware",)),
            )
        ]
    )
    assert same(a, b, found) == ("entailed", True)
    assert same(b, c, found) == ("entailed", False)
    # Equal words need no comparison.
    assert same(a, opinion("d", "Cache it."), found) == ("exact", True)
    # What a comparison has put apart is not joined by a third that is worded like one of them.
    near = [
        opinion("a", "raise the pool limit"),
        opinion("b", "lower the pool size"),
        opinion("c", "raise the pool limit"),
    ]
    told = Found(
        comparisons=[
            Comparison(
                frozenset(("raise the pool limit", "lower the pool size")),
                (("raise the pool limit",), ("lower the pool size",)),
            )
        ]
    )
    assert {frozenset(g.seats) for g in cluster(near, told)} == {frozenset("ac"), frozenset("b")}


def test_reviewers_can_put_answers_together() -> None:
    a, b, c = opinion("a", "cache it"), opinion("b", "memoise the call"), opinion("c", "buy hardware")
    ballot = Ballot(judge="j", shown=("a", "b", "c"), ranking=("a", "b", "c"), same=(("a", "b"),))
    clusters = cluster((a, b, c), ballots=(ballot,))
    assert [set(c.seats) for c in clusters] == [{"a", "b"}, {"c"}]
    assert [c.evidence for c in clusters] == ["reviewed", "single"]


def test_one_strong_voice_outweighs_three_weak_ones() -> None:
    # .9: ln 9 + ln 2 = 2.89; .4: ln(2/3) + ln 2 = .288 each, .863 for three.
    said = [opinion("strong", "fix the slice"), *(opinion(s, "do nothing") for s in ("w1", "w2", "w3"))]
    ranked, agreed = rank(said, minutes(*said, priors={"strong": 0.9, "w1": 0.4, "w2": 0.4, "w3": 0.4}))
    assert [r.opinions[0].position for r in ranked] == ["fix the slice", "do nothing"]
    strong, weak = math.log(18) * 0.85, 3 * math.log(4 / 3) * 0.85
    assert ranked[0].score == pytest.approx(strong)
    assert agreed.share == pytest.approx(strong / (strong + weak))
    assert agreed.margin == pytest.approx((strong - weak) / (strong + weak))


def test_a_patch_that_turns_the_tests_green_goes_before_a_majority_whose_patch_breaks_them() -> None:
    said = [opinion("a", "x is wrong", patch="p"), opinion("b", "y is wrong", patch="q"), opinion("c", "y is wrong")]
    green = Trial(applies=True, parses=True, before="failed", after="passed")
    red = Trial(applies=True, parses=True, before="failed", after="failed")
    found = Found(trials={"p": green, "q": red})
    verdict = conclude(minutes(*said, found=found), final=True)
    assert verdict.solutions[0].position == "x is wrong"
    assert verdict.solutions[0].shown == "its patch turns the failing tests green"
    untested = conclude(minutes(*said), final=True)
    assert untested.solutions[0].position == "y is wrong"
    assert verdict.confidence > untested.confidence


def test_tests_that_no_patch_turns_green_say_nothing_of_a_patch() -> None:
    red = Trial(applies=True, parses=True, before="failed", after="failed")
    green = Trial(applies=True, parses=True, before="failed", after="passed")
    said = [opinion("a", "x is wrong", patch="p"), opinion("b", "y is wrong", patch="q")]

    def scores(**trials: Trial) -> dict[str, float]:
        return {r.opinions[0].seat: r.score for r in rank(said, minutes(*said, found=Found(trials=dict(trials))))[0]}

    assert scores(p=red) == scores()
    assert scores(p=red, q=green)["a"] < scores()["a"]


def test_a_supporters_broken_patch_lowers_only_its_own_vote() -> None:
    broken = Trial(applies=False)
    said = [opinion("a", "x is wrong", patch="p"), opinion("b", "x is wrong"), opinion("c", "y is wrong")]
    whole, spoiled = (rank(said, minutes(*said, found=Found(trials=t)))[0][0] for t in ({}, {"p": broken}))
    # .6: ln 3, and .85 of it, since nothing is cited; a's half of that is gone.
    assert whole.score - spoiled.score == pytest.approx(0.5 * 0.85 * math.log(3), abs=1e-6)


def test_ballots_do_not_overturn_what_tests_have_shown() -> None:
    said = [opinion("a", "x is wrong", patch="p"), opinion("b", "y is wrong", patch="q")]
    green = Trial(applies=True, parses=True, before="failed", after="passed")
    red = Trial(applies=True, parses=True, before="failed", after="failed")
    now = minutes(*said, found=Found(trials={"p": green, "q": red}))
    now.seats |= {"j": Seat(name="j", prior=0.9), "k": Seat(name="k", prior=0.9)}
    now.ballots = [Ballot(judge=j, shown=("a", "b"), ranking=("b", "a")) for j in "jk"]
    assert rank(said, now)[0][0].opinions[0].seat == "a"
    now.found = Found()
    assert rank(said, now)[0][0].opinions[0].seat == "b"


def test_one_model_that_sits_twice_is_one_voice() -> None:
    said = [opinion("a", "x is wrong"), opinion("b", "x is wrong"), opinion("c", "y is wrong")]
    now = minutes(*said)
    apart, _ = rank(said, now)
    now.seats["b"] = now.seats["b"].model_copy(update={"model_id": "model-a"})
    once, agreed = rank(said, now)
    assert once[0].score == pytest.approx(apart[0].score / 2)
    assert agreed.independent_votes == 1.0


def test_equal_scores_are_equal_chances_and_two_sides_leave_no_third() -> None:
    said = [opinion("a", "for"), opinion("b", "against")]
    now = minutes(*said)
    now.question = Question(text="Shall we?", strategy="debate")
    verdict = conclude(now, final=True)
    assert [s.probability for s in verdict.solutions] == [0.5, 0.5]
    assert verdict.confidence == 0.5
    assert "a tie" in verdict.confidence_basis


def test_a_verified_defect_costs_the_accused_the_critics_weight_and_an_unverified_one_nothing() -> None:
    said = [opinion("a", "x is wrong"), opinion("b", "y is wrong")]
    now = minutes(*said, priors={"a": 0.7, "b": 0.65, "j": 0.6})
    now.seats["j"] = Seat(name="j", prior=0.6)
    before = {r.opinions[0].seat: r.score for r in rank(said, now)[0]}

    def accuse(outcome: str) -> dict[str, float]:
        claim = Claim(text="it never gets there", check=Check.model_validate({"outcome": outcome}))
        defect = Defect(candidate="a", critic="j", claim=claim)
        now.ballots = [Ballot(judge="j", shown=("a", "b"), ranking=(), defects=(defect,))]
        return {r.opinions[0].seat: r.score for r in rank(said, now)[0]}

    assert accuse("unchecked")["a"] == accuse("refuted")["a"]
    # .6: ln 1.5 + ln 2 = ln 3
    assert accuse("unchecked")["a"] - accuse("verified")["a"] == pytest.approx(math.log(3))
    assert accuse("verified")["b"] == accuse("unchecked")["b"]
    assert before["a"] > before["b"]
    accuse("verified")
    verdict = conclude(now, final=True)
    assert verdict.solutions[0].position == "y is wrong"
    stance = next(s for s in verdict.matrix if s.seat == "j" and s.solution == 2)
    assert (stance.stance, stance.evidence) == ("contradicts", "verified")


def test_the_matrix_says_who_holds_what_by_which_evidence() -> None:
    said = [opinion("a", "C. x", option="C"), opinion("b", "C. x", option="C"), opinion("c", "D. y", option="D")]
    ranked, _ = rank(said, minutes(*said))
    told = {(s.seat, s.solution): (s.stance, s.evidence) for s in matrix(ranked, minutes(*said))}
    assert told == {
        ("a", 1): ("supports", "answer"),
        ("b", 1): ("supports", "answer"),
        ("c", 1): ("contradicts", "answer"),
        ("a", 2): ("contradicts", "answer"),
        ("b", 2): ("contradicts", "answer"),
        ("c", 2): ("supports", "answer"),
    }


@given(
    st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), min_size=2, max_size=5),
    st.lists(st.sampled_from([0.4, 0.6, 0.75]), min_size=5, max_size=5),
    st.randoms(use_true_random=False),
)
def test_neither_order_nor_names_change_the_ranking(
    positions: list[str], priors: list[float], dice: random.Random
) -> None:
    def order(names: list[str], places: list[int]) -> list[tuple[str, float, float]]:
        said = [opinion(names[i], positions[i]) for i in places]
        now = minutes(*said, priors=dict(zip(names, priors, strict=False)))
        verdict = conclude(now, final=True)
        return [(s.position, s.score, s.probability) for s in verdict.solutions]

    places = list(range(len(positions)))
    names = [f"seat{i}" for i in places]
    first = order(names, places)
    dice.shuffle(places)
    other = [f"expert{i}" for i in dice.sample(range(50), len(places))]
    again = order(other, places)
    assert [p for p, _, _ in first] == [p for p, _, _ in again]
    assert [s for _, s, _ in first] == pytest.approx([s for _, s, _ in again])
    assert [p for _, _, p in first] == pytest.approx([p for _, _, p in again])
