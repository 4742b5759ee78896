"""Consultations over stored answers: the product's own strategy, reading, clustering, ranking and confidence.

`sit` is the quick variant: the same `STRATEGIES` over the same `Room`, with a provider in memory and no store. What
stored answers cannot say (reviews, comparisons, syntheses) is refused by the provider, so that the product's degraded
path runs; a judge can be scripted.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property

from council_data import Item

from orchestra_mcp.council.depth import domain_of
from orchestra_mcp.council.labels import label_of
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.prompts import Writer, pick_mode
from orchestra_mcp.council.room import Room
from orchestra_mcp.council.scales.experience import Experience, learn
from orchestra_mcp.council.seating import UNPRICED, Prices, Seating, seat_council
from orchestra_mcp.council.strategies import STRATEGIES
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.errors import Refused
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, Finish, TextDelta
from orchestra_mcp.settings import Limits
from orchestra_mcp.types import (
    Ballot,
    Consultation,
    Dossier,
    Effort,
    Entry,
    Event,
    Evidence,
    Label,
    Question,
    Seat,
    Usage,
    Verdict,
    Workbench,
)

Judge = Callable[[str, str], str]
"""(model, prompt of a review) → its ballot."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNASKED = "stored answers hold no reply to this"


@dataclass
class Stored:
    """A provider that replies with stored answers, and refuses what none of them answers."""

    replies: Mapping[str, str]
    judge: Judge | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(model, purpose) of every call."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """As `Provider.chat`."""
        self.calls.append((request.model, request.purpose))
        text = self.replies.get(request.model) if request.purpose == "opinion" else None
        if request.purpose == "review" and self.judge is not None:
            text = self.judge(request.model, "\n".join(message.text for message in request.messages))
        if text is None:
            raise Refused(UNASKED, "refused")
        yield TextDelta(text=text)
        yield Finish(reason="stop", usage=Usage(calls=1), model=request.model)


@dataclass
class Sat:
    """A consultation that is over."""

    item: Item
    minutes: Minutes
    verdict: Verdict
    calls: Sequence[tuple[str, str]]
    cpu_s: float

    @cached_property
    def choice(self) -> str:
        """The option of the first solution, where there are options."""
        return option_of(self, 0)

    @property
    def right(self) -> bool:
        """Whether the first solution is right."""
        return solution_right(self, 0)

    @property
    def asked(self) -> list[str]:
        """Models that were asked for an answer."""
        return [model for model, purpose in self.calls if purpose == "opinion"]


def option_of(sat: Sat, index: int) -> str:
    """The option of one solution; empty when it chose none."""
    seats = sat.verdict.solutions[index].seats if index < len(sat.verdict.solutions) else ()
    return next((o.option for o in sat.minutes.opinions if o.seat in seats), "")


def solution_right(sat: Sat, index: int) -> bool:
    """Whether one solution is right: its option is, or the program of the seat that speaks for it."""
    if index >= len(sat.verdict.solutions):
        return False
    if sat.item.gold:
        return option_of(sat, index) == sat.item.gold
    model = sat.minutes.seats[sat.verdict.solutions[index].seats[0]].model
    return sat.item.right.get(model, False)


async def sit(
    item: Item,
    seats: Sequence[Seat],
    experience: Experience,
    *,
    effort: Effort = "standard",
    everyone: bool = False,
    prices: Prices = UNPRICED,
    workbench: Workbench | None = None,
    judge: Judge | None = None,
    replies: Mapping[str, str] | None = None,
    evidence: Evidence | None = None,
) -> Sat:
    """One consultation over stored answers.

    Args:
        item: the question.
        seats: who may be asked.
        experience: what is known of them.
        effort: how deep to go.
        everyone: all seats are named, so that all open.
        prices: what an answer of each seat costs; with them the cascade chooses.
        workbench: runs the programs of answers.
        judge: what reviewers say; without it reviews are refused.
        replies: in place of the stored ones.
        evidence: a project; with one, authors review too, since what they hold against others could be checked.
    """
    question = Question(text=item.text, effort=effort, experts=tuple(seat.name for seat in seats) if everyone else ())
    minutes = Minutes(id=item.id, question=question, effort=effort, experience=experience)
    minutes.mode, minutes.domain = pick_mode(question), domain_of(question, Dossier())
    minutes.seats = {seat.name: seat for seat in seats}
    provider = Stored(replies or item.replies, judge)
    costs = {name: Decimal(str(usd)) for name, usd in prices.usd.items()}

    async def record(_entry: Entry) -> None:
        pass

    began = time.process_time()
    seating: Seating = seat_council(seats, question, experience, prices, effort)
    room = Room(
        minutes=minutes,
        writer=Writer(question, Dossier(), [seat.name for seat in seats]),
        provider=provider,
        evidence=evidence,
        limits=Limits(),
        record=record,
        observe=_unseen,
        workbench=workbench,
        price=lambda seat, purpose: costs.get(seat.name) if purpose == "opinion" else None,
    )
    await STRATEGIES["consult"](room, seating)
    verdict = conclude(minutes, final=True)
    return Sat(item, minutes, verdict, tuple(provider.calls), time.process_time() - began)


def label(sat: Sat) -> Label:
    """The label of a consultation whose right answer is known, as a user's marks would make it."""
    kept = Consultation(
        id=sat.item.id,
        thread=sat.item.id,
        question=sat.minutes.question,
        status=sat.verdict.status,
        started=NOW,
        opinions=tuple(sat.minutes.opinions),
        ballots=tuple(sat.minutes.ballots),
        verdict=sat.verdict,
    )
    fates = [solution_right(sat, index) for index in range(len(sat.verdict.solutions))]
    marks = [(index + 1, "worked" if right else "wrong") for index, right in enumerate(fates)]
    made = label_of(kept, [(rank, outcome) for rank, outcome in marks if outcome == "worked" or not any(fates)])  # type: ignore[misc]
    return made.model_copy(update={"at": NOW})


def taught(seats: Sequence[Seat], sats: Sequence[Sat], item: Item | None = None) -> Experience:
    """What the council has learned from consultations whose outcome is known, and from their ballots.

    Args:
        seats: who may be asked.
        sats: those consultations.
        item: the question for which it is to be known; without it, one like the first of `sats`.
    """
    labels = [label(sat) for sat in sats if sat.verdict.solutions]
    ballots: list[Sequence[Ballot]] = [sat.minutes.ballots for sat in sats if sat.minutes.ballots]
    question = item.text if item else sats[0].item.text if sats else ""
    asked = Question(text=question)
    return learn(seats, labels, ballots, pick_mode(asked), domain_of(asked, Dossier()), NOW)


def untaught(seats: Sequence[Seat]) -> Experience:
    """What is known before anything was marked: the shipped priors."""
    return learn(seats, (), (), "auto", "general", NOW)


def shown_options(prompt: str) -> dict[str, str]:
    """What a judge sees: letter → the option of the answer under it."""
    shown = re.findall(r'what="answer ([A-Z])">\n(.*?)\n</untrusted', prompt, re.DOTALL)
    found = (
        (letter, re.search(r"(?:^|\n)\W*(?:position:?\W*)?([A-Z])\. ", text, re.IGNORECASE)) for letter, text in shown
    )
    return {letter: match.group(1) if match else "" for letter, match in found}


def _unseen(_event: Event) -> None:
    pass
