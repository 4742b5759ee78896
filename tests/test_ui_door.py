"""Who may open the dashboard, and what a hostile page or a thief can do: over real HTTP, and in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import browser
import httpx2
import pytest
import webdoor
from browser import House
from scripting import expert
from upstream import Expert

from orchestra_mcp.store.access import open_access
from orchestra_mcp.store.tenants import EVERYWHERE
from orchestra_mcp.web.pages.places import PLACES
from orchestra_mcp.web.pages.sessions import IDLE_S, MOST, TICKET_S, Sessions
from orchestra_mcp.web.pages.static import ROOT, files

SAYS = expert("it is the newline")
PAGES = [place.path for place in PLACES]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with browser.house(tmp_path_factory.mktemp("home"), {"alpha": Expert(SAYS)}, admin=True) as opened:
        yield opened


@pytest.fixture(scope="module")
async def chromium(house: House) -> AsyncIterator[Any]:
    async with browser.chromium() as launched:
        yield launched


@pytest.fixture
def client(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, trust_env=False, timeout=20) as opened:
        yield opened


def enter(client: httpx2.Client, **form: str) -> httpx2.Response:
    """Log in from our own page."""
    return client.post("/login", data=form, headers={"origin": str(client.base_url).rstrip("/")})


def virtual_key(client: httpx2.Client, house: House, workspace: str, name: str, **terms: Any) -> str:
    bearer = {"authorization": f"Bearer {house.token}"}
    client.post("/admin/workspaces", json={"id": workspace}, headers=bearer)
    made = client.post(f"/admin/workspaces/{workspace}/keys", json={"name": name, **terms}, headers=bearer)
    assert made.status_code == 201, made.text
    secret: str = made.json()["secret"]
    return secret


# ------------------------------------------------------------------------------------------------ tickets, cookies


def test_a_ticket_is_good_once_and_for_two_minutes() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    first, second = sessions.ticket(), sessions.ticket()
    assert sessions.redeem(first)
    assert not sessions.redeem(first)
    now[0] = TICKET_S + 1
    assert not sessions.redeem(second)
    assert not sessions.redeem("")


def test_a_session_ends_after_twelve_idle_hours_and_keeps_no_key_in_the_open() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    key = b"orc_abcdefgh_" + b"k" * 43
    cookie, owner = sessions.open(key), sessions.open(None)
    assert len(cookie) == 43, "256 bits in base64url"
    assert sessions.find(cookie) == (key,)
    assert sessions.find(owner) == (None,)
    kept = repr([getattr(each, "sealed", None) for each in sessions._sessions.values()])
    assert "kkkk" not in kept
    assert cookie not in repr(sessions._sessions)
    now[0] += IDLE_S - 1
    assert sessions.find(cookie) == (key,)
    now[0] += IDLE_S - 1
    assert sessions.find(cookie) == (key,), "each use begins the twelve hours anew"
    assert sessions.find(owner) is None
    now[0] += IDLE_S
    assert sessions.find(cookie) is None


def test_there_are_no_more_sessions_than_fit() -> None:
    sessions = Sessions(lambda: 0.0)
    first = sessions.open(None)
    for _ in range(MOST):
        sessions.open(None)
    assert sessions.find(first) is None


# ----------------------------------------------------------------------------------------------- the way in and out


@pytest.mark.parametrize("path", [*PAGES, "/consultations/abc", "/settings/anything"])
def test_without_a_cookie_every_page_leads_to_the_login(client: httpx2.Client, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 303
    assert reply.headers["location"] == ("/login" if path == "/" else f"/login?to={path}")
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_owners_token_opens_a_session_that_the_log_out_ends(client: httpx2.Client, house: House) -> None:
    reply = enter(client, key=house.token, to="/consultations?q=a")
    assert reply.status_code == 303
    assert reply.headers["location"] == "/consultations?q=a"
    cookie = reply.headers["set-cookie"]
    port = house.url.rsplit(":", 1)[1]
    assert re.fullmatch(rf"orchestra-{port}=[\w-]{{43}}; Path=/; HttpOnly; SameSite=Strict", cookie)
    assert house.token not in cookie
    shown = client.get("/")
    assert shown.status_code == 200
    assert "Owner of this machine" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    stolen = dict(client.cookies)
    left = client.post("/logout", headers={"origin": house.url})
    assert left.status_code == 303
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert httpx2.get(house.url, cookies=stolen, trust_env=False).status_code == 303, "the cookie is worth nothing now"


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "/v1/models", "/login", "/logout", "javascript:1", "/ask\r\nx: y"]
)  # fmt: skip
def test_nobody_is_led_anywhere_else(client: httpx2.Client, house: House, to: str) -> None:
    assert enter(client, key=house.token, to=to).headers["location"] == "/"


def test_wrong_keys_are_told_nothing_and_slowed_down(client: httpx2.Client) -> None:
    for given in ("sk-wrong-word", "orc_aaaaaaaa_" + "A" * 43):
        reply = enter(client, key=given)
        assert reply.status_code == 401
        assert "not known" in reply.text
        assert given not in reply.text
    assert enter(client, ticket="A" * 43).status_code == 401
    assert enter(client).status_code == 400


def test_a_virtual_key_sees_its_own_workspace_and_its_session_ends_with_it(client: httpx2.Client, house: House) -> None:
    key = virtual_key(client, house, "team", "reader", role="viewer")
    assert enter(client, key=key).status_code == 303
    shown = client.get("/")
    assert shown.status_code == 200
    assert "reader in team (viewer)" in shown.text
    assert 'href="/settings"' not in shown.text
    for path in ("/settings", "/costs", "/providers", "/alerts"):
        refused = client.get(path)
        assert refused.status_code in (403, 404), path
        assert "<main" in refused.text, "in the frame of a page"
    assert client.post("/consultations/x/outcome", headers={"origin": house.url}).status_code == 403
    bearer = {"authorization": f"Bearer {house.token}"}
    assert client.delete("/admin/workspaces/team/keys/reader", headers=bearer).status_code == 200
    assert client.get("/").headers["location"] == "/login"


async def test_a_key_that_another_process_revokes_ends_its_sessions(house: House, client: httpx2.Client) -> None:
    key = virtual_key(client, house, "crew", "temp")
    enter(client, key=key)
    assert client.get("/").status_code == 200
    async with open_access(house.home / "data") as access:
        await access.revoke(EVERYWHERE, "temp")
    client.get("/v1/models", headers={"authorization": "Bearer nonsense"})
    # Keys are known from memory for three seconds at most.
    for _ in range(50):
        if client.get("/").status_code == 303:
            return
        await browser.pause(0.1)
    pytest.fail("the session outlived its key")


# --------------------------------------------------------------------------------------------------- hostile pages


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_nothing_is_done_that_another_page_asks_for(
    client: httpx2.Client, house: House, headers: dict[str, str]
) -> None:
    enter(client, key=house.token)
    for path in ("/logout", "/login", "/consultations/x/outcome"):
        assert client.post(path, headers=headers, data={"key": house.token}).status_code == 403, path
    assert client.get("/").status_code == 200, "still in"


def test_the_cookie_opens_pages_and_what_api_shows_and_nothing_else(client: httpx2.Client, house: House) -> None:
    enter(client, key=house.token)
    own = {"origin": house.url}
    assert client.get("/api/me").json()["owner"] is True
    assert client.get("/api/me", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/api/me", headers={"sec-fetch-site": "same-site"}).status_code == 403, (
        "another port of this host"
    )
    assert client.post("/api/consultations", json={"question": "?"}, headers=own).status_code == 401
    assert client.post("/v1/chat/completions", json={}, headers=own).status_code == 401
    assert client.post("/mcp", json={}, headers=own).status_code == 401
    assert client.get("/admin/workspaces").status_code == 401
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_a_key_in_a_header_needs_no_cookie(client: httpx2.Client, house: House) -> None:
    assert client.get("/", headers={"authorization": f"Bearer {house.token}"}).status_code == 200
    assert client.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_page_that_there_is_not_says_so_in_its_frame(client: httpx2.Client, house: House) -> None:
    enter(client, key=house.token)
    for path in ("/consultations/nonsense", "/consultations/a/b/c", "/settings/nothing/here"):
        reply = client.get(path)
        assert reply.status_code == 404, path
        assert "<main" in reply.text
        assert 'href="/"' in reply.text


def test_long_forms_and_strange_ones_are_refused(client: httpx2.Client, house: House) -> None:
    own = {"origin": house.url}
    assert (
        client.post(
            "/login", content=b"x" * 3_000_000, headers={**own, "content-type": "application/x-www-form-urlencoded"}
        ).status_code
        == 413
    )
    assert client.post("/login", json={"key": 1}, headers=own).status_code == 400
    assert (
        client.post(
            "/login",
            content=b"&".join(b"a=1" for _ in range(500)),
            headers={**own, "content-type": "application/x-www-form-urlencoded"},
        ).status_code
        == 400
    )


# ------------------------------------------------------------------------------------------------------ static files


def test_files_are_kept_for_good_under_their_version_and_asked_for_again_without(client: httpx2.Client) -> None:
    page = client.get("/login").text
    style = re.search(r'href="(/static/style\.css\?v=[0-9a-f]{12})"', page)
    assert style
    kept = client.get(style[1])
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-type"] == "text/css; charset=utf-8"
    again = client.get(style[1], headers={"if-none-match": kept.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert client.get("/static/style.css").headers["cache-control"] == "no-cache"
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    for wrong in ("nothing.css", "%2e%2e/visit.py", "..%2fvisit.py", "vendor/README.md", "vendor/htmx.LICENSE"):
        assert client.get(f"/static/{wrong}").status_code == 404, wrong


def test_what_is_served_is_small_and_asks_nobody_else() -> None:
    own = {name: file for name, file in files().items() if not name.startswith("vendor/")}
    for name, file in own.items():
        text = file.body.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"\beval\(|new Function|innerHTML\s*=\s*[^\"'`]*location|document\.write", text), name
        assert len(text.splitlines()) <= 400, name
    assert {path.name for path in (ROOT / "vendor").iterdir() if path.suffix == ".LICENSE"} == {
        "htmx.LICENSE",
        "uplot.LICENSE",
    }


TEMPLATES = sorted((ROOT.parent / "templates").glob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_what_the_policy_forbids(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|js:", text)
    assert "|safe" not in text.replace("{{ shapes[name]|safe }}", "")
    assert not re.search(r'(?:src|href|action)="https?://', text)


# --------------------------------------------------------------------------------------------------------- contrast


def tokens(block: str) -> dict[str, tuple[float, float, float]]:
    """Colours of a block of tokens.css as sRGB shares."""
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)
    return {name: tuple(int(value[at : at + 2], 16) / 255 for at in (0, 2, 4)) for name, value in found}  # type: ignore[misc]


def luminance(colour: tuple[float, float, float]) -> float:
    """WCAG 2.2, relative luminance."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


