"""What live traffic tells of each model: how soon it speaks, how fast, how often it fails, how much it writes, how busy it is.

Every figure is a mean whose observations lose weight: half of it with each `HALF_CALLS` further observations, and half
with each `HALF_S` seconds. A neutral prior stands beside them with the weight of `PRIOR_WEIGHT` observations, so that a
model never seen is neither first nor last, and old knowledge fades towards not knowing. With s = Σ w·x and n = Σ w:

    on an observation x, dt seconds after the last:   s ← s·d + x,  n ← n·d + 1,  d = 2^(-1/HALF_CALLS) · 2^(-dt/HALF_S)
    the mean at a time, dt seconds after the last:    (s·f + p·w0) / (n·f + w0),  f = 2^(-dt/HALF_S)

Finagle's and Kong's peak EWMA decay by time likewise, but jump to the slowest call; here one slow call may be a long prompt.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple, TypeGuard

from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Provider
from orchestra_mcp.types import CallRecord, JsonObject

HALF_CALLS = 5.0
HALF_S = 300.0
PRIOR_WEIGHT = 0.5
FIRST_S = 1.5
"""Prior: seconds to the first token."""
TOKEN_S = 0.015
"""Prior: seconds for each token of the answer (67 tokens a second)."""
FAILS = 0.02
"""Prior: share of calls that fail."""
ANSWER_TOKENS = 400.0
"""Prior: tokens of an answer, thinking included."""
LEAST_TOKENS = 8
"""Shorter answers say nothing of speed."""
WHOLE = 0.02
"""A first token in the last so many parts of the time: the reply came in one piece."""
MOST_MODELS = 2_000

FAULTS = frozenset(
    {"server", "network", "timeout", "rate_limit", "empty", "truncated", "garbage", "auth", "model"}
)  # fmt: skip
"""Failures that speak against the model. Others are the request's (`request`, `policy`, `refusal`, `too_long`) or the caller's."""
TELLING = FAULTS | {"cancelled"}
FROM_CACHE = frozenset({"hit", "shared", "similar"})


class Pace(NamedTuple):
    """What is expected of a model's next call."""

    first_s: float
    """Seconds to the first token."""
    token_s: float
    """Seconds for each further token."""
    fails: float
    """Share of calls that fail, 0 to 1."""
    answer_tokens: float
    """Tokens of an answer, thinking included."""

    def seconds(self, most: int | None) -> float:
        """Expected seconds to an answer of at most so many tokens; calls that fail have to be made again."""
        tokens = self.answer_tokens if most is None else min(self.answer_tokens, most)
        return (self.first_s + tokens * self.token_s) / max(0.05, 1.0 - self.fails)


class _Mean:
    """One decaying mean; its time is kept by the model."""

    __slots__ = ("total", "weight")

    def __init__(self, total: float = 0.0, weight: float = 0.0) -> None:
        self.total = total
        self.weight = weight

    def fade(self, factor: float) -> None:
        self.total *= factor
        self.weight *= factor

    def add(self, value: float, factor: float) -> None:
        self.total = self.total * factor + value
        self.weight = self.weight * factor + 1.0

    def at(self, factor: float, prior: float, prior_weight: float) -> float:
        return (self.total * factor + prior * prior_weight) / (self.weight * factor + prior_weight)


_MEANS = ("first", "token", "fails", "answer")


class _Seen:
    """What was seen of one model."""

    __slots__ = ("answer", "at", "calls", "fails", "first", "model_id", "token")

    def __init__(self, model_id: str, at: float) -> None:
        self.model_id = model_id
        self.at = at
        self.calls = 0
        self.first, self.token, self.fails, self.answer = _Mean(), _Mean(), _Mean(), _Mean()


