"""The index of one project, for one consultation: opened, brought up to date once, and asked in worker threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from orchestra_mcp.context.index import indexing, retrieval
from orchestra_mcp.context.index.background import start_builder
from orchestra_mcp.context.index.indexing import Corpus
from orchestra_mcp.context.reading.signals import Signals
from orchestra_mcp.context.repository.git import Git
from orchestra_mcp.context.repository.history import LoggedCommit
from orchestra_mcp.errors import StoreError
from orchestra_mcp.identifiers import parts_of
from orchestra_mcp.store.index import MAX_SEGMENTS, Index, IndexDamaged, Stamp

T = TypeVar("T")
_WORD = re.compile(r"\w+")

PAST = 3000
"""Commits whose messages are compared with a question."""
RECENT = 200
"""New commits since the last question, up to which git is only asked for those."""


class ProjectIndex:
    """What is asked of the index of the project in `root`.

    Args:
        root: the project.
        home: the data directory below which indexes are kept; None keeps this one in memory.
    """

    def __init__(self, root: Path, home: Path | None) -> None:
        self._root = root
        self._home = home
        self._path: Path | None = None
        self._memory: Index | None = None
        self._wanted: tuple[Mapping[str, Stamp], Mapping[str, float]] | None = None
        """What `refresh` was given."""
        self._identity: tuple[int, int] | None = None
        self._found: tuple[Mapping[int, str], Mapping[int, int], Mapping[str, int]] = ({}, {}, {})
        """Paths, words and unread of the corpus, in the numbers of the index of that identity."""
        self._segments = 0
        self._lock = anyio.Lock()
        self.pending = 0
        """Files that could not be looked at closely yet; a process in the background is at work on them."""

    async def refresh(self, stamps: Mapping[str, Stamp], words: Mapping[str, float]) -> None:
        """Bring the index up to date, as far as that is quick; `words` say which files matter first."""
        self._wanted, self._identity = (stamps, words), None
        await self._ask(lambda _: None)
        if (self.pending or self._segments > MAX_SEGMENTS) and self._path is not None:
            await anyio.to_thread.run_sync(start_builder, self._root, self._path)

    async def rank(self, signals: Signals, clues: retrieval.Clues) -> retrieval.Ranking:
        """The files and places that a question is about."""
        return await self._ask(lambda corpus: retrieval.rank(signals, clues, corpus))

    async def defining(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Name (without scopes, any case) → the files that define it."""
        return await self._ask(partial(_defining, names))

    async def past(self, git: Git) -> list[tuple[str, list[str]]]:
        """Message and touched files of the last commits, newest first; asked of git only for what is new."""
        head = await git.resolve("HEAD")
        root = str(self._root)
        kept_head, log = await self._ask(lambda corpus: corpus.index.past(root))
        if head and head != kept_head:
            newer = _plain(await git.history(limit=RECENT))
            known = next((at for at, (_, commit, _) in enumerate(newer) if kept_head.startswith(commit)), None)
            log = [*newer[:known], *log][:PAST] if known is not None else _plain(await git.history(limit=PAST))
            await self._ask(lambda corpus: corpus.index.keep_past(root, head, log))
        return [(message, paths) for message, _, paths in log]

    async def _ask(self, question: Callable[[Corpus], T]) -> T:
        async with self._lock:
            return await anyio.to_thread.run_sync(self._answer, question)

    def _answer(self, question: Callable[[Corpus], T]) -> T:
        """What the index says; when it is damaged, what the next one says; when none can be used, one in memory."""
        damaged = False
        while True:
            index = self._open()
            try:
                self._bring_up_to_date(index)
                return question(Corpus(index, *self._found, self.pending))
            except StoreError as error:
                if index is self._memory:
                    raise
                if damaged or not isinstance(error, IndexDamaged):
                    self._home = self._path = None
                else:
                    damaged = True
                    index.abandon()
            finally:
                if index is not self._memory:
                    index.close()

    def _open(self) -> Index:
        if self._home is not None:
            self._path = self._path or indexing.place(self._home, self._root)
            try:
                return Index(self._path, indexing.VERSION)
            except StoreError:
                self._home = self._path = None
        if self._memory is None:
            self._memory = Index(None, indexing.VERSION)
        return self._memory

    def _bring_up_to_date(self, index: Index) -> None:
        """Once, and again when somebody found the index damaged meanwhile and began a new one."""
        if self._wanted is None or index.identity == self._identity:
            return
        stamps, words = self._wanted
        found = indexing.corpus(index, str(self._root), stamps, indexing.reader(self._root), words)
        self._found = (found.paths, found.words, found.unread)
        self._identity, self._segments, self.pending = index.identity, index.segments(), found.pending


def _plain(commits: Iterable[LoggedCommit]) -> list[tuple[str, str, list[str]]]:
    """Only words that the index would keep: no keys that somebody wrote into a message."""
    return [(_WORD.sub(_speakable, one.commit.subject), one.commit.id, list(one.paths)) for one in commits]


def _speakable(word: re.Match[str]) -> str:
    return word[0] if parts_of(word[0]) else ""


def _defining(names: Sequence[str], corpus: Corpus) -> dict[str, tuple[str, ...]]:
    keys = {name: f"d:{name.strip('_').lower()}" for name in names}
    found = corpus.postings(list(dict.fromkeys(keys.values())))
    paths = corpus.paths
    return {
        name: tuple(dict.fromkeys(paths[posting >> 24] for posting in found.get(key, ()))) for name, key in keys.items()
    }
