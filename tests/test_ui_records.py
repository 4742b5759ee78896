"""Records, costs, providers and alerts in the dashboard: the figures are those that were put in, and people can use them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import browser
import httpx2
import pytest
from browser import House
from pydantic import SecretStr
from upstream import Expert, Upstream

from orchestra_mcp.errors import UserError
from orchestra_mcp.settings import AlertRule, Budget
from orchestra_mcp.store.base import Store
from orchestra_mcp.store.costs import CostRow, Dimension
from orchestra_mcp.store.tenants import Allowance, Terms, VirtualKey, Workspace
from orchestra_mcp.types import Alert, CallRecord, ExpertRecord, Label, ModeRecord, Question, Usage, Verdict
from orchestra_mcp.web.pages.alerts import in_words
from orchestra_mcp.web.pages.costs_budgets import began, ends, purses
from orchestra_mcp.web.pages.costs_period import period, steps
from orchestra_mcp.web.pages.experts import modes, rows

NOW = datetime.now(UTC)
DAY = datetime(2025, 3, 10, 12, tzinfo=UTC)
"""Long ago, where no other call is."""
PLACES = ("experts", "costs", "providers", "alerts")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with Upstream({"far": Expert("ok")}) as opened:
        yield opened


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, vendor: Upstream) -> Iterator[House]:
    toml = f"""
