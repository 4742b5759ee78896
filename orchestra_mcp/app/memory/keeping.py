"""Past consultations as a whole: searched, exported, forgotten, and kept for as long as the user wants."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.app.memory.meaning import Meaning
from orchestra_mcp.context.index.indexing import place
from orchestra_mcp.errors import NotFound, OrchestraError, StoreError, UserError
from orchestra_mcp.settings import Settings
from orchestra_mcp.store.base import Store
from orchestra_mcp.store.wiping import wipe_index, wipe_indexes, wipe_replies
from orchestra_mcp.types import Consultation, Found

logger = logging.getLogger(__name__)

SETTLED_S = 3.0
"""How long after opening old consultations are looked at, in seconds: the first question goes first."""
DAY_S = 86_400.0
LOOK_S = 3_600.0
"""How often a process that stays looks again at what others left undone, and whether a day has passed."""
AFTER = timedelta(minutes=1)
"""So long after the end of a consultation a cached reply may still be one of it."""
LONGEST = timedelta(hours=1)
"""How long one is taken to have lasted whose process died before it could say."""
EVER = datetime.min.replace(tzinfo=UTC)
TURN = "retention"


@dataclass(frozen=True)
class Forgotten:
    """What was removed."""

    consultations: int = 0
    running: int = 0
    """Those that were left alone because they still run."""
    index: bool = False
    """A project's words, by which its code is found."""
    replies: bool = False
    """Cached answers of models, of that time and of all projects: it is not known which belong to one."""


class Keeping:
    """What is kept of the past.

    Args:
        store: keeps consultations.
        meaning: makes vectors of what is searched.
        user: the user's own settings.
    """

    def __init__(self, store: Store, meaning: Meaning, user: Settings) -> None:
        self._store, self._meaning, self._user = store, meaning, user

    async def search(
        self, query: str, project: str | None, limit: int, offset: int, workspace: str | None
    ) -> tuple[Found, ...]:
        """As `Orchestra.search`."""
        vector, tag = await self._meaning.of(query) if query.strip() else ((), "")
        return await self._store.memory.search(
            query, project, limit, offset=offset, workspace=workspace, vector=vector, embedder=tag
        )

    async def exported(
        self, project: str | None, since: datetime | None, before: datetime | None, ids: Sequence[str]
    ) -> AsyncGenerator[Consultation]:
        """As `Orchestra.exported`."""
        if self._store.makeshift:
            raise StoreError(self._store.makeshift)
        for id in await self._store.memory.chosen(project=project, before=before, ids=ids):
            try:
                found = await self._store.get(id)
            except NotFound:  # forgotten meanwhile
                continue
            if since is None or found.started >= since:
                yield found

    async def forget(
        self, ids: Sequence[str], project: str | None, before: datetime | None, everything: bool
    ) -> tuple[Forgotten, tuple[str, ...]]:
        """As `Orchestra.forget`; with the ids that are gone now."""
        if not (ids or before or project is not None or everything):
            raise UserError("Say what to forget: ids, a project, a date, or everything.")
        chosen = await self._store.memory.chosen(project=project, before=before, ids=ids)
        spans = await self._spans(chosen) if ids else [(EVER, before)] if before else None
        gone = await self._store.memory.forget(chosen)
        left = frozenset[str]()
        if gone < len(chosen):
            left = frozenset(await self._store.memory.chosen(project=project, before=before)).intersection(chosen)
        index = False
        if not ids and before is None:
            home = self._user.home
            if project is None:
                index = await anyio.to_thread.run_sync(wipe_indexes, home)
            elif project:
                index = await anyio.to_thread.run_sync(wipe_index, place(home, Path(project)))
        replies = await anyio.to_thread.run_sync(wipe_replies, self._user.home, spans)
        return Forgotten(gone, len(left), index, replies), tuple(id for id in chosen if id not in left)

    async def keep_up(self) -> None:
        """Make searchable what earlier versions keep, finish what killed processes began, and once a day forget what is too
        old; for ever.
        """
        await anyio.sleep(SETTLED_S)
        while True:
            await self._quietly(self._store.memory.fill)
            await self._quietly(self._store.look_after)
            await self._quietly(self.retire)
            await anyio.sleep(LOOK_S)

    async def retire(self) -> int:
        """Forget what is older than the user wants to keep it, if no process did so within a day; how many were forgotten."""
        days = self._user.memory.keep_days
        if days is None or not await self._store.alerts.turn(TURN, DAY_S):
            return 0
        before = datetime.now(UTC) - timedelta(days=days)
        old = await self._store.memory.chosen(before=before)
        gone = await self._store.memory.forget(old)
        if gone:
            logger.info("%d consultations from more than %d days ago were forgotten", gone, days)
        await anyio.to_thread.run_sync(wipe_replies, self._user.home, [(EVER, before)])
        return gone

    async def _spans(self, ids: Sequence[str]) -> list[tuple[datetime, datetime]] | None:
        """When the replies of consultations were made, if they were cached; None when that cannot be told of all."""
        spans = []
        for id in ids:
            try:
                kept = await self._store.get(id)
            except NotFound:  # forgotten meanwhile
                continue
            except StoreError:  # of a newer version, or damaged
                return None
            last = max((call.at for call in kept.calls), default=kept.started + LONGEST)
            spans.append((kept.started, (kept.ended or last) + AFTER))
        return spans

    @staticmethod
    async def _quietly(work: Callable[[], Awaitable[object]]) -> None:
        """Do what nobody waits for; trouble is logged."""
        try:
            await work()
        except OrchestraError as error:  # of the store, which is said where it matters
            logger.info("old consultations were not looked after: %s", error)
        except Exception as error:  # noqa: BLE001 - nobody waits for it, and it must not end the process
            logger.warning("old consultations were not looked after: %s", type(error).__name__)
