"""Workspaces, members and virtual keys: who gets in, what they may do, and what of others they can see (nothing)."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from orchestra_mcp.cli import arguments
from orchestra_mcp.errors import NotFound, UserError
from orchestra_mcp.settings.gateway import Budget, PriceRow
from orchestra_mcp.store.access import AccessStore, open_access
from orchestra_mcp.store.tenants import (
    EVERYWHERE,
    PERMISSIONS,
    ROLES,
    Allowance,
    Scope,
    Terms,
    VirtualKey,
    meant,
    within,
)
from orchestra_mcp.web.access import Access, Forbidden, permit
from orchestra_mcp.web.guard import Slowing

ROOT = Path(__file__).parents[1]
TOKEN = "the-owners-token"
A, B = Scope("a"), Scope("b")
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AccessStore]:
    async with open_access(tmp_path) as opened:
        for id in ("a", "b"):
            await opened.create_workspace(EVERYWHERE, id)
        yield opened


async def make(store: AccessStore, name: str = "ci", workspace: str = "a", **given: Any) -> tuple[VirtualKey, bytes]:
    key, secret = await store.create_key(EVERYWHERE, workspace, name, **given)
    return key, secret.encode()


# ------------------------------------------------------------------------------------------------------ one key


async def test_a_key_has_the_promised_shape_and_only_its_keyed_hash_is_kept(store: AccessStore, tmp_path: Path) -> None:
    key, secret = await make(store)
    word, id, rest = secret.decode().split("_", 2)
    assert (word, id, len(id), len(rest)) == ("orc", key.id, 8, 43)
    with sqlite3.connect(tmp_path / "orchestra.db") as connection:
        row = connection.execute("SELECT * FROM virtual_keys").fetchone()
    # RFC 2104 by the standard library, with the pepper as the file has it.
    pepper = (tmp_path / "pepper").read_text().strip().encode()
    assert hmac.new(pepper, rest.encode(), hashlib.sha256).digest() in row
    assert not any(rest in str(value) for value in row)
    assert rest not in repr(key)


@posix
async def test_the_pepper_is_readable_by_its_owner_only(store: AccessStore, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "pepper").stat().st_mode) == 0o600


async def test_with_another_pepper_no_key_opens(tmp_path: Path) -> None:
    async with open_access(tmp_path) as store:
        await store.create_workspace(EVERYWHERE, "a")
        _, secret = await make(store)
        assert await store.admit(secret.decode())
    (tmp_path / "pepper").write_text("another")
    async with open_access(tmp_path) as store:
        assert await store.admit(secret.decode()) is None


@pytest.mark.parametrize("change", ["first", "last", "id", "short", "long", "case"])
async def test_a_key_that_differs_in_one_place_does_not_open(store: AccessStore, change: str) -> None:
    key, presented = await make(store)
    good = presented.decode()
    other = "A" if good[-1] != "A" else "B"
    wrong = {
        "first": "xrc" + good[3:],
        "last": good[:-1] + other,
        "id": good.replace(key.id, "zzzzzzzz"),
        "short": good[:-1],
        "long": good + "A",
        "case": good.swapcase(),
    }[change]
    access = Access(TOKEN, store)
    assert await access.admit(presented)
    assert await access.admit(wrong.encode()) is None


async def test_an_expired_key_does_not_open_even_from_memory(store: AccessStore) -> None:
    _, presented = await make(store, expires=datetime.now(UTC) + timedelta(hours=1))
    now = time.time()
    access = Access(TOKEN, store, clock=lambda: 0.0, wall=lambda: now)
    assert await access.admit(presented)
    assert access.known(presented)
    now += 3601
    assert access.known(presented) is None
    _, late = await make(store, "late", expires=datetime.now(UTC) - timedelta(seconds=1))
    assert await access.admit(late) is None


async def test_a_key_that_another_process_revokes_is_refused_within_seconds(tmp_path: Path) -> None:
    now = 0.0
    async with open_access(tmp_path) as store:
        await store.create_workspace(EVERYWHERE, "a")
        key, presented = await make(store)
        access = Access(TOKEN, store, clock=lambda: now)
        assert await access.admit(presented)
        environ = {**os.environ, "ORCHESTRA_HOME": str(tmp_path)}
        await anyio.run_process(
            [sys.executable, "-m", "orchestra_mcp", "keys", "revoke", key.id], env=environ, cwd=ROOT
        )
        assert await access.admit(presented), "still known from memory"
        now += 4
        assert await access.admit(presented) is None


async def test_a_key_revoked_here_is_refused_at_once(store: AccessStore) -> None:
    key, presented = await make(store)
    access = Access(TOKEN, store)
    assert await access.admit(presented)
    await store.revoke(A, key.id)
    access.forget()
    assert await access.admit(presented) is None


async def test_a_key_brings_its_terms_with_it(store: AccessStore) -> None:
    terms = Terms(
        tier="gold",
        priority=7,
        models=("code", "gpt-*"),
        budgets=(Allowance(usd=Decimal("5"), window="day"),),
        requests_per_minute=60,
    )
    await store.change_workspace(EVERYWHERE, "a", budgets=[Allowance(usd=Decimal("3.50"), window="hour")])
    key, presented = await make(store, terms=terms)
    access = Access(TOKEN, store)
    who = await access.admit(presented)
    assert who is not None
    assert who.caller.model_dump() == {"key": key.id, "workspace": "a", "tier": "gold", "priority": 7}
    found = [(claim.per, claim.name, claim.usd, claim.window) for claim in access.claims(who.caller)]
    assert found == [("key", key.id, Decimal(5), "day"), ("workspace", "a", Decimal("3.50"), "hour")]
    assert who.most_usd() == Decimal("3.50")
    assert [limit.requests_per_minute for limit in access.limits(who.caller)] == [60]
    for allowed in ("code", "gpt-6.1-sol"):
        permit(who, allowed)
    for refused in ("fast", "codex", "xgpt-4", "orchestra/council"):
        with pytest.raises(Forbidden, match="may not use"):
            permit(who, refused)


async def test_the_owners_token_may_everything(store: AccessStore) -> None:
    who = await Access(TOKEN, store).admit(TOKEN.encode())
    assert who is not None
    assert who.is_owner
    assert who.scope == EVERYWHERE
    assert all(who.may(permission) for role in PERMISSIONS.values() for permission in role)
    assert await Access(TOKEN, store).admit(b"") is None
    assert await Access(TOKEN, store).admit(TOKEN.encode() + b"x") is None


async def test_when_a_key_was_used_is_written_at_most_once_a_minute(store: AccessStore) -> None:
    now = 0.0
    _, presented = await make(store)
    access = Access(TOKEN, store, clock=lambda: now)

    async def last_used() -> datetime | None:
        async with anyio.create_task_group() as group:  # what is to be written is written when it is cancelled
            group.start_soon(access.run)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        return (await store.keys(A))[0].last_used

    assert await last_used() is None
    await access.admit(presented)
    first = await last_used()
    assert first is not None
    now = 59
    await access.admit(presented)
    assert await last_used() == first
    now = 61
    await access.admit(presented)
    second = await last_used()
    assert second is not None
    assert second > first


async def test_a_known_key_costs_microseconds_and_no_database(store: AccessStore, tmp_path: Path) -> None:
    _, presented = await make(store)
    access = Access(TOKEN, store)
    await access.admit(presented)
    await store.close()  # from here on only memory can answer
    assert await access.admit(presented)


# ------------------------------------------------------------------------------------------- roles and members


def test_what_a_role_may_do_grows_from_viewer_to_admin() -> None:
    assert PERMISSIONS["viewer"] < PERMISSIONS["member"] < PERMISSIONS["admin"]
    assert PERMISSIONS["viewer"] == {"read"}
    assert not any("own" in permissions for permissions in PERMISSIONS.values())


async def test_a_members_key_can_do_no_more_than_the_member(store: AccessStore) -> None:
    await store.set_member(A, "a", "ada", "member")
    with pytest.raises(UserError, match="ada is member of a"):
        await store.create_key(A, "a", "hers", "admin", member="ada")
    with pytest.raises(NotFound, match="no member"):
        await store.create_key(A, "a", "hers", member="bob")
    await store.create_key(A, "a", "hers", "member", member="ada")
    await store.create_key(A, "a", "reader", "viewer", member="ada")
    await store.set_member(A, "a", "ada", "viewer")
    assert [key.name for key in await store.keys(A)] == ["reader"], "the stronger key is revoked"
    await store.remove_member(A, "a", "ada")
    assert await store.keys(A) == ()
    assert await store.members(A) == ()


async def test_names_are_unique_until_they_are_revoked(store: AccessStore) -> None:
    await make(store)
    with pytest.raises(UserError, match="already"):
        await make(store)
    await make(store, workspace="b")
    with pytest.raises(UserError, match="Several workspaces"):
        await store.revoke(EVERYWHERE, "ci")
    await store.revoke(A, "ci")
    await make(store)
    for wrong in ("", "Ci", "a b", "x" * 41, "../x"):
        with pytest.raises(UserError, match="cannot name"):
            await make(store, wrong)


async def test_a_deleted_workspace_takes_its_keys_and_its_past_with_it(store: AccessStore) -> None:
    _, presented = await make(store)
    await store.own(A, "cccccccccccc", "k")
    await store.delete_workspace(EVERYWHERE, "a")
    assert await store.admit(presented.decode()) is None
    assert not await store.owns(A, "cccccccccccc")
    assert await store.keys(A, with_revoked=True) == ()
    assert [workspace.id for workspace in await store.workspaces(EVERYWHERE)] == ["b"]
    with pytest.raises(UserError, match="was deleted"):  # it would inherit what this one spent, cached and says live
        await store.create_workspace(EVERYWHERE, "a")
    with pytest.raises(UserError, match="already"):
        await store.create_workspace(EVERYWHERE, "b")
    for gone in (store.delete_workspace(EVERYWHERE, "a"), store.create_key(EVERYWHERE, "a", "x")):
        with pytest.raises(NotFound):
            await gone


async def test_a_key_stands_until_it_is_revoked_or_has_expired(store: AccessStore) -> None:
    good, _ = await make(store, "good", expires=datetime.now(UTC) + timedelta(hours=1))
    late, _ = await make(store, "late", expires=datetime.now(UTC) - timedelta(seconds=1))
    ended, _ = await make(store, "ended")
    other, _ = await make(store, "other", workspace="b")
    await store.revoke(A, ended.id)
    assert [await store.stands(key.id) for key in (good, late, ended, other)] == [True, False, False, True]
    await store.delete_workspace(EVERYWHERE, "b")
    assert not await store.stands(other.id)


@pytest.mark.parametrize("edge", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_key_cannot_end_outside_of_the_calendar(store: AccessStore, edge: str) -> None:
    with pytest.raises(UserError, match="calendar"):
        await make(store, expires=datetime.fromisoformat(edge))
    assert await store.keys(A) == ()


# -------------------------------------------------------------------------------------------- terms within bounds


@pytest.mark.parametrize(
    ("glob", "fits", "others"),
    [
        ("code", ["code"], ["codex", "cod", "", "xcode"]),
        ("gpt-*", ["gpt-", "gpt-6"], ["gpt", "xgpt-6"]),
        ("*-mini", ["-mini", "gpt-mini"], ["gpt-minis", "mini"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["acb", "ab", "axc"]),
        ("ab*ba", ["abba", "abxba"], ["aba"]),  # beginning and end may not share a letter
        ("a**b", ["ab", "axb"], ["a"]),
        ("*", ["", "anything"], []),
        ("[ab]?", ["[ab]?"], ["ac", "a?"]),  # only the star is special
    ],
)
def test_only_the_star_is_special_in_names_of_models(glob: str, fits: list[str], others: list[str]) -> None:
    assert all(meant((glob,), name) for name in fits)
    assert not any(meant((glob,), name) for name in others)


def test_terms_that_would_take_long_to_look_at_are_refused() -> None:
    assert len(Terms(models=("x" * 200,)).models) == 1
    for wrong in (("x" * 201,), ("x",) * 101):
        with pytest.raises(ValidationError):
            Terms(models=wrong)
    with pytest.raises(ValidationError):
        Allowance(usd=Decimal("1e99999999"))
    # Of a number with a hundred million decimal places nothing is left that takes long to reckon with.
    tiny = Decimal("1e-99999999")
    price = PriceRow(model="m", input_usd_per_mtok=tiny, output_usd_per_mtok=Decimal(1)).input_usd_per_mtok
    for amount in (Allowance(usd=tiny).usd, Budget(usd=tiny).usd, price):
        assert amount.as_integer_ratio() == (0, 1)
    assert [str(Allowance(usd=Decimal(usd)).usd) for usd in ("1E+3", "2.50")] == ["1000", "2.50"]


async def test_a_key_that_a_key_makes_reaches_no_further_than_its_maker(store: AccessStore) -> None:
    await store.set_member(A, "a", "ada", "admin")
    soon, later = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(days=2)
    maker, _ = await make(store, role="admin", member="ada", expires=soon, terms=Terms(models=("gpt-*", "code")))
    assert within(maker, Terms(), "", None) == (Terms(models=("gpt-*", "code")), "ada", maker.expires)
    assert within(maker, Terms(models=("gpt-6*",)), "ada", later)[0].models == ("gpt-6*",)
    assert within(maker, Terms(), "", later)[2] == maker.expires
    sooner = datetime.now(UTC)
    assert within(maker, Terms(), "", sooner)[2] == sooner
    for wrong in ("*", "g*", "codes", "gpt"):
        with pytest.raises(UserError, match="may not use"):
            within(maker, Terms(models=(wrong,)), "", None)
    with pytest.raises(UserError, match="ada's"):
        within(maker, Terms(), "bob", None)
    program, _ = await make(store, "program", role="admin")
    assert within(program, Terms(), "bob", later) == (Terms(), "bob", later)


# ------------------------------------------------------------------------------------- the walk through all methods


async def walk(store: AccessStore, scope: Scope, key: str) -> dict[str, Any]:
    """What each method gives somebody with that scope who asks for what is a's."""
    day = [Allowance(usd=Decimal(1))]
    calls: dict[str, Any] = {
        "create_key": lambda: store.create_key(scope, "a", "new"),
        "keys": lambda: store.keys(scope, with_revoked=True),
        "revoke": lambda: store.revoke(scope, key),
        "create_workspace": lambda: store.create_workspace(scope, "new"),
        "workspaces": lambda: store.workspaces(scope),
        "change_workspace": lambda: store.change_workspace(scope, "a", "mine", day if scope == EVERYWHERE else None),
        "set_member": lambda: store.set_member(scope, "a", "eve", "admin"),
        "members": lambda: store.members(scope),
        "remove_member": lambda: store.remove_member(scope, "a", "ada"),
        "owned": lambda: store.owned(scope),
        "owns": lambda: store.owns(scope, "cccccccccccc"),
        "delete_workspace": lambda: store.delete_workspace(scope, "a"),
    }
    found: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            found[name] = await call()
        except NotFound:
            found[name] = NotFound
    return found


