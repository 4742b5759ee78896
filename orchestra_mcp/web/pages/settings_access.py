"""The part of `/settings` about those who use this server: workspaces and their virtual keys, made, shown once, ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pydantic import ValidationError

from orchestra_mcp.errors import UserError
from orchestra_mcp.settings.gateway import Window
from orchestra_mcp.store.access import AccessStore
from orchestra_mcp.store.tenants import EVERYWHERE, ROLES, Allowance, Role, Terms, VirtualKey

EXPIRIES: Final = {
    "": "never",
    "1": "in a day",
    "7": "in a week",
    "30": "in 30 days",
    "90": "in 90 days",
    "365": "in a year",
}
"""Days → words."""
WINDOWS: Final[tuple[Window, ...]] = ("hour", "day", "month")


def state_of(key: VirtualKey, now: datetime) -> str:
    """`good`, `expired` or `revoked`."""
    if key.revoked:
        return "revoked"
    return "expired" if key.expires and key.expires <= now else "good"


async def create_key(store: AccessStore, form: Mapping[str, str]) -> tuple[VirtualKey, str]:
    """Make a virtual key as a form asks for it; returns it with its secret, which is nowhere else.

    Raises:
        UserError: something in the form cannot be.
    """
    workspace = form.get("workspace", "").strip() or "default"
    if all(known.id != workspace for known in await store.workspaces(EVERYWHERE)):
        await store.create_workspace(EVERYWHERE, workspace)
    models = tuple(word for part in form.get("models", "").split(",") if (word := part.strip()))
    usd = allowance(form.get("usd", ""), form.get("window", "day"))
    try:
        terms = Terms(models=models, budgets=(usd,) if usd else ())
    except ValidationError as error:
        raise UserError(f"The key's terms: {error.errors(include_url=False, include_input=False)[0]['msg']}") from None
    days = form.get("expires", "")
    if days not in EXPIRIES:
        raise UserError("The key may end in a day, a week, 30 or 90 days, a year, or never.")
    ends = datetime.now(UTC) + timedelta(days=int(days)) if days else None
    return await store.create_key(
        EVERYWHERE, workspace, form.get("name", "").strip(), _role(form.get("role", "member")), terms, "", ends
    )


async def create_workspace(store: AccessStore, form: Mapping[str, str]) -> Any:
    """Make a workspace as a form asks for it. Raises UserError."""
    usd = allowance(form.get("usd", ""), form.get("window", "day"))
    id = form.get("id", "").strip()
    return await store.create_workspace(EVERYWHERE, id, form.get("title", "").strip()[:100], (usd,) if usd else ())


def allowance(usd: str, window: str) -> Allowance | None:
    """A budget from two fields of a form; None where nothing was given.

    Raises:
        UserError: it is no amount, or no window.
    """
    if not usd.strip():
        return None
    if window not in WINDOWS:
        raise UserError(f"A budget is for an hour, a day or a month, not for {window[:20]!r}.")
    try:
        amount = Decimal(usd.strip().lstrip("$"))
        return Allowance(usd=amount, window=window)
    except (InvalidOperation, ValidationError):
        raise UserError(f"{usd[:20]!r} is no amount of US dollars up to a million.") from None


def _role(given: str) -> Role:
    found: Role | None = next((role for role in ROLES if role == given), None)
    if found is None:
        raise UserError(f"{given[:20]!r} is no role; there are {', '.join(ROLES)}.")
    return found
