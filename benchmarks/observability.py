"""What watching costs: spans, events and their rows for a council, spans for a call through the gateway; in CPU time.

    python benchmarks/observability.py [--rounds 12] [--calls 3000]

Councils: three scripted experts in a process of their own answer over loopback HTTP about a repository made for the run. Each
round holds one council without spans and stored events, one with them, and one that is also exported to an OTLP receiver in
another process. Since one council varies by more than what is measured, the cost is also added up from its parts: so many
spans made, so many rows written in the batches in which a council really wrote them.

Calls: what is put around a request to `/v1/chat/completions` and its one attempt, without the call itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from overhead import ANSWER, make_repository

from orchestra_mcp.app import Orchestra, sitting
from orchestra_mcp.app.run import Run
from orchestra_mcp.store import open_store
from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.calls import note_call
from orchestra_mcp.telemetry.export import TRACING
from orchestra_mcp.telemetry.http import Traced
from orchestra_mcp.telemetry.spans import NOTHING, export_to, span, watch, watched
from orchestra_mcp.types import CallRecord, Question, Span, Usage, Watched

UPSTREAM = Path(__file__).resolve().parent.parent / "tests" / "upstream.py"
RECEIVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
"""
MODELS = """
[models.{name}]
wire = "openai"
base_url = "{url}/v1"
model = "{name}"
"""
RECORD = CallRecord(
    run="", purpose="call", model="sol", model_id="gpt-6.1-sol", provider="openai", seconds=1.2, first_token_s=0.3,
    usage=Usage(calls=1, input_tokens=900, output_tokens=300, cost_usd=Decimal("0.004")), finish="stop",
    max_tokens=1000, server="api.openai.com:443", route="code",
)  # fmt: skip
SCOPE: dict[str, Any] = {
    "type": "http", "method": "POST", "path": "/v1/chat/completions", "scheme": "http", "server": ("127.0.0.1", 8321),
    "headers": [(f"x-header-{i}".encode(), b"value") for i in range(8)],
}  # fmt: skip