BLOCKS = re.findall(r"color-scheme: (light|dark);(.*?)\}", (ROOT / "tokens.css").read_text("utf-8"), re.DOTALL)


def test_the_two_dark_themes_are_the_same() -> None:
    assert [name for name, _ in BLOCKS] == ["light", "dark", "dark"]
    assert tokens(BLOCKS[1][1]) == tokens(BLOCKS[2][1])
    assert set(tokens(BLOCKS[0][1])) == set(tokens(BLOCKS[1][1]))


@pytest.mark.parametrize(("theme", "block"), BLOCKS[:2], ids=["light", "dark"])
def test_text_can_be_read(theme: str, block: str) -> None:
    colour = tokens(block)
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21), "as WCAG says"
    grounds = ("paper", "card", "sunk")
    pairs = [(ink, ground) for ink in ("ink", "muted", "accent", "good", "warn", "bad", "live") for ground in grounds]
    pairs += [(kind, f"{kind}-soft") for kind in ("accent", "good", "warn", "bad", "live")]
    pairs += [("ink", f"{kind}-soft") for kind in ("accent", "good", "warn", "bad", "live")]
    pairs += [("muted", f"{kind}-soft") for kind in ("accent", "live", "bad")]
    pairs += [(f"code-{part}", "sunk") for part in ("key", "text", "name", "number", "note")]
    pairs += [("on-accent", "accent"), ("on-mark", "mark"), ("paper", "ink")]
    for ink, ground in pairs:
        assert contrast(colour[ink], colour[ground]) >= 4.5, (theme, ink, ground)  # WCAG 2.2, 1.4.3 (AA)
    for ground in ("card", "paper"):
        assert contrast(colour["edge"], colour[ground]) >= 3, (theme, "edge", ground)  # 1.4.11: borders of fields


