"""`orchestra cost`: sums by any dimension, what caches saved, and advice that is not surer than its numbers."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest

from orchestra_mcp.cli import arguments
from orchestra_mcp.cli.costs import as_csv, moment, paid, told, tried
from orchestra_mcp.cli.running import Usage as WrongUsage
from orchestra_mcp.cli.running import run_command
from orchestra_mcp.gateway.money.advice import Paid, Tried, advise, difference, wilson
from orchestra_mcp.settings import Settings
from orchestra_mcp.store import Store, open_store
from orchestra_mcp.store.calls import MAX_WAITING, CallLog
from orchestra_mcp.store.costs import VALUES, CostLine, CostRow, Dimension, lines, total
from orchestra_mcp.types import CallRecord, Label, Question, Usage, Verdict

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as store:
        yield store


def call(cost: str = "0", at: datetime = NOON, **more: Any) -> CallRecord:
    usage = Usage(
        **{"calls": 1, "input_tokens": 100, "output_tokens": 10, "cost_usd": Decimal(cost), **more.pop("usage", {})}
    )
    return CallRecord(**{"run": "", "purpose": "chat", "model": "m", "provider": "p", "usage": usage, "at": at, **more})


async def by(store: Store, dimension: Dimension, since: datetime = LONG_AGO) -> dict[str, CostLine]:
    return {line.value: line for line in lines(await store.costs(dimension, since))}


# ------------------------------------------------------------------------------------------------ records


async def test_calls_of_no_consultation_are_kept_and_counted_in_the_days_spending(store: Store) -> None:
    for number in range(700):  # more than one transaction takes
        store.note(call("0.000002", key="ci" if number % 2 else ""))
    found = await by(store, "key")
    assert {key: line.attempts for key, line in found.items()} == {"ci": 350, "": 350}
    assert await store.spent_since(NOON) == Decimal("0.0014")


async def test_closing_writes_what_is_pending(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        store.note(call("0.5"))
    async with open_store(tmp_path) as store:
        assert await store.spent_since(LONG_AGO) == Decimal("0.5")


async def test_records_beyond_what_fits_are_dropped_and_counted() -> None:
    async def write(_: Any) -> None:
        raise AssertionError

    log = CallLog(write)
    for _ in range(MAX_WAITING + 3):
        log.note(call())
    assert log.dropped == 3
    with pytest.raises(AssertionError):
        await log.flush()
    assert log.dropped == 3, "what could not be written waits"
    assert log._timer is not None
    log._timer.cancel()


async def test_a_record_may_name_a_consultation_that_the_store_does_not_know(store: Store) -> None:
    await store.begin("known", Question(text="?", project="/src/shop"), "known")
    store.note(call("0.1", run="known"))
    store.note(call("0.2", run="unknown"))
    found = await by(store, "project")
    assert {value: line.cost_usd for value, line in found.items()} == {
        "/src/shop": Decimal("0.1"), "": Decimal("0.2"),
    }  # fmt: skip
    assert [record.usage.cost_usd for record in (await store.get("known")).calls] == [Decimal("0.1")]


# ------------------------------------------------------------------------------------------------ sums


async def test_every_dimension_sums_the_same_calls(store: Store) -> None:
    for record in (
        call("0.01", key="a", workspace="w", tier="gold", route="fast", use_case="code", model_id="m-1"),
        call("0.02", key="a", error="server"),
        call("0.03", model="n", provider="q", purpose="opinion", cache="miss"),
        call(model="n", provider="q", cache="hit", at=NOON - timedelta(days=1)),
        call(error="cancelled", usage={"unpriced": 1}),
    ):
        store.note(record)
    for dimension in get_args(Dimension):
        found = lines(await store.costs(dimension, LONG_AGO))
        assert total(found).cost_usd == Decimal("0.06")
        assert total(found).attempts == 5
    assert {line.value for line in (await by(store, "day")).values()} == {"2026-11-20", "2026-11-21"}
    assert set(await by(store, "hour")) == {"2026-11-20 12:00", "2026-11-21 12:00"}
    assert set(await by(store, "month")) == {"2026-11"}
    assert set(await by(store, "use_case")) == {"code", ""}
    model = await by(store, "model")
    assert (model["m"].errors, model["m"].answered, model["m"].unpriced) == (1, 1, 1), "cancelled is no error"
    assert (model["n"].cached, model["n"].cache_saved_usd) == (1, Decimal("0.03")), "what its one paid answer cost"
    assert total(lines(await store.costs("model", NOON))).attempts == 4
    assert total(lines(await store.costs("model", LONG_AGO, NOON))).attempts == 1


async def test_a_councils_calls_are_counted_by_the_mode_that_was_chosen(store: Store) -> None:
    for id, mode in (("one", "auto"), ("two", "security")):
        await store.begin(id, Question(text="?", mode=mode), id)  # type: ignore[arg-type]
        await store.add(id, call("0.1", run=id, purpose="opinion"))
    await store.finish(
        "one", "complete", Verdict(id="one", question="?", headline="", answer="", confidence=0.5, mode="debug")
    )
    assert {value: line.cost_usd for value, line in (await by(store, "use_case")).items()} == {
        "debug": Decimal("0.1"), "security": Decimal("0.1"),
    }  # fmt: skip


def test_what_vendors_caches_saved_is_told_where_the_price_is_known() -> None:
    row = CostRow(value="x", provider="p", model="m", cache_read_tokens=2_000_000)
    assert lines([row], lambda _: Decimal("2.7"))[0].discount_usd == Decimal("5.4")
    assert lines([row])[0].discount_usd == 0


def test_the_parsers_dimensions_are_those_of_the_store() -> None:
    assert arguments.DIMENSIONS == get_args(Dimension) == tuple(VALUES)


# ------------------------------------------------------------------------------------------------ advice


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857–872, table I: 81 of 263 and 15 of 148, two-sided 95 %
    for right, known, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        found = wilson(right, known, z=1.959964)
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)


def test_newcombes_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 873–890, table II, method 10: 56/70 − 48/80, 9/10 − 3/10, 10/10 − 0/20
    for first, second, low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ):
        found = difference(wilson(*first, z=1.959964), wilson(*second, z=1.959964))
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)


def test_a_cheaper_model_is_named_with_what_is_known_of_it() -> None:
    bought = [Paid("debug", "dear", 100, Decimal(10)), Paid("debug", "cheap", 50, Decimal(1))]
    assert advise(bought, [])[0].verdict == "not enough outcomes"
    assert advise(bought, [Tried("debug", "dear", 30, 40), Tried("debug", "cheap", 15, 19)])[0].verdict == (
        "not enough outcomes"
    )
    [unsure] = advise(bought, [Tried("debug", "dear", 30, 40), Tried("debug", "cheap", 30, 40)])
    assert unsure.verdict == "not told apart", "40 outcomes each leave room for 15 points"
    [good] = advise(bought, [Tried("debug", "dear", 300, 400), Tried("debug", "cheap", 300, 400)])
    assert good.verdict == "as good"
    assert (good.dear_usd, good.cheap_usd, good.saves_usd) == (Decimal("0.1"), Decimal("0.02"), Decimal(8))
    assert advise(bought, [Tried("debug", "dear", 380, 400), Tried("debug", "cheap", 200, 400)]) == (), (
        "known to be worse"
    )
    assert advise([bought[0]], []) == ()
    assert advise([bought[0], Paid("debug", "other", 10, Decimal("0.9"))], []) == (), "hardly cheaper"
    assert advise([bought[0], Paid("testing", "cheap", 50, Decimal(1))], []) == (), "another kind of question"


def test_advice_says_what_it_does_not_know() -> None:
    bought = [Paid("debug", "dear", 100, Decimal(10)), Paid("debug", "cheap", 50, Decimal(1))]
    text = told(advise(bought, [Tried("debug", "dear", 3, 4)])[0])
    assert "cheap in place of dear costs $0.02 an answer against $0.10, $8.00 less" in text
    assert "not enough outcomes" in text
    assert "right in 0 of 0 against 3 of 4" in text
    text = told(advise(bought, [Tried("debug", "dear", 30, 40), Tried("debug", "cheap", 28, 40)])[0])
    assert "-5 points (90 % interval" in text
    assert "too few outcomes to rule out that it is worse" in text


def test_outcomes_and_costs_meet_under_one_name() -> None:
    label = Label(consultation="c", mode="debug", clusters=(("anthropic/claude-opus-5.5",), ("gpt-6",)), right=0)
    assert set(tried([label])) == {Tried("debug", "claude-opus-5-5", 1.0, 1.0), Tried("debug", "gpt-6", 0.0, 0.5)}
    rows = [
        CostRow(value="debug", model="opus", model_id="claude-opus-5-5", paid=4, paid_usd=Decimal(2)),
        CostRow(value="debug", model="router", model_id="anthropic/claude-opus-5.5", paid=1, paid_usd=Decimal(1)),
        CostRow(value="debug", model="x", paid=1, unpriced=1),
    ]
    assert paid(rows, Settings()) == [Paid("debug", "claude-opus-5-5", 5, Decimal(3))]


# ------------------------------------------------------------------------------------------------ the command


async def test_the_report_names_a_cheaper_model_and_how_much_is_known_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    monkeypatch.setenv("ORCHESTRA_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    async with open_store(tmp_path) as store:
        for number in range(25):
            id = f"c{number}"
            await store.begin(id, Question(text="?", mode="debug"), id)
            now = datetime.now(UTC)
            await store.add(
                id,
                call("0.10", at=now, run=id, purpose="opinion", model="dear", model_id="big-1"),
                call("0.01", at=now, run=id, purpose="opinion", model="cheap", model_id="small-1"),
            )
            label = Label(consultation=id, mode="debug", clusters=(("big-1", "small-1"),))
            await store.mark(label, "worked", 1)
    done = await anyio.run_process([sys.executable, "-m", "orchestra_mcp", "cost"], cwd=Path(__file__).parent.parent)
    printed = done.stdout.decode()
    assert "debug: small-1 in place of big-1 costs $0.01 an answer against $0.10, $2.25 less" in printed
    assert "right in 25 of 25 against 25 of 25: +0 points (90 % interval -10 to +10)" in printed


def test_times_are_spans_or_dates() -> None:
    assert moment("12h", NOON) == NOON - timedelta(hours=12)
    assert moment("2w", NOON) == NOON - timedelta(days=14)
    assert moment("2026-11-01", NOON) == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(WrongUsage, match="yesterday"):
        moment("yesterday", NOON)


def test_a_name_that_looks_like_a_formula_is_defused() -> None:
    found = list(
        csv.reader(as_csv("key", [CostLine(value="=1+1", cost_usd=Decimal("0.5")), CostLine(value="a,b")]).splitlines())
    )
    assert found[0][0] == "key"
    assert [row[0] for row in found[1:]] == ["'=1+1", "a,b"]
    assert found[1][found[0].index("cost_usd")] == "0.5"


def test_the_command_prints_a_table_a_document_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import anyio

    monkeypatch.setenv("ORCHESTRA_HOME", str(tmp_path))
    monkeypatch.setenv("ORCHESTRA_CONFIG", "")

    async def fill() -> None:
        async with open_store(tmp_path) as store:
            store.note(call("0.25", at=datetime.now(UTC), model="opus", key="ci"))
            store.note(call(at=datetime.now(UTC), model="opus", error="timeout", usage={"unpriced": 1}))

    assert run_command(["cost", "--by", "key"]) == 0
    assert "No call was made" in capsys.readouterr().out
    anyio.run(fill)
    assert run_command(["cost", "--by", "key"]) == 0
    printed = capsys.readouterr().out
    assert "| ci | 1 |  |  | 100 | 10 | $0.25 | 100% |" in printed
    assert "| (none) | 1 | 1 |" in printed
    assert "Calls without a known price, which are not in the cost: 1" in printed
    assert "genai-prices" in printed
    assert run_command(["cost", "--by", "model", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["lines"][0]["value"], document["total"]["cost_usd"]) == ("opus", "0.25")
    assert document["recommendations"] == []
    assert run_command(["cost", "--by", "day", "--csv"]) == 0
    assert capsys.readouterr().out.startswith("day,attempts,answered")
    assert run_command(["cost", "--since", "1h", "--until", "2h"]) == 2
