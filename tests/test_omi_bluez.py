"""bleak's own BlueZ backend against a fake `org.bluez` on a private bus: with plain bleak, and with the product's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from fake_bluez import FakeOmi, fake_bluez, needs_dbus, private_bus

pytest.importorskip("bleak", reason="pip install 'orchestra-council[omi]'")

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
    BleakGATTProtocolError,
)

from orchestra_mcp.edge.nouns import Charge, Link, Pressed, Signal, Sound
from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.client import OmiSource
from orchestra_mcp.edge.omi.encoding import Encoder
from orchestra_mcp.edge.omi.protocol import CODECS

pytestmark = needs_dbus
PACKETS = 2_000


async def find() -> BLEDevice:
    device = await BleakScanner.find_device_by_filter(
        lambda _device, heard: protocol.AUDIO_SERVICE in heard.service_uuids, timeout=5
    )
    assert device is not None
    return device


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not what():  # noqa: ASYNC110 - bleak's callbacks have no event
            await asyncio.sleep(0.005)


async def test_it_is_found_by_its_service_and_read_and_written() -> None:
    async with fake_bluez(codec=21, battery=42) as omi:
        device = await find()
        assert (device.address, device.name) == (omi.address, "Omi")
        async with BleakClient(device) as client:
            assert await client.read_gatt_char(protocol.AUDIO_CODEC) == bytes([21])
            assert await client.read_gatt_char(protocol.BATTERY) == bytes([42])
            await client.write_gatt_char(protocol.HAPTIC, b"\1", response=True)
            with pytest.raises(BleakGATTProtocolError) as refused:
                await client.write_gatt_char(protocol.HAPTIC, b"\7", response=True)
            assert refused.value.code == 0x0E
        assert omi.writes == [(protocol.HAPTIC, b"\1")]
        await omi.until(lambda o: not o.connected)


@pytest.mark.parametrize("by_signals", [True, False], ids=["StartNotify", "AcquireNotify"])
async def test_all_notifications_arrive_whole_and_in_order(by_signals: bool) -> None:
    sent = [number.to_bytes(2, "little") + b"\0" + bytes([number % 251]) * 80 for number in range(PACKETS)]
    heard: list[bytes] = []
    async with fake_bluez() as omi, BleakClient(await find()) as client:
        await client.start_notify(
            protocol.AUDIO_DATA,
            lambda _sender, packet: heard.append(bytes(packet)),
            bluez={"use_start_notify": by_signals},
        )
        assert omi.subscribed(protocol.AUDIO_DATA)
        for packet in sent:
            await omi.notify(protocol.AUDIO_DATA, packet)
        await until(lambda: len(heard) >= PACKETS)
        assert heard == sent
        await client.stop_notify(protocol.AUDIO_DATA)
        await omi.until(lambda o: not o.subscribed(protocol.AUDIO_DATA))


async def test_a_lost_connection_is_told_and_a_refused_one_can_be_tried_again() -> None:
    gone = asyncio.Event()
    async with fake_bluez() as omi:
        device = await find()
        async with BleakClient(device, lambda _client: gone.set()) as client:
            await omi.drop()
            async with asyncio.timeout(5):
                await gone.wait()
            assert not client.is_connected
            with pytest.raises(BleakError):
                await client.read_gatt_char(protocol.BATTERY)
        omi.refuse()
        with pytest.raises(BleakDBusError, match="Host is down"):
            await BleakClient(device).connect()
        async with BleakClient(device) as client:
            assert client.is_connected
        assert omi.connections == 2


async def test_a_radio_that_is_off_or_missing() -> None:
    async with fake_bluez() as omi:
        await find()
        await omi.power(False)
        with pytest.raises(BleakBluetoothNotAvailableError) as refused:
            await find()
        assert refused.value.reason is BleakBluetoothNotAvailableReason.POWERED_OFF
        await omi.power(True)
        await find()
        await omi.unplug()
        with pytest.raises(BleakBluetoothNotAvailableError) as refused:
            await find()
        assert refused.value.reason is BleakBluetoothNotAvailableReason.NO_BLUETOOTH


async def test_no_bluetooth_service_on_the_bus() -> None:
    async with private_bus():
        with pytest.raises(BleakDBusError) as refused:
            await find()
        assert refused.value.dbus_error == "org.freedesktop.DBus.Error.ServiceUnknown"


# ------------------------------------------------------------------------------------------------ the product's client


@asynccontextmanager
async def hearing(source: OmiSource) -> AsyncIterator[list[Signal]]:
    signals: list[Signal] = []
    work = asyncio.create_task(source.run(signals.append))
    try:
        yield signals
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def states(signals: list[Signal]) -> list[str]:
    return [signal.state for signal in signals if isinstance(signal, Link)]


async def speak(omi: FakeOmi, first: int, seconds: int) -> bytes:
    """Send some sound of code 0, a packet of 10 ms each; gives what was sent."""
    pcm = b"".join((step % 3_000).to_bytes(2, "little") for step in range(16_000 * seconds))
    for number, frame in enumerate(Encoder(CODECS[0]).encode(pcm)):
        packet = ((first + number) % 65_536).to_bytes(2, "little") + b"\0" + frame
        await omi.notify(protocol.AUDIO_DATA, packet)
    return pcm


async def test_the_client_hears_through_bluez_and_again_after_a_loss() -> None:
    async with fake_bluez(codec=0) as omi, hearing(OmiSource(omi.address)) as signals:
        await omi.until(lambda o: o.subscribed(protocol.AUDIO_DATA) and o.subscribed(protocol.CHARGING), 15)
        await until(lambda: "connected" in states(signals))
        sent = await speak(omi, 0, 2)
        await omi.notify(protocol.BUTTON, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        await omi.notify(protocol.BATTERY, bytes([33]))
        await until(lambda: Pressed("single") in signals)
        await until(lambda: any(isinstance(signal, Charge) and signal.percent == 33 for signal in signals))

        def heard() -> bytes:
            return b"".join(signal.pcm for signal in signals if isinstance(signal, Sound) and not signal.lost)

        # The last frame has no end before the next begins.
        await until(lambda: len(heard()) >= len(sent) - 320)
        assert sent.startswith(heard())

        await omi.drop()
        await until(lambda: "lost" in states(signals))
        await omi.until(lambda o: o.subscribed(protocol.AUDIO_DATA), 15)
        assert omi.connections == 2
        before = len(heard())
        await speak(omi, 200, 1)
        await until(lambda: len(heard()) > before + 16_000)
    await omi.until(lambda o: not o.connected)
