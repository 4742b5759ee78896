"""Answers that need not be asked for again: identical ones, and those in flight. Real HTTP, real SQLite files."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from upstream import Expert, Upstream

from orchestra_mcp.errors import BadReply, BudgetExceeded, ProviderError, RateLimited, Resting, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.caching.cached import Cached
from orchestra_mcp.gateway.caching.kept import Gathering, Kept, Memory
from orchestra_mcp.gateway.caching.keys import flight_of, key_of, partition_of
from orchestra_mcp.gateway.caching.shared import Shared, twin
from orchestra_mcp.gateway.money.budgets import WindowSpent
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.money.throttle import OwnLimit
from orchestra_mcp.gateway.provider import (
    AnswerSchema,
    CacheTerms,
    Caller,
    ChatEvent,
    ChatReply,
    ChatRequest,
    Finish,
    Message,
    Provider,
    ReasoningDelta,
    Receipt,
    Text,
    TextDelta,
    Tool,
    ToolDelta,
    Way,
    fold,
)
from orchestra_mcp.settings import Budget, Keys, Limits, ModelSpec, RateLimit
from orchestra_mcp.store.replies import SqliteReplies
from orchestra_mcp.types import CallRecord, Usage

EXACT = Way(route="r", targets=("ada",), cache="exact")


def request(text: str = "Why does it hang?", **more: Any) -> ChatRequest:
    messages = (Message(role="system", text="Be brief."), Message(role="user", text=text))
    return ChatRequest(**{"model": "ada", "messages": messages, "way": EXACT, "receipt": Receipt(), **more})


class Tap:
    """Says the same events to everybody, and counts; `gate` holds it up before each event after the first."""

    def __init__(self, *events: ChatEvent | Exception, gate: anyio.Event | None = None) -> None:
        self.events = events or (TextDelta(text="Because."), Finish(reason="stop", usage=Usage(output_tokens=3)))
        self.gate = gate
        self.calls = 0
        self.closed = 0

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.calls += 1
        request.receipt.model, request.receipt.provider, request.receipt.cost_usd = "ada", "local", Decimal("0.5")
        try:
            for number, event in enumerate(self.events):
                if number and self.gate is not None:
                    await self.gate.wait()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed += 1


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def kept_in(home: Path, clock: Callable[[], float] = time.time, **more: Any) -> AsyncIterator[SqliteReplies]:
    replies = SqliteReplies(home, clock=clock, **more)
    try:
        yield replies
    finally:
        await replies.aclose()


async def until(done: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not done():  # noqa: ASYNC110 - the upstream is in another thread
            await anyio.sleep(0.005)


# ---------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.0},
        {"max_tokens": 7},
        {"top_p": 0.5},
        {"stop": ("x",)},
        {"seed": 1},
        {"effort": "low"},
        {"tools": (Tool(name="t"),)},
        {"tool_choice": "none"},
        {"json_only": True},
        {"answer": AnswerSchema(json_schema={"type": "object"})},
        {"extra": {"logit_bias": {"1": 2}}},
        {"sample": 1},
        {"caller": Caller(workspace="w")},
        {"caller": Caller(key="k")},
        {"way": EXACT.model_copy(update={"partition": "ada@2"})},
        {"messages": (Message(role="user", text="Be brief."), Message(role="user", text="Why does it hang?"))},
        {"messages": (Message(role="system", text="Be brief."), Message(role="user", parts=(Text(text="Why?"),)))},
    ],
    ids=lambda more: next(iter(more)),
)
def test_whatever_shapes_the_answer_is_part_of_the_key(more: dict[str, Any]) -> None:
    assert key_of(request(**more)) != key_of(request())


@pytest.mark.parametrize(
    "more", [{"stream": False}, {"run": "x"}, {"purpose": "chair"}, {"deadline_s": 3.0}, {"cache": CacheTerms(ttl_s=3)}]
)
def test_how_an_answer_is_carried_and_paid_for_is_no_part_of_the_key(more: dict[str, Any]) -> None:
    assert key_of(request(**more)) == key_of(request())


def test_keys_of_one_workspace_share_what_keys_without_one_do_not() -> None:
    one, other = Caller(key="k1", workspace="w"), Caller(key="k2", workspace="w")
    assert key_of(request(caller=one)) == key_of(request(caller=other))
    assert key_of(request(caller=Caller(key="k1"))) != key_of(request(caller=Caller(key="k2")))
    # a workspace and a key of the same name are two
    assert key_of(request(caller=Caller(key="x"))) != key_of(request(caller=Caller(workspace="x")))


def test_order_within_a_json_object_does_not_matter() -> None:
    one, other = {"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1}
    assert key_of(request(extra=one)) == key_of(request(extra=other))


def test_a_lone_surrogate_has_a_key_too() -> None:
    assert key_of(request("\ud800")) != key_of(request("\ud801"))


def test_a_partition_leaves_out_the_last_text_and_nothing_else() -> None:
    assert partition_of(request("a")) == partition_of(request("b"))
    assert partition_of(request("a", temperature=0.1)) != partition_of(request("a"))
    assert len({partition_of(request()), key_of(request()), flight_of(request())}) == 3


# --------------------------------------------------------------------------------------------- exact


async def test_an_identical_request_is_answered_from_memory_at_no_cost() -> None:
    tap, records = Tap(), list[CallRecord]()
    gateway = Cached(tap, on_call=records.append)
    first, again = request(), request(run="other", stream=False)
    one = await fold(gateway, first)
    two = await fold(gateway, again)
    assert (one.text, two.text, two.finish) == ("Because.", "Because.", "stop")
    assert (one.usage.output_tokens, two.usage) == (3, Usage())
    assert (first.receipt.cache, again.receipt.cache) == ("miss", "hit")
    assert (again.receipt.model, again.receipt.provider, again.receipt.cost_usd) == ("ada", "local", Decimal(0))
    assert [(r.cache, r.run, r.usage.cost_usd) for r in records] == [("hit", "other", Decimal(0))]
    assert tap.calls == 1


async def test_a_way_that_does_not_cache_is_left_alone() -> None:
    tap = Tap()
    gateway = Cached(tap)
    for way in (None, EXACT.model_copy(update={"cache": "off"})):
        for _ in range(2):
            ask = request(way=way)
            await fold(gateway, ask)
            assert ask.receipt.cache == ""
    assert tap.calls == 4


@pytest.mark.parametrize(
    "events",
    [
        (TextDelta(text="Beca"), Finish(reason="length")),
        (TextDelta(text="No."), Finish(reason="filter")),
        (TextDelta(text="?"), Finish(reason="unknown")),
        (Finish(reason="stop"),),
        (ReasoningDelta(signature="s"), ToolDelta(index=0, id="1", name="f"), Finish(reason="tool")),
    ],
    ids=["length", "filter", "unknown", "empty", "signed thought before a tool"],
)
async def test_what_is_not_complete_and_good_is_not_kept(events: tuple[ChatEvent, ...]) -> None:
    tap = Tap(*events)
    gateway = Cached(tap)
    await fold(gateway, request())
    await fold(gateway, request())
    assert tap.calls == 2


async def test_an_error_is_not_kept() -> None:
    tap = Tap(TextDelta(text="Beca"), Unavailable("down"))
    gateway = Cached(tap)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await fold(gateway, request())
    assert tap.calls == 2


async def test_tool_calls_are_played_again_whole() -> None:
    tap = Tap(
        ToolDelta(index=0, id="c1", name="find", arguments='{"q":'),
        ToolDelta(index=1, id="c2", name="open", signature="sig"),
        ToolDelta(index=0, arguments=' "x"}'),
        Finish(reason="tool", model="ada-1"),
    )
    gateway = Cached(tap)
    one, two = await fold(gateway, request()), await fold(gateway, request())
    assert two.tool_calls == one.tool_calls
    assert (two.tool_calls[0].arguments, two.tool_calls[1].signature) == ('{"q": "x"}', "sig")
    assert (two.finish, two.model, tap.calls) == ("tool", "ada-1", 1)


async def test_a_long_answer_is_played_in_pieces() -> None:
    text = "word " * 2000
    gateway = Cached(Tap(TextDelta(text=text), Finish(reason="stop")))
    await fold(gateway, request())
    events = [event async for event in gateway.chat(request())]
    assert [type(e) for e in events] == [TextDelta, TextDelta, TextDelta, Finish]
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == text


async def test_what_the_caller_allows_is_kept_to() -> None:
    clock, tap = Clock(), Tap()
    gateway = Cached(tap, clock=clock)
    await fold(gateway, request(cache=CacheTerms(write=False)))
    await fold(gateway, request())
    assert tap.calls == 2
    await fold(gateway, request(cache=CacheTerms(read=False)))
    assert tap.calls == 3
    clock.now += 100
    old = request(cache=CacheTerms(max_age_s=100))
    await fold(gateway, old)
    assert (tap.calls, old.receipt.cache, old.receipt.cache_age_s) == (3, "hit", 100)
    clock.now += 1
    await fold(gateway, request(cache=CacheTerms(max_age_s=100)))
    assert tap.calls == 4


@pytest.mark.parametrize(("asked", "lives"), [(None, 50.0), (20.0, 20.0), (500.0, 50.0)])
async def test_an_answer_lives_as_long_as_the_way_and_the_caller_say(
    tmp_path: Path, asked: float | None, lives: float
) -> None:
    clock, tap = Clock(), Tap()
    way = EXACT.model_copy(update={"cache_ttl_s": 50})
    async with kept_in(tmp_path, clock) as replies:
        await fold(Cached(tap, replies, clock=clock), request(way=way, cache=CacheTerms(ttl_s=asked)))
        clock.now += lives - 0.5
        await fold(Cached(tap, replies, clock=clock), request(way=way))  # a new memory: from the file
        assert tap.calls == 1
        clock.now += 0.5
        await fold(Cached(tap, replies, clock=clock), request(way=way))
        assert tap.calls == 2


def test_memory_is_bounded_in_bytes_and_the_oldest_makes_room() -> None:
    memory = Memory(100_000)
    for number in range(100):
        memory.put(bytes([number]), Kept(text="x" * 5000))
        assert memory.size <= 100_000
        memory.get(b"\0")
    assert b"\0" in memory
    assert b"\1" not in memory
    assert b"\x63" in memory
    memory.put(b"big", Kept(text="x" * 100_000))
    assert b"big" not in memory


def test_a_gathered_answer_survives_being_written_down() -> None:
    gathering = Gathering()
    for event in (TextDelta(text="Grüße \ud83d"), Finish(reason="stop", model="m", usage=Usage(output_tokens=1))):
        gathering.see(event)
    kept = gathering.kept()
    assert kept is not None
    assert Kept.from_bytes(b"{}") is None
    assert Kept.from_bytes(Kept(text="Grüße").to_bytes()) == Kept(text="Grüße")


async def test_an_answer_outlives_the_process(tmp_path: Path) -> None:
    tap = Tap()
    async with kept_in(tmp_path) as replies:
        await fold(Cached(tap, replies), request())
    async with kept_in(tmp_path) as replies:
        ask = request()
        assert (await fold(Cached(tap, replies), ask)).text == "Because."
    assert (tap.calls, ask.receipt.cache) == (1, "hit")


# ----------------------------------------------------------------------------------------- the store


async def test_damage_begins_a_new_file_and_is_never_an_answer(tmp_path: Path) -> None:
    async with kept_in(tmp_path) as replies:
        replies.put(b"k", b"body", time.time(), time.time() + 60)
        await replies.flush()
    (tmp_path / "cache.db").write_bytes(b"nonsense" * 1000)
    async with kept_in(tmp_path) as replies:
        assert await replies.get(b"k") is None
        replies.put(b"k", b"body", time.time(), time.time() + 60)
        assert await replies.get(b"k") == b"body"
    assert (tmp_path / "cache-1.db").exists()
    async with kept_in(tmp_path) as replies:
        assert await replies.get(b"k") == b"body"


async def test_a_changed_body_is_no_answer(tmp_path: Path) -> None:
    async with kept_in(tmp_path) as replies:
        replies.put(b"k", b"right", time.time(), time.time() + 60)
        await replies.flush()
        with closing(sqlite3.connect(tmp_path / "cache.db")) as other, other:
            other.execute("UPDATE reply SET body = ?", (b"wrong",))
        assert await replies.get(b"k") is None


async def test_a_file_of_another_version_is_emptied(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "cache.db")) as other, other:
        other.execute("CREATE TABLE reply (old)")
        other.execute("PRAGMA user_version = 99")
    async with kept_in(tmp_path) as replies:
        replies.put(b"k", b"body", time.time(), time.time() + 60)
        assert await replies.get(b"k") == b"body"


async def test_without_a_place_to_write_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with kept_in(tmp_path / "file") as replies:
        replies.put(b"k", b"body", 0, 1e12)
        await replies.flush()
        assert await replies.get(b"k") is None
    assert await replies.get(b"k") is None  # closed, too


async def test_the_file_is_bounded_and_what_is_used_stays(tmp_path: Path) -> None:
    clock = Clock()
    async with kept_in(tmp_path, clock, most_bytes=1_000_000) as replies:
        for number in range(301):
            clock.now += 61
            replies.put(number.to_bytes(2, "big"), b"x" * 10_000, clock.now, clock.now + 1e9)
            await replies.get(b"\0\0")
        assert await replies.get(b"\0\0") is not None
        assert await replies.get(b"\0\1") is None
        assert await replies.get((300).to_bytes(2, "big")) is not None
    with closing(sqlite3.connect(tmp_path / "cache.db")) as other:
        assert other.execute("SELECT sum(length(body)) FROM reply").fetchone()[0] <= 1_000_000


async def test_two_processes_share_one_file(tmp_path: Path) -> None:
    async with kept_in(tmp_path) as one, kept_in(tmp_path) as other:
        one.put(b"k", b"body", time.time(), time.time() + 60)
        await one.flush()
        assert await other.get(b"k") == b"body"


async def test_the_file_is_for_nobody_elses_eyes(tmp_path: Path) -> None:
    async with kept_in(tmp_path / "home") as replies:
        await replies.flush()
    assert (tmp_path / "home" / "cache.db").stat().st_mode & 0o077 == 0


# ------------------------------------------------------------------------------------------- in flight


async def gathered(provider: Provider, asks: list[ChatRequest]) -> list[ChatReply | Exception]:
    replies: list[Any] = [None] * len(asks)

    async def one(number: int, ask: ChatRequest) -> None:
        try:
            replies[number] = await fold(provider, ask)
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            replies[number] = error

    async with anyio.create_task_group() as tasks:
        for number, ask in enumerate(asks):
            tasks.start_soon(one, number, ask)
    return replies


async def test_identical_requests_in_flight_are_one_call() -> None:
    tap = Tap()
    shared = Shared(tap)
    asks = [request() for _ in range(20)]
    replies = await gathered(shared, asks)
    assert {r.text for r in replies if isinstance(r, ChatReply)} == {"Because."}
    assert len(replies) == 20
    assert tap.calls == 1
    assert sorted(a.receipt.cache for a in asks) == [""] + ["shared"] * 19
    assert sum(a.receipt.cost_usd for a in asks) == Decimal("0.5")  # paid for once
    assert {a.receipt.model for a in asks} == {"ada"}
    assert shared.in_flight == 0


@pytest.mark.parametrize(
    ("more", "calls"),
    [
        ({"way": None}, 2),
        ({"way": None, "temperature": 0}, 1),
        ({"way": None, "temperature": 0.2}, 2),
        ({"cache": CacheTerms(read=False)}, 2),
    ],
)
async def test_only_calls_that_may_have_the_same_answer_are_shared(more: dict[str, Any], calls: int) -> None:
    tap = Tap()
    await gathered(Shared(tap), [request(**more), request(**more)])
    assert tap.calls == calls


async def test_samples_and_workspaces_stay_separate() -> None:
    tap = Tap()
    await gathered(Shared(tap), [request(sample=n) for n in range(3)])
    await gathered(Shared(tap), [request(caller=Caller(workspace=str(n))) for n in range(3)])
    assert tap.calls == 6
    await gathered(Shared(tap, on=False), [request(), request()])
    assert tap.calls == 8


async def test_whoever_joins_in_the_middle_hears_it_from_the_beginning() -> None:
    gate = anyio.Event()
    tap = Tap(TextDelta(text="Be"), TextDelta(text="cause"), Finish(reason="stop"), gate=gate)
    shared = Shared(tap)
    async with aclosing(shared.chat(request())) as first:
        assert await anext(first) == TextDelta(text="Be")
        async with aclosing(shared.chat(request())) as second:
            assert await anext(second) == TextDelta(text="Be")
            gate.set()
            assert [e async for e in first] == [e async for e in second] == list(tap.events[1:])
    assert tap.calls == tap.closed == 1


async def test_an_error_reaches_all() -> None:
    gate = anyio.Event()
    tap = Tap(TextDelta(text="Be"), Unavailable("down", "network"), gate=gate)
    shared = Shared(tap)
    asks = [request(), request()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_open, gate, tap)
        errors = await gathered(shared, asks)
    assert [(type(e), e.kind) for e in errors if isinstance(e, ProviderError)] == [(Unavailable, "network")] * 2
    assert errors[0] is not errors[1]
    assert shared.in_flight == 0


async def _open(gate: anyio.Event, tap: Tap) -> None:
    await until(lambda: tap.calls == 1)
    await anyio.wait_all_tasks_blocked()
    gate.set()


async def test_when_the_first_goes_away_the_others_get_their_answer() -> None:
    gate = anyio.Event()
    tap = Tap(TextDelta(text="Be"), TextDelta(text="cause"), Finish(reason="stop"), gate=gate)
    shared = Shared(tap)
    got: list[ChatReply] = []
    ask = request()

    async def follow() -> None:
        got.append(await fold(shared, ask))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as leader:
            async with aclosing(shared.chat(request())) as events:
                await anext(events)
                tasks.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                leader.cancel()
                await anyio.sleep(10)
        assert tap.closed == 0
        gate.set()
    assert [r.text for r in got] == ["Because"]
    assert (tap.calls, tap.closed) == (1, 1)
    assert (ask.receipt.cache, ask.receipt.cost_usd) == ("shared", Decimal("0.5"))  # nobody else is left to be shown it


async def test_when_the_last_one_goes_away_the_call_is_closed() -> None:
    tap = Tap(TextDelta(text="Be"), Finish(reason="stop"), gate=anyio.Event())
    shared = Shared(tap)
    for gone in range(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fold, shared, request())
            tasks.start_soon(fold, shared, request())
            await until(lambda gone=gone: tap.calls == gone + 1)  # type: ignore[misc]
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert (tap.closed, shared.in_flight) == (
            gone + 1,
            0,
        )  # closed before the last one is gone; the next begins anew


async def test_another_budget_may_pay_where_the_first_could_not() -> None:
    class Purse(Tap):
        async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            await anyio.lowlevel.checkpoint()
            if request.run == "poor":
                raise BudgetExceeded("nothing left")
            async for event in super().chat(request):
                yield event

    tap = Purse()
    replies = await gathered(Shared(tap), [request(run="poor"), request(run="rich"), request(run="rich")])
    assert [type(r) for r in replies] == [BudgetExceeded, ChatReply, ChatReply]
    assert tap.calls == 1


async def test_a_call_is_not_read_further_ahead_than_somebody_can_take() -> None:
    sent = 0

    class Flood:
        async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            nonlocal sent
            while True:
                sent += 1
                yield TextDelta(text="x" * 1000)

    async with aclosing(Shared(Flood()).chat(request())) as events:
        for _ in range(500):
            await anext(events)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert 500 <= sent <= 600


async def test_what_is_held_is_bounded_and_who_falls_behind_is_let_go() -> None:
    class Flood:
        async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            for _ in range(1000):
                yield TextDelta(text="x" * 1000)
            yield Finish(reason="stop")

    shared = Shared(Flood(), most_chars=100_000)
    async with aclosing(shared.chat(request())) as slow, aclosing(shared.chat(request())) as fast:
        await anext(slow)
        assert len([e async for e in fast]) == 1001
        assert shared.in_flight == 0  # nobody can join what is no longer held from the beginning
        with pytest.raises(Unavailable, match="too slow"):
            [e async for e in slow]


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_the_order_of_coming_and_going_everybody_hears_the_same_and_nothing_stays_open(
    seed: int,
) -> None:
    dice, running = random.Random(seed), 0

    class Source:
        async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            nonlocal running
            running += 1
            try:
                for number in range(dice.randint(1, 150)):
                    if dice.random() < 0.3:
                        await anyio.lowlevel.checkpoint()
                    if dice.random() < 0.003:
                        raise Unavailable("down")
                    yield TextDelta(text=f"{number} ")
                yield Finish(reason="stop")
            finally:
                try:
                    await anyio.lowlevel.checkpoint()
                finally:
                    running -= 1

    shared = Shared(Source(), most_chars=dice.choice([50, 300, 100_000]))
    heard: list[list[str]] = []

    async def listen() -> None:
        texts: list[str] = []
        heard.append(texts)
        for _ in range(dice.randint(0, 60)):
            await anyio.lowlevel.checkpoint()
        with suppress(Unavailable):
            async with aclosing(shared.chat(request(sample=dice.randint(0, 1)))) as events:
                async for event in events:
                    texts += [event.text] if isinstance(event, TextDelta) else []
                    if dice.random() < 0.2:
                        await anyio.lowlevel.checkpoint()

    tasks = [asyncio.create_task(listen()) for _ in range(20)]
    for task in dice.sample(tasks, 8):
        for _ in range(dice.randint(0, 20)):
            await anyio.lowlevel.checkpoint()
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError)
    await anyio.wait_all_tasks_blocked()
    assert (running, shared.in_flight) == (0, 0)
    assert all(texts == [f"{n} " for n in range(len(texts))] for texts in heard)


@asynccontextmanager
async def stack(
    upstream: Upstream, records: list[CallRecord], replies: SqliteReplies | None = None
) -> AsyncIterator[Provider]:
    """The real gateway below, over real HTTP."""
    limits = Limits(first_token_s=10, idle_s=10)
    models = {n: ModelSpec(base_url=upstream.url + "/v1", model=n) for n in upstream.experts}
    async with open_http() as http:
        inner = build(models, Keys({}), limits, ledger=Ledger(limits), on_call=records.append, http=http)
        yield Cached(Shared(inner), replies)


async def test_over_http_many_askers_make_one_call_and_the_next_one_none(tmp_path: Path) -> None:
    records: list[CallRecord] = []
    with Upstream({"ada": Expert("Because it waits for a lock that it holds itself.")}) as upstream:
        async with kept_in(tmp_path) as replies, stack(upstream, records, replies) as gateway:
            answers = await gathered(gateway, [request(stream=n % 2 == 0) for n in range(10)])
            assert {a.text for a in answers if isinstance(a, ChatReply)} == {upstream.experts["ada"].says}
            after = request()
            await fold(gateway, after)
        assert len(upstream.calls) == len(records) == 1
        assert after.receipt.cache == "hit"


async def test_over_http_the_connection_closes_when_all_have_gone() -> None:
    gate = threading.Event()
    records: list[CallRecord] = []
    with Upstream({"ada": Expert("Never said.", gate=gate)}) as upstream:
        async with stack(upstream, records) as gateway:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(fold, gateway, request())
                await until(lambda: len(upstream.calls) == 1)
                tasks.cancel_scope.cancel()
            await until(lambda: upstream.calls[0].aborted)
            assert [r.error for r in records] == ["cancelled"]
        gate.set()
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "shared call"]


async def test_over_http_a_native_timeout_of_the_first_does_not_take_the_others_with_it() -> None:
    gate = threading.Event()
    records: list[CallRecord] = []
    with Upstream({"ada": Expert("At last.", gate=gate)}) as upstream:
        async with stack(upstream, records) as gateway:
            leader = asyncio.create_task(fold(gateway, request()))
            await until(lambda: len(upstream.calls) == 1)
            others = [asyncio.create_task(fold(gateway, request())) for _ in range(3)]
            await anyio.wait_all_tasks_blocked()
            leader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leader
            others[0].cancel()
            await anyio.lowlevel.checkpoint()
            gate.set()
            assert [(await task).text for task in others[1:]] == ["At last."] * 2
        assert len(upstream.calls) == len(records) == 1


@pytest.mark.parametrize(
    "error",
    [
        WindowSpent("spent", Budget(usd=Decimal(1)), None),
        OwnLimit("wait", 3.0, RateLimit(requests_per_minute=1)),
        Resting("rests", 4.0, limited=True),
        RateLimited("limited", 5.0),
        BadReply("empty", "empty"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_several_share_is_told_to_each_with_all_it_knows(error: Exception) -> None:
    other = twin(error)
    assert other is not error
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
