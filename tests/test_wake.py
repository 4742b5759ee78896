"""The wake phrase in synthetic speech; figures are in benchmarks/voice.py, these are majorities."""

from __future__ import annotations

import functools

import pytest
from speech import needs_speech, noisy, say, silence

from orchestra_mcp.edge.wake.calibration import Calibration, calibrate, judged
from orchestra_mcp.edge.wake.pronunciation import by_rule, distance, spoken
from orchestra_mcp.errors import VoiceError

pytest.importorskip("pocketsphinx", reason="pip install 'orchestra-council[omi]'")
pytest.importorskip("webrtcvad", reason="pip install 'orchestra-council[omi]'")

from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.nouns import Sound, Woken
from orchestra_mcp.edge.wake.language import rivals
from orchestra_mcp.edge.wake.pronunciation import pronounce
from orchestra_mcp.edge.wake.spotter import Spotter

VOICES = ("rms", "kal16", "en-us", "en-us+f3", "en-us+f5", "en-us+m3")


@functools.cache
def usual() -> Spotter:
    """Built once: it takes a second."""
    return Spotter()


def wakes(spotter: Spotter, pcm: bytes) -> int:
    ear = Ear(spotter)
    sound = silence(1) + pcm + silence(1.5)
    return sum(
        isinstance(one, Woken) for at in range(0, len(sound), 640) for one in ear.feed(Sound(sound[at : at + 640]))
    )


@needs_speech
def test_most_voices_wake_it_in_quiet_and_in_noise() -> None:
    spotter = usual()
    question = "hey orchestra, why does the build time out"
    assert sum(wakes(spotter, say(question, voice)) == 1 for voice in VOICES) >= 4
    assert sum(wakes(spotter, noisy(say(question, voice), 20)) == 1 for voice in VOICES) >= 4


@needs_speech
def test_other_talk_does_not() -> None:
    spotter = usual()
    talk = (
        "returns the number of items in the list and raises an error when it is empty",
        "we should move this function",
    )
    assert sum(wakes(spotter, say(text, voice)) for text in talk for voice in VOICES) == 0


@needs_speech
def test_another_phrase_gets_its_own_spotter() -> None:
    spotter = Spotter("okay computer")
    assert sum(wakes(spotter, say("okay computer, what time is it", voice)) for voice in VOICES) >= 4
    assert sum(wakes(spotter, say("hey orchestra, what time is it", voice)) for voice in VOICES) <= 1


@needs_speech
def test_calibration_reports_how_many_were_heard() -> None:
    recordings = [
        silence(0.8) + say("hey orchestra", "rms", speed) + silence(0.8) for speed in (0.9, 0.95, 1.0, 1.05, 1.1)
    ]
    found = calibrate(recordings)
    assert (found.tried, found.phrase) == (5, "hey orchestra")
    assert max(count for _, count in found.found) >= 3
    assert Calibration.model_validate_json(found.model_dump_json()) == found
    Spotter(calibration=found)


def test_calibration_takes_the_lowest_sensitivity_that_is_enough_and_clean() -> None:
    steps = [(0.2, 2), (0.35, 8), (0.5, 9), (0.65, 10), (0.8, 10), (1.0, 10)]
    quiet = [(step, 0) for step, _ in steps]
    assert judged("hey orchestra", 10, steps, quiet).shift == 0.0
    loud = [(step, int(step >= 0.5)) for step, _ in steps]
    careful = judged("hey orchestra", 10, steps, loud)
    assert careful.shift == pytest.approx(-0.15)
    assert careful.helps
    hopeless = judged("hey orchestra", 10, [(step, 1) for step, _ in steps], quiet)
    assert "does not help" in hopeless.advice


def test_too_few_recordings_are_refused() -> None:
    with pytest.raises(VoiceError, match="too few"):
        calibrate([b""] * 4)


@pytest.mark.parametrize("phrase", ["hey you", "orchestra", "a b c d e", "hey 42 things"])
def test_a_phrase_that_will_not_do_is_refused(phrase: str) -> None:
    with pytest.raises(VoiceError):
        Spotter(phrase)


def test_a_word_that_no_dictionary_has_is_read_by_rule() -> None:
    assert by_rule("zorblat") == ("Z", "AO", "R", "B", "L", "AE", "T")
    assert by_rule("shate") == ("SH", "EY", "T")
    with pytest.raises(VoiceError, match="no vowel"):
        by_rule("pst")
    assert pronounce("hey") == (("HH", "EY"),)


def test_rivals_sound_nearly_alike() -> None:
    near = rivals("hey")
    assert {"they", "say", "may", "day"} <= set(near)
    assert all(any(distance(way, ("HH", "EY")) == 1 for way in pronounce(word)) for word in near)


def test_an_r_may_be_left_out() -> None:
    assert ("K", "AA", "T") in spoken(("K", "AA", "R", "T"))
    assert spoken(("K", "AA", "R", "T"))[0] == ("K", "AA", "R", "T")
