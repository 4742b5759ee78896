"""The targets of a route, one after the other, or hedged: the first that says something is the one that answers.

A target is left for the next one only before its first content event; later a failure is the caller's to see, as a
typed error. Everything happens within the call's total time.

No cancel scope is held over a `yield` here: the streams below can be begun in one task and read on in another.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

import anyio

from orchestra_mcp.errors import (
    BudgetExceeded,
    NotFound,
    OrchestraError,
    ProviderError,
    RateLimited,
    Resting,
    Unavailable,
)
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Receipt, Spent, Way
from orchestra_mcp.gateway.steady.models import Stack

FINAL = frozenset({"request", "policy"})
"""Kinds of errors that no other target is asked after: the request is at fault, or was declined."""

Events = AsyncGenerator[ChatEvent, None]


class _Begun(NamedTuple):
    """A stream that has said something."""

    stack: Stack
    events: Events
    said: list[ChatEvent]


class Failover:
    """The bottom of the routing: asks the models of `request.way`.

    Args:
        models: what asks each model, by name.
    """

    def __init__(self, models: Mapping[str, Stack]) -> None:
        self._models = models

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`.

        Raises:
            NotFound: no such model; the message names those that there are.
            ProviderError, BudgetExceeded: no target answered; the message says what each of them said.
        """
        way = request.way or Way(targets=(request.model,))
        total = way.total_s if request.deadline_s is None else min(way.total_s, request.deadline_s)
        end = anyio.current_time() + total
        problems: list[tuple[str, OrchestraError]] = []
        waiting = list(way.targets[: way.attempts])
        while waiting:
            begun = await self._begin(request, way, waiting, problems, end)
            if begun is None:
                break
            _answering(begun.stack, request.receipt)
            late = time.monotonic() + end - anyio.current_time()
            async with aclosing(begun.events) as events:
                for event in begun.said:
                    yield event
                async for event in events:
                    if time.monotonic() > late:
                        raise Unavailable(f"{begun.stack.name} did not finish within {total:g} s.", "timeout")
                    yield event
            return
        raise summed(problems, total)

    async def _begin(
        self,
        request: ChatRequest,
        way: Way,
        waiting: list[str],
        problems: list[tuple[str, OrchestraError]],
        end: float,
    ) -> _Begun | None:
        """Ask until somebody says something. Takes from `waiting`, adds to `problems`; None: the time is up."""
        with anyio.CancelScope(deadline=end):
            while waiting:
                if way.hedge_s is not None and len(waiting) > 1:
                    begun = await self._race(request, way.hedge_s, waiting, problems)
                else:
                    name = waiting.pop(0)
                    begun = await self._ask(request, name, problems, patient=not waiting)
                if begun is not None:
                    return begun
                if problems and not waiting:
                    raise summed(problems, 0)
        if not problems:
            problems.append((request.model, Unavailable("said nothing in time", "timeout")))
        return None

    async def _ask(
        self, request: ChatRequest, name: str, problems: list[tuple[str, OrchestraError]], patient: bool = False
    ) -> _Begun | None:
        """One target up to its first word; None when it failed in a way that another one may not. Only the last one is
        asked again itself: where somebody else may answer at once, nobody is waited for.

        Raises:
            ProviderError: nobody else is to be asked.
        """
        stack = self._models.get(name)
        if stack is None:
            known = ", ".join(sorted(self._models)) or "none"
            raise NotFound(f"There is no model called {name!r}; there are: {known}.")
        _answering(stack, request.receipt)  # so that an error's receipt names it, too
        if request.model != name or request.patient != patient:
            request = request.model_copy(update={"model": name, "patient": patient})
        events = stack.ask.chat(request)
        said: list[ChatEvent] = []
        try:
            async for event in events:
                said.append(event)
                if not isinstance(event, Spent):
                    break
        except (ProviderError, BudgetExceeded) as error:
            if isinstance(error, ProviderError) and error.kind in FINAL:
                raise
            problems.append((name, error))
            request.receipt.why.append(f"{name}: {error.kind if isinstance(error, ProviderError) else 'budget'}")
            return None
        except BaseException:
            await events.aclose()
            raise
        return _Begun(stack, events, said)

    async def _race(
        self, request: ChatRequest, hedge_s: float, waiting: list[str], problems: list[tuple[str, OrchestraError]]
    ) -> _Begun | None:
        """Two targets: the second is asked as well when the first is silent for `hedge_s`, at once when it fails."""
        first, second = waiting[:2]
        del waiting[:2]
        won: list[_Begun] = []
        final: list[OrchestraError] = []
        failed = anyio.Event()

        async def run(name: str) -> None:
            try:
                begun = await self._ask(request, name, problems, patient=not waiting)
            except OrchestraError as error:
                final.append(error)
                race.cancel()
                return
            if begun is None:
                failed.set()
                return
            if won:  # both in the same turn of the loop
                with anyio.CancelScope(shield=True):
                    await begun.events.aclose()
                return
            won.append(begun)
            race.cancel()

        async with anyio.create_task_group() as tasks:
            race = tasks.cancel_scope
            tasks.start_soon(run, first)
            with anyio.move_on_after(hedge_s):
                await failed.wait()
            request.receipt.why.append(f"{second} asked as well")
            tasks.start_soon(run, second)
        if won:
            return won[0]
        if final:
            raise final[0]
        return None


def _answering(stack: Stack, receipt: Receipt) -> None:
    receipt.model, receipt.provider, receipt.model_id = stack.name, stack.spec.recipient, stack.spec.model


def _limited(error: OrchestraError) -> bool:
    return isinstance(error, Resting) and error.limited


def summed(problems: Sequence[tuple[str, OrchestraError]], total_s: float) -> OrchestraError:
    """One error for all targets: the one of a single target itself, else what gives the caller the most hope."""
    if len(problems) == 1 and not total_s:
        return problems[0][1]
    said = "; ".join(f"{name}: {str(error).rstrip('.')}" for name, error in problems)
    late = f" within {total_s:g} s" if total_s and math.isfinite(total_s) else ""
    text = f"None of {len(problems)} targets answered{late}. {said}."
    errors = [error for _, error in problems]
    if all(isinstance(error, BudgetExceeded) for error in errors):
        return BudgetExceeded(text)
    if all(isinstance(error, RateLimited | BudgetExceeded) or _limited(error) for error in errors):
        waits = [error.retry_after for error in errors if isinstance(error, RateLimited | Resting)]
        known = [wait for wait in waits if wait is not None]
        return RateLimited(text, min(known) if known else None)
    kinds = {error.kind for error in errors if isinstance(error, ProviderError)}
    return Unavailable(text, kinds.pop() if len(kinds) == 1 else "server")
