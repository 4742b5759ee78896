"""The slow variant: stored answers as experts over loopback HTTP, through `Orchestra.open`, the store and `mark`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import council_figures as figures
from council_data import Data, Item, complete, council, drawn, seats_of
from council_replay import label, sit, taught, untaught
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.types import Question, Verdict

LABELS = 6


async def over_http(data: Data, n: int) -> None:
    """Ask some questions through the whole product, mark the first ones, and compare with the quick variant."""
    items = data.answers()
    models = council("A", items)
    items = complete(items, models)
    learn_from = drawn([item for item in items if item.split == "tune"], LABELS, "http")
    test = drawn([item for item in items if item.split != "tune"], n, "http")
    by_text = {item.text.strip(): item for item in (*learn_from, *test)}
    experts = {model: Expert(says=_stored(model, by_text)) for model in models}
    seats = seats_of(models)
    with tempfile.TemporaryDirectory() as folder, Upstream(experts) as upstream:
        config = Path(folder) / "orchestra.toml"
        config.write_text(_without_families(upstream.models_toml()), encoding="utf-8")
        environ = {**os.environ, "ORCHESTRA_HOME": str(Path(folder) / "data"), "ORCHESTRA_CONFIG": str(config)}
        async with Orchestra.open(environ) as orchestra:
            sats = []
            for item in learn_from:
                verdict = await orchestra.ask(_question(item, models))
                quick = await sit(item, seats, untaught(seats), everyone=True)
                sats.append(quick)
                marks = label(quick)
                for index in [marks.right] if marks.right is not None else marks.wrong:
                    await orchestra.mark(verdict.id, index + 1, "worked" if marks.right is not None else "wrong")
            same = near = 0
            for item in test:
                verdict = await orchestra.ask(_question(item, models))
                quick = await sit(item, seats, taught(seats, sats, item), everyone=True)
                same += _first(verdict) == _first(quick.verdict)
                near += abs(verdict.confidence - quick.verdict.confidence) < 0.005
    said = f"{same} of {len(test)} answers the same, {near} confidences"
    print(
        figures.plain(
            f"quick variant against HTTP, {LABELS} outcomes marked",
            said,
            "all",
            "PASS" if same == near == len(test) else "FAIL",
        )
    )


def _stored(model: str, by_text: dict[str, Item]) -> Callable[[str, int], str]:
    def says(prompt: str, _call: int) -> str:
        if "You judge answers" in prompt or "You compare positions" in prompt or "You chair" in prompt:
            return "I cannot say."  # stored answers hold no reply to this
        found = next((item for text, item in by_text.items() if text in prompt), None)
        return found.replies[model] if found else "I was not asked this."

    return says


def _question(item: Item, models: tuple[str, ...]) -> Question:
    return Question(text=item.text, effort="standard", experts=models)


def _first(verdict: Verdict) -> str:
    return verdict.solutions[0].position if verdict.solutions else ""


def _without_families(toml: str) -> str:
    """The upstream's settings, with families and priors left to the product's catalog."""
    return "\n".join(line for line in toml.split("\n") if not line.startswith("family"))
