"""`/alerts`: rules that have fired and last, those that are over, and the rules in force."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from orchestra_mcp.app.alerts.rules import CALLS, LAST_OUTCOMES, OUTCOMES
from orchestra_mcp.settings import AlertRule
from orchestra_mcp.types import Noun
from orchestra_mcp.web.pages.rendering import duration, money, percent
from orchestra_mcp.web.pages.visit import Page, Visit

NEWEST: Final = 200
WINDOWS: Final = {
    "5m": "5 minutes", "15m": "15 minutes", "1h": "one hour", "24h": "24 hours", "day": "a day (UTC)", "7d": "7 days",
    "month": "a month (UTC)", "30d": "30 days",
}  # fmt: skip


class Rule(Noun):
    """A rule in words."""

    name: str
    kind: str
    says: str
    told: tuple[str, ...] = ()
    built_in: bool = False
    """It holds without being written into the settings."""


def in_words(rule: AlertRule, built_in: bool = False) -> Rule:
    """What a rule watches, in a sentence; never the address of its webhook, which is a secret with some services."""
    limit = {
        "spend": f"more than {money(rule.above)} is spent",
        "errors": f"more than {percent(rule.above)} of the calls fail",
        "latency": f"the p95 of answers is above {duration(rule.above)}",
        "outage": f"{rule.above:g} calls of one model fail in a row",
        "calibration": f"confidence and what proved right differ by more than {percent(rule.above)}",
    }[rule.on]
    about = [f"{name} {value}" for name, value in (("provider", rule.provider), ("model", rule.model)) if value]
    about += [f"workspace {rule.workspace}"] if rule.workspace else []
    of = f", of what concerns {' and '.join(about)}," if about else ""
    least = ""
    if rule.on in ("errors", "latency"):
        least = f", from {rule.at_least or CALLS} calls on"
    within = f"within {WINDOWS[rule.window]}"
    if rule.on == "calibration":
        within = f"over the last {LAST_OUTCOMES} outcomes, from {rule.at_least or OUTCOMES} on"
    said = f"When{of} {limit} {within}{least}."
    return Rule(name=rule.name, kind=rule.on, says=said, told=rule.to, built_in=built_in)


async def alerts(visit: Visit) -> Response:
    """The page."""
    orchestra = visit.house.orchestra
    found = await orchestra.alerts(NEWEST)
    return await visit.page(
        "alerts.html",
        "Alerts",
        lasting=[alert for alert in found if alert.over is None],
        past=[alert for alert in found if alert.over is not None],
        rules=[in_words(rule, rule not in orchestra.user_settings.alerts) for rule in orchestra.alarms.rules],
        file=str(orchestra.user_settings.source or ""),
    )


PAGES = (Page("/alerts", alerts, needs="own"),)
