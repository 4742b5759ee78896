"""Frames of an Omi as sound, and rates. Expected values: G.711 and RFC 6716, the standard library, sox, and sines worked out here."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.edge.audio.codecs import Decoder, open_decoder, unknown_codec
from orchestra_mcp.edge.audio.resampling import Resampler
from orchestra_mcp.edge.audio.tones import MELODIES, tone
from orchestra_mcp.edge.omi.protocol import CODECS

np = pytest.importorskip("numpy", reason="pip install -e '.[omi]'")
opuslib = pytest.importorskip("opuslib_next", reason="pip install -e '.[omi]'")

SECOND = 16_000


def sine(hertz: float, rate: int, seconds: float = 1.0, loud: float = 10_000) -> bytes:
    at = np.arange(round(rate * seconds))
    return bytes(np.rint(loud * np.sin(2 * math.pi * hertz * at / rate)).astype("<i2"))


def samples(pcm: bytes) -> Any:
    return np.frombuffer(pcm, "<i2").astype(float)


def snr(expected: Any, got: Any) -> float:
    """In decibels."""
    return float(10 * np.log10(np.sum(expected**2) / max(1e-9, np.sum((expected - got) ** 2))))


def opus_frames(pcm: bytes, frame: int) -> list[bytes]:
    """As the firmware writes them: 16 kHz mono, 32 kbit/s, restricted low delay (`codec.c`)."""
    encoder = opuslib.Encoder(SECOND, 1, "restricted_lowdelay")
    encoder.bitrate, encoder.complexity = 32_000, 3
    return [encoder.encode(pcm[at : at + frame * 2], frame) for at in range(0, len(pcm) - frame * 2 + 1, frame * 2)]


# ------------------------------------------------------------------------------------------------------------- Opus


@pytest.mark.parametrize(("id", "frame"), [(20, 160), (21, 320)])
def test_opus_of_both_devices_gives_back_what_was_said(id: int, frame: int) -> None:
    said = sine(440, SECOND)
    decoder = open_decoder(CODECS[id])
    heard = b"".join(decoder.decode(packet) for packet in opus_frames(said, frame))
    assert len(heard) == len(said)
    assert decoder.garbage == 0
    # Low-delay mode looks 2.5 ms ahead (RFC 6716 §2): at 16 kHz, 40 samples. The first frames are a fade-in.
    assert snr(samples(said)[800:15_000], samples(heard)[840:15_040]) > 20


def test_what_is_no_opus_frame_is_silence_of_the_same_length_and_counted() -> None:
    decoder = open_decoder(CODECS[20])
    long = opus_frames(sine(440, SECOND), 320)[5]  # twice as long as Dev Kit 2 sends
    stereo = opuslib.Encoder(SECOND, 2, "restricted_lowdelay").encode(sine(440, SECOND, 0.02), 160)
    nonsense = [b"", b"\xff", long, stereo, bytes(5_000)]
    for frame in nonsense:
        assert decoder.decode(frame) == bytes(320)
    assert decoder.garbage == len(nonsense)


@given(st.binary(max_size=400), st.sampled_from(sorted(CODECS)))
def test_no_frame_raises(frame: bytes, id: int) -> None:
    decoder = open_decoder(CODECS[id])
    decoder.decode(frame)
    assert len(decoder.lost(1)) <= 2 * SECOND
    if id in (20, 21):
        assert len(decoder.decode(frame)) == CODECS[id].frame * 2


def test_a_stream_goes_on_after_what_was_lost() -> None:
    said = sine(440, SECOND)
    decoder = open_decoder(CODECS[20])
    packets = opus_frames(said, 160)
    heard = b"".join(decoder.decode(p) if not 40 <= at < 45 else decoder.lost(1) for at, p in enumerate(packets))
    assert len(heard) == len(said)
    assert heard[40 * 320 : 45 * 320] == bytes(5 * 320)
    assert snr(samples(said)[50 * 160 : 15_000], samples(heard)[50 * 160 + 40 : 15_040]) > 20


@pytest.mark.parametrize(
    ("id", "frames", "length"), [(20, 3, 960), (21, 3, 1_920), (0, 5, 1_600), (20, 0, 0), (20, -1, 0)]
)
def test_silence_for_lost_frames_is_as_long_as_they_were(id: int, frames: int, length: int) -> None:
    assert open_decoder(CODECS[id]).lost(frames) == bytes(length)


def test_silence_for_a_lost_hour_is_bounded() -> None:
    assert len(open_decoder(CODECS[20]).lost(360_000)) == 25 * SECOND * 2


# ----------------------------------------------------------------------------------------------- mu-law and plain samples


def test_mulaw_is_that_of_the_standard() -> None:
    decoder = open_decoder(CODECS[10])
    # G.711 table 2a: 0xFF and 0x7F are nothing, 0x80 and 0x00 the ends (8031 of 14 bits, times 4).
    known = {0xFF: 0, 0x7F: 0, 0x80: 32_124, 0x00: -32_124, 0xFE: 8, 0x7E: -8}
    for byte, value in known.items():
        assert decoder.decode(bytes([byte])) == value.to_bytes(2, "little", signed=True)


def test_mulaw_is_that_of_the_standard_library() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="Python 3.13 has none")
    every = bytes(range(256))
    assert open_decoder(CODECS[10]).decode(every) == audioop.ulaw2lin(every, 2)


def test_plain_samples_pass_unchanged() -> None:
    said = sine(440, SECOND, 0.1)
    decoder = open_decoder(CODECS[0])
    assert decoder.decode(said) == said
    assert decoder.decode(b"\x01\x02\x03") == bytes(2)
    assert decoder.garbage == 1


def eight_kilohertz(id: int) -> tuple[Decoder, Sequence[bytes]]:
    decoder = open_decoder(CODECS[id])
    said = sine(1_000, 8_000, 1.2)
    if id == 11:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            audioop = pytest.importorskip("audioop", reason="Python 3.13 has none")
        said = audioop.lin2ulaw(said, 2)
    size = len(said) // 120
    return decoder, [said[at : at + size] for at in range(0, len(said), size)]


@pytest.mark.parametrize("id", [1, 11])
def test_sound_of_8_khz_becomes_the_same_sound_at_16_khz(id: int) -> None:
    decoder, frames = eight_kilohertz(id)
    heard = b"".join(decoder.decode(frame) for frame in frames)
    assert snr(samples(sine(1_000, SECOND))[500:15_500], samples(heard)[500:15_500]) > (60 if id == 1 else 30)


def test_at_8_khz_lost_frames_take_their_time_too() -> None:
    decoder, frames = eight_kilohertz(1)
    heard = b"".join(decoder.decode(frame) for frame in frames[:50]) + decoder.lost(20)
    heard += b"".join(decoder.decode(frame) for frame in frames[70:])
    said = samples(sine(1_000, SECOND, 1.2))
    assert snr(said[12_000:18_000], samples(heard)[12_000:18_000]) > 60


def test_an_unknown_codec_is_named_with_its_device() -> None:
    text = unknown_codec(30, "Omi CV2", "4.1.0")
    assert "codec 30" in text
    assert "Omi CV2" in text
    assert "4.1.0" in text
    assert "docs/voice.md" in text


# ------------------------------------------------------------------------------------------------------------- rates

RATES = (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_stays_the_same_tone_at_any_rate(rate: int) -> None:
    resampler = Resampler(rate)
    heard = resampler.feed(sine(1_000, rate)) + resampler.flush()
    assert len(heard) == SECOND * 2
    assert snr(samples(sine(1_000, SECOND))[300:-300], samples(heard)[300:-300]) > 60


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000, 96_000])
def test_what_16_khz_cannot_hold_does_not_fold_back(rate: int) -> None:
    resampler = Resampler(rate)
    heard = samples(resampler.feed(sine(9_500, rate)) + resampler.flush())[300:-300]
    assert np.sqrt(np.mean(heard**2)) < 10_000 / math.sqrt(2) / 1_000  # 60 dB below


@given(st.lists(st.integers(min_value=0, max_value=700), max_size=30), st.sampled_from(RATES))
def test_it_does_not_matter_how_sound_is_cut(cuts: list[int], rate: int) -> None:
    said = random.Random(7).randbytes(2 * 6_000)
    whole = Resampler(rate)
    expected = whole.feed(said) + whole.flush()
    parts, at, got = Resampler(rate), 0, b""
    for cut in cuts:
        got += parts.feed(said[at : at + 2 * cut])
        at += 2 * cut
    got += parts.feed(said[at:]) + parts.flush()
    assert len(got) == len(expected) == math.ceil(6_000 * SECOND / rate) * 2
    assert np.max(np.abs(samples(got) - samples(expected))) <= 1  # sums in another order may round otherwise


def test_speech_comes_out_as_sox_makes_it() -> None:
    if not (shutil.which("sox") and shutil.which("espeak-ng")):
        pytest.skip("needs sox and espeak-ng: apt install sox espeak-ng")
    wav = subprocess.run(["espeak-ng", "--stdout", "why is my test failing"], check=True, capture_output=True).stdout
    raw = "-t raw -e signed -b 16 -c 1".split()

    def sox(data: bytes, *args: str) -> bytes:
        return subprocess.run(["sox", "-D", "-V1", *args], input=data, check=True, capture_output=True).stdout

    # Low-passed, since filters may differ at the upper end of the band.
    said = sox(wav, "-t", "wav", "-", *raw, "-r", "22050", "-", "gain", "-3", "sinc", "-6k")
    expected = samples(sox(said, *raw, "-r", "22050", "-", *raw, "-", "rate", "-v", "16k"))
    resampler = Resampler(22_050)
    got = samples(resampler.feed(said) + resampler.flush())
    length = min(len(got), len(expected))
    assert abs(len(got) - len(expected)) <= 2
    assert snr(expected[:length], got[:length]) > 40


@pytest.mark.parametrize("cue", sorted(MELODIES))
def test_a_tone_is_short_and_begins_and_ends_softly(cue: Any) -> None:
    heard = samples(tone(cue, SECOND))
    assert 0.05 <= len(heard) / SECOND <= 0.3
    assert abs(heard[0]) < 100
    assert abs(heard[-1]) < 100
    assert 4_000 < np.max(np.abs(heard)) < 12_000
