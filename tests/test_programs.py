"""Answers that are programs, the inputs on which they are compared, and what comparing shows."""

from __future__ import annotations

import time

import pytest

from orchestra_mcp.council.answers.programs import passes, probes_from, program_in, same_behaviour, shared, telling
from orchestra_mcp.council.answers.samples import probes_of
from orchestra_mcp.types import Behaviour, Probe

STACK = '''class Stack:
    """
    A stack of numbers.
    """

    def __init__(self):
        self.items = []

    def push(self, item):
        """
        Put an item on top.
        :param item: int
        >>> stack = Stack()
        >>> stack.push(3)
        1
        """

    def pop(self):
        """
        Take the top item away.
        >>> stack.push(4)
        >>> stack.pop()
        4

        """
'''
CODE = "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n        return 1"


# ------------------------------------------------------------------------------------------------- which text it is


def test_a_bare_program_is_one_also_below_a_line_of_prose() -> None:
    assert program_in(CODE, STACK) == (CODE, "python")
    assert program_in(f"Please complete the class.\n\n{CODE}", STACK) == (CODE, "python")


def test_a_cut_off_program_is_still_the_answer() -> None:
    code, language = program_in(f"Here:\n```python\n{CODE}\n    def pop(self):\n        return self.", STACK)
    assert code.endswith("return self.")
    assert language == "python"


def test_of_several_blocks_the_last_one_that_defines_what_is_asked_for_counts_with_what_it_needs() -> None:
    answer = (
        f"First try:\n```python\n{CODE}\n```\nIt needs a helper.\n```python\ndef grow(items):\n    return items\n```\n"
        "So:\n```python\nclass Stack:\n    def push(self, item):\n        return len(grow([item]))\n```\n"
        "Use it:\n```python\nprint(Stack().push(1))\n```"
    )
    code, _ = program_in(answer, STACK)
    assert code.startswith("def grow(items):")
    assert code.endswith("return len(grow([item]))")
    assert "print" not in code


@pytest.mark.parametrize(
    "answer",
    [
        "It ends one short, as you see in\n```python\nlines[:-1]\n```\nso use\n```python\nlines\n```\nand add a test.",
        "```diff\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n```",
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-class A:\n+class B:\n",
        "```\nTraceback (most recent call last):\nValueError\n```",
        "Use Redis.",
        "Redis",
        "",
        "return early when the list is empty",
    ],
)
def test_explanations_patches_and_logs_are_no_programs(answer: str) -> None:
    assert program_in(answer, "Why does read_lines drop the last line?") == ("", "")


def test_a_block_in_an_explanation_is_a_program_only_where_code_is_asked_for() -> None:
    answer = f"This keeps the items.\n\n```python\n{CODE}\n```"
    assert program_in(answer, "Write a class Stack with push and pop.")[0] == CODE
    assert program_in(answer, "Why is my stack slow?") == ("", "")


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("#include <iostream>\nint main() {\n  std::cout << 1;\n  return 0;\n}", "cpp"),
        ("package main\n\nfunc main() {\n\tprintln(1)\n}", "go"),
        ("const f = (x) => {\n  return x;\n};\nconsole.log(f(1));", "javascript"),
        ("fn main() {\n    let mut x = 1;\n    x += 1;\n}", "rust"),
        ("import sys\nprint(sum(map(int, sys.stdin)))", "python"),
    ],
)
def test_the_language_of_a_bare_program_is_seen(code: str, language: str) -> None:
    assert program_in(code, "Write a program that prints a number.") == (code, language)


# -------------------------------------------------------------------------------------------- inputs of the question


def test_doctests_share_the_names_of_their_docstring_and_borrow_missing_ones() -> None:
    probes = probes_of(STACK)
    assert [(p.text, p.expected) for p in probes] == [
        ("stack = Stack()\nstack.push(3)", "1"),
        ("stack = Stack()\nstack.push(4)\nstack.pop()", "4"),
    ]
    assert {(p.kind, p.source) for p in probes} == {("call", "question")}


def test_a_name_that_no_example_sets_is_an_instance_of_the_class_that_is_asked_for() -> None:
    question = STACK.replace("        >>> stack = Stack()\n", "")
    assert probes_of(question)[0].text == "stack = Stack()\nstack.push(3)"
    assert probes_of(question.replace("def __init__(self)", "def __init__(self, size)")) == ()


