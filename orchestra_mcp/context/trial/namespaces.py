"""Inside a child process: namespaces of one's own for a command, where unprivileged ones are allowed. Linux only.

With all of them a command is alone: a network with nothing but `localhost`, process numbers that end with their first
one, and a file system that is read-only but for its own directory, so that not even modes and times elsewhere can be
changed (Landlock does not speak of them). Standard library only.

Sources: `namespaces(7)`, `user_namespaces(7)`, `mount_namespaces(7)`, `mount_setattr(2)`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

from orchestra_mcp.context.trial.confinement import libc

SHARED_MEMORY = 256 << 20
"""Bytes of a command's own `/dev/shm`; semaphores of Python's `multiprocessing` lie there."""
MAX_SOCKETS = 2_000

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_MOUNT_SETATTR, _HERE, _RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1


def leave(everything: bool) -> bool:
    """Move into namespaces of one's own: the network's, or (`everything`) also mounts, processes and shared memory.

    Processes come with the next `fork`. True when it holds.
    """
    if sys.platform != "linux":
        return False
    user, group = os.getuid(), os.getgid()
    wanted = _NEWUSER | _NEWNET | (_NEWNS | _NEWPID | _NEWIPC if everything else 0)
    if libc().unshare(wanted) != 0:
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(text)
    except OSError:
        pass  # the network is gone all the same; files then belong to `nobody`
    _raise_loopback()
    return True


def can_be_alone(writable: Sequence[str]) -> bool:
    """Whether all of this works here; tried in a process that ends at once."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        try:
            if leave(everything=True):
                inner = os.fork()
                if inner == 0:
                    os._exit(0 if shut_mounts(writable, ()) else 1)
                os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) % 256)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def listening() -> list[str]:
    """Sockets in the file system to which somebody on this machine listens, as the kernel lists them."""
    found = dict[str, None]()
    with suppress(OSError), open("/proc/net/unix", "rb") as file:  # noqa: PTH123
        for line in file:
            parts = line.rstrip(b"\n").split(b" ", 7)
            path = os.fsdecode(parts[-1]) if len(parts) == 8 else ""
            if path.startswith("/"):
                found[path] = None
    return list(found)[:MAX_SOCKETS]


def shut_mounts(writable: Sequence[str], sockets: Sequence[str]) -> bool:
    """In the first process of new namespaces: make everything read-only but these places. True when it holds.

    Args:
        writable: directories that stay as they are.
        sockets: of others, to which nobody shall speak; each is covered by `/dev/null`.
    """
    lib = libc()

    def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> bool:
        texts = (os.fsencode(text) if text else None for text in (source, target, kind))
        return bool(lib.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data) if data else None) == 0)

    def read_only(path: str, on: bool, flags: int) -> bool:
        wanted = struct.pack("QQQQ", _READ_ONLY if on else 0, 0 if on else _READ_ONLY, 0, 0)
        return bool(lib.syscall(_MOUNT_SETATTR, _HERE, os.fsencode(path), flags, wanted, ctypes.c_size_t(32)) == 0)

    holds = mount("", "/", "", _REC | _PRIVATE) and mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    holds = holds and all(mount(path, path, "", _BIND) for path in writable)
    holds = holds and mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID | _NODEV, f"size={SHARED_MEMORY},mode=1777")
    for path in sockets:
        mount("/dev/null", path, "", _BIND)  # one that cannot be covered cannot be reached either
    holds = holds and read_only("/", True, _RECURSIVE)
    return holds and all(read_only(path, False, 0) for path in (*writable, "/dev/shm"))


def _raise_loopback() -> None:
    up = struct.pack("16sh14x", b"lo", 0x41)  # IFF_UP | IFF_RUNNING
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, 0x8914, up)  # SIOCSIFFLAGS
