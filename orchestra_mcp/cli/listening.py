"""`orchestra listen`: hear questions, and show what the listener does."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli.running import with_orchestra
from orchestra_mcp.cli.statusline import StatusLine
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.edge import kept
from orchestra_mcp.edge.listening import Listener
from orchestra_mcp.edge.nouns import Source
from orchestra_mcp.edge.opening import omi_source, open_listener
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.settings.voice import Voice


def listen(args: argparse.Namespace, desk: Desk) -> int:
    """Listen until Ctrl+C, or to the end of a recording."""
    if args.file or args.no_dashboard:
        with_orchestra(partial(_listen, args, desk, _nowhere))
        return 0
    from orchestra_mcp.web.serving import serve_door

    def show(address: str) -> None:
        # A ticket is for the person at the terminal, not for a file or another program.
        desk.say(f"Verdicts are shown at {address if desk.lively else address.partition('#')[0]}")

    async def beside(orchestra: Orchestra, page: Callable[[str], str]) -> None:
        await _listen(args, desk, page, orchestra)

    return serve_door(os.environ, show=show, beside=beside)


def _nowhere(_id: str) -> str:
    return ""


async def _listen(args: argparse.Namespace, desk: Desk, page: Callable[[str], str], orchestra: Orchestra) -> None:
    project = orchestra.project(args.project) if args.project else None
    voice = orchestra.user_settings.voice
    if args.file or args.mic:
        _require_ears(args, voice, orchestra.user_settings.home)
    listeners: list[Listener] = []

    async def ready() -> None:
        for listener in listeners:
            await listener.ready()

    with StatusLine(desk) as line:
        async with _source(args, orchestra, ready) as source:
            listener = await open_listener(
                orchestra, source, voice.model_copy(update={"hours": ""}) if args.file else voice,
                project=str(project or ""), here=str(orchestra.project(None) or ""), link=page, observer=line.heed, show=line.show, told=line.told,
            )  # fmt: skip
            listeners.append(listener)
            await listener.run()


def _require_ears(args: argparse.Namespace, voice: Voice, home: Path) -> None:
    """Refuse what would listen to nothing for ever.

    Raises:
        VoiceError: it is muted and plays a recording, or waits for a button that there is not.
    """
    if voice.mode == "button":
        raise VoiceError('mode = "button" under [voice] needs an Omi with its button; set mode = "wake" for this.')
    if args.file and (home / kept.MUTED).exists():
        raise VoiceError("It is muted, so that the recording would not be heard: orchestra omi unmute")


@asynccontextmanager
async def _source(
    args: argparse.Namespace, orchestra: Orchestra, ready: Callable[[], Awaitable[None]]
) -> AsyncIterator[Source]:
    """Where sound comes from; heavy packages are loaded only for what was chosen."""
    if args.file:
        from orchestra_mcp.edge.audio.wavfile import WavSource

        yield WavSource(args.file, ready=ready)
    elif args.mic:
        from orchestra_mcp.edge.audio.microphone import MicrophoneSource

        yield MicrophoneSource()
    elif args.simulated:
        from orchestra_mcp.edge.omi.simulate import simulated_adapter

        async with simulated_adapter(args.simulated) as adapter:
            yield omi_source("", backends=adapter.backends)
    else:
        home = orchestra.user_settings.home
        address = args.device or orchestra.user_settings.voice.device or kept.load(home).device
        yield omi_source(address, paired=partial(remember, home))


def remember(home: Path, address: str, name: str) -> None:
    """Listen to this device from now on."""
    kept.save(home, kept.load(home).model_copy(update={"device": address, "device_name": name}))
