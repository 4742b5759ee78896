"""US dollars in words: with as many digits as it takes to tell two amounts apart. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

STEP = Decimal("0.000001")
"""Money is counted in whole micro-dollars."""


def dollars(amount: Decimal | float, places: int = 2) -> str:
    """An amount with its cents, and with its micro-dollars where it has some: `$5.00`, `$0.0002`, `$0.000011`.

    Args:
        amount: US dollars.
        places: digits behind the point at least.
    """
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(float(amount)))
    rounded = exact.quantize(STEP, ROUND_HALF_EVEN)
    if not rounded and exact > 0:
        return f"less than ${STEP}"
    whole, _, digits = f"{rounded:,f}".partition(".")
    return f"${whole}.{digits.rstrip('0').ljust(places, '0')}"
