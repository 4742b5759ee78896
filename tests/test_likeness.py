"""Which lines say the same by their words: form says nothing, operators, numbers and versions say everything."""

from __future__ import annotations

import time

import pytest

from orchestra_mcp.council.answers.likeness import normal, word_overlap

DIFFERENT = [
    ("Change the loop condition to `i < n`", "Change the loop condition to `i <= n`"),
    ("if (a < b)", "if (a > b)"),
    ("Return `a == b`", "Return `a != b`"),
    ("Return `a*b`", "Return `a/b`"),
    ("Set x += 1", "Set x -= 1"),
    ("Check `!valid`", "Check `valid`"),
    ("Check !(a)", "Check (a)"),
    ("Rewrite it in C#", "Rewrite it in C"),
    ("Rewrite it in C++", "Rewrite it in C"),
    ("Return -1", "Return 1"),
    ("x = -1", "x = 1"),
    ("Wait 5 %", "Wait 5"),
    ("Use $x", "Use x"),
    ("Wait .5 s", "Wait 5 s"),
    ("Upgrade to Python 3.10", "Upgrade to Python 3.1"),
    ("Move to node v20.10", "Move to node v20.1"),
    ("Upgrade Django to 4.20", "Upgrade Django to 4.2"),
    ("Take Spam 2.10", "Take Spam 2.1"),
    ("Take spam==2.10", "Take spam==2.1"),
    ("Pin urllib3 to 1.20.3", "Pin urllib3 to 1.2.3"),
    ("Set it to 1234567.5", "Set it to 1234567.4"),
    ("O(n^2)", "O(n2)"),
]


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_operators_signs_numbers_and_versions_make_positions_differ(one: str, two: str) -> None:
    assert normal(one) != normal(two)
    overlap, strict = word_overlap(one, two)
    assert not (strict and overlap >= 0.25)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("The limit is 2.50 s", "the limit is 2.5 s!"),
        ("Python waits 2.50 seconds", "Python waits 2.5 seconds"),
        ("Wait 30s", "wait 30 s."),
        ("Wait 1.0 s", "Wait 1 s"),
        ("Wait .5 s", "Wait 0.50 s"),
        ("Use `i<n`", "use i < n"),
        ("Use i ≤ n", "Use i <= n"),
        ("Return `n-1`", "Return n - 1"),
        ("The bug is in foo()", "the bug is in “foo”"),
        ("**Retry** on error", "Retry, on error?"),
        ("- Don't retry", "dont retry"),
        ("Don’t   retry", "Don't retry"),
    ],
)
def test_case_layout_quotes_and_sentence_punctuation_say_nothing(one: str, two: str) -> None:
    assert normal(one) == normal(two)
    assert word_overlap(one, two) == (1.0, True)


def test_names_with_stars_and_dashes_stay_whole() -> None:
    assert normal("Pass *args and **kwargs") == "pass * args and ** kwargs"
    assert normal("An off-by-one in `__init__`") == "an off-by-one in __init__"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Raise the limit from 30 to 60", "Raise the limit from 60 to 30"),
        ("Return total - count", "Return count - total"),
        ("Swap when a < b", "Swap when b < a"),
        ("Retry the request", "Do not retry the request"),
        ("Increase the timeout", "Decrease the timeout"),
    ],
)
def test_the_same_words_in_another_order_of_numbers_or_operands_are_not_strictly_the_same(one: str, two: str) -> None:
    assert not word_overlap(one, two)[1]


def test_a_path_and_a_language_may_stand_at_different_places_of_the_sentence() -> None:
    assert word_overlap("src/parser.py drops the last line", "the last line is dropped in parser.py")[1]
    assert word_overlap("The C++ parser drops the line", "The line is dropped by the parser in C++")[1]


@pytest.mark.parametrize("piece", ["a", "*a ", "(", "\n", "1.", "-1", "a/", "=", "!", "a-", "A 1", "0x", ". "])
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        word_overlap(text, text + "b")
        return time.process_time() - began

    seconds(1_000)
    # Quadratic time would take 400 times as long for 20 times the text.
    assert seconds(100_000) < 100 * max(seconds(5_000), 0.005)
