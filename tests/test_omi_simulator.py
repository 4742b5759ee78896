"""The simulated Omi against plain bleak: what a client sees is what the firmware and the Bluetooth specification say."""

from __future__ import annotations

import asyncio
import shutil
import struct
import sys
import warnings
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("bleak", reason="pip install 'orchestra-council[omi]'")
pytest.importorskip("bumble", reason="pip install 'orchestra-council[omi-sim]'")
pytest.importorskip("opuslib_next", reason="pip install 'orchestra-council[omi]'")

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from omi_world import HASTE, running

from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.air import Air, dongles
from orchestra_mcp.edge.omi.backend import VirtualAdapter
from orchestra_mcp.edge.omi.client import OmiSource
from orchestra_mcp.edge.omi.encoding import Encoder, mulaw_of
from orchestra_mcp.edge.omi.mischief import Mischief
from orchestra_mcp.edge.omi.protocol import CODECS, CONSUMER, DEV_KIT
from orchestra_mcp.edge.omi.simulate import SPEAKS, simulate, simulated_adapter, speech
from orchestra_mcp.edge.omi.simulator import SimulatedOmi
from orchestra_mcp.edge.omi.virtual import remote_adapter, virtual_adapter
from orchestra_mcp.errors import VoiceError

SECOND = b"".join(struct.pack("<h", (step * 37) % 2_000 - 1_000) for step in range(16_000))


async def find(adapter: VirtualAdapter, seconds: float = 5) -> BLEDevice | None:
    return await BleakScanner.find_device_by_filter(
        lambda _device, heard: protocol.AUDIO_SERVICE in heard.service_uuids,
        timeout=seconds,
        backend=adapter.backends.scanner,
    )


@asynccontextmanager
async def connected(
    adapter: VirtualAdapter, gone: Callable[[BleakClient], None] | None = None
) -> AsyncIterator[BleakClient]:
    device = await find(adapter)
    assert device is not None
    async with BleakClient(device, gone, backend=adapter.backends.client) as client:
        yield client


@asynccontextmanager
async def listening(adapter: VirtualAdapter, omi: SimulatedOmi) -> AsyncIterator[list[bytes]]:
    """All packets with sound that a client is told of."""
    packets: list[bytes] = []
    async with connected(adapter) as client:
        await client.start_notify(protocol.AUDIO_DATA, lambda _sender, packet: packets.append(bytes(packet)))
        yield packets


def ids(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[:2], "little") for packet in packets]


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - bleak's callbacks and the clients' state have no common event
            await asyncio.sleep(0.005)


async def arrived(packets: list[bytes], count: int) -> None:
    await until(lambda: len(packets) >= count)


# --------------------------------------------------------------------------------------------------------- encoding


def test_mu_law_is_that_of_the_standard_library() -> None:
    if sys.version_info >= (3, 13):
        pytest.skip("audioop left the standard library with Python 3.13")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    samples = range(-32_768, 32_768)
    expected = audioop.lin2ulaw(struct.pack("<65536h", *samples), 2)
    assert bytes(mulaw_of(sample) for sample in samples) == expected


# RFC 6716, table 2: CELT only, wide band: 22 is 10 ms, 23 is 20 ms.
@pytest.mark.parametrize(("codec", "configuration", "frames"), [(20, 22, 100), (21, 23, 50)])
def test_opus_frames_are_of_the_firmwares_mode_and_rate(codec: int, configuration: int, frames: int) -> None:
    encoder = Encoder(CODECS[codec])
    encoded = encoder.encode(SECOND)
    assert len(encoded) == frames
    assert {frame[0] >> 3 for frame in encoded} == {configuration}
    assert {frame[0] & 0b111 for frame in encoded} == {0}, "mono, one frame in a packet"
    assert 28_000 < sum(map(len, encoded)) * 8 < 40_000, "32 kbit/s, variable"


# Bytes of 10 ms: two a sample or one, at 16 or 8 kHz.
@pytest.mark.parametrize(("codec", "size"), [(0, 320), (1, 160), (10, 160), (11, 80)])
def test_plain_codecs_have_frames_of_ten_milliseconds(codec: int, size: int) -> None:
    encoder = Encoder(CODECS[codec])
    encoded = encoder.encode(SECOND[:-2])
    assert {len(frame) for frame in encoded} == {size}
    assert len(encoded) == 99
    assert len(encoder.flush()) == 1, "the last one is filled up"
    assert encoder.flush() == []


