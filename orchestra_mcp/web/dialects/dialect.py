"""What a client's dialect is: a request parsed into the fields of `ChatRequest`, and events written as its reply.

Pure translation, without I/O. The three are modules of this package; `completions.py` does the rest for all of them.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Any, Protocol

from orchestra_mcp.gateway.provider import ChatEvent, Receipt
from orchestra_mcp.types import JsonObject, Usage
from orchestra_mcp.web.dialects.answer import Answer
from orchestra_mcp.web.errors import Trouble

MOST_SAMPLES = 16
"""Replies to one request (`n`) at most: each is a call of its own."""

dumps = json.JSONEncoder(separators=(",", ":")).encode
"""Compact JSON in ASCII, so that no odd character can break a frame."""
quoted = encode_basestring_ascii
"""One string as JSON."""


@dataclass(slots=True)
class Asked:
    """A request, parsed."""

    fields: dict[str, Any]
    """Of `ChatRequest`, as far as the body tells them."""
    stream: bool = False
    samples: int = 1
    usage: bool = False
    """The client wants the usage within the stream."""
    echo: JsonObject = field(default_factory=dict)
    """What the reply repeats of the request."""
    dropped: list[str] = field(default_factory=list)
    """What cannot be passed on and was left out, for a header."""


class Talk:
    """What every piece of one reply has in common."""

    __slots__ = ("asked", "created", "id", "model", "receipt")

    def __init__(self, asked: Asked, receipt: Receipt) -> None:
        self.asked = asked
        self.receipt = receipt
        self.id = os.urandom(14).hex()
        self.created = int(time.time())
        self.model = str(asked.fields["model"])
        """What the reply calls the model: the vendor's name as soon as it is known."""


class Writer(Protocol):
    """Writes one streamed reply, frame by frame."""

    def event(self, sample: int, event: ChatEvent) -> bytes:
        """The frames for one event; a `Finish` is one."""
        ...

    def end(self) -> bytes:
        """The frames that end the stream, after all samples have finished."""
        ...

    def fail(self, trouble: Trouble) -> bytes:
        """The frames that end the stream in an error."""
        ...


class ClientDialect(Protocol):
    """One way in which clients speak."""

    @property
    def heartbeat(self) -> bytes:
        """A frame that says nothing."""
        ...

    def parse(self, body: JsonObject) -> Asked:
        """The request.

        Raises:
            Invalid: it is wrong; names the field.
        """
        ...

    def whole(self, talk: Talk, answers: list[Answer]) -> JsonObject:
        """The reply as one object."""
        ...

    def writer(self, talk: Talk) -> Writer:
        """Writes the reply as a stream."""
        ...


def cost(usage: Usage) -> float | None:
    """What a call has cost, in US dollars; None where its price is unknown."""
    return None if usage.unpriced else float(usage.cost_usd)


def with_offer(body: JsonObject, receipt: Receipt) -> JsonObject:
    """The body with the answer to a similar question that is offered, if there is one."""
    if receipt.offer:
        body["orchestra"] = {"offer": receipt.offer}
    return body
