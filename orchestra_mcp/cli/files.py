"""Read and replace somebody's configuration file without ever leaving half of one."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from orchestra_mcp.errors import SettingsError


def read_text(file: Path) -> str:
    """The text, with its line ends and byte order mark as they are.

    Raises:
        SettingsError: it cannot be read, or is no UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is no UTF-8 text; it was left alone.") from None


def back_up(file: Path) -> Path | None:
    """Copy a file, with its mode, to the first free name `FILE.bak`, `FILE.bak2`, …; None when there is no file."""
    if not file.is_file():
        return None
    number = 1
    while (copy := file.with_name(f"{file.name}.bak{number if number > 1 else ''}")).exists():
        number += 1
    try:
        shutil.copy2(file, copy)
    except OSError as error:
        raise SettingsError(f"{file} was left alone: no copy of it can be made beside it ({error.strerror}).") from None
    return copy


def replace(file: Path, text: str, mode: int | None = None) -> None:
    """Write a text in one step: either the old file is there, or the whole new one. A symbolic link stays one.

    Args:
        file: the file, whose directory is made when it is missing.
        text: written as it is, in UTF-8.
        mode: permissions; None keeps those of the old file, or 0600 for a new one.

    Raises:
        SettingsError: it cannot be written; the old file is as it was.
    """
    target = file.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode is None:
            mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o600
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(text.encode("utf-8"))
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(mode)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}.") from None
