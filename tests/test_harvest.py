"""What became of suggestions, learned from later commits and green tests, and the one question back."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio.lowlevel
import anyio.to_thread
import pytest
from conftest import git
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.app.outcomes import followup
from orchestra_mcp.app.outcomes.followup import asked_about, same_code, wording
from orchestra_mcp.app.outcomes.takenover import Made, Patch, Seen, Suggested, commits_of, commits_say, telling
from orchestra_mcp.gateway.provider import ASKING, Caller
from orchestra_mcp.report import verdict_report
from orchestra_mcp.store import open_store
from orchestra_mcp.types import Claim, Consultation, Dossier, Label, Place, Question, Solution, Verdict

ASKED = "Why does read_lines lose the last line of a file?"
FIXED = ["    if lines and not lines[-1]:", "        lines.pop()", "    return lines  # all of them"]
OTHER = ["    rows = [line for line in lines if line.strip()]", "    return rows  # blank ones are left out"]
SUM = """\
--- a/src/parser.py
+++ b/src/parser.py
@@ -12,1 +12,1 @@
-    return sum(int(line) for line in read_lines(path))
+    return sum(map(int, read_lines(path)))
"""
HERE = {"claim": "drops the last element", "path": "src/parser.py", "line": 7, "quote": "return lines[:-1]"}


def patch_of(lines: list[str], path: str = "src/parser.py") -> str:
    added = "".join(f"+{line}\n" for line in lines)
    return f"--- a/{path}\n+++ b/{path}\n@@ -7 +7,{len(lines)} @@\n-    return lines[:-1]\n{added}"


def fix(repo: Path, lines: list[str], message: str = "Keep the last line") -> str:
    """Put lines in place of the faulty one and commit; returns the commit's id."""
    file = repo / "src" / "parser.py"
    file.write_text(file.read_text().replace("    return lines[:-1]\n", "\n".join(lines) + "\n"))
    git(repo, "commit", "-qam", message)
    return git(repo, "rev-parse", "HEAD").strip()


@asynccontextmanager
async def council(
    experts: Mapping[str, Expert], environ: dict[str, str], tmp_path: Path, config: str = ""
) -> AsyncIterator[tuple[Orchestra, dict[str, str]]]:
    with Upstream(dict(experts)) as upstream:
        file = tmp_path / "orchestra.toml"
        file.write_text(f"discover = false\n{config}{upstream.models_toml()}")
        whole = {**environ, "ORCHESTRA_CONFIG": str(file)}
        async with Orchestra.open(whole) as orchestra:
            yield orchestra, whole


def two(first: list[str] = FIXED, second: list[str] = OTHER) -> dict[str, Expert]:
    return {
        "ada": Expert(expert("the slice drops the last line", [HERE], patch=patch_of(first))),
        "bob": Expert(expert("blank rows are the trouble", patch=patch_of(second))),
    }


def one() -> dict[str, Expert]:
    return {"ada": Expert(expert("the slice drops the last line", [HERE], patch=patch_of(FIXED)))}


async def labels(environ: dict[str, str]) -> tuple[Label, ...]:
    async with open_store(Path(environ["ORCHESTRA_HOME"])) as store:
        return await store.labels()


def question(repo: Path, text: str = ASKED, **more: object) -> Question:
    return Question.model_validate({"text": text, "project": str(repo), **more})


def rank_of(verdict: Verdict, seat: str) -> int:
    return next(solution.rank for solution in verdict.solutions if seat in solution.seats)


# ------------------------------------------------------------------------------------------------ from commits


