"""Locks between processes: one for whoever writes, and one that every process holds on its own file while it lives.

Both are advisory locks on small files of their own, which the kernel takes back when a process dies, however it dies.
Nothing here knows of databases. All functions may block and belong into a worker thread.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLLS_S = (0.0002, 0.0004, 0.0008, 0.0016)
"""A lock that is taken is tried again after each of these waits, before a thread is started to queue for it: others
write for less than a millisecond, and a thread costs more than all of these."""

# What file systems without locks answer (some network mounts); there SQLite's own locks have to do.
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int, shared: bool = False) -> bool:  # noqa: ARG001
        """Windows knows no shared locks: two probes at the same instant see each other, for an instant."""
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_lock(fd: int) -> None:
        while not _try_lock(fd):
            time.sleep(0.005)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

    def pid_alive(pid: int) -> bool:  # noqa: ARG001
        """Cannot be told here without risk (signal 0 is Ctrl-C on Windows), and is not needed: locks always work."""
        return True

else:
    import fcntl

    def _try_lock(fd: int, shared: bool = False) -> bool:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)

    def pid_alive(pid: int) -> bool:
        """Whether a process of that number exists, ours or not."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def make_private(path: Path) -> None:
    """Make an empty file for nobody else's eyes; one that is there keeps what is in it, and loses others' rights.

    A file that exists is not opened: closing any handle of a file drops all locks that this process has on it (POSIX),
    and SQLite holds such locks on its databases. Another process would then take itself for the only one, and delete
    the journal that this one goes on writing.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            with suppress(PermissionError):
                path.chmod(0o600)


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)


class _Waiting:
    """One blocked lock call in a daemon thread, so that the kernel keeps the queue and yet the wait can end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._settled = threading.Event()
        self._mutex = threading.Lock()
        self._given_up = False
        self._failure: OSError | None = None
        threading.Thread(target=self._run, name="orchestra-lock", daemon=True).start()

    def _run(self) -> None:
        try:
            _wait_lock(self._fd)
        except OSError as error:
            self._failure = error
        with self._mutex:
            if self._given_up:
                os.close(self._fd)
            self._settled.set()

    def settled(self, seconds: float) -> bool:
        """Wait for the lock for so long; raises what the lock call raised."""
        settled = self._settled.wait(seconds)
        if self._failure:
            raise self._failure
        return settled

    def give_up(self) -> bool:
        """Stop waiting; False when the wait ended in the very last moment after all."""
        with self._mutex:
            self._given_up = not self._settled.is_set()
            return self._given_up


class WriterLock:
    """The queue of all processes that want to write.

    SQLite's own busy handler sleeps and is unfair: with eight writers some wait for seconds. A file lock queues in the
    kernel. For one thread at a time; several objects, in one process or in many, exclude each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self.last_call = float("inf")
        """`time.monotonic()` after which nobody waits any more; another thread may set it, to close in time."""

    @contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock.

        Raises:
            TimeoutError: it was not free in time.
            OSError: the lock file cannot be opened.
        """
        if self._fd < 0:
            self._fd = _open(self._path)
        try:
            if not _try_lock(self._fd):
                self._wait(time.monotonic() + timeout_s)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        try:
            yield
        finally:
            with suppress(OSError):
                _unlock(self._fd)

    def _wait(self, deadline: float) -> None:
        for pause in POLLS_S:
            if time.monotonic() + pause > min(deadline, self.last_call):
                break
            time.sleep(pause)
            if _try_lock(self._fd):
                return
        waiting = _Waiting(self._fd)
        while (left := min(deadline, self.last_call) - time.monotonic()) > 0:
            if waiting.settled(min(left, 0.1)):
                return
        if waiting.give_up():
            self._fd = -1  # the thread that still waits owns the descriptor now, and closes it
            raise TimeoutError("the writer's lock was not free in time")
        waiting.settled(0)

    def close(self) -> None:
        """Let go of the lock file; it stays where it is, since others may be queueing on it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class OwnerLock:
    """A file `<token>.lock` that this process holds locked for as long as it lives; `alive` asks for those of others.

    Where the file system has no locks, the process number in the token decides.
    """

    def __init__(self, directory: Path) -> None:
        """Take a new token and lock its file. Raises OSError when the directory cannot be written."""
        self._directory = directory
        self.token = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._fd = self._lock_own(directory / f"{self.token}.lock")

    @staticmethod
    def _lock_own(path: Path) -> int:
        while True:
            fd = _open(path)
            try:
                _wait_lock(fd)  # only `sweep` or `alive` of another process can be in the way, for microseconds
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    os.close(fd)
                    raise
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), path.stat()):
                    return fd
            os.close(fd)  # swept away between opening and locking: make it anew

    def alive(self, token: str) -> bool:
        """Whether the process that holds this token still lives."""
        if token == self.token:
            return self._fd >= 0
        try:
            fd = os.open(self._directory / f"{token}.lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        except OSError:
            return _named_pid_alive(token)
        try:
            return not _try_lock(fd, shared=True)
        except OSError:
            return _named_pid_alive(token)
        finally:
            os.close(fd)

    def sweep(self) -> None:
        """Remove the files that dead processes left; a missing file means the same as a free lock."""
        for path in self._directory.glob("*.lock"):
            if not self.alive(path.stem):
                with suppress(OSError):
                    path.unlink()

    def release(self) -> None:
        """Let go: from now on this token counts as dead."""
        if self._fd < 0:
            return
        path, fd, self._fd = self._directory / f"{self.token}.lock", self._fd, -1
        if sys.platform != "win32":  # an open file cannot be removed there
            path.unlink(missing_ok=True)
        os.close(fd)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _named_pid_alive(token: str) -> bool:
    pid = token.partition("-")[0]
    return pid.isdigit() and pid_alive(int(pid))
