"""An Omi over Bluetooth when something goes wrong: lost, silent, refused, switched off; and every refusal in words."""

from __future__ import annotations

import gc
import sys

import anyio
import anyio.lowlevel
import pytest

pytest.importorskip("bumble", reason="the simulated device: pip install 'orchestra-council[omi-sim]'")

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)
from omi_world import HASTE, Ear, ours, quiet, running, world

from orchestra_mcp.edge.omi.client import OmiSource
from orchestra_mcp.edge.omi.pace import Pace, delay
from orchestra_mcp.edge.omi.protocol import DEV_KIT
from orchestra_mcp.edge.omi.radio import explain, said_by
from orchestra_mcp.edge.omi.scanning import scan
from orchestra_mcp.errors import VoiceError


async def test_lost_repeated_and_reordered_packets_are_counted_exactly_and_lost_ones_become_silence() -> None:
    async with world() as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.4), realtime=False)
        here.omi.mischief.drop(0.2, seed=7)
        here.omi.mischief.duplicate(0.05, seed=8)
        await here.omi.play(quiet(8), realtime=False)
        here.omi.mischief.drop(0)
        here.omi.mischief.duplicate(0)
        await here.omi.play(quiet(0.4), realtime=False)
        lost, twice = here.omi.mischief.dropped, here.omi.mischief.duplicated
        assert lost > 40
        await ear.until(lambda ear: sum(each.received + each.lost for each in ear.receptions()) == 440)
    assert sum(each.lost for each in ear.receptions()) == lost
    assert sum(each.late for each in ear.receptions()) == twice
    assert ear.seconds(lost=True) == pytest.approx(lost * 0.02)


async def test_a_device_that_goes_away_in_mid_sentence_is_found_again_and_the_gap_is_silence() -> None:
    async with world() as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.5), realtime=False)
        await ear.until(lambda ear: ear.seconds() > 0.4)
        await here.omi.out_of_range(0.6)
        await ear.until(lambda ear: ear.links("lost") and len(ear.links("connected")) == 2)
        await here.omi.play(quiet(0.5), realtime=False)
        await ear.until(lambda ear: ear.seconds(lost=False) > 0.9)
    assert 0 < ear.seconds(lost=True) <= 6
    states = [link.state for link in ear.links()][3:]
    assert (states[:2], states[-2:]) == (["lost", "searching"], ["connecting", "connected"])


async def test_a_device_that_ends_the_connection_again_and_again_is_connected_again_and_again() -> None:
    async with world(DEV_KIT) as here, running(here.source()) as ear:
        for times in range(1, 4):
            await ear.until(lambda ear, times=times: len(ear.links("connected")) == times)  # type: ignore[misc]
            await here.omi.disconnect()
        await ear.until(lambda ear: len(ear.links("connected")) == 4)


async def test_a_dev_kit_that_a_tap_switched_off_is_said_to_be() -> None:
    async with world(DEV_KIT) as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.press("single")
        await ear.until(lambda ear: ear.links("lost"))
        assert ear.pressed() == ["single"]
        assert "hold its button" in ear.links("lost")[0].detail
        await here.omi.power_on()
        await ear.until(lambda ear: len(ear.links("connected")) == 2)


async def test_a_dev_kit_that_sends_nothing_is_subscribed_to_once_more_and_then_connected_anew() -> None:
    async with world(DEV_KIT) as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.5), realtime=False)
        here.omi.go_silent()
        await ear.until(lambda ear: ear.links("trouble"))
        assert here.omi.log.count("+audio") == 2
        assert "sends no sound" in ear.links("trouble")[0].detail
        here.omi.go_silent(False)
        await ear.until(lambda ear: len(ear.links("connected")) == 2)


