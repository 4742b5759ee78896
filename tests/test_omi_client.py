"""An Omi over Bluetooth, simulated from the controller up: found, connected, heard, and given signs."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

pytest.importorskip("bumble", reason="the simulated device: pip install 'orchestra-council[omi-sim]'")


from omi_world import HASTE, OTHER, Ear, both_kinds, quiet, running, world

from orchestra_mcp.edge.nouns import Charge
from orchestra_mcp.edge.omi.client import OmiSource
from orchestra_mcp.edge.omi.pace import Pace
from orchestra_mcp.edge.omi.protocol import CODECS, DEV_KIT, Kind
from orchestra_mcp.edge.omi.scanning import scan
from orchestra_mcp.edge.omi.simulator import SimulatedOmi
from orchestra_mcp.edge.omi.virtual import virtual_adapter
from orchestra_mcp.errors import VoiceError

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
        source = here.source(OTHER.lower(), paired=lambda *_: pytest.fail("it was chosen before"))
        async with running(source) as ear:
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


async def test_a_wish_that_changes_while_the_device_is_asked_what_it_is_is_heeded() -> None:
    async with world() as here:
        source = here.source()
        async with running(source) as ear:
            await here.omi.until(lambda omi: "+audio" in omi.log)
            assert not ear.links("connected")
            await source.hear(False)
            await ear.until(lambda ear: ear.links("connected"))
            await here.omi.until(lambda omi: "audio" not in omi.subscriptions)
            assert await source.cue("muted")


async def test_a_time_without_sound_by_wish_is_no_gap_even_when_the_link_was_lost_in_it() -> None:
    async with world() as here:
        source = here.source()
        async with running(source) as ear:
            await ear.until(lambda ear: ear.links("connected"))
            await here.omi.play(quiet(0.5), realtime=False)
            await ear.until(lambda ear: ear.seconds() > 0.4)
            await source.hear(False)
            await here.omi.disconnect()
            await ear.until(lambda ear: len(ear.links("connected")) == 2)
            await source.hear(True)
            await here.omi.play(quiet(0.5), realtime=False)
            await ear.until(lambda ear: ear.seconds(lost=False) > 0.8)
        assert ear.seconds(lost=True) == 0


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
