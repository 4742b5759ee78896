"""When a council stops, at the thresholds and on both sides of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.council.scales import stopping
from orchestra_mcp.types import Effort


def test_a_lead_equal_to_what_is_left_is_not_enough() -> None:
    assert stopping.lossless(1.0, [0.5, 0.5]) == ""
    assert stopping.lossless(0.3, [0.1, 0.2]) == ""  # .1 + .2 is more than .3 only in binary
    assert "experts not asked" in stopping.lossless(1.1, [0.5, 0.5])
    assert stopping.lossless(0.8, [0.5, 0.5], gamma=0.75) != ""
    assert stopping.lossless(9.0, []) == ""  # with nobody left there is nothing to spare


@given(
    st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 300).map(lambda n: n / 100)), min_size=2, max_size=5),
    st.integers(1, 4),
)
def test_an_early_stop_gives_the_winner_of_the_whole_council_whatever_the_others_would_say(
    voices: list[tuple[str, float]], heard: int
) -> None:
    asked, unasked = voices[:heard], [weight for _, weight in voices[heard:]]

    def totals(votes: list[tuple[str, float]]) -> dict[str, float]:
        return {option: sum(w for o, w in votes if o == option) for option in "ABCD"}

    now = sorted(totals(asked).items(), key=lambda item: -item[1])
    if not stopping.lossless(now[0][1] - now[1][1], unasked):
        return
    for answers in product("ABCD", repeat=len(unasked)):
        final = totals([*asked, *zip(answers, unasked, strict=True)])
        assert all(final[now[0][0]] > score for option, score in final.items() if option != now[0][0])


@pytest.mark.parametrize(("effort", "wanted"), [("quick", 0.70), ("standard", 0.85), ("auto", 0.85), ("deep", 0.95)])
def test_each_effort_has_its_own_confidence(effort: Effort, wanted: float) -> None:
    assert stopping.confident(wanted, effort).endswith(f"asks for {wanted:.0%}")
    assert stopping.confident(wanted - 0.001, effort) == ""


def test_a_third_expert_on_a_dispute_is_worth_fifteen_points_and_a_fifth_nothing() -> None:
    # .15 of a dollar against 10 cents, then against 15 cents: worth it only while it costs less than it brings.
    assert stopping.not_worthwhile(0.5, 2, True, 1.0, 0.10) == ""
    assert "15.0%" in stopping.not_worthwhile(0.5, 2, True, 1.0, 0.16)
    assert "1.5%" in stopping.not_worthwhile(0.5, 3, True, 1.0, 0.10)
    assert "not expected to add anything" in stopping.not_worthwhile(0.5, 4, True, 1000.0, 0.0)
    # At p = .99 there is one point left to gain, whatever the table says.
    assert "1.0%" in stopping.not_worthwhile(0.99, 2, True, 1.0, 0.10)
    assert stopping.not_worthwhile(0.5, 0, True, 0.0, 5.0) == ""


def test_a_council_has_four_experts_at_most() -> None:
    assert stopping.full(3) == ""
    assert stopping.full(4)
    assert stopping.full(3, limit=3)


def test_rounds_end_when_probabilities_stand_still() -> None:
    # Half of |.6 − .55| + |.3 − .35| = .05; of |.6 − .5| + |.3 − .4| = .1, which is not below .1.
    assert stopping.settled({"a": 0.60, "b": 0.30}, {"a": 0.55, "b": 0.35})
    assert stopping.settled({"a": 0.625, "b": 0.25}, {"a": 0.5, "b": 0.375}) == ""
    # A solution that is gone counts as 0: half of |.2| is .1.
    assert stopping.settled({"a": 0.5, "b": 0.25}, {"a": 0.5}) == ""
    assert stopping.settled({}, {}) == ""


def test_efforts_have_their_rounds_of_critique() -> None:
    assert stopping.reviewed_enough(0, "quick") == "quick effort has no critique"
    assert stopping.reviewed_enough(0, "standard") == ""
    assert stopping.reviewed_enough(1, "standard")
    assert stopping.reviewed_enough(1, "deep") == ""
    assert stopping.reviewed_enough(2, "deep") == "2 rounds of critique, the most that deep effort has"
