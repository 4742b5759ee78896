"""What is measured: one function for each section, which prints its rows. Add a section here and in SECTIONS."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

import council_figures as figures
from council_code import code
from council_data import Data, Item, accuracy, complete, council, drawn, seats_of
from council_judges import ballots
from council_replay import NOW, Sat, label, sit, taught, untaught
from council_sittings import best_of, everyone, held_out, marked, share

from orchestra_mcp.council.scales.experience import Experience, learn
from orchestra_mcp.council.seating import Prices
from orchestra_mcp.types import Effort, Seat

Section = Callable[[Data, int], Awaitable[None]]
EFFORTS: tuple[Effort, ...] = ("standard", "deep")
ALL = ("A", "B", "C", "D", "E", "F")


async def vote(data: Data, n: int) -> None:
    """Vote quality: all seats answer, weights from tune."""
    matrix = data.matrix()
    for name in ("A", "B", "D", "E", "F"):
        models = council(name, matrix)
        items, seats = complete(matrix, models), seats_of(models)
        known, _ = await marked(items, seats, 300, "labels")
        test = held_out(items, n)
        sats = await everyone(test, seats, known)
        best = best_of(test, seats)
        plural = [plurality(item, models) == item.gold for item in test]
        ours = [sat.right for sat in sats]
        figure = figures.gain(ours, [item.right[best] for item in test])
        outcome = figures.at_least(figure, 1.0, 0.0) if name == "A" else "(no gate)"
        more = f"ours {share(ours)}, {best} {share([i.right[best] for i in test])}, plurality {share(plural)}"
        print(
            figures.line(
                f"council {name}, {len(seats)} seats, 300 labels, against best",
                figure,
                "≥ +1.0, interval > 0",
                outcome,
                "points",
                more,
            )
        )


async def weak(data: Data, n: int) -> None:
    """One strong seat with four weak ones, 100 labels; several draws of the labels."""
    matrix = data.matrix()
    models = council("C", matrix)
    items, seats = complete(matrix, models), seats_of(models)
    ours: list[bool] = []
    theirs: list[bool] = []
    plural: list[bool] = []
    for draw in range(4):
        known, _ = await marked(items, seats, 100, f"labels {draw}")
        test = held_out(items, n // 4, f"test {draw}")
        best = best_of(held_out(items, n), seats)
        ours += [sat.right for sat in await everyone(test, seats, known)]
        theirs += [item.right[best] for item in test]
        plural += [plurality(item, models) == item.gold for item in test]
    more = f"ours {share(ours)}, best {share(theirs)}, plurality {share(plural)}"
    figure = figures.gain(ours, theirs)
    print(
        figures.line(
            "council C, one strong and four weak, 100 labels",
            figure,
            "≥ -1.0",
            figures.at_least(figure, -1.0),
            "points",
            more,
        )
    )


async def calibration(data: Data, n: int) -> None:
    """Confidence against what came true: without feedback and after 100 labels, all seats asked and as by default."""
    matrix = data.matrix()
    for labels, target in ((0, 0.06), (100, 0.04)):
        stated: list[float] = []
        right: list[bool] = []
        by_name = []
        for name in ALL:
            models = council(name, matrix)
            items, seats = complete(matrix, models), seats_of(models)
            known = (await marked(items, seats, labels, "labels"))[0] if labels else untaught(seats)
            test = held_out(items, n // len(ALL))
            half = len(test) // 2
            sats = await everyone(test[:half], seats, known) + [await sit(item, seats, known) for item in test[half:]]
            mine = [sat.verdict.confidence for sat in sats], [sat.right for sat in sats]
            by_name.append(f"{name} {figures.expected_error(*mine).value:.3f}")
            stated += mine[0]
            right += mine[1]
        figure = figures.expected_error(stated, right)
        more = f"AUROC {figures.area(stated, right).value:.3f}; each {', '.join(by_name)}"
        print(
            figures.line(
                f"ECE over all councils, {labels} labels",
                figure,
                f"≤ {target}",
                figures.at_most(figure, target),
                "",
                more,
            )
        )


async def cascade(data: Data, n: int) -> None:
    """As by default: the cheapest good pair opens, others on disagreement. Then the early stop against everyone."""
    matrix = data.matrix()
    models = tuple(model for model in council("A", matrix) if model in data.costs())
    costs = {model: cost for model, cost in data.costs().items() if model in models}
    items, seats = complete(matrix, models), seats_of(models)
    prices = Prices({model: Decimal(str(round(cost, 9))) for model, cost in costs.items()})
    known, _ = await marked(items, seats, 300, "labels")
    own = taught(
        seats,
        [
            await sit(item, seats, untaught(seats), prices=prices)
            for item in drawn([i for i in items if i.split == "tune"], 300, "labels")
        ],
    )
    test = held_out(items, n)
    best = best_of(test, seats)
    theirs = [item.right[best] for item in test]
    for name, experience in (
        ("labels of full councils", known),
        ("labels of its own cascades", own),
        ("no labels", untaught(seats)),
    ):
        sats = [await sit(item, seats, experience, prices=prices) for item in test]
        figure = figures.gain([sat.right for sat in sats], theirs)
        spent = figures.bootstrap(
            [(sum(costs[m] for m in sat.asked) / costs[best],) for sat in sats],
            lambda rows: statistics.fmean(r[0] for r in rows),
        )
        calls = statistics.fmean(len(sat.asked) for sat in sats)
        refused = Counter(purpose for sat in sats for _, purpose in sat.calls if purpose != "opinion")
        more = f"{calls:.2f} answers; refused for want of stored replies: {dict(refused)}"
        gate = name == "labels of full councils"
        print(
            figures.line(
                f"{name}: accuracy against {best}",
                figure,
                "≥ 0",
                figures.at_least(figure, 0.0) if gate else "(no gate)",
                "points",
                more,
            )
        )
        print(
            figures.line(
                f"{name}: price of the answers × {best}",
                spent,
                "≤ 0.6",
                figures.at_most(spent, 0.6) if gate else "(no gate)",
            )
        )
    await _early_stop(test, seats, known)


async def _early_stop(test: Sequence[Item], seats: Sequence[Seat], known: Experience) -> None:
    same, stops = 0, 0
    for item in test:
        early = await sit(item, seats, known, effort="deep")
        if "could overturn" not in early.verdict.stopped:
            continue
        stops += 1
        left = [seat for seat in early.minutes.seats.values() if seat.name not in early.asked]
        ranked = sorted(left, key=lambda seat: -known.skill.get(seat.name, seat.prior))
        most = [seat for seat in seats if seat.name in early.asked] + ranked[: 4 - len(early.asked)]
        full = await sit(item, most, known, everyone=True)
        same += full.choice == early.choice
    said = f"{same} of {stops} stops with the same answer"
    print(
        figures.plain(
            "early stop (deep) against asking all four",
            said,
            "100 %",
            "inconclusive (no stop)" if not stops else "PASS" if same == stops else "FAIL",
        )
    )


async def hostile(data: Data, n: int) -> None:
    """The weakest seat always gives the most popular wrong answer; 20 labels."""
    matrix = data.matrix()
    models = council("A", matrix)
    items, seats = complete(matrix, models), seats_of(models)
    enemy = min(models, key=lambda model: accuracy(items, model))
    spoiled = [against(item, models, enemy) for item in items]
    rows: dict[str, list[bool]] = {"clean": [], "hostile": [], "stale": []}
    for draw in range(4):
        fine, _ = await marked(items, seats, 20, f"labels {draw}")
        warned, _ = await marked(spoiled, seats, 20, f"labels {draw}")
        rows["clean"] += [s.right for s in await everyone(held_out(items, n // 4, f"t{draw}"), seats, fine)]
        rows["hostile"] += [s.right for s in await everyone(held_out(spoiled, n // 4, f"t{draw}"), seats, warned)]
        rows["stale"] += [s.right for s in await everyone(held_out(spoiled, n // 4, f"t{draw}"), seats, fine)]
    figure = figures.gain(rows["hostile"], rows["clean"])
    print(
        figures.line(
            f"{enemy} hostile, 20 labels, against none hostile",
            figure,
            "≥ -1.0",
            figures.at_least(figure, -1.0),
            "points",
            f"clean {share(rows['clean'])}",
        )
    )
    figure = figures.gain(rows["stale"], rows["clean"])
    print(figures.line("the same with what was known before it turned", figure, "-", "(no gate)", "points"))


async def order(data: Data, n: int) -> None:
    """Other orders and names of seats: the same answer with the same confidence."""
    matrix = data.matrix()
    models = council("A", matrix)
    items, seats = complete(matrix, models), seats_of(models)
    known, sats = await marked(items, seats, 60, "labels")
    names = {seat.name: f"expert {index}" for index, seat in enumerate(reversed(seats))}
    renamed = [seat.model_copy(update={"name": names[seat.name]}) for seat in seats]
    again = taught(renamed, sats)
    differ = 0
    test = held_out(items, max(50, n // 10))
    for item in test:
        for effort in EFFORTS:
            want = await sit(item, seats, known, effort=effort)
            backwards = await sit(item, seats[::-1], known, effort=effort)
            other = await sit(item, renamed[::-1], again, effort=effort)
            differ += len({outcome(want), outcome(backwards), outcome(other)}) > 1
    print(
        figures.plain(
            "seats in another order and under other names",
            f"{differ} of {2 * len(test)} differ",
            "0",
            "PASS" if not differ else "FAIL",
        )
    )


async def cpu(data: Data, n: int) -> None:
    """CPU of the engine for one deep council of five without its models; and of learning from 300 labels before it."""
    items = [item for item in data.answers() if item.split != "tune"]
    models = council("A", data.answers())
    items, seats = drawn(complete(items, models), min(n, 100), "cpu"), seats_of(models)
    known, sats = await marked(complete(data.matrix(), models), seats, 300, "labels")
    took = sorted([(await sit(item, seats, known, effort="deep", everyone=True)).cpu_s * 1000 for item in items])
    labels = [label(sat) for sat in sats]
    began = time.process_time()
    learn(seats, labels, (), "auto", "general", NOW)
    learning = (time.process_time() - began) * 1000
    said = f"median {statistics.median(took):.0f} ms, 95 % {took[int(0.95 * len(took))]:.0f} ms"
    print(
        figures.plain(
            f"deep, {len(seats)} seats, whole answers, n={len(items)}",
            said,
            "< 100 ms",
            "PASS" if took[int(0.95 * len(took))] < 100 else "FAIL",
        )
    )
    print(figures.plain("learning from 300 labels, before it", f"{learning:.0f} ms"))


async def text(data: Data, n: int) -> None:
    """Whole stored answers instead of choices: what reading them costs."""
    items = data.answers()
    models = council("A", items)
    items, seats = complete(items, models), seats_of(models)
    known, _ = await marked(items, seats, 300, "labels")
    test = held_out(items, n)
    sats = await everyone(test, seats, known)
    best = best_of(test, seats)
    read = [
        next((o.option for o in sat.minutes.opinions if o.seat == model), "") == sat.item.gold
        for sat in sats
        for model in models
    ]
    stored = [sat.item.right[model] for sat in sats for model in models]
    figure = figures.gain([sat.right for sat in sats], [item.right[best] for item in test])
    agree = sum(a == b for a, b in zip(read, stored, strict=True)) / max(1, len(read))
    more = f"ours {share([s.right for s in sats])}; right or wrong as stored in {agree:.1%} of answers that were read"
    print(
        figures.line(
            "council A on whole answers, against best", figure, "≥ +1.0, interval > 0", "(no gate)", "points", more
        )
    )


SECTIONS: Mapping[str, Section] = {
    "vote": vote, "weak": weak, "calibration": calibration, "code": code, "cascade": cascade, "hostile": hostile,
    "ballots": ballots, "order": order, "cpu": cpu, "text": text,
    # Add here.
}  # fmt: skip


def plurality(item: Item, models: Sequence[str]) -> str:
    """What most say; ties go to whoever is named first."""
    votes = Counter(item.replies[model] for model in models)
    return next(iter(votes.most_common(1)))[0].removeprefix("The answer is (").removesuffix(").")


def against(item: Item, models: Sequence[str], enemy: str) -> Item:
    """The question with the enemy's reply replaced by the most popular wrong one."""
    wrong = Counter(item.replies[m] for m in models if m != enemy and not item.right[m])
    popular = next(iter(wrong.most_common(1)), ("The answer is (A)." if item.gold != "A" else "The answer is (B).", 0))[
        0
    ]
    return Item(
        item.id, item.text, item.split, {**item.replies, enemy: popular}, {**item.right, enemy: False}, item.gold
    )


def outcome(sat: Sat) -> tuple[object, ...]:
    """What must not depend on order or names."""
    solutions = tuple((s.position, round(s.probability, 6), len(s.seats)) for s in sat.verdict.solutions)
    return (sat.choice, round(sat.verdict.confidence, 6), solutions, sat.verdict.agreement.evidence)
