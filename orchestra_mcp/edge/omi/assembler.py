"""Frames of sound from the packets that an Omi notifies. Pure; whatever bytes come, nothing is raised.

A packet is `u16le number | u8 index | payload`. The number counts packets, wraps at 65536 and goes on over connections; index 0
begins a frame, and a frame ends where the next one begins (firmware, `transport.c`). So a frame is told of one packet late.

Packets that overtake each other are put in order again while no more than `WINDOW` newer ones have come. Nothing waits
for that in the ordinary case, when every packet is the next one; only after a gap the packets behind it are held back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestra_mcp.edge.omi.protocol import HEADER, IDS

WINDOW: Final = 3
"""So many newer packets may come before a missing one is given up: 30 ms on Dev Kit 2, 60 ms on the consumer Omi."""
LONGEST_GAP: Final = 100
"""Packets. A longer jump of the counter is a new beginning: nobody knows how much sound it stands for."""
_FEW: Final = 8
"""Frames over which the number of packets of one frame is averaged."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that did not arrive."""

    frames: int


@dataclass(slots=True)
class Counts:
    """What came in, since the beginning."""

    received: int = 0
    """Packets that came and were of use, each once."""
    lost: int = 0
    """Packets that never came, or came after they had been given up; of a jump of the counter ahead, all in between."""
    late: int = 0
    """Packets that came twice, or after a newer one (in time to be of use or not)."""
    malformed: int = 0
    """Packets too short to be any."""
    resyncs: int = 0
    """Jumps of the counter over which no silence was put."""
    frames: int = 0
    """Frames that were told of."""
    stale: int = 0
    """Frames from before the subscription, thrown away."""


class Assembler:
    """Puts the frames of one device together. A frame of which a part is missing is lost whole.

    Args:
        stale: so many frames after each beginning are old sound and are thrown away (Dev Kit 2: `Kind.stale_s`).
    """

    def __init__(self, stale: int = 0) -> None:
        self.counts = Counts()
        self._old = stale
        self._stale = stale
        self._next: int | None = None  # number of the packet that is due, and of the newest seen + 1
        self._ahead = 0
        self._held: dict[int, bytes] = {}  # by how far they are ahead, counted on from `_next`
        self._parts: list[bytes] = []
        self._useless = 0  # packets since the last whole frame that will be in none: lost ones and rests of frames
        self._room = 0  # the longest payload seen
        self._split = False  # frames of several packets have been seen
        self._per_frame = 0.0  # packets of a frame, on average; 0: not known yet
        self._whole: list[bytes | Gap] = []

    def restart(self) -> None:
        """Begin anew, on a new subscription: half a frame is thrown away, and the counter may be anywhere."""
        self._next, self._ahead = None, 0
        self._held.clear()
        self._parts.clear()
        self._useless, self._room, self._split, self._per_frame = 0, 0, False, 0.0
        self._whole = []
        self._stale = self._old

    def feed(self, packet: bytes) -> list[bytes | Gap]:
        """Take a packet as it was notified; the frames that are whole now, and the gaps between them, in order."""
        if len(packet) <= HEADER:
            self.counts.malformed += 1
            return []
        number = packet[0] | packet[1] << 8
        if self._next is None:
            self._next = number
        if number == self._next and not self._held:  # the ordinary case
            self._take(packet)
        else:
            self._out_of_turn(number, packet)
        return self._told()

    def flush(self) -> list[bytes | Gap]:
        """What is left when nothing more will come for now: held packets, and the frame that no other has ended."""
        self._release(self._ahead)
        self._close(self._parts_are_whole())
        self._tell_gap()
        return self._told()

    def _told(self) -> list[bytes | Gap]:
        told, self._whole = self._whole, []
        return told

    def _out_of_turn(self, number: int, packet: bytes) -> None:
        """A packet that is not the next one, or comes while others are held."""
        assert self._next is not None
        ahead = (number - self._next) % IDS
        if ahead <= LONGEST_GAP:
            if ahead < self._ahead:
                self.counts.late += 1
            if ahead in self._held:
                return
            self._held[ahead] = packet
            self._ahead = max(self._ahead, ahead + 1)
            self._release(self._ahead - 1 - WINDOW)
        elif IDS - ahead <= LONGEST_GAP:
            self.counts.late += 1
        else:
            self._jump(number, ahead, packet)

    def _release(self, due: int) -> None:
        """Use held packets in order: the first `due` of the numbers ahead, missing or not, and those that follow at once."""
        assert self._next is not None or not self._held
        at = 0
        while at < due or at in self._held:
            packet = self._held.pop(at, None)
            if packet is None:
                self._miss(1)
            else:
                self._take(packet)
            at += 1
        if at and self._held:
            self._held = {ahead - at: packet for ahead, packet in self._held.items()}
        # `_take` and `_miss` have moved `_next` on by `at`.
        self._ahead = max(0, self._ahead - at)

    def _jump(self, number: int, ahead: int, packet: bytes) -> None:
        self._release(self._ahead)
        self._close(self._parts_are_whole())
        self._tell_gap()
        self.counts.resyncs += 1
        if ahead < IDS // 2:
            self.counts.lost += (number - (self._next or 0)) % IDS
        self._next = number
        self._take(packet)

    def _take(self, packet: bytes) -> None:
        """Use the packet that is due."""
        assert self._next is not None
        self._next = (self._next + 1) % IDS
        self.counts.received += 1
        index, payload = packet[2], packet[HEADER:]
        if index == 0:
            self._close(whole=True)
            self._parts = [payload]
        elif self._parts and index == len(self._parts):
            self._parts.append(payload)
            self._split = True
        else:  # the rest of a frame whose beginning is missing
            self._drop_parts()
            self._useless += 1
            self._split = True
        self._room = max(self._room, len(payload))

    def _miss(self, packets: int) -> None:
        """The packet that is due will not come."""
        assert self._next is not None
        self._next = (self._next + packets) % IDS
        self.counts.lost += packets
        if self._parts_are_whole():
            self._close(whole=True)
        else:
            self._drop_parts()
        self._useless += packets

    def _parts_are_whole(self) -> bool:
        """Whether a frame ended before a gap: its last packet was not full, or no frame takes more than one packet."""
        return bool(self._parts) and (not self._split or len(self._parts[-1]) < self._room)

    def _drop_parts(self) -> None:
        self._useless += len(self._parts)
        self._parts = []

    def _close(self, whole: bool) -> None:
        """End the frame at hand; what was lost before it is told of first."""
        if not whole:
            self._drop_parts()
        if not self._parts:
            return
        self._tell_gap()
        size = len(self._parts)
        self._per_frame = self._per_frame + (size - self._per_frame) / _FEW if self._per_frame else float(size)
        self._tell(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
        self._parts = []

    def _tell_gap(self) -> None:
        """Tell of packets that are in no frame: exactly as many frames where each is one packet, and else about so many."""
        if self._useless:
            self._tell(Gap(max(1, round(self._useless / max(1.0, self._per_frame)))))
            self._useless = 0

    def _tell(self, piece: bytes | Gap) -> None:
        if self._stale:
            frames = piece.frames if isinstance(piece, Gap) else 1
            old = min(frames, self._stale)
            self._stale -= old
            self.counts.stale += old
            if frames == old:
                return
            piece = Gap(frames - old)
        if isinstance(piece, bytes):
            self.counts.frames += 1
        self._whole.append(piece)
