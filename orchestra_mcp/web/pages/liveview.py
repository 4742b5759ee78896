"""What the live view of a council shows, computed from what has happened so far. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestra_mcp.council.residents import RESIDENTS
from orchestra_mcp.types import Consultation, Event, Opinion, Stance, Verdict
from orchestra_mcp.web.pages.livenouns import (
    Card,
    Cell,
    Claims,
    Column,
    Matrix,
    Money,
    Sight,
    Stage,
    State,
    Step,
    View,
)

DOING: Mapping[str, str] = {
    "reviewing": "reviewing the others, unsigned",
    "ruling": "writing the synthesis",
}
"""What an event of that kind says that a seat is at, beside its answer."""
STAGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("evidence", "Evidence", ("collecting", "collected", "seated")),
    ("experts", "Experts", ("asked", "answered", "absent")),
    ("checks", "Comparison", ("checking",)),
    ("review", "Blind review", ("reviewing", "voted")),
    ("synthesis", "Synthesis", ("ruling",)),
)
"""Key, title and the events that belong to it, in the order of a council."""
UNMOVED = frozenset({"answered", "absent", "voted", "note", "agreed"})
"""Events that end something and begin nothing."""
STANCES: Mapping[str, tuple[str, str]] = {
    "supports": ("✓", "holds it"),
    "doubts": ("?", "doubts it"),
    "contradicts": ("✗", "holds against it"),
}
"""The mark and the word for each stance."""


def view(sight: Sight) -> View:
    """The page for what is known."""
    kept = sight.kept
    closed = kept.status != "running"
    cards = _cards(sight, closed)
    asked = [card for card in cards if card.state not in ("judging", "spared")]
    answered = sum(card.state == "answered" for card in asked)
    stages = _stages(sight, closed, answered, len(asked))
    standing = tuple({o.seat: o for o in kept.opinions if not o.advocate}.values())
    usage = kept.usage
    return View(
        id=kept.id,
        closed=closed,
        status=kept.status,
        elapsed=round(sight.elapsed, 2),
        now=_now(sight, stages, closed),
        said=_said(kept, cards, answered, len(asked), closed),
        stages=stages,
        cards=cards,
        residents=_residents(kept),
        matrix=_matrix(sight.verdict, cards),
        claims=_claims(standing),
        money=Money(usage.cost_usd, usage.tokens, usage.calls, usage.unpriced),
        answered=answered,
        asked=len(asked),
        bench=() if closed else tuple(name for name in sight.bench if name not in {card.name for card in cards}),
        mine=sight.mine,
    )


# --------------------------------------------------------------------------------------------------------- the seats


def _cards(sight: Sight, closed: bool) -> tuple[Card, ...]:
    kept = sight.kept
    said: dict[str, list[Opinion]] = {}
    for opinion in sorted((o for o in kept.opinions if o.kind == "model"), key=lambda o: o.round):
        said.setdefault(opinion.seat, []).append(opinion)
    residents = set(RESIDENTS) | {o.seat for o in kept.opinions if o.kind == "resident"}
    names = [e.seat for e in kept.events if e.seat and e.kind in ("asked", "reviewing", "ruling")]
    names += [*said, *(a.seat for a in kept.absences), *(b.judge for b in kept.ballots), *(sight.awaited or ())]
    return tuple(
        _card(name, sight, said.get(name, ()), closed) for name in dict.fromkeys(names) if name not in residents
    )


def _card(name: str, sight: Sight, said: Sequence[Opinion], closed: bool) -> Card:
    kept = sight.kept
    mine = [event for event in kept.events if event.seat == name]
    asked = [event for event in mine if event.kind == "asked"]
    lost = [a for a in kept.absences if a.seat == name and a.stage == "opinion"]
    own = [opinion for opinion in said if not opinion.advocate]
    doing, since = ("", None) if closed else _doing(name, sight, mine)
    last, before = (own[-1] if own else None), (own[-2] if len(own) > 1 else None)
    absent = bool(lost) and not last
    waits = bool(asked) and not absent and len(asked) > len(said) + len(lost)
    gone = waits and (closed or (sight.awaited is not None and name not in sight.awaited))
    state: State = "judging"
    if last:
        state = "answered"
    elif absent:
        state = "absent"
    elif gone:
        state = "spared"
    elif waits or (not asked and not mine and sight.awaited and name in sight.awaited):
        state = "thinking"
    if state == "answered" and waits and not gone:
        doing, since = doing or f"thinking again, round {len(asked)}", since if doing else asked[-1].seconds
    elif state == "thinking" and since is None:
        since = asked[-1].seconds if asked else 0.0
    ballot = next((b for b in reversed(kept.ballots) if b.judge == name), None)
    return Card(
        name=name,
        state=state,
        maker=(last.family if last else "") or sight.makers.get(name, ""),
        doing=doing if state != "thinking" else "",
        since=since,
        took=last.seconds if last else lost[-1].seconds if absent else None,
        position=last.position if last else "",
        before=before.position if last and before and before.position != last.position else "",
        reason=lost[-1].reason if lost else "",
        round=last.round if last else 1,
        claims=_claims((last,)) if last else Claims(),
        ranked=ballot.ranking if ballot else (),
    )


def _doing(name: str, sight: Sight, mine: Sequence[Event]) -> tuple[str, float | None]:
    """What a seat is at beside its answer, and since when."""
    last = next((event for event in reversed(mine) if event.kind != "note"), None)
    busy = sight.awaited is None or name in sight.awaited
    if last and last.kind in DOING and busy and not _over(sight.kept, last):
        return DOING[last.kind], last.seconds
    if sight.awaited and name in sight.awaited and sight.stage.startswith("comparing"):
        return "comparing the positions", None
    return "", None


def _over(kept: Consultation, begun: Event) -> bool:
    """A chair's work has no event at its end: it is over when another chair has begun."""
    later = [event for event in kept.events if event.kind == "ruling" and event.seconds > begun.seconds]
    return begun.kind == "ruling" and bool(later)


