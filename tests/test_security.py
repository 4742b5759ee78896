"""Attacks that once went through, and some that never did: what a hostile repository, expert or caller cannot do."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import SOURCE, git
from hypothesis import given
from hypothesis import strategies as st
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.project import denied, find_root
from orchestra_mcp.context.reading import signals
from orchestra_mcp.context.reading.mentions import mentions
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.secrecy.redaction import redact, secret_values
from orchestra_mcp.context.seeds import match_files
from orchestra_mcp.errors import BadReply, ProjectError, Refused
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.dialects.decoding import Scrubber
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatEvent, ChatReply, ChatRequest, Finish, Message, TextDelta, fold
from orchestra_mcp.gateway.vendors.agents import AGENTS, AgentWire
from orchestra_mcp.gateway.vendors.discovery import discover
from orchestra_mcp.report import transcript, verdict_report
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.tools.http import Guard
from orchestra_mcp.types import Dossier, Question

posix = pytest.mark.skipif(os.name != "posix", reason="symbolic links and modes are POSIX here")
KEY = "sk-proj-Zk38fhQ0aVt7Xw2LmNp9"


def token(number: int) -> str:
    """A made-up GitHub token, another one for each number."""
    return f"ghp_{number:02d}Qx7Zt9Lm2Vb4Kw8Rn3Pj6Hd5Sg1Fc0Ty"


async def dossier(root: Path, text: str = "Why does it fail since the last commit?", **more: Any) -> Dossier:
    question = Question(text=text, project=str(root), **more)
    return await collect(question, root, ProjectEvidence(root), budget=8000)


# ------------------------------------------------------------------------------------------------ out of the root


@posix
async def test_a_directory_that_became_a_link_out_of_the_root_gives_neither_text_nor_names(tmp_path: Path) -> None:
    """Git's index still lists the files below it, and an ordinary file at the end of a linked directory is no link."""
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "ledger.py").write_text("def zebra_quantum_reconcile():\n    return 'CONTENT'\n")
    root = tmp_path / "project"
    (root / "lib").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / "lib" / "ledger.py").write_text("x = 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    shutil.rmtree(root / "lib")
    (root / "lib").symlink_to(outside)
    eyes = ProjectEvidence(root)
    assert await eyes.files() == ()
    assert await eyes.locate("zebra_quantum_reconcile") == ()
    said = (await dossier(root, "Where is the zebra quantum reconcile logic?")).model_dump_json()
    assert "zebra_quantum" not in said
    assert "CONTENT" not in said


@posix
@pytest.mark.parametrize("linked", ["objects", "ref", "HEAD", "index", "packed-refs"])
async def test_storage_of_git_that_is_linked_to_another_repository_is_not_read(tmp_path: Path, linked: str) -> None:
    """An unpacked archive may hold a `.git` of any shape; with alternates, one link makes another's history its own."""
    private = tmp_path / "private"
    private.mkdir()
    git(private, "init", "-q", "-b", "main")
    (private / "s.py").write_text("PRIVATE_CONTENT = 42\n")
    git(private, "add", "-A")
    git(private, "commit", "-qm", "a private subject")
    git(private, "pack-refs", "--all") if linked == "packed-refs" else None
    root = tmp_path / "archive"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / ".git" / "objects" / "info" / "alternates").write_text(f"{private}/.git/objects\n")
    name = {"ref": "refs/heads/main"}.get(linked, linked)
    place = root / ".git" / name
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.symlink_to(private / ".git" / name)
    assert (await Git.open(root))[0] is None
    said = (await dossier(root)).model_dump_json()
    assert "PRIVATE_CONTENT" not in said
    assert "a private subject" not in said


@posix
async def test_linked_hooks_are_common_and_harmless(repo: Path, tmp_path: Path) -> None:
    shutil.rmtree(repo / ".git" / "hooks", ignore_errors=True)
    (repo / ".git" / "hooks").symlink_to(tmp_path)
    assert (await Git.open(repo))[0] is not None