def test_statements_over_several_lines_are_one() -> None:
    question = "def f(x):\n    '''\n    >>> f([1,\n    ...    2])\n    3\n    >>> for i in (1,):\n    ...     x = f([i])\n    >>> x\n    1\n    '''"
    assert [(p.text, p.expected) for p in probes_of(question)] == [
        ("f([1,\n   2])", "3"),
        ("f([1,\n   2])\nfor i in (1,):\n    x = f([i])\nx", "1"),
    ]


def test_what_an_example_only_describes_is_not_expected() -> None:
    question = "class A:\n    def f(self):\n        '''\n        >>> A().f()\n        self.x = 3\n        '''"
    assert [p.expected for p in probes_of(question)] == [None]


CONTEST = """Add the numbers.

Input

The input is given from Standard Input.

Output

Print the sum.

Sample Input 1

2
1 2

Sample Output 1

3

The sum of 1 and 2 is 3.

Sample Input 2

1
5

Sample Output 2

5
"""


def test_contest_samples_are_typed_in_and_explanations_stay_out() -> None:
    assert [(p.kind, p.text, p.expected) for p in probes_of(CONTEST)] == [
        ("stdin", "2\n1 2\n", "3\n"),
        ("stdin", "1\n5\n", "5\n"),
    ]


def test_samples_with_blank_lines_in_fences_and_below_examples_are_read() -> None:
    spaced = "Print YES or NO.Sample Input 1:\n2\n\nabc\n\nacb\n\n\n\nSample Output 1:\n\nYES\nNO\n\n\nNote\n\nNothing."
    assert [(p.text, p.expected) for p in probes_of(spaced)] == [("2\nabc\nacb\n", "YES\nNO\n")]
    fenced = "### Sample Input 1\n```\n1 2\n```\n### Sample Output 1\n```\n3\n\n4\n```\n"
    assert [(p.text, p.expected) for p in probes_of(fenced)] == [("1 2\n", "3\n\n4\n")]
    plain = "Input\nA number.\nOutput\nIts double.\nExamples\nInput\n1\nOutput\n2\nInput\n3\nOutput\n6\nNote\nEasy."
    assert [(p.text, p.expected) for p in probes_of(plain)] == [("1\n", "2\n"), ("3\n", "6\n")]


LEET = """Return the k-th pair.

Example 1:

Input: nums = [1,2,
3], k = 2, deep = true
Output: [null, "a"]
Explanation: It is.

Example 2:

Input: nums = [], k = 0, deep = false
Output: []

Constraints:

1 <= k <= 5
class Solution:
    def kthPair(self, nums: List[int], k: int, deep: bool) -> List[Optional[str]]:
        """


def test_examples_become_calls_of_the_starter_code() -> None:
    assert [(p.text, p.expected) for p in probes_of(LEET)] == [
        ("Solution().kthPair(nums=[1, 2, 3], k=2, deep=True)", "[None, 'a']"),
        ("Solution().kthPair(nums=[], k=0, deep=False)", "[]"),
    ]


def test_asserts_and_arrows_are_examples() -> None:
    question = "Write a function double.\nassert double(2) == 4\n- double(3) -> 6\n`double(5)` => 10\ndouble(x) -> int\nprint(1) -> 1"
    assert [(p.text, p.expected) for p in probes_of(question)] == [
        ("double(2)", "4"),
        ("double(3)", "6"),
        ("double(5)", "10"),
    ]


@pytest.mark.parametrize(
    "question", ["", "Why is it slow?", "def f(x: int) -> int: ...", "Input: see above\nOutput: none"]
)
def test_ordinary_questions_show_no_inputs(question: str) -> None:
    assert probes_of(question) == ()


WRONG = "My function is wrong:\n```\n>>> median([1,2,3,4])\n2\n```\n"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (WRONG + "Please write a correct function median.", None),
        (WRONG + "It should give 2.5. Please write a correct function median.", "2.5"),
        (WRONG + "Expected: 2.5", "2.5"),
        (WRONG + "It should give 2.5, and then it should be 3.", None),
        (WRONG + "median([5, 6]) should give 5.5.", None),
        (">>> median([1,2,3,4])\n2\nbut I want 2.5", "2.5"),
        ("Why is this 2?\n>>> median([1,2,3,4])\n2", None),
        ("Write a function median.\n\n>>> median([1,2,3,4])\n2.5\n", "2.5"),
        (">>> median([1,2,3,4])\n2.5\nThat is how the function behaves.", "2.5"),
        ("My function is wrong. It should behave so:\n>>> median([1,2,3,4])\n2.5", "2.5"),
        (
            'It is wrong:\ndef median(xs):\n    """\n    >>> median([1,2,3,4])\n    2.5\n    """\n    return xs[0]',
            "2.5",
        ),
    ],
)
def test_what_is_shown_because_it_is_wrong_is_not_expected(question: str, expected: str | None) -> None:
    assert [(p.text, p.expected) for p in probes_of(question)] == [("median([1,2,3,4])", expected)]


