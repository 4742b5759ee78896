"""What goes wrong with Bluetooth, in words that say how to mend it."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

import anyio

from orchestra_mcp.errors import VoiceError

MISSING: Final = "Bluetooth needs the package bleak: pip install 'orchestra-council[omi]'"
HELD: Final = "An Omi takes one connection: close the Omi app on the phone, or turn the phone's Bluetooth off."

Hope = Literal["soon", "slow", "never"]
"""What helps: another try (`soon`), somebody who turns something on (`slow`), or only a mend and a new start (`never`)."""


class Fault(ConnectionError):
    """A connection that is of no use; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that went wrong."""

    text: str
    """What and how to mend it, for people."""
    hope: Hope


_TURN_ON: Final = {
    "linux": "Bluetooth is off. Turn it on with `rfkill unblock bluetooth && bluetoothctl power on`.",
    "darwin": "Bluetooth is off. Turn it on in System Settings > Bluetooth.",
    "win32": "Bluetooth is off. Turn it on in Settings > Bluetooth & devices.",
}
_NO_ADAPTER: Final = {
    "linux": "This computer has no Bluetooth adapter that its system knows (`bluetoothctl list` shows them). Plug one in "
    "(Bluetooth 4.2 or newer), or use the Omi app's webhook or `orchestra listen --mic`.",
    "wsl": "WSL has no Bluetooth. Run Orchestra on Windows itself, or use the Omi app's webhook.",
    "darwin": "This Mac reports no Bluetooth. Use the Omi app's webhook or `orchestra listen --mic`.",
    "win32": "Windows knows no Bluetooth adapter. Plug one in (Bluetooth 4.2 or newer) and install its driver, or use the "
    "Omi app's webhook or `orchestra listen --mic`.",
}
_NOT_ALLOWED: Final = {
    "linux": "This user may not use Bluetooth. Run `sudo usermod -aG bluetooth $USER` and log in again; in a container or "
    "a snap, let it reach the system's D-Bus.",
    "darwin": "macOS does not let this program use Bluetooth. Allow the terminal or editor that starts Orchestra in System "
    "Settings > Privacy & Security > Bluetooth, quit it and start it again.",
    "win32": "Windows does not let this program use Bluetooth. Allow it in Settings > Privacy & security, or ask the "
    "administrator of this computer.",
}
_SERVICE: Final = (
    "The Bluetooth service (bluetoothd) does not answer. Start it with `sudo systemctl enable --now bluetooth`; where it is "
    "missing, install the package bluez (5.55 or newer)."
)
_BUSY: Final = "The Bluetooth adapter is busy with another program; trying again."
_REFUSED: Final = (
    "The connection failed, which weak reception or other radio traffic often cause; trying again. " + HELD
)

# Names of errors of BlueZ and D-Bus (bluez/doc/org.bluez.Adapter.rst, org.bluez.Device.rst; D-Bus specification).
_BUS: Final[dict[str, tuple[str, Hope]]] = {
    "org.freedesktop.DBus.Error.ServiceUnknown": (_SERVICE, "slow"),
    "org.freedesktop.DBus.Error.NameHasNoOwner": (_SERVICE, "slow"),
    "org.freedesktop.DBus.Error.NoReply": (_SERVICE, "slow"),
    "org.bluez.Error.NotReady": (_TURN_ON["linux"], "slow"),
    "org.bluez.Error.InProgress": (_BUSY, "soon"),
    "org.bluez.Error.NotAvailable": (_BUSY, "soon"),
    "org.freedesktop.DBus.Error.AccessDenied": (_NOT_ALLOWED["linux"], "never"),
    "org.bluez.Error.NotAuthorized": (_NOT_ALLOWED["linux"], "never"),
}


def _system() -> str:
    if sys.platform == "linux" and "microsoft" in platform.release().lower():
        return "wsl"
    return sys.platform


def _of(texts: dict[str, str], system: str) -> str:
    return texts.get(system, texts["linux"])


def failures(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What bleak and what lies under it raise when the radio, the system or the device fails; and `more`.

    Raises:
        VoiceError: bleak is not installed.
    """
    try:
        from bleak.exc import BleakError
    except ImportError as error:
        raise VoiceError(MISSING) from error
    # bleak asserts that its bus is there, which it is not when the link is lost while a call is under way.
    return (BleakError, OSError, EOFError, AssertionError, *more)


