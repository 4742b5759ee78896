"""Traces: the tree of a consultation in the store and at a real OTLP receiver, and that nobody's words are in it.

Names and shapes are those of the GenAI semantic conventions (open-telemetry/semantic-conventions-genai), W3C Trace Context
(https://www.w3.org/TR/trace-context/) and OTLP (opentelemetry-proto).
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import pytest
from doors import serving
from mcp import Client, StdioServerParameters
from mcp.types import RequestParamsMeta
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wired
from scripting import expert, kind_of
from upstream import Expert, Upstream

from orchestra_mcp import __version__
from orchestra_mcp.cli.trace import lines
from orchestra_mcp.store import open_store
from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.calls import note_call
from orchestra_mcp.telemetry.content import Said, messages_in, messages_out
from orchestra_mcp.telemetry.export import endpoint
from orchestra_mcp.telemetry.http import Traced
from orchestra_mcp.telemetry.spans import NOTHING, current, lasted, span, traced, watch
from orchestra_mcp.tools.server import build_server
from orchestra_mcp.types import CallRecord, Consultation, Span, Usage

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
"""The example of W3C Trace Context."""
MARK = "zanzibarquux"
"""Stands in the question, the code and the answers, and must not be seen in a trace."""
KEY = "sk-proj-Zk38fhQ0aVt7Xw2LmNp9Zk38fhQ0aVt7Xw2LmNp9"
SPAN_NAMES = re.compile(
    r"invoke_workflow council|invoke_agent \w+|chat [\w.-]+|embeddings [\w.-]+|execute_tool (run_program|try_patch)"
    r"|retrieval project-index|search_memory|collect|convene|conclude|read attachments|read changes"
    r"|describe project|gather for mode|pack evidence|hear (experts|residents)|try answers|check claims|poll judges"
    r"|exchange arguments|(GET|POST) /v1/[a-z/]+|tools/call \w+|tools/list|initialize|notifications/initialized"
    r"|server/discover"
)


# ----------------------------------------------------------------------------------------------------- a receiver


@dataclass
class Received:
    """What came to a receiver of OTLP over HTTP."""

    url: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def spans(self) -> list[Wired]:
        return [
            each
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for each in scope.spans
        ]

    def named(self, beginning: str) -> list[Wired]:
        return [each for each in self.spans if each.name.startswith(beginning)]

    def one(self, beginning: str) -> Wired:
        found = self.named(beginning)
        assert len(found) == 1, [each.name for each in self.spans]
        return found[0]

    def above(self, each: Wired) -> str:
        """Names of the spans around one, the outermost first."""
        known = {other.span_id: other for other in self.spans}
        parent = known.get(each.parent_span_id)
        return f"{self.above(parent)}/{parent.name}".lstrip("/") if parent else ""

    def resources(self) -> list[dict[str, Any]]:
        return [told(resource.resource.attributes) for r in self.requests for resource in r.resource_spans]


@contextmanager
def receiver(status: int = 200) -> Iterator[Received]:
    """A server that takes `ExportTraceServiceRequest`s, as OTLP/HTTP says."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.paths.append(self.path)
            if status == 200:
                received.raw.append(body)
                received.requests.append(ExportTraceServiceRequest.FromString(body))
            reply = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def told(attributes: Any) -> dict[str, Any]:
    """Attributes as Python has them."""
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


# ------------------------------------------------------------------------------------------------- whole consultations


def speakers(*, failing: bool = False) -> dict[str, Expert]:
    says = expert(f"{MARK} drops the last line", [{"path": "src/parser.py", "line": 7}])
    other = expert(f"the {MARK} slice is wrong", chair=f"Because of {MARK}.")
    experts = {"ada": Expert(says), "bob": Expert(other)}
    return experts | ({"eve": Expert(fault="500", message=f"no {MARK} today")} if failing else {})


def marked(repo: Path) -> None:
    """The project's code and its output say the mark, too."""
    file = repo / "src" / "parser.py"
    file.write_text(file.read_text() + f"\n\ndef {MARK}():\n    return '{KEY}'\n")


