"""The wake phrase in synthetic speech and in a recording of a person; figures are in benchmarks/voice.py and voice_people.py, these are
majorities."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import pytest
from speech import mixed_in, needs_speech, noisy, say, silence

pytest.importorskip("numpy", reason="pip install 'orchestra-council[omi]'")
pytest.importorskip("onnxruntime", reason="pip install 'orchestra-council[omi]'")
pytest.importorskip("moonshine_voice", reason="pip install 'orchestra-council[omi]'")
pytest.importorskip("webrtcvad", reason="pip install 'orchestra-council[omi]'")

import numpy as np
import numpy.typing as npt

from orchestra_mcp.edge.acoustic.matching import OTHER, Matcher, matcher
from orchestra_mcp.edge.acoustic.moonshine import FRAME_S, model_directory, moonshine, samples_of
from orchestra_mcp.edge.acoustic.pronunciation import Slot, by_rule, pronounce, slots
from orchestra_mcp.edge.acoustic.sounds import NONE, SOUNDS, sounds
from orchestra_mcp.edge.audio.wavfile import WavSource
from orchestra_mcp.edge.calibration import calibrate, judged
from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.nouns import Signal, Sound, Woken
from orchestra_mcp.edge.wake.spotter import Spotter
from orchestra_mcp.edge.wake.wearer import Calibration
from orchestra_mcp.errors import VoiceError

VOICES = ("rms", "kal16", "en-us", "en-us+f3", "en-us+f5", "en-us+m3")
QUESTION = "hey orchestra, why does the build time out"


@functools.cache
def usual() -> Spotter:
    """Built once: it takes half a second."""
    return Spotter()


def wakes(spotter: Spotter, pcm: bytes) -> int:
    ear = Ear(spotter)
    sound = silence(1) + pcm + silence(1.2)
    return sum(
        isinstance(one, Woken) for at in range(0, len(sound), 640) for one in ear.feed(Sound(sound[at : at + 640]))
    )


async def two_cities(length_s: float) -> bytes:
    """The beginning of "A Tale of Two Cities", read by somebody."""
    pieces: list[bytes] = []

    def note(signal: Signal) -> None:
        if isinstance(signal, Sound):
            pieces.append(signal.pcm)

    await WavSource(model_directory().parent / "two_cities.wav").run(note)
    return b"".join(pieces)[: round(length_s * 32_000)]


# ---------------------------------------------------------------------------------------------------------- speech


@needs_speech
def test_most_voices_wake_it_in_quiet_and_in_noise() -> None:
    assert sum(wakes(usual(), say(QUESTION, voice)) == 1 for voice in VOICES) >= 4
    assert sum(wakes(usual(), noisy(say(QUESTION, voice), 20)) == 1 for voice in VOICES) >= 4


@needs_speech
def test_other_talk_does_not() -> None:
    talk = ("returns the number of items in the list", "we should move this function")
    assert sum(wakes(usual(), say(text, voice)) for text in talk for voice in VOICES[1:3]) == 0


@needs_speech
def test_another_phrase_gets_its_own_spotter() -> None:
    spotter = Spotter("okay computer")
    assert sum(wakes(spotter, say("okay computer", voice)) for voice in VOICES[:3]) >= 2
    assert sum(wakes(spotter, say("hey orchestra", voice)) for voice in VOICES[:2]) == 0


@needs_speech
def test_what_is_told_apart_does_not_wake_it_and_the_phrase_still_does() -> None:
    """With a bound that the other phrase is within."""
    careless, careful = Spotter(), Spotter(not_me=("gray orchestra",))
    careless.bound = careful.bound = 30.0
    assert sum(wakes(careless, say("gray orchestra", voice)) for voice in VOICES[:3]) >= 2
    assert sum(wakes(careful, say("gray orchestra", voice)) for voice in VOICES[:3]) <= 1
    assert sum(wakes(careful, say("hey orchestra", voice)) for voice in VOICES[:3]) >= 2


@needs_speech
def test_the_phrase_costs_less_where_it_is_said_and_ends_where_it_does() -> None:
    spotter = Spotter()
    for voice in VOICES[:3]:
        spotter.begin()
        phrase = say("hey orchestra", voice)
        found = spotter.hear(silence(0.3) + phrase + silence(0.3))
        said = spotter.lowest
        assert found is not None
        assert 0.2 <= found.start_s < 0.6
        assert found.end_s <= 0.3 + len(phrase) / 32_000 + 0.1
        spotter.begin()
        spotter.hear(silence(0.3) + say("we should move this function", voice))
        assert said < spotter.lowest


async def test_the_first_words_that_somebody_reads_are_found_as_a_phrase() -> None:
    said = sounds().logprobs(moonshine().encode(samples_of(await two_cities(3.0))))
    found, other = (
        matcher(phrase).match(said) for phrase in ("it was the best of times", "hey orchestra at the times")
    )
    assert found is not None
    assert other is not None
    assert 0.9 < found.start * FRAME_S < 1.6  # a second of silence is before it
    assert found.end * FRAME_S > 2.4
    assert found.cost < 0.5 * other.cost


async def test_somebody_who_reads_does_not_wake_it() -> None:
    assert wakes(usual(), await two_cities(6.0)) == 0


# ------------------------------------------------------------------------------------------------------- calibration


@needs_speech
def test_calibration_reports_how_many_were_heard() -> None:
    recordings = [
        silence(0.5) + say("hey orchestra", "rms", speed) + silence(0.7) for speed in (0.9, 0.95, 1.0, 1.05, 1.1)
    ]
    found = calibrate(recordings)
    assert (found.tried, found.phrase) == (5, "hey orchestra")
    assert max(count for _, count in found.found) >= 3
    assert [count for _, count in found.found] == sorted(count for _, count in found.found)
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_a_calibration_moves_the_bound_of_its_own_phrase_only() -> None:
    shifted = Calibration(phrase="hey orchestra", shift=0.25)
    assert Spotter(calibration=shifted).bound == Spotter(sensitivity=0.75).bound > usual().bound
    assert Spotter("okay computer", calibration=shifted).bound == usual().bound


def test_calibration_takes_the_lowest_sensitivity_that_is_enough_and_clean() -> None:
    steps = [(0.2, 2), (0.35, 8), (0.5, 9), (0.65, 10), (0.8, 10), (1.0, 10)]
    quiet = [(step, 0) for step, _ in steps]
    assert judged("hey orchestra", 10, steps, quiet).shift == 0.0
    clear = judged("hey orchestra", 10, [(step, 10) for step, _ in steps], quiet)
    assert (clear.shift, clear.helps) == (0.0, False)
    loud = [(step, int(step >= 0.5)) for step, _ in steps]
    careful = judged("hey orchestra", 10, steps, loud)
    assert careful.shift == pytest.approx(-0.15)
    assert careful.helps
    hopeless = judged("hey orchestra", 10, [(step, 1) for step, _ in steps], quiet)
    assert "does not help" in hopeless.advice


def test_too_few_recordings_are_refused() -> None:
    with pytest.raises(VoiceError, match="too few"):
        calibrate([b""] * 4)


# -------------------------------------------------------------------------------------------------------- the words


@pytest.mark.parametrize("phrase", ["hey you", "orchestra", "a b c d e", "hey 42 things"])
def test_a_phrase_that_will_not_do_is_refused(phrase: str) -> None:
    with pytest.raises(VoiceError):
        Spotter(phrase)


def test_a_word_that_no_dictionary_has_is_read_by_rule() -> None:
    assert by_rule("zorblat") == ("Z", "AO", "R", "B", "L", "AE", "T")
    assert by_rule("shate") == ("SH", "EY", "T")
    with pytest.raises(VoiceError, match="no vowel"):
        by_rule("pst")
    assert pronounce("hey") == ("HH", "EY")


def test_an_r_may_be_left_out_and_weak_vowels_change() -> None:
    assert slots(("K", "AA", "R", "T")) == ((("K",), False), (("AA",), False), (("R",), True), (("T",), False))
    assert slots(("R", "AH", "N"))[:2] == ((("R",), False), (("AH", "IH", "EH"), False))


# ----------------------------------------------------------------------------------------- a phrase through its sounds

CAT: tuple[Slot, ...] = ((("K",), False), (("AE",), False), (("T",), False))


def frames(*rows: str | Mapping[str, float]) -> npt.NDArray[np.float32]:
    """Log-probabilities: a sound (or "-" for none) of .9, or some with theirs; the rest is shared by all others."""
    table = []
    for row in rows:
        given = {row: 0.9} if isinstance(row, str) else row
        probabilities = np.full(len(SOUNDS) + 1, (1 - sum(given.values())) / (len(SOUNDS) + 1 - len(given)))
        for name, probability in given.items():
            probabilities[NONE if name == "-" else SOUNDS[name]] = probability
        table.append(probabilities)
    return np.log(np.array(table, np.float32))


def test_a_phrase_that_is_said_costs_nothing() -> None:
    found = Matcher(CAT).match(frames("-", "K", "AE", "AE", "-", "T", "-"))
    assert found is not None
    assert found.cost == pytest.approx(0, abs=1e-5)
    assert (found.start, found.end) == (1, 6)


def test_another_sound_costs_how_much_likelier_it_is() -> None:
    found = Matcher(CAT).match(frames("K", {"EH": 0.7, "AE": 0.2}, "T"))
    assert found is not None
    assert found.cost == pytest.approx(math.log(0.7 / 0.2), abs=1e-4)
    assert (found.start, found.end) == (0, 3)
    either = Matcher((CAT[0], (("AE", "EH"), False), CAT[2])).match(frames("K", {"EH": 0.7, "AE": 0.2}, "T"))
    assert either is not None
    assert either.cost == pytest.approx(0, abs=1e-5)


def test_speech_before_the_phrase_costs_and_silence_does_not() -> None:
    late = Matcher(CAT).match(frames("-", "-", "-", "K", "AE", "T"))
    assert late is not None
    assert late.cost == pytest.approx(0, abs=1e-5)
    assert (late.start, late.end) == (3, 6)
    after = Matcher(CAT).match(frames("S", "S", "K", "AE", "T"))
    assert after is not None
    assert after.cost == pytest.approx(2 * OTHER, abs=1e-4)
    assert (after.start, after.end) == (2, 5)


def test_a_sound_that_may_be_left_out_is_and_the_others_are_not() -> None:
    cart = Matcher(slots(("K", "AA", "R", "T")))
    for row in (("K", "AA", "T"), ("K", "AA", "R", "T")):
        found = cart.match(frames(*row))
        assert found is not None
        assert found.cost == pytest.approx(0, abs=1e-5)
    missing = cart.match(frames("K", "R", "T"))
    assert missing is not None
    assert missing.cost > 4


def test_too_little_sound_has_no_place_for_it() -> None:
    assert Matcher(CAT).match(frames("K", "T")) is None


def test_a_sound_that_comes_twice_needs_a_pause_in_between() -> None:
    twice = Matcher(slots(("T", "T")))
    apart, once = twice.match(frames("T", "-", "T")), twice.match(frames("T", "T", "T"))
    assert apart is not None
    assert apart.cost == pytest.approx(0, abs=1e-5)
    assert once is not None
    assert once.cost > 4


@needs_speech
def test_the_phrase_is_found_after_others_have_talked_for_long() -> None:
    """Voices that never fall silent: the ear cannot know when somebody begins to speak to us."""
    behind = b"".join(
        say("we looked at the numbers again and nothing of it was new to anybody in the room", voice)
        for voice in ("kal16", "en-us+m3", "kal16")
    )
    found = 0
    for voice in VOICES[:3]:
        front = silence(6.5) + say("hey orchestra, why does the build time out", voice)
        found += wakes(Spotter(), mixed_in(front, behind, 10))
    assert found >= 2


@needs_speech
def test_a_beginning_of_the_phrase_that_woke_it_does_not_make_it_deaf() -> None:
    spotter = Spotter(not_me=("hey", "hey or"))
    assert sum(wakes(spotter, say("hey orchestra, what is new", voice)) == 1 for voice in VOICES[:4]) >= 3