async def test_with_a_foreign_scope_no_method_gives_or_changes_anything(store: AccessStore, tmp_path: Path) -> None:
    key, _ = await make(store)
    await store.set_member(A, "a", "ada", "admin")
    await store.own(A, "cccccccccccc", key.id)
    await store.delete_workspace(EVERYWHERE, "b")  # nothing is b's: whatever b is given is a's

    def dump() -> list[str]:
        with sqlite3.connect(tmp_path / "orchestra.db") as connection:
            return list(connection.iterdump())

    before = dump()
    found = await walk(store, B, key.id)
    methods = {
        name
        for name, method in inspect.getmembers(AccessStore, inspect.iscoroutinefunction)
        if not name.startswith("_") and "scope" in inspect.signature(method).parameters
    }
    assert found.keys() == methods - {"own"}, "a new method is missing in this walk"
    assert all(value in (NotFound, (), False) for value in found.values()), found
    assert dump() == before
    outside = await walk(store, EVERYWHERE, key.id)
    assert not any(value in (NotFound, (), False) for value in outside.values()), (
        "the walk itself asks for what is there"
    )


async def test_a_workspaces_admin_may_not_raise_its_budgets(store: AccessStore) -> None:
    with pytest.raises(UserError, match="Only the owner"):
        await store.change_workspace(A, "a", budgets=[Allowance(usd=Decimal(1000))])
    with pytest.raises(UserError, match="Only the owner"):
        await store.change_workspace(A, "a", roots=["/"])
    assert (await store.change_workspace(A, "a", "Team A")).name == "Team A"


