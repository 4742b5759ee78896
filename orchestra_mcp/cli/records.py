"""`orchestra status`, `history`, `show` and `outcome`: what is known, without asking anybody."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence

from orchestra_mcp.app import Orchestra
from orchestra_mcp.app.outcomes.followup import as_it_stands
from orchestra_mcp.cli.running import with_orchestra
from orchestra_mcp.cli.terminal import Desk, console
from orchestra_mcp.council.labels import noted
from orchestra_mcp.report import BEGINS, ENDS, found_text, history_report, status_report, transcript, verdict_report
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
        if sys.stdout.isatty():
            _draw(found, told, everywhere)
        else:
            desk.text(found_text(found, told, projects=everywhere))
        if found:
            desk.say(f"All that was said in one: orchestra show {found[0].summary.id} --detail full")
        elif not everywhere:
            desk.say("Other projects' consultations: orchestra history --all --search …")
    return 0


def _draw(found: Sequence[Found], told: Mapping[str, str], everywhere: bool) -> None:
    """The matches on a terminal, with the hits in bold type."""
    from rich.text import Text

    text = Text()
    # The marks are put around what is plain already, so whatever stands in a record can neither make nor break them.
    for number, part in enumerate(re.split(f"[{BEGINS}{ENDS}]", found_text(found, told, everywhere, BEGINS, ENDS))):
        text.append(part, "bold" if number % 2 else "")
    console(sys.stdout).print(text)


def show(args: argparse.Namespace, desk: Desk) -> int:
    """One consultation: its report, or with `--detail full` everything that was said and sent."""

    async def work(orchestra: Orchestra) -> Consultation:
        return await as_it_stands(await orchestra.consultation(args.id), orchestra.consultation)

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
