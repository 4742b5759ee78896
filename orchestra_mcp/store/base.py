"""What a store of consultations can do; every back end passes the same contract suite (`tests/test_store.py`)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from orchestra_mcp.store.alerts import AlertBook
from orchestra_mcp.store.costs import CostRow, Dimension
from orchestra_mcp.store.ledger import Purses
from orchestra_mcp.store.memories import Memories
from orchestra_mcp.types import (
    Ballot,
    CallRecord,
    Consultation,
    Entry,
    Label,
    Latency,
    OutcomeName,
    Question,
    Status,
    Summary,
    Turn,
    Verdict,
)


class Store(Protocol):
    """Consultations, kept safely while many server processes write at once.

    Whatever a method has returned from survives `kill -9`. All methods raise `StoreError` when the database cannot be
    used, with a message that says how to mend it; only consents never fail, since without them nobody could be asked.
    """

    @property
    def trouble(self) -> str:
        """Why what is kept is not kept as it should be, and how to mend it; empty when all is well."""
        ...

    @property
    def makeshift(self) -> str:
        """Why this store stands in for the real one, which then is not seen; empty when it is the real one."""
        ...

    @property
    def purses(self) -> Purses:
        """What budgets hold; wired into the gateway."""
        ...

    @property
    def memory(self) -> Memories:
        """What is remembered of finished consultations."""
        ...

    @property
    def alerts(self) -> AlertBook:
        """Rules that have fired."""
        ...

    def note(self, call: CallRecord) -> None:
        """Keep a call that no consultation adds itself; written within a second, never waited for, never fails."""
        ...

    async def begin(self, id: str, question: Question, thread: str) -> None:
        """Record that a consultation has started, owned by this process, status `running`."""
        ...

    async def add(self, id: str, *entries: Entry) -> None:
        """Append what just happened (dossier, opinion, absence, ballot, call), in one transaction."""
        ...

    async def finish(
        self, id: str, status: Status, verdict: Verdict | None, failure: str = "", *entries: Entry
    ) -> None:
        """Record the end of a consultation, and what happened just before it, in one transaction."""
        ...

    async def mark(self, label: Label, outcome: OutcomeName, solution: int) -> Label:
        """Remember what became of one solution, and return all that is now known of this consultation's solutions.

        The last word of one source on one solution replaces its earlier one. Of the label, the facts are kept
        (clusters, rankings, features, …); what was right or wrong follows from all marks, whoever wrote them.

        Args:
            label: as `council.labels.label_of` makes it; its `consultation` must have begun.
            outcome: what became of the solution.
            solution: its rank, counted from 1; at most the number of the label's clusters.
        """
        ...

    async def labels(self, limit: int = 2000) -> tuple[Label, ...]:
        """One label for each of the last marked consultations, newest first, made of all its marks.

        Where the user and the verify command marked the same solution, the user's word counts. A label that cannot
        be read is left out: a track record that lacks one is still a track record.
        """
        ...

    async def recent_ballots(self, limit: int = 400) -> tuple[tuple[Ballot, ...], ...]:
        """The ballots of the newest consultations that have any, by consultation, newest first."""
        ...

    async def get(self, id: str) -> Consultation:
        """One consultation, whole; `latest` is an id, `voice` is the newest that was asked aloud, and so is any unambiguous
        beginning of one.

        A consultation that still says `running` but whose process is gone is returned as `interrupted`.

        Raises:
            NotFound: with the ids that come closest.
        """
        ...

    async def list(
        self, limit: int = 20, project: str | None = None, *, before: str = "", workspace: str | None = None
    ) -> tuple[Summary, ...]:
        """The newest consultations, newest first.

        Args:
            limit: at most so many.
            project: an absolute root; None for all.
            before: only those that came before this one, by its id (for paging); empty for the newest.
            workspace: only what its keys asked; None for all.
        """
        ...

    async def projects(self, limit: int = 50) -> tuple[str, ...]:
        """Roots of projects that the owner asked about (no key of a workspace), the one asked about last first."""
        ...

    async def thread(self, id: str) -> tuple[Turn, ...]:
        """The finished turns of the conversation that `id` belongs to, oldest first."""
        ...

    async def spent_since(self, when: datetime) -> Decimal:
        """What all calls since then cost, in US dollars."""
        ...

    async def costs(
        self, by: Dimension, since: datetime, until: datetime | None = None, purpose: str = ""
    ) -> tuple[CostRow, ...]:
        """What calls cost, by one dimension and by model; `purpose` picks calls for one thing, such as `opinion`."""
        ...

    async def latency(self, by: Dimension, since: datetime, until: datetime | None = None) -> tuple[Latency, ...]:
        """How long calls took, by one dimension; see `latency.latencies`."""
        ...

    async def allowed(self, project: str) -> frozenset[str]:
        """Providers that the user has allowed to see this project's code."""
        ...

    async def allow(self, project: str, providers: frozenset[str]) -> None:
        """Remember the user's consent."""
        ...

    async def look_after(self) -> None:
        """Finish what other processes left undone, by being killed or being of an earlier version; for now and then."""
        ...

    async def close(self) -> None:
        """Write what is pending and let go of the database."""
        ...
