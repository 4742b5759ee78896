"""Replies as models write them: what can be read is read, what is not an answer never becomes one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.council import reading
from orchestra_mcp.errors import BadReply

WORDS = reading.words_of("Why does the parser drop the last line of a file? def read_lines(path)")
GOOD = {
    "position": "read_lines drops the last line because it slices off one too many",
    "answer": "The slice in `read_lines` ends one short.",
    "evidence": [{"claim": "ends one short", "path": "src/parser.py", "line": 12, "quote": "lines[:-1]"}],
    "plan": ["Drop the slice", "Add a test with one line"],
    "confidence": 0.9,
}


def test_a_json_object_is_read_with_its_claims_and_its_plan() -> None:
    fields = reading.read_opinion(json.dumps(GOOD), WORDS)
    assert fields["position"] == GOOD["position"]
    assert [(c.path, c.line, c.quote) for c in fields["claims"]] == [("src/parser.py", 12, "lines[:-1]")]
    assert fields["plan"] == ("Drop the slice", "Add a test with one line")
    assert fields["confidence"] == 0.9


@pytest.mark.parametrize(
    "text",
    [
        "Here is my answer:\n```json\n" + json.dumps(GOOD, indent=1) + "\n```\nHope this helps!",
        "Sure. " + json.dumps(GOOD) + " That is all.",
        json.dumps(GOOD)[:-1] + ",}",
        "\x1b[31m" + json.dumps(GOOD) + "\x1b[0m",
    ],
    ids=["fenced", "in prose", "trailing comma", "with terminal colours"],
)
def test_json_is_found_in_fences_and_prose_and_mended(text: str) -> None:
    assert reading.read_opinion(text, WORDS)["position"] == GOOD["position"]


def test_prose_is_an_opinion_too_with_the_places_that_it_names() -> None:
    text = "**The slice is wrong.** In src/parser.py:12 the last line is cut off.\n\n1. Drop the slice\n2. Add a test\n"
    fields = reading.read_opinion(text, WORDS)
    assert fields["position"] == "The slice is wrong."
    assert [(c.path, c.line) for c in fields["claims"]] == [("src/parser.py", 12)]
    assert fields["plan"] == ("Drop the slice", "Add a test")
    assert fields["structured"] is False


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        ("  \n\t ", "empty"),
        ("\u200b\u200b", "empty"),
        ("{}", "garbage"),
        ('{"position": "", "answer": ""}', "empty"),
        ("<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "garbage"),
        ("xk29 fjq zzv qplm wrt nnbv", "garbage"),
        ("%%%% #### @@@@ ;;;;", "garbage"),
        ("\ufffd\ufffd\ufffd\ufffd a b \ufffd\ufffd", "garbage"),
        ("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt", "garbage"),
        ("I'm sorry, but I can't help with that request.", "refusal"),
        ("Sorry, I cannot assist with this.", "refusal"),
        ('{"position": "zzv qplm", "answer": "wrt nnbv xkq"}', "garbage"),
    ],
)
def test_what_is_not_an_answer_is_refused(text: str, kind: str) -> None:
    with pytest.raises(BadReply) as caught:
        reading.read_opinion(text, WORDS)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "Die Funktion schneidet die letzte Zeile ab, weil der Index falsch ist.",
        "這個函式會丟失最後一行，因為切片少了一行。",
        "Use Postgres. It is the simplest thing that works.",
        "I'm sorry to say that the slice is wrong: it ends one short.",
    ],
)
def test_short_and_foreign_answers_are_answers(text: str) -> None:
    assert reading.read_opinion(text, WORDS)["position"]


def test_invisible_and_reordering_characters_are_taken_out() -> None:
    assert reading.clean("safe\u202eevil\u200b \x1b]8;;http://x\x07link\x1b]8;;\x07") == "safeevil link"


def test_a_ballot_is_read_from_json_and_from_a_line() -> None:
    text = '{"ranking": ["B", "A"], "same": [["A", "B"]], "defects": [{"candidate": "A", "claim": "off by one", "path": "a.py", "line": 3}]}'
    ballot = reading.read_ballot(text, ("A", "B", "C"))
    assert ballot["ranking"] == ("B", "A")
    assert ballot["same"] == (("A", "B"),)
    assert [(letter, claim.path, claim.line) for letter, claim in ballot["defects"]] == [("A", "a.py", 3)]
    assert reading.read_ballot("Ranking: C > A > B", ("A", "B", "C"))["ranking"] == ("C", "A", "B")


@pytest.mark.parametrize("text", ["", "I like them all.", '{"ranking": ["X"]}', '{"ranking": []}'])
def test_a_review_without_a_known_letter_is_no_ballot(text: str) -> None:
    with pytest.raises(BadReply):
        reading.read_ballot(text, ("A", "B"))


def test_a_long_answer_is_clipped_and_says_so() -> None:
    fields = reading.read_opinion(json.dumps({**GOOD, "answer": "The line is cut. " * 8000}), WORDS)
    assert len(fields["answer"]) < reading.MAX_ANSWER + 100
    assert "more characters left out" in fields["answer"]


@given(st.text(max_size=400))
def test_any_text_gives_an_opinion_or_a_bad_reply(text: str) -> None:
    try:
        fields = reading.read_opinion(text, WORDS)
    except BadReply:
        return
    assert fields["position"].strip()
    assert "\x1b" not in fields["answer"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=12), x),
        max_leaves=20,
    )
)
def test_any_json_value_in_any_field_is_survived(value: object) -> None:
    text = json.dumps(
        {
            "position": "the parser drops a line",
            "answer": "the slice is wrong",
            "evidence": value,
            "plan": value,
            "patch": value,
        }
    )
    assert reading.read_opinion(text, WORDS)["position"] == "the parser drops a line"
