"""How `orchestra serve` opens and closes: its address is told when it answers, and what runs may finish."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from doors import ROOT
from upstream import Expert, Upstream

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")


def body(path: str, model: str, **more: Any) -> dict[str, Any]:
    """A small request in the dialect of a path."""
    if path == "/v1/responses":
        return {"model": model, "input": "Why?", **more}
    limit = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": model, "messages": [{"role": "user", "content": "Why?"}], **limit, **more}


@contextmanager
def started(home: Path, upstream: Upstream, drain_s: float) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """`orchestra serve` with its own patience; gives the process, its URL and the owner's token."""
    config = home / "orchestra.toml"
    config.write_text(upstream.models_toml())
    environ = {
        **os.environ, "HOME": str(home), "ORCHESTRA_HOME": str(home / "data"), "ORCHESTRA_CONFIG": str(config)
    }  # fmt: skip
    program = f"import os, sys; from orchestra_mcp.web.serving import serve_door; sys.exit(serve_door(os.environ, drain_s={drain_s}))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, env=environ, text=True, cwd=ROOT
    ) as process:
        assert process.stderr is not None
        try:
            url = process.stderr.readline().split()[3].rsplit("/", 1)[0]
            process.stderr.readline()
            yield process, url, (home / "data" / "token").read_text().strip()
        finally:
            process.kill()


def test_the_address_is_told_when_the_door_is_open(tmp_path: Path) -> None:
    with Upstream({"alpha": Expert("hi")}) as upstream, started(tmp_path, upstream, 1) as (_, url, _token):
        assert httpx2.get(f"{url}/health", timeout=0.5, trust_env=False).status_code == 200
    config = tmp_path / "orchestra.toml"
    config.write_text("[models.x]\nmodle = 1\n")
    environ = {**os.environ, "ORCHESTRA_HOME": str(tmp_path / "data"), "ORCHESTRA_CONFIG": str(config)}
    program = [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0"]
    done = subprocess.run(program, env=environ, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert done.returncode == 1
    assert "listens" not in done.stderr


@posix
def test_streams_that_run_when_the_signal_comes_are_finished(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        Upstream({"alpha": Expert("forty-two", gate=gate)}) as upstream,
        started(tmp_path, upstream, 20) as (process, url, token),
        httpx2.Client(headers={"authorization": f"Bearer {token}"}, timeout=20, trust_env=False) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        streams = [pool.submit(client.post, url + path, json=body(path, "alpha", stream=True)) for path in PATHS]
        upstream.wait_for_calls_sync(3)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "a second signal ends them" in process.stderr.readline()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/health", timeout=5, trust_env=False)
        gate.set()
        ends = ("data: [DONE]", "event: response.completed", "event: message_stop")
        for end, stream in zip(ends, streams, strict=True):
            assert end in stream.result().text
        assert process.wait(10) == 143
        assert "Traceback" not in process.stderr.read()


@posix
@pytest.mark.parametrize("second", [False, True])
def test_what_does_not_end_in_time_is_ended_in_the_words_of_its_dialect(tmp_path: Path, second: bool) -> None:
    stalls, hangs = Expert("It waits and waits and waits. " * 20, fault="stall"), Expert(fault="hang")
    with (
        Upstream({"alpha": stalls, "beta": hangs}) as upstream,
        started(tmp_path, upstream, 60 if second else 0.5) as (process, url, token),
        httpx2.Client(headers={"authorization": f"Bearer {token}"}, timeout=20, trust_env=False) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        streams = [pool.submit(client.post, url + path, json=body(path, "alpha", stream=True)) for path in PATHS]
        plain = pool.submit(client.post, url + PATHS[0], json=body(PATHS[0], "beta"))
        upstream.wait_for_calls_sync(4)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "a second signal ends them" in process.stderr.readline()
        if second:
            process.send_signal(signal.SIGTERM)
        chat, response, message = (stream.result().text for stream in streams)  # a broken body would raise here
        said = json.loads(chat.strip().splitlines()[-1][6:])
        assert (said["error"]["code"], "shut down" in said["error"]["message"]) == ("provider_unavailable", True)
        assert "event: response.failed" in response
        assert "event: error" in message
        assert '"api_error"' in message
        assert plain.result().status_code == 503
        assert process.wait(10) == 143
        assert "Traceback" not in process.stderr.read()
        upstream.wait_until_sync(lambda: all(call.aborted for call in upstream.calls))


@posix
def test_whoever_waits_for_a_council_or_watches_it_gets_a_whole_reply(tmp_path: Path) -> None:
    hangs = Expert(fault="hang")
    with (
        Upstream({"alpha": hangs, "beta": hangs}) as upstream,
        started(tmp_path, upstream, 0.5) as (process, url, token),
        httpx2.Client(headers={"authorization": f"Bearer {token}"}, timeout=20, trust_env=False) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        asks = pool.submit(client.post, f"{url}/api/consultations", json={"question": "Why?", "wait_s": 60})
        upstream.wait_for_calls_sync(2)
        with client.stream("GET", f"{url}/api/consultations/latest/events") as events:
            lines = events.iter_lines()
            assert next(lines)
            process.send_signal(signal.SIGTERM)
            assert list(lines), "what is left of it comes, and it ends as it should"
        asked = asks.result()
        assert (asked.status_code, asked.json()["error"]["code"]) == (503, "provider_unavailable")
        assert process.wait(10) == 143
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        upstream.wait_until_sync(lambda: all(call.aborted for call in upstream.calls))
