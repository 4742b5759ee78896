"""Which time the page of costs shows, by what it is split, and in which steps. Pure: from words to moments (UTC)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar

from orchestra_mcp.errors import UserError
from orchestra_mcp.store.costs import Dimension

W = TypeVar("W", bound=str)
Step = Literal["hour", "day", "month"]
Metric = Literal["cost", "calls", "errors", "tokens", "p50", "p95", "p99"]

SPLITS: Final[dict[Dimension, str]] = {
    "provider": "Provider",
    "model": "Model",
    "use_case": "Use case",
    "purpose": "Purpose",
    "project": "Project",
    "workspace": "Workspace",
    "key": "Key",
    "route": "Route",
    "tier": "Tier",
    "cache": "Cache",
    "error": "Error",
    "model_id": "Vendor's model",
}
"""Dimensions that are no times, and how people call them."""
METRICS: Final[dict[Metric, str]] = {
    "cost": "Cost",
    "calls": "Calls",
    "errors": "Failed calls",
    "tokens": "Tokens",
    "p50": "Time, p50",
    "p95": "Time, p95",
    "p99": "Time, p99",
}
SPANS: Final[dict[str, tuple[str, timedelta, Step]]] = {
    "24h": ("24 hours", timedelta(hours=24), "hour"),
    "7d": ("7 days", timedelta(days=7), "day"),
    "30d": ("30 days", timedelta(days=30), "day"),
    "90d": ("90 days", timedelta(days=90), "day"),
}
"""Word in the address → how it is called, how long it is, in which steps it is drawn unless another is chosen."""
MOST_STEPS: Final[dict[Step, int]] = {"hour": 24 * 8, "day": 400, "month": 120}
"""Longer times are drawn in longer steps: each step is asked for by itself."""
STEPS: Final[dict[Step, str]] = {"hour": "Hours", "day": "Days", "month": "Months"}
LONGEST: Final = timedelta(days=3660)


@dataclass(frozen=True)
class Period:
    """What is shown."""

    by: Dimension
    metric: Metric
    span: str
    """One of `SPANS`, or `dates`."""
    step: Step
    since: datetime
    until: datetime
    """Not within it any more."""

    @property
    def steps(self) -> tuple[datetime, ...]:
        """When each step begins, the first one at or before `since`."""
        return steps(self.since, self.until, self.step)

    @property
    def words(self) -> str:
        """The time, for a sentence."""
        if self.span in SPANS:
            return f"the last {SPANS[self.span][0]}"
        return f"{self.since:%Y-%m-%d} to {self.until - timedelta(microseconds=1):%Y-%m-%d}"

    def query(self, **changed: str) -> dict[str, str]:
        """The parameters of the address that shows this, some of them changed."""
        given = {"by": self.by, "metric": self.metric, "span": self.span, "step": self.step}
        if self.span == "dates":
            given |= {"from": f"{self.since:%Y-%m-%d}", "to": f"{self.until - timedelta(days=1):%Y-%m-%d}"}
        return {**given, **changed}


def period(asked: Callable[[str], str], now: datetime) -> Period:
    """What an address asks for.

    Args:
        asked: a parameter of the address, empty when it is not there.
        now: the time.

    Raises:
        UserError: a word is none of those that there are, or a date is none.
    """
    by = _one_of(asked("by") or "model", SPLITS, "by")
    metric = _one_of(asked("metric") or "cost", METRICS, "metric")
    span = asked("span") or ("dates" if asked("from") else "7d")
    if span in SPANS:
        _, long, usual = SPANS[span]
        since, until = now - long, now + timedelta(seconds=1)
    elif span == "dates":
        since = _date(asked("from") or f"{now - timedelta(days=30):%Y-%m-%d}")
        until = _date(asked("to") or f"{now:%Y-%m-%d}") + timedelta(days=1)
        if since >= until:
            raise UserError("The first day lies after the last one.")
        if until - since > LONGEST:
            raise UserError("That is longer than ten years.")
        usual = "hour" if until - since <= timedelta(days=2) else "day"
    else:
        raise UserError(f"span must be one of {', '.join((*SPANS, 'dates'))}.")
    step = _one_of(asked("step") or usual, STEPS, "step")
    return Period(by, metric, span, _coarse(step, since, until), since, until)


def steps(since: datetime, until: datetime, step: Step) -> tuple[datetime, ...]:
    """When each hour, day or month begins that a time touches."""
    at = since.replace(minute=0, second=0, microsecond=0)
    if step != "hour":
        at = at.replace(hour=0)
    if step == "month":
        at = at.replace(day=1)
    found = []
    while at < until:
        found.append(at)
        at = after(at, step)
    return tuple(found)


def after(at: datetime, step: Step) -> datetime:
    """The beginning of the next step."""
    if step == "month":
        return at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
    return at + (timedelta(hours=1) if step == "hour" else timedelta(days=1))


def _coarse(step: Step, since: datetime, until: datetime) -> Step:
    long = until - since
    if step == "hour" and long > timedelta(hours=MOST_STEPS["hour"]):
        step = "day"
    return "month" if step == "day" and long > timedelta(days=MOST_STEPS["day"]) else step


def _one_of(given: str, known: dict[W, str], name: str) -> W:
    found = next((each for each in known if each == given), None)
    if found is None:
        raise UserError(f"{name} must be one of {', '.join(known)}.")
    return found


def _date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UserError(f"{text[:20]!r} is no date such as 2026-11-01.") from None
