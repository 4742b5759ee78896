"""How much one voice weighs. Pure.

Never a head count: one strong seat with four weak ones loses 6 to 11 points by plurality, and nothing by weights that
follow a track record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestra_mcp.types import Claim, Opinion

UNCITED = 0.85
"""Soundness of an answer that cites nothing that could be checked."""
RHO = 0.47
"""Error correlation of two frontier models where no history says better (measured .38 to .50)."""


def logit(p: float) -> float:
    """Log-odds of a probability, clipped to [.05, .95]."""
    p = min(0.95, max(0.05, p))
    return math.log(p / (1 - p))


def vote(p: float) -> float:
    """The weight of a vote whose seat is right with probability p: w = max(.05, logit p + ln 2).

    The textbook's weight is logit p + ln(K - 1) for K equally likely answers; real models err together, so that K = 3
    was best on stored councils (K = 10, the number of options, trusts correlated agreement too much).
    """
    return max(0.05, logit(p) + math.log(2))


def weight(opinion: Opinion, base: float) -> float:
    """How much one opinion counts: its seat's weight, lowered by claims that the code refutes.

    Half of the weight hangs on the claims being true (a design choice, not a measured one); an opinion that cites
    nothing verifiable keeps 85 %.
    """
    return base * soundness(opinion.claims)


def soundness(claims: Sequence[Claim]) -> float:
    """1 when every claim that points at code holds; down to .5 when all are refuted; .85 when there is none."""
    outcomes = [claim.check.outcome for claim in claims if claim.check]
    verified, refuted = outcomes.count("verified"), outcomes.count("refuted")
    if not (verified or refuted):
        return UNCITED
    return 1 - 0.5 * refuted / (verified + refuted)
