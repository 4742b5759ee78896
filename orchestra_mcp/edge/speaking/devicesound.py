"""A beep for the loudspeaker of Dev Kit 2, as the writes that its firmware takes. Pure.

Source: `speak()` in `omi/firmware/devkit/src/speaker.c` of github.com/BasedHardware/omi. A write of four bytes is the number of
bytes to come (u32le). Each further write is copied into a buffer of 10,000 bytes (two channels, so 5,000 bytes of mono, unchecked),
and takes 400 off that number, however long it is, as long as more than 400 are left. A write that finds fewer than 400 plays
everything; one that finds exactly 400 does nothing for ever, so a whole number of blocks never plays. Then the device
answers no write for 4 seconds: a haptic sign is better where there is one.
"""

from __future__ import annotations

from typing import Final

from orchestra_mcp.edge.audio.tones import tone
from orchestra_mcp.edge.nouns import Cue

SPEAKER_RATE: Final = 8_000
BLOCK: Final = 400
"""Bytes that the firmware believes a write to have."""
MOST: Final = 5_000
"""Bytes of mono that its buffer takes; more would be written beyond it."""
LEAST_ROOM: Final = 64


def beep(cue: Cue, room: int = BLOCK) -> list[bytes]:
    """The writes (with response, one after the other) that make Dev Kit 2 beep.

    Args:
        cue: what is told; at most 0.3 s.
        room: most bytes of one write, which is the ATT MTU less 3. The firmware takes no notice of the offset of a long write, so
            each has to go out as one. Below `LEAST_ROOM` there is no beep, and the list is empty.
    """
    if room < LEAST_ROOM:
        return []
    pcm = tone(cue, SPEAKER_RATE)[:MOST]
    size = min(room, BLOCK) // 2 * 2
    blocks = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    # The last one must be shorter than a block, so that it plays, and longer than the four bytes that would be a number.
    if len(blocks[-1]) < 8:
        blocks.pop()
    if len(blocks[-1]) == BLOCK:
        blocks[-1] = blocks[-1][:-2]
    total = BLOCK * (len(blocks) - 1) + len(blocks[-1])
    return [total.to_bytes(4, "little"), *blocks]
