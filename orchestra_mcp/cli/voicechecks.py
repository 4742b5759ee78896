"""What `orchestra omi doctor` looks at: each check says what it found and how to mend it. Nothing is listened to."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio.to_thread

from orchestra_mcp.cli.checks import Check, Finding
from orchestra_mcp.edge import kept
from orchestra_mcp.errors import VoiceError
from orchestra_mcp.foreign import plain
from orchestra_mcp.settings import Keys, load

if TYPE_CHECKING:
    from orchestra_mcp.gateway.transcription import Transcript, TranscriptionRequest

PACKAGES = {
    "bleak": "bleak", "moonshine_voice": "moonshine-voice", "onnxruntime": "onnxruntime", "webrtcvad": "webrtcvad-wheels", "opuslib_next": "opuslib-next-bundled",
    "sounddevice": "sounddevice", "numpy": "numpy",
}  # fmt: skip
"""Modules of the extra `omi`, and their distributions."""
LOOK_S = 4.0


async def check_packages(_environ: Mapping[str, str]) -> list[Finding]:
    """The extra `omi`."""
    missing = [name for module, name in PACKAGES.items() if find_spec(module) is None]
    if missing:
        return [Finding("packages", "fail", f"missing: {', '.join(missing)}", "pip install 'orchestra-council[omi]'")]
    return [Finding("packages", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES.values()))]


async def check_phrase(environ: Mapping[str, str]) -> list[Finding]:
    """The wake phrase, and whether it was calibrated."""
    from orchestra_mcp.edge.opening import open_spotter

    user = load(environ)
    known = kept.load(user.home)
    if user.voice.mode == "button":
        return [Finding("wake phrase", "ok", 'none: mode = "button"')]
    began = time.perf_counter()
    await anyio.to_thread.run_sync(partial(open_spotter, user.voice, known))
    took = time.perf_counter() - began
    how = "calibrated to a voice" if known.calibration else "not calibrated: orchestra omi calibrate"
    findings = [Finding("wake phrase", "ok", f"{user.voice.wake_phrase!r}, ready in {took:.1f} s, {how}")]
    if (user.home / kept.MUTED).exists():
        findings.append(Finding("wake phrase", "warn", "muted", "orchestra omi unmute"))
    return findings


async def check_words(environ: Mapping[str, str]) -> list[Finding]:
    """The engine that turns sound into words."""
    from orchestra_mcp.edge.acoustic.moonshine import moonshine
    from orchestra_mcp.edge.words import engine_of, open_transcriber
    from orchestra_mcp.errors import NotFound
    from orchestra_mcp.gateway.provider import Caller
    from orchestra_mcp.gateway.roster import open_roster
    from orchestra_mcp.gateway.transcription import WIRES

    user = load(environ)
    name = engine_of(user.voice)
    if name == "offline":
        open_transcriber(user.voice, _nobody, user.home)
        began = time.perf_counter()
        await anyio.to_thread.run_sync(moonshine)
        took = time.perf_counter() - began
        return [Finding("words", "ok", f"the embedded engine, English only, ready in {took:.1f} s")]
    if name == "whisper":
        open_transcriber(user.voice, _nobody, user.home)  # refuses what it cannot use
        return [Finding("words", "ok", f"{name}, {user.voice.whisper_model}")]
    try:
        async with open_roster(user, Keys(environ, user.home / "keys.env")) as roster:
            await roster.ready()
            found = await roster.provider.stacks(name, Caller())
    except NotFound:
        mend = "name a model or route of orchestra.toml under [voice] transcriber"
        return [Finding("words", "fail", f"transcriber = {name!r} is no model or route", mend)]
    able = [stack.name for stack in found if stack.spec.wire in WIRES]
    if not able:
        mend = "name a model of a vendor with /audio/transcriptions, or a local whisper server (docs/voice.md)"
        return [Finding("words", "fail", f"transcriber = {name!r}: this vendor does not transcribe speech", mend)]
    return [Finding("words", "ok", name if able == [name] else f"{name} ({', '.join(able)})")]


async def _nobody(_request: TranscriptionRequest) -> Transcript:
    raise AssertionError("a check does not transcribe")


async def check_bluetooth(environ: Mapping[str, str]) -> list[Finding]:
    """The radio, and which devices are near."""
    from orchestra_mcp.edge.omi.scanning import scan

    user = load(environ)
    pinned = user.voice.device or kept.load(user.home).device
    try:
        found = await scan(LOOK_S, pinned=pinned)
    except VoiceError as error:
        if pinned:
            raise
        return [Finding("bluetooth", "warn", str(error), "only needed for an Omi over Bluetooth")]
    if not found:
        mend = "switch the Omi on, come nearer, or end its connection to the phone app"
        return [
            Finding(
                "bluetooth", "warn", f"works, but no Omi is in range{f' ({pinned} is wanted)' * bool(pinned)}", mend
            )
        ]
    names = ", ".join(f"{plain(one.name)} {one.address} ({one.rssi} dBm)" for one in found)
    if len(found) > 1 and not any(one.pinned for one in found):
        return [Finding("bluetooth", "warn", f"several devices: {names}", f"orchestra omi choose {found[0].address}")]
    return [Finding("bluetooth", "ok", names)]


async def check_microphone(_environ: Mapping[str, str]) -> list[Finding]:
    """This computer's microphone, which only `--mic` needs."""
    from orchestra_mcp.edge.audio.microphone import load_portaudio, microphone_name

    try:
        name = await anyio.to_thread.run_sync(lambda: microphone_name(load_portaudio()))
    except VoiceError as error:
        return [Finding("microphone", "warn", str(error), "only `orchestra listen --mic` needs it")]
    return [Finding("microphone", "ok", name)]


async def check_voice(environ: Mapping[str, str]) -> list[Finding]:
    """How answers are told."""
    from orchestra_mcp.edge.speaking.voice import ComputerVoice

    voice = load(environ).voice
    findings = []
    if voice.speak:
        try:
            speaker = ComputerVoice()
            speaker.require()
            findings.append(Finding("speech", "ok", speaker.engine))
        except VoiceError as error:
            findings.append(Finding("speech", "warn", str(error), "or set speak = false under [voice]"))
    if voice.notify:
        findings.append(await _notifications())
    return findings


async def _notifications() -> Finding:
    """Shows one: no desktop tells otherwise whether anybody shows them."""
    from orchestra_mcp.telemetry import notifying

    logging.getLogger(notifying.__name__).addHandler(logging.NullHandler())  # what it logs is said here
    if find_spec("desktop_notifier") is None:
        detail = "the package is missing"
        mend = "pip install 'orchestra-council[desktop]', or set notify = false under [voice]"
        return Finding("notifications", "warn", detail, mend)
    if await notifying.Desktop().show("Orchestra", "Answers to what you ask aloud are shown like this."):
        return Finding("notifications", "ok", "one was shown just now")
    mend = "run a desktop session that shows them, or set notify = false under [voice]"
    return Finding("notifications", "warn", notifying.NOBODY, mend)


CHECKS: Mapping[str, Check] = {
    "packages": check_packages,
    "wake phrase": check_phrase,
    "words": check_words,
    "bluetooth": check_bluetooth,
    "microphone": check_microphone,
    "answers": check_voice,
}
"""Add here."""
