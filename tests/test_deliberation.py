"""How deep a council goes and what moves its order: over real HTTP to scripted experts whose minds are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import git
from scripting import expert, kind_of
from test_council import HERE, SAME, question
from upstream import Expert

from orchestra_mcp.report import verdict_report
from orchestra_mcp.types import Verdict

ELSEWHERE = {"claim": "splits on newlines", "path": "src/parser.py", "line": 6, "quote": 'file.read().split("\\n")'}


def priced(toml: str, prices: Mapping[str, float], priors: Mapping[str, float]) -> str:
    """The experts of a configuration as paid ones, with priors of their own."""
    for name, usd in prices.items():
        row = f'input_usd_per_mtok = {usd}\noutput_usd_per_mtok = {usd}\nprior = {priors[name]}\nprovider = "acme"\n'
        toml = toml.replace(f'[models."{name}"]\n', f'[models."{name}"]\n{row}')
    return f'[privacy]\nallow = ["*"]\n{toml}'


async def ask(
    experts: Mapping[str, Expert],
    environ: dict[str, str],
    tmp_path: Path,
    repo: Path | None,
    prices: Mapping[str, float] | None = None,
    priors: Mapping[str, float] | None = None,
    config: str = "",
    **more: object,
) -> tuple[Verdict, list[tuple[str, str]]]:
    """The verdict, and who was asked for what."""
    from upstream import Upstream

    from orchestra_mcp.app import Orchestra

    with Upstream(dict(experts)) as upstream:
        toml = upstream.models_toml()
        if prices:
            toml = priced(toml, prices, priors or dict.fromkeys(prices, 0.7))
        file = tmp_path / "orchestra.toml"
        file.write_text(config + toml)
        async with Orchestra.open({**environ, "ORCHESTRA_CONFIG": str(file)}) as orchestra:
            verdict = await orchestra.ask(question(repo, **more))  # type: ignore[arg-type]
        return verdict, [(call.expert, kind_of(call.prompt)) for call in upstream.calls]


THREE = {"cheap": 0.1, "middle": 1.0, "dear": 10.0}
SKILLS = {"cheap": 0.66, "middle": 0.68, "dear": 0.74}


async def test_the_cheapest_good_pair_opens_and_agreement_ends_it(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    experts = {name: Expert(expert(SAME, [HERE])) for name in THREE}
    verdict, calls = await ask(experts, environ, tmp_path, repo, THREE, SKILLS)
    assert {seat for seat, kind in calls if kind == "opinion"} == {"cheap", "middle"}
    assert "for a quarter of the best expert's price" in verdict.seating
    assert "agree" in verdict.stopped


async def test_an_opener_far_below_the_best_is_passed_over(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    experts = {name: Expert(expert(SAME, [HERE])) for name in THREE}
    _, calls = await ask(experts, environ, tmp_path, repo, THREE, {**SKILLS, "cheap": 0.5})
    assert {seat for seat, kind in calls if kind == "opinion"} == {"middle", "dear"}


async def test_disagreement_asks_the_strongest_seat_that_was_not_asked(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    experts = {
        "cheap": Expert(expert("the file handle leaks")),
        "middle": Expert(expert(SAME, [HERE])),
        "dear": Expert(expert(SAME, [HERE])),
    }
    verdict, calls = await ask(experts, environ, tmp_path, repo, THREE, SKILLS)
    opinions = [seat for seat, kind in calls if kind == "opinion"]
    assert set(opinions[:2]) == {"cheap", "middle"}
    assert opinions[2:] == ["dear"]
    assert verdict.solutions[0].position == SAME


async def test_a_further_expert_who_costs_more_than_he_can_add_is_not_asked(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    experts = {
        "cheap": Expert(expert("the file handle leaks")),
        "middle": Expert(expert(SAME, [HERE])),
        "dear": Expert(expert(SAME, [HERE])),
    }
    # 1,000 $/Mtok: more than a dollar for one answer, against .15 of a right answer that is worth two dollars.
    prices = {"cheap": 0.1, "middle": 0.1, "dear": 1000.0}
    verdict, calls = await ask(experts, environ, tmp_path, repo, prices, SKILLS)
    assert "dear" not in {seat for seat, kind in calls if kind == "opinion"}
    assert "would cost" in verdict.stopped


async def test_in_a_hurry_the_next_seat_starts_with_the_openers_and_stops_when_they_agree(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    # Slow enough that the third call has been sent by the time the two agree, which else might not be sent at all.
    experts = {
        "cheap": Expert(expert(SAME, [HERE]), latency_s=0.5),
        "middle": Expert(expert(SAME, [HERE]), latency_s=0.5),
        "dear": Expert(expert(SAME, [HERE]), fault="hang"),
    }
    speed = '[council]\nprefer = "speed"\n'
    verdict, calls = await ask(experts, environ, tmp_path, repo, THREE, SKILLS, config=speed)
    assert ("dear", "opinion") in calls
    assert verdict.headline.startswith("2 of 2 experts answered")
    assert verdict.absent == ()
    assert verdict.status == "complete"


async def test_other_words_for_the_same_are_one_answer_after_one_cheap_call(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    one, two = "the slice cuts off the final row", "rows[:-1] loses the end of the file"
    experts = {
        "cheap": Expert(expert(one, alike=("slice", "rows"))),
        "middle": Expert(expert(two, alike=("slice", "rows"))),
        "dear": Expert(expert("it is the encoding")),
    }
    verdict, calls = await ask(experts, environ, tmp_path, repo, THREE, SKILLS)
    assert [call for call in calls if call[1] == "compare"] == [("cheap", "compare")]
    assert verdict.agreement.evidence == "entailed"
    assert set(verdict.solutions[0].seats) == {"cheap", "middle"}
    assert "dear" not in {seat for seat, kind in calls if kind == "opinion"}
    assert "in what their positions mean" in verdict.confidence_basis


async def test_a_comparison_that_fails_leaves_answers_apart_and_says_so(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    def mute(position: str) -> Expert:
        says = expert(position)
        return Expert(lambda prompt, call: "no idea" if kind_of(prompt) == "compare" else says(prompt, call))

    verdict, _ = await ask({"a": mute("cut the slice"), "b": mute("rows get lost")}, environ, tmp_path, repo)
    assert len(verdict.solutions) == 2
    assert any("could not be compared" in note for note in verdict.notes)


def program(body: str, position: str = "a loop") -> Expert:
    code = f"def total(rows):\n    {body}\n"
    return Expert(
        json.dumps({"position": position, "answer": f"So:\n\n```python\n{code}```\n", "inputs": ["total([5])"]})
    )


TASK = '''Complete this function:

```python
def total(rows):
    """The sum of the rows.

    >>> total([1, 2])
    3
    >>> total([])
    0
    """
```
'''


async def test_programs_are_run_and_what_they_do_decides(environ: dict[str, str], tmp_path: Path) -> None:
    experts = {
        "a": program("return max(rows)", "sum the rows"),
        "b": program("return sum(rows)", "sum the rows"),
        "c": program("value = 0\n    for row in rows:\n        value += row\n    return value", "add them up"),
    }
    verdict, calls = await ask(experts, environ, tmp_path, None, text=TASK)
    if any("not run" in note or "cannot be run" in note for note in verdict.notes):
        pytest.skip("this system has no sandbox for programs: Linux with Landlock and seccomp has")
    assert set(verdict.solutions[0].seats) == {"b", "c"}
    assert verdict.agreement.evidence == "executed"
    assert verdict.solutions[0].shown == "passes 2 of 2 of the question's own cases"
    assert "sum(rows)" in verdict.answer or "value += row" in verdict.answer
    assert verdict.chair == "", "code is picked as it stands"
    assert {kind for _, kind in calls} == {"opinion"}, "what has run needs no ballots"
    stance = next(s for s in verdict.matrix if s.seat == "a" and s.solution == 1)
    assert (stance.stance, stance.evidence) == ("contradicts", "executed")


async def test_openers_who_agree_on_what_fails_the_questions_own_cases_do_not_end_it(
    environ: dict[str, str], tmp_path: Path
) -> None:
    wrong = program("return max(rows, default=0)")
    experts = {"cheap": wrong, "middle": wrong, "dear": program("return sum(rows)")}
    verdict, calls = await ask(experts, environ, tmp_path, None, THREE, SKILLS, text=TASK)
    if any("programs of answers" in note.lower() for note in verdict.notes):
        pytest.skip("this system has no sandbox for programs: Linux with Landlock and seccomp has")
    assert ("dear", "opinion") in calls
    assert verdict.solutions[0].seats == ("dear",)


async def test_a_character_that_cannot_be_written_ends_neither_council_nor_store(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    half = Expert('{"position": "the operator \\ud800 in total is wrong", "answer": "It is the \\udfff operator."}')
    verdict, _ = await ask({"a": half, "b": Expert(expert("the slice drops it", [HERE]))}, environ, tmp_path, repo)
    assert "a" in verdict.answered
    verdict_report(verdict).encode("utf-8")


async def test_where_a_verify_command_is_allowed_its_tests_decide_and_are_learned_from(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    source = (repo / "src/parser.py").read_text()
    line = next(text for text in source.splitlines() if "[:-1]" in text)
    indent = line[: len(line) - len(line.lstrip())]
    fixed = f"{indent}return lines if lines[-1] else lines[:-1]"
    number = source.splitlines().index(line) + 1
    patch = f"--- a/src/parser.py\n+++ b/src/parser.py\n@@ -{number} +{number} @@\n-{line}\n+{fixed}\n"
    useless = f"--- a/src/parser.py\n+++ b/src/parser.py\n@@ -{number} +{number} @@\n-{line}\n+{line}  # fine\n"
    (repo / "check.py").write_text(
        "import sys\nsys.path.insert(0, 'src')\nfrom parser import read_lines\n"
        "open('rows.txt', 'w').write('a\\nb')\nassert read_lines('rows.txt') == ['a', 'b']\n"
    )
    experts = {
        "lone": Expert(expert("return the last line too", patch=patch)),
        "one": Expert(expert("the caller is wrong", patch=useless)),
        "two": Expert(expert("the caller is wrong", patch=useless)),
    }
    verify = f"[verify]\n{json.dumps(str(repo))} = {json.dumps(f'{sys.executable} check.py')}\n"
    before = git(repo, "status", "--porcelain")
    verdict, _ = await ask(experts, environ, tmp_path, repo, config=verify)
    assert verdict.solutions[0].seats == ("lone",), verdict_report(verdict, "full")
    assert verdict.solutions[0].shown == "its patch turns the failing tests green"
    assert verdict.solutions[1].shown == "with its patch the tests still fail (AssertionError)"
    assert "Tried: its patch turns the failing tests green" in verdict_report(verdict)
    assert git(repo, "status", "--porcelain") == before
    assert (repo / "src/parser.py").read_text() == source

    from orchestra_mcp.app import Orchestra

    async with Orchestra.open(environ) as orchestra:
        kept = await orchestra.consultation(verdict.id)
    assert {(label.right, label.wrong, label.source) for label in kept.labels} == {
        (0, (), "verify"),
        (None, (1,), "verify"),
    }


async def test_without_a_verify_command_nothing_of_the_project_is_run(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (repo / "orchestra.toml").write_text(f"[verify]\n{json.dumps(str(repo))} = 'touch mark'\n")
    patch = "--- a/src/parser.py\n+++ b/src/parser.py\n@@ -7 +7 @@\n-    return lines[:-1]\n+    return lines\n"
    experts = {name: Expert(expert("return all lines", patch=patch)) for name in "ab"}
    verdict, _ = await ask(experts, environ, tmp_path, repo)
    assert "turns" not in verdict.solutions[0].shown
    assert not (repo / "mark").exists()


async def test_a_reviewers_verified_defect_lowers_and_an_empty_accusation_does_not(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    proof: dict[str, object] = {**HERE, "candidate": "encoding", "claim": "the text is split before"}
    empty: dict[str, object] = {"candidate": "slice", "claim": "this is simply wrong"}
    experts = {
        "z": Expert(expert("it is the encoding", [HERE])),
        "b": Expert(expert("the slice drops it", [HERE], defects=[proof])),
        "c": Expert(expert("buy more memory", prefers="slice", defects=[proof, empty])),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo)
    held = {s.position: [d.check.outcome for d in s.defects if d.check] for s in verdict.solutions}
    assert "verified" in held["it is the encoding"]
    assert held["the slice drops it"] == ["unchecked"]
    assert verdict.solutions[0].position == "the slice drops it"
    assert "Held against it" in verdict_report(verdict)


async def test_what_one_critic_quotes_is_shown_and_does_not_count(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    lie: dict[str, object] = {**HERE, "candidate": "slice", "claim": "it breaks everything"}
    experts = {
        "z": Expert(expert("the slice drops it", [HERE])),
        "b": Expert(expert("it is the encoding", [HERE], prefers="slice", defects=[lie])),
        "c": Expert(expert("buy more memory", prefers="slice")),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo)
    assert verdict.solutions[0].position == "the slice drops it"
    assert [d.check.outcome for d in verdict.solutions[0].defects if d.check] == ["unchecked"]


async def test_a_revised_patch_is_not_credited_with_what_the_first_one_did(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (repo / "check.py").write_text(
        "import sys\nsys.path.insert(0, 'src')\nfrom parser import read_lines\n"
        "open('rows.txt', 'w').write('a\\nb')\nassert read_lines('rows.txt') == ['a', 'b']\n"
    )
    patch = "--- a/src/parser.py\n+++ b/src/parser.py\n@@ -7 +7 @@\n-    return lines[:-1]\n+    return {}\n"

    def says(prompt: str, call: int) -> str:
        value = "None" if "What you said last round" in prompt else "lines"
        return expert("return all lines", [HERE], patch=patch.format(value))(prompt, call)

    experts = {"a": Expert(says), "b": Expert(expert("the file is read twice"))}
    verify = f"[verify]\n{json.dumps(str(repo))} = {json.dumps(f'{sys.executable} check.py')}\n"
    verdict, _ = await ask(experts, environ, tmp_path, repo, config=verify, effort="deep")
    mine = next(s for s in verdict.solutions if s.position == "return all lines")
    assert ("return None" in mine.patch) == ("green" not in mine.shown), verdict_report(verdict, "full")


async def test_a_low_confidence_names_the_cheapest_check(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    experts = {
        "a": Expert(expert("it is the encoding", would_change_my_mind="an ASCII file that loses its last line")),
        "b": Expert(expert("the file handle leaks")),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo)
    assert verdict.confidence < 0.6
    assert "ASCII file" in verdict.next_check
    assert "Cheapest check" in verdict_report(verdict)


def sides(rounds: list[str], claims: list[list[dict[str, object]]] | None = None) -> Expert:
    """An expert that takes these sides, round by round."""
    turns = iter(range(len(rounds)))

    def says(prompt: str, call: int) -> str:
        if kind_of(prompt) == "chair":
            return json.dumps({"position": f"{rounds[0]}: so it is", "answer": "The ruling."})
        number = next(turns, len(rounds) - 1)
        return expert(f"{rounds[number]}: as I see it", (claims or [[]] * len(rounds))[number])(prompt, call)

    return Expert(says)


async def test_conformity_is_logged_and_moves_no_vote(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    experts = {
        "a": sides(["for", "for"], [[HERE], [HERE]]),
        "b": sides(["for", "for"], [[HERE], [HERE]]),
        "c": sides(["against", "for"]),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo, strategy="debate")
    assert [(s.seat, s.before, s.after, s.counted) for s in verdict.shifts] == [("c", "against", "for", False)]
    assert {s.position: set(s.seats) for s in verdict.solutions} == {"for": {"a", "b"}, "against": {"c"}}
    assert any("without new verified evidence" in note for note in verdict.notes)
    assert "Changed minds" in verdict_report(verdict)


async def test_new_verified_evidence_moves_a_vote_and_repeated_evidence_does_not(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    experts = {
        "a": sides(["for", "for"], [[HERE], [HERE]]),
        "b": sides(["against", "for"], [[], [ELSEWHERE]]),
        "c": sides(["against", "for"], [[], [HERE]]),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo, strategy="debate")
    assert {(s.seat, s.counted) for s in verdict.shifts} == {("b", True), ("c", False)}
    assert {s.position: set(s.seats) for s in verdict.solutions} == {"for": {"a", "b"}, "against": {"c"}}


async def test_agreement_from_the_start_is_tested_by_a_devils_advocate(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    experts = {name: sides(["for"] * 4) for name in "abc"}
    verdict, calls = await ask(experts, environ, tmp_path, repo, strategy="debate")
    assert any("devil's advocate" in note for note in verdict.notes)
    assert len([c for c in calls if c[1] == "opinion"]) == 7, "three, the advocate, three"
    assert {s.position: set(s.seats) for s in verdict.solutions} == {"for": set("abc")}
    assert verdict.shifts == ()


async def test_minds_that_move_in_circles_end_the_debate(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    experts = {
        "a": sides(["for", "against", "for", "against"]),
        "b": sides(["against", "against", "against", "against"]),
        "c": sides(["for", "for", "for", "for"]),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo, strategy="debate", rounds=6)
    assert "circles" in verdict.stopped
    assert verdict.rounds == 3
    assert {s.position: set(s.seats) for s in verdict.solutions} == {"for": {"a", "c"}, "against": {"b"}}


async def test_a_synthesis_that_points_at_what_nobody_has_shown_is_refused(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    def experts() -> dict[str, Expert]:
        lies = expert(SAME, [HERE], chair="Look at src/parser.py:7 and at lib/hidden.py:99, which is the cause.")
        return {"a": Expert(lies), "b": Expert(lies)}

    verdict, _ = await ask(experts(), environ, tmp_path, repo)
    assert verdict.chair == ""
    assert "hidden.py" not in verdict.answer
    assert "could not write the synthesis" in verdict.headline


async def test_a_deep_council_lets_the_leading_two_answer_the_critique(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    experts = {
        "a": Expert(expert("it is the encoding")),
        "b": Expert(expert("the slice drops it", [HERE])),
        "c": Expert(expert("buy more memory")),
    }
    verdict, _ = await ask(experts, environ, tmp_path, repo, effort="deep")
    assert verdict.effort == "deep"
    assert verdict.rounds == 2
    assert len(verdict.solutions) == 3
