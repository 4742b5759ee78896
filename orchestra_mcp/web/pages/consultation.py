"""`/consultations/{id}`: one consultation, whole: what is held, why, by whom, what was sent, what it took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from starlette.responses import Response

from orchestra_mcp.app.outcomes.followup import asked_about
from orchestra_mcp.errors import NotFound, UserError
from orchestra_mcp.types import Consultation, OutcomeName, PastCase, Turn
from orchestra_mcp.web.pages import case
from orchestra_mcp.web.pages.flame import facts, flame
from orchestra_mcp.web.pages.live import live_page
from orchestra_mcp.web.pages.visit import Page, Visit

SHOWN = 40
"""Earlier consultations whose words are looked up for one page."""
TOLD = {"worked": "worked", "partly": "worked in part", "wrong": "was wrong"}


async def one(visit: Visit) -> Response:
    """A consultation: at work while it runs (`live.py`), then its verdict."""
    kept = await visit.house.asking.get(visit.who, visit.part("id"))
    if kept.status == "running":
        return await live_page(visit, kept)
    kept = _as_seen(visit, kept)
    words = await _words(visit, kept)
    asked = await _look(visit, asked_about(kept.verdict.follow_up)) if kept.verdict else None
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
        words=words,
        asked=asked if asked and asked.verdict and asked.verdict.solutions else None,
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What an earlier consultation was about, as it is kept."""

    question: str
    outcome: str


async def _words(visit: Visit, kept: Consultation) -> dict[str, Words]:
    """The words of consultations that were shown with this one, by id, as far as they are there and the visitor's.

    With this one only their ids are kept, so that forgetting one forgets it everywhere.
    """
    sent = kept.dossier
    found: dict[str, Words] = {}
    shown: tuple[Turn | PastCase, ...] = (*sent.history, *sent.past) if sent else ()
    for one in shown[:SHOWN]:
        if not one.question and (earlier := await _look(visit, one.id)):
            solutions = earlier.verdict.solutions if earlier.verdict else ()
            found[one.id] = Words(
                earlier.question.text or "(empty question)", solutions[0].position if solutions else ""
            )
    return found


async def _look(visit: Visit, id: str) -> Consultation | None:
    """A consultation that the visitor may see; None where there is none (any more)."""
    if not id:
        return None
    try:
        return await visit.house.asking.get(visit.who, id)
    except NotFound:
        return None


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
