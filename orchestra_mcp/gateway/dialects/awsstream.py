"""Amazon's binary event stream, from bytes to events, incrementally and without I/O.

Specification: https://smithy.io/2.0/aws/amazon-eventstream.html. A message is a prelude (total length, length of the
headers, CRC of these two), headers, payload, and a CRC of all before it; numbers are big-endian, CRCs are CRC-32.
"""

from __future__ import annotations

import json
import struct
from zlib import crc32

from orchestra_mcp.errors import BadReply
from orchestra_mcp.gateway.dialects.sse import MAX_EVENT_BYTES, ServerEvent

PRELUDE = 12
FRAME = 16
"""Bytes of a message without headers and payload."""
MAX_HEADERS = 128 * 1024
FAILED = "failed:"
"""Begins the kind of an event that is an exception or an error; its data is a JSON object with a `message`."""

_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Type of a header's value → its length; the types 6 (bytes) and 7 (text) say theirs in two bytes."""
_TEXT = 7


class AwsEventParser:
    """Feed it bytes as they come, in pieces of any size; a `Framing`."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = PRELUDE

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that are complete now.

        Raises:
            BadReply: a checksum or length is wrong (`garbage`), or a message is longer than `MAX_EVENT_BYTES`.
        """
        self._rest += data
        events: list[ServerEvent] = []
        while len(self._rest) >= self._needed:
            total, header_bytes, expected = struct.unpack_from(">III", self._rest)
            if crc32(self._rest[:8]) != expected:
                raise _broken("a wrong checksum")
            if total > MAX_EVENT_BYTES or header_bytes > MAX_HEADERS:
                raise BadReply("one event of the stream is too long", "too_long")
            if total < FRAME + header_bytes:
                raise _broken("impossible lengths")
            self._needed = total
            if len(self._rest) < total:
                break
            message = bytes(self._rest[:total])
            del self._rest[:total]
            self._needed = PRELUDE
            if crc32(message[:-4]) != int.from_bytes(message[-4:], "big"):
                raise _broken("a wrong checksum")
            headers = headers_of(message[PRELUDE : PRELUDE + header_bytes])
            events.append(_event(headers, message[PRELUDE + header_bytes : -4]))
        return events

    def end(self) -> list[ServerEvent]:
        """Nothing: an unfinished message has no checksum yet and cannot be believed."""
        self._rest.clear()
        return []


def headers_of(data: bytes) -> dict[str, str]:
    """The headers that are text; all others are passed over.

    Raises:
        BadReply: they are cut off, of an unknown type, or one is there twice.
    """
    headers: dict[str, str] = {}
    names: set[bytes] = set()
    at = 0
    try:
        while at < len(data):
            end = at + 1 + data[at]
            name, kind = data[at + 1 : end], data[end]
            at = end + 1
            if kind in _FIXED:
                size = _FIXED[kind]
            elif kind in (6, _TEXT):
                size = int.from_bytes(data[at : at + 2], "big")
                at += 2
            else:
                raise _broken("a header of an unknown type")
            value = data[at : at + size]
            at += size
            if name in names or len(value) != size:
                raise _broken("broken headers")
            names.add(name)
            if kind == _TEXT:
                headers[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    except IndexError:
        raise _broken("broken headers") from None
    return headers


def _event(headers: dict[str, str], payload: bytes) -> ServerEvent:
    text = payload.decode("utf-8", "replace")
    match headers.get(":message-type", "event"):
        case "exception":
            return ServerEvent(FAILED + headers.get(":exception-type", ""), text)
        case "error":
            message = headers.get(":error-message", "")
            return ServerEvent(FAILED + headers.get(":error-code", ""), json.dumps({"message": message}))
        case _:
            return ServerEvent(headers.get(":event-type", "message"), text)


def _broken(what: str) -> BadReply:
    return BadReply(f"the event stream has {what}", "garbage")
