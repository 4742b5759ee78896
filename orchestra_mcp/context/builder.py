"""The process that finishes the index of a project: `python -m orchestra_mcp.context.builder ROOT INDEX`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.index import indexing
from orchestra_mcp.errors import StoreError
from orchestra_mcp.store.index import Index, Stamp
from orchestra_mcp.store.locks import WriterLock

MAX_SECONDS = 900
FORGOTTEN_DAYS = 60
"""An index that nobody used for so long is deleted."""


async def build(root: Path, path: Path) -> bool:
    """Index what is not indexed yet; False when another process is doing it."""
    stamps = await ProjectEvidence(root).stamps()
    return await anyio.to_thread.run_sync(partial(_build, root, path, stamps))


def _build(root: Path, path: Path, stamps: Mapping[str, Stamp]) -> bool:
    lock = WriterLock(path.with_suffix(".lock"))
    try:
        with lock.held(0):
            _sweep(path.parent)
            index = Index(path, indexing.VERSION)
            try:
                until = time.monotonic() + MAX_SECONDS
                indexing.finish(index, str(root), stamps, indexing.reader(root), until)
            finally:
                index.close()
    except (TimeoutError, StoreError):
        return False
    finally:
        lock.close()
    return True


def _sweep(directory: Path) -> None:
    before = time.time() - FORGOTTEN_DAYS * 86_400
    for file in directory.glob("*.db*"):
        with suppress(OSError):
            if file.stat().st_mtime < before:
                file.unlink()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    anyio.run(build, Path(sys.argv[1]), Path(sys.argv[2]))