def explain(error: BaseException, system: str = "") -> Trouble:
    """Put an error of bleak or of the system into words; `system` is this one unless told (`sys.platform`, or `wsl`)."""
    from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakDeviceNotFoundError

    system = system or _system()
    if isinstance(error, Fault):
        return Trouble(str(error), "soon")
    if isinstance(error, BleakBluetoothNotAvailableError):
        return _unavailable(error.reason.name, system)
    if isinstance(error, BleakDBusError):
        text, hope = _BUS.get(error.dbus_error, (_REFUSED, "soon"))
        return Trouble(text, hope)
    if isinstance(error, TimeoutError):
        return Trouble("The device does not answer: it is out of range, or somebody else is connected. " + HELD, "soon")
    if isinstance(error, BleakDeviceNotFoundError):
        return Trouble(
            "The device is gone from the air: it is off, out of range, or connected elsewhere. " + HELD, "soon"
        )
    if isinstance(error, OSError):
        return _of_the_system(error, system)
    if "Unsupported platform" in str(error):
        return Trouble(f"There is no Bluetooth for {system} here. Use the Omi app's webhook.", "never")
    if "BlueZ >=" in str(error):
        return Trouble("BlueZ is too old here: 5.55 or newer is needed (`bluetoothctl --version`).", "never")
    return Trouble(_REFUSED, "soon")


def _unavailable(reason: str, system: str) -> Trouble:
    """By a name of `BleakBluetoothNotAvailableReason`."""
    if reason == "POWERED_OFF":
        return Trouble(_of(_TURN_ON, system), "slow")
    if reason.startswith("DENIED"):
        return Trouble(_of(_NOT_ALLOWED, system), "never")
    if reason == "NO_BLE_CENTRAL_ROLE":
        return Trouble("This Bluetooth adapter knows no Low Energy. Plug in another (Bluetooth 4.2 or newer).", "never")
    if reason == "NO_BLUETOOTH":
        return Trouble(_of(_NO_ADAPTER, system), "never")
    return Trouble("Bluetooth is not available at the moment; trying again.", "slow")


def _of_the_system(error: OSError, system: str) -> Trouble:
    if system in ("linux", "wsl") and isinstance(error, FileNotFoundError | ConnectionRefusedError):
        if system == "wsl":
            return Trouble(_NO_ADAPTER["wsl"], "never")
        return Trouble(
            "There is no system D-Bus here (in a container there seldom is), and Bluetooth needs it. Run Orchestra outside, "
            "or use the Omi app's webhook.",
            "never",
        )
    if isinstance(error, PermissionError):
        return Trouble(_of(_NOT_ALLOWED, system), "never")
    # Windows reports a radio that is off as "The device is not ready for use" (0x800710DF).
    if getattr(error, "winerror", None) in (-2147020577, 4319):
        return Trouble(_TURN_ON["win32"], "slow")
    return Trouble(_REFUSED, "soon")


async def to_its_end(work: Coroutine[Any, Any, None], seconds: float, grace_s: float = 1.0) -> None:
    """Do something with the radio that must not be left half done, such as to begin a scan or to end a connection.

    Args:
        work: what to do.
        seconds: longest time for it.
        grace_s: how long it may go on when we are cancelled meanwhile.

    Raises:
        TimeoutError: it took longer.
        Exception: what the work raises.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_heed)
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task], timeout=grace_s)
        raise
    finally:
        task.cancel()  # does nothing to one that is done
    if not task.done():
        raise TimeoutError
    task.result()


def _heed(task: asyncio.Task[None]) -> None:
    """Look at how a task ended that nobody waits for, so that asyncio does not complain."""
    if not task.cancelled():
        task.exception()


class Cancelling:
    """Remembers that this task was cancelled when a library swallows it.

    Before Python 3.12 `asyncio.wait_for`, which Bluetooth stacks use, returns a result that comes at the same moment, and the
    cancelling is lost.
    """

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0

    def heed(self) -> None:
        """Go on, unless the task was cancelled since.

        Raises:
            asyncio.CancelledError: it was.
        """
        if self._task is not None and self._task.cancelling() > self._before:
            raise asyncio.CancelledError


def said_by(name: str, limit: int = 40) -> str:
    """What a device calls itself, fit to be shown: anybody can advertise any name."""
    from orchestra_mcp.foreign import plain

    return " ".join(plain(name).split())[:limit].strip()
