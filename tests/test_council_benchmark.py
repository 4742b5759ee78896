"""The replay benchmark: its figures are right, it runs on any data of its layout, and it says so when there is none."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import council_data as data  # noqa: E402
import council_figures as figures  # noqa: E402
import council_gates as gates  # noqa: E402
import council_judges as judges  # noqa: E402
import council_replay as replay  # noqa: E402

MODELS = {"gpt-4o": 0.8, "gemini-pro": 0.7, "mixtral-8x7b": 0.5, "llama-3-8b": 0.4, "phi-3-mini": 0.3, "yi-6b": 0.3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up answers of other models to other questions, in the layout of the real ones."""
    folder = tmp_path_factory.mktemp("stored")
    dice = random.Random(4)
    with gzip.open(folder / "mmlu_pro_matrix.csv.gz", "wt", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["question_id", "category", "gold", *MODELS])
        for number in range(70):
            gold = dice.choice("ABCD")
            choices = [gold if dice.random() < p else dice.choice("ABCD-") for p in MODELS.values()]
            table.writerow([number, "physics", gold, *choices])
    questions: list[dict[str, object]] = []
    answers: list[dict[str, object]] = []
    for number in range(12):
        qid, gold = f"q{number}", dice.choice("ABC")
        questions.append(
            {"qid": qid, "question": f"What is {number}?", "options": ["red", "green", "blue"], "gold": gold}
        )
        for model, p in MODELS.items():
            choice = gold if dice.random() < p else "C"
            text = f"I thought about it. The answer is ({choice})."
            answers.append(
                {"qid": qid, "model": model, "choice": choice, "correct": choice == gold, "answer_text": text}
            )
    _write(folder / "mmlu_pro_questions.jsonl.gz", questions)
    _write(folder / "mmlu_pro_answers.jsonl.gz", answers)
    prices = "\n".join(f"{model},{10 * p},{20 * p},made up" for model, p in MODELS.items())
    (folder / "prices.csv").write_text(
        f"model,input_usd_per_mtok,output_usd_per_mtok,note\n{prices}\n", encoding="utf-8"
    )
    return folder


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "council.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=BENCHMARKS.parent, timeout=120)


def test_without_data_it_ends_with_2_and_says_what_is_needed(tmp_path: Path) -> None:
    done = _run(str(tmp_path))
    assert done.returncode == 2
    assert "ORCHESTRA_BENCH" in done.stderr
    assert "mmlu_pro_matrix.csv.gz" in done.stderr


def test_sections_run_on_other_models_and_questions(folder: Path) -> None:
    done = _run(
        str(folder),
        "--only",
        "vote,weak,calibration,code,cascade,hostile,ballots,order,cpu,text",
        "--n",
        "24",
        "--http",
        "1",
    )
    assert done.returncode == 0, done.stderr
    for section in gates.SECTIONS:
        assert f"{section}: " in done.stdout
    assert "1 of 1 answers the same, 1 confidences" in done.stdout
    assert "Not shown by stored answers" in done.stdout


def test_an_unknown_section_is_refused(folder: Path) -> None:
    done = _run(str(folder), "--only", "votes")
    assert done.returncode == 2
    assert "no section votes" in done.stderr


def test_a_council_with_missing_models_is_replaced_by_others_of_the_same_places(folder: Path) -> None:
    items = data.Data(folder).matrix()
    assert data.council("B", items)[0] == max(MODELS, key=lambda model: data.accuracy(items, model))
    assert len(data.council("C", items)) == 5


@pytest.mark.parametrize("prefers", ["gpt-4o", "yi-6b"])
async def test_a_consultation_is_judged_by_its_first_solution(folder: Path, prefers: str) -> None:
    item = data.Item(
        "1",
        "Which?\n\nA. red\nB. blue",
        "test",
        {"gpt-4o": "(A)", "yi-6b": "The answer is (B)."},
        {"gpt-4o": True, "yi-6b": False},
        "A",
    )
    seats = tuple(
        seat.model_copy(update={"prior": 0.9 if seat.name == prefers else 0.3})
        for seat in data.seats_of(("gpt-4o", "yi-6b"))
    )
    sat = await replay.sit(item, seats, replay.untaught(seats), everyone=True)
    assert sat.choice == ("A" if prefers == "gpt-4o" else "B")
    assert sat.right is (prefers == "gpt-4o")
    made = replay.label(sat)
    assert made.clusters[made.right if made.right is not None else 9] == ("gpt-4o",)


def test_scripted_judges_see_the_options_and_are_right_three_times_in_four() -> None:
    prompt = "\n".join(
        f'<untrusted id="1" what="answer {letter}">\nposition: {option}. option {option}\n</untrusted id="1">'
        for letter, option in (("A", "D"), ("B", "C"))
    )
    assert replay.shown_options(prompt) == {"A": "D", "B": "C"}
    rankings = [json.loads(judges.ballot(prompt, "C", str(seed), "none", set()))["ranking"] for seed in range(2000)]
    assert sum(ranking[0] == "B" for ranking in rankings) / 2000 == pytest.approx(0.75, abs=0.03)


def test_gains_are_paired_and_intervals_hold_the_value() -> None:
    ours = [True] * 60 + [False] * 40
    theirs = [True] * 50 + [False] * 50
    figure = figures.gain(ours, theirs)
    assert figure.value == pytest.approx(10.0)
    # Ten of a hundred pairs differ, so the standard error is 100·√(.1·.9/100) = 3 points.
    assert figure.low == pytest.approx(10 - 1.96 * 3, abs=2)
    assert figure.high == pytest.approx(10 + 1.96 * 3, abs=2)


def test_the_area_counts_ties_by_half() -> None:
    # Pairs (right, wrong): .9>.5, .9>.1, .5=.5, .5>.1 → 3.5 of 4.
    assert figures.area([0.9, 0.5, 0.5, 0.1], [True, True, False, False]).value == pytest.approx(3.5 / 4)
    assert figures.area([0.1, 0.2], [True, True]).value == 0.5


@pytest.mark.parametrize(
    ("figure", "outcome"),
    [
        (figures.Figure(2.0, 1.1, 3.0, 9), "PASS"),
        (figures.Figure(2.0, 0.5, 3.0, 9), "inconclusive (the value passes)"),
        (figures.Figure(0.5, -1.0, 1.5, 9), "inconclusive"),
        (figures.Figure(0.5, -1.0, 0.9, 9), "FAIL"),
    ],
)
def test_a_gate_is_passed_only_when_the_interval_says_so(figure: figures.Figure, outcome: str) -> None:
    assert figures.at_least(figure, 1.0) == outcome
    mirrored = figures.Figure(-figure.value, -figure.high, -figure.low, 9)
    assert figures.at_most(mirrored, -1.0) == outcome
