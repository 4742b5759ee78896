"""What killed processes and those of an earlier version leave undone is finished by others; what is forgotten leaves no words."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.store import Store, open_store
from orchestra_mcp.store.replies import SqliteReplies
from orchestra_mcp.types import Dossier, Question, Solution, Turn, Verdict

ROOT = Path(__file__).parent.parent
DOOMED = "zqdoomed"
posix_only = pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def bytes_of(home: Path, names: str = "*") -> bytes:
    """All that is in the files; only while nobody has them open."""
    return b"".join(file.read_bytes() for file in sorted(home.rglob(names)) if file.is_file())


def verdict(id: str, question: str, answer: str) -> Verdict:
    solution = Solution(rank=1, position="It holds", answer=answer, score=1, probability=0.7, seats=("ada",))
    return Verdict(id=id, question=question, headline="All.", answer=answer, solutions=(solution,), confidence=0.7)


async def ask(store: Store, id: str, text: str, answer: str, *, thread: str = "", follow_up: str = "") -> None:
    await store.begin(id, Question(text=text, project="/p"), thread or id)
    said = verdict(id, text, answer)
    await store.finish(id, "complete", said.model_copy(update={"follow_up": follow_up}))


# ---------------------------------------------------------------------------------------- words in others' records


async def test_what_is_forgotten_is_taken_out_of_the_turns_that_went_on_with_it(home: Path) -> None:
    async with open_store(home, strict=True) as store:
        await ask(store, "one", f"Why {DOOMED}?", f"Because {DOOMED}.")
        await ask(store, "two", "And why else?", "Because of this.", thread="one")
        turns = await store.thread("one")
        assert [turn.id for turn in turns] == ["one", "two"]
        await store.add("two", Dossier(project="p", head="main 1a2b3c4", history=turns[:1]))
        await store.begin("three", Question(text="And now?", project="/p"), "one")
        await store.add("three", Dossier(project="p", history=turns))
        assert await store.memory.forget(["one"]) == 1
        [two, three] = [(await store.get(id)).dossier for id in ("two", "three")]
        assert two == Dossier(project="p", head="main 1a2b3c4")
        assert three == Dossier(project="p", history=turns[1:])
        assert (await store.get("two")).verdict is not None
    assert DOOMED.encode() not in bytes_of(home)


async def test_what_was_forgotten_while_a_turn_began_does_not_come_back_with_it(home: Path) -> None:
    turn = Turn(id="one", question=DOOMED, outcome=DOOMED, at=datetime.now(UTC))
    async with open_store(home, strict=True) as store:
        await store.begin("two", Question(text="And why else?"), "one")
        await store.add("two", Dossier(project="p", history=(turn,)))
        assert (await store.get("two")).dossier == Dossier(project="p")
    assert DOOMED.encode() not in bytes_of(home)


async def test_nobody_is_asked_any_more_what_became_of_what_is_forgotten(home: Path) -> None:
    async with open_store(home, strict=True) as store:
        await ask(store, "one", f"Why {DOOMED}?", f"Because {DOOMED}.")
        await store.begin("two", Question(text="What else?", project="/p"), "two")
        assert await store.memory.follow_up("one")
        asked = f"What became of {DOOMED}? Say it with `orchestra outcome one worked`."
        await store.finish("two", "complete", verdict("two", "?", "No.").model_copy(update={"follow_up": asked}))
        await ask(store, "three", "And this?", "No.", follow_up="What became of `orchestra outcome two worked`?")
        assert await store.memory.forget(["one"]) == 1
        assert (await store.get("two")).verdict == verdict("two", "?", "No.")
        kept = (await store.get("three")).verdict
        assert kept is not None
        assert kept.follow_up != ""
    assert DOOMED.encode() not in bytes_of(home)


# ------------------------------------------------------------------------------------------------- after a kill

KILLED = """
import os, sys
from functools import partial
from pathlib import Path
import anyio
from orchestra_mcp.store import forgetting, open_store

