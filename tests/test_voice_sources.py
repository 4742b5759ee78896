"""Sound from files and from a microphone. Files are written by sox and by the standard library; the microphone is ALSA's file
plugin under a real PortAudio, where that library is installed."""

from __future__ import annotations

import asyncio
import ctypes.util
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestra_mcp.edge.audio.microphone import _Tray
from orchestra_mcp.edge.audio.wavfile import WavSource
from orchestra_mcp.edge.nouns import Link, Signal, Sound
from orchestra_mcp.errors import VoiceError

np = pytest.importorskip("numpy", reason="pip install -e '.[omi]'")
needs_sox = pytest.mark.skipif(not shutil.which("sox"), reason="needs sox: apt install sox")


def samples(pcm: bytes) -> Any:
    return np.frombuffer(pcm, "<i2").astype(float)


def snr(expected: Any, got: Any) -> float:
    return float(10 * np.log10(np.sum(expected**2) / max(1e-9, np.sum((expected - got) ** 2))))


def sox(*args: str | Path) -> bytes:
    return subprocess.run(["sox", "-D", "-V1", *map(str, args)], check=True, capture_output=True).stdout


async def heard(source: WavSource) -> tuple[bytes, list[Signal]]:
    told: list[Signal] = []
    with anyio.fail_after(30):
        await source.run(told.append)
    return b"".join(signal.pcm for signal in told if isinstance(signal, Sound)), told


def sine(hertz: float, rate: int = 16_000, seconds: float = 1.0) -> Any:
    return 10_000 * np.sin(2 * math.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write(path: Path, pcm: bytes, rate: int = 16_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


# ------------------------------------------------------------------------------------------------------------- files


async def test_a_file_is_heard_in_pieces_of_20_ms_and_then_3_s_of_silence(tmp_path: Path) -> None:
    said = sine(440).astype("<i2").tobytes()
    pcm, told = await heard(WavSource(write(tmp_path / "said.wav", said)))
    assert told[0] == Link("connected", name="said.wav")
    assert pcm[: len(said)] == said
    assert pcm[len(said) :] == bytes(3 * 16_000 * 2)
    assert {len(signal.pcm) for signal in told if isinstance(signal, Sound)} == {640}


@needs_sox
@pytest.mark.parametrize(
    ("coding", "rate", "channels", "least_db"),
    [
        ("-e unsigned -b 8", 16_000, 1, 30),
        ("-e signed -b 16", 44_100, 2, 50),
        ("-e signed -b 24", 48_000, 2, 50),
        ("-e signed -b 32", 22_050, 1, 50),
        ("-e float -b 32", 48_000, 1, 50),
        ("-e float -b 64", 16_000, 6, 50),
        ("-e mu-law", 8_000, 1, 30),
        ("-e signed -b 16", 11_025, 1, 50),
    ],
)
async def test_every_usual_kind_of_wav_is_heard_alike(
    tmp_path: Path, coding: str, rate: int, channels: int, least_db: float
) -> None:
    path = tmp_path / "tone.wav"
    tone = "synth 1 sine 1000 gain -10.309".split()  # a peak of 10,000 of 32,768
    sox("-n", "-r", str(rate), "-c", str(channels), *coding.split(), path, *tone)
    pcm, _ = await heard(WavSource(path))
    assert len(pcm) == 4 * 16_000 * 2
    assert snr(sine(1_000)[400:-400], samples(pcm)[400 : 16_000 - 400]) > least_db


@needs_sox
async def test_a_file_whose_size_was_not_known_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    path.write_bytes(sox("-n", "-r", "16000", "-b", "16", "-t", "wav", "-", "synth", "1", "sine", "1000"))
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    pcm, _ = await heard(WavSource(path))
    assert len(pcm) == 4 * 16_000 * 2


async def test_other_chunks_and_a_torn_end_do_no_harm(tmp_path: Path) -> None:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # an odd size is padded (RIFF)
    said = sine(440).astype("<i2").tobytes()
    path = tmp_path / "torn.WAV"
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + odd + fmt + odd + b"data" + struct.pack("<I", 99_999) + said[:20_001])
    pcm, _ = await heard(WavSource(path))
    assert pcm[:20_000] == said[:20_000]
    assert len(pcm) == 20_000 + 3 * 32_000


def wav(fmt: bytes, data: bytes = bytes(100), size: int | None = None) -> bytes:
    head = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    return head + b"data" + struct.pack("<I", len(data) if size is None else size) + data


ADPCM = struct.pack("<HHIIHH", 2, 1, 16_000, 8_000, 256, 4)
NO_RATE = struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)
NO_CHANNELS = struct.pack("<HHIIHH", 1, 0, 16_000, 0, 0, 16)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("song.mp3", b"ID3", "no WAV file"),
        ("not.wav", b"\x1aE\xdf\xa3 something else", "no WAV file"),
        ("empty.wav", b"", "no WAV file"),
        ("headless.wav", b"RIFF\0\0\0\0WAVE", "without sound"),
        ("order.wav", b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd", "without sound"),
        ("adpcm.wav", wav(ADPCM), "coding 2, 4 bits"),
        ("rate.wav", wav(NO_RATE), "0 Hz"),
        ("channels.wav", wav(NO_CHANNELS), "0 channels"),
        ("short.wav", wav(b"\1\0"), "cannot read"),
    ],
)
async def test_what_is_no_sound_is_told_so(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VoiceError, match=says) as error:
        await heard(WavSource(tmp_path / name))
    assert str(tmp_path) not in str(error.value)


