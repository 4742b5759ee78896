"""`/metrics` over real HTTP: what is counted, for whom, of which processes; and the dashboard that rests on it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import promql_parser
import pytest
from doors import ROOT, Door, serving
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from scripting import expert
from upstream import Expert

from orchestra_mcp.store import open_store
from orchestra_mcp.store.feed import Called, Ended, Feed, Mark, News
from orchestra_mcp.types import Absence, Agreement, Alert, CallRecord, Question, Usage, Verdict
from orchestra_mcp.web.metrics import COMBINATIONS, MODELS, OTHER, SECONDS, Sums

SAYS = expert("it is the newline")
BUDGET = '\n[[budgets]]\nper = "all"\nusd = 5\nwindow = "month"\n'
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    experts = {"alpha": Expert(SAYS), "beta": Expert(SAYS)}
    with serving(tmp_path_factory.mktemp("home"), experts, "--admin", more_toml=BUDGET) as opened:
        yield opened


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def scraped(door: Door) -> Samples:
    response = door.get("/metrics")
    assert response.status_code == 200, response.text
    return samples(response.text)


def of(found: Samples, name: str, /, **labels: str) -> float:
    """The sum of all samples of a name with these labels."""
    return sum(value for (its, given), value in found.items() if its == name and labels.items() <= dict(given).items())


def until(door: Door, name: str, value: float, /, **labels: str) -> Samples:
    ends = time.monotonic() + 20
    while True:
        found = scraped(door)
        if of(found, name, **labels) >= value:
            return found
        assert time.monotonic() < ends, f"{name} is {of(found, name, **labels)}"
        time.sleep(0.05)


def chat(door: Door, model: str) -> int:
    asked = {"model": model, "messages": [{"role": "user", "content": "why?"}]}
    return door.post("/v1/chat/completions", asked).status_code


# ------------------------------------------------------------------------------------------------ the endpoint


def test_a_call_is_counted_with_its_tokens_and_its_time(door: Door) -> None:
    before = scraped(door)
    assert chat(door, "alpha") == 200
    found = until(door, "llm_requests_total", of(before, "llm_requests_total", model="alpha") + 1, model="alpha")
    labels = {"provider": "local", "model": "alpha"}
    assert of(found, "llm_tokens_used_total", type="output", **labels) > 0
    types = {dict(given).get("type") for (name, given) in found if name == "llm_tokens_used_total"}
    assert types == {"input", "output", "cache_read", "cache_write", "reasoning"}
    count = of(found, "llm_request_duration_seconds_count", **labels)
    assert count == of(found, "llm_requests_total", **labels), "none of them failed"
    edges = {dict(given)["le"] for (name, given) in found if name == "llm_request_duration_seconds_bucket"}
    assert {"0.01", "81.92", "163.84", "327.68", "+Inf"} <= edges
    assert of(found, "llm_request_duration_seconds_bucket", le="+Inf", **labels) == count
    assert of(found, "orchestra_store_up") == 1


def test_a_council_is_counted_with_its_agreement_and_its_mode(door: Door) -> None:
    before = scraped(door)
    asked = {"question": "Why does it fail?", "mode": "security", "wait_s": 60}
    assert door.post("/api/consultations", asked).json()["status"] == "complete"
    labels = {"mode": "security", "status": "complete"}
    found = until(door, "orchestra_consultations_total", 1, **labels)
    assert of(found, "orchestra_consultations_total", **labels) == 1
    for name in ("agreement", "confidence"):
        assert of(found, f"orchestra_{name}_count") == of(before, f"orchestra_{name}_count") + 1
    assert of(found, "orchestra_consultations_running") == 0
    assert of(found, "llm_requests_total", use_case="security") >= 2
    assert of(found, "orchestra_budget_left_usd", per="limit", name="daily", window="day") == 20
    assert of(found, "orchestra_budget_left_usd", per="all", window="month") == 5
    assert of(scraped(door), "orchestra_consultations_total", **labels) == 1, "counted once"


def test_what_another_process_does_is_counted_too(door: Door) -> None:
    before = of(scraped(door), "llm_requests_total", provider="elsewhere")
    program = (
        "import anyio, sys; from pathlib import Path; from orchestra_mcp.store import open_store\n"
        "from orchestra_mcp.types import CallRecord\n"
        "async def main():\n"
        "    async with open_store(Path(sys.argv[1])) as store:\n"
        "        for error in ('', '', 'timeout', 'cancelled'):\n"
        "            store.note(CallRecord(run='', purpose='chat', model='m', provider='elsewhere', error=error, seconds=3))\n"
        "        store.note(CallRecord(run='', purpose='chat', model='m', provider='elsewhere', cache='similar'))\n"
        "anyio.run(main)"
    )
    subprocess.run([sys.executable, "-c", program, str(door.home / "data")], check=True, cwd=ROOT)
    found = scraped(door)
    assert of(found, "llm_requests_total", provider="elsewhere") == before + 4
    assert (
        of(found, "llm_errors_total", provider="elsewhere") == of(found, "llm_errors_total", error_type="timeout") == 1
    )
    assert of(found, "llm_request_duration_seconds_sum", provider="elsewhere") == 6
    assert of(found, "llm_request_duration_seconds_bucket", provider="elsewhere", le="2.56") == 0
    assert of(found, "llm_request_duration_seconds_bucket", provider="elsewhere", le="5.12") == 2
    assert of(found, "orchestra_cache_hits_total", kind="similar") == 1


def test_many_who_ask_at_once_get_the_same_and_nothing_is_counted_twice(door: Door) -> None:
    before = of(scraped(door), "llm_requests_total", model="beta")
    for _ in range(3):
        assert chat(door, "beta") == 200
    found: list[float] = []
    ends = time.monotonic() + 20
    while (max(found, default=0)) < before + 3 and time.monotonic() < ends:
        threads = [
            threading.Thread(target=lambda: found.append(of(scraped(door), "llm_requests_total", model="beta")))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(found) == before + 3


def test_it_is_text_or_openmetrics_as_it_is_asked_for(door: Door) -> None:
    plain = door.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE llm_requests_total counter" in plain.text
    wanted = door.get("/metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert wanted.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert wanted.text.endswith("# EOF\n")
    parse: Any = openmetrics.text_string_to_metric_families
    assert "llm_requests" in {family.name for family in parse(wanted.text)}


def test_only_the_owner_may_see_what_all_workspaces_do(door: Door) -> None:
    assert door.client.get(f"{door.url}/metrics").status_code in (401, 303)
    assert door.get("/metrics", door.new_key("team", "member")).status_code == 403
    assert door.get("/metrics", door.new_key("team", "boss", role="admin")).status_code == 403
    assert door.post("/metrics", {}).status_code in (404, 405)


def test_no_text_of_a_question_and_no_key_is_in_it(door: Door) -> None:
    key = door.new_key("secret-team", "secret-name")
    asked = {"model": "alpha", "messages": [{"role": "user", "content": "xyzzy-marker"}]}
    assert door.post("/v1/chat/completions", asked, key).status_code == 200
    text = door.get("/metrics").text
    assert not re.search("xyzzy|secret-team|secret-name", text)
    assert key not in text


def test_a_store_in_trouble_is_said_and_the_counters_stand_still(tmp_path: Path) -> None:
    with serving(tmp_path, {"alpha": Expert(SAYS)}) as door:
        assert chat(door, "alpha") == 200
        until(door, "llm_requests_total", 1)
        database = tmp_path / "data" / "orchestra.db"
        program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('ALTER TABLE calls RENAME TO lost')"
        subprocess.run([sys.executable, "-c", program, str(database)], check=True)
        found = scraped(door)
        assert of(found, "orchestra_store_up") == 0
        assert of(found, "llm_requests_total") == 1
        subprocess.run(
            [sys.executable, "-c", program.replace("calls RENAME TO lost", "lost RENAME TO calls"), str(database)],
            check=True,
        )
        assert of(scraped(door), "orchestra_store_up") == 1


# ------------------------------------------------------------------------------------------------ what is new


async def test_absences_and_the_quorum_are_read_from_the_verdict(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        feed = Feed(tmp_path)
        mark = await feed.mark()
        await store.begin("one", Question(text="?"), "one")
        verdict = Verdict(
            id="one", question="?", mode="debug", headline="h", answer="a", confidence=0.8, answered=("a", "b"),
            agreement=Agreement(share=0.75), quorum_s=4.0, absent=(Absence(seat="c", kind="late", reason="slow"),),
        )  # fmt: skip
        await store.finish("one", "degraded", verdict)
        news = await feed.news(mark, SECONDS)
        assert news.ended == (Ended("debug", "degraded", 0.8, 0.75, 4.0, (("c", "late"),)),)
        assert (await feed.news(news.mark, SECONDS)).ended == (), "counted once"
        await store.begin("two", Question(text="?"), "two")
        await store.finish("two", "failed", None, "no")
        assert (await feed.news(news.mark, SECONDS)).ended == (Ended("auto", "failed", None, None, None, ()),)
        sums = Sums(lambda seat: {"c": "groq"}[seat])
        sums.fold(news)
        shown = {sample.name: sample.value for family in sums.collect() for sample in family.samples}
        assert shown["orchestra_quorum_seconds_sum"] == 4.0
        assert shown["orchestra_agreement_sum"] == 0.75
        [absent] = [family for family in sums.collect() if family.name == "orchestra_absent_seats"]
        assert absent.samples[0].labels == {"provider": "groq", "kind": "late"}
        await feed.aclose()


async def test_after_rows_were_forgotten_new_ones_are_still_counted(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        feed = Feed(tmp_path)
        for number in range(3):
            store.note(call(cost=f"0.{number + 1}"))
        await store.costs("model", LONG_AGO)  # which writes what waits
        news = await feed.news(Mark(), SECONDS)
        assert [each.count for each in news.calls] == [3]
        with sqlite3.connect(tmp_path / "orchestra.db") as other:
            other.execute("DELETE FROM calls WHERE id > 1")
        other.close()
        store.note(call(cost="0.7"))  # takes a number that was there before
        await store.costs("model", LONG_AGO)
        news = await feed.news(news.mark, SECONDS)
        assert [(each.count, each.cost_micro_usd) for each in news.calls] == [(1, 700_000)]
        await feed.aclose()


def call(cost: str = "0", **more: Any) -> CallRecord:
    usage = Usage(calls=1, cost_usd=Decimal(cost))
    return CallRecord(**{"run": "", "purpose": "chat", "model": "m", "provider": "p", "usage": usage, **more})


# ------------------------------------------------------------------------------------------------ labels


def called(model: str = "m", **more: Any) -> Called:
    empty = dict.fromkeys(Called.__dataclass_fields__, 0)
    return Called(
        **{
            **empty,
            "provider": "p",
            "model": model,
            "use_case": "",
            "error": "",
            "cache": "",
            "count": 1,
            "within": (0,) * len(SECONDS),
            **more,
        }
    )


def labels(sums: Sums, name: str) -> list[dict[str, str]]:
    return [sample.labels for family in sums.collect() if family.name == name for sample in family.samples]


def test_names_beyond_the_bound_are_counted_together() -> None:
    sums = Sums()
    for number in range(MODELS + 50):
        sums.fold(News((called(f"model-{number}"),), (), Mark()))
    found = [each["model"] for each in labels(sums, "llm_requests")]
    assert len(found) == len(set(found)) == MODELS + 1
    assert OTHER in found
    for number in range(40):
        for use_case in range(40):
            sums.fold(News((called(f"model-{number}", use_case=f"u{use_case}"),), (), Mark()))
    assert len(labels(sums, "llm_requests")) <= COMBINATIONS + 1
    counter = next(family for family in sums.collect() if family.name == "llm_requests")
    assert sum(sample.value for sample in counter.samples) == MODELS + 50 + 1600, "none is lost"


def test_a_hostile_name_breaks_nothing() -> None:
    sums = Sums()
    sums.fold(News((called('x"} 1\n# HELP evil\u202e\x1b[31m' + "y" * 5000),), (), Mark()))
    [found] = labels(sums, "llm_requests")
    assert len(found["model"]) == 80
    assert not re.search("[\n\x1b\u202e]", found["model"])


# ------------------------------------------------------------------------------------------------ Grafana

DASHBOARD = ROOT / "orchestra_mcp" / "telemetry" / "grafana.json"
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$provider": "p", "$model": "m", "$use_case": "u"}


def selectors(node: Any) -> Iterator[Any]:
    """All vector selectors below a node of a parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    for name in ("expr", "lhs", "rhs", "param"):
        if (inner := getattr(node, name, None)) is not None and not isinstance(inner, str | int | float):
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