async def main():
    async with open_store(Path(sys.argv[1]), strict=True) as store:
        ids = [id for id in await store.memory.chosen() if id.startswith("doomed")]
        await store._write(partial(forgetting.remove, ids=ids, alive=lambda owner: False))
        os.kill(os.getpid(), 9)

anyio.run(main)
"""


@posix_only
async def test_what_a_killed_process_began_to_forget_another_one_finishes(home: Path) -> None:
    async with open_store(home, strict=True) as store:
        for number in range(30):
            await ask(store, f"doomed{number}", f"Why {DOOMED}{number}x?", f"It is {DOOMED}{number}y.")
        await ask(store, "kept", "What stays?", "This stays.")
    done = await anyio.run_process([sys.executable, "-c", KILLED, str(home)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert DOOMED.encode() in bytes_of(home), "or this shows nothing"
    async with open_store(home, strict=True) as store:
        await store.look_after()
        assert [one.summary.id for one in await store.memory.search("stays")] == ["kept"]
    assert DOOMED.encode() not in bytes_of(home)
    with closing(sqlite3.connect(home / "orchestra.db")) as database:
        assert database.execute("SELECT * FROM turns WHERE name LIKE '%forget%'").fetchall() == []


async def test_a_removal_that_comes_while_another_is_cleaned_up_is_cleaned_up_too(home: Path) -> None:
    from orchestra_mcp.store import forgetting

    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE turns (name TEXT PRIMARY KEY, at INTEGER NOT NULL)")
        ahead = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1e6)  # as when the clock was set back
        database.execute("INSERT INTO turns VALUES (?, ?)", (forgetting.UNFINISHED, ahead))
        first = forgetting.unfinished(database)
        database.execute("UPDATE turns SET at = at + 1")
        forgetting.finished(database, first)
        assert forgetting.unfinished(database) == first + 1
        forgetting.finished(database, first + 1)
        assert forgetting.unfinished(database) == 0


# ------------------------------------------------------------------------------------ processes of earlier versions


async def test_what_an_earlier_version_keeps_and_ends_is_found(home: Path) -> None:
    async with open_store(home, strict=True) as store:
        for id in ("late", "ended", "settled", "open"):
            await store.begin(id, Question(text=f"Why is the {id} one purple?", project="/p"), id)
        await store.finish("late", "complete", verdict("late", "?", "It was painted with beetroot."))
        await store.finish("settled", "interrupted", None)
        with closing(sqlite3.connect(home / "orchestra.db")) as old:  # which knows nothing of memories
            old.execute("DELETE FROM memories WHERE consultation = 'late'")
            for id, food in (("ended", "spinach"), ("settled", "carrots")):
                said = verdict(id, "?", f"It was painted with {food}.").model_dump_json()
                old.execute("UPDATE consultations SET status = 'complete', verdict = ? WHERE id = ?", (said, id))
            old.commit()
        for food in ("beetroot", "spinach", "carrots"):
            assert await store.memory.search(food) == ()
        await store.look_after()
        for food, id in (("beetroot", "late"), ("spinach", "ended"), ("carrots", "settled")):
            assert [one.summary.id for one in await store.memory.search(food)] == [id]
        assert {one.summary.id for one in await store.memory.search("purple")} == {"late", "ended", "settled", "open"}
        with closing(sqlite3.connect(home / "orchestra.db")) as database:
            before = database.execute("SELECT * FROM memories ORDER BY id").fetchall()
            assert [row[6] for row in before if row[1] == "open"] == [""], "it still runs"
            await store.look_after()
            await store.finish(
                "open", "complete", Verdict(id="open", question="?", headline="", answer="")
            )  # with no word in it
            await store.look_after()
            before[[row[1] for row in before].index("open")] = database.execute(
                "SELECT * FROM memories WHERE consultation = 'open' AND answer = ' '"
            ).fetchone()
            await store.look_after()
            assert database.execute("SELECT * FROM memories ORDER BY id").fetchall() == before
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# ----------------------------------------------------------------------------------------------- cached replies


async def keep_replies(home: Path, *ago: timedelta) -> None:
    replies = SqliteReplies(home)
    for number, each in enumerate(ago):
        at, until = (datetime.now(UTC) - each).timestamp(), time.time() + 1000
        replies.put(bytes([number]) * 32, f"{DOOMED}{number}".encode() * 100, at, until)
    await replies.flush()
    await replies.aclose()


def kept_replies(home: Path) -> list[int]:
    with closing(sqlite3.connect(home / "cache.db")) as database:
        return [key[0] for (key,) in database.execute("SELECT key FROM reply ORDER BY key")]


async def test_with_a_consultation_the_cached_replies_of_its_time_are_forgotten(environ: dict[str, str]) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    async with open_store(home, strict=True) as store:
        await ask(store, "one", "Why?", "So.")
    await keep_replies(home, timedelta(0), timedelta(hours=1))
    async with Orchestra.open(environ) as orchestra:
        assert (await orchestra.forget(["one"])).replies
    assert kept_replies(home) == [1]
    everything = bytes_of(home, "cache*")
    assert f"{DOOMED}0".encode() not in everything
    assert f"{DOOMED}1".encode() in everything


async def test_one_that_cannot_be_read_is_forgotten_with_all_cached_replies(environ: dict[str, str]) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    async with open_store(home, strict=True) as store:
        await ask(store, "one", "Why?", "So.")
    with closing(sqlite3.connect(home / "orchestra.db")) as database:
        database.execute("UPDATE consultations SET question = '{}'")
        database.commit()
    await keep_replies(home, timedelta(0), timedelta(hours=1))
    async with Orchestra.open(environ) as orchestra:
        assert (await orchestra.forget(["one"])).consultations == 1
    assert kept_replies(home) == []


async def test_what_is_older_than_a_date_is_forgotten_with_its_cached_replies(environ: dict[str, str]) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    await keep_replies(home, timedelta(0), timedelta(days=2), timedelta(days=9))
    async with Orchestra.open(environ) as orchestra:
        assert (await orchestra.forget(before=datetime.now(UTC) - timedelta(days=7))).replies
        assert kept_replies(home) == [0, 1]
        assert not (await orchestra.forget(before=datetime.now(UTC) - timedelta(days=7))).replies


# ------------------------------------------------------------------------------------------- a council that is killed


@pytest.fixture
def waiting(environ: dict[str, str], tmp_path: Path) -> Iterator[Upstream]:
    with Upstream({"ada": Expert(expert("Keep it")), "bob": Expert(fault="hang")}) as upstream:
        config = tmp_path / "orchestra.toml"
        config.write_text(upstream.models_toml())
        environ["ORCHESTRA_CONFIG"] = str(config)
        yield upstream


@posix_only
async def test_what_was_seen_of_a_council_is_there_when_its_process_is_killed(
    environ: dict[str, str], waiting: Upstream, tmp_path: Path
) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    program = [sys.executable, "-m", "orchestra_mcp", "ask", "Why does it wait?", "--quiet"]
    given = {**environ, "PYTHONPATH": str(ROOT)}
    nowhere = subprocess.DEVNULL
    async with await anyio.open_process(program, env=given, cwd=tmp_path, stdout=nowhere, stderr=nowhere) as process:
        try:
            await waiting.wait_until(lambda: {"ada", "bob"} <= {call.expert for call in waiting.calls}, 20)
            async with open_store(home, strict=True) as store:
                with anyio.fail_after(20):  # stored every half second
                    while not any(span.name.startswith("chat") for span in (await store.get("latest")).spans):  # noqa: ASYNC110 - another process writes it
                        await anyio.sleep(0.05)
        finally:
            process.kill()
    async with open_store(home, strict=True) as store:
        kept = await store.get("latest")
    assert kept.status == "interrupted"
    assert {"collect", "search_memory", "convene"} <= {span.name for span in kept.spans}
    assert any(span.name.startswith("chat") for span in kept.spans)
