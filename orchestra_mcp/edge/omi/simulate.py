"""A simulated Omi to try the voice with, for `orchestra omi simulate`: it waits for a listener and says something to it.

Two terminals: one runs `simulate`, which prints an address of this machine; the other listens through `simulated_adapter` at that
address. Nothing here imports the Bluetooth stack before it is wanted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import anyio

from orchestra_mcp.edge.audio.wavfile import sound_of
from orchestra_mcp.edge.nouns import ButtonPress
from orchestra_mcp.edge.omi.protocol import CONSUMER, DEV_KIT
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    from orchestra_mcp.edge.omi.backend import VirtualAdapter
    from orchestra_mcp.edge.omi.simulator import SimulatedOmi

KindName = Literal["consumer", "dev-kit"]
SAY: Final = "hey orchestra, why is my test failing?"
LONGEST_TEXT: Final = 500
"""Letters of what is said."""
SPEAKS: Final[dict[str, tuple[str, ...]]] = {
    "flite": ("-voice", "slt", "-f", "{text}", "-o", "{wav}"),
    "espeak-ng": ("-f", "{text}", "-w", "{wav}"),
    "say": ("-f", "{text}", "-o", "{wav}", "--data-format=LEI16@16000"),
}
"""Programs that speak into a file, best first, with their arguments; the text is in a file too. Add here."""
BREATH_S: Final = 1.5
"""From the moment somebody listens to the first word."""
AWAY_S: Final = 6.0
PRESSES: Final[dict[str, ButtonPress]] = {"s": "single", "d": "double", "l": "long", "r": "release"}
KEYS: Final = (
    "s single, d double, l long press, r release, p speak, x drop the link, o out of range, w power on, number battery"
)
"""What `simulate` does at each line of `keys`, for people."""
MISSING: Final = "The simulated device needs its packages: pip install 'orchestra-council[omi,omi-sim]'."


async def speech(text: str) -> bytes:
    """A sentence as 16-bit mono sound at 16 kHz, by the first program of `SPEAKS` that is installed.

    Raises:
        VoiceError: none is, or it failed.
    """
    program = next((name for name in SPEAKS if shutil.which(name)), None)
    if program is None:
        raise VoiceError(f"Nothing here can speak. Install one of {', '.join(SPEAKS)}, or give a WAV file.")
    with tempfile.TemporaryDirectory(prefix="orchestra-say-") as folder:
        written, wav = Path(folder, "text.txt"), Path(folder, "speech.wav")
        await anyio.Path(written).write_text(text[:LONGEST_TEXT])
        command = [program, *(part.format(text=written, wav=wav) for part in SPEAKS[program])]
        try:
            with anyio.fail_after(30):
                done = await anyio.run_process(command, check=False, env={"PATH": os.environ.get("PATH", "")})
        except (OSError, TimeoutError) as error:
            raise VoiceError(f"{program} could not speak. Give a WAV file instead.") from error
        if done.returncode or not await anyio.Path(wav).is_file():
            raise VoiceError(f"{program} could not speak (status {done.returncode}). Give a WAV file instead.")
        return await sound_of(wav)


async def simulate(
    address: str = "tcp:127.0.0.1:0",
    *,
    say: str = SAY,
    wav: Path | None = None,
    kind: KindName = "consumer",
    loss: float = 0.0,
    repeat_s: float = 0.0,
    keys: AsyncIterable[str] | None = None,
    tell: Callable[[str], None] = lambda _line: None,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Be an Omi until cancelled. Each listener that subscribes hears the sentence, once or every so often.

    Args:
        address: where listeners connect, on this machine; port 0 for a free one.
        say: what is spoken, where no `wav` is given.
        wav: what is played.
        kind: of device.
        loss: share of the packets that never arrive, 0 to 1.
        repeat_s: seconds between the end of the sentence and its repetition; 0 to say it once.
        keys: lines that press the button and so on; see `KEYS`.
        tell: takes a line for the user about what happens.
        ready: takes the address for listeners, once they can come.

    Raises:
        VoiceError: a package, a voice or the file is missing, or the address cannot be used.
    """
    try:
        from orchestra_mcp.edge.omi.air import Air, dongles
        from orchestra_mcp.edge.omi.simulator import SimulatedOmi
    except ImportError as error:
        raise VoiceError(MISSING) from error

    pcm = await sound_of(wav) if wav else await speech(say)
    air = Air()
    omi = SimulatedOmi(DEV_KIT if kind == "dev-kit" else CONSUMER)
    omi.mischief.drop(loss)
    async with omi.on(air), dongles(air, address) as listeners:
        omi.idle()
        ready(listeners)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_speak, omi, pcm, repeat_s, tell)
            tasks.start_soon(_tell, omi, tell)
            if keys is not None:
                tasks.start_soon(_obey, omi, keys, pcm, tell)


async def _speak(omi: SimulatedOmi, pcm: bytes, repeat_s: float, tell: Callable[[str], None]) -> None:
    while True:
        await omi.until(lambda o: "audio" in o.subscriptions, None)
        await anyio.sleep(BREATH_S)
        while "audio" in omi.subscriptions:
            tell("speaking")
            await omi.play(pcm)
            if not repeat_s:
                await omi.until(lambda o: "audio" not in o.subscriptions, None)
                break
            await anyio.sleep(repeat_s)


async def _tell(omi: SimulatedOmi, tell: Callable[[str], None]) -> None:
    """Report what the listener does."""
    seen = 0
    while True:
        count = len(omi.log)
        await omi.until(lambda o: len(o.log) > count or len(o.haptics) > seen, None)  # noqa: B023 - awaited at once
        for event in omi.log[count:]:
            tell(event)
        for strength in omi.haptics[seen:]:
            tell(f"vibrates ({strength})")
        seen = len(omi.haptics)


async def _obey(omi: SimulatedOmi, keys: AsyncIterable[str], pcm: bytes, tell: Callable[[str], None]) -> None:
    async for line in keys:
        key = line.strip().lower()
        if key in PRESSES:
            await omi.press(PRESSES[key])
        elif key == "p":
            await omi.play(pcm)
        elif key == "x":
            await omi.disconnect()
        elif key == "o":
            await omi.out_of_range(AWAY_S)
        elif key == "w":
            await omi.power_on()
        elif key.isdigit() and int(key) <= 100:
            await omi.set_battery(int(key))
        elif key:
            tell(KEYS)


@asynccontextmanager
async def simulated_adapter(address: str) -> AsyncIterator[VirtualAdapter]:
    """A Bluetooth adapter that reaches the device of `simulate` at its address; give its `backends` to `OmiSource`.

    Raises:
        VoiceError: a package is missing, or nobody is there.
    """
    try:
        from orchestra_mcp.edge.omi.virtual import remote_adapter
    except ImportError as error:
        raise VoiceError(MISSING) from error
    async with remote_adapter(address) as adapter:
        yield adapter
