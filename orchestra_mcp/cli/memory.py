"""`orchestra export` and `orchestra forget`: past consultations as a whole."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from orchestra_mcp.app import Forgotten, Orchestra
from orchestra_mcp.cli.costs import moment
from orchestra_mcp.cli.running import Usage, with_orchestra
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.errors import UserError
from orchestra_mcp.foreign import plain
from orchestra_mcp.report import transcript
from orchestra_mcp.store.rows import encode
from orchestra_mcp.types import Consultation

Work = Callable[[Orchestra, TextIO], Awaitable[int]]
"""Writes consultations, and tells how many."""


def export(args: argparse.Namespace, desk: Desk) -> int:
    """Write whole consultations, oldest first."""
    if desk.as_json and not args.output:
        raise Usage("--json says what was exported, and needs --output FILE; JSON lines are the default format")
    now = datetime.now(UTC)
    since, before = (moment(given, now) if given else None for given in (args.since, args.before))
    shape = as_line if args.format == "jsonl" else as_section

    async def work(orchestra: Orchestra, out: TextIO) -> int:
        root = None if args.all else orchestra.project(args.project)
        count = 0
        async with aclosing(
            orchestra.exported(project=str(root) if root else None, since=since, before=before)
        ) as consultations:
            async for one in consultations:
                out.write(shape(one))
                count += 1
        return count

    count = _to_file(Path(args.output), work) if args.output else with_orchestra(lambda o: work(o, sys.stdout))
    sys.stdout.flush()
    where = f" to {args.output}" if args.output else ""
    if desk.as_json:
        desk.document({"exported": count, "format": args.format, "file": args.output})
    else:
        desk.say(f"{_count(count)} exported{where}.")
    return 0


def as_line(consultation: Consultation) -> str:
    """A consultation as one line of JSON, in ASCII, that `Consultation.model_validate_json` makes the same noun of."""
    return json.dumps(json.loads(encode(consultation))) + "\n"


def as_section(consultation: Consultation) -> str:
    """Its transcript, and a rule below."""
    return f"{plain(transcript(consultation)).rstrip()}\n\n---\n\n"


def _to_file(file: Path, work: Work) -> int:
    """Write to a new file beside it, which takes its place only when it is whole.

    Raises:
        UserError: it cannot be written.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
                count = with_orchestra(lambda orchestra: work(orchestra, out))
            draft.replace(file)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror or type(error).__name__}.") from None
    return count


def forget(args: argparse.Namespace, desk: Desk) -> int:
    """Remove consultations, after a question."""
    if args.all and (args.ids or args.project or args.before):
        raise Usage("--all is everything; give it alone")
    if not (args.all or args.ids or args.project or args.before):
        raise Usage("say what to forget: ids, --project, --before WHEN, or --all")
    before = moment(args.before, datetime.now(UTC)) if args.before else None

    async def count(orchestra: Orchestra) -> tuple[int, str | None]:
        root = _root(orchestra, args.project)
        return len(await orchestra.chosen(args.ids, project=root, before=before)), root

    found, root = with_orchestra(count)
    whole = not args.ids and before is None
    if not found and not whole:
        return _tell(Forgotten(), desk)
    if not args.yes and not _agrees(found, root, whole, desk):
        return 1

    async def work(orchestra: Orchestra) -> Forgotten:
        return await orchestra.forget(args.ids, project=root, before=before, everything=args.all)

    return _tell(with_orchestra(work), desk)


def _root(orchestra: Orchestra, given: str | None) -> str | None:
    """The project's root; a directory that is gone is taken by its name, since its consultations are still there."""
    if not given:
        return None
    path = Path(given).expanduser()
    if given != "." and not path.exists():
        return os.path.abspath(path)  # noqa: PTH100 - links of what is not there lead nowhere
    root = orchestra.project(None if given == "." else given)
    if root is None:
        raise UserError("You are in no project; name it: --project DIR.")
    return str(root)


def _agrees(found: int, root: str | None, whole: bool, desk: Desk) -> bool:
    what = _count(found) + (f" of {Path(root).name}" if root else "")
    if whole:
        what += ", what was learnt of its code and all cached answers" if root else " and everything learnt from them"
    if not desk.can_ask:
        raise Usage(f"{what} would be removed for good; say --yes where nobody can answer")
    sys.stderr.write(f"{plain(what)} will be removed for good. Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(forgotten: Forgotten, desk: Desk) -> int:
    if desk.as_json:
        desk.document(vars(forgotten))
        return 0
    beside = [
        what for what, gone in (("the index of code", forgotten.index), ("cached answers", forgotten.replies)) if gone
    ]
    lines = [f"{_count(forgotten.consultations)} forgotten" + (f", and {' and '.join(beside)}." if beside else ".")]
    if forgotten.running:
        lines.append(f"{_count(forgotten.running)} still running, and left alone.")
    desk.text("\n".join(lines))
    return 0


def _count(number: int) -> str:
    return "1 consultation" if number == 1 else f"{number} consultations"
