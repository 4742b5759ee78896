"""The keys of vendors: saved in `keys.env`, replaced, removed and tried, and never shown to anybody again.

A value goes one way only: from whoever types it into the file and into this process. What is told of a key is its
variable's name, where it is kept and since when; what is told of a trial is whether the vendor took it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import anyio
import anyio.to_thread

from orchestra_mcp.app.keys.keyfile import FILE, checked, saved_keys, usable, vendor_rows, write_key
from orchestra_mcp.errors import BadReply, OrchestraError, Refused, UserError
from orchestra_mcp.gateway.provider import CallObserver, ChatRequest, Message, Provider, fold
from orchestra_mcp.gateway.roster import Roster
from orchestra_mcp.settings import Keys, ModelSpec, SeatSpec, Settings
from orchestra_mcp.types import Noun

TRY_S: Final = 30.0
"""A trial is given up after so many seconds."""
SMALLEST: Final = 16
"""Some vendors refuse to be asked for less than so many tokens."""


class KeyState(Noun):
    """What may be known of a key."""

    name: str
    """Of its variable."""
    kept: Literal["", "environment", "file"] = ""
    """Where the value that counts comes from; empty when there is none."""
    since: datetime | None = None
    """When it was saved in the file, where that was noted."""
    shadowed: bool = False
    """The file has a value too, which the environment's hides."""
    vendors: tuple[str, ...] = ()
    """Whose key it is, by the names that people use."""
    models: tuple[str, ...] = ()
    """Models of this process that use it."""


class Trial(Noun):
    """What became of one call of a model."""

    ok: bool
    model: str = ""
    """Vendor's id."""
    said: str
    """One sentence for people, never with the key."""
    seconds: float = 0.0
    cost_usd: Decimal = Decimal(0)


class LiveKeys(Keys):
    """`Keys` whose file may change while the process runs; what the environment says always wins."""

    def __init__(self, environ: Mapping[str, str], file: Path) -> None:
        super().__init__(environ, file)
        self._environ = Keys(environ)

    def in_environment(self, name: str) -> bool:
        """True when the environment has it."""
        return bool(self._environ.get(name))

    def put(self, name: str, value: str) -> None:
        """From now on this is its value; empty: it has none."""
        if self.in_environment(name):
            return
        if value:
            self._values[name] = value
        else:
            self._values.pop(name, None)


