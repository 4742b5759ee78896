"""`/v1/chat/completions`, `/v1/responses` and `/v1/messages`: one ASGI application, three dialects.

The status of a stream is sent when its first word has come, so that what fails before is a real HTTP error. A client that
hangs up cancels the call; a call that takes longer than the deadline is given up.
"""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import anyio
from pydantic import ValidationError

from orchestra_mcp.errors import BadReply
from orchestra_mcp.gateway.provider import (
    ChatEvent,
    ChatRequest,
    Finish,
    ReasoningDelta,
    Receipt,
    Spent,
    TextDelta,
)
from orchestra_mcp.web.allowed import sift
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.answer import Answer, total
from orchestra_mcp.web.dialects.dialect import Asked, ClientDialect, Talk, Writer, dumps
from orchestra_mcp.web.dialects.fields import Invalid
from orchestra_mcp.web.errors import Declined, trouble
from orchestra_mcp.web.exchange import JSON, PARSING, Gone, Outbox, Watch, read, refuse, reply
from orchestra_mcp.web.overhead import Head, headers, merged

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from orchestra_mcp.web.desk import Desk

SLACK = 1.02
"""The layers below keep the deadline too, and know more of what was tried: theirs comes first."""
STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Completions:
    """ASGI: chat in one client dialect.

    Args:
        anthropic: errors have Anthropic's shape.
    """

    def __init__(self, desk: Desk, dialect: ClientDialect, *, anthropic: bool = False) -> None:
        self._desk = desk
        self._dialect = dialect
        self._anthropic = anthropic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = Head(scope)
        receipts = [Receipt()]
        try:
            if scope["method"] != "POST":
                raise Declined(405, "method_not_allowed", "Only POST is answered here.")
            asked = await self._parsed(await read(receive, head))
            receipts += [Receipt() for _ in range(asked.samples - 1)]
            requests = self._requests(asked, head, scope, receipts)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            await refuse(send, trouble(error), head, receipts[0], anthropic=self._anthropic)
            return
        talk, anthropic = Talk(asked, receipts[0]), self._anthropic
        exchange = _Exchange(self._desk, self._dialect, talk, requests, head, receive, send, anthropic=anthropic)
        failure = await (exchange.stream() if asked.stream else exchange.plain())
        if failure is not None:
            await refuse(send, trouble(failure), head, merged(receipts), anthropic=self._anthropic)

    async def _parsed(self, data: bytes | bytearray) -> Asked:
        if len(data) <= fields.LONG:
            return self._parse(data)
        with anyio.fail_after(self._desk.deadline_s):
            return await anyio.to_thread.run_sync(self._parse, data, limiter=PARSING)

    def _parse(self, data: bytes | bytearray) -> Asked:
        try:
            return self._dialect.parse(fields.parse(data))
        except ValidationError as error:
            raise _invalid(error) from None

    def _requests(self, asked: Asked, head: Head, scope: Scope, receipts: list[Receipt]) -> list[ChatRequest]:
        caller = self._desk.caller(scope)
        if extra := asked.fields.get("extra"):
            kept, left = sift(asked.fields["extra_dialect"], extra, owner=not caller.key)
            asked.fields["extra"] = kept
            asked.dropped += left
        values = {
            **asked.fields,
            "caller": caller,
            "cache": head.terms,
            "deadline_s": self._desk.deadline_s,
            "purpose": "call",
        }
        try:
            return [ChatRequest(**values, sample=number, receipt=each) for number, each in enumerate(receipts)]
        except ValidationError as error:
            raise _invalid(error) from None


def _invalid(error: ValidationError) -> Invalid:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(each) for each in first["loc"])
    return Invalid(f"`{where}`: {first['msg']}.", where)


