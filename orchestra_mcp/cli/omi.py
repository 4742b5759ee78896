"""`orchestra omi`: the device and the voice: find, choose, calibrate, mute, simulate."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra_mcp import settings
from orchestra_mcp.cli.running import FAILED, Usage, run_async
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.edge import kept
from orchestra_mcp.edge.nouns import Segment
from orchestra_mcp.foreign import plain
from orchestra_mcp.settings import Settings

ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
"""Of a device; macOS gives each an identifier of its own."""
MOST_WORDS = 5
"""Of a phrase that must not wake it; the sound in which one is looked for holds no more."""
SCAN_S = 8.0
"""How long devices are looked for, in seconds."""


def omi(args: argparse.Namespace, desk: Desk) -> int:
    """Do what was said; returns 1 when nothing was found or something is missing."""
    user = settings.load(os.environ)
    return ACTIONS[args.action](args, desk, user)


def _scan(_args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    from orchestra_mcp.edge.omi.scanning import scan

    pinned = user.voice.device or kept.load(user.home).device
    desk.say(f"Looking for {SCAN_S:.0f} s …")
    found = anyio.run(partial(scan, SCAN_S, pinned=pinned))
    if desk.as_json:
        rows = [{"address": one.address, "name": one.name, "rssi": one.rssi, "chosen": one.pinned} for one in found]
        desk.document({"devices": rows})
    elif not found:
        desk.text("No Omi was found. It may be off, out of range, or connected to the phone app, which excludes us.")
    else:
        for one in found:
            desk.text(f"{one.address}  {plain(one.name)}  {one.rssi} dBm{'  (chosen)' if one.pinned else ''}")
        desk.text(f"Listen to one from now on: orchestra omi choose {found[0].address}")
    return 0 if found else FAILED


def _choose(args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    address = _what(args, "the address that `orchestra omi scan` shows")
    if not ADDRESS.fullmatch(address):
        raise Usage(
            f"{address!r} is no address of a device: AA:BB:CC:DD:EE:FF, or on a Mac 8-4-4-4-12 digits (orchestra omi scan)"
        )
    if user.voice.device and user.voice.device != address:
        raise Usage(f"orchestra.toml says device = {user.voice.device!r} under [voice], which counts; change it there")
    kept.save(user.home, kept.load(user.home).model_copy(update={"device": address, "device_name": ""}))
    desk.text(f"`orchestra listen` listens to {address} from now on.")
    return 0


def _forget(_args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    (user.home / kept.FILE).unlink(missing_ok=True)
    desk.text("Device, calibration and phrases of `not-me` are forgotten.")
    return 0


def _mute(_args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    user.home.mkdir(parents=True, exist_ok=True)
    (user.home / kept.MUTED).touch()
    desk.text("Muted: nobody is listened to before `orchestra omi unmute`.")
    return 0


def _unmute(_args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    (user.home / kept.MUTED).unlink(missing_ok=True)
    desk.text("Not muted.")
    return 0


def _not_me(args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    from orchestra_mcp.edge.opening import open_spotter
    from orchestra_mcp.edge.words.phrase import Phrase

    phrase = " ".join(re.findall(r"[\w']+", _what(args, "the phrase that woke it").lower()))
    words = phrase.split()
    if not 1 <= len(words) <= MOST_WORDS or not all(re.fullmatch(r"[a-z']*[a-z][a-z']*", word) for word in words):
        raise Usage(f"not-me takes one to {MOST_WORDS} words of the letters a to z, such as what was said when it woke")
    call = Phrase(user.voice.wake_phrase).find((Segment(phrase, 0.0, 0.0),))
    if call and call.sure:
        raise Usage(f"{phrase!r} sounds like the wake phrase itself, which would not wake it any more")
    known = kept.load(user.home)
    changed = known.model_copy(update={"not_me": tuple(dict.fromkeys((*known.not_me, phrase)))})
    open_spotter(user.voice, changed)  # refuses what it cannot use
    kept.save(user.home, changed)
    desk.text(f"{phrase!r} is told apart from {user.voice.wake_phrase!r} from the next `orchestra listen` on.")
    return 0


def _webhook(_args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    from orchestra_mcp.edge.omiapp.address import addresses, omi_token

    app = user.voice.omi_app
    if not app.uids:
        raise Usage('the webhook is off: put `uids = ["…"]` under [voice.omi_app] in orchestra.toml (docs/omi-app.md)')
    base = f"https://{app.hosts[0]}" if app.hosts else "https://YOUR-TUNNEL"
    found = addresses(base, omi_token(user.home))
    if desk.as_json:
        desk.document(dict(found))
    else:
        desk.text("\n".join(f"{what:<22} {address}" for what, address in found.items()))
        desk.say("Whoever knows these addresses can ask your council. The tunnel leads to `orchestra serve`.")
    return 0


def _simulate(args: argparse.Namespace, desk: Desk, _user: Settings) -> int:
    from orchestra_mcp.edge.omi.simulate import KEYS, SAY, simulate

    if len(args.files) > 1:
        raise Usage("simulate plays one --file")

    def ready(address: str) -> None:
        if desk.as_json:
            desk.document({"address": address})
        else:
            desk.text(f"orchestra listen --simulated {address}")
            desk.say(f"Ctrl+C ends it. Lines on standard input: {KEYS}")

    work = partial(
        simulate, f"tcp:127.0.0.1:{args.port}",
        say=args.say or SAY, wav=Path(args.files[0]) if args.files else None, kind=args.kind, loss=args.loss,
        keys=_lines() if sys.stdin.isatty() else None, tell=desk.say, ready=ready,
    )  # fmt: skip
    run_async(work)
    return 0


def _calibrate(args: argparse.Namespace, desk: Desk, user: Settings) -> int:
    from orchestra_mcp.cli.calibrating import calibrate

    return calibrate(args, desk, user)


def _doctor(_args: argparse.Namespace, desk: Desk, _user: Settings) -> int:
    from orchestra_mcp.cli.doctor import conclude, examine
    from orchestra_mcp.cli.voicechecks import CHECKS

    return conclude(anyio.run(examine, CHECKS, dict(os.environ), desk), desk)


async def _lines() -> AsyncIterator[str]:
    while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        yield line


def _what(args: argparse.Namespace, meaning: str) -> str:
    if not (args.what or "").strip():
        raise Usage(f"{args.action} takes {meaning}")
    return str(args.what).strip()


Action = Callable[[argparse.Namespace, Desk, Settings], int]
ACTIONS: dict[str, Action] = {
    "scan": _scan, "choose": _choose, "doctor": _doctor, "calibrate": _calibrate, "mute": _mute, "unmute": _unmute,
    "not-me": _not_me, "webhook": _webhook, "simulate": _simulate, "forget": _forget,
}  # fmt: skip
"""What can be done. Add here, and to `arguments.OMI_ACTIONS`."""