@posix
async def test_a_git_that_the_project_brought_along_is_not_run(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = repo / "git"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    fake.chmod(0o755)
    monkeypatch.chdir(repo)
    for path in (".", "", str(repo), f".{os.pathsep}{os.environ['PATH']}"):
        await Git.open(repo, {"PATH": path})
    assert not (tmp_path / "ran").exists()
    assert (await Git.open(repo, {"PATH": f".{os.pathsep}{os.environ['PATH']}"}))[0] is not None


@posix
@pytest.mark.parametrize("place", [".env", ".git/config", "../outside.py", "/etc/passwd", "link.txt"])
async def test_an_expert_cannot_have_text_confirmed_that_orchestra_does_not_show(
    repo: Path, tmp_path: Path, environ: dict[str, str], place: str
) -> None:
    (repo / ".env").write_text("A_SETTING=oracle\n")
    (tmp_path / "outside.py").write_text("A_SETTING=oracle\n")
    (repo / "link.txt").symlink_to(repo / ".env")
    right = {"claim": "a guess", "path": place, "line": 1, "quote": "A_SETTING=oracle"}
    wrong = {"claim": "a guess", "path": place, "line": 1, "quote": "A_SETTING=other"}
    with Upstream({"ada": Expert(expert("read_lines drops the last record", [right, wrong]))}) as upstream:
        verdict = await _ask(repo, environ, upstream)
    checks = [claim.check for claim in verdict[0].solutions[0].claims]
    assert [check and check.outcome for check in checks] == ["refuted", "refuted"]
    assert checks[0] == checks[1]


@pytest.mark.parametrize(
    "name",
    [
        "prod.env",
        "deploy/db.ENV",
        "service-account.json",
        "client_secret_1.json",
        "infra/terraform.tfstate",
        "vpn.ovpn",
    ],
)
def test_more_files_for_credentials_are_denied(name: str) -> None:
    assert denied(name)


@pytest.mark.parametrize("name", ["environment.py", "env.py", "tfstate.go", "service_account.py"])
def test_code_with_a_similar_name_is_not(name: str) -> None:
    assert not denied(name)


@pytest.mark.parametrize("place", [".claude", ".codex/sessions", ".gemini"])
def test_directories_in_which_coding_clis_keep_their_logins_are_no_project(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(ProjectError, match="never read"):
        find_root(str(tmp_path / place), {"HOME": str(tmp_path)})


# ------------------------------------------------------------------------------------------------------- secrets


async def _ask(repo: Path, environ: dict[str, str], upstream: Upstream, **more: Any) -> tuple[Any, str]:
    config = Path(environ["HOME"]) / "orchestra.toml"
    config.write_text("discover = false\n" + upstream.models_toml())
    async with Orchestra.open({**environ, "ORCHESTRA_CONFIG": str(config)}) as orchestra:
        asked = {"text": "Why does read_lines fail since the last commit?", "project": str(repo), **more}
        verdict = await orchestra.ask(Question(**asked))
        return verdict, verdict_report(verdict, "full") + transcript(await orchestra.consultation(verdict.id))


def _everything_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


async def test_no_planted_secret_reaches_an_expert_the_store_or_the_report(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "apps" / "web").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / "src" / "parser.py").write_text(SOURCE)
    (root / "src" / f"old_{token(1)}.py").write_text("def other():\n    return 1234567\n" * 5)
    (root / "src" / f"kept_{token(2)}.py").write_text("def read_lines_too(path):\n    return path\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", f"first {token(3)}", "--author", f"Ada {token(4)} <ada@example.org>")
    git(root, "checkout", "-qb", f"feature-{token(5)}")
    git(root, "mv", f"src/old_{token(1)}.py", "src/new.py")
    dotenv = {".env": "Tr0ub4dor-eleven", "apps/web/.env.local": "Tr0ub4dor-twelve", "prod.env": "Tr0ub4dor-thirteen"}
    for name, value in dotenv.items():
        (root / name).write_text(f'DB_PASSWORD="{value}" # not for others\n')
    quoted = "".join(f"V{n} = '{value}'\n" for n, value in enumerate(dotenv.values()))
    quoted += f'A = "one:\\n{token(6)}"\nB = "https://example.org/?a%3D{token(7)}"\nC = "\\u0022{token(8)}"\n'
    (root / "src" / "parser.py").write_text(SOURCE + quoted)
    (root / "src" / f"untracked_{token(9)}.py").write_text("def read_lines_three(path):\n    return path\n")
    error = (
        f'Traceback (most recent call last):\n  File "src/parser.py", line 6, in read_lines\n    x = "{token(10)}"\n'
    )
    with Upstream({name: Expert(expert(f"{name} says that it drops the last record")) for name in "abc"}) as upstream:
        _, report = await _ask(
            root,
            environ,
            upstream,
            text=f"Why does read_lines fail since the last commit? \x1b[31m{token(11)}\x1b[0m",
            error=f"{error}ValueError: \x1b[1m{token(12)}",
            files=("src/parser.py", f"src/kept_{token(2)}.py", token(13)),
        )
        _, again = await _ask(root, environ, upstream, diff=token(14))
        prompts = "".join(json.dumps(call.body, ensure_ascii=False) for call in upstream.calls)
    stored = _everything_in(Path(environ["ORCHESTRA_HOME"]))
    assert "Tr0ub4dor" not in prompts + report + again
    assert b"Tr0ub4dor" not in stored
    for number in range(1, 15):
        assert token(number)[6:] not in prompts + report + again, number
    assert token(1)[6:].encode() not in stored


@pytest.mark.parametrize(
    "before", ["\\n", "\\t", "%3D", "%22", "\\u0022", "\\u003d", "\x1b[31m", "\x1b[1;31m", "\x1b[m"]
)
def test_the_end_of_an_escape_does_not_hide_a_key_behind_it(before: str) -> None:
    for secret in (token(1), KEY, "AKIA2QK4XJ7LMN8PRSTV"):
        assert secret not in redact(f'x = "{before}{secret}"')[0]


def test_a_remark_behind_a_quoted_value_is_no_part_of_it() -> None:
    assert secret_values("A_KEY='Tr0ub4dor-99' # of prod\nB_KEY=\"Tr0ub4dor-98\"\nC_KEY=Tr0ub4dor-97 # x") == (
        "Tr0ub4dor-99", "Tr0ub4dor-98", "Tr0ub4dor-97",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------ endless and enormous


@pytest.mark.parametrize(
    "pattern", ["*a*a*a*a*a*a*a*a*a*a*a*a*b", "**/" * 150 + "b", "a*" * 200 + "b", "**a" * 100 + "b"]
)
def test_no_glob_takes_exponential_time(pattern: str) -> None:
    assert match_files(pattern, ["a" * 250 + "/" + "a" * 250] * 500) == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", ["a.py", "src/a.py", "src/x/b.py"]),
        ("src/*", ["src/a.py"]),
        ("src/**", ["src/a.py", "src/x/b.py", "src/x/y/c.ts"]),
        ("src/**/*.ts", ["src/x/y/c.ts"]),
        ("**/x/**", ["src/x/b.py", "src/x/y/c.ts"]),
        ("app/[id]/*", ["app/[id]/page.tsx"]),
        ("src/**/a.py", ["src/a.py"]),
        ("?.py", ["a.py", "src/a.py", "src/x/b.py"]),
        ("src/x", ["src/x/b.py", "src/x/y/c.ts"]),
    ],
)
def test_a_glob_means_what_it_means_to_git(pattern: str, expected: list[str]) -> None:
    files = ["a.py", "src/a.py", "src/x/b.py", "src/x/y/c.ts", "app/[id]/page.tsx"]
    assert match_files(pattern, files) == expected


