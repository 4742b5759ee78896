"""Which past consultations a council is shown: alike, of the same project, about code that is still the same.

The store finds candidates by words and meaning; here they are judged (`likeness`), looked for in the code as it is now
(`grounds`), cleaned of secrets that are known today, and cut to a small budget. They are hints, never evidence. Whatever
goes wrong or takes too long costs the hints, not the council.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.app.memory.grounds import unchanged, unnumbered
from orchestra_mcp.app.memory.likeness import ALIKE, MEANT, likeness
from orchestra_mcp.app.memory.meaning import Meaning
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.packing import estimate_tokens
from orchestra_mcp.context.reading.signals import read
from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.errors import OrchestraError
from orchestra_mcp.gateway.provider import ASKING
from orchestra_mcp.settings import Settings
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import Dossier, Frame, Memory, PastCase, Question, Seat, Trace

logger = logging.getLogger(__name__)

DEADLINE_S = 1.5
"""Longest time that a council waits for what is remembered, in seconds."""
SHOWN = 3
TOKENS = 700
"""For all past cases together, about."""
CANDIDATES = 12
WORDS = 40
"""Words of the question and its evidence by which the store looks for candidates."""
QUESTION, OUTCOME = 300, 500
"""Characters of a past question, and of what the council held, that are shown."""
YOUNG = timedelta(days=30)
"""How long a case is shown whose code cannot be compared."""
UNSURE = "(Whether the code that this speaks of is still the same could not be checked.) "
MARKED = 0.05
"""What it adds to likeness, among cases that are alike enough, that somebody said what became of one."""
TRACED = 2
"""Names of a stack trace that an earlier consultation must speak of to be about the same failure."""
_FILE = re.compile(r"(?<![\w-])[\w-]{2,}(?:/[\w.-]+)*\.[A-Za-z][A-Za-z0-9+]{0,7}\b")
"""What looks like a path of a file, such as `src/parser.py`; a name with a dot (`Ledger.reserve`) looks like one too."""
_WORKED = re.compile(r"solution (\d+) (?:partly )?worked")
"""As `Label.told` has it."""
_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Wanted:
    """For which consultation cases are looked for."""

    question: Question
    """As it is kept: without secrets."""
    dossier: Dossier
    settings: Settings
    seats: Sequence[Seat]
    """Who may be shown them."""
    evidence: ProjectEvidence | None
    redactor: Redactor


class Recall:
    """Looks for past cases.

    Args:
        store: remembers.
        meaning: vectors of questions.
        home: the data directory, for a look at the code of other projects.
    """

    def __init__(self, store: Store, meaning: Meaning, home: Path) -> None:
        self._store, self._meaning, self._home = store, meaning, home

    async def past(self, wanted: Wanted) -> tuple[PastCase, ...]:
        """At most `SHOWN` past cases, the most alike first; fewer, or none, when there are none or time is up."""
        found: list[PastCase] = []
        if not wanted.settings.memory.recall:
            return ()
        with anyio.move_on_after(DEADLINE_S) as scope:
            try:
                await self._look(wanted, found)
            except OrchestraError as error:
                logger.info("nothing was remembered: %s", wanted.redactor.redact(str(error)))
            except Exception as error:  # noqa: BLE001 - hints must not cost a council, whatever is wrong with them
                logger.warning("nothing was remembered: %s", type(error).__name__)
        if scope.cancelled_caught:
            logger.info("remembering took too long and was left")
        return tuple(found)

    async def _look(self, wanted: Wanted, found: list[PastCase]) -> None:
        left = TOKENS
        async for memory in self._alike(wanted):
            evidence = self._eyes(memory, wanted)
            sure = True
            if memory.places:
                if evidence is None or not await unchanged(memory.places, evidence):
                    continue
            elif speaks_of_code(memory):
                sure = False
                if datetime.now(UTC) - memory.at > YOUNG:
                    continue
            case = await self._case(memory, wanted, sure)
            if any(case.outcome == other.outcome for other in found):
                continue  # the same thing twice is no news
            left -= estimate_tokens(case.question) + estimate_tokens(case.outcome)
            if left < 0:
                break
            found.append(case)
            if len(found) == SHOWN:
                break

    async def _alike(self, wanted: Wanted) -> AsyncIterator[Memory]:
        """Candidates that this consultation may be shown and that are alike enough, best first."""
        question = wanted.question
        vector, tag = await self._meaning.of(question.text)
        for memory in await self._judged(wanted, await self._candidates(wanted, vector, tag), vector):
            if memory.local_only and not question.local_only:
                continue
            if memory.project != (question.project or "") and not await self._allowed(memory.project, wanted):
                continue
            yield memory

    async def _candidates(self, wanted: Wanted, vector: tuple[float, ...], tag: str) -> tuple[Memory, ...]:
        question = wanted.question
        words = await anyio.to_thread.run_sync(words_of, question, wanted.dossier, abandon_on_cancel=True)
        if not words and not vector:
            return ()
        everywhere, workspace = wanted.settings.memory.across_projects, ASKING.get().workspace
        found = await self._store.memory.recall(
            words,
            question.project,
            CANDIDATES,
            everywhere=everywhere,
            workspace=workspace or None,
            vector=vector,
            embedder=tag,
        )
        same_thread = {turn.id for turn in await self._store.thread(question.continues)} if question.continues else ()
        # Everybody is shown their own past: a key what its workspace asked, and the owner nothing that somebody with a
        # key could have written for that.
        return tuple(memory for memory in found if memory.id not in same_thread and memory.workspace == workspace)

    async def _judged(
        self, wanted: Wanted, memories: Sequence[Memory], vector: tuple[float, ...]
    ) -> tuple[Memory, ...]:
        """Those that are alike, the most alike first."""
        if not memories:
            return ()
        vectors: tuple[tuple[float, ...], ...] = ((),) * len(memories)
        if vector:
            vectors, _ = await self._meaning.all_of(tuple(memory.question for memory in memories))

        def rank() -> tuple[Memory, ...]:
            scored = [
                (score + MARKED * bool(memory.told), memory)
                for memory, other in zip(memories, vectors, strict=True)
                if (score := alike(wanted.question.text, wanted.dossier.traces, memory, vector, other)) > 0
            ]
            return tuple(memory for _, memory in sorted(scored, key=lambda pair: -pair[0]))

        return await anyio.to_thread.run_sync(rank, abandon_on_cancel=True)

    async def _allowed(self, project: str, wanted: Wanted) -> bool:
        """Whether what was said of another project may go to those who are asked now: only with its own consent."""
        if not project:
            return True
        seats = [seat for seat in wanted.seats if not seat.local]
        allowed = frozenset(wanted.settings.privacy.allow) | await self._store.allowed(project)
        return "*" in allowed or all(seat.provider in allowed for seat in seats)

    def _eyes(self, memory: Memory, wanted: Wanted) -> ProjectEvidence | None:
        """Who can look at the code that a case speaks of."""
        if memory.project == (wanted.question.project or ""):
            return wanted.evidence
        root = Path(memory.project)
        return ProjectEvidence(root, home=self._home, redactor=wanted.redactor) if root.is_dir() else None

    async def _case(self, memory: Memory, wanted: Wanted, sure: bool) -> PastCase:
        outcome = memory.outcome
        if (worked := _WORKED.search(memory.told)) and worked[1] != "1":
            outcome = await self._that_worked(memory, int(worked[1])) or outcome
        question, outcome = [
            _cut(await self._clean(text, wanted), limit)
            for text, limit in ((memory.question, QUESTION), (outcome, OUTCOME))
        ]
        return PastCase(
            id=memory.id,
            question=question,
            outcome=outcome if sure else UNSURE + outcome,
            at=memory.at,
            told=memory.told,
            confidence=memory.confidence,
            local_only=memory.local_only,
        )

    async def _that_worked(self, memory: Memory, rank: int) -> str:
        """What the solution of that rank says, after what proved wrong before it; empty when it is not known any more."""
        verdict = (await self._store.get(memory.id)).verdict
        if verdict is None or rank > len(verdict.solutions):
            return ""
        wrong = [
            f"Solution {s.rank}, which was wrong: {s.position[:120]}"
            for s in verdict.solutions[: rank - 1]
            if f"solution {s.rank} was wrong" in memory.told
        ]
        right = verdict.solutions[rank - 1]
        return "\n".join((*wrong[:2], f"Solution {rank}: {right.position}", right.answer))

    async def _clean(self, text: str, wanted: Wanted) -> str:
        """A text as it may be shown now; it was kept with the secrets that were known then, and with their numbers."""
        text = unnumbered(text)
        if wanted.evidence is not None:
            return await wanted.evidence.clean(text)
        return await anyio.to_thread.run_sync(wanted.redactor.redact, text, abandon_on_cancel=True)


def alike(
    asked: str,
    traces: Sequence[Trace],
    memory: Memory,
    vector: Sequence[float] = (),
    other: Sequence[float] = (),
) -> float:
    """How alike a past consultation is; 0 when it is not alike enough to be shown."""
    words = likeness(asked, memory.question)
    cosine = sum(x * y for x, y in zip(vector, other, strict=True)) if vector and len(vector) == len(other) else 0.0
    score = max(words if words >= ALIKE else 0.0, cosine if cosine >= MEANT else 0.0)
    if not score and traces:  # "why does this fail?" says nothing; the trace does
        said = set(_WORD.findall(f"{memory.question}\n{memory.outcome}".lower()))
        shared = {name.lower() for trace in traces for name in _traced(trace)} & said
        score = ALIKE if len(shared) >= TRACED else 0.0
    return score


def _traced(trace: Trace) -> Iterator[str]:
    """Functions of the project on the way of a trace, and what was raised."""
    if trace.exception:
        yield trace.exception.rpartition(".")[2]
    frames: tuple[Frame, ...] = trace.frames
    yield from (frame.function for frame in frames if frame.path and len(frame.function) > 3)


def reference(case: PastCase) -> PastCase:
    """Which case it was and what was known of its outcome, without its words."""
    return case.model_copy(update={"question": "", "outcome": ""})


def words_of(question: Question, dossier: Dossier) -> tuple[str, ...]:
    """By what candidates are looked for: names and words of the question, then of its evidence."""
    signals = read(question.text)
    terms = sorted(signals.terms, key=lambda term: -signals.terms[term])
    evidence = [name for trace in dossier.traces for name in _traced(trace)]
    evidence += [excerpt.symbol.rpartition(".")[2] for excerpt in dossier.excerpts[:8] if excerpt.symbol]
    evidence += [Path(path).stem for path in dossier.files[:5]]
    return tuple(dict.fromkeys((*terms[: WORDS - 12], *evidence)))[:WORDS]


def speaks_of_code(memory: Memory) -> bool:
    """Whether a past case names files of the project, so that it may be out of date."""
    return bool(_FILE.search(memory.question) or _FILE.search(memory.outcome))


def _cut(text: str, limit: int) -> str:
    text = _SPACE.sub(" ", text).strip()
    return text if len(text) <= limit else text[: limit - 2].rsplit(" ", 1)[0] + " …"
