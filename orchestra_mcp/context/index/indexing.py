"""From the files of a work tree to a corpus: what is known is looked up, what changed is read, the rest is for later.

A query waits for no more than `seconds`. A tree that was indexed before needs milliseconds. Of one that was never seen,
all files are read and searched for the question's words at C speed; those that promise most are divided at once and the
others are left to a background process (`builder`). Blocking: use in a thread.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra_mcp.context.index.units import MAX_TEXT, FileUnits, countable, divide, path_words
from orchestra_mcp.paths import kind_of
from orchestra_mcp.store.index import MAX_SEGMENTS, Index, Indexed, Stamp, UnitRow

VERSION = 1
"""Raise it when what is kept of a file changes."""
SECONDS = 0.8
"""How long a query may read and divide files that the index does not know yet."""
AT_ONCE = 1_200_000
"""Bytes of changed files that are always divided at once: a fraction of a second."""
MAX_READ = 80_000_000
"""Bytes of changed files that are read for one query."""
SEARCHED = 24
"""Words of the question that are looked for in files that are not divided yet."""
_UNREAD = b"\0" * 20
"""In the place of the hash: only the file's path is indexed."""

Read = Callable[[str], bytes]


@dataclass
class Corpus:
    """The indexed files of one work tree, as `retrieval` sees them."""

    index: Index
    paths: Mapping[int, str]
    words: Mapping[int, int]
    unread: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    """Files that are not indexed yet."""

    def postings(self, words: Sequence[str]) -> dict[str, Sequence[int]]:
        """Postings of the files that the tree holds now."""
        found: dict[str, Sequence[int]] = {}
        for word, segments in self.index.postings(words).items():
            live = self._live(segments)
            if live:
                found[word] = live
        return found

    def units(self, files: Sequence[int]) -> Mapping[int, Sequence[UnitRow]]:
        """Name, kind, first and last line and words of the units of each file."""
        return self.index.units(files)

    def _live(self, segments: Iterable[array[int]]) -> list[int]:
        paths = self.paths
        return [posting for segment in segments for posting in segment if posting >> 24 in paths]


def reader(root: Path) -> Read:
    """Reads the files that a listing found regular and inside the root; of these only words are kept."""
    base = str(root)

    def read(path: str) -> bytes:
        try:
            with open(f"{base}/{path}", "rb") as file:  # noqa: PTH123  (thousands of files)
                return file.read(MAX_TEXT + 1)
        except OSError:
            return b""

    return read


def place(home: Path, root: Path) -> Path:
    """Where the index of a project lies."""
    return home / "index" / f"{hashlib.sha256(str(root).encode('utf-8', 'surrogatepass')).hexdigest()[:24]}.db"


def corpus(
    index: Index,
    root: str,
    stamps: Mapping[str, Stamp],
    read: Read,
    words: Mapping[str, float],
    seconds: float = SECONDS,
) -> Corpus:
    """The corpus of a work tree, brought up to date as far as time allows.

    Args:
        index: where it is kept.
        root: names the work tree within the index.
        stamps: its files.
        read: a file's content, empty when it cannot be read.
        words: of the question, with their weights: which files are looked at first.
        seconds: for reading and dividing what is not known; a few changed files are always read.
    """
    known = index.tree(root)
    changed = [path for path, stamp in stamps.items() if path not in known or known[path].stamp != stamp]
    gone = [path for path in known if path not in stamps]
    update = _Update(index, root, stamps, read, time.monotonic() + seconds)
    if changed or gone:
        update.run(changed, gone, words)
        known = index.tree(root)
    live = {path: k for path, k in known.items() if path in stamps and path not in update.pending}
    paths = {k.file: path for path, k in live.items()}
    return Corpus(index, paths, {k.file: k.words for k in live.values()}, update.unread, len(update.pending))


def finish(index: Index, root: str, stamps: Mapping[str, Stamp], read: Read, until: float) -> None:
    """Index all that is not indexed yet, in batches; stop at `until` (as `time.monotonic` counts)."""
    known = index.tree(root)
    gone = [path for path in known if path not in stamps]
    todo = [path for path, stamp in stamps.items() if path not in known or known[path].stamp != stamp]
    batch: list[str] = []
    size = 0
    for number, path in enumerate(todo):
        batch.append(path)
        size += stamps[path].size
        if size > 8_000_000 or len(batch) >= 2000 or number == len(todo) - 1:
            _Update(index, root, stamps, read, until).run(batch, gone, {})
            batch, size, gone = [], 0, []
            if time.monotonic() > until:
                return
    if index.segments() > MAX_SEGMENTS:
        index.merge()