def configured(environ: Mapping[str, str], upstream: Upstream, received: Received, more: str = "") -> dict[str, str]:
    file = Path(environ["HOME"]) / "orchestra.toml"
    file.write_text(f"discover = false\n{upstream.models_toml()}\n{more}")
    return {**environ, "ORCHESTRA_CONFIG": str(file), "OTEL_EXPORTER_OTLP_ENDPOINT": received.url}


async def over_stdio(environ: dict[str, str], repo: Path) -> str:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "orchestra_mcp.tools.entry"], env=environ, cwd=str(repo)
    )
    async with Client(server) as client:
        result = await client.call_tool(
            "consult_expert_council",
            {"question": f"Why does {MARK} lose the last line? {KEY}", "error": f"ValueError: {MARK}"},
            meta=cast(RequestParamsMeta, {"traceparent": TRACEPARENT}),
        )
    assert not result.is_error
    data = result.structured_content
    assert isinstance(data, dict)
    return str(data["consultation_id"])


def shown(environ: dict[str, str], repo: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "orchestra_mcp", *words],
        env=environ,
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


async def kept(environ: Mapping[str, str]) -> Consultation:
    """The latest consultation, as the store has it."""
    async with open_store(Path(environ["ORCHESTRA_HOME"])) as store:
        return await store.get("latest")


async def test_a_consultation_over_stdio_is_one_trace_below_the_clients_span(
    environ: dict[str, str], repo: Path
) -> None:
    marked(repo)
    with receiver() as received, Upstream(speakers(failing=True)) as upstream:
        environ = configured(environ, upstream, received)
        id = await over_stdio(environ, repo)
        without = {name: value for name, value in environ.items() if not name.startswith("OTEL")}
        stored = await anyio.to_thread.run_sync(lambda: shown(without, repo, "trace", id, "--json"))
        said = [call.prompt for call in upstream.calls]

    # one trace, the client's
    assert received.paths[0] == "/v1/traces"
    ours = [each for each in received.spans if each.trace_id.hex() == TRACE]
    call = received.one("tools/call")
    root = received.one("invoke_workflow council")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    assert (root.trace_id.hex(), root.parent_span_id) == (TRACE, call.span_id)
    assert (call.kind, root.kind) == (Wired.SPAN_KIND_SERVER, Wired.SPAN_KIND_INTERNAL)

    # shape
    workflow = "tools/call consult_expert_council/invoke_workflow council"
    assert received.above(received.one("retrieval project-index")) == f"{workflow}/collect"
    assert {received.above(each) for each in received.named("invoke_agent historian")} <= {f"{workflow}/hear residents"}
    attempts = received.named("chat eve")
    assert {received.above(each) for each in attempts} == {f"{workflow}/hear experts/invoke_agent eve"}
    reasons = [
        told(each.attributes).get(names.REASON) for each in sorted(attempts, key=lambda e: e.start_time_unix_nano)
    ]
    assert reasons == [None, "retry", "retry"]  # three attempts, as `steady/retrying.py` has it for status 500
    purposes = {"answer": "opinion", "review": "review", "synthesis": "chair", "compare": "compare"}
    for agent in received.named("invoke_agent"):
        stage = told(agent.attributes).get(names.STAGE)
        for each in received.spans:
            if each.parent_span_id == agent.span_id and each.name.startswith("chat "):
                assert told(each.attributes)[names.PURPOSE] == purposes[str(stage)]
    asked = sorted(kind_of(prompt) for prompt in said)
    assert len(received.named("chat ")) == len(asked) == len(upstream.calls)
    for step in ("conclude", "poll judges", "check claims", "convene", "pack evidence"):
        assert received.named(step), step
    for each in ours:
        assert SPAN_NAMES.fullmatch(each.name), each.name

    # attributes
    chat = told(received.named("chat ada")[0].attributes)
    assert (chat["gen_ai.operation.name"], chat["gen_ai.provider.name"]) == ("chat", "local")
    assert chat["gen_ai.request.model"] == "ada"
    assert chat["gen_ai.request.max_tokens"] == 8000  # of an opinion: `room.MAX_TOKENS`
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (100, 50)  # as scripted
    assert chat["gen_ai.response.finish_reasons"] == ["stop"]
    assert (chat["server.address"], chat["server.port"]) == ("127.0.0.1", int(upstream.url.rsplit(":", 1)[1]))
    failed = attempts[0]
    assert failed.status.code == 2  # STATUS_CODE_ERROR
    assert told(failed.attributes)["error.type"] == "server"
    whole = told(root.attributes)
    good = len(asked) - 3
    assert whole["gen_ai.workflow.name"] == "council"
    assert whole["openinference.span.kind"] == "CHAIN"
    assert whole["orchestra.consultation.id"] == id
    assert (whole["orchestra.rollup.calls"], whole["orchestra.rollup.retries"]) == (len(asked), 2)
    assert whole["orchestra.rollup.input_tokens"] == 100 * good
    assert "gen_ai.usage.input_tokens" not in whole
    for each in ours:
        if not each.name.startswith("tools/"):
            assert set(told(each.attributes)) <= names.NAMES, each.name

    # who it is from
    resource = received.resources()[0]
    assert (resource["service.name"], resource["service.version"]) == ("orchestra", __version__)
    scopes = {s.scope.name: s.schema_url for r in received.requests for rs in r.resource_spans for s in rs.scope_spans}
    assert scopes["orchestra"] == names.SCHEMA_URL

    # nobody's words, and nothing of it for vendors
    assert any(MARK in prompt for prompt in said)
    for body in received.raw:
        assert MARK.encode() not in body
        assert KEY.encode() not in body
    assert not any("traceparent" in call.headers for call in upstream.calls)

    # the same in the store
    spans = [Span.model_validate(each) for each in stored["spans"]]
    assert {each.trace for each in spans} == {TRACE}
    assert {each.id for each in spans} == {each.span_id.hex() for each in ours} - {call.span_id.hex()}
    assert [each.name for each in spans if not each.parent] == ["invoke_workflow council"]
    assert MARK not in json.dumps(stored)
    assert "openinference.span.kind" not in spans[0].attributes


