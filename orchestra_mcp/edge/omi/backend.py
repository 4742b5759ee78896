"""Scanner and client for `bleak` on the `bumble` Bluetooth stack, through bleak's official `backend=` keyword.

The product speaks to a simulated device by the same calls, and sees the same errors, as with a real radio. `virtual.py` opens the
adapters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple, TypeVar
from uuid import UUID as StandardUUID

from bleak import BleakScanner
from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak.uuids import normalize_uuid_str
from bumble import att, core, gatt_client, hci
from bumble.device import Advertisement, Connection, Device

from orchestra_mcp.edge.omi.radio import Fault

MTU: Final = 517
"""What a computer's Bluetooth stack asks for, as BlueZ does."""
STOP_S: Final = 1.0
"""Longest wait for the end of an attempt to connect that was given up."""
AD_UUIDS: Final = {0x02: 2, 0x03: 2, 0x06: 16, 0x07: 16}
"""Types of advertising data that list services, and the bytes of each."""
AD_NAMES: Final = (0x08, 0x09)
PROPERTIES: Final[tuple[tuple[int, CharacteristicPropertyName], ...]] = (
    (0x01, "broadcast"),
    (0x02, "read"),
    (0x04, "write-without-response"),
    (0x08, "write"),
    (0x10, "notify"),
    (0x20, "indicate"),
)
REASONS: Final = {
    BleakBluetoothNotAvailableReason.POWERED_OFF: "Bluetooth is turned off",
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: "No Bluetooth adapter was found",
    BleakBluetoothNotAvailableReason.DENIED_BY_USER: "Bluetooth was denied",
}

GONE: Final = "The simulated device is gone: `orchestra omi simulate` has ended. Start it again with the same --port."

Answer = TypeVar("Answer")


class Backends(NamedTuple):
    """What to give to `BleakScanner(backend=…)` and `BleakClient(backend=…)`."""

    scanner: type[BaseBleakScanner]
    client: type[BaseBleakClient]


