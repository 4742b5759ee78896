"""Turns sound into codec frames as the firmware of an Omi does, for the simulator and the tests.

Settings of Opus: `config.h` and `codec.c` of the firmware (16 kHz, mono, 32 kbit/s, variable rate without constraint,
complexity 3, restricted low delay, voice, no error correction, no pauses in transmission).
"""

from __future__ import annotations

from array import array
from typing import Any, Final

from orchestra_mcp.edge.nouns import SAMPLE
from orchestra_mcp.edge.omi.protocol import Codec
from orchestra_mcp.errors import VoiceError

CHUNK: Final = 160
"""Samples at 16 kHz in a frame of a codec that fixes no length: 10 ms, as the firmware's."""
BITRATE: Final = 32_000
COMPLEXITY: Final = 3

# G.711 on 14 bits: the sign, then the segment, then four bits within it; all bits inverted.
BIAS: Final = 33
LOUDEST: Final = 8_158


def mulaw_of(sample: int) -> int:
    """One sample of 16 bits as a byte of mu-law (ITU-T G.711)."""
    sign = 0x80 if sample < 0 else 0
    level = min(abs(sample >> 2), LOUDEST) + BIAS
    segment = level.bit_length() - 6
    return ~(sign | segment << 4 | level >> (segment + 1) & 0x0F) & 0xFF


class Encoder:
    """Encodes a stream of sound, 16-bit mono at 16 kHz; not for two threads at once.

    Raises:
        VoiceError: Opus is wanted and its package is missing.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.bytes_of_frame = (codec.frame or CHUNK) * SAMPLE
        """Of sound at 16 kHz, for one frame."""
        self._rest = bytearray()
        self._opus: Any = opus_encoder() if codec.name == "opus" else None
        self._table = bytes(mulaw_of(sample) for sample in range(-32_768, 32_768)) if codec.name == "mulaw" else b""

    def encode(self, pcm: bytes) -> list[bytes]:
        """The frames that are full by now; the rest waits for more sound."""
        self._rest += pcm
        size = self.bytes_of_frame
        whole = len(self._rest) - len(self._rest) % size
        frames = [self._frame(bytes(self._rest[at : at + size])) for at in range(0, whole, size)]
        del self._rest[:whole]
        return frames

    def flush(self) -> list[bytes]:
        """The last frame, filled up with silence; none when nothing waits."""
        missing = -len(self._rest) % self.bytes_of_frame
        return self.encode(bytes(missing)) if self._rest else []

    def _frame(self, pcm: bytes) -> bytes:
        if self._opus is not None:
            return bytes(self._opus.encode(pcm, len(pcm) // SAMPLE))
        samples = array("h", pcm)
        if self.codec.rate == 8_000:
            # The mean of two neighbours: crude against aliasing, and the simulator's voice needs no better.
            samples = array("h", ((samples[at] + samples[at + 1]) // 2 for at in range(0, len(samples) - 1, 2)))
        if self.codec.name == "mulaw":
            return bytes(self._table[sample + 32_768] for sample in samples)
        return samples.tobytes()


def opus_encoder() -> Any:
    """An Opus encoder with the firmware's settings.

    Raises:
        VoiceError: the package is missing.
    """
    try:
        import opuslib_next
    except ImportError as error:
        raise VoiceError("Sound cannot be encoded: pip install 'orchestra-council[omi]'.") from error

    encoder = opuslib_next.Encoder(16_000, 1, opuslib_next.APPLICATION_RESTRICTED_LOWDELAY)
    encoder.bitrate = BITRATE
    encoder.vbr = 1
    encoder.vbr_constraint = 0
    encoder.complexity = COMPLEXITY
    encoder.signal = opuslib_next.SIGNAL_VOICE
    encoder.lsb_depth = 16
    encoder.dtx = 0
    encoder.inband_fec = 0
    encoder.packet_loss_perc = 0
    return encoder
