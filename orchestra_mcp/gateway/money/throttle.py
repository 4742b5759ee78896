"""Limits on how much is asked at once: requests and tokens a minute, and calls at the same time, with a fair queue.

Rates are kept by the generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A; the ATM
Forum's GCRA(T, τ)): one number for each limit, the time at which the next cell is due. A whole minute's worth may come
at once, as vendors' own token buckets allow it.

Whoever has to wait is served by priority, first come first served within one, and waiting counts: ten seconds are
worth one step of priority, so that nobody waits for ever. Everything is in this process; for one event loop.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final

import anyio

from orchestra_mcp.errors import RateLimited, Unavailable
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.settings import RateLimit

STEP_S: Final = 10.0
"""So many seconds of waiting are worth one step of priority."""
MOST_PRIORITY: Final = 10
MAX_WAITING: Final = 2_000
"""More calls than this do not wait; they are refused at once."""
MAX_OWN: Final = 200
"""The same before the limit of one key, and for one who asks, so that nobody can fill the queue for everybody. Before a
limit that many share this would do the opposite."""
MAX_GATES: Final = 10_000
SOON_S: Final = 1.0
"""What a caller is told to wait for a free place, whose time nobody knows."""

Extra = Callable[[Caller], Sequence[RateLimit]]
"""The limits that were given to a caller's key at run time; must be quick."""


class OwnLimit(RateLimited):
    """A limit of ours was reached, not one of the vendor: nobody was asked.

    Args:
        message: which limit it is, and when to come again.
        retry_after: seconds until it is worth trying again.
        limit: the limit.
    """

    default_kind = "own_limit"

    def __init__(self, message: str, retry_after: float, limit: RateLimit) -> None:
        super().__init__(message, retry_after)
        self.limit = limit


class Rate:
    """So many units a minute (GCRA, with weights).

    Args:
        per_minute: units; all of them may come at once after a quiet minute.
    """

    __slots__ = ("_due", "_each", "_most")

    def __init__(self, per_minute: int) -> None:
        self._each = 60.0 / per_minute
        self._most = per_minute
        self._due = -math.inf

    def wait(self, now: float, units: int = 1) -> float:
        """Seconds until so many units may pass; 0 when they may pass now. More than a minute's worth counts as one."""
        return max(0.0, self._due - now + min(units, self._most) * self._each - 60.0)

    def take(self, now: float, units: int = 1) -> None:
        """Let so many units pass."""
        self._due = max(self._due, now) + min(units, self._most) * self._each

    def correct(self, units: int) -> None:
        """So many more units (or fewer, below 0) have passed than were taken."""
        self._due += units * self._each

    def idle(self, now: float) -> bool:
        """Whether it is as if nothing had ever passed."""
        return self._due <= now


