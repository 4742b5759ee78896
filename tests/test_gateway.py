"""The gateway over real HTTP: faults, clocks, retries, money, cancelling."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream import Expert, Upstream

from orchestra_mcp.errors import BadReply, BudgetExceeded, NotFound, ProviderError, RateLimited, Refused, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money import prices
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatReply, ChatRequest, Message, Provider, fold
from orchestra_mcp.settings import Keys, Limits, ModelSpec, WireName
from orchestra_mcp.types import CallRecord, Usage

WIRES: tuple[WireName, ...] = ("openai", "anthropic", "gemini")
KEY = "sk-proj-Zk38fhQ0aVt7Xw2LmNp9"
every_wire = pytest.mark.parametrize("wire", WIRES)


@dataclass
class Desk:
    """A gateway to an upstream, with everything that it tells."""

    gateway: Provider
    ledger: Ledger
    records: list[CallRecord] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def ask(self, model: str, **more: Any) -> ChatReply:
        return await fold(self.gateway, request(model, **more))


def request(model: str, **more: Any) -> ChatRequest:
    system, user = Message(role="system", text="Be brief."), Message(role="user", text="Why does it hang?")
    return ChatRequest(**{"model": model, "messages": (system, user), "run": "r", **more})


@asynccontextmanager
async def desk(
    upstream: Upstream,
    wire: WireName = "openai",
    limits: Limits | None = None,
    spec: Mapping[str, Any] | None = None,
    proxied: bool = False,
) -> AsyncIterator[Desk]:
    """Every expert of the upstream behind one wire; waits between attempts are noted, not waited.

    `proxied` makes the upstream the HTTP proxy for all hosts, so that it can stand in for any of them.
    """
    limits = limits or Limits(first_token_s=10, idle_s=10)
    base = upstream.url + ("/v1" if wire == "openai" else "")
    models = {
        name: ModelSpec(**{"wire": wire, "base_url": base, "model": name, "key_env": "SOME_KEY", **(spec or {})})
        for name in upstream.experts
    }
    ledger = Ledger(limits)
    records: list[CallRecord] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with open_http({"http": upstream.url} if proxied else None) as http:
        gateway = build(
            models,
            Keys({"SOME_KEY": KEY}),
            limits,
            ledger=ledger,
            on_call=records.append,
            http=http,
            dice=lambda: 0.5,
            clock=lambda: time.monotonic() + sum(waits),
            sleep=sleep,
        )
        yield Desk(gateway, ledger, records, waits)


# ------------------------------------------------------------------------------------- what comes back


@every_wire
@pytest.mark.parametrize("fault", ["", "slow", "plain"])
async def test_a_reply_is_the_same_streamed_dripped_or_whole(wire: WireName, fault: str) -> None:
    with Upstream({"ada": Expert("It waits for a lock.", fault=fault, drip_s=0.001, thinks="Hmm.")}) as upstream:
        async with desk(upstream, wire) as d:
            reply = await d.ask("ada")
        assert reply.text == "It waits for a lock."
        assert reply.finish == "stop"
        assert reply.model == "ada"
        assert reply.usage == Usage(calls=1, input_tokens=100, output_tokens=50)
        assert upstream.calls[0].prompt == "Be brief.\n\nWhy does it hang?"
        [record] = d.records
        assert (record.error, record.model, record.provider, record.usage) == ("", "ada", "local", reply.usage)
        assert record.first_token_s is not None
        assert 0 <= record.first_token_s <= record.seconds


@pytest.mark.parametrize(
    ("wire", "header", "value"),
    [
        ("openai", "authorization", f"Bearer {KEY}"),
        ("anthropic", "x-api-key", KEY),
        ("gemini", "x-goog-api-key", KEY),
    ],
)
async def test_the_key_travels_in_the_vendors_header(wire: WireName, header: str, value: str) -> None:
    with Upstream({"ada": Expert("yes")}) as upstream:
        async with desk(upstream, wire) as d:
            await d.ask("ada")
        assert upstream.calls[0].headers[header] == value
        assert upstream.calls[0].path.count(KEY) == 0


async def test_portkey_gets_its_own_headers_and_no_bearer() -> None:
    headers = {"x-portkey-api-key": "$SOME_KEY", "x-portkey-virtual-key": "open-ai-virtual-key"}
    with Upstream({"ada": Expert("yes")}) as upstream:
        async with desk(upstream, spec={"headers": headers, "key_env": ""}) as d:
            await d.ask("ada")
        sent = upstream.calls[0].headers
    assert sent["x-portkey-api-key"] == KEY
    assert sent["x-portkey-virtual-key"] == "open-ai-virtual-key"
    assert "authorization" not in sent


async def test_a_missing_key_is_named_before_anything_is_sent() -> None:
    with Upstream({"ada": Expert("yes")}) as upstream:
        async with desk(upstream, spec={"key_env": "OTHER_KEY"}) as d:
            with pytest.raises(Refused, match="OTHER_KEY") as caught:
                await d.ask("ada")
        assert caught.value.kind == "auth"
        assert upstream.calls == []


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named() -> None:
    with Upstream({"ada": Expert(), "bob": Expert()}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(NotFound, match=r"'eve'.*ada, bob"):
                await d.ask("eve")


# ------------------------------------------------------------------------------------- faults

FAULTS: dict[str, tuple[type[ProviderError], str, int]] = {
    # fault: error, kind, requests that reach the server
    "500": (Unavailable, "server", 3),
    "529": (Unavailable, "server", 3),
    "429": (RateLimited, "rate_limit", 3),
    "401": (Refused, "auth", 1),
    "403": (Refused, "auth", 1),
    "400": (Refused, "request", 1),
    "empty": (BadReply, "empty", 1),
    "garbage": (BadReply, "garbage", 1),
    "truncated": (BadReply, "truncated", 1),
    "cut": (Unavailable, "network", 1),
    "filter": (Refused, "policy", 1),
    "refused": (Unavailable, "network", 2),
    "error_event": (Unavailable, "server", 1),
    "redirect": (Refused, "request", 1),
}


@every_wire
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_has_its_error_and_its_number_of_attempts(wire: WireName, fault: str) -> None:
    error, kind, attempts = FAULTS[fault]
    with Upstream({"ada": Expert("One two three four five six.", fault=fault)}) as upstream:
        async with desk(upstream, wire) as d:
            with pytest.raises(ProviderError) as caught:
                await d.ask("ada")
        assert type(caught.value) is error
        assert caught.value.kind == kind
        assert len(upstream.calls) == attempts
    assert [(r.attempt, r.error) for r in d.records] == [(n + 1, kind) for n in range(attempts)]
    assert KEY not in str(caught.value)
    assert "ada at local" in str(caught.value)


@every_wire
async def test_an_answer_cut_at_its_limit_is_a_reply_and_says_so(wire: WireName) -> None:
    with Upstream({"ada": Expert("One two three four.", fault="length")}) as upstream:
        async with desk(upstream, wire) as d:
            reply = await d.ask("ada")
    assert reply.finish == "length"
    assert "One two three four.".startswith(reply.text)


@every_wire
async def test_a_long_answer_arrives_whole(wire: WireName) -> None:
    with Upstream({"ada": Expert(fault="long")}) as upstream:
        async with desk(upstream, wire) as d:
            reply = await d.ask("ada")
    assert len(reply.text) > 120_000


@every_wire
async def test_silence_before_the_first_event_ends_by_the_first_clock(wire: WireName) -> None:
    with Upstream({"ada": Expert(fault="hang")}) as upstream:
        async with desk(upstream, wire, Limits(first_token_s=0.2, idle_s=30)) as d:
            with pytest.raises(Unavailable, match="no sign of life") as caught:
                await d.ask("ada")
        assert caught.value.kind == "timeout"
        await upstream.wait_until(lambda: upstream.calls[0].aborted)
        assert len(upstream.calls) == 1


@every_wire
async def test_silence_in_mid_answer_ends_by_the_second_clock(wire: WireName) -> None:
    with Upstream({"ada": Expert("One two three four five.", fault="stall")}) as upstream:
        async with desk(upstream, wire, Limits(first_token_s=30, idle_s=0.2)) as d:
            with pytest.raises(Unavailable, match="mid-answer") as caught:
                await d.ask("ada")
        assert caught.value.kind == "timeout"
        await upstream.wait_until(lambda: upstream.calls[0].aborted)


async def test_comments_are_signs_of_life() -> None:
    # Three seconds of nothing but comments, with clocks of one and a half.
    with Upstream({"ada": Expert("At last.", comments=15, drip_s=0.2)}) as upstream:
        async with desk(upstream, limits=Limits(first_token_s=1.5, idle_s=1.5)) as d:
            assert (await d.ask("ada")).text == "At last."


async def test_nobody_listening_is_tried_twice() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Upstream({"ada": Expert()}) as upstream:
        async with desk(upstream, spec={"base_url": f"http://127.0.0.1:{port}/v1"}) as d:
            with pytest.raises(Unavailable, match="cannot be reached") as caught:
                await d.ask("ada")
    assert caught.value.kind == "network"
    assert [r.error for r in d.records] == ["network", "network"]


async def test_a_redirect_is_not_followed_and_its_target_never_sees_the_key() -> None:
    with Upstream({"ada": Expert("stolen")}) as thief:
        target = f"{thief.url}/v1/chat/completions"
        with Upstream({"ada": Expert(fault="redirect", redirect_to=target)}) as upstream:
            async with desk(upstream) as d:
                with pytest.raises(Refused, match="redirect"):
                    await d.ask("ada")
        assert thief.calls == []


async def test_a_key_that_the_server_echoes_does_not_show_in_the_error() -> None:
    message = f"Incorrect API key provided: {KEY}. See {KEY[:9]}*****{KEY[-4:]}"
    with Upstream({"ada": Expert(fault="401", message=message)}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(Refused) as caught:
                await d.ask("ada")
    assert "SOME_KEY" in str(caught.value)
    assert not any(KEY[i : i + 8] in str(caught.value) for i in range(len(KEY) - 7))


async def test_an_environment_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Upstream({"ada": Expert("direct")}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada")).text == "direct"


async def test_a_lone_surrogate_in_a_question_does_not_stop_it() -> None:
    with Upstream({"ada": Expert("fine")}) as upstream:
        async with desk(upstream) as d:
            messages = (Message.model_construct(role="user", text="file \udce9.py"),)
            assert (await d.ask("ada", messages=messages)).text == "fine"


# ------------------------------------------------------------------------------------- what a server does not know


@pytest.mark.parametrize(
    ("wire", "parameter"),
    [
        ("openai", "temperature"),
        ("openai", "stream_options"),
        ("openai", "response_format"),
        ("anthropic", "temperature"),
        ("gemini", "responseMimeType"),
    ],
)
async def test_an_unsupported_parameter_is_left_out_once_and_for_all(wire: WireName, parameter: str) -> None:
    with Upstream({"ada": Expert("yes", rejects=(parameter,))}) as upstream:
        async with desk(upstream, wire) as d:
            for _ in range(2):
                assert (await d.ask("ada", temperature=0.2, json_only=True)).text == "yes"
        names = [str(call.body).count(f"'{parameter}'") for call in upstream.calls]
    assert names == [1, 0, 0]


async def test_the_old_name_of_the_token_limit_gives_way_to_the_new_one() -> None:
    with Upstream({"ada": Expert("yes", rejects=("max_tokens",))}) as upstream:
        async with desk(upstream) as d:
            await d.ask("ada", max_tokens=77)
        assert [call.body.get("max_completion_tokens") for call in upstream.calls] == [None, 77]


async def test_a_rejection_that_nothing_helps_against_is_raised() -> None:
    with Upstream({"ada": Expert("yes", rejects=("messages",))}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(Refused) as caught:
                await d.ask("ada", temperature=0.2)
        assert caught.value.kind == "request"
        assert len(upstream.calls) == 1


async def test_a_gemini_server_without_the_streaming_verb_is_asked_by_the_plain_one() -> None:
    with Upstream({"ada": Expert("whole", fault="no_stream")}) as upstream:
        async with desk(upstream, "gemini") as d:
            assert [(await d.ask("ada")).text for _ in range(2)] == ["whole", "whole"]
        verbs = [call.path.rpartition(":")[2] for call in upstream.calls]
    assert verbs == ["streamGenerateContent", "generateContent", "generateContent"]


async def test_an_unknown_gemini_model_is_asked_for_by_both_verbs_and_nothing_is_remembered() -> None:
    with Upstream({"ada": Expert("x")}) as upstream:
        async with desk(upstream, "gemini", spec={"model": "nobody"}) as d:
            for _ in range(2):
                with pytest.raises(Refused) as caught:
                    await d.ask("ada")
                assert caught.value.kind == "model"
                d.waits.append(301)  # until it is asked again at all
        verbs = [call.path.rpartition(":")[2] for call in upstream.calls]
    assert verbs == ["streamGenerateContent", "generateContent"] * 2


# ------------------------------------------------------------------------------------- asking again


@every_wire
async def test_a_server_that_recovers_is_asked_again_after_growing_waits(wire: WireName) -> None:
    with Upstream({"ada": Expert("back", fault="500", faults_left=2)}) as upstream:
        async with desk(upstream, wire) as d:
            assert (await d.ask("ada")).text == "back"
    assert d.waits == [0.5, 1.0]  # half a second, doubled; a dice of 0.5 leaves them as they are
    assert [(r.attempt, r.error) for r in d.records] == [(1, "server"), (2, "server"), (3, "")]


async def test_a_short_retry_after_is_waited_for() -> None:
    with Upstream({"ada": Expert("now", fault="429", faults_left=1, retry_after=7)}) as upstream:
        async with desk(upstream) as d:
            assert (await d.ask("ada")).text == "now"
    [wait] = d.waits
    assert 7 <= wait < 8


async def test_a_long_retry_after_fails_at_once_and_is_told() -> None:
    with Upstream({"ada": Expert(fault="429", retry_after=11)}) as upstream:
        async with desk(upstream) as d:
            with pytest.raises(RateLimited, match="11 s") as caught:
                await d.ask("ada")
        assert caught.value.retry_after == 11
        assert len(upstream.calls) == 1
    assert d.waits == []


# ------------------------------------------------------------------------------------- cancelling


@every_wire
@pytest.mark.parametrize("fault", ["hang", "stall"])
async def test_cancelling_aborts_the_call_upstream_and_is_recorded(wire: WireName, fault: str) -> None:
    with Upstream({"ada": Expert("One two three four five six seven.", fault=fault)}) as upstream:
        async with desk(upstream, wire) as d:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(d.ask, "ada")
                await upstream.wait_for_calls(1)
                tasks.cancel_scope.cancel()
            await upstream.wait_until(lambda: upstream.calls[0].aborted, 2)
    assert [r.error for r in d.records] == ["cancelled"]
    assert not upstream.calls[0].finished


async def test_what_a_cancelled_call_is_known_to_have_used_is_charged() -> None:
    spec = {"input_usd_per_mtok": Decimal(10), "output_usd_per_mtok": Decimal(0)}
    with Upstream({"ada": Expert("One two three four five six.", fault="stall", usage=(1000, 9))}) as upstream:
        async with desk(upstream, "anthropic", spec=spec) as d:
            events = d.gateway.chat(request("ada"))
            await anext(events)  # the first piece of text: the input has been read, and is paid for
            await events.aclose()
            await upstream.wait_until(lambda: upstream.calls[0].aborted, 2)
    [record] = d.records
    assert record.error == "cancelled"
    assert record.usage.input_tokens == 1000
    assert record.usage.cost_usd == Decimal("0.01")
    assert d.ledger.spent("r") == Decimal("0.01")


# ------------------------------------------------------------------------------------- money


async def test_a_call_costs_what_its_tokens_cost() -> None:
    spec = {"input_usd_per_mtok": Decimal(3), "output_usd_per_mtok": Decimal(15)}
    with Upstream({"ada": Expert("yes", usage=(2000, 100))}) as upstream:
        async with desk(upstream, spec=spec) as d:
            reply = await d.ask("ada")
    # 2000 × $3 / 1M + 100 × $15 / 1M
    assert reply.usage.cost_usd == Decimal("0.0075")
    assert d.ledger.spent("r") == d.ledger.spent_today == Decimal("0.0075")


async def test_twenty_calls_in_flight_together_cannot_overspend() -> None:
    # At most 1000 tokens of output at $100 a million: each call may cost up to $0.10, so that $0.50 admits five.
    spec = {"input_usd_per_mtok": Decimal(0), "output_usd_per_mtok": Decimal(100)}
    gate = threading.Event()
    refused: list[str] = []
    with Upstream({"ada": Expert("yes", usage=(100, 50), gate=gate)}) as upstream:
        limits = Limits(first_token_s=30, max_cost_usd=Decimal("0.50"), daily_cost_usd=Decimal(10))
        async with desk(upstream, limits=limits, spec=spec) as d:

            async def ask() -> None:
                try:
                    await d.ask("ada", max_tokens=1000)
                except BudgetExceeded as error:
                    refused.append(str(error))

            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(ask)
                await upstream.wait_for_calls(5)
                await upstream.wait_until(lambda: len(refused) == 15)
                assert d.ledger.left("r") == 0
                gate.set()
        assert len(upstream.calls) == 5
    assert all("max_cost_usd" in text and "$0.1000" in text and "$0.0000 left" in text for text in refused)
    # Five calls of 50 tokens at $100 a million
    assert d.ledger.spent("r") == Decimal("0.025")
    assert d.ledger.left("r") == Decimal("0.475")
    assert len(d.records) == 5


async def test_two_consultations_share_the_budget_of_the_day() -> None:
    spec = {"input_usd_per_mtok": Decimal(0), "output_usd_per_mtok": Decimal(100)}
    with Upstream({"ada": Expert("yes", usage=(0, 1000))}) as upstream:
        limits = Limits(max_cost_usd=Decimal(1), daily_cost_usd=Decimal("0.25"))
        async with desk(upstream, limits=limits, spec=spec) as d:
            for run in ("one", "two"):
                await d.ask("ada", run=run, max_tokens=1000)
            with pytest.raises(BudgetExceeded, match=r"daily_cost_usd"):
                await d.ask("ada", run="three", max_tokens=1000)
    assert d.ledger.spent_today == Decimal("0.2")


async def test_an_unknown_price_is_counted_and_still_bounded() -> None:
    # The upstream stands in for a host of that name, as its proxy; nobody knows the host's prices.
    spec = {"base_url": "http://llm.example.org/v1"}
    with Upstream({"ada": Expert("yes", usage=(100, 1000))}) as upstream:
        async with desk(upstream, limits=Limits(max_cost_usd=Decimal("0.10")), spec=spec, proxied=True) as d:
            reply = await d.ask("ada", max_tokens=1000)
            assert reply.usage.unpriced == 1
            assert reply.usage.cost_usd == 0
            # 100 × $10 / 1M + 1000 × $50 / 1M at the stand-in price
            assert d.ledger.spent("r") == Decimal("0.051")
            with pytest.raises(BudgetExceeded):
                await d.ask("ada", max_tokens=1000)
        assert len(upstream.calls) == 1


async def test_what_openrouter_says_a_call_cost_is_what_it_cost() -> None:
    spec = {"base_url": "http://openrouter.ai/api/v1"}
    with Upstream({"ada": Expert("yes", usage=(194, 2), cost_usd=0.95)}) as upstream:
        async with desk(upstream, spec=spec, proxied=True) as d:
            reply = await d.ask("ada")
        assert upstream.calls[0].body["usage"] == {"include": True}
    assert reply.usage.cost_usd == Decimal("0.95")
    assert reply.usage.unpriced == 0
    assert d.ledger.spent("r") == Decimal("0.95")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["reserve", "settle", "fail"]), st.integers(0, 80), st.sampled_from("ab")),
        max_size=40,
    )
)
def test_no_order_of_calls_brings_a_budget_below_zero(steps: list[tuple[str, int, str]]) -> None:
    ledger = Ledger(Limits(max_cost_usd=Decimal(100), daily_cost_usd=Decimal(150)))
    held: list[tuple[Any, Any, str]] = []
    spent = {"a": Decimal(0), "b": Decimal(0)}
    for step, cents, run in steps:
        if step == "reserve":
            context = ledger.reserve(run, Decimal(cents))
            try:
                held.append((context, context.__enter__(), run))
            except BudgetExceeded:
                assert Decimal(cents) > ledger.left(run)
        elif held:
            context, reservation, owner = held.pop(cents % len(held))
            if step == "settle":
                reservation.settle(reservation.amount / 2)
                spent[owner] += reservation.amount / 2
            context.__exit__(None, None, None)
        open_ = {r: sum((x.amount for _, x, owner in held if owner == r), Decimal(0)) for r in "ab"}
        for r in "ab":
            assert spent[r] + open_[r] <= 100
            assert ledger.spent(r) == spent[r]
        assert sum(spent.values()) + sum(open_.values()) <= 150
        assert ledger.spent_today == sum(spent.values())


def test_a_new_day_has_its_whole_budget_again() -> None:
    days = [date(2026, 11, 20)]
    ledger = Ledger(Limits(max_cost_usd=Decimal(9), daily_cost_usd=Decimal(1)), Decimal("0.9"), today=lambda: days[-1])
    with pytest.raises(BudgetExceeded, match="next day"), ledger.reserve("a", Decimal("0.5")):
        pass
    days.append(date(2026, 11, 21))
    with ledger.reserve("a", Decimal("0.5")) as reservation:
        reservation.settle(Decimal("0.4"))
    assert ledger.spent_today == Decimal("0.4")
    ledger.sync_today(Decimal("0.95"))  # another process has spent too
    assert ledger.left("a") == Decimal("0.05")


def test_a_question_can_lower_its_budget_but_not_raise_it() -> None:
    ledger = Ledger(Limits(max_cost_usd=Decimal(2)))
    ledger.open("low", Decimal("0.5"))
    ledger.open("high", Decimal(50))
    assert ledger.left("low") == Decimal("0.5")
    assert ledger.left("high") == 2


# ------------------------------------------------------------------------------------- prices


@pytest.mark.parametrize(
    ("base_url", "model", "wire", "input_usd", "output_usd", "read_usd"),
    [
        # From the vendors' price lists of November 2026, by way of two public tables that agree
        ("https://api.openai.com/v1", "gpt-6.1-sol", "openai", "2", "10", "0.1"),
        ("https://api.anthropic.com", "claude-opus-5-5", "anthropic", "4", "20", "0.2"),
        ("https://api.anthropic.com", "claude-haiku-5-5", "anthropic", "0.1", "0.5", "0.01"),
        ("https://generativelanguage.googleapis.com", "gemini-4-argon", "gemini", "2", "10", "0.1"),
        ("https://api.deepseek.com", "deepseek-v4-pro", "openai", "1.32", "3.96", "0.044"),
        ("https://api.x.ai/v1", "grok-4.7", "openai", "2", "6", "0.5"),
        ("https://api.moonshot.ai/v1", "kimi-k3.1-pro", "openai", "2", "10", "0.2"),
        ("https://api.z.ai/api/paas/v4", "glm-5.3", "openai", "1.4", "4.4", "0.26"),
    ],
)
def test_the_prices_of_the_default_models_are_known(
    base_url: str, model: str, wire: WireName, input_usd: str, output_usd: str, read_usd: str
) -> None:
    # At a fixed hour: DeepSeek is dearer from 01:00 to 04:00 and from 06:00 to 10:00 UTC.
    price = prices.price(ModelSpec(wire=wire, base_url=base_url, model=model), datetime(2026, 11, 21, 2, tzinfo=UTC))
    assert price is not None
    assert price.base.input == Decimal(input_usd)
    assert price.base.output == Decimal(output_usd)
    assert price.base.cache_read == Decimal(read_usd)


@pytest.mark.parametrize("tokens", [1000, 300_000, 600_000])
def test_long_inputs_cost_what_genai_prices_itself_says(tokens: int) -> None:
    import genai_prices

    price = prices.price(ModelSpec(base_url="https://api.openai.com/v1", model="gpt-6-astra"))
    assert price is not None
    theirs = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=tokens, cache_read_tokens=500, output_tokens=700),
        "gpt-6-astra",
        provider_id="openai",
    )
    ours = price.cost(Usage(input_tokens=tokens - 500, cache_read_tokens=500, output_tokens=700))
    assert ours == theirs.total_price


def test_the_settings_own_prices_win_and_this_machine_is_free() -> None:
    own = ModelSpec(
        base_url="https://api.openai.com/v1",
        model="gpt-6.1-sol",
        input_usd_per_mtok=Decimal(1),
        output_usd_per_mtok=Decimal(2),
    )
    assert prices.price(own) == prices.Price.flat(Decimal(1), Decimal(2))
    assert prices.price(ModelSpec(base_url="http://127.0.0.1:11434/v1", model="gpt-oss:20b")) == prices.FREE
    assert prices.price(ModelSpec(wire="agent", model="claude")) == prices.FREE
    assert prices.price(ModelSpec(base_url="https://llm.example.org/v1", model="gpt-6.1-sol")) is None


def test_context_windows_are_known_or_given() -> None:
    assert prices.context_window(ModelSpec(base_url="https://api.openai.com/v1", model="gpt-6.1-sol")) == 1_050_000
    given_one = ModelSpec(base_url="http://127.0.0.1:1/v1", model="x", context_tokens=8192)
    assert prices.context_window(given_one) == 8192
    assert prices.context_window(ModelSpec(base_url="https://llm.example.org/v1", model="x")) is None


@pytest.mark.skipif(os.name != "posix", reason="reads POSIX resource usage")
def test_importing_the_gateway_imports_neither_the_http_client_nor_the_prices() -> None:
    import subprocess
    import sys

    code = (
        "import sys, orchestra_mcp.gateway; print(*sorted(m for m in ('httpx2', 'genai_prices') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
