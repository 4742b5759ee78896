"""What has happened in a council so far: the one mutable thing in it, from which a verdict can be made at any moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from orchestra_mcp.types import Absence, Ballot, CallRecord, Dossier, Mode, Opinion, Question, Seat, Usage

Stage = Literal["opinion", "review", "chair"]


@dataclass
class Synthesis:
    """What the chair wrote."""

    seat: str
    position: str
    answer: str
    plan: tuple[str, ...] = ()
    would_change: str = ""


@dataclass
class Minutes:
    """The state of one consultation; `Room` writes it, `verdicts` reads it."""

    id: str
    question: Question
    dossier: Dossier = field(default_factory=Dossier)
    mode: Mode = "auto"
    seats: dict[str, Seat] = field(default_factory=dict)
    """All model seats by name, asked or not."""
    asked: list[str] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)
    """Of models, all rounds, in order of arrival."""
    residents: list[Opinion] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    ballots: list[Ballot] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    synthesis: Synthesis | None = None
    awaited: dict[str, float] = field(default_factory=dict)
    """Seats that are thinking now, and since when (seconds after the start)."""
    cut_off: list[tuple[str, Stage]] = field(default_factory=list)
    """Seats whose thinking was cancelled, and at what: dismissed as late, or stopped with the whole consultation."""
    stage: str = "collecting the evidence"
    round: int = 1
    stopped: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def usage(self) -> Usage:
        """What all calls took together, also those that failed."""
        return sum((call.usage for call in self.calls), Usage())

    @property
    def failed(self) -> frozenset[str]:
        """Seats that gave no usable answer at some point."""
        return frozenset(absence.seat for absence in self.absences)

    def stop(self, kind: str, reason: str) -> tuple[Absence, ...]:
        """Note as absent whoever was cut off and is not yet said to be; returns what was noted."""
        known = {(absence.seat, absence.stage) for absence in self.absences}
        cut = dict.fromkeys(pair for pair in self.cut_off if pair not in known)
        noted = tuple(
            Absence(seat=seat, kind=kind, reason=reason, seconds=round(self.seconds, 1), stage=stage)
            for seat, stage in cut
        )
        self.absences.extend(noted)
        return noted

    def answered(self) -> tuple[str, ...]:
        """Seats with at least one opinion, in the order in which they were asked."""
        names = {opinion.seat for opinion in self.opinions}
        return tuple(name for name in self.asked if name in names)

    def standing(self) -> tuple[Opinion, ...]:
        """The one opinion of each seat that counts.

        In a debate the independent first round counts; a changed mind counts only when it brings a verified place that
        its author had not cited before, since minds change by conformity more often than by insight.
        """
        first: dict[str, Opinion] = {}
        latest: dict[str, Opinion] = {}
        for opinion in self.opinions:
            first.setdefault(opinion.seat, opinion)
            latest[opinion.seat] = opinion
        return tuple(
            latest[seat]
            if latest[seat].position == first[seat].position or _new_evidence(first[seat], latest[seat])
            else first[seat]
            for seat in self.answered()
        )


def _new_evidence(before: Opinion, after: Opinion) -> bool:
    def places(opinion: Opinion) -> set[tuple[str, int, str]]:
        return {(c.path, c.line, c.symbol) for c in opinion.claims if c.check and c.check.outcome == "verified"}

    return bool(places(after) - places(before))
