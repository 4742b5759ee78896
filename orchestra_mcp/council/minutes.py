"""What has happened in a council so far: the one mutable thing in it, from which a verdict can be made at any moment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from orchestra_mcp.council.answers.likeness import normal
from orchestra_mcp.council.scales.clustering import Found
from orchestra_mcp.council.scales.experience import Experience, weigh
from orchestra_mcp.council.scales.weights import vote
from orchestra_mcp.types import (
    Absence,
    Ballot,
    CallRecord,
    Dossier,
    Effort,
    Mode,
    Opinion,
    Question,
    Seat,
    Shift,
    Usage,
)

Stage = Literal["opinion", "compare", "review", "chair"]


RESIDENT_PRIOR = 0.3
"""How often the residents' first suspect is a function that the fix changed: .28 of 50 bug-fix commits
(`benchmarks/residents.py`)."""


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
    domain: str = ""
    effort: Effort = "standard"
    """How deep to go; what `auto` came to."""
    seating: str = ""
    """Why these experts were asked."""
    experience: Experience = field(default_factory=Experience)
    seats: dict[str, Seat] = field(default_factory=dict)
    """All model seats by name, asked or not."""
    asked: list[str] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)
    """Of models, all rounds, in order of arrival."""
    residents: list[Opinion] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    """What running, trying and comparing the answers showed."""
    ballots: list[Ballot] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    synthesis: Synthesis | None = None
    awaited: dict[str, float] = field(default_factory=dict)
    """Seats that are thinking now, and since when (seconds after the start)."""
    cut_off: list[tuple[str, Stage]] = field(default_factory=list)
    """Seats whose thinking was cancelled, and at what: dismissed as late, or stopped with the whole consultation."""
    spared: list[str] = field(default_factory=list)
    """Seats that were told to stop because what had been heard sufficed."""
    stage: str = "collecting the evidence"
    round: int = 1
    stopped: str = ""
    notes: list[str] = field(default_factory=list)
    quorum_s: float | None = None
    """When a quorum of the openers had answered, in seconds after the start."""
    follow_up: str = ""
    """As `Verdict.follow_up`."""
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
        cut = dict.fromkeys(pair for pair in self.cut_off if pair not in known and pair[0] not in self.spared)
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

    def skill(self, seat: str) -> float:
        """Probability that a seat is right: its track record, else its prior."""
        known = self.experience.skill.get(seat)
        return known if known is not None else self.seats[seat].prior if seat in self.seats else RESIDENT_PRIOR

    def weight(self, seat: str) -> float:
        """How much a seat's vote counts, before its claims are looked at.

        Weak votes fade beside a strong seat; where that seat is absent, they count by the best one that is left.
        """
        known = self.experience.weights
        if seat not in known:
            return vote(self.skill(seat))
        lost = {a.seat for a in self.absences if a.stage == "opinion"} - {opinion.seat for opinion in self.opinions}
        present = {name: self.skill(name) for name in known if name not in lost}
        if not present or max(present.values()) == max(self.skill(name) for name in known):
            return known[seat]
        return weigh(present).get(seat, 0.0)

    def voices(self) -> dict[str, list[Opinion]]:
        """What each seat said in its own name, round by round; a devil's advocate speaks in nobody's."""
        said: dict[str, list[Opinion]] = {}
        for opinion in sorted(self.opinions, key=lambda o: o.round):
            if not opinion.advocate:
                said.setdefault(opinion.seat, []).append(opinion)
        return said

    def standing(self) -> tuple[Opinion, ...]:
        """The one opinion of each seat that counts.

        Votes are counted once, on the independent first round. A changed mind moves its vote only with a verified place
        or defect that nobody had brought before, since minds change by conformity more often than by insight
        (debate alone is a martingale: Choi et al., 2025).
        """
        voices = self.voices()
        shifts = self.shifts()
        return tuple(_counted(voices[seat], shifts) for seat in self.answered() if seat in voices)

    def shifts(self) -> tuple[Shift, ...]:
        """Every changed mind, and whether it brought the evidence that lets its vote move."""
        found: list[Shift] = []
        known: set[Place] = set()
        for number in sorted({opinion.round for opinion in self.opinions}):
            now = [opinion for opinion in self.opinions if opinion.round == number]
            for opinion in now:
                if opinion.advocate or number == 1:
                    continue
                before = [o for o in self.voices()[opinion.seat] if o.round < number]
                if not before or normal(before[-1].position) == normal(opinion.position):
                    continue
                fresh = sorted(places(opinion) - known)
                found.append(
                    Shift(
                        seat=opinion.seat,
                        round=number,
                        before=before[-1].position,
                        after=opinion.position,
                        counted=bool(fresh),
                        because=f"new evidence at {fresh[0][0]}:{fresh[0][1]}" if fresh else "no new verified evidence",
                    )
                )
            known |= {place for opinion in now for place in places(opinion)}
        return tuple(found)


Place = tuple[str, int, str]


def places(opinion: Opinion) -> set[Place]:
    """The places in the code by which a change of mind is earned: of verified claims that quote or say what happens there.

    That a line exists is no evidence, and neither is a defect that nobody could check.
    """
    telling = [c for c in opinion.claims if _worth(c.quote) or c.calls or c.raises]
    claims = (*telling, *(defect.claim for defect in opinion.defects))
    return {(c.path, c.line, c.symbol) for c in claims if c.check and c.check.outcome == "verified"}


def _worth(quote: str) -> bool:
    """A quotation of at least three words or signs."""
    return len(re.findall(r"\w+|[^\w\s]", quote)) >= 3


def _counted(said: list[Opinion], shifts: tuple[Shift, ...]) -> Opinion:
    """The opinion that counts: the first, or the last one up to which every change of mind was earned."""
    held = said[0]
    for opinion in said[1:]:
        shift = next((s for s in shifts if s.seat == opinion.seat and s.round == opinion.round), None)
        if normal(opinion.position) == normal(held.position) or (shift and shift.counted):
            held = opinion
    return held
