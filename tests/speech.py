"""Speech for tests, made by espeak-ng, flite and sox: 16-bit mono at 16 kHz, the same on every run.

    pytestmark = needs_speech              skips with the line that installs what is missing
    pcm = say("hey orchestra", "rms")      a flite voice
    pcm = say("hey orchestra", "en-us+f3", speed=1.1)      an espeak-ng voice and variant
    heard = noisy(silence(1.0) + pcm + silence(1.5), snr_db=20)

Voices `slt` and `awb` of flite are kept for the final figures of `benchmarks/voice.py`: tests do not use them.
"""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
from array import array
from typing import Final

import pytest

RATE: Final = 16_000
FLITE: Final = ("kal", "kal16", "rms")
ESPEAK: Final = ("en-us", "en-us+f3", "en+m3", "en-us+f5")
MISSING: Final = [name for name in ("espeak-ng", "flite", "sox") if not shutil.which(name)]
MEND: Final = f"no {', '.join(MISSING)}: apt-get install espeak-ng flite sox"

needs_speech: Final = pytest.mark.skipif(bool(MISSING), reason=MEND)
"""For tests that speak: skipped where a program is missing."""


@functools.cache
def say(text: str, voice: str = "rms", speed: float = 1.0, pitch: float = 1.0) -> bytes:
    """A text spoken by a voice of flite (its name) or of espeak-ng (such as `en-us+f3`), loudest sample at half scale."""
    if voice in FLITE or voice in ("slt", "awb"):
        mean = {"kal": 105, "kal16": 105, "rms": 90}.get(voice, 140) * pitch
        shape = ("--setf", f"duration_stretch={1 / speed}", "--setf", f"int_f0_target_mean={mean}")
        wav = _made(["flite", "-voice", voice, *shape, "-t", text, "-o", "/dev/stdout"])
    else:
        wav = _made(
            ["espeak-ng", "-v", voice, "-s", str(round(165 * speed)), "-p", str(round(50 * pitch)), "--stdout", text]
        )
    # Programs that write to a pipe cannot know the length for the header: sox takes all that comes.
    return _made(
        ["sox", "-t", "wav", "--ignore-length", "-", "-R", "-t", "raw", "-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed", "-", "norm", "-6"],
        wav,
    )  # fmt: skip


def silence(seconds: float) -> bytes:
    """Nothing at all, for so long."""
    return bytes(round(seconds * RATE) * 2)


def tone(seconds: float, hertz: float = 440.0, level: float = 0.3) -> bytes:
    """A sine."""
    return array("h", (round(32_767 * level * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(round(seconds * RATE)))).tobytes()  # fmt: skip


def noise(seconds: float, level_db: float = -40.0) -> bytes:
    """Pink noise of a level in dB below full scale."""
    return _pink(round(seconds * RATE), 10 ** (level_db / 20))


def noisy(pcm: bytes, snr_db: float) -> bytes:
    """Pink noise added, so many dB below what is spoken (pauses do not count)."""
    samples = array("h", pcm)
    frames = [samples[at : at + 320] for at in range(0, len(samples), 320)]
    powers = [sum(value * value for value in frame) / max(1, len(frame)) for frame in frames]
    spoken = [power for power in powers if power > max(powers) / 1000] or [1.0]
    level = math.sqrt(sum(spoken) / len(spoken)) / 32_768 / 10 ** (snr_db / 20)
    hiss = array("h", _pink(len(samples), level))
    return array("h", (max(-32_768, min(32_767, a + b)) for a, b in zip(samples, hiss, strict=True))).tobytes()


def mixed_in(front: bytes, behind: bytes, below_db: float) -> bytes:
    """Others who talk behind, over and over, so many dB below what is said in front."""
    samples = array("h", front)
    others = array("h", (behind * (len(front) // len(behind) + 1))[: len(front)])
    loud, soft = (sum(v * v for v in some) / max(1, sum(abs(v) > 100 for v in some)) for some in (samples, others))
    part = math.sqrt(loud / soft) / 10 ** (below_db / 20)
    return array(
        "h", (max(-32_768, min(32_767, round(a + b * part))) for a, b in zip(samples, others, strict=True))
    ).tobytes()


def packed(pcm: bytes, samples: int = 160) -> list[bytes]:
    """Opus frames as the firmware makes them: 32 kbit/s, complexity 3, low delay; 160 samples (Dev Kit 2) or 320 (Omi)."""
    opus = pytest.importorskip("opuslib_next", reason="pip install 'orchestra-council[omi]'")
    encoder = opus.Encoder(RATE, 1, "restricted_lowdelay")
    encoder.bitrate, encoder.complexity, encoder.vbr, encoder.vbr_constraint = 32_000, 3, 1, 0
    whole = pcm + bytes(-len(pcm) % (samples * 2))
    return [encoder.encode(whole[at : at + samples * 2], samples) for at in range(0, len(whole), samples * 2)]


def _pink(count: int, level: float) -> bytes:
    drawn = array("h", _hiss(math.ceil(count / RATE)))[:count]
    measured = math.sqrt(sum(value * value for value in drawn) / max(1, count)) / 32_768
    return array("h", (max(-32_768, min(32_767, round(value * level / measured))) for value in drawn)).tobytes()


@functools.cache
def _hiss(seconds: int) -> bytes:
    return _made(["sox", "-R", "-n", "-t", "raw", "-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed", "-", "synth", str(seconds), "pinknoise", "gain", "-12"])  # fmt: skip


def _made(command: list[str], given: bytes = b"") -> bytes:
    return subprocess.run(command, input=given, check=True, capture_output=True, timeout=30).stdout
