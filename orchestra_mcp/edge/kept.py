"""What the voice keeps between runs, in `voice.json` of the data directory: the device, the calibration. Never sound or words."""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestra_mcp.errors import VoiceError
from orchestra_mcp.types import Noun

FILE = "voice.json"
MUTED = "voice-muted"
"""A file that is there while nobody may be listened to."""
LARGEST = 1_000_000
"""Bytes; a larger file is not ours."""


class Kept(Noun):
    """What is known of the wearer's device and voice."""

    device: str = ""
    """Address of the Omi that was chosen; on macOS an id that only this computer knows."""
    device_name: str = ""
    calibration: Mapping[str, Any] | None = None
    """As `wake.wearer.Calibration` writes it."""
    not_me: tuple[str, ...] = ()
    """Phrases that woke it by mistake."""


def load(home: Path) -> Kept:
    """What is kept; empty where nothing is.

    Raises:
        VoiceError: the file is damaged.
    """
    file = home / FILE
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:  # to read a pipe could take for ever
            raise ValueError
        return Kept.model_validate(json.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, RecursionError):
        raise VoiceError(f"{file} cannot be read; move it away, then choose the device and calibrate again.") from None


def save(home: Path, kept: Kept) -> None:
    """Keep it, whole or not at all.

    Raises:
        VoiceError: it cannot be written.
    """
    file = home / FILE
    draft = file.with_name(f"{FILE}.{secrets.token_hex(4)}")
    try:
        home.mkdir(parents=True, exist_ok=True)
        draft.write_text(kept.model_dump_json(indent=1), "utf-8")
        draft.chmod(0o600)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise VoiceError(f"{file} cannot be written: {error.strerror}.") from None
