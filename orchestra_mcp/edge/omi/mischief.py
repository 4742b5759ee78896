"""What goes wrong with packets on their way, and the noise of a microphone: deterministic by their seeds."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable

from orchestra_mcp.edge.nouns import RATE, SAMPLE


class Mischief:
    """Drops, repeats and reorders packets. Counts what it did."""

    def __init__(self) -> None:
        self.dropped = 0
        self.duplicated = 0
        self.reordered = 0
        self._drop = self._repeat = self._swap = 0.0
        self._burst = 1.0
        self._dropping = False
        self._chance = random.Random(0)
        self._waiting: bytes | None = None

    def drop(self, share: float, seed: int = 1, burst: float = 1.0) -> None:
        """Lose a share of the packets, 0 to 1, in runs that are `burst` packets long on average."""
        self._drop, self._burst, self._chance = share, max(1.0, burst), random.Random(seed)

    def duplicate(self, share: float, seed: int = 1) -> None:
        """Send a share of the packets twice."""
        self._repeat, self._chance = share, random.Random(seed)

    def reorder(self, share: float, seed: int = 1) -> None:
        """Send a share of the packets after the one that follows them."""
        self._swap, self._chance = share, random.Random(seed)

    def calm(self) -> None:
        """Nothing goes wrong any more; a packet that was held back is gone."""
        self._drop = self._repeat = self._swap = 0.0
        self._waiting = None

    def packets(self, packet: bytes) -> list[bytes]:
        """What arrives when a packet is sent."""
        if self._lost():
            self.dropped += 1
            arriving = []
        elif self._repeat and self._chance.random() < self._repeat:
            self.duplicated += 1
            arriving = [packet, packet]
        else:
            arriving = [packet]
        if self._waiting is not None:
            arriving.append(self._waiting)
            self._waiting = None
        elif len(arriving) == 1 and self._swap and self._chance.random() < self._swap:
            self.reordered += 1
            self._waiting = arriving.pop()
        return arriving

    def _lost(self) -> bool:
        if not 0 < self._drop < 1:
            return self._drop >= 1
        # A chain of two states (Gilbert, 1960): it stays in the bad one for `burst` packets, and is there for `share` of all.
        leave = 1 / self._burst
        enter = leave * self._drop / (1 - self._drop)
        self._dropping = self._chance.random() < (1 - leave if self._dropping else enter)
        return self._dropping


def hiss(level_db: float, seed: int) -> Callable[[int], bytes]:
    """White noise of a loudness against full scale: a function that gives the next so many bytes."""
    loudness = 0.0 if level_db < -90 else 32_767 * 10 ** (level_db / 20)
    chance = random.Random(seed)
    samples = array("h", (max(-32_768, min(32_767, round(chance.gauss(0, loudness)))) for _ in range(RATE)))
    second = samples.tobytes()
    at = 0

    def more(count: int) -> bytes:
        nonlocal at
        piece = (second + second)[at : at + count] if count <= RATE * SAMPLE else bytes(count)
        at = (at + count) % len(second)
        return piece

    return more
