"""The process that finishes the index of a project; `index.background` starts it as `main` with ROOT and INDEX."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from orchestra_mcp.errors import StoreError
from orchestra_mcp.store.index import MAX_SEGMENTS, Index, IndexDamaged, generations
from orchestra_mcp.store.locks import WriterLock

MAX_SECONDS = 900
LONG_S = 5.0
"""After so long the project may have changed meanwhile: it is looked at again."""
FORGOTTEN_DAYS = 60
"""An index that nobody used for so long is deleted."""


def build(root: Path, path: Path) -> bool:
    """Index what is not indexed yet; False when another process is doing it, or the index cannot be used."""
    lock = WriterLock(path.with_suffix(".lock"))
    try:
        with lock.held(0):
            _sweep(path)
            until = time.monotonic() + MAX_SECONDS
            while time.monotonic() < until:
                started = time.monotonic()
                _look(root, path, until)
                if time.monotonic() - started < LONG_S:
                    break
    except (TimeoutError, StoreError, OSError):
        return False
    finally:
        lock.close()
    return True


def _look(root: Path, path: Path, until: float) -> None:
    """One look at the whole project."""
    import anyio  # only now: most builders that are started find another one at work

    from orchestra_mcp.context.evidence import ProjectEvidence
    from orchestra_mcp.context.index import indexing

    stamps = anyio.run(ProjectEvidence(root).stamps)
    index = Index(path, indexing.VERSION)
    try:
        indexing.finish(index, str(root), stamps, indexing.reader(root), until)
        for other in index.roots():
            if not os.path.isdir(other):  # noqa: PTH112  (a name that may be no path here)
                index.forget(other)
        while index.segments() > MAX_SEGMENTS and index.merge():
            pass
    except IndexDamaged:
        index.abandon()
        raise
    finally:
        index.close()


def _sweep(path: Path) -> None:
    """Delete old generations, and the indexes that nobody uses."""
    before = time.time() - FORGOTTEN_DAYS * 86_400
    ages: dict[str, float] = {}
    for file in path.parent.glob("*.db*"):
        with suppress(OSError):
            name = file.name.partition(".")[0]
            ages[name] = max(ages.get(name, 0.0), file.stat().st_mtime)
    old = [path.with_name(f"{name}.db") for name, used in ages.items() if used < before and name != path.stem]
    for index in (*old, *generations(path)):
        for ending in ("-shm", "-wal", ""):  # a journal must not outlive its file, or the next one would read it
            with suppress(OSError):
                index.with_name(index.name + ending).unlink()


def main() -> None:
    """Build the index that the arguments name, and get in nobody's way."""
    if hasattr(os, "nice"):
        os.nice(10)
    build(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
