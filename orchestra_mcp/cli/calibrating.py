"""`orchestra omi calibrate`: hear the phrase a few times in the wearer's own voice, and some other talk; keep numbers only."""

from __future__ import annotations

import argparse
from collections import deque
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from orchestra_mcp.cli.running import FAILED, Usage
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.edge import kept
from orchestra_mcp.edge.ear import Ear
from orchestra_mcp.edge.nouns import Nothing, Signal, Sound, Source, Utterance, seconds
from orchestra_mcp.edge.opening import omi_source
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.settings import Settings

REPEATS: Final = 6
WAIT_S: Final = 20.0
"""How long one repetition is waited for, in seconds."""
OTHER_S: Final = 30.0
"""Of other talk, in seconds."""


def calibrate(args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    """Calibrate; returns 1 when it does not help."""
    from orchestra_mcp.edge.calibration import calibrate as judge

    voice, known = user.voice, kept.load(user.home)
    if args.files:
        recordings, background = anyio.run(_from_files, [Path(name) for name in args.files])
    else:
        if desk.as_json or desk.quiet:
            raise Usage("calibrate asks you to speak; without a terminal give recordings with --file")
        recordings, background = anyio.run(_from_wearer, args, desk, user)
    desk.say("Comparing …")
    found = judge(recordings, background, phrase=voice.wake_phrase, not_me=known.not_me)
    kept.save(user.home, known.model_copy(update={"calibration": found.model_dump(mode="json")}))
    if desk.as_json:
        desk.document(found.model_dump(mode="json"))
    else:
        desk.text(found.advice)
        desk.text("Kept, as numbers only; `orchestra listen` uses it from its next start on.")
    return 0 if any(count for _, count in found.found) else FAILED


async def _from_files(files: list[Path]) -> tuple[list[bytes], bytes]:
    """Recordings of the phrase; files whose names begin with `other` are other talk."""
    from orchestra_mcp.edge.audio.wavfile import sound_of

    recordings, background = list[bytes](), b""
    for file in files:
        pcm = await sound_of(file)
        if file.name.startswith("other"):
            background += pcm
        else:
            recordings.append(pcm)
    return recordings, background


async def _from_wearer(args: argparse.Namespace, desk: Desk, user: Settings) -> tuple[list[bytes], bytes]:
    phrase = user.voice.wake_phrase
    recordings: list[bytes] = []
    background, heard, source = b"", _Heard(), _source(args, user)
    failures: list[VoiceError] = []
    async with anyio.create_task_group() as group:

        async def run() -> None:
            try:
                await source.run(heard.note)
            except VoiceError as error:
                failures.append(error)
                group.cancel_scope.cancel()

        group.start_soon(run)
        try:
            while len(recordings) < REPEATS:
                desk.say(f"Say “{phrase}”, and pause ({len(recordings) + 1} of {REPEATS}) …")
                recordings.append(await heard.utterance())
            desk.say(f"Now talk of anything else for {OTHER_S:.0f} s …")
            background = await heard.anything(OTHER_S)
        except VoiceError as error:
            failures.append(error)
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]
    return recordings, background


def _source(args: argparse.Namespace, user: Settings) -> Source:
    if args.mic:
        from orchestra_mcp.edge.audio.microphone import MicrophoneSource

        return MicrophoneSource()
    return omi_source(user.voice.device or kept.load(user.home).device)


class _Heard:
    """What a source tells, taken as it is wanted."""

    def __init__(self) -> None:
        self._sounds: deque[Sound] = deque()
        self._news = anyio.Event()
        self._ear = Ear(None)

    def note(self, signal: Signal) -> None:
        if isinstance(signal, Sound):
            self._sounds.append(signal)
            self._news.set()

    async def utterance(self) -> bytes:
        """The next thing that is said.

        Raises:
            VoiceError: nobody said anything.
        """
        self._ear.expect(WAIT_S)
        try:
            with anyio.fail_after(2 * WAIT_S):
                while True:
                    sound = await self._next()
                    for perception in await anyio.to_thread.run_sync(partial(self._ear.feed, sound)):
                        if isinstance(perception, Utterance):
                            return perception.pcm
                        if isinstance(perception, Nothing):
                            raise TimeoutError
        except TimeoutError:
            raise VoiceError("Nothing was heard. Is the device on and near? Try again.") from None

    async def anything(self, length_s: float) -> bytes:
        """Whatever is to be heard for so long."""
        pcm = bytearray()
        with anyio.move_on_after(3 * length_s):
            while seconds(bytes(pcm)) < length_s:
                pcm += (await self._next()).pcm
        return bytes(pcm)

    async def _next(self) -> Sound:
        while not self._sounds:
            self._news = anyio.Event()
            await self._news.wait()
        return self._sounds.popleft()