class Gate:
    """One limit for one name."""

    __slots__ = ("limit", "requests", "running", "tokens", "waiting")

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.requests = Rate(limit.requests_per_minute) if limit.requests_per_minute else None
        self.tokens = Rate(limit.tokens_per_minute) if limit.tokens_per_minute else None
        self.running = 0
        self.waiting = 0

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until one more call may pass; infinity until another one ends."""
        if self.limit.concurrent is not None and self.running >= self.limit.concurrent:
            return math.inf
        wait = self.requests.wait(now) if self.requests is not None else 0.0
        return wait if self.tokens is None else max(wait, self.tokens.wait(now, tokens))

    def enter(self, now: float, tokens: int) -> None:
        """Let a call pass."""
        self.running += 1
        if self.requests is not None:
            self.requests.take(now)
        if self.tokens is not None:
            self.tokens.take(now, tokens)

    def leave(self, tokens: int, used: int) -> None:
        """A call has ended that was taken for `tokens` and really used `used`."""
        self.running -= 1
        if self.tokens is not None:
            self.tokens.correct(used - min(tokens, self.limit.tokens_per_minute or 0))

    def idle(self, now: float) -> bool:
        """Whether it can be forgotten."""
        rates = (self.requests, self.tokens)
        return not self.running and not self.waiting and all(rate is None or rate.idle(now) for rate in rates)

    def reached(self, now: float) -> str:
        """Which of its limits is reached, in words."""
        limit = self.limit
        whose = "all calls" if limit.per == "all" else f"{limit.per} {limit.name!r}"
        if limit.concurrent is not None and self.running >= limit.concurrent:
            return f"{limit.concurrent} calls at the same time for {whose}"
        if self.requests is not None and self.requests.wait(now) > 0:
            return f"{limit.requests_per_minute:,} requests a minute for {whose}"
        return f"{limit.tokens_per_minute or 0:,} tokens a minute for {whose}"


class Pass:
    """Leave to make one call."""

    __slots__ = ("_gates", "_open", "_throttle", "_tokens")

    def __init__(self, throttle: Throttle, gates: Sequence[Gate], tokens: int) -> None:
        self._throttle = throttle
        self._gates = gates
        self._tokens = tokens
        self._open = True

    def leave(self, used: int) -> None:
        """The call has ended and used so many tokens; its place is free. Only the first word counts."""
        if self._open:
            self._open = False
            for gate in self._gates:
                gate.leave(self._tokens, used)
            self._throttle.serve()


class _Waiter:
    """A call in the queue."""

    __slots__ = ("event", "gates", "opens", "order", "passed", "tokens", "who")

    def __init__(self, gates: Sequence[Gate], tokens: int, order: tuple[float, int], who: str) -> None:
        self.who = who
        self.gates = gates
        self.tokens = tokens
        self.order = order
        self.event = anyio.Event()
        self.opens = math.inf
        """When its own gates may open by themselves; infinity while others have to end or go first."""
        self.passed: Pass | None = None

    def __lt__(self, other: _Waiter) -> bool:
        return self.order < other.order


class Throttle:
    """All limits of the gateway.

    Args:
        limits: `[[rate_limits]]`; names may end in `*`, and each name has its own limit of that size.
        extra: limits of the caller's key, given at run time.
        clock: seconds from any fixed point.
    """

    def __init__(
        self, limits: Sequence[RateLimit] = (), extra: Extra | None = None, *, clock: Callable[[], float]
    ) -> None:
        self._limits = tuple(limits)
        self._extra = extra
        self._clock = clock
        self._gates: dict[RateLimit, Gate] = {}
        self._kept: dict[tuple[str, str, str, str], tuple[Gate, ...]] = {}
        self._queue: list[_Waiter] = []
        self._own: Counter[str] = Counter()
        self._soon = False
        self._count = 0

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue)

    def gates(self, caller: Caller, provider: str, model: str, own: RateLimit | None = None) -> tuple[Gate, ...]:
        """The gates that a call has to pass; `own` is the limit of the model's table in the settings."""
        who = (caller.key, caller.workspace, provider, model)
        found = self._kept.get(who)
        if found is None:
            if len(self._kept) >= MAX_GATES:
                self._kept.clear()
            meant = _meant(self._limits if own is None else (*self._limits, own), who)
            found = self._kept[who] = tuple(map(self._gate, meant))
        if self._extra is None or not (more := self._extra(caller)):
            return found
        return (*found, *(gate for gate in map(self._gate, _meant(more, who)) if gate not in found))

    def _gate(self, limit: RateLimit) -> Gate:
        gate = self._gates.get(limit)
        if gate is None:
            if len(self._gates) >= MAX_GATES:
                now = self._clock()
                self._gates = {limit: gate for limit, gate in self._gates.items() if not gate.idle(now)}
                self._kept.clear()
            gate = self._gates[limit] = Gate(limit)
        return gate

    def at_once(self, gates: Sequence[Gate], tokens: int) -> Pass | None:
        """A pass, when all gates are open and nobody waits before any of them; else None."""
        now = self._clock()
        for gate in gates:
            if gate.waiting or gate.wait(now, tokens) > 0:
                return None
        return self._enter(gates, tokens, now)

    def _enter(self, gates: Sequence[Gate], tokens: int, now: float) -> Pass:
        for gate in gates:
            gate.enter(now, tokens)
        return Pass(self, gates, tokens)

    async def enter(
        self, gates: Sequence[Gate], tokens: int, priority: int, patience: Callable[[Gate], float], who: str = ""
    ) -> Pass:
        """Wait for a pass.

        Args:
            gates: from `gates`.
            tokens: that the call will probably use.
            priority: higher goes first.
            patience: seconds that this call waits before a gate at most.
            who: the key that asks; empty: the owner, who may fill the queue.

        Raises:
            OwnLimit: it would take longer, or too many of theirs wait already; says which limit and when to come again.
            Unavailable: too many wait already.
        """
        began = self._clock()
        full = next((gate for gate in gates if gate.limit.per == "key" and gate.waiting >= MAX_OWN), None)
        if full is None and who and self._own[who] >= MAX_OWN:
            full = max(gates, key=lambda gate: gate.wait(began, tokens))
        if full is not None:
            raise self._refusal(full, began, full.wait(began, tokens))
        if len(self._queue) >= MAX_WAITING:
            raise Unavailable(f"{MAX_WAITING:,} calls wait for a free place already.", "own_limit")
        self._count += 1
        steps = max(-MOST_PRIORITY, min(MOST_PRIORITY, priority))
        # All who wait gain priority at the same pace, so that their order never changes while they wait.
        waiter = _Waiter(gates, tokens, (began - steps * STEP_S, self._count), who)
        insort(self._queue, waiter)
        self._own[who] += 1
        for gate in gates:
            gate.waiting += 1
        try:
            self.serve()
            while waiter.passed is None:
                now = self._clock()
                gate, wait = self._before(waiter, now)
                left = began + patience(gate) - now
                if left <= 0 or (math.isfinite(wait) and wait > left):
                    raise self._refusal(gate, now, wait)
                with anyio.move_on_after(min(left, waiter.opens - now + 0.001)):
                    await waiter.event.wait()
                if waiter.passed is None:
                    waiter.event = anyio.Event()
                    self.serve()
        except BaseException:
            if waiter.passed is not None:  # cancelled on the threshold
                waiter.passed.leave(0)
            raise
        finally:
            if waiter.passed is None:
                self._forget(waiter)
                self._serve_soon()
        return waiter.passed

    def _serve_soon(self) -> None:
        """Serve once for all who leave the queue in this turn of the event loop: many may be cancelled together."""
        if self._queue and not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self.serve)

    def serve(self) -> None:
        """Let everybody pass who may, in their order; who cannot keeps those behind him from his closed gate."""
        self._soon = False
        if not self._queue:
            return
        now = self._clock()
        closed: set[Gate] = set()
        for waiter in list(self._queue):
            if not closed.isdisjoint(waiter.gates):
                waiter.opens = math.inf
                continue
            gate, wait = self._before(waiter, now)
            if wait <= 0:
                self._forget(waiter)
                waiter.passed = self._enter(waiter.gates, waiter.tokens, now)
                waiter.event.set()
                continue
            closed.add(gate)
            if now + wait < waiter.opens - 0.001:
                waiter.event.set()  # it has to set its alarm anew
            waiter.opens = now + wait

    def _before(self, waiter: _Waiter, now: float) -> tuple[Gate, float]:
        """The gate that will open last, and when."""
        waits = [(gate.wait(now, waiter.tokens), index) for index, gate in enumerate(waiter.gates)]
        wait, index = max(waits)
        return waiter.gates[index], wait

    def _forget(self, waiter: _Waiter) -> None:
        del self._queue[bisect_left(self._queue, waiter)]  # orders are unique
        self._own[waiter.who] -= 1
        if not self._own[waiter.who]:
            del self._own[waiter.who]
        for gate in waiter.gates:
            gate.waiting -= 1

    def _refusal(self, gate: Gate, now: float, wait: float) -> OwnLimit:
        after = wait if math.isfinite(wait) and wait > 0 else SOON_S
        return OwnLimit(
            f"The limit of {gate.reached(now)} is reached; try again in {math.ceil(after)} s. "
            "Limits are set in [[rate_limits]], with the model, or with the key.",
            after,
            gate.limit,
        )


def _meant(limits: Sequence[RateLimit], who: tuple[str, str, str, str]) -> tuple[RateLimit, ...]:
    key, workspace, provider, model = who
    names = {"all": "*", "key": key, "workspace": workspace, "provider": provider, "model": model}
    return tuple(
        dict.fromkeys(
            limit if limit.name == names[limit.per] else limit.model_copy(update={"name": names[limit.per]})
            for limit in limits
            if names[limit.per] and (limit.per == "all" or fnmatchcase(names[limit.per], limit.name))
        )
    )