def test_sixteen_bit_samples_pass_unchanged() -> None:
    assert b"".join(Encoder(CODECS[0]).encode(SECOND)) == SECOND


# ----------------------------------------------------------------------------------------------------- what it says


async def test_it_is_found_by_its_service_and_says_what_it_is() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi(CONSUMER, battery=42).on(air) as omi:
        device = await find(adapter)
        assert device is not None
        assert (device.address, device.name) == ("E2:4F:00:00:00:01", "Omi")
        async with connected(adapter) as client:
            assert client.mtu_size == 498
            assert await client.read_gatt_char(protocol.AUDIO_CODEC) == bytes([21])
            assert await client.read_gatt_char(protocol.BATTERY) == bytes([42])
            assert await client.read_gatt_char(protocol.CHARGING) == b"\0"
            assert await client.read_gatt_char(protocol.FIRMWARE) == b"3.0.19"
            # Bits 2 button, 3 battery, 5 haptic, 7 dimming, 8 gain; no speaker.
            assert await client.read_gatt_char(protocol.FEATURES) == struct.pack("<I", 0b1_1010_1100)
            await client.write_gatt_char(protocol.TIME_SYNC, struct.pack("<I", 1_795_000_000), response=True)
            assert client.services.get_characteristic(protocol.SPEAKER) is None
        assert omi.synced == [1_795_000_000]


async def test_a_long_name_is_shortened_on_the_air_and_a_dev_kit_has_a_speaker() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi(DEV_KIT).on(air) as omi:
        device = await find(adapter)
        assert device is not None
        assert device.name == "Omi DevK"
        async with connected(adapter) as client:
            assert await client.read_gatt_char(protocol.AUDIO_CODEC) == bytes([20])
            assert await client.read_gatt_char("2a00") == b"Omi DevKit 2"
            assert client.services.get_characteristic(protocol.TIME_SYNC) is None
            # 900 bytes: two packets of 400, then the rest is played.
            for part in (struct.pack("<I", 900), bytes(400), bytes(400), b"\1" * 100):
                await client.write_gatt_char(protocol.SPEAKER, part, response=True)
        assert omi.played == [bytes(800) + b"\1" * 100]
        assert len(omi.speaker) == 4


async def test_a_sign_is_felt_and_a_wrong_one_is_refused() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi().on(air) as omi, connected(adapter) as client:
        await client.write_gatt_char(protocol.HAPTIC, b"\2", response=True)
        with pytest.raises(BleakGATTProtocolError) as refused:
            await client.write_gatt_char(protocol.HAPTIC, b"\7", response=True)
        assert refused.value.code == 0x0E
        assert omi.haptics == [2]


async def test_battery_and_charging_are_notified() -> None:
    told: list[tuple[str, int]] = []
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi().on(air) as omi, connected(adapter) as client:
        for name, uuid in (("battery", protocol.BATTERY), ("charging", protocol.CHARGING)):
            await client.start_notify(uuid, lambda _sender, value, name=name: told.append((name, value[0])))  # type: ignore[misc]
        await omi.set_battery(12)
        await omi.charge(True)
        await until(lambda: len(told) >= 3)
    # The firmware tells of charging as soon as it is subscribed to.
    assert told == [("charging", 0), ("battery", 12), ("charging", 1)]


async def test_it_can_have_less_and_send_anything() -> None:
    heard: list[bytes] = []
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi(99, features=frozenset({"button"}), name="Friend").on(air) as omi,
        connected(adapter) as client,
    ):
        assert await client.read_gatt_char(protocol.AUDIO_CODEC) == bytes([99])
        assert client.services.get_characteristic(protocol.BUTTON) is not None
        assert client.services.get_characteristic(protocol.BATTERY) is None
        assert client.services.get_characteristic(protocol.HAPTIC) is None
        await client.start_notify(protocol.AUDIO_DATA, lambda _sender, packet: heard.append(bytes(packet)))
        for packet in (b"", b"\1", b"\0\0\0nonsense"):
            await omi.send_packet(packet)
        await arrived(heard, 3)
        assert heard == [b"", b"\1", b"\0\0\0nonsense"]


