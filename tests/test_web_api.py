"""`/api` and `/admin` over real HTTP: who may do what, what others see of it, and what happens live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from doors import ROOT, Door, serving
from scripting import expert
from upstream import Expert

from orchestra_mcp.types import Event
from orchestra_mcp.web.api import Api
from orchestra_mcp.web.events import Hub, stream
from orchestra_mcp.web.openapi import OPERATIONS, document

jsonschema: Any = pytest.importorskip("jsonschema")
SAYS = expert("it is the newline")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    experts = {"alpha": Expert(SAYS), "beta": Expert(SAYS)}
    with serving(tmp_path_factory.mktemp("home"), experts, "--admin") as opened:
        yield opened


@pytest.fixture(scope="module")
def member(door: Door) -> str:
    return door.new_key("team", "member")


@pytest.fixture(scope="module")
def viewer(door: Door) -> str:
    return door.new_key("team", "viewer", role="viewer")


@pytest.fixture(scope="module")
def stranger(door: Door) -> str:
    return door.new_key("others", "stranger", role="admin")


@pytest.fixture(scope="module")
def asked(door: Door, member: str) -> str:
    """A consultation of the team."""
    reply = door.post("/api/consultations", {"question": "Why is the last line lost?", "wait_s": 30}, member)
    assert reply.status_code == 200, reply.text
    id: str = reply.json()["id"]
    return id


def schema_of(name: str) -> Any:
    whole = document()
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": whole["components"]})


# ------------------------------------------------------------------------------------------------ who gets in


def test_health_needs_no_key_and_says_no_more_than_that(door: Door) -> None:
    reply = door.client.get(f"{door.url}/health")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
    assert door.client.get(f"{door.url}/health/more").status_code == 401


@pytest.mark.parametrize("header", ["x-api-key", "api-key"])
def test_the_key_may_come_in_the_headers_of_other_clients(door: Door, member: str, header: str) -> None:
    assert door.client.get(f"{door.url}/api/me", headers={header: member}).json()["name"] == "member"


@pytest.mark.parametrize("wrong", ["orc_aaaaaaaa_" + "A" * 43, "sk-whatever"])
def test_without_a_key_of_ours_nothing_opens(door: Door, wrong: str) -> None:
    for path in ("/api/me", "/v1/models", "/mcp"):
        reply = door.client.get(door.url + path, headers={"authorization": f"Bearer {wrong}"})
        assert reply.status_code == 401, path
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.json()["error"]["code"] == "invalid_api_key"


def test_the_sdks_understand_who_was_turned_away(door: Door, member: str) -> None:
    say: Any = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.AuthenticationError), openai.OpenAI(base_url=f"{door.url}/v1", api_key="no") as client:
        client.chat.completions.create(model="alpha", messages=say)
    with pytest.raises(anthropic.AuthenticationError), anthropic.Anthropic(base_url=door.url, api_key="no") as other:
        other.messages.create(model="alpha", messages=say, max_tokens=10)
    with anthropic.Anthropic(base_url=door.url, api_key=member) as good:
        assert good.messages.create(model="alpha", messages=say, max_tokens=10).content


def test_hosts_and_origins_are_checked_before_keys(door: Door) -> None:
    assert door.get("/api/me", host="evil.example").status_code == 421
    assert door.get("/api/me", origin="https://evil.example").status_code == 403
    assert door.get("/api/me", origin="http://localhost:3000").status_code == 200
    twice = [("authorization", "Bearer x"), ("authorization", f"Bearer {door.token}")]
    assert door.client.get(f"{door.url}/api/me", headers=twice).status_code == 400


def test_a_key_may_do_what_its_role_says(door: Door, member: str, viewer: str, asked: str) -> None:
    question = {"question": "Why?"}
    assert door.get("/api/me", viewer).json()["permissions"] == ["read"]
    assert door.get(f"/api/consultations/{asked}", viewer).status_code == 200
    assert door.get("/v1/models", viewer).status_code == 200
    assert door.post("/api/consultations", question, viewer).status_code == 403
    assert door.post(f"/api/consultations/{asked}/outcome", {"outcome": "worked"}, viewer).status_code == 403
    chat = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}]}
    assert door.post("/v1/chat/completions", chat, viewer).status_code == 403
    assert door.post("/v1/chat/completions", chat, member).status_code == 200
    assert door.get("/admin/workspaces", member).status_code == 403
    for path in ("/mcp", "/sse", "/messages/"):
        assert door.get(path, member).status_code == 403, "MCP reads any project of this machine"


def test_a_key_may_use_only_its_models(door: Door) -> None:
    key = door.new_key("team", "only-alpha", terms={"models": ["alp*"]})
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    assert door.post("/v1/chat/completions", {**chat, "model": "alpha"}, key).status_code == 200
    assert [model["id"] for model in door.get("/v1/models", key).json()["data"]] == ["alpha"]
    assert [model["id"] for model in door.get("/api/models", key).json()["models"]] == ["alpha"]
    with pytest.raises(openai.PermissionDeniedError), openai.OpenAI(base_url=f"{door.url}/v1", api_key=key) as client:
        client.chat.completions.create(model="beta", messages=[{"role": "user", "content": "hi"}])
    assert door.post("/api/consultations", {"question": "Why?"}, key).status_code == 403


# --------------------------------------------------------------------------------------------- consultations


def test_a_workspace_sees_its_own_consultations_and_the_owner_sees_all(
    door: Door, member: str, viewer: str, stranger: str, asked: str
) -> None:
    for key, seen in ((member, True), (viewer, True), (stranger, False), ("", True)):
        ids = [row["id"] for row in door.get("/api/consultations", key).json()["consultations"]]
        assert (asked in ids) is seen
    unknown = door.get("/api/consultations/zzzzzzzzzzzz", stranger)
    for path in ("", "/report", "/events"):
        foreign = door.get(f"/api/consultations/{asked}{path}", stranger)
        assert foreign.status_code == 404
        assert foreign.text == unknown.text.replace("zzzzzzzzzzzz", asked), "it is not there, in the same words"
    for path, given in (("outcome", {"outcome": "worked"}), ("cancel", {})):
        assert door.post(f"/api/consultations/{asked}/{path}", given, stranger).status_code == 404
    more = {"question": "And now?", "consultation_id": asked}
    assert door.post("/api/consultations", more, stranger).status_code == 404
    assert door.post("/api/consultations", {**more, "wait_s": 30}, member).status_code == 200
    newcomer = door.new_key("empty", "newcomer")
    assert door.get("/api/consultations/latest", newcomer).status_code == 404


def test_a_consultation_can_be_read_reported_and_marked(door: Door, member: str, asked: str) -> None:
    brief = door.get(f"/api/consultations/{asked}", member).json()
    assert brief["verdict"]["solutions"][0]["position"] == "it is the newline"
    assert (brief["dossier"], brief["calls"]) == (None, [])
    full = door.get(f"/api/consultations/{asked}?detail=full", member).json()
    assert len(full["opinions"]) >= 2
    report = door.get(f"/api/consultations/{asked}/report", member)
    assert report.headers["content-type"].startswith("text/markdown")
    assert report.text.startswith("**2 of 2 experts answered")
    label = door.post(f"/api/consultations/{asked}/outcome", {"outcome": "worked"}, member)
    assert (label.status_code, label.json()["right"]) == (200, 0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": "Why?", "mode": "magic"}, "mode"),
        ({"question": "Why?", "rounds": 7}, "rounds"),
        ({"question": "Why?", "answer": 42}, "answer"),
        ([], "body"),
    ],
)
def test_a_wrong_question_is_refused_with_the_field_named(door: Door, given: Any, named: str) -> None:
    reply = door.post("/api/consultations", given)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(f"{named}:")
    schema_of("Error").validate(reply.json())


def test_a_body_that_is_too_long_is_refused(door: Door) -> None:
    assert door.post("/api/consultations", {"question": "x" * 3_000_000}).status_code == 413


def test_a_key_asks_about_projects_only_where_its_workspace_allows_it(door: Door, repo: Path, tmp_path: Path) -> None:
    key = door.new_key("rooted", "asks")
    ask = {"question": "Why is the last line lost?", "wait_s": 30}
    refused = door.post("/api/consultations", {**ask, "project_dir": str(repo)}, key)
    assert refused.status_code == 403
    unknown = door.post("/api/consultations", {**ask, "project_dir": str(tmp_path / "nowhere")}, key)
    assert unknown.text == refused.text, "it does not tell which directories there are"
    door.call("PATCH", "/admin/workspaces/rooted", json={"roots": [str(repo)]})
    link = repo / "out"
    link.symlink_to(tmp_path)
    for outside in (tmp_path, repo / "..", link):
        assert door.post("/api/consultations", {**ask, "project_dir": str(outside)}, key).status_code == 403
    link.unlink()
    allowed = door.post("/api/consultations", {**ask, "project_dir": str(repo)}, key)
    assert allowed.status_code == 200, allowed.text
    shown = door.get(f"/api/consultations/{allowed.json()['id']}?detail=full", key)
    assert shown.json()["question"]["project"] == "records"
    assert str(tmp_path) not in shown.text, "where it lies is the owner's business"
    rows = door.get("/api/consultations", key).json()["consultations"]
    assert rows[0]["project"] == "records"
    door.call("PATCH", "/admin/workspaces/rooted", json={"roots": []})
    again = {"question": "And now?", "consultation_id": allowed.json()["id"]}
    assert door.post("/api/consultations", again, key).status_code == 403, "the project would be read again"


def test_no_project_is_read_unless_one_is_named(door: Door, asked: str) -> None:
    """The server itself runs inside a project here."""
    assert door.get(f"/api/consultations/{asked}?detail=full").json()["question"]["project"] is None


def test_spending_and_status_tell_each_what_is_theirs(door: Door, member: str, asked: str) -> None:
    owner = door.get("/api/spending").json()
    assert owner["daily_limit_usd"] == "20.00"
    key = door.new_key("team", "budgeted", terms={"budgets": [{"usd": "5", "window": "day"}]})
    mine = door.get("/api/spending", key).json()
    assert (mine["today_usd"], mine["daily_limit_usd"]) == ("0", None)
    assert door.get("/api/spending?by=workspace", key).status_code == 403
    split = door.get("/api/spending?by=model").json()
    assert {line["value"] for line in split["lines"]} == {"alpha", "beta"}
    assert door.get("/api/spending?by=magic").status_code == 400
    assert [(b["per"], b["usd"], b["window"]) for b in mine["budgets"]] == [("key", "5", "day")]
    assert door.get("/api/status").json()["home"]
    theirs = door.get("/api/status", member).json()
    assert (theirs["home"], theirs["config"]) == ("", "")
    assert {seat["name"] for seat in theirs["seats"]} >= {"alpha", "beta"}


def test_the_budgets_of_a_key_and_of_its_workspace_hold(tmp_path: Path) -> None:
    """A call is reckoned with 1 $ for each thousand tokens of its answer: 10 of them may cost 1 cent."""
    price = '\n[[prices]]\nvendor = "local"\nmodel = "alpha"\ninput_usd_per_mtok = 0\noutput_usd_per_mtok = 1000\n'
    chat = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
    with serving(tmp_path, {"alpha": Expert("hello", usage=(1, 10))}, "--admin", more_toml=price) as door:
        cent = [{"usd": "0.015", "window": "month"}]
        key = door.new_key("rich", "thrifty", terms={"budgets": cent})
        answers = [door.post("/v1/chat/completions", chat, key) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 402]
        assert answers[1].json()["error"]["code"] == "budget_exceeded"
        assert door.post("/v1/chat/completions", chat).status_code == 200, "the owner has no such budget"
        spent = door.get("/api/spending", key).json()
        assert Decimal(spent["month_usd"]) == Decimal("0.01")
        door.post("/admin/workspaces", {"id": "poor", "budgets": cent})
        one, two = door.new_key("poor", "one"), door.new_key("poor", "two")
        assert door.post("/v1/chat/completions", chat, one).status_code == 200
        assert door.post("/v1/chat/completions", chat, two).status_code == 402, "they share the workspace's purse"


def test_an_offer_that_there_is_not_cannot_be_judged(door: Door, member: str) -> None:
    assert door.post("/api/offers/nothing", {"right": True}, member).status_code == 404
    assert door.post("/api/offers/nothing", {"right": "perhaps"}, member).status_code == 400


# ---------------------------------------------------------------------------------------------------- live events


def events(reply: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in reply.text.splitlines() if line.startswith("data: ")]


def test_who_comes_late_is_told_what_happened_before(door: Door, member: str, asked: str) -> None:
    reply = door.get(f"/api/consultations/{asked}/events", member)
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply)
    kinds = [event["kind"] for event in told]
    assert kinds[0] == "collecting"
    assert kinds[-1] == "closed"
    assert kinds.count("answered") == 2
    numbers = [event["number"] for event in told]
    assert numbers == sorted(numbers)
    rest = events(door.get(f"/api/consultations/{asked}/events", member, **{"last-event-id": str(numbers[2])}))
    assert [event["number"] for event in rest] == numbers[3:], "it goes on where the client was cut off"
    over = door.get(f"/api/consultations/{asked}/events", member, **{"last-event-id": str(numbers[-1])})
    assert over.status_code == 204, "WHATWG HTML 9.2.3: a client that gets this does not come back"
    for event in told:
        schema_of("Event").validate({name: value for name, value in event.items() if name != "number"})


def test_events_are_sent_while_the_council_works_and_a_cancelled_one_is_closed(tmp_path: Path) -> None:
    experts = {"alpha": Expert(SAYS), "beta": Expert(fault="hang")}
    with serving(tmp_path, experts) as door:
        id = door.post("/api/consultations", {"question": "Why?"}).json()["id"]
        with httpx2.stream(
            "GET",
            f"{door.url}/api/consultations/{id}/events",
            headers={"authorization": f"Bearer {door.token}"},
            timeout=20,
        ) as reply:
            lines = reply.iter_lines()
            assert next(line for line in lines if line == "event: answered")
            door.upstream.wait_for_calls_sync(2)
            cancelled = door.post(f"/api/consultations/{id}/cancel", {})
            assert cancelled.json()["status"] == "cancelled"
            assert next(line for line in lines if line == "event: closed")
        door.upstream.wait_until_sync(lambda: door.upstream.calls_to("beta")[0].aborted)
        assert door.get("/admin/workspaces").status_code == 404, "the admin API is off unless it was asked for"


def test_a_websocket_gets_the_events_of_what_its_key_may_see(door: Door, member: str, stranger: str) -> None:
    sync = pytest.importorskip("websockets.sync.client")
    url = door.url.replace("http://", "ws://") + "/api/events"

    def connect(key: str, query: str = "") -> Any:
        return sync.connect(url + query, additional_headers={"authorization": f"Bearer {key}"}, open_timeout=10)

    with connect(member) as mine, connect(stranger) as theirs, connect(door.token) as owner:
        id = door.post("/api/consultations", {"question": "Live?", "wait_s": 30}, member).json()["id"]
        for socket in (mine, owner):
            kinds = []
            while "closed" not in kinds:
                event = json.loads(socket.recv(10))
                if event["run"] == id:
                    kinds.append(event["kind"])
            assert kinds[0] == "collecting"
        other = door.post("/api/consultations", {"question": "Mine?", "wait_s": 30}, stranger).json()["id"]
        assert json.loads(theirs.recv(10))["run"] == other, "the first thing that a stranger hears is their own"
    with connect(member, f"?run={id}") as again:
        assert json.loads(again.recv(10))["kind"] == "collecting"
    from websockets.exceptions import InvalidStatus

    for key, query in (("wrong", ""), (stranger, f"?run={id}")):
        with pytest.raises(InvalidStatus) as refused, connect(key, query):
            pass
        assert refused.value.response.status_code in (401, 403)


async def test_who_does_not_keep_up_loses_the_oldest_events_and_is_told_how_many() -> None:
    hub = Hub(queue=3)
    with hub.listen() as listener:
        for number in range(5):
            hub.note(Event(run="r", kind="note", detail=str(number)))
        got = [item.event.detail for item in [await listener.next(1) for _ in range(3)] if item]
        assert got == ["2", "3", "4"]
        assert (listener.lost(), listener.lost()) == (2, 0)
        assert await listener.next(0.001) is None
    assert hub.listening == 0


async def test_a_stream_that_is_given_up_listens_no_more() -> None:
    hub = Hub()
    hub.note(Event(run="r", kind="note"))
    said = stream(hub, "r", 0, heartbeat_s=0.01)
    assert (await anext(said)).startswith(b"id: 1\nevent: note\n")
    assert await anext(said) == b": still here\n\n"
    assert hub.listening == 1
    await said.aclose()
    assert hub.listening == 0


# ------------------------------------------------------------------------------------------------------- admin


def test_an_admin_manages_the_own_workspace_and_no_other(door: Door, member: str, stranger: str) -> None:
    ours, team = "/admin/workspaces/others", "/admin/workspaces/team"
    assert [w["id"] for w in door.get("/admin/workspaces", stranger).json()["workspaces"]] == ["others"]
    assert door.get(f"{team}/keys", stranger).status_code == 404
    assert door.get(f"{team}/members", stranger).status_code == 404
    assert door.post(f"{team}/keys", {"name": "spy"}, stranger).status_code == 404
    assert door.call("DELETE", f"{team}/keys/member", stranger).status_code == 404
    assert door.call("PUT", f"{team}/members/eve", stranger, {"role": "admin"}).status_code == 404
    assert door.call("DELETE", team, stranger).status_code == 404
    assert door.post("/admin/workspaces", {"id": "more"}, stranger).status_code == 404
    assert door.call("PATCH", ours, stranger, {"roots": ["/"]}).status_code == 400
    assert door.call("PUT", f"{ours}/members/bob", stranger, {"role": "member"}).status_code == 200
    made = door.post(f"{ours}/keys", {"name": "bobs", "member": "bob"}, stranger)
    assert made.status_code == 201
    key = made.json()["secret"]
    assert door.get("/api/me", key).json()["workspace"] == "others"
    assert key not in door.get(f"{ours}/keys", stranger).text
    assert door.call("DELETE", f"{ours}/members/bob", stranger).status_code == 204
    assert door.get("/api/me", key).status_code == 401, "at once, not only when memory fades"


def test_the_bodies_that_the_documentation_shows_are_taken(door: Door) -> None:
    text = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    bodies = dict(
        re.findall(r"^\| `((?:POST|PUT) (?:/admin/workspaces|…)[^`]*)`[^|]*\| `(\{.*?\})`[^|]*\|", text, re.MULTILINE)
    )
    assert len(bodies) == 3
    given = {request.split("/")[-1]: json.loads(body) for request, body in bodies.items()}
    assert door.post("/admin/workspaces", {**given["workspaces"], "id": "as-shown"}).status_code == 201
    made = door.post("/admin/workspaces/as-shown/keys", given["keys"])
    assert (made.status_code, made.json()["secret"][:4]) == (201, "orc_")
    terms = json.loads(re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0])
    bound = door.post(
        "/admin/workspaces/as-shown/keys", {"name": "bound", "terms": terms, "expires": "2126-12-31T00:00:00Z"}
    )
    shown = bound.json()["key"]["terms"]
    assert (bound.status_code, shown["models"], shown["concurrent"]) == (201, ["code", "fast*"], 4)
    member = door.call("PUT", "/admin/workspaces/as-shown/members/ada", json=given["{name}"])
    assert (member.status_code, member.json()["role"]) == (200, "viewer")
    budget = json.loads(re.findall(r"A budget is `(\{.*?\})`", text)[0])
    changed = door.call("PATCH", "/admin/workspaces/as-shown", json={"budgets": [budget]})
    assert (changed.status_code, changed.json()["budgets"][0]["window"]) == (200, "day")


# ------------------------------------------------------------------------------------------------------ OpenAPI


def test_the_document_is_served_and_says_what_there_is(door: Door) -> None:
    served = door.get("/api/openapi.json").json()
    assert served == json.loads(json.dumps(document()))
    assert served["openapi"].startswith("3.1.")
    routes = {
        (method.lower(), route.path)
        for route in Api.__dict__["routes"](Api(None, None, None))  # type: ignore[arg-type]
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }
    assert {(operation.method, operation.path) for operation in OPERATIONS} == routes


def test_the_document_is_well_formed() -> None:
    """OpenAPI 3.1.0: 4.8.1 (root), 4.8.9.1 (path templates), 4.8.10 (operations), 4.8.24 (schemas are JSON Schema)."""
    whole = document()
    assert {"openapi", "info", "paths"} <= whole.keys()
    assert {"title", "version"} <= whole["info"].keys()
    schemas = whole["components"]["schemas"]
    for name, schema in schemas.items():
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
        jsonschema.Draft202012Validator.check_schema(schema)
    names = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(whole))
    assert set(names) <= schemas.keys()
    ids = []
    for path, item in whole["paths"].items():
        for operation in item.values():
            ids.append(operation["operationId"])
            in_path = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path))
            assert all("description" in response for response in operation["responses"].values())
    assert len(ids) == len(set(ids))
    if find_spec("openapi_spec_validator"):
        import_module("openapi_spec_validator").validate(whole)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/api/me", "Me"), ("/api/consultations/{id}?detail=full", "Consultation"), ("/api/spending", "Spending"),
     ("/api/status", "CouncilStatus")],
)  # fmt: skip
def test_what_is_answered_is_what_the_document_says(door: Door, asked: str, path: str, name: str) -> None:
    found = {key for key in document()["components"]["schemas"] if key.split("-")[0] == name}
    answer = door.get(path.format(id=asked)).json()
    schema_of(sorted(found)[-1]).validate(answer)
