"""Radio waves without a radio: controllers of the `bumble` Bluetooth stack that hear each other in this process.

A Bluetooth device that is simulated, and the adapters that listen to it, are each a `Radio` on one `Air`. Everything above the
controller (HCI, L2CAP, ATT, GATT) is real; interference, hopping and the radio's own timing are not there. A host in another
process joins over TCP on this machine: `dongles` gives each connection a radio of its own, like a Bluetooth stick.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from bumble import core, hci, ll
from bumble.controller import AdvertisingSet, Connection, Controller, LegacyAdvertiser
from bumble.link import LocalLink
from bumble.transport.common import StreamPacketSink, StreamPacketSource

from orchestra_mcp.errors import VoiceError

SUPERVISION_S: Final = 4.0
"""After so many seconds without a sign of life both ends give a connection up; the consumer Omi asks for 4."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Held = tuple[Controller, hci.Address, core.PhysicalTransport, bytes]


def quiet() -> None:
    """Keep bumble's own warnings, such as of a packet for a connection that has just ended, off the user's screen."""
    logging.getLogger("bumble").setLevel(logging.CRITICAL + 1)


class Air(LocalLink):
    """What all radios share. A radio can be out of range for a while."""

    def __init__(self, supervision_s: float = SUPERVISION_S) -> None:
        quiet()
        super().__init__()  # type: ignore[no-untyped-call]
        self.supervision_s = supervision_s
        self._away: dict[Controller, list[Held]] = {}
        """What could not be delivered to or from each radio that is out of range: the link layer tries again."""

    def reaches(self, radio: Controller) -> bool:
        """Whether a radio is in range."""
        return radio not in self._away

    async def out_of_range(self, radio: Radio, seconds: float) -> None:
        """Take a radio away for some seconds; its connections end when that lasts longer than the supervision timeout."""
        self._away.setdefault(radio, [])
        try:
            await asyncio.sleep(min(seconds, self.supervision_s))
            if seconds >= self.supervision_s:
                self._away[radio].clear()
                radio.give_up(hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR, telling=False)
                await asyncio.sleep(seconds - self.supervision_s)
        finally:
            for held in self._away.pop(radio, []):
                super().send_acl_data(*held)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: core.PhysicalTransport,
        data: bytes,
    ) -> None:
        """Carry data of a connection, or hold it while one end is out of range."""
        for radio in (sender_controller, self.find_le_controller(destination_address)):
            if radio in self._away:
                self._away[radio].append((sender_controller, destination_address, transport, data))
                return
        super().send_acl_data(sender_controller, destination_address, transport, data)

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Let all radios in range hear an advertisement, or a wish to connect."""
        if sender_controller in self._away:
            return
        loop = asyncio.get_running_loop()
        for radio in self.controllers:
            if radio is not sender_controller and radio not in self._away:
                loop.call_soon(radio.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a message between controllers; one to or from a radio that is gone or away is lost."""
        sender, receiver = self.find_le_controller(sender_address), self.find_le_controller(receiver_address)
        if receiver is None or sender in self._away or receiver in self._away:
            return
        asyncio.get_running_loop().call_soon(receiver.on_ll_control_pdu, sender_address, packet)