class _Update:
    """One look at what changed."""

    def __init__(self, index: Index, root: str, stamps: Mapping[str, Stamp], read: Read, until: float) -> None:
        self._index, self._root, self._stamps, self._read, self._until = index, root, stamps, read, until
        self.pending: set[str] = set()
        self.unread: dict[str, int] = {}

    def run(self, changed: Sequence[str], gone: Sequence[str], words: Mapping[str, float]) -> None:
        """Read, look up, divide and note; what was not divided is in `pending` afterwards."""
        contents = self._contents(changed)
        keys = {path: (path, _blob(data) if data else _UNREAD) for path, data in contents.items()}
        found = self._index.find(keys.values())
        todo = [path for path in contents if keys[path] not in found]
        if sum(len(contents[path]) for path in todo) > AT_ONCE:
            todo = self._promising(todo, contents, words)
        added = list(self._divided(todo, contents, keys))
        found |= self._index.add(added) if added else {}
        seen = {path: (self._stamps[path], found[key][0]) for path, key in keys.items() if key in found}
        self.pending |= set(changed) - seen.keys()
        self._index.settle(self._root, seen, gone)

    def _contents(self, changed: Sequence[str]) -> dict[str, bytes]:
        """What the changed files hold; nothing for data, of which only the path counts."""
        contents: dict[str, bytes] = {}
        left = MAX_READ
        for path in changed:
            size = self._stamps[path].size
            if not countable(path, size):
                contents[path] = b""
                continue
            if left < size or (time.monotonic() > self._until and len(contents) > 50):
                continue
            contents[path] = self._read(path)
            left -= size
        return contents

    def _promising(self, todo: Sequence[str], contents: Mapping[str, bytes], words: Mapping[str, float]) -> list[str]:
        """The files in the order in which they promise most, by raw counts of the question's words."""
        wanted = [(word.encode(), weight) for word, weight in _first(words)]
        seen = dict.fromkeys((word for word, _ in wanted), 0)
        counts: dict[str, list[int]] = {}
        for path in todo:
            low = contents[path].lower()
            counts[path] = [low.count(word) for word, _ in wanted]
            for (word, _), count in zip(wanted, counts[path], strict=True):
                seen[word] += count > 0
        promise: dict[str, float] = {}
        for path, found in counts.items():
            share = (len(contents[path]) / 12_000 + 1) ** 0.5
            score = sum(
                w * min(n / share, 4.0) / (1 + seen[word]) ** 0.5 for (word, w), n in zip(wanted, found, strict=True)
            )
            score += sum(words[word] for word in path_words(path) if word in words) / 8
            promise[path] = score * (1.0 if kind_of(path) == "code" else 0.3)
        self.unread = {word.decode(): count for word, count in seen.items()}
        return sorted(todo, key=lambda path: -promise[path])

    def _divided(
        self, todo: Sequence[str], contents: Mapping[str, bytes], keys: Mapping[str, tuple[str, bytes]]
    ) -> Iterable[Indexed]:
        done = 0
        for path in todo:
            if time.monotonic() > self._until and done > AT_ONCE // 2:
                return
            done += len(contents[path])
            text = contents[path]
            yield _indexed(
                path,
                keys[path][1],
                divide(path, text.decode("utf-8-sig", "replace") if b"\0" not in text[:8000] else ""),
            )
        self.unread = {}


def _indexed(path: str, digest: bytes, of_file: FileUnits) -> Indexed:
    rows = [(unit.name, unit.kind, unit.start, unit.end, unit.words) for unit in of_file.units]
    return Indexed(path, digest, sum(unit.words for unit in of_file.units), rows, of_file.postings)


def _first(words: Mapping[str, float]) -> list[tuple[str, float]]:
    """The words that weigh most, longer ones first among equals."""
    return sorted(words.items(), key=lambda item: (-item[1], -len(item[0])))[:SEARCHED]


def _blob(data: bytes) -> bytes:
    """Git's name of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).digest()


def start_builder(root: Path, path: Path) -> None:
    """Let a process of its own finish the index; it ends by itself, and at once when another one is at work.

    It outlives this process, so that a one-shot command leaves an index for the next.
    """
    command = [sys.executable, "-m", "orchestra_mcp.context.builder", str(root), str(path)]
    apart: dict[str, Any] = {"start_new_session": True} if sys.platform != "win32" else {"creationflags": 0x00000208}
    with suppress(OSError):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=path.parent, **apart
        )  # fmt: skip
        threading.Thread(target=process.wait, name="orchestra-index", daemon=True).start()  # so that no zombie is left
