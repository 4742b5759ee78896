"""BlueZ without a radio: `org.bluez` on a private D-Bus, with one Omi behind it, for bleak's own BlueZ backend.

async with fake_bluez(codec=21) as omi:
    …  # BleakScanner and BleakClient find it as on any Linux
    await omi.notify(protocol.AUDIO_DATA, packet)

Modelled on BlueZ 5.66 and its documentation (doc/org.bluez.*.rst): objects, properties, signals and the names of errors.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestra_mcp.edge.omi import protocol

needs_dbus = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("dbus-daemon"), reason="needs Linux and: apt-get install dbus"
)

ADAPTER = "/org/bluez/hci0"
MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS = """<busconfig>
  <type>session</type>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""
RN, R, W = ("read", "notify"), ("read",), ("write",)


def layout(codec: int, battery: int) -> dict[str, dict[str, tuple[tuple[str, ...], bytes]]]:
    """Services, and in them the flags and the value of each characteristic."""
    return {
        protocol.AUDIO_SERVICE: {protocol.AUDIO_DATA: (RN, b""), protocol.AUDIO_CODEC: (R, bytes([codec]))},
        protocol.BUTTON_SERVICE: {protocol.BUTTON: (RN, bytes(8))},
        protocol.BATTERY_SERVICE: {protocol.BATTERY: (RN, bytes([battery]))},
        protocol.HAPTIC_SERVICE: {protocol.HAPTIC: (("write", "notify"), b"")},
        protocol.SETTINGS_SERVICE: {protocol.CHARGING: (RN, b"\0")},
        protocol.TIME_SERVICE: {protocol.TIME_SYNC: (W, b"")},
        protocol.INFORMATION_SERVICE: {
            protocol.MANUFACTURER: (R, b"Based Hardware"),
            protocol.MODEL: (R, b"Omi CV 1"),
            protocol.FIRMWARE: (R, b"3.0.19"),
            protocol.HARDWARE: (R, b"omi"),
        },
    }


class Refused(Exception):
    """An error of D-Bus to reply with: its name, and its text."""


