"""What is remembered of consultations: found by words and by meaning, shown to later councils, and forgotten."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra_mcp.errors import NotFound
from orchestra_mcp.store import Store, open_store, wordsearch
from orchestra_mcp.store.access import open_access
from orchestra_mcp.store.forgetting import AT_ONCE
from orchestra_mcp.store.migrations import MIGRATIONS, statements
from orchestra_mcp.store.tenants import Scope
from orchestra_mcp.types import (
    CallRecord,
    Claim,
    Dossier,
    Excerpt,
    Found,
    Grounds,
    Label,
    Opinion,
    Place,
    Question,
    Solution,
    Status,
    Usage,
    Verdict,
    Watched,
)
from orchestra_mcp.types import Event as Happened

CHILD = Path(__file__).with_name("memory_child.py")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def store(home: Path) -> AsyncIterator[Store]:
    async with open_store(home, strict=True) as store:
        yield store


async def ask(
    store: Store,
    id: str,
    text: str,
    answer: str = "",
    project: str | None = None,
    status: Status = "complete",
    claims: tuple[Claim, ...] = (),
) -> None:
    """A consultation from its beginning to its end; without an answer it still runs."""
    await store.begin(id, Question(text=text, project=project), id)
    if answer:
        solution = Solution(
            rank=1, position="It holds", answer=answer, score=1, probability=0.7, seats=("ada",), claims=claims
        )
        verdict = Verdict(
            id=id, question=text, headline="All answered.", answer=answer, solutions=(solution,), confidence=0.7
        )
        await store.finish(id, status, verdict)


def ids(found: tuple[Found, ...]) -> list[str]:
    return [one.summary.id for one in found]


# ------------------------------------------------------------------------------------------------------ by words


async def test_what_was_asked_is_found_at_once_and_what_was_answered_as_soon_as_it_ends(store: Store) -> None:
    await ask(store, "c1", "Why does the tokenizer hang?")
    assert ids(await store.memory.search("tokenizer")) == ["c1"]
    assert (await store.memory.search("tokenizer"))[0].summary.status == "running"
    assert await store.memory.search("backtracking") == ()
    await store.finish("c1", "degraded", Verdict(id="c1", question="Why?", headline="All.", answer="Backtracking."))
    assert ids(await store.memory.search("backtracking")) == ["c1"]


async def test_a_failed_consultation_is_found_by_its_question(store: Store) -> None:
    await ask(store, "c1", "Why does the tokenizer hang?")
    await store.finish("c1", "failed", None, "nobody answered")
    assert [(f.summary.id, f.summary.status) for f in await store.memory.search("tokenizer")] == [("c1", "failed")]


async def test_words_in_the_question_count_more_than_in_the_answer(store: Store) -> None:
    await ask(store, "c1", "Where is the configuration read?", "In the loader, before the cache is made.")
    await ask(store, "c2", "Is the cache thread safe?", "It is not: two threads may write.")
    await ask(store, "c3", "Which port does the server take?", "The cache has nothing to do with it.")
    assert ids(await store.memory.search("cache"))[0] == "c2"
    assert set(ids(await store.memory.search("cache"))) == {"c1", "c2", "c3"}


async def test_all_words_come_first_and_some_of_them_follow(store: Store) -> None:
    await ask(store, "c1", "A deadlock in the pool")
    await ask(store, "c2", "A deadlock in the scheduler of the pool")
    await ask(store, "c3", "The scheduler starves")
    assert ids(await store.memory.search("deadlock scheduler"))[0] == "c2"
    assert set(ids(await store.memory.search("deadlock scheduler"))) == {"c1", "c2", "c3"}


async def test_what_a_dead_process_asked_is_found_among_others_and_once_it_is_settled(home: Path) -> None:
    async with open_store(home, strict=True) as other:
        await ask(other, "dead", "Why does the tokenizer hang?", project="/p")
        await ask(other, "ended", "Does the tokenizer wait?", "It waits.", "/p")
    async with open_store(home, strict=True) as store:
        await ask(store, "alive", "Where is the tokenizer called?", project="/p")
        for _ in range(2):
            found = {one.summary.id: one.summary.status for one in await store.memory.search("tokenizer", "/p")}
            assert found == {"dead": "interrupted", "ended": "complete", "alive": "running"}
        assert "\x02called\x03" in (await store.memory.search("called"))[0].snippet
        await store.finish("alive", "cancelled", None)
        assert await store.memory.search("possessive") == ()
        await store.finish(
            "alive", "complete", Verdict(id="alive", question="?", headline="All.", answer="Possessive.")
        )
        assert ids(await store.memory.search("possessive tokenizer"))[0] == "alive"
        assert await store.memory.forget(["alive", "dead"]) == 2
        assert ids(await store.memory.search("tokenizer")) == ["ended"]
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        assert raw.execute("SELECT count(*) FROM memories WHERE answer = ''").fetchone() == (0,)
        raw.execute("INSERT INTO memory_words (memory_words, rank) VALUES ('integrity-check', 1)")


async def test_common_words_rank_by_where_they_stand_and_rare_ones_by_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wordsearch, "COMMON", 10)
    monkeypatch.setattr(wordsearch, "MANY", 15)
    for number in range(20):
        await ask(store, f"c{number}", f"Something about {number}", "The server is slow.", f"/p{number % 2}")
    await ask(store, "asked", "Is the server slow when the server starts?", "It is.", "/p0")
    await ask(store, "rare", "Something else", "The server drops a websocket.", "/p0")
    for number in range(20, 26):
        await ask(store, f"c{number}", f"Something about {number}", "The server is slow.", f"/p{number % 2}")
    assert ids(await store.memory.search("server"))[0] == "asked"
    assert ids(await store.memory.search("slow server"))[0] == "asked"
    assert ids(await store.memory.search('"the server"', "/p0"))[0] == "asked"
    assert ids(await store.memory.search("serv*"))[0] == "asked"
    assert ids(await store.memory.search("server websocket")) == ["rare"]
    assert ids(await store.memory.search("server websocket nowhere"))[0] == "rare"
    assert ids(await store.memory.search("why does the server that is slow drop a websocket"))[0] == "rare"
    found = await store.memory.search("the serv*", "/p0", limit=50)
    assert all("\x02" in one.snippet for one in found)
    assert len({one.summary.id for one in found}) == len(found) == 15  # the newest that are ranked


@pytest.mark.parametrize(
    "query",
    [
        "getUserName", "get_user_name", "user name", "GETUSERNAME", "users", "UserName getUser", "app/user_name.py", "user_name.py",
        '"cannot be decoded"', "“cannot be decoded”", "decod*", "décoded", "ParseError", "parse error", "read_header",
        '"read header"', "decoded: cannot", "(decoded)", "-decoded", "^decoded", "NEAR(decoded, 3)", "decoded NOT cannot",
        "question:decoded", "decoded OR", "decoded\0more", "{decoded}", "decoded ☃", '"decoded',
    ],
)  # fmt: skip
async def test_words_are_found_as_people_type_them(store: Store, query: str) -> None:
    claim = Claim(text="read_header is called twice", path="src/app/user_name.py", symbol="ParseError")
    await ask(store, "c1", "Why does getUserName fail in app/user_name.py?", "It cannot be decoded.", claims=(claim,))
    await ask(store, "c2", "Something else entirely", "Of no concern.")
    assert ids(await store.memory.search(query)) == ["c1"]


@pytest.mark.parametrize(
    "query", ["", " ", '"', '""', "*", "()", "☃", "\0", "\ud800", "* * *", "a AND", "nothing", "p2f70z9"]
)
async def test_what_fits_nothing_finds_nothing_and_never_fails(store: Store, query: str) -> None:
    await ask(store, "c1", "Why does the tokenizer hang?", project="/p")
    assert await store.memory.search(query) == ()


@given(st.text(max_size=60) | st.text('"*^:-(){}+&|NEARORNOT ab\0\n', max_size=40))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_anything_may_be_typed(store: Store, query: str) -> None:
    for found in await store.memory.search(query, project="/p", workspace="w", vector=(1.0, 0.0), embedder="e"):
        assert isinstance(found, Found)


async def test_a_very_long_query_is_searched_for_its_first_words(store: Store) -> None:
    await ask(store, "c1", "Why does the tokenizer hang?")
    assert ids(await store.memory.search("tokenizer " + "x" * 100_000)) == ["c1"]
    assert ids(await store.memory.search("tokenizer " + "word " * 20_000)) == ["c1"]
    assert ids(await store.memory.search(" ".join(f"w{n}" for n in range(20)) + " tokenizer " + "y " * 9)) == ["c1"]


async def test_snippets_mark_what_was_found_and_carry_no_marks_of_others(store: Store) -> None:
    await ask(
        store, "c1", "What is \x02this\x03?", "The first line.\n" * 40 + "A \x02forged\x03 mutex is locked twice."
    )
    found = (await store.memory.search("mutex"))[0]
    assert "\x02mutex\x03 is locked twice" in found.snippet
    assert found.snippet.count("\x02") == found.snippet.count("\x03") == 1
    assert found.by == "words"
    assert len(found.snippet) < 400


async def test_search_keeps_to_a_project_and_a_workspace(store: Store, home: Path) -> None:
    async with open_access(home, strict=True) as access:
        for id, project, workspace in [
            ("c1", "/p", "red"),
            ("c2", "/p", "blue"),
            ("c3", "/q", "red"),
            ("c4", None, None),
        ]:
            await ask(store, id, "Why does the tokenizer hang?", project=project)
            if workspace:
                await access.own(Scope(workspace), id, "key")
    await store.finish("c1", "complete", Verdict(id="c1", question="Why?", headline="All.", answer="It waits."))
    everything = await store.memory.search("tokenizer")
    assert sorted(ids(everything)) == ["c1", "c2", "c3", "c4"]
    assert sorted(ids(await store.memory.search("tokenizer", "/p"))) == ["c1", "c2"]
    assert sorted(ids(await store.memory.search("tokenizer", workspace="red"))) == ["c1", "c3"]
    assert ids(await store.memory.search("tokenizer", "/p", workspace="red")) == ["c1"]
    assert ids(await store.memory.search("tokenizer", "")) == ["c4"]
    assert await store.memory.search("tokenizer", "/r") == ()
    assert [s.id for s in await store.list(workspace="red")] == ["c3", "c1"]


async def test_results_are_paged(store: Store) -> None:
    for number in range(25):
        await ask(store, f"c{number}", "The tokenizer " + "again " * number)
    pages = [ids(await store.memory.search("tokenizer", limit=10, offset=offset)) for offset in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert len({id for page in pages for id in page}) == 25
    assert pages[0] == ids(await store.memory.search("tokenizer"))[:10]


# ---------------------------------------------------------------------------------------------------- by meaning


async def test_what_means_the_same_is_found_without_a_shared_word(store: Store) -> None:
    await ask(store, "c1", "Threads wait for each other")
    await ask(store, "c2", "The page is too wide", "Set its width.")
    await ask(store, "c3", "A deadlock")
    assert [id for id, _ in await store.memory.unmeant("e")] == ["c3", "c2", "c1"]
    assert dict(await store.memory.unmeant("e"))["c2"] == "The page is too wide"
    await store.memory.mean("e", [("c1", (0.8, 0.6, 0.0)), ("c2", (0.0, 0.0, 2.0)), ("unknown", (1.0, 0.0, 0.0))])
    assert [id for id, _ in await store.memory.unmeant("e")] == ["c3"]
    found = await store.memory.search("deadlock", vector=(1.0, 0.0, 0.0), embedder="e")
    assert {one.summary.id: one.by for one in found} == {"c3": "words", "c1": "meaning"}
    assert found[0].score >= found[1].score > 0
    # Vectors that come later are seen, those of another embedder are not comparable.
    await store.memory.mean("e", [("c3", (1.0, 0.0, 0.0))])
    assert ids(await store.memory.search("deadlock", vector=(1.0, 0.0, 0.0), embedder="e"))[0] == "c3"
    assert ids(await store.memory.search("nothing", vector=(1.0, 0.0, 0.0), embedder="other")) == []
    assert await store.memory.unmeant("e") == ()
    assert len(await store.memory.unmeant("other", limit=2)) == 2


async def test_meaning_keeps_to_a_project_and_forgets(store: Store) -> None:
    for id, project in (("c1", "/p"), ("c2", "/q")):
        await ask(store, id, "Threads wait", "They do.", project=project)
    await store.memory.mean("e", [("c1", (1.0, 0.0)), ("c2", (1.0, 0.0))])
    assert ids(await store.memory.search("x", "/p", vector=(1.0, 0.0), embedder="e")) == ["c1"]
    assert [m.id for m in await store.memory.recall((), "/q", vector=(1.0, 0.0), embedder="e")] == ["c2"]
    await store.memory.forget(["c2"])
    assert ids(await store.memory.search("x", vector=(1.0, 0.0), embedder="e")) == ["c1"]
    assert await store.memory.recall((), "/q", vector=(1.0, 0.0), embedder="e") == ()


# --------------------------------------------------------------------------------------------- for a later council


async def test_a_finished_consultation_of_the_project_is_recalled_with_what_became_of_it(store: Store) -> None:
    place = Place(path="a.py", lines=2, digest="0123456789abcdef")
    await store.begin("c1", Question(text="Why does the tokenizer hang?", project="/p", local_only=True), "c1")
    await store.add("c1", Grounds(places=(place,)))
    solution = Solution(rank=1, position="Backtracking", answer="A", score=1, probability=0.7, seats=("ada",))
    verdict = Verdict(
        id="c1", question="Why?", headline="All.", answer="Make it possessive.", solutions=(solution,), confidence=0.7
    )
    await store.finish("c1", "complete", verdict)
    await store.mark(Label(consultation="c1", clusters=(("m",),)), "worked", 1)
    (memory,) = await store.memory.recall(["tokenizer", "hang", "unheard"], "/p")
    assert (memory.id, memory.project, memory.question) == ("c1", "/p", "Why does the tokenizer hang?")
    assert memory.outcome == "Backtracking\n\nMake it possessive."
    assert memory.places == (place,)
    assert memory.told == "solution 1 worked"
    assert memory.local_only
    assert memory.confidence == 0.7
    assert 0 < memory.score < 1


async def test_only_what_ended_well_in_the_same_project_is_recalled(store: Store) -> None:
    text, answer = "Why does the tokenizer hang?", "It waits."
    await ask(store, "c1", text, answer, "/p")
    await ask(store, "c2", text, answer, "/q")
    await ask(store, "c3", text, "", "/p")
    await ask(store, "c4", text, answer, "/p", "cancelled")
    await ask(store, "c5", text, answer, None)
    await ask(store, "c6", "Why does the page flicker?", answer, "/p")
    words = ["tokenizer", "hang"]
    assert [m.id for m in await store.memory.recall(words, "/p")] == ["c1"]
    assert [m.id for m in await store.memory.recall(words, None)] == ["c5"]
    assert [m.id for m in await store.memory.recall(words, "")] == ["c5"]
    assert {m.id for m in await store.memory.recall(words, "/p", everywhere=True)} == {"c1", "c2", "c5"}
    assert len(await store.memory.recall(words, "/p", 1, everywhere=True)) == 1
    assert await store.memory.recall([], "/p") == ()
    assert await store.memory.recall(["☃", "\0"], "/p") == ()


async def test_who_shares_rarer_words_is_recalled_first_and_one_common_word_is_not_enough(store: Store) -> None:
    for number in range(20):
        await ask(store, f"c{number}", f"The server number {number} restarts", "It does.", "/p")
    await ask(store, "near", "The server loses its websocket when the proxy restarts", "It does.", "/p")
    found = await store.memory.recall(["server", "websocket", "proxy"], "/p")
    assert [m.id for m in found] == ["near"]
    assert found[0].score == pytest.approx(1.0)


async def test_unmarked_ones_are_asked_for_once(store: Store) -> None:
    for id in ("c1", "c2", "c3"):
        await ask(store, id, "Why?", "So.", "/p")
    await ask(store, "c4", "Why?", "So.", "/q")
    await ask(store, "c5", "Why?", "", "/p")
    await store.mark(Label(consultation="c2", clusters=(("m",),)), "wrong", 1)
    assert await store.memory.unmarked("/p", LONG_AGO) == ("c3", "c1")
    assert await store.memory.unmarked("/p", LONG_AGO, limit=1) == ("c3",)
    assert await store.memory.unmarked("/p", datetime.now(UTC) + timedelta(days=1)) == ()
    assert await store.memory.follow_up("c1")
    assert not await store.memory.follow_up("c1")
    assert not await store.memory.follow_up("unknown")


# ----------------------------------------------------------------------------------------------------- forgetting


async def test_consultations_are_chosen_by_all_that_is_given(store: Store) -> None:
    for id, project in (("aa1", "/p"), ("ab2", "/q"), ("ac3", "/p"), ("ad4", None)):
        await ask(store, id, "Why?", "So.", project)
    assert await store.memory.chosen() == ("aa1", "ab2", "ac3", "ad4")
    assert await store.memory.chosen(project="/p") == ("aa1", "ac3")
    assert await store.memory.chosen(project="") == ("ad4",)
    assert await store.memory.chosen(before=LONG_AGO) == ()
    assert await store.memory.chosen(before=datetime.now(UTC) + timedelta(days=1), project="/q") == ("ab2",)
    assert await store.memory.chosen(ids=["ac", "aa1", "latest"]) == ("aa1", "ac3", "ad4")
    assert await store.memory.chosen(ids=["ab2"], project="/p") == ()
    with pytest.raises(NotFound, match="Several ids"):
        await store.memory.chosen(ids=["a"])


async def test_what_is_forgotten_is_gone_with_all_that_belongs_to_it_and_what_it_cost_stays(
    store: Store, home: Path
) -> None:
    for id in ("c1", "c2"):
        await ask(store, id, "Why does the tokenizer hang?", "It waits.", "/p")
        call = CallRecord(
            run=id, purpose="opinion", model="m", provider="p", usage=Usage(calls=1, cost_usd=Decimal(1)), at=LONG_AGO
        )
        await store.add(
            id,
            Dossier(),
            Opinion(seat="ada", position="p", answer="a"),
            call,
            Watched(events=(Happened(run=id, kind="asked"),)),
            Grounds(),
        )
        await store.mark(Label(consultation=id, clusters=(("m",),)), "wrong", 1)
        await store.memory.follow_up(id)
        await store.memory.mean("e", [(id, (1.0, 0.0))])
        async with open_access(home, strict=True) as access:
            await access.own(Scope("red"), id, "key")
    assert await store.memory.forget(["c1", "c1", "unknown"]) == 1
    with pytest.raises(NotFound):
        await store.get("c1")
    assert [s.id for s in await store.list()] == ["c2"]
    assert ids(await store.memory.search("tokenizer", vector=(1.0, 0.0), embedder="e")) == ["c2"]
    assert [label.consultation for label in await store.labels()] == ["c2"]
    assert await store.spent_since(LONG_AGO) == 2
    assert (await store.get("c2")).usage.cost_usd == 1
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        for (table,) in raw.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall():
            columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
            for column in {"consultation", "id", "thread"} & set(columns):
                assert raw.execute(f"SELECT count(*) FROM {table} WHERE {column} = 'c1'").fetchone() == (0,), table
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    assert await store.memory.forget(["c1"]) == 0


async def test_one_that_runs_is_left_alone_and_one_whose_process_died_is_not(home: Path) -> None:
    async with open_store(home, strict=True) as other:
        await ask(other, "dead", "Why does the tokenizer hang?")
    async with open_store(home, strict=True) as store:
        await ask(store, "alive", "Why does the tokenizer hang?")
        assert await store.memory.forget(["alive", "dead"]) == 1
        assert [s.id for s in await store.list()] == ["alive"]
        await store.add("alive", Opinion(seat="ada", position="p", answer="a"))


def bytes_of(home: Path) -> bytes:
    """All bytes of all files, read by another process: closing a file of SQLite's here would drop its locks."""
    program = "import pathlib, sys\nfor p in pathlib.Path(sys.argv[1]).rglob('*'):\n if p.is_file(): sys.stdout.buffer.write(p.read_bytes())"
    return subprocess.run([sys.executable, "-c", program, str(home)], check=True, capture_output=True).stdout.lower()


