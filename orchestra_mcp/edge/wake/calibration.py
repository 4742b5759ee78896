"""How one wearer says the wake phrase: which sensitivity finds it, and whether that also wakes by mistake.

Nothing is trained: the recordings are heard with the spotter as it is, at several sensitivities. The lowest that finds enough of
them is chosen, unless the background recording wakes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orchestra_mcp.edge.wake.wearer import Calibration as Calibration  # the noun of this module, for all who use it
from orchestra_mcp.errors import VoiceError

STEPS: Final = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
"""Sensitivities that are tried."""
MIDDLE: Final = 0.5
FEWEST: Final = 5
"""Recordings that are needed to say anything."""
ENOUGH: Final = 0.9
"""Share of the recordings that should be found."""
POOR: Final = 0.6
"""With less than this at any sensitivity, another phrase or the button serves better."""


def calibrate(
    recordings: Sequence[bytes], background: bytes = b"", *, phrase: str = "hey orchestra", not_me: Sequence[str] = ()
) -> Calibration:
    """Find the sensitivity for one wearer; takes some seconds of computing.

    Args:
        recordings: the phrase, said once in each; 16-bit mono at 16 kHz.
        background: a minute or more of other talk by the wearer; empty: mistakes are not looked for.
        phrase: that was said.
        not_me: phrases that must not wake it.

    Raises:
        VoiceError: there are too few recordings, or the spotter cannot work here.
    """
    if len(recordings) < FEWEST:
        raise VoiceError(f"{len(recordings)} recordings are too few: say the phrase {FEWEST} times or more")
    from orchestra_mcp.edge.wake.spotter import Spotter, checked

    phrase = checked(phrase)
    found: list[tuple[float, int]] = []
    mistakes: list[tuple[float, int]] = []
    for step in STEPS:
        spotter = Spotter(phrase, sensitivity=step, not_me=not_me)
        found.append((step, sum(_wakes(spotter, recording) > 0 for recording in recordings)))
        mistakes.append((step, _wakes(spotter, background) if background else 0))
    return judged(phrase, len(recordings), found, mistakes)


def judged(
    phrase: str, tried: int, found: Sequence[tuple[float, int]], mistakes: Sequence[tuple[float, int]]
) -> Calibration:
    """The sensitivity that these counts speak for, and what is said about it."""
    usual = dict(found)[MIDDLE]
    clean = [(step, count) for (step, count), (_, wrong) in zip(found, mistakes, strict=True) if not wrong]
    best = max((count for _, count in clean), default=0)
    enough = min(best, -(-tried * 9 // 10))
    chosen = next((step for step, count in clean if count >= enough), MIDDLE) if best else MIDDLE
    heard = dict(found)[chosen]
    wrong = dict(mistakes)[chosen]
    advice = f"{heard} of {tried} recordings are heard at sensitivity {chosen:g}, {usual} at the usual {MIDDLE:g}."
    if wrong:
        advice += f' The background woke it {wrong} times: choose another wake_phrase, or mode = "button".'
    elif heard < POOR * tried:
        advice += " Calibration does not help enough: choose another wake_phrase, or use the button."
    elif heard < ENOUGH * tried:
        advice += " Some will be missed: speak the phrase after a short pause, near the microphone."
    return Calibration(
        phrase=phrase,
        shift=round(chosen - MIDDLE, 3),
        tried=tried,
        found=tuple(found),
        mistakes=tuple(mistakes),
        helps=chosen != MIDDLE and (heard > usual or wrong < dict(mistakes)[MIDDLE]),
        advice=advice,
    )


def _wakes(spotter: object, pcm: bytes) -> int:
    """How often some sound wakes it, heard as the ear hears it."""
    from orchestra_mcp.edge.audio.vad import FRAME_BYTES, Activity
    from orchestra_mcp.edge.wake.spotter import Spotter

    assert isinstance(spotter, Spotter)
    activity, count, quiet, on = Activity(), 0, 0, False
    before: list[bytes] = []
    voiced: list[bool] = []
    for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES):
        frame = pcm[at : at + FRAME_BYTES]
        voice = activity.look(frame).voice
        before, voiced = [*before[-19:], frame], [*voiced[-4:], voice]
        if on:
            count += spotter.hear(frame) is not None
            quiet = 0 if voice else quiet + 1
            if quiet >= 30:
                on = False
                count += spotter.end() is not None
        elif voice and sum(voiced) >= 3:
            on, quiet = True, 0
            spotter.begin()
            count += spotter.hear(b"".join(before)) is not None
    if on:
        count += spotter.end() is not None
    return count
