"""A reply on all its ways at once: the voice, the desktop, the phone. One that fails hinders none of the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import anyio

from orchestra_mcp.edge.nouns import Mouth, Reply
from orchestra_mcp.edge.speaking.summary import visible
from orchestra_mcp.telemetry.notifying import Desktop

logger = logging.getLogger(__name__)

LONGEST_S: Final = 60.0
"""For one way. Some 45 words take the slowest voice 33 s (`voice.WORDS_PER_S`, with its start)."""
TITLE_CHARS: Final = 80


class Delivery:
    """All ways to the speaker, by name."""

    def __init__(self, mouths: Mapping[str, Mouth], longest_s: float = LONGEST_S) -> None:
        self._mouths = dict(mouths)
        self._longest_s = longest_s

    async def tell(self, reply: Reply, link: str = "") -> tuple[str, ...]:
        """Deliver a reply everywhere, and wait for all.

        Returns:
            The names of the ways that worked, in their order; empty when nobody was reached.
        """
        told: set[str] = set()
        async with anyio.create_task_group() as tasks:
            for name, mouth in self._mouths.items():
                tasks.start_soon(self._one, name, mouth, reply, link, told)
        return tuple(name for name in self._mouths if name in told)

    async def _one(self, name: str, mouth: Mouth, reply: Reply, link: str, told: set[str]) -> None:
        try:
            with anyio.move_on_after(self._longest_s):
                if await mouth.tell(reply, link):
                    told.add(name)
        except Exception as error:  # noqa: BLE001 - mouths never raise, and one that does must not silence the others
            logger.warning("An answer could not be told by %s (%s)", name, type(error).__name__)


class DesktopMouth:
    """Notifications of the desktop; a click opens the verdict."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Show a reply; False where there is no desktop."""
        title, text = reply.notice
        title = title or visible(reply.heard, TITLE_CHARS) or "Orchestra"
        return await self._desktop.show(title, text or visible(reply.spoken, 400), link)