# -------------------------------------------------------------------------------------------------- slowing down


def test_wrong_keys_are_slowed_more_each_time_and_forgiven_after_a_minute() -> None:
    slowing = Slowing(first_s=0.5, most_s=2, free=2)
    assert [slowing.pause("x", now) for now in range(7)] == [0, 0, 0.5, 1, 2, 2, 2]
    assert slowing.pause("y", 7) == 0, "others are not slowed"
    assert slowing.pause("x", 67) == 0


async def test_only_so_many_wait_and_the_rest_is_turned_away() -> None:
    slowing = Slowing(first_s=60, most_s=60, free=0, waiting=2)
    async with anyio.create_task_group() as group:
        group.start_soon(slowing.wait, "x")
        group.start_soon(slowing.wait, "x")
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert not await slowing.wait("x")
        group.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------------ the command line


def orchestra(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "ORCHESTRA_HOME": str(home)}
    program = [sys.executable, "-m", "orchestra_mcp", *words]
    return subprocess.run(program, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_the_command_line_knows_the_roles() -> None:
    assert arguments.ROLES == ROLES


async def test_the_command_line_makes_a_key_that_opens_and_shows_it_once(tmp_path: Path) -> None:
    made = orchestra(
        tmp_path, "keys", "create", "--name", "ci", "--workspace", "team", "--usd-per-day", "5", "--models", "code,fast"
    )
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    listed = orchestra(tmp_path, "keys", "list")
    assert "| ci | team |" in listed.stdout
    assert "$5/day" in listed.stdout
    assert secret not in listed.stdout
    assert secret.split("_", 2)[2] not in made.stderr
    async with open_access(tmp_path) as store:
        who = await Access(TOKEN, store).admit(secret.encode())
    assert who is not None
    assert who.key is not None
    assert who.key.terms.models == ("code", "fast")
    assert orchestra(tmp_path, "keys", "create").returncode == 2
    assert orchestra(tmp_path, "keys", "revoke", "nobody").returncode == 1


def test_the_command_line_makes_changes_and_deletes_workspaces(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert (
        orchestra(home, "workspaces", "create", "team", "--usd-per-month", "200", "--root", str(tmp_path)).returncode
        == 0
    )
    assert orchestra(home, "workspaces", "add-member", "team", "--member", "ada", "--role", "admin").returncode == 0
    assert orchestra(home, "workspaces", "change", "team", "--name", "The team").returncode == 0
    (found,) = json.loads(orchestra(home, "workspaces", "list", "--json").stdout)
    assert (found["name"], found["roots"]) == ("The team", [str(tmp_path)])
    assert found["budgets"] == [{"usd": "200", "window": "month"}], "what was not named stays"
    assert [(member["name"], member["role"]) for member in found["members"]] == [("ada", "admin")]
    assert orchestra(home, "workspaces", "add-member", "team").returncode == 2
    assert orchestra(home, "workspaces", "delete", "team").returncode == 0
    assert json.loads(orchestra(home, "workspaces", "list", "--json").stdout) == []
    assert orchestra(home, "keys", "create", "--name", "x", "--expires", "soon").returncode == 2
