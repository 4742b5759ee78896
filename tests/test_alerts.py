"""Alerts: each kind by real records, told once by however many processes, over in time, and never lost or shouted twice."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from doors import serving
from scripting import expert
from upstream import Expert
from webdoor import Vendor

from orchestra_mcp import settings
from orchestra_mcp.app.alerts.alarms import EVERY_S, Alarms
from orchestra_mcp.app.alerts.rules import DAILY, beginning, rules_of
from orchestra_mcp.errors import Refused, SettingsError, Unavailable
from orchestra_mcp.gateway.posting import host_of, may_be_posted_to, post
from orchestra_mcp.report import status_report
from orchestra_mcp.settings import AlertRule, Limits, Settings
from orchestra_mcp.store import Store, open_store
from orchestra_mcp.store.sqlite import SqliteStore
from orchestra_mcp.telemetry.notifying import Desktop
from orchestra_mcp.types import Agreement, Alert, CallRecord, CouncilStatus, Label, Question, Usage, Verdict

NOW = datetime.now(UTC)
CHILD = Path(__file__).parent / "alarm_child.py"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "data") as store:
        yield store


def call(error: str = "", *, ago: float = 60, cost: str = "0", **more: Any) -> CallRecord:
    usage = Usage(calls=1, cost_usd=Decimal(cost))
    known = {"run": "", "purpose": "chat", "model": "sol", "provider": "openai", "seconds": 1.0, "usage": usage}
    return CallRecord(**{**known, "error": error, "at": datetime.now(UTC) - timedelta(seconds=ago), **more})


async def keep(store: Store, *calls: CallRecord) -> None:
    for each in calls:
        store.note(each)
    await store.costs("model", NOW)  # writes what waits


async def nobody(*_: object, **__: object) -> None:
    raise AssertionError("nothing is to be posted")


def rule(on: str, above: float, **more: Any) -> AlertRule:
    return AlertRule(**{"name": on, "on": on, "above": above, **more})


async def look(store: Store, *rules: AlertRule, posting: Any = nobody, **variables: str) -> list[Alert]:
    """What lasts after another look, whose turn it is at any rate."""
    alarms = Alarms(store.alerts, rules, lambda name: variables.get(name, ""), posting)
    for of_all in ("alerts", "seldom"):
        await free(store, f"{of_all}/{alarms._kind}")
    await alarms.look()
    return list(await store.alerts.lasting())


async def free(store: Store, turn: str) -> None:
    await store.alerts._forget_turns("name = ?", turn)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.name == "orchestra_mcp.app.alerts.alarms"]


# ------------------------------------------------------------------------------------------------ each kind


async def test_spending_above_its_bound_is_told_once_and_when_it_is_over(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    spend = rule("spend", 1.0, window="1h")
    await keep(store, call(cost="0.9"), call(cost="5", ago=4000))
    assert await look(store, spend) == [], "what was spent before the window does not count"
    await keep(store, call(cost="0.3"))
    [alert] = await look(store, spend)
    assert (alert.kind, round(alert.value, 6), alert.limit) == ("spend", 1.2, 1.0)
    assert alert.over is None
    assert await look(store, spend) == [alert]
    assert said(caplog) == ["WARNING alert began spend: $1.20 spent in an hour, above $1.00"]
    # As an hour later, when all that has left the window:
    assert await look(store, rule("spend", 100.0)) == []
    assert len(said(caplog)) == 2
    assert said(caplog)[1].startswith("INFO alert over spend: over after ")
    [ended] = await store.alerts.newest()
    assert ended.over is not None


async def test_an_alert_around_its_bound_does_not_flap(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await keep(store, *(call("server") for _ in range(3)), *(call() for _ in range(7)))
    assert len(await look(store, rule("errors", 0.29))) == 1
    assert len(await look(store, rule("errors", 0.31))) == 1, "30 % is below 31 %, but not clearly: it lasts"
    assert len(await look(store, rule("errors", 0.37))) == 1, "80 % of 37 % is 29.6 %"
    assert await look(store, rule("errors", 0.38)) == [], "80 % of 38 % is 30.4 %"
    assert await look(store, rule("errors", 0.31)) == []
    assert len(said(caplog)) == 2


async def test_the_share_of_errors_takes_enough_calls_and_counts_no_cancelled_ones(store: Store) -> None:
    errors = rule("errors", 0.5)
    await keep(store, *(call("timeout") for _ in range(4)), *(call("cancelled") for _ in range(9)))
    assert await look(store, errors) == [], "four calls are too few"
    await keep(store, call("timeout"), call(cache="hit"), call(cache="shared"))
    [alert] = await look(store, errors)
    assert alert.message == "5 of 5 calls failed in an hour (100%), above 50%"
    assert await look(store, rule("errors", 0.5, model="luna")) == [], "a rule of that name that finds no calls ends it"


async def test_latency_is_the_95th_percentile_of_what_was_answered(store: Store) -> None:
    calls = [call(seconds=float(number)) for number in range(1, 21)]  # the 19th of 20 is 19 s
    await keep(store, *calls, call("timeout", seconds=500.0), call(seconds=400.0, cache="hit"))
    assert await look(store, rule("latency", 19.0)) == []
    [alert] = await look(store, rule("latency", 18.9, provider="openai"))
    assert (alert.value, alert.subject) == (19.0, "openai")
    assert alert.message == "p95 of 20 calls of openai is 19.0 s in an hour, above 18.9 s"


async def test_an_expert_that_fails_five_times_in_a_row_is_out_until_it_answers(store: Store) -> None:
    outage = rule("outage", 5, to=())
    fails = [call("server", ago=100 - number) for number in range(4)]
    await keep(store, call(ago=200), *fails, call("cancelled", ago=50), call("request", ago=49), call(model="luna"))
    assert await look(store, outage) == [], "a cancelled call and a wrong question are no outage"
    await keep(store, call("timeout", ago=40))
    [alert] = await look(store, outage)
    assert alert.subject == "sol"
    assert alert.message == "sol (openai) does not answer: 5 calls in a row failed, the last one by timeout"
    await keep(store, call(ago=30))
    assert await look(store, outage) == []
    await keep(store, call("server", ago=20))
    assert await look(store, outage) == [], "one failure after that is none yet"


async def test_an_outage_ends_when_nobody_asks_any_more(store: Store) -> None:
    await keep(store, *(call("server", ago=4) for _ in range(5)))
    assert len(await look(store, rule("outage", 5))) == 1
    assert await look(store, rule("outage", 5, provider="other")) == []


async def marked(store: Store, right: int, wrong: int, confidence: float) -> None:
    for number in range(right + wrong):
        id = f"c{number}{confidence}"
        await store.begin(id, Question(text="?"), id)
        verdict = Verdict(id=id, question="?", headline="h", answer="a", confidence=confidence, agreement=Agreement())
        await store.finish(id, "complete", verdict)
        label = Label(consultation=id, clusters=(("a",),), at=NOW - timedelta(seconds=number))
        await store.mark(label, "worked" if number < right else "wrong", 1)


async def test_confidence_that_outcomes_do_not_bear_out_is_drift(store: Store) -> None:
    drift = rule("calibration", 0.2)
    await marked(store, 9, 10, 0.9)
    assert await look(store, drift) == [], "19 outcomes are too few"
    await marked(store, 0, 1, 0.901)
    [alert] = await look(store, drift)
    # 9 of 20 are 45 %; Wilson's 95 % interval is 25.8 to 65.8 % (newcombe 1998, method 3).
    assert alert.message == (
        "stated confidence is 90% on average, but 45% of the last 20 outcomes were right (95 % interval 26% to 66%): "
        "0.45 apart, above 0.2"
    )
    assert await look(store, rule("calibration", 0.6)) == []


async def test_drift_that_chance_alone_could_make_is_none(store: Store) -> None:
    await marked(store, 12, 8, 0.75)  # 60 %, interval 38.7 to 78.1 %
    assert await look(store, rule("calibration", 0.1)) == []


def test_windows_begin_where_they_should() -> None:
    now = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
    assert beginning("15m", now) == datetime(2026, 11, 21, 14, 15, tzinfo=UTC)
    assert beginning("day", now) == datetime(2026, 11, 21, tzinfo=UTC)
    assert beginning("month", now) == datetime(2026, 11, 1, tzinfo=UTC)


def test_without_settings_two_rules_are_shown_and_tell_nobody() -> None:
    found = {each.name: each for each in rules_of(Settings())}
    assert found.keys() == {"outage", DAILY}
    assert found[DAILY].above == pytest.approx(16.0), "80 % of 20 $"
    assert all(each.to == () for each in found.values())
    assert "daily limit" not in {each.name for each in rules_of(Settings(limits=Limits(daily_cost_usd=Decimal(0))))}
    own = AlertRule(name="outage", on="outage", above=3)
    assert rules_of(Settings(alerts=(own,)))[0] is own
    assert len(rules_of(Settings(alerts=(own,)))) == 2


# ------------------------------------------------------------------------------------------------ turns


async def test_a_turn_is_had_by_one_and_comes_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as other:
        assert await one.alerts.turn("sweep", 1000)
        assert not await other.alerts.turn("sweep", 1000)
        assert not await one.alerts.turn("sweep", 1000)
        assert await other.alerts.turn("another", 1000)
        assert await one.alerts.turn("soon", 0.0)
        assert await other.alerts.turn("soon", 0.0)


async def test_two_processes_at_once_fire_once(tmp_path: Path, environ: dict[str, str]) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    vendor = Vendor([(200, "text/plain", b"ok")])
    with vendor.open() as url:
        config = tmp_path / "orchestra.toml"
        config.write_text(
            f'[[alerts]]\nname = "spend"\non = "spend"\nabove = 1\nto = ["webhook", "log"]\nurl = "{url}/hook"\n'
        )
        given = {**os.environ, **environ, "ORCHESTRA_CONFIG": str(config)}
        async with open_store(home) as store:
            await keep(store, call(cost="2"))
            children = [child(home, "look", given) for _ in range(2)]
            for each in children:
                assert each.stdout is not None
                assert each.stdout.readline() == "ready\n"
            told = [each.communicate("go\n", timeout=30)[1] for each in children]
            assert [each.returncode for each in children] == [0, 0], told
            assert len(vendor.bodies) == 1
            assert "".join(told).count("alert began spend: $2.00") == 1
            assert len(await store.alerts.newest()) == 1


def child(home: Path, what: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    program = [sys.executable, str(CHILD), str(home), what]
    return subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ, cwd=CHILD.parents[1])


async def test_a_process_that_dies_before_it_has_told_loses_no_alert(tmp_path: Path, environ: dict[str, str]) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    vendor = Vendor([(200, "text/plain", b"ok")])
    with vendor.open() as url:
        config = tmp_path / "orchestra.toml"
        config.write_text(f'[[alerts]]\nname = "spend"\non = "spend"\nabove = 1\nto = ["webhook"]\nurl = "{url}"\n')
        given = {**os.environ, **environ, "ORCHESTRA_CONFIG": str(config)}
        async with open_store(home) as store:
            await keep(store, call(cost="2"))
            dying = child(home, "die", given)
            dying.communicate(timeout=30)
            assert dying.returncode == 9
            assert not vendor.bodies
            rules = rules_of(settings.load({**environ, "ORCHESTRA_CONFIG": str(config)}))
            alarms = Alarms(store.alerts, rules, lambda _: "", post)
            await alarms.tell()
            assert not vendor.bodies, "it is still the other one's to tell"
            [name] = await tellings(store)
            await store.alerts._write(lambda c: c.execute("UPDATE turns SET at = 1 WHERE name = ?", (name,)).rowcount)
            await alarms.tell()
            assert [body["state"] for body in vendor.bodies] == ["began"]
            assert not await tellings(store)
            await alarms.tell()
            assert len(vendor.bodies) == 1


async def tellings(store: Store) -> list[str]:
    found = await store.alerts._read(lambda c: c.execute("SELECT name FROM turns WHERE name LIKE 'tell/%'").fetchall())
    return [name for (name,) in found]


async def test_processes_with_other_rules_have_a_turn_of_their_own(store: Store) -> None:
    await keep(store, call(cost="2"))
    old = Alarms(store.alerts, (rule("latency", 1.0),), lambda _: "", nobody)
    new = Alarms(store.alerts, (rule("latency", 1.0), rule("spend", 1.0)), lambda _: "", nobody)
    await old.look()
    await new.look()
    assert [alert.rule for alert in await store.alerts.lasting()] == ["spend"]


async def test_a_desktop_that_this_process_cannot_reach_is_left_to_others(store: Store) -> None:
    here = Desktop()
    here.reachable = False
    await keep(store, call(cost="2"))
    await Alarms(store.alerts, (rule("spend", 1.0, to=("desktop",)),), lambda _: "", nobody, here).look()
    [telling] = await store.alerts.due(60, lambda _: True)
    assert (telling.to, telling.over, telling.alert.rule) == ("desktop", False, "spend")


async def test_what_nobody_could_tell_for_an_hour_is_given_up(store: Store) -> None:
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    alert = Alert(rule="spend", kind="spend", message="m", value=2, limit=1, since=two_hours_ago)
    assert await store.alerts.fire(alert, ("desktop",))
    assert not await store.alerts.fire(alert, ("desktop",))
    await store.alerts.watch(["spend"])
    assert not await tellings(store)
    assert await store.alerts.lasting() == (alert,)


async def test_rules_that_were_taken_out_leave_nothing_behind(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await keep(store, call(cost="2"))
    [alert] = await look(store, rule("spend", 1.0))
    other = rule("latency", 1.0)
    assert await look(store, other) == [alert], "another process may still watch it"
    await free(store, "rule/spend")  # as ten minutes later
    await store.alerts.watch([other.name])
    assert await store.alerts.lasting() == ()
    assert len(said(caplog)) == 1, "nobody is told of it"


async def test_many_alerts_of_one_name_are_told_apart_by_their_subject(store: Store) -> None:
    for model in ("a", "b"):
        await keep(store, *(call("server", model=model) for _ in range(5)))
    assert {alert.subject for alert in await look(store, rule("outage", 5))} == {"a", "b"}
    await keep(store, call(model="a", ago=1))
    assert {alert.subject for alert in await look(store, rule("outage", 5))} == {"b"}


# ------------------------------------------------------------------------------------------------ the webhook


@pytest.fixture
def hook() -> Iterator[tuple[Vendor, str]]:
    vendor = Vendor([(200, "text/plain", b"ok")])
    with vendor.open() as url:
        yield vendor, f"{url}/T0/s3cret"


async def test_the_webhook_gets_what_is_documented(store: Store, hook: tuple[Vendor, str]) -> None:
    vendor, url = hook
    spend = rule("spend", 1.0, to=("webhook",), url=url)
    await keep(store, call(cost="2"))
    await store.alerts.here("http://127.0.0.1:8321/")
    [alert] = await look(store, spend, posting=post)
    assert await look(store, rule("spend", 9.0, to=("webhook",), url=url), posting=post) == []
    began, over = vendor.bodies
    number = alert.since.strftime("%Y%m%dT%H%M%S%f")  # another one than that of the first alert of another database
    assert began == {
        "id": f"{number}-1-began",
        "state": "began",
        "rule": "spend",
        "kind": "spend",
        "subject": "",
        "message": "$2.00 spent in an hour, above $1.00",
        "value": 2.0,
        "limit": 1.0,
        "since": json.loads(alert.model_dump_json())["since"],
        "over": None,
        "text": "Orchestra spend: $2.00 spent in an hour, above $1.00 http://127.0.0.1:8321/",
        "link": "http://127.0.0.1:8321/",
    }
    assert (over["id"], over["state"], over["since"]) == (f"{number}-1-over", "over", began["since"])
    assert over["over"] is not None
    assert vendor.headers[0]["content-type"] == "application/json"
    await store.alerts.gone("http://127.0.0.1:8321/")
    assert await store.alerts.dashboard() == ""


async def test_a_store_that_stands_in_for_another_tells_nobody_but_its_log(
    hook: tuple[Vendor, str], caplog: pytest.LogCaptureFixture
) -> None:
    vendor, url = hook
    store = await SqliteStore.open(None, "no disk")
    try:
        await keep(store, call(cost="2"))
        every: Any = ("log", "webhook", "desktop")
        assert len(await look(store, rule("spend", 1.0, to=every, url=url), posting=post)) == 1
        assert await look(store, rule("spend", 9.0, to=every, url=url), posting=post) == []
        assert await tellings(store) == []
    finally:
        await store.close()
    assert vendor.bodies == []
    assert len(said(caplog)) == 2, "that it began, and that it is over"


@pytest.mark.parametrize(
    ("spent", "bound", "text"),
    [
        ("0.0105", 0.01, "$0.011 spent in an hour, above $0.010"),
        ("0.01004", 0.01, "$0.010040 spent in an hour, above $0.010000"),
        ("5.2", 5.0, "$5.20 spent in an hour, above $5.00"),
    ],
)
async def test_an_amount_and_its_bound_are_never_said_to_be_the_same(
    store: Store, spent: str, bound: float, text: str
) -> None:
    await keep(store, call(cost=spent))
    [alert] = await look(store, rule("spend", bound))
    assert alert.message == text


async def test_a_share_and_its_bound_are_never_said_to_be_the_same(store: Store) -> None:
    await keep(store, *(call("server") for _ in range(101)), *(call() for _ in range(100)))
    [alert] = await look(store, rule("errors", 0.5))
    assert alert.message == "101 of 201 calls failed in an hour (50.2%), above 50.0%"


async def test_a_busy_webhook_is_asked_again_and_then_later(
    store: Store, hook: tuple[Vendor, str], caplog: pytest.LogCaptureFixture
) -> None:
    vendor, url = hook
    vendor.replies = [(503, "text/plain", b"no")]
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async def posting(url: str, body: bytes, **more: Any) -> None:
        await post(url, body, sleep=wait, **more)

    await keep(store, call(cost="2"))
    assert len(await look(store, rule("spend", 1.0, to=("webhook",), url=url), posting=posting)) == 1
    assert (len(vendor.bodies), waited) == (3, [1.0, 4.0])
    assert len(await tellings(store)) == 1, "somebody tries again later"
    [line] = said(caplog)
    assert "not posted yet" in line
    assert "503" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("status", [302, 307, 404, 410])
async def test_a_redirect_is_not_followed_and_a_refusal_is_final(
    status: int, store: Store, hook: tuple[Vendor, str], caplog: pytest.LogCaptureFixture
) -> None:
    vendor, url = hook
    vendor.replies = [(status, "text/plain", b"")]
    await keep(store, call(cost="2"))
    assert len(await look(store, rule("spend", 1.0, to=("webhook",), url=url), posting=post)) == 1
    assert len(vendor.bodies) == 1
    assert not await tellings(store)
    [line] = said(caplog)
    assert str(status) in line
    assert "s3cret" not in line


async def test_an_address_may_stand_in_a_variable(
    store: Store, hook: tuple[Vendor, str], caplog: pytest.LogCaptureFixture
) -> None:
    vendor, url = hook
    await keep(store, call(cost="2"))
    await look(store, rule("spend", 1.0, to=("webhook",), url="$HOOK"), posting=post, HOOK=url)
    assert len(vendor.bodies) == 1
    await look(store, rule("spend", 9.0, to=("webhook",), url="$UNSET"), posting=post, HOOK=url)
    assert len(vendor.bodies) == 1
    assert said(caplog) == ["WARNING The webhook of the alert 'spend' names a variable that is not set."]


async def test_only_https_and_this_machine_are_posted_to() -> None:
    assert may_be_posted_to("https://hooks.example.org/x")
    assert may_be_posted_to("http://localhost:1/x")
    assert not may_be_posted_to("http://hooks.example.org/x")
    assert not may_be_posted_to("http://127.0.0.1.example.org/x")
    assert may_be_posted_to("http://hooks.example.org/x", allow_http=True)
    assert not may_be_posted_to("file:///etc/passwd", allow_http=True)
    assert host_of("https://user:pass@hooks.example.org:8443/T0/s3cret?k=v") == "hooks.example.org:8443"
    with pytest.raises(Refused, match="allow_http"):
        await post("http://hooks.example.org/s3cret", b"{}")

    async def wait(_: float) -> None:
        return

    with pytest.raises(Unavailable) as caught:
        await post("http://127.0.0.1:9/s3cret", b"{}", sleep=wait)
    assert "s3cret" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ settings


RULE = '[[alerts]]\nname = "x"\non = "spend"\nabove = 1\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[alerts]]\nname = "x"\non = "spent"\nabove = 1', "spend"),
        ('[[alerts]]\nname = "x"\non = "errors"\nabove = 5', "share"),
        (RULE + 'to = ["webhook"]', "url"),
        (RULE + 'url = "https://example.org"', "webhook"),
        (RULE + 'to = ["webhook"]\nurl = "http://example.org/s3cret"', "allow_http"),
        (RULE + 'to = ["webhook"]\nurl = "ftp://example.org/s3cret"', "no address"),
        (RULE + 'to = ["email"]', "desktop"),
        (RULE + "bound = 1", "known here"),
        (RULE + RULE, "two alerts"),
    ],
)
def test_a_wrong_rule_is_told_without_its_address(text: str, why: str, tmp_path: Path, environ: dict[str, str]) -> None:
    file = tmp_path / "orchestra.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load({**environ, "ORCHESTRA_CONFIG": str(file)})
    assert why in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_an_address_is_in_no_repr_and_no_dump() -> None:
    found = AlertRule(name="x", on="spend", above=1, to=("webhook",), url="https://example.org/s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in repr(found)
    assert "s3cret" not in found.model_dump_json()


def test_a_project_cannot_set_alerts(tmp_path: Path) -> None:
    (tmp_path / "orchestra.toml").write_text(RULE + 'to = ["webhook"]\nurl = "https://evil.example.org"')
    found = settings.narrow(Settings(), tmp_path)
    assert found.alerts == ()
    assert any("alerts" in warning for warning in found.warnings)


# ------------------------------------------------------------------------------------------------ through the doors


def test_the_report_of_the_status_says_what_lasts() -> None:
    lasting = Alert(
        rule="outage", kind="outage", subject="sol", message="sol | does not answer", value=5, limit=5, since=NOW
    )
    status = CouncilStatus(
        version="1",
        seats=(),
        can_be_added=(),
        spent_today_usd=Decimal(0),
        daily_limit_usd=Decimal(20),
        alerts=(lasting,),
    )
    line = f"- **Alert** since {NOW:%Y-%m-%d %H:%M} UTC: outage, when it began: sol \\| does not answer"
    assert line in status_report(status).splitlines()


def test_status_and_the_api_and_metrics_show_an_outage(tmp_path: Path) -> None:
    async def fill() -> None:
        async with open_store(tmp_path / "data") as store:
            await keep(store, *(call("server") for _ in range(5)))

    anyio.run(fill)  # before the server opens, whose first look comes soon
    with serving(tmp_path, {"alpha": Expert(expert("x"))}, "--admin") as door:
        ends = time.monotonic() + 20
        while not (found := door.get("/api/alerts").json()["alerts"]):
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert [(each["rule"], each["subject"], each["over"]) for each in found] == [("outage", "sol", None)]
        assert [each["subject"] for each in door.get("/api/status").json()["alerts"]] == ["sol"]
        assert 'orchestra_alerts_lasting{kind="outage"} 1.0' in door.get("/metrics").text
        key = door.new_key("team", "viewer", role="viewer")
        assert door.get("/api/alerts", key).status_code == 403
        assert door.get("/api/status", key).json()["alerts"] == []


async def test_a_store_in_trouble_is_said_once(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        alarms = Alarms(store.alerts, (rule("spend", 1.0),), lambda _: "", nobody)
    with anyio.move_on_after(0.3):
        await alarms.run(first_s=0, every_s=0.01)
    assert len(said(caplog)) == 1
    assert "Alerts are not watched" in said(caplog)[0]
    assert EVERY_S == 30
    assert logging.getLogger("orchestra_mcp.app.alerts.alarms").isEnabledFor(logging.INFO)
