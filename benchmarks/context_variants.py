"""The mix with one part taken away, for the ablation of `context.py`. Nothing stays changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
from context_asking import HEAD, Eyes, dossier, packed
from context_cases import Case
from context_scores import Positions, positions

from orchestra_mcp.context.index import retrieval
from orchestra_mcp.context.reading import signals

FULL = "full mix"
NO_MATTER = 1e6
"""A floor so high that what is added to it no longer tells places apart."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A module's constant with another value."""

    name: str
    module: ModuleType
    constant: str
    value: Any


# Constants of `retrieval` that only order places. Add here; one that is gone is passed over.
PLACES: tuple[tuple[str, str, float], ...] = (
    ("places: BM25 of the unit off", "UNIT", 0.0),
    ("places: words of its name off", "NAME", 0.0),
    ("places: being named off", "DEFINES", 0.0),
    ("places: only the unit counts", "FILE_FLOOR", NO_MATTER),
    ("places: only the file counts", "UNIT_FLOOR", NO_MATTER),
)


def variants() -> list[Variant]:
    """One for each signal, then the demotion, the title, and what orders places."""
    weights, demotion, worth = retrieval.WEIGHTS, retrieval.DEMOTION, signals.WORTH
    found = [Variant(f"without {name}", retrieval, "WEIGHTS", {**weights, name: 0.0}) for name in weights]
    found.append(Variant("no demotion", retrieval, "DEMOTION", dict.fromkeys(demotion, 0.0)))
    found.append(Variant("title counts as prose", signals, "WORTH", {**worth, "title": worth["prose"]}))
    found.append(Variant("code in the question off", signals, "WORTH", {**worth, "code": 0.0, "output": 0.0}))
    found += [Variant(n, retrieval, constant, value) for n, constant, value in PLACES if hasattr(retrieval, constant)]
    return found


@contextmanager
def using(variant: Variant | None) -> Iterator[None]:
    """The variant holds in here."""
    if variant is None:
        yield
        return
    before = getattr(variant.module, variant.constant)
    setattr(variant.module, variant.constant, variant.value)
    try:
        yield
    finally:
        setattr(variant.module, variant.constant, before)


@dataclass(frozen=True, slots=True)
class Scored:
    """What one case got from one variant."""

    found: Positions
    functions: float | None


def scores(case: Case, root: Path, home: Path) -> dict[str, Scored]:
    """A case under the full mix and every variant; files and histories are read once for all of them."""

    async def ask() -> dict[str, Scored]:
        eyes = Eyes(root, home)
        found: dict[str, Scored] = {}
        for variant in (None, *variants()):
            with using(variant):
                seen = await dossier(case.text, eyes, HEAD)
            name = variant.name if variant else FULL
            found[name] = Scored(positions(seen.files, case.gold_files), packed(case, seen).functions)
        return found

    return anyio.run(ask)
