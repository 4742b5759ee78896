"""Running a program on probes: the side that stays outside of the sandbox."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.context.trial import removal, sandbox
from orchestra_mcp.context.trial.canonical import MAX_PRINTED, shortened
from orchestra_mcp.foreign import plain
from orchestra_mcp.types import Behaviour, Probe

PYTHON = frozenset(("python", "python3", "py"))
MAX_CODE = 400_000
MAX_PROBES = 40
RESTARTS = 3
"""How often the harness is started again after a program has managed to end it."""

RIGHTS = ("privileges", "files", "network")
"""What a program must have given up."""
MAX_NOTE = 200
_KILLED = "EXC:Killed"
_OVERALL_S = 30.0
_MAX_BYTES = 8_000_000
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0",
                "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "TZ": "UTC"}  # fmt: skip


async def behave(code: str, probes: Sequence[Probe]) -> Behaviour | str:
    """What a Python program does on each probe; or why programs cannot be run safely on this machine, as a sentence.

    Probes that did not come from the question are run twice: `UNSTABLE` where both runs differ.

    Raises:
        OSError: there is no room for a directory.
    """
    if len(code) > MAX_CODE:
        return Behaviour(loaded=False, note="it is too long")
    if os.name != "posix":
        return _refusal(("files", "network"))
    # `expected` stays here: a program that knew it could print it.
    asked = [
        {"kind": probe.kind, "text": probe.text, "twice": probe.source != "question"} for probe in probes[:MAX_PROBES]
    ]
    asked = asked or [{"kind": "call", "text": "None", "twice": False}]
    directory = Path(tempfile.mkdtemp(prefix="orchestra-"))
    try:
        outcomes = await _outcomes(code, asked, directory)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(removal.remove, directory)
    if not isinstance(outcomes, list):
        return outcomes
    cut = f"only the first {MAX_PROBES} probes were run" if len(probes) > MAX_PROBES else ""
    return Behaviour(outcomes=tuple(outcomes[: len(probes)]), note=cut)


async def _outcomes(code: str, asked: Sequence[dict[str, object]], directory: Path) -> list[str] | Behaviour | str:
    outcomes: list[str] = []
    for number in range(RESTARTS):
        place = directory / str(number)
        place.mkdir()
        answers = await _answers(code, asked[len(outcomes) :], len(outcomes), place)
        if isinstance(answers, str):
            return answers
        for answer in answers:
            if "load" in answer:
                return Behaviour(loaded=False, note=_plain(answer["load"], MAX_NOTE).replace("\n", " "))
            outcomes.append(_plain(answer["outcome"], MAX_PRINTED))
        if len(outcomes) >= len(asked):
            break
        outcomes.append(_KILLED)  # what was being run has managed to end the harness
        if len(outcomes) == len(asked):
            break
    return [*outcomes, *[_KILLED] * (len(asked) - len(outcomes))]


async def _answers(
    code: str, probes: Sequence[dict[str, object]], first: int, directory: Path
) -> list[dict[str, str]] | str:
    """What the harness says, or why nothing may be run: by its own test of the sandbox alone, before anything foreign."""
    job = {"code": code, "probes": probes, "first": first}
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
    said = [answer for line in ended.output.split(b"\n") if (answer := _read(line))]
    if not said or "holds" not in said[0]:
        return "Programs of answers are not run: the sandbox does not start here."
    holds = said[0]["holds"]
    open_ = [name for name in RIGHTS if not (isinstance(holds, dict) and holds.get(name) is True)]
    if open_:
        return _refusal(open_)
    found = []
    for answer in said[1 : len(probes) + 1]:
        texts = {name: text for name, text in answer.items() if isinstance(text, str)}
        if not ("load" in texts or "outcome" in texts):
            break
        found.append(texts)
    return found


def _read(line: bytes) -> dict[str, object]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _plain(text: str, limit: int) -> str:
    """Text of a program's making, harmless to show; what was taken out of it still counts, by its digest."""
    made = plain(text)
    if made != text:
        made = f"{made}…{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return shortened(made, limit)


def _refusal(open_: Sequence[str]) -> str:
    return f"Programs of answers are not run: this system cannot shut them in ({' and '.join(open_)} would stay open)."
