"""Replies as models write them: what can be read is read, what is not an answer never becomes one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.context.trial.patches import apply
from orchestra_mcp.council.answers import reading
from orchestra_mcp.council.answers.patches import patch_in
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


OPTIONS = "Which store fits?\n\nA. Redis\nB. Postgres\nC. Kafka"
STARTER = "Write this class.\n\nclass Stack:\n    def push(self, item):\n        pass"
CODE = "class Stack:\n    def push(self, item):\n        return {'answer': item, \"position\": 1}"


@pytest.mark.parametrize(
    "text",
    [
        "(B)",
        "B. Postgres",
        "A is too small for this. The answer is (B).",
        '{"position": "B", "answer": "It is there already."}',
        '{"position": "The answer is (B)", "answer": "It is there already."}',
        '{"answer": "Postgres is there already, so the answer is B."}',
    ],
)
def test_a_chosen_option_is_the_position_as_the_question_writes_it(text: str) -> None:
    fields = reading.read_opinion(text, WORDS, OPTIONS)
    assert (fields["option"], fields["position"]) == ("B", "B. Postgres")


@pytest.mark.parametrize("position", ["Take what is there", "B, but only after the migration"])
def test_a_position_that_says_more_than_its_option_stays(position: str) -> None:
    text = json.dumps({"position": position, "answer": "It is there already, so the answer is B."})
    fields = reading.read_opinion(text, WORDS, OPTIONS)
    assert (fields["option"], fields["position"]) == ("B", position)


def test_without_a_clear_choice_the_position_stays_the_experts_own() -> None:
    fields = reading.read_opinion("It depends on the size of the data. Redis or Kafka.", WORDS, OPTIONS)
    assert not fields.get("option")
    assert fields["position"] == "It depends on the size of the data."


def test_a_bare_program_is_an_opinion_and_is_kept_in_a_fence() -> None:
    fields = reading.read_opinion(CODE, frozenset(), STARTER)
    assert fields["position"] == "program: class Stack"
    assert (fields["code"], fields["language"]) == (CODE, "python")
    assert fields["answer"] == f"```python\n{CODE}\n```"
    assert fields["claims"] == ()


@pytest.mark.parametrize(
    "text",
    [
        f"A stack on a list is enough.\n\n```python\n{CODE}\n```",
        json.dumps({"position": "A stack on a list is enough.", "answer": f"So:\n```python\n{CODE}\n```"}),
        json.dumps({"position": "A stack on a list is enough.", "answer": CODE}),
        json.dumps({"position": "A stack on a list is enough.", "answer": "Like this.", "code": CODE}),
    ],
    ids=["prose and a fence", "fenced in JSON", "bare in JSON", "a field of its own"],
)
def test_the_program_of_an_answer_is_found_wherever_it_stands(text: str) -> None:
    fields = reading.read_opinion(text, WORDS, STARTER)
    assert fields["position"] == "A stack on a list is enough."
    assert (fields["code"], fields["language"]) == (CODE, "python")
    assert CODE in fields["answer"]
    assert "```" in fields["answer"]


def test_a_program_that_was_cut_off_is_an_opinion_too() -> None:
    fields = reading.read_opinion(
        "```python\nclass Stack:\n    def push(self, item):\n        return self.", WORDS, STARTER
    )
    assert fields["code"].endswith("return self.")


def test_inputs_keep_their_lines_and_claims_their_calls_exceptions_and_tests() -> None:
    claim = {"claim": "x", "symbol": "read", "calls": "strip()", "raises": "KeyError", "test": "s = f(1)\ns == 2"}
    text = json.dumps({**GOOD, "evidence": [claim], "inputs": ["1. f(1)", {"call": "f(2)"}, "x = 1\nf(x)", "", None]})
    fields = reading.read_opinion(text, WORDS)
    assert fields["inputs"] == ("f(1)", "f(2)", "x = 1\nf(x)")
    assert [(c.calls, c.raises, c.test) for c in fields["claims"]] == [("strip", "KeyError", "s = f(1)\ns == 2")]


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ('{"groups": [["A", "C"], ["B"]]}', (("A", "C"), ("B",))),
        ('Sure:\n```json\n{"groups": [["C", "A"]]}\n```', (("C", "A"), ("B",))),
        ('{"groups": [["A", "B"], ["B", "C"]]}', (("A", "B"), ("C",))),
        ('{"groups": ["A, B", "C"]}', (("A", "B"), ("C",))),
        ("The groups are [A, C] and [B].", (("A", "C"), ("B",))),
    ],
)
def test_groups_are_read_and_a_letter_is_in_one_of_them(text: str, groups: tuple[tuple[str, ...], ...]) -> None:
    assert reading.read_groups(text, ("A", "B", "C")) == groups


@pytest.mark.parametrize("text", ["", "They all agree.", '{"groups": []}', '{"groups": [["X"]]}'])
def test_a_comparison_without_groups_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply):
        reading.read_groups(text, ("A", "B"))


def test_defects_are_read_with_whom_they_are_against() -> None:
    given = [
        {"candidate": "Argument 2", "claim": "it loses a row", "path": "a.py", "line": 3, "quote": "rows[:-1]"},
        {"candidate": 1, "claim": "no such call", "symbol": "read", "calls": "strip"},
        {"candidate": "argument 9", "claim": "nobody"},
        {"claim": "against nobody"},
        "a sentence",
    ]
    found = reading.read_defects(json.dumps({**GOOD, "defects": given}), ("argument 1", "argument 2"))
    assert [(label, claim.text, claim.line, claim.calls) for label, claim in found] == [
        ("argument 2", "it loses a row", 3, ""),
        ("argument 1", "no such call", 0, "strip"),
    ]
    assert reading.read_defects("I hold nothing against them.", ("argument 1",)) == ()


DIFF = "--- a/src/parser.py\n+++ b/src/parser.py\n@@ -1,2 +1,2 @@\n def read(x):\n-    return x[:-1]\n+    return x\n"
SOURCE = b"def read(x):\n    return x[:-1]\n"
FIXED = b"def read(x):\n    return x\n"
BLOCK = "<<<<<<< SEARCH\ndef read(x):\n    return x[:-1]\n=======\ndef read(x):\n    return x\n>>>>>>> REPLACE"
SAID = "The slice drops the last line of the file."


def applied(fields: dict[str, Any]) -> dict[str, bytes | None]:
    return apply(fields["patch"], {"src/parser.py": SOURCE}.get).files


@pytest.mark.parametrize(
    "text",
    [
        f"{SAID}\n\n```diff\n{DIFF}```\nThat is all.",
        f"{SAID}\n\n```\n{DIFF}```\n",
        json.dumps({"position": SAID, "answer": f"Apply:\n```diff\n{DIFF}```"}),
        json.dumps({"position": SAID, "answer": "Apply it.", "patch": DIFF}),
        json.dumps({"position": SAID, "answer": "Apply it.", "patch": f"src/parser.py\n{BLOCK}"}),
        f"{SAID}\n\nsrc/parser.py\n```python\n{BLOCK}\n```\n",
        f"{SAID}\n\n**File: `src/parser.py`**\n\n{BLOCK}\n",
        json.dumps({"position": SAID, "answer": f"Change this:\n\n```\nsrc/parser.py\n{BLOCK}\n```"}),
    ],
)
def test_a_change_is_a_patch_wherever_it_stands_and_it_applies(text: str) -> None:
    assert applied(reading.read_opinion(text, WORDS)) == {"src/parser.py": FIXED}


@pytest.mark.parametrize(
    "shown",
    [
        BLOCK,
        f"src/parser.py\nThe function there:\n{BLOCK}",
        f"src/parser.py\n{BLOCK.removesuffix('>>>>>>> REPLACE')}",
        "```diff\n-    return x[:-1]\n+    return x\n```",
        "```diff\n@@ -1,2 +1,2 @@\n def read(x):\n-    return x[:-1]\n+    return x\n```",
        f"```diff\n{DIFF}",
        "```python\nprint(1)\n```",
        "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main",
    ],
    ids=["no file", "prose between", "cut off", "no header", "no file in a hunk", "open fence", "code", "conflict"],
)
def test_a_change_that_names_no_file_or_has_no_end_is_no_patch(shown: str) -> None:
    assert not reading.read_opinion(f"{SAID}\n\n{shown}\n", WORDS)["patch"]


def test_several_blocks_change_several_places_and_an_empty_search_makes_a_file() -> None:
    text = (
        f"{SAID}\n\nsrc/parser.py\n{BLOCK}\n\ntests/new.py\n<<<<<<< SEARCH\n=======\nX = 1\n>>>>>>> REPLACE\n\n"
        "src/parser.py\n<<<<<<< SEARCH\nA = 1\n=======\nA = 2\n>>>>>>> REPLACE\n"
    )
    patch = reading.read_opinion(text, WORDS)["patch"]
    source = {"src/parser.py": SOURCE + b"\nA = 1\n"}
    assert apply(patch, source.get).files == {"src/parser.py": FIXED + b"\nA = 2\n", "tests/new.py": b"X = 1\n"}


@pytest.mark.parametrize(
    "piece",
    [
        "a.py\n",
        "<<<<<<< SEARCH\n",
        f"a.py\n{BLOCK}\n",
        "```diff\n",
        "--- a\n",
        "a/",
        "`*_ ",
        "file: ",
        "a.py " * 50 + "\n",
        "\n",
    ],
)
def test_hostile_text_is_searched_for_patches_in_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece) + 1)
        began = time.process_time()
        patch_in(text)
        patch_in(f"a.py\n<<<<<<< SEARCH\n{text}=======\n{text}>>>>>>> REPLACE\n")
        return time.process_time() - began

    seconds(1_000)
    # Quadratic time would take 400 times as long for 20 times the text.
    assert seconds(100_000) < 100 * max(seconds(5_000), 0.005)
