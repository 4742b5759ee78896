"""When a council has heard enough. Pure: each rule gives the reason to stop, as a clause, or nothing.

The rules look at what is already known; none of them asks a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from orchestra_mcp.types import Effort

SURE: Mapping[Effort, float] = {"quick": 0.70, "standard": 0.85, "deep": 0.95, "auto": 0.85}
"""Probability of the first solution from which on more is not asked."""
SEATS = 4
"""Experts at most: a fifth one added nothing on stored answers of real models."""
CRITIQUES: Mapping[Effort, int] = {"quick": 0, "standard": 1, "deep": 2, "auto": 1}
"""Rounds of critique at most."""
SETTLED = 0.1
"""Total variation between two rounds below which nothing moves any more."""
GAIN_DISPUTED = {1: 0.15, 2: 0.15, 3: 0.015}
"""Experts heard → what the next one adds to the probability, where they differ: measured on stored answers of real
models (a strong third .15, a fourth .01 to .02, a fifth nothing)."""
GAIN_AGREED = {1: 0.05, 2: 0.005}
"""The same where all agree; the 2nd opinion on a single answer is worth a twentieth, then next to nothing."""


def lossless(lead: float, unasked: Sequence[float], gamma: float = 1.0) -> str:
    """The lead is greater than all that could still be cast against it, so that the first place cannot change.

    With gamma 1 this is exact wherever answers are the same or not the same for good (positions, options, behaviour):
    the lead must be greater, not equal, whatever the rule for ties. Where a new answer can join two clusters that were
    apart (text, a review), hand in the lead over all others together instead of the lead over the second.

    Args:
        lead: score of the first cluster less that of the second (0 when there is none).
        unasked: weight of each seat that could still be asked.
        gamma: below 1, how much of it is expected to be cast against the lead at most.
    """
    if not unasked:
        return ""
    left = gamma * math.fsum(unasked)
    # Sums in another order differ in their last digits; a lead by less than that is a tie.
    if lead - left <= 1e-9 * max(1.0, abs(lead), left):
        return ""
    who = f"the {len(unasked)} experts not asked" if len(unasked) > 1 else "the expert not asked"
    return f"the lead of {lead:.2f} is more than {who} could overturn ({left:.2f})"


def confident(probability: float, effort: Effort) -> str:
    """The first solution is probable enough for this effort."""
    wanted = SURE[effort]
    if probability < wanted:
        return ""
    return f"the first solution is {probability:.0%} probable, and {effort} effort asks for {wanted:.0%}"


def not_worthwhile(probability: float, heard: int, disputed: bool, value_usd: float, cost_usd: float) -> str:
    """The next expert costs more than what it is expected to add is worth: (p_next − p) · value ≤ cost.

    Args:
        probability: of the first solution, now.
        heard: experts that have answered.
        disputed: whether they differ.
        value_usd: what a right answer is worth to the user.
        cost_usd: what the next expert would cost.
    """
    gain = min((GAIN_DISPUTED if disputed else GAIN_AGREED).get(heard, 0.0), 1 - probability)
    if heard < 1 or gain * value_usd > cost_usd:
        return ""
    if not gain:
        return f"after {heard} experts another one is not expected to add anything"
    return f"another expert would cost ${cost_usd:.3f} and is expected to add {gain:.1%}, worth ${gain * value_usd:.3f}"


def full(heard: int, limit: int = SEATS) -> str:
    """As many experts have answered as are asked at most."""
    return f"{heard} experts have answered, the most that are asked" if heard >= limit else ""


def settled(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """A round of critique moved next to nothing: the total variation of the solutions' probabilities is below .1.

    Args:
        before: solution → probability before the round, by a key that stays the same.
        after: the same after it; a solution that is new or gone counts as 0 on the other side.
    """
    if not (before and after):
        return ""
    moved = 0.5 * math.fsum(abs(before.get(key, 0.0) - after.get(key, 0.0)) for key in before.keys() | after.keys())
    if moved >= SETTLED:
        return ""
    return f"the last round moved the probabilities by {moved:.2f}, which is less than {SETTLED}"


def reviewed_enough(rounds: int, effort: Effort) -> str:
    """As many rounds of critique were held as this effort has."""
    most = CRITIQUES[effort]
    if rounds < most:
        return ""
    if not most:
        return f"{effort} effort has no critique"
    return f"{rounds} round{'s' * (rounds != 1)} of critique, the most that {effort} effort has"
