"""Past consultations through every door: searched, exported, forgotten, continued elsewhere, kept for so long."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from doors import Door, serving
from mcp import Client
from mcp.types import TextContent
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.running import run_command
from orchestra_mcp.errors import UserError
from orchestra_mcp.foreign import plain
from orchestra_mcp.report import found_report
from orchestra_mcp.store import open_store
from orchestra_mcp.store.replies import SqliteReplies
from orchestra_mcp.tools.server import build_server
from orchestra_mcp.types import Consultation, Found, Question, Summary

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
QUESTION = "Why does read_lines drop the last line of a file without a newline at its end?"
POSITION = "Do not cut the last element in read_lines"
MARKER = "zanzibar"


@pytest.fixture
def council(environ: dict[str, str], tmp_path: Path) -> Iterator[Upstream]:
    with Upstream({name: Expert(expert(POSITION)) for name in ("ada", "bob")}) as upstream:
        configure(environ, tmp_path, upstream)
        yield upstream


def configure(environ: dict[str, str], tmp_path: Path, upstream: Upstream, more: str = "") -> None:
    config = tmp_path / "orchestra.toml"
    config.write_text(upstream.models_toml() + more)
    environ["ORCHESTRA_CONFIG"] = str(config)


async def ask(environ: dict[str, str], text: str, root: Path | None = None) -> str:
    async with Orchestra.open(environ) as orchestra:
        return (await orchestra.ask(Question(text=text, project=str(root) if root else None, effort="quick"))).id


class Shell:
    """`orchestra` on the command line of this process, which saves its start."""

    def __init__(
        self, environ: dict[str, str], cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._environ, self._cwd, self._patch, self._capsys = environ, cwd, monkeypatch, capsys

    def __call__(self, *args: str) -> Done:
        with self._patch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in self._environ.items():
                patch.setenv(name, value)
            patch.chdir(self._cwd)
            patch.setattr(sys, "argv", ["orchestra", *args])
            patch.setattr(sys, "stdin", io.StringIO())
            self._capsys.readouterr()
            code = run_command(args)
            out, err = self._capsys.readouterr()
        return Done(code, out, err)


class Done(NamedTuple):
    """What a command gave."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(
    environ: dict[str, str], repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(environ, repo, monkeypatch, capsys)


def bytes_of(home: Path) -> bytes:
    """All that lies in a data directory; in a child, since no file may be opened and closed that SQLite has open here."""
    code = "import pathlib, sys\nfor f in pathlib.Path(sys.argv[1]).rglob('*'):\n    f.is_file() and sys.stdout.buffer.write(f.read_bytes())"
    return subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, check=True, timeout=60).stdout


# ------------------------------------------------------------------------------------------------------------- MCP


async def search(environ: dict[str, str], **arguments: object) -> str:
    async with Client(build_server(environ)) as client:
        result = await client.call_tool("get_consultation", dict(arguments))
        text = "".join(part.text for part in result.content if isinstance(part, TextContent))
        assert not result.is_error, text
        return text


