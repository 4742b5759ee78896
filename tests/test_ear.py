"""The ear: what it perceives in sound, how much it keeps, and that chunks make no difference."""

from __future__ import annotations

import functools
import random

import pytest
from speech import needs_speech, noise, say, silence, tone

from orchestra_mcp.edge.nouns import LONGEST_S, Nothing, Pause, Perception, Sound, Utterance, Woken, seconds

pytest.importorskip("webrtcvad", reason="pip install 'orchestra-council[omi]'")
pytest.importorskip("moonshine_voice", reason="pip install 'orchestra-council[omi]'")

from orchestra_mcp.edge.ear import PREROLL_S, SPAN_S, Ear
from orchestra_mcp.edge.wake.spotter import Spotter

CHUNK = 640


@functools.cache
def usual() -> Spotter:
    """Built once: it takes a second."""
    return Spotter()


def hear(ear: Ear, pcm: bytes, chunk: int = CHUNK, *, lost: bool = False) -> list[Perception]:
    """All that is perceived in some sound."""
    return [seen for at in range(0, len(pcm), chunk) for seen in ear.feed(Sound(pcm[at : at + chunk], lost))]


def kinds(found: list[Perception]) -> list[str]:
    return [type(one).__name__ for one in found]


def test_silence_and_steady_noise_are_nobody() -> None:
    ear = Ear(None)
    assert hear(ear, silence(5)) == []
    hear(ear, noise(4))  # its beginning may be taken for somebody
    assert hear(ear, noise(10)) == []
    hear(ear, tone(4))
    assert hear(ear, tone(5)) == []
    assert ear.kept_s <= PREROLL_S + 0.1


def test_a_button_that_is_held_over_silence_tells_nothing() -> None:
    ear = Ear(None)
    hear(ear, silence(1))
    ear.hold()
    hear(ear, silence(2))
    assert ear.release() == [Nothing()]
    assert ear.release() == []


def test_nobody_answers_in_time() -> None:
    ear = Ear(None)
    ear.expect(2.0)
    assert hear(ear, silence(1.9)) == []
    assert hear(ear, silence(0.3)) == [Nothing()]
    assert hear(ear, silence(5)) == []


@needs_speech
def test_what_is_said_while_the_button_is_held_is_the_utterance() -> None:
    ear = Ear(None)
    said = say("why is my test failing")
    hear(ear, silence(1))
    ear.hold()
    hear(ear, said)
    (found,) = ear.release()
    assert isinstance(found, Utterance)
    assert (found.by, found.phrase_s, found.cut) == ("button", 0.0, False)
    assert seconds(said) <= seconds(found.pcm) + 0.02 <= seconds(said) + PREROLL_S + 0.1
    assert said[3200:6400] in found.pcm
    assert ear.kept_s < 0.02


@needs_speech
def test_an_expected_answer_needs_no_phrase_and_ends_in_silence() -> None:
    ear = Ear(None)
    hear(ear, silence(1))
    ear.expect(5.0)
    found = hear(ear, silence(1) + say("yes please do that") + silence(2))
    assert kinds(found) == ["Onset", "Pause", "Utterance"]
    answer = found[-1]
    assert isinstance(answer, Utterance)
    assert answer.by == "expected"
    assert seconds(answer.pcm) < seconds(say("yes please do that")) + 1.0
    assert hear(ear, silence(6)) == []


@needs_speech
def test_strangers_are_forgotten_while_they_speak() -> None:
    ear = Ear(None)
    talk = (say("the weather was fine and nobody wanted to stay at home") + silence(0.2)) * 6
    most = 0.0
    for at in range(0, len(talk), CHUNK):
        ear.feed(Sound(talk[at : at + CHUNK]))
        most = max(most, ear.kept_s)
    assert most <= SPAN_S + 0.1
    hear(ear, silence(2))
    assert ear.kept_s <= PREROLL_S + 0.1


@needs_speech
def test_a_button_held_for_ever_is_cut() -> None:
    ear = Ear(None)
    ear.hold()
    talk = say("the weather was fine and nobody wanted to stay at home") * 12
    assert seconds(talk) > LONGEST_S
    (found,) = [one for one in hear(ear, talk) if isinstance(one, Utterance)]
    assert found.cut
    assert seconds(found.pcm) == pytest.approx(LONGEST_S, abs=0.05)
    assert ear.release() == []


@needs_speech
def test_lost_sound_is_counted_and_ends_nothing() -> None:
    ear = Ear(None)
    said = say("please explain the stack trace to me")
    hear(ear, silence(1))
    ear.expect(5.0)
    half = len(said) // 2 // CHUNK * CHUNK
    found = hear(ear, silence(0.5) + said[:half])
    found += hear(ear, silence(0.9), lost=True)
    found += hear(ear, said[half:] + silence(2))
    (heard,) = [one for one in found if isinstance(one, Utterance)]
    assert heard.lost_s == pytest.approx(0.9, abs=0.03)
    assert seconds(heard.pcm) > seconds(said)


@needs_speech
def test_reset_forgets_everything() -> None:
    ear = Ear(None)
    ear.expect(3.0)
    hear(ear, silence(0.5) + say("yes"))
    ear.reset()
    assert ear.kept_s == 0
    assert hear(ear, silence(5)) == []


@needs_speech
def test_the_question_after_the_phrase_is_taken_down_in_any_chunks() -> None:
    sound = silence(1) + say("hey orchestra, why is my test failing", "rms") + silence(2)
    found = hear(Ear(Spotter()), sound)  # each its own: a spotter gets to know voice and microphone while it listens
    assert kinds(found) == ["Onset", "Woken", "Pause", "Utterance"]
    woken, pause, said = found[1], found[2], found[3]
    assert isinstance(woken, Woken)
    assert isinstance(said, Utterance)
    assert isinstance(pause, Pause)
    assert pause.so_far.pcm == said.pcm, "so that what was begun at the pause need not be done again"
    assert 0 <= woken.score <= 1
    assert 0.3 < said.phrase_s < 1.6
    assert 1.2 < seconds(said.pcm) < 4
    dice = random.Random(7)
    ear, at, again = Ear(Spotter()), 0, []
    while at < len(sound):
        step = 2 * dice.randrange(160, 3200)
        again += ear.feed(Sound(sound[at : at + step]))
        at += step
    assert kinds(again) == kinds(found)
    assert isinstance(again[3], Utterance)
    assert again[3].phrase_s == pytest.approx(said.phrase_s)
    assert abs(seconds(again[3].pcm) - seconds(said.pcm)) < 0.05


@needs_speech
def test_the_phrase_and_then_silence_is_nothing() -> None:
    found = hear(Ear(usual()), silence(1) + say("hey orchestra", "rms") + silence(6))
    assert kinds(found) == ["Onset", "Woken", "Nothing"]
