"""Budgets: windows, purses that many processes share, and the calls that are held to them."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from hypothesis import given, settings
from hypothesis import strategies as st
from purse_child import AMOUNT, LEAST
from upstream import Expert, Upstream

from orchestra_mcp.errors import BudgetExceeded, Refused, StoreError
from orchestra_mcp.gateway import open_http, wires
from orchestra_mcp.gateway.money.budgets import Budgets, WindowSpent
from orchestra_mcp.gateway.money.metered import Ledger, Metered
from orchestra_mcp.gateway.money.prices import Price
from orchestra_mcp.gateway.money.throttle import Throttle
from orchestra_mcp.gateway.money.throttled import Throttled
from orchestra_mcp.gateway.provider import Caller, ChatReply, ChatRequest, EmbedRequest, Message, Receipt, Way, fold
from orchestra_mcp.settings import Budget, Keys, Limits, ModelSpec, RateLimit
from orchestra_mcp.store import open_store, rows
from orchestra_mcp.store.database import Place
from orchestra_mcp.store.ledger import Purses, beginning, end
from orchestra_mcp.store.locks import OwnerLock
from orchestra_mcp.store.sqlite import SqliteStore
from orchestra_mcp.types import CallRecord, Usage

CHILD = Path(__file__).with_name("purse_child.py")
MONTH = Budget(per="all", usd=Decimal("0.01"), window="month")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def store(home: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(home)
    yield opened
    await opened.close()


def budget(usd: str, per: Any = "all", name: str = "*", window: Any = "month") -> Budget:
    return Budget(per=per, name=name, usd=Decimal(usd), window=window)


def books(home: Path) -> dict[tuple[str, str, str], tuple[int, int]]:
    """What the file says: scope, name and window → spent and held."""
    connection = sqlite3.connect(Place(home).database)
    try:
        found = connection.execute("SELECT scope, name, window, spent, held FROM purses").fetchall()
        return {(scope, name, window): (spent, held) for scope, name, window, spent, held in found}
    finally:
        connection.close()


def holds(home: Path) -> int:
    connection = sqlite3.connect(Place(home).database)
    try:
        return int(connection.execute("SELECT count(*) FROM holds").fetchone()[0])
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize(
    ("window", "moment", "begins", "ends"),
    [
        ("hour", "2026-11-21T11:59:59.999999", "2026-11-21T11:00", "2026-11-21T12:00"),
        ("hour", "2026-11-21T12:00:00", "2026-11-21T12:00", "2026-11-21T13:00"),
        ("day", "2026-02-28T23:59:59", "2026-02-28T00:00", "2026-03-01T00:00"),
        ("month", "2026-12-31T23:59:59", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("month", "2028-02-29T12:00:00", "2028-02-01T00:00", "2028-03-01T00:00"),
    ],
)
def test_windows_begin_with_the_hour_the_day_and_the_month(window: Any, moment: str, begins: str, ends: str) -> None:
    def stamp(text: str) -> int:
        return rows.stamp(datetime.fromisoformat(text).replace(tzinfo=UTC))

    assert beginning(window, stamp(moment)) == stamp(begins)
    assert end(window, beginning(window, stamp(moment))) == stamp(ends)


# ------------------------------------------------------------------------------------------------ purses


async def test_money_is_held_in_all_purses_of_a_call_or_in_none(store: SqliteStore, home: Path) -> None:
    large, small = budget("1"), budget("0.001", "key", "ci")
    hold = await store.purses.reserve((large, small), 900, 900, 50, 60)
    assert hold.short is None
    refused = await store.purses.reserve((large, small), 101, 101, 50, 60)
    assert (refused.short, refused.left, refused.amount) == (small, 100, 0)
    assert refused.resets is not None
    assert refused.resets > datetime.now(UTC)
    await store.purses.flush()
    assert books(home) == {("all", "*", "month"): (0, 900), ("key", "ci", "month"): (0, 900)}
    hold.settle(123)
    hold.settle(900)  # only the first word counts
    await store.purses.flush()
    assert books(home) == {("all", "*", "month"): (123, 0), ("key", "ci", "month"): (123, 0)}
    assert holds(home) == 0


async def test_a_call_may_take_what_is_left_when_that_is_enough_for_it(store: SqliteStore) -> None:
    first = await store.purses.reserve((MONTH,), 9_500, 9_500, 0, 60)
    second = await store.purses.reserve((MONTH,), 2_000, 400, 0, 60)
    assert (first.amount, second.amount, second.short) == (9_500, 500, None)
    third = await store.purses.reserve((MONTH,), 2_000, 1, 0, 60)
    assert third.short == MONTH


async def test_what_was_spent_before_a_budget_was_set_counts(store: SqliteStore) -> None:
    for key, cost in (("ci", "0.004"), ("other", "0.005")):
        usage = Usage(calls=1, input_tokens=1, cost_usd=Decimal(cost))
        store.note(CallRecord(run="", purpose="chat", model="m", provider="p", key=key, usage=usage))
    await store._calls.flush()
    assert (await store.purses.reserve((MONTH,), 1_001, 1_001, 0, 60)).left == 1_000
    assert (await store.purses.reserve((budget("0.01", "key", "ci"),), 6_001, 6_001, 0, 60)).left == 6_000


async def test_calls_that_wait_together_share_a_transaction(store: SqliteStore, home: Path) -> None:
    large = budget("1")

    async def call() -> None:
        hold = await store.purses.reserve((large,), 10, 10, 0, 60)
        hold.settle(3)

    before = store.purses.batches
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(call)
    await store.purses.flush()
    assert store.purses.batches - before <= 4
    assert books(home)[("all", "*", "month")] == (600, 0)


async def test_whoever_is_cancelled_while_waiting_holds_nothing(store: SqliteStore, home: Path) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(store.purses.reserve, (MONTH,), 100, 100, 7, 60)
        for _ in range(3):
            await asyncio.sleep(0)
        tasks.cancel_scope.cancel()
    await store.purses.flush()
    assert books(home).get(("all", "*", "month"), (0, 0)) == (0, 0)
    assert holds(home) == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 4_000), st.sampled_from(["a", "b"])), max_size=30),
    st.integers(1, 6),
)
def test_no_order_of_calls_brings_a_purse_below_zero(steps: list[tuple[int, int, str]], apart: int) -> None:
    """Against a model of the arithmetic in plain Python: who is let in, and what stands in the books at the end."""

    async def run() -> None:
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE calls (at INTEGER, cost_micro_usd INTEGER, key TEXT)")
        connection.execute(
            "CREATE TABLE purses (id INTEGER PRIMARY KEY, scope TEXT, name TEXT, window TEXT, start INTEGER, "
            "spent INTEGER, held INTEGER, UNIQUE (scope, name, window, start))"
        )
        connection.execute(
            "CREATE TABLE holds (id INTEGER PRIMARY KEY, owner TEXT, expires INTEGER, amount INTEGER, "
            "least INTEGER, purses TEXT)"
        )

        async def write(unit: Any) -> None:
            with connection:
                unit(connection)

        purses = Purses(write, lambda: "me", lambda _: True)
        spent = {"*": 0, "a": 0, "b": 0}
        limits = {"*": 10_000, "a": 6_000, "b": 6_000}
        held: list[tuple[Any, int, str]] = []
        for number, (amount, cost, key) in enumerate(steps):
            hold = await purses.reserve((budget("0.01"), budget("0.006", "key", key)), amount, amount, 0, 60)
            open_ = {name: sum(a for _, a, k in held if name in ("*", k)) for name in limits}
            fits = all(spent[name] + open_[name] + amount <= limits[name] for name in ("*", key))
            assert (hold.short is None) == fits
            if fits:
                held.append((hold, amount, key))
            if held and number % apart == 0:
                old, amount, key = held.pop(0)
                old.settle(min(cost, amount))
                for name in ("*", key):
                    spent[name] += min(cost, amount)
        await purses.flush()
        for scope, name in (("all", "*"), ("key", "a"), ("key", "b")):
            row = connection.execute("SELECT spent, held FROM purses WHERE scope = ? AND name = ?", (scope, name))
            found = row.fetchone()
            if found:
                assert found == (spent[name], sum(a for _, a, k in held if name in ("*", k)))
                assert sum(found) <= limits[name]
        connection.close()

    anyio.run(run)


async def test_a_settlement_is_not_lost_to_a_database_that_cannot_be_written_for_a_while(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    broken = False

    async def write(unit: Any) -> None:
        if broken:
            raise StoreError("The disk is full.")
        await store._write(unit)

    purses = Purses(write, lambda: "me", lambda _: True)
    hold = await purses.reserve((MONTH,), 500, 500, 0, 60)
    broken = True
    hold.settle(200)
    with pytest.raises(StoreError, match="full"):
        await purses.flush()
    with pytest.raises(StoreError, match="full"):
        await purses.reserve((MONTH,), 1, 1, 0, 60)
    broken = False
    await purses.flush()
    await store.close()
    assert books(tmp_path)[("all", "*", "month")] == (200, 0)


# ------------------------------------------------------------------------------------------------ many processes


@asynccontextmanager
async def child(command: str, home: Path, micro: int) -> AsyncIterator[Process]:
    process = await anyio.open_process(
        [sys.executable, str(CHILD), command, str(home), str(micro)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert await line(process) == "ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def line(process: Process) -> str:
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        text += await process.stdout.receive()
    return text.decode().strip()


async def go(process: Process) -> None:
    assert process.stdin is not None
    await process.stdin.send(b"go\n")


async def test_200_calls_at_once_from_4_processes_never_spend_a_micro_dollar_too_much(home: Path) -> None:
    limit = 400_000
    async with (
        child("spend", home, limit) as one,
        child("spend", home, limit) as two,
        child("spend", home, limit) as three,
        child("spend", home, limit) as four,
    ):
        everybody = (one, two, three, four)
        for process in everybody:
            await go(process)
        told = [tuple(map(int, (await line(process)).split())) for process in everybody]
    spent = sum(cost for _, cost in told)
    found = books(home)[("all", "*", "month")]
    assert found == (spent, 0), "the books say what the processes spent, and nothing is held"
    assert spent <= limit
    # A call is refused only when less than its upper bound is left; with 200 in flight, that is 200 bounds at most.
    assert spent > limit - 200 * AMOUNT
    assert sum(made > 0 for made, _ in told) >= 2, "they spent at the same time"
    assert books(home)[("key", "ci", "month")] == (spent, 0)
    assert holds(home) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
async def test_a_killed_process_costs_what_it_settled_and_the_least_of_what_it_held(home: Path) -> None:
    async with child("die", home, 400_000) as process:
        await go(process)
        settled = int(await line(process))
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert books(home)[("all", "*", "month")] == (settled, 5 * AMOUNT), "held until its time is over"
    store = await SqliteStore.open(home)
    try:
        before = Purses(store._write, lambda: store._token, store._alive)
        await before.reserve((budget("1", "key", "x"),), 1, 1, 0, 60)
        assert books(home)[("all", "*", "month")] == (settled, 5 * AMOUNT)
        later = Purses(store._write, lambda: store._token, store._alive, now=lambda: rows.now() + 601_000_000)
        await later.reserve((budget("1", "key", "x"),), 1, 1, 0, 60)
        assert books(home)[("all", "*", "month")] == (settled + 5 * LEAST, 0)
    finally:
        await store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
async def test_a_process_that_is_killed_while_all_spend_lets_nobody_overspend(home: Path) -> None:
    limit = 1_000_000
    key = ("all", "*", "month")
    async with (
        child("spend", home, limit) as one,
        child("spend", home, limit) as two,
        child("spend", home, limit) as dead,
    ):
        for process in (one, two, dead):
            await go(process)
        with anyio.fail_after(30):
            while sum(books(home).get(key, (0, 0))) < limit // 4:  # noqa: ASYNC110 - other processes set no event
                await anyio.sleep(0.005)
        with suppress(ProcessLookupError):
            dead.send_signal(signal.SIGKILL)
        await dead.wait()
        for process in (one, two):
            await line(process)
    spent, held = books(home)[key]
    assert spent + held <= limit, "what the dead process held is kept for it"
    store = await SqliteStore.open(home)
    later = Purses(store._write, lambda: store._token, store._alive, now=lambda: rows.now() + 601_000_000)
    await later.reserve((budget("1", "key", "x"),), 1, 1, 0, 60)
    await store.close()
    # Each of its holds was for AMOUNT and is booked at its LEAST.
    assert books(home)[key] == (spent + held // AMOUNT * LEAST, 0)


async def test_a_living_process_keeps_its_hold_however_long_the_call_takes(home: Path) -> None:
    slow, quick = await SqliteStore.open(home), await SqliteStore.open(home)
    hold = await slow.purses.reserve((MONTH,), 800, 800, 30, 60)
    later = Purses(quick._write, lambda: quick._token, quick._alive, now=lambda: rows.now() + 120_000_000)
    await later.reserve((budget("1", "key", "x"),), 1, 1, 0, 60)
    assert books(home)[("all", "*", "month")] == (0, 800)
    await slow.close()  # as if it had died without a word
    await Purses(quick._write, lambda: quick._token, quick._alive, now=lambda: rows.now() + 120_000_000).reserve(
        (budget("1", "key", "x"),), 1, 1, 0, 60
    )
    assert books(home)[("all", "*", "month")] == (30, 0)
    # A word that comes after all is booked, less what was booked for it already.
    quick.purses.give_back(hold, 500)
    await quick.close()
    assert books(home)[("all", "*", "month")] == (500, 0)


async def test_the_older_calls_are_taken_over_into_the_new_table(tmp_path: Path) -> None:
    from orchestra_mcp.store.migrations import LATEST, MIGRATIONS, statements

    connection = sqlite3.connect(Place(tmp_path).database)
    for script in MIGRATIONS[:2]:
        for statement in statements(script):
            connection.execute(statement)
    connection.execute(
        "INSERT INTO consultations VALUES ('c', 'c', '', 'consult', 'auto', 'complete', 1, 2, '', 0.5, '', 'q', '{}', NULL)"
    )
    connection.execute(
        "INSERT INTO calls VALUES (7, 'c', 5, 'p', 'm', 'opinion', 1, '', 1.5, 0.5, 1, 10, 0, 0, 5, 0, 321, 0)"
    )
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    async with open_store(tmp_path) as store:
        assert await store.spent_since(datetime(1970, 1, 1, tzinfo=UTC)) == Decimal("0.000321")
        [row] = await store.costs("model", datetime(1970, 1, 1, tzinfo=UTC))
    assert (row.value, row.paid_usd, row.input_tokens) == ("m", Decimal("0.000321"), 10)
    connection = sqlite3.connect(Place(tmp_path).database)
    assert connection.execute("SELECT id, consultation, key, cache FROM calls").fetchall() == [(7, "c", "", "")]
    assert connection.execute("PRAGMA user_version").fetchone() == (LATEST,)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_the_owner_lock_is_what_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    one, two = OwnerLock(tmp_path), OwnerLock(tmp_path)
    assert one.alive(two.token)
    two.release()
    assert not one.alive(two.token)
    one.release()


# ------------------------------------------------------------------------------------------------ which budgets


def test_a_call_is_held_to_the_smallest_budget_of_each_purse_that_it_touches() -> None:
    given = (
        budget("100", "all", window="month"),
        budget("10", "key", "*", "day"),
        budget("5", "key", "ci-*", "day"),
        budget("7", "model", "opus", "hour"),
        budget("9", "workspace", "other"),
    )
    own = Budgets(given, Decimal(20), lambda caller: (budget("3", "key", "*", "month"),) if caller.key else ())
    found = own.claims(Caller(key="ci-1", workspace="team"), "anthropic.com", "opus")
    assert {(b.per, b.name, b.window): b.usd for b in found} == {
        ("all", "*", "month"): 100,
        ("all", "*", "day"): 20,
        ("key", "ci-1", "day"): 5,
        ("key", "ci-1", "month"): 3,
        ("model", "opus", "hour"): 7,
    }
    mine = own.claims(Caller(), "anthropic.com", "sonnet")
    assert {(b.per, b.window) for b in mine} == {("all", "month"), ("all", "day")}, "the user has no key"
    assert Budgets().claims(Caller(key="k"), "p", "m") == ()


# ------------------------------------------------------------------------------------------------ calls


class Desk:
    """A metered model at an upstream, with a store."""

    def __init__(self, gateway: Metered, records: list[CallRecord]) -> None:
        self.gateway = gateway
        self.records = records

    async def ask(self, text: str = "Why?", **more: Any) -> ChatReply:
        return await fold(
            self.gateway, ChatRequest(**{"model": "ada", "messages": (Message(role="user", text=text),), **more})
        )


@asynccontextmanager
async def desk(
    upstream: Upstream, purse: Any, budgets: Budgets, price: Price | None = None, **more: Any
) -> AsyncIterator[Desk]:
    records: list[CallRecord] = []
    limits = Limits(first_token_s=10, idle_s=10, daily_cost_usd=Decimal(1000))
    spec = ModelSpec(base_url=f"{upstream.url}/v1", model="ada")
    async with open_http() as http:
        [inner] = wires(spec, Keys({}), limits, http)
        yield Desk(
            Metered(
                inner,
                model="ada",
                provider="example.org",
                price=lambda: price,
                ledger=Ledger(limits),
                on_call=records.append,
                model_id="ada-1",
                budgets=budgets,
                purse=purse,
                **more,
            ),
            records,
        )


PRICE = Price.flat(Decimal(10), Decimal(100))
"""A token of input is 10 micro-dollars, one of output 100."""


async def test_a_call_is_refused_before_it_is_sent_and_the_refusal_says_everything(
    store: SqliteStore, home: Path
) -> None:
    budgets = Budgets((budget("0.02", "key", "ci", "day"),))
    with Upstream({"ada": Expert("yes", usage=(100, 50))}) as upstream:
        async with desk(upstream, store.purses, budgets, PRICE) as d:
            caller = Caller(key="ci", workspace="team", tier="gold")
            # 20 bytes of prompt (4 and 16 for the message) and 100 tokens of output: at most $0.0102
            receipt = Receipt()
            reply = await d.ask(max_tokens=100, caller=caller, use_case="code", receipt=receipt)
            # 100 × $10 / 1M + 50 × $100 / 1M
            assert reply.usage.cost_usd == Decimal("0.006")
            with pytest.raises(WindowSpent) as caught:
                await d.ask(max_tokens=200, caller=caller)
            assert len(upstream.calls) == 1
    said = str(caught.value)
    assert "$0.0202" in said
    assert "key 'ci'" in said
    assert "for the day ($0.02)" in said
    assert "has $0.0140 left" in said
    assert "too dear for it at any time" in said
    assert "[[budgets]]" in said
    assert isinstance(caught.value, BudgetExceeded)
    await store.purses.flush()
    assert books(home) == {("key", "ci", "day"): (6_000, 0)}
    [record] = d.records
    assert (record.key, record.workspace, record.tier, record.use_case) == ("ci", "team", "gold", "code")
    assert (record.model, record.model_id, record.provider) == ("ada", "ada-1", "example.org")
    assert (receipt.cost_usd, receipt.unpriced, receipt.model, receipt.provider) == (
        Decimal("0.006"), False, "ada", "example.org",
    )  # fmt: skip


async def test_a_call_waits_for_money_that_another_holds_and_will_not_spend(store: SqliteStore, home: Path) -> None:
    # Each holds $0.0102 at most and costs $0.006: together they would hold more than there is, and cost less.
    budgets = Budgets((budget("0.0165", "key", "ci", "day"),))
    with Upstream({"ada": Expert("yes", usage=(100, 50), latency_s=0.3)}) as upstream:
        async with desk(upstream, store.purses, budgets, PRICE) as d:
            texts: list[str] = []

            async def ask() -> None:
                texts.append((await d.ask(max_tokens=100, caller=Caller(key="ci"))).text)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await upstream.wait_for_calls(1)
                tasks.start_soon(ask)
            assert texts == ["yes", "yes"]
            with pytest.raises(WindowSpent):  # now it is spent, and nothing is waited for
                await ask()
    await store.purses.flush()
    assert books(home) == {("key", "ci", "day"): (12_000, 0)}


async def test_a_call_without_a_limit_gets_the_one_that_its_budget_can_pay(store: SqliteStore) -> None:
    # 20 tokens of prompt at most are $0.0002; the other $0.0998 pay 998 tokens of output.
    with Upstream({"ada": Expert("yes", usage=(20, 998))}) as upstream:
        async with desk(upstream, store.purses, Budgets((budget("0.1", window="day"),)), PRICE) as d:
            await d.ask(max_tokens=None)
            assert upstream.calls[0].body["max_tokens"] == 998
            with pytest.raises(WindowSpent):
                await d.ask(max_tokens=None)
        async with desk(upstream, store.purses, Budgets((budget("50", window="hour"),)), PRICE) as d:
            await d.ask(max_tokens=None)
            assert upstream.calls[1].body["max_tokens"] == 32_768
        async with desk(upstream, store.purses, Budgets((budget("50", window="hour"),)), PRICE, max_output=8_192) as d:
            await d.ask(max_tokens=None)
            assert upstream.calls[2].body["max_tokens"] == 8_192
        async with desk(upstream, store.purses, Budgets(), PRICE) as d:
            await d.ask(max_tokens=None)
            assert "max_tokens" not in upstream.calls[3].body


async def test_where_nothing_can_be_spent_the_database_is_left_alone(store: SqliteStore) -> None:
    with Upstream({"ada": Expert("yes")}) as upstream:
        for budgets, price in (
            (Budgets(), PRICE),
            (Budgets((budget("5", "key"),)), PRICE),  # the machine's own user has no key
            (Budgets((budget("5"),), Decimal(20)), Price.flat(Decimal(0), Decimal(0))),
        ):
            async with desk(upstream, store.purses, budgets, price) as d:
                await d.ask()
    await store.purses.flush()
    assert store.purses.batches == 0


async def test_an_unknown_price_is_counted_at_the_ceiling_or_refused(store: SqliteStore, home: Path) -> None:
    budgets = Budgets((budget("0.3", window="day"),))
    with Upstream({"ada": Expert("yes", usage=(100, 1000))}) as upstream:
        async with desk(upstream, store.purses, budgets, None) as d:
            receipt = Receipt()
            reply = await d.ask(max_tokens=1000, receipt=receipt)
            assert (reply.usage.unpriced, reply.usage.cost_usd, receipt.unpriced) == (1, Decimal(0), True)
        await store.purses.flush()
        # 100 × $10 / 1M + 1000 × $50 / 1M
        assert books(home) == {("all", "*", "day"): (51_000, 0)}
        async with desk(upstream, store.purses, budgets, None, refuse_unpriced=True) as d:
            with pytest.raises(BudgetExceeded, match="price is unknown"):
                await d.ask()
        assert len(upstream.calls) == 1


async def test_a_failed_or_cancelled_call_gives_its_hold_back(store: SqliteStore, home: Path) -> None:
    budgets = Budgets((budget("1", window="day"),))
    with Upstream({"ada": Expert("yes", fault="401")}) as upstream:
        async with desk(upstream, store.purses, budgets, PRICE) as d:
            with pytest.raises(Refused):
                await d.ask()
    with Upstream({"ada": Expert("yes", fault="hang")}) as upstream:
        async with desk(upstream, store.purses, budgets, PRICE) as d:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(d.ask)
                await upstream.wait_for_calls(1)
                assert sum(books(home)[("all", "*", "day")]) > 0
                tasks.cancel_scope.cancel()
            assert [record.error for record in d.records] == ["cancelled"]
    await store.purses.flush()
    # The vendor got 20 bytes of prompt, by our count 5 tokens of 10 micro-dollars, and may bill them.
    assert books(home) == {("all", "*", "day"): (50, 0)}


async def test_a_reader_who_leaves_in_the_middle_pays_for_what_was_said(store: SqliteStore, home: Path) -> None:
    with Upstream({"ada": Expert("one two three four five six", fault="slow", drip_s=0.001)}) as upstream:
        async with desk(upstream, store.purses, Budgets((budget("1", window="day"),)), PRICE) as d:
            request = ChatRequest(model="ada", messages=(Message(role="user", text="x" * 400),))
            async with aclosing(d.gateway.chat(request)) as events:
                await anext(events)
    await store.purses.flush()
    spent, held = books(home)[("all", "*", "day")]
    assert held == 0
    # 400 characters are about 100 tokens of prompt, at 10 micro-dollars each; a word or two were said.
    assert 1_000 <= spent < 2_000


async def test_budgets_that_cannot_be_looked_into_stop_calls_but_the_days_limit_does_not() -> None:
    class Gone:
        async def reserve(self, *_: Any) -> Any:
            raise StoreError("The database is damaged.")

    with Upstream({"ada": Expert("yes")}) as upstream:
        async with desk(upstream, Gone(), Budgets((), Decimal(20)), PRICE) as d:
            receipt = Receipt()
            assert (await d.ask(receipt=receipt)).text == "yes"
            assert receipt.why == ["the day's budget of other processes is not known"]
        async with desk(upstream, Gone(), Budgets((budget("5"),)), PRICE) as d:
            with pytest.raises(BudgetExceeded, match="damaged"):
                await d.ask()


async def test_the_days_limit_holds_across_processes(home: Path) -> None:
    one, two = await SqliteStore.open(home), await SqliteStore.open(home)
    with Upstream({"ada": Expert("yes", usage=(0, 100))}) as upstream:
        for number, store in enumerate((one, two)):
            async with desk(upstream, store.purses, Budgets((), Decimal("0.015")), PRICE) as d:
                if number == 0:
                    await d.ask(max_tokens=100)
                else:
                    with pytest.raises(WindowSpent, match="daily_cost_usd"):
                        await d.ask(max_tokens=100)
    await one.close()
    await two.close()


class _Vectors(BaseHTTPRequestHandler):
    """`POST /v1/embeddings` as OpenAI's reference shows its reply."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(
            {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
                "model": "text-embedding-3-small",
                "usage": {"prompt_tokens": 8, "total_tokens": 8},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


async def test_vectors_are_paid_and_throttled_like_the_prompt_of_a_chat(store: SqliteStore, home: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Vectors)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        spec = ModelSpec(base_url=f"http://127.0.0.1:{server.server_port}/v1", model="text-embedding-3-small")
        records: list[CallRecord] = []
        limits = Limits()
        async with open_http() as http:
            [inner] = wires(spec, Keys({}), limits, http)
            metered = Metered(
                inner,
                model="small",
                provider="example.org",
                price=lambda: Price.flat(Decimal(10), Decimal(0)),
                ledger=Ledger(limits),
                on_call=records.append,
                budgets=Budgets((budget("0.0005", "key", "ci", "day"),)),
                purse=store.purses,
            )
            throttle = Throttle((RateLimit(per="key", requests_per_minute=2),), clock=lambda: 0.0)
            stack = Throttled(metered, throttle, model="small", provider="example.org")
            ci = Caller(key="ci")
            found = await stack.embed(EmbedRequest(model="small", texts=("Hello there, you",), caller=ci))
            assert found.vectors == ((0.6, 0.8),)
            # 8 × $10 / 1M
            assert found.usage.cost_usd == Decimal("0.00008")
            with pytest.raises(WindowSpent):  # 33 bytes and 16 for the message are $0.00049
                await stack.embed(EmbedRequest(model="small", texts=("x" * 33,), caller=ci))
            [gate] = throttle.gates(ci, "example.org", "small")
            assert gate.running == 0
            assert throttle.at_once([gate], 0) is None, "both counted as requests"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [(record.purpose, record.key, record.usage.input_tokens) for record in records] == [("embedding", "ci", 8)]
    await store.purses.flush()
    assert books(home) == {("key", "ci", "day"): (80, 0)}


def test_a_record_names_the_route(home: Path) -> None:
    async def run() -> str:
        with Upstream({"ada": Expert("yes")}) as upstream:
            async with desk(upstream, None, Budgets(), PRICE) as d:
                await d.ask(way=Way(route="fast", targets=("ada",)))
                return d.records[0].route

    assert anyio.run(run) == "fast"
