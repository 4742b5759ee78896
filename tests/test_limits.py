"""Limits: rates, places, the queue before them, and what happens to those who leave it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream import Expert, Upstream

from orchestra_mcp.errors import RateLimited
from orchestra_mcp.gateway import open_http, wires
from orchestra_mcp.gateway.money.throttle import STEP_S, OwnLimit, Rate, Throttle
from orchestra_mcp.gateway.money.throttled import Throttled, own_limit
from orchestra_mcp.gateway.provider import Caller, ChatReply, ChatRequest, Message, Receipt, Way, fold
from orchestra_mcp.settings import Keys, Limits, ModelSpec, RateLimit


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limit(per: Any = "all", name: str = "*", **more: Any) -> RateLimit:
    return RateLimit(per=per, name=name, **more)


# ------------------------------------------------------------------------------------------------ rates


def test_a_minutes_worth_may_come_at_once_and_the_rest_one_by_one() -> None:
    rate = Rate(6)  # one every ten seconds
    for _ in range(6):
        assert rate.wait(100.0) == 0
        rate.take(100.0)
    assert rate.wait(100.0) == 10
    assert rate.wait(104.0) == 6
    assert rate.wait(110.0) == 0
    rate.take(110.0)
    assert rate.wait(110.0) == 10
    assert not rate.idle(169.0)
    assert rate.idle(170.0)
    for _ in range(6):  # a quiet minute fills it
        assert rate.wait(500.0) == 0
        rate.take(500.0)
    assert rate.wait(500.0) == 10


def test_what_was_guessed_wrong_is_set_right() -> None:
    rate = Rate(600)  # tokens; ten a second
    rate.take(0.0, 600)
    assert rate.wait(0.0, 100) == 10
    rate.correct(-500)  # it were 100 only
    assert rate.wait(0.0, 500) == 0
    assert rate.wait(0.0, 501) == pytest.approx(0.1)
    rate.correct(800)  # 300 more than a minute has
    assert rate.wait(0.0, 1) == pytest.approx(30.1)
    assert Rate(600).wait(0.0, 5_000) == 0, "more than a minute's worth passes when nothing else did"


@given(st.integers(1, 50), st.lists(st.tuples(st.floats(0, 20), st.integers(1, 20)), max_size=60))
def test_no_minute_has_more_than_two_minutes_worth_and_the_long_run_keeps_the_rate(
    per_minute: int, steps: list[tuple[float, int]]
) -> None:
    rate = Rate(per_minute)
    now, passed = 0.0, []
    for pause, units in steps:
        now += pause
        units = min(units, per_minute)
        if rate.wait(now, units) <= 0:
            rate.take(now, units)
            passed.append((now, units))
    for start, _ in passed:
        within = sum(units for at, units in passed if start <= at < start + 60)
        assert within <= 2 * per_minute
    assert sum(units for _, units in passed) <= per_minute * (1 + now / 60) + 1e-6


# ------------------------------------------------------------------------------------------------ which limits


def test_each_key_workspace_and_model_has_gates_of_its_own() -> None:
    throttle = Throttle(
        (limit("key", "*", concurrent=2), limit("workspace", "team-*", concurrent=3), limit("all", concurrent=9)),
        lambda caller: (limit("key", concurrent=1),) if caller.key == "b" else (),
        clock=Clock(),
    )
    own = own_limit("opus", ModelSpec(model="m", requests_per_minute=5))
    mine = throttle.gates(Caller(), "p", "opus", own)
    assert [(g.limit.per, g.limit.name) for g in mine] == [("all", "*"), ("model", "opus")]
    a = throttle.gates(Caller(key="a", workspace="team-1"), "p", "opus", own)
    assert {(g.limit.per, g.limit.name) for g in a} == {
        ("key", "a"), ("workspace", "team-1"), ("all", "*"), ("model", "opus"),
    }  # fmt: skip
    b = throttle.gates(Caller(key="b"), "p", "opus", own)
    assert [g.limit.concurrent for g in b if g.limit.per == "key"] == [2, 1]
    assert throttle.gates(Caller(key="a", workspace="team-1"), "p", "opus", own) == a
    assert own_limit("opus", ModelSpec(model="m")) is None
    assert Throttle(clock=Clock()).gates(Caller(key="a"), "p", "m") == ()


# ------------------------------------------------------------------------------------------------ the queue


def patient(_: Any) -> float:
    return 3600.0


async def settle() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def test_places_go_by_priority_then_by_arrival_and_waiting_counts() -> None:
    clock = Clock()
    throttle = Throttle((limit(concurrent=1),), clock=clock)
    gates = throttle.gates(Caller(), "p", "m")
    first = throttle.at_once(gates, 0)
    assert first is not None
    assert throttle.at_once(gates, 0) is None
    order: list[str] = []

    async def call(name: str, priority: int) -> None:
        place = await throttle.enter(gates, 0, priority, patient)
        order.append(name)
        place.leave(0)

    async with anyio.create_task_group() as tasks:
        for wait, name, priority in (
            (0.0, "early", 0),
            (0.0, "second", 0),
            (1.0, "urgent", 1),  # one step is worth ten seconds: it goes before both
            (STEP_S, "late but urgent", 1),  # eleven seconds later than the early ones: after them
            (0.0, "unimportant", -1),
        ):
            clock.now += wait
            tasks.start_soon(call, name, priority)
            await settle()
        assert throttle.waiting == 5
        assert throttle.at_once(gates, 0) is None, "nobody overtakes the queue"
        first.leave(0)
    assert order == ["urgent", "early", "second", "late but urgent", "unimportant"]
    assert throttle.waiting == 0


async def test_a_closed_gate_holds_up_only_those_who_need_it() -> None:
    throttle = Throttle((limit("key", concurrent=1),), clock=Clock())
    a, b = (throttle.gates(Caller(key=key), "p", "m") for key in "ab")
    place = throttle.at_once(a, 0)
    assert place is not None
    done: list[str] = []

    async def call(name: str, gates: Any) -> None:
        (await throttle.enter(gates, 0, 0, patient)).leave(0)
        done.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, "a", a)
        tasks.start_soon(call, "b", b)
        await settle()
        assert done == ["b"]
        place.leave(0)
    assert done == ["b", "a"]


async def test_whoever_leaves_the_queue_lets_the_others_pass() -> None:
    clock = Clock()
    throttle = Throttle((limit("all", concurrent=1), limit("key", tokens_per_minute=60)), clock=clock)
    big, small = throttle.gates(Caller(key="a"), "p", "m"), throttle.gates(Caller(key="b"), "p", "m")
    running = throttle.at_once(small, 0)
    assert running is not None
    done: list[str] = []

    async def call(name: str, gates: Any, scope: anyio.CancelScope) -> None:
        with scope:
            place = await throttle.enter(gates, 10, 0, patient)
            done.append(name)
            place.leave(10)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for name, gates, scope in zip("abc", (big, small, big), scopes, strict=True):
            tasks.start_soon(call, name, gates, scope)
            await settle()
        scopes[0].cancel()
        running.leave(0)
        scopes[2].cancel()  # may have been let in at this moment: then its place is free again
    assert "b" in done
    assert throttle.waiting == 0
    assert throttle.at_once(small, 1) is not None


async def test_whatever_is_cancelled_when_no_place_is_lost_or_given_twice() -> None:
    dice = random.Random(11)
    throttle = Throttle((limit(concurrent=3), limit("key", concurrent=2)), clock=anyio.current_time)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    served = 0

    async def call(key: str) -> None:
        nonlocal served
        gates = throttle.gates(Caller(key=key), "p", "m")
        place = throttle.at_once(gates, 0) or await throttle.enter(gates, 0, dice.randint(-3, 3), patient)
        try:
            for name in (key, "all"):
                running[name] += 1
                most[name] = max(most[name], running[name])
            for _ in range(dice.randint(0, 5)):
                await anyio.lowlevel.checkpoint()
            served += 1
        finally:
            running[key] -= 1
            running["all"] -= 1
            place.leave(0)

    async def perhaps(key: str, cancel_after: int | None) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, key)
            if cancel_after is not None:
                for _ in range(cancel_after):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

    kept = 0
    async with anyio.create_task_group() as tasks:
        for _ in range(300):
            cancelled = dice.random() < 0.5
            kept += not cancelled
            tasks.start_soon(perhaps, dice.choice("abc"), dice.randint(0, 60) if cancelled else None)
    assert served >= kept
    assert most["all"] == 3
    assert max(most[key] for key in "abc") == 2
    assert throttle.waiting == 0
    for key in "abc":
        gates = throttle.gates(Caller(key=key), "p", "m")
        assert [(gate.running, gate.waiting) for gate in gates] == [(0, 0), (0, 0)]


async def test_who_would_wait_too_long_is_told_so_at_once() -> None:
    throttle = Throttle((limit("key", requests_per_minute=2),), clock=Clock())
    gates = throttle.gates(Caller(key="ci"), "p", "m")
    for _ in range(2):
        assert throttle.at_once(gates, 0) is not None
    with pytest.raises(OwnLimit, match=r"2 requests a minute for key 'ci' is reached; try again in 30 s") as caught:
        await throttle.enter(gates, 0, 0, lambda _: 29.0)
    assert isinstance(caught.value, RateLimited)
    assert (caught.value.retry_after, caught.value.kind) == (30.0, "own_limit")
    assert throttle.waiting == 0


async def test_who_waits_for_time_is_served_when_it_has_passed() -> None:
    throttle = Throttle((limit(requests_per_minute=6_000),), clock=anyio.current_time)  # one every 10 ms
    gates = throttle.gates(Caller(), "p", "m")
    while (place := throttle.at_once(gates, 0)) is not None:
        place.leave(0)
    done: list[int] = []

    async def call(number: int) -> None:
        (await throttle.enter(gates, 0, 0, lambda _: 60.0)).leave(0)
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(call, number)
    assert done == list(range(8))


# ------------------------------------------------------------------------------------------------ calls


class Desk:
    def __init__(self, gateway: Throttled) -> None:
        self.gateway = gateway

    async def ask(self, **more: Any) -> ChatReply:
        request = {"model": "ada", "messages": (Message(role="user", text="Why?"),), **more}
        return await fold(self.gateway, ChatRequest(**request))


@asynccontextmanager
async def desk(upstream: Upstream, throttle: Throttle, **model: Any) -> AsyncIterator[Desk]:
    spec = ModelSpec(base_url=f"{upstream.url}/v1", model="ada", **model)
    async with open_http() as http:
        [inner] = wires(spec, Keys({}), Limits(first_token_s=10, idle_s=10), http)
        yield Desk(Throttled(inner, throttle, model="ada", provider="local", own=own_limit("ada", spec)))


async def test_no_more_calls_are_in_flight_than_the_model_allows() -> None:
    gate = threading.Event()
    with Upstream({"ada": Expert("yes", gate=gate)}) as upstream:
        async with desk(upstream, Throttle(clock=anyio.current_time), concurrent=3) as d:
            receipts = [Receipt() for _ in range(8)]
            async with anyio.create_task_group() as tasks:
                for receipt in receipts:
                    tasks.start_soon(partial(d.ask, receipt=receipt))
                await upstream.wait_for_calls(3)
                await anyio.sleep(0.05)
                assert len(upstream.calls) == 3
                gate.set()
            assert len(upstream.calls) == 8
    assert sum(receipt.queued_s > 0 for receipt in receipts) == 5


async def test_a_cancelled_call_frees_its_place() -> None:
    with Upstream({"ada": Expert("yes", fault="hang", faults_left=1)}) as upstream:
        async with desk(upstream, Throttle(clock=anyio.current_time), concurrent=1) as d:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(d.ask)
                    await upstream.wait_for_calls(1)
                    scope.cancel()
            assert (await d.ask()).text == "yes"


async def test_tokens_are_counted_as_the_vendor_counts_them() -> None:
    throttle = Throttle((limit("key", tokens_per_minute=20_000),), clock=Clock())
    with Upstream({"ada": Expert("yes", usage=(15_000, 4_000))}) as upstream:
        async with desk(upstream, throttle) as d:
            caller = Caller(key="ci")
            await d.ask(caller=caller)
            # 19,000 of 20,000 tokens are used; the next call is guessed at 1,005 (20 bytes and 1,000 of output).
            with pytest.raises(OwnLimit, match=r"20,000 tokens a minute for key 'ci'"):
                await d.ask(caller=caller, deadline_s=0.01)
            await d.ask(caller=caller, max_tokens=500)
            await d.ask(caller=Caller(key="other"))
    assert len(upstream.calls) == 3


async def test_a_call_that_failed_uses_no_tokens() -> None:
    throttle = Throttle((limit(tokens_per_minute=1_100),), clock=Clock())
    with Upstream({"ada": Expert("yes", fault="401", faults_left=2, usage=(5, 5))}) as upstream:
        async with desk(upstream, throttle) as d:
            for _ in range(2):
                with pytest.raises(Exception, match="401"):
                    await d.ask()
            assert (await d.ask()).text == "yes"


async def test_a_call_with_another_target_does_not_wait_long_for_this_one() -> None:
    throttle = Throttle((limit("model", requests_per_minute=1),), clock=Clock())
    with Upstream({"ada": Expert("yes")}) as upstream:
        async with desk(upstream, throttle) as d:
            await d.ask()
            with pytest.raises(OwnLimit, match="1 requests a minute for model 'ada'"):
                await d.ask(way=Way(targets=("ada", "bob")))


async def test_the_limit_says_what_it_cost_nothing() -> None:
    """A call that was refused by our own limit has reached nobody."""
    throttle = Throttle((limit(requests_per_minute=1),), clock=Clock())
    with Upstream({"ada": Expert("yes")}) as upstream:
        async with desk(upstream, throttle) as d:
            await d.ask()
            receipt = Receipt()
            with pytest.raises(OwnLimit):
                await d.ask(deadline_s=1, receipt=receipt)
            assert receipt.cost_usd == Decimal(0)
        assert len(upstream.calls) == 1
