"""Settings in the dashboard: vendors' keys go in and are never seen again; virtual keys are shown once; secrets stay hidden."""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import browser
import httpx2
import pytest
from browser import House
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.app.keys.keyfile import checked, saved_keys, usable, write_key
from orchestra_mcp.errors import SettingsError, UserError
from orchestra_mcp.gateway.provider import Caller
from orchestra_mcp.settings import Keys, Settings
from orchestra_mcp.web.pages import PAGES
from orchestra_mcp.web.pages.settings_reading import tables

FIRST = "vk-first-0aVt7Xw2LmNp9Zk38fhQ"
SECOND = "vk-second-Qd83hfL0aTt7Xw2LmNp9"
HEADER = "hdr-5f0aVt7Xw2LmNp9"
HOOK = "https://127.0.0.1/T0/B0/whk-3hfL0aTt7Xw2"
CHANGES = [(page.path, method) for page in PAGES for method in page.methods if page.path.startswith("/settings")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with Upstream({"keyed": Expert("ok"), "fresh": Expert("ok"), "broke": Expert(fault="401")}) as opened:
        yield opened


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, vendor: Upstream) -> Iterator[House]:
    toml = f"""
[models.keyed]
base_url = "{vendor.url}/v1"
model = "keyed"
key_env = "KEYED_API_KEY"
provider = "keyed.example"
[[seats]]
name = "keyed"
model = "keyed"
[models.fresh]
base_url = "{vendor.url}/v1"
model = "fresh"
key_env = "FRESH_API_KEY"
provider = "fresh.example"
[models.broke]
base_url = "{vendor.url}/v1"
model = "broke"
key_env = "BROKE_API_KEY"
provider = "broke.example"
[models.headed]
base_url = "https://someone:{HEADER}@models.example/v1?key={HEADER}"
model = "headed"
headers = {{ x-team = "{HEADER}", x-from = "$TEAM_TOKEN" }}
[limits]
max_cost_usd = 1.25
[[alerts]]
name = "spending"
on = "spend"
above = 50.0
to = ["webhook"]
url = "{HOOK}"
"""
    with browser.house(tmp_path_factory.mktemp("home"), {"alpha": Expert("ok")}, toml) as opened:
        yield opened


@pytest.fixture(scope="module")
async def chromium(house: House) -> AsyncIterator[Any]:
    async with browser.chromium() as launched:
        yield launched


@pytest.fixture
def client(house: House) -> Iterator[httpx2.Client]:
    """The owner, entered."""
    with httpx2.Client(base_url=house.url, trust_env=False, timeout=20) as opened:
        entered = opened.post("/login", data={"key": house.token}, headers={"origin": house.url})
        assert entered.status_code == 303
        yield opened


def keys_env(house: House) -> Path:
    return Path(house.environ["ORCHESTRA_HOME"]) / "keys.env"


def post(client: httpx2.Client, path: str, **form: str) -> httpx2.Response:
    return client.post(path, data=form, headers={"origin": str(client.base_url).rstrip("/")})


class Everything(logging.Handler):
    """All that is logged, whatever its level."""

    def __init__(self) -> None:
        super().__init__(0)
        self.said = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


# ------------------------------------------------------------------------------------------------------ in a browser


