"""An Omi as a source of sound: found, connected, and found again whenever it was away."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import anyio

from orchestra_mcp.edge.nouns import ButtonPress, Cue, Link, Note, Signal
from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.flow import Stillness
from orchestra_mcp.edge.omi.pace import Pace, delay
from orchestra_mcp.edge.omi.radio import HELD, Hope, explain, failures
from orchestra_mcp.edge.omi.scanning import Found, held_by_system, look
from orchestra_mcp.edge.omi.session import Beeps, Opening, Profile, Session
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.scanner import BaseBleakScanner

    from orchestra_mcp.edge.audio.codecs import Decoder

LinkState = Literal["searching", "connecting", "connected", "lost", "trouble"]
Backends = tuple["type[BaseBleakScanner]", "type[BaseBleakClient]"]
Paired = Callable[[str, str], None]
"""Takes the address and the name of the device that was chosen, to be remembered."""


def several(found: tuple[Found, ...]) -> str:
    """What is said when nobody has told which of several devices is meant."""
    labels = " and ".join(device.label for device in found)
    return (
        f"{len(found)} Omis are in range: {labels}. Say which one is yours: set `device` under [voice] to its address, such "
        f'as device = "{found[0].address}". `orchestra omi scan` lists them.'
    )


class OmiSource:
    """A `nouns.Source` over Bluetooth Low Energy. Packages: extra `omi`.

    Args:
        address: of the device that is wanted; empty for the only one in range, which is then told to `paired`.
        opening: gives a decoder for a codec; `audio.codecs.open_decoder` unless told.
        paired: takes the device that was chosen, when none was wanted before.
        beeps: what is written to the speaker for a sign, for devices without a motor.
        backends: of bleak, for scanning and connecting, in place of those of the platform.
        pace: how long to wait for what.
    """

    def __init__(
        self,
        address: str = "",
        opening: Opening | None = None,
        *,
        paired: Paired | None = None,
        beeps: Beeps | None = None,
        backends: Backends | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.name = "Omi"
        self.talk_button: ButtonPress | None = protocol.CONSUMER.talk
        self.hold_to_talk = protocol.CONSUMER.held
        self.address = address
        self.profile: Profile | None = None
        """What the device is; None before it was connected for the first time."""
        self._opening = opening or _open_decoder
        self._paired = paired
        self._beeps = beeps
        self._backends = backends
        self._pace = pace or Pace()
        self._hear = True
        self._session: Session | None = None
        self._worked = False  # the radio has worked, so that what is missing now may come back
        self._stuck = False  # nothing but a mend of the radio helps
        self._failed = 0
        self._since = 0.0
        self._why = ""
        self._others: set[str] = set()
        self._link = Link("lost")
        self._note: Note = _nowhere
        self._stillness = Stillness(_nowhere)

    async def run(self, note: Note) -> None:
        """Tell of everything until cancelled.

        Raises:
            VoiceError: no package, no radio, no permission, a codec that is not known, or two devices and no choice.
        """
        errors = failures()
        self._note, self._since = note, time.monotonic()
        self._stillness = stillness = Stillness(note)
        ticker = _Ticker(self._pace.tick_s, self._tick)
        try:
            while True:
                hope: Hope = "soon"
                try:
                    await self._attempt(stillness)
                except errors as error:
                    hope = self._trouble(error)
                if hope == "soon":
                    self._failed += 1
                    away = time.monotonic() - self._since
                    # Chance that no secret hangs on.
                    await anyio.sleep(delay(self._failed, away, self._pace, random.random()))
                else:
                    await anyio.sleep(self._pace.radio_s)
        finally:
            ticker.stop()
            self._note = _nowhere

    async def hear(self, on: bool) -> None:
        """Have sound sent, or not; while there is no connection it is remembered."""
        self._hear = on
        if not on:
            self._stillness.forget()
        session = self._session
        if session is not None:
            await session.hear(on)

    async def cue(self, cue: Cue) -> bool:
        """Give a sign on the device; False when it cannot. Never raises; takes a second at most."""
        session = self._session
        return session is not None and await session.cue(cue)

    # ------------------------------------------------------------------------------------------------- one attempt

    async def _attempt(self, stillness: Stillness) -> None:
        """Search, connect, and stay until the link is lost."""
        if not self._stuck:  # else what is wrong stands there until it is mended
            self._tell("searching", self._why)
        found = await self._find()
        if found is None or found.device is None:
            return
        self._tell("connecting", name=self.name if self.profile else found.name)
        client = self._backends[1] if self._backends else None
        session = Session(
            found.device, found.name, self._note, stillness, self._opening, self._pace, self._beeps, client
        )
        try:
            profile = await session.open(self._hear)
            self._session = session
            self._connected(found, profile)
            await session.hear(self._hear)  # it may have been changed meanwhile
            began = time.monotonic()
            self._why = await session.stream()
            # A connection that brings nothing does not count, or the pauses between attempts would never grow.
            if session.sounded or (not self._why and time.monotonic() - began > self._pace.reception_s):
                self._failed, self._since = 0, time.monotonic()
            self._tell("trouble" if self._why else "lost", self._why or session.parting)
        finally:
            self._session = None
            await session.close()

    def _connected(self, found: Found, profile: Profile) -> None:
        self.profile = profile
        self.name = profile.name or profile.kind.name
        self.talk_button, self.hold_to_talk = profile.kind.talk, profile.kind.held
        if not self.address:
            self.address = found.address
            if self._paired is not None:
                self._paired(found.address, self.name)
        detail = ", ".join(filter(None, (profile.kind.name, profile.firmware and f"firmware {profile.firmware}")))
        self._why = ""
        self._tell("connected", detail)

    async def _find(self) -> Found | None:
        """The device that is wanted, when it is in range.

        Raises:
            VoiceError: several are in range and none is wanted.
        """
        backend = self._backends[0] if self._backends else None
        found = await look(self._pace.scan_s, backend, self.address, stop_at_pinned=True)
        self._worked = True
        if self._stuck:
            self._stuck, self._why = False, ""
        if self.address:
            self._mention(found)
            if found and found[0].pinned:
                return found[0]
            held = await held_by_system(self.address) if self._backends is None else None
            if held is not None:
                return Found(self.address, held.name or "", 0, True, held)
        elif len(found) > 1:
            text = several(found)
            self._tell("trouble", text)
            raise VoiceError(text)
        elif found:
            return found[0]
        if self._failed:  # one scan may miss a device that is there
            who = f"{self.name} ({self.address}) does not show itself" if self.address else "No Omi shows itself"
            self._why = f"{who}: it is off, out of range, or in use. {HELD}"
        return None

    def _mention(self, found: tuple[Found, ...]) -> None:
        """Say once of each other device that it is not listened to: anybody can call a device an Omi."""
        for other in found:
            if not other.pinned and other.address not in self._others:
                self._others.add(other.address)
                self._tell("searching", f"Another Omi is in range, {other.label}; it is not listened to.")

    def _trouble(self, error: Exception) -> Hope:
        """Tell of an error, and whether another try may help.

        Raises:
            VoiceError: it will not, and nothing has ever worked.
        """
        trouble = explain(error)
        self._tell("trouble", trouble.text)
        if trouble.hope == "never" and not self._worked:
            raise VoiceError(trouble.text) from error
        self._why, self._stuck = trouble.text, trouble.hope != "soon"
        return "slow" if self._stuck else "soon"

    def _tell(self, state: LinkState, detail: str = "", name: str = "") -> None:
        link = Link(state, detail, name or self.name)
        if link != self._link:
            self._link = link
            self._note(link)

    def _tick(self) -> None:
        self._stillness.look()
        if self._session is not None:
            self._session.tick()


class _Ticker:
    """Calls a function now and then, without a task."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds, self._call = seconds, call
        self._handle = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._due)
        self._call()

    def stop(self) -> None:
        self._handle.cancel()


def _nowhere(_signal: Signal) -> None:
    """Nobody listens any more."""


def _open_decoder(codec: protocol.Codec) -> Decoder:
    from orchestra_mcp.edge.audio.codecs import open_decoder

    return open_decoder(codec)
