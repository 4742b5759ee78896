"""The benchmark of the context collector, on a repository with two repaired bugs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import git

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

PRICES = '''"""Prices in cents."""


def gross(net, rate):
    return int(net + net * rate)


def discount(net, share):
    return net - round(net * share)
'''
DATES = '''"""Days of a year."""


def weekday(day, month, year):
    return (day + month + year) % 7


def leap(year):
    return year % 4 == 0
'''
TEST_PRICES = "from shop.prices import discount\n\n\ndef test_discount():\n    assert discount(100, 0.1) == 90\n"
TEST_DATES = "from shop.dates import leap\n\n\ndef test_leap():\n    assert leap(2024)\n"


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("context_cases")


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("context_scores")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """`mirrors` and `bench`: two reports about one project, each with the commit that repaired it."""
    work = tmp_path / "shop"
    (work / "shop").mkdir(parents=True)
    (work / "tests").mkdir()
    git(work, "init", "-q", "-b", "main")

    def commit(message: str, **files: str) -> str:
        for name, text in files.items():
            (work / name.replace("__", "/")).with_suffix(".py").write_text(text)
        git(work, "add", "-A")
        git(work, "commit", "-qm", message)
        return git(work, "rev-parse", "HEAD").strip()

    first = commit("Begin", shop__prices=PRICES, shop__dates=DATES, tests__test_prices=TEST_PRICES, tests__test_dates=TEST_DATES)  # fmt: skip
    rounded = PRICES.replace("int(", "round(")
    new_test = TEST_PRICES.replace("import discount", "import discount, gross")
    new_test += "\n\ndef test_gross_is_rounded():\n    assert gross(99, 0.19) == 118\n"
    second = commit("Round gross prices", shop__prices=rounded, tests__test_prices=new_test)
    moved = DATES.replace('year."""\n', 'year."""\n\nDAYS = 7\n').replace("% 7", "% DAYS")
    commit("Name the number of days", shop__dates=moved)
    repaired = moved.replace("year % 4 == 0", "year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)")
    commit("Repair leap", shop__dates=repaired, tests__test_dates=TEST_DATES + "    assert not leap(1900)\n")
    subprocess.run(["git", "clone", "-q", "--bare", work, tmp_path / "mirrors" / "ada+shop"], check=True)
    rows = [
        _row("gross", first, "gross() of shop/prices.py cuts cents off", "shop/prices.py", "gross", 4, 5),
        _row("leap", second, "leap() of shop/dates.py says that 1900 was a leap year", "shop/dates.py", "leap", 8, 9),
    ]
    (tmp_path / "bench" / "context").mkdir(parents=True)
    (tmp_path / "bench" / "context" / "dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def _row(name: str, base: str, text: str, path: str, function: str, start: int, end: int) -> dict[str, Any]:
    return {
        "id": name, "set": "lite", "repo": "ada/shop", "mirror": "ada/shop", "base_commit": base, "lang": "python",
        "n_files": 4, "problem_statement": text, "gold_files": [path],
        "gold_functions": [[path, function, start, end, "function"]], "gold_spans": [[path, end, end]],
        "labels": {"file location": "Natural language"},
    }  # fmt: skip


def run(*args: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRA_")}
    command = [sys.executable, str(BENCHMARKS / "context.py"), *args]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=100)


def rows_of(output: str, title: str) -> dict[str, list[str]]:
    """First cell → the other cells of the table below a title."""
    part = output.split(f"### {title}")[1].split("\n###")[0]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in cells[2:]}


def test_two_reports_that_name_their_file_are_answered_and_their_fixes_found(data: Path) -> None:
    done = run("--bench", str(data / "bench"), "--mirrors", str(data / "mirrors"), "--only", "recall,packs,questions,ablation")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 cases; 0 left out")
    everything = rows_of(done.stdout, "File recall")["all"]
    assert everything[0] == "2"
    assert everything[1] == "1.000 [1.00, 1.00]"
    assert rows_of(done.stdout, "Gold in the pack")["4,000"][:3] == ["2", "1.000 [1.00, 1.00]", "1.000 [1.00, 1.00]"]
    assert "the fixing commit of 2 was found; dropped for that: 0" in done.stdout
    failing = rows_of(done.stdout, "“Why does this test fail?”")
    assert failing["all"][0] == "2"
    assert failing["a new test"][0] == failing["a test that was there"][0] == "1"
    assert rows_of(done.stdout, "“Review my changes”")["all"][:2] == ["2", "1.000 [1.00, 1.00]"]
    ablation = rows_of(done.stdout, "Ablation")
    assert ablation["full mix"][0] == "2"
    assert "without unit" in ablation
    assert rows_of(done.stdout, "Per repository")["ada/shop"][0] == "2"


def test_without_data_it_says_where_the_data_come_from(data: Path) -> None:
    done = run("--mirrors", str(data / "mirrors"))
    assert done.returncode == 1
    assert "ORCHESTRA_BENCH" in done.stderr
    assert "git clone --mirror" in done.stderr
    elsewhere = run("--bench", str(data / "bench"), "--mirrors", str(data))
    assert elsewhere.returncode == 1
    assert elsewhere.stdout.startswith("0 cases; 2 left out")


def test_nothing_after_the_base_commit_has_a_name_in_the_work_tree(data: Path, cases: Any) -> None:
    first, second = cases.load(data / "bench" / "context" / "dev.jsonl")
    trees = cases.WorkTrees(data / "mirrors", data / "trees")
    root = trees.at(second)
    (root / "left.py").write_text("over\n")
    (root / "shop" / "dates.py").write_text("changed\n")
    assert trees.at(first) == root
    assert git(root, "log", "--all", "--format=%s").split("\n") == ["Begin", ""]
    assert git(root, "status", "--porcelain", "--ignored") == ""
    assert (root / "shop" / "prices.py").read_text() == PRICES


def test_a_commit_that_changes_the_gold_file_elsewhere_is_not_the_fix(data: Path, cases: Any) -> None:
    _, leap = cases.load(data / "bench" / "context" / "dev.jsonl")
    mirror = cases.mirror_of(data / "mirrors", "ada/shop")
    fix = cases.find_fix(mirror, leap)
    assert cases.git(mirror, "log", "-1", "--format=%s", fix.commit).strip() == "Repair leap"
    assert (fix.sources(), fix.tests()) == (("shop/dates.py",), ("tests/test_dates.py",))
    root = cases.WorkTrees(data / "mirrors", data / "trees").at(leap)
    assert cases.apply(root, fix, fix.tests())
    assert cases.changed_lines(root, "tests/test_dates.py") == {6}


def test_figures_are_those_that_one_counts_by_hand(cases: Any, scores: Any) -> None:
    found = scores.positions(["a.py", "b.py", "a.py", "c.py"], ["c.py", "a.py", "z.py"])
    assert found == (4, 1, None)
    assert scores.recall(found, 3) == pytest.approx(1 / 3)
    assert scores.recall(found, 4) == pytest.approx(2 / 3)
    assert scores.whole(found, 10) == 0
    assert scores.reciprocal(found) == 1
    case = cases.Case(
        "x", "lite", "r", "r", "0", "python", 1, "", ("a.py",),
        (("a.py", "f", 3, 5, "function"), ("a.py", "g", 8, 9, "method"), ("a.py", "C", 1, 20, "class")),
        (("a.py", 4, 5), ("a.py", 9, 10)), "",
    )  # fmt: skip
    pack = scores.pack(case, [("a.py", 1, 4), ("a.py", 5, 8)], ["x = 12345"], 7)
    assert pack.functions == 0.5
    assert pack.lines == 0.5
    assert (pack.counted, pack.estimated, pack.characters) == (4, 7, 9)
    low, high = scores.interval([0.0, 1.0] * 50)
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.03)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.03)