class VirtualAdapter:
    """A Bluetooth adapter of this computer that is none."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.reason: BleakBluetoothNotAvailableReason | None = None
        """Why it cannot be used; None while it works, or to let it work again."""
        self.reopen: Callable[[], Awaitable[Device]] | None = None
        """Gets the radio again that was lost; where nobody lends it, None."""
        self.connecting = asyncio.Lock()
        self.scanners: set[_Scanner] = set()
        self.lost = False
        """The process that lent the radio is gone."""
        self._heed(device)

    def _heed(self, device: Device) -> None:
        device.on(Device.EVENT_ADVERTISEMENT, self._advertised)

    @property
    def backends(self) -> Backends:
        """Its scanner and its client for bleak."""
        return Backends(
            type("VirtualScanner", (_Scanner,), {"adapter": self}), type("VirtualClient", (_Client,), {"adapter": self})
        )

    def check(self) -> None:
        """See that it can be used.

        Raises:
            BleakBluetoothNotAvailableError: it cannot; with the reason.
            Fault: the process that lent the radio is gone.
        """
        if self.lost:
            raise Fault(GONE)
        if self.reason is not None:
            raise BleakBluetoothNotAvailableError(REASONS.get(self.reason, "Bluetooth cannot be used"), self.reason)

    async def ready(self) -> None:
        """Get the radio again where it was lost. Raises: as `check`."""
        if self.lost and self.reopen is not None:
            self.device = await self.reopen()
            self._heed(self.device)
            self.lost = False
        self.check()

    async def turn_off(
        self, reason: BleakBluetoothNotAvailableReason = BleakBluetoothNotAvailableReason.POWERED_OFF
    ) -> None:
        """Switch it off, or take it away, or withdraw the permission; its connections end."""
        self.reason = reason
        for connection in list(self.device.connections.values()):
            await connection.disconnect()

    def _advertised(self, advertisement: Advertisement) -> None:
        if self.reason is None:
            for scanner in list(self.scanners):
                scanner.heard(advertisement)


class _Scanner(BaseBleakScanner):
    """Hears what is advertised."""

    adapter: ClassVar[VirtualAdapter]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,  # noqa: ARG002 - bleak names it
        **_kwargs: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        await self.adapter.ready()
        self.seen_devices = {}
        self.adapter.scanners.add(self)
        if not self.adapter.device.scanning:
            try:
                await self.adapter.device.start_scanning()
            except core.BaseBumbleError as error:
                self.adapter.scanners.discard(self)
                raise BleakError("The adapter does not answer") from error

    async def stop(self) -> None:
        self.adapter.scanners.discard(self)
        if not self.adapter.scanners and not self.adapter.lost:
            with suppress(core.BaseBumbleError):
                await self.adapter.device.stop_scanning()

    def heard(self, advertisement: Advertisement) -> None:
        name: str | None = None
        uuids: list[str] = []
        for kind, value in advertisement.data.ad_structures:
            if kind in AD_NAMES:
                name = value.decode("utf-8", "replace")
            elif size := AD_UUIDS.get(int(kind)):
                uuids += [_uuid_of(value[at : at + size]) for at in range(0, len(value) - size + 1, size)]
        uuids = list(dict.fromkeys(uuids))
        if not self.is_allowed_uuid(uuids):
            return
        address = _plain(advertisement.address)
        data = AdvertisementData(name, {}, {}, uuids, None, advertisement.rssi, ())
        self.call_detection_callbacks(
            self.create_or_update_device(address, address, name, advertisement.address, data), data
        )


class _Client(BaseBleakClient):
    """Connects to one device."""

    adapter: ClassVar[VirtualAdapter]

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **_kwargs: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        self._device = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._connection: Connection | None = None
        self._subscribers: dict[int, Callable[[bytes], None]] = {}
        self._answers: set[asyncio.Future[Any]] = set()
        """Those that are awaited."""

    @property
    def name(self) -> str:
        return (self._device.name if self._device else None) or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection else att.ATT_DEFAULT_MTU

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **_kwargs: Any) -> None:  # noqa: ARG002 - an Omi has no pairing
        if self.is_connected:
            raise BleakError("Client is already connected")
        self.adapter.check()
        if self._device is None:
            self._device = await BleakScanner.find_device_by_address(
                self.address, timeout=self._timeout, backend=self.adapter.backends.scanner
            )
            if self._device is None:
                raise BleakDeviceNotFoundError(self.address, f"Device with address {self.address} was not found.")
        connection = await self._reach(self._device.details)
        self._connection = connection
        connection.on(connection.EVENT_DISCONNECTION, self._ended)
        try:
            async with asyncio.timeout(self._timeout):
                await self._asking(connection.gatt_client.request_mtu(MTU))
                self.services = await self._asking(self._discover(connection.gatt_client))
        except BaseException:
            await self.disconnect()
            raise

    async def _reach(self, address: hci.Address) -> Connection:
        """Connect.

        Raises:
            TimeoutError: it does not advertise, as when it is far away or somebody else is connected to it.
            BleakError: it failed.
        """
        device = self.adapter.device
        # One attempt at a time, as a controller has it.
        async with asyncio.timeout(self._timeout), self.adapter.connecting:
            # bumble is not made to be cancelled here either: a connection that comes about at that moment would be nobody's.
            attempt = asyncio.ensure_future(device.connect(address, timeout=None))
            try:
                connection = await asyncio.shield(attempt)
            except core.BaseBumbleError as error:
                raise BleakError(f"Failed to connect: {error}") from error
            except BaseException as error:
                # Timed out or cancelled: the controller would go on trying, and refuse the next attempt.
                await asyncio.shield(_stop_connecting(device, attempt))
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and not (task and task.cancelling()):
                    raise BleakError("The adapter went away") from error  # bumble's way to tell of it
                raise
        if not _lives(device, connection):
            raise BleakError("Failed to connect: the link was lost at once")
        return connection

    def _ended(self, _reason: int) -> None:
        self._connection = None
        self._subscribers.clear()
        self.services = None
        for answer in tuple(self._answers):
            answer.cancel()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        connection = self._connection
        if connection is None:
            return
        with suppress(core.BaseBumbleError):
            async with asyncio.timeout(5):
                await connection.disconnect()
        if self._connection is connection:
            self._ended(0)

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotImplementedError("An Omi has no pairing.")

    async def unpair(self) -> None:
        raise NotImplementedError("An Omi has no pairing.")

    async def _discover(self, client: gatt_client.Client) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for proxy in await client.discover_services():
            service = BleakGATTService(proxy, proxy.handle, str(_standard(proxy.uuid)))
            found.add_service(service)
            for characteristic in await proxy.discover_characteristics():
                found.add_characteristic(
                    BleakGATTCharacteristic(
                        characteristic,
                        characteristic.handle,
                        _standard(characteristic.uuid),
                        [name for bit, name in PROPERTIES if characteristic.properties & bit],
                        lambda: self.mtu_size - 3,
                        service,
                    )
                )
        return found

    async def _asking(self, question: Awaitable[Answer]) -> Answer:
        """Await an answer of the device, with errors as bleak has them.

        Raises:
            BleakGATTProtocolError: the device refused.
            BleakError: the connection ended before the answer came, or there is none.
        """
        if self._connection is None:
            raise BleakError("Not connected")
        # bumble is not made to be cancelled in mid-question: its answer would find nobody, and fail.
        answer = asyncio.ensure_future(question)
        self._answers.add(answer)
        answer.add_done_callback(self._answered)
        try:
            return await asyncio.shield(answer)
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(int(error.error_code)) from error
        except core.TimeoutError as error:
            raise BleakError("The device did not answer") from error
        except asyncio.CancelledError as error:
            # bumble cancels the wait for an answer when the connection ends, which is no cancelling of ours.
            task = asyncio.current_task()
            if self._connection is None and (task is None or not task.cancelling()):
                raise BleakError("Disconnected before the device answered") from error
            raise

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        self._answers.discard(answer)
        if not answer.cancelled():
            answer.exception()  # whoever asked may be gone

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **_kwargs: Any) -> bytearray:
        return bytearray(await self._asking(self._gatt().read_value(characteristic.handle)))

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **_kwargs: Any) -> bytearray:
        return bytearray(await self._asking(self._gatt().read_value(descriptor.handle)))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        await self._asking(self._gatt().write_value(characteristic.handle, bytes(data), with_response=response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        await self._asking(self._gatt().write_value(descriptor.handle, bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_kwargs: Any
    ) -> None:
        if characteristic.handle in self._subscribers:
            await self.stop_notify(characteristic)

        def heard(value: bytes) -> None:
            callback(bytearray(value))

        self._subscribers[characteristic.handle] = heard
        await self._asking(self._gatt().subscribe(characteristic.obj, heard))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        self._subscribers.pop(characteristic.handle, None)
        await self._asking(self._gatt().unsubscribe(characteristic.obj))

    def _gatt(self) -> gatt_client.Client:
        if self._connection is None:
            raise BleakError("Not connected")
        return self._connection.gatt_client


async def _stop_connecting(device: Device, attempt: asyncio.Future[Connection]) -> None:
    for _ in range(2):  # the first may come before the attempt has begun
        with suppress(core.BaseBumbleError):
            await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
        await asyncio.wait([attempt], timeout=STOP_S)
        if attempt.done():
            break
    if not attempt.done():
        attempt.cancel()
    elif not attempt.cancelled() and attempt.exception() is None and _lives(device, attempt.result()):
        # It came about at the same moment.
        with suppress(core.BaseBumbleError):
            await attempt.result().disconnect()


def _lives(device: Device, connection: Connection) -> bool:
    return device.connections.get(connection.handle) is connection


def _plain(address: hci.Address) -> str:
    return address.to_string(with_type_qualifier=False)


def _standard(uuid: core.UUID) -> str:
    return str(StandardUUID(bytes=uuid.to_bytes(force_128=True)[::-1]))


def _uuid_of(value: bytes) -> str:
    """A service of an advertisement, least significant byte first, in bleak's spelling."""
    return normalize_uuid_str(value[::-1].hex()) if len(value) == 2 else str(StandardUUID(bytes=value[::-1]))
