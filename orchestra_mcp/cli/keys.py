"""`orchestra keys` and `orchestra workspaces`: who may use this server beside its owner.

Both work on the database directly, whether a server runs or not; a server notices within seconds.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio

from orchestra_mcp.cli.running import Usage
from orchestra_mcp.cli.terminal import Desk
from orchestra_mcp.settings import home_dir
from orchestra_mcp.store.access import AccessStore, open_access
from orchestra_mcp.store.tenants import EVERYWHERE, Allowance, Scope, Terms, VirtualKey

T = TypeVar("T")

UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def keys(args: argparse.Namespace, desk: Desk) -> int:
    """Make, list or end virtual keys."""
    if args.action == "create":
        return _create_key(args, desk)
    if args.action == "revoke":
        if not args.key:
            raise Usage("which key? Give its id or name: orchestra keys revoke KEY")
        revoked = _with_access(lambda store: store.revoke(_scope(args), args.key))
        if desk.as_json:
            desk.document(revoked.model_dump(mode="json"))
        else:
            desk.text(
                f"Key {revoked.name} ({revoked.id}) of {revoked.workspace} is revoked; a server that runs knows it within seconds."
            )
        return 0
    found = _with_access(lambda store: store.keys(_scope(args), args.all))
    if desk.as_json:
        desk.document([key.model_dump(mode="json") for key in found])
        return 0
    desk.markdown(
        _table([_key_row(key) for key in found]) if found else "No keys yet: orchestra keys create --name NAME"
    )
    return 0


def _create_key(args: argparse.Namespace, desk: Desk) -> int:
    if not args.name:
        raise Usage("a key needs a name: orchestra keys create --name NAME")
    terms = Terms(
        tier=args.tier or "",
        priority=args.priority,
        models=tuple(word.strip() for word in (args.models or "").split(",") if word.strip()),
        budgets=_budgets(args),
        requests_per_minute=args.rpm,
        tokens_per_minute=args.tpm,
        concurrent=args.concurrent,
    )
    workspace = args.workspace or "default"

    async def make(store: AccessStore) -> tuple[VirtualKey, str]:
        known = {found.id for found in await store.workspaces(EVERYWHERE)}
        if workspace not in known:
            await store.create_workspace(EVERYWHERE, workspace)
            desk.say(f"Workspace {workspace} was made.")
        return await store.create_key(
            EVERYWHERE, workspace, args.name, args.role, terms, args.member or "", expiry(args.expires)
        )

    key, secret = _with_access(make)
    if desk.as_json:
        desk.document({"key": key.model_dump(mode="json"), "secret": secret})
    else:
        desk.text(secret)
        desk.say(f"Key {key.name} ({key.id}) of {key.workspace}, role {key.role}. It is shown this once; keep it now.")
    return 0


def workspaces(args: argparse.Namespace, desk: Desk) -> int:
    """Make, change, list or delete workspaces; add and remove members."""
    if args.action == "list":
        return _list_workspaces(desk)
    if not args.workspace:
        raise Usage(f"which workspace? orchestra workspaces {args.action} WORKSPACE")
    args.roots = [str(Path(root).expanduser().resolve()) for root in args.roots]
    changed = _with_access(lambda store: _change(store, args))
    if desk.as_json:
        desk.document(changed if changed is None else changed.model_dump(mode="json"))
    else:
        desk.text(f"Workspace {args.workspace}: done.")
    return 0


async def _change(store: AccessStore, args: argparse.Namespace) -> Any:
    budgets, roots = _budgets(args), tuple(args.roots)
    match args.action:
        case "create":
            return await store.create_workspace(EVERYWHERE, args.workspace, args.name or "", budgets, roots)
        case "change":
            return await store.change_workspace(EVERYWHERE, args.workspace, args.name, budgets or None, roots or None)
        case "delete":
            return await store.delete_workspace(EVERYWHERE, args.workspace)
    if not args.member:
        raise Usage("whom? --member NAME")
    if args.action == "add-member":
        return await store.set_member(EVERYWHERE, args.workspace, args.member, args.role)
    return await store.remove_member(EVERYWHERE, args.workspace, args.member)


def _list_workspaces(desk: Desk) -> int:
    async def work(store: AccessStore) -> Any:
        return await store.workspaces(EVERYWHERE), await store.members(EVERYWHERE)

    found, members = _with_access(work)
    if desk.as_json:
        desk.document(
            [
                {
                    **w.model_dump(mode="json"),
                    "members": [m.model_dump(mode="json") for m in members if m.workspace == w.id],
                }
                for w in found
            ]
        )
        return 0
    rows = [
        {
            "workspace": w.id,
            "name": w.name,
            "budgets": _money(w.budgets),
            "roots": ", ".join(w.roots),
            "members": ", ".join(f"{m.name} ({m.role})" for m in members if m.workspace == w.id),
        }
        for w in found
    ]
    desk.markdown(_table(rows) if rows else "No workspaces yet: orchestra workspaces create NAME")
    return 0


def expiry(given: str | None) -> datetime | None:
    """When a key ends: `30d`, `12h`, `2w`, or a date such as 2027-01-31 (UTC).

    Raises:
        Usage: it is neither.
    """
    if not given:
        return None
    if found := re.fullmatch(r"(\d{1,5})([hdw])", given):
        return datetime.now(UTC) + timedelta(**{UNITS[found[2]]: int(found[1])})
    try:
        when = datetime.fromisoformat(given)
    except ValueError:
        raise Usage(f"{given!r} is neither a time such as 30d nor a date such as 2027-01-31") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _with_access(work: Callable[[AccessStore], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with open_access(home_dir(os.environ), strict=True) as store:
            return await work(store)

    return anyio.run(opened)


def _scope(args: argparse.Namespace) -> Scope:
    return Scope(args.workspace) if args.workspace else EVERYWHERE


def _budgets(args: argparse.Namespace) -> tuple[Allowance, ...]:
    given = (("hour", args.usd_per_hour), ("day", args.usd_per_day), ("month", args.usd_per_month))
    return tuple(Allowance(usd=Decimal(usd), window=window) for window, usd in given if usd is not None)  # type: ignore[arg-type]


def _money(budgets: tuple[Allowance, ...]) -> str:
    return ", ".join(f"${budget.usd}/{budget.window}" for budget in budgets)


def _key_row(key: VirtualKey) -> dict[str, str]:
    state = "revoked" if key.revoked else "expired" if key.expires and key.expires <= datetime.now(UTC) else "good"
    return {
        "id": key.id,
        "name": key.name,
        "workspace": key.workspace,
        "role": key.role,
        "member": key.member,
        "models": ", ".join(key.terms.models) or "all",
        "budgets": _money(key.terms.budgets),
        "last used": f"{key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "never",
        "expires": f"{key.expires:%Y-%m-%d}" if key.expires else "",
        "state": state,
    }


def _table(rows: list[dict[str, str]]) -> str:
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(value.replace("|", "/") for value in row.values()) + " |" for row in rows]
    return "\n".join(lines)
