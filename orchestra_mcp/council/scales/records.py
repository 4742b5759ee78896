"""Whose answers were right, as labels tell it, and under which name a model's record is kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from orchestra_mcp.types import Label, OutcomeSource, Seat

DECAY = 0.98
"""What a week leaves of an outcome's weight: models change behind their names, and so does the work."""
HALF = 0.5
"""Of an outcome: what a new version of a model inherits, what a question of the same mode or domain only is worth, and
what another answer's success says against an answer that was not found to differ by an exact test."""
TRUST: Mapping[OutcomeSource, float] = {"commit": HALF}
"""What the word of a source is worth, where it is not the whole: that lines were taken over shows that somebody thought
them good, not that they were tried; like what worked in part, it counts by half."""


class Hit(NamedTuple):
    """One model's answer whose outcome is known."""

    model: str
    right: bool
    weight: float


@dataclass
class Record:
    """What a model's outcomes come to, each weighed by its certainty and age."""

    hits: float = 0.0
    total: float = 0.0
    right: int = 0
    known: int = 0

    def add(self, hit: Hit, share: float = 1.0) -> None:
        """Count one more outcome."""
        self.hits += share * hit.weight * hit.right
        self.total += share * hit.weight
        self.right += hit.right
        self.known += 1

    def rate(self, prior: float, count: float) -> float:
        """The share of hits, with a prior that is worth so many outcomes."""
        return (count * prior + self.hits) / (count + self.total)


def model_of(seat: Seat) -> str:
    """The name by which a seat's record is kept, the same for all vendors of one model."""
    return model_key(seat.model_id or seat.model or seat.name)


@lru_cache(maxsize=1024)
def model_key(model_id: str) -> str:
    """A model id without its vendor and spelling: `anthropic/claude-opus-5.5` → `claude-opus-5-5`."""
    return re.sub(r"[^a-z0-9]+", "-", model_id.lower().rsplit("/", 1)[-1]).strip("-")


def series_of(model: str) -> str:
    """A model's name without version and date: `claude-opus-5-5` → `claude-opus`; sizes such as `70b` stay."""
    words = []
    for word in model_key(model).split("-"):
        if not re.fullmatch(r"(\d+x)?\d+[bm]", word):
            word = re.sub(r"\d+", "", word)
        if word not in ("", "v", "latest", "preview", "exp"):
            words.append(word)
    return "-".join(words)


def hits_of(label: Label) -> Iterator[Hit]:
    """Whose answer was right and whose wrong, as far as a label says so.

    The right solution's seats hit. The others miss: in full where the answers were told apart by an exact test or the
    verify command decided, by half where another answer may have been right too. Of a rejected solution the seats
    miss, and of the others nothing is known.
    """
    exact = label.source == "verify" or label.evidence in ("exact", "executed")
    for index, cluster in enumerate(label.clusters):
        for model in cluster:
            if index == label.right:
                yield Hit(model_key(model), True, label.weight)
            elif index in label.wrong:
                yield Hit(model_key(model), False, label.weight)
            elif label.right is not None:
                yield Hit(model_key(model), False, label.weight * (1.0 if exact else HALF))


def age(label: Label, now: datetime) -> float:
    """What time and its source leave of a label's weight: 1 for the user's or the tests' word of now."""
    weeks = max(0.0, (now - label.at).total_seconds() / (7 * 24 * 3600))
    return float(DECAY**weeks) * TRUST.get(label.source, 1.0)
