"""Coding CLIs, unmodified, against `orchestra serve`: Codex over `/v1/responses`, Claude Code over `/v1/messages`.

Needs Node and `npm install --prefix DIRECTORY @openai/codex @anthropic-ai/claude-code`, and ORCHESTRA_TEST_CLIS=DIRECTORY.
They run with a home of their own, and with a proxy that does not exist for everything but this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from doors import ROOT, Door, serving
from real.child import child
from real.toolvendor import Wanted, vendor
from upstream import Expert, Upstream

pytestmark = pytest.mark.timeout(180)
slow = pytest.mark.slow
INSTALL = (
    "npm install --prefix DIRECTORY @openai/codex @anthropic-ai/claude-code, then set ORCHESTRA_TEST_CLIS=DIRECTORY"
)
SAYS = "It waits for a lock that nobody gives back."
ASKED = "Why does it hang?"
WORD = "quartz-lantern-58"
"""Stands in a file that only the CLI's own tool can read."""
WIRES = ("openai", "anthropic", "gemini")
every_wire = pytest.mark.parametrize("wire", WIRES)


def program(name: str) -> Path:
    found = Path(os.environ.get("ORCHESTRA_TEST_CLIS", "")) / "node_modules" / ".bin" / name
    if not os.environ.get("ORCHESTRA_TEST_CLIS") or not found.exists():
        pytest.skip(INSTALL)
    return found


def environ(home: Path, **more: str) -> dict[str, str]:
    nowhere = "http://127.0.0.1:9"
    proxies = {"HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "NO_PROXY": "127.0.0.1,localhost"}
    return {"PATH": os.environ["PATH"], "HOME": str(home), **proxies, **more}


@dataclass
class Told:
    """What a CLI said, and how it ended."""

    code: int
    events: list[dict[str, Any]]
    stderr: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("type") == kind]


