"""What every tool does at the door: keep a long call alive, answer in both channels, put errors in words.

A long call is never deaf and never late: it reports progress at least every few seconds, ends when the
client's patience does (the rest arrives under the consultation's id), and stops its run on cancel.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ResourceLink, TextContent
from mcp_types.version import is_version_at_least
from pydantic import BaseModel

from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.tools.host import Host

if TYPE_CHECKING:
    from orchestra_mcp.app import Run
    from orchestra_mcp.types import Status

URI = "orchestra://consultations/"
POLL_S = 0.5
CANCEL_S = 0.5
"""A cancelled call waits so many seconds for its run to stop; recording it goes on without the caller."""
MAX_MESSAGE = 200
"""Characters; Claude Code shows no more of a progress message."""

ELAPSED = re.compile(r"\(\d+ s\)")
"""The clock in a progress line is no news."""

ToolContext = Context[Host, Any]


class Outcome(BaseModel):
    """Structured content of every tool; `report` repeats the text, since clients show one or the other."""

    status: str
    """`ok`, or how far the consultation is: `complete`, `degraded`, `running`, `failed`, …"""
    report: str
    """The whole answer in Markdown."""
    consultation_id: str = ""
    confidence: float | None = None
    cost_usd: float = 0


Result = Annotated[CallToolResult, Outcome]


def answer(
    report: str,
    status: Status | str = "ok",
    consultation_id: str = "",
    confidence: float | None = None,
    cost_usd: float = 0,
    is_error: bool = False,
) -> CallToolResult:
    """The same complete Markdown as text and as `report`, with a link to the transcript when there is one."""
    # Whatever it quotes: a text that cannot be encoded would end the whole server.
    report = report.encode("utf-8", "replace").decode("utf-8")
    outcome = Outcome(
        status=status,
        report=report,
        consultation_id=consultation_id,
        confidence=confidence,
        cost_usd=round(cost_usd, 6),
    )
    content: list[Any] = [TextContent(type="text", text=report)]
    if consultation_id:
        content.append(
            ResourceLink(
                type="resource_link",
                uri=URI + consultation_id,
                name=f"Consultation {consultation_id}",
                description="Everything that was said, with the context that was sent",
                mime_type="text/markdown",
            )
        )
    return CallToolResult(
        content=content,
        structured_content=outcome.model_dump(mode="json", exclude_none=True),
        is_error=is_error,
    )


def host_of(ctx: ToolContext) -> Host:
    """The server's host of Orchestra."""
    return ctx.request_context.lifespan_context


def patience_s(ctx: ToolContext) -> float | None:
    """The soft deadline of the client that made this call, in seconds; None when it needs none."""
    client = ctx.session.client_params
    return host_of(ctx).patience.limit(client.client_info.name if client else "")


def asks_by_result(ctx: ToolContext) -> bool:
    """True since protocol revision 2026-07-28: a question is a result, and the client calls again with the answer."""
    return is_version_at_least(ctx.protocol_version or "", "2026-07-28")


class Progress:
    """A progress bar that always moves: strictly increasing, below its total until the call is answered."""

    TOTAL = 100.0

    def __init__(self, ctx: ToolContext) -> None:
        self._ctx = ctx
        self._started = time.monotonic()
        self._last = 0.0
        self._sent_at = float("-inf")
        self._said = ""

    async def beat(self, said: str, share: float = 0.0) -> None:
        """Report when there is news, or when the client has not heard from us for a heartbeat.

        Args:
            said: what happens now, in one line.
            share: how much of the work is done, 0 to 1, as far as it is known.
        """
        now = time.monotonic()
        news = ELAPSED.sub("", said)
        if news == self._said and now - self._sent_at < host_of(self._ctx).patience.heartbeat_s:
            return
        self._said, self._sent_at = news, now
        seconds = now - self._started
        known = self.TOTAL * max(0.9 * share, 0.9 * seconds / (seconds + 60))
        self._last = max(known, self._last + (self.TOTAL - self._last) / 1000)
        message = " ".join(said.split())
        if len(message) > MAX_MESSAGE:
            message = message[: MAX_MESSAGE - 1] + "…"
        await self._ctx.report_progress(self._last, self.TOTAL, message)


async def follow(ctx: ToolContext, run: Run, limit_s: float | None) -> bool:
    """Wait for a run while keeping the client informed; False when patience ran out before it was done.

    Raises:
        OrchestraError: the run failed.
    """
    progress = Progress(ctx)
    ends = float("inf") if limit_s is None else time.monotonic() + limit_s
    while not run.done:
        everybody = len(run.answered) + len(run.awaited)
        await progress.beat(run.progress, len(run.answered) / everybody if everybody else 0)
        left = ends - time.monotonic()
        if left <= 0:
            return False
        await run.wait(min(POLL_S, left))
    return await run.wait(0)


@asynccontextmanager
async def cancelling(run: Run) -> AsyncIterator[None]:
    """When the client cancels the call inside, the run is cancelled too, with its upstream calls."""
    try:
        yield
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(CANCEL_S, shield=True):
            await run.cancel()
        raise


def in_words(error: BaseException) -> str | None:
    """What a client may read of an error; None when it was not foreseen and nothing of it may be shown."""
    while isinstance(error, BaseExceptionGroup):
        known = error.subgroup(OrchestraError)
        error = (known or error).exceptions[0]
    return str(error) if isinstance(error, OrchestraError) else None


UNFORESEEN = (
    "Something went wrong inside Orchestra; nothing more is known here. Try once more; if it stays, ask the "
    "user to run `orchestra doctor` in a terminal and to look at this server's log (standard error)."
)