class FakeOmi:
    """What a test does to the device, and what it sees of its client."""

    def __init__(self, bus: Any, codec: int, address: str, name: str, battery: int, mtu: int) -> None:
        from dbus_fast import Variant

        self._bus, self._variant, self._mtu = bus, Variant, mtu
        self.address = address
        self.device = f"{ADAPTER}/dev_{address.replace(':', '_')}"
        self.writes: list[tuple[str, bytes]] = []
        """Characteristic and value, in their order."""
        self.reads: list[str] = []
        self.connections = 0
        self.advertising = True
        self.refusals: list[tuple[str, str]] = []
        """Name and text of the error for each of the next attempts to connect."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sockets: dict[str, socket.socket] = {}
        self._notifying: set[str] = set()
        self._paths: dict[str, str] = {}
        self._discovering = self._signals = 0
        self._changed = asyncio.Event()
        self._later: dict[str, dict[str, Any]] = {}
        """The objects of its services, which BlueZ shows once it has connected."""
        self._objects: dict[str, dict[str, dict[str, Any]]] = {
            ADAPTER: {
                "org.bluez.Adapter1": {
                    "Address": Variant("s", "00:00:00:00:00:01"),
                    "Powered": Variant("b", True),
                    "Discovering": Variant("b", False),
                    "Roles": Variant("as", ["central", "peripheral"]),
                }
            }
        }
        self._device_properties = {
            "Address": Variant("s", address),
            "AddressType": Variant("s", "random"),
            "Alias": Variant("s", name),
            "Name": Variant("s", name),
            "Adapter": Variant("o", ADAPTER),
            "UUIDs": Variant("as", [protocol.AUDIO_SERVICE]),
            "Paired": Variant("b", False),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
        }
        self._lay_out(layout(codec, battery))
        bus.add_message_handler(self._handle)
        self._spawn(self._advertise())

    def _lay_out(self, services: dict[str, dict[str, tuple[tuple[str, ...], bytes]]]) -> None:
        handle = 0x0010
        for service, characteristics in services.items():
            service_path = f"{self.device}/service{handle:04x}"
            handle += 1
            self._later[service_path] = {
                "org.bluez.GattService1": {
                    "UUID": self._variant("s", service),
                    "Primary": self._variant("b", True),
                    "Device": self._variant("o", self.device),
                }
            }
            for uuid, (flags, value) in characteristics.items():
                path = f"{service_path}/char{handle:04x}"
                handle += 3
                self._paths[uuid] = path
                properties = {
                    "UUID": self._variant("s", uuid),
                    "Service": self._variant("o", service_path),
                    "Value": self._variant("ay", value),
                    "Flags": self._variant("as", list(flags)),
                    "MTU": self._variant("q", self._mtu),
                }
                if "notify" in flags:
                    properties |= {
                        "Notifying": self._variant("b", False),
                        "NotifyAcquired": self._variant("b", False),
                    }
                self._later[path] = {"org.bluez.GattCharacteristic1": properties}

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pulse(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # -------------------------------------------------------------------------------------------- what a test does

    @property
    def connected(self) -> bool:
        return bool(self._device_properties["Connected"].value)

    def subscribed(self, uuid: str) -> bool:
        """Whether a client wants its notifications."""
        return self._paths[uuid] in self._notifying or self._paths[uuid] in self._sockets

    async def until(self, what: Callable[[FakeOmi], object], seconds: float = 5.0) -> None:
        """Wait until something holds of it."""
        async with asyncio.timeout(seconds):
            while not what(self):
                await self._changed.wait()

    async def notify(self, uuid: str, value: bytes) -> None:
        """Notify, in the way that the client asked for; nothing happens when nobody listens."""
        path = self._paths[uuid]
        if (pipe := self._sockets.get(path)) is not None:
            try:
                await asyncio.get_running_loop().sock_sendall(pipe, value)
            except OSError:
                self._release(path)
        elif path in self._notifying:
            await self._change(path, "org.bluez.GattCharacteristic1", {"Value": self._variant("ay", value)})

    def set_value(self, uuid: str, value: bytes) -> None:
        """What is read from now on."""
        self._later[self._paths[uuid]]["org.bluez.GattCharacteristic1"]["Value"] = self._variant("ay", value)

    async def drop(self) -> None:
        """The connection ends."""
        for path in list(self._sockets):
            self._release(path)
        self._notifying.clear()
        await self._change(
            self.device,
            "org.bluez.Device1",
            {"Connected": self._variant("b", False), "ServicesResolved": self._variant("b", False)},
        )

    def refuse(self, times: int = 1, error: str = "org.bluez.Error.Failed", text: str = "Host is down") -> None:
        """Refuse the next attempts to connect."""
        self.refusals += [(error, text)] * times

    async def power(self, on: bool) -> None:
        """Switch the computer's radio."""
        if not on and self.connected:
            await self.drop()
        if not on:
            self._discovering = 0
        await self._change(ADAPTER, "org.bluez.Adapter1", {"Powered": self._variant("b", on)})
        await _heard(lambda known: known.get(ADAPTER, {}).get("org.bluez.Adapter1", {}).get("Powered") == on)

    async def unplug(self) -> None:
        """Take the adapter away."""
        if self.connected:
            await self.drop()
        for path in (self.device, ADAPTER):
            if (interfaces := self._objects.pop(path, None)) is not None:
                await self._signal("/", MANAGER, "InterfacesRemoved", "oas", [path, list(interfaces)])
        await _heard(lambda known: ADAPTER not in known)

    async def close(self) -> None:
        for path in list(self._sockets):
            self._release(path)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------- what BlueZ does

    async def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        from dbus_fast import Message

        await self._bus.send(Message.new_signal(path, interface, member, signature, body))
        self._signals += 1
        if self._signals % 16 == 0:
            # dbus-fast breaks off when the socket is full, so wait until the bus has taken what was sent.
            ping = Message("org.freedesktop.DBus", "/", "org.freedesktop.DBus.Peer", "Ping")
            await self._bus.call(ping)

    async def _change(self, path: str, interface: str, changed: dict[str, Any]) -> None:
        if path in self._objects:
            self._objects[path][interface].update(changed)
        await self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, changed, []])
        self._pulse()

    async def _advertise(self) -> None:
        strength = -50
        while True:
            await asyncio.sleep(0.02)
            powered = ADAPTER in self._objects and self._objects[ADAPTER]["org.bluez.Adapter1"]["Powered"].value
            if not (powered and self._discovering and self.advertising) or self.connected:
                continue
            # The strength moves, or BlueZ would not tell of it.
            strength = -51 if strength == -50 else -50
            rssi = {"RSSI": self._variant("n", strength)}
            if self.device in self._objects:
                await self._change(self.device, "org.bluez.Device1", rssi)
            else:
                self._device_properties.update(rssi)
                self._objects[self.device] = {"org.bluez.Device1": self._device_properties}
                await self._signal(
                    "/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", [self.device, self._objects[self.device]]
                )

    def _handle(self, message: Any) -> Any:
        from dbus_fast import Message, MessageType

        if message.message_type != MessageType.METHOD_CALL or not (message.interface or "").startswith(
            ("org.bluez", MANAGER)
        ):
            return None

        async def answer() -> None:
            fds: list[int] = []
            try:
                signature, body = await self._answer(message, fds)
                reply = Message.new_method_return(message, signature, body, unix_fds=fds)
            except Refused as error:
                reply = Message.new_error(message, str(error.args[0]), str(error.args[1]))
            await self._bus.send(reply)
            for fd in fds:
                os.close(fd)
            self._pulse()

        self._spawn(answer())
        return True

    async def _answer(self, message: Any, fds: list[int]) -> tuple[str, list[Any]]:
        member = message.member
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self._objects]
        if message.path not in self._objects:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject", "Method called on an unknown object")
        if message.path == ADAPTER:
            return await self._adapter(member)
        if message.path == self.device:
            return await self._device(member)
        if not self.connected:
            raise Refused("org.bluez.Error.Failed", "Not connected")
        return await self._characteristic(member, message, fds)

    async def _adapter(self, member: str) -> tuple[str, list[Any]]:
        if member in ("StartDiscovery", "StopDiscovery"):
            if not self._objects[ADAPTER]["org.bluez.Adapter1"]["Powered"].value:
                raise Refused("org.bluez.Error.NotReady", "Resource Not Ready")
            self._discovering = max(0, self._discovering + (1 if member == "StartDiscovery" else -1))
            await self._change(
                ADAPTER, "org.bluez.Adapter1", {"Discovering": self._variant("b", bool(self._discovering))}
            )
        return "", []

    async def _device(self, member: str) -> tuple[str, list[Any]]:
        if member == "Connect":
            if self.refusals:
                raise Refused(*self.refusals.pop(0))
            self.connections += 1
            await self._change(self.device, "org.bluez.Device1", {"Connected": self._variant("b", True)})
            for path, interfaces in self._later.items():
                if path not in self._objects:
                    self._objects[path] = interfaces
                    await self._signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])
            await self._change(self.device, "org.bluez.Device1", {"ServicesResolved": self._variant("b", True)})
        elif member == "Disconnect":
            if not self.connected:
                raise Refused("org.bluez.Error.NotConnected", "Not Connected")
            await self.drop()
        return "", []

    async def _characteristic(self, member: str, message: Any, fds: list[int]) -> tuple[str, list[Any]]:
        path = message.path
        properties = self._objects[path]["org.bluez.GattCharacteristic1"]
        uuid = properties["UUID"].value
        if member == "ReadValue":
            if "read" not in properties["Flags"].value:
                raise Refused("org.bluez.Error.NotPermitted", "Read not permitted")
            self.reads.append(uuid)
            return "ay", [properties["Value"].value]
        if member == "WriteValue":
            if "write" not in properties["Flags"].value:
                raise Refused("org.bluez.Error.NotPermitted", "Write not permitted")
            if uuid == protocol.HAPTIC and message.body[0] not in (b"\1", b"\2", b"\3"):
                raise Refused("org.bluez.Error.Failed", "Operation failed with ATT error: 0x0e (Unlikely Error)")
            self.writes.append((uuid, bytes(message.body[0])))
        elif member == "StartNotify":
            self._notifying.add(path)
            await self._change(path, "org.bluez.GattCharacteristic1", {"Notifying": self._variant("b", True)})
        elif member == "StopNotify":
            self._notifying.discard(path)
            await self._change(path, "org.bluez.GattCharacteristic1", {"Notifying": self._variant("b", False)})
        elif member == "AcquireNotify":
            if path in self._sockets:
                raise Refused("org.bluez.Error.NotPermitted", "Notify acquired")
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            self._sockets[path] = ours
            asyncio.get_running_loop().add_reader(ours, self._release, path)  # readable: the client closed its end
            fds.append(theirs.detach())
            return "hq", [0, self._mtu]
        return "", []

    def _release(self, path: str) -> None:
        if (pipe := self._sockets.pop(path, None)) is not None:
            asyncio.get_running_loop().remove_reader(pipe)
            pipe.close()
            self._pulse()


