"""A store for the time in which the real one cannot be used: a council must not wait for a disk.

It keeps everything as the real one does, but for this process only and in memory, so that a process that is killed leaves
no texts behind. What the user has allowed is taken over from the real one as far as that can be read, so that nobody is
asked twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store.database import Place
from orchestra_mcp.store.sqlite import SqliteStore

_LOG = logging.getLogger(__name__)
MEANWHILE: Final = (
    "Until then everything is kept only until this Orchestra ends. Earlier consultations are not seen, and neither is "
    "what other processes spend: budgets count this process alone."
)
# Read-only needs the index file of the journal, which cannot be made in a directory that cannot be written. Immutable
# needs nothing, and does not see what is only in the journal.
WAYS: Final = ("mode=ro", "mode=ro&immutable=1")


@asynccontextmanager
async def open_makeshift(home: Path, error: StoreError) -> AsyncIterator[SqliteStore]:
    """A store in place of that of a data directory; `error` says why that one cannot be used."""
    trouble = f"{error} {MEANWHILE}"
    _LOG.warning("%s", trouble)
    allowed = await anyio.to_thread.run_sync(consents_of, Place(home))
    store = await SqliteStore.open(None, trouble)
    try:
        for project, providers in allowed.items():
            await store.allow(project, providers)
        yield store
    finally:
        await store.close()


def consents_of(place: Place) -> dict[str, frozenset[str]]:
    """Which providers may see the code of which project, as far as it can be read without writing anything."""
    allowed: dict[str, frozenset[str]] = {}
    for way in WAYS:
        with suppress(sqlite3.Error, OSError):
            address = f"file:{quote(str(place.database.absolute()))}?{way}"
            with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as connection:
                for project, provider in connection.execute("SELECT project, provider FROM consents"):
                    allowed[project] = allowed.get(project, frozenset()) | {provider}
            return allowed
    return allowed
