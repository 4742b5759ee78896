"""What the gateway costs, beside a direct call, forty plain lines and the peers that are installed; all in one run.

    python benchmarks/gateway.py [--only calls,inside,budget,chaos,memory] [--calls 400] [--rounds 3]
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
import json
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

from gateway_load import MESSAGE, Burst, body, burst, memory_of

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
            with urlopen(Request(subject.url, body(subject.model), headers), timeout=10) as reply:
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


def serving(stack: ExitStack, name: str, env: dict[str, str], *, key: bool = False, model: str = "steady") -> Subject:
    """`orchestra serve` in an environment."""
    orchestra, home = [sys.executable, "-m", "orchestra_mcp"], Path(env["ORCHESTRA_HOME"])
    port = free_port()
    process = stack.enter_context(child(*orchestra, "serve", "--port", str(port), env=env))
    if key:
        made = subprocess.run(
            [*orchestra, "keys", "create", "--name", "bench", "--usd-per-day", "100000"],
            env={**os.environ, **env}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        token = next(word for word in made.stdout.split() if word.startswith("orc_"))
    else:
        until = time.monotonic() + LATER_S
        while not (home / "token").is_file() and time.monotonic() < until:
            time.sleep(0.05)
        token = (home / "token").read_text().strip()
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    subject = Subject(name, url, process.pid, model, {"authorization": f"Bearer {token}"})
    wait_until_up(subject, process)
    return subject


def ours(
    stack: ExitStack, up: str, name: str, *, settings: str = "", key: bool = False, transport: str = "httpx2"
) -> Subject:
    model = "answer" if "[routes.answer]" in settings else "steady"
    return serving(stack, name, settled(stack, up, settings, transport), key=key, model=model)


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
    print(
        f"\n{'':32}{'CPU ms':>8}{'ratio':>7}{'p50 c=1':>9}{'added':>8}{'p99 c=32':>10}{'CPU/stream':>12}{'ratio':>7}{'TTFB':>7}{'RSS':>6}"
    )
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
        for way in ("httpx2", "aiohttp"):
            subjects.append(ours(stack, up, f"ours, {way}: plain", transport=way))
            subjects.append(ours(stack, up, f"ours, {way}: key, budget", key=True, transport=way))
            subjects.append(ours(stack, up, f"ours, {way}: everything", settings=EVERYTHING, key=True, transport=way))
        if options.portkey:
            subjects.append(portkey(stack, up, options.portkey))
        if options.litellm:
            subjects.append(litellm(stack, up, options.litellm))
        everybody = [direct, *subjects]
        await measure(everybody, "plain", options.calls, options.rounds, 1, stream=False)
        await measure(everybody, "many", options.calls, options.rounds, 32, stream=False)
        await measure(everybody, "stream", options.calls // 4, options.rounds, 1, stream=True)
        show(subjects, direct)


INSIDE = """
import asyncio, json, sys, time

