"""Running a program on probes: the side that stays outside of the sandbox."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestra_mcp.context.trial import sandbox
from orchestra_mcp.types import Behaviour, Probe

PYTHON = frozenset(("python", "python3", "py"))
MAX_CODE = 400_000
MAX_PROBES = 40
RESTARTS = 3
"""How often the harness is started again after a program has managed to end it."""

_OVERALL_S = 30.0
_MAX_BYTES = 8_000_000
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0",
                "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "TZ": "UTC"}  # fmt: skip


async def behave(code: str, probes: Sequence[Probe]) -> Behaviour | str:
    """What a Python program does on each probe; or why programs cannot be run safely on this machine, as a sentence."""
    if len(code) > MAX_CODE:
        return Behaviour(loaded=False, note="it is too long")
    outcomes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="orchestra-", ignore_cleanup_errors=True) as directory:
        # `expected` stays here: a program that knew it could print it.
        asked = [{"kind": probe.kind, "text": probe.text} for probe in probes[:MAX_PROBES]]
        asked = asked or [{"kind": "call", "text": "None"}]
        for _ in range(RESTARTS):
            answers = await _answers(code, asked[len(outcomes) :], len(outcomes), Path(directory))
            if isinstance(answers, str):
                return answers
            for answer in answers:
                if "open" in answer:
                    return _refusal(answer["open"])
                if "load" in answer:
                    return Behaviour(loaded=False, note=answer["load"])
                outcomes.append(answer["outcome"])
            if len(outcomes) == len(asked):
                break
            outcomes.append("EXC:Killed")
            if len(outcomes) == len(asked):
                break
    outcomes += ["EXC:Killed"] * (len(asked) - len(outcomes))
    cut = f"only the first {MAX_PROBES} probes were run" if len(probes) > MAX_PROBES else ""
    return Behaviour(outcomes=tuple(outcomes[: len(probes)]), note=cut)


async def _answers(
    code: str, probes: Sequence[dict[str, str]], first: int, directory: Path
) -> list[dict[str, str]] | str:
    if os.name != "posix":
        return _refusal("files and network")
    job = {"code": code, "probes": probes, "first": first, "directory": str(directory)}
    environment = _ENVIRONMENT | {"HOME": str(directory), "TMPDIR": str(directory)}
    try:
        ended = await sandbox.run(
            sandbox.python("harness"),
            directory,
            environment,
            typed=json.dumps(job).encode(),
            timeout_s=_OVERALL_S,
            max_bytes=_MAX_BYTES,
        )
    except OSError:
        return f"Programs of answers are not run: {Path(sys.executable).name} cannot be started."
    if ended.code and not ended.output:
        return "Programs of answers are not run: the sandbox does not start here."
    found = []
    for line in ended.output.split(b"\n"):
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        found.append(answer)
    return found


def _refusal(what: str) -> str:
    return f"Programs of answers are not run: this system cannot shut them in ({what} would stay open)."
