"""What a dialect is: pure translation between the gateway's nouns and one vendor API. No I/O, nothing remembered.

Reading a reply is in three steps: a framing cuts bytes into events (`sse.SseParser`, or Amazon's binary one), a decoder
reads events or one whole JSON body, and `decoding.Careful` stands around it against replies of odd shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.quirks import Quirks
from orchestra_mcp.gateway.dialects.sse import ServerEvent, SseParser
from orchestra_mcp.gateway.provider import ChatEvent, ChatRequest, EmbedRequest, Finish
from orchestra_mcp.settings import ModelSpec
from orchestra_mcp.types import JsonObject, Usage

STREAM = "stream"
"""Pseudo-parameter: a server that cannot stream is asked without."""


class Decoder(Protocol):
    """Reads one reply. Methods raise `ProviderError` when the reply carries an error."""

    @property
    def complete(self) -> bool:
        """True when nothing more is expected from the stream."""
        ...

    def feed(self, event: ServerEvent) -> Iterable[ChatEvent]:
        """What one event of a stream means."""
        ...

    def whole(self, body: JsonObject) -> Iterable[ChatEvent]:
        """What a plain JSON reply means, without the `Finish`."""
        ...

    def finish(self) -> Finish | None:
        """How it ended; None when the model had not finished."""
        ...


class Framing(Protocol):
    """Cuts bytes, in pieces of any size, into events."""

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that are complete now."""
        ...

    def end(self) -> list[ServerEvent]:
        """What is left when the bytes end."""
        ...


@dataclass(frozen=True)
class Vectors:
    """The reply to an embeddings request."""

    vectors: tuple[tuple[float, ...], ...]
    usage: Usage
    model: str = ""


@runtime_checkable
class Vectorising(Protocol):
    """What can also make vectors; a model's wire, and what is wrapped around it."""

    async def embed(self, request: EmbedRequest) -> Vectors:
        """The vectors of some texts.

        Raises:
            ProviderError, BudgetExceeded: as a chat.
        """
        ...


@dataclass(frozen=True)
class Embeddings:
    """How a dialect asks for vectors."""

    url: Callable[[ModelSpec, Quirks], str]
    to_wire: Callable[[EmbedRequest, ModelSpec, Quirks], JsonObject]
    from_wire: Callable[[JsonObject, Source], Vectors]


@dataclass(frozen=True)
class Dialect:
    """One way of speaking to models over HTTP."""

    name: str
    url: Callable[[ChatRequest, ModelSpec, Quirks, frozenset[str]], str]
    """Where to post, given the parameters that the server does not know; `streams` says whether to ask for a stream."""
    to_wire: Callable[[ChatRequest, ModelSpec, Quirks, frozenset[str]], JsonObject]
    """The body, without the parameters that the server does not know."""
    decoder: Callable[[Source], Decoder]
    auth: str
    """Name of the usual way to show the key, in `signing.SIGNERS`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Always sent, such as the version of the API."""
    optional: frozenset[str] = frozenset()
    """Parameters of the body that may be left out when a server rejects them."""
    framing: Callable[[], Framing] = SseParser
    stream_type: str = "text/event-stream"
    """Content type of a stream."""
    stream_is_a_verb: bool = False
    """True when streaming has an address of its own, which a server may lack (404)."""
    list_url: Callable[[ModelSpec], str] | None = None
    """Where the models are listed, if the vendor lists them."""
    embeddings: Embeddings | None = None


def streams(request: ChatRequest, without: frozenset[str]) -> bool:
    """True when a stream is to be asked for."""
    return request.stream and STREAM not in without
