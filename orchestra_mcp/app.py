"""Orchestra: the one place where parts are chosen and wired, and the one `ask` behind every door.

A door (MCP, command line, later HTTP and voice) builds a `Question` and calls `ask`, or `start` when it wants to follow
the run, show what there is so far and come back later. Everything that a consultation produces is in the store before
anybody is told of it.
"""

from __future__ import annotations

import logging
import os
import secrets
import string
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from orchestra_mcp import __version__, settings
from orchestra_mcp.context.collector import clean_question, collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.project import find_root
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.prompts import Writer, pick_mode
from orchestra_mcp.council.residents import RESIDENTS
from orchestra_mcp.council.room import MAX_TOKENS, Room
from orchestra_mcp.council.seating import Seating, seat_council
from orchestra_mcp.council.strategies import STRATEGIES
from orchestra_mcp.council.verdicts import conclude
from orchestra_mcp.errors import ConsentNeeded, OrchestraError, StoreError, UserError
from orchestra_mcp.gateway.catalog import context_window, family_of, price, prior_of
from orchestra_mcp.gateway.roster import Roster, open_roster
from orchestra_mcp.gateway.wire import provider_of
from orchestra_mcp.settings import Keys, ModelSpec, SeatSpec, Settings
from orchestra_mcp.store import open_store
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import (
    Absence,
    CallRecord,
    Consultation,
    CouncilStatus,
    Dossier,
    Entry,
    Event,
    Observer,
    Plan,
    Question,
    Seat,
    SeatStatus,
    Status,
    Summary,
    Turn,
    Usage,
    Verdict,
)

logger = logging.getLogger(__name__)

ID_ALPHABET = string.ascii_lowercase + string.digits
WINDOW_SHARE = 0.5
"""Share of the smallest context window that the dossier may take; the rest is for the others' words and the reply."""
NUMBERED = 1.25
"""What line numbers add to the tokens of code, at most."""
RULES_TOKENS = 1_200
"""Of the instructions around the evidence."""
UNRECORDED = "This consultation is not being recorded"
KEPT_RUNS = 50
KEPT_TURNS = 6
"""Earlier turns of a conversation that experts are shown."""
CANCEL_S = 1.5


