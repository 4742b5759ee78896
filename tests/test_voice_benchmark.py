"""The benchmark of the voice: its figures are right, its clips are what they say, and its checks would notice a fault."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from speech import needs_speech, say, silence

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

pytest.importorskip("numpy", reason="pip install 'orchestra-council[omi]'")
import numpy as np  # noqa: E402
import voice_clips  # noqa: E402
import voice_driving as driving  # noqa: E402
import voice_figures as figures  # noqa: E402
import voice_hearing as hearing  # noqa: E402
import voice_sound as sound  # noqa: E402
import voice_speech as speech  # noqa: E402
import voice_stress as stress  # noqa: E402
import voice_texts as texts  # noqa: E402
import voice_voices as who  # noqa: E402


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "voice.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


def test_intervals_are_those_of_the_tables() -> None:
    # Wilson, 95 %: 0 of 10 is z²/(n+z²) = 3.8415/13.8415; 9 of 10 as in Newcombe 1998's formula by hand.
    assert figures.wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-4)
    assert figures.wilson(9, 10) == pytest.approx((0.59585, 0.98212), abs=1e-4)
    # Garwood's limits for counts 0, 2 and 10, as printed in tables of Poisson limits.
    assert figures.poisson(0) == pytest.approx((0.0, 3.6889), abs=1e-3)
    assert figures.poisson(2) == pytest.approx((0.2422, 7.2247), abs=1e-3)
    assert figures.poisson(10) == pytest.approx((4.7954, 18.3904), abs=1e-3)


def test_quantiles_and_word_errors() -> None:
    assert [figures.quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.5, 0.95, 1.0)] == [2.0, 4.0, 4.0]
    assert figures.word_errors("why is my test failing", "why is the test") == (2, 5)
    assert figures.word_errors("", "now then") == (2, 0)


def test_the_splits_share_neither_phrases_nor_voices_nor_sentences() -> None:
    for table in (texts.NEAR, texts.CHATTER, texts.FREE, texts.QUESTIONS, texts.TALK, texts.SELDOM):
        assert not set(table["tune"]) & set(table["final"])
    assert not set(texts._sources("tune")) & set(texts._sources("final"))
    tune, final = ({voice.name for voice in who.voices(split)} for split in ("tune", "final"))
    assert not tune & final
    assert len(who.voices("final")) == 60
    assert sum(voice.engine == "flite" for voice in who.voices("final")) >= 20
    assert len(texts.NEAR["final"]) >= 24
    assert not {voice.name.partition("+")[0] for voice in who.voices("tune")} & {
        voice.name.partition("+")[0] for voice in who.voices("final")
    }


def test_another_version_of_a_split_draws_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = who.voices("final")
    assert texts.edition("tune") == "tune"
    monkeypatch.setitem(texts.VERSION, "final", texts.VERSION["final"] + 1)
    after = who.voices("final")
    assert [voice.name for voice in before] == [voice.name for voice in after]
    assert {voice.speed for voice in before} != {voice.speed for voice in after}


def test_nothing_that_must_not_wake_holds_the_phrase() -> None:
    for split in ("tune", "final"):
        for line in (*texts.NEAR[split], *texts.CHATTER[split], *texts.SELDOM[split], *texts.TALK[split]):
            words = "".join(char if char.isalpha() else " " for char in line.lower()).split()
            assert ("hey", "orchestra") not in itertools.pairwise(words), line


def test_loss_is_as_much_as_asked_and_bursts_are_bursts() -> None:
    alone, bursts = (hearing.Loss(0.2, kind).drops(50_000, 1) for kind in (False, True))
    assert 0.19 < len(alone) / 50_000 < 0.21
    assert 0.18 < len(bursts) / 50_000 < 0.22
    runs = sum(place - 1 not in bursts for place in bursts)
    assert 4.5 < len(bursts) / runs < 5.5
    assert hearing.Loss().drops(1_000, 1) == frozenset()


def test_packets_are_numbered_across_the_wrap_and_split_where_they_must_be() -> None:
    packets = list(driving.notified([b"a" * 300, b"b"], first=65_535))
    assert [packet[:3] for packet in packets] == [b"\xff\xff\x00", b"\x00\x00\x01", b"\x01\x00\x00"]
    assert b"".join(packet[3:] for packet in packets) == b"a" * 300 + b"b"


def test_the_assembler_is_given_what_it_can_put_in_order_and_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stress, "BACK_TO_BACK", 3_000)
    assert [what for what, good in stress._assembled() if not good] == []


def test_noise_is_as_far_below_the_speech_as_asked() -> None:
    spoken = np.concatenate((np.zeros(16_000), np.sin(np.arange(16_000) * 0.2) * 0.2, np.zeros(16_000))).astype(
        np.float32
    )
    hiss = np.random.default_rng(1).standard_normal(len(spoken)).astype(np.float32)
    noise = sound.mixed(spoken, hiss, 10.0, random.Random(1)) - spoken
    measured = 10 * np.log10(sound.active_power(spoken) / np.mean(noise.astype(np.float64) ** 2))
    assert measured == pytest.approx(10.0, abs=0.2)
    assert sound.last_active_s(spoken) == pytest.approx(2.0, abs=0.02)


@needs_speech
@pytest.mark.parametrize("voice", [speech.Voice("espeak", "en-us+f3"), speech.Voice("flite", "rms", 1.1, 1.05, 0.97)])
def test_the_end_of_the_phrase_is_where_it_falls_silent(voice: speech.Voice) -> None:
    spoken = speech.speak(voice, "hey orchestra, why is my test failing")
    assert spoken.phrase_end_s is not None

    def level(begin: float, end: float) -> float:
        window = spoken.samples[round(begin * 16_000) : round(end * 16_000)]
        return float(10 * np.log10(np.mean(window.astype(np.float64) ** 2) + 1e-12))

    at = spoken.phrase_end_s
    assert level(at - 0.08, at - 0.02) > level(at + 0.03, at + 0.06) + 12
    again = speech.speak(voice, "hey orchestra, why is my test failing")
    assert np.array_equal(again.samples, spoken.samples)


@needs_speech
def test_recordings_are_measured_and_told_of_one_by_one(tmp_path: Path) -> None:
    pytest.importorskip("moonshine_voice", reason="pip install 'orchestra-council[omi]'")
    pytest.importorskip("onnxruntime", reason="pip install 'orchestra-council[omi]'")
    pytest.importorskip("opuslib_next", reason="pip install 'orchestra-council[omi]'")
    for name, pcm in (
        ("wake_one.wav", say("hey orchestra, explain this", "rms")),
        ("other_one.wav", say("good morning", "kal16")),
    ):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(silence(1.0) + pcm + silence(1.0))
    done = _run(str(tmp_path / "home"), "--recordings", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "wake_one.wav: " in done.stdout
    assert "other_one.wav: " in done.stdout
    assert "0 in 0.00 h" in done.stdout


@needs_speech
def test_a_minute_of_talk_is_made_of_what_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("opuslib_next", reason="pip install 'orchestra-council[omi]'")
    monkeypatch.setitem(voice_clips.STREAM_S["tune"], "chatter", 10)
    monkeypatch.setattr(voice_clips, "MINUTE_S", 6)
    made = list(voice_clips.clips("tune", "chatter", "quiet", tmp_path))
    kept = list(voice_clips.clips("tune", "chatter", "quiet", tmp_path))
    assert [clip.packets for clip in made] == [clip.packets for clip in kept]
    assert sum(clip.active_s for clip in made) >= 10
    assert len(made[0].pcm) == len(made[0].packets) * made[0].frame * 2
    assert made[0].phrase_end_s is None
    assert made[0].params["voices"]


def test_an_unknown_part_is_named() -> None:
    done = _run("--only", "taste")
    assert done.returncode == 2
    assert "taste" in done.stderr


def test_first_words_of_people_that_make_a_phrase() -> None:
    people = pytest.importorskip("voice_people", reason="pip install 'orchestra-council[omi]'")
    # W AH T, IH Z, DH AH are seven sounds; with M AE T ER they are eleven, of which five are vowels.
    assert people.phrase_of("What is the matter with you?") == "what is the matter"
    assert people.phrase_of("Go. What is the matter?") == ""
    assert people.phrase_of("Xyzzy never works") == ""


def test_recordings_of_people_come_until_there_is_enough(tmp_path: Path) -> None:
    people = pytest.importorskip("voice_people", reason="pip install 'orchestra-council[omi]'")
    clips = [people.Recording(f"a/{number}.wav", "a", "", 10.0) for number in range(30)]
    jobs = list(people.minutes(clips, 15.0, 95.0, tmp_path))
    assert [len(job.clips) for job in jobs] == [
        6,
        4,
    ]  # with the pauses six are a minute; the tenth makes it more than 95 s
    assert len({clip.file for job in jobs for clip in job.clips}) == 10
    assert sum(len(job.clips) for job in people.minutes(clips, 15.0, math.inf, tmp_path)) == 30


def test_people_who_are_not_there_are_named(tmp_path: Path) -> None:
    people = pytest.importorskip("voice_people", reason="pip install 'orchestra-council[omi]'")
    with pytest.raises(SystemExit, match=r"people_make\.py"):
        people.recordings(tmp_path)
