"""The store: every consultation, opinion, ballot, verdict, call and consent, kept through `kill -9`.

`base.Store` says what a store can do; `sqlite` is the one that everybody has. The database driver is imported when a
store is opened, not before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orchestra_mcp.store.base import Store

__all__ = ["Store", "open_store"]


@asynccontextmanager
async def open_store(home: Path) -> AsyncIterator[Store]:
    """Open the store of a data directory, creating and migrating it as needed; needs an asyncio event loop.

    Args:
        home: the data directory (`settings.home`); made with mode 0700 when it does not exist.

    Raises:
        StoreError: the directory or the database cannot be used; the message says how to mend it.
    """
    from orchestra_mcp.store.sqlite import SqliteStore

    store = await SqliteStore.open(home)
    try:
        yield store
    finally:
        await store.close()
