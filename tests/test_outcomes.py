"""What became of a solution: how it is marked, kept by many processes, told, and turned into a label."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import TextContent
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.cli.arguments import OUTCOMES
from orchestra_mcp.council.labels import label_of, noted
from orchestra_mcp.errors import UserError
from orchestra_mcp.report import transcript
from orchestra_mcp.store import open_store
from orchestra_mcp.store.migrations import MIGRATIONS, statements
from orchestra_mcp.tools.server import build_server
from orchestra_mcp.types import (
    Agreement,
    Ballot,
    Consultation,
    Label,
    Opinion,
    OutcomeName,
    Question,
    Solution,
    Status,
    Verdict,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def solution(rank: int, *seats: str) -> Solution:
    return Solution(rank=rank, position=f"P{rank}", answer=f"A{rank}", score=1, probability=0.5, seats=seats)


def opinion(seat: str, model_id: str = "", **more: Any) -> Opinion:
    return Opinion(seat=seat, model_id=model_id, position="p", answer="a", **more)


def consultation(*solutions: Solution, status: Status = "complete", **more: Any) -> Consultation:
    verdict = Verdict(
        id="c1", question="Why?", mode="debug", domain="python", headline="h", answer="a", solutions=solutions,
        agreement=Agreement(evidence="executed"), features=(0.6, 0.2, 0.7),
    )  # fmt: skip
    known: dict[str, Any] = {"verdict": verdict, **more}
    return Consultation(id="c1", thread="c1", question=Question(text="Why?"), status=status, started=NOON, **known)


THREE = consultation(
    solution(1, "ada", "bob"),
    solution(2, "eve"),
    solution(3, "walker"),
    opinions=(
        opinion("ada", "gpt-4o", model="gpt-4o-2024-05-13"),
        opinion("bob", model="llama-3-70b"),
        opinion("eve"),
        opinion("walker", kind="resident", model="ignored"),
    ),
    ballots=(
        Ballot(judge="ada", shown=("bob", "eve"), ranking=("eve", "bob", "walker", "gone", "ada"), model_id="gpt-4o"),
        Ballot(judge="bob", shown=("ada", "eve"), ranking=("ada",)),
        Ballot(judge="eve", shown=("ada", "walker"), ranking=("walker", "ada", "bob")),
    ),
)


# --------------------------------------------------------------------------------------- from marks to a label


def test_a_label_names_models_by_the_vendors_id_else_by_the_best_name_there_is() -> None:
    label = label_of(THREE, ((2, "worked"),))
    assert label.clusters == (("gpt-4o", "llama-3-70b"), ("eve",), ("walker",))
    assert (label.right, label.wrong, label.weight) == (1, (), 1.0)
    assert (label.consultation, label.mode, label.domain, label.source) == ("c1", "debug", "python", "user")
    assert (label.evidence, label.features) == ("executed", (0.6, 0.2, 0.7))


def test_ballots_become_orders_of_solutions_and_those_that_compare_nothing_are_left_out() -> None:
    label = label_of(THREE, ((1, "worked"),))
    assert label.rankings == (("gpt-4o", (1, 0, 2)), ("eve", (2, 0)))


@pytest.mark.parametrize(
    ("marks", "right", "wrong", "weight", "told"),
    [
        ([(1, "worked")], 0, (), 1.0, "solution 1 worked"),
        ([(3, "partly")], 2, (), 0.5, "solution 3 partly worked"),
        ([(1, "wrong")], None, (0,), 1.0, "solution 1 was wrong"),
        ([(1, "wrong"), (2, "worked")], 1, (0,), 1.0, "solution 1 was wrong, solution 2 worked"),
        ([(2, "worked"), (1, "wrong")], 1, (0,), 1.0, "solution 1 was wrong, solution 2 worked"),
        ([(3, "wrong"), (1, "wrong")], None, (0, 2), 1.0, "solution 1 was wrong, solution 3 was wrong"),
        ([(1, "partly"), (2, "worked")], 1, (), 1.0, "solution 2 worked"),
        ([(1, "wrong"), (3, "partly")], 2, (0,), 0.5, "solution 1 was wrong, solution 3 partly worked"),
    ],
)
def test_several_marks_make_one_label(
    marks: list[tuple[int, OutcomeName]], right: int | None, wrong: tuple[int, ...], weight: float, told: str
) -> None:
    label = label_of(THREE, marks)
    assert (label.right, label.wrong, label.weight, label.told) == (right, wrong, weight, told)


def test_when_two_solutions_worked_the_experts_of_both_were_right() -> None:
    label = label_of(THREE, ((3, "worked"), (1, "worked")))
    assert label.right == 0
    assert label.clusters == (("gpt-4o", "llama-3-70b", "walker"), ("eve",), ())


def test_a_model_that_sits_twice_in_one_solution_is_counted_once() -> None:
    twice = consultation(solution(1, "a", "b"), opinions=(opinion("a", "m"), opinion("b", "m")))
    assert label_of(twice, ((1, "worked"),)).clusters == (("m",),)


@pytest.mark.parametrize(
    ("kept", "rank", "says"),
    [
        (consultation(solution(1, "a"), status="running", verdict=None), 1, r"still running.*wait_s"),
        (consultation(), 1, "without a solution.*consultation_id=c1"),
        (consultation(status="interrupted", verdict=None), 1, "interrupted.*nothing to mark"),
        (THREE, 4, "no solution 4; it has solutions 1 to 3"),
        (THREE, 0, "no solution 0"),
        (consultation(solution(1, "a")), 2, "only solution 1"),
    ],
)
def test_what_cannot_be_marked_is_refused_with_the_way_out(kept: Consultation, rank: int, says: str) -> None:
    with pytest.raises(UserError, match=says):
        label_of(kept, ((rank, "worked"),))


def test_who_made_a_mark_is_told_what_was_learned_from_it() -> None:
    worked = label_of(THREE, ((2, "worked"),))
    assert noted(worked, "worked", 2) == (
        "Noted: solution 2 worked. eve count as right about debug/python, gpt-4o, llama-3-70b, walker as not."
    )
    wrong = label_of(THREE, ((1, "wrong"),))
    assert noted(wrong, "wrong", 1) == (
        "Noted: solution 1 was wrong. gpt-4o, llama-3-70b count as not right about debug/python. If another solution "
        "worked, mark that one too."
    )
    both = label_of(THREE, ((1, "wrong"), (3, "partly")))
    assert noted(both, "partly", 3) == (
        "Noted: solution 3 partly worked. Known so far: solution 1 was wrong, solution 3 partly worked. walker count "
        "by half as right about debug/python, gpt-4o, llama-3-70b, eve as not."
    )


MARKS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(get_args(OutcomeName))), max_size=5)


@given(MARKS)
def test_no_solution_is_both_right_and_wrong_and_nobody_is_lost(marks: list[tuple[int, OutcomeName]]) -> None:
    label = label_of(THREE, marks)
    assert label.right not in label.wrong
    assert sorted(id for ids in label.clusters for id in ids) == ["eve", "gpt-4o", "llama-3-70b", "walker"]
    assert label == label_of(THREE, marks[::-1]).model_copy(update={"at": label.at})
    if label.right is not None:
        assert label.clusters[label.right]
        assert (label.right + 1, "worked" if label.weight == 1 else "partly") in marks


# ---------------------------------------------------------------------------------------- many processes, old data

MARKER = """
import sys
from pathlib import Path
import anyio
from orchestra_mcp.store import open_store
from orchestra_mcp.types import Label