async def test_no_byte_of_a_forgotten_text_stays_in_any_file(home: Path) -> None:
    def marked(mark: str, words: int) -> str:
        return " ".join(f"{mark}{'abcdefgh'[n % 8]}{n % 7}" if n % 5 == 0 else f"common{n % 90}" for n in range(words))

    marks = {f"c{number}": f"zq{'bcdfghjkmn'[number % 10]}{'pqrstvwx'[number // 10]}kzq" for number in range(60)}
    async with open_store(home, strict=True) as store:
        for number, (id, mark) in enumerate(marks.items()):
            size = (5, 40, 400, 3000)[number % 4]
            await store.begin(id, Question(text=marked(mark, size // 2 + 1), project=f"/{mark}"), id)
            excerpt = Excerpt(source="file", path=f"{mark}.py", text=marked(mark, size * 3), tokens=1, why=mark)
            await store.add(
                id, Dossier(excerpts=(excerpt,)), Opinion(seat="ada", position=mark, answer=marked(mark, size))
            )
            verdict = Verdict(id=id, question=mark, headline=mark, answer=marked(mark, size))
            await store.finish(
                id, "failed" if number % 5 == 0 else "complete", None if number % 5 == 0 else verdict, mark
            )
        gone = [id for number, id in enumerate(marks) if number % 3]
        assert len(gone) > AT_ONCE
        assert await store.memory.forget(gone) == len(gone)
        kept = bytes_of(home)
        assert [id for id in gone if marks[id].encode() in kept] == []
        assert all(marks[id].encode() in kept for id in set(marks) - set(gone))
        assert set(ids(await store.memory.search("common3", limit=100))) <= set(marks) - set(gone)
    kept = bytes_of(home)
    assert [id for id in gone if marks[id].encode() in kept] == []
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        raw.execute("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_forgetting_again_and_again_while_others_write_does_not_wear_the_index_out(home: Path) -> None:
    # SQLite 3.40 calls an index with 2000 levels damaged, and each merging adds two.
    async with open_store(home, strict=True) as store, open_store(home, strict=True) as other:
        for number in range(130):
            await ask(store, f"c{number}", f"Why does the zebra {number} hang?", "It waits.")
            await ask(other, f"d{number}", f"Why does the zebra {number} hang?", "It waits.")
            assert await store.memory.forget([f"c{number}"]) == 1
        assert len(await store.memory.search("zebra", limit=1000)) == 130
        assert ids(await other.memory.search('"zebra 77"')) == ["d77"]
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        raw.execute("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
        (block,) = raw.execute("SELECT block FROM memory_words_data WHERE id = 10").fetchone()
    levels = block[4] if block[4] < 0x80 else (block[4] & 0x7F) << 7 | block[5]
    assert levels <= 210


async def test_a_reader_of_an_older_state_keeps_nobody_waiting_and_the_journal_is_cut_off_at_the_end(
    home: Path,
) -> None:
    async with open_store(home, strict=True) as store:
        await ask(store, "c1", "Why does the zqsecretzq hang?", "It waits.")
        with closing(sqlite3.connect(home / "orchestra.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM consultations").fetchone()
            async with anyio.create_task_group() as group:
                group.start_soon(store.memory.forget, ["c1"])
                with anyio.fail_after(5):
                    for number in range(20):
                        await ask(store, f"d{number}", "Something else", "Of no concern.")
            reader.execute("ROLLBACK")
    assert b"zqsecretzq" not in bytes_of(home)


# ------------------------------------------------------------------------------- many processes, and older versions


async def test_eight_processes_write_search_and_forget_at_once(home: Path) -> None:
    async with open_store(home, strict=True):
        pass
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            results: list[str] = []

            async def child(name: str) -> None:
                done = await anyio.run_process([sys.executable, str(CHILD), str(home), name], check=False)
                results.append(done.stdout.decode() + done.stderr.decode())

            for number in range(8):
                group.start_soon(child, f"p{number}")
    assert results == ["fine\n"] * 8
    async with open_store(home, strict=True) as store:
        assert {s.id for s in await store.list(1000)} == {f"p{p}-{n}" for p in range(8) for n in range(12) if n % 3}
        assert len(await store.memory.search("zebra", limit=1000)) == 64
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        raw.execute("INSERT INTO memory_words (memory_words) VALUES ('integrity-check')")
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_consultations_of_an_earlier_version_are_remembered_too(home: Path) -> None:
    await anyio.Path(home).mkdir()
    with closing(sqlite3.connect(home / "orchestra.db", isolation_level=None)) as old:
        for script in MIGRATIONS[:3]:
            for statement in statements(script):
                old.execute(statement)
        old.execute("PRAGMA user_version = 3")
        for number in range(250):
            question = Question(text=f"Why does tokenizer {number} hang?", project="/p")
            verdict = Verdict(id=f"c{number}", question="Why?", headline="All.", answer=f"Answer{number} is it.")
            body = "damaged" if number == 7 else verdict.model_dump_json()
            old.execute(
                "INSERT INTO consultations VALUES (?, ?, '/p', 'consult', 'auto', 'complete', ?, ?, '', 0.5, '', ?, ?, ?)",
                (f"c{number}", f"c{number}", number, number, question.text, question.model_dump_json(), body),
            )
    async with open_store(home, strict=True) as store:
        await ask(store, "new", "Why does tokenizer 249 hang?")
        assert {"c249", "new"} <= set(ids(await store.memory.search("tokenizer 249")))  # the newest come first
        assert await store.memory.fill()
        assert await store.memory.fill()
        assert ids(await store.memory.search("answer0")) == ["c0"]
        assert len(await store.memory.search("tokenizer", limit=1000)) == 250
        assert [m.id for m in await store.memory.recall(["tokenizer", "answer3"], "/p")] == ["c3"]
        await ask(store, "newer", "Why does tokenizer 250 hang?", "Because.")
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        order = [id for (id,) in raw.execute("SELECT consultation FROM memories ORDER BY id")]
        assert order == [f"c{number}" for number in range(250) if number != 7] + ["new", "newer"]
