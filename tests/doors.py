"""`orchestra serve` in a process of its own, for tests that come through the HTTP door."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from upstream import Expert, Upstream

ROOT = Path(__file__).parents[1]


@dataclass
class Door:
    """A running server, and the upstream behind it."""

    process: subprocess.Popen[str]
    url: str
    home: Path
    upstream: Upstream
    client: httpx2.Client

    @property
    def token(self) -> str:
        return (self.home / "data" / "token").read_text().strip()

    def call(self, method: str, path: str, key: str = "", json: Any = None, **headers: str) -> httpx2.Response:
        bearer = {"authorization": f"Bearer {key or self.token}"}
        return self.client.request(method, self.url + path, json=json, headers={**bearer, **headers})

    def get(self, path: str, key: str = "", **headers: str) -> httpx2.Response:
        return self.call("GET", path, key, **headers)

    def post(self, path: str, json: Any, key: str = "", **headers: str) -> httpx2.Response:
        return self.call("POST", path, key, json, **headers)

    def new_key(self, workspace: str, name: str, **given: Any) -> str:
        """Make a virtual key through the admin API."""
        self.post("/admin/workspaces", {"id": workspace})
        made = self.post(f"/admin/workspaces/{workspace}/keys", {"name": name, **given})
        assert made.status_code == 201, made.text
        secret: str = made.json()["secret"]
        return secret


@contextmanager
def serving(home: Path, experts: dict[str, Expert], *arguments: str, more_toml: str = "") -> Iterator[Door]:
    """Serve these experts; `more_toml` is added to the settings."""
    with Upstream(experts) as upstream:
        config = home / "orchestra.toml"
        config.write_text(upstream.models_toml() + more_toml)
        environ = {
            **os.environ,
            "HOME": str(home),
            "ORCHESTRA_HOME": str(home / "data"),
            "ORCHESTRA_CONFIG": str(config),
        }
        program = [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0", *arguments]
        with (
            httpx2.Client(timeout=30, trust_env=False) as client,
            subprocess.Popen(program, stderr=subprocess.PIPE, env=environ, text=True, cwd=ROOT) as process,
        ):
            assert process.stderr is not None
            try:
                words = process.stderr.readline().split()
                threading.Thread(target=process.stderr.read, daemon=True).start()
                door = Door(process, words[3].rsplit("/", 1)[0], home, upstream, client)
                _wait(door)
                yield door
            finally:
                process.kill()


def _wait(door: Door) -> None:
    """The socket listens before the house is open; the first answer comes when it is."""
    ends = time.monotonic() + 30
    while True:
        try:
            assert door.client.get(f"{door.url}/health").status_code == 200
            return
        except httpx2.TransportError:
            if door.process.poll() is not None or time.monotonic() > ends:
                raise