async def test_a_key_that_was_added_works_at_once_and_is_seen_nowhere_again(
    chromium: Any, house: House, vendor: Upstream
) -> None:
    log, root = Everything(), logging.getLogger()
    before = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    bodies, addresses = list[str](), list[str]()
    try:
        async with browser.entered(chromium, house) as page:

            async def note(response: Any) -> None:
                addresses.append(response.url)
                with suppress(Exception):  # a redirect, or the page has gone on: `content` below sees what it showed
                    bodies.append(await response.text())

            page.on("response", note)
            await page.goto(house.url + "/providers")
            assert "FRESH_API_KEY is not set" in await page.inner_text("main")
            await page.click("a[href*='FRESH_API_KEY']")
            await page.wait_for_url(re.compile("/settings"))
            await page.select_option("#key-name", "FRESH_API_KEY")
            await page.fill("#key-value", f' "{FIRST}" ')  # as people paste keys
            await page.press("#key-value", "Enter")
            await page.wait_for_selector("text=It holds in this process at once")
            assert await page.input_value("#key-value") == ""
            told = await page.inner_text(".keyrow:has-text('FRESH_API_KEY')")
            assert "set in keys.env, since just now" in " ".join(told.split())
            await page.click("button[aria-label='Test FRESH_API_KEY']")
            await page.wait_for_selector(".keyrow .alert.good:has-text('it works')")
            assert await browser.unlabelled(page) == []
            await browser.shot(page, "rec-settings-key")
            await page.reload()
            assert FIRST not in await page.content()
            for path in ("/providers", "/costs", "/settings", "/"):
                await page.goto(house.url + path)
                bodies.append(await page.content())
            assert FIRST not in await page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    finally:
        root.removeHandler(log)
        root.setLevel(before)
    call = vendor.calls_to("fresh")[-1]
    assert call.headers["authorization"] == f"Bearer {FIRST}"
    assert call.body["max_tokens"] == 1
    assert bodies
    assert not [body for body in (*bodies, *addresses, *log.said) if FIRST in body]
    file = keys_env(house)
    assert f"FRESH_API_KEY={FIRST}" in file.read_text("utf-8").splitlines()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    others = [path for path in house.home.rglob("*") if path.is_file() and path != file and path.suffix != ".lock"]
    assert not [path.name for path in others if "orchestra.db" not in path.name and FIRST.encode() in path.read_bytes()]
    async with house.store() as store:
        rows = await store.costs("purpose", datetime(2020, 1, 1, tzinfo=UTC))
    assert "key" in {row.value for row in rows}  # the test's cost is in the books


async def test_the_page_is_usable_on_a_phone_in_the_dark_and_by_keyboard(chromium: Any, house: House) -> None:
    options: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    async with browser.entered(chromium, house, **options) as page:
        await page.goto(house.url + "/settings")
        assert await browser.too_wide(page) == 0
        assert await browser.unlabelled(page) == []
        await browser.shot(page, "rec-settings-narrow")
        await page.goto(house.url + "/")
        await page.keyboard.press("g")
        await page.keyboard.press("s")
        await page.wait_for_url(house.url + "/settings")
        await page.focus("#key-name")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "key-value"


async def test_a_virtual_key_is_shown_once_opens_the_api_and_can_be_revoked(chromium: Any, house: House) -> None:
    async with browser.entered(chromium, house) as page:
        await page.goto(house.url + "/settings")
        await page.fill("#vk-name", "ci")
        await page.fill("#vk-workspace", "team")
        await page.fill("#vk-usd", "2.50")
        await page.click("text=Make the key")
        secret = (await page.inner_text("#made-secret")).strip()
        assert re.fullmatch(r"orc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", secret)
        await browser.shot(page, "rec-settings-once")
        with httpx2.Client(base_url=house.url, trust_env=False) as program:
            bearer = {"authorization": f"Bearer {secret}"}
            me = program.get("/api/me", headers=bearer).json()
            assert (me["workspace"], me["terms"]["budgets"]) == ("team", [{"usd": "2.50", "window": "day"}])
            await page.goto(house.url + "/settings")
            assert secret not in await page.content()
            assert "$2.50 a day" in await page.inner_text("#access table")
            page.on("dialog", lambda dialog: dialog.accept())
            await page.click("button[aria-label='Revoke ci']")
            await page.wait_for_selector("text=is revoked")
            assert program.get("/api/me", headers=bearer).status_code == 401


async def test_keys_can_be_managed_without_scripts(chromium: Any, house: House) -> None:
    async with browser.entered(chromium, house, java_script_enabled=False) as page:
        await page.goto(house.url + "/settings")
        await page.fill("#key-other", "PLAIN_API_KEY")
        await page.fill("#key-value", SECOND)
        await page.click("#add button")
        assert "PLAIN_API_KEY is saved" in await page.inner_text("main")
        await page.click("button[aria-label='Remove PLAIN_API_KEY']")
        assert "PLAIN_API_KEY is removed" in await page.inner_text("main")
    assert "PLAIN_API_KEY" not in keys_env(house).read_text("utf-8")


# ------------------------------------------------------------------------------------------------------ over HTTP


