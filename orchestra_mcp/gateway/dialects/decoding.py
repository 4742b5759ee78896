"""What stands between a vendor's reply and the rest of the house: it may be odd, huge, or hold our own key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from orchestra_mcp.gateway.dialects.dialect import Decoder
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.provider import ChatEvent, Finish, Spent, TextDelta
from orchestra_mcp.types import JsonObject, Usage

MOST_TOKENS = 100_000_000
MOST_USD = 10_000
"""Of one call; a vendor that says more is mistaken."""
MAX_NAME = 120
"""Characters of the vendor's name for the model."""


class Careful:
    """A decoder of whom no JSON, however odd, gets anything but an event or a `ProviderError`."""

    def __init__(self, decoder: Decoder, source: Source) -> None:
        self._decoder = decoder
        self._source = source

    @property
    def complete(self) -> bool:
        """As the decoder's."""
        return self._decoder.complete

    def feed(self, event: ServerEvent) -> Iterator[ChatEvent]:
        """As the decoder's."""
        with self._care():
            for said in self._decoder.feed(event):
                yield said.model_copy(update={"usage": _believable(said.usage)}) if isinstance(said, Spent) else said

    def whole(self, body: JsonObject) -> Iterator[ChatEvent]:
        """As the decoder's."""
        with self._care():
            yield from self._decoder.whole(body)

    def finish(self) -> Finish | None:
        """As the decoder's, with a usage that can be believed."""
        finish = self._decoder.finish()
        return finish and finish.model_copy(update={"usage": _believable(finish.usage)})

    @contextmanager
    def _care(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            raise self._source.garbage("JSON of an unknown shape") from None


def _believable(usage: Usage) -> Usage:
    """What a vendor says that a call took; nothing when it is beyond reason, so that the meter estimates it."""
    return usage if usage.tokens <= MOST_TOKENS and usage.cost_usd <= MOST_USD else Usage()


class Scrubber:
    """Takes our own keys out of a reply that comes in pieces: a provider may echo them in its answer."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= 8]
        self._held = ""

    def feed(self, event: ChatEvent) -> Iterator[ChatEvent]:
        """The same without keys; what could be the beginning of a key is held back until more has come."""
        if isinstance(event, TextDelta):
            if text := self._text(event.text):
                yield TextDelta(text=text)
            return
        if isinstance(event, Finish):
            if self._held:
                yield TextDelta(text=self._held)
            name = "".join(filter(str.isprintable, self._without(event.model[:MAX_NAME])))
            event = event.model_copy(update={"model": name})
        yield event

    def _text(self, text: str) -> str:
        text = self._without(self._held + text)
        held = max((_overlap(text, secret) for secret in self._secrets), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def _without(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[…]")
        return text


def _overlap(text: str, secret: str) -> int:
    """How many characters at the end of a text are the beginning of the secret."""
    return next((n for n in range(min(len(secret) - 1, len(text)), 0, -1) if text.endswith(secret[:n])), 0)
