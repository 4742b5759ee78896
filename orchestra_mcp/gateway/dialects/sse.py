"""Server-sent events, from bytes to events, incrementally and without I/O.

Follows "Interpreting an event stream" of https://html.spec.whatwg.org/multipage/server-sent-events.html, except
that `id` and `retry` are ignored and an unfinished last event is delivered by `end()`: some servers leave out the
last blank line.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestra_mcp.errors import BadReply

MAX_EVENT_BYTES = 8_000_000


class ServerEvent(NamedTuple):
    """One event: its type (`message` when the server named none) and its data."""

    kind: str
    data: str


class SseParser:
    """Feed it bytes as they come, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skip_lf = False
        self._first = True
        self._kind = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that are complete now; comments give none.

        Raises:
            BadReply: one event is longer than `MAX_EVENT_BYTES`.
        """
        fresh = not self._rest and not self._data and data.startswith(b"data: ") and data.endswith(b"\n\n")
        if fresh and (plain := self._plain(data)) is not None:
            return plain
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
        self._skip_lf = data.endswith(b"\r") if data else self._skip_lf
        self._rest += data
        self._size += len(data)
        if self._first and len(self._rest) >= 3:
            self._rest = self._rest.removeprefix(b"\xef\xbb\xbf")
            self._first = False
        lines: list[bytearray] = []
        if b"\n" in data or b"\r" in data:  # else a long line would be looked through again with each piece of it
            *lines, self._rest = self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        events: list[ServerEvent] = []
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event:
                events.append(event)
        if self._size > MAX_EVENT_BYTES:
            raise BadReply("one event of the stream is too long", "too_long")
        return events

    def _plain(self, data: bytes) -> list[ServerEvent] | None:
        """What nearly every server sends: whole events of one `data` line each. None when it is something else."""
        if self._kind or b"\r" in data or len(data) > MAX_EVENT_BYTES:
            return None
        found = []
        for block in data[:-2].split(b"\n\n"):
            if not block.startswith(b"data: ") or b"\n" in block:
                return None
            found.append(ServerEvent("message", block[6:].decode("utf-8", "replace")))
        self._first = self._skip_lf = False
        return found

    def end(self) -> list[ServerEvent]:
        """The last event, if the stream stopped without its blank line."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            event = ServerEvent(self._kind or "message", "\n".join(self._data)) if self._data else None
            self._kind, self._data, self._size = "", [], 0
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._kind = value
        return None
