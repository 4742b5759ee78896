"""The signals of a source that wait to be taken, in order; of sound only so much."""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio

from orchestra_mcp.edge.nouns import Signal, Sound, seconds

BATCH_S: Final = 0.04
"""Sound is taken in pieces of about so long."""
PIECE_S: Final = 0.2
"""And never of more than this."""
QUEUE_S: Final = 5.0
"""Sound that waits; more is dropped, the oldest first."""


class Signals:
    """A queue between a source and whoever listens."""

    def __init__(self) -> None:
        self._queue: deque[Signal] = deque()
        self._news = anyio.Event()
        self.waiting_s = 0.0
        """Sound in the queue, in seconds."""
        self.dropped_s = 0.0
        """Sound for which there was no room, in seconds."""
        self.ended = False
        """Nothing more will come."""

    def note(self, signal: Signal) -> None:
        """Take a signal of the source; never blocks."""
        if isinstance(signal, Sound):
            self.waiting_s += seconds(signal.pcm)
            while self.waiting_s > QUEUE_S and (oldest := self._oldest()) is not None:
                self.waiting_s -= seconds(oldest.pcm)
                self.dropped_s += seconds(oldest.pcm)
        self._queue.append(signal)
        self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._news.set()

    async def wait(self) -> None:
        """Wait until something is there, and a little for more."""
        await self._news.wait()
        self._news = anyio.Event()
        if not self.ended:
            await anyio.sleep(BATCH_S)

    def take(self) -> Signal | None:
        """The next signal; sounds of one kind that follow each other as one. None when there is none."""
        if not self._queue:
            return None
        first = self._queue.popleft()
        if not isinstance(first, Sound):
            return first
        pieces, length = [first.pcm], seconds(first.pcm)
        while self._queue and length < PIECE_S:
            following = self._queue[0]
            if not isinstance(following, Sound) or following.lost != first.lost:
                break
            self._queue.popleft()
            pieces.append(following.pcm)
            length += seconds(following.pcm)
        self.waiting_s -= length
        return Sound(b"".join(pieces), first.lost)

    def _oldest(self) -> Sound | None:
        for each in self._queue:
            if isinstance(each, Sound):
                self._queue.remove(each)
                return each
        return None
