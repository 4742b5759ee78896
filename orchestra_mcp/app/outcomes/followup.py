"""The one question back: what became of an earlier consultation that spoke of the same code."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import PurePosixPath

import anyio.to_thread

from orchestra_mcp.app.outcomes.takenover import paths_of
from orchestra_mcp.context.reading.mentions import mentions
from orchestra_mcp.errors import NotFound
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import Claim, Consultation, Dossier, Question, Trace, Verdict

BACK = timedelta(days=90)
"""What is older is forgotten by whoever would have to answer."""
QUIET = timedelta(minutes=5)
"""What has only just ended nobody can have tried; several that are asked at once do not ask about each other."""
LOOKED = 20
"""Unmarked consultations that are looked at."""
LIKELY = 3
"""So many of the files that most likely matter count as what a question is about."""
SHORT = 4
"""Letters of a name that is too short to mean one thing."""
_ASKED = re.compile(r"`orchestra outcome ([\w-]{1,80}) worked`")


async def follow_up(store: Store, question: Question, dossier: Dossier, caller: Caller) -> str:
    """A question to the user about the newest earlier consultation on the same code whose outcome nobody told.

    Asked once, whoever asks, in whichever process; empty when there is nothing to ask.

    Args:
        store: knows which ones there are.
        question: the new one.
        dossier: its evidence.
        caller: on whose behalf it is asked: nobody is asked about what another workspace did.

    Raises:
        StoreError: the store cannot be used.
    """
    if question.project is None:
        return ""
    now = datetime.now(UTC)
    for id in await store.memory.unmarked(question.project, now - BACK, LOOKED):
        kept = await store.get(id)
        verdict = kept.verdict
        if (
            verdict is None
            or not _fits(kept, verdict, caller)
            or (kept.ended or now) > now - QUIET
            or (kept.question.local_only and not question.local_only)
        ):
            continue  # what was asked for this machine only is not spoken of elsewhere
        if await anyio.to_thread.run_sync(same_code, kept, verdict, question, dossier):
            return wording(kept.id, kept.started) if await store.memory.follow_up(id) else ""
    return ""


def same_code(kept: Consultation, verdict: Verdict, question: Question, dossier: Dossier) -> bool:
    """Whether an earlier consultation spoke of files or names of which a new question is about. Pure."""
    claims = tuple(_claims(verdict))
    spoken = {place.path for place in kept.places} | {claim.path for claim in claims if claim.path}
    spoken |= {path for solution in verdict.solutions for path in paths_of(solution.patch)}
    text = "\n".join((question.text, question.error[:20_000]))
    about = {path for trace in dossier.traces for path in _frames(trace)}
    about |= {mention.path for mention in mentions(text, tuple(dict.fromkeys((*dossier.files, *dossier.shown))))}
    about |= {change.path for change in dossier.changes if change.where == "given diff"}
    about |= set(dossier.files[:LIKELY])
    if spoken & about or any(_matches(path, given) for path in spoken for given in question.files):
        return True
    names = {re.split(r"\W+", claim.symbol)[-1] for claim in claims}
    return bool({name for name in names if len(name) >= SHORT} & set(re.findall(r"\w+", question.text)))


def wording(id: str, at: datetime) -> str:
    """The question in one line, with the command and the tool call that answer it. Pure.

    It quotes nothing of what it is about: it is kept with another consultation, and would outlive its own.
    """
    return (
        f"What became of the council's answer `{id}` of {at:%Y-%m-%d}, on the same code? Say it with "
        f'`orchestra outcome {id} worked` (or `partly`, `wrong`), or `mark_outcome(id="{id}", outcome="worked")`. '
        "This is asked once."
    )


def asked_about(said: str) -> str:
    """The id of the consultation that such a question is about; empty for anything else. Pure."""
    found = _ASKED.search(said)
    return found[1] if found else ""


async def as_it_stands(kept: Consultation, look: Callable[[str], Awaitable[Consultation]]) -> Consultation:
    """A consultation without its question back when that was answered meanwhile, or nobody can answer it any more.

    Args:
        kept: the consultation that asks.
        look: gives a consultation by its id and raises NotFound.
    """
    if kept.verdict is None or not kept.verdict.follow_up:
        return kept
    try:
        id = asked_about(kept.verdict.follow_up)
        if id and not (await look(id)).labels:
            return kept
    except NotFound:
        pass
    return kept.model_copy(update={"verdict": kept.verdict.model_copy(update={"follow_up": ""})})


def _fits(kept: Consultation, verdict: Verdict, caller: Caller) -> bool:
    """Whether there was something to try, and whether it was asked by the caller's own workspace."""
    if kept.status not in ("complete", "degraded") or not verdict.solutions or not verdict.answered or kept.labels:
        return False
    workspaces = {call.workspace for call in kept.calls if call.key}
    return workspaces == ({caller.workspace} if caller.key else set())


def _claims(verdict: Verdict) -> Iterator[Claim]:
    for solution in verdict.solutions:
        for claim in solution.claims:
            if claim.check is None or claim.check.outcome != "refuted":
                yield claim


def _frames(trace: Trace) -> Iterator[str]:
    one: Trace | None = trace
    while one is not None:
        yield from (frame.path for frame in one.frames if frame.path)
        one = one.cause


def _matches(path: str, given: str) -> bool:
    """Whether a path is the file, in the directory, or fits the glob that a question names."""
    given = given.replace("\\", "/").removeprefix("./").rstrip("/")
    return path == given or fnmatch(path, given) or given in map(str, PurePosixPath(path).parents)
