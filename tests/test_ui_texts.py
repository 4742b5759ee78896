"""What pages and reports say: earlier cases, the question back, states, sums of money, orders, and a store that cannot be used."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import browser
import httpx2
import pytest
from browser import House
from scripting import expert
from upstream import Expert

from orchestra_mcp.app.outcomes.experts import records
from orchestra_mcp.app.outcomes.followup import wording
from orchestra_mcp.cli.trace import NO_SPANS, OLD, WHY
from orchestra_mcp.report import dollars, experts_report, found_text, status_report, transcript
from orchestra_mcp.store import open_store
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import (
    Alert,
    Consultation,
    CouncilStatus,
    Dossier,
    ExpertRecord,
    Found,
    Label,
    ModeRecord,
    PastCase,
    Question,
    Seat,
    Solution,
    Summary,
    Turn,
    Verdict,
)
from orchestra_mcp.web.pages.case import proof
from orchestra_mcp.web.pages.experts import rows
from orchestra_mcp.web.pages.providers_health import Health, Provider
from orchestra_mcp.web.pages.rendering import count, money

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with browser.house(tmp_path_factory.mktemp("home"), {"alpha": Expert(expert("it is the cache"))}) as opened:
        anyio.run(fill, opened)
        yield opened


@pytest.fixture(scope="module")
async def chromium(house: House) -> AsyncIterator[Any]:
    async with browser.chromium() as launched:
        yield launched


def verdict(id: str, position: str, **more: Any) -> Verdict:
    solution = Solution(rank=1, position=position, answer=position, score=1, probability=0.6, seats=("alpha",), **more)
    return Verdict(id=id, question="Why?", headline="h", answer=position, solutions=(solution,), answered=("alpha",))


async def keep(store: Store, id: str, text: str, made: Verdict, *entries: Any) -> None:
    await store.begin(id, Question(text=text, mode="debug"), id)
    await store.add(id, *entries)
    await store.finish(id, "complete", made)


async def fill(house: House) -> None:
    """An earlier consultation, and later ones that were shown it, continue it and ask what became of it."""
    gone = PastCase(id="gonecase0001", question="", outcome="", at=NOW)
    there = PastCase(id="earlycase001", question="", outcome="", at=NOW, told="solution 1 worked", confidence=0.7)
    turn = Turn(id="earlycase001", question="", outcome="", at=NOW)
    async with house.store() as store:
        await keep(store, "earlycase001", "Why is the page old?", verdict("earlycase001", "The cache is stale"))
        dossier = Dossier(past=(there, gone), history=(turn,))
        later = verdict("latercase001", "The header is wrong", shown="its patch applies and parses; no tests were run")
        asks = later.model_copy(update={"follow_up": wording("earlycase001", NOW)})
        await keep(store, "latercase001", "And now?", asks, dossier)
        await keep(store, "lastcase0001", "And lastly?", later.model_copy(update={"follow_up": wording("gone", NOW)}))
        labels = Label(consultation="ballots", mode="debug", clusters=(("alpha",), ("beta",)), right=0, weight=1, rankings=(("alpha", (0, 1)),))  # fmt: skip
        await keep(store, "ballots", "Which?", verdict("ballots", "This one"))
        await store.mark(labels, "worked", 1)


# --------------------------------------------------------------------------------------------------- consultations


async def test_earlier_cases_are_links_with_their_words_or_are_said_to_be_forgotten(
    house: House, chromium: Any
) -> None:
    async with browser.entered(chromium, house) as page:
        await page.goto(house.url + "/consultations/latercase001")
        await browser.open_all(page)
        past = page.locator("#sent .claims")
        assert await past.get_by_role("link").all_inner_texts() == ["Why is the page old?"]
        assert "The cache is stale" in await past.inner_text()
        assert "gonecase0001 (forgotten, or not yours)" in await past.inner_text()
        assert await page.locator("#sent details ul a").all_inner_texts() == ["Why is the page old?"]
        assert await browser.unlabelled(page) == []


async def test_the_question_back_is_answered_by_a_button_and_then_gone(house: House, chromium: Any) -> None:
    async with browser.entered(chromium, house) as page:
        await page.goto(house.url + "/consultations/latercase001")
        asked = page.locator(".asked")
        assert "The cache is stale" in await asked.inner_text()
        assert await asked.get_by_role("link").get_attribute("href") == "/consultations/earlycase001"
        await browser.shot(page, "texts-asked")
        await asked.get_by_role("button", name="Worked").click()
        await page.wait_for_url("**/consultations/earlycase001?marked=1#solution-1")
        await page.goto(house.url + "/consultations/latercase001")
        assert await page.locator(".asked").count() == 0
        told = await (await page.request.get(house.url + "/api/consultations/latercase001/report")).text()
        assert "What became of" not in told
        await page.goto(house.url + "/consultations/lastcase0001")
        assert await page.locator(".asked").count() == 0, "of what is forgotten nobody is asked"


async def test_what_proved_nothing_is_not_shown_as_a_success_and_shares_have_one_colour(
    house: House, chromium: Any
) -> None:
    async with browser.entered(chromium, house) as page:
        await page.goto(house.url + "/consultations/latercase001")
        box = page.locator("#solution-1 > p.alert")
        assert "no tests were run" in await box.inner_text()
        assert (await box.get_attribute("class") or "").split() == ["alert"]
        bars = await page.locator("#solution-1 .sure .bar").get_attribute("class")
        assert bars == "bar warn"  # 60 %: neither sure nor unlikely


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ("its patch turns the failing tests green", "good"),
        ("passes 4 of 4 of the question's own cases", "good"),
        ("passes 2 of 4 of the question's own cases", "warn"),
        ("passes 0 of 4 of the question's own cases", "bad"),
        ("its patch breaks tests that passed (1 failed, all else green)", "bad"),
        ("its patch does not apply or does not parse", "bad"),
        ("raises on every input", "bad"),
        ("ran on 3 shared inputs", ""),
        ("its patch applies and parses; no tests were run", ""),
    ],
)
def test_only_what_was_shown_to_work_looks_like_it(shown: str, kind: str) -> None:
    assert proof(shown) == kind


def test_a_transcript_names_the_cases_that_were_shown() -> None:
    past = (PastCase(id="c1", question="", outcome="", at=datetime(2026, 3, 1, tzinfo=UTC), told="solution 1 worked"),)
    kept = Consultation(
        id="c2", thread="c2", question=Question(text="Why?"), status="failed", started=NOW, dossier=Dossier(past=past)
    )
    assert "similar cases of the past, in words that are not kept: `c1` (2026-03-01, solution 1 worked)." in transcript(
        kept
    )


# --------------------------------------------------------------------------------------------------------- frame


async def test_all_places_are_in_sight_on_a_phone(house: House, chromium: Any) -> None:
    async with browser.entered(chromium, house, viewport={"width": 360, "height": 740}) as page:
        await page.goto(house.url + "/settings")
        await browser.shot(page, "texts-phone")
        links = page.locator(".places a")
        assert await links.count() == 8
        for link in await links.all():
            box = await link.bounding_box()
            assert box is not None
            assert box["x"] >= 0, box
            assert box["x"] + box["width"] <= 360, box
            text = await link.locator("span").bounding_box()
            assert text is not None
            assert text["width"] <= box["width"] + 0.5, await link.inner_text()


async def test_a_store_that_cannot_be_used_is_told_on_every_page(tmp_path: Path) -> None:
    home = tmp_path / "data"
    async with open_store(home) as store:
        await keep(store, "hidden000001", "Why?", verdict("hidden000001", "x"))
    with closing(sqlite3.connect(home / "orchestra.db")) as database:
        database.execute("PRAGMA user_version = 99")
    with browser.house(tmp_path, {"alpha": Expert("ok")}) as opened, entered(opened) as client:
        for path in ("/", "/consultations", "/costs", "/experts", "/providers", "/alerts", "/settings", "/ask"):
            answer = client.get(path)
            assert '<p class="alert warn" role="note">' in answer.text, path
            assert answer.text.count("has schema 99") in (1, 2), path  # in the frame, and where an error says it
        first = client.get("/")
        assert first.status_code == 200
        assert "Nothing was asked yet" not in first.text
        assert "What was asked earlier cannot be shown" in first.text


@contextmanager
def entered(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, trust_env=False, follow_redirects=True) as client:
        client.post("/login", data={"key": house.token}, headers={"origin": house.url})
        yield client


# -------------------------------------------------------------------------------------------------------- experts


def test_a_key_sees_the_records_as_in_the_api_without_what_all_calls_were(house: House) -> None:
    with entered(house) as client:
        form = {"name": "looks", "workspace": "team", "role": "viewer"}
        made = client.post("/settings/access/create-key", data=form, headers={"origin": house.url})
        secret = re.search(r"orc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", made.text)
        assert secret
        own = client.get("/experts").text
    assert 'data-label="Cost"' in own
    with httpx2.Client(base_url=house.url, trust_env=False) as other:
        other.post("/login", data={"key": secret[0]}, headers={"origin": house.url})
        answer = other.get("/experts?sort=cost")
        assert answer.status_code == 200
        assert "alpha" in answer.text
        assert not re.search(r'data-label="(Cost|Calls|Failed|Median time)"|sort=cost', answer.text)
        assert 'href="/experts"' in answer.text
        # Judging has a prior of its own, so no mark of the other stands beside it.
        assert answer.text.count('class="prior"') == answer.text.count('class="range"') - answer.text.count(
            'row">judging<'
        )


def test_the_order_of_experts_is_one_and_who_never_answers_is_last() -> None:
    seats = [
        Seat(name=name, model=name, model_id=name, provider="local", family=name, prior=prior)
        for name, prior in (("dead", 0.9), ("guess", 0.8), ("good", 0.5), ("bad", 0.5))
    ]
    marked = [Label(consultation="c", mode="debug", clusters=(("good",), ("bad",)), right=0, weight=1, at=NOW)] * 4
    found = [
        record.model_copy(update={"failed": 9} if record.model_id == "dead" else {"answered": 9, "failed": 1})
        for record in records(seats, marked, (), (), NOW)
    ]
    order = ["good", "bad", "guess", "dead"]
    assert [row.name for row in rows(found, "all", "rate")] == order
    assert [row.name for row in rows(found, "debug", "rate")] == order
    report = experts_report(found, "debug").splitlines()
    assert [line.split()[1] for line in report if line.startswith("| ") and "local" not in line][1:] == order


def test_a_record_without_figures_is_no_silent_expert() -> None:
    record = ModeRecord(mode="all", cases=1, right=1, rate=0.7, low=0.4, high=0.9)
    quiet = ExpertRecord(model_id="a", seats=("a",), prior=0.5, records=(record,))
    loud = ExpertRecord(model_id="b", seats=("b",), prior=0.9, records=(record,), failed=1, answered=1)
    assert [row.name for row in rows([loud, quiet], "all", "rate")] == ["a", "b"]


# -------------------------------------------------------------------------------------------------- words and sums


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        ("0", "$0.00"), ("0E-30", "$0.00"), ("0.01", "$0.01"), ("0.0105", "$0.0105"), ("0.00005", "$0.0001"), ("0.00001", "<$0.0001"),
        ("0.25", "$0.25"), ("0.0945", "$0.0945"), ("0.99996", "$1.00"), ("1.005", "$1.01"), ("1234.5", "$1,234.50"),
    ],
)  # fmt: skip
def test_money_is_written_alike_in_reports_and_on_pages(usd: str, said: str) -> None:
    assert dollars(Decimal(usd)) == money(Decimal(usd)) == said


def test_numbers_are_whole_up_to_a_million() -> None:
    assert [count(number) for number in (4002, 14_200, 999_949, 1_250_000)] == ["4,002", "14,200", "999,949", "1.2M"]


@pytest.mark.parametrize(
    ("models", "state"),
    [
        ([(10, 0)], "well"), ([(100, 9)], "well"), ([(100, 10)], "partly failing"), ([(100, 49)], "partly failing"), ([(2, 1)], "failing"),
        ([(10, 0), (5, 5)], "partly failing"), ([(5, 5), (0, 0)], "failing"), ([(0, 0)], "not asked yet"),
    ],
)  # fmt: skip
def test_a_provider_of_which_some_fail_does_not_do_well(models: list[tuple[int, int]], state: str) -> None:
    made = tuple(Health(name=str(at), calls=calls, failures=failed) for at, (calls, failed) in enumerate(models))
    assert Provider(name="local", models=made).state == state


def test_a_match_on_a_terminal_is_plain_text_with_marks_around_the_hits() -> None:
    summary = Summary(
        id="c1", question="a_b *c* <d>", strategy="consult", mode="debug", project="", status="complete", started=NOW
    )
    one = Found(summary=summary, snippet="\x1b]0;t\x07def \x02__init__\x03(self): **x** <script> \ue000a\ue001")
    text = found_text((one,), {}, False, "[", "]").splitlines()
    assert text[0].endswith("complete: a_b *c* <d>")
    assert text[1] == "   def [__init__](self): **x** <script> a"


def test_an_alert_is_told_as_it_was_when_it_began() -> None:
    alert = Alert(rule="outage", kind="outage", message="13 calls failed", value=13, limit=5, since=NOW)
    status = CouncilStatus(
        version="1", seats=(), can_be_added=(), spent_today_usd=Decimal(0), daily_limit_usd=Decimal(20), alerts=(alert,)
    )
    assert "when it began: 13 calls failed" in status_report(status)


def test_why_there_is_no_trace_is_told_by_what_became_of_the_council() -> None:
    said = NO_SPANS.format(id="c1", why=WHY["interrupted"].format(id="c1"))
    assert "its process ended before that was written" in said
    assert "orchestra show c1" in said
    assert "version" in OLD
