"""One consultation from evidence to verdict: collect, deliberate under the deadline, conclude, record."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.app.convening import convene
from orchestra_mcp.app.run import CANCEL_S, Run
from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.context.trial.workbench import ProjectWorkbench
from orchestra_mcp.council.labels import label_of
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.prompts import Writer, mode_spec, pick_mode
from orchestra_mcp.council.room import Room
from orchestra_mcp.council.strategies import STRATEGIES
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.errors import OrchestraError, StoreError
from orchestra_mcp.gateway.money.prices import context_window
from orchestra_mcp.gateway.roster import Roster
from orchestra_mcp.settings import Keys, ModelSpec, Settings
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import (
    Absence,
    CallRecord,
    Dossier,
    Entry,
    Event,
    Observer,
    OutcomeName,
    Question,
    Seat,
    Status,
    Turn,
    Verdict,
)

logger = logging.getLogger(__name__)

WINDOW_SHARE = 0.5
"""Share of a model's context window that evidence may take; the rest is for the others' words and the reply."""
LARGE_WINDOW = 128_000
"""What is taken for a window of unknown size, in tokens."""


TOLD: Mapping[str, OutcomeName] = {"fixes": "worked", "breaks": "wrong", "fails": "wrong"}
"""What a trial of a patch tells of its solution; one that keeps green tests green tells nothing of the question."""


@dataclass(frozen=True)
class Case:
    """What a consultation starts with."""

    question: Question
    """As it was asked, with whatever secrets are in it; only the collector sees this one."""
    evidence: ProjectEvidence | None
    seats: tuple[Seat, ...]
    """Who may be asked."""
    settings: Settings
    history: tuple[Turn, ...]
    """Earlier turns, redacted for this consultation."""
    observer: Observer
    redactor: Redactor
    """The only one of this consultation, the evidence's too."""

    async def clean(self, text: str) -> str:
        """A text without secrets, also those of the project's `.env` files."""
        return await clean(text, self.evidence, self.redactor)