async def test_sound_begins_when_the_connection_has_settled() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi(settle_s=60).on(air) as omi,
        listening(adapter, omi),
    ):
        await omi.play(SECOND, realtime=False)
        assert omi.sent == 0
        omi.settle_s = 0
        await omi.play(SECOND, realtime=False)
        assert omi.sent == 50


# ------------------------------------------------------------------------------------------------------------ sound


@pytest.mark.parametrize(("kind", "packets"), [(DEV_KIT, 1_000), (CONSUMER, 500)], ids=["dev kit", "consumer"])
async def test_ten_seconds_arrive_whole_and_in_order(kind: protocol.Kind, packets: int) -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi(kind).on(air) as omi,
        listening(adapter, omi) as heard,
    ):
        await omi.play(SECOND * 10, realtime=False)
        await arrived(heard, packets)
        expected = Encoder(CODECS[omi.codec_id]).encode(SECOND * 10)
        assert [packet[3:] for packet in heard] == expected
        assert ids(heard) == list(range(packets))
        assert {packet[2] for packet in heard} == {0}


async def test_the_counter_wraps_and_goes_on_over_connections() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi(DEV_KIT).on(air) as omi:
        omi.next_id = 65_500
        for first in (65_500, 64):
            async with listening(adapter, omi) as heard:
                await omi.play(SECOND, realtime=False)
                await arrived(heard, 100)
                assert ids(heard) == [(first + step) % 65_536 for step in range(100)]
            await omi.until(lambda o: o.connection is None)
            await omi.power_on()


async def test_a_frame_that_does_not_fit_comes_in_fragments() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi(0, mtu=185).on(air) as omi,
        listening(adapter, omi) as heard,
    ):
        await omi.play(SECOND, realtime=False)
        await arrived(heard, 200)
        # 320 bytes in notifications of 185 - 3 bytes, of which 3 are the header.
        assert [(packet[2], len(packet)) for packet in heard] == [(0, 182), (1, 144)] * 100
        assert ids(heard) == list(range(200))
        assert b"".join(packet[3:] for packet in heard) == SECOND


async def test_a_small_mtu_lets_no_sound_through() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi(CONSUMER, mtu=60).on(air) as omi, listening(adapter, omi):
        await omi.play(SECOND, realtime=False)
        assert omi.sent == 0
        assert omi.frames_lost == 50


@pytest.mark.parametrize(("kind", "stale"), [(DEV_KIT, 32), (CONSUMER, 0)], ids=["dev kit", "consumer"])
async def test_what_was_said_before_the_subscription(kind: protocol.Kind, stale: int) -> None:
    air = Air()
    heard: list[bytes] = []
    async with virtual_adapter(air) as adapter, SimulatedOmi(kind).on(air) as omi, connected(adapter) as client:
        before = Encoder(CODECS[omi.codec_id]).encode(SECOND)
        await omi.play(SECOND, realtime=False)
        await client.start_notify(protocol.AUDIO_DATA, lambda _sender, packet: heard.append(bytes(packet[3:])))
        await omi.play(SECOND, realtime=False)
        await arrived(heard, len(before) + stale)
        assert heard[:stale] == before[:stale], "the oldest are kept, as the queue was full"
        assert len(heard) == len(before) + stale


async def test_a_running_microphone_sends_silence_and_what_is_said() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi(0).on(air) as omi,
        listening(adapter, omi) as heard,
    ):
        omi.idle(level_db=-100)
        await omi.play(SECOND[:6_400], realtime=True)
        await arrived(heard, len(heard) + 3)
        omi.hush()
        sound = b"".join(packet[3:] for packet in heard)
        assert sound.strip(b"\0") == SECOND[:6_400].strip(b"\0")
        assert len(sound) > 6_400


async def test_nothing_comes_while_it_is_silent() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi().on(air) as omi,
        listening(adapter, omi) as heard,
    ):
        omi.go_silent()
        await omi.play(SECOND, realtime=False)
        omi.go_silent(False)
        await omi.play(SECOND, realtime=False)
        await arrived(heard, 50)
        assert ids(heard) == list(range(50)), "the counter stood still"


# ------------------------------------------------------------------------------------------------- what goes wrong


async def test_lost_packets_leave_gaps_in_the_counter() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi(DEV_KIT).on(air) as omi,
        listening(adapter, omi) as heard,
    ):
        omi.mischief.drop(0.2, seed=3)
        await omi.play(SECOND * 10, realtime=False)
        await arrived(heard, 1_000 - omi.mischief.dropped)
        assert len(heard) == 1_000 - omi.mischief.dropped
        assert ids(heard) == sorted(ids(heard))
        assert 150 < omi.mischief.dropped < 250


