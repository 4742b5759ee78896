"""Track records: what they say, how sure they are, and that outcomes move what comes after them, through every door."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from doors import Door, serving
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.app.outcomes.experts import records
from orchestra_mcp.council.labels import label_of
from orchestra_mcp.council.scales.experience import learn
from orchestra_mcp.council.scales.intervals import below, credible, quantile
from orchestra_mcp.gateway.provider import ChatRequest, Message, Receipt
from orchestra_mcp.report import experts_report
from orchestra_mcp.store import open_store
from orchestra_mcp.store.costs import CostRow
from orchestra_mcp.types import (
    Alert,
    ExpertRecord,
    Label,
    Latency,
    OutcomeName,
    OutcomeSource,
    Question,
    Seat,
    Verdict,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def seat(name: str, prior: float = 0.6, **more: Any) -> Seat:
    return Seat(name=name, model=name, model_id=f"model-{name}", prior=prior, **more)


def label(*clusters: str, right: int | None = 0, wrong: tuple[int, ...] = (), **more: Any) -> Label:
    told = tuple(tuple(f"model-{name}" for name in cluster.split()) for cluster in clusters)
    given: dict[str, Any] = {"mode": "debug", "evidence": "exact", "at": NOW, **more}
    return Label(consultation="c", clusters=told, right=right, wrong=wrong, **given)


# ------------------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(("x", "a", "b"), [(0.3, 2, 3), (0.8, 4, 2), (0.5, 7, 7), (0.01, 1, 9), (0.97, 30, 5)])
def test_the_beta_distribution_of_whole_counts_is_a_binomial_tail(x: float, a: int, b: int) -> None:
    # NIST Digital Library of Mathematical Functions, 8.17.5.
    n = a + b - 1
    tail = math.fsum(math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1))
    assert below(x, a, b) == pytest.approx(tail, rel=1e-11)


@pytest.mark.parametrize("share", [0.025, 0.2, 0.5, 0.975])
def test_quantiles_are_those_that_can_be_solved_by_hand(share: float) -> None:
    assert quantile(share, 1, 1) == pytest.approx(share)
    assert quantile(share, 5, 1) == pytest.approx(share**0.2)  # below x lies x⁵
    assert quantile(share, 1, 2) == pytest.approx(1 - math.sqrt(1 - share))  # 1 − (1 − x)²
    assert quantile(share, 0.5, 0.5) == pytest.approx(math.sin(math.pi * share / 2) ** 2)  # the arcsine law


def test_an_interval_holds_its_mean_and_shrinks_with_cases() -> None:
    wide, narrow = credible(0, 0, 0.6, 10), credible(60, 40, 0.6, 10)
    assert wide[0] < narrow[0] < 0.6 < narrow[1] < wide[1]


# ------------------------------------------------------------------------------------------------------ the records


def of(found: tuple[ExpertRecord, ...], id: str) -> ExpertRecord:
    return next(record for record in found if record.model_id == id)


def test_an_expert_without_cases_has_its_prior_and_says_so() -> None:
    [record] = records([seat("a", 0.65)], (), (), (), NOW)
    [overall] = record.records
    assert (overall.mode, overall.cases, overall.right) == ("all", 0, 0)
    assert overall.rate == pytest.approx(0.65)
    assert (overall.low, overall.high) == pytest.approx(credible(0, 0, 0.65, 10))
    assert "none: prior only" in experts_report((record,))
    assert "No expert is seated" in experts_report(())


def test_rates_are_those_of_a_prior_worth_ten_cases_over_all_modes_and_in_each() -> None:
    made = [label("a", "b")] * 6 + [label("b", "a", mode="security")] * 4
    record = of(records([seat("a"), seat("b")], made, (), (), NOW), "model-a")
    assert [(r.mode, r.cases, r.right) for r in record.records] == [("all", 10, 6), ("debug", 6, 6), ("security", 4, 0)]
    hand = [(10 * 0.6 + 6) / (10 + 10), (10 * 0.6 + 6) / (10 + 6), (10 * 0.6 + 0) / (10 + 4)]
    assert [r.rate for r in record.records] == pytest.approx(hand)
    assert all(r.low < r.rate < r.high for r in record.records)


@pytest.mark.parametrize(("source", "worth"), [("user", 1.0), ("verify", 1.0), ("commit", 0.5)])
def test_a_commit_counts_half_of_what_the_user_or_the_tests_say(source: OutcomeSource, worth: float) -> None:
    record = of(records([seat("a")], [label("a", "b", source=source)], (), (), NOW), "model-a")
    assert (record.records[0].cases, record.records[0].right) == (worth, worth)
    skill = learn([seat("a")], [label("a", "b", source=source)], (), "auto", "", NOW).skill["a"]
    assert skill == pytest.approx((10 * 0.6 + worth) / (10 + worth))


def test_commits_only_tell_of_successes_and_do_not_move_the_confidence() -> None:
    many = [label("a", "b", source="commit")] * 100
    assert learn([seat("a"), seat("b")], many, (), "debug", "", NOW).coefficients == {}
    assert learn([seat("a"), seat("b")], [label("a", "b")] * 100, (), "debug", "", NOW).coefficients != {}


def test_judges_residents_and_models_that_sit_no_more_are_listed_in_their_places() -> None:
    made = [
        label("a", "b").model_copy(
            update={
                "clusters": (("model-a", "walker"), ("old-model",)),
                "rankings": (("model-a", (1, 0)), ("j", (0, 1))),
            }
        )
    ]
    found = records([seat("a", 0.5), seat("z", 0.9)], made, (), (), NOW)
    assert [record.model_id for record in found] == ["model-a", "model-z", "old-model", "j", "walker"]
    assert of(found, "walker").provider == "resident"
    assert (of(found, "old-model").seats, of(found, "model-a").seats) == ((), ("a",))
    judged = {record.model_id: record.records[-1] for record in found if record.records[-1].mode == "judging"}
    assert {id: (record.cases, record.right) for id, record in judged.items()} == {"model-a": (1, 0), "j": (1, 1)}
    assert "judging" in experts_report(found)
    assert "not seated now" in experts_report(found)


def test_calls_costs_and_times_are_those_of_the_model_under_any_spelling() -> None:
    spent = [
        CostRow(value="vendor/model-a", model="x", answered=3, errors=1, cost_usd=Decimal("0.5")),
        CostRow(value="", model="a", answered=1, cost_usd=Decimal("0.25")),  # an older record, without the vendor's id
        CostRow(value="model-c", model="c", answered=9),
    ]
    paces = [Latency(value="model-a", calls=2, p50_s=2.0, p95_s=3, p99_s=4), Latency(value="vendor/model-a", calls=9, p50_s=1.5, p95_s=3, p99_s=4)]  # fmt: skip
    [record] = records([seat("a")], (), spent, paces, NOW)
    assert (record.answered, record.failed, record.cost_usd, record.p50_s) == (4, 1, Decimal("0.75"), 1.5)


def test_the_report_of_one_mode_puts_those_first_who_are_right_there() -> None:
    made = [label("a", "b")] * 20 + [label("b", "a", mode="security")] * 20
    found = records([seat("a"), seat("b"), seat("c", 0.3)], made, (), (), NOW)
    shown = experts_report(found, "security").splitlines()
    rows = [line for line in shown if line.startswith("| model-")]
    assert [row.split()[1] for row in rows] == ["model-b", "model-a", "model-c"]
    assert "20 of 20" in rows[0]
    assert "prior only" in rows[2], "of whom nothing is known stands last"


# -------------------------------------------------------------------------------------------- two councils and a mark


@asynccontextmanager
async def council(experts: Mapping[str, Expert], environ: dict[str, str], tmp_path: Path) -> AsyncIterator[Orchestra]:
    with Upstream(dict(experts)) as upstream:
        file = tmp_path / "orchestra.toml"
        file.write_text(f"discover = false\n{upstream.models_toml()}{MORE}")
        async with Orchestra.open({**environ, "ORCHESTRA_CONFIG": str(file)}) as orchestra:
            yield orchestra


MORE = '\n[routes.best]\nstrategy = "quality"\ntargets = ["ada", "bob"]\n'
SAYS = {"ada": "the slice drops the last line", "bob": "the file is opened twice"}


def disagreeing() -> dict[str, Expert]:
    return {name: Expert(expert(said)) for name, said in SAYS.items()}


def rank_of(verdict: Verdict, name: str) -> int:
    return next(solution.rank for solution in verdict.solutions if name in solution.seats)


@pytest.mark.parametrize("better", ["ada", "bob"])
async def test_a_mark_moves_records_weights_and_the_order_of_the_next_council(
    better: str, environ: dict[str, str], tmp_path: Path
) -> None:
    async with council(disagreeing(), environ, tmp_path) as orchestra:
        before = {record.seats[0]: record.records[0] for record in await orchestra.experts()}
        assert {record.cases for record in before.values()} == {0}
        first = await orchestra.ask(Question(text="Why is the last line lost?"))
        silent = {record.seats[0]: record.records[0] for record in await orchestra.experts() if record.seats}
        assert silent == before  # nothing is learned from silence
        await orchestra.mark(first.id, rank_of(first, better), "worked")
        after = {record.seats[0]: record for record in await orchestra.experts() if record.seats}
        second = await orchestra.ask(Question(text="Why is the last row lost?"))
    worse = "bob" if better == "ada" else "ada"
    assert after[better].records[0].rate > before[better].rate
    assert after[worse].records[0].rate < before[worse].rate
    assert after[better].records[0].right == pytest.approx(1, abs=1e-3)
    assert after[better].answered >= 1
    assert after[better].p50_s is not None
    assert second.solutions[0].seats == (better,)


async def test_marks_move_the_confidence_in_the_same_answer(environ: dict[str, str], tmp_path: Path) -> None:
    async with council(disagreeing(), environ, tmp_path) as orchestra:
        first = await orchestra.ask(Question(text="Why is the last line lost?"))
    await keep(environ, first, 40, ((1, "wrong"), (2, "wrong")))
    async with council(disagreeing(), environ, tmp_path) as orchestra:
        second = await orchestra.ask(Question(text="Why is the last row lost?"))
    # The same disagreement, of which by now it is known that neither side tends to be right.
    assert second.agreement.evidence == first.agreement.evidence
    assert second.confidence < first.confidence


async def test_marks_decide_which_model_a_route_of_quality_takes_after_a_restart(
    environ: dict[str, str], tmp_path: Path
) -> None:
    for better in ("ada", "bob"):
        home = {**environ, "ORCHESTRA_HOME": str(tmp_path / better)}
        async with council(disagreeing(), home, tmp_path) as orchestra:
            first = await orchestra.ask(Question(text="Why is the last line lost?"))
        await keep(home, first, 5, ((rank_of(first, better), "worked"),))
        async with council(disagreeing(), home, tmp_path) as orchestra:
            gateway = await orchestra.gateway()
            receipt = Receipt()
            said = (Message(role="user", text="Why?"),)
            request = ChatRequest(model="best", messages=said, use_case=first.mode, receipt=receipt)
            assert [event async for event in gateway.chat(request)]
            assert receipt.model == better


async def keep(environ: dict[str, str], like: Verdict, count: int, marks: tuple[tuple[int, OutcomeName], ...]) -> None:
    """Store consultations like one that there was, with what became of them."""
    async with open_store(Path(environ["ORCHESTRA_HOME"])) as store:
        heard = (await store.get(like.id)).opinions
        for number in range(count):
            id = f"like{number}"
            await store.begin(id, Question(text="Why?"), id)
            await store.add(id, *heard)
            await store.finish(id, "complete", like.model_copy(update={"id": id}))
            kept = await store.get(id)
            for rank, outcome in marks:
                await store.mark(label_of(kept, ((rank, outcome),)), outcome, rank)


# ---------------------------------------------------------------------------------------------------------- the doors


def run(repo: Path, environ: dict[str, str], *args: str) -> str:
    command = [str(Path(sys.executable).parent / "orchestra"), *args]
    done = subprocess.run(command, cwd=repo, env=environ, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_prints_records_as_a_table_and_as_json(repo: Path, environ: dict[str, str], tmp_path: Path) -> None:
    with Upstream(disagreeing()) as upstream:
        file = tmp_path / "orchestra.toml"
        file.write_text(f"discover = false\n{upstream.models_toml()}")
        environ = {**environ, "ORCHESTRA_CONFIG": str(file)}
        run(repo, environ, "ask", "Why is the last line lost?", "--mode", "debug", "--yes")
        assert "none: prior only" in run(repo, environ, "experts")
        run(repo, environ, "outcome", "worked")
        found = [ExpertRecord.model_validate(one) for one in json.loads(run(repo, environ, "experts", "--json"))]
        in_mode = json.loads(run(repo, environ, "experts", "--mode", "security", "--json"))
    assert {record.records[0].mode for record in found} == {"all"}
    assert {mode.mode for record in found for mode in record.records} >= {"all", "debug"}
    assert {mode["mode"] for record in in_mode for mode in record["records"]} == {"all"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with serving(tmp_path_factory.mktemp("home"), disagreeing(), "--admin") as opened:
        yield opened


def test_the_api_gives_records_to_all_and_costs_to_the_owner(door: Door) -> None:
    asked = door.post("/api/consultations", {"question": "Why is the last line lost?", "wait_s": 30}).json()
    marked = door.post(f"/api/consultations/{asked['id']}/outcome", {"solution": 1, "outcome": "worked"})
    assert marked.status_code == 200, marked.text
    found = [ExpertRecord.model_validate(one) for one in door.get("/api/experts").json()["experts"]]
    member = door.new_key("team", "member")
    seen = [ExpertRecord.model_validate(one) for one in door.get("/api/experts", member).json()["experts"]]
    assert any(record.records[0].right > 0.99 for record in found)
    assert sum(record.answered for record in found) > 0
    assert [[mode.mode for mode in record.records] for record in seen] == [
        [mode.mode for mode in record.records] for record in found
    ]
    assert sum(record.answered for record in seen) == 0
    assert door.get("/api/experts", "wrong").status_code == 401


def test_an_old_mark_counts_less_than_a_new_one() -> None:
    year = label("a", "b", at=NOW - timedelta(weeks=52))
    record = of(records([seat("a")], [year], (), (), NOW), "model-a")
    assert record.records[0].cases == pytest.approx(0.98**52)


async def test_an_expert_that_does_not_answer_lately_opens_for_nobody_who_has_another(
    repo: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    said = {"ada": Expert(expert("it slices")), "bob": Expert(expert("it slices")), "eve": Expert(expert("it slices"))}
    with Upstream(said) as upstream:
        file = tmp_path / "orchestra.toml"
        file.write_text(f"discover = false\n{upstream.models_toml()}")
        async with Orchestra.open({**environ, "ORCHESTRA_CONFIG": str(file)}) as orchestra:
            question = Question(text="Why does read_lines lose a line?", project=str(repo))
            before = await orchestra.plan(question)
            out = before.openers[0].name
            async with open_store(Path(environ["ORCHESTRA_HOME"])) as store:
                alert = Alert(
                    rule="outage", kind="outage", subject=out, message="out", value=5, limit=5, since=datetime.now(UTC)
                )
                assert await store.alerts.fire(alert)
            after = await orchestra.plan(question)
            named = await orchestra.plan(question.model_copy(update={"experts": (out,)}))
    assert out not in [seat.name for seat in after.openers]
    assert after.reserve[-1].name == out
    assert out in after.why
    assert [seat.name for seat in named.openers] == [out]
