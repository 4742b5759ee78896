"""What passes between the parts of the voice. Sound is 16-bit little-endian mono at 16 kHz everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

RATE: Final = 16_000
"""Samples per second."""
SAMPLE: Final = 2
"""Bytes of one sample."""
LONGEST_S: Final = 25.0
"""Of one utterance, in seconds; no more sound than this is ever kept."""


def seconds(pcm: bytes) -> float:
    """How long some sound lasts."""
    return len(pcm) / (RATE * SAMPLE)


# ------------------------------------------------------------------------------------------- from a source

ButtonPress = Literal["single", "double", "long", "press", "release"]
Cue = Literal["woken", "captured", "done", "failed", "muted", "battery"]
"""What a wearer is told without words: it listens, it has the question, there is an answer, there is none, …"""


@dataclass(frozen=True, slots=True)
class Sound:
    """Some sound, in order; at most a second of it."""

    pcm: bytes = field(repr=False)
    lost: bool = False
    """True for silence that stands for what was lost on the way."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button of the device."""

    button: ButtonPress


@dataclass(frozen=True, slots=True)
class Charge:
    """The battery of the device."""

    percent: int
    charging: bool | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """How it stands with the way to the device; `detail` is fit for a person and names the mend where there is one."""

    state: Literal["searching", "connecting", "connected", "lost", "trouble"]
    detail: str = ""
    name: str = ""
    """Of the device."""


@dataclass(frozen=True, slots=True)
class Reception:
    """How well sound arrives, over the last ten seconds."""

    received: int
    """Packets."""
    lost: int
    late: int = 0
    """Packets that came twice or out of order."""

    @property
    def loss(self) -> float:
        """Share of packets that did not come, 0 to 1."""
        return self.lost / max(1, self.received + self.lost)


Signal = Sound | Pressed | Charge | Link | Reception
Note = Callable[[Signal], None]
"""Takes a signal; called in the event loop, never blocks."""


class Source(Protocol):
    """Where sound comes from."""

    name: str
    talk_button: ButtonPress | None
    """Which press begins and ends push-to-talk; a source without a button has none."""
    hold_to_talk: bool
    """True when push-to-talk lasts from `talk_button` to `release`; False when a second press ends it."""

    async def run(self, note: Note) -> None:
        """Tell of everything until cancelled, or until there is no more; reconnects by itself.

        Raises:
            VoiceError: it cannot work at all here; the message says how to mend it.
        """

    async def hear(self, on: bool) -> None:
        """Have sound sent, or not (which saves the device's battery); buttons and battery are told of all the same."""

    async def cue(self, cue: Cue) -> bool:
        """Give a sign on the device; False when it cannot. Never raises."""


# -------------------------------------------------------------------------------------------------- from the ear


@dataclass(frozen=True, slots=True)
class Onset:
    """Somebody began to speak."""


@dataclass(frozen=True, slots=True)
class Woken:
    """The wake phrase was heard; what follows it is the question."""

    score: float
    """How sure the spotter is, 0 to 1."""
    delay_s: float
    """Between the end of the phrase in the sound and this moment, in seconds of sound; about, as the spotter sees it."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said to us, from the wake phrase (or the button) to the silence after it."""

    pcm: bytes = field(repr=False)
    by: Literal["wake", "button", "expected"]
    """`expected`: the ear was told to await an answer, such as a yes."""
    phrase_s: float = 0.0
    """The wake phrase is in the first so many seconds; 0 when there is none."""
    lost_s: float = 0.0
    """So many seconds of it did not arrive."""
    cut: bool = False
    """True when it was longer than `LONGEST_S`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """It is quiet for a moment: if nothing more is said, this is the utterance, so that one may begin to understand it."""

    so_far: Utterance


@dataclass(frozen=True, slots=True)
class Nothing:
    """The wake phrase, or a button, and then no words."""


Perception = Onset | Woken | Pause | Utterance | Nothing


# ------------------------------------------------------------------------------------------------------ the words


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a developer is likely to say here: names of the current project, best first."""

    project: str = ""
    """Its name."""
    identifiers: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A question in words."""

    text: str = field(repr=False)
    """Without the wake phrase; empty when there was nothing to understand."""
    engine: str
    confidence: float
    """0 to 1, as far as the engine can tell."""
    doubt: str = ""
    """Why the speaker must confirm it before it is sent, for people; empty when that is not needed."""
    woken: bool | None = None
    """Whether the engine heard the wake phrase too; None when it cannot tell (no phrase in the sound, or a weak engine)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some words of one speaker."""

    text: str = field(repr=False)
    start: float
    """Seconds since the recording or session began."""
    end: float
    speaker: str = ""
    """As whoever transcribed it tells voices apart; empty when nobody did."""
    is_user: bool = False
    """The wearer's voice was known."""
    id: str = ""


class Transcriber(Protocol):
    """An engine that turns sound into words."""

    name: str
    offline: bool
    """True when no sound leaves this machine."""

    async def prepare(self, vocabulary: Vocabulary) -> None:
        """Get ready, so that the first question takes no longer than the others.

        Raises:
            VoiceError: the engine cannot work.
        """

    async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
        """The words.

        Raises:
            VoiceError: the engine failed; the message says why and what to do.
        """

    async def aclose(self) -> None:
        """End what was begun."""


# ------------------------------------------------------------------------------------------------------ the answer


@dataclass(frozen=True, slots=True)
class Reply:
    """What the speaker is told."""

    heard: str = field(repr=False)
    """The question as it was understood."""
    spoken: str = field(repr=False)
    """Two sentences at most, in words that a voice can read."""
    notice: tuple[str, str] = field(default=("", ""), repr=False)
    """Title and text for the eyes; empty where what is spoken will do."""
    consultation: str = ""
    """Id of the full verdict; empty when none was asked for."""
    failed: bool = False
    expects: bool = False
    """True when the speaker is to answer: yes or no, or the name of a project."""


class Mouth(Protocol):
    """A way to the speaker's ears or eyes."""

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Deliver a reply; False when it could not be. Never raises."""


State = Literal["idle", "listening", "thinking", "confirming", "speaking", "muted", "away"]
"""What it does, for people: waits for the phrase, takes down a question, asks the council, awaits a yes, answers, hears
nothing by wish, has no device."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is shown while it listens."""

    state: State = "away"
    source: str = ""
    link: str = ""
    """Of the device: `connected`, `searching`, …"""
    battery: int | None = None
    charging: bool | None = None
    loss: float = 0.0
    detail: str = ""
    """What a person should know, with the mend where there is one."""
    why_not: str = ""
    """Why nobody waits for the phrase at this time; empty when somebody does."""
