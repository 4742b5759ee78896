"""The life of a stdio server: it ends when nobody needs it any more, cleanly, and its wire stays clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scripting import expert
from upstream import Expert, Upstream

ROOT = Path(__file__).parents[1]
SERVER = ["-m", "orchestra_mcp.tools.entry"]
ENDS_S = 4
"""Two seconds are promised; a machine that runs many tests gets twice as many."""
HOW_IT_ENDS = [pytest.param("eof", 0)]
if os.name == "posix":
    HOW_IT_ENDS += [
        pytest.param("SIGINT", 130),
        pytest.param("SIGTERM", 143),
        pytest.param("SIGHUP", 129),
    ]


class Wire:
    """The client's end of a stdio server, message by message."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._ids = iter(range(1, 1000))

    def send(self, method: str, params: dict[str, Any], notification: bool = False) -> int:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        number = 0
        if not notification:
            number = message["id"] = next(self._ids)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return number

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server closed its output"
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    def reply_to(self, number: int) -> dict[str, Any]:
        while (message := self.receive()).get("id") != number:
            pass
        return message

    def shake_hands(self) -> dict[str, Any]:
        client = {"name": "test", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        reply = self.reply_to(self.send("initialize", params))
        self.send("notifications/initialized", {}, notification=True)
        return reply

    def call(self, tool: str, **arguments: Any) -> int:
        return self.send("tools/call", {"name": tool, "arguments": arguments})

    def end(self, how: str) -> int:
        if how == "eof":
            assert self.process.stdin is not None
            self.process.stdin.close()
        else:
            self.process.send_signal(signal.Signals[how])
        return self.process.wait(ENDS_S)


@contextmanager
def server(home: Path, command: Sequence[str] = SERVER, cwd: Path = ROOT, **environ: str) -> Iterator[Wire]:
    variables = {
        **{k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_TOKEN"))},
        "HOME": str(home),
        "ORCHESTRA_HOME": str(home / "data"),
        **environ,
    }
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, cwd=cwd
    ) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            yield Wire(process)
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "sample"\n')
    (root / "main.py").write_text("def answer():\n    return 42\n")
    return root


@pytest.mark.parametrize(("how", "code"), HOW_IT_ENDS)
def test_an_idle_server_ends_at_once(how: str, code: int, tmp_path: Path) -> None:
    with server(tmp_path) as wire:
        assert wire.shake_hands()["result"]["serverInfo"]["name"] == "orchestra"
        assert wire.end(how) == code


@pytest.mark.parametrize(("how", "code"), HOW_IT_ENDS)
def test_a_server_with_a_council_in_session_ends_and_leaves_a_record(
    how: str, code: int, tmp_path: Path, project: Path
) -> None:
    with Upstream({"alpha": Expert(fault="hang"), "beta": Expert(fault="hang")}) as upstream:
        config = tmp_path / "orchestra.toml"
        config.write_text(upstream.models_toml())
        with server(tmp_path, ORCHESTRA_CONFIG=str(config)) as wire:
            wire.shake_hands()
            wire.call("consult_expert_council", question="Why is it 42?", project_dir=str(project))
            upstream.wait_for_calls_sync(2)
            assert wire.end(how) == code
        upstream.wait_until_sync(lambda: all(call.aborted for call in upstream.calls))
    with server(tmp_path, ORCHESTRA_CONFIG=str(config)) as wire:
        wire.shake_hands()
        result = wire.reply_to(wire.call("get_consultation", id="latest"))["result"]
    assert result["structuredContent"]["status"] == "cancelled"


def test_what_was_answered_survives_a_kill_in_the_middle(tmp_path: Path, project: Path) -> None:
    experts = {
        "alpha": Expert(expert("it is the question")),
        "beta": Expert(fault="hang"),
        "gamma": Expert(fault="hang"),
    }
    with Upstream(experts) as upstream:
        config = tmp_path / "orchestra.toml"
        config.write_text(upstream.models_toml())
        with server(tmp_path, ORCHESTRA_CONFIG=str(config)) as wire:
            wire.shake_hands()
            wire.call("consult_expert_council", question="Why is it 42?", project_dir=str(project))
            upstream.wait_until_sync(lambda: any(call.finished for call in upstream.calls_to("alpha")))
            answered = ""
            while "it is the question" not in answered:
                reply = wire.reply_to(wire.call("get_consultation", id="latest", detail="full"))["result"]
                answered = reply["structuredContent"]["report"]
            wire.process.kill()
            wire.process.wait(ENDS_S)
        with server(tmp_path, ORCHESTRA_CONFIG=str(config)) as wire:
            wire.shake_hands()
            result = wire.reply_to(wire.call("get_consultation", id="latest", detail="full"))["result"]
    assert result["structuredContent"]["status"] == "interrupted"
    assert "it is the question" in result["structuredContent"]["report"]


@pytest.mark.skipif(os.name != "posix", reason="parents vanish differently on Windows")
def test_a_server_whose_parent_vanished_ends_although_its_input_stays_open(tmp_path: Path) -> None:
    launcher = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, *{SERVER!r}], stdin=sys.stdin, stdout=sys.stdout)\n"
    )
    with server(tmp_path, ["-c", launcher]) as wire:
        wire.shake_hands()
        wire.process.kill()  # the launcher, as a launcher is killed: without a word to its child
        wire.process.wait(ENDS_S)
        assert wire.process.stdout is not None
        ended = threading.Event()

        def read_to_the_end() -> None:
            assert wire.process.stdout is not None
            wire.process.stdout.read()
            ended.set()

        threading.Thread(target=read_to_the_end, daemon=True).start()
        assert ended.wait(ENDS_S), "the orphan still holds the other end of the pipe"


def test_what_a_tool_or_its_children_print_stays_off_the_wire(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "from orchestra_mcp.tools import stdio\n"
        "from orchestra_mcp.tools.server import build_server\n"
        "server = build_server(os.environ)\n"
        "async def noisy() -> str:\n"
        '    """Print."""\n'
        '    print("not json", flush=True)\n'
        "    os.write(1, b'raw noise')\n"
        "    subprocess.run([sys.executable, '-c', 'print(1)'])\n"
        '    return "quiet"\n'
        "server.add_tool(noisy)\n"
        "sys.exit(stdio.serve(server))\n"
    )
    with server(tmp_path, ["-c", program]) as wire:
        wire.shake_hands()
        wire.call("noisy")
        assert wire.receive()["result"]["content"][0]["text"] == "quiet"
        assert wire.end("eof") == 0


def test_garbage_on_the_wire_is_survived(tmp_path: Path) -> None:
    with server(tmp_path) as wire:
        wire.shake_hands()
        assert wire.process.stdin is not None
        wire.process.stdin.write(b"this is not json\n\xff\xfe\n[]\n{}\n")
        assert wire.reply_to(wire.send("ping", {}))["result"] == {}


def test_an_unknown_method_is_refused_by_its_number(tmp_path: Path) -> None:
    with server(tmp_path) as wire:
        wire.shake_hands()
        assert wire.reply_to(wire.send("no/such/method", {}))["error"]["code"] == -32601


def test_nothing_heavy_is_imported_before_the_first_reply(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from orchestra_mcp.tools.server import build_server\n"
        "build_server(os.environ)\n"
        "heavy = {'orchestra_mcp.app', 'orchestra_mcp.council', 'orchestra_mcp.context', 'aiosqlite', 'sqlite3',\n"
        "         'genai_prices', 'tree_sitter', 'pyflakes'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
