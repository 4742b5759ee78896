"""A simulated Omi: sound, buttons, battery and what goes wrong, as the firmware has them, on the `bumble` Bluetooth stack.

Source: the firmware (github.com/BasedHardware/omi, `omi/firmware/{devkit,omi}/src`: `transport.c`, `button.c`), as of 2026-11.
Where it differs: a packet never exceeds what the connection can carry (the firmware loses frames that fill it).
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

from bumble.core import BaseBumbleError

from orchestra_mcp.edge.nouns import ButtonPress
from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.air import Air
from orchestra_mcp.edge.omi.encoding import Encoder
from orchestra_mcp.edge.omi.mischief import Mischief, hiss
from orchestra_mcp.edge.omi.peripheral import Peripheral
from orchestra_mcp.edge.omi.protocol import CODECS, CONSUMER, DEV_KIT, Kind

RING: Final = 32
"""Frames that the firmware keeps for sending."""
BURST: Final = 16
"""Packets between two waits for the link, when sending as fast as it takes them."""
EVENTS: Final[dict[ButtonPress, int]] = {name: event for event, name in protocol.EVENTS.items()}
RELEASE_AFTER_S: Final = 0.04
"""The firmware tells of a release one round of its loop after each tap."""


class SimulatedOmi(Peripheral):
    """One device. It is on the air, and can be connected to, within `on`.

    Args:
        kind: a kind of device, or the id of a codec; one that nobody knows is allowed, to see what a client makes of it.
        address: static random address.
        name: what it calls itself; empty for the name of its kind.
        mtu: the largest ATT MTU it agrees to, in bytes; below 100 it sends no sound. 0 for that of its kind.
        battery: in percent.
        features: names of optional services; None for those of its kind.
        settle_s: seconds from a connection to the first sound (1.3 for a real consumer Omi).
        battery_s: seconds between two notifications of the battery; 0 for that of its kind (15 or 5).
        firmware: version that it claims.
    """

    def __init__(
        self,
        kind: Kind | int = CONSUMER,
        *,
        address: str = "E2:4F:00:00:00:01",
        name: str = "",
        mtu: int = 0,
        battery: int = 87,
        features: frozenset[str] | None = None,
        settle_s: float = 0.0,
        battery_s: float = 0.0,
        firmware: str = "3.0.19",
    ) -> None:
        super().__init__(kind, address, name, mtu, battery, features, battery_s, firmware)
        self.settle_s = settle_s
        self.encoder = Encoder(CODECS[self.codec_id]) if self.codec_id in CODECS else None
        self.mischief = Mischief()
        """What goes wrong on the way."""
        self.silent = False
        """Subscribed to, and sends nothing: as a consumer Omi whose microphone sleeps, or one that hangs."""
        self.next_id = 0
        """Counter of the next packet; set it to see it wrap."""
        self.sent = 0
        """Packets with sound that went out."""
        self.frames_lost = 0
        """Frames that never became a packet, for want of a subscriber or of room."""
        self._ring: deque[bytes] = deque()
        self._said: deque[bytes] = deque()
        self._speech_left = 0
        self._turn = asyncio.Lock()
        self._microphone: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def on(self, air: Air) -> AsyncIterator[Self]:
        """Switch it on, on some air; off at the end."""
        async with super().on(air):
            try:
                yield self
            finally:
                self.hush()

    # ------------------------------------------------------------------------------------------------------- sound

    async def play(self, pcm: bytes, *, realtime: bool = True) -> None:
        """Say something: 16-bit mono at 16 kHz; returns when all of it is sent, or was to be.

        Args:
            pcm: the sound.
            realtime: in the time it takes to say it; otherwise as fast as the link takes it, and nothing is lost there.
        """
        assert self.encoder is not None, "nobody knows how to encode for this codec"
        if realtime and self._microphone is not None:
            size = self.encoder.bytes_of_frame
            pieces = [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
            self._said += pieces
            self._speech_left += len(pieces)
            while self._speech_left > 0:
                await self._changed.wait()
            return
        frame_s = CODECS[self.codec_id].frame_s
        loop = asyncio.get_running_loop()
        async with self._turn:
            start = loop.time()
            for number, frame in enumerate(self.encoder.encode(pcm) + self.encoder.flush()):
                if realtime:
                    await asyncio.sleep(start + number * frame_s - loop.time())
                await self.send(frame)
            await self._rest()

    def idle(self, level_db: float = -60.0, seed: int = 1) -> None:
        """Let the microphone run: faint noise in real time, and in it what is played.

        Args:
            level_db: loudness of the noise against full scale, in dB; below -90 it is digital silence.
            seed: of the noise.
        """
        if self._microphone is None:
            assert self.encoder is not None
            self._microphone = asyncio.create_task(self._hear(hiss(level_db, seed)))

    def hush(self) -> None:
        """Stop the microphone."""
        if self._microphone is not None:
            self._microphone.cancel()
            self._microphone = None
            self._said.clear()
            self._speech_left = 0
            self._pulse()

    async def _hear(self, noise: Callable[[int], bytes]) -> None:
        assert self.encoder is not None
        frame_s = CODECS[self.codec_id].frame_s
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            async with self._turn:
                spoken = bool(self._said)
                pcm = self._said.popleft() if spoken else noise(self.encoder.bytes_of_frame)
                for frame in self.encoder.encode(pcm):
                    await self.send(frame)
            if spoken:
                self._speech_left -= 1
                if not self._speech_left:
                    self._pulse()
            due += frame_s
            # After a stall it goes on from now: a microphone does not catch up.
            due = max(due, loop.time() - 1.0)
            await asyncio.sleep(due - loop.time())

    async def send(self, frame: bytes) -> None:
        """One frame comes from the encoder; what becomes of it is as in the firmware's queue."""
        if not self.powered or self.silent:
            return
        if self.connection is None:
            # The real one writes it to its card.
            self.frames_lost += 1
            self._ring.clear()
            return
        if not self._ready():
            if (self.kind.stale_s or not self._in_range()) and len(self._ring) < RING:
                self._ring.append(frame)
            else:
                self.frames_lost += 1
            return
        while self._ring:
            await self._push(self._ring.popleft())
        await self._push(frame)

    def _in_range(self) -> bool:
        return self._air is None or self._radio is None or self._air.reaches(self._radio)

    def _ready(self) -> bool:
        connection = self.connection
        return (
            connection is not None
            and "audio" in self.subscriptions
            and connection.att_mtu >= protocol.LEAST_MTU
            and asyncio.get_running_loop().time() >= self.connected_at + self.settle_s
            and self._in_range()
        )

    async def _push(self, frame: bytes) -> None:
        connection = self.connection
        if connection is None:
            return
        room = connection.att_mtu - 3 - protocol.HEADER
        for index, at in enumerate(range(0, len(frame), room)):
            packet = struct.pack("<HB", self.next_id, index & 0xFF) + frame[at : at + room]
            self.next_id = (self.next_id + 1) % protocol.IDS
            for each in self.mischief.packets(packet):
                await self.send_packet(each)

    async def send_packet(self, packet: bytes) -> None:
        """Notify of sound as it is, whatever it is; waits for the link now and then."""
        await self.notify("audio", packet)
        self.sent += 1
        if self.sent % BURST == 0:
            await self._rest()

    async def _rest(self) -> None:
        if (connection := self.connection) is not None:
            with suppress(BaseBumbleError):
                await connection.drain()

    # ------------------------------------------------------------------------------------------------- by its wearer

    async def press(self, button: ButtonPress) -> None:
        """Press the button, with what follows from it in the firmware.

        A tap is followed by a `release`. Dev Kit 2 powers off after a single tap; the consumer Omi powers off after a long press
        and tells nobody. To hold the button of Dev Kit 2: `long`, then `release`.
        """
        if button == "long" and self.kind is not DEV_KIT:
            await self.power_off()
            return
        await self.notify("button", struct.pack("<ii", EVENTS[button], 0))
        if button == "single" and self.kind is DEV_KIT:
            await self._rest()
            await self.power_off()
        elif button in ("single", "double"):
            await asyncio.sleep(RELEASE_AFTER_S)
            await self.notify("button", struct.pack("<ii", EVENTS["release"], 0))

    async def set_battery(self, percent: int) -> None:
        """Charge or discharge it, and tell."""
        self.battery = percent
        await self.notify("battery", self._percent())

    async def charge(self, on: bool) -> None:
        """Put it on its charger, or take it off, and tell."""
        self.is_charging = on
        if "charging" in self.features:
            await self.notify("charging", bytes([on]))

    def go_silent(self, on: bool = True) -> None:
        """Send no sound though it is wanted; the counter of packets stands still."""
        self.silent = on

    async def out_of_range(self, seconds: float) -> None:
        """Carry it away for some seconds. The connection ends when that is longer than the air's supervision timeout."""
        assert self._air is not None
        assert self._radio is not None
        await self._air.out_of_range(self._radio, seconds)
        self._pulse()
