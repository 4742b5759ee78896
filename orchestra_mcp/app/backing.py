"""What the gateway is given from the rooms beside it: money that is shared, answers that are kept, vectors, and what was
learnt of the models before this process began."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.council.scales.records import hits_of
from orchestra_mcp.errors import StoreError
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
async def open_backing(user: Settings, store: Store, roster: Roster) -> AsyncIterator[Backing]:
    """Open what lasts longer than this process; on leaving, keep what was learnt.

    Raises:
        SettingsError: what `[embedding]` names is not there.
    """
    allowances = Allowances(store.purses)
    replies = SqliteReplies(user.home)
    engine = _engine(user, roster) if _needs_vectors(user) else None
    paces = user.home / PACES
    try:
        yield Backing(
            purse=allowances,
            replies=replies,
            engine=engine,
            here=user.embedding.engine != "provider",
            paces=await anyio.to_thread.run_sync(_read, paces),
            outcomes=tuple(outcomes(await _labels(store))),
            callers=roster.callers,
        )
    finally:
        allowances.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            if roster.asked:
                await anyio.to_thread.run_sync(_write, paces, json.dumps(roster.provider.stats.to_json()))
            if engine is not None:
                await engine.aclose()
            await replies.aclose()


def outcomes(labels: Iterable[Label]) -> Iterator[tuple[str, str, float]]:
    """What became of each model's answers: (model id, use case, 1 for right), for every use case that it tells about."""
    for label in labels:
        for hit in hits_of(label):
            yield hit.model, label.mode, float(hit.right)
            if label.domain:  # a programming language
                yield hit.model, "code", float(hit.right)


def _needs_vectors(user: Settings) -> bool:
    return bool(user.intents) or any(route.cache == "similar" for route in user.routes.values())


def _engine(user: Settings, roster: Roster) -> Engine:
    async def ask(texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        found = await roster.provider.embed(EmbedRequest(model=user.embedding.model, texts=texts))
        return found.vectors

    return choose(user.embedding, user.home / "embedding", ask)


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
