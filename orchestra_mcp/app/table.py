"""Who may sit: seats from settings and discovery, which of them may see a project's code, and why one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestra_mcp import settings
from orchestra_mcp.council.residents import RESIDENTS
from orchestra_mcp.council.seating import able
from orchestra_mcp.errors import ConsentNeeded
from orchestra_mcp.gateway.roster import Roster
from orchestra_mcp.gateway.vendors.catalog import family_of, prior_of
from orchestra_mcp.settings import Keys, ModelSpec, SeatSpec, Settings
from orchestra_mcp.store.base import Store
from orchestra_mcp.types import Question, Seat, SeatStatus


class Table:
    """The seats of this process, for one project after the other."""

    def __init__(self, user: Settings, keys: Keys, roster: Roster, store: Store) -> None:
        self._user, self._keys, self._roster, self._store = user, keys, roster, store

    def settings(self, project: str | None) -> Settings:
        """The user's settings, narrowed by the project's own file."""
        return settings.narrow(self._user, Path(project)) if project else self._user

    async def seats(self, current: Settings, local_only: bool = False) -> tuple[Seat, ...]:
        """All model seats that may sit, in the user's order: configured ones, else what was found."""
        await self._roster.ready()
        models = self._roster.models
        specs = [spec for spec in self._roster.seats if not current.only or spec.name in current.only]
        return tuple(
            seat
            for seat in (_seat(spec, models[spec.model]) for spec in specs)
            if seat.provider not in current.privacy.deny
            and not self._lacks_key(models[seat.model])
            and (seat.local or not local_only)
        )

    async def able(self, question: Question, current: Settings) -> tuple[Seat, ...]:
        """Who may be asked this question: those whom it names, else all that may sit.

        Raises:
            NotFound: an expert was named who is not seated.
        """
        return able(await self.seats(current, question.local_only), question, frozenset(RESIDENTS))

    async def missing_consent(self, project: str, seats: Sequence[Seat]) -> tuple[str, ...]:
        """Providers of these seats that may not see the project's code yet; never local ones."""
        allowed = await self._allowed(project)
        if "*" in allowed:
            return ()
        return tuple(dict.fromkeys(s.provider for s in seats if not s.local and s.provider not in allowed))

    async def may_see(self, project: str, model: str) -> bool:
        """True when a model of the settings may see the project's code: it is on this machine, or its provider is allowed."""
        await self._roster.ready()
        spec = self._roster.models.get(model)
        return spec is not None and (spec.local or bool({spec.recipient, "*"} & await self._allowed(project)))

    async def require_consent(self, question: Question, seats: Sequence[Seat], config: Path) -> None:
        """Refuse a question whose project's code somebody would see who may not.

        Raises:
            ConsentNeeded: with the line of `config` that allows it.
        """
        if question.project is None or not (missing := await self.missing_consent(question.project, seats)):
            return
        listed = ", ".join(f'"{name}"' for name in missing)
        raise ConsentNeeded(
            f"Code of {Path(question.project).name} would go to {', '.join(missing)}, and nobody has allowed that yet. "
            f"Nothing was sent. To allow it, ask the user to run `orchestra ask --allow {missing[0]} …` in that project, "
            f"or to put `allow = [{listed}]` under `[privacy]` in {config.name}.",
            missing,
        )

    async def status(self, current: Settings, project: str | None) -> tuple[SeatStatus, ...]:
        """Every model seat and every resident: seated, or why not and how to mend that."""
        seated = {seat.name: seat for seat in await self.seats(current)}
        allowed = await self._allowed(project) if project else frozenset("*")
        rows = [
            _row(spec, self._roster.models[spec.model], seated.get(spec.name), current, allowed)
            for spec in self._roster.seats
        ]
        residents = (
            SeatStatus(name=r.name, state="seated", provider="resident", why=r.says) for r in RESIDENTS.values()
        )
        return (*rows, *residents)

    async def _allowed(self, project: str) -> frozenset[str]:
        return frozenset(self._user.privacy.allow) | await self._store.allowed(project)

    def _lacks_key(self, spec: ModelSpec) -> bool:
        return bool(spec.key_env) and not self._keys.get(spec.key_env) and not spec.local


def _seat(spec: SeatSpec, model: ModelSpec) -> Seat:
    return Seat(
        name=spec.name,
        model=spec.model,
        model_id=model.model,
        family=model.family or family_of(model.model),
        provider=model.recipient,
        brief=spec.brief,
        prior=spec.prior or model.prior or prior_of(model.model),
        local=model.local,
    )


def _row(spec: SeatSpec, model: ModelSpec, seat: Seat | None, current: Settings, allowed: frozenset[str]) -> SeatStatus:
    provider = model.recipient
    if seat is None and (provider in current.privacy.deny or (current.only and spec.name not in current.only)):
        state, why = "denied", "excluded by settings"
    elif seat is None:
        state, why = "missing", f"set {model.key_env} in the environment or in keys.env of the data directory"
    elif seat.local:
        state, why = "seated", "local: nothing leaves this machine"
    else:
        state, why = "seated", "key found" if model.key_env else "found on this machine"
        if not {provider, "*"} & allowed:
            why += f"; this project's code may go to {provider} once you allow it"
    return SeatStatus.model_validate(
        {"name": spec.name, "state": state, "provider": provider, "model": model.model, "why": why}
    )