async def test_words_are_exported_when_asked_for_without_secrets_and_never_kept(
    environ: dict[str, str], repo: Path
) -> None:
    marked(repo)
    with receiver() as received, Upstream(speakers()) as upstream:
        environ = configured(environ, upstream, received, "[telemetry]\ncontent = true\n")
        await over_stdio(environ, repo)
    stored = await kept(environ)
    answers = [each for each in received.named("chat ada") if told(each.attributes)[names.PURPOSE] == "opinion"]
    told_to = json.loads(told(answers[0].attributes)["gen_ai.input.messages"])
    assert {message["role"] for message in told_to} <= {"system", "user"}
    words = " ".join(part["content"] for message in told_to for part in message["parts"])
    assert f"Why does {MARK} lose the last line?" in words
    assert "«redacted:" in words
    reply = json.loads(told(answers[0].attributes)["gen_ai.output.messages"])
    assert reply[0]["role"] == "assistant"
    assert reply[0]["finish_reason"] == "stop"
    assert f"{MARK} drops the last line" in reply[0]["parts"][0]["content"]
    assert not any(KEY.encode() in body for body in received.raw)
    assert "chat ada" in {each.name for each in stored.spans}
    assert not any(MARK in each.model_dump_json() for each in stored.spans)


def test_requests_over_http_are_spans_within_the_callers_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        with serving(tmp_path, speakers()) as door:
            body = {"model": "ada", "messages": [{"role": "user", "content": f"Say {MARK}"}]}
            header = {"traceparent": TRACEPARENT}
            assert door.post("/v1/chat/completions", body, **header).status_code == 200
            with door.client.stream(
                "POST",
                f"{door.url}/v1/chat/completions",
                json={**body, "stream": True},
                headers={"authorization": f"Bearer {door.token}"},
            ) as stream:
                assert b"[DONE]" in stream.read()
            asked = {"model": "orchestra/council", "messages": [{"role": "user", "content": f"Why {MARK}?"}]}
            assert door.post("/v1/chat/completions", asked, **header).status_code == 200
            tool = {"name": "council_status", "arguments": {}}
            handshake = {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            }
            accept = {"accept": "application/json, text/event-stream"}
            hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": handshake}
            session = door.post("/mcp", hello, **accept).headers["mcp-session-id"]
            ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            door.post("/mcp", ready, **accept, **{"mcp-session-id": session})
            call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": tool}
            called = door.post("/mcp", call, **accept, **header, **{"mcp-session-id": session})
            assert called.status_code == 200, called.text
            assert door.client.get(f"{door.url}/v1/models").status_code == 401
            headers = [call.headers for call in door.upstream.calls]
            door.process.terminate()
            door.process.wait(20)
    first, streamed, council = sorted(received.named("POST /v1/chat/completions"), key=lambda e: e.start_time_unix_nano)
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert first.kind == Wired.SPAN_KIND_SERVER
    seen = told(first.attributes)
    assert (seen["http.request.method"], seen["http.response.status_code"]) == ("POST", 200)
    assert seen["http.route"] == "/v1/chat/completions"
    below = [each for each in received.named("chat ada") if each.parent_span_id == first.span_id]
    assert len(below) == 1
    # a stream's span ends with the stream, and has a trace of its own
    assert streamed.trace_id.hex() != TRACE
    inside = [each for each in received.named("chat ada") if each.parent_span_id == streamed.span_id]
    assert len(inside) == 1
    assert inside[0].end_time_unix_nano <= streamed.end_time_unix_nano
    assert received.above(received.one("invoke_workflow council")) == "POST /v1/chat/completions"
    assert received.one("invoke_workflow council").parent_span_id == council.span_id
    tool_call = received.one("tools/call council_status")
    assert (tool_call.trace_id.hex(), tool_call.parent_span_id.hex()) == (TRACE, PARENT)
    assert not received.named("GET /v1/models"), "who shows no key is not traced"
    assert not any(MARK.encode() in body for body in received.raw)
    assert not any("traceparent" in each for each in headers)


