"""The contract of every store, and what is special about the one on SQLite."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from orchestra_mcp.errors import NotFound, StoreError
from orchestra_mcp.store import Store, open_store, rows
from orchestra_mcp.store.access import open_access
from orchestra_mcp.store.locks import OwnerLock, WriterLock, pid_alive
from orchestra_mcp.store.migrations import LATEST, statements
from orchestra_mcp.types import (
    Absence,
    Ballot,
    CallRecord,
    Consultation,
    Dossier,
    Entry,
    Excerpt,
    Grounds,
    Label,
    Opinion,
    Question,
    Solution,
    Status,
    Usage,
    Verdict,
    Watched,
)

Opener = Callable[[Path], AbstractAsyncContextManager[Store]]

# Every back end passes the same suite. Add a store here.
BACKENDS: dict[str, Opener] = {"sqlite": open_store}

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(params=BACKENDS)
def opener(request: pytest.FixtureRequest) -> Opener:
    return BACKENDS[request.param]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def store(opener: Opener, home: Path) -> AsyncIterator[Store]:
    async with opener(home) as store:
        yield store


def opinion(seat: str = "ada", answer: str = "Cut it off.") -> Opinion:
    return Opinion(seat=seat, position="The last line is empty", answer=answer)


def verdict(id: str, answer: str = "Cut it off.", position: str = "The last line is empty") -> Verdict:
    solution = Solution(rank=1, position=position, answer=answer, score=1, probability=0.7, seats=("ada",))
    return Verdict(
        id=id, question="Why?", headline="All answered.", answer=answer, solutions=(solution,), confidence=0.7
    )


def call(id: str, cost: str, at: datetime = LONG_AGO) -> CallRecord:
    usage = Usage(calls=1, input_tokens=10, output_tokens=5, cost_usd=Decimal(cost))
    return CallRecord(run=id, purpose="opinion", model="m", provider="p", usage=usage, at=at)


async def whole(store: Store, id: str, *entries: Entry, question: Question | None = None, thread: str = "") -> None:
    """Begin, fill and finish a consultation."""
    await store.begin(id, question or Question(text=f"Why {id}?"), thread or id)
    await store.add(id, *entries)
    await store.finish(id, "complete", verdict(id))


# ------------------------------------------------------------------------------------------------ the contract


async def test_what_was_begun_added_and_finished_is_read_back_in_its_order(store: Store) -> None:
    question = Question(text="Why?", project="/p", max_cost_usd=Decimal("0.10"), files=("a.py",))
    excerpt = Excerpt(source="file", path="a.py", text="x = 1", tokens=3, why="named")
    absence = Absence(seat="bob", kind="timeout", reason="silent for 60 s")
    ballot = Ballot(judge="ada", shown=("ada", "eve"), ranking=("eve", "ada"))
    await store.begin("c1", question, "c1")
    await store.add("c1", Dossier(excerpts=(excerpt,), tokens=3), opinion("ada"))
    await store.add("c1", absence, opinion("eve"), call("c1", "0.000123"))
    await store.add("c1", ballot)
    await store.finish("c1", "degraded", verdict("c1"), "bob did not answer")
    found = await store.get("c1")
    assert found.question == question
    assert found.dossier == Dossier(excerpts=(excerpt,), tokens=3)
    assert [o.seat for o in found.opinions] == ["ada", "eve"]
    assert (found.absences, found.ballots) == ((absence,), (ballot,))
    assert found.calls == (call("c1", "0.000123"),)
    assert (found.status, found.verdict, found.failure) == ("degraded", verdict("c1"), "bob did not answer")
    assert found.ended is not None
    assert found.started <= found.ended


async def test_an_id_may_be_given_whole_by_its_beginning_or_as_latest(store: Store) -> None:
    for id in ("ab", "abc-1", "abd_2", "x%y"):
        await whole(store, id)
    assert (await store.get("latest")).id == "x%y"
    assert (await store.get("abc")).id == "abc-1"
    assert (await store.get("ab")).id == "ab", "a whole id wins over longer ones"
    assert (await store.get(" abd_2\n")).id == "abd_2"
    for wildcard in ("%", "abd%", "_b", "*"):
        with pytest.raises(NotFound):
            await store.get(wildcard)


async def test_an_id_that_fits_none_or_several_is_answered_with_those_that_come_closest(store: Store) -> None:
    for id in ("20260101-abcd", "20260101-abce", "20260305-ffff"):
        await whole(store, id)
    with pytest.raises(NotFound, match="20260305-ffff, 20260101-abce, 20260101-abcd"):
        await store.get("")
    with pytest.raises(NotFound, match=r"Several.*20260101-abce, 20260101-abcd\. Give more"):
        await store.get("20260101")
    with pytest.raises(NotFound, match="closest: 20260305-ffff"):
        await store.get("20260305-fffe")


async def test_an_empty_store_says_that_it_is_empty(store: Store) -> None:
    with pytest.raises(NotFound, match="no consultation"):
        await store.get("latest")
    assert await store.list() == ()
    assert await store.spent_since(LONG_AGO) == 0


async def test_a_consultation_runs_until_it_is_finished_or_its_process_has_gone(opener: Opener, home: Path) -> None:
    async with opener(home) as first, opener(home) as second:
        await first.begin("c1", Question(text="Why?"), "c1")
        for store in (first, second):
            assert (await store.get("c1")).status == "running"
            assert [s.status for s in await store.list()] == ["running"]
        await first.close()
        assert (await second.get("c1")).status == "interrupted"
        assert [s.status for s in await second.list()] == ["interrupted"]


async def test_a_beginning_that_is_missing_or_there_already_is_refused(store: Store) -> None:
    await store.begin("c1", Question(text="Why?"), "c1")
    with pytest.raises(StoreError, match="c1"):
        await store.begin("c1", Question(text="Again?"), "c1")
    for entry in (opinion(), call("c2", "1")):
        with pytest.raises(StoreError, match="c2"):
            await store.add("c2", entry)
    with pytest.raises(StoreError, match="c2"):
        await store.finish("c2", "complete", verdict("c2"))
    assert (await store.get("c1")).question.text == "Why?"
    assert await store.spent_since(LONG_AGO) == 0


async def test_an_end_without_a_verdict_does_not_take_away_the_verdict_that_is_there(store: Store) -> None:
    await whole(store, "c1")
    await store.finish("c1", "cancelled", None, "cancelled")
    assert (await store.get("c1")).status == "complete"
    await store.finish("c1", "degraded", verdict("c1", "Better."))
    assert (await store.get("c1")).verdict == verdict("c1", "Better.")


async def test_the_list_has_the_newest_first_with_cost_and_confidence_and_can_be_of_one_project(store: Store) -> None:
    for number, project in enumerate(["/p", "/q", "/p", None]):
        asked = Question(text=f"Q{number}", project=project, mode="debug")
        await whole(store, f"c{number}", call(f"c{number}", "0.25"), call(f"c{number}", "0.5"), question=asked)
    await store.begin("c4", Question(text="Q4", strategy="debate"), "c4")
    everything = await store.list()
    assert [s.id for s in everything] == ["c4", "c3", "c2", "c1", "c0"]
    assert [s.id for s in await store.list(limit=2)] == ["c4", "c3"]
    assert [s.id for s in await store.list(project="/p")] == ["c2", "c0"]
    assert (everything[0].strategy, everything[0].cost_usd, everything[0].confidence) == ("debate", Decimal(0), None)
    assert (everything[1].mode, everything[1].cost_usd, everything[1].confidence) == ("debug", Decimal("0.75"), 0.7)
    assert (everything[1].question, everything[1].project, everything[2].project) == ("Q3", "", "/p")


async def test_the_list_goes_on_before_a_given_consultation(store: Store) -> None:
    for number in range(5):
        await store.begin(f"c{number}", Question(text="Why?", project="/p" if number % 2 else None), f"c{number}")
    assert [s.id for s in await store.list(2)] == ["c4", "c3"]
    assert [s.id for s in await store.list(2, before="c3")] == ["c2", "c1"]
    assert [s.id for s in await store.list(9, "/p", before="c3")] == ["c1"]
    assert await store.list(9, before="c0") == ()


async def test_a_conversation_is_its_finished_turns_each_with_its_position_first(store: Store) -> None:
    await whole(store, "c1", question=Question(text="First?"))
    await whole(store, "other")
    await store.begin("c2", Question(text="Second?", continues="c1"), "c1")
    await store.finish("c2", "degraded", verdict("c2", "Because. " * 1000, "Position two"))
    await store.begin("failed", Question(text="Third?"), "c1")
    await store.finish("failed", "failed", None, "nobody answered")
    await store.begin("running", Question(text="Fourth?"), "c1")
    for id in ("c1", "c2", "running", "latest"):
        turns = await store.thread(id)
        assert [t.id for t in turns] == ["c1", "c2"]
        assert [t.question for t in turns] == ["First?", "Second?"]
        assert turns[0].outcome == "The last line is empty\n\nCut it off."
        assert turns[1].outcome.startswith("Position two\n\nBecause. Because.")
        assert turns[1].outcome.endswith("Because. …")
        assert 1400 < len(turns[1].outcome) <= 1500
        assert turns[0].at <= turns[1].at


async def test_spending_is_exact_and_counts_from_a_moment_on(store: Store) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    await whole(store, "c1", *(call("c1", "0.000001", noon) for _ in range(1000)))
    await whole(store, "c2", call("c2", "0.1", noon + timedelta(hours=1)), call("c2", "0.2", noon - timedelta(hours=1)))
    assert await store.spent_since(noon) == Decimal("0.101")
    assert await store.spent_since(noon + timedelta(microseconds=1)) == Decimal("0.1")
    assert await store.spent_since(noon - timedelta(days=1)) == Decimal("0.301")


async def test_less_than_a_micro_dollar_counts_as_one_so_that_spending_is_never_understated(store: Store) -> None:
    await whole(store, "c1", call("c1", "0.00000001"), call("c1", "0.0000010000001"), call("c1", "0"))
    assert [c.usage.cost_usd for c in (await store.get("c1")).calls] == [Decimal("0.000001"), Decimal("0.000002"), 0]


async def test_consent_is_kept_for_one_project_and_outlives_the_process(opener: Opener, home: Path) -> None:
    async with opener(home) as store:
        assert await store.allowed("/p") == frozenset()
        await store.allow("/p", frozenset({"openai", "google"}))
        await store.allow("/p", frozenset({"openai", "mistral"}))
    async with opener(home) as store:
        assert await store.allowed("/p") == {"openai", "google", "mistral"}
        assert await store.allowed("/q") == frozenset()


def facts(id: str, at: datetime = LONG_AGO, source: Literal["user", "verify"] = "user") -> Label:
    """A label of three solutions of which nothing is known yet."""
    return Label(
        consultation=id, at=at, mode="debug", domain="python", clusters=(("m1", "m2"), ("m3",), ("m4",)),
        evidence="cited", features=(0.5, 1.0), rankings=(("m1", (1, 0)),), source=source,
    )  # fmt: skip


async def test_the_last_word_on_a_solution_counts_and_all_marks_make_one_label(store: Store) -> None:
    await whole(store, "c1")
    days = [LONG_AGO + timedelta(days=day) for day in range(4)]
    first = await store.mark(facts("c1", days[0]), "worked", 1)
    assert first == facts("c1", days[0]).marked([(1, "worked")])
    await store.mark(facts("c1", days[1]), "wrong", 1)
    await store.mark(facts("c1", days[2]), "partly", 3)
    last = await store.mark(facts("c1", days[3]), "worked", 2)
    assert (last.right, last.wrong, last.weight, last.at) == (1, (0,), 1.0, days[3])
    assert (last.clusters, last.features, last.rankings) == (facts("c1").clusters, (0.5, 1.0), (("m1", (1, 0)),))
    assert await store.labels() == (last,)
    kept = (await store.get("c1")).labels
    assert [label.told for label in kept] == ["solution 1 was wrong", "solution 3 partly worked", "solution 2 worked"]
    assert [label.at for label in kept] == days[1:]


async def test_the_users_word_goes_before_that_of_the_verify_command(store: Store) -> None:
    await whole(store, "c1")
    later = LONG_AGO + timedelta(days=1)
    await store.mark(facts("c1"), "wrong", 1)
    await store.mark(facts("c1", later, "verify"), "worked", 1)
    label = await store.mark(facts("c1", later, "verify"), "worked", 3)
    assert (label.right, label.wrong, label.source) == (2, (0,), "user")
    await whole(store, "c2")
    assert (await store.mark(facts("c2", later, "verify"), "worked", 1)).source == "verify"


async def test_labels_come_newest_first_and_the_limit_counts_consultations(store: Store) -> None:
    for number, day in enumerate([3, 1, 2]):
        await whole(store, f"c{number}")
        for rank in (1, 2):
            await store.mark(facts(f"c{number}", LONG_AGO + timedelta(days=day, hours=rank)), "wrong", rank)
    assert [(label.consultation, label.wrong) for label in await store.labels()] == [
        ("c0", (0, 1)), ("c2", (0, 1)), ("c1", (0, 1)),
    ]  # fmt: skip
    assert [label.consultation for label in await store.labels(limit=2)] == ["c0", "c2"]
    assert await store.labels(limit=0) == ()


async def test_what_never_began_cannot_be_marked(store: Store) -> None:
    with pytest.raises(StoreError, match="c9"):
        await store.mark(facts("c9"), "worked", 1)
    assert await store.labels() == ()
    assert await store.recent_ballots() == ()


async def test_recent_ballots_are_grouped_by_consultation_newest_first(store: Store) -> None:
    def ballot(judge: str) -> Ballot:
        return Ballot(judge=judge, shown=("a", "b"), ranking=("b", "a"), model_id=f"{judge}-1")

    await whole(store, "c1", ballot("ada"), opinion(), ballot("bob"))
    await whole(store, "c2", opinion())
    await store.begin("c3", Question(text="Why?"), "c3")
    await store.add("c3", ballot("eve"))
    await whole(store, "c0", ballot("dan"))
    everything = ((ballot("dan"),), (ballot("eve"),), (ballot("ada"), ballot("bob")))
    assert await store.recent_ballots() == everything
    assert await store.recent_ballots(limit=2) == everything[:2]
    assert await store.recent_ballots(limit=0) == ()


async def test_a_write_that_is_cancelled_is_whole_or_absent_and_the_store_goes_on(store: Store) -> None:
    await store.begin("c1", Question(text="Why?"), "c1")
    for number in range(60):
        async with anyio.create_task_group() as group:
            group.start_soon(store.add, "c1", opinion(f"{number}a", "x" * 20_000), opinion(f"{number}b"))
            for _ in range(number % 6):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    await store.add("c1", opinion("last"))
    seats = [o.seat for o in (await store.get("c1")).opinions]
    assert seats.pop() == "last"
    assert [a[:-1] for a in seats[::2]] == [b[:-1] for b in seats[1::2]]
    assert {seat[-1] for seat in seats[::2]} <= {"a"}


async def test_closing_writes_what_is_pending_and_may_be_repeated(opener: Opener, home: Path) -> None:
    async with opener(home) as store:
        await store.begin("c1", Question(text="Why?"), "c1")
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(store.add, "c1", opinion(str(number)))
            await anyio.lowlevel.checkpoint()
            await store.close()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.list()
        with pytest.raises(StoreError, match="closed"):
            await store.add("c1", opinion())
    async with opener(home) as store:
        assert len((await store.get("c1")).opinions) == 30


async def test_odd_texts_and_numbers_can_be_kept(store: Store) -> None:
    """Half surrogate pairs come from file names that are not UTF-8, not-a-number from what models say of themselves."""
    odd = Opinion(seat="a\udc80", position="", answer="nul \x00 \U0001f3bb", confidence=math.inf, seconds=math.nan)
    await store.begin("c1", Question(text="Why \udcff?", project="/p\udcff"), "c1")
    await store.add("c1", odd, call("c1", "1e40"), call("c1", "2"))
    found = await store.get("latest")
    assert found.question.text == "Why ??"
    assert found.opinions[0].seat == "a?"
    assert found.opinions[0].answer == odd.answer
    assert found.opinions[0].confidence == math.inf
    assert math.isnan(found.opinions[0].seconds)
    assert await store.spent_since(LONG_AGO) > 2
    await store.finish("c1", "failed", None, "\ud800")
    assert (await store.list(project="/p\udcff"))[0].status == "failed"


# ------------------------------------------------------------------------------------- any consultation whatever

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
PRIMITIVES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(0, 2**53),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    Decimal: st.decimals(0, 10_000, places=6),
    type(None): st.none(),
    datetime: st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()).filter(
        lambda at: at == at.astimezone(UTC)
    ),
}


@cache
def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that nouns use."""
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*(anything(argument) for argument in reversed(arguments)))
    if origin is tuple:
        return st.lists(anything(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(anything(arguments[0]), anything(arguments[1]), max_size=2)
    assert issubclass(kind, BaseModel)
    return st.deferred(
        lambda: st.builds(kind, **{name: anything(field.annotation) for name, field in kind.model_fields.items()})
    )


# What a record of a call says beyond this is for those who watch, and not kept.
OF_A_CALL = {"run": "c1", "reason": "", "finish": "", "max_tokens": None, "temperature": None, "server": ""}
ENTRIES = st.lists(anything(Entry), max_size=5)
ENDS = st.sampled_from([status for status in get_args(Status) if status not in ("running", "interrupted")])


@given(anything(Question), ENTRIES, ENDS, anything(Verdict | None), TEXT)
@settings(max_examples=40, deadline=None)
async def test_any_consultation_is_read_back_as_it_was(
    question: Question, entries: list[Entry], status: Status, end: Verdict | None, failure: str
) -> None:
    entries = [e.model_copy(update=OF_A_CALL) if isinstance(e, CallRecord) else e for e in entries]
    # Earlier turns that are not in the store were forgotten, and are not kept.
    entries = [e.model_copy(update={"history": ()}) if isinstance(e, Dossier) else e for e in entries]
    for backend in BACKENDS.values():
        with tempfile.TemporaryDirectory() as home:
            async with backend(Path(home)) as store:
                await store.begin("c1", question, "c0")
                await store.add("c1", *entries[:2])
                await store.add("c1", *entries[2:])
                await store.finish("c1", status, end, failure)
                found = await store.get("latest")
        dossiers = [e for e in entries if isinstance(e, Dossier)]
        assert found == Consultation(
            id="c1",
            thread="c0",
            question=question,
            status=status,
            started=found.started,
            ended=found.ended,
            dossier=dossiers[-1] if dossiers else None,
            opinions=tuple(e for e in entries if isinstance(e, Opinion)),
            absences=tuple(e for e in entries if isinstance(e, Absence)),
            ballots=tuple(e for e in entries if isinstance(e, Ballot)),
            events=tuple(event for e in entries if isinstance(e, Watched) for event in e.events),
            spans=tuple(span for e in entries if isinstance(e, Watched) for span in e.spans),
            places=tuple(place for e in entries if isinstance(e, Grounds) for place in e.places),
            calls=tuple(e for e in entries if isinstance(e, CallRecord)),
            verdict=end,
            failure=failure,
        )


# ------------------------------------------------------------------------------------------- rows, without a database


def strewn(value: Any) -> Any:
    """The same JSON with an unknown field in every object that stands for a noun."""
    if isinstance(value, list):
        return [strewn(item) for item in value]
    if isinstance(value, dict):
        return {**{key: strewn(item) for key, item in value.items()}, "from_the_future": {"a": [1]}}
    return value


@given(st.one_of(anything(Verdict), anything(Opinion), anything(Ballot)))
@settings(max_examples=60, deadline=None)
def test_fields_that_a_newer_version_added_are_left_out_at_any_depth(noun: Verdict | Opinion | Ballot) -> None:
    if isinstance(noun, Verdict):  # a mapping is no noun: all its keys are data
        noun = noun.model_copy(update={"sent": noun.sent.model_copy(update={"redactions": {}})})
    body = strewn(from_json(rows.encode(noun)))
    if isinstance(noun, Verdict):
        body["sent"]["redactions"] = {}
    assert rows.decode(type(noun), to_json(body, inf_nan_mode="constants").decode()) == noun


def test_words_that_a_newer_version_added_fall_back_to_the_default_or_take_their_item_with_them() -> None:
    known = {"source": "file", "text": "x", "tokens": 1, "why": "named"}
    body = {"excerpts": [known, {**known, "source": "dream"}, {**known, "why": "last"}, {"source": "file"}]}
    read = rows.decode(Dossier, to_json(body).decode())
    assert [e.why for e in read.excerpts] == ["named", "last"]
    assert rows.decode(Question, '{"text": "Why?", "mode": "telepathy"}') == Question(text="Why?")


@pytest.mark.parametrize(
    "body", ['{"seat": "a"}', '{"seat": 1, "position": [], "answer": ""}', "[]", "3", '"a"', "null"]
)
def test_a_body_that_lacks_what_we_need_is_a_store_error_that_says_upgrade(body: str) -> None:
    with pytest.raises(StoreError, match="Upgrade"):
        rows.decode(Opinion, body)


@given(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False))
def test_a_cost_is_rounded_up_to_the_next_micro_dollar_and_never_by_more(cost: Decimal) -> None:
    kept = rows.dollars(rows.micros(cost)).as_integer_ratio()
    given = cost.as_integer_ratio()
    excess = (kept[0] * given[1] - given[0] * kept[1]) * 1_000_000
    assert 0 <= excess < kept[1] * given[1]


@given(st.text(alphabet="ab \n", max_size=80), st.integers(4, 60))
def test_a_shortened_text_is_never_too_long_and_begins_like_the_text(text: str, limit: int) -> None:
    short = rows.shortened(text, limit)
    assert len(short) <= limit
    assert short == text or text.startswith(short.removesuffix(" …"))


def test_a_migration_script_is_cut_into_its_statements_and_triggers_stay_whole() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM b;\n DELETE FROM c;\nEND;\n"
    assert list(statements(f"CREATE TABLE a (x);\n{trigger}")) == ["CREATE TABLE a (x);\n", trigger]


# ---------------------------------------------------------------------------------------------- SQLite in particular


@contextmanager
def raw(home: Path) -> Any:
    """The database as any other program may open it."""
    connection = sqlite3.connect(home / "orchestra.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def refusal(home: Path) -> str:
    """Why the store of a directory cannot be opened; never with an absolute path in it."""
    with pytest.raises(StoreError) as caught:
        async with open_store(home, strict=True):
            pass
    assert str(home) not in str(caught.value)
    assert "orchestra.db" in str(caught.value) or "ORCHESTRA_HOME" in str(caught.value)
    return str(caught.value)


async def test_a_newer_schema_is_refused_and_left_alone(home: Path) -> None:
    async with open_store(home) as store:
        await whole(store, "c1")
    with raw(home) as connection:
        connection.execute(f"PRAGMA user_version = {LATEST + 4}")
    why = await refusal(home)
    assert f"schema {LATEST + 4}" in why
    assert "Upgrade orchestra" in why
    assert "ORCHESTRA_HOME" in why
    with raw(home) as connection:
        assert connection.execute("SELECT id FROM consultations").fetchall() == [("c1",)]


async def test_a_file_that_is_no_database_is_refused_with_advice_and_left_alone(home: Path) -> None:
    await anyio.Path(home).mkdir()
    (home / "orchestra.db").write_bytes(b"This is a diary, not a database. " * 200)
    assert "move orchestra.db" in (await refusal(home)).lower()
    assert (home / "orchestra.db").read_bytes() == b"This is a diary, not a database. " * 200


async def test_a_page_that_is_damaged_is_a_store_error_with_advice_and_nothing_is_deleted(home: Path) -> None:
    async with open_store(home) as store:
        await whole(store, "c1", opinion(answer="x" * 50_000))
    file = home / "orchestra.db"
    size = file.stat().st_size
    connection = sqlite3.connect(file)
    pages = [page for (page,) in connection.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0")]
    connection.close()
    with file.open("r+b") as handle:  # the root of every table and index, not the pages of the header and the schema
        for page in pages:
            handle.seek(4096 * (page - 1))
            handle.write(b"\xa5" * 4096)
    async with open_store(home) as store:
        for attempt in (store.get("c1"), store.list()):
            with pytest.raises(StoreError, match=r"damaged.*Nothing was deleted"):
                await attempt
    assert file.stat().st_size == size


async def test_a_data_directory_that_cannot_be_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "home"):
        assert "cannot be written" in await refusal(home)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="modes do not bind this user (Windows, or root)"
)
async def test_a_data_directory_that_cannot_be_written_is_a_store_error(home: Path) -> None:
    await anyio.Path(home).mkdir(mode=0o500)
    assert "cannot be written" in await refusal(home)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
async def test_nobody_else_can_read_the_store_and_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    (tmp_path / "there").mkdir(mode=0o755)
    for home in (tmp_path / "there", tmp_path / "new"):
        async with open_store(home) as store:
            await whole(store, "c1")
            files = [path for path in home.rglob("*") if path.is_file()]
            assert {path.name.rpartition(".")[2] for path in files} == {"db", "db-wal", "db-shm", "lock"}
            assert {mode(path) for path in files} == {0o600}
            assert mode(home / "run") == 0o700
    assert (mode(tmp_path / "there"), mode(tmp_path / "new")) == (0o755, 0o700)


async def test_what_a_newer_version_wrote_into_rows_does_not_keep_us_from_reading(home: Path) -> None:
    async with open_store(home) as store:
        await whole(store, "c1", opinion())
        with raw(home) as connection:
            connection.execute(
                "UPDATE consultations SET mode = 'telepathy', strategy = 'oracle', status = 'enlightened'"
            )
            connection.execute("UPDATE entries SET body = json_set(body, '$.mood', 'good')")
            connection.execute("UPDATE consultations SET verdict = json_set(verdict, '$.solutions[0].mood', 'good')")
            connection.execute("INSERT INTO entries VALUES ('c1', 99, 'dream', '', 0, '{}')")
        found = await store.get("c1")
        assert found.opinions == (opinion(),)
        assert found.verdict == verdict("c1")
        assert (await store.list())[0].id == "c1"


async def test_a_mark_of_a_newer_version_is_left_out_and_the_others_still_count(home: Path) -> None:
    async with open_store(home) as store:
        for id in ("c1", "c2", "c3"):
            await whole(store, id)
            await store.mark(facts(id), "wrong", 1)
        await store.mark(facts("c1"), "worked", 2)
        with raw(home) as connection:
            connection.execute("UPDATE outcomes SET outcome = 'glorious' WHERE consultation = 'c1' AND solution = 1")
            connection.execute("UPDATE outcomes SET label = json_set(label, '$.mood', 'good', '$.evidence', 'dreamt')")
            connection.execute("UPDATE outcomes SET source = 'colleague' WHERE consultation = 'c2'")
            connection.execute("UPDATE outcomes SET label = 'damaged' WHERE consultation = 'c3'")
        assert {(label.consultation, label.told) for label in await store.labels()} == {
            ("c1", "solution 2 worked"), ("c2", "solution 1 was wrong"),
        }  # fmt: skip
        assert [len((await store.get(id)).labels) for id in ("c1", "c2", "c3")] == [1, 1, 0]


async def test_reading_does_not_wait_for_a_writer(home: Path) -> None:
    async with open_store(home) as store:
        await whole(store, "c1")
        with raw(home) as connection, WriterLock(home / "orchestra.lock").held(1), anyio.fail_after(10):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM consents")
            assert (await store.get("c1")).id == "c1"
            assert len(await store.list()) == 1
            connection.execute("ROLLBACK")


async def test_closing_is_bounded_while_another_process_sits_on_the_lock(home: Path) -> None:
    async def in_vain(store: Store) -> None:
        with pytest.raises(StoreError, match="locked by another program"):
            await store.add("c1", opinion())

    async with open_store(home) as store:
        await store.begin("c1", Question(text="Why?"), "c1")
        with anyio.fail_after(12), WriterLock(home / "orchestra.lock").held(1):  # a writer would wait for 15 s
            async with anyio.create_task_group() as group:
                group.start_soon(in_vain, store)
                await anyio.lowlevel.checkpoint()
                await store.close()
    async with open_store(home) as store:
        assert (await store.get("c1")).opinions == ()


async def test_an_opening_that_is_cancelled_leaves_nothing_behind(home: Path) -> None:
    async def open_and_stay() -> None:
        async with open_store(home):
            await anyio.sleep_forever()

    async with open_store(home):
        pass
    with WriterLock(home / "orchestra.lock").held(1), anyio.fail_after(12):
        async with anyio.create_task_group() as group:
            group.start_soon(open_and_stay)
            while not list((home / "run").iterdir()):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        while list((home / "run").iterdir()):
            await anyio.lowlevel.checkpoint()
    async with open_store(home) as store:
        await whole(store, "c1")


def test_a_lock_that_is_not_free_in_time_is_a_timeout_and_can_be_had_later(tmp_path: Path) -> None:
    first, second = WriterLock(tmp_path / "lock"), WriterLock(tmp_path / "lock")
    with first.held(1):
        for _ in range(2):
            with pytest.raises(TimeoutError), second.held(0.05):
                pytest.fail("both held it")
    with second.held(5), pytest.raises(TimeoutError), first.held(0.05):
        pytest.fail("both held it")
    first.close()
    second.close()


def test_whoever_waits_for_the_lock_gets_it_when_it_becomes_free(tmp_path: Path) -> None:
    counter, seen = [0], set[int]()

    def work() -> None:
        lock = WriterLock(tmp_path / "lock")
        for _ in range(100):
            with lock.held(60):
                value = counter[0]
                seen.add(value)
                counter[0] = value + 1
        lock.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counter == [600]
    assert len(seen) == 600


def test_an_owner_is_alive_until_it_lets_go_and_only_files_of_the_dead_are_swept_away(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path), OwnerLock(tmp_path)
    (tmp_path / "12-dead.lock").touch()
    assert first.alive(second.token)
    assert first.alive(first.token)
    assert not first.alive("12-dead")
    assert not first.alive("12-never-was")
    second.sweep()
    assert {path.stem for path in tmp_path.iterdir()} == {first.token, second.token}
    first.release()
    assert not second.alive(first.token)
    assert not first.alive(first.token)
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there the lock always works and nobody asks for numbers")
def test_a_process_number_tells_the_living_from_the_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert pid_alive(child.pid)
    child.communicate(b"\n")
    assert not pid_alive(child.pid)
    assert pid_alive(os.getpid())


# ------------------------------------------------------------------------------------- several connections, one file

PASSING_BY = """
import anyio, sys
from pathlib import Path
from orchestra_mcp.store import open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        await store.list(1)

anyio.run(main)
"""


async def test_a_process_that_comes_and_goes_does_not_cut_others_off_from_the_journal(tmp_path: Path) -> None:
    # Two stores of one process on one file, as the HTTP door has: neither may drop the locks of the other, or whoever
    # closes the file in another process deletes the journal that both go on writing.
    async with open_store(tmp_path) as one, open_access(tmp_path):
        for _ in range(2):
            await anyio.run_process([sys.executable, "-c", PASSING_BY, str(tmp_path)], cwd=Path(__file__).parent.parent)
            assert (tmp_path / "orchestra.db-wal").exists()
        one.note(CallRecord(run="", purpose="call", model="ada", provider="local"))
        await one.costs("model", datetime(2020, 1, 1, tzinfo=UTC))  # writes what waits
        with closing(sqlite3.connect(tmp_path / "orchestra.db")) as other:
            assert other.execute("SELECT count(*) FROM calls").fetchone() == (1,)
