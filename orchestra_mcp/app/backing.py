"""What the gateway is given from the rooms beside it: money that is shared, answers that are kept, vectors, and what was
learnt of the models before this process began."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.council.scales.records import TRUST, hits_of
from orchestra_mcp.errors import SettingsError, StoreError
from orchestra_mcp.gateway import Backing
from orchestra_mcp.gateway.embedding import Engine, choose
from orchestra_mcp.gateway.money.allowances import Allowances
from orchestra_mcp.gateway.provider import EmbedRequest
from orchestra_mcp.gateway.roster import Roster
from orchestra_mcp.settings import Settings
from orchestra_mcp.store.base import Store
from orchestra_mcp.store.replies import SqliteReplies
from orchestra_mcp.types import Label

PACES = "speed.json"
"""File of the data directory that keeps how quick the models were."""


@asynccontextmanager
async def open_backing(user: Settings, store: Store, roster: Roster) -> AsyncIterator[tuple[Backing, Engine | None]]:
    """Open what lasts longer than this process; on leaving, keep what was learnt.

    Returns:
        what the gateway is given, and what makes vectors of questions about code, which never leave this machine; None
        where nothing here can. To find that out loads nothing.

    Raises:
        SettingsError: what `[embedding]` names is not there.
    """
    allowances = Allowances(store.purses)
    replies = SqliteReplies(user.home)
    engine = _engine(user, roster) if _needs_vectors(user) else None
    private = _private_engine(user, roster, engine)
    paces = user.home / PACES
    try:
        backing = Backing(
            purse=allowances,
            replies=replies,
            engine=engine,
            here=user.embedding.engine != "provider",
            paces=await anyio.to_thread.run_sync(_read, paces),
            outcomes=tuple(outcomes(await _labels(store))),
            callers=roster.callers,
        )
        yield backing, private
    finally:
        allowances.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            if roster.asked:
                await anyio.to_thread.run_sync(_write, paces, json.dumps(roster.provider.stats.to_json()))
            for each in {id(one): one for one in (engine, private) if one is not None}.values():
                await each.aclose()
            await replies.aclose()


def outcomes(labels: Iterable[Label]) -> Iterator[tuple[str, str, float, float]]:
    """What became of each model's answers: (model id, use case, 1 for right, how much it counts), for every use case."""
    for label in labels:
        trust = TRUST.get(label.source, 1.0)
        for hit in hits_of(label):
            yield hit.model, label.mode, float(hit.right), trust
            if label.domain:  # a programming language
                yield hit.model, "code", float(hit.right), trust


def _needs_vectors(user: Settings) -> bool:
    return bool(user.intents) or any(route.cache == "similar" for route in user.routes.values())


def _engine(user: Settings, roster: Roster) -> Engine:
    async def ask(texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        found = await roster.provider.embed(EmbedRequest(model=user.embedding.model, texts=texts))
        return found.vectors

    return choose(user.embedding, user.home / "embedding", ask)


def _private_engine(user: Settings, roster: Roster, engine: Engine | None) -> Engine | None:
    """What makes vectors without telling anybody else: an engine of this machine, or a model that runs on it."""
    if user.embedding.engine == "provider":
        spec = user.models.get(user.embedding.model)
        if spec is None or not spec.local:
            return None
    if engine is not None:
        return engine
    try:
        return _engine(user, roster)
    except SettingsError:  # words have to do; who needs vectors for a route is told
        return None


async def _labels(store: Store) -> tuple[Label, ...]:
    try:
        return await store.labels()
    except StoreError:  # without them the priors count
        return ()


def _read(file: Path) -> object:
    with suppress(OSError, ValueError):
        return json.loads(file.read_text("utf-8"))
    return None


def _write(file: Path, text: str) -> None:
    with suppress(OSError):
        draft = file.with_suffix(".new")
        draft.write_text(text, "utf-8")
        draft.replace(file)