# ------------------------------------------------------------------------------------------------- in a real browser


async def test_the_ticket_lets_in_once_and_leaves_no_trace_in_the_address(house: House, chromium: Any) -> None:
    address = house.ticket()
    async with browser.visitor(chromium, house) as page:
        await page.goto(address)
        await page.wait_for_url(house.url + "/")
        assert "Overview" in await page.title()
        assert "#t=" not in await page.evaluate("location.href + document.referrer")
        assert await page.evaluate("document.cookie") == "", "no script can read it"
        await browser.shot(page, "overview")
        assert await browser.unlabelled(page) == []
    async with browser.visitor(chromium, house, wrong=("401",)) as page:
        await page.goto(address)
        await page.get_by_role("alert").wait_for()
        assert "used already" in await page.get_by_role("alert").inner_text()


async def test_the_key_leads_to_where_one_meant_to_go_also_without_scripts(house: House, chromium: Any) -> None:
    async with browser.visitor(chromium, house, java_script_enabled=False) as page:
        await page.goto(house.url + "/consultations?q=newline")
        await browser.shot(page, "login")
        await page.fill("#key", house.token)
        await page.click("button.main")
        assert page.url == house.url + "/consultations?q=newline"
        assert await page.input_value("#q") == "newline"
        await page.get_by_role("button", name="Log out").click()
        assert page.url == house.url + "/login"