async def main(up, calls, rounds):
    import openai
    from orchestra_mcp.app import Orchestra
    from orchestra_mcp.gateway.provider import ChatRequest, Message, fold

    text = sys.stdin.read()
    client = openai.AsyncOpenAI(base_url=up + "/v1", api_key="k")

    async def sdk():
        await client.chat.completions.create(
            model="steady", messages=[{"role": "user", "content": text}], max_tokens=400)

    async with Orchestra.open() as orchestra:
        gateway = await orchestra.gateway()

        async def ours():
            message = Message(role="user", text=text)
            await fold(gateway, ChatRequest(model="steady", messages=(message,), max_tokens=400, stream=False))

        found = {"openai SDK": [], "ours": []}
        for number in range(rounds + 1):
            for name, call in (("openai SDK", sdk), ("ours", ours)):
                began = time.process_time()
                for _ in range(calls):
                    await call()
                if number:
                    found[name].append((time.process_time() - began) / calls * 1000)
    await client.close()
    print(json.dumps(found))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def settled(stack: ExitStack, up: str, settings: str = "", transport: str = "httpx2") -> dict[str, str]:
    """The environment of an Orchestra with a data directory of its own."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    config = home / "orchestra.toml"
    config.write_text(
        f'[limits]\ndaily_cost_usd = 1000000\n\n[gateway]\ntransport = "{transport}"\n'
        + MODELS.format(up=up)
        + settings
    )
    return {"ORCHESTRA_HOME": str(home / "data"), "ORCHESTRA_CONFIG": str(config), "BENCH_KEY": KEY}


def inside(options: argparse.Namespace) -> None:
    """A call from within a Python program: `Orchestra` as a library beside the openai SDK."""
    with ExitStack() as stack:
        up = upstream(stack)
        for transport in ("httpx2", "aiohttp"):
            done = subprocess.run(
                [sys.executable, "-c", INSIDE, up, str(options.calls), str(options.rounds)], input=MESSAGE,
                env={**os.environ, **settled(stack, up, transport=transport)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(done.stderr)
            found = {name: median(values) for name, values in json.loads(done.stdout).items()}
            print(
                f"in-process call, {transport}: ours {found['ours']:.2f} ms CPU, openai SDK {found['openai SDK']:.2f}, "
                f"ratio {found['ours'] / found['openai SDK']:.2f} (target 0.6)"
            )


async def memory(options: argparse.Namespace) -> None:
    """Resident memory of `orchestra serve`, everything on: idle and after many calls."""
    with ExitStack() as stack:
        subject = ours(stack, upstream(stack), "everything", settings=EVERYTHING, key=True)
        print(f"memory of serve: {memory_of(subject.pid):.0f} MiB after its first call", end="")
        step = options.soak // 5
        for number in range(5):
            found = await burst(subject.url, body(subject.model), subject.headers, step, 32, subject.pid)
            print(f", {memory_of(subject.pid):.0f} after {(number + 1) * step:,}", end="", flush=True)
            if set(found.statuses) != {200}:
                raise SystemExit(f"\nmemory: {found.statuses}")
        print(" (target: under 120, flat)")


LIMIT_USD = "0.10"


async def budget(_: argparse.Namespace) -> None:
    """Four servers on one data directory, 200 calls at once, a budget for a third of them."""
    with ExitStack() as stack:
        up = upstream(stack)
        env = settled(stack, up, f'[[budgets]]\nper = "all"\nusd = {LIMIT_USD}\nwindow = "month"\n')
        subjects = [serving(stack, f"server {number}", env) for number in range(4)]
        bursts = await asyncio.gather(
            *(burst(s.url, body("wait-50").replace(b"wait-50", b"steady"), s.headers, 50, 50) for s in subjects)
        )
        answered = sum(found.statuses.get(200, 0) for found in bursts) + len(subjects)  # one each to see it is up
        refused = sum(found.statuses.get(402, 0) for found in bursts)
        spent = answered * (57 * 2 + 154 * 10) / 1e6
        others = {k: v for found in bursts for k, v in found.statuses.items() if k not in (200, 402)}
        print(
            f"budget of ${LIMIT_USD}, 200 calls at once from 4 processes: {answered} answered for ${spent:.4f}, {refused} "
            f"refused, others {others or 'none'}: {'NEVER OVER' if spent <= float(LIMIT_USD) else 'OVERSPENT'}"
        )


CHAOS = """
[models.chaotic]
base_url = "{up}/v1"
model = "chaos"
provider = "local"

[routes.answer]
targets = ["chaotic", "steady"]
slow_s = 1.0
"""


async def chaos(options: argparse.Namespace) -> None:
    """A first target that hangs, fails and talks nonsense, a tenth of the calls each, and a healthy second one."""
    with ExitStack() as stack:
        up = upstream(stack)
        subject = serving(stack, "chaos", settled(stack, up, CHAOS.format(up=up)), model="answer")
        for stream in (False, True):
            found = await burst(subject.url, body("answer", stream), subject.headers, options.chaos, 16)
            good = found.statuses.get(200, 0)
            print(
                f"chaos, {'streams' if stream else 'plain'}: {good} of {found.calls} answered ({good / found.calls:.2%}; target "
                f"99.9 %), slowest {max(found.seconds):.1f} s (deadline 10 s), others {found.statuses}"
            )


GATES: dict[str, Callable[[argparse.Namespace], object]] = {
    "calls": calls,
    "inside": inside,
    "budget": budget,
    "chaos": chaos,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(GATES))
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=100_000, help="calls of the memory gate")
    parser.add_argument("--chaos", type=int, default=1000, help="calls of the chaos gate, for plain and streams each")
    parser.add_argument("--litellm", type=Path)
    parser.add_argument("--portkey", type=Path)
    options = parser.parse_args()
    for name in options.only.split(","):
        result = GATES[name](options)
        if asyncio.iscoroutine(result):
            asyncio.run(result)


if __name__ == "__main__":
    main()
