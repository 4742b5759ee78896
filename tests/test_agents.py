"""Coding CLIs as experts: real child processes that print what the CLIs are documented to print."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from orchestra_mcp.errors import BadReply, ProviderError, Refused, Unavailable
from orchestra_mcp.gateway import build, open_http
from orchestra_mcp.gateway.money.metered import Ledger
from orchestra_mcp.gateway.provider import ChatReply, ChatRequest, Message, fold
from orchestra_mcp.gateway.vendors.agents import AGENTS, read_claude, read_codex, read_gemini
from orchestra_mcp.settings import Keys, Limits, ModelSpec
from orchestra_mcp.types import CallRecord, Usage

posix = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are POSIX scripts")

# https://developers.openai.com/codex/noninteractive, "Make output machine-readable"
CODEX = """\
{"type":"thread.started","thread_id":"0199a213-81c0-7800-8aa1-bbab2a035a53"}
{"type":"turn.started"}
{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"bash -lc ls","status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"Repo contains docs, sdk, and examples directories."}}
{"type":"turn.completed","usage":{"input_tokens":24763,"cached_input_tokens":24448,"output_tokens":122}}
"""
# The fields of a result as the documentation of `claude -p --output-format json` lists them
CLAUDE = """\
{"type":"system","subtype":"init","session_id":"0e639165","tools":[],"mcp_servers":[],"model":"claude-opus-5-5"}
{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"Hello CLI Test"}]}}
{"type":"result","subtype":"success","is_error":false,"duration_ms":1998,"num_turns":1,"result":"Hello CLI Test","stop_reason":"end_turn","session_id":"0e639165","total_cost_usd":0.0079825,"usage":{"input_tokens":3,"cache_read_input_tokens":15635,"output_tokens":6}}
"""
# https://geminicli.com/docs/cli/headless, "JSON output", with the line that a cached login prints before it
GEMINI = """\
Loaded cached credentials.
{
  "response": "The capital of France is Paris.",
  "stats": {"models": {"gemini-2.5-pro": {
    "api": {"totalRequests": 2, "totalErrors": 0, "totalLatencyMs": 5053},
    "tokens": {"prompt": 24939, "candidates": 20, "total": 25113, "cached": 21263, "thoughts": 154, "tool": 0}}}}
}
"""


def test_the_documented_codex_events_give_the_last_message_and_its_usage() -> None:
    answer = read_codex(CODEX)
    assert answer.text == "Repo contains docs, sdk, and examples directories."
    assert answer.usage == Usage(input_tokens=315, cache_read_tokens=24448, output_tokens=122)


def test_a_codex_turn_that_failed_is_an_error() -> None:
    answer = read_codex('{"type":"turn.failed","error":{"message":"model is unavailable"}}')
    assert answer.error == "model is unavailable"


def test_the_documented_claude_result_is_read_once() -> None:
    answer = read_claude(CLAUDE)
    assert answer.text == "Hello CLI Test"
    assert answer.model == "claude-opus-5-5"
    assert answer.usage == Usage(input_tokens=3, cache_read_tokens=15635, output_tokens=6)


def test_the_documented_gemini_object_is_found_behind_other_output() -> None:
    answer = read_gemini(GEMINI)
    assert answer.text == "The capital of France is Paris."
    assert answer.usage == Usage(input_tokens=3676, cache_read_tokens=21263, output_tokens=20, reasoning_tokens=154)


@pytest.mark.parametrize("read", [read_claude, read_codex, read_gemini])
@pytest.mark.parametrize("output", ["", "no json", "[1]", "{", '{"type": "result"}', "null\n"])
def test_other_output_gives_an_empty_answer(read: object, output: str) -> None:
    assert callable(read)
    assert read(output).text == ""


def test_no_row_lets_a_cli_write_or_skip_its_questions() -> None:
    for agent in AGENTS.values():
        line = " ".join(agent.command)
        assert not any(word in line for word in ("yolo", "dangerously", "bypass", "full-auto", "acceptEdits"))
    assert AGENTS["claude"].command[-3:] == ("--tools", "", "--strict-mcp-config")
    assert "read-only" in AGENTS["codex"].command


# ------------------------------------------------------------------------------------- running


def stand_in(directory: Path, name: str, body: str) -> None:
    """A program of that name on a PATH of the test's own."""
    file = directory / name
    file.write_text(f"#!{sys.executable}\nimport json, os, subprocess, sys, time\n{body}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


class Shop:
    """An agent, asked through the whole gateway."""

    def __init__(self, path: Path, name: str = "claude", timeout_s: float = 30, **environ: str) -> None:
        self.records: list[CallRecord] = []
        self._name = name
        self._limits = Limits(seat_timeout_s=timeout_s)
        self._keys = Keys({"PATH": str(path), "HOME": str(path), **environ})

    async def ask(self, times: int = 1) -> ChatReply:
        request = ChatRequest(
            model="agent",
            messages=(Message(role="system", text="Be brief."), Message(role="user", text="Why?")),
            run="r",
        )
        async with open_http() as http:
            gateway = build(
                {"agent": ModelSpec(wire="agent", model=self._name)},
                self._keys,
                self._limits,
                ledger=Ledger(self._limits),
                on_call=self.records.append,
                http=http,
            )
            replies = [await fold(gateway, request) for _ in range(times)]
        return replies[-1]


ECHO = """
seen = {"args": sys.argv[1:], "stdin": sys.stdin.read(), "env": dict(os.environ), "cwd": os.getcwd(),
        "files": os.listdir("."), "leader": os.getpgid(0) == os.getpid()}
print(json.dumps({"type": "result", "is_error": False, "result": json.dumps(seen), "usage": {"output_tokens": 5}}))
"""


@posix
async def test_a_cli_gets_the_question_an_empty_directory_and_none_of_our_keys(tmp_path: Path) -> None:
    stand_in(tmp_path, "claude", ECHO)
    shop = Shop(tmp_path, ANTHROPIC_API_KEY="sk-ant-secret", OPENROUTER_API_KEY="sk-or-secret", LANG="C.UTF-8")
    reply = await shop.ask()
    seen = json.loads(reply.text)
    assert seen["stdin"].startswith("Be brief.\n\nWhy?")
    assert seen["args"][0] == "-p"
    assert not any("Why?" in arg for arg in seen["args"])  # arguments can be seen by every user of the machine
    assert seen["files"] == []
    assert not await anyio.Path(seen["cwd"]).exists()
    assert seen["leader"]
    assert seen["env"]["LANG"] == "C.UTF-8"
    assert "secret" not in json.dumps(seen["env"])
    assert reply.usage.cost_usd == Decimal(0)
    assert reply.usage.unpriced == 0
    assert [(r.error, r.provider) for r in shop.records] == [("", "claude")]


@posix
async def test_a_flag_that_an_older_cli_does_not_know_is_left_out_from_then_on(tmp_path: Path) -> None:
    body = """
with open(os.path.join(os.environ["HOME"], "runs"), "a") as log: log.write(" ".join(sys.argv[1:]) + "\\n")
if "--setting-sources" in sys.argv:
    print("error: unknown option '--setting-sources'", file=sys.stderr); sys.exit(1)
"""
    stand_in(tmp_path, "claude", body + ECHO)
    await Shop(tmp_path).ask(times=2)
    runs = (tmp_path / "runs").read_text().splitlines()
    assert ["--setting-sources" in run for run in runs] == [True, False, False]
    assert all("--tools" in run and "--no-session-persistence" in run for run in runs)


FAILING = [
    ("print('Invalid API key · Please run /login', file=sys.stderr); sys.exit(1)", Refused, "auth"),
    ("print('Claude usage limit reached. Resets at 5pm', file=sys.stderr); sys.exit(1)", Refused, "rate_limit"),
    ("print('boom', file=sys.stderr); sys.exit(3)", Refused, "server"),
    ("print(json.dumps({'type': 'result', 'is_error': True, 'result': 'boom'}))", Refused, "server"),
    ("print('hello')", BadReply, "empty"),
]


@posix
@pytest.mark.parametrize(("body", "error", "kind"), FAILING)
async def test_a_cli_that_fails_says_why_and_is_not_started_again(
    tmp_path: Path, body: str, error: type[ProviderError], kind: str
) -> None:
    stand_in(tmp_path, "claude", f"sys.stdin.read()\n{body}\n")
    shop = Shop(tmp_path)
    with pytest.raises(error) as caught:
        await shop.ask()
    assert caught.value.kind == kind
    assert "Claude Code" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert len(shop.records) == 1


@posix
async def test_a_cli_that_does_not_read_its_question_does_not_hang_us(tmp_path: Path) -> None:
    stand_in(tmp_path, "codex", "sys.stdin.close()\nprint('''" + CODEX + "''')\n")
    assert "examples" in (await Shop(tmp_path, "codex").ask()).text


async def test_a_cli_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="'codex'"):
        await Shop(tmp_path, "codex").ask()


