"""Does the collector find the code that the fix changed? Real bug reports, their repositories and their fixes.

    python benchmarks/context.py [--bench DIR] [--mirrors DIR] [--n N] [--sets lite,java,commit,senior]
                                 [--only recall,packs,questions,ablation,speed]

DIR of `--bench` (or ORCHESTRA_BENCH) holds `context/dev.jsonl`, one report a line as `context_cases.py` describes: rows
of SWE-bench Lite and SWE-bench-java with the gold read off their patches, and commits of other projects with their
message as the report. DIR of `--mirrors` (or ORCHESTRA_MIRRORS) holds bare copies of the repositories as OWNER+NAME:
`git clone --mirror https://github.com/OWNER/NAME OWNER+NAME`.

Each case is asked in a work tree whose history ends at its base commit. All cases of a repository share an index, which
is made whole before a question is asked, so that the order of files does not depend on the machine; what the first
question on a never-seen repository gets is a table of its own. Times are of a machine as it was, with whatever else it
did, and of an index that holds many versions of the repository; `--only speed` measures on one that holds one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from context_asking import Answer, First, answer, first_answer, index, no_builder
from context_cases import Case, Fix, WorkTrees, find_fix, load, sample
from context_questions import Asked, failing, review
from context_report import BUDGETS, show_ablation, show_first, show_packs, show_questions, show_recall, show_worst
from context_scores import table
from context_speed import measure
from context_variants import Scored, scores

PARTS = ("recall", "packs", "questions", "ablation", "speed")
FIRST = 30
"""Cases that are also asked on a never-seen repository."""
TIMED = "django/django"
"""Timed beside the largest repository, because the targets are about it."""
ABSENT = """There is no {what}. Give --{flag} DIR or set {variable}.
  --bench: DIR/context/dev.jsonl, rows of SWE-bench Lite and SWE-bench-java (see benchmarks/context_cases.py)
  --mirrors: bare clones, git clone --mirror https://github.com/OWNER/NAME DIR/OWNER+NAME"""


def ask_further(case: Case, fix: Fix | None, trees: WorkTrees, home: Path) -> list[Asked]:
    """The questions that are made of a fix, each in a clean work tree."""
    if fix is None:
        return []
    asked = [failing(case, fix, trees.at(case), home)]
    for everything in (False, True):
        one = review(case, fix, trees.at(case), home, everything=everything)
        asked.append(replace(one, kind="review of everything") if one and everything else one)
    return [one for one in asked if one is not None]


def run(cases: Sequence[Case], trees: WorkTrees, parts: Sequence[str], place: Path) -> None:
    """Ask all cases and print the tables of these parts."""
    home = place / "home"
    answers: list[Answer] = []
    asked: list[Asked] = []
    scored: list[tuple[Case, dict[str, Scored]]] = []
    fixes = 0
    for number, case in enumerate(sorted(cases, key=lambda c: (c.mirror, trees.age(c), c.id)), 1):
        print(f"{number}/{len(cases)} {case.id}", file=sys.stderr, flush=True)
        root = trees.at(case)
        index(root, home)
        if "recall" in parts or "packs" in parts:
            answers.append(answer(case, root, home, BUDGETS if "packs" in parts else ()))
        if "ablation" in parts:
            scored.append((case, scores(case, root, home)))
        if "questions" in parts:
            fix = find_fix(trees.mirror(case), case)
            fixes += fix is not None
            asked += ask_further(case, fix, trees, home)
    if "recall" in parts:
        show_recall(answers)
        show_first(never_seen(cases, trees, place), answers)
    if "packs" in parts:
        show_packs(answers)
    if "questions" in parts:
        show_questions(len(cases), fixes, asked)
    if "ablation" in parts:
        show_ablation(scored)
    if "recall" in parts:
        show_worst(answers)


def never_seen(cases: Sequence[Case], trees: WorkTrees, place: Path) -> list[First]:
    """The first answers of a few cases, each with a data directory of its own."""
    return [
        first_answer(case, trees.at(case), Path(tempfile.mkdtemp(dir=place)))
        for case in sorted(sample(cases, FIRST), key=lambda c: c.mirror)
    ]


def show_speed(cases: Sequence[Case], trees: WorkTrees) -> None:
    """Table 5, on the largest repository and on the one that the targets are about."""
    largest = max(cases, key=lambda case: case.n_files)
    chosen = [largest, *(case for case in cases if case.repo == TIMED and largest.repo != TIMED)][:2]
    for case in chosen:
        same = [one.text for one in cases if one.repo == case.repo and one.id != case.id]
        rows = measure(trees.at(case), [case.text, same[0] if same else case.text])
        print(
            table(f"Speed on {case.repo}, {case.n_files:,} files ({case.id})", ("what", "measured"), rows), flush=True
        )


def folder(given: str | None, variable: str, flag: str, what: str) -> Path:
    """A directory that must be there."""
    found = given or os.environ.get(variable, "")
    if not found or not Path(found).is_dir():
        raise SystemExit(ABSENT.format(what=what, flag=flag, variable=variable))
    return Path(found).resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="directory with context/dev.jsonl")
    parser.add_argument("--mirrors", help="directory with bare repositories, OWNER+NAME")
    parser.add_argument("--n", type=int, default=0, help="a fixed sample of so many cases")
    parser.add_argument("--sets", default="", help="such as lite,java")
    parser.add_argument("--only", default=",".join(PARTS), help="which parts")
    args = parser.parse_args()
    file = folder(args.bench, "ORCHESTRA_BENCH", "bench", "directory of reports") / "context" / "dev.jsonl"
    if not file.is_file():
        raise SystemExit(ABSENT.format(what=file, flag="bench", variable="ORCHESTRA_BENCH"))
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    mirrors = folder(args.mirrors, "ORCHESTRA_MIRRORS", "mirrors", "directory of mirrors")
    with tempfile.TemporaryDirectory(prefix="orchestra-bench-") as place:
        trees = WorkTrees(mirrors, Path(place) / "trees")
        wanted = load(file, [name for name in args.sets.split(",") if name], args.n)
        cases = [case for case in wanted if trees.known(case)]
        print(f"{len(cases)} cases; {len(wanted) - len(cases)} left out because their repository or commit is missing.")
        print(", ".join(f"{name} {count}" for name, count in Counter(case.set for case in cases).items()))
        if not cases:
            raise SystemExit(ABSENT.format(what="case to ask", flag="mirrors", variable="ORCHESTRA_MIRRORS"))
        if set(parts) - {"speed"}:
            with no_builder():
                run(cases, trees, parts, Path(place))
        if "speed" in parts:
            show_speed(cases, trees)


if __name__ == "__main__":
    main()