async def fill(home: Path) -> None:
    """One of everything that is counted."""
    async with open_store(home) as store:
        for more in ({}, {"error": "server"}, {"cache": "hit"}):
            store.note(call(seconds=2.0, **more))
        await store.begin("filled", Question(text="?"), "filled")
        verdict = Verdict(
            id="filled", question="?", mode="debug", headline="h", answer="a", confidence=0.8, answered=("a",),
            agreement=Agreement(share=0.7), quorum_s=4.0, absent=(Absence(seat="alpha", kind="late", reason="slow"),),
        )  # fmt: skip
        await store.finish("filled", "complete", verdict)
        alert = Alert(rule="old", kind="spend", message="m", value=2, limit=1, since=datetime.now(UTC))
        await store.alerts.fire(alert)


def test_every_query_of_the_dashboard_finds_its_metric_and_labels(door: Door) -> None:
    anyio.run(fill, door.home / "data")
    found = scraped(door)
    assert of(found, "orchestra_absent_seats_total", provider="local", kind="late") == 1
    known: dict[str, set[str]] = {}
    for name, given in found:
        known.setdefault(name, set()).update(label for label, _ in given)
    assert len(queries()) >= 15
    used = set()
    for query in queries():
        text = query
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        read = list(selectors(promql_parser.parse(text)))
        assert read, query
        for selector in read:
            assert selector.name in known, query
            used.add(selector.name)
            for matcher in selector.matchers.matchers:
                assert matcher.name in known[selector.name], f"{matcher.name} in {query}"
        for group in re.findall(r"\bby \(([^)]*)\)", query):
            wanted = {label.strip() for label in group.split(",")} - {""}
            assert all(wanted <= known[selector.name] for selector in read), query
    counted = {name for name in known if not name.endswith(("_sum", "_count"))}
    assert counted - used == {"orchestra_store_up"}, "everything is shown somewhere"


def test_the_dashboard_asks_for_its_data_source_and_lets_people_choose() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    names = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert names["datasource"]["type"] == "datasource"
    assert {"provider", "model", "use_case"} <= names.keys()
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    said = json.dumps(dashboard)
    for quantile in ("0.5", "0.95", "0.99"):
        assert f"histogram_quantile({quantile}," in said
