"""Providers from other distributions: entry points of the group `orchestra.providers` (docs/providers.md).

An entry point names a `Plugin`, or a function without arguments that returns one. They are looked for when a name is
asked for that is not built in, once. What a plugin brings is put beside the built-in rows, dialects and signers, and
never in the place of one. A plugin that cannot be used is left out as a whole, and `load().problems` says why.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway.dialects import DIALECTS
from orchestra_mcp.gateway.dialects.dialect import Dialect
from orchestra_mcp.gateway.dialects.failures import quote
from orchestra_mcp.gateway.signing import SIGNERS, SignerMaker, signer
from orchestra_mcp.gateway.vendors.catalog import ProviderRow, by_id, parse_quirks, providers

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "orchestra.providers"
NAME = re.compile(r"[a-z][a-z0-9._-]{0,59}")
"""What a provider, a dialect and a signer may be called."""
AGENT = "agent"
"""The wire of coding CLIs, which is no dialect."""


@dataclass(frozen=True)
class Plugin:
    """What a distribution brings."""

    providers: tuple[ProviderRow, ...] = ()
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    """By the name that `wire` says."""
    signers: Mapping[str, SignerMaker] = field(default_factory=dict)
    """By the name that `auth` says."""


@dataclass(frozen=True)
class Problem:
    """A plugin that was left out."""

    name: str
    """Of the entry point."""
    error: str


@dataclass(frozen=True)
class Loaded:
    """What all plugins have brought."""

    providers: dict[str, ProviderRow]
    names: tuple[str, ...]
    """Entry points that are in use."""
    problems: tuple[Problem, ...]


_lock = threading.Lock()
_loaded: list[Loaded] = []


def load() -> Loaded:
    """Find the plugins and put what they bring into the registries; later calls give the same again.

    The first call reads the metadata of every installed distribution and imports the plugins, which may take some tens
    of milliseconds or more; a server makes it in a thread before it listens. Never raises.
    """
    with _lock:
        if not _loaded:
            _loaded.append(_load())
        return _loaded[0]


def row_of(id: str) -> ProviderRow | None:
    """The row of a provider, built in or of a plugin; None when there is none."""
    row = by_id().get(id)
    if row is None and NAME.fullmatch(id):
        row = load().providers.get(id)
    return row


def dialect_of(name: str) -> Dialect:
    """The dialect of that name, built in or of a plugin.

    Raises:
        SettingsError: there is none; the message names those that there are, and plugins that were left out.
    """
    if name not in DIALECTS:
        load()
    if name not in DIALECTS:
        known = ", ".join(sorted({*DIALECTS, AGENT}))
        raise SettingsError(f"wire = {name!r} is not known; known are: {known}.{_left_out()}")
    return DIALECTS[name]


def signer_of(name: str) -> SignerMaker:
    """The maker of that way to show a key, built in or of a plugin.

    Raises:
        SettingsError: there is none; the message names those that there are.
    """
    if name not in SIGNERS:
        load()
    return signer(name)


def _left_out() -> str:
    problems = load().problems
    return "".join(f" The plugin {p.name!r} was left out: {p.error}" for p in problems)


# ------------------------------------------------------------------------------------------------ finding them


def _load() -> Loaded:
    from importlib.metadata import entry_points

    rows: dict[str, ProviderRow] = {}
    names: list[str] = []
    problems: list[Problem] = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        try:
            plugin = _plugin(point)
            _check(plugin, rows)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the code of others, and the gateway goes on
            problems.append(Problem(point.name[:60], f"{type(error).__name__}: {quote(str(error))}"))
            continue
        rows |= {row.id: row for row in plugin.providers}
        DIALECTS.update(plugin.dialects)
        SIGNERS.update(plugin.signers)
        names.append(point.name)
    return Loaded(rows, tuple(names), tuple(problems))


def _plugin(point: EntryPoint) -> Plugin:
    value = point.load()
    plugin = value if isinstance(value, Plugin) or not callable(value) else value()
    if not isinstance(plugin, Plugin):
        raise SettingsError(f"it gives a {type(plugin).__name__} in place of a Plugin")
    return plugin


def _check(plugin: Plugin, others: Mapping[str, ProviderRow]) -> None:
    """Raises SettingsError for whatever would break later, or take the place of what is there."""
    for kind, mine, there in (
        ("dialect", plugin.dialects, {*DIALECTS, AGENT}),
        ("signer", plugin.signers, {*SIGNERS}),
        ("provider", {row.id: row for row in plugin.providers}, {*by_id(), *others}),
    ):
        for name in mine:
            if not NAME.fullmatch(name):
                raise SettingsError(f"{name!r} is no name of a {kind}")
            if name in there:
                raise SettingsError(f"there is already a {kind} called {name!r}")
    if not all(isinstance(dialect, Dialect) for dialect in plugin.dialects.values()):
        raise SettingsError("something in its dialects is no Dialect")
    if not all(callable(maker) for maker in plugin.signers.values()):
        raise SettingsError("something in its signers cannot be called")
    taken = {name: row for row in (*providers(), *others.values()) for name in row.key_env}
    for row in plugin.providers:
        _check_row(row, {*DIALECTS, *plugin.dialects}, {"", *SIGNERS, *plugin.signers})
        for name in row.key_env:
            if name in taken:
                raise SettingsError(f"{row.id}: {name} is the key of {taken[name].title}")


def _check_row(row: ProviderRow, dialects: set[str], signers: set[str]) -> None:
    for wire, base_url in {row.wire: row.base_url, **row.also}.items():
        if wire not in dialects:
            raise SettingsError(f"{row.id}: there is no dialect called {wire!r}")
        scheme = urlsplit(base_url).scheme
        if scheme != "https" and not (row.local and scheme == "http"):
            raise SettingsError(f"{row.id}: base_url must begin with https://")
    if not {row.auth, row.keyless_auth} <= signers:
        raise SettingsError(f"{row.id}: there is no signer called {row.auth or row.keyless_auth!r}")
    parse_quirks(row.quirks, row.id)
