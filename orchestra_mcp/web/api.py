"""`/api`: consultations, live events, spending, models, outcomes, for programs and pages that show them.

Add an endpoint here: a method, a row in `routes`, and its row in `openapi.py`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from orchestra_mcp.errors import NotFound, RateLimited, StoreError, UserError
from orchestra_mcp.report import transcript, verdict_report
from orchestra_mcp.store.costs import TIMES, VALUES, CostRow, Dimension, lines
from orchestra_mcp.store.rows import encode
from orchestra_mcp.types import Consultation, JsonObject, Question, Summary
from orchestra_mcp.web.access import Forbidden, Principal
from orchestra_mcp.web.answering import answering, body, number, principal_of, reply, reply_whole
from orchestra_mcp.web.asking import Asking
from orchestra_mcp.web.events import (
    HEARTBEAT_S,
    LOOK_AGAIN_S,
    Numbered,
    Places,
    Retelling,
    Standing,
    sse,
    stream,
    while_allowed,
)
from orchestra_mcp.web.nouns import Ask, Asked, Judgement, Mark, Me, Percentiles, Spending
from orchestra_mcp.web.openapi import document

LIST = 100
QUERY_CHARS = 2_000
MOST_SKIPPED = 1_000
"""Matches of a search beyond which nothing is listed."""
LOOK_S = 1.0
"""How often a run of another process is looked up for its events, in seconds."""

Judge = Callable[[str, bool, Principal], Awaitable[bool]]
"""Keeps whether an offered answer was right; False when there is no such offer of theirs."""
Costs = Callable[[Dimension, datetime], Awaitable[Sequence[CostRow]]]
Models = Callable[[Principal], Awaitable[Sequence[JsonObject]]]


class Api:
    """The handlers of `/api`.

    Args:
        asking: the way to the council.
        models: names that may be asked for, with facts and health.
        costs: what calls cost since a time, by a dimension.
        judge: where judgements of offers go; None while nothing is offered.
    """

    def __init__(self, asking: Asking, models: Models, costs: Costs, judge: Judge | None = None) -> None:
        self._asking, self._models, self._costs, self._judge = asking, models, costs, judge
        self._places = Places()

    def routes(self) -> list[BaseRoute]:
        """All routes below `/api`."""
        one = "/api/consultations/{id}"
        return [
            Route("/api/me", answering(self.me), methods=["GET"]),
            Route("/api/consultations", answering(self.history), methods=["GET"]),
            Route("/api/consultations", answering(self.ask), methods=["POST"]),
            Route(one, answering(self.consultation), methods=["GET"]),
            Route(one, answering(self.forget), methods=["DELETE"]),
            Route("/api/export", answering(self.export), methods=["GET"]),
            Route(f"{one}/report", answering(self.report), methods=["GET"]),
            Route(f"{one}/cancel", answering(self.cancel), methods=["POST"]),
            Route(f"{one}/outcome", answering(self.mark), methods=["POST"]),
            Route(f"{one}/events", answering(self.events), methods=["GET"]),
            Route("/api/spending", answering(self.spending), methods=["GET"]),
            Route("/api/latency", answering(self.latency), methods=["GET"]),
            Route("/api/alerts", answering(self.alerts), methods=["GET"]),
            Route("/api/models", answering(self.models), methods=["GET"]),
            Route("/api/status", answering(self.status), methods=["GET"]),
            Route("/api/experts", answering(self.experts), methods=["GET"]),
            Route("/api/offers/{id}", answering(self.judge), methods=["POST"]),
            Route("/api/openapi.json", answering(self.openapi), methods=["GET"]),
            WebSocketRoute("/api/events", self.live),
        ]

    async def me(self, request: Request) -> Response:
        """Who is calling."""
        who = principal_of(request.scope)
        permissions = tuple(sorted(who.permissions))
        if who.key is None:
            return reply(Me(owner=True, permissions=permissions))
        return reply(
            Me(
                owner=False,
                key=who.key.id,
                name=who.key.name,
                workspace=who.key.workspace,
                role=who.key.role,
                permissions=permissions,
                terms=who.key.terms,
            )
        )

    # ----------------------------------------------------------------------------------------------- consultations

    async def history(self, request: Request) -> Response:
        """The newest consultations, newest first; with `query` those that fit it, best first, and where they do."""
        who = principal_of(request.scope)
        limit = int(number(request, "limit", 20, 1, LIST))
        query = request.query_params.get("query", "")
        if query.strip():
            offset = int(number(request, "offset", 0, 0, MOST_SKIPPED))
            place = request.query_params.get("project") or None
            hits = await self._asking.search(who, query[:QUERY_CHARS], limit, offset, place)
            hits = tuple(hit.model_copy(update={"summary": _summary(who, hit.summary)}) for hit in hits)
            return reply({"consultations": [hit.summary for hit in hits], "found": hits})
        found = await self._asking.history(who, limit, request.query_params.get("project") or None)
        return reply({"consultations": [_summary(who, summary) for summary in found]})

    async def ask(self, request: Request) -> Response:
        """Start a consultation: 202 while it runs, 200 with the verdict when it ended within `wait_s`."""
        who = principal_of(request.scope)
        given = await body(request, Ask)
        left = given.model_dump(exclude={"question", "project_dir", "consultation_id", "wait_s"})
        question = Question(text=given.question, continues=given.consultation_id or None, **left)
        run = await self._asking.start(who, question, given.project_dir)
        done = await run.wait(given.wait_s)
        verdict = run.so_far()
        status = verdict.status if done else "running"
        started = Asked(id=run.id, status=status, progress=run.progress, verdict=verdict)
        return reply(started, 200 if done else 202)

    async def consultation(self, request: Request) -> Response:
        """One consultation; `detail=full` with everything that was said and sent."""
        who = principal_of(request.scope)
        kept = await self._asking.get(who, request.path_params["id"], number(request, "wait_s", 0, 0, 600))
        return await reply_whole(_consultation(who, kept, request.query_params.get("detail") == "full"))

    async def forget(self, request: Request) -> Response:
        """Remove a consultation, with everything that was said in it."""
        who = principal_of(request.scope)
        id = await self._asking.own_id(who, request.path_params["id"])
        await self._asking.forget(who, id)
        self._asking.hub.forget(id)
        return reply({"forgotten": True})

    async def export(self, request: Request) -> Response:
        """Whole consultations as JSON lines, oldest first; for the owner."""
        who = principal_of(request.scope)
        if not who.is_owner:
            raise Forbidden("Only the owner may export what all have asked.")
        since, before = (_moment(request, name) for name in ("since", "before"))
        project = request.query_params.get("project") or None

        async def lines_of() -> AsyncGenerator[bytes, None]:
            kept = self._asking.orchestra.exported(project=project, since=since, before=before)
            async with aclosing(kept) as consultations:
                async for one in consultations:
                    yield encode(one).encode("utf-8", "replace") + b"\n"

        headers = {"cache-control": "no-store", "content-disposition": 'attachment; filename="consultations.jsonl"'}
        return StreamingResponse(lines_of(), media_type="application/x-ndjson", headers=headers)

    async def report(self, request: Request) -> Response:
        """The report of a consultation as Markdown; `detail=full`: the transcript."""
        who = principal_of(request.scope)
        detail = request.query_params.get("detail", "standard")
        if detail not in ("brief", "standard", "full"):
            raise UserError("detail must be brief, standard or full.")
        kept = await self._asking.get(who, request.path_params["id"])
        # In a thread: of large answers it takes a second, and the loop serves models meanwhile.
        text = await anyio.to_thread.run_sync(_report, kept, detail)
        return PlainTextResponse(text, media_type="text/markdown")

    async def cancel(self, request: Request) -> Response:
        """Stop a consultation of this process."""
        who = principal_of(request.scope)
        _need(who, "ask")
        id = await self._asking.own_id(who, request.path_params["id"])
        run = self._asking.orchestra.run(id)
        if run is None:
            raise UserError(f"Consultation {id} does not run in this server.")
        await run.cancel()
        return reply({"id": id, "status": run.so_far().status})

    async def mark(self, request: Request) -> Response:
        """Remember what became of a solution."""
        who = principal_of(request.scope)
        _need(who, "mark")
        given = await body(request, Mark)
        id = await self._asking.own_id(who, request.path_params["id"])
        return reply(await self._asking.orchestra.mark(id, given.solution, given.outcome))

    # ------------------------------------------------------------------------------------------------------ events

    async def events(self, request: Request) -> Response:
        """Server-Sent Events of one consultation, from its beginning or after `Last-Event-ID`."""
        who = principal_of(request.scope)
        id = await self._asking.own_id(who, request.path_params["id"])
        after = _after(request.headers.get("last-event-id") or request.query_params.get("after", ""))
        hub = self._asking.hub
        if await self._forgotten(id):
            raise NotFound(f"There is no consultation {id[:60]!r}.")
        if hub.over(id, after):
            return Response(status_code=204)  # by which an EventSource knows that it need not come back
        if self._places.full(who.caller.key):
            raise RateLimited("Too many listen to events already; look at the consultation itself.", 30)
        said = stream(hub, id, after) if hub.knows(id) else self._looked_up(id)
        events = while_allowed(said, self._standing(who), self._places, who.caller.key)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _forgotten(self, id: str) -> bool:
        """True when a consultation is gone from the store, by another process perhaps; then its events go too."""
        run = self._asking.orchestra.run(id)
        if run is not None and not run.done:
            return False
        try:
            await self._asking.orchestra.consultation(id)
        except NotFound:
            self._asking.hub.forget(id)
            return True
        except StoreError:  # nobody can tell
            return False
        return False

    async def _looked_up(self, id: str) -> AsyncGenerator[bytes, None]:
        """Events of a run that another door or process holds, or held: what is kept of it, looked at now and then."""
        telling, silent = Retelling(), 0.0
        while True:
            kept = await self._asking.orchestra.consultation(id)
            for event in telling.fresh(kept):
                silent = 0.0
                yield sse(Numbered(0, event))
            if kept.status != "running":
                return
            await anyio.sleep(LOOK_S)
            silent += LOOK_S
            if silent >= HEARTBEAT_S:
                yield b": still here\n\n"
                silent = 0.0

    async def live(self, socket: WebSocket) -> None:
        """All events that the caller may see, or those of one run (`run=`), as JSON texts."""
        who = principal_of(socket.scope)
        run = socket.query_params.get("run", "")
        after = _after(socket.query_params.get("after", ""))
        if run:
            try:
                run = await self._asking.own_id(who, run)
            except NotFound as error:
                await socket.close(1008, str(error)[:100])
                return
        if self._places.full(who.caller.key):
            await socket.close(1013, "too many listen already")
            return
        with self._places.taken(who.caller.key):
            for id in self._asking.hub.runs():
                if (not run or id == run) and self._asking.may_watch(who, id):
                    await self._forgotten(id)
            await socket.accept()
            await self._say(socket, who, run, after)

    async def _say(self, socket: WebSocket, who: Principal, run: str, after: int) -> None:
        """Pass events on until the client leaves or its key ends."""
        standing, wanted = self._standing(who), partial(self._asking.may_watch, who)
        with self._asking.hub.listen(run, after, wanted) as listener:
            async with anyio.create_task_group() as group:

                async def until_gone() -> None:
                    try:
                        while True:
                            await socket.receive_text()
                    except (WebSocketDisconnect, KeyError):  # KeyError: bytes, which mean nothing here
                        group.cancel_scope.cancel()

                group.start_soon(until_gone)
                try:
                    while True:
                        item = await listener.next(LOOK_AGAIN_S)
                        if not await standing.holds():
                            await socket.close(1008, "this key has ended")
                            break
                        if lost := listener.lost():
                            await socket.send_json({"kind": "dropped", "count": lost})
                        if item is not None:
                            await socket.send_json(item.body())
                except (WebSocketDisconnect, RuntimeError):
                    pass
                group.cancel_scope.cancel()

    def _standing(self, who: Principal) -> Standing:
        return Standing(partial(self._asking.stands, who))

    # ------------------------------------------------------------------------------------------------- the server

    async def spending(self, request: Request) -> Response:
        """What was spent, and what may be; `by=` splits this month's calls for the owner."""
        who = principal_of(request.scope)
        by = request.query_params.get("by", "")
        if by and by not in VALUES:
            raise UserError(f"by must be one of {', '.join(VALUES)}.")
        if by and not who.is_owner:
            raise Forbidden("Only the owner may see what others spend.")
        now = _midnight()
        month = await self._costs("workspace", now.replace(day=1))
        today = await self._costs("workspace", now)
        split = await self._costs(by, now.replace(day=1)) if by else ()
        status = await self._asking.orchestra.status() if who.is_owner else None
        return reply(
            Spending(
                today_usd=_spent(who, today),
                month_usd=_spent(who, month),
                daily_limit_usd=status.daily_limit_usd if status else None,
                consultations_usd=await self._asking.spent(who),
                budgets=tuple(budget.model_dump(mode="json") for budget in who.claims()),
                by=by,
                lines=lines(split, by_time=by in TIMES),
            )
        )

    async def latency(self, request: Request) -> Response:
        """Percentiles of how long calls took, by one dimension; for the owner."""
        _own(principal_of(request.scope), "how long others' calls took")
        by = request.query_params.get("by", "model")
        if by not in VALUES:
            raise UserError(f"by must be one of {', '.join(VALUES)}.")
        hours = number(request, "hours", 24, 0.01, 24 * 366)
        since = datetime.now(UTC) - timedelta(hours=hours)
        return reply(Percentiles(by=by, since=since, lines=await self._asking.orchestra.latency(by, since)))

    async def alerts(self, request: Request) -> Response:
        """The newest alerts, over or not; for the owner."""
        _own(principal_of(request.scope), "alerts")
        limit = int(number(request, "limit", 20, 1, LIST))
        return reply({"alerts": await self._asking.orchestra.alerts(limit)})

    async def models(self, request: Request) -> Response:
        """Names that the caller may ask for."""
        who = principal_of(request.scope)
        found = await self._models(who)
        return reply({"models": [model for model in found if who.may_use(str(model.get("id", "")))]})

    async def status(self, request: Request) -> Response:
        """Who sits in the council, and why; where things lie and what others do is for the owner only."""
        who = principal_of(request.scope)
        status = await self._asking.orchestra.status()
        if not who.is_owner:
            own = {"spent_today_usd": _spent(who, await self._costs("workspace", _midnight()))}
            hidden = {"config": "", "home": "", "project": "", "warnings": (), "running": (), "alerts": ()}
            status = status.model_copy(update={**hidden, **own})
        return reply(status)

    async def experts(self, request: Request) -> Response:
        """Each expert's track record; what all of them were called for and cost is for the owner only."""
        who = principal_of(request.scope)
        found = await self._asking.orchestra.experts()
        if not who.is_owner:
            hidden = {"answered": 0, "failed": 0, "cost_usd": Decimal(0), "p50_s": None}
            found = tuple(record.model_copy(update=hidden) for record in found)
        return reply({"experts": found})

    async def judge(self, request: Request) -> Response:
        """Keep whether an offered answer was right, so that one day it may be served."""
        who = principal_of(request.scope)
        _need(who, "mark")
        given = await body(request, Judgement)
        id = request.path_params["id"]
        if self._judge is None or not await self._judge(id, given.right, who):
            raise NotFound(f"There is no offer {id[:60]!r}.")
        return reply({"id": id, "right": given.right})

    async def openapi(self, _: Request) -> Response:
        """This API as an OpenAPI document."""
        return reply(document())


