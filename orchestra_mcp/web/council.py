"""The council as a model: a chat request becomes a consultation, its events are thinking, its report is the reply.

`orchestra/council` answers the last message of the user; `orchestra/debate` holds a debate over it. `metadata` of the
request may say more: `consultation_id` (go on from there), `project_dir`, `mode`, `effort`, `detail`,
`max_cost_usd`, `rounds`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

import anyio

from orchestra_mcp.errors import BudgetExceeded, NotFound, Unavailable, UserError
from orchestra_mcp.foreign import one_line
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    Message,
    ReasoningDelta,
    TextDelta,
)
from orchestra_mcp.report import verdict_report
from orchestra_mcp.types import Detail, Effort, Event, Mode, Question, Verdict
from orchestra_mcp.web.access import Access
from orchestra_mcp.web.asking import COUNCIL, Asking

PROGRESS_S = 5.0
"""A line of progress at least so often, in seconds."""
TURNS = 6
TURN_CHARS = 2_000
"""How much of the conversation before the question the experts see."""
SYSTEM_CHARS = 1_000
"""Longer system turns are the prompts of coding CLIs, about their own tools: they tell the experts nothing."""
CHUNK = 400
"""Characters of the report in one event, about."""
CANCEL_S = 1.5

STAGES = {
    "collecting": "collecting the evidence",
    "collected": "evidence collected",
    "seated": "seated",
    "asked": "was asked",
    "answered": "answered",
    "absent": "is absent",
    "agreed": "the answers agree",
    "checking": "claims are checked against the code",
    "reviewing": "reviews the answers",
    "voted": "has voted",
    "ruling": "writes the synthesis",
    "note": "note",
}
"""Words for events; one that is not here is not told."""


class Council:
    """The council behind the shape of a provider."""

    def __init__(self, asking: Asking, access: Access) -> None:
        self._asking, self._access = asking, access

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream a consultation; one that nobody waits for any more is cancelled with its calls.

        Raises:
            UserError: no such council, the question or its metadata are wrong, or the key may not ask.
            BudgetExceeded: nobody could be asked within the budget.
            ProviderError: the council failed, or would ask itself.
        """
        if request.model not in COUNCIL:
            raise NotFound(f"There is no council called {request.model[:100]!r}; there are {' and '.join(COUNCIL)}.")
        principal = self._access.principal(request.caller)
        question, project, detail = asked(request)
        run = await self._asking.start(principal, question, project)
        receipt = request.receipt
        receipt.model = receipt.model_id = request.model
        receipt.provider = "orchestra"
        receipt.why.append(f"consultation {run.id}")
        try:
            yield ReasoningDelta(text=f"Consultation {run.id} begins.\n")
            lines: deque[str] = deque()
            with self._asking.hub.listen(run.id) as listener:
                while not run.done:
                    item = await listener.next(PROGRESS_S)
                    line = told(item.event) if item else run.progress
                    if line and (not lines or lines[-1] != line):
                        lines.append(line)
                        yield ReasoningDelta(text=line + "\n")
                    if item and item.event.kind == "closed":
                        break
            await run.wait(CANCEL_S)
            verdict = run.so_far()
            usage = verdict.usage
            receipt.cost_usd, receipt.unpriced = usage.cost_usd, usage.unpriced > 0
            receipt.upstream_s = verdict.seconds
            _whole(verdict)
            for piece in pieces(verdict_report(verdict, detail)):
                yield TextDelta(text=piece)
            yield Finish(reason="stop", usage=usage, model=request.model)
        finally:
            receipt.attempts = len(run.minutes.calls)
            if not run.done:
                with anyio.move_on_after(CANCEL_S, shield=True):
                    await run.cancel()


def _whole(verdict: Verdict) -> None:
    """Make sure that there is an answer, even if a degraded one.

    Raises:
        BudgetExceeded: no expert answered, and each of them for want of money.
        Unavailable: no expert answered, or it was cancelled.
    """
    if verdict.status == "cancelled":
        raise Unavailable(f"Consultation {verdict.id} was cancelled.")
    if verdict.status != "failed":
        return
    said = f"Consultation {verdict.id}: {verdict.headline}"
    if verdict.absent and all(absence.kind == "budget" for absence in verdict.absent):
        raise BudgetExceeded(said)
    raise Unavailable(said)


