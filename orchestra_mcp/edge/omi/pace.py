"""How long the client of an Omi waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for what, in seconds."""

    scan_s: float = 5.0
    """Of one scan."""
    first_s: float = 1.0
    """Before the second attempt; doubled for each that follows."""
    most_s: float = 30.0
    """Between attempts."""
    slow_after_s: float = 600.0
    """After so long without the device, an attempt is made every `slow_s`."""
    slow_s: float = 60.0
    radio_s: float = 10.0
    """Between looks at a radio that is off."""
    connect_s: float = 20.0
    gatt_s: float = 5.0
    """For one reading or writing."""
    silent_s: float = 3.0
    """Subscribed, and no packet for so long: something is wrong."""
    asleep_s: float = 60.0
    """The same on a device that stops by itself when nobody speaks."""
    reception_s: float = 10.0
    """Between reports of the reception."""
    cue_s: float = 1.0
    """Longest wait for a sign."""
    leave_s: float = 2.0
    """Longest wait for the end of a connection."""
    tick_s: float = 0.25
    """Between looks at the clock."""


def delay(attempt: int, away_s: float, pace: Pace, share: float) -> float:
    """Seconds until the next attempt.

    Args:
        attempt: how many have failed since the device last sent anything, from 1 on.
        away_s: since when that is, in seconds.
        pace: the steps.
        share: 0 to 1, chance: the wait is 0.8 to 1.2 of the step, so that two computers do not try in step.
    """
    step = pace.slow_s if away_s >= pace.slow_after_s else min(pace.most_s, pace.first_s * 2.0 ** min(attempt - 1, 16))
    return step * (0.8 + 0.4 * share)
