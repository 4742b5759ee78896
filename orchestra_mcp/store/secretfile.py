"""Secrets that this machine makes for itself: one line in a file that only its owner may read."""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from orchestra_mcp.errors import SettingsError


def secret_file(file: Path) -> str:
    """The secret in a file, made on first use (256 bits, base64url) and readable by its owner only.

    Raises:
        SettingsError: the file cannot be written, is empty, or others can read it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(file)
        secret = secrets.token_urlsafe(32)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secret + "\n")
    except OSError as error:
        raise SettingsError(f"The {file.name} file cannot be used ({error.strerror}); check ORCHESTRA_HOME.") from None
    return secret


def _read(file: Path) -> str:
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise SettingsError(f"{_place(file)} can be read by other users. Run: chmod 600 {_place(file)}")
    for _ in range(20):  # another process may just be writing it
        if secret := file.read_text("ascii", errors="replace").strip():
            return secret
        time.sleep(0.05)
    raise SettingsError(f"{_place(file)} is empty; delete it, and a new one is made.")


def _place(file: Path) -> str:
    """Where it is, as people may see it: no absolute path, which would name the user."""
    with suppress(ValueError, RuntimeError):
        return f"~/{file.absolute().relative_to(Path.home()).as_posix()}"
    return f"$ORCHESTRA_HOME/{file.name}"
