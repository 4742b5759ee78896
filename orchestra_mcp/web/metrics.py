"""`/metrics`: counters and histograms for Prometheus, of all processes of this data directory since this server began.

Nothing is counted where calls are made. When somebody asks, the rows that all processes have written since the last time
are read (`store/feed.py`) and folded into sums. Labels are bounded: who sends a thousand model names fills one `other`.
The dashboard in `telemetry/grafana.json` shows what is here; a test compares the two.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from orchestra_mcp.errors import StoreError
from orchestra_mcp.foreign import plain
from orchestra_mcp.store.feed import Called, Ended, Feed, Mark, News, window_start

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from orchestra_mcp.app import Orchestra

logger = logging.getLogger(__name__)

# The buckets of `gen_ai.client.operation.duration` in OpenTelemetry's conventions, and two more: councils think long.
SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
)  # fmt: skip
TENTHS: Final = tuple(number / 10 for number in range(1, 11))
MODELS, PROVIDERS, USE_CASES, KINDS, COMBINATIONS = 200, 50, 30, 50, 500
OTHER: Final = "other"
LABEL_CHARS: Final = 80
SCRAPE_S: Final = 8.0
"""Prometheus waits ten seconds unless it is told otherwise."""
CALL: Final = ("provider", "model", "use_case")


class Label:
    """The first values of a label, cleaned; all further ones are `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """The value as it is shown."""
        if (shown := self._known.get(value)) is not None:
            return shown
        if len(self._known) >= self._most:
            return OTHER
        cleaned = " ".join(plain(value[: 4 * LABEL_CHARS]).split())[:LABEL_CHARS] or "none"
        self._known[value] = cleaned
        return cleaned


class Buckets:
    """One histogram: how many were at most as large as each edge."""

    __slots__ = ("_edges", "counts", "total")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self.counts = [0] * (len(edges) + 1)
        """By edge, each with all before it; the last one counts everything."""
        self.total = 0.0

    def put(self, value: float) -> None:
        """Count one value."""
        for index in range(bisect_left(self._edges, value), len(self.counts)):
            self.counts[index] += 1
        self.total += value

    def add(self, within: Sequence[int], count: int, total: float) -> None:
        """Count many values by their edges."""
        self.counts = [old + new for old, new in zip(self.counts, (*within, count), strict=True)]
        self.total += total

    def shown(self) -> list[tuple[str, float]]:
        """As Prometheus has them."""
        names = [*(f"{edge:g}" if edge != int(edge) else f"{edge:.1f}" for edge in self._edges), "+Inf"]
        return list(zip(names, map(float, self.counts), strict=True))


class Sums:
    """What was counted since the server began. Folding is quick and never waits; `collect` is for Prometheus' library."""

    def __init__(self, provider_of: Callable[[str], str] = lambda _: "") -> None:
        self._provider_of = provider_of
        self._labels = {"provider": Label(PROVIDERS), "model": Label(MODELS), "use_case": Label(USE_CASES)}
        self._kind = Label(KINDS)
        self._calls: set[tuple[str, str, str]] = set()
        self._counts: dict[str, dict[tuple[str, ...], float]] = defaultdict(lambda: defaultdict(float))
        self._durations: dict[tuple[str, ...], Buckets] = defaultdict(lambda: Buckets(SECONDS))
        self._agreement, self._confidence, self._quorum = Buckets(TENTHS), Buckets(TENTHS), Buckets(SECONDS)
        self.gauges: dict[str, dict[tuple[str, ...], float]] = {}
        """What is so just now, by the name of its metric."""

    def fold(self, news: News) -> None:
        """Add what is new."""
        for called in news.calls:
            self._call(called)
        for ended in news.ended:
            self._council(ended)

    def name(self, label: str, value: str) -> str:
        """A value of a label as it is shown."""
        return self._labels[label](value) if label in self._labels else value

    def _call(self, called: Called) -> None:
        who = self._who(called)
        if called.cache:
            self._counts["orchestra_cache_hits"][(self._kind(called.cache),)] += called.count
            return
        self._counts["llm_requests"][who] += called.count
        tokens = self._counts["llm_tokens_used"]
        for kind in ("input", "output", "cache_read", "cache_write", "reasoning"):
            tokens[(*who, kind)] += getattr(called, f"{kind}_tokens")
        self._counts["llm_cost_usd"][who] += called.cost_micro_usd / 1_000_000
        if not called.error:
            self._durations[who].add(called.within, called.count, called.seconds)
        elif called.error != "cancelled":
            self._counts["llm_errors"][(*who, self._kind(called.error))] += called.count

    def _who(self, called: Called) -> tuple[str, str, str]:
        labels = self._labels
        who = labels["provider"](called.provider), labels["model"](called.model), labels["use_case"](called.use_case)
        if who not in self._calls:
            if len(self._calls) >= COMBINATIONS:
                return OTHER, OTHER, OTHER
            self._calls.add(who)
        return who

    def _council(self, ended: Ended) -> None:
        self._counts["orchestra_consultations"][(self._labels["use_case"](ended.mode), ended.status)] += 1
        for value, buckets in (
            (ended.agreement, self._agreement), (ended.confidence, self._confidence), (ended.quorum_s, self._quorum)
        ):  # fmt: skip
            if value is not None:
                buckets.put(value)
        for seat, kind in ended.absent:
            provider = self._labels["provider"](self._provider_of(seat))
            self._counts["orchestra_absent_seats"][(provider, self._kind(kind))] += 1

    def collect(self) -> Iterator[Metric]:
        """All metrics, as Prometheus' library wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, (about, labels) in COUNTERS.items():
            counter = CounterMetricFamily(name, about, labels=labels)
            for values, count in list(self._counts[name].items()):
                counter.add_metric(values, count)
            yield counter
        duration = HistogramMetricFamily("llm_request_duration_seconds", DURATION, labels=CALL)
        for values, buckets in list(self._durations.items()):
            duration.add_metric(values, buckets.shown(), buckets.total)
        yield duration
        for name, about, buckets in (
            ("orchestra_agreement", "Share of the experts' weight behind the first solution", self._agreement),
            ("orchestra_confidence", "Stated probability that the first solution is right", self._confidence),
            ("orchestra_quorum_seconds", "Time until a quorum of the openers had answered", self._quorum),
        ):
            yield HistogramMetricFamily(name, about, buckets=buckets.shown(), sum_value=buckets.total)
        for name, (about, labels) in GAUGES.items():
            if name in self.gauges:
                gauge = GaugeMetricFamily(name, about, labels=labels)
                for values, value in self.gauges[name].items():
                    gauge.add_metric(values, value)
                yield gauge


DURATION: Final = "How long answered calls took; those answered from our caches are not in it"
# Name without `_total` → what it says, and its labels. Add a counter here.
COUNTERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "llm_requests": ("Attempts at models, failed and cancelled ones too; answers from our caches are not in it", CALL),
    "llm_errors": ("Attempts that failed; cancelled ones are not in it", (*CALL, "error_type")),
    "llm_tokens_used": (
        "Tokens; cache_read and cache_write are parts of input, reasoning is a part of output: do not add them up",
        (*CALL, "type"),
    ),
    "llm_cost_usd": ("US dollars, as far as prices are known", CALL),
    "orchestra_consultations": ("Consultations that have ended", ("mode", "status")),
    "orchestra_absent_seats": ("Experts that were asked and gave no usable answer", ("provider", "kind")),
    "orchestra_cache_hits": ("Answers from our caches: hit, shared with a call in flight, similar", ("kind",)),
}
GAUGES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "orchestra_store_up": ("1 while the records can be read; else the counters stand still", ()),
    "orchestra_consultations_running": ("Councils that sit now, in all processes", ()),
    "orchestra_alerts_lasting": ("Alerts that are not over", ("kind",)),
    "orchestra_budget_left_usd": ("US dollars left of the limit or budget in its window", ("per", "name", "window")),
}


class Metrics:
    """The endpoint. `begin` notes from where on is counted; without it, that is the first time somebody asks.

    Args:
        feed: reads what is new.
        orchestra: knows seats, limits and alerts.
        clock: seconds that only grow.
    """

    def __init__(self, feed: Feed, orchestra: Orchestra, clock: Callable[[], float] = time.monotonic) -> None:
        self._feed, self._orchestra, self._clock = feed, orchestra, clock
        self._sums = Sums(orchestra.provider_of)
        self._mark: Mark | None = None
        self._registry: Any = None
        self._lock = anyio.Lock()
        self._trouble = False

    async def begin(self) -> None:
        """Count from now on."""
        try:
            self._mark = await self._feed.mark()
        except StoreError:
            return  # then from the time on when it can be read

    async def scrape(self, request: Request) -> Response:
        """All metrics, as text or, where that is asked for, as OpenMetrics."""
        accept = request.headers.get("accept", "")
        async with self._lock:  # so that nothing is folded twice
            await self._fold()
            body, kind = await anyio.to_thread.run_sync(self._encode, accept)
        return Response(body, headers={"content-type": kind, "cache-control": "no-store"})

    async def _fold(self) -> None:
        up = 0.0
        try:
            with anyio.move_on_after(SCRAPE_S):
                if self._mark is None:
                    self._mark = await self._feed.mark()
                news = await self._feed.news(self._mark, SECONDS)
                self._sums.fold(news)  # nothing is awaited between these two
                self._mark = news.mark
                self._sums.gauges = await self._now()
                up = 0.0 if self._orchestra.trouble else 1.0
            self._trouble = self._trouble and not up
        except StoreError as error:
            if not self._trouble:
                logger.warning("Metrics stand still: %s", error)
            self._trouble = True
        if not up:
            self._sums.gauges = {}
        self._sums.gauges["orchestra_store_up"] = {(): up}

    async def _now(self) -> dict[str, dict[tuple[str, ...], float]]:
        newest = await self._orchestra.history(100)
        alerts: dict[tuple[str, ...], float] = defaultdict(float)
        for alert in await self._orchestra.alerts(1000):
            alerts[(alert.kind,)] += alert.over is None
        return {
            "orchestra_consultations_running": {(): float(sum(each.status == "running" for each in newest))},
            "orchestra_alerts_lasting": alerts,
            "orchestra_budget_left_usd": await self._left(),
        }

    async def _left(self) -> dict[tuple[str, ...], float]:
        """What limits and budgets have left; those of keys and workspaces are no business of a metric."""
        user = self._orchestra.user_settings
        today = await self._feed.spent(window_start("day"))
        left: dict[tuple[str, ...], float] = {("limit", "daily", "day"): float(user.limits.daily_cost_usd) - today}
        for budget in user.budgets:
            if budget.per not in ("all", "provider", "model"):
                continue
            start = window_start(budget.window)
            held = await self._feed.held(budget.per, budget.window, start)
            if budget.per == "all":
                held = held or {"*": await self._feed.spent(start)}
            for name, amount in held.items():
                if budget.per == "all" or fnmatchcase(name, budget.name):
                    labels = (budget.per, self._sums.name(budget.per, name), budget.window)
                    left[labels] = min(left.get(labels, float("inf")), float(budget.usd) - amount)
        return {labels: max(0.0, amount) for labels, amount in left.items()}

    def _encode(self, accept: str) -> tuple[bytes, str]:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self._sums)
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind
