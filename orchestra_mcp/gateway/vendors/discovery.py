"""Who could sit at the table, when the settings name nobody: from keys, local servers and logged-in coding CLIs.

Nothing is asked of any model here. A local server is looked at for half a second; of a CLI only its presence on PATH
and the existence of its login file are checked.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway.dialects.failures import parse
from orchestra_mcp.gateway.vendors.agents import AGENTS, Agent
from orchestra_mcp.gateway.vendors.catalog import (
    DefaultSeat,
    ProviderRow,
    family_of,
    local_servers,
    prior_of,
    providers,
)
from orchestra_mcp.gateway.vendors.settling import settle
from orchestra_mcp.settings import Keys, ModelSpec, SeatSpec
from orchestra_mcp.types import Noun

if TYPE_CHECKING:
    from orchestra_mcp.gateway.transports.transport import Transport

PROBE_S = 0.5
MOST_SEATS = 5
MOST_OF_ONE_FAMILY = 3
"""When there is only one family to choose from."""
NO_CHAT = re.compile(r"embed|bge-|(^|[-/])e5-|gte-|rerank|minilm|whisper|tts|clip|colbert|ocr|guard|moderation", re.I)
MAX_LIST_BYTES = 1_000_000


class Found(Noun):
    """What discovery found."""

    models: dict[str, ModelSpec]
    """Every model that could be asked, by name; more than are seated."""
    seats: tuple[SeatSpec, ...]
    """Openers first: strong, and of different families."""
    missing: tuple[str, ...]
    """One line for each kind of expert that is not there, with what adds it."""


class _Candidate(Noun):
    name: str
    spec: ModelSpec
    order: int
    """Among equals the lower sits: a vendor itself before a reseller, a machine far away before this one."""

    @property
    def rank(self) -> tuple[float, int]:
        return (-(self.spec.prior or 0.0), self.order)


async def discover(
    keys: Keys,
    http: Transport,
    *,
    ports: Mapping[str, int] | None = None,
    home: Path | None = None,
    path: str | None = None,
) -> Found:
    """Look for experts.

    Args:
        keys: where keys are, and `HOME` and `PATH` unless they are given.
        http: the shared client; used for this machine only.
        ports: local servers by name, default: those of the provider table; every one is asked at once.
        home: where login files of coding CLIs are.
        path: where programs are.
    """
    home = home or Path(keys.get("HOME") or keys.get("USERPROFILE") or "/nonexistent")
    path = keys.get("PATH") if path is None else path
    ports = local_servers() if ports is None else ports
    candidates: list[_Candidate] = []
    missing: list[str] = []
    for row in (row for row in providers() if row.seats):
        found = _from_key(row, keys)
        candidates += found
        if not found:
            missing.append(_how_to_add(row, keys))
    for name, agent in AGENTS.items():
        lack = _lacks(name, agent, home, path)
        if lack:
            missing.append(lack)
        else:
            candidates.append(_agent(name, agent))
    for server, ids in (await _local_models(http, ports)).items():
        candidates += _from_server(ports[server], ids)
        if not ids:
            missing.append(f"{server}: nothing answers on port {ports[server]} of this machine; start it there.")
    named = _named(candidates)
    chosen = choose(named)
    return Found(
        models={c.name: c.spec for c in named},
        seats=tuple(SeatSpec(name=c.name, model=c.name) for c in chosen),
        missing=tuple(missing),
    )


def choose(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Who is seated: the best of each family, best first; with one family only, up to three of its models."""
    ranked = sorted(candidates, key=lambda c: c.rank)
    families: dict[str, list[_Candidate]] = {}
    for candidate in ranked:
        families.setdefault(candidate.spec.family, []).append(candidate)
    if len(families) == 1:
        return ranked[:MOST_OF_ONE_FAMILY]
    # Without anything better, small local models sit; beside strong ones they would only take time.
    return [members[0] for members in families.values()][:MOST_SEATS]


def _named(candidates: list[_Candidate]) -> list[_Candidate]:
    """The same, with names that differ: the best keeps the short one, others add who serves them."""
    taken: set[str] = set()
    result = []
    for candidate in sorted(candidates, key=lambda c: c.rank):
        name = candidate.name if candidate.name not in taken else f"{candidate.name}-{candidate.spec.provider}"
        number = 2
        while name in taken:
            name = f"{candidate.name}-{candidate.spec.provider}-{number}"
            number += 1
        taken.add(name)
        result.append(candidate.model_copy(update={"name": name}))
    return result


# ------------------------------------------------------------------------------------- keys


def _from_key(row: ProviderRow, keys: Keys) -> list[_Candidate]:
    if not any(keys.get(name) for name in row.key_env):
        return []
    try:
        return [_candidate(row, seat, keys) for seat in row.seats]
    except SettingsError:  # the key is not all that the row needs
        return []


def _candidate(row: ProviderRow, seat: DefaultSeat, keys: Keys) -> _Candidate:
    spec = ModelSpec(vendor=row.id, model=seat.model, family=family_of(seat.model), prior=prior_of(seat.model))
    return _Candidate(name=seat.name, spec=settle(spec, keys), order=2 if row.reseller else 0)


def _how_to_add(row: ProviderRow, keys: Keys) -> str:
    if row.needs_header and keys.get(row.key_env[0]):
        routes = " or ".join(row.optional_headers[name].removeprefix("$") for name in row.needs_header)
        return f"{row.title}: the key is there; set {routes} too, or add a [models.NAME] table with its headers."
    return f"{row.title}: set {row.key_env[0]}."


# ------------------------------------------------------------------------------------- coding CLIs


def _lacks(name: str, agent: Agent, home: Path, path: str) -> str:
    """What keeps a CLI from being seated; empty when nothing does."""
    if not path or shutil.which(name, path=path) is None:
        return f"{agent.title}: not installed (no `{name}` on PATH)."
    if not any(_holds(home / file, word) for file, word in agent.login):
        return f"{agent.title}: installed, but not logged in; run `{name}` once."
    return ""


def _holds(file: Path, word: str) -> bool:
    try:
        return file.is_file() and (not word or word in file.read_text("utf-8", "replace"))
    except OSError:
        return False


def _agent(name: str, agent: Agent) -> _Candidate:
    spec = ModelSpec(wire="agent", model=name, provider=agent.provider, family=agent.family, prior=agent.prior)
    return _Candidate(name=f"{name}-cli", spec=spec, order=1)


# ------------------------------------------------------------------------------------- local servers


async def _local_models(http: Transport, ports: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = dict.fromkeys(ports, ())

    async def look(server: str, port: int) -> None:
        with anyio.move_on_after(PROBE_S):
            found[server] = await _models_at(http, f"http://127.0.0.1:{port}/v1/models")

    async with anyio.create_task_group() as tasks:
        for server, port in ports.items():
            tasks.start_soon(look, server, port)
    return found


async def _models_at(http: Transport, url: str) -> tuple[str, ...]:
    """Ids of the chat models that a server lists; none when it is no model server."""
    from orchestra_mcp.gateway.transports.transport import TransportError, fetch

    try:
        status, data = await fetch(http, url, seconds=PROBE_S, most=MAX_LIST_BYTES)
    except TransportError:
        return ()
    if status != 200:
        return ()
    return models_in(parse(data.decode("utf-8", "replace")))


def models_in(body: Any) -> tuple[str, ...]:
    """Ids of the chat models in an OpenAI models list; none when `body` has another shape.

    Shape: https://platform.openai.com/docs/api-reference/models/list. Something else that listens on the port, such
    as a web application, must not be taken for a model server.
    """
    rows = body.get("data") if isinstance(body, dict) and body.get("object") == "list" else None
    if not isinstance(rows, list) or not all(isinstance(r, dict) and isinstance(r.get("id"), str) for r in rows):
        return ()
    if any(row.get("object", "model") != "model" for row in rows):
        return ()
    return tuple(row["id"] for row in rows if row["id"] and not NO_CHAT.search(row["id"]))


def _from_server(port: int, ids: tuple[str, ...]) -> list[_Candidate]:
    """The best two models of a server, of different families: it may have to load each from disk."""
    best: dict[str, str] = {}
    for model in sorted(ids, key=lambda i: (-prior_of(i), i)):
        best.setdefault(family_of(model), model)
    return [
        _Candidate(
            name=re.sub(r"[^\w.-]+", "-", model.rsplit("/", 1)[-1])[:50],
            spec=ModelSpec(
                base_url=f"http://127.0.0.1:{port}/v1",
                model=model,
                provider="local",
                family=family,
                # Run on a desk, a model is quantised and short of context: a little below what its name promises.
                prior=max(0.05, round(prior_of(model) - 0.04, 2)),
            ),
            order=3,
        )
        for family, model in list(best.items())[:2]
    ]