def _report(kept: Consultation, detail: str) -> bytes:
    if kept.verdict is None or detail == "full":
        text = transcript(kept)
    else:
        text = verdict_report(kept.verdict, "brief" if detail == "brief" else "standard")
    return text.encode("utf-8", "replace")


def _need(who: Principal, permission: Any) -> None:
    if not who.may(permission):
        raise Forbidden(f"The role of this key may not {permission}.")


def _own(who: Principal, what: str) -> None:
    if not who.is_owner:
        raise Forbidden(f"Only the owner may see {what}.")


def _after(given: str) -> int:
    """The number of the event that was seen last; 0 for what is none."""
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 16 else 0


def _moment(request: Request, name: str) -> datetime | None:
    """A date or time of the query (UTC where it says nothing else)."""
    given = request.query_params.get(name, "")
    if not given:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise UserError(f"{name} must be a date or time such as 2026-11-01.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _spent(who: Principal, found: Sequence[CostRow]) -> Decimal:
    """The sum of what the caller may see."""
    return sum((row.cost_usd for row in found if who.is_owner or row.value == who.scope.workspace), Decimal(0))


def _summary(who: Principal, summary: Summary) -> Summary:
    """As the caller may see it: where projects lie is the owner's business."""
    return summary if who.is_owner else summary.model_copy(update={"project": Path(summary.project).name})


def _consultation(who: Principal, kept: Consultation, full: bool) -> Consultation:
    if not who.is_owner and kept.question.project:
        question = kept.question.model_copy(update={"project": Path(kept.question.project).name})
        kept = kept.model_copy(update={"question": question})
    if full:
        return kept
    return kept.model_copy(update={"dossier": None, "opinions": (), "ballots": (), "calls": (), "labels": ()})