def test_arrows_and_examples_of_a_complaint_are_not_expected_either() -> None:
    assert [p.expected for p in probes_of("Why does it say this?\ndouble(2) -> 5")] == [None]
    assert [p.expected for p in probes_of("It is broken.\ndouble(2) should return 4")] == ["4"]
    assert [p.expected for p in probes_of("It fails.\nassert double(2) == 4")] == ["4"]
    complaint = "It is wrong.\nInput: x = 2\nOutput: 5\n{}\n\ndef double(x):\n    return 5"
    assert [p.expected for p in probes_of(complaint.format(""))] == [None]
    assert [p.expected for p in probes_of(complaint.format("Expected: 4"))] == ["4"]


def test_a_transcript_ends_where_prose_begins_and_a_traceback_with_its_message() -> None:
    text = ">>> f(1)\nTraceback (most recent call last):\n  ...\nValueError: no\nThis is how the function behaves."
    assert [p.expected for p in probes_of(text)] == ["Traceback (most recent call last):\n  ...\nValueError: no"]
    assert [p.expected for p in probes_of(">>> f(2)\n[1,\n 2]\nand this is the list.")] == ["[1,\n 2]"]


# ------------------------------------------------------------------------------------------------ inputs of experts


def test_experts_give_calls_asserts_doctests_and_text_to_type() -> None:
    given = [
        "f(1)",
        "`f(2)`",
        "assert f(3) == 4",
        "x = [1]; f(x)",
        ">>> f(5)\n6",
        "print(f(7))",
        "3 5",
        "an empty list",
        "f(1)",
    ]
    assert [(p.kind, p.text, p.expected) for p in probes_from(given, "alpha")] == [
        ("call", "f(1)", None),
        ("call", "f(2)", None),
        ("call", "f(3)", "4"),
        ("call", "x = [1]\nf(x)", None),
        ("call", "f(5)", "6"),
        ("call", "f(7)", None),
        ("stdin", "3 5\n", None),
    ]


def test_shared_inputs_are_of_one_kind_the_questions_first_and_experts_take_turns() -> None:
    asked = Probe(kind="call", text="f(0)", expected="0", source="question")
    greedy = probes_from([f"f({n})" for n in range(40)], "greedy")
    other = probes_from(["assert f(99) == 1", "3 5"], "other")
    found = shared((*greedy, *other, asked))
    assert len(found) == 20
    assert found[0] == asked
    assert [p.text for p in found[1:4]] == ["f(99)", "f(1)", "f(2)"]
    # What an expert expects is its opinion, and not the question's word.
    assert found[1].expected is None
    assert {p.kind for p in found} == {"call"}
    assert shared(()) == ()


# -------------------------------------------------------------------------------------------------------- comparing


def behaved(*outcomes: str) -> Behaviour:
    return Behaviour(outcomes=outcomes)


def test_programs_are_alike_when_every_outcome_is_and_never_when_they_only_fail() -> None:
    assert same_behaviour(behaved("1", "EXC:ValueError"), behaved("1", "EXC:ValueError"))
    assert not same_behaviour(behaved("1", "2"), behaved("1", "3"))
    assert not same_behaviour(behaved("EXC:NameError", "TIMEOUT"), behaved("EXC:NameError", "TIMEOUT"))
    assert not same_behaviour(Behaviour(loaded=False), Behaviour(loaded=False))
    assert not same_behaviour(behaved(), behaved())


ASKED = Probe(kind="call", text="f(1)", source="question")
MINE = Probe(kind="call", text="f(2)", source="alpha")
YOURS = Probe(kind="call", text="f(-1)", source="beta")


def test_an_input_of_one_seat_on_which_a_program_fails_tells_nothing() -> None:
    probes = (ASKED, MINE, YOURS)
    one, two = behaved("1", "2", "EXC:ValueError"), behaved("1", "2", "-1")
    ignored = telling([one, two], probes)
    assert ignored == {2}
    assert not same_behaviour(one, two)
    assert same_behaviour(one, two, probes, ignored)
    assert not same_behaviour(one, behaved("1", "3", "-1"), probes, ignored)