async def test_an_omi_that_sleeps_when_nobody_speaks_is_left_in_peace_while_it_gives_signs_of_life() -> None:
    pace = Pace(scan_s=0.15, silent_s=0.1, asleep_s=0.4, tick_s=0.05)
    async with world(battery_s=0.1) as here, running(here.source(pace=pace)) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.5), realtime=False)
        await ear.until(lambda ear: ear.seconds() > 0.4)
        here.omi.go_silent()
        await here.omi.until(lambda omi: omi.log.count("+audio") == 2)
        await anyio.sleep(1)
        assert not ear.links("trouble")
        assert "disconnected" not in here.omi.log


async def test_an_omi_that_pauses_is_not_asked_again_at_once() -> None:
    async with world() as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.5), realtime=False)
        await ear.until(lambda ear: ear.seconds() > 0.4)
        await anyio.sleep(3 * HASTE.silent_s)
        assert here.omi.log.count("+audio") == 1
        assert not ear.links("trouble")


async def test_packets_that_are_too_small_for_sound_are_named_as_the_reason() -> None:
    async with world(mtu=60) as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("trouble"))
    detail = ear.links("trouble")[0].detail
    assert "60 bytes" in detail
    assert "4.2" in detail


async def test_an_unknown_codec_is_refused_with_model_and_firmware() -> None:
    async with world(77, firmware="9.9.9") as here:
        ear = Ear()
        with pytest.raises(VoiceError, match=r"77") as refusal:
            await here.source().run(ear)
        assert here.omi.connection is None
    assert "9.9.9" in str(refusal.value)
    assert "Omi CV 1" in str(refusal.value)
    assert ear.links("trouble")[0].detail == str(refusal.value)


async def test_a_radio_that_is_off_is_said_to_be_and_waited_for() -> None:
    async with world() as here:
        await here.adapter.turn_off()
        async with running(here.source()) as ear:
            await ear.until(lambda ear: ear.links("trouble"))
            assert "is off" in ear.links("trouble")[0].detail
            await anyio.sleep(0.5)
            assert [link.state for link in ear.links()] == ["searching", "trouble"]  # and not again with each try
            here.adapter.reason = None
            await ear.until(lambda ear: ear.links("connected"))
            await here.adapter.turn_off()
            await ear.until(lambda ear: ear.links()[-1].state == "trouble")
            here.adapter.reason = None
            await ear.until(lambda ear: len(ear.links("connected")) == 2)


@pytest.mark.parametrize("reason", ["NO_BLUETOOTH", "DENIED_BY_USER", "NO_BLE_CENTRAL_ROLE"])
async def test_what_no_waiting_mends_ends_the_source_at_once_but_not_one_that_has_worked(reason: str) -> None:
    async with world() as here:
        why = BleakBluetoothNotAvailableReason[reason]
        await here.adapter.turn_off(why)
        with pytest.raises(VoiceError):
            await here.source().run(Ear())
        with pytest.raises(VoiceError):
            await scan(0.1, here.adapter.backends.scanner)
        here.adapter.reason = None
        async with running(here.source()) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            await here.adapter.turn_off(why)
            await ear.until(lambda ear: ear.links("trouble"))
            here.adapter.reason = None
            await ear.until(lambda ear: len(ear.links("connected")) == 2)


async def test_a_cancelled_source_lets_the_device_go_and_leaves_nothing_behind() -> None:
    async with world(supervision_s=30) as here, anyio.create_task_group() as tasks:
        before = ours()
        for state in ("searching", "connected"):
            async with running(here.source()) as ear:
                await ear.until(lambda ear, state=state: ear.links(state))  # type: ignore[misc]
            await here.omi.until(lambda omi: omi.connection is None)
            assert ours() == before
        assert here.omi.log[-1] == "disconnected"

        async with running(here.source()) as ear:  # in the middle of connecting: it goes away as soon as it is seen
            await ear.until(lambda ear: ear.links("connecting"))
            tasks.start_soon(here.omi.out_of_range, 60)
            await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert ours() <= before
    gc.collect()  # what was never retrieved is told of now, and fails this test


