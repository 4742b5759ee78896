"""From the files of a work tree to a corpus: what is known is looked up, what changed is read, the rest is for later.

A query waits for no more than `seconds`. A tree that was indexed before needs milliseconds. Of one that was never seen,
all files are read and searched for the question's words at C speed; those that promise most are divided at once and the
others are left to a background process (`builder`). Blocking: use in a thread.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestra_mcp.context.index.units import MAX_TEXT, FileUnits, countable, divide, path_words
from orchestra_mcp.paths import kind_of
from orchestra_mcp.store.index import Index, Indexed, Known, Stamp, UnitRow

VERSION = 4
"""Raise it when what is kept of a file changes."""
SECONDS = 0.9
"""How long a query may read, search and divide files that the index does not know yet."""
READING, SEARCHING = 0.5, 0.8
"""Parts of that time after which no more is read, and no more is searched."""
AT_ONCE = 1_200_000
"""Bytes of changed files that are always divided at once: a fraction of a second."""
SOME = 50
"""Files that are read and searched however slow the machine is."""
AT_LEAST = 400_000
"""Bytes that are divided of a tree that was never seen, however slow the machine is."""
MAX_READ = 80_000_000
"""Bytes of changed files that are read for one query."""
SEARCHED = 24
"""Words of the question that are looked for in files that are not divided yet."""
BATCH, BATCH_FILES = 8_000_000, 2000
"""Bytes and files that the builder adds together."""
SKEW = 3_600_000_000_000
"""Nanoseconds by which the clock of a file system may go before ours; what is dated later is dated by hand."""
_UNREAD = b"\0" * 20
"""In the place of the hash: only the file's path is indexed."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

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
    """Reads the files that a listing found regular and inside the root; of these only words are kept.

    What took their place since then is not read when it is a link, and not waited for when it is a pipe.
    """
    base = str(root)

    def read(path: str) -> bytes:
        try:
            handle = os.open(f"{base}/{path}", _FLAGS)
        except (OSError, ValueError):
            return b""
        try:
            info = os.fstat(handle)
            return _whole(handle, info.st_size) if stat.S_ISREG(info.st_mode) and info.st_size <= MAX_TEXT else b""
        except OSError:
            return b""
        finally:
            os.close(handle)

    return read


def _whole(handle: int, size: int) -> bytes:
    parts = [os.read(handle, size + 1)]
    while parts[-1] and sum(map(len, parts)) <= MAX_TEXT:  # a disk may give less than was asked for
        parts.append(os.read(handle, MAX_TEXT))
    return b"".join(parts)[:MAX_TEXT]


def place(home: Path, root: Path) -> Path:
    """Where the index of a project lies: the same place for all work trees of one repository."""
    name = hashlib.sha256(os.fsencode(_repository(root))).hexdigest()[:24]
    return home / "index" / f"{name}-{VERSION}.db"


def _repository(root: Path) -> Path:
    """The directory that the work trees of a repository have in common; the root itself where there is none.

    What `.git` says is believed: contents are found by path and hash, so that nobody learns what is not his own.
    """
    mark = root / ".git"
    try:
        if mark.is_dir():
            return mark
        own = root / mark.read_text("utf-8").removeprefix("gitdir:").strip()
        return (own / (own / "commondir").read_text("utf-8").strip()).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return root


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
    changed, gone = _compared(known, stamps)
    update = _Update(index, root, stamps, read, words, seconds)
    if changed or gone:
        update.run(changed, gone)
        known = index.tree(root)
    pending = update.pending
    live = [(path, k) for path, k in known.items() if path in stamps and path not in pending]
    paths = {k.file: path for path, k in live}
    sizes = {k.file: k.words for _, k in live}
    return Corpus(index, paths, sizes, update.unread, len(pending))


def finish(index: Index, root: str, stamps: Mapping[str, Stamp], read: Read, until: float) -> bool:
    """Index all that is not indexed yet, in batches; False when `until` (as `time.monotonic` counts) came first."""
    todo, gone = _compared(index.tree(root), stamps)
    for batch in _batches(todo, stamps):
        _Update(index, root, stamps, read, {}, max(0.0, until - time.monotonic())).run(batch, gone)
        gone = []
        if time.monotonic() > until:
            return False
    if gone:
        index.settle(root, {}, gone)
    return True


def _compared(known: Mapping[str, Known], stamps: Mapping[str, Stamp]) -> tuple[list[str], list[str]]:
    """Paths that are new or changed, and those that are gone."""
    changed = [path for path, stamp in stamps.items() if (old := known.get(path)) is None or old.stamp != stamp]
    gone = [path for path in known if path not in stamps] if stamps else []  # a listing that failed says nothing
    return [path for path in changed if _storable(path)], gone


