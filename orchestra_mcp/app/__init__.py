"""Orchestra: the one place where parts are chosen and wired, and the one `ask` behind every door.

A door (MCP, command line, later HTTP and voice) builds a `Question` and calls `ask`, or `start` when it wants to follow
the run, show what there is so far and come back later. Everything that a consultation produces is in the store before
anybody is told of it. `table` says who may sit, `sitting` holds a consultation, `run` is what a door has in hand.
"""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from orchestra_mcp import __version__, settings
from orchestra_mcp.app.alerts.alarms import Alarms
from orchestra_mcp.app.alerts.rules import rules_of
from orchestra_mcp.app.backing import open_backing
from orchestra_mcp.app.convening import convene
from orchestra_mcp.app.keys.keyring import Keyring, LiveKeys
from orchestra_mcp.app.memory.keeping import Forgotten, Keeping
from orchestra_mcp.app.memory.meaning import Meaning
from orchestra_mcp.app.outcomes.experts import experts
from orchestra_mcp.app.outcomes.harvest import Harvest
from orchestra_mcp.app.run import CANCEL_S, Run
from orchestra_mcp.app.sitting import Case, Sitting, clean, midnight, unfailing
from orchestra_mcp.app.table import Table
from orchestra_mcp.app.tracing import Tracer, tracing
from orchestra_mcp.context.collector import clean_question
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.project import find_root
from orchestra_mcp.context.secrecy.redaction import Redactor
from orchestra_mcp.council.labels import label_of
from orchestra_mcp.council.minutes import Minutes
from orchestra_mcp.council.prompts import pick_mode
from orchestra_mcp.council.residents import RESIDENTS
from orchestra_mcp.errors import NotFound, StoreError, UserError
from orchestra_mcp.gateway.front import Callers, Gateway
from orchestra_mcp.gateway.posting import post
from orchestra_mcp.gateway.roster import Roster, open_roster
from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest
from orchestra_mcp.settings import Settings
from orchestra_mcp.store import open_store
from orchestra_mcp.store.base import Store
from orchestra_mcp.store.costs import CostRow, Dimension
from orchestra_mcp.types import (
    Alert,
    CallRecord,
    Consultation,
    CouncilStatus,
    Event,
    ExpertRecord,
    Found,
    Label,
    Latency,
    Observer,
    OutcomeName,
    Plan,
    Question,
    Summary,
    Turn,
    Verdict,
)

__all__ = ["Forgotten", "Orchestra", "Run"]

ID_ALPHABET = string.ascii_lowercase + string.digits
KEPT_RUNS = 50
KEPT_TURNS = 6
"""Earlier turns of a conversation that experts are shown."""
NO_PROJECT = (
    "No project was found, so no code was read: pass `project_dir` (on the command line `--project`) to include it."
)


