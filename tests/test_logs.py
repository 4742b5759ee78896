"""The log: structured lines on standard error, quiet by default, and nobody's words, keys or code in it, at no level."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from scripting import expert
from upstream import Expert, Upstream

from orchestra_mcp.telemetry.logs import line, places, wanted
from orchestra_mcp.telemetry.spans import watch
from orchestra_mcp.tools.stdio import Discreet

MARK = "zanzibarquux"
KEY = "sk-proj-Zk38fhQ0aVt7Xw2LmNp9Zk38fhQ0aVt7Xw2LmNp9"
FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')


def entry(name: str, text: str, *args: object, level: int = logging.WARNING, **more: Any) -> logging.LogRecord:
    return logging.LogRecord(name, level, more.pop("path", __file__), 10, text, args, more.pop("exc_info", None))


def parsed(text: str) -> dict[str, str]:
    """A line of `key=value` pairs, where a value with blanks is a JSON string."""
    assert "\n" not in text
    assert FIELD.sub("", text) == "", text
    return {name: json.loads(value) if value.startswith('"') else value for name, value in FIELD.findall(text)}


def test_a_line_says_when_how_bad_who_and_what() -> None:
    record = entry("orchestra_mcp.app", "the store is %s", 'full of "x"\nand y')
    record.created = 0.5
    assert parsed(line(record, as_json=False)) == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "warning",
        "logger": "orchestra_mcp.app",
        "message": 'the store is full of "x"\nand y',
    }
    assert json.loads(line(record, as_json=True)) == parsed(line(record, as_json=False))


def test_a_line_names_the_consultation_and_the_trace_it_belongs_to() -> None:
    with watch(lambda _: None, "root", about="k3x9") as root:
        said = parsed(line(entry("orchestra_mcp.app", "it happened"), as_json=False))
    assert (said["consultation"], said["trace"]) == ("k3x9", root.trace)
    assert re.fullmatch(r"[0-9a-f]{32}", said["trace"])
    assert "trace" not in parsed(line(entry("orchestra_mcp.app", "later"), as_json=False))


def failing() -> None:
    try:
        raise KeyError(MARK)
    except KeyError as error:
        raise RuntimeError(f"no {MARK}") from error


def test_an_exception_is_told_by_kind_and_place() -> None:
    with pytest.raises(RuntimeError) as failure:
        failing()
    error = failure.value
    told = places(error)
    record = entry("orchestra_mcp.app", "it broke", exc_info=(type(error), error, error.__traceback__))
    assert re.fullmatch(
        r"RuntimeError at tests/test_logs\.py:\d+ > tests/test_logs\.py:\d+ \| because of KeyError at tests/test_logs\.py:\d+",
        told,
    )
    said = parsed(line(record, as_json=False))
    assert said["error"] == told
    group = ExceptionGroup(MARK, [ValueError(MARK)])
    assert places(group) == "ExceptionGroup of 1 | because of ValueError"


@pytest.mark.parametrize(
    ("text", "args", "shown"),
    [
        ("Failed to validate request: " + MARK, (), "Failed to validate request"),
        ("Task exception was never retrieved\nfuture: " + MARK, (), ""),  # stands nowhere in this file as it is here
        (MARK[:4] + MARK[4:] + " alone", (), ""),
        ("%s", (MARK,), ""),
    ],
)
def test_of_a_librarys_message_only_its_own_words_are_shown(text: str, args: tuple[object, ...], shown: str) -> None:
    library = Path(__file__).with_name("library_that_is_not_there.py")
    said = parsed(line(entry("mcp.server", text, *args, path=str(library)), as_json=False))
    assert "message" not in said, "without its source nothing is known to be its own"
    said = parsed(line(entry("mcp.server", text, *args, path=__file__), as_json=False))
    if shown:
        assert said["message"] == shown
    assert MARK not in str(said)


def test_keys_of_the_environment_do_not_pass() -> None:
    formatter = Discreet({"OPENAI_API_KEY": KEY}, as_json=True)
    assert KEY not in formatter.format(entry("orchestra_mcp.app", "got %s", KEY))


@pytest.mark.parametrize(
    ("said", "level", "as_json"),
    [
        ("", logging.WARNING, False),
        ("json", logging.WARNING, True),
        ("debug", logging.DEBUG, False),
        ("INFO, json", logging.INFO, True),
        ("error", logging.ERROR, False),
        ("loud", logging.WARNING, False),
    ],
)
def test_the_variable_says_how_much_and_in_which_form(said: str, level: int, as_json: bool) -> None:
    assert wanted({"ORCHESTRA_LOG": said}) == (level, as_json)


# --------------------------------------------------------------------------------------------------- whole servers


def echoing() -> dict[str, Expert]:
    """Vendors that fail, and say in their errors what they were asked."""
    echo = f"I cannot answer: Why does {MARK} fail? def {MARK}(): {KEY}"
    return {
        "ada": Expert(expert(f"{MARK} is wrong", [{"path": "src/parser.py", "line": 99}])),
        "bob": Expert(fault="401", message=echo),
        "cat": Expert(fault="error_event", says=echo, message=echo),
        "dan": Expert(fault="garbage", says=echo),
    }


def lines_of(written: str) -> Iterator[dict[str, Any]]:
    for each in written.splitlines():
        yield json.loads(each)


@pytest.mark.parametrize("level", ["debug", ""])
async def test_over_stdio_nobodys_words_are_logged(level: str, environ: dict[str, str], repo: Path) -> None:
    with Upstream(echoing()) as upstream:
        file = Path(environ["HOME"]) / "orchestra.toml"
        file.write_text(f"discover = false\n{upstream.models_toml()}")
        environ |= {"ORCHESTRA_CONFIG": str(file), "ORCHESTRA_LOG": f"{level},json"}
        log = Path(environ["HOME"]) / "log"
        server = StdioServerParameters(
            command="/bin/sh",
            args=["-c", f'exec "{sys.executable}" -m orchestra_mcp.tools.entry 2>"{log}"'],
            env=environ,
            cwd=str(repo),
        )
        async with Client(server) as client:
            asked = {"question": f"Why does {MARK} fail? {KEY}", "error": f"ValueError: {MARK}"}
            with anyio.fail_after(40):
                await client.call_tool("consult_expert_council", asked)
                wrong = await client.call_tool("consult_expert_council", {"question": [MARK], "nonsense": MARK})
        assert wrong.is_error
    written = log.read_text()
    assert MARK not in written
    assert KEY not in written
    told = list(lines_of(written))
    if level:
        ended = next(each for each in told if each["message"] == "consultation ended")
        assert ended["status"] == "degraded"
        assert re.fullmatch(r"[a-z0-9]{12}", ended["consultation"])
        assert all(each["level"] in ("warning", "error") for each in told if not each["logger"].startswith("orchestra"))
    else:
        assert told == []


LOUD = """
import logging, os, sys
from orchestra_mcp.tools.stdio import log_to_stderr
log_to_stderr(os.environ)
for name in ("httpx2", "httpcore2", "mcp.server.lowlevel", "uvicorn.access", "opentelemetry.sdk", "asyncio", "aiohttp"):
    logging.getLogger(name).debug("quiet"), logging.getLogger(name).info("quiet")
