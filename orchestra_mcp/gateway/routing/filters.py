"""Which targets can take a request. What is unknown of a model excludes nothing; what excludes one can be told and mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from orchestra_mcp.errors import BudgetExceeded, OrchestraError, Refused
from orchestra_mcp.gateway.money.dollars import dollars
from orchestra_mcp.gateway.provider import Caller, ChatRequest
from orchestra_mcp.gateway.routing.asked import Asked
from orchestra_mcp.gateway.routing.facts import CEILING, Facts

Filter = Literal["unknown", "policy", "window", "output", "ability", "unpriced", "price", "budget", "resting"]
Allowed = Callable[[Caller, str], bool]
Resting = Callable[[str], float | None]
Left = Callable[[ChatRequest, str], Decimal | None]

ANSWER_TOKENS = 32_768
"""Tokens of the worst answer, where a request sets no limit and the model's own is not known; as the meter reserves."""
LEAST_ANSWER = 256
"""A target that the money pays fewer tokens for is passed over; as the meter does it."""
MOST_TOLD = 8
ROUNDING = 1e-12
"""US dollars; prices are compared as floats here, and counted as decimals where money is spent."""

MENDS: dict[Filter, str] = {
    "unknown": "correct the names of the route's targets in orchestra.toml",
    "policy": "ask an administrator to allow the model for this key or workspace",
    "window": "shorten the prompt or lower max_tokens, or name a model with a larger window",
    "output": "lower max_tokens",
    "ability": "name a model that can take it, or correct `abilities` of the model in orchestra.toml",
    "unpriced": 'give its price in [[prices]], or set unknown_prices = "ceiling" in [gateway]',
    "price": "shorten the prompt or lower max_tokens, or raise max_usd_per_call of the route",
    "budget": "shorten the prompt or lower max_tokens, or raise the budget",
    "resting": "ask again later",
}


class Passed(NamedTuple):
    """A target that was passed over, by which filter, and how far it is off."""

    name: str
    filter: Filter
    limit: float = 0.0
    """Tokens, US dollars or seconds, by the filter."""
    asked: float = 0.0
    what: str = ""

    @property
    def told(self) -> str:
        """Why, in words: `sol has a window of 8,000 tokens and about 12,000 are needed`."""
        match self.filter:
            case "unknown":
                return f"{self.name} is not a model here"
            case "policy":
                return f"{self.name} is not allowed for this key"
            case "window":
                return f"{self.name} has a window of {self.limit:,.0f} tokens and about {self.asked:,.0f} are needed"
            case "output":
                return f"{self.name} answers with {self.limit:,.0f} tokens at most, not {self.asked:,.0f}"
            case "ability":
                return f"{self.name} takes no {self.what}"
            case "unpriced":
                return f"the price of {self.name} is unknown"
            case "price":
                return f"{self.name} could cost {dollars(self.asked, 4)} and {dollars(self.limit, 4)} is the most for one call"
            case "budget":
                return (
                    f"{self.name} could cost {dollars(self.asked, 4)} and its budget has {dollars(self.limit, 4)} left"
                )
            case _:
                return f"{self.name} rests for {self.limit:.0f} s after failures"


class Sieved(NamedTuple):
    """The targets of a route, divided."""

    fit: list[str]
    resting: list[Passed]
    """Fit but for their breaker."""
    passed: list[Passed]
    """All others."""


class Terms(NamedTuple):
    """What targets have to meet beside what the request itself needs."""

    allowed: Allowed
    resting: Resting
    left: Left | None = None
    """Money that is left for a call of the request to a model, None where no budget applies."""
    cap: float | None = None
    """US dollars that one call may cost at most."""
    refuse_unpriced: bool = False
    """Where money matters: pass over models of unknown price, in place of taking the ceiling."""


def sieve(names: Sequence[str], facts: Mapping[str, Facts], request: ChatRequest, asked: Asked, terms: Terms) -> Sieved:
    """Divide targets into those that can take a request, those that rest, and the others; each in the given order."""
    fit: list[str] = []
    resting: list[Passed] = []
    passed: list[Passed] = []
    for name in names:
        known = facts.get(name)
        if known is None:
            passed.append(Passed(name, "unknown"))
        elif (why := barred(name, known, request, asked, terms)) is not None:
            passed.append(why)
        elif seconds := terms.resting(name):
            resting.append(Passed(name, "resting", seconds))
        else:
            fit.append(name)
    return Sieved(fit, resting, passed)