class Orchestra:
    """All parts, wired. Use `async with Orchestra.open() as orchestra`."""

    def __init__(
        self,
        environ: Mapping[str, str],
        user: Settings,
        keys: LiveKeys,
        store: Store,
        roster: Roster,
        group: TaskGroup,
        meaning: Meaning,
    ) -> None:
        self._environ = environ
        self._user = user
        self._keys = keys
        self._store = store
        self._roster = roster
        self._group = group
        self._table = Table(user, keys, roster, store)
        self._harvest = Harvest(store)
        self._sitting = Sitting(store, roster, keys, meaning, user.home, self._harvest)
        self.keyring = Keyring(user, keys, roster, self._note_call)
        """Keys of vendors; for the owner only."""
        self.alarms = Alarms(store.alerts, rules_of(user), keys.get, post)
        """Rules of alerts, watched while this is open."""
        self.keeping = Keeping(store, meaning, user)
        self._runs: dict[str, Run] = {}
        self._tracer = Tracer(keys, self._sitting.roots)
        self.watching: Observer | None = None
        """Told of everything that happens in consultations that have no observer of their own."""

    @classmethod
    @asynccontextmanager
    async def open(cls, environ: Mapping[str, str] | None = None, *, serving: bool = False) -> AsyncIterator[Orchestra]:
        """Read the settings and open the store; runs still going at exit are cancelled and recorded as such.

        Args:
            environ: where keys and the documented paths are looked up; default: this process's environment.
            serving: many calls are to come, so that the faster transport is worth its start.

        Raises:
            SettingsError: the configuration is wrong.
            StoreError: not even a store for this process only can be opened.
        """
        environ = os.environ if environ is None else environ
        user = settings.load(environ)
        keys = LiveKeys(environ, user.home / "keys.env")
        failure: Exception | None = None
        async with (
            tracing(environ, user),
            open_store(user.home) as store,
            open_roster(user, keys, serving=serving) as roster,
            open_backing(user, store, roster) as (backing, embedder),
            anyio.create_task_group() as group,
        ):
            roster.backing = replace(backing, begin=group.start_soon)
            meaning = Meaning(store, embedder, group.start_soon)
            orchestra = cls(environ, user, keys, store, roster, group, meaning)
            roster.on_call = orchestra._note_call
            group.start_soon(orchestra.keeping.keep_up)
            group.start_soon(orchestra.alarms.run)
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
        observer = observer or self.watching
        if not question.text.strip():
            raise UserError("The question is empty. Say what you are stuck on, in a sentence or two.")
        thread, history = "", tuple[Turn, ...]()
        if question.continues:
            question, thread, history = await self._continued(question)
        current = self._table.settings(question.project)
        seats = await self._table.able(question, current)
        config = settings.config_file(self._environ)
        await self._table.require_consent(question, seats, config)
        redactor, evidence = self._eyes(question, current)
        # First, since the numbers in its placeholders are taken then.
        history = tuple([await _clean_turn(turn, evidence, redactor) for turn in history[-KEPT_TURNS:]])
        # What is kept and sent has no secrets in it; only the evidence is gathered from the original words.
        shown = await clean_question(question, evidence, redactor=redactor)
        id = "".join(secrets.choice(ID_ALPHABET) for _ in range(12))
        # Only who may see this question can be judge or chair: neither unnamed nor unallowed seats.
        seated = {seat.name: seat for seat in seats}
        minutes = Minutes(id, shown, mode=pick_mode(question), seats=seated)
        run = Run(id, shown, minutes, redactor)
        minutes.notes.extend([await clean(warning, evidence, redactor) for warning in current.warnings])
        minutes.notes.extend(filter(None, [redactor.redact(self._store.makeshift)]))
        minutes.notes.extend(() if question.project else (NO_PROJECT,))
        minutes.notes.extend((f"You asked aloud: {shown.text[:500]}",) if question.spoken else ())
        try:
            await self._store.begin(id, shown, thread or id)
        except StoreError as error:
            run.recorded = False
            minutes.notes.append(redactor.redact(f"This consultation is not being recorded: {error}"))
        self._keep(run)
        watching = unfailing(observer)

        def observe(event: Event) -> None:
            if event.kind != "closed":  # which is stored with the end, before it is told
                run.events.append(event)
            watching(event)

        case = Case(question, evidence, seats, current, history, observe, redactor)
        self._learn_from_commits(question.project, current)
        self._group.start_soon(self._sitting.sit, run, case)
        if run.recorded:
            self._group.start_soon(self._sitting.keep_seen, run)
        return run

    def personal(self, id: str) -> Callable[[str], str]:
        """Puts the personal data of a consultation of this process back into a text, for the person at this terminal only:
        never for a tool's result, a log, the store or a document. Secrets stay out.
        """
        run = self._runs.get(id)
        return run.redactor.restore if run else str

    def run(self, id: str) -> Run | None:
        """A run of this process by its id (`latest` too)."""
        return next(reversed(self._runs.values()), None) if id == "latest" else self._runs.get(id)

    async def plan(self, question: Question) -> Plan:
        """Collect the context and say who would be asked at what cost, without asking anybody."""
        current = self._table.settings(question.project)
        seats = await self._table.able(question, current)
        redactor, evidence = self._eyes(question, current)
        dossier = await self._sitting.dossier(question, current, seats, evidence, redactor)
        shown = await clean_question(question, evidence, redactor=redactor)
        past = await self._sitting.past(shown, dossier, current, seats, evidence, redactor)
        dossier = dossier.model_copy(update={"past": past})
        council = await convene(question, dossier, seats, self._roster.models, self._store)
        openers, pricing = council.seating.openers, council.pricing
        cost = sum((pricing.most(seat, "opinion") or Decimal(0) for seat in openers), Decimal(0))
        if openers:  # anyone at the table may be judge or chair: the dearest counts
            for purpose in ("review", "chair"):
                cost += max((pricing.most(seat, purpose) or Decimal(0) for seat in seats), default=Decimal(0))
        unpriced = [seat.name for seat in openers if pricing.most(seat, "opinion") is None]
        if question.project is None:
            dossier = dossier.model_copy(update={"notes": (*dossier.notes, NO_PROJECT)})
        return Plan(
            dossier=dossier,
            openers=openers,
            reserve=council.seating.reserve,
            why=council.why,
            estimated_cost_usd=cost,
            unpriced=tuple(dict.fromkeys(unpriced)),
            needs_consent=await self.needs_consent(question.project, question.experts),
        )

    # ------------------------------------------------------------------------------------------------- models alone

    async def gateway(self) -> Gateway:
        """The gateway below the council, for whoever wants an answer of one model or route.

        Raises:
            SettingsError: a model of the settings cannot be.
        """
        await self._roster.ready()
        return self._roster.provider

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        """The words of a recording. Raises as a chat."""
        await self._roster.ready()
        return await self._roster.transcribing.transcribe(request)

    async def may_see(self, project: str, model: str) -> bool:
        """True when a model may see names and code of a project; False for routes, which lead to one or another."""
        return await self._table.may_see(project, model)

    async def judge(self, offer: str, right: bool, workspace: str | None) -> bool:
        """Keep somebody's word on an answer that was offered for a similar question; False when there is no such offer."""
        replies = self._roster.backing.replies
        return replies is not None and await replies.judge(offer, right, workspace)

    async def costs(
        self, by: Dimension, since: datetime, until: datetime | None = None, purpose: str = ""
    ) -> tuple[CostRow, ...]:
        """What calls cost; see `Store.costs`."""
        return await self._store.costs(by, since, until, purpose)

    async def latency(self, by: Dimension, since: datetime, until: datetime | None = None) -> tuple[Latency, ...]:
        """How long calls took; see `Store.latency`."""
        return await self._store.latency(by, since, until)

    async def alerts(self, limit: int = 100) -> tuple[Alert, ...]:
        """The newest alerts, over or not, newest first."""
        return await self._store.alerts.newest(limit)

    def provider_of(self, seat: str) -> str:
        """Who is behind a seat: a provider, `resident`, or nothing where it is not known (any more)."""
        if seat in RESIDENTS:
            return "resident"
        model = next((spec.model for spec in self._roster.seats if spec.name == seat), seat)
        spec = self._roster.models.get(model)
        return spec.recipient if spec else ""

    @property
    def user_settings(self) -> Settings:
        """What the user's own file says, before any project's file has narrowed it."""
        return self._user

    @property
    def longest_s(self) -> float:
        """Longest time for one call, in seconds."""
        return self._user.gateway.total_s

    @property
    def aliases(self) -> Mapping[str, str]:
        """Names that clients may ask for, and what they stand for."""
        return self._user.gateway.aliases

    @property
    def callers(self) -> Callers:
        """Where a door says what its callers may spend and ask for."""
        return self._roster.callers

    # ------------------------------------------------------------------------------------------------- looking back

    async def consultation(self, id: str, wait_s: float = 0) -> Consultation:
        """A past or running consultation, of this or another process; waits up to `wait_s` for its end.

        Raises:
            NotFound: no such id; the message names the newest ones.
        """
        end = anyio.current_time() + wait_s
        run = await self._newest() if id == "latest" else self._runs.get(id)
        if run:
            await run.ended(end)
            if not run.recorded:
                return run.remembered()
        try:
            found = await self._store.get(run.id if run else id)
        except NotFound:
            self._require_past()
            raise
        while found.status == "running" and anyio.current_time() < end:
            await anyio.sleep(min(0.5, end - anyio.current_time()))
            found = await self._store.get(found.id)
        return found

    async def mark(
        self, id: str, solution: int, outcome: OutcomeName, source: Literal["user", "verify"] = "user"
    ) -> Label:
        """Remember what became of a solution (its rank, counted from 1); the last word on each solution counts.

        Returns:
            All that is now known of this consultation's solutions.

        Raises:
            NotFound: as `consultation`.
            UserError: it still runs, was not recorded, or has no such solution.
        """
        kept = await self.consultation(id)
        run = self._runs.get(kept.id)
        if run and not run.recorded:
            raise UserError(
                f"Consultation {kept.id} was not recorded, so its outcome cannot be kept either: `orchestra doctor` "
                "says what is wrong with the store."
            )
        return await self._store.mark(label_of(kept, ((solution, outcome),), source), outcome, solution)

    async def history(
        self, limit: int = 20, project: str | None = None, *, before: str = "", workspace: str | None = None
    ) -> tuple[Summary, ...]:
        """The newest consultations, newest first; see `Store.list`."""
        return await self._store.list(limit, project, before=before, workspace=workspace) or self._require_past()

    async def projects(self, limit: int = 50) -> tuple[str, ...]:
        """Roots that the owner asked about, the one asked about last first."""
        return await self._store.projects(limit)

    async def search(
        self, query: str, project: str | None = None, limit: int = 20, offset: int = 0, workspace: str | None = None
    ) -> tuple[Found, ...]:
        """Consultations of any status that fit a query by words (and by meaning, where an embedder is present), best first.

        Args:
            query: words as people type them; see `store.memories.Memories.search`.
            project: an absolute root; empty for those of none, None for all.
            limit: at most so many.
            offset: how many to skip.
            workspace: only what its keys asked; None for all.
        """
        return await self.keeping.search(query, project, limit, offset, workspace) or self._require_past()

    @property
    def trouble(self) -> str:
        """Why what is kept is not kept as it should be; empty when all is well."""
        return self._store.trouble

    def _require_past(self) -> tuple[()]:
        """Nothing, as long as that is because there is nothing.

        Raises:
            StoreError: what was kept earlier cannot be seen.
        """
        if self._store.makeshift:
            raise StoreError(self._store.makeshift)
        return ()

    async def told(self) -> Mapping[str, str]:
        """What became of the consultations that were marked last, in words, by their ids; see `Label.told`."""
        return {label.consultation: label.told for label in await self._store.labels()}

    def exported(
        self,
        *,
        project: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        ids: Sequence[str] = (),
    ) -> AsyncGenerator[Consultation]:
        """Whole consultations that fit all that is given, oldest first; `project` as in `search`. Raises NotFound for ids."""
        return self.keeping.exported(project, since, before, ids)

    async def chosen(
        self, ids: Sequence[str] = (), *, project: str | None = None, before: datetime | None = None
    ) -> tuple[str, ...]:
        """Ids of the consultations that `forget` would be about, oldest first. Raises NotFound."""
        self._require_past()
        return await self._store.memory.chosen(project=project, before=before, ids=ids)

    async def forget(
        self,
        ids: Sequence[str] = (),
        *,
        project: str | None = None,
        before: datetime | None = None,
        everything: bool = False,
    ) -> Forgotten:
        """Remove consultations that fit all that is given; those that run are left alone. Their costs stay, without a reason.

        With a project (as in `search`) or everything, and no ids or date, the words of its code and all cached replies
        go too. Of ids or a date the cached replies of that time go.

        Raises:
            NotFound: an id fits none, or several.
            UserError: nothing was given.
        """
        self._require_past()
        forgotten, gone = await self.keeping.forget(ids, project, before, everything)
        for id in gone:
            self._runs.pop(id, None)
        return forgotten

    async def experts(self, project: str | None = None) -> tuple[ExpertRecord, ...]:
        """The track record of every expert, after a look at what commits of the project say; see `app.experts`."""
        self._require_past()
        current = self._table.settings(project)
        if project and current.memory.learn_from_commits:
            await self._harvest.commits(project)
        return await experts(await self._table.seats(current), self._store)

    def _learn_from_commits(self, project: str | None, current: Settings) -> None:
        if project and current.memory.learn_from_commits:
            self._group.start_soon(self._harvest.commits, project)

    async def status(self, project: str | None = None) -> CouncilStatus:
        """Who is seated and why, what is missing and how to add it, what was spent."""
        current = self._table.settings(project)
        self._learn_from_commits(project, current)
        warnings = filter(None, (self._store.trouble, *current.warnings, *self._roster.warnings))
        return CouncilStatus(
            version=__version__,
            seats=await self._table.status(current, project),
            can_be_added=await self._roster.missing(),
            spent_today_usd=await self._store.spent_since(midnight()),
            daily_limit_usd=current.limits.daily_cost_usd,
            running=tuple(run.id for run in self._runs.values() if not run.done),
            config=str(self._user.source or settings.config_file(self._environ)),
            home=str(self._user.home),
            project=Path(project).name if project else "",
            alerts=await self._store.alerts.lasting(),
            warnings=tuple(map(Redactor(self._keys.secrets()).redact, warnings)),
        )

    async def needs_consent(self, project: str | None, experts: Sequence[str] = ()) -> tuple[str, ...]:
        """Providers of seated experts, or of those named, that may not see this project's code yet (never local ones)."""
        if project is None:
            return ()
        seats = await self._table.seats(self._table.settings(project))
        named = [seat for seat in seats if not experts or seat.name in experts]
        return await self._table.missing_consent(project, named)

    async def allow(self, project: str, providers: Sequence[str]) -> None:
        """Remember that the user lets these providers see this project's code."""
        await self._store.allow(project, frozenset(providers))

    async def _continued(self, question: Question) -> tuple[Question, str, tuple[Turn, ...]]:
        """The question within the project of its conversation, that conversation's id, and the turns it may show.

        What was said about one project stays in it, or consent for another would cover it too; what was asked for this
        machine only stays here.
        """
        earlier = await self._store.get(question.continues or "")
        before = earlier.question.project
        if before and question.project and before != question.project:
            raise UserError(
                f"Consultation {earlier.id} is about {Path(before).name}, not {Path(question.project).name}. "
                "Continue it from there, or ask without consultation_id."
            )
        turns = await self._store.thread(earlier.id)
        shown = tuple(turn for turn in turns if question.local_only or not turn.local_only)
        update = {"project": question.project or before, "continues": earlier.id}
        return question.model_copy(update=update), earlier.thread, shown

    def _eyes(self, question: Question, current: Settings) -> tuple[Redactor, ProjectEvidence | None]:
        """The one redactor of a consultation, and the project's eyes, which use it."""
        redactor = Redactor(self._keys.secrets(), personal=current.privacy.redact_personal)
        if question.project is None:
            return redactor, None
        return redactor, ProjectEvidence(Path(question.project), home=self._user.home, redactor=redactor)

    async def _newest(self) -> Run | None:
        """The run of this process that `latest` means; None when another process began one after it."""
        own = self.run("latest")
        if own is None or not own.recorded:
            return own
        try:
            newest = await self._store.get("latest")
        except NotFound:
            return own
        return self._runs.get(newest.id)

    def _note_call(self, call: CallRecord) -> None:
        run = self._runs.get(call.run)
        self._tracer.note(call, run.redactor if run else None)
        if run:
            run.minutes.calls.append(call)
            run.pending.append(call)
        else:
            self._store.note(call)

    def _keep(self, run: Run) -> None:
        self._runs[run.id] = run
        for id in [id for id, old in self._runs.items() if old.done][: max(0, len(self._runs) - KEPT_RUNS)]:
            del self._runs[id]


async def _clean_turn(turn: Turn, evidence: ProjectEvidence | None, redactor: Redactor) -> Turn:
    """An earlier turn as it may be shown now: it was kept with the secrets that were known then."""
    said = {name: await clean(getattr(turn, name), evidence, redactor) for name in ("question", "outcome")}
    return turn.model_copy(update=said)
