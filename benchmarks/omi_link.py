"""The simulated link: packets in real time and back to back, through bleak over the `bumble` Bluetooth stack.

    python benchmarks/omi_link.py            # about a minute and a half
    python benchmarks/omi_link.py --quick

`measure` gives the rows to other benchmarks. Processor time is that of both ends together; there is no radio in it.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bleak import BleakClient, BleakScanner

from orchestra_mcp.edge.omi import protocol
from orchestra_mcp.edge.omi.air import Air, dongles
from orchestra_mcp.edge.omi.backend import VirtualAdapter
from orchestra_mcp.edge.omi.protocol import CODECS, CONSUMER, DEV_KIT, Kind
from orchestra_mcp.edge.omi.simulator import SimulatedOmi
from orchestra_mcp.edge.omi.virtual import remote_adapter, virtual_adapter

DRAINED_S = 2.0


@dataclass(frozen=True)
class Row:
    """One measurement."""

    name: str
    sent: int
    """Packets."""
    received: int
    intact: bool
    """Every one arrived, unchanged and in order."""
    seconds: float
    cpu_ms: float
    """For each packet, of both ends together."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    worst_ms: float | None = None
    """From the notification to the callback of bleak."""


@asynccontextmanager
async def listening(adapter: VirtualAdapter, into: list[tuple[float, bytes]]) -> AsyncIterator[None]:
    device = await BleakScanner.find_device_by_filter(
        lambda _device, heard: protocol.AUDIO_SERVICE in heard.service_uuids, backend=adapter.backends.scanner
    )
    assert device is not None, "the simulated device was not found"
    clock = time.perf_counter
    async with BleakClient(device, backend=adapter.backends.client) as client:
        await client.start_notify(protocol.AUDIO_DATA, lambda _sender, packet: into.append((clock(), bytes(packet))))
        yield


async def run(
    name: str, omi: SimulatedOmi, adapter: VirtualAdapter, count: int, size: int, interval_s: float, first: int = 0
) -> Row:
    """Send frames of some size; each carries the time at which it was sent."""
    heard: list[tuple[float, bytes]] = []
    sent: list[bytes] = []
    loop = asyncio.get_running_loop()
    async with listening(adapter, heard):
        omi.next_id = first
        start, cpu = time.perf_counter(), time.process_time()
        due = loop.time()
        for number in range(count):
            if interval_s:
                due += interval_s
                await asyncio.sleep(max(0.0, due - loop.time()))
            frame = struct.pack("<dI", time.perf_counter(), number).ljust(size, b"\x5a")
            sent.append(frame)
            await omi.send(frame)
        seconds, waited = time.perf_counter() - start, 0.0
        per_frame = len(range(0, size, omi.connection.att_mtu - 6)) if omi.connection else 1
        while len(heard) < count * per_frame and waited < DRAINED_S and omi.sent:
            await asyncio.sleep(0.01)
            waited += 0.01
        cpu = time.process_time() - cpu
    frames: list[bytes] = []
    for _at, packet in heard:
        if packet[2] == 0:
            frames.append(b"")
        frames[-1] += packet[3:]
    ids = [int.from_bytes(packet[:2], "little") for _at, packet in heard]
    intact = frames == sent and ids == [(first + step) % protocol.IDS for step in range(len(ids))]
    delays = sorted((at - struct.unpack_from("<d", packet, 3)[0]) * 1e3 for at, packet in heard if packet[2] == 0)
    timed = bool(interval_s and delays)
    return Row(
        name,
        omi.sent,
        len(heard),
        intact,
        seconds,
        cpu / max(1, count * per_frame) * 1e3,
        delays[len(delays) // 2] if timed else None,
        delays[int(len(delays) * 0.99)] if timed else None,
        delays[-1] if timed else None,
    )


async def measure(quick: bool = False) -> list[Row]:
    """All rows; `quick` sends a tenth of the packets."""
    share = 10 if quick else 1
    rows: list[Row] = []

    async def here(
        name: str, kind: Kind | int, count: int, size: int, interval_s: float, mtu: int = 0, first: int = 0
    ) -> None:
        air = Air()
        async with virtual_adapter(air) as adapter, SimulatedOmi(kind, mtu=mtu).on(air) as omi:
            rows.append(await run(name, omi, adapter, count // share, size, interval_s, first))

    await here("100 a second (Dev Kit 2)", DEV_KIT, 1_000, 41, CODECS[20].frame_s)
    await here("50 a second (consumer)", CONSUMER, 1_000, 81, CODECS[21].frame_s)
    await here("back to back, counter wraps", DEV_KIT, 70_000, 41, 0.0, first=1_000 if not quick else 65_000)
    await here("two fragments, MTU 247", 0, 3_000, 320, 0.0, mtu=247)
    await here("two fragments, MTU 185", 0, 3_000, 320, 0.0, mtu=185)
    await here("MTU 60: none may come", CONSUMER, 500, 81, 0.0, mtu=60)
    air = Air()
    async with SimulatedOmi(DEV_KIT).on(air) as omi, dongles(air) as address, remote_adapter(address) as adapter:
        rows.append(await run("over TCP, 100 a second", omi, adapter, 1_000 // share, 41, CODECS[20].frame_s))
    return rows


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| link | sent | received | intact, in order | s | CPU ms each | p50 / p99 / worst ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        delay = f"{row.p50_ms:.2f} / {row.p99_ms:.2f} / {row.worst_ms:.2f}" if row.p50_ms is not None else "–"
        whole = "yes" if row.intact else ("none sent" if not row.sent else "NO")
        lines.append(
            f"| {row.name} | {row.sent} | {row.received} | {whole} | {row.seconds:.1f} | {row.cpu_ms:.2f} | {delay} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(asyncio.run(measure("--quick" in sys.argv[1:]))))
