"""`/consultations/{id}`: one consultation, whole: what is held, why, by whom, what was sent, what it took."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from starlette.responses import Response

from orchestra_mcp.errors import UserError
from orchestra_mcp.types import Consultation, OutcomeName
from orchestra_mcp.web.pages import case
from orchestra_mcp.web.pages.flame import facts, flame
from orchestra_mcp.web.pages.visit import Page, Visit

TOLD = {"worked": "worked", "partly": "worked in part", "wrong": "was wrong"}


async def one(visit: Visit) -> Response:
    """The page. What runs is shown by `live.py`, which calls this for everything else."""
    kept = await visit.house.asking.get(visit.who, visit.part("id"))
    kept = _as_seen(visit, kept)
    return await visit.page(
        "consultation.html",
        kept.question.text[:80],
        kept=kept,
        verdict=kept.verdict,
        drawn=flame(kept.spans),
        facts=facts,
        case=case,
        marks=case.outcomes(kept.labels),
        marked=visit.query("marked", limit=10),
        told=TOLD,
    )


async def mark(visit: Visit) -> Response:
    """Remember what became of a solution."""
    given = await visit.form()
    outcome, solution = given.get("outcome", ""), given.get("solution", "")
    if outcome not in get_args(OutcomeName) or not (solution.isascii() and solution.isdigit() and len(solution) < 4):
        raise UserError("Say which solution, and whether it worked, worked partly or was wrong.")
    id = await visit.house.asking.own_id(visit.who, visit.part("id"))
    await visit.house.orchestra.mark(id, int(solution), cast(OutcomeName, outcome))
    return visit.see(f"/consultations/{id}?marked={int(solution)}#solution-{int(solution)}")


def _as_seen(visit: Visit, kept: Consultation) -> Consultation:
    """Where projects lie is the owner's business."""
    if visit.who.is_owner or not kept.question.project:
        return kept
    question = kept.question.model_copy(update={"project": Path(kept.question.project).name})
    return kept.model_copy(update={"question": question})


PAGES = (
    Page("/consultations/{id}", one),
    Page("/consultations/{id}/outcome", mark, ("POST",), "mark"),
)