def test_nothing_changes_for_a_form_of_another_page_or_for_no_cookie(client: httpx2.Client, house: House) -> None:
    before = keys_env(house).read_text("utf-8") if keys_env(house).exists() else ""
    changes = [path for path, method in CHANGES if method == "POST"]
    assert len(changes) == 7
    form = {
        "name": "EVIL_API_KEY",
        "other": "EVIL_API_KEY",
        "value": SECOND,
        "id": "evil",
        "key": "x",
        "workspace": "team",
    }
    for path in changes:
        for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {}):
            assert client.post(path, data=form, headers=headers).status_code == 403, (path, headers)
        with httpx2.Client(base_url=house.url, trust_env=False) as stranger:
            answer = stranger.post(path, data=form, headers={"origin": house.url})
            assert answer.headers.get("location", "").startswith("/login"), path
    assert (keys_env(house).read_text("utf-8") if keys_env(house).exists() else "") == before
    assert "evil" not in client.get("/settings").text


def test_only_the_owner_may_see_or_change_any_of_it(client: httpx2.Client, house: House) -> None:
    page = post(client, "/settings/access/create-key", name="boss", workspace="team", role="admin")
    secret = re.search(r"orc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", page.text)
    assert secret
    assert page.headers["cache-control"] == "no-store"
    form = {"name": "MORE_API_KEY", "value": SECOND}
    with httpx2.Client(base_url=house.url, trust_env=False) as other:
        post(other, "/login", key=secret[0])
        for path, method in CHANGES:
            answer = other.request(method, path, data=form if method == "POST" else None, headers={"origin": house.url})
            assert answer.status_code == 403, path
            assert "keys.env" not in answer.text
    assert "MORE_API_KEY" not in saved_keys(keys_env(house))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEYED_API_KEY", ""),
        ("KEYED_API_KEY", "two words-here-Zk38fhQ"),
        ("KEYED_API_KEY", "line\nOTHER_KEY=vk-smuggled"),
        ("KEYED_API_KEY", "schlüssel-Zk38fhQ0aVt7"),
        ("PATH", SECOND),
        ("LD_PRELOAD", SECOND),
        ("A KEY", SECOND),
        (SECOND, "vk-third"),  # the key in the name's field
    ],
)
def test_what_cannot_be_a_key_is_refused_and_not_repeated(
    client: httpx2.Client, house: House, name: str, value: str
) -> None:
    write_key(keys_env(house), "KEPT_API_KEY", FIRST)
    before = keys_env(house).read_text("utf-8")
    answer = post(client, "/settings/keys/save", other=name, value=value)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert SECOND not in answer.text
    assert not value or value not in answer.text
    assert keys_env(house).read_text("utf-8") == before


def test_a_replaced_key_holds_at_once_also_for_models_that_were_asked_before(
    client: httpx2.Client, house: House, vendor: Upstream
) -> None:
    post(client, "/settings/keys/save", name="KEYED_API_KEY", value=FIRST)
    probed = post(client, "/providers/probe", model="keyed")
    assert "it works" in probed.text
    told = post(client, "/settings/keys/save", name="KEYED_API_KEY", value=SECOND)
    shown = client.get(told.headers["location"]).text
    assert SECOND not in shown
    assert "it works" in post(client, "/providers/probe", model="keyed").text
    assert vendor.calls_to("keyed")[-1].headers["authorization"] == f"Bearer {SECOND}"
    assert "it works" in post(client, "/settings/keys/test", name="KEYED_API_KEY").text
    assert vendor.calls_to("keyed")[-1].headers["authorization"] == f"Bearer {SECOND}"


def test_a_key_that_the_vendor_refuses_is_told_so_without_it(client: httpx2.Client) -> None:
    post(client, "/settings/keys/save", name="BROKE_API_KEY", value=FIRST)
    shown = post(client, "/settings/keys/test", name="BROKE_API_KEY").text
    assert "it does not work" in shown
    assert "401" in shown
    assert FIRST not in shown
    shown = post(client, "/settings/keys/test", name="NEVER_SET_API_KEY").text
    assert "NEVER_SET_API_KEY is not set" in shown