def told(event: Event) -> str:
    """An event as one line of thinking; empty when it is not told."""
    if event.kind not in STAGES:
        return ""
    said = f"{event.seat} {STAGES[event.kind]}" if event.seat else STAGES[event.kind]
    return one_line(f"{said}: {event.detail}" if event.detail else said, 300)


def pieces(text: str) -> list[str]:
    """A text in pieces of whole lines, so that a client has something to show; together they are the text."""
    found, piece = list[str](), ""
    for line in text.splitlines(keepends=True):
        piece += line
        if len(piece) >= CHUNK:
            found.append(piece)
            piece = ""
    return [*found, piece] if piece else found


# ---------------------------------------------------------------------------------------------- reading the request


def asked(request: ChatRequest) -> tuple[Question, str, Detail]:
    """The question of a chat request, its project directory, and the length of the report.

    Raises:
        UserError: there is no question, or the metadata make no sense.
    """
    metadata = request.extra.get("metadata")
    given: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
    turns = [message for message in request.messages if message.role != "system" and _text(message)]
    if not turns or turns[-1].role != "user":
        raise UserError("The last message must be the user's question, as text.")
    strategy: Literal["consult", "debate"] = "debate" if COUNCIL.get(request.model) == "debate" else "consult"
    continues = _word(given, "consultation_id")
    text = _text(turns[-1]).strip()
    if not continues:  # what Orchestra remembers itself need not be told twice
        text += _before([m for m in request.messages if m.role == "system"], turns[:-1])
    cost = None
    if "max_cost_usd" in given:
        with suppress(InvalidOperation):
            cost = Decimal(str(given["max_cost_usd"]))
        if cost is None or not cost.is_finite() or cost < 0:
            raise UserError("metadata.max_cost_usd must be an amount in US dollars, such as 0.50.")
    rounds = _word(given, "rounds") or "3"
    if rounds not in ("1", "2", "3", "4", "5", "6"):
        raise UserError("metadata.rounds must be a number from 1 to 6.")
    question = Question(
        text=text,
        strategy=strategy,
        mode=_choice(given, "mode", get_args(Mode), "auto"),
        effort=_choice(given, "effort", get_args(Effort), "auto"),
        rounds=int(rounds),
        max_cost_usd=cost,
        deadline_s=request.deadline_s,
        continues=continues or None,
    )
    return question, _word(given, "project_dir"), _choice(given, "detail", get_args(Detail), "standard")


def _text(message: Message) -> str:
    """The words of a message; other parts are not the council's."""
    return "".join(part.text for part in message.content if part.kind == "text")


def _before(system: Sequence[Message], turns: Sequence[Message]) -> str:
    """What was said before, as context below the question; empty when there was nothing."""
    kept = [message for message in system if len(_text(message)) <= SYSTEM_CHARS]
    said = [f"{message.role}: {_short(_text(message))}" for message in (*kept, *turns[-TURNS:]) if _text(message)]
    if left := len(system) - len(kept):
        said.insert(0, f"(Left out: {left} system turn{'s' * (left > 1)} of more than {SYSTEM_CHARS:,} characters.)")
    return "\n\nWhat was said before in this conversation:\n\n" + "\n\n".join(said) if said else ""


def _short(text: str) -> str:
    return text if len(text) <= TURN_CHARS else text[:TURN_CHARS] + " […]"


def _word(given: dict[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, (str, int)) or len(str(value)) > 4096:
        raise UserError(f"metadata.{name} must be a text.")
    return str(value)


def _choice(given: dict[str, Any], name: str, choices: tuple[str, ...], default: str) -> Any:
    value = _word(given, name) or default
    if value not in choices:
        raise UserError(f"metadata.{name} must be one of {', '.join(choices)}.")
    return value
