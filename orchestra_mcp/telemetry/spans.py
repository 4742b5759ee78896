"""Spans: what was done when, one tree for each consultation.

`watch` opens the tree of a consultation; `span` is put around a piece of work, `lasted` notes one that is over. Finished spans
go to the watcher, who stores them, and to OpenTelemetry where an SDK was set up (`telemetry.export`, or the
application around us). The parent is found by context, so that tasks and threads begin where they were started.

    with span("execute_tool git diff", attributes={names.TOOL: "git diff"}) as doing:
        …
        doing.set(names.CHANGES, 12)

Nothing of it is put into OpenTelemetry's own context: what speaks to vendors finds no trace there that it could pass on.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar

from orchestra_mcp.telemetry import names
from orchestra_mcp.types import Span, SpanValue

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[P, Coroutine[Any, Any, T]]
Kind = Literal["internal", "client", "server"]
Keep = Callable[[Span], None]
Attributes = Mapping[str, SpanValue]
MOST: Final = 2_000
"""Spans that are kept of one consultation; more are counted only by OpenTelemetry."""
TEXT_CHARS: Final = 300
"""Of a text in an attribute."""
NONE: Final[Attributes] = {}
NO_CARRIER: Final[Mapping[str, str]] = {}
RETRIEVAL: Final[Attributes] = {names.OPERATION: "retrieval", names.DATA_SOURCE: "project-index"}
"""Of a search in the project's index."""
TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
"""W3C Trace Context, version 00."""


class Exported(Protocol):
    """A span of OpenTelemetry that stands for one of ours while that is open."""

    id: str
    """16 hexadecimal digits."""
    trace: str
    """32 hexadecimal digits."""

    def end(self, attributes: Attributes, error: str, at_ns: int, content: Callable[[], Attributes] | None) -> None:
        """Close it.

        Args:
            attributes: those that it was not begun with.
            error: kind of failure; empty when it went well.
            at_ns: when it ended, nanoseconds since 1970.
            content: makes what is only exported and takes time (prompts); called in a thread.
        """
        ...


class Exporter(Protocol):
    """The way to OpenTelemetry; `telemetry.export` implements it."""

    content: bool
    """Prompts and answers are wanted."""

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        at_ns: int,
        parent: Exported | None,
        carrier: Mapping[str, str],
    ) -> Exported:
        """Open a span below `parent`, below what a `carrier` (`traceparent`, …) names, or below the current one."""
        ...


class _Nobody:
    exporter: Exporter | None = None


_OUT = _Nobody()
"""Where finished spans go beside the store; set once at the start of a process (`export_to`)."""


def export_to(exporter: Exporter | None) -> None:
    """Send all spans of this process to OpenTelemetry from now on; None ends that."""
    _OUT.exporter = exporter


def exporting() -> bool:
    """Spans are sent to OpenTelemetry."""
    return _OUT.exporter is not None


def wants_content() -> bool:
    """Prompts and answers are to be exported too."""
    return _OUT.exporter is not None and _OUT.exporter.content


class Watch:
    """One consultation's tree, while it grows."""

    def __init__(self, keep: Keep, about: str) -> None:
        self._keep = keep
        self.about = about
        """Id of the consultation."""
        self.count = 0

    def keep(self, span: Span) -> None:
        """A span has ended."""
        self.count += 1
        if self.count <= MOST:
            self._keep(span)


