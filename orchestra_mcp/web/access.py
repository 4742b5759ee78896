"""Who is calling: keys are looked up once, then known from memory for a few seconds, so that a call costs microseconds.

A change made through this process holds at once; one of another process (`orchestra keys revoke`) within `FRESH_S`.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import anyio

from orchestra_mcp.errors import StoreError
from orchestra_mcp.gateway.provider import Caller, ChatEvent, ChatRequest, Provider
from orchestra_mcp.settings.gateway import Budget, RateLimit
from orchestra_mcp.store.access import AccessStore
from orchestra_mcp.store.tenants import (
    EVERYWHERE,
    KEY,
    OWNER,
    PERMISSIONS,
    Permission,
    Scope,
    VirtualKey,
    Workspace,
)
from orchestra_mcp.web.errors import Declined

logger = logging.getLogger(__name__)

FRESH_S = 3.0
"""A key is looked up again after so many seconds."""
USED_S = 60.0
"""When a key was last used is written at most so often, in seconds."""
FLUSH_S = 5.0
KNOWN = 10_000
"""Keys kept in memory; then all are looked up anew."""


class Forbidden(Declined):
    """The key that was shown may not do this."""

    def __init__(self, message: str) -> None:
        super().__init__(403, "not_allowed", message)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in, and what they may do."""

    caller: Caller
    permissions: frozenset[Permission]
    scope: Scope
    key: VirtualKey | None = None
    """None: the owner of the machine."""
    workspace: Workspace | None = None

    @property
    def is_owner(self) -> bool:
        """True for the token of the data directory."""
        return self.key is None

    def may(self, permission: Permission) -> bool:
        """True when their role has it."""
        return permission in self.permissions

    def may_use(self, model: str) -> bool:
        """True when they may ask for a model, route or alias of that name."""
        return self.key is None or self.key.may_use(model)

    def claims(self) -> tuple[Budget, ...]:
        """Budgets of the key and of its workspace."""
        mine = self.key.claims() if self.key else ()
        return mine + (self.workspace.claims() if self.workspace else ())

    def limits(self) -> tuple[RateLimit, ...]:
        """Rate limits of the key."""
        found = self.key.limits() if self.key else None
        return (found,) if found else ()

    def most_usd(self) -> Decimal | None:
        """What one call or consultation can cost at most under these budgets; None without any."""
        return min((budget.usd for budget in self.claims()), default=None)


THE_OWNER = Principal(Caller(), OWNER, EVERYWHERE)


@dataclass(slots=True)
class _Known:
    until: float
    """On the monotonic clock."""
    principal: Principal
    expires: float
    """Seconds since 1970."""


class Access:
    """Keys by what is presented. `run` has to be kept running for as long as it is used.

    Args:
        token: the owner's.
        store: where virtual keys are.
        clock: seconds that only grow.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        token: str,
        store: AccessStore,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._clock, self._wall = store, clock, wall
        # Looked up by a digest: how long that takes tells nothing of the token.
        self._owner = hashlib.sha256(token.encode()).digest()
        self._known: dict[bytes, _Known] = {}
        self._by_id: dict[str, Principal] = {}
        self._written: dict[str, float] = {}
        self._used: dict[str, datetime] = {}

    def known(self, presented: bytes) -> Principal | None:
        """Whoever was let in with this key a moment ago, from memory alone."""
        return self._remembered(hashlib.sha256(presented).digest())

    def _remembered(self, digest: bytes) -> Principal | None:
        if digest == self._owner:
            return THE_OWNER
        known = self._known.get(digest)
        if known is None or known.until < self._clock() or known.expires <= self._wall():
            return None
        return known.principal

    async def admit(self, presented: bytes) -> Principal | None:
        """Whoever may enter with this key; None when nobody may.

        Raises:
            StoreError: the keys cannot be read.
        """
        digest = hashlib.sha256(presented).digest()
        if principal := self._remembered(digest):
            self._note_use(principal)
            return principal
        text = presented.decode("latin-1")
        if not KEY.fullmatch(text):
            return None
        found = await self._store.admit(text)
        if found is None:
            self._known.pop(digest, None)
            return None
        principal = _principal(*found)
        if len(self._known) >= KNOWN:
            self.forget()
        expires = found[0].expires
        self._known[digest] = _Known(
            self._clock() + FRESH_S, principal, expires.timestamp() if expires else float("inf")
        )
        self._by_id[found[0].id] = principal
        self._note_use(principal)
        return principal

    def principal(self, caller: Caller) -> Principal:
        """The principal behind a caller that was let in.

        Raises:
            Forbidden: no such key was let in.
        """
        if not caller.key:
            return THE_OWNER
        if principal := self._by_id.get(caller.key):
            return principal
        raise Forbidden("This key is not known any more.")

    def claims(self, caller: Caller) -> tuple[Budget, ...]:
        """Budgets that hold for a caller, beside those of the settings."""
        principal = self._by_id.get(caller.key) if caller.key else None
        return principal.claims() if principal else ()

    def limits(self, caller: Caller) -> tuple[RateLimit, ...]:
        """Rate limits that hold for a caller, beside those of the settings."""
        principal = self._by_id.get(caller.key) if caller.key else None
        return principal.limits() if principal else ()

    def forget(self) -> None:
        """Look every key up again; called after each change that this process makes."""
        self._known.clear()

    async def run(self) -> None:
        """Write now and then when keys were used, until cancelled; what is still to be written then is written."""
        try:
            while True:
                await anyio.sleep(FLUSH_S)
                await self._flush()
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._flush()

    def _note_use(self, principal: Principal) -> None:
        if principal.key is None:
            return
        id, now = principal.key.id, self._clock()
        if now - self._written.get(id, float("-inf")) >= USED_S:
            self._written[id] = now
            self._used[id] = datetime.now(UTC)

    async def _flush(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.touch(used)
        except StoreError as error:
            logger.warning("When keys were last used was not kept: %s", error)


def _principal(key: VirtualKey, workspace: Workspace) -> Principal:
    caller = Caller(key=key.id, workspace=workspace.id, tier=key.terms.tier, priority=key.terms.priority)
    return Principal(caller, PERMISSIONS[key.role], Scope(workspace.id), key, workspace)


class Permitted:
    """A gateway layer: refuses models that the caller's key may not ask for.

    Only requests of the door pass here; the council's own calls are the council's choice.
    """

    def __init__(self, inner: Provider, access: Access) -> None:
        self._inner, self._access = inner, access

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Stream the reply; see `Provider.chat`.

        Raises:
            Forbidden: the key may not use this model.
        """
        if request.caller.key:
            permit(self._access.principal(request.caller), request.model)
        async with aclosing(self._inner.chat(request)) as events:
            async for event in events:
                yield event


def permit(principal: Principal, model: str) -> None:
    """Let a principal ask for a model.

    Raises:
        Forbidden: the key may not use it.
    """
    if not principal.may_use(model):
        allowed = ", ".join(principal.key.terms.models) if principal.key else ""
        raise Forbidden(f"This key may not use {model[:100]!r}; it may use: {allowed}.")
