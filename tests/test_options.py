"""Options that questions list, and which one an expert chose: never guessed."""

from __future__ import annotations

import time

import pytest

from orchestra_mcp.council.answers.choices import chosen, only_chooses
from orchestra_mcp.council.answers.options import Option, options_of

STORES = ("Redis", "Postgres with LISTEN/NOTIFY", "Kafka")
QUESTION = "Which of these stores fits?\n\nA. Redis\nB. Bb Bb\nC. A good thing\nD. None of the above\nE. 14.5"
OPTIONS = options_of(QUESTION)


@pytest.mark.parametrize(
    "listed",
    [
        "A. Redis\nB. Postgres with LISTEN/NOTIFY\nC. Kafka",
        "A) Redis\nB) Postgres\n   with LISTEN/NOTIFY\nC) Kafka\n\nWe have three nodes.",
        "(A) Redis\n\n(B) Postgres with LISTEN/NOTIFY\n\n(C) Kafka\nAnswer:",
        "- **A.** Redis\n- **B.** Postgres with LISTEN/NOTIFY\n- **C.** Kafka",
        "We could take (A) Redis, (B) Postgres with LISTEN/NOTIFY or (C) Kafka.",
    ],
    ids=["dots", "brackets and a second line", "parentheses", "bold in a list", "in a sentence"],
)
def test_options_are_found_in_every_usual_form(listed: str) -> None:
    found = options_of(f"Which store should we use?\n\n{listed}")
    assert tuple(option.text for option in found) == STORES
    assert [option.label for option in found] == ["A", "B", "C"]


def test_numbers_and_small_letters_are_options_only_below_a_line_that_says_so() -> None:
    assert [o.label for o in options_of("Choose one of:\n1. Redis\n2. Kafka")] == ["1", "2"]
    assert [o.label for o in options_of("Options:\na) Redis\nb) Kafka")] == ["a", "b"]
    assert options_of("Why does it fail?\n1. I start it\n2. I see the error") == ()
    assert options_of("Why does it fail?\na) I start it\nb) I see the error") == ()


@pytest.mark.parametrize(
    "text",
    [
        "Steps to reproduce:\nA. open it\nB. click\nC. it crashes\nWhy does it crash?",
        "I did this:\n(A) x\n(B) y\nWhich is wrong?",
        "Which is it?\n```\nA. Redis\nB. Kafka\n```",
        "f(A) and g(B) return None, which is odd. Should (A) be called?",
        "- do this\n- or that\nWhich?",
        "A. Redis\nC. Kafka\nWhich?",
        "Why is `A` None?",
        "",
    ],
)
def test_steps_code_and_gaps_are_no_options(text: str) -> None:
    assert options_of(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Our deploy does this:\nA. stop the server\nB. migrate the database\nC. start the server\nWhy does the site show old data afterwards?",
        "Why does the site show old data? Our deploy does this:\nA. stop\nB. migrate\nC. start",
        "Our plan:\nA. stop\nB. migrate\nC. start\nWhich step loses the data?",
        "A list of ours\nA. stop\nB. migrate\nC. start\nWhy is the correct page not shown?",
        "Why do (A) the server and (B) the client fail?",
    ],
)
def test_a_list_that_is_only_asked_about_lists_no_options(text: str) -> None:
    assert options_of(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Why does the site show old data?\nA. the cache\nB. the network",
        "The page is stale because of\nA. the cache\nB. the network",
        "The page is stale because of\nA. the cache\nB. the network\n\nAnswer:",
        "Welche Ursache ist es?\nA. the cache\nB. the network\nWir haben drei Knoten.",
        "A. the cache\nB. the network\nPick one of them.",
        "Is it (A) the cache or (B) the network?",
    ],
)
def test_a_list_that_ends_a_question_or_is_to_be_chosen_from_lists_options(text: str) -> None:
    assert [option.text for option in options_of(text)] == ["the cache", "the network"]


def test_of_several_lists_the_last_is_the_question() -> None:
    text = "Q: one?\nA. 1\nB. 2\nAnswer: A\n\nQ: which colour?\nA. red\nB. blue\nC. green"
    assert [o.text for o in options_of(text)] == ["red", "blue", "green"]


