"""The first line of every report: who answered, who did not and why. And whether a verdict is whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra_mcp.council.answers.reading import shorten
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.types import Absence, Status

REASON_CHARS = 160
"""Of one absence's reason, in the first line."""
LEADS: dict[Status, str] = {"degraded": "Degraded: ", "cancelled": "Cancelled: "}


def headline(minutes: Minutes, status: Status) -> str:
    """Who answered, who did not and why: the first line of every report."""
    answered = minutes.answered()
    residents = len(minutes.residents)
    beside = (
        f" {residents} resident analyst{'s' * (residents != 1)} (no language model) gave evidence." if residents else ""
    )
    if not minutes.seats:
        alone = "No language model was asked" if minutes.question.experts else "No language model is seated"
        if residents:
            names = ", ".join(opinion.seat for opinion in minutes.residents)
            return f"{alone}: this comes from {count(residents, 'resident analyst')} ({names}), plain code that reads the evidence."
        return f"{alone}, and the resident analysts found nothing that they could show."
    waiting = [name for name in minutes.awaited if name not in answered]
    missing = _missing(minutes.absences, answered)
    asked = len(set(minutes.asked) - (set(minutes.spared) - set(answered)))
    if status == "running":
        after = f"; waiting for {', '.join(waiting)}" if waiting else ""
        return (
            f"Provisional: {len(answered)} of {asked} experts have answered so far{after}."
            f"{_reasons(missing, answered)}{beside}"
        )
    lead = LEADS.get(status, "")
    if not answered:
        tail = " This comes from resident analysts only." if residents else ""
        none = f"No expert answered ({asked} asked)." if asked else "No expert was asked."
        if not asked and minutes.stopped:
            none = f"No expert was asked: {minutes.stopped}."
        return f"{lead if status == 'cancelled' else ''}{none}{_reasons(missing, answered)}{tail}"
    who = f"{len(answered)} of {asked} experts answered: {', '.join(answered)}."
    return f"{lead}{who}{_reasons(missing, answered)}{beside}"


def status_of(minutes: Minutes, final: bool) -> Status:
    """Whether the council is done, and whether anything was lost on the way."""
    if not final:
        return "running"
    if not (minutes.opinions or minutes.residents):
        return "failed"
    lost = any(a.stage == "opinion" for a in minutes.absences) or not minutes.opinions
    unruled = minutes.synthesis is None and any(a.stage == "chair" for a in minutes.absences)
    unreviewed = not minutes.ballots and any(a.stage == "review" for a in minutes.absences)
    return "degraded" if lost or unruled or unreviewed else "complete"


def _missing(absences: Sequence[Absence], answered: Sequence[str]) -> list[Absence]:
    """The last absence of each seat; of one that answered, only what it lost later (a review, the chair)."""
    last = {
        absence.seat: absence for absence in absences if not (absence.seat in answered and absence.stage == "opinion")
    }
    later = {a.seat: a for a in absences if a.seat in answered and a.stage == "opinion"}
    return [*last.values(), *(a for seat, a in later.items() if seat not in last)]


_STAGES = {
    "opinion": "did not answer",
    "compare": "could not compare the positions",
    "review": "gave no usable review",
    "chair": "could not write the synthesis",
}


def _reasons(missing: Sequence[Absence], answered: Sequence[str]) -> str:
    """What those who are missing did not do, and why; the same reason of several is told once."""
    seats: dict[tuple[str, str], list[str]] = {}
    for absence in missing:
        later = absence.stage == "opinion" and absence.seat in answered
        what = "left the debate" if later else _STAGES[absence.stage]
        seats.setdefault((what, absence.reason), []).append(absence.seat)
    told = (
        f"{', '.join(names)} {what}: {shorten(reason.rstrip('.'), REASON_CHARS)}"
        for (what, reason), names in seats.items()
    )
    line = "; ".join(told)
    return f" {line}." if line else ""


def count(n: int, noun: str) -> str:
    """`3 experts`, `1 expert`."""
    return f"{n} {noun}{'s' * (n != 1)}"
