"""The store: every consultation, opinion, ballot, verdict, call and consent, kept through `kill -9`.

`base.Store` says what a store can do; `sqlite` is the one that everybody has. The database driver is imported when a
store is opened, not before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store.base import Store

__all__ = ["Store", "open_store"]


@asynccontextmanager
async def open_store(home: Path, *, strict: bool = False) -> AsyncIterator[Store]:
    """Open the store of a data directory, creating and migrating it as needed; needs an asyncio event loop.

    When it cannot be used, one is opened that keeps everything for this process only, and whose `trouble` says why.

    Args:
        home: the data directory (`settings.home`); made with mode 0700 when it does not exist.
        strict: for whoever has no use for another store than this one.

    Raises:
        StoreError: strictly: the directory or the database cannot be used; the message says how to mend it.
    """
    from orchestra_mcp.store.sqlite import SqliteStore

    trouble: StoreError | None = None
    store: Store | None = None
    try:
        store = await SqliteStore.open(home)
    except StoreError as error:
        if strict:
            raise
        trouble = error
    if trouble is not None:
        from orchestra_mcp.store.makeshift import open_makeshift

        async with open_makeshift(home, trouble) as makeshift:
            yield makeshift
    if store is None:
        return
    try:
        yield store
    finally:
        await store.close()
