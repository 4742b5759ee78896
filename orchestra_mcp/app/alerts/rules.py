"""What the rules of alerts say of the records: above, below, or neither. Reading the records is `store/alertfacts.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from orchestra_mcp.foreign import one_line
from orchestra_mcp.gateway.money.advice import wilson
from orchestra_mcp.settings import AlertRule, Settings
from orchestra_mcp.store.alertfacts import Calls, Facts
from orchestra_mcp.types import AlertKind

Says = Literal["on", "off", "neither"]
CALLS, OUTCOMES = 5, 20
"""What there must be at least before a share says anything, where the rule does not say."""
LAST_OUTCOMES: Final = 100
RELEASE: Final = 0.8
"""An alert is over when the value has fallen to this share of its bound, so that one around the bound does not flap."""
Z95: Final = 1.96
SPANS: Final = {
    "5m": timedelta(minutes=5), "15m": timedelta(minutes=15), "1h": timedelta(hours=1), "24h": timedelta(hours=24),
    "7d": timedelta(days=7), "30d": timedelta(days=30),
}  # fmt: skip
LONG: Final = ("7d", "30d", "month")
"""Windows over which a rule is looked at more seldom."""
WORDS: Final = {
    "5m": "in 5 minutes", "15m": "in 15 minutes", "1h": "in an hour", "24h": "in 24 hours", "7d": "in 7 days",
    "30d": "in 30 days", "day": "today (UTC)", "month": "this month (UTC)",
}  # fmt: skip
DAILY: Final = "daily limit"
DAILY_SHARE: Final = 0.8


class Reading(NamedTuple):
    """What a rule says now of one subject."""

    subject: str
    value: float
    says: Says
    message: str


def rules_of(settings: Settings) -> tuple[AlertRule, ...]:
    """The user's rules, and two that are only shown in status and on the dashboard: an expert that does not answer, and
    most of the daily limit spent. A rule of the same name takes the place of one of these.
    """
    own = {rule.name: rule for rule in settings.alerts}
    standing = [AlertRule(name="outage", on="outage", above=CALLS, to=())]
    if daily := float(settings.limits.daily_cost_usd) * DAILY_SHARE:
        standing.append(AlertRule(name=DAILY, on="spend", above=daily, window="day", to=()))
    return (*own.values(), *(rule for rule in standing if rule.name not in own))


def beginning(window: str, now: datetime) -> datetime:
    """When a rule's window began."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window in ("day", "month"):
        return midnight if window == "day" else midnight.replace(day=1)
    return now - SPANS[window]


def read(facts: Facts, rule: AlertRule, now: datetime) -> tuple[Reading, ...]:
    """What a rule says at this moment of each of its subjects."""
    calls = Calls(beginning(rule.window, now), rule.provider, rule.model, rule.workspace)
    return tuple(READERS[rule.on](facts, rule, calls))


def _spend(facts: Facts, rule: AlertRule, calls: Calls) -> Iterator[Reading]:
    value = facts.spent(calls)
    spent, bound = _apart(value, rule.above, "${:.2f}", "${:.3f}", "${:.4f}", "${:.6f}")
    text = f"{spent} spent {WORDS[rule.window]}{_of(rule)}, above {bound}"
    yield Reading(_subject(rule), value, _says(value, rule.above), text)


def _errors(facts: Facts, rule: AlertRule, calls: Calls) -> Iterator[Reading]:
    failed, count = facts.failures(calls)
    share = failed / count if count else 0.0
    part, bound = _apart(share, rule.above, "{:.0%}", "{:.1%}", "{:.2%}")
    text = f"{failed} of {count} calls{_of(rule)} failed {WORDS[rule.window]} ({part}), above {bound}"
    yield Reading(_subject(rule), share, _enough(rule, count, _says(share, rule.above)), text)


def _latency(facts: Facts, rule: AlertRule, calls: Calls) -> Iterator[Reading]:
    p95, count = facts.slowness(calls)
    slow, _ = _apart(p95, rule.above, "{:.1f}", "{:.2f}", "{:.3f}")
    text = f"p95 of {count} calls{_of(rule)} is {slow} s {WORDS[rule.window]}, above {rule.above:g} s"
    yield Reading(_subject(rule), p95, _enough(rule, count, _says(p95, rule.above)), text)


def _outage(facts: Facts, rule: AlertRule, calls: Calls) -> Iterator[Reading]:
    for streak in facts.streaks(calls):
        # One answer ends it: a streak has no middle.
        says: Says = "on" if streak.failed >= rule.above else "neither" if streak.failed else "off"
        who = one_line(streak.model, 80) + (f" ({one_line(streak.provider, 80)})" if streak.provider else "")
        text = f"{who} does not answer: {streak.failed} calls in a row failed, the last one by {one_line(streak.error, 40)}"
        yield Reading(streak.model, streak.failed, says, text)


def _calibration(facts: Facts, rule: AlertRule, _: Calls) -> Iterator[Reading]:
    known = tuple(facts.stated(LAST_OUTCOMES))
    weight = sum(each for _, _, each in known)
    if not weight:
        return
    confidence = sum(stated * each for stated, _, each in known) / weight
    share, low, high = wilson(sum(right * each for _, right, each in known), weight, Z95)
    drift = abs(confidence - share)
    says = _says(drift, rule.above)
    if says == "on" and low <= confidence <= high:
        says = "neither"  # chance alone could make that difference
    text = (
        f"stated confidence is {confidence:.0%} on average, but {share:.0%} of the last {len(known)} outcomes were right "
        f"(95 % interval {low:.0%} to {high:.0%}): {drift:.2f} apart, above {rule.above:g}"
    )
    yield Reading("", drift, _enough(rule, len(known), says, OUTCOMES), text)


Reader = Callable[[Facts, AlertRule, Calls], Iterator[Reading]]
# Add a kind of alert here, and its name in `types.AlertKind`.
READERS: Final[dict[AlertKind, Reader]] = {
    "spend": _spend, "errors": _errors, "latency": _latency, "outage": _outage, "calibration": _calibration,
}  # fmt: skip


def _says(value: float, bound: float) -> Says:
    return "on" if value > bound else "off" if value <= bound * RELEASE else "neither"


def _apart(value: float, bound: float, *forms: str) -> tuple[str, str]:
    """A value and its bound in the shortest form in which they are not the same, or in the longest."""
    said = [(form.format(value), form.format(bound)) for form in forms]
    return next((pair for pair in said if pair[0] != pair[1]), said[0 if value == bound else -1])


def _enough(rule: AlertRule, count: int, says: Says, least: int = CALLS) -> Says:
    """No calls at all end an alert; a few say nothing."""
    if not count:
        return "off"
    return says if count >= (rule.at_least or least) else "neither"


def _subject(rule: AlertRule) -> str:
    return ", ".join(name for name in (rule.provider, rule.model, rule.workspace) if name)


def _of(rule: AlertRule) -> str:
    subject = _subject(rule)
    return f" of {one_line(subject, 200)}" if subject else ""