async def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="there is no such file"):
        await heard(WavSource(tmp_path / "gone.wav"))
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(VoiceError, match="there is no such file"):
        await heard(WavSource(tmp_path / "folder.wav"))


async def test_only_what_a_link_leads_to_counts(tmp_path: Path) -> None:
    """Opening a database's file and closing it again would take its locks, so it is not even opened."""
    (tmp_path / "orchestra.db").write_bytes(bytes(100))
    (tmp_path / "a.wav").symlink_to(tmp_path / "orchestra.db")
    with pytest.raises(VoiceError, match="is no WAV file"):
        await heard(WavSource(tmp_path / "a.wav"))
    (tmp_path / "b.wav").symlink_to(tmp_path / "b.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "c.wav").symlink_to(tmp_path / "pipe.wav")
    for name in ("b.wav", "pipe.wav", "c.wav"):
        with pytest.raises(VoiceError, match="there is no such file"):
            await heard(WavSource(tmp_path / name))
    write(tmp_path / "real.wav", bytes(640))
    (tmp_path / "today").symlink_to(tmp_path / "real.wav")
    assert (await heard(WavSource(tmp_path / "today")))[0][:640] == bytes(640)


async def test_more_than_an_hour_is_too_much(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", b"")
    with path.open("r+b") as file:
        file.seek(40)  # the size of the data chunk, in a header of 44 bytes
        file.write(struct.pack("<I", 3_601 * 32_000))
        file.truncate(44 + 3_601 * 32_000)  # of zeros that take no room
    with pytest.raises(VoiceError, match="longer than an hour"):
        await heard(WavSource(path))


async def test_a_file_waits_while_nobody_listens_and_for_a_listener_who_is_slow(tmp_path: Path) -> None:
    told: list[Signal] = []
    room = anyio.Semaphore(10)
    source = WavSource(write(tmp_path / "said.wav", bytes(32_000)), ready=room.acquire)
    await source.hear(False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run, told.append)
        await anyio.wait_all_tasks_blocked()
        assert not any(isinstance(signal, Sound) for signal in told)
        await source.hear(True)
        while len(told) < 11:  # noqa: ASYNC110 - the source knows no event for it
            await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()
        assert len(told) == 11  # one link and ten pieces, for which there was room
        tasks.cancel_scope.cancel()
    assert not await source.cue("woken")


# -------------------------------------------------------------------------------------------------------- microphone

CHILD = """
import json, os, sys
import anyio
from orchestra_mcp.edge.audio.microphone import MicrophoneSource
from orchestra_mcp.edge.nouns import Link, Sound
from orchestra_mcp.errors import VoiceError

async def main():
    told, pcm = [], []
    enough = anyio.Event()
    def note(signal):
        if isinstance(signal, Link):
            told.append([signal.state, signal.name, signal.detail])
        elif isinstance(signal, Sound):
            pcm.append(signal.pcm)
            if len(pcm) >= int(os.environ["ENOUGH"]):
                enough.set()
    source = MicrophoneSource(*sys.argv[1:])
    async def run(scope):
        try:
            await source.run(note)
        except VoiceError as error:
            told.append(["error", "", str(error)])
            scope.cancel()
    played = deaf = None
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, tasks.cancel_scope)
            await enough.wait()
            played = await source.cue("done")
            await source.hear(False)
            await anyio.sleep(0.05)
            before = len(pcm)
            await anyio.sleep(0.1)
            deaf = len(pcm) == before
            await source.hear(True)
            while len(pcm) == before:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    print(json.dumps({"told": told, "sizes": sorted({len(p) for p in pcm}), "played": played, "deaf": deaf,
                      "first": pcm[0].hex() if pcm else ""}))
anyio.run(main)
"""
# A device that hears a file, as fast as it is read, and whose loudspeaker leads nowhere.
FILE_DEVICE = """
pcm.!default {{ type file slave.pcm "null" file "/dev/null" infile "{infile}" format "raw" }}
pcm.null {{ type null }}
ctl.!default {{ type hw card 0 }}
"""


def portaudio_or_skip() -> None:
    pytest.importorskip("_sounddevice", reason="pip install -e '.[omi]'")
    if sys.platform != "linux" or not ctypes.util.find_library("portaudio"):
        pytest.skip("needs PortAudio and ALSA: apt install libportaudio2")


def microphone(tmp_path: Path, *args: str, config: Path | None = None, enough: int = 40) -> dict[str, Any]:
    environ = {**os.environ, "HOME": str(tmp_path), "ENOUGH": str(enough)}
    if config:
        environ["ALSA_CONFIG_PATH"] = str(config)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *args], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


@pytest.fixture
def file_device(tmp_path: Path) -> Path:
    portaudio_or_skip()
    (tmp_path / "in.raw").write_bytes((sine(440, seconds=20)).astype("<i2").tobytes())
    config = tmp_path / "asound.conf"
    config.write_text(FILE_DEVICE.format(infile=tmp_path / "in.raw"))
    return config


def test_a_microphone_is_heard_and_falls_deaf_and_beeps(tmp_path: Path, file_device: Path) -> None:
    answer = microphone(tmp_path, config=file_device)
    assert [told[:2] for told in answer["told"][:2]] == [["connecting", "microphone"], ["connected", "default"]]
    assert answer["sizes"] == [640]
    assert answer["deaf"]
    assert answer["played"]
    # Whichever piece came first: a sine of 440 Hz, x[n+1] + x[n-1] = 2 cos(w) x[n].
    first = samples(bytes.fromhex(answer["first"]))
    twice = 2 * math.cos(2 * math.pi * 440 / 16_000)
    assert np.max(np.abs(first[2:] + first[:-2] - twice * first[1:-1])) < 4
    assert np.max(np.abs(first)) > 9_000


def test_a_microphone_of_another_name_is_not_taken_for_it(tmp_path: Path, file_device: Path) -> None:
    (told,) = [told for told in microphone(tmp_path, "Yeti", config=file_device)["told"] if told[0] == "error"]
    assert told[2] == 'No microphone is called "Yeti"; there are: "default".'


def test_a_microphone_that_gives_only_zeros_is_told_of(tmp_path: Path, file_device: Path) -> None:
    file_device.write_text(FILE_DEVICE.format(infile="/dev/zero"))
    told = microphone(tmp_path, config=file_device, enough=400)["told"]
    assert [link[0] for link in told].count("trouble") == 1
    assert "nothing but zeros" in next(link[2] for link in told if link[0] == "trouble")


async def test_sound_that_nobody_takes_is_bounded_and_the_newest_is_kept() -> None:
    class Status:
        input_overflow = False

    tray = _Tray(asyncio.get_running_loop(), limit=5)

    def device() -> None:
        for number in range(1_000):
            tray.put(number.to_bytes(2, "little"), 1, None, Status())

    await anyio.to_thread.run_sync(device)
    with anyio.fail_after(5):
        await tray.full.wait()
    assert [int.from_bytes(block, "little") for block in tray.empty()] == [995, 996, 997, 998, 999]
    assert (tray.taken, tray.dropped) == (1_000, 995)
    assert tray.empty() == []
    assert not tray.full.is_set()
    await anyio.to_thread.run_sync(tray.end)
    with anyio.fail_after(5):
        await tray.full.wait()
    assert tray.ended


def test_where_there_is_no_microphone_the_mend_is_named(tmp_path: Path) -> None:
    pytest.importorskip("_sounddevice", reason="pip install -e '.[omi]'")
    answer = microphone(tmp_path)
    if answer["sizes"]:
        pytest.skip("there is a microphone here")
    (told,) = [told for told in answer["told"] if told[0] == "error"]
    assert told[2].startswith("The microphone cannot be used: ")
    if sys.platform == "linux":
        assert "libportaudio2" in told[2] or "arecord -l" in told[2]
