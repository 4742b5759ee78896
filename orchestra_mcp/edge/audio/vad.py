"""Voice activity: is somebody speaking in these 20 ms, and how loud is it?

webrtcvad alone calls steady noise speech as soon as it is loud, so a frame counts as voice only when it also stands above the
floor of the last seconds. The floor is a low percentile of the levels, which a pause between two words is enough to find.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from orchestra_mcp.edge.nouns import RATE, SAMPLE
from orchestra_mcp.errors import VoiceError

FRAME: Final = RATE // 50
"""Samples of one frame (20 ms)."""
FRAME_BYTES: Final = FRAME * SAMPLE
FRAME_S: Final = FRAME / RATE
WINDOW: Final = 150
"""Frames over which the floor is looked for (3 s)."""
PERCENTILE: Final = 0.1
ABOVE_DB: Final = 6.0
"""A voice is so much louder than the floor."""
QUIETEST_DB: Final = 22.0
"""Below this level (dB over one step of 16 bits; full scale is 90) nothing is a voice: silence of a codec, hiss of a microphone."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What was found in one frame."""

    voice: bool
    """It sounds like a voice and stands above the floor."""
    raw: bool
    """It sounds like a voice, as far as webrtcvad can tell."""
    level: float
    """Root mean square, in dB over one step of 16 bits."""
    floor: float
    """Of the last three seconds, same unit."""


class Activity:
    """Tells voice from its absence, frame by frame.

    Raises:
        VoiceError: webrtcvad or numpy is not installed.
    """

    def __init__(self) -> None:
        try:
            import numpy as np  # noqa: F401  (for `loudness`)
            import webrtcvad
        except ImportError as missing:
            raise VoiceError(
                f"voice activity needs the package {missing.name}: pip install 'orchestra-council[omi]'"
            ) from missing
        self._judge: Any = webrtcvad.Vad(2)
        self._levels: deque[float] = deque(maxlen=WINDOW)
        self._floor = 0.0
        self._until_floor = 0

    def look(self, frame: bytes) -> Frame:
        """Judge one frame of exactly `FRAME_BYTES` bytes.

        Raises:
            ValueError: the frame has another length.
        """
        if len(frame) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes, not {len(frame)}")
        level = loudness(frame)
        self._levels.append(level)
        if self._until_floor <= 0 or level < self._floor:  # sorting 150 numbers for each frame would be waste
            self._floor = sorted(self._levels)[int(PERCENTILE * (len(self._levels) - 1))]
            self._until_floor = 10
        self._until_floor -= 1
        raw = level >= QUIETEST_DB and bool(self._judge.is_speech(frame, RATE))
        return Frame(raw and level >= self._floor + ABOVE_DB, raw, level, self._floor)


def loudness(pcm: bytes) -> float:
    """Root mean square of some sound in dB over one step of 16 bits; 0 for silence."""
    import numpy as np

    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    power = float(np.dot(samples, samples)) / max(1, len(samples))
    return 10 * math.log10(power) if power > 1 else 0.0
