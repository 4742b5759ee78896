"""An Omi over Bluetooth, simulated from the controller up: found, heard, lost, found again, and every refusal in words."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

pytest.importorskip("bumble", reason="the simulated device: pip install 'orchestra-council[omi-sim]'")

import anyio.lowlevel
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)

from orchestra_mcp.edge.nouns import RATE, SAMPLE, Charge, Link, Pressed, Reception, Signal, Sound
from orchestra_mcp.edge.omi.air import Air
from orchestra_mcp.edge.omi.backend import VirtualAdapter
from orchestra_mcp.edge.omi.client import OmiSource
from orchestra_mcp.edge.omi.pace import Pace, delay
from orchestra_mcp.edge.omi.protocol import CODECS, CONSUMER, DEV_KIT, Kind
from orchestra_mcp.edge.omi.radio import explain, said_by
from orchestra_mcp.edge.omi.scanning import scan
from orchestra_mcp.edge.omi.simulator import SimulatedOmi
from orchestra_mcp.edge.omi.virtual import virtual_adapter
from orchestra_mcp.errors import VoiceError

HASTE = Pace(scan_s=0.1, first_s=0.05, most_s=0.2, radio_s=0.1, silent_s=0.3, reception_s=0.3, tick_s=0.05)
OTHER = "E2:4F:00:00:00:02"
both_kinds = pytest.mark.parametrize("kind", [CONSUMER, DEV_KIT], ids=lambda kind: kind.name)


@dataclass
class Ear:
    """Takes what a source tells."""

    signals: list[Signal] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        self.changed.set()

    def links(self, state: str = "") -> list[Link]:
        return [each for each in self.signals if isinstance(each, Link) and each.state.startswith(state)]

    def charges(self) -> list[Charge]:
        return [each for each in self.signals if isinstance(each, Charge)]

    def receptions(self) -> list[Reception]:
        return [each for each in self.signals if isinstance(each, Reception)]

    def pressed(self) -> list[str]:
        return [each.button for each in self.signals if isinstance(each, Pressed)]

    def seconds(self, lost: bool | None = None) -> float:
        sounds = [each for each in self.signals if isinstance(each, Sound) and lost in (None, each.lost)]
        return sum(len(sound.pcm) for sound in sounds) / (RATE * SAMPLE)

    async def until(self, what: Callable[[Ear], Any]) -> None:
        with anyio.fail_after(8):
            while not what(self):
                self.changed.clear()
                await self.changed.wait()


@dataclass
class World:
    air: Air
    adapter: VirtualAdapter
    omi: SimulatedOmi

    def source(self, address: str = "", **more: Any) -> OmiSource:
        return OmiSource(address, backends=self.adapter.backends, **{"pace": HASTE, **more})


@asynccontextmanager
async def world(kind: Kind | int = CONSUMER, supervision_s: float = 0.4, **more: Any) -> AsyncIterator[World]:
    air = Air(supervision_s)
    async with virtual_adapter(air) as adapter, SimulatedOmi(kind, **more).on(air) as omi:
        yield World(air, adapter, omi)


@asynccontextmanager
async def running(source: OmiSource) -> AsyncIterator[Ear]:
    """A source that runs until the end of the block; what it raises is raised here."""
    ear = Ear()
    task = asyncio.create_task(source.run(ear))
    try:
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def quiet(seconds: float) -> bytes:
    return bytes(round(seconds * RATE) * SAMPLE)


# ---------------------------------------------------------------------------------------------- found and connected


@both_kinds
async def test_the_only_omi_in_range_is_found_by_its_service_and_its_sound_arrives_whole(kind: Kind) -> None:
    paired: list[tuple[str, str]] = []
    async with world(kind) as here:
        source = here.source(paired=lambda address, name: paired.append((address, name)))
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            await here.omi.play(quiet(1.5), realtime=False)
            # One frame is held back until the next begins; Dev Kit 2's first 0.32 s are old.
            await ear.until(lambda ear: ear.seconds() >= 1.5 - kind.stale_s - 0.02 - 1e-9)
            assert ear.seconds(lost=True) == 0
    assert [link.state for link in ear.links()] == ["searching", "connecting", "connected"]
    assert source.profile is not None
    assert (source.profile.kind, source.profile.codec) == (kind, CODECS[20 if kind is DEV_KIT else 21])
    assert (source.talk_button, source.hold_to_talk) == (kind.talk, kind.held)
    assert ear.links("connected")[0].detail == f"{kind.name}, firmware 3.0.19"
    assert paired == [(here.omi.address, source.name)]
    assert source.name == ("Omi DevKit 2" if kind is DEV_KIT else "Omi")


@pytest.mark.parametrize("codec", [0, 1, 10, 11])
async def test_codecs_without_opus_are_heard_too(codec: int) -> None:
    async with world(codec) as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.8), realtime=False)
        await ear.until(lambda ear: ear.seconds() > 0.4)


async def test_the_consumer_omi_is_told_the_time() -> None:
    async with world() as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        assert len(here.omi.synced) == 1


async def test_of_two_omis_and_no_choice_both_are_named_and_neither_is_taken() -> None:
    async with world() as here, SimulatedOmi(DEV_KIT, address=OTHER).on(here.air) as other:
        with pytest.raises(VoiceError) as refusal:
            await here.source(pace=replace(HASTE, scan_s=0.5)).run(Ear())
        assert "connected" not in here.omi.log + other.log
    text = str(refusal.value)
    for word in ("2 Omis", here.omi.address, OTHER, "Omi DevK", "[voice]", "device ="):
        assert word in text


async def test_the_pinned_omi_is_taken_and_another_is_mentioned_once() -> None:
    async with world() as here, SimulatedOmi(DEV_KIT, address=OTHER).on(here.air) as pinned:
        await pinned.power_off()
        async with running(here.source(OTHER.lower())) as ear:
            await ear.until(lambda ear: any("in use" in link.detail for link in ear.links()))
            await pinned.power_on()
            await ear.until(lambda ear: ear.links("connected"))
        assert here.omi.log == []
    mentions = [link.detail for link in ear.links() if "not listened to" in link.detail]
    assert len(mentions) == 1
    assert here.omi.address in mentions[0]


async def test_an_omi_that_the_phone_holds_is_said_to_be_in_use() -> None:
    async with world() as here, virtual_adapter(here.air) as phone:
        theirs = OmiSource(backends=phone.backends, pace=HASTE)
        async with running(theirs) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            async with running(here.source(here.omi.address)) as ours:
                await ours.until(lambda ear: any("Omi app" in link.detail for link in ear.links()))
        assert here.omi.address in ours.links()[-1].detail
        assert not ours.links("connect")


async def test_a_scan_lists_the_pinned_omi_first() -> None:
    async with world() as here, SimulatedOmi(DEV_KIT, address=OTHER).on(here.air):
        found = await scan(0.5, here.adapter.backends.scanner, pinned=OTHER)
    assert [(each.address, each.name, each.pinned) for each in found] == [
        (OTHER, "Omi DevK", True),
        (here.omi.address, "Omi", False),
    ]


# --------------------------------------------------------------------------------------- sound on and off, and signs


@both_kinds
async def test_without_sound_the_buttons_and_the_battery_are_still_told_of(kind: Kind) -> None:
    async with world(kind) as here:
        source = here.source()
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            await source.hear(False)
            assert here.omi.subscriptions >= {"button", "battery"}
            assert "audio" not in here.omi.subscriptions
            before = ear.seconds()
            await here.omi.play(quiet(0.5), realtime=False)
            await here.omi.press("double")
            await here.omi.set_battery(12)
            await ear.until(lambda ear: "double" in ear.pressed() and ear.charges()[-1].percent == 12)
            assert ear.seconds() == before
            await source.hear(True)
            await here.omi.play(quiet(1), realtime=False)
            await ear.until(lambda ear: ear.seconds() > before + 0.3)


async def test_a_source_that_is_told_not_to_hear_before_it_connects_never_subscribes_to_sound() -> None:
    async with world() as here:
        source = here.source()
        await source.hear(False)
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            assert "+audio" not in here.omi.log


async def test_the_charge_is_told_when_it_changes() -> None:
    async with world() as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        assert ear.charges() == [Charge(87, False)]
        await here.omi.set_battery(87)
        await here.omi.charge(True)
        await here.omi.set_battery(88)
        await ear.until(lambda ear: ear.charges()[-1].percent == 88)
        assert ear.charges() == [Charge(87, False), Charge(87, True), Charge(88, True)]


async def test_signs_are_given_by_the_motor_and_a_device_without_one_says_so() -> None:
    async with world() as here:
        source = here.source()
        assert not await source.cue("woken")
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            assert [await source.cue(cue) for cue in ("woken", "done", "failed")] == [True] * 3
    assert here.omi.haptics == [1, 2, 3]
    async with world(features=frozenset({"button"})) as here:
        source = here.source()
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            assert not await source.cue("woken")


async def test_a_dev_kit_without_a_motor_beeps() -> None:
    async with world(DEV_KIT, features=frozenset({"speaker"})) as here:
        source = here.source(beeps=lambda cue: [b"\x04\0\0\0", cue[:4].encode()])
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            assert await source.cue("done")
    assert here.omi.speaker == [b"\x04\0\0\0", b"done"]


async def test_a_sign_to_a_device_out_of_range_is_not_waited_for() -> None:
    async with world(supervision_s=30) as here:
        source = here.source(pace=Pace(scan_s=0.15, cue_s=0.1, leave_s=0.1))
        async with running(source) as ear, anyio.create_task_group() as tasks:
            await ear.until(lambda ear: ear.links("connected"))
            tasks.start_soon(here.omi.out_of_range, 60)
            await anyio.lowlevel.checkpoint()
            assert not await source.cue("woken")
            tasks.cancel_scope.cancel()


# ---------------------------------------------------------------------------------------------------------- trouble


async def test_lost_repeated_and_reordered_packets_are_counted_exactly_and_lost_ones_become_silence() -> None:
    async with world() as here, running(here.source()) as ear:
        await ear.until(lambda ear: ear.links("connected"))
        await here.omi.play(quiet(0.4), realtime=False)
        here.omi.mischief.drop(0.2, seed=7)
        here.omi.mischief.duplicate(0.05, seed=8)
        here.omi.next_id = here.omi.next_id  # the counter goes on
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
            here.adapter.turn_on()
            await ear.until(lambda ear: ear.links("connected"))
            await here.adapter.turn_off()
            await ear.until(lambda ear: ear.links()[-1].state == "trouble")
            here.adapter.turn_on()
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
        here.adapter.turn_on()
        async with running(here.source()) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            await here.adapter.turn_off(why)
            await ear.until(lambda ear: ear.links("trouble"))
            here.adapter.turn_on()
            await ear.until(lambda ear: len(ear.links("connected")) == 2)


def ours() -> set[asyncio.Task[Any]]:
    """Tasks that run, but those of the simulated radio."""
    return {task for task in asyncio.all_tasks() if "bumble" not in task.get_coro().cr_code.co_filename}  # type: ignore[union-attr]


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