class Radio(Controller):
    """A controller on the air, with what bumble's leaves out: cancelled and failed connections, reset, power off."""

    # Without the extension of data packets each notification would come in pieces of 27 bytes.
    le_acl_data_packet_length = 251

    def __init__(self, name: str, air: Air, address: str, source: Any = None, sink: Any = None) -> None:
        super().__init__(name, host_source=source, host_sink=sink, link=air, public_address=address)
        self.air = air

    def give_up(self, reason: int, *, telling: bool = True) -> None:
        """End all connections, as when the power goes or nothing is heard any more.

        Args:
            reason: error code of the Bluetooth specification, for both ends.
            telling: by a message over the air; otherwise both ends find out at this moment.
        """
        for connection in list(self.le_connections.values()):
            if telling:
                connection.send_ll_control_pdu(ll.TerminateInd(reason))
            else:
                self._drop_peer(connection, reason)
            self.on_le_disconnected(connection, reason)

    def _drop_peer(self, connection: Connection, reason: int) -> None:
        peer = self.air.find_le_controller(connection.peer_address)
        if peer is not None and (other := peer.le_connections.get(connection.self_address)) is not None:
            peer.on_le_disconnected(other, reason)

    def leave(self) -> None:
        """Be gone from the air, for good."""
        self._stop()
        self.host = None
        if self in self.air.controllers:
            self.air.remove_controller(self)

    def _stop(self) -> None:
        self.give_up(hci.HCI_ErrorCode.REMOTE_DEVICE_TERMINATED_CONNECTION_DUE_TO_POWER_OFF_ERROR)
        self.pending_le_connection = None
        self.le_scan_enable = False
        self.le_legacy_advertiser.stop()
        for advertising in self.advertising_sets.values():
            advertising.stop()

    def on_hci_reset_command(self, _command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        """Forget everything: the host has begun anew."""
        self._stop()
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Stop trying to connect, and tell the host that it failed (Bluetooth Core, Vol 4, Part E, 7.8.13)."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def on_le_connect_ind(self, packet: ll.ConnectInd) -> None:
        """Accept a connection while advertising; otherwise the other end finds out that there is none."""
        advertisers: list[LegacyAdvertiser | AdvertisingSet] = [self.le_legacy_advertiser]
        advertisers += self.advertising_sets.values()
        ours = [each for each in advertisers if each.address == packet.advertiser_address]
        if ours and not any(each.enabled for each in ours):
            self.air.send_ll_control_pdu(
                packet.advertiser_address,
                packet.initiator_address,
                ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR),
            )
            return
        super().on_le_connect_ind(packet)


class _Dongle(StreamPacketSource):
    """A radio for a host at the other end of a TCP connection."""

    def __init__(self, air: Air, number: int) -> None:
        super().__init__()
        self._air, self._number = air, number
        self.radio: Radio | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        address = f"C0:00:00:00:{self._number >> 8 & 0xFF:02X}:{self._number & 0xFF:02X}"
        self.radio = Radio("dongle", self._air, address, self, StreamPacketSink(transport))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        if self.radio is not None:
            self.radio.leave()
            self.radio = None


def loopback(address: str) -> tuple[str, int]:
    """Host and port of `tcp:127.0.0.1:9000`.

    Raises:
        VoiceError: it is none, or not of this machine: whoever reached it could listen in.
    """
    scheme, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    host = host.strip("[]")
    if not scheme.startswith("tcp") or host not in LOOPBACK or not port.isdigit() or int(port) > 65_535:
        raise VoiceError(
            f"'{address[:80]}' is no address of a simulated radio. Use tcp:127.0.0.1:PORT, on this machine."
        )
    return host, int(port)


@asynccontextmanager
async def dongles(air: Air, address: str = "tcp:127.0.0.1:0") -> AsyncIterator[str]:
    """Let hosts of other processes onto the air; gives the address for them, with the port that was found free.

    Raises:
        VoiceError: the address cannot be used.
    """
    host, port = loopback(address)
    numbers = itertools.count(1)
    opened: list[_Dongle] = []

    def plug() -> _Dongle:
        opened[:] = [each for each in opened if each.radio is not None]
        opened.append(_Dongle(air, next(numbers)))
        return opened[-1]

    try:
        server = await asyncio.get_running_loop().create_server(plug, host, port)
    except OSError as error:
        raise VoiceError(f"Port {port} of {host} cannot be opened: {error.strerror}. Choose another, or 0.") from error
    try:
        yield f"tcp:{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for each in opened:
            if each.radio is not None and isinstance(each.radio.host, StreamPacketSink):
                each.radio.host.close()
        await asyncio.sleep(0)
