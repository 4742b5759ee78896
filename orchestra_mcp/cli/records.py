"""`orchestra status`, `history`, `show` and `outcome`: what is known, without asking anybody."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.running import with_orchestra
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.council.labels import noted
from orchestra_mcp.report import found_report, history_report, status_report, transcript, verdict_report
from orchestra_mcp.types import Consultation, CouncilStatus, Found, Label, Summary


def status(args: argparse.Namespace, desk: Desk) -> int:
    """Who is seated and why, what is missing, what was spent."""

    async def work(orchestra: Orchestra) -> CouncilStatus:
        root = orchestra.project(args.project)
        return await orchestra.status(str(root) if root else None)

    found = with_orchestra(work)
    if desk.as_json:
        desk.document(found.model_dump(mode="json"))
    else:
        desk.markdown(status_report(found))
    return 0


def history(args: argparse.Namespace, desk: Desk) -> int:
    """Past consultations of this project, or of all; outside a project, of all."""
    if args.search.strip():
        return _search(args, desk)

    async def work(orchestra: Orchestra) -> tuple[Summary, ...]:
        root = None if args.all else orchestra.project(args.project)
        return await orchestra.history(args.limit, str(root) if root else None)

    summaries = with_orchestra(work)
    if desk.as_json:
        desk.document([summary.model_dump(mode="json") for summary in summaries])
    else:
        desk.markdown(history_report(summaries))
        if not summaries and not args.all:
            desk.say("Other projects' consultations: orchestra history --all")
    return 0


def _search(args: argparse.Namespace, desk: Desk) -> int:
    async def work(orchestra: Orchestra) -> tuple[tuple[Found, ...], Mapping[str, str], bool]:
        root = None if args.all else orchestra.project(args.project)
        found = await orchestra.search(args.search, str(root) if root else None, args.limit)
        return found, await orchestra.told(), root is None

    found, told, everywhere = with_orchestra(work)
    if desk.as_json:
        desk.document([{**one.model_dump(mode="json"), "told": told.get(one.summary.id, "")} for one in found])
    else:
        desk.markdown(found_report(found, told, projects=everywhere))
        if found:
            desk.say(f"All that was said in one: orchestra show {found[0].summary.id} --detail full")
        elif not everywhere:
            desk.say("Other projects' consultations: orchestra history --all --search …")
    return 0


def show(args: argparse.Namespace, desk: Desk) -> int:
    """One consultation: its report, or with `--detail full` everything that was said and sent."""

    async def work(orchestra: Orchestra) -> Consultation:
        return await orchestra.consultation(args.id)

    found = with_orchestra(work)
    if desk.as_json:
        desk.document(found.model_dump(mode="json"))
    elif found.verdict is None or args.detail == "full":
        desk.markdown(transcript(found))
    else:
        desk.markdown(verdict_report(found.verdict, args.detail))
    return 0


def outcome(args: argparse.Namespace, desk: Desk) -> int:
    """Remember what became of a solution."""

    async def work(orchestra: Orchestra) -> Label:
        return await orchestra.mark(args.id, args.solution, args.outcome)

    label = with_orchestra(work)
    if desk.as_json:
        desk.document(label.model_dump(mode="json"))
    else:
        desk.markdown(noted(label, args.outcome, args.solution))
    return 0
