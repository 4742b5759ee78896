"""The checks that a mode asks for, of a whole answer: what it says of input, changes, callers, cost, versions and commits.

Checks of single claims, of patches and of programs run elsewhere (`council.answers.citations`, `council.steps.trying`).
Absence of proof is `unchecked`; `refuted` says that the project shows the contrary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from orchestra_mcp.council.modechecks.callers import check_callers
from orchestra_mcp.council.modechecks.commits import check_commits
from orchestra_mcp.council.modechecks.differences import check_differences
from orchestra_mcp.council.modechecks.inputs import check_inputs
from orchestra_mcp.council.modechecks.speed import check_speed
from orchestra_mcp.council.modechecks.versions import check_versions
from orchestra_mcp.council.prompts.files import mode_spec
from orchestra_mcp.types import Check, Dossier, Evidence, Mode, Opinion

MAX_NOTE = 400
"""Characters of a note."""

ModeCheck = Callable[[Opinion, Dossier, Evidence], Awaitable[Check | None]]
"""Looks at one answer; None when there is nothing in it that this check could look at."""

MODE_CHECKS: dict[str, ModeCheck] = {
    "untrusted-input": check_inputs,
    "in-diff": check_differences,
    "callers": check_callers,
    "hot-path": check_speed,
    "versions": check_versions,
    "commits": check_commits,
}
"""By their names in `council.prompts.files.CHECKS`. Add here."""


async def check_for_mode(
    opinion: Opinion, mode: Mode, dossier: Dossier, evidence: Evidence | None
) -> tuple[Check, ...]:
    """What the checks of a mode find about one answer, in the order of the mode's file, each with its name and one line.

    The answer's claims should have been checked before (`council.evidence`): those that were refuted are passed over.
    Empty without a project, in mode `auto`, and where there is nothing to look at.
    """
    if evidence is None or mode == "auto":
        return ()
    found: list[Check] = []
    for name in mode_spec(mode).checks:
        check = await MODE_CHECKS[name](opinion, dossier, evidence) if name in MODE_CHECKS else None
        if check is not None:
            note = " ".join(check.note.split())
            note = note if len(note) <= MAX_NOTE else note[: MAX_NOTE - 1] + "…"
            found.append(check.model_copy(update={"name": name, "note": note}))
    return tuple(found)
