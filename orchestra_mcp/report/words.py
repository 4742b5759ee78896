"""How amounts are written, in reports and pages alike. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def dollars(usd: Decimal | float) -> str:
    """US dollars as they are written everywhere: cents, and below a dollar hundredths of cents too where there are any."""
    value = Decimal(str(usd))
    if value and abs(value) < Decimal("0.00005"):
        return "<$0.0001"
    exact = value.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    if abs(exact) >= 1 or exact == exact.quantize(Decimal("0.01")):
        return f"${value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    return f"${exact}"