async def test_another_page_can_neither_read_nor_write(house: House, chromium: Any) -> None:
    """A page of another port of this very host, which for cookies is the same site."""
    hostile = f"""<!doctype html><title>hostile</title><script>
      window.got = [];
      const tell = (what) => (answer) => window.got.push([what, answer.type, answer.status ?? 0]);
      const fail = (what) => () => window.got.push([what, "refused", 0]);
      for (const path of ["/", "/api/me", "/static/app.js"])
        fetch("{house.url}" + path, {{credentials: "include"}}).then(tell(path), fail(path));
      fetch("{house.url}/logout", {{method: "POST", credentials: "include", mode: "no-cors"}}).then(tell("post"), fail("post"));
    </script><iframe src="{house.url}/"></iframe>
    <form method="post" action="{house.url}/logout"><button>go</button></form>"""
    vendor = webdoor.Vendor([(200, "text/html", hostile.encode())])
    with vendor.open() as other:
        context = await chromium.new_context()
        try:
            page = await context.new_page()
            await page.goto(house.ticket())
            await page.wait_for_url(house.url + "/")
            await page.goto(other)
            await page.wait_for_function("window.got.length === 4")
            got = {what: (kind, status) for what, kind, status in await page.evaluate("window.got")}
            assert got["/"] == got["/api/me"] == got["/static/app.js"] == ("refused", 0)
            frame = next(frame for frame in page.frames if frame != page.main_frame)
            assert "Overview" not in await frame.evaluate("document.title")
            await page.click("button")
            await page.wait_for_load_state()
            assert "another page" in await page.inner_text("body") or "other origins" in await page.inner_text("body")
            await page.goto(house.url + "/")
            assert "Overview" in await page.title(), "still in: nothing was done"
        finally:
            await context.close()


async def test_keys_lead_everywhere(house: House, chromium: Any) -> None:
    async with browser.entered(chromium, house) as page:
        await page.keyboard.press("g")
        await page.keyboard.press("c")
        await page.wait_for_url(house.url + "/consultations")
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "q"
        await page.keyboard.type("?gn")
        assert await page.input_value("#q") == "?gn", "keys are text where one types"
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("?")
        dialog = page.locator("dialog[open]")
        await dialog.wait_for()
        assert "Consultations" in await dialog.inner_text()
        await browser.shot(page, "keys", whole=False)
        await page.keyboard.press("Escape")
        assert await page.locator("dialog[open]").count() == 0
        await page.goto(house.url)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"


async def test_the_theme_is_the_systems_until_one_chooses(house: House, chromium: Any) -> None:
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    async with browser.entered(chromium, house, color_scheme="dark") as page:
        assert await page.evaluate(paper) == "rgb(19, 21, 24)"
        await browser.shot(page, "overview-dark")
        await page.get_by_role("button", name="Change between light and dark").click()
        assert await page.evaluate(paper) == "rgb(250, 249, 246)"
        await page.reload()
        assert await page.evaluate(paper) == "rgb(250, 249, 246)", "kept"


async def test_it_can_be_read_on_a_phone(house: House, chromium: Any) -> None:
    async with browser.entered(chromium, house, wrong=("404",), viewport={"width": 360, "height": 740}) as page:
        for path in ("/", "/consultations", "/consultations/nothing"):
            await page.goto(house.url + path)
            assert await browser.too_wide(page) == 0, path
        await browser.shot(page, "overview-phone")


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command_prints_an_address_that_lets_in_once(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ORCHESTRA_HOME": str(tmp_path / "data")}
    program = [sys.executable, "-m", "orchestra_mcp", "ui", "--no-browser"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, text=True
    ) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/#t=([\w-]{43})", address)
            assert found, address
            with httpx2.Client(base_url=found[1], trust_env=False, timeout=20) as client:
                assert enter(client, ticket=found[2]).status_code == 303
                assert client.get("/").status_code == 200
                assert enter(client, ticket=found[2]).status_code == 401
        finally:
            process.terminate()
