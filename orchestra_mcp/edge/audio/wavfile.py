"""A WAV file as a source of sound, as if somebody said it to a microphone.

The chunks are read here, since the standard library's `wave` takes neither floating point nor, before Python 3.12, the
extensible header that most programs write for 24 bits. Source: Microsoft, Multimedia Programming Interface and Data
Specifications 1.0 (RIFF), and WAVEFORMATEXTENSIBLE in mmreg.h.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import anyio
import anyio.to_thread

from orchestra_mcp.edge.audio.codecs import MISSING, MULAW
from orchestra_mcp.edge.audio.resampling import RATES, Resampler
from orchestra_mcp.edge.nouns import RATE, SAMPLE, ButtonPress, Cue, Link, Note, Signal, Sound
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_S: Final = 0.02
QUIET_S: Final = 3.0
"""Silence after the last word, so that its end is noticed."""
LONGEST_FILE_S: Final = 3_600.0
MOST_CHANNELS: Final = 32
PCM, FLOAT, ULAW, EXTENSIBLE = 1, 3, 7, 0xFFFE
UNBOUNDED: Final = (0, 0xFFFF_FFFF)
"""Sizes that a program writes which does not know how much will come; it is read to the end of the file."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the samples of a file are written."""

    coding: int
    channels: int
    rate: int
    bits: int

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8