def test_a_client_that_hangs_up_ends_its_spans(environ: dict[str, str], tmp_path: Path) -> None:
    drip = {"ada": Expert("word " * 200, fault="slow", drip_s=0.05)}
    log = tmp_path / "log"
    with receiver() as received, Upstream(drip) as upstream, log.open("wb") as written:
        environ = configured(environ, upstream, received)
        program = [sys.executable, "-m", "orchestra_mcp", "serve", "--port", "0"]
        with subprocess.Popen(program, stderr=written, env=environ, cwd=tmp_path) as process:
            try:
                ends = time.monotonic() + 40
                while not (found := re.search(r"(http://[\d.:]+)/v1", log.read_text())) and time.monotonic() < ends:
                    time.sleep(0.05)
                assert found, log.read_text()
                token = (Path(environ["ORCHESTRA_HOME"]) / "token").read_text().strip()
                body = {"model": "ada", "stream": True, "messages": [{"role": "user", "content": "Go on"}]}
                headers = {"authorization": f"Bearer {token}", "traceparent": TRACEPARENT}
                with (
                    httpx2.Client(base_url=found[1], timeout=30, trust_env=False) as client,
                    client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as stream,
                ):
                    assert next(stream.iter_bytes())
                upstream.wait_until_sync(lambda: upstream.calls[0].aborted)
            finally:
                process.terminate()
                process.wait(20)
    request, chat = received.one("POST "), received.one("chat ada")
    assert chat.parent_span_id == request.span_id
    assert told(chat.attributes)["error.type"] == "cancelled"
    assert "level=" not in log.read_text()


# --------------------------------------------------------------------------------------------- what may go wrong


LOADED = """
import json, sys
from orchestra_mcp.cli.running import run_command
code = run_command(["ask", "Why is the last line lost?", "--quiet", "--json"])
print(json.dumps([code, sorted(name for name in sys.modules if name.startswith("opentelemetry."))]))
"""


def test_without_a_receiver_nothing_of_an_exporter_is_loaded_and_spans_are_kept(
    environ: dict[str, str], repo: Path
) -> None:
    with Upstream({"ada": Expert(expert("it drops the last line"))}) as upstream:
        environ = configured(environ, upstream, Received())
        del environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        done = subprocess.run(
            [sys.executable, "-c", LOADED], env=environ, cwd=repo, capture_output=True, text=True, check=True
        )
        code, loaded = json.loads(done.stdout.splitlines()[-1])
        assert code == 0, done.stderr
        assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
    spans = [each.name for each in anyio.run(kept, environ).spans]
    assert spans[-1] == "invoke_workflow council"
    assert "chat ada" in spans


