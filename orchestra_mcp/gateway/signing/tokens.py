"""Tokens that are fetched with a secret and hold for an hour or so: kept, and fetched again in good time, once for all.

Used by the signers of clouds; how a token is fetched is theirs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import anyio

from orchestra_mcp.errors import ProviderError, Refused, Unavailable
from orchestra_mcp.gateway.dialects import failures
from orchestra_mcp.gateway.transports.transport import Transport, TransportError, fetch

EARLY_S = 300.0
"""A token is replaced so long before it ends, so that no request arrives with a dead one …"""
EARLY_SHARE = 0.2
"""… or this share of its life, if that is less."""
FETCH_S = 20.0
MAX_BODY = 100_000
DEFAULT_LIFE_S = 600.0
"""Of a token whose issuer does not say how long it lives."""


class Token(NamedTuple):
    """A token, and how many seconds it lives from now on."""

    value: str
    life_s: float


class TokenKeeper:
    """One token, fetched when it is first needed and again before it ends; callers that wait share one fetch.

    Args:
        fetch_one: fetches a new one.
        clock: seconds, for tests.
    """

    def __init__(self, fetch_one: Callable[[], Awaitable[Token]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch_one
        self._clock = clock
        self._value = ""
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._lock: anyio.Lock | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token, when there is one."""
        return (self._value,) if self._value else ()

    async def get(self) -> str:
        """A token that holds a while.

        Raises:
            ProviderError: none could be fetched, and the last one has ended.
        """
        if self._value and self._clock() < self._renew_at:
            return self._value
        self._lock = self._lock or anyio.Lock()  # made here: a lock belongs to the event loop that waits on it
        async with self._lock:
            if self._value and self._clock() < self._renew_at:
                return self._value
            try:
                token = await self._fetch()
            except Unavailable:
                if self._value and self._clock() < self._ends_at:
                    return self._value  # it still holds: the issuer may be back before it ends
                raise
            now = self._clock()
            self._value = token.value
            self._ends_at = now + token.life_s
            self._renew_at = self._ends_at - min(EARLY_S, token.life_s * EARLY_SHARE)
            return self._value


async def post_for_token(
    transport: Transport, url: str, form: Mapping[str, str], *, issuer: str, advice: str, secrets: tuple[str, ...]
) -> Token:
    """Ask an OAuth 2.0 token endpoint (RFC 6749 §4.4 and §5) for an access token.

    Raises:
        Refused: the issuer does not accept what it was shown (`auth`); the message ends with `advice`.
        Unavailable: it cannot be reached, or failed.
    """
    content = urlencode(form).encode()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "accept-encoding": "identity",
    }
    try:
        status, data = await fetch(
            transport, url, headers, method="POST", content=content, seconds=FETCH_S, most=MAX_BODY
        )
    except TransportError as error:
        raise unreachable(issuer, error) from None
    return read_token(status, data, issuer=issuer, advice=advice, secrets=secrets)


def unreachable(issuer: str, error: TransportError) -> Unavailable:
    """The error for an issuer that gave no reply."""
    kind = "timeout" if error.kind in ("timeout", "silent", "stalled") else "network"
    return Unavailable(f"No token from {issuer}: it cannot be reached ({error.kind}).", kind)


def read_token(status: int, data: bytes, *, issuer: str, advice: str, secrets: tuple[str, ...]) -> Token:
    """The token in a reply (RFC 6749 §5.1), or the error of one (§5.2). Raises as `post_for_token`."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        body = {}
    value = body.get("access_token")
    if status == 200 and isinstance(value, str) and value.isascii() and value.isprintable():
        life = body.get("expires_in")
        try:
            life_s = float(life) if life is not None else DEFAULT_LIFE_S  # some issuers send it as text
        except (ValueError, TypeError):
            life_s = DEFAULT_LIFE_S
        return Token(value, life_s if 0 < life_s < 1e9 else DEFAULT_LIFE_S)
    said = body.get("error_description") or body.get("error") or ""
    words = failures.quote(said, secrets) if isinstance(said, str) else ""
    raise _failed(status, issuer, advice, f": {words}" if words else ".")


def _failed(status: int, issuer: str, advice: str, tail: str) -> ProviderError:
    if status in (400, 401, 403, 404):
        return Refused(f"{issuer} gave no token ({status}); {advice}{tail}", "auth")
    return Unavailable(f"{issuer} gave no token ({status}){tail}", "server")