class Doing:
    """A span while it is open."""

    __slots__ = (
        "_attributes", "_began", "_given", "_kind", "_out", "_started", "_sums",
        "above", "error", "id", "name", "trace", "watch",
    )  # fmt: skip

    def __init__(
        self,
        watch: Watch | None,
        above: Doing | None,
        name: str,
        kind: Kind,
        attributes: Attributes,
        out: Exported | None,
        at_ns: int,
        trace: str = "",
    ) -> None:
        self._kind, self._out = kind, out
        self._given, self._attributes = attributes, dict(attributes)
        self._started, self._began = at_ns, time.perf_counter()
        self._sums: tuple[int, int, float, int, int] | None = None
        self.watch = watch
        """To whose tree it belongs."""
        self.above = above
        """The span around it."""
        self.name = name
        self.id = out.id if out else secrets.token_hex(8)
        self.trace: str = (
            out.trace if out else trace or (above.trace if above else _outer_trace()) or secrets.token_hex(16)
        )
        self.error = ""
        """The kind of failure, a stable word; empty when it went well."""

    @property
    def out(self) -> Exported | None:
        """What stands for it at OpenTelemetry."""
        return self._out

    def set(self, name: str, value: SpanValue | None) -> None:
        """Note an attribute; None leaves it out. Never give it what people or models wrote, unless that was asked for."""
        if value is not None:
            self._attributes[name] = value[:TEXT_CHARS] if isinstance(value, str) else value

    def count(self, inputs: int, outputs: int, usd: float, retry: bool) -> None:
        """Add a call of a model to the sums of this span and of those around it: tokens, US dollars, was it a retry."""
        doing: Doing | None = self
        while doing is not None:
            had = doing._sums or (0, 0, 0.0, 0, 0)
            doing._sums = (had[0] + inputs, had[1] + outputs, had[2] + usd, had[3] + 1, had[4] + retry)
            doing = doing.above

    def end(self, only_out: Attributes = NONE) -> None:
        """Close it, and tell whoever watches; `only_out` is exported and not kept."""
        if self._sums is not None:
            self._attributes |= zip(names.ROLLUPS, self._sums, strict=True)
        self.ended(time.perf_counter() - self._began, only_out, None)

    def ended(self, seconds: float, only_out: Attributes, content: Callable[[], Attributes] | None) -> None:
        """As `end`, for one that lasted so long."""
        if self._out is not None:
            given = self._given
            news = {name: value for name, value in self._attributes.items() if given.get(name) != value}
            self._out.end({**news, **only_out}, self.error, self._started + int(seconds * 1e9), content)
        if self.watch is not None:
            self.watch.keep(self._noun(seconds, self._attributes))

    def _noun(self, seconds: float, attributes: dict[str, SpanValue]) -> Span:
        above = self.above
        return Span(
            id=self.id,
            parent=above.id if above is not None and above.watch is self.watch else "",
            trace=self.trace,
            name=self.name,
            kind=self._kind,
            started=datetime.fromtimestamp(self._started / 1e9, UTC),
            seconds=round(seconds, 6),
            error=self.error,
            attributes=attributes,
        )


