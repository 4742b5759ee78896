"""Inside a child process: give up what a tried program must not have. Standard library only; POSIX.

Files by Landlock, the network by seccomp or by a namespace (`namespaces`), privileges by `PR_SET_NO_NEW_PRIVS` and an empty
capability set, memory and the like by resource limits. All of it works unprivileged. Each function says whether it
holds, so that the caller can refuse to go on. The system calls have no wrapper in the standard library, and the
bindings that exist would have to be importable in a child which sees nothing but the standard library.

Sources: the kernel's `Documentation/userspace-api/landlock.rst` and `seccomp_filter.rst`, and its system call tables.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import stat
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

Rule = tuple[int, ...]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_PR_SET_NAME, _PR_GET_NAME = 15, 16
_CLONE_THREAD = 0x00010000
_AF_NETLINK = 16

# Landlock's rights, from `linux/landlock.h`, in the order of their bits.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_RIGHTS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | (1 << 14) | (1 << 15)
READ = _READ_FILE | _READ_DIR
RUN = READ | _EXECUTE
WRITE = (1 << 16) - 1
KEEP = READ | _WRITE_FILE | (1 << 5) | (1 << 8) | (1 << 14)
"""Plain files in a place: make, write, shorten and remove them. No directories, links, pipes, sockets or devices."""
DEVICE = WRITE & ~_EXECUTE
_SCOPES = 3
"""Abstract sockets and signals stay within the domain (Landlock 6)."""

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "arm64": 0xC00000B7}

# System call → its number on x86_64 and on aarch64 (-1: does not exist there). Add here.
CALLS: dict[str, tuple[int, int]] = {
    "socket": (41, 198), "io_uring_setup": (425, 425), "clone": (56, 220), "clone3": (435, 435), "fork": (57, -1),
    "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kill": (62, 129), "tkill": (200, 130),
    "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "prlimit64": (302, 261),
    "setrlimit": (160, 164), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1),
    "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "truncate": (76, 45), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51),
    "pivot_root": (155, 41), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "reboot": (169, 142),
    "init_module": (175, 105), "finit_module": (313, 273), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "sethostname": (170, 161), "setdomainname": (171, 162), "prctl": (157, 167), "fallocate": (285, 47),
    "inotify_init": (253, -1), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
}  # fmt: skip

# What a program may call only with these arguments, see `_filter`; everything else in CALLS is refused to it.
_CONDITIONAL = ("clone", "clone3", "kill", "tgkill", "prlimit64", "prctl")


def libc() -> ctypes.CDLL:
    """The C library of this process; a call that it does not have is an AttributeError."""
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int = 0, how: int = signal.SIGTERM) -> None:
    """On Linux, get the signal `how` when the process ends that started this one, or at once when it is not `parent`.

    To be called again after new namespaces: the kernel forgets it when credentials change.
    """
    if sys.platform == "linux":
        libc().prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        if parent and os.getppid() != parent:
            os.kill(os.getpid(), how)


def adopt_orphans() -> None:
    """On Linux, become the parent of whatever the children leave behind, so that it can be found and ended."""
    if sys.platform == "linux":
        libc().prctl(_PR_SET_SUBREAPER, 1, 0, 0, 0)


def limit(limits: Mapping[str, int]) -> None:
    """Set resource limits by name, such as `RLIMIT_AS`; what the system does not know or allow is passed over."""
    for name, wanted in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        # A second more before the kill, so that the first word (SIGXCPU) tells what it was.
        most = wanted + (name == "RLIMIT_CPU")
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (min(wanted, most), most))


def drop_privileges() -> bool:
    """No new privileges by `exec`, and no capabilities: root is bound by what files allow. True when it holds."""
    if sys.platform != "linux":
        return False
    lib = libc()
    if lib.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    header = struct.pack("Ii", 0x20080522, 0)
    return bool(lib.capset(header, bytes(24)) == 0)


def restrict_files(rules: Iterable[tuple[str, int]], scoped: bool = True) -> bool:
    """Allow only these places, each with its rights (`READ`, `RUN`, `WRITE`). True when it holds; needs no privileges.

    Args:
        rules: path and rights; a place that does not exist is passed over.
        scoped: also keep signals and abstract sockets within, where the kernel can (6.12).
    """
    if sys.platform != "linux":
        return False
    lib = libc()
    abi = lib.syscall(_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return False
    handled = _RIGHTS_OF_ABI[min(abi, 5)]
    attributes = struct.pack("QQQ", handled, 0, _SCOPES if scoped else 0)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = lib.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for path, rights in rules:
            _allow(lib, ruleset, path, rights & handled)
        return bool(lib.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and lib.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(lib: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _FILE_RIGHTS
        lib.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def restrict_calls() -> bool:
    """For programs: no sockets, no other processes, no changes to the modes and times of files, nothing privileged.

    Nor may they change how they end when their parent does. True when it holds; False where the processor's system
    calls are not in `CALLS`.
    """
    refused = [name for name in CALLS if name not in _CONDITIONAL]
    return _install(_filter(refused, families=(), me=os.getpid()))


def restrict_sockets(apart: bool) -> bool:
    """For commands: only sockets of this machine's file system and, in a network of its own (`apart`), of the Internet.

    Virtual machines' sockets and the like are of no namespace, nor are the user's keyrings. True when it holds.
    """
    refused = ["io_uring_setup", "keyctl", "add_key", "request_key"]
    inner = (socket.AF_INET, socket.AF_INET6, _AF_NETLINK) if apart else ()
    return _install(_filter(refused, families=(socket.AF_UNIX, *inner), me=0))


def _column() -> int | None:
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    return {"x86_64": 0, "aarch64": 1, "arm64": 1}.get(os.uname().machine)


def _filter(refused: Sequence[str], *, families: Sequence[int], me: int) -> list[Rule]:
    """Instructions of classic BPF over `struct seccomp_data`; empty where the processor is not known.

    Args:
        refused: calls that fail with EPERM.
        families: when there are any, `socket` only with these.
        me: when not 0, only threads may be made, signals go only to this process, limits can only be read, and of
            `prctl` the names of threads are left.
    """
    column = _column()
    if column is None:
        return []
    load, equal, above, test, back = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, missing, end = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
    arguments = 16  # offset of the first; little endian, so that its lower half comes first
    code: list[Rule] = [(load, 0, 0, 4), (equal, 1, 0, _AUDIT_ARCH[os.uname().machine]), (back, 0, 0, end)]
    code += [(load, 0, 0, 0), (above, 0, 1, 0x40000000), (back, 0, 0, refuse)]  # the x32 calls

    def when(name: str, *then: Rule) -> None:
        number = CALLS[name][column]
        if number >= 0:
            code.append((equal, 0, len(then), number))
            code.extend(then)

    for name in refused:
        when(name, (back, 0, 0, refuse))
    if families:
        rest = range(len(families), 0, -1)
        known = [(equal, left, 0, int(family)) for left, family in zip(rest, families, strict=True)]
        when("socket", (load, 0, 0, arguments), *known, (back, 0, 0, refuse), (back, 0, 0, allow))
    if me:
        when("clone3", (back, 0, 0, missing))  # its flags lie in memory, where no filter looks; `clone` is used instead
        when("clone", (load, 0, 0, arguments), (test, 1, 0, _CLONE_THREAD), (back, 0, 0, refuse), (back, 0, 0, allow))
        for name in ("kill", "tgkill"):
            when(name, (load, 0, 0, arguments), (equal, 1, 0, me), (back, 0, 0, refuse), (back, 0, 0, allow))
        names = ((equal, 2, 0, _PR_SET_NAME), (equal, 1, 0, _PR_GET_NAME))
        when("prctl", (load, 0, 0, arguments), *names, (back, 0, 0, refuse), (back, 0, 0, allow))
        # pid, resource, new limit: reading one's own, and the stack's size, which contest programs like to raise.
        stack = resource.RLIMIT_STACK
        when(
            "prlimit64",
            *((load, 0, 0, arguments), (equal, 2, 0, 0), (equal, 1, 0, me), (back, 0, 0, refuse)),
            *((load, 0, 0, arguments + 8), (equal, 0, 1, stack), (back, 0, 0, allow)),
            *((load, 0, 0, arguments + 16), (equal, 1, 0, 0), (back, 0, 0, refuse)),
            *((load, 0, 0, arguments + 20), (equal, 1, 0, 0), (back, 0, 0, refuse), (back, 0, 0, allow)),
        )
    return [*code, (back, 0, 0, allow)]


def _install(code: Sequence[Rule]) -> bool:
    if not code:
        return False
    lib = libc()
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in code))
    wanted = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program)))
    if lib.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(lib.prctl(_PR_SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(wanted)), 0, 0) == 0)