def test_mischief_has_its_share_its_runs_and_its_order() -> None:
    packets = [step.to_bytes(2, "little") for step in range(10_000)]
    runs = Mischief()
    runs.drop(0.2, seed=1, burst=5)
    arrived = [bool(runs.packets(packet)) for packet in packets]
    lost = arrived.count(False)
    assert 1_500 < lost < 2_500
    starts = sum(1 for before, now in zip([True, *arrived], arrived, strict=False) if before and not now)
    assert 4 < lost / starts < 6, "five in a row on average"

    swaps = Mischief()
    swaps.reorder(0.1, seed=1)
    order = [packet for sent in packets for packet in swaps.packets(sent)]
    displaced = [(at, packet) for at, packet in enumerate(order) if packet != packets[at]]
    assert len(order) >= 9_999
    assert set(order) <= set(packets)
    assert len(displaced) == 2 * swaps.reordered - (len(order) == 9_999)
    assert 600 < swaps.reordered < 1_200

    twice = Mischief()
    twice.duplicate(1.0)
    assert twice.packets(b"x") == [b"x", b"x"]
    twice.calm()
    assert twice.packets(b"x") == [b"x"]
    twice.drop(1.0)
    assert twice.packets(b"x") == []


async def test_the_device_hangs_up_and_is_found_again() -> None:
    gone: list[str] = []
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi().on(air) as omi:
        async with connected(adapter, lambda client: gone.append(client.address)) as client:
            await omi.disconnect()
            await until(lambda: not client.is_connected)
            assert gone == [omi.address]
            with pytest.raises(BleakError):
                await client.read_gatt_char(protocol.BATTERY)
        async with connected(adapter) as client:
            assert await client.read_gatt_char(protocol.BATTERY) == bytes([87])
    assert omi.log == ["connected", "disconnected"] * 2


async def test_a_short_absence_delays_and_a_long_one_ends_the_connection() -> None:
    air = Air(supervision_s=0.3)
    async with virtual_adapter(air) as adapter, SimulatedOmi(DEV_KIT).on(air) as omi:
        async with connected(adapter) as client:
            away = asyncio.create_task(omi.out_of_range(0.1))
            await asyncio.sleep(0)
            assert await client.read_gatt_char(protocol.BATTERY) == bytes([87]), "the answer comes when it is back"
            await away
            assert client.is_connected

            away = asyncio.create_task(omi.out_of_range(0.6))
            await asyncio.sleep(0)
            with pytest.raises(BleakError):
                await client.read_gatt_char(protocol.BATTERY)
            assert not client.is_connected
            assert await find(adapter, 0.05) is None
            await away
        async with connected(adapter):
            pass
    assert omi.log == ["connected", "disconnected"] * 2


async def test_a_wait_for_an_answer_is_cancelled_from_outside_and_not_by_the_device() -> None:
    air = Air(supervision_s=5)
    async with virtual_adapter(air) as adapter, SimulatedOmi().on(air) as omi, connected(adapter) as client:
        away = asyncio.create_task(omi.out_of_range(60))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.read_gatt_char(protocol.BATTERY)
        away.cancel()
        with pytest.raises(asyncio.CancelledError):
            await away


async def test_only_one_client_at_a_time() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as phone,
        virtual_adapter(air) as computer,
        SimulatedOmi().on(air) as omi,
    ):
        seen = await find(computer)
        assert seen is not None
        async with connected(phone) as first:
            assert await find(computer, 0.1) is None, "it does not advertise while connected"
            with pytest.raises(TimeoutError):
                await BleakClient(seen, timeout=0.2, backend=computer.backends.client).connect()
            assert first.is_connected
        async with connected(computer) as second:
            assert await second.read_gatt_char(protocol.BATTERY) == bytes([87])
    assert omi.log == ["connected", "disconnected"] * 2