[models.far]
base_url = "{vendor.url}/v1"
model = "far"
key_env = "FAR_API_KEY"
provider = "far.example"
[[seats]]
name = "scout"
model = "far"
[limits]
daily_cost_usd = 10.0
[[budgets]]
per = "workspace"
usd = 3.0
window = "month"
[[alerts]]
name = "spending a lot"
on = "spend"
above = 900.0
window = "day"
"""
    experts = {"alpha": Expert("ok"), "beta": Expert(fault="500", message="the disk is full")}
    with browser.house(tmp_path_factory.mktemp("home"), experts, toml) as opened:
        anyio.run(fill, opened)
        yield opened


async def fill(house: House) -> None:
    """Two days of calls whose figures are reckoned by hand below, outcomes, and alerts."""
    async with house.store() as store:
        for seconds in range(1, 101):  # p50 50 s, p95 95 s, p99 99 s by the nearest rank
            store.note(call("alpha", DAY, "0.01", seconds=float(seconds)))
        store.note(call("beta", DAY, "0.50", seconds=2.0, use_case="=cmd"))
        store.note(call("beta", DAY + timedelta(days=1), "0.25", seconds=4.0))
        store.note(call("beta", DAY + timedelta(days=1), "0", error="timeout"))
        store.note(call("alpha", DAY + timedelta(days=1), "0", cache="hit"))
        store.note(call("alpha", NOW - timedelta(minutes=30), "1.50", workspace="team"))
        store.note(call("alpha", NOW - timedelta(minutes=40), "0", error="rate_limit", workspace="team"))
        await outcomes(store)
        await store.alerts.fire(
            Alert(rule="spending a lot", kind="spend", message="It is $901.", value=901, limit=900, since=NOW)
        )
        past = NOW - timedelta(days=3)
        await store.alerts.fire(Alert(rule="slow", kind="latency", message="p95 44 s", value=44, limit=30, since=past))
        await store.alerts.end("slow", "", past + timedelta(hours=2))


def call(model: str, at: datetime, usd: str, **more: Any) -> CallRecord:
    usage = Usage(calls=1, input_tokens=100, output_tokens=50, cost_usd=Decimal(usd))
    given = {"run": "", "purpose": "chat", "provider": "local", "model_id": model, "seconds": 1.0, **more}
    return CallRecord.model_validate({"model": model, "at": at, "usage": usage, **given})


async def outcomes(store: Store) -> None:
    for number in range(12):
        id = f"marked{number:06d}"
        await store.begin(id, Question(text="Why?", mode="debug"), id)
        await store.finish(id, "complete", Verdict(id=id, question="Why?", headline="h", answer="a", mode="debug"))
        label = Label(consultation=id, mode="debug", clusters=(("alpha",), ("beta",)))
        await store.mark(label, "worked", 1)


@pytest.fixture(scope="module")
async def chromium(house: House) -> AsyncIterator[Any]:
    async with browser.chromium() as launched:
        yield launched


@pytest.fixture
def client(house: House) -> Iterator[httpx2.Client]:
    """The owner, entered."""
    with httpx2.Client(base_url=house.url, trust_env=False, timeout=20) as opened:
        opened.post("/login", data={"key": house.token}, headers={"origin": house.url})
        yield opened


DATES = "span=dates&from=2025-03-10&to=2025-03-11&step=day"


# ------------------------------------------------------------------------------------------------------ in a browser


@pytest.mark.parametrize("place", PLACES)
async def test_every_page_is_whole_on_a_desk_and_on_a_phone_in_the_dark(
    chromium: Any, house: House, place: str
) -> None:
    narrow: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    for name, options in (("wide", dict[str, Any]()), ("narrow", narrow)):
        async with browser.entered(chromium, house, **options) as page:
            await page.goto(f"{house.url}/{place}")
            await page.wait_for_load_state("networkidle")
            assert await browser.too_wide(page) == 0, name
            assert await browser.unlabelled(page) == [], name
            await browser.shot(page, f"rec-{place}-{name}")


async def test_the_plot_is_drawn_changes_with_the_theme_and_has_a_table_of_its_figures(
    chromium: Any, house: House
) -> None:
    async with browser.entered(chromium, house) as page:
        await page.keyboard.press("g")
        await page.keyboard.press("m")
        await page.wait_for_url(house.url + "/costs")
        await page.goto(f"{house.url}/costs?{DATES}")
        await page.wait_for_selector("#plot[data-drawn='2'] canvas")
        value = page.locator("#plot .u-legend .u-value").last
        assert not await value.is_visible(), "nothing is pointed at, so there is no value"
        await page.locator("#plot .u-over").hover()
        assert await value.is_visible()
        await page.keyboard.press("t")
        await page.wait_for_selector("html[data-theme='dark'] #plot canvas")
        await page.focus(".figures summary")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".figures table")
        heads = await page.locator(".figures thead th").all_inner_texts()
        lines = [(await row.inner_text()).split("\t") for row in await page.locator(".figures tbody tr").all()]
        assert heads == ["Day", "alpha", "beta"]
        assert lines == [["2025-03-10", "$1.00", "$0.50"], ["2025-03-11", "$0.00", "$0.25"]]
        await page.select_option("#metric", "p95")
        await page.wait_for_url(re.compile("metric=p95"))
        await page.wait_for_selector("#plot[data-drawn='2'] canvas")


async def test_costs_can_be_read_without_scripts(chromium: Any, house: House) -> None:
    async with browser.entered(chromium, house, java_script_enabled=False) as page:
        await page.goto(f"{house.url}/costs?{DATES}")
        await page.select_option("#by", "purpose")
        await page.click("button[data-usual]")
        assert "span=dates" in page.url
        assert "chat" in await page.inner_text("tbody")
        assert not await page.locator("#plot").is_visible(), "no empty place where scripts would draw"
        await page.click("text=Its figures as a table")
        assert "2025-03-11" in await page.inner_text("tbody")


async def test_a_probe_asks_one_model_for_one_token_and_says_what_came_of_it(chromium: Any, house: House) -> None:
    async with browser.entered(chromium, house) as page:
        await page.goto(house.url + "/providers")
        alpha = page.locator("article.model:has(h3:has-text('alpha'))")
        await alpha.locator("button").click()
        await alpha.locator(".alert.good:has-text('it works')").wait_for()
        assert house.upstream.calls_to("alpha")[-1].body["max_tokens"] == 1
        beta = page.locator("article.model:has(h3:has-text('beta'))")
        await beta.locator("button").click()
        await beta.locator(".alert.bad:has-text('does not work')").wait_for(timeout=25_000)
        far = page.locator("article.model:has(h3:has-text('far'))")
        assert "FAR_API_KEY is not set" in await far.inner_text()
        assert await far.locator("button").is_disabled()
        await page.reload()
        told = await beta.inner_text()
        assert "server" in told
        assert "within the last minute" in told
        await browser.shot(page, "rec-providers-probed")


# ------------------------------------------------------------------------------------------------------ the figures


def test_the_lines_of_the_plot_are_the_figures_by_hand(client: httpx2.Client) -> None:
    first = int(datetime(2025, 3, 10, tzinfo=UTC).timestamp())
    found = client.get(f"/costs/data?{DATES}&by=model").json()
    assert found["times"] == [first, first + 86_400]
    lines = {line["name"]: line["values"] for line in found["lines"]}
    assert lines == {"alpha": [pytest.approx(1.0), 0.0], "beta": [0.5, 0.25]}
    # The same by a dimension that does not stand in every row, and so is asked for step by step.
    found = client.get(f"/costs/data?{DATES}&by=use_case").json()
    lines = {line["name"]: line["values"] for line in found["lines"]}
    assert lines == {"(none)": [pytest.approx(1.0), 0.25], "=cmd": [0.5, 0.0]}
    calls = client.get(f"/costs/data?{DATES}&by=model&metric=calls").json()["lines"]
    assert {line["name"]: line["values"] for line in calls} == {"alpha": [100.0, 1.0], "beta": [1.0, 2.0]}
    slow = client.get(f"/costs/data?{DATES}&by=model&metric=p95").json()
    assert slow["unit"] == "s"
    assert {line["name"]: line["values"] for line in slow["lines"]} == {"alpha": [95.0, None], "beta": [2.0, 4.0]}


def test_the_table_and_its_csv_say_the_same(client: httpx2.Client) -> None:
    page = client.get(f"/costs?{DATES}&by=model").text
    answer = client.get(f"/costs/table.csv?{DATES}&by=model")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    table = {row["model"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    alpha, beta = table["alpha"], table["beta"]
    assert (alpha["attempts"], alpha["cached"], Decimal(alpha["cost_usd"])) == ("101", "1", Decimal(1))
    assert (alpha["p50_s"], alpha["p95_s"], alpha["p99_s"]) == ("50.0", "95.0", "99.0")
    assert (beta["attempts"], beta["errors"], Decimal(beta["cost_usd"])) == ("3", "1", Decimal("0.75"))
    shown = re.sub(r"<[^>]+>|\s+", " ", page)
    shown = " ".join(shown.split())
    assert "alpha $1.00 57% 101 0 1 10,100" in shown
    assert "$1.75" in shown  # all together
    assert "50 s 1 min 35 s 1 min 39 s" in shown
    # One answer from a cache, of a model whose paid answers cost one cent each.
    assert "Saved by our caches $0.01" in shown
    by_use = client.get(f"/costs/table.csv?{DATES}&by=use_case").text
    assert "'=cmd," in by_use  # no formula


def test_what_the_address_asks_for_wrongly_is_told(client: httpx2.Client) -> None:
    for query in (
        "by=colour",
        "metric=joy",
        "span=1y",
        "span=dates&from=x",
        "span=dates&from=2025-02-02&to=2025-01-01",
    ):
        assert client.get(f"/costs?{query}").status_code == 400, query
    assert "No call was made in this time" in client.get("/costs?span=dates&from=2024-01-01&to=2024-01-02").text
    assert client.get("/costs/data?span=dates&from=2024-01-01&to=2024-01-02").json()["lines"] == []


def test_budgets_tell_what_is_left(client: httpx2.Client) -> None:
    shown = " ".join(re.sub(r"<[^>]+>", " ", client.get("/costs").text).split())
    assert "workspace team $1.50 left" in shown
    assert "$1.50 of $3.00 a month spent (50%)" in shown
    assert re.search(r"all calls of a day \$8\.[45]\d left", shown)  # the probes of this file cost nothing, or cents


def test_alerts_show_what_lasts_what_is_over_and_the_rules(client: httpx2.Client) -> None:
    shown = " ".join(re.sub(r"<[^>]+>", " ", client.get("/alerts").text).split())
    assert "Slow answers: slow over p95 44 s" in shown
    assert "lasted 2 h 00 min" in shown
    assert "spending a lot Spending When more than $900.00 is spent within a day (UTC)." in shown


def test_experts_are_sorted_and_picked_by_mode(client: httpx2.Client) -> None:
    def order(query: str) -> list[str]:
        return re.findall(r"<strong>(\w+)</strong>", client.get(f"/experts?{query}").text)

    assert order("")[:2] == ["alpha", "beta"]  # alpha was right twelve times, beta never
    assert order("sort=name")[:2] == ["alpha", "beta"]
    page = client.get("/experts?mode=debug&sort=cases").text
    assert 'aria-sort="descending"><a href="/experts?mode=debug&amp;sort=cases"' in page
    shown = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    found = re.search(r"alpha alpha · local|alpha local", shown)
    assert found
    assert re.search(r"\d+% \(\d+% to \d+%\)", shown)
    assert client.get("/experts?mode=%3Cscript%3E&sort=zzz").status_code == 200


@pytest.mark.parametrize(
    "path", ["/costs", "/costs/data", "/costs/figures", "/costs/table.csv", "/providers", "/alerts"]
)
def test_a_virtual_key_sees_none_of_it(client: httpx2.Client, house: House, path: str) -> None:
    form = {"name": f"k{path.replace('/', '-')}", "workspace": "team", "role": "admin"}
    made = client.post("/settings/access/create-key", data=form, headers={"origin": house.url})
    secret = re.search(r"orc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", made.text)
    assert secret
    with httpx2.Client(base_url=house.url, trust_env=False) as other:
        other.post("/login", data={"key": secret[0]}, headers={"origin": house.url})
        assert other.get(path).status_code == 403


def test_a_probe_for_another_page_is_refused(client: httpx2.Client, house: House) -> None:
    before = len(house.upstream.calls_to("alpha"))
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {}):
        assert client.post("/providers/probe", data={"model": "alpha"}, headers=headers).status_code == 403
    assert client.get("/providers/probe").status_code == 405
    assert len(house.upstream.calls_to("alpha")) == before
    unknown = client.post("/providers/probe", data={"model": "<b>x"}, headers={"origin": house.url})
    assert unknown.status_code == 404
    assert "<b>x" not in unknown.text


# ------------------------------------------------------------------------------------------------------ parts


def test_steps_begin_at_full_hours_midnights_and_firsts() -> None:
    since, until = datetime(2025, 11, 30, 22, 30, tzinfo=UTC), datetime(2025, 12, 1, 1, tzinfo=UTC)
    assert [at.hour for at in steps(since, until, "hour")] == [22, 23, 0]
    assert [at.day for at in steps(since, until, "day")] == [30, 1]
    assert [(at.month, at.day) for at in steps(since, until, "month")] == [(11, 1), (12, 1)]
    over = steps(datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), "month")
    assert [(at.year, at.month) for at in over] == [(2025, 12), (2026, 1)]


def test_long_times_are_not_drawn_in_hours() -> None:
    asked = {"span": "90d", "step": "hour"}
    assert period(lambda name: asked.get(name, ""), NOW).step == "day"
    asked = {"span": "dates", "from": "2022-01-01", "to": "2025-01-01"}
    assert period(lambda name: asked.get(name, ""), NOW).step == "month"
    asked = {"span": "dates", "from": "1900-01-01"}
    with pytest.raises(UserError, match="ten years"):
        period(lambda name: asked.get(name, ""), NOW)


async def test_a_purse_is_what_its_window_has_spent() -> None:
    now = datetime(2026, 2, 10, 15, 30, tzinfo=UTC)
    assert began("month", now) == datetime(2026, 2, 1, tzinfo=UTC)
    assert ends("month", now) == datetime(2026, 3, 1, tzinfo=UTC)
    assert ends("hour", now) == datetime(2026, 2, 10, 16, tzinfo=UTC)
    asked: list[tuple[Dimension, datetime]] = []

    async def spent(by: Dimension, since: datetime) -> tuple[CostRow, ...]:
        asked.append((by, since))
        names = {"model": ("opus", "haiku"), "key": ("k1",), "workspace": ("w",), "provider": ("p", "q")}[by]
        return tuple(CostRow(value=name, cost_usd=Decimal(2)) for name in names)

    key = VirtualKey(
        id="k1", workspace="w", name="ci", role="member", created=now, terms=Terms(budgets=(Allowance(usd=Decimal(8)),))
    )
    found = await purses(
        Decimal(10),
        [Budget(per="model", name="op*", usd=Decimal(1)), Budget(per="model", name="none", usd=Decimal(5))],
        [key],
        [Workspace(id="w", name="", created=now)],
        spent,
        now,
    )
    told = [(each.title, int(each.limit), int(each.spent), int(each.left)) for each in found]
    assert told == [
        ("all calls of a day", 10, 4, 6),
        ("model opus", 1, 2, 0),  # never less than nothing
        ("key ci (w)", 8, 2, 6),
        ("model none", 5, 0, 5),
    ]
    assert len(asked) == len(set(asked))


def test_experts_of_whom_nothing_is_known_come_after_those_with_a_record() -> None:
    known = ModeRecord(mode="all", cases=3, right=1, rate=0.4, low=0.2, high=0.7)
    debug = ModeRecord(mode="debug", cases=3, right=1, rate=0.4, low=0.2, high=0.7)
    worse = ExpertRecord(model_id="worse", seats=("w",), prior=0.5, records=(known, debug), answered=3, failed=1)
    guess = ExpertRecord(model_id="guess", prior=0.9)
    assert [row.name for row in rows([guess, worse], "all", "rate")] == ["w", "guess"]
    assert [row.name for row in rows([guess, worse], "testing", "rate")] == ["w", "guess"], "who sits comes first"
    assert modes([guess, worse]) == ("all", "debug")
    assert rows([worse], "all", "rate")[0].failing == 0.25


def test_rules_are_told_in_words_and_never_with_their_address() -> None:
    told = in_words(
        AlertRule(
            name="x",
            on="errors",
            above=0.2,
            window="15m",
            provider="p",
            to=("webhook",),
            url=SecretStr("https://h.example/sec"),
        )
    )
    assert told.says == (
        "When, of what concerns provider p, more than 20% of the calls fail within 15 minutes, from 5 calls on."
    )
    assert "sec" not in repr(told)
