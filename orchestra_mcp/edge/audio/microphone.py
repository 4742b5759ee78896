"""The computer's microphone and loudspeaker by PortAudio (package sounddevice; its wheels for macOS and Windows carry the library)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from orchestra_mcp.edge.audio.codecs import MISSING
from orchestra_mcp.edge.audio.resampling import Resampler
from orchestra_mcp.edge.audio.tones import tone
from orchestra_mcp.edge.nouns import RATE, SAMPLE, ButtonPress, Cue, Link, Note, Reception, Sound
from orchestra_mcp.errors import VoiceError

logger = logging.getLogger(__name__)

BLOCK_S: Final = 0.02
KEPT_S: Final = 2.0
"""Sound that waits for a busy event loop; older sound is given up."""
DEAD_S: Final = 3.0
"""A device that gives no sound for so long is opened anew."""
REPORT_S: Final = 10.0
RETRIES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
CUE_S: Final = 3.0
"""Longest time for a tone, with all that it takes to open a loudspeaker."""
PLAYING: Final = threading.Lock()
"""Held while a tone is played: PortAudio may not be ended meanwhile."""
ZEROS_S: Final = 5.0
"""Nothing but zeros for so long is no quiet room: the system keeps the sound from us."""
ECHO_S: Final = 0.15
"""After a tone of our own we stay deaf for so long: the room still answers, and the device still holds it."""

LIBRARY: Final = {
    "linux": "the PortAudio library is missing: install it (Debian, Ubuntu: apt install libportaudio2; Fedora: dnf install portaudio; "
    "Arch: pacman -S portaudio)",
    "darwin": "the PortAudio library that sounddevice carries does not load: pip install --force-reinstall sounddevice",
    "win32": "the PortAudio library that sounddevice carries does not load: pip install --force-reinstall sounddevice",
}
NO_MICROPHONE: Final = {
    "linux": "no microphone is found: plug one in, or choose it in the sound settings (`arecord -l` lists what ALSA sees; in a container "
    "or over SSH there is none)",
    "darwin": "no microphone may be used: allow it for your terminal in System Settings > Privacy & Security > Microphone",
    "win32": "no microphone may be used: allow desktop apps in Settings > Privacy & security > Microphone, or plug one in",
}


def load_portaudio() -> Any:
    """The module sounddevice, with PortAudio started; takes up to a second the first time.

    Raises:
        VoiceError: the package or the library is missing; the message names the mend for this system.
    """
    try:
        import sounddevice
    except ImportError:
        raise VoiceError(
            MISSING.format("the package sounddevice").replace("Sound of an Omi", "The microphone")
        ) from None
    except OSError:
        raise VoiceError(f"The microphone cannot be used: {_mend(LIBRARY)}.") from None
    return sounddevice


def _mend(mends: dict[str, str]) -> str:
    return mends.get(sys.platform, mends["linux"])


@dataclass(frozen=True, slots=True)
class _Way:
    """How a device is opened."""

    device: int
    name: str
    rate: int
    channels: int


class _Tray:
    """Takes blocks from PortAudio's thread and hands them to the event loop. Bounded: the oldest go first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._blocks: deque[bytes] = deque()
        self._rung = False
        self.full = asyncio.Event()
        self.taken = self.dropped = 0
        self.ended = False

    def put(self, data: Any, _frames: int, _time: Any, status: Any) -> None:
        """PortAudio's callback, in its own thread; has to return at once."""
        self._blocks.append(bytes(data))
        self.taken += 1
        self.dropped += bool(status.input_overflow)
        while len(self._blocks) > self._limit:
            self._blocks.popleft()
            self.dropped += 1
        self._ring()

    def end(self) -> None:
        """PortAudio's callback when the stream has stopped, for whatever reason."""
        self.ended = True
        self._rung = False
        self._ring()

    def _ring(self) -> None:
        # One call at a time waits in the loop, however much comes.
        if not self._rung:
            self._rung = True
            with contextlib.suppress(RuntimeError):  # the loop may end before the stream
                self._loop.call_soon_threadsafe(self.full.set)

    def empty(self) -> list[bytes]:
        """All that has come, oldest first."""
        self.full.clear()
        self._rung = False
        blocks: list[bytes] = []
        with contextlib.suppress(IndexError):  # `put` may take away from the front at the same time
            while len(blocks) < self._limit:
                blocks.append(self._blocks.popleft())
        return blocks