@pytest.mark.parametrize("failure", ["TIMEOUT", "TOO MUCH OUTPUT", "EXC:KeyError"])
def test_every_failure_counts_but_not_on_the_questions_own_inputs(failure: str) -> None:
    assert telling([behaved(failure, failure, "1"), behaved("1", "1", "1")], (ASKED, MINE, YOURS)) == {1}


def test_programs_that_only_fail_or_did_not_load_do_not_take_inputs_from_the_others() -> None:
    broken = [behaved("EXC:NameError", "EXC:NameError"), Behaviour(loaded=False)]
    assert telling([behaved("1", "2"), behaved("1", "3"), *broken], (ASKED, MINE)) == frozenset()


def test_where_no_input_would_be_left_all_of_them_count() -> None:
    one, two = behaved("EXC:A", "1"), behaved("1", "EXC:A")
    ignored = telling([one, two], (MINE, YOURS))
    assert ignored == {0, 1}
    assert not same_behaviour(one, two, (MINE, YOURS), ignored)
    assert same_behaviour(one, one, (MINE, YOURS), ignored)


@pytest.mark.parametrize(
    ("expected", "outcome", "right"),
    [
        ("60", "60", True),
        ("329.0", "329", True),
        ("0.333333", "0.3333333", True),
        ('"https"', "'https'", True),
        ("https", "'https'", True),
        ('{"b": [1, 2], "a": 1.0}', "{'a': 1, 'b': [1, 2]}", True),
        ("[1,2]", "[1, 2]", True),
        ("[1, 2]", "(1, 2)", False),
        ("True", "1", False),
        ("1", "2", False),
        ("<Point at 0x...>", "<Point at 0x7f12>", True),
        ("[0, ..., 9]", "[0, 1, 8]", False),
        ("Traceback (most recent call last):\n  ...\nValueError: no", "EXC:ValueError", True),
        ("Traceback (most recent call last):\n  ...\nValueError: no", "EXC:KeyError", False),
        ("1", "EXC:ValueError", False),
        ("TIMEOUT", "TIMEOUT", False),
    ],
)
def test_values_are_compared_as_doctest_and_assert_equal_do(expected: str, outcome: str, right: bool) -> None:
    probe = Probe(kind="call", text="f()", expected=expected, source="question")
    assert passes(behaved(outcome), (probe,)) == (int(right), 1)


@pytest.mark.parametrize(
    ("expected", "outcome", "right"),
    [
        ("1 2\n3\n", "1  2\n3", True),
        ("0.5000001\n", "0.5\n", True),
        ("3\n", "3.0\n", False),
        ("Yes\n", "YES\n", False),
        ("1\n", "1\n2\n", False),
    ],
)
def test_output_is_compared_word_by_word(expected: str, outcome: str, right: bool) -> None:
    probe = Probe(kind="stdin", text="1\n", expected=expected, source="question")
    assert passes(behaved(outcome), (probe,)) == (int(right), 1)


def test_only_what_the_question_expects_counts_and_what_did_not_load_passes_nothing() -> None:
    probes = (
        Probe(kind="call", text="f(1)", expected="1", source="question"),
        Probe(kind="call", text="f(2)", source="question"),
        Probe(kind="call", text="f(3)", expected="9", source="alpha"),
    )
    assert passes(behaved("1", "5", "5"), probes) == (1, 1)
    assert passes(Behaviour(loaded=False), probes) == (0, 1)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "(",
        "\n",
        "-",
        "def f(",
        ">>> f()\n",
        "Input: x = 1\nOutput: 1\n",
        "Sample Input 1\n",
        "```\n",
        "f(",
        "assert ",
        "    x\n",
        "'''\n>>> {\n",
        "it should be ",
        "wrong ",
        ">>> f(1)\n2\nit is wrong\n",
        "f(1) -> 2\n",
        "a, ",
    ],
)
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        taken = []
        for _ in range(3):  # the least of them: another process may take the caches, or a collection fall into one
            began = time.process_time()
            probes_of(text)
            probes_of(LEET + text)
            program_in(text, LEET)
            program_in("```\n" + text, text)
            taken.append(time.process_time() - began)
        return min(taken)

    seconds(1_000)
    # Quadratic time would take 400 times as long for 20 times the text.
    assert seconds(100_000) < 100 * max(seconds(5_000), 0.005)