async def test_the_callers_trace_is_known_without_an_exporter(environ: dict[str, str], tmp_path: Path) -> None:
    with Upstream({"ada": Expert(expert("it drops the last line"))}) as upstream:
        environ = configured(environ, upstream, Received())
        del environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        async with Client(build_server(environ)) as client:
            meta = cast(RequestParamsMeta, {"traceparent": TRACEPARENT})
            await client.call_tool("consult_expert_council", {"question": "Why is the last line lost?"}, meta=meta)
    stored = await kept(environ)
    assert {each.trace for each in stored.spans} == {TRACE}


def test_a_receiver_that_the_settings_name_is_used_by_the_command_line(environ: dict[str, str], tmp_path: Path) -> None:
    with receiver() as received, Upstream({"ada": Expert(expert("it drops the last line"))}) as upstream:
        environ = configured(environ, upstream, received, f'[telemetry]\notlp = "{received.url}"\n')
        del environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        shown(environ, tmp_path, "ask", "Why is the last line lost?", "--json", "--quiet")
    assert received.above(received.one("chat ada")).startswith("invoke_workflow council/")


def test_a_trace_is_shown_as_a_tree() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    spans = (
        Span(id="3", parent="2", name="chat ada", started=at + timedelta(seconds=2), seconds=1.5, error="timeout",
             attributes={names.COST: 0.25, names.INPUT_TOKENS: 100, names.OUTPUT_TOKENS: 50}),
        Span(id="2", parent="1", name="invoke_agent ada\x1b[31m", started=at + timedelta(seconds=2), seconds=2),
        Span(id="4", parent="1", name="collect", started=at, seconds=2),
        Span(id="1", name="invoke_workflow council", started=at, seconds=4),
    )  # fmt: skip
    assert [line.rstrip() for line in lines(spans)] == [
        "━━━━━━━━━━━━━━━━━━━━━━━━    4.000 s  invoke_workflow council",
        "━━━━━━━━━━━━                2.000 s    collect",
        "            ━━━━━━━━━━━━    2.000 s    invoke_agent ada",
        "            ━━━━━━━━━       1.500 s      chat ada  (! timeout, 100 in, 50 out, $0.25)",
    ]


WITHOUT_EXTRA = """
import os, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from orchestra_mcp.tools.stdio import log_to_stderr, trace_process
log_to_stderr(os.environ)
trace_process(os.environ)
from orchestra_mcp.cli.running import run_command
sys.exit(run_command(["ask", "Why is the last line lost?", "--quiet", "--json"]))
"""


def test_without_the_extra_one_warning_names_it(environ: dict[str, str], repo: Path) -> None:
    with Upstream({"ada": Expert(expert("it drops the last line"))}) as upstream:
        environ = configured(environ, upstream, Received(url="http://user:geheim@127.0.0.1:9"))
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_EXTRA], env=environ, cwd=repo, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("orchestra-council[otel]") == 1
    assert "geheim" not in done.stderr


@pytest.mark.parametrize("kind", ["dead", "refusing"])
async def test_a_receiver_that_fails_costs_nobody_an_answer(kind: str, environ: dict[str, str], repo: Path) -> None:
    with receiver(status=500) as received, Upstream({"ada": Expert(expert("it drops the last line"))}) as upstream:
        if kind == "dead":
            received.url = "http://user:geheim@127.0.0.1:9"  # the discard port, where nobody listens
        environ = {**configured(environ, upstream, received), "OTEL_BSP_SCHEDULE_DELAY": "50"}
        program = [sys.executable, "-m", "orchestra_mcp.tools.entry"]
        with (Path(environ["HOME"]) / "log").open("wb") as log:
            process = await anyio.open_process(program, env=environ, cwd=repo, stderr=log)
            async with process:
                assert process.stdin is not None
                assert process.stdout is not None
                client = {"name": "test", "version": "1"}
                params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
                ask = {"name": "consult_expert_council", "arguments": {"question": "Why is the last line lost?"}}
                for message in (
                    {"id": 1, "method": "initialize", "params": params},
                    {"method": "notifications/initialized"},
                    {"id": 2, "method": "tools/call", "params": ask},
                ):
                    await process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
                said = b""
                with anyio.fail_after(30):
                    while b'"id":2' not in said:
                        said += await process.stdout.receive()
                    await anyio.sleep(0.2)  # time for the exporter to have tried
                    await process.stdin.aclose()
                    assert await process.wait() == 0
        written = (Path(environ["HOME"]) / "log").read_text()
    assert b"it drops the last line" in said
    assert "geheim" not in written
    assert written.count("\n") <= 1, written


