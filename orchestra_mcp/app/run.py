"""A consultation of this process: followed, left, come back to, cancelled."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.types import Absence, CallRecord, Consultation, Event, Question, Span, Verdict, Watched

CANCEL_S = 1.5
"""Longest time that a cancelled run takes to be recorded, in seconds."""


class Run:
    """A consultation of this process, while it runs and until the process ends."""

    def __init__(self, id: str, question: Question, minutes: Minutes, redactor: Redactor) -> None:
        self.id = id
        self.question = question
        self.redactor = redactor
        """The one of this consultation: in all that is said in it, a secret has the same number."""
        self.verdict: Verdict | None = None
        self.minutes = minutes
        self.error: OrchestraError | None = None
        self.scope = anyio.CancelScope()
        self.pending: list[CallRecord] = []
        """Calls that are not stored yet; they go with the next entry."""
        self.events: list[Event] = []
        self.spans: list[Span] = []
        """What was seen and is not stored yet."""
        self.late: list[Absence] = []
        """Who was cut off when it ended; stored with the end."""
        self.started = anyio.current_time()
        self.began = datetime.now(UTC)
        self.recorded = True
        """False when the store would not take it."""
        self._ended = anyio.Event()

    @property
    def done(self) -> bool:
        """True when nothing more will happen."""
        return self._ended.is_set()

    @property
    def answered(self) -> tuple[str, ...]:
        """Seats that have given an opinion."""
        return self.minutes.answered()

    @property
    def awaited(self) -> tuple[str, ...]:
        """Seats that are thinking right now."""
        return tuple(self.minutes.awaited)

    @property
    def progress(self) -> str:
        """One line, at most 200 characters: stage, who has answered, who is awaited."""
        elapsed = anyio.current_time() - self.started
        parts = [self.minutes.stage]
        if self.minutes.asked:
            parts.append(f"{len(self.answered)}/{len(set(self.minutes.asked))} answered")
        if self.awaited:
            parts.append(f"awaiting {', '.join(self.awaited)}")
        return f"{'; '.join(parts)} ({elapsed:.0f} s)"[:200]

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done, at most `timeout_s` seconds; True when done. Never cancels the run.

        Raises:
            OrchestraError: the run itself failed (once it is done).
        """
        with anyio.move_on_after(timeout_s):
            await self._ended.wait()
        if self.done and self.error:
            raise self.error
        return self.done

    async def ended(self, at: float) -> bool:
        """Wait for the end, at most until `at` on the loop's clock; raises nothing."""
        with anyio.move_on_at(at):
            await self._ended.wait()
        return self.done

    def so_far(self) -> Verdict:
        """The best verdict from what has arrived, made without any model; its status is `running` until it is done."""
        self.minutes.seconds = anyio.current_time() - self.started
        return self.verdict or conclude(self.minutes)

    def seen(self) -> tuple[Watched, ...]:
        """What is to be stored of what was seen, which then counts as stored; nothing when nothing was seen."""
        if not self.events and not self.spans:
            return ()
        watched = Watched(events=tuple(self.events), spans=tuple(self.spans))
        self.events.clear()
        self.spans.clear()
        return (watched,)

    async def cancel(self) -> None:
        """Stop it, abort its upstream calls, record it as cancelled; returns when that is done (within 2 s)."""
        self.scope.cancel()
        with anyio.move_on_after(CANCEL_S, shield=True):
            await self._ended.wait()

    def end(self, verdict: Verdict | None, error: OrchestraError | None = None) -> None:
        """Tell everyone who waits."""
        self.verdict, self.error = verdict, error
        self._ended.set()

    def remembered(self) -> Consultation:
        """What is known of it, for a run that the store would not take."""
        minutes = self.minutes
        return Consultation(
            id=self.id,
            thread=self.question.continues or self.id,
            question=self.question,
            status=self.verdict.status if self.verdict else "failed" if self.done else "running",
            started=self.began,
            dossier=minutes.dossier,
            opinions=(*minutes.residents, *minutes.opinions),
            absences=tuple(minutes.absences),
            ballots=tuple(minutes.ballots),
            calls=tuple(minutes.calls),
            verdict=self.verdict,
            failure=str(self.error or ""),
        )