async def test_an_unknown_cli_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="claude, codex, gemini"):
        await Shop(tmp_path, "rm").ask()


# The grandchild ignores SIGTERM and would write on for ever; it also holds the pipe open.
FAMILY = """
child = subprocess.Popen([sys.executable, "-c",
    "import os, signal, sys, time\\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
    "open(sys.argv[1] + '.new', 'w').write(str(os.getpid()))\\n"
    "os.rename(sys.argv[1] + '.new', sys.argv[1])\\n"
    "time.sleep(600)", os.path.join(os.environ["HOME"], "grandchild")])
"""


def is_zombie(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


async def gone(pid: int) -> bool:
    """True as soon as the process has ended (a zombie has), False after five seconds."""
    with anyio.move_on_after(5):
        while True:
            try:
                os.kill(pid, 0)
                if is_zombie(pid):
                    return True
            except ProcessLookupError:
                return True
            await anyio.sleep(0.02)
    return False


async def pid_in(file: Path) -> int:
    with anyio.fail_after(20):
        while not await anyio.Path(file).exists():  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.02)
    return int(await anyio.Path(file).read_text())


@posix
async def test_cancelling_ends_the_cli_and_everything_that_it_started(tmp_path: Path) -> None:
    stand_in(tmp_path, "claude", FAMILY + "time.sleep(600)\n")
    shop = Shop(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.ask)
        grandchild = await pid_in(tmp_path / "grandchild")
        started = time.monotonic()
        tasks.cancel_scope.cancel()
    assert time.monotonic() - started < 5
    assert await gone(grandchild)
    assert [r.error for r in shop.records] == ["cancelled"]


@posix
async def test_a_cli_that_is_too_late_is_ended_with_everything_that_it_started(tmp_path: Path) -> None:
    stand_in(tmp_path, "claude", FAMILY + "time.sleep(600)\n")
    shop = Shop(tmp_path, timeout_s=3)
    with pytest.raises(Unavailable) as caught:
        await shop.ask()
    assert caught.value.kind == "timeout"
    assert await gone(await pid_in(tmp_path / "grandchild"))


@posix
async def test_a_child_that_the_cli_leaves_behind_neither_delays_us_nor_survives(tmp_path: Path) -> None:
    wait = """
while not os.path.exists(os.path.join(os.environ["HOME"], "grandchild")): time.sleep(0.01)
"""
    stand_in(tmp_path, "claude", FAMILY + wait + ECHO)
    with anyio.fail_after(20):
        await Shop(tmp_path).ask()
    assert await gone(await pid_in(tmp_path / "grandchild"))
