"""The way to OpenTelemetry: through the application's own provider, or through the SDK and OTLP/HTTP of the extra `otel`.

Nothing of it is imported before a receiver is named (`OTEL_EXPORTER_OTLP_ENDPOINT`, `[telemetry] otlp`) or the application
around us has set a provider. What goes wrong here is said once in the log, and costs nobody an answer.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Full, Queue
from typing import TYPE_CHECKING, Any, Final

from orchestra_mcp.telemetry import names
from orchestra_mcp.telemetry.spans import Attributes, Exported, Kind, export_to

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span, Tracer

logger = logging.getLogger(__name__)

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
FLUSH_S: Final = 1.0
"""Longest time at the end of a process for what is not sent yet."""
SEND_S: Final = 5.0
"""Longest time for sending once, its repetitions included, where the environment does not say (`OTEL_EXPORTER_OTLP_TIMEOUT`)."""
WAITING: Final = 200
"""Calls whose words wait to be redacted; of more only the words are left out."""
WITHOUT: Final = (
    "Traces are to be sent to an OTLP receiver, but the extra `otel` is not installed: "
    "pip install 'orchestra-council[otel]'. Traces are kept in the store all the same (`orchestra trace`)."
)


def endpoint(environ: Mapping[str, str], configured: str = "") -> str:
    """Where traces are to be sent; empty for nowhere.

    Args:
        environ: the environment.
        configured: `[telemetry] otlp`, which counts where the environment names nothing.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("otlp", ""):
        return ""
    if whole := environ.get(TRACES_ENDPOINT, "").strip():
        return whole
    base = environ.get(ENDPOINT, "").strip() or configured.strip()
    if base.endswith("/v1/traces"):
        return base
    return f"{base.rstrip('/')}/v1/traces" if base else ""


