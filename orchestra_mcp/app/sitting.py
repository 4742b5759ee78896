"""One consultation from evidence to verdict: collect, deliberate under the deadline, conclude, record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.app.convening import convene
from orchestra_mcp.app.memory.grounds import grounds
from orchestra_mcp.app.memory.meaning import Meaning
from orchestra_mcp.app.memory.recall import Recall, Wanted, reference
from orchestra_mcp.app.outcomes.followup import follow_up
from orchestra_mcp.app.outcomes.harvest import Harvest
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
from orchestra_mcp.gateway.provider import ASKING
from orchestra_mcp.gateway.roster import Roster
from orchestra_mcp.settings import Keys, ModelSpec, Settings
from orchestra_mcp.store.base import Store
from orchestra_mcp.telemetry import council, names
from orchestra_mcp.telemetry.logs import places
from orchestra_mcp.telemetry.spans import Doing, span, watch
from orchestra_mcp.types import (
    Absence,
    CallRecord,
    Dossier,
    Entry,
    Event,
    Observer,
    OutcomeName,
    PastCase,
    Question,
    Seat,
    Status,
    Turn,
    Verdict,
)

logger = logging.getLogger(__name__)

WINDOW_SHARE = 0.5
"""Share of a model's context window that evidence may take; the rest is for the others' words and the reply."""
GROUNDS_S = 1.0
"""Longest time that noting what a verdict rests on takes, in seconds."""
SEEN_S = 1.0
"""What is seen of a run is stored so often, in seconds, when nothing else is."""
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


@dataclass
class _End:
    """How a consultation ended."""

    verdict: Verdict | None = None
    failure: OrchestraError | None = None
    status: Status = "failed"


class Sitting:
    """Holds consultations; `app` starts one in a task of its own."""

    def __init__(
        self, store: Store, roster: Roster, keys: Keys, meaning: Meaning, home: Path, harvest: Harvest
    ) -> None:
        self._store, self._roster, self._keys, self._harvest = store, roster, keys, harvest
        self.roots: dict[str, Doing] = {}
        """Root spans of the consultations that run, by their ids."""
        self._meaning, self._recall = meaning, Recall(store, meaning, home)

    async def sit(self, run: Run, case: Case) -> None:
        """One consultation from evidence to verdict; whatever happens, it ends recorded and everyone is told."""
        end = _End()
        try:
            asked, workspace = run.question, ASKING.get().workspace
            with watch(
                run.spans.append,
                council.ROOT,
                about=run.id,
                attributes=council.opened(run.id, asked, workspace),
                only_out=council.abroad(run.id, asked),
            ) as root:
                self.roots[run.id] = root
                try:
                    await self._sit(run, case, end)
                finally:
                    council.closed(root, end.verdict, end.status, end.failure)
        finally:
            self.roots.pop(run.id, None)
            logger.info(
                "consultation ended",
                extra={"consultation": run.id, "status": end.status, "seconds": run.minutes.seconds},
            )
            with anyio.move_on_after(CANCEL_S, shield=True):
                await self._keep_seen(run)
            run.end(end.verdict, end.failure)
            self._meaning.learn_soon()
            case.observer(Event(run=run.id, kind="closed", detail=end.status, seconds=run.minutes.seconds))

    async def keep_seen(self, run: Run) -> None:
        """Store what is seen of a run while it goes on, for whoever watches it from another process."""
        while not await run.ended(anyio.current_time() + SEEN_S):
            await self._keep_seen(run)

    async def _sit(self, run: Run, case: Case, end: _End) -> None:
        failure: OrchestraError | None = None
        status: Status = "cancelled"
        try:
            with run.scope:
                await self._deliberate(run, case)
                status = "complete"
        except OrchestraError as error:
            failure, status = error, "failed"
        except Exception as error:  # noqa: BLE001 - whatever it was, it is logged and the run concluded
            logger.error("consultation %s stopped on an internal error: %s", run.id, places(error))
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
                    with span("conclude"):
                        verdict = conclude(run.minutes, final=True, cancelled=status == "cancelled")
                    status = verdict.status
                except Exception as error:  # noqa: BLE001 - logged, and told to everyone who waits
                    logger.error("consultation %s could not be concluded: %s", run.id, places(error))
                    what = f"an internal error ({type(error).__name__})"
                    failure = OrchestraError(
                        f"No verdict could be made of {run.id}: {what}; the server's log says more."
                    )
                    status = "failed"
            if verdict and status in ("complete", "degraded"):
                verdict = await self._ask_back(run, case, verdict)
            run.events.append(Event(run=run.id, kind="closed", detail=status, seconds=run.minutes.seconds))
            with anyio.move_on_after(CANCEL_S, shield=True):
                await self._finish(run, status, verdict, run.redactor.redact(str(failure or "")))
            if verdict:  # the store may have failed only now
                notes = tuple(dict.fromkeys((*verdict.notes, *run.minutes.notes)))
                verdict = verdict.model_copy(update={"notes": notes})
            if verdict and status in ("complete", "degraded"):
                with anyio.move_on_after(CANCEL_S, shield=True):
                    await self._learn_from_tests(run, verdict)
                with anyio.move_on_after(GROUNDS_S, shield=True):
                    await self._note_grounds(run, case, verdict)
            end.verdict, end.failure, end.status = verdict, failure, status

    async def _deliberate(self, run: Run, case: Case) -> None:
        question, minutes, current, observer = run.question, run.minutes, case.settings, case.observer
        limit = min(question.deadline_s or current.limits.deadline_s, current.limits.deadline_s)
        with anyio.move_on_after(limit) as scope:
            observer(Event(run=run.id, kind="collecting"))
            with span("collect") as doing:
                dossier = await self.dossier(case.question, current, case.seats, case.evidence, case.redactor)
                texts = (question.text, question.error, question.diff, *question.positions)
                redactions = case.redactor.count((*texts, *(excerpt.text for excerpt in dossier.excerpts)))
                minutes.dossier = dossier.model_copy(update={"history": case.history, "redactions": redactions})
                council.gathered(doing, minutes.dossier)
            with span("search_memory", attributes={names.OPERATION: "search_memory"}):
                past = await self.past(question, minutes.dossier, current, case.seats, case.evidence, case.redactor)
            minutes.dossier = minutes.dossier.model_copy(update={"past": past})
            # Of past cases only which they were is kept: what is forgotten must not live on in others' records.
            await self._record(run, minutes.dossier.model_copy(update={"past": tuple(map(reference, past))}))
            observer(
                Event(
                    run=run.id,
                    kind="collected",
                    detail=f"{len(minutes.dossier.excerpts)} excerpts, {minutes.dossier.tokens} tokens",
                )
            )
            with span("convene"):
                table = await convene(question, minutes.dossier, case.seats, self._roster.models, self._store)
            minutes.domain, minutes.effort, minutes.seating = table.domain, table.effort, table.why
            minutes.experience = table.experience
            if table.why:
                observer(Event(run=run.id, kind="seated", detail=table.why[:200]))
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
                        price=table.pricing.expected,
                        hurry=current.council.prefer == "speed",
                        clean=case.clean,
                        started=run.started,
                    )
                    await STRATEGIES[question.strategy](room, table.seating)
        if scope.cancelled_caught:
            minutes.stopped = f"the deadline of {limit:g} s was reached"
            run.late.extend(minutes.stop("late", f"the deadline of {limit:g} s was reached before that"))

    async def past(
        self,
        question: Question,
        dossier: Dossier,
        current: Settings,
        seats: Sequence[Seat],
        evidence: ProjectEvidence | None,
        redactor: Redactor,
    ) -> tuple[PastCase, ...]:
        """What these seats are shown of similar consultations; `question` and `dossier` as they are sent."""
        return await self._recall.past(Wanted(question, dossier, current, seats, evidence, redactor))

    async def _note_grounds(self, run: Run, case: Case, verdict: Verdict) -> None:
        """Keep which code the verdict rests on, so that it is not shown any more when that has changed."""
        if case.evidence is None or not run.recorded:
            return
        try:
            found = await grounds(verdict, case.evidence)
            if found.places:
                await self._store.add(run.id, found, *run.seen())
        except Exception as error:  # noqa: BLE001 - without it the case counts as one that cannot be compared
            logger.warning("the places of %s were not kept: %s", run.id, type(error).__name__)

    async def _ask_back(self, run: Run, case: Case, verdict: Verdict) -> Verdict:
        """The verdict with the one question about an earlier consultation on the same code, where there is one to ask."""
        if not (case.settings.memory.ask_outcome and run.recorded and verdict.answered):
            return verdict
        asked = ""
        with anyio.move_on_after(CANCEL_S, shield=True):
            try:
                asked = await follow_up(self._store, run.question, run.minutes.dossier, ASKING.get())
            except Exception as error:  # noqa: BLE001 - a question that is not asked must not cost the answer
                logger.warning("nobody was asked what became of an earlier answer: %s", type(error).__name__)
        return verdict.model_copy(update={"follow_up": asked}) if asked else verdict

    async def _learn_from_tests(self, run: Run, verdict: Verdict) -> None:
        """What the user's verify command said of a proposed patch is an outcome, like the user's own word."""
        trials = run.minutes.found.trials
        by_seat = {opinion.seat: opinion.patch for opinion in run.minutes.standing()}
        green = any(trial.verdict == "fixes" for trial in trials.values())
        if run.question.project and any(trial.before == "passed" for trial in trials.values()):
            await self._harvest.green(run.question.project)
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
        entries, run.pending = (*run.pending, entry, *run.seen()), []
        try:
            await self._store.add(run.id, *entries)
        except StoreError as error:
            # Money is not forgotten: the calls go with the next entry.
            run.pending[:0] = [old for old in entries if isinstance(old, CallRecord)]
            _note_once(run, f"Not everything of this consultation was recorded: {error}")

    async def _keep_seen(self, run: Run) -> None:
        """Store what was seen since the last time; without a store it is lost, and nothing else."""
        if run.recorded and (watched := run.seen()):
            with suppress(StoreError):
                await self._store.add(run.id, *watched)

    async def _spent_today(self, run: Run) -> Decimal:
        """What all processes have spent today, as far as the store can tell."""
        try:
            return await self._store.spent_since(midnight())
        except StoreError as error:
            _note_once(run, f"The day's spending by other processes is not known: {error}")
            return Decimal(0)

    async def _finish(self, run: Run, status: Status, verdict: Verdict | None, failure: str) -> None:
        """Store the end with all that is not stored yet; whoever stops waiting does not stop the write."""
        try:
            await self._store.finish(run.id, status, verdict, failure, *run.pending, *run.late, *run.seen())
        except StoreError as error:
            _note_once(run, f"The end of this consultation was not recorded: {error}")

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


def unfailing(observer: Observer | None) -> Observer:
    """An observer whose faults cost nobody a seat: it is told no more after the first one."""
    watching = observer is not None

    def tell(event: Event) -> None:
        nonlocal watching
        if observer is None or not watching:
            return
        try:
            observer(event)
        except Exception as error:  # noqa: BLE001 - an observer's fault is its own, and logged
            watching = False
            logger.error("whoever watched consultation %s failed: %s", event.run, places(error))

    return tell


def _signatures(seats: Iterable[Seat], models: Mapping[str, ModelSpec]) -> tuple[str, ...]:
    """By what an expert could sign its work."""
    return tuple(name for seat in seats for name in (seat.name, seat.model, models[seat.model].model))


def _note_once(run: Run, note: str) -> None:
    note = run.redactor.redact(note)
    if note not in run.minutes.notes:
        run.minutes.notes.append(note)
