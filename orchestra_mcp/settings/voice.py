"""`[voice]`: asking aloud, through an Omi, a microphone or the Omi app; see docs/voice.md."""

from __future__ import annotations

import re
from datetime import time
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from orchestra_mcp.types import Noun

HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


class OmiApp(Noun):
    """`[voice.omi_app]`: transcripts that the Omi phone app posts to `orchestra serve`, and answers as its notifications."""

    uids: tuple[str, ...] = ()
    """Omi users whose transcripts are taken; empty: the webhook is off."""
    hosts: tuple[str, ...] = ()
    """Public names under which a tunnel reaches this server, such as `voice.example.org`; they open the webhook only."""
    app_id: str = ""
    """Of the Omi app whose notifications carry the answers; with `app_secret`."""
    app_secret: SecretStr = SecretStr("")
    """Its API key; `$NAME` is taken from the environment or `keys.env`."""
    api: str = "https://api.omi.me"
    """Where notifications are posted."""


class Voice(Noun):
    """`[voice]`: how a spoken question is heard, understood and answered."""

    wake_phrase: str = "hey orchestra"
    sensitivity: float = Field(default=0.5, ge=0, le=1)
    """0: seldom woken by mistake; 1: seldom missed."""
    mode: Literal["wake", "button"] = "wake"
    """`button`: no sound is sent by the device before its button is pressed, which saves its battery."""
    device: str = ""
    """Address of the Omi that is listened to; empty: the one chosen last, or the only one that is found."""
    project: str = ""
    """Directory of the project that questions are about; empty: the one named in the question, or the one last used."""
    transcriber: str = ""
    """Model or route whose vendor transcribes; `whisper`: faster-whisper on this machine; `offline`: the embedded engine (English);
    empty: whisper where a model is given, else the embedded engine."""
    whisper_model: str = ""
    """Directory of a model for faster-whisper (extra `whisper`)."""
    confirm: Literal["doubtful", "always"] = "doubtful"
    """When a question is read back and has to be confirmed by a yes or the button before it is sent."""
    speak: bool = True
    """Read answers aloud on this computer."""
    notify: bool = True
    """Show answers as notifications of the desktop (extra `desktop`)."""
    hours: str = ""
    """Times of day in which it listens, such as `08:00-19:30` (local time); empty: always."""
    rest_after_min: int = Field(default=0, ge=0, le=1440)
    """After so many minutes without a voice no sound is sent before the button is pressed; 0: never."""
    low_battery: int = Field(default=15, ge=0, le=100)
    """Below so many per cent the device sends sound only while its button is used."""
    omi_app: OmiApp = OmiApp()

    def listens_at(self, now: time) -> bool:
        """True within the hours, which may go over midnight; always when there are none."""
        if not self.hours:
            return True
        begin, end = (time.fromisoformat(each) for each in self.hours.split("-"))
        return begin <= now < end if begin <= end else now >= begin or now < end

    @field_validator("wake_phrase")
    @classmethod
    def _speakable(cls, phrase: str) -> str:
        words = phrase.lower().split()
        if not 2 <= len(words) <= 4 or not all(re.fullmatch(r"[a-z']{2,20}", word) for word in words):
            raise ValueError('wake_phrase takes two to four words of small letters, such as "hey orchestra"')
        return " ".join(words)

    @field_validator("hours")
    @classmethod
    def _hours(cls, hours: str) -> str:
        if hours and not HOURS.fullmatch(hours):
            raise ValueError('hours are written as "08:00-19:30"')
        return hours
