"""`/settings`: vendors' keys (saved, tried, removed, never shown), who may use this server, and the settings in force."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response

from orchestra_mcp.app.keys.keyfile import vendor_rows
from orchestra_mcp.app.keys.keyring import Keyring, KeyState
from orchestra_mcp.errors import OrchestraError, StoreError
from orchestra_mcp.store.tenants import EVERYWHERE, ROLES
from orchestra_mcp.web.errors import trouble
from orchestra_mcp.web.pages.settings_access import (
    EXPIRIES,
    WINDOWS,
    create_key,
    create_workspace,
    state_of,
)
from orchestra_mcp.web.pages.settings_reading import tables
from orchestra_mcp.web.pages.visit import Page, Visit

TOLD: Final = {
    "saved": "is saved",
    "removed": "is removed",
    "revoked": "is revoked; a server that runs knows it within seconds",
    "workspace": "is made",
    "deleted": "is deleted, with its keys",
}
"""Word in the address → what has happened. What was typed never stands in an address."""


NAMES: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


async def settings(visit: Visit, status: int = 200, **more: Any) -> Response:
    """The page, with what an action has to tell."""
    orchestra, store = visit.house.orchestra, visit.house.store
    now = datetime.now(UTC)
    states = await orchestra.keyring.states()
    values: dict[str, Any] = {
        "keys": [state for state in states if state.kept],
        "groups": _groups(states),
        "file": str(orchestra.keyring.file),
        "config": await _config(visit),
        "tables": tables(orchestra.user_settings),
        "from_file": orchestra.user_settings.source is not None,
        "virtual": [(key, state_of(key, now)) for key in await store.keys(EVERYWHERE)],
        "workspaces": await store.workspaces(EVERYWHERE),
        "roles": ROLES,
        "expiries": EXPIRIES,
        "windows": WINDOWS,
        "wanted": wanted if NAMES.fullmatch(wanted := visit.query("key", limit=100)) else "",
        "told": "",
        "about": "",
        "changed": None,
        "trial": None,
        "made": None,
        "secret": "",
        "error": "",
        "where": "",
    }
    return await visit.page("settings.html", "Settings", status, **{**values, **more})


def _groups(states: Sequence[KeyState]) -> tuple[tuple[str, list[KeyState]], ...]:
    """What can be chosen to be set: vendors whose experts sit as soon as there is a key, then others, then those set."""
    order = {name: at for at, row in enumerate(vendor_rows()) if row.seats for name in row.key_env[:1]}
    unset = [state for state in states if not state.kept]
    first = sorted((state for state in unset if state.name in order), key=lambda state: order[state.name])
    others = sorted(
        (state for state in unset if state.name not in order), key=lambda state: (state.vendors, state.name)
    )
    replaced = [state for state in states if state.kept]
    return ("Their experts sit at once", first), ("Set already: replace", replaced), ("Others, asked by name", others)


async def show(visit: Visit) -> Response:
    """GET; after an action with what it did."""
    word, about = visit.query("told", limit=20), visit.query("about", limit=100)
    if not NAMES.fullmatch(about):  # nobody's link puts words of its own here
        word = about = ""
    state: KeyState | None = None
    if word in ("saved", "removed"):
        state = next((each for each in await visit.house.orchestra.keyring.states() if each.name == about), None)
    return await settings(visit, told=TOLD.get(word, ""), about=about if word in TOLD else "", changed=state)


async def _config(visit: Visit) -> str:
    return (await visit.house.orchestra.status()).config


async def _doing(visit: Visit, where: str, act: Callable[[Mapping[str, str]], Awaitable[Response]]) -> Response:
    """Do what a form asks for; what cannot be done is told beside the form, and what was typed there is not repeated."""
    form = await visit.form()
    try:
        return await act(form)
    except StoreError:
        raise
    except OrchestraError as error:
        told = trouble(error)
        if visit.partial:
            return await visit.piece("_trial.html", trial=None, error=told.message)
        return await settings(visit, told.status, error=told.message, where=where)


def _keyring(visit: Visit) -> Keyring:
    return visit.house.orchestra.keyring


async def save(visit: Visit) -> Response:
    """POST: keep a key in `keys.env`."""

    async def act(form: Mapping[str, str]) -> Response:
        name = (form.get("other", "").strip() or form.get("name", "")).strip()
        state = await _keyring(visit).save(name, form.get("value", ""))
        return visit.see("/settings", told="saved", about=state.name)

    return await _doing(visit, "keys", act)


async def test(visit: Visit) -> Response:
    """POST: one call of one token with a key."""

    async def act(form: Mapping[str, str]) -> Response:
        name = form.get("name", "").strip()
        trial = await _keyring(visit).test(name, form.get("model", "").strip()[:200])
        if visit.partial:
            return await visit.piece("_trial.html", trial=trial, error="")
        return await settings(visit, trial=trial, about=name)

    return await _doing(visit, "keys", act)


async def remove(visit: Visit) -> Response:
    """POST: take a key out of `keys.env`."""

    async def act(form: Mapping[str, str]) -> Response:
        state = await _keyring(visit).remove(form.get("name", "").strip())
        return visit.see("/settings", told="removed", about=state.name)

    return await _doing(visit, "keys", act)


async def make_key(visit: Visit) -> Response:
    """POST: make a virtual key; this answer is the only one that shows it."""

    async def act(form: Mapping[str, str]) -> Response:
        key, secret = await create_key(visit.house.store, form)
        return await settings(visit, made=key, secret=secret)

    return await _doing(visit, "access", act)


async def revoke(visit: Visit) -> Response:
    """POST: end a virtual key, by its id."""

    async def act(form: Mapping[str, str]) -> Response:
        key = await visit.house.store.revoke(EVERYWHERE, form.get("key", ""))
        visit.house.access.forget()
        return visit.see("/settings", told="revoked", about=key.name)

    return await _doing(visit, "access", act)


async def make_workspace(visit: Visit) -> Response:
    """POST: make a workspace."""

    async def act(form: Mapping[str, str]) -> Response:
        made = await create_workspace(visit.house.store, form)
        return visit.see("/settings", told="workspace", about=made.id)

    return await _doing(visit, "access", act)


async def delete_workspace(visit: Visit) -> Response:
    """POST: delete a workspace with its members and keys."""

    async def act(form: Mapping[str, str]) -> Response:
        await visit.house.store.delete_workspace(EVERYWHERE, form.get("workspace", ""))
        visit.house.access.forget()
        return visit.see("/settings", told="deleted", about=form.get("workspace", "")[:40])

    return await _doing(visit, "access", act)


PAGES = (
    Page("/settings", show, needs="own"),
    Page("/settings/keys/save", save, ("POST",), needs="own"),
    Page("/settings/keys/test", test, ("POST",), needs="own"),
    Page("/settings/keys/remove", remove, ("POST",), needs="own"),
    Page("/settings/access/create-key", make_key, ("POST",), needs="own"),
    Page("/settings/access/revoke-key", revoke, ("POST",), needs="own"),
    Page("/settings/access/create-workspace", make_workspace, ("POST",), needs="own"),
    Page("/settings/access/delete-workspace", delete_workspace, ("POST",), needs="own"),
)
