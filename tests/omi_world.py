"""A simulated Omi, a Bluetooth adapter that is none, and an ear for what the client tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

pytest.importorskip("bumble", reason="the simulated device: pip install 'orchestra-council[omi-sim]'")


from orchestra_mcp.edge.nouns import RATE, SAMPLE, Charge, Link, Pressed, Reception, Signal, Sound
from orchestra_mcp.edge.omi.air import Air
from orchestra_mcp.edge.omi.backend import VirtualAdapter
from orchestra_mcp.edge.omi.client import OmiSource
from orchestra_mcp.edge.omi.pace import Pace
from orchestra_mcp.edge.omi.protocol import CONSUMER, DEV_KIT, Kind
from orchestra_mcp.edge.omi.simulator import SimulatedOmi
from orchestra_mcp.edge.omi.virtual import virtual_adapter

HASTE = Pace(scan_s=0.1, first_s=0.05, most_s=0.2, radio_s=0.1, silent_s=0.3, reception_s=0.3, tick_s=0.05)
OTHER = "E2:4F:00:00:00:02"
both_kinds = pytest.mark.parametrize("kind", [CONSUMER, DEV_KIT], ids=lambda kind: kind.name)


@dataclass
class Ear:
    """Takes what a source tells."""

    signals: list[Signal] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        self.changed.set()

    def links(self, state: str = "") -> list[Link]:
        return [each for each in self.signals if isinstance(each, Link) and each.state.startswith(state)]

    def charges(self) -> list[Charge]:
        return [each for each in self.signals if isinstance(each, Charge)]

    def receptions(self) -> list[Reception]:
        return [each for each in self.signals if isinstance(each, Reception)]

    def pressed(self) -> list[str]:
        return [each.button for each in self.signals if isinstance(each, Pressed)]

    def seconds(self, lost: bool | None = None) -> float:
        sounds = [each for each in self.signals if isinstance(each, Sound) and lost in (None, each.lost)]
        return sum(len(sound.pcm) for sound in sounds) / (RATE * SAMPLE)

    async def until(self, what: Callable[[Ear], Any]) -> None:
        with anyio.fail_after(8):
            while not what(self):
                self.changed.clear()
                await self.changed.wait()


@dataclass
class World:
    air: Air
    adapter: VirtualAdapter
    omi: SimulatedOmi

    def source(self, address: str = "", **more: Any) -> OmiSource:
        return OmiSource(address, backends=self.adapter.backends, **{"pace": HASTE, **more})


@asynccontextmanager
async def world(kind: Kind | int = CONSUMER, supervision_s: float = 0.4, **more: Any) -> AsyncIterator[World]:
    air = Air(supervision_s)
    async with virtual_adapter(air) as adapter, SimulatedOmi(kind, **more).on(air) as omi:
        yield World(air, adapter, omi)


@asynccontextmanager
async def running(source: OmiSource) -> AsyncIterator[Ear]:
    """A source that runs until the end of the block; what it raises is raised here."""
    ear = Ear()
    task = asyncio.create_task(source.run(ear))
    try:
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def quiet(seconds: float) -> bytes:
    return bytes(round(seconds * RATE) * SAMPLE)


def ours() -> set[asyncio.Task[Any]]:
    """Tasks that run, but those of the simulated radio."""
    return {task for task in asyncio.all_tasks() if "bumble" not in task.get_coro().cr_code.co_filename}  # type: ignore[union-attr]
