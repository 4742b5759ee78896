"""`orchestra ask`, `debate` and `context`: from arguments to a Question, and from a verdict to the screen."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.progress import watching
from orchestra_mcp.cli.running import FAILED, Usage, with_orchestra
from orchestra_mcp.cli.terminal import Desk, write
from orchestra_mcp.errors import ConsentNeeded
from orchestra_mcp.foreign import plain
from orchestra_mcp.report import plan_report, verdict_report
from orchestra_mcp.types import Excerpt, Plan, Question, StrategyName, Verdict

MAX_QUESTION = 50_000
"""Characters, as for the MCP tools; more belongs into --error, --diff or --file."""
MAX_ATTACHMENT = 5_000_000
"""Bytes of a stack trace, log or diff."""


def ask(args: argparse.Namespace, desk: Desk) -> int:
    """Ask the council; returns 1 when nobody could answer."""
    return _consult(args, desk, "consult")


def debate(args: argparse.Namespace, desk: Desk) -> int:
    """Hold a debate; returns 1 when nobody could answer."""
    return _consult(args, desk, "debate")


def context(args: argparse.Namespace, desk: Desk) -> int:
    """Show what would be sent; asks nobody."""
    given = read_arguments(args)

    async def work(orchestra: Orchestra) -> Plan:
        return await orchestra.plan(Question(**given, project=_project(orchestra, args.project)))

    plan = with_orchestra(work)
    if desk.as_json:
        desk.document(plan_document(plan))
    else:
        desk.markdown(plan_report(plan))
    return 0


def _consult(args: argparse.Namespace, desk: Desk, strategy: StrategyName) -> int:
    given = {**read_arguments(args), **read_limits(args), "strategy": strategy}
    verdict = _with_consent(args, desk, given)
    if desk.as_json:
        desk.document(verdict.model_dump(mode="json"))
    else:
        desk.markdown(verdict_report(verdict, args.detail))
    return FAILED if verdict.status == "failed" else 0


def _with_consent(args: argparse.Namespace, desk: Desk, given: dict[str, Any]) -> Verdict:
    """Ask; where consent is missing, ask the person and then ask again.

    The person is asked outside the event loop, in which Ctrl-C could not end the wait for an answer.
    """

    async def work(orchestra: Orchestra) -> Verdict:
        return await _ask(orchestra, args, given, desk)

    try:
        return with_orchestra(work)
    except ConsentNeeded as refusal:
        wanted = [name for name in refusal.providers if name not in args.allow]
        if not wanted or not desk.can_ask:
            raise ConsentNeeded(how_to_allow(refusal.providers), refusal.providers) from None
        if not _agrees(wanted, args.project):
            raise ConsentNeeded(how_to_allow(wanted), refusal.providers) from None
        args.allow = [*args.allow, *wanted]
    return with_orchestra(work)


async def _ask(orchestra: Orchestra, args: argparse.Namespace, given: dict[str, Any], desk: Desk) -> Verdict:
    project = _project(orchestra, args.project)
    allow = [*args.allow, *(await orchestra.needs_consent(project) if args.yes else ())]
    if allow and project:
        await orchestra.allow(project, tuple(dict.fromkeys(allow)))
    with watching(desk) as observer:
        verdict = await orchestra.ask(Question(**given, project=project), observer)
    desk.restore = orchestra.personal(verdict.id)
    return verdict


def _project(orchestra: Orchestra, directory: str | None) -> str | None:
    root = orchestra.project(directory)
    return str(root) if root else None


def _agrees(providers: list[str], directory: str | None) -> bool:
    name = plain(Path(directory or ".").resolve().name) or "this directory"
    sys.stderr.write(f"Send code of {name} to {plain(', '.join(providers))}? Secrets are taken out first. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def how_to_allow(providers: Sequence[str]) -> str:
    """That consent is missing, and the two ways to give it: an option, or a settings line."""
    names = json.dumps(list(providers))
    options = " ".join(f"--allow {name}" for name in providers)
    return (
        f"code of this project would go to {', '.join(providers)}, and nobody has allowed that yet; nothing was sent. "
        f"To allow it for this project, repeat with {options} (or --yes); for all projects write in orchestra.toml, "
        f"under [privacy]: allow = {names}"
    )


def read_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What the three commands share, with standard input and files read.

    Raises:
        Usage: an empty question, a file that is not there, or standard input wanted twice.
    """
    error, diff = args.error, args.diff
    if [args.question, error, diff].count("-") > 1:
        raise Usage("only one of QUESTION, --error and --diff can be - (standard input); use @FILE for the others")
    text = _from_stdin("the question") if args.question == "-" else args.question
    if not text.strip():
        raise Usage("the question is empty; write it in quotes, or pipe it in and give -")
    if len(text) > MAX_QUESTION:
        raise Usage(
            f"the question has {len(text):,} characters, at most {MAX_QUESTION:,} are read; attach logs with --error @FILE, "
            "changes with --diff @FILE, code with --file PATH"
        )
    given: dict[str, Any] = {
        "text": text.strip(),
        "mode": args.mode,
        "files": tuple(args.files),
        "error": _attachment(error, "--error"),
        "diff": _attachment(diff, "--diff"),
        "experts": tuple(args.experts),
        "local_only": args.local,
    }
    if hasattr(args, "positions"):
        given |= {"positions": tuple(args.positions), "rounds": args.rounds}
    return given


def read_limits(args: argparse.Namespace) -> dict[str, Any]:
    """Effort, money, time and the consultation to be continued."""
    return {
        "effort": args.effort,
        "max_cost_usd": None if args.max_cost is None else Decimal(args.max_cost),
        "deadline_s": args.deadline,
        "continues": args.continues,
    }


def _attachment(given: str, option: str) -> str:
    if given == "-":
        return _from_stdin(option)
    if not given.startswith("@"):
        return given
    path = Path(given[1:]).expanduser()
    try:
        data = path.read_bytes()[: MAX_ATTACHMENT + 1]
    except OSError as error:
        raise Usage(f"{option}: {path} cannot be read ({error.strerror}); give the text itself, @FILE or -") from None
    return _text(data, option)


def _from_stdin(what: str) -> str:
    if sys.stdin.isatty():
        write(sys.stderr, f"Reading {what} from standard input; end with Ctrl-D (Windows: Ctrl-Z, Enter).")
    return _text(sys.stdin.buffer.read(MAX_ATTACHMENT + 1), what)


def _text(data: bytes, what: str) -> str:
    if len(data) > MAX_ATTACHMENT:
        raise Usage(f"{what} has more than {MAX_ATTACHMENT:,} bytes; give the part that matters")
    return data.decode("utf-8", "replace")


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan for scripts: files best first, spans with their place, and who would be asked."""
    dossier = plan.dossier
    return {
        "files": list(dossier.files),
        "spans": [_span(e) for e in dossier.excerpts if e.path and e.start],
        "tokens": dossier.tokens,
        "budget": dossier.budget,
        "left_out": list(dossier.left_out),
        "notes": list(dossier.notes),
        "redacted": [{"kind": kind, "count": count} for kind, count in dossier.redactions.items()],
        "plan": plan.model_dump(mode="json", exclude={"dossier"}),
    }


def _span(excerpt: Excerpt) -> dict[str, Any]:
    return {
        "path": excerpt.path,
        "start": excerpt.start,
        "end": max(excerpt.start, excerpt.end),
        "symbol": excerpt.symbol,
        "source": excerpt.source,
        "tokens": excerpt.tokens,
        "why": excerpt.why,
        "score": excerpt.score,
    }