@pytest.mark.parametrize("steps", [5, 12, 20, 35])
async def test_a_source_is_cancelled_at_any_step_of_its_connecting(steps: int) -> None:
    async with world() as here:
        before = ours()
        async with running(here.source()) as ear:
            await ear.until(lambda ear: ear.links("connecting"))
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
        await here.omi.until(lambda omi: omi.connection is None)
        assert ours() == before


async def test_without_bleak_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bleak.exc", None)
    with pytest.raises(VoiceError, match=r"pip install 'orchestra-council\[omi\]'"):
        await OmiSource().run(Ear())


# ------------------------------------------------------------------------------------------------------ in words


def unavailable(reason: str) -> BleakBluetoothNotAvailableError:
    return BleakBluetoothNotAvailableError("", BleakBluetoothNotAvailableReason[reason])


@pytest.mark.parametrize(
    ("error", "system", "hope", "words"),
    [
        (unavailable("POWERED_OFF"), "linux", "slow", "bluetoothctl power on"),
        (unavailable("POWERED_OFF"), "darwin", "slow", "System Settings > Bluetooth"),
        (unavailable("POWERED_OFF"), "win32", "slow", "Settings > Bluetooth & devices"),
        (unavailable("NO_BLUETOOTH"), "linux", "never", "no Bluetooth adapter"),
        (unavailable("NO_BLUETOOTH"), "wsl", "never", "on Windows itself"),
        (unavailable("DENIED_BY_USER"), "darwin", "never", "Privacy & Security > Bluetooth"),
        (unavailable("DENIED_BY_SYSTEM"), "linux", "never", "usermod -aG bluetooth"),
        (unavailable("NO_BLE_CENTRAL_ROLE"), "win32", "never", "Low Energy"),
        (unavailable("UNKNOWN"), "darwin", "slow", "not available at the moment"),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), "linux", "slow", "systemctl"),
        (BleakDBusError("org.bluez.Error.NotReady", []), "linux", "slow", "rfkill unblock"),
        (BleakDBusError("org.bluez.Error.InProgress", []), "linux", "soon", "busy"),
        (BleakDBusError("org.bluez.Error.Failed", ["br-connection-busy"]), "linux", "soon", "Omi app"),
        (BleakDeviceNotFoundError("AA"), "linux", "soon", "Omi app"),
        (TimeoutError(), "linux", "soon", "does not answer"),
        (FileNotFoundError(2, "No such file"), "linux", "never", "D-Bus"),
        (FileNotFoundError(2, "No such file"), "wsl", "never", "WSL"),
        (PermissionError(13, "no"), "linux", "never", "may not use Bluetooth"),
        (BleakError("Unsupported platform: Plan9"), "plan9", "never", "no Bluetooth for plan9"),
        (BleakError("Bleak requires BlueZ >= 5.55."), "linux", "never", "5.55"),
        (BleakError("anything else"), "linux", "soon", "trying again"),
    ],
)
def test_each_error_is_told_with_its_mend(error: Exception, system: str, hope: str, words: str) -> None:
    trouble = explain(error, system)
    assert trouble.hope == hope
    assert words in trouble.text


def test_the_pauses_between_attempts_double_up_to_half_a_minute_and_are_a_minute_after_ten() -> None:
    pace = Pace()
    assert [delay(attempt, 0, pace, 0.5) for attempt in range(1, 8)] == pytest.approx([1, 2, 4, 8, 16, 30, 30])
    assert delay(10_000, 599, pace, 0.5) == pytest.approx(30)
    assert delay(3, 600, pace, 0.5) == pytest.approx(60)
    assert [delay(1, 0, pace, share) for share in (0, 1)] == pytest.approx([0.8, 1.2])


def test_a_name_from_the_air_is_one_short_line() -> None:
    assert said_by("Omi\x1b[31m\n\u202eevil" + "x" * 100).isprintable()
    assert len(said_by("x" * 100)) == 40