@pytest.mark.parametrize(
    ("position", "answer", "label"),
    [
        ("C", "", "C"),
        ("(C)", "", "C"),
        ("c", "", "C"),
        ("B. Bb Bb", "", "B"),
        ("Option B: Bb Bb", "", "B"),
        ("bb bb.", "", "B"),
        ("Use Redis, since it is there", "", "A"),
        ("A", "The answer is (B).", "A"),
        ("", "A is wrong because it is slow. The answer is (B).", "B"),
        ("", "First I thought the answer is (A). Wait: the answer is (C).", "C"),
        ("", "So the correct option is:\n\n\\[ \\boxed{D} \\]", "D"),
        ("", "The final answer is $\\boxed{\\text{C}}$.", "C"),
        ("", "Answer: **B. Bb Bb**", "B"),
        ("", "It follows that\n\n**D**", "D"),
        ("", "The answer is 14.5.", "E"),
        ("", "The most likely cause is (C), as the log shows.", "C"),
        ("", "Option D is correct because nothing fits.", "D"),
        ("", "Die richtige Antwort ist B.", "B"),
        ("", "Antwort: B", "B"),
        ("", "La bonne réponse est C", "C"),
        ("", "La respuesta correcta es la opción B.", "B"),
        ("", "La risposta corretta è B.", "B"),
        ("", "A resposta certa é a opção B.", "B"),
        ("", "Het juiste antwoord is B.", "B"),
        ("", "答案是 B", "B"),
        ("Redis is overkill; use Bb Bb", "", "B"),
        ("Do not use Redis, use Bb Bb", "", "B"),
        ("Bb Bb instead of Redis", "", "B"),
        ("", "Rather than guess, I say: the answer is B.", "B"),
    ],
)
def test_a_clear_choice_is_read(position: str, answer: str, label: str) -> None:
    found = chosen(position, answer, OPTIONS)
    assert found is not None
    assert found.label == label


@pytest.mark.parametrize(
    ("position", "answer"),
    [
        ("", ""),
        ("A and B", ""),
        ("Neither A nor B", ""),
        ("A is wrong", ""),
        ("Do not use Redis", ""),
        ("", "The answer is (A) or (B)."),
        ("", "The answer is (A), (B), and (D)."),
        ("", "The answer is not (A)."),
        ("", "The answer is A good idea, I think"),
        ("", "A is slow. B is odd. C is fine."),
        ("", "The answer is 12.5."),
        ("", "A. Redis\nB. Bb Bb"),
        ("F", ""),
        ("I think Redis is overkill", ""),
        ("Redis isn't needed", ""),
        ("Redis is not needed here", ""),
        ("Redis has been ruled out", ""),
        ("Avoid Redis", ""),
        ("", "La respuesta no es B."),
        ("", "Die Antwort ist nicht B."),
        ("", "La réponse n'est pas B."),
    ],
)
def test_an_unclear_choice_is_none(position: str, answer: str) -> None:
    assert chosen(position, answer, OPTIONS) is None


def test_none_of_something_is_not_the_option_none() -> None:
    options = options_of("Which cache is best?\nA. Redis\nB. Memcached\nC. None")
    assert chosen("none of the caches", "", options) is None
    assert chosen("", "I think Redis is overkill here, a dict does: so none of the caches.", options) is None
    assert chosen("None", "", options) == options[2]


@pytest.mark.parametrize(
    ("position", "only"),
    [
        ("B", True),
        ("(B)", True),
        ("B. Bb Bb", True),
        ("bb bb", True),
        ("The answer is B", True),
        ("Option B: Bb Bb", True),
        ("B, since it is cheaper", False),
        ("Take Bb Bb, but only after the migration", False),
        ("A and B", False),
    ],
)
def test_a_position_that_says_more_than_its_option_is_told_from_one_that_does_not(position: str, only: bool) -> None:
    assert only_chooses(position, OPTIONS) is only


def test_without_options_nothing_is_chosen_and_the_canonical_line_has_label_and_text() -> None:
    assert chosen("A", "The answer is (A).", ()) is None
    assert Option("C", "Kafka").line == "C. Kafka"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "(",
        "\n",
        "(A) ",
        "A. x\n",
        "answer is ",
        "**A. ",
        "\\boxed",
        "$",
        " ",
        "correct ",
        "choose ",
        "answer: ",
        "not ",
        "antwort a ",
        "which ",
    ],
)
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        options_of(text)
        options_of("Which?\nA. one\nB. two " + text)
        chosen("", text, OPTIONS)
        chosen(text, text, OPTIONS)
        only_chooses(text, OPTIONS)
        return time.process_time() - began

    seconds(1_000)
    # Quadratic time would take 400 times as long for 20 times the text.
    assert seconds(100_000) < 100 * max(seconds(5_000), 0.005)
