"""Orchestra: the one place where parts are chosen and wired, and the one `ask` behind every door.

A door (MCP, command line, later HTTP and voice) builds a `Question` and calls `ask`, or `start` when it wants to follow
the run, show what there is so far and come back later. Everything that a consultation produces is in the store before
anybody is told of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from orchestra_mcp.types import Consultation, CouncilStatus, Observer, Plan, Question, Summary, Verdict


class Run:
    """A consultation of this process, while it runs and until the process ends."""

    id: str
    question: Question
    verdict: Verdict | None
    """The final verdict, once there is one (also for degraded ones)."""

    @property
    def done(self) -> bool:
        """True when nothing more will happen."""
        raise NotImplementedError

    @property
    def answered(self) -> tuple[str, ...]:
        """Seats that have given an opinion."""
        raise NotImplementedError

    @property
    def awaited(self) -> tuple[str, ...]:
        """Seats that are thinking right now."""
        raise NotImplementedError

    @property
    def progress(self) -> str:
        """One line, at most 200 characters: stage, who has answered, who is awaited."""
        raise NotImplementedError

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done, at most `timeout_s` seconds; True when done. Never cancels the run.

        Raises:
            OrchestraError: the run itself failed (once it is done).
        """
        raise NotImplementedError

    def so_far(self) -> Verdict:
        """The best verdict from what has arrived, made without any model; its status is `running`."""
        raise NotImplementedError

    async def cancel(self) -> None:
        """Stop it, abort its upstream calls, record it as cancelled; returns when that is done (within 2 s)."""
        raise NotImplementedError


class Orchestra:
    """All parts, wired. Use `async with Orchestra.open() as orchestra`."""

    @classmethod
    @asynccontextmanager
    async def open(cls, environ: Mapping[str, str] | None = None) -> AsyncIterator[Orchestra]:
        """Read the settings and open the store; runs still going at exit are cancelled and recorded as such.

        Raises:
            SettingsError: the configuration is wrong.
        """
        raise NotImplementedError
        yield

    def project(self, given: str | None, client_roots: Sequence[str] = ()) -> Path | None:
        """The project root: what was given, `ORCHESTRA_PROJECT_DIR`, `CLAUDE_PROJECT_DIR`, a root that the client
        declared, or the current directory if it looks like a project; None when there is none.

        Raises:
            ProjectError: what was given does not exist, is no directory, or is not allowed.
        """
        raise NotImplementedError

    async def ask(self, question: Question, observer: Observer | None = None) -> Verdict:
        """Ask the council and wait. Cancelling this call cancels the consultation and its upstream calls.

        Raises:
            UserError: the question, its files, seats or settings are wrong, or consent is missing.
        """
        raise NotImplementedError

    async def start(self, question: Question, observer: Observer | None = None) -> Run:
        """Check the question, record it, and let it run in the background. Raises as `ask`."""
        raise NotImplementedError

    def run(self, id: str) -> Run | None:
        """A run of this process by its id (`latest` too)."""
        raise NotImplementedError

    async def plan(self, question: Question) -> Plan:
        """Collect the context and say who would be asked at what cost, without asking anybody."""
        raise NotImplementedError

    async def consultation(self, id: str, wait_s: float = 0) -> Consultation:
        """A past or running consultation, of this or another process; waits up to `wait_s` for its end.

        Raises:
            NotFound: no such id; the message names the newest ones.
        """
        raise NotImplementedError

    async def history(self, limit: int = 20, project: str | None = None) -> tuple[Summary, ...]:
        """The newest consultations, newest first."""
        raise NotImplementedError

    async def status(self, project: str | None = None) -> CouncilStatus:
        """Who is seated and why, what is missing and how to add it, what was spent."""
        raise NotImplementedError

    async def needs_consent(self, project: str | None) -> tuple[str, ...]:
        """Providers of seated experts that may not see this project's code yet (never local ones)."""
        raise NotImplementedError

    async def allow(self, project: str, providers: Sequence[str]) -> None:
        """Remember that the user lets these providers see this project's code."""
        raise NotImplementedError
