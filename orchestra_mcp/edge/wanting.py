"""When sound is wanted at all: not while muted, outside of the hours, with a low battery, or before the button is pressed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path

import anyio

from orchestra_mcp.edge.nouns import ButtonPress, Charge
from orchestra_mcp.settings.voice import Voice


def time_of_day() -> time:
    """The local time."""
    return datetime.now().astimezone().time()


class Wanting:
    """Knows whether to listen, and why not.

    Args:
        voice: settings.
        muted: a file that is there while nobody may be listened to; other processes make and remove it.
        now: the time of day.
    """

    def __init__(self, voice: Voice, muted: Path, now: Callable[[], time] = time_of_day) -> None:
        self._voice, self._file, self._now = voice, muted, now
        self._stuck = False
        """Muted, though the file could not be made."""
        self._charge: Charge | None = None
        self._quiet_since = anyio.current_time()
        self.button: ButtonPress | None = None
        """Which press begins push-to-talk; without one a low battery and long silence change nothing."""

    @property
    def muted(self) -> bool:
        """True while nobody may be listened to."""
        return self._stuck or self._file.exists()

    def mute(self, on: bool) -> str:
        """Listen to nobody, or to everybody again; other processes and later ones see it too.

        Returns:
            What did not work, for people; empty when all did.
        """
        try:
            if on:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.touch()
            else:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            self._stuck = on
            return f"Whether it is muted cannot be kept in {self._file.name}: {error.strerror}."
        self._stuck = False
        return ""

    def voice_heard(self) -> None:
        """Somebody spoke, or pressed the button."""
        self._quiet_since = anyio.current_time()

    def charge(self, charge: Charge) -> None:
        """Take in the state of the battery."""
        self._charge = charge

    @property
    def low(self) -> bool:
        """True when the battery is to be spared."""
        charge = self._charge
        return charge is not None and not charge.charging and charge.percent <= self._voice.low_battery

    @property
    def why_not(self) -> str:
        """Why nobody waits for the phrase now, for people; empty when somebody does. Muting is not told of here."""
        if self._voice.mode == "button":
            return "listens when its button is used" if self.button else 'mode = "button", and there is no button'
        works = f"; its button works ({self.button})" if self.button else ""
        if not self._voice.listens_at(self._now()):
            return f"does not listen outside of {self._voice.hours}{works}"
        if self.button and self.low:
            return f"spares the battery{works}"
        rest_s = self._voice.rest_after_min * 60
        if self.button and rest_s and anyio.current_time() - self._quiet_since > rest_s:
            return f"rests after {self._voice.rest_after_min} quiet minutes{works}"
        return ""
