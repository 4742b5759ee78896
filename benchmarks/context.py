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

from context_asking import Answer, answer, index
from context_cases import Case, Fix, WorkTrees, find_fix, load, sample
from context_questions import Asked, failing, review
from context_scores import (
    Positions,
    grouped,
    mean,
    percentile,
    recall,
    reciprocal,
    table,
    whole,
    with_interval,
)  # fmt: skip
from context_speed import measure
from context_variants import FULL, Scored, scores

PARTS = ("recall", "packs", "questions", "ablation", "speed")
BUDGETS = (4_000, 8_000, 12_000, 16_000)
SHOWN = (4_000, 8_000, 16_000)
LARGE = 1_500
"""Files from which a repository counts as large."""
FIRST = 30
"""Cases that are also asked on a never-seen repository."""
TIMED = "django/django"
"""Timed beside the largest repository, because the targets are about it."""
WORST = 15
ABSENT = """There is no {what}. Give --{flag} DIR or set {variable}.
  --bench: DIR/context/dev.jsonl, rows of SWE-bench Lite and SWE-bench-java (see benchmarks/context_cases.py)
  --mirrors: bare clones, git clone --mirror https://github.com/OWNER/NAME DIR/OWNER+NAME"""

KINDS = {
    "test": "“Why does this test fail?” → source files (order of the dossier's files)",
    "review": "“Review my changes”, source files changed → test files that the fix changed too",
    "review of everything": "The same with the fix's documents and data changed as well",
}

MAIN_HEADS = ("group", "n", "@1", "@3", "@5", "@10", "@20", "all @10", "MRR")


def row(name: str, found: Sequence[Positions]) -> tuple[object, ...]:
    """Recall at all depths, with intervals where the targets are."""
    at = {k: [recall(one, k) for one in found] for k in (1, 3, 5, 10, 20)}
    return (
        name, len(found), with_interval(at[1]), mean(at[3]), with_interval(at[5]), with_interval(at[10]), mean(at[20]),
        mean(whole(one, 10) for one in found), with_interval(map(reciprocal, found)),
    )  # fmt: skip


def _location(case: Case) -> str:
    return {"": "", "None": "report names nothing"}.get(case.location, f"file by: {case.location}")


def _groups(answers: Sequence[Answer]) -> list[tuple[str, list[Answer]]]:
    return grouped(
        answers,
        lambda a: f"set {a.case.set}",
        lambda a: a.case.language,
        lambda a: _location(a.case),
        lambda a: f"≥ {LARGE:,} files" if a.case.n_files >= LARGE else f"< {LARGE:,} files",
    )


def show_recall(answers: Sequence[Answer]) -> None:
    """Table 1."""
    rows = [row(name, [a.found for a in group]) for name, group in _groups(answers)]
    rows.insert(1, row("all, retrieval alone", [a.ranked for a in answers]))
    print(table("File recall (order of the dossier's files)", MAIN_HEADS, rows), flush=True)
    costs = [
        (name, len(group), *(
            f"{percentile(values, 0.5):.3f} / {percentile(values, 0.95):.3f}"
            for values in (
                [a.query.cpu for a in group], [a.query.wall for a in group],
                [a.whole.cpu for a in group], [a.whole.wall for a in group],
            )
        ))
        for name, group in grouped(answers, lambda a: f"≥ {LARGE:,} files" if a.case.n_files >= LARGE else f"< {LARGE:,} files")
    ]  # fmt: skip
    heads = ("group", "n", "retrieval CPU", "retrieval wall", "dossier CPU", "dossier wall")
    print(table("Seconds per question, p50 / p95", heads, costs), flush=True)


def show_worst(answers: Sequence[Answer]) -> None:
    """The cases whose first gold file comes last, and what came instead."""
    worst = sorted(answers, key=lambda a: (max((1 / p for p in a.found if p), default=0.0), a.case.id))[:WORST]
    print(f"\n### The {len(worst)} worst\n")
    for a in worst:
        title = next((line.strip() for line in a.case.text.split("\n") if line.strip()), "")
        print(f"- **{a.case.id}** “{title[:110]}”")
        why = {hit.path: f"{hit.score:.2f} {hit.why}" for hit in a.hits}
        for path, place, ranked in list(zip(a.case.gold_files, a.found, a.ranked, strict=True))[:3]:
            print(f"  - gold {path}: place {place or '–'} (retrieval {ranked or '–'}); {why.get(path, 'not in the first 30')}")  # fmt: skip
        for hit in a.hits[:3]:
            print(f"  - instead {hit.path}: {hit.score:.2f} {hit.why}")


