"""What the gateway costs, beside a direct call, forty plain lines and the peers that are installed; all in one run.

    python benchmarks/gateway.py [--only calls,streams,inside,memory,budget,chaos] [--calls 400] [--rounds 3]
                                 [--litellm VENV] [--portkey DIRECTORY]

Every subject runs as a process of its own, in front of the same canned upstream on loopback; bursts of the subjects
alternate, and each figure is the median of its bursts. CPU is that of the subject's process, measured from outside; wall
times are worth something on a quiet machine only. Peers are not installed by this program:

    --litellm    a virtual environment of its own with `pip install "litellm[proxy]"`
    --portkey    a directory with `npm install @portkey-ai/gateway`, and `node` on PATH
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

from gateway_load import Burst, body, burst, memory_of

HERE = Path(__file__).parent
KEY = "sk-bench-0000000000000000"
LATER_S = 60


@dataclass
class Subject:
    """Something that answers chat completions."""

    name: str
    url: str
    pid: int
    model: str = "steady"
    headers: dict[str, str] = field(default_factory=dict)
    bursts: dict[str, list[Burst]] = field(default_factory=dict)

    def cpu_ms(self, kind: str) -> float:
        return median(b.cpu_s / b.calls * 1000 for b in self.bursts[kind])

    def p50_ms(self, kind: str) -> float:
        return median(b.p50 for b in self.bursts[kind]) * 1000

    def p99_ms(self, kind: str) -> float:
        return median(b.quantile(0.99) for b in self.bursts[kind]) * 1000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def child(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    # What it says goes to a file: a pipe that nobody reads would stop it one day.
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=log, text=True, cwd=cwd, env={**os.environ, **(env or {})},
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout:
                process.stdout.close()
            if os.environ.get("ORCHESTRA_BENCH_LOG"):
                log.seek(0)
                sys.stderr.write(log.read())


def wait_until_up(subject: Subject, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + LATER_S
    while True:
        if process.poll() is not None:
            raise SystemExit(f"{subject.name} ended with code {process.returncode}; try ORCHESTRA_BENCH_LOG=1")
        try:
            headers = {"content-type": "application/json", **subject.headers}
            with urlopen(Request(subject.url, body(subject.model), headers), timeout=10) as reply:  # noqa: S310
                if reply.status == 200:
                    return
        except OSError as error:
            if time.monotonic() > until:
                raise SystemExit(f"{subject.name} does not answer: {error}") from None
            time.sleep(0.1)


# ------------------------------------------------------------------------------------------------ the subjects


def upstream(stack: ExitStack, seed: int = 7) -> str:
    process = stack.enter_context(child(sys.executable, str(HERE / "gateway_upstream.py"), "--seed", str(seed)))
    assert process.stdout
    return process.stdout.readline().strip()


def plain(stack: ExitStack, up: str, client: str) -> Subject:
    port = free_port()
    process = stack.enter_context(
        child(sys.executable, str(HERE / "gateway_plain_proxy.py"), f"{up}/v1", client, str(port))
    )
    subject = Subject(f"40 lines, {client}", f"http://127.0.0.1:{port}/v1/chat/completions", process.pid)
    wait_until_up(subject, process)
    return subject


MODELS = """
[models.steady]
base_url = "{up}/v1"
model = "steady"
provider = "local"
key_env = "BENCH_KEY"
input_usd_per_mtok = 2
output_usd_per_mtok = 10

[models.other]
base_url = "{up}/v1"
model = "steady"
provider = "local"
key_env = "BENCH_KEY"
input_usd_per_mtok = 3
output_usd_per_mtok = 15
"""
EVERYTHING = """
[[budgets]]
per = "all"
usd = 100000
window = "month"

[[budgets]]
per = "model"
usd = 100000

[[rate_limits]]
per = "key"
requests_per_minute = 10000000
tokens_per_minute = 1000000000
concurrent = 1000

