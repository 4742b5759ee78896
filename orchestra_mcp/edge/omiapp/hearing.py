"""Sound that Omi posts, through an ear for each user: the same wake phrase, utterances and words as from a device.

Source: `docs/doc/developer/apps/AudioStreaming.mdx` of github.com/BasedHardware/omi: 16-bit little-endian mono, some seconds
at a time, `sample_rate` in the query; as of 2026-11. Nothing is kept but the current utterance.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from orchestra_mcp.edge.nouns import RATE, SAMPLE, Heard, Perception, Sound, Utterance
from orchestra_mcp.errors import OrchestraError

logger = logging.getLogger(__name__)

WAITING_S: Final = 60.0
"""Sound that waits for the ears, in seconds; of more the oldest is dropped."""
PIECE_S: Final = 0.1
"""The ear is fed so much at a time."""
TURN_S: Final = 1.0
"""So much is heard in one go, after which others have their turn."""
EARS: Final = 4
"""Users whose sound is heard at the same time; an ear takes some memory."""
SILENT_S: Final = 3.0
"""After so long without sound, silence ends what was being said."""
"""Omi sends some seconds at a time, and nothing while its own ear hears nobody."""
SILENCE_S: Final = 2.0
LOOK_S: Final = 0.5
GONE_S: Final = 600.0
UNDERSTAND_S: Final = 60.0
RATES: Final = (8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000)
"""Samples per second that are taken; a filter for one in between would be large."""
WAIT_FOR_WORDS: Final = 3
"""Utterances of one user that wait to be put into words; of more the newest."""
AT_ONCE: Final = 2
"""Utterances that are put into words at the same time, one of each user."""


class Ear(Protocol):
    """Finds in sound what is meant for us (`edge/ear.py`)."""

    def feed(self, sound: Sound) -> list[Perception]:
        """Hear some sound; called in one thread at a time."""
        ...


class Converter(Protocol):
    """Turns one stream of samples into 16 kHz (`edge/audio/resampling.py`)."""

    def feed(self, pcm: bytes) -> bytes:
        """What can be given out after this piece."""
        ...


@dataclass
class _User:
    """One user's stream."""

    ear: Ear
    rate: int
    converter: Converter
    last_at: float
    silent: bool = False
    """Silence was fed after the last sound."""
    left: bytes = field(default=b"", repr=False)
    """Half a sample."""