def show_packs(answers: Sequence[Answer]) -> None:
    """Table 2."""
    rows: list[tuple[object, ...]] = []
    for budget in BUDGETS:
        packs = [a.packs[budget] for a in answers]
        rows.append((
            f"{budget:,}", sum(p.functions is not None for p in packs), with_interval(p.functions for p in packs),
            with_interval(p.lines for p in packs), f"{mean(p.estimated for p in packs):.0f}",
            f"{mean(p.counted for p in packs):.0f}", sum(p.estimated > budget for p in packs),
            sum(p.counted > budget for p in packs),
        ))  # fmt: skip
    heads = ("budget", "n", "functions whole", "lines", "tokens (estimate)", "tokens (counter)", "over by estimate", "over by counter")  # fmt: skip
    print(table("Gold in the pack", heads, rows), flush=True)
    rows = [
        (
            name, len(group), *(with_interval(a.packs[budget].functions for a in group) for budget in SHOWN),
            *(mean(a.packs[budget].lines for a in group) for budget in SHOWN),
        )
        for name, group in _groups(answers)
    ]  # fmt: skip
    groups = ("group", "n", "functions 4k", "functions 8k", "functions 16k", "lines 4k", "lines 8k", "lines 16k")
    print(table("Gold in the pack, by group", groups, rows), flush=True)
    rows = []
    packs = [p for a in answers for p in a.packs.values() if p.counted]
    others: dict[str, list[float]] = {
        "the counter": [p.counted for p in packs],
        "characters ÷ 4": [p.characters / 4 for p in packs],
    }
    for name, counts in others.items():
        ratios = [p.estimated / count for p, count in zip(packs, counts, strict=True)]
        rows.append((name, len(ratios), *(f"{percentile(ratios, share):.2f}" for share in (0.05, 0.5, 0.95))))
    print(table("Our estimate of a pack's tokens ÷ other counts", ("other count", "packs", "p5", "p50", "p95"), rows))
    print("\nThe estimate has 15 % headroom and a heading for each excerpt; the others count neither. No vocabulary of a"
          "\nreal tokenizer is used here, because all of them must be downloaded.", flush=True)  # fmt: skip


def show_questions(cases: int, fixes: int, asked: Sequence[Asked]) -> None:
    """Table 3."""
    print(f"\nOf {cases} cases, the fixing commit of {fixes} was found; dropped for that: {cases - fixes}.")
    heads = ("question", "n", "@1", "@3", "@5", "@10")
    for kind, title in KINDS.items():
        of_kind = [one for one in asked if one.kind == kind]
        rows = [
            (name, len(group), *(with_interval(recall(one.found, k) for one in group) for k in (1, 3, 5, 10)))
            for name, group in grouped(of_kind, lambda one: f"set {one.case.set}", lambda one: one.case.language, lambda one: one.group)
        ]  # fmt: skip
        print(table(title, heads, rows), flush=True)
        for one in sorted(of_kind, key=lambda one: (reciprocal(one.found), one.case.id))[:5]:
            about = " ".join(one.text.split())[:160]
            print(f"- {one.case.id}: {about}; gold at {one.found}; first {', '.join(one.first)}")


def show_ablation(scored: Sequence[tuple[Case, dict[str, Scored]]]) -> None:
    """Table 4: what each variant adds to or takes from the full mix, case by case; then how much repositories differ."""
    full = [of[FULL] for _, of in scored]
    rows: list[tuple[object, ...]] = [
        (FULL, len(full), *(mean(recall(one.found, k) for one in full) for k in (1, 5, 10)), mean(one.functions for one in full))
    ]  # fmt: skip
    for name in scored[0][1]:
        if name != FULL:
            pairs = [(of[name], of[FULL]) for _, of in scored]
            rows.append((
                name, len(pairs),
                *(with_interval([recall(a.found, k) - recall(b.found, k) for a, b in pairs], "+") for k in (1, 5, 10)),
                with_interval(
                    [a.functions - b.functions for a, b in pairs if a.functions is not None and b.functions is not None], "+"
                ),
            ))  # fmt: skip
    heads = ("variant", "n", "@1", "@5", "@10", "functions at 8k")
    print(table("Ablation: difference from the full mix, paired 95 % intervals", heads, rows), flush=True)
    by_repo = grouped(scored, lambda one: one[0].repo)
    rows = []
    for name, group in by_repo:
        inside = {case.id for case, _ in group}
        others = [of[FULL] for case, of in scored if name == "all" or case.id not in inside]
        own = [of[FULL] for _, of in group]
        rows.append((
            name, len(own), *(mean(recall(one.found, k) for one in own) for k in (1, 5, 10)), mean(one.functions for one in own),
            *(mean(recall(one.found, k) for one in others) for k in (1, 5, 10)),
        ))  # fmt: skip
    repos = ("repository", "n", "@1", "@5", "@10", "functions at 8k", "others @1", "others @5", "others @10")
    print(table("Per repository, and all others without it", repos, rows), flush=True)


def show_first(firsts: Sequence[First], known: Sequence[Answer]) -> None:
    """What the first question on a never-seen repository gets, beside what the same cases get later."""
    same = {a.case.id: a for a in known}
    rows = [row("never seen", [a.found for a in firsts])]
    rows.append(row("same cases, index whole", [same[a.case.id].found for a in firsts]))
    print(table("First answer on a never-seen repository", MAIN_HEADS, rows))
    walls, cpus = [a.cost.wall for a in firsts], [a.cost.cpu for a in firsts]
    print(
        f"\nDossier: wall {percentile(walls, 0.5):.2f} s p50, {percentile(walls, 0.95):.2f} p95; CPU {percentile(cpus, 0.5):.2f}"
        f" p50, {percentile(cpus, 0.95):.2f} p95. Files were left to the background (which did not run) in"
        f" {sum(a.pending > 0 for a in firsts)} of {len(firsts)}.",
        flush=True,
    )


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
            run(cases, trees, parts, Path(place))
        if "speed" in parts:
            show_speed(cases, trees)


if __name__ == "__main__":
    main()
