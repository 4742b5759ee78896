"""What is known of the seats before a question: how often each is right here, how much it weighs, how well it judges. Pure.

Rates are learned from `Label`s (consultations whose outcome is known); without any, they are the shipped priors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestra_mcp.council.agreement import RHO, logit
from orchestra_mcp.types import Ballot, Label, Mode, Seat


@dataclass(frozen=True)
class Experience:
    """What is known of the seats for one mode and domain; all maps are by seat name."""

    skill: Mapping[str, float] = field(default_factory=dict)
    """Probability that the seat's answer is right, 0 to 1."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much its vote counts, above 0."""
    judging: Mapping[str, float] = field(default_factory=dict)
    """How much its ballots count (r = max(0, logit η)); 0 for a judge in quarantine."""
    coefficients: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Kind of evidence → β of the confidence, where the user's own outcomes have moved it."""
    labels: int = 0
    """Outcomes that this rests on."""
    rho: float = RHO
    """Error correlation of two seats."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Seat → what its rates rest on: `prior .74, right in 9 of 12`, `in quarantine as a judge: …`."""


def learn(
    seats: Sequence[Seat],
    labels: Sequence[Label],
    ballots: Sequence[Sequence[Ballot]],
    mode: Mode,
    domain: str,
    now: datetime,
) -> Experience:
    """What the labels and past ballots say of these seats, for a question of this mode and domain."""
    raise NotImplementedError
