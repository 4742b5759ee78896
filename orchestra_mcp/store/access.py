"""Workspaces, members and virtual keys in the database that all processes share; and which workspace asked what.

Every method takes the `Scope` of whoever wants something, and what lies outside of it is not there: it is neither
listed nor changed, and naming it is `NotFound`. Only `admit` takes none, since the secret that it is shown is the
proof. The connection is one of its own, so that nobody waits at the door behind the writing of a consultation.
"""

from __future__ import annotations

import hmac
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio

from orchestra_mcp.errors import NotFound, SettingsError, StoreError, UserError
from orchestra_mcp.store import database, rows
from orchestra_mcp.store.database import Place, Unit, Worker
from orchestra_mcp.store.locks import WriterLock
from orchestra_mcp.store.secretfile import secret_file
from orchestra_mcp.store.tenantrows import (
    BURY,
    INSERT_KEY,
    KEY_COLUMNS,
    KEYS,
    OWN,
    SET_MEMBER,
    STANDS,
    WITHIN,
    WORKSPACES,
    budgets_json,
    check_member,
    ending,
    key_of,
    member_of,
    one,
    require,
    revoke_of,
    taken,
    workspace_of,
)
from orchestra_mcp.store.tenants import (
    EVERYWHERE,
    KEY,
    ROLES,
    Allowance,
    Member,
    Role,
    Scope,
    Terms,
    VirtualKey,
    Workspace,
    checked_name,
    checked_role,
    hashed,
    new_key,
)

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

CLOSE_S: Final = 1.0
FAILURES: Final = (sqlite3.Error, OSError)


