"""How sure a rate is: the interval that holds it with a given probability, when it is Beta-distributed. Pure.

A prior of mean p that is worth n₀ observations is Beta(n₀·p, n₀·(1−p)); after h hits and m misses it is
Beta(n₀·p + h, n₀·(1−p) + m) (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.4). Counts may be fractions.
"""

from __future__ import annotations

import math

TINY = 1e-300
STEPS = 60
"""Halvings: the bounds are exact to the last digit of a double near 1."""


def credible(hits: float, misses: float, mean: float, worth: float, mass: float = 0.95) -> tuple[float, float]:
    """The equal-tailed interval of a rate.

    Args:
        hits: observed, weighted.
        misses: observed, weighted.
        mean: of the prior, strictly between 0 and 1.
        worth: observations that the prior is worth, above 0.
        mass: probability that the rate lies within.

    Returns:
        Its lower and upper end, 0 to 1.
    """
    a, b = worth * mean + hits, worth * (1 - mean) + misses
    return quantile((1 - mass) / 2, a, b), quantile((1 + mass) / 2, a, b)


def quantile(share: float, a: float, b: float) -> float:
    """The x below which so much of Beta(a, b) lies, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def below(x: float, a: float, b: float) -> float:
    """I_x(a, b), the share of Beta(a, b) below x: the continued fraction 8.17.22 of the NIST Digital Library of
    Mathematical Functions, on the side where it converges quickly (x < (a + 1) / (a + b + 2)), else by 8.17.4."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - below(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) - math.lgamma(a) - math.lgamma(b) + math.lgamma(a + b)
    return math.exp(log_front) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d₁/(1 + d₂/(1 + …))) by Lentz's method as Thompson and Barnett (1986) changed it."""
    f, c, d = 1.0, 1.0, 0.0
    for step in range(2000):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _not_zero(1 + term * d)
        c = _not_zero(1 + term / c)
        f *= c * d
        if step and abs(1 - c * d) < 1e-14:
            break
    return f - 1


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