class Keyring:
    """The keys of one house.

    Args:
        user: the user's settings.
        keys: the keys of this process.
        roster: its models.
        on_call: told of every trial, so that it is in the records of what was spent.
    """

    def __init__(self, user: Settings, keys: LiveKeys, roster: Roster, on_call: CallObserver) -> None:
        self._user, self._keys, self._roster, self._on_call = user, keys, roster, on_call
        self._lock = anyio.Lock()
        self.file = user.home / FILE

    # ---------------------------------------------------------------------------------------------- what there is

    def has(self, name: str) -> bool:
        """True when a variable is set."""
        return bool(self._keys.get(name))

    async def states(self) -> tuple[KeyState, ...]:
        """Every key that a vendor or a model of the settings could use: those that are set first, then by name.

        Raises:
            SettingsError: the file cannot be read.
        """
        return await anyio.to_thread.run_sync(self._states)

    def _states(self) -> tuple[KeyState, ...]:
        saved = saved_keys(self.file)
        vendors: dict[str, list[str]] = {name: [] for model in self._models().values() for name in names_of(model)}
        for row in vendor_rows():
            for name in row.key_env:
                vendors.setdefault(name, []).append(row.title)
        for name in saved:
            vendors.setdefault(name, [])
        found = [self.state(name, saved, tuple(titles)) for name, titles in vendors.items()]
        return tuple(sorted(found, key=lambda state: (not state.kept, state.name)))

    def state(
        self, name: str, saved: Mapping[str, datetime | None] | None = None, vendors: Sequence[str] = ()
    ) -> KeyState:
        """What may be known of one key."""
        saved = saved_keys(self.file) if saved is None else saved
        here = self._keys.in_environment(name)
        return KeyState(
            name=name,
            kept="environment" if here else "file" if self._keys.get(name) else "",
            since=None if here else saved.get(name),
            shadowed=here and name in saved,
            vendors=tuple(vendors) or tuple(row.title for row in vendor_rows() if name in row.key_env),
            models=tuple(model for model, spec in self._models().items() if name in names_of(spec)),
        )

    def _models(self) -> Mapping[str, ModelSpec]:
        return self._roster.models or self._user.models

    # -------------------------------------------------------------------------------------------- what is changed

    async def save(self, name: str, value: str) -> KeyState:
        """Keep a key in the file, in place of the one that is there, and use it from now on as far as that can be.

        Raises:
            UserError: the name or the value cannot be one; the message never has the value.
            SettingsError: the file cannot be written.
        """
        checked(name)
        value = usable(value, name)
        return await self._change(name, value)

    async def remove(self, name: str) -> KeyState:
        """Take a key out of the file.

        Raises:
            UserError: there is none in the file.
            SettingsError: the file cannot be written.
        """
        if name not in await anyio.to_thread.run_sync(saved_keys, self.file):
            where = "; it comes from the environment of this process" if self._keys.in_environment(name) else ""
            raise UserError(f"{name[:100]} is not in {FILE}{where}.")
        return await self._change(name, "")

    async def _change(self, name: str, value: str) -> KeyState:
        async with self._lock:
            await anyio.to_thread.run_sync(write_key, self.file, name, value)
            before = self._keys.get(name)
            self._keys.put(name, value)
            if self._keys.get(name) != before:
                if self._roster.asked:
                    models = self._roster.provider.models
                    models.forget([stack.name for stack in models.built() if name in names_of(stack.spec)])
                await self._seat_again()
        return await anyio.to_thread.run_sync(self.state, name)

    async def _seat_again(self) -> None:
        """Where experts come from what is found: look again, so that a vendor sits as soon as its key is there.

        New models go by `vendor/model id`, a name that the gateway understands without having been told of it.
        """
        if self._user.models or not self._user.discover or not self._roster.asked:
            return
        from orchestra_mcp.gateway import open_http
        from orchestra_mcp.gateway.money.prices import price
        from orchestra_mcp.gateway.vendors.discovery import discover

        async with open_http() as http:
            found = await discover(self._keys, http)
        known = self._roster.models
        seats = []
        for seat in found.seats:
            spec = found.models[seat.model]
            name = next((each for each, other in known.items() if other == spec), "")
            if not name and spec.vendor:
                name = f"{spec.vendor}/{spec.model}"
                known[name] = spec
            if name:
                seats.append(SeatSpec(name=seat.name, model=name))
        self._roster.seats = tuple(seats)
        await anyio.to_thread.run_sync(lambda: [price(spec) for spec in known.values()])

    # ---------------------------------------------------------------------------------------------- what is tried

    async def test(self, name: str, model: str = "") -> Trial:
        """One call of one token with this key, whatever this process has asked with before.

        Args:
            name: the variable.
            model: the vendor's id of the model to ask; empty: one that is known to be there.

        Raises:
            UserError: no such key is set, or no model is known that it could be tried on.
        """
        checked(name)
        if not self._keys.get(name):
            raise UserError(f"{name} is not set, so there is nothing to try.")
        from orchestra_mcp.gateway import build, open_http
        from orchestra_mcp.gateway.money.metered import Ledger

        async with open_http(connect_s=self._user.gateway.connect_s) as http:
            spec = self._known(name, model) or await self._listed(name, model, http)
            if isinstance(spec, Trial):
                return spec
            alone = build(
                {spec.model: spec},
                self._keys,
                self._user.limits,
                ledger=Ledger(self._user.limits),
                on_call=self._on_call,
                http=http,
                settings=Settings(limits=self._user.limits, budgets=self._user.budgets, prices=self._user.prices),
                backing=self._roster.backing,
            )
            found = await try_model(alone, spec.model, "key")
        return found.model_copy(update={"said": self._without(name, found.said)})

    def _without(self, name: str, text: str) -> str:
        """The wire takes keys out of what vendors say; twice is better where a page shows it."""
        return text.replace(self._keys.get(name) or "\0", "…")

    def _known(self, name: str, model: str) -> ModelSpec | None:
        users = [spec for spec in self._models().values() if name in names_of(spec)]
        spec = next((spec for spec in users if spec.model == model), users[0] if users else None)
        if spec is None:
            return None
        own = {"key_env": name, "more_keys": ()} if name in (spec.key_env, *spec.more_keys) else {}
        return spec.model_copy(update={**own, "model": model or spec.model})

    async def _listed(self, name: str, model: str, http: object) -> ModelSpec | Trial:
        """A model of the vendor whose key that is: a seat of its row, else one that it lists."""
        from orchestra_mcp.gateway.vendors.discovery import NO_CHAT
        from orchestra_mcp.gateway.vendors.listing import list_models
        from orchestra_mcp.gateway.vendors.settling import settle

        row = max((row for row in vendor_rows() if name in row.key_env), key=lambda row: len(row.seats), default=None)
        if row is None:
            raise UserError(f"No vendor or model is known that {name} belongs to; name it in a [models.NAME] table.")
        quick = sorted(row.seats, key=lambda seat: seat.role != "quick")
        if model or quick:
            return settle(ModelSpec(vendor=row.id, model=model or quick[0].model, key_env=name), self._keys)
        spec = settle(ModelSpec(vendor=row.id, model="-", key_env=name), self._keys)
        try:
            listing = await list_models(spec, self._keys, http)  # type: ignore[arg-type]
        except OrchestraError as error:
            return Trial(ok=False, said=str(error))
        if listing.status in (401, 403):
            return Trial(ok=False, said=f"{row.title} does not accept this key ({listing.status}).")
        chats = [id for id in listing.ids if not NO_CHAT.search(id)]
        if not chats:
            raise UserError(f"{row.title} tells of no model; name the one to try.")
        return spec.model_copy(update={"model": chats[0]})


