"""`orchestra doctor`: check every part, one line each, and say how to mend what is not well.

The checks themselves are in `checks`; here they are run, each with a deadline of its own, and shown.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping

import anyio

from orchestra_mcp.cli.checks import CHECKS, Check, Finding
from orchestra_mcp.cli.models import check_models
from orchestra_mcp.cli.running import FAILED
from orchestra_mcp.cli.terminal import Desk, console
from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.foreign import plain

CHECK_S = 30
CALL_S = 120
"""For one model to say one word."""
MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def doctor(args: argparse.Namespace, desk: Desk) -> int:
    """Run all checks; returns 1 when one of them failed."""
    return conclude(anyio.run(_examine, dict(os.environ), args.call, desk), desk)


def conclude(findings: list[Finding], desk: Desk) -> int:
    """Sum up what was shown; returns 1 when a check failed."""
    failed = [f.name for f in findings if f.state == "fail"]
    if desk.as_json:
        desk.document({"ok": not failed, "checks": [finding._asdict() for finding in findings]})
    else:
        warned = sum(f.state == "warn" for f in findings)
        desk.text(f"\n{len(findings)} checks, {warned} warnings, {len(failed)} failures.")
    return FAILED if failed else 0


async def _examine(environ: Mapping[str, str], call: bool, desk: Desk) -> list[Finding]:
    findings = await examine(CHECKS, environ, desk)

    async def models(environ: Mapping[str, str]) -> list[Finding]:
        return await check_models(environ, call)

    for finding in await guarded("models", models, environ, CALL_S if call else CHECK_S):
        findings.append(finding)
        show(finding, desk)
    return findings


async def examine(checks: Mapping[str, Check], environ: Mapping[str, str], desk: Desk) -> list[Finding]:
    """Run checks one after the other, and show what each found."""
    findings: list[Finding] = []
    for name, check in checks.items():
        for finding in await guarded(name, check, environ, CHECK_S):
            findings.append(finding)
            show(finding, desk)
    return findings


async def guarded(name: str, check: Check, environ: Mapping[str, str], limit_s: float) -> list[Finding]:
    """What a check found; one that fails in a way it did not foresee, or takes too long, has failed."""
    try:
        with anyio.fail_after(limit_s):
            return await check(environ)
    except TimeoutError:
        return [Finding(name, "fail", f"no result within {limit_s} s", "look at what this check touches; it hangs")]
    except OrchestraError as error:
        what, _, mend = str(error).partition(". ")  # errors say what is wrong, then what to do
        return [Finding(name, "fail", f"{what.rstrip('.')}.", mend or "do what the message says")]
    except Exception as error:  # noqa: BLE001 - the doctor must survive every patient
        return [Finding(name, "fail", f"{type(error).__name__}: {error}", "this is a bug; please report it")]


def show(finding: Finding, desk: Desk) -> None:
    """Print a line, and one below it that says how to mend."""
    if desk.as_json or (desk.quiet and finding.state == "ok"):
        return
    mark, colour = MARKS[finding.state]
    rest = f" {finding.name}: {plain(finding.detail)}"
    mend = f"\n       → {plain(finding.mend)}" if finding.mend and finding.state != "ok" else ""
    if not sys.stdout.isatty():
        desk.text(mark + rest + mend)
        return
    from rich.text import Text

    console(sys.stdout).print(Text(mark, style=colour) + Text(rest + mend))
