"""Which Omis are in range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from orchestra_mcp.edge.omi.protocol import AUDIO_SERVICE
from orchestra_mcp.edge.omi.radio import MISSING, explain, failures, said_by, to_its_end
from orchestra_mcp.errors import VoiceError

if TYPE_CHECKING:
    from bleak import BleakScanner
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

_START_S = 30.0
"""Longest wait for a scan to begin; macOS asks its user for permission meanwhile."""
_STOP_S = 5.0
"""Longest wait for it to end."""


@dataclass(frozen=True, slots=True)
class Found:
    """An Omi in range. Its name is what it says of itself, cut by the room in its advertisement ("Omi DevK")."""

    address: str
    """On macOS an identifier that holds for this computer only."""
    name: str
    rssi: int
    """Strength of its signal, in dBm; -50 is near, -90 at the edge."""
    pinned: bool = False
    """True for the one that is listened to."""
    device: BLEDevice | None = field(default=None, repr=False, compare=False)
    """What bleak connects to."""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.name or 'an Omi without a name'} ({self.address})"


def same(one: str, other: str) -> bool:
    """Whether two addresses are the same; case does not count."""
    return one.casefold() == other.casefold()


async def look(
    seconds: float, backend: type[BaseBleakScanner] | None = None, pinned: str = "", stop_at_pinned: bool = False
) -> tuple[Found, ...]:
    """Scan, and let bleak's errors through; see `scan`.

    Args:
        seconds: how long.
        backend: in place of that of the platform (bleak's `backend=`).
        pinned: address of the device that is wanted.
        stop_at_pinned: end as soon as that one is seen.
    """
    from bleak import BleakScanner

    seen: dict[str, Found] = {}
    there = anyio.Event()

    def note(device: BLEDevice, advertisement: AdvertisementData) -> None:
        # Filters of the platform are a help and no promise: other programs scan too.
        if AUDIO_SERVICE not in (uuid.lower() for uuid in advertisement.service_uuids):
            return
        wanted = bool(pinned) and same(device.address, pinned)
        name = said_by(advertisement.local_name or device.name or "")
        seen[device.address] = Found(device.address, name, advertisement.rssi, wanted, device)
        if wanted and stop_at_pinned:
            there.set()

    scanner = BleakScanner(note, service_uuids=[AUDIO_SERVICE], backend=backend)
    try:
        await to_its_end(scanner.start(), _START_S)
        with anyio.move_on_after(seconds):
            await there.wait()
    finally:
        await to_its_end(_stop(scanner), _STOP_S)
    return tuple(sorted(seen.values(), key=lambda found: (not found.pinned, -found.rssi, found.address)))


async def _stop(scanner: BleakScanner) -> None:
    """End a scan; a radio that was turned off meanwhile has ended it by itself."""
    try:
        await scanner.stop()
    except failures():
        return


async def scan(
    seconds: float = 5.0, backend: type[BaseBleakScanner] | None = None, pinned: str = ""
) -> tuple[Found, ...]:
    """All Omis in range, the pinned one first, then by the strength of their signals. One in use does not show itself.

    Raises:
        VoiceError: no bleak, no radio, no permission; the message says how to mend it.
    """
    errors = failures()
    try:
        return await look(seconds, backend, pinned)
    except errors as error:
        raise VoiceError(explain(error).text) from error


async def held_by_system(address: str) -> BLEDevice | None:
    """The device when this computer is connected to it already, and so it does not advertise.

    BlueZ keeps the connections of programs that crashed; on a Mac another program may share its own.
    """
    try:
        from bleak import BleakAdapter
    except ImportError as error:
        raise VoiceError(MISSING) from error
    errors = failures(NotImplementedError)
    try:
        with anyio.fail_after(_STOP_S):
            adapter = await BleakAdapter.get()
            devices = await adapter.get_connected_devices([AUDIO_SERVICE])
    except errors:
        return None
    return next((device for device in devices if same(device.address, address)), None)