class Stats:
    """Speed, failures and load by the gateway's names of models. For one event loop; nothing here waits.

    Args:
        clock: seconds since the epoch; a clock that is set back costs nothing but some decay.
        half_calls: observations after which one counts half.
        half_s: seconds after which one counts half.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, *, half_calls: float = HALF_CALLS, half_s: float = HALF_S
    ) -> None:
        self._clock = clock
        self._step = 2.0 ** (-1.0 / half_calls)
        self._half_s = half_s
        self._seen: dict[str, _Seen] = {}
        self._busy: dict[str, int] = {}

    def observe(self, record: CallRecord) -> None:
        """Learn from one attempt at a model; what a cache answered teaches nothing."""
        if record.cache in FROM_CACHE or (record.error and record.error not in TELLING):
            return
        seen = self._current(record.model, record.model_id)
        tokens = record.usage.output_tokens + record.usage.reasoning_tokens
        if record.error:
            # A call that was ended without a word (by a time-out, or because another was faster) was at least so slow.
            silent = record.first_token_s is None and record.error in ("timeout", "cancelled")
            if silent and record.seconds > seen.first.at(1.0, FIRST_S, PRIOR_WEIGHT):
                seen.first.add(record.seconds, self._step)
            elif record.first_token_s is not None:
                seen.first.add(record.first_token_s, self._step)
            if record.error != "cancelled":
                seen.fails.add(1.0, self._step)
            return
        seen.calls += 1
        seen.fails.add(0.0, self._step)
        if tokens:
            seen.answer.add(tokens, self._step)
        first = record.first_token_s
        if first is not None and record.seconds - first > WHOLE * record.seconds:
            seen.first.add(first, self._step)
            if tokens >= LEAST_TOKENS:
                seen.token.add((record.seconds - first) / tokens, self._step)
        elif tokens >= LEAST_TOKENS:
            # In one piece: what is expected until the first token is taken off, the rest is for the tokens.
            rest = record.seconds - seen.first.at(1.0, FIRST_S, PRIOR_WEIGHT)
            if rest > 0:
                seen.token.add(rest / tokens, self._step)
            else:
                seen.first.add(record.seconds, self._step)
                seen.token.add(0.0, self._step)

    def pace(self, name: str) -> Pace:
        """What is expected of a model now; the priors where nothing is known."""
        seen = self._seen.get(name)
        if seen is None:
            return UNSEEN
        fade = 2.0 ** (-max(0.0, self._clock() - seen.at) / self._half_s)
        return Pace(
            seen.first.at(fade, FIRST_S, PRIOR_WEIGHT),
            seen.token.at(fade, TOKEN_S, PRIOR_WEIGHT),
            seen.fails.at(fade, FAILS, PRIOR_WEIGHT),
            seen.answer.at(fade, ANSWER_TOKENS, PRIOR_WEIGHT),
        )

    def calls(self, name: str) -> int:
        """Successful calls that were seen of a model."""
        seen = self._seen.get(name)
        return seen.calls if seen else 0

    # ------------------------------------------------------------------------------------------------------ load

    def begin(self, name: str) -> None:
        """A call to a model begins; `end` must follow."""
        self._busy[name] = self._busy.get(name, 0) + 1

    def end(self, name: str) -> None:
        """A call to a model has ended, however it did."""
        left = self._busy.get(name, 0) - 1
        if left > 0:
            self._busy[name] = left
        else:
            self._busy.pop(name, None)

    def busy(self, name: str) -> int:
        """Calls to a model that are in flight."""
        return self._busy.get(name, 0)

    # --------------------------------------------------------------------------------------------------- keeping

    def to_json(self) -> JsonObject:
        """Everything but the load, to be kept over a restart."""
        return {
            "version": 1,
            "models": {
                name: {
                    "model_id": seen.model_id,
                    "at": seen.at,
                    "calls": seen.calls,
                    **{mean: [getattr(seen, mean).total, getattr(seen, mean).weight] for mean in _MEANS},
                }
                for name, seen in self._seen.items()
            },
        }

    def load(self, kept: object) -> None:
        """Take over what `to_json` gave; rows of another shape are left out."""
        models = kept.get("models") if isinstance(kept, Mapping) and kept.get("version") == 1 else None
        if not isinstance(models, Mapping):
            return
        for name, row in list(models.items())[:MOST_MODELS]:
            if isinstance(name, str) and isinstance(row, Mapping) and (seen := _read(row)) is not None:
                self._seen[name] = seen

    def _current(self, name: str, model_id: str) -> _Seen:
        """What was seen of a model, faded to now; begun anew when the name now stands for another model."""
        now = self._clock()
        seen = self._seen.get(name)
        if seen is None or (model_id and seen.model_id and model_id != seen.model_id):
            if len(self._seen) >= MOST_MODELS:
                self._seen.pop(min(self._seen, key=lambda each: self._seen[each].at))
            seen = self._seen[name] = _Seen(model_id, now)
            return seen
        fade = 2.0 ** (-max(0.0, now - seen.at) / self._half_s)
        for mean in (seen.first, seen.token, seen.fails, seen.answer):
            mean.fade(fade)
        seen.at = now
        seen.model_id = seen.model_id or model_id
        return seen


UNSEEN = Pace(FIRST_S, TOKEN_S, FAILS, ANSWER_TOKENS)


def _read(row: Mapping[Any, Any]) -> _Seen | None:
    at, calls, model_id = row.get("at"), row.get("calls"), row.get("model_id", "")
    if not (_amount(at) and _amount(calls) and isinstance(model_id, str)):
        return None
    seen = _Seen(model_id, at)
    seen.calls = int(calls)
    for mean in _MEANS:
        pair = row.get(mean)
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(_amount(value) for value in pair)):
            return None
        setattr(seen, mean, _Mean(float(pair[0]), float(pair[1])))
    return seen


def _amount(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


class Counted:
    """Wraps the stack of one model and counts its calls in flight, for `least_busy`."""

    def __init__(self, inner: Provider, name: str, stats: Stats) -> None:
        self._inner, self._name, self._stats = inner, name, stats

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`."""
        self._stats.begin(self._name)
        try:
            async with aclosing(self._inner.chat(request)) as events:
                async for event in events:
                    yield event
        finally:
            self._stats.end(self._name)
