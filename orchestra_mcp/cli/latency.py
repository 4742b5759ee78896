"""`orchestra latency`: percentiles of how long calls took, by any dimension; and the dashboard for Grafana."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

from orchestra_mcp.cli.costs import moment
from orchestra_mcp.cli.running import Usage
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.settings import Settings, load

if TYPE_CHECKING:
    from orchestra_mcp.types import Latency


def latency(args: argparse.Namespace, desk: Desk) -> int:
    """Show how long calls took."""
    import anyio

    now = datetime.now(UTC)
    since = moment(args.since, now)
    until = moment(args.until, now) if args.until else now + timedelta(seconds=1)
    if since >= until:
        raise Usage(f"--since {args.since} is not before --until {args.until or 'now'}")
    found = anyio.run(_read, load(os.environ), args.by, since, until)
    if desk.as_json:
        desk.document(
            {
                "by": args.by,
                "since": since.isoformat(),
                "until": until.isoformat(),
                "lines": [line.model_dump(mode="json") for line in found],
            }
        )
    else:
        desk.markdown(report(args.by, since, found))
    return 0


async def _read(settings: Settings, by: str, since: datetime, until: datetime) -> tuple[Latency, ...]:
    from orchestra_mcp.store import open_store

    async with open_store(settings.home, strict=True) as store:
        return await store.latency(by, since, until)  # type: ignore[arg-type]


def report(by: str, since: datetime, found: Sequence[Latency]) -> str:
    """The table as Markdown; times in seconds."""
    what = by.replace("_", " ")
    title = f"**How long answered calls took since {since:%Y-%m-%d %H:%M} UTC, by {what}, in seconds**"
    if not found:
        return f"{title}\n\nNo call was answered in this time."
    table = [
        f"| {what} | calls | p50 | p95 | p99 | first word p50 | p95 |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {_name(line.value)} | {line.calls:,} | {line.p50_s:.2f} | {line.p95_s:.2f} | {line.p99_s:.2f} | "
            f"{_seconds(line.first_p50_s)} | {_seconds(line.first_p95_s)} |"
            for line in found
        ),
    ]
    return "\n".join([title, "", *table, "", "- Exact, by the nearest rank; answers from our caches are not in it."])


def _name(value: str) -> str:
    from orchestra_mcp.foreign import one_line

    return one_line(value, 120) or "(none)"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def grafana(_: argparse.Namespace, desk: Desk) -> int:
    """Print the dashboard for Grafana."""
    desk.text((files("orchestra_mcp") / "telemetry" / "grafana.json").read_text("utf-8").rstrip("\n"))
    return 0