@pytest.mark.parametrize("unit", ["+", "~", "@", "a.", "+0x"])
def test_a_question_of_signs_is_read_in_about_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            mentions(unit * (size // len(unit)), ("a.py", "b/a.py"))
            signals.read(unit * (size // len(unit)))
            best = min(best, time.process_time() - start)
        return best

    assert seconds(40_000) < 9 * max(seconds(10_000), 0.01)  # with quadratic time the ratio would be 16


@pytest.mark.parametrize(
    "attached", [{"error": "\n"}, {"text": "\n"}, {"text": "A"}, {"error": " \t\n"}, {"error": "\r\n"}]
)
async def test_a_monotonous_question_is_read_in_about_linear_time(tmp_path: Path, attached: dict[str, str]) -> None:
    async def seconds(size: int) -> float:
        more = {name: f"why {unit * size} why" for name, unit in attached.items()}
        start = time.process_time()
        await dossier(tmp_path, **more)
        return time.process_time() - start

    await seconds(100)  # whatever is loaded once
    assert await seconds(24_000) < 9 * max(await seconds(6_000), 0.05)  # with quadratic time the ratio would be 16


# ------------------------------------------------------------------------------------- hostile or broken upstreams


@contextmanager
def server(body: bytes, **headers: str) -> Iterator[str]:
    """Answers every request with these bytes, as an event stream unless it is said otherwise."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(200)
            sent = {"content-type": "text/event-stream", "content-length": str(len(body))}
            for name, value in (sent | {k.replace("_", "-"): v for k, v in headers.items()}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def chunk(text: str, **more: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more})


def stream(*events: str) -> bytes:
    end = '{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}'
    return "".join(f"data: {event}\n\n" for event in (*events, end, "[DONE]")).encode()


async def reply(url: str) -> ChatReply:
    limits = Limits(first_token_s=10, idle_s=10)
    spec = ModelSpec(base_url=url, model="m", key_env="SOME_KEY")
    request = ChatRequest(model="m", messages=(Message(role="user", text="Why?"),))
    async with open_http() as http:
        keys = Keys({"SOME_KEY": KEY})
        return await fold(
            build({"m": spec}, keys, limits, ledger=Ledger(limits), on_call=lambda _: None, http=http), request
        )


async def test_our_own_key_in_an_answer_is_taken_out_also_when_it_comes_in_pieces() -> None:
    with server(stream(chunk(f"It is {KEY[:9]}"), chunk(f"{KEY[9:]}, see."), chunk(f"Model: {KEY[:6]}"))) as url:
        assert (await reply(url)).text == f"It is […], see.Model: {KEY[:6]}"


@given(st.lists(st.sampled_from(["sk-", "abc", "12345", "x", "sk-abc12345", "sk-a"]), max_size=12))
def test_a_text_without_the_key_passes_whole_and_the_key_never(parts: list[str]) -> None:
    scrubber = Scrubber(["sk-abc12345"])
    events: list[ChatEvent] = [*(TextDelta(text=part) for part in parts), Finish(reason="stop")]
    said = "".join(e.text for event in events for e in scrubber.feed(event) if isinstance(e, TextDelta))
    assert said == "".join(parts).replace("sk-abc12345", "[…]")


@pytest.mark.parametrize("odd", ["[" * 100_000, '{"a":' * 100_000])
async def test_json_that_breaks_a_reader_is_a_bad_reply_and_nothing_worse(odd: str) -> None:
    with server(stream(chunk("The answer"), odd)) as url:
        with pytest.raises(BadReply) as caught:
            await reply(url)
        assert caught.value.kind == "garbage"


@pytest.mark.parametrize("count", ["1e300", "Infinity", "NaN", "-1", '"many"'])
async def test_a_usage_beyond_reason_is_replaced_by_an_estimate(count: str) -> None:
    usage = f'{{"choices": [], "usage": {{"prompt_tokens": {count}, "completion_tokens": {count}, "cost": 1e30}}}}'
    with server(stream(chunk("The answer"), usage)) as url:
        said = (await reply(url)).usage
    assert said.tokens < 100
    assert said.cost_usd < 1


async def test_the_vendor_s_name_of_the_model_is_one_short_printable_line() -> None:
    with server(stream(chunk("The answer", model=f"\x1b]0;title\x07\nm-1 {KEY} " + "x" * 100_000))) as url:
        name = (await reply(url)).model
    assert name.isprintable()
    assert len(name) < 150
    assert KEY not in name


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip,gzip,gzip"])
async def test_compressions_that_can_become_gigabytes_are_refused(coding: str) -> None:
    body = gzip.compress(gzip.compress(stream(chunk("The answer"))))
    with server(body, content_encoding=coding) as url, pytest.raises(BadReply, match="compression"):
        await reply(url)


async def test_an_ordinary_compression_is_read() -> None:
    with server(gzip.compress(stream(chunk("The answer"))), content_encoding="gzip") as url:
        assert (await reply(url)).text == "The answer"


@pytest.mark.parametrize("headers", [{"content_encoding": "gzip"}, {"content_type": "application/json"}])
async def test_something_strange_on_a_local_port_does_not_stop_discovery(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    with server(b"[" * 200_000, **headers) as url:
        async with open_http() as http:
            found = await discover(Keys({"HOME": str(tmp_path)}), http, ports={"vLLM": int(url.rsplit(":", 1)[1])})
    assert found.models == {}


# ------------------------------------------------------------------------------------------------- what is local


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1.evil.example/", "http://localhost@evil.example/", "http://127.0.0.1:80@evil.example/v1",
     "http://127.0.0.1\\@evil.example/", "http://[::1]@evil.example", "https://evil.example/"],
)  # fmt: skip
def test_what_only_looks_like_this_machine_is_not_local_whatever_it_is_called(url: str) -> None:
    for provider in ("", "local", "Local"):
        spec = ModelSpec(base_url=url, model="m", provider=provider)
        assert not spec.local
        assert spec.recipient.endswith("evil.example")


async def test_a_loopback_address_that_would_go_through_a_proxy_is_refused() -> None:
    with pytest.raises(Refused, match="base_url"):
        await reply("http://127.0.0.2:9/v1")


def test_codex_has_no_shell_to_read_the_disk_with() -> None:
    """Its read-only sandbox forbids writing only. Keys: https://developers.openai.com/codex/config-reference."""
    line = " ".join(AGENTS["codex"].command)
    assert "features.shell_tool=false" in line
    assert "tools.view_image=false" in line
    assert 'web_search="disabled"' in line


@posix
@pytest.mark.parametrize("path", [".", "", f".{os.pathsep}/nonexistent"])
async def test_a_coding_cli_that_the_project_brought_along_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    fake = tmp_path / "codex"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    wire = AgentWire(ModelSpec(wire="agent", model="codex"), Keys({"PATH": path}), Limits())
    with pytest.raises(Refused, match="not installed"):
        await fold(wire, ChatRequest(model="codex", messages=(Message(role="user", text="Why?"),)))
    assert not (tmp_path / "ran").exists()


# ----------------------------------------------------------------------------------------------------- HTTP door


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([(b"host", b"evil.example@localhost")], 421),
        ([(b"host", b"localhost#.evil.example")], 421),
        ([(b"host", b"localhost/evil")], 421),
        ([(b"host", b"evil.example"), (b"host", b"localhost")], 400),
        ([(b"host", b"localhost"), (b"origin", b"http://evil.example"), (b"origin", b"http://localhost")], 400),
        ([(b"host", b"localhost"), (b"origin", b"http://x@localhost")], 403),
        ([(b"host", b"localhost"), (b"origin", b"null")], 403),
        ([(b"host", b"LOCALHOST:80"), (b"origin", b"http://[::1]:80")], 200),
    ],
)
async def test_a_host_or_an_origin_that_could_be_read_in_two_ways_is_refused(
    more: list[tuple[bytes, bytes]], status: int
) -> None:
    assert await _status({"type": "http", "headers": [*more, (b"authorization", b"Bearer secret")]}) == [status]


async def test_nothing_but_http_passes_the_guard() -> None:
    with pytest.raises(ValueError, match="Only HTTP"):
        await _status({"type": "websocket", "headers": []})


async def _status(scope: dict[str, Any]) -> list[int]:
    answered: list[int] = []

    async def app(scope: object, receive: object, send: object) -> None:
        answered.append(200)

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        answered.extend([message["status"]] if "status" in message else [])

    guard: Callable[..., Any] = Guard(app, "secret", "127.0.0.1")
    await guard({"path": "/mcp", "server": ("127.0.0.1", 80), **scope}, receive, send)
    return answered