class AccessStore:
    """Who may use this server; made by `open_access`. All methods raise `StoreError` when the database cannot be used.

    When it could not even be opened, `admit` knows no key and the others raise what `trouble` says: then only the owner
    gets in.
    """

    def __init__(self, home: Path, pepper: str, trouble: str = "") -> None:
        self.trouble = trouble
        """Why there are no keys; empty when all is well."""
        self._place = Place(home)
        self._pepper = pepper.encode()
        self._lock = WriterLock(self._place.lock)
        self._worker = Worker(self._start)
        self._closed = False

    def _start(self) -> sqlite3.Connection:
        database.prepare(self._place)
        return database.connect_writer(self._place, self._lock)

    async def open(self) -> None:
        """Open the connection. Raises StoreError."""
        try:
            _ = await self._worker
        except (*FAILURES, StoreError) as error:
            raise database.explain(error, self._place) from error

    # --------------------------------------------------------------------------------------------------- the door

    async def admit(self, presented: str) -> tuple[VirtualKey, Workspace] | None:
        """The key that was presented, and its workspace; None when it is not one of ours, has expired or was revoked."""
        found = KEY.fullmatch(presented)
        if found is None or self.trouble:
            return None
        shown = hashed(self._pepper, found[2])

        def unit(connection: sqlite3.Connection) -> tuple[VirtualKey, Workspace] | None:
            row = connection.execute(
                f"SELECT {KEY_COLUMNS}, hash FROM virtual_keys WHERE id = ? AND revoked IS NULL", (found[1],)
            ).fetchone()
            # An unknown id is compared too, so that the time it takes does not tell known ones.
            kept = row[-1] if row else b"\0" * 32
            if not hmac.compare_digest(shown, kept) or row is None:
                return None
            key = key_of(row[:-1])
            if key.expires and rows.stamp(key.expires) <= rows.now():
                return None
            return key, workspace_of(one(connection, key.workspace))

        return await self._read(unit)

    async def stands(self, key: str) -> bool:
        """True while a key, by its id, is neither revoked nor expired: for whoever was let in a while ago."""

        def unit(connection: sqlite3.Connection) -> bool:
            return connection.execute(STANDS, {"id": key, "now": rows.now()}).fetchone() is not None

        return await self._read(unit)

    async def touch(self, used: Mapping[str, datetime]) -> None:
        """Note when keys were last used, by their ids."""
        marks = [(rows.stamp(at), id) for id, at in used.items()]

        def unit(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE virtual_keys SET last_used = ? WHERE id = ?", marks)

        await self._write(unit)

    # ------------------------------------------------------------------------------------------------------- keys

    async def create_key(
        self,
        scope: Scope,
        workspace: str,
        name: str,
        role: Role = "member",
        terms: Terms | None = None,
        member: str = "",
        expires: datetime | None = None,
    ) -> tuple[VirtualKey, str]:
        """Make a key; returns it and, for the only time, how it is presented.

        Raises:
            NotFound: no such workspace or member within the scope.
            UserError: the name is taken or is none, the member may not do as much as the role, or it is to expire
                beyond the calendar.
        """
        checked_name(name, "key")
        checked_role(role)
        id, secret, presented = new_key()
        row = {
            "id": id, "workspace": workspace, "name": name, "member": member, "role": role,
            "hash": hashed(self._pepper, secret), "created": rows.now(), "expires": ending(expires),
            "terms": (terms or Terms()).model_dump_json(exclude_defaults=True),
        }  # fmt: skip

        def unit(connection: sqlite3.Connection) -> VirtualKey:
            require(connection, scope, workspace)
            if member:
                check_member(connection, workspace, member, role)
            try:
                connection.execute(INSERT_KEY, row)
            except sqlite3.IntegrityError:
                raise UserError(
                    f"Workspace {workspace!r} has a key {name!r} already; revoke it first, or choose another name."
                ) from None
            return key_of(connection.execute(f"{KEYS} AND id = :id", {"scope": workspace, "id": id}).fetchone())

        return await self._write(unit), presented

    async def keys(self, scope: Scope, with_revoked: bool = False) -> tuple[VirtualKey, ...]:
        """All keys within the scope, oldest first."""
        query = f"{KEYS}{'' if with_revoked else ' AND revoked IS NULL'} ORDER BY created, id"
        return await self._read(
            lambda connection: tuple(map(key_of, connection.execute(query, {"scope": scope.workspace})))
        )

    async def revoke(self, scope: Scope, key: str) -> VirtualKey:
        """End a key, by its id, or by its name where that is unambiguous within the scope. Raises NotFound."""

        def unit(connection: sqlite3.Connection) -> VirtualKey:
            found = connection.execute(
                f"{KEYS} AND (id = :key OR name = :key) AND revoked IS NULL", {"scope": scope.workspace, "key": key}
            ).fetchall()
            found = [row for row in found if row[0] == key] or found
            if not found:
                raise NotFound(f"There is no key {key[:60]!r}; `orchestra keys list` shows those that there are.")
            if len(found) > 1:
                raise UserError(f"Several workspaces have a key {key!r}; name it by its id.")
            at = rows.now()
            connection.execute("UPDATE virtual_keys SET revoked = ? WHERE id = ?", (at, found[0][0]))
            return key_of(found[0]).model_copy(update={"revoked": rows.moment(at)})

        return await self._write(unit)

    # ------------------------------------------------------------------------------------------------- workspaces

    async def create_workspace(
        self,
        scope: Scope,
        id: str,
        name: str = "",
        budgets: Sequence[Allowance] = (),
        roots: Sequence[str] = (),
    ) -> Workspace:
        """Make a workspace; only the owner of the machine may.

        Raises:
            NotFound: the scope is one workspace.
            UserError: the id is taken, was taken, or is none.
        """
        checked_name(id, "workspace")
        if scope != EVERYWHERE:
            raise NotFound(f"There is no workspace {id!r} here.")
        row = (id, name or id, rows.now(), json.dumps(list(roots)), budgets_json(budgets))

        def unit(connection: sqlite3.Connection) -> Workspace:
            try:
                connection.execute(
                    "INSERT INTO workspaces (id, name, created, roots, budgets) VALUES (?, ?, ?, ?, ?)", row
                )
            except sqlite3.IntegrityError:
                raise taken(connection, id) from None
            return workspace_of(one(connection, id))

        return await self._write(unit)

    async def workspaces(self, scope: Scope) -> tuple[Workspace, ...]:
        """All workspaces within the scope, by id."""
        query = f"{WORKSPACES} ORDER BY id"
        return await self._read(
            lambda connection: tuple(map(workspace_of, connection.execute(query, {"scope": scope.workspace})))
        )

    async def change_workspace(
        self,
        scope: Scope,
        id: str,
        name: str | None = None,
        budgets: Sequence[Allowance] | None = None,
        roots: Sequence[str] | None = None,
    ) -> Workspace:
        """Change what is given. Its own admins may rename it; budgets and roots are the owner's.

        Raises:
            NotFound: no such workspace within the scope.
            UserError: only the owner may change that.
        """
        if scope != EVERYWHERE and (budgets is not None or roots is not None):
            raise UserError("Only the owner of this machine may change a workspace's budgets and roots.")

        def unit(connection: sqlite3.Connection) -> Workspace:
            require(connection, scope, id)
            new: dict[str, Any] = {
                "name": name,
                "budgets": None if budgets is None else budgets_json(budgets),
                "roots": None if roots is None else json.dumps(list(roots)),
            }
            connection.execute(
                "UPDATE workspaces SET name = coalesce(:name, name), budgets = coalesce(:budgets, budgets), "
                "roots = coalesce(:roots, roots) WHERE id = :id",
                {**new, "id": id},
            )
            return workspace_of(one(connection, id))

        return await self._write(unit)

    async def delete_workspace(self, scope: Scope, id: str) -> None:
        """Delete a workspace with its members and keys; only the owner may. What it asked stays on record, for the owner.

        Its id is never used again: what it spent, what was cached for it and what happens live goes by the id.

        Raises:
            NotFound: no such workspace, or the scope is one workspace.
        """
        if scope != EVERYWHERE:
            raise NotFound(f"There is no workspace {id!r} here.")

        def unit(connection: sqlite3.Connection) -> None:
            require(connection, scope, id)
            for statement in BURY:
                connection.execute(statement, {"id": id})

        await self._write(unit)

    # ---------------------------------------------------------------------------------------------------- members

    async def set_member(self, scope: Scope, workspace: str, name: str, role: Role) -> Member:
        """Add a member or change a role; keys of theirs that could do more are revoked. Raises NotFound, UserError."""
        checked_name(name, "member")
        checked_role(role)
        stronger = ROLES[: ROLES.index(role)]

        def unit(connection: sqlite3.Connection) -> Member:
            require(connection, scope, workspace)
            row = {"workspace": workspace, "name": name, "role": role, "created": rows.now()}
            connection.execute(SET_MEMBER, row)
            revoke_of(connection, workspace, name, stronger)
            found = connection.execute(
                "SELECT workspace, name, role, created FROM members WHERE workspace = ? AND name = ?", (workspace, name)
            ).fetchone()
            return member_of(found)

        return await self._write(unit)

    async def members(self, scope: Scope) -> tuple[Member, ...]:
        """All members within the scope, by workspace and name."""
        query = f"SELECT workspace, name, role, created FROM members WHERE {WITHIN} ORDER BY workspace, name"
        return await self._read(
            lambda connection: tuple(map(member_of, connection.execute(query, {"scope": scope.workspace})))
        )

    async def remove_member(self, scope: Scope, workspace: str, name: str) -> None:
        """Remove a member and revoke their keys. Raises NotFound."""

        def unit(connection: sqlite3.Connection) -> None:
            require(connection, scope, workspace)
            gone = connection.execute("DELETE FROM members WHERE workspace = ? AND name = ?", (workspace, name))
            if not gone.rowcount:
                raise NotFound(f"There is no member {name[:60]!r} in workspace {workspace!r}.")
            revoke_of(connection, workspace, name, ROLES)

        await self._write(unit)

    # ---------------------------------------------------------------------------------------------- consultations

    async def own(self, scope: Scope, consultation: str, key: str) -> None:
        """Remember which workspace a consultation belongs to; the first word counts. One of the owner is nobody's."""
        if scope.workspace is None:
            return
        row = (consultation, scope.workspace, key, rows.now())

        def unit(connection: sqlite3.Connection) -> None:
            connection.execute(OWN, row)

        await self._write(unit)

    async def owned(self, scope: Scope, limit: int = 1000) -> tuple[str, ...]:
        """Ids of the consultations that workspaces within the scope have asked for, newest first."""
        query = f"SELECT consultation FROM consultation_owners WHERE {WITHIN} ORDER BY at DESC, rowid DESC LIMIT :limit"
        return await self._read(
            lambda connection: tuple(
                row[0] for row in connection.execute(query, {"scope": scope.workspace, "limit": limit})
            )
        )

    async def owns(self, scope: Scope, consultation: str) -> bool:
        """True when a workspace within the scope asked for it; the owner of the machine may see all."""
        if scope == EVERYWHERE:
            return True
        query = f"SELECT 1 FROM consultation_owners WHERE consultation = :id AND {WITHIN}"
        given = {"id": consultation, "scope": scope.workspace}
        return await self._read(lambda connection: connection.execute(query, given).fetchone() is not None)

    async def close(self) -> None:
        """Write what is pending, at most for `CLOSE_S` seconds; may be called twice."""
        if self._closed:
            return
        self._closed = True
        if self.trouble:
            return
        self._lock.last_call = time.monotonic() + CLOSE_S
        with anyio.move_on_after(CLOSE_S + 0.5, shield=True):
            with suppress(*FAILURES, ValueError):  # ValueError: it never was open
                await self._worker.run(partial(database.shut, lock=self._lock))
                await self._worker.close()
            await self._worker.ended()

    async def _write(self, unit: Unit[T]) -> T:
        return await self._run(partial(database.write, lock=self._lock, unit=unit))

    async def _read(self, unit: Unit[T]) -> T:
        return await self._run(partial(database.read, unit=unit))

    async def _run(self, unit: Unit[T]) -> T:
        if self._closed:
            raise StoreError("The store of keys is closed.")
        if self.trouble:
            raise StoreError(self.trouble)
        try:
            return await self._worker.run(unit)
        except FAILURES as error:
            raise database.explain(error, self._place) from error


@asynccontextmanager
async def open_access(home: Path, *, strict: bool = False) -> AsyncIterator[AccessStore]:
    """Open the keys of a data directory; needs an asyncio event loop.

    When they cannot be used, there are none, and `trouble` says why; that is logged too.

    Args:
        home: the data directory.
        strict: for whoever has no use for a server without keys.

    Raises:
        SettingsError: strictly: the pepper cannot be used.
        StoreError: strictly: the database cannot be used.
    """
    store: AccessStore | None = None
    try:
        try:
            store = AccessStore(home, await anyio.to_thread.run_sync(secret_file, home / "pepper"))
            await store.open()
        except (SettingsError, StoreError) as error:
            if strict:
                raise
            if store is not None:
                await store.close()
            trouble = f"Only the owner's token gets in: the keys of callers cannot be read. {error}"
            _LOG.warning("%s", trouble)
            store = AccessStore(home, "", trouble)
        yield store
    finally:
        if store is not None:
            await store.close()
