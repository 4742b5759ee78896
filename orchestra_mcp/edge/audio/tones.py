"""Short tones that stand for a cue: the same melodies for the computer's loudspeaker and for a device's. Pure."""

from __future__ import annotations

from math import cos, pi, sin
from typing import Final

from orchestra_mcp.edge.nouns import Cue

MELODIES: Final[dict[Cue, tuple[float, ...]]] = {
    "woken": (659.26, 987.77),  # rises: go on
    "captured": (783.99,),
    "done": (523.25, 659.26, 783.99),
    "failed": (440.0, 311.13),  # falls
    "muted": (392.0, 392.0),
    "battery": (880.0, 698.46, 880.0),
}
"""Hertz of one note after the other (equal temperament, a' = 440)."""
NOTE_S: Final = 0.08
EDGE_S: Final = 0.012
"""A note comes and goes so softly that it does not click."""
LOUDNESS: Final = 0.25
"""Of full scale: heard across a desk, not across an office."""


def tone(cue: Cue, rate: int) -> bytes:
    """16-bit little-endian mono samples; every cue lasts at most 0.3 s."""
    length, edge = round(NOTE_S * rate), round(EDGE_S * rate)
    out = bytearray()
    for hertz in MELODIES[cue]:
        for at in range(length):
            near = min(at, length - 1 - at)
            soft = 0.5 - 0.5 * cos(pi * near / edge) if near < edge else 1.0
            value = LOUDNESS * soft * sin(2 * pi * hertz * at / rate)
            out += round(value * 32_767).to_bytes(2, "little", signed=True)
    return bytes(out)