class _Exchange:
    """One request on its way. `plain` and `stream` return what failed before a reply was begun, else None."""

    def __init__(
        self,
        desk: Desk,
        dialect: ClientDialect,
        talk: Talk,
        requests: list[ChatRequest],
        head: Head,
        receive: Receive,
        send: Send,
        *,
        anthropic: bool,
    ) -> None:
        self._anthropic = anthropic
        self._desk = desk
        self._dialect = dialect
        self._talk = talk
        self._requests = requests
        self._head = head
        self._watch = Watch(receive)
        self._send = send
        self._deadline = desk.deadline_s * SLACK
        self._failure: Exception | None = None
        self._running = len(requests)

    # ------------------------------------------------------------------------------------------------ plain

    async def plain(self) -> BaseException | None:
        """One reply, when all of it is there."""
        answers = [Answer() for _ in self._requests]
        with (
            anyio.CancelScope(deadline=anyio.current_time() + self._deadline) as scope,
            self._desk.drain.told(partial(self._cut, scope)),
        ):
            watching = self._watch.over(scope)
            try:
                if len(answers) == 1:
                    await self._collect(self._requests[0], answers[0])
                else:
                    async with anyio.create_task_group() as samples:
                        for request, answer in zip(self._requests, answers, strict=True):
                            samples.start_soon(self._collect, request, answer, samples.cancel_scope)
            finally:
                watching.cancel()
        if self._watch.gone:
            return None
        if self._failure is not None:
            return self._failure
        if any(answer.finish is None for answer in answers):
            return TimeoutError()
        talk, first = self._talk, answers[0].done()
        talk.model = first.model or talk.receipt.model_id or talk.model
        receipt = talk.receipt = merged([request.receipt for request in self._requests])
        try:
            body = dumps(self._dialect.whole(talk, answers)).encode()
        except (ValueError, RecursionError) as error:
            return error
        more = headers(self._head, receipt, total(answers), left_out=talk.asked.dropped)
        await reply(self._send, 200, body, [JSON, self._number(), *more])
        return None

    def _cut(self, scope: anyio.CancelScope, error: Exception) -> None:
        self._failure = self._failure or error
        scope.cancel()

    async def _collect(self, request: ChatRequest, answer: Answer, others: anyio.CancelScope | None = None) -> None:
        try:
            async with aclosing(self._desk.chat(request)) as events:
                async for event in events:
                    answer.add(_billed(event, request.receipt) if isinstance(event, Finish) else event)
            answer.done()
        except Exception as error:  # noqa: BLE001 - told to the client
            if answer.finish is None:
                self._failure = self._failure or error
                if others is not None:
                    others.cancel()

    # ----------------------------------------------------------------------------------------------- stream

    async def stream(self) -> BaseException | None:
        """The reply as it comes."""
        outbox, writer = Outbox(), self._dialect.writer(self._talk)
        begun = complete = False
        async with anyio.create_task_group() as group:
            scope = group.cancel_scope
            scope.deadline = anyio.current_time() + self._deadline
            beat = (self._desk.heartbeat_s, self._dialect.heartbeat)
            group.start_soon(self._watch.stay_and_beat, scope, outbox, *beat)
            for sample, request in enumerate(self._requests):
                group.start_soon(self._pump, sample, request, writer, outbox)
            with self._desk.drain.told(outbox.close):
                await outbox.ready()
                if outbox.opened:
                    begun = True
                    await self._begin()
                    while not complete:
                        data, complete = outbox.take(), outbox.closed and outbox.error is None
                        if data or complete:
                            await self._send({"type": "http.response.body", "body": data, "more_body": not complete})
                        if outbox.error is not None:
                            break
                        if not complete:
                            await outbox.ready()
            scope.cancel()
        if self._watch.gone or complete:
            return None
        failure = outbox.error or TimeoutError()
        if not begun:
            return failure
        await self._send({"type": "http.response.body", "body": writer.fail(trouble(failure)), "more_body": False})
        return None

    async def _begin(self) -> None:
        receipt = merged([request.receipt for request in self._requests])
        more = headers(self._head, receipt, stream=True, left_out=self._talk.asked.dropped)
        await self._send({"type": "http.response.start", "status": 200, "headers": [*STREAM, self._number(), *more]})

    def _number(self) -> tuple[bytes, bytes]:
        """The reply's id, under the name by which the SDKs tell it."""
        return (b"request-id" if self._anthropic else b"x-request-id", f"req_{self._talk.id}".encode())

    async def _pump(self, sample: int, request: ChatRequest, writer: Writer, outbox: Outbox) -> None:
        finished = False
        try:
            async with aclosing(self._desk.chat(request)) as events:
                async for event in events:
                    if finished or _says_nothing(event):
                        continue
                    if not outbox.opened:
                        self._talk.model = request.receipt.model_id or self._talk.model
                    if isinstance(event, Finish):
                        finished, event = True, _billed(event, request.receipt)
                    outbox.put(writer.event(sample, event))
                    if finished:
                        self._running -= 1
                        if not self._running:
                            outbox.put(writer.end())
                    else:
                        await outbox.room()
            if not finished:
                raise BadReply("the stream ended before the model had finished", "truncated")
        except Exception as error:  # noqa: BLE001 - told to the client
            if not finished:
                outbox.close(error)
        if not self._running:
            outbox.close()


def _billed(finish: Finish, receipt: Receipt) -> Finish:
    """The end of a reply with what *this* request has cost: of a call that several share, only one tells its cost."""
    if receipt.cache != "shared" or finish.usage.cost_usd == receipt.cost_usd:
        return finish
    usage = finish.usage.model_copy(update={"cost_usd": receipt.cost_usd})
    return finish.model_copy(update={"usage": usage})


def _says_nothing(event: ChatEvent) -> bool:
    if isinstance(event, TextDelta):
        return not event.text
    if isinstance(event, ReasoningDelta):
        return not (event.text or event.signature or event.hidden)
    return isinstance(event, Spent)