async def main(home, number):
    async with open_store(Path(home)) as store:
        for turn in range(10):
            for solution in (number, 9):
                label = Label(consultation="c1", clusters=tuple((f"m{n}",) for n in range(1, 10)))
                await store.mark(label, "worked" if turn == 9 and solution == 3 else "wrong", solution)
        print("marked")

print("ready", flush=True)
sys.stdin.readline()
anyio.run(main, sys.argv[1], int(sys.argv[2]))
"""


def let_children_mark(home: Path) -> None:
    """Four processes that mark solutions of c1 at the same time, each its own and one in common."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MARKER, str(home), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(1, 5)
    ]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        said, _ = child.communicate(timeout=60)
        assert (said, child.returncode) == ("marked\n", 0)


async def test_marks_of_many_processes_at_once_make_one_label_and_none_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_store(home) as store:
        await store.begin("c1", Question(text="Why?"), "c1")
        let_children_mark(home)
        [label] = await store.labels()
    assert (label.right, label.wrong) == (2, (0, 1, 3, 8))


async def test_a_database_of_the_first_version_is_brought_up_to_date_and_can_be_marked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_store(home) as store:  # the directories and files, as they are made
        await store.list()
    (home / "orchestra.db").unlink()
    connection = sqlite3.connect(home / "orchestra.db", isolation_level=None)
    for statement in statements(MIGRATIONS[0]):
        connection.execute(statement)
    question, verdict = Question(text="Why?"), consultation(solution(1, "a"), solution(2, "b")).verdict
    assert verdict
    row = (
        "old",
        "old",
        "",
        "consult",
        "auto",
        "complete",
        1,
        2,
        "",
        0.5,
        "",
        "Why?",
        question.model_dump_json(),
        verdict.model_dump_json(),
    )
    connection.execute(f"INSERT INTO consultations VALUES ({', '.join('?' * len(row))})", row)
    ballot = Ballot(judge="a", shown=("a", "b"), ranking=("b", "a")).model_dump_json()
    connection.execute("INSERT INTO entries VALUES ('old', 1, 'ballot', 'a', 1, ?)", (ballot,))
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    async with open_store(home) as store:
        kept = await store.get("old")
        label = await store.mark(label_of(kept, ((2, "worked"),)), "worked", 2)
        assert label.rankings == (("a", (1, 0)),)
        assert (await store.labels())[0].right == 1
        assert [b.judge for b in (await store.recent_ballots())[0]] == ["a"]