@contextmanager
def process(*command: str) -> Iterator[str]:
    """A child that prints its address on the first line."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().split()[-1]
        finally:
            child.kill()


@contextmanager
def unwatched(_keep: Callable[[Span], None], _name: str, **_: object) -> Iterator[object]:
    """In place of `spans.watch`: nobody watches."""
    yield NOTHING


class Switch:
    """Councils with and without what is measured."""

    def __init__(self) -> None:
        self._watch, self._seen = watch, Run.seen
        self.batches: list[Watched] = []
        """What the last watched council wrote, in the batches in which it did."""

    def turn(self, mode: str, exporter: Any) -> None:
        """`off`, `on` or `export`."""
        batches = self.batches = []
        seen = self._seen

        def noting(run: Run) -> tuple[Watched, ...]:
            found = seen(run)
            batches.extend(found)
            return found

        sitting.watch = unwatched if mode == "off" else self._watch  # type: ignore[assignment,attr-defined]
        Run.seen = (lambda _: ()) if mode == "off" else noting  # type: ignore[method-assign,assignment]
        export_to(exporter if mode == "export" else None)


async def councils(
    environ: dict[str, str], repo: Path, rounds: int, exporter: Any
) -> tuple[dict[str, list[float]], list[Watched]]:
    """CPU seconds of councils by mode, and what a watched one wrote."""
    switch = Switch()
    taken: dict[str, list[float]] = {"off": [], "on": [], "export": []}
    batches: list[Watched] = []
    async with Orchestra.open(environ) as orchestra:
        for number in range(rounds + 1):
            order = list(taken)[number % 3 :] + list(taken)[: number % 3]
            for mode in order:
                switch.turn(mode, exporter)
                cpu = time.process_time()
                await orchestra.ask(Question(text="Why does f1 lose the last row?", project=str(repo)))
                await asyncio.sleep(0.3)  # what is written and sent behind it counts too
                if number:
                    taken[mode].append(time.process_time() - cpu)
                if mode == "on":
                    batches = switch.batches
        switch.turn("on", None)
    return taken, batches


def cpu_of(work: Callable[[], object], times: int) -> float:
    """CPU seconds of one run, the least of five series."""
    best = float("inf")
    for _ in range(5):
        cpu = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - cpu) / times)
    return best


def one_span() -> None:
    """A span as a council makes it."""
    with span("invoke_agent ada", attributes={names.OPERATION: "invoke_agent", names.AGENT: "ada"}) as doing:
        doing.set(names.ROUND, 1)


async def rows(batches: Sequence[Watched], home: Path) -> float:
    """CPU seconds for writing what one council wrote, each batch in a transaction of its own (in truth most share one)."""
    times = 40
    async with open_store(home) as store:
        for number in range(times + 5):
            await store.begin(f"c{number}", Question(text="Why?"), f"c{number}")
        cpu = 0.0
        for number in range(times + 5):
            begun = time.process_time()
            for each in batches:
                await store.add(f"c{number}", each)
            cpu += time.process_time() - begun if number >= 5 else 0.0
    return cpu / times


def calls(times: int, exporter: Any) -> dict[str, float]:
    """CPU seconds that are put around one call, by mode."""

    async def inner(_scope: Any, _receive: Any, send: Any) -> None:
        if watched():
            note_call(RECORD, str)
        await send({"type": "http.response.start", "status": 200})

    async def bare(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        """Nobody hears it."""

    async def measure(app: Any) -> float:
        best = float("inf")
        for _ in range(5):
            cpu = time.process_time()
            for _ in range(times):
                await app(SCOPE, send, send)
            best = min(best, (time.process_time() - cpu) / times)
            TRACING.flush(5)
        return best

    found = {}
    for mode, app, out in (("bare", bare, None), ("off", Traced(inner), None), ("export", Traced(inner), exporter)):
        export_to(out)
        found[mode] = asyncio.run(measure(app))
    export_to(None)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--calls", type=int, default=3000)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "repo").mkdir()
        repo = make_repository(home / "repo")
        script = home / "script.json"
        script.write_text(json.dumps({name: {"says": ANSWER} for name in ("alpha", "beta", "gamma")}))
        with process(str(UPSTREAM), "--script", str(script)) as url, process("-c", RECEIVER) as receiver:
            config = home / "orchestra.toml"
            config.write_text(
                "discover = false\n" + "".join(MODELS.format(name=n, url=url) for n in ("alpha", "beta", "gamma"))
            )
            environ = {**os.environ, "ORCHESTRA_HOME": str(home / "data"), "ORCHESTRA_CONFIG": str(config)}
            TRACING.start({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver})
            exporter = TRACING._exporter
            taken, batches = asyncio.run(councils(environ, repo, args.rounds, exporter))
            export_to(None)
            writing = asyncio.run(rows(batches, home / "rows"))
            called = calls(args.calls, exporter)
    spans = sum(len(each.spans) for each in batches)
    events = sum(len(each.events) for each in batches)
    with watch(lambda _: None, "root"):
        making = cpu_of(one_span, 2000) * spans
    off = statistics.median(taken["off"])
    print(f"council, CPU s (median of {args.rounds}; quartiles)")
    for mode, each in taken.items():
        low, middle, high = statistics.quantiles(each, n=4)
        print(f"  {mode:7} {middle:.4f} ({low:.4f} to {high:.4f})  {100 * (middle / off - 1):+.2f} %")
    print(
        f"  from its parts: {spans} spans made {1e3 * making:.2f} ms, {spans} spans and {events} events written in "
        f"{len(batches)} batches {1e3 * writing:.2f} ms; together {100 * (making + writing) / off:.2f} % of {off:.3f} s"
    )
    print("call through the gateway, CPU µs added")
    for mode in ("off", "export"):
        print(f"  {mode:7} {1e6 * (called[mode] - called['bare']):.1f}")


if __name__ == "__main__":
    main()
