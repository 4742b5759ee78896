"""`/ask`: the form, what would happen if it were sent now, consent where it is missing, and the start of a council."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from starlette.responses import Response

from orchestra_mcp.errors import ConsentNeeded, NotFound, ProjectError, StoreError, UserError
from orchestra_mcp.types import Plan, Question, SeatStatus
from orchestra_mcp.web.errors import Declined
from orchestra_mcp.web.nouns import Ask
from orchestra_mcp.web.pages.askform import EFFORTS, MODES, OTHER, Form, again, ask_of, question_of, read
from orchestra_mcp.web.pages.visit import Page, Visit

LATELY = 60
"""Consultations that are looked through for projects."""
PROJECTS = 12
"""Projects that are listed at most."""
UNREADABLE = 422
"""Status of a form that was not understood (RFC 9110, 15.5.21)."""


async def form(visit: Visit) -> Response:
    """The empty form, or one filled in from an earlier question."""
    asking, who = visit.house.asking, visit.who
    blank = Form(question=visit.query("question", limit=8000))
    if id := visit.query("again"):
        kept = await asking.get(who, id)
        blank = again(kept.question)
        project = kept.question.project if who.is_owner else None
    elif id := visit.query("continues"):
        kept = await asking.get(who, id)
        blank = replace(blank, continues=kept.id)
        project = kept.question.project if who.is_owner else None
    else:
        lately = await _projects(visit)
        project = lately[0] if lately else None
    return await _page(visit, replace(blank, project=project or ""))


async def start(visit: Visit) -> Response:
    """Start the council and go where it can be watched; what is wrong comes back beside its field."""
    return await _started(visit, read(await visit.fields()))


async def plan(visit: Visit) -> Response:
    """Who would be asked, what would leave this machine, and what it would cost; nothing is sent."""
    visit.need("own")
    given = read(await visit.fields())
    ask, faults = ask_of(given)
    if ask is None:
        return await _page(visit, replace(given, faults=faults), status=UNREADABLE, part="plan")
    try:
        found = await _plan(visit, ask)
    except UserError as error:
        return await _page(visit, replace(given, faults=_blamed(error)), status=UNREADABLE, part="plan")
    return await _page(visit, given, found, part="plan")


async def allow(visit: Visit) -> Response:
    """Remember that these providers may see this project's code; then look again, or ask."""
    visit.need("own")
    fields = await visit.fields()
    given = read(fields)
    ask, faults = ask_of(given)
    if ask is None:
        return await _page(visit, replace(given, faults=faults), status=UNREADABLE, part="plan")
    try:
        question = _settled(visit, ask)
        missing = await visit.house.orchestra.needs_consent(question.project, question.experts)
        # Only what was shown to whoever pressed the button, and is still asked for.
        agreed = [name for name in missing if name in fields.get("provider", ())]
        if question.project and agreed:
            await visit.house.orchestra.allow(question.project, agreed)
        if fields.get("then", [""])[-1] == "ask":
            return await _started(visit, given)
        found = await _plan(visit, ask)
    except UserError as error:
        return await _page(visit, replace(given, faults=_blamed(error)), status=UNREADABLE, part="plan")
    return await _page(visit, given, found, part="plan")


async def _started(visit: Visit, given: Form) -> Response:
    ask, faults = ask_of(given)
    if ask is None:
        return await _page(visit, replace(given, faults=faults), status=UNREADABLE)
    try:
        run = await visit.house.asking.start(visit.who, question_of(ask), ask.project_dir)
    except ConsentNeeded as error:
        # Whoever is not the owner can allow nothing; they are told in words.
        providers = error.providers if visit.who.is_owner else ()
        said = replace(given, faults={} if providers else {"form": str(error)})
        return await _page(visit, said, status=UNREADABLE, consent=providers)
    except (UserError, Declined) as error:
        return await _page(visit, replace(given, faults=_blamed(error)), status=UNREADABLE)
    return visit.see(f"/consultations/{run.id}")


def _blamed(error: Exception) -> Mapping[str, str]:
    """What is wrong, beside the field that it is about."""
    said = str(error)
    if isinstance(error, ProjectError) or said.endswith("is no path of a directory."):
        return {"project": said}
    if isinstance(error, NotFound):
        return {"experts" if said.startswith("There is no expert") else "form": said}
    return {"form": said}


def _settled(visit: Visit, ask: Ask) -> Question:
    """The owner's question with the root of its project."""
    question = question_of(ask)
    try:
        project = visit.house.orchestra.project(ask.project_dir) if ask.project_dir else None
    except (ValueError, RuntimeError, OSError):  # a NUL, a home of nobody, a name that no file can have
        raise ProjectError(f"{ask.project_dir[:60]!r} is no path of a directory.") from None
    return question.model_copy(update={"project": str(project) if project else None})


async def _plan(visit: Visit, ask: Ask) -> Plan:
    question = _settled(visit, ask)
    if question.continues and not question.project:
        before = await visit.house.asking.get(visit.who, question.continues)
        question = question.model_copy(update={"project": before.question.project})
    return await visit.house.orchestra.plan(question)


async def _page(
    visit: Visit,
    given: Form,
    found: Plan | None = None,
    *,
    status: int = 200,
    consent: Sequence[str] = (),
    part: str = "",
) -> Response:
    """The whole page, or for a script only the part about what would happen."""
    if part and visit.partial:
        return await visit.piece("_ask_plan.html", form=given, plan=found)
    lately = await _projects(visit)
    if given.project and given.project != OTHER and given.project not in lately:
        lately = (given.project, *lately)
    house = await visit.house.orchestra.status()
    seats = [seat for seat in house.seats if seat.provider != "resident"]
    seated = [seat for seat in seats if seat.state in ("seated", "failing")]
    before = await _before(visit, given)
    return await visit.page(
        "ask.html",
        "Ask the council",
        http_status=status,
        form=given,
        plan=found,
        consent=consent,
        projects=lately,
        seated=seated,
        unseated=[seat for seat in seats if seat not in seated],
        can_be_added=house.can_be_added if visit.who.is_owner else (),
        named=_named(given, seated),
        modes=MODES,
        efforts=EFFORTS,
        other=OTHER,
        owner=visit.who.is_owner,
        before=before,
    )


def _named(given: Form, seated: Sequence[SeatStatus]) -> tuple[str, ...]:
    """Experts that were named and are not seated (any more); they stay in the form, for who sent it to see."""
    known = {seat.name for seat in seated}
    return tuple(name for name in given.experts if name not in known)


async def _projects(visit: Visit) -> tuple[str, ...]:
    """The roots of projects that were asked about lately, the last one first; where they lie is the owner's business."""
    if not visit.who.is_owner:
        return ()
    try:
        lately = await visit.house.asking.history(visit.who, LATELY)
    except StoreError:
        return ()
    return tuple(dict.fromkeys(summary.project for summary in lately if summary.project))[:PROJECTS]


async def _before(visit: Visit, given: Form) -> str:
    """The question that this one follows; empty when it follows none that there is."""
    if not given.continues:
        return ""
    try:
        return (await visit.house.asking.get(visit.who, given.continues)).question.text
    except NotFound:
        return ""


PAGES = (
    Page("/ask", form, needs="ask"),
    Page("/ask", start, ("POST",), "ask"),
    Page("/ask/plan", plan, ("POST",), "ask"),
    Page("/ask/allow", allow, ("POST",), "ask"),
)
