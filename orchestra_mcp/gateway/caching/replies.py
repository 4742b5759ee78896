"""What the caches need of a store; `orchestra_mcp.store.replies` has it in SQLite."""

from __future__ import annotations

from typing import NamedTuple, Protocol

Neighbour = tuple[int, float, str, bytes, float]
"""A question that was asked before: its number, the cosine, its text, the key of its reply, and when (s since 1970)."""
Judged = tuple[str, float, bool]
"""An offer that was judged: its class, its score, and whether the answer was right."""


class Offered(NamedTuple):
    """An answer that was offered for a similar question, to be judged later."""

    id: str
    question: int
    """Number of the earlier question."""
    asked: bytes
    """Hash of the question that it was offered for: judging the same pair twice counts once."""
    kind: str
    """Class of the difference, see `likeness`."""
    scope: str
    score: float


class Replies(Protocol):
    """Keeps replies over restarts. Nothing here raises: a store that fails has no replies."""

    async def get(self, key: bytes) -> bytes | None:
        """The body of a reply that is not too old."""
        ...

    def put(self, key: bytes, body: bytes, at: float, until: float) -> None:
        """Keep a reply; returns at once and writes later."""
        ...


class Questions(Replies, Protocol):
    """Finds earlier questions by their vectors, too, and remembers what was said of offers."""

    def note(self, partition: bytes, tag: str, text: str, vector: tuple[float, ...], key: bytes, until: float) -> None:
        """Keep a question beside its reply; returns at once and writes later."""
        ...

    async def nearest(
        self, partition: bytes, tag: str, vector: tuple[float, ...], count: int, least: float
    ) -> list[Neighbour]:
        """Earlier questions of the partition whose cosine is at least `least`, the most similar first."""
        ...

    def offer(self, offered: Offered) -> None:
        """Remember an offer; returns at once. The same pair keeps its first id and its judgement."""
        ...

    async def judge(self, offer: str, right: bool, scope: str | None) -> bool:
        """Say whether an offered answer was right; False when there is no such offer in the scope (None: any)."""
        ...

    async def tally(self, kind: str, scope: str) -> tuple[int, int]:
        """How many judged offers of a class were right, and how many there are."""
        ...

    async def judged(self, question: int) -> list[Judged]:
        """What was said of the offers of one earlier question."""
        ...
