"""Keys, workspaces and members as rows, and the statements that read and write them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from orchestra_mcp.store import rows
from orchestra_mcp.store.tenants import Allowance, Member, Role, Terms, VirtualKey, Workspace

KEY_COLUMNS: Final = "id, workspace, name, member, role, created, expires, last_used, revoked, terms"
WITHIN: Final = "(:scope IS NULL OR workspace = :scope)"
KEYS: Final = f"SELECT {KEY_COLUMNS} FROM virtual_keys WHERE {WITHIN}"
WORKSPACES: Final = "SELECT id, name, created, roots, budgets FROM workspaces WHERE (:scope IS NULL OR id = :scope)"
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