def _residents(kept: Consultation) -> tuple[Card, ...]:
    """Resident analysts that have found something, or could not look."""
    found = [
        Card(
            name=o.seat,
            state="answered",
            maker=RESIDENTS[o.seat].title if o.seat in RESIDENTS else "",
            position=o.position,
            took=o.seconds,
            claims=_claims((o,)),
        )
        for o in kept.opinions
        if o.kind == "resident"
    ]
    lost = [
        Card(name=a.seat, state="absent", maker=RESIDENTS[a.seat].title, reason=a.reason)
        for a in kept.absences
        if a.seat in RESIDENTS
    ]
    return (*found, *lost)


def _claims(opinions: Sequence[Opinion]) -> Claims:
    outcomes = [claim.check.outcome if claim.check else "unchecked" for o in opinions for claim in o.claims]
    return Claims(outcomes.count("verified"), outcomes.count("refuted"), outcomes.count("unchecked"))


# ----------------------------------------------------------------------------------------------------------- the way


def _stages(sight: Sight, closed: bool, answered: int, asked: int) -> tuple[Stage, ...]:
    kept = sight.kept
    seen: set[str] = {event.kind for event in kept.events}
    if kept.opinions or kept.absences:
        seen.add("answered")
    if any(call.purpose == "compare" for call in kept.calls):
        seen.add("checking")  # a comparison has no event of its own
    current = "" if closed else _current(sight, seen)
    notes = {
        "evidence": "" if current == "evidence" else _evidence(kept),
        "experts": f"{answered} of {asked} answered" if asked else "",
        "review": f"{len(kept.ballots)} ballot{'s' * (len(kept.ballots) != 1)}" if kept.ballots else "",
    }
    if current == "experts" and (number := max((o.round for o in kept.opinions), default=1)) > 1:
        notes["experts"] += f", round {number}"
    stages = []
    for key, title, kinds in STAGES:
        if kept.question.strategy == "debate" and key == "review":
            continue
        step: Step = "now" if key == current else "done" if seen & set(kinds) else "later"
        stages.append(Stage(key, title, step, notes.get(key, "")))
    gone = len(stages) if closed else max((n for n, s in enumerate(stages) if s.step in ("done", "now")), default=0)
    # Not every council tries programs, or needs a review.
    return tuple(
        replace(stage, step="skipped") if number < gone and stage.step == "later" else stage
        for number, stage in enumerate(stages)
    )