class Sitting:
    """Holds consultations; `app` starts one in a task of its own."""

    def __init__(self, store: Store, roster: Roster, keys: Keys) -> None:
        self._store, self._roster, self._keys = store, roster, keys

    async def sit(self, run: Run, case: Case) -> None:
        """One consultation from evidence to verdict; whatever happens, it ends recorded and everyone is told."""
        failure: OrchestraError | None = None
        status: Status = "cancelled"
        try:
            with run.scope:
                await self._deliberate(run, case)
                status = "complete"
        except OrchestraError as error:
            failure, status = error, "failed"
        except Exception as error:  # noqa: BLE001 - whatever it was, it is logged and the run concluded
            logger.error("consultation %s stopped on an internal error\n%s", run.id, _trouble(run.redactor))
            reason = f"an internal error ({type(error).__name__}) stopped it; the server's log says more"
            run.minutes.stopped = f"of {reason}"
            run.minutes.absences.append(Absence(seat="council", kind="internal", reason=reason, stage="chair"))
            status = "complete"
        finally:
            verdict = None
            run.minutes.seconds = anyio.current_time() - run.started
            if status == "cancelled":
                run.minutes.stopped = run.minutes.stopped or "it was cancelled"
                run.late.extend(run.minutes.stop("cancelled", "the consultation was cancelled before that"))
            if status != "failed":
                run.minutes.stage = "closed" if status == "complete" else "cancelled"
                try:
                    verdict = conclude(run.minutes, final=True, cancelled=status == "cancelled")
                    status = verdict.status
                except Exception as error:  # noqa: BLE001 - logged, and told to everyone who waits
                    logger.error("consultation %s could not be concluded\n%s", run.id, _trouble(run.redactor))
                    what = f"an internal error ({type(error).__name__})"
                    failure = OrchestraError(
                        f"No verdict could be made of {run.id}: {what}; the server's log says more."
                    )
                    status = "failed"
            with anyio.move_on_after(CANCEL_S, shield=True):
                await self._finish(run, status, verdict, run.redactor.redact(str(failure or "")))
            if verdict:  # the store may have failed only now
                notes = tuple(dict.fromkeys((*verdict.notes, *run.minutes.notes)))
                verdict = verdict.model_copy(update={"notes": notes})
            if verdict and status in ("complete", "degraded"):
                with anyio.move_on_after(CANCEL_S, shield=True):
                    await self._learn_from_tests(run, verdict)
            run.end(verdict, failure)
            case.observer(Event(run=run.id, kind="closed", detail=status, seconds=run.minutes.seconds))

    async def _deliberate(self, run: Run, case: Case) -> None:
        question, minutes, current, observer = run.question, run.minutes, case.settings, case.observer
        limit = min(question.deadline_s or current.limits.deadline_s, current.limits.deadline_s)
        with anyio.move_on_after(limit) as scope:
            observer(Event(run=run.id, kind="collecting"))
            dossier = await self.dossier(case.question, current, case.seats, case.evidence, case.redactor)
            texts = (question.text, question.error, question.diff, *question.positions)
            redactions = case.redactor.count((*texts, *(excerpt.text for excerpt in dossier.excerpts)))
            minutes.dossier = dossier.model_copy(update={"history": case.history, "redactions": redactions})
            await self._record(run, minutes.dossier)
            observer(
                Event(
                    run=run.id,
                    kind="collected",
                    detail=f"{len(minutes.dossier.excerpts)} excerpts, {minutes.dossier.tokens} tokens",
                )
            )
            council = await convene(question, minutes.dossier, case.seats, self._roster.models, self._store)
            minutes.domain, minutes.effort, minutes.seating = council.domain, council.effort, council.why
            minutes.experience = council.experience
            if council.why:
                observer(Event(run=run.id, kind="seated", detail=council.why[:200]))
            asked = current.limits.max_cost_usd if question.max_cost_usd is None else question.max_cost_usd
            budget = min(asked, current.limits.max_cost_usd)

            async def record(entry: Entry) -> None:
                await self._record(run, entry)

            spent = await self._spent_today(run)
            async with self._workbench(case) as workbench:
                with self._roster.budget(run.id, budget, spent):
                    room = Room(
                        minutes=minutes,
                        writer=await self._writer(question, minutes),
                        provider=self._roster.provider,
                        evidence=case.evidence,
                        limits=current.limits,
                        record=record,
                        observe=observer,
                        workbench=workbench,
                        price=council.pricing.expected,
                        hurry=current.council.prefer == "speed",
                        clean=case.clean,
                        started=run.started,
                    )
                    await STRATEGIES[question.strategy](room, council.seating)
        if scope.cancelled_caught:
            minutes.stopped = f"the deadline of {limit:g} s was reached"
            run.late.extend(minutes.stop("late", f"the deadline of {limit:g} s was reached before that"))

    async def _learn_from_tests(self, run: Run, verdict: Verdict) -> None:
        """What the user's verify command said of a proposed patch is an outcome, like the user's own word."""
        trials = run.minutes.found.trials
        by_seat = {opinion.seat: opinion.patch for opinion in run.minutes.standing()}
        green = any(trial.verdict == "fixes" for trial in trials.values())
        for solution in verdict.solutions:
            mine = [trials[by_seat[seat]] for seat in solution.seats if by_seat.get(seat) in trials]
            said = {trial.verdict for trial in mine if not trial.tampered}
            outcome = next((TOLD[name] for name in TOLD if name in said), None)
            if outcome == "wrong" and "fails" in said and not green:
                continue  # tests that stay red whatever is done say nothing of this question
            if outcome is None or not run.recorded:
                continue
            try:
                kept = await self._store.get(run.id)
                await self._store.mark(label_of(kept, ((solution.rank, outcome),), "verify"), outcome, solution.rank)
            except OrchestraError as error:
                logger.warning("the outcome of %s was not kept: %s", run.id, run.redactor.redact(str(error)))

    async def _record(self, run: Run, entry: Entry) -> None:
        """Store what just happened, with the calls that it took. A store that fails costs the record, not the answer."""
        entries, run.pending = (*run.pending, entry), []
        try:
            await self._store.add(run.id, *entries)
        except StoreError as error:
            # Money is not forgotten: the calls go with the next entry.
            run.pending[:0] = [old for old in entries if isinstance(old, CallRecord)]
            _note_once(run, f"Not everything of this consultation was recorded: {error}")

    async def _spent_today(self, run: Run) -> Decimal:
        """What all processes have spent today, as far as the store can tell."""
        try:
            return await self._store.spent_since(midnight())
        except StoreError as error:
            _note_once(run, f"The day's spending by other processes is not known: {error}")
            return Decimal(0)

    async def _finish(self, run: Run, status: Status, verdict: Verdict | None, failure: str) -> None:
        """Store the end. Both writes are under way before either is waited for: whoever stops waiting stops neither."""

        async def keep(write: Callable[[], Awaitable[None]]) -> None:
            try:
                await write()
            except StoreError as error:
                _note_once(run, f"The end of this consultation was not recorded: {error}")

        entries: tuple[Entry, ...] = (*run.pending, *run.late)
        async with anyio.create_task_group() as group:
            if entries:
                group.start_soon(keep, partial(self._store.add, run.id, *entries))
            group.start_soon(keep, partial(self._store.finish, run.id, status, verdict, failure))

    async def dossier(
        self,
        question: Question,
        current: Settings,
        seats: Sequence[Seat],
        evidence: ProjectEvidence | None,
        redactor: Redactor,
    ) -> Dossier:
        """The evidence for a question, within the settings' budget and what the largest window at the table holds."""
        rooms = await self._rooms(seats)
        budget = min(current.limits.dossier_tokens, max(rooms.values(), default=current.limits.dossier_tokens))
        root = Path(question.project) if question.project else None
        mode = pick_mode(question)
        asked = question.model_copy(update={"mode": mode})
        wanted = mode_spec(mode).evidence
        found = await collect(asked, root, evidence, budget=budget, redactor=redactor, wanted=wanted)
        remarks = {
            name: tuple([await clean(line, evidence, redactor) for line in getattr(found, name)])
            for name in ("notes", "left_out")
        }
        return found.model_copy(update=remarks)

    def _workbench(self, case: Case) -> ProjectWorkbench:
        """What may be tried: programs, and patches with the command that the user has allowed for this project."""
        root = Path(case.question.project) if case.question.project else None
        current = case.settings
        return ProjectWorkbench(
            root,
            verify=verify_command(current.verify, root),
            verify_s=current.limits.verify_s,
            run_answers=current.council.run_answers,
            hidden=_private(current),
            clean=case.clean,
        )

    async def _rooms(self, seats: Sequence[Seat]) -> dict[str, int]:
        """Seat → tokens of evidence for which its window has room; a window that nobody knows counts as large."""
        specs = {seat.name: self._roster.models[seat.model] for seat in seats if seat.model in self._roster.models}

        def windows() -> dict[str, int]:
            return {name: context_window(spec) or LARGE_WINDOW for name, spec in specs.items()}

        return {name: int(window * WINDOW_SHARE) for name, window in (await anyio.to_thread.run_sync(windows)).items()}

    async def _writer(self, question: Question, minutes: Minutes) -> Writer:
        seats = tuple(minutes.seats.values())
        names = _signatures(seats, self._roster.models)
        return Writer(question, minutes.dossier, names, await self._rooms(seats))


