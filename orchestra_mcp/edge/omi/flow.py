"""From the packets of one connection to its sound, and silence for what is missing."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orchestra_mcp.edge.nouns import RATE, SAMPLE, Note, Reception, Sound
from orchestra_mcp.edge.omi.assembler import Assembler, Gap
from orchestra_mcp.edge.omi.protocol import Codec

if TYPE_CHECKING:
    from orchestra_mcp.edge.audio.codecs import Decoder

QUEUE_S: Final = 5.0
"""So much sound may wait to be decoded; then the oldest is given up, and counted as lost."""
BATCH_S: Final = 0.04
"""So much sound is gathered before anybody is woken: a quarter of the work for Dev Kit 2, half for the consumer Omi."""
AT_ONCE: Final = 32
"""Packets decoded before others get their turn: about 2 ms of work."""
LONGEST_SOUND: Final = RATE * SAMPLE
"""Bytes of one `Sound`: a second."""


def in_pieces(pcm: bytes, lost: bool = False) -> Iterable[Sound]:
    """Sound of any length, in pieces of at most a second."""
    for start in range(0, len(pcm), LONGEST_SOUND):
        yield Sound(pcm[start : start + LONGEST_SOUND], lost)


def silence(seconds: float, lost: bool) -> Iterable[Sound]:
    """Silence, in such pieces."""
    return in_pieces(bytes(round(seconds * RATE) * SAMPLE), lost)


class Flow:
    """The sound of one connection. `put` is the callback of the radio and only queues; `drain` does the work.

    Args:
        codec: of the device.
        decoder: for this codec; closed by `close`.
        stale_s: so many seconds after each subscription are old sound (Dev Kit 2).
        arrived: called by `put` when `BATCH_S` of sound wait, to wake who drains; who should look now and then all the same.
        clock: in seconds.
    """

    def __init__(
        self,
        codec: Codec,
        decoder: Decoder,
        stale_s: float,
        arrived: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last = clock()
        """When the latest packet came, or else the subscription began."""
        self.heard = False
        """Whether any packet came since the subscription began."""
        self._decoder = decoder
        self._assembler = Assembler(math.ceil(stale_s / codec.frame_s))
        self._queue: deque[bytes] = deque(maxlen=math.ceil(QUEUE_S / codec.frame_s))
        self._batch = max(1, round(BATCH_S / codec.frame_s))
        self._arrived = arrived
        self._clock = clock
        self._open = False
        self._told = replace(self._assembler.counts)

    def put(self, packet: bytes) -> None:
        """Take a packet; called by the radio for each, so it only queues."""
        if not self._open:
            return
        self._queue.append(packet)
        self.last = self._clock()
        self.heard = True
        if len(self._queue) >= self._batch:
            self._arrived()

    def begin(self) -> None:
        """A subscription begins; what is left of the one before is thrown away."""
        self._clear()
        self._open = True

    def end(self) -> None:
        """No more sound is wanted, not even what waits to be decoded."""
        self._clear()
        self._open = False

    def drain(self) -> list[Sound]:
        """Sound of the packets that wait, of at most `AT_ONCE` of them; nothing when none do."""
        pieces: list[bytes | Gap] = []
        for _ in range(min(AT_ONCE, len(self._queue))):
            pieces += self._assembler.feed(self._queue.popleft())
        return self._sound(pieces)

    @property
    def waiting(self) -> int:
        """Packets that wait to be decoded."""
        return len(self._queue)

    def finish(self) -> list[Sound]:
        """The connection ended: the frame that waited for its end."""
        return self._sound(self._assembler.flush())

    def close(self) -> None:
        """Give up the decoder."""
        self._open = False
        self._decoder.close()

    def reception(self) -> Reception:
        """How packets arrived since this was last asked."""
        now, before = self._assembler.counts, self._told
        self._told = replace(now)
        return Reception(now.received - before.received, now.lost - before.lost, now.late - before.late)

    def _clear(self) -> None:
        self._queue.clear()
        self._assembler.restart()
        self.last = self._clock()
        self.heard = False

    def _sound(self, pieces: list[bytes | Gap]) -> list[Sound]:
        """Decode; neighbours of a kind become one sound."""
        sounds: list[Sound] = []
        whole: list[bytes] = []
        for piece in pieces:
            if isinstance(piece, bytes):
                whole.append(self._decoder.decode(piece))
                continue
            sounds += in_pieces(b"".join(whole))
            whole = []
            sounds += in_pieces(self._decoder.lost(piece.frames), lost=True)
        sounds += in_pieces(b"".join(whole))
        return sounds


class Stillness:
    """Puts silence where sound stopped, so that whoever listens need not wait in the middle of a word for ever.

    It is told of when sound comes again, or when `most_s` have gone by, whichever is first; never more than that. Only gaps
    of the link are meant here; single packets that are lost are in the counter of packets, and `Flow` fills them.

    Args:
        note: takes the silence.
        most_s: longest silence for one gap, in seconds.
        least_s: a shorter pause of a link that holds is none: its packets may only be late, and come at once.
        clock: in seconds.
    """

    def __init__(
        self, note: Note, most_s: float = 6.0, least_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rests = False
        """Whether the device stops sending by itself when nobody speaks: then the silence is real and nothing is lost."""
        self._note = note
        self._most = most_s
        self._least = least_s
        self._clock = clock
        self._last: float | None = None
        self._broken = False

    def sound(self, last: float) -> None:
        """Sound came; `last` is when. To be called before it is passed on."""
        if self._last is not None and (self._broken or last - self._last >= self._least):
            self._fill(last - self._last)
        self._last, self._broken = last, False

    def look(self) -> None:
        """To be called now and then."""
        if self._last is not None and self._clock() - self._last >= self._most:
            self._fill(self._most)
            self._last = None

    def lose(self) -> None:
        """The link is lost."""
        self._broken = True

    def forget(self) -> None:
        """No sound is wanted: what is missing from here on is no gap."""
        self._last = None

    def _fill(self, seconds: float) -> None:
        for sound in silence(min(seconds, self._most), lost=self._broken or not self.rests):
            self._note(sound)
