"""What stands between a vendor's reply and the rest of the house: it may be odd, huge, or hold our own key."""

from __future__ import annotations

from collections.abc import Iterable

from orchestra_mcp.gateway.dialects.dialect import Decoder
from orchestra_mcp.gateway.dialects.failures import Source
from orchestra_mcp.gateway.dialects.sse import ServerEvent
from orchestra_mcp.gateway.provider import ChatEvent, Finish, ReasoningDelta, Spent, TextDelta, ToolDelta
from orchestra_mcp.types import JsonObject, Usage

MOST_TOKENS = 100_000_000
MOST_USD = 10_000
"""Of one call; a vendor that says more is mistaken."""
ODD = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
"""What a decoder raises when JSON has another shape than the API promises."""
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

    def feed(self, event: ServerEvent) -> list[ChatEvent]:
        """As the decoder's."""
        try:
            found = list(self._decoder.feed(event))
        except ODD:
            raise self._source.garbage("JSON of an unknown shape") from None
        for place, said in enumerate(found):
            if isinstance(said, Spent):
                found[place] = Spent(usage=_believable(said.usage))
        return found

    def whole(self, body: JsonObject) -> list[ChatEvent]:
        """As the decoder's."""
        try:
            return list(self._decoder.whole(body))
        except ODD:
            raise self._source.garbage("JSON of an unknown shape") from None

    def finish(self) -> Finish | None:
        """As the decoder's, with a usage that can be believed."""
        try:
            finish = self._decoder.finish()
        except ODD:
            raise self._source.garbage("JSON of an unknown shape") from None
        if finish is None or _believable(finish.usage) is finish.usage:
            return finish
        return finish.model_copy(update={"usage": Usage()})


def _believable(usage: Usage) -> Usage:
    """What a vendor says that a call took; nothing when it is beyond reason, so that the meter estimates it."""
    return usage if usage.tokens <= MOST_TOKENS and usage.cost_usd <= MOST_USD else Usage()


class Scrubber:
    """Takes our own keys out of a reply that comes in pieces: a provider may echo them in its answer."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets: list[str] = []
        self._held = ""
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Take these for secrets from now on; a token may have been fetched since."""
        self._secrets = [secret for secret in secrets if len(secret) >= 8]

    def feed(self, event: ChatEvent) -> tuple[ChatEvent, ...]:
        """The same without keys; what could be the beginning of a key is held back until more has come."""
        if isinstance(event, TextDelta):
            text = self._text(event.text)
            if text == event.text:
                return (event,)
            return (TextDelta(text=text),) if text else ()
        if isinstance(event, ReasoningDelta):
            text = self._without(event.text)
            return (event if text == event.text else event.model_copy(update={"text": text}),)
        if isinstance(event, ToolDelta):
            text = self._without(event.arguments)
            event = event if text == event.arguments else event.model_copy(update={"arguments": text})
        elif isinstance(event, Finish):
            name = "".join(filter(str.isprintable, self._without(event.model[:MAX_NAME])))
            event = event if name == event.model else event.model_copy(update={"model": name})
        else:
            return (event,)
        held, self._held = self._held, ""
        return (TextDelta(text=held), event) if held else (event,)

    def _text(self, text: str) -> str:
        text = self._without(self._held + text)
        held = 0
        for secret in self._secrets:
            held = max(held, _overlap(text, secret))
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def _without(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "[…]")
        return text


def _overlap(text: str, secret: str) -> int:
    """How many characters at the end of a text are the beginning of the secret."""
    at = text.find(secret[0], max(0, len(text) - len(secret) + 1))
    while at >= 0:
        if secret.startswith(text[at:]):
            return len(text) - at
        at = text.find(secret[0], at + 1)
    return 0