class MicrophoneSource:
    """The computer's own microphone. Signs are tones from its loudspeaker; it does not listen to those (but for `woken`,
    which comes while the question is being asked)."""

    talk_button: ButtonPress | None = None
    hold_to_talk = False
    name = "microphone"

    def __init__(self, device: str = "") -> None:
        """Args: device: a part of the name of the microphone; empty: the one that the system has chosen."""
        self._wanted = device
        self._wished = True
        self._deaf_until = 0.0
        self._cues = asyncio.Lock()

    async def run(self, note: Note) -> None:
        """Tell of sound in pieces of 20 ms until cancelled; a device that goes away is awaited.

        Raises:
            VoiceError: there is no PortAudio or no microphone to begin with.
        """
        portaudio = await anyio.to_thread.run_sync(load_portaudio)
        tried = 0
        heard = False
        while True:
            note(Link("connecting", name=self.name))
            try:
                async with self._opened(portaudio, refresh=tried > 0) as (way, tray):
                    self.name = way.name
                    note(Link("connected", name=way.name))
                    tried, heard = 0, True
                    await self._listen(way, tray, note)
                why = "it gives no more sound"
            except portaudio.PortAudioError as error:
                if not heard:
                    raise VoiceError(f"The microphone cannot be used: {_reason(error)}.") from None
                why = _reason(error)
            except VoiceError as error:
                if not heard:
                    raise
                why = str(error)
            wait = RETRIES_S[min(tried, len(RETRIES_S) - 1)]
            note(Link("lost" if not tried else "trouble", f"microphone: {why}; tried again in {wait:g} s", self.name))
            tried += 1
            await anyio.sleep(wait * random.uniform(0.8, 1.2))

    async def hear(self, on: bool) -> None:
        """Pass sound on, or not; also asked for around speaking, so that the answer is not taken for a question."""
        self._wished = on
        if on:
            self._deaf_until = max(self._deaf_until, time.monotonic() + ECHO_S)

    async def cue(self, cue: Cue) -> bool:
        """Play a short tone; False when there is no loudspeaker. Never raises."""
        played = False
        with anyio.move_on_after(CUE_S):
            async with self._cues:
                if cue != "woken":
                    self._deaf_until = time.monotonic() + CUE_S
                try:
                    played = await anyio.to_thread.run_sync(_play, cue, abandon_on_cancel=True)
                finally:
                    if cue != "woken":
                        self._deaf_until = time.monotonic() + (ECHO_S if played else 0)
        return played

    @contextlib.asynccontextmanager
    async def _opened(self, portaudio: Any, refresh: bool) -> AsyncIterator[tuple[_Way, _Tray]]:
        tray = _Tray(asyncio.get_running_loop(), round(KEPT_S / BLOCK_S))
        way, stream = await anyio.to_thread.run_sync(_open, portaudio, self._wanted, tray, refresh)
        try:
            yield way, tray
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_close, stream)

    async def _listen(self, way: _Way, tray: _Tray, note: Note) -> None:
        """Pass on what comes, until nothing comes for `DEAD_S`."""
        resampler = Resampler(way.rate)
        told, taken, dropped = time.monotonic(), 0, 0
        zeros = 0
        while not tray.ended:
            with anyio.move_on_after(DEAD_S) as waiting:
                await tray.full.wait()
            if waiting.cancelled_caught:
                return
            deaf = not self._wished or time.monotonic() < self._deaf_until
            for block in tray.empty():
                zeros = zeros + 1 if zeros >= 0 and block.count(0) == len(block) else -1
                if zeros == round(ZEROS_S / BLOCK_S):
                    note(Link("trouble", f"microphone: it gives nothing but zeros; {_mend(NO_MICROPHONE)}", way.name))
                pcm = resampler.feed(_first_channel(block, way.channels))
                if pcm and not deaf:
                    note(Sound(pcm))
            if time.monotonic() - told >= REPORT_S:
                note(Reception(received=tray.taken - taken, lost=tray.dropped - dropped))
                told, taken, dropped = time.monotonic(), tray.taken, tray.dropped
            await anyio.lowlevel.checkpoint()


