"""The gateway as those above it see it: something to ask, and what it knows of its models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from orchestra_mcp.errors import NotFound, OrchestraError, ProviderError, Refused
from orchestra_mcp.gateway.caching.replies import Questions
from orchestra_mcp.gateway.dialects.dialect import Vectors
from orchestra_mcp.gateway.embedding.engine import Engine
from orchestra_mcp.gateway.money.budgets import Budgets, Purse
from orchestra_mcp.gateway.money.throttle import Throttle
from orchestra_mcp.gateway.provider import Caller, ChatEvent, ChatRequest, EmbedRequest, Message, Provider
from orchestra_mcp.gateway.routing.quality import Quality
from orchestra_mcp.gateway.routing.router import Router
from orchestra_mcp.gateway.routing.stats import Stats
from orchestra_mcp.gateway.steady.failover import FINAL, summed
from orchestra_mcp.gateway.steady.models import Models, Stack
from orchestra_mcp.settings import Budget, RateLimit

LOOKED_AT = 2_000
"""Characters of the texts by which the way of an embeddings request is settled."""


class Callers:
    """What holds for those who call, beside the settings; a door with keys puts its own functions here."""

    def __init__(self) -> None:
        self.claims: Callable[[Caller], Sequence[Budget]] = lambda _: ()
        """Budgets of a caller."""
        self.limits: Callable[[Caller], Sequence[RateLimit]] = lambda _: ()
        """Rate limits of a caller."""


@dataclass(frozen=True)
class Backing:
    """What the gateway is given by the rooms beside and above it; each part may be missing."""

    purse: Purse | None = None
    """Holds the money of budgets that all processes share."""
    replies: Questions | None = None
    """Keeps answers over restarts."""
    engine: Engine | None = None
    """Makes vectors of questions."""
    here: bool = True
    """The engine runs on this machine."""
    begin: Callable[..., object] | None = None
    """Runs a coroutine function in the background, as `TaskGroup.start_soon` does."""
    callers: Callers = field(default_factory=Callers)
    paces: object = None
    """What `Stats.to_json` gave when the last process ended."""
    outcomes: Sequence[tuple[str, str, float, float]] = ()
    """For `Quality.learn`."""


class Gateway:
    """A `Provider` for every model, route and alias.

    Args:
        top: the whole stack.
        router: names and ways.
        models: the stacks of single models.
        stats: how quick and how busy they are.
        quality: how often they are right.
        targets: the stack below the routing, for requests whose way is settled.
        throttle: the rate limits.
        budgets: the budgets that calls have to keep within.
    """

    def __init__(
        self,
        top: Provider,
        *,
        router: Router,
        models: Models,
        stats: Stats,
        quality: Quality,
        targets: Provider,
        throttle: Throttle,
        budgets: Budgets,
    ) -> None:
        self._top = top
        self.router = router
        self.models = models
        self.stats = stats
        self.quality = quality
        self.targets = targets
        self.throttle = throttle
        self.budgets = budgets

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`.

        Raises:
            NotFound: the name stands for nothing; the message lists what there is.
        """
        return self._top.chat(request)

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Vectors of some texts, from the first target of the name that can make them.

        Raises:
            NotFound, ProviderError, BudgetExceeded: as `chat`.
        """
        problems: list[tuple[str, OrchestraError]] = []
        for stack in await self.stacks(request.model, request.caller, request.texts[0][:LOOKED_AT]):
            try:
                return await stack.vectors.embed(request.model_copy(update={"model": stack.name}))
            except ProviderError as error:
                if error.kind in FINAL and not (isinstance(error, Refused) and error.kind == "request"):
                    raise
                problems.append((stack.name, error))
        raise summed(problems, 0)

    async def stacks(self, name: str, caller: Caller, text: str = "") -> list[Stack]:
        """The stacks that a name leads to, the first to be asked first.

        Raises:
            NotFound, Refused: as `Router.settle`.
        """
        message = Message(role="user", text=text or " ")
        way = await self.router.plan(ChatRequest(model=name, messages=(message,), max_tokens=1, caller=caller))
        found = [self.models[target] for target in way.targets if target in self.models]
        if not found:
            raise NotFound(f"There is no model called {name!r}.")
        return found
