"""One connection to an Omi: what it is, its sound, its button and battery, its signs.

Connection parameters are left alone: bleak 3.1 offers none on any platform (CoreBluetooth has none; BlueZ has them for whole
adapters in `/sys/kernel/debug`; WinRT's `RequestPreferredConnectionParameters` is not reached), and the consumer Omi asks for
its own. What saves the battery is not to have sound sent: then the device's radio rests between keep-alives.

On Linux packets come through a socket (`AcquireNotify`) and not as D-Bus signals, which takes half the CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from orchestra_mcp.edge.nouns import Charge, Cue, Link, Note, Pressed
from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.flow import Flow, Stillness
from orchestra_mcp.edge.omi.pace import Pace
from orchestra_mcp.edge.omi.radio import HELD, Cancelling, Fault, failures, said_by, to_its_end
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.device import BLEDevice

    from orchestra_mcp.edge.audio.codecs import Decoder

Opening = Callable[[protocol.Codec], "Decoder"]
Beeps = Callable[[Cue], Sequence[bytes]]

HAPTIC: Final[dict[Cue, int]] = {"woken": 1, "captured": 1, "done": 2, "muted": 2, "failed": 3, "battery": 3}
"""How long the device hums: 1 short (20 to 100 ms), 2 longer (50 to 300 ms), 3 half a second, by its firmware."""


NO_SOUND: Final = (
    "The device offers no sound. If this stays so, this computer may remember an old list of what it offers: remove it from "
    "the known Bluetooth devices (Linux: `bluetoothctl remove` and its address), and update its firmware."
)
TAPPED: Final = "A single tap switched the device off. Switch it on again; to talk, hold its button."
NOT_STARTED: Final = (
    "The device does not begin to send sound; trying again. Another program on this computer may be listening to it."
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a device says of itself."""

    name: str
    kind: protocol.Kind
    codec: protocol.Codec
    model: str = ""
    firmware: str = ""
    features: int = 0
    """Bits, as of `protocol.FEATURES`; 0 where it does not tell."""


