"""Noise, mixing and the codec of the device, all with numbers drawn from a seed."""

from __future__ import annotations

import math
import random
from functools import cache

import numpy as np
from voice_speech import RATE, Samples, run

PINK_S = 600
"""Of pink noise, made once by sox; `tune` takes its stretches from the first half, `final` from the second."""
FLOOR_DB = -72.0
"""Of the microphone itself, below full scale."""
WINDOW = RATE // 50


@cache
def pink() -> Samples:
    """Pink noise by sox, power 1."""
    made = run(["sox", "-R", "-n", "-t", "raw", "-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed", "-", "synth", str(PINK_S), "pinknoise", "gain", "-12"])  # fmt: skip
    samples = np.frombuffer(made, np.int16).astype(np.float32)
    return samples / np.float32(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def stretch(noise: Samples, count: int, dice: random.Random) -> Samples:
    """So many samples of a long noise from anywhere, round its end if need be."""
    at = dice.randrange(len(noise))
    return np.take(noise, np.arange(at, at + count), mode="wrap")


def active_power(samples: Samples) -> float:
    """Mean power over the windows of 20 ms in which somebody speaks: those within 35 dB of the loudest."""
    whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    powers = np.mean(whole**2, axis=1)
    loudest = float(np.max(powers, initial=0.0))
    spoken = powers[powers > loudest * 10**-3.5]
    return float(np.mean(spoken)) if len(spoken) else 0.0


def active_s(samples: Samples) -> float:
    """Seconds in which somebody speaks, by the same measure."""
    whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    powers = np.mean(whole**2, axis=1)
    return float(np.sum(powers > float(np.max(powers, initial=0.0)) * 10**-3.5)) * WINDOW / RATE


def last_active_s(samples: Samples) -> float:
    """Where the last of these windows ends."""
    whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    powers = np.mean(whole**2, axis=1)
    spoken = np.flatnonzero(powers > float(np.max(powers, initial=0.0)) * 10**-3.5)
    return float(spoken[-1] + 1) * WINDOW / RATE if len(spoken) else 0.0


def mixed(speech: Samples, noise: Samples | None, snr_db: float, dice: random.Random) -> Samples:
    """Speech with noise so many dB below what is spoken, and the noise of the microphone; lowered where it would clip."""
    floor = np.random.default_rng(dice.getrandbits(32)).standard_normal(len(speech)).astype(np.float32)
    out = speech + floor * np.float32(10 ** (FLOOR_DB / 20))
    if noise is not None:
        power = active_power(noise) or 1.0
        out = out + noise * np.float32(math.sqrt(active_power(speech) / power) * 10 ** (-snr_db / 20))
    loudest = float(np.max(np.abs(out), initial=0.0))
    return out * np.float32(0.98 / loudest) if loudest > 0.98 else out


def pcm_of(samples: Samples) -> bytes:
    """16-bit little-endian."""
    return np.clip(np.round(samples * 32_767), -32_768, 32_767).astype("<i2").tobytes()


def encoded(pcm: bytes, frame: int) -> list[bytes]:
    """Opus frames as the firmware makes them: 32 kbit/s, variable rate, complexity 3, low delay, no redundancy."""
    import opuslib_next

    encoder = opuslib_next.Encoder(RATE, 1, "restricted_lowdelay")
    encoder.bitrate, encoder.complexity, encoder.vbr, encoder.vbr_constraint = 32_000, 3, 1, 0
    whole = pcm + bytes(-len(pcm) % (frame * 2))
    return [encoder.encode(whole[at : at + frame * 2], frame) for at in range(0, len(whole), frame * 2)]


def decoded(packets: list[bytes], frame: int) -> bytes:
    """What libopus makes of them."""
    import opuslib_next

    decoder = opuslib_next.Decoder(RATE, 1)
    return b"".join(bytes(decoder.decode(packet, frame)) for packet in packets)
