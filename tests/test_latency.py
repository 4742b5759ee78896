"""Percentiles of how long calls took: exact, by every dimension, through the store, the command and the API."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from doors import serving
from scripting import expert
from upstream import Expert

from orchestra_mcp.cli.running import run_command
from orchestra_mcp.store import Store, open_store
from orchestra_mcp.store.costs import Dimension
from orchestra_mcp.types import CallRecord, Latency, Question, Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as store:
        yield store


def call(seconds: float, **more: Any) -> CallRecord:
    known = {"run": "", "purpose": "chat", "model": "m", "provider": "p", "usage": Usage(calls=1), "at": NOON}
    return CallRecord(**{**known, "seconds": seconds, **more})


async def by(store: Store, dimension: Dimension, since: datetime = LONG_AGO) -> dict[str, Latency]:
    return {line.value: line for line in await store.latency(dimension, since)}


async def test_percentiles_are_the_nearest_rank(store: Store) -> None:
    # The worked example of the nearest-rank method (en.wikipedia.org/wiki/Percentile): 15, 20, 35, 40, 50, whose
    # 50th percentile is 35 and whose 95th and 99th are the largest value.
    for seconds in (35, 15, 50, 20, 40):
        store.note(call(seconds))
    [line] = await store.latency("model", LONG_AGO)
    assert line == Latency(value="m", calls=5, p50_s=35, p95_s=50, p99_s=50)


async def test_of_a_hundred_each_percentile_is_the_value_of_its_number(store: Store) -> None:
    numbers = list(range(1, 101))
    random.Random(7).shuffle(numbers)
    for number in numbers:
        store.note(call(number, first_token_s=number / 100))
    [line] = await store.latency("provider", LONG_AGO)
    assert (line.p50_s, line.p95_s, line.p99_s) == (50, 95, 99)
    assert (line.first_p50_s, line.first_p95_s) == (0.50, 0.95)


@pytest.mark.parametrize("scale", [1e-5, 0.013, 0.5, 7.0, 90.0, 40_000.0])
async def test_they_are_exact_at_every_scale(store: Store, scale: float) -> None:
    dice = random.Random(scale)
    times = [dice.lognormvariate(0, 2) * scale for _ in range(397)]
    for seconds in times:
        store.note(call(seconds, first_token_s=seconds / 3))
    [line] = await store.latency("model", LONG_AGO)
    times.sort()  # ranks: 397 × 0.5 = 198.5, × 0.95 = 377.15, × 0.99 = 393.03; rounded up, counted from 1
    assert (line.p50_s, line.p95_s, line.p99_s) == (times[198], times[377], times[393])
    assert (line.first_p50_s, line.first_p95_s) == (times[198] / 3, times[377] / 3)


async def test_only_answers_of_models_count(store: Store) -> None:
    store.note(call(1.0))
    for more in ({"error": "timeout"}, {"error": "cancelled"}, {"cache": "hit"}, {"cache": "shared"}):
        store.note(call(100.0, **more))
    store.note(call(2.0, cache="miss"))
    store.note(call(3.0, at=NOON - timedelta(days=1)))
    found = await by(store, "model", NOON)
    assert (found["m"].calls, found["m"].p99_s) == (2, 2.0)
    assert (await store.latency("model", LONG_AGO, NOON))[0].p50_s == 3.0
    assert await store.latency("model", NOON + timedelta(days=1)) == ()


async def test_every_dimension_tells_the_same_calls_apart(store: Store) -> None:
    await store.begin("one", Question(text="?", mode="security", project="/src/shop"), "one")
    store.note(call(1, run="one", provider="q"))
    store.note(call(2, model="n", model_id="n-1", key="k", workspace="w", tier="gold", route="fast", use_case="code"))
    store.note(call(3, at=NOON - timedelta(hours=1)))
    for dimension in get_args(Dimension):
        found = await store.latency(dimension, LONG_AGO)
        assert sum(line.calls for line in found) == 3, dimension
    assert {value: line.p50_s for value, line in (await by(store, "use_case")).items()} == {
        "security": 1, "code": 2, "": 3,
    }  # fmt: skip
    assert (await by(store, "project"))["/src/shop"].calls == 1
    assert (await by(store, "workspace"))["w"].p99_s == 2
    assert [line.value for line in await store.latency("hour", LONG_AGO)] == ["2026-11-21 11:00", "2026-11-21 12:00"]
    assert [line.value for line in await store.latency("model", LONG_AGO)] == ["m", "n"], "most calls first"


async def test_a_scan_of_many_calls_holds_no_writer_up(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.costs("model", LONG_AGO)
        fill(tmp_path / "orchestra.db", 100_000)
        waits: list[float] = []
        stop = threading.Event()

        def write() -> None:
            other = sqlite3.connect(tmp_path / "orchestra.db", timeout=10, isolation_level=None)
            while not stop.is_set():
                begun = time.perf_counter()
                other.execute(
                    "INSERT INTO turns (name, at) VALUES ('x', 1) ON CONFLICT (name) DO UPDATE SET at = at + 1"
                )
                waits.append(time.perf_counter() - begun)
            other.close()

        writer = threading.Thread(target=write)
        writer.start()
        begun = time.perf_counter()
        [line] = await store.latency("provider", LONG_AGO)
        took = time.perf_counter() - begun
        stop.set()
        writer.join()
        assert line.calls == 100_000
        assert len(waits) > 3, f"it wrote on while the scan took {took:.2f} s"


def fill(database: Path, count: int) -> None:
    dice = random.Random(3)
    rows = ((1_700_000_000_000_000 + n, f"m{n % 20}", dice.lognormvariate(1, 1)) for n in range(count))
    other = sqlite3.connect(database)
    other.executemany(
        "INSERT INTO calls (at, provider, model, purpose, attempt, error, seconds, calls, input_tokens,"
        " cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_micro_usd, unpriced)"
        " VALUES (?, 'p', ?, 'chat', 1, '', ?, 1, 0, 0, 0, 0, 0, 0, 0)",
        rows,
    )
    other.commit()
    other.close()


# ------------------------------------------------------------------------------------------------ doors


async def kept(home: Path) -> None:
    async with open_store(home) as store:
        for seconds in (35, 15, 50, 20, 40):
            store.note(call(seconds, at=datetime.now(UTC), usage=Usage(cost_usd=Decimal(1)), model="s|l"))


def test_the_command_shows_a_table_or_json(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    anyio.run(kept, Path(environ["ORCHESTRA_HOME"]))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert run_command(["latency", "--by", "model", "--since", "1h", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by"] == "model"
    assert [(line["value"], line["calls"], line["p50_s"], line["p95_s"]) for line in found["lines"]] == [
        ("s|l", 5, 35, 50)
    ]
    assert run_command(["latency"]) == 0
    assert "35.00" in capsys.readouterr().out
    assert run_command(["latency", "--since", "2030-01-01"]) == 2


def test_the_dashboard_for_grafana_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["grafana"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Orchestra"


def test_the_api_has_them_for_the_owner(tmp_path: Path) -> None:
    with serving(tmp_path, {"alpha": Expert(expert("x"))}, "--admin") as door:
        asked = {"model": "alpha", "messages": [{"role": "user", "content": "why?"}]}
        assert door.post("/v1/chat/completions", asked).status_code == 200
        found = door.get("/api/latency?by=model&hours=1").json()
        assert [(line["value"], line["calls"]) for line in found["lines"]] == [("alpha", 1)]
        assert found["lines"][0]["p50_s"] > 0
        assert door.get("/api/latency?by=nonsense").status_code == 400
        assert door.get("/api/latency?hours=0").status_code == 400
        assert door.get("/api/latency", door.new_key("team", "boss", role="admin")).status_code == 403