def _open(portaudio: Any, wanted: str, tray: _Tray, refresh: bool) -> tuple[_Way, Any]:
    if refresh:
        _list_anew(portaudio)
    way = _way(portaudio, wanted)
    stream = portaudio.RawInputStream(
        samplerate=way.rate,
        blocksize=round(way.rate * BLOCK_S),
        device=way.device,
        channels=way.channels,
        dtype="int16",
        callback=tray.put,
        finished_callback=tray.end,
    )
    try:
        stream.start()
    except BaseException:
        stream.close()
        raise
    return way, stream


def _list_anew(portaudio: Any) -> None:
    """PortAudio lists devices once, when it starts; what was plugged in since is seen by starting it again."""
    if not PLAYING.acquire(timeout=CUE_S):
        return  # ending it under a tone that hangs would end this process
    try:
        portaudio._terminate()
        portaudio._initialize()
    except portaudio.PortAudioError:
        logger.debug("PortAudio could not be started again")
    finally:
        PLAYING.release()


def microphone_name(portaudio: Any) -> str:
    """The microphone that the system has chosen.

    Raises:
        VoiceError: there is none.
    """
    return _way(portaudio, "").name


def _way(portaudio: Any, wanted: str) -> _Way:
    devices = [device for device in portaudio.query_devices() if device["max_input_channels"] > 0]
    if wanted:
        chosen = [device for device in devices if wanted.lower() in device["name"].lower()]
        if not chosen:
            names = ", ".join(f'"{device["name"]}"' for device in devices[:8]) or "none"
            raise VoiceError(f'No microphone is called "{wanted}"; there are: {names}.')
    else:
        default = portaudio.default.device[0]
        chosen = [device for device in devices if device["index"] == default] or devices
    if not chosen:
        raise VoiceError(f"The microphone cannot be used: {_mend(NO_MICROPHONE)}.")
    device = chosen[0]
    most = min(2, device["max_input_channels"])
    rates = dict.fromkeys((RATE, round(device["default_samplerate"]), 48_000, 44_100))
    ways = [_Way(device["index"], device["name"], rate, channels) for rate in rates for channels in range(1, most + 1)]
    for way in ways:
        try:
            portaudio.check_input_settings(device=way.device, channels=way.channels, dtype="int16", samplerate=way.rate)
        except portaudio.PortAudioError:
            continue
        return way
    raise VoiceError(
        f'The microphone "{device["name"]}" takes none of {", ".join(map(str, rates))} samples per second.'
    )


def _reason(error: Exception) -> str:
    """PortAudio's own words, which hold no more than names of states; on a machine without devices, the mend."""
    text = str(error)
    if "querying device" in text.lower() or "device unavailable" in text.lower() or "invalid device" in text.lower():
        return f"{_mend(NO_MICROPHONE)} (PortAudio: {text[:120]})"
    return text[:160]


def _close(stream: Any) -> None:
    try:
        stream.abort()
    except Exception as error:  # noqa: BLE001 - a device that is gone cannot be stopped, and need not be
        logger.debug("The microphone could not be stopped: %s", type(error).__name__)
    stream.close(ignore_errors=True)


def _first_channel(block: bytes, channels: int) -> bytes:
    # One of the two, not their mean: the microphones of some headsets are out of phase.
    return block if channels == 1 else memoryview(block).cast("h")[::channels].tobytes()


def _play(cue: Cue) -> bool:
    """Play a tone on the loudspeaker that the system has chosen; in a thread."""
    try:
        portaudio = load_portaudio()
        device = portaudio.query_devices(kind="output")
        for rate in dict.fromkeys((RATE, round(device["default_samplerate"]))):
            try:
                stream = portaudio.RawOutputStream(samplerate=rate, channels=1, dtype="int16")
            except portaudio.PortAudioError:
                continue
            with PLAYING, stream:
                stream.write(tone(cue, rate) + bytes(round(ECHO_S * rate) * SAMPLE))
            return True
    except Exception as error:  # noqa: BLE001 - a tone is a courtesy; whatever is wrong with the loudspeaker must not end listening
        logger.debug("No tone could be played: %s", type(error).__name__)
    return False
