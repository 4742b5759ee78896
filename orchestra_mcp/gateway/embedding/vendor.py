"""Vectors from a provider's embeddings API, through a function that is handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from orchestra_mcp.errors import BadReply, Unavailable
from orchestra_mcp.gateway.embedding.engine import Vector, unit

Ask = Callable[[tuple[str, ...]], Awaitable[tuple[Vector, ...]]]
"""Texts to vectors, as the provider gives them."""
ANSWER_S = 10.0
MOST_NUMBERS = 8192


class Vendor:
    """Asks a provider; always ready.

    Args:
        ask: makes the call.
        model: names the provider's model in the tag.
    """

    ready = True

    def __init__(self, ask: Ask, model: str) -> None:
        self._ask = ask
        self._tag = f"provider:{model}"

    @property
    def tag(self) -> str:
        """Engine and model."""
        return self._tag

    def start(self) -> None:
        """Nothing has to be loaded."""

    async def embed(self, texts: tuple[str, ...]) -> tuple[Vector, ...]:
        """One vector of unit length for each text.

        Raises:
            ProviderError: the provider's own, `Unavailable` after ten seconds, `BadReply` for vectors of odd shapes.
        """
        try:
            with anyio.fail_after(ANSWER_S):
                vectors = await self._ask(texts)
        except TimeoutError:
            raise Unavailable("The embeddings API took too long.", "timeout") from None
        widths = {len(vector) for vector in vectors}
        if len(vectors) != len(texts) or len(widths) > 1 or not all(0 < w <= MOST_NUMBERS for w in widths):
            raise BadReply("The embeddings API sent another number of vectors, or vectors of odd lengths.")
        return tuple(unit(vector) for vector in vectors)

    async def aclose(self) -> None:
        """Nothing was begun."""
