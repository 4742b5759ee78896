"""Prompts are Markdown files; this puts a question, its evidence and others' words into them.

Everything that was not written by us (code, logs, other experts) stands between fences with a random mark, so that
nothing inside can pose as an instruction or close the fence.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from types import MappingProxyType

from orchestra_mcp.gateway.provider import Message
from orchestra_mcp.types import Claim, Dossier, Excerpt, Mode, Opinion, Question, Seat

MODES: dict[Mode, tuple[str, ...]] = {
    # What each way of being stuck sounds like, most telling first. Add a mode here and a section in modes.md.
    "security": ("vulnerab", "exploit", "injection", "csrf", "xss", "secure", "security", "sanitiz", "attacker", "secret"),
    "performance": ("slow", "latency", "performance", "memory leak", "profil", "throughput", "cpu", "optimi", "faster"),
    "testing": ("write test", "test case", "coverage", "flaky", "how to test", "mock", "fixture", "untested"),
    "debug": ("error", "exception", "traceback", "crash", "fails", "failing", "bug", "broken", "wrong", "why does", "hang"),
    "refactoring": ("refactor", "rename", "extract", "clean up", "split this", "duplicate", "dead code", "migrate"),
    "integration": ("integrat", "webhook", "third-party", "sdk", "oauth", "upgrade", "version of", "compatib", "api"),
    "architecture": ("architect", "design", "should we", "trade-off", "tradeoff", "structure", "choose between", "scal"),
    "communication": ("explain to", "commit message", "pull request description", "document", "summari", "release note"),
    "learning": ("how does", "what is", "explain", "understand", "learn", "difference between"),
    "quality": ("review", "quality", "readab", "maintain", "best practice", "code smell"),
}  # fmt: skip


VENDORS_NAMES = (
    "Claude", "ChatGPT", "GPT", "Gemini", "Grok", "DeepSeek", "Mistral", "Llama", "Qwen", "Kimi", "GLM", "Command",
    # add here
)  # fmt: skip
SIGNING = r"\b((?:as|i am|i['’]m|my name is|this is|signed(?: by)?|yours)[,:]?\s+)"
"""What stands before a name where an author speaks of itself."""


def pick_mode(question: Question) -> Mode:
    """The mode that was asked for, or the first one that the question sounds like; `debug` when an error came with it."""
    if question.mode != "auto":
        return question.mode
    if question.error:
        return "debug"
    text = question.text.lower()
    return next(
        (mode for mode, signs in MODES.items() if any(re.search(rf"\b{sign}", text) for sign in signs)), "quality"
    )


@cache
def load(name: str) -> str:
    """One prompt file of this folder, without its ending."""
    return resources.files(__package__).joinpath(f"{name}.md").read_text("utf-8").strip()


def mode_brief(mode: Mode) -> str:
    """What an expert should look for in this mode: a section of modes.md."""
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", load("modes") + "\n", re.MULTILINE | re.DOTALL))
    return str(sections.get(mode, "")).strip()


NO_LIMITS: Mapping[str, int] = MappingProxyType({})


class Writer:
    """Writes the prompts of one consultation, all fenced with the same random mark."""

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
        self._mark = secrets.token_hex(4)
        known = "|".join(re.escape(name) for name in sorted({*names, *VENDORS_NAMES} - {""}, key=len, reverse=True))
        self._signature = re.compile(rf"{SIGNING}(?:{known})(?!\w)[-\w.]*", re.IGNORECASE)

    def opinion(self, seat: Seat) -> tuple[Message, ...]:
        """Ask one expert for an independent answer."""
        return self._messages(f"{load('opinion')}\n\n{self._role(seat.brief)}", self._case(seat))

    def argue(
        self, seat: Seat, own: Opinion | None, others: Sequence[Opinion], positions: Sequence[str]
    ) -> tuple[Message, ...]:
        """Ask one expert for its side in a debate, showing it the others' latest arguments unsigned."""
        choice = "\n".join(f"- {position}" for position in positions)
        said = "\n\n".join(self.fence(f"argument {i}", self._spoken(o)) for i, o in enumerate(others, 1))
        parts = [self._case(seat), f"Your `position` must begin with exactly one of these:\n{choice}"]
        if own:
            parts.append(f"What you said last round:\n{self.fence('your last argument', self._spoken(own))}")
        if said:
            parts.append(f"What the others said, unsigned and in random order:\n{said}")
        return self._messages(f"{load('opinion')}\n\n{load('debate')}\n\n{self._role(seat.brief)}", "\n\n".join(parts))

    def repair(self, asked: tuple[Message, ...], reply: str, problem: str) -> tuple[Message, ...]:
        """Ask once more for the same answer in a readable form."""
        return (
            *asked,
            Message(role="assistant", text=reply[:8000]),
            Message(role="user", text=f"Your reply could not be used: {problem}.\n\n{load('repair')}"),
        )

    def review(self, judge: Seat, shown: Sequence[tuple[str, Opinion]]) -> tuple[Message, ...]:
        """Ask a judge to rank unsigned answers, each under a letter."""
        return self._messages(load("review"), f"{self._case(judge)}\n\n{self._lettered(shown)}")

    def chair(
        self, chair: Seat, shown: Sequence[tuple[str, Opinion]], notes: str, findings: Sequence[Claim]
    ) -> tuple[Message, ...]:
        """Ask the chair for the synthesis, from unsigned and checked material."""
        parts = [self._case(chair), self._lettered(shown)]
        if notes:  # reviewers' words among them
            parts.append(f"What the council found:\n{self.fence('standing', notes)}")
        if findings:
            facts = "\n".join(f"- {claim.path}:{claim.line} {claim.text}" for claim in findings)
            parts.append(f"Facts from static analysis:\n{self.fence('findings', facts)}")
        kind = "chair_debate" if self.question.strategy == "debate" else "chair"
        return self._messages(load(kind), "\n\n".join(parts))

    def fence(self, label: str, text: str) -> str:
        """Untrusted text between marks that it cannot contain."""
        safe = text.replace(self._mark, "")
        return f'<untrusted-{self._mark} what="{label}">\n{safe}\n</untrusted-{self._mark}>'

    def _messages(self, system: str, user: str) -> tuple[Message, ...]:
        rules = load("rules").replace("{mark}", self._mark)
        return (Message(role="system", text=f"{rules}\n\n{system}"), Message(role="user", text=user))

    def _role(self, brief: str) -> str:
        lines = [f"Kind of question: {self.mode}. {mode_brief(self.mode)}"]
        if brief:
            lines.insert(0, f"Your brief: {brief}")
        return "\n".join(lines)

    def _case(self, seat: Seat) -> str:
        dossier = self.dossier.fitted(self._rooms.get(seat.name, self.dossier.tokens))
        parts = [f"# Question\n{self.question.text}"]
        if dossier.history:
            turns = "\n\n".join(
                f"Asked {turn.at:%Y-%m-%d}: {turn.question}\nOutcome: {turn.outcome}" for turn in dossier.history
            )
            parts.append(f"# Earlier in this consultation\n{self.fence('earlier turns', turns)}")
        if dossier.excerpts:
            where = f" of project {dossier.project}" if dossier.project else ""
            where += f" at {dossier.head}" if dossier.head else ""
            excerpts = "\n\n".join(self._excerpt(dossier, i) for i in range(len(dossier.excerpts)))
            parts.append(f"# Evidence{where}\n{excerpts}")
        if dossier.left_out:
            listed = "\n".join(f"- {line}" for line in dossier.left_out[:15])
            parts.append(f"# Not shown for lack of room\n{self.fence('left out', listed)}")
        return "\n\n".join(parts)

    def _excerpt(self, dossier: Dossier, index: int) -> str:
        excerpt = dossier.excerpts[index]
        place = excerpt.path + (f":{excerpt.start}-{excerpt.end}" if excerpt.path and excerpt.start else "")
        label = re.sub(r'[\n"<>]', " ", " · ".join(filter(None, (excerpt.source, place, excerpt.symbol, excerpt.why))))
        return self.fence(label, numbered(excerpt) if excerpt.source in ("file", "symbol") else excerpt.text)

    def _lettered(self, shown: Sequence[tuple[str, Opinion]]) -> str:
        return "\n\n".join(self.fence(f"answer {letter}", self._spoken(opinion)) for letter, opinion in shown)

    def _spoken(self, opinion: Opinion, limit: int = 6000) -> str:
        """An opinion as others may see it: without a name, at most `limit` characters, with its claims checked."""
        answer = opinion.answer if len(opinion.answer) <= limit else opinion.answer[:limit] + " […]"
        parts = [f"Position: {opinion.position}", answer]
        if opinion.claims:
            parts.append("Evidence:\n" + "\n".join(f"- {spoken_claim(claim)}" for claim in opinion.claims))
        if opinion.risks:
            parts.append("Risks: " + "; ".join(opinion.risks))
        if opinion.patch:
            parts.append(f"Patch:\n{opinion.patch[:limit]}")
        return self._signature.sub(r"\1one of the experts", "\n\n".join(parts))


def numbered(excerpt: Excerpt) -> str:
    """An excerpt of a file with its real line numbers, so that experts cite lines instead of guessing them."""
    if not excerpt.start:
        return excerpt.text
    lines = excerpt.text.split("\n")
    return "\n".join(
        line if line.lstrip().startswith("…") else f"{number:>4}| {line}"
        for number, line in enumerate(lines, excerpt.start)
    )


def spoken_claim(claim: Claim) -> str:
    """A claim in one line with its place and what the check said."""
    place = claim.path + (f":{claim.line}" if claim.line else "")
    check = f" [{claim.check.outcome}: {claim.check.note}]" if claim.check else ""
    return f"{place or claim.symbol or 'no place'} — {claim.text}{check}"
