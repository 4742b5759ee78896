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
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal, get_args

from pydantic import Field

from orchestra_mcp.errors import UserError
from orchestra_mcp.settings.gateway import Budget, RateLimit, Usd, Window
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
MAX_GLOB = 200
"""Characters of a name of models, with its stars."""
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

    usd: Annotated[Usd, Field(le=1_000_000)]
    window: Window = "day"


class Terms(Noun):
    """On what terms a key may be used."""

    tier: str = Field(default="", max_length=40)
    """For the rules of routes."""
    priority: int = Field(default=0, ge=-100, le=100)
    models: tuple[Annotated[str, Field(max_length=MAX_GLOB)], ...] = Field(default=(), max_length=100)
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
        return not self.terms.models or meant(self.terms.models, model)

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


def meant(globs: tuple[str, ...], name: str) -> bool:
    """True when one of the globs means that name; only `*` is special, and stands for any characters."""
    return any(_fits(pieces, name) for pieces in _pieces(globs))


@lru_cache(maxsize=1024)
def _pieces(globs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(glob.split("*")) for glob in globs)


def _fits(pieces: tuple[str, ...], name: str) -> bool:
    """Each piece is looked for once, as far to the left as it can be: no name takes more than linear time."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return name == first
    at, end = len(first), len(name) - len(last)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in pieces[1:-1]:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def within(
    maker: VirtualKey, terms: Terms, member: str, expires: datetime | None
) -> tuple[Terms, str, datetime | None]:
    """What a key may be that another key makes: it reaches no further, and ends no later, than its maker.

    A key of a member makes keys of that member only, which are revoked with them: whoever makes a key has seen its
    secret.

    Raises:
        UserError: it is to be another member's, or for models that the maker may not use.
    """
    if maker.member and member not in ("", maker.member):
        raise UserError(
            f"This key is {maker.member}'s, so it cannot make one for {member[:60]!r}; a key of no member can."
        )
    allowed = maker.terms.models
    if allowed:
        models = terms.models or allowed
        # A glob that fits as a word, its stars taken literally, means nothing beyond what it fits into.
        if wrong := [glob for glob in models if not meant(allowed, glob)]:
            raise UserError(f"This key may not use {wrong[0]!r}, so it cannot make a key that may.")
        terms = terms.model_copy(update={"models": models})
    if maker.expires is not None and (expires is None or _utc(expires) > _utc(maker.expires)):
        expires = maker.expires
    return terms, member or maker.member, expires


def _utc(moment: datetime) -> datetime:
    """A time without a zone counts as UTC. One that lies beyond the calendar there stays as it is; it compares."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
