"""Puts the parts of the voice together: one listener, or one conversation for each user of the Omi app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from orchestra_mcp.app import Orchestra
from orchestra_mcp.edge import kept
from orchestra_mcp.edge.conversation import Conversation
from orchestra_mcp.edge.listening import Listener
from orchestra_mcp.edge.nouns import Mouth, Reply, Source, Status, Vocabulary
from orchestra_mcp.edge.speaking.delivery import Delivery, DesktopMouth
from orchestra_mcp.edge.speaking.turns import Turns
from orchestra_mcp.edge.understanding import Understanding
from orchestra_mcp.edge.wanting import Wanting
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.settings.voice import Voice
from orchestra_mcp.types import Observer

if TYPE_CHECKING:
    from orchestra_mcp.edge.ear import Ear
    from orchestra_mcp.edge.kept import Kept
    from orchestra_mcp.edge.omi.client import Backends, OmiSource
    from orchestra_mcp.edge.omi.pace import Pace
    from orchestra_mcp.edge.wake.spotter import Spotter

FRESH_S: Final = 300.0
"""Names of a project are looked up again after so long."""


class Everywhere:
    """Several ways to the speaker as one mouth, by their names."""

    def __init__(self, ways: Mapping[str, Mouth]) -> None:
        self._delivery = Delivery(ways)

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Deliver a reply everywhere; False when nobody was reached."""
        return bool(await self._delivery.tell(reply, link))


class Screen:
    """A mouth that only shows."""

    def __init__(self, show: Callable[[Reply, str], None]) -> None:
        self._show = show

    async def tell(self, reply: Reply, link: str = "") -> bool:
        """Show a reply."""
        self._show(reply, link)
        return True


async def open_listener(
    orchestra: Orchestra,
    source: Source,
    voice: Voice,
    *,
    project: str = "",
    here: str = "",
    link: Callable[[str], str] = lambda _: "",
    observer: Observer | None = None,
    show: Callable[[Status], None] = lambda _: None,
    told: Callable[[Reply, str], None] = lambda _reply, _link: None,
) -> Listener:
    """A listener that is ready to run.

    Args:
        orchestra: holds the council.
        source: where sound comes from.
        voice: settings.
        project: the root that was chosen at the start; empty: none.
        here: the root in which it was started.
        link: where the full verdict of a consultation can be read.
        observer: told of what happens in the council.
        show: told of every change of the listener.
        told: told of every reply.

    Raises:
        VoiceError: a package or an engine is missing, or what was kept cannot be read.
        ProjectError: the project of the settings is none.
    """
    orchestra.project(voice.project or project or None)
    home = orchestra.user_settings.home
    turns = Turns(Everywhere({"screen": Screen(told), **mouths(voice)}))
    ear = await anyio.to_thread.run_sync(partial(open_ear, voice, kept.load(home)))
    listeners: list[Listener] = []
    conversation = Conversation(
        orchestra, voice, turns, project=project, here=here, link=link, observer=observer,
        mute=lambda: listeners[0].mute(True),
    )  # fmt: skip
    listener = Listener(
        source, ear, open_understanding(orchestra, voice), conversation, turns,
        wanting=Wanting(voice, home / kept.MUTED), show=show,
    )  # fmt: skip
    listeners.append(listener)
    return listener


def mouths(voice: Voice) -> dict[str, Mouth]:
    """How answers reach people on this computer."""
    ways: dict[str, Mouth] = {}
    if voice.speak:
        from orchestra_mcp.edge.speaking.voice import ComputerVoice

        ways["voice"] = ComputerVoice()
    if voice.notify:
        from orchestra_mcp.telemetry.notifying import Desktop

        ways["desktop"] = DesktopMouth(Desktop())
    return ways


def open_spotter(voice: Voice, known: Kept) -> Spotter:
    """What hears the wake phrase; takes about a second, so call it in a thread.

    Raises:
        VoiceError: the phrase cannot be spotted, a package is missing, or the calibration is damaged.
    """
    from orchestra_mcp.edge.wake.spotter import Spotter

    calibration = None
    if known.calibration:
        from orchestra_mcp.edge.wake.wearer import Calibration

        try:
            calibration = Calibration.model_validate(known.calibration)
        except ValueError:
            raise VoiceError(
                "The calibration that was kept cannot be read; make it again: orchestra omi calibrate"
            ) from None
    return Spotter(voice.wake_phrase, sensitivity=voice.sensitivity, calibration=calibration, not_me=known.not_me)


def open_ear(voice: Voice, known: Kept) -> Ear:
    """An ear that knows the wake phrase, or in button mode none. As `open_spotter`."""
    from orchestra_mcp.edge.ear import Ear

    return Ear(None if voice.mode == "button" else open_spotter(voice, known))


def open_understanding(orchestra: Orchestra, voice: Voice) -> Understanding:
    """What turns utterances into words, by the settings.

    Raises:
        VoiceError: a package or a model is missing.
    """
    from orchestra_mcp.edge.words import engine_of, open_transcriber

    home = orchestra.user_settings.home
    chosen = open_transcriber(voice, orchestra.transcribe, home)
    fallback = None
    if engine_of(voice) != "offline":
        embedded = voice.model_copy(update={"transcriber": "offline"})
        with suppress(VoiceError):  # there is no speech model for this machine
            fallback = open_transcriber(embedded, orchestra.transcribe, home)

    async def may_tell(project: str) -> bool:
        return chosen.offline or await orchestra.may_see(project, chosen.name)

    return Understanding(chosen, fallback, Names(), may_tell)


class Names:
    """The names of projects, looked up anew now and then."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Vocabulary]] = {}

    async def __call__(self, project: str) -> Vocabulary:
        """The names of a project, by its root."""
        from orchestra_mcp.edge.words.vocabulary import vocabulary

        at, known = self._known.get(project, (-FRESH_S, Vocabulary()))
        if anyio.current_time() - at > FRESH_S:
            known = await vocabulary(Path(project))
            self._known[project] = (anyio.current_time(), known)
        return known


def omi_source(
    address: str,
    *,
    paired: Callable[[str, str], None] | None = None,
    backends: Backends | None = None,
    pace: Pace | None = None,
) -> OmiSource:
    """An Omi over Bluetooth.

    Args:
        address: of the device; empty for the only one in range.
        paired: told which one that was.
        backends: of bleak, in place of those of the platform.
        pace: how long to wait for what.

    Raises:
        VoiceError: a package of the extra `omi` is missing.
    """
    from orchestra_mcp.edge.omi.client import OmiSource
    from orchestra_mcp.edge.speaking.devicesound import beep

    return OmiSource(address, paired=paired, beeps=beep, backends=backends, pace=pace)