class Run:
    """A consultation of this process, while it runs and until the process ends."""

    def __init__(self, id: str, question: Question, minutes: Minutes) -> None:
        self.id = id
        self.question = question
        self.verdict: Verdict | None = None
        self.minutes = minutes
        self.error: OrchestraError | None = None
        self.scope = anyio.CancelScope()
        self.pending: list[CallRecord] = []
        """Calls that are not stored yet; they go with the next entry."""
        self.late: list[Absence] = []
        """Who was cut off when it ended; stored with the end."""
        self.started = anyio.current_time()
        self.began = datetime.now(UTC)
        self._ended = anyio.Event()

    @property
    def done(self) -> bool:
        """True when nothing more will happen."""
        return self._ended.is_set()

    @property
    def answered(self) -> tuple[str, ...]:
        """Seats that have given an opinion."""
        return self.minutes.answered()

    @property
    def awaited(self) -> tuple[str, ...]:
        """Seats that are thinking right now."""
        return tuple(self.minutes.awaited)

    @property
    def progress(self) -> str:
        """One line, at most 200 characters: stage, who has answered, who is awaited."""
        elapsed = anyio.current_time() - self.started
        parts = [self.minutes.stage]
        if self.minutes.asked:
            parts.append(f"{len(self.answered)}/{len(set(self.minutes.asked))} answered")
        if self.awaited:
            parts.append(f"awaiting {', '.join(self.awaited)}")
        return f"{'; '.join(parts)} ({elapsed:.0f} s)"[:200]

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done, at most `timeout_s` seconds; True when done. Never cancels the run.

        Raises:
            OrchestraError: the run itself failed (once it is done).
        """
        with anyio.move_on_after(timeout_s):
            await self._ended.wait()
        if self.done and self.error:
            raise self.error
        return self.done

    def so_far(self) -> Verdict:
        """The best verdict from what has arrived, made without any model; its status is `running` until it is done."""
        self.minutes.seconds = anyio.current_time() - self.started
        return self.verdict or conclude(self.minutes)

    async def cancel(self) -> None:
        """Stop it, abort its upstream calls, record it as cancelled; returns when that is done (within 2 s)."""
        self.scope.cancel()
        with anyio.move_on_after(CANCEL_S, shield=True):
            await self._ended.wait()

    def end(self, verdict: Verdict | None, error: OrchestraError | None = None) -> None:
        """Tell everyone who waits."""
        self.verdict, self.error = verdict, error
        self._ended.set()


@dataclass(frozen=True)
class Case:
    """What a consultation starts with."""

    question: Question
    """As it was asked, with whatever secrets are in it; only the collector sees this one."""
    evidence: ProjectEvidence | None
    seating: Seating
    settings: Settings
    history: tuple[Turn, ...]
    observer: Observer


class Orchestra:
    """All parts, wired. Use `async with Orchestra.open() as orchestra`."""

    def __init__(
        self,
        environ: Mapping[str, str],
        user: Settings,
        keys: Keys,
        store: Store,
        roster: Roster,
        group: TaskGroup,
    ) -> None:
        self._environ = environ
        self._user = user
        self._keys = keys
        self._store = store
        self._roster = roster
        self._group = group
        self._runs: dict[str, Run] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, environ: Mapping[str, str] | None = None) -> AsyncIterator[Orchestra]:
        """Read the settings and open the store; runs still going at exit are cancelled and recorded as such.

        Raises:
            SettingsError: the configuration is wrong.
            StoreError: the store cannot be opened.
        """
        environ = os.environ if environ is None else environ
        user = settings.load(environ)
        keys = Keys(environ, user.home / "keys.env")
        failure: Exception | None = None
        async with (
            open_store(user.home) as store,
            open_roster(user, keys) as roster,
            anyio.create_task_group() as group,
        ):
            orchestra = cls(environ, user, keys, store, roster, group)
            roster.on_call = orchestra._note_call
            try:
                yield orchestra
            except Exception as error:  # noqa: BLE001 - raised again below, outside the task group that would wrap it
                failure = error
            finally:
                with anyio.move_on_after(CANCEL_S, shield=True):
                    async with anyio.create_task_group() as closing:
                        for run in orchestra._runs.values():
                            if not run.done:
                                closing.start_soon(run.cancel)
                group.cancel_scope.cancel()
        if failure:
            raise failure

    # ----------------------------------------------------------------------------------------------------- asking

    def project(self, given: str | None, client_roots: Sequence[str] = ()) -> Path | None:
        """The project root: what was given, `ORCHESTRA_PROJECT_DIR`, `CLAUDE_PROJECT_DIR`, a root that the client
        declared, or the current directory if it looks like a project; None when there is none.

        Raises:
            ProjectError: what was given does not exist, is no directory, or is not allowed.
        """
        return find_root(given, self._environ, client_roots, Path.cwd(), self._user.roots)

    async def ask(self, question: Question, observer: Observer | None = None) -> Verdict:
        """Ask the council and wait. Cancelling this call cancels the consultation and its upstream calls.

        Raises:
            UserError: the question, its files, seats or settings are wrong, or consent is missing.
        """
        run = await self.start(question, observer)
        try:
            await run.wait()
        finally:
            if not run.done:
                await run.cancel()
        return run.so_far()

    async def start(self, question: Question, observer: Observer | None = None) -> Run:
        """Check the question, record it, and let it run in the background. Raises as `ask`."""
        if not question.text.strip():
            raise UserError("The question is empty. Say what you are stuck on, in a sentence or two.")
        current = self._settings(question.project)
        seats = await self._seats(current, question.local_only)
        seating = seat_council(seats, question, self._free(seats), frozenset(RESIDENTS))
        await self._require_consent(question, (*seating.openers, *seating.reserve))
        history = await self._store.thread(question.continues) if question.continues else ()
        thread = (await self._store.get(question.continues)).thread if question.continues else ""

        evidence = self._evidence(question)
        # What is kept and sent has no secrets in it; only the evidence is gathered from the original words.
        shown = await clean_question(question, evidence, self._keys.secrets())
        id = "".join(secrets.choice(ID_ALPHABET) for _ in range(12))
        # Only who may see this question can be judge or chair: neither unnamed nor unallowed seats.
        seated = {seat.name: seat for seat in (*seating.openers, *seating.reserve)}
        minutes = Minutes(id, shown, mode=pick_mode(question), seats=seated)
        run = Run(id, shown, minutes)
        minutes.notes.extend(current.warnings)
        try:
            await self._store.begin(id, shown, thread or id)
        except StoreError as error:
            minutes.notes.append(f"{UNRECORDED}: {error}")
        self._keep(run)
        case = Case(question, evidence, seating, current, history[-KEPT_TURNS:], _unfailing(observer))
        self._group.start_soon(self._sit, run, case)
        return run

    def run(self, id: str) -> Run | None:
        """A run of this process by its id (`latest` too)."""
        return next(reversed(self._runs.values()), None) if id == "latest" else self._runs.get(id)

    async def plan(self, question: Question) -> Plan:
        """Collect the context and say who would be asked at what cost, without asking anybody."""
        current = self._settings(question.project)
        seats = await self._seats(current, question.local_only)
        seating = seat_council(seats, question, self._free(seats), frozenset(RESIDENTS))
        dossier = await self._dossier(question, current, seating, self._evidence(question))
        priced = {
            seat: known
            for seat in (*seating.openers, *seating.reserve)
            if (known := price(self._roster.models[seat.model]))
        }

        def cost_of(seat: Seat, purpose: str) -> Decimal:
            tokens = Usage(
                input_tokens=int(dossier.tokens * NUMBERED) + RULES_TOKENS, output_tokens=MAX_TOKENS[purpose]
            )
            return priced[seat].cost(tokens) if seat in priced else Decimal(0)

        cost = sum((cost_of(seat, "opinion") for seat in seating.openers), Decimal(0))
        if seating.openers:  # anyone at the table may be judge or chair: the dearest counts
            cost += sum(
                max(cost_of(seat, purpose) for seat in priced) if priced else 0 for purpose in ("review", "chair")
            )
        unpriced = [seat.name for seat in seating.openers if seat not in priced]
        return Plan(
            dossier=dossier,
            openers=seating.openers,
            reserve=seating.reserve,
            estimated_cost_usd=cost,
            unpriced=tuple(dict.fromkeys(unpriced)),
            needs_consent=await self.needs_consent(question.project, question.experts),
        )

    # ------------------------------------------------------------------------------------------------- looking back

    async def consultation(self, id: str, wait_s: float = 0) -> Consultation:
        """A past or running consultation, of this or another process; waits up to `wait_s` for its end.

        Raises:
            NotFound: no such id; the message names the newest ones.
        """
        end = anyio.current_time() + wait_s
        if run := self.run(id):
            with anyio.move_on_at(end):
                await run._ended.wait()
        if run and any(note.startswith(UNRECORDED) for note in run.minutes.notes):
            return _from_memory(run)
        found = await self._store.get(run.id if run and id != "latest" else id)
        while found.status == "running" and anyio.current_time() < end:
            await anyio.sleep(min(0.5, end - anyio.current_time()))
            found = await self._store.get(found.id)
        return found

    async def history(self, limit: int = 20, project: str | None = None) -> tuple[Summary, ...]:
        """The newest consultations, newest first."""
        return await self._store.list(limit, project)

    async def status(self, project: str | None = None) -> CouncilStatus:
        """Who is seated and why, what is missing and how to add it, what was spent."""
        current = self._settings(project)
        found = await self._roster.found()
        seats = await self._seats(current)
        allowed = await self._store.allowed(project) if project else frozenset()
        return CouncilStatus(
            version=__version__,
            seats=(*self._model_status(current, seats, project, allowed), *_resident_status()),
            can_be_added=found.missing,
            spent_today_usd=await self._store.spent_since(_midnight()),
            daily_limit_usd=current.limits.daily_cost_usd,
            running=tuple(run.id for run in self._runs.values() if not run.done),
            config=str(self._user.source or settings.config_file(self._environ)),
            home=str(self._user.home),
            project=Path(project).name if project else "",
            warnings=current.warnings,
        )

    async def needs_consent(self, project: str | None, experts: Sequence[str] = ()) -> tuple[str, ...]:
        """Providers of seated experts, or of those named, that may not see this project's code yet (never local ones)."""
        if project is None:
            return ()
        seats = await self._seats(self._settings(project))
        return await self._missing_consent(project, [seat for seat in seats if not experts or seat.name in experts])

    async def allow(self, project: str, providers: Sequence[str]) -> None:
        """Remember that the user lets these providers see this project's code."""
        await self._store.allow(project, frozenset(providers))

    # ----------------------------------------------------------------------------------------------------- sitting

    async def _sit(self, run: Run, case: Case) -> None:
        """One consultation from evidence to verdict; whatever happens, it ends recorded and everyone is told."""
        failure: OrchestraError | None = None
        status: Status = "cancelled"
        try:
            with run.scope:
                await self._deliberate(run, case)
                status = "complete"
        except OrchestraError as error:
            failure, status = error, "failed"
        except Exception as error:
            logger.exception("consultation %s stopped on an internal error", run.id)
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
                except Exception as error:
                    logger.exception("consultation %s could not be concluded", run.id)
                    what = f"an internal error ({type(error).__name__})"
                    failure = OrchestraError(
                        f"No verdict could be made of {run.id}: {what}; the server's log says more."
                    )
                    status = "failed"
            with anyio.move_on_after(CANCEL_S, shield=True):
                await self._finish(run, status, verdict, str(failure or ""))
            if verdict:  # the store may have failed only now
                notes = tuple(dict.fromkeys((*verdict.notes, *run.minutes.notes)))
                verdict = verdict.model_copy(update={"notes": notes})
            run.end(verdict, failure)
            case.observer(Event(run=run.id, kind="closed", detail=status, seconds=run.minutes.seconds))

    async def _deliberate(self, run: Run, case: Case) -> None:
        question, minutes, current, observer = run.question, run.minutes, case.settings, case.observer
        limit = min(question.deadline_s or current.limits.deadline_s, current.limits.deadline_s)
        with anyio.move_on_after(limit) as scope:
            observer(Event(run=run.id, kind="collecting"))
            dossier = await self._dossier(case.question, current, case.seating, case.evidence)
            minutes.dossier = dossier.model_copy(update={"history": case.history})
            await self._record(run, minutes.dossier)
            observer(
                Event(
                    run=run.id,
                    kind="collected",
                    detail=f"{len(minutes.dossier.excerpts)} excerpts, {minutes.dossier.tokens} tokens",
                )
            )
            asked = current.limits.max_cost_usd if question.max_cost_usd is None else question.max_cost_usd
            budget = min(asked, current.limits.max_cost_usd)

            async def record(entry: Entry) -> None:
                await self._record(run, entry)

            with self._roster.budget(run.id, budget, await self._spent_today(run)):
                room = Room(
                    minutes=minutes,
                    writer=Writer(question, minutes.dossier, _names(minutes.seats.values(), self._roster.models)),
                    provider=self._roster.provider,
                    evidence=case.evidence,
                    limits=current.limits,
                    record=record,
                    observe=observer,
                    started=run.started,
                )
                await STRATEGIES[question.strategy](room, case.seating)
        if scope.cancelled_caught:
            minutes.stopped = f"the deadline of {limit:g} s was reached"
            run.late.extend(minutes.stop("late", f"the deadline of {limit:g} s was reached before that"))

    async def _record(self, run: Run, entry: Entry) -> None:
        """Store what just happened, with the calls that it took. A store that fails costs the record, not the answer."""
        entries, run.pending = (*run.pending, entry), []
        try:
            await self._store.add(run.id, *entries)
        except StoreError as error:
            # Money is not forgotten: the calls go with the next entry.
            run.pending[:0] = [old for old in entries if isinstance(old, CallRecord)]
            _note_once(run.minutes, f"Not everything of this consultation was recorded: {error}")

    async def _spent_today(self, run: Run) -> Decimal:
        """What all processes have spent today, as far as the store can tell."""
        try:
            return await self._store.spent_since(_midnight())
        except StoreError as error:
            _note_once(run.minutes, f"The day's spending by other processes is not known: {error}")
            return Decimal(0)

    async def _finish(self, run: Run, status: Status, verdict: Verdict | None, failure: str) -> None:
        """Store the end. Both writes are under way before either is waited for: whoever stops waiting stops neither."""

        async def keep(write: Callable[[], Awaitable[None]]) -> None:
            try:
                await write()
            except StoreError as error:
                _note_once(run.minutes, f"The end of this consultation was not recorded: {error}")

        entries: tuple[Entry, ...] = (*run.pending, *run.late)
        async with anyio.create_task_group() as group:
            if entries:
                group.start_soon(keep, partial(self._store.add, run.id, *entries))
            group.start_soon(keep, partial(self._store.finish, run.id, status, verdict, failure))

    def _note_call(self, call: CallRecord) -> None:
        if run := self._runs.get(call.run):
            run.minutes.calls.append(call)
            run.pending.append(call)

    # ------------------------------------------------------------------------------------------------------ wiring

    def _settings(self, project: str | None) -> Settings:
        """The user's settings, narrowed by the project's own file."""
        return settings.narrow(self._user, Path(project)) if project else self._user

    async def _seats(self, current: Settings, local_only: bool = False) -> tuple[Seat, ...]:
        """All model seats that may sit, in the user's order: configured ones, else what was found."""
        await self._roster.found()
        models = self._roster.models
        specs = self._roster.seats
        seats = tuple(
            _seat(spec, models[spec.model]) for spec in specs if not current.only or spec.name in current.only
        )
        return tuple(
            seat
            for seat in seats
            if seat.provider not in current.privacy.deny
            and not self._lacks_key(models[seat.model])
            and (seat.local or not local_only)
        )

    def _lacks_key(self, spec: ModelSpec) -> bool:
        return bool(spec.key_env) and not self._keys.get(spec.key_env) and not spec.local

    def _free(self, seats: Sequence[Seat]) -> frozenset[str]:
        models = self._roster.models
        return frozenset(s.name for s in seats if s.local and not models[s.model].input_usd_per_mtok)

    async def _dossier(
        self, question: Question, current: Settings, seating: Seating, evidence: ProjectEvidence | None
    ) -> Dossier:
        models = self._roster.models
        specs = [models[seat.model] for seat in (*seating.openers, *seating.reserve)]
        windows = await anyio.to_thread.run_sync(lambda: [context_window(spec) for spec in specs])
        budget = min([current.limits.dossier_tokens, *(int(window * WINDOW_SHARE) for window in windows if window)])
        root = Path(question.project) if question.project else None
        return await collect(question, root, evidence, budget=budget, secrets=self._keys.secrets())

    def _evidence(self, question: Question) -> ProjectEvidence | None:
        return ProjectEvidence(Path(question.project), self._keys.secrets()) if question.project else None

    async def _require_consent(self, question: Question, seats: Sequence[Seat]) -> None:
        if question.project is None or not (missing := await self._missing_consent(question.project, seats)):
            return
        listed = ", ".join(f'"{name}"' for name in missing)
        raise ConsentNeeded(
            f"Code of {Path(question.project).name} would go to {', '.join(missing)}, and nobody has allowed that yet. Nothing was sent. "
            f"To allow it, ask the user to run `orchestra ask --allow {missing[0]} …` in that project, or to put "
            f"`allow = [{listed}]` under `[privacy]` in {settings.config_file(self._environ).name}.",
            missing,
        )

    async def _missing_consent(self, project: str, seats: Sequence[Seat]) -> tuple[str, ...]:
        if "*" in self._user.privacy.allow:
            return ()
        allowed = {*self._user.privacy.allow, *await self._store.allowed(project)}
        return tuple(dict.fromkeys(s.provider for s in seats if not s.local and s.provider not in allowed))

    def _keep(self, run: Run) -> None:
        self._runs[run.id] = run
        for id in [id for id, old in self._runs.items() if old.done][: max(0, len(self._runs) - KEPT_RUNS)]:
            del self._runs[id]

    def _model_status(
        self, current: Settings, seats: Sequence[Seat], project: str | None, allowed: frozenset[str]
    ) -> tuple[SeatStatus, ...]:
        models = self._roster.models
        seated = {seat.name: seat for seat in seats}
        rows = []
        for spec in self._roster.seats:
            model = models[spec.model]
            seat = seated.get(spec.name)
            provider = provider_of(model)
            if seat:
                consent = (
                    seat.local
                    or project is None
                    or provider in {*self._user.privacy.allow, *allowed}
                    or "*" in self._user.privacy.allow
                )
                why = (
                    "local: nothing leaves this machine"
                    if seat.local
                    else "key found"
                    if model.key_env
                    else "found on this machine"
                )
                why += "" if consent else f"; this project's code may go to {provider} once you allow it"
                rows.append(SeatStatus(name=spec.name, state="seated", provider=provider, model=model.model, why=why))
            elif provider in current.privacy.deny or (current.only and spec.name not in current.only):
                rows.append(
                    SeatStatus(
                        name=spec.name,
                        state="denied",
                        provider=provider,
                        model=model.model,
                        why="excluded by settings",
                    )
                )
            else:
                why = f"set {model.key_env} in the environment or in keys.env of the data directory"
                rows.append(SeatStatus(name=spec.name, state="missing", provider=provider, model=model.model, why=why))
        return tuple(rows)


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _unfailing(observer: Observer | None) -> Observer:
    """An observer whose faults cost nobody a seat: it is told no more after the first one."""
    watching = observer is not None

    def tell(event: Event) -> None:
        nonlocal watching
        if observer is None or not watching:
            return
        try:
            observer(event)
        except Exception:
            watching = False
            logger.exception("whoever watched consultation %s failed", event.run)

    return tell