class Hearing:
    """Hears users. `run` has to be kept running.

    Args:
        ear: makes an ear; may take long, and is called in a thread.
        converter: from a rate to 16 kHz.
        understand: the words of an utterance of a user; None when it was not meant for us.
        hand_on: told who said what.
        silent_s: after so long without sound, silence ends what was being said.
    """

    def __init__(
        self,
        ear: Callable[[], Ear],
        converter: Callable[[int], Converter],
        understand: Callable[[str, Utterance], Awaitable[Heard | None]],
        hand_on: Callable[[str, Heard], None],
        silent_s: float = SILENT_S,
    ) -> None:
        self._ear, self._converter, self._understand, self._hand_on = ear, converter, understand, hand_on
        self._silent_s = silent_s
        self._waiting: deque[tuple[str, int, bytes]] = deque()
        self._waiting_s = 0.0
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._come = anyio.Event()
        self._spoken: dict[str, deque[Utterance]] = {}
        """What is being put into words, and waits for that, of those users who are at it."""
        self._slots = anyio.Semaphore(AT_ONCE)
        self.dropped_s = 0.0
        """Seconds of sound that came faster than they could be heard."""
        self.trouble = ""
        """Why nothing can be heard here, until the server is started again; empty when it can."""

    def feed(self, uid: str, rate: int, pcm: bytes) -> None:
        """Take some sound; returns at once."""
        length_s = len(pcm) / (rate * SAMPLE)
        self._waiting.append((uid, rate, pcm))
        self._waiting_s += length_s
        while self._waiting_s > WAITING_S and len(self._waiting) > 1:
            _, old_rate, old = self._waiting.popleft()
            self._waiting_s -= len(old) / (old_rate * SAMPLE)
            self.dropped_s += len(old) / (old_rate * SAMPLE)
        self._come.set()

    async def run(self) -> None:
        """Hear what comes, until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                with anyio.move_on_after(LOOK_S if self._users else None):
                    await self._come.wait()
                self._come = anyio.Event()
                while self._waiting:
                    uid, rate, pcm = self._waiting.popleft()
                    self._waiting_s = max(0.0, self._waiting_s - len(pcm) / (rate * SAMPLE))
                    for utterance in await self._heard(uid, rate, pcm):
                        self._to_words(group, uid, utterance)
                for uid, utterance in await self._settle():
                    self._to_words(group, uid, utterance)

    async def _heard(self, uid: str, rate: int, pcm: bytes) -> Sequence[Utterance]:
        user = await self._user(uid, rate)
        if user is None:
            return ()
        user.last_at, user.silent = anyio.current_time(), False
        data = user.left + pcm
        whole = len(data) - len(data) % SAMPLE
        user.left = data[whole:]
        found: list[Utterance] = []
        step = int(TURN_S * rate) * SAMPLE
        for at in range(0, whole, step):
            found += await self._listen(uid, user, data[at : min(at + step, whole)])
        return found

    async def _settle(self) -> Sequence[tuple[str, Utterance]]:
        """Silence for those whose sound has stopped; who has been gone for long is forgotten."""
        found, now = [], anyio.current_time()
        for uid, user in tuple(self._users.items()):
            if now - user.last_at > GONE_S:
                del self._users[uid]
            elif not user.silent and now - user.last_at > self._silent_s:
                user.silent = True
                silence = bytes(int(SILENCE_S * user.rate) * SAMPLE)
                found += [(uid, utterance) for utterance in await self._listen(uid, user, silence)]
        return found

    async def _listen(self, uid: str, user: _User, pcm: bytes) -> list[Utterance]:
        try:
            return await anyio.to_thread.run_sync(_feed, user, pcm)
        except Exception as error:  # noqa: BLE001 - one bad piece of sound must not make us deaf
            logger.warning("Sound of an Omi user could not be heard: %s", type(error).__name__)
            self._users.pop(uid, None)
            return []

    async def _user(self, uid: str, rate: int) -> _User | None:
        user = self._users.get(uid)
        if user is not None and user.rate == rate:
            self._users.move_to_end(uid)
            return user
        try:
            ear = user.ear if user else await anyio.to_thread.run_sync(self._ear)
            converter = await anyio.to_thread.run_sync(self._converter, rate)
        except Exception as error:  # noqa: BLE001 - whatever an ear is made of, the server serves others too
            why = str(error) if isinstance(error, OrchestraError) else type(error).__name__
            if not self.trouble:
                logger.warning("Sound of Omi users cannot be heard: %s", why)
            self.trouble = why
            return None
        made = _User(ear, rate, converter, anyio.current_time())
        self.trouble = ""
        self._users[uid] = made
        self._users.move_to_end(uid)
        if len(self._users) > EARS:
            self._users.popitem(last=False)
        return made

    def _to_words(self, group: TaskGroup, uid: str, utterance: Utterance) -> None:
        if uid in self._spoken:
            self._spoken[uid].append(utterance)
            return
        self._spoken[uid] = deque([utterance], WAIT_FOR_WORDS)
        group.start_soon(self._in_turn, uid)

    async def _in_turn(self, uid: str) -> None:
        """Put what a user said into words, one after the other."""
        waiting = self._spoken[uid]
        try:
            while waiting:
                async with self._slots:
                    await self._words(uid, waiting.popleft())
        finally:
            del self._spoken[uid]

    async def _words(self, uid: str, utterance: Utterance) -> None:
        try:
            with anyio.fail_after(UNDERSTAND_S):
                heard = await self._understand(uid, utterance)
        except (OrchestraError, TimeoutError) as error:
            why = error if isinstance(error, OrchestraError) else "it took too long"
            logger.warning("What an Omi user said could not be put into words: %s", why)
        except Exception as error:  # noqa: BLE001 - the others are heard on
            logger.error("What an Omi user said could not be put into words: %s", type(error).__name__)
        else:
            if heard is not None:
                self._hand_on(uid, heard)


def _feed(user: _User, pcm: bytes) -> list[Utterance]:
    sound = user.converter.feed(pcm)
    step = int(PIECE_S * RATE) * SAMPLE
    pieces = (Sound(sound[at : at + step]) for at in range(0, len(sound), step))
    return [one for piece in pieces for one in user.ear.feed(piece) if isinstance(one, Utterance)]
