"""Breakers, several keys, failover and hedging: by hand where it is arithmetic, over real HTTP where it is not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream import Expert, Upstream

from orchestra_mcp.errors import BadReply, NotFound, ProviderError, RateLimited, Refused, Resting, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import (
    ChatReply,
    ChatRequest,
    EmbedRequest,
    Message,
    Provider,
    Receipt,
    TextDelta,
    Way,
    fold,
)
from orchestra_mcp.gateway.steady.breaker import Breaker
from orchestra_mcp.gateway.steady.probing import probe
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import CallRecord

DOWN = Unavailable("ada failed.", "server")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ------------------------------------------------------------------------------------------------- the breaker


def test_five_failures_in_a_row_open_it_for_five_seconds_and_one_probe_closes_it() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.failed(DOWN, breaker.admit())
    assert breaker.admit() is False
    breaker.failed(DOWN, probe=False)
    with pytest.raises(Resting, match=r"ada failed; it is asked again in 5 s") as caught:
        breaker.admit()
    assert caught.value.retry_after == 5
    clock.now += 4.9
    assert breaker.resting() == pytest.approx(0.1)
    clock.now += 0.2
    assert breaker.admit() is True  # the probe
    with pytest.raises(Resting):
        breaker.admit()  # nobody else meanwhile
    breaker.succeeded(probe=True)
    assert breaker.admit() is False
    assert breaker.resting() == 0


def test_failed_probes_double_the_rest_up_to_a_minute_and_a_dropped_one_leaves_room_for_the_next() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(5):
        breaker.failed(DOWN, breaker.admit())
    rests = []
    for _ in range(6):
        clock.now += breaker.resting()
        probe = breaker.admit()
        breaker.dropped(probe)
        probe = breaker.admit()
        assert probe
        breaker.failed(DOWN, probe)
        rests.append(breaker.resting())
    assert rests == [10, 20, 40, 60, 60, 60]


def test_half_of_ten_calls_failing_opens_it_too() -> None:
    breaker = Breaker(Clock())
    for number in range(9):
        probe = breaker.admit()
        breaker.failed(DOWN, probe) if number % 2 else breaker.succeeded(probe)
    assert breaker.resting() == 0  # 4 of 9
    breaker.failed(DOWN, breaker.admit())
    assert breaker.resting() == 5


def test_a_vendor_that_asks_for_patience_gets_it_and_a_shorter_wish_does_not_shorten_it() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed(RateLimited("slow down", 30.0), breaker.admit())
    breaker.failed(RateLimited("slow down", 2.0), probe=False)
    assert breaker.resting() == 30


def test_a_dead_key_is_left_alone_for_five_minutes_and_says_what_it_died_of() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed(Refused("ada refused the key (401; check ADA_KEY).", "auth"), breaker.admit())
    with pytest.raises(Refused, match="check ADA_KEY") as caught:
        breaker.admit()
    assert caught.value.kind == "auth"
    clock.now += 300
    assert breaker.admit()


@pytest.mark.parametrize("kind", ["request", "policy", "window"])
def test_what_the_caller_did_wrong_says_nothing_about_health(kind: str) -> None:
    breaker = Breaker(Clock())
    for _ in range(50):
        breaker.failed(Refused("no", kind), breaker.admit())
    assert breaker.resting() == 0


@given(st.lists(st.sampled_from(["ok", "fail", "limit", "drop", "wait"]), max_size=80))
def test_never_two_probes_at_once_and_always_a_way_back(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for step in steps:
        clock.now += 7 if step == "wait" else 0.01
        try:
            probe = breaker.admit()
        except ProviderError:
            continue
        if probe:
            with pytest.raises(ProviderError):
                breaker.admit()
        match step:
            case "ok":
                breaker.succeeded(probe)
            case "fail":
                breaker.failed(DOWN, probe)
            case "limit":
                breaker.failed(RateLimited("later", 3.0), probe)
            case _:
                breaker.dropped(probe)
    clock.now += breaker.resting() + 0.001
    breaker.succeeded(breaker.admit())
    assert breaker.resting() == 0


# ------------------------------------------------------------------------------------------------- the desk


@dataclass
class Desk:
    """A gateway over an upstream, and what it has done."""

    gateway: Provider
    records: list[CallRecord] = field(default_factory=list)
    receipt: Receipt = field(default_factory=Receipt)

    async def ask(self, *targets: str, **way: Any) -> ChatReply:
        return await fold(self.gateway, self.request(*targets, **way))

    def request(self, *targets: str, deadline_s: float | None = None, **way: Any) -> ChatRequest:
        self.receipt = Receipt()
        return ChatRequest(
            model=targets[0],
            messages=(Message(role="user", text="Why does it hang?"),),
            way=Way(targets=targets, **way),
            deadline_s=deadline_s,
            receipt=self.receipt,
        )


@asynccontextmanager
async def desk(
    upstream: Upstream, keys: dict[str, str] | None = None, clock: Any = time.monotonic, **spec: Any
) -> AsyncIterator[Desk]:
    models = {name: ModelSpec(**{"base_url": upstream.url + "/v1", "model": name, **spec}) for name in upstream.experts}
    limits = Limits(first_token_s=20, idle_s=20)
    records: list[CallRecord] = []

    async def at_once(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    async with open_http() as http:
        gateway = build(
            models, Keys(keys or {}), limits, ledger=Ledger(limits), on_call=records.append, http=http,
            clock=clock, sleep=at_once,
        )  # fmt: skip
        yield Desk(gateway.targets, records)


# ------------------------------------------------------------------------------------------------- several keys


def key_of(headers: dict[str, str]) -> str:
    return headers["authorization"].removeprefix("Bearer ")


KEYS = {"ONE": "first-key-000", "TWO": "second-key-00"}


async def test_keys_are_used_in_turn() -> None:
    with Upstream({"ada": Expert("42")}) as upstream:
        async with desk(upstream, KEYS, key_env="ONE", more_keys=("TWO", "UNSET")) as d:
            for _ in range(4):
                await d.ask("ada")
        assert [key_of(call.headers) for call in upstream.calls] == ["first-key-000", "second-key-00"] * 2


@pytest.mark.parametrize(("fault", "kind"), [("401", "auth"), ("429", "rate_limit")])
async def test_a_dead_or_limited_key_gives_way_to_the_next_and_is_left_alone(fault: str, kind: str) -> None:
    with Upstream({"ada": Expert("42", fault=fault, faults_left=1, retry_after=60)}) as upstream:
        async with desk(upstream, KEYS, key_env="ONE", more_keys=("TWO",)) as d:
            for _ in range(3):
                assert (await d.ask("ada")).text == "42"
        assert [key_of(call.headers) for call in upstream.calls] == ["first-key-000"] + ["second-key-00"] * 3
        assert [record.error for record in d.records] == [kind, "", "", ""]


async def test_a_request_that_is_at_fault_is_not_tried_with_every_key() -> None:
    with Upstream({"ada": Expert("42", fault="400")}) as upstream:
        async with desk(upstream, KEYS, key_env="ONE", more_keys=("TWO",)) as d:
            with pytest.raises(Refused):
                await d.ask("ada")
        assert len(upstream.calls) == 1


async def test_a_conversation_whose_reasoning_is_bound_to_an_account_stays_with_its_key() -> None:
    with Upstream({"ada": Expert("42")}) as upstream:
        async with open_http() as http:
            keyed = build(
                {"ada": ModelSpec(base_url=upstream.url + "/v1", model="ada", key_env="ONE", more_keys=("TWO",))},
                Keys(KEYS), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http,
            ).models["ada"].keyed  # fmt: skip
            keyed.bound = True
            for question in ("Why does it hang?", "And now?", "What of the lock?"):
                first = Message(role="user", text=question)
                for turn in ((first,), (first, Message(role="assistant", text="42"), Message(role="user", text="So?"))):
                    await fold(keyed, ChatRequest(model="ada", messages=turn))
        used = [key_of(call.headers) for call in upstream.calls]
        assert used[0::2] == used[1::2]


# ------------------------------------------------------------------------------------------------- failover


@pytest.mark.parametrize("fault", ["500", "529", "429", "401", "404", "refused", "garbage", "empty"])
async def test_the_next_target_answers_when_the_first_fails_before_its_first_word(fault: str) -> None:
    with Upstream({"ada": Expert("41", fault=fault), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            reply = await d.ask("ada", "bob")
        assert reply.text == "42"
        assert (d.receipt.model, d.receipt.provider) == ("bob", "local")
        assert d.receipt.attempts == len(upstream.calls)
        assert any(line.startswith("ada: ") for line in d.receipt.why)


@pytest.mark.parametrize("fault", ["500", "529", "429", "refused"])
async def test_a_healthy_target_does_not_wait_for_a_sick_one_to_be_asked_again(fault: str) -> None:
    with Upstream({"ada": Expert(fault=fault, retry_after=7), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada", "bob")).text == "42"
        assert [call.expert for call in upstream.calls] == ["ada", "bob"]


async def test_the_last_target_is_asked_again() -> None:
    with Upstream({"ada": Expert(fault="500"), "bob": Expert("42", fault="500", faults_left=2)}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada", "bob")).text == "42"
        assert [call.expert for call in upstream.calls] == ["ada", "bob", "bob", "bob"]


async def test_missing_embeddings_say_nothing_about_a_models_chats() -> None:
    with Upstream({"ada": Expert("42")}) as upstream:  # which knows no /embeddings
        async with open_http() as http:
            spec = ModelSpec(base_url=upstream.url + "/v1", model="ada")
            gateway = build(
                {"ada": spec}, Keys({}), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http
            )
            for _ in range(2):
                with pytest.raises(Refused):
                    await gateway.embed(EmbedRequest(model="ada", texts=("Hello",)))
            ask = ChatRequest(model="ada", messages=(Message(role="user", text="Why?"),))
            assert (await fold(gateway, ask)).text == "42"


async def test_a_reply_of_no_use_was_paid_for_all_the_same() -> None:
    with Upstream({"ada": Expert(fault="empty", usage=(100, 50))}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(BadReply):
                await d.ask("ada")
    assert [(record.error, record.usage.tokens) for record in d.records] == [("empty", 150)]


async def test_a_silent_target_is_left_after_the_routes_patience() -> None:
    with Upstream({"ada": Expert("41", fault="hang"), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada", "bob", slow_s=0.2)).text == "42"
        await upstream.wait_until(lambda: any(c.expert == "ada" and c.aborted for c in upstream.calls))


async def test_after_the_first_word_a_failure_is_the_callers_to_see() -> None:
    with Upstream({"ada": Expert("one two three four", fault="cut"), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(ProviderError):
                await d.ask("ada", "bob")
        assert {call.expert for call in upstream.calls} == {"ada"}


@pytest.mark.parametrize("fault", ["400", "filter"])
async def test_a_request_at_fault_or_declined_is_not_offered_around(fault: str) -> None:
    with Upstream({"ada": Expert("41", fault=fault), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(Refused):
                await d.ask("ada", "bob")
        assert {call.expert for call in upstream.calls} == {"ada"}


async def test_a_question_too_long_for_one_may_fit_another() -> None:
    message = "This model's maximum context length is 8192 tokens"
    with Upstream({"ada": Expert("41", fault="400", message=message), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada", "bob")).text == "42"


async def test_when_nobody_answers_the_error_says_what_each_said() -> None:
    experts = {"ada": Expert(fault="500"), "bob": Expert(fault="garbage"), "cy": Expert(fault="404")}
    with Upstream(experts) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(Unavailable, match=r"None of 3 targets answered\. ada: .*500.*; bob: .*; cy: .*404"):
                await d.ask("ada", "bob", "cy")


async def test_limits_everywhere_give_the_shortest_wait() -> None:
    experts = {name: Expert(fault="429", retry_after=wait) for name, wait in (("ada", 40), ("bob", 20))}
    with Upstream(experts) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(RateLimited) as caught:
                await d.ask("ada", "bob")
    assert caught.value.retry_after == 20


async def test_no_more_targets_than_allowed_are_asked() -> None:
    with Upstream({name: Expert(fault="401") for name in ("ada", "bob", "cy")}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(ProviderError):
                await d.ask("ada", "bob", "cy", attempts=2)
        assert {call.expert for call in upstream.calls} == {"ada", "bob"}


async def test_the_total_time_holds_over_all_targets() -> None:
    with Upstream({"ada": Expert(fault="hang"), "bob": Expert(fault="hang")}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(Unavailable, match=r"within 0.3 s") as caught:
                await d.ask("ada", "bob", deadline_s=0.3)
            assert caught.value.kind == "timeout"
        await upstream.wait_until(lambda: all(call.aborted for call in upstream.calls))
        assert {call.expert for call in upstream.calls} == {"ada"}


async def test_an_open_breaker_sends_calls_to_the_next_target_without_asking() -> None:
    with Upstream({"ada": Expert("41", fault="garbage"), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            for _ in range(8):
                assert (await d.ask("ada", "bob")).text == "42"
        assert sum(call.expert == "ada" for call in upstream.calls) == 5
        assert sum(call.expert == "bob" for call in upstream.calls) == 8


async def test_a_model_that_nobody_knows_is_an_error_that_names_the_others() -> None:
    with Upstream({"ada": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(NotFound, match="there are: ada"):
                await d.ask("eve")


async def test_a_probe_finds_a_vendor_that_is_back_and_costs_no_call_of_a_model() -> None:
    with Upstream({"ada": Expert("42", fault="500", faults_left=5)}) as upstream:
        async with open_http() as http:
            models = {"ada": ModelSpec(base_url=upstream.url + "/v1", model="ada")}

            async def at_once(_: float) -> None:
                await anyio.lowlevel.checkpoint()

            gateway = build(
                models, Keys({}), Limits(), ledger=Ledger(Limits()), on_call=lambda _: None, http=http, sleep=at_once
            )  # fmt: skip
            ask = ChatRequest(model="ada", messages=(Message(role="user", text="Why?"),))
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await fold(gateway, ask)
            with pytest.raises(Resting):
                await fold(gateway, ask)
            asked = len(upstream.calls)
            assert await probe(gateway.models, Keys({}), http) == ("ada",)
            assert len(upstream.calls) == asked
            assert (await fold(gateway, ask)).text == "42"


# ------------------------------------------------------------------------------------------------- hedging


async def test_a_silent_first_target_is_overtaken_and_its_call_ended() -> None:
    with Upstream({"ada": Expert("41", fault="hang"), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada", "bob", hedge_s=0.1)).text == "42"
            assert d.receipt.model == "bob"
        await upstream.wait_until(lambda: any(c.expert == "ada" and c.aborted for c in upstream.calls))
        assert sorted(record.error for record in d.records) == ["", "cancelled"]


async def test_a_quick_first_target_keeps_the_second_out_of_it() -> None:
    with Upstream({"ada": Expert("41"), "bob": Expert("42")}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada", "bob", hedge_s=20)).text == "41"
        assert {call.expert for call in upstream.calls} == {"ada"}


async def test_a_failed_first_target_starts_the_second_at_once_and_a_third_is_left_for_later() -> None:
    experts = {"ada": Expert(fault="404"), "bob": Expert(fault="garbage"), "cy": Expert("42")}
    with Upstream(experts) as upstream:
        async with desk(upstream) as d:
            with anyio.fail_after(10):
                assert (await d.ask("ada", "bob", "cy", hedge_s=60)).text == "42"


async def test_a_hedged_stream_is_read_on_by_the_caller_and_leaving_it_ends_the_call() -> None:
    with Upstream({"ada": Expert(fault="hang"), "bob": Expert("x" * 4000, fault="slow", drip_s=0.02)}) as upstream:
        async with desk(upstream) as d:
            async with aclosing(d.gateway.chat(d.request("ada", "bob", hedge_s=0.05))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        break
            await upstream.wait_until(lambda: len(upstream.calls) == 2 and all(call.aborted for call in upstream.calls))


@pytest.mark.parametrize("fault", ["", "hang", "slow", "stall"])
async def test_cancelling_a_hedged_call_ends_everything(fault: str) -> None:
    with Upstream({"ada": Expert(fault="hang"), "bob": Expert("x" * 4000, fault=fault, latency_s=5)}) as upstream:
        async with desk(upstream) as d:
            with anyio.move_on_after(0.5):
                await d.ask("ada", "bob", hedge_s=0.05)
            await upstream.wait_until(lambda: len(upstream.calls) == 2 and all(call.aborted for call in upstream.calls))


async def test_a_declined_request_ends_the_race() -> None:
    with Upstream({"ada": Expert(fault="hang"), "bob": Expert(fault="400")}) as upstream:
        async with desk(upstream) as d:
            with anyio.fail_after(10), pytest.raises(Refused):
                await d.ask("ada", "bob", hedge_s=0.05)


async def test_an_empty_reply_is_a_failure_of_its_target_even_in_a_race() -> None:
    with Upstream({"ada": Expert(fault="empty"), "bob": Expert(fault="empty")}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises((BadReply, Unavailable)):
                await d.ask("ada", "bob", hedge_s=0.05)