async def test_of_two_who_connect_at_once_one_loses() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as one,
        virtual_adapter(air) as other,
        SimulatedOmi().on(air) as omi,
    ):
        clients = []
        for adapter in (one, other):
            device = await find(adapter)
            assert device is not None
            clients.append(BleakClient(device, timeout=5, backend=adapter.backends.client))
        results = await asyncio.gather(*(client.connect() for client in clients), return_exceptions=True)
        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, BleakError) for result in results) == 1, "told at once, not after a wait"
        assert sum(client.is_connected for client in clients) == 1
        assert omi.log == ["connected"]
        for client in clients:
            await client.disconnect()


async def test_an_attempt_that_is_cancelled_does_not_block_the_next() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi().on(air) as omi:
        device = await find(adapter)
        assert device is not None
        await omi.power_off()
        attempt = asyncio.create_task(BleakClient(device, backend=adapter.backends.client).connect())
        await asyncio.sleep(0.05)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await omi.power_on()
        async with connected(adapter) as client:
            assert client.is_connected


async def test_an_address_that_nobody_has_is_not_found() -> None:
    air = Air()
    async with virtual_adapter(air) as adapter:
        client = BleakClient("E2:4F:00:00:00:99", timeout=0.1, backend=adapter.backends.client)
        with pytest.raises(BleakDeviceNotFoundError):
            await client.connect()


async def test_an_address_is_enough_to_connect() -> None:
    air = Air()
    async with (
        virtual_adapter(air) as adapter,
        SimulatedOmi().on(air) as omi,
        BleakClient(omi.address, backend=adapter.backends.client) as client,
    ):
        assert client.is_connected


@pytest.mark.parametrize(
    "reason", [BleakBluetoothNotAvailableReason.POWERED_OFF, BleakBluetoothNotAvailableReason.DENIED_BY_USER]
)
async def test_a_radio_that_is_turned_off_says_so_and_comes_back(reason: BleakBluetoothNotAvailableReason) -> None:
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi().on(air) as omi:
        async with connected(adapter) as client:
            await adapter.turn_off(reason)
            await omi.until(lambda o: o.connection is None)
            assert not client.is_connected
            with pytest.raises(BleakBluetoothNotAvailableError) as refused:
                await find(adapter)
            assert refused.value.reason is reason
        adapter.reason = None
        async with connected(adapter) as client:
            assert client.is_connected


# ----------------------------------------------------------------------------------------------------------- button


@pytest.mark.parametrize(
    ("kind", "press", "events", "powered"),
    [
        (DEV_KIT, "single", ["single"], False),
        (DEV_KIT, "double", ["double", "release"], True),
        (DEV_KIT, "long", ["long"], True),
        (DEV_KIT, "release", ["release"], True),
        (CONSUMER, "single", ["single", "release"], True),
        (CONSUMER, "double", ["double", "release"], True),
        (CONSUMER, "long", [], False),
    ],
)
async def test_a_press_has_the_consequences_of_the_firmware(
    kind: protocol.Kind, press: str, events: list[str], powered: bool
) -> None:
    told: list[str | None] = []
    air = Air()
    async with virtual_adapter(air) as adapter, SimulatedOmi(kind).on(air) as omi, connected(adapter) as client:
        await client.start_notify(protocol.BUTTON, lambda _sender, value: told.append(protocol.button_of(bytes(value))))
        await omi.press(press)  # type: ignore[arg-type]
        await until(lambda: len(told) >= len(events) and client.is_connected == powered)
        assert told == events
        if not powered:
            assert await find(adapter, 0.1) is None
            await omi.power_on()
            assert await find(adapter) is not None


# ---------------------------------------------------------------------------------------------- in another process


async def test_over_tcp_all_arrives_and_a_listener_that_leaves_is_noticed() -> None:
    air = Air()
    async with SimulatedOmi(DEV_KIT).on(air) as omi, dongles(air) as address:
        for _visit in range(2):
            async with remote_adapter(address) as adapter, listening(adapter, omi) as heard:
                start = omi.next_id
                await omi.play(SECOND * 5, realtime=False)
                await arrived(heard, 500)
                assert ids(heard) == list(range(start, start + 500))
            await omi.until(lambda o: o.connection is None)
    assert omi.log == ["connected", "+audio", "disconnected"] * 2


async def test_over_tcp_a_simulator_that_stops_is_a_lost_adapter() -> None:
    gone = asyncio.Event()
    air = Air()
    server = dongles(air)
    async with SimulatedOmi().on(air):
        address = await server.__aenter__()
        async with remote_adapter(address) as adapter, connected(adapter, lambda _client: gone.set()):
            await server.__aexit__(None, None, None)
            async with asyncio.timeout(5):
                await gone.wait()
            with pytest.raises(ConnectionError, match="simulated device is gone"):
                await find(adapter)


