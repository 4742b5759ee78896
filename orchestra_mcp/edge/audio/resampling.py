"""Sound of any rate turned into 16 kHz, piece by piece, by a polyphase filter in numpy.

A windowed sinc (Kaiser) is laid at L phases between two samples of the input; an output sample is the product of the input
around it with the filter of its phase (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983, §3.3). Downwards the
sinc is as many times longer, so that what the new rate cannot hold is filtered out before it could fold back.
"""

from __future__ import annotations

from math import ceil, gcd
from typing import TYPE_CHECKING, Any, Final

from orchestra_mcp.edge.nouns import RATE
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ZEROS: Final = 24
"""Zero crossings of the sinc on either side; the wait that the filter costs is so many samples of the slower rate (1.5 to 3 ms)."""
BETA: Final = 8.0
"""Of the Kaiser window: some 80 dB down outside the band."""
ROLLOFF: Final = 0.9
"""Where the band ends, as a part of half the slower rate; the rest is the slope of the filter."""
RATES: Final = range(4_000, 384_001)
"""Samples per second that can be turned into 16 kHz."""


class Resampler:
    """One stream of 16-bit mono samples on its way to 16 kHz. Pieces may be of any length."""

    def __init__(self, rate: int, to: int = RATE) -> None:
        """Args: rate: samples per second as they come; to: as they leave.

        Raises:
            ValueError: a rate outside `RATES`.
            VoiceError: numpy is not installed.
        """
        if rate not in RATES or to not in RATES:
            raise ValueError(f"sound of {rate} samples per second cannot be turned into {to}")
        try:
            import numpy as np
        except ImportError:
            raise VoiceError("Sound needs the package numpy: pip install 'orchestra-council[omi]'") from None

        common = gcd(rate, to)
        self._up, self._down = to // common, rate // common
        self._same = rate == to
        slow = max(1.0, rate / to)
        self._half = ceil(ZEROS * slow)
        self._taps = 2 * self._half
        offsets = np.arange(self._taps) - (self._half - 1)
        phases = np.arange(self._up)[:, None] / self._up
        at = (offsets[None, :] - phases) / slow
        window = np.i0(BETA * np.sqrt(np.clip(1 - (at / ZEROS) ** 2, 0, 1))) / np.i0(BETA)
        bank = np.sinc(at * ROLLOFF) * window
        # Every phase passes a steady signal unchanged, so that none of them hums.
        self._bank: NDArray[np.float32] = (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)
        self._kept: NDArray[np.float32] = np.zeros(self._half - 1, np.float32)
        self._next = 0
        """Of the next output sample: its place in what is kept, in parts of `_up`."""
        self._taken = self._given = 0

    def feed(self, pcm: bytes) -> bytes:
        """What can be given out after this piece; a whole number of 16-bit samples, like the piece."""
        if self._same:
            return pcm
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        self._taken += len(samples)
        return self._give(np.concatenate((self._kept, samples)))

    def flush(self) -> bytes:
        """The rest, when no more comes; all in all as much time is given out as came in."""
        if self._same:
            return b""
        import numpy as np

        out = self._give(np.concatenate((self._kept, np.zeros(self._taps, np.float32))))
        due = ceil(self._taken * self._up / self._down)
        before = self._given - len(out) // 2
        self._kept, self._next = np.zeros(self._half - 1, np.float32), 0
        self._taken = self._given = 0
        return out[: max(0, due - before) * 2]

    def _give(self, kept: NDArray[Any]) -> bytes:
        import numpy as np

        count = max(0, ((len(kept) - self._taps + 1) * self._up - self._next + self._down - 1) // self._down)
        if not count:
            self._kept = kept
            return b""
        places = self._next + np.arange(count) * self._down
        starts, phases = places // self._up, places % self._up
        spans = np.lib.stride_tricks.sliding_window_view(kept, self._taps)
        out = np.einsum("ij,ij->i", spans[starts], self._bank[phases])
        self._next = int(places[-1]) + self._down
        spent = min(self._next // self._up, len(kept))
        self._kept = kept[spent:].copy()
        self._next -= spent * self._up
        self._given += count
        return bytes(np.clip(np.rint(out), -32_768, 32_767).astype("<i2"))
