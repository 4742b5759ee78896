"""`orchestra serve` in a process of its own: who may judge, what failures look like, what a reply costs."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
import webdoor
from doors import Door, serving
from scripting import expert
from upstream import Expert, Upstream

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
every_dialect = pytest.mark.parametrize("path", PATHS)
FAQ = '\n[routes.faq]\ntargets = ["alpha"]\ncache = "similar"\n\n[embedding]\nengine = "lexical"\n'


def body(path: str, model: str, text: str = "Why?", **more: Any) -> dict[str, Any]:
    """A small request in the dialect of a path."""
    if path == "/v1/responses":
        return {"model": model, "input": text, **more}
    limit = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": model, "messages": [{"role": "user", "content": text}], **limit, **more}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    experts = {"alpha": Expert("forty-two", usage=(100, 50)), "down": Expert(fault="500")}
    with serving(tmp_path_factory.mktemp("home"), experts, "--admin", more_toml=FAQ) as opened:
        yield opened


# ---------------------------------------------------------------------------------------------------- offers


def kept(door: Door, table: str) -> list[Any]:
    """What the cache holds, of one table."""
    found = sorted((door.home / "data").glob("cache*.db"))
    if not found:
        return []
    with closing(sqlite3.connect(found[-1])) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def knows(door: Door, count: int) -> bool:
    """So many questions have been kept, which happens in the background."""
    return len(kept(door, "question")) >= count


def test_offers_are_judged_by_the_asker_and_the_workspace_and_by_nobody_else(door: Door) -> None:
    asker, admin = door.new_key("team", "asker"), door.new_key("team", "boss", role="admin")
    stranger = door.new_key("others", "stranger", role="admin")
    offers: list[str] = []
    for number, text in enumerate(("How do I make a shell script executable", "How do I list hidden files in Bash")):
        assert door.post(PATHS[0], body(PATHS[0], "faq", text + "?", max_tokens=50), asker).status_code == 200
        door.upstream.wait_until_sync(partial(knows, door, 2 * number + 1))
        polite = door.post(PATHS[0], body(PATHS[0], "faq", text + " please?", max_tokens=50), asker)
        offers.append(polite.headers["x-orchestra-offer-id"])
        door.upstream.wait_until_sync(partial(knows, door, 2 * number + 2))
    one, two = offers
    assert door.post(f"/api/offers/{one}", {"right": False}, stranger).status_code == 404
    assert door.post(f"/api/offers/{one}", {"right": True}, asker).json() == {"id": one, "right": True}
    assert door.post(f"/api/offers/{two}", {"right": False}, admin).json() == {"id": two, "right": False}
    assert door.post(f"/api/offers/{two}", {"right": True}).status_code == 200, "the owner may judge all"
    assert {row[0]: row[-1] for row in kept(door, "offer")} == {one: 1, two: 1}


# --------------------------------------------------------------------------------------------------- the guard


def test_a_wrong_key_is_told_apart_from_none_and_from_nothing_else(door: Door) -> None:
    revoked = door.new_key("team", "revoked")
    assert door.call("DELETE", "/admin/workspaces/team/keys/revoked").status_code == 200
    said = [
        door.get("/v1/models", key).json()["error"]["message"]
        for key in (revoked, "orc_aaaaaaaa_" + "A" * 43, "sk-whatever")
    ]
    assert len(set(said)) == 1
    assert "not known" in said[0]
    without = door.client.get(f"{door.url}/v1/models").json()["error"]["message"]
    assert without.startswith("Send a key as")


def test_every_reply_of_v1_tells_of_its_way(door: Door) -> None:
    viewer = door.new_key("team", "viewer", role="viewer")
    replies = [
        door.client.post(f"{door.url}/v1/chat/completions"),
        door.post("/v1/messages", body("/v1/messages", "alpha"), viewer),
        door.get("/v1"),
        door.get("/v1/nothing"),
        door.get("/v1/models"),
        door.get("/v1/models", host="evil.example"),
    ]
    assert [reply.status_code for reply in replies] == [401, 403, 404, 404, 200, 421]
    for reply in replies:
        assert float(reply.headers["x-orchestra-added-ms"]) >= 0
        assert reply.headers["x-orchestra-attempts"] == "0"
    assert "x-orchestra-attempts" not in door.get("/api/me").headers


@every_dialect
def test_only_what_is_kept_cannot_be_asked_for(door: Door, path: str) -> None:
    before = len(door.upstream.calls)
    reply = door.post(path, body(path, "alpha"), **{"cache-control": "only-if-cached"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "not_supported")
    assert len(door.upstream.calls) == before


def test_a_workspace_that_does_not_exist_is_not_found(door: Door) -> None:
    for path in ("keys", "members"):
        assert door.get(f"/admin/workspaces/nobody/{path}").status_code == 404
    assert door.post("/admin/workspaces/nobody/keys", {"name": "x"}).status_code == 404
    assert door.call("DELETE", "/admin/workspaces/nobody/keys/x").status_code == 404


# ------------------------------------------------------------------------------------------- what a reply costs


def test_a_call_that_several_share_tells_its_cost_once() -> None:
    # 10 tokens of output at 1,000 $ per million are one cent.
    price = {"input_usd_per_mtok": 0, "output_usd_per_mtok": 1000}
    gate = threading.Event()
    chat = body(PATHS[0], "alpha", max_tokens=10, temperature=0)
    streamed = chat | {"stream": True, "stream_options": {"include_usage": True}}
    with (
        Upstream({"alpha": Expert("hello", usage=(1, 10), gate=gate)}) as upstream,
        webdoor.door(upstream, spec=price) as served,
        httpx2.Client(timeout=20, trust_env=False) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        url = served.url + PATHS[0]
        first = pool.submit(client.post, url, json=chat)
        upstream.wait_for_calls_sync(1)
        others = [pool.submit(client.post, url, json=each) for each in (chat, streamed)]
        upstream.wait_until_sync(lambda: len(served.heard) == 3)
        gate.set()
        paid = first.result().json()["usage"]["cost_usd"]
        plain, stream = (other.result() for other in others)
        assert len(upstream.calls) == 1
    assert paid == 0.01
    assert (plain.headers["x-orchestra-cache"], plain.headers["x-orchestra-cost-usd"]) == ("shared", "0")
    assert plain.json()["usage"]["cost_usd"] == 0
    rows = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    assert [row["usage"]["cost_usd"] for row in rows if row.get("usage")] == [0]


def test_what_a_budget_refused_was_not_attempted_and_may_be_asked_again_when_its_window_ends(tmp_path: Path) -> None:
    price = '\n[[prices]]\nvendor = "local"\nmodel = "alpha"\ninput_usd_per_mtok = 0\noutput_usd_per_mtok = 1000\n'
    with serving(tmp_path, {"alpha": Expert("hello", usage=(1, 10))}, "--admin", more_toml=price) as door:
        key = door.new_key("team", "poor", terms={"budgets": [{"usd": "0.015", "window": "hour"}]})
        chat = body(PATHS[0], "alpha", max_tokens=10)
        paid, refused = (door.post(PATHS[0], chat, key) for _ in range(2))
        assert (paid.status_code, paid.headers["x-orchestra-attempts"]) == (200, "1")
        assert (refused.status_code, refused.headers["x-orchestra-attempts"]) == (402, "0")
        assert 0 <= int(refused.headers["retry-after"]) <= 3600


# ------------------------------------------------------------------------------------------------- the council


def test_a_council_that_nobody_answered_has_failed(tmp_path: Path) -> None:
    experts = {"alpha": Expert(fault="400"), "beta": Expert(fault="400")}
    with serving(tmp_path, experts) as door:
        for path in PATHS:
            reply = door.post(path, body(path, "orchestra/council"))
            assert reply.status_code == 503, path
            assert "No expert answered" in reply.json()["error"]["message"]
            assert int(reply.headers["x-orchestra-attempts"]) == len(door.upstream.calls)
            door.upstream.calls.clear()
            stream = door.post(path, body(path, "orchestra/council", stream=True)).text
            assert "No expert answered" in stream
            assert "[DONE]" not in stream
            assert '"finish_reason":"stop"' not in stream
            assert "response.completed" not in stream
            assert "message_stop" not in stream
            door.upstream.calls.clear()


def test_a_degraded_verdict_is_an_answer(tmp_path: Path) -> None:
    experts = {"alpha": Expert(expert("it is the newline")), "beta": Expert(fault="401")}
    with serving(tmp_path, experts) as door:
        reply = door.post(PATHS[0], body(PATHS[0], "orchestra/council"))
    assert reply.status_code == 200
    assert "Degraded" in reply.json()["choices"][0]["message"]["content"]
    assert int(reply.headers["x-orchestra-attempts"]) == len(door.upstream.calls)


def test_a_council_without_money_for_anybody_is_a_matter_of_the_budget(tmp_path: Path) -> None:
    price = '\n[[prices]]\nvendor = "local"\nmodel = "*"\ninput_usd_per_mtok = 0\noutput_usd_per_mtok = 1000\n'
    with serving(tmp_path, {"alpha": Expert("x"), "beta": Expert("x")}, more_toml=price) as door:
        asked = body(PATHS[0], "orchestra/council", metadata={"max_cost_usd": "0.0001"})
        reply = door.post(PATHS[0], asked)
        assert (reply.status_code, reply.json()["error"]["code"]) == (402, "budget_exceeded")
        assert reply.headers["x-orchestra-attempts"] == "0"
        assert not door.upstream.calls


@every_dialect
def test_a_council_that_there_is_not_asks_nobody_and_names_those_that_there_are(door: Door, path: str) -> None:
    before = len(door.upstream.calls)
    reply = door.post(path, body(path, "orchestra/councl"))
    assert reply.status_code == 404
    for name in ("orchestra/councl", "orchestra/council", "orchestra/debate"):
        assert name in reply.json()["error"]["message"]
    assert len(door.upstream.calls) == before


def test_the_long_prompt_of_a_coding_cli_is_not_shown_to_the_experts(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "You are a coding CLI. " + "Use the tool. " * 100},
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "Does the gravel parser lose the last line?"},
    ]
    with serving(tmp_path, {"alpha": Expert(expert("yes"))}) as door:
        door.post(PATHS[0], {"model": "orchestra/council", "messages": turns})
        prompt = door.upstream.calls[0].prompt
    assert "coding CLI" not in prompt
    assert "system: Be terse." in prompt
    assert "Left out: 1 system turn of more than 1,000 characters" in prompt


# ------------------------------------------------------------------------------------------------ failing vendors


def test_anthropics_sdk_hears_of_an_overload_only_where_the_vendor_said_so() -> None:
    kinds = {}
    experts = {"broken": Expert("long " * 200, fault="cut"), "busy": Expert(fault="529"), "down": Expert(fault="500")}
    with (
        Upstream(experts) as upstream,
        webdoor.door(upstream) as served,
        anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0) as client,
    ):
        for name in experts:
            with (
                pytest.raises(anthropic.APIStatusError) as failed,
                client.messages.stream(
                    model=name, max_tokens=500, messages=[{"role": "user", "content": "hi"}]
                ) as said,
            ):
                said.get_final_text()
            told: Any = failed.value.body
            kinds[name] = told["error"]["type"]
    assert kinds == {"broken": "api_error", "busy": "overloaded_error", "down": "api_error"}
