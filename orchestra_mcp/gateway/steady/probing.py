"""Active probes, for those who want them: models that rest are looked for in their vendor's list, which costs nothing.

A model whose vendor answers and still lists it may be asked at once; the next call is then the probe of its breaker.
"""

from __future__ import annotations

import anyio

from orchestra_mcp.errors import ProviderError
from orchestra_mcp.gateway.steady.models import Models
from orchestra_mcp.gateway.transports.transport import Transport
from orchestra_mcp.gateway.vendors.listing import list_models
from orchestra_mcp.settings import Keys


async def keep_probing(models: Models, keys: Keys, http: Transport, every_s: float) -> None:
    """Look every so many seconds, until cancelled."""
    while True:
        await anyio.sleep(every_s)
        await probe(models, keys, http)


async def probe(models: Models, keys: Keys, http: Transport) -> tuple[str, ...]:
    """One look at all models that rest; returns the names of those that may be asked again."""
    woken = []
    for stack in models.built():
        if not stack.keyed.resting() or stack.spec.wire == "agent":
            continue
        try:
            listing = await list_models(stack.spec, keys, http)
        except ProviderError:
            continue
        if listing.status == 200 and (not listing.ids or stack.spec.model in listing.ids):
            stack.keyed.wake()
            woken.append(stack.name)
    return tuple(woken)
