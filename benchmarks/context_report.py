"""The tables of `context.py`, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from context_asking import Answer, First
from context_cases import Case
from context_questions import Asked
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
from context_variants import FULL, Scored

BUDGETS = (4_000, 8_000, 12_000, 16_000)
SHOWN = (4_000, 8_000, 16_000)
LARGE = 1_500
"""Files from which a repository counts as large."""
WORST = 15
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
    """The cases of which fewest gold files are among the first 10, then whose first one comes last; and what came instead."""
    missed = [a for a in answers if whole(a.found, len(a.found)) < 1]
    worst = sorted(missed, key=lambda a: (recall(a.found, 10), reciprocal(a.found), a.case.id))[:WORST]
    print(f"\n### The {len(worst)} worst of {len(missed)} whose gold files are not all first\n")
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
