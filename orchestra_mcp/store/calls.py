"""Records of calls that belong to no consultation, written a little later and many at a time.

A call never waits for its record. When the database cannot keep up, the oldest records that wait are kept and new ones
are dropped and counted: a gateway that forgets some history is better than one that runs out of memory. What was spent
is not lost with them: budgets are booked by `ledger`, not from these rows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

from orchestra_mcp.store import rows
from orchestra_mcp.store.ledger import Write, seen
from orchestra_mcp.types import CallRecord

WRITE_S: Final = 0.25
"""Records wait so long for company."""
RETRY_S: Final = 2.0
MAX_WAITING: Final = 10_000
MAX_BATCH: Final = 500
"""Records in one transaction, so that nobody else waits long for the writer."""

_VALUES: Final = ["(SELECT id FROM consultations WHERE id = ?)", *"?" * (len(rows.CALL_COLUMNS) - 1)]
INSERT: Final = f"INSERT INTO calls ({', '.join(rows.CALL_COLUMNS)}) VALUES ({', '.join(_VALUES)})"


class CallLog:
    """Keeps records of calls.

    Args:
        write: runs a unit as one transaction in the writer's thread.
    """

    def __init__(self, write: Write[None]) -> None:
        self._write = write
        self._waiting: list[CallRecord] = []
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.dropped = 0
        """Records that were not kept."""

    def note(self, call: CallRecord) -> None:
        """Keep a record; never waits and never fails. It may name a consultation, which need not be in the store."""
        if self._closed or len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(call)
        self._later(WRITE_S)

    async def flush(self) -> None:
        """Write everything that waits. Raises StoreError when it cannot be written."""
        while self._writing or self._waiting:
            if self._writing is None:
                self._start()
            if self._writing is not None:
                writing = self._writing
                await asyncio.wait({writing})
                if not writing.cancelled() and (failed := writing.exception()):
                    raise failed

    async def close(self) -> None:
        """Write everything that waits; what comes later is dropped."""
        try:
            await self.flush()
        finally:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _later(self, seconds: float) -> None:
        if self._timer is None and self._writing is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # told by the garbage collector, after the loop
                return
            self._timer = loop.call_later(seconds, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is None and self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            self._writing = asyncio.get_running_loop().create_task(self._run(batch))
            self._writing.add_done_callback(seen)

    async def _run(self, batch: list[CallRecord]) -> None:
        def unit(connection: sqlite3.Connection) -> None:
            connection.executemany(INSERT, [rows.call_row(call.run, call) for call in batch])

        wait = WRITE_S
        try:
            await self._write(unit)
        except Exception:
            room = max(0, MAX_WAITING - len(self._waiting))
            self._waiting[:0] = batch[:room]
            self.dropped += len(batch) - len(batch[:room])
            wait = RETRY_S
            raise
        finally:
            self._writing = None
            if self._waiting and not self._closed:
                self._later(0.0 if len(self._waiting) >= MAX_BATCH and wait == WRITE_S else wait)
