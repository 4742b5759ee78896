"""The load generator of `benchmarks/gateway.py`: keep-alive connections that send one canned request again and again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
TICKS = os.sysconf("SC_CLK_TCK")
MESSAGE = (
    "You are a senior engineer. A test hangs in continuous integration but not on my machine: it waits for a lock that "
    "is taken in a callback. What are the three likeliest causes, and how do I tell them apart? Be brief. Case 00000000."
)
MARK = b"Case 00000000"
"""Every call has a number of its own here, so that no cache answers it."""


def body(model: str, stream: bool = False, **more: Any) -> bytes:
    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": MESSAGE}],
        "max_tokens": 400,
        **more,
    }
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(asked).encode()


_numbers = count(1)


@dataclass
class Burst:
    """What one burst of calls took."""

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def calls(self) -> int:
        return len(self.seconds)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def p50(self) -> float:
        return median(self.seconds)


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of all below it."""
    total = 0.0
    children: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parts = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(parts[1]), []).append(int(entry.name))
            times[int(entry.name)] = (int(parts[11]) + int(parts[12])) / TICKS
    todo = [pid]
    while todo:
        one = todo.pop()
        total += times.get(one, 0.0)
        todo.extend(children.get(one, ()))
    return total


def memory_of(pid: int) -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def request_bytes(url: str, data: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    head = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, f"content-length: {len(data)}", "", ""]).encode() + data


async def burst(url: str, data: bytes, headers: dict[str, str], calls: int, at_once: int, pid: int = 0) -> Burst:
    """Send `calls` requests over `at_once` connections."""
    parts = urlsplit(url)
    sent = request_bytes(url, data, headers)
    before, mark, after = sent.partition(MARK)
    left = calls
    found = Burst()

    async def one() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)
        try:
            while left > 0:
                left -= 1
                began = time.perf_counter()
                writer.write(b"%bCase %08d%b" % (before, next(_numbers), after) if mark else sent)
                status, first = await _reply(reader)
                ended = time.perf_counter()
                found.seconds.append(ended - began)
                found.first.append(first - began)
                found.statuses[status] = found.statuses.get(status, 0) + 1
        finally:
            writer.close()

    cpu, began = cpu_of(pid) if pid else 0.0, time.perf_counter()
    await asyncio.gather(*(one() for _ in range(at_once)))
    found.wall_s = time.perf_counter() - began
    found.cpu_s = (cpu_of(pid) - cpu) if pid else 0.0
    return found


async def _reply(reader: asyncio.StreamReader) -> tuple[int, float]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    first = time.perf_counter()
    if length := LENGTH.search(head):
        await reader.readexactly(int(length[1]))
    else:
        began = False
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
            if not began:
                first, began = time.perf_counter(), True
        await reader.readline()
    return status, first
