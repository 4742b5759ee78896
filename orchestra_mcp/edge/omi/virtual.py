"""Bluetooth adapters that are none: in this process on an `Air`, or on the radio that another process lends over TCP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bumble import hci
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink
from bumble.transport.tcp_client import open_tcp_client_transport

from orchestra_mcp.edge.omi.air import Air, Radio, loopback, quiet
from orchestra_mcp.edge.omi.backend import Backends, VirtualAdapter
from orchestra_mcp.errors import VoiceError


def make_backends(adapter: VirtualAdapter | Device) -> Backends:
    """Backends for bleak on an adapter, or on a device of bumble that is powered on."""
    return (adapter if isinstance(adapter, VirtualAdapter) else VirtualAdapter(adapter)).backends


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
    """An adapter on the radio that another process lends at `tcp:127.0.0.1:PORT`.

    Raises:
        VoiceError: nobody is there.
    """
    host, port = loopback(address)
    quiet()
    try:
        transport = await open_tcp_client_transport(f"{host}:{port}")
    except OSError as error:
        raise VoiceError(
            f"No simulated device is at {host}:{port}. Start `orchestra omi simulate` and use its address."
        ) from error
    device = Device(config=_config(hci.Address.generate_static_address()), host=Host(transport.source, transport.sink))
    adapter: VirtualAdapter | None = None

    def gone(_ended: object) -> None:
        if adapter is not None:
            adapter.lost = True
            for connection in list(device.connections.values()):
                device.host.emit("disconnection", connection.handle, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    transport.source.terminated.add_done_callback(gone)
    try:
        await device.power_on()
        adapter = VirtualAdapter(device)
        yield adapter
    finally:
        if adapter is not None:
            await _switch_off(adapter)
        await transport.close()


def _config(address: hci.Address) -> DeviceConfiguration:
    return DeviceConfiguration(name="adapter", address=address, irk=secrets.token_bytes(16))


async def _switch_off(adapter: VirtualAdapter) -> None:
    with suppress(Exception):
        if not adapter.lost:
            async with asyncio.timeout(2):
                await adapter.turn_off()
                await adapter.device.power_off()
