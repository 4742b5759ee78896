"""A data directory that cannot be used, from the beginning or in the middle: clear words, and the council still answers."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.checks import CHECKS
from orchestra_mcp.cli.doctor import guarded
from orchestra_mcp.errors import SettingsError, StoreError
from orchestra_mcp.store import database, makeshift, open_store
from orchestra_mcp.store.access import open_access
from orchestra_mcp.store.migrations import LATEST
from orchestra_mcp.store.replies import SqliteReplies
from orchestra_mcp.store.secretfile import secret_file
from orchestra_mcp.store.sqlite import SqliteStore
from orchestra_mcp.store.tenants import EVERYWHERE
from orchestra_mcp.types import Question, Verdict

SAME = "the cache is stale"
DIARY = b"This is a diary, not a database. " * 200


@asynccontextmanager
async def council(environ: dict[str, str], tmp_path: Path) -> AsyncIterator[Orchestra]:
    with Upstream({"ada": Expert(expert(SAME)), "bob": Expert(expert(SAME)), "eve": Expert(expert(SAME))}) as upstream:
        file = tmp_path / "orchestra.toml"
        file.write_text(upstream.models_toml())
        async with Orchestra.open({**environ, "ORCHESTRA_CONFIG": str(file)}) as orchestra:
            yield orchestra


async def answer(orchestra: Orchestra) -> Verdict:
    with anyio.fail_after(30):
        verdict = await orchestra.ask(Question(text="Why is the page old?", deadline_s=25))
    assert verdict.status == "complete", verdict.notes
    assert verdict.solutions[0].position == SAME
    return verdict


async def used(home: Path) -> None:
    """A data directory in which somebody has asked and allowed something."""
    async with open_store(home, strict=True) as store:
        await store.begin("c1", Question(text="Why?"), "c1")
        await store.finish("c1", "failed", None)
        await store.allow("/p", frozenset({"anthropic"}))


# ------------------------------------------------------------------------------------------------ from the beginning


async def newer(home: Path) -> str:
    await used(home)
    with closing(sqlite3.connect(home / "orchestra.db", isolation_level=None)) as raw:
        raw.execute(f"PRAGMA user_version = {LATEST + 1}")
    return "Upgrade orchestra"


def unlink_database(home: Path) -> None:
    for file in home.glob("orchestra.db*"):
        file.unlink()


async def diary(home: Path) -> str:
    await used(home)
    unlink_database(home)
    (home / "orchestra.db").write_bytes(DIARY)
    return "damaged. Nothing was deleted"


async def torn(home: Path) -> str:
    """The first page, with the schema, is overwritten beyond the header."""
    await used(home)
    with (home / "orchestra.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3996)
    return "damaged. Nothing was deleted"


async def a_file(home: Path) -> str:
    await anyio.Path(home).write_text("no directory")
    return "cannot be written"


@pytest.mark.parametrize("spoil", [newer, diary, torn, a_file])
async def test_a_council_answers_without_its_store_and_leaves_what_is_there_alone(
    spoil: Callable[[Path], object], environ: dict[str, str], tmp_path: Path
) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    advice = await spoil(home)  # type: ignore[misc]
    database = home if spoil is a_file else home / "orchestra.db"
    before = database.read_bytes()
    async with open_store(home) as store:
        assert advice in store.trouble
        assert "only until this Orchestra ends" in store.trouble
        assert str(home) not in store.trouble
    async with council(environ, tmp_path) as orchestra:
        verdict = await answer(orchestra)
        assert (await orchestra.consultation("latest")).id == verdict.id, "it is kept as long as Orchestra runs"
        assert [one.id for one in await orchestra.history()] == [verdict.id]
    assert database.read_bytes() == before
    with pytest.raises(StoreError):
        async with open_store(home, strict=True):
            pass


async def test_what_was_allowed_is_taken_over_so_that_nobody_is_asked_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await newer(home)
    async with open_store(home) as store:
        assert await store.allowed("/p") == {"anthropic"}
        await store.allow("/p", frozenset({"openai"}))
        assert await store.allowed("/p") == {"anthropic", "openai"}
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        assert raw.execute("SELECT provider FROM consents").fetchall() == [("anthropic",)]


async def test_the_makeshift_store_writes_no_file_and_keeps_everything_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, home = tmp_path / "scratch", tmp_path / "home"
    scratch.mkdir()
    home.write_text("no directory")
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    async with open_store(home) as store:
        assert "cannot be written" in store.trouble
        await store.begin("c1", Question(text="Why does the tokenizer hang?"), "c1")
        assert (await store.get("c1")).status == "running"
        assert [found.summary.id for found in await store.memory.search("tokenizer")] == ["c1"]
        assert await store.memory.forget(["c1"]) == 0
        await store.finish("c1", "failed", None)
        assert await store.memory.forget(["c1"]) == 1
        await store.look_after()
        assert list(scratch.iterdir()) == []  # so that nothing stays after `kill -9` either


async def test_a_store_in_memory_keeps_what_it_is_told() -> None:
    store = await SqliteStore.open(None, "no disk")
    try:
        await store.begin("c1", Question(text="Why?"), "c1")
        assert ([s.status for s in await store.list()], store.trouble) == (["running"], "no disk")
    finally:
        await store.close()


@pytest.mark.parametrize("spoil", [newer, diary, a_file])
async def test_keys_that_cannot_be_read_let_only_the_owner_in(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    home = tmp_path / "home"
    advice = await spoil(home)  # type: ignore[misc]
    async with open_access(home) as access:
        assert "Only the owner's token" in access.trouble
        assert str(advice) in access.trouble or "pepper" in access.trouble
        assert await access.admit("orc_abcdefgh_" + "x" * 43) is None
        assert await access.owns(EVERYWHERE, "c1")
        with pytest.raises(StoreError, match="Only the owner"):
            await access.keys(EVERYWHERE)
    with pytest.raises(Exception, match=r"ORCHESTRA_HOME|orchestra\.db"):
        async with open_access(home, strict=True):
            pass


def asked(url: str, key: str) -> tuple[int, str]:
    """Ask a server for an answer; the status and what was said."""
    body = json.dumps({"model": "ada", "messages": [{"role": "user", "content": "6 · 7?"}]}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(f"{url}/v1/chat/completions", body, headers), timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_server_answers_its_owner_when_neither_store_nor_keys_can_be_read(
    environ: dict[str, str], tmp_path: Path
) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    anyio.run(newer, home)
    config = tmp_path / "orchestra.toml"
    program = [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0"]
    with Upstream({"ada": Expert("42")}) as upstream:
        config.write_text(upstream.models_toml())
        with subprocess.Popen(
            program, stderr=subprocess.PIPE, text=True, env={**environ, "ORCHESTRA_CONFIG": str(config)}
        ) as process:
            assert process.stderr is not None
            lines = list[str]()
            try:
                while not lines or "Clients must send" not in lines[-1]:
                    lines.append(process.stderr.readline())
                    assert lines[-1], lines
                url = next(line for line in lines if "listens on" in line).split()[3].rsplit("/", 1)[0]
                status, said = asked(url, (home / "token").read_text().strip())
                assert (status, "42" in said) == (200, True)
                assert asked(url, "orc_abcdefgh_" + "x" * 43)[0] == 401
            finally:
                process.terminate()
                lines += process.stderr.readlines()
    told = "".join(lines)
    assert "Only the owner's token gets in" in told
    assert "Upgrade orchestra" in told
    assert "Traceback" not in told


# -------------------------------------------------------------------------------- file systems that refuse (as root)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte of our own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounts = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount")
    made = mounts and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("only root may mount a file system, and not in every container")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError:
                    break


async def test_a_council_answers_from_a_read_only_directory_and_remembers_what_was_allowed(
    disk: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    home = disk / "data"
    environ["ORCHESTRA_HOME"] = str(home)
    await used(home)
    await anyio.run_process(["mount", "-o", "remount,ro", str(disk)])
    async with open_store(home) as store:
        assert "cannot be written" in store.trouble
        assert await store.allowed("/p") == {"anthropic"}
    async with open_access(home) as access:
        assert access.trouble
    async with council(environ, tmp_path) as orchestra:
        await answer(orchestra)


async def test_a_council_answers_on_a_disk_that_is_full(disk: Path, environ: dict[str, str], tmp_path: Path) -> None:
    home = disk / "data"
    environ["ORCHESTRA_HOME"] = str(home)
    fill(disk)
    async with open_store(home) as store:
        assert "full" in store.trouble
    async with council(environ, tmp_path) as orchestra:
        await answer(orchestra)


async def test_a_disk_that_fills_in_the_middle_costs_the_record_and_heals(
    disk: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    home = disk / "data"
    environ["ORCHESTRA_HOME"] = str(home)
    async with council(environ, tmp_path) as orchestra:
        first = await answer(orchestra)
        fill(disk)
        second = await answer(orchestra)
        assert any("disk that holds" in note and "is full" in note for note in second.notes)
        (disk / "ballast").unlink()
        third = await answer(orchestra)
        assert not any("full" in note for note in third.notes)
        kept = {one.id for one in await orchestra.history()}
        assert {first.id, third.id} <= kept
    async with open_store(home, strict=True) as store:
        assert store.trouble == ""


# ----------------------------------------------------------------------------------------------------- in the middle


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted there")
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_database_that_is_deleted_under_a_council_costs_the_record_and_says_so(
    replaced: bool, environ: dict[str, str], tmp_path: Path
) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    async with council(environ, tmp_path) as orchestra:
        await answer(orchestra)
        unlink_database(home)
        if replaced:
            await used(home)
        verdict = await answer(orchestra)
        assert any("moved, deleted or replaced" in note for note in verdict.notes)
    async with open_store(home, strict=True) as store:
        assert [one.id for one in await store.list()] == (["c1"] if replaced else [])


async def test_a_database_that_is_damaged_in_the_middle_costs_the_record_and_says_so(
    environ: dict[str, str], tmp_path: Path
) -> None:
    home = Path(environ["ORCHESTRA_HOME"])
    await used(home)
    with closing(sqlite3.connect(home / "orchestra.db")) as raw:
        pages = [page for (page,) in raw.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0")]
    with (home / "orchestra.db").open("r+b") as file:  # all tables, not the schema
        for page in pages:
            file.seek(4096 * (page - 1))
            file.write(b"\xa5" * 4096)
    async with council(environ, tmp_path) as orchestra:
        verdict = await answer(orchestra)
        assert any("is damaged" in note for note in verdict.notes)


async def test_a_store_says_what_fails_now_and_no_longer_says_it_when_it_is_over(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_store(home, strict=True) as store:
        assert store.trouble == ""
        (home / "orchestra.db").rename(home / "away.db")
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            await store.begin("c1", Question(text="Why?"), "c1")
        assert "moved, deleted or replaced" in store.trouble
        await store.allow("/p", frozenset({"anthropic"}))  # counts all the same
        assert await store.allowed("/p") == {"anthropic"}
        (home / "away.db").rename(home / "orchestra.db")
        await store.begin("c1", Question(text="Why?"), "c1")
        assert store.trouble == ""


async def test_the_cache_goes_on_after_a_disk_was_full(disk: Path) -> None:
    replies = SqliteReplies(disk)
    try:
        replies.put(b"k" * 32, b"first", 0.0, 4e9)
        await replies.flush()
        fill(disk)
        replies.put(b"l" * 32, b"x" * 100_000, 0.0, 4e9)
        await replies.flush()
        (disk / "ballast").unlink()
        replies.put(b"m" * 32, b"third", 0.0, 4e9)
        await replies.flush()
        assert await replies.get(b"k" * 32) == b"first"
    finally:
        await replies.aclose()
    with closing(sqlite3.connect(disk / "cache.db")) as raw:
        assert {bytes(row[0])[:1] for row in raw.execute("SELECT key FROM reply")} == {b"k", b"m"}


def test_consents_of_nothing_are_none(tmp_path: Path) -> None:
    assert makeshift.consents_of(database.Place(tmp_path / "missing")) == {}


# ------------------------------------------------------------------------------------------------------- said clearly


async def test_the_doctor_says_what_to_do_about_a_newer_database(environ: dict[str, str]) -> None:
    await newer(Path(environ["ORCHESTRA_HOME"]))
    (found,) = await guarded("store", CHECKS["store"], environ, 30)
    assert found.state == "fail"
    assert found.detail.endswith(f"has schema {LATEST + 1}; this orchestra knows {LATEST} at most.")
    assert found.mend == "Upgrade orchestra, or set ORCHESTRA_HOME to another directory."


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_secret_that_others_can_read_is_named_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "me" / "data" / "pepper"
    assert secret_file(file) == secret_file(file)
    file.chmod(0o644)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    with pytest.raises(
        SettingsError, match=r"^~/data/pepper can be read by other users\. Run: chmod 600 ~/data/pepper$"
    ):
        secret_file(file)
    monkeypatch.setenv("HOME", str(tmp_path / "you"))
    with pytest.raises(SettingsError, match=r"Run: chmod 600 \$ORCHESTRA_HOME/pepper$"):
        secret_file(file)
