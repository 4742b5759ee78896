"""A whole Orchestra behind its door, and a real browser that fails a test on whatever a page does wrong.

    @pytest.fixture(scope="module")
    def anyio_backend() -> str:
        return "asyncio"

    @pytest.fixture(scope="module")
    def house(tmp_path_factory): ...
        with browser.house(tmp_path_factory.mktemp("home"), {"alpha": Expert(SAYS)}) as opened: yield opened

    @pytest.fixture(scope="module")
    async def chromium(): ...
        async with browser.chromium() as launched: yield launched

    async def test_…(house, chromium):
        async with browser.entered(chromium, house) as page:   # logged in by ticket
            await page.goto(house.url + "/consultations")

Fails: a console error or warning, an uncaught exception, a violation of the content-security policy, a request to another
host. `wrong=("404",)` allows messages of the console that contain one of these.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest
import webdoor
from upstream import Expert, Upstream

from orchestra_mcp.settings import home_dir
from orchestra_mcp.store import open_store
from orchestra_mcp.store.base import Store
from orchestra_mcp.tools.http import bearer_token
from orchestra_mcp.web.pages.sessions import Sessions
from orchestra_mcp.web.serving import open_door

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SHOTS = os.environ.get("ORCHESTRA_SHOTS", "")
"""A directory where `shot` puts pictures; empty: nowhere."""


@dataclass
class House:
    """A running Orchestra."""

    url: str
    home: Path
    environ: dict[str, str]
    token: str
    sessions: Sessions
    upstream: Upstream

    def ticket(self) -> str:
        """An address that lets the owner in once, as `orchestra ui` prints it."""
        return f"{self.url}/#t={self.sessions.ticket()}"

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """Its store, opened a second time, as another process would; for what tests put into it."""
        async with open_store(home_dir(self.environ)) as store:
            yield store


@contextmanager
def house(home: Path, experts: dict[str, Expert], more_toml: str = "", **door: Any) -> Iterator[House]:
    """Serve these experts in a thread; `door` goes to `open_door`."""
    with Upstream(experts) as upstream:
        (home / "orchestra.toml").write_text(upstream.models_toml() + more_toml)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "ORCHESTRA_HOME": str(home / "data"),
            "ORCHESTRA_CONFIG": str(home / "orchestra.toml"),
        }
        token, sessions = bearer_token(home_dir(environ)), Sessions()
        with webdoor.serving(lambda: open_door(environ, token, "127.0.0.1", sessions=sessions, **door)) as url:
            yield House(url, home, environ, token, sessions, upstream)


def program() -> str:
    """The browser's path; without one the test is skipped."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no browser here: apt-get install chromium")
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A browser."""
    path = program()
    api = pytest.importorskip("playwright.async_api", reason="pip install playwright")
    async with api.async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield launched
        finally:
            await launched.close()


@dataclass
class Watch:
    """What went wrong on a page."""

    host: str
    allowed: Sequence[str] = ()
    faults: list[str] = field(default_factory=list)

    def on(self, page: Any) -> None:
        """Watch a page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        said = f"{message.type}: {message.text}"
        if message.type in ("error", "warning") and not any(text in said for text in self.allowed):
            self.faults.append(said)

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "about", "blob") and parts.netloc != self.host:
            self.faults.append(f"a request to another host: {request.url[:200]}")


@asynccontextmanager
async def visitor(launched: Any, house: House, *, wrong: Sequence[str] = (), **options: Any) -> AsyncIterator[Any]:
    """A page of a fresh profile; `options` go to the browser's context (viewport, color_scheme, java_script_enabled)."""
    watch = Watch(urlsplit(house.url).netloc, wrong)
    context = await launched.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    context.set_default_timeout(10_000)
    try:
        page = await context.new_page()
        watch.on(page)
        context.on("page", watch.on)
        yield page
        await anyio.lowlevel.checkpoint()
    finally:
        await context.close()
    assert not watch.faults, watch.faults


@asynccontextmanager
async def entered(launched: Any, house: House, *, wrong: Sequence[str] = (), **options: Any) -> AsyncIterator[Any]:
    """As `visitor`, entered by ticket, on the overview."""
    async with visitor(launched, house, wrong=wrong, **options) as page:
        if options.get("java_script_enabled", True):
            await page.goto(house.ticket())
        else:
            await page.goto(house.url)
            await page.fill("#key", house.token)
            await page.click("button.main")
        await page.wait_for_url(house.url + "/")
        yield page


async def shot(page: Any, name: str, *, whole: bool = True) -> None:
    """A picture to look at, where `ORCHESTRA_SHOTS` names a directory."""
    if SHOTS:
        await page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=whole)


async def too_wide(page: Any) -> int:
    """By how many CSS pixels the page is wider than its window; 0 when nobody has to scroll sideways."""
    found: int = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


async def unlabelled(page: Any) -> list[str]:
    """What assistive technology could not name or find: fields, buttons, links, tables, headings, landmarks."""
    found: list[str] = await page.evaluate(
        """() => {
        const out = [];
        const name = (e) => (e.getAttribute("aria-label") || e.getAttribute("title") ||
            (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join("") ||
            (e.labels ? [...e.labels].map((l) => l.textContent).join("") : "") ||
            (["A", "BUTTON", "SUMMARY"].includes(e.tagName) ? e.textContent : "")).trim();
        const what = (e) => e.outerHTML.slice(0, 120);
        for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], summary, dialog, [tabindex='0']"))
            if (!name(e)) out.push("no name: " + what(e));
        for (const e of document.querySelectorAll("img:not([alt]), svg:not([aria-hidden]):not([role])")) out.push("no text: " + what(e));
        if (document.querySelectorAll("h1").length !== 1) out.push("h1: " + document.querySelectorAll("h1").length);
        for (const t of ["header", "main", "footer"]) if (document.querySelectorAll("body > " + t).length !== 1) out.push("landmark " + t);
        if (!document.documentElement.lang) out.push("no language");
        const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
        for (const id of ids) if (ids.filter((other) => other === id).length > 1) out.push("twice: #" + id);
        for (const e of document.querySelectorAll("table")) if (!e.querySelector("th")) out.push("no heads: " + what(e));
        let level = 1;
        for (const e of document.querySelectorAll("main :is(h1,h2,h3,h4,h5,h6)")) {
            const here = +e.tagName[1];
            if (here > level + 1 && !e.closest(".prose")) out.push("heading jumps: " + what(e));
            level = here;
        }
        return out;
    }"""
    )
    return found


async def pause(seconds: float) -> None:
    """Wait a moment before looking again; for what another process does in its own time."""
    await anyio.sleep(seconds)


async def until(page: Any, condition: str, timeout_s: float = 10) -> None:
    """Wait for a condition in JavaScript; Playwright's own way needs `eval`, which our pages forbid."""
    with anyio.move_on_after(timeout_s):
        while not await page.evaluate(condition):
            await page.wait_for_timeout(20)
        return
    pytest.fail(f"never true: {condition}")


async def open_all(page: Any) -> None:
    """Open everything that is folded."""
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