async def test_finding_recent_ballots_reads_no_row_that_is_not_one(tmp_path: Path) -> None:
    from orchestra_mcp.store.lookup import BALLOTS

    async with open_store(tmp_path / "home") as store:
        await store.list()
        connection = sqlite3.connect(tmp_path / "home" / "orchestra.db")
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {BALLOTS}", (400,))]
        connection.close()
    entries = [step for step in plan if re.search(r"\bentries\b", step)]
    assert len(entries) == 2
    assert all("entries_of_ballots" in step for step in entries), plan


def test_the_transcript_shows_each_mark() -> None:
    made: list[tuple[int, OutcomeName]] = [(1, "wrong"), (2, "worked")]
    marks = tuple(
        label_of(THREE, (mark,)).model_copy(update={"at": NOON + timedelta(days=day)}) for day, mark in enumerate(made)
    )
    shown = transcript(THREE.model_copy(update={"labels": marks}))
    assert "**Marked:** solution 1 was wrong (user, 2026-03-01)." in shown
    assert "**Marked:** solution 2 worked (user, 2026-03-02)." in shown
    assert "**Marked" not in transcript(THREE)


# --------------------------------------------------------------------------------------------- through the doors


@pytest.fixture
def council(environ: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with two scripted experts that disagree."""
    experts = {
        "ada": Expert(expert("the last line is cut off")),
        "bob": Expert(expert("the file is opened in the wrong encoding")),
    }
    with Upstream(experts) as upstream:
        file = tmp_path / "orchestra.toml"
        file.write_text(f"discover = false\n{upstream.models_toml()}")
        yield {**environ, "ORCHESTRA_CONFIG": str(file)}


async def marked(client: Client, **arguments: Any) -> tuple[str, bool]:
    result = await client.call_tool("mark_outcome", arguments)
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text, bool(result.is_error)


async def test_a_client_marks_outcomes_and_the_last_word_counts(council: dict[str, str], repo: Path) -> None:
    async with Client(build_server(council), mode="legacy") as client:
        text, failed = await marked(client, outcome="worked")
        assert failed
        assert "no consultation" in text
        asked = await client.call_tool(
            "consult_expert_council", {"question": "Why is the last line lost?", "project_dir": str(repo)}
        )
        assert isinstance(asked.structured_content, dict)
        id = asked.structured_content["consultation_id"]
        text, failed = await marked(client, outcome="WRONG")
        assert not failed
        assert text.startswith("Noted: solution 1 was wrong.")
        text, _ = await marked(client, id=id, solution=2, outcome="worked")
        assert "Known so far: solution 1 was wrong, solution 2 worked." in text
        text, _ = await marked(client, id=id[:8], solution=1, outcome="partly")
        assert text.startswith("Noted: solution 1 partly worked.")
        text, failed = await marked(client, id=id, solution=99, outcome="worked")
        assert failed
        assert "no solution 99" in text
        text, failed = await marked(client, id=id, outcome="splendid")
        assert failed
        assert "worked, partly, wrong" in text
        text, failed = await marked(client, id="nothing-like-it", outcome="worked")
        assert failed
        assert id in text
    async with open_store(Path(council["ORCHESTRA_HOME"])) as store:
        [label] = await store.labels()
        assert (label.right, label.wrong) == (1, ())
        assert [mark.told for mark in (await store.get(id)).labels] == [
            "solution 2 worked",
            "solution 1 partly worked",
        ]


async def test_the_tool_says_that_it_writes_and_may_be_repeated(environ: dict[str, str]) -> None:
    async with Client(build_server(environ), mode="legacy") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    hints = tools["mark_outcome"].annotations
    assert hints
    assert (hints.read_only_hint, hints.idempotent_hint, hints.destructive_hint, hints.open_world_hint) == (
        False, True, False, False,
    )  # fmt: skip
    assert all(
        tool.annotations and tool.annotations.read_only_hint for name, tool in tools.items() if name != "mark_outcome"
    )
    schema = tools["mark_outcome"].input_schema
    assert schema["required"] == ["outcome"]
    assert schema["properties"]["outcome"]["enum"] == list(get_args(OutcomeName))


def run(repo: Path, environ: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = str(Path(sys.executable).parent / "orchestra")
    return subprocess.run(
        [command, *args], cwd=repo, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=90, check=False
    )  # fmt: skip


def test_the_command_line_marks_outcomes_and_shows_them(council: dict[str, str], repo: Path) -> None:
    asked = run(repo, council, "ask", "Why is the last line lost?", "--yes", "--json")
    assert asked.returncode == 0, asked.stderr
    id = json.loads(asked.stdout)["id"]
    done = run(repo, council, "outcome", "wrong")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Noted: solution 1 was wrong.")
    done = run(repo, council, "outcome", id[:8], "worked", "--solution", "2", "--json")
    label = json.loads(done.stdout)
    assert (label["consultation"], label["right"], label["wrong"]) == (id, 1, [0])
    assert label["clusters"][1]
    shown = run(repo, council, "show", id, "--detail", "full").stdout
    assert "solution 1 was wrong (user" in shown
    assert "solution 2 worked (user" in shown
    refused = run(repo, council, "outcome", id, "worked", "--solution", "9")
    assert refused.returncode == 1
    assert "no solution 9" in refused.stderr
    assert run(repo, council, "outcome", "splendid").returncode == 2


def test_the_choices_of_the_command_are_those_of_the_noun() -> None:
    assert get_args(OutcomeName) == OUTCOMES


def test_a_label_that_is_told_as_json_is_read_back() -> None:
    label = label_of(THREE, ((1, "worked"),))
    assert Label.model_validate_json(label.model_dump_json()) == label