@dataclass
class Command:
    """A CLI that is ready to be run."""

    argv: list[str]
    home: Path
    environ: dict[str, str]

    def run(self) -> Told:
        done = subprocess.run(
            self.argv, cwd=self.home / "work", env=self.environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Told(done.returncode, events, done.stderr[-2000:])


def claude(door: Door, model: str, *options: str, asked: str = ASKED, key: str = "") -> Command:
    """https://code.claude.com/docs/en/llm-gateway."""
    home = door.home / "claude"
    (home / "work").mkdir(parents=True, exist_ok=True)
    (home / "work" / "note.txt").write_text(f"The word is {WORD}.\n")
    env = environ(
        home,
        ANTHROPIC_BASE_URL=door.url,
        ANTHROPIC_AUTH_TOKEN=key or door.token,
        ANTHROPIC_MODEL=model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        CLAUDE_CODE_MAX_RETRIES="1",
    )
    return Command([str(program("claude")), "-p", asked, "--output-format", "json", *options], home, env)


def codex(door: Door, model: str, asked: str = ASKED, key: str = "", mcp: bool = False) -> Command:
    """https://developers.openai.com/codex/config-reference."""
    home = door.home / "codex"
    (home / ".codex").mkdir(parents=True, exist_ok=True)
    (home / "work").mkdir(exist_ok=True)
    (home / "work" / "note.txt").write_text(f"The word is {WORD}.\n")
    (home / ".codex" / "config.toml").write_text(f"""
model = "{model}"
model_provider = "orchestra"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.orchestra]
name = "Orchestra"
base_url = "{door.url}/v1"
env_key = "ORCHESTRA_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1

[mcp_servers.council]
command = {json.dumps(sys.executable)}
args = ["-c", "from orchestra_mcp.cli import serve_main; serve_main()"]
cwd = {json.dumps(str(ROOT))}
required = {"true" if mcp else "false"}
enabled = {"true" if mcp else "false"}
startup_timeout_sec = 60
""")
    argv = [str(program("codex")), "exec", "--skip-git-repo-check", "--json"]
    free = "--dangerously-bypass-approvals-and-sandbox"  # sandboxes need rights that not every machine gives
    return Command([*argv, free, asked], home, environ(home, ORCHESTRA_KEY=key or door.token))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One expert behind each wire, one that breaks off, one that never ends, one that calls the tools of both CLIs."""
    experts = {wire: Expert(SAYS, thinks="A lock, perhaps.") for wire in WIRES}
    experts |= {"cut": Expert(SAYS, fault="cut"), "stalls": Expert(SAYS, fault="stall")}
    with Upstream(experts) as upstream, vendor(with_tools) as tools:
        wires = {name: name if name in WIRES else "openai" for name in experts}
        toml = upstream.models_toml(wires).partition("[[seats]]")[0]
        toml += f'\n[models.handy]\nbase_url = "{tools.url}/v1"\nmodel = "handy"\n'
        with serving(tmp_path_factory.mktemp("clis"), {}, more_toml=toml) as served:
            served.upstream = upstream
            yield served


def with_tools(body: dict[str, Any]) -> str | Wanted:
    """A model that reads `note.txt` with the tool it is given, and then says what it has read."""
    results = [message for message in body["messages"] if message["role"] == "tool"]
    if results:
        content = results[-1]["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        return f"I have read: {text}"
    names = {tool["function"]["name"] for tool in body.get("tools", ())}
    asked = [message for message in body["messages"] if message["role"] == "user"][-1]
    said = json.dumps(asked)
    if "council" in said and "mcp__council__council_status" in names:
        return Wanted("mcp__council__council_status", {})
    if "exec_command" in names:
        return Wanted("exec_command", {"cmd": "cat note.txt"}, says="I will read the note.")
    if "Read" in names:
        place = said.partition("PLACE=")[2].partition("=PLACE")[0]
        return Wanted("Read", {"file_path": place}, says="I will read the note.")
    return "There is no tool."


# ------------------------------------------------------------------------------------------------ Claude Code


@slow
@every_wire
def test_claude_code_gets_an_answer(door: Door, wire: str) -> None:
    told = claude(door, wire).run()
    [result] = told.of("result")
    assert (told.code, result["is_error"], result["result"]) == (0, False, SAYS), told.stderr
    assert result["stop_reason"] == "end_turn"
    assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (100, 50)


@slow
def test_claude_code_uses_a_tool_and_tells_the_model_what_it_found(door: Door) -> None:
    place = door.home / "claude" / "work" / "note.txt"
    told = claude(door, "handy", "--allowedTools", "Read", asked=f"What is the word? PLACE={place}=PLACE").run()
    [result] = told.of("result")
    assert (told.code, result["is_error"]) == (0, False), told.stderr
    assert WORD in result["result"]
    assert result["num_turns"] == 2


@slow
def test_claude_code_says_why_a_model_is_not_there(door: Door) -> None:
    told = claude(door, "nobody").run()
    [result] = told.of("result")
    assert told.code != 0
    assert result["is_error"]
    assert result["api_error_status"] == 404


@slow
def test_claude_code_says_that_a_key_is_wrong(door: Door) -> None:
    told = claude(door, "openai", key="orc_wrong").run()
    [result] = told.of("result")
    assert (told.code != 0, result["is_error"], result["api_error_status"]) == (True, True, 401)


# ------------------------------------------------------------------------------------------------ Codex


@slow
@every_wire
def test_codex_gets_an_answer(door: Door, wire: str) -> None:
    told = codex(door, wire).run()
    said = [event["item"]["text"] for event in told.of("item.completed") if event["item"]["type"] == "agent_message"]
    assert (told.code, said) == (0, [SAYS]), told.stderr
    [ended] = told.of("turn.completed")
    assert (ended["usage"]["input_tokens"], ended["usage"]["output_tokens"]) == (100, 50)


@slow
def test_codex_runs_a_command_and_tells_the_model_what_came_out(door: Door) -> None:
    told = codex(door, "handy", asked="What is the word in note.txt?").run()
    items = [event["item"] for event in told.of("item.completed")]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    commands = [item for item in items if item["type"] == "command_execution"]
    assert told.code == 0, told.stderr
    assert [command["exit_code"] for command in commands] == [0]
    assert said[0] == "I will read the note."
    assert WORD in said[-1]
    [ended] = told.of("turn.completed")
    assert ended["usage"]["output_tokens"] == 100  # two calls of 50


@slow
@pytest.mark.parametrize(("model", "key", "why"), [("nobody", "", "no model"), ("openai", "orc_wrong", "401")])
def test_codex_says_why_it_gets_no_answer(door: Door, model: str, key: str, why: str) -> None:
    told = codex(door, model, key=key).run()
    [failed] = told.of("turn.failed")
    assert told.code != 0
    assert why in failed["error"]["message"]


@slow
def test_codex_calls_a_tool_of_an_mcp_server(door: Door) -> None:
    """It sends the tools of MCP servers in namespaces, which chat completions do not know."""
    told = codex(door, "handy", asked="How is the council?", mcp=True).run()
    items = [event["item"] for event in told.of("item.completed")]
    calls = [item for item in items if item["type"] == "mcp_tool_call"]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    assert told.code == 0, told.stderr
    assert [(call["server"], call["tool"], call["status"]) for call in calls] == [
        ("council", "council_status", "completed")
    ]
    assert said[-1].startswith("I have read: ")


# ------------------------------------------------------------------------------------------------ what both may do


@slow
def test_claude_code_asks_again_without_a_stream_when_one_breaks(door: Door) -> None:
    before = len(door.upstream.calls)
    [result] = claude(door, "cut").run().of("result")
    assert (result["is_error"], result["result"]) == (False, SAYS)
    assert [call.body.get("stream", False) for call in door.upstream.calls[before:]] == [True, False]


@slow
def test_codex_says_that_a_stream_broke(door: Door) -> None:
    told = codex(door, "cut").run()
    [failed] = told.of("turn.failed")
    assert told.code != 0
    assert "cut at local broke the connection" in failed["error"]["message"]


@slow
@pytest.mark.parametrize("cli", ["claude", "codex"])
def test_a_cli_that_is_killed_takes_its_call_with_it(door: Door, cli: str) -> None:
    before = len(door.upstream.calls)
    command = claude(door, "stalls") if cli == "claude" else codex(door, "stalls")
    with child(command.argv, command.home / "log", command.environ, command.home / "work"):
        door.upstream.wait_until_sync(lambda: len(door.upstream.calls) > before, 30)
        assert not any(call.aborted for call in door.upstream.calls[before:])
    door.upstream.wait_until_sync(lambda: all(call.aborted for call in door.upstream.calls[before:]), 30)


def test_tools_in_namespaces_keep_their_names_and_their_turns(door: Door) -> None:
    """https://platform.openai.com/docs/guides/function-calling: `namespace` groups tools, and calls name it."""
    inner = {"type": "function", "name": "council_status", "parameters": {"type": "object", "properties": {}}}
    tools: Any = [{"type": "namespace", "name": "mcp__council", "description": "Experts.", "tools": [inner]}]
    asked: Any = {"role": "user", "content": "How is the council?"}
    with openai.OpenAI(base_url=f"{door.url}/v1", api_key=door.token, max_retries=0) as client:
        plain = client.responses.create(model="handy", input=[asked], tools=tools)
        with client.responses.stream(model="handy", input=[asked], tools=tools) as stream:
            streamed = stream.get_final_response()
        for response in (plain, streamed):
            [call] = [item for item in response.output if item.type == "function_call"]
            assert (call.namespace, call.name, call.arguments) == ("mcp__council", "council_status", "{}")
            output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "All is well."}
            turns: Any = [asked, call.model_dump(exclude_none=True), output]
            answer = client.responses.create(model="handy", input=turns, tools=tools)
            assert answer.output_text == "I have read: All is well."
