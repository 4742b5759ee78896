"""What is known about how one wearer says the wake phrase; a module of its own, for the spotter needs it and is needed to find it."""

from __future__ import annotations

from orchestra_mcp.types import Noun


class Calibration(Noun):
    """What `calibrate` found out; holds no sound, and goes into a file as JSON."""

    phrase: str
    shift: float = 0.0
    """Added to the sensitivity of the settings."""
    tried: int = 0
    """Recordings."""
    found: tuple[tuple[float, int], ...] = ()
    """How many of them were heard, by sensitivity."""
    mistakes: tuple[tuple[float, int], ...] = ()
    """How often the background recording woke it, by sensitivity."""
    helps: bool = False
    """False when no sensitivity did better than the usual one."""
    advice: str = ""
    """For people."""
