"""When a listener listens, and when it does not: a source of our own, the real ear without a phrase, a real house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from speech import needs_speech, say, silence

from orchestra_mcp.app import Orchestra
from orchestra_mcp.edge.conversation import Conversation
from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.listening import FAILED, Listener
from orchestra_mcp.edge.nouns import (
    RATE,
    ButtonPress,
    Charge,
    Cue,
    Heard,
    Link,
    Note,
    Perception,
    Pressed,
    Reception,
    Reply,
    Sound,
    Status,
    Transcriber,
    Utterance,
    Vocabulary,
)
from orchestra_mcp.edge.signals import QUEUE_S
from orchestra_mcp.edge.speaking.turns import Turns
from orchestra_mcp.edge.understanding import Understanding
from orchestra_mcp.edge.wanting import Wanting
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.settings.voice import Voice


@dataclass
class Device:
    """A source that does what a test tells it to."""

    name: str = "device"
    talk_button: ButtonPress | None = "single"
    hold_to_talk: bool = False
    wished: list[bool] = field(default_factory=list)
    cues: list[Cue] = field(default_factory=list)
    note: Note | None = None
    begun: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    trouble: str = ""

    async def run(self, note: Note) -> None:
        if self.trouble:
            raise VoiceError(self.trouble)
        self.note = note
        self.begun.set()
        await self.ended.wait()

    async def hear(self, on: bool) -> None:
        self.wished.append(on)

    async def cue(self, cue: Cue) -> bool:
        self.cues.append(cue)
        return True

    def tell(self, *signals: Any) -> None:
        assert self.note is not None
        for signal in signals:
            self.note(signal)


@dataclass
class Engine:
    """An engine that understands one sentence, or fails."""

    text: str = ""
    error: str = ""
    doubt: str = ""
    woken: bool | None = None
    name: str = "engine"
    offline: bool = True
    asked: list[Utterance] = field(default_factory=list)

    async def prepare(self, vocabulary: Vocabulary) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
        self.asked.append(utterance)
        if self.error:
            raise VoiceError(self.error)
        return Heard(self.text, self.name, 0.9, self.doubt, self.woken)


@dataclass
class Room:
    device: Device
    listener: Listener
    replies: list[Reply]
    shown: list[Status]
    muted: Path

    async def until(self, holds: Callable[[], object]) -> None:
        with anyio.fail_after(20):
            while not holds():  # noqa: ASYNC110 - what is waited for happens in many places
                await anyio.sleep(0.01)


class Mouth:
    def __init__(self) -> None:
        self.replies: list[Reply] = []

    async def tell(self, reply: Reply, link: str = "") -> bool:
        self.replies.append(reply)
        return True


@asynccontextmanager
async def room(
    environ: dict[str, str], tmp_path: Path, repo: Path, voice: Voice, engine: Transcriber,
    fallback: Transcriber | None = None, now: time = time(12), device: Device | None = None, ear: Ear | None = None,
) -> AsyncIterator[Room]:  # fmt: skip
    device, mouth, shown = device or Device(), Mouth(), list[Status]()
    turns = Turns(mouth)

    async def names(_: str) -> Vocabulary:
        return Vocabulary()

    async def may_tell(_: str) -> bool:
        return True

    async with Orchestra.open(environ) as orchestra:
        listener = Listener(
            device, ear or Ear(None), Understanding(engine, fallback, names, may_tell), Conversation(orchestra, voice, turns, project=str(repo)), turns,
            wanting=Wanting(voice, tmp_path / "muted", lambda: now), show=shown.append,
        )  # fmt: skip
        async with anyio.create_task_group() as group:
            group.start_soon(listener.run)
            await device.begun.wait()
            yield Room(device, listener, mouth.replies, shown, tmp_path / "muted")
            device.ended.set()


def speech(text: str) -> list[Sound]:
    pcm = silence(0.5) + say(text) + silence(1.2)
    return [Sound(pcm[at : at + 640]) for at in range(0, len(pcm), 640)]


async def test_outside_of_the_hours_no_sound_is_wanted(environ: dict[str, str], tmp_path: Path, repo: Path) -> None:
    voice = Voice(hours="22:00-06:30")
    for at, wanted in ((time(23), True), (time(6, 29), True), (time(6, 30), False), (time(12), False)):
        async with room(environ, tmp_path, repo, voice, Engine(), now=at) as on:
            assert on.device.wished == [wanted], at


async def test_in_button_mode_sound_is_wanted_from_the_tap_on(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with room(environ, tmp_path, repo, Voice(mode="button"), Engine()) as on:
        assert on.device.wished == [False]
        on.device.tell(Pressed("single"))
        await on.until(lambda: on.device.wished == [False, True])
        await on.until(lambda: on.device.cues == ["woken"])


@needs_speech
async def test_what_is_said_after_the_tap_is_asked(environ: dict[str, str], tmp_path: Path, repo: Path) -> None:
    engine = Engine("why is the parser slow")
    async with room(environ, tmp_path, repo, Voice(mode="button"), engine) as on:
        on.device.tell(Pressed("single"))
        await on.until(lambda: True in on.device.wished)
        on.device.tell(*speech("why is the parser slow"))
        await on.until(lambda: on.replies)
        assert len(engine.asked) == 1
        assert on.replies[0].heard == "why is the parser slow"
        assert on.replies[0].consultation
        await on.until(lambda: on.device.wished[-1] is False)
        assert {"listening", "thinking", "idle"} <= {status.state for status in on.shown} | {"listening"}


@needs_speech
async def test_an_engine_that_fails_is_replaced_and_its_words_are_read_back(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    engine, other = Engine(error="the vendor is down"), Engine("why is the parser slow", name="other")
    async with room(environ, tmp_path, repo, Voice(), engine, other) as on:
        on.device.tell(Pressed("single"), *speech("why is the parser slow"))
        await on.until(lambda: on.replies)
        assert on.replies[0].expects
        assert not on.replies[0].consultation
        assert any("the vendor is down" in status.detail for status in on.shown)


@needs_speech
@needs_speech
async def test_an_engine_that_breaks_in_an_unforeseen_way_is_replaced_too(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    class Broken(Engine):
        async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
            raise ValueError("what was said")

    for other in (Engine("why is the parser slow", name="other"), None):
        async with room(environ, tmp_path, repo, Voice(), Broken(), other) as on:
            on.device.tell(Pressed("single"), *speech("why is the parser slow"))
            await on.until(lambda: on.replies or "failed" in on.device.cues)
            assert any("ValueError" in status.detail for status in on.shown)
            assert not any("what was said" in status.detail for status in on.shown)


async def test_a_broken_ear_or_device_is_told_of_and_survived(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    class Deaf(Device):
        async def hear(self, on: bool) -> None:
            await super().hear(on)
            if len(self.wished) == 2:
                raise RuntimeError("no")

    async with room(environ, tmp_path, repo, Voice(), Engine(), device=Deaf()) as on:
        on.device.tell(Pressed("double"))
        await on.until(lambda: on.device.wished == [True, False])
        on.device.tell(Pressed("double"))
        await on.until(lambda: on.device.wished == [True, False, True])

    class Torn(Ear):
        def feed(self, sound: Sound) -> list[Perception]:
            raise RuntimeError("no")

    async with room(environ, tmp_path, repo, Voice(), Engine(), ear=Torn(None)) as on:
        on.device.tell(Sound(bytes(640)))
        await on.until(lambda: on.shown and "RuntimeError" in on.shown[-1].detail)
        on.device.tell(Pressed("double"))
        await on.until(lambda: on.muted.exists())


@needs_speech
async def test_what_was_said_before_muting_is_not_asked_after_it(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    class Slow(Engine):
        begun, go = anyio.Event(), anyio.Event()

        async def transcribe(self, utterance: Utterance, vocabulary: Vocabulary) -> Heard:
            self.begun.set()
            await self.go.wait()
            return await super().transcribe(utterance, vocabulary)

    engine = Slow("why is the parser slow")
    async with room(environ, tmp_path, repo, Voice(), engine) as on:
        on.device.tell(Pressed("single"), *speech("why is the parser slow"))
        await engine.begun.wait()
        on.muted.touch()
        engine.go.set()
        await on.until(lambda: on.shown[-1].state == "muted" and engine.asked)
        await anyio.sleep(0.1)
        assert not on.replies


@needs_speech
async def test_a_tap_is_a_yes_only_while_one_is_awaited(environ: dict[str, str], tmp_path: Path, repo: Path) -> None:
    async with room(environ, tmp_path, repo, Voice(), Engine("why is it slow", doubt="unclear")) as on:
        on.device.tell(Pressed("single"), *speech("why is the parser slow"))
        await on.until(lambda: on.replies and on.shown[-1].state == "confirming")
        on.device.tell(Pressed("single"))
        await on.until(lambda: len(on.replies) == 2)
        assert on.replies[1].consultation
        on.device.tell(Pressed("single"), *speech("why is the parser slow"))
        await on.until(lambda: len(on.replies) == 3 and on.shown[-1].state == "confirming")
        on.muted.touch()
        await on.until(lambda: on.shown[-1].state == "muted")
        failed = on.device.cues.count("failed")
        on.device.tell(Pressed("single"))
        await on.until(lambda: on.device.cues.count("failed") > failed)
        on.muted.unlink()
        on.device.tell(Pressed("single"))
        await on.until(lambda: on.shown[-1].state == "listening")
        assert len(on.replies) == 3


async def test_without_another_engine_the_failure_is_shown_and_felt(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with room(environ, tmp_path, repo, Voice(), Engine(error="the vendor is down")) as on:
        on.device.tell(Pressed("single"), *speech("why is the parser slow"))
        await on.until(lambda: "failed" in on.device.cues and on.replies)
        assert [(reply.spoken, reply.failed) for reply in on.replies] == [(FAILED, True)]
        assert any("the vendor is down" in status.detail for status in on.shown)


async def test_a_low_battery_stops_the_sound_unless_it_charges(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with room(environ, tmp_path, repo, Voice(low_battery=20), Engine()) as on:
        on.device.tell(Charge(21))
        on.device.tell(Charge(20))
        await on.until(lambda: on.device.wished == [True, False])
        await on.until(lambda: on.device.cues == ["battery"])
        on.device.tell(Charge(19))
        on.device.tell(Charge(19, charging=True))
        await on.until(lambda: on.device.wished == [True, False, True])
        assert on.device.cues == ["battery"]


async def test_a_double_press_mutes_and_unmutes_and_a_tap_while_muted_says_so(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with room(environ, tmp_path, repo, Voice(), Engine()) as on:
        on.device.tell(Pressed("double"))
        await on.until(lambda: on.device.wished == [True, False])
        assert on.muted.exists()
        on.device.tell(Pressed("single"))
        await on.until(lambda: "failed" in on.device.cues)
        assert on.device.wished == [True, False]
        on.device.tell(Pressed("double"))
        await on.until(lambda: on.device.wished == [True, False, True])
        assert not on.muted.exists()


async def test_bad_reception_is_shown_with_what_helps(environ: dict[str, str], tmp_path: Path, repo: Path) -> None:
    async with room(environ, tmp_path, repo, Voice(), Engine()) as on:
        on.device.tell(Reception(received=80, lost=20))
        await on.until(lambda: on.shown and "20%" in on.shown[-1].detail)
        on.device.tell(Reception(received=50, lost=50))
        await on.until(lambda: "button" in on.shown[-1].detail)
        on.device.tell(Link("lost", "out of range"))
        await on.until(lambda: on.shown[-1].state == "away" and on.shown[-1].detail == "out of range")


async def test_sound_that_cannot_be_listened_to_in_time_is_dropped_oldest_first_and_counted(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    async with room(environ, tmp_path, repo, Voice(), Engine()) as on:
        for _ in range(20):
            on.device.tell(Sound(bytes(RATE * 2)))
        assert on.listener.dropped_s == pytest.approx(20 - QUEUE_S)


async def test_a_source_that_cannot_work_ends_the_listener_with_its_words(
    environ: dict[str, str], tmp_path: Path, repo: Path
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(VoiceError, match="no radio")):
        async with room(environ, tmp_path, repo, Voice(), Engine(), device=Device(trouble="no radio")) as on:
            pytest.fail(f"it listens to {on.device}")


async def test_a_wake_that_a_better_engine_does_not_confirm_was_not_meant_for_us() -> None:
    async def names(_: str) -> Vocabulary:
        return Vocabulary(identifiers=("load_settings",))

    async def may_tell(_: str) -> bool:
        return False

    unheard = Understanding(Engine("hello there", woken=False), None, names, may_tell)
    assert await unheard.of(Utterance(b"", "wake"), "/p") is None
    assert (await unheard.of(Utterance(b"", "button"), "/p")) is not None
    # A vendor that may not see the project's names: its words are mended with them here.
    mended = await Understanding(Engine("where is load settings used"), None, names, may_tell).of(
        Utterance(b"", "button"), "/p"
    )
    assert mended is not None
    assert mended.text == "where is load_settings used"