def test_the_settings_in_force_tell_their_origin_and_no_secret(client: httpx2.Client, house: House) -> None:
    page = client.get("/settings")
    assert str(house.home / "orchestra.toml") in page.text
    for secret in (HEADER, HOOK, "whk-3hfL0aTt7Xw2", "x-team = hdr"):
        assert secret not in page.text
    assert "x-from = $TEAM_TOKEN" in page.text
    assert "docs/costs.md" in page.text
    assert "pay me" not in client.get("/settings?told=saved&about=pay+me+now").text


# ------------------------------------------------------------------------------------------------------ parts


def test_a_table_says_which_of_its_values_stand_in_the_file() -> None:
    found = {
        table.name: table for table in tables(Settings.model_validate({"limits": {"verify_s": 9}, "discover": False}))
    }
    limits = {value.name: value for value in found["[limits]"].values}
    assert (limits["verify_s"].value, limits["verify_s"].from_file) == ("9.0", True)
    assert (limits["dossier_tokens"].value, limits["dossier_tokens"].from_file) == ("12,000", False)
    assert found["[limits]"].from_file
    assert not found["[privacy]"].from_file
    loose = {value.name: value.value for value in found["before all tables"].values}
    assert loose["discover"] == "no"


def test_the_file_keeps_what_else_stands_in_it_and_is_read_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "home" / "keys.env"
    write_key(file, "ONE_API_KEY", FIRST)
    file.write_text(f"# mine\nOLD_API_KEY='{SECOND}'\n" + file.read_text("utf-8"), "utf-8")
    write_key(file, "ONE_API_KEY", SECOND)
    write_key(file, "TWO_API_KEY", FIRST)
    write_key(file, "TWO_API_KEY", "")
    lines = file.read_text("utf-8").splitlines()
    assert lines[:2] == ["# mine", f"OLD_API_KEY='{SECOND}'"]
    assert lines[3:] == [f"ONE_API_KEY={SECOND}"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    known = saved_keys(file)
    assert known["ONE_API_KEY"] is not None
    assert known["OLD_API_KEY"] is None  # nobody noted when
    assert Keys({}, file).get("OLD_API_KEY") == SECOND
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        write_key(file, "ONE_API_KEY", FIRST)


def test_what_comes_along_when_a_key_is_pasted_is_left_out() -> None:
    for pasted in (f" {FIRST}\n", f'"{FIRST}"', f"X_KEY={FIRST}", f"export X_KEY='{FIRST}'"):
        assert usable(pasted, "X_KEY") == FIRST
    assert checked("HF_TOKEN") == "HF_TOKEN"
    with pytest.raises(UserError):
        checked("HOME")


async def test_where_experts_come_from_what_is_found_a_new_key_seats_its_vendor_at_once(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "ORCHESTRA_HOME": str(tmp_path / "data")}
    async with Orchestra.open({**home, "PATH": ""}) as orchestra:
        assert "mistral" not in {seat.provider for seat in (await orchestra.status()).seats}
        state = await orchestra.keyring.save("MISTRAL_API_KEY", FIRST)
        assert state.kept == "file"
        seats = [seat for seat in (await orchestra.status()).seats if seat.provider == "mistral"]
        assert [seat.state for seat in seats][:1] == ["seated"]
        named = f"mistral/{seats[0].model}"  # by which the gateway knows it without having been told
        assert [stack.name for stack in await (await orchestra.gateway()).stacks(named, Caller())] == [named]
        await orchestra.keyring.remove("MISTRAL_API_KEY")
        assert "mistral" not in {seat.provider for seat in (await orchestra.status()).seats}


async def test_the_environment_wins_over_the_file_and_the_page_says_so(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "ORCHESTRA_HOME": str(tmp_path / "data")}
    environ = {**home, "PATH": "", "GROQ_API_KEY": FIRST}
    async with Orchestra.open(environ) as orchestra:
        state = await orchestra.keyring.save("GROQ_API_KEY", SECOND)
        assert (state.kept, state.shadowed) == ("environment", True)
        assert SECOND not in repr(state)
        await orchestra.keyring.remove("GROQ_API_KEY")
        with pytest.raises(UserError, match="environment"):
            await orchestra.keyring.remove("GROQ_API_KEY")
