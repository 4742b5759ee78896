"""A program in a process of its own, with a log, for as long as a test needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def child(
    argv: list[str], log: Path, environ: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run it with this environment and nothing else; it and what it started end with the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environ), cwd=cwd, start_new_session=True
        )
        try:
            yield process
        finally:
            for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
                    break


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    """Until something answers there, whatever it says.

    Raises:
        RuntimeError: the program has ended, or is too slow; with the end of its log.
    """
    ends = time.monotonic() + seconds
    with httpx2.Client(timeout=5, trust_env=False) as client:
        while True:
            try:
                client.get(url)
                return
            except httpx2.TransportError:
                if process.poll() is not None or time.monotonic() > ends:
                    said = log.read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"{process.args!r} does not serve {url}:\n{said}") from None
            time.sleep(0.1)
