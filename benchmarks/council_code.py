"""The section on programs: answers are run on the question's own cases, in the product's own workbench."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import council_figures as figures
from council_data import Data, complete, drawn, seats_of
from council_replay import Sat, taught, untaught
from council_sittings import best_of, everyone, share

from orchestra_mcp.context.trial.workbench import ProjectWorkbench
from orchestra_mcp.types import Behaviour, Probe, Trial


async def code(data: Data, n: int) -> None:
    """Programs are run on the question's own cases; half of the questions teach, the others are judged, and back."""
    for name in ("classeval", "livecodebench"):
        items = data.code(name)
        models = tuple(sorted({model for item in items for model in item.replies}))
        items = drawn(complete(items, models), n, "code")
        if not items:
            print(figures.plain(name, "no such data"))
            continue
        seats = seats_of(models, "python")
        sats: list[Sat] = []
        async with ProjectWorkbench(None, clean=_as_it_is) as hands:
            bench = Remembering(hands)
            halves = [[item for item in items if item.split == split] for split in ("tune", "test")]
            first = [await everyone(half, seats, untaught(seats), workbench=bench) for half in halves]
            for half, others in zip(halves, reversed(first), strict=True):
                sats += await everyone(half, seats, taught(seats, others), workbench=bench)
        best = best_of(items, seats)
        ours, theirs = [sat.right for sat in sats], [sat.item.right[best] for sat in sats]
        oracle = share([any(item.right[m] for m in models) for item in items])
        kinds = Counter(sat.verdict.agreement.evidence for sat in sats)
        figure = figures.gain(ours, theirs)
        more = f"ours {share(ours)}, {best} {share(theirs)}, oracle {oracle}; evidence {dict(kinds)}"
        print(
            figures.line(
                f"{name}, {len(seats)} seats, against best",
                figure,
                "> 0",
                figures.at_least(figure, 0.05, 0.0),
                "points",
                more,
            )
        )
        for what, scores in (
            ("agreement", [sat.verdict.agreement.share for sat in sats]),
            ("confidence", [sat.verdict.confidence for sat in sats]),
        ):
            figure = figures.area(scores, ours)
            outcome = figures.at_least(figure, 0.85) if what == "agreement" else "(no gate)"
            print(figures.line(f"{name}, AUROC of {what}", figure, "towards .85", outcome))
        figure = figures.expected_error([sat.verdict.confidence for sat in sats], ours)
        print(figures.line(f"{name}, ECE", figure, "-", "(no gate)"))


class Remembering:
    """A workbench that runs the same program on the same probes once: teaching and judging share the runs."""

    def __init__(self, bench: ProjectWorkbench) -> None:
        self._bench = bench
        self._known: dict[tuple[str, tuple[Probe, ...]], Behaviour | None] = {}

    @property
    def refusal(self) -> str:
        """As `Workbench.refusal`."""
        return self._bench.refusal

    async def behave(self, code: str, language: str, probes: Sequence[Probe]) -> Behaviour | None:
        """As `Workbench.behave`."""
        key = code, tuple(probes)
        if key not in self._known:
            self._known[key] = await self._bench.behave(code, language, probes)
        return self._known[key]

    async def normal_form(self, code: str, language: str) -> str:
        """As `Workbench.normal_form`."""
        return await self._bench.normal_form(code, language)

    async def try_patch(self, patch: str) -> Trial:
        """As `Workbench.try_patch`."""
        return await self._bench.try_patch(patch)


async def _as_it_is(text: str) -> str:
    return text
