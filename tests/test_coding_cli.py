"""Coding CLIs, unmodified, against `orchestra serve`: Codex over `/v1/responses`, Claude Code over `/v1/messages`.

Needs Node and `npm install --prefix DIRECTORY @openai/codex @anthropic-ai/claude-code`, and ORCHESTRA_TEST_CLIS=DIRECTORY.
They run with a home of their own, and with a proxy that does not exist for everything but this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doors import Door, serving
from real.toolvendor import Wanted, vendor
from upstream import Expert, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
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


def run(argv: list[str], home: Path, env: dict[str, str]) -> Told:
    work = home / "work"
    done = subprocess.run(
        argv, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Told(done.returncode, events, done.stderr[-2000:])


def claude(door: Door, model: str, *options: str, asked: str = ASKED, key: str = "") -> Told:
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
    return run([str(program("claude")), "-p", asked, "--output-format", "json", *options], home, env)


def codex(door: Door, model: str, asked: str = ASKED, key: str = "") -> Told:
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
""")
    argv = [str(program("codex")), "exec", "--skip-git-repo-check", "--json"]
    free = "--dangerously-bypass-approvals-and-sandbox"  # sandboxes need rights that not every machine gives
    return run([*argv, free, asked], home, environ(home, ORCHESTRA_KEY=key or door.token))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One expert behind each wire, one that is busy, one that calls the tools of both CLIs."""
    if not os.environ.get("ORCHESTRA_TEST_CLIS"):
        pytest.skip(INSTALL)
    experts = {wire: Expert(SAYS, thinks="A lock, perhaps.") for wire in WIRES} | {"busy": Expert(fault="503")}
    with Upstream(experts) as upstream, vendor(with_tools) as tools:
        wires = {name: name if name in WIRES else "openai" for name in experts}
        toml = upstream.models_toml(wires).partition("[[seats]]")[0]
        toml += f'\n[models.handy]\nbase_url = "{tools.url}/v1"\nmodel = "handy"\n'
        with serving(tmp_path_factory.mktemp("clis"), {}, more_toml=toml) as served:
            yield served


def with_tools(body: dict[str, Any]) -> str | Wanted:
    """A model that reads `note.txt` with the tool it is given, and then says what it has read."""
    results = [message for message in body["messages"] if message["role"] == "tool"]
    if results:
        content = results[-1]["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        return f"I have read: {text}"
    names = {tool["function"]["name"] for tool in body.get("tools", ())}
    said = json.dumps(body["messages"])
    if "exec_command" in names:
        return Wanted("exec_command", {"cmd": "cat note.txt"}, says="I will read the note.")
    if "Read" in names:
        place = said.partition("PLACE=")[2].partition("=PLACE")[0]
        return Wanted("Read", {"file_path": place}, says="I will read the note.")
    return "There is no tool."


# ------------------------------------------------------------------------------------------------ Claude Code


@every_wire
def test_claude_code_gets_an_answer(door: Door, wire: str) -> None:
    told = claude(door, wire)
    [result] = told.of("result")
    assert (told.code, result["is_error"], result["result"]) == (0, False, SAYS), told.stderr
    assert result["stop_reason"] == "end_turn"
    assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (100, 50)


def test_claude_code_uses_a_tool_and_tells_the_model_what_it_found(door: Door) -> None:
    place = door.home / "claude" / "work" / "note.txt"
    told = claude(door, "handy", "--allowedTools", "Read", asked=f"What is the word? PLACE={place}=PLACE")
    [result] = told.of("result")
    assert (told.code, result["is_error"]) == (0, False), told.stderr
    assert WORD in result["result"]
    assert result["num_turns"] == 2


def test_claude_code_says_why_a_model_is_not_there(door: Door) -> None:
    told = claude(door, "nobody")
    [result] = told.of("result")
    assert told.code != 0
    assert result["is_error"]
    assert result["api_error_status"] == 404


def test_claude_code_says_that_a_key_is_wrong(door: Door) -> None:
    told = claude(door, "openai", key="orc_wrong")
    [result] = told.of("result")
    assert (told.code != 0, result["is_error"], result["api_error_status"]) == (True, True, 401)


# ------------------------------------------------------------------------------------------------ Codex


@every_wire
def test_codex_gets_an_answer(door: Door, wire: str) -> None:
    told = codex(door, wire)
    said = [event["item"]["text"] for event in told.of("item.completed") if event["item"]["type"] == "agent_message"]
    assert (told.code, said) == (0, [SAYS]), told.stderr
    [ended] = told.of("turn.completed")
    assert (ended["usage"]["input_tokens"], ended["usage"]["output_tokens"]) == (100, 50)


def test_codex_runs_a_command_and_tells_the_model_what_came_out(door: Door) -> None:
    told = codex(door, "handy", asked="What is the word in note.txt?")
    items = [event["item"] for event in told.of("item.completed")]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    commands = [item for item in items if item["type"] == "command_execution"]
    assert told.code == 0, told.stderr
    assert [command["exit_code"] for command in commands] == [0]
    assert said[0] == "I will read the note."
    assert WORD in said[-1]
    [ended] = told.of("turn.completed")
    assert ended["usage"]["output_tokens"] == 100  # two calls of 50


@pytest.mark.parametrize(("model", "key", "why"), [("nobody", "", "no model"), ("openai", "orc_wrong", "401")])
def test_codex_says_why_it_gets_no_answer(door: Door, model: str, key: str, why: str) -> None:
    told = codex(door, model, key=key)
    [failed] = told.of("turn.failed")
    assert told.code != 0
    assert why in failed["error"]["message"]