[routes.answer]
targets = ["steady", "other"]
strategy = "cost"
cache = "exact"
"""


def ours(stack: ExitStack, up: str, name: str, *, settings: str = "", key: bool = False, fast: bool = False) -> Subject:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    config = home / "orchestra.toml"
    config.write_text(MODELS.format(up=up) + settings)
    env = {
        "ORCHESTRA_HOME": str(home / "data"),
        "ORCHESTRA_CONFIG": str(config),
        "BENCH_KEY": KEY,
        "ORCHESTRA_TRANSPORT": "aiohttp" if fast else "httpx2",
    }
    orchestra = [sys.executable, "-m", "orchestra_mcp"]
    told = {**os.environ, **env}
    port = free_port()
    process = stack.enter_context(child(*orchestra, "serve", "--port", str(port), env=env))
    if key:
        made = subprocess.run(
            [*orchestra, "keys", "create", "--name", "bench", "--usd-per-day", "100000"],
            env=told, capture_output=True, text=True, check=True,
        )  # fmt: skip
        token = next(word for word in made.stdout.split() if word.startswith("orc_"))
    else:
        until = time.monotonic() + LATER_S
        while not (home / "data" / "token").is_file() and time.monotonic() < until:
            time.sleep(0.05)
        token = (home / "data" / "token").read_text().strip()
    model = "answer" if "[routes.answer]" in settings else "steady"
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    subject = Subject(name, url, process.pid, model, {"authorization": f"Bearer {token}"})
    wait_until_up(subject, process)
    return subject


def litellm(stack: ExitStack, up: str, venv: Path) -> Subject:
    port = free_port()
    config = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "config.yaml"
    config.write_text(
        "model_list:\n  - model_name: steady\n    litellm_params:\n      model: openai/steady\n"
        f"      api_base: {up}/v1\n      api_key: {KEY}\n"
        f"general_settings:\n  master_key: {KEY}\n"
    )
    process = stack.enter_context(
        child(
            str(venv / "bin" / "litellm"), "--config", str(config), "--port", str(port), "--host", "127.0.0.1",
            env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"},
        )
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    subject = Subject("LiteLLM", url, process.pid, headers={"authorization": f"Bearer {KEY}"})
    wait_until_up(subject, process)
    return subject


PORTKEY_SHIM = """
// Its streams fail on current versions of Node, since it changes the headers of a reply that was fetched.
const fetched = globalThis.fetch;
globalThis.fetch = async (...args) => {
  const reply = await fetched(...args);
  return new Response(reply.body, { status: reply.status, statusText: reply.statusText, headers: new Headers(reply.headers) });
};
"""


def portkey(stack: ExitStack, up: str, directory: Path) -> Subject:
    port = free_port()
    shim = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "shim.cjs"
    shim.write_text(PORTKEY_SHIM)
    main = next((directory / "node_modules" / "@portkey-ai" / "gateway" / "build").glob("start-server.js"))
    node = shutil.which("node") or "node"
    process = stack.enter_context(
        child(node, "--require", str(shim), str(main), "--headless", f"--port={port}", env={"PORT": str(port)})
    )
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{up}/v1",
    }
    subject = Subject("Portkey", f"http://127.0.0.1:{port}/v1/chat/completions", process.pid, headers=headers)
    wait_until_up(subject, process)
    return subject


# ------------------------------------------------------------------------------------------------ the gates


async def measure(subjects: list[Subject], kind: str, calls: int, rounds: int, at_once: int, stream: bool) -> None:
    for number in range(rounds + 1):
        for subject in subjects:
            n = max(at_once * 2, calls // 8 if subject.name in ("LiteLLM", "Portkey") else calls)
            found = await burst(
                subject.url, body(subject.model, stream), subject.headers, n // 4 if number == 0 else n, at_once,
                subject.pid,
            )  # fmt: skip
            if set(found.statuses) != {200}:
                raise SystemExit(f"{subject.name}, {kind}: {found.statuses}")
            if number:  # the first is to warm up
                subject.bursts.setdefault(kind, []).append(found)


def show(subjects: list[Subject], direct: Subject) -> None:
    base = next(s for s in subjects if s.name == "40 lines, httpx2")
    print(f"\n{'':32}{'CPU ms':>8}{'ratio':>7}{'p50 c=1':>9}{'added':>8}{'p99 c=32':>10}{'CPU/stream':>12}{'ratio':>7}{'TTFB':>7}{'RSS':>6}")
    for s in [direct, *subjects]:
        cpu = f"{s.cpu_ms('plain'):8.2f}{s.cpu_ms('plain') / base.cpu_ms('plain'):7.2f}" if s.pid else " " * 15
        stream = f"{s.cpu_ms('stream'):12.2f}{s.cpu_ms('stream') / base.cpu_ms('stream'):7.2f}" if s.pid else " " * 19
        first = median(median(b.first) for b in s.bursts["stream"]) * 1000
        rss = f"{memory_of(s.pid):6.0f}" if s.pid else ""
        print(
            f"{s.name:32}{cpu}{s.p50_ms('plain'):9.2f}{s.p50_ms('plain') - direct.p50_ms('plain'):8.2f}"
            f"{s.p99_ms('many'):10.1f}{stream}{first:7.1f}{rss}"
        )


async def calls(options: argparse.Namespace) -> None:
    """CPU and time of a call and of a stream, for every subject."""
    with ExitStack() as stack:
        up = upstream(stack)
        direct = Subject("direct", f"{up}/v1/chat/completions", 0)
        subjects = [plain(stack, up, "httpx2"), plain(stack, up, "aiohttp")]
        for fast in (False, True):
            with_ = "aiohttp" if fast else "httpx2"
            subjects.append(ours(stack, up, f"ours, {with_}: plain", fast=fast))
            subjects.append(ours(stack, up, f"ours, {with_}: key, budget", key=True, fast=fast))
            subjects.append(ours(stack, up, f"ours, {with_}: everything", settings=EVERYTHING, key=True, fast=fast))
        if options.portkey:
            subjects.append(portkey(stack, up, options.portkey))
        if options.litellm:
            subjects.append(litellm(stack, up, options.litellm))
        everybody = [direct, *subjects]
        await measure(everybody, "plain", options.calls, options.rounds, 1, stream=False)
        await measure(everybody, "many", options.calls, options.rounds, 32, stream=False)
        await measure(everybody, "stream", options.calls // 4, options.rounds, 1, stream=True)
        show(subjects, direct)


GATES: dict[str, Callable[[argparse.Namespace], object]] = {"calls": calls}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(GATES))
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm", type=Path)
    parser.add_argument("--portkey", type=Path)
    options = parser.parse_args()
    for name in options.only.split(","):
        result = GATES[name](options)
        if asyncio.iscoroutine(result):
            asyncio.run(result)


if __name__ == "__main__":
    main()
