"""Removing directories, whatever a program or command has made of them. Blocking: call it in a thread."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

_AT_HANDLES = {os.open, os.rename, os.unlink, os.rmdir, os.chmod} <= os.supports_dir_fd and os.scandir in os.supports_fd


def remove(place: Path) -> None:
    """Remove a directory with all that is in it: however deep it is, and whatever rights are left in it.

    Nothing is raised: what cannot be removed stays. Links are removed, never followed; no process may work in it any
    more.
    """
    if _AT_HANDLES:
        with suppress(OSError):
            place.chmod(0o700)
            top = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _empty(top)
            finally:
                os.close(top)
            place.rmdir()
            return
    shutil.rmtree(place, ignore_errors=True)


def _empty(top: int) -> None:
    """Directories are moved up one by one, so that neither paths nor calls ever get deep."""
    mark, moved = secrets.token_hex(8), 0
    while True:
        directories = _files_out(top)
        gone = 0
        for name in directories:
            with suppress(OSError):
                os.chmod(name, 0o700, dir_fd=top)
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
                try:
                    for below in _files_out(inner):
                        os.chmod(below, 0o700, dir_fd=inner)  # who moves a directory changes what `..` means in it
                        moved += 1
                        os.rename(below, f"{mark}{moved}", src_dir_fd=inner, dst_dir_fd=top)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
                gone += 1
        if not gone:
            return


def _files_out(place: int) -> list[str]:
    """Remove everything but directories; gives their names."""
    with os.scandir(place) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            with suppress(OSError):
                os.unlink(name, dir_fd=place)
    return [name for name, is_directory in found if is_directory]
