"""Who may use a server beside its owner: workspaces, their members, their virtual keys, and what a role may do.

A virtual key is `orc_<8-character id>_<43 characters of base64url>`. Its secret has 256 random bits, so a slow hash
would protect nothing that an HMAC does not (OWASP's slow hashes are for what people can remember); kept is
HMAC-SHA256(pepper, secret), and the pepper is a file beside the database, so that a copied database opens no door.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal, get_args

from pydantic import Field

from orchestra_mcp.errors import UserError
from orchestra_mcp.settings.gateway import Budget, RateLimit, Window
from orchestra_mcp.types import Noun

Role = Literal["admin", "member", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)
Permission = Literal["read", "ask", "mark", "manage", "own"]
"""`read`: see what a workspace asked; `ask`: ask models and the council; `mark`: say what became of answers;
`manage`: keys and members of the workspace; `own`: this machine (its projects, all workspaces, MCP)."""

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "viewer": frozenset({"read"}),
    "member": frozenset({"read", "ask", "mark"}),
    "admin": frozenset({"read", "ask", "mark", "manage"}),
}
"""What a role may do. Add a role here; nothing else decides."""
OWNER: frozenset[Permission] = frozenset(get_args(Permission))

ID_CHARS = string.ascii_lowercase + string.digits
KEY = re.compile(r"orc_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
"""Ids of workspaces, names of keys and members."""


@dataclass(frozen=True)
class Scope:
    """Within which workspace something is read or changed; every method of the store takes one."""

    workspace: str | None
    """None: all of them; only the owner of the machine has that."""

    def covers(self, workspace: str) -> bool:
        """True when that workspace lies within."""
        return self.workspace is None or self.workspace == workspace


EVERYWHERE = Scope(None)


class Allowance(Noun):
    """What may be spent in a window of time."""

    usd: Decimal = Field(ge=0, le=1_000_000)
    window: Window = "day"


class Terms(Noun):
    """On what terms a key may be used."""

    tier: str = Field(default="", max_length=40)
    """For the rules of routes."""
    priority: int = Field(default=0, ge=-100, le=100)
    models: tuple[str, ...] = Field(default=(), max_length=100)
    """Names of models, routes and aliases that may be asked for, `*` stands for anything; empty: all."""
    budgets: tuple[Allowance, ...] = Field(default=(), max_length=3)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent: int | None = Field(default=None, ge=1)


class Workspace(Noun):
    """People and programs that share budgets and see each other's consultations."""

    id: str
    name: str
    created: datetime
    roots: tuple[str, ...] = ()
    """Directories of this machine whose projects its keys may ask about; empty: none."""
    budgets: tuple[Allowance, ...] = ()

    def claims(self) -> tuple[Budget, ...]:
        """Its budgets as the gateway knows them."""
        return tuple(Budget(per="workspace", name=self.id, usd=a.usd, window=a.window) for a in self.budgets)


class Member(Noun):
    """Somebody who works in a workspace; the keys that are theirs can do no more than they may."""

    workspace: str
    name: str
    role: Role
    created: datetime


class VirtualKey(Noun):
    """A key for this server; the secret itself is kept nowhere."""

    id: str
    workspace: str
    name: str
    member: str = ""
    """Whose it is; empty for a program's."""
    role: Role
    """At most the member's own."""
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    """To the minute."""
    revoked: datetime | None = None
    terms: Terms = Terms()

    def may_use(self, model: str) -> bool:
        """True when this key may ask for a model of that name."""
        return not self.terms.models or any(fnmatchcase(model, glob) for glob in self.terms.models)

    def claims(self) -> tuple[Budget, ...]:
        """Its budgets as the gateway knows them."""
        return tuple(Budget(per="key", name=self.id, usd=a.usd, window=a.window) for a in self.terms.budgets)

    def limits(self) -> RateLimit | None:
        """Its rate limits as the gateway knows them; None when it has none."""
        terms = self.terms
        if not (terms.requests_per_minute or terms.tokens_per_minute or terms.concurrent):
            return None
        return RateLimit(
            per="key", name=self.id, requests_per_minute=terms.requests_per_minute,
            tokens_per_minute=terms.tokens_per_minute, concurrent=terms.concurrent,
        )  # fmt: skip


def new_key() -> tuple[str, str, str]:
    """Id and secret of a new key, and how it is presented."""
    id = "".join(secrets.choice(ID_CHARS) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    return id, secret, f"orc_{id}_{secret}"


def hashed(pepper: bytes, secret: str) -> bytes:
    """What is kept of a secret: HMAC-SHA256 (RFC 2104) under the pepper."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)


def checked_name(name: str, what: str) -> str:
    """The name itself.

    Raises:
        UserError: it is no name.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name[:60]!r} cannot name a {what}: small letters, digits, dots, dashes and underscores, at most 40."
        )
    return name


def checked_role(role: str) -> None:
    """Nothing, for a role.

    Raises:
        UserError: it is none.
    """
    if role not in ROLES:
        raise UserError(f"{role[:60]!r} is not a role; there are {', '.join(ROLES)}.")
