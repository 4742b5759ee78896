"""Who has entered with a browser: one-time tickets, and cookies that stand for a key for as long as it is good.

A cookie has 256 random bits and is kept as a digest. The key that it stands for is kept sealed with the cookie itself, so
that nothing in this process's memory opens a door by itself. Everything is gone when the process ends.

What this cannot do: browsers send cookies to every port of a host. Whoever serves another page on 127.0.0.1 can see the
cookie when the user opens that page, and use it; such a server runs on the user's own machine (docs/dashboard.md).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

IDLE_S = 12 * 3600.0
"""A session that nobody used for so long has ended, in seconds."""
TICKET_S = 120.0
"""A ticket is good for so long, in seconds."""
MOST = 1000
"""Sessions of all keys that are kept; then the one that was not used for longest ends."""
EACH = 20
"""Sessions of one key, so that nobody's logging in ends those of others."""
OWNERS = 100
"""Sessions of the owner, which are counted apart."""
TICKETS = 100
"""Tickets that wait to be used; then the oldest is void."""
COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""256 bits in base64url."""
COOKIES = 200
"""So many with our name are looked at; browsers keep fewer for one host."""


@dataclass(slots=True)
class _Session:
    until: float
    """On the monotonic clock."""
    sealed: bytes | None
    """The key, sealed; None: the owner's own."""
    holder: bytes
    """Tells sessions of one key from those of others; empty: the owner."""


class Sessions:
    """The tickets and sessions of one server.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._tickets: dict[bytes, float] = {}
        self._salt = secrets.token_bytes(32)

    def ticket(self, good_s: float = TICKET_S) -> str:
        """A ticket that lets the owner in, once, within so many seconds."""
        made = secrets.token_urlsafe(32)
        while len(self._tickets) >= TICKETS:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[_digest(made)] = self._clock() + good_s
        return made

    def redeem(self, ticket: str) -> bool:
        """Use a ticket up; False when it is none, or too old."""
        until = self._tickets.pop(_digest(ticket), 0.0)
        return until > self._clock()

    def open(self, key: bytes | None) -> str:
        """Begin a session for a key (None: the owner); returns the cookie."""
        cookie = secrets.token_urlsafe(32)
        sealed = None if key is None else _sealed(key, cookie)
        holder = b"" if key is None else hashlib.sha256(self._salt + key).digest()
        self._sessions[_digest(cookie)] = _Session(self._clock() + IDLE_S, sealed, holder)
        self._end_the_oldest(OWNERS if key is None else EACH, lambda each: each.holder == holder)
        self._end_the_oldest(MOST, lambda each: bool(each.holder))
        return cookie

    def _end_the_oldest(self, most: int, counts: Callable[[_Session], bool]) -> None:
        """Keep so many of the sessions that count: those that were used last."""
        counted = [digest for digest, session in self._sessions.items() if counts(session)]
        for digest in counted[: max(0, len(counted) - most)]:
            del self._sessions[digest]

    def find(self, cookie: str) -> tuple[bytes | None] | None:
        """The key that a cookie stands for, as (key,), (None,) for the owner; None when there is no such session."""
        digest = _digest(cookie)
        session = self._sessions.get(digest)
        if session is None:
            return None
        now = self._clock()
        if session.until <= now:
            del self._sessions[digest]
            return None
        session.until = now + IDLE_S
        self._sessions.move_to_end(digest)
        return (None if session.sealed is None else _sealed(session.sealed, cookie),)

    def close(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(cookie), None)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _sealed(key: bytes, cookie: str) -> bytes:
    """The key under a pad that only the cookie gives, and back: each cookie is made once and seals one key."""
    pad = hashlib.shake_256(b"orchestra session key\0" + cookie.encode("utf-8", "replace")).digest(len(key))
    return bytes(a ^ b for a, b in zip(key, pad, strict=True))


def cookie_name(scope: Scope) -> str:
    """The name of our cookie: browsers tell hosts apart, not ports, so the port is in it."""
    server = scope.get("server") or ("", 0)
    return f"orchestra-{server[1]}"


def cookies(scope: Scope) -> tuple[str, ...]:
    """All cookies with our name and shape that came with a request; another page of this host may have set some."""
    name, found = cookie_name(scope), []
    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, given = part.strip().partition("=")
                if key == name and COOKIE.fullmatch(given):
                    found.append(given)
    return tuple(found[:COOKIES])


def cookie_header(scope: Scope, value: str) -> str:
    """The `Set-Cookie` of a new session; empty: of one that has ended."""
    flags = "; Secure" if scope.get("scheme") == "https" else ""
    age = "" if value else "; Max-Age=0"
    return f"{cookie_name(scope)}={value}; Path=/; HttpOnly; SameSite=Strict{flags}{age}"