@asynccontextmanager
async def private_bus() -> AsyncIterator[str]:
    """A D-Bus of one's own in the place of the system's, on which nobody is; gives its address."""
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    with tempfile.TemporaryDirectory(prefix="orchestra-bus-") as folder:
        config = Path(folder) / "bus.conf"
        config.write_text(BUS.format(folder=folder))
        daemon = await asyncio.create_subprocess_exec(
            "dbus-daemon",
            f"--config-file={config}",
            "--nofork",
            "--print-address=1",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert daemon.stdout is not None
            async with asyncio.timeout(10):
                address = (await daemon.stdout.readline()).decode().strip()
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
            yield address
        finally:
            await _let_go()
            if before is None:
                os.environ.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
            else:
                os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before
            with suppress(ProcessLookupError):
                daemon.terminate()
            await daemon.wait()


async def _heard(what: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until bleak has heard of a change; a moment when it does not listen."""
    from bleak.backends.bluezdbus import manager

    kept = manager._global_instances.get(asyncio.get_running_loop())
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            while kept is not None and not what(kept._properties):  # noqa: ASYNC110 - bleak has no event for it
                await asyncio.sleep(0.005)


async def _let_go() -> None:
    """Close the connection that bleak keeps to the bus for as long as its event loop lives."""
    from bleak.backends.bluezdbus import manager

    kept = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if kept is not None and kept._bus is not None:
        kept._bus.disconnect()
        if kept._bus_watcher_task is not None:
            await asyncio.wait({kept._bus_watcher_task}, timeout=5)


@asynccontextmanager
async def fake_bluez(
    codec: int = 21,
    *,
    address: str = "E2:4F:00:00:00:01",
    name: str = "Omi",
    battery: int = 87,
    mtu: int = 498,
) -> AsyncIterator[FakeOmi]:
    """BlueZ with an Omi, for bleak in this process."""
    from dbus_fast.aio import MessageBus

    async with private_bus() as bus_address:
        bus = await MessageBus(bus_address=bus_address, negotiate_unix_fd=True).connect()
        omi = FakeOmi(bus, codec, address, name, battery, mtu)
        try:
            await bus.request_name("org.bluez")
            yield omi
        finally:
            await _let_go()
            await omi.close()
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