APPLICATION = """
import asyncio, json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)

from orchestra_mcp.app import Orchestra
from orchestra_mcp.types import Question

async def main():
    async with Orchestra.open() as orchestra:
        with trace.get_tracer("application").start_as_current_span("their work"):
            await orchestra.ask(Question(text="Why is the last line lost?"))

asyncio.run(main())
spans = {span.name: span for span in kept.get_finished_spans()}
root, theirs = spans["invoke_workflow council"], spans["their work"]
print(json.dumps([root.parent.span_id == theirs.context.span_id, trace.get_tracer_provider() is provider, sorted(spans)]))
"""


def test_within_an_application_its_own_provider_is_used(environ: dict[str, str], tmp_path: Path) -> None:
    with Upstream({"ada": Expert(expert("it drops the last line"))}) as upstream:
        environ = configured(environ, upstream, Received())
        del environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        done = subprocess.run(
            [sys.executable, "-c", APPLICATION], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    below, kept, seen = json.loads(done.stdout)
    assert below
    assert kept
    assert {"chat ada", "invoke_agent ada"} <= set(seen)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("environ", "configured", "expected"),
    [
        ({}, "", ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, "", "http://h:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318/base/"}, "", "http://h:4318/base/v1/traces"),
        # That of one signal is used as it is (specification/protocol/exporter.md).
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"},
            "",
            "http://h/x",
        ),
        ({}, "http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, "", ""),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, "", ""),
    ],
)
def test_the_receivers_address_is_found_as_opentelemetry_says(
    environ: dict[str, str], configured: str, expected: str
) -> None:
    assert endpoint(environ, configured) == expected


# ------------------------------------------------------------------------------------------------------ the spans


def test_where_nobody_watches_a_span_is_nothing() -> None:
    with span("work") as doing:
        doing.set("orchestra.files", 1)
        assert doing is NOTHING
        assert current() is None


async def test_tasks_and_threads_find_the_span_they_were_started_in() -> None:
    kept: list[Span] = []

    @traced("step")
    async def step() -> None:
        await anyio.to_thread.run_sync(lambda: lasted("in a thread", 0.5))

    with watch(kept.append, "root", about="abc"):
        async with anyio.create_task_group() as group:
            group.start_soon(step)
            group.start_soon(step)
    ids = {each.id: each for each in kept}
    assert len(ids) == len(kept) == 5
    assert [each.name for each in kept][-1] == "root"
    assert sorted((each.name, ids[each.parent].name if each.parent else "") for each in kept) == [
        ("in a thread", "step"),
        ("in a thread", "step"),
        ("root", ""),
        ("step", "root"),
        ("step", "root"),
    ]
    assert len({each.trace for each in kept}) == 1
    assert {each.seconds for each in kept if each.name == "in a thread"} == {0.5}


async def test_cancelling_ends_spans_and_says_so() -> None:
    kept: list[Span] = []
    with watch(kept.append, "root"), anyio.move_on_after(0.01), span("waiting"):
        await anyio.sleep_forever()
    assert [(each.name, each.error) for each in kept] == [("waiting", "cancelled"), ("root", "")]


async def test_a_generator_that_is_closed_in_another_context_raises_nothing() -> None:
    kept: list[Span] = []

    async def words() -> AsyncGenerator[int, None]:
        with span("streaming"):
            yield 1
            yield 2

    with watch(kept.append, "root"):
        stream = words()
        assert await asyncio.create_task(anext(stream)) == 1  # begun in the context of a task
        async with aclosing(stream):
            pass
        assert current() is not None
    assert [each.name for each in kept] == ["streaming", "root"]


def test_an_error_is_told_by_its_kind_and_never_by_its_text() -> None:
    kept: list[Span] = []
    with pytest.raises(ValueError, match=MARK), watch(kept.append, "root"):
        raise ValueError(MARK)
    assert kept[0].error == "ValueError"
    assert MARK not in kept[0].model_dump_json()


