"""Setting money aside for one call, in the purses of all budgets that it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import anyio

from orchestra_mcp.errors import BudgetExceeded, StoreError
from orchestra_mcp.gateway.money.budgets import Budgets, Hold, Purse
from orchestra_mcp.gateway.provider import Caller, Receipt
from orchestra_mcp.settings import Budget

HOLD_MARGIN_S = 60.0
WAIT_S = 10.0
"""A call waits so long for money that calls in flight hold, and will not spend."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 0.5


class Wanted(NamedTuple):
    """What a call needs, in micro-dollars; see `Purse.reserve`."""

    amount: int
    floor: int
    certain: int
    total_s: float
    """Seconds that the call takes at most."""


async def set_aside(
    purse: Purse,
    budgets: Budgets,
    claims: Sequence[Budget],
    wanted: Wanted,
    *,
    caller: Caller,
    receipt: Receipt,
    now: Callable[[], float],
) -> Hold | None:
    """The hold of a call; None when only the day's budget applies and the purse cannot be reached.

    Args:
        claims: the budgets that the call touches; see `Budgets.claims`.
        now: seconds from any fixed point.

    Raises:
        BudgetExceeded: one of them has too little (`WindowSpent`), or cannot be looked into.
    """
    amount, floor, certain, total_s = wanted
    until = now() + min(total_s, WAIT_S)
    wait = FIRST_WAIT_S
    try:
        hold = await purse.reserve(claims, amount, floor, certain, total_s + HOLD_MARGIN_S)
        # What calls in flight hold is their worst case: most of it comes back when they end.
        while hold.short is not None and floor <= hold.left + hold.held and now() < until:
            await anyio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)
            hold = await purse.reserve(claims, amount, floor, certain, total_s + HOLD_MARGIN_S)
    except StoreError as error:
        if budgets.only_daily(claims):  # the ledger watches over the day too, if only of this process
            receipt.why.append("the day's budget of other processes is not known")
            return None
        raise BudgetExceeded(f"A budget applies to this call and cannot be looked into. {error}") from error
    if hold.short is not None:
        raise budgets.refusal(hold, caller, floor)
    return hold


def unpriced(model: str, claim: Budget) -> BudgetExceeded:
    """The error for a model of unknown price that a budget applies to, where such calls are refused.

    No ProviderError: it says nothing about the model's health.
    """
    return BudgetExceeded(
        f"{model}: its price is unknown, and the budget of {claim.per} for the {claim.window} applies to it. Name its "
        'price in [[prices]] of orchestra.toml, or set unknown_prices = "ceiling" in [gateway].'
    )
