"""Clients that mean harm, or do not know better: amounts, names, bodies and crowds that would cost others their server."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from doors import Door, serving
from scripting import expert
from upstream import Expert

from orchestra_mcp.gateway.money.throttle import MAX_OWN, OwnLimit, Throttle
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.settings import RateLimit
from orchestra_mcp.web.allowed import sift
from orchestra_mcp.web.dialects import fields
from orchestra_mcp.web.dialects.fields import Invalid
from orchestra_mcp.web.events import LISTENERS_EACH, Places, Standing, while_allowed

CHAT = "/v1/chat/completions"
SAY = {"model": "ada", "messages": [{"role": "user", "content": "hi"}]}
EDGE = "9999-12-31T23:59:59-14:00"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    experts = {"ada": Expert(expert("42")), "quiet": Expert(fault="hang")}
    seats = '\n[[seats]]\nname = "q"\nmodel = "quiet"\n'
    with serving(tmp_path_factory.mktemp("home"), experts, "--admin", more_toml=seats) as opened:
        yield opened


@pytest.fixture(scope="module")
def key(door: Door) -> str:
    return door.new_key("team", "member")


def listen(door: Door, key: str, query: str = "") -> Any:
    sync = pytest.importorskip("websockets.sync.client")
    url = door.url.replace("http://", "ws://") + "/api/events" + query
    return sync.connect(url, additional_headers={"authorization": f"Bearer {key}"}, open_timeout=10)


@pytest.mark.parametrize("line", ["OPTIONS * HTTP/1.1", "GET * HTTP/1.1", "GET http://x HTTP/1.1"])
def test_an_address_that_is_no_path_is_answered(door: Door, line: str) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(f"{line}\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: plain.recv(65_536), b""))
    assert answer.split(b" ", 2)[1] in (b"400", b"401", b"404")


# ---------------------------------------------------------------------------------------------------- parameters


def test_what_could_change_model_or_price_stays_here_when_a_key_asks(door: Door, key: str) -> None:
    harmless = {"top_k": 5, "logit_bias": {"1": 2}, "frequency_penalty": 0.5, "user": "u", "metadata": {"a": "b"}}
    harmful: dict[str, Any] = {
        "models": ["dear"], "route": "fallback", "provider": {"order": ["x"]}, "plugins": [{"id": "web"}],
        "service_tier": "priority", "web_search_options": {}, "store": True, "fallbacks": ["dear"],
        "base_url": "http://x", "api_key": "k", "max_output_tokens": 99999, "reasoning": {"max_tokens": 99999},
        "modalities": ["text", "audio"],
    }  # fmt: skip
    reply = door.post(CHAT, {**SAY, **harmless, **harmful}, key)
    assert reply.status_code == 200, reply.text
    sent = door.upstream.calls_to("ada")[-1].body
    assert {name: sent.get(name) for name in harmless} == harmless
    assert sent.keys().isdisjoint(harmful)
    left = set(reply.headers["x-orchestra-left-out"].split(", "))
    assert left == set(harmful)
    owner = door.post(CHAT, {**SAY, **harmless, **harmful})
    sent = door.upstream.calls_to("ada")[-1].body
    assert sent["service_tier"] == "priority", "the owner pays for it"
    assert set(owner.headers["x-orchestra-left-out"].split(", ")) == {"api_key", "base_url", "fallbacks", "models"}


def test_each_dialect_has_a_list_of_its_own_and_an_unknown_one_has_none() -> None:
    extra = {"top_k": 1, "truncation": "auto", "verbosity": "low", "user": "u", "speed": "fast"}
    kept = {name: set(sift(name, extra, owner=False)[0]) for name in ("openai", "responses", "anthropic", "new")}
    assert kept == {
        "openai": {"top_k", "verbosity", "user"},
        "responses": {"truncation", "user"},
        "anthropic": {"top_k"},
        "new": set(),
    }
    assert sift("anthropic", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, owner=False) == (
        {},
        ["cache_control"],
    )
    assert sift("new", extra, owner=True) == (extra, [])


# -------------------------------------------------------------------------------------------------------- bodies


def nested(depth: int) -> bytes:
    return b'{"x":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (nested(100), "within each other"),  # the object itself is one more
        (b'{"a":"\\\\","b":' + b"[" * 101 + b"]" * 101 + b"}", "within each other"),
        (b'{"x":[' + b"[]," * 200_000 + b"[]]}", "values"),
        (b'{"x":[' + b'"",' * 600_000 + b'""]}', "values"),
        (b'{"x":[' + b"0," * 260_000 + b"0]}", "values"),
        (json.dumps({"messages": [{"content": [{"text": "x" * 20}] * 3334}] * 3}).encode(), "parts"),
        (json.dumps({"messages": [{"content": [{"content": [{"text": "x" * 20}] * 2000}] * 5}]}).encode(), "parts"),
    ],
    ids=["deep", "deep after a backslash", "lists", "strings", "numbers", "parts", "parts of results"],
)
def test_a_body_of_too_many_values_is_refused_by_its_bytes(body: bytes, named: str) -> None:
    with pytest.raises(Invalid, match=named):
        fields.parse(body)


@pytest.mark.parametrize(
    "body",
    [
        nested(99),
        b'{"x":"' + b"[{" * 1000 + b'"}',
        b'{"x":"' + b'\\",[' * 300_000 + b'"}',
        b'{"x":"' + b"," * 300_000 + b'\\\\","y":[' + b"[]," * 200 + b"[]]}",
        json.dumps({"messages": [{"content": [{"text": "x" * 40}] * 3333}] * 3}).encode(),
    ],
    ids=["deep", "brackets in a string", "quotes in a string", "commas in a string", "parts"],
)
def test_what_stands_in_strings_counts_for_nothing(body: bytes) -> None:
    assert fields.parse(body) == json.loads(body)


def test_a_long_body_is_answered_like_a_short_one(door: Door, key: str) -> None:
    text = "a,[{ " * 60_000
    reply = door.post(CHAT, {**SAY, "messages": [{"role": "user", "content": text}]}, key)
    assert reply.status_code == 200, reply.text
    assert door.upstream.calls_to("ada")[-1].body["messages"][-1]["content"] == text
    for wrong in ({**SAY, "x": [[]] * 300_000}, {**SAY, "messages": [{"role": "user", "content": [7] * 200_000}]}):
        refused = door.post(CHAT, wrong, key)
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


# ---------------------------------------------------------------------------------------------- amounts and times


def test_no_amount_time_or_name_hangs_the_server_or_breaks_it(door: Door, key: str) -> None:
    assert key
    keys = "/admin/workspaces/team/keys"
    tiny = {"budgets": [{"usd": "1e-99999999", "window": "day"}]}
    made = door.post(keys, {"name": "tiny", "terms": tiny})
    assert made.status_code == 201
    assert made.json()["key"]["terms"]["budgets"][0]["usd"] == "0"
    assert door.post(CHAT, SAY, made.json()["secret"]).status_code == 200, "a model of this machine costs nothing"
    for terms in (
        {"budgets": [{"usd": "1e99999999"}]},
        {"models": ["*" * 201]},
        {"models": ["a"] * 101},
    ):
        assert door.post(keys, {"name": "wrong", "terms": terms}).status_code == 400
    stars = door.post(keys, {"name": "stars", "terms": {"models": ["*a" * 100] * 100}}).json()["secret"]
    assert door.post(CHAT, {**SAY, "model": "a" * 290 + "b"}, stars).status_code == 403
    assert door.post(keys, {"name": "edge", "expires": EDGE}).status_code == 400
    asked = {"question": "Why?", "max_cost_usd": "1e99999999"}
    assert door.post("/api/consultations", asked).status_code == 400


@pytest.mark.parametrize(("given", "kept"), [("1e-3000000", "0"), ("1e9999999", "1000000000")])
def test_the_council_takes_no_amount_that_is_long_to_write(door: Door, key: str, given: str, kept: str) -> None:
    council = {**SAY, "model": "orchestra/council", "metadata": {"max_cost_usd": given}, "stream": True}
    bearer = {"authorization": f"Bearer {key}"}
    with httpx2.stream("POST", door.url + CHAT, json=council, headers=bearer, timeout=30) as reply:
        begins = next(line for line in reply.iter_lines() if "Consultation" in line)
        found = re.search(r"Consultation (\w+) begins", begins)
        assert found is not None, begins
        question = door.get(f"/api/consultations/{found[1]}", key).json()["question"]
    assert question["max_cost_usd"] == kept


def test_a_question_as_long_as_a_book_is_refused(door: Door, key: str) -> None:
    council = {"model": "orchestra/council", "messages": [{"role": "user", "content": "why " * 110_000}]}
    refused = door.post(CHAT, council, key)
    assert refused.status_code == 400
    assert "400,000 characters" in refused.json()["error"]["message"]


@pytest.mark.parametrize("path", ["~nosuchuser/x", "~root/x", "/tmp/\0x"])
def test_what_is_no_path_is_the_clients_mistake(door: Door, key: str, path: str) -> None:
    for who in (key, ""):
        reply = door.post("/api/consultations", {"question": "Why?", "project_dir": path}, who)
        assert reply.status_code == 400, reply.text


# -------------------------------------------------------------------------------------------------------- crowds


def test_many_at_once_get_no_more_consultations_than_one_after_another(door: Door) -> None:
    one = door.new_key("crowd", "one", terms={"concurrent": 1})

    def ask(number: int) -> int:
        return door.post("/api/consultations", {"question": f"Why {number}?"}, one).status_code

    with ThreadPoolExecutor(8) as crowd:
        found = sorted(crowd.map(ask, range(8)))
    assert found == [202] + [429] * 7
    id = door.get("/api/consultations", one).json()["consultations"][0]["id"]
    assert door.post(f"/api/consultations/{id}/cancel", {}, one).status_code == 200
    assert ask(9) == 202, "its place is free again"


def test_one_key_may_listen_sixteen_times_and_others_still_can(door: Door, key: str) -> None:
    from websockets.exceptions import InvalidStatus

    viewer = door.new_key("team", "viewer", role="viewer")
    with ExitStack() as all_of_them:
        for _ in range(LISTENERS_EACH):
            all_of_them.enter_context(listen(door, viewer))
        with pytest.raises(InvalidStatus), listen(door, viewer):
            pass
        with listen(door, key):
            pass
    with listen(door, key, "?after=" + "9" * 5000) as socket:
        socket.ping().wait(5)


def test_who_is_revoked_hears_no_more(door: Door) -> None:
    from websockets.exceptions import ConnectionClosed

    first, second = door.new_key("watched", "first"), door.new_key("watched", "second")
    id = door.post("/api/consultations", {"question": "Why?"}, second).json()["id"]
    bearer = {"authorization": f"Bearer {first}"}
    with (
        httpx2.stream("GET", f"{door.url}/api/consultations/{id}/events", headers=bearer, timeout=30) as heard,
        listen(door, first) as socket,
    ):
        lines = heard.iter_lines()
        next(lines)
        assert door.call("DELETE", "/admin/workspaces/watched/keys/first").status_code == 200
        with pytest.raises(ConnectionClosed) as ended:
            _all_of(socket)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1008  # RFC 6455, 7.4.1: policy violation
        assert door.post(f"/api/consultations/{id}/cancel", {}, second).status_code == 200
        assert not [line for line in lines if line == "event: closed"]


def _all_of(socket: Any) -> None:
    while True:
        socket.recv(20)


async def test_a_stream_ends_with_the_right_to_hear_it_and_frees_its_place() -> None:
    now, allowed, places = 0.0, True, Places(most=3, each=1)

    async def said() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    async def stands() -> bool:
        return allowed

    events: Any = while_allowed(said(), Standing(stands, 4, lambda: now), places, "k")  # type: ignore[arg-type]
    assert await anext(events) == b"x"
    assert places.full("k")
    assert not places.full("other")
    late: Any = while_allowed(said(), Standing(stands, 4, lambda: now), places, "k")  # type: ignore[arg-type]
    assert [piece async for piece in late] == [], "who comes in between finds no place"
    allowed, now = False, 3.0
    assert await anext(events) == b"x", "it is not asked for every event"
    now = 4.0
    assert [piece async for piece in events] == []
    assert not places.full("k")


# --------------------------------------------------------------------------------------------------- the queue


async def test_one_key_cannot_fill_the_queue_and_many_may_leave_it_at_once() -> None:
    throttle = Throttle((RateLimit(per="all", concurrent=1),), clock=anyio.current_time)
    gates = throttle.gates(Caller(key="k"), "p", "m")
    busy = throttle.at_once(gates, 0)
    assert busy is not None
    passed: list[str] = []

    async def ask(who: str) -> None:
        place = await throttle.enter(gates, 0, 0, lambda _: 1e6, who)
        passed.append(who)
        place.leave(0)

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as mine:
            for _ in range(MAX_OWN):
                mine.start_soon(ask, "k")
            await _until(lambda: throttle.waiting == MAX_OWN)
            with pytest.raises(OwnLimit, match="at the same time"):
                await ask("k")
            others.start_soon(ask, "other")
            await _until(lambda: throttle.waiting == MAX_OWN + 1)
            mine.cancel_scope.cancel()
        assert throttle.waiting == 1
        assert passed == []
        busy.leave(0)
    assert passed == ["other"]
    assert all(gate.waiting == 0 for gate in gates)


async def test_those_behind_one_who_gives_up_are_served_without_anybody_ending() -> None:
    """The first waits for tokens that no minute has left; the second needs none of them."""
    now = 0.0
    throttle = Throttle((RateLimit(per="all", tokens_per_minute=100),), clock=lambda: now)
    gates = throttle.gates(Caller(), "p", "m")
    first = throttle.at_once(gates, 50)
    assert first is not None
    passed: list[int] = []

    async def ask(tokens: int) -> None:
        await throttle.enter(gates, tokens, 0, lambda _: 1e6)
        passed.append(tokens)

    async with anyio.create_task_group() as group, anyio.create_task_group() as greedy:
        greedy.start_soon(ask, 100)
        await _until(lambda: throttle.waiting == 1)
        group.start_soon(ask, 10)
        await _until(lambda: throttle.waiting == 2)
        assert passed == []
        greedy.cancel_scope.cancel()
    assert passed == [10]


async def _until(true: Any) -> None:
    with anyio.fail_after(10):
        while not true():
            await anyio.lowlevel.checkpoint()


# ------------------------------------------------------------------------------------------------ keys from keys


def test_keys_that_a_members_key_makes_end_with_the_member(door: Door) -> None:
    team = "/admin/workspaces/makers"
    door.post("/admin/workspaces", {"id": "makers"})
    door.call("PUT", f"{team}/members/ada", json={"role": "admin"})
    terms = {"models": ["ada"]}
    ends = "2200-01-01T00:00:00Z"
    given = {"name": "hers", "role": "admin", "member": "ada", "terms": terms, "expires": ends}
    hers = door.post(f"{team}/keys", given).json()["secret"]
    made = door.post(f"{team}/keys", {"name": "spare", "role": "admin"}, hers).json()
    assert (made["key"]["member"], made["key"]["terms"]["models"], made["key"]["expires"]) == ("ada", ["ada"], ends)
    assert door.post(f"{team}/keys", {"name": "more", "terms": {"models": ["*"]}}, hers).status_code == 400
    door.call("PUT", f"{team}/members/bob", json={"role": "member"})
    assert door.post(f"{team}/keys", {"name": "bobs", "member": "bob"}, hers).status_code == 400
    assert door.get("/api/me", made["secret"]).status_code == 200
    assert door.call("DELETE", f"{team}/members/ada").status_code == 204
    assert door.get("/api/me", made["secret"]).status_code == 401


def test_a_deleted_workspace_cannot_be_made_again(door: Door) -> None:
    gone = door.new_key("gone", "x")
    assert door.call("DELETE", "/admin/workspaces/gone").status_code == 204
    assert door.get("/api/me", gone).status_code == 401
    again = door.post("/admin/workspaces", {"id": "gone"})
    assert again.status_code == 400
    assert "was deleted" in again.json()["error"]["message"]
    assert door.post("/admin/workspaces/gone/keys", {"name": "y"}).status_code == 404
    assert "gone" not in [row["id"] for row in door.get("/admin/workspaces").json()["workspaces"]]
