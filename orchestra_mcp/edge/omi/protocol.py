"""What an Omi says over GATT: services, codecs, buttons, batteries. Pure.

Source: the firmware (github.com/BasedHardware/omi, `omi/firmware/{devkit,omi}/src`) and its `Protocol.mdx`, as of 2026-11. Two
kinds of device are told apart by their codec: Dev Kit 2 (20) and the consumer Omi (21), whose buttons differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from orchestra_mcp.edge.nouns import RATE, ButtonPress

BASE: Final = "19b1{:04x}-e8f2-537e-4f6c-d104768a1214"
AUDIO_SERVICE: Final = BASE.format(0x0000)
"""The only service in the advertisement."""
AUDIO_DATA: Final = BASE.format(0x0001)
"""Notifies packets: u16le counter of packets, u8 index of the fragment, payload."""
AUDIO_CODEC: Final = BASE.format(0x0002)
SPEAKER: Final = BASE.format(0x0003)
"""Dev Kit 2: u32le number of bytes, then 16-bit mono at 8 kHz; holds 0.3 s, so it can beep and not speak."""
SETTINGS_SERVICE: Final = BASE.format(0x0010)
CHARGING: Final = BASE.format(0x0013)
FEATURES_SERVICE: Final = BASE.format(0x0020)
FEATURES: Final = BASE.format(0x0021)
"""u32le: bit 0 speaker, 2 button, 3 battery, 5 haptic, 6 offline storage."""
TIME_SERVICE: Final = BASE.format(0x0030)
TIME_SYNC: Final = BASE.format(0x0031)
"""Consumer Omi: u32le seconds since 1970, written on connecting; without it the device shows an error."""
BUTTON_SERVICE: Final = "23ba7924-0000-1000-7450-346eac492e92"
BUTTON: Final = "23ba7925-0000-1000-7450-346eac492e92"
"""Notifies two i32le: the event, 0."""
HAPTIC_SERVICE: Final = "cab1ab95-2ea5-4f4d-bb56-874b72cfc984"
HAPTIC: Final = "cab1ab96-2ea5-4f4d-bb56-874b72cfc984"
"""One byte, written with response: 1 short, 2 longer, 3 half a second."""
BATTERY_SERVICE: Final = "0000180f-0000-1000-8000-00805f9b34fb"
BATTERY: Final = "00002a19-0000-1000-8000-00805f9b34fb"
INFORMATION_SERVICE: Final = "0000180a-0000-1000-8000-00805f9b34fb"
MANUFACTURER: Final = "00002a29-0000-1000-8000-00805f9b34fb"
MODEL: Final = "00002a24-0000-1000-8000-00805f9b34fb"
FIRMWARE: Final = "00002a26-0000-1000-8000-00805f9b34fb"
HARDWARE: Final = "00002a27-0000-1000-8000-00805f9b34fb"

HEADER: Final = 3
"""Bytes before the payload of an audio packet."""
IDS: Final = 65_536
"""The counter of packets wraps here; it counts packets, not frames, and goes on over connections."""
LEAST_MTU: Final = 100
"""Below this the firmware sends no sound at all."""
STALE_S: Final = 0.32
"""Dev Kit 2 keeps up to 32 frames of 10 ms from before a subscription and sends them first."""

CodecName = Literal["opus", "pcm16", "pcm8", "mulaw"]


@dataclass(frozen=True, slots=True)
class Codec:
    """How a frame of sound is written."""

    id: int
    name: CodecName
    rate: int = RATE
    """Samples per second as they come; all is turned into 16 kHz."""
    frame: int = 0
    """Samples of one frame; 0 where frames have any length."""

    @property
    def frame_s(self) -> float:
        """How long a frame lasts, in seconds; for codecs without a fixed frame that of the firmware, 10 ms."""
        return self.frame / self.rate if self.frame else 0.01


CODECS: Final = {
    codec.id: codec
    for codec in (
        Codec(0, "pcm16"),
        Codec(1, "pcm8", rate=8_000),
        Codec(10, "mulaw"),
        Codec(11, "mulaw", rate=8_000),
        Codec(20, "opus", frame=160),
        Codec(21, "opus", frame=320),
    )
}

EVENTS: Final[dict[int, ButtonPress]] = {1: "single", 2: "double", 3: "long", 4: "press", 5: "release"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of device can do."""

    name: str
    talk: ButtonPress
    """The press that begins push-to-talk."""
    held: bool
    """True when push-to-talk ends with `release`; False when the next press ends it."""
    stale_s: float = 0.0
    """So much sound after a subscription is old."""


DEV_KIT: Final = Kind("Omi Dev Kit 2", "long", held=True, stale_s=STALE_S)
"""A single tap powers it off, right after it was told of."""
CONSUMER: Final = Kind("Omi", "single", held=False)
"""A long press powers it off and is not told of."""


def kind_of(codec: Codec, model: str = "", name: str = "") -> Kind:
    """Which kind of device this is: by its codec, else by what it calls itself."""
    if codec.id == 21:
        return CONSUMER
    if codec.id == 20:
        return DEV_KIT
    return DEV_KIT if "dev" in f"{model} {name}".lower() or "friend" in f"{model} {name}".lower() else CONSUMER


def button_of(data: bytes) -> ButtonPress | None:
    """What was pressed; None for what is unknown (firmwares to come) or malformed."""
    if len(data) < 4:
        return None
    return EVENTS.get(int.from_bytes(data[:4], "little", signed=True))