async def test_lines_that_appear_in_a_later_commit_count_as_worked_by_half(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        verdict = await orchestra.ask(question(repo))
        fix(repo, FIXED)
        found = await orchestra.experts(str(repo))
        [label] = await labels(environ)
        kept = await orchestra.consultation(verdict.id)
    assert (label.source, label.right, label.wrong) == ("commit", rank_of(verdict, "ada") - 1, ())
    assert label.told == f"solution {rank_of(verdict, 'ada')} worked"
    assert [mark.source for mark in kept.labels] == ["commit"]
    right = {record.seats[0]: record.records[0].right for record in found if record.seats}
    cases = {record.seats[0]: record.records[0].cases for record in found if record.seats}
    assert right["ada"] == pytest.approx(0.5, abs=1e-3)
    assert right["bob"] == 0
    assert cases["bob"] in (pytest.approx(0.25, abs=1e-3), pytest.approx(0.5, abs=1e-3))


async def test_one_commit_speaks_for_one_council_however_often_it_was_asked(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        await orchestra.ask(question(repo))
        newest = await orchestra.ask(question(repo, "Once more: why is the last line lost?"))
        fix(repo, FIXED)
        await orchestra.experts(str(repo))
        assert [label.consultation for label in await labels(environ)] == [newest.id]
        git(repo, "commit", "-q", "--allow-empty", "-m", "Nothing")
        await orchestra.experts(str(repo))
        assert [label.consultation for label in await labels(environ)] == [newest.id]


async def test_the_next_consultation_looks_at_the_commits_by_itself(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        first = await orchestra.ask(question(repo))
        fix(repo, FIXED)
        await orchestra.ask(question(repo, "And is total right now?"))
        found = await labels(environ)
        with anyio.fail_after(20):
            while not found:  # it looks in the background
                await anyio.lowlevel.checkpoint()
                found = await labels(environ)
    assert [(label.consultation, label.source) for label in found] == [(first.id, "commit")]


async def test_nothing_is_learned_from_silence_other_lines_or_what_was_there_before(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        await orchestra.ask(question(repo))
        await orchestra.experts(str(repo))
        assert await labels(environ) == ()
        fix(repo, ["    return list(lines)", "    # as it was read"])
        await orchestra.experts(str(repo))
        assert await labels(environ) == ()
        # Only in the tree, not committed: nobody said yet that it is good.
        (repo / "src" / "parser.py").write_text("\n".join(FIXED))
        await orchestra.experts(str(repo))
        assert await labels(environ) == ()


def amend_long_ago(repo: Path) -> None:
    """Date the last commit back."""
    who = {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_NOSYSTEM": "1"}
    environ = {**os.environ, **who, "HOME": str(repo), "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}
    subprocess.run(["git", "commit", "-q", "--amend", "--no-edit"], cwd=repo, env=environ, check=True)


async def test_what_had_been_committed_before_the_question_is_no_sign(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    git(repo, "checkout", "-qb", "fixed")
    fix(repo, FIXED)
    amend_long_ago(repo)
    git(repo, "checkout", "-q", "main")
    async with council(two(), environ, tmp_path) as (orchestra, _):
        await orchestra.ask(question(repo))
        git(repo, "merge", "-q", "fixed")
        await orchestra.experts(str(repo))
    assert await labels(environ) == ()


async def test_a_revert_takes_it_back_and_the_users_word_always_wins(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        verdict = await orchestra.ask(question(repo))
        fix(repo, FIXED)
        await orchestra.experts(str(repo))
        assert len(await labels(environ)) == 1
        git(repo, "revert", "--no-edit", "HEAD")
        await orchestra.experts(str(repo))
        assert await labels(environ) == ()
        await orchestra.mark(verdict.id, rank_of(verdict, "ada"), "wrong")
        [label] = await labels(environ)
    assert (label.source, label.right, label.wrong) == ("user", None, (rank_of(verdict, "ada") - 1,))


async def test_after_the_users_word_commits_say_nothing(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        verdict = await orchestra.ask(question(repo))
        fix(repo, FIXED)
        await orchestra.experts(str(repo))
        await orchestra.mark(verdict.id, rank_of(verdict, "bob"), "worked")
        [label] = await labels(environ)
        await orchestra.experts(str(repo))
        assert await labels(environ) == (label,)
    assert (label.source, label.right, label.weight) == ("user", rank_of(verdict, "bob") - 1, 1.0)


async def test_the_setting_turns_it_off(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    async with council(two(), environ, tmp_path, "[memory]\nlearn_from_commits = false\n") as (orchestra, _):
        await orchestra.ask(question(repo))
        fix(repo, FIXED)
        await orchestra.experts(str(repo))
        await orchestra.status(str(repo))
    assert await labels(environ) == ()


CHILD = """
import sys, anyio
from orchestra_mcp.app import Orchestra

async def main(project):
    async with Orchestra.open() as orchestra:
        await orchestra.experts(project)
    print("done")

anyio.run(main, sys.argv[1])
"""


def run_all(count: int, script: str, repo: Path, environ: dict[str, str]) -> list[str]:
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(repo)], env=environ, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    return [child.communicate(timeout=60)[0].strip() for child in children]


async def in_processes(count: int, script: str, repo: Path, environ: dict[str, str]) -> list[str]:
    """What processes print that run a script on a project at the same time."""
    return await anyio.to_thread.run_sync(run_all, count, script, repo, environ)


async def test_many_processes_that_find_the_same_make_one_mark(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, whole):
        await orchestra.ask(question(repo))
        fix(repo, FIXED)
        assert await in_processes(2, CHILD, repo, whole) == ["done"] * 2
        [label] = await labels(environ)
        kept = await orchestra.consultation(label.consultation)
    assert len(kept.labels) == 1


# ---------------------------------------------------------------------------------------------- which lines decide

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lines_of(*lines: str) -> dict[str, frozenset[str]]:
    return {"a.py": frozenset(lines)}


def case(*patches: tuple[str, ...]) -> Suggested:
    made = {rank: (Patch(lines_of(*lines), {}),) for rank, lines in enumerate(patches, 1)}
    return Suggested(id="c", started=START, base="abcdef1", patches=made)


def commit(*lines: str, now: tuple[str, ...] | None = None, before: tuple[str, ...] = ()) -> Seen:
    there = lines if now is None else now
    return Seen(lines_of(*before), lines_of(*there), (Made("1" * 40, "Fix", lines_of(*lines), {}),))


LONG = "value = compute_the_total(of_all, the_rows_there_are)"


@pytest.mark.parametrize(
    ("patches", "seen", "taken"),
    [
        ([("a = 1", "b = 2")], commit("a = 1", "b = 2", "c = 3"), {1}),
        ([("a = 1",)], commit("a = 1"), set()),  # one short line says little
        ([(LONG,)], commit(LONG), {1}),
        ([("a = 1", "b = 2", "c = 3", "d = 4", "e = 5")], commit("a = 1", "b = 2", "c = 3", "d = 4"), {1}),  # 80 %
        ([("a = 1", "b = 2", "c = 3", "d = 4")], commit("a = 1", "b = 2", "c = 3"), set()),  # 75 %
        ([("a = 1", "b = 2")], commit("a = 1", "b = 2", now=()), set()),  # gone again
        ([("a = 1", "b = 2")], commit("a = 1", "b = 2", before=("b = 2",)), set()),  # one of them was there
        ([("a = 1", "b = 2"), ("a = 1", "b = 2")], commit("a = 1", "b = 2"), set()),  # nothing tells them apart
        ([("a = 1", "b = 2"), ("a = 1", "b = 2", LONG)], commit("a = 1", "b = 2", LONG), {2}),
        ([("a = 1", "b = 2"), ("a = 1", "b = 2", LONG)], commit("a = 1", "b = 2"), {1}),
        # 4 of 5 lines of the second are there, but the one that only it has is not.
        ([("a = 1", "b = 2", "c = 3", "d = 4", "x = 0"), ("a = 1", "b = 2", "c = 3", "d = 4", "x = 9")],
         commit("a = 1", "b = 2", "c = 3", "d = 4", "x = 0"), {1}),
    ],
)  # fmt: skip
def test_lines_decide_as_far_as_they_tell_solutions_apart(
    patches: list[tuple[str, ...]], seen: Seen, taken: set[int]
) -> None:
    assert commits_say(case(*patches), seen) == dict.fromkeys(taken, "taken")


def test_lines_of_brackets_imports_and_bare_keywords_do_not_count_and_white_space_does_not_matter() -> None:
    lines = ["", "  }", "});", "else:", "} else {", "return None", "import os", "from a import b", "#include <x.h>",
             "const x = require('y');", "use std::fmt;", "  x  =\t1", "pass_on(x)", "token = «redacted:key-1»"]  # fmt: skip
    assert list(telling(lines)) == ["x = 1", "pass_on(x)"]


def test_a_log_is_read_commit_by_commit_and_older_ones_are_left_out() -> None:
    diff = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old = 1\n+new = 1\n"
    at = int(START.timestamp())
    log = f"MARK{at - 1} {'a' * 40}\0Before\n\0\n\n{diff}\nMARK{at} {'b' * 40}\0After\n\0\n\n{diff}"
    [made] = commits_of(log, "MARK", START)
    assert (made.id, made.added, made.removed) == ("b" * 40, lines_of("new = 1"), lines_of("old = 1"))


# ------------------------------------------------------------------------------------------------- from the tests


async def test_tests_that_are_green_later_with_the_patch_in_the_tree_tell_that_it_led_there(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (repo / "check.py").write_text(
        "import sys\nsys.path.insert(0, 'src')\nfrom parser import read_lines, total\n"
        "open('rows.txt', 'w').write('a\\nb')\nassert read_lines('rows.txt') == ['a', 'b']\nassert total\n"
        "assert open('ready.txt').read() == 'yes'\n"
    )
    (repo / "ready.txt").write_text("no")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "Add the check")
    verify = f"[verify]\n{json.dumps(str(repo))} = {json.dumps(f'{sys.executable} -B check.py')}\n"
    quiet = "[memory]\nlearn_from_commits = false\n"
    early, late = expert("the slice", [HERE], patch=patch_of(FIXED)), expert("the sum", patch=SUM)
    says = {"ada": Expert(lambda prompt, call: (late if "quicker" in prompt else early)(prompt, call))}
    async with council(says, environ, tmp_path, verify + quiet) as (orchestra, _):
        first = await orchestra.ask(question(repo))
        solution = next(s for s in first.solutions if "ada" in s.seats)
        assert solution.shown.startswith("with its patch the tests still fail")
        assert await labels(environ) == ()  # they fail with every patch: that says nothing
        fix(repo, FIXED)
        (repo / "ready.txt").write_text("yes")
        git(repo, "commit", "-qam", "Ready")
        second = await orchestra.ask(question(repo, "Can total be quicker?"))
        found = {label.consultation: label for label in await labels(environ)}
    assert second.solutions
    label = found[first.id]
    assert (label.source, label.right, label.weight) == ("verify", solution.rank - 1, 0.5)


# ------------------------------------------------------------------------------------------------ the question back


@pytest.fixture
def no_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what has only just ended is asked about."""
    monkeypatch.setattr(followup, "QUIET", timedelta(0))


async def test_what_has_only_just_ended_is_not_asked_about_yet(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(one(), environ, tmp_path) as (orchestra, _):
        first = await orchestra.ask(question(repo))
        assert (await orchestra.ask(question(repo))).follow_up == ""
        with closing(sqlite3.connect(Path(environ["ORCHESTRA_HOME"]) / "orchestra.db")) as database:
            ago = 10 * 60 * 1_000_000  # times are kept in microseconds
            database.execute("UPDATE consultations SET ended = ended - ? WHERE id = ?", (ago, first.id))
            database.commit()
        assert first.id in (await orchestra.ask(question(repo))).follow_up


@pytest.mark.usefixtures("no_quiet")
async def test_the_question_back_is_left_out_once_it_is_answered_or_cannot_be(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(one(), environ, tmp_path) as (orchestra, _):
        first = await orchestra.ask(question(repo, "Does MARKERWORD read_lines lose a line?"))
        second = await orchestra.ask(question(repo))
        kept = await orchestra.consultation(second.id)
        assert kept.verdict
        assert first.id in kept.verdict.follow_up
        assert "MARKERWORD" not in kept.verdict.model_dump_json(), "forgetting the first one forgets its words"
        assert await followup.as_it_stands(kept, orchestra.consultation) == kept
        await orchestra.mark(first.id, 1, "worked")
        marked = await followup.as_it_stands(kept, orchestra.consultation)
        assert marked.verdict
        assert first.id in verdict_report(kept.verdict).splitlines()[-1]
        assert first.id not in verdict_report(marked.verdict).splitlines()[-1]
        await orchestra.forget([first.id])
        gone = await followup.as_it_stands(kept, orchestra.consultation)
        assert gone.verdict
        assert gone.verdict.follow_up == ""


@pytest.mark.usefixtures("no_quiet")
async def test_the_next_consultation_on_the_same_code_asks_once_with_the_command(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(two(), environ, tmp_path) as (orchestra, _):
        first = await orchestra.ask(question(repo))
        assert first.follow_up == ""
        second = await orchestra.ask(question(repo, "Does read_lines close its file?"))
        kept = await orchestra.consultation(second.id)
        await orchestra.mark(second.id, 1, "worked")
        third = await orchestra.ask(question(repo, "Is read_lines quick enough?"))
    assert f"`orchestra outcome {first.id} worked`" in second.follow_up
    assert f'`mark_outcome(id="{first.id}", outcome="worked")`' in second.follow_up
    assert kept.verdict
    assert kept.verdict.follow_up == second.follow_up
    for detail in ("brief", "standard"):
        assert verdict_report(second, detail).splitlines()[-1] == second.follow_up
    assert first.id not in third.follow_up
    assert third.follow_up == ""  # of the second it is known, of the first somebody was asked


ASKER = """
import sys, anyio
from datetime import timedelta
from orchestra_mcp.app import Orchestra
from orchestra_mcp.app.outcomes import followup
from orchestra_mcp.types import Question

followup.QUIET = timedelta(0)

async def main(project):
    async with Orchestra.open() as orchestra:
        verdict = await orchestra.ask(Question(text="Does read_lines close its file?", project=project))
    print(verdict.follow_up != "")

anyio.run(main, sys.argv[1])
"""


@pytest.mark.usefixtures("no_quiet")
async def test_two_processes_at_once_ask_once(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    async with council(one(), environ, tmp_path) as (orchestra, whole):
        await orchestra.ask(question(repo))
        said = await in_processes(2, ASKER, repo, whole)
    # The second to end may find the first one's own consultation unmarked too; of the earliest nobody asks twice.
    assert "True" in said
    async with open_store(Path(environ["ORCHESTRA_HOME"])) as store:
        asked = [(await store.get(one.id)).verdict for one in await store.list()]
    questions = [verdict.follow_up for verdict in asked if verdict and verdict.follow_up]
    assert len(questions) == len(set(questions))


@pytest.mark.usefixtures("no_quiet")
async def test_nobody_is_asked_about_other_projects_other_workspaces_or_against_the_setting(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(repo), str(other))
    async with council(one(), environ, tmp_path) as (orchestra, _):
        token = ASKING.set(Caller(key="k1", workspace="team"))
        await orchestra.ask(question(repo))
        ASKING.reset(token)
        assert (await orchestra.ask(question(repo))).follow_up == ""  # what the team asked is the team's business
        assert (await orchestra.ask(question(other))).follow_up == ""
        token = ASKING.set(Caller(key="k2", workspace="others"))
        assert (await orchestra.ask(question(repo))).follow_up == ""
        ASKING.reset(token)
        token = ASKING.set(Caller(key="k3", workspace="team"))
        assert (await orchestra.ask(question(repo))).follow_up != ""
        ASKING.reset(token)
    async with council(one(), environ, tmp_path, "[memory]\nask_outcome = false\n") as (orchestra, _):
        assert (await orchestra.ask(question(repo))).follow_up == ""


def earlier(*claims: Claim, patch: str = "", places: tuple[Place, ...] = ()) -> tuple[Consultation, Verdict]:
    solution = Solution(
        rank=1, position="p", answer="a", score=1, probability=0.5, seats=("ada",), claims=claims, patch=patch
    )
    verdict = Verdict(id="c1", question="Why?", headline="h", answer="a", solutions=(solution,), answered=("ada",))
    kept = Consultation(
        id="c1", thread="c1", question=Question(text="Why?"), status="complete", started=START, verdict=verdict,
        places=places,
    )  # fmt: skip
    return kept, verdict


PARSER = Claim(text="t", path="src/parser.py", symbol="Reader.read_lines")


@pytest.mark.parametrize(
    ("before", "now", "dossier", "same"),
    [
        (earlier(PARSER), Question(text="Why?", files=("src/*.py",)), Dossier(), True),
        (earlier(PARSER), Question(text="Why?", files=("src",)), Dossier(), True),
        (earlier(PARSER), Question(text="Why?", files=("lib",)), Dossier(), False),
        (earlier(PARSER), Question(text="What does read_lines do?"), Dossier(), True),
        (earlier(PARSER), Question(text="What does parser.py do?"), Dossier(files=("a", "b", "c", "src/parser.py")), True),
        (earlier(PARSER), Question(text="Why?"), Dossier(files=("a", "src/parser.py")), True),
        (earlier(PARSER), Question(text="Why?"), Dossier(files=("a", "b", "c", "src/parser.py")), False),
        (earlier(patch=patch_of(FIXED)), Question(text="Why?"), Dossier(files=("src/parser.py",)), True),
        (earlier(places=(Place(path="x.py", lines=1, digest="d"),)), Question(text="Why?"), Dossier(files=("x.py",)), True),
        (earlier(), Question(text="Why?"), Dossier(files=("src/parser.py",)), False),
    ],
)  # fmt: skip
def test_the_same_code_is_the_same_files_or_names(
    before: tuple[Consultation, Verdict], now: Question, dossier: Dossier, same: bool
) -> None:
    assert same_code(*before, now, dossier) is same


def test_the_question_back_is_one_line_that_names_its_consultation_and_quotes_nothing() -> None:
    said = wording("abc-12", START)
    assert "\n" not in said
    assert said.count("`") == 10  # those of the id, the command, the two words and the tool
    assert asked_about(said) == "abc-12"
    assert asked_about("") == asked_about("What became of “x”?") == ""
