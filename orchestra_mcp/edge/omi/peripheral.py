"""The Bluetooth side of a simulated Omi: advertising, services, who is connected and what was written.

Source: the firmware (github.com/BasedHardware/omi, `omi/firmware/{devkit,omi}/src`: `transport.c`, `speaker.c`), as of 2026-11.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self

from bumble import att, data_types
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.air import Air, Radio
from orchestra_mcp.edge.omi.protocol import CODECS, CONSUMER, DEV_KIT, Kind

OPTIONAL: Final = {
    DEV_KIT.name: frozenset({"button", "battery", "haptic", "speaker", "information"}),
    CONSUMER.name: frozenset({"button", "battery", "haptic", "charging", "features", "time", "information"}),
}
"""Services beside the sound."""
BITS: Final = {"speaker": 1, "button": 4, "battery": 8, "haptic": 32}
"""Of the features; 0x180 (dimming, gain) is always set."""
SPEAKER_PACKET: Final = 400

READ: Final = Characteristic.Properties.READ
WRITE: Final = Characteristic.Properties.WRITE
NOTIFY: Final = Characteristic.Properties.NOTIFY
READABLE: Final = Characteristic.Permissions.READABLE
WRITEABLE: Final = Characteristic.Permissions.WRITEABLE


class Peripheral:
    """A device that can be found, connected to, read, written and subscribed to within `on`; see `SimulatedOmi`."""

    def __init__(
        self,
        kind: Kind | int,
        address: str,
        name: str,
        mtu: int,
        battery: int,
        features: frozenset[str] | None,
        battery_s: float,
        firmware: str,
    ) -> None:
        if isinstance(kind, int):
            self.codec_id = kind
            known = CODECS.get(kind)
            self.kind = protocol.kind_of(known, name=name) if known else CONSUMER
        else:
            self.codec_id, self.kind = 20 if kind is DEV_KIT else 21, kind
        dev_kit = self.kind is DEV_KIT
        self.address = address
        self.name = name or ("Omi DevKit 2" if dev_kit else "Omi")
        self.model = "Omi DevKit 2" if dev_kit else "Omi CV 1"
        self.firmware = firmware
        self.mtu = mtu or (247 if dev_kit else 498)
        self.battery = battery
        self.is_charging = False
        self.features = OPTIONAL[self.kind.name] if features is None else features
        self.battery_s = battery_s or (15.0 if dev_kit else 5.0)
        self.powered = True
        self.connection: Connection | None = None
        self.connected_at = 0.0
        """On the event loop's clock."""

        self.haptics: list[int] = []
        self.speaker: list[bytes] = []
        """What was written to the speaker."""
        self.played: list[bytes] = []
        """What the speaker made of it: 16-bit sound at 8 kHz."""
        self.synced: list[int] = []
        """Times that were written, in seconds since 1970."""
        self.subscriptions: set[str] = set()
        """Names of what is subscribed to now: `audio`, `button`, `battery`, `charging`, `speaker`, `haptic`."""
        self.log: list[str] = []
        """Connections and subscriptions in their order: `connected`, `+audio`, `-audio`, `disconnected`."""

        self._chimed = bytearray()
        self._chime_left = 0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._characteristics: dict[str, Characteristic[bytes]] = {}
        self._device: Device | None = None
        self._radio: Radio | None = None
        self._air: Air | None = None

    # ------------------------------------------------------------------------------------------------- on the air

    @asynccontextmanager
    async def on(self, air: Air) -> AsyncIterator[Self]:
        """Switch it on, on some air; off at the end."""
        self._air = air
        self._radio = Radio(self.name, air, self.address)
        config = DeviceConfiguration(
            name=self.name,
            address=Address(self.address),
            advertising_interval_min=20,
            advertising_interval_max=20,
            advertising_data=self._advertisement(),
        )
        self._device = Device(config=config, host=Host(self._radio, AsyncPipeSink(self._radio)))
        self._device.gatt_server.max_mtu = self.mtu
        self._device.add_services(self._services())
        self._device.on(Device.EVENT_CONNECTION, self._connected)
        await self._device.power_on()
        await self._device.start_advertising(auto_restart=True)
        self._spawn(self._tell_of_battery())
        try:
            yield self
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.power_off()
            await self._device.power_off()
            self._radio.leave()
            # The host hears of the end one turn of the loop later.
            await asyncio.sleep(0)

    def _advertisement(self) -> bytes:
        # 31 bytes hold the flags, the service and eight letters; the stack of the firmware shortens the rest.
        short = self.name.encode()[:8].decode(errors="ignore")
        named = data_types.CompleteLocalName if short == self.name else data_types.ShortenedLocalName
        flags = AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
        return bytes(
            AdvertisingData(
                [
                    data_types.Flags(flags),
                    data_types.CompleteListOf128BitServiceUUIDs([UUID(protocol.AUDIO_SERVICE)]),
                    named(short),
                ]
            )
        )

    def _connected(self, connection: Connection) -> None:
        self.connection = connection
        self.connected_at = asyncio.get_running_loop().time()
        connection.on(connection.EVENT_DISCONNECTION, self._disconnected)
        self._note("connected")

    def _disconnected(self, _reason: int) -> None:
        self.connection = None
        self.subscriptions.clear()
        self._note("disconnected")

    def _note(self, event: str) -> None:
        self.log.append(event)
        self._pulse()

    def _pulse(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(self, what: Callable[[Self], object], seconds: float | None = 5.0) -> None:
        """Wait until something holds of it; for ever, where no time is given.

        Raises:
            TimeoutError: it did not, within so many seconds.
        """
        async with asyncio.timeout(seconds):
            while not what(self):
                await self._changed.wait()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------------------------------------- what it has

    def _services(self) -> list[Service]:
        has = self.features
        audio = [
            self._characteristic("audio", protocol.AUDIO_DATA, READ | NOTIFY, lambda: b""),
            self._characteristic("codec", protocol.AUDIO_CODEC, READ, lambda: bytes([self.codec_id])),
        ]
        if "speaker" in has:
            audio.append(self._characteristic("speaker", protocol.SPEAKER, WRITE | NOTIFY, write=self._speak))
        services = [Service(protocol.AUDIO_SERVICE, audio)]

        def add(feature: str, service: str, *characteristics: Characteristic[bytes]) -> None:
            if feature in has:
                services.append(Service(service, characteristics))

        make = self._characteristic
        add("button", protocol.BUTTON_SERVICE, make("button", protocol.BUTTON, READ | NOTIFY, lambda: bytes(8)))
        add("battery", protocol.BATTERY_SERVICE, make("battery", protocol.BATTERY, READ | NOTIFY, self._percent))
        add("haptic", protocol.HAPTIC_SERVICE, make("haptic", protocol.HAPTIC, WRITE | NOTIFY, write=self._vibrate))
        add(
            "charging",
            protocol.SETTINGS_SERVICE,
            make("charging", protocol.CHARGING, READ | NOTIFY, lambda: bytes([self.is_charging])),
        )
        bits = 0x180 | sum(bit for name, bit in BITS.items() if name in has)
        add(
            "features",
            protocol.FEATURES_SERVICE,
            make("features", protocol.FEATURES, READ, lambda: struct.pack("<I", bits)),
        )
        add("time", protocol.TIME_SERVICE, make("time", protocol.TIME_SYNC, WRITE, write=self._set_time))
        told = {
            protocol.MANUFACTURER: "Based Hardware",
            protocol.MODEL: self.model,
            protocol.FIRMWARE: self.firmware,
            protocol.HARDWARE: "Seeed Xiao BLE Sense" if self.kind is DEV_KIT else "omi",
        }
        add(
            "information",
            protocol.INFORMATION_SERVICE,
            *(make(uuid, uuid, READ, text.encode) for uuid, text in told.items()),
        )
        return services

    def _characteristic(
        self,
        name: str,
        uuid: str,
        properties: Characteristic.Properties,
        read: Callable[[], bytes] | None = None,
        write: Callable[[bytes], None] | None = None,
    ) -> Characteristic[bytes]:
        made = Characteristic[bytes](
            uuid,
            properties,
            (READABLE if read else Characteristic.Permissions(0))
            | (WRITEABLE if write else Characteristic.Permissions(0)),
            CharacteristicValue(
                read=(lambda _connection: read()) if read else None,
                write=(lambda _connection, value: write(value)) if write else None,
            ),
        )

        def subscribed(_connection: Connection, notify: bool, _indicate: bool) -> None:
            (self.subscriptions.add if notify else self.subscriptions.discard)(name)
            self._note(f"{'+' if notify else '-'}{name}")
            if notify and name == "charging":
                self._spawn(self.notify("charging", bytes([self.is_charging])))

        made.on(Characteristic.EVENT_SUBSCRIPTION, subscribed)
        self._characteristics[name] = made
        return made

    def _percent(self) -> bytes:
        return bytes([self.battery])

    def _vibrate(self, value: bytes) -> None:
        if len(value) != 1 or value[0] not in (1, 2, 3):
            raise att.ATT_Error(att.ATT_UNLIKELY_ERROR_ERROR)
        self.haptics.append(value[0])
        self._pulse()

    def _set_time(self, value: bytes) -> None:
        if len(value) != 4:
            raise att.ATT_Error(att.ATT_INVALID_ATTRIBUTE_LENGTH_ERROR)
        self.synced.append(struct.unpack("<I", value)[0])
        self._pulse()

    def _speak(self, value: bytes) -> None:
        """As `speak` of the firmware: it counts in packets of 400 bytes, and plays when fewer than that are left."""
        self.speaker.append(value)
        self._spawn(self.notify("speaker", struct.pack("<H", SPEAKER_PACKET)))
        if len(value) == 4:
            self._chime_left = struct.unpack("<I", value)[0] & 0xFFFF
            self._chimed.clear()
        elif self._chime_left > SPEAKER_PACKET:
            self._chime_left -= SPEAKER_PACKET
            self._chimed += value
        elif self._chime_left < SPEAKER_PACKET:
            self._chime_left = max(0, self._chime_left - len(value))
            self.played.append(bytes(self._chimed + value))
        self._pulse()

    async def notify(self, name: str, value: bytes) -> None:
        """Notify of a characteristic by its name, if it is subscribed to."""
        if self._device is not None and (connection := self.connection) is not None:
            # The connection may end at this moment.
            with suppress(BaseBumbleError):
                await self._device.notify_subscriber(connection, self._characteristics[name], value)

    async def _tell_of_battery(self) -> None:
        while True:
            await asyncio.sleep(self.battery_s)
            if self.connection is not None and "battery" in self.features:
                await self.notify("battery", self._percent())

    async def power_off(self) -> None:
        """Switch it off: its connection ends and it advertises no more."""
        self.powered = False
        if self._device is not None:
            await self._device.stop_advertising()
            await self.disconnect()

    async def power_on(self) -> None:
        """Switch it on again."""
        if not self.powered and self._device is not None:
            self.powered = True
            await self._device.start_advertising(auto_restart=True)

    async def disconnect(self) -> None:
        """End the connection from its side; it advertises again unless it is off."""
        if (connection := self.connection) is not None:
            with suppress(BaseBumbleError):
                await connection.disconnect()