async def test_a_simulator_that_comes_back_at_its_address_is_listened_to_again() -> None:
    process = AsyncExitStack()
    await process.enter_async_context(SimulatedOmi().on(first := Air()))
    address = await process.enter_async_context(dongles(first))
    async with (
        remote_adapter(address) as adapter,
        running(OmiSource(backends=adapter.backends, pace=HASTE)) as ear,
    ):
        await ear.until(lambda ear: ear.links("connected"))
        await process.aclose()
        await ear.until(lambda ear: any("simulated device is gone" in link.detail for link in ear.links("trouble")))
        air = Air()
        async with SimulatedOmi().on(air) as omi, dongles(air, address):
            await ear.until(lambda ear: len(ear.links("connected")) == 2)
            await omi.play(SECOND, realtime=False)
            await ear.until(lambda ear: ear.seconds(lost=False) > 0.9)


async def test_a_client_that_breaks_off_is_noticed() -> None:
    air = Air()
    async with SimulatedOmi().on(air) as omi, dongles(air) as address:
        async with remote_adapter(address) as adapter, connected(adapter):
            sink = adapter.device.host.hci_sink
            assert sink is not None
            sink.transport.abort()  # type: ignore[attr-defined]
            await omi.until(lambda o: o.connection is None)
        async with remote_adapter(address) as adapter, connected(adapter) as client:
            assert client.is_connected


@pytest.mark.parametrize("address", ["tcp:0.0.0.0:9000", "tcp:example.org:9000", "udp:127.0.0.1:9", "tcp:127.0.0.1:x"])
async def test_only_this_machine_can_be_simulated_on(address: str) -> None:
    with pytest.raises(VoiceError, match=r"127\.0\.0\.1"):
        async with remote_adapter(address):
            pass
    with pytest.raises(VoiceError, match=r"127\.0\.0\.1"):
        async with dongles(Air(), address):
            pass


async def test_a_port_that_is_taken() -> None:
    air = Air()
    async with dongles(air) as address:
        with pytest.raises(VoiceError, match="cannot be opened"):
            async with dongles(air, address):
                pass


async def test_nobody_at_the_address() -> None:
    air = Air()
    async with dongles(air) as address:
        pass
    with pytest.raises(VoiceError, match="orchestra omi simulate"):
        async with simulated_adapter(address):
            pass


async def test_simulate_speaks_to_who_listens_and_obeys_keys(tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(SECOND)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    lines: list[str] = []
    pressed = asyncio.Event()

    async def keys() -> AsyncIterator[str]:
        await pressed.wait()
        yield "55\n"
        yield "x\n"

    work = asyncio.create_task(
        simulate(wav=path, kind="dev-kit", tell=lines.append, ready=address.set_result, keys=keys())
    )
    heard: list[bytes] = []
    battery: list[int] = []
    async with asyncio.timeout(15), simulated_adapter(await address) as adapter, connected(adapter) as client:
        await client.start_notify(protocol.AUDIO_DATA, lambda _sender, packet: heard.append(bytes(packet)))
        await client.start_notify(protocol.BATTERY, lambda _sender, value: battery.append(value[0]))
        await until(lambda: "speaking" in lines)
        assert heard, "the microphone runs before it speaks"
        pressed.set()
        await until(lambda: not client.is_connected)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert battery == [55]
    assert lines[:2] == ["connected", "+audio"]
    assert "disconnected" in lines


@pytest.mark.parametrize("program", ["flite", "espeak-ng"])
async def test_a_sentence_is_spoken_by_what_is_installed(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which(program):
        pytest.skip(f"needs: apt-get install {program}")
    monkeypatch.setattr("orchestra_mcp.edge.omi.simulate.SPEAKS", {program: SPEAKS[program]})
    pcm = await speech("hey orchestra, why is my test failing?")
    # 3 s of silence follow; the sentence itself takes about two.
    assert 4 < len(pcm) / 32_000 < 8
    assert max(abs(sample) for (sample,) in struct.iter_unpack("<h", pcm)) > 2_000
    assert not any(pcm[-32_000:])


async def test_without_a_program_that_speaks_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VoiceError, match="flite, espeak-ng"):
        await speech("hello")
