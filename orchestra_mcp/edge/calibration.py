"""How one wearer says the wake phrase: which sensitivity finds it, and whether that also wakes by mistake.

Nothing is trained: the ear hears the recordings once, and what the phrase costs in each tells at which sensitivities it is found. The
lowest from the middle on that finds enough of them is chosen; a lower one where the background recording wakes it at the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from orchestra_mcp.edge.audio.vad import FRAME_BYTES, FRAME_S
from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.nouns import Sound
from orchestra_mcp.edge.wake.spotter import Spotted, Spotter, bound_at, checked
from orchestra_mcp.edge.wake.wearer import Calibration
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
    phrase = checked(phrase)
    gauge = Gauge(Spotter(phrase, not_me=not_me))
    each = [min((one.cost for one in gauge.stretches(said)), default=float("inf")) for said in recordings]
    wrong = [one.cost for one in gauge.stretches(background)]
    found = [(step, sum(cost <= bound_at(step) for cost in each)) for step in STEPS]
    mistakes = [(step, sum(cost <= bound_at(step) for cost in wrong)) for step in STEPS]
    return judged(phrase, len(recordings), found, mistakes)


def judged(
    phrase: str, tried: int, found: Sequence[tuple[float, int]], mistakes: Sequence[tuple[float, int]]
) -> Calibration:
    """The sensitivity that these counts speak for, and what is said about it."""
    usual = dict(found)[MIDDLE]
    # Recordings say how easily the phrase is found, not what is gained by less: below the middle only where that wakes by mistake.
    careful = any(wrong for step, wrong in mistakes if step == MIDDLE)
    clean = [
        (step, count)
        for (step, count), (_, wrong) in zip(found, mistakes, strict=True)
        if not wrong and (careful or step >= MIDDLE)
    ]
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


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech without a longer pause, as the ear cuts it."""

    at_s: float
    cost: float
    """What the phrase cost at the least in it."""


class Gauge:
    """A spotter for the ear that never wakes, and tells what the phrase costs."""

    def __init__(self, spotter: Spotter) -> None:
        self._spotter, self._found = spotter, list[Stretch]()
        self._fed = 0
        spotter.bound = float("-inf")

    def stretches(self, pcm: bytes) -> list[Stretch]:
        """Those of some sound."""
        self._found, ear = [], Ear(self)
        for self._fed in range(0, len(pcm), FRAME_BYTES):
            ear.feed(Sound(pcm[self._fed : self._fed + FRAME_BYTES]))
        ear.reset()
        return self._found

    def begin(self) -> None:
        """As a spotter's."""
        self._spotter.begin()
        self._found.append(Stretch(self._fed / FRAME_BYTES * FRAME_S, float("inf")))

    def hear(self, pcm: bytes) -> Spotted | None:
        """As a spotter's; nothing is found."""
        self._spotter.hear(pcm)
        self._note()
        return None

    def end(self) -> Spotted | None:
        """As a spotter's; nothing is found."""
        self._spotter.end()
        self._note()
        return None

    def _note(self) -> None:
        self._found[-1] = replace(self._found[-1], cost=self._spotter.lowest)