class Session:
    """A connection, from `open` to `close`. Its methods may be called by several tasks.

    Args:
        device: as found by a scan.
        name: what it was called there.
        note: takes signals.
        stillness: fills the gaps of the sound.
        opening: gives a decoder for a codec.
        pace: how long to wait for what.
        beeps: what to write to the speaker for a sign, for a device without a motor.
        backend: in place of that of the platform.
    """

    def __init__(
        self,
        device: BLEDevice,
        name: str,
        note: Note,
        stillness: Stillness,
        opening: Opening,
        pace: Pace,
        beeps: Beeps | None = None,
        backend: type[BaseBleakClient] | None = None,
    ) -> None:
        from bleak import BleakClient

        self.profile = Profile(name, protocol.CONSUMER, protocol.CODECS[21])
        self.sounded = False
        """Whether any sound came over this connection."""
        self.parting = "The link is lost; searching for the device."
        """What is said when the link is lost."""
        self._note = note
        self._stillness = stillness
        self._opening = opening
        self._pace = pace
        self._beeps = beeps
        self._errors = failures()
        self._gone = False
        self._fault = ""
        self._wake = asyncio.Event()
        self._lock = anyio.Lock()
        self._flow: Flow | None = None
        self._subscribed = False
        self._again = False  # a second subscription was tried since the last packet
        self._alive = time.monotonic()  # when anything but sound was last notified
        self._charge = Charge(-1)
        self._client = BleakClient(device, self._left, timeout=pace.connect_s, backend=backend)

    async def open(self, hear: bool) -> Profile:
        """Connect, ask the device what it is, and subscribe to what it tells.

        Args:
            hear: whether sound is wanted at once.

        Raises:
            VoiceError: it sends sound in a codec that we do not know, or the codec's library is missing.
            Exception: one of `radio.failures()`.
        """
        cancelling = Cancelling()
        with anyio.fail_after(self._pace.connect_s):
            await self._client.connect()
        cancelling.heed()
        self.profile = await self._probe()
        # The button is first: it must work as soon as the device is said to be connected. Battery and charge can wait.
        await self._subscribe(protocol.BUTTON, self._button)
        kind = self.profile.kind
        self._stillness.rests = kind is protocol.CONSUMER
        codec = self.profile.codec
        self._flow = Flow(codec, self._opening(codec), kind.stale_s, self._arrived)
        await self.hear(hear)
        await self._subscribe(protocol.BATTERY, self._battery)
        await self._subscribe(protocol.CHARGING, self._charging)
        for uuid, take in ((protocol.CHARGING, self._charging), (protocol.BATTERY, self._battery)):
            if value := await self._read(uuid):
                take(None, value)
        cancelling.heed()
        if self._gone:
            raise Fault(self._fault or "The link was lost while the device was asked what it is; trying again.")
        return self.profile

    async def stream(self) -> str:
        """Pass everything on until the link is lost; the reason, for people."""
        assert self._flow is not None
        why = self._fault
        due = time.monotonic() + self._pace.reception_s
        cancelling = Cancelling()
        while not self._gone and not why:
            await self._wake.wait()
            self._wake.clear()
            await self._pass_on(self._flow)
            now = time.monotonic()
            if now >= due:
                due = now + self._pace.reception_s
                if self._subscribed:
                    self._note(self._flow.reception())
            why = await self._watch(now) or self._fault
            cancelling.heed()
        await self._pass_on(self._flow)
        for sound in self._flow.finish():
            self._note(sound)
        return why

    def tick(self) -> None:
        """Look at the clock; to be called now and then."""
        self._wake.set()

    async def hear(self, on: bool) -> None:
        """Have sound sent, or not. When the device does not do it, the connection is given up: it may not go on listening."""
        async with self._lock:
            flow = self._flow
            if flow is None or on == self._subscribed or self._gone:
                return
            self._subscribed = on
            try:
                if on:
                    await self._start(flow)
                else:
                    flow.end()
                    self._stillness.forget()
                    with anyio.fail_after(self._pace.gatt_s):
                        await self._client.stop_notify(protocol.AUDIO_DATA)
            except self._errors:
                self._fault = NOT_STARTED if on else ""
                self._left(None)

    async def cue(self, cue: Cue) -> bool:
        """Give a sign: with the motor, or else with the speaker. Never raises."""
        try:
            with anyio.fail_after(self._pace.cue_s):
                if self._has(protocol.HAPTIC):
                    await self._client.write_gatt_char(protocol.HAPTIC, bytes([HAPTIC[cue]]), response=True)
                    return True
                if self._beeps is None or not self._has(protocol.SPEAKER):
                    return False
                for piece in self._beeps(cue):
                    await self._client.write_gatt_char(protocol.SPEAKER, piece, response=True)
                return True
        except self._errors:
            return False

    async def close(self) -> None:
        """End the connection, within `Pace.leave_s`, even when cancelled."""
        self._gone = True
        self._stillness.lose()
        if self._flow is not None:
            self._flow.close()
        try:
            await to_its_end(self._client.disconnect(), self._pace.leave_s, self._pace.leave_s)
        except self._errors:
            return

    # ------------------------------------------------------------------------------------------ what the device is

    async def _probe(self) -> Profile:
        model, firmware = await self._text(protocol.MODEL), await self._text(protocol.FIRMWARE)
        if not self._has(protocol.AUDIO_CODEC) or not self._has(protocol.AUDIO_DATA):
            raise Fault(NO_SOUND)
        with anyio.fail_after(self._pace.gatt_s):
            told = bytes(await self._client.read_gatt_char(protocol.AUDIO_CODEC))
        if not told:
            raise Fault(NO_SOUND)
        codec = protocol.CODECS.get(told[0])
        if codec is None:
            from orchestra_mcp.edge.audio.codecs import unknown_codec

            text = unknown_codec(told[0], model, firmware)
            self._note(Link("trouble", text, self.profile.name))
            raise VoiceError(text)
        features = int.from_bytes((await self._read(protocol.FEATURES))[:4], "little")
        if self._has(protocol.TIME_SYNC):
            await self._write(protocol.TIME_SYNC, int(time.time()).to_bytes(4, "little"))
        name = self._name(model)
        return Profile(name, protocol.kind_of(codec, model, name), codec, model, firmware, features)

    def _name(self, model: str) -> str:
        """An advertisement has room for eight letters of the name; the system or the model may know the rest."""
        short = self.profile.name
        untold = failures(NotImplementedError)
        try:
            long = said_by(self._client.name or "")
        except untold:
            long = ""
        if not short:
            return long
        return max(
            (name for name in (short, long, model if len(short) >= 8 else "") if name.startswith(short)), key=len
        )

    async def _text(self, uuid: str) -> str:
        return said_by((await self._read(uuid)).decode("utf-8", "replace"))

    def _has(self, uuid: str) -> bool:
        try:
            return self._client.services.get_characteristic(uuid) is not None
        except self._errors:  # the link is lost
            return False

    async def _read(self, uuid: str) -> bytes:
        """What a characteristic holds; nothing when the device has none, or does not tell."""
        if not self._has(uuid):
            return b""
        try:
            with anyio.fail_after(self._pace.gatt_s):
                return bytes(await self._client.read_gatt_char(uuid))
        except self._errors:
            return b""

    async def _write(self, uuid: str, value: bytes) -> None:
        try:
            with anyio.fail_after(self._pace.gatt_s):
                await self._client.write_gatt_char(uuid, value, response=True)
        except self._errors:
            return

    async def _subscribe(self, uuid: str, take: Callable[[Any, bytearray | bytes], None]) -> None:
        """Have a characteristic notified, where the device has it."""
        if not self._has(uuid):
            return
        try:
            with anyio.fail_after(self._pace.gatt_s):
                await self._client.start_notify(uuid, take)
        except self._errors:
            return

    # ------------------------------------------------------------------------------------------------------- sound

    async def _start(self, flow: Flow) -> None:
        flow.begin()
        with anyio.fail_after(self._pace.gatt_s):
            await self._client.start_notify(
                protocol.AUDIO_DATA, lambda _, packet: flow.put(bytes(packet)), bluez={"use_start_notify": False}
            )

    async def _pass_on(self, flow: Flow) -> None:
        """Decode what waits, and let others have their turn in between."""
        while flow.waiting:
            self._stillness.sound(flow.last)
            for sound in flow.drain():
                self._note(sound)
            self.sounded, self._again = True, False
            if flow.waiting:
                await anyio.lowlevel.checkpoint()

    async def _watch(self, now: float) -> str:
        """Mend a subscription that brings nothing; why it cannot be, when a new connection is the only hope."""
        flow = self._flow
        if flow is None or not self._subscribed or self._gone:
            return ""
        rests = self.profile.kind is protocol.CONSUMER and self.sounded
        patience = self._pace.asleep_s if rests else self._pace.silent_s
        if now - flow.last < patience:
            return ""
        if not self._again:
            self._again = True
            await self._resubscribe(flow)
            return ""
        if rests and now - self._alive < patience:
            return ""  # it tells of its battery: it sleeps
        return self._mute_reason()

    async def _resubscribe(self, flow: Flow) -> None:
        async with self._lock:
            if not self._subscribed:
                return
            try:
                with anyio.fail_after(self._pace.gatt_s):
                    await self._client.stop_notify(protocol.AUDIO_DATA)
                await self._start(flow)
            except self._errors:
                self._left(None)

    def _mute_reason(self) -> str:
        from bleak.backends import BleakBackend

        name = self.profile.name or "The Omi"
        # BlueZ does not tell, and bleak warns when it is asked.
        mtu = 0 if self._client.backend_id == BleakBackend.BLUEZ_DBUS else self._client.mtu_size
        if 0 < mtu < protocol.LEAST_MTU:
            return (
                f"{name} is connected and sends no sound: packets of {mtu} bytes are agreed on, and it needs "
                f"{protocol.LEAST_MTU}. Use a Bluetooth adapter of version 4.2 or newer."
            )
        return (
            f"{name} is connected and sends no sound; connecting anew. Adapters older than Bluetooth 4.2 cannot carry its "
            f"packets; else switch the device off and on. {HELD}"
        )

    # --------------------------------------------------------------------------------------------------- callbacks

    def _left(self, _client: object) -> None:
        self._gone = True
        self._stillness.lose()
        self._wake.set()

    def _arrived(self) -> None:
        self._wake.set()

    def _button(self, _sender: object, value: bytearray | bytes) -> None:
        self._alive = time.monotonic()
        button = protocol.button_of(bytes(value))
        if button is None:
            return
        if button == "single" and self.profile.kind is protocol.DEV_KIT:
            self.parting = TAPPED
        self._note(Pressed(button))

    def _battery(self, _sender: object, value: bytearray | bytes) -> None:
        self._alive = time.monotonic()
        if value and value[0] <= 100:
            self._tell_charge(Charge(value[0], self._charge.charging))

    def _charging(self, _sender: object, value: bytearray | bytes) -> None:
        self._alive = time.monotonic()
        if value:
            self._tell_charge(Charge(self._charge.percent, value[0] != 0))

    def _tell_charge(self, charge: Charge) -> None:
        """Only what is new; and nothing before the percentage is known."""
        if charge != self._charge:
            self._charge = charge
            if charge.percent >= 0:
                self._note(charge)