def barred(name: str, known: Facts, request: ChatRequest, asked: Asked, terms: Terms) -> Passed | None:
    """Why a model cannot take a request, its breaker aside; None when it can."""
    if not terms.allowed(request.caller, name):
        return Passed(name, "policy")
    return unable(name, known, request, asked) or (
        _too_dear(name, known, request, asked, terms) if terms.cap is not None or terms.left is not None else None
    )


def unable(name: str, known: Facts, request: ChatRequest, asked: Asked, lenient: float = 1.0) -> Passed | None:
    """Why a request is too much for a model; None when it is not, as far as is known.

    Args:
        name: of the model.
        known: the facts of it.
        request: what is asked.
        asked: its size and needs.
        lenient: share of the estimated prompt that has to fit; the estimate can be twice the truth.
    """
    if asked.needs and known.abilities is not None and not _can(asked, known):
        missing = ", ".join(sorted(asked.needs - known.abilities))
        return Passed(name, "ability", what=missing)
    if known.window is not None:
        needed = int(asked.tokens * lenient) + (request.max_tokens or 0)
        if needed > known.window:
            return Passed(name, "window", known.window, needed)
    if known.most_output is not None and request.max_tokens is not None and request.max_tokens > known.most_output:
        return Passed(name, "output", known.most_output, request.max_tokens)
    return None


def _can(asked: Asked, known: Facts) -> bool:
    # A model that keeps to a schema writes JSON too.
    able = known.abilities or frozenset()
    return asked.needs <= able or ("schema" in able and asked.needs - {"json"} <= able)


def _too_dear(name: str, known: Facts, request: ChatRequest, asked: Asked, terms: Terms) -> Passed | None:
    left = terms.left(request, name) if terms.left is not None else None
    if left is None and terms.cap is None:
        return None
    if known.tariff is None and terms.refuse_unpriced:
        return Passed(name, "unpriced")
    # A request without a limit gets one that can be paid (`affordable`), so that little is enough here.
    least = min(LEAST_ANSWER, known.most_output or LEAST_ANSWER)
    worst = (known.tariff or CEILING).worst(asked.tokens, request.max_tokens or least)
    if terms.cap is not None and worst > terms.cap + ROUNDING:
        return Passed(name, "price", terms.cap, worst)
    if left is not None and worst > float(left) + ROUNDING:
        return Passed(name, "budget", float(left), worst)
    return None


def affordable(names: Sequence[str], facts: Mapping[str, Facts], asked: Asked, cap: float) -> int | None:
    """Tokens of the longest answer that `cap` US dollars pay at each of these targets; None when they pay the longest that
    a model is held to anyway."""
    limits: list[int] = []
    for name in names:
        known = facts[name]
        most = known.most_output or ANSWER_TOKENS
        paid = (known.tariff or CEILING).affords(asked.tokens, cap)
        if paid < most:
            limits.append(max(1, paid))
    return min(limits, default=None)


def nothing_left(whom: str, passed: Sequence[Passed]) -> OrchestraError:
    """The error for a request that no target can take: which filter took out which, and how to mend it.

    Args:
        whom: what was asked, such as `the route 'code'`.
        passed: all targets, with the filter that took each out.

    Returns:
        `BudgetExceeded` when only money stands in the way, else `Refused` (`policy` when only the policy does).
    """
    filters = {each.filter for each in passed}
    told = "; ".join(each.told for each in passed[:MOST_TOLD])
    if len(passed) > MOST_TOLD:
        told += f"; and {len(passed) - MOST_TOLD} more"
    mend = "; or ".join(text for filter, text in MENDS.items() if filter in filters)
    text = f"No model of {whom} can take this request: {told or 'it has none'}. To mend it: {mend or 'add models'}."
    if filters and filters <= {"unpriced", "price", "budget"}:
        return BudgetExceeded(text)
    return Refused(text, "policy" if filters == {"policy"} else "request")
