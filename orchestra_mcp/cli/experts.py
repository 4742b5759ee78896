"""`orchestra experts`: how often each expert was right, and on how many cases that rests."""

from __future__ import annotations

import argparse

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.running import with_orchestra
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.report import experts_report
from orchestra_mcp.types import ExpertRecord


def experts(args: argparse.Namespace, desk: Desk) -> int:
    """Show the track records, after a look at what the project's commits say of earlier answers."""

    async def work(orchestra: Orchestra) -> tuple[ExpertRecord, ...]:
        root = orchestra.project(args.project)
        return await orchestra.experts(str(root) if root else None)

    found = with_orchestra(work)
    if desk.as_json:
        kept = [_only(record, args.mode) for record in found]
        desk.document([record.model_dump(mode="json") for record in kept])
    else:
        desk.markdown(experts_report(found, args.mode or ""))
    return 0


def _only(record: ExpertRecord, mode: str | None) -> ExpertRecord:
    """With the records of all modes and of the one that was asked for."""
    if mode is None:
        return record
    return record.model_copy(update={"records": tuple(r for r in record.records if r.mode in ("all", mode))})