async def test_the_tool_finds_consultations_of_its_own_project_by_words(
    environ: dict[str, str], repo: Path, tmp_path: Path, council: Upstream
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\n')
    mine, theirs = await ask(environ, QUESTION, repo), await ask(environ, f"{QUESTION} In other?", other)
    async with Orchestra.open(environ) as orchestra:
        await orchestra.mark(mine, 1, "worked")
    environ["ORCHESTRA_PROJECT_DIR"] = str(repo)
    text = await search(environ, query="newline end of file")
    assert mine in text
    assert theirs not in text
    assert "solution 1 worked" in text
    assert f"{datetime.now(UTC):%Y-%m-%d}" in text
    assert re.search(r"\*\*newline\*\*", text)
    assert f'get_consultation(id="{mine}")' in text
    assert "Nothing that was asked before" in await search(environ, query="kubernetes ingress")
    assert mine in await search(environ, id=mine)  # ids are what they were
    both = await search(environ, query="newline", id=mine, detail="full")
    assert both.startswith("A search takes no `id` and `detail`")
    configure(environ, tmp_path, council, "\n[memory]\nacross_projects = true\n")
    text = await search(environ, query="newline end of file")
    assert mine in text
    assert theirs in text


def found(snippet: str, question: str = "Why?", **more: Any) -> Found:
    summary = Summary(
        id="c1", question=question, strategy="consult", mode="debug", project="/p/shop", status="complete",
        started=datetime(2026, 3, 1, tzinfo=UTC), confidence=0.72,
    )  # fmt: skip
    return Found(summary=summary, snippet=snippet, **more)


def test_a_match_says_when_what_became_of_it_and_where_it_fits() -> None:
    said = found_report((found("the \x02last\x03 line"),), {"c1": "solution 1 worked"})
    assert said == "1. `c1` 2026-03-01, complete, confidence 72%, solution 1 worked: Why?  \n   the **last** line"
    assert "shop, by meaning" in found_report((found("", by="meaning"),), {}, projects=True)


@pytest.mark.parametrize(
    "hostile",
    [
        "a\n# Heading\n- obey",
        "**\x02bold\x03** [click](http://x)",
        "![i](http://x/\x02y\x03)",
        "\x1b]0;t\x07\x02x",
        "| a | b |",
    ],
)
def test_words_of_a_match_cannot_become_anything_but_words(hostile: str) -> None:
    said = found_report((found(hostile, question=hostile),), {})
    assert len(said.splitlines()) == 2
    assert not re.search(r"^\s*#|\]\(http|\x1b|!\[", said, re.MULTILINE)
    # The only bold type is ours: asterisks of others are spelled out, and ours come in pairs.
    assert said.replace("\\*\\*", "").count("**") % 2 == 0
    assert plain(said) == said


# ---------------------------------------------------------------------------------------------------- command line


def test_the_command_line_searches_with_highlights_and_as_json(
    environ: dict[str, str], repo: Path, council: Upstream, run: Shell
) -> None:
    id = anyio.run(ask, environ, QUESTION, repo)
    done = run("history", "--search", "newline")
    assert done.returncode == 0, done.stderr
    assert f"1. {id} " in done.stdout
    assert "newline" in done.stdout
    assert "**" not in done.stdout, "a terminal reads no Markdown"
    (one,) = json.loads(run("history", "--search", '"last line"', "--json").stdout)
    assert one["summary"]["id"] == id
    assert "\x02" in one["snippet"]
    nothing = run("history", "--search", 'NEAR("* -')
    assert nothing.returncode == 0, nothing.stderr


def test_an_export_gives_the_same_nouns_back(
    environ: dict[str, str], repo: Path, council: Upstream, run: Shell
) -> None:
    first, second = anyio.run(ask, environ, f"{QUESTION} …\u2028é", repo), anyio.run(ask, environ, "And elsewhere?")
    here = run("export")
    assert here.returncode == 0, here.stderr
    assert [json.loads(line)["id"] for line in here.stdout.splitlines()] == [first]
    everything = run("export", "--all")
    restored = [Consultation.model_validate_json(line) for line in everything.stdout.splitlines()]

    async def stored() -> list[Consultation]:
        async with open_store(Path(environ["ORCHESTRA_HOME"])) as store:
            return [await store.get(first), await store.get(second)]

    assert restored == anyio.run(stored)
    assert run("export", "--all", "--before", "2020-01-01").stdout == ""
    assert len(run("export", "--all", "--since", "1h").stdout.splitlines()) == 2
    assert run("export", "--since", "yesterday").returncode == 2


def test_an_export_into_a_file_is_for_its_owner_only(
    environ: dict[str, str], repo: Path, tmp_path: Path, council: Upstream, run: Shell
) -> None:
    anyio.run(ask, environ, QUESTION, repo)
    file = tmp_path / "out.md"
    done = run("export", "--format", "markdown", "-o", str(file), "--json")
    assert json.loads(done.stdout) == {"exported": 1, "format": "markdown", "file": str(file)}
    assert QUESTION in file.read_text("utf-8")
    assert POSITION in file.read_text("utf-8")
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    nowhere = run("export", "-o", str(tmp_path / "no" / "where"))
    assert nowhere.returncode == 1
    assert "cannot be written" in nowhere.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")] == []


def test_forgetting_needs_a_word_and_leaves_nothing_behind(
    environ: dict[str, str], repo: Path, council: Upstream, run: Shell
) -> None:
    kept = anyio.run(ask, environ, "What stays?", repo)
    gone = anyio.run(ask, environ, f"Why is {MARKER} cut off?", repo)
    home = Path(environ["ORCHESTRA_HOME"])
    assert MARKER.encode() in bytes_of(home)
    refused = run("forget", gone)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert "1 consultation" in refused.stderr
    done = run("forget", gone, "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 consultation forgotten." in done.stdout
    assert MARKER.encode() not in bytes_of(home)
    assert [one["id"] for one in json.loads(run("history", "--json").stdout)] == [kept]
    assert run("show", gone).returncode == 1
    assert run("forget", "nosuchid", "--yes").returncode == 1
    assert run("forget").returncode == 2
    assert run("forget", "--all", "--before", "1d").returncode == 2


@pytest.mark.parametrize(
    "command",
    [
        ("forget", "--all", "--yes"), ("export", "--all", "-o", "backup.jsonl"), ("history", "--all"), ("show",),
        ("history", "--all", "--search", "newline"), ("outcome", "worked"), ("experts",), ("history", "--json"),
    ],
)  # fmt: skip
def test_what_is_about_kept_records_fails_when_they_cannot_be_seen(
    command: tuple[str, ...], run: Shell, council: Upstream, environ: dict[str, str], repo: Path
) -> None:
    id = anyio.run(ask, environ, QUESTION)
    database = Path(environ["ORCHESTRA_HOME"]) / "orchestra.db"
    with closing(sqlite3.connect(database)) as connection:
        [(version,)] = connection.execute("PRAGMA user_version")
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    (repo / "backup.jsonl").write_text("what was kept before\n")
    done = run(*command)
    assert done.returncode == 1
    assert "has schema 99" in done.stdout + done.stderr
    assert (repo / "backup.jsonl").read_text() == "what was kept before\n"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        assert connection.execute("SELECT id FROM consultations").fetchall() == [(id,)]


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("said", "code", "left"), [(b"n\n", 1, 1), (b"y\n", 0, 0)])
def test_on_a_terminal_it_is_asked_first(
    environ: dict[str, str], repo: Path, council: Upstream, run: Shell, said: bytes, code: int, left: int
) -> None:
    anyio.run(ask, environ, QUESTION, repo)
    import pty

    ours, theirs = pty.openpty()
    try:
        os.write(ours, said)
        done = subprocess.run(
            [BIN / "orchestra", "forget", "--project"], cwd=repo, env=environ, stdin=theirs, stderr=theirs,
            stdout=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
        asked = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "1 consultation of records" in asked
    assert "[y/N]" in asked
    assert done.returncode == code
    assert len(json.loads(run("history", "--json").stdout)) == left


async def test_a_forgotten_consultation_does_not_live_on_in_those_that_were_shown_it(
    environ: dict[str, str], council: Upstream
) -> None:
    first = await ask(environ, f"Should carts of {MARKER} be kept in Redis or in Postgres?")
    second = await ask(environ, "We keep carts in Postgres: is Redis better for carts?")
    async with Orchestra.open(environ) as orchestra:
        dossier = (await orchestra.consultation(second)).dossier
        assert dossier is not None
        assert [case.id for case in dossier.past] == [first]
        assert (await orchestra.forget([first])).consultations == 1
    assert MARKER.encode() not in bytes_of(Path(environ["ORCHESTRA_HOME"]))


def test_a_whole_project_is_forgotten_with_its_index_and_the_cache(
    environ: dict[str, str], repo: Path, council: Upstream, run: Shell
) -> None:
    (repo / "src" / "islands.py").write_text(f"def {MARKER}_count():\n    return 3\n")
    here, elsewhere = (
        anyio.run(ask, environ, f"What is {MARKER}_count for?", repo),
        anyio.run(ask, environ, "What stays?"),
    )
    home = Path(environ["ORCHESTRA_HOME"])

    async def cache() -> None:
        replies = SqliteReplies(home)
        replies.put(b"k" * 32, f"an answer about {MARKER}".encode(), 0, 9e9)
        await replies.flush()
        await replies.aclose()

    anyio.run(cache)
    assert MARKER.encode() in bytes_of(home)
    index = next((home / "index").glob("*.db"))
    with closing(sqlite3.connect(index)) as words:
        assert words.execute("SELECT count(*) FROM posting").fetchone()[0] > 0
    done = run("forget", "--project", "--yes", "--json")
    assert json.loads(done.stdout) == {"consultations": 1, "running": 0, "index": True, "replies": True}
    assert MARKER.encode() not in bytes_of(home)
    assert here
    assert [one["id"] for one in json.loads(run("history", "--all", "--json").stdout)] == [elsewhere]

    async def again() -> tuple[str, ...]:
        async with Orchestra.open(environ) as orchestra:
            question = Question(text=f"Where is {MARKER}_count?", project=str(repo), effort="quick")
            return (await orchestra.ask(question)).sent.files

    assert "src/islands.py" in anyio.run(again)  # the code is read anew


async def test_what_runs_is_left_alone_and_nothing_is_forgotten_by_accident(
    environ: dict[str, str], council: Upstream
) -> None:
    council.experts["ada"].fault = council.experts["bob"].fault = "hang"
    async with Orchestra.open(environ) as orchestra:
        run = await orchestra.start(Question(text="Why does it hang?", effort="quick"))
        left = await orchestra.forget(everything=True)
        assert (left.consultations, left.running) == (0, 1)
        assert orchestra.run(run.id) is run
        await run.cancel()
        assert (await orchestra.forget(everything=True)).consultations == 1
        assert orchestra.run(run.id) is None
        with pytest.raises(UserError):
            await orchestra.forget()


async def test_what_is_too_old_is_forgotten_once_a_day(
    environ: dict[str, str], tmp_path: Path, council: Upstream
) -> None:
    old, new = await ask(environ, "Old?"), await ask(environ, "New?")
    past = int((datetime.now(UTC) - timedelta(days=31)).timestamp() * 1_000_000)
    with closing(sqlite3.connect(Path(environ["ORCHESTRA_HOME"]) / "orchestra.db")) as database, database:
        database.execute("UPDATE consultations SET started = ? WHERE id = ?", (past, old))
    async with Orchestra.open(environ) as orchestra:
        assert await orchestra.keeping.retire() == 0  # nobody said so
    configure(environ, tmp_path, council, "\n[memory]\nkeep_days = 30\n")
    async with Orchestra.open(environ) as orchestra, Orchestra.open(environ) as another:
        done = [await orchestra.keeping.retire(), await another.keeping.retire()]
        assert done == [1, 0]
        assert [one.id for one in await orchestra.history()] == [new]


# ------------------------------------------------------------------------------------------------------------ HTTP


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    experts = {"ada": Expert(expert(POSITION)), "bob": Expert(expert(POSITION))}
    with serving(tmp_path_factory.mktemp("home"), experts, "--admin") as opened:
        yield opened


def asked(door: Door, text: str, key: str = "") -> str:
    reply = door.post("/api/consultations", {"question": text, "wait_s": 30, "effort": "quick"}, key)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def test_a_search_over_http_finds_what_the_caller_may_see(door: Door) -> None:
    team, others = door.new_key("team", "searcher"), door.new_key("others", "stranger")
    mine, owners = asked(door, "Why is the walrus slow?", team), asked(door, "Is the walrus fast?")

    def ids(key: str = "", query: str = "walrus", more: str = "") -> list[str]:
        reply = door.get(f"/api/consultations?query={query}{more}", key)
        assert reply.status_code == 200, reply.text
        body = reply.json()
        assert [one["summary"]["id"] for one in body["found"]] == [one["id"] for one in body["consultations"]]
        return [one["id"] for one in body["consultations"]]

    assert set(ids()) == {mine, owners}
    assert ids(team) == [mine]
    assert ids(others) == []
    assert len(ids(more="&limit=1&offset=1")) == 1
    assert ids(query="%22NEAR(%00*") == []
    assert "\x02walrus\x03" in door.get("/api/consultations?query=walrus", team).json()["found"][0]["snippet"]


def test_who_may_manage_may_remove_and_nobody_else(door: Door) -> None:
    member, admin = door.new_key("crew", "member"), door.new_key("crew", "admin", role="admin")
    stranger = door.new_key("strangers", "admin", role="admin")
    id = asked(door, "Why is the heron blue?", member)
    assert door.call("DELETE", f"/api/consultations/{id}", member).status_code == 403
    assert door.call("DELETE", f"/api/consultations/{id}", stranger).status_code == 404
    assert door.call("DELETE", f"/api/consultations/{id}", admin).json() == {"forgotten": True}
    assert door.get(f"/api/consultations/{id}", admin).status_code == 404
    assert door.get(f"/api/consultations/{id}").status_code == 404
    assert b"heron" not in bytes_of(door.home / "data")


def test_the_owner_exports_and_nobody_else(door: Door) -> None:
    member = door.new_key("crew", "exporter")
    id = asked(door, "Which otter was it?", member)
    assert door.get("/api/export", member).status_code == 403
    reply = door.get("/api/export")
    assert reply.headers["content-type"].startswith("application/x-ndjson")
    restored = [Consultation.model_validate_json(line) for line in reply.text.split("\n") if line]
    assert id in [one.id for one in restored]
    assert door.get("/api/export?before=2020-01-01").text == ""
    assert door.get("/api/export?since=soon").status_code == 400


# ------------------------------------------------------------------------------------------------------ continuing


@contextmanager
def stdio(environ: dict[str, str], cwd: Path) -> Iterator[Any]:
    """An editor's own server: the real MCP server in a process of its own; gives a function that calls a tool."""
    command = [sys.executable, "-m", "orchestra_mcp.tools.entry"]
    environ = {**environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=cwd, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        numbers = iter(range(1, 100))

        def send(method: str, params: dict[str, Any], awaited: bool = True) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
            number = next(numbers) if awaited else None
            process.stdin.write(json.dumps({**message, "id": number} if awaited else message) + "\n")
            process.stdin.flush()
            while awaited:
                reply = json.loads(process.stdout.readline())
                if reply.get("id") == number:
                    return reply["result"]
            return None

        send(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
        )
        send("notifications/initialized", {}, awaited=False)

        def call(tool: str, **given: object) -> Any:
            result = send("tools/call", {"name": tool, "arguments": given})
            assert not result.get("isError"), result
            return result["structuredContent"]

        yield call
        process.stdin.close()
        process.wait(10)


def test_a_conversation_goes_on_in_another_tool_after_a_restart_and_over_http(repo: Path, tmp_path: Path) -> None:
    experts = {"ada": Expert(expert(POSITION)), "bob": Expert(expert(POSITION))}
    with serving(tmp_path, experts) as door:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "ORCHESTRA_HOME": str(door.home / "data"),
            "ORCHESTRA_CONFIG": str(door.home / "orchestra.toml"),
        }
        with stdio(environ, repo) as call:
            first = call("consult_expert_council", question=QUESTION, project_dir=str(repo), effort="quick")[
                "consultation_id"
            ]
        said = subprocess.run(
            [BIN / "orchestra", "ask", "And for empty files?", "--continue", first, "--effort", "quick", "--json"],
            cwd=repo, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        second = json.loads(said.stdout)["id"]
        given = {"question": "And on Windows?", "consultation_id": second, "wait_s": 30, "effort": "quick"}
        third = door.post("/api/consultations", given).json()["id"]
        prompts = [call.prompt for call in door.upstream.calls if "And on Windows?" in call.prompt]
        assert prompts
        assert all(QUESTION in prompt and "And for empty files?" in prompt for prompt in prompts)
        with stdio(environ, repo) as call:  # another window, another server
            kept = call("get_consultation", id=third)
            assert kept["status"] in ("complete", "degraded")
            assert third in call("get_consultation", query="Windows")["report"]

        async def thread() -> Sequence[str]:
            async with open_store(door.home / "data") as store:
                return [turn.id for turn in await store.thread(third)]

        assert anyio.run(thread) == [first, second, third]
