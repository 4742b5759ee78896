"""Bluetooth adapters that are none: in this process on an `Air`, or on the radio that another process lends over TCP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from bumble import core, hci
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink, Transport
from bumble.transport.tcp_client import open_tcp_client_transport

from orchestra_mcp.edge.omi.air import Air, Radio, loopback, quiet
from orchestra_mcp.edge.omi.backend import GONE, VirtualAdapter
from orchestra_mcp.edge.omi.radio import Fault
from orchestra_mcp.errors import VoiceError

REACH_S: Final = 5.0
"""Longest wait for a radio of another process."""


@asynccontextmanager
async def virtual_adapter(air: Air) -> AsyncIterator[VirtualAdapter]:
    """An adapter in this process."""
    address = hci.Address.generate_static_address()
    radio = Radio("adapter", air, str(address))
    device = Device(config=_config(address), host=Host(radio, AsyncPipeSink(radio)))
    await device.power_on()
    adapter = VirtualAdapter(device)
    try:
        yield adapter
    finally:
        await _switch_off(adapter)
        radio.leave()


@asynccontextmanager
async def remote_adapter(address: str) -> AsyncIterator[VirtualAdapter]:
    """An adapter on the radio that another process lends at `tcp:127.0.0.1:PORT`; when that process ends and another lends one
    at the same address, that one is taken.

    Raises:
        VoiceError: nobody is there.
    """
    lent = _Lent(*loopback(address))
    quiet()
    try:
        adapter = VirtualAdapter(await lent.reach())
        adapter.reopen, lent.adapter = lent.reach, adapter
    except Fault as error:
        await lent.close()
        place = address.partition(":")[2]
        raise VoiceError(
            f"No simulated device is at {place}. Start `orchestra omi simulate` and use its address."
        ) from error
    try:
        yield adapter
    finally:
        await _switch_off(adapter)
        await lent.close()


class _Lent:
    """A radio that another process lends at an address, again and again."""

    def __init__(self, host: str, port: int) -> None:
        self._place = f"{host}:{port}"
        self._transport: Transport | None = None
        self.adapter: VirtualAdapter | None = None

    async def reach(self) -> Device:
        """A new device on it, powered on.

        Raises:
            Fault: nobody is there, or nobody who knows what a radio is.
        """
        await self.close()
        try:
            async with asyncio.timeout(REACH_S):
                self._transport = transport = await open_tcp_client_transport(self._place)
                host = Host(transport.source, transport.sink)
                device = Device(config=_config(hci.Address.generate_static_address()), host=host)
                transport.source.terminated.add_done_callback(lambda _ended: self._gone(device))
                await device.power_on()
        except (OSError, core.BaseBumbleError) as error:
            raise Fault(GONE) from error
        return device

    async def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    def _gone(self, device: Device) -> None:
        if self.adapter is not None and self.adapter.device is device:
            self.adapter.lost = True
            for connection in list(device.connections.values()):
                device.host.emit("disconnection", connection.handle, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


def _config(address: hci.Address) -> DeviceConfiguration:
    return DeviceConfiguration(name="adapter", address=address, irk=secrets.token_bytes(16))


async def _switch_off(adapter: VirtualAdapter) -> None:
    with suppress(Exception):
        if not adapter.lost:
            async with asyncio.timeout(2):
                await adapter.turn_off()
                await adapter.device.power_off()
