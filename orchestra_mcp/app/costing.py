"""What vendors' prompt caches save, for whoever reports costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from orchestra_mcp.settings import ModelSpec, Settings
from orchestra_mcp.store.costs import CostRow


def discounts(settings: Settings, models: Mapping[str, ModelSpec]) -> Callable[[CostRow], Decimal | None]:
    """What a million tokens cost less when the vendor reads them from its cache, at today's prices."""
    from orchestra_mcp.gateway.money.prices import price

    known: dict[tuple[str, str, str], Decimal | None] = {}

    def of(row: CostRow) -> Decimal | None:
        if not row.cache_read_tokens:
            return None
        who = (row.provider, row.model, row.model_id)
        if who not in known:
            spec = models.get(row.model) or ModelSpec(
                base_url=f"https://{row.provider}", model=row.model_id or row.model or "-"
            )
            found = price(spec, table=settings.prices)
            known[who] = None if found is None else max(Decimal(0), found.base.input - found.base.cache_read)
        return known[who]

    return of
