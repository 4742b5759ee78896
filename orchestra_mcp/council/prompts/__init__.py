"""Prompts are Markdown files; this puts a question, its evidence and others' words into them.

Everything that was not written by us (code, names of files, logs, other experts) stands between fences with a mark that
is drawn anew for every prompt, so that nothing inside can pose as an instruction or close the fence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from types import MappingProxyType

from orchestra_mcp.council.prompts.fencing import Fence, unstamped
from orchestra_mcp.council.prompts.files import CHECKS, ModeSpec, load, mode_brief, mode_spec, version, versions
from orchestra_mcp.council.prompts.picking import MODES, pick_mode
from orchestra_mcp.council.prompts.showing import Anonymity, cut, plain_style, room_for, spoken
from orchestra_mcp.gateway.provider import Message
from orchestra_mcp.types import Claim, Dossier, Excerpt, Opinion, PastCase, Question, Seat

__all__ = [
    "CHECKS", "MODES", "ModeSpec", "Writer", "load", "mode_brief", "mode_spec", "pick_mode", "unstamped", "version",
    "versions",
]  # fmt: skip

NO_LIMITS: Mapping[str, int] = MappingProxyType({})
MAX_POSITION = 300
"""Characters of a position that is to be compared with others."""
SPOKEN = (
    "The question was asked aloud and transcribed, so names in it may be misheard: where none of that name is in the "
    "evidence, take the one that sounds alike, and say so."
)


class Writer:
    """Writes the prompts of one consultation, each fenced with a mark of its own."""

    def __init__(
        self, question: Question, dossier: Dossier, names: Sequence[str] = (), rooms: Mapping[str, int] = NO_LIMITS
    ) -> None:
        """Begin.

        Args:
            question: what was asked.
            dossier: the evidence.
            names: those by which experts could sign: of seats and models.
            rooms: seat → tokens of evidence for which its model's window has room; a seat that is missing gets all.
        """
        self._rooms = rooms
        self.question = question
        self.dossier = dossier
        self.mode = pick_mode(question)
        self._who = Anonymity(names)

    def opinion(self, seat: Seat) -> tuple[Message, ...]:
        """Ask one expert for an independent answer."""
        fence = Fence()
        return _messages(fence, f"{load('opinion')}\n\n{self._role(seat.brief)}", self._case(seat, fence))

    def argue(
        self,
        seat: Seat,
        own: Opinion | None,
        others: Sequence[Opinion],
        positions: Sequence[str],
        advocate: bool = False,
    ) -> tuple[Message, ...]:
        """Ask one expert for its side in a debate.

        Args:
            seat: who is asked.
            own: what it said last; None in the first round.
            others: the others' latest arguments, which it sees unsigned and in this order; none in the first round,
                whose answers are the votes and must be independent.
            positions: those to choose between.
            advocate: whether it is to make the strongest case against what all agree on.
        """
        fence = Fence()
        choice = "\n".join(f"- {' '.join(position.split())}" for position in positions)
        parts = [self._case(seat, fence)]
        if positions:
            parts.append(f"Your `position` must begin with exactly one of these:\n{choice}")
        room = room_for(len(others) + (own is not None))
        if own:
            said = fence.whole("your last argument", spoken(own, room, fence, self._who))
            parts.append(f"What you said last round:\n{said}")
        if others:
            said = "\n\n".join(
                fence.whole(f"argument {i}", spoken(o, room, fence, self._who)) for i, o in enumerate(others, 1)
            )
            parts.append(f"What the others said, unsigned and in random order:\n{said}")
        prompts = [load("opinion"), load("debate_later" if own or others else "debate")]
        if advocate:
            prompts.append(load("advocate"))
        return _messages(fence, "\n\n".join((*prompts, self._role(seat.brief))), "\n\n".join(parts))

    def repair(self, asked: tuple[Message, ...], reply: str, problem: str) -> tuple[Message, ...]:
        """Ask once more for the same answer in a readable form."""
        return (
            *asked,
            Message(role="assistant", text=reply[:8000]),
            Message(role="user", text=f"Your reply could not be used: {problem}.\n\n{load('repair')}"),
        )

    def review(
        self, judge: Seat, shown: Sequence[tuple[str, Opinion]], leading: Sequence[str] = ()
    ) -> tuple[Message, ...]:
        """Ask a judge to rank unsigned answers, each under a letter.

        Args:
            judge: who is asked.
            shown: letters and answers, in the order in which this judge sees them.
            leading: letters of the answers whose defects are wanted; where none is given, those of the judge's own
                first two.
        """
        fence = Fence()
        named = [letter for letter, _ in shown if letter in leading]
        whose = f"only of {' and '.join(named)}, which lead" if named else "only of the two that you rank first"
        parts = [self._case(judge, fence), self._lettered(shown, fence), f"Give defects {whose}."]
        return _messages(fence, load("review"), "\n\n".join(parts))

    def compare(self, seat: Seat, positions: Sequence[str]) -> tuple[Message, ...]:
        """Ask which positions say the same; the reply's letters are A, B, … in this order.

        Nothing but the question and the positions is shown, so that the call is cheap: who is right is not asked.

        Raises:
            ValueError: for more positions than there are letters.
        """
        if len(positions) > len(ascii_uppercase):
            raise ValueError(f"{len(positions)} positions are too many to be compared at once")
        fence = Fence()
        lines = [cut(" ".join(plain_style(self._who.unsigned(p)).split()), MAX_POSITION) for p in positions]
        shown = "\n\n".join(
            fence.whole(f"position {letter}", fence.said(line))
            for letter, line in zip(ascii_uppercase, lines, strict=False)
        )
        brief = f"\n\nYour brief: {seat.brief}" if seat.brief else ""
        return _messages(fence, load("entail") + brief, f"# Question\n{self.question.text}\n\n{shown}")

    def chair(
        self, chair: Seat, shown: Sequence[tuple[str, Opinion]], notes: str, findings: Sequence[Claim]
    ) -> tuple[Message, ...]:
        """Ask the chair for the synthesis, from unsigned and checked material."""
        fence = Fence()
        parts = [self._case(chair, fence), self._lettered(shown, fence)]
        if notes:  # reviewers' words among them
            parts.append(f"What the council found:\n{fence.around('standing', notes)}")
        if findings:
            facts = "\n".join(f"- {claim.path}:{claim.line} {claim.text}" for claim in findings)
            parts.append(f"Facts from static analysis:\n{fence.around('findings', facts)}")
        kind = "chair_debate" if self.question.strategy == "debate" else "chair"
        return _messages(fence, load(kind).replace("{shape}", mode_spec(self.mode).form), "\n\n".join(parts))

    def _role(self, brief: str) -> str:
        spec = mode_spec(self.mode)
        role = load("modes").replace("{mode}", self.mode).replace("{brief}", spec.brief).replace("{shape}", spec.form)
        return f"Your brief: {brief}\n{role}" if brief else role

    def _case(self, seat: Seat, fence: Fence) -> str:
        dossier = self.dossier.fitted(self._rooms.get(seat.name, self.dossier.tokens))
        parts = [f"# Question\n{self.question.text}"]
        if self.question.spoken:
            parts.append(SPOKEN)
        if dossier.history:
            turns = "\n\n".join(
                f"Asked {turn.at:%Y-%m-%d}: {turn.question}\nOutcome: {turn.outcome}" for turn in dossier.history
            )
            parts.append(f"# Earlier in this consultation\n{fence.around('earlier turns', turns)}")
        if dossier.excerpts:
            where = " at ".join(filter(None, (dossier.project, dossier.head)))
            excerpts = [fence.around("project", where)] if where else []
            excerpts += [_excerpt(excerpt, fence) for excerpt in dossier.excerpts]
            parts.append("# Evidence\n" + "\n\n".join(excerpts))
        if dossier.past:
            cases = "\n\n".join(_past(number, case, fence) for number, case in enumerate(dossier.past, 1))
            parts.append(f"# Past consultations\n{load('past')}\n\n{cases}")
        if dossier.left_out:
            listed = "\n".join(f"- {line}" for line in dossier.left_out[:15])
            parts.append(f"# Not shown for lack of room\n{fence.around('left out', listed)}")
        return "\n\n".join(parts)

    def _lettered(self, shown: Sequence[tuple[str, Opinion]], fence: Fence) -> str:
        room = room_for(len(shown))
        return "\n\n".join(
            fence.whole(f"answer {letter}", spoken(opinion, room, fence, self._who)) for letter, opinion in shown
        )


def _messages(fence: Fence, system: str, user: str) -> tuple[Message, ...]:
    rules = load("rules").replace("{mark}", fence.mark)
    return (Message(role="system", text=f"{rules}\n\n{system}"), Message(role="user", text=user))


def _past(number: int, case: PastCase, fence: Fence) -> str:
    """A past consultation under a line of ours that dates it and says what became of it."""
    sure = "" if case.confidence is None else f", held with {case.confidence:.0%} confidence"
    told = case.told or "nobody said"
    said = f"Asked: {fence.said(case.question)}\n{_held(case)}: {fence.said(case.outcome)}"
    where = f"Past consultation {number}, of {case.at:%Y-%m-%d}{sure}. What became of it: {told}."
    return f"{where}\n{fence.whole(f'past consultation {number}', said)}"


def _held(case: PastCase) -> str:
    """What the outcome of a past case is, by what became of it; `Label.told` has the words."""
    for what, heading in (
        (r"solution \d+ worked", "What worked"),
        (r"solution \d+ partly worked", "What worked in part"),
        (r"solution 1 was wrong", "What did NOT work"),
    ):
        if re.search(rf"\b{what}", case.told):
            return heading
    return "What the council held"


def _excerpt(excerpt: Excerpt, fence: Fence) -> str:
    """An excerpt under the line that says where it is from; names of files and symbols are the project's words too."""
    place = excerpt.path + (f":{excerpt.start}-{excerpt.end}" if excerpt.path and excerpt.start else "")
    head = " · ".join(" ".join(part.split()) for part in (place, excerpt.symbol, excerpt.why) if part)
    text = numbered(excerpt) if excerpt.source in ("file", "symbol") else excerpt.text
    return fence.around(excerpt.source, f"{head}\n{text}")


def numbered(excerpt: Excerpt) -> str:
    """An excerpt of a file with its real line numbers, so that experts cite lines instead of guessing them."""
    if not excerpt.start:
        return excerpt.text
    lines = excerpt.text.split("\n")
    return "\n".join(
        line if line.lstrip().startswith("…") else f"{number:>4}| {line}"
        for number, line in enumerate(lines, excerpt.start)
    )
