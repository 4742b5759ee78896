"""What the door needs of the house behind it: one object, handed in by whoever builds the application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra_mcp.errors import NotFound, Refused
from orchestra_mcp.gateway.dialects.dialect import Vectors
from orchestra_mcp.gateway.provider import Caller, ChatEvent, ChatRequest, EmbedRequest, Provider
from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest
from orchestra_mcp.web.draining import Drain

if TYPE_CHECKING:
    from starlette.types import Scope

COUNCIL = "orchestra/"
"""Names of models that are the council itself begin so: `orchestra/council`, `orchestra/debate`."""
OWNER = Caller()
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One name that may be asked for."""

    name: str
    kind: str = "model"
    """`model`, `route`, `alias` or `council`."""
    owner: str = "orchestra"
    """Who receives the text."""
    model_id: str = ""
    """The vendor's name of it."""
    context_tokens: int | None = None
    created: datetime = EPOCH


@dataclass(frozen=True)
class Desk:
    """The house behind the door.

    Args:
        gateway: the whole stack.
        models: the names that a caller may ask for.
        council: answers requests for models whose names begin with `orchestra/`.
        embed: texts to vectors.
        transcribe: speech to text.
        deadline_s: longest time for one request, in seconds; a reply that is not complete by then is given up.
        heartbeat_s: a stream in which nothing has been said for so long says that it is still there.
        drain: says when the server closes.
    """

    gateway: Provider
    models: Callable[[Caller], Sequence[ModelCard]] = lambda _caller: ()
    council: Callable[[ChatRequest], AsyncGenerator[ChatEvent, None]] | None = None
    embed: Callable[[EmbedRequest], Awaitable[Vectors]] | None = None
    transcribe: Callable[[TranscriptionRequest], Awaitable[Transcript]] | None = None
    deadline_s: float = 600
    heartbeat_s: float = 15
    drain: Drain = field(default_factory=lambda: Drain(0))

    @staticmethod
    def caller(scope: Scope) -> Caller:
        """On whose behalf a request is made, as the guard has found it."""
        state = scope.get("state")
        found = state.get("caller") if state else None
        return found if isinstance(found, Caller) else OWNER

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """The reply of a model, or of the council.

        Raises:
            NotFound: there is no council here.
        """
        if not request.model.startswith(COUNCIL):
            return self.gateway.chat(request)
        if self.council is None:
            raise NotFound("The council cannot be asked through this server.")
        return self.council(request)

    async def vectors(self, request: EmbedRequest) -> Vectors:
        """Vectors of some texts.

        Raises:
            ProviderError, NotFound, BudgetExceeded: as a chat.
        """
        if self.embed is None:
            raise Refused("No model that makes embeddings is set up on this server.", "model")
        return await self.embed(request)

    async def words(self, request: TranscriptionRequest) -> Transcript:
        """What was said.

        Raises:
            ProviderError, NotFound, BudgetExceeded: as a chat.
        """
        if self.transcribe is None:
            raise Refused("No model that transcribes speech is set up on this server.", "model")
        return await self.transcribe(request)
