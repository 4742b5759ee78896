"""The computer's own voice, by whatever speech engine is installed. Text goes in by standard input, where no list of processes
shows it, and never through a shell."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, Process

from orchestra_mcp.edge.nouns import Reply
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.foreign import plain

logger = logging.getLogger(__name__)

WORDS_PER_S: Final = 2.0
"""Slower than any engine reads."""
START_S: Final = 10.0
"""For an engine to start and to say its first word."""
HUSH_S: Final = 2.0
LEAST_WORD_S: Final = 0.08
"""An engine that is done sooner has not spoken: espeak-ng and flite end well without a loudspeaker. (750 words a minute.)"""
MOST_CHARS: Final = 2_000
SILENT: Final = re.compile(
    r"failed to open audio device|unknown pcm|no such audio device|cannot connect to|failed to connect", re.I
)
"""What flite and ALSA say on standard error when nothing can be heard. (Much else that ALSA says means nothing.)"""
COMMANDS: Final = re.compile(r"\[\[|\]\]|[<>&\x00]|\|\||!-!")
"""What some engines take for orders: `[[slnc 9000]]` (say), `[[…]]` (espeak-ng), SSML, `!-!` (spd-say)."""

SECRET: Final = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
"""Variables that an engine, which may load plug-ins, is not given."""

POWERSHELL: Final = (
    "[Console]::InputEncoding = [System.Text.Encoding]::UTF8; $text = [Console]::In.ReadToEnd(); Add-Type -AssemblyName System.Speech; "
    "(New-Object System.Speech.Synthesis.SpeechSynthesizer).Speak($text)"
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that speaks."""

    name: str
    command: tuple[str, ...]
    hush: tuple[str, ...] = ()
    """What silences it where ending the program does not, since a service speaks for it."""
    least_word_s: float = LEAST_WORD_S


ENGINES: Final[dict[str, tuple[Engine, ...]]] = {
    "darwin": (Engine("say", ("say", "-f", "-")),),
    "win32": (Engine("SAPI", ("powershell", "-NoProfile", "-NonInteractive", "-Command", POWERSHELL)),),
    "linux": (
        Engine("Speech Dispatcher", ("spd-say", "--wait", "--pipe-mode"), hush=("spd-say", "-S")),
        Engine("espeak-ng", ("espeak-ng", "--stdin")),
        Engine("flite", ("flite", "-f", "/dev/stdin")),
        Engine("espeak", ("espeak", "--stdin")),
    ),
}
"""By system, in the order in which they are tried. Add here."""
INSTALL: Final = {
    "darwin": "macOS brings `say`; it is not on the PATH",
    "win32": "Windows brings PowerShell; it is not on the PATH",
    "linux": "install one: apt install speech-dispatcher, or apt install espeak-ng",
}


class ComputerVoice:
    """Reads answers aloud, one at a time."""

    def __init__(
        self, engines: Sequence[Engine] | None = None, deafen: Callable[[bool], Awaitable[None]] | None = None
    ) -> None:
        """Args: engines: those that may be used, best first; None: those of this system that are installed.

        deafen: awaited with False before and True after something is said: `hear` of a microphone that would hear the answer.
        """
        if engines is None:
            engines = [
                engine for engine in ENGINES.get(sys.platform, ENGINES["linux"]) if shutil.which(engine.command[0])
            ]
        self._engines = list(engines)
        self._deafen = deafen
        self._turn = anyio.Lock()
        self._speaking: anyio.CancelScope | None = None

    @property
    def engine(self) -> str:
        """The name of the engine that would speak; empty when there is none."""
        return self._engines[0].name if self._engines else ""

    def require(self) -> None:
        """Raises:
        VoiceError: no engine is installed; the message names one.
        """
        if not self._engines:
            mend = INSTALL.get(sys.platform, INSTALL["linux"])
            raise VoiceError(f"No speech engine is found on this computer: {mend}; or set speak = false in [voice].")

    async def tell(self, reply: Reply, link: str = "") -> bool:  # noqa: ARG002 - a link is not read aloud
        """Read a reply aloud; False when nobody can have heard it. Never raises."""
        return await self.say(reply.spoken)

    async def say(self, text: str) -> bool:
        """Read a text aloud and wait until it is said.

        Returns:
            True when it was said to its end; False when it was stopped, or no engine could say it. Cancelling ends the speech.
        """
        text = speakable(text)
        if not text or not self._engines:
            return False
        async with self._turn:
            with anyio.CancelScope() as self._speaking:
                try:
                    await self._deaf(True)
                    # An engine that failed is asked last the next time.
                    for engine in list(self._engines):
                        if await _speak(engine, text):
                            return True
                        self._engines.remove(engine)
                        self._engines.append(engine)
                finally:
                    self._speaking = None
                    with anyio.CancelScope(shield=True), anyio.move_on_after(HUSH_S):
                        await self._deaf(False)
            return False

    def stop(self) -> bool:
        """Fall silent at once; True when something was being said."""
        if self._speaking is None:
            return False
        self._speaking.cancel()
        return True

    async def _deaf(self, on: bool) -> None:
        if self._deafen:
            await self._deafen(not on)


def speakable(text: str) -> str:
    """A text on one line, without what an engine could take for an order."""
    return " ".join(COMMANDS.sub(" ", plain(text[:MOST_CHARS])).split())


async def _speak(engine: Engine, text: str) -> bool:
    """Have one engine say it."""
    words = len(text.split())
    began = time.monotonic()
    complaint = bytearray()
    process: Process | None = None
    done = False
    try:
        # Starting takes a moment; cancelled within it, we would not know what to end.
        with anyio.CancelScope(shield=True):
            process = await _start(engine.command)
        if process is not None:
            with anyio.move_on_after(words / WORDS_PER_S + START_S):
                await _write(process, text.encode() + b"\n")
                await _complaint(process.stderr, complaint)
                await process.wait()
                done = process.returncode == 0
    except (OSError, ValueError):
        logger.info("The speech engine %s cannot be started", engine.name)
        return False
    finally:
        if process is not None:
            with anyio.CancelScope(shield=True):
                await _end(process, engine)
    # Its words may repeat ours, so they are looked at and not logged.
    silent = SILENT.search(complaint.decode("utf-8", "replace"))
    if done and not silent and time.monotonic() - began >= words * engine.least_word_s:
        return True
    logger.info("The speech engine %s could not be heard", engine.name)
    return False


async def _start(command: tuple[str, ...]) -> Process:
    return await anyio.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not SECRET.search(name)},
        start_new_session=os.name == "posix",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


async def _write(process: Process, data: bytes) -> None:
    if process.stdin is None:
        return
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):  # its exit code will say why
        await process.stdin.send(data)
        await process.stdin.aclose()


async def _complaint(stream: ByteReceiveStream | None, into: bytearray) -> None:
    if stream is None:
        return
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for data in stream:
            into += data[: 4_000 - len(into)] if len(into) < 4_000 else b""


async def _end(process: Process, engine: Engine) -> None:
    """Leave nothing behind: neither the program, nor what it started, nor a service that goes on speaking."""
    unfinished = process.returncode is None
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        elif unfinished:
            process.kill()
    with anyio.move_on_after(HUSH_S):
        await process.aclose()
    if unfinished and engine.hush:
        with anyio.move_on_after(HUSH_S), suppress(OSError, subprocess.CalledProcessError):
            await anyio.run_process(engine.hush, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
