"""What a store of consultations can do; every back end passes the same contract suite (`tests/test_store.py`)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from orchestra_mcp.types import Consultation, Entry, Question, Status, Summary, Turn, Verdict


class Store(Protocol):
    """Consultations, kept safely while many server processes write at once.

    Whatever a method has returned from survives `kill -9`. All methods raise `StoreError` when the database cannot be
    used, with a message that says how to mend it.
    """

    async def begin(self, id: str, question: Question, thread: str) -> None:
        """Record that a consultation has started, owned by this process, status `running`."""
        ...

    async def add(self, id: str, *entries: Entry) -> None:
        """Append what just happened (dossier, opinion, absence, ballot, call), in one transaction."""
        ...

    async def finish(self, id: str, status: Status, verdict: Verdict | None, failure: str = "") -> None:
        """Record the end of a consultation."""
        ...

    async def get(self, id: str) -> Consultation:
        """One consultation, whole; `latest` is an id, and so is any unambiguous beginning of one.

        A consultation that still says `running` but whose process is gone is returned as `interrupted`.

        Raises:
            NotFound: with the ids that come closest.
        """
        ...

    async def list(self, limit: int = 20, project: str | None = None) -> tuple[Summary, ...]:
        """The newest consultations, newest first; `project` is an absolute root, None for all."""
        ...

    async def thread(self, id: str) -> tuple[Turn, ...]:
        """The finished turns of the conversation that `id` belongs to, oldest first."""
        ...

    async def spent_since(self, when: datetime) -> Decimal:
        """What all calls since then cost, in US dollars."""
        ...

    async def allowed(self, project: str) -> frozenset[str]:
        """Providers that the user has allowed to see this project's code."""
        ...

    async def allow(self, project: str, providers: frozenset[str]) -> None:
        """Remember the user's consent."""
        ...

    async def close(self) -> None:
        """Write what is pending and let go of the database."""
        ...
