"""Speaking and listening by turns: whoever listens has to know when we speak."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from orchestra_mcp.edge.nouns import Mouth, Reply


class Turns:
    """A mouth that says when it speaks."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth
        self._speaking = 0
        self.interrupt: Callable[[], None] = lambda: None

    @property
    def speaking(self) -> bool:
        """True while an answer is being told."""
        return self._speaking > 0

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Deliver a reply."""
        self._speaking += 1
        try:
            with anyio.CancelScope() as scope:
                self.interrupt = scope.cancel
                return await self._mouth.tell(reply, link)
            return True  # interrupted by the listener: they have heard enough
        finally:
            self._speaking -= 1
