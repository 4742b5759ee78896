"""How often a model is right in a kind of use: a shipped prior, moved by what became of its answers.

Beta-binomial: a prior of mean p that is worth N0 observations is Beta(N0·p, N0·(1-p)); after n outcomes of which h
were right its mean is (N0·p + h) / (N0 + n) (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.4). N0 is 10, as
in the council, which uses the same priors (`council/scales/experience.py: PRIOR_COUNT`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

PRIOR_COUNT = 10.0
"""Observations that the prior is worth."""
MOST_KINDS = 4_096
"""Rates that are kept worked out; the use case may come from a client."""


class Quality:
    """Rates by the vendor's id of a model and by use case.

    Args:
        prior_of: (model id, domain) → probability of being right before anything is known.
    """

    def __init__(self, prior_of: Callable[[str, str], float]) -> None:
        self._prior_of = prior_of
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}
        self._rates: dict[tuple[str, str, float | None], float] = {}

    def learn(self, outcomes: Iterable[tuple[str, str, float, float]]) -> None:
        """Add outcomes: (model id, use case, how far it worked from 0 to 1, how much that counts from 0 to 1)."""
        for model_id, use_case, worked, weight in outcomes:
            hits, total = self._seen.get((model_id, use_case), (0.0, 0.0))
            self._seen[model_id, use_case] = (hits + weight * min(1.0, max(0.0, worked)), total + weight)
        self._rates.clear()

    def rate(self, model_id: str, use_case: str, prior: float | None = None) -> float:
        """Probability that an answer of the model is right.

        Args:
            model_id: the vendor's id.
            use_case: of the request; also the domain of the prior.
            prior: where the settings give one.
        """
        key = (model_id, use_case, prior)
        rate = self._rates.get(key)
        if rate is None:
            if len(self._rates) >= MOST_KINDS:
                self._rates.clear()
            mean = self._prior_of(model_id, use_case) if prior is None else prior
            hits, total = self._seen.get((model_id, use_case), (0.0, 0.0))
            rate = self._rates[key] = (PRIOR_COUNT * mean + hits) / (PRIOR_COUNT + total)
        return rate

    def outcomes(self, model_id: str, use_case: str) -> int:
        """Outcomes behind a rate."""
        return int(self._seen.get((model_id, use_case), (0.0, 0.0))[1])
