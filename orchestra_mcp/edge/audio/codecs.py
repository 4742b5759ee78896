"""Frames of an Omi turned into sound: Opus, mu-law, and plain samples.

What the codes mean: `Protocol.mdx` of github.com/BasedHardware/omi ("0: PCM 16-bit, 16 kHz; 1: PCM 16-bit, 8 kHz; 10: Mu-law
16 kHz; 11: Mu-law 8 kHz"). Code 1 is called pcm8 in the app, and an older text says "8-bit"; but the app reads it as two bytes
per sample, low byte first, at 8 kHz (`app/lib/utils/audio/wav_bytes.dart`, `getPcmSamples`), so 8 is kilohertz. Devices in
use send Opus only (firmware `codec.c`: 16 kHz, mono, 32 kbit/s, restricted low delay, so without forward error correction).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from orchestra_mcp.edge.audio.resampling import Resampler
from orchestra_mcp.edge.nouns import LONGEST_S, RATE, SAMPLE
from orchestra_mcp.errors import VoiceError

MISSING: Final = "Sound of an Omi needs {}: pip install 'orchestra-council[omi]'"
LONGEST_FRAME: Final = 4_096
"""Bytes. An Opus packet of one frame has at most 1,275 (RFC 6716 §3.2.1), 20 ms of plain samples 640."""
STEREO: Final = 0x04
"""In the first byte of an Opus packet (RFC 6716 §3.1)."""
LONGEST_OPUS: Final = RATE * 120 // 1000
"""Samples of the longest Opus packet."""


class Codec(Protocol):
    """How frames are written: `edge.omi.protocol.Codec`, which this package does not import, since that one uses this."""

    @property
    def name(self) -> str:
        """`opus`, `pcm16`, `pcm8` or `mulaw`."""

    @property
    def rate(self) -> int:
        """Samples per second as they come."""

    @property
    def frame(self) -> int:
        """Samples of one frame; 0 where frames have any length."""

    @property
    def frame_s(self) -> float:
        """How long a frame lasts, in seconds."""


class Decoder(Protocol):
    """Turns the frames of one connection into 16-bit mono sound at 16 kHz; holds the state between them."""

    codec: Codec
    garbage: int
    """Frames so far that were none of this codec; silence stands for each."""

    def decode(self, frame: bytes) -> bytes:
        """The sound of a frame; silence for one that makes no sense. Never raises for what a frame holds."""

    def lost(self, frames: int) -> bytes:
        """What stands for so many frames that did not arrive: silence, of at most `LONGEST_S`."""

    def close(self) -> None:
        """Give up what the codec holds; nothing may be decoded after it."""


def open_decoder(codec: Codec) -> Decoder:
    """A decoder for one connection.

    Raises:
        VoiceError: the package that the codec needs is not installed, or does not work here.
    """
    if codec.name == "opus":
        return _Opus(codec)
    if codec.rate != RATE:
        _need_numpy()
    return _Mulaw(codec) if codec.name == "mulaw" else _Plain(codec)


def unknown_codec(id: int, model: str = "", firmware: str = "") -> str:
    """What is said of a codec that we do not know."""
    device = " ".join(filter(None, (model or "The device", f"with firmware {firmware}" if firmware else "")))
    return (
        f"{device} sends sound in codec {id}, which this version of Orchestra does not know. "
        "Update Orchestra, or use the Omi phone app's webhook (docs/voice.md)."
    )


class _Silent:
    """What all decoders do alike."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.garbage = 0

    def lost(self, frames: int) -> bytes:
        """Silence. Opus' own concealment was measured to be no better for the wake phrase (research, 2026-11), and it
        invents sound, of which a transcriber makes words."""
        return bytes(round(min(max(frames, 0) * self.codec.frame_s, LONGEST_S) * RATE) * SAMPLE)

    def close(self) -> None:
        """Nothing is held."""


class _Opus(_Silent):
    def __init__(self, codec: Codec) -> None:
        super().__init__(codec)
        self._decode: Callable[[bytes], bytes | None] | None = _libopus()

    def decode(self, frame: bytes) -> bytes:
        # The range decoder takes any bytes for music (RFC 6716 §4.1), so what can be known of a frame is checked too: the
        # firmware sends mono, and frames of one length.
        pcm = None
        if self._decode and 0 < len(frame) <= LONGEST_FRAME and not frame[0] & STEREO:
            pcm = self._decode(frame)
        if pcm is not None and len(pcm) == self.codec.frame * SAMPLE:
            return pcm
        self.garbage += 1
        return self.lost(1)

    def close(self) -> None:
        self._decode = None


def _libopus() -> Callable[[bytes], bytes | None]:
    """Decodes one packet after the other to 16 kHz mono; None for what is no packet. The one place that knows the library:
    PyAV (`av.CodecContext.create("libopus", "r")` and an `AudioResampler`) could take its place."""
    try:
        import opuslib_next
        import opuslib_next.exceptions
    except ImportError:
        raise VoiceError(MISSING.format("the package opuslib-next-bundled")) from None
    except (OSError, RuntimeError):
        raise VoiceError(
            "The Opus library that opuslib-next-bundled carries does not load on this machine: "
            "pip install --force-reinstall opuslib-next-bundled"
        ) from None
    decoder = opuslib_next.Decoder(RATE, 1)
    broken = opuslib_next.exceptions.OpusError

    def decode(packet: bytes) -> bytes | None:
        try:
            return bytes(decoder.decode(packet, LONGEST_OPUS))
        except broken:
            return None

    return decode


class _Plain(_Silent):
    """16-bit samples, low byte first, at 16 or 8 kHz."""

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec)
        self._resampler = Resampler(codec.rate) if codec.rate != RATE else None

    def decode(self, frame: bytes) -> bytes:
        samples = self._samples(frame)
        if samples is None:
            self.garbage += 1
            samples = bytes(min(len(frame), LONGEST_FRAME) // SAMPLE * SAMPLE)
        return self._resampler.feed(samples) if self._resampler else samples

    def lost(self, frames: int) -> bytes:
        silence = super().lost(frames)
        if not self._resampler:
            return silence
        return self._resampler.feed(bytes(len(silence) // SAMPLE * self.codec.rate // RATE * SAMPLE))

    def _samples(self, frame: bytes) -> bytes | None:
        """Of the codec's own rate; None for what is no frame."""
        return frame if 0 < len(frame) <= LONGEST_FRAME and not len(frame) % SAMPLE else None


class _Mulaw(_Plain):
    """8-bit mu-law (ITU-T G.711)."""

    def _samples(self, frame: bytes) -> bytes | None:
        if not 0 < len(frame) <= LONGEST_FRAME:
            return None
        return b"".join([MULAW[byte] for byte in frame])


def _linear(byte: int) -> bytes:
    """The 16-bit sample of a byte of mu-law (G.711 table 2a, with the scale of 14 bits shifted to 16)."""
    code = ~byte & 0xFF
    value = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return (-value if code & 0x80 else value).to_bytes(SAMPLE, "little", signed=True)


MULAW: Final = tuple(_linear(byte) for byte in range(256))


def _need_numpy() -> None:
    try:
        import numpy as np  # noqa: F401
    except ImportError:
        raise VoiceError(MISSING.format("the package numpy")) from None