def _current(sight: Sight, seen: set[str]) -> str:
    """The stage that the council is at: that of the last event that began something."""
    if sight.stage.startswith(("trying", "comparing")):
        return "checks"
    begun = next((e.kind for e in reversed(sight.kept.events) if e.kind not in UNMOVED), "")
    if not begun and "answered" in seen:
        return "experts"
    if begun in ("collected", "seated"):
        return "experts"
    return next((key for key, _, kinds in STAGES if begun in kinds), "evidence")


def _evidence(kept: Consultation) -> str:
    if kept.dossier is None:
        return ""
    count, files = len(kept.dossier.excerpts), len(kept.dossier.shown)
    if not count:
        return "none needed" if kept.question.project is None else "none found"
    return f"{count} excerpt{'s' * (count != 1)}" + (f" of {files} file{'s' * (files != 1)}" if files else "")


WORDS: Mapping[str, str] = {
    "evidence": "collecting the evidence",
    "experts": "hearing the experts",
    "checks": "trying and comparing the answers",
    "review": "reviewing blind",
    "synthesis": "writing the synthesis",
}
"""What the council is at, where only the events tell."""


def _now(sight: Sight, stages: Sequence[Stage], closed: bool) -> str:
    if closed:
        return {"complete": "The council has reached a verdict", "degraded": "The council has reached a verdict"}.get(
            sight.kept.status, f"The consultation has ended: {sight.kept.status}"
        )
    current = next((stage.key for stage in stages if stage.step == "now"), "evidence")
    words = sight.stage or WORDS[current]
    return words[:1].upper() + words[1:]


def _said(kept: Consultation, cards: Sequence[Card], answered: int, asked: int, closed: bool) -> str:
    if closed:
        done = kept.status in ("complete", "degraded")
        return "The verdict is there." if done else f"The consultation has ended: {kept.status}."
    if not asked:
        return "The council is collecting the evidence."
    absent = [card.name for card in cards if card.state == "absent"]
    gone = f" {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} absent." if absent else ""
    return f"{answered} of {asked} experts have answered.{gone}"


# -------------------------------------------------------------------------------------------------------- the matrix


def _matrix(verdict: Verdict | None, cards: Sequence[Card]) -> Matrix:
    """Seats × positions; what is not known yet stays open."""
    if verdict is None or not verdict.matrix:
        return Matrix()
    columns = tuple(Column(s.rank, s.position, s.probability, s.seats) for s in verdict.solutions)
    told = {(stance.seat, stance.solution): stance for stance in verdict.matrix}
    rows = tuple(
        (card.name, tuple(_cell(card, told.get((card.name, column.rank))) for column in columns))
        for card in cards
        if card.state != "spared" or any((card.name, column.rank) in told for column in columns)
    )
    return Matrix(columns, rows, verdict.agreement.share)


def _cell(card: Card, stance: Stance | None) -> Cell:
    if stance is None:
        absent = card.state == "absent"
        return Cell(word="absent" if absent else "not known yet", stance="absent" if absent else "open")
    mark, word = STANCES[stance.stance]
    shown = {"executed": "shown by running it", "verified": "a defect was verified"}.get(stance.evidence, "")
    return Cell(mark, word, stance.stance, shown or stance.note)
