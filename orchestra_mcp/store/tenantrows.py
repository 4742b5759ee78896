"""Keys, workspaces and members as rows, and the statements that read and write them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from orchestra_mcp.errors import NotFound, UserError
from orchestra_mcp.store import rows
from orchestra_mcp.store.tenants import ROLES, Allowance, Member, Role, Scope, Terms, VirtualKey, Workspace

KEY_COLUMNS: Final = "id, workspace, name, member, role, created, expires, last_used, revoked, terms"
WITHIN: Final = "(:scope IS NULL OR workspace = :scope)"
KEYS: Final = f"SELECT {KEY_COLUMNS} FROM virtual_keys WHERE {WITHIN}"
GONE: Final = "null"
"""What the budgets of a deleted workspace are. Its row stays, so that nobody can make one of the same id, to which its
costs, its cached answers and its events would belong; whatever looks for workspaces looks for those that live."""
LIVING: Final = f"budgets <> '{GONE}'"
WORKSPACES: Final = f"""
    SELECT id, name, created, roots, budgets FROM workspaces WHERE {LIVING} AND (:scope IS NULL OR id = :scope)
"""
BURY: Final = (
    "DELETE FROM virtual_keys WHERE workspace = :id",
    "DELETE FROM members WHERE workspace = :id",
    "DELETE FROM consultation_owners WHERE workspace = :id",
    f"UPDATE workspaces SET budgets = '{GONE}', roots = '[]', name = '' WHERE id = :id",
)
"""What deleting a workspace is."""
STANDS: Final = f"""
    SELECT 1 FROM virtual_keys JOIN workspaces ON workspaces.id = workspace
    WHERE virtual_keys.id = :id AND revoked IS NULL AND (expires IS NULL OR expires > :now) AND {LIVING}
"""
INSERT_KEY: Final = """
    INSERT INTO virtual_keys (id, workspace, name, member, role, hash, created, expires, terms)
    VALUES (:id, :workspace, :name, :member, :role, :hash, :created, :expires, :terms)
"""
SET_MEMBER: Final = """
    INSERT INTO members (workspace, name, role, created) VALUES (:workspace, :name, :role, :created)
    ON CONFLICT (workspace, name) DO UPDATE SET role = excluded.role
"""
OWN: Final = """
    INSERT INTO consultation_owners (consultation, workspace, key, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
"""


def budgets_json(budgets: Sequence[Allowance]) -> str:
    """Budgets as a column."""
    return json.dumps([allowance.model_dump(mode="json") for allowance in budgets])


def moment(stamp: int | None) -> datetime | None:
    """The time of a stamp that may be missing."""
    return None if stamp is None else rows.moment(stamp)


def key_of(row: Any) -> VirtualKey:
    """A row of `KEY_COLUMNS`."""
    id, workspace, name, member, role, created, expires, last_used, revoked, terms = row
    return VirtualKey(
        id=id, workspace=workspace, name=name, member=member, role=role, created=rows.moment(created),
        expires=moment(expires), last_used=moment(last_used), revoked=moment(revoked),
        terms=rows.decode(Terms, terms),
    )  # fmt: skip


def workspace_of(row: Any) -> Workspace:
    """A row of `WORKSPACES`."""
    id, name, created, roots, budgets = row
    return Workspace(
        id=id, name=name, created=rows.moment(created), roots=tuple(json.loads(roots)),
        budgets=tuple(Allowance(**allowance) for allowance in json.loads(budgets)),
    )  # fmt: skip


def member_of(row: Any) -> Member:
    """A row of a member's workspace, name, role and beginning."""
    workspace, name, role, created = row
    return Member(workspace=workspace, name=name, role=role, created=rows.moment(created))


def revoke_of(connection: sqlite3.Connection, workspace: str, member: str, roles: Sequence[Role]) -> None:
    """End the keys of a member that have one of these roles."""
    connection.executemany(
        "UPDATE virtual_keys SET revoked = ? WHERE workspace = ? AND member = ? AND role = ? AND revoked IS NULL",
        [(rows.now(), workspace, member, role) for role in roles],
    )


def one(connection: sqlite3.Connection, workspace: str) -> Any:
    """The row of a workspace that lives; None when there is none."""
    return connection.execute(WORKSPACES, {"scope": workspace}).fetchone()


def require(connection: sqlite3.Connection, scope: Scope, workspace: str) -> None:
    """Make sure that there is a workspace within the scope. Raises NotFound."""
    known = connection.execute(f"SELECT 1 FROM workspaces WHERE id = ? AND {LIVING}", (workspace,)).fetchone()
    if known is None or not scope.covers(workspace):
        raise NotFound(f"There is no workspace {workspace[:60]!r} here.")


def taken(connection: sqlite3.Connection, workspace: str) -> UserError:
    """Why there can be no further workspace of an id."""
    if one(connection, workspace) is not None:
        return UserError(f"There is a workspace {workspace!r} already.")
    return UserError(
        f"There was a workspace {workspace!r}, which was deleted; what it asked and spent stays on record under that "
        "id. Choose another one."
    )


def check_member(connection: sqlite3.Connection, workspace: str, member: str, role: Role) -> None:
    """Make sure that a member may have a key of that role. Raises NotFound, UserError."""
    theirs = connection.execute(
        "SELECT role FROM members WHERE workspace = ? AND name = ?", (workspace, member)
    ).fetchone()
    if theirs is None:
        raise NotFound(f"There is no member {member[:60]!r} in workspace {workspace!r}.")
    if ROLES.index(role) < ROLES.index(theirs[0]):
        raise UserError(f"{member} is {theirs[0]} of {workspace}, so no key of theirs can be {role}.")


def ending(expires: datetime | None) -> int | None:
    """When a key ends, as a stamp that can be read again. Raises UserError."""
    if expires is None:
        return None
    try:
        stamp = rows.stamp(expires)
        rows.moment(stamp)
    except OverflowError:
        raise UserError("The key cannot expire at the edge of the calendar; leave the time out.") from None
    return stamp