def test_input_tokens_include_those_of_the_cache_and_sums_stand_on_parents() -> None:
    kept: list[Span] = []
    usage = Usage(
        calls=1, input_tokens=100, cache_read_tokens=40, cache_write_tokens=10, output_tokens=7, reasoning_tokens=3,
        cost_usd=Decimal("0.0125"),
    )  # fmt: skip
    record = CallRecord(
        run="abc", purpose="opinion", model="big", model_id="big-1", provider="google", usage=usage, seconds=2.0,
        first_token_s=0.25, finish="filter", attempt=2, reason="retry", server="[::1]:8080", error="",
    )  # fmt: skip
    with watch(kept.append, "root"), span("invoke_agent ada"):
        note_call(record, str)
        note_call(record.model_copy(update={"cache": "hit", "usage": Usage()}), str)
    chat, cached, agent, root = kept
    assert (chat.name, chat.kind, chat.seconds) == ("chat big-1", "client", 2.0)
    assert cached.kind == "internal"
    # "gen_ai.usage.input_tokens SHOULD include all types of input tokens, including cached tokens"
    assert chat.attributes[names.INPUT_TOKENS] == 150
    assert (chat.attributes[names.CACHE_READ], chat.attributes[names.CACHE_WRITE]) == (40, 10)
    # reasoning tokens are part of the output
    assert (chat.attributes[names.OUTPUT_TOKENS], chat.attributes[names.REASONING]) == (10, 3)
    assert chat.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert chat.attributes["gen_ai.response.finish_reasons"] == ("content_filter",)
    assert chat.attributes["gen_ai.response.time_to_first_chunk"] == 0.25
    assert (chat.attributes["server.address"], chat.attributes["server.port"]) == ("::1", 8080)
    for each in (agent, root):
        assert each.attributes[names.ROLLUP_INPUT] == 150
        assert each.attributes[names.ROLLUP_OUTPUT] == 10
        assert each.attributes[names.ROLLUP_CALLS] == 1, "an answer out of a cache asked nobody"
        assert each.attributes[names.ROLLUP_RETRIES] == 1
        assert each.attributes[names.ROLLUP_COST] == 0.0125
        assert names.INPUT_TOKENS not in each.attributes


def test_messages_have_the_shape_of_the_conventions() -> None:
    from orchestra_mcp.gateway.provider import Message, Text, ToolCall, ToolResult

    said = Said(
        (
            Message(role="user", text="Weather in Paris?"),
            Message(role="assistant", parts=(ToolCall(id="c1", name="weather", arguments='{"city": "Paris"}'),)),
            Message(role="user", parts=(ToolResult(id="c1", parts=(Text(text="rainy"),)),)),
        ),
        ("It is ", "rainy."),
    )
    # the example of gen-ai-spans.md, with our words; arguments stay the JSON text that the model wrote
    assert json.loads(messages_in(said, str)) == [
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city": "Paris"}'}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "rainy"}]},
    ]
    assert json.loads(messages_out(said, lambda text: text.replace("rainy", "-"), "stop")) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "It is -."}], "finish_reason": "stop"}
    ]


async def test_a_traced_request_passes_untouched_where_nothing_is_exported() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((current(), send))

    async def nothing() -> Any:
        """Nobody says anything."""

    async def send(message: Any) -> None:
        """Nobody hears it."""

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    await Traced(app)(scope, nothing, send)
    assert seen == [(None, send)]
    # a caller's trace is known all the same
    await Traced(app)({**scope, "headers": [(b"traceparent", TRACEPARENT.encode())]}, nothing, send)
    doing = seen[1][0]
    assert doing.trace == TRACE
    assert current() is None
    # what is malformed counts as absent
    for wrong in ("00-" + "0" * 32 + f"-{PARENT}-01", TRACEPARENT.upper(), "x"):
        await Traced(app)({**scope, "headers": [(b"traceparent", wrong.encode())]}, nothing, send)
        assert seen[-1][0] is None


def test_every_attribute_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "observability.md").read_text()
    assert {name for name in names.NAMES if f"`{name}`" not in page} == set()
    assert names.SCHEMA_URL in page