def _names(seats: Iterable[Seat], models: Mapping[str, ModelSpec]) -> tuple[str, ...]:
    """By what an expert could sign its work."""
    return tuple(name for seat in seats for name in (seat.name, seat.model, models[seat.model].model))


def _from_memory(run: Run) -> Consultation:
    """What is known of a run that the store would not take."""
    minutes = run.minutes
    return Consultation(
        id=run.id,
        thread=run.question.continues or run.id,
        question=run.question,
        status=run.verdict.status if run.verdict else "failed" if run.done else "running",
        started=run.began,
        dossier=minutes.dossier,
        opinions=(*minutes.residents, *minutes.opinions),
        absences=tuple(minutes.absences),
        ballots=tuple(minutes.ballots),
        calls=tuple(minutes.calls),
        verdict=run.verdict,
        failure=str(run.error or ""),
    )


def _note_once(minutes: Minutes, note: str) -> None:
    if note not in minutes.notes:
        minutes.notes.append(note)


def _seat(spec: SeatSpec, model: ModelSpec) -> Seat:
    return Seat(
        name=spec.name,
        model=spec.model,
        family=model.family or family_of(model.model),
        provider=provider_of(model),
        brief=spec.brief,
        prior=spec.prior or model.prior or prior_of(model.model),
        local=model.local,
    )


def _resident_status() -> tuple[SeatStatus, ...]:
    return tuple(
        SeatStatus(name=resident.name, state="seated", provider="resident", why=resident.says)
        for resident in RESIDENTS.values()
    )
