"""The section on reviews: stored answers hold none, so that judges of known reliability are scripted."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import council_figures as figures
from council_data import Data, Item, accuracy, complete, council, drawn, seats_of
from council_replay import shown_options, sit, taught, untaught
from council_sittings import everyone, held_out, share

from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.types import Seat


async def ballots(data: Data, n: int) -> None:
    """Scripted reviewers: all of one reliability; then one votes at random; then one prefers its own family."""
    matrix = data.matrix()
    models = council("A", matrix)
    items, seats = complete(matrix, models), seats_of(models)
    gold = {item.id: item.gold for item in items}
    family = {seat.name: seat.family for seat in seats}
    best = max(models, key=lambda model: accuracy(items, model))
    results: dict[str, list[bool]] = {}
    held: dict[str, tuple[Sequence[Seat], float]] = {}
    folder = tempfile.TemporaryDirectory()
    # An empty project: where there is none, authors are not asked for reviews, and here all are authors.
    project = ProjectEvidence(Path(folder.name))
    for name in ("none", "random", "family"):

        def judged(item: Item, bad: str = name) -> Callable[[str, str], str]:
            own = {item.replies[m] for m in models if family[m] == family[best]}
            return lambda model, prompt: ballot(
                prompt, gold[item.id], f"{item.id}/{model}", bad if model == best else "none", own
            )

        past = [
            await sit(item, seats, untaught(seats), everyone=True, judge=judged(item), evidence=project)
            for item in drawn([i for i in items if i.split == "tune"], 150, "labels")
        ]
        known = taught(seats, past)
        held[name] = seats, known.judging.get(best, 1.0)
        sats = [
            await sit(item, seats, known, everyone=True, judge=judged(item), evidence=project)
            for item in held_out(items, n)
        ]
        results[name] = [sat.right for sat in sats]
    folder.cleanup()
    without = [sat.right for sat in await everyone(held_out(items, n), seats, untaught(seats))]
    for name, what in (("random", "votes at random"), ("family", "prefers its own family")):
        figure = figures.gain(results[name], results["none"])
        more = f"its weight as a judge {held[name][1]:.2f}, as a good one {held['none'][1]:.2f}; no ballots {share(without)}, good ones {share(results['none'])}"
        print(
            figures.line(
                f"the strongest seat {what}, against a good judge",
                figure,
                "≥ -1.0",
                figures.at_least(figure, -1.0),
                "points",
                more,
            )
        )


def ballot(prompt: str, gold: str, seed: str, kind: str, own: set[str]) -> str:
    """A scripted review. A good judge puts the right answer above a wrong one three times in four."""
    dice = random.Random(seed)
    options = shown_options(prompt)
    # Two normal draws of deviation 1 that lie .954 apart are in the right order with probability .75.
    merit = {letter: 0.954 * (option == gold) + dice.gauss(0, 1) for letter, option in options.items()}
    if kind == "random":
        merit = {letter: dice.random() for letter in options}
    if kind == "family":
        said = {reply.removeprefix("The answer is (")[:1] for reply in own}
        merit = {letter: value + 3.0 * (options[letter] in said) for letter, value in merit.items()}
    ranking = ", ".join(f'"{letter}"' for letter in sorted(merit, key=lambda letter: -merit[letter]))
    return f'{{"ranking": [{ranking}], "why": "scripted"}}'
