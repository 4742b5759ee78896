"""Providers of another distribution: really installed, found by their entry points, and asked in a process of their own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent

ASK = """
import json, sys
import anyio
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.provider import ChatRequest, Message, fold
from orchestra_mcp.gateway.vendors.plugins import dialect_of, signer_of
from orchestra_mcp.gateway.vendors.quirks import quirks_of
from orchestra_mcp.gateway.vendors.settling import settle
from orchestra_mcp.gateway.wire import HttpWire
from orchestra_mcp.settings import Keys, Limits, ModelSpec

async def main():
    keys = Keys({"ACME_API_KEY": "acme-secret-1", "ACME_REGION": "north"})
    spec = settle(ModelSpec(vendor="acme", model="brain-9", base_url=sys.argv[1], key_env="ACME_API_KEY"), keys)
    dialect = dialect_of(spec.wire)
    async with open_http() as http:
        signer = signer_of(spec.auth)(spec, keys.get(spec.key_env), keys, http)
        wire = HttpWire(dialect, spec, quirks_of(spec), keys, Limits(), http, key_env=spec.key_env, signer=signer, without=set())
        reply = await fold(wire, ChatRequest(model="x", messages=(Message(role="user", text="Who?"),)))
    print(json.dumps([reply.text, reply.usage.input_tokens, reply.usage.output_tokens]))

anyio.run(main)
"""

LOOK = """
import json
from orchestra_mcp.gateway.dialects import DIALECTS, openai
from orchestra_mcp.gateway.vendors import plugins
from orchestra_mcp.gateway.vendors.quirks import abilities_of
from orchestra_mcp.gateway.vendors.settling import named
from orchestra_mcp.settings import Keys

keys = Keys({"ACME_REGION": "north", "OPENAI_API_KEY": "k"})
named("openai/gpt-6.1-sol", keys)
early = "acme_models" in __import__("sys").modules
spec = named("acme/brain-9", keys)
found = plugins.load()
print(json.dumps({
    "early": early,
    "spec": spec.model_dump(include={"wire", "base_url", "key_env", "auth", "provider"}),
    "images": "images" in abilities_of(spec),
    "names": found.names,
    "problems": {p.name: p.error for p in found.problems},
    "openai": DIALECTS["openai"] is openai.DIALECT and "better-openai" not in found.providers,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plugin's distribution is, with its real metadata; built from a copy, so that nothing is left here."""
    place = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(HERE / "plugin_vendor", place / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
               "--disable-pip-version-check", "--target", str(place / "site"), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / "site"


def run(program: str, site: Path | None, *arguments: str) -> Any:
    environ = {**os.environ, "PYTHONPATH": str(site) if site else "", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, env=environ
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def acme() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """ACME's server: says how many words it was told."""
    calls: list[tuple[str, dict[str, str], bytes]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            reply = json.dumps({"said": f"I am {json.loads(body)['brain']}", "words": [2, 3]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_model_of_a_plugin_is_asked_in_its_own_dialect_with_its_own_signature(installed: Path) -> None:
    with acme() as (url, calls):
        assert run(ASK, installed, url) == ["I am brain-9", 2, 3]
    [(path, headers, body)] = calls
    assert path == "/ask"
    assert json.loads(body) == {"brain": "brain-9", "say": ["user: Who?"]}
    assert headers["x-acme"] == hashlib.sha256(b"acme-secret-1" + body).hexdigest()
    assert "authorization" not in headers


def test_plugins_are_found_when_a_name_is_asked_for_and_bad_ones_are_left_out(installed: Path) -> None:
    seen = run(LOOK, installed)
    assert not seen["early"]
    assert seen["spec"] == {
        "wire": "acme-lines",
        "base_url": "https://north.acme.example",
        "key_env": "ACME_API_KEY",
        "auth": "acme-hash",
        "provider": "acme",
    }
    assert not seen["images"]
    assert seen["names"] == ["acme"]
    problems = seen["problems"]
    assert problems.keys() == {"acme-again", "acme-broken", "acme-greedy", "acme-not", "acme-thief"}
    assert "ACME is closed" in problems["acme-broken"]
    assert "already a dialect called" in problems["acme-again"]
    assert "'openai'" in problems["acme-greedy"]
    assert "int" in problems["acme-not"]
    assert "OPENAI_API_KEY" in problems["acme-thief"]
    assert seen["openai"]


def test_without_the_distribution_the_name_means_nothing() -> None:
    program = LOOK.split("early =")[0] + "\nprint(json.dumps([named('acme/brain-9', keys), plugins.load().names]))"
    assert run(program, None) == [None, []]
