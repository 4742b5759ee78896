"""What is known about how one wearer says the wake phrase."""

from __future__ import annotations

from orchestra_mcp.types import Noun


class Calibration(Noun):
    """What `orchestra omi calibrate` found out; holds no sound."""

    phrase: str
    shift: float = 0.0
    """Added to the sensitivity of the settings."""
    tried: int = 0
    found: dict[str, int] = {}
    """How many of the recordings were heard, by sensitivity."""
    mistakes: int = 0
    """Wakes in the background recording at the chosen sensitivity."""
    advice: str = ""
    """For people; says so when it cannot help."""