class Tracing:
    """Set up at most once in a process; `stop` sends what waits, and undoes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushes: Callable[[], object] | None = None
        self._exporter: _Exporter | None = None
        self._warned = False
        self.ours = False
        """This process is our own, so that the spans of libraries (the MCP SDK's) go the same way; set by doors."""

    def may(self, environ: Mapping[str, str], configured: str = "") -> bool:
        """True when `start` may have something to do; imports nothing."""
        return self._exporter is not None or bool(endpoint(environ, configured)) or _application() is not None

    def start(self, environ: Mapping[str, str], configured: str = "", *, content: bool = False) -> bool:
        """Begin to export, when there is somewhere to; True when spans are exported now. May import much: call it in a
        thread, or where waiting does not matter.

        Args:
            environ: the environment.
            configured: `[telemetry] otlp`.
            content: export prompts and answers too.
        """
        with self._lock:
            if self._exporter is not None:
                self._exporter.content = self._exporter.content or content
                return True
            provider, flush = _application(), None
            if provider is None:
                where = endpoint(environ, configured)
                made = self._made(environ, where) if where else None
                if made is None:
                    return False
                provider, flush = made, made.force_flush
                if self.ours:
                    from opentelemetry import trace

                    trace.set_tracer_provider(made)
            from orchestra_mcp import __version__

            tracer = provider.get_tracer(names.SCOPE, __version__, schema_url=names.SCHEMA_URL)
            self._exporter, self._flushes = _Exporter(tracer, content), flush
            export_to(self._exporter)
            return True

    def _made(self, environ: Mapping[str, str], where: str) -> TracerProvider | None:
        try:
            return _provider(environ, where)
        except ImportError:
            problem = WITHOUT
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, questions are answered
            problem = f"Traces cannot be sent: the settings of the OTLP exporter are wrong ({type(error).__name__})."
        if not self._warned:
            self._warned = True
            logger.warning(problem)
        return None

    def flush(self, seconds: float = FLUSH_S) -> None:
        """Send what waits; blocks for so long at most."""
        exporter, flushes = self._exporter, self._flushes
        if exporter is None:
            return

        def work() -> None:
            exporter.settle(seconds)
            if flushes is not None:
                flushes()

        thread = threading.Thread(target=work, name="telemetry flush", daemon=True)
        thread.start()
        thread.join(seconds)


TRACING: Final = Tracing()
"""That of this process."""


def _application() -> Any:
    """The provider that the application around us has set; None when there is none."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    return None if isinstance(provider, (api.ProxyTracerProvider, api.NoOpTracerProvider)) else provider


def _provider(environ: Mapping[str, str], where: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from orchestra_mcp import __version__

    # Its lines name the receiver with whatever credentials stand in the address; what they say, `_Quiet` says.
    for loud in ("opentelemetry", "urllib3"):
        logging.getLogger(loud).setLevel(logging.CRITICAL + 1)
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "orchestra"}))
    known = any(environ.get(f"OTEL_EXPORTER_OTLP{kind}_TIMEOUT") for kind in ("", "_TRACES"))
    sender = OTLPSpanExporter(endpoint=where, timeout=None if known else SEND_S)
    # No handler at exit: it would wait for a receiver that is not there.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_quiet(sender)))
    return provider


def _quiet(sender: SpanExporter) -> SpanExporter:
    """An exporter that says once when nothing arrives, and passes on no texts of exceptions."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Status

    def plain(span: ReadableSpan) -> ReadableSpan:
        if not span.events and not span.status.description:
            return span
        # Libraries put messages of exceptions there, which may quote what people wrote.
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=span.attributes,
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class Quiet(SpanExporter):
        def __init__(self) -> None:
            self._told = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            try:
                done = sender.export([plain(span) for span in spans])
            except Exception:  # noqa: BLE001 - a receiver's fault is not ours
                done = SpanExportResult.FAILURE
            if done is not SpanExportResult.SUCCESS and not self._told:
                self._told = True
                logger.warning("Traces do not arrive at their OTLP receiver; this is not said again.")
            return done

        def shutdown(self) -> None:
            sender.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return sender.force_flush(timeout_millis)

    return Quiet()


class _Exporter:
    """Begins spans; implements `spans.Exporter`."""

    def __init__(self, tracer: Tracer, content: bool) -> None:
        from opentelemetry import trace
        from opentelemetry.propagate import extract

        self._tracer, self._trace, self._extract = tracer, trace, extract
        self._kinds = {
            "internal": trace.SpanKind.INTERNAL,
            "client": trace.SpanKind.CLIENT,
            "server": trace.SpanKind.SERVER,
        }
        self.content = content
        self._words: Queue[Callable[[], None]] = Queue(WAITING)
        self._scribe: threading.Thread | None = None

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        at_ns: int,
        parent: Exported | None,
        carrier: Mapping[str, str],
    ) -> Exported:
        """Open a span; see `spans.Exporter`."""
        context = None
        if isinstance(parent, _Open):
            context = self._trace.set_span_in_context(parent.span)
        elif carrier:
            context = self._extract(carrier)
        span = self._tracer.start_span(
            name,
            context,
            self._kinds[kind],
            dict(attributes),
            start_time=at_ns,
            record_exception=False,
            set_status_on_exception=False,
        )
        return _Open(self, span)

    def later(self, work: Callable[[], None]) -> bool:
        """Do it in a thread, one after the other; False when too much waits."""
        try:
            self._words.put_nowait(work)
        except Full:
            return False
        if self._scribe is None:
            self._scribe = threading.Thread(target=self._write, name="telemetry words", daemon=True)
            self._scribe.start()
        return True

    def settle(self, seconds: float) -> None:
        """Wait until what was put off is done."""
        ends = time.monotonic() + seconds
        while self._words.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.005)

    def _write(self) -> None:
        while True:
            work = self._words.get()
            work()
            self._words.task_done()


class _Open:
    """A span of OpenTelemetry; implements `spans.Exported`."""

    __slots__ = ("_exporter", "id", "span", "trace")

    def __init__(self, exporter: _Exporter, span: Span) -> None:
        context = span.get_span_context()
        self._exporter, self.span = exporter, span
        self.id, self.trace = f"{context.span_id:016x}", f"{context.trace_id:032x}"

    def end(self, attributes: Attributes, error: str, at_ns: int, content: Callable[[], Attributes] | None) -> None:
        """Close it; see `spans.Exported`."""
        span = self.span
        if attributes:
            span.set_attributes(attributes)
        if error:
            span.set_attribute(names.ERROR, error)
            span.set_status(_status())

        def finish() -> None:
            with suppress(Exception):  # without its words when they cannot be made fit
                span.set_attributes(content() if content else {})
            span.end(at_ns)

        if content is None or not self._exporter.later(finish):
            span.end(at_ns)


def _status() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)
