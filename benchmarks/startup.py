"""What it costs until the first reply: CPU seconds and memory of `orchestra-mcp` beside a bare SDK server.

    python benchmarks/startup.py [--rounds 7]

Both servers are started in turns, in the same run, and asked `initialize` (the handshake of protocol revisions up to
2025-11-25) or `server/discover` (2026-07-28). The figures are those of the server's own process at the moment of its
reply, from the operating system; the medians and their ratio are printed. Needs Linux (`/proc`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

TARGET = 1.15
BARE = """
from mcp.server import MCPServer
server = MCPServer("hello")
@server.tool()
async def hello(name: str) -> str:
    return f"Hello, {name}"
server.run()
"""
OURS = "from orchestra_mcp.cli import serve_main; serve_main()"
SERVERS = {"bare": BARE, "orchestra": OURS}
CLIENT = {"name": "startup", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT,
}
REQUESTS = {
    "initialize": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": CLIENT},
    "server/discover": {"_meta": META},
}


class Cost(NamedTuple):
    """Of one start."""

    cpu_s: float
    rss_mib: float
    wall_s: float


def measure(program: str, method: str, home: Path) -> Cost:
    """Start a server, ask one request, and read what its process has used when the reply arrives."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": REQUESTS[method]}
    environ = {**os.environ, "HOME": str(home), "ORCHESTRA_HOME": str(home / "orchestra")}
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        reply = json.loads(server.stdout.readline())
        wall = time.monotonic() - started
        proc = Path(f"/proc/{server.pid}")
        on_cpu_ns = sum(int(task.read_text().split()[0]) for task in proc.glob("task/*/schedstat"))
        status = dict(line.split(":", 1) for line in proc.joinpath("status").read_text().splitlines() if ":" in line)
        server.stdin.close()
        server.wait(10)
    if "result" not in reply:
        raise SystemExit(f"{method} was refused: {reply}")
    return Cost(on_cpu_ns / 1e9, int(status["VmRSS"].split()[0]) / 1024, wall)


def main() -> None:
    parser = argparse.ArgumentParser(description="Start-up cost beside a bare SDK server.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    failed = False
    with tempfile.TemporaryDirectory() as home:
        for server in SERVERS.values():  # warm the byte code and the page cache
            measure(server, "initialize", Path(home))
        for method in REQUESTS:
            costs: dict[str, list[Cost]] = {name: [] for name in SERVERS}
            for _ in range(rounds):
                for name, program in SERVERS.items():
                    costs[name].append(measure(program, method, Path(home)))
            median = {
                name: Cost(*(statistics.median(column) for column in zip(*rows, strict=True)))
                for name, rows in costs.items()
            }
            print(f"{method} (median of {rounds}):")
            for name, cost in median.items():
                print(f"  {name:10} {cost.cpu_s:5.3f} s CPU  {cost.rss_mib:6.1f} MiB  {cost.wall_s:5.3f} s wall")
            cpu = median["orchestra"].cpu_s / median["bare"].cpu_s
            rss = median["orchestra"].rss_mib / median["bare"].rss_mib
            print(f"  {'ratio':10} {cpu:5.3f}x CPU    {rss:5.2f}x memory   (target: at most {TARGET})")
            failed = failed or max(cpu, rss) > TARGET
    sys.exit(failed)


if __name__ == "__main__":
    main()
