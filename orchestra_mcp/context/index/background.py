"""Starting the process that finishes an index."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import orchestra_mcp

_RUN = "import sys; sys.path.append(sys.argv.pop(1)); from orchestra_mcp.context.builder import main; main()"
"""The package may have been found by other means than the interpreter's own; whatever is found before it, wins again."""
_DETACHED = 0x00000008 | 0x00000200 | 0x00004000
"""Windows: no console, a process group of its own, and less priority."""

_running: dict[Path, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


def start_builder(root: Path, path: Path) -> None:
    """Let a process of its own finish the index at `path`; it ends by itself, and at once when another one is at work.

    It outlives this process, so that a one-shot command leaves an index for the next. It inherits nothing that a client
    could wait for, and the directory that it works in is never the project, from which Python could load code.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return
    package = Path(orchestra_mcp.__file__).resolve().parent.parent
    command = [sys.executable, "-P", "-c", _RUN, str(package), str(root), str(path)]
    apart: dict[str, Any] = {"start_new_session": True} if sys.platform != "win32" else {"creationflags": _DETACHED}
    with _lock:
        if (before := _running.get(path)) is not None and before.poll() is None:
            return
        with suppress(OSError):
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=path.parent, **apart
            )  # fmt: skip
            _running[path] = process
            threading.Thread(
                target=process.wait, name="orchestra-index", daemon=True
            ).start()  # so that no zombie is left
