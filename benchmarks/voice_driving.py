"""Sends clips through the product's own parts, as they arrive from a device: packets, frames, codec, ear.

Time is that of the sound: packet n (of 10 or 20 ms) arrives when its sound has been spoken. What the parts need for it is measured
(processor time of this thread, so that other work on the machine does not count) and queued: work on a packet begins when it has
arrived and that on the ones before is done. What the radio adds is not in it: Bluetooth delivers in connection intervals of 7.5
to 50 ms, and now and then repeats.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from orchestra_mcp.edge.audio.codecs import open_decoder
from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.nouns import RATE, Nothing, Pause, Sound, Utterance, Woken
from orchestra_mcp.edge.omi.flow import Flow
from orchestra_mcp.edge.omi.protocol import CODECS, IDS, Codec
from orchestra_mcp.edge.wake.spotter import Spotter

ROOM = 244
"""Bytes of a notification behind its three of header, as computers agree on with the device."""
EARLY_S, LATE_S = 0.25, 4.0
"""A wake counts as that of the phrase from so long before its end until so long after it."""


@dataclass(slots=True)
class Run:
    """What the parts made of a clip."""

    woken: list[float] = field(default_factory=list)
    """When feedback could be given, in seconds of the clip, the queue of work included."""
    woken_in_sound: list[float] = field(default_factory=list)
    """When the sound of it had arrived."""
    scores: list[float] = field(default_factory=list)
    said: list[tuple[float, Pause | Utterance | Nothing]] = field(default_factory=list)
    """When, and what was taken down."""
    processor_s: float = 0.0
    sound_s: float = 0.0
    received: int = 0
    lost: int = 0
    late: int = 0

    def found(self, end_s: float) -> bool:
        """Whether it woke by the phrase that ends there."""
        return self.delay(end_s) is not None

    def delay(self, end_s: float) -> float | None:
        """From the end of the phrase to feedback."""
        return next((now - end_s for now in self.woken if end_s - EARLY_S <= now <= end_s + LATE_S), None)

    def stray(self, end_s: float | None) -> int:
        """How often it woke by anything else."""
        return sum(end_s is None or not end_s - EARLY_S <= now <= end_s + LATE_S for now in self.woken)


def codec_of(frame: int) -> Codec:
    """Dev Kit 2 sends frames of 160 samples, the consumer Omi of 320."""
    return CODECS[20 if frame == 160 else 21]


def notified(packets: Iterable[bytes], first: int = 0) -> Iterator[bytes]:
    """Frames as the firmware notifies them: a counter of packets, the index in the frame, the payload."""
    number = first
    for packet in packets:
        for index, at in enumerate(range(0, len(packet), ROOM)):
            yield struct.pack("<HB", number % IDS, index) + packet[at : at + ROOM]
            number += 1


class Listener:
    """The parts, with one spotter for all clips and a new ear for each."""

    def __init__(self, phrase: str = "hey orchestra", sensitivity: float = 0.5) -> None:
        began = time.perf_counter()
        self.spotter = Spotter(phrase, sensitivity=sensitivity)
        self.building_s = time.perf_counter() - began

    def hear(self, packets: Sequence[bytes], frame: int, dropped: frozenset[int] = frozenset(), first: int = 0) -> Run:
        """A clip from the device; packets whose place is in `dropped` never come."""
        codec = codec_of(frame)
        ear, run = Ear(self.spotter), Run(sound_s=len(packets) * frame / RATE)
        flow = Flow(codec, open_decoder(codec), 0.0, lambda: None)
        flow.begin()
        free = 0.0
        for place, packet in enumerate(notified(packets, first)):
            if place in dropped:
                continue
            arrived = (place + 1) * codec.frame_s
            began = time.thread_time()
            flow.put(packet)
            free = self._feed(ear, flow.drain(), began, arrived, free, run)
        self._feed(ear, flow.finish(), time.thread_time(), run.sound_s, free, run)
        seen = flow.reception()
        run.received, run.lost, run.late = seen.received, seen.lost, seen.late
        flow.close()
        return run

    def hear_sound(self, pcm: bytes, chunk_s: float = 0.02) -> Run:
        """Sound from a microphone or a file, without codec."""
        ear, run = Ear(self.spotter), Run(sound_s=len(pcm) / 2 / RATE)
        size, free = round(chunk_s * RATE) * 2, 0.0
        for at in range(0, len(pcm), size):
            piece = [Sound(pcm[at : at + size])]
            free = self._feed(ear, piece, time.thread_time(), (at + size) / 2 / RATE, free, run)
        return run

    def _feed(self, ear: Ear, sounds: list[Sound], began: float, arrived: float, free: float, run: Run) -> float:
        perceived = [one for sound in sounds for one in ear.feed(sound)]
        cost = time.thread_time() - began
        run.processor_s += cost
        free = max(arrived, free) + cost
        for one in perceived:
            if isinstance(one, Woken):
                run.woken.append(free)
                run.woken_in_sound.append(arrived)
                run.scores.append(one.score)
            elif isinstance(one, Pause | Utterance | Nothing):
                run.said.append((free, one))
        return free
