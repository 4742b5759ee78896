"""Resident analysts: plain code, no language model, that read the evidence and say only what they can point at.

`walker` follows stack traces, `historian` reads blame and commits, `inspector` looks for defects in the syntax tree.
Add an analyst here: one module with an `analyse` coroutine, one row in `RESIDENTS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import anyio

from orchestra_mcp.council.residents import historian, inspector, walker
from orchestra_mcp.council.residents.lineup import Case
from orchestra_mcp.types import Absence, Dossier, Evidence, Opinion, Question

Analyst = Callable[[Case], Awaitable[Opinion | None]]
"""Reads the evidence and gives an opinion; None means: nothing to say here."""


@dataclass(frozen=True, slots=True)
class Resident:
    """One analyst: its seat's name, its title in reports, and what it does in a line."""

    name: str
    title: str
    analyse: Analyst
    says: str


RESIDENTS: dict[str, Resident] = {
    resident.name: resident
    for resident in (
        Resident(
            "walker",
            "Trace walker",
            walker.analyse,
            "walks stack traces and quoted error messages to the failing function and explains the exception there",
        ),
        Resident(
            "historian",
            "Historian",
            historian.analyse,
            "reads blame and recent commits of the code in question and says what changed near it",
        ),
        Resident(
            "inspector",
            "Inspector",
            inspector.analyse,
            "inspects changed code and the functions in question through the syntax tree for defects it can show",
        ),
        # add an analyst here
    )
}


async def hear_residents(
    question: Question, dossier: Dossier, evidence: Evidence, *, timeout_s: float
) -> list[Opinion | Absence]:
    """What all resident analysts have to say, in the order of `RESIDENTS`; those with nothing to say are left out.

    Args:
        timeout_s: seconds that each analyst may take (they work at the same time).

    Never raises because of an analyst: one that crashes or is late becomes an `Absence` of kind `resident`.
    """
    heard: dict[str, Opinion | Absence] = {}
    case = Case(question, dossier, evidence)

    async def hear(resident: Resident) -> None:
        heard_one = await _hear(resident, case, timeout_s)
        if heard_one is not None:
            heard[resident.name] = heard_one

    async with anyio.create_task_group() as group:
        for resident in RESIDENTS.values():
            group.start_soon(hear, resident)
    return [heard[name] for name in RESIDENTS if name in heard]


async def _hear(resident: Resident, case: Case, timeout_s: float) -> Opinion | Absence | None:
    began = monotonic()
    try:
        with anyio.fail_after(timeout_s):
            opinion = await resident.analyse(case)
    except TimeoutError:
        reason = f"had not finished reading after {timeout_s:g} s"
        return Absence(seat=resident.name, kind="resident", reason=reason, seconds=monotonic() - began)
    except Exception as error:  # noqa: BLE001 - the door of this room: a bug in one analyst must not cost the council
        reason = f"stopped by a fault of its own ({type(error).__name__})"
        return Absence(seat=resident.name, kind="resident", reason=reason, seconds=monotonic() - began)
    return opinion and opinion.model_copy(update={"seconds": round(monotonic() - began, 3)})