async def try_model(gateway: Provider, model: str, purpose: str = "probe") -> Trial:
    """Ask a model for one token, as a gateway would any other call: its records, budgets and breakers count it.

    Args:
        gateway: whom to ask.
        model: a name that it knows.
        purpose: how the records call it.
    """
    began = anyio.current_time()
    for tokens in (1, SMALLEST):
        request = ChatRequest(
            model=model,
            messages=(Message(role="user", text="Say: ok"),),
            max_tokens=tokens,
            purpose=purpose,
            as_is=True,
            deadline_s=TRY_S,
        )
        try:
            with anyio.fail_after(TRY_S):
                reply = await fold(gateway, request)
        except TimeoutError:
            return Trial(ok=False, model=model, said=f"No answer within {TRY_S:.0f} s.", seconds=TRY_S)
        except BadReply as error:
            if error.kind not in ("empty", "truncated"):
                return Trial(ok=False, model=model, said=str(error))
            cost = Decimal(0)  # it answered, with nothing: one token is not a word
        except OrchestraError as error:
            if isinstance(error, Refused) and error.kind == "request" and tokens == 1:
                continue
            return Trial(ok=False, model=model, said=str(error), seconds=anyio.current_time() - began)
        else:
            cost = reply.usage.cost_usd
        seconds = anyio.current_time() - began
        return Trial(ok=True, model=model, said="It answers.", seconds=seconds, cost_usd=cost)
    raise AssertionError("the second try returns")


def names_of(spec: ModelSpec) -> tuple[str, ...]:
    """The variables whose values a model is asked with."""
    in_headers = (value[1:] for value in spec.headers.values() if value.startswith("$"))
    return tuple(name for name in (spec.key_env, *spec.more_keys, *in_headers) if name)