def _storable(path: str) -> bool:
    """False for a name that is not text (bytes that are no UTF-8)."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _batches(paths: Sequence[str], stamps: Mapping[str, Stamp]) -> Iterable[list[str]]:
    batch: list[str] = []
    size = 0
    for path in paths:
        batch.append(path)
        size += min(stamps[path].size, MAX_TEXT)
        if size > BATCH or len(batch) >= BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Update:
    """One look at what changed."""

    def __init__(
        self,
        index: Index,
        root: str,
        stamps: Mapping[str, Stamp],
        read: Read,
        words: Mapping[str, float],
        seconds: float,
    ) -> None:
        self._index, self._root, self._stamps, self._read, self._words = index, root, stamps, read, words
        self._start, self._seconds = time.monotonic(), seconds
        self.pending: set[str] = set()
        self.unread: dict[str, int] = {}

    def run(self, changed: Sequence[str], gone: Sequence[str]) -> None:
        """Read, look up, divide and note; what was not divided is in `pending` afterwards."""
        now = time.time_ns()
        contents = self._contents(self._first(changed))
        keys = {path: (path, _blob(data) if data else _UNREAD) for path, data in contents.items()}
        found = self._index.find(keys.values())
        todo = [path for path in contents if keys[path] not in found]
        few = sum(len(contents[path]) for path in todo) <= AT_ONCE
        if not few and self._words:
            todo = self._promising(todo, contents)
        added = list(self._divided(todo, contents, keys, AT_ONCE if few else AT_LEAST))
        found |= self._index.add(added) if added else {}
        seen = {p: (_settled(self._stamps[p], now), found[key][0]) for p, key in keys.items() if key in found}
        self.pending = set(changed) - seen.keys()
        if not self.pending:
            self.unread = {}
        if seen or gone:
            self._index.settle(self._root, seen, gone)

    def _late(self, share: float) -> bool:
        return time.monotonic() > self._start + share * self._seconds

    def _first(self, changed: Sequence[str]) -> Sequence[str]:
        """The files in the order in which they are read: those whose path holds a word of the question first.

        Every directory gets its turn among the others, since there may be time for few.
        """
        words = [word for word, _ in _weightiest(self._words) if len(word) > 2]
        if len(changed) < 500 or not words:
            return changed
        spoken = re.compile("|".join(map(re.escape, words)))
        called = [path for path in changed if spoken.search(path.lower())]
        held = set(called)
        others = [path for path in changed if path not in held]
        step = max(1, len(others) // 97)
        return called + [path for start in range(step) for path in others[start::step]]

    def _contents(self, changed: Sequence[str]) -> dict[str, bytes]:
        """What the changed files hold; nothing for data, of which only the path counts."""
        contents: dict[str, bytes] = {}
        left = MAX_READ
        for path in changed:
            size = self._stamps[path].size
            if not countable(path, size):
                contents[path] = b""
            elif left >= size and not (len(contents) > SOME and self._late(READING)):
                contents[path] = self._read(path)
                left -= size
        return contents

    def _promising(self, todo: Sequence[str], contents: Mapping[str, bytes]) -> list[str]:
        """The files in the order in which they promise most, by raw counts of the question's words.

        Those for which there was no time come last.
        """
        words = _weightiest(self._words)
        wanted = [word.encode() for word, _ in words]
        counts: dict[str, list[int]] = {}
        for path in todo:
            if len(counts) > SOME and self._late(SEARCHING):
                break
            low = contents[path].lower()
            counts[path] = [low.count(word) for word in wanted]
        having = [sum(map(bool, column)) for column in zip(*counts.values(), strict=True)] or [0] * len(words)
        weights = [weight / (1 + files) ** 0.5 for (_, weight), files in zip(words, having, strict=True)]
        promise = dict.fromkeys(todo, -1.0)
        for path, found in counts.items():
            most = 4.0 * (len(contents[path]) / 12_000 + 1) ** 0.5
            said = sum([w * (n if n < most else most) for w, n in zip(weights, found, strict=True) if n]) * 4 / most
            score = said + sum(self._words[word] for word in path_words(path) if word in self._words) / 8
            promise[path] = score * (1.0 if kind_of(path) == "code" else 0.3)
        share = len(todo) / (len(counts) or 1)
        self.unread = {word: int(files * share) for (word, _), files in zip(words, having, strict=True)}
        return sorted(todo, key=lambda path: -promise[path])

    def _divided(
        self, todo: Sequence[str], contents: Mapping[str, bytes], keys: Mapping[str, tuple[str, bytes]], least: int
    ) -> Iterable[Indexed]:
        done = 0
        for path in todo:
            if done > least and self._late(1.0):
                return
            data = contents[path]
            done += len(data)
            yield _indexed(path, keys[path][1], divide(path, _text(data)))


def _text(data: bytes) -> str:
    """Empty for a binary file."""
    return "" if b"\0" in data[:8000] else data.decode("utf-8-sig", "replace")


def _settled(stamp: Stamp, read_at: int) -> Stamp:
    """The stamp to be kept of a file that was read at this time (nanoseconds).

    A file that was written just before may be written again and get the same time stamp: it has to be read again the next
    time, as git does with what it calls racily clean. Clocks of file systems tick every ten milliseconds at the worst,
    where they keep more than seconds or milliseconds, and every two seconds else.
    """
    tick = 2_000_000_000 if stamp.modified % 1_000_000 == 0 else 20_000_000
    return stamp._replace(modified=-1) if -tick < stamp.modified - read_at < SKEW else stamp


def _indexed(path: str, digest: bytes, of_file: FileUnits) -> Indexed:
    rows = [(unit.name, unit.kind, unit.start, unit.end, unit.words) for unit in of_file.units]
    return Indexed(path, digest, sum(unit.words for unit in of_file.units), rows, of_file.codes)


def _weightiest(words: Mapping[str, float]) -> list[tuple[str, float]]:
    """The words that weigh most, longer ones first among equals."""
    return sorted(words.items(), key=lambda item: (-item[1], -len(item[0])))[:SEARCHED]


def _blob(data: bytes) -> bytes:
    """Git's name of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).digest()