logging.getLogger("orchestra_mcp.app").debug("heard")
"""


def test_libraries_are_quiet_even_when_we_are_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOUD],
        env={"PATH": "", "ORCHESTRA_LOG": "debug"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [parsed(each)["message"] for each in done.stderr.splitlines()] == ["heard"]


def test_the_http_door_logs_nobodys_words(environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Upstream(echoing()) as upstream, log.open("wb") as written:
        file = tmp_path / "orchestra.toml"
        file.write_text(f"discover = false\n{upstream.models_toml()}")
        environ |= {"ORCHESTRA_CONFIG": str(file), "ORCHESTRA_LOG": "debug,json"}
        program = [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0"]
        with subprocess.Popen(program, stderr=written, env=environ, cwd=tmp_path) as process:
            try:
                ends = time.monotonic() + 40
                while not (found := re.search(r"(http://[\d.:]+)/v1", log.read_text())) and time.monotonic() < ends:
                    time.sleep(0.05)
                assert found, log.read_text()
                token = (Path(environ["ORCHESTRA_HOME"]) / "token").read_text().strip()
                with httpx2.Client(base_url=found[1], timeout=30, trust_env=False) as client:
                    client.headers["authorization"] = f"Bearer {token}"
                    asked = [{"role": "user", "content": f"Why {MARK}? {KEY}"}]
                    for model in ("ada", "bob", "cat", "dan", "nobody", "orchestra/council"):
                        for stream in (False, True):
                            body = {"model": model, "stream": stream, "messages": asked}
                            client.post("/v1/chat/completions", json=body).read()
                    client.post("/v1/chat/completions", json={"model": "ada", "messages": MARK})
                    client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": MARK, "params": {"x": MARK}})
                    client.post("/mcp", content=f"{{{MARK}".encode())
            finally:
                process.terminate()
                process.wait(20)
    told = log.read_text()
    assert MARK not in told
    assert KEY not in told
    assert '"consultation ended"' in told
