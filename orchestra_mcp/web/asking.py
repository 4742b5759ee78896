"""Starts consultations for whoever is at the door, within what they may: models, projects, money, their own history."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from orchestra_mcp.app import Forgotten, Orchestra, Run
from orchestra_mcp.app.outcomes.followup import as_it_stands
from orchestra_mcp.errors import NotFound, RateLimited, Refused, UserError
from orchestra_mcp.gateway.provider import ASKING
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.settings.gateway import MOST_USD, plain
from orchestra_mcp.store.access import AccessStore
from orchestra_mcp.types import Consultation, Found, Question, Summary
from orchestra_mcp.web.access import Forbidden, Principal, permit
from orchestra_mcp.web.events import Hub
from orchestra_mcp.web.guard import DEPTH

COUNCIL = {"orchestra/council": "consult", "orchestra/debate": "debate"}
"""Models that are the council, and their strategies."""
REMEMBERED = 1000
QUESTION_CHARS = 400_000
"""Of a question, with what was said before it; experts read no more, and looking for evidence takes long enough."""
LISTED = 200
"""Consultations that are listed at most."""


class Asking:
    """The one way from the HTTP door to the council.

    Args:
        orchestra: holds the consultations.
        store: knows whose they are.
        hub: is told what happens in them.
        models: all models that a seat may use, by name.
    """

    def __init__(
        self,
        orchestra: Orchestra,
        store: AccessStore,
        hub: Hub,
        models: Callable[[], Mapping[str, ModelSpec]] = dict,
    ) -> None:
        self.orchestra, self.hub = orchestra, hub
        self._store, self._models = store, models
        self._mine: OrderedDict[str, Principal] = OrderedDict()
        """Who asked, by the ids of the newest runs."""
        self._starting: Counter[str] = Counter()
        """Consultations that are about to be started, by the asker's key."""

    async def start(self, principal: Principal, question: Question, project_dir: str = "") -> Run:
        """Start a consultation; its project is only what was given here, never what this process happens to lie in.

        Raises:
            Forbidden: the key may not ask the council, or not about this project.
            Refused: a council would ask itself.
            RateLimited: the key has as many running as it may.
            NotFound: what it continues is not theirs.
            UserError: as `Orchestra.start`.
        """
        if not principal.may("ask"):
            raise Forbidden("This key may read, but not ask.")
        permit(principal, next(name for name, strategy in COUNCIL.items() if strategy == question.strategy))
        self._against_recursion()
        with self._place(principal):
            return await self._start(principal, question, project_dir)

    async def _start(self, principal: Principal, question: Question, project_dir: str) -> Run:
        if len(question.text) > QUESTION_CHARS:
            raise UserError(f"The question has more than {QUESTION_CHARS:,} characters; shorten what it quotes.")
        project = self._project(principal, project_dir)
        if question.continues:
            question = question.model_copy(update={"continues": await self._continued(principal, question.continues)})
        most = [usd for usd in (question.max_cost_usd, principal.most_usd()) if usd is not None]
        # What clients write may have a hundred million digits; see `plain`.
        update = {"project": project, "max_cost_usd": plain(min(*most, MOST_USD)) if most else None}
        ASKING.set(principal.caller)  # the run takes it along into its own task
        run = await self.orchestra.start(question.model_copy(update=update), self.hub.note)
        try:
            self._mine[run.id] = principal
            if len(self._mine) > REMEMBERED:
                self._mine.popitem(last=False)
            await self._store.own(principal.scope, run.id, principal.caller.key)
        except BaseException:  # nobody would ever be shown it
            await run.cancel()
            raise
        return run

    async def _continued(self, principal: Principal, id: str) -> str:
        """The whole id of what is continued, whose project must be allowed still, since it is read again."""
        id = await self.own_id(principal, id)
        if not principal.is_owner:
            before = (await self.orchestra.consultation(id)).question.project
            if before and not self._allowed(principal, Path(before)):
                raise Forbidden("This key may not ask about that consultation's project any more.")
        return id

    def _against_recursion(self) -> None:
        if DEPTH.get() > 0:
            raise Refused("A council asked for this; a council is no expert of a council.")
        for name, spec in self._models().items():
            if spec.model in COUNCIL or spec.model.startswith("orchestra/"):
                raise Refused(
                    f"Model {name!r} of this server points at {spec.model!r}: the council would ask a council."
                )

    @contextmanager
    def _place(self, principal: Principal) -> Iterator[None]:
        """A place for one more consultation, held until it is among those that run.

        A key's limit of concurrent calls holds for its consultations too, which are many calls each. Nothing is waited
        for between the look and the taking, so that many requests at once find no more places than there are.

        Raises:
            RateLimited: the key has none left.
        """
        key, most = principal.caller.key, principal.key.terms.concurrent if principal.key else None
        if most is not None:
            runs = [self.orchestra.run(id) for id, who in self._mine.items() if who.caller.key == key]
            if self._starting[key] + sum(1 for run in runs if run and not run.done) >= most:
                raise RateLimited(f"This key may have {most} consultations at the same time; wait for one to end.", 10)
        self._starting[key] += 1
        try:
            yield
        finally:
            self._starting[key] -= 1
            if not self._starting[key]:
                del self._starting[key]

    def _project(self, principal: Principal, given: str) -> str | None:
        """The project's root; None without one.

        Raises:
            Forbidden: the key's workspace does not allow it.
            ProjectError: it is no project.
            UserError: it is no path.
        """
        if not given:
            return None
        try:
            if given[0] == "~" and given[1:2] not in ("", "/"):
                raise ValueError  # whose home there is, is nobody's business
            return self._found(principal, given)
        except (ValueError, RuntimeError, OSError):  # a NUL, a home of nobody, a name that no file can have
            raise UserError(f"{given[:60]!r} is no path of a directory.") from None

    def _found(self, principal: Principal, given: str) -> str | None:
        # Before anything else is looked at, so that nobody learns here which directories there are.
        if not principal.is_owner and not self._allowed(principal, Path(given)):
            raise Forbidden("This key may not ask about that project; the workspace's roots do not hold it.")
        found = self.orchestra.project(given)
        if found is not None and not principal.is_owner and not self._allowed(principal, found):
            raise Forbidden("This key may not ask about that project; its root lies outside of the workspace's roots.")
        return str(found) if found else None

    @staticmethod
    def _allowed(principal: Principal, given: Path) -> bool:
        roots = principal.workspace.roots if principal.workspace else ()
        real = given.expanduser().resolve()  # links lead where they lead
        return any(real.is_relative_to(root) for root in map(_root, roots) if root)

    # ------------------------------------------------------------------------------------------------ looking back

    async def own_id(self, principal: Principal, id: str) -> str:
        """The whole id of a consultation that the principal may see; `latest` is an id.

        Raises:
            NotFound: there is none, or it is another workspace's, which is told in the same words.
        """
        if principal.is_owner:
            run = self.orchestra.run(id)
            return run.id if run else (await self.orchestra.consultation(id)).id
        if id == "latest":
            newest = await self._store.owned(principal.scope, 1)
            if newest:
                return newest[0]
        elif await self._store.owns(principal.scope, id):
            return id
        raise NotFound(f"There is no consultation {id[:60]!r}.")

    async def get(self, principal: Principal, id: str, wait_s: float = 0) -> Consultation:
        """A consultation that the principal may see. Raises NotFound."""
        kept = await self.orchestra.consultation(await self.own_id(principal, id), wait_s)
        return await as_it_stands(kept, self.orchestra.consultation)

    async def history(
        self, principal: Principal, limit: int, project: str | None = None, before: str = ""
    ) -> tuple[Summary, ...]:
        """The newest consultations that the principal may see, newest first; `before`: those older than that one."""
        scope = principal.scope.workspace
        return await self.orchestra.history(limit, project, before=before, workspace=scope)

    async def search(
        self, principal: Principal, query: str, limit: int, offset: int = 0, project: str | None = None
    ) -> tuple[Found, ...]:
        """Consultations that the principal may see and that fit a query, best first; see `Orchestra.search`."""
        return await self.orchestra.search(query, project, limit, offset, principal.scope.workspace)

    async def forget(self, principal: Principal, id: str) -> Forgotten:
        """Remove a consultation for good.

        Raises:
            Forbidden: the key may not manage its workspace.
            NotFound: there is none that the principal may see.
            UserError: it still runs.
        """
        if not (principal.is_owner or principal.may("manage")):
            raise Forbidden("The role of this key may not remove consultations.")
        id = await self.own_id(principal, id)
        forgotten = await self.orchestra.forget([id])
        if forgotten.running:
            raise UserError(f"Consultation {id} still runs; cancel it first.")
        return forgotten

    async def spent(self, principal: Principal) -> Decimal:
        """What the consultations that the principal may see have cost, the newest ones."""
        return sum((summary.cost_usd for summary in await self.history(principal, LISTED)), Decimal(0))

    async def stands(self, principal: Principal) -> bool:
        """True while the principal's key is good; for whoever stays longer than a request."""
        return principal.is_owner or await self._store.stands(principal.caller.key)

    def may_watch(self, principal: Principal, run: str) -> bool:
        """True when events of a run of this process are for the principal; asked for every event, so from memory."""
        asker = self._mine.get(run)
        return principal.is_owner or (asker is not None and asker.scope == principal.scope)


def _root(given: str) -> Path | None:
    """Where a root of a workspace leads; None when it leads nowhere."""
    try:
        return Path(given).expanduser().resolve()
    except (ValueError, RuntimeError, OSError):
        return None
