"""Run the official peers: the conformance suite in both protocol revisions, and the Inspector in strict mode.

    python tests/conformance/peers.py

Node 22 and both peers come from npm into the git-ignored `.node/` (about 150 MB, once); only `npm` must be there.
Exits 0 when every required scenario of both revisions passes and the Inspector finds every schema portable.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".node"
SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "win"}
MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}
PEERS = {
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/inspector": "2.12.0",
}
REVISIONS = ("2025-11-25", "2026-07-28")
ERAS = ("legacy", "modern")


class Missing(Exception):
    """A peer cannot be installed here; the message says what to do."""


def install() -> dict[str, str]:
    """Install Node and the peers where they are missing; returns the environment that finds them.

    Raises:
        Missing: there is no npm, or it cannot install.
    """
    node = f"node-{SYSTEMS.get(platform.system(), '')}-{MACHINES.get(platform.machine(), '')}"
    wanted = {node: "22", **PEERS}
    if not all(_installed(name).startswith(version) for name, version in wanted.items()):
        npm = shutil.which("npm")
        if npm is None:
            raise Missing("npm is not installed; install Node.js 20 or newer from https://nodejs.org, then repeat.")
        packages = [f"{name}@{version}" for name, version in wanted.items()]
        NODE.mkdir(exist_ok=True)
        command = f"npm install --prefix .node {' '.join(packages)}"
        patience = ["--fetch-retries=1", "--fetch-timeout=30000"]  # where the registry is out of reach, say so soon
        try:
            done = subprocess.run(
                [npm, "install", "--no-audit", "--no-fund", *patience, "--prefix", str(NODE), *packages],
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"`{command}` took more than 300 s; run it by hand.") from None
        if done.returncode:
            raise Missing(f"`{command}` failed; run it by hand to see why. {done.stderr.strip()[-300:]}")
    bin_dir = NODE / "node_modules" / node / "bin"
    path = f"{bin_dir}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "MCP_INSPECTOR_SECRET_STORE": "memory"}


def _installed(name: str) -> str:
    package = NODE / "node_modules" / name / "package.json"
    return str(json.loads(package.read_text("utf-8"))["version"]) if package.is_file() else "none"


@contextmanager
def fixture_server(home: Path) -> Iterator[str]:
    """The URL of a running fixture server."""
    environ = {**os.environ, "HOME": str(home), "ORCHESTRA_HOME": str(home / "orchestra")}
    program = [sys.executable, str(Path(__file__).with_name("fixture_server.py"))]
    with subprocess.Popen(program, stderr=subprocess.PIPE, env=environ, text=True, cwd=ROOT) as server:
        assert server.stderr is not None
        try:
            for line in server.stderr:
                if line.startswith("http://"):
                    yield line.strip()
                    break
            else:
                raise RuntimeError("the fixture server did not start")
        finally:
            server.terminate()


def conformance(revision: str, url: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What the suite says about one revision."""
    suite = NODE / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    return subprocess.run(
        ["node", str(suite), "server", "--url", url, "--requirements", revision],
        env=dict(environ),
        cwd=NODE,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def inspector(era: str, home: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What the Inspector says about the schemas of `orchestra-mcp` over stdio."""
    config = home / f"{era}.json"
    server = {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-m", "orchestra_mcp.tools.entry"],
        "env": {"HOME": str(home), "ORCHESTRA_HOME": str(home / "orchestra")},
        "protocolEra": era,
    }
    config.write_text(json.dumps({"mcpServers": {"orchestra": server}}), "utf-8")
    cli = NODE / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    arguments = ["--config", str(config), "--server", "orchestra", "--method", "tools/list", "--strict"]
    return subprocess.run(
        ["node", str(cli), "--cli", *arguments],
        env=dict(environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def summary(output: str) -> str:
    """The end of a report, from its summary on."""
    return output[output.find("=== SUMMARY ===") :].strip()


def main() -> int:
    try:
        environ = install()
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with fixture_server(home) as url:
            for revision in REVISIONS:
                done = conformance(revision, url, environ)
                print(f"conformance {revision}: exit {done.returncode}\n{summary(done.stdout)}\n")
                worst = max(worst, done.returncode)
        for era in ERAS:
            done = inspector(era, home, environ)
            print(f"inspector --strict, {era}: exit {done.returncode} {done.stderr.strip()}")
            worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
