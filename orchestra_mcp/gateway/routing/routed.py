"""The routing as a layer: settles the way of a request and hands it on to what follows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Provider
from orchestra_mcp.gateway.routing.router import Router


class Routed:
    """Wraps the layers that go by `request.way`. A way that somebody else has set is settled anew."""

    def __init__(self, inner: Provider, router: Router) -> None:
        self._inner = inner
        self._router = router

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`.

        Raises:
            NotFound, Refused, BudgetExceeded: as `Router.settle`, before anything is asked.
        """
        plan = await self._router.settle(request)
        receipt = request.receipt
        receipt.route = plan.way.route
        if plan.why:
            receipt.why.extend(plan.why)
        settled = request.model_copy(update={"way": plan.way, "use_case": plan.use_case, "max_tokens": plan.max_tokens})
        async with aclosing(self._inner.chat(settled)) as events:
            async for event in events:
                yield event