class _Nothing(Doing):
    """Stands where nobody watches."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, None, "", "internal", NONE, None, 0, "0" * 32)

    def set(self, name: str, value: SpanValue | None) -> None:
        """Note nothing."""

    def end(self, only_out: Attributes = NONE) -> None:
        """Tell nobody."""


NOTHING: Final = _Nothing()
_CURRENT: ContextVar[Doing | None] = ContextVar("orchestra_span", default=None)


def current() -> Doing | None:
    """The innermost open span of this context; None where nobody watches."""
    return _CURRENT.get()


def watched() -> bool:
    """Somebody is told of spans in this context."""
    return _CURRENT.get() is not None or _OUT.exporter is not None


@contextmanager
def watch(
    keep: Keep,
    name: str,
    *,
    about: str = "",
    kind: Kind = "internal",
    attributes: Attributes = NONE,
    only_out: Attributes = NONE,
) -> Iterator[Doing]:
    """Open the tree of a consultation with its root span.

    Args:
        keep: told of every span of the tree when it has ended, the root last; must not wait.
        name: of the root.
        about: id of the consultation.
        kind: of the root.
        attributes: of the root.
        only_out: those that are exported and not kept.
    """
    with _open(Watch(keep, about), _CURRENT.get(), name, kind, attributes, only_out) as doing:
        yield doing


@contextmanager
def span(name: str, *, kind: Kind = "internal", attributes: Attributes = NONE) -> Iterator[Doing]:
    """Put around a piece of work; costs next to nothing where nobody watches.

    An exception that passes is noted by its kind (`errors.ProviderError.kind`, else its class name), never by its text.
    Not for async generators, whose body may go on in another context: use `lasted` when they have ended.
    """
    above = _CURRENT.get()
    if above is None and _OUT.exporter is None:
        yield NOTHING
        return
    with _open(above.watch if above else None, above, name, kind, attributes) as doing:
        yield doing


def traced(name: str, attributes: Attributes = NONE) -> Callable[[Step[P, T]], Step[P, T]]:
    """A span around each call of a coroutine function."""

    def decorate(step: Step[P, T]) -> Step[P, T]:
        @wraps(step)
        async def spanned(*args: P.args, **given: P.kwargs) -> T:
            with span(name, attributes=attributes):
                return await step(*args, **given)

        return spanned

    return decorate


@contextmanager
def arriving(name: str, attributes: Attributes, carrier: Mapping[str, str]) -> Iterator[Doing]:
    """Put around a request of somebody else, whose trace (`traceparent`) it belongs to.

    Where nothing is exported, only the id of that trace is taken over.
    """
    if _OUT.exporter is not None:
        with _open(None, None, name, "server", attributes, carrier=carrier) as doing:
            yield doing
        return
    known = TRACEPARENT.fullmatch(carrier.get("traceparent", ""))
    if known is None or not int(known[1], 16):
        yield NOTHING
        return
    with _open(None, None, name, "server", attributes, trace=known[1]) as doing:
        yield doing


@contextmanager
def _open(
    watching: Watch | None,
    above: Doing | None,
    name: str,
    kind: Kind,
    attributes: Attributes,
    only_out: Attributes = NONE,
    *,
    carrier: Mapping[str, str] = NO_CARRIER,
    trace: str = "",
) -> Iterator[Doing]:
    at_ns = time.time_ns()
    exporter = _OUT.exporter
    out = exporter.begin(name, kind, attributes, at_ns, above.out if above else None, carrier) if exporter else None
    doing = Doing(watching, above, name, kind, attributes, out, at_ns, trace)
    token = _CURRENT.set(doing)
    try:
        yield doing
    except BaseException as error:
        doing.error = doing.error or kind_of(error)
        raise
    finally:
        try:
            _CURRENT.reset(token)
        except ValueError:  # closed in another context, which has its own current span
            pass
        finally:
            doing.end(only_out)


def lasted(
    name: str,
    seconds: float,
    *,
    kind: Kind = "client",
    attributes: Attributes = NONE,
    error: str = "",
    under: Doing | None = None,
    ended_ns: int | None = None,
    only_out: Attributes = NONE,
    content: Callable[[], Attributes] | None = None,
) -> None:
    """Note a piece of work that is over.

    Args:
        name: of the span.
        seconds: how long it took.
        kind: of the span.
        attributes: of the span.
        error: the kind of failure; empty when it went well.
        under: the span around it; default: the current one.
        ended_ns: when it ended, nanoseconds since 1970; default: now.
        only_out: attributes that are exported and not kept.
        content: makes further ones that are only exported; called in a thread.
    """
    above = under or _CURRENT.get()
    exporter = _OUT.exporter
    if above is None and exporter is None:
        return
    began_ns = (ended_ns or time.time_ns()) - int(seconds * 1e9)
    out = None
    if exporter is not None:
        given = {**attributes, **only_out}
        out = exporter.begin(name, kind, given, began_ns, above.out if above else None, NO_CARRIER)
    doing = Doing(above.watch if above else None, above, name, kind, attributes, out, began_ns)
    doing.error = error
    doing.ended(seconds, NONE, content)


def _outer_trace() -> str:
    """Id of the trace that OpenTelemetry's own context holds, such as that of an MCP request; empty without one."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:  # who has not loaded it has no trace there either
        return ""
    found = api.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else ""


def kind_of(error: BaseException) -> str:
    """One stable word for a failure."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return "cancelled"
    kind: Any = getattr(error, "kind", "")
    return kind if isinstance(kind, str) and kind else type(error).__name__