async def clean(text: str, evidence: ProjectEvidence | None, redactor: Redactor) -> str:
    """A text without secrets; with a project, those of its `.env` files are learnt first."""
    if evidence is not None:
        return await evidence.clean(text)
    return await anyio.to_thread.run_sync(redactor.redact, text, abandon_on_cancel=True)


def verify_command(allowed: Mapping[str, str], root: Path | None) -> str:
    """The verify command that the user has allowed for a project; empty when there is none."""
    if root is None:
        return ""
    return next((command for place, command in allowed.items() if Path(place).expanduser().resolve() == root), "")


def _private(current: Settings) -> tuple[Path, ...]:
    """What a verify command has no business with: our keys, the store, the configuration."""
    source = (current.source,) if current.source else ()
    return tuple(path.expanduser().resolve() for path in (current.home, *source))


def midnight() -> datetime:
    """When today began, in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def unfailing(observer: Observer | None, redactor: Redactor) -> Observer:
    """An observer whose faults cost nobody a seat: it is told no more after the first one."""
    watching = observer is not None

    def tell(event: Event) -> None:
        nonlocal watching
        if observer is None or not watching:
            return
        try:
            observer(event)
        except Exception:  # noqa: BLE001 - an observer's fault is its own, and logged
            watching = False
            logger.error("whoever watched consultation %s failed\n%s", event.run, _trouble(redactor))

    return tell


def _signatures(seats: Iterable[Seat], models: Mapping[str, ModelSpec]) -> tuple[str, ...]:
    """By what an expert could sign its work."""
    return tuple(name for seat in seats for name in (seat.name, seat.model, models[seat.model].model))


def _note_once(run: Run, note: str) -> None:
    note = run.redactor.redact(note)
    if note not in run.minutes.notes:
        run.minutes.notes.append(note)


def _trouble(redactor: Redactor) -> str:
    """The traceback of what is being handled, fit for a log: messages of exceptions may quote what was read."""
    return redactor.redact(traceback.format_exc().rstrip())