class WavSource:
    """A file that is heard once, from its beginning, and then ends."""

    talk_button: ButtonPress | None = None
    hold_to_talk = False

    def __init__(
        self, path: Path | str, realtime: bool = False, ready: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Args: realtime: as fast as it was said, else as fast as it is taken; ready: awaited before each piece, so that a
        listener who is slower than the file is waited for.
        """
        self._path = Path(path)
        self._realtime = realtime
        self._ready = ready
        self._heard = anyio.Event()
        self._heard.set()
        self.name = self._path.name

    async def run(self, note: Note) -> None:
        """Tell of the whole file and of three seconds of silence.

        Raises:
            VoiceError: no such file, no WAV file, or one that is too long or written in a way that is not known.
        """
        file, pieces = await anyio.to_thread.run_sync(self._open)
        try:
            note(Link("connected", name=self.name))
            began, told = time.monotonic(), 0.0
            while pcm := await anyio.to_thread.run_sync(_some, pieces):
                for at in range(0, len(pcm), CHUNK):
                    await self._heard.wait()
                    if self._ready:
                        await self._ready()
                    piece = pcm[at : at + CHUNK]
                    told += len(piece) / (RATE * SAMPLE)
                    # With no wait at all the loop would see to nothing else.
                    await anyio.sleep(max(0.0, began + told - time.monotonic()) if self._realtime else 0)
                    note(Sound(piece))
        finally:
            file.close()

    async def hear(self, on: bool) -> None:
        """A file waits where it is for as long as nobody listens."""
        if on:
            self._heard.set()
        elif self._heard.is_set():
            self._heard = anyio.Event()

    async def cue(self, cue: Cue) -> bool:  # noqa: ARG002 - a file has nobody to tell
        """A file cannot give signs."""
        return False

    def _open(self) -> tuple[BinaryIO, Iterator[bytes]]:
        # Any other file is left closed: one that a database has open in this process would lose its locks. What a link
        # leads to counts, not what it is called.
        path = Path(os.path.realpath(self._path))
        if path.suffix.lower() not in (".wav", ".wave"):
            raise VoiceError(f"{self.name!r} is no WAV file (.wav); sox or ffmpeg make one of other recordings.")
        try:
            if not path.is_file():  # opening a pipe could take for ever
                raise VoiceError(f"{self.name!r}: there is no such file.")
            file = path.open("rb")
        except OSError as error:
            raise VoiceError(f"{self.name!r} cannot be read: {error.strerror or type(error).__name__}.") from None
        try:
            shape, size = read_header(file, self.name)
            rest = os.fstat(file.fileno()).st_size - file.tell()
            size = min(size, rest) if size else rest
            if size / shape.frame / shape.rate > LONGEST_FILE_S:
                raise VoiceError(f"{self.name!r} lasts longer than an hour; cut out what is to be heard.")
            return file, _pieces(file, shape, size)
        except VoiceError:
            file.close()
            raise
        except (OSError, ImportError) as error:
            file.close()
            reason = MISSING.format("the package numpy") if isinstance(error, ImportError) else "it cannot be read."
            raise VoiceError(f"{self.name!r}: {reason}") from None


CHUNK: Final = round(CHUNK_S * RATE) * SAMPLE


async def sound_of(path: Path) -> bytes:
    """A WAV file as 16-bit mono sound at 16 kHz, with some silence after it.

    Raises:
        VoiceError: it is none, or cannot be read.
    """
    pcm = bytearray()

    def note(signal: Signal) -> None:
        if isinstance(signal, Sound):
            pcm.extend(signal.pcm)

    await WavSource(path).run(note)
    return bytes(pcm)


def read_header(file: BinaryIO, name: str) -> tuple[Shape, int]:
    """Read on to the first sample.

    Returns:
        How samples are written, and how many bytes of them there are; 0 when the file does not say.

    Raises:
        VoiceError: not a WAV file, or in a coding that is not known.
    """
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise VoiceError(f"{name!r} is no WAV file; sox or ffmpeg make one of other recordings.")
    shape = None
    for _ in range(1_000):
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        kind, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if kind == b"data":
            if shape:
                return shape, 0 if size in UNBOUNDED else size
            break
        if kind == b"fmt ":
            shape = _shape(file.read(min(size, 64)), name)
            size -= min(size, 64)
        file.seek(size + (size & 1), 1)  # chunks begin at even places
    raise VoiceError(f"{name!r} is a WAV file without sound in it, or a damaged one.")


def _shape(fmt: bytes, name: str) -> Shape:
    def number(at: int, size: int) -> int:
        return int.from_bytes(fmt[at : at + size], "little")

    coding = number(0, 2)
    if coding == EXTENSIBLE and len(fmt) >= 26:
        coding = number(24, 2)  # of the sub-format, whose GUID begins with the old number
    shape = Shape(coding, channels=number(2, 2), rate=number(4, 4), bits=number(14, 2))
    known = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), ULAW: (8,)}.get(coding, ())
    if shape.bits not in known or not 1 <= shape.channels <= MOST_CHANNELS or shape.rate not in RATES:
        raise VoiceError(
            f"{name!r} is a WAV file that Orchestra cannot read (coding {coding}, {shape.bits} bits, {shape.channels} channels, "
            f"{shape.rate} Hz). Any of 8 to 32 bits or floating point will do: sox in.wav -b 16 -r 16000 -c 1 out.wav"
        )
    return shape


def _pieces(file: BinaryIO, shape: Shape, size: int) -> Iterator[bytes]:
    """The file as 16-bit mono sound at 16 kHz, about half a second at a time, and the silence after it."""
    resampler = Resampler(shape.rate)
    block = max(1, shape.rate // 2) * shape.frame
    while size >= shape.frame:
        data = file.read(min(block, size))
        data = data[: len(data) // shape.frame * shape.frame]
        if not data:
            break
        size -= len(data)
        yield resampler.feed(mono(data, shape))
    yield resampler.flush()
    yield bytes(round(QUIET_S * RATE) * SAMPLE)


def _some(pieces: Iterator[bytes]) -> bytes:
    """The next piece that is not empty; nothing after the last."""
    return next((piece for piece in pieces if piece), b"")


def mono(data: bytes, shape: Shape) -> bytes:
    """Samples of any kind as 16-bit mono: the mean of the channels."""
    import numpy as np

    values: NDArray[Any]
    if shape.coding == FLOAT:
        values = np.nan_to_num(np.frombuffer(data, f"<f{shape.bits // 8}").astype(np.float64), posinf=1, neginf=-1)
        values = np.clip(values, -1, 1) * 32_768
    elif shape.coding == ULAW:
        values = np.frombuffer(b"".join(MULAW), "<i2")[np.frombuffer(data, np.uint8)].astype(np.float64)
    elif shape.bits == 8:
        values = (np.frombuffer(data, np.uint8).astype(np.float64) - 128) * 256
    elif shape.bits == 24:
        # The three bytes are the upper ones of four, so that the sign comes out right.
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = wide.reshape(-1).view("<i4").astype(np.float64) / 65_536
    else:
        values = np.frombuffer(data, f"<i{shape.bits // 8}").astype(np.float64) / 2 ** (shape.bits - 16)
    mixed = values.reshape(-1, shape.channels).mean(axis=1)
    return bytes(np.clip(np.rint(mixed), -32_768, 32_767).astype("<i2"))
